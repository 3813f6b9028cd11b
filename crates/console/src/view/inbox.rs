//! Lists of requests: those that wait, and those that are over.

use askama::Template;

use super::{Card, Environment, Frame};
use crate::foreign::Foreign;
use crate::moment::{Until, When};

/// Requests that wait.
#[derive(Clone, Debug, Template)]
#[template(path = "inbox.html")]
pub struct InboxPage {
    /// Around it.
    pub frame: Frame,
    /// Those that this person can answer, the first to expire first.
    pub yours: Vec<Row>,
    /// Those that wait for others.
    pub others: Vec<Row>,
    /// Where callers are pointed at, for a page on which nothing waits.
    pub agents_url: String,
}

/// One request in a list. Everything that tells two of them apart is on it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Where.
    pub environment: Environment,
    /// Verb and object.
    pub title: Foreign,
    /// Who asks.
    pub caller: Foreign,
    /// Whose that is.
    pub owner: Foreign,
    /// Which tool.
    pub tool: Foreign,
    /// What is missing.
    pub missing: Vec<Foreign>,
    /// How many unusual things there are.
    pub unusual: usize,
    /// When it opened.
    pub opened: When,
    /// When it expires.
    pub until: Until,
    /// Four words.
    pub words: Vec<Foreign>,
    /// Why this person cannot sign it; `None` when they can.
    pub cannot: Option<Foreign>,
}

impl Row {
    /// A row of a card.
    #[must_use]
    pub fn of(
        id: String,
        tool: &str,
        card: &Card,
        opened: When,
        until: Until,
        cannot: Option<String>,
    ) -> Self {
        Self {
            id,
            environment: card.environment.clone(),
            title: card.title.clone(),
            caller: card.caller.name.clone(),
            owner: card.caller.owner.clone(),
            tool: Foreign::line(tool),
            missing: card.missing(),
            unusual: card.unusual.len(),
            opened,
            until,
            words: card.words.clone(),
            cannot: cannot.map(Foreign::line),
        }
    }
}

/// Requests that are over.
#[derive(Clone, Debug, Template)]
#[template(path = "history.html")]
pub struct HistoryPage {
    /// Around it.
    pub frame: Frame,
    /// Passkeys that were enrolled beside another one of their person within the last day, of everybody.
    pub passkeys: Vec<NewPasskey>,
    /// Newest first.
    pub rows: Vec<HistoryRow>,
    /// Where older ones are.
    pub older: Option<String>,
}

/// A passkey that others may know not to be its person's.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// Whose.
    pub person: Foreign,
    /// When it was enrolled.
    pub enrolled: When,
    /// Who let the person enrol it: whoever invited, or the person with another one.
    pub by: Foreign,
    /// From when it signs.
    pub signs: Until,
}

/// One request that is over.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// Its id.
    pub id: String,
    /// Where.
    pub environment: Environment,
    /// Verb and object.
    pub title: Foreign,
    /// Who asked.
    pub caller: Foreign,
    /// How it ended: `approved`, `rejected`, ….
    pub state: &'static str,
    /// What came of it.
    pub outcome: &'static str,
    /// Who ended it, and why, where a person did.
    pub why: Option<Foreign>,
    /// When it was opened.
    pub opened: When,
    /// Four words.
    pub words: Vec<Foreign>,
}
