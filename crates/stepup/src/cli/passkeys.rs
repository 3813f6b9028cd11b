//! `stepup human passkeys` and `stepup human revoke-passkey`: for whoever cannot sign in to do it.

use authority::{Human, Passkey};
use serde_json::json;

use super::caller::done;
use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken, table, when};

/// Characters of a credential id that are shown at least.
const SHOWN: usize = 12;

/// The good passkeys of a person, oldest first.
pub(super) fn list(desk: &Desk, name: &str) -> Spoken {
    let all = of(desk, &person(desk, name)?);
    let shown = shown(&all);
    let (active, now) = (desk.authority.active(), desk.authority.now());
    let signs_from = |one: &Passkey| active.signs_from(&one.credential, now);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let id = one.credential.chars().take(shown).collect();
            let signs = signs_from(one).map_or_else(|| "yes".to_owned(), |at| format!("from {}", when(at)));
            vec![id, called(one).unwrap_or_default(), when(one.enrolled_at), signs]
        })
        .collect();
    let json = all
        .iter()
        .map(|one| {
            json!({ "passkey": one.credential, "name": one.name, "enrolled_at": one.enrolled_at.millis(),
                    "signs_from": signs_from(one).map(terms::Time::millis) })
        })
        .collect::<Vec<_>>();
    let text = if rows.is_empty() {
        format!("{name} has no passkey. Invite them to make one: stepup human invite {name}")
    } else {
        table(&["PASSKEY", "NAME", "ENROLLED", "SIGNS"], &rows)
    };
    Ok(Said::done(text, json!({ "human": name, "passkeys": json })))
}

/// Revokes a passkey; of the last one too, because the operator can invite again.
pub(super) async fn revoke(desk: &Desk, name: &str, typed: &str, why: &str) -> Spoken {
    let human = person(desk, name)?;
    let all = of(desk, &human);
    let passkey = pick(&desk::PASSKEY, typed, &all, |one| vec![one.credential.clone()])?;
    done(desk, desk.authority.revoke_passkey(&passkey.credential, &desk.by.to_string(), why).await?)?;
    let left = of(desk, &human).len();
    let next = if left == 0 && human.disabled_at.is_none() {
        format!("\nIt was the last one. Invite {name} to make another: stepup human invite {name}")
    } else {
        String::new()
    };
    let which = called(passkey).map(|name| format!(" {name:?}")).unwrap_or_default();
    let text = format!("{name}'s passkey{which} is revoked, and {name} is signed out everywhere.{next}");
    Ok(Said::done(text, json!({ "human": name, "passkey": passkey.credential, "left": left })))
}

fn person(desk: &Desk, name: &str) -> Result<Human, Said> {
    let missing = || Said::failed(format!("there is no person named {name}"), "see `stepup human list`");
    desk.authority.active().human_named(name).cloned().ok_or_else(missing)
}

fn of(desk: &Desk, human: &Human) -> Vec<Passkey> {
    let mut all: Vec<Passkey> = desk.authority.active().passkeys_of(human.id).cloned().collect();
    all.sort_by(|a, b| (a.enrolled_at, &a.credential).cmp(&(b.enrolled_at, &b.credential)));
    all
}

/// What its person calls it, so that a terminal shows it as it is.
fn called(passkey: &Passkey) -> Option<String> {
    passkey.name.as_deref().map(|name| terms::text::visible(name).to_string())
}

/// As many characters as tell these apart: some authenticators begin all their ids alike.
fn shown(all: &[Passkey]) -> usize {
    let longest = all.iter().map(|one| one.credential.len()).max().unwrap_or(SHOWN);
    let apart = |length: &usize| {
        let beginnings = all.iter().map(|one| one.credential.get(..*length).unwrap_or(&one.credential));
        beginnings.collect::<std::collections::BTreeSet<_>>().len() == all.len()
    };
    (SHOWN..longest).find(apart).unwrap_or(longest)
}
