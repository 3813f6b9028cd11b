//! What pages show, as data: everything that a template needs and nothing that decides. Text that others wrote is
//! [`Foreign`]; every other text is ours.

mod callers;
mod card;
mod diff;
mod explain;
mod inbox;
mod log;
mod me;
mod policies;
mod request;
mod tools;

use askama::Template;
use terms::Time;

pub use callers::{CallerPage, CallerRow, CallersPage, GrantRow, LockRow, LocksPage, RunRow, Subject};
pub use card::{Bounds, Caller, Card, Leaf, NeededLine, ONLY_ENDS, bounds, only_ends_change, patch};
pub use diff::{Change, Diff, Line, Piece, Sign, changes, whole_new};
pub(crate) use diff::{leaves, read};
pub use explain::{Answer, Choice, ExplainPage, Explanation, Missing, RuleText, WhyPage};
pub use inbox::{HistoryPage, HistoryRow, InboxPage, NewPasskey, Row};
pub use log::{LogPage, LogRow, RecordPage};
pub use me::{EnrolPage, MePage, PasskeyRow, SignInPage};
pub use policies::{PoliciesPage, RequirementRow, Revision};
pub use request::{Can, RequestPage, Step, Tone};
pub use tools::{ToolPage, ToolRow, ToolsPage};

use crate::foreign::Foreign;
use crate::moment::Until;

/// What every page of a signed-in person has around it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The person's name.
    pub person: Foreign,
    /// Where the page is.
    pub here: Place,
    /// How many requests wait for this person's answer.
    pub waiting: usize,
    /// Whether the person may read the whole log.
    pub reads_log: bool,
    /// The lock on everything, while one is in force.
    pub all_locked: Option<AllLocked>,
    /// How far changes were counted before the page was read; what comes after is told to those who follow.
    pub seen: u64,
    /// Now, by the server's clock; countdowns are held against it.
    pub now: Time,
}

/// Everything is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllLocked {
    /// Until when, where it ends by itself.
    pub until: Option<Until>,
}

/// The places that the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Requests that wait.
    Inbox,
    /// Requests that are over.
    History,
    /// Callers.
    Callers,
    /// Locks.
    Locks,
    /// Tools of upstreams.
    Tools,
    /// The rules in force.
    Policies,
    /// The log.
    Log,
    /// The person's own things.
    Me,
}

impl Place {
    /// Every place with its address and its name, in the order of the navigation.
    pub const TABLE: [(Self, &'static str, &'static str); 8] = [
        (Self::Inbox, "/", "Inbox"),
        (Self::History, "/history", "History"),
        (Self::Callers, "/callers", "Callers"),
        (Self::Locks, "/locks", "Locks"),
        (Self::Tools, "/tools", "Tools"),
        (Self::Policies, "/policies", "Policy"),
        (Self::Log, "/log", "Log"),
        (Self::Me, "/me", "You"),
    ];
}

impl Frame {
    /// The entries of the navigation: address, name, and whether the page is there.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &'static str, bool)> {
        let shown = Place::TABLE.iter().filter(|(place, ..)| *place != Place::Log || self.reads_log);
        shown.map(|(place, path, name)| (*path, *name, *place == self.here)).collect()
    }
}

/// The environment of an upstream, and how loud its badge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name; empty when the operator gave none.
    pub name: Foreign,
    /// `live`, `trial`, `plain` or `none`.
    pub tone: &'static str,
}

impl Environment {
    /// The badge of an environment. Only loudness hangs on the name, so a name that is not known is loud enough.
    #[must_use]
    pub fn of(name: &str) -> Self {
        const TRIAL: [&str; 5] = ["test", "stag", "dev", "sandbox", "demo"];
        let lower = name.to_lowercase();
        let tone = match () {
            () if name.is_empty() => "none",
            () if lower.contains("prod") || lower.contains("live") => "live",
            () if TRIAL.iter().any(|trial| lower.contains(trial)) => "trial",
            () => "plain",
        };
        let name = if name.is_empty() { "no environment" } else { name };
        Self { name: Foreign::line(name), tone }
    }
}

/// A page that says that something is not there, or does not work now.
#[derive(Clone, Debug, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    /// What happened.
    pub title: &'static str,
    /// What to do.
    pub todo: &'static str,
}

/// A page that a browser opens from elsewhere: it goes on to the same address from here, so that the cookie, which
/// never travels with a request from another site, is sent.
#[derive(Clone, Debug, Template)]
#[template(path = "bounce.html")]
pub struct BouncePage {
    /// The path of the page that was asked for.
    pub path: String,
}
