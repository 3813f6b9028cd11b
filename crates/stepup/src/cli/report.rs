//! `stepup report`: what rules that are only tried would have asked for, of whom and how often, and which tools no rule is about.

use std::collections::BTreeMap;

use authority::{Asked, Tried};
use serde_json::{Value, json};
use terms::Millis;

use super::desk::Desk;
use super::say::{Said, Spoken, count, some_span};

/// Lines of one list that people are shown.
const SHOWN: usize = 10;

pub(super) async fn run(desk: &Desk, since: &str) -> Spoken {
    let since = some_span("--since", since)?;
    let tried = desk.authority.tried(desk.authority.now().before(since)).await?;
    Ok(Said::done(says(&tried, since), as_json(&tried)))
}

fn says(tried: &Tried, since: Millis) -> String {
    let mut lines = Vec::new();
    if tried.rules.is_empty() {
        lines.push(format!("In the last {since} no rule that is only tried would have stopped anything."));
    }
    for (rule, asked) in &tried.rules {
        lines.push(format!("{rule} would have stopped {} of the last {since}:", count(asked.count, "call")));
        for (requirement, n) in &asked.requirements {
            lines.push(match requirement.as_str() {
                "" => format!("  {n} × denied"),
                name => format!("  {n} × {name}"),
            });
        }
        let from: Vec<&str> = asked.from.iter().map(String::as_str).collect();
        if !from.is_empty() {
            lines.push(format!("  asked of {}", from.join(", ")));
        }
        lines.push(format!("  by {}", most(&asked.callers)));
        lines.push(format!("  at {}\n", most(&asked.resources)));
    }
    if !tried.uncovered.is_empty() {
        lines.push(format!(
            "{} that nobody reviewed as read-only and no rule in force names:",
            count(tried.uncovered.len(), "tool")
        ));
        lines.extend(tried.uncovered.iter().map(|tool| format!("  {tool}")));
    }
    if tried.cut {
        lines.push("Older records were not looked at: 200,000 are the most.".to_owned());
    }
    lines.join("\n").trim_end().to_owned()
}

/// The most frequent first.
fn most(counted: &BTreeMap<String, u32>) -> String {
    let mut all: Vec<(&String, &u32)> = counted.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let shown: Vec<String> = all.iter().take(SHOWN).map(|(name, n)| format!("{name} {n}")).collect();
    let more = all.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

fn as_json(tried: &Tried) -> Value {
    let rule = |(rule, asked): (&String, &Asked)| {
        json!({ "rule": rule, "count": asked.count, "callers": asked.callers, "resources": asked.resources,
            "requirements": asked.requirements, "from": asked.from })
    };
    json!({ "rules": tried.rules.iter().map(rule).collect::<Vec<_>>(), "uncovered": tried.uncovered, "cut": tried.cut })
}
