//! What a page posts: one strict JSON object, small and soon.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use terms::hash::from_b64url;
use terms::{Json, json};

use crate::answer::{NotDone, refusal};

/// Bytes of one body; a signature with its client data takes a tenth of it.
const BYTES: usize = 64 << 10;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The members of one body.
#[derive(Debug)]
pub(crate) struct Asked(Json);

impl Asked {
    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, NotDone> {
        self.0.get(name).and_then(Json::as_str).ok_or(NotDone::Malformed)
    }

    /// Bytes as base64url.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, NotDone> {
        from_b64url(self.text(name)?).ok_or(NotDone::Malformed)
    }

    /// Whether there is a member other than null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|member| !member.is_null())
    }

    /// A yes; whatever else is a no.
    pub(crate) fn yes(&self, name: &str) -> bool {
        self.0.get(name).and_then(Json::as_bool) == Some(true)
    }
}

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let read = tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), BYTES)).await;
        let Ok(read) = read else {
            return Err(refusal(StatusCode::REQUEST_TIMEOUT, "The request took too long. Nothing was done."));
        };
        let Ok(bytes) = read else {
            return Err(refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is too large. Nothing was done.",
            ));
        };
        let parsed = json::parse(&bytes).ok().filter(|body| body.as_object().is_some());
        parsed.map(Self).ok_or_else(|| NotDone::Malformed.into_response())
    }
}
