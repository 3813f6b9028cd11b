//! The client of streamable HTTP by itself, for `stepup stdio`, which stands on the callers' side: it leads to a gateway,
//! and what it carries is its caller's own, so that there is nothing to permit. No crate but `stepup` uses it
//! (`tidy.rs`): from the gateway, [`crate::forward`] and [`crate::Link::errand`] are the only ways out.

pub use crate::raw::{no_line_ends, one_line};
pub use crate::transport::http::{Endpoint, Kind, SESSION, VERSION, kind};
pub use crate::transport::sse::{Events, NotAStream};
