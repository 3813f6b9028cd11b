//! How a sender is answered: the upstream's own answer as it comes, or a problem in JSON (RFC 9457) with the same words and data
//! that every other protocol carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use authority::{Capture, Challenge, Denial, Permit, Settlement};
use axum::body::{Body, Bytes};
use axum::response::Response;
use elevation::Outcome;
use futures_util::stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use terms::json::{self, Limits, Object};
use terms::{AttemptId, Json, Seam, Slug};
use tokio::sync::{mpsc, oneshot};
use upstream::{Api, Fault, Head, Relayed, Rest};

use super::{Prefer, capture};
use crate::answer::{Refusal, under_status};
use crate::caller::Place;
use crate::front::hang_up;
use crate::gateway::Shared;
use crate::mcp::refusal::ran;
use crate::run::{release, settle};
use crate::settings::Settings;
use crate::told;

/// The answer of a request whose outcome is awaited is taken whole up to so many bytes before its outcome is recorded, and only then passed on.
const WHOLE: usize = 1 << 20;

/// Names the attempt.
const ATTEMPT: HeaderName = HeaderName::from_static("stepup-attempt");
const SLUG: HeaderName = HeaderName::from_static("stepup-slug");
const LINK: HeaderName = HeaderName::from_static("stepup-link");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A problem, by the row of the error table and what is known beside it.
pub(super) fn problem(slug: Slug, detail: &str, members: Object) -> Response {
    let row = slug.row();
    let mut told = Object::new();
    told.insert("type", format!("stepup:error:{}", row.name));
    told.insert("title", row.happened);
    told.insert("status", u32::from(row.http));
    told.insert("detail", detail);
    told.insert("slug", row.name);
    for (name, value) in members.iter() {
        told.insert(name, value.clone());
    }
    let mut response = under_status(slug, &Json::Object(told).text());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    // For proxies that pass on nothing but heads.
    headers.insert(SLUG, HeaderValue::from_static(row.name));
    response
}

/// What did not become an access, or failed here.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let detail = refusal.detail.as_ref().map(|detail| format!("{detail}. ")).unwrap_or_default();
    let record = refusal.record.map(|record| ("record", Json::from(record)));
    let mut response =
        problem(refusal.slug, &format!("{detail}{}", refusal.slug.row().todo), record.into_iter().collect());
    // Content may follow that nobody here reads.
    if [Slug::HttpVersionRefused, Slug::ExpectationRefused].contains(&refusal.slug) {
        hang_up(&mut response);
    }
    if refusal.slug == Slug::MethodNotAllowed {
        let allowed = terms::Method::ALL.map(terms::Method::name).join(", ");
        response.headers_mut().extend(HeaderValue::from_str(&allowed).ok().map(|it| (header::ALLOW, it)));
    }
    response
}

/// What may not run.
pub(super) fn denied(denial: &Denial) -> Response {
    problem(denial.slug, denial.slug.row().todo, told::denied(denial))
}

/// What nothing was decided about.
pub(super) fn unsent(slug: Slug) -> Response {
    problem(slug, ran(Outcome::NotSent, false), Object::new())
}

/// What may run, and is run by who asked. Its record says to whom it was given, before that hears it.
pub(super) async fn released(gateway: &Shared, permit: Permit) -> Response {
    release(gateway, permit).await.map_or_else(unsent, passes)
}

/// What was given to who asked.
pub(super) fn passes(attempt: AttemptId) -> Response {
    let mut response = crate::answer::json(StatusCode::OK, &Json::object([("attempt", attempt)]).text());
    attempted(&mut response, Some(attempt));
    response
}

/// What takes evidence first: 401 with where to look, or 202 where its sender prefers to be told elsewhere (RFC 7240, 4.1).
pub(super) fn challenged(settings: &Settings, challenge: &Challenge, prefer: Prefer) -> Response {
    let members = told::challenge(settings, challenge);
    let status_url = members.get("status_url").and_then(Json::as_str).unwrap_or_default().to_owned();
    let detail = what_to_do(settings, challenge);
    let mut response = problem(challenge.slug, &detail, members);
    if prefer.elsewhere {
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        headers.insert(APPLIED, HeaderValue::from_static("respond-async"));
        headers.extend(HeaderValue::from_str(&status_url).ok().map(|it| (header::LOCATION, it)));
    } else {
        // As draft-ietf-oauth-rar-metadata-remediation names it; what exactly is in the problem.
        let says = "Bearer realm=\"stepup\", error=\"insufficient_authorization\"";
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(says));
    }
    let headers = response.headers_mut();
    let link = told::link(settings, challenge.elevation);
    headers.extend(HeaderValue::from_str(&link).ok().map(|link| (LINK, link)));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn what_to_do(settings: &Settings, challenge: &Challenge) -> String {
    let mut detail = String::from("Nothing was sent. ");
    if let Some(ran) = &challenge.ran {
        detail.push_str(&told::ran(ran));
    }
    detail.push_str(&told::takes(&challenge.label, &challenge.lines));
    let missing = [
        (challenge.wants_purpose, "Stepup-Purpose", "why"),
        (challenge.wants_ticket, "Stepup-Ticket", "a ticket"),
    ];
    for (_, header, what) in missing.into_iter().filter(|(wanted, ..)| *wanted) {
        detail.push_str(&format!("Say {what} first: send the same request with the header {header}. "));
    }
    let link = told::link(settings, challenge.elevation);
    detail.push_str(&format!(
        "Ask a person to open {link}. Then send exactly the same request again; with `Prefer: wait=50` it waits for them. Any \
         other request needs an approval of its own."
    ));
    detail
}

/// What an answer is passed on with.
pub(super) struct Passing {
    pub(super) api: Arc<Api>,
    pub(super) attempt: Option<AttemptId>,
    pub(super) elevated: bool,
    /// Whether its outcome is recorded before it is answered.
    pub(super) awaited: bool,
    /// Held until the answer is out.
    pub(super) place: Arc<Place>,
}

/// Passes an answer on, and settles its attempt: of one that is awaited before anybody is told, as far as the answer is not long.
pub(super) async fn pass(
    gateway: Shared,
    passing: Passing,
    relayed: Relayed,
    answer: oneshot::Sender<Response>,
) {
    let Relayed { answer: relayed, outcome, settlement } = relayed;
    let Passing { api, attempt, elevated, awaited, place } = passing;
    let (head, mut rest) = match relayed {
        Ok(answered) => answered,
        Err(fault) => {
            settle(&gateway, settlement, outcome, Some(!answer.is_closed())).await;
            let _left = answer.send(broken(fault, attempt, (outcome, elevated)));
            return;
        }
    };
    gateway.authority.ambient().seam(Seam::AnswerSend);
    let mut flow = Flow { gateway, settlement, outcome, place, attempt };
    let at_once = !awaited || (told_as_it_happens(&head) && !flow.reads());
    let whole = if at_once { Taken::Begun(Vec::new()) } else { taken(&mut rest).await };
    let captures = flow.settlement.as_ref().and_then(Settlement::captures).cloned();
    let whole = match (captures, whole) {
        (Some(capture), Taken::Whole(bytes)) => {
            return answer_without(flow, &capture, (head, Some(bytes)), answer).await;
        }
        (Some(capture), Taken::Begun(_)) => {
            return answer_without(flow, &capture, (head, None), answer).await;
        }
        (_, whole) => whole,
    };
    let mut response = Response::default();
    pass_head(&mut response, head, &api, attempt);
    match whole {
        Taken::Whole(bytes) => {
            flow.read(&bytes);
            flow.settle(!answer.is_closed()).await;
            *response.body_mut() = Body::from(bytes);
            let _left = answer.send(response);
        }
        Taken::Broken(fault) => {
            flow.outcome = Outcome::Unknown;
            flow.settle(!answer.is_closed()).await;
            let _left = answer.send(broken(fault, attempt, (Outcome::Unknown, elevated)));
        }
        Taken::Begun(first) => {
            let (taker, pieces) = mpsc::channel(1);
            let taken = Arc::new(AtomicU64::new(0));
            *response.body_mut() = content(pieces, Arc::clone(&taken));
            // Who went away takes none of it, and so it ends.
            drop(answer.send(response));
            flow.through(first, rest, (taker, taken)).await;
        }
    }
}

/// The pieces of an answer, and last that it is whole.
type Pieces = mpsc::Receiver<Option<Bytes>>;

/// Content as it comes, and how many bytes of it were taken. Where it ends before it is whole its taker sees that: the connection
/// ends.
fn content(pieces: Pieces, taken: Arc<AtomicU64>) -> Body {
    Body::from_stream(stream::unfold(Some((pieces, taken)), |state| async move {
        let (mut pieces, taken) = state?;
        match pieces.recv().await {
            Some(Some(piece)) => {
                taken.fetch_add(bytes(&piece), Ordering::AcqRel);
                Some((Ok(piece), Some((pieces, taken))))
            }
            Some(None) => None,
            None => Some((Err(Fault::Timeout), None)),
        }
    }))
}

fn bytes(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

/// Passes on what is left of an answer that holds a credential of ours.
async fn answer_without(
    mut flow: Flow,
    capture: &Capture,
    (head, content): (Head, Option<Vec<u8>>),
    answer: oneshot::Sender<Response>,
) {
    let here = !answer.is_closed();
    let _left = answer.send(capture::answer(&mut flow, capture, &head, (content, here)).await);
}

/// Whether what follows is events, of which each is for when it happens: the end of them may never come.
fn told_as_it_happens(head: &Head) -> bool {
    let said = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = said.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// How much of an answer was taken.
enum Taken {
    /// All.
    Whole(Vec<u8>),
    /// As much as is taken before it is passed on.
    Begun(Vec<u8>),
    /// It broke off.
    Broken(Fault),
}

async fn taken(rest: &mut Rest) -> Taken {
    let mut bytes = Vec::new();
    while bytes.len() <= WHOLE {
        match rest.next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return Taken::Whole(bytes),
            Err(fault) => return Taken::Broken(fault),
        }
    }
    Taken::Begun(bytes)
}

/// The head as its sender gets it. Where it leads to the upstream itself, it leads to us instead: nobody goes round.
fn pass_head(response: &mut Response, head: Head, api: &Api, attempt: Option<AttemptId>) {
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    let headers = response.headers_mut();
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let here = |value: &HeaderValue| {
            let path = api.path_of(value.to_str().ok()?)?;
            HeaderValue::from_str(&format!("/http/{}{path}", api.name())).ok()
        };
        if let Some(here) = headers.get(&name).and_then(here) {
            headers.insert(name, here);
        }
    }
    attempted(response, attempt);
}

/// Names the attempt in an answer.
pub(super) fn attempted(response: &mut Response, attempt: Option<AttemptId>) {
    let attempt = attempt.and_then(|attempt| HeaderValue::from_str(&attempt.to_string()).ok());
    response.headers_mut().extend(attempt.map(|attempt| (ATTEMPT, attempt)));
}

/// What is told where there is no answer.
fn broken(fault: Fault, attempt: Option<AttemptId>, (outcome, elevated): (Outcome, bool)) -> Response {
    let mut members = Object::new();
    members.insert("outcome", outcome.name());
    if let Some(attempt) = attempt {
        members.insert("attempt", attempt);
    }
    problem(fault.slug(), ran(outcome, elevated), members)
}

/// An answer that is passed on as it comes, with the duty to say how its attempt ended.
pub(super) struct Flow {
    pub(super) gateway: Shared,
    pub(super) settlement: Option<Settlement>,
    pub(super) outcome: Outcome,
    place: Arc<Place>,
    pub(super) attempt: Option<AttemptId>,
}

impl Flow {
    /// Whether something of the answer is read here before anybody has it.
    fn reads(&self) -> bool {
        self.settlement.as_ref().is_some_and(Settlement::reads)
    }

    /// What the answer names of what its request touched; one that nobody here can read names nothing.
    fn read(&mut self, answer: &[u8]) {
        self.names(|| json::parse_within(answer, Limits::ANSWER).ok());
    }

    /// The same of what was read of it already.
    pub(super) fn names(&mut self, answer: impl FnOnce() -> Option<Json>) {
        if let Some(settlement) = self.settlement.as_mut().filter(|settlement| settlement.reads()) {
            settlement.answered(answer().as_ref());
        }
    }

    pub(super) async fn settle(&mut self, delivered: bool) {
        settle(&self.gateway, self.settlement.take(), self.outcome, Some(delivered)).await;
    }

    /// Passes on what came first and then the rest, no faster than it is taken, and no longer than an answer may take. Its taker goes
    /// away or is too slow, or it breaks off: each is recorded, and the place in its caller's budget is given back.
    async fn through(
        mut self,
        first: Vec<u8>,
        mut rest: Rest,
        (taker, taken): (mpsc::Sender<Option<Bytes>>, Arc<AtomicU64>),
    ) {
        let mut first = Some(first).filter(|first| !first.is_empty());
        let mut passed = 0;
        // Whoever holds the answer open does not hold us: what is not taken by then, is not taken.
        while let Ok(Ok(room)) = tokio::time::timeout_at(rest.until(), taker.reserve()).await {
            let piece = match first.take() {
                Some(first) => Ok(Some(Bytes::from(first))),
                None => tokio::select! {
                    biased;
                    piece = rest.next() => piece,
                    () = taker.closed() => break,
                },
            };
            match piece {
                Ok(Some(piece)) => {
                    passed += bytes(&piece);
                    room.send(Some(piece));
                }
                Ok(None) => {
                    self.settle(true).await;
                    return room.send(None);
                }
                Err(fault) => {
                    tracing::warn!(%fault, attempt = ?self.attempt, "an answer broke off");
                    self.outcome = Outcome::Unknown;
                    break;
                }
            }
        }
        // Who has as many bytes as were announced asks for no more, and is not waited for by who announced them.
        let whole = first.is_none() && rest.is_over() && taken.load(Ordering::Acquire) == passed;
        self.settle(whole).await;
    }
}

impl Drop for Flow {
    /// Its taker went away. The upstream had answered: what it did is done.
    fn drop(&mut self) {
        let (Some(settlement), Ok(runtime)) = (self.settlement.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (gateway, outcome, place) = (Arc::clone(&self.gateway), self.outcome, Arc::clone(&self.place));
        runtime.spawn(async move {
            settle(&gateway, Some(settlement), outcome, Some(false)).await;
            drop(place);
        });
    }
}
