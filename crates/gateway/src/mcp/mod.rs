//! MCP over streamable HTTP: one message a POST, sessions, and of its methods those that tools need. Any other method is
//! denied (R7), and nothing that a caller sends without asking is passed on (T37).
//!
//! Which revision is spoken is a fact of the session ([`Session::revision`]), and what sets revisions apart is one table
//! ([`Revision::TABLE`]); nothing below [`answer`] asks how the conversation was opened.

mod call;
pub(crate) mod carrier;
pub(crate) mod envelope;
mod list;
mod listen;
mod own;
pub(crate) mod refusal;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod stream;

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use terms::json::{Limits, Object};
use terms::revision::Side;
use terms::{Json, Revision, Slug};

use crate::answer::{self, Refusal};
use crate::caller::{self, Known};
use crate::front::one;
use crate::gateway::{Shared, not_allowed};
use envelope::{Id, Message, NotAMessage, Request};
use session::Session;

/// Whether an answer of ours may have `structuredContent`: a tool with an output schema promises that it fits
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structured {
    /// It may.
    Free,
    /// Only the upstream knows what would fit.
    BySchema,
}

/// The header that names a session.
const SESSION: http::HeaderName = http::HeaderName::from_static("mcp-session-id");

/// The header that names the revision.
const VERSION: http::HeaderName = http::HeaderName::from_static("mcp-protocol-version");

/// What every agent is told when it connects.
const INSTRUCTIONS: &str = "Some calls of these tools need a person's approval. Such a call answers that it did \
    not run, with a link for that person and an id. Tell your user; then call stepup_run with that id, or repeat \
    exactly the same call. Do not vary the arguments: every other call needs an approval of its own.";

/// One request to `/mcp/{upstream}`.
pub(crate) async fn serve(gateway: Shared, known: Known, upstream: String, request: HttpRequest) -> Response {
    match *request.method() {
        Method::POST => post(gateway, known, upstream, request).await,
        Method::GET => {
            let listens = listen::listen(gateway, &known, upstream, request.headers());
            listens.unwrap_or_else(|refusal| refusal.answer(None))
        }
        Method::DELETE => end(&gateway, &known, &upstream, request.headers()),
        _ => not_allowed("GET, POST, DELETE"),
    }
}

/// A body that is JSON and nothing else (T11, T13).
pub(crate) fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = one(headers, &header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let (kind, parameter) =
        kind.split_once(';').map_or((kind.as_str(), ""), |(kind, rest)| (kind, rest.trim()));
    let json = kind.trim() == "application/json" && ["", "charset=utf-8"].contains(&parameter);
    if json && !headers.contains_key(header::CONTENT_ENCODING) { Ok(()) } else { Err(Slug::MediaType.into()) }
}

/// The client takes both forms of answer, as the transport asks of it.
fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    let both = takes(headers, "application/json") && takes(headers, "text/event-stream");
    if both { Ok(()) } else { Err(Slug::NotAcceptable.into()) }
}

/// Whether the client takes answers of a kind.
fn takes(headers: &HeaderMap, kind: &str) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepts.flat_map(|value| value.split(',')).filter_map(|one| one.split(';').next());
    kinds.any(|one| one.trim() == "*/*" || one.trim().eq_ignore_ascii_case(kind))
}

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
    Revision::all(Side::Callers).collect()
}

async fn post(gateway: Shared, known: Known, upstream: String, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let checked = check_content(&parts.headers).and_then(|()| check_accept(&parts.headers));
    if let Err(refusal) = checked {
        return refusal.plain();
    }
    let within = gateway.settings.budgets.body_within.duration();
    let body = match tokio::time::timeout(within, to_bytes(body, Limits::REQUEST.bytes)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Refusal::from(Slug::TooLarge).plain(),
        Err(_) => return Refusal::because(Slug::RequestInvalid, "the body did not arrive in time").plain(),
    };
    match envelope::read(&body).and_then(|message| without_key(message, &parts.headers)) {
        Ok(Message::Request(request)) if request.method == "initialize" => {
            initialize(&gateway, &known, &upstream, &request)
        }
        Ok(message) => match agreed(&gateway, &known, &upstream, &parts.headers, &message) {
            Ok(session) => answer(gateway, known, upstream, session, message).await,
            Err(refusal) => refusal.answer(None),
        },
        Err(NotAMessage { refusal, id }) => refusal.answer(id.as_ref()),
    }
}

/// The message with the trace that its headers name, unless what goes upstream beside its arguments holds the
/// caller's key (T26): clients add to `_meta` what no model ever sees.
fn without_key(message: Message, headers: &HeaderMap) -> Result<Message, NotAMessage> {
    let Message::Request(mut request) = message else { return Ok(message) };
    request.meta.inert = request.meta.inert.with_headers(headers);
    if caller::key(headers).is_ok_and(|key| !request.meta.mentions(key)) {
        return Ok(Message::Request(request));
    }
    let refusal = Refusal::because(Slug::RequestInvalid, "_meta or a header holds the caller's key");
    Err(NotAMessage { refusal, id: Some(request.id) })
}

/// The session of a message whose headers and body agree.
fn agreed(
    gateway: &Shared,
    known: &Known,
    upstream: &str,
    headers: &HeaderMap,
    message: &Message,
) -> Result<Arc<Session>, Refusal> {
    let session = in_session(gateway, known, upstream, headers, message.revision())?;
    check_routing(headers, message)?;
    Ok(session)
}

/// Headers that later revisions have for routers: decisions rest on the body, and a router must not have read
/// something else (T20).
fn check_routing(headers: &HeaderMap, message: &Message) -> Result<(), Refusal> {
    let (method, params) = match message {
        Message::Request(request) => (&request.method, &request.params),
        Message::Notification { method, params, .. } => (method, params),
    };
    let name = params.get("name").and_then(Json::as_str);
    for (header, body) in [("mcp-method", Some(method.as_str())), ("mcp-name", name)] {
        let header = http::HeaderName::from_static(header);
        if headers.contains_key(&header) && one(headers, &header) != body {
            return Err(Slug::HeaderMismatch.into());
        }
    }
    Ok(())
}

/// The session that a request names, if it is this caller's with this upstream, and of the revision that the request
/// names. Who opens without a session, as the modern era does, hears first which revisions open one.
fn in_session(
    gateway: &Shared,
    known: &Known,
    upstream: &str,
    headers: &HeaderMap,
    body: Option<&Json>,
) -> Result<Arc<Session>, Refusal> {
    let named = Named { headers: Some(headers), body };
    named.within(&revisions())?;
    if !headers.contains_key(&SESSION) {
        return Err(Slug::SessionRequired.into());
    }
    let id = one(headers, &SESSION).ok_or(Slug::SessionUnknown)?;
    let session = gateway.sessions.find(id, known.caller.id, upstream)?;
    named.within(&[session.revision])?;
    Ok(session)
}

/// `initialize`: opens a session of the revision that the client wants, or of the newest where that one is not spoken
/// here: who does not speak it ends the session (MCP 2025-11-25, lifecycle, "Version Negotiation").
fn initialize(gateway: &Shared, known: &Known, upstream: &str, request: &Request) -> Response {
    if let Err(refusal) = envelope::only(&request.params, &["protocolVersion", "capabilities", "clientInfo"])
    {
        return refusal.answer(Some(&request.id));
    }
    // The header is for what comes after: it may only be known from our answer.
    let named = Named { headers: None, body: request.meta.revision.as_ref() };
    if let Err(refusal) = named.within(&revisions()) {
        return refusal.answer(None);
    }
    let Some(wanted) = request.params.get("protocolVersion").and_then(Json::as_str) else {
        return Refusal::because(Slug::RequestInvalid, "there is no protocolVersion")
            .answer(Some(&request.id));
    };
    let revision = Revision::spoken(wanted, Side::Callers).unwrap_or(Revision::NEWEST);
    let (session, lost) = match gateway.sessions.open(known.caller.id, upstream, revision) {
        Ok(opened) => opened,
        Err(slug) => return Refusal::from(slug).plain(),
    };
    if let Some(lost) = lost {
        gateway.upstreams.close(lost.key());
    }
    let server = [("name", Json::from("stepup")), ("version", Json::from(env!("CARGO_PKG_VERSION")))];
    let result = Json::object([
        ("protocolVersion", Json::from(session.revision.name())),
        ("capabilities", Json::object([("tools", Json::object([("listChanged", true)]))])),
        ("serverInfo", Json::object(server)),
        ("instructions", Json::from(INSTRUCTIONS)),
    ]);
    let mut response = result_of(&request.id, &result);
    if let Ok(id) = HeaderValue::from_str(&session.id) {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// `DELETE`: ends a session.
fn end(gateway: &Shared, known: &Known, upstream: &str, headers: &HeaderMap) -> Response {
    let ended = in_session(gateway, known, upstream, headers, None)
        .and_then(|session| Ok(gateway.sessions.close(&session.id, known.caller.id, upstream)?));
    match ended {
        Ok(session) => {
            gateway.upstreams.close(session.key());
            crate::gateway::done()
        }
        Err(refusal) => refusal.answer(None),
    }
}

async fn answer(
    gateway: Shared,
    known: Known,
    upstream: String,
    session: Arc<Session>,
    message: Message,
) -> Response {
    let request = match message {
        Message::Notification { method, params, .. } => {
            heard(&session, &method, &params);
            return answer::empty(StatusCode::ACCEPTED);
        }
        Message::Request(request) => request,
    };
    let Some(running) = session.run(&request.id) else {
        let refusal = Refusal::because(Slug::RequestInvalid, "a request of this id is being answered");
        return refusal.answer(Some(&request.id));
    };
    let id = request.id.clone();
    let answered = match request.method.as_str() {
        "ping" => Ok(result_of(&id, &Json::Object(Object::new()))),
        "tools/list" => list::list(&gateway, &known, &upstream, &request).await,
        "tools/call" => call::call(gateway, known, upstream, session, running, request).await,
        _ => Err(Slug::MethodUnknown.into()),
    };
    answered.unwrap_or_else(|refusal| refusal.answer(Some(&id)))
}

/// What a caller says without asking. Only its own requests of this session can be taken back; nothing is
/// passed on.
fn heard(session: &Session, method: &str, params: &Object) {
    if method == "notifications/cancelled"
        && let Some(id) = params.get("requestId").and_then(Id::of)
    {
        session.cancel(&id);
    }
}

/// An answer at once.
fn result_of(id: &Id, result: &Json) -> Response {
    answer::json(StatusCode::OK, &answer::told(id, "result", &result.text()))
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it anew.
#[cfg(test)]
pub(crate) fn golden(name: &str, now: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "{name} has changed: look at it, then run with UPDATE_GOLDEN=1");
}
