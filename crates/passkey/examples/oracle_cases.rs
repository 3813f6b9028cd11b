//! Prints registrations and assertions with our verdict, one JSON object a line, for
//! `tests/oracle/webauthn_oracle.py` to hold against other people's verifiers.
//!
//! Each case has a `rule`: the one thing that is different about it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

#[path = "../tests/forge/mod.rs"]
mod forge;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forge::{
    AT, Attestation, BE, BS, CHALLENGE, ED, Forge, ORIGIN, RP_ID, Signer, UP, USER_HANDLE, UV, packed,
    relying_party,
};
use passkey::{Algorithm, Assertion, Registration, Stored, assert, register};
use serde_json::{Value, json};

/// One difference from a good ceremony.
type Rule = (&'static str, fn(&mut Forge));

/// What may differ in either ceremony.
const EITHER: &[Rule] = &[
    ("good", |_| {}),
    ("good: backed up", |f| f.flags |= BE | BS),
    ("good: extensions", |f| {
        f.flags |= ED;
        f.tail = b"\xa1\x6bcredProtect\x02".to_vec();
    }),
    ("good: no crossOrigin member", |f| f.members = ""),
    ("good: unknown member", |f| f.members = r#","crossOrigin":false,"later":{"a":[1,null]}"#),
    ("user not present", |f| f.flags &= !UP),
    ("user not verified", |f| f.flags &= !UV),
    ("backed up but not eligible", |f| f.flags |= BS),
    ("another rp id", |f| f.rp_id = "other.example".to_owned()),
    ("another origin", |f| f.origin = "https://other.example".to_owned()),
    ("origin is a prefix", |f| f.origin = format!("{ORIGIN}.evil.example")),
    ("origin of a subdomain", |f| f.origin = "https://sub.stepup.example".to_owned()),
    ("another challenge", |f| f.challenge = vec![1; 32]),
    ("another type", |f| f.type_ = Some("payment.get")),
    ("cross origin", |f| f.members = r#","crossOrigin":true"#),
    ("top origin", |f| f.members = r#","topOrigin":"https://a.example""#),
    ("member twice", |f| f.members = r#","crossOrigin":false,"crossOrigin":false"#),
    ("trailing authenticator data", |f| f.tail = vec![0x00]),
];

/// What may differ in a registration only.
const REGISTRATION: &[Rule] = &[
    ("good: self attestation", |f| f.attestation = Attestation::PackedSelf),
    ("good: credential id of 1023 bytes", |f| f.credential_id = vec![7; 1023]),
    ("credential id of 1024 bytes", |f| f.credential_id = vec![7; 1024]),
    ("none with a statement", |f| f.attestation = Attestation::Literal("none", packed(-7, &[1; 70]))),
    ("unknown attestation format", |f| f.attestation = Attestation::Literal("unknown", vec![0xa0])),
    ("self attestation names another algorithm", |f| {
        f.attestation = Attestation::Literal("packed", packed(-36, &[1; 70]));
    }),
    ("self attestation not signed", |f| {
        let elsewhere = f.signer.sign(b"another message");
        f.attestation = Attestation::Literal("packed", packed(f.signer.algorithm().cose_id(), &elsewhere));
    }),
];

/// What may differ in an assertion only; the store has counted to 5.
const ASSERTION: &[Rule] = &[
    ("backup eligibility gained", |f| f.flags |= BE),
    ("counter equal", |f| f.sign_count = 5),
    ("counter lower", |f| f.sign_count = 4),
    ("counter gone", |f| f.sign_count = 0),
    ("good: counter jumps", |f| f.sign_count = u32::MAX),
    ("user handle of another", |f| f.user_handle = Some(b"human-8".to_vec())),
    ("good: user handle", |f| f.user_handle = Some(USER_HANDLE.to_vec())),
    ("signed by another key", |f| f.signer = Signer::new(f.signer.algorithm())),
];

fn main() {
    for algorithm in Algorithm::ALL {
        for (rule, change) in EITHER.iter().chain(REGISTRATION) {
            let mut forge = Forge::new(algorithm);
            change(&mut forge);
            print_registration(rule, algorithm, &forge, &forge.registration());
        }
        for (rule, change) in EITHER.iter().chain(ASSERTION) {
            let (mut forge, stored) = enrolled(algorithm, rule);
            change(&mut forge);
            print_assertion(rule, algorithm, &stored, &forge.assertion());
        }
        print_damaged(algorithm);
    }
}

/// A credential counted to 5, and its authenticator about to say 6.
fn enrolled(algorithm: Algorithm, rule: &str) -> (Forge, Stored) {
    let flags = if rule == "good: backed up" { UP | UV | BE } else { UP | UV };
    let mut forge = Forge { sign_count: 5, flags, ..Forge::new(algorithm) };
    let credential = register(&relying_party(), &CHALLENGE, &forge.registration()).unwrap();
    forge.sign_count = 6;
    (forge, Stored { credential, user_handle: USER_HANDLE.to_vec() })
}

/// Damage done after signing.
fn print_damaged(algorithm: Algorithm) {
    let (forge, stored) = enrolled(algorithm, "good");
    let good = forge.assertion();
    for at in [0, 20, good.signature.len() - 1] {
        let mut damaged = good.clone();
        damaged.signature[at] ^= 1;
        print_assertion("signature damaged", algorithm, &stored, &damaged);
    }
    for at in [33, 36] {
        let mut damaged = good.clone();
        damaged.authenticator_data[at] ^= 0x80;
        print_assertion("authenticator data damaged", algorithm, &stored, &damaged);
    }
    let mut damaged = good.clone();
    damaged.client_data_json.push(b' ');
    print_assertion("client data damaged", algorithm, &stored, &damaged);
    let short = forge.assertion_with(good.authenticator_data[..36].to_vec());
    print_assertion("authenticator data short", algorithm, &stored, &short);

    let forge = Forge::new(algorithm);
    let bare = forge.registration_with(UP | UV);
    print_registration("no credential", algorithm, &forge, &bare);
    let whole = forge.registration_with(UP | UV | AT);
    for cut in [1, 40, 100] {
        let mut short = whole.clone();
        short.attestation_object.truncate(whole.attestation_object.len() - cut);
        print_registration(&format!("attestation object short by {cut}"), algorithm, &forge, &short);
    }
    let mut long = whole;
    long.attestation_object.push(0);
    print_registration("attestation object trailing", algorithm, &forge, &long);
}

fn print_registration(rule: &str, algorithm: Algorithm, forge: &Forge, response: &Registration) {
    let verdict = register(&relying_party(), &CHALLENGE, response);
    print(json!({
        "ceremony": "registration", "rule": rule, "algorithm": format!("{algorithm:?}"),
        "id": b64(&forge.credential_id),
        "client_data_json": b64(&response.client_data_json),
        "attestation_object": b64(&response.attestation_object),
        "accepted": verdict.is_ok(), "refused": verdict.err().map(|refused| refused.to_string()),
    }));
}

fn print_assertion(rule: &str, algorithm: Algorithm, stored: &Stored, response: &Assertion) {
    let verdict = assert(&relying_party(), &CHALLENGE, stored, response);
    print(json!({
        "ceremony": "assertion", "rule": rule, "algorithm": format!("{algorithm:?}"),
        "id": b64(&response.credential_id),
        "client_data_json": b64(&response.client_data_json),
        "authenticator_data": b64(&response.authenticator_data),
        "signature": b64(&response.signature),
        "user_handle": response.user_handle.as_ref().map(|handle| b64(handle)),
        "public_key": b64(stored.credential.public_key.cose()),
        "known_count": stored.credential.sign_count,
        "accepted": verdict.is_ok(), "refused": verdict.err().map(|refused| refused.to_string()),
    }));
}

fn print(mut case: Value) {
    case["rp_id"] = json!(RP_ID);
    case["origin"] = json!(ORIGIN);
    case["challenge"] = json!(b64(&CHALLENGE));
    println!("{case}");
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
