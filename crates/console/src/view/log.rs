//! The log, a line a record.

use askama::Template;

use super::{Frame, Leaf};
use crate::foreign::Foreign;
use crate::moment::When;

/// Records, newest first.
#[derive(Clone, Debug, Template)]
#[template(path = "log.html")]
pub struct LogPage {
    /// Around it.
    pub frame: Frame,
    /// How many records there are.
    pub size: u64,
    /// The root hash over all of them.
    pub root: Foreign,
    /// Newest first.
    pub rows: Vec<LogRow>,
    /// Where older ones are.
    pub older: Option<String>,
    /// Where newer ones are.
    pub newer: Option<String>,
}

/// One record.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// Its place.
    pub leaf: u64,
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Foreign,
    /// When.
    pub at: When,
    /// What happened, as one line.
    pub says: Foreign,
}

/// One record in full.
#[derive(Clone, Debug, Template)]
#[template(path = "record.html")]
pub struct RecordPage {
    /// Around it.
    pub frame: Frame,
    /// The line.
    pub row: LogRow,
    /// The published part, to its leaves.
    pub envelope: Vec<Leaf>,
    /// The body, to its leaves; `None` when it was erased.
    pub body: Option<Vec<Leaf>>,
    /// Whether there is a page on why it was so decided.
    pub why: bool,
    /// The request that it belongs to.
    pub request: Option<String>,
}
