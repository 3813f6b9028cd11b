//! What a client was asked to open within a call, when its upstream says that it is over (MCP 2025-11-25, elicitation,
//! "Completion Notifications for URL Mode Elicitation"; T24, T37).

use serde_json::{Value, json};

use crate::live::{answer, question, world_with};
use crate::subscriptions::{hears, hears_soon, listen};
use crate::wire::Open;
use crate::world::{Session, World, becomes};

async fn world() -> World {
    world_with(|_| {}, |config| config.asks.url = true).await
}

async fn session<'w>(world: &'w World, caller: &str) -> Session<'w> {
    world.session_who_can(caller, "2025-11-25", json!({"elicitation": {"form": {}, "url": {}}})).await
}

fn opens(id: &str) -> Value {
    json!({"id": format!("q-{id}"), "method": "elicitation/create",
        "params": {"mode": "url", "elicitationId": id, "url": "https://example.com/x", "message": "Sign in."}})
}

fn over(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": id}})
}

/// What a call is told until it is answered, beside questions, each of which is accepted.
async fn heard(session: &Session<'_>, open: &mut Open) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let message = open.message().await.expect("the stream ended without an answer");
        if message["method"] == "elicitation/create" {
            assert_eq!(answer(session, &message, json!({"action": "accept"})).await, 202);
        } else if message.get("method").is_some() {
            heard.push(message);
        } else {
            return heard;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_within_a_call_is_told_there_when_it_is_over_once_and_of_nothing_else() {
    let world = world().await;
    let bot = session(&world, "bot").await;
    let asks = json!({"asks": [over("a"), opens("a"), opens("b"), over("other"), over("a"), over("a"),
        {"method": "notifications/elicitation/complete", "params": {"elicitationId": 7}}]});
    let mut open = bot.open(1, "asks_live", asks).await;
    assert_eq!(heard(&bot, &mut open).await, [over("a")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t37_who_was_not_asked_is_not_told_whoever_says_so() {
    let world = world().await;
    let (bot, spy) = (session(&world, "bot").await, session(&world, "spy").await);
    let (mut of_bot, mut of_spy) = (listen(&bot).await, listen(&spy).await);
    let mut asked = bot.open(1, "asks_live", json!({"asks": [opens("a")]})).await;
    let waits = question(&mut asked).await;
    let other = spy.call("asks_live", json!({"asks": [over("a")]})).await;
    assert_eq!(other.json()["result"]["isError"], false, "over a link of another's it is nothing: {other:?}");
    assert_eq!(hears_soon(&mut of_bot).await, None);
    assert_eq!(hears_soon(&mut of_spy).await, None);
    assert_eq!(answer(&bot, &waits, json!({"action": "accept"})).await, 202);
    assert_eq!(heard(&bot, &mut asked).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_after_the_call_is_told_on_the_stream_of_who_was_asked() {
    let world = world().await;
    let (bot, spy) = (session(&world, "bot").await, session(&world, "spy").await);
    let (mut of_bot, mut of_spy) = (listen(&bot).await, listen(&spy).await);
    let mut open = bot.open(1, "asks_live", json!({"asks": [opens("a")]})).await;
    assert_eq!(heard(&bot, &mut open).await, [] as [Value; 0]);
    let complete = |id: &str| world.ops.tell("elicitation/complete", json!({"elicitationId": id}));
    becomes("its upstream is listened to", || complete("other") >= 1).await;
    complete("a");
    assert_eq!(hears(&mut of_bot).await, over("a"));
    complete("a");
    assert_eq!(hears_soon(&mut of_bot).await, None, "once");
    assert_eq!(hears_soon(&mut of_spy).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_without_end_has_only_so_many_told_after_the_call() {
    let world = world().await;
    let bot = session(&world, "bot").await;
    let mut of_bot = listen(&bot).await;
    for call in 0..2 {
        let asks: Vec<Value> = (0..9).map(|n| opens(&format!("{call}-{n}"))).collect();
        let mut open = bot.open(1, "asks_live", json!({"asks": asks})).await;
        heard(&bot, &mut open).await;
    }
    let complete = |id: &str| world.ops.tell("elicitation/complete", json!({"elicitationId": id}));
    becomes("its upstream is listened to", || complete("other") >= 1).await;
    complete("0-0");
    assert_eq!(hears_soon(&mut of_bot).await, None, "the oldest is forgotten");
    complete("1-8");
    assert_eq!(hears(&mut of_bot).await, over("1-8"));
}
