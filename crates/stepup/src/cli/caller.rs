//! `stepup caller …`

use authority::{Added, NewCaller};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use terms::CallerKind;

use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken, span, table};
use super::stopped;

/// Callers.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Register a caller; prints its key, once.
    Add {
        /// Its name.
        name: String,
        /// The person, or the caller, that owns it. Nobody behind a caller approves for it.
        #[arg(long)]
        owner: String,
        /// A group it is in; may be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// `agent` or `service`.
        #[arg(long, default_value = "agent", value_parser = ["agent", "service"])]
        kind: String,
        /// A caller that it acts through, outermost first; may be repeated.
        #[arg(long = "through", value_name = "CALLER")]
        through: Vec<String>,
    },
    /// List all callers.
    List,
    /// Show one caller.
    Show {
        /// Its name or id.
        caller: String,
    },
    /// Give a caller a new key; the old one goes on for a while.
    Rotate {
        /// Its name.
        caller: String,
        /// How long the old key goes on.
        #[arg(long, default_value = "1h")]
        overlap: String,
    },
    /// Disable a caller for good: its keys open nothing, its grants are revoked.
    Disable {
        /// Its name.
        caller: String,
    },
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::List | Self::Show { .. } => true,
            Self::Add { .. } | Self::Rotate { .. } | Self::Disable { .. } => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Add { name, owner, groups, kind, through } => {
                let kind = CallerKind::named(&kind).unwrap_or(CallerKind::Agent);
                add(desk, &NewCaller { name, kind, owner, groups, act: through }).await
            }
            Self::List => Ok(list(desk)),
            Self::Show { caller } => show(desk, &caller),
            Self::Rotate { caller, overlap } => rotate(desk, &caller, &overlap).await,
            Self::Disable { caller } => {
                done(desk, desk.authority.disable_caller(&caller, &desk.by).await?)?;
                let text =
                    format!("{caller} is disabled: its keys open nothing, and its grants are revoked.");
                Ok(Said::done(text, json!({ "caller": caller, "disabled": true })))
            }
        }
    }
}

async fn add(desk: &Desk, new: &NewCaller) -> Spoken {
    super::human::check_name(&new.name)?;
    new.groups.iter().try_for_each(|group| super::human::check_name(group))?;
    let (id, key) = done(desk, desk.authority.add_caller(new, &desk.by).await?)?;
    let each: Vec<String> = desk.config.upstreams.keys().map(|name| format!("/mcp/{name}")).collect();
    let text = format!(
        "{} is registered, owned by {}.\n\n  {}\n\nThis key is shown once. Give it to the agent as\n  Authorization: Bearer {}\nand point its MCP client at\n  {}/mcp\nor, for one upstream alone, at {} there.",
        new.name,
        new.owner,
        key.key.expose(),
        "…",
        desk.config.agents.public_url,
        if each.is_empty() { "/mcp/UPSTREAM".to_owned() } else { each.join(", ") },
    );
    let json = json!({ "caller": new.name, "id": id.to_string(), "key": key.key.expose() });
    super::groups::join(desk, &new.name, &new.groups, Said::done(text, json)).await
}

async fn rotate(desk: &Desk, caller: &str, overlap: &str) -> Spoken {
    let overlap = span("--overlap", overlap)?;
    let key = done(desk, desk.authority.rotate(caller, overlap, &desk.by).await?)?;
    let text = format!(
        "{caller} has a new key, shown once:\n\n  {}\n\nIts old keys go on for {overlap}.",
        key.key.expose()
    );
    Ok(Said::done(text, json!({ "caller": caller, "key": key.key.expose() })))
}

fn list(desk: &Desk) -> Said {
    let all = desk.authority.callers();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|c| {
            let state = match (&c.lock, c.row.disabled_at) {
                (_, Some(_)) => "disabled",
                (Some(_), None) => "locked",
                (None, None) => "active",
            };
            vec![
                c.row.name.clone(),
                c.row.kind.name().to_owned(),
                c.owner.clone(),
                c.groups.join(", "),
                state.to_owned(),
            ]
        })
        .collect();
    let json = all.iter().map(as_json).collect::<Vec<_>>();
    let text = if rows.is_empty() {
        "There are no callers yet. Add one: stepup caller add NAME --owner WHO --group GROUP".to_owned()
    } else {
        table(&["CALLER", "KIND", "OWNER", "GROUPS", "STATE"], &rows)
    };
    Said::done(text, json!({ "callers": json }))
}

fn show(desk: &Desk, typed: &str) -> Spoken {
    let all = desk.authority.callers();
    let caller = pick(&desk::CALLER, typed, &all, |c| vec![c.row.name.clone(), c.row.id.to_string()])?;
    let lock = caller.lock.as_ref().map_or_else(
        || "no".to_owned(),
        |lock| {
            format!(
                "yes, by {} ({}); lift it with stepup unlock {}",
                lock.by,
                terms::text::visible(&lock.why),
                lock.id
            )
        },
    );
    let text = format!(
        "{}\n  id      {}\n  kind    {}\n  owner   {}\n  groups  {}\n  through {}\n  keys    {}\n  locked  {lock}",
        caller.row.name,
        caller.row.id,
        caller.row.kind.name(),
        caller.owner,
        or_none(&caller.groups.join(", ")),
        or_none(&caller.row.act.join(" → ")),
        or_none(&caller.keys.iter().map(|k| format!("{k}…")).collect::<Vec<_>>().join(", ")),
    );
    Ok(Said::done(text, as_json(caller)))
}

/// A list for people.
const fn or_none(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

fn as_json(c: &authority::CallerView) -> serde_json::Value {
    json!({
        "caller": c.row.name, "id": c.row.id.to_string(), "kind": c.row.kind.name(), "owner": c.owner,
        "groups": c.groups, "through": c.row.act, "keys": c.keys,
        "disabled": c.row.disabled_at.is_some(), "lock": c.lock.as_ref().map(|l| l.id.to_string()),
    })
}

/// What was added, or why not, as the command line says it.
pub(super) fn done<T>(desk: &Desk, added: Added<T>) -> Result<T, Said> {
    match added {
        Added::Done(value) => Ok(value),
        Added::NameTaken => Err(Said::failed("the name is taken", "choose another one")),
        Added::Missing(what) => Err(Said::failed(
            format!("there is no {what}"),
            "check the spelling, or add it first: `stepup human invite NAME`, `stepup caller add NAME`",
        )),
        Added::Stopped(stopped) => Err(stopped::told(desk, &stopped)),
        Added::Refused(refused) => Err(Said::failed(refused.to_string(), "run the command again")),
    }
}
