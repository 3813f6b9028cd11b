//! An upstream that asks before it goes on with a permitted call (MCP 2026-07-28, multi round-trip requests; decisions A8,
//! threats T32 and T33).

use serde_json::{Value, json};
use terms::Millis;
use upstream::Eras;

use crate::live::can;
use crate::modern::Modern;
use crate::ops::{Ops, STATE};
use crate::wire::Reply;
use crate::world::{RULES, World};

const ASKING: [&str; 6] = ["wipe", "wipe_all", "endless", "samples", "opens_own", "wants_more"];

/// A world whose upstream speaks the modern era, and asks.
async fn world() -> World {
    let ops = Ops::start().await;
    ops.offer(&ASKING);
    let rules = format!(
        "{RULES}\n@id(\"wipe-all\") @stepup(\"release\") forbid (principal, action == Action::\"tools/call:ops/wipe_all\", resource);"
    );
    let settle = |settings: &mut gateway::Settings| settings.hold = Millis::new(100);
    World::upon(ops, &rules, settle, |config| config.era = Eras::Modern).await
}

fn asked(reply: &Reply) -> (Value, String) {
    let result = &reply.json()["result"];
    assert_eq!(result["resultType"], "input_required", "{}", reply.body);
    (result["inputRequests"].clone(), result["requestState"].as_str().unwrap().to_owned())
}

fn sure(action: &str) -> Value {
    json!({"sure": {"action": action, "content": {"rest": true}}})
}

fn back(tool: &str, state: &str, responses: Value) -> Value {
    json!({"name": tool, "arguments": {}, "requestState": state, "inputResponses": responses})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_asks_is_passed_on_and_what_is_answered_comes_back_with_its_own_state() {
    let world = world().await;
    let bot = Modern::who_can(&world, "bot", can());
    let first = bot.call("wipe", json!({})).await;
    let (asks, state) = asked(&first);
    assert_eq!(asks["sure"]["params"]["message"], "Delete the rest too?");
    assert!(!first.body.contains("their"), "what is the upstream's own is nobody's to read");
    let ran = bot.ask("tools/call", back("wipe", &state, sure("accept"))).await;
    assert_eq!(ran.text(), "wiped");
    let calls = world.ops.calls();
    let declared = &calls[0]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(declared, &json!({"elicitation": {"form": {}}, "sampling": {}}), "both have to allow it");
    assert_eq!((&calls[1]["inputResponses"], &calls[1]["requestState"]), (&sure("accept"), &json!(STATE)));
    let permitted = world.records().await.iter().filter(|kind| *kind == "permitted").count();
    assert_eq!(permitted, 2, "each round is an access of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_what_is_answered_needs_an_approval_of_its_own_wherever_the_call_did() {
    let world = world().await;
    let bot = Modern::who_can(&world, "bot", json!({"elicitation": {"form": {}}}));
    let id = bot.call("wipe_all", json!({})).await.elevation();
    world.approve(&id).await;
    let (_, state) = asked(&bot.call("wipe_all", json!({})).await);
    assert_eq!(world.ops.count("wipe_all"), 1);
    // "Delete the rest too?": nobody approved that yet.
    let stopped = bot.ask("tools/call", back("wipe_all", &state, sure("accept"))).await;
    let (none, held) = asked(&stopped);
    assert_eq!(none, Value::Null, "it is only to come back");
    let second =
        stopped.json()["result"]["_meta"]["dev.stepup/challenge"]["elevation"].as_str().unwrap().to_owned();
    assert_ne!(second, id);
    assert_eq!(world.ops.count("wipe_all"), 1, "an answer went out that nobody approved");
    let card = format!("{:?}", world.authority.inbox(world.ann).await.unwrap());
    assert!(card.contains("continues: › inputs › sure › content › rest"), "{card}");
    assert!(card.contains("Delete the rest too?"), "nobody can read an answer without its question: {card}");
    // Another answer is another request.
    let other = bot
        .ask(
            "tools/call",
            back("wipe_all", &state, json!({"sure": {"action": "accept", "content": {"rest": false}}})),
        )
        .await;
    let third =
        other.json()["result"]["_meta"]["dev.stepup/challenge"]["elevation"].as_str().unwrap().to_owned();
    assert_ne!(third, second);
    world.approve(&second).await;
    let ran = bot.ask("tools/call", back("wipe_all", &held, json!({}))).await;
    assert_eq!(ran.text(), "wiped", "{}", ran.body);
    let calls = world.ops.calls();
    assert_eq!((calls.len(), &calls[1]["inputResponses"]), (2, &sure("accept")));
    let again = bot.ask("tools/call", back("wipe_all", &held, json!({}))).await;
    assert_eq!(world.ops.count("wipe_all"), 2, "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_a_state_is_good_for_its_own_call_and_its_own_caller() {
    let world = world().await;
    let bot = Modern::who_can(&world, "bot", can());
    let (_, state) = asked(&bot.call("wipe", json!({})).await);
    let stolen =
        Modern::who_can(&world, "spy", can()).ask("tools/call", back("wipe", &state, sure("accept"))).await;
    assert_eq!(stolen.slug(), "state_invalid");
    // Of another call it is nothing, and neither is what came with it.
    let other = bot.ask("tools/call", back("endless", &state, sure("accept"))).await;
    asked(&other);
    let last = world.ops.calls().pop().unwrap();
    assert_eq!((last.get("inputResponses"), last.get("requestState")), (None, None), "{last}");
    let alone = json!({"name": "wipe", "arguments": {}, "inputResponses": sure("accept")});
    asked(&bot.ask("tools/call", alone).await);
    let last = world.ops.calls().pop().unwrap();
    assert_eq!(last.get("inputResponses"), None, "an answer went out that was not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_an_upstream_asks_so_often_and_no_more() {
    let world = world().await;
    let bot = Modern::who_can(&world, "bot", can());
    let mut reply = bot.call("endless", json!({})).await;
    let mut rounds = 0;
    while reply.json()["result"]["resultType"] == "input_required" {
        let (_, state) = asked(&reply);
        rounds += 1;
        reply = bot.ask("tools/call", back("endless", &state, sure("accept"))).await;
    }
    assert_eq!((rounds, reply.slug().as_str()), (10, "upstream_needs_feature"));
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_what_may_not_be_asked_goes_nowhere() {
    let world = world().await;
    let all = Modern::who_can(&world, "bot", can());
    let (sampling, _) = asked(&all.call("samples", json!({})).await);
    assert_eq!(sampling["sure"]["method"], "sampling/createMessage");
    // An address of its own is not passed on unless the operator lets it, whatever a client can.
    let own = all.call("opens_own", json!({})).await;
    assert_eq!(own.slug(), "upstream_needs_feature");
    assert!(!own.body.contains("canary"), "{}", own.body);
    let none = Modern::new(&world, "bot");
    for tool in ["wipe", "samples", "opens_own"] {
        let reply = none.call(tool, json!({})).await;
        assert_eq!(reply.slug(), "upstream_needs_feature", "{tool}");
        assert!(reply.text().contains("what it did until then is done"), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_would_have_to_be_capable_of_is_told_in_the_words_of_its_era() {
    let world = world().await;
    let modern = Modern::new(&world, "bot").call("wants_more", json!({})).await;
    let error = &modern.json()["error"];
    assert_eq!((modern.status, &error["code"]), (400, &json!(-32021)), "{}", modern.body);
    assert_eq!(error["data"]["requiredCapabilities"], json!({"roots": {}}));
    let legacy = world.session("bot").await.call("wants_more", json!({})).await;
    assert_eq!(legacy.slug(), "upstream_needs_feature");
    assert!(legacy.text().contains("Needed: roots."), "{}", legacy.text());
}

/// A world whose upstream asks what a test wants it to ask, and may ask for whatever can be asked.
async fn world_of_turns() -> World {
    let ops = Ops::start().await;
    ops.offer(&["turns"]);
    let configure = |config: &mut upstream::Config| {
        config.era = Eras::Modern;
        config.asks = terms::Abilities { form: true, url: true, sampling: true, roots: true };
    };
    World::upon(ops, RULES, |_| {}, configure).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_asks_of_a_model_takes_no_more_in_rounds_than_in_a_session() {
    let world = world_of_turns().await;
    let bot = Modern::who_can(&world, "bot", can());
    let sampling = |more: Value| {
        let mut params = json!({"messages": [], "maxTokens": 5, "temperature": 0.5});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"turns": [{"a": {"method": "sampling/createMessage", "params": params, "task": {}}}]})
    };
    let (asks, _) =
        asked(&bot.call("turns", sampling(json!({"includeContext": "allServers", "task": {}}))).await);
    let left = json!({"messages": [], "maxTokens": 5, "temperature": 0.5});
    assert_eq!(
        asks,
        json!({"a": {"method": "sampling/createMessage", "params": left}}),
        "of no other server's words"
    );
    for more in [json!({"tools": []}), json!({"toolChoice": {"mode": "auto"}})] {
        let reply = bot.call("turns", sampling(more.clone())).await;
        refused(&reply, &more);
    }
}

fn refused(reply: &Reply, what: &Value) {
    assert_eq!(reply.slug(), "upstream_needs_feature", "{what}: {}", reply.body);
    assert!(reply.text().contains("in a form that is not passed on"), "{}", reply.text());
    assert!(!reply.body.contains("canary") && !reply.body.contains("inputRequests"), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_no_upstream_asks_under_a_name_of_ours_or_has_anything_but_a_page_opened() {
    let world = world_of_turns().await;
    let bot = Modern::who_can(&world, "bot", can());
    let session = world.session_who_can("bot", "2025-11-25", can()).await;
    let form =
        json!({"method": "elicitation/create", "params": {"message": "canary", "requestedSchema": {}}});
    let opens = |url: Value| {
        let params = json!({"mode": "url", "url": url, "message": "canary"});
        json!({"method": "elicitation/create", "params": params})
    };
    let named =
        ["stepup_open", "stepup_say", "stepup", "Stepup_open"].map(|name| json!({name: form, "b": form}));
    let addresses = [
        "javascript:alert(1)//https://a",
        "JavaScript:alert(1)",
        " https://canary.example",
        "data:text/html,canary",
        "file:///etc/passwd",
        "https:canary.example",
        "stepup://canary",
        "",
    ];
    let addressed = addresses.map(|url| json!({"a": form, "b": opens(json!(url))}));
    let unaddressed =
        [json!({"b": opens(Value::Null)}), json!({"b": opens(json!(["https://canary.example"]))})];
    for asks in named.into_iter().chain(addressed).chain(unaddressed) {
        let turns = json!({"turns": [asks]});
        refused(&bot.call("turns", turns.clone()).await, &asks);
        refused(&session.call("turns", turns).await, &asks);
    }
    for url in ["https://canary.example", "HTTP://canary.example"] {
        let one = json!({"b": opens(json!(url))});
        let (asks, _) = asked(&bot.call("turns", json!({"turns": [one]})).await);
        assert_eq!(asks, one);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_our_own_questions_are_those_that_no_upstream_has() {
    let world = World::with(RULES, |_| {}).await;
    let bot = Modern::who_can(&world, "bot", can());
    for (tool, arguments) in [("deploy", crate::world::deploy("1")), ("restore", json!({"target": "a"}))] {
        let (asks, _) = asked(&bot.call(tool, arguments).await);
        assert!(asks.as_object().unwrap().keys().all(|name| name.starts_with("stepup")), "{asks}");
    }
}
