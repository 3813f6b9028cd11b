//! `stepup policy …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use super::say::{Said, Spoken, count, when};

/// The rules.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Show which rules are in force.
    Show,
    /// Put the policy folder and the configuration's requirements in force. What the configuration says of tools
    /// (reviewed = ...) is said anew, of definitions that were accepted since too.
    Activate,
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::Show => true,
            Self::Activate => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Show => Ok(show(desk)),
            Self::Activate => activate(desk).await,
        }
    }
}

fn show(desk: &Desk) -> Said {
    let active = desk.authority.active();
    let rules = active.rules();
    let lines: Vec<String> = rules.iter().map(|(rule, place)| format!("  {rule}  {place}")).collect();
    let text = if rules.is_empty() {
        "No rules are in force: everything is denied. `stepup policy activate` puts the folder in force."
            .to_owned()
    } else {
        format!("In force: {}\n{}\n{}", active.policy(), count(rules.len(), "rule"), lines.join("\n"))
    };
    Said::done(
        text,
        json!({ "policy": active.policy().to_string(), "rules": rules.iter().map(|(r, _)| r).collect::<Vec<_>>() }),
    )
}

async fn activate(desk: &Desk) -> Spoken {
    let bundle = desk.config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
    match desk.authority.activate_anew(&bundle, &desk.by).await? {
        Ok(true) => {
            let text = format!("In force since {}: {}", when(desk.authority.now()), bundle.hash());
            Ok(Said::done(text, json!({ "policy": bundle.hash().to_string(), "changed": true })))
        }
        Ok(false) => Ok(Said::done(
            "The rules are in force already; nothing changed.",
            json!({ "policy": bundle.hash().to_string(), "changed": false }),
        )),
        Err(findings) => Err(refused(&findings)),
    }
}

/// Findings as the command line shows them.
pub fn refused(findings: &[policy::Finding]) -> Said {
    let one = |f: &policy::Finding| {
        let help = f.suggestion.as_ref().map(|s| format!("\n  help: {s}")).unwrap_or_default();
        format!("{f}{help}")
    };
    let text = findings.iter().map(one).collect::<Vec<_>>().join("\n");
    let json = findings.iter().map(|f| {
        json!({ "code": f.code.to_string(), "at": f.at.to_string(), "message": f.message, "help": f.suggestion })
    });
    let json = json!({ "findings": json.collect::<Vec<_>>() });
    let text = format!("{text}\nerror: the policy was not taken; the one before stays in force");
    Said::done(text, json).exit(super::Exit::Failed)
}
