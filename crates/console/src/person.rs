//! Who is signed in. A session shows and takes power away; it never gives any: for that a passkey signs each act
//! (T100, decisions A19).

use std::collections::BTreeSet;

use authority::{Active, Failed, Human, Session};
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use terms::{CallerId, Secret};

use crate::answer::{NoPage, NotDone, look_again, page, page_with};
use crate::router::{Console, Shared};
use crate::settings::Settings;
use crate::view::{BouncePage, SignInPage};

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Who.
    pub(crate) human: Human,
    /// By which session.
    pub(crate) session: Session,
    /// How far changes were counted before anything was read for this request.
    pub(crate) seen: u64,
}

/// Groups whose members read everything.
const READERS: [&str; 2] = ["admins", "auditors"];

impl Person {
    /// The groups that the person is in.
    pub(crate) fn groups(&self, active: &Active) -> BTreeSet<String> {
        active.groups_of(self.human.root)
    }

    /// Whether the person may read the whole log, arguments of everyone's calls included (T112).
    pub(crate) fn reads_all(&self, active: &Active) -> bool {
        let groups = self.groups(active);
        READERS.iter().any(|group| groups.contains(*group))
    }

    /// Whether the person may ask what a caller would need: whoever stands behind it, and who reads everything. The answer names
    /// the people who could approve (rfd 33).
    pub(crate) fn may_ask_about(&self, active: &Active, caller: CallerId) -> bool {
        let caller = active.authenticated(caller);
        caller.is_some_and(|caller| caller.roots.contains(&self.human.root) || self.reads_all(active))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let person = parts.extensions.get::<Self>().cloned();
        person.ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
    }
}

/// Lets in whoever is signed in; all others see the same, whatever they asked for.
pub(crate) async fn signed_in(State(console): State<Shared>, mut request: Request, next: Next) -> Response {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let tokens = tokens(&console.settings, request.headers());
    let seen = *console.authority.changes().borrow();
    match session(&console, &tokens).await {
        Ok(Some((human, session))) => {
            request.extensions_mut().insert(Person { human, session, seen });
            next.run(request).await
        }
        Ok(None) if tokens.is_empty() && reading && from_elsewhere(request.headers()) => {
            page(&BouncePage { path: request.uri().path().to_owned() })
        }
        Ok(None) if reading => page_with(StatusCode::UNAUTHORIZED, &SignInPage { plain: false }),
        Ok(None) => look_again(StatusCode::UNAUTHORIZED, "You are not signed in any more. Nothing was done."),
        Err(failed) if reading => NoPage::Failed(failed).into_response(),
        Err(failed) => NotDone::Failed(failed).into_response(),
    }
}

/// A link was followed from another site, from where the cookie does not travel.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
        && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

/// Cookies of our name that are looked at. There is one, and then some that others set on this host: a browser sends
/// them along and does not say whose they are (RFC 6265 §8.6).
const TRIED: usize = 4;

/// What stands in cookies of our name.
fn tokens(settings: &Settings, headers: &HeaderMap) -> Vec<Secret<String>> {
    let name = settings.cookie();
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let ours = pairs.filter(|(of, _)| *of == name).take(TRIED);
    ours.map(|(_, value)| Secret::new(value.to_owned())).collect()
}

/// The session of these tokens that is good. Where they are of two people, nobody is signed in: a cookie that somebody
/// slipped in does not decide as whom a person acts.
async fn session(console: &Console, tokens: &[Secret<String>]) -> Result<Option<(Human, Session)>, Failed> {
    let mut good: Option<(Human, Session)> = None;
    for token in tokens {
        match (console.authority.session(token.expose()).await?, &good) {
            (Some(found), None) => good = Some(found),
            (Some((human, _)), Some((other, _))) if human.id != other.id => return Ok(None),
            (Some(_) | None, _) => {}
        }
    }
    Ok(good)
}

/// Answers with a new session's cookie.
pub(crate) fn with_session(
    settings: &Settings,
    token: &Secret<String>,
    seconds: u64,
    mut answer: Response,
) -> Response {
    set_cookie(settings, token.expose(), seconds, &mut answer);
    answer
}

/// Answers with a cookie that is over.
pub(crate) fn without_session(settings: &Settings, mut answer: Response) -> Response {
    set_cookie(settings, "", 0, &mut answer);
    answer
}

fn set_cookie(settings: &Settings, token: &str, seconds: u64, answer: &mut Response) {
    let (name, secure) = (settings.cookie(), if settings.tls() { "; Secure" } else { "" });
    let cookie = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
}
