//! The test vectors of Web Authentication Level 3 (`vectors/w3c_webauthn_l3.json`), each with the verdict that our
//! profile gives. The vectors draw their UV flag at random, so several that are otherwise fine lack it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use passkey::Refused::{
    AlgorithmNotAllowed, AttestationByCertificate, AttestationFormat, CrossOrigin, UserNotVerified,
};
use passkey::{
    Algorithm, Assertion, Credential, PublicKey, Refused, Registration, RelyingParty, Stored, assert,
    recheck, register, verify_signature_only,
};
use serde_json::Value;

/// Section, verdict on the registration, verdict on the assertion, and the key's algorithm where it is allowed.
type Row = (&'static str, Result<(), Refused>, Result<(), Refused>, Option<Algorithm>);

const VERDICTS: [Row; 15] = [
    ("none-es256", Err(UserNotVerified), Err(UserNotVerified), Some(Algorithm::Es256)),
    ("packed-self-es256", Ok(()), Err(UserNotVerified), Some(Algorithm::Es256)),
    ("none-es256-crossOrigin", Err(CrossOrigin), Err(CrossOrigin), Some(Algorithm::Es256)),
    ("none-es256-topOrigin", Err(CrossOrigin), Err(CrossOrigin), Some(Algorithm::Es256)),
    ("none-es256-long-credential-id", Err(UserNotVerified), Ok(()), Some(Algorithm::Es256)),
    ("packed-es256", Err(AttestationByCertificate), Ok(()), Some(Algorithm::Es256)),
    ("packed-es384", Err(UserNotVerified), Ok(()), None),
    ("packed-es512", Err(AlgorithmNotAllowed), Err(UserNotVerified), None),
    ("packed-rs256", Err(AttestationByCertificate), Err(UserNotVerified), Some(Algorithm::Rs256)),
    ("packed-eddsa", Err(UserNotVerified), Err(UserNotVerified), Some(Algorithm::EdDsa)),
    ("packed-ed448", Err(UserNotVerified), Ok(()), None),
    ("tpm-es256", Err(AttestationFormat), Ok(()), Some(Algorithm::Es256)),
    ("android-key-es256", Err(AttestationFormat), Err(UserNotVerified), Some(Algorithm::Es256)),
    ("apple-es256", Err(UserNotVerified), Err(UserNotVerified), Some(Algorithm::Es256)),
    ("fido-u2f-es256", Err(UserNotVerified), Err(UserNotVerified), Some(Algorithm::Es256)),
];

struct Vector {
    challenge: Vec<u8>,
    registration: Registration,
    credential_id: Vec<u8>,
    cose: Vec<u8>,
    backup_eligible: bool,
    aaguid: passkey::Aaguid,
    assertion_challenge: Vec<u8>,
    assertion: Assertion,
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a hexadecimal string");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> (RelyingParty, Vec<(String, Vector)>) {
    let file: Value = serde_json::from_str(include_str!("vectors/w3c_webauthn_l3.json")).unwrap();
    let text = |name: &str| file[name].as_str().unwrap().to_owned();
    let rp = RelyingParty { rp_id: text("rp_id"), origins: vec![text("origin")] };
    let vectors = file["vectors"].as_array().unwrap().iter().map(|vector| {
        let section = vector["section"].as_str().unwrap().strip_prefix("sctn-test-vectors-").unwrap();
        (section.to_owned(), read(vector))
    });
    (rp, vectors.collect())
}

fn read(vector: &Value) -> Vector {
    let (made, used) = (&vector["registration"], &vector["authentication"]);
    let credential_id = hex(&made["credential_id"]);
    let attestation_object = hex(&made["attestationObject"]);
    // The key follows the credential id and ends the attestation object; flags stand 55 bytes before the id.
    let at = attestation_object.windows(credential_id.len()).rposition(|w| w == credential_id).unwrap();
    Vector {
        challenge: hex(&made["challenge"]),
        cose: attestation_object[at + credential_id.len()..].to_vec(),
        backup_eligible: attestation_object[at - 23] & 0x08 != 0,
        aaguid: passkey::Aaguid(hex(&made["aaguid"]).try_into().unwrap()),
        registration: Registration { client_data_json: hex(&made["clientDataJSON"]), attestation_object },
        assertion_challenge: hex(&used["challenge"]),
        assertion: Assertion {
            credential_id: credential_id.clone(),
            client_data_json: hex(&used["clientDataJSON"]),
            authenticator_data: hex(&used["authenticatorData"]),
            signature: hex(&used["signature"]),
            user_handle: None,
        },
        credential_id,
    }
}

impl Vector {
    /// The credential as its registration has it, whatever our profile says of that registration.
    fn credential(&self) -> Result<Credential, Refused> {
        Ok(Credential {
            id: self.credential_id.clone(),
            public_key: PublicKey::from_cose(&self.cose)?,
            aaguid: self.aaguid,
            sign_count: 0,
            backup: passkey::Backup::from_flags(self.backup_eligible, false)?,
        })
    }
}

#[test]
fn every_registration_of_the_specification_gets_the_verdict_of_our_profile() {
    let (rp, vectors) = vectors();
    assert_eq!(vectors.len(), VERDICTS.len());
    for ((section, vector), (row, expected, _, _)) in vectors.iter().zip(VERDICTS) {
        assert_eq!(section, row);
        let verdict = register(&rp, &vector.challenge, &vector.registration);
        assert_eq!(verdict.as_ref().map(|_| ()).map_err(|refused| *refused), expected, "{section}");
        if let Ok(credential) = verdict {
            assert_eq!(credential.id, vector.credential_id);
            assert_eq!(credential.aaguid, vector.aaguid);
            assert_eq!(credential.public_key.cose(), vector.cose);
            assert_eq!(credential.backup.is_eligible(), vector.backup_eligible);
        }
    }
}

#[test]
fn every_assertion_of_the_specification_gets_the_verdict_of_our_profile() {
    let (rp, vectors) = vectors();
    for ((section, vector), (_, _, expected, algorithm)) in vectors.iter().zip(VERDICTS) {
        let Some(algorithm) = algorithm else {
            assert_eq!(vector.credential(), Err(AlgorithmNotAllowed), "{section}");
            continue;
        };
        let credential = vector.credential().unwrap();
        assert_eq!(credential.public_key.algorithm(), algorithm, "{section}");
        let now = recheck(&rp, &vector.assertion_challenge, &credential, &vector.assertion);
        assert_eq!(now.map(|_| ()), expected, "{section}");
        let stored = Stored { credential, user_handle: b"user".to_vec() };
        let then = assert(&rp, &vector.assertion_challenge, &stored, &vector.assertion);
        assert_eq!(then, now, "{section}");
    }
}

#[test]
fn every_signature_of_the_specification_is_valid_and_of_its_own_response_only() {
    let (_, vectors) = vectors();
    let allowed: Vec<_> =
        vectors.iter().filter_map(|(s, v)| Some((s, v, v.credential().ok()?.public_key))).collect();
    assert_eq!(allowed.len(), 12);
    for (section, vector, key) in &allowed {
        assert_eq!(verify_signature_only(key, &vector.assertion), Ok(()), "{section}");
        for (other, foreign, _) in allowed.iter().filter(|(other, ..)| other != section) {
            let verdict = verify_signature_only(key, &foreign.assertion);
            assert_eq!(verdict, Err(Refused::SignatureInvalid), "{section} {other}");
        }
    }
}

#[test]
fn no_vector_verifies_under_the_challenge_of_another() {
    let (rp, vectors) = vectors();
    for (section, vector) in &vectors {
        for (other, foreign) in vectors.iter().filter(|(other, _)| other != section) {
            let made = register(&rp, &foreign.challenge, &vector.registration);
            assert_eq!(made, Err(Refused::ChallengeMismatch), "{section} {other}");
            if let Ok(credential) = vector.credential() {
                let used = recheck(&rp, &foreign.assertion_challenge, &credential, &vector.assertion);
                assert_eq!(used, Err(Refused::ChallengeMismatch), "{section} {other}");
            }
        }
    }
}
