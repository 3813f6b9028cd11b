//! What a decision is, for those who carry it to a caller.

use elevation::Leaf;
use terms::{AccessHash, AttemptId, ElevationId, RecordId, Slug, Time};

use crate::Permit;

/// The answer to one access.
#[must_use = "a ruling is carried out or told"]
#[derive(Debug)]
pub enum Ruling {
    /// It may run now, once.
    Permitted(Permit),
    /// It takes evidence first.
    Challenged(Box<Challenge>),
    /// It may not run.
    Denied(Denial),
}

/// What a caller is told of an elevation: what it takes and how far it is, never who (T124).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The elevation.
    pub elevation: ElevationId,
    /// The access that it is for.
    pub access: AccessHash,
    /// Why it is asked for: [`Slug::ApprovalRequired`], or that an earlier grant is spent or expired.
    pub slug: Slug,
    /// Four words to compare with the card.
    pub words: [&'static str; 4],
    /// The requirement's name.
    pub label: String,
    /// What it takes, line by line.
    pub lines: Vec<Line>,
    /// Whether the caller still has to say why.
    pub wants_purpose: bool,
    /// Whether the caller still has to name a ticket.
    pub wants_ticket: bool,
    /// When it expires.
    pub expires_at: Time,
    /// Whether this very call opened it; otherwise it was waiting already.
    pub opened: bool,
    /// Whether `stepup_run` can run it; with secret arguments only the repeated call can.
    pub runnable: bool,
    /// This exact call ran already and its answer was lost: when, and how it ended.
    pub ran: Option<(Time, String)>,
    /// The record of the challenge; `None` when it was waiting already.
    pub record: Option<RecordId>,
}

/// One line of what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In words that name no person and no group.
    pub says: String,
    /// How many there are.
    pub have: u32,
    /// How many it takes.
    pub need: u32,
}

impl Line {
    /// As its caller is told.
    pub(crate) fn of(leaf: &Leaf) -> Self {
        Self { says: leaf.told(), have: leaf.count.0, need: leaf.count.1 }
    }
}

/// A refusal that a caller is told: no policy ids, no names, no upstream text (T124).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub slug: Slug,
    /// The record, for asking the operator; `None` above the caller's budget of denied records, and where
    /// the store cannot write.
    pub record: Option<RecordId>,
    /// The reason that a person gave for a rejection.
    pub why: Option<String>,
    /// The attempt that is meant.
    pub attempt: Option<AttemptId>,
}

impl Denial {
    /// A refusal without particulars.
    #[must_use]
    pub const fn of(slug: Slug) -> Self {
        Self { slug, record: None, why: None, attempt: None }
    }
}
