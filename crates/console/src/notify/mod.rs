//! Tells the outside of new cards: a signed webhook after Standard Webhooks (<https://www.standardwebhooks.com/>), from
//! the store's outbox. At least once, patiently, and with no effect on any decision: no answer of a receiver is read
//! beyond its status, and none carries authority (T111).

mod sign;

use std::sync::Arc;
use std::time::Duration;

use authority::{Authority, Failed, Notice};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use terms::{Json, Millis, Secret, json};

pub use sign::{Key, NotAKey, signature};

/// Where notifications go.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The receiver's address.
    pub url: String,
    /// What notifications are signed with: `whsec_` and base64.
    pub secret: Secret<String>,
}

/// After each try that failed, how long until the next. After the last one the notification is dropped.
const BACK_OFF: [Millis; 14] = [
    Millis::seconds(5),
    Millis::seconds(20),
    Millis::seconds(60),
    Millis::seconds(3 * 60),
    Millis::seconds(10 * 60),
    Millis::seconds(30 * 60),
    Millis::seconds(3600),
    Millis::seconds(2 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(4 * 3600),
    Millis::seconds(4 * 3600),
    Millis::seconds(3 * 3600),
];

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the outbox is looked into when nothing changes.
const LOOK: Duration = Duration::from_secs(5);

/// Notifications of one look.
const AT_ONCE: u32 = 16;

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Delivers notifications for as long as it is polled. A secret that is none is said once, and nothing is sent.
pub async fn run(authority: Arc<Authority>, webhook: Webhook) {
    let key = match Key::of(&webhook.secret) {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(%error, "notifications are not sent");
            return;
        }
    };
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let http: Http = Client::builder(TokioExecutor::new()).build(connector);
    let mut changes = authority.changes();
    loop {
        if let Err(failed) = look(&authority, &webhook, &key, &http).await {
            tracing::error!(%failed, "the outbox cannot be read");
        }
        // Time is over, or something changed; only when nothing can change any more is there nothing more to send.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK, changes.changed()).await {
            return;
        }
    }
}

async fn look(authority: &Authority, webhook: &Webhook, key: &Key, http: &Http) -> Result<(), Failed> {
    for notice in authority.store().outbox(AT_ONCE).await? {
        let again = match deliver(authority, webhook, key, http, &notice).await {
            Ok(()) => None,
            Err(because) => later(authority, &notice, &because),
        };
        authority.store().notified(notice.id, again).await?;
    }
    Ok(())
}

/// When to try again; `None` to drop it.
fn later(authority: &Authority, notice: &Notice, because: &str) -> Option<terms::Time> {
    let wait = usize::try_from(notice.tries).ok().and_then(|tries| BACK_OFF.get(tries));
    if wait.is_none() {
        tracing::error!(id = notice.id, kind = %notice.kind, because, "a notification is dropped after a day");
    } else {
        tracing::warn!(id = notice.id, kind = %notice.kind, because, "a notification was not taken");
    }
    wait.map(|wait| authority.now().after(*wait))
}

async fn deliver(
    authority: &Authority,
    webhook: &Webhook,
    key: &Key,
    http: &Http,
    notice: &Notice,
) -> Result<(), String> {
    let id = format!("msg_{}_{}", authority.active().install(), notice.id);
    let at = authority.now().millis().div_euclid(1000);
    let page = authority.settings().relying_party.origins.first().map_or("", String::as_str);
    let body = linked(&notice.body, page);
    let request = Request::builder()
        .method(Method::POST)
        .uri(&webhook.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "stepup")
        .header("webhook-id", &id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature(key, &id, at, &body))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answered = tokio::time::timeout(PATIENCE, http.request(request)).await;
    let answer = answered.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
}

/// The text with a link to its card, where it is about a request.
fn linked(body: &str, public_url: &str) -> String {
    let Ok(Json::Object(mut message)) = json::parse(body.as_bytes()) else { return body.to_owned() };
    if let Some(Json::Object(data)) = message.get_mut("data").filter(|_| !public_url.is_empty()) {
        let id = data.get("elevation").and_then(Json::as_str).map(str::to_owned);
        id.map(|id| data.insert("link", format!("{public_url}/r/{id}")));
    }
    Json::Object(message).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_given_up_after_about_a_day() {
        let all: u64 = BACK_OFF.iter().map(|wait| wait.get()).sum();
        assert!((23 * 3_600_000..26 * 3_600_000).contains(&all), "{all}");
    }

    #[test]
    fn a_notification_links_its_card_and_is_else_as_it_was() {
        let body = r#"{"data":{"elevation":"elv_1"},"type":"elevation.opened"}"#;
        let with = linked(body, "https://stepup.example");
        assert_eq!(
            with,
            r#"{"data":{"elevation":"elv_1","link":"https://stepup.example/r/elv_1"},"type":"elevation.opened"}"#
        );
        assert_eq!(linked(body, ""), body);
    }
}
