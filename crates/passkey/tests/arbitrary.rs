//! No bytes make this crate panic, and none are accepted by chance.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod forge;

use std::sync::LazyLock;

use forge::{Attestation, BE, BS, CHALLENGE, Forge, UP, USER_HANDLE, UV, attestation_object, relying_party};
use passkey::{Algorithm, Assertion, PublicKey, Registration, Stored, assert, recheck, register};
use proptest::collection::vec;
use proptest::prelude::*;

static FORGE: LazyLock<Forge> =
    LazyLock::new(|| Forge { attestation: Attestation::PackedSelf, ..Forge::new(Algorithm::Es256) });
static STORED: LazyLock<Stored> = LazyLock::new(|| Stored {
    credential: register(&relying_party(), &CHALLENGE, &FORGE.registration()).unwrap(),
    user_handle: USER_HANDLE.to_vec(),
});

/// `good` with a stretch of it replaced by other bytes of any length.
fn spliced(good: &[u8], at: prop::sample::Index, cut: usize, other: &[u8]) -> Vec<u8> {
    let from = at.index(good.len() + 1);
    let to = (from + cut).min(good.len());
    [&good[..from], other, &good[to..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(a in vec(any::<u8>(), 0..600), b in vec(any::<u8>(), 0..600), c in vec(any::<u8>(), 0..100)) {
        let client_data_json = FORGE.client_data("webauthn.create");
        for client_data_json in [a.clone(), client_data_json.clone()] {
            for attestation_object in [b.clone(), attestation_object("packed", &c, &b), attestation_object("none", &[0xa0], &b)] {
                let made = Registration { client_data_json: client_data_json.clone(), attestation_object };
                prop_assert!(register(&relying_party(), &CHALLENGE, &made).is_err());
            }
        }
        let good = FORGE.assertion();
        let used = Assertion { authenticator_data: b.clone(), ..good.clone() };
        prop_assert!(assert(&relying_party(), &CHALLENGE, &STORED, &used).is_err());
        let used = Assertion { client_data_json: a, ..good.clone() };
        prop_assert!(assert(&relying_party(), &CHALLENGE, &STORED, &used).is_err());
        let used = Assertion { signature: c, ..good };
        prop_assert!(assert(&relying_party(), &CHALLENGE, &STORED, &used).is_err());
        prop_assert!(PublicKey::from_cose(&b).is_err());
    }

    #[test]
    fn a_registration_with_other_bytes_spliced_in_is_never_of_another_key(at in any::<prop::sample::Index>(), cut in 0..8_usize, other in vec(any::<u8>(), 0..8)) {
        let good = FORGE.registration();
        let made = Registration { attestation_object: spliced(&good.attestation_object, at, cut, &other), ..good };
        // The self attestation covers all authenticator data; only the splice that changes nothing gets through,
        // or one that spells the same CBOR differently.
        if let Ok(credential) = register(&relying_party(), &CHALLENGE, &made) {
            prop_assert_eq!(&credential, &STORED.credential);
        }
    }

    #[test]
    fn an_assertion_with_other_bytes_spliced_in_is_refused(piece in 0..3_usize, at in any::<prop::sample::Index>(), cut in 0..8_usize, other in vec(any::<u8>(), 0..8)) {
        let good = FORGE.assertion();
        let mut used = good.clone();
        let field = match piece {
            0 => &mut used.client_data_json,
            1 => &mut used.authenticator_data,
            _ => &mut used.signature,
        };
        *field = spliced(field, at, cut, &other);
        prop_assert_eq!(assert(&relying_party(), &CHALLENGE, &STORED, &used).is_ok(), used == good);
    }

    #[test]
    fn a_bit_flipped_anywhere_in_any_valid_assertion_is_refused(
        challenge in any::<[u8; 32]>(), sign_count in 1..u32::MAX, backed_up in any::<bool>(),
        piece in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let backup = if backed_up { BE | BS } else { 0 };
        let mut forge = Forge { flags: UP | UV | backup, ..Forge::new(Algorithm::EdDsa) };
        let credential = register(&relying_party(), &CHALLENGE, &forge.registration()).unwrap();
        (forge.challenge, forge.sign_count) = (challenge.to_vec(), sign_count);
        let mut used = forge.assertion();
        prop_assert!(recheck(&relying_party(), &challenge, &credential, &used).is_ok());
        let field = match piece {
            0 => &mut used.client_data_json,
            1 => &mut used.authenticator_data,
            _ => &mut used.signature,
        };
        let at = at.index(field.len());
        field[at] ^= 1 << bit;
        prop_assert!(recheck(&relying_party(), &challenge, &credential, &used).is_err());
    }
}
