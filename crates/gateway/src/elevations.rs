//! `/v1/elevations/{id}`: a caller looks at one of its elevations, says why, or takes it back. Another caller's
//! is as unknown as one that never was (T112).

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use terms::json::{self, Limits, Object};
use terms::{Caller, ElevationId, Json, Millis, Slug};

use crate::answer::{self, Refusal};
use crate::caller::{self, Known};
use crate::front::broken;
use crate::gateway::{Inner, Shared, done, not_allowed};
use crate::mcp::envelope::{holds_key, not_json, within};
use crate::{mcp, told};

/// The longest that one look may wait.
pub(crate) const LONGEST_WAIT: Millis = Millis::seconds(50);

/// What a caller may say of a request, in bytes.
pub(crate) const LONGEST_PURPOSE: usize = 1000;
pub(crate) const LONGEST_TICKET: usize = 200;

pub(crate) async fn serve(gateway: Shared, known: Known, id: ElevationId, request: Request) -> Response {
    let answered = match *request.method() {
        Method::GET => look(&gateway, &known, id, request.uri().query()).await,
        Method::POST => say(&gateway, &known, id, request).await,
        Method::DELETE => withdraw(&gateway, &known, id).await,
        _ => return not_allowed("GET, POST, DELETE"),
    };
    answered.unwrap_or_else(|refusal| refusal.plain())
}

async fn look(
    gateway: &Shared,
    known: &Known,
    id: ElevationId,
    query: Option<&str>,
) -> Result<Response, Refusal> {
    let wait = match query {
        None => Millis::new(0),
        Some(query) => seconds(query).ok_or_else(|| {
            Refusal::because(Slug::RequestInvalid, "the query is not wait= and a number of seconds")
        })?,
    };
    let status = status(gateway, known, id, wait).await?;
    Ok(answer::json(StatusCode::OK, &Json::Object(told::status(&gateway.settings, &status)).text()))
}

/// `wait=` and whole seconds, nothing else.
fn seconds(query: &str) -> Option<Millis> {
    let number = query.strip_prefix("wait=")?;
    let plain = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let seconds = number.parse().ok().filter(|_| plain)?;
    Some(Millis::seconds(seconds).min(LONGEST_WAIT))
}

/// Where an elevation stands; while it is pending, after a change or after that long.
pub(crate) async fn status(
    gateway: &Inner,
    known: &Known,
    id: ElevationId,
    wait: Millis,
) -> Result<authority::Status, Refusal> {
    // Before the first read, so that no change between read and wait is missed.
    let mut waiting = gateway.authority.waiting(id);
    let status = read(gateway, known, id).await?;
    if status.state != elevation::State::Pending || wait == Millis::new(0) {
        return Ok(status);
    }
    let _place = gateway.load.hold(known.caller.id)?;
    let mut drained = gateway.drained();
    tokio::select! {
        () = waiting.changed() => {}
        () = tokio::time::sleep(wait.duration()) => {}
        _ = drained.wait_for(|drained| *drained) => {}
    }
    read(gateway, known, id).await
}

async fn read(gateway: &Inner, known: &Known, id: ElevationId) -> Result<authority::Status, Refusal> {
    let status = gateway.authority.status(&known.caller, id).await.map_err(|failed| unavailable(&failed))?;
    Ok(status.ok_or(Slug::ElevationUnknown)?)
}

/// The store failed: the operator reads why in the log, the caller only that.
pub(crate) fn unavailable(failed: &authority::Failed) -> Refusal {
    tracing::error!(%failed, "a request was refused because the store failed");
    Slug::StoreUnavailable.into()
}

async fn say(
    gateway: &Shared,
    known: &Known,
    id: ElevationId,
    request: Request,
) -> Result<Response, Refusal> {
    let members = members(gateway, request).await?;
    mcp::envelope::only(&members, &["purpose", "ticket"])?;
    let claims = Claims::of(&members)?;
    claims.add(gateway, known, id).await?;
    look(gateway, known, id, None).await
}

/// The members of the one object that a request is. What they say is recorded and shown, and no log holds a key (T26).
pub(crate) async fn members(gateway: &Shared, request: Request) -> Result<Object, Refusal> {
    mcp::check_content(request.headers())?;
    let key = caller::key(request.headers()).ok().map(str::to_owned);
    let patience = gateway.settings.budgets.body_within.duration();
    let body = tokio::time::timeout(patience, to_bytes(request.into_body(), Limits::REQUEST.bytes)).await;
    let body = body.map_err(|_| Slug::RequestInvalid)?.map_err(|error| broken(&error))?;
    let parsed = json::parse(&body).map_err(|why| not_json(&why))?;
    let Json::Object(members) = parsed else { return Err(Slug::RequestInvalid.into()) };
    if key.is_some_and(|key| within(&members, &key)) {
        return Err(holds_key());
    }
    Ok(members)
}

/// What a caller says of its request: claims, shown to people as such.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    purpose: Option<String>,
    ticket: Option<String>,
}

impl Claims {
    pub(crate) fn of(members: &Object) -> Result<Self, Refusal> {
        let text = |name: &'static str, longest: usize| match members.get(name) {
            None => Ok(None),
            Some(Json::String(text)) if !text.trim().is_empty() && text.len() <= longest => {
                Ok(Some(text.clone()))
            }
            Some(_) => {
                let detail = format!("{name} is not a text of 1 to {longest} bytes");
                Err(Refusal::because(Slug::ArgumentsInvalid, detail))
            }
        };
        Ok(Self { purpose: text("purpose", LONGEST_PURPOSE)?, ticket: text("ticket", LONGEST_TICKET)? })
    }

    /// Purpose and ticket.
    pub(crate) fn into_parts(self) -> (Option<String>, Option<String>) {
        (self.purpose, self.ticket)
    }

    /// These, and where there are none, those.
    pub(crate) fn or(self, others: Self) -> Self {
        Self { purpose: self.purpose.or(others.purpose), ticket: self.ticket.or(others.ticket) }
    }

    /// Adds them to a request of a caller.
    pub(crate) async fn add(self, gateway: &Inner, known: &Known, id: ElevationId) -> Result<(), Refusal> {
        let said = self.say(gateway, &known.caller, id).await;
        Ok(said.map_err(|failed| unavailable(&failed))??)
    }

    /// The same, where the store's failure is somebody else's to tell.
    pub(crate) async fn say(
        self,
        gateway: &Inner,
        caller: &Caller,
        id: ElevationId,
    ) -> Result<Result<(), Slug>, authority::Failed> {
        if self.purpose.is_none() && self.ticket.is_none() {
            return Ok(Ok(()));
        }
        gateway.authority.say(caller, id, self.purpose, self.ticket).await
    }
}

async fn withdraw(gateway: &Shared, known: &Known, id: ElevationId) -> Result<Response, Refusal> {
    let withdrawn = gateway.authority.withdraw(&known.caller, id, None).await;
    withdrawn.map_err(|failed| unavailable(&failed))??;
    Ok(done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_seconds_are_waited_and_never_longer_than_the_longest() {
        assert_eq!(seconds("wait=0"), Some(Millis::new(0)));
        assert_eq!(seconds("wait=7"), Some(Millis::seconds(7)));
        assert_eq!(seconds("wait=9999"), Some(LONGEST_WAIT));
        for query in [
            "",
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=1&wait=2",
            "WAIT=1",
            "wait=99999",
            "x=1",
            "wait=+1",
        ] {
            assert_eq!(seconds(query), None, "{query:?}");
        }
    }
}
