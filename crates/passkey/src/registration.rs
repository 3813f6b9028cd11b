//! A new passkey (WebAuthn L3 §7.1).
//!
//! The browser is asked for attestation `none`, so two forms can come: no attestation, and self attestation, which a
//! browser may leave in place (§5.1.3). Self attestation is verified in full. An attestation by certificate is refused
//! rather than half verified: without trust anchors it would prove nothing and look as if it did.

use crate::authenticator_data::AuthenticatorData;
use crate::cbor::{self, Key, Map};
use crate::client_data::{self, Ceremony};
use crate::cose::{Algorithm, PublicKey};
use crate::{Aaguid, Backup, Part, Refused, RelyingParty, signed_bytes};

/// What `navigator.credentials.create()` gave, decoded from base64url. The credential id is read from the
/// authenticator's own bytes; `rawId` is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `response.clientDataJSON`, byte for byte.
    pub client_data_json: Vec<u8>,
    /// `response.attestationObject`.
    pub attestation_object: Vec<u8>,
}

/// A verified passkey, and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, 1 to 1023 bytes, chosen by the authenticator. The caller refuses one that is known already
    /// (WebAuthn L3 §7.1 step 26).
    pub id: Vec<u8>,
    /// Its public key, with the bytes as sent.
    pub public_key: PublicKey,
    /// The authenticator's model, as claimed.
    pub aaguid: Aaguid,
    /// The signature counter at the last use; 0 if the authenticator keeps none.
    pub sign_count: u32,
    /// Where copies of the private key may be.
    pub backup: Backup,
}

/// Verifies a registration against the challenge that it was asked with, which the caller has consumed before.
///
/// # Errors
/// The first [`Refused`] in the order of the specification.
pub fn register(rp: &RelyingParty, challenge: &[u8], response: &Registration) -> Result<Credential, Refused> {
    let client_data_hash =
        client_data::check(&response.client_data_json, Ceremony::Registration, rp, challenge)?;
    // Step 13.
    let object = AttestationObject::parse(&response.attestation_object)?;
    let data = AuthenticatorData::parse(object.authenticator_data)?;
    // Steps 14 to 19.
    let backup = data.check(rp)?;
    let attested = data.attested.ok_or(Refused::CredentialMissing)?;
    // Step 20.
    let public_key = PublicKey::from_cose(attested.public_key)?;
    // Steps 21 to 24.
    let signed = signed_bytes(object.authenticator_data, &client_data_hash);
    attest(object.format, object.statement, &public_key, &signed)?;
    // Step 25.
    if !(1..=1023).contains(&attested.id.len()) {
        return Err(Refused::CredentialIdLength);
    }
    Ok(Credential {
        id: attested.id.to_vec(),
        public_key,
        aaguid: attested.aaguid,
        sign_count: data.sign_count,
        backup,
    })
}

/// WebAuthn L3 §6.5.4: a map of `fmt`, `attStmt` and `authData`, and nothing else.
struct AttestationObject<'a> {
    format: &'a str,
    statement: Map<'a>,
    authenticator_data: &'a [u8],
}

impl<'a> AttestationObject<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        let part = Part::AttestationObject;
        let value = cbor::whole(part.within(bytes)?).map_err(|fault| Refused::Cbor { part, fault })?;
        let mut object = value.into_map().ok_or(Refused::AttestationMalformed)?;
        let format = object.take_text(Key::Text("fmt"));
        let statement = object.take_map(Key::Text("attStmt"));
        let authenticator_data = object.take_bytes(Key::Text("authData"));
        match (format, statement, authenticator_data, object.is_empty()) {
            (Some(format), Some(statement), Some(authenticator_data), true) => {
                Ok(Self { format, statement, authenticator_data })
            }
            _ => Err(Refused::AttestationMalformed),
        }
    }
}

/// WebAuthn L3 §7.1 steps 21 to 24: each format that is accepted at all is verified in full.
fn attest(format: &str, statement: Map<'_>, public_key: &PublicKey, signed: &[u8]) -> Result<(), Refused> {
    match format {
        "none" => none(&statement),
        "packed" => packed_self(statement, public_key, signed),
        _ => Err(Refused::AttestationFormat),
    }
}

/// §8.7: the statement is empty.
fn none(statement: &Map<'_>) -> Result<(), Refused> {
    if statement.is_empty() { Ok(()) } else { Err(Refused::AttestationMalformed) }
}

/// §8.2 without `x5c`: the credential's own key signed, under the algorithm that it names.
fn packed_self(mut statement: Map<'_>, public_key: &PublicKey, signed: &[u8]) -> Result<(), Refused> {
    if statement.take(Key::Text("x5c")).is_some() {
        return Err(Refused::AttestationByCertificate);
    }
    let algorithm = statement.take_integer(Key::Text("alg"));
    let signature = statement.take_bytes(Key::Text("sig"));
    let (Some(algorithm), Some(signature), true) = (algorithm, signature, statement.is_empty()) else {
        return Err(Refused::AttestationMalformed);
    };
    if Algorithm::from_cose_id(algorithm) != Some(public_key.algorithm()) {
        return Err(Refused::AttestationAlgorithm);
    }
    public_key.verify(signed, Part::Signature.within(signature)?).map_err(|_| Refused::AttestationInvalid)
}
