//! What is refused before a call is looked at, and that nothing of it ever arrives (T01, T02, T11 to T13, T25).

use serde_json::{Value, json};
use terms::Seam;

use crate::wire;
use crate::world::{Trap, World};

const DENY_ALL: &str = r#"@id("nothing") forbid (principal, action, resource);"#;

#[tokio::test(flavor = "multi_thread")]
async fn t01_under_deny_all_no_address_method_or_message_reaches_the_upstream() {
    let world = World::with(DENY_ALL, |_| {}).await;
    let session = world.session("bot").await;
    let key = format!("Bearer {}", world.key("bot"));
    let before = world.ops.everything();
    let headers = [
        ("Authorization", key.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "*/*"),
        ("Mcp-Session-Id", session.id.as_str()),
    ];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "destroy"}});
    let paths = [
        "/",
        "/mcp",
        "/mcp/",
        "/mcp/ops",
        "/mcp/ops/",
        "/mcp/ops/x",
        "/mcp/OPS",
        "/mcp/%6fps",
        "/mcp?upstream=ops",
        "/mcp/ops__destroy",
        "/mcp/other",
        "/healthz",
        "/v1/elevations/elv_00000000000000000000000000",
        "/v1/elevations/x",
        "/v1/elevations/",
        "/v1/preflight",
        "/v1/preflight/",
        "/v1",
        "/metrics",
        "/.well-known/oauth-protected-resource/mcp/ops",
        "/mcp/ops?x=1",
        "//mcp/ops",
        "/mcp/../mcp/ops",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "POST", "get", "PROPFIND"] {
            let mut headers = headers;
            if method == "GET" {
                // The stream of a session would be opened, and never ends: see listening.rs.
                headers[2].1 = "application/json";
            }
            let reply = world.request(method, path, &headers, &call.to_string()).await;
            assert!(
                reply.headers.keys().all(|name| !name.starts_with("access-control")),
                "{method} {path}: {reply:?}"
            );
            let permitted = method == "POST" && ["/mcp/ops", "/mcp/ops?x=1", "/mcp/%6fps"].contains(&path);
            assert_eq!(reply.status == 200, permitted, "{method} {path}: {reply:?}");
        }
    }
    for method in methods() {
        for params in [
            json!({}),
            json!({"name": "destroy"}),
            json!({"name": "destroy", "uri": "file:///", "arguments": {}}),
        ] {
            let reply = session.request(&method, params.clone()).await;
            assert!(reply.json()["result"]["isError"] != json!(false), "{method}: {reply:?}");
            session.send(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
        }
    }
    assert_eq!(world.ops.calls(), Vec::<Value>::new());
    let after = world.ops.everything();
    let new: Vec<&str> = after[before.len()..].lines().filter(|line| line.contains("\"method\"")).collect();
    let ours = |line: &&&str| {
        // What we ask of our own accord has no byte of any caller in it.
        let lists = ["tools/list", "resources/list", "resources/templates/list"];
        lists.iter().any(|m| line.contains(&format!(r#""method":"{m}","params":{{}}"#)))
            || ["initialize", "notifications/initialized", "ping"].iter().any(|m| line.contains(m))
    };
    assert_eq!(new.iter().filter(|line| !ours(line)).count(), 0, "{new:?}");
    assert!(!after.contains("destroy\",\"uri"), "{after}");
}

/// Every method that MCP ever named, and as many again that it never did.
fn methods() -> Vec<String> {
    let named = [
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "resources/templates/list",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "roots/list",
        "sampling/createMessage",
        "elicitation/create",
        "tasks/get",
        "tasks/list",
        "tasks/cancel",
        "tasks/result",
        "tasks/update",
        "server/discover",
        "subscriptions/listen",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/message",
        "notifications/tools/list_changed",
        "tools/call",
        "Tools/call",
        "tools/call ",
        "tools/call\u{0}",
        "tools\\call",
        "tools/Call",
        "tools//call",
        "ＴOOLS/call",
        "rpc.discover",
        "",
        "ping/",
        "initialize/",
    ];
    named.iter().map(|name| (*name).to_owned()).chain((0..165).map(|n| format!("x-{n}/call"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_in_two_ways_is_refused_and_runs_in_neither() {
    let world = World::new().await;
    let session = world.session("bot").await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_ticket","arguments":{"id":1}}}"#;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}{}}}}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    let many =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":[{}0]}}}}"#, "0,".repeat(5000));
    let long =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":"{}"}}}}"#, "x".repeat(300 << 10));
    let huge =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":"{}"}}}}"#, "x".repeat(1 << 20));
    let escaped = call.replace(r#""name""#, r#""n\u0061me":"destroy","name""#);
    let batch = format!("[{}]", vec![call; 1000].join(","));
    let mut recorded = Vec::new();
    for (body, status, slug) in [
        (String::new(), 400, "not_json"),
        (format!("\u{feff}{call}"), 400, "not_json"),
        (format!("{call}{call}"), 400, "not_json"),
        (format!("{call}\0"), 400, "not_json"),
        (call.replace("1}", "NaN}"), 400, "not_json"),
        (call.replace("1}", "01}"), 400, "not_json"),
        (call.replace("1}", "1,}"), 400, "not_json"),
        (call.replace(r#""name""#, r#""name":"destroy","name""#), 400, "duplicate_key"),
        (escaped, 400, "duplicate_key"),
        (call.replace(r#""id":1"#, r#""id":1,"id":2"#), 400, "duplicate_key"),
        (call.replace("1}", "9007199254740993}"), 400, "number_inexact"),
        (call.replace("1}", "1e400}"), 400, "number_inexact"),
        ("[]".to_owned(), 400, "batch_refused"),
        (format!("[{call}]"), 400, "batch_refused"),
        (batch, 413, "too_large"),
        (deep, 413, "too_large"),
        (many, 413, "too_large"),
        (long, 413, "too_large"),
        (huge, 413, "too_large"),
        (call.replace(r#""id":1,"#, r#""id":null,"#), 400, "request_invalid"),
        (call.replace("2.0", "1.0"), 200, "request_invalid"),
        (call.replace(r#""params""#, r#""extra":1,"params""#), 200, "request_invalid"),
        (call.replace(r#""name""#, r#""extra":1,"name""#), 200, "request_invalid"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), 400, "request_invalid"),
    ] {
        let reply = session.raw(body.as_bytes()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!((reply.status, reply.slug().as_str()), (status, slug), "{shown}");
        if reply.body.contains("\"record\":\"rec_") {
            recorded.push(slug);
        }
    }
    assert_eq!(world.unread().await, recorded, "each names its record");
    assert_eq!(
        recorded.len(),
        22,
        "all but two that say one thing: an argument beside `arguments`, an answer to nothing"
    );
    let latin = [call.as_bytes(), b"\xff"].concat();
    assert_eq!(session.raw(&latin).await.slug(), "not_json");
    assert_eq!(world.ops.calls().len(), 0);
    assert_eq!(session.raw(call.as_bytes()).await.status, 200);
    assert_eq!(world.ops.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_no_key_or_a_wrong_one_learns_nothing_else() {
    let world = World::new().await;
    let key = world.key("bot");
    let wrong = format!("Bearer {key}x");
    let twice = format!("Bearer {key}\r\nAuthorization: Bearer {key}");
    for path in ["/mcp/ops", "/mcp/nothing", "/v1/elevations/elv_00000000000000000000000000", "/nothing"] {
        let none = world.request("POST", path, &[], "{}").await;
        assert_eq!((none.status, none.slug().as_str()), (401, "no_credential"));
        assert!(none.headers["www-authenticate"].starts_with("Bearer"), "{none:?}");
        for given in [wrong.as_str(), "Bearer ", "Basic eDp5", key.as_str(), twice.as_str()] {
            let reply = world.request("POST", path, &[("Authorization", given)], "{}").await;
            assert_eq!((reply.status, reply.slug().as_str()), (401, "credential_invalid"), "{given}");
            assert!(!reply.body.contains(&key), "{reply:?}");
        }
    }
    let in_query = world.request("POST", &format!("/mcp/ops?key={key}"), &[], "{}").await;
    assert_eq!(in_query.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn t25_other_hosts_and_web_pages_are_refused_even_with_a_key() {
    let world = World::new().await;
    let key = format!("Bearer {}", world.key("bot"));
    let auth = ("Authorization", key.as_str());
    for host in ["evil.example", "localhost", ""] {
        let reply = world.request("POST", "/mcp/ops", &[auth, ("Host", host)], "{}").await;
        assert_eq!((reply.status, reply.slug().as_str()), (403, "host_refused"), "{host}");
    }
    for origin in ["https://evil.example", "null", "http://127.0.0.1"] {
        let reply = world.request("POST", "/mcp/ops", &[auth, ("Origin", origin)], "{}").await;
        assert_eq!((reply.status, reply.slug().as_str()), (403, "origin_refused"), "{origin}");
    }
    let reply = world.request("PUT", "/mcp/ops", &[auth], "").await;
    assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "GET, POST, DELETE"));
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_plain_json_and_an_answer_that_cannot_be_taken_are_refused() {
    let world = World::new().await;
    let key = format!("Bearer {}", world.key("bot"));
    let auth = ("Authorization", key.as_str());
    let (json, accept) = ("application/json", ("Accept", "application/json, text/event-stream"));
    for headers in [
        vec![auth, accept],
        vec![auth, accept, ("Content-Type", "text/plain")],
        vec![auth, accept, ("Content-Type", "application/json; charset=utf-16")],
        vec![auth, accept, ("Content-Type", json), ("Content-Type", json)],
        vec![auth, accept, ("Content-Type", json), ("Content-Encoding", "gzip")],
        vec![auth, accept, ("Content-Type", "multipart/form-data; boundary=x")],
    ] {
        let reply = world.request("POST", "/mcp/ops", &headers, "{}").await;
        assert_eq!((reply.status, reply.slug().as_str()), (415, "media_type"), "{headers:?}");
    }
    for accepts in [vec![], vec![("Accept", json)], vec![("Accept", "text/html")]] {
        let headers = [vec![auth, ("Content-Type", json)], accepts].concat();
        let reply = world.request("POST", "/mcp/ops", &headers, "{}").await;
        assert_eq!((reply.status, reply.slug().as_str()), (406, "not_acceptable"), "{headers:?}");
    }
    let reply = world.request("GET", "/mcp/ops", &[auth, ("Accept", json)], "").await;
    assert_eq!((reply.status, reply.slug().as_str()), (406, "not_acceptable"));
    let padding = "x".repeat(33 << 10);
    let head = world.head("POST", "/mcp/ops", &[auth, ("X-Padding", &padding)], 2);
    let reply = wire::send(world.at, &head, b"{}").await;
    assert_eq!((reply.status, reply.slug().as_str()), (413, "too_large"));
}

/// How a refusal is told, in the words of docs/mcp.md.
fn form(reply: &wire::Reply) -> &'static str {
    let body = reply.json();
    match (body.get("jsonrpc"), body.get("id"), body.get("error")) {
        (None, None, Some(_)) => "plain",
        (Some(_), None, Some(_)) => "JSON-RPC, no id",
        (Some(_), Some(_), Some(_)) => "JSON-RPC",
        (Some(_), Some(_), None) if body["result"]["isError"] == true => "tool result",
        _ => panic!("no refusal: {reply:?}"),
    }
}

/// The table of docs/mcp.md: what is wrong, and the rest of the row.
fn table() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../../docs/mcp.md");
    let (_, table) =
        page.split_once("| what is wrong | status | told as | slug |\n|---|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches(['|', ' ']).split_once(" | ").unwrap()).collect()
}

/// Which node a request of the table goes to.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Well,
    Full,
    Drained,
    Failed,
}

/// What is sent otherwise than a good `ping` of a session, in the order of the table: the node, the request line, one
/// header (`-` leaves it out), and the body.
fn tried() -> Vec<(At, &'static str, (&'static str, &'static str), String)> {
    let of = |method: &str, params: serde_json::Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
    };
    let tool = |name: &str, arguments| of("tools/call", json!({"name": name, "arguments": arguments}));
    let ping = || of("ping", json!({}));
    let (none, mcp) = (("X-None", "-"), "POST /mcp/ops");
    let mut all: Vec<_> = [
        (At::Well, mcp, ("Authorization", "-")),
        (At::Well, mcp, ("Authorization", "Bearer nobody")),
        (At::Well, mcp, ("Host", "evil.example")),
        (At::Well, mcp, ("Origin", "https://evil.example")),
        (At::Well, "POST /mcp/nothing", none),
        (At::Well, "PUT /mcp/ops", none),
        (At::Well, mcp, ("Content-Type", "text/plain")),
        (At::Well, mcp, ("Accept", "application/json")),
        (At::Well, mcp, ("X-Long", "-")),
        (At::Full, mcp, none),
        (At::Drained, mcp, none),
        (At::Well, mcp, ("Mcp-Session-Id", "-")),
        (At::Well, mcp, ("Mcp-Session-Id", "another")),
        (At::Well, mcp, none),
        (At::Well, mcp, none),
        (At::Well, "GET /mcp/ops", ("Last-Event-ID", "1")),
        (At::Well, mcp, ("Mcp-Protocol-Version", "1999-01-01")),
        (At::Well, mcp, ("Mcp-Method", "tools/list")),
    ]
    .map(|(at, line, header)| (at, line, header, ping()))
    .into();
    all[8].3 = "x".repeat(2 << 20);
    all[13].3 = "{".to_owned();
    all[14].3 = format!("[{}]", ping());
    let bodies = [
        ping().replace("\"id\":1", "\"id\":1,\"extra\":1"),
        of("prompts/got", json!({})),
        tool("nothing", json!({})),
        of("prompts/get", json!({"name": "nothing"})),
        of("resources/read", json!({"uri": "file:///x"})),
        of("resources/read", json!({"uri": "file:///../x"})),
        tool("read_ticket", json!({"id": "x"})),
        tool("destroy", json!({})),
    ];
    all.extend(bodies.map(|body| (At::Well, mcp, none, body)));
    let failing = [tool("read_ticket", json!({"id": 1})), of("tools/list", json!({}))];
    all.extend(failing.map(|body| (At::Failed, mcp, none, body)));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_as_the_table_of_the_page_says() {
    let well = World::new().await;
    let session = well.session("bot").await.id;
    let full = World::with(crate::world::RULES, |settings| settings.budgets.in_flight = 0).await;
    let drained = World::new().await;
    drained.gateway.drain();
    let failed = World::new().await;
    let of_failed = failed.session("bot").await.id;
    failed.machine.trap(Trap::Seam(Seam::StoreBegin));
    let (rows, tried) = (table(), tried());
    assert_eq!(rows.len(), tried.len());
    for ((what, rest), (at, line, (name, value), body)) in rows.into_iter().zip(tried) {
        let (world, session) = match at {
            At::Well => (&well, &session),
            At::Full => (&full, &session),
            At::Drained => (&drained, &session),
            At::Failed => (&failed, &of_failed),
        };
        let key = format!("Bearer {}", world.key("bot"));
        let mut headers = vec![
            ("Authorization", key.as_str()),
            ("Mcp-Session-Id", session.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        headers.retain(|(other, _)| *other != name);
        headers.extend((value != "-").then_some((name, value)));
        let (method, path) = line.split_once(' ').unwrap();
        let reply = world.request(method, path, &headers, &body).await;
        assert_eq!(format!("{} | {} | `{}`", reply.status, form(&reply), reply.slug()), rest, "{what}");
        assert_eq!(reply.headers.contains_key("retry-after"), [429, 503].contains(&reply.status), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_given_up_and_so_is_its_place() {
    let world = World::with(crate::world::RULES, |settings| {
        settings.budgets.body_within = terms::Millis::new(300);
        settings.budgets.in_flight = 1;
    })
    .await;
    let bot = world.session("bot").await;
    let key = format!("Bearer {}", world.key("bot"));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json"), ("Accept", "*/*")];
    let slow = wire::send(world.at, &world.head("POST", "/mcp/ops", &headers, 1000), b"{").await;
    assert_eq!((slow.status, slow.slug().as_str()), (400, "request_invalid"));
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_cannot_have_more_in_flight_than_its_budget_and_takes_none_of_anothers() {
    let world = World::with(crate::world::RULES, |settings| settings.budgets.in_flight = 3).await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    let mut held = Vec::new();
    for id in 10..13 {
        held.push(bot.start(id, "slow", json!({})).await);
    }
    crate::world::becomes("three calls arrived", || world.ops.count("slow") == 3).await;
    let over = bot.call("read_ticket", json!({"id": 1})).await;
    assert_eq!((over.status, over.slug().as_str()), (429, "over_budget"));
    assert!(over.headers.contains_key("retry-after"));
    assert_eq!(spy.call("read_ticket", json!({"id": 1})).await.status, 200);
    // Whoever leaves has still got its call upstream, and so its place.
    drop(held);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 429);
    (0..3).for_each(|_| world.ops.go());
    for _ in 0..100 {
        if bot.call("read_ticket", json!({"id": 1})).await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the places were never given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_takes_nothing_new_and_lets_what_runs_finish() {
    let world = World::new().await;
    let session = world.session("bot").await;
    let runs = session.call_as(7, "slow", json!({}));
    let drains = async {
        crate::world::becomes("the call arrived", || world.ops.count("slow") == 1).await;
        world.gateway.drain();
        let refused = session.call("read_ticket", json!({"id": 1})).await;
        assert_eq!((refused.status, refused.slug().as_str()), (503, "draining"));
        assert!(refused.headers.contains_key("retry-after"));
        world.ops.go();
    };
    let (ran, ()) = tokio::join!(runs, drains);
    assert_eq!(ran.text(), "at last");
}
