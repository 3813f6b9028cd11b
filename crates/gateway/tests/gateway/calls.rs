//! Calls at baseline, stopped, approved, rejected, locked; and what is told of each.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use terms::Millis;

use crate::ops::{TICKET, tools};
use crate::wire::Reply;
use crate::world::{RULES, Session, World, becomes, deploy};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_permitted_passes_as_the_upstream_wrote_it() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let reply = bot.call_as(42, "read_ticket", json!({"id": 7})).await;
    assert_eq!(reply.body, format!(r#"{{"jsonrpc":"2.0","id":42,"result":{TICKET}}}"#));
    assert_eq!(world.ops.calls(), [json!({"name": "read_ticket", "arguments": {"id": 7}})]);
    assert_eq!(bot.call("fails", json!({})).await.json()["result"], json!({"content": [], "isError": true}));
    let errs = bot.call("errs", json!({})).await;
    assert_eq!(errs.json()["error"], json!({"code": -32001, "message": "no such ship", "data": {"n": 1.0}}));
    let without = bot.request("tools/call", json!({"name": "fails"})).await;
    assert_eq!(without.json()["result"]["isError"], true);
    assert_eq!(world.ops.calls().last().unwrap()["arguments"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_does_not_have_is_refused_beside_its_arguments() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    for extra in ["uri", "inputResponses", "requestState"] {
        let mut params = json!({"name": "read_ticket", "arguments": {"id": 7}});
        params[extra] = json!({"x": "canary"});
        assert_eq!(bot.request("tools/call", params).await.slug(), "request_invalid", "{extra}");
    }
    assert!(!world.ops.everything().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_an_upstream_cannot_speak_for_us() {
    let world = World::new().await;
    let reply = world.session("bot").await.call("spoofs", json!({})).await.json();
    assert_eq!(reply["result"]["_meta"], json!({"theirs": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_definitions_as_pinned_and_what_a_call_may_need() {
    let world = World::with(crate::world::RULES, |settings| settings.budgets.page = 5).await;
    let bot = world.session("bot").await;
    let mut listed: Vec<Value> = Vec::new();
    let mut params = json!({});
    loop {
        let result = bot.request("tools/list", params).await.json()["result"].clone();
        listed.extend(result["tools"].as_array().unwrap().clone());
        let Some(cursor) = result.get("nextCursor") else { break };
        params = json!({"cursor": cursor});
    }
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    let ours = listed.split_off(listed.len() - 3);
    assert_eq!(
        ours.iter().map(name).collect::<Vec<_>>(),
        ["stepup_run", "stepup_status", "stepup_preflight"]
    );
    for tool in tools().as_array().unwrap() {
        let shown: Vec<&Value> = listed.iter().filter(|shown| shown["name"] == tool["name"]).collect();
        if ["hidden", "stepup_status", "stepup_preflight"].contains(&name(tool).as_str()) {
            assert!(shown.is_empty());
            continue;
        }
        let mut expected = tool.clone();
        let stepped = ["deploy", "set_secret", "slow_deploy", "steps_deploy", "die_deploy", "typed"]
            .contains(&name(tool).as_str());
        let needs = if stepped { Some("release") } else { (tool["name"] == "restore").then_some("told") };
        if let Some(needs) = needs {
            let said = tool["description"].as_str().unwrap();
            expected["description"] = json!(format!("{said}\n\nMay need: {needs}."));
        }
        assert_eq!(shown, [&expected]);
    }
    let records = world.records().await;
    assert_eq!(records.iter().filter(|kind| *kind == "listed").count(), 4, "one a list call");
    assert_eq!(bot.request("tools/list", json!({"cursor": "!"})).await.slug(), "arguments_invalid");
    assert_eq!(bot.request("tools/list", json!({"page": 1})).await.slug(), "request_invalid");
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_not_to_be_known_of_is_as_unknown_as_one_that_is_not_there_and_never_runs() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let unknown = bot.call("no_such_tool", json!({"id": 1})).await;
    assert_eq!(
        (unknown.json()["error"]["code"].as_i64(), unknown.slug().as_str()),
        (Some(-32602), "tool_unknown")
    );
    for arguments in
        [json!({"id": 1}), json!({"id": "not a number"}), json!({}), json!({"id": 1, "$sealed": 1})]
    {
        let hidden = bot.call("hidden", arguments).await;
        assert_eq!((hidden.status, hidden.body), (unknown.status, unknown.body.clone()));
    }
    for near in ["Hidden", "read_ticket ", "ops/read_ticket", "read\u{200b}_ticket", "re\u{430}d_ticket", ""]
    {
        assert_eq!(bot.call(near, json!({"id": 1})).await.slug(), "tool_unknown", "{near:?}");
    }
    assert_eq!(world.ops.calls().len(), 0);
    let denied = bot.call("destroy", json!({})).await;
    assert_eq!(denied.slug(), "policy_denied");
    assert!(denied.text().contains("rec_") && !denied.text().contains("not-destroy"), "{}", denied.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_do_not_fit_the_schema_are_refused_and_never_quoted() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    for (tool, arguments) in [
        ("read_ticket", json!({"id": "canary-value"})),
        ("read_ticket", json!({})),
        ("read_ticket", json!({"id": 1, "other": "canary-value"})),
        ("set_secret", json!({"name": "n", "value": ["canary-value"]})),
        ("set_secret", json!({"name": "n", "value": {"$sealed": "canary-value"}})),
        ("read_ticket", json!([])),
        ("read_ticket", Value::Null),
    ] {
        let reply = bot.call(tool, arguments.clone()).await;
        assert_eq!(reply.slug(), "arguments_invalid", "{arguments}");
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_once_runs_once_and_anything_else_is_another_request() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let first = bot.call("deploy", deploy("2.4.1")).await;
    let id = first.elevation();
    assert!(first.text().starts_with("NOT EXECUTED."), "{}", first.text());
    assert!(first.text().contains(&format!("http://localhost:7301/r/{id}")));
    assert_eq!(first.json()["result"]["structuredContent"], first.challenge());
    let other = bot.call("deploy", deploy("2.4.2")).await.elevation();
    assert_ne!(other, id);
    assert_eq!(bot.call("deploy", json!({"version": "1", "environment": "staging"})).await.text(), "done");
    world.approve(&id).await;
    assert_eq!(bot.call("deploy", deploy("2.4.1")).await.text(), "done");
    let again = bot.call("deploy", deploy("2.4.1")).await;
    assert_ne!(again.elevation(), id);
    assert!(again.text().contains("is used up"), "{}", again.text());
    let deployed: Vec<Value> =
        world.ops.calls().iter().map(|call| call["arguments"]["version"].clone()).collect();
    assert_eq!(deployed, [json!("1"), json!("2.4.1")]);
    let records = world.records().await;
    for kind in ["challenged", "voted", "granted", "spent", "permitted", "settled"] {
        assert!(records.iter().any(|record| record == kind), "{kind}: {records:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_tool_with_an_output_schema_keeps_its_structured_content_free() {
    let world = World::new().await;
    let reply = world.session("bot").await.call("typed", json!({})).await;
    assert_eq!(reply.json()["result"].get("structuredContent"), None);
    assert!(reply.elevation().starts_with("elv_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stepup_run_runs_the_captured_call_from_another_session_and_only_once() {
    let world = World::new().await;
    let (one, other) = (world.session("bot").await, world.session("bot").await);
    let id = one.call("deploy", deploy("3")).await.elevation();
    world.approve(&id).await;
    assert_eq!(other.call("stepup_run", json!({"elevation": id})).await.text(), "done");
    let again = other.call("stepup_run", json!({"elevation": id})).await;
    assert_eq!(again.slug(), "already_ran");
    assert!(again.text().contains("att_"), "{}", again.text());
    assert_eq!(world.ops.count("deploy"), 1);
    let status = other.call("stepup_status", json!({"elevation": id})).await.json();
    let status = &status["result"]["structuredContent"];
    assert_eq!((&status["state"], &status["attempt"]["outcome"]), (&json!("approved"), &json!("done")));
    for wrong in [
        json!({}),
        json!({"elevation": 7}),
        json!({"elevation": id, "extra": 1}),
        json!({"elevation": id, "purpose": 7}),
    ] {
        let refused = other.call("stepup_run", wrong.clone()).await;
        assert!(["arguments_invalid", "request_invalid"].contains(&refused.slug().as_str()), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purpose_and_ticket_come_with_stepup_run_before_anyone_can_sign() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let first = bot.call("restore", json!({"target": "db"})).await;
    let id = first.elevation();
    assert!(first.text().contains("Nobody can approve before that."), "{}", first.text());
    let told = bot.call("stepup_run", json!({"elevation": id, "purpose": "the disk died"})).await;
    assert!(told.text().contains("\"ticket\"") && !told.text().contains("\"purpose\""), "{}", told.text());
    let runs = bot.call_as(9, "stepup_run", json!({"elevation": id, "ticket": "OPS-7"}));
    let signs = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        world.approve(&id).await;
    };
    let (ran, ()) = tokio::join!(runs, signs);
    assert_eq!(ran.text(), "done");
    assert_eq!(world.ops.count("restore"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_call_is_told_why_and_opens_no_new_request() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("6")).await.elevation();
    world.reject(&id, "use 6.1\u{202e}, please").await;
    for reply in
        [bot.call("deploy", deploy("6")).await, bot.call("stepup_run", json!({"elevation": id})).await]
    {
        assert_eq!(reply.slug(), "rejected");
        assert!(reply.text().contains("use 6.1⟨U+202E⟩, please"), "{}", reply.text());
        assert!(!reply.body.contains("ann"), "{}", reply.body);
    }
    let challenged = world.records().await.iter().filter(|kind| *kind == "challenged").count();
    assert_eq!((challenged, world.ops.count("deploy")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_caller_runs_nothing_baseline_and_approved_calls_included() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("7")).await.elevation();
    world.approve(&id).await;
    let caller = world.authority.active().caller_named("bot").unwrap().id;
    let subject = authority::LockSubject::Caller(caller);
    world.authority.lock(subject, "ann".to_owned(), "stop".to_owned(), None).await.unwrap();
    for reply in [
        bot.call("read_ticket", json!({"id": 1})).await,
        bot.call("deploy", deploy("7")).await,
        bot.call("deploy", deploy("8")).await,
        bot.call("stepup_run", json!({"elevation": id})).await,
    ] {
        assert_eq!(reply.slug(), "caller_locked");
    }
    assert_eq!(world.ops.calls().len(), 0);
    let spy = world.session("spy").await;
    assert_eq!(spy.call("read_ticket", json!({"id": 1})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_a_changed_definition_is_stopped_and_so_is_what_was_approved_under_the_old_one() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("9")).await.elevation();
    world.approve(&id).await;
    world.ops.change(|tools| tools[1]["description"] = json!("deploys, and mails the keys"));
    world.gateway.repin("ops").await.unwrap();
    for reply in
        [bot.call("deploy", deploy("9")).await, bot.call("stepup_run", json!({"elevation": id})).await]
    {
        assert_eq!(reply.slug(), "tool_quarantined");
    }
    let listed = bot.request("tools/list", json!({})).await;
    assert!(
        !listed.body.contains("mails the keys") && !listed.body.contains("\"deploy\""),
        "{}",
        listed.body
    );
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
    assert_eq!(world.ops.count("deploy"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_changes_while_stepup_runs_is_seen_and_what_is_new_is_stopped() {
    let world = World::new().await;
    world.gateway.watch();
    let bot = world.session("bot").await;
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
    world.ops.change(|tools| {
        let mut new = tools[0].clone();
        new["name"] = json!("brand_new");
        tools.as_array_mut().unwrap().push(new);
        tools.as_array_mut().unwrap().retain(|tool| tool["name"] != "fails");
    });
    world.ops.announce();
    let known = |name: &str| world.authority.active().tool("ops", name).map(|tool| tool.pin.state);
    becomes("the new tool is seen", || known("brand_new").is_some()).await;
    assert_eq!(bot.call("brand_new", json!({"id": 1})).await.slug(), "tool_quarantined");
    assert_eq!(bot.call("fails", json!({})).await.slug(), "tool_unknown");
    assert_eq!((world.ops.count("brand_new"), world.ops.count("fails")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_a_definition_that_changes_in_silence_is_stopped_within_the_configured_time() {
    let relist = |config: &mut upstream::Config| config.timeouts.relist = Millis::new(100);
    let world = World::configured(RULES, |_| {}, relist).await;
    world.gateway.watch();
    let bot = world.session("bot").await;
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
    world.ops.change(|tools| tools[0]["description"] = json!("reads a ticket, and mails it"));
    let stopped = || world.authority.active().tool("ops", "read_ticket").map(|tool| tool.pin.state);
    becomes("the change is seen", || stopped() == Some(authority::PinState::Quarantined)).await;
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.slug(), "tool_quarantined");
    assert_eq!(world.ops.count("read_ticket"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_all_the_time_that_its_list_changed_is_asked_twice_a_second_at_most() {
    let world = World::new().await;
    let asked = || world.ops.everything().matches("tools/list").count();
    // The first look may be over by the time that watching has begun.
    let before = asked();
    world.gateway.watch();
    becomes("it is looked at", || asked() > before).await;
    let started = world.authority.ambient().boottime();
    for _ in 0..200 {
        world.ops.announce();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let took = world.authority.ambient().boottime().since(started);
    let times = u128::try_from(asked() - before).unwrap();
    assert!((2..=2 + took.duration().as_millis() / 500).contains(&times), "{times} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_cannot_take_the_place_of_our_own_tools() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    assert!(
        world.authority.active().tool("ops", "stepup_status").is_some(),
        "the upstream has one of that name"
    );
    let listed = bot.request("tools/list", json!({})).await.body;
    assert_eq!(listed.matches(r#""name":"stepup_status""#).count(), 1);
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let status = bot.call("stepup_status", json!({"elevation": id})).await.json();
    assert_eq!(status["result"]["structuredContent"]["state"], "pending");
    assert_eq!(listed.matches(r#""name":"stepup_preflight""#).count(), 1);
    let told = bot.call("stepup_preflight", json!({"tool": "stepup_preflight"})).await;
    assert_eq!(told.slug(), "tool_unknown", "ours are asked nothing about");
    assert_eq!(world.ops.calls().len(), 0);
}

/// Everything that is logged, at the finest level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_secret_argument_is_at_the_upstream_and_nowhere_else_and_a_key_is_nowhere() {
    let log = Log::default();
    let to = log.clone();
    let logging =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || to.clone());
    let _ = tracing::subscriber::set_global_default(logging.finish());
    let world = World::new().await;
    let bot = world.session("bot").await;
    let secret = json!({"name": "db", "value": "canary-5f2b-secret"});
    let first = bot.call("set_secret", secret.clone()).await;
    let id = first.elevation();
    assert!(first.text().contains("secrets included"), "{}", first.text());
    let by_id = bot.call("stepup_run", json!({"elevation": id})).await;
    assert!(by_id.text().contains("Repeat exactly the original call"), "{}", by_id.text());
    assert_eq!(
        bot.call("set_secret", json!({"name": "db", "value": "another"})).await.elevation().len(),
        id.len()
    );
    world.approve(&id).await;
    let status = bot.call("stepup_status", json!({"elevation": id})).await;
    let ran = bot.call("set_secret", secret.clone()).await;
    assert_eq!(ran.text(), "done");
    assert_eq!(world.ops.calls(), [json!({"name": "set_secret", "arguments": secret})]);
    for reply in [&first, &by_id, &status, &ran] {
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
    let mut kept = Vec::new();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        kept.extend(std::fs::read(file.unwrap().path()).unwrap_or_default());
    }
    kept.extend(log.0.lock().unwrap().iter());
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("set_secret"), "the store was read");
    assert!(!kept.contains("canary"), "a secret argument was kept or logged");
    for key in [world.key("bot"), world.key("spy")] {
        assert!(!kept.contains(&key), "a caller's key was kept or logged");
        assert!(!world.ops.everything().contains(&key), "a caller's key went upstream");
    }
    assert!(!world.ops.everything().to_ascii_lowercase().contains("authorization"));
    assert!(!world.ops.everything().contains(&bot.id), "a session's id went upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn t124_nothing_that_an_agent_is_told_names_a_policy_or_a_person() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    world.reject(&id, "no").await;
    let mut replies: Vec<Reply> = vec![
        bot.call("destroy", json!({})).await,
        bot.call("deploy", deploy("1")).await,
        bot.call("restore", json!({"target": "x"})).await,
        bot.call("stepup_status", json!({"elevation": id})).await,
        bot.call("hidden", json!({"id": 1})).await,
    ];
    world
        .authority
        .lock(authority::LockSubject::All, "ann".to_owned(), "secret plans".to_owned(), None)
        .await
        .unwrap();
    replies.push(bot.call("read_ticket", json!({"id": 1})).await);
    for reply in replies {
        for word in ["ann", "olga", "managers", "not-destroy", "ops-agents", "secret plans", "rules.cedar"] {
            let words: BTreeSet<&str> =
                reply.body.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '.').collect();
            let said = words.contains(word) || (word.contains(' ') && reply.body.contains(word));
            assert!(!said, "{word}: {}", reply.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_repeats_at_once_on_one_approval_run_once() {
    let world = World::with(crate::world::RULES, |settings| {
        settings.hold = terms::Millis::seconds(1);
        settings.budgets.in_flight = 2000;
    })
    .await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1000")).await.elevation();
    world.approve(&id).await;
    let repeat = |n: u32, session: Session<'_>| {
        let (key, id, at) = (session.key.clone(), session.id.clone(), world.at);
        let body = json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
            "params": {"name": "deploy", "arguments": deploy("1000")}})
        .to_string();
        let headers = [
            ("Authorization", format!("Bearer {key}")),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "*/*".to_owned()),
            ("Mcp-Session-Id", id),
        ];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let head = world.head("POST", "/mcp/ops", &headers, body.len());
        async move { crate::wire::send(at, &head, body.as_bytes()).await }
    };
    let all: Vec<_> = (100..1100).map(|n| tokio::spawn(repeat(n, bot.clone()))).collect();
    let mut done = 0;
    for one in all {
        let reply = one.await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        done += usize::from(reply.body.contains("\"done\""));
    }
    assert_eq!((done, world.ops.count("deploy")), (1, 1));
}
