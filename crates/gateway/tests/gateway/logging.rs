//! What an upstream logs while it is called (MCP 2025-11-25 and 2026-07-28, logging): it is told to the client of that call, as
//! far as it asked for it, and to nobody else (rfd 25; T24, T32, T37).

use serde_json::{Value, json};
use terms::Secret;
use upstream::{Config, Credential, Http, Share, Transport};

use crate::modern::Modern;
use crate::ops::Ops;
use crate::subscriptions::{READS, hears, hears_soon, listen, subscribe, update, updated};
use crate::wire::{Open, Reply};
use crate::world::{RULES, Session, World, becomes};

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
const LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A world whose upstream logs while it is called.
async fn world(configure: impl FnOnce(&mut Config)) -> World {
    let ops = Ops::start().await;
    ops.offer(&["asks_live"]);
    World::upon(ops, RULES, |_| {}, configure).await
}

fn log(level: &str, data: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "logger": "db", "data": data}})
}

/// One message of each level, and then the answer.
fn each() -> Value {
    json!({"asks": LEVELS.map(|level| log(level, json!(level)))})
}

/// The messages of a reply, of which the last is its answer.
fn messages(reply: &Reply) -> Vec<Value> {
    if !reply.body.contains("data: ") {
        return vec![reply.json()];
    }
    let data = reply.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The levels of what was told before the answer.
fn levels(reply: &Reply) -> Vec<String> {
    let mut messages = messages(reply);
    let answer = messages.pop().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "[]", "{answer}");
    let level = |message: &Value| {
        assert_eq!(message["method"], "notifications/message");
        message["params"]["level"].as_str().unwrap().to_owned()
    };
    messages.iter().map(level).collect()
}

async fn sets(session: &Session<'_>, level: Value) -> Value {
    session.request("logging/setLevel", json!({"level": level})).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_logs_comes_on_its_stream_from_the_level_on_that_its_session_asked_for() {
    let world = world(|_| {}).await;
    let bot = world.session("bot").await;
    assert_eq!(
        levels(&bot.call("asks_live", each()).await),
        LEVELS[1..],
        "what a server decides is the same for all"
    );
    assert!(!world.ops.everything().contains("logging/setLevel"), "and nobody asked it for anything");
    for (n, level) in LEVELS.iter().enumerate().rev() {
        assert_eq!(sets(&bot, json!(level)).await["result"], json!({}));
        assert_eq!(levels(&bot.call("asks_live", each()).await), LEVELS[n..]);
    }
    for wrong in [json!("loud"), json!("Debug"), json!(7), json!(null), json!(["info"])] {
        assert_eq!(sets(&bot, wrong).await["error"]["code"], -32602);
    }
    let more = bot.request("logging/setLevel", json!({"level": "info", "canary": 1})).await;
    assert_eq!(more.slug(), "request_invalid");
    assert_eq!(levels(&bot.call("asks_live", each()).await), LEVELS, "what was refused has set nothing");
    let asked = world.ops.everything();
    let asked: Vec<&str> = asked.lines().filter(|line| line.contains("logging/setLevel")).collect();
    assert_eq!(asked.len(), 8, "it is asked for more, and never for what it tells already: {asked:?}");
    assert!(!world.ops.everything().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_is_one_sessions_and_no_other_hears_more_or_less_by_it_whatever_they_share() {
    for share in [Share::Session, Share::All] {
        let world = world(|config| config.share = share).await;
        let (bot, other, spy) =
            (world.session("bot").await, world.session("bot").await, world.session("spy").await);
        sets(&bot, json!("debug")).await;
        assert_eq!(levels(&bot.call("asks_live", each()).await), LEVELS);
        for session in [&other, &spy] {
            assert_eq!(levels(&session.call("asks_live", each()).await), LEVELS[1..], "{share:?}");
        }
        sets(&spy, json!("emergency")).await;
        assert_eq!(levels(&bot.call("asks_live", each()).await), LEVELS, "{share:?}");
        assert_eq!(levels(&spy.call("asks_live", each()).await), LEVELS[7..], "{share:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_modern_era_hears_what_it_asked_for_and_without_a_word_nothing() {
    let world = world(|_| {}).await;
    let bot = Modern::new(&world, "bot");
    let call = async |level: Value| {
        let mut params = json!({"name": "asks_live", "arguments": each()});
        if !level.is_null() {
            params["_meta"] = json!({LEVEL: level});
        }
        bot.ask("tools/call", params).await
    };
    let quiet = call(json!(null)).await;
    assert_eq!(quiet.headers["content-type"], "application/json", "there is nothing to stream");
    assert_eq!(levels(&quiet), [""; 0]);
    assert_eq!(levels(&call(json!("warning")).await), LEVELS[3..]);
    assert_eq!(levels(&call(json!("debug")).await), LEVELS);
    assert_eq!(levels(&call(json!(null)).await), [""; 0], "a level is that of one request");
    for wrong in [json!("loud"), json!(7), json!({})] {
        let refused = call(wrong).await;
        assert_eq!(
            (refused.slug().as_str(), &refused.json()["error"]["code"]),
            ("arguments_invalid", &json!(-32602))
        );
    }
    assert_eq!(bot.ask("logging/setLevel", json!({"level": "debug"})).await.slug(), "method_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_it_is_told_in_the_upstreams_words_without_what_is_ours_and_without_what_it_was_handed() {
    let world = world(|config| {
        let Transport::Http(Http { credential, .. }) = &mut config.transport else { panic!() };
        let value = Secret::new("Bearer canary-1234".to_owned());
        *credential = Some(Credential { header: "authorization".to_owned(), value });
    })
    .await;
    let bot = world.session("bot").await;
    let data = json!({"n": 1.5, "sent": "Authorization: Bearer canary-1234", "only": "canary-1234",
        "_meta": {"dev.stepup/challenge": {"elevation": "elv_x"}, "theirs": 1}});
    let mut logs = log("info", data);
    logs["params"]["_meta"] = json!({"dev.stepup/challenge": 1});
    let reply = bot.call("asks_live", json!({"asks": [logs, log("info", json!("b"))]})).await;
    let told = messages(&reply);
    let left =
        json!({"n": 1.5, "sent": "Authorization: [secret]", "only": "[secret]", "_meta": {"theirs": 1}});
    assert_eq!(told[0]["params"], json!({"level": "info", "logger": "db", "data": left}));
    assert_eq!(told[1]["params"]["data"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_logs_without_end_is_told_of_up_to_a_bound_and_its_answer_comes() {
    let world = world(|_| {}).await;
    let bot = world.session("bot").await;
    let many: Vec<Value> = (0..400).map(|n| log("info", json!(n))).collect();
    let told = levels(&bot.call("asks_live", json!({"asks": many})).await).len();
    assert!((1..=256).contains(&told), "{told}");
    let long = json!({"asks": [log("info", json!("x".repeat(70_000))), log("info", json!("short"))]});
    assert_eq!(levels(&bot.call("asks_live", long).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_between_calls_is_told_to_nobody_though_the_link_is_one_sessions_and_it_listens() {
    let world = World::with(&format!("{RULES}{READS}"), |_| {}).await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    sets(&bot, json!("debug")).await;
    assert_eq!(subscribe(&bot, "file:///docs/a").await["result"], json!({}));
    let logs = || world.ops.tell("message", json!({"level": "error", "data": "canary"}));
    becomes("its upstream is listened to over its link and ours", || logs() >= 2).await;
    update(&world, "file:///docs/a", 2).await;
    assert_eq!(hears(&mut open).await, updated("file:///docs/a"), "what it asked for it hears");
    assert_eq!(hears_soon(&mut open).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_log_is_not_said_to() {
    let ops = Ops::start().await;
    ops.greet(|greeting| {
        greeting["capabilities"].as_object_mut().unwrap().remove("logging");
    });
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    let bot = world.session("bot").await;
    assert_eq!(sets(&bot, json!("info")).await["error"]["data"]["slug"], "method_unknown");
    let found = Modern::new(&world, "bot").ask("server/discover", json!({})).await.json();
    assert!(found["result"]["capabilities"].get("logging").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_while_its_caller_waits_to_be_asked_comes_at_once() {
    let world = world(|_| {}).await;
    let bot = world.session_who_can("bot", "2025-11-25", json!({"elicitation": {}})).await;
    let asks = json!({"id": "q", "method": "elicitation/create", "params": {"message": "m", "requestedSchema": {}},
        "beside": [log("error", json!("while it is open"))]});
    let mut open: Open = bot.open(1, "asks_live", json!({"asks": [asks]})).await;
    // Which of the two is first is nobody's business: both are there before there is an answer.
    let [mut asked, mut logged] = [open.message().await.unwrap(), open.message().await.unwrap()];
    if asked["method"] != "elicitation/create" {
        std::mem::swap(&mut asked, &mut logged);
    }
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(logged["params"]["data"], "while it is open");
    let no = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}});
    assert_eq!(bot.send(&no).await.status, 202);
    assert!(open.message().await.unwrap()["result"].is_object());
}
