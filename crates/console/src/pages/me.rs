//! A person's own things.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use terms::Json;

use super::{frame, who};
use crate::answer::{NoPage, NotDone, done, json, page};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::person::{Person, without_session};
use crate::router::Shared;
use crate::view::{MePage, PasskeyRow, Place};
use crate::webauthn;

/// Characters of a credential's id that tell it from a person's others.
const SHORT: usize = 12;

pub(crate) async fn me(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let (active, now) = (console.authority.active(), console.authority.now());
    let mut passkeys: Vec<_> = active.passkeys_of(person.human.id).collect();
    passkeys.sort_by_key(|key| key.enrolled_at);
    let spare = passkeys.len() > 1;
    let signs = |key: &&&authority::Passkey| active.signs_from(&key.credential, now).is_none();
    let signing = passkeys.iter().filter(signs).count();
    let own = person.human.id.to_string();
    let row = |key: &authority::Passkey| PasskeyRow {
        name: key.name.as_ref().map(Foreign::line),
        short: Foreign::line(key.credential.chars().take(SHORT).collect::<String>()),
        enrolled: When(key.enrolled_at),
        by: (key.enrolled_by != own).then(|| who(&active, &key.enrolled_by)),
        kept: match (key.backup_eligible, key.backed_up) {
            (_, true) => "kept by a passkey manager, may be on several devices",
            (true, false) => "may be copied by a passkey manager, is not yet",
            (false, false) => "on one device only",
        },
        signs: active.signs_from(&key.credential, now).map(|at| Until { at, now }),
        last_that_signs: signing == 1 && active.signs_from(&key.credential, now).is_none(),
        revoke: spare.then(|| Json::object([("credential", key.credential.as_str())]).text()),
    };
    Ok(page(&MePage {
        frame: frame(&console, &person, Place::Me).await?,
        groups: person.groups(&active).iter().map(Foreign::line).collect(),
        passkeys: passkeys.into_iter().map(row).collect(),
        until: Until { at: person.session.until, now },
    }))
}

/// First the new passkey is made; it counts once one that is good already has signed for it.
pub(crate) async fn begin_passkey(
    State(console): State<Shared>,
    person: Person,
    _: Asked,
) -> Result<Response, NotDone> {
    let begun = console.authority.begin_add_passkey(person.human.id, person.session.hash).await?;
    let (begun, human) = begun?;
    let active = console.authority.active();
    let known: Vec<String> = active.passkeys_of(human.id).map(|key| key.credential.clone()).collect();
    Ok(json(StatusCode::OK, &webauthn::to_create(&begun, &human, &known, console.authority.now())))
}

pub(crate) async fn passkey_made(
    State(console): State<Shared>,
    person: Person,
    asked: Asked,
) -> Result<Response, NotDone> {
    let (made, nonce) = (webauthn::registration(&asked)?, asked.text("nonce")?);
    let (human, session) = (person.human.id, person.session.hash);
    let begun = console.authority.vouch_for_passkey(human, session, nonce, &made).await??;
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

pub(crate) async fn add_passkey(
    State(console): State<Shared>,
    person: Person,
    asked: Asked,
) -> Result<Response, NotDone> {
    let (signed, name) = (webauthn::assertion(&asked)?, asked.text("name")?);
    console.authority.add_passkey(person.human.id, person.session.hash, name, &signed).await??;
    Ok(done("Added. It signs you in from now on, and requests once its first 24 hours are over."))
}

pub(crate) async fn revoke_passkey(
    State(console): State<Shared>,
    person: Person,
    asked: Asked,
) -> Result<Response, NotDone> {
    let (credential, why) = (asked.text("credential")?, asked.text("reason")?);
    console.authority.revoke_own_passkey(person.human.id, credential, why).await??;
    Ok(without_session(&console.settings, done("Revoked. Sign in with another one.")))
}

pub(crate) async fn sign_out(
    State(console): State<Shared>,
    person: Person,
    _: Asked,
) -> Result<Response, NotDone> {
    console.authority.sign_out(person.human.id, Some(person.session.hash)).await?;
    Ok(without_session(&console.settings, done("Signed out.")))
}

pub(crate) async fn sign_out_everywhere(
    State(console): State<Shared>,
    person: Person,
    _: Asked,
) -> Result<Response, NotDone> {
    console.authority.sign_out(person.human.id, None).await?;
    Ok(without_session(&console.settings, done("Signed out everywhere.")))
}
