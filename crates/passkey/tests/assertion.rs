//! Assertions that differ from a good one in one thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod forge;

use aws_lc_rs::rand::SystemRandom;
use forge::{AT, BE, BS, CHALLENGE, ED, Forge, ORIGIN, RP_ID, UP, USER_HANDLE, UV, relying_party};
use passkey::{
    Algorithm, Asserted, Assertion, Backup, CborFault, Part, Refused, RelyingParty, SoftAuthenticator,
    Stored, assert, recheck, register, verify_signature_only,
};

fn enrolled(forge: &Forge) -> Stored {
    let credential = register(&relying_party(), &CHALLENGE, &forge.registration()).unwrap();
    Stored { credential, user_handle: USER_HANDLE.to_vec() }
}

fn verdict(stored: &Stored, response: &Assertion) -> Result<Asserted, Refused> {
    assert(&relying_party(), &CHALLENGE, stored, response)
}

fn es256() -> (Forge, Stored) {
    let forge = Forge::new(Algorithm::Es256);
    let stored = enrolled(&forge);
    (forge, stored)
}

#[test]
fn each_allowed_algorithm_asserts_and_says_its_counter_and_backup_state() {
    for algorithm in Algorithm::ALL {
        let mut forge = Forge { flags: UP | UV | BE, sign_count: 3, ..Forge::new(algorithm) };
        let stored = enrolled(&forge);
        (forge.flags, forge.sign_count) = (UP | UV | BE | BS, 4);
        let expected = Asserted { sign_count: 4, backup: Backup::BackedUp };
        assert_eq!(verdict(&stored, &forge.assertion()), Ok(expected), "{algorithm:?}");
        assert_eq!(
            recheck(&relying_party(), &CHALLENGE, &stored.credential, &forge.assertion()),
            Ok(expected)
        );
    }
}

#[test]
fn the_demo_authenticator_asserts_again_and_again() {
    let mut authenticator = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
    let made = authenticator.create(RP_ID, ORIGIN, &CHALLENGE).unwrap();
    let credential = register(&relying_party(), &CHALLENGE, &made).unwrap();
    let mut stored = Stored { credential, user_handle: USER_HANDLE.to_vec() };
    for count in 1..4 {
        let asserted = verdict(&stored, &authenticator.get(RP_ID, ORIGIN, &CHALLENGE).unwrap()).unwrap();
        assert_eq!(asserted.sign_count, count);
        stored.credential.sign_count = asserted.sign_count;
    }
}

#[test]
fn an_assertion_without_one_of_its_flags_is_refused() {
    let (mut forge, stored) = es256();
    for (flags, reason) in [
        (UV, Refused::UserNotPresent),
        (UP, Refused::UserNotVerified),
        (0, Refused::UserNotPresent),
        (UP | UV | BS, Refused::BackedUpButNotEligible),
        (UP | UV | BE, Refused::BackupEligibilityChanged),
        (UP | UV | BE | BS, Refused::BackupEligibilityChanged),
        (UP | UV | AT, Refused::CredentialUnexpected),
    ] {
        forge.flags = flags;
        assert_eq!(verdict(&stored, &forge.assertion()), Err(reason), "{flags:#04x}");
    }
}

#[test]
fn a_passkey_that_could_be_backed_up_still_can() {
    let mut forge = Forge { flags: UP | UV | BE | BS, ..Forge::new(Algorithm::Es256) };
    let stored = enrolled(&forge);
    forge.flags = UP | UV | BE;
    assert_eq!(verdict(&stored, &forge.assertion()).unwrap().backup, Backup::Eligible);
    forge.flags = UP | UV;
    assert_eq!(verdict(&stored, &forge.assertion()), Err(Refused::BackupEligibilityChanged));
}

#[test]
fn an_origin_is_exact_and_never_a_prefix() {
    let (mut forge, stored) = es256();
    for origin in [
        "https://stepup.example.evil.example",
        "https://stepup.example:8443",
        "https://stepup.example:443",
        "https://stepup.example/",
        "https://stepup.exampl",
        "https://www.stepup.example",
        "http://stepup.example",
        "HTTPS://stepup.example",
        "stepup.example",
        "null",
        "",
    ] {
        forge.origin = origin.to_owned();
        assert_eq!(verdict(&stored, &forge.assertion()), Err(Refused::OriginMismatch), "{origin}");
    }
    forge.origin = ORIGIN.to_owned();
    let nowhere = RelyingParty { origins: vec![], ..relying_party() };
    let refused = assert(&nowhere, &CHALLENGE, &stored, &forge.assertion());
    assert_eq!(refused, Err(Refused::OriginMismatch));
}

#[test]
fn an_assertion_of_another_ceremony_is_refused() {
    let make = |change: fn(&mut Forge)| {
        let (mut forge, stored) = es256();
        change(&mut forge);
        verdict(&stored, &forge.assertion()).unwrap_err()
    };
    assert_eq!(make(|f| f.type_ = Some("webauthn.create")), Refused::TypeMismatch);
    assert_eq!(make(|f| f.type_ = Some("payment.get")), Refused::TypeMismatch);
    assert_eq!(make(|f| f.challenge[31] ^= 1), Refused::ChallengeMismatch);
    assert_eq!(make(|f| f.challenge.truncate(31)), Refused::ChallengeMismatch);
    assert_eq!(make(|f| f.challenge.push(0)), Refused::ChallengeMismatch);
    assert_eq!(make(|f| f.rp_id = "other.example".to_owned()), Refused::RpIdMismatch);
    assert_eq!(make(|f| f.members = r#","crossOrigin":true"#), Refused::CrossOrigin);
    assert_eq!(make(|f| f.members = r#","topOrigin":"https://a.example""#), Refused::TopOrigin);
    assert_eq!(make(|f| f.members = r#","origin":"https://stepup.example""#), Refused::ClientDataRepeats);
}

#[test]
fn an_assertion_of_another_credential_or_user_is_refused() {
    let (mut forge, stored) = es256();
    for (handle, expected) in [
        (None, Ok(())),
        (Some(USER_HANDLE.to_vec()), Ok(())),
        (Some(b"human-8".to_vec()), Err(Refused::UserMismatch)),
        (Some(vec![]), Err(Refused::UserMismatch)),
    ] {
        forge.user_handle = handle;
        assert_eq!(verdict(&stored, &forge.assertion()).map(|_| ()), expected);
    }
    forge.user_handle = None;
    let renamed = Assertion { credential_id: vec![0xc2; 32], ..forge.assertion() };
    assert_eq!(verdict(&stored, &renamed), Err(Refused::CredentialMismatch));
    let (stranger, _) = es256();
    assert_eq!(verdict(&stored, &stranger.assertion()), Err(Refused::SignatureInvalid));
}

#[test]
fn a_counter_grows_or_stays_absent() {
    let (mut forge, mut stored) = es256();
    for (known, said, accepted) in [
        (0, 0, true),
        (0, 1, true),
        (5, 6, true),
        (5, u32::MAX, true),
        (5, 5, false),
        (5, 4, false),
        (5, 0, false),
        (u32::MAX, u32::MAX, false),
        (u32::MAX, 0, false),
    ] {
        (stored.credential.sign_count, forge.sign_count) = (known, said);
        let expected = if accepted { Ok(said) } else { Err(Refused::CounterRegressed { known, said }) };
        assert_eq!(verdict(&stored, &forge.assertion()).map(|asserted| asserted.sign_count), expected);
        // Read later, the counter is only what it says.
        let later = recheck(&relying_party(), &CHALLENGE, &stored.credential, &forge.assertion());
        assert_eq!(later.map(|asserted| asserted.sign_count), Ok(said));
    }
}

#[test]
fn nobody_without_the_key_can_have_a_credential_suspended() {
    let (mut forge, mut stored) = es256();
    (stored.credential.sign_count, forge.sign_count) = (5, 5);
    let mut forged = forge.assertion();
    let last = forged.signature.len() - 1;
    forged.signature[last] ^= 1;
    assert_eq!(verdict(&stored, &forged), Err(Refused::SignatureInvalid));
}

#[test]
fn no_single_bit_of_a_valid_assertion_can_be_flipped() {
    for algorithm in Algorithm::ALL {
        let mut forge = Forge::new(algorithm);
        let stored = enrolled(&forge);
        forge.sign_count = 1;
        let good = forge.assertion();
        assert!(verdict(&stored, &good).is_ok());
        let pieces: [fn(&mut Assertion) -> &mut Vec<u8>; 3] =
            [|a| &mut a.client_data_json, |a| &mut a.authenticator_data, |a| &mut a.signature];
        for piece in pieces {
            let mut flipped = good.clone();
            for bit in 0..piece(&mut flipped).len() * 8 {
                let mask = 1 << (bit % 8);
                piece(&mut flipped)[bit / 8] ^= mask;
                assert!(verdict(&stored, &flipped).is_err(), "{algorithm:?} bit {bit} of {flipped:?}");
                assert_eq!(
                    verify_signature_only(&stored.credential.public_key, &flipped),
                    Err(Refused::SignatureInvalid),
                );
                piece(&mut flipped)[bit / 8] ^= mask;
            }
            assert_eq!(flipped, good);
        }
    }
}

#[test]
fn an_assertion_cut_at_any_length_is_refused() {
    let (forge, stored) = es256();
    let good = forge.assertion();
    for length in 0..good.authenticator_data.len() {
        // Signed as it is, so that the form alone refuses it.
        let cut = forge.assertion_with(good.authenticator_data[..length].to_vec());
        assert_eq!(verdict(&stored, &cut), Err(Refused::AuthenticatorDataTruncated), "{length}");
    }
    for length in 0..good.client_data_json.len() {
        let cut = Assertion { client_data_json: good.client_data_json[..length].to_vec(), ..good.clone() };
        assert_eq!(verdict(&stored, &cut), Err(Refused::ClientDataMalformed), "{length}");
    }
    for length in 0..good.signature.len() {
        let cut = Assertion { signature: good.signature[..length].to_vec(), ..good.clone() };
        assert_eq!(verdict(&stored, &cut), Err(Refused::SignatureInvalid), "{length}");
    }
}

#[test]
fn bytes_after_an_assertion_are_refused_even_if_they_are_signed() {
    let (mut forge, stored) = es256();
    forge.tail = vec![0x00];
    assert_eq!(verdict(&stored, &forge.assertion()), Err(Refused::AuthenticatorDataTrailing));
    forge.flags |= ED;
    for (tail, expected) in [
        (&[0xa0][..], Ok(())),
        (&[0xa0, 0x00], Err(Refused::AuthenticatorDataTrailing)),
        (&[0x00], Err(Refused::ExtensionsMalformed)),
        (&[0xa1, 0x01], Err(Refused::Cbor { part: Part::Extensions, fault: CborFault::Truncated })),
        (
            &[0xa2, 0x01, 0x00, 0x01, 0x00],
            Err(Refused::Cbor { part: Part::Extensions, fault: CborFault::DuplicateKey }),
        ),
    ] {
        forge.tail = tail.to_vec();
        assert_eq!(verdict(&stored, &forge.assertion()).map(|_| ()), expected);
    }
    let (forge, stored) = es256();
    let mut longer = forge.assertion();
    longer.signature.push(0);
    assert_eq!(verdict(&stored, &longer), Err(Refused::SignatureInvalid));
}

#[test]
fn a_piece_over_its_cap_is_refused_before_it_is_read() {
    let (forge, stored) = es256();
    let good = forge.assertion();
    for (long, part) in [
        (Assertion { client_data_json: vec![b' '; 4097], ..good.clone() }, Part::ClientData),
        (Assertion { authenticator_data: vec![0; 4097], ..good.clone() }, Part::AuthenticatorData),
        (Assertion { signature: vec![0; 1025], ..good.clone() }, Part::Signature),
    ] {
        assert_eq!(verdict(&stored, &long), Err(Refused::TooLarge { part }));
        assert_eq!(
            verify_signature_only(&stored.credential.public_key, &long),
            Err(Refused::TooLarge { part })
        );
    }
}

#[test]
fn a_registration_response_is_no_assertion() {
    let forge = Forge { attestation: forge::Attestation::PackedSelf, ..Forge::new(Algorithm::Es256) };
    let stored = enrolled(&forge);
    let authenticator_data = forge.authenticator_data(UP | UV | AT);
    let client_data_json = forge.client_data("webauthn.create");
    let signature = forge.signer.sign(&forge::signed(&authenticator_data, &client_data_json));
    let replayed = Assertion { client_data_json, authenticator_data, signature, ..forge.assertion() };
    assert_eq!(verify_signature_only(&stored.credential.public_key, &replayed), Ok(()));
    assert_eq!(verdict(&stored, &replayed), Err(Refused::TypeMismatch));
}
