//! The one write door, and the reads that decisions and people need.
//!
//! [`Store::commit`] applies changes and their records in one transaction or says why not; there is no other
//! way to write authority. A backend is a folder (`sqlite/`, later `postgres/`); `conformance` is one suite
//! that every backend runs.

mod change;
#[cfg(any(test, feature = "conformance"))]
#[macro_use]
pub mod conformance;
mod rows;
pub mod sqlite;
#[cfg(any(test, feature = "conformance"))]
pub mod testing;

pub use change::{
    Change, Claim, Claimed, Commit, GivenUp, LockSubjects, Principal, PrincipalRef, Receipt, Refused,
    Selector,
};
pub use rows::{
    Attempt, Ceremony, Directory, Epoch, Granted, Head, Human, Invite, Key, Listing, Lock, LockSubject,
    LogLine, Member, Membership, OwnedBy, Passkey, Pin, PinState, Policy, RegisteredCaller, Rejection,
    Session, Situation, Standing, Toucher, Whole,
};

use std::pin::Pin as Pinned;
use std::sync::Arc;

use terms::{AttemptId, BootId, Digest, ElevationId, PinId, PolicyHash, RecordId, Time};

/// The store could not do it. Whoever asked denies (R7). The text is for the operator's log, never for callers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store failed while {doing}: {because}")]
pub struct Failed {
    /// What it was doing.
    pub doing: &'static str,
    /// What the backend said.
    pub because: String,
}

/// The answer of one call to the store.
pub type Answer<'a, T> = Pinned<Box<dyn Future<Output = Result<T, Failed>> + Send + 'a>>;

/// One backend, shared by everyone.
pub type Shared = Arc<dyn Store>;

/// What a backend does. Reads see every commit that was answered before they began.
pub trait Store: Send + Sync {
    /// Applies all changes and appends all records, durably, or nothing. An `Err` means that it is not known
    /// whether the commit happened: nobody may act on it (R5).
    fn commit(&self, commit: Commit) -> Answer<'_, Result<Receipt, Refused>>;

    /// Keeps a ceremony's nonce with what was shown. There is no authority in it.
    fn ceremony(&self, ceremony: Ceremony) -> Answer<'_, ()>;

    /// Takes a ceremony, once, durably, and before anything about it is verified (T101). `None` when the
    /// nonce is unknown, used or too old.
    fn consume(&self, nonce: Digest) -> Answer<'_, Option<Ceremony>>;

    /// The one read of a decision.
    fn standing(&self, standing: Standing) -> Answer<'_, Situation>;

    /// Whether another access of this caller to this resource was rejected since `rejected_since`; of those asked for
    /// within a day before that. Advisory: for whoever looks at a card.
    fn rejected_another(&self, standing: Standing) -> Answer<'_, bool>;

    /// Whether this caller has used this resource before, and its calls in the last hour. Advisory (B22).
    fn usage(&self, caller: terms::CallerId, resource: String) -> Answer<'_, (bool, u32)>;

    /// Everything that a node keeps in memory, as of one epoch.
    fn directory(&self) -> Answer<'_, Directory>;

    /// One elevation with its votes, grant and attempts.
    fn elevation(&self, id: ElevationId) -> Answer<'_, Option<Whole>>;

    /// Elevations, newest first.
    fn elevations(&self, listing: Listing) -> Answer<'_, Vec<Whole>>;

    /// How many requests of these callers wait, together.
    fn waiting(&self, callers: Vec<terms::CallerId>) -> Answer<'_, u32>;

    /// Attempts, newest first, of one caller or of all.
    fn attempts(&self, caller: Option<terms::CallerId>, limit: u32) -> Answer<'_, Vec<Attempt>>;

    /// One attempt.
    fn attempt(&self, id: AttemptId) -> Answer<'_, Option<Attempt>>;

    /// The attempt that a caller named by what it wants done once.
    fn once(&self, caller: terms::CallerId, key: Digest) -> Answer<'_, Option<Attempt>>;

    /// Who touched these, or something of the same kind of which nobody knows which it was; each once. Where they are too
    /// many, one of them is somebody of whom nobody knows who it is.
    fn touchers(&self, touched: Vec<terms::Touched>) -> Answer<'_, Vec<Toucher>>;

    /// Attempts of earlier runs that nobody settled: after a crash they are unknown (decisions B6).
    fn unsettled(&self, but: BootId) -> Answer<'_, Vec<Attempt>>;

    /// Pending elevations whose time is over.
    fn due(&self, limit: u32) -> Answer<'_, Vec<(ElevationId, elevation::Version)>>;

    /// A signed-in person's session, if it is still good.
    fn session(&self, hash: Digest) -> Answer<'_, Option<Session>>;

    /// An invitation, if it is still good.
    fn invite(&self, hash: Digest) -> Answer<'_, Option<Invite>>;

    /// The newest earlier definition of what a pin defines that was accepted at some time, whatever became of it.
    fn accepted_before(&self, pin: PinId) -> Answer<'_, Option<Pin>>;

    /// The newest revision of policy with this hash that was ever in force.
    fn policy(&self, hash: PolicyHash) -> Answer<'_, Option<Policy>>;

    /// The revisions of policy that are or were in force, newest first, at most that many.
    fn policies(&self, most: u32) -> Answer<'_, Vec<Policy>>;

    /// Records in leaf order.
    fn records(&self, from: u64, limit: u32) -> Answer<'_, Vec<LogLine>>;

    /// One record.
    fn record(&self, id: RecordId) -> Answer<'_, Option<LogLine>>;

    /// The tree of all committed records.
    fn head(&self) -> Answer<'_, Head>;

    /// Whether a decision could be recorded now; fails with why not. A store whose disk was full looks for room again
    /// when it is asked, so that it recovers even if nobody decides anything meanwhile.
    fn writable(&self) -> Answer<'_, ()>;

    /// Keeps a signed checkpoint of a head. Refuses one that is not of this tree or that is older.
    fn checkpoint(&self, head: Head, note: String) -> Answer<'_, ()>;

    /// The newest signed checkpoint.
    fn last_checkpoint(&self) -> Answer<'_, Option<(Head, String)>>;

    /// Notifications that are due over a channel, oldest first, and of each thread to each recipient the first only. What
    /// is over no channel is an event.
    fn outbox(&self, channel: String, limit: u32) -> Answer<'_, Vec<rows::Notice>>;

    /// Notifications over channels that are none of these, due or not, oldest first. Events are over none.
    fn strays(&self, channels: Vec<String>, limit: u32) -> Answer<'_, Vec<rows::Notice>>;

    /// An event becomes its notifications, all or none; one that has become them already stays so. Who is told of a
    /// thread is remembered until an event comes after which that thread is `over`.
    fn spread(&self, event: i64, letters: Vec<rows::Letter>, over: Option<String>) -> Answer<'_, ()>;

    /// Who was told of a thread that is not over.
    fn told(&self, thread: String) -> Answer<'_, Vec<rows::Told>>;

    /// How much waits to be told.
    fn backlog(&self) -> Answer<'_, rows::Backlog>;

    /// Marks a notification as delivered (`None`) or as due again at a time.
    fn notified(&self, id: i64, again: Option<Time>) -> Answer<'_, ()>;
}

pub use rows::{Backlog, Letter, Notice, Told, Way};
