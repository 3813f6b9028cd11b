//! An upstream of the legacy era that asks while a permitted call runs (MCP 2025-11-25, client: elicitation, sampling, roots;
//! decisions A8, threats T24, T32, T33).

use std::time::Duration;

use serde_json::{Value, json};
use terms::Millis;

use crate::modern::Modern;
use crate::wire::Open;
use crate::world::{RULES, Session, World, becomes};

const APPROVED: &str = r#"@id("live") @stepup("release") forbid (principal, action == Action::"tools/call:ops/asks_live_all", resource);"#;

/// A world whose upstream asks while it is called.
async fn world() -> World {
    world_with(|_| {}, |_| {}).await
}

pub async fn world_with(
    settle: impl FnOnce(&mut gateway::Settings),
    configure: impl FnOnce(&mut upstream::Config),
) -> World {
    let ops = crate::ops::Ops::start().await;
    ops.offer(&["asks_live", "asks_live_all"]);
    World::upon(ops, &format!("{RULES}\n{APPROVED}"), settle, configure).await
}

/// All that a client can be asked for.
pub fn can() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

/// A session of a client that can be asked for all of it.
pub async fn session(world: &World) -> Session<'_> {
    world.session_who_can("bot", "2025-11-25", can()).await
}

fn form(id: &str) -> Value {
    json!({"id": id, "method": "elicitation/create", "params": {"message": "Delete the rest too?", "n": 1.5,
        "_meta": {"dev.stepup/challenge": {"elevation": "elv_x"}, "theirs": 1},
        "requestedSchema": {"type": "object", "properties": {"rest": {"type": "boolean"}}}}})
}

fn sample(id: &str) -> Value {
    json!({"id": id, "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5,
        "includeContext": "allServers"}})
}

pub fn yes() -> Value {
    json!({"action": "accept", "content": {"rest": true}})
}

/// The next question on the stream of a call.
pub async fn question(open: &mut Open) -> Value {
    loop {
        let message = open.message().await.expect("the stream ended without a question");
        if message.get("id").is_some() && message.get("method").is_some() {
            return message;
        }
    }
}

/// What the call is answered at last: the text of its result.
pub async fn end(open: &mut Open) -> String {
    loop {
        let message = open.message().await.expect("the stream ended without an answer");
        if let Some(text) = message["result"]["content"][0]["text"].as_str() {
            return text.to_owned();
        }
        assert!(message.get("method").is_some(), "{message}");
    }
}

/// What the upstream was answered, as it says itself at the end of its call.
async fn told(open: &mut Open) -> Vec<Value> {
    let text = end(open).await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

pub async fn answer(session: &Session<'_>, question: &Value, result: Value) -> u16 {
    session.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await.status
}

pub async fn count(world: &World, kind: &str) -> usize {
    world.records().await.iter().filter(|one| *one == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_what_is_asked_within_a_call_comes_on_its_stream_and_its_answer_goes_back_under_the_upstreams_id()
{
    let world = world().await;
    let bot = session(&world).await;
    let mut open = bot.open(1, "asks_live", json!({"asks": [form("theirs"), sample("7")]})).await;
    let asked = question(&mut open).await;
    assert_eq!(asked["method"], "elicitation/create");
    let mut params = form("theirs")["params"].clone();
    params["_meta"].as_object_mut().unwrap().remove("dev.stepup/challenge");
    assert_eq!(asked["params"], params, "in the upstream's words, without what only we may say");
    assert_ne!(asked["id"], "theirs");
    assert_eq!(answer(&bot, &asked, yes()).await, 202);
    let sampled = question(&mut open).await;
    assert_eq!(sampled["params"], json!({"messages": [], "maxTokens": 5}), "of no other server's words");
    let word = json!({"role": "assistant", "content": {"type": "text", "text": "w"}, "model": "m"});
    assert_eq!(answer(&bot, &sampled, word.clone()).await, 202);
    assert_eq!(
        told(&mut open).await,
        [
            json!({"jsonrpc": "2.0", "id": "theirs", "result": yes()}),
            json!({"jsonrpc": "2.0", "id": "7", "result": word})
        ]
    );
    assert_eq!(answer(&bot, &asked, yes()).await, 400, "it is answered once");
    assert_eq!(count(&world, "permitted").await, 3, "each answer is an access of its own");
    let declared = r#""capabilities":{"elicitation":{"form":{}},"sampling":{}}"#;
    assert!(world.ops.everything().contains(declared), "what both allow is declared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_an_answer_needs_an_approval_of_its_own_wherever_the_call_did_and_waits_for_it() {
    let world = world().await;
    let bot = session(&world).await;
    let arguments = json!({"asks": [form("a")]});
    let id = bot.call("asks_live_all", arguments.clone()).await;
    let first = id.json()["error"]["data"]["dev.stepup/challenge"]["elevation"].as_str().unwrap().to_owned();
    world.approve(&first).await;
    let mut open = bot.open(1, "asks_live_all", arguments).await;
    let asked = question(&mut open).await;
    assert_eq!(answer(&bot, &asked, yes()).await, 202);
    // The person at the client is asked to open the request.
    let opens = question(&mut open).await;
    let second = opens["params"]["elicitationId"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    assert_eq!(answer(&bot, &opens, json!({"action": "accept"})).await, 202);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.ops.replies(), Vec::<Value>::new(), "an answer went out that nobody approved");
    let card = format!("{:?}", world.authority.inbox(world.ann).await.unwrap());
    assert!(card.contains("continues: › inputs › elicitation/create › content › rest"), "{card}");
    world.approve(&second).await;
    assert_eq!(told(&mut open).await[0]["result"], yes());
    assert_eq!(count(&world, "spent").await, 2);
    assert_eq!(count(&world, "settled").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_an_answer_that_nobody_approves_in_time_is_not_given_and_nobody_is_asked_about_it_any_more() {
    let world = world_with(|settings| settings.hold_with_progress = Millis::new(400), |_| {}).await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let arguments = json!({"asks": [form("a")]});
    let id = bot.call("asks_live_all", arguments.clone()).await.elevation();
    world.approve(&id).await;
    let mut open = bot.open(1, "asks_live_all", arguments).await;
    let asked = question(&mut open).await;
    answer(&bot, &asked, yes()).await;
    assert_eq!(told(&mut open).await[0]["error"]["code"], -32603);
    assert!(!format!("{:?}", world.ops.replies()).contains("accept"), "{:?}", world.ops.replies());
    let open = world.authority.inbox(world.ann).await.unwrap();
    assert!(!format!("{open:?}").contains("inputs"), "{open:?}");
    assert_eq!(count(&world, "withdrawn").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_told_in_our_words_and_takes_no_approval() {
    let world = world().await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let arguments = json!({"asks": [form("a"), form("b"), form("c"), form("d")]});
    let id = bot.call("asks_live_all", arguments.clone()).await.elevation();
    world.approve(&id).await;
    let mut open = bot.open(1, "asks_live_all", arguments).await;
    for action in ["decline", "cancel", "perhaps"] {
        let asked = question(&mut open).await;
        answer(&bot, &asked, json!({"action": action, "content": {"canary": 1}})).await;
    }
    let asked = question(&mut open).await;
    let refuses = json!({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -1, "message": "canary"}});
    assert_eq!(bot.send(&refuses).await.status, 202);
    let got = told(&mut open).await;
    assert_eq!(
        (&got[0]["result"], &got[1]["result"]),
        (&json!({"action": "decline"}), &json!({"action": "cancel"}))
    );
    assert_eq!((&got[2]["error"]["code"], &got[3]["error"]["code"]), (&json!(-32603), &json!(-32603)));
    assert!(!format!("{:?}", world.ops.replies()).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_what_may_not_be_asked_is_asked_of_nobody_and_both_sides_are_told_so() {
    let world = world().await;
    let refused = async |bot: &Session<'_>, ask: Value, code: i64| {
        let reply = bot.call("asks_live", json!({"asks": [ask]})).await;
        assert_eq!(world.ops.replies().last().unwrap()["error"]["code"], code, "{}", reply.body);
        reply
    };
    let lacks = async |bot: &Session<'_>, ask: Value, needed: &str| {
        let reply = refused(bot, ask, -32601).await;
        assert_eq!(reply.slug(), "upstream_needs_feature");
        assert!(reply.text().contains(needed), "{}", reply.text());
    };
    let all = session(&world).await;
    // Neither is what the operator lets it ask.
    lacks(&all, json!({"id": "r", "method": "roots/list"}), "Needed: roots.").await;
    let opens = json!({"mode": "url", "url": "https://canary.example", "message": "m", "elicitationId": "1"});
    let opens = json!({"id": "u", "method": "elicitation/create", "params": opens});
    lacks(&all, opens, "Needed: elicitation by URL.").await;
    // These nobody is ever asked, so its own words stand.
    refused(&all, json!({"id": "t", "method": "tools/call", "params": {}}), -32601).await;
    let tools = json!({"messages": [], "maxTokens": 1, "tools": []});
    refused(&all, json!({"id": "s", "method": "sampling/createMessage", "params": tools}), -32602).await;
    let none = world.session("bot").await;
    lacks(&none, form("n"), "Needed: elicitation.").await;
    lacks(&none, sample("m"), "Needed: sampling.").await;
    let coped = none.call("asks_live", json!({"asks": [form("never mind")]})).await;
    assert_eq!(coped.text(), "[]", "who does without has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a28_of_a_link_that_all_share_nobody_is_asked() {
    let world = world_with(|_| {}, |config| config.share = upstream::Share::All).await;
    let bot = session(&world).await;
    let reply = bot.call("asks_live", json!({"asks": [form("n")]})).await;
    assert!(reply.text().contains("Needed: elicitation."), "{}", reply.body);
    assert_eq!(world.ops.replies()[0]["error"]["code"], -32601);
    assert!(!world.ops.everything().contains("elicitation\":{"), "and nothing is declared");
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_an_upstream_asks_ten_times_within_a_call_and_no_more() {
    let world = world().await;
    let bot = session(&world).await;
    let asks: Vec<Value> = (0..12).map(|n| form(&n.to_string())).collect();
    let mut open = bot.open(1, "asks_live", json!({"asks": asks})).await;
    for _ in 0..10 {
        let asked = question(&mut open).await;
        answer(&bot, &asked, yes()).await;
    }
    let got = told(&mut open).await;
    let refused: Vec<usize> = (0..got.len()).filter(|n| got[*n]["error"]["code"] == -32600).collect();
    assert_eq!(refused, [10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_caller_is_gone_or_wants_it_no_more_is_answered_at_once() {
    let world = world().await;
    let bot = session(&world).await;
    let mut open = bot.open(1, "asks_live", json!({"asks": [form("a"), form("b")]})).await;
    question(&mut open).await;
    drop(open);
    becomes("both are answered", || world.ops.replies().len() == 2).await;
    let mut open = bot.open(2, "asks_live", json!({"asks": [form("c")]})).await;
    let asked = question(&mut open).await;
    let gone = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
    bot.send(&gone).await;
    assert_eq!(told(&mut open).await[0]["error"]["code"], -32603);
    assert_eq!(answer(&bot, &asked, yes()).await, 400);
    // That the wish is passed on too is seen where the call is not over by that answer already.
    assert!(world.ops.replies().iter().all(|reply| reply["error"]["code"] == -32603));
    assert_eq!(count(&world, "permitted").await, 2, "the calls and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_what_is_asked_on_the_stream_of_the_session_is_asked_on_that_of_the_one_call_or_of_nobody() {
    let world = world().await;
    let bot = session(&world).await;
    let asking = async {
        becomes("the call arrived", || world.ops.count("slow") == 1).await;
        // Heard on the stream of stepup's own link too, and there of no call.
        assert_eq!(world.ops.ask(form("q")), 2);
    };
    let (mut open, ()) = tokio::join!(bot.open(1, "slow", json!({})), asking);
    let asked = question(&mut open).await;
    assert_eq!(asked["params"]["message"], form("q")["params"]["message"]);
    assert_eq!(answer(&bot, &asked, yes()).await, 202);
    let answered = |id: &str, so: &dyn Fn(&Value) -> bool| {
        world.ops.replies().iter().any(|reply| reply["id"] == id && so(reply))
    };
    becomes("it is answered", || answered("q", &|reply| reply["result"] == yes())).await;
    assert_eq!(count(&world, "permitted").await, 2, "the answer is an access of its own");
    // Of two calls of the session nobody knows which one asks.
    let asking = async {
        becomes("the other call arrived", || world.ops.count("slow") == 2).await;
        world.ops.ask(form("whose"));
        let refused = || {
            let replies = world.ops.replies();
            replies.iter().filter(|reply| reply["id"] == "whose" && reply["error"]["code"] == -32600).count()
        };
        becomes("nobody is asked", || refused() == 2).await;
        world.ops.go();
        world.ops.go();
    };
    let (other, ()) = tokio::join!(bot.call_as(2, "slow", json!({})), asking);
    assert_eq!((end(&mut open).await, other.text()), ("at last".to_owned(), "at last".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_an_answer_of_another_session_or_to_a_question_that_is_over_goes_nowhere() {
    let world = world().await;
    let bot = session(&world).await;
    let other = session(&world).await;
    let spy = world.session_who_can("spy", "2025-11-25", can()).await;
    let mut open = bot.open(1, "asks_live", json!({"asks": [form("a")]})).await;
    let asked = question(&mut open).await;
    for session in [&other, &spy] {
        assert_eq!(answer(session, &asked, yes()).await, 400);
    }
    assert_eq!(answer(&bot, &json!({"id": "a"}), yes()).await, 400, "the upstream's id is none of ours");
    assert_eq!(world.ops.replies(), Vec::<Value>::new());
    answer(&bot, &asked, yes()).await;
    told(&mut open).await;
    // Here its upstream answers without waiting.
    let reply = bot.call("asks_live", json!({"asks": [form("never mind")]})).await;
    assert!(reply.body.contains(r#""text":"[]""#), "{}", reply.body);
    let messages = reply.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut messages = messages.map(|data| serde_json::from_str::<Value>(data).unwrap());
    if let Some(asked) = messages.find(|message| message.get("method").is_some()) {
        assert_eq!(answer(&bot, &asked, yes()).await, 400);
    }
    becomes("it is answered all the same", || world.ops.replies().len() == 2).await;
    assert_eq!(world.ops.replies()[1]["error"]["code"], -32603);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_of_the_modern_era_cannot_be_asked_within_a_call_is_refused_by_its_name() {
    let world = world().await;
    let bot = Modern::who_can(&world, "bot", can());
    let opens = json!({"mode": "url", "url": "https://canary.example", "message": "m", "elicitationId": "1"});
    let opens = json!({"id": "u", "method": "elicitation/create", "params": opens});
    for (ask, name) in [
        (form("a"), "Needed: elicitation."),
        (opens, "Needed: elicitation by URL."),
        (sample("b"), "Needed: sampling."),
    ] {
        let reply = bot.call("asks_live", json!({"asks": [ask]})).await;
        assert_eq!(reply.slug(), "upstream_needs_feature");
        assert!(reply.text().contains(name), "{}", reply.text());
    }
    assert!(world.ops.replies().iter().all(|reply| reply["error"]["code"] == -32601));
    let coped = bot.call("asks_live", json!({"asks": [form("never mind")]})).await;
    assert_eq!(coped.text(), "[]", "who does without has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_while_a_question_is_open_and_only_ever_rises() {
    let world = world().await;
    let bot = session(&world).await;
    let step = |n: u32| {
        json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": "yours", "progress": n, "message": format!("step {n}")}})
    };
    let steps: Vec<Value> = (0..40).map(step).collect();
    let mut asks = form("a");
    asks["beside"] = json!(steps);
    let mut open = bot.listen(1, "asks_live", json!({"asks": [asks]})).await;
    let (mut asked, mut heard) = (json!(null), Vec::new());
    while heard.last() != Some(&39.0) || asked.is_null() {
        let told = open.message().await.expect("the stream ended while the question is open");
        if told["method"] == "elicitation/create" {
            asked = told;
            continue;
        }
        assert_eq!(
            (&told["method"], &told["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("p"))
        );
        heard.push(told["params"]["progress"].as_f64().unwrap());
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    assert_eq!(world.ops.replies(), Vec::<Value>::new(), "the question is still open");
    answer(&bot, &asked, yes()).await;
    told(&mut open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_no_upstream_has_anything_but_a_page_opened_within_a_call() {
    let ask = |config: &mut upstream::Config| config.asks.url = true;
    let world = world_with(|_| {}, ask).await;
    let bot = session(&world).await;
    for url in ["javascript:alert(1)", " https://canary.example", "data:text/html,canary", ""] {
        let params = json!({"mode": "url", "url": url, "message": "canary", "elicitationId": "1"});
        let ask = json!({"id": url, "method": "elicitation/create", "params": params});
        let reply = bot.call("asks_live", json!({"asks": [ask]})).await;
        assert_eq!(world.ops.replies().last().unwrap()["error"]["code"], -32602, "{url}: {}", reply.body);
    }
    assert_eq!(world.ops.calls().len(), 4);
}
