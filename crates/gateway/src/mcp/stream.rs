//! The way back to one client: one JSON answer, or a stream of events that ends with the answer (MCP
//! 2025-11-25, transports). A client that goes away stops nothing that was sent: the work goes on without it, and
//! this is how the work knows whether anyone still listens.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use terms::json::Object;
use terms::revision::Era;
use terms::{Json, Slug};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use tracing::instrument::Instrumented;
use upstream::{Inert, Progress};

use crate::answer::{self, Refusal};
use crate::mcp::Structured;
use crate::mcp::envelope::Id;
use crate::mcp::result;

/// Messages that may wait for a slow reader; beyond that, notices of progress are left out.
const ROOM: usize = 16;

/// What is said to the client. A channel has room for 32 of what it carries from the start, for each call that waits: so it
/// carries these boxed.
enum Said {
    /// A notice that more is to come.
    Notice(String),
    /// A question or a word of its upstream's, which only a stream carries.
    Carried(String),
    /// The answer, which is the last.
    Answer(String),
    /// The answer that the request is not one that can be answered: under a status of its own, where it has one.
    Refused(String),
}

/// The work's end.
pub(crate) struct Client {
    id: Id,
    era: Era,
    progress: Option<Arc<Token>>,
    inert: Inert,
    said: mpsc::Sender<Box<Said>>,
}

/// Tells the same client how far its call is, beside whoever waits for what else it says.
pub(crate) struct Aside {
    progress: Option<Arc<Token>>,
    said: mpsc::Sender<Box<Said>>,
}

/// Room for one notice to a client.
pub(crate) struct Room<'a> {
    progress: Option<&'a Token>,
    room: mpsc::Permit<'a, Box<Said>>,
}

/// The name under which a caller listens for progress.
struct Token {
    token: Id,
    told: Mutex<Told>,
}

/// How far it was told so far, if it was: that only ever rises (MCP, progress), from wherever an upstream begins, 0 as
/// well.
#[derive(Default)]
struct Told {
    last: Option<f64>,
    /// How much of it was our own words, which its upstream does not count.
    ours: f64,
}

impl Token {
    /// Our own words, one further than the last.
    fn waits(&self, message: &str) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.ours += 1.0;
        let next = told.last.unwrap_or(0.0) + 1.0;
        self.notice(&mut told, next, None, Some(message))
    }

    /// How far its upstream says that it is.
    fn goes(&self, Progress { progress, total, message }: &Progress) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = told.ours;
        self.notice(&mut told, ours + progress, total.map(|total| ours + total), message.as_deref())
    }

    /// The notice that it is so far; `None` where that does not rise.
    fn notice(
        &self,
        told: &mut Told,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Option<String> {
        if told.last.is_some_and(|last| progress <= last) {
            return None;
        }
        let number = |n: f64| terms::json::parse(n.to_string().as_bytes()).ok();
        let mut params = Object::new();
        params.insert("progressToken", self.token.json());
        params.insert("progress", number(progress)?);
        if let Some(total) = total.and_then(number) {
            params.insert("total", total);
        }
        if let Some(message) = message {
            params.insert("message", message);
        }
        told.last = Some(progress);
        Some(notification("notifications/progress", params))
    }
}

/// A notice, as JSON on one line.
fn notification(method: &str, params: Object) -> String {
    let members = [("jsonrpc", Json::from("2.0")), ("method", Json::from(method))];
    Json::object(members.into_iter().chain([("params", Json::Object(params))])).text()
}

/// The connection's end.
pub(crate) struct Ear {
    id: Id,
    era: Era,
    streams: bool,
    /// What was heard already.
    first: Option<Said>,
    heard: mpsc::Receiver<Box<Said>>,
}

/// Both ends of the way back for one request. With a token for progress it is a stream of events.
pub(crate) fn between(era: Era, id: Id, progress: Option<Id>, inert: Inert) -> (Client, Ear) {
    let (said, heard) = mpsc::channel(ROOM);
    let streams = progress.is_some();
    let progress = progress.map(|token| Arc::new(Token { token, told: Mutex::default() }));
    (Client { id: id.clone(), era, progress, inert, said }, Ear { id, era, streams, first: None, heard })
}

impl Client {
    /// The era that is spoken with it.
    pub(crate) const fn era(&self) -> Era {
        self.era
    }

    /// Whether the connection is gone.
    pub(crate) fn gone(&self) -> bool {
        self.said.is_closed()
    }

    /// Returns when the connection is gone.
    pub(crate) async fn left(&self) {
        self.said.closed().await;
    }

    /// Whether progress can be told.
    pub(crate) const fn listens(&self) -> bool {
        self.progress.is_some()
    }

    /// What it sent along with this request that goes upstream unjudged.
    pub(crate) fn inert(&self) -> Inert {
        self.inert.clone()
    }

    /// Tells that it goes on, in our own words. Where there is no room, that is left out.
    pub(crate) fn waiting(&self, message: &str) {
        if let Some(notice) = self.progress.as_deref().and_then(|token| token.waits(message)) {
            let _ = self.said.try_send(Box::new(Said::Notice(notice)));
        }
    }

    /// Somebody who tells of progress beside this.
    pub(crate) fn aside(&self) -> Aside {
        Aside { progress: self.progress.clone(), said: self.said.clone() }
    }

    /// Asks something of a client in a session, under an id of ours; the parameters are JSON on one line. Says whether
    /// somebody took it.
    pub(crate) async fn ask(&self, id: &Id, method: &str, params: Option<&str>) -> bool {
        let (id, method) = (id.json().text(), Json::from(method).text());
        let params = params.map(|params| format!(r#","params":{params}"#)).unwrap_or_default();
        let question = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method}{params}}}"#);
        self.said.send(Box::new(Said::Carried(question))).await.is_ok()
    }

    /// Gives the answer, a complete result written as JSON. Says whether somebody took it.
    pub(crate) async fn result(self, result: &str) -> bool {
        let text = answer::told(&self.id, "result", &result::complete(self.era, result));
        self.said.send(Box::new(Said::Answer(text))).await.is_ok()
    }

    /// Gives an answer that is not the last word on the call, written as JSON in the client's era.
    pub(crate) async fn incomplete(self, result: &str) -> bool {
        let text = answer::told(&self.id, "result", result);
        self.said.send(Box::new(Said::Answer(text))).await.is_ok()
    }

    /// Tells that it did not run, in the form that it is told in.
    pub(crate) async fn stopped(self, form: Structured, told: &str) -> bool {
        match form {
            Structured::Free | Structured::BySchema => self.result(told).await,
            Structured::Error => self.error(told).await,
        }
    }

    /// Gives the answer that it is the request that is wrong, an error written as JSON.
    pub(crate) async fn refused(self, error: &str) -> bool {
        let text = answer::told(&self.id, "error", error);
        self.said.send(Box::new(Said::Refused(text))).await.is_ok()
    }

    /// Gives the answer, an error written as JSON.
    pub(crate) async fn error(self, error: &str) -> bool {
        let text = answer::told(&self.id, "error", error);
        self.said.send(Box::new(Said::Answer(text))).await.is_ok()
    }
}

impl Aside {
    /// Waits until one more notice can be told; `None` once nobody listens.
    pub(crate) async fn room(&self) -> Option<Room<'_>> {
        let room = self.said.reserve().await.ok()?;
        Some(Room { progress: self.progress.as_deref(), room })
    }

    /// Room for one more notice now.
    pub(crate) fn room_now(&self) -> Option<Room<'_>> {
        let room = self.said.try_reserve().ok()?;
        Some(Room { progress: self.progress.as_deref(), room })
    }
}

impl Room<'_> {
    /// Tells what its upstream said of it, a notification as JSON on one line. Whoever listens for that takes a stream.
    pub(crate) fn note(self, notification: String) {
        self.room.send(Box::new(Said::Carried(notification)));
    }

    /// Tells how far it is. What does not rise is left out.
    pub(crate) fn progress(self, progress: &Progress) {
        if let Some(notice) = self.progress.and_then(|token| token.goes(progress)) {
            self.room.send(Box::new(Said::Notice(notice)));
        }
    }
}

/// What gives the answer.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that is done where its answer is waited for, which spares every call the hop to another task; once nobody
/// waits there any more, it goes on in a task of its own.
struct GoesOn(Option<Instrumented<Work>>);

impl GoesOn {
    fn new(work: Work) -> Self {
        Self(Some(work.in_current_span()))
    }

    fn apart(mut self) {
        self.0.take().map(tokio::spawn);
    }
}

impl Future for GoesOn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let done = self.0.as_mut().is_none_or(|work| Pin::new(work).poll(context).is_ready());
        if done {
            self.0 = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        // Work that panicked is over.
        if let (Some(work), false, Ok(runtime)) =
            (self.0.take(), std::thread::panicking(), Handle::try_current())
        {
            runtime.spawn(work);
        }
    }
}

impl Ear {
    /// The response to what the work says: at once for a stream, with the answer otherwise.
    pub(crate) async fn response(mut self, keep_alive: Duration, work: Work) -> Response {
        let mut work = GoesOn::new(work);
        if self.streams {
            work.apart();
            return stream(self, keep_alive);
        }
        let said = tokio::select! {
            biased;
            said = self.said() => said,
            () = &mut work => self.said().await,
        };
        match said {
            Some(Said::Answer(text)) => answer::json(StatusCode::OK, &text),
            Some(Said::Refused(text)) => answer::json(StatusCode::BAD_REQUEST, &text),
            Some(question) => {
                work.apart();
                self.first = Some(question);
                stream(self, keep_alive)
            }
            None => broken().answer(self.era, Some(&self.id)),
        }
    }

    /// The answer or a question, once it is there; `None` where there will be none.
    async fn said(&mut self) -> Option<Said> {
        loop {
            match *self.heard.recv().await? {
                Said::Notice(_) => {}
                said @ (Said::Answer(_) | Said::Refused(_) | Said::Carried(_)) => return Some(said),
            }
        }
    }

    /// What is said next on a stream.
    async fn next(&mut self) -> Option<Said> {
        match self.first.take() {
            Some(said) => Some(said),
            None => self.heard.recv().await.map(|said| *said),
        }
    }
}

/// The work ended without an answer, which only a bug does: whatever it held was settled when it was dropped.
fn broken() -> Refusal {
    Refusal::from(Slug::Busy)
}

/// Where a stream is.
enum At {
    Start(Ear),
    Open(Ear),
    End,
}

fn stream(ear: Ear, keep_alive: Duration) -> Response {
    events(futures_util::stream::unfold(At::Start(ear), move |at| async move {
        Some(match at {
            // So that the client has the headers at once.
            At::Start(ear) => (OPEN.to_owned(), At::Open(ear)),
            At::Open(ear) => event(ear, keep_alive).await,
            At::End => return None,
        })
    }))
}

/// A response of server-sent events; each text is one of them, or a comment.
pub(super) fn events(texts: impl futures_util::Stream<Item = String> + Send + 'static) -> Response {
    let bytes = texts.map(|text| Ok::<_, Infallible>(Bytes::from(text)));
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The comment with which a stream opens, and the one that keeps it open.
pub(super) const OPEN: &str = ": open\n\n";
pub(super) const STILL_HERE: &str = ": still here\n\n";

/// One message as an event. Every text is JSON on one line, so it is one `data` field.
pub(super) fn message(text: &str) -> String {
    format!("event: message\ndata: {text}\n\n")
}

/// The next event.
async fn event(mut ear: Ear, keep_alive: Duration) -> (String, At) {
    match tokio::time::timeout(keep_alive, ear.next()).await {
        Err(_) => (STILL_HERE.to_owned(), At::Open(ear)),
        Ok(Some(Said::Notice(text) | Said::Carried(text))) => (message(&text), At::Open(ear)),
        Ok(Some(Said::Answer(text) | Said::Refused(text))) => (message(&text), At::End),
        Ok(None) => {
            let text = answer::told(&ear.id, "error", &broken().error().text());
            (message(&text), At::End)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn without_a_token_there_is_one_json_answer() {
        let (client, ear) = between(Era::Legacy, Id::Number(7), None, Inert::default());
        let work = Box::pin(async move {
            client.waiting("nobody hears this");
            assert!(client.result(r#"{"a":1.0}"#).await);
        });
        let response = ear.response(Duration::from_secs(15), work).await;
        assert_eq!(body(response).await, r#"{"jsonrpc":"2.0","id":7,"result":{"a":1.0}}"#);
    }

    /// What an upstream says of its progress.
    fn tell(client: &Client, progress: f64, total: Option<f64>) {
        client.aside().room_now().unwrap().progress(&Progress { progress, total, message: None });
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_never_silent_and_its_progress_only_rises() {
        let (client, ear) = between(Era::Legacy, Id::Number(7), Some(Id::Text("t".into())), Inert::default());
        let work = Box::pin(async move {
            client.waiting("waiting");
            // Not more than before.
            tell(&client, 0.0, None);
            tokio::time::sleep(Duration::from_secs(20)).await;
            tell(&client, 1.5, Some(3.0));
            assert!(client.result("{}").await);
        });
        let text = body(ear.response(Duration::from_secs(15), work).await).await;
        let expected = concat!(
            ": open\n\n",
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":",
            "{\"message\":\"waiting\",\"progress\":1,\"progressToken\":\"t\"}}\n\n",
            ": still here\n\n",
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":",
            "{\"progress\":2.5,\"progressToken\":\"t\",\"total\":4}}\n\n",
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n",
        );
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn an_upstream_that_begins_at_nothing_is_heard_from_there_and_once() {
        let token = Some(Id::Text("t".into()));
        let (client, ear) = between(Era::Legacy, Id::Number(7), token, Inert::default());
        let work = Box::pin(async move {
            for progress in [0.0, 0.0, 50.0] {
                tell(&client, progress, Some(100.0));
            }
            assert!(client.result("{}").await);
        });
        let text = body(ear.response(Duration::from_secs(15), work).await).await;
        let heard: Vec<_> = text.matches("\"progress\":0").chain(text.matches("\"progress\":50")).collect();
        assert_eq!(heard, ["\"progress\":0", "\"progress\":50"], "{text}");
    }

    #[tokio::test]
    async fn the_task_knows_when_nobody_listens_any_more() {
        let (client, ear) = between(Era::Legacy, Id::Number(7), None, Inert::default());
        assert!(!client.gone());
        drop(ear);
        client.left().await;
        assert!(client.gone());
        assert!(!client.result("{}").await);
    }

    #[tokio::test]
    async fn work_goes_on_when_its_client_leaves_and_after_its_answer_is_given() {
        for leaves in [true, false] {
            let (client, ear) = between(Era::Legacy, Id::Number(7), None, Inert::default());
            let (go, gone) = tokio::sync::oneshot::channel::<()>();
            let (done, finished) = tokio::sync::oneshot::channel();
            let work = Box::pin(async move {
                if leaves {
                    client.left().await;
                    drop(client);
                } else {
                    assert!(client.result("{}").await);
                }
                gone.await.unwrap();
                done.send(()).unwrap();
            });
            let response = ear.response(Duration::from_secs(15), work);
            let answered = tokio::time::timeout(Duration::from_millis(50), response).await;
            assert_eq!(answered.is_err(), leaves);
            go.send(()).unwrap();
            finished.await.unwrap();
        }
    }

    #[tokio::test]
    async fn work_that_dies_is_told_as_an_error_and_not_as_silence() {
        for token in [None, Some(Id::Number(1))] {
            let (client, ear) = between(Era::Legacy, Id::Number(7), token, Inert::default());
            let work = Box::pin(async move { drop(client) });
            assert!(body(ear.response(Duration::from_secs(15), work).await).await.contains("\"busy\""));
        }
    }
}
