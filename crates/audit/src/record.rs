//! One record of the log: a small envelope, which is the leaf, and a body beside it that can be erased without
//! breaking any proof (decisions B8).

use terms::{
    AccessHash, AttemptId, CallerId, Digest, ElevationId, GrantId, Json, PolicyHash, RecordId, Time,
};

use crate::tree;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// Every kind of record. What a body of each kind holds is in `docs/records.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind with its name.
            pub const TABLE: &[(Self, &'static str)] = &[$((Self::$name, $text),)*];

            /// Its name in envelopes, store and CLI.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A node started. The first record of every log.
    Started "started",
    /// The store was restored from a backup, and a person acknowledged the fork.
    Restored "restored",
    /// The store's schema was changed to a newer one.
    Migrated "migrated",

    /// An access was permitted by policy alone.
    Permitted "permitted",
    /// An access was stopped, and an elevation opened.
    Challenged "challenged",
    /// An access was permitted by a grant, one use of which it took.
    Spent "spent",
    /// An access was denied, or many were within one minute.
    Denied "denied",
    /// An attempt ended, or its end is unknown.
    Settled "settled",
    /// A person said how an attempt of unknown end had ended.
    Resolved "resolved",
    /// Who was told that it may run something said how that had ended.
    Reported "reported",
    /// Rules that are only tried would have stopped what ran.
    Shadowed "shadowed",
    /// A caller asked what there is, and was shown some of it.
    Listed "listed",
    /// A caller asked what a call would come to, and was told.
    Preflighted "preflighted",

    /// A person signed consent to an elevation.
    Voted "voted",
    /// An elevation's requirement was met, and a grant issued.
    Granted "granted",
    /// A person rejected an elevation.
    Rejected "rejected",
    /// An elevation's time ran out.
    Expired "expired",
    /// An elevation was taken back by its caller, a person behind it or an operator.
    Withdrawn "withdrawn",
    /// An elevation made room for another because what it takes had changed.
    Superseded "superseded",
    /// Somebody could not be told of something, and is not tried any more.
    NotTold "not_told",

    /// Grants were taken back.
    Revoked "revoked",
    /// A caller, a human, an upstream or everything was stopped.
    Locked "locked",
    /// A lock was lifted.
    Unlocked "unlocked",

    /// A policy revision was proposed.
    PolicyProposed "policy_proposed",
    /// A policy revision came into force.
    PolicyActivated "policy_activated",
    /// A policy revision came into force without asking the rules that were.
    PolicyRecovered "policy_recovered",
    /// A proposed policy revision was refused.
    PolicyRefused "policy_refused",

    /// An upstream was configured.
    UpstreamAdded "upstream_added",
    /// An upstream's configuration or files changed.
    UpstreamChanged "upstream_changed",
    /// Definitions were seen for the first time at first contact with an upstream, and pinned.
    Pinned "pinned",
    /// A person accepted a definition.
    PinAccepted "pin_accepted",
    /// A person refused a definition.
    PinRefused "pin_refused",
    /// A definition changed or appeared, and is stopped until a person accepts it.
    Quarantined "quarantined",

    /// A caller was registered.
    CallerAdded "caller_added",
    /// A caller's owner, actors or groups changed.
    CallerChanged "caller_changed",
    /// A caller was disabled.
    CallerDisabled "caller_disabled",
    /// A caller got a key.
    CallerKeyAdded "caller_key_added",
    /// A caller's key was revoked.
    CallerKeyRevoked "caller_key_revoked",
    /// A human was added.
    HumanAdded "human_added",
    /// A human was invited again.
    HumanChanged "human_changed",
    /// A human was disabled.
    HumanDisabled "human_disabled",
    /// A group's members changed.
    GroupChanged "group_changed",
    /// A human enrolled a passkey.
    PasskeyEnrolled "passkey_enrolled",
    /// A passkey was revoked.
    PasskeyRevoked "passkey_revoked",
    /// A human signed in.
    SignedIn "signed_in",

    /// A key of the installation was replaced.
    KeyRotated "key_rotated",
    /// The log was exported.
    Exported "exported",
    /// The body of a record was erased.
    Erased "erased",

    /// A credential was lent.
    Leased "leased",
    /// A lent credential was recalled.
    Recalled "recalled",
}

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind)
    }

    /// Whether a body of this kind may be erased. Not those that say whose log this is, what was erased, and by
    /// which keys every signature is checked.
    #[must_use]
    pub fn erasable(self) -> bool {
        !matches!(
            self,
            Self::Started | Self::Restored | Self::Erased | Self::PasskeyEnrolled | Self::PasskeyRevoked
        )
    }
}

/// What a record is about: the published part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs {
    /// The caller.
    pub caller: Option<CallerId>,
    /// The elevation.
    pub elevation: Option<ElevationId>,
    /// The grant.
    pub grant: Option<GrantId>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// The access. Published only salted; see [`salted`].
    pub access_hash: Option<AccessHash>,
    /// The policy in force.
    pub policy: Option<PolicyHash>,
}

/// A record as it is written, before it is sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its id.
    pub id: RecordId,
    /// The node's clock, which never runs backwards within one node (decisions B7).
    pub at: Time,
    /// The name of the node that wrote it.
    pub node: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is about.
    pub refs: Refs,
    /// Its body; `docs/records.md` has the members of each kind.
    pub body: Json,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// The node's clock.
    pub at: Time,
    /// The name of the node that wrote it.
    pub node: String,
    /// Its kind.
    pub kind: Kind,
    /// The canonical envelope: the bytes of the leaf.
    pub envelope: Vec<u8>,
    /// The leaf's hash (RFC 6962 §2.1).
    pub hash: Digest,
    /// The canonical body.
    pub body: Vec<u8>,
    /// What the body and the access hash are hashed with; erased together with the body.
    pub salt: [u8; 16],
}

/// How an envelope refers to an access: `SHA-256("stepup/ref/v1\0" ‖ salt ‖ access hash)`. Whoever is shown body
/// and salt can check it; from the envelope alone nobody can try out which access it was, nor see that two records
/// are about the same one (decisions §9).
#[must_use]
pub fn salted(salt: &[u8; 16], access: AccessHash) -> Digest {
    Digest::of("stepup/ref/v1\0", &[salt, access.digest().bytes()])
}

/// What an envelope says of its body: `SHA-256(salt ‖ body)`.
#[must_use]
pub fn body_digest(salt: &[u8; 16], body: &[u8]) -> Digest {
    Digest::of("", &[salt, body])
}

impl Draft {
    /// The record under a fresh random salt.
    #[must_use]
    pub fn seal(self, salt: [u8; 16]) -> Record {
        let body = self.body.text().into_bytes();
        let envelope = Json::object([
            ("v", Json::from(1_u32)),
            ("id", Json::from(self.id)),
            ("at", Json::from(self.at)),
            ("node", Json::from(self.node.as_str())),
            ("kind", Json::from(self.kind.name())),
            ("refs", self.refs.to_json(&salt)),
            ("body", Json::from(body_digest(&salt, &body).to_string())),
        ]);
        let envelope = envelope.text().into_bytes();
        let hash = tree::leaf_hash(&envelope);
        Record { id: self.id, at: self.at, node: self.node, kind: self.kind, envelope, hash, body, salt }
    }
}

impl Refs {
    /// Members that are absent are left out.
    fn to_json(&self, salt: &[u8; 16]) -> Json {
        let members = [
            ("caller", self.caller.map(Json::from)),
            ("elevation", self.elevation.map(Json::from)),
            ("grant", self.grant.map(Json::from)),
            ("attempt", self.attempt.map(Json::from)),
            ("access_hash", self.access_hash.map(|hash| Json::from(salted(salt, hash).to_string()))),
            ("policy", self.policy.map(Json::from)),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            id: RecordId::from_slice(&[1; 16]).unwrap(),
            at: Time::from_millis(1_700_000_000_000),
            node: "a".to_owned(),
            kind: Kind::Settled,
            refs: Refs {
                attempt: AttemptId::from_slice(&[2; 16]),
                access_hash: Some(AccessHash::from_digest(Digest::plain(b"an access"))),
                ..Refs::default()
            },
            body: Json::object([("outcome", "done")]),
        }
    }

    #[test]
    fn every_kind_has_one_name_of_its_own() {
        for (kind, name) in Kind::TABLE {
            assert_eq!(kind.name(), *name);
            assert_eq!(Kind::named(name), Some(*kind));
        }
        let names: std::collections::BTreeSet<_> = Kind::TABLE.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), Kind::TABLE.len());
        assert_eq!(Kind::named("granted "), None);
    }

    #[test]
    fn an_envelope_is_canonical_and_says_exactly_what_the_format_says() {
        let record = draft().seal([7; 16]);
        let envelope = String::from_utf8(record.envelope.clone()).unwrap();
        let digest = Digest::plain(&[&[7; 16][..], br#"{"outcome":"done"}"#].concat());
        let reference =
            Digest::plain(&[b"stepup/ref/v1\0", &[7; 16][..], Digest::plain(b"an access").bytes()].concat());
        let attempt = AttemptId::from_slice(&[2; 16]).unwrap();
        let expected = [
            format!(
                r#"{{"at":1700000000000,"body":"{digest}","id":"{}","kind":"settled","node":"a","#,
                record.id
            ),
            format!(r#""refs":{{"access_hash":"{reference}","attempt":"{attempt}"}},"v":1}}"#),
        ];
        assert_eq!(envelope, expected.concat());
        assert_eq!(record.hash, Digest::plain(&[&[0], record.envelope.as_slice()].concat()));
    }

    #[test]
    fn an_envelope_never_carries_the_access_hash_nor_shows_that_two_are_of_one_access() {
        let (one, other) = (draft().seal([7; 16]), draft().seal([8; 16]));
        let hash = Digest::plain(b"an access").to_string();
        for record in [&one, &other] {
            assert!(!String::from_utf8_lossy(&record.envelope).contains(&hash));
        }
        let reference = |record: &Record| {
            let envelope = terms::json::parse(&record.envelope).unwrap();
            envelope.get("refs").unwrap().get("access_hash").unwrap().clone()
        };
        assert_ne!(reference(&one), reference(&other));
    }
}
