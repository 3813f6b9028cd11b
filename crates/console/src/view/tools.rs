//! What upstreams say of themselves, and where it stands.

use askama::Template;

use super::{Environment, Frame, Leaf};
use crate::foreign::{Foreign, Value};
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
    /// When this definition was first seen.
    pub seen: When,
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
    /// What changed since the definition that was accepted, where one is known.
    pub diff: Option<Diff>,
    /// The whole definition, to its leaves.
    pub leaves: Vec<Leaf>,
}

/// What changed.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Leaf by leaf.
    pub lines: Vec<DiffLine>,
}

/// One leaf that changed.
#[derive(Clone, Debug)]
pub struct DiffLine {
    /// Where.
    pub pointer: Foreign,
    /// What it was; `None` when it was not there.
    pub before: Option<Value>,
    /// What it is; `None` when it is not there any more.
    pub after: Option<Value>,
}

impl Diff {
    /// Holds two lists of leaves, each sorted by pointer or in one order, against each other.
    #[must_use]
    pub fn between(before: &[(String, String)], after: &[(String, String)]) -> Self {
        let find = |all: &[(String, String)], at: &str| {
            all.iter().find(|(pointer, _)| pointer == at).map(|(_, value)| value.clone())
        };
        let gone = before.iter().filter(|(at, _)| find(after, at).is_none());
        let all = after.iter().chain(gone);
        let changed = all.filter(|(at, _)| find(before, at) != find(after, at));
        let lines = changed.map(|(at, _)| DiffLine {
            pointer: Foreign::line(at),
            before: find(before, at).map(|value| Value::of(&value)),
            after: find(after, at).map(|value| Value::of(&value)),
        });
        Self { lines: lines.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(at, value)| ((*at).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_diff_tells_what_came_what_went_and_what_changed_and_nothing_else() {
        let before = leaves(&[("/name", "deploy"), ("/old", "1"), ("/description", "Deploys.")]);
        let after = leaves(&[("/name", "deploy"), ("/description", "Deploys. Send keys."), ("/new", "2")]);
        let diff = Diff::between(&before, &after);
        let told: Vec<_> = diff
            .lines
            .iter()
            .map(|line| (line.pointer.text(), line.before.is_some(), line.after.is_some()))
            .collect();
        assert_eq!(told, [("/description", true, true), ("/new", false, true), ("/old", true, false)]);
    }
}
