//! `stepup upstream …`

use std::sync::Arc;

use authority::{Listing, PinState, Target, Whole};
use clap::Subcommand;
use elevation::{Conclusion, GrantState, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use terms::Kind;

use super::desk::{self, Desk, pick};
use super::difference::{Void, Waiting};
use super::say::{Said, Spoken, table, when};

/// Upstreams.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// List upstreams and their tools.
    List,
    /// Show what changed in the definitions that wait for a person.
    Diff {
        /// Only of this upstream.
        upstream: Option<String>,
        /// Only the tool or prompt of this name.
        name: Option<String>,
    },
    /// Accept a definition, in the browser, with a passkey.
    Accept {
        /// `upstream/tool`.
        tool: String,
    },
}

impl Verb {
    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::List => Ok(list(desk)),
            Self::Diff { upstream, name } => diff(desk, upstream.as_deref(), name.as_deref()).await,
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
fn named(target: &Target) -> String {
    match target.kind {
        Kind::Tool => target.id(),
        Kind::Prompt | Kind::Resource | Kind::Route | Kind::Operation | Kind::Installation => {
            format!("{} {}", target.kind.name(), target.id())
        }
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

/// Approved requests that are looked through for grants of earlier definitions.
const REQUESTS: u32 = 500;

async fn diff(desk: &Desk, upstream: Option<&str>, name: Option<&str>) -> Spoken {
    let active = desk.authority.active();
    let asked = |t: &&Arc<Target>| {
        upstream.is_none_or(|upstream| t.upstream == upstream) && name.is_none_or(|name| t.name == name)
    };
    let named: Vec<&Arc<Target>> = active.targets().filter(asked).collect();
    let known = upstream.is_none_or(|name| desk.config.upstreams.contains_key(name));
    if named.is_empty() && (!known || name.is_some()) {
        let what = if known { "nothing of that name in that upstream" } else { "no such upstream" };
        return Err(Said::failed(format!("there is {what}"), desk::TOOL.listed()));
    }
    let quarantined: Vec<_> = named.into_iter().filter(|t| t.pin.state == PinState::Quarantined).collect();
    if quarantined.is_empty() {
        return Ok(Said::done("No definition waits for a person.", json!({ "waiting": [] })));
    }
    let approved = State::Concluded(Conclusion::Approved);
    let listing = Listing { state: Some(approved), limit: REQUESTS, ..Listing::default() };
    let approved = desk.authority.store().elevations(listing).await?;
    let mut waiting = Vec::new();
    for target in quarantined {
        let before = desk.authority.store().accepted_before(target.pin.id).await?;
        let void = Void {
            grants: void(desk, target, &approved),
            all: approved.len() < usize::try_from(REQUESTS).unwrap_or(usize::MAX),
            reviewed: active.lapsed(target),
        };
        waiting.push(Waiting {
            kind: target.kind,
            upstream: target.upstream.clone(),
            name: target.name.clone(),
            digest: target.pin.digest.to_string(),
            definition: target.pin.definition.clone(),
            seen_at: target.pin.seen_at,
            before: before.map(|pin| (pin.definition, pin.seen_at)),
            void,
        });
    }
    let link = desk.page("tools");
    let mut text: Vec<String> = waiting.iter().map(Waiting::text).collect();
    text.push(format!(
        "No call to these runs until a person accepts them. That takes a passkey, in the browser:\n\n  {link}\n\n\
         `stepup upstream accept UPSTREAM/NAME` names the page, too."
    ));
    let json = json!({ "waiting": waiting.iter().map(Waiting::json).collect::<Vec<_>>(), "link": link });
    Ok(Said::done(text.join("\n\n"), json).signed())
}

/// The grants that could be spent on an earlier definition, and fit this one no more.
fn void(desk: &Desk, target: &Target, approved: &[Whole]) -> Vec<String> {
    let now = desk.authority.now();
    let of = |whole: &&Whole| {
        let resource = whole.request.access.resource();
        let same = resource.kind == target.kind.name()
            && resource.parts() == Some((target.upstream.as_str(), target.name.as_str()));
        same && resource.definition != target.pin.digest
    };
    let grants = approved.iter().filter(of).filter_map(|whole| whole.grant.as_ref());
    grants.filter(|grant| grant.state(now) == GrantState::Live).map(|grant| grant.id.to_string()).collect()
}
