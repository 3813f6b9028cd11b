//! What upstreams say of themselves, and where it stands.

use askama::Template;

use super::{Diff, Environment, Frame, Leaf, Sign};
use crate::foreign::Foreign;
use crate::moment::When;

/// Every tool.
#[derive(Clone, Debug, Template)]
#[template(path = "tools.html")]
pub struct ToolsPage {
    /// Around it.
    pub frame: Frame,
    /// Those that are stopped until a person accepts them.
    pub stopped: Vec<ToolRow>,
    /// All others.
    pub rows: Vec<ToolRow>,
}

/// One tool.
#[derive(Clone, Debug)]
pub struct ToolRow {
    /// The pin.
    pub pin: String,
    /// Its upstream.
    pub upstream: Foreign,
    /// What it is: `tool`, `prompt` or `route`.
    pub kind: &'static str,
    /// Its name.
    pub name: Foreign,
    /// Where the upstream stands.
    pub environment: Environment,
    /// `accepted`, `quarantined`, `refused` or `gone`.
    pub state: &'static str,
    /// What a person said that it does.
    pub reviewed: Option<Foreign>,
    /// Digest of the definition.
    pub digest: Foreign,
    /// When this definition was first seen; `None` where it is the operator's own.
    pub seen: Option<When>,
    /// Who decided on it.
    pub decided_by: Option<Foreign>,
}

/// One tool's definition.
#[derive(Clone, Debug, Template)]
#[template(path = "tool.html")]
pub struct ToolPage {
    /// Around it.
    pub frame: Frame,
    /// The tool.
    pub row: ToolRow,
    /// Whether it waits for a person.
    pub waits: bool,
    /// Whether the rules leave it open that this person accepts it.
    pub accepts: bool,
    /// What changed since the definition that was accepted before, where there is one.
    pub diff: Option<Diff>,
    /// The whole definition, to its leaves.
    pub leaves: Vec<Leaf>,
}
