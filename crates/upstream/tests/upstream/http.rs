//! Servers that do what none should (T24, T26, T32, T39; F35, F36).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elevation::Outcome;
use serde_json::Value;
use terms::{Json, Millis, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use upstream::{Along, Answer, Credential, Fault, Link, Transport, Unreachable, Upstreams, forward};

use crate::world::{SOON, World, becomes, ended, http, launcher, none, session, text};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub head: String,
    pub body: Value,
}

impl Arrived {
    pub fn is(&self, method: &str) -> bool {
        self.body["method"] == method
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        self.head.lines().find(named).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

/// What the server does about a request.
pub enum Does {
    /// Answers as a good server does.
    Well,
    /// Writes this and goes on with the connection.
    Writes(String),
    /// Writes this and closes the connection.
    WritesAndCloses(String),
    /// Writes this, and never anything again.
    WritesAndWaits(String),
    /// Writes this, and then the other without end.
    WritesOn(String, Vec<u8>),
    /// Writes this, and then the other without end, a byte at a time with pauses.
    Drips(String, &'static str),
    /// Writes bytes that are no text, and goes on with the connection.
    WritesBytes(Vec<u8>),
    /// Writes this, and resets the connection.
    Resets(String),
    /// Begins a stream of events, and writes each that it is told; it ends with who tells.
    Tells(broadcast::Receiver<String>),
}

pub struct Server {
    pub url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    closed: Arc<AtomicUsize>,
    flooded: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/mcp", listener.local_addr().unwrap().port());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let does = Arc::new(does);
        let (log, closed) = (Arc::clone(&arrived), Arc::<AtomicUsize>::default());
        let (counted, flooded) = (Arc::clone(&closed), Arc::<AtomicUsize>::default());
        let bytes = Arc::clone(&flooded);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let [counted, bytes] = [&counted, &bytes].map(Arc::clone);
                connections.spawn(serve(stream, Arc::clone(&does), Arc::clone(&log), counted, bytes));
            }
        });
        Self { url, arrived, closed, flooded, task }
    }

    /// One that does this about calls, and well about all else.
    pub async fn of_calls(does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) -> Self {
        Self::start(move |request| if request.is("tools/call") { does(request) } else { Does::Well }).await
    }

    /// How often a method arrived.
    pub fn count(&self, method: &str) -> usize {
        self.arrived.lock().unwrap().iter().filter(|arrived| arrived.is(method)).count()
    }

    /// How many connections were closed on which it had no more to say.
    pub fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    /// How many bytes of what has no end were taken from it.
    pub fn flooded(&self) -> usize {
        self.flooded.load(Ordering::Relaxed)
    }

    pub fn calls(&self) -> usize {
        self.count("tools/call")
    }

    pub fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

async fn serve<D: Fn(&Arrived) -> Does>(
    mut stream: TcpStream,
    does: Arc<D>,
    log: Arc<Mutex<Vec<Arrived>>>,
    closed: Arc<AtomicUsize>,
    flooded: Arc<AtomicUsize>,
) {
    while let Some(request) = read(&mut stream).await {
        log.lock().unwrap().push(request.clone());
        let (bytes, then) = match does(&request) {
            Does::Well => (well(&request).into_bytes(), Then::On),
            Does::Writes(text) => (text.into_bytes(), Then::On),
            Does::WritesBytes(bytes) => (bytes, Then::On),
            Does::WritesAndCloses(text) => (text.into_bytes(), Then::Close),
            Does::WritesAndWaits(text) => (text.into_bytes(), Then::Wait),
            Does::WritesOn(text, again) => (text.into_bytes(), Then::Flood(again)),
            Does::Drips(text, again) => (text.into_bytes(), Then::Drip(again)),
            Does::Resets(text) => (text.into_bytes(), Then::Reset),
            Does::Tells(told) => (STREAM.as_bytes().to_vec(), Then::Tell(told)),
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            Then::On => {}
            Then::Close => return,
            Then::Wait => {
                if let Ok(0) | Err(_) = stream.read(&mut [0; 64]).await {
                    closed.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            Then::Flood(again) => {
                let many = again.repeat(65536_usize.div_ceil(again.len()));
                while let Ok(n) = stream.write(&many).await {
                    flooded.fetch_add(n, Ordering::Relaxed);
                }
            }
            Then::Drip(again) => {
                for byte in again.as_bytes().iter().cycle() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            }
            Then::Tell(mut told) => loop {
                let closing = &mut [0; 64];
                let event = tokio::select! {
                    event = told.recv() => event,
                    _ = stream.read(closing) => {
                        closed.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                };
                let Ok(event) = event else { return };
                if stream.write_all(format!("id: 7\ndata: {event}\n\n").as_bytes()).await.is_err() {
                    return;
                }
            },
            Then::Reset => {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    }
}

enum Then {
    On,
    Close,
    Wait,
    Flood(Vec<u8>),
    Drip(&'static str),
    Tell(broadcast::Receiver<String>),
    Reset,
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

async fn read(stream: &mut TcpStream) -> Option<Arrived> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    assert_eq!(bytes.len(), end + length.unwrap_or(0), "nothing follows a request: {head}");
    let body = serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null);
    Some(Arrived { head, body })
}

pub fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

pub fn json(id: &Value, rest: &str) -> String {
    response(
        "200 OK",
        "content-type: application/json\r\n",
        &format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#),
    )
}

pub const GREETING: &str = r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"0"}}"#;
pub const RAN: &str = r#""result":{"content":[{"type":"text","text":"ran"}]}"#;

/// What a good server answers.
pub fn well(request: &Arrived) -> String {
    let id = &request.body["id"];
    match request.body["method"].as_str() {
        Some("initialize") => {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{GREETING}}}"#);
            response("200 OK", "content-type: application/json\r\nmcp-session-id: s-1\r\n", &body)
        }
        Some("tools/call") => json(id, RAN),
        Some("tools/list") => json(id, r#""result":{"tools":[]}"#),
        Some(_) => response("202 Accepted", "", ""),
        None if request.head.starts_with("GET") => response("405 Method Not Allowed", "", ""),
        None => response("200 OK", "", ""),
    }
}

async fn world(server: &Server) -> World {
    let world = World::new(vec![http(&server.url)]).await;
    world.pin(&["run"]).await;
    world
}

/// A world whose server does this about calls.
async fn calls(does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) -> (Server, World) {
    let server = Server::of_calls(does).await;
    let world = world(&server).await;
    (server, world)
}

async fn fails(fault: Fault, outcome: Outcome, does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) {
    let (server, world) = calls(does).await;
    ended(&world.call("run", none()).await, fault, outcome);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.calls(), 1, "it is never sent again");
}

#[tokio::test]
async fn invariant_5_a_server_that_closes_when_the_request_is_there_leaves_it_unknown_and_gets_it_once() {
    fails(Fault::Closed, Outcome::Unknown, |_| Does::WritesAndCloses(String::new())).await;
}

#[tokio::test]
async fn invariant_5_an_answer_cut_at_any_byte_leaves_the_call_unknown_and_sends_nothing_again() {
    let whole = json(&Value::String("0".repeat(32)), RAN).len();
    let cut = Arc::new(Mutex::new(0));
    let at = Arc::clone(&cut);
    let (server, world) = calls(move |request| {
        let answer = json(&request.body["id"], RAN);
        Does::WritesAndCloses(answer[..*at.lock().unwrap()].to_owned())
    })
    .await;
    for n in 0..=whole {
        *cut.lock().unwrap() = n;
        let forwarded = world.call("run", none()).await;
        let expected = if n == whole { Outcome::Done } else { Outcome::Unknown };
        assert_eq!(forwarded.outcome, expected, "cut at {n} of {whole}: {forwarded:?}");
        assert_eq!(server.calls(), n + 1);
    }
    assert_eq!(server.count("initialize"), 1, "the session goes on");
}

#[tokio::test]
async fn invariant_5_a_connection_that_closes_while_unused_costs_no_call_twice() {
    // Each response ends the connection without saying so: the next request meets the moment of closing.
    let server = Server::start(|request| Does::WritesAndCloses(well(request))).await;
    let world = world(&server).await;
    let (mut ran, mut unknown) = (0, 0);
    for _ in 0..300 {
        match world.call("run", none()).await.outcome {
            Outcome::Done => ran += 1,
            Outcome::Unknown => unknown += 1,
            Outcome::NotSent => {}
            Outcome::Failed | Outcome::Released => panic!(),
        }
    }
    let arrived = server.calls();
    assert!(ran <= arrived && arrived <= ran + unknown, "{ran} ran, {unknown} unknown, {arrived} arrived");
    assert!(ran > 0);
}

#[tokio::test]
async fn invariant_5_what_never_left_was_not_sent() {
    let server = Server::start(|_| Does::Well).await;
    let world = world(&server).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "run", none()).await;
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    ended(&forward(permit, &link, Along::default(), SOON).await, Fault::Unreachable, Outcome::NotSent);
    assert!(world.upstream_seams().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_none_leaves_the_call_unknown() {
    let html = || response("200 OK", "content-type: text/html\r\n", "<html>");
    fails(Fault::Invalid, Outcome::Unknown, move |_| Does::Writes(html())).await;
    fails(Fault::Invalid, Outcome::Unknown, |_| Does::Writes(response("200 OK", "", "{}"))).await;
    fails(Fault::Invalid, Outcome::Unknown, |_| Does::Writes(response("202 Accepted", "", ""))).await;
    let zipped = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    fails(Fault::Invalid, Outcome::Unknown, move |_| Does::Writes(response("200 OK", zipped, "x"))).await;
    fails(Fault::Invalid, Outcome::Unknown, |_| Does::Writes(json(&Value::from("other"), RAN))).await;
    fails(Fault::Invalid, Outcome::Unknown, |r| Does::Writes(json(&r.body["id"], r#""result":[]"#))).await;
    fails(Fault::Invalid, Outcome::Unknown, |_| Does::WritesAndCloses("SSH-2.0-x\r\n\r\n".into())).await;
    let bad = "content-type: application/json\r\n";
    fails(Fault::Invalid, Outcome::Unknown, move |_| Does::Writes(response("200 OK", bad, "{} {}"))).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_and_a_body_without_end_are_given_up() {
    let (server, world) =
        calls(|_| Does::WritesAndWaits("HTTP/1.1 200 OK\r\ncontent-type: appl".into())).await;
    let forwarded = world.call_in(1, "run", none(), Millis::new(200)).await;
    ended(&forwarded, Fault::Timeout, Outcome::Unknown);
    becomes("it is told that nobody waits", || server.count("notifications/cancelled") == 1).await;
    for kind in ["application/json", "text/event-stream"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n");
        fails(Fault::Invalid, Outcome::Unknown, move |_| Does::WritesOn(head.clone(), b"x".into())).await;
    }
    fails(Fault::Invalid, Outcome::Unknown, |_| Does::WritesOn("HTTP/1.1 200 OK\r\nx: ".into(), b"x".into()))
        .await;
}

#[tokio::test]
async fn a_status_in_the_place_of_an_answer_says_how_it_ended() {
    let refused = [401, 403, 429].map(|status| (status, Outcome::Failed));
    let broken = [500, 502, 503, 504].map(|status| (status, Outcome::Unknown));
    for (status, outcome) in refused.into_iter().chain(broken) {
        let line = format!("{status} No");
        fails(Fault::Status(status), outcome, move |_| Does::Writes(response(&line, "", ""))).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(|_| Does::Well).await;
    let location = format!("location: {}\r\n", other.url);
    fails(Fault::Status(307), Outcome::Failed, move |_| {
        Does::Writes(response("307 Temporary Redirect", &location, ""))
    })
    .await;
    assert_eq!(other.all().len(), 0);
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_begun_anew_for_the_next_call_only() {
    let forgets = Arc::new(Mutex::new(true));
    let forgot = Arc::clone(&forgets);
    let (server, world) = calls(move |_| {
        let forgets = std::mem::take(&mut *forgot.lock().unwrap());
        if forgets { Does::Writes(response("404 Not Found", "", "")) } else { Does::Well }
    })
    .await;
    ended(&world.call("run", none()).await, Fault::Status(404), Outcome::Failed);
    assert_eq!((server.calls(), server.count("initialize")), (1, 1));
    assert_eq!(world.text("run", none()).await, "ran");
    assert_eq!((server.calls(), server.count("initialize")), (2, 2));
}

#[tokio::test]
async fn a_request_holds_what_we_say_and_nothing_of_a_caller() {
    let server = Server::start(|_| Does::Well).await;
    let mut config = http(&server.url);
    let Transport::Http(to) = &mut config.transport else { panic!() };
    let value = Secret::new("Bearer upstream-token".to_owned());
    to.credential = Some(Credential { header: "authorization".to_owned(), value });
    let world = World::new(vec![config]).await;
    world.pin(&["run"]).await;
    assert_eq!(world.text("run", none()).await, "ran");
    world.upstreams.close_all().await;
    let all = server.all();
    let [initialize, initialized, call, delete] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(
        (initialize.header("mcp-session-id"), initialize.header("mcp-protocol-version")),
        (None, None)
    );
    assert_eq!(initialize.body["params"]["capabilities"], serde_json::json!({}));
    assert!(initialized.is("notifications/initialized"));
    let mut names: Vec<String> = call
        .head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
        .collect();
    names.sort();
    let ours = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-protocol-version",
        "mcp-session-id",
        "user-agent",
    ];
    assert_eq!(names, ours);
    assert!(call.head.starts_with("POST /mcp HTTP/1.1\r\n"));
    for (name, value) in [
        ("accept", "application/json, text/event-stream"),
        ("authorization", "Bearer upstream-token"),
        ("content-type", "application/json"),
        ("mcp-session-id", "s-1"),
        ("mcp-protocol-version", "2025-11-25"),
    ] {
        assert_eq!(call.header(name), Some(value));
    }
    assert!(
        delete.head.starts_with("DELETE /mcp HTTP/1.1\r\n") && delete.header("mcp-session-id") == Some("s-1")
    );
}

#[tokio::test]
async fn an_upstream_is_asked_for_the_newest_revision_and_from_then_on_told_the_one_that_it_answered() {
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let greets = move |request: &Arrived| {
            if !request.is("initialize") {
                return Does::Well;
            }
            Does::Writes(json(&request.body["id"], &GREETING.replace("2025-11-25", revision)))
        };
        let server = Server::start(greets).await;
        let world = world(&server).await;
        assert_eq!(world.text("run", none()).await, "ran");
        let link = world.upstreams.link("ops", session(1)).await.unwrap();
        assert_eq!(link.revision().name(), revision);
        let all = server.all();
        let [initialize, after @ ..] = &all[..] else { panic!("{all:#?}") };
        assert_eq!(initialize.body["params"]["protocolVersion"], "2025-11-25");
        assert_eq!(initialize.header("mcp-protocol-version"), None);
        assert!(after.iter().any(|arrived| arrived.is("tools/call")));
        assert!(
            after.iter().all(|arrived| arrived.header("mcp-protocol-version") == Some(revision)),
            "{all:#?}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_answers_a_revision_that_we_do_not_speak_gets_nothing_more() {
    for revision in ["2024-11-05", "2026-07-28", "2025-11-25 ", "", "2025-06-18\u{202e}"] {
        let greets = move |request: &Arrived| {
            if !request.is("initialize") {
                return Does::Well;
            }
            Does::Writes(json(&request.body["id"], &GREETING.replace("2025-11-25", revision)))
        };
        let server = Server::start(greets).await;
        let world = World::new(vec![http(&server.url)]).await;
        let refused = world.upstreams.link("ops", session(1)).await.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("stepup speaks 2025-11-25, 2025-06-18, 2025-03-26"), "{refused}");
        assert!(!refused.contains('\u{202e}'), "{refused}");
        assert_eq!(server.all().len(), 1, "{revision:?}");
    }
}

#[tokio::test]
async fn a_stream_carries_progress_questions_and_the_answer_and_the_connection_goes_on() {
    let (server, world) = calls(|request| {
        let id = &request.body["id"];
        let token = &request.body["params"]["_meta"]["progressToken"];
        let events = [
            r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"mode":"url","url":"http://x"}}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#),
            r#"{"jsonrpc":"2.0","id":"somebody else's","result":{}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
            "not json".to_owned(),
            format!(r#"{{"jsonrpc":"2.0","id":{id},{RAN}}}"#),
        ];
        let body: String = events.iter().map(|event| format!("event: message\ndata: {event}\n\n")).collect();
        Does::Writes(response("200 OK", "content-type: text/event-stream\r\n", &body))
    })
    .await;
    let changes = world.upstreams.changes("ops").unwrap();
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "run", none()).await;
    let (sink, mut told) = tokio::sync::broadcast::channel(8);
    let forwarded = forward(permit, &link, Along { progress: Some(sink), ..Along::default() }, SOON).await;
    assert_eq!(text(&forwarded), "ran");
    assert_eq!(told.recv().await.unwrap().progress, 1.0);
    assert!(changes.has_changed().unwrap());
    assert_eq!(world.upstreams.dropped("ops"), Some(2));
    becomes("the reply arrives", || server.all().iter().any(|arrived| arrived.body["id"] == 7)).await;
    let reply = server.all().into_iter().find(|arrived| arrived.body["id"] == 7).unwrap();
    assert_eq!(reply.body["error"]["code"], -32601);
}

#[tokio::test]
async fn a_changed_list_is_heard_on_a_stream_of_its_own() {
    let server = Server::start(|request| {
        if !request.head.starts_with("GET") {
            return Does::Well;
        }
        let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
        Does::WritesAndWaits(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{event}"))
    })
    .await;
    let world = world(&server).await;
    let changes = world.upstreams.changes("ops").unwrap();
    assert_eq!(*changes.borrow(), 0);
    assert!(world.upstreams.list_tools("ops").await.unwrap().is_empty());
    becomes("the notice is heard", || *changes.borrow() >= 2).await;
}

#[tokio::test]
async fn a_session_name_that_no_header_may_hold_is_no_greeting() {
    let long = "x".repeat(600);
    for name in ["a b", "s\u{e9}", long.as_str(), ""] {
        let headers = format!("content-type: application/json\r\nmcp-session-id: {name}\r\n");
        let server = Server::start(move |request| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},{GREETING}}}"#, request.body["id"]);
            Does::Writes(response("200 OK", &headers, &body))
        })
        .await;
        let world = World::new(vec![http(&server.url)]).await;
        let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
        assert!(matches!(refused, Err(Unreachable::Start(_))), "{name:?} {refused:?}");
    }
}

#[tokio::test]
async fn a_server_without_sessions_is_served_without_one() {
    let server = Server::start(|request| {
        if request.is("initialize") { Does::Writes(json(&request.body["id"], GREETING)) } else { Does::Well }
    })
    .await;
    let world = world(&server).await;
    assert_eq!(world.text("run", none()).await, "ran");
    world.upstreams.close_all().await;
    let all = server.all();
    assert!(all.iter().all(|arrived| arrived.header("mcp-session-id").is_none()));
    assert!(!all.iter().any(|arrived| arrived.head.starts_with("DELETE")), "there is nothing to end");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_gets_nothing_over_https() {
    let server = Server::start(|_| Does::Well).await;
    let world = World::new(vec![http(&server.url.replace("http://", "https://"))]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_: Arc<Link>| ());
    assert!(matches!(refused, Err(Unreachable::Start(_))), "{refused:?}");
    assert_eq!(server.all().len(), 0);
}

/// Accepts TLS with a certificate that nobody vouches for, and says what it can read.
const SELF_SIGNED: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    try:
        print("read", context.wrap_socket(connection, server_side=True).recv(10), flush=True)
    except OSError as error:
        print("refused", error, flush=True)
"#;

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key", "certificate"].map(|name| folder.path().join(name));
    let mut making = Command::new("openssl");
    making.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]);
    making
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    if !making.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("there is no openssl to make a certificate with: nothing is tested");
        return;
    }
    let mut serving = Command::new("python3");
    serving.args(["-c", SELF_SIGNED]).arg(certificate).arg(key).stdout(Stdio::piped());
    let mut serving = tokio::process::Command::from(serving).kill_on_drop(true).spawn().unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(serving.stdout.take().unwrap()));
    let port = lines.next_line().await.unwrap().unwrap();
    let world = World::new(vec![http(&format!("https://localhost:{port}/mcp"))]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_: Arc<Link>| ());
    assert!(matches!(refused, Err(Unreachable::Start(_))), "{refused:?}");
    let told = lines.next_line().await.unwrap().unwrap();
    assert!(told.starts_with("refused") && told.contains("ALERT"), "{told}");
}

#[tokio::test]
async fn an_address_that_could_leak_or_mislead_is_refused_at_once() {
    let machine = Arc::new(crate::world::Machine::default());
    for url in [
        "http://example.com/mcp",
        "http://10.0.0.1/mcp",
        "http://localhost.example.com/mcp",
        "https://user:password@example.com/mcp",
        "ftp://localhost/mcp",
        "/mcp",
        "",
    ] {
        let refused = Upstreams::new(vec![http(url)], machine.clone(), &[], launcher());
        assert!(refused.is_err(), "{url:?}");
    }
    for (header, value) in [("host", "x"), ("a b", "x"), ("authorization", "a\nb")] {
        let mut config = http("https://example.com/mcp");
        let Transport::Http(to) = &mut config.transport else { panic!() };
        to.credential = Some(Credential { header: header.into(), value: Secret::new(value.into()) });
        let refused = Upstreams::new(vec![config], machine.clone(), &[], launcher()).map(|_| ());
        assert!(refused.is_err(), "{header:?}");
    }
    let good =
        ["http://localhost/mcp", "http://127.0.0.9:1/mcp", "http://[::1]:1/mcp", "https://example.com/mcp"];
    for url in good {
        assert!(Upstreams::new(vec![http(url)], machine.clone(), &[], launcher()).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_json_rpc_error_is_an_answer() {
    let (_server, world) = calls(|request| {
        let error = r#""error":{"code":-32602,"message":"no such thing","data":{"a":1}}"#;
        Does::Writes(json(&request.body["id"], error))
    })
    .await;
    let forwarded = world.call("run", Json::object([("a", Json::from("b"))])).await;
    let Ok(Answer::Error { code: -32602, message, data: Some(data) }) = &forwarded.answer else { panic!() };
    assert_eq!((message.as_str(), data.text()), ("no such thing", r#"{"a":1}"#));
    assert_eq!(forwarded.outcome, Outcome::Failed);
}
