//! `stepup upstream …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use terms::Kind;

use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken, table, when};

/// Upstreams.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// List upstreams and their tools.
    List,
    /// Show the definitions that wait for a person.
    Diff,
    /// Accept a definition, in the browser, with a passkey.
    Accept {
        /// `upstream/tool`.
        tool: String,
    },
}

impl Verb {
    #[allow(clippy::unused_async)] // the shape of every verb
    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::List => Ok(list(desk)),
            Self::Diff => Ok(diff(desk)),
            Self::Accept { tool } => {
                let all: Vec<_> = desk.authority.active().targets().cloned().collect();
                let tool = pick(&desk::TOOL, &tool, &all, |t| vec![named(t)])?;
                let tool = named(tool);
                let link = desk.page("tools");
                let text = format!(
                    "Definitions are accepted with a passkey. Open\n\n  {link}\n\nand look for {tool}."
                );
                Ok(Said::done(text, json!({ "link": link })))
            }
        }
    }
}

/// A tool by its id; a prompt may have the same.
fn named(target: &authority::Target) -> String {
    match target.kind {
        Kind::Tool => target.id(),
        Kind::Prompt | Kind::Resource => format!("{} {}", target.kind.name(), target.id()),
    }
}

fn list(desk: &Desk) -> Said {
    let active = desk.authority.active();
    let tools: Vec<_> = active.targets().collect();
    let rows: Vec<Vec<String>> = tools
        .iter()
        .map(|t| {
            let reviewed = t.settings.reviewed.clone().unwrap_or_else(|| "not reviewed".to_owned());
            vec![named(t), t.environment.clone(), t.state().to_owned(), reviewed, when(t.pin.seen_at)]
        })
        .collect();
    let json = tools
        .iter()
        .map(|t| {
            json!({ "tool": t.id(), "kind": t.kind.name(), "environment": t.environment, "state": t.state(),
                    "reviewed": t.settings.reviewed, "digest": t.pin.digest.to_string() })
        })
        .collect::<Vec<_>>();
    let text = if rows.is_empty() {
        "No upstream has been reached yet.".to_owned()
    } else {
        table(&["TOOL", "ENVIRONMENT", "DEFINITION", "REVIEWED", "SEEN"], &rows)
    };
    let since: Vec<String> = active.unreviewed().map(|tool| tool.id()).collect();
    let text = if since.is_empty() {
        text
    } else {
        format!(
            "{text}\nNot reviewed since their definitions changed: {}. Look at them, then run stepup policy activate.",
            since.join(", ")
        )
    };
    Said::done(text, json!({ "tools": json }))
}

fn diff(desk: &Desk) -> Said {
    let active = desk.authority.active();
    let waiting: Vec<_> = active.targets().filter(|t| t.state() == "quarantined").collect();
    let one = |t: &&std::sync::Arc<authority::Target>| {
        format!(
            "{} (seen {})\n{}",
            named(t),
            when(t.pin.seen_at),
            terms::text::visible(&t.pin.definition.text())
        )
    };
    let text = if waiting.is_empty() {
        "No definition waits for a person.".to_owned()
    } else {
        let all = waiting.iter().map(one).collect::<Vec<_>>().join("\n\n");
        format!("{all}\n\nThe change is shown side by side at {}", desk.page("tools"))
    };
    let json = waiting
        .iter()
        .map(|t| json!({ "tool": t.id(), "kind": t.kind.name(), "definition": t.pin.definition.text() }));
    Said::done(text, json!({ "waiting": json.collect::<Vec<_>>() }))
}
