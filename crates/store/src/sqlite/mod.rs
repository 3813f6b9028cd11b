//! The store in one SQLite file: one process, one writer thread, a few readers.

mod apply;
mod cells;
mod open;
mod outbox;
mod read;
mod readers;
mod reserve;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use terms::{
    Ambient, AttemptId, BootId, CallerId, Digest, ElevationId, PinId, PolicyHash, RecordId, Time, Touched,
};

use self::outbox::{Notified, Spread};
use self::readers::{READERS, Readers};
use self::reserve::Reserve;
use self::work::{Checkpointed, Consume, Signed, Writable};
use self::writer::{Door, Shown, Work, Writer};
use crate::rows::{
    Attempt, Backlog, Ceremony, Directory, Head, Invite, Letter, Listing, LogLine, Notice, Pin, Policy,
    Session, Situation, Standing, Told, Toucher, Whole,
};
use crate::{Answer, Commit, Failed, Receipt, Refused, Store};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to make a new store where there is none.
    pub create: bool,
    /// Whether a store that is made is a demo's; of one that exists, [`Directory::demo`] tells.
    pub demo: bool,
    /// A head that somebody outside keeps: a store that does not extend it is refused (T121).
    pub anchor: Option<Head>,
    /// Bytes of disk kept for the moment when it is full (F17).
    pub reserve: u64,
    /// Commits that wait for the writer at most; who comes later waits for a place.
    pub waiting: usize,
    /// Only to be read: every write fails.
    pub reads_only: bool,
    /// The id of the installation's keys. A store keeps the first that it is opened with, and opens with no others: what
    /// the seal key sealed and what the log's key signed would not be the same any more (decisions §9).
    pub keys: Option<Digest>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            demo: false,
            anchor: None,
            reserve: 8 << 20,
            waiting: 1024,
            reads_only: false,
            keys: None,
        }
    }
}

/// Why a store is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The linked library may lose commits (F21).
    #[error("SQLite {found} may lose commits: 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// There is no such file, and none was to be made.
    #[error("there is no store at {}: `stepup init` makes one", .0.display())]
    Missing(PathBuf),
    /// Another process has it open.
    #[error("the store is in use by {}; while it runs, other commands with its --config speak to it, as `stepup requests list`", .by.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}, which `kill {pid}` stops")))]
    Taken {
        /// Its process id, as it says itself.
        by: Option<u32>,
    },
    /// The filesystem cannot share memory between connections, as network filesystems cannot.
    #[error("the filesystem does not allow SQLite's WAL: keep the store on a local disk")]
    NoWal,
    /// It is a database of something else, or an empty file where a store must exist.
    #[error("the file is not a stepup store")]
    NotAStore,
    /// It was written by a newer stepup.
    #[error("the store has schema {found}, which this stepup does not know: use a newer one")]
    Newer {
        /// The schema's number.
        found: u32,
    },
    /// Its schema is not the one that was published under that number.
    #[error("schema {n} of the store is not the one that this stepup knows under that number")]
    Changed {
        /// The schema's number.
        n: u32,
    },
    /// It holds fewer records than a checkpoint was signed over: an old copy, or one that lost its end.
    #[error("the store ends after {have} records, but {signed} were signed: an old copy, or a damaged one")]
    Behind {
        /// How many records there are.
        have: u64,
        /// How many were signed.
        signed: u64,
    },
    /// Its records are not those that a checkpoint was signed over.
    #[error("the records are not those that were signed: the store is damaged or was altered")]
    Damaged,
    /// The keys are not those that it was first opened with.
    #[error("the keys are not those of this store: bring back the folder of keys that it was made with")]
    OtherKeys,
    /// The operating system could not do it.
    #[error("{doing} failed: {because}")]
    Io {
        /// What it was doing.
        doing: &'static str,
        /// What the system said.
        because: String,
    },
    /// The database could not do it.
    #[error("the store could not be opened: {0}")]
    Sqlite(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

/// A store in one SQLite file. Dropping it waits until everything handed in is written, then closes the file.
pub struct Sqlite {
    /// `None` while it is dropped, and where it is only read.
    door: Option<Door>,
    shown: Arc<Shown>,
    readers: Option<Arc<Readers>>,
    writer: Option<JoinHandle<()>>,
    opened: u64,
    /// The lock of a store that is only read; otherwise its writer has it.
    _held: Option<open::Held>,
}

impl Sqlite {
    /// Opens the store at a path, or makes it.
    ///
    /// # Errors
    /// [`OpenError`] says why not; nothing was changed then but what a migration completed.
    pub fn open(path: &Path, ambient: Arc<dyn Ambient>, options: &Options) -> Result<Self, OpenError> {
        let held = open::hold(path, options.create)?;
        let sql = open::writer(&held.path)?;
        open::migrate(&sql, open::MIGRATIONS, options, ambient.as_ref())?;
        open::bind(&sql, options)?;
        let tree = open::tree(&sql, options.anchor)?;
        let opened = work::value(&sql, "UPDATE meta SET opened = opened + 1 RETURNING opened")?;
        let shown = Arc::new(Shown::of(tree));
        let readers = (0..READERS).map(|_| open::reader(&held.path)).collect::<Result<_, _>>()?;
        let readers = Some(Arc::new(Readers::new(readers, Arc::clone(&ambient), Arc::clone(&shown))));
        let opened = opened.unwrap_or_default();
        if options.reads_only {
            return Ok(Self { door: None, shown, readers, writer: None, opened, _held: Some(held) });
        }
        let reserve =
            Reserve::open(open::beside(&held.path, "-reserve"), options.reserve, ambient.boottime());
        let (door, inbox) = Door::new(options.waiting);
        let writer = Writer { sql, ambient, shown: Arc::clone(&shown), reserve };
        let run = move || {
            writer.run(inbox);
            drop(held); // only now may another process have it
        };
        let writer = std::thread::Builder::new().name("store".to_owned()).spawn(run);
        let writer = writer
            .map_err(|error| OpenError::Io { doing: "starting the writer", because: error.to_string() })?;
        Ok(Self { door: Some(door), shown, readers, writer: Some(writer), opened, _held: None })
    }

    /// How often this file was opened, this time included.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    fn submit<W: Work>(&self, work: W) -> Answer<'_, W::Answer> {
        Box::pin(async move {
            let door = self.door.as_ref().ok_or_else(|| closed(W::DOING))?;
            door.submit(&self.shown, work).await
        })
    }

    /// A read that is done where it is asked for.
    fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&readers::Snapshot<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move { self.readers.as_ref().ok_or_else(|| closed(doing))?.read(doing, read) })
    }

    /// A read that may take its time.
    fn list<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&readers::Snapshot<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let readers = self.readers.as_ref().ok_or_else(|| closed(doing))?;
            Arc::clone(readers).list(doing, read).await
        })
    }
}

fn closed(doing: &'static str) -> Failed {
    Failed { doing, because: "the store is closed".to_owned() }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.readers = None;
        self.door = None;
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl Store for Sqlite {
    fn commit(&self, commit: Commit) -> Answer<'_, Result<Receipt, Refused>> {
        self.submit(commit)
    }

    fn ceremony(&self, ceremony: Ceremony) -> Answer<'_, ()> {
        self.submit(ceremony)
    }

    fn consume(&self, nonce: Digest) -> Answer<'_, Option<Ceremony>> {
        self.submit(Consume(nonce))
    }

    fn standing(&self, standing: Standing) -> Answer<'_, Situation> {
        self.read("reading where an access stands", move |at| at.standing(&standing))
    }

    fn rejected_another(&self, standing: Standing) -> Answer<'_, bool> {
        self.read("reading what was rejected lately", move |at| at.rejected_another(&standing))
    }

    fn usage(&self, caller: CallerId, resource: String) -> Answer<'_, (bool, u32)> {
        self.read("reading usage", move |at| at.usage(caller, &resource))
    }

    fn directory(&self) -> Answer<'_, Directory> {
        self.list("reading the directory", |at| at.directory())
    }

    fn elevation(&self, id: ElevationId) -> Answer<'_, Option<Whole>> {
        self.read("reading an elevation", move |at| at.elevation(id))
    }

    fn elevations(&self, listing: Listing) -> Answer<'_, Vec<Whole>> {
        self.list("listing elevations", move |at| at.elevations(&listing))
    }

    fn waiting(&self, callers: Vec<CallerId>) -> Answer<'_, u32> {
        self.read("counting what waits", move |at| at.waiting(&callers))
    }

    fn attempts(&self, caller: Option<CallerId>, limit: u32) -> Answer<'_, Vec<Attempt>> {
        self.list("listing attempts", move |at| at.attempts(caller, limit))
    }

    fn attempt(&self, id: AttemptId) -> Answer<'_, Option<Attempt>> {
        self.read("reading an attempt", move |at| at.attempt(id))
    }

    fn once(&self, caller: CallerId, key: Digest) -> Answer<'_, Option<Attempt>> {
        self.read("reading what is done once", move |at| at.once(caller, &key))
    }

    fn touchers(&self, touched: Vec<Touched>) -> Answer<'_, Vec<Toucher>> {
        self.read("reading who touched something", move |at| at.touchers(&touched))
    }

    fn unsettled(&self, but: BootId) -> Answer<'_, Vec<Attempt>> {
        self.list("listing unsettled attempts", move |at| at.unsettled(but))
    }

    fn due(&self, limit: u32) -> Answer<'_, Vec<(ElevationId, elevation::Version)>> {
        self.list("listing what is due", move |at| at.due(limit))
    }

    fn session(&self, hash: Digest) -> Answer<'_, Option<Session>> {
        self.read("reading a session", move |at| at.session(hash))
    }

    fn invite(&self, hash: Digest) -> Answer<'_, Option<Invite>> {
        self.read("reading an invitation", move |at| at.invite(hash))
    }

    fn accepted_before(&self, pin: PinId) -> Answer<'_, Option<Pin>> {
        self.read("reading an earlier definition", move |at| at.accepted_before(pin))
    }

    fn policy(&self, hash: PolicyHash) -> Answer<'_, Option<Policy>> {
        self.read("reading an earlier policy", move |at| at.policy(hash))
    }

    fn policies(&self, most: u32) -> Answer<'_, Vec<Policy>> {
        self.list("reading earlier policies", move |at| at.policies(most))
    }

    fn records(&self, from: u64, limit: u32) -> Answer<'_, Vec<LogLine>> {
        self.list("reading the log", move |at| at.records(from, limit))
    }

    fn record(&self, id: RecordId) -> Answer<'_, Option<LogLine>> {
        self.read("reading a record", move |at| at.record(id))
    }

    fn head(&self) -> Answer<'_, Head> {
        Box::pin(async move {
            self.shown.check("reading the head")?;
            let tree = self.shown.frontier();
            Ok(Head { size: tree.size(), root: tree.root() })
        })
    }

    fn writable(&self) -> Answer<'_, ()> {
        self.submit(Writable)
    }

    fn checkpoint(&self, head: Head, note: String) -> Answer<'_, ()> {
        self.submit(Checkpointed { head, note })
    }

    fn last_checkpoint(&self) -> Answer<'_, Option<(Head, String)>> {
        self.read("reading the newest checkpoint", |at| {
            Ok(Signed::newest(at.sql, u64::MAX)?.map(|signed| (signed.head, signed.note)))
        })
    }

    fn outbox(&self, channel: String, limit: u32) -> Answer<'_, Vec<Notice>> {
        self.list("reading the outbox", move |at| at.outbox(&channel, limit))
    }

    fn strays(&self, channels: Vec<String>, limit: u32) -> Answer<'_, Vec<Notice>> {
        self.list("reading the outbox", move |at| at.strays(&channels, limit))
    }

    fn spread(&self, event: i64, letters: Vec<Letter>, over: Option<String>) -> Answer<'_, ()> {
        self.submit(Spread { event, letters, over })
    }

    fn told(&self, thread: String) -> Answer<'_, Vec<Told>> {
        self.list("reading who was told", move |at| at.told(&thread))
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.list("counting what waits to be told", |at| at.backlog())
    }

    fn notified(&self, id: i64, again: Option<Time>) -> Answer<'_, ()> {
        self.submit(Notified { id, again })
    }
}
