//! Asking a gateway, as one caller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::Attempt;

/// Bytes of one answer.
const LONGEST: usize = 64 << 10;

/// How long an answer may take beside the wait that was asked for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reports under way at once; more are left out, and what they would have said stays `released`.
const REPORTS: usize = 64;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    operation: String,
    id: String,
    members: Map<String, Value>,
    wait: Option<Duration>,
    once: Option<String>,
}

impl Question {
    /// Whether this operation, `upstream/operation`, may be done to this.
    pub fn new(operation: impl Into<String>, id: impl Into<String>) -> Self {
        let (operation, id) = (operation.into(), id.into());
        Self { operation, id, members: Map::new(), wait: None, once: None }
    }

    /// With this property of the resource.
    #[must_use]
    pub fn resource(self, name: &str, value: impl Into<Value>) -> Self {
        self.property("resource", name, value.into())
    }

    /// With this in the context.
    #[must_use]
    pub fn context(self, name: &str, value: impl Into<Value>) -> Self {
        self.property("context", name, value.into())
    }

    /// With why, as this service says.
    #[must_use]
    pub fn purpose(self, purpose: impl Into<String>) -> Self {
        self.with("purpose", Value::from(purpose.into()))
    }

    /// Under this ticket.
    #[must_use]
    pub fn ticket(self, ticket: impl Into<String>) -> Self {
        self.with("ticket", Value::from(ticket.into()))
    }

    /// Waiting so long for people, where it takes some.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Once, however often it is asked under this name (`Idempotency-Key`).
    #[must_use]
    pub fn once(mut self, name: impl Into<String>) -> Self {
        self.once = Some(name.into());
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    fn property(mut self, place: &str, name: &str, value: Value) -> Self {
        let of = self.members.entry(place).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(of) = of {
            of.insert(name.to_owned(), value);
        }
        self
    }

    fn body(&self) -> String {
        let mut members = self.members.clone();
        members.insert("operation".to_owned(), Value::from(self.operation.as_str()));
        members.insert("id".to_owned(), Value::from(self.id.as_str()));
        Value::Object(members).to_string()
    }
}

/// An address or a key that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAGateway(String);

/// What may not run: what stepup says, for whoever asked for it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// The headers that are the client's: the challenge, where to look, when to come again.
    pub headers: HeaderMap,
    /// A problem in JSON (RFC 9457).
    pub body: String,
}

impl Refused {
    /// As an answer.
    #[must_use]
    pub fn response(self) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// That stepup cannot be asked: nothing runs.
    fn unasked(why: &str) -> Self {
        tracing::warn!(why, "a request was refused because stepup cannot be asked");
        let problem = json!({
            "type": "stepup:error:gateway_unreachable", "status": 503, "slug": "gateway_unreachable",
            "title": "Nobody could be asked whether this may run, so it did not.", "detail": "Try again later.",
        });
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))]);
        Self { status: StatusCode::SERVICE_UNAVAILABLE, headers, body: problem.to_string() }
    }
}

/// Headers of an answer that are told to the client. Our caller's key was not the client's, so neither is a 401 about it.
const TOLD: [&str; 6] =
    ["content-type", "www-authenticate", "retry-after", "stepup-slug", "stepup-link", "preference-applied"];

/// One gateway, as one caller.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    base: String,
    key: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    reports: Arc<Semaphore>,
}

impl Gateway {
    /// The gateway at this address, asked with this key. Plain HTTP is for loopback alone.
    ///
    /// # Errors
    /// [`NotAGateway`] for another address, or a key that no header can hold.
    pub fn new(url: &str, key: &str) -> Result<Self, NotAGateway> {
        let wrong = |why: String| NotAGateway(format!("{url}: {why}"));
        let uri: Uri = url.parse().map_err(|why| wrong(format!("{why}")))?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") if !host.is_empty() => {}
            Some("http") if here => {}
            _ => return Err(wrong("write https, or http for this machine".to_owned())),
        }
        let bearer = Zeroizing::new(format!("Bearer {key}"));
        let mut key =
            HeaderValue::from_str(&bearer).map_err(|_| NotAGateway("that is no caller's key".to_owned()))?;
        key.set_sensitive(true);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(5)));
        let https = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // A question that was sent is not sent again by itself: its answer may have been a yes.
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(https);
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Inner { base, key, client, reports: Arc::new(Semaphore::new(REPORTS)) })))
    }

    /// Asks. A yes is used up by that.
    ///
    /// # Errors
    /// [`Refused`] with what to tell whoever wanted it.
    pub async fn ask(&self, question: &Question) -> Result<Attempt, Refused> {
        let mut headers = HeaderMap::new();
        let wait = question.wait.map(|wait| format!("wait={}", wait.as_secs().max(1)));
        for (name, value) in [("prefer", &wait), ("idempotency-key", &question.once)] {
            let value = value.as_deref().map(HeaderValue::from_str).transpose();
            let value = value.map_err(|_| Refused::unasked("a name that no header can hold"))?;
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        }
        let within = PATIENCE + question.wait.unwrap_or_default();
        let (status, headers, body) = self
            .send("/v1/permits", headers, question.body(), within)
            .await
            .map_err(|why| Refused::unasked(&why))?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let attempt = answer.get("attempt").and_then(Value::as_str);
        match (status, attempt) {
            (StatusCode::OK, Some(attempt)) => Ok(Attempt(attempt.to_owned())),
            (StatusCode::OK, None) => Err(Refused::unasked("what answered is no gateway")),
            // That is between this service and stepup.
            (StatusCode::UNAUTHORIZED, _) if answer.get("elevation").is_none() => {
                Err(Refused::unasked("this service's key is not taken"))
            }
            _ => {
                let told = TOLD
                    .into_iter()
                    .filter_map(|name| Some((HeaderName::from_static(name), headers.get(name)?.clone())));
                Err(Refused { status, headers: told.collect(), body })
            }
        }
    }

    /// Says how an attempt ended, in its own time. Whoever answers does not wait for that.
    pub(crate) fn report(&self, attempt: Attempt, well: bool, says: &str) {
        let Ok(place) = Arc::clone(&self.0.reports).try_acquire_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (gateway, says) = (self.clone(), says.to_owned());
        runtime.spawn(async move {
            let body = json!({ "outcome": if well { "done" } else { "failed" }, "says": says }).to_string();
            let path = format!("/v1/attempts/{}", attempt.0);
            if let Err(why) = gateway.send(&path, HeaderMap::new(), body, PATIENCE).await {
                tracing::warn!(why, "how an attempt ended is not recorded");
            }
            drop(place);
        });
    }

    async fn send(
        &self,
        path: &str,
        headers: HeaderMap,
        body: String,
        within: Duration,
    ) -> Result<(StatusCode, HeaderMap, String), String> {
        let request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.0.base));
        let mut request = request.body(Full::new(Bytes::from(body))).map_err(|why| why.to_string())?;
        request.headers_mut().extend(headers);
        request.headers_mut().insert(AUTHORIZATION, self.0.key.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let asking = async {
            let response = self.0.client.request(request).await.map_err(|why| why.to_string())?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|why| why.to_string())?;
            let body = String::from_utf8(body.to_bytes().to_vec()).map_err(|why| why.to_string())?;
            Ok((parts.status, parts.headers, body))
        };
        tokio::time::timeout(within, asking)
            .await
            .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_over_tls_or_stays_on_this_machine() {
        for url in [
            "http://127.0.0.1:7300",
            "http://localhost:7300/",
            "http://[::1]:7300",
            "https://stepup.example/base",
        ] {
            assert!(Gateway::new(url, "stepup_x").is_ok(), "{url}");
        }
        for url in [
            "http://stepup.example",
            "ftp://localhost",
            "localhost:7300",
            "",
            "http://127.0.0.1.evil.example",
            "https://",
        ] {
            assert!(Gateway::new(url, "stepup_x").is_err(), "{url}");
        }
        assert!(Gateway::new("https://stepup.example", "a\nb").is_err());
    }

    #[test]
    fn a_question_says_what_it_is_about_and_nothing_else() {
        let question =
            Question::new("todo/purge", "7").resource("owner", "rick").context("n", 2).ticket("OPS-7");
        let said: Value = serde_json::from_str(&question.body()).unwrap_or_default();
        assert_eq!(
            said,
            json!({"operation": "todo/purge", "id": "7", "resource": {"owner": "rick"}, "context": {"n": 2}, "ticket": "OPS-7"})
        );
    }
}
