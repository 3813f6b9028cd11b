//! Says that something changed; never what. The page reads itself again, so there is one way to be shown anything.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::answer::refusal;
use crate::person::Person;
use crate::router::Shared;

/// How often a page that follows is told that it still does, and its session is looked at.
const BEAT: Duration = Duration::from_secs(15);

/// Changes that come closer than this are told as one.
const GATHER: Duration = Duration::from_millis(150);

struct Following {
    console: Shared,
    person: Person,
    changes: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

/// How far the page that follows has counted.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Since {
    seen: Option<u64>,
}

pub(crate) async fn follow(
    State(console): State<Shared>,
    person: Person,
    since: Result<Query<Since>, QueryRejection>,
) -> Response {
    let Ok(place) = std::sync::Arc::clone(&console.followers).try_acquire_owned() else {
        let why = "Too many pages follow changes. This one shows what was when it was loaded.";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let mut changes = console.authority.changes();
    // What changed between the reading of the page and its following is told at once.
    let seen = since.ok().and_then(|Query(since)| since.seen);
    if seen.is_some_and(|seen| *changes.borrow() != seen) {
        changes.mark_changed();
    }
    let following = Following { console, person, changes, _place: place };
    Sse::new(stream::unfold(following, next)).into_response()
}

/// The next event; the stream ends with the session.
async fn next(mut following: Following) -> Option<(Result<Event, Infallible>, Following)> {
    let event = match tokio::time::timeout(BEAT, following.changes.changed()).await {
        Ok(Ok(())) => {
            tokio::time::sleep(GATHER).await;
            following.changes.mark_unchanged();
            // An event without data is none (HTML, server-sent events, "dispatch").
            Event::default().event("changed").data("look")
        }
        Ok(Err(_)) => return None,
        Err(_) => Event::default().comment("still here"),
    };
    let session = following.console.authority.store().session(following.person.session.hash).await;
    let active = following.console.authority.active();
    let still = matches!(session, Ok(Some(_))) && active.human(following.person.human.id).is_some();
    still.then_some((Ok(event), following))
}
