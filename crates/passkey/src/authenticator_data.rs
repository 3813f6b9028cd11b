//! Authenticator data: what the authenticator itself says and signs (WebAuthn L3 §6.1).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{Part, Refused, RelyingParty, cbor};

/// The model of an authenticator, as it names itself. Without attestation this is a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aaguid(pub [u8; 16]);

impl fmt::Display for Aaguid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Where copies of the private key may be (WebAuthn L3 §6.1.3). The fourth combination of the two flags, backed up
/// but not eligible, is not allowed and has no value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backup {
    /// BE and BS clear: the key never leaves its authenticator.
    SingleDevice,
    /// BE set, BS clear: the key may be copied and has not been.
    Eligible,
    /// BE and BS set: the key is in a backup.
    BackedUp,
}

impl Backup {
    /// Whether the key may be copied (BE). This never changes in the life of a credential.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        match self {
            Self::SingleDevice => false,
            Self::Eligible | Self::BackedUp => true,
        }
    }

    /// Whether the key has been copied (BS).
    #[must_use]
    pub fn is_backed_up(self) -> bool {
        match self {
            Self::SingleDevice | Self::Eligible => false,
            Self::BackedUp => true,
        }
    }

    /// The value that the two flags mean.
    ///
    /// # Errors
    /// [`Refused::BackedUpButNotEligible`] for the combination that is not allowed.
    pub fn from_flags(eligible: bool, backed_up: bool) -> Result<Self, Refused> {
        match (eligible, backed_up) {
            (false, false) => Ok(Self::SingleDevice),
            (true, false) => Ok(Self::Eligible),
            (true, true) => Ok(Self::BackedUp),
            (false, true) => Err(Refused::BackedUpButNotEligible),
        }
    }
}

/// Read, not yet believed: [`AuthenticatorData::check`] is what both ceremonies go on with.
#[derive(Debug)]
pub(crate) struct AuthenticatorData<'a> {
    rp_id_hash: [u8; 32],
    flags: Flags,
    pub(crate) sign_count: u32,
    pub(crate) attested: Option<AttestedCredential<'a>>,
}

/// WebAuthn L3 §6.5.1.
#[derive(Debug)]
pub(crate) struct AttestedCredential<'a> {
    pub(crate) aaguid: Aaguid,
    pub(crate) id: &'a [u8],
    pub(crate) public_key: &'a [u8],
}

/// WebAuthn L3 §6.1. Bits 1 and 5 are reserved and ignored.
#[derive(Debug, Clone, Copy)]
struct Flags(u8);

impl Flags {
    const UP: u8 = 0x01;
    const UV: u8 = 0x04;
    const BE: u8 = 0x08;
    const BS: u8 = 0x10;
    const AT: u8 = 0x40;
    const ED: u8 = 0x80;

    fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

impl<'a> AuthenticatorData<'a> {
    /// Reads all of `bytes`; what the flags do not announce is refused.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        let rest = Part::AuthenticatorData.within(bytes)?;
        let (rp_id_hash, rest) = chunk::<32>(rest)?;
        let ([flags], rest) = chunk::<1>(rest)?;
        let (sign_count, rest) = chunk::<4>(rest)?;
        let flags = Flags(flags);
        let (attested, rest) = if flags.has(Flags::AT) {
            let (attested, rest) = AttestedCredential::parse(rest)?;
            (Some(attested), rest)
        } else {
            (None, rest)
        };
        let rest = if flags.has(Flags::ED) { extensions(rest)? } else { rest };
        if !rest.is_empty() {
            return Err(Refused::AuthenticatorDataTrailing);
        }
        Ok(Self { rp_id_hash, flags, sign_count: u32::from_be_bytes(sign_count), attested })
    }

    /// What both ceremonies ask: WebAuthn L3 §7.1 steps 14 to 17, §7.2 steps 15 to 18.
    pub(crate) fn check(&self, rp: &RelyingParty) -> Result<Backup, Refused> {
        if digest(&SHA256, rp.rp_id.as_bytes()).as_ref() != self.rp_id_hash {
            return Err(Refused::RpIdMismatch);
        }
        if !self.flags.has(Flags::UP) {
            return Err(Refused::UserNotPresent);
        }
        // Always required: an approval is a person's, and the request asks `userVerification: "required"`.
        if !self.flags.has(Flags::UV) {
            return Err(Refused::UserNotVerified);
        }
        Backup::from_flags(self.flags.has(Flags::BE), self.flags.has(Flags::BS))
    }
}

impl<'a> AttestedCredential<'a> {
    fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Refused> {
        let (aaguid, rest) = chunk::<16>(bytes)?;
        let (length, rest) = chunk::<2>(rest)?;
        let (id, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(length)))
            .ok_or(Refused::AuthenticatorDataTruncated)?;
        // The key says its own length, and only as CBOR.
        let (_, public_key, rest) =
            cbor::leading(rest).map_err(|fault| Refused::Cbor { part: Part::PublicKey, fault })?;
        Ok((Self { aaguid: Aaguid(aaguid), id, public_key }, rest))
    }
}

/// WebAuthn L3 §9: a CBOR map. None was asked for; an authenticator may add some, and all are ignored.
fn extensions(bytes: &[u8]) -> Result<&[u8], Refused> {
    let (value, _, rest) =
        cbor::leading(bytes).map_err(|fault| Refused::Cbor { part: Part::Extensions, fault })?;
    match value.into_map() {
        Some(_) => Ok(rest),
        None => Err(Refused::ExtensionsMalformed),
    }
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Refused> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Refused::AuthenticatorDataTruncated)?;
    Ok((*head, rest))
}
