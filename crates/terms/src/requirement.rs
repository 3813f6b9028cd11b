//! The requirement: a named rung of evidence, and what the grant will be.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroU32};

use crate::hash::RequirementHash;
use crate::json::Json;
use crate::{Millis, Pointer};

/// A tree of evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Every part.
    All(Vec<Tree>),
    /// One part or more.
    Any(Vec<Tree>),
    /// Signed approvals by that many distinct humans of a group.
    Approvals {
        /// How many.
        n: NonZeroU8,
        /// The group's name.
        from: String,
    },
    /// The human that the caller acts for confirms, having authenticated at most that long ago.
    Owner {
        /// The longest age of the owner's authentication.
        fresh: Millis,
    },
    /// The caller says why.
    Purpose,
    /// The caller names a ticket that matches a pattern.
    Ticket {
        /// A regular expression over the whole ticket, in the syntax of the `regex` crate.
        pattern: String,
    },
    /// The caller proved a key.
    KeyBound,
}

/// What of an access a grant binds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binds {
    /// Everything; the tightest.
    Everything,
    /// Only the arguments at these places, and all that is not an argument.
    Pointers(BTreeSet<Pointer>),
}

/// What a grant will be, and how long a request waits for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terms {
    /// How long the request waits; then it expires. Silence never approves.
    pub pending_for: Millis,
    /// How long the grant lives, counted from approval.
    pub valid_for: Millis,
    /// How often it may be spent.
    pub uses: NonZeroU32,
    /// What it binds.
    pub binds: Binds,
}

/// One requirement, or several joined: parts by name, and the strictest of each of their terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Each named part with its tree; all of them are needed.
    pub parts: BTreeMap<String, Tree>,
    /// The terms.
    pub terms: Terms,
}

impl Tree {
    /// Both trees, as one sorted `all`: each branch as often as the tree that repeats it more, because two
    /// equal `approvals` are two people.
    fn and(&self, other: &Self) -> Self {
        let mut both = self.branches();
        for (branch, times) in other.branches() {
            let most = both.entry(branch).or_default();
            *most = times.max(*most);
        }
        Self::All(
            both.into_iter().flat_map(|(branch, times)| std::iter::repeat_n(branch.clone(), times)).collect(),
        )
    }

    /// The branches of an `all`, or the tree itself; an empty `all`, which nobody can meet, stays one.
    fn branches(&self) -> BTreeMap<&Self, usize> {
        let branches = match self {
            Self::All(parts) if !parts.is_empty() => parts.as_slice(),
            Self::All(_)
            | Self::Any(_)
            | Self::Approvals { .. }
            | Self::Owner { .. }
            | Self::Purpose
            | Self::Ticket { .. }
            | Self::KeyBound => std::slice::from_ref(self),
        };
        let mut counted = BTreeMap::new();
        for branch in branches {
            *counted.entry(branch).or_default() += 1;
        }
        counted
    }

    /// The canonical form: what the requirement's hash covers.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::All(parts) => Json::object([("all", Self::list(parts))]),
            Self::Any(parts) => Json::object([("any", Self::list(parts))]),
            Self::Approvals { n, from } => Json::object([
                ("approvals", Json::from(u32::from(n.get()))),
                ("from", Json::from(from.as_str())),
            ]),
            Self::Owner { fresh } => Json::object([("owner", *fresh)]),
            Self::Purpose => Json::object([("purpose", true)]),
            Self::Ticket { pattern } => Json::object([("ticket", pattern.as_str())]),
            Self::KeyBound => Json::object([("caller", "key-bound")]),
        }
    }

    fn list(parts: &[Self]) -> Json {
        Json::Array(parts.iter().map(Self::to_json).collect())
    }

    /// The tree that [`Tree::to_json`] wrote; `None` for any other shape.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let list = |json: &Json| json.as_array()?.iter().map(Self::from_json).collect::<Option<Vec<_>>>();
        let number = |json: &Json| u64::try_from(json.as_i64()?).ok();
        let members = json.as_object()?;
        let mut names = members.iter();
        match (names.next()?, names.next(), names.next()) {
            (("all", parts), None, _) => list(parts).map(Self::All),
            (("any", parts), None, _) => list(parts).map(Self::Any),
            (("approvals", n), Some(("from", from)), None) => Some(Self::Approvals {
                n: NonZeroU8::new(u8::try_from(number(n)?).ok()?)?,
                from: from.as_str()?.to_owned(),
            }),
            (("owner", fresh), None, _) => Some(Self::Owner { fresh: Millis::from_json(fresh)? }),
            (("purpose", Json::Bool(true)), None, _) => Some(Self::Purpose),
            (("ticket", pattern), None, _) => Some(Self::Ticket { pattern: pattern.as_str()?.to_owned() }),
            (("caller", kind), None, _) if kind.as_str() == Some("key-bound") => Some(Self::KeyBound),
            _ => None,
        }
    }
}

impl Binds {
    /// The tighter of both: what either binds is bound.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Pointers(a), Self::Pointers(b)) => Self::Pointers(a.union(b).cloned().collect()),
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
        }
    }

    /// `"everything"`, or the sorted list of pointers.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Everything => Json::from("everything"),
            Self::Pointers(pointers) => Json::Array(pointers.iter().map(Json::from).collect()),
        }
    }

    /// What [`Binds::to_json`] wrote.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::String(all) if all == "everything" => Some(Self::Everything),
            Json::Array(items) => {
                items.iter().map(|i| i.as_str()?.parse().ok()).collect::<Option<_>>().map(Self::Pointers)
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => None,
        }
    }
}

impl Terms {
    /// The strictest of each: shorter, fewer, tighter.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            pending_for: self.pending_for.min(other.pending_for),
            valid_for: self.valid_for.min(other.valid_for),
            uses: self.uses.min(other.uses),
            binds: self.binds.join(&other.binds),
        }
    }

    /// The canonical form, times in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object([
            ("pending_for", Json::from(self.pending_for)),
            ("valid_for", Json::from(self.valid_for)),
            ("uses", Json::from(self.uses.get())),
            ("binds", self.binds.to_json()),
        ])
    }

    /// What [`Terms::to_json`] wrote; `None` for any other shape.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let terms = Self {
            pending_for: Millis::from_json(json.get("pending_for")?)?,
            valid_for: Millis::from_json(json.get("valid_for")?)?,
            uses: NonZeroU32::new(u32::try_from(json.get("uses")?.as_i64()?).ok()?)?,
            binds: Binds::from_json(json.get("binds")?)?,
        };
        (terms.to_json() == *json).then_some(terms)
    }
}

impl Requirement {
    /// The canonical form: `{"parts":{name:tree},"terms":{…}}`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let parts = Json::object(self.parts.iter().map(|(name, tree)| (name.as_str(), tree.to_json())));
        Json::object([("parts", parts), ("terms", self.terms.to_json())])
    }

    /// What [`Requirement::to_json`] wrote; `None` for any other shape.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let parts = json.get("parts")?.as_object()?.iter();
        let parts = parts
            .map(|(name, tree)| Some((name.to_owned(), Tree::from_json(tree)?)))
            .collect::<Option<_>>()?;
        let requirement = Self { parts, terms: Terms::from_json(json.get("terms")?)? };
        (requirement.to_json() == *json).then_some(requirement)
    }

    /// What a vote signs, so that it counts for this requirement and no other.
    #[must_use]
    pub fn hash(&self) -> RequirementHash {
        RequirementHash::of(&self.to_json())
    }

    /// Both requirements at once: every part of either, the strictest of each term. Associative, commutative,
    /// idempotent, and never weaker than either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let mut parts = self.parts.clone();
        for (name, tree) in &other.parts {
            let joined = match parts.get(name) {
                Some(same) if same != tree => same.and(tree),
                _ => tree.clone(),
            };
            parts.insert(name.clone(), joined);
        }
        Self { parts, terms: self.terms.join(&other.terms) }
    }

    /// The names of its parts, as callers and people are told them.
    #[must_use]
    pub fn label(&self) -> String {
        self.parts.keys().map(String::as_str).collect::<Vec<_>>().join(" + ")
    }
}
