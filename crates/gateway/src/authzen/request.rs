//! Asking for what was denied, and how that stands (Access Request and Approval Profile). A task is an elevation by another name; its
//! approval is evidence for a new evaluation, never a grant in itself.

use authority::{Preflight, Status};
use axum::extract::Request;
use axum::response::Response;
use elevation::{Conclusion, State};
use http::{HeaderValue, Method, StatusCode, header};
use terms::json::Object;
use terms::{ElevationId, Json, Slug};

use super::of_subject;
use super::question::{self, Question, invalid};
use crate::answer::{self, Refusal};
use crate::caller::Known;
use crate::elevations::{members, unavailable};
use crate::enforce::{AtOnce, Passed, decide};
use crate::gateway::{Shared, not_allowed};
use crate::told::moment;

/// What goes wrong, by the profile's names.
#[derive(Clone, Copy)]
enum Wrong {
    NotRequestable,
    InvalidBinding,
    ExpiredDenial,
    UnknownTask,
    InvalidState,
}

impl Wrong {
    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::NotRequestable => ("not_requestable", StatusCode::BAD_REQUEST),
            Self::InvalidBinding => ("invalid_denial_binding", StatusCode::BAD_REQUEST),
            Self::ExpiredDenial => ("expired_denial", StatusCode::GONE),
            Self::UnknownTask => ("unknown_task", StatusCode::NOT_FOUND),
            Self::InvalidState => ("invalid_task_state", StatusCode::CONFLICT),
        }
    }

    fn told(self, detail: &str) -> Response {
        let (name, status) = self.row();
        let problem = Json::object([
            ("type", Json::from(format!("urn:openid:authzen:access-request:error:{name}"))),
            ("status", Json::from(u32::from(status.as_u16()))),
            ("detail", Json::from(detail)),
        ]);
        let mut response = answer::json(status, &problem.text());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// A request for what an evaluation denied. The same request made again is the same task: that is what its access is named by, so
/// an `Idempotency-Key` has nothing to add.
pub(super) async fn submit(gateway: &Shared, known: &Known, request: Request) -> Result<Response, Refusal> {
    let members = members(gateway, request).await?;
    let Some(Json::Object(denial)) = members.get("denial") else {
        return Err(invalid("denial is not an object"));
    };
    let expires =
        denial.get("expires_at").and_then(Json::as_str).and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let Some(expires) = expires else { return Err(invalid("denial.expires_at is no moment")) };
    if expires.as_millisecond() <= gateway.authority.now().millis() {
        return Ok(Wrong::ExpiredDenial.told("The denial is too old. Evaluate again."));
    }
    let question = Question::read(&members)?;
    let ask = match question::ask(gateway, known, &question).await? {
        Ok(ask) => ask,
        Err(_) => return Ok(Wrong::NotRequestable.told("There is nothing of that name to ask for.")),
    };
    let bound =
        denial.get("evaluation_id").and_then(Json::as_str) == Some(ask.access.hash().to_string().as_str());
    if !bound {
        return Ok(Wrong::InvalidBinding
            .told("evaluation_id is not that of this subject, action, resource and context."));
    }
    let preflight = gateway.authority.preflight(&ask).await.map_err(|failed| unavailable(&failed))??;
    let Preflight::NeedsApproval(_) = preflight else {
        return Ok(Wrong::NotRequestable.told("It is not approval that is missing. Evaluate again."));
    };
    let passed = decide(gateway, &AtOnce, &ask, None).await.map_err(|failed| unavailable(&failed))?;
    let Passed::Challenged(challenge, ()) = passed else {
        return Ok(Wrong::NotRequestable.told("It stands otherwise now. Evaluate again."));
    };
    let id = challenge.elevation;
    let status = gateway.authority.status(&ask.caller, id).await.map_err(|failed| unavailable(&failed))?;
    let status = status.ok_or(Slug::ElevationUnknown)?;
    let code = if challenge.opened { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(code, &Json::Object(told(gateway, id, &status)).text()))
}

/// `requests/{id}` and `requests/{id}/cancel`: for whoever may ask about whom it is of.
pub(super) async fn of_task(
    gateway: &Shared,
    known: &Known,
    path: &str,
    method: &Method,
) -> Result<Response, Refusal> {
    let Some(rest) = path.strip_prefix("requests/") else { return Err(Slug::NotFound.into()) };
    let (id, cancels) = rest.strip_suffix("/cancel").map_or((rest, false), |id| (id, true));
    let unknown = || Wrong::UnknownTask.told("There is no such task for you.");
    let Ok(id) = id.parse::<ElevationId>() else { return Ok(unknown()) };
    let Some(of) = subject(gateway, known, id).await? else { return Ok(unknown()) };
    match (method, cancels) {
        (&Method::GET, false) => {
            let status =
                gateway.authority.status(&of.caller, id).await.map_err(|failed| unavailable(&failed))?;
            let Some(status) = status else { return Ok(unknown()) };
            let mut response = answer::json(StatusCode::OK, &Json::Object(told(gateway, id, &status)).text());
            if status.state == State::Pending {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Ok(response)
        }
        (&Method::POST, true) => {
            let withdrawn =
                gateway.authority.withdraw(&of.caller, id, Some("cancelled by who asked".to_owned())).await;
            if withdrawn.map_err(|failed| unavailable(&failed))?.is_err() {
                return Ok(Wrong::InvalidState.told("It does not wait any more."));
            }
            let status =
                gateway.authority.status(&of.caller, id).await.map_err(|failed| unavailable(&failed))?;
            let status = status.ok_or(Slug::ElevationUnknown)?;
            Ok(answer::json(StatusCode::OK, &Json::Object(told(gateway, id, &status)).text()))
        }
        (_, false) => Ok(not_allowed("GET")),
        (_, true) => Ok(not_allowed("POST")),
    }
}

/// Whose task it is, if who asks may ask about it.
async fn subject(gateway: &Shared, known: &Known, id: ElevationId) -> Result<Option<Known>, Refusal> {
    let whole = gateway.authority.store().elevation(id).await.map_err(|failed| unavailable(&failed))?;
    let Some(whole) = whole else { return Ok(None) };
    let askers = gateway.settings.askers.get(whole.request.access.resource().upstream_name());
    let asks = askers.is_some_and(|askers| askers.callers.contains(&known.caller.name));
    if whole.request.caller == known.caller.id {
        return Ok(Some(known.clone()));
    }
    let caller = gateway.authority.active().authenticated(whole.request.caller).filter(|_| asks);
    Ok(caller.map(|caller| of_subject(known, std::sync::Arc::new(caller))))
}

/// A task with what has become of it.
fn told(gateway: &Shared, id: ElevationId, status: &Status) -> Object {
    let lines = &status.challenge.lines;
    let met = lines.iter().filter(|line| line.have >= line.need).count();
    let count = |n: usize| Json::from(u32::try_from(n).unwrap_or(u32::MAX));
    let awaiting =
        lines.iter().find(|line| line.have < line.need).map(|line| line.says.clone()).unwrap_or_default();
    let state = match status.state {
        State::Pending => "pending",
        State::Concluded(Conclusion::Approved) => "approved",
        State::Concluded(Conclusion::Rejected) => "denied",
        State::Concluded(Conclusion::Expired) => "expired",
        State::Concluded(Conclusion::Withdrawn | Conclusion::Superseded) => "cancelled",
    };
    let mut task = Object::new();
    task.insert("id", id);
    task.insert("status", state);
    task.insert("status_endpoint", format!("{}/access/v1/requests/{id}", gateway.settings.agents_url));
    task.insert("expires_at", moment(status.challenge.expires_at));
    let progress = [
        ("current_step", count(met)),
        ("total_steps", count(lines.len())),
        ("awaiting", Json::from(awaiting)),
    ];
    task.insert("progress", Json::object(progress));
    let links = [
        ("review", Json::from(crate::told::link(&gateway.settings, id))),
        ("cancel", Json::from(format!("{}/access/v1/requests/{id}/cancel", gateway.settings.agents_url))),
    ];
    task.insert("links", Json::object(links));
    let mut told = Object::from_iter([("task", Json::Object(task))]);
    if state == "approved" {
        let mut approval = Object::from_iter([("id", Json::from(id))]);
        if !status.spendable {
            approval.insert("state", "used");
        }
        let result = [("mode", Json::from("reevaluate")), ("approval", Json::Object(approval))];
        told.insert("result", Json::object(result));
    }
    told
}
