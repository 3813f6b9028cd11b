//! The matrix of who could do what, kept beside the scenarios with the rules and requirements that it rests on: a change of it that
//! nobody meant is seen in review.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use authority::{Bundle, Stage};
use terms::{Binds, Digest, Requirement};

use crate::cli::say::{Said, count};

/// What the file of a matrix ends with.
pub(super) const ENDING: &str = ".matrix";

/// Characters of a rule's digest that are kept: it tells one text from another to whoever reviews it.
const KEPT: usize = 16;

/// How the matrix of a file of scenarios stands.
pub(super) enum Held {
    /// As it is kept, or just written.
    AsKept,
    /// None is kept.
    None,
    /// It is another one than is kept: how.
    Changed(String),
}

/// Holds the matrix against the one that is kept, or writes it.
///
/// # Errors
/// What cannot be read or written.
pub(super) fn held((stage, bundle): (&Stage, &Bundle), scenarios: &Path, update: bool) -> Result<Held, Said> {
    let path = scenarios.with_extension(ENDING.trim_start_matches('.'));
    let now = drawn(stage, bundle);
    let wrong = |e: std::io::Error| Said::failed(format!("{}: {e}", path.display()), "");
    if update {
        std::fs::write(&path, now).map_err(wrong)?;
        return Ok(Held::AsKept);
    }
    let kept = match std::fs::read_to_string(&path) {
        // Whatever a checkout made of its ends of lines.
        Ok(kept) => kept.replace("\r\n", "\n"),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Held::None),
        Err(error) => return Err(wrong(error)),
    };
    if kept == now {
        return Ok(Held::AsKept);
    }
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (before, after) = (lines(&kept), lines(&now));
    let gone = before.difference(&after).map(|line| format!("  - {line}"));
    let new = after.difference(&before).map(|line| format!("  + {line}"));
    let mut told = vec![format!(
        "FAILED  {} has changed; if it is meant, run it with --update:",
        path.file_name().unwrap_or_default().to_string_lossy()
    )];
    told.extend(gone.chain(new));
    if told.len() == 1 {
        told.push("  the order of its lines".to_owned());
    }
    Ok(Held::Changed(told.join("\n")))
}

/// A line for each caller and thing, each person and part of the installation, each requirement and each rule.
fn drawn(stage: &Stage, bundle: &Bundle) -> String {
    let row = |(who, of, comes): (String, String, String)| format!("{who} | {of} | {comes}");
    let requirement = |(name, it): (&String, &Requirement)| format!("requirement | {name} | {}", takes(it));
    let set = stage.rules();
    let rule = |id: &policy::RuleId| {
        let (_, text) = set?.source(id)?;
        let text = text.replace("\r\n", "\n");
        let digest = Digest::of("stepup/rule-of-a-matrix/v1\0", &[text.as_bytes()]).to_string();
        let (_, digest) = digest.split_once(':')?;
        Some(format!("rule | {id} | {}", digest.chars().take(KEPT).collect::<String>()))
    };
    let mut rules: Vec<String> = set.into_iter().flat_map(|set| set.rules()).filter_map(rule).collect();
    rules.sort();
    let things = stage.outlook().into_iter().map(row).chain(stage.changes().into_iter().map(row));
    let lines = things.chain(bundle.requirements.iter().map(requirement)).chain(rules);
    lines.map(|line| line + "\n").collect()
}

/// What a requirement takes, and what an approval is good for.
fn takes(requirement: &Requirement) -> String {
    let parts: Vec<String> = requirement.parts.values().map(|tree| tree.to_json().text()).collect();
    let terms = &requirement.terms;
    let binds = match &terms.binds {
        Binds::Everything => "everything".to_owned(),
        Binds::Pointers(bound) => bound.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let binds = if binds.is_empty() { "nothing".to_owned() } else { binds };
    format!(
        "{}; waits {}, then {} within {}, bound to {binds}",
        parts.join(" and "),
        terms.pending_for,
        count(terms.uses.get(), "use"),
        terms.valid_for
    )
}
