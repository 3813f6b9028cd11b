//! HTTP/2 from callers: the same doors behind it, and no frame that is read otherwise there than by an API.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, End, HEADERS, PING, RST_STREAM, SETTINGS, Talk, fields,
    frame,
};
use crate::tls::{Authority, secured};
use crate::world::Home;

/// An API that keeps what arrives.
#[derive(Clone)]
struct Api {
    at: SocketAddr,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self { at: listener.local_addr().unwrap(), arrived: Arc::default() };
        let arrived = Arc::clone(&api.arrived);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                let whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request).into_owned();
                    let (head, body) = text.split_once("\r\n\r\n")?;
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.map_or(0, |length| length.parse().unwrap());
                    (body.len() >= length).then_some(text.clone())
                };
                while let Ok(read) = stream.read(&mut buffer)
                    && read > 0
                {
                    request.extend(&buffer[..read]);
                    if let Some(text) = whole(&request) {
                        arrived.lock().unwrap().push(text);
                        let _ = stream.write_all(
                            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
                        );
                        break;
                    }
                }
            }
        });
        api
    }

    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }
}

const RULES: &str = "@id(\"crm\") permit (principal in Group::\"ops-agents\", action, resource is Route);\n";

/// An installation with an API behind it, all of which its caller may ask.
fn with_api(authority: &Authority) -> (Home, Api) {
    let (home, api) = (secured(authority), Api::start());
    let upstream = format!(
        "\n[upstreams.crm]\nurl = \"http://{}\"\nenvironment = \"test\"\n\
         [upstreams.crm.routes.login]\non = \"POST /login\"\nform = {{ user = \"string?\" }}\n\
         [upstreams.crm.routes.health]\non = \"GET /health\"\nheaders = {{ x-trace = \"string?\" }}\n",
        api.at
    );
    home.write("stepup.toml", &(home.read("stepup.toml") + &upstream));
    home.write("policies/crm.cedar", RULES);
    (home, api)
}

fn pseudo(home: &Home, method: &str, path: &str) -> Head {
    let authority = format!("127.0.0.1:{}", home.agents);
    [(":method", method), (":scheme", "https"), (":path", path)]
        .map(|(name, value)| (name, value.to_owned()))
        .into_iter()
        .chain([(":authority", authority)])
        .collect()
}

fn block(head: &[(&str, String)]) -> Vec<u8> {
    fields(&head.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// One request, with its content in one frame; how it ended.
fn asks(authority: &Authority, home: &Home, head: &[(&str, String)], body: &[u8]) -> End {
    let mut talk = Talk::begin(authority.connect(home.agents, &["h2", "http/1.1"], None).unwrap(), b"");
    assert_eq!(talk.stream.conn.alpn_protocol(), Some(b"h2".as_slice()));
    let ends = if body.is_empty() { END_STREAM } else { 0 };
    talk.say(&frame(HEADERS, END_HEADERS | ends, 1, &block(head)));
    if !body.is_empty() {
        talk.say(&frame(DATA, END_STREAM, 1, body));
    }
    talk.end(1)
}

const OK: u8 = 0x88;
const NO_CONTENT: u8 = 0x89;
const BAD_REQUEST: u8 = 0x8c;
const PROTOCOL_ERROR: u32 = 1;

#[test]
fn every_door_answers_over_http_2_as_it_does_over_http_1() {
    let authority = Authority::new();
    let (home, api) = with_api(&authority);
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let ask = |method: &str, path: &str, more: &[(&'static str, &str)], body: &str| {
        let mut head = pseudo(&home, method, path);
        head.push(("authorization", format!("Bearer {key}")));
        head.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let End::Answered(status, content) = asks(&authority, &home, &head, body.as_bytes()) else {
            panic!("{method} {path}")
        };
        (status, String::from_utf8(content).unwrap())
    };
    // MCP.
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let kinds = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let (status, answer) = ask("POST", "/mcp/ops", &kinds, &hello.to_string());
    assert_eq!(status, OK, "{answer}");
    assert!(answer.contains("\"protocolVersion\":\"2025-11-25\""), "{answer}");
    // An API.
    let form = [("content-type", "application/x-www-form-urlencoded"), ("x-mine", "1")];
    let (status, answer) = ask("POST", "/http/crm/login", &form, "user=ann");
    assert_eq!((status, answer.as_str()), (OK, "ok"));
    let arrived = api.arrived();
    assert!(arrived[0].starts_with("POST /login HTTP/1.1\r\n") && arrived[0].ends_with("\r\n\r\nuser=ann"));
    assert!(!arrived[0].contains("x-mine") && !arrived[0].contains(&key), "{arrived:?}");
    // AuthZEN, and what callers ask stepup itself.
    let question = json!({ "subject": { "type": "agent", "id": "bot" }, "action": { "name": "http/GET:crm/health" },
        "resource": { "type": "Route", "id": "crm/health" } });
    let kind = [("content-type", "application/json")];
    let (_, answer) = ask("POST", "/access/v1/evaluation", &kind, &question.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["context"]["reason"], "operation_unknown", "bot asks for no application: {answer}");
    let (status, answer) = ask("GET", "/.well-known/authzen-configuration", &[], "");
    assert_eq!(status, OK, "{answer}");
    // A door that has no such address says the same as over HTTP/1.1.
    let (_, answer) = ask("GET", "/nowhere", &[], "");
    let line = format!(
        "GET /nowhere HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\r\n",
        home.agents
    );
    assert!(authority.ask(home.agents, &line).1.ends_with(&answer) && !answer.is_empty());
    // People.
    let mut talk = Talk::begin(authority.connect(home.people, &["h2"], None).unwrap(), b"");
    let page = [(":method", "GET"), (":scheme", "https"), (":path", "/")];
    let mut page: Vec<(&str, String)> = page.map(|(name, value)| (name, value.to_owned())).into();
    page.push((":authority", format!("localhost:{}", home.people)));
    talk.say(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&page)));
    let End::Answered(status, content) = talk.end(1) else { panic!("no page") };
    assert!(String::from_utf8(content).unwrap().contains("<html"), "{status:x}");
    drop(server);
}

type Head = Vec<(&'static str, String)>;

/// What is odd, the head and the content that are, and how many requests reach the API.
type Odd = (&'static str, Head, &'static [u8], usize);

const FORM: &[u8] = b"user=ann";

fn login(home: &Home) -> Head {
    pseudo(home, "POST", "/http/crm/login")
}

fn health(home: &Home) -> Head {
    pseudo(home, "GET", "/http/crm/health")
}

/// The same head, which says this too.
fn with(mut head: Head, more: &[(&'static str, &str)]) -> Head {
    head.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    head
}

/// The same head, which says something else of this, or nothing.
fn but(mut head: Head, name: &str, value: Option<&str>) -> Head {
    match value {
        Some(value) => {
            head.iter_mut().filter(|(had, _)| *had == name).for_each(|(_, had)| *had = value.to_owned());
        }
        None => head.retain(|(had, _)| *had != name),
    }
    head
}

/// Where content ends: the first are as they should be, so that the rest of this could go wrong.
fn framing(home: &Home) -> Vec<Odd> {
    let inner: &[u8] = b"user=ann\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    let says = |more: &[(&'static str, &str)]| with(login(home), more);
    vec![
        ("as it should be", login(home), FORM, 1),
        ("its length", says(&[("content-length", "8")]), FORM, 1),
        ("te of trailers", says(&[("te", "trailers")]), FORM, 1),
        ("too little", says(&[("content-length", "9")]), FORM, 0),
        ("too much", says(&[("content-length", "7")]), FORM, 0),
        ("none, and some", says(&[("content-length", "0")]), FORM, 0),
        ("some, and none", with(health(home), &[("content-length", "8")]), b"", 0),
        ("two lengths", says(&[("content-length", "8"), ("content-length", "0")]), FORM, 0),
        ("two lengths that agree", says(&[("content-length", "8"), ("content-length", "8")]), FORM, 0),
        ("a length that is none", says(&[("content-length", "+8")]), FORM, 0),
        ("a list of lengths", says(&[("content-length", "8, 8")]), FORM, 0),
        ("chunks", says(&[("transfer-encoding", "chunked")]), b"0\r\n\r\n", 0),
        ("a request in a request", login(home), inner, 0),
    ]
}

/// Whom is asked, and by what line.
fn naming(home: &Home) -> Vec<Odd> {
    let own = format!("127.0.0.1:{}", home.agents);
    let says = |more: &[(&'static str, &str)]| with(login(home), more);
    let named = |name: Option<&str>| but(login(home), ":authority", name);
    let without = |name: &str| but(login(home), name, None);
    vec![
        ("its host again", says(&[("host", &own)]), FORM, 1),
        ("its host and no authority", with(named(None), &[("host", &own)]), FORM, 1),
        ("another host", says(&[("host", "127.0.0.1:1")]), FORM, 0),
        ("two hosts", says(&[("host", &own), ("host", &own)]), FORM, 0),
        ("an empty host", says(&[("host", "")]), FORM, 0),
        ("another authority", named(Some("127.0.0.1:1")), FORM, 0),
        ("another authority and our host", with(named(Some("evil")), &[("host", &own)]), FORM, 0),
        ("somebody at an authority", named(Some(&format!("bot@{own}"))), FORM, 0),
        ("no name at all", named(None), FORM, 0),
        ("no method", without(":method"), FORM, 0),
        ("no scheme", without(":scheme"), FORM, 0),
        ("no path", without(":path"), FORM, 0),
        ("a status", says(&[(":status", "200")]), FORM, 0),
        ("a field of its own kind", says(&[(":user", "ann")]), FORM, 0),
        ("its path again, late", says(&[("x", "y"), (":path", "/http/crm/login")]), FORM, 0),
        ("a line in its method", but(login(home), ":method", Some("POST /x HTTP/1.1\r\nx: ")), FORM, 0),
    ]
}

/// What is said of a request, where nobody may read it otherwise.
fn saying(home: &Home) -> Vec<Odd> {
    let says = |more: &[(&'static str, &str)]| with(health(home), more);
    let mut all: Vec<Odd> = [
        ("a space before", &[("x-trace", " 1")][..]),
        ("a space after", &[("x-trace", "1\t")]),
        ("a line in a value", &[("x-trace", "1\r\nx-admin: 1")]),
        ("nothing in a value", &[("x-trace", "1\0")]),
        ("a header that is judged, twice", &[("x-trace", "1"), ("x-trace", "2")]),
        ("a name with capitals", &[("X-Trace", "1")]),
        ("a name with a space", &[("x-trace ", "1")]),
        ("a name with a colon", &[("x-trace:", "1")]),
        ("no name", &[("", "1")]),
    ]
    .map(|(what, more)| (what, says(more), &b""[..], 0))
    .into();
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        all.push((name, says(&[(name, "close")]), b"", 0));
    }
    all.push(("te", says(&[("te", "gzip")]), b"", 0));
    all
}

/// What is asked for.
fn asking(home: &Home) -> Vec<Odd> {
    let to = |path: &str| but(health(home), ":path", Some(path));
    // The library drops it, as it does in HTTP/1.1, and the API never hears of it.
    let mut all: Vec<Odd> = vec![("a fragment", to("/http/crm/health#/../x"), b"", 1)];
    for path in [
        "http://127.0.0.1/http/crm/health",
        "//http/crm/health",
        "http/crm/health",
        "",
        "*",
        "/http/crm/health HTTP/1.1\r\nx: y",
        "/http/crm/health\0",
        "/http/crm/../crm/health",
        "/http/crm//health",
        "/http/crm/%2e%2e/health",
        "/http/crm/\\health",
    ] {
        all.push(("a path", to(path), b"", 0));
    }
    let tunnel = but(health(home), ":method", Some("CONNECT"));
    let mut extended = tunnel.clone();
    extended.insert(0, (":protocol", "websocket".to_owned()));
    all.push(("an extended tunnel", extended, b"", 0));
    all.push(("a tunnel that is none", tunnel.clone(), b"", 0));
    all.push(("a tunnel", but(but(tunnel, ":path", None), ":scheme", None), b"", 0));
    all
}

#[test]
fn t39_t40_whatever_frames_of_http_2_say_all_that_arrives_was_judged() {
    let authority = Authority::new();
    let (home, api) = with_api(&authority);
    let _server = home.serve();
    let key = home.caller("bot");
    let mut permitted = 0;
    let all = [framing(&home), naming(&home), saying(&home), asking(&home)].concat();
    for (what, mut head, body, arrives) in all {
        let before = api.arrived().len();
        head.push(("authorization", format!("Bearer {key}")));
        head.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        let end = asks(&authority, &home, &head, body);
        let arrived = api.arrived().split_off(before);
        assert_eq!(arrived.len(), arrives, "{what} {head:?}: {end:?} {arrived:?}");
        assert_eq!(matches!(end, End::Answered(OK | NO_CONTENT, _)), arrives > 0, "{what} {head:?}: {end:?}");
        let written = if body.is_empty() { "GET /health HTTP/1.1\r\n" } else { "POST /login HTTP/1.1\r\n" };
        let content = if body.is_empty() { "\r\n\r\n" } else { "\r\n\r\nuser=ann" };
        assert!(arrived.iter().all(|one| one.starts_with(written) && one.ends_with(content)), "{arrived:?}");
        permitted += arrives;
    }
    assert_eq!(api.arrived().len(), permitted);
    let kinds = home.tells(&["log", "tail", "-n", "1000"]);
    let kinds = kinds["records"].as_array().unwrap().iter().filter(|one| one["kind"] == "permitted");
    assert_eq!(kinds.count(), permitted, "what did not arrive was not permitted either");
}

#[test]
fn what_http_2_itself_forbids_resets_its_stream() {
    let authority = Authority::new();
    let (home, _) = with_api(&authority);
    let _server = home.serve();
    for more in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        (":protocol", "websocket"),
    ] {
        let mut head = pseudo(&home, "GET", "/http/crm/health");
        let at = if more.0.starts_with(':') { 0 } else { head.len() };
        head.insert(at, (more.0, more.1.to_owned()));
        assert_eq!(asks(&authority, &home, &head, b""), End::Reset(PROTOCOL_ERROR), "{more:?}");
    }
    let mut head = pseudo(&home, "GET", "/http/crm/health");
    head.push(("host", "127.0.0.1:1".to_owned()));
    assert_eq!(asks(&authority, &home, &head, b""), End::Answered(BAD_REQUEST, Vec::new()));
}

/// Whether another connection is answered.
fn answers(authority: &Authority, home: &Home) {
    let end = asks(authority, home, &pseudo(home, "GET", "/http/crm/health"), b"");
    assert!(matches!(end, End::Answered(..)), "{end:?}");
}

/// Says it again and again; how the connection ended, and after how many times at most.
fn floods(authority: &Authority, home: &Home, mut what: impl FnMut(u32) -> Vec<u8>) -> (End, u32) {
    let mut talk = Talk::begin(authority.connect(home.agents, &["h2"], None).unwrap(), b"");
    let mut said = 0;
    while said < 20_000 && talk.say(&what(said)) {
        said += 1;
    }
    (talk.end(u32::MAX), said)
}

#[test]
fn cve_2023_44487_and_2024_27316_who_floods_a_connection_loses_it_and_nobody_else_does() {
    let authority = Authority::new();
    let (home, _) = with_api(&authority);
    let server = home.serve();
    let head = block(&pseudo(&home, "GET", "/http/crm/health"));
    // Streams that are opened and reset at once, many in one piece.
    let (end, rounds) = floods(&authority, &home, |round| {
        let streams = (0..100_u32).map(|n| 1 + 2 * (round * 100 + n));
        streams
            .flat_map(|stream| {
                [
                    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ]
                .concat()
            })
            .collect()
    });
    assert!(matches!(end, End::Gone(_)) && rounds < 20_000, "{end:?} after {rounds}");
    answers(&authority, &home);
    // A head that never ends, in pieces of which none is too large.
    let (end, pieces) = floods(&authority, &home, |piece| {
        let junk = fields(&[("x-junk", &"y".repeat(100))]).repeat(8);
        match piece {
            0 => frame(HEADERS, 0, 1, &head),
            _ => frame(CONTINUATION, 0, 1, &junk),
        }
    });
    assert!(matches!(end, End::Gone(_)) && pieces < 20_000, "{end:?} after {pieces}");
    answers(&authority, &home);
    // Empty pieces of it.
    let (end, pieces) =
        floods(&authority, &home, |piece| frame(if piece == 0 { HEADERS } else { CONTINUATION }, 0, 1, b""));
    assert!(matches!(end, End::Gone(_)) && pieces < 20_000, "{end:?} after {pieces}");
    answers(&authority, &home);
    drop(server);
}

#[test]
fn a_head_that_is_too_long_is_refused_and_too_many_requests_at_once_are() {
    let authority = Authority::new();
    let (home, api) = with_api(&authority);
    let _server = home.serve();
    let key = home.caller("bot");
    let mut head = pseudo(&home, "GET", "/http/crm/health");
    head.push(("authorization", format!("Bearer {key}")));
    assert!(matches!(asks(&authority, &home, &head, b""), End::Answered(OK, _)));
    for (size, count) in [(15 << 10, 2), (1, 2000)] {
        let mut head = head.clone();
        head.extend((0..count).map(|_| ("x", "y".repeat(size))));
        let end = {
            let mut talk = Talk::begin(authority.connect(home.agents, &["h2"], None).unwrap(), b"");
            let whole = block(&head);
            let mut pieces = whole.chunks(16 << 10).peekable();
            let first = pieces.next().unwrap();
            talk.say(&frame(
                HEADERS,
                END_STREAM | if pieces.peek().is_none() { END_HEADERS } else { 0 },
                1,
                first,
            ));
            while let Some(piece) = pieces.next() {
                let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                talk.say(&frame(CONTINUATION, last, 1, piece));
            }
            talk.end(1)
        };
        assert!(!matches!(end, End::Answered(OK, _)), "{size} {count}: {end:?}");
    }
    assert_eq!(api.arrived().len(), 1);
    // Streams that stay open, one more than may be.
    let mut talk = Talk::begin(authority.connect(home.agents, &["h2"], None).unwrap(), b"");
    let mut post = pseudo(&home, "POST", "/http/crm/login");
    post.push(("authorization", format!("Bearer {key}")));
    post.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    // What we say of ourselves counts once it is acknowledged.
    talk.say(&frame(SETTINGS, ACK, 0, b""));
    talk.say(&frame(PING, 0, 0, &[7; 8]));
    while talk.next().is_some_and(|(kind, flags, ..)| (kind, flags) != (PING, ACK)) {}
    for stream in 0..129_u32 {
        talk.say(&frame(HEADERS, END_HEADERS, 1 + 2 * stream, &block(&post)));
    }
    const REFUSED_STREAM: u32 = 7;
    assert_eq!(talk.end(257), End::Reset(REFUSED_STREAM));
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(api.arrived().len(), 1);
}

#[test]
fn envoy_asks_over_tls_by_http_2_and_by_nothing_else() {
    let authority = Authority::new();
    let (home, api) = with_api(&authority);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = home
        .read("stepup.toml")
        .replace("\n[upstreams.crm]\n", "\n[upstreams.crm]\nasked_by = [\"127.0.0.1\"]\n");
    let envoy = format!(
        "\n[envoy]\nlisten = \"127.0.0.1:{port}\"\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n"
    );
    home.write("stepup.toml", &(text + &envoy));
    let _server = home.serve();
    assert!(authority.connect(port, &["http/1.1"], None).is_err());
    let mut talk = Talk::begin(authority.connect(port, &["h2"], None).unwrap(), b"");
    let head = fields(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/envoy.service.auth.v3.Authorization/Check"),
        (":authority", "stepup"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]);
    // A question of nothing is answered, with a no.
    talk.say(&frame(HEADERS, END_HEADERS, 1, &head));
    talk.say(&frame(DATA, END_STREAM, 1, &[0; 5]));
    let End::Answered(_, content) = talk.end(1) else { panic!("no answer") };
    assert!(content.windows(9).any(|part| part == b"\"status\":"), "{}", String::from_utf8_lossy(&content));
    assert!(api.arrived().is_empty());
}
