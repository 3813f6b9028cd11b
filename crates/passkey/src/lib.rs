//! WebAuthn registration and assertion verification over a challenge that we choose.
//!
//! Pure: bytes in, a verdict out; no clock, no HTTP, no store. The console asks [`register`] and [`assert()`] while a
//! person is there; `log verify` asks [`recheck`] years later, and gets the verdict of the same code.
//!
//! What is read is WebAuthn Level 3 (<https://www.w3.org/TR/webauthn-3/>), narrowed: user presence and verification
//! always, exact origins, never inside another site's frame, three algorithms, attestation `none` or by the
//! credential's own key. Comments name the sections and the steps of §7.1 and §7.2 that they carry out.
//!
//! The caller's part: consume the challenge before asking, find the [`Stored`] credential by the response's id and
//! check that it is the approver's, refuse a registration of a known id, keep what [`Asserted`] says, and suspend a
//! credential on [`Refused::CounterRegressed`].

mod assertion;
#[cfg(feature = "authenticator")]
mod authenticator;
mod authenticator_data;
mod cbor;
mod client_data;
mod cose;
mod registration;

use std::fmt;

pub use assertion::{Asserted, Assertion, Stored, assert, recheck, verify_signature_only};
#[cfg(feature = "authenticator")]
pub use authenticator::SoftAuthenticator;
pub use authenticator_data::{Aaguid, Backup};
use aws_lc_rs::digest::Digest;
pub use cbor::CborFault;
pub use cose::{Algorithm, PublicKey};
pub use registration::{Credential, Registration, register};

/// The model that the demo's software authenticator names. Whoever enrols people for real refuses it
/// (decisions B14); the constant is here without the feature so that refusing it needs no authenticator.
pub const DEMO_AAGUID: Aaguid = Aaguid(*b"stepup-demo-only");

/// For whom credentials are made, and from where they may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// The RP ID, a domain without scheme or port.
    pub rp_id: String,
    /// The origins that pages may have, compared as whole strings: `https://stepup.example` lets in neither its
    /// subdomains nor its other ports. With none, everything is refused.
    pub origins: Vec<String>,
}

/// The pieces of a response, each with the most bytes that are read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `clientDataJSON`: 4 KiB.
    ClientData,
    /// Authenticator data: 4 KiB.
    AuthenticatorData,
    /// `attestationObject`: 16 KiB.
    AttestationObject,
    /// A signature: 1 KiB.
    Signature,
    /// The credential public key, inside authenticator data.
    PublicKey,
    /// The extensions, inside authenticator data.
    Extensions,
}

impl Part {
    /// The most bytes that are read of it.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::ClientData | Self::AuthenticatorData | Self::PublicKey | Self::Extensions => 4 * 1024,
            Self::AttestationObject => 16 * 1024,
            Self::Signature => 1024,
        }
    }

    pub(crate) fn within(self, bytes: &[u8]) -> Result<&[u8], Refused> {
        if bytes.len() > self.limit() {
            return Err(Refused::TooLarge { part: self });
        }
        Ok(bytes)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientData => "client data",
            Self::AuthenticatorData => "authenticator data",
            Self::AttestationObject => "attestation object",
            Self::Signature => "signature",
            Self::PublicKey => "credential public key",
            Self::Extensions => "authenticator extensions",
        })
    }
}

/// Why a response is not accepted. No variant carries a byte of the response beyond two counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A piece is longer than its cap.
    #[error("the {part} is longer than {} bytes", part.limit())]
    TooLarge {
        /// Which piece.
        part: Part,
    },
    /// A piece is not CBOR that an authenticator sends.
    #[error("the {part} is not CBOR that an authenticator sends: {fault}")]
    Cbor {
        /// Which piece.
        part: Part,
        /// What is wrong with it.
        fault: CborFault,
    },
    /// The caller's challenge is not one.
    #[error("the challenge to verify against is shorter than 16 bytes")]
    ChallengeTooShort,

    /// Client data of another form.
    #[error("the client data is not a JSON object with type, challenge and origin")]
    ClientDataMalformed,
    /// Client data with two values for one name.
    #[error("the client data names a member twice")]
    ClientDataRepeats,
    /// Client data of the other ceremony, or of none.
    #[error("the client data is of another type of ceremony")]
    TypeMismatch,
    /// Another challenge was signed.
    #[error("the challenge that was signed is not the one that was asked")]
    ChallengeMismatch,
    /// The page had another origin.
    #[error("the origin of the page is not one of those configured")]
    OriginMismatch,
    /// The page was inside a frame of another origin.
    #[error("the ceremony ran inside a frame of another origin")]
    CrossOrigin,
    /// The browser names a page above ours.
    #[error("the ceremony ran below a page of another origin")]
    TopOrigin,

    /// Authenticator data shorter than its flags say.
    #[error("the authenticator data ends too early")]
    AuthenticatorDataTruncated,
    /// Authenticator data longer than its flags say.
    #[error("the authenticator data has bytes that its flags do not announce")]
    AuthenticatorDataTrailing,
    /// Extension data that is CBOR but no map.
    #[error("the authenticator extensions are not a map")]
    ExtensionsMalformed,
    /// Made for another relying party.
    #[error("the authenticator was asked for another RP ID")]
    RpIdMismatch,
    /// UP is clear.
    #[error("the authenticator did not test that a person is present")]
    UserNotPresent,
    /// UV is clear.
    #[error("the authenticator did not verify who the person is")]
    UserNotVerified,
    /// BS is set and BE is clear.
    #[error("the authenticator says that a key is backed up that cannot be")]
    BackedUpButNotEligible,

    /// A registration with AT clear.
    #[error("the authenticator data has no credential")]
    CredentialMissing,
    /// An assertion with AT set.
    #[error("the authenticator data of an assertion has a credential")]
    CredentialUnexpected,
    /// An id of 0 or more than 1023 bytes.
    #[error("the credential id is not 1 to 1023 bytes long")]
    CredentialIdLength,
    /// A key of an algorithm outside [`Algorithm::ALL`].
    #[error("the credential's algorithm is not ES256, EdDSA or RS256")]
    AlgorithmNotAllowed,
    /// A key that does not fit its own algorithm.
    #[error("the credential public key is not a key of its algorithm")]
    PublicKeyMalformed,
    /// A key that others than its holder could sign with.
    #[error("the credential public key is too weak")]
    PublicKeyWeak,

    /// An attestation object or statement of another form.
    #[error("the attestation object does not have the form that its format asks for")]
    AttestationMalformed,
    /// A format that is not verified here.
    #[error("the attestation format is neither none nor packed; ask the browser for attestation none")]
    AttestationFormat,
    /// Packed attestation with certificates.
    #[error("the attestation is by certificate; ask the browser for attestation none")]
    AttestationByCertificate,
    /// Self attestation under another algorithm than the key's.
    #[error("the attestation names another algorithm than the credential's key")]
    AttestationAlgorithm,
    /// Self attestation that the key did not sign.
    #[error("the attestation was not signed by the credential's key")]
    AttestationInvalid,

    /// The response is of another credential than the caller looked up.
    #[error("the response is of another credential")]
    CredentialMismatch,
    /// The authenticator names another user.
    #[error("the response is of another user")]
    UserMismatch,
    /// BE is not what it was when the credential was enrolled.
    #[error("the credential's backup eligibility has changed")]
    BackupEligibilityChanged,
    /// The key did not sign this.
    #[error("the signature is not valid for this credential")]
    SignatureInvalid,
    /// The signature is valid and the counter did not grow: two authenticators may hold this key. Suspend it.
    #[error("the signature counter is {said} after {known}: this passkey may have been copied")]
    CounterRegressed {
        /// The counter that the store has.
        known: u32,
        /// The counter that the authenticator signed.
        said: u32,
    },
}

/// What attestations and assertions sign: authenticator data, then the hash of the client data
/// (WebAuthn L3 §6.3.3, §8.2).
fn signed_bytes(authenticator_data: &[u8], client_data_hash: &Digest) -> Vec<u8> {
    [authenticator_data, client_data_hash.as_ref()].concat()
}
