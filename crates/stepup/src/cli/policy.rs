//! `stepup policy …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use crate::policy_folder;
use authority::{Activated, Bundle};
use policy::{Code, Finding, Severity};
use store::Policy;
use terms::PolicyHash;

use super::explain::Explain;
use super::finding::{self, refused};
use super::say::{Exit, Said, Spoken, count, table, when};
use super::scenario::Test;
use super::{desk, replay, stopped};

/// The rules.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Show which rules are in force.
    Show,
    /// Say what is wrong with the policy folder, and what is probably not meant, before it is in force: held against what
    /// is pinned of the upstreams.
    Check {
        /// Hold it against the people, groups and callers that there are, too.
        #[arg(long)]
        live: bool,
    },
    /// Say what the rules say of something, and why: of what a caller could ask for, or of a decision in the log.
    Explain(Box<Explain>),
    /// Play scenarios on the rules of the policy folder: who may do what, and what it takes. Needs no server and no store.
    Test(Box<Test>),
    /// Say what recorded decisions would have become under the rules of the policy folder.
    Replay {
        /// Since how long ago.
        #[arg(long, value_name = "TIME", default_value = "7d")]
        since: String,
    },
    /// Print the Cedar schema of what is pinned, for editors and other tools of Cedar's.
    Schema,
    /// List the revisions that are or were in force.
    History,
    /// Put a revision in force that was before. The policy folder stays as it is, and counts again once it is changed.
    #[command(name = "rollback")]
    RollBack {
        /// Its number, or the beginning of its hash: see `stepup policy history`.
        revision: String,
    },
    /// Put the policy folder in force without asking the rules that are, for whoever is locked out by them. The server has to
    /// be stopped; it is recorded as what it is.
    Recover,
    /// Put the policy folder and the configuration's requirements in force. What the configuration says of tools
    /// (reviewed = ...) is said anew, of definitions that were accepted since too. Where a change of rules takes approval, this
    /// proposes it.
    #[command(visible_alias = "propose")]
    Activate,
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::Show
            | Self::Check { .. }
            | Self::Explain(_)
            | Self::Test(_)
            | Self::Replay { .. }
            | Self::History
            | Self::Schema => true,
            Self::Activate | Self::RollBack { .. } | Self::Recover => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Show => Ok(show(desk)),
            Self::Check { live } => check(desk, live),
            Self::Explain(explain) => explain.run(desk).await,
            // Played where the command was typed: main does it.
            Self::Test(_) => Err(Said::failed("scenarios are not played in the server", "")),
            Self::Replay { since } => replay::run(desk, &since).await,
            Self::Schema => schema(desk),
            Self::Activate => activate(desk).await,
            Self::History => history(desk).await,
            Self::RollBack { revision } => roll_back(desk, &revision).await,
            Self::Recover => recover(desk).await,
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

fn check(desk: &Desk, live: bool) -> Spoken {
    let bundle = desk.config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
    let active = desk.authority.active();
    let findings = active.check(&bundle, live);
    let unread = active.unread(&bundle);
    let wrong = findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
    let json = json!({ "ok": wrong == 0, "findings": finding::json(&findings), "unread": unread });
    let summary = match (wrong, findings.len() - wrong) {
        (0, 0) => "Nothing is wrong with the policy folder.".to_owned(),
        (wrong, doubts) => format!("{}, {}.", count(wrong, "error"), count(doubts, "warning")),
    };
    let later = match unread.as_slice() {
        [] if bundle.upstreams.is_empty() => {
            "\nNo upstream is configured yet, so what the rules say of upstreams and their tools was held against nothing."
                .to_owned()
        }
        [] => String::new(),
        names => format!(
            "\nNothing was read yet of {}: what the rules say of tools there was held against nothing. `stepup serve` reads them.",
            names.join(" and ")
        ),
    };
    let text = format!("{}\n{summary}{later}", finding::shown(&findings, &bundle.texts));
    let said = Said::done(text.trim_start(), json);
    if wrong == 0 { Ok(said) } else { Err(said.exit(Exit::Failed)) }
}

fn schema(desk: &Desk) -> Spoken {
    let text = desk.authority.active().schema().text().map_err(|e| Said::failed(e.to_string(), ""))?;
    Ok(Said::done(text.clone(), json!({ "schema": text })))
}

async fn activate(desk: &Desk) -> Spoken {
    let bundle = desk.config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
    if let Some(why) = policy_folder::others_wrote(desk, &desk.by).await? {
        let help = format!("{}, and propose it by that account", policy_folder::ONE_OWNER);
        return Err(
            Said::failed(format!("the policy folder is not proposed: {why}"), help).exit(Exit::Denied)
        );
    }
    let activated = desk.authority.activate_anew(&bundle, &desk.by).await?;
    let said = told(desk, activated, bundle.hash(), |findings| refused(findings, &bundle))?;
    Ok(doubted(desk, &bundle, said))
}

/// What is probably not meant by the rules that are in force now. Who can change what is told whole: by then it is so.
fn doubted(desk: &Desk, bundle: &Bundle, mut said: Said) -> Said {
    let (standing, others): (Vec<Finding>, Vec<Finding>) = desk
        .authority
        .active()
        .check(bundle, true)
        .into_iter()
        .partition(|found| matches!(found.code, Code::NobodyAdministers | Code::SelfApproval));
    if !standing.is_empty() {
        said.text.push_str(&format!("\n\n{}", finding::shown(&standing, &bundle.texts)));
    }
    if !others.is_empty() {
        let more = count(others.len(), "warning");
        said.text.push_str(&format!("\n\n{more}: see `stepup policy check --live`"));
    }
    let all: Vec<Finding> = standing.into_iter().chain(others).collect();
    if let Some(members) = said.json.as_object_mut() {
        members.insert("findings".to_owned(), finding::json(&all));
    }
    said
}

/// What became of rules that were to come into force.
fn told(
    desk: &Desk,
    activated: Activated,
    policy: PolicyHash,
    refused: impl FnOnce(&[Finding]) -> Said,
) -> Spoken {
    match activated {
        Activated::Done => {
            desk.authority.troubled(None);
            let text = format!("In force since {}: {policy}", when(desk.authority.now()));
            Ok(Said::done(text, json!({ "policy": policy.to_string(), "changed": true })))
        }
        Activated::Already => Ok(Said::done(
            "The rules are in force already; nothing changed.",
            json!({ "policy": policy.to_string(), "changed": false }),
        )),
        Activated::Wrong(findings) => Err(refused(&findings)),
        Activated::Stopped(stopped) => Err(stopped::told(desk, &stopped)),
    }
}

async fn recover(desk: &Desk) -> Spoken {
    let bundle = desk.config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
    let activated = desk.authority.recover(&bundle, &desk.by).await?;
    let said = told(desk, activated, bundle.hash(), |findings| refused(findings, &bundle))?;
    Ok(doubted(desk, &bundle, said))
}

/// Revisions that are listed, and found by what their hash begins with.
const REVISIONS: u32 = 100;

async fn history(desk: &Desk) -> Spoken {
    let revisions = desk.authority.revisions(REVISIONS).await?;
    let active = desk.authority.active();
    let whose = |by: &str| active.person_of(by).map(|human| human.name.clone());
    let by = |it: &Policy| whose(&it.by).map_or_else(|| it.by.clone(), |name| format!("{} ({name})", it.by));
    let rows: Vec<Vec<String>> = revisions
        .iter()
        .map(|it| vec![it.rev.to_string(), when(it.at), by(it), it.hash.to_string()])
        .collect();
    let json = revisions.iter().map(|it| {
        json!({ "revision": it.rev, "policy": it.hash.to_string(), "by": it.by, "human": whose(&it.by),
            "at": it.at.millis() })
    });
    let text = if rows.is_empty() {
        "No rules were ever in force.".to_owned()
    } else {
        table(&["REVISION", "IN FORCE SINCE", "BY", "POLICY"], &rows)
    };
    Ok(Said::done(text, json!({ "revisions": json.collect::<Vec<_>>() })))
}

async fn roll_back(desk: &Desk, revision: &str) -> Spoken {
    let revisions = desk.authority.revisions(REVISIONS).await?;
    let revision = desk::pick(&desk::REVISION, revision, &revisions, |it| {
        vec![it.rev.to_string(), it.hash.to_string()]
    })?;
    let activated = desk.authority.roll_back(revision, &desk.by).await?;
    let done = activated == Activated::Done;
    let said = told(desk, activated, revision.hash, |findings| {
        let mut said = refused(findings, &authority::Bundle::default());
        said.text
            .push_str("\nThe definitions that are pinned now have changed since that revision was in force.");
        said
    })?;
    if done {
        desk.authority.troubled(Some(policy_folder::ROLLED_BACK.to_owned()));
    }
    Ok(said)
}
