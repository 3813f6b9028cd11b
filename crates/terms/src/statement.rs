//! The statement: what an approver's key signs (decisions §8).

use crate::hash::{AccessHash, CardHash, Digest, RequirementHash, b64url};
use crate::json::Json;
use crate::requirement::Terms;
use crate::{ElevationId, HumanId, InstallId, Time};

/// In which capacity a person signs. An owner's signature never fills an `approvals` leaf (B24).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Somebody else than those behind the caller.
    Approver,
    /// A human that the caller acts for.
    Owner,
}

impl Role {
    /// The name in statements, store and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Owner => "owner",
        }
    }

    /// The verdict that a signature in this role states: an approver approves, an owner confirms.
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Approver => "approve",
            Self::Owner => "confirm",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Approver, Self::Owner].into_iter().find(|role| role.name() == name)
    }
}

/// Consent to one elevation. Signed by hashing it into the WebAuthn challenge.
#[derive(Clone, Debug, PartialEq)]
pub struct Consent {
    /// The elevation.
    pub elevation: ElevationId,
    /// What runs.
    pub access_hash: AccessHash,
    /// What was shown.
    pub card_hash: CardHash,
    /// What it counts for.
    pub requirement_hash: RequirementHash,
    /// What is granted.
    pub terms: Terms,
    /// In which capacity.
    pub role: Role,
}

/// What a ceremony is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Matter {
    /// Approve or confirm one elevation.
    Consent(Consent),
    /// Any other act that gives something: lift a lock, accept a definition, resolve an outcome.
    Act {
        /// `unlock`, `accept`, `resolve`, `enrol`, `sign-in`, ….
        act: String,
        /// Hash over what it is done to, as shown.
        subject_hash: Digest,
    },
}

/// One statement by one human with one credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// This installation; stops transplanting between installations that share an rp id.
    pub install: InstallId,
    /// What for.
    pub matter: Matter,
    /// Who signs.
    pub approver: HumanId,
    /// With which credential, base64url; empty where the browser chooses among several.
    pub credential: String,
    /// After this the statement is worth nothing.
    pub expires: Time,
    /// 32 random bytes, base64url; stored hashed, consumed before verification.
    pub nonce: String,
}

impl Statement {
    /// The canonical form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut members = vec![
            ("v", Json::from(1_u32)),
            ("install", Json::from(self.install)),
            ("approver", Json::from(self.approver)),
            ("credential", Json::from(self.credential.as_str())),
            ("expires", Json::from(self.expires)),
            ("nonce", Json::from(self.nonce.as_str())),
        ];
        match &self.matter {
            Matter::Consent(consent) => members.extend([
                ("elevation", Json::from(consent.elevation)),
                ("access_hash", Json::from(consent.access_hash)),
                ("card_hash", Json::from(consent.card_hash)),
                ("requirement_hash", Json::from(consent.requirement_hash)),
                ("terms", consent.terms.to_json()),
                ("role", Json::from(consent.role.name())),
                ("verdict", Json::from(consent.role.verdict())),
            ]),
            Matter::Act { act, subject_hash } => members.extend([
                ("act", Json::from(act.as_str())),
                ("subject_hash", Json::from(subject_hash.to_string())),
            ]),
        }
        Json::object(members)
    }

    /// What [`Statement::to_json`] wrote; `None` for any other shape.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let digest = |name: &str| text(name)?.parse::<Digest>().ok();
        let matter = if let Some(act) = text("act") {
            Matter::Act { act: act.to_owned(), subject_hash: digest("subject_hash")? }
        } else {
            Matter::Consent(Consent {
                elevation: text("elevation")?.parse().ok()?,
                access_hash: AccessHash::from_digest(digest("access_hash")?),
                card_hash: CardHash::from_digest(digest("card_hash")?),
                requirement_hash: RequirementHash::from_digest(digest("requirement_hash")?),
                terms: Terms::from_json(json.get("terms")?)?,
                role: Role::named(text("role")?)?,
            })
        };
        let statement = Self {
            install: text("install")?.parse().ok()?,
            matter,
            approver: text("approver")?.parse().ok()?,
            credential: text("credential")?.to_owned(),
            expires: Time::from_json(json.get("expires")?)?,
            nonce: text("nonce")?.to_owned(),
        };
        (statement.to_json() == *json).then_some(statement)
    }

    /// The WebAuthn challenge: `SHA-256("stepup/statement/v1\0" ‖ JCS)`.
    #[must_use]
    pub fn challenge(&self) -> Digest {
        Digest::of("stepup/statement/v1\0", &[self.to_json().text().as_bytes()])
    }
}

/// The text of a nonce and the hash under which it is stored.
#[must_use]
pub fn nonce(ambient: &dyn crate::Ambient) -> (String, Digest) {
    let mut bytes = [0; 32];
    ambient.fill(&mut bytes);
    let text = b64url(&bytes);
    let hash = nonce_hash(&text);
    (text, hash)
}

/// The hash under which a nonce is stored.
#[must_use]
pub fn nonce_hash(nonce: &str) -> Digest {
    Digest::of("stepup/nonce/v1\0", &[nonce.as_bytes()])
}
