//! The address of all upstreams, `/mcp` (T10, T20, T36; rfd 22): whatever is named there is of one upstream, and is the
//! same access as at that upstream's own address.

use serde_json::{Value, json};

use crate::modern::Modern;
use crate::ops::{Ops, READ, TICKET};
use crate::wire::{self, Reply};
use crate::world::{RULES, Session, World, deploy};

const MORE: &str = r#"
@id("ask") permit (principal in Group::"ops-agents",
    action in [Action::"resources/read", Action::"prompts/get", Action::"completion/complete"], resource);
@id("hosts") @stepup("release") forbid (principal, action == Action::"resources/read", resource)
when { resource.uri like "file:///etc/*" };
@id("b-deploy") @stepup("release") forbid (principal, action == Action::"tools/call:b/deploy", resource);
@id("unseen") forbid (principal, action in [Action::"discover", Action::"prompts/get", Action::"completion/complete"],
    resource == Prompt::"ops/unseen");
"#;

/// Tools of the other upstream: the same as those of `ops`, and some that are called as if they were of it, or ours.
const HOSTILE: [&str; 9] = [
    "ops__deploy",
    "_deploy",
    "__deploy",
    "a__b",
    "stepup_run",
    "stepup_status",
    "stepup_preflight",
    "b__deploy",
    "ops/deploy",
];

fn rules() -> String {
    format!("{RULES}{MORE}")
}

/// `ops`, and `b` beside it, with all that `ops` has and more.
async fn two(page: usize) -> (World, Ops) {
    let b = Ops::start().await;
    b.change(|tools| tools.as_array_mut().unwrap().retain(|tool| !is_ours(&tool["name"])));
    b.offer(&HOSTILE);
    let others = [("b", b.url.as_str())];
    let world = World::among(Ops::start().await, &others, &rules(), |s| s.budgets.page = page, |_| {}).await;
    (world, b)
}

fn is_ours(name: &serde_json::Value) -> bool {
    ["stepup_run", "stepup_status", "stepup_preflight"].iter().any(|own| name == own)
}

async fn all<'w>(world: &'w World, caller: &str) -> Session<'w> {
    world.session_at("/mcp", caller, "2025-11-25", json!({})).await
}

fn names(reply: &Reply, member: &str, name: &str) -> Vec<String> {
    let listed = reply.json()["result"][member].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone();
    listed.iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

/// All pages of a list, each entry's name; none of them longer than `most` beside what is ours.
async fn pages(
    session: &Session<'_>,
    method: &str,
    (member, name): (&str, &str),
    most: usize,
) -> Vec<String> {
    let (mut found, mut params) = (Vec::new(), json!({}));
    loop {
        let page = session.request(method, params).await;
        let listed = names(&page, member, name);
        assert!(listed.iter().filter(|name| !name.starts_with("stepup_")).count() <= most, "{listed:?}");
        found.extend(listed);
        let cursor = page.json()["result"]["nextCursor"].clone();
        if cursor.is_null() {
            return found;
        }
        params = json!({"cursor": cursor});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_every_tool_of_all_is_listed_once_and_its_name_runs_it_where_it_is() {
    let (world, b) = two(1000).await;
    let bot = all(&world, "bot").await;
    let listed = bot.request("tools/list", json!({})).await;
    let tools = names(&listed, "tools", "name");
    let unlike: std::collections::BTreeSet<&String> = tools.iter().collect();
    assert_eq!(unlike.len(), tools.len(), "{tools:?}");
    for name in
        ["ops__deploy", "b__deploy", "b__ops__deploy", "b___deploy", "b____deploy", "b__a__b", "stepup_run"]
    {
        assert!(tools.iter().any(|tool| tool == name), "{name}: {tools:?}");
    }
    assert_eq!(tools.iter().filter(|name| name.contains("stepup_")).count(), 3, "ours, once: {tools:?}");
    assert!(!listed.body.contains("ops__hidden") && listed.body.contains("b__hidden"));
    let needs = listed.json()["result"]["tools"].as_array().unwrap().clone();
    let described =
        |name: &str| needs.iter().find(|tool| tool["name"] == name).unwrap()["description"].clone();
    assert_eq!(described("ops__deploy"), "deploys.\n\nMay need: release.");
    let reply = bot.call("ops__read_ticket", json!({"id": 7})).await;
    assert_eq!(reply.body, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{TICKET}}}"#));
    for (name, theirs) in
        [("b__ops__deploy", "ops__deploy"), ("b___deploy", "_deploy"), ("b__ops/deploy", "ops/deploy")]
    {
        assert_eq!(bot.call(name, json!({})).await.text(), "done", "{name}");
        assert_eq!(b.calls().last().unwrap()["name"], theirs);
    }
    assert_eq!((world.ops.calls().len(), b.calls().len()), (1, 3), "each went where it was said to");
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_t36_no_other_spelling_of_a_name_reaches_anything() {
    let (world, b) = two(1000).await;
    let bot = all(&world, "bot").await;
    let unknown = bot.call("ops__nothing", json!({})).await;
    assert_eq!(unknown.slug(), "tool_unknown");
    for name in [
        "read_ticket",
        "destroy",
        "__destroy",
        "ops",
        "ops__",
        "ops_read_ticket",
        "ops/read_ticket",
        "ops.read_ticket",
        "ops___read_ticket",
        "ops__ops__read_ticket",
        "OPS__read_ticket",
        " ops__read_ticket",
        "ops __read_ticket",
        "ops__read_ticket ",
        "ops__Read_ticket",
        "none__read_ticket",
        "mcp/ops__read_ticket",
        "../ops__read_ticket",
        "b/../ops__read_ticket",
        "ops\u{0}__read_ticket",
        "o\u{200b}ps__read_ticket",
        "ops_\u{5f}\u{305}read_ticket",
        "stepup__read_ticket",
        "stepup+ops+read_ticket",
        "ops%5F%5Fread_ticket",
        "ops__hidden",
        "ops__stepup_run",
        "b__stepup_run",
        "b__stepup_status",
        "b__stepup_preflight",
        "stepup_run__ops",
        "stepup__run",
        "",
    ] {
        let reply = bot.call(name, json!({"id": 1})).await;
        assert_eq!((reply.status, &reply.body), (unknown.status, &unknown.body), "{name:?}");
    }
    let one = world.session("bot").await;
    for name in ["ops__read_ticket", "b__read_ticket", "b__ops__deploy"] {
        assert_eq!(one.call(name, json!({"id": 1})).await.slug(), "tool_unknown", "{name} at ops alone");
    }
    assert_eq!((world.ops.calls(), b.calls()), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_at_one_address_is_spent_at_the_other_and_at_no_other_upstream() {
    let (world, b) = two(1000).await;
    let (one, all) = (world.session("bot").await, all(&world, "bot").await);
    let stopped = one.call("deploy", deploy("1")).await.challenge();
    let again = all.call("stepup_status", json!({"elevation": stopped["elevation"]})).await;
    assert!(again.body.contains(stopped["access_hash"].as_str().unwrap()), "{}", again.body);
    let theirs = all.call("b__deploy", deploy("1")).await.challenge();
    assert_ne!(theirs["access_hash"], stopped["access_hash"]);
    world.approve(stopped["elevation"].as_str().unwrap()).await;
    assert_eq!(all.call("ops__deploy", deploy("1")).await.text(), "done");
    let more = one.call("deploy", deploy("1")).await.challenge();
    assert_ne!(more["elevation"], stopped["elevation"], "one approval is one call, wherever");
    world.approve(more["elevation"].as_str().unwrap()).await;
    assert_eq!(all.call("stepup_run", json!({"elevation": more["elevation"]})).await.text(), "done");
    assert_eq!((world.ops.count("deploy"), b.count("deploy")), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn t22_a_session_of_all_is_none_of_one() {
    let (world, _b) = two(1000).await;
    let (one, all) = (world.session("bot").await, all(&world, "bot").await);
    let key = format!("Bearer {}", world.key("bot"));
    for (session, other) in [(&one, "/mcp"), (&all, "/mcp/ops"), (&one, "/mcp/b")] {
        let moved = Session { path: other, ..session.clone() };
        let reply = moved.request("tools/list", json!({})).await;
        assert_eq!((reply.status, reply.slug().as_str()), (404, "session_unknown"), "{other}");
        let headers = [("Authorization", key.as_str()), ("Mcp-Session-Id", session.id.as_str())];
        assert_eq!(world.request("DELETE", other, &headers, "").await.slug(), "session_unknown");
        assert_eq!(session.request("ping", json!({})).await.json()["result"], json!({}));
    }
    let headers = [("Authorization", key.as_str()), ("Mcp-Session-Id", all.id.as_str())];
    assert_eq!(world.request("DELETE", "/mcp", &headers, "").await.status, 204);
    assert_eq!(all.request("ping", json!({})).await.slug(), "session_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_over_all_show_each_once_and_a_cursor_of_elsewhere_is_refused() {
    let (world, _b) = two(1000).await;
    let whole = all(&world, "bot").await;
    let (small, _b) = two(3).await;
    let bot = all(&small, "bot").await;
    for (method, (member, name)) in [
        ("tools/list", ("tools", "name")),
        ("prompts/list", ("prompts", "name")),
        ("resources/list", ("resources", "uri")),
        ("resources/templates/list", ("resourceTemplates", "uriTemplate")),
    ] {
        let expected = names(&whole.request(method, json!({})).await, member, name);
        assert!(expected.len() > 3, "{expected:?}");
        assert_eq!(pages(&bot, method, (member, name), 3).await, expected, "{method}");
        for cursor in ["b3Bz", "?", ""] {
            let refused = bot.request(method, json!({"cursor": cursor})).await;
            assert_eq!(refused.slug(), "arguments_invalid", "{method} {cursor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_resources_say_their_upstream_too() {
    let (world, b) = two(1000).await;
    let bot = all(&world, "bot").await;
    let prompts = names(&bot.request("prompts/list", json!({})).await, "prompts", "name");
    assert_eq!(prompts, ["b__brief", "b__order", "b__unseen", "ops__brief", "ops__order"]);
    let uris = names(&bot.request("resources/list", json!({})).await, "resources", "uri");
    assert_eq!(uris.len(), 8);
    assert!(uris.contains(&"stepup+ops+file:///docs/a".to_owned()), "{uris:?}");
    let got = bot.request("prompts/get", json!({"name": "ops__brief"})).await;
    assert!(got.json()["result"]["messages"].is_array());
    let read = bot.request("resources/read", json!({"uri": "stepup+b+file:///docs/a"})).await;
    assert_eq!(read.body, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{READ}}}"#));
    let template = json!({"ref": {"type": "ref/resource", "uri": "stepup+ops+file:///docs/{name}"},
        "argument": {"name": "name", "value": ""}});
    assert!(bot.request("completion/complete", template).await.json()["result"].is_object());
    let asked = |ops: &Ops| -> Vec<Value> { ops.asked().into_iter().map(|(_, params)| params).collect() };
    assert_eq!(asked(&b), [json!({"uri": "file:///docs/a"})]);
    assert_eq!(asked(&world.ops)[0]["name"], "brief");
    assert_eq!(asked(&world.ops)[1]["ref"]["uri"], "file:///docs/{name}");
    let arrived = (world.ops.asked().len(), b.asked().len());
    let unknown = bot.request("resources/read", json!({"uri": "x:nothing"})).await;
    assert_eq!(unknown.status, bot.request("prompts/get", json!({"name": "ops__none"})).await.status);
    assert_eq!(unknown.slug(), "resource_unknown");
    for uri in [
        "file:///docs/a",
        "ops+file:///docs/a",
        "stepup+file:///docs/a",
        "stepup+none+file:///docs/a",
        "STEPUP+ops+file:///docs/a",
        "stepup++file:///docs/a",
        "stepup+ops",
        "stepup+OPS+file:///docs/a",
        "stepup+ops/file:///docs/a",
        "stepup%2Bops%2Bfile:///docs/a",
        "ops__file:///docs/a",
        "",
    ] {
        let reply = bot.request("resources/read", json!({"uri": uri})).await;
        let told = (reply.status, &reply.body);
        assert_eq!(told, (unknown.status, &unknown.body), "{uri}: whose it is is not guessed");
    }
    for uri in [
        "stepup+ops+file:///docs/../etc/hosts",
        "stepup+ops+../b",
        "stepup+ops+stepup+b+file:///docs/../a",
        "stepup+ops+",
    ] {
        let reply = bot.request("resources/read", json!({"uri": uri})).await;
        assert_eq!(reply.slug(), "uri_refused", "{uri}");
    }
    for name in ["brief", "ops__unseen", "ops___brief", "stepup+ops+brief"] {
        let reply = bot.request("prompts/get", json!({"name": name})).await;
        assert_eq!(reply.slug(), "prompt_unknown", "{name}");
    }
    assert_eq!((world.ops.asked().len(), b.asked().len()), arrived, "none of these went anywhere");
    let stopped = bot.request("resources/read", json!({"uri": "stepup+ops+file:///etc/hosts"})).await.json();
    let one = world.session("bot").await;
    world.approve(stopped["error"]["data"]["elevation"].as_str().unwrap()).await;
    let read = one.request("resources/read", json!({"uri": "file:///etc/hosts"})).await;
    assert!(read.json()["result"].is_object(), "{read:?}");
}

/// Takes connections and never says anything.
async fn mute() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (url, holding)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upstream_that_is_not_there_takes_nothing_from_the_list_of_the_others() {
    let b = Ops::start().await;
    let others = [("b", b.url.as_str()), ("dead", "http://127.0.0.1:9/mcp")];
    let world = World::among(Ops::start().await, &others, &rules(), |_| {}, |_| {}).await;
    let bot = all(&world, "bot").await;
    let tools = names(&bot.request("tools/list", json!({})).await, "tools", "name");
    assert!(
        tools.contains(&"ops__deploy".to_owned()) && tools.contains(&"b__deploy".to_owned()),
        "{tools:?}"
    );
    let uris = names(&bot.request("resources/list", json!({})).await, "resources", "uri");
    assert_eq!(uris.len(), 8);
    for (method, params) in [
        ("tools/call", json!({"name": "dead__deploy", "arguments": deploy("1")})),
        ("prompts/get", json!({"name": "dead__brief"})),
        ("resources/read", json!({"uri": "stepup+dead+file:///docs/a"})),
    ] {
        let told = bot.request(method, params).await;
        assert_eq!(told.slug(), "upstream_unreachable", "{method}");
    }
    // What was seen once is shown on when its upstream goes, and only calls to it are told.
    b.stop();
    assert_eq!(names(&bot.request("tools/list", json!({})).await, "tools", "name"), tools);
    assert_eq!(bot.call("ops__read_ticket", json!({"id": 1})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_never_answers_keeps_nobody_from_what_the_others_list() {
    let (mute, holding) = mute().await;
    let (ops, others) = (Ops::start().await, [("mute", mute.as_str())]);
    let world = World::among(ops, &others, &rules(), |_| {}, |_| {}).await;
    let bot = all(&world, "bot").await;
    let listing = bot.request("resources/list", json!({}));
    let listed = tokio::time::timeout(std::time::Duration::from_secs(10), listing).await.unwrap();
    assert_eq!(names(&listed, "resources", "uri").len(), 4);
    holding.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_at_all_hears_of_a_change_of_any() {
    let (world, b) = two(1000).await;
    let bot = all(&world, "bot").await;
    let bearer = format!("Bearer {}", bot.key);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", bot.id.as_str()),
    ];
    let mut open = wire::open(world.at, &world.head("GET", "/mcp", &headers, 0), b"").await;
    b.change(|tools| tools.as_array_mut().unwrap()[0]["description"] = json!("Another."));
    world.gateway.repin("b").await.unwrap();
    let heard = open.message().await;
    assert_eq!(heard, Some(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_in_the_modern_era_the_header_repeats_the_name_that_all_know_it_by() {
    let (world, b) = two(1000).await;
    let mut bot = Modern::new(&world, "bot");
    bot.path = "/mcp";
    let found = bot.ask("server/discover", json!({})).await.json()["result"].clone();
    for has in ["tools", "prompts", "resources", "completions"] {
        assert!(found["capabilities"][has].is_object(), "{has}");
    }
    let listed = bot.ask("tools/list", json!({})).await.json()["result"].clone();
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(0), &json!("private")));
    assert_eq!(bot.call("b__read_ticket", json!({"id": 1})).await.status, 200);
    for named in ["read_ticket", "b/read_ticket", "ops__read_ticket"] {
        let message = bot.message(1, "tools/call", json!({"name": "b__read_ticket", "arguments": {"id": 1}}));
        let mut headers = Modern::headers(&message);
        headers.retain(|(name, _)| *name != "Mcp-Name");
        headers.push(("Mcp-Name", named.to_owned()));
        let refused = bot.send(&headers, &message).await;
        assert_eq!((refused.status, refused.slug().as_str()), (400, "header_mismatch"), "{named}");
    }
    assert_eq!((world.ops.calls().len(), b.calls().len()), (0, 1));
    let stopped = bot.call("ops__deploy", deploy("1")).await;
    world.approve(&stopped.elevation()).await;
    assert_eq!(bot.call("ops__deploy", deploy("1")).await.text(), "done");
    let mut open =
        bot.open(2, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    let acknowledged = open.message().await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged": true}));
    world.ops.change(|tools| tools.as_array_mut().unwrap()[0]["description"] = json!("Another."));
    world.gateway.repin("ops").await.unwrap();
    let heard = open.message().await.unwrap();
    assert_eq!(heard["method"], "notifications/tools/list_changed");
}
