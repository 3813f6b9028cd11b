//! A passkey used (WebAuthn L3 §7.2).
//!
//! [`assert()`] is the ceremony at the time it happens: everything that [`recheck`] asks, then the counter against the
//! store. [`recheck`] is the same verification without a store's state, for whoever reads a record later.

use crate::authenticator_data::AuthenticatorData;
use crate::client_data::{self, Ceremony};
use crate::{Backup, Credential, Part, PublicKey, Refused, RelyingParty, signed_bytes};

/// What `navigator.credentials.get()` gave, decoded from base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// `rawId`: by it the caller found the [`Stored`] credential.
    pub credential_id: Vec<u8>,
    /// `response.clientDataJSON`, byte for byte.
    pub client_data_json: Vec<u8>,
    /// `response.authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `response.signature`.
    pub signature: Vec<u8>,
    /// `response.userHandle`; `None` where the browser gave none.
    pub user_handle: Option<Vec<u8>>,
}

/// A credential as the store has it now, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The credential, its counter and backup state as of the last accepted assertion.
    pub credential: Credential,
    /// The handle that its human was enrolled under (`user.id` of the registration).
    pub user_handle: Vec<u8>,
}

/// What an accepted assertion says anew, for the store.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    /// The counter to keep.
    pub sign_count: u32,
    /// The backup state to keep.
    pub backup: Backup,
}

/// Verifies an assertion against the challenge that we chose, which the caller has consumed before.
///
/// # Errors
/// The first [`Refused`] in the order of the specification. [`Refused::CounterRegressed`] comes only after the
/// signature was found valid, so that nobody without the key can have a credential suspended.
pub fn assert(
    rp: &RelyingParty,
    challenge: &[u8],
    stored: &Stored,
    response: &Assertion,
) -> Result<Asserted, Refused> {
    // Step 6.
    if response.user_handle.as_ref().is_some_and(|handle| *handle != stored.user_handle) {
        return Err(Refused::UserMismatch);
    }
    let asserted = recheck(rp, challenge, &stored.credential, response)?;
    // Step 22. An authenticator without a counter says 0 for ever; one that has counted never stops.
    let (known, said) = (stored.credential.sign_count, asserted.sign_count);
    if known != 0 && said <= known {
        return Err(Refused::CounterRegressed { known, said });
    }
    Ok(asserted)
}

/// Verifies an assertion long after its ceremony: all of [`assert()`] that does not depend on what the store held at
/// that moment, which is the counter and the user handle. `credential` may be as it was when it was enrolled.
///
/// # Errors
/// The first [`Refused`] in the order of the specification.
pub fn recheck(
    rp: &RelyingParty,
    challenge: &[u8],
    credential: &Credential,
    response: &Assertion,
) -> Result<Asserted, Refused> {
    // Steps 5 and 6.
    if response.credential_id != credential.id {
        return Err(Refused::CredentialMismatch);
    }
    // Steps 8 to 14 and 20.
    let client_data_hash =
        client_data::check(&response.client_data_json, Ceremony::Assertion, rp, challenge)?;
    let data = AuthenticatorData::parse(&response.authenticator_data)?;
    // Steps 15 to 18.
    let backup = data.check(rp)?;
    // §6.1: the AT flag MUST NOT be set in an assertion.
    if data.attested.is_some() {
        return Err(Refused::CredentialUnexpected);
    }
    // Step 19.
    if backup.is_eligible() != credential.backup.is_eligible() {
        return Err(Refused::BackupEligibilityChanged);
    }
    // Step 21.
    let signed = signed_bytes(&response.authenticator_data, &client_data_hash);
    credential.public_key.verify(&signed, Part::Signature.within(&response.signature)?)?;
    Ok(Asserted { sign_count: data.sign_count, backup })
}

/// Whether `public_key` made the signature of `response`, and nothing more: no challenge, no origin, no flags. This
/// tells a forged record from one that was made under other rules; it is never grounds to accept anything.
///
/// # Errors
/// [`Refused::TooLarge`], [`Refused::SignatureInvalid`].
pub fn verify_signature_only(public_key: &PublicKey, response: &Assertion) -> Result<(), Refused> {
    let client_data = Part::ClientData.within(&response.client_data_json)?;
    let authenticator_data = Part::AuthenticatorData.within(&response.authenticator_data)?;
    let signature = Part::Signature.within(&response.signature)?;
    let signed = signed_bytes(authenticator_data, &client_data::hash(client_data));
    public_key.verify(&signed, signature)
}
