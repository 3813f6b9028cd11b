//! AuthZEN Authorization API 1.0, and its Access Request and Approval Profile (draft): an application or another decision point asks
//! whether a subject may do something, and does it itself. Each `true` is a permit that was released, once; a step-up is a `false` that says
//! how to ask for it. It goes through the same door as everything.

mod question;
mod request;

use std::sync::Arc;

use authority::{Ask, Denial, Needs, Preflight};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, Method, StatusCode};
use terms::json::Object;
use terms::{Json, Kind, Slug};

use crate::answer::{self, Refusal};
use crate::caller::Known;
use crate::elevations::{members, unavailable};
use crate::enforce::{AtOnce, Passed, decide};
use crate::gateway::{Shared, not_allowed};
use crate::run::release;
use crate::told::{self, moment};
use question::Question;

/// Entries of one batch.
const MOST: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `/.well-known/authzen-configuration` (AuthZEN 1.0, "Metadata").
pub(crate) async fn metadata(State(gateway): State<Shared>, request: Request) -> Response {
    if *request.method() != Method::GET {
        return not_allowed("GET");
    }
    let base = &gateway.settings.agents_url;
    let at = |path: &str| Json::from(format!("{base}{path}"));
    let capability = Json::from("urn:openid:authzen:capability:access-request");
    let members = [
        ("policy_decision_point", Json::from(base.as_str())),
        ("access_evaluation_endpoint", at("/access/v1/evaluation")),
        ("access_evaluations_endpoint", at("/access/v1/evaluations")),
        ("access_request_endpoint", at("/access/v1/requests")),
        ("capabilities", Json::from(vec![capability])),
    ];
    answer::json(StatusCode::OK, &Json::object(members).text())
}

/// One request under `/access/v1/`.
pub(crate) async fn serve(gateway: Shared, known: Known, request: Request) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let path = request.uri().path().strip_prefix("/access/v1/").unwrap_or_default().to_owned();
    let post = *request.method() == Method::POST;
    let answered = match (path.as_str(), post) {
        ("evaluation", true) => one(&gateway, &known, request).await,
        ("evaluations", true) => many(&gateway, &known, request).await,
        ("requests", true) => request::submit(&gateway, &known, request).await,
        ("evaluation" | "evaluations" | "requests", false) => return not_allowed("POST"),
        (other, _) => request::of_task(&gateway, &known, other, request.method()).await,
    };
    let mut response = answered.unwrap_or_else(|refusal| refusal.plain());
    // "The PDP includes the same value in the response" (AuthZEN 1.0, "Request Identification").
    response.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
    response
}

async fn one(gateway: &Shared, known: &Known, request: Request) -> Result<Response, Refusal> {
    let members = members(gateway, request).await?;
    Ok(answer::json(StatusCode::OK, &evaluated(gateway, known, &members).await?.text()))
}

/// What a batch does after one of its entries (AuthZEN 1.0, `evaluations_semantic`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Semantic {
    All,
    UntilDeny,
    UntilPermit,
}

impl Semantic {
    fn of(members: &Object) -> Result<Self, Refusal> {
        let named = match members.get("options") {
            None => None,
            Some(Json::Object(options)) => options.get("evaluations_semantic"),
            Some(_) => return Err(question::invalid("options is not an object")),
        };
        match named.map(|named| named.as_str()) {
            None | Some(Some("execute_all")) => Ok(Self::All),
            Some(Some("deny_on_first_deny")) => Ok(Self::UntilDeny),
            Some(Some("permit_on_first_permit")) => Ok(Self::UntilPermit),
            Some(_) => Err(question::invalid("evaluations_semantic is none that is known")),
        }
    }

    const fn ends_at(self, permitted: bool) -> bool {
        match self {
            Self::All => false,
            Self::UntilDeny => !permitted,
            Self::UntilPermit => permitted,
        }
    }
}

/// A batch: what an entry leaves out is as it stands beside them. Without entries it is one evaluation.
async fn many(gateway: &Shared, known: &Known, request: Request) -> Result<Response, Refusal> {
    let members = members(gateway, request).await?;
    let entries = match members.get("evaluations") {
        None => &[][..],
        Some(Json::Array(entries)) => entries.as_slice(),
        Some(_) => return Err(question::invalid("evaluations is not an array")),
    };
    if entries.is_empty() {
        return Ok(answer::json(StatusCode::OK, &evaluated(gateway, known, &members).await?.text()));
    }
    if entries.len() > MOST {
        return Err(Refusal::because(Slug::TooLarge, format!("a batch has at most {MOST} entries")));
    }
    let semantic = Semantic::of(&members)?;
    let mut decisions = Vec::with_capacity(entries.len());
    for entry in entries {
        let decided = match entry.as_object() {
            Some(entry) => {
                let mut whole = members.clone();
                for (name, value) in entry.iter() {
                    whole.insert(name, value.clone());
                }
                evaluated(gateway, known, &whole).await
            }
            None => Err(question::invalid("an entry is not an object")),
        };
        // An entry that is wrong does not take the others with it.
        let decision = decided.unwrap_or_else(|refusal| wrong(&refusal));
        let permitted = decision.get("decision").and_then(Json::as_bool) == Some(true);
        decisions.push(decision);
        if semantic.ends_at(permitted) {
            break;
        }
    }
    Ok(answer::json(StatusCode::OK, &Json::object([("evaluations", Json::Array(decisions))]).text()))
}

fn wrong(refusal: &Refusal) -> Json {
    let error = [
        ("status", Json::from(u32::from(refusal.slug.row().http))),
        ("message", Json::from(refusal.message())),
    ];
    denied_with(refusal.slug, [("error", Json::object(error))])
}

/// One evaluation.
async fn evaluated(gateway: &Shared, known: &Known, members: &Object) -> Result<Json, Refusal> {
    let question = Question::read(members)?;
    let ask = match question::ask(gateway, known, &question).await? {
        Ok(ask) => ask,
        Err(slug) => return Ok(denied_with(slug, [])),
    };
    let preflight = gateway.authority.preflight(&ask).await.map_err(|failed| unavailable(&failed))??;
    Ok(match preflight {
        Preflight::Permitted { .. } => permitted(gateway, &ask).await?,
        Preflight::NeedsApproval(needs) => requestable(gateway, &ask, &needs, question.approval.as_deref()),
        Preflight::Denied(denial) => refused(gateway, &ask, &denial),
        // Arguments are never left out here.
        Preflight::Depends { .. } => denied_with(Slug::PolicyFailed, []),
    })
}

/// What would be permitted is decided on, and released to who asks.
async fn permitted(gateway: &Shared, ask: &Ask) -> Result<Json, Refusal> {
    let passed = decide(gateway, &AtOnce, ask, None).await.map_err(|failed| unavailable(&failed))?;
    Ok(match passed {
        Passed::Run(permit, ()) => match release(gateway, permit).await {
            Ok(attempt) => {
                let context = Json::object([("attempt", attempt)]);
                Json::object([("decision", Json::from(true)), ("context", context)])
            }
            Err(slug) => denied_with(slug, []),
        },
        // It was asked for meanwhile, or another use was the last: the next evaluation says so.
        Passed::Challenged(..) | Passed::Unreachable | Passed::Left => denied_with(Slug::Busy, []),
        Passed::Denied(denial) => refused(gateway, ask, &denial),
    })
}

/// A denial that can be asked for (Access Request and Approval Profile, "Requestable denial").
fn requestable(gateway: &Shared, ask: &Ask, needs: &Needs, approval: Option<&str>) -> Json {
    let now = gateway.authority.now();
    let expires_at = now.after(needs.terms.pending_for);
    let mut request = Object::new();
    request.insert("endpoint", format!("{}/access/v1/requests", gateway.settings.agents_url));
    request.insert("expires_at", moment(expires_at));
    request.insert("display", Json::object([("title", needs.label.as_str())]));
    let mut members = Object::new();
    members.insert("evaluation_id", ask.access.hash());
    members.insert("evaluated_at", moment(now));
    members.insert("access_request", request);
    members.insert("requires", needs.label.as_str());
    members.insert("requirement", told::lines(&needs.lines));
    // Whoever comes with an approval that does not do is told why, and may ask again.
    let reason = match (approval, needs.waits) {
        (Some(_), Some(_)) => "grant_pending",
        (Some(_), None) => "approval_expired",
        (None, _) => "approval_required",
    };
    members.insert("next_action", "request");
    denied_as(reason, Slug::ApprovalRequired, members)
}

/// What may not run. What a subject may not know of is as unknown as what is not there.
fn refused(gateway: &Shared, ask: &Ask, denial: &Denial) -> Json {
    let resource = ask.access.resource();
    let (upstream, name) = resource.parts().unwrap_or_default();
    let kind = Kind::named(&resource.kind).unwrap_or(Kind::Tool);
    if gateway.authority.seen(&ask.caller, kind, upstream, name).is_none() {
        return denied_with(authority::unknown(kind), []);
    }
    denied_as(denial.slug.row().name, denial.slug, told::denied(denial))
}

fn denied_with<const N: usize>(slug: Slug, members: [(&'static str, Json); N]) -> Json {
    denied_as(slug.row().name, slug, members.into_iter().collect())
}

fn denied_as(reason: &str, slug: Slug, mut context: Object) -> Json {
    let row = slug.row();
    context.insert("reason", reason);
    context.insert("reason_user", Json::object([("en", row.happened)]));
    Json::object([("decision", Json::from(false)), ("context", Json::Object(context))])
}

/// The one subject that an access is of, as the gateway knows who asks for itself.
pub(crate) fn of_subject(known: &Known, caller: Arc<terms::Caller>) -> Known {
    Known { caller, ..known.clone() }
}
