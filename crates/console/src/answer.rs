//! Answers: pages to those who read, JSON to those who post.

use askama::Template;
use authority::{Failed, NotCounted};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use terms::Json;

use crate::view::ProblemPage;

/// A page.
pub(crate) fn page(page: &impl Template) -> Response {
    page_with(StatusCode::OK, page)
}

pub(crate) fn page_with(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that says what is wrong and what to do.
pub(crate) fn problem(status: StatusCode, title: &'static str, todo: &'static str) -> Response {
    page_with(status, &ProblemPage { title, todo })
}

/// What is told of what is not there, whether it never was or is for others.
pub(crate) fn nothing() -> Response {
    let title = "There is nothing here for you.";
    problem(StatusCode::NOT_FOUND, title, "It may be gone, or for other people to see.")
}

/// JSON for the script.
pub(crate) fn json(status: StatusCode, body: &Json) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.text())
        .into_response()
}

/// Done; `says` is for the person.
pub(crate) fn done(says: &str) -> Response {
    json(StatusCode::OK, &Json::object([("says", says)]))
}

/// Not done, and why, for the person.
pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    json(status, &Json::object([("error", why)]))
}

/// Not done because what is shown is not what is; the script looks again.
pub(crate) fn look_again(status: StatusCode, why: &str) -> Response {
    json(status, &Json::object([("error", Json::from(why)), ("again", Json::from(true))]))
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum NoPage {
    /// Nothing here for this person.
    Nothing,
    /// The store does not answer.
    Failed(Failed),
}

/// Why a post did nothing.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// Authority says why.
    NotCounted(NotCounted),
    /// The body is not what this address takes.
    Malformed,
    /// The store does not answer.
    Failed(Failed),
}

impl From<Failed> for NoPage {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<Failed> for NotDone {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<NotCounted> for NotDone {
    fn from(refused: NotCounted) -> Self {
        Self::NotCounted(refused)
    }
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        match self {
            Self::Nothing => nothing(),
            Self::Failed(failed) => {
                tracing::error!(%failed, "a page cannot be read");
                let title = "stepup cannot read its store.";
                problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    title,
                    "Nothing runs meanwhile. Try again in a moment.",
                )
            }
        }
    }
}

impl IntoResponse for NotDone {
    fn into_response(self) -> Response {
        match self {
            Self::NotCounted(refused @ NotCounted::NotFound) => {
                refusal(StatusCode::NOT_FOUND, &refused.to_string())
            }
            Self::NotCounted(refused) => look_again(StatusCode::CONFLICT, &refused.to_string()),
            Self::Malformed => {
                refusal(StatusCode::BAD_REQUEST, "The page sent something else than it should.")
            }
            Self::Failed(failed) => {
                tracing::error!(%failed, "an act of a person cannot be recorded");
                let why = "stepup cannot record it, so it does not count. Try again in a moment.";
                refusal(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }
}
