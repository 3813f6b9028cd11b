//! The client of streamable HTTP by itself, for `stepup stdio`, which stands on the callers' side: it leads to a gateway,
//! and what it carries is its caller's own, so that there is nothing to permit. No crate but `stepup` uses it
//! (`tidy.rs`): from the gateway, [`crate::forward`] and [`crate::Link::errand`] are the only ways out.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

pub use crate::raw::{no_line_ends, one_line};
pub use crate::transport::http::{Endpoint, Kind, SESSION, VERSION, kind};
pub use crate::transport::sse::{Events, NotAStream};

/// All of a body; `None` where it breaks off or is longer than that.
pub async fn whole(mut body: Incoming, most: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.ok()?;
        let Some(piece) = frame.data_ref() else { continue };
        if text.len() + piece.len() > most {
            return None;
        }
        text.extend_from_slice(piece);
    }
    Some(text)
}
