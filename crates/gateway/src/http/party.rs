//! Who sends a request to an API, or asks for a permit, as far as deciding on it takes.

use std::sync::Arc;

use authority::{Ask, Challenge};
use axum::response::Response;
use terms::Millis;
use tokio::sync::oneshot;
use upstream::{Api, Line, Unreachable};

use crate::enforce::{Leaves, Party, Waits};
use crate::gateway::Inner;

/// One request on its way, and the way back to who sent it.
pub(crate) struct Sender {
    /// Where it goes; `None` where who asks does it itself.
    pub(crate) api: Option<Arc<Api>>,
    pub(crate) answer: oneshot::Sender<Response>,
    /// How long it asks to wait for people.
    pub(crate) waits: Option<Millis>,
}

impl Party for Sender {
    type Way = Option<Line>;
    type Told = ();

    async fn way(&self, _: &Inner, _: &Ask) -> Result<Option<Line>, Unreachable> {
        match &self.api {
            Some(api) => Arc::clone(api).line().await.map(Some),
            None => Ok(None),
        }
    }

    fn gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// HTTP has no word for that but going away.
    fn took_back(&self) -> bool {
        false
    }

    /// While something has to be said first nobody can approve, so nothing is waited for.
    fn choose(&self, inner: &Inner, challenge: &Challenge) -> (Option<Millis>, ()) {
        let may = !challenge.wants_purpose && !challenge.wants_ticket;
        let longest = inner.settings.hold_with_progress;
        (self.waits.filter(|_| may).map(|waits| waits.min(longest)), ())
    }

    async fn leaves(&mut self) -> Leaves {
        self.answer.closed().await;
        Leaves::Gone
    }

    fn tell(&self, _: &str) {}

    fn notes(&self) -> Option<&Waits> {
        None
    }
}
