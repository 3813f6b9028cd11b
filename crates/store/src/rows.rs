//! What is read from the store: plain rows.

use elevation::{Grant, Outcome, Pending, State};
use terms::{
    AccessHash, AttemptId, BootId, CallerId, CallerKind, DefinitionHash, Digest, ElevationId, GrantId,
    HumanId, InstallId, Json, KeyId, LockId, Millis, PinId, PolicyHash, RecordId, Time, Touched,
};

/// Counts every change of what nodes keep in memory: policy, people, callers, pins. A claim names the epoch
/// that it was judged under, and a store that has moved on refuses it (R6, decisions A11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Everything that a node keeps in memory, as of one epoch.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The epoch.
    pub epoch: Epoch,
    /// The installation.
    pub install: InstallId,
    /// Whether this is a demo's store, which `serve` refuses, as `demo` refuses any other (B14).
    pub demo: bool,
    /// People.
    pub humans: Vec<Human>,
    /// Who is in which group.
    pub memberships: Vec<Membership>,
    /// Callers.
    pub callers: Vec<RegisteredCaller>,
    /// Callers' keys, revoked ones too.
    pub keys: Vec<Key>,
    /// Passkeys, revoked ones too.
    pub passkeys: Vec<Passkey>,
    /// The newest definitions, one for each (upstream, kind, name).
    pub pins: Vec<Pin>,
    /// The policy in force.
    pub policy: Option<Policy>,
    /// Locks that are not lifted.
    pub locks: Vec<Lock>,
    /// Credentials that answers held, sealed, by upstream.
    pub credentials: Vec<(String, String)>,
}

/// One person's one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Human {
    /// Its row.
    pub id: HumanId,
    /// The person: another row when two identities were merged, else this one.
    pub root: HumanId,
    /// Its name, unique.
    pub name: String,
    /// When it was disabled.
    pub disabled_at: Option<Time>,
    /// Who added it: `os:1000`, a human's name, `init`.
    pub added_by: String,
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// A person.
    Human(HumanId),
    /// A caller.
    Caller(CallerId),
}

/// One membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group's name.
    pub group: String,
    /// Who is in it.
    pub member: Member,
}

/// Who owns a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnedBy {
    /// A person.
    Human(HumanId),
    /// Another caller, whose owners it has in turn.
    Caller(CallerId),
}

/// A caller as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredCaller {
    /// Its row.
    pub id: CallerId,
    /// Its name, unique.
    pub name: String,
    /// What kind.
    pub kind: CallerKind,
    /// Whose.
    pub owner: OwnedBy,
    /// Names of the callers that it acts through, outermost first.
    pub act: Vec<String>,
    /// When it was disabled.
    pub disabled_at: Option<Time>,
}

/// A caller's key; the key itself is known to the caller alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its row.
    pub id: KeyId,
    /// Whose.
    pub caller: CallerId,
    /// What people see of it.
    pub prefix: String,
    /// SHA-256 of it.
    pub hash: Digest,
    /// Until when it is good.
    pub not_after: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// A person's passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The credential id, base64url.
    pub credential: String,
    /// Whose.
    pub human: HumanId,
    /// What its person calls it, where they were asked.
    pub name: Option<String>,
    /// The name of the people's page that it was made for; it signs for no other (decisions A29).
    pub rp_id: String,
    /// The public key as the authenticator wrote it.
    pub cose: Vec<u8>,
    /// The kind of authenticator.
    pub aaguid: [u8; 16],
    /// The signature counter last seen.
    pub count: u32,
    /// Whether it can be backed up.
    pub backup_eligible: bool,
    /// Whether it is backed up.
    pub backed_up: bool,
    /// When it was enrolled.
    pub enrolled_at: Time,
    /// Under whose authority: an invitation's author, or the human's own other passkey.
    pub enrolled_by: String,
    /// When it was revoked or suspended.
    pub revoked_at: Option<Time>,
}

/// Where a pinned definition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinState {
    /// Callers may be judged against it.
    Accepted,
    /// New or changed: stopped until a person accepts it (invariant 10).
    Quarantined,
    /// A person refused it.
    Refused,
    /// The upstream no longer has it.
    Gone,
}

impl PinState {
    /// Every state with its number in the store and its name.
    pub const TABLE: [(Self, u8, &'static str); 4] = [
        (Self::Accepted, 0, "accepted"),
        (Self::Quarantined, 1, "quarantined"),
        (Self::Refused, 2, "refused"),
        (Self::Gone, 3, "gone"),
    ];
}

/// What an upstream says of one of its tools, pinned.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Its row.
    pub id: PinId,
    /// The upstream's name.
    pub upstream: String,
    /// `tool` or `prompt`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Digest of the definition.
    pub digest: DefinitionHash,
    /// The definition as stated, canonical.
    pub definition: Json,
    /// Where it stands.
    pub state: PinState,
    /// When it was first seen.
    pub seen_at: Time,
    /// Who decided on it.
    pub decided_by: Option<String>,
}

/// One revision of policy: one canonical bundle (decisions §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Counts revisions.
    pub rev: u64,
    /// Hash of the bundle.
    pub hash: PolicyHash,
    /// The bundle.
    pub bundle: Json,
    /// Who activated it.
    pub by: String,
    /// When.
    pub at: Time,
}

/// What is locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockSubject {
    /// Everything.
    All,
    /// One caller.
    Caller(CallerId),
    /// Every caller that this person is behind.
    Human(HumanId),
    /// One upstream.
    Upstream(String),
}

/// One lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its row.
    pub id: LockId,
    /// What is locked.
    pub subject: LockSubject,
    /// Since when.
    pub since: Time,
    /// Until when; `None` until a person lifts it.
    pub until: Option<Time>,
    /// Who locked.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A question about one access of one caller.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whose.
    pub caller: CallerId,
    /// Which access.
    pub access: AccessHash,
    /// Its action.
    pub action: String,
    /// Its resource.
    pub resource: String,
    /// Rejections before this do not count any more.
    pub rejected_since: Time,
    /// Runs before this do not count any more, unless their outcome is open.
    pub ran_since: Time,
}

/// What the store holds for a [`Standing`].
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// The request for this very access that is waiting, even beyond its time: then it is to be expired by the
    /// commit that opens the next.
    pub pending: Option<Pending>,
    /// Grants of this caller for this action and resource that are live by the database's clock, oldest
    /// first, at most 32 (B21). Whether they fit the access is for the caller to judge.
    pub grants: Vec<Granted>,
    /// The newest grant for this very access that is not live any more.
    pub over: Option<Grant>,
    /// The newest rejection of this very access since `rejected_since`.
    pub rejected: Option<Rejection>,
    /// The newest attempt of this very access under a grant that is unsettled or unknown; else the newest one since
    /// `ran_since`.
    pub last: Option<Attempt>,
    /// How many requests of this caller are waiting, and not beyond their time.
    pub pending_count: u32,
    /// Whether this caller ever reached for this resource.
    pub used_before: bool,
}

/// One who touched something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toucher {
    /// What: without a key, something of that kind of which nobody knows which it was.
    pub touched: Touched,
    /// A person behind it; `None` where nobody knows who.
    pub root: Option<HumanId>,
    /// The caller that did it.
    pub caller: CallerId,
}

/// A grant with what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The grant.
    pub grant: Grant,
    /// The elevation as it was when it was approved, votes included.
    pub elevation: Pending,
}

/// One rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which elevation.
    pub elevation: ElevationId,
    /// The reason that was given.
    pub why: String,
    /// When.
    pub at: Time,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Under which grant; `None` at baseline.
    pub grant: Option<GrantId>,
    /// Whose.
    pub caller: CallerId,
    /// What.
    pub access: AccessHash,
    /// The resource, for people.
    pub resource: String,
    /// When it was claimed.
    pub at: Time,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Whether the answer reached the caller, once it is known.
    pub delivered: Option<bool>,
    /// When it ended.
    pub settled_at: Option<Time>,
    /// In which run of which node.
    pub boot: BootId,
}

/// One elevation with all that hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// The request, with its votes.
    pub request: Pending,
    /// Where it stands.
    pub state: State,
    /// The reason of a rejection or a withdrawal.
    pub why: Option<String>,
    /// Who concluded it, where a person did.
    pub concluded_by: Option<String>,
    /// When it was concluded.
    pub concluded_at: Option<Time>,
    /// The grant it yielded.
    pub grant: Option<Grant>,
    /// The attempts under that grant, oldest first.
    pub attempts: Vec<Attempt>,
}

/// Which elevations to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this caller.
    pub caller: Option<CallerId>,
    /// Only those opened before this; for paging.
    pub before: Option<Time>,
    /// At most that many.
    pub limit: u32,
}

/// What one ceremony showed and will have signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceremony {
    /// Hash of the nonce.
    pub nonce: Digest,
    /// For whom; `None` at sign-in, where the passkey tells.
    pub human: Option<HumanId>,
    /// For which elevation.
    pub elevation: Option<ElevationId>,
    /// `consent`, `enrol`, `sign-in`, `unlock`, ….
    pub purpose: String,
    /// The statement, canonical.
    pub statement: Json,
    /// What was shown, canonical.
    pub card: Json,
    /// After this it is worth nothing.
    pub not_after: Time,
}

/// A signed-in person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Hash of the cookie.
    pub hash: Digest,
    /// Who.
    pub human: HumanId,
    /// When they authenticated.
    pub auth_at: Time,
    /// Until when it is good.
    pub until: Time,
}

/// An invitation to enrol a first passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Hash of the token in the link.
    pub hash: Digest,
    /// Whom it is for.
    pub human: HumanId,
    /// Until when it is good.
    pub until: Time,
    /// Who invited.
    pub by: String,
}

/// One record at its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its place.
    pub leaf: u64,
    /// Its id.
    pub id: RecordId,
    /// Its time.
    pub at: Time,
    /// Its kind.
    pub kind: String,
    /// The leaf's bytes.
    pub envelope: Vec<u8>,
    /// Body and salt, unless erased.
    pub body: Option<(Vec<u8>, [u8; 16])>,
}

/// The tree of all records up to a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root hash.
    pub root: Digest,
}

/// Over which channel a notification goes, to whom, and about what. An event goes nowhere yet: all of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The channel's name.
    pub channel: String,
    /// Whom it reaches there.
    pub recipient: String,
    /// What several notifications are about, which arrive one after the other; empty where there is one only.
    pub thread: String,
}

/// One notification that an event becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its way.
    pub way: Way,
    /// Its text, JSON.
    pub body: String,
    /// What the end of the thread needs to know of it.
    pub note: String,
    /// How long it is held back: where its thread is over by then, nobody is told of either.
    pub held: Millis,
}

/// Somebody who was told of what is not over yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How.
    pub way: Way,
    /// The note of that notification.
    pub note: String,
}

/// How much waits to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events and notifications that wait.
    pub waiting: u32,
    /// Those of them that were tried in vain.
    pub failing: u32,
    /// Since when the oldest waits.
    pub oldest: Option<Time>,
    /// Those that made room for newer ones, and that no record tells of yet.
    pub made_room: u32,
}

/// One event or notification that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its row.
    pub id: i64,
    /// What it tells of.
    pub kind: String,
    /// Its text, JSON.
    pub body: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it waits.
    pub at: Time,
    /// Its way.
    pub way: Way,
}
