//! In process: a [`tower`] layer with which a Rust service asks stepup before it does something, over `POST /v1/permits`, as the caller
//! whose key it has. It knows nothing of stepup's own crates, and so stands in any service.
//!
//! ```no_run
//! use layer::{Gateway, Guard, Question, Wants};
//! # fn service() -> axum::Router {
//! let gateway = Gateway::new("https://stepup.internal", "stepup_…").expect("an address and a key");
//! let guard = Guard::new(gateway, |request: &http::request::Parts| match request.uri.path() {
//!     "/health" => Wants::Nothing,
//!     path => Wants::Permit(Question::new("todo/change", path)),
//! });
//! axum::Router::new().layer(guard)
//! # }
//! ```
//!
//! What may not run never reaches the service: its client is told what stepup says, status, problem and headers. Where stepup cannot be asked,
//! nothing runs. The attempt is in the request's extensions ([`Attempt`]), and how it ended is reported by the status of the answer.

mod gateway;

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, request::Parts};
use tower::{Layer, Service};

pub use gateway::{Gateway, NotAGateway, Question, Refused};

/// What a request wants of stepup.
#[derive(Clone, Debug, PartialEq)]
pub enum Wants {
    /// Nothing: it may always run.
    Nothing,
    /// A permit.
    Permit(Question),
}

/// The attempt that a request runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt(pub String);

/// Asks before a service is called.
#[derive(Clone)]
pub struct Guard<F> {
    gateway: Gateway,
    wants: Arc<F>,
}

impl<F: Fn(&Parts) -> Wants> Guard<F> {
    /// A guard that asks there, and for what each request wants. What that rests on is the head of a request alone.
    pub fn new(gateway: Gateway, wants: F) -> Self {
        Self { gateway, wants: Arc::new(wants) }
    }
}

impl<F, S> Layer<S> for Guard<F> {
    type Service = Guarded<F, S>;

    fn layer(&self, inner: S) -> Guarded<F, S> {
        Guarded { gateway: self.gateway.clone(), wants: Arc::clone(&self.wants), inner }
    }
}

/// A service behind a [`Guard`].
pub struct Guarded<F, S> {
    gateway: Gateway,
    wants: Arc<F>,
    inner: S,
}

impl<F, S: Clone> Clone for Guarded<F, S> {
    fn clone(&self) -> Self {
        Self { gateway: self.gateway.clone(), wants: Arc::clone(&self.wants), inner: self.inner.clone() }
    }
}

/// What a service answers in its own time.
type Answering<R, E> = std::pin::Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<F, S, B, R> Service<Request<B>> for Guarded<F, S>
where
    F: Fn(&Parts) -> Wants + Send + Sync + 'static,
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answering<Response<R>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let wants = (self.wants)(&parts);
        // The one that is ready is called; its clone is made ready for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let gateway = self.gateway.clone();
        Box::pin(async move {
            let Wants::Permit(question) = wants else {
                return inner.call(Request::from_parts(parts, body)).await;
            };
            let attempt = match gateway.ask(&question).await {
                Ok(attempt) => attempt,
                Err(refused) => return Ok(refused.response().map(R::from)),
            };
            parts.extensions.insert(attempt.clone());
            let unsaid = Unsaid(Some((gateway, attempt)));
            let answered = inner.call(Request::from_parts(parts, body)).await;
            match &answered {
                Ok(answer) => unsaid
                    .say(answer.status().as_u16() < 400, &format!("status {}", answer.status().as_u16())),
                Err(_) => unsaid.say(false, "it failed"),
            }
            answered
        })
    }
}

/// The duty to say how an attempt ended: a request that is given up has failed, as far as this service knows.
struct Unsaid(Option<(Gateway, Attempt)>);

impl Unsaid {
    fn say(mut self, well: bool, says: &str) {
        if let Some((gateway, attempt)) = self.0.take() {
            gateway.report(attempt, well, says);
        }
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        if let Some((gateway, attempt)) = self.0.take() {
            gateway.report(attempt, false, "it was given up before it had answered");
        }
    }
}
