//! Callers, what they hold, and locks.

use askama::Template;

use super::{Environment, Frame};
use crate::foreign::Foreign;
use crate::moment::{Until, When};

/// Every caller.
#[derive(Clone, Debug, Template)]
#[template(path = "callers.html")]
pub struct CallersPage {
    /// Around it.
    pub frame: Frame,
    /// By name.
    pub rows: Vec<CallerRow>,
}

/// One caller in a list.
#[derive(Clone, Debug)]
pub struct CallerRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Foreign,
    /// `agent` or `service`.
    pub kind: &'static str,
    /// Its owner.
    pub owner: Foreign,
    /// Its groups.
    pub groups: Vec<Foreign>,
    /// The first characters of its keys.
    pub keys: Vec<Foreign>,
    /// Why it is locked.
    pub locked: Option<Foreign>,
    /// It was disabled.
    pub disabled: bool,
}

/// One caller.
#[derive(Clone, Debug, Template)]
#[template(path = "caller.html")]
pub struct CallerPage {
    /// Around it.
    pub frame: Frame,
    /// The caller.
    pub row: CallerRow,
    /// Whom it acts through.
    pub chain: Vec<Foreign>,
    /// The lock that stops it.
    pub lock: Option<LockRow>,
    /// Whether this person may ask what a call of it would need.
    pub explains: bool,
    /// What it holds now.
    pub grants: Vec<GrantRow>,
    /// What it did lately.
    pub runs: Vec<RunRow>,
    /// Its requests lately, as far as this person may see them.
    pub requests: Vec<super::HistoryRow>,
}

/// One live grant.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// The request that it comes from.
    pub request: String,
    /// Where.
    pub environment: Environment,
    /// Verb and object.
    pub title: Foreign,
    /// How often it was spent and may be: `0 of 1`.
    pub spent: String,
    /// Until when.
    pub until: Until,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// The tool.
    pub tool: Foreign,
    /// When.
    pub at: When,
    /// How it ended.
    pub outcome: &'static str,
    /// Whether a grant was spent for it.
    pub granted: bool,
}

/// Locks in force, and what can be locked.
#[derive(Clone, Debug, Template)]
#[template(path = "locks.html")]
pub struct LocksPage {
    /// Around it.
    pub frame: Frame,
    /// In force.
    pub locks: Vec<LockRow>,
    /// What can be locked: everything, and every upstream.
    pub subjects: Vec<Subject>,
}

/// One lock.
#[derive(Clone, Debug)]
pub struct LockRow {
    /// Its id.
    pub id: String,
    /// What it stops.
    pub what: Foreign,
    /// Since when.
    pub since: When,
    /// Until when, where it ends by itself.
    pub until: Option<Until>,
    /// Who locked.
    pub by: Foreign,
    /// Why.
    pub why: Foreign,
    /// Why this person cannot lift it; `None` when they can.
    pub cannot: Option<String>,
}

/// What can be locked.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name; nothing when it is everything.
    pub name: Option<Foreign>,
    /// The body of the request that locks it, without the reason.
    pub body: String,
}
