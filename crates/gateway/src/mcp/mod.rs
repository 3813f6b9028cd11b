//! MCP over streamable HTTP: one message a POST, and of its methods a closed list. Any other is
//! denied (R7), and nothing that a caller sends without asking is passed on (T37).
//!
//! Both eras are spoken at one address, and a message says by how it opens which one it is of: [`legacy`] finds its
//! session, [`modern`] reads what it says of itself. What comes of either is a [`Conversation`]; what sets revisions apart
//! is one table ([`Revision::TABLE`](terms::Revision::TABLE)), and nothing below [`answer`] asks how the conversation was
//! opened.

pub(crate) mod address;
mod ask;
pub(crate) mod asking;
pub(crate) mod beside;
mod call;
pub(crate) mod carrier;
pub(crate) mod completions;
pub(crate) mod conversation;
pub(crate) mod envelope;
pub(crate) mod in_session;
mod legacy;
mod list;
mod listen;
pub(crate) mod live;
mod logging;
mod modern;
mod own;
mod prompts;
pub(crate) mod refusal;
mod resources;
pub(crate) mod result;
pub(crate) mod rounds;
pub(crate) mod session;
mod state;
pub(crate) mod stream;
pub(crate) mod watching;

use std::sync::Arc;

use authority::{Ask, Resources};
use axum::body::{Body, Bytes};
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use terms::json::Object;
use terms::revision::Era;
use terms::{Action, Json, Kind, Slug};

use crate::answer::{self, Refusal};
use crate::caller::{self, Known};
use crate::front::{one, whole};
use crate::gateway::{Shared, not_allowed};
use address::Address;
use conversation::Conversation;
use envelope::{Id, Message, NotAMessage, Request};
use session::Running;
use upstream::Has;

/// Whether an answer of ours may have `structuredContent`: a tool with an output schema promises that it fits
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structured {
    /// It may.
    Free,
    /// Only the upstream knows what would fit.
    BySchema,
    /// Results of the method say nothing of failing, so what did not run is told as a JSON-RPC error.
    Error,
}

/// The access that using something as what it is for would be, under its name at this address.
///
/// # Errors
/// What its caller would be told instead.
pub(crate) async fn would_ask(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    (kind, name): (Kind, String),
    arguments: Json,
    meta: Object,
) -> Result<Ask, Refusal> {
    let (action, params) = match kind {
        Kind::Tool => return call::would_ask(gateway, known, at, &name, (arguments, meta)).await,
        Kind::Prompt => {
            (Action::Get, Object::from_iter([("name", Json::from(name)), ("arguments", arguments)]))
        }
        Kind::Resource => (Action::Read, Object::from_iter([("uri", name)])),
        Kind::Route | Kind::Operation | Kind::Installation => return Err(Slug::MethodUnknown.into()),
    };
    ask::would_ask(gateway, known, at, action, params, meta).await
}

/// The header that names the revision.
const VERSION: http::HeaderName = http::HeaderName::from_static("mcp-protocol-version");

/// What every agent is told when it connects.
const INSTRUCTIONS: &str = "Some calls of these tools need a person's approval. Such a call answers that it did \
    not run, with a link for that person and an id. Tell your user; then call stepup_run with that id, or repeat \
    exactly the same call. Do not vary the arguments: every other call needs an approval of its own.";

/// What stepup says of itself.
fn server() -> Json {
    Json::object([("name", Json::from("stepup")), ("version", Json::from(env!("CARGO_PKG_VERSION")))])
}

/// What callers are told that there is: tools, since two are ours, and what else the upstream says that it has. What all
/// have together may be more at any time, when one is reached: there is all of it.
fn capabilities(gateway: &Shared, at: &Address) -> Json {
    let has = match at {
        Address::One(upstream) => gateway.upstreams.has(upstream),
        Address::All => Has {
            tools: true,
            prompts: true,
            resources: true,
            completions: true,
            logging: true,
            subscribe: true,
        },
    };
    let (lists, none) = (|| Json::object([("listChanged", true)]), || Json::Object(Object::new()));
    let resources =
        if has.subscribe { Json::object([("listChanged", true), ("subscribe", true)]) } else { lists() };
    let theirs = [
        ("prompts", has.prompts, lists()),
        ("resources", has.resources, resources),
        ("completions", has.completions, none()),
        ("logging", has.logging, none()),
    ];
    let theirs = theirs.into_iter().filter(|(_, has, _)| *has).map(|(name, _, says)| (name, says));
    Json::object(theirs.chain([("tools", lists())]))
}

/// One request to `/mcp/{upstream}`, or to `/mcp`.
pub(crate) async fn serve(gateway: Shared, known: Known, at: Address, request: HttpRequest) -> Response {
    let era = modern::header_names(request.headers());
    match (request.method(), era) {
        (&Method::POST, _) => post(gateway, known, at, request).await,
        (&Method::GET, Era::Legacy) => listen::in_session(gateway, &known, at, request.headers()),
        (&Method::DELETE, Era::Legacy) => legacy::end(&gateway, &known, &at, request.headers()),
        (_, Era::Legacy) => not_allowed("GET, POST, DELETE"),
        // There is no stream to open and no session to end ("Earlier Streamable HTTP Revisions").
        (_, Era::Modern) => not_allowed("POST"),
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

async fn post(gateway: Shared, known: Known, at: Address, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let read = match body_of(&gateway, &parts.headers, body).await {
        Ok(body) => read(&gateway, &known, &at, &parts.headers, &body),
        Err(refusal) => Err(Unread { refusal, told: None }),
    };
    match read {
        Ok(Read::Initialize(request)) => legacy::initialize(&gateway, &known, &at, &request),
        Ok(Read::InSession(session, message)) => in_session(gateway, known, at, &session, message).await,
        Ok(Read::Alone(conversation, message)) => {
            alone(gateway, known, at, conversation, message, &parts.headers).await
        }
        Err(unread) => unread.answer(&gateway, &known).await,
    }
}

/// A message that says one thing, and what it is part of.
enum Read {
    Initialize(Box<Request>),
    InSession(Arc<session::Session>, Message),
    Alone(Conversation, Message),
}

/// What is refused before anybody knows what it asks for, and how that is told: as plain HTTP, or in an era, to a request
/// or to none.
struct Unread {
    refusal: Refusal,
    told: Option<(Era, Option<Id>)>,
}

impl Unread {
    /// It is recorded as every denial is. Where that fails, there is still nothing that runs.
    async fn answer(mut self, gateway: &Shared, known: &Known) -> Response {
        let recording = gateway.authority.deny_unread(&known.caller, &known.source, self.refusal.slug);
        self.refusal.record = recording.await.unwrap_or_default();
        match self.told {
            None => self.refusal.plain(),
            Some((era, id)) => self.refusal.answer(era, id.as_ref()),
        }
    }
}

/// The whole body of a request that says it is JSON, and that takes what it will be answered.
async fn body_of(gateway: &Shared, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    check_content(headers)?;
    check_accept(headers)?;
    whole(&gateway.settings, body).await
}

/// Reads one message, whose headers and body agree.
fn read(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Read, Unread> {
    let message = envelope::read(body).and_then(|message| without_key(message, headers));
    let message = message.map_err(|NotAMessage { refusal, id }| Unread {
        refusal,
        told: Some((modern::header_names(headers), id)),
    })?;
    match (modern::opens(headers, &message), message) {
        (Era::Legacy, Message::Request(request)) if request.method == "initialize" => {
            Ok(Read::Initialize(request))
        }
        (Era::Legacy, message) => match legacy::agreed(gateway, known, at, headers, &message) {
            Ok(session) => Ok(Read::InSession(session, message)),
            Err(refusal) => Err(Unread { refusal, told: Some((Era::Legacy, None)) }),
        },
        (Era::Modern, message) => match modern::agreed(known, headers, &message) {
            Ok(conversation) => Ok(Read::Alone(conversation, message)),
            Err(refusal) => Err(Unread { refusal, told: Some((Era::Modern, message.id().cloned())) }),
        },
    }
}

/// The message with the trace that its headers name, unless something that may go upstream holds the caller's key
/// (T26): an agent that was talked into handing it on, or a client that adds it to `_meta`, which no model ever sees.
fn without_key(mut message: Message, headers: &HeaderMap) -> Result<Message, NotAMessage> {
    if let Message::Request(request) = &mut message {
        request.meta.inert = std::mem::take(&mut request.meta.inert).with_headers(headers);
    }
    if caller::key(headers).is_ok_and(|key| !message.mentions(key)) {
        return Ok(message);
    }
    let refusal = envelope::holds_key();
    Err(NotAMessage { refusal, id: message.id().cloned() })
}

/// A message of a session: it can be taken back by its id.
async fn in_session(
    gateway: Shared,
    known: Known,
    at: Address,
    session: &Arc<session::Session>,
    message: Message,
) -> Response {
    let mut request = match message {
        Message::Notification { method, params, .. } => {
            legacy::heard(session, &method, &params);
            return answer::empty(StatusCode::ACCEPTED);
        }
        Message::Answer { id, result } => {
            let asked = session.answered(&id, result);
            return if asked { answer::empty(StatusCode::ACCEPTED) } else { unasked(Era::Legacy) };
        }
        Message::Request(request) => *request,
    };
    let Some(running) = session.run(&request.id) else {
        let refusal = Refusal::because(Slug::RequestInvalid, "a request of this id is being answered");
        return refusal.answer(Era::Legacy, Some(&request.id));
    };
    let conversation = session.conversation();
    if let Some(level) = conversation.level {
        request.meta.inert = request.meta.inert.at_level(level);
    }
    answer(gateway, known, at, conversation, running, request).await
}

/// A message without a session: whoever closes its connection takes it back.
async fn alone(
    gateway: Shared,
    known: Known,
    at: Address,
    conversation: Conversation,
    message: Message,
    headers: &HeaderMap,
) -> Response {
    match message {
        // There is none that has a meaning over HTTP ("Sending Messages").
        Message::Notification { .. } => answer::empty(StatusCode::ACCEPTED),
        Message::Answer { .. } => unasked(Era::Modern),
        Message::Request(mut request) => {
            let told = headers.iter().filter(|(name, _)| upstream::repeats(name));
            request.meta.told = Some(told.map(|(name, value)| (name.clone(), value.clone())).collect());
            answer(gateway, known, at, conversation, Running::alone(), *request).await
        }
    }
}

/// An answer to what was not asked.
fn unasked(era: Era) -> Response {
    Refusal::because(Slug::RequestInvalid, "nothing was asked under this id").answer(era, None)
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Ping,
    Discover,
    ListTools,
    CallTool,
    ListPrompts,
    ListResources(Resources),
    /// Something that is an access as a call is one.
    Ask(Action),
    SetLevel,
    Unsubscribe,
    Listen,
}

/// Every method that is let through, and the eras that have it.
const METHODS: [(&str, &[Era], Asked); 14] = [
    ("ping", &[Era::Legacy], Asked::Ping),
    ("server/discover", &[Era::Modern], Asked::Discover),
    ("tools/list", &[Era::Legacy, Era::Modern], Asked::ListTools),
    ("tools/call", &[Era::Legacy, Era::Modern], Asked::CallTool),
    ("prompts/list", &[Era::Legacy, Era::Modern], Asked::ListPrompts),
    ("prompts/get", &[Era::Legacy, Era::Modern], Asked::Ask(Action::Get)),
    ("resources/list", &[Era::Legacy, Era::Modern], Asked::ListResources(Resources::Named)),
    ("resources/templates/list", &[Era::Legacy, Era::Modern], Asked::ListResources(Resources::Templates)),
    ("resources/read", &[Era::Legacy, Era::Modern], Asked::Ask(Action::Read)),
    ("resources/subscribe", &[Era::Legacy], Asked::Ask(Action::Subscribe)),
    ("resources/unsubscribe", &[Era::Legacy], Asked::Unsubscribe),
    ("completion/complete", &[Era::Legacy, Era::Modern], Asked::Ask(Action::Complete)),
    ("logging/setLevel", &[Era::Legacy], Asked::SetLevel),
    ("subscriptions/listen", &[Era::Modern], Asked::Listen),
];

async fn answer(
    gateway: Shared,
    known: Known,
    at: Address,
    conversation: Conversation,
    running: Running,
    request: Request,
) -> Response {
    let (id, era) = (request.id.clone(), conversation.era());
    let asked = METHODS.iter().find(|(name, eras, _)| *name == request.method && eras.contains(&era));
    let answered = match asked.map(|(_, _, asked)| asked) {
        Some(Asked::Ping) => Ok(result::of(era, &id, &Json::Object(Object::new()))),
        Some(Asked::Discover) => modern::discover(&gateway, &at, &request),
        Some(Asked::ListTools) => list::list(&gateway, &known, &at, era, &request).await,
        Some(Asked::CallTool) => call::call(gateway, known, at, conversation, running, request).await,
        Some(Asked::ListPrompts) => prompts::list(&gateway, &known, &at, era, &request).await,
        Some(Asked::ListResources(of)) => resources::list(&gateway, &known, (&at, *of), era, &request).await,
        Some(Asked::Ask(action)) => {
            ask::answer(gateway, known, at, conversation, running, request, *action).await
        }
        Some(Asked::SetLevel) => logging::set_level(&gateway, &at, &running, &request),
        Some(Asked::Unsubscribe) => ask::unsubscribe(&gateway, &at, &running, &request),
        Some(Asked::Listen) => listen::alone(gateway, &known, at, conversation, &request).await,
        None => Err(Slug::MethodUnknown.into()),
    };
    answered.unwrap_or_else(|refusal| refusal.answer(era, Some(&id)))
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
