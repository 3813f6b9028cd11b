//! The one writer. Whatever waits becomes one transaction, each job in a savepoint of its own, so that one that
//! is refused undoes nothing of the others; nobody is answered before COMMIT (decisions A31).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use audit::tree::Frontier;
use rusqlite::{Connection, ErrorCode};
use terms::{Ambient, Digest, Seam, Time};
use tokio::sync::{mpsc, oneshot};

use super::reserve::Reserve;
use crate::{Failed, Refused};

/// Jobs in one transaction at most.
pub(super) const GROUP: usize = 256;

/// What readers and callers see of the writer.
pub(super) struct Shown {
    /// The tree of all committed records.
    tree: Mutex<Frontier>,
    /// Why the store fails everything until it is opened again (F15).
    broken: OnceLock<String>,
}

impl Shown {
    pub(super) fn of(tree: Frontier) -> Self {
        Self { tree: Mutex::new(tree), broken: OnceLock::new() }
    }

    /// Fails when the store is broken.
    pub(super) fn check(&self, doing: &'static str) -> Result<(), Failed> {
        self.broken.get().map_or(Ok(()), |because| {
            Err(Failed {
                doing,
                because: format!("storage failed, and the store must be opened again: {because}"),
            })
        })
    }

    fn tree(&self) -> std::sync::MutexGuard<'_, Frontier> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The committed tree.
    pub(super) fn frontier(&self) -> Frontier {
        self.tree().clone()
    }
}

/// Why work was not done.
pub(super) enum Stop {
    /// An answer: it is undone, and the rest of the group goes on.
    Refused(Refused),
    /// Whoever asked must not have asked this: a mistake in the program.
    Wrong(&'static str),
    /// The database could not do it.
    Broken(rusqlite::Error),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// A row that something points to is missing, or one that must be the only one exists: these are answers.
impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error().map(|e| e.extended_code) {
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Self::Refused(Refused::Missing),
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => Self::Refused(Refused::Conflict),
            _ => Self::Broken(error),
        }
    }
}

/// One thing to write.
pub(super) trait Work: Send + 'static {
    /// What whoever asked is told.
    type Answer: Send;

    /// What it does, for the operator's log.
    const DOING: &'static str;

    /// Does it inside the transaction. Runs again if the disk was full and room was made.
    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, Stop>;

    /// What whoever asked is told when it was refused.
    fn refused(refused: Refused) -> Result<Self::Answer, Failed> {
        Err(Failed { doing: Self::DOING, because: refused.to_string() })
    }

    /// Whether the reserve is for it (F17).
    fn spared(&self) -> bool {
        false
    }

    /// Whether it is worth nothing to anybody once whoever asked has gone.
    fn in_vain_alone(&self) -> bool {
        false
    }
}

/// The open transaction, as work sees it.
pub(super) struct Tx<'c> {
    /// The connection, inside a savepoint.
    pub(super) sql: &'c Connection,
    /// The database's clock: one moment for the whole transaction (decisions A32, B7).
    pub(super) now: Time,
    /// The tree before this transaction.
    pub(super) tree: &'c Frontier,
    /// The hashes of the leaves that it appends.
    pub(super) leaves: Vec<Digest>,
}

impl Tx<'_> {
    /// The place of the next record.
    pub(super) fn next_leaf(&self) -> u64 {
        self.tree.size().saturating_add(u64::try_from(self.leaves.len()).unwrap_or(u64::MAX))
    }
}

/// Work with whoever waits for it.
struct Task<W: Work> {
    work: W,
    done: Option<Result<W::Answer, Failed>>,
    reply: oneshot::Sender<Result<W::Answer, Failed>>,
}

/// A [`Task`] of any kind.
trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, rusqlite::Error>;
    fn spared(&self) -> bool;
    fn in_vain(&self) -> bool;
    fn answer(self: Box<Self>);
    fn refuse(self: Box<Self>, refused: Refused);
    fn fail(self: Box<Self>, because: &str);
}

impl<W: Work> Job for Task<W> {
    /// Whether it is to be kept; the error, where the database could not.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, rusqlite::Error> {
        match self.work.run(tx) {
            Ok(answer) => {
                self.done = Some(Ok(answer));
                Ok(true)
            }
            Err(Stop::Refused(refused)) => {
                self.done = Some(W::refused(refused));
                Ok(false)
            }
            Err(Stop::Wrong(because)) => {
                self.done = Some(Err(Failed { doing: W::DOING, because: because.to_owned() }));
                Ok(false)
            }
            Err(Stop::Broken(error)) => {
                self.done = Some(Err(failed(W::DOING, &error)));
                Err(error)
            }
        }
    }

    fn spared(&self) -> bool {
        self.work.spared()
    }

    fn in_vain(&self) -> bool {
        self.reply.is_closed() && self.work.in_vain_alone()
    }

    fn answer(self: Box<Self>) {
        let unknown = || Err(Failed { doing: W::DOING, because: "it was not run".to_owned() });
        let _ = self.reply.send(self.done.unwrap_or_else(unknown));
    }

    fn refuse(self: Box<Self>, refused: Refused) {
        let _ = self.reply.send(W::refused(refused));
    }

    fn fail(self: Box<Self>, because: &str) {
        let _ = self.reply.send(Err(Failed { doing: W::DOING, because: because.to_owned() }));
    }
}

/// The text of an error of the database. It names tables and columns, never what was bound to them.
pub(super) fn failed(doing: &'static str, error: &rusqlite::Error) -> Failed {
    Failed { doing, because: error.to_string() }
}

/// Where callers hand in their work. Bounded: whoever comes when it is full waits for a place.
#[derive(Clone)]
pub(super) struct Door(mpsc::Sender<Box<dyn Job>>);

impl Door {
    /// A door with room for that many, and its other side.
    pub(super) fn new(room: usize) -> (Self, Inbox) {
        let (door, inbox) = mpsc::channel(room.max(1));
        (Self(door), Inbox(inbox))
    }

    /// Hands in work and waits until it is durable, or known not to be done.
    pub(super) async fn submit<W: Work>(&self, shown: &Shown, work: W) -> Result<W::Answer, Failed> {
        shown.check(W::DOING)?;
        let (reply, answer) = oneshot::channel();
        let gone = || Failed { doing: W::DOING, because: "the store is closed".to_owned() };
        self.0.send(Box::new(Task { work, done: None, reply })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The writer's side of the door.
pub(super) struct Inbox(mpsc::Receiver<Box<dyn Job>>);

/// The writer, with everything that only it touches.
pub(super) struct Writer {
    pub(super) sql: Connection,
    pub(super) ambient: Arc<dyn Ambient>,
    pub(super) shown: Arc<Shown>,
    pub(super) reserve: Reserve,
}

impl Writer {
    /// Works until every door is closed.
    pub(super) fn run(mut self, mut inbox: Inbox) {
        let mut jobs = Vec::with_capacity(GROUP);
        while inbox.0.blocking_recv_many(&mut jobs, GROUP) > 0 {
            jobs.retain(|job| !job.in_vain());
            self.group(std::mem::take(&mut jobs));
        }
    }

    /// One group: done, or answered why not.
    fn group(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if let Err(failed) = self.shown.check("writing") {
            return jobs.into_iter().for_each(|job| job.fail(&failed.because));
        }
        if self.reserve.in_use() && !self.reserve.restore(self.ambient.boottime()) {
            jobs = only_spared(jobs);
        }
        match self.transaction(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(Job::answer),
            Err(error) if is(&error, ErrorCode::DiskFull) => self.make_room(jobs),
            Err(error) => self.failed(jobs, &error),
        }
    }

    /// The disk is full: what the reserve is for runs again in the room that it leaves, the rest is refused (F17).
    fn make_room(&mut self, jobs: Vec<Box<dyn Job>>) {
        tracing::error!(
            "the disk is full: only lock, revoke, reject and deny are recorded until there is room"
        );
        self.reserve.release(self.ambient.boottime());
        let mut jobs = only_spared(jobs);
        match self.transaction(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(Job::answer),
            Err(error) if is(&error, ErrorCode::DiskFull) => {
                jobs.into_iter().for_each(|job| job.refuse(Refused::Full));
            }
            Err(error) => self.failed(jobs, &error),
        }
    }

    /// Nothing of the group is known to be durable. Storage that fails once is not asked again: a page that could
    /// not be written may be dropped from the cache and read back as if it had been (F15, F18).
    fn failed(&self, jobs: Vec<Box<dyn Job>>, error: &rusqlite::Error) {
        let because = error.to_string();
        let passing = is(error, ErrorCode::DatabaseBusy) || is(error, ErrorCode::OutOfMemory);
        if passing {
            tracing::warn!(because, "a group of commits failed");
        } else {
            tracing::error!(because, "storage failed; everything is denied until the store is opened again");
            let _ = self.shown.broken.set(because.clone());
        }
        jobs.into_iter().for_each(|job| job.fail(&because));
    }

    /// One transaction over all jobs. After an error nothing of it is in the database as this process sees it.
    fn transaction(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.ambient.seam(Seam::StoreBegin);
        self.execute("BEGIN IMMEDIATE")?;
        let tree = self.shown.frontier();
        let tx = Tx { sql: &self.sql, now: self.ambient.now(), tree: &tree, leaves: Vec::new() };
        let leaves = match self.run_all(tx, jobs).and_then(|leaves| self.commit(leaves)) {
            Ok(leaves) => leaves,
            Err(error) => {
                // Some errors have rolled back already; then there is nothing left to roll back.
                if !self.sql.is_autocommit() {
                    self.execute("ROLLBACK")?;
                }
                return Err(error);
            }
        };
        self.shown.tree().extend(leaves);
        self.ambient.seam(Seam::StoreCommitted);
        Ok(())
    }

    fn commit(&self, leaves: Vec<Digest>) -> Result<Vec<Digest>, rusqlite::Error> {
        self.ambient.seam(Seam::StoreCommit);
        self.execute("COMMIT")?; // the commit point: durable from here on
        Ok(leaves)
    }

    /// Each job in its savepoint.
    fn run_all(&self, mut tx: Tx<'_>, jobs: &mut [Box<dyn Job>]) -> Result<Vec<Digest>, rusqlite::Error> {
        for job in jobs {
            self.execute("SAVEPOINT job")?;
            let before = tx.leaves.len();
            let keep = match job.run(&mut tx) {
                Ok(keep) => keep,
                Err(error) if self.sql.is_autocommit() || !of_the_job(&error) => return Err(error),
                Err(_) => false,
            };
            if !keep {
                self.execute("ROLLBACK TO job")?;
                tx.leaves.truncate(before);
            }
            self.execute("RELEASE job")?;
        }
        Ok(tx.leaves)
    }

    fn execute(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.sql.prepare_cached(sql)?.execute([]).map(drop)
    }
}

/// Refuses what the reserve is not for.
fn only_spared(jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let (spared, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.spared());
    others.into_iter().for_each(|job| job.refuse(Refused::Full));
    spared
}

fn is(error: &rusqlite::Error, code: ErrorCode) -> bool {
    error.sqlite_error_code() == Some(code)
}

/// Whether an error is about what one job asked for rather than about the storage.
fn of_the_job(error: &rusqlite::Error) -> bool {
    const OF_THE_JOB: [ErrorCode; 4] = [
        ErrorCode::ConstraintViolation,
        ErrorCode::TypeMismatch,
        ErrorCode::TooBig,
        ErrorCode::ParameterOutOfRange,
    ];
    error.sqlite_error_code().is_none_or(|code| OF_THE_JOB.contains(&code))
}
