//! The form of a file of scenarios, and what it comes to: a stage, and scenes on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use authority::{
    Actor, Bundle, Cast, NotSupposed, Scene, ShownRule, Stage, Supposed, ToolSettings, UpstreamSettings,
    Would,
};
use policy::{DenyReason, History, May};
use serde::Deserialize;
use serde_json::json;
use terms::{Action, CallerId, CallerKind, Json, Kind, Part, Time};

use crate::cli::explain::reached;
use crate::cli::say::Said;

/// The longest file, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// One file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// People and their groups.
    #[serde(default)]
    people: BTreeMap<String, Vec<String>>,
    callers: BTreeMap<String, CallerFile>,
    /// What is pinned, by `upstream/name`.
    #[serde(default)]
    tools: BTreeMap<String, TargetFile>,
    #[serde(default)]
    prompts: BTreeMap<String, TargetFile>,
    pub(super) scenarios: Vec<Scenario>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct CallerFile {
    #[serde(default)]
    kind: KindFile,
    owner: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize, Debug, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum KindFile {
    #[default]
    Agent,
    Service,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct TargetFile {
    /// The JSON Schema of a tool's arguments; for a prompt, their names.
    #[serde(default)]
    input: serde_json::Value,
    /// Where its upstream stands. The configuration's own where it is left out.
    environment: Option<String>,
    /// What a person found that it does.
    reviewed: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// Who asks; for whom somebody approves.
    caller: Option<String>,
    /// Who approves, or changes the rules.
    person: Option<String>,
    /// Which part of the installation the person changes: `policy` where it is just `true`.
    #[serde(default)]
    administer: Administer,
    call: Option<String>,
    prompt: Option<String>,
    read: Option<String>,
    #[serde(default)]
    arguments: Option<serde_json::Value>,
    purpose: Option<String>,
    ticket: Option<String>,
    #[serde(default = "here")]
    source: String,
    /// RFC 3339.
    #[serde(default = "noon")]
    at: String,
    #[serde(default)]
    first_time: bool,
    #[serde(default)]
    calls_1h: u32,
    /// Who approved or confirmed.
    #[serde(default)]
    approved_by: Vec<String>,
    /// `permit`, `deny`, `deny: REASON`, or the name of a requirement.
    expect: String,
    /// The rules that determine it, exactly.
    because: Option<BTreeSet<String>>,
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum Administer {
    Whether(bool),
    Part(String),
}

impl Default for Administer {
    fn default() -> Self {
        Self::Whether(false)
    }
}

impl Administer {
    fn part(&self) -> Result<Option<Part>, String> {
        match self {
            Self::Whether(false) => Ok(None),
            Self::Whether(true) => Ok(Some(Part::Policy)),
            Self::Part(name) => {
                let names = Part::TABLE.map(|(_, name)| name).join(", ");
                let part =
                    Part::named(name).ok_or_else(|| format!("administer: {name:?} is none of {names}"));
                part.map(Some)
            }
        }
    }
}

fn here() -> String {
    "127.0.0.1".to_owned()
}

fn noon() -> String {
    "2026-01-07T12:00:00Z".to_owned()
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Said> {
        let wrong = |why: String| {
            Said::failed(format!("{}: {why}", path.display()), "docs/policy-testing.md shows the form")
        };
        let meta = std::fs::metadata(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        if !meta.is_file() || meta.len() > LONGEST {
            return Err(wrong("is no file, or over 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        serde_saphyr::from_str(&text).map_err(|e| wrong(e.to_string()))
    }

    /// The rules on a stage with this file's people, callers and definitions.
    pub(super) fn stage(&self, bundle: &Bundle, path: &Path) -> Result<(Bundle, Stage), Said> {
        let wrong = |why: String| Said::failed(format!("{}: {why}", path.display()), "");
        let mut bundle = bundle.clone();
        let mut definitions = Vec::new();
        let all =
            self.tools.iter().map(|t| (Kind::Tool, t)).chain(self.prompts.iter().map(|p| (Kind::Prompt, p)));
        for (kind, (of, target)) in all {
            let (upstream, name) =
                of.split_once('/').ok_or_else(|| wrong(format!("{of:?} is not UPSTREAM/NAME")))?;
            let said = bundle.upstreams.entry(upstream.to_owned()).or_default();
            target.say(said, name);
            definitions.push((upstream.to_owned(), kind, target.definition(kind, name).map_err(wrong)?));
        }
        let part = |caller: &CallerFile| Actor {
            kind: match caller.kind {
                KindFile::Agent => CallerKind::Agent,
                KindFile::Service => CallerKind::Service,
            },
            owner: caller.owner.clone(),
            groups: caller.groups.clone(),
        };
        let callers = self.callers.iter().map(|(name, caller)| (name.clone(), part(caller))).collect();
        let cast = Cast { people: self.people.clone(), callers, definitions };
        let stage = Stage::new(&bundle, &cast)
            .map_err(|owner| wrong(format!("the owner {owner:?} is not among its people")))?;
        Ok((bundle, stage))
    }
}

impl TargetFile {
    fn say(&self, said: &mut UpstreamSettings, name: &str) {
        if let Some(environment) = &self.environment {
            said.environment.clone_from(environment);
        }
        if let Some(reviewed) = &self.reviewed {
            let tool: &mut ToolSettings = said.tools.entry(name.to_owned()).or_default();
            tool.reviewed = Some(reviewed.clone());
        }
    }

    fn definition(&self, kind: Kind, name: &str) -> Result<Json, String> {
        let stated = match kind {
            Kind::Tool if self.input.is_null() => {
                json!({ "name": name, "inputSchema": { "type": "object" } })
            }
            Kind::Tool => json!({ "name": name, "inputSchema": self.input }),
            Kind::Prompt | Kind::Resource | Kind::Installation => {
                let names = self.input.as_array().cloned().unwrap_or_default();
                let arguments: Vec<_> = names.into_iter().map(|name| json!({ "name": name })).collect();
                json!({ "name": name, "arguments": arguments })
            }
        };
        terms::json::parse(stated.to_string().as_bytes())
            .map_err(|e| format!("the definition of {name}: {e}"))
    }
}

impl Scenario {
    /// Whether every name in it is one: a misspelt approver approves nothing, and a refusal would look right.
    pub(super) fn understood(&self, stage: &Stage, requirements: &BTreeSet<String>) -> Result<(), String> {
        if let Some(nobody) = self.approved_by.iter().find(|name| stage.active().human_named(name).is_none())
        {
            return Err(format!("approved_by: there is no person {nobody:?}"));
        }
        if self.source.parse::<std::net::IpAddr>().is_err() {
            return Err(format!("source: {:?} is no address", self.source));
        }
        let known = |name: &str| name == "permit" || name == "deny" || requirements.contains(name);
        let unknown = self.expect.split(" + ").find(|name| !known(name) && !DENIED.contains(name));
        unknown.map_or(Ok(()), |name| Err(format!("expect: there is no requirement {name:?}")))
    }

    /// What it came to, in a word as scenarios expect it, and the rules that determined it.
    pub(super) fn play(&self, stage: &Stage) -> Result<(String, Vec<ShownRule>), String> {
        let told = |e: NotSupposed| e.to_string();
        let scene = match (&self.person, self.administer.part()?) {
            (Some(person), Some(part)) => {
                let operator =
                    stage.operator(person).ok_or_else(|| format!("there is no person {person:?}"))?;
                self.scene(self.changes(operator, part)?)?
            }
            (_, None) => self.scene(self.asks(stage)?)?,
            (None, Some(_)) => return Err("says not which person changes it".to_owned()),
        };
        let approver = self.person.as_ref().filter(|_| scene.supposed.kind != Kind::Installation);
        let Some(person) = approver else {
            let explained = stage.play(&scene).map_err(told)?;
            return Ok((came_to(&explained.would), explained.rules));
        };
        if stage.is_behind(person, &scene) {
            return Ok(("deny: behind the caller".to_owned(), Vec::new()));
        }
        let may = stage.approves(person, &scene).map_err(told)?;
        let (came, by) = match may {
            May::Yes { by } => ("permit", by),
            May::No { by } if by.is_empty() => ("deny: not permitted", by),
            May::No { by } => ("deny: forbidden", by),
        };
        Ok((came.to_owned(), stage.shown(&by)))
    }

    /// What its caller asks for.
    fn asks(&self, stage: &Stage) -> Result<Supposed, String> {
        let name = self.caller.as_deref().ok_or("names no caller")?;
        self.supposed(stage.caller(name).ok_or_else(|| format!("there is no caller {name:?}"))?)
    }

    fn scene(&self, supposed: Supposed) -> Result<Scene, String> {
        Ok(Scene {
            supposed,
            votes: self.approved_by.clone(),
            at: self.at()?,
            history: History { first_time: self.first_time, calls_1h: self.calls_1h },
        })
    }

    fn at(&self) -> Result<Time, String> {
        let at: jiff::Timestamp = self.at.parse().map_err(|e| format!("at: {e}"))?;
        Ok(Time::from_millis(at.as_millisecond()))
    }

    fn supposed(&self, caller: CallerId) -> Result<Supposed, String> {
        let done = reached(self.call.as_deref(), self.prompt.as_deref(), self.read.as_deref());
        let (action, kind, of) = done.ok_or("says not one of call, prompt and read")?;
        let (upstream, name) = of.split_once('/').ok_or_else(|| format!("{of:?} is not UPSTREAM/NAME"))?;
        let arguments = match (&self.arguments, kind) {
            (None, Kind::Resource) => Json::Object(authority::reads(name)),
            (None, Kind::Tool | Kind::Prompt | Kind::Installation) => Json::object::<&str, Json>([]),
            (Some(said), _) => json(said)?,
        };
        Ok(self.of(caller, (action, kind), (upstream, name), arguments))
    }

    /// What a person changes.
    fn changes(&self, operator: CallerId, part: Part) -> Result<Supposed, String> {
        let act = if part == Part::Policy { "activate" } else { "add" };
        let arguments = self.arguments.as_ref().map_or_else(|| Ok(Json::object([("act", act)])), json)?;
        let done = (Action::Administer, Kind::Installation);
        Ok(self.of(operator, done, (Part::OF, part.name()), arguments))
    }

    fn of(
        &self,
        caller: CallerId,
        (action, kind): (Action, Kind),
        (upstream, name): (&str, &str),
        arguments: Json,
    ) -> Supposed {
        Supposed {
            caller,
            action,
            kind,
            upstream: upstream.to_owned(),
            name: name.to_owned(),
            arguments,
            purpose: self.purpose.clone(),
            ticket: self.ticket.clone(),
            source: self.source.clone(),
        }
    }

    /// What is not as this scenario expects.
    pub(super) fn wrong(&self, came: &str, rules: &[ShownRule]) -> Option<String> {
        let expected = came == self.expect || (self.expect == "deny" && came.starts_with("deny:"));
        let by: BTreeSet<String> = rules.iter().map(|rule| rule.id.clone()).collect();
        let because = self.because.as_ref().is_none_or(|because| *because == by);
        let by: Vec<String> = by.into_iter().collect();
        let by = if by.is_empty() { "no rule".to_owned() } else { by.join(", ") };
        match (expected, because) {
            (true, true) => None,
            (false, _) => Some(format!("expected {}, and it is {came}, because of {by}", self.expect)),
            (true, false) => Some(format!("it is {came}, and because of {by}")),
        }
    }
}

/// Every way to be denied, as scenarios expect it.
const DENIED: [&str; 6] = [
    "deny: not permitted",
    "deny: forbidden",
    "deny: unjudgeable",
    "deny: failed",
    "deny: unknown",
    "deny: behind the caller",
];

/// In a word, as scenarios expect it.
fn json(said: &serde_json::Value) -> Result<Json, String> {
    terms::json::parse(said.to_string().as_bytes()).map_err(|e| format!("arguments: {e}"))
}

fn came_to(would: &Would) -> String {
    match would {
        Would::Permit => "permit".to_owned(),
        Would::StepUp(takes) if takes.met => "permit".to_owned(),
        Would::StepUp(takes) => takes.requirement.label(),
        Would::Deny(why) => {
            let why = match why {
                DenyReason::NotPermitted => "not permitted",
                DenyReason::Forbidden => "forbidden",
                DenyReason::Unjudgeable(_) => "unjudgeable",
                DenyReason::Failed => "failed",
                DenyReason::ActionUnknown => "unknown",
            };
            format!("deny: {why}")
        }
    }
}
