//! The credential public key: a COSE_Key (RFC 9052 §7) narrowed by WebAuthn L3 §5.8.5 and §6.5.1 and by our allowlist.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};

use crate::cbor::{self, Key, Map};
use crate::{Part, Refused};

/// The signature algorithms that a passkey may have. A closed list: what is not here cannot be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a modulus of at least 2048 bits.
    Rs256,
}

impl Algorithm {
    /// All of them, the preferred first: what `pubKeyCredParams` offers the browser.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// Its number in the IANA COSE Algorithms registry.
    #[must_use]
    pub const fn cose_id(self) -> i32 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }

    pub(crate) fn from_cose_id(id: i128) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| i128::from(algorithm.cose_id()) == id)
    }
}

/// A credential public key: the bytes that the authenticator sent, and the key that they are. One exists only if
/// the bytes name an allowed algorithm and a sound key.
#[derive(Debug, Clone)]
pub struct PublicKey {
    cose: Vec<u8>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.cose == other.cose
    }
}

impl Eq for PublicKey {}

// RFC 9052 §7.1 and RFC 9053 §7.1, §7.2; RFC 8230 §4.
const KTY: Key<'static> = Key::Integer(1);
const ALG: Key<'static> = Key::Integer(3);
const CRV: Key<'static> = Key::Integer(-1);
const X: Key<'static> = Key::Integer(-2);
const Y: Key<'static> = Key::Integer(-3);
const N: Key<'static> = Key::Integer(-1);
const E: Key<'static> = Key::Integer(-2);
const KTY_OKP: i128 = 1;
const KTY_EC2: i128 = 2;
const KTY_RSA: i128 = 3;
const CRV_P256: i128 = 1;
const CRV_ED25519: i128 = 6;

impl PublicKey {
    /// Reads a COSE_Key, as an authenticator sent it or as the store kept it.
    ///
    /// # Errors
    /// [`Refused::Cbor`], [`Refused::AlgorithmNotAllowed`] or [`Refused::PublicKeyMalformed`] for what is not a key of
    /// an allowed algorithm, [`Refused::PublicKeyWeak`] for RSA under 2048 bits and for Ed25519 points under which
    /// more than one signer signs.
    pub fn from_cose(cose: &[u8]) -> Result<Self, Refused> {
        let value = cbor::whole(cose).map_err(|fault| Refused::Cbor { part: Part::PublicKey, fault })?;
        let mut map = value.into_map().ok_or(Refused::PublicKeyMalformed)?;
        let id = map.take_integer(ALG).ok_or(Refused::PublicKeyMalformed)?;
        let algorithm = Algorithm::from_cose_id(id).ok_or(Refused::AlgorithmNotAllowed)?;
        let parsed = match algorithm {
            Algorithm::Es256 => es256(&mut map),
            Algorithm::EdDsa => ed25519(&mut map),
            Algorithm::Rs256 => rs256(&mut map),
        }?;
        // WebAuthn L3 §6.5.1: the key MUST NOT contain any other parameter.
        if !map.is_empty() {
            return Err(Refused::PublicKeyMalformed);
        }
        Ok(Self { cose: cose.to_vec(), algorithm, parsed })
    }

    /// The COSE_Key exactly as the authenticator sent it: what the store keeps.
    #[must_use]
    pub fn cose(&self) -> &[u8] {
        &self.cose
    }

    /// The algorithm that the key itself names.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key signed `message`.
    ///
    /// # Errors
    /// [`Refused::SignatureInvalid`] if it did not.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        self.parsed.verify_sig(message, signature).map_err(|_| Refused::SignatureInvalid)
    }
}

fn expect(map: &mut Map<'_>, key: Key<'_>, expected: i128) -> Result<(), Refused> {
    match map.take_integer(key) {
        Some(found) if found == expected => Ok(()),
        Some(_) | None => Err(Refused::PublicKeyMalformed),
    }
}

fn bytes<'a>(map: &mut Map<'a>, key: Key<'_>) -> Result<&'a [u8], Refused> {
    map.take_bytes(key).ok_or(Refused::PublicKeyMalformed)
}

fn coordinate<'a>(map: &mut Map<'a>, key: Key<'_>) -> Result<&'a [u8; 32], Refused> {
    bytes(map, key)?.try_into().map_err(|_| Refused::PublicKeyMalformed)
}

/// WebAuthn L3 §5.8.5: P-256, never the compressed form. That the point is on the curve is checked by the parse.
fn es256(map: &mut Map<'_>) -> Result<ParsedPublicKey, Refused> {
    expect(map, KTY, KTY_EC2)?;
    expect(map, CRV, CRV_P256)?;
    let (x, y) = (coordinate(map, X)?, coordinate(map, Y)?);
    let point = [&[0x04][..], x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| Refused::PublicKeyMalformed)
}

/// WebAuthn L3 §5.8.5: EdDSA MUST specify Ed25519.
fn ed25519(map: &mut Map<'_>) -> Result<ParsedPublicKey, Refused> {
    expect(map, KTY, KTY_OKP)?;
    expect(map, CRV, CRV_ED25519)?;
    let x = coordinate(map, X)?;
    let mut y_only = *x;
    if let Some(last) = y_only.last_mut() {
        *last &= 0x7f;
    }
    if SMALL_ORDER.contains(&y_only) {
        return Err(Refused::PublicKeyWeak);
    }
    ParsedPublicKey::new(&ED25519, x).map_err(|_| Refused::PublicKeyMalformed)
}

/// The encodings, sign bit cleared, of the Ed25519 points whose order divides eight. Under such a key anybody can
/// make a signature that verifies (RFC 8032 §5.1.7 does not exclude them), and an approval must have one signer.
#[rustfmt::skip]
const SMALL_ORDER: [[u8; 32]; 7] = {
    const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut point = [middle; 32];
        let [head, .., tail] = &mut point;
        (*head, *tail) = (first, last);
        point
    }
    [
        ends(0x00, 0x00, 0x00), ends(0x01, 0x00, 0x00),
        ends(0xec, 0xff, 0x7f), ends(0xed, 0xff, 0x7f), ends(0xee, 0xff, 0x7f),
        [0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05],
        [0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a],
    ]
};

/// RFC 8230 §4. The library looks at neither size nor exponent before the first signature, so both are looked at
/// here: a weak key is refused when it is enrolled, not when somebody needs it.
fn rs256(map: &mut Map<'_>) -> Result<ParsedPublicKey, Refused> {
    expect(map, KTY, KTY_RSA)?;
    let (n, e) = (bytes(map, N)?, bytes(map, E)?);
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits(n)) {
        return Err(Refused::PublicKeyWeak);
    }
    // FIPS 186-5 §5.1: an odd exponent above 2^16; 32 bits are as many as any authenticator uses.
    if !(17..=32).contains(&bits(e)) || [n, e].iter().any(|odd| odd.last().is_none_or(|b| b & 1 == 0)) {
        return Err(Refused::PublicKeyWeak);
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| Refused::PublicKeyMalformed)
}

const MIN_MODULUS_BITS: u32 = 2048;
/// As long as the longest signature that [`Part::Signature`] lets in.
const MAX_MODULUS_BITS: u32 = 8192;

/// The length in bits of a big-endian number.
fn bits(number: &[u8]) -> u32 {
    let Some(first) = number.iter().position(|byte| *byte != 0) else { return 0 };
    let tail = number.split_at_checked(first).map_or(number, |(_, tail)| tail);
    let leading = tail.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(tail.len()).map_or(u32::MAX, |bytes| bytes.saturating_mul(8) - leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_lengths_do_not_count_leading_zeros() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[0, 0]), 0);
        assert_eq!(bits(&[0, 1]), 1);
        assert_eq!(bits(&[0x80, 0]), 16);
        assert_eq!(bits(&[0x7f; 256]), 2047);
        assert_eq!(bits(&[0xff; 256]), 2048);
    }

    #[test]
    fn an_ed25519_key_under_which_anybody_signs_is_refused() {
        for point in SMALL_ORDER {
            for sign in [0x00, 0x80] {
                let mut point = point;
                point[31] |= sign;
                let cose =
                    [&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20][..], &point].concat();
                assert_eq!(PublicKey::from_cose(&cose), Err(Refused::PublicKeyWeak), "{point:02x?}");
            }
        }
    }
}
