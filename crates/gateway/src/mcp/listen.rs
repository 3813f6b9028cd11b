//! `GET`: the stream on which a caller hears that its list of tools is another one now, and nothing else. Its events
//! have no ids: there is nothing on it that could be resumed, by its caller or by another (T23).

use std::sync::Arc;
use std::time::Duration;

use authority::Active;
use axum::response::Response;
use http::HeaderMap;
use terms::{Boottime, Caller, CallerId, DefinitionHash, Digest, Json, Slug};

use super::session::Listening;
use super::stream::{OPEN, STILL_HERE, events, message};
use super::{in_session, takes};
use crate::answer::Refusal;
use crate::caller::{Known, key_hash};
use crate::gateway::Shared;

/// How often is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(1);

/// What a list shows: names, definitions, and what calling them may take.
type Shown = Vec<(String, DefinitionHash, Vec<String>)>;

struct Stream {
    gateway: Shared,
    upstream: String,
    caller: CallerId,
    key: Digest,
    listening: Listening,
    /// As of the last look.
    active: Arc<Active>,
    shown: Shown,
    /// When something was last said.
    said: Boottime,
    open: bool,
}

/// Opens the stream of a session; there is one. It holds no place among the requests in flight, as it has its session's.
pub(super) fn listen(
    gateway: Shared,
    known: &Known,
    upstream: String,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    if !takes(headers, "text/event-stream") {
        return Err(Slug::NotAcceptable.into());
    }
    let session = in_session(&gateway, known, &upstream, headers, None)?;
    let listening = session
        .listen()
        .ok_or_else(|| Refusal::because(Slug::OverBudget, "this session has its stream already"))?;
    let active = gateway.authority.active();
    let shown = shown(&gateway, &known.caller, &upstream);
    let said = gateway.authority.ambient().boottime();
    let (caller, key) = (known.caller.id, key_hash(headers)?);
    let stream = Stream { gateway, upstream, caller, key, listening, active, shown, said, open: false };
    Ok(events(futures_util::stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((text, stream))
    })))
}

fn shown(gateway: &Shared, caller: &Caller, upstream: &str) -> Shown {
    let tools = gateway.authority.discover(caller, upstream).into_iter();
    tools.map(|(tool, needs)| (tool.name.clone(), tool.pin.digest, needs)).collect()
}

impl Stream {
    /// What is said next; `None` at the end: of the session, of the caller's key, or of this node.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.open, true) {
            return Some(OPEN.to_owned());
        }
        let mut drained = self.gateway.drained();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = drained.wait_for(|drained| *drained) => return None,
            }
            let caller = self.gateway.authority.authenticate(self.key).ok()?;
            let session = &self.listening.session().id;
            self.gateway.sessions.find(session, self.caller, &self.upstream).ok()?;
            let now = self.gateway.authority.ambient().boottime();
            let text = if self.changed(&caller) {
                let notice = [("jsonrpc", "2.0"), ("method", "notifications/tools/list_changed")];
                message(&Json::object(notice).text())
            } else if now.since(self.said) >= self.gateway.settings.keep_alive {
                STILL_HERE.to_owned()
            } else {
                continue;
            };
            self.said = now;
            return Some(text);
        }
    }

    /// Whether this caller's list is another one than at the last look.
    fn changed(&mut self, caller: &Caller) -> bool {
        let active = self.gateway.authority.active();
        if Arc::ptr_eq(&active, &self.active) {
            return false;
        }
        self.active = active;
        let shown = shown(&self.gateway, caller, &self.upstream);
        std::mem::replace(&mut self.shown, shown) != self.shown
    }
}
