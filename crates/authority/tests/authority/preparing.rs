//! Who prepared something does not approve what is done with it (decisions A14, rfd 38).

use std::sync::Arc;

use authority::{Bundle, NotCounted, Permit, ToolSettings, Voted};
use elevation::Outcome;
use terms::{Caller, Json, Slug, Touch};

use crate::world::{World, bundle, challenged, denied, json, permitted, settings};

fn touches(from: &str, first: bool) -> ToolSettings {
    let touch = Touch { kind: "batch".to_owned(), from: from.parse().unwrap(), first };
    ToolSettings { touches: vec![touch], ..ToolSettings::default() }
}

/// A ticket that is read prepares the batch that its answer names; a deployment to staging changes the one of its version; to restore
/// into it is to pay it, which takes a manager.
fn rules() -> Bundle {
    let mut bundle = bundle();
    let tools = &mut bundle.upstreams.get_mut("ops").unwrap().tools;
    tools.insert("read_ticket".to_owned(), touches("/result/structuredContent/id", false));
    tools.insert("deploy".to_owned(), touches("/arguments/version", true));
    tools.insert("restore".to_owned(), touches("/arguments/target", false));
    bundle
}

const PAY: &str = r#"{"path":"a","target":"17"}"#;
const CHANGE: &str = r#"{"environment":"staging","version":"17"}"#;

async fn world() -> World {
    let mut world = World::with(settings(), &rules()).await;
    world.caller("anns", "ann", &[]).await;
    world.caller("bens", "ben", &[]).await;
    world
}

async fn answered(world: &World, permit: Permit, outcome: Outcome, answer: Option<&str>) {
    let (_, mut settlement) = permit.embark().unwrap();
    settlement.sending();
    assert!(
        settlement.reads() && settlement.awaited(),
        "what is touched is known before anybody goes on with it"
    );
    settlement.answered(answer.map(json).as_ref());
    world.authority().settle(settlement, outcome, Some(true)).await.unwrap();
}

async fn asks(world: &World, caller: &str, tool: &str, arguments: &str) -> authority::Ruling {
    let caller: Arc<Caller> = world.authenticated(caller).unwrap();
    world.authority().decide(&world.ask_as(&caller, tool, arguments)).await.unwrap()
}

/// One's caller prepares a batch, whose key is what the answer says.
async fn prepares(world: &World, caller: &str, answer: Option<&str>) {
    let permit = permitted(asks(world, caller, "read_ticket", "{}").await);
    answered(world, permit, Outcome::Done, answer).await;
}

const IS_17: Option<&str> = Some(r#"{"structuredContent":{"id":17}}"#);

#[tokio::test]
async fn a14_who_prepared_it_does_not_approve_it_and_is_told_why() {
    let world = world().await;
    prepares(&world, "anns", IS_17).await;
    let challenge = world.challenged("restore", PAY).await;
    assert_eq!(world.approve(challenge.elevation, "ann").await, Err(NotCounted::Prepared));
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    let shown = world.authority().show(&whole, world.id("ann")).await.unwrap().unwrap();
    assert_eq!(shown.can, Err(NotCounted::Prepared.to_string()));
    let line = &shown.card.touches[0];
    let by: Vec<_> = line.by.iter().map(|by| (by.human.as_str(), by.caller.as_str(), by.certain)).collect();
    assert_eq!((line.kind.as_str(), line.key.as_str(), by), ("batch", "17", vec![("ann", "anns", true)]));
    assert!(matches!(world.approve(challenge.elevation, "ben").await, Ok(Voted::Approved(_))));
    world.run(world.permitted("restore", PAY).await).await;
    let granted = world.bodies("granted").await;
    assert_eq!(granted[0].get("preparers").unwrap().text(), format!("[{}]", Json::from(world.id("ann"))));
    let settled = world.bodies("settled").await;
    let touched: Vec<_> = settled.iter().map(|body| body.get("touched").unwrap().text()).collect();
    assert_eq!(
        touched, [r#"[{"key":"17","kind":"batch"}]"#; 2],
        "who prepared what, and who went on with it"
    );
    world.verified().await;
}

#[tokio::test]
async fn a14_an_approval_by_who_has_touched_it_since_is_worth_nothing() {
    let world = world().await;
    prepares(&world, "bot", IS_17).await;
    let first = world.challenged("restore", PAY).await;
    world.approve(first.elevation, "ann").await.unwrap();
    // Ann's own caller changes the batch that she approved.
    let changing = permitted(asks(&world, "anns", "deploy", CHANGE).await);
    let second = world.challenged("restore", PAY).await;
    assert_ne!(second.elevation, first.elevation, "while it is at it, too");
    answered(&world, changing, Outcome::Done, Some("{}")).await;
    assert_eq!(world.approve(second.elevation, "ann").await, Err(NotCounted::Prepared));
    world.approve(second.elevation, "ben").await.unwrap();
    world.run(world.permitted("restore", PAY).await).await;
    world.verified().await;
}

#[tokio::test]
async fn a14_a_vote_by_who_touches_it_before_the_next_one_does_not_count() {
    let world = world().await;
    prepares(&world, "bot", IS_17).await;
    let waits = world.challenged("restore", PAY).await;
    let begun = world.begin(waits.elevation, "ann").await.unwrap();
    let changing = permitted(asks(&world, "anns", "deploy", CHANGE).await);
    answered(&world, changing, Outcome::Unknown, None).await;
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.vote(waits.elevation, "ann", &signed).await, Err(NotCounted::Prepared));
    world.verified().await;
}

#[tokio::test]
async fn a14_a_claim_that_was_judged_before_somebody_else_touched_it_starts_again() {
    let world = world().await;
    prepares(&world, "bot", IS_17).await;
    let first = world.challenged("restore", PAY).await;
    world.approve(first.elevation, "ann").await.unwrap();
    // Between the judgement and the commit of the payment, ann's caller begins to change the batch.
    let (authority, anns) = (Arc::clone(world.authority()), world.authenticated("anns").unwrap());
    let ask = world.ask_as(&anns, "deploy", CHANGE);
    let (begun, changing) = tokio::sync::oneshot::channel();
    world.between().before_commit(Box::pin(async move {
        drop(begun.send(permitted(authority.decide(&ask).await.unwrap())));
    }));
    let paying = asks(&world, "bot", "restore", PAY).await;
    assert_ne!(challenged(paying).elevation, first.elevation);
    answered(&world, changing.await.unwrap(), Outcome::Done, None).await;
    world.verified().await;
}

#[tokio::test]
async fn a14_what_nobody_is_known_to_have_prepared_runs_for_nobody_and_asks_nobody() {
    let world = world().await;
    assert_eq!(world.denied("restore", PAY).await.slug, Slug::PreparerUnknown);
    prepares(&world, "bot", IS_17).await;
    for other in ["017", " 17", "17.0", "18"] {
        let other = format!(r#"{{"path":"a","target":"{other}"}}"#);
        assert_eq!(world.denied("restore", &other).await.slug, Slug::PreparerUnknown, "{other}");
    }
    for unnamed in [r#"{"path":"a"}"#, r#"{"target":null}"#, r#"{"target":""}"#] {
        assert_eq!(world.denied("restore", unnamed).await.slug, Slug::PreparerUnknown, "{unnamed}");
    }
    world.challenged("restore", PAY).await;
    // One that may be the first makes it known.
    let change = CHANGE.replace("17", "18");
    answered(&world, permitted(asks(&world, "anns", "deploy", &change).await), Outcome::Done, None).await;
    let waits = world.challenged("restore", &PAY.replace("17", "18")).await;
    assert_eq!(world.approve(waits.elevation, "ann").await, Err(NotCounted::Prepared));
    world.verified().await;
}

#[tokio::test]
async fn a14_who_prepared_something_whose_answer_did_not_say_which_approves_none_of_its_kind() {
    for answer in [None, Some("{}"), Some(r#"{"structuredContent":{"id":null}}"#), Some(r#"{"id":17}"#)] {
        let world = world().await;
        prepares(&world, "anns", answer).await;
        assert_eq!(world.denied("restore", PAY).await.slug, Slug::PreparerUnknown, "{answer:?}");
        // That somebody else has touched it since does not tell who did first.
        prepares(&world, "bot", IS_17).await;
        let waits = world.challenged("restore", PAY).await;
        assert_eq!(world.approve(waits.elevation, "ann").await, Err(NotCounted::Prepared), "{answer:?}");
        world.approve(waits.elevation, "ben").await.unwrap();
        world.verified().await;
    }
}

#[tokio::test]
async fn a14_what_did_not_happen_was_not_prepared_and_what_may_have_was() {
    for (outcome, approves) in [
        (Outcome::NotSent, true),
        (Outcome::Failed, true),
        (Outcome::Unknown, false),
        (Outcome::Released, false),
    ] {
        let world = world().await;
        prepares(&world, "bot", IS_17).await;
        let permit = permitted(asks(&world, "anns", "read_ticket", "{}").await);
        answered(&world, permit, outcome, IS_17).await;
        let waits = world.challenged("restore", PAY).await;
        assert_eq!(world.approve(waits.elevation, "ann").await.is_ok(), approves, "{outcome:?}");
        world.verified().await;
    }
    // One that is dropped unused leaves nothing, and one that nobody said anything of may be any.
    let world = world().await;
    prepares(&world, "bot", IS_17).await;
    drop(permitted(asks(&world, "anns", "read_ticket", "{}").await));
    // An answer to what an upstream asked within a call names nothing: that is for the call.
    let (_, mut within) = permitted(asks(&world, "anns", "read_ticket", "{}").await).embark().unwrap();
    within.sending();
    within.answers_nothing();
    world.authority().settle(within, Outcome::Done, None).await.unwrap();
    let (_, mut silent) = permitted(asks(&world, "bens", "read_ticket", "{}").await).embark().unwrap();
    silent.sending();
    drop(silent);
    world.settled().await;
    let waits = world.challenged("restore", PAY).await;
    assert_eq!(world.approve(waits.elevation, "ben").await, Err(NotCounted::Prepared));
    world.approve(waits.elevation, "ann").await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a14_a_crash_while_it_is_prepared_leaves_that_it_may_be_any() {
    let mut world = world().await;
    prepares(&world, "bot", IS_17).await;
    let permit = permitted(asks(&world, "anns", "read_ticket", "{}").await);
    world.crash(|| drop(permit)).await;
    let waits = world.challenged("restore", PAY).await;
    assert_eq!(world.approve(waits.elevation, "ann").await, Err(NotCounted::Prepared));
    world.verified().await;
}

#[tokio::test]
async fn a14_where_all_who_are_asked_prepared_it_nobody_may_approve() {
    let world = world().await;
    prepares(&world, "anns", IS_17).await;
    answered(&world, permitted(asks(&world, "bens", "deploy", CHANGE).await), Outcome::Done, None).await;
    assert_eq!(world.denied("restore", PAY).await.slug, Slug::NobodyMayApprove);
    world.verified().await;
}

#[tokio::test]
async fn a14_the_same_person_under_another_name_prepared_it_too() {
    let mut world = world().await;
    let ann = world.id("ann");
    world.identity("ann-too", ann, "managers").await;
    prepares(&world, "anns", IS_17).await;
    let waits = world.challenged("restore", PAY).await;
    assert_eq!(world.approve(waits.elevation, "ann-too").await, Err(NotCounted::Prepared));
    world.verified().await;
}

#[tokio::test]
async fn what_policy_denies_is_not_told_who_prepared_it() {
    let world = world().await;
    let mut rules = rules();
    let never =
        r#"@id("never-17") forbid (principal, action == Action::"tools/call:ops/restore", resource);"#;
    rules.texts.values_mut().for_each(|text| text.push_str(never));
    world.activate(&rules).await;
    assert_eq!(denied(asks(&world, "bot", "restore", PAY).await).slug, Slug::PolicyDenied);
    world.verified().await;
}

#[test]
fn rules_that_touch_nothing_are_the_bundle_that_they_were() {
    let plain = bundle();
    assert!(!plain.to_json().text().contains("touches"));
    let rules = rules();
    assert_eq!(Bundle::from_json(&rules.to_json()), Ok(rules));
}

#[tokio::test]
async fn a14_what_names_no_key_touches_nothing_that_anybody_knows_and_so_does_not_run() {
    let world = world().await;
    for version in [
        r#"["17"]"#,
        r#"{"a":17}"#,
        "true",
        "null",
        r#""""#,
        "1.5",
        "1e300",
        &format!("\"{}\"", "x".repeat(257)),
    ] {
        let arguments = format!(r#"{{"environment":"staging","version":{version}}}"#);
        let refused = denied(asks(&world, "anns", "deploy", &arguments).await);
        assert_eq!(refused.slug, Slug::PreparerUnknown, "{version}");
    }
    let without = denied(asks(&world, "anns", "deploy", r#"{"environment":"staging"}"#).await);
    assert_eq!(without.slug, Slug::PreparerUnknown);
    world.verified().await;
}

#[tokio::test]
async fn a14_who_prepared_it_does_not_say_that_nothing_came_of_it() {
    let world = world().await;
    let permit = permitted(asks(&world, "anns", "read_ticket", "{}").await);
    let attempt = permit.attempt().unwrap();
    answered(&world, permit, Outcome::Unknown, None).await;
    let resolve = async |who: &str, outcome: Outcome| {
        let human = world.id(who);
        let begun = world.authority().begin_resolve(attempt, outcome, human).await.unwrap()?;
        let signed = world.sign(&begun, who);
        world.authority().resolve(attempt, outcome, human, "looked", &signed).await.unwrap()
    };
    for outcome in [Outcome::Failed, Outcome::NotSent] {
        assert_eq!(resolve("ann", outcome).await, Err(NotCounted::Behind), "{outcome:?}");
    }
    prepares(&world, "bot", IS_17).await;
    let waits = world.challenged("restore", PAY).await.elevation;
    assert_eq!(world.approve(waits, "ann").await, Err(NotCounted::Prepared), "it may be any");
    assert_eq!(resolve("ben", Outcome::Failed).await, Ok(()));
    assert!(matches!(world.approve(waits, "ann").await, Ok(Voted::Approved(_))), "somebody else looked");
    world.verified().await;
}
