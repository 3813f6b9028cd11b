//! One request: the card, what the person can do, and what became of it.

use askama::Template;

use super::{Card, Frame, LockRow};
use crate::foreign::Foreign;
use crate::moment::{Until, When};

/// The page of one request.
#[derive(Clone, Debug, Template)]
#[template(path = "request.html")]
pub struct RequestPage {
    /// Around it.
    pub frame: Frame,
    /// The request.
    pub id: String,
    /// What it reaches for: `tool`, `prompt` or `resource`.
    pub kind: &'static str,
    /// The card.
    pub card: Card,
    /// Whether who asks did so at the console.
    pub at_console: bool,
    /// When it was opened.
    pub opened: When,
    /// What the person can do.
    pub can: Can,
    /// What has happened to it, in order; nothing while nobody has answered.
    pub story: Vec<Step>,
    /// The locks that stop what it asks for, while it could run but for them.
    pub locks: Vec<LockRow>,
    /// Whether the person is behind the caller, and can take the request back for it.
    pub withdrawable: bool,
    /// The grant can still be spent, so it can be taken back.
    pub live: bool,
    /// The attempt whose outcome nobody knows.
    pub unknown: Option<String>,
}

/// What the viewer can do with a request.
#[derive(Clone, Debug)]
pub enum Can {
    /// Sign it, in that capacity.
    Sign {
        /// The words on the button: "Approve once", "Confirm once".
        verb: &'static str,
        /// "You sign as …".
        says: &'static str,
        /// Until when it waits.
        until: Until,
    },
    /// Not sign it, but see it.
    Look {
        /// Why not.
        why: Foreign,
        /// Whether they can reject it.
        rejects: bool,
        /// Until when it waits.
        until: Until,
    },
    /// Nothing more: it is over.
    Nothing,
}

/// How a step looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As wished.
    Good,
    /// Stopped, or failed.
    Bad,
    /// Not known, or waiting.
    Open,
    /// Over without a decision.
    Plain,
}

impl Tone {
    /// The class that it is drawn with.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Open => "open",
            Self::Plain => "plain",
        }
    }
}

/// One thing that happened to a request.
#[derive(Clone, Debug)]
pub struct Step {
    /// How it looks.
    pub tone: Tone,
    /// What happened, in our words.
    pub says: &'static str,
    /// What a person added: a name, a reason.
    pub by: Option<Foreign>,
    /// When.
    pub at: Option<When>,
    /// Until when something is still possible.
    pub until: Option<Until>,
}
