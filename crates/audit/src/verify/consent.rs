//! What people signed: that a vote is about this elevation, this access, this card and this requirement, and that a
//! passkey of that person signed it.

use terms::hash::{b64url, from_b64url};
use terms::statement::{Consent, Matter, Role, Statement};
use terms::words::words;
use terms::{Access, CardHash, ElevationId, HumanId, Json, Time};

use super::life::Life;
use super::{Asserted, Wrong, must, surely_after};
use crate::body::{Challenged, Signed, Voted, subject_hash};

/// One signature: by whom, with what, of what.
struct Signature<'a> {
    at: Time,
    human: HumanId,
    credential: &'a str,
    statement: &'a Statement,
    assertion: &'a Json,
}

/// A vote against what it is about. Of an elevation whose `challenged` was erased only the vote itself is checked.
pub(super) fn vote(
    life: &mut Life<'_>,
    at: Time,
    elevation: ElevationId,
    challenged: Option<&Challenged>,
    vote: &Voted,
) -> Result<Role, Wrong> {
    let Matter::Consent(consent) = &vote.statement.matter else {
        return Err("what was signed is not consent to an elevation".into());
    };
    must(consent.elevation == elevation, "what was signed is consent to another elevation")?;
    must(
        CardHash::of(&vote.card) == consent.card_hash,
        "the card in the record is not the one that was signed",
    )?;
    if let Some(challenged) = challenged {
        consent_is_to(challenged, elevation, consent, &vote.card)?;
        let behind = challenged.caller.roots.contains(&vote.root);
        must(
            behind || consent.role == Role::Approver,
            "an owner's confirmation is by somebody who is no owner",
        )?;
        must(
            !behind || consent.role == Role::Owner,
            "an approval is by somebody who stands behind the caller",
        )?;
        must(!surely_after(at, challenged.expires_at), "the vote was given after the elevation had expired")?;
    }
    let Voted { human, credential, statement, assertion, .. } = vote;
    signed(life, &Signature { at, human: *human, credential, statement, assertion })?;
    Ok(consent.role)
}

/// Invariant 6: what was signed, shown and asked for are the same.
fn consent_is_to(
    challenged: &Challenged,
    elevation: ElevationId,
    consent: &Consent,
    card: &Json,
) -> Result<(), Wrong> {
    must(consent.access_hash == challenged.access_hash, "what was signed is consent to another access")?;
    must(
        consent.requirement_hash == challenged.requirement_hash,
        "what was signed is consent under another requirement",
    )?;
    must(consent.terms == challenged.requirement.terms, "what was signed is consent to other terms")?;
    must(
        card.get("grants") == Some(&consent.terms.to_json()),
        "the card shows other terms than were signed",
    )?;
    let shown: Option<Vec<_>> =
        card.get("words").and_then(Json::as_array).map(|w| w.iter().filter_map(Json::as_str).collect());
    must(
        shown.is_some_and(|shown| shown == words(elevation, consent.access_hash)),
        "the card shows the words of another request",
    )?;
    let access = Access::from_json(&challenged.access).ok_or("its elevation's access is not one")?;
    let none: &[Json] = &[];
    let shown = card.get("fields").and_then(Json::as_array).unwrap_or(none);
    let mut arguments = terms::card::fields(&access).into_iter();
    must(
        arguments.all(|argument| {
            shown.iter().any(|field| {
                field.get("pointer").and_then(Json::as_str) == Some(argument.pointer.to_string().as_str())
                    && field.get("value").and_then(Json::as_str) == Some(argument.value.as_str())
            })
        }),
        "the card does not show every argument of what was signed",
    )
}

/// An act other than consent: its name, and what it is done to.
pub(super) fn act(
    life: &mut Life<'_>,
    at: Time,
    name: &str,
    names: (&str, String),
    signed_act: &Signed,
) -> Result<(), Wrong> {
    let Matter::Act { act, subject_hash: hash } = &signed_act.statement.matter else {
        return Err(format!("what was signed is not the act {name}").into());
    };
    must(act == name, "what was signed is another act")?;
    must(
        *hash == subject_hash(&signed_act.subject),
        "the subject in the record is not the one that was signed",
    )?;
    let (member, id) = names;
    let subject = signed_act.subject.get(member).and_then(Json::as_str);
    must(subject == Some(&id), "what was signed is this act on something else")?;
    let Signed { human, credential, statement, assertion, .. } = signed_act;
    signed(life, &Signature { at, human: *human, credential, statement, assertion })
}

/// That the person's own passkey, enrolled before and not revoked, signed this statement, once, in this installation.
fn signed(life: &mut Life<'_>, signature: &Signature<'_>) -> Result<(), Wrong> {
    let Signature { at, human, credential, statement, assertion } = *signature;
    must(statement.install == life.install, "what was signed is for another installation")?;
    must(statement.approver == human, "what was signed is by another person")?;
    must(
        statement.credential.is_empty() || statement.credential == credential,
        "what was signed is for another passkey",
    )?;
    must(!surely_after(at, statement.expires), "it was signed after the statement had expired")?;
    must(life.nonces.insert(statement.nonce.clone()), "what was signed had been used before")?;
    let challenge = statement.challenge();
    let client_data = assertion.get("clientDataJSON").and_then(Json::as_str).and_then(from_b64url);
    let client_data = client_data.and_then(|bytes| terms::json::parse(&bytes).ok());
    let client_data = client_data.ok_or("its assertion has no client data")?;
    let says = |name: &str| client_data.get(name).and_then(Json::as_str);
    must(says("type") == Some("webauthn.get"), "its assertion is of another ceremony")?;
    must(
        says("challenge") == Some(&b64url(challenge.bytes())),
        "its assertion signs another statement than the one in the record",
    )?;
    let passkey = life.passkeys.get(credential).ok_or("its passkey was never enrolled")?;
    must(!passkey.revoked, "its passkey had been revoked")?;
    must(passkey.enrolled.human == human, "its passkey is another person's")?;
    let rp = life.rp.as_ref().ok_or("no record says for whom passkeys are made")?;
    let asserted = Asserted { challenge, rp, passkey: &passkey.enrolled, assertion };
    life.assertions.check(&asserted).map_err(|why| format!("its assertion is refused: {why}"))?;
    life.signatures += 1;
    Ok(())
}
