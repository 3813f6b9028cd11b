use elevation::{Conclusion, Outcome, Version};
use terms::statement::Role;
use terms::{Ambient as _, CallerId};

use super::World;
use crate::{Change, Rejection, Selector};

pub async fn what_waits_is_found_with_its_votes(world: &mut World) {
    let access = world.access("1");
    assert_eq!(world.situation(&access).await.pending, None);
    let mut pending = world.open(&access, 1).await;
    let [ann, ben] = world.approvers;
    for human in [ben, ann] {
        world.pass(1);
        let vote = world.vote(&pending, human, Role::Approver);
        let change = Change::Vote { id: pending.id, vote: Box::new(vote.clone()), expects: pending.version };
        world.commit(vec![change]).await.unwrap();
        pending.votes.push(vote);
        pending.version = Version(pending.version.0 + 1);
    }
    assert_eq!(world.situation(&access).await.pending, Some(pending.clone()));
    let other = world.another_caller("other").await;
    assert_eq!(world.situation_of(other, &access, 0).await.pending, None);

    world.open(&world.access("2"), 1).await;
    assert_eq!(world.situation(&access).await.pending_count, 2);
    world.commit(vec![World::concluded(&pending, Conclusion::Rejected)]).await.unwrap();
    assert_eq!(world.situation(&access).await.pending_count, 1);
    world.pass(60_000);
    assert_eq!(world.situation(&access).await.pending_count, 0, "what is beyond its time does not wait");
    let due = world.situation(&world.access("2")).await.pending;
    assert!(due.is_some(), "but it is found, so that it can be expired in the commit that opens the next");
}

pub async fn a_rejection_of_another_access_to_the_resource_is_told_and_none_of_the_very_one(
    world: &mut World,
) {
    let rejected = world.open(&world.access("1"), 1).await;
    let told_of = async |world: &World, caller, version: &str, span| {
        let asked = world.standing_of(caller, &world.access(version), span);
        world.store().rejected_another(asked).await.unwrap()
    };
    let told = async |world: &World, version: &str, span| told_of(world, world.caller, version, span).await;
    assert!(!told(world, "2", 0).await);
    world.commit(vec![World::concluded(&rejected, Conclusion::Rejected)]).await.unwrap();
    assert!(told(world, "2", 0).await);
    assert!(!told(world, "1", 0).await);
    let other = world.another_caller("other").await;
    assert!(!told_of(world, other, "2", 0).await);
    world.pass(10);
    assert!(told(world, "2", 10).await);
    assert!(!told(world, "2", 9).await);
}

pub async fn what_waits_is_counted_over_callers(world: &mut World) {
    let (caller, other) = (world.caller, world.another_caller("other").await);
    let waiting =
        async |world: &World, callers: &[CallerId]| world.store().waiting(callers.to_vec()).await.unwrap();
    assert_eq!(waiting(world, &[caller, other]).await, 0);
    let rejected = world.open(&world.access("1"), 1).await;
    world.commit(vec![World::concluded(&rejected, Conclusion::Rejected)]).await.unwrap();
    for version in ["2", "3"] {
        world.open(&world.access(version), 1).await;
    }
    let of_other = crate::Change::Open {
        pending: Box::new(elevation::Pending { caller: other, ..world.request(&world.access("2"), 1) }),
    };
    world.commit(vec![of_other]).await.unwrap();
    assert_eq!(waiting(world, &[caller]).await, 2);
    assert_eq!(waiting(world, &[other]).await, 1);
    assert_eq!(waiting(world, &[caller, other]).await, 3);
    assert_eq!(waiting(world, &[]).await, 0);
    world.pass(60_000);
    assert_eq!(waiting(world, &[caller, other]).await, 0, "what is beyond its time does not wait");
}

pub async fn live_grants_are_found_with_the_request_they_rest_on(world: &mut World) {
    let mut expected = Vec::new();
    for version in ["1", "2"] {
        let mut pending = world.open(&world.access(version), 2).await;
        let vote = world.vote(&pending, world.approvers[0], Role::Approver);
        pending.votes.push(vote.clone());
        let voted = Change::Vote { id: pending.id, vote: Box::new(vote), expects: pending.version };
        pending.version = Version(1);
        let (approve, grant) = world.approved(&pending);
        world.pass(7);
        world.commit([vec![voted], approve].concat()).await.unwrap();
        expected.push(crate::Granted { grant, elevation: pending });
    }
    // Whether they fit the access is for whoever asked to judge; it is asked for action and resource.
    let found = world.situation(&world.access("any")).await.grants;
    assert_eq!(found, expected);
    let spend = world.spend(&expected[0].grant, &world.access("1")).await;
    world.commit(vec![spend]).await.unwrap();
    assert_eq!(world.situation(&world.access("1")).await.grants[0].grant.spent, 1);
    world.commit(vec![Change::Revoke(Selector::Grant(expected[1].grant.id))]).await.unwrap();
    assert_eq!(world.situation(&world.access("1")).await.grants.len(), 1);
    world.pass(300_000);
    assert_eq!(world.situation(&world.access("1")).await.grants, []);
}

pub async fn the_newest_grant_that_is_over_is_found(world: &mut World) {
    let access = world.access("1");
    assert_eq!(world.situation(&access).await.over, None);
    let first = world.granted(&access, 1).await;
    assert_eq!(world.situation(&access).await.over, None);
    let spend = world.spend(&first, &access).await;
    world.commit(vec![spend]).await.unwrap();
    assert_eq!(world.situation(&access).await.over.unwrap().id, first.id);
    let second = world.granted(&access, 1).await;
    world.commit(vec![Change::Revoke(Selector::Grant(second.id))]).await.unwrap();
    assert_eq!(world.situation(&access).await.over.unwrap().id, second.id);
    let third = world.granted(&access, 1).await;
    assert_eq!(world.situation(&access).await.over.unwrap().id, second.id);
    world.pass(300_000);
    assert_eq!(world.situation(&access).await.over.unwrap().id, third.id);
    assert_eq!(world.situation(&world.access("2")).await.over, None);
}

pub async fn a_rejection_counts_for_its_time(world: &mut World) {
    let access = world.access("1");
    let rejected = world.open(&access, 1).await;
    world.commit(vec![World::concluded(&rejected, Conclusion::Rejected)]).await.unwrap();
    let expected = Rejection { elevation: rejected.id, why: "so".to_owned(), at: world.ambient.now() };
    world.pass(1000);
    assert_eq!(world.situation_of(world.caller, &access, 1000).await.rejected, Some(expected));
    assert_eq!(world.situation_of(world.caller, &access, 999).await.rejected, None);
    let other = world.another_caller("other").await;
    assert_eq!(world.situation_of(other, &access, 1000).await.rejected, None);
    let withdrawn = world.open(&world.access("2"), 1).await;
    world.commit(vec![World::concluded(&withdrawn, Conclusion::Withdrawn)]).await.unwrap();
    assert_eq!(world.situation(&world.access("2")).await.rejected, None);
}

pub async fn what_is_open_is_found_before_what_went_well(world: &mut World) {
    let access = world.access("1");
    let baseline = world.claim(&access).await;
    world.commit(vec![Change::Attempt(baseline)]).await.unwrap();
    assert_eq!(world.situation(&access).await.last, None, "only runs under a grant count");
    let grant = world.granted(&access, 2).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let spend = world.spend(&grant, &access).await;
        runs.push(world.commit(vec![spend]).await.unwrap().claimed.unwrap().attempt());
        world.pass(1000);
    }
    let settle =
        |attempt, outcome, resolves| Change::Settle { attempt, outcome, delivered: Some(true), resolves };
    assert_eq!(world.situation(&access).await.last.unwrap().id, runs[1]);
    world.commit(vec![settle(runs[1], Outcome::Done, false)]).await.unwrap();
    assert_eq!(world.situation_of(world.caller, &access, 5000).await.last.unwrap().id, runs[0]);
    world.commit(vec![settle(runs[0], Outcome::Unknown, false)]).await.unwrap();
    let last = world.situation_of(world.caller, &access, 5000).await.last.unwrap();
    assert_eq!((last.id, last.outcome), (runs[0], Some(Outcome::Unknown)));
    world.commit(vec![settle(runs[0], Outcome::Failed, true)]).await.unwrap();
    let last = world.situation_of(world.caller, &access, 1000).await.last.unwrap();
    assert_eq!((last.id, last.outcome, last.delivered), (runs[1], Some(Outcome::Done), Some(true)));
    assert_eq!(world.situation_of(world.caller, &access, 999).await.last, None);
}
