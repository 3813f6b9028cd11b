//! States as types: what is pending can be voted on; what is concluded cannot become anything else.

use std::num::NonZeroU32;

use terms::{
    Access, AccessHash, BindHash, Binds, CallerId, ElevationId, GrantId, KeyId, Millis, PolicyHash,
    Requirement, Terms, Time,
};

use crate::Vote;

/// Counts the changes of one elevation; a write names the version that it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl Version {
    /// The first.
    pub const FIRST: Self = Self(0);
}

/// A request that waits for evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its id.
    pub id: ElevationId,
    /// Whose.
    pub caller: CallerId,
    /// The key that the caller had then.
    pub key: KeyId,
    /// Whether that key was proved rather than carried.
    pub key_bound: bool,
    /// The address that the request came from.
    pub source: String,
    /// What is asked for; secrets sealed.
    pub access: Access,
    /// What it takes.
    pub requirement: Requirement,
    /// The policy that asked for it.
    pub policy: PolicyHash,
    /// Why, as the caller says.
    pub purpose: Option<String>,
    /// Under which ticket, as the caller says.
    pub ticket: Option<String>,
    /// When it was opened.
    pub opened_at: Time,
    /// When it expires if nobody concludes it.
    pub expires_at: Time,
    /// The version of its row.
    pub version: Version,
    /// The votes so far.
    pub votes: Vec<Vote>,
}

/// How an elevation ended. Terminal, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// The requirement was met; a grant was issued in the same commit.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// Its caller or its owner took it back.
    Withdrawn,
    /// Another request took its place because what it takes has changed.
    Superseded,
}

/// Where an elevation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting.
    Pending,
    /// Over.
    Concluded(Conclusion),
}

impl State {
    /// Every state with its number in the store and its name.
    pub const TABLE: [(Self, u8, &'static str); 6] = [
        (Self::Pending, 0, "pending"),
        (Self::Concluded(Conclusion::Approved), 1, "approved"),
        (Self::Concluded(Conclusion::Rejected), 2, "rejected"),
        (Self::Concluded(Conclusion::Expired), 3, "expired"),
        (Self::Concluded(Conclusion::Withdrawn), 4, "withdrawn"),
        (Self::Concluded(Conclusion::Superseded), 5, "superseded"),
    ];

    /// Its number in the store.
    #[must_use]
    pub fn number(self) -> u8 {
        Self::TABLE.iter().find(|(state, ..)| *state == self).map_or(0, |(_, n, _)| *n)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(state, ..)| *state == self).map_or("", |(.., name)| name)
    }

    /// The state with that number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n, _)| *n == number).map(|(state, ..)| *state)
    }
}

impl Pending {
    /// Opens a request now.
    #[must_use]
    pub fn expiry(opened_at: Time, requirement: &Requirement) -> Time {
        opened_at.after(requirement.terms.pending_for)
    }

    /// The grant that this request yields when its requirement is met at `now`: time counts from approval.
    #[must_use]
    pub fn grant(&self, id: GrantId, now: Time) -> Grant {
        let terms = &self.requirement.terms;
        Grant {
            id,
            elevation: self.id,
            caller: self.caller,
            key: self.key_bound.then_some(self.key),
            access: self.access.hash(),
            action: self.access.action().to_owned(),
            resource: self.access.resource().id.clone(),
            binds: terms.binds.clone(),
            bind_hash: self.access.bind_hash(&terms.binds),
            uses: terms.uses,
            spent: 0,
            not_after: now.after(terms.valid_for),
            revoked_at: None,
        }
    }

    /// How long it still waits.
    #[must_use]
    pub fn left(&self, now: Time) -> Millis {
        self.expires_at.since(now)
    }
}

/// The authority that an approved elevation yields: bound, counted, timed, revocable.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The elevation that yielded it; one each.
    pub elevation: ElevationId,
    /// For whom.
    pub caller: CallerId,
    /// The key it is bound to, where the caller proved one.
    pub key: Option<KeyId>,
    /// The access that was approved.
    pub access: AccessHash,
    /// The action, for finding it.
    pub action: String,
    /// The resource, for finding it.
    pub resource: String,
    /// What it binds.
    pub binds: Binds,
    /// The hash that an access must have under `binds`.
    pub bind_hash: BindHash,
    /// How often it may be spent.
    pub uses: NonZeroU32,
    /// How often it was.
    pub spent: u32,
    /// Until when.
    pub not_after: Time,
    /// When somebody took it back.
    pub revoked_at: Option<Time>,
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// It can be spent.
    Live,
    /// It is used up.
    Spent,
    /// Its time is over.
    Lapsed,
    /// Somebody took it back.
    Revoked,
}

impl GrantState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Spent => "spent",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
        }
    }
}

impl Grant {
    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, now: Time) -> GrantState {
        match () {
            () if self.revoked_at.is_some() => GrantState::Revoked,
            () if self.spent >= self.uses.get() => GrantState::Spent,
            () if self.not_after <= now => GrantState::Lapsed,
            () => GrantState::Live,
        }
    }

    /// The moment at which the requirement was met: what it is weighed at again, so that a store which wrote it down
    /// a little later takes nothing from it.
    #[must_use]
    pub fn met_at(&self, terms: &Terms) -> Time {
        self.not_after.before(terms.valid_for)
    }

    /// Whether it is for this access of this caller with this key. A mismatch never burns it.
    #[must_use]
    pub fn fits(&self, caller: CallerId, key: KeyId, access: &Access) -> bool {
        self.caller == caller
            && self.key.is_none_or(|bound| bound == key)
            && self.action == access.action()
            && self.resource == access.resource().id
            && self.bind_hash == access.bind_hash(&self.binds)
    }
}
