//! Every attempt gets an outcome, and the true one.

use std::sync::Arc;

use elevation::Outcome;
use terms::Slug;

use crate::world::{World, deploy};

async fn last_outcome(world: &World) -> Option<Outcome> {
    world.authority().store().attempts(None, 1).await.unwrap()[0].outcome
}

#[tokio::test]
async fn a_permit_that_nobody_uses_is_settled_as_not_sent() {
    let world = World::new().await;
    drop(world.permitted("read_ticket", "{}").await);
    world.settled().await;
    assert_eq!(last_outcome(&world).await, Some(Outcome::NotSent));
    world.verified().await;
}

#[tokio::test]
async fn silence_means_not_sent_before_the_first_byte_and_unknown_after_it() {
    let world = World::new().await;
    let (_, settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
    drop(settlement);
    world.settled().await;
    assert_eq!(last_outcome(&world).await, Some(Outcome::NotSent));
    let (_, mut settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
    settlement.sending();
    drop(settlement);
    world.settled().await;
    assert_eq!(last_outcome(&world).await, Some(Outcome::Unknown));
    world.verified().await;
}

#[tokio::test]
async fn the_outcome_of_an_elevated_attempt_is_recorded_before_anyone_is_answered() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    assert_eq!(last_outcome(&world).await, Some(Outcome::Done));
    assert_eq!(world.kinds().await.last().unwrap(), "settled");
    world.verified().await;
}

#[tokio::test]
async fn many_outcomes_at_once_are_all_recorded() {
    let world = World::new().await;
    let mut settlements = Vec::new();
    for _ in 0..300 {
        let (_, settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
        settlements.push(settlement);
    }
    for settlement in settlements {
        world.authority().settle(settlement, Outcome::Failed, Some(true)).await.unwrap();
    }
    let report = world.verified().await;
    assert_eq!(report.open_attempts, 0);
}

#[tokio::test]
async fn who_only_looks_writes_nothing_and_knows_what_an_earlier_run_left_open() {
    let mut world = World::new().await;
    let permit = world.permitted("read_ticket", "{}").await;
    let attempt = permit.attempt().unwrap();
    let before = world.authority().store().head().await.unwrap();
    let running = world.authority().store().attempt(attempt).await.unwrap().unwrap();
    assert_eq!(world.authority().outcome_of(&running), None);
    let ask = world.ask("read_ticket", "{}");

    let looking = world.looked_at(move || drop(permit)).await;
    assert_eq!(looking.store().head().await.unwrap(), before, "not even that it started");
    let left = looking.store().attempt(attempt).await.unwrap().unwrap();
    assert_eq!((left.outcome, looking.outcome_of(&left)), (None, Some(Outcome::Unknown)));
    let locked = looking.lock(store::LockSubject::All, "os:0".to_owned(), "odd".to_owned(), None).await;
    assert!(locked.is_err(), "there is no way to write");
    looking.attach(authority::Upstream { name: "ops".to_owned(), identity: crate::world::identity() });
    assert!(looking.decide(&ask).await.is_err(), "and nothing is permitted that cannot be recorded");
    drop(looking);
    world.crash(|| ()).await;
    let settled = world.authority().store().attempt(attempt).await.unwrap().unwrap();
    assert_eq!(settled.outcome, Some(Outcome::Unknown));
    world.verified().await;
}

#[tokio::test]
async fn after_a_crash_whatever_was_out_is_unknown_and_is_not_sent_again() {
    let mut world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("deploy", &deploy("1")).await;
    let (_, mut settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
    settlement.sending();
    world
        .crash(move || {
            drop(permit);
            drop(settlement);
        })
        .await;
    let attempts = world.authority().store().attempts(None, 2).await.unwrap();
    assert!(attempts.iter().all(|a| a.outcome == Some(Outcome::Unknown)));
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::OutcomeUnknown);
    world.run(world.permitted("read_ticket", "{}").await).await;
    let report = world.verified().await;
    assert_eq!(report.open_attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_decision_that_its_caller_gave_up_leaves_no_attempt_open() {
    let world = World::new().await;
    for n in 0..200_u32 {
        let (authority, ask) = (Arc::clone(world.authority()), world.ask("read_ticket", "{}"));
        let deciding = tokio::spawn(async move { drop(authority.decide(&ask).await) });
        for _ in 0..n % 7 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_micros(u64::from(n % 20) * 40)).await;
        deciding.abort();
        let _ = deciding.await;
    }
    let report = world.verified().await;
    assert_eq!(report.open_attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_outcome_that_nobody_waits_to_be_recorded_is_recorded_as_it_was() {
    let world = World::new().await;
    for n in 0..30_u32 {
        let challenge = world.challenged("deploy", &deploy(&n.to_string())).await;
        world.approve(challenge.elevation, "ann").await.unwrap();
        let (_, mut settlement) = world.permitted("deploy", &deploy(&n.to_string())).await.embark().unwrap();
        settlement.sending();
        let authority = Arc::clone(world.authority());
        let settling = tokio::spawn(async move { authority.settle(settlement, Outcome::Failed, None).await });
        tokio::time::sleep(std::time::Duration::from_micros(u64::from(n % 10) * 100)).await;
        settling.abort();
        let _ = settling.await;
        world.settled().await;
        let outcome = last_outcome(&world).await;
        // Where not even the verb had begun, silence after the first byte is all that is known.
        assert!(matches!(outcome, Some(Outcome::Failed | Outcome::Unknown)), "{n}: {outcome:?}");
    }
    let report = world.verified().await;
    assert_eq!(report.open_attempts, 0);
}

#[tokio::test]
async fn only_an_unknown_outcome_is_resolved_and_never_to_unknown() {
    let world = World::new().await;
    let permit = world.permitted("read_ticket", "{}").await;
    let attempt = permit.attempt().unwrap();
    let ann = world.id("ann");
    let begin = async |outcome| world.authority().begin_resolve(attempt, outcome, ann).await.unwrap();
    assert!(begin(Outcome::Done).await.is_err()); // still running
    world.run_to(permit, Outcome::Unknown, None).await;
    world.settled().await;
    assert!(begin(Outcome::Unknown).await.is_err());
    let (one, two) = (begin(Outcome::Done).await.unwrap(), begin(Outcome::Failed).await.unwrap());
    let (one, two) = (world.sign(&one, "ann"), world.sign(&two, "ann"));
    let resolve = async |outcome, signed| {
        world.authority().resolve(attempt, outcome, ann, "asked them", signed).await.unwrap()
    };
    assert!(resolve(Outcome::Done, &one).await.is_ok());
    assert!(resolve(Outcome::Failed, &two).await.is_err());
    assert_eq!(last_outcome(&world).await, Some(Outcome::Done));
    world.verified().await;
}
