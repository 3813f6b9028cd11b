//! What takes power away, at once and with a session only; and what gives it back, with a passkey only.

use std::collections::BTreeSet;
use std::sync::Arc;

use authority::{NotCounted, Stale};
use store::{LockSubject, Selector};
use terms::{LockId, Millis, Slug};

use crate::world::{RULES, World, bundle, bundle_of, deploy};

async fn lock(world: &World, subject: LockSubject) -> LockId {
    world.authority().lock(subject, "os:0".to_owned(), "odd".to_owned(), None).await.unwrap()
}

async fn unlock(world: &World, id: LockId, name: &str) -> Result<(), NotCounted> {
    let human = world.id(name);
    let begun = world.authority().begin_unlock(id, human).await.unwrap()?;
    let signed = world.sign(&begun, name);
    world.authority().unlock(id, human, "all is well", &signed).await.unwrap()
}

#[tokio::test]
async fn every_kind_of_lock_stops_baseline_calls_and_grants_until_it_is_lifted() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    for subject in [
        LockSubject::All,
        LockSubject::Caller(world.bot().id),
        LockSubject::Human(world.id("olga")),
        LockSubject::Upstream("ops".to_owned()),
    ] {
        let id = lock(&world, subject).await;
        assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::CallerLocked);
        assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::CallerLocked);
        unlock(&world, id, "ann").await.unwrap();
        drop(world.permitted("read_ticket", "{}").await);
    }
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    world.verified().await;
}

#[tokio::test]
async fn locks_on_others_stop_nobody() {
    let mut world = World::new().await;
    let other = world.caller("other", "olga", &[]).await;
    for subject in [
        LockSubject::Caller(other.id),
        LockSubject::Human(world.id("ann")),
        LockSubject::Upstream("op".to_owned()),
    ] {
        lock(&world, subject).await;
    }
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn a_lock_on_one_identity_is_one_on_the_person() {
    let mut world = World::new().await;
    let olga = world.id("olga");
    world.identity("olga-at-home", olga, "managers").await;
    lock(&world, LockSubject::Human(world.id("olga-at-home"))).await;
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::CallerLocked);
    world.verified().await;
}

#[tokio::test]
async fn a_lock_with_an_end_ends() {
    let world = World::new().await;
    let until = world.authority().now().after(Millis::seconds(60));
    let subject = LockSubject::All;
    world.authority().lock(subject, "os:0".to_owned(), "odd".to_owned(), Some(until)).await.unwrap();
    world.denied("read_ticket", "{}").await;
    world.pass(61);
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn who_is_behind_a_locked_caller_lifts_its_lock_only_where_nobody_else_could() {
    let world = World::new().await;
    let id = lock(&world, LockSubject::Caller(world.bot().id)).await;
    assert_eq!(unlock(&world, id, "olga").await, Err(NotCounted::Behind));
    for name in ["ann", "ben", "sam", "dave"] {
        world.authority().disable_human(name, &authority::By::account(0)).await.unwrap();
    }
    unlock(&world, id, "olga").await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_locked_person_lifts_their_own_lock_only_where_nobody_else_could() {
    let mut world = World::new().await;
    let olga = world.id("olga");
    world.identity("olga-at-home", olga, "managers").await;
    let id = lock(&world, LockSubject::Human(olga)).await;
    for name in ["olga", "olga-at-home"] {
        let begun = world.authority().begin_unlock(id, world.id(name)).await.unwrap();
        assert_eq!(begun, Err(NotCounted::Behind));
    }
    for name in ["ann", "ben", "sam", "dave"] {
        world.authority().disable_human(name, &authority::By::account(0)).await.unwrap();
    }
    // Who has not enrolled yet could not lift it.
    drop(world.authority().add_human("zoe", &[], &authority::By::account(0)).await.unwrap());
    // What is so when the page is shown is looked at again when it is signed.
    let begun = world.authority().begin_unlock(id, olga).await.unwrap().unwrap();
    world.human("eve", &[]).await;
    let signed = world.sign(&begun, "olga");
    assert_eq!(world.authority().unlock(id, olga, "", &signed).await.unwrap(), Err(NotCounted::Behind));
    world.authority().disable_human("eve", &authority::By::account(0)).await.unwrap();
    unlock(&world, id, "olga").await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn where_everyone_is_behind_a_locked_caller_one_of_them_lifts_its_lock() {
    let mut world = World::new().await;
    world.caller("anns", "ann", &[]).await;
    let both = world.caller("both", "olga", &["anns"]).await;
    let id = lock(&world, LockSubject::Caller(both.id)).await;
    assert_eq!(unlock(&world, id, "ann").await, Err(NotCounted::Behind));
    for name in ["ben", "sam", "dave"] {
        world.authority().disable_human(name, &authority::By::account(0)).await.unwrap();
    }
    unlock(&world, id, "ann").await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_signature_that_lifts_one_lock_lifts_no_other_and_none_twice() {
    let world = World::new().await;
    let one = lock(&world, LockSubject::All).await;
    let two = lock(&world, LockSubject::Caller(world.bot().id)).await;
    let ann = world.id("ann");
    let begun = world.authority().begin_unlock(one, ann).await.unwrap().unwrap();
    let signed = world.sign(&begun, "ann");
    let other = world.authority().unlock(two, ann, "", &signed).await.unwrap();
    assert_eq!(other, Err(NotCounted::CeremonyOver));
    let begun = world.authority().begin_unlock(one, ann).await.unwrap().unwrap();
    let (signed, long) = (world.sign(&begun, "ann"), "x".repeat(501));
    let refused = world.authority().unlock(one, ann, &long, &signed).await.unwrap();
    assert_eq!(refused, Err(NotCounted::ReasonMissing), "no room for so long a reason");
    unlock(&world, one, "ann").await.unwrap();
    assert_eq!(unlock(&world, one, "ann").await, Err(NotCounted::NotFound));
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::CallerLocked);
    world.verified().await;
}

#[tokio::test]
async fn a_permit_does_not_run_after_a_lock() {
    let world = World::new().await;
    let permit = world.permitted("read_ticket", "{}").await;
    let authority = Arc::clone(world.authority());
    let bot = LockSubject::Caller(world.bot().id);
    let locking =
        tokio::spawn(async move { authority.lock(bot, "os:0".to_owned(), "odd".to_owned(), None).await });
    while world.authority().active().locks().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(permit.embark().map(drop), Err(Stale(Slug::CallerLocked)));
    locking.await.unwrap().unwrap();
    world.settled().await;
    let attempt = &world.authority().store().attempts(None, 1).await.unwrap()[0];
    assert_eq!(attempt.outcome.unwrap().name(), "not_sent");
    world.verified().await;
}

#[tokio::test]
async fn a_permit_does_not_run_after_its_caller_was_disabled() {
    let world = World::new().await;
    let permit = world.permitted("read_ticket", "{}").await;
    let authority = Arc::clone(world.authority());
    let disabling =
        tokio::spawn(async move { authority.disable_caller("bot", &authority::By::account(0)).await });
    while world.authority().active().authenticated(world.ask_id()).is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(permit.embark().map(drop), Err(Stale(Slug::CallerLocked)));
    disabling.await.unwrap().unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_permit_is_good_only_for_so_long_by_a_clock_that_never_stops() {
    let world = World::new().await;
    let permit = world.permitted("read_ticket", "{}").await;
    world.ambient.pass(Millis::new(4999));
    drop(permit.embark().unwrap());
    let permit = world.permitted("read_ticket", "{}").await;
    world.pass(5);
    assert_eq!(permit.embark().map(drop), Err(Stale(Slug::Busy)));
    world.verified().await;
}

/// Whether a verb is acknowledged within a while.
async fn acknowledged<T>(verb: &mut tokio::task::JoinHandle<T>) -> bool {
    tokio::time::timeout(std::time::Duration::from_millis(300), verb).await.is_ok()
}

#[tokio::test]
async fn a_lock_new_rules_and_a_revocation_are_acknowledged_once_no_earlier_permit_is_left() {
    let world = World::new().await;
    let challenge = world.challenged("restore", r#"{"target":"x"}"#).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let grant = world.permitted("restore", r#"{"target":"x"}"#).await;
    let bot = world.bot().id;
    world.run(grant).await;
    let forbid =
        bundle_of(&format!(r#"{RULES}@id("f") forbid (principal, action, resource) when {{ false }};"#));
    for verb in 0..3 {
        let permit = world.permitted("read_ticket", "{}").await;
        let (authority, forbid) = (Arc::clone(world.authority()), forbid.clone());
        let mut running = tokio::spawn(async move {
            let (by, why) = ("os:0".to_owned(), "odd".to_owned());
            match verb {
                0 => drop(authority.revoke(Selector::Caller(bot), by, why).await.unwrap()),
                1 => drop(authority.activate(&forbid, &authority::By::account(0)).await.unwrap()),
                _ => drop(authority.lock(LockSubject::Caller(bot), by, why, None).await.unwrap()),
            }
        });
        assert!(!acknowledged(&mut running).await);
        let mut embarked = permit.embark().ok();
        assert_eq!(embarked.is_some(), verb < 2, "what is locked does not even embark");
        if let Some((_, settlement)) = &mut embarked {
            assert!(!acknowledged(&mut running).await, "nothing has left yet");
            settlement.sending();
        }
        assert!(acknowledged(&mut running).await, "what has left is not waited for");
    }
    world.verified().await;
}

#[tokio::test]
async fn an_acknowledgement_waits_no_longer_than_a_permit_is_good() {
    let mut settings = crate::world::settings();
    settings.permit_for = Millis::new(400);
    let world = World::with(settings, &bundle()).await;
    let permit = world.permitted("read_ticket", "{}").await;
    let authority = Arc::clone(world.authority());
    let mut locking = tokio::spawn(async move {
        authority.lock(LockSubject::All, "os:0".to_owned(), "odd".to_owned(), None).await
    });
    assert!(!acknowledged(&mut locking).await);
    locking.await.unwrap().unwrap();
    assert!(permit.embark().is_err());
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_lock_is_acknowledged_nothing_is_sent() {
    let world = World::new().await;
    let ask = Arc::new(world.ask("read_ticket", "{}"));
    let locked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (authority, ask, locked) =
                (Arc::clone(world.authority()), Arc::clone(&ask), Arc::clone(&locked));
            tokio::spawn(async move {
                let mut sent_after = 0;
                for _ in 0..60 {
                    if let authority::Ruling::Permitted(permit) = authority.decide(&ask).await.unwrap()
                        && let Ok((_, mut settlement)) = permit.embark()
                    {
                        sent_after += u32::from(locked.load(std::sync::atomic::Ordering::SeqCst));
                        settlement.sending();
                    }
                }
                sent_after
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    lock(&world, LockSubject::Caller(world.bot().id)).await;
    locked.store(true, std::sync::atomic::Ordering::SeqCst);
    for call in calls {
        assert_eq!(call.await.unwrap(), 0);
    }
    world.verified().await;
}

#[tokio::test]
async fn a_grant_that_was_revoked_is_none() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    let grant = whole.grant.unwrap().id;
    let revoke = |what| world.authority().revoke(what, "os:0".to_owned(), "odd".to_owned());
    assert_eq!(revoke(Selector::Grant(grant)).await.unwrap(), 1);
    assert_eq!(revoke(Selector::Grant(grant)).await.unwrap(), 0);
    assert_eq!(world.challenged("deploy", &deploy("1")).await.slug, Slug::ApprovalRequired);
    world.verified().await;
}

#[tokio::test]
async fn revoking_all_of_a_caller_names_what_it_took() {
    let world = World::new().await;
    let mut grants = BTreeSet::new();
    for version in ["1", "2"] {
        let challenge = world.challenged("deploy", &deploy(version)).await;
        world.approve(challenge.elevation, "ann").await.unwrap();
        let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
        grants.insert(whole.grant.unwrap().id.to_string());
    }
    let all = Selector::Caller(world.bot().id);
    assert_eq!(world.authority().revoke(all, "os:0".to_owned(), "odd".to_owned()).await.unwrap(), 2);
    let named = world.bodies("revoked").await[0].get("grants").unwrap().as_array().unwrap().to_vec();
    let named: BTreeSet<String> = named.iter().map(|g| g.as_str().unwrap().to_owned()).collect();
    assert_eq!(named, grants);
    world.challenged("deploy", &deploy("1")).await;
    world.verified().await;
}

#[tokio::test]
async fn a_disabled_caller_has_no_grants_left() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.authority().disable_caller("bot", &authority::By::account(0)).await.unwrap();
    assert_eq!(world.authenticated("bot"), Err(Slug::CredentialInvalid));
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    assert!(whole.grant.unwrap().revoked_at.is_some());
    assert_eq!(world.bodies("revoked").await.len(), 1);
    world.verified().await;
}
