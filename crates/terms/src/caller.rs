//! The caller: the authenticated identity of one request, non-human but for those who administer.

use std::collections::BTreeSet;

use crate::access::Subject;
use crate::{CallerId, HumanId, KeyId};

/// What kind of non-human identity a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A model that chooses its own calls.
    Agent,
    /// A program that always does the same.
    Service,
    /// A person who changes what decisions rest on: at the console, or by an account of this machine. It has no key, and no
    /// door of callers lets it in.
    Operator,
}

impl CallerKind {
    /// Every kind with the name it has in access, store and CLI.
    pub const TABLE: [(Self, &'static str); 3] =
        [(Self::Agent, "agent"), (Self::Service, "service"), (Self::Operator, "operator")];

    /// The name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Service => "service",
            Self::Operator => "operator",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind)
    }
}

/// One authenticated caller, with everything that a decision needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its row.
    pub id: CallerId,
    /// Its name, unique in the installation.
    pub name: String,
    /// Agent, service or operator.
    pub kind: CallerKind,
    /// The name of its owner: a human, or another caller.
    pub owner: String,
    /// Whom it acts through, outermost first.
    pub act: Vec<String>,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
    /// Every human behind it: owners along the chain and of every actor. Empty means that nobody may
    /// approve for it (decisions A16).
    pub roots: BTreeSet<HumanId>,
    /// The key that it authenticated with.
    pub key: KeyId,
    /// The first characters of that key, which people may see.
    pub key_prefix: String,
    /// Whether it proved possession of a key (DPoP, mTLS) rather than carried one.
    pub key_bound: bool,
}

impl Caller {
    /// The part of it that an access binds.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            kind: self.kind.name().to_owned(),
            id: self.name.clone(),
            owner: self.owner.clone(),
            act: self.act.clone(),
        }
    }
}
