//! `stepup policy explain`: what the rules say of something, which of them, and the shortest way to yes. Nothing is decided,
//! opened or recorded by asking.

use authority::{Active, Explained, Preflight, ShownRule, Supposed, Takes, Would};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use terms::text::quoted;
use terms::{Binds, Json, Kind, RecordId};

use super::desk::{self, Desk, pick};
use super::finding::refused;
use super::say::{Exit, Said, Spoken, count, when};

/// What to explain.
#[derive(Args, Debug, Clone, Serialize, Deserialize)]
pub struct Explain {
    /// A record of the log, as a refusal names it.
    #[arg(conflicts_with_all = ["caller", "call", "prompt", "read", "send"])]
    record: Option<String>,
    /// Who would ask: a caller's name.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// The tool that it would call.
    #[arg(long, value_name = "UPSTREAM/TOOL", requires = "caller", conflicts_with_all = ["prompt", "read", "send"])]
    call: Option<String>,
    /// The prompt that it would get.
    #[arg(long, value_name = "UPSTREAM/PROMPT", requires = "caller", conflicts_with_all = ["read", "send"])]
    prompt: Option<String>,
    /// The resource that it would read.
    #[arg(long, value_name = "UPSTREAM/URI", requires = "caller", conflicts_with = "send")]
    read: Option<String>,
    /// The route along which it would send a request.
    #[arg(long, value_name = "UPSTREAM/ROUTE", requires = "caller")]
    send: Option<String>,
    /// The arguments, as a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    arguments: String,
    /// Why it would say that it asks.
    #[arg(long)]
    purpose: Option<String>,
    /// Under which ticket it would say that it asks.
    #[arg(long)]
    ticket: Option<String>,
    /// From which address it would ask.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    source: std::net::IpAddr,
    /// Under the rules of the policy folder instead of those in force.
    #[arg(long)]
    folder: bool,
}

impl Explain {
    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match (&self.record, &self.caller) {
            (Some(record), _) => told(desk, record).await,
            (None, Some(_)) => self.suppose(desk).await,
            (None, None) => {
                let help = "name a record, or what a caller would do: --caller NAME --call UPSTREAM/TOOL";
                Err(Said::failed("nothing is said of what to explain", help).exit(Exit::Usage))
            }
        }
    }

    async fn suppose(self, desk: &Desk) -> Spoken {
        let supposed = self.supposed(desk)?;
        let under = if self.folder { Some(folder(desk)?) } else { None };
        let explained = desk.authority.suppose(&supposed, under.as_ref()).await?;
        let explained = explained.map_err(|why| {
            let help = "see `stepup caller list`, `stepup upstream list` and `stepup policy show`";
            Said::failed(format!("that cannot be explained: {why}"), help)
        })?;
        let name = self.caller.as_deref().unwrap_or_default();
        Ok(Said::done(says(name, &explained), as_json(name, &explained)))
    }

    fn supposed(&self, desk: &Desk) -> Result<Supposed, Said> {
        let name = self.caller.as_deref().unwrap_or_default();
        let callers = desk.authority.callers();
        let caller = pick(&desk::CALLER, name, &callers, |c| vec![c.row.name.clone(), c.row.id.to_string()])?;
        let (kind, of) = reached([&self.call, &self.prompt, &self.read, &self.send]).ok_or_else(|| {
            Said::failed("nothing is said of what it would do", "add --call, --prompt, --read or --send")
        })?;
        let parts = of.split_once('/').ok_or_else(|| {
            Said::failed(format!("{of:?} names no upstream"), "write UPSTREAM/NAME, as in ops/deploy")
        })?;
        let wrong = |why: String| Said::failed(format!("the arguments are not JSON: {why}"), "");
        let action = desk.authority.active().what_for(kind, parts.0, parts.1).ok_or_else(|| {
            Said::failed(format!("there is no {} {of}", kind.name()), "see `stepup upstream list`")
        })?;
        let arguments = match kind {
            Kind::Resource => Json::Object(authority::reads(parts.1)),
            Kind::Tool | Kind::Prompt | Kind::Route | Kind::Operation | Kind::Installation => {
                terms::json::parse(self.arguments.as_bytes()).map_err(|why| wrong(why.to_string()))?
            }
        };
        Ok(Supposed {
            caller: caller.row.id,
            action,
            kind,
            upstream: parts.0.to_owned(),
            name: parts.1.to_owned(),
            arguments,
            purpose: self.purpose.clone(),
            ticket: self.ticket.clone(),
            source: self.source.to_string(),
        })
    }
}

/// What would be reached for, where exactly one is named of a tool, a prompt, a resource and a route.
pub(super) fn reached(named: [&Option<String>; 4]) -> Option<(Kind, &str)> {
    let kinds = [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::Route];
    let mut named = kinds.into_iter().zip(named).filter_map(|(kind, of)| Some((kind, of.as_deref()?)));
    named.next().filter(|_| named.next().is_none())
}

/// What would be in force by the policy folder and the configuration.
pub(super) fn folder(desk: &Desk) -> Result<Active, Said> {
    let bundle = desk.config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
    let active = desk.authority.active();
    let set = active.compile(&bundle).map_err(|findings| refused(&findings, &bundle))?;
    Ok(active.under(bundle, set, desk.authority.now()))
}

fn says(caller: &str, explained: &Explained) -> String {
    let mut lines = vec![format!("{caller}: {}", explained.headline), String::new()];
    lines.extend(comes_to(explained));
    lines.extend(rules("Because of", &explained.rules));
    lines.join("\n")
}

/// What it comes to, and the shortest way to yes.
fn comes_to(explained: &Explained) -> Vec<String> {
    let would = &explained.would;
    let mut lines = explained.held();
    lines.push(would.says());
    lines.extend(explained.has());
    if let Would::StepUp(takes) = would {
        lines.extend(takes.told().map(|(says, met, could)| {
            let sign = if met { "✓" } else { "○" };
            let could = could.filter(|_| !met);
            let could =
                could.map(|who| if who.is_empty() { Takes::NOBODY.to_owned() } else { who.join(", ") });
            format!("  {sign} {says}{}", could.map(|who| format!("  ({who})")).unwrap_or_default())
        }));
    }
    lines.extend(would.way().map(str::to_owned));
    if let Would::StepUp(takes) = would {
        lines.push(if explained.change { yields_change(takes) } else { yields(takes) });
    }
    lines
}

/// What an approval is good for.
fn yields(takes: &Takes) -> String {
    let terms = &takes.requirement.terms;
    let of = match &terms.binds {
        Binds::Everything => "exactly these arguments".to_owned(),
        Binds::Pointers(bound) => {
            let bound: Vec<String> = bound.iter().map(ToString::to_string).collect();
            format!("these values of {} and any others", bound.join(", "))
        }
    };
    let uses = count(terms.uses.get(), "call");
    format!("That yields {uses} within {}, of {of}.", terms.valid_for)
}

/// The same of a change of the installation.
fn yields_change(takes: &Takes) -> String {
    format!("That yields this very change, once, within {}.", takes.requirement.terms.valid_for)
}

fn rules(head: &str, rules: &[ShownRule]) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in rules {
        let text: Vec<String> = rule.text.lines().map(|line| format!("    {line}")).collect();
        lines.push(format!("\n{head} {} at {}\n{}", rule.id, rule.place, text.join("\n")));
    }
    lines
}

fn rules_json(rules: &[ShownRule]) -> Vec<Value> {
    rules.iter().map(|rule| json!({ "id": rule.id, "at": rule.place, "text": rule.text })).collect()
}

fn as_json(caller: &str, explained: &Explained) -> Value {
    let (ruling, more) = match &explained.would {
        Would::Permit => ("permit", json!({})),
        Would::Deny(why) => ("deny", json!({ "slug": why.slug().to_string() })),
        Would::StepUp(takes) => {
            let line = |(leaf, who): &(elevation::Leaf, Vec<String>)| json!({ "says": leaf.says(), "met": leaf.met(), "who": who });
            let lines: Vec<Value> = takes.lines.iter().map(line).collect();
            (
                "step_up",
                json!({ "requirement": takes.requirement.label(), "lines": lines, "attainable": takes.attainable }),
            )
        }
    };
    json!({ "caller": caller, "headline": explained.headline, "ruling": ruling, "why": more,
        "rules": rules_json(&explained.rules), "definition": explained.stopped.unwrap_or("accepted"),
        "arguments_invalid": explained.misfit, "seen": explained.seen,
        "now": explained.now.as_ref().map(Preflight::name) })
}

async fn told(desk: &Desk, typed: &str) -> Spoken {
    let unknown =
        || Said::failed(format!("there is no record {typed:?}"), "a refusal names its record: rec_…");
    let id: RecordId = typed.parse().map_err(|_| unknown())?;
    let told = desk.authority.told(id).await?.ok_or_else(unknown)?;
    let name = told.body.get("caller").and_then(|who| who.get("name")).and_then(Json::as_str).unwrap_or("-");
    let member = |name: &str| told.body.get(name).and_then(Json::as_str);
    let mut lines = vec![format!("{} {} at {}, asked by {name}", told.id, told.kind, when(told.at))];
    let slug = member("slug");
    lines.extend(slug.map(|slug| format!("It was told as {slug}; `docs/errors.md` says what that is.")));
    // What a person wrote.
    lines.extend(member("reason").map(|why| format!("The reason that was given: {}", quoted(why))));
    if let Some(policy) = told.policy {
        lines.push(format!("Under the policy {policy}."));
    }
    match told.rules.as_slice() {
        [] => lines.push("No rule of it determined that.".to_owned()),
        all => lines.extend(rules("Because of", all)),
    }
    if let Some(today) = &told.today {
        lines.push("\nThe rules in force say of the same today:".to_owned());
        lines.extend(comes_to(today));
    }
    let body: Value = serde_json::from_str(&told.body.text()).unwrap_or_default();
    let json = json!({ "record": told.id.to_string(), "kind": told.kind, "at": when(told.at),
        "policy": told.policy.map(|policy| policy.to_string()), "rules": rules_json(&told.rules), "body": body,
        "today": told.today.as_ref().map(|today| as_json(name, today)) });
    Ok(Said::done(lines.join("\n"), json))
}
