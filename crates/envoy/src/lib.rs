//! Envoy's `ext_authz` over gRPC (`envoy.service.auth.v3`): a proxy that holds a request asks whether it may pass. What is asked is read
//! into the same question as over HTTP and put to the same door; nothing is judged here.
//!
//! **Whatever can be answered is a yes or a no**, and never an error of gRPC, which `failure_mode_allow` would let pass: not what cannot be
//! read, what is too large or too late, nor a fault of ours (T53).

mod answer;
mod question;
mod rpc;
pub mod wire;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use gateway::Gateway;
use http_body_util::{BodyExt, Full, Limited};
use terms::Slug;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use wire::{CheckRequest, CheckResponse};

/// The one method that there is.
pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Bytes of a question: content of the longest that is read, and a quarter as much for everything else.
const LONGEST: usize = terms::json::Limits::REQUEST.bytes / 4 * 5;

/// Questions at once, of all proxies. Each may be of [`LONGEST`]; others wait as long as a question may take.
const AT_ONCE: usize = 256;

/// How long a question may take, from its head to its answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Where Envoy asks.
#[derive(Clone)]
pub struct Door {
    gateway: Gateway,
    places: Arc<Semaphore>,
}

impl Door {
    /// A door that leads to this gateway.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Answers one request of HTTP/2, which `peer` sent.
    pub async fn answer<B>(&self, peer: IpAddr, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.uri().path() != CHECK {
            return Status::unimplemented("ask envoy.service.auth.v3.Authorization/Check").into_http();
        }
        if !self.gateway.hears(peer) {
            return rpc::unread(self.refused(Slug::NotFound).await).await;
        }
        let (head, body) = request.into_parts();
        let answering = AssertUnwindSafe(async {
            let _place = self.places.acquire().await;
            match Limited::new(body, LONGEST).collect().await {
                Ok(whole) => {
                    let request = http::Request::from_parts(head, Full::new(whole.to_bytes()));
                    rpc::unary(request, |check| self.told(peer, check)).await
                }
                Err(_) => rpc::unread(self.refused(Slug::TooLarge).await).await,
            }
        });
        match tokio::time::timeout(WITHIN, answering.catch_unwind()).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => {
                tracing::error!("a question was refused because handling it panicked");
                rpc::unread(self.refused(Slug::Busy).await).await
            }
            Err(_) => rpc::unread(self.refused(Slug::Busy).await).await,
        }
    }

    /// The answer to a question, or to what cannot be read as one.
    async fn told(&self, peer: IpAddr, check: Option<CheckRequest>) -> CheckResponse {
        let Some(check) = check else { return self.refused(Slug::RequestInvalid).await };
        match self.gateway.asked(question::read(check, peer)).await {
            Ok(attempt) => answer::passes(attempt),
            Err(no) => answer::stops(&no),
        }
    }

    async fn refused(&self, slug: Slug) -> CheckResponse {
        let answer = self.gateway.refused(slug).await;
        answer::stops(&answer)
    }
}
