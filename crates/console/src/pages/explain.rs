//! Why: what the rules in force say of a call that a person supposes, and why a request was stopped or a decision made. Reading
//! decides, opens and records nothing; the words are those of `stepup policy explain`.

use authority::{Active, Explained, ShownRule, Supposed, Takes, Target, Would};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use elevation::State as Stands;
use terms::{Action, Json, Kind, RecordId};

use super::{frame, log};
use crate::answer::{NoPage, page};
use crate::foreign::Foreign;
use crate::named::Named;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{
    Answer, Card, Choice, ExplainPage, Explanation, Missing, Place, RuleText, Tone, WhyPage, bounds,
};

/// The address that a supposed call comes from.
const SOURCE: &str = "127.0.0.1";

/// What is supposed, as it stands in the address.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Tried {
    caller: Option<String>,
    of: Option<String>,
    uri: Option<String>,
    arguments: Option<String>,
}

pub(crate) async fn explain(
    State(console): State<Shared>,
    person: Person,
    tried: Result<Query<Tried>, QueryRejection>,
) -> Result<Response, NoPage> {
    let Query(tried) = tried.map_err(|_| NoPage::Nothing)?;
    let active = console.authority.active();
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (caller, of, uri) = (given(tried.caller), given(tried.of), given(tried.uri));
    let callers = callers(&active, &person, caller.as_deref());
    let things = things(&active, of.as_deref());
    let missing = |all: &[Choice], named: bool| named && !all.iter().any(|one| one.chosen);
    // What is for others, and what never was, are told alike.
    if missing(&callers, caller.is_some()) || missing(&things, of.is_some()) {
        return Err(NoPage::Nothing);
    }
    let arguments = given(tried.arguments).unwrap_or_else(|| "{}".to_owned());
    let (mut problem, mut answer) = (None, None);
    if let Some(caller) = &caller
        && (of.is_some() || uri.is_some())
    {
        match supposed(&active, caller, (of.as_deref(), uri.as_deref()), &arguments) {
            Err(why) => problem = Some(why),
            Ok(supposed) => match console.authority.suppose(&supposed, None).await? {
                Err(why) => problem = Some(why.to_string()),
                Ok(explained) => {
                    let row = active.callers().find(|row| row.id == supposed.caller);
                    let caller = Foreign::line(row.map_or_else(String::new, |row| row.name.clone()));
                    answer = Some(Answer { caller, explained: explanation(&explained) });
                }
            },
        }
    }
    Ok(page(&ExplainPage {
        frame: frame(&console, &person, Place::Policies).await?,
        callers,
        things,
        uri: uri.unwrap_or_default(),
        arguments,
        problem: problem.map(Foreign::line),
        answer,
    }))
}

/// The callers that a person may ask about, by name.
fn callers(active: &Active, person: &Person, chosen: Option<&str>) -> Vec<Choice> {
    let known = active.callers().filter(|row| person.may_ask_about(active, row.id));
    let choice = |id: String, name: &str| {
        let chosen = chosen == Some(id.as_str());
        Choice { id, name: Foreign::line(name).plain(), chosen }
    };
    let mut all: Vec<Choice> = known.map(|row| choice(row.id.to_string(), &row.name)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Tools and prompts, by name.
fn things(active: &Active, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |target: &Target| {
        let id = target.pin.id.to_string();
        let kind = match target.kind {
            Kind::Prompt => " (prompt)",
            Kind::Route => " (route)",
            Kind::Operation => " (operation)",
            Kind::Tool | Kind::Resource | Kind::Installation => "",
        };
        let chosen = chosen == Some(id.as_str());
        Choice { id, name: Foreign::line(format!("{}{kind}", target.id())).plain(), chosen }
    };
    let mut all: Vec<Choice> = active.targets().map(|target| choice(target)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What is supposed, or why it says nothing that could be.
fn supposed(
    active: &Active,
    caller: &str,
    (of, uri): (Option<&str>, Option<&str>),
    arguments: &str,
) -> Result<Supposed, String> {
    let caller = caller.parse().map_err(|_| "that is no caller".to_owned())?;
    let pinned = of.and_then(|of| active.targets().find(|target| target.pin.id.to_string() == of));
    let (action, kind, upstream, name, arguments) = match (pinned, uri) {
        (Some(target), None) => {
            let action = active.what_for(target.kind, &target.upstream, &target.name);
            let action = action.ok_or_else(|| "that is not there any more".to_owned())?;
            let read = terms::json::parse(arguments.as_bytes());
            let arguments = read.map_err(|why| format!("the arguments are not JSON: {why}"))?;
            (action, target.kind, target.upstream.clone(), target.name.clone(), arguments)
        }
        (None, Some(uri)) => {
            let (upstream, uri) =
                uri.split_once('/').ok_or_else(|| "a resource is written UPSTREAM/URI".to_owned())?;
            let arguments = Json::Object(authority::reads(uri));
            (Action::Read, Kind::Resource, upstream.to_owned(), uri.to_owned(), arguments)
        }
        _ => return Err("choose a tool, prompt or route, or write a resource, but not both".to_owned()),
    };
    let (purpose, ticket, source) = (None, None, SOURCE.to_owned());
    Ok(Supposed { caller, action, kind, upstream, name, arguments, purpose, ticket, source })
}

/// What rules say, as it is drawn.
fn explanation(explained: &Explained) -> Explanation {
    let would = &explained.would;
    let (tone, takes) = match would {
        Would::Permit => (Tone::Good, None),
        Would::Deny(_) => (Tone::Bad, None),
        Would::StepUp(takes) if takes.attainable => (Tone::Open, Some(takes)),
        Would::StepUp(takes) => (Tone::Bad, Some(takes)),
    };
    let lines = takes.into_iter().flat_map(|takes| takes.told());
    let lines = lines.map(|(says, met, could)| Missing {
        says: Foreign::line(says),
        met,
        could: could.filter(|who| !who.is_empty()).map(|who| Foreign::line(who.join(", "))),
        nobody: could.is_some_and(<[String]>::is_empty).then_some(Takes::NOBODY),
    });
    Explanation {
        title: Foreign::line(&explained.headline),
        tone,
        held: explained.held(),
        says: Foreign::line(would.says()),
        has: explained.has(),
        lines: lines.collect(),
        way: would.way(),
        bounds: takes.map(|takes| bounds(&takes.requirement.terms)),
        rules: texts(&explained.rules),
        change: explained.change,
    }
}

fn texts(rules: &[ShownRule]) -> Vec<RuleText> {
    let text = |rule: &ShownRule| RuleText {
        id: Foreign::line(&rule.id),
        place: Foreign::line(&rule.place),
        text: Foreign::lines(&rule.text),
    };
    rules.iter().map(text).collect()
}

pub(crate) async fn request(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<terms::ElevationId>,
) -> Result<Response, NoPage> {
    let authority = &console.authority;
    let whole = authority.store().elevation(elevation).await?.ok_or(NoPage::Nothing)?;
    let shown = authority.show(&whole, person.human.id).await?.ok_or(NoPage::Nothing)?;
    let told = authority.why_stopped(&whole.request).await?;
    // Who could give what, of one that is over, is nobody's question any more.
    let waits = whole.state == Stands::Pending && authority.now() < whole.request.expires_at;
    Ok(page(&WhyPage {
        frame: frame(&console, &person, Place::Inbox).await?,
        back: (format!("/r/{elevation}"), "Request"),
        title: Card::of(&shown.card).title,
        slug: None,
        policy: Some(Foreign::exact(whole.request.policy.to_string())),
        rules: told.as_ref().map(|told| texts(&told.rules)).unwrap_or_default(),
        today: told.as_ref().filter(|_| waits).and_then(|told| told.today.as_ref()).map(explanation),
    }))
}

pub(crate) async fn record(
    State(console): State<Shared>,
    person: Person,
    Named(record): Named<RecordId>,
) -> Result<Response, NoPage> {
    let line = log::read(&console, &person, record).await?;
    let told = console.authority.told(record).await?.ok_or(NoPage::Nothing)?;
    Ok(page(&WhyPage {
        frame: frame(&console, &person, Place::Log).await?,
        back: (format!("/log/{record}"), "Record"),
        title: log::row(&console.authority.active(), &line).says,
        slug: told.body.get("slug").and_then(Json::as_str).map(Foreign::line),
        policy: told.policy.map(|policy| Foreign::exact(policy.to_string())),
        rules: texts(&told.rules),
        today: told.today.as_ref().map(explanation),
    }))
}

/// Whether there is a why of a record: it is of an access.
pub(crate) fn has_why(body: Option<&Json>) -> bool {
    body.is_some_and(|body| body.get("access").is_some_and(|access| !access.is_null()))
}

/// Whether a person may ask what a caller would need, for the pages that lead here.
pub(crate) fn offered(console: &Console, person: &Person, caller: terms::CallerId) -> bool {
    person.may_ask_about(&console.authority.active(), caller)
}
