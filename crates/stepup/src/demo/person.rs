//! The person of the demo: somebody at the screen, or, unattended, a software authenticator that goes through
//! the same pages (decisions B14). The latter exists in a demo's store only.

use aws_lc_rs::rand::SystemRandom;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use passkey::SoftAuthenticator;
use serde_json::{Value, json};
use terms::hash::{b64url, from_b64url};
use terms::{ElevationId, LockId, Secret};

use super::agent::Trouble;

/// Who answers.
pub enum Person {
    /// Somebody at the screen; the terminal says what to do.
    AtTheScreen {
        /// The people's listener.
        url: String,
        /// The invitation, until it was used.
        invitation: Secret<String>,
    },
    /// A software authenticator behind the same pages.
    Software(Box<Software>),
}

/// The software authenticator with its session.
pub struct Software {
    browser: Browser,
    authenticator: SoftAuthenticator,
}

impl Person {
    /// Somebody at the screen.
    #[must_use]
    pub fn at_the_screen(url: &str, invitation: &Secret<String>) -> Self {
        Self::AtTheScreen { url: url.to_owned(), invitation: invitation.clone() }
    }

    /// Enrols a software authenticator.
    ///
    /// # Errors
    /// When the pages do not take it.
    pub async fn software(url: &str, invitation: &Secret<String>) -> Result<Self, Trouble> {
        let authenticator = SoftAuthenticator::new(&SystemRandom::new())?;
        let mut browser = Browser::at(url);
        let page = format!("/enrol/{}", invitation.expose());
        let (nonce, rp_id, challenge) = browser.ceremony(&page, &json!({})).await?;
        let made = authenticator.create(&rp_id, url, &challenge)?;
        let body = json!({
            "nonce": nonce, "clientDataJSON": b64url(&made.client_data_json),
            "attestationObject": b64url(&made.attestation_object),
        });
        browser.post(&page, &body).await?;
        Ok(Self::Software(Box::new(Software { browser, authenticator })))
    }

    /// What the terminal says when something is to be approved.
    #[must_use]
    pub fn to_approve(&self, id: ElevationId, words: &str) -> String {
        match self {
            Self::AtTheScreen { url, invitation } => format!(
                "Now you are the approver. First make a passkey:\n\n    {url}/enrol/{}\n\nThen look at the request, and approve it:\n\n    {url}/r/{id}\n    four words: {words}\n",
                invitation.expose()
            ),
            Self::Software(_) => String::new(),
        }
    }

    /// What the terminal says when something is to be rejected.
    #[must_use]
    pub fn to_reject(&self, id: ElevationId, words: &str) -> String {
        match self {
            Self::AtTheScreen { url, .. } => format!(
                "A release candidate, to production. Reject it, and say why:\n\n    {url}/r/{id}\n    four words: {words}\n"
            ),
            Self::Software(_) => String::new(),
        }
    }

    /// What the terminal says when a lock is to be lifted.
    #[must_use]
    pub fn to_unlock(&self, lock: LockId) -> String {
        match self {
            Self::AtTheScreen { url, .. } => {
                format!(
                    "release-bot is locked: not even reading runs. Lift the lock with your passkey:\n\n    {url}/locks#{lock}\n"
                )
            }
            Self::Software(_) => String::new(),
        }
    }

    /// Approves; somebody at the screen does it there.
    ///
    /// # Errors
    /// When the pages do not take it.
    pub async fn approve(&mut self, id: ElevationId) -> Result<(), Trouble> {
        let Self::Software(software) = self else { return Ok(()) };
        let page = format!("/r/{id}");
        let card = software.browser.card(&page).await?;
        self.sign(&page, "vote", json!({ "card": card })).await
    }

    /// Rejects; somebody at the screen does it there.
    ///
    /// # Errors
    /// When the pages do not take it.
    pub async fn reject(&mut self, id: ElevationId, reason: &str) -> Result<(), Trouble> {
        let Self::Software(software) = self else { return Ok(()) };
        software.browser.post(&format!("/r/{id}/reject"), &json!({ "reason": reason })).await?;
        Ok(())
    }

    /// Lifts a lock; somebody at the screen does it there.
    ///
    /// # Errors
    /// When the pages do not take it.
    pub async fn unlock(&mut self, lock: LockId) -> Result<(), Trouble> {
        self.sign(&format!("/locks/{lock}"), "unlock", json!({ "reason": "seen enough" })).await
    }

    /// A ceremony on a page, and the act that it signs.
    async fn sign(&mut self, page: &str, act: &str, mut body: Value) -> Result<(), Trouble> {
        let Self::Software(software) = self else { return Ok(()) };
        let Software { browser, authenticator } = software.as_mut();
        let (nonce, rp_id, challenge) = browser.ceremony(page, &body).await?;
        let made = authenticator.get(&rp_id, &browser.url, &challenge)?;
        let signed = json!({
            "nonce": nonce, "credential": b64url(&made.credential_id),
            "clientDataJSON": b64url(&made.client_data_json),
            "authenticatorData": b64url(&made.authenticator_data),
            "signature": b64url(&made.signature), "userHandle": Value::Null,
        });
        if let (Some(members), Value::Object(more)) = (body.as_object_mut(), signed) {
            members.extend(more);
        }
        browser.post(&format!("{page}/{act}"), &body).await?;
        Ok(())
    }
}

/// What of a browser the pages need: an origin and a cookie.
struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    cookie: Option<String>,
}

impl Browser {
    fn at(url: &str) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url: url.to_owned(), cookie: None }
    }

    /// Begins a ceremony: its nonce, the relying party's id, the challenge.
    async fn ceremony(&mut self, page: &str, body: &Value) -> Result<(String, String, Vec<u8>), Trouble> {
        let begun = self.post(&format!("{page}/ceremony"), body).await?;
        let text = |pointer: &str| begun.pointer(pointer).and_then(Value::as_str);
        let rp_id = text("/publicKey/rpId").or_else(|| text("/publicKey/rp/id"));
        let challenge = text("/publicKey/challenge").and_then(from_b64url);
        match (text("/nonce"), rp_id, challenge) {
            (Some(nonce), Some(rp_id), Some(challenge)) => {
                Ok((nonce.to_owned(), rp_id.to_owned(), challenge))
            }
            _ => Err(format!("{page} began no ceremony: {begun}").into()),
        }
    }

    /// Looks at a request's page, and says which card it shows: what is signed is what was seen.
    async fn card(&mut self, page: &str) -> Result<String, Trouble> {
        let text = self.send(Method::GET, page, Bytes::new()).await?;
        let shown = text.split_once("data-card=\"").and_then(|(_, rest)| rest.split_once('"'));
        shown.map(|(card, _)| card.to_owned()).ok_or_else(|| format!("{page} shows no card").into())
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Trouble> {
        let text = self.send(Method::POST, path, Bytes::from(body.to_string())).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<String, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("origin", &self.url)
            .header("content-type", "application/json");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = self.client.request(request.body(Full::new(body))?).await?;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = cookie.to_str()?.split(';').next().map(str::to_owned);
        }
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() { Ok(text) } else { Err(format!("{path}: {status}: {text}").into()) }
    }
}
