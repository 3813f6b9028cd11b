//! MCP over streamable HTTP (MCP 2025-11-25, basic/transports, "Streamable HTTP"; 2026-07-28, the same), as a client. In
//! the legacy era it is a session; in the modern one there is none, nothing is listened to but what was posted for, and
//! what is closed is cancelled.
//!
//! Connections are driven directly, because clients with a pool send a request again by themselves when a
//! connection turns out to be closed (R5). Redirects are not followed, and nothing of a caller's request is
//! in ours but what [`crate::forward`] wrote.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use terms::revision::Era;
use terms::{Ambient, Boottime, Millis, Revision, Secret};
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::answer::{Answer, Fault};
use crate::config::{Http, Timeouts};
use crate::message::{Heard, Request, RequestId, hear};
use crate::opened::Opened;
use crate::question::Unanswered;
use crate::transport::said::Said;
use crate::transport::sse::Events;
use crate::transport::{
    Awaited, Beside, Broken, FORBIDDEN, LONGEST, Notices, Pending, UNHEARD, UNSUBSCRIBED, UNWATCHED,
};
use crate::watch::Watches;
use crate::{mirror, modern};

/// Bytes of one answer with everything that may come before it in its stream.
const LONGEST_STREAM: usize = 4 * LONGEST;

/// Bytes of one event on a stream that has no end.
const LONGEST_NOTICE: usize = 1 << 20;

/// A connection that was not used for this long is not used again: many servers close theirs after 5 s, and
/// a request that meets that moment would be lost.
const FRESH: Millis = Millis::new(4000);

/// Unused connections kept.
const KEPT: usize = 32;

/// Replies to what the upstream asks us, under way at once; more are dropped.
const REPLIES: usize = 16;

/// Bytes of a response's head.
const LONGEST_HEAD: usize = 64 << 10;

/// Bytes of a body that says why a request is refused.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Bytes of a session's id.
const LONGEST_ID: usize = 512;

/// What is read after an answer, and for how long, to use the connection again.
const LONGEST_REST: usize = 64 << 10;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Names the session.
pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// Names the revision that was settled.
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

type Body = Full<Bytes>;

/// One address, and connections to it.
pub struct Endpoint {
    uri: Uri,
    fixed: HeaderMap,
    /// The credential, and what of it follows its scheme (RFC 9110, 11.4).
    secrets: Vec<Secret<String>>,
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<Vec<(SendRequest<Body>, Boottime)>>,
    timeouts: Timeouts,
    ambient: Arc<dyn Ambient>,
}

impl Endpoint {
    /// Checks the address and the credential.
    ///
    /// # Errors
    /// What is wrong with them, and what to write instead.
    pub fn new(http: &Http, timeouts: Timeouts, ambient: Arc<dyn Ambient>) -> Result<Self, String> {
        let uri: Uri = http.url.parse().map_err(|e| format!("url {:?}: {e}", http.url))?;
        let host = match (uri.scheme_str(), uri.authority()) {
            (Some("https"), Some(authority)) => authority,
            (Some("http"), Some(authority)) if is_loopback(authority.host()) => authority,
            (Some("http"), Some(_)) => {
                return Err("plain http is for this machine only: use https".to_owned());
            }
            (Some(_) | None, _) => return Err(format!("url {:?} is not an https address", http.url)),
        };
        if host.as_str().contains('@') {
            return Err("the url holds a user or password: use `credential`".to_owned());
        }
        let mut fixed = HeaderMap::new();
        let host = HeaderValue::from_str(host.as_str()).map_err(|e| format!("url: {e}"))?;
        fixed.insert(HOST, host);
        fixed.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fixed.insert(USER_AGENT, HeaderValue::from_static(concat!("stepup/", env!("CARGO_PKG_VERSION"))));
        if let Some(credential) = &http.credential {
            let name: HeaderName =
                credential.header.parse().map_err(|e| format!("credential header: {e}"))?;
            if name.as_str().starts_with(mirror::RESERVED) {
                return Err("the credential's header is one that MCP has for itself".to_owned());
            }
            let mut value = HeaderValue::from_str(credential.value.expose())
                .map_err(|_| "the credential cannot be sent in a header".to_owned())?;
            value.set_sensitive(true);
            if fixed.insert(name, value).is_some() {
                return Err("the credential's header is one that stepup sets itself".to_owned());
            }
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeouts.connect.duration()));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let secrets = http.credential.as_ref().map(|credential| {
            let whole = credential.value.expose();
            let parts = [Some(whole.as_str()), whole.split_once(' ').map(|(_, token)| token)];
            parts.into_iter().flatten().map(|part| Secret::new(part.to_owned())).collect()
        });
        let secrets = secrets.unwrap_or_default();
        Ok(Self { uri, fixed, secrets, connector, idle: Mutex::default(), timeouts, ambient })
    }

    /// A connection on which a request can be written now: a fresh enough unused one, or a new one.
    ///
    /// # Errors
    /// [`Fault::Unreachable`] where there is none within the time to connect.
    pub async fn connection(&self) -> Result<SendRequest<Body>, Fault> {
        if let Some(connection) = self.kept() {
            return Ok(connection);
        }
        let connecting = async {
            let io = self.connector.clone().call(self.uri.clone()).await.map_err(|_| Fault::Unreachable)?;
            let mut builder = Builder::new();
            builder.max_buf_size(LONGEST_HEAD);
            let (mut sender, connection) = builder.handshake(io).await.map_err(|_| Fault::Unreachable)?;
            tokio::spawn(async move {
                // How it ends is told to whoever waits on it.
                let _ = connection.await;
            });
            sender.ready().await.map_err(|_| Fault::Unreachable)?;
            Ok(sender)
        };
        let connected = tokio::time::timeout(self.timeouts.connect.duration(), connecting).await;
        connected.unwrap_or(Err(Fault::Unreachable))
    }

    fn kept(&self) -> Option<SendRequest<Body>> {
        let now = self.ambient.boottime();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| connection.is_ready() && now.since(*since) < FRESH);
        idle.pop().map(|(connection, _)| connection)
    }

    /// A request of MCP to this very address, with the headers that every request to it has.
    #[must_use]
    pub fn request(&self, method: Method, body: Bytes) -> HttpRequest<Body> {
        let accept = if method == Method::POST { EITHER } else { EVENTS };
        let json = method == Method::POST;
        let here = self.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        let mut request = self.blank(method, here, body);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, accept);
        if json {
            headers.insert(CONTENT_TYPE, JSON);
        }
        request
    }

    /// A request in origin form (RFC 9112, 3.2.1), with nothing but what every request to this place has.
    pub(crate) fn blank(&self, method: Method, to: Uri, body: Bytes) -> HttpRequest<Body> {
        let mut request = HttpRequest::new(Full::new(body));
        *request.method_mut() = method;
        // `Host` is among the fixed headers.
        *request.uri_mut() = to;
        request.headers_mut().extend(self.fixed.clone());
        request
    }

    /// Host and port as they are configured.
    pub(crate) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }

    /// Path and query as they are configured.
    pub(crate) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str)
    }

    pub(crate) fn ambient(&self) -> &dyn Ambient {
        self.ambient.as_ref()
    }

    /// Reads the little that may be left of a body, so that its connection can be used again.
    pub async fn finish(self: Arc<Self>, connection: SendRequest<Body>, mut body: Incoming) {
        let rest = async {
            let mut left = LONGEST_REST;
            while let Some(Ok(frame)) = body.frame().await {
                left = left.checked_sub(frame.data_ref().map_or(0, Bytes::len))?;
            }
            Some(())
        };
        if let Ok(Some(())) = tokio::time::timeout(PATIENCE, rest).await {
            self.keep(connection);
        }
    }

    /// The same of a body that was read to its end: that its connection knows so is a moment later.
    pub fn spare(self: Arc<Self>, mut connection: SendRequest<Body>) {
        if connection.is_ready() {
            return self.keep(connection);
        }
        tokio::spawn(async move {
            if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, connection.ready()).await {
                self.keep(connection);
            }
        });
    }

    /// Keeps a connection whose last response was read to its end.
    pub fn keep(&self, connection: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_ready() && idle.len() < KEPT {
            idle.push((connection, self.ambient.boottime()));
        }
    }
}

/// `localhost`, `127.0.0.0/8` or `[::1]`.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One MCP session with an upstream, or what stands for one in the modern era. Dropping it ends the session there, as far
/// as the upstream listens.
pub(crate) struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Arc<Endpoint>,
    notices: Arc<Notices>,
    /// Whether it is a session. Until that is known, it is none.
    legacy: AtomicBool,
    /// What the upstream named the session, if it did.
    id: OnceLock<HeaderValue>,
    /// The revision that `initialize` settled.
    version: OnceLock<HeaderValue>,
    lost: AtomicBool,
    /// Whether it ever had a stream of its own.
    streamed: AtomicBool,
    /// Whether all calls are those of one session of a caller's.
    one_session: AtomicBool,
    pending: Pending,
    replies: Semaphore,
    watches: Watches,
    opened: Opened,
    said: Said,
}

impl Session {
    pub(crate) fn new(endpoint: Arc<Endpoint>, notices: Arc<Notices>) -> Self {
        let said = Said::new(endpoint.secrets.clone());
        let shared = Shared {
            endpoint,
            notices,
            legacy: AtomicBool::new(false),
            id: OnceLock::new(),
            version: OnceLock::new(),
            lost: AtomicBool::new(false),
            streamed: AtomicBool::new(false),
            one_session: AtomicBool::new(false),
            pending: Pending::default(),
            replies: Semaphore::new(REPLIES),
            watches: Watches::default(),
            opened: Opened::default(),
            said,
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn alive(&self) -> bool {
        !self.shared.lost.load(Ordering::Acquire)
    }

    pub(crate) fn speak(&self, era: Era) {
        self.shared.legacy.store(era == Era::Legacy, Ordering::Release);
    }

    pub(crate) fn is_of_one_session(&self) {
        self.shared.one_session.store(true, Ordering::Release);
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.shared.notices
    }

    /// What was asked to be opened over it.
    pub(crate) fn opened(&self) -> &Opened {
        &self.shared.opened
    }

    /// What is watched over it.
    pub(crate) fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    /// What it was handed that is struck out of what it logs.
    pub(crate) fn said(&self) -> &Said {
        &self.shared.said
    }

    /// `initialize` is over: from now on the revision is named, and no other session id is taken.
    pub(crate) fn settled(&self, revision: Revision) -> Option<()> {
        self.shared.version.set(HeaderValue::from_static(revision.name())).ok()
    }

    pub(crate) async fn slot(&self) -> Result<Slot, Fault> {
        if !self.alive() {
            return Err(Fault::Unreachable);
        }
        let connection = self.shared.endpoint.connection().await?;
        Ok(Slot { connection, shared: Arc::clone(&self.shared) })
    }

    /// Ends the session at the upstream, which need not know how.
    pub(crate) async fn close(&self) {
        if !self.shared.lost.swap(true, Ordering::AcqRel) && self.shared.id.get().is_some() {
            let within = self.shared.endpoint.timeouts.close.duration();
            let deleting = Arc::clone(&self.shared).exchange(Method::DELETE, Bytes::new());
            let _ = tokio::time::timeout(within, deleting).await;
        }
    }

    /// Listens to what the upstream says unasked, until it ends the stream, and says when that has begun. A fault where it has
    /// no such stream.
    pub(crate) async fn listen(&self, begun: impl FnOnce()) -> Result<(), Fault> {
        Arc::clone(&self.shared).listen(begun).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Ok(runtime), Some(_)) = (tokio::runtime::Handle::try_current(), self.shared.id.get()) else {
            return;
        };
        if !self.shared.lost.swap(true, Ordering::AcqRel) {
            let within = self.shared.endpoint.timeouts.close.duration();
            let deleting = Arc::clone(&self.shared).exchange(Method::DELETE, Bytes::new());
            runtime.spawn(tokio::time::timeout(within, deleting));
        }
    }
}

/// A connection on which one request can be written.
pub(crate) struct Slot {
    connection: SendRequest<Body>,
    shared: Arc<Shared>,
}

impl Slot {
    /// Hands the request to the connection, which writes it: once, or not at all, and not before this task waits.
    pub(crate) async fn send(mut self, request: Request, beside: Beside) -> Result<Waiting, Broken> {
        let (id, post) = self.shared.post(request);
        let (of, shared, endless) = (id.clone(), Arc::clone(&self.shared), beside.is_subscription());
        shared.pending.insert(id.clone(), Awaited { answer: None, beside });
        let responding = self.connection.try_send_request(post);
        let answering = Box::pin(async move {
            let response = responding.await.map_err(|mut error| match error.take_message() {
                // Hyper hands back what it has not begun to write.
                Some(_) => Broken::unsent(Fault::Unreachable),
                None => Broken::sent(fault(&error.into_error())),
            })?;
            let mut reading = Reading { id, endless, connection: Some(self.connection), shared: self.shared };
            reading.answer(response).await.map_err(Broken::sent)
        });
        Ok(Waiting { id: of, shared, answering })
    }

    pub(crate) async fn tell(mut self, text: String) -> Result<(), Broken> {
        let post = self.shared.request(Method::POST, Bytes::from(text));
        let response = self.connection.send_request(post).await.map_err(|e| Broken::sent(fault(&e)))?;
        let status = response.status();
        tokio::spawn(Arc::clone(&self.shared.endpoint).finish(self.connection, response.into_body()));
        if status.is_success() { Ok(()) } else { Err(Broken::sent(Fault::Status(status.as_u16()))) }
    }
}

/// A request that is handed over. Dropping it closes its connection, and gives the answer up.
pub(crate) struct Waiting {
    id: RequestId,
    shared: Arc<Shared>,
    answering: Pin<Box<dyn Future<Output = Result<Answer, Broken>> + Send>>,
}

impl Waiting {
    pub(crate) async fn answer(mut self) -> Result<Answer, Broken> {
        let answer = (&mut self.answering).await;
        // What was answered, or never written, does not run there any more.
        if answer.as_ref().map_or_else(|broken| !broken.sent, |_| true) {
            self.shared.pending.take(&self.id);
        }
        answer
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.pending.give_up(&self.id);
    }
}

/// What a connection's error means for a request that was begun.
pub(crate) fn fault(error: &hyper::Error) -> Fault {
    use std::error::Error as _;
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    // A head that is none hyper calls a parse error, chunks that are none an error of what it reads.
    let read = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let no_chunks = read.is_some_and(|error| matches!(error.kind(), InvalidData | InvalidInput));
    if error.is_parse() || no_chunks { Fault::Invalid } else { Fault::Closed }
}

impl Shared {
    fn request(&self, method: Method, body: Bytes) -> HttpRequest<Body> {
        let mut request = self.endpoint.request(method, body);
        let version = match self.era() {
            Era::Legacy => self.version.get().cloned(),
            Era::Modern => Some(HeaderValue::from_static(Revision::NEWEST_MODERN.name())),
        };
        let session = [(SESSION, self.id.get().cloned()), (VERSION, version)];
        for (name, value) in session {
            if let Some(value) = value {
                request.headers_mut().insert(name, value);
            }
        }
        request
    }

    fn era(&self) -> Era {
        if self.legacy.load(Ordering::Acquire) { Era::Legacy } else { Era::Modern }
    }

    /// One request of ours with all that its headers say.
    fn post(&self, request: Request) -> (RequestId, HttpRequest<Body>) {
        let Request { id, text, inert, headers } = request;
        let mut post = self.request(Method::POST, Bytes::from(text));
        for (name, value) in headers {
            post.headers_mut().insert(name, value);
        }
        for (name, value) in inert.headers() {
            // A header that the operator configured is ours, whatever its name.
            post.headers_mut().entry(name).or_insert(value);
        }
        (id, post)
    }

    /// One request whose answer is of no use beyond its head.
    async fn exchange(self: Arc<Self>, method: Method, body: Bytes) -> Result<Response<Incoming>, Fault> {
        let mut connection = self.endpoint.connection().await?;
        connection.send_request(self.request(method, body)).await.map_err(|e| fault(&e))
    }

    async fn listen(self: Arc<Self>, begun: impl FnOnce()) -> Result<(), Fault> {
        let response = Arc::clone(&self).exchange(Method::GET, Bytes::new()).await?;
        if self.streamed.load(Ordering::Acquire) {
            // Of one that never had such a stream it says only that: some have no GET at all.
            self.look_for_loss(response.status());
        }
        if response.status() != StatusCode::OK || kind(response.headers()) != Some(Kind::Events) {
            return Err(Fault::Status(response.status().as_u16()));
        }
        self.streamed.store(true, Ordering::Release);
        begun();
        let mut events = Events::new(LONGEST_NOTICE);
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(piece) = frame.data_ref() else { continue };
            if events.feed(piece, |data| self.unasked(data)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// What is said on the stream of a session. Where all calls are those of one caller's, it may be of one of them, by the rule
    /// of a child's stream.
    fn unasked(self: &Arc<Self>, data: &[u8]) {
        if !self.one_session.load(Ordering::Acquire) {
            return self.notice(data);
        }
        let taken = match hear(data, self.era()) {
            Ok(Heard::Question(asked)) => {
                self.pending.ask(asked, self.back());
                true
            }
            Ok(Heard::Note(note)) => self.pending.note(note.struck(&self.said), true),
            Ok(Heard::Progress(id, progress)) => self.pending.told(&id, progress),
            Ok(_) | Err(_) => false,
        };
        if !taken {
            self.notice(data);
        }
    }

    /// Posts one reply.
    fn back(self: &Arc<Self>) -> impl FnOnce(String) + Send + use<> {
        let shared = Arc::clone(self);
        move |reply| shared.reply(reply)
    }

    /// What is no answer: notices and requests of the upstream.
    fn notice(self: &Arc<Self>, data: &[u8]) {
        match hear(data, self.era()) {
            Ok(Heard::Asked(reply)) => self.reply(reply),
            // On a stream of no call, or in the place of another's answer.
            Ok(Heard::Question(asked)) => self.reply(asked.unanswered(Unanswered::Unattributed)),
            Ok(Heard::Forbidden) => self.notices.dropped(FORBIDDEN),
            Ok(Heard::ListChanged(lists, None)) => self.notices.list_changed(lists),
            Ok(
                Heard::ListChanged(_, Some(_))
                | Heard::UpdatedOn(_)
                | Heard::Acknowledged(..)
                | Heard::Ended(_),
            ) => {
                self.notices.dropped(UNSUBSCRIBED);
            }
            Ok(Heard::Answer(..)) => {
                self.notices.dropped("an answer to nothing that is asked: late, twice or foreign")
            }
            Ok(Heard::Progress(..)) => self.notices.dropped("progress that nobody listens for"),
            Ok(Heard::Completed(id)) => {
                if !self.opened.completed(&id) {
                    self.notices.dropped(UNHEARD);
                }
            }
            Ok(Heard::Updated(uri)) => {
                if !self.watches.updated(&uri) {
                    self.notices.dropped(UNWATCHED);
                }
            }
            // On a stream of no call it is nobody's.
            Ok(Heard::Note(_)) => self.notices.dropped(UNHEARD),
            Ok(Heard::Ignored) => self.notices.dropped("a notification"),
            Err(_) => self.notices.dropped("an event that is no message"),
        }
    }

    fn reply(self: &Arc<Self>, reply: String) {
        if self.replies.available_permits() == 0 {
            self.notices.dropped("a request, because too many came at once");
            return;
        }
        let shared = Arc::clone(self);
        // A question that nobody answers any more may be dropped where nothing runs.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let Ok(_one) = shared.replies.acquire().await else { return };
            let within = shared.endpoint.timeouts.connect.duration();
            let posting = Arc::clone(&shared).exchange(Method::POST, Bytes::from(reply));
            let _ = tokio::time::timeout(within, posting).await;
        });
    }

    /// A session that the upstream does not know any more is lost; the next link begins another. Servers
    /// should say so with 404, and some say 400, for which a request of ours gives no other reason.
    fn look_for_loss(&self, status: StatusCode) {
        let unknown = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        if unknown && self.id.get().is_some() {
            self.lost.store(true, Ordering::Release);
        }
    }

    /// Takes the session's id from the answer to `initialize`.
    fn name(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let greeting = self.era() == Era::Legacy && self.version.get().is_none();
        let Some(id) = headers.get(&SESSION).filter(|_| greeting) else { return Ok(()) };
        let visible = id.as_bytes().iter().all(|byte| (0x21..=0x7e).contains(byte));
        if !visible || id.is_empty() || id.len() > LONGEST_ID {
            return Err(Fault::Invalid);
        }
        // It names a session and proves nothing; still it is nobody's business.
        let mut id = id.clone();
        id.set_sensitive(true);
        self.id.set(id).map_err(|_| Fault::Invalid)
    }
}

/// What a response's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One JSON text.
    Json,
    /// A stream of events.
    Events,
}

/// What the headers of a response say of its body; `None` for anything else.
#[must_use]
pub fn kind(headers: &HeaderMap) -> Option<Kind> {
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let media = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    let kind = match media.as_str() {
        "application/json" => Kind::Json,
        "text/event-stream" => Kind::Events,
        _ => return None,
    };
    plain.then_some(kind)
}

/// A whole body, of so many bytes at most.
async fn whole(mut body: Incoming, longest: usize) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| fault(&e))?;
        let Some(piece) = frame.data_ref() else { continue };
        if text.len() + piece.len() > longest {
            return Err(Fault::Invalid);
        }
        text.extend_from_slice(piece);
    }
    Ok(text)
}

/// Reads the response to one request.
struct Reading {
    id: RequestId,
    /// Whether it is a subscription, which has no end; of each of its events only so much is read.
    endless: bool,
    connection: Option<SendRequest<Body>>,
    shared: Arc<Shared>,
}

impl Reading {
    async fn answer(&mut self, response: Response<Incoming>) -> Result<Answer, Fault> {
        let status = response.status();
        match self.shared.era() {
            Era::Legacy => self.shared.look_for_loss(status),
            Era::Modern if status.is_client_error() => return self.refusal(response).await,
            Era::Modern => {}
        }
        if !status.is_success() {
            return Err(Fault::Status(status.as_u16()));
        }
        self.shared.name(response.headers())?;
        match kind(response.headers()) {
            Some(Kind::Json) => self.json(response.into_body()).await,
            Some(Kind::Events) => self.events(response.into_body()).await,
            None => Err(Fault::Invalid),
        }
    }

    /// What the modern era refuses under a status of the 400s it says in a body (streamable HTTP, "Server Validation"). A
    /// status without such a body is all that was said.
    async fn refusal(&mut self, response: Response<Incoming>) -> Result<Answer, Fault> {
        let status = response.status();
        let said = match kind(response.headers()) {
            Some(Kind::Json) => whole(response.into_body(), LONGEST_REFUSAL).await.unwrap_or_default(),
            Some(Kind::Events) | None => Vec::new(),
        };
        match hear(&said, Era::Modern) {
            Ok(Heard::Answer(id, Some(answer @ Answer::Error { .. }))) if id == self.id => return Ok(answer),
            Ok(_) | Err(_) => {}
        }
        Err(modern::refusal(&said).map_or(Fault::Status(status.as_u16()), Fault::Form))
    }

    async fn json(&mut self, body: Incoming) -> Result<Answer, Fault> {
        let text = whole(body, LONGEST).await?;
        let heard = self.hear(&text);
        if let Some(connection) = self.connection.take() {
            self.shared.endpoint.keep(connection);
        }
        heard.unwrap_or(Err(Fault::Invalid))
    }

    async fn events(&mut self, mut body: Incoming) -> Result<Answer, Fault> {
        let endless = self.endless;
        let mut events = Events::new(if endless { LONGEST_NOTICE } else { LONGEST });
        let mut read = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| fault(&e))?;
            let Some(piece) = frame.data_ref() else { continue };
            read = read.saturating_add(piece.len());
            if read > LONGEST_STREAM && !endless {
                return Err(Fault::Invalid);
            }
            let mut answer = None;
            let fed = events.feed(piece, |data| answer = answer.take().or_else(|| self.hear(data)));
            if let Some(answer) = answer {
                if let Some(connection) = self.connection.take() {
                    tokio::spawn(Arc::clone(&self.shared.endpoint).finish(connection, body));
                }
                return answer;
            }
            // What of a subscription cannot be read ends it, and another may go well.
            fed.map_err(|_| if endless { Fault::Closed } else { Fault::Invalid })?;
        }
        Err(Fault::Closed)
    }

    /// Whether it is of this subscription, and taken.
    fn subscribed(&self, heard: &Heard) -> bool {
        let Shared { pending, watches, notices, .. } = &*self.shared;
        if let Heard::Acknowledged(id, told) = heard {
            return *id == self.id && pending.subscribed(id, |changes| changes.acknowledge(told));
        }
        if let Heard::UpdatedOn(id) = heard {
            return *id == self.id && pending.subscribed(id, |changes| changes.updated(watches));
        }
        let Heard::ListChanged(lists, Some(id)) = heard else { return false };
        let hears = *id == self.id && pending.subscribed(id, |changes| changes.hears_lists());
        if hears {
            notices.list_changed(*lists);
        }
        hears
    }

    /// The answer, if this message is the one.
    fn hear(&mut self, data: &[u8]) -> Option<Result<Answer, Fault>> {
        match hear(data, self.shared.era()) {
            // It ends the subscription without an answer.
            Ok(Heard::Ended(id)) if id == self.id && self.endless => Some(Err(Fault::Closed)),
            Ok(heard) if self.subscribed(&heard) => None,
            Ok(Heard::Answer(id, answer)) if id == self.id => Some(answer.ok_or(Fault::Invalid)),
            Ok(Heard::Progress(id, progress)) if id == self.id => {
                if !self.shared.pending.told(&id, progress) {
                    self.shared.notices.dropped("progress that nobody listens for");
                }
                None
            }
            Ok(Heard::Note(note)) => {
                if !self.shared.pending.note_within(&self.id, note.struck(&self.shared.said)) {
                    self.shared.notices.dropped(UNHEARD);
                }
                None
            }
            Ok(Heard::Question(asked)) => {
                self.shared.pending.ask_within(&self.id, asked, self.shared.back());
                None
            }
            Ok(_) | Err(_) => {
                self.shared.notice(data);
                None
            }
        }
    }
}
