//! A software authenticator with one P-256 credential: the person of `demo --unattended` and of tests.
//!
//! It says that a person was present and verified although nobody was. It therefore names itself [`DEMO_AAGUID`],
//! which is refused outside the demo, and exists only under the feature `authenticator`.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Assertion, DEMO_AAGUID, Registration};

/// User present and user verified.
const UP_UV: u8 = 0x01 | 0x04;
/// Attested credential data included.
const AT: u8 = 0x40;

/// One credential and its counter. What it makes is what a browser would hand on.
#[derive(Debug)]
pub struct SoftAuthenticator {
    key: EcdsaKeyPair,
    credential_id: [u8; 32],
    sign_count: u32,
}

impl SoftAuthenticator {
    /// A new key, and a credential id from `rng`.
    ///
    /// # Errors
    /// [`Unspecified`] if no randomness is to be had.
    pub fn new(rng: &dyn SecureRandom) -> Result<Self, Unspecified> {
        let mut credential_id = [0; 32];
        rng.fill(&mut credential_id)?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        Ok(Self { key, credential_id, sign_count: 0 })
    }

    /// What `navigator.credentials.create()` would give for its credential, with attestation `none`.
    ///
    /// # Errors
    /// None that a key of its own could cause; the form of its public key is checked, not assumed.
    pub fn create(&self, rp_id: &str, origin: &str, challenge: &[u8]) -> Result<Registration, Unspecified> {
        let authenticator_data = [
            &self.authenticator_data(rp_id, UP_UV | AT)[..],
            &DEMO_AAGUID.0,
            &[0x00, 0x20],
            &self.credential_id,
            &self.cose_key()?,
        ]
        .concat();
        let length = u8::try_from(authenticator_data.len()).map_err(|_| Unspecified)?;
        let attestation_object =
            [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"[..], &[length], &authenticator_data]
                .concat();
        Ok(Registration {
            client_data_json: client_data("webauthn.create", origin, challenge),
            attestation_object,
        })
    }

    /// What `navigator.credentials.get()` would give; its counter grows by one.
    ///
    /// # Errors
    /// [`Unspecified`] if the library cannot sign.
    pub fn get(&mut self, rp_id: &str, origin: &str, challenge: &[u8]) -> Result<Assertion, Unspecified> {
        self.sign_count = self.sign_count.saturating_add(1);
        let authenticator_data = self.authenticator_data(rp_id, UP_UV);
        let client_data_json = client_data("webauthn.get", origin, challenge);
        let signed = [&authenticator_data[..], digest(&SHA256, &client_data_json).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed)?;
        Ok(Assertion {
            credential_id: self.credential_id.to_vec(),
            client_data_json,
            authenticator_data,
            signature: signature.as_ref().to_vec(),
            user_handle: None,
        })
    }

    fn authenticator_data(&self, rp_id: &str, flags: u8) -> Vec<u8> {
        let rp_id_hash = digest(&SHA256, rp_id.as_bytes());
        [rp_id_hash.as_ref(), &[flags], &self.sign_count.to_be_bytes()].concat()
    }

    /// `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`.
    fn cose_key(&self) -> Result<Vec<u8>, Unspecified> {
        let [0x04, point @ ..] = self.key.public_key().as_ref() else { return Err(Unspecified) };
        let (x, y) = point.split_at_checked(32).ok_or(Unspecified)?;
        Ok([&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat())
    }
}

fn client_data(type_: &str, origin: &str, challenge: &[u8]) -> Vec<u8> {
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    let origin = serde_json::Value::from(origin);
    format!(r#"{{"type":"{type_}","challenge":"{challenge}","origin":{origin},"crossOrigin":false}}"#)
        .into_bytes()
}
