//! The streams on which a caller hears that its list of tools is another one now, and nothing else: in the legacy era that
//! of its session, opened with `GET`; in the modern one those that it asks for (MCP 2026-07-28, subscriptions). Their
//! events have no ids: there is nothing that could be resumed, by its caller or by another (T23).

use std::sync::Arc;
use std::time::Duration;

use authority::Active;
use axum::response::Response;
use http::HeaderMap;
use terms::json::Object;
use terms::revision::Era;
use terms::{Boottime, Caller, CallerId, DefinitionHash, Digest, Json, Kind, Slug};

use super::envelope::{Id, Request, only};
use super::session::Listening;
use super::stream::{OPEN, STILL_HERE, events, message};
use super::{legacy, result, takes};
use crate::answer::{self, Refusal};
use crate::caller::{Known, Place};
use crate::gateway::Shared;

/// How often is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Which request of the modern era a message belongs to.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a caller may ask to hear of. Of these there is only the first.
const TOOLS: &str = "toolsListChanged";
const KINDS: [&str; 4] = [TOOLS, "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"];

/// What a list shows: names, definitions, and what calling them may take.
type Shown = Vec<(String, DefinitionHash, Vec<String>)>;

/// Whose stream it is.
enum Of {
    /// That of a session, which has a place among the sessions.
    Session(Listening),
    /// That of one request, which keeps its place among those in flight.
    Request { id: Id, _place: Arc<Place> },
}

/// Where a stream is.
enum At {
    Start,
    Open,
    End,
}

struct Stream {
    gateway: Shared,
    upstream: String,
    caller: CallerId,
    key: Digest,
    of: Of,
    /// Whether changes of the list are told.
    tells: bool,
    /// As of the last look.
    active: Arc<Active>,
    shown: Shown,
    /// When something was last said.
    said: Boottime,
    at: At,
}

/// Opens the stream of a session; there is one.
pub(super) fn in_session(gateway: Shared, known: &Known, upstream: String, headers: &HeaderMap) -> Response {
    let listening = || -> Result<Listening, Refusal> {
        if !takes(headers, "text/event-stream") {
            return Err(Slug::NotAcceptable.into());
        }
        let session = legacy::in_session(&gateway, known, &upstream, headers, None)?;
        let taken = || Refusal::because(Slug::OverBudget, "this session has its stream already");
        session.listen().ok_or_else(taken)
    };
    match listening() {
        Ok(listening) => open(gateway, known, upstream, Of::Session(listening), true),
        Err(refusal) => refusal.answer(Era::Legacy, None),
    }
}

/// `subscriptions/listen`: opens a stream of what is asked for and there is.
pub(super) fn alone(
    gateway: Shared,
    known: &Known,
    upstream: String,
    request: &Request,
) -> Result<Response, Refusal> {
    only(&request.params, &["notifications"])?;
    let Some(Json::Object(kinds)) = request.params.get("notifications") else {
        return Err(Refusal::because(Slug::RequestInvalid, "there is no filter `notifications`"));
    };
    only(kinds, &KINDS)?;
    let tells = match kinds.get(TOOLS) {
        None => false,
        Some(Json::Bool(tells)) => *tells,
        Some(_) => {
            return Err(Refusal::because(Slug::RequestInvalid, "toolsListChanged is not true or false"));
        }
    };
    let of = Of::Request { id: request.id.clone(), _place: Arc::clone(&known.place) };
    Ok(open(gateway, known, upstream, of, tells))
}

fn open(gateway: Shared, known: &Known, upstream: String, of: Of, tells: bool) -> Response {
    let active = gateway.authority.active();
    let shown = shown(&gateway, &known.caller, &upstream);
    let said = gateway.authority.ambient().boottime();
    let (caller, key) = (known.caller.id, known.key);
    let stream = Stream { gateway, upstream, caller, key, of, tells, active, shown, said, at: At::Start };
    events(futures_util::stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((text, stream))
    }))
}

fn shown(gateway: &Shared, caller: &Caller, upstream: &str) -> Shown {
    let tools = gateway.authority.discover(caller, upstream, Kind::Tool).into_iter();
    tools.map(|(tool, needs)| (tool.name.clone(), tool.pin.digest, needs)).collect()
}

impl Stream {
    /// What is said next; `None` at the end: of the session, of the caller's key, or of this node.
    async fn next(&mut self) -> Option<String> {
        match self.at {
            At::Start => {
                self.at = At::Open;
                return Some(self.opening());
            }
            At::Open => {}
            At::End => return None,
        }
        let mut drained = self.gateway.drained();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = drained.wait_for(|drained| *drained) => {
                    self.at = At::End;
                    return self.closing();
                }
            }
            let caller = self.gateway.authority.authenticate(self.key).ok()?;
            if let Of::Session(listening) = &self.of {
                let session = &listening.session().id;
                self.gateway.sessions.find(session, self.caller, &self.upstream).ok()?;
            }
            let now = self.gateway.authority.ambient().boottime();
            let text = if self.changed(&caller) && self.tells {
                self.notice("notifications/tools/list_changed", Object::new())
            } else if now.since(self.said) >= self.gateway.settings.keep_alive {
                STILL_HERE.to_owned()
            } else {
                continue;
            };
            self.said = now;
            return Some(text);
        }
    }

    /// So that the client has the headers at once; and who asked for something is told what of it there is.
    fn opening(&self) -> String {
        match &self.of {
            Of::Session(_) => OPEN.to_owned(),
            Of::Request { .. } => {
                let told = self.tells.then_some((TOOLS, true));
                let mut params = Object::new();
                params.insert("notifications", Json::object(told));
                self.notice("notifications/subscriptions/acknowledged", params)
            }
        }
    }

    /// The answer to who asked, at an end that is no failure ("Graceful Closure").
    fn closing(&self) -> Option<String> {
        match &self.of {
            Of::Session(_) => None,
            Of::Request { id, .. } => {
                let result = Json::object([("_meta", Json::object([(SUBSCRIPTION, id.json())]))]).text();
                Some(message(&answer::told(id, "result", &result::complete(Era::Modern, &result))))
            }
        }
    }

    fn notice(&self, method: &str, mut params: Object) -> String {
        let mut notice = Object::new();
        notice.insert("jsonrpc", "2.0");
        notice.insert("method", method);
        if let Of::Request { id, .. } = &self.of {
            params.insert("_meta", Json::object([(SUBSCRIPTION, id.json())]));
        }
        if !params.is_empty() {
            notice.insert("params", params);
        }
        message(&Json::Object(notice).text())
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
