//! A vote: one human's signed consent to one elevation.

use terms::statement::{Role, Statement};
use terms::{CardHash, HumanId, Json, RequirementHash, Time};

/// One signed consent, as it was verified. It counts only for the requirement that it signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The one person behind the identity that voted: approvals are counted over these.
    pub root: HumanId,
    /// The identity that voted.
    pub human: HumanId,
    /// Its name then.
    pub name: String,
    /// In which capacity.
    pub role: Role,
    /// The credential, base64url.
    pub credential: String,
    /// What was signed.
    pub statement: Statement,
    /// The requirement that was signed.
    pub requirement: RequirementHash,
    /// The card that was shown.
    pub card: CardHash,
    /// `clientDataJSON`, `authenticatorData` and `signature`, base64url.
    pub assertion: Json,
    /// When it was given.
    pub at: Time,
}
