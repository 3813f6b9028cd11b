//! What a call would come to, as callers ask it: over HTTP and by a tool of ours. It does nothing, says no more than the call itself
//! would, and of what is hidden exactly what is said of what never was (T124).

use serde_json::{Value, json};

use crate::wire::Reply;
use crate::world::{RULES, Session, World, deploy};

/// `slow` may be called and not be known of; prompts may be got, one after an approval, and documents be read.
const MORE: &str = r#"
@id("quiet") forbid (principal, action == Action::"discover", resource == Tool::"ops/slow");
@id("ask") permit (principal in Group::"ops-agents", action in [Action::"resources/read", Action::"prompts/get"], resource);
@id("docs") @stepup("release") forbid (principal, action == Action::"resources/read", resource)
unless { resource.uri like "file:///docs/*" };
@id("order") @stepup("release") forbid (principal, action == Action::"prompts/get:ops/order", resource);
@id("kept") forbid (principal, action in [Action::"discover", Action::"resources/read"], resource is Resource)
when { resource.uri like "file:///secret/*" };
@id("unseen") forbid (principal, action in [Action::"discover", Action::"prompts/get"], resource == Prompt::"ops/unseen");
"#;

fn rules() -> String {
    format!("{RULES}{MORE}")
}

/// Asks at the plain address.
async fn asked(world: &World, body: Value) -> Reply {
    asked_raw(world, "POST", &body.to_string()).await
}

async fn asked_as(world: &World, name: &str, body: Value) -> Reply {
    asked_by(world, name, "POST", &body.to_string()).await
}

async fn asked_raw(world: &World, method: &str, body: &str) -> Reply {
    asked_by(world, "bot", method, body).await
}

async fn asked_by(world: &World, name: &str, method: &str, body: &str) -> Reply {
    let key = format!("Bearer {}", world.key(name));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    world.request(method, "/v1/preflight", &headers, body).await
}

/// Asks by the tool, as structured content.
async fn told(bot: &Session<'_>, arguments: Value) -> Value {
    let reply = bot.call("stepup_preflight", arguments).await;
    let result = reply.json()["result"].clone();
    assert_eq!(result["isError"], json!(false), "{reply:?}");
    assert_eq!(result["content"][0]["text"], result["structuredContent"]["says"]);
    result["structuredContent"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_beforehand_as_it_comes_out_by_both_doors() {
    let world = World::with(&rules(), |_| {}).await;
    let bot = world.session("bot").await;
    let tries = [
        ("read_ticket", json!({"id": 1}), "permitted"),
        ("deploy", json!({"version": "1", "environment": "staging"}), "permitted"),
        ("deploy", deploy("1"), "needs_approval"),
        ("restore", json!({"target": "a"}), "needs_approval"),
        ("destroy", json!({}), "denied"),
    ];
    for (tool, arguments, ruling) in tries {
        let plain = asked(&world, json!({"upstream": "ops", "tool": tool, "arguments": arguments})).await;
        assert_eq!((plain.status, &plain.json()["ruling"]), (200, &json!(ruling)), "{tool}: {plain:?}");
        let all = asked(&world, json!({"tool": format!("ops__{tool}"), "arguments": arguments})).await;
        assert_eq!(all.body, plain.body, "{tool}: under its name among all");
        assert_eq!(told(&bot, json!({"tool": tool, "arguments": arguments})).await, plain.json(), "{tool}");
        let comes = bot.call(tool, arguments).await;
        let ran = comes.json()["result"].is_object() && comes.json()["result"]["isError"] != json!(true);
        let stopped = comes.json()["result"]["_meta"]["dev.stepup/challenge"].clone();
        match ruling {
            "permitted" => assert!(ran, "{tool}: {comes:?}"),
            "denied" => assert_eq!(json!(comes.slug()), plain.json()["slug"], "{tool}"),
            _ => {
                assert_eq!(stopped["requires"], plain.json()["requires"], "{tool}");
                assert_eq!(stopped["requirement"], plain.json()["requirement"], "{tool}");
            }
        }
    }
    let needs = asked(&world, json!({"upstream": "ops", "tool": "deploy", "arguments": deploy("2")})).await;
    let terms = json!({"binds": "everything", "pending_for_ms": 900_000, "uses": 1, "valid_for_ms": 900_000});
    assert_eq!(needs.json()["terms"], terms);
    let without = told(&bot, json!({"tool": "deploy"})).await;
    assert_eq!((&without["ruling"], &without["may_need"]), (&json!("depends"), &json!(["release"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_fits_is_told_of_and_not_used() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let question = json!({"tool": "deploy", "arguments": deploy("1")});
    let id = bot.call("deploy", deploy("1")).await.elevation();
    assert_eq!(told(&bot, question.clone()).await["elevation"], json!(id), "it waits already");
    world.approve(&id).await;
    for _ in 0..3 {
        let fits = told(&bot, question.clone()).await;
        assert_eq!((&fits["ruling"], &fits["granted"]), (&json!("permitted"), &json!(true)));
    }
    assert_eq!(
        told(&bot, json!({"tool": "deploy", "arguments": deploy("2")})).await["ruling"],
        "needs_approval"
    );
    assert_eq!(world.ops.count("deploy"), 0);
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done", "it is still there to be used");
    assert_eq!(told(&bot, question).await["ruling"], "needs_approval");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_opens_nothing_sends_nothing_and_is_in_the_log() {
    let world = World::with(&rules(), |_| {}).await;
    let bot = world.session("bot").await;
    let before = (world.records().await, world.ops.everything());
    for (tool, arguments) in
        [("deploy", deploy("1")), ("destroy", json!({})), ("read_ticket", json!({"id": 1}))]
    {
        told(&bot, json!({"tool": tool, "arguments": arguments})).await;
    }
    asked(&world, json!({"upstream": "ops", "tool": "restore"})).await;
    let records = world.records().await;
    let (old, new) = records.split_at(before.0.len());
    assert_eq!(
        (old, new),
        (
            &before.0[..],
            &[
                "preflighted".to_owned(),
                "preflighted".to_owned(),
                "preflighted".to_owned(),
                "preflighted".to_owned()
            ][..]
        )
    );
    assert!(world.authority.inbox(world.ann).await.unwrap().is_empty());
    assert!(world.authority.store().outbox(String::new(), 10).await.unwrap().is_empty(), "nobody is told");
    assert!(world.authority.store().attempts(None, 10).await.unwrap().is_empty());
    let sent = world.ops.everything()[before.1.len()..].to_owned();
    assert!(!sent.contains("tools/call") && !sent.contains("deploy"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t124_what_is_hidden_is_told_as_what_never_was_and_leaves_no_trace_either() {
    let world = World::with(&rules(), |settings| settings.budgets.preflights = 1000).await;
    let bot = world.session("bot").await;
    let unknown = bot.call("stepup_preflight", json!({"tool": "no_such_tool", "arguments": {}})).await;
    assert_eq!(unknown.slug(), "tool_unknown");
    let plain = asked(&world, json!({"upstream": "ops", "tool": "no_such_tool", "arguments": {}})).await;
    assert_eq!((plain.status, plain.slug().as_str()), (404, "tool_unknown"));
    let records = world.records().await.len();
    // Forbidden and hidden; and callable, and hidden all the same.
    for tool in ["hidden", "slow"] {
        for arguments in
            [json!({}), json!({"id": 1}), json!({"id": "not a number"}), Value::Null, json!({"$sealed": 1})]
        {
            let mut question = json!({"tool": tool});
            if !arguments.is_null() {
                question["arguments"] = arguments;
            }
            let hidden = bot.call("stepup_preflight", question.clone()).await;
            assert_eq!((hidden.status, &hidden.body), (unknown.status, &unknown.body), "{question}");
            question["upstream"] = json!("ops");
            let hidden = asked(&world, question.clone()).await;
            assert_eq!((hidden.status, &hidden.body), (plain.status, &plain.body), "{question}");
        }
    }
    let nowhere = asked(&world, json!({"upstream": "nowhere", "tool": "deploy", "arguments": {}})).await;
    assert_eq!((nowhere.status, &nowhere.body), (plain.status, &plain.body), "nor is an upstream told of");
    assert_eq!(world.records().await.len(), records);
}

#[tokio::test(flavor = "multi_thread")]
async fn t124_no_rule_group_or_person_is_in_any_answer() {
    let world = World::with(&rules(), |settings| settings.budgets.preflights = 1000).await;
    let bot = world.session("bot").await;
    let mut said = String::new();
    for tool in ["read_ticket", "deploy", "restore", "destroy", "hidden", "set_secret", "none"] {
        for arguments in [json!({}), deploy("1"), json!({"target": "a"}), json!({"name": "a", "value": "b"})]
        {
            said.push_str(
                &bot.call("stepup_preflight", json!({"tool": tool, "arguments": arguments})).await.body,
            );
        }
        said.push_str(&asked(&world, json!({"upstream": "ops", "tool": tool})).await.body);
    }
    assert!(said.contains("needs_approval") && said.contains("denied") && said.contains("depends"));
    for secret in ["not-destroy", "managers", "ops-agents", "ann", "olga", "rules.cedar", "\"work\""] {
        let whole = |c: char| !c.is_ascii_alphanumeric();
        let found = said
            .match_indices(secret)
            .any(|(at, _)| said[..at].ends_with(whole) && said[at + secret.len()..].starts_with(whole));
        assert!(!found, "{secret} is told: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_resources_are_asked_about_as_they_are_got_and_read() {
    let world = World::with(&rules(), |_| {}).await;
    let bot = world.session("bot").await;
    let topic = json!({"topic": "x"});
    for (question, method, params, ruling) in [
        (
            json!({"resource": "file:///docs/a"}),
            "resources/read",
            json!({"uri": "file:///docs/a"}),
            "permitted",
        ),
        (
            json!({"resource": "file:///srv/a"}),
            "resources/read",
            json!({"uri": "file:///srv/a"}),
            "needs_approval",
        ),
        (
            json!({"prompt": "brief", "arguments": topic}),
            "prompts/get",
            json!({"name": "brief", "arguments": topic}),
            "permitted",
        ),
        (
            json!({"prompt": "order", "arguments": topic}),
            "prompts/get",
            json!({"name": "order", "arguments": topic}),
            "needs_approval",
        ),
    ] {
        let beforehand = told(&bot, question.clone()).await;
        assert_eq!(beforehand["ruling"], ruling, "{question}");
        let mut plain = question.clone();
        plain["upstream"] = json!("ops");
        assert_eq!(asked(&world, plain).await.json(), beforehand);
        let comes = bot.request(method, params).await.json();
        let stopped = comes["error"]["data"]["requires"].clone();
        assert_eq!(
            (ruling == "permitted", ruling == "needs_approval"),
            (comes["result"].is_object(), stopped == "release"),
            "{comes}"
        );
    }
    assert_eq!(
        told(&bot, json!({"prompt": "brief"})).await["ruling"],
        "permitted",
        "whatever its arguments are"
    );
    for (question, slug) in [
        (json!({"resource": "file:///srv/../a"}), "uri_refused"),
        (json!({"resource": "file:///secret/a"}), "resource_unknown"),
        (json!({"prompt": "no_such_prompt"}), "prompt_unknown"),
        (json!({"prompt": "unseen"}), "prompt_unknown"),
    ] {
        assert_eq!(bot.call("stepup_preflight", question.clone()).await.slug(), slug, "{question}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_so_and_keeps_nobody_else_from_asking() {
    let world = World::with(RULES, |settings| settings.budgets.preflights = 5).await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    // What is unknown is counted as what is not.
    for tool in ["read_ticket", "hidden", "none", "destroy"] {
        bot.call("stepup_preflight", json!({"tool": tool, "arguments": {"id": 1}})).await;
    }
    assert_eq!(asked(&world, json!({"upstream": "ops", "tool": "deploy"})).await.status, 200);
    let over = asked(&world, json!({"upstream": "ops", "tool": "deploy"})).await;
    assert_eq!((over.status, over.slug().as_str()), (429, "over_budget"));
    assert_eq!(over.headers["retry-after"], "1");
    let says = over.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(says.ends_with("(5 preflights a minute) Nothing was decided and nothing ran. Ask again in a few seconds; calls go on."), "{says}");
    let text = bot.call("stepup_preflight", json!({"tool": "deploy"})).await.text();
    assert!(text.ends_with("(5 preflights a minute) Nothing was decided and nothing ran. Ask again in a few seconds; calls go on."), "{text}");
    assert_eq!(bot.call("stepup_preflight", json!({"tool": "deploy"})).await.slug(), "over_budget");
    assert_eq!(told(&spy, json!({"tool": "deploy"})).await["ruling"], "depends");
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.text(), "ticket", "and calls go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_read_as_strictly_as_a_call() {
    let world = World::with(RULES, |settings| settings.budgets.preflights = 1000).await;
    let bot = world.session("bot").await;
    let wrong = [
        (json!({}), "arguments_invalid"),
        (json!({"tool": "deploy", "prompt": "brief"}), "arguments_invalid"),
        (json!({"tool": 1}), "arguments_invalid"),
        (json!({"resource": "file:///a", "arguments": {}}), "arguments_invalid"),
        (json!({"tool": "read_ticket", "arguments": {"id": "x"}}), "arguments_invalid"),
        (json!({"tool": "read_ticket", "arguments": []}), "arguments_invalid"),
    ];
    for (question, slug) in wrong {
        assert_eq!(bot.call("stepup_preflight", question.clone()).await.slug(), slug, "{question}");
        let mut plain = question.clone();
        plain["upstream"] = json!("ops");
        assert_eq!(asked(&world, plain).await.slug(), slug, "{question}");
    }
    let more = json!({"tool": "deploy", "force": true});
    assert_eq!(bot.call("stepup_preflight", more.clone()).await.slug(), "arguments_invalid");
    assert_eq!(asked(&world, more).await.slug(), "request_invalid");
    for (body, slug) in [
        ("", "not_json"),
        ("[]", "request_invalid"),
        (r#"{"tool":"deploy","tool":"read_ticket"}"#, "duplicate_key"),
        (r#"{"upstream":"ops","tool":"read_ticket","arguments":{"id":9007199254740993}}"#, "number_inexact"),
        (r#"{"upstream":7,"tool":"deploy"}"#, "arguments_invalid"),
        (r#"{"tool":"ops__deploy","_meta":7}"#, "arguments_invalid"),
    ] {
        let reply = asked_raw(&world, "POST", body).await;
        assert_eq!(reply.slug(), slug, "{body}: {reply:?}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let reply = asked_raw(&world, method, "").await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "POST"), "{method}");
    }
    let key = world.key("bot");
    let holds = json!({"upstream": "ops", "tool": "deploy", "arguments": {"version": format!("x{key}")}});
    assert_eq!(asked(&world, holds).await.slug(), "request_invalid", "a key is in no log");
    let stranger =
        world.request("POST", "/v1/preflight", &[("Content-Type", "application/json")], "{}").await;
    assert_eq!((stranger.status, stranger.slug().as_str()), (401, "no_credential"));
    let secret = json!({"upstream": "ops", "tool": "set_secret", "arguments": {"name": "a", "value": "hunter2hunter2"}});
    assert_eq!(asked(&world, secret).await.json()["ruling"], "needs_approval");
    let lines = world.authority.store().records(0, 10_000).await.unwrap();
    let bodies: Vec<_> = lines.iter().filter_map(|line| line.body.as_ref()).collect();
    let all: String = bodies.iter().map(|(body, _)| String::from_utf8_lossy(body).into_owned()).collect();
    assert!(all.contains("$sealed") && !all.contains(&key) && !all.contains("hunter2hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bound_member_of_meta_says_is_part_of_what_is_asked() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let with =
        |meta: Value| json!({"upstream": "ops", "tool": "deploy", "arguments": deploy("1"), "_meta": meta});
    let call = json!({"name": "deploy", "arguments": deploy("1"), "_meta": {"x.y/mode": "dry"}});
    let id = bot.request("tools/call", call).await.elevation();
    world.approve(&id).await;
    assert_eq!(asked(&world, with(json!({"x.y/mode": "dry"}))).await.json()["granted"], true);
    assert_eq!(asked(&world, with(json!({"x.y/mode": "wet"}))).await.json()["ruling"], "needs_approval");
    assert_eq!(asked(&world, with(json!({}))).await.json()["ruling"], "needs_approval");
    let by_tool = json!({"name": "stepup_preflight", "arguments": {"tool": "deploy", "arguments": deploy("1")},
        "_meta": {"x.y/mode": "dry"}});
    let told = bot.request("tools/call", by_tool).await.json();
    assert_eq!(told["result"]["structuredContent"]["granted"], true, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_upstream_that_was_never_reached_nothing_is_known_and_that_is_said() {
    let gone = [("gone", "http://127.0.0.1:9/mcp")];
    let world = World::among(crate::ops::Ops::start().await, &gone, RULES, |_| {}, |_| {}).await;
    let bot = world.session_at("/mcp", "bot", "2025-11-25", json!({})).await;
    for arguments in [json!({}), Value::Null] {
        let mut question = json!({"tool": "gone__deploy"});
        if !arguments.is_null() {
            question["arguments"] = arguments;
        }
        assert_eq!(bot.call("stepup_preflight", question.clone()).await.slug(), "upstream_unreachable");
        assert_eq!(asked(&world, question).await.slug(), "upstream_unreachable");
    }
    assert_eq!(bot.call("gone__deploy", json!({})).await.slug(), "upstream_unreachable", "as by a call");
    // Nothing was to be sent, so nothing is said of what may have run.
    let question = json!({"tool": "gone__deploy", "arguments": {}});
    let plain = asked(&world, question.clone()).await.json()["error"].clone();
    let text = bot.call("stepup_preflight", question).await.text();
    for says in [plain["message"].as_str().unwrap(), &text] {
        assert!(
            says.contains("Nothing was decided and nothing ran.") && !says.contains("See below"),
            "{says}"
        );
    }
    assert_eq!(plain["todo"], "Nothing was decided and nothing ran. Ask again once it can be reached.");
}

#[tokio::test(flavor = "multi_thread")]
async fn t124_an_upstream_of_which_a_caller_may_know_nothing_is_none() {
    let gone = [("gone", "http://127.0.0.1:9/mcp")];
    let rules = format!(
        "{RULES}\n@id(\"not-there\") forbid (principal, action == Action::\"discover\", resource in Server::\"gone\");\n\
         @id(\"not-ops\") forbid (principal == Agent::\"spy\", action == Action::\"discover\", resource in Server::\"ops\");"
    );
    let world = World::among(
        crate::ops::Ops::start().await,
        &gone,
        &rules,
        |settings| settings.budgets.preflights = 1000,
        |_| {},
    )
    .await;
    let (bot, spy) = (
        world.session_at("/mcp", "bot", "2025-11-25", json!({})).await,
        world.session_at("/mcp", "spy", "2025-11-25", json!({})).await,
    );
    // Each is read as it would be at an upstream that is there, and asked as whoever may know of nothing there.
    let asks = |upstream: &str| {
        [
            json!({"tool": format!("{upstream}__deploy"), "arguments": {}}),
            json!({"tool": format!("{upstream}__deploy")}),
            json!({"tool": format!("{upstream}__deploy"), "arguments": []}),
            json!({"prompt": format!("{upstream}__brief")}),
            json!({"prompt": format!("{upstream}__brief"), "arguments": []}),
            json!({"resource": format!("stepup+{upstream}+file:///a")}),
            json!({"resource": format!("stepup+{upstream}+file:///a/../b")}),
            json!({"resource": format!("stepup+{upstream}+no uri")}),
        ]
    };
    for (who, session, there) in [("bot", &bot, "gone"), ("spy", &spy, "ops"), ("spy", &spy, "gone")] {
        for (real, none) in asks(there).into_iter().zip(asks("none")) {
            let (by_tool, never) = (
                session.call("stepup_preflight", real.clone()).await,
                session.call("stepup_preflight", none.clone()).await,
            );
            assert_eq!((by_tool.status, &by_tool.body), (never.status, &never.body), "{who}: {real}");
            let (plain, never) =
                (asked_as(&world, who, real.clone()).await, asked_as(&world, who, none).await);
            assert_eq!((plain.status, &plain.body), (never.status, &never.body), "{who}: {real}");
            assert!(
                ["tool_unknown", "prompt_unknown", "resource_unknown"].contains(&plain.slug().as_str()),
                "{plain:?}"
            );
        }
    }
}
