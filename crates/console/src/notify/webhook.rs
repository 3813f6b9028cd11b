//! A signed webhook after Standard Webhooks (<https://www.standardwebhooks.com/>). No answer of a receiver is read beyond
//! its status, none leads anywhere else, and none carries authority (T111).

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use terms::Secret;

use super::sign::{Key, NotAKey, signature};

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A receiver of webhooks.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    key: Key,
    http: Http,
}

impl Webhook {
    /// A receiver at an address; `secret` as receivers are given it: `whsec_` and base64.
    ///
    /// # Errors
    /// [`NotAKey`] where the secret is none.
    pub fn new(url: &str, secret: &Secret<String>) -> Result<Self, NotAKey> {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        // Each message goes over a connection of its own: what a receiver left unsaid on the last one is not waited for.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url: url.to_owned(), key: Key::of(secret)?, http })
    }

    /// Posts one message; `at` in seconds since 1970.
    pub(super) async fn post(&self, id: &str, at: i64, body: &str) -> Result<(), String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "stepup")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature(&self.key, id, at, body))
            .body(Full::new(Bytes::from(body.to_owned())))
            .map_err(|_| "the address cannot be asked".to_owned())?;
        let answer = self.http.request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {}", status.as_u16())) }
    }
}
