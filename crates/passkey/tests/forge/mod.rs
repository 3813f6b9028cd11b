//! An authenticator that lies on demand: every field of a ceremony is open, and what it makes is signed correctly
//! over whatever they say.
#![allow(dead_code)] // each test binary uses its own part

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use passkey::{Algorithm, Assertion, Registration, RelyingParty};

pub const RP_ID: &str = "stepup.example";
pub const ORIGIN: &str = "https://stepup.example";
pub const CHALLENGE: [u8; 32] = [0x5a; 32];
pub const USER_HANDLE: &[u8] = b"human-7";

pub const UP: u8 = 0x01;
pub const UV: u8 = 0x04;
pub const BE: u8 = 0x08;
pub const BS: u8 = 0x10;
pub const AT: u8 = 0x40;
pub const ED: u8 = 0x80;

pub fn relying_party() -> RelyingParty {
    RelyingParty { rp_id: RP_ID.to_owned(), origins: vec![ORIGIN.to_owned()] }
}

pub enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(rsa::KeyPair),
}

impl Signer {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            Algorithm::EdDsa => Self::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Rs256 => Self::Rs256(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap()),
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Rs256(_) => Algorithm::Rs256,
        }
    }

    pub fn cose(&self) -> Vec<u8> {
        match self {
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                cose_es256(&point[1..33], &point[33..])
            }
            Self::EdDsa(key) => cose_ed25519(key.public_key().as_ref()),
            Self::Rs256(key) => {
                // PKCS#1 of 2048 bits with exponent 65537: 30 82 LL LL 02 82 01 01 00 n 02 03 01 00 01.
                let der = key.public_key().as_ref();
                assert_eq!((&der[4..9], &der[265..]), (&[2, 0x82, 1, 1, 0][..], &[2, 3, 1, 0, 1][..]));
                cose_rs256(&der[9..265], &[1, 0, 1])
            }
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&rng, message).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A ceremony, field by field.
pub struct Forge {
    pub signer: Signer,
    pub credential_id: Vec<u8>,
    pub cose: Vec<u8>,
    pub aaguid: [u8; 16],
    pub rp_id: String,
    pub origin: String,
    pub challenge: Vec<u8>,
    /// The client data's `type`; when `None`, the right one.
    pub type_: Option<&'static str>,
    /// More members of the client data, each with its leading comma.
    pub members: &'static str,
    /// AT is added in registrations.
    pub flags: u8,
    pub sign_count: u32,
    /// Bytes at the end of the authenticator data.
    pub tail: Vec<u8>,
    pub attestation: Attestation,
    pub user_handle: Option<Vec<u8>>,
}

pub enum Attestation {
    None,
    PackedSelf,
    /// `fmt` and the encoded `attStmt` as they are.
    Literal(&'static str, Vec<u8>),
}

impl Forge {
    pub fn new(algorithm: Algorithm) -> Self {
        let signer = Signer::new(algorithm);
        Self {
            cose: signer.cose(),
            signer,
            credential_id: vec![0xc1; 32],
            aaguid: [0xaa; 16],
            rp_id: RP_ID.to_owned(),
            origin: ORIGIN.to_owned(),
            challenge: CHALLENGE.to_vec(),
            type_: None,
            members: r#","crossOrigin":false"#,
            flags: UP | UV,
            sign_count: 0,
            tail: Vec::new(),
            attestation: Attestation::None,
            user_handle: None,
        }
    }

    pub fn client_data(&self, right: &str) -> Vec<u8> {
        let (type_, members, origin) = (self.type_.unwrap_or(right), self.members, &self.origin);
        let challenge = URL_SAFE_NO_PAD.encode(&self.challenge);
        format!(r#"{{"type":"{type_}","challenge":"{challenge}","origin":"{origin}"{members}}}"#).into_bytes()
    }

    pub fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.sign_count.to_be_bytes());
        if flags & AT != 0 {
            data.extend(self.aaguid);
            data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
            data.extend(&self.credential_id);
            data.extend(&self.cose);
        }
        data.extend(&self.tail);
        data
    }

    pub fn registration(&self) -> Registration {
        self.registration_with(self.flags | AT)
    }

    pub fn registration_with(&self, flags: u8) -> Registration {
        let client_data_json = self.client_data("webauthn.create");
        let data = self.authenticator_data(flags);
        let (format, statement) = match &self.attestation {
            Attestation::None => ("none", vec![0xa0]),
            Attestation::PackedSelf => {
                let signature = self.signer.sign(&signed(&data, &client_data_json));
                ("packed", packed(self.signer.algorithm().cose_id(), &signature))
            }
            Attestation::Literal(format, statement) => (*format, statement.clone()),
        };
        Registration { client_data_json, attestation_object: attestation_object(format, &statement, &data) }
    }

    pub fn assertion(&self) -> Assertion {
        self.assertion_with(self.authenticator_data(self.flags))
    }

    /// With authenticator data of any form, signed.
    pub fn assertion_with(&self, authenticator_data: Vec<u8>) -> Assertion {
        let client_data_json = self.client_data("webauthn.get");
        Assertion {
            credential_id: self.credential_id.clone(),
            signature: self.signer.sign(&signed(&authenticator_data, &client_data_json)),
            client_data_json,
            authenticator_data,
            user_handle: self.user_handle.clone(),
        }
    }
}

pub fn signed(authenticator_data: &[u8], client_data_json: &[u8]) -> Vec<u8> {
    [authenticator_data, digest(&SHA256, client_data_json).as_ref()].concat()
}

pub fn attestation_object(format: &str, statement: &[u8], authenticator_data: &[u8]) -> Vec<u8> {
    [
        &[0xa3][..],
        &text("fmt"),
        &text(format),
        &text("attStmt"),
        statement,
        &text("authData"),
        &bytes(authenticator_data),
    ]
    .concat()
}

pub fn packed(alg: i32, signature: &[u8]) -> Vec<u8> {
    [&[0xa2][..], &text("alg"), &integer(alg), &text("sig"), &bytes(signature)].concat()
}

pub fn cose_es256(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21][..], &bytes(x), &[0x22], &bytes(y)].concat()
}

pub fn cose_ed25519(x: &[u8]) -> Vec<u8> {
    [&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21][..], &bytes(x)].concat()
}

pub fn cose_rs256(n: &[u8], e: &[u8]) -> Vec<u8> {
    [&[0xa4, 0x01, 0x03, 0x03][..], &integer(-257), &[0x20], &bytes(n), &[0x21], &bytes(e)].concat()
}

pub fn integer(value: i32) -> Vec<u8> {
    match value {
        0.. => head(0, usize::try_from(value).unwrap()),
        ..0 => head(1, usize::try_from(-1 - value).unwrap()),
    }
}

pub fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len()), value.to_vec()].concat()
}

pub fn text(value: &str) -> Vec<u8> {
    [head(3, value.len()), value.as_bytes().to_vec()].concat()
}

fn head(major: u8, argument: usize) -> Vec<u8> {
    let major = major << 5;
    match argument {
        0..24 => vec![major | u8::try_from(argument).unwrap()],
        24..256 => vec![major | 24, u8::try_from(argument).unwrap()],
        _ => [vec![major | 25], u16::try_from(argument).unwrap().to_be_bytes().to_vec()].concat(),
    }
}
