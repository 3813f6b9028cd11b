//! Registrations that differ from a good one in one thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod forge;

use aws_lc_rs::rand::SystemRandom;
use forge::{
    AT, Attestation, BE, BS, CHALLENGE, ED, Forge, ORIGIN, RP_ID, Signer, UP, UV, attestation_object, bytes,
    cose_ed25519, cose_es256, cose_rs256, packed, relying_party, signed, text,
};
use passkey::{
    Aaguid, Algorithm, Backup, CborFault, Credential, DEMO_AAGUID, Part, Refused, Registration,
    SoftAuthenticator, register,
};

fn verdict(registration: &Registration) -> Result<Credential, Refused> {
    register(&relying_party(), &CHALLENGE, registration)
}

fn refused(forge: &Forge) -> Refused {
    verdict(&forge.registration()).expect_err("to be refused")
}

fn es256() -> Forge {
    Forge::new(Algorithm::Es256)
}

#[test]
fn each_allowed_algorithm_is_enrolled_with_and_without_self_attestation() {
    for algorithm in Algorithm::ALL {
        let mut forge = Forge { sign_count: 9, flags: UP | UV | BE, ..Forge::new(algorithm) };
        for attestation in [Attestation::None, Attestation::PackedSelf] {
            forge.attestation = attestation;
            let credential = verdict(&forge.registration()).unwrap();
            assert_eq!(credential.id, forge.credential_id);
            assert_eq!(credential.public_key.algorithm(), algorithm);
            assert_eq!(credential.public_key.cose(), forge.cose);
            assert_eq!(credential.aaguid, Aaguid([0xaa; 16]));
            assert_eq!(credential.sign_count, 9);
            assert_eq!(credential.backup, Backup::Eligible);
        }
    }
}

#[test]
fn the_demo_authenticator_is_enrolled_and_names_itself() {
    let authenticator = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
    let credential = verdict(&authenticator.create(RP_ID, ORIGIN, &CHALLENGE).unwrap()).unwrap();
    assert_eq!(credential.aaguid, DEMO_AAGUID);
    assert_eq!(credential.aaguid.to_string(), "73746570-7570-2d64-656d-6f2d6f6e6c79");
    assert_eq!(credential.backup, Backup::SingleDevice);
}

#[test]
fn a_registration_without_one_of_its_flags_is_refused() {
    let rows = [
        (UV | AT, Refused::UserNotPresent),
        (UP | AT, Refused::UserNotVerified),
        (AT, Refused::UserNotPresent),
        (UP | UV, Refused::CredentialMissing),
        (UP | UV | AT | BS, Refused::BackedUpButNotEligible),
    ];
    for (flags, reason) in rows {
        assert_eq!(verdict(&es256().registration_with(flags)), Err(reason), "{flags:#04x}");
    }
}

#[test]
fn a_registration_for_another_rp_origin_type_or_challenge_is_refused() {
    let rows = [
        (Forge { rp_id: "other.example".to_owned(), ..es256() }, Refused::RpIdMismatch),
        (Forge { origin: "https://other.example".to_owned(), ..es256() }, Refused::OriginMismatch),
        (Forge { origin: format!("{ORIGIN}.evil.example"), ..es256() }, Refused::OriginMismatch),
        (Forge { type_: Some("webauthn.get"), ..es256() }, Refused::TypeMismatch),
        (Forge { challenge: vec![1; 32], ..es256() }, Refused::ChallengeMismatch),
        (Forge { members: r#","crossOrigin":true"#, ..es256() }, Refused::CrossOrigin),
        (Forge { members: r#","topOrigin":"https://stepup.example""#, ..es256() }, Refused::TopOrigin),
    ];
    for (forge, reason) in rows {
        assert_eq!(refused(&forge), reason);
    }
}

#[test]
fn a_credential_id_has_1_to_1023_bytes() {
    for (length, expected) in [
        (0, Err(Refused::CredentialIdLength)),
        (1, Ok(1)),
        (1023, Ok(1023)),
        (1024, Err(Refused::CredentialIdLength)),
    ] {
        let forge = Forge { credential_id: vec![7; length], ..es256() };
        assert_eq!(verdict(&forge.registration()).map(|credential| credential.id.len()), expected);
    }
}

#[test]
fn extensions_must_be_a_map_and_are_otherwise_ignored() {
    let with = |tail: &[u8]| {
        let forge = Forge { flags: UP | UV | ED, tail: tail.to_vec(), ..es256() };
        verdict(&forge.registration()).map(|_| ())
    };
    let fault = |fault| Err(Refused::Cbor { part: Part::Extensions, fault });
    assert_eq!(with(b"\xa1\x6bcredProtect\x02"), Ok(()));
    assert_eq!(with(b"\xa1\x6bhmac-secret\xf5"), Ok(()));
    assert_eq!(with(&[0x02]), Err(Refused::ExtensionsMalformed));
    assert_eq!(with(&[]), fault(CborFault::Truncated));
    assert_eq!(with(&[0xa2, 0x01, 0x00, 0x01, 0x00]), fault(CborFault::DuplicateKey));
    assert_eq!(with(&[0xa0, 0x00]), Err(Refused::AuthenticatorDataTrailing));
}

#[test]
fn bytes_that_the_flags_do_not_announce_are_refused() {
    let forge = Forge { tail: vec![0xa0], ..es256() };
    assert_eq!(refused(&forge), Refused::AuthenticatorDataTrailing);
}

/// A sound Ed25519 key with another `kty` or `crv`.
fn cose_ed25519_as(kty: u8, crv: u8) -> Vec<u8> {
    let mut key = Signer::new(Algorithm::EdDsa).cose();
    (key[2], key[6]) = (kty, crv);
    key
}

/// An RSA key of sound size with another `kty`.
fn cose_rs256_as(kty: u8) -> Vec<u8> {
    let mut key = cose_rs256(&[0xff; 256], &[1, 0, 1]);
    key[2] = kty;
    key
}

#[test]
fn a_key_that_is_not_one_of_its_algorithm_is_refused() {
    let key = es256().cose;
    let (x, y) = (&key[10..42], &key[45..77]);
    assert_eq!(cose_es256(x, y), key, "the offsets above");
    let patched = |at: usize, byte: u8| {
        let mut key = key.clone();
        key[at] = byte;
        key
    };
    let mut off_curve = y.to_vec();
    off_curve[31] ^= 1;
    let compressed = [&key[..42], &[0x22, 0xf5]].concat();
    let rows = [
        (patched(2, 0x01), Refused::PublicKeyMalformed, "kty OKP"),
        (patched(4, 0x27), Refused::PublicKeyMalformed, "alg EdDSA over an EC2 key"),
        (patched(4, 0x25), Refused::AlgorithmNotAllowed, "alg -6"),
        (patched(6, 0x02), Refused::PublicKeyMalformed, "crv P-384"),
        (cose_es256(x, &off_curve), Refused::PublicKeyMalformed, "a point off the curve"),
        (cose_es256(&[0; 32], &[0; 32]), Refused::PublicKeyMalformed, "the origin"),
        (cose_es256(&x[..31], y), Refused::PublicKeyMalformed, "a short coordinate"),
        (compressed, Refused::PublicKeyMalformed, "a compressed point"),
        (
            [&[0xa6], &key[1..], &[0x02, 0x41, 0x00]].concat(),
            Refused::PublicKeyMalformed,
            "one parameter more",
        ),
        ([&[0xa4], &key[1..42]].concat(), Refused::PublicKeyMalformed, "y is missing"),
        ([&[0xa4, 0x01, 0x02], &key[5..]].concat(), Refused::PublicKeyMalformed, "alg is missing"),
        (vec![0xa0], Refused::PublicKeyMalformed, "an empty map"),
        (vec![0x80], Refused::PublicKeyMalformed, "an array"),
        (cose_ed25519_as(0x02, 0x06), Refused::PublicKeyMalformed, "Ed25519 of kty EC2"),
        (cose_ed25519_as(0x01, 0x04), Refused::PublicKeyMalformed, "EdDSA on X25519"),
        (cose_rs256_as(0x02), Refused::PublicKeyMalformed, "RSA of kty EC2"),
        (cose_ed25519(&[9; 31]), Refused::PublicKeyMalformed, "a short Ed25519 key"),
        (cose_rs256(&[0xff; 128], &[1, 0, 1]), Refused::PublicKeyWeak, "RSA 1024"),
        (cose_rs256(&[0x7f; 256], &[1, 0, 1]), Refused::PublicKeyWeak, "RSA 2047"),
        (cose_rs256(&[0xff; 256], &[1]), Refused::PublicKeyWeak, "exponent 1"),
        (cose_rs256(&[0xff; 256], &[3]), Refused::PublicKeyWeak, "exponent 3"),
        (cose_rs256(&[0xff; 256], &[1, 0, 0]), Refused::PublicKeyWeak, "an even exponent"),
        (cose_rs256(&[0xfe; 256], &[1, 0, 1]), Refused::PublicKeyWeak, "an even modulus"),
        (cose_rs256(&[0xff; 1025], &[1, 0, 1]), Refused::PublicKeyWeak, "RSA 8200"),
        (cose_rs256(&[], &[]), Refused::PublicKeyWeak, "RSA of nothing"),
    ];
    for (cose, reason, what) in rows {
        assert_eq!(refused(&Forge { cose, ..es256() }), reason, "{what}");
    }
}

#[test]
fn a_key_with_one_parameter_twice_is_refused() {
    let key = es256().cose;
    let twice = [&[0xa6], &key[1..], &[0x03, 0x26]].concat();
    let reason = Refused::Cbor { part: Part::PublicKey, fault: CborFault::DuplicateKey };
    assert_eq!(refused(&Forge { cose: twice, ..es256() }), reason);
}

#[test]
fn an_attestation_is_verified_in_full_or_refused() {
    let x5c = [
        &[0xa3][..],
        &text("alg"),
        &[0x26],
        &text("sig"),
        &bytes(&[1; 70]),
        &text("x5c"),
        &[0x81],
        &bytes(b"cert"),
    ]
    .concat();
    let malformed = Refused::AttestationMalformed;
    let rows = [
        (Attestation::Literal("none", packed(-7, &[1; 70])), malformed, "none with a statement"),
        (Attestation::Literal("None", vec![0xa0]), Refused::AttestationFormat, "the format's case"),
        (Attestation::Literal("fido-u2f", vec![0xa0]), Refused::AttestationFormat, "fido-u2f"),
        (Attestation::Literal("", vec![0xa0]), Refused::AttestationFormat, "no format"),
        (Attestation::Literal("packed", x5c), Refused::AttestationByCertificate, "x5c"),
        (Attestation::Literal("packed", vec![0xa0]), malformed, "packed of nothing"),
        (
            Attestation::Literal("packed", packed(-8, &[1; 64])),
            Refused::AttestationAlgorithm,
            "another algorithm",
        ),
        (
            Attestation::Literal("packed", packed(-999, &[1; 64])),
            Refused::AttestationAlgorithm,
            "an unknown one",
        ),
        (Attestation::Literal("packed", packed(-7, &[1; 70])), Refused::AttestationInvalid, "no signature"),
        (Attestation::Literal("packed", packed(-7, &[])), Refused::AttestationInvalid, "an empty signature"),
        (
            Attestation::Literal("packed", packed(-7, &[1; 1025])),
            Refused::TooLarge { part: Part::Signature },
            "1025 bytes",
        ),
    ];
    for (attestation, reason, what) in rows {
        assert_eq!(refused(&Forge { attestation, ..es256() }), reason, "{what}");
    }
}

#[test]
fn a_self_attestation_with_a_member_more_is_refused_though_its_signature_is_valid() {
    let forge = es256();
    let data = forge.authenticator_data(UP | UV | AT);
    let client_data_json = forge.client_data("webauthn.create");
    let mut statement = packed(-7, &forge.signer.sign(&signed(&data, &client_data_json)));
    statement[0] = 0xa3;
    statement.extend([text("ecdaaKeyId"), bytes(b"id")].concat());
    let attestation_object = attestation_object("packed", &statement, &data);
    let made = Registration { client_data_json, attestation_object };
    assert_eq!(verdict(&made), Err(Refused::AttestationMalformed));
}

#[test]
fn a_self_attestation_by_another_key_or_over_other_bytes_is_refused() {
    let forge = es256();
    let data = forge.authenticator_data(UP | UV | AT);
    let client_data_json = forge.client_data("webauthn.create");
    let over = |signer: &Signer, message: &[u8]| {
        let statement = packed(-7, &signer.sign(message));
        let attestation_object = attestation_object("packed", &statement, &data);
        verdict(&Registration { client_data_json: client_data_json.clone(), attestation_object }).map(|_| ())
    };
    let message = signed(&data, &client_data_json);
    assert_eq!(over(&forge.signer, &message), Ok(()));
    assert_eq!(over(&Signer::new(Algorithm::Es256), &message), Err(Refused::AttestationInvalid));
    for bit in 0..message.len() * 8 {
        let mut other = message.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        if bit % 37 == 0 {
            assert_eq!(over(&forge.signer, &other), Err(Refused::AttestationInvalid));
        }
    }
}

#[test]
fn an_attestation_object_of_another_form_is_refused() {
    let data = es256().authenticator_data(UP | UV | AT);
    let (fmt, stmt) = ([text("fmt"), text("none")].concat(), [text("attStmt"), vec![0xa0]].concat());
    let auth = [text("authData"), bytes(&data)].concat();
    let object = |count: u8, members: &[&[u8]]| [&[0xa0 | count][..], &members.concat()].concat();
    let cbor = |fault| Refused::Cbor { part: Part::AttestationObject, fault };
    let rows = [
        (object(2, &[&fmt, &stmt]), Refused::AttestationMalformed),
        (object(2, &[&fmt, &auth]), Refused::AttestationMalformed),
        (object(2, &[&stmt, &auth]), Refused::AttestationMalformed),
        (object(4, &[&fmt, &stmt, &auth, &text("epAtt"), &[0xf5]]), Refused::AttestationMalformed),
        (object(3, &[&fmt, &text("attStmt"), &[0x80], &auth]), Refused::AttestationMalformed),
        (object(3, &[&fmt, &stmt, &text("authData"), &text("x")]), Refused::AttestationMalformed),
        (vec![0x80], Refused::AttestationMalformed),
        (object(4, &[&fmt, &stmt, &auth, &fmt]), cbor(CborFault::DuplicateKey)),
        (object(4, &[&fmt, &auth, &stmt, &auth]), cbor(CborFault::DuplicateKey)),
        ([object(3, &[&fmt, &stmt, &auth]), vec![0x00]].concat(), cbor(CborFault::Trailing)),
        (
            [vec![0xbf], fmt.clone(), stmt.clone(), auth.clone(), vec![0xff]].concat(),
            cbor(CborFault::Unsupported),
        ),
    ];
    let client_data_json = es256().client_data("webauthn.create");
    for (attestation_object, reason) in rows {
        let registration = Registration { client_data_json: client_data_json.clone(), attestation_object };
        assert_eq!(verdict(&registration), Err(reason));
    }
    // The order of members is not part of the form.
    let attestation_object = object(3, &[&auth, &fmt, &stmt]);
    assert!(verdict(&Registration { client_data_json, attestation_object }).is_ok());
}

#[test]
fn a_registration_cut_at_any_length_is_refused() {
    let whole = Forge { attestation: Attestation::PackedSelf, ..es256() }.registration();
    for length in 0..whole.attestation_object.len() {
        let cut =
            Registration { attestation_object: whole.attestation_object[..length].to_vec(), ..whole.clone() };
        let reason = Refused::Cbor { part: Part::AttestationObject, fault: CborFault::Truncated };
        assert_eq!(verdict(&cut), Err(reason), "{length}");
    }
    for length in 0..whole.client_data_json.len() {
        let cut =
            Registration { client_data_json: whole.client_data_json[..length].to_vec(), ..whole.clone() };
        assert_eq!(verdict(&cut), Err(Refused::ClientDataMalformed), "{length}");
    }
}

#[test]
fn authenticator_data_cut_at_any_length_is_refused() {
    let forge = es256();
    let data = forge.authenticator_data(UP | UV | AT);
    let key_at = data.len() - forge.cose.len();
    for length in 0..data.len() {
        let reason = if length < key_at {
            Refused::AuthenticatorDataTruncated
        } else {
            Refused::Cbor { part: Part::PublicKey, fault: CborFault::Truncated }
        };
        let cut = Registration {
            client_data_json: forge.client_data("webauthn.create"),
            attestation_object: attestation_object("none", &[0xa0], &data[..length]),
        };
        assert_eq!(verdict(&cut), Err(reason), "{length}");
    }
}

#[test]
fn a_piece_over_its_cap_is_refused_before_it_is_read() {
    let good = es256().registration();
    let long = |length| vec![b' '; length];
    for (registration, part) in [
        (Registration { client_data_json: long(4097), ..good.clone() }, Part::ClientData),
        (Registration { attestation_object: long(16385), ..good.clone() }, Part::AttestationObject),
        (
            Registration {
                attestation_object: attestation_object("none", &[0xa0], &long(4097)),
                ..good.clone()
            },
            Part::AuthenticatorData,
        ),
    ] {
        assert_eq!(verdict(&registration), Err(Refused::TooLarge { part }));
    }
    let mut padded = good.client_data_json.clone();
    padded.resize(4096, b' ');
    assert!(verdict(&Registration { client_data_json: padded, ..good }).is_ok());
}

#[test]
fn a_challenge_too_short_to_be_one_is_refused_even_if_it_was_signed() {
    let forge = Forge { challenge: vec![], ..es256() };
    let refused = register(&relying_party(), &[], &forge.registration());
    assert_eq!(refused, Err(Refused::ChallengeTooShort));
}
