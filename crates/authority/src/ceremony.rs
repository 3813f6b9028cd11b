//! Ceremonies: what a person is about to sign, shown and kept under a nonce that is consumed before anything
//! about it is verified (T101).

use audit::body::{Signed, subject_hash};
use passkey::{Assertion, Backup, Credential, PublicKey, Stored};
use store::{Ceremony, Failed, Passkey};
use terms::hash::{b64url, from_b64url};
use terms::statement::{Matter, Statement, nonce, nonce_hash};
use terms::{Digest, ElevationId, HumanId, Json, LockId, Time};

use crate::authority::Authority;
use crate::vote::NotCounted;

/// What a ceremony is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ceremonial {
    /// Consent to an elevation.
    Consent(ElevationId),
    /// Sign in; the passkey tells who.
    SignIn,
    /// Enrol a passkey by an invitation.
    Enrol,
    /// Make one more passkey.
    MakePasskey,
    /// Sign, with a passkey that is good already, for the one that was made.
    AddPasskey,
    /// Lift a lock.
    Unlock(LockId),
    /// Say how an attempt of unknown outcome ended.
    Resolve,
    /// Accept or refuse a definition.
    Pin,
}

impl Ceremonial {
    /// The name of the act in the statement and the store.
    #[must_use]
    pub const fn act(&self) -> &'static str {
        match self {
            Self::Consent(_) => "consent",
            Self::SignIn => "sign-in",
            Self::Enrol => "enrol",
            Self::MakePasskey => "make-passkey",
            Self::AddPasskey => "add-passkey",
            Self::Unlock(_) => "unlock",
            Self::Resolve => "resolve",
            Self::Pin => "accept",
        }
    }
}

/// What the browser needs for one ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Names the ceremony; comes back with the signature.
    pub nonce: String,
    /// The WebAuthn challenge, base64url.
    pub challenge: String,
    /// The relying party's id.
    pub rp_id: String,
    /// The credentials that may sign, base64url; empty at sign-in, where any discoverable one may.
    pub allow: Vec<String>,
    /// After this it is worth nothing.
    pub not_after: Time,
}

/// What came back from `navigator.credentials.get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAssertion {
    /// Which ceremony.
    pub nonce: String,
    /// The credential's id, base64url.
    pub credential: String,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The user handle, where the authenticator gave one.
    pub user_handle: Option<Vec<u8>>,
}

impl SignedAssertion {
    /// As votes and records keep it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object([
            ("clientDataJSON", b64url(&self.client_data)),
            ("authenticatorData", b64url(&self.authenticator_data)),
            ("signature", b64url(&self.signature)),
        ])
    }
}

/// A ceremony that was consumed and whose signature is good.
pub(crate) struct Witnessed {
    pub(crate) ceremony: Ceremony,
    pub(crate) statement: Statement,
    pub(crate) passkey: Passkey,
    pub(crate) count: u32,
    pub(crate) backed_up: bool,
    pub(crate) assertion: Json,
}

impl Witnessed {
    /// As records of acts keep it.
    pub(crate) fn signed(&self) -> Signed {
        Signed {
            human: self.passkey.human,
            credential: self.passkey.credential.clone(),
            statement: self.statement.clone(),
            subject: self.ceremony.card.clone(),
            assertion: self.assertion.clone(),
        }
    }

    /// The change that moves the passkey's counter on; part of every commit that rests on the signature.
    pub(crate) fn change(&self) -> store::Change {
        store::Change::Signed {
            credential: self.passkey.credential.clone(),
            count: self.count,
            backed_up: self.backed_up,
        }
    }
}

impl Authority {
    /// Keeps a ceremony and says what the browser needs.
    pub(crate) async fn keep(
        &self,
        what: &Ceremonial,
        matter: Matter,
        human: Option<HumanId>,
        shown: Json,
    ) -> Result<Begun, Failed> {
        let active = self.active();
        let (text, hash) = nonce(self.ambient.as_ref());
        let now = self.now();
        let signs = |passkey: &&Passkey| active.signs_from(&passkey.credential, now).is_none();
        let theirs = human.into_iter().flat_map(|human| active.passkeys_of(human));
        let allow: Vec<String> = theirs.filter(signs).map(|p| p.credential.clone()).collect();
        let not_after = now.after(self.settings.ceremony_for);
        let one = if let [only] = allow.as_slice() { only.clone() } else { String::new() };
        let statement = Statement {
            install: active.install,
            matter,
            approver: human.unwrap_or(HumanId::NIL),
            credential: one,
            expires: not_after,
            nonce: text.clone(),
        };
        let elevation = if let Ceremonial::Consent(id) = what { Some(*id) } else { None };
        self.store
            .ceremony(Ceremony {
                nonce: hash,
                human,
                elevation,
                purpose: what.act().to_owned(),
                statement: statement.to_json(),
                card: shown,
                not_after,
            })
            .await?;
        let challenge = b64url(statement.challenge().bytes());
        let rp_id = self.settings.relying_party.rp_id.clone();
        Ok(Begun { nonce: text, challenge, rp_id, allow, not_after })
    }

    /// Begins a ceremony for an act on something that is shown.
    pub(crate) async fn keep_act(
        &self,
        what: &Ceremonial,
        human: Option<HumanId>,
        shown: Json,
    ) -> Result<Begun, Failed> {
        let matter = Matter::Act { act: what.act().to_owned(), subject_hash: subject_hash(&shown) };
        self.keep(what, matter, human, shown).await
    }

    /// Consumes a ceremony, whatever comes of it.
    pub(crate) async fn consume(
        &self,
        nonce: &str,
        act: &str,
    ) -> Result<Result<Ceremony, NotCounted>, Failed> {
        let ceremony = self.store.consume(nonce_hash(nonce)).await?;
        Ok(ceremony.filter(|c| c.purpose == act).ok_or(NotCounted::CeremonyOver))
    }

    /// Consumes the ceremony, then verifies its signature. `by` is the person signed in, where one must be.
    pub(crate) async fn witness(
        &self,
        act: &Ceremonial,
        by: Option<HumanId>,
        signed: &SignedAssertion,
    ) -> Result<Result<Witnessed, NotCounted>, Failed> {
        let ceremony = match self.consume(&signed.nonce, act.act()).await? {
            Ok(ceremony) => ceremony,
            Err(refused) => return Ok(Err(refused)),
        };
        let witnessed = self.verify(ceremony, by, signed).and_then(|witnessed| match act {
            Ceremonial::SignIn => Ok(witnessed),
            Ceremonial::Consent(_)
            | Ceremonial::Enrol
            | Ceremonial::MakePasskey
            | Ceremonial::AddPasskey
            | Ceremonial::Unlock(_)
            | Ceremonial::Resolve
            | Ceremonial::Pin => self.seasoned(witnessed),
        });
        if let Err(NotCounted::Copied(credential)) = &witnessed {
            self.suspend(credential).await?;
        }
        Ok(witnessed)
    }

    /// What gives power is signed by no passkey that is too new (T105).
    fn seasoned(&self, witnessed: Witnessed) -> Result<Witnessed, NotCounted> {
        let new = self.active().signs_from(&witnessed.passkey.credential, self.now()).is_some();
        if new { Err(NotCounted::PasskeyNew) } else { Ok(witnessed) }
    }

    fn verify(
        &self,
        ceremony: Ceremony,
        by: Option<HumanId>,
        signed: &SignedAssertion,
    ) -> Result<Witnessed, NotCounted> {
        let active = self.active();
        let statement = Statement::from_json(&ceremony.statement).ok_or(NotCounted::CeremonyOver)?;
        let passkey = active.people.passkey(&signed.credential).filter(|p| p.revoked_at.is_none());
        let mut passkey = passkey.cloned().ok_or(NotCounted::PasskeyUnknown)?;
        passkey.count = self.counter(&passkey.credential, passkey.count);
        let human = active.human(passkey.human).ok_or(NotCounted::PasskeyUnknown)?;
        let theirs = ceremony.human.is_none_or(|h| h == human.id) && by.is_none_or(|h| h == human.id);
        // The statement may name the one credential that was asked to sign it.
        let named = statement.credential.is_empty() || statement.credential == passkey.credential;
        if !theirs || !named {
            return Err(NotCounted::PasskeyUnknown);
        }
        let stored = stored(&passkey).ok_or(NotCounted::PasskeyUnknown)?;
        let response = Assertion {
            credential_id: from_b64url(&signed.credential).unwrap_or_default(),
            client_data_json: signed.client_data.clone(),
            authenticator_data: signed.authenticator_data.clone(),
            signature: signed.signature.clone(),
            user_handle: signed.user_handle.clone(),
        };
        let challenge = statement.challenge();
        let asserted = passkey::assert(&self.settings.relying_party, challenge.bytes(), &stored, &response);
        let asserted = asserted.map_err(|refused| {
            let copied = matches!(refused, passkey::Refused::CounterRegressed { .. });
            if copied {
                NotCounted::Copied(signed.credential.clone())
            } else {
                NotCounted::Signature(refused.to_string())
            }
        })?;
        Ok(Witnessed {
            statement,
            passkey,
            count: asserted.sign_count,
            backed_up: asserted.backup.is_backed_up(),
            assertion: signed.to_json(),
            ceremony,
        })
    }
}

fn stored(passkey: &Passkey) -> Option<Stored> {
    let credential = Credential {
        id: from_b64url(&passkey.credential)?,
        public_key: PublicKey::from_cose(&passkey.cose).ok()?,
        aaguid: passkey::Aaguid(passkey.aaguid),
        sign_count: passkey.count,
        backup: Backup::from_flags(passkey.backup_eligible, passkey.backed_up).ok()?,
    };
    Some(Stored { credential, user_handle: passkey.human.bytes().to_vec() })
}

/// SHA-256 of a token that a person or a program holds: what is stored of it.
#[must_use]
pub fn token_hash(token: &str) -> Digest {
    Digest::of("stepup/token/v1\0", &[token.as_bytes()])
}
