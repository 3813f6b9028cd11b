//! What of `_meta` and of headers reaches the upstream, and under which approval (decisions B27; T05, T26).

use serde_json::{Value, json};

use crate::world::{World, deploy};

const TRACE: [&str; 2] = [
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
];

fn call(tool: &str, arguments: Value, meta: Value) -> Value {
    json!({"name": tool, "arguments": arguments, "_meta": meta})
}

#[tokio::test(flavor = "multi_thread")]
async fn b27_of_meta_what_transports_and_what_is_judged_arrives_and_nothing_else() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let meta = json!({
        "traceparent": TRACE[0], "tracestate": "a=1", "baggage": "k=v", "io.modelcontextprotocol/logLevel": "debug",
        "x.y/z": {"n": 1.0}, "x.y/unlisted": "canary", "X.y/z": "canary",
        "io.modelcontextprotocol/protocolVersion": "2025-11-25",
        "io.modelcontextprotocol/clientInfo": {"name": "canary"},
        "io.modelcontextprotocol/clientCapabilities": {"canary": {}},
        "dev.stepup/refusal": "canary", "dev.stepup/anything": "canary",
    });
    let reply = bot.request("tools/call", call("read_ticket", json!({"id": 7}), meta)).await;
    assert_eq!(reply.status, 200);
    let arrived = json!({"name": "read_ticket", "arguments": {"id": 7}, "_meta": {
        "traceparent": TRACE[0], "tracestate": "a=1", "baggage": "k=v", "io.modelcontextprotocol/logLevel": "debug",
        "x.y/z": {"n": 1},
    }});
    assert_eq!(world.ops.calls(), [arrived]);
    assert!(!world.ops.everything().contains("canary"));
    let token = json!({"progressToken": "canary-token", "tracestate": "not a list"});
    bot.request("tools/call", call("read_ticket", json!({"id": 7}), token)).await;
    let arrived = world.ops.calls().pop().unwrap();
    assert_eq!(arrived["_meta"].as_object().unwrap().keys().collect::<Vec<_>>(), ["progressToken"]);
    assert!(!world.ops.everything().contains("canary"), "the caller's token went upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_what_was_sent_beside_the_arguments_is_approved_with_them() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let ask = |mode: &str, trace: usize| {
        let each = format!("toolu_{mode}_{trace}");
        let meta = json!({"x.y/mode": mode, "traceparent": TRACE[trace], "claudecode/toolUseId": each});
        bot.request("tools/call", call("deploy", deploy("1"), meta))
    };
    let stopped = ask("dry-run", 0).await;
    assert!(
        stopped.text().contains("x.y/mode") && !stopped.text().contains("traceparent"),
        "{}",
        stopped.text()
    );
    let id = stopped.elevation();
    let inbox = world.authority.inbox(world.ann).await.unwrap();
    let card = inbox[0].1.card.to_json().text();
    assert!(card.contains("/_meta/x.y~1mode") && card.contains("dry-run"), "not on the card: {card}");
    world.approve(&id).await;
    for other in [ask("for-real", 0).await, bot.call("deploy", deploy("1")).await] {
        assert_ne!(other.elevation(), id, "t05: it passed under the approval of another call");
    }
    assert_eq!(
        ask("dry-run", 1).await.text(),
        "done",
        "another trace, or what is not sent on, is the same call"
    );
    let meta = json!({"x.y/mode": "dry-run", "traceparent": TRACE[1]});
    assert_eq!(world.ops.calls(), [call("deploy", deploy("1"), meta)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_call_runs_with_what_was_sent_beside_it_and_with_the_trace_of_who_runs_it() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let meta = json!({"x.y/id": "toolu_1", "traceparent": TRACE[0]});
    let id = bot.request("tools/call", call("deploy", deploy("1"), meta)).await.elevation();
    world.approve(&id).await;
    let meta = json!({"x.y/id": "toolu_2", "traceparent": TRACE[1]});
    let ran = bot.request("tools/call", call("stepup_run", json!({"elevation": id}), meta)).await;
    assert_eq!(ran.text(), "done");
    let meta = json!({"x.y/id": "toolu_1", "traceparent": TRACE[1]});
    assert_eq!(world.ops.calls(), [call("deploy", deploy("1"), meta)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t26_of_the_headers_only_the_trace_arrives_and_a_key_nowhere() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let bearer = format!("Bearer {}", bot.key);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "*/*"),
        ("Mcp-Session-Id", bot.id.as_str()),
        ("traceparent", TRACE[0]),
        ("tracestate", "a=1"),
        ("baggage", "k=v"),
        ("Cookie", "canary=1"),
        ("X-Forwarded-For", "canary"),
        ("traceresponse", "canary"),
    ];
    let message = |meta: Value| {
        let params = call("read_ticket", json!({"id": 7}), meta);
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
    };
    assert_eq!(world.request("POST", "/mcp/ops", &headers, &message(json!({}))).await.status, 200);
    let seen = world.ops.everything();
    for (name, value) in &headers[4..7] {
        assert!(seen.contains(&format!("\"{name}\": \"{value}\"")), "{name}: {seen}");
    }
    let key = &bot.key;
    for meta in [
        json!({"authorization": bearer}),
        json!({"x": [{"deep": key}]}),
        json!({"baggage": format!("key={key}")}),
        json!({key: 1}),
    ] {
        let reply = world.request("POST", "/mcp/ops", &headers, &message(meta.clone())).await;
        assert_eq!(reply.slug(), "request_invalid", "{meta}");
        assert!(!reply.body.contains(key), "{reply:?}");
    }
    for arguments in [json!({"id": key}), json!({"id": [{"deep": bearer}]}), json!({key: 1})] {
        let params = call("read_ticket", arguments.clone(), json!({}));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let reply = world.request("POST", "/mcp/ops", &headers, &body).await;
        assert_eq!(reply.slug(), "request_invalid", "{arguments}");
        assert!(!reply.body.contains(key), "{reply:?}");
    }
    let baggage = format!("key={key}");
    let mut leaking = headers;
    leaking[6].1 = &baggage;
    let reply = world.request("POST", "/mcp/ops", &leaking, &message(json!({}))).await;
    assert_eq!(reply.slug(), "request_invalid");
    let seen = world.ops.everything();
    assert_eq!(world.ops.calls().len(), 1);
    assert!(!seen.contains(key) && !seen.contains("canary") && !seen.contains(&bot.id), "{seen}");
}
