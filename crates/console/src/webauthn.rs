//! What the browser is asked, and what it answers (WebAuthn L3 §5.4, §5.5, §5.1). Bytes travel as base64url.

use authority::{Begun, Human, SignedAssertion};
use passkey::{Algorithm, Registration};
use terms::hash::b64url;
use terms::{Json, Time};

use crate::answer::NotDone;
use crate::asked::Asked;

/// What `navigator.credentials.get()` is asked with.
pub(crate) fn to_get(begun: &Begun, now: Time) -> Json {
    asked(
        begun,
        Json::object([
            ("challenge", Json::from(begun.challenge.as_str())),
            ("rpId", Json::from(begun.rp_id.as_str())),
            ("allowCredentials", credentials(&begun.allow)),
            ("userVerification", Json::from("required")),
            ("timeout", left(begun, now)),
        ]),
    )
}

/// What `navigator.credentials.create()` is asked with.
pub(crate) fn to_create(begun: &Begun, human: &Human, known: &[String], now: Time) -> Json {
    let kind = |algorithm: Algorithm| {
        Json::object([
            ("type", Json::from("public-key")),
            ("alg", Json::from(i64::from(algorithm.cose_id()))),
        ])
    };
    asked(
        begun,
        Json::object([
            ("challenge", Json::from(begun.challenge.as_str())),
            ("rp", Json::object([("id", begun.rp_id.as_str()), ("name", "stepup")])),
            (
                "user",
                Json::object([
                    ("id", b64url(human.id.bytes())),
                    ("name", human.name.clone()),
                    ("displayName", human.name.clone()),
                ]),
            ),
            ("pubKeyCredParams", Json::Array(Algorithm::ALL.map(kind).to_vec())),
            ("attestation", Json::from("none")),
            (
                "authenticatorSelection",
                Json::object([
                    ("residentKey", Json::from("required")),
                    ("requireResidentKey", Json::from(true)),
                    ("userVerification", Json::from("required")),
                ]),
            ),
            ("excludeCredentials", credentials(known)),
            ("timeout", left(begun, now)),
        ]),
    )
}

fn asked(begun: &Begun, options: Json) -> Json {
    Json::object([("nonce", Json::from(begun.nonce.as_str())), ("publicKey", options)])
}

fn credentials(ids: &[String]) -> Json {
    let one = |id: &String| Json::object([("type", "public-key"), ("id", id.as_str())]);
    Json::Array(ids.iter().map(one).collect())
}

fn left(begun: &Begun, now: Time) -> Json {
    Json::from(i64::try_from(begun.not_after.since(now).get()).unwrap_or(i64::MAX))
}

/// What `navigator.credentials.get()` gave.
pub(crate) fn assertion(asked: &Asked) -> Result<SignedAssertion, NotDone> {
    Ok(SignedAssertion {
        nonce: asked.text("nonce")?.to_owned(),
        credential: asked.text("credential")?.to_owned(),
        client_data: asked.bytes("clientDataJSON")?,
        authenticator_data: asked.bytes("authenticatorData")?,
        signature: asked.bytes("signature")?,
        user_handle: if asked.has("userHandle") { Some(asked.bytes("userHandle")?) } else { None },
    })
}

/// What `navigator.credentials.create()` gave.
pub(crate) fn registration(asked: &Asked) -> Result<Registration, NotDone> {
    Ok(Registration {
        client_data_json: asked.bytes("clientDataJSON")?,
        attestation_object: asked.bytes("attestationObject")?,
    })
}
