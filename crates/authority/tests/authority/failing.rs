//! A store that fails, in pairs: it had not written, and it had. Nobody acts on what is not known (R5).

use std::sync::Arc;

use authority::{NotCounted, Ruling};
use elevation::Outcome;
use store::LockSubject;
use terms::Slug;

use crate::between::Fails;
use crate::world::{World, deploy, permitted};

const BOTH: [Fails; 2] = [Fails::Before, Fails::After];

#[tokio::test]
async fn a_claim_that_is_not_known_to_be_durable_is_no_permit_and_no_open_attempt() {
    for fails in BOTH {
        let world = World::new().await;
        world.between().fail(fails);
        assert!(world.authority().decide(&world.ask("read_ticket", "{}")).await.is_err());
        world.settled().await;
        let attempts = world.authority().store().attempts(None, 10).await.unwrap();
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
        let expected: &[_] = if fails == Fails::Before { &[] } else { &[Some(Outcome::NotSent)] };
        assert_eq!(outcomes, expected);
        world.run(world.permitted("read_ticket", "{}").await).await;
        world.verified().await;
    }
}

#[tokio::test]
async fn a_spend_that_is_not_known_to_be_durable_is_never_made_twice() {
    for fails in BOTH {
        let world = World::new().await;
        let id = world.challenged("deploy", &deploy("1")).await.elevation;
        world.approve(id, "ann").await.unwrap();
        world.between().fail(fails);
        assert!(world.authority().decide(&world.ask("deploy", &deploy("1"))).await.is_err());
        world.settled().await;
        match world.decide("deploy", &deploy("1")).await {
            Ruling::Permitted(permit) => {
                assert_eq!(fails, Fails::Before);
                world.run(permit).await;
            }
            Ruling::Challenged(challenge) => {
                assert_eq!((fails, challenge.slug), (Fails::After, Slug::GrantSpent));
            }
            Ruling::Denied(denial) => panic!("{denial:?}"),
        }
        let whole = world.authority().store().elevation(id).await.unwrap().unwrap();
        assert_eq!((whole.grant.unwrap().spent, whole.attempts.len()), (1, 1));
        world.verified().await;
    }
}

/// A receipt proves one claim; it makes no permit for another access, nor for another attempt at the same (A12).
#[tokio::test]
async fn the_receipt_of_another_claim_makes_no_permit() {
    for earlier in ["{}", r#"{"id":7}"#] {
        let world = World::new().await;
        world.between().fail(Fails::After);
        assert!(world.authority().decide(&world.ask("read_ticket", earlier)).await.is_err());
        world.settled().await;
        world.between().confuse();
        world.run(world.permitted("read_ticket", r#"{"id":7}"#).await).await;
        world.settled().await;
        let attempts = world.authority().store().attempts(None, 10).await.unwrap();
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [Some(Outcome::Done), Some(Outcome::NotSent), Some(Outcome::NotSent)]);
        world.verified().await;
    }
}

#[tokio::test]
async fn a_vote_that_is_not_known_to_count_counts_once_or_not_at_all() {
    for fails in BOTH {
        let world = World::new().await;
        let id = world.challenged("deploy", &deploy("1")).await.elevation;
        let begun = world.begin(id, "ann").await.unwrap();
        let signed = world.sign(&begun, "ann");
        world.between().fail(fails);
        assert!(world.authority().vote(id, world.id("ann"), &signed).await.is_err());
        let again = world.vote(id, "ann", &signed).await;
        assert_eq!(again, Err(NotCounted::CeremonyOver)); // the nonce is used up all the same
        let anew = world.approve(id, "ann").await;
        assert_eq!(anew.is_ok(), fails == Fails::Before, "{anew:?}");
        assert_eq!(world.bodies("granted").await.len(), 1);
        world.run(world.permitted("deploy", &deploy("1")).await).await;
        world.verified().await;
    }
}

#[tokio::test]
async fn a_lock_that_nobody_was_told_of_stops_all_the_same() {
    for fails in BOTH {
        let world = World::new().await;
        world.between().fail(fails);
        let locked =
            world.authority().lock(LockSubject::All, "os:0".to_owned(), "odd".to_owned(), None).await;
        assert!(locked.is_err());
        match world.decide("read_ticket", "{}").await {
            Ruling::Permitted(permit) => {
                assert_eq!(fails, Fails::Before);
                world.run(permit).await;
            }
            ruling @ (Ruling::Denied(_) | Ruling::Challenged(_)) => {
                assert_eq!(fails, Fails::After);
                assert_eq!(crate::world::denied(ruling).slug, Slug::CallerLocked);
                assert_eq!(world.authority().active().locks().len(), 1); // learnt from the refusal
            }
        }
        world.verified().await;
    }
}

#[tokio::test]
async fn rules_that_nobody_was_told_of_are_in_force_all_the_same() {
    for fails in BOTH {
        let world = World::new().await;
        let forbid = crate::world::bundle_of(r#"@id("none") forbid (principal, action, resource);"#);
        world.between().fail(fails);
        assert!(world.authority().activate(&forbid, &authority::By::account(0)).await.is_err());
        match world.decide("read_ticket", "{}").await {
            Ruling::Permitted(permit) => {
                assert_eq!(fails, Fails::Before);
                world.run(permit).await;
            }
            ruling @ (Ruling::Denied(_) | Ruling::Challenged(_)) => {
                assert_eq!(fails, Fails::After);
                assert_eq!(crate::world::denied(ruling).slug, Slug::PolicyDenied);
            }
        }
        world.verified().await;
    }
}

#[tokio::test]
async fn an_outcome_that_could_not_be_recorded_is_tried_again() {
    for fails in BOTH {
        for tool in ["read_ticket", "deploy"] {
            let world = World::new().await;
            let arguments = deploy("1");
            if tool == "deploy" {
                let id = world.challenged(tool, &arguments).await.elevation;
                world.approve(id, "ann").await.unwrap();
            }
            let arguments = if tool == "deploy" { arguments.as_str() } else { "{}" };
            let permit = world.permitted(tool, arguments).await;
            let attempt = permit.attempt().unwrap();
            let (_, mut settlement) = permit.embark().unwrap();
            settlement.sending();
            world.between().fail(fails);
            let told = world.authority().settle(settlement, Outcome::Failed, Some(true)).await;
            assert_eq!(told.is_err(), tool == "deploy");
            world.settled().await;
            let attempt = world.authority().store().attempt(attempt).await.unwrap().unwrap();
            assert_eq!(attempt.outcome, Some(Outcome::Failed));
            world.verified().await;
        }
    }
}

#[tokio::test]
async fn who_loses_a_grant_to_a_quicker_call_is_told_that_it_ran_and_opens_nothing() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.approve(id, "ann").await.unwrap();
    let (authority, ask) = (Arc::clone(world.authority()), world.ask("deploy", &deploy("1")));
    world.between().after_standing(Box::pin(async move {
        let permit = permitted(authority.decide(&ask).await.unwrap());
        let (_, mut settlement) = permit.embark().unwrap();
        settlement.sending();
        authority.settle(settlement, Outcome::Done, Some(true)).await.unwrap();
    }));
    let denial = world.denied("deploy", &deploy("1")).await;
    assert_eq!(denial.slug, Slug::AlreadyRan);
    assert_eq!(world.bodies("challenged").await.len(), 1);
    world.verified().await;
}
