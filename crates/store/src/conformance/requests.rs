use elevation::{Conclusion, State, Version};
use terms::statement::Role;
use terms::{GrantId, Time};

use super::World;
use crate::{Change, Listing, Refused};

pub async fn one_request_of_a_caller_for_an_access_waits_at_a_time(world: &mut World) {
    let access = world.access("1");
    let waiting = world.open(&access, 1).await;
    let again = Change::Open { pending: Box::new(world.request(&access, 2)) };
    assert_eq!(world.refused(again).await, Refused::Exists(waiting.id));

    world.open(&world.access("2"), 1).await;
    let other = world.another_caller("other").await;
    let mut of_other = world.request(&access, 1);
    of_other.caller = other;
    world.commit(vec![Change::Open { pending: Box::new(of_other) }]).await.unwrap();

    world.commit(vec![World::concluded(&waiting, Conclusion::Rejected)]).await.unwrap();
    world.open(&access, 1).await;
}

pub async fn a_request_beyond_its_time_makes_room_in_the_same_commit(world: &mut World) {
    let access = world.access("1");
    let old = world.open(&access, 1).await;
    world.pass(60_000);
    let new = world.request(&access, 1);
    let open = Change::Open { pending: Box::new(new.clone()) };
    assert_eq!(world.refused(open.clone()).await, Refused::Exists(old.id));
    world.commit(vec![World::concluded(&old, Conclusion::Expired), open]).await.unwrap();
    assert_eq!(world.situation(&access).await.pending, Some(new));
}

pub async fn a_root_approves_once_and_an_owner_confirms_anew(world: &mut World) {
    let mut pending = world.open(&world.access("1"), 1).await;
    let [ann, ben] = world.approvers;
    for (human, role) in [(ann, Role::Approver), (ann, Role::Owner), (ben, Role::Approver)] {
        world.commit(vec![world.voted(&pending, human, role)]).await.unwrap();
        pending.version = Version(pending.version.0 + 1);
    }
    assert_eq!(world.refused(world.voted(&pending, ann, Role::Approver)).await, Refused::Conflict);

    // Another identity of the same person is the same root.
    let as_ann = |role| {
        let mut vote = world.vote(&pending, ben, role);
        vote.root = ann;
        Change::Vote { id: pending.id, vote: Box::new(vote), expects: pending.version }
    };
    assert_eq!(world.refused(as_ann(Role::Approver)).await, Refused::Conflict);
    world.pass(7);
    world.commit(vec![as_ann(Role::Owner)]).await.unwrap();
    let whole = world.store().elevation(pending.id).await.unwrap().unwrap();
    assert_eq!((whole.request.votes.len(), whole.request.version.0), (3, pending.version.0 + 1));
    let confirmed: Vec<_> = whole.request.votes.iter().filter(|vote| vote.role == Role::Owner).collect();
    assert_eq!((confirmed.len(), confirmed[0].root, confirmed[0].human), (1, ann, ben));
    assert_eq!(
        confirmed[0].at,
        terms::Ambient::now(world.ambient.as_ref()),
        "the newer one is the one that counts"
    );
}

pub async fn a_vote_on_anything_but_the_newest_version_is_refused(world: &mut World) {
    let pending = world.open(&world.access("1"), 1).await;
    let [ann, ben] = world.approvers;
    let (first, second) =
        (world.voted(&pending, ann, Role::Approver), world.voted(&pending, ben, Role::Approver));
    world.commit(vec![first]).await.unwrap();
    assert_eq!(world.refused(second).await, Refused::Conflict);
    let unknown = world.request(&world.access("2"), 1);
    assert_eq!(world.refused(world.voted(&unknown, ann, Role::Approver)).await, Refused::Missing);
    assert_eq!(world.situation(&world.access("1")).await.pending.unwrap().votes.len(), 1);
}

pub async fn a_request_is_concluded_once(world: &mut World) {
    use Conclusion::{Approved, Expired, Rejected, Superseded, Withdrawn};
    for (nth, first) in [Rejected, Withdrawn, Superseded].into_iter().enumerate() {
        let pending = world.open(&world.access(&nth.to_string()), 1).await;
        world.commit(vec![World::concluded(&pending, first)]).await.unwrap();
        for second in [Rejected, Withdrawn, Superseded, Expired] {
            assert_eq!(world.refused(World::concluded(&pending, second)).await, Refused::Conflict);
        }
        let (approve, _) = world.approved(&pending);
        assert_eq!(world.commit(approve).await.unwrap_err(), Refused::Conflict);
        let vote = world.voted(&pending, world.approvers[0], Role::Approver);
        assert_eq!(world.refused(vote).await, Refused::Conflict);
        let whole = world.store().elevation(pending.id).await.unwrap().unwrap();
        assert_eq!(whole.state, State::Concluded(first));
        assert_eq!((whole.why.as_deref(), whole.concluded_by.as_deref()), (Some("so"), Some("ann")));
        assert_eq!(whole.grant, None);
    }
    let pending = world.open(&world.access("approved"), 1).await;
    let (approve, grant) = world.approved(&pending);
    world.commit(approve.clone()).await.unwrap();
    assert_eq!(world.commit(approve).await.unwrap_err(), Refused::Conflict);
    let whole = world.store().elevation(pending.id).await.unwrap().unwrap();
    assert_eq!((whole.state, whole.grant), (State::Concluded(Approved), Some(grant)));
}

pub async fn nothing_counts_after_its_time_and_nothing_expires_before_it(world: &mut World) {
    let access = world.access("1");
    let pending = world.open(&access, 1).await;
    world.pass(59_999);
    assert_eq!(world.refused(World::concluded(&pending, Conclusion::Expired)).await, Refused::Conflict);
    world.pass(1);
    let (approve, _) = world.approved(&pending);
    assert_eq!(world.commit(approve).await.unwrap_err(), Refused::Lapsed);
    let vote = world.voted(&pending, world.approvers[0], Role::Approver);
    assert_eq!(world.refused(vote).await, Refused::Lapsed);
    let says = Change::Claims {
        id: pending.id,
        purpose: Some("late".to_owned()),
        ticket: None,
        expects: pending.version,
    };
    assert_eq!(world.refused(says).await, Refused::Lapsed);
    world.commit(vec![World::concluded(&pending, Conclusion::Expired)]).await.unwrap();
    assert_eq!(world.situation(&access).await.grants, Vec::new());
}

pub async fn a_grant_is_issued_only_by_the_commit_that_approves(world: &mut World) {
    let pending = world.open(&world.access("1"), 1).await;
    let (approve, grant) = world.approved(&pending);
    let [conclude, issue] = <[Change; 2]>::try_from(approve).unwrap();
    assert_eq!(world.refused(issue.clone()).await, Refused::Conflict);
    assert_eq!(world.refused(conclude.clone()).await, Refused::Conflict);
    let backwards = vec![issue.clone(), conclude.clone()];
    assert_eq!(world.commit(backwards).await.unwrap_err(), Refused::Conflict);
    let mut second = grant.clone();
    second.id = GrantId::fresh(world.ambient.as_ref());
    let twice = vec![conclude.clone(), issue.clone(), Change::Issue(Box::new(second))];
    assert_eq!(world.commit(twice).await.unwrap_err(), Refused::Conflict);
    world.commit(vec![conclude, issue.clone()]).await.unwrap();
    assert_eq!(world.refused(issue).await, Refused::Conflict);
}

pub async fn a_grant_for_anything_else_than_was_approved_is_refused(world: &mut World) {
    let other = world.another_caller("other").await;
    let pending = world.open(&world.access("1"), 1).await;
    let (approve, grant) = world.approved(&pending);
    let elsewhere = world.access("2").hash();
    let wrong = [
        elevation::Grant { caller: other, ..grant.clone() },
        elevation::Grant { access: elsewhere, ..grant.clone() },
        elevation::Grant { action: "prompts/get".to_owned(), ..grant.clone() },
        elevation::Grant { resource: "ops/delete".to_owned(), ..grant.clone() },
        elevation::Grant { spent: 1, ..grant.clone() },
        elevation::Grant { revoked_at: Some(Time::from_millis(1)), ..grant.clone() },
    ];
    for grant in wrong {
        let commit = vec![approve[0].clone(), Change::Issue(Box::new(grant))];
        assert_eq!(world.commit(commit).await.unwrap_err(), Refused::Conflict);
    }
    world.commit(approve).await.unwrap();
}

pub async fn what_the_caller_says_is_added_and_never_taken_away(world: &mut World) {
    let access = world.access("1");
    let pending = world.open(&access, 1).await;
    let says = |purpose: Option<&str>, ticket: Option<&str>, version| Change::Claims {
        id: pending.id,
        purpose: purpose.map(str::to_owned),
        ticket: ticket.map(str::to_owned),
        expects: Version(version),
    };
    world.commit(vec![says(None, Some("OPS-1"), 0)]).await.unwrap();
    assert_eq!(world.refused(says(Some("again"), None, 0)).await, Refused::Conflict);
    world.commit(vec![says(Some("again"), None, 1)]).await.unwrap();
    let now = world.situation(&access).await.pending.unwrap();
    assert_eq!((now.purpose.as_deref(), now.ticket.as_deref()), (Some("again"), Some("OPS-1")));
    assert_eq!(now.version, Version(2));
}

pub async fn requests_are_listed_newest_first(world: &mut World) {
    let mut opened = Vec::new();
    for version in ["1", "2", "3"] {
        opened.push(world.open(&world.access(version), 1).await);
        world.pass(1);
    }
    world.commit(vec![World::concluded(&opened[1], Conclusion::Withdrawn)]).await.unwrap();
    let other = world.another_caller("other").await;
    let withdrawn = State::Concluded(Conclusion::Withdrawn);
    let listings = [
        (Listing { limit: 10, ..Listing::default() }, vec![2, 1, 0]),
        (Listing { limit: 2, ..Listing::default() }, vec![2, 1]),
        (Listing { state: Some(State::Pending), limit: 10, ..Listing::default() }, vec![2, 0]),
        (Listing { state: Some(withdrawn), limit: 10, ..Listing::default() }, vec![1]),
        (Listing { before: Some(opened[2].opened_at), limit: 10, ..Listing::default() }, vec![1, 0]),
        (Listing { caller: Some(world.caller), limit: 10, ..Listing::default() }, vec![2, 1, 0]),
        (Listing { caller: Some(other), limit: 10, ..Listing::default() }, vec![]),
    ];
    for (listing, expected) in listings {
        let found = world.store().elevations(listing.clone()).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|nth: usize| opened[nth].id).collect();
        assert_eq!(found.iter().map(|w| w.request.id).collect::<Vec<_>>(), expected, "{listing:?}");
    }
}

pub async fn what_is_due_is_what_waits_beyond_its_time(world: &mut World) {
    let first = world.open(&world.access("1"), 1).await;
    world.pass(1);
    let second = world.open(&world.access("2"), 1).await;
    world.pass(59_998);
    assert_eq!(world.store().due(10).await.unwrap(), []);
    world.pass(1);
    assert_eq!(world.store().due(10).await.unwrap(), [(first.id, Version::FIRST)]);
    world.pass(1);
    assert_eq!(world.store().due(1).await.unwrap(), [(first.id, Version::FIRST)]);
    world.commit(vec![World::concluded(&first, Conclusion::Expired)]).await.unwrap();
    assert_eq!(world.store().due(10).await.unwrap(), [(second.id, Version::FIRST)]);
}
