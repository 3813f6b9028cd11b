//! `stepup policy replay`: what recorded decisions would have become under rules that are not in force.

use authority::{Changed, Replayed, Ruled};
use serde_json::{Value, json};
use terms::Millis;

use super::desk::Desk;
use super::explain::folder;
use super::say::{Said, Spoken, count, some_span};

pub(super) async fn run(desk: &Desk, since: &str) -> Spoken {
    let since = some_span("--since", since)?;
    let would = folder(desk)?;
    let from = desk.authority.now().before(since);
    let replayed = desk.authority.replay(&would, from).await?;
    let text = says(&replayed, since, would.reads_history());
    Ok(Said::done(text, as_json(&replayed)))
}

fn says(replayed: &Replayed, since: Millis, reads_history: bool) -> String {
    let mut lines = vec![format!("{} of the last {since} judged again.", count(replayed.judged, "decision"))];
    if replayed.changes.is_empty() && replayed.judged > 0 {
        lines.push("Each would be ruled as it was.".to_owned());
    }
    for ((was, becomes), change) in &replayed.changes {
        let Changed { count: n, callers, examples } = change;
        lines.push(format!("\n{n} × {} → {}", word(was), word(becomes)));
        let callers: Vec<String> = callers.iter().map(|(name, n)| format!("{name} {n}")).collect();
        lines.push(format!("  by {}", callers.join(", ")));
        lines.extend(examples.iter().map(|(record, says)| format!("  such as {says}  {record}")));
    }
    let mut notes = Vec::new();
    if replayed.lost > 0 {
        let them = count(replayed.lost, "decision");
        notes.push(format!(
            "{them} could not be judged again: the caller or what it reached for is no more, or the record was erased."
        ));
    }
    if replayed.cut {
        notes.push("Older ones were not looked at: 200,000 records are the most.".to_owned());
    }
    if reads_history {
        notes.push("Rules that ask what a caller did before were told of nothing in particular.".to_owned());
    }
    if !notes.is_empty() {
        lines.push(format!("\n{}", notes.join("\n")));
    }
    lines.join("\n")
}

fn word(ruled: &Ruled) -> &str {
    match ruled {
        Ruled::Permit => "permitted",
        Ruled::StepUp(requirement) => requirement,
        Ruled::Deny => "denied",
    }
}

fn as_json(replayed: &Replayed) -> Value {
    let change = |((was, becomes), change): (&(Ruled, Ruled), &Changed)| {
        let examples: Vec<Value> = change
            .examples
            .iter()
            .map(|(record, says)| json!({ "record": record.to_string(), "headline": says }))
            .collect();
        json!({ "was": word(was), "becomes": word(becomes), "count": change.count, "callers": change.callers,
            "examples": examples })
    };
    json!({ "judged": replayed.judged, "lost": replayed.lost, "cut": replayed.cut,
        "changes": replayed.changes.iter().map(change).collect::<Vec<_>>() })
}
