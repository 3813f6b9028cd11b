//! An answer that holds a new credential of ours: it is taken out before anybody else sees the answer, and in force before anybody does
//! (decisions A15, rfd 38). Where it cannot be taken out so that nothing of it is left, nothing is passed on.

use authority::{Capture, Captured, is_credential};
use axum::body::Body;
use axum::response::Response;
use elevation::Outcome;
use http::{HeaderValue, header};
use terms::json::{self, Limits, Object};
use terms::{Json, Secret, Slug};
use upstream::Head;

use super::answer::{Flow, attempted, problem};
use crate::mcp::envelope::holds;
use crate::mcp::refusal::ran;

/// Why nothing is passed on.
const UNREADABLE: &str =
    "the answer is not JSON of at most a mebibyte, so the credential could not be taken out";
const MISSING: &str =
    "there is no credential at its place in the answer: no text of 8 to 4096 plain characters";
const NOWHERE: &str = "there is no API of the name that the credential is for";
const NOT_KEPT: &str = "the credential could not be recorded";
const UNCERTAIN: &str = "its status does not say whether there is a new credential";
const ELSEWHERE: &str = "the answer says the credential again elsewhere";

/// What of an answer is passed on.
enum Left {
    /// What is left of it; `None` where there was no content.
    Rest(Option<Json>),
    /// Nothing; why, and whether the credential is in force.
    Withheld(&'static str, bool),
}

/// What was at the credential's place, and the rest.
type Read = (Option<Json>, Option<Json>);

/// Settles an attempt whose answer may hold a credential; answers what its sender gets. The content is `None` where it was not taken
/// whole. Nothing is passed on of the head but its status: the rest may say the credential too, or speaks of content that this is not.
pub(super) async fn answer(
    flow: &mut Flow,
    capture: &Capture,
    head: &Head,
    (content, here): (Option<Vec<u8>>, bool),
) -> Response {
    let read = read(head, content.map(Secret::new), capture);
    flow.names(|| without(&read).cloned());
    let outcome = flow.outcome;
    let left = if outcome == Outcome::Done {
        // A redirect is the answer of another request.
        let read = if head.status.is_success() { read } else { Err(MISSING) };
        keep(flow, capture, read, here).await
    } else {
        flow.settle(here).await;
        // Of another end nobody knows whether there is a new one, or where in the answer.
        if outcome == Outcome::Failed { refused(read) } else { Left::Withheld(UNCERTAIN, false) }
    };
    let mut response = match left {
        Left::Rest(rest) => {
            let mut response = Response::new(Body::from(rest.as_ref().map(Json::text).unwrap_or_default()));
            *response.status_mut() = head.status;
            let json = rest.map(|_| (header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
            response.headers_mut().extend(json);
            response
        }
        Left::Withheld(why, in_force) => withheld(flow, why, in_force),
    };
    attempted(&mut response, flow.attempt);
    response
}

/// What of an answer may name what was touched: nothing where the credential stands there too.
fn without<'r>(read: &'r Result<Read, &'static str>) -> Option<&'r Json> {
    let (value, rest) = read.as_ref().ok()?;
    let said = |rest: &&Json| value.as_ref().and_then(Json::as_str).is_some_and(|value| holds(rest, value));
    rest.as_ref().filter(|rest| !said(rest))
}

/// Takes the credential out, and has it in force before anybody is answered.
async fn keep(flow: &mut Flow, capture: &Capture, read: Result<Read, &'static str>, here: bool) -> Left {
    let (value, rest) = match read {
        Ok((Some(value), rest)) if is_credential(&value) => (value, rest),
        Ok(_) => return lost(flow, MISSING, here).await,
        Err(why) => return lost(flow, why, here).await,
    };
    let Some(api) = flow.gateway.apis.get(&capture.upstream) else { return lost(flow, NOWHERE, here).await };
    let instead_of = api.configured();
    let text = Secret::new(value.as_str().unwrap_or_default().to_owned());
    let again = rest.as_ref().is_some_and(|rest| holds(rest, text.expose()));
    let authority = &flow.gateway.authority;
    let captured = Captured { value: text, instead_of };
    let Some(mut settlement) = flow.settlement.take() else { return Left::Withheld(NOT_KEPT, false) };
    if !authority.capture(&mut settlement, &capture.upstream, &captured) {
        flow.settlement = Some(settlement);
        return lost(flow, NOT_KEPT, here).await;
    }
    if again {
        settlement.because(ELSEWHERE);
    }
    match authority.settle_kept(settlement, Outcome::Done, Some(here)).await {
        Ok(true) if again => Left::Withheld(ELSEWHERE, true),
        Ok(true) => Left::Rest(rest),
        Ok(false) => Left::Withheld(NOT_KEPT, false),
        Err(failed) => {
            tracing::error!(%failed, upstream = capture.upstream, "a new credential is not recorded");
            Left::Withheld(NOT_KEPT, false)
        }
    }
}

/// It ran, and its credential is lost to us.
async fn lost(flow: &mut Flow, why: &'static str, here: bool) -> Left {
    tracing::error!(why, attempt = ?flow.attempt, "an answer was to hold a new credential");
    if let Some(settlement) = &mut flow.settlement {
        settlement.because(why);
    }
    flow.settle(here).await;
    Left::Withheld(why, false)
}

/// By its own word it made none. What stands at that place all the same is nobody's.
fn refused(read: Result<Read, &'static str>) -> Left {
    match read {
        Ok((Some(value), Some(rest))) if value.as_str().is_some_and(|value| holds(&rest, value)) => {
            Left::Withheld(ELSEWHERE, false)
        }
        Ok((_, rest)) => Left::Rest(rest),
        Err(why) => Left::Withheld(why, false),
    }
}

fn read(head: &Head, content: Option<Secret<Vec<u8>>>, capture: &Capture) -> Result<Read, &'static str> {
    let content =
        content.filter(|_| !head.headers.contains_key(header::CONTENT_ENCODING)).ok_or(UNREADABLE)?;
    if content.expose().is_empty() {
        return Ok((None, None));
    }
    let mut json = json::parse_within(content.expose(), Limits::ANSWER).map_err(|_| UNREADABLE)?;
    let value = capture.from.take(&mut json);
    Ok((value, Some(json)))
}

fn withheld(flow: &Flow, why: &'static str, in_force: bool) -> Response {
    let mut members = Object::new();
    members.insert("outcome", flow.outcome.name());
    members.insert("credential", if in_force { "in_force" } else { "not_in_force" });
    let todo = match (flow.outcome, in_force) {
        (_, true) => {
            "The new credential is in force: nothing has to be done again. Tell the operator that answers of this route are withheld."
        }
        (Outcome::Done, false) => {
            "The new credential is not in force, and the old one may not be good any more: the operator has to make one at the upstream and configure it."
        }
        (Outcome::Failed | Outcome::NotSent | Outcome::Unknown | Outcome::Released, false) => {
            ran(flow.outcome, true)
        }
    };
    if let Some(attempt) = flow.attempt {
        members.insert("attempt", attempt);
    }
    problem(Slug::AnswerWithheld, &format!("It was sent; {why}. {todo}"), members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn of(content: Option<&str>, headers: HeaderMap) -> Result<Read, &'static str> {
        let head = Head { status: StatusCode::OK, headers };
        let capture = Capture { from: "/data/key".parse().unwrap(), upstream: "crm".to_owned() };
        read(&head, content.map(|content| Secret::new(content.as_bytes().to_vec())), &capture)
    }

    #[test]
    fn a15_what_is_passed_on_is_without_what_was_taken_out() {
        let (value, rest) = of(Some(r#"{"data":{"key":"abc","id":1.0},"n":7}"#), HeaderMap::new()).unwrap();
        assert_eq!(value, Some(Json::from("abc")));
        assert_eq!(rest.unwrap().text(), r#"{"data":{"id":1},"n":7}"#);
        for none in
            [r#"{"data":["abc"]}"#, r#"{"key":"abc"}"#, r#""abc""#, "null", r#"{"data":{"Key":"abc"}}"#]
        {
            assert_eq!(of(Some(none), HeaderMap::new()).unwrap().0, None, "{none}");
        }
    }

    #[test]
    fn a15_what_two_readers_could_read_differently_is_not_read() {
        for odd in
            [r#"{"data":{"key":"a","key":"b"}}"#, "{", r#"{"data":{"key":"a"}} {}"#, "\u{feff}{}", "key=abc"]
        {
            assert_eq!(of(Some(odd), HeaderMap::new()), Err(UNREADABLE), "{odd}");
        }
        assert_eq!(of(None, HeaderMap::new()), Err(UNREADABLE), "what is longer than is taken");
        let coded = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert_eq!(of(Some("{}"), coded), Err(UNREADABLE));
    }
}
