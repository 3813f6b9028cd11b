use audit::record::Kind;
use elevation::{Conclusion, Outcome};
use terms::statement::Role;
use terms::{HumanId, Json, LockId, PinId, PolicyHash};

use super::World;
use super::claims::lock;
use super::people::{enrol, passkey, pin};
use super::world::{human, spending};
use crate::{Change, Commit, LockSubject, PinState, Principal, PrincipalRef, Refused, Selector};

pub async fn a_refused_commit_leaves_neither_state_nor_record(world: &mut World) {
    let access = world.access("1");
    let pending = world.open(&access, 1).await;
    let (head, epoch) = (world.store().head().await.unwrap(), world.epoch().await);
    let (mut changes, _) = world.approved(&pending);
    let claim = world.claim(&access).await;
    changes.push(Change::Attempt(claim.clone()));
    changes.push(Change::Notify { kind: "opened".to_owned(), body: "{}".to_owned() });
    changes.push(World::concluded(&pending, Conclusion::Rejected)); // this is what refuses
    let records = vec![world.record(Kind::Voted), world.record(Kind::Granted)];
    let ids = [records[0].id, records[1].id];
    let answer = world.store().commit(Commit { changes, records }).await.unwrap();
    assert_eq!(answer.unwrap_err(), Refused::Conflict);

    assert_eq!((world.store().head().await.unwrap(), world.epoch().await), (head, epoch));
    for id in ids {
        assert_eq!(world.store().record(id).await.unwrap(), None);
    }
    assert_eq!(world.store().attempt(claim.attempt).await.unwrap(), None);
    assert_eq!(world.store().outbox(String::new(), 10).await.unwrap(), []);
    assert_eq!(world.situation(&access).await.pending, Some(pending));
}

pub async fn a_refused_commit_undoes_nothing_of_its_neighbours(world: &mut World) {
    let before = world.store().head().await.unwrap();
    let mut commits = tokio::task::JoinSet::new();
    for nth in 0..200_u32 {
        let mut claim = world.claim(&world.access("1")).await;
        let bad = nth % 3 == 0;
        if bad {
            claim.epoch.0 += 1;
        }
        let records = vec![world.record(Kind::Permitted)];
        let (store, id) = (world.store().clone(), (records[0].id, claim.attempt));
        commits.spawn(async move {
            let answer =
                store.commit(Commit { changes: vec![Change::Attempt(claim)], records }).await.unwrap();
            (id, bad, answer.map(|receipt| receipt.leaf))
        });
    }
    let answers = commits.join_all().await;
    for ((record, attempt), bad, answer) in answers {
        assert_eq!(answer.is_err(), bad);
        let (line, row) =
            (world.store().record(record).await.unwrap(), world.store().attempt(attempt).await.unwrap());
        assert_eq!(line.map(|line| line.leaf), answer.ok());
        assert_eq!(row.is_none(), bad);
    }
    assert_eq!(world.store().head().await.unwrap().size, before.size + 133);
}

pub async fn a_commit_refused_at_its_last_record_leaves_no_leaf(world: &mut World) {
    let first = world.record(Kind::Denied);
    let alone = |records| Commit { changes: Vec::new(), records };
    world.store().commit(alone(vec![first.clone()])).await.unwrap().unwrap();
    let head = world.store().head().await.unwrap();
    let twice = vec![world.record(Kind::Denied), first];
    assert_eq!(world.store().commit(alone(twice)).await.unwrap().unwrap_err(), Refused::Conflict);
    assert_eq!(world.store().head().await.unwrap(), head);
    let next = world.store().commit(alone(vec![world.record(Kind::Denied)])).await.unwrap().unwrap();
    assert_eq!(next.leaf, head.size);
    world.reopen();
}

pub async fn authority_without_a_record_is_refused(world: &mut World) {
    let access = world.access("1");
    let (claim, pending) = (world.claim(&access).await, world.request(&access, 1));
    let (approving, grant) = world.approved(&pending);
    let expects = world.epoch().await;
    let by = || "ann".to_owned();
    let mut changes = vec![
        Change::Open { pending: Box::new(pending.clone()) },
        world.voted(&pending, world.approvers[0], Role::Approver),
        Change::Attempt(claim.clone()),
        spending(&grant, claim.clone()),
        Change::Settle { attempt: claim.attempt, outcome: Outcome::Done, delivered: None, resolves: false },
        Change::Revoke(Selector::Caller(world.caller)),
        Change::Lock(lock(world, LockSubject::All, None)),
        Change::Unlock(LockId::fresh(world.ambient.as_ref())),
        Change::Pin(Box::new(pin(world, "1", PinState::Accepted))),
        Change::Judge { pin: PinId::fresh(world.ambient.as_ref()), state: PinState::Accepted, by: by() },
        Change::Activate { hash: PolicyHash::of(&Json::Null), bundle: Json::Null, by: by(), expects },
        Change::Register(Principal::Human(human("eve", HumanId::fresh(world.ambient.as_ref())))),
        Change::Retire(PrincipalRef::Caller(world.caller)),
        enrol(passkey(world, "c", world.owner), None),
    ];
    changes.extend(approving);
    let head = world.store().head().await.unwrap();
    for change in changes {
        let commit = Commit { changes: vec![change.clone()], records: Vec::new() };
        let answer = world.store().commit(commit).await;
        let failed = answer.expect_err("a change without its record");
        assert!(failed.because.contains("no record"), "{change:?}: {failed}");
    }
    assert_eq!(world.store().attempt(claim.attempt).await.unwrap(), None);
    assert_eq!(world.situation(&access).await.pending, None);
    assert_eq!((world.store().head().await.unwrap(), world.epoch().await), (head, expects));
}

pub async fn an_answered_commit_is_seen_by_every_read(world: &mut World) {
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let claim = world.claim(&world.access("1")).await;
        let (store, record) = (world.store().clone(), world.record(Kind::Permitted));
        writers.spawn(async move {
            let (attempt, id) = (claim.attempt, record.id);
            let commit = Commit { changes: vec![Change::Attempt(claim)], records: vec![record] };
            let leaf = store.commit(commit).await.unwrap().unwrap().leaf;
            assert!(store.attempt(attempt).await.unwrap().is_some());
            assert_eq!(store.record(id).await.unwrap().map(|line| line.leaf), Some(leaf));
            assert!(store.head().await.unwrap().size > leaf);
        });
    }
    writers.join_all().await;
}
