//! Preflight, for callers: `POST /v1/preflight`, and the tool `stepup_preflight`. What is asked about is read as the call would be
//! and never made. Who may not know of something is told that there is none, before anything is judged or recorded: what is hidden
//! and what was never there are one answer (T124, rfd 33).

use authority::{Ask, Needs, Preflight, unknown};
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use terms::json::Object;
use terms::{Binds, Json, Kind, Slug, text};

use crate::answer::{self, Refusal};
use crate::caller::Known;
use crate::elevations::{members, unavailable};
use crate::gateway::{Shared, not_allowed};
use crate::mcp::address::{Address, Named};
use crate::mcp::envelope::only;
use crate::{mcp, told};

/// What may be asked about, by the member that names it.
const WHAT: [(&str, Kind); 3] =
    [("tool", Kind::Tool), ("prompt", Kind::Prompt), ("resource", Kind::Resource)];

/// What is asked about, as it was written.
pub(crate) struct Question {
    kind: Kind,
    name: String,
    /// `None` where they were left out.
    arguments: Option<Json>,
}

impl Question {
    /// Reads one of `tool`, `prompt` and `resource`, and the arguments.
    pub(crate) fn of(members: &Object) -> Result<Self, Refusal> {
        let mut named = WHAT.iter().filter_map(|(member, kind)| Some((*kind, members.get(member)?)));
        let (Some((kind, Json::String(name))), None) = (named.next(), named.next()) else {
            let detail = "name one of tool, prompt and resource, as a text";
            return Err(Refusal::because(Slug::ArgumentsInvalid, detail));
        };
        let arguments = members.get("arguments").cloned();
        if kind == Kind::Resource && arguments.is_some() {
            return Err(Refusal::because(Slug::ArgumentsInvalid, "a resource is read without arguments"));
        }
        Ok(Self { kind, name: name.clone(), arguments })
    }
}

pub(crate) async fn serve(gateway: Shared, known: Known, request: Request) -> Response {
    if *request.method() != Method::POST {
        return not_allowed("POST");
    }
    match asked(&gateway, &known, request).await {
        Ok(told) => answer::json(StatusCode::OK, &Json::Object(told).text()),
        Err(refusal) => refusal.plain(),
    }
}

async fn asked(gateway: &Shared, known: &Known, request: Request) -> Result<Object, Refusal> {
    let mut members = members(gateway, request).await?;
    only(&members, &["upstream", "tool", "prompt", "resource", "arguments", "_meta"])?;
    let at = match members.remove("upstream") {
        None => Address::All,
        Some(Json::String(upstream)) => Address::One(upstream),
        Some(_) => return Err(Refusal::because(Slug::ArgumentsInvalid, "upstream is not a text")),
    };
    let meta = match members.remove("_meta") {
        None => Object::new(),
        Some(Json::Object(meta)) => meta,
        Some(_) => return Err(Refusal::because(Slug::ArgumentsInvalid, "_meta is not an object")),
    };
    foreseen(gateway, known, &at, Question::of(&members)?, meta).await
}

/// What it would come to, as its caller is told.
pub(crate) async fn foreseen(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    question: Question,
    meta: Object,
) -> Result<Object, Refusal> {
    let (authority, kind) = (&gateway.authority, question.kind);
    if !gateway.pace.take(known.caller.id, authority.now()) {
        let detail = format!("{} preflights a minute", gateway.settings.budgets.preflights);
        return Err(Refusal { todo: Some(SLOWER), ..Refusal::because(Slug::OverBudget, detail) });
    }
    let Some(named) = at.named(gateway, kind, &question.name) else {
        return Err(unknown(kind).into());
    };
    let seen = authority.seen(&known.caller, kind, &named.upstream, &named.name);
    if seen.is_none() && !open(gateway, known, kind, &named) {
        return Err(unknown(kind).into());
    }
    let preflight = match (seen, question.arguments) {
        (Some(target), None) if kind != Kind::Resource => {
            authority.preflight_without(&known.caller, &target, &known.source).await
        }
        (_, arguments) => {
            let arguments = arguments.unwrap_or_else(|| Json::Object(Object::new()));
            let asked = mcp::would_ask(gateway, known, at, (kind, question.name), arguments, meta).await;
            let ask: Ask = asked.map_err(of_no_call)?;
            authority.preflight(&ask).await
        }
    };
    Ok(data(&preflight.map_err(|failed| unavailable(&failed))??))
}

/// Whether it is open what is named: nothing was ever read of its upstream, or the URI is none. That is told to whom the rules would
/// let know of something of that name there; for all others there is no such upstream.
fn open(gateway: &Shared, known: &Known, kind: Kind, named: &Named) -> bool {
    let (authority, Named { upstream, name }) = (&gateway.authority, named);
    let active = authority.active();
    let open = match kind {
        Kind::Tool | Kind::Prompt => {
            let read = active.named(upstream, kind).next().is_some();
            !read && gateway.upstreams.unreached().any(|unreached| unreached == upstream)
        }
        Kind::Resource => active.target(kind, upstream, name).is_none(),
        Kind::Route | Kind::Operation | Kind::Installation => false,
    };
    open && authority.could_see(&known.caller, kind, upstream, name)
}

/// What is said to who asks too often.
const SLOWER: &str = "Nothing was decided and nothing ran. Ask again in a few seconds; calls go on.";

/// What is said where an upstream is not there: nothing was to be sent to it.
const LATER: &str = "Nothing was decided and nothing ran. Ask again once it can be reached.";

/// A refusal in words of a question: there is no call that may have run.
fn of_no_call(refusal: Refusal) -> Refusal {
    let todo = (refusal.slug == Slug::UpstreamUnreachable).then_some(LATER);
    Refusal { todo: todo.or(refusal.todo), ..refusal }
}

/// What it would come to, for programs; `says` is the same for models and people.
fn data(preflight: &Preflight) -> Object {
    let mut data = Object::new();
    data.insert("ruling", preflight.name());
    data.insert("says", says(preflight));
    match preflight {
        Preflight::Permitted { granted } => {
            data.insert("granted", *granted);
        }
        Preflight::Depends { may_need } => {
            data.insert("may_need", Json::from(may_need.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Preflight::NeedsApproval(needs) => needed(&mut data, needs),
        Preflight::Denied(denial) => {
            data.insert("slug", denial.slug.row().name);
            if let Some(why) = &denial.why {
                data.insert("why", text::visible(why));
            }
            if let Some(attempt) = denial.attempt {
                data.insert("attempt", attempt);
            }
        }
    }
    data
}

fn needed(data: &mut Object, needs: &Needs) {
    let Needs { label, lines, terms, waits, ran: _ } = needs;
    data.insert("requires", label.as_str());
    data.insert("requirement", told::lines(lines));
    let terms = [
        ("pending_for_ms", Json::from(terms.pending_for)),
        ("valid_for_ms", Json::from(terms.valid_for)),
        ("uses", Json::from(terms.uses.get())),
        ("binds", terms.binds.to_json()),
    ];
    data.insert("terms", Json::object(terms));
    if let Some(elevation) = waits {
        data.insert("elevation", *elevation);
    }
}

fn says(preflight: &Preflight) -> String {
    match preflight {
        Preflight::Permitted { granted: false } => "It would run: nobody has to approve it.".to_owned(),
        Preflight::Permitted { granted: true } => {
            "A grant of yours fits: it would run, and use the grant once.".to_owned()
        }
        Preflight::Depends { may_need } => {
            let needs = if may_need.is_empty() {
                "it may run as it is, or be denied".to_owned()
            } else {
                format!("it may run as it is, be denied, or need {}", may_need.join(", "))
            };
            format!("It depends on the arguments, which were left out: {needs}. Ask again with them.")
        }
        Preflight::NeedsApproval(needs) => approval(needs),
        Preflight::Denied(denial) => {
            let row = denial.slug.row();
            let why = denial
                .why
                .as_ref()
                .map(|why| format!(" A person gave this reason: \"{}\"", text::visible(why)));
            let attempt = denial.attempt.map(|attempt| format!(" Attempt: {attempt}"));
            let more = [why, attempt].into_iter().flatten().collect::<String>();
            format!("It would be denied, in these words: {} {}{more}", row.happened, row.todo)
        }
    }
}

fn approval(needs: &Needs) -> String {
    let Needs { label, lines, terms, waits, ran } = needs;
    let ran = ran.as_ref().map(told::ran).unwrap_or_default();
    let takes = told::takes(label, lines);
    let next = match waits {
        Some(elevation) => format!("A request of yours for this very call waits already: {elevation}."),
        None => format!("Making the call opens a request, which waits {} for a person.", terms.pending_for),
    };
    let often = if terms.uses.get() == 1 { "once".to_owned() } else { format!("{} times", terms.uses) };
    let bound = match &terms.binds {
        Binds::Everything => "with exactly these arguments".to_owned(),
        Binds::Pointers(bound) if bound.is_empty() => "with any arguments".to_owned(),
        Binds::Pointers(bound) => {
            let bound: Vec<String> = bound.iter().map(ToString::to_string).collect();
            format!("with these values of {} and any others", bound.join(", "))
        }
    };
    format!(
        "It would not run yet: it needs approval first.\n{ran}\n{takes}\n{next} An approval lets it run {often} within {}, \
         {bound}.",
        terms.valid_for
    )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use authority::{Denial, Line};
    use terms::{ElevationId, Millis, Terms, Time};

    use super::*;

    fn terms(uses: u32, binds: Binds) -> Terms {
        let uses = NonZeroU32::new(uses).unwrap();
        Terms { pending_for: Millis::seconds(900), valid_for: Millis::seconds(300), uses, binds }
    }

    #[test]
    fn what_a_model_reads_is_this() {
        let line = Line { says: "approval by a person".to_owned(), have: 0, need: 1 };
        let needs = Needs {
            label: "release-approval".to_owned(),
            lines: vec![line.clone()],
            terms: terms(1, Binds::Everything),
            waits: None,
            ran: None,
        };
        let bound = Binds::Pointers(["/environment".parse().unwrap()].into());
        let waiting = Needs {
            lines: vec![line, Line { says: "a purpose: say why".to_owned(), have: 1, need: 1 }],
            terms: terms(3, bound),
            waits: ElevationId::from_slice(&[7; 16]),
            ran: Some((Time::from_millis(1_800_000_000_000), "done".to_owned())),
            ..needs.clone()
        };
        let rejected = Denial { why: Some("use 2.4.2\u{202e}".to_owned()), ..Denial::of(Slug::Rejected) };
        let all = [
            ("permitted", Preflight::Permitted { granted: false }),
            ("permitted by a grant", Preflight::Permitted { granted: true }),
            ("needs approval", Preflight::NeedsApproval(Box::new(needs))),
            ("needs approval, and waits", Preflight::NeedsApproval(Box::new(waiting))),
            ("depends", Preflight::Depends { may_need: vec!["release-approval".to_owned()] }),
            ("depends, without a step-up", Preflight::Depends { may_need: Vec::new() }),
            ("denied", Preflight::Denied(Denial::of(Slug::PolicyDenied))),
            ("rejected a while ago", Preflight::Denied(rejected)),
        ];
        let told = all.iter().map(|(name, preflight)| {
            let data = data(preflight);
            let says = data.get("says").and_then(Json::as_str).unwrap().to_owned();
            format!("===== {name} =====\n{says}\n{}\n\n", Json::Object(data).text())
        });
        mcp::golden("preflight.txt", &told.collect::<String>());
    }
}
