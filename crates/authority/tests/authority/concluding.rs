//! How a request ends other than by approval.

use authority::NotCounted;
use elevation::{Conclusion, State};
use terms::Slug;

use crate::world::{World, deploy, woken};

#[tokio::test]
async fn who_could_sign_and_who_is_behind_the_caller_reject_and_nobody_else() {
    let world = World::new().await;
    for (name, may) in [("ann", true), ("olga", true), ("sam", false), ("dave", false)] {
        let id = world.challenged("deploy", &deploy(name)).await.elevation;
        let rejected = world.authority().reject(id, world.id(name), "no", false).await.unwrap();
        assert_eq!(rejected, if may { Ok(()) } else { Err(NotCounted::NotEligible) }, "{name}");
    }
    world.verified().await;
}

#[tokio::test]
async fn a_rejection_says_why() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    for reason in ["", "  \n", &"x".repeat(501)] {
        let rejected = world.authority().reject(id, world.id("ann"), reason, false).await.unwrap();
        assert_eq!(rejected, Err(NotCounted::ReasonMissing));
    }
    world.verified().await;
}

#[tokio::test]
async fn who_decides_is_told_that_another_call_of_the_tool_was_rejected_lately_and_only_another() {
    let world = World::new().await;
    let lately = async |id| {
        let (_, card, _) = world.authority().begin_consent(id, world.id("ben")).await.unwrap().unwrap();
        card.unusual.iter().any(|unusual| unusual.text == terms::card::UnusualText::RejectedLately)
    };
    let first = world.challenged("deploy", &deploy("1")).await.elevation;
    let second = world.challenged("deploy", &deploy("2")).await.elevation;
    assert!(!lately(second).await);
    world.authority().reject(first, world.id("ann"), "no", false).await.unwrap().unwrap();
    assert!(lately(second).await);
    let other_tool = world.challenged("set_secret", r#"{"name":"db","token":"t"}"#).await.elevation;
    assert!(!lately(other_tool).await);
    world.pass(601);
    assert!(!lately(second).await);
    let same = world.challenged("deploy", &deploy("1")).await.elevation;
    assert!(!lately(same).await);
    world.verified().await;
}

#[tokio::test]
async fn one_rejection_concludes_and_no_vote_follows() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ben").await.unwrap();
    world.authority().reject(id, world.id("ann"), "no", false).await.unwrap().unwrap();
    assert_eq!(
        world.vote(id, "ben", &world.sign(&begun, "ben")).await,
        Err(NotCounted::Over("it was rejected"))
    );
    let again = world.authority().reject(id, world.id("ben"), "no", false).await.unwrap();
    assert_eq!(again, Err(NotCounted::Over("it was rejected")));
    world.verified().await;
}

#[tokio::test]
async fn rejecting_and_locking_stops_the_caller_even_where_somebody_has_just_approved() {
    for approved in [false, true] {
        let world = World::new().await;
        let id = world.challenged("deploy", &deploy("1")).await.elevation;
        if approved {
            world.approve(id, "ben").await.unwrap();
        }
        let rejected = world.authority().reject(id, world.id("ann"), "stop", true).await.unwrap();
        assert_eq!(rejected.is_ok(), !approved);
        assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::CallerLocked);
        assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::CallerLocked);
        world.verified().await;
    }
}

#[tokio::test]
async fn nobody_rejects_what_has_expired() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.pass(901);
    let rejected = world.authority().reject(id, world.id("ann"), "no", false).await.unwrap();
    assert_eq!(rejected, Err(NotCounted::Over("it has expired")));
    world.verified().await;
}

#[tokio::test]
async fn only_its_own_caller_withdraws_a_request_and_only_while_it_waits() {
    let mut world = World::new().await;
    let other = world.caller("other", "olga", &[]).await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let withdraw = async |caller| world.authority().withdraw(caller, id, None).await.unwrap();
    assert_eq!(withdraw(&other).await, Err(Slug::ElevationUnknown));
    let bot = world.bot();
    assert_eq!(withdraw(&bot).await, Ok(()));
    assert_eq!(withdraw(&bot).await, Err(Slug::ElevationUnknown));
    assert_eq!(world.approve(id, "ann").await, Err(NotCounted::Over("it was withdrawn")));
    assert!(world.challenged("deploy", &deploy("1")).await.opened);
    world.verified().await;
}

#[tokio::test]
async fn the_sweep_ends_what_is_due_and_wakes_who_waits() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    assert_eq!(world.authority().expire().await.unwrap(), 0);
    world.pass(900);
    let waiting = world.authority().waiting(id);
    assert_eq!(world.authority().expire().await.unwrap(), 1);
    woken(waiting).await;
    let status = world.authority().status(&world.bot(), id).await.unwrap().unwrap();
    assert_eq!(status.state, State::Concluded(Conclusion::Expired));
    world.verified().await;
}

#[tokio::test]
async fn a_vote_a_rejection_and_a_withdrawal_wake_who_waits() {
    let world = World::new().await;
    let id = async |n: &str| world.challenged("deploy", &deploy(n)).await.elevation;
    let [voted, rejected, withdrawn, taken_back] =
        [id("1").await, id("2").await, id("3").await, id("4").await];
    let all = [voted, rejected, withdrawn, taken_back].map(|id| world.authority().waiting(id));
    let (authority, ann, olga) = (world.authority(), world.id("ann"), world.id("olga"));
    world.approve(voted, "ann").await.unwrap();
    authority.reject(rejected, ann, "no", false).await.unwrap().unwrap();
    authority.withdraw(&world.bot(), withdrawn, None).await.unwrap().unwrap();
    authority.withdraw_for(world.bot().id, taken_back, olga, "no").await.unwrap().unwrap();
    for waiting in all {
        woken(waiting).await;
    }
    world.verified().await;
}

#[tokio::test]
async fn whom_a_request_concerns_is_known_before_its_upstream_is_there_again() {
    let mut world = World::new().await;
    let id = world.challenged("deploy", r#"{"environment":"production","version":"1"}"#).await.elevation;
    let before = world.authority().concerned(id).await.unwrap().unwrap();
    let names = |concerned: &authority::Concerned| {
        let all = concerned.approvers.iter().flat_map(|person| person.names.clone());
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(names(&before), ["ann", "ben"]);
    assert_eq!(before.owner.as_ref().unwrap().names.first().unwrap(), "olga");
    world.crash(|| ()).await;
    let without = world.looked_at(|| ()).await;
    assert_eq!(without.concerned(id).await.unwrap().unwrap(), before);
    drop(without);
    world.crash(|| ()).await;
    world.verified().await;
}
