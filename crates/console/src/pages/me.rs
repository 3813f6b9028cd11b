//! A person's own things.

use axum::extract::State;
use axum::response::Response;

use super::{frame, who};
use crate::answer::{NoPage, NotDone, done, page};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::person::{Person, without_session};
use crate::router::Shared;
use crate::view::{MePage, PasskeyRow, Place};

/// Characters of a credential's id that tell it from a person's others.
const SHORT: usize = 12;

pub(crate) async fn me(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let active = console.authority.active();
    let mut passkeys: Vec<_> = active.passkeys_of(person.human.id).collect();
    passkeys.sort_by_key(|key| key.enrolled_at);
    let row = |key: &authority::Passkey| PasskeyRow {
        short: Foreign::line(key.credential.chars().take(SHORT).collect::<String>()),
        enrolled: When(key.enrolled_at),
        by: who(&active, &key.enrolled_by),
        kept: match (key.backup_eligible, key.backed_up) {
            (_, true) => "kept by a passkey manager, may be on several devices",
            (true, false) => "may be copied by a passkey manager, is not yet",
            (false, false) => "on one device only",
        },
    };
    Ok(page(&MePage {
        frame: frame(&console, &person, Place::Me).await?,
        groups: person.groups(&active).iter().map(Foreign::line).collect(),
        passkeys: passkeys.into_iter().map(row).collect(),
        until: Until { at: person.session.until, now: console.authority.now() },
    }))
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
