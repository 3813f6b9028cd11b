//! What happens when storage does not do what it should. Faults come in pairs where a write may have persisted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use audit::record::Kind;
use elevation::Conclusion;
use terms::{Ambient, Boottime, HumanId, LockId, Seam, Time};

use super::super::reserve::Reserve;
use super::super::writer::{Shown, Stop, Tx, Work};
use super::disk::Disk;
use super::{Folder, Options, Sqlite, in_world};
use crate::conformance::World;
use crate::conformance::{claim_of, human};
use crate::testing::TestAmbient;
use crate::{Change, Commit, Failed, Lock, LockSubject, Principal, Refused, Selector, Store};

/// An ambient that does something at the seams.
struct Seams<F>(TestAmbient, F);

impl<F: Fn(Seam) + Send + Sync> Ambient for Seams<F> {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn boottime(&self) -> Boottime {
        self.0.boottime()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn seam(&self, seam: Seam) {
        (self.1)(seam);
    }
}

fn open_with(path: &Path, seams: impl Fn(Seam) + Send + Sync + 'static) -> Sqlite {
    let ambient = Seams(TestAmbient::seeded(1), seams);
    Sqlite::open(path, Arc::new(ambient), &Options::default()).unwrap()
}

fn registering(world: &World, name: &str) -> (HumanId, Commit) {
    let id = HumanId::fresh(world.ambient.as_ref());
    let changes = vec![Change::Register(Principal::Human(human(name, id)))];
    (id, Commit { changes, records: vec![world.record(Kind::HumanAdded)] })
}

/// Dies at a seam during a commit, and opens again: is the commit there, with its record?
async fn dies_at(world: &World, seam: Seam) -> (Result<(), ()>, usize, u64) {
    let folder = Folder::new();
    let armed = Arc::new(AtomicBool::new(false));
    let at = Arc::clone(&armed);
    let dying = open_with(&folder.path(), move |passed| {
        assert!(!(passed == seam && at.load(Ordering::SeqCst)), "the node dies here");
    });
    let (_, first) = registering(world, "olga");
    dying.commit(first).await.unwrap().unwrap();
    armed.store(true, Ordering::SeqCst);
    let (_, second) = registering(world, "ann");
    let answer = dying.commit(second).await.map(drop).map_err(drop);
    let (_, third) = registering(world, "ben");
    dying.commit(third).await.expect_err("a dead writer answered");
    drop(dying);
    let again = super::open(&folder.path(), &folder.options).unwrap();
    let (directory, head) = (again.directory().await.unwrap(), again.head().await.unwrap());
    (answer, directory.humans.len(), head.size)
}

#[test]
fn a_commit_whose_answer_was_lost_is_there_and_one_that_was_not_reached_is_not() {
    in_world(Folder::new(), async |world| {
        for (seam, humans) in [(Seam::StoreBegin, 1), (Seam::StoreCommit, 1), (Seam::StoreCommitted, 2)] {
            let (answer, found, records) = dies_at(&world, seam).await;
            assert_eq!((answer, found, records), (Err(()), humans, humans as u64), "{seam:?}");
        }
    });
}

/// Holds the writer at the beginning of a transaction until it is let go.
#[derive(Default)]
struct Gate {
    held: Mutex<bool>,
    moved: Condvar,
    commits: AtomicU32,
}

impl Gate {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.moved.notify_all();
    }

    fn pass(&self, seam: Seam) {
        match seam {
            Seam::StoreBegin => {
                drop(self.moved.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
            }
            Seam::StoreCommit => {
                self.commits.fetch_add(1, Ordering::SeqCst);
            }
            Seam::StoreCommitted
            | Seam::UpstreamSend
            | Seam::UpstreamSent
            | Seam::UpstreamAnswered
            | Seam::AnswerSend => {}
        }
    }
}

#[test]
fn whatever_waits_is_one_transaction() {
    in_world(Folder::new(), async |world| {
        let folder = Folder::new();
        let gate = Arc::new(Gate::default());
        let at = Arc::clone(&gate);
        let store = Arc::new(open_with(&folder.path(), move |seam| at.pass(seam)));
        gate.hold(true);
        let mut commits = tokio::task::JoinSet::new();
        for nth in 0..100 {
            let (store, (_, commit)) = (Arc::clone(&store), registering(&world, &nth.to_string()));
            commits.spawn(async move { store.commit(commit).await.unwrap().unwrap().leaf });
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        gate.hold(false);
        let mut leaves = commits.join_all().await;
        leaves.sort_unstable();
        assert_eq!(leaves, (0..100).collect::<Vec<_>>());
        let transactions = gate.commits.load(Ordering::SeqCst);
        assert!(transactions <= 3, "{transactions} transactions for what had waited");
    });
}

#[test]
fn a_claim_that_nobody_waits_for_is_not_made_but_a_lock_is() {
    in_world(Folder::new(), async |world| {
        let folder = Folder::new();
        let gate = Arc::new(Gate::default());
        let at = Arc::clone(&gate);
        let store = Arc::new(open_with(&folder.path(), move |seam| at.pass(seam)));
        let (owner, first) = registering(&world, "olga");
        store.commit(first).await.unwrap().unwrap();
        let (claim, registers) = claim_of(&world, owner);
        let record = || vec![world.record(Kind::Permitted)];
        store.commit(Commit { changes: vec![registers], records: record() }).await.unwrap().unwrap();

        let locks = Change::Lock(lock(&world));
        let attempt = claim.attempt;
        let claims = Change::Attempt(crate::Claim { epoch: store.directory().await.unwrap().epoch, ..claim });
        gate.hold(true);
        let mut waiting = Vec::new();
        for changes in [vec![], vec![claims], vec![locks]] {
            let (store, commit) = (Arc::clone(&store), Commit { changes, records: record() });
            waiting.push(tokio::spawn(async move { store.commit(commit).await }));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let [blocking, claiming, locking] = <[_; 3]>::try_from(waiting).unwrap();
        claiming.abort();
        locking.abort();
        let _ = (claiming.await, locking.await);
        gate.hold(false);
        blocking.await.unwrap().unwrap().unwrap();
        let (_, last) = registering(&world, "ben");
        store.commit(last).await.unwrap().unwrap();
        assert_eq!(store.attempt(attempt).await.unwrap(), None);
        assert_eq!(store.directory().await.unwrap().locks.len(), 1);
    });
}

fn lock(world: &World) -> Lock {
    let (id, since) = (LockId::fresh(world.ambient.as_ref()), world.ambient.now());
    Lock { id, subject: LockSubject::All, since, until: None, by: "ann".to_owned(), why: "odd".to_owned() }
}

#[test]
fn a_database_that_another_process_holds_denies_and_then_goes_on() {
    let folder = Folder::new();
    let path = folder.path();
    in_world(folder, async move |world| {
        let theirs = rusqlite::Connection::open(path).unwrap();
        theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
        let access = world.access("1");
        let claim = Change::Attempt(world.claim(&access).await);
        let commit = Commit { changes: vec![claim], records: vec![world.record(Kind::Permitted)] };
        let head = world.store().head().await.unwrap();
        world.store().commit(commit.clone()).await.expect_err("the database was locked");
        assert_eq!(world.store().head().await.unwrap(), head);
        theirs.execute_batch("ROLLBACK").unwrap();
        world.store().commit(commit).await.unwrap().unwrap();
    });
}

/// Work that meets the database's error.
struct Broken(rusqlite::ffi::Error);

impl Work for Broken {
    type Answer = ();

    const DOING: &'static str = "breaking";

    fn run(&self, _: &mut Tx<'_>) -> Result<(), Stop> {
        Err(Stop::Broken(rusqlite::Error::SqliteFailure(self.0, None)))
    }
}

#[test]
fn storage_that_failed_fails_everything_until_it_is_opened_again() {
    in_world(Folder::new(), async |world| {
        let folder = Folder::new();
        let store = super::open(&folder.path(), &folder.options).unwrap();
        let (_, before) = registering(&world, "olga");
        store.commit(before).await.unwrap().unwrap();
        let code = rusqlite::ffi::SQLITE_IOERR | (4 << 8); // SQLITE_IOERR_FSYNC
        store.submit(Broken(rusqlite::ffi::Error::new(code))).await.expect_err("the disk failed");
        let (_, commit) = registering(&world, "ann");
        let failed = |failed: Failed| assert!(failed.because.contains("storage failed"), "{failed}");
        failed(store.commit(commit.clone()).await.unwrap_err());
        failed(store.directory().await.unwrap_err());
        failed(store.head().await.unwrap_err());
        failed(store.writable().await.unwrap_err());
        failed(store.usage(world.caller, "ops/deploy".to_owned()).await.unwrap_err());
        drop(store);
        let again = super::open(&folder.path(), &folder.options).unwrap();
        assert_eq!(again.directory().await.unwrap().humans.len(), 1);
        again.commit(commit).await.unwrap().unwrap();
    });
}

#[test]
fn what_one_job_gets_wrong_fails_that_job_alone() {
    in_world(Folder::new(), async |world| {
        let folder = Folder::new();
        let store = super::open(&folder.path(), &folder.options).unwrap();
        let code = rusqlite::ffi::SQLITE_CONSTRAINT | (1 << 8); // SQLITE_CONSTRAINT_CHECK
        store.submit(Broken(rusqlite::ffi::Error::new(code))).await.expect_err("it was wrong");
        let (_, commit) = registering(&world, "olga");
        store.commit(commit).await.unwrap().unwrap();
    });
}

#[test]
fn a_broken_store_says_so_and_nothing_of_what_was_bound() {
    let shown = Shown::of(audit::tree::Frontier::new());
    assert!(shown.check("reading").is_ok());
    let sql = rusqlite::Connection::open_in_memory().unwrap();
    sql.execute_batch("CREATE TABLE t (x INTEGER CHECK (x < 5)) STRICT").unwrap();
    for canary in [rusqlite::types::Value::from(777_777), rusqlite::types::Value::from("canary".to_owned())] {
        let error = sql.execute("INSERT INTO t VALUES (?1)", [canary]).unwrap_err();
        let failed = super::super::writer::failed("writing", &error).to_string();
        assert!(!failed.contains("777777") && !failed.contains("canary"), "{failed}");
    }
}

#[test]
fn on_a_full_disk_what_takes_power_away_is_recorded_and_all_comes_back_without_a_restart() {
    let under = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mounted(under.path().to_owned(), "16m") else { return };
    let options = Options { reserve: 2 << 20, ..Options::default() };
    let folder = Folder { folder: tempfile::tempdir_in(under.path()).unwrap(), options };
    let reserve = folder.folder.path().join("stepup.db-reserve");
    in_world(folder, async |world| {
        let access = world.access("granted");
        let grant = world.granted(&access, 5).await;
        let waiting = world.open(&world.access("waiting"), 1).await;
        assert_eq!(reserve.metadata().unwrap().len(), 2 << 20);
        world.store().writable().await.unwrap();
        let ballast = disk.fill();

        let refused = until_full(&world).await;
        assert_eq!(refused, Refused::Full);
        assert!(!reserve.exists(), "its room is given away");
        assert_eq!(world.store().writable().await.unwrap_err().because, "the disk is full");
        let head = world.store().head().await.unwrap();
        let spend = world.spend(&grant, &access).await;
        assert_eq!(world.refused(spend).await, Refused::Full);
        world.commit(vec![]).await.unwrap(); // a denial: a record alone
        let told = Change::Notify { kind: "over".to_owned(), body: "{}".to_owned() };
        world.commit(vec![World::concluded(&waiting, Conclusion::Rejected), told]).await.unwrap();
        assert_eq!(world.commit(vec![Change::Revoke(Selector::Grant(grant.id))]).await.unwrap().revoked, 1);
        let lock = lock(&world);
        world.commit(vec![Change::Lock(lock.clone())]).await.unwrap();
        assert_eq!(world.refused(Change::Unlock(lock.id)).await, Refused::Full);
        assert_eq!(world.store().head().await.unwrap().size, head.size + 4);

        world.pass(1000);
        assert_eq!(
            world.refused(Change::Unlock(lock.id)).await,
            Refused::Full,
            "the room is what was given away"
        );
        assert!(!reserve.exists());
        std::fs::remove_file(ballast).unwrap();
        assert_eq!(
            world.refused(Change::Unlock(lock.id)).await,
            Refused::Full,
            "the disk is not asked at once"
        );
        world.store().writable().await.expect_err("nor for who only asks");
        world.pass(1000);
        world.store().writable().await.expect("who only asks is enough to bring it back");
        world.commit(vec![Change::Unlock(lock.id)]).await.unwrap();
        assert_eq!(reserve.metadata().unwrap().len(), 2 << 20, "there is a reserve again");
    });
}

#[test]
fn room_that_was_given_away_is_not_taken_for_room_on_the_disk() {
    let under = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mounted(under.path().to_owned(), "4m") else { return };
    let (path, second) = (under.path().join("reserve"), |n: u64| Boottime::from_nanos(n * 1_000_000_000));
    let mut reserve = Reserve::open(path.clone(), 1 << 20, second(0));
    assert!(!reserve.in_use() && path.exists());
    let ballast = disk.fill();
    reserve.release(second(1));
    assert!(reserve.in_use() && !path.exists());
    assert!(!reserve.restore(second(2)));
    std::fs::remove_file(ballast).unwrap();
    assert!(!reserve.restore(second(2)), "the disk is asked once a second");
    assert!(reserve.restore(second(3)));
    assert!(!reserve.in_use() && path.exists());
}

/// Claims until the disk has no room for one.
async fn until_full(world: &World) -> Refused {
    let access = world.access("1");
    for _ in 0..100_000 {
        let claim = Change::Attempt(world.claim(&access).await);
        if let Err(refused) = world.commit(vec![claim]).await {
            return refused;
        }
    }
    panic!("the disk was never full");
}
