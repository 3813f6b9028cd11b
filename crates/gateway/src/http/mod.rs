//! HTTP APIs, at `/http/{upstream}/…`: a request along a route is an access like any other, and what is sent is written from it.

mod answer;
pub(crate) mod asked;
mod capture;
mod party;
mod request;

use std::sync::Arc;

use authority::{Ask, Failed, Permit, unknown};
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use http::{HeaderMap, header};
use terms::{Kind, Millis, Slug, sole};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use upstream::{Api, Beside, Line, Within};

use crate::answer::Refusal;
use crate::caller::{Known, Place};
use crate::elevations::unavailable;
use crate::enforce::{Passed, PassedBy, decide, held};
use crate::gateway::Shared;
pub(crate) use answer::refused;
use party::Sender;
pub(crate) use request::{once, place};

/// One request to an API. Where there is none of that name it is told and recorded as of one that this caller may not know of (T124).
pub(crate) async fn serve(
    gateway: Shared,
    known: Known,
    api: Option<Arc<Api>>,
    request: HttpRequest,
) -> Response {
    let prefer = Prefer::of(request.headers());
    let read = request::read(&gateway, &known, api.as_deref(), request).await;
    match (read, api) {
        (Ok((ask, beside)), Some(api)) => asked_for(gateway, known, (Some(api), beside), (ask, prefer)).await,
        (Ok(_), None) => unread(&gateway, &known, Slug::RouteUnknown.into()).await,
        (Err(refusal), _) => unread(&gateway, &known, refusal).await,
    }
}

/// What is asked for, through the one door and on: sent, or given to who asks.
pub(crate) async fn asked_for(
    gateway: Shared,
    known: Known,
    (api, beside): (Option<Arc<Api>>, Box<Beside>),
    (ask, prefer): (Box<Ask>, Prefer),
) -> Response {
    let (answer, answered) = oneshot::channel();
    let sender = Sender { api, answer, waits: prefer.wait };
    // What was sent goes on, whoever goes away.
    tokio::spawn(perform(gateway, known.place, sender, (ask, beside, prefer)).in_current_span());
    answered.await.unwrap_or_else(|_| answer::refused(&Slug::Busy.into()))
}

/// Tells what did not become an access. It is recorded as every denial is; where that fails, there is still nothing that runs.
pub(crate) async fn unread(gateway: &Shared, known: &Known, mut refusal: Refusal) -> Response {
    let recording = gateway.authority.deny_unread(&known.caller, &known.source, refusal.slug);
    refusal.record = recording.await.unwrap_or_default();
    answer::refused(&refusal)
}

/// Through the one door, and on.
async fn perform(
    gateway: Shared,
    place: Arc<Place>,
    mut sender: Sender,
    (ask, beside, prefer): (Box<Ask>, Box<Beside>, Prefer),
) {
    let response = match enforce(&gateway, &mut sender, &ask).await {
        Ok(Passed::Left) => return,
        Ok(Passed::Run(permit, line)) => {
            tracing::Span::current().record("attempt", permit.attempt().map(tracing::field::display));
            return Box::pin(run(gateway, place, sender, (permit, line, *beside))).await;
        }
        Ok(Passed::Challenged(challenge, ())) => {
            tracing::Span::current().record("elevation", tracing::field::display(challenge.elevation));
            answer::challenged(&gateway.settings, &challenge, prefer)
        }
        // Not allowed, and not to be known of: as unknown as any other.
        Ok(Passed::Denied(_) | Passed::Unreachable) if hidden(&gateway, &ask) => {
            answer::refused(&unknown(kind_of(&ask)).into())
        }
        Ok(Passed::Denied(denial)) => answer::denied(&denial),
        Ok(Passed::Unreachable) => answer::unsent(Slug::UpstreamUnreachable),
        Err(failed) => answer::refused(&unavailable(&failed)),
    };
    let _left = sender.answer.send(response);
}

/// Decides, and waits where its caller asked to wait.
async fn enforce(gateway: &Shared, sender: &mut Sender, ask: &Ask) -> Result<PassedBy<Sender>, Failed> {
    match Box::pin(decide(gateway, sender, ask, None)).await? {
        Passed::Challenged(challenge, ()) => held(gateway, sender, ask, (challenge, ())).await,
        passed @ (Passed::Run(..) | Passed::Denied(_) | Passed::Unreachable | Passed::Left) => Ok(passed),
    }
}

/// Sends what is permitted, and passes the answer on; or gives the permit to who asked for it.
async fn run(
    gateway: Shared,
    place: Arc<Place>,
    sender: Sender,
    (permit, line, beside): (Permit, Option<Line>, Beside),
) {
    let (Some(api), Some(line)) = (sender.api, line) else {
        let _left = sender.answer.send(answer::released(&gateway, permit).await);
        return;
    };
    let _renewing = renewing(&gateway, &beside).await;
    let (attempt, elevated, awaited) = (permit.attempt(), permit.grant().is_some(), permit.awaited());
    let within = Within { piece: gateway.settings.answer_within, whole: gateway.settings.longest_answer };
    let relayed = upstream::relay(permit, line, beside, within).await;
    let passing = answer::Passing { api, attempt, elevated, awaited, place };
    answer::pass(gateway, passing, relayed, sender.answer).await;
}

/// One new credential of an API at a time: of two answers nobody could say which is the newer (decisions A15).
async fn renewing(gateway: &Shared, beside: &Beside) -> Option<OwnedMutexGuard<()>> {
    let capture = beside.route.as_ref()?.settings.capture.as_ref()?;
    Some(gateway.apis.get(&capture.upstream)?.renewing().await)
}

fn kind_of(ask: &Ask) -> Kind {
    Kind::named(&ask.access.resource().kind).unwrap_or(Kind::Route)
}

/// Whether a caller may not know that there is what it named.
fn hidden(gateway: &Shared, ask: &Ask) -> bool {
    let (upstream, name) = ask.access.resource().parts().unwrap_or_default();
    gateway.authority.seen(&ask.caller, kind_of(ask), upstream, name).is_none()
}

/// What a caller prefers (RFC 7240) where people have to be asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// To wait so long for them (`wait`).
    wait: Option<Millis>,
    /// To be told where to look (`respond-async`).
    elsewhere: bool,
}

impl Prefer {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let said = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for one in said.flat_map(|value| value.split(',')).map(str::trim) {
            let one = one.split(';').next().unwrap_or_default().trim();
            let (name, value) = one.split_once('=').unwrap_or((one, ""));
            let value = value.trim().trim_matches('"');
            // Of several the first counts (RFC 7240, 2).
            if name.trim().eq_ignore_ascii_case("wait") && prefer.wait.is_none() {
                prefer.wait = value.parse().ok().map(Millis::seconds).filter(|wait| wait.get() > 0);
            } else if name.trim().eq_ignore_ascii_case("respond-async") {
                prefer.elsewhere = true;
            }
        }
        prefer
    }
}

/// The value of a header that says no more than in which form an answer is taken: short, and plain ASCII.
fn representation(headers: &HeaderMap, name: &header::HeaderName) -> Option<http::HeaderValue> {
    let value = sole(headers.get_all(name))?;
    let text = value.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b" */+-.,;=_\"!#$&^".contains(&b);
    (text.len() <= 512 && text.bytes().all(plain)).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_number_of_seconds_is_waited_for() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", http::HeaderValue::from_static(value));
            }
            Prefer::of(&headers)
        };
        let wait = |seconds| Some(Millis::seconds(seconds));
        assert_eq!(of(&[]), Prefer::default());
        assert_eq!(of(&["wait=30"]).wait, wait(30));
        assert_eq!(of(&["respond-async, wait=5; x=y"]), Prefer { wait: wait(5), elsewhere: true });
        assert_eq!(of(&["Wait=\"7\"", "wait=9"]).wait, wait(7));
        for value in
            ["wait", "wait=", "wait=-1", "wait=1.5", "wait=0", "wait=99999999999999999999", "waiting=5"]
        {
            assert_eq!(of(&[value]).wait, None, "{value}");
        }
    }

    #[test]
    fn what_chooses_a_form_says_nothing_else() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static(value))]);
            representation(&headers, &header::ACCEPT).is_some()
        };
        assert!(of("text/html, application/json;q=0.9, */*;q=0.1"));
        assert!(!of("text/html\u{9}x") && !of("../etc/passwd{}") && !of("a@b"));
    }
}
