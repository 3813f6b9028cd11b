use std::num::NonZeroU32;
use std::sync::Arc;

use elevation::Outcome;
use terms::{AttemptId, BindHash, BootId, Digest, GrantId, HumanId, LockId, Millis, Time, Touched};

use super::World;
use super::world::{human, spending};
use crate::{Change, Claim, Commit, Epoch, Lock, LockSubject, Principal, PrincipalRef, Refused, Selector};

pub async fn a_hundred_racers_spend_a_grant_as_often_as_it_says(world: &mut World) {
    for uses in [1_u32, 3] {
        let access = world.access(&uses.to_string());
        let grant = world.granted(&access, uses).await;
        let start = Arc::new(tokio::sync::Barrier::new(100));
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let changes = vec![world.spend(&grant, &access).await];
            let records = vec![world.record(audit::record::Kind::Spent)];
            let (store, start) = (world.store().clone(), start.clone());
            racers.spawn(async move {
                start.wait().await;
                store.commit(Commit { changes, records }).await.unwrap()
            });
        }
        let answers = racers.join_all().await;
        let won: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
        assert_eq!(won.len(), uses as usize);
        assert!(won.iter().all(|r| r.claimed.as_ref().unwrap().grant() == Some(grant.id)));
        assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|refused| *refused == Refused::Spent));
        let whole = world.store().elevation(grant.elevation).await.unwrap().unwrap();
        assert_eq!((whole.grant.unwrap().spent, whole.attempts.len()), (uses, uses as usize));
        assert_eq!(world.situation(&access).await.over.unwrap().spent, uses);
    }
}

/// What today's terms allow is held by the statement itself: two nodes that judged the same use both find one.
pub async fn racers_under_stricter_terms_spend_as_often_as_those_say(world: &mut World) {
    let access = world.access("1");
    let grant = world.granted(&access, 5).await;
    let under = |uses: u32, not_after: Time| elevation::Grant {
        uses: NonZeroU32::new(uses).unwrap(),
        not_after,
        ..grant.clone()
    };
    let soon = world.ambient.now_of().after(Millis::new(60_000));
    let start = Arc::new(tokio::sync::Barrier::new(50));
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let changes = vec![spending(&under(2, soon), world.claim(&access).await)];
        let records = vec![world.record(audit::record::Kind::Spent)];
        let (store, start) = (world.store().clone(), start.clone());
        racers.spawn(async move {
            start.wait().await;
            store.commit(Commit { changes, records }).await.unwrap()
        });
    }
    let answers = racers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|refused| *refused == Refused::Spent));

    let third = world.claim(&access).await;
    world.commit(vec![spending(&under(3, soon), third)]).await.unwrap();
    world.pass(60_000);
    let late = spending(&under(5, soon), world.claim(&access).await);
    assert_eq!(world.refused(late).await, Refused::Lapsed);
    // Looser terms than its own loosen nothing.
    for _ in 0..2 {
        let claim = world.claim(&access).await;
        world.commit(vec![spending(&under(9, grant.not_after), claim)]).await.unwrap();
    }
    let sixth = spending(&under(9, grant.not_after), world.claim(&access).await);
    assert_eq!(world.refused(sixth).await, Refused::Spent);
    let other = world.granted(&access, 1).await;
    world.pass(300_000);
    let later = other.not_after.after(Millis::new(600_000));
    let late = spending(&elevation::Grant { not_after: later, ..other }, world.claim(&access).await);
    assert_eq!(world.refused(late).await, Refused::Lapsed);
}

pub async fn a_mismatch_burns_nothing(world: &mut World) {
    let other = world.another_caller("other").await;
    let access = world.access("1");
    let grant = world.granted(&access, 1).await;
    let bind = BindHash::from_digest(Digest::plain(b"another"));
    let elsewhere =
        spending(&elevation::Grant { bind_hash: bind, ..grant.clone() }, world.claim(&access).await);
    let mut claim = world.claim(&access).await;
    claim.subjects.caller = other;
    let of_other = spending(&grant, claim);
    for mismatch in [elsewhere, of_other] {
        assert_eq!(world.refused(mismatch).await, Refused::Conflict);
    }
    let unknown = GrantId::fresh(world.ambient.as_ref());
    let nothing = spending(&elevation::Grant { id: unknown, ..grant.clone() }, world.claim(&access).await);
    assert_eq!(world.refused(nothing).await, Refused::Missing);

    assert_eq!(world.situation(&access).await.grants[0].grant, grant);
    let spend = world.spend(&grant, &access).await;
    world.commit(vec![spend]).await.unwrap();
}

pub async fn a_grant_that_is_over_is_not_spent(world: &mut World) {
    let accesses = ["spent", "revoked", "lapsed"].map(|version| world.access(version));
    let [spent, revoked, lapsed] = &accesses;
    let grants =
        [world.granted(spent, 1).await, world.granted(revoked, 1).await, world.granted(lapsed, 1).await];
    let spend = world.spend(&grants[0], spent).await;
    world.commit(vec![spend]).await.unwrap();
    world.commit(vec![Change::Revoke(Selector::Grant(grants[1].id))]).await.unwrap();
    // Before their time is over too: afterwards that alone would refuse them.
    for (grant, access, refused) in
        [(&grants[0], spent, Refused::Spent), (&grants[1], revoked, Refused::Revoked)]
    {
        let spend = world.spend(grant, access).await;
        assert_eq!(world.refused(spend).await, refused);
    }
    world.pass(299_999);
    let in_time = world.spend(&grants[2], lapsed).await;
    world.pass(1);
    assert_eq!(world.refused(in_time).await, Refused::Lapsed, "it is the moment of the commit that counts");

    let expected = [Refused::Spent, Refused::Revoked, Refused::Lapsed];
    for ((grant, access), refused) in grants.iter().zip(&accesses).zip(expected) {
        let spend = world.spend(grant, access).await;
        assert_eq!(world.refused(spend).await, refused);
        assert!(world.situation(access).await.grants.is_empty());
    }
}

pub(super) fn lock(world: &World, subject: LockSubject, until: Option<Time>) -> Lock {
    let (id, since) = (LockId::fresh(world.ambient.as_ref()), world.ambient.now_of());
    Lock { id, subject, since, until, by: "os:1000".to_owned(), why: "odd".to_owned() }
}

trait NowOf {
    fn now_of(&self) -> Time;
}

impl NowOf for crate::testing::TestAmbient {
    fn now_of(&self) -> Time {
        terms::Ambient::now(self)
    }
}

pub async fn a_lock_of_any_kind_stops_every_claim(world: &mut World) {
    let stranger = HumanId::fresh(world.ambient.as_ref());
    world.commit(vec![Change::Register(Principal::Human(human("eve", stranger)))]).await.unwrap();
    let access = world.access("1");
    let grant = world.granted(&access, 1).await;
    let kinds = [
        LockSubject::All,
        LockSubject::Caller(world.caller),
        LockSubject::Human(world.owner),
        LockSubject::Human(world.approvers[0]),
        LockSubject::Upstream("ops".to_owned()),
    ];
    // Two people stand behind this caller, and the lock of either stops it.
    let roots = vec![world.owner, world.approvers[0]];
    for subject in kinds {
        let lock = lock(world, subject, None);
        world.commit(vec![Change::Lock(lock.clone())]).await.unwrap();
        assert_eq!(world.store().directory().await.unwrap().locks, std::slice::from_ref(&lock));
        let mut claim = world.claim(&access).await;
        claim.subjects.roots.clone_from(&roots);
        assert_eq!(world.refused(spending(&grant, claim.clone())).await, Refused::Locked(lock.id));
        assert_eq!(world.refused(Change::Attempt(claim)).await, Refused::Locked(lock.id));
        world.commit(vec![Change::Unlock(lock.id)]).await.unwrap();
    }
    let other = world.another_caller("other").await;
    let elsewhere = [
        LockSubject::Caller(other),
        LockSubject::Human(stranger),
        LockSubject::Upstream("op".to_owned()),
        LockSubject::Upstream("all".to_owned()),
    ];
    let locks = elsewhere.map(|subject| Change::Lock(lock(world, subject, None)));
    world.commit(locks.into()).await.unwrap();
    let (baseline, spend) = (world.claim(&access).await, world.spend(&grant, &access).await);
    world.commit(vec![Change::Attempt(baseline)]).await.unwrap();
    world.commit(vec![spend]).await.unwrap();
}

pub async fn a_lock_ends_with_its_time_and_when_it_is_lifted(world: &mut World) {
    let access = world.access("1");
    let until = Some(world.ambient.now_of().after(Millis::new(1000)));
    let (timed, lasting) = (lock(world, LockSubject::All, until), lock(world, LockSubject::All, None));
    world.commit(vec![Change::Lock(timed.clone()), Change::Lock(lasting.clone())]).await.unwrap();
    world.commit(vec![Change::Unlock(lasting.id)]).await.unwrap();
    assert_eq!(world.refused(Change::Unlock(lasting.id)).await, Refused::Conflict);
    let unknown = LockId::fresh(world.ambient.as_ref());
    assert_eq!(world.refused(Change::Unlock(unknown)).await, Refused::Missing);
    world.pass(999);
    let claim = world.claim(&access).await;
    assert_eq!(world.refused(Change::Attempt(claim.clone())).await, Refused::Locked(timed.id));
    world.pass(1);
    world.commit(vec![Change::Attempt(claim)]).await.unwrap();
    assert_eq!(world.store().directory().await.unwrap().locks, []);
}

pub async fn a_claim_judged_under_another_epoch_is_stale(world: &mut World) {
    let access = world.access("1");
    let grant = world.granted(&access, 1).await;
    let judged = world.epoch().await;
    let before = world.spend(&grant, &access).await;
    let human = human("eve", HumanId::fresh(world.ambient.as_ref()));
    world.commit(vec![Change::Register(Principal::Human(human))]).await.unwrap();
    let now = Epoch(judged.0 + 1);
    assert_eq!(world.refused(before).await, Refused::Stale(now));
    for epoch in [judged, Epoch(now.0 + 1)] {
        let claim = Claim { epoch, ..world.claim(&access).await };
        assert_eq!(world.refused(Change::Attempt(claim)).await, Refused::Stale(now));
    }
    let after = world.spend(&grant, &access).await;
    world.commit(vec![after]).await.unwrap();
}

pub async fn an_attempt_is_claimed_once(world: &mut World) {
    let access = world.access("1");
    let claim = world.claim(&access).await;
    let receipt = world.commit(vec![Change::Attempt(claim.clone())]).await.unwrap();
    let claimed = receipt.claimed.unwrap();
    assert_eq!((claimed.attempt(), claimed.access(), claimed.grant()), (claim.attempt, access.hash(), None));
    assert_eq!(world.refused(Change::Attempt(claim)).await, Refused::Conflict);
    let two = [world.claim(&access).await, world.claim(&access).await];
    let two = two.map(Change::Attempt).into();
    assert_eq!(world.commit(two).await.unwrap_err(), Refused::Conflict, "a receipt proves one claim");
    let mut nobody = world.claim(&access).await;
    nobody.subjects.caller = terms::CallerId::fresh(world.ambient.as_ref());
    assert_eq!(world.refused(Change::Attempt(nobody)).await, Refused::Missing);
    let attempts = world.store().attempts(Some(world.caller), 10).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(world.store().attempt(attempts[0].id).await.unwrap().as_ref(), Some(&attempts[0]));
}

fn settle(attempt: AttemptId, outcome: Outcome, resolves: bool) -> Change {
    Change::Settle { attempt, outcome, delivered: Some(false), resolves }
}

pub async fn an_attempt_ends_once(world: &mut World) {
    for (outcome, ..) in Outcome::TABLE {
        let claim = world.claim(&world.access("1")).await;
        world.commit(vec![Change::Attempt(claim.clone())]).await.unwrap();
        world.pass(5);
        world.commit(vec![settle(claim.attempt, outcome, false)]).await.unwrap();
        let ended = world.store().attempt(claim.attempt).await.unwrap().unwrap();
        assert_eq!((ended.outcome, ended.delivered), (Some(outcome), Some(false)));
        assert_eq!(ended.settled_at, Some(ended.at.after(Millis::new(5))));
        for (second, ..) in Outcome::TABLE {
            assert_eq!(world.refused(settle(claim.attempt, second, false)).await, Refused::Conflict);
        }
    }
    let unknown = AttemptId::fresh(world.ambient.as_ref());
    assert_eq!(world.refused(settle(unknown, Outcome::Done, false)).await, Refused::Missing);
}

pub async fn what_is_to_be_done_once_names_one_attempt_unless_that_was_not_sent(world: &mut World) {
    let key = terms::Digest::plain(b"order 7");
    let claims = [world.claim(&world.access("1")).await, world.claim(&world.access("2")).await];
    let [first, second] = claims.map(|claim| {
        let once = Change::Once { caller: claim.subjects.caller, key, attempt: claim.attempt };
        (claim.attempt, vec![Change::Attempt(claim), once])
    });
    world.commit(first.1).await.unwrap();
    let named = world.store().once(world.caller, key).await.unwrap().unwrap();
    assert_eq!(named.id, first.0);
    assert_eq!(world.commit(second.1.clone()).await.unwrap_err(), Refused::Repeats);
    assert!(world.store().attempt(second.0).await.unwrap().is_none(), "nothing of it is left");
    let other = terms::CallerId::fresh(world.ambient.as_ref());
    assert!(world.store().once(other, key).await.unwrap().is_none(), "a name is its caller's own");
    world.commit(vec![settle(first.0, Outcome::NotSent, false)]).await.unwrap();
    assert!(world.store().once(world.caller, key).await.unwrap().is_none());
    world.commit(second.1).await.unwrap();
    world.commit(vec![settle(second.0, Outcome::Done, false)]).await.unwrap();
    assert_eq!(world.store().once(world.caller, key).await.unwrap().unwrap().id, second.0);
}

/// `kind:key`, and `kind:` for what may be any.
fn things(names: &[&str]) -> Vec<Touched> {
    let one = |name: &&str| {
        let (kind, key) = name.split_once(':').unwrap();
        Touched { kind: kind.to_owned(), key: (!key.is_empty()).then(|| key.to_owned()) }
    };
    names.iter().map(one).collect()
}

/// The changes that claim an attempt that touches these; the people who were known to have touched them.
async fn touching(world: &World, names: &[&str], known: &[HumanId]) -> (AttemptId, Vec<Change>) {
    let claim = world.claim(&world.access("1")).await;
    let (attempt, roots, known) = (claim.attempt, claim.subjects.roots.clone(), known.to_vec());
    let touch = Change::Touch { attempt, touched: things(names), roots, known };
    (attempt, vec![Change::Attempt(claim), touch])
}

async fn ended(world: &World, attempt: AttemptId, outcome: Outcome, answer: Option<&[&str]>) {
    let touched = Change::Touched { attempt, outcome, answer: answer.map(things) };
    world.commit(vec![settle(attempt, outcome, false), touched]).await.unwrap();
}

/// Who touched it: whether certainly, and who.
async fn touchers(world: &World, name: &str) -> Vec<(bool, Option<HumanId>)> {
    let all = world.store().touchers(things(&[name])).await.unwrap();
    assert!(all.iter().all(|toucher| toucher.caller == world.caller));
    all.into_iter().map(|toucher| (toucher.touched.key.is_some(), toucher.root)).collect()
}

pub async fn what_an_attempt_touches_is_known_before_it_runs_and_gone_if_it_was_not_sent(world: &mut World) {
    let (certain, any) = ((true, Some(world.owner)), (false, Some(world.owner)));
    let mut earlier = Vec::new();
    for (n, (outcome, left)) in [
        (Outcome::NotSent, vec![]),
        (Outcome::Failed, vec![certain]),
        (Outcome::Unknown, vec![any, certain]),
        (Outcome::Released, vec![any, certain]),
    ]
    .into_iter()
    .enumerate()
    {
        let (kind, name) = (format!("kind{n}:"), format!("kind{n}:1"));
        let (attempt, changes) = touching(world, &[&kind, &name], &[]).await;
        world.commit(changes).await.unwrap();
        assert_eq!(touchers(world, &name).await, [any, certain]);
        assert_eq!(touchers(world, &format!("kind{n}:2")).await, [any], "it may be any");
        ended(world, attempt, outcome, None).await;
        assert_eq!(touchers(world, &name).await, left, "{outcome:?}");
        earlier.push(name);
    }
    world.reopen();
    assert_eq!(touchers(world, &earlier[1]).await, [certain]);
    let (_, mut changes) = touching(world, &["batch:9"], &[]).await;
    if let Change::Touch { roots, .. } = &mut changes[1] {
        roots.clear();
    }
    world.commit(changes).await.unwrap();
    assert_eq!(touchers(world, "batch:9").await, [(true, None)], "nobody knows who");
}

pub async fn what_an_answer_names_takes_the_place_of_what_might_have_been_any(world: &mut World) {
    let certain = (true, Some(world.owner));
    let (attempt, changes) = touching(world, &["batch:", "file:"], &[]).await;
    world.commit(changes).await.unwrap();
    ended(world, attempt, Outcome::Done, Some(&["batch:17", "file:a"])).await;
    for (name, found) in
        [("batch:17", vec![certain]), ("file:a", vec![certain]), ("batch:a", vec![]), ("file:17", vec![])]
    {
        assert_eq!(touchers(world, name).await, found, "{name}");
    }
}

pub async fn an_answer_that_nobody_could_read_leaves_what_may_be_any(world: &mut World) {
    let (certain, any) = ((true, Some(world.owner)), (false, Some(world.owner)));
    let (attempt, changes) = touching(world, &["batch:"], &[]).await;
    world.commit(changes).await.unwrap();
    ended(world, attempt, Outcome::Done, None).await;
    let (attempt, changes) = touching(world, &["file:", "file:", "user:"], &[]).await;
    world.commit(changes).await.unwrap();
    ended(world, attempt, Outcome::Done, Some(&["file:a", "file:", "user:u"])).await;
    let (attempt, changes) = touching(world, &["batch:", "batch:18"], &[world.owner]).await;
    world.commit(changes).await.unwrap();
    ended(world, attempt, Outcome::Done, Some(&[])).await;
    assert_eq!(
        touchers(world, "batch:18").await,
        [any, certain],
        "one that has no answer of its own leaves no other"
    );
    assert_eq!(touchers(world, "batch:17").await, [any]);
    assert_eq!(touchers(world, "file:a").await, [any, certain], "one of the two was named");
    assert_eq!((touchers(world, "user:u").await, touchers(world, "user:v").await), (vec![certain], vec![]));
}

pub async fn what_is_touched_by_somebody_else_meanwhile_refuses_the_claim(world: &mut World) {
    let (first, changes) = touching(world, &["batch:17"], &[]).await;
    world.commit(changes).await.unwrap();
    // Judged when nobody had touched it.
    let (late, changes) = touching(world, &["batch:17"], &[]).await;
    assert_eq!(world.commit(changes).await.unwrap_err(), Refused::Conflict);
    assert!(world.store().attempt(late).await.unwrap().is_none(), "nothing of it is left");
    let other = touching(world, &["batch:18"], &[]).await.1;
    world.commit(other).await.unwrap();
    let known = touching(world, &["batch:17"], &[world.owner]).await.1;
    world.commit(known).await.unwrap();
    ended(world, first, Outcome::Done, Some(&[])).await;
    // What is at something of the kind may be at this one.
    let other = human("eve", HumanId::fresh(world.ambient.as_ref()));
    world.commit(vec![Change::Register(Principal::Human(other.clone()))]).await.unwrap();
    let (_, mut changes) = touching(world, &["batch:"], &[]).await;
    if let Change::Touch { roots, .. } = &mut changes[1] {
        *roots = vec![other.id];
    }
    world.commit(changes).await.unwrap();
    let unaware = touching(world, &["batch:17"], &[world.owner]).await.1;
    assert_eq!(world.commit(unaware).await.unwrap_err(), Refused::Conflict);
    let aware = touching(world, &["batch:17"], &[world.owner, other.id]).await.1;
    world.commit(aware).await.unwrap();
}

pub async fn a_captured_credential_moves_the_epoch_on_and_one_that_comes_late_takes_no_newer_ones_place(
    world: &mut World,
) {
    let claims = [world.claim(&world.access("1")).await, world.claim(&world.access("2")).await];
    let [early, late] = claims.map(|claim| (claim.attempt, Change::Attempt(claim)));
    for (_, claim) in [&early, &late] {
        world.commit(vec![claim.clone()]).await.unwrap();
    }
    let capture = |attempt, upstream: &str, sealed: &str| {
        let (upstream, sealed) = (upstream.to_owned(), sealed.to_owned());
        vec![settle(attempt, Outcome::Done, false), Change::Capture { attempt, upstream, sealed }]
    };
    let before = world.epoch().await;
    world.commit(capture(late.0, "crm", "newer")).await.unwrap();
    assert_eq!(world.epoch().await, Epoch(before.0 + 1));
    // Its answer took longer than that of the one after it.
    world.commit(capture(early.0, "crm", "older")).await.unwrap();
    let claim = world.claim(&world.access("3")).await;
    let third = claim.attempt;
    world.commit(vec![Change::Attempt(claim)]).await.unwrap();
    world.commit(capture(third, "shop", "another")).await.unwrap();
    world.reopen();
    let kept = world.store().directory().await.unwrap().credentials;
    let kept: Vec<(&str, &str)> = kept.iter().map(|(of, sealed)| (of.as_str(), sealed.as_str())).collect();
    assert_eq!(kept, [("crm", "newer"), ("shop", "another")]);
    // Nothing is kept of an attempt whose end is not.
    let again = capture(third, "shop", "once more");
    assert_eq!(world.commit(again).await.unwrap_err(), Refused::Conflict);
    assert_eq!(world.store().directory().await.unwrap().credentials.len(), 2);
}

pub async fn only_what_was_released_is_reported_and_only_once(world: &mut World) {
    let report = |attempt, outcome| Change::Report { attempt, outcome };
    let claim = world.claim(&world.access("1")).await;
    world.commit(vec![Change::Attempt(claim.clone())]).await.unwrap();
    assert_eq!(world.refused(report(claim.attempt, Outcome::Done)).await, Refused::Conflict);
    world.commit(vec![settle(claim.attempt, Outcome::Released, false)]).await.unwrap();
    for outcome in [Outcome::NotSent, Outcome::Unknown, Outcome::Released] {
        assert_eq!(world.refused(report(claim.attempt, outcome)).await, Refused::Conflict);
    }
    world.commit(vec![report(claim.attempt, Outcome::Failed)]).await.unwrap();
    assert_eq!(world.refused(report(claim.attempt, Outcome::Done)).await, Refused::Conflict);
    let ended = world.store().attempt(claim.attempt).await.unwrap().unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Failed));
    let unknown = AttemptId::fresh(world.ambient.as_ref());
    assert_eq!(world.refused(report(unknown, Outcome::Done)).await, Refused::Missing);
}

pub async fn only_what_is_unknown_is_resolved_and_only_once(world: &mut World) {
    let claim = world.claim(&world.access("1")).await;
    world.commit(vec![Change::Attempt(claim.clone())]).await.unwrap();
    assert_eq!(world.refused(settle(claim.attempt, Outcome::Done, true)).await, Refused::Conflict);
    world.commit(vec![settle(claim.attempt, Outcome::Unknown, false)]).await.unwrap();
    assert_eq!(world.refused(settle(claim.attempt, Outcome::Unknown, true)).await, Refused::Conflict);
    world.commit(vec![settle(claim.attempt, Outcome::Failed, true)]).await.unwrap();
    for (outcome, ..) in Outcome::TABLE {
        assert_eq!(world.refused(settle(claim.attempt, outcome, true)).await, Refused::Conflict);
    }
    let ended = world.store().attempt(claim.attempt).await.unwrap().unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Failed));
}

pub async fn what_an_earlier_run_left_is_found(world: &mut World) {
    let (left, ended, own) = (
        world.claim(&world.access("1")).await,
        world.claim(&world.access("2")).await,
        Claim { boot: BootId::fresh(world.ambient.as_ref()), ..world.claim(&world.access("3")).await },
    );
    for claim in [&left, &ended, &own] {
        world.commit(vec![Change::Attempt(claim.clone())]).await.unwrap();
    }
    world.commit(vec![settle(ended.attempt, Outcome::Done, false)]).await.unwrap();
    let found = world.store().unsettled(own.boot).await.unwrap();
    assert_eq!(found.iter().map(|a| a.id).collect::<Vec<_>>(), [left.attempt]);
}

pub async fn revoking_counts_what_was_live(world: &mut World) {
    let accesses = ["spent", "lapsed", "live", "live too", "one"].map(|version| world.access(version));
    let lapsed = world.granted(&accesses[1], 1).await;
    world.pass(300_000);
    let mut grants = Vec::new();
    for access in [&accesses[0], &accesses[2], &accesses[3], &accesses[4]] {
        grants.push(world.granted(access, 1).await);
    }
    let spend = world.spend(&grants[0], &accesses[0]).await;
    world.commit(vec![spend]).await.unwrap();
    let one = Change::Revoke(Selector::Grant(grants[3].id));
    assert_eq!(world.commit(vec![one.clone()]).await.unwrap().revoked, 1);
    assert_eq!(world.commit(vec![one]).await.unwrap().revoked, 0);
    assert_eq!(world.commit(vec![Change::Revoke(Selector::Grant(lapsed.id))]).await.unwrap().revoked, 0);
    let unknown = Change::Revoke(Selector::Grant(GrantId::fresh(world.ambient.as_ref())));
    assert_eq!(world.refused(unknown).await, Refused::Missing);

    let other = world.another_caller("other").await;
    assert_eq!(world.commit(vec![Change::Revoke(Selector::Caller(other))]).await.unwrap().revoked, 0);
    let all = Change::Revoke(Selector::Caller(world.caller));
    assert_eq!(world.commit(vec![all]).await.unwrap().revoked, 2);
    assert_eq!(world.situation(&accesses[2]).await.grants, []);

    let last = world.granted(&world.access("last"), 1).await;
    let retire = Change::Retire(PrincipalRef::Caller(world.caller));
    assert_eq!(world.commit(vec![retire]).await.unwrap().revoked, 1);
    let spend = world.spend(&last, &world.access("last")).await;
    assert_eq!(world.refused(spend).await, Refused::Revoked);
}

pub async fn usage_knows_what_was_used_and_the_calls_of_an_hour(world: &mut World) {
    let other = world.another_caller("other").await;
    let usage =
        async |caller, resource: &str| world.store().usage(caller, resource.to_owned()).await.unwrap();
    assert_eq!(usage(world.caller, "ops/deploy").await, (false, 0));
    assert!(!world.situation(&world.access("1")).await.used_before);
    let access = world.access("1");
    for _ in 0..2 {
        let claim = world.claim(&access).await;
        world.commit(vec![Change::Attempt(claim)]).await.unwrap();
    }
    world.pass(10 * 60_000);
    let mut claim = world.claim(&access).await;
    claim.resource = "ops/read".to_owned();
    world.commit(vec![Change::Attempt(claim)]).await.unwrap();
    assert_eq!(usage(world.caller, "ops/deploy").await, (true, 3));
    assert!(world.situation(&world.access("1")).await.used_before);
    assert_eq!(usage(world.caller, "ops/read").await, (true, 3));
    assert_eq!(usage(world.caller, "ops/delete").await, (false, 3));
    assert_eq!(usage(other, "ops/deploy").await, (false, 0));
    world.pass(55 * 60_000);
    assert_eq!(usage(world.caller, "ops/deploy").await, (true, 1));
    world.pass(10 * 60_000);
    assert_eq!(usage(world.caller, "ops/deploy").await, (true, 0));
}
