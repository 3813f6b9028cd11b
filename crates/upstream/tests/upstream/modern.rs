//! Upstreams of the modern era, MCP 2026-07-28: how they are found out, what they are told, and what those do that no
//! server should (T19-T21, T24, T32, T33; F35).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elevation::Outcome;
use serde_json::{Value, json};
use terms::{Feature, Json, Millis, Pointer, Slug};
use upstream::{
    Along, Answer, Config, Credential, Eras, Errand, Fault, Share, Transport, Unreachable, forward,
};

use crate::http::{self, Arrived, Does, Server, response};
use crate::world::{
    SOON, World, becomes, ended, hostile, http as over_http, in_era, launcher, none, session, text,
};

const DISCOVERED: &str = r#""result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
const LISTENS: &str = r#""result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#;
const RAN: &str = r#""result":{"resultType":"complete","content":[{"type":"text","text":"ran"}]}"#;

fn said(request: &Arrived, rest: &str) -> Does {
    Does::Writes(http::json(&request.body["id"], rest))
}

/// What a good server of the modern era answers.
fn well(request: &Arrived) -> Does {
    match request.body["method"].as_str() {
        Some("server/discover") => said(request, DISCOVERED),
        Some("tools/call") => said(request, RAN),
        Some("tools/list") => said(request, r#""result":{"resultType":"complete","tools":[]}"#),
        Some(_) => refused(request, "404 Not Found", r#""error":{"code":-32601,"message":"no such method"}"#),
        None => Does::Writes(response("405 Method Not Allowed", "", "")),
    }
}

/// A status with a body that answers the request.
fn refused(request: &Arrived, status: &str, rest: &str) -> Does {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},{rest}}}"#, request.body["id"]);
    Does::Writes(response(status, "content-type: application/json\r\n", &body))
}

/// Events, and then the end of the stream.
fn events(messages: &[String]) -> String {
    let events: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
    response("200 OK", "content-type: text/event-stream\r\n", &events)
}

async fn of_era(server: &Server, era: Eras) -> World {
    World::new(vec![in_era(era, over_http(&server.url))]).await
}

/// A world whose server is of the modern era and does this about calls.
async fn calls(does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) -> (Server, World) {
    let server =
        Server::start(move |request| if request.is("tools/call") { does(request) } else { well(request) })
            .await;
    let world = of_era(&server, Eras::Auto).await;
    world.pin(&["run"]).await;
    (server, world)
}

async fn fails(fault: Fault, outcome: Outcome, does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) {
    let (server, world) = calls(does).await;
    ended(&world.call("run", none()).await, fault, outcome);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.calls(), 1, "it is never sent again");
}

fn names(arrived: &Arrived) -> Vec<String> {
    let lines = arrived.head.lines().skip(1);
    let mut names: Vec<String> =
        lines.filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_request_says_of_itself_all_that_a_session_said_once_and_there_is_no_session() {
    let (server, world) = calls(|request| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},{RAN}}}"#, request.body["id"]);
        Does::Writes(response("200 OK", "content-type: application/json\r\nmcp-session-id: s-1\r\n", &body))
    })
    .await;
    assert_eq!(world.text("run", none()).await, "ran");
    assert_eq!(world.text("run", none()).await, "ran");
    world.upstreams.ping("ops").await.unwrap();
    world.upstreams.close_all().await;
    let all = server.all();
    let methods: Vec<&str> = all.iter().map(|arrived| arrived.body["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["server/discover", "tools/call", "tools/call", "server/discover"]);
    for arrived in &all {
        assert!(arrived.head.starts_with("POST /mcp HTTP/1.1\r\n"));
        assert_eq!(arrived.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(arrived.header("mcp-method"), arrived.body["method"].as_str());
        assert_eq!(arrived.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(
            arrived.body["params"]["_meta"],
            json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "stepup", "version": env!("CARGO_PKG_VERSION")},
            })
        );
    }
    let ours = [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "user-agent",
    ];
    assert_eq!(names(&all[1]), ours);
    assert_eq!(all[1].header("mcp-name"), Some("run"));
    assert_eq!(all[0].header("mcp-name"), None);
}

#[tokio::test]
async fn t20_t21_what_an_argument_says_in_a_header_is_what_it_says_in_the_body_on_one_line() {
    let server = Server::start(well).await;
    let world = of_era(&server, Eras::Auto).await;
    let schema = r#"{"properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "where":{"properties":{"count":{"type":"integer","x-mcp-header":"Count"}}},
        "plain":{"type":"string"}}}"#;
    world.pin_schema("run", schema).await;
    for (region, value) in [
        ("us-west1", "us-west1"),
        ("a\r\nMcp-Name: drop_db", "=?base64?YQ0KTWNwLU5hbWU6IGRyb3BfZGI=?="),
        ("\0", "=?base64?AA==?="),
        ("\r\n\r\n{}", "=?base64?DQoNCnt9?="),
        ("\u{4e16}", "=?base64?5LiW?="),
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
    ] {
        let arguments = json!({"region": region, "where": {"count": 7}, "plain": "\r\nx: y"});
        let arguments = terms::json::parse(arguments.to_string().as_bytes()).unwrap();
        assert_eq!(world.text("run", arguments).await, "ran");
        let call = server.all().pop().unwrap();
        assert_eq!(call.header("mcp-param-region"), Some(value), "{}", call.head);
        assert_eq!(call.header("mcp-param-count"), Some("7"));
        assert_eq!(call.body["params"]["arguments"]["region"], region);
        let names = names(&call);
        let mut once = names.clone();
        once.dedup();
        assert_eq!(names, once, "no name comes twice");
        assert_eq!(names.iter().filter(|name| name.starts_with("mcp-")).count(), 5, "{names:?}");
    }
    assert_eq!(world.text("run", none()).await, "ran");
    let call = server.all().pop().unwrap();
    assert!(!names(&call).iter().any(|name| name.starts_with("mcp-param-")), "{}", call.head);
}

#[tokio::test]
async fn t21_a_secret_is_put_in_no_header_and_its_call_is_refused_by_name() {
    let server = Server::start(well).await;
    let world = of_era(&server, Eras::Auto).await;
    world.pin_schema("run", r#"{"properties":{"pin":{"type":"string","x-mcp-header":"Pin"}}}"#).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let pointer: Pointer = "/pin".parse().unwrap();
    let definition = world.along("run").tool.unwrap().pin.definition.clone();
    for (at, told) in [("/pin", true), ("", true), ("/pin/x", false), ("/pi", false)] {
        let at = at.parse().unwrap();
        assert_eq!(world.upstreams.tells_in_headers("ops", &definition, [&at].into_iter()), told, "{at}");
    }
    let secret = Json::object([("pin", Json::from("hunter2"))]);
    let permit = world.permit_sealing("ops", "run", secret, &[pointer]).await;
    let forwarded = forward(permit, &link, world.along("run"), SOON).await;
    ended(&forwarded, Fault::Needs(Feature::ParameterHeaders), Outcome::NotSent);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn t20_without_the_definition_that_was_judged_nothing_is_sent() {
    let (server, world) = calls(well).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "run", none()).await;
    let stale = Fault::Stale(Slug::ToolQuarantined);
    ended(&forward(permit, &link, Along::default(), SOON).await, stale, Outcome::NotSent);
    world.pin(&["run", "other"]).await;
    let permit = world.permit("ops", "run", none()).await;
    world.pin_schema("another", r#"{"properties":{}}"#).await;
    ended(&forward(permit, &link, world.along("another"), SOON).await, stale, Outcome::NotSent);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_tool_with_a_bad_header_is_not_listed_and_hinders_no_other() {
    let server = Server::start(|request| {
        if !request.is("tools/list") {
            return well(request);
        }
        let tool = |name: &str, kind: &str| {
            let properties = json!({"a": {"type": kind, "x-mcp-header": "A"}});
            json!({"name": name, "inputSchema": {"type": "object", "properties": properties}})
        };
        let (bad, good) = (tool("bad", "number"), tool("good", "string"));
        said(request, &format!(r#""result":{{"resultType":"complete","tools":[{bad},{good}]}}"#))
    })
    .await;
    let world = of_era(&server, Eras::Modern).await;
    let tools = world.upstreams.list_tools("ops").await.unwrap();
    assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["good"]);
}

/// What a server does about `server/discover`, and whether it is greeted after that.
async fn greeted(era: Eras, does: impl Fn(&Arrived) -> Does + Send + Sync + 'static) -> (bool, bool) {
    let server = Server::start(move |request| match request.body["method"].as_str() {
        Some("server/discover") => does(request),
        Some("initialize" | "notifications/initialized") => Does::Well,
        _ => well(request),
    })
    .await;
    let mut config = in_era(era, over_http(&server.url));
    config.timeouts.probe = Millis::new(200);
    config.timeouts.start = Millis::new(1000);
    let world = World::new(vec![config]).await;
    let link = world.upstreams.link("ops", session(1)).await;
    assert_eq!(server.count("server/discover"), 1);
    (server.count("initialize") == 1, link.is_ok())
}

type Doing = Box<dyn Fn(&Arrived) -> Does + Send + Sync>;

/// An answer to `server/discover` with this status and this rest of a body.
fn answers(status: &'static str, rest: &'static str) -> Doing {
    Box::new(move |request| refused(request, status, rest))
}

#[tokio::test]
async fn whatever_is_no_answer_of_the_modern_era_comes_from_a_server_of_the_other() {
    let legacy: Vec<Doing> = vec![
        answers("200 OK", r#""error":{"code":-32601,"message":"m"}"#),
        answers("200 OK", r#""error":{"code":-32602,"message":"m"}"#),
        answers("400 Bad Request", r#""error":{"code":-32000,"message":"not initialized"}"#),
        answers("404 Not Found", r#""error":{"code":-32601,"message":"m"}"#),
        answers("200 OK", r#""result":{}"#),
        answers("200 OK", r#""result":{"resultType":"input_required","requestState":"s"}"#),
        answers("200 OK", r#""result":{"supportedVersions":"2026-07-28","capabilities":{}}"#),
        answers("200 OK", r#""result":{"supportedVersions":["2025-11-25"],"capabilities":{}}"#),
        answers(
            "400 Bad Request",
            r#""error":{"code":-32022,"message":"m","data":{"supported":["2025-06-18"]}}"#,
        ),
        Box::new(|_| Does::Writes(response("400 Bad Request", "", "no session"))),
        Box::new(|_| Does::Writes(response("404 Not Found", "", ""))),
        Box::new(|_| Does::Writes(response("405 Method Not Allowed", "", ""))),
        Box::new(|_| Does::Writes(response("406 Not Acceptable", "", ""))),
        Box::new(|_| Does::Writes(response("422 Unprocessable Content", "", ""))),
        Box::new(|_| Does::Writes(response("500 Internal Server Error", "", ""))),
        Box::new(|_| Does::Writes(response("202 Accepted", "", ""))),
        Box::new(|_| Does::WritesAndCloses(String::new())),
        Box::new(|_| Does::WritesAndWaits(String::new())),
    ];
    for (n, does) in legacy.into_iter().enumerate() {
        assert_eq!(greeted(Eras::Auto, does).await, (true, true), "the answer of row {n}");
    }
}

#[tokio::test]
async fn a_server_of_the_modern_era_is_not_greeted_whatever_it_refuses() {
    let modern = [
        answers("400 Bad Request", r#""error":{"code":-32020,"message":"m"}"#),
        answers("400 Bad Request", r#""error":{"code":-32021,"message":"m"}"#),
        answers(
            "400 Bad Request",
            r#""error":{"code":-32022,"message":"m","data":{"supported":["2027-01-01"]}}"#,
        ),
        answers("200 OK", r#""error":{"code":-32022,"message":"m"}"#),
        answers("200 OK", r#""result":{"supportedVersions":["2027-01-01"],"capabilities":{}}"#),
        Box::new(|_: &Arrived| {
            let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"m"}}"#;
            Does::Writes(response("400 Bad Request", "content-type: application/json\r\n", body))
        }),
    ];
    for (n, does) in modern.into_iter().enumerate() {
        assert_eq!(greeted(Eras::Auto, does).await, (false, false), "the answer of row {n}");
    }
    assert_eq!(greeted(Eras::Auto, answers("200 OK", DISCOVERED)).await, (false, true));
}

#[tokio::test]
async fn who_is_configured_as_modern_is_never_greeted_and_who_is_as_legacy_never_asked() {
    let none = || answers("200 OK", r#""error":{"code":-32601,"message":"m"}"#);
    assert_eq!(greeted(Eras::Modern, none()).await, (false, false));
    let server = Server::start(|_| Does::Well).await;
    let world = of_era(&server, Eras::Legacy).await;
    world.upstreams.link("ops", session(1)).await.unwrap();
    assert_eq!((server.count("server/discover"), server.count("initialize")), (0, 1));
}

#[tokio::test]
async fn a_server_of_the_legacy_era_is_asked_once_and_then_greeted_for_each_session() {
    let server = Server::start(|_| Does::Well).await;
    let world = of_era(&server, Eras::Auto).await;
    world.pin(&["run"]).await;
    for n in 1..4 {
        assert_eq!(text(&world.call_in(n, "run", none(), SOON).await), "ran");
    }
    world.upstreams.list_tools("ops").await.unwrap();
    assert_eq!((server.count("server/discover"), server.count("initialize")), (1, 4));
    let all = server.all();
    assert!(all.iter().skip(1).all(|arrived| arrived.header("mcp-method").is_none()), "{all:#?}");
    assert!(all.iter().skip(2).all(|arrived| arrived.header("mcp-protocol-version") != Some("2026-07-28")));
}

#[tokio::test]
async fn a28_all_sessions_of_a_modern_upstream_have_one_link_however_they_come() {
    let (server, world) = calls(well).await;
    let links = (0..40).map(|n| world.upstreams.link("ops", session(n)));
    let mut all = Vec::new();
    let mut waiting: Vec<_> = links.map(Box::pin).collect();
    for link in &mut waiting {
        all.push(link.await.unwrap());
    }
    assert!(all.iter().all(|link| Arc::ptr_eq(link, &all[0])));
    world.upstreams.list_tools("ops").await.unwrap();
    world.upstreams.close(session(1));
    assert_eq!(world.text("run", none()).await, "ran");
    assert_eq!(server.count("server/discover"), 1);
}

#[tokio::test]
async fn a_server_that_changes_its_era_is_asked_anew_and_no_call_is_sent_twice() {
    let legacy = Arc::new(Mutex::new(false));
    let turned = Arc::clone(&legacy);
    let server =
        Server::start(move |request| match (*turned.lock().unwrap(), request.header("mcp-method")) {
            (false, _) => well(request),
            (true, Some(_)) => Does::Writes(response("400 Bad Request", "", "no session")),
            (true, None) => Does::Well,
        })
        .await;
    let world = of_era(&server, Eras::Auto).await;
    world.pin(&["run"]).await;
    assert_eq!(world.text("run", none()).await, "ran");
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    *legacy.lock().unwrap() = true;
    ended(&world.call("run", none()).await, Fault::Status(400), Outcome::Failed);
    becomes("the link is given up", || !link.alive()).await;
    assert_eq!(world.text("run", none()).await, "ran");
    assert_eq!((server.calls(), server.count("initialize")), (3, 1));
}

#[tokio::test]
async fn one_call_that_is_answered_as_by_another_era_ends_nothing_that_all_use() {
    for answer in ["", r#"{"jsonrpc":"2.0","error":{"code":-32022,"message":"m"}}"#] {
        let (server, world) = calls(move |_| {
            Does::Writes(response("400 Bad Request", "content-type: application/json\r\n", answer))
        })
        .await;
        let link = world.upstreams.link("ops", session(1)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(world.call("run", none()).await.outcome, Outcome::Failed);
        }
        becomes("it is asked what it speaks", || server.count("server/discover") >= 2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(link.alive() && Arc::ptr_eq(&link, &world.upstreams.link("ops", session(2)).await.unwrap()));
    }
}

#[tokio::test]
async fn what_closes_a_response_cancels_the_call_and_says_nothing_else() {
    let (server, world) = calls(|_| Does::WritesAndWaits(String::new())).await;
    ended(&world.call_in(1, "run", none(), Millis::new(200)).await, Fault::Timeout, Outcome::Unknown);
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "run", none()).await;
    let attempt = permit.attempt().unwrap();
    let (along, to) = (world.along("run"), Arc::clone(&link));
    let running = tokio::spawn(async move { forward(permit, &to, along, SOON).await });
    becomes("the call arrives", || server.calls() == 2).await;
    link.errand(Errand::Cancel(attempt)).await.unwrap();
    link.errand(Errand::Cancel(attempt)).await.unwrap();
    ended(&running.await.unwrap(), Fault::TakenBack, Outcome::Unknown);
    becomes("both connections are closed", || server.closed() >= 2).await;
    assert_eq!(server.count("notifications/cancelled"), 0);
}

#[tokio::test]
async fn a_result_is_of_a_type_that_we_know_or_it_is_none() {
    for kind in ["", r#""resultType":"complete","#] {
        let rest = format!(r#""result":{{{kind}"content":[{{"type":"text","text":"ran"}}]}}"#);
        let (_server, world) = calls(move |request| said(request, &rest)).await;
        assert_eq!(world.text("run", none()).await, "ran");
    }
    let elicits = r#"{"a":{"method":"elicitation/create","params":{}}}"#;
    let many: Vec<String> = (0..65).map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#)).collect();
    let many = format!("{{{}}}", many.join(","));
    let deep =
        format!(r#"{{"a":{{"method":"roots/list","params":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let long = "x".repeat((64 << 10) + 1);
    for rest in [
        r#""resultType":"task","taskId":"t""#.to_owned(),
        r#""resultType":"complete ""#.to_owned(),
        r#""resultType":"input_required","resultType":"complete""#.to_owned(),
        r#""resultType":7"#.to_owned(),
        r#""resultType":"input_required""#.to_owned(),
        r#""resultType":"input_required","requestState":7"#.to_owned(),
        r#""resultType":"input_required","requestState":null,"inputRequests":null"#.to_owned(),
        r#""resultType":"input_required","inputRequests":[]"#.to_owned(),
        r#""resultType":"input_required","inputRequests":{"a":{"method":"tools/call"}}"#.to_owned(),
        format!(r#""resultType":"input_required","inputRequests":{elicits},"inputRequests":{elicits}"#),
        r#""resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"a":{"method":"roots/list"}}"#
            .to_owned(),
        format!(r#""resultType":"input_required","inputRequests":{many}"#),
        format!(r#""resultType":"input_required","inputRequests":{deep}"#),
        format!(r#""resultType":"input_required","requestState":"{long}""#),
    ] {
        let rest = format!(r#""result":{{{rest}}}"#);
        fails(Fault::Invalid, Outcome::Unknown, move |request| said(request, &rest)).await;
    }
}

#[tokio::test]
async fn t33_who_asks_to_be_told_more_is_an_answer_of_its_own_and_the_call_is_not_done() {
    for (rest, asked, stated) in [
        (
            r#""inputRequests":{"a":{"method":"elicitation/create","params":{"n":1.0}}},"requestState":"s""#,
            true,
            true,
        ),
        (r#""inputRequests":{}"#, true, false),
        (r#""requestState":"s""#, false, true),
    ] {
        let rest = format!(r#""result":{{"resultType":"input_required",{rest}}}"#);
        let (_server, world) = calls(move |request| said(request, &rest)).await;
        let forwarded = world.call("run", none()).await;
        let Ok(answer @ Answer::InputRequired { requests, state, .. }) = &forwarded.answer else {
            panic!("{forwarded:?}")
        };
        assert_eq!((requests.is_some(), state.is_some()), (asked, stated));
        assert_eq!((answer.needs(), forwarded.outcome), (None, Outcome::Failed));
    }
}

#[tokio::test]
async fn what_the_modern_era_refuses_it_says_under_a_status_and_it_did_not_run() {
    let error = |code: i64| format!(r#""error":{{"code":{code},"message":"m"}}"#);
    for status in ["200 OK", "400 Bad Request"] {
        for (code, fault) in [(-32020, Fault::Form(-32020)), (-32022, Fault::Form(-32022))] {
            fails(fault, Outcome::Failed, move |request| refused(request, status, &error(code))).await;
        }
    }
    let (_server, world) = calls(move |request| refused(request, "404 Not Found", &error(-32601))).await;
    let forwarded = world.call("run", none()).await;
    let Ok(Answer::Error { code: -32601, .. }) = &forwarded.answer else { panic!("{forwarded:?}") };
    let json = "content-type: application/json\r\n";
    for (status, body, fault, outcome) in [
        (
            400,
            r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"m"}}"#,
            Fault::Form(-32020),
            Outcome::Failed,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32020,"message":"m"}}"#,
            Fault::Status(400),
            Outcome::Failed,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}"#,
            Fault::Status(400),
            Outcome::Failed,
        ),
        (401, "{", Fault::Status(401), Outcome::Failed),
        (403, r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#, Fault::Status(403), Outcome::Failed),
        (
            500,
            r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"m"}}"#,
            Fault::Status(500),
            Outcome::Unknown,
        ),
    ] {
        let line = format!("{status} No");
        fails(fault, outcome, move |_| Does::Writes(response(&line, json, body))).await;
    }
    // Under a status that refuses it, no result is one.
    fails(Fault::Status(400), Outcome::Failed, |request| refused(request, "400 Bad Request", RAN)).await;
}

#[tokio::test]
async fn a_definition_that_wants_other_headers_is_looked_at_again() {
    let (_server, world) =
        calls(|request| refused(request, "400 Bad Request", r#""error":{"code":-32020,"message":"m"}"#))
            .await;
    let mut changes = world.upstreams.changes("ops").unwrap();
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    changes.mark_unchanged();
    ended(&world.call("run", none()).await, Fault::Form(-32020), Outcome::Failed);
    assert!(changes.has_changed().unwrap() && link.alive());
}

#[tokio::test]
async fn t24_a_stream_that_carries_what_it_may_not_carries_one_answer_and_gets_no_reply() {
    let (server, world) = calls(|request| {
        let id = &request.body["id"];
        let messages = [
            r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sampling/createMessage","params":{{}}}}"#),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":"other",{RAN}}}"#),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"other","progress":1}}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":2}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{id},{RAN}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{id},{}}}"#, RAN.replace("ran", "ran twice")),
        ];
        Does::Writes(events(&messages))
    })
    .await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let mut changes = world.upstreams.changes("ops").unwrap();
    changes.mark_unchanged();
    let permit = world.permit("ops", "run", none()).await;
    let (sink, mut told) = tokio::sync::broadcast::channel(4);
    let along = Along { progress: Some(sink), ..world.along("run") };
    assert_eq!(text(&forward(permit, &link, along, SOON).await), "ran");
    assert_eq!(told.recv().await.unwrap().progress, 2.0);
    assert!(told.recv().await.is_err());
    assert_eq!(world.upstreams.dropped("ops"), Some(7));
    assert!(!changes.has_changed().unwrap(), "what nobody subscribed to is not heard");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.all().len(), 2, "nothing was replied");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    for kind in ["application/json", "text/event-stream"] {
        for status in ["200 OK", "400 Bad Request"] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n\r\n");
            let (fault, outcome) = match status {
                "200 OK" => (Fault::Invalid, Outcome::Unknown),
                _ => (Fault::Status(400), Outcome::Failed),
            };
            fails(fault, outcome, move |_| Does::WritesOn(head.clone(), b"x".into())).await;
        }
    }
}

/// A notification of a subscription.
fn of(subscription: &Value, method: &str) -> String {
    let meta = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": subscription}});
    json!({"jsonrpc": "2.0", "method": method, "params": meta}).to_string()
}

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const CHANGED: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn a_changed_list_is_heard_on_the_subscription_that_was_acknowledged_and_on_no_other() {
    let opened = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let id = &request.body["id"];
        if request.is("server/discover") {
            return said(request, LISTENS);
        } else if !request.is("subscriptions/listen") {
            return well(request);
        }
        let end = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete"}}}}"#);
        let first = [
            of(id, CHANGED),
            of(&Value::from("other"), ACKNOWLEDGED),
            of(&Value::from("other"), CHANGED),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(),
            of(id, ACKNOWLEDGED),
            of(id, ACKNOWLEDGED),
            of(&Value::from("other"), CHANGED),
            of(id, CHANGED),
            end,
            of(id, CHANGED),
        ];
        match opened.fetch_add(1, Ordering::Relaxed) {
            0 => Does::Writes(events(&first)),
            1 => Does::Writes(response("503 Service Unavailable", "", "")),
            _ => {
                Does::WritesAndWaits("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned())
            }
        }
    })
    .await;
    let world = of_era(&server, Eras::Auto).await;
    let changes = world.upstreams.changes("ops").unwrap();
    world.upstreams.link("ops", session(1)).await.unwrap();
    becomes("it is listened for again", || server.count("subscriptions/listen") == 3).await;
    // Once when the link was made, once by the upstream's word, and once after each stream that ended.
    assert_eq!(*changes.borrow(), 4);
    assert_eq!(world.upstreams.dropped("ops"), Some(7));
    let all = server.all();
    let ids: Vec<&Value> = all
        .iter()
        .filter(|arrived| arrived.is("subscriptions/listen"))
        .map(|arrived| &arrived.body["id"])
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    let listen = all.iter().find(|arrived| arrived.is("subscriptions/listen")).unwrap();
    let wanted = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    assert_eq!(listen.body["params"]["notifications"], wanted);
    assert_eq!(listen.header("mcp-method"), Some("subscriptions/listen"));
    tokio::time::timeout(Duration::from_secs(5), world.upstreams.close_all()).await.unwrap();
    becomes("the stream is closed", || server.closed() >= 1).await;
}

#[tokio::test]
async fn who_tells_of_no_changes_is_not_listened_to_and_who_refuses_is_not_asked_again() {
    for (discovered, listens) in [(DISCOVERED, 0), (LISTENS, 1)] {
        let server = Server::start(move |request| {
            if request.is("server/discover") { said(request, discovered) } else { well(request) }
        })
        .await;
        let world = of_era(&server, Eras::Auto).await;
        world.upstreams.link("ops", session(1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(server.count("subscriptions/listen"), listens);
    }
}

#[test]
fn t20_no_credential_is_sent_under_a_name_that_mcp_has_for_itself() {
    let machine = Arc::new(crate::world::Machine::default());
    for header in ["mcp-name", "Mcp-Method", "MCP-Param-Region", "mcp-session-id"] {
        let mut config = over_http("https://example.com/mcp");
        let Transport::Http(to) = &mut config.transport else { panic!() };
        let value = terms::Secret::new("x".to_owned());
        to.credential = Some(Credential { header: header.to_owned(), value });
        let refused = upstream::Upstreams::new(vec![config], machine.clone(), &[], launcher()).map(|_| ());
        assert!(refused.is_err(), "{header}");
    }
}

fn child(words: &[&str]) -> Config {
    let mut config = in_era(Eras::Auto, hostile(words));
    config.timeouts.probe = Millis::new(5000);
    config
}

async fn modern_child(words: &[&str], tools: &[&str]) -> World {
    let world = World::new(vec![child(&[&["modern"], words].concat())]).await;
    world.pin(tools).await;
    world
}

#[tokio::test]
async fn a28_one_child_serves_all_sessions_and_no_answer_goes_astray() {
    let world = Arc::new(modern_child(&[], &["together", "environ"]).await);
    let calls = (0..50_u8).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let arguments = json!({"mine": n.to_string(), "of": 50}).to_string();
            let arguments = terms::json::parse(arguments.as_bytes()).unwrap();
            let forwarded = world.call_in(n, "together", arguments, SOON).await;
            assert_eq!(text(&forwarded), n.to_string());
        })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap();
    }
    let mut pids = Vec::new();
    for n in [1, 2, 3] {
        let told: Value =
            serde_json::from_str(&text(&world.call_in(n, "environ", none(), SOON).await)).unwrap();
        pids.push(told["pid"].clone());
    }
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[tokio::test]
async fn over_stdio_a_request_of_the_child_is_dropped_without_a_word() {
    let world = modern_child(&[], &["requests", "heard"]).await;
    assert_eq!(world.text("requests", none()).await, "asked");
    assert_eq!(world.upstreams.dropped("ops"), Some(2));
    // When we begin to listen is another matter.
    let heard = world.json("heard", none()).await.as_array().unwrap().clone();
    let heard: Vec<_> = heard.into_iter().filter(|said| said != "subscriptions/listen").collect();
    assert_eq!(heard, ["server/discover", "tools/call", "tools/call"]);
}

#[tokio::test]
async fn over_stdio_who_waits_no_more_says_so() {
    let world = modern_child(&[], &["silent", "heard"]).await;
    ended(&world.call_in(1, "silent", none(), Millis::new(200)).await, Fault::Timeout, Outcome::Unknown);
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "silent", none()).await;
    let attempt = permit.attempt().unwrap();
    let (along, to) = (Along::default(), Arc::clone(&link));
    let running = tokio::spawn(async move { forward(permit, &to, along, Millis::seconds(1)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    link.errand(Errand::Cancel(attempt)).await.unwrap();
    ended(&running.await.unwrap(), Fault::Timeout, Outcome::Unknown);
    let cancelled = |heard: &Value| {
        heard.as_array().unwrap().iter().filter(|method| *method == "notifications/cancelled").count()
    };
    assert!(cancelled(&world.json("heard", none()).await) >= 2);
}

#[tokio::test]
async fn over_stdio_a_change_is_heard_by_the_subscription_that_it_names() {
    let world =
        modern_child(&["late-acknowledgment"], &["subscribed", "acknowledges", "ends", "heard"]).await;
    let mut changes = world.upstreams.changes("ops").unwrap();
    world.upstreams.link("ops", session(1)).await.unwrap();
    let on = |text: &str| terms::json::parse(format!(r#"{{"on":{text}}}"#).as_bytes()).unwrap();
    for _ in 0..100 {
        if world.json("heard", none()).await.as_array().unwrap().iter().any(|m| *m == "subscriptions/listen")
        {
            break;
        }
    }
    changes.mark_unchanged();
    world.text("subscribed", on(r#"["ours", "other", "", null, 7]"#)).await;
    assert!(!changes.has_changed().unwrap(), "it is not acknowledged yet");
    assert_eq!(world.upstreams.dropped("ops"), Some(5));
    world.text("acknowledges", none()).await;
    world.text("subscribed", on(r#"["other"]"#)).await;
    assert!(!changes.has_changed().unwrap());
    world.text("subscribed", on(r#"["ours"]"#)).await;
    assert!(changes.has_changed().unwrap());
    // It may end the subscription, which is then begun anew, and nothing else.
    assert_eq!(world.text("ends", none()).await, "ended");
    let listens = |heard: &Value| {
        heard.as_array().unwrap().iter().filter(|method| *method == "subscriptions/listen").count()
    };
    for _ in 0..100 {
        if listens(&world.json("heard", none()).await) == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not begun anew");
}

#[tokio::test]
async fn a_child_of_the_legacy_era_is_greeted_whether_it_answers_is_silent_or_ends() {
    for (words, lines) in [(vec![], 4), (vec!["probe-mute"], 4), (vec!["probe-dies"], 3)] {
        let mut config = child(&words);
        if words == ["probe-mute"] {
            config.timeouts.probe = Millis::new(500);
        }
        let world = World::new(vec![config]).await;
        world.pin(&["counts", "asks"]).await;
        assert_eq!(world.json("counts", none()).await["lines"], lines, "{words:?}");
        assert_eq!(
            world.json("asks", none()).await["ping"],
            "result",
            "and it is answered as one of its era"
        );
        // The next one is not asked any more.
        let forwarded = world.call_in(2, "counts", none(), SOON).await;
        let told: Value = serde_json::from_str(&text(&forwarded)).unwrap();
        assert_eq!(told["lines"], 3, "{words:?}");
    }
}

#[tokio::test]
async fn a_child_of_the_legacy_era_is_not_served_where_only_the_modern_one_is_configured() {
    let world = World::new(vec![in_era(Eras::Modern, hostile(&[]))]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
    let Err(Unreachable::Start(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("-32602"), "{why}");
}

#[tokio::test]
async fn a_legacy_link_that_all_share_is_one_in_every_era() {
    let mut config = child(&[]);
    config.share = Share::All;
    let world = World::new(vec![config]).await;
    let [a, b] = [1, 2].map(session);
    let (a, b) =
        (world.upstreams.link("ops", a).await.unwrap(), world.upstreams.link("ops", b).await.unwrap());
    assert!(Arc::ptr_eq(&a, &b));
}
