//! The form of a file of scenarios, and what it comes to: a stage, and scenes on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use authority::{
    Actor, Bundle, Cast, NotSupposed, Scene, Stage, Supposed, ToolSettings, UpstreamSettings, Would,
};
use policy::{DenyReason, History, May, RuleId};
use serde::Deserialize;
use serde_json::json;
use terms::{Action, CallerId, CallerKind, Json, Kind, Part, Time};

use crate::cli::explain::reached;
use crate::cli::say::Said;
use crate::config::Route;

/// The longest file, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// What the reader of YAML says, without what it says to whoever calls it.
fn plain(said: &str) -> String {
    let to_callers = [
        ", set DuplicateKeyPolicy in Options if acceptable",
        "; use from_str_multiple or from_str_multiple_with_options",
    ];
    to_callers.iter().fold(said.to_owned(), |said, words| said.replace(words, ""))
}

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
    /// Routes of HTTP APIs, by `upstream/name`, as the configuration would have them.
    #[serde(default)]
    routes: BTreeMap<String, Route>,
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
    send: Option<String>,
    #[serde(default)]
    arguments: Option<serde_json::Value>,
    /// Who approved or confirmed.
    #[serde(default)]
    approved_by: Vec<String>,
    /// Who prepared what is asked for (`touches`), and so does not approve it.
    #[serde(default)]
    prepared_by: Vec<String>,
    /// `permit`, `deny`, `deny: REASON`, or the name of a requirement.
    expect: Option<String>,
    /// Whether the caller is shown that it is there.
    discover: Option<Shown>,
    /// The rules that determine what is expected, exactly; that it is shown, where nothing else is.
    because: Option<BTreeSet<String>>,
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

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Shown {
    Shown,
    Hidden,
}

impl Shown {
    const fn word(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Hidden => "hidden",
        }
    }
}

/// What the rules say.
struct Came {
    /// In a word, as scenarios expect it.
    word: String,
    /// The rules that determine it.
    by: Vec<RuleId>,
    /// The `permit`s that let it through beside a `@stepup` that is met.
    permits: Vec<RuleId>,
}

impl Came {
    fn of(word: &str, by: Vec<RuleId>) -> Self {
        Self { word: word.to_owned(), by, permits: Vec::new() }
    }
}

/// What a scenario came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is not as it expects.
    pub(super) wrong: Vec<String>,
    /// The rules that determined it.
    pub(super) rules: BTreeSet<String>,
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
        // With a snippet the place and the message would be told twice.
        let plainly = serde_saphyr::options! { with_snippet: false };
        let file: Self =
            serde_saphyr::from_str_with_options(&text, plainly).map_err(|e| wrong(plain(&e.to_string())))?;
        if file.scenarios.is_empty() {
            return Err(wrong("it has no scenario".to_owned()));
        }
        Ok(file)
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
        for (of, route) in &self.routes {
            let (upstream, name) =
                of.split_once('/').ok_or_else(|| wrong(format!("{of:?} is not UPSTREAM/NAME")))?;
            let declared = route.declared(Path::new("")).map_err(|why| wrong(format!("{of}: {why}")))?;
            let said = bundle.upstreams.entry(upstream.to_owned()).or_default();
            said.routes.entry(name.to_owned()).or_insert(declared);
        }
        let actor = |caller: &CallerFile| Actor {
            kind: match caller.kind {
                KindFile::Agent => CallerKind::Agent,
                KindFile::Service => CallerKind::Service,
            },
            owner: caller.owner.clone(),
            groups: caller.groups.clone(),
        };
        let callers = self.callers.iter().map(|(name, caller)| (name.clone(), actor(caller))).collect();
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
            Kind::Prompt | Kind::Resource | Kind::Route | Kind::Operation | Kind::Installation => {
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
        let nobody =
            |names: &[String]| names.iter().find(|name| stage.active().human_named(name).is_none()).cloned();
        for (member, names) in [("approved_by", &self.approved_by), ("prepared_by", &self.prepared_by)] {
            if let Some(nobody) = nobody(names) {
                return Err(format!("{member}: there is no person {nobody:?}"));
            }
        }
        if self.source.parse::<std::net::IpAddr>().is_err() {
            return Err(format!("source: {:?} is no address", self.source));
        }
        if self.expect.is_none() && self.discover.is_none() {
            return Err("expects nothing: say expect, discover or both".to_owned());
        }
        let mut expected = self.expect.iter().flat_map(|expected| expected.split(" + "));
        let known = |name: &str| ["permit", "deny", INVALID].contains(&name) || requirements.contains(name);
        let unknown = expected.find(|name| !known(name) && !DENIED.contains(name));
        unknown.map_or(Ok(()), |name| Err(format!("expect: there is no requirement {name:?}")))
    }

    /// What it came to, held against what it expects.
    pub(super) fn outcome(&self, stage: &Stage) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        if let Some(expected) = &self.expect {
            let Came { word, by, permits } = self.play(stage)?;
            let as_expected = word == *expected || (expected == "deny" && word.starts_with("deny:"));
            outcome.take(as_expected, expected, &word, &by, self.because.as_ref());
            outcome.rules.extend(permits.iter().map(ToString::to_string));
        }
        if let Some(expected) = self.discover {
            let (came, by) = self.shown(stage)?;
            let because = self.because.as_ref().filter(|_| self.expect.is_none());
            outcome.take(came == expected, expected.word(), came.word(), &by, because);
        }
        Ok(outcome)
    }

    /// Whether its caller is shown that what it is about is there, and the rules that determine that.
    fn shown(&self, stage: &Stage) -> Result<(Shown, Vec<RuleId>), String> {
        if self.person.is_some() || self.administer.part()?.is_some() {
            return Err("discover is of callers: people see what they are asked about".to_owned());
        }
        Ok(match stage.discovers(&self.scene(self.asks(stage)?)?).map_err(|e| e.to_string())? {
            May::Yes { by } => (Shown::Shown, by),
            May::No { by } => (Shown::Hidden, by),
        })
    }

    /// What is ruled.
    fn play(&self, stage: &Stage) -> Result<Came, String> {
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
        match (stage.misfit(&scene), self.expect.as_deref() == Some(INVALID)) {
            (Some(_), true) => return Ok(Came::of(INVALID, Vec::new())),
            (Some(what), false) => {
                return Err(format!(
                    "its arguments are none that its definition takes, so its caller is told arguments_invalid and nothing is \
                     decided ({what}); if that is meant, expect: {INVALID}"
                ));
            }
            (None, _) => {}
        }
        let approver = self.person.as_ref().filter(|_| scene.supposed.kind != Kind::Installation);
        let Some(person) = approver else {
            let (would, by) = stage.play(&scene).map_err(told)?;
            let permits = match &would {
                Would::StepUp(takes) if takes.met => takes.permits.clone(),
                Would::StepUp(_) | Would::Permit | Would::Deny(_) => Vec::new(),
            };
            return Ok(Came { word: came_to(&would), by, permits });
        };
        if stage.is_behind(person, &scene) {
            return Ok(Came::of("deny: behind the caller", Vec::new()));
        }
        let may = stage.approves(person, &scene).map_err(told)?;
        let (came, by) = match may {
            May::Yes { by } => ("permit", by),
            May::No { by } if by.is_empty() => ("deny: not permitted", by),
            May::No { by } => ("deny: forbidden", by),
        };
        Ok(Came::of(came, by))
    }

    /// What its caller asks for.
    fn asks(&self, stage: &Stage) -> Result<Supposed, String> {
        let name = self.caller.as_deref().ok_or("names no caller")?;
        let caller = stage.caller(name).ok_or_else(|| format!("there is no caller {name:?}"))?;
        self.supposed(stage, caller)
    }

    fn scene(&self, supposed: Supposed) -> Result<Scene, String> {
        Ok(Scene {
            supposed,
            votes: self.approved_by.clone(),
            prepared_by: self.prepared_by.clone(),
            at: self.at()?,
            history: History { first_time: self.first_time, calls_1h: self.calls_1h },
        })
    }

    fn at(&self) -> Result<Time, String> {
        let at: jiff::Timestamp = self.at.parse().map_err(|e| format!("at: {e}"))?;
        Ok(Time::from_millis(at.as_millisecond()))
    }

    fn supposed(&self, stage: &Stage, caller: CallerId) -> Result<Supposed, String> {
        let reached = reached([&self.call, &self.prompt, &self.read, &self.send]);
        let (kind, of) = reached.ok_or("says not one of call, prompt, read and send")?;
        let (upstream, name) = of.split_once('/').ok_or_else(|| format!("{of:?} is not UPSTREAM/NAME"))?;
        let action = stage.active().what_for(kind, upstream, name);
        let action = action.ok_or_else(|| format!("there is no {} {of:?}", kind.name()))?;
        let arguments = match (&self.arguments, kind) {
            (None, Kind::Resource) => Json::Object(authority::reads(name)),
            (None, Kind::Tool | Kind::Prompt | Kind::Route | Kind::Operation | Kind::Installation) => {
                Json::object::<&str, Json>([])
            }
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
}

impl Outcome {
    fn take(
        &mut self,
        right: bool,
        expected: &str,
        came: &str,
        by: &[RuleId],
        because: Option<&BTreeSet<String>>,
    ) {
        let by: BTreeSet<String> = by.iter().map(ToString::to_string).collect();
        let named = by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let named = if named.is_empty() { "no rule" } else { &named };
        match (right, because.is_none_or(|because| *because == by)) {
            (true, true) => {}
            (false, _) => {
                self.wrong.push(format!("expected {expected}, and it is {came}, because of {named}"))
            }
            (true, false) => self.wrong.push(format!("it is {came}, and because of {named}")),
        }
        self.rules.extend(by);
    }
}

/// What is expected of arguments that a definition does not take.
const INVALID: &str = "invalid";

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
