//! An upstream of the modern era that asks before it goes on with the call of a session: its client is asked within the call
//! (MCP 2026-07-28, multi round-trip requests, and 2025-11-25, client; decisions A8, threats T32 and T33).

use std::time::Duration;

use serde_json::{Value, json};
use terms::Millis;
use upstream::Eras;

use crate::live::{answer, count, end, question, session, yes};
use crate::ops::{Ops, STATE};
use crate::wire::Open;
use crate::world::{RULES, Session, World, becomes};

const APPROVED: &str = r#"@id("wipe-all") @stepup("release") forbid (principal, action == Action::"tools/call:ops/wipe_all", resource);"#;
const ASKING: [&str; 6] = ["wipe", "wipe_all", "endless", "samples", "opens_own", "turns"];

async fn world() -> World {
    world_with(|_| {}, |_| {}).await
}

/// A world whose upstream speaks the modern era, and asks.
async fn world_with(
    settle: impl FnOnce(&mut gateway::Settings),
    configure: impl FnOnce(&mut upstream::Config),
) -> World {
    let ops = Ops::start().await;
    ops.offer(&ASKING);
    let configure = |config: &mut upstream::Config| {
        config.era = Eras::Modern;
        configure(config);
    };
    World::upon(ops, &format!("{RULES}\n{APPROVED}"), settle, configure).await
}

fn form(message: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "n": 1.5,
        "requestedSchema": {"type": "object", "properties": {"rest": {"type": "boolean"}}}}})
}

/// Has what needs an approval approved and begun, and answers its question; the second request then waits.
async fn answered(world: &World, bot: &Session<'_>, id: u32) -> Open {
    let first = world.session("bot").await.call("wipe_all", json!({})).await.elevation();
    world.approve(&first).await;
    let mut open = bot.open(id, "wipe_all", json!({})).await;
    let asked = question(&mut open).await;
    answer(bot, &asked, yes()).await;
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_asks_in_rounds_is_asked_of_a_session_within_its_call_and_goes_back_by_its_names() {
    let world = world().await;
    let bot = session(&world).await;
    let samples = json!({"method": "sampling/createMessage",
        "params": {"messages": [], "maxTokens": 5, "includeContext": "allServers"}});
    let turns = json!({"turns": [{"a": samples, "b": form("First?")}, null, {"a": form("Then?")}]});
    let mut open = bot.open(1, "turns", turns).await;
    let sampled = question(&mut open).await;
    assert_eq!(sampled["method"], "sampling/createMessage");
    assert_eq!(sampled["params"], json!({"messages": [], "maxTokens": 5}), "of no other server's words");
    let word = json!({"role": "assistant", "content": {"type": "text", "text": "w"}, "model": "m"});
    assert_eq!(answer(&bot, &sampled, word.clone()).await, 202);
    let asked = question(&mut open).await;
    assert_eq!(asked["params"], form("First?")["params"], "in the upstream's words");
    assert_eq!(world.ops.calls().len(), 1, "a round is answered whole");
    assert_eq!(answer(&bot, &asked, yes()).await, 202);
    let then = question(&mut open).await;
    assert_eq!(then["params"]["message"], "Then?");
    assert_eq!(answer(&bot, &then, yes()).await, 202);
    let got = json!([{"a": word, "b": yes()}, {}, {"a": yes()}]);
    assert_eq!(serde_json::from_str::<Value>(&end(&mut open).await).unwrap(), got);
    let calls = world.ops.calls();
    let declared = &calls[0]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(declared, &json!({"elicitation": {"form": {}}, "sampling": {}}), "both have to allow it");
    assert_eq!(calls.len(), 4);
    assert_eq!(count(&world, "permitted").await, 4, "each round is an access of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_upstream_comes_back_to_it_and_is_nobody_elses_to_read() {
    let world = world().await;
    let bot = world.session_who_can("bot", "2025-06-18", json!({"elicitation": {}})).await;
    let mut open = bot.open(1, "wipe", json!({})).await;
    let asked = question(&mut open).await;
    assert!(!asked.to_string().contains("their"), "{asked}");
    answer(&bot, &asked, yes()).await;
    assert_eq!(end(&mut open).await, "wiped");
    let last = world.ops.calls().pop().unwrap();
    assert_eq!((&last["inputResponses"], &last["requestState"]), (&json!({"sure": yes()}), &json!(STATE)));
    let kept: Vec<u8> = std::fs::read_dir(world.folder.path())
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .collect();
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("Delete the rest too?") && !kept.contains("their é"), "it is kept in no store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_what_a_session_answers_needs_an_approval_of_its_own_wherever_the_call_did_and_waits_for_it() {
    let world = world().await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let mut open = answered(&world, &bot, 1).await;
    let second = waiting(&world).await;
    assert_eq!(world.ops.count("wipe_all"), 1, "an answer went out that nobody approved");
    let card = format!("{:?}", world.authority.inbox(world.ann).await.unwrap());
    assert!(card.contains("continues: › inputs › sure › content › rest"), "{card}");
    assert!(card.contains("Delete the rest too?"), "nobody can read an answer without its question: {card}");
    world.approve(&second).await;
    assert_eq!(end(&mut open).await, "wiped");
    assert_eq!(world.ops.count("wipe_all"), 2);
    assert_eq!((count(&world, "spent").await, count(&world, "settled").await), (2, 2));
}

/// The one request that waits for people.
async fn waiting(world: &World) -> String {
    for _ in 0..1000 {
        let inbox = world.authority.inbox(world.ann).await.unwrap();
        if let Some((one, _)) = inbox.first() {
            return one.request.id.to_string();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing waits for people")
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_an_answer_that_nobody_approves_in_time_is_not_given_and_its_request_is_taken_back() {
    let world = world_with(|settings| settings.hold_with_progress = Millis::new(400), |_| {}).await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let mut open = answered(&world, &bot, 1).await;
    let told = end(&mut open).await;
    assert!(told.contains("What it did until then is done"), "{told}");
    assert_eq!(world.ops.count("wipe_all"), 1);
    assert!(world.authority.inbox(world.ann).await.unwrap().is_empty());
    assert_eq!(count(&world, "withdrawn").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_goes_back_in_our_words_and_silence_does_not_go_back_at_all() {
    let world = world().await;
    let bot = session(&world).await;
    for action in ["decline", "cancel"] {
        let mut open = bot.open(1, "turns", json!({"turns": [{"a": form("m")}]})).await;
        let asked = question(&mut open).await;
        answer(&bot, &asked, json!({"action": action, "content": {"canary": 1}})).await;
        assert_eq!(end(&mut open).await, json!([{"a": {"action": action}}]).to_string());
    }
    let before = world.ops.calls().len();
    let mut open = bot.open(1, "turns", json!({"turns": [{"a": form("m")}]})).await;
    let asked = question(&mut open).await;
    let refuses = json!({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -1, "message": "canary"}});
    assert_eq!(bot.send(&refuses).await.status, 202);
    let told = end(&mut open).await;
    assert!(told.contains("Needed: elicitation.") && told.contains("there was no answer"), "{told}");
    assert_eq!(world.ops.calls().len(), before + 1);
    assert!(!format!("{:?}", world.ops.calls()).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_what_may_not_be_asked_of_a_session_is_refused_by_its_name_and_goes_nowhere() {
    let world = world().await;
    let (all, none) = (session(&world).await, world.session("bot").await);
    let tools = json!({"method": "sampling/createMessage", "params": {"messages": [], "tools": []}});
    let roots = json!({"method": "roots/list"});
    for (bot, tool, asks, names) in [
        // The operator does not let it.
        (&all, "opens_own", Value::Null, "Needed: elicitation by URL."),
        (&all, "turns", json!({"a": form("canary"), "b": roots}), "Needed: roots."),
        // The client cannot.
        (&none, "wipe", Value::Null, "Needed: elicitation."),
        (&none, "samples", Value::Null, "Needed: sampling."),
        (&none, "opens_own", Value::Null, "Needed: elicitation by URL."),
        // It takes more than a client is ever said to be able to.
        (&all, "turns", json!({"a": form("canary"), "b": tools}), "Needed: multi round-trip requests."),
    ] {
        let reply = bot.call(tool, json!({"turns": [asks]})).await;
        assert_eq!(reply.slug(), "upstream_needs_feature", "{tool}");
        assert!(reply.text().contains(names), "{}", reply.text());
        assert!(reply.text().contains("what it did until then is done"), "{}", reply.text());
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
    assert_eq!(world.ops.calls().len(), 6, "none of them went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_an_upstream_asks_a_session_so_often_and_so_much_and_no_more() {
    let world = world().await;
    let bot = session(&world).await;
    let mut open = bot.open(1, "endless", json!({})).await;
    for _ in 0..10 {
        let asked = question(&mut open).await;
        answer(&bot, &asked, yes()).await;
    }
    assert!(end(&mut open).await.contains("Needed: multi round-trip requests."));
    assert_eq!(world.ops.count("endless"), 11);
    // Without a question it is as often.
    let again = bot.call("turns", json!({"turns": vec![Value::Null; 20]})).await;
    assert_eq!((again.slug().as_str(), world.ops.count("turns")), ("upstream_needs_feature", 11));
    let ten: Value = (0..10).map(|n| (n.to_string(), form("m"))).collect::<serde_json::Map<_, _>>().into();
    let mut open = bot.open(1, "turns", json!({"turns": [ten, {"one more": form("m")}]})).await;
    for _ in 0..10 {
        let asked = question(&mut open).await;
        answer(&bot, &asked, yes()).await;
    }
    assert!(end(&mut open).await.contains("more than is passed on within one call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_gone_or_wants_it_no_more_spends_nothing_on_another_round() {
    let world = world().await;
    let bot = session(&world).await;
    let mut open = bot.open(1, "wipe", json!({})).await;
    question(&mut open).await;
    drop(open);
    let mut open = bot.open(2, "wipe", json!({})).await;
    let asked = question(&mut open).await;
    let gone = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
    bot.send(&gone).await;
    assert!(end(&mut open).await.contains("there was no answer"));
    assert_eq!(answer(&bot, &asked, yes()).await, 400, "the question is over");
    // While its answer waits for people, too.
    let mut open = answered(&world, &bot, 3).await;
    let opens = question(&mut open).await;
    assert_eq!(opens["params"]["mode"], "url", "its person is asked to open the request");
    drop(open);
    for _ in 0..1000 {
        if count(&world, "withdrawn").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(count(&world, "withdrawn").await, 1, "nobody can come back with that answer");
    assert_eq!((count(&world, "permitted").await, count(&world, "spent").await), (2, 1));
    assert_eq!(world.ops.calls().len(), 3);
    becomes("every attempt has an end", || world.ops.count("wipe") == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_to_be_opened_gets_the_id_that_a_session_has_for_it() {
    let world = world_with(|_| {}, |config| config.asks.url = true).await;
    let bot = session(&world).await;
    let mut open = bot.open(1, "opens_own", json!({})).await;
    let asked = question(&mut open).await;
    let params = &asked["params"];
    assert_eq!((&params["mode"], &params["url"]), (&json!("url"), &json!("https://canary.example")));
    assert!(params["elicitationId"].as_str().is_some_and(|id| id.starts_with("att_")), "{asked}");
    answer(&bot, &asked, json!({"action": "accept"})).await;
    assert_eq!(end(&mut open).await, "wiped");
    assert_eq!(world.ops.calls()[1]["inputResponses"], json!({"sure": {"action": "accept"}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_session_runs_by_its_id_is_asked_within_that() {
    let world = world().await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let id = bot.call("wipe_all", json!({})).await.elevation();
    world.approve(&id).await;
    let mut open = bot.open(1, "stepup_run", json!({"elevation": id})).await;
    let asked = question(&mut open).await;
    answer(&bot, &asked, yes()).await;
    let second = waiting(&world).await;
    world.approve(&second).await;
    assert_eq!(end(&mut open).await, "wiped");
}
