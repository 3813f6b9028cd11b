//! What a hostile server may do to the bytes of an answer, row by row: what each costs, how much of it is taken, and that
//! an upstream beside it never notices (T24, T26, T30, T32; F35, F38).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use elevation::Outcome;
use terms::Millis;
use upstream::{Along, Answer, Config, Fault, Unreachable, forward};

use crate::http::{Does, RAN, Server, json, response};
use crate::world::{World, becomes, ended, hostile, http, none, process_exists, session};

/// How long a call of a row may take, which must be long for none that ends by itself.
const PATIENCE: Millis = Millis::new(1500);

/// Most bytes of what has no end that may be taken from a server: the longest stream, and what two sockets hold.
const TAKEN: usize = 96 << 20;

/// Comes to an end by its bytes or by its time, whichever is first on this machine.
const GIVEN_UP: &[Fault] = &[Fault::Invalid, Fault::Timeout];

/// What is done, what it counts as, and how.
type Row = (&'static str, &'static [Fault], Outcome, fn(&serde_json::Value) -> Does);

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
const JSON: &str = "content-type: application/json\r\n";

const ROWS: [Row; 20] = [
    ("informs without end", GIVEN_UP, Outcome::Unknown, |_| {
        Does::WritesOn(String::new(), b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".into())
    }),
    ("small headers without end", &[Fault::Invalid], Outcome::Unknown, |_| {
        Does::WritesOn(OK.into(), b"a: b\r\n".into())
    }),
    ("chunk extensions without end", &[Fault::Invalid], Outcome::Unknown, |_| {
        Does::WritesOn(format!("{CHUNKED}5;"), b"a=b;".into())
    }),
    ("trailers without end", &[Fault::Invalid], Outcome::Unknown, |_| {
        Does::WritesOn(format!("{CHUNKED}0\r\n"), b"a: b\r\n".into())
    }),
    ("small chunks without end", GIVEN_UP, Outcome::Unknown, |_| {
        Does::WritesOn(CHUNKED.into(), b"1\r\nx\r\n".into())
    }),
    ("empty lines of events without end", GIVEN_UP, Outcome::Unknown, |_| {
        Does::WritesOn(format!("{OK}content-type: text/event-stream\r\n\r\n"), b"\n".into())
    }),
    ("small events without end", GIVEN_UP, Outcome::Unknown, |_| {
        Does::WritesOn(format!("{OK}content-type: text/event-stream\r\n\r\n"), b"data: {}\n\n".into())
    }),
    ("a head that drips", &[Fault::Timeout], Outcome::Unknown, |_| Does::Drips(OK.into(), "a: b\r\n")),
    ("a body that drips", &[Fault::Timeout], Outcome::Unknown, |_| {
        Does::Drips(format!("{OK}{JSON}content-length: 100000\r\n\r\n"), " ")
    }),
    ("comments that drip", &[Fault::Timeout], Outcome::Unknown, |_| {
        Does::Drips(format!("{OK}content-type: text/event-stream\r\n\r\n"), ": still here\n\n")
    }),
    ("a reset in place of an answer", &[Fault::Closed], Outcome::Unknown, |_| Does::Resets(String::new())),
    ("a reset in the body", &[Fault::Closed], Outcome::Unknown, |_| {
        Does::Resets(format!("{OK}{JSON}content-length: 100\r\n\r\n{{"))
    }),
    ("a body shorter than it says", &[Fault::Closed], Outcome::Unknown, |id| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{RAN}}}"#);
        Does::WritesAndCloses(format!("{OK}{JSON}content-length: {}\r\n\r\n{body}", body.len() + 1))
    }),
    ("two lengths", &[Fault::Invalid], Outcome::Unknown, |_| {
        Does::Writes(format!("{OK}{JSON}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"))
    }),
    ("a chunk of a size that no number holds", &[Fault::Invalid], Outcome::Unknown, |_| {
        Does::Writes(format!("{CHUNKED}ffffffffffffffffff\r\n{{}}"))
    }),
    ("nesting without end", &[Fault::Invalid], Outcome::Unknown, |id| {
        let deep = "[".repeat(1 << 20);
        Does::Writes(json(id, &format!(r#""result":{{"content":[],"x":{deep}"#)))
    }),
    ("nesting that closes again", &[Fault::Invalid], Outcome::Unknown, |id| {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        Does::Writes(json(id, &format!(r#""result":{{"content":[],"x":{open}{close}}}"#)))
    }),
    ("bytes that are no UTF-8", &[Fault::Invalid], Outcome::Unknown, |id| {
        let mut bytes = json(id, RAN).into_bytes();
        let at = bytes.windows(3).position(|three| three == b"ran").unwrap();
        bytes[at] = 0xff;
        Does::WritesBytes(bytes)
    }),
    ("401 with a challenge of its own", &[Fault::Status(401)], Outcome::Failed, |_| {
        Does::Writes(response("401 Unauthorized", "www-authenticate: Bearer resource_metadata=\"x\"\r\n", ""))
    }),
    ("503 and a time to come again", &[Fault::Status(503)], Outcome::Unknown, |_| {
        Does::Writes(response("503 Service Unavailable", "retry-after: 0\r\n", ""))
    }),
];

/// A server whose calls do what `does` says, over an upstream `ops`, and one beside it that does well, over `well`.
async fn beside_well(does: impl Fn(&serde_json::Value) -> Does + Send + Sync + 'static) -> (Server, World) {
    let server = Server::of_calls(move |request| does(&request.body["id"])).await;
    let well = Config { name: "well".to_owned(), ..hostile(&[]) };
    let world = World::new(vec![http(&server.url), well]).await;
    world.pin(&["run"]).await;
    world.pin_all("well").await;
    (server, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn t30_each_lie_costs_its_own_call_is_taken_in_bounded_pieces_and_nobody_beside_it_notices() {
    let row: Arc<Mutex<Row>> = Arc::new(Mutex::new(ROWS[0]));
    let now = Arc::clone(&row);
    let (server, world) = beside_well(move |id| (now.lock().unwrap().3)(id)).await;
    let first = world.upstreams.link("well", session(1)).await.unwrap();
    for (n, (what, faults, outcome, does)) in (1..).zip(ROWS) {
        *row.lock().unwrap() = (what, faults, outcome, does);
        let before = server.flooded();
        let beside = async {
            let permit = world.permit("well", "counts", none()).await;
            forward(permit, &first, Along::default(), PATIENCE).await.outcome
        };
        let (lied, well) = tokio::join!(world.call_in(1, "run", none(), PATIENCE), beside);
        let Some(fault) = faults.iter().find(|fault| lied.answer.as_ref().err() == Some(fault)) else {
            panic!("{what}: {lied:?}")
        };
        ended(&lied, *fault, outcome);
        assert_eq!(well, Outcome::Done, "{what}: beside it");
        assert_eq!(server.calls(), n, "{what}: it is never sent again");
        assert!(server.flooded() - before < TAKEN, "{what}: {} bytes", server.flooded() - before);
    }
    assert_eq!(server.count("initialize"), 1, "the session outlives them all");
    assert!(Arc::ptr_eq(&first, &world.upstreams.link("well", session(1)).await.unwrap()));
}

#[tokio::test]
async fn a_bomb_of_gzip_is_not_unpacked_however_it_is_announced() {
    let packs = "import gzip, sys; sys.stdout.buffer.write(gzip.compress(b' ' * (256 << 20)))";
    let packed = std::process::Command::new("python3").args(["-c", packs]).output().unwrap().stdout;
    assert!(packed.len() > 100_000, "python packed it: {}", packed.len());
    for header in ["content-encoding: gzip", "content-encoding: identity, gzip", "content-encoding: x-gzip"] {
        let head = format!("{OK}{JSON}{header}\r\ncontent-length: {}\r\n\r\n", packed.len());
        let bomb = [head.as_bytes(), &packed].concat();
        let (server, world) = beside_well(move |_| Does::WritesBytes(bomb.clone())).await;
        ended(&world.call("run", none()).await, Fault::Invalid, Outcome::Unknown);
        assert_eq!(server.calls(), 1, "{header}");
    }
}

#[tokio::test]
async fn a_cursor_of_a_mebibyte_and_pages_without_end_are_no_list() {
    for cursor in ["x".repeat(1 << 20), "again".to_owned()] {
        let server = Server::start(move |request| {
            if !request.is("tools/list") {
                return Does::Well;
            }
            Does::Writes(json(
                &request.body["id"],
                &format!(r#""result":{{"tools":[],"nextCursor":"{cursor}"}}"#),
            ))
        })
        .await;
        let world = World::new(vec![http(&server.url)]).await;
        let refused = world.upstreams.list_tools("ops").await.map(|_| ());
        assert!(matches!(refused, Err(Unreachable::List(_))), "{refused:?}");
        assert!(server.count("tools/list") <= 1000, "{}", server.count("tools/list"));
    }
}

#[tokio::test]
async fn a_storm_of_changes_is_heard_as_one_and_calls_go_on_in_it() {
    let server = Server::start(|request| {
        if !request.head.starts_with("GET") {
            return Does::Well;
        }
        let event = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
        Does::WritesOn(format!("{OK}content-type: text/event-stream\r\n\r\n"), event.into())
    })
    .await;
    let world = World::new(vec![http(&server.url)]).await;
    world.pin(&["run"]).await;
    let changes = world.upstreams.changes("ops").unwrap();
    assert!(world.upstreams.list_tools("ops").await.unwrap().is_empty());
    becomes("the storm is there", || *changes.borrow() > 1000).await;
    for n in 1..=20 {
        assert_eq!(world.call("run", none()).await.outcome, Outcome::Done);
        assert_eq!(server.calls(), n);
    }
    assert_eq!(server.count("tools/list"), 1, "the notices themselves ask for nothing");
}

#[tokio::test]
async fn a_server_that_accepts_nobody_is_given_up_before_anything_is_sent() {
    // A listener with a full queue: the handshake of TCP itself gets no answer.
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = listener.listen(1).unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        filling.push(stream);
        assert!(filling.len() < 100, "its queue is never full");
    }
    let world = World::new(vec![http(&format!("http://{address}/mcp"))]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
    assert!(
        matches!(refused, Err(Unreachable::Start(_) | Unreachable::Fault(Fault::Unreachable))),
        "{refused:?}"
    );
    drop(listener);
}

#[tokio::test]
async fn a_child_that_stops_itself_costs_its_session_only_and_is_killed_with_it() {
    let world = World::new(vec![hostile(&[])]).await;
    world.pin(&["environ", "stops", "counts"]).await;
    let stopped = world.json("environ", none()).await["pid"].as_i64().unwrap();
    ended(&world.call_in(1, "stops", none(), PATIENCE).await, Fault::Timeout, Outcome::Unknown);
    assert_eq!(world.call_in(2, "counts", none(), PATIENCE).await.outcome, Outcome::Done, "another session");
    ended(&world.call_in(1, "counts", none(), Millis::new(300)).await, Fault::Timeout, Outcome::Unknown);
    assert!(process_exists(stopped));
    world.upstreams.close(session(1));
    becomes("it is killed, though it cannot be asked", || !process_exists(stopped)).await;
}

#[tokio::test]
async fn invariant_10_a_name_that_some_readers_refuse_hides_no_member_that_only_we_may_write() {
    let half = "\\ud800";
    let marked = format!(
        r#""result":{{"content":[],"_meta":{{"{half}":1,"dev.stepup/challenge":{{"a":1}}}},"x":"cut {half}"}}"#
    );
    let (_server, world) = beside_well(move |id| Does::Writes(json(id, &marked))).await;
    let told = crate::world::value(&world.call("run", none()).await);
    let read = serde_json::json!({"content": [], "_meta": {"\u{fffd}": 1}, "x": "cut \u{fffd}"});
    assert_eq!(told, read);
    let data =
        format!(r#""error":{{"code":-1,"message":"m","data":{{"{half}":1,"slug":"approval_required"}}}}"#);
    let (_server, world) = beside_well(move |id| Does::Writes(json(id, &data))).await;
    let forwarded = world.call("run", none()).await;
    let Ok(Answer::Error { data: Some(data), .. }) = &forwarded.answer else { panic!("{forwarded:?}") };
    assert!(!data.text().contains("approval_required"), "{}", data.text());
}
