//! The way in: signing in with a passkey, and enrolling the first one.

use std::net::SocketAddr;

use authority::token_hash;
use axum::Extension;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::Response;
use http::StatusCode;

use crate::answer::{NoPage, NotDone, done, json, page, refusal};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::Until;
use crate::person::with_session;
use crate::router::{Console, Shared};
use crate::view::{EnrolPage, SignInPage};
use crate::webauthn;

pub(crate) async fn sign_in_page() -> Response {
    page(&SignInPage { plain: true })
}

pub(crate) async fn begin_sign_in(
    State(console): State<Shared>,
    peer: Peer,
    _: Asked,
) -> Result<Response, NotDone> {
    if let Some(busy) = too_many(&console, peer) {
        return Ok(busy);
    }
    let begun = console.authority.begin_sign_in().await?;
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

pub(crate) async fn sign_in(State(console): State<Shared>, asked: Asked) -> Result<Response, NotDone> {
    let signed = webauthn::assertion(&asked)?;
    let (_, token) = console.authority.sign_in(&signed).await??;
    let seconds = console.authority.settings().session.get() / 1000;
    Ok(with_session(&console.settings, &token, seconds, done("Signed in.")))
}

/// Reading an invitation uses nothing up: a link that a scanner opens is still good.
pub(crate) async fn enrol_page(
    State(console): State<Shared>,
    Path(token): Path<String>,
) -> Result<Response, NoPage> {
    let invite = console.authority.store().invite(token_hash(&token)).await?.ok_or(NoPage::Nothing)?;
    let active = console.authority.active();
    let human = active.human(invite.human).ok_or(NoPage::Nothing)?;
    Ok(page(&EnrolPage {
        person: Foreign::line(&human.name),
        by: super::who(&active, &invite.by),
        until: Until { at: invite.until, now: console.authority.now() },
        action: format!("/enrol/{token}"),
    }))
}

pub(crate) async fn begin_enrol(
    State(console): State<Shared>,
    Path(token): Path<String>,
    peer: Peer,
    _: Asked,
) -> Result<Response, NotDone> {
    if let Some(busy) = too_many(&console, peer) {
        return Ok(busy);
    }
    let (begun, human) = console.authority.begin_enrol(&token).await??;
    let active = console.authority.active();
    let known: Vec<String> = active.passkeys_of(human.id).map(|key| key.credential.clone()).collect();
    Ok(json(StatusCode::OK, &webauthn::to_create(&begun, &human, &known, console.authority.now())))
}

pub(crate) async fn enrol(
    State(console): State<Shared>,
    Path(_): Path<String>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let registration = webauthn::registration(&asked)?;
    let human = console.authority.enrol(asked.text("nonce")?, &registration).await??;
    let token = console.authority.open_session(human, Vec::new()).await??;
    let seconds = console.authority.settings().session.get() / 1000;
    Ok(with_session(&console.settings, &token, seconds, done("Your passkey is enrolled.")))
}

/// The address that a request came from, where the listener knows it.
type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

fn too_many(console: &Console, peer: Peer) -> Option<Response> {
    let address = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    let free = console.strangers.take(address, console.authority.now());
    let says = "Too many people begin to sign in at once. Try again in a minute.";
    (!free).then(|| refusal(StatusCode::TOO_MANY_REQUESTS, says))
}
