//! `stepup grants …`

use authority::{Listing, Selector, Whole};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken, table, when};

/// Grants.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// List grants, live ones first.
    List,
    /// Show one grant.
    Show {
        /// Its id, or the beginning of it.
        id: String,
    },
    /// Take a grant back now.
    Revoke {
        /// Its id, or the beginning of it.
        id: String,
        /// Why.
        #[arg(long, default_value = "revoked on the command line")]
        why: String,
    },
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::List | Self::Show { .. } => true,
            Self::Revoke { .. } => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        let all = granted(desk).await?;
        let names = |w: &Whole| w.grant.iter().map(|g| g.id.to_string()).collect();
        match self {
            Self::List => Ok(list(desk, &all)),
            Self::Show { id } => Ok(show(desk, pick(&desk::GRANT, &id, &all, names)?)),
            Self::Revoke { id, why } => {
                let whole = pick(&desk::GRANT, &id, &all, names)?;
                let Some(grant) = &whole.grant else {
                    return Err(Said::failed("there is no such grant", ""));
                };
                let count =
                    desk.authority.revoke(Selector::Grant(grant.id), desk.by.to_string(), why).await?;
                let text = if count == 0 { "It was not live any more." } else { "Revoked." };
                Ok(Said::done(text, json!({ "grant": grant.id.to_string(), "revoked": count })))
            }
        }
    }
}

async fn granted(desk: &Desk) -> Result<Vec<Whole>, Said> {
    let listing = Listing { limit: 500, ..Listing::default() };
    let mut all = desk.authority.store().elevations(listing).await?;
    all.retain(|whole| whole.grant.is_some());
    Ok(all)
}

fn list(desk: &Desk, all: &[Whole]) -> Said {
    let now = desk.authority.now();
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(|w| w.grant.as_ref().map(|g| (w, g)))
        .map(|(w, g)| {
            vec![
                g.id.to_string(),
                w.request.access.subject().id.clone(),
                desk.authority.headline(w),
                format!("{} of {}", g.spent, g.uses),
                g.state(now).name().to_owned(),
                when(g.not_after),
            ]
        })
        .collect();
    let text = if rows.is_empty() {
        "There are no grants.".to_owned()
    } else {
        table(&["GRANT", "CALLER", "WHAT", "USED", "STATE", "UNTIL"], &rows)
    };
    Said::done(text, json!({ "grants": all.iter().filter_map(|w| as_json(desk, w)).collect::<Vec<_>>() }))
}

fn show(desk: &Desk, whole: &Whole) -> Said {
    let now = desk.authority.now();
    let json = as_json(desk, whole).unwrap_or_default();
    let attempts: Vec<String> = whole
        .attempts
        .iter()
        .map(|a| {
            let ended = desk.authority.outcome_of(a).map_or("running", elevation::Outcome::name);
            format!("  {} {} {ended}", a.id, when(a.at))
        })
        .collect();
    let text = whole.grant.as_ref().map_or_else(String::new, |g| {
        format!(
            "{}\n  for       {}\n  what      {}\n  used      {} of {}\n  state     {}\n  until     {}\n  request   {}\n{}",
            g.id,
            whole.request.access.subject().id,
            desk.authority.headline(whole),
            g.spent,
            g.uses,
            g.state(now).name(),
            when(g.not_after),
            whole.request.id,
            attempts.join("\n"),
        )
    });
    Said::done(text, json)
}

fn as_json(desk: &Desk, whole: &Whole) -> Option<serde_json::Value> {
    let now = desk.authority.now();
    let grant = whole.grant.as_ref()?;
    Some(json!({
        "grant": grant.id.to_string(), "elevation": whole.request.id.to_string(),
        "caller": whole.request.access.subject().id, "resource": grant.resource,
        "uses": grant.uses, "spent": grant.spent, "state": grant.state(now).name(),
        "not_after": grant.not_after.millis(),
        "attempts": whole.attempts.iter().map(|a| json!({
            "attempt": a.id.to_string(), "at": a.at.millis(), "outcome": desk.authority.outcome_of(a).map(elevation::Outcome::name),
        })).collect::<Vec<_>>(),
    }))
}
