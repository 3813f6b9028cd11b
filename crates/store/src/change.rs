//! What can be written, as data. The pure core returns changes with what they expect; a backend applies them
//! in one transaction, each with its own hand-written SQL, or answers [`Refused`].

use std::num::NonZeroU32;

use audit::Record;
use elevation::{Conclusion, Grant, Outcome, Pending, Version, Vote};
use terms::{
    AccessHash, AttemptId, BindHash, BootId, CallerId, Digest, ElevationId, GrantId, HumanId, Json, KeyId,
    LockId, PinId, PolicyHash, Time, Touched,
};

use crate::rows::{
    Epoch, Human, Invite, Key, Lock, Membership, Passkey, Pin, PinState, RegisteredCaller, Session,
};

/// Changes and the records that tell of them: together or not at all (invariant 2).
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Applied in order; the first that does not find what it expects refuses the whole.
    pub changes: Vec<Change>,
    /// Appended in order; at least one wherever a change carries authority, that is with all changes but
    /// [`Change::Claims`], [`Change::Signed`], sessions, [`Change::Notify`] and [`Change::GiveUp`].
    pub records: Vec<Record>,
}

/// One change, with what it expects to find.
#[derive(Clone, Debug)]
pub enum Change {
    /// Opens an elevation, at its first version and without votes. One of the same caller and access that waits beyond its time is expired by the
    /// authority in the same commit (A32); one that still waits refuses with [`Refused::Exists`].
    Open {
        /// The request; boxed because it is by far the largest change.
        pending: Box<Pending>,
    },
    /// Adds what the caller says to a pending elevation; what is `None` stays as it is.
    Claims {
        /// Which.
        id: ElevationId,
        /// Why.
        purpose: Option<String>,
        /// Under which ticket.
        ticket: Option<String>,
        /// The version seen.
        expects: Version,
    },
    /// Adds a vote to a pending elevation that is not over time. One root approves once; an owner who confirms again
    /// replaces the earlier confirmation.
    Vote {
        /// Which.
        id: ElevationId,
        /// The vote.
        vote: Box<Vote>,
        /// The version seen.
        expects: Version,
    },
    /// Ends a pending elevation; its version stays. Approving one that is over time refuses with
    /// [`Refused::Lapsed`], expiring one that is not with [`Refused::Conflict`]. Whoever approves issues the grant
    /// in the same commit.
    Conclude {
        /// Which.
        id: ElevationId,
        /// How.
        to: Conclusion,
        /// Why, where a person said.
        why: Option<String>,
        /// Who, where a person did.
        by: Option<String>,
        /// The version seen, counting changes earlier in this commit.
        expects: Version,
    },
    /// Issues the grant of an elevation approved in the same commit.
    Issue(Box<Grant>),
    /// Claims one attempt at baseline.
    Attempt(Claim),
    /// How an attempt ended that was released: what its caller says, once.
    Report {
        /// Which.
        attempt: AttemptId,
        /// How: done or failed.
        outcome: Outcome,
    },
    /// Names an attempt that is claimed in the same commit, by what its caller wants done once. Refused with [`Refused::Repeats`] where
    /// that names another already; the name of one that was not sent is free again.
    Once {
        /// Whose name it is.
        caller: CallerId,
        /// The name's digest.
        key: Digest,
        /// What it names.
        attempt: AttemptId,
    },
    /// What an attempt touches that is claimed in the same commit. Refused with [`Refused::Conflict`] where one of those was touched
    /// by somebody who was not known of when it was judged.
    Touch {
        /// Which attempt.
        attempt: AttemptId,
        /// What: without a key, what only its answer will name.
        touched: Vec<Touched>,
        /// Who stands behind it; nobody, where that is not known.
        roots: Vec<HumanId>,
        /// Who was known to have touched them, as the store said.
        known: Vec<HumanId>,
    },
    /// What an attempt touched that is settled in the same commit.
    Touched {
        /// Which attempt.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
        /// What its answer names, without a key what it should have named; nothing where it has no answer of its own, and `None` where
        /// nobody could read it.
        answer: Option<Vec<Touched>>,
    },
    /// Keeps a credential that an answer held: what we authenticate with at an upstream from now on, unless a later attempt has brought
    /// one already. Next epoch.
    Capture {
        /// The attempt that was answered so.
        attempt: AttemptId,
        /// The upstream.
        upstream: String,
        /// The credential, sealed.
        sealed: String,
    },
    /// Spends one use of a grant and claims one attempt under it: one conditional write (R4). Where today's terms are
    /// stricter than those that the grant was issued under, theirs count, in the same write (decisions B3).
    Spend {
        /// The grant.
        grant: GrantId,
        /// What the access binds to.
        bind: BindHash,
        /// Uses of the grant that today's terms allow in all.
        uses: NonZeroU32,
        /// Until when they allow one.
        not_after: Time,
        /// The attempt.
        claim: Claim,
    },
    /// Ends an attempt. Refuses with [`Refused::Conflict`] where it has ended already, except that a person
    /// may resolve one that is unknown.
    Settle {
        /// Which.
        attempt: AttemptId,
        /// How.
        outcome: Outcome,
        /// Whether the answer reached the caller.
        delivered: Option<bool>,
        /// Whether a person resolves an unknown outcome.
        resolves: bool,
    },
    /// Takes grants back that are live.
    Revoke(Selector),
    /// Stops something now.
    Lock(Lock),
    /// Lifts a lock.
    Unlock(LockId),
    /// Pins a definition; the newest one of each (upstream, kind, name) is in the directory. Next epoch.
    Pin(Box<Pin>),
    /// Decides on a pin, if it is the newest of its (upstream, kind, name), and to accept it, quarantined. Next epoch.
    Judge {
        /// Which.
        pin: PinId,
        /// To what.
        state: PinState,
        /// Who.
        by: String,
    },
    /// Puts a policy in force. Next epoch.
    Activate {
        /// Hash of the bundle.
        hash: PolicyHash,
        /// The bundle.
        bundle: Json,
        /// Who.
        by: String,
        /// The epoch that the proposal was judged under.
        expects: Epoch,
    },
    /// Adds somebody or something. Next epoch.
    Register(Principal),
    /// Disables or removes it. Next epoch.
    Retire(PrincipalRef),
    /// Enrols a passkey, using up the invitation where there is one. Next epoch.
    Enrol {
        /// The passkey.
        passkey: Box<Passkey>,
        /// Hash of the invitation's token.
        invite: Option<Digest>,
    },
    /// Moves a passkey's signature counter on after it signed; refuses with [`Refused::Conflict`] when it
    /// does not move forward (both zero is fine) or the passkey is revoked.
    Signed {
        /// Which.
        credential: String,
        /// The new counter.
        count: u32,
        /// Whether it is backed up now.
        backed_up: bool,
    },
    /// Opens a person's session.
    OpenSession(Session),
    /// Ends a person's sessions: the one with that hash, or all of that human.
    CloseSessions {
        /// Whose.
        human: HumanId,
        /// Only this one.
        only: Option<Digest>,
    },
    /// Puts an event into the outbox.
    Notify {
        /// What it tells of.
        kind: String,
        /// Its text, JSON.
        body: String,
    },
    /// Takes out what nobody is told any more, with the record that says so. Refuses with [`Refused::Missing`] what is
    /// not there.
    GiveUp(GivenUp),
}

/// What is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// A notification that was tried long enough.
    Notice(i64),
    /// So many that made room for newer ones.
    MadeRoom(u32),
}

/// A claim of one attempt. Every claim is fenced, granted or not (A11).
#[derive(Clone, Debug)]
pub struct Claim {
    /// The attempt's id.
    pub attempt: AttemptId,
    /// The access that will run.
    pub access: AccessHash,
    /// Its resource, for people and usage.
    pub resource: String,
    /// Everything whose lock would stop it.
    pub subjects: LockSubjects,
    /// The epoch that it was judged under.
    pub epoch: Epoch,
    /// The run of the node that claims.
    pub boot: BootId,
}

/// Everything whose lock stops a claim; a lock on all does wherever there is an upstream.
#[derive(Clone, Debug)]
pub struct LockSubjects {
    /// The caller.
    pub caller: CallerId,
    /// The people behind it.
    pub roots: Vec<HumanId>,
    /// The upstream; `None` for what reaches for none, which a lock on everything that does leaves alone.
    pub upstream: Option<String>,
}

/// Which grants to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One.
    Grant(GrantId),
    /// All live ones of a caller.
    Caller(CallerId),
}

/// What can be registered.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A person.
    Human(Human),
    /// A caller.
    Caller(RegisteredCaller),
    /// A key of a caller.
    Key(Key),
    /// A membership; one that exists already is no error.
    Member(Membership),
    /// An invitation. Those that its person had until now and that were not used are over: one link is good at a time.
    Invite(Invite),
}

/// What can be retired.
#[derive(Clone, Debug)]
pub enum PrincipalRef {
    /// A person: disabled, sessions ended.
    Human(HumanId),
    /// A caller: disabled, its live grants revoked.
    Caller(CallerId),
    /// A key: revoked.
    Key(KeyId),
    /// A key that another replaces: good until then.
    KeyAfter(KeyId, Time),
    /// A membership: removed.
    Member(Membership),
    /// A passkey: revoked.
    Passkey(String),
    /// A passkey of somebody who keeps another good one: revoked. The last one refuses with [`Refused::Conflict`].
    SparePasskey(String),
}

/// What a commit did.
#[derive(Debug)]
pub struct Receipt {
    /// The attempt that it claimed, if it claimed one.
    pub claimed: Option<Claimed>,
    /// The epoch now.
    pub epoch: Epoch,
    /// The place of its first record.
    pub leaf: u64,
    /// How many grants it took back, by [`Change::Revoke`] or by retiring a caller.
    pub revoked: u32,
}

/// Proof that one attempt was claimed durably. Only the store makes one, it cannot be copied, and without
/// one there is no Permit (decisions A12).
///
/// ```compile_fail
/// let forged = store::Claimed { attempt: todo!(), access: todo!(), grant: None };
/// ```
#[derive(Debug)]
#[must_use = "a claim that is not turned into a Permit must be settled as not sent"]
pub struct Claimed {
    attempt: AttemptId,
    access: AccessHash,
    grant: Option<GrantId>,
}

impl Claimed {
    pub(crate) const fn new(attempt: AttemptId, access: AccessHash, grant: Option<GrantId>) -> Self {
        Self { attempt, access, grant }
    }

    /// The attempt.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The access that was claimed.
    #[must_use]
    pub const fn access(&self) -> AccessHash {
        self.access
    }

    /// The grant that was spent; `None` at baseline.
    #[must_use]
    pub const fn grant(&self) -> Option<GrantId> {
        self.grant
    }
}

/// Why a commit was not applied. An answer, not a failure: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Something is not as expected any more; read again.
    #[error("something changed meanwhile")]
    Conflict,
    /// The same request waits already.
    #[error("the same request waits already")]
    Exists(ElevationId),
    /// Its time is over.
    #[error("its time is over")]
    Lapsed,
    /// What is to be done once was begun already.
    #[error("what is to be done once was begun already")]
    Repeats,
    /// The grant is used up.
    #[error("the grant is used up")]
    Spent,
    /// The grant was taken back.
    #[error("the grant was taken back")]
    Revoked,
    /// A lock stops it.
    #[error("a lock stops it")]
    Locked(LockId),
    /// It was judged under an epoch that is over.
    #[error("the rules have changed")]
    Stale(Epoch),
    /// A name is taken.
    #[error("the name is taken")]
    NameTaken,
    /// There is nothing like it.
    #[error("there is nothing like it")]
    Missing,
    /// The disk is full, and this is not one of the changes that the reserve is for: lock, revoke, reject, deny.
    #[error("the disk is full")]
    Full,
}
