//! What an address names by its id. An address that names nothing is the same 404 as one of what is not this
//! person's: a page to those who read, a sentence to those who post.

use std::str::FromStr;

use authority::NotCounted;
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::request::Parts;

use crate::answer::{NoPage, NotDone};

/// The id in an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        let named = text.and_then(|Path(text)| text.parse().ok());
        named.map(Self).ok_or_else(|| match parts.method {
            Method::GET | Method::HEAD => NoPage::Nothing.into_response(),
            _ => NotDone::NotCounted(NotCounted::NotFound).into_response(),
        })
    }
}
