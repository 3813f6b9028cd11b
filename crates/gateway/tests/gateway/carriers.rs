//! How a stopped call is told, and comes back (standards 1.6, decisions A23; MCP 2026-07-28, multi round-trip requests;
//! MCP 2025-11-25, elicitation).

use gateway::Pin;
use serde_json::{Value, json};
use terms::Millis;

use crate::modern::Modern;
use crate::wire::Reply;
use crate::world::{RULES, World, deploy};

const CHALLENGE: &str = "dev.stepup/challenge";

fn can_open() -> Value {
    json!({"elicitation": {"url": {}}})
}

fn can_fill() -> Value {
    json!({"elicitation": {}})
}

/// A world in which nobody waits for long.
async fn hasty() -> World {
    World::with(RULES, |settings| settings.hold = Millis::new(50)).await
}

fn result(reply: &Reply) -> Value {
    let told = reply.json();
    assert!(told["result"].is_object(), "{}", reply.body);
    told["result"].clone()
}

/// The state of a call that is asked to come back.
fn state(reply: &Reply) -> String {
    let result = result(reply);
    assert_eq!(result["resultType"], "input_required", "{}", reply.body);
    result["requestState"].as_str().unwrap().to_owned()
}

fn elevation(reply: &Reply) -> String {
    result(reply)["_meta"][CHALLENGE]["elevation"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", reply.body))
        .to_owned()
}

fn opened(action: &str) -> Value {
    json!({"stepup_open": {"action": action}})
}

/// The same call again, with what it was given.
fn back(tool: &str, arguments: Value, state: &str, responses: Value) -> Value {
    json!({"name": tool, "arguments": arguments, "requestState": state, "inputResponses": responses})
}

async fn state_of(caller: &Modern<'_>, elevation: &str) -> String {
    let told = caller.call("stepup_status", json!({"elevation": elevation})).await.json();
    told["result"]["structuredContent"]["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_can_open_an_address_is_asked_once_and_its_call_runs_when_it_is_approved() {
    let world = World::new().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    let stopped = bot.call("deploy", deploy("1")).await;
    let (told, id) = (result(&stopped), elevation(&stopped));
    let asked = &told["inputRequests"]["stepup_open"];
    assert_eq!((&asked["method"], &asked["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    assert_eq!(asked["params"]["url"], format!("http://localhost:7301/r/{id}"));
    let words = told["_meta"][CHALLENGE]["words"].as_str().unwrap();
    assert!(asked["params"]["message"].as_str().unwrap().contains(words), "{asked}");
    assert_eq!(world.ops.calls().len(), 0);
    let again = back("deploy", deploy("1"), &state(&stopped), opened("accept"));
    let (ran, ()) = tokio::join!(bot.ask("tools/call", again), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.approve(&id).await;
    });
    assert_eq!((ran.text().as_str(), &result(&ran)["resultType"]), ("done", &json!("complete")));
    assert_eq!(world.ops.count("deploy"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_a_call_comes_back_so_often_and_then_is_told_as_any_other() {
    let world = hasty().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    let mut reply = bot.call("deploy", deploy("1")).await;
    let id = elevation(&reply);
    let mut rounds = 0;
    loop {
        reply = bot.ask("tools/call", back("deploy", deploy("1"), &state(&reply), opened("accept"))).await;
        assert_eq!(elevation(&reply), id, "the same request");
        rounds += 1;
        if result(&reply)["resultType"] == "complete" {
            break;
        }
        assert_eq!(result(&reply).get("inputRequests"), None, "nobody is asked again");
    }
    assert_eq!(rounds, 8);
    assert!(reply.text().contains("A request for it is waiting."), "{}", reply.text());
    world.approve(&id).await;
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_open_it_is_told_and_the_request_stays() {
    let world = World::new().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    for action in ["decline", "cancel"] {
        let stopped = bot.call("deploy", deploy(action)).await;
        let id = elevation(&stopped);
        let told =
            bot.ask("tools/call", back("deploy", deploy(action), &state(&stopped), opened(action))).await;
        assert_eq!(told.elevation(), id);
        assert!(told.text().starts_with("NOT EXECUTED"), "{}", told.text());
        assert_eq!(state_of(&bot, &id).await, "pending");
        // Not even an approval makes a declined call run.
        world.approve(&id).await;
        let late =
            bot.ask("tools/call", back("deploy", deploy(action), &state(&stopped), opened(action))).await;
        assert_eq!(late.elevation(), id);
        assert!(!world.ops.calls().iter().any(|call| call["arguments"] == deploy(action)));
        let state = state(&stopped);
        let again = bot.ask("tools/call", back("deploy", deploy(action), &state, opened("accept"))).await;
        assert_eq!(again.text(), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_said_is_asked_for_in_a_form_and_is_on_the_request() {
    let world = hasty().await;
    let bot = Modern::who_can(&world, "bot", can_fill());
    let arguments = json!({"target": "db"});
    let stopped = bot.call("restore", arguments.clone()).await;
    let id = elevation(&stopped);
    let asked = &result(&stopped)["inputRequests"]["stepup_say"];
    assert_eq!((&asked["method"], &asked["params"]["mode"]), (&json!("elicitation/create"), &json!("form")));
    assert_eq!(asked["params"]["requestedSchema"]["required"], json!(["purpose", "ticket"]));
    let say = |content: Value| json!({"stepup_say": {"action": "accept", "content": content}});
    // What is missing is asked for again, and only that.
    let half = back("restore", arguments.clone(), &state(&stopped), say(json!({"purpose": "the disk died"})));
    let half = bot.ask("tools/call", half).await;
    assert_eq!(
        result(&half)["inputRequests"]["stepup_say"]["params"]["requestedSchema"]["required"],
        json!(["ticket"])
    );
    for wrong in
        [json!({"ticket": 7}), json!({"ticket": ""}), json!({"ticket": "x".repeat(300)}), json!(["ticket"])]
    {
        let reply = bot
            .ask("tools/call", back("restore", arguments.clone(), &state(&half), say(wrong.clone())))
            .await;
        assert_eq!(
            (reply.slug().as_str(), &reply.json()["error"]["code"]),
            ("arguments_invalid", &json!(-32602)),
            "{wrong}"
        );
    }
    let whole = back("restore", arguments.clone(), &state(&half), say(json!({"ticket": "OPS-1"})));
    let whole = bot.ask("tools/call", whole).await;
    assert_eq!(result(&whole).get("inputRequests"), None, "{}", whole.body);
    assert_eq!(elevation(&whole), id);
    let request = format!("{:?}", world.authority.inbox(world.ann).await.unwrap());
    assert!(request.contains("the disk died") && request.contains("OPS-1"), "{request}");
    world.approve(&id).await;
    let ran = bot.ask("tools/call", back("restore", arguments, &state(&whole), json!({}))).await;
    assert_eq!(ran.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_a_state_that_was_not_given_to_this_caller_is_refused_recorded_and_reaches_nothing() {
    let world = World::new().await;
    let (bot, spy) = (Modern::who_can(&world, "bot", can_open()), Modern::who_can(&world, "spy", can_open()));
    let stopped = bot.call("deploy", deploy("1")).await;
    let given = state(&stopped);
    world.approve(&elevation(&stopped)).await;
    let mut forged = given.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let cases = [
        (&spy, json!(given)),
        (&bot, json!(forged)),
        (&bot, json!("")),
        (&bot, json!(7)),
        (&bot, json!(null)),
    ];
    for (who, state) in cases {
        let mut params = back("deploy", deploy("1"), "", opened("accept"));
        params["requestState"] = state.clone();
        let denied = async || world.records().await.iter().filter(|kind| *kind == "denied").count();
        let before = denied().await;
        let reply = who.ask("tools/call", params).await;
        assert_eq!((reply.status, reply.slug().as_str()), (200, "state_invalid"), "{state}: {}", reply.body);
        assert_eq!(reply.json()["error"]["code"], -32602);
        assert!(reply.json()["error"]["data"]["record"].is_string(), "{state}");
        assert_eq!(denied().await, before + 1, "{state} is not recorded");
    }
    // Answers by themselves are nothing.
    let alone = json!({"name": "deploy", "arguments": deploy("2"), "inputResponses": opened("accept")});
    assert_ne!(elevation(&bot.ask("tools/call", alone).await), elevation(&stopped));
    let wrong =
        json!({"name": "deploy", "arguments": deploy("1"), "inputResponses": [1], "requestState": given});
    assert_eq!(bot.ask("tools/call", wrong).await.slug(), "request_invalid");
    assert_eq!(world.ops.count("deploy"), 0);
    let right = bot.ask("tools/call", back("deploy", deploy("1"), &given, opened("accept"))).await;
    assert_eq!(right.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_with_other_arguments_a_state_is_nothing_and_nothing_is_used_up() {
    let world = World::new().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    let stopped = bot.call("deploy", deploy("1")).await;
    world.approve(&elevation(&stopped)).await;
    let other = bot.ask("tools/call", back("deploy", deploy("2"), &state(&stopped), opened("accept"))).await;
    assert_ne!(elevation(&other), elevation(&stopped), "another call has a request of its own");
    assert_eq!(world.ops.count("deploy"), 0);
    let again = bot.ask("tools/call", back("deploy", deploy("1"), &state(&stopped), opened("accept"))).await;
    assert_eq!(again.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_no_approval_and_the_same_one_runs_nothing_twice() {
    let world = hasty().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    let stopped = bot.call("deploy", deploy("1")).await;
    let (id, given) = (elevation(&stopped), state(&stopped));
    let early = bot.ask("tools/call", back("deploy", deploy("1"), &given, opened("accept"))).await;
    assert_eq!(result(&early)["resultType"], "input_required", "agreeing to open it approves nothing");
    world.approve(&id).await;
    assert_eq!(
        bot.ask("tools/call", back("deploy", deploy("1"), &given, opened("accept"))).await.text(),
        "done"
    );
    let twice = bot.ask("tools/call", back("deploy", deploy("1"), &given, opened("accept"))).await;
    assert_ne!(twice.json()["result"]["content"][0]["text"], "done", "{}", twice.body);
    assert_eq!(world.ops.count("deploy"), 1);
    let rejected = bot.call("deploy", deploy("2")).await;
    world.reject(&elevation(&rejected), "not today").await;
    let told = bot.ask("tools/call", back("deploy", deploy("2"), &state(&rejected), opened("accept"))).await;
    assert_eq!(told.slug(), "rejected");
    assert!(told.text().contains("not today"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_call_comes_back_in_the_same_way() {
    let world = World::new().await;
    let bot = Modern::who_can(&world, "bot", can_open());
    let id = elevation(&bot.call("deploy", deploy("1")).await);
    let arguments = json!({"elevation": id});
    let stopped = bot.call("stepup_run", arguments.clone()).await;
    let given = state(&stopped);
    world.approve(&id).await;
    assert_eq!(
        bot.ask("tools/call", back("stepup_run", arguments, &given, opened("accept"))).await.text(),
        "done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_session_of_2025_11_25_it_is_said_what_to_open_first_and_a_repeat_waits() {
    let world = World::new().await;
    let bot = world.session_who_can("bot", "2025-11-25", can_open()).await;
    let told = bot.call("deploy", deploy("1")).await.json();
    assert_eq!(told["error"]["code"], -32042, "{told}");
    let asked = &told["error"]["data"]["elicitations"][0];
    let id = asked["elicitationId"].as_str().unwrap().to_owned();
    assert_eq!(
        (&asked["mode"], &asked["url"]),
        (&json!("url"), &json!(format!("http://localhost:7301/r/{id}")))
    );
    assert_eq!(told["error"]["data"][CHALLENGE]["elevation"], json!(id));
    assert_eq!(told["error"]["data"]["slug"], "approval_required");
    let (ran, ()) = tokio::join!(bot.call("deploy", deploy("1")), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.approve(&id).await;
    });
    assert_eq!(ran.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_not_say_that_it_can_is_not_asked_of_it() {
    let world = World::new().await;
    for can in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"url": false}}),
    ] {
        let bot = Modern::who_can(&world, "bot", can.clone());
        assert!(bot.call("deploy", deploy(&can.to_string())).await.challenge().is_object(), "{can}");
    }
    for (revision, can) in [("2025-06-18", can_open()), ("2025-11-25", can_fill()), ("2025-11-25", json!({}))]
    {
        let bot = world.session_who_can("bot", revision, can.clone()).await;
        assert!(
            bot.call("deploy", deploy(&format!("{revision} {can}"))).await.challenge().is_object(),
            "{revision} {can}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_word_counts_more_than_a_clients() {
    let world = World::with(RULES, |settings| {
        settings.carriers.insert("bot".to_owned(), Pin::ToolError);
        settings.carriers.insert("spy".to_owned(), Pin::Hold);
    })
    .await;
    let bot = Modern::who_can(&world, "bot", can_open());
    assert!(bot.call("deploy", deploy("1")).await.challenge().is_object());
    assert!(bot.call("deploy", deploy("1")).await.challenge().is_object(), "and nobody waits");
    let spy = world.session_who_can("spy", "2025-11-25", can_open()).await;
    let id = spy.call("deploy", deploy("1")).await.elevation();
    let (ran, ()) = tokio::join!(spy.call("deploy", deploy("1")), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        world.approve(&id).await;
    });
    assert_eq!(ran.text(), "done", "a repeat waits");
}

/// The question on a call's stream, after its notices.
async fn question(open: &mut crate::wire::Open) -> Value {
    loop {
        let message = open.message().await.expect("the stream ended without a question");
        if message.get("id").is_some() {
            assert_eq!(message["method"], "elicitation/create", "{message}");
            return message;
        }
    }
}

/// The answer on a call's stream, after its notices.
async fn answer(open: &mut crate::wire::Open) -> Value {
    loop {
        let message = open.message().await.expect("the stream ended without an answer");
        if message.get("method").is_none() {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_said_is_asked_within_a_call_of_a_session_that_then_goes_on() {
    let world = World::new().await;
    for (revision, n) in [("2025-06-18", 1), ("2025-11-25", 2)] {
        let bot = world.session_who_can("bot", revision, can_fill()).await;
        // No progress token: the answer becomes a stream because there is something to ask.
        let mut open = bot.open(7, "restore", json!({"target": revision})).await;
        assert_eq!(open.header("content-type"), Some("text/event-stream"));
        let asked = question(&mut open).await;
        assert_eq!(asked["params"].get("mode").is_some(), revision == "2025-11-25");
        assert_eq!(asked["params"]["requestedSchema"]["required"], json!(["purpose", "ticket"]));
        let said = json!({"action": "accept", "content": {"purpose": "the disk died", "ticket": "OPS-1"}});
        let reply = bot.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": said})).await;
        assert_eq!((reply.status, reply.body.as_str()), (202, ""));
        // It waits as a repeat does: the person was there, and said what nobody could approve without.
        let request = async || world.authority.inbox(world.ann).await.unwrap();
        for _ in 0..100 {
            if format!("{:?}", request().await).contains("the disk died") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let id = request().await[0].0.request.id.to_string();
        world.approve(&id).await;
        assert_eq!(answer(&mut open).await["result"]["content"][0]["text"], "done");
        assert_eq!(world.ops.count("restore"), n);
        let twice = bot.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": said})).await;
        assert_eq!(
            (twice.status, twice.slug().as_str()),
            (400, "request_invalid"),
            "a question is answered once"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_heard_is_asked_to_open_the_request_and_waits_for_it() {
    let world = World::new().await;
    let bot = world.session_who_can("bot", "2025-11-25", can_open()).await;
    let mut open = bot.listen(7, "deploy", deploy("1")).await;
    let asked = question(&mut open).await;
    let id = asked["params"]["elicitationId"].as_str().unwrap().to_owned();
    assert_eq!(
        (&asked["params"]["mode"], &asked["params"]["url"]),
        (&json!("url"), &json!(format!("http://localhost:7301/r/{id}")))
    );
    let agreed = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "accept"}});
    assert_eq!(bot.send(&agreed).await.status, 202);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(world.ops.count("deploy"), 0, "agreeing to open it approves nothing");
    world.approve(&id).await;
    assert_eq!(answer(&mut open).await["result"]["content"][0]["text"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_is_answered_the_call_is_told_as_any_other_and_runs_nothing() {
    let world = World::new().await;
    let bot = world.session_who_can("bot", "2025-11-25", can_open()).await;
    let answers = [
        json!({"result": {"action": "decline"}}),
        json!({"result": {"action": "cancel"}}),
        json!({"result": {"action": "yes"}}),
        json!({"result": {}}),
        json!({"result": null}),
        json!({"result": {"action": "accept", "content": 7}}),
        json!({"error": {"code": -32601, "message": "no"}}),
    ];
    for (n, mut said) in answers.into_iter().enumerate() {
        let mut open = bot.listen(7, "deploy", deploy(&n.to_string())).await;
        let asked = question(&mut open).await;
        said["jsonrpc"] = json!("2.0");
        said["id"] = asked["id"].clone();
        assert_eq!(bot.send(&said).await.status, 202, "{said}");
        let told = answer(&mut open).await;
        assert_eq!(told["result"]["isError"], true, "{said}: {told}");
        assert_eq!(told["result"]["_meta"][CHALLENGE]["elevation"], asked["params"]["elicitationId"]);
    }
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t22_nobody_answers_for_another_and_not_what_was_not_asked() {
    let world = World::new().await;
    let bot = world.session_who_can("bot", "2025-11-25", can_open()).await;
    let (spy, own) = (world.session("spy").await, world.session("bot").await);
    let mut open = bot.listen(7, "deploy", deploy("1")).await;
    let asked = question(&mut open).await;
    let agreed = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}});
    for other in [&spy, &own] {
        let reply = other.send(&agreed).await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "request_invalid"));
    }
    for id in [json!(7), json!("7"), json!(0)] {
        let reply = bot.send(&json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept"}})).await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "request_invalid"), "{id}");
    }
    // Whoever takes the call back takes its request back, while it is asked as while it waits.
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(bot.send(&cancel).await.status, 202);
    assert_eq!(answer(&mut open).await["result"]["_meta"]["dev.stepup/refusal"]["slug"], "withdrawn");
    assert_eq!(bot.send(&agreed).await.status, 400, "nobody asks any more");
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drafts_data_stand_beside_each_way_of_telling_and_only_where_they_are_wanted() {
    let (place, short) = ("io.modelcontextprotocol/authorization", "authorization");
    for wanted in [true, false] {
        let world = World::with(RULES, |settings| settings.denial_data = wanted).await;
        let [asked, told] = [can_open(), json!({})].map(|can| Modern::who_can(&world, "bot", can));
        let session = world.session_who_can("bot", "2025-11-25", can_open()).await;
        let replies = [
            asked.call("deploy", deploy("1")).await.json()["result"]["_meta"][place].clone(),
            told.call("deploy", deploy("2")).await.json()["result"]["_meta"][place].clone(),
            session.call("deploy", deploy("3")).await.json()["error"]["data"][short].clone(),
        ];
        for denial in replies {
            if !wanted {
                assert_eq!(denial, Value::Null);
                continue;
            }
            let id = denial["authorizationContextId"].as_str().unwrap();
            let hints = json!([{"type": "url", "url": format!("http://localhost:7301/r/{id}")}]);
            let expected = json!({"reason": "insufficient_authorization", "authorizationContextId": id,
                "remediation": "available", "remediationHints": hints});
            assert_eq!(denial, expected);
        }
    }
}
