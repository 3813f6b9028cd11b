//! Which revision of MCP is spoken with a caller, and that its upstream's is another matter (MCP 2025-06-18 and
//! 2025-11-25: lifecycle, transports, tasks).

use serde_json::{Value, json};

use upstream::{Eras, Share};

use crate::ops::Ops;
use crate::wire::Reply;
use crate::world::{RULES, Session, World, deploy};

/// Both that are spoken with callers.
const SPOKEN: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// What is named as a revision of a session, and is none.
const NOT_SPOKEN: [&str; 6] = ["2025-03-26", "2099-01-01", "nonsense", "", "2025-06-18 x", "2025-06-1"];

const META: &str = "io.modelcontextprotocol/protocolVersion";

/// A message in a session under exactly these headers of ours.
async fn under(session: &Session<'_>, method: &str, more: &[(&str, &str)], message: &Value) -> Reply {
    let key = format!("Bearer {}", session.key);
    let mut headers = vec![
        ("Authorization", key.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    headers.extend(more);
    let body = if method == "POST" { message.to_string() } else { String::new() };
    session.world.request(method, "/mcp/ops", &headers, &body).await
}

fn assert_unsupported(reply: &Reply, what: &str) {
    assert_eq!((reply.status, reply.slug().as_str()), (400, "version_unsupported"), "{what}: {reply:?}");
    let body = reply.json();
    assert_eq!(body.get("id"), None, "{what}");
    assert_eq!(
        body["error"]["data"]["supported"],
        json!(["2026-07-28", "2025-11-25", "2025-06-18"]),
        "{what}"
    );
    assert_eq!(body["error"]["code"], -32022, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_revision_that_is_spoken_gets_it_and_anyone_else_the_newest() {
    let world = World::new().await;
    for wanted in SPOKEN {
        assert_eq!(world.session_of("bot", wanted).await.revision, wanted);
    }
    for wanted in NOT_SPOKEN.into_iter().chain(["2026-07-28"]) {
        assert_eq!(world.session_of("bot", wanted).await.revision, "2025-11-25", "{wanted}");
    }
    let bot = world.session("bot").await;
    for params in [json!({}), json!({"protocolVersion": 7}), json!({"protocolVersion": ["2025-06-18"]})] {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let reply = under(&bot, "POST", &[], &message).await;
        assert_eq!(reply.slug(), "request_invalid", "{params}");
        assert!(!reply.headers.contains_key("mcp-session-id"), "a session was opened: {params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_agreed_is_of_one_session_and_not_of_its_caller() {
    let world = World::new().await;
    let (old, new) = (world.session_of("bot", SPOKEN[0]).await, world.session_of("bot", SPOKEN[1]).await);
    for session in [&old, &new, &old] {
        assert_eq!(session.call("read_ticket", json!({"id": 7})).await.text(), "ticket");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_the_revision_of_its_session_or_none() {
    let world = World::new().await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "read_ticket", "arguments": {"id": 7}}});
    for (spoken, other) in [(SPOKEN[0], SPOKEN[1]), (SPOKEN[1], SPOKEN[0])] {
        let bot = world.session_of("bot", spoken).await;
        let session = ("Mcp-Session-Id", bot.id.as_str());
        let before = world.ops.calls().len();
        let wrong = NOT_SPOKEN.iter().copied().chain([other]);
        for named in wrong {
            for method in ["POST", "GET", "DELETE"] {
                let reply = under(&bot, method, &[session, ("Mcp-Protocol-Version", named)], &call).await;
                assert_unsupported(&reply, &format!("{method} {named:?} in {spoken}"));
            }
            let mut meant = call.clone();
            meant["params"]["_meta"] = json!({META: named});
            let reply = under(&bot, "POST", &[session], &meant).await;
            if named.starts_with("2025-03") || named == other {
                assert_unsupported(&reply, named);
            } else {
                // It may be of an era to come, whose headers repeat it.
                assert_eq!((reply.status, reply.slug().as_str()), (400, "header_mismatch"), "{named}");
            }
        }
        let twice = [session, ("Mcp-Protocol-Version", spoken), ("Mcp-Protocol-Version", spoken)];
        assert_unsupported(&under(&bot, "POST", &twice, &call).await, "twice");
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized", "params": {"_meta": {META: other}}});
        assert_unsupported(&under(&bot, "POST", &[session], &told).await, "a notification");
        assert_eq!(world.ops.calls().len(), before, "something arrived");
        for right in [&[session][..], &[session, ("mcp-protocol-version", spoken)][..]] {
            assert_eq!(under(&bot, "POST", right, &call).await.text(), "ticket");
        }
        let mut meant = call.clone();
        meant["params"]["_meta"] = json!({META: spoken});
        assert_eq!(under(&bot, "POST", &[session], &meant).await.text(), "ticket");
    }
    assert!(!world.ops.everything().contains(META), "what a caller speaks was told to an upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_session_does_not_say_that_it_has_none() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let meta = json!({META: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"protocolVersion": "2025-11-25", "_meta": meta});
    let both = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let headers = [("Mcp-Protocol-Version", "2026-07-28"), ("Mcp-Method", "initialize")];
    let reply = under(&bot, "POST", &headers, &both).await;
    assert_eq!((reply.status, reply.slug().as_str()), (404, "method_unknown"));
    assert!(!reply.headers.contains_key("mcp-session-id"));
    // A client that falls back may leave its header as it was.
    let params = json!({"protocolVersion": "2025-11-25"});
    let falls_back = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let reply = under(&bot, "POST", &headers[..1], &falls_back).await;
    assert!(reply.headers.contains_key("mcp-session-id"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t12_no_revision_that_is_spoken_has_batches() {
    let world = World::new().await;
    for revision in SPOKEN {
        let bot = world.session_of("bot", revision).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "read_ticket", "arguments": {"id": 7}}});
        let reply = bot.send(&json!([call])).await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "batch_refused"), "{revision}");
    }
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_ignored_where_the_revision_says_so_and_refused_where_it_has_none() {
    let world = World::new().await;
    let params =
        json!({"name": "read_ticket", "arguments": {"id": 7}, "task": {"ttl": 60000, "x": "canary"}});
    let old = world.session_of("bot", "2025-06-18").await;
    assert_eq!(old.request("tools/call", params.clone()).await.slug(), "request_invalid");
    let new = world.session_of("bot", "2025-11-25").await;
    assert_eq!(new.request("tools/call", params).await.text(), "ticket");
    assert_eq!(world.ops.calls(), [json!({"name": "read_ticket", "arguments": {"id": 7}})]);
    assert!(!world.ops.everything().contains("canary"));
}

/// A world whose upstream speaks this revision, says of itself what tasks it takes, and that `deploy`, `read_ticket` and
/// `hidden` have to be called as one.
async fn with_tasks(revision: &str, tasks: Value) -> World {
    let ops = Ops::start().await;
    ops.greet(|greeting| {
        greeting["protocolVersion"] = json!(revision);
        greeting["capabilities"]["tasks"] = tasks;
    });
    ops.change(|tools| {
        for tool in tools.as_array_mut().unwrap() {
            if ["deploy", "read_ticket", "hidden"].iter().any(|name| tool["name"] == *name) {
                tool["execution"] = json!({"taskSupport": "required"});
            }
        }
    });
    World::upon(ops, RULES, |_| {}, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_has_to_be_called_as_a_task_is_refused_by_name_before_anybody_is_asked() {
    let world = with_tasks("2025-11-25", json!({"requests": {"tools": {"call": {}}}})).await;
    for revision in SPOKEN {
        let bot = world.session_of("bot", revision).await;
        for (tool, arguments) in [("deploy", deploy("1")), ("read_ticket", json!({"id": 7}))] {
            let reply = bot.call(tool, arguments).await;
            assert_eq!(reply.slug(), "upstream_needs_feature", "{tool}");
            assert!(
                reply.text().contains("tasks") && reply.text().contains("did not run"),
                "{}",
                reply.text()
            );
        }
        assert_eq!(bot.call("hidden", json!({"id": 7})).await.slug(), "tool_unknown");
    }
    let bot = world.session("bot").await;
    assert!(bot.call("slow_deploy", json!({})).await.challenge().is_object(), "another is asked for");
    assert_eq!(world.ops.calls().len(), 0);
    assert_eq!(world.authority.inbox(world.ann).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_an_upstream_that_takes_no_tasks_is_called_as_ever_whatever_it_says() {
    for (revision, tasks) in [
        ("2025-11-25", json!({})),
        ("2025-11-25", json!({"requests": {"tools": {"call": null}}})),
        ("2025-11-25", json!({"requests": {"sampling": {"createMessage": {}}}})),
        ("2025-11-25", json!("tools")),
        ("2025-06-18", json!({"requests": {"tools": {"call": {}}}})),
    ] {
        let world = with_tasks(revision, tasks.clone()).await;
        let reply = world.session("bot").await.call("read_ticket", json!({"id": 7})).await;
        assert_eq!(reply.text(), "ticket", "{revision}, {tasks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_an_upstream_that_wants_an_address_opened_is_told_by_its_feature_and_its_address_goes_nowhere() {
    let ops = Ops::start().await;
    ops.offer(&["opens"]);
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    for revision in SPOKEN {
        let reply = world.session_of("bot", revision).await.call("opens", json!({})).await;
        assert_eq!(reply.slug(), "upstream_needs_feature", "{revision}");
        assert!(reply.text().contains("elicitation by URL"), "{}", reply.text());
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_passes_between_every_two_revisions_and_each_side_hears_its_own() {
    for upstream in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let ops = Ops::start().await;
        ops.greet(|greeting| greeting["protocolVersion"] = json!(upstream));
        // One link for all, whatever they speak.
        let world = World::upon(ops, RULES, |_| {}, |config| config.share = Share::All).await;
        let mut told = Vec::new();
        for caller in SPOKEN {
            let bot = world.session_of("bot", caller).await;
            assert_eq!(bot.revision, caller);
            told.push(bot.request("tools/list", json!({})).await.body);
            told.push(bot.call_as(42, "read_ticket", json!({"id": 7})).await.body);
            let id = bot.call("deploy", deploy(caller)).await.elevation();
            world.approve(&id).await;
            assert_eq!(bot.call("stepup_run", json!({"elevation": id})).await.text(), "done");
        }
        let (old, new) = told.split_at(2);
        assert_eq!(
            old, new,
            "the same is told in both: what a revision does not know, its clients pass over"
        );
        let everything = world.ops.everything();
        let (greeting, after) = everything.split_once("notifications/initialized").unwrap();
        assert!(greeting.contains(r#""protocolVersion":"2025-11-25""#), "{greeting}");
        let named = format!(r#""mcp-protocol-version": "{upstream}""#);
        assert_eq!(after.matches("mcp-protocol-version").count(), after.matches(&named).count(), "{after}");
        assert!(after.contains(&named), "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_secret_that_would_be_put_in_a_header_is_refused_by_name_before_anybody_is_asked() {
    for (era, annotated, refused) in
        [(Eras::Modern, true, true), (Eras::Modern, false, false), (Eras::Legacy, true, false)]
    {
        let ops = Ops::start().await;
        let secret = |tool: &&mut Value| tool["name"] == "set_secret";
        ops.change(|tools| {
            let tool = tools.as_array_mut().unwrap().iter_mut().find(secret).unwrap();
            if annotated {
                tool["inputSchema"]["properties"]["value"]["x-mcp-header"] = json!("Value");
            }
        });
        let world = World::upon(ops, RULES, |_| {}, |config| config.era = era).await;
        let bot = world.session("bot").await;
        let reply = bot.call("set_secret", json!({"name": "n", "value": "canary"})).await;
        if refused {
            assert_eq!(reply.slug(), "upstream_needs_feature", "{}", reply.body);
            assert!(reply.text().contains("arguments in headers"), "{}", reply.text());
        } else {
            assert!(reply.challenge().is_object(), "{}", reply.body);
        }
        assert!(world.ops.calls().is_empty() && !world.ops.everything().contains("canary"));
    }
}
