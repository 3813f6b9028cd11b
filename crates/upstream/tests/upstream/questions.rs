//! What an upstream asks while a call of it runs: over stdio it has to be known within which (T24), and what it is answered
//! takes a permit for that very call (decisions A8).

use elevation::Outcome;
use terms::json::Object;
use terms::{Abilities, AttemptId, Json, Millis};
use tokio::sync::mpsc;
use upstream::{Along, Asks, Fault, Forwarded, Question, Replied, forward, reply};

use crate::world::{SOON, World, ended, hostile, none, session, value};

async fn world() -> World {
    let world = World::new(vec![hostile(&[])]).await;
    world.pin(&["elicits", "silent"]).await;
    world
}

/// What the upstream was answered, as it says itself.
fn told(forwarded: &Forwarded) -> serde_json::Value {
    let text = value(forwarded)["content"][0]["text"].as_str().unwrap().to_owned();
    serde_json::from_str(&text).unwrap()
}

/// A call that asks; what is asked goes to `each`.
async fn elicits<F: Future<Output = ()>>(
    world: &World,
    each: impl FnOnce(Question, AttemptId) -> F,
) -> Forwarded {
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "elicits", none()).await;
    let attempt = permit.attempt().unwrap();
    let (sink, mut questions) = mpsc::channel(4);
    let along = Along { questions: Some(sink), ..Along::default() };
    let asked = async {
        if let Some(question) = questions.recv().await {
            each(question, attempt).await;
        }
    };
    let (forwarded, ()) = tokio::join!(forward(permit, &link, along, SOON), asked);
    forwarded
}

fn yes() -> Object {
    let answer = Json::object([("action", "accept")]);
    Object::from_iter([("elicitation/create", answer)])
}

#[tokio::test]
async fn a8_what_was_judged_for_this_question_is_written_and_nothing_else() {
    let world = world().await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let forwarded = elicits(&world, async |question, attempt| {
        assert_eq!((question.asks(), question.takes().form), (Asks::Elicitation, true));
        let permit = world.permit_answer("elicits", attempt, yes()).await;
        let Replied { outcome, settlement } = reply(permit, &link, question, SOON).await;
        assert!(outcome == Outcome::Done && settlement.is_some());
    })
    .await;
    assert_eq!(told(&forwarded)["result"]["action"], "accept");
    // Of another attempt, of another method, and what continues nothing: of none a byte leaves.
    let other: AttemptId = terms::AttemptId::from_slice(&[9; 16]).unwrap();
    let sampled = Object::from_iter([("sampling/createMessage", Json::object([("role", "user")]))]);
    for (of, inputs) in [(Some(other), yes()), (None, sampled), (None, Object::new())] {
        let forwarded = elicits(&world, async |question, attempt| {
            let permit = world.permit_answer("elicits", of.unwrap_or(attempt), inputs).await;
            let Replied { outcome, settlement } = reply(permit, &link, question, SOON).await;
            assert!(outcome == Outcome::NotSent && settlement.is_some());
        })
        .await;
        assert_eq!(told(&forwarded)["error"]["code"], -32603);
    }
    let forwarded = elicits(&world, async |question, _| {
        let permit = world.permit("ops", "elicits", none()).await;
        assert_eq!(reply(permit, &link, question, SOON).await.outcome, Outcome::NotSent);
    })
    .await;
    assert_eq!(told(&forwarded)["error"]["code"], -32603);
}

#[tokio::test]
async fn t24_over_stdio_nobody_is_asked_in_the_name_of_a_call_that_may_not_be_the_one() {
    let world = world().await;
    let nobody = async || {
        let forwarded = elicits(&world, async |question, _| panic!("asked: {question:?}")).await;
        assert_eq!(told(&forwarded)["error"]["code"], -32600);
    };
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let silent = world.permit("ops", "silent", none()).await;
    tokio::select! {
        _ = forward(silent, &link, Along::default(), SOON) => panic!("it is silent"),
        () = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            nobody().await;
        } => {}
    }
    // It was given up, and may run there all the same.
    nobody().await;
    let other = world.upstreams.link("ops", session(2)).await.unwrap();
    let silent = world.permit("ops", "silent", none()).await;
    ended(
        &forward(silent, &other, Along::default(), Millis::new(100)).await,
        Fault::Timeout,
        Outcome::Unknown,
    );
}

#[tokio::test]
async fn a28_what_a_client_can_be_asked_is_told_of_the_link_of_its_session_and_of_no_other() {
    let mut config = hostile(&[]);
    config.asks = Abilities { form: true, url: true, ..Abilities::default() };
    let world = World::new(vec![config]).await;
    let client = Abilities { form: true, sampling: true, ..Abilities::default() };
    let link = world.upstreams.link_who_can("ops", session(1), client).await.unwrap();
    assert_eq!(link.abilities(), Abilities { form: true, ..Abilities::default() });
    let other = world.upstreams.link("ops", session(2)).await.unwrap();
    assert_eq!(other.abilities(), Abilities::default());
    let mut config = hostile(&[]);
    config.asks = client;
    config.share = upstream::Share::All;
    let world = World::new(vec![config]).await;
    let link = world.upstreams.link_who_can("ops", session(1), client).await.unwrap();
    assert_eq!(link.abilities(), Abilities::default());
}
