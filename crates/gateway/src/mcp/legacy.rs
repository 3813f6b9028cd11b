//! The legacy era: `initialize` opens a session, every other message names it, and its revision is what was agreed on
//! then (MCP 2025-11-25, lifecycle and transports).

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use terms::json::Object;
use terms::revision::{Era, Side};
use terms::{Abilities, Json, Revision, Slug};

use super::address::Address;
use super::envelope::{self, Id, Message, Request};
use super::session::Session;
use super::{INSTRUCTIONS, VERSION, capabilities, result, server};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::front::one;
use crate::gateway::Shared;

/// The header that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// What a request names as its revision, in its header and in its body. Neither has to be there: the session knows what
/// was agreed on (MCP 2025-11-25, transports, "Protocol Version Header").
#[derive(Clone, Copy)]
struct Named<'r> {
    headers: Option<&'r HeaderMap>,
    body: Option<&'r Json>,
}

impl Named<'_> {
    /// Refuses who names, in either place, a revision that is not one of these.
    fn within(self, revisions: &[Revision]) -> Result<(), Refusal> {
        let headers = self.headers.filter(|headers| headers.contains_key(&VERSION));
        let header = headers.map(|headers| one(headers, &VERSION));
        let mut named = header.into_iter().chain(self.body.map(Json::as_str));
        if named.all(|name| revisions.iter().any(|revision| Some(revision.name()) == name)) {
            return Ok(());
        }
        let names: Vec<&str> = revisions.iter().map(|revision| revision.name()).collect();
        Err(Refusal::because(Slug::VersionUnsupported, format!("spoken here: {}", names.join(", "))))
    }
}

/// The revisions that a session may be of.
fn revisions() -> Vec<Revision> {
    Revision::in_sessions(Side::Callers).collect()
}

/// The session of a message whose headers and body agree.
pub(super) fn agreed(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    headers: &HeaderMap,
    message: &Message,
) -> Result<Arc<Session>, Refusal> {
    let session = in_session(gateway, known, at, headers, message.revision())?;
    check_routing(headers, message)?;
    Ok(session)
}

/// Headers that the modern era has for routers: decisions rest on the body, and a router must not have read
/// something else (T20).
fn check_routing(headers: &HeaderMap, message: &Message) -> Result<(), Refusal> {
    let Some((method, params)) = message.parts() else { return Ok(()) };
    let name = params.get("name").or_else(|| params.get("uri")).and_then(Json::as_str);
    for (header, body) in [("mcp-method", Some(method)), ("mcp-name", name)] {
        let header = HeaderName::from_static(header);
        if headers.contains_key(&header) && one(headers, &header) != body {
            return Err(Slug::HeaderMismatch.into());
        }
    }
    Ok(())
}

/// The session that a request names, if it is this caller's at this address, and of the revision that the request
/// names.
pub(super) fn in_session(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    headers: &HeaderMap,
    body: Option<&Json>,
) -> Result<Arc<Session>, Refusal> {
    let named = Named { headers: Some(headers), body };
    named.within(&revisions())?;
    if !headers.contains_key(&SESSION) {
        return Err(Slug::SessionRequired.into());
    }
    let id = one(headers, &SESSION).ok_or(Slug::SessionUnknown)?;
    let session = gateway.sessions.find(id, known.caller.id, at)?;
    named.within(&[session.conversation.revision])?;
    Ok(session)
}

/// `initialize`: opens a session of the revision that the client wants, or of the newest where that one is not spoken
/// here: who does not speak it ends the session (MCP 2025-11-25, lifecycle, "Version Negotiation").
pub(super) fn initialize(gateway: &Shared, known: &Known, at: &Address, request: &Request) -> Response {
    let refuse = |refusal: Refusal| refusal.answer(Era::Legacy, Some(&request.id));
    if let Err(refusal) = envelope::only(&request.params, &["protocolVersion", "capabilities", "clientInfo"])
    {
        return refuse(refusal);
    }
    // The header is for what comes after: it may only be known from our answer.
    let named = Named { headers: None, body: request.meta.revision.as_ref() };
    if let Err(refusal) = named.within(&revisions()) {
        return refusal.answer(Era::Legacy, None);
    }
    let Some(wanted) = request.params.get("protocolVersion").and_then(Json::as_str) else {
        return refuse(Refusal::because(Slug::RequestInvalid, "there is no protocolVersion"));
    };
    let revision = Revision::in_session(wanted, Side::Callers).unwrap_or(Revision::NEWEST);
    let abilities = Abilities::of(request.params.get("capabilities"), revision);
    let (session, lost) = match gateway.sessions.open(known.caller.id, at, revision, abilities) {
        Ok(opened) => opened,
        Err(slug) => return Refusal::from(slug).plain(),
    };
    if let Some(lost) = lost {
        gateway.upstreams.close(lost.conversation.link);
    }
    let result = Json::object([
        ("protocolVersion", Json::from(revision.name())),
        ("capabilities", capabilities(gateway, at)),
        ("serverInfo", server()),
        ("instructions", Json::from(INSTRUCTIONS)),
    ]);
    let mut response = result::of(Era::Legacy, &request.id, &result);
    if let Ok(id) = HeaderValue::from_str(&session.id) {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// `DELETE`: ends a session.
pub(super) fn end(gateway: &Shared, known: &Known, at: &Address, headers: &HeaderMap) -> Response {
    let ended = in_session(gateway, known, at, headers, None)
        .and_then(|session| Ok(gateway.sessions.close(&session.id, known.caller.id, at)?));
    match ended {
        Ok(session) => {
            gateway.upstreams.close(session.conversation.link);
            crate::gateway::done()
        }
        Err(refusal) => refusal.answer(Era::Legacy, None),
    }
}

/// What a caller says without asking. Only its own requests of this session can be taken back; nothing is
/// passed on.
pub(super) fn heard(session: &Session, method: &str, params: &Object) {
    if method == "notifications/cancelled"
        && let Some(id) = params.get("requestId").and_then(Id::of)
    {
        session.cancel(&id);
    }
}
