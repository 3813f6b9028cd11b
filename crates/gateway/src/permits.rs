//! `POST /v1/permits`: a program asks for itself whether it may do an operation, and does it. As it asks, so it is told: like over HTTP, with the
//! same problems, waits and names. `POST /v1/attempts/{id}`: how that ended, as it says.

use authority::{Ask, PinState};
use axum::extract::Request;
use axum::response::Response;
use elevation::Outcome;
use http::Method;
use terms::json::Object;
use terms::{Action, Json, Kind, Slug};
use upstream::Beside;

use crate::access::{access, not_an_access};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::{Claims, members, unavailable};
use crate::gateway::{Shared, done, not_allowed};
use crate::http::{Prefer, asked_for, once, refused, unread};
use crate::mcp::envelope::only;

/// What of the operation is asked about.
const PLACES: [&str; 4] = ["resource", "subject", "action", "context"];

pub(crate) async fn serve(gateway: Shared, known: Known, request: Request) -> Response {
    if *request.method() != Method::POST {
        return not_allowed("POST");
    }
    let prefer = Prefer::of(request.headers());
    match read(&gateway, &known, request).await {
        Ok(ask) => asked_for(gateway, known, (None, Box::<Beside>::default()), (ask, prefer)).await,
        Err(refusal) => unread(&gateway, &known, refusal).await,
    }
}

/// How an attempt ended that was released to who says so.
pub(crate) async fn report(gateway: Shared, known: Known, id: &str, request: Request) -> Response {
    if *request.method() != Method::POST {
        return not_allowed("POST");
    }
    let reported = async {
        let id = id.parse().map_err(|_| Slug::AttemptUnknown)?;
        let members = members(&gateway, request).await?;
        only(&members, &["outcome", "says"])?;
        let text = |member: &str| members.get(member).map(|value| value.as_str());
        let outcome = text("outcome").flatten().and_then(Outcome::named);
        let (Some(outcome @ (Outcome::Done | Outcome::Failed)), None | Some(Some(_))) =
            (outcome, text("says"))
        else {
            return Err(Refusal::because(
                Slug::ArgumentsInvalid,
                "outcome is done or failed, and says a text",
            ));
        };
        let reported = gateway.authority.report(&known.caller, id, outcome, text("says").flatten()).await;
        Ok(reported.map_err(|failed| unavailable(&failed))??)
    };
    reported.await.map_or_else(|refusal: Refusal| refused(&refusal), |()| done())
}

async fn read(gateway: &Shared, known: &Known, request: Request) -> Result<Box<Ask>, Refusal> {
    let once = once(request.headers())?;
    let mut members = members(gateway, request).await?;
    only(&members, &["operation", "id", "resource", "subject", "action", "context", "purpose", "ticket"])?;
    let claims = Claims::of(&members)?;
    let mut text = |member: &str| match members.remove(member) {
        Some(Json::String(text)) => Ok(text),
        Some(_) | None => Err(Refusal::because(Slug::ArgumentsInvalid, format!("{member} is not a text"))),
    };
    let (operation, id) = (text("operation")?, text("id")?);
    let mut arguments = Object::from_iter([("id", Json::from(id))]);
    for place in PLACES {
        arguments.insert(place, members.remove(place).unwrap_or_else(|| Json::Object(Object::new())));
    }
    let (upstream, name) = operation.split_once('/').ok_or(Slug::OperationUnknown)?;
    let target = gateway.authority.seen(&known.caller, Kind::Operation, upstream, name);
    let target = target.filter(|target| target.pin.state != PinState::Gone).ok_or(Slug::OperationUnknown)?;
    let identity = gateway.authority.upstream(upstream).ok_or(Slug::OperationUnknown)?.identity;
    let arguments = Json::Object(arguments);
    if let Some(what) = gateway.authority.misfit(&target, &arguments) {
        return Err(Refusal::because(Slug::ArgumentsInvalid, what));
    }
    let made = access(gateway, known, (Action::Do, &target), identity, arguments, Object::new());
    let ask = made.map_err(|why| not_an_access(&why))?;
    let (purpose, ticket) = claims.into_parts();
    Ok(Box::new(Ask { purpose, ticket, once, ..ask }))
}
