//! Passkeys of people: the first one by an invitation, every further one vouched for by one that is good already
//! (T105), and taking one back.

use audit::body;
use audit::record::Refs;
use passkey::{DEMO_AAGUID, Registration};
use store::{Ceremony, Change, Commit, Failed, Human, Passkey, PrincipalRef, Refused};
use terms::hash::{b64url, from_b64url, hex};
use terms::statement::Statement;
use terms::{Digest, HumanId, Json, Millis};

use crate::administer::{Added, added};
use crate::authority::Authority;
use crate::ceremony::{Begun, Ceremonial, SignedAssertion, token_hash};
use crate::people::FIRST_DAY;
use crate::reject::stated;
use crate::vote::NotCounted;

/// Good passkeys of one identity at most.
const MOST: usize = 16;

/// The longest name of a passkey, in characters.
const NAME: usize = 40;

impl Authority {
    /// Begins to enrol a passkey for whom an invitation is.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted::NotFound`] when the invitation is used, too old or none.
    pub async fn begin_enrol(&self, invite: &str) -> Result<Result<(Begun, Human), NotCounted>, Failed> {
        let Some(invite) = self.store.invite(token_hash(invite)).await? else {
            return Ok(Err(NotCounted::NotFound));
        };
        let active = self.active();
        let Some(human) = active.human(invite.human).cloned() else { return Ok(Err(NotCounted::NotFound)) };
        let shown = Json::object([
            ("human", Json::from(human.id)),
            ("name", Json::from(human.name.as_str())),
            ("invite", Json::from(invite.hash.to_string())),
        ]);
        let begun = self.keep_act(&Ceremonial::Enrol, Some(human.id), shown).await?;
        Ok(Ok((begun, human)))
    }

    /// Enrols a passkey, using the invitation up.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn enrol(
        &self,
        nonce: &str,
        registration: &Registration,
    ) -> Result<Result<HumanId, NotCounted>, Failed> {
        let ceremony = match self.consume(nonce, Ceremonial::Enrol.act()).await? {
            Ok(ceremony) => ceremony,
            Err(refused) => return Ok(Err(refused)),
        };
        let invite: Option<Digest> = member(&ceremony, "invite").and_then(|invite| invite.parse().ok());
        let Some(invite) = invite else { return Ok(Err(NotCounted::CeremonyOver)) };
        let Some(invited) = self.store.invite(invite).await? else { return Ok(Err(NotCounted::NotFound)) };
        let mut passkey = match self.registered(&ceremony, registration) {
            Ok(passkey) => passkey,
            Err(refused) => return Ok(Err(refused)),
        };
        passkey.enrolled_by = invited.by;
        let (human, record) = (passkey.human, enrolled(&passkey, None));
        let notice = self.one_more(&passkey);
        let enrol = Change::Enrol { passkey: Box::new(passkey), invite: Some(invite) };
        let changes = std::iter::once(enrol).chain(notice).collect();
        let commit = Commit { changes, records: vec![self.record(Refs::default(), &record)] };
        let answer = self.commit(commit).await?;
        Ok(answer.map(|_| human).map_err(NotCounted::NotRecorded))
    }

    /// Begins to add a passkey to those that a person has, in that person's session.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted::TooManyPasskeys`] when the person has as many as one may.
    pub async fn begin_add_passkey(
        &self,
        human: HumanId,
        session: Digest,
    ) -> Result<Result<(Begun, Human), NotCounted>, Failed> {
        let active = self.active();
        let Some(human) = active.human(human).cloned() else { return Ok(Err(NotCounted::NotFound)) };
        if active.passkeys_of(human.id).count() >= MOST {
            return Ok(Err(NotCounted::TooManyPasskeys));
        }
        let shown = Json::object([
            ("human", Json::from(human.id)),
            ("name", Json::from(human.name.as_str())),
            ("session", Json::from(session.to_string())),
        ]);
        let begun = self.keep_act(&Ceremonial::MakePasskey, Some(human.id), shown).await?;
        Ok(Ok((begun, human)))
    }

    /// Takes the new passkey, and begins the ceremony in which one that is good already signs for exactly it.
    /// Until then it is worth nothing.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn vouch_for_passkey(
        &self,
        human: HumanId,
        session: Digest,
        nonce: &str,
        registration: &Registration,
    ) -> Result<Result<Begun, NotCounted>, Failed> {
        let ceremony = match self.consume(nonce, Ceremonial::MakePasskey.act()).await? {
            Ok(ceremony) => ceremony,
            Err(refused) => return Ok(Err(refused)),
        };
        if ceremony.human != Some(human) || member(&ceremony, "session") != Some(&session.to_string()) {
            return Ok(Err(NotCounted::CeremonyOver));
        }
        let passkey = match self.registered(&ceremony, registration) {
            Ok(passkey) => passkey,
            Err(refused) => return Ok(Err(refused)),
        };
        self.keep_act(&Ceremonial::AddPasskey, Some(human), subject_of(&passkey, session)).await.map(Ok)
    }

    /// Enrols the passkey that another one of the same person signed for.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn add_passkey(
        &self,
        human: HumanId,
        session: Digest,
        name: &str,
        signed: &SignedAssertion,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let Some(name) = stated(name).filter(|name| name.chars().count() <= NAME) else {
            return Ok(Err(NotCounted::NameMissing));
        };
        let witnessed = match self.witness(&Ceremonial::AddPasskey, Some(human), signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        if self.active().passkeys_of(human).count() >= MOST {
            return Ok(Err(NotCounted::TooManyPasskeys));
        }
        let made = self.made(&witnessed.ceremony, human);
        // What was signed for is what is enrolled, in the session that it was made in.
        let made = made.filter(|passkey| subject_of(passkey, session) == witnessed.ceremony.card);
        let Some(made) = made else { return Ok(Err(NotCounted::CeremonyOver)) };
        let passkey = Passkey { name: Some(name), ..made };
        let record = enrolled(&passkey, Some(witnessed.signed()));
        let notice = self.one_more(&passkey);
        let enrol = Change::Enrol { passkey: Box::new(passkey), invite: None };
        let changes = [witnessed.change(), enrol].into_iter().chain(notice).collect();
        let commit = Commit { changes, records: vec![self.record(Refs::default(), &record)] };
        let answer = self.commit(commit).await?;
        Ok(answer.map(|_| ()).map_err(NotCounted::NotRecorded))
    }

    /// The webhook's text for a passkey that is not the first of its person: others may know that it is not that
    /// person's, and sooner where it signs at once because all earlier ones were revoked (T105). Nothing that somebody
    /// made up but names that were registered here.
    fn one_more(&self, passkey: &Passkey) -> Option<Change> {
        let active = self.active();
        let human = active.human(passkey.human)?;
        active.people.passkeys_ever(human.root).next()?;
        let wait = if active.has_passkey(human) { FIRST_DAY } else { Millis::new(0) };
        let name = |id: &str| active.humans().find(|h| h.id.to_string() == id).map(|h| h.name.clone());
        let by = name(&passkey.enrolled_by).unwrap_or_else(|| passkey.enrolled_by.clone());
        let body = Json::object([
            ("type", Json::from("passkey.enrolled")),
            ("timestamp", Json::from(passkey.enrolled_at)),
            (
                "data",
                Json::object([
                    ("human", Json::from(passkey.human)),
                    ("name", Json::from(human.name.as_str())),
                    ("by", Json::from(by)),
                    ("signs_from", Json::from(passkey.enrolled_at.after(wait))),
                ]),
            ),
        ]);
        Some(Change::Notify { kind: "passkey.enrolled".to_owned(), body: body.text() })
    }

    /// The passkey that a registration is of, as it would be enrolled by its own person.
    fn registered(&self, ceremony: &Ceremony, registration: &Registration) -> Result<Passkey, NotCounted> {
        let statement = Statement::from_json(&ceremony.statement);
        let (Some(statement), Some(human)) = (statement, ceremony.human) else {
            return Err(NotCounted::CeremonyOver);
        };
        let challenge = statement.challenge();
        let credential = passkey::register(&self.settings.relying_party, challenge.bytes(), registration)
            .map_err(|refused| NotCounted::Signature(refused.to_string()))?;
        if credential.aaguid == DEMO_AAGUID && !self.settings.demo {
            return Err(NotCounted::Signature("this authenticator is for the demo only".to_owned()));
        }
        let id = b64url(&credential.id);
        if self.active().people.passkey(&id).is_some() {
            return Err(NotCounted::Signature("this passkey is enrolled already".to_owned()));
        }
        Ok(Passkey {
            credential: id,
            human,
            name: None,
            rp_id: self.settings.relying_party.rp_id.clone(),
            cose: credential.public_key.cose().to_vec(),
            aaguid: credential.aaguid.0,
            count: credential.sign_count,
            backup_eligible: credential.backup.is_eligible(),
            backed_up: credential.backup.is_backed_up(),
            enrolled_at: self.now(),
            enrolled_by: human.to_string(),
            revoked_at: None,
        })
    }

    /// The same, read from the ceremony that kept it.
    fn made(&self, ceremony: &Ceremony, human: HumanId) -> Option<Passkey> {
        let text = |name: &str| member(ceremony, name);
        let yes = |name: &str| ceremony.card.get(name).and_then(Json::as_bool);
        Some(Passkey {
            credential: text("credential")?.to_owned(),
            human,
            name: None,
            rp_id: self.settings.relying_party.rp_id.clone(),
            cose: from_b64url(text("public_key")?)?,
            aaguid: u128::from_str_radix(text("aaguid")?, 16).ok()?.to_be_bytes(),
            count: ceremony.card.get("sign_count").and_then(Json::as_i64)?.try_into().ok()?,
            backup_eligible: yes("backup_eligible")?,
            backed_up: yes("backed_up")?,
            enrolled_at: self.now(),
            enrolled_by: human.to_string(),
            revoked_at: None,
        })
    }

    /// A person takes back one of their own passkeys. It only takes power away, so a session is enough; the last one
    /// stays, because nobody could sign in to add another. Every session of the person ends: whoever holds that
    /// passkey may have opened one.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn revoke_own_passkey(
        &self,
        human: HumanId,
        credential: &str,
        why: &str,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let Some(why) = stated(why) else { return Ok(Err(NotCounted::ReasonMissing)) };
        if !self.active().passkeys_of(human).any(|passkey| passkey.credential == credential) {
            return Ok(Err(NotCounted::NotFound));
        }
        let spare = PrincipalRef::SparePasskey(credential.to_owned());
        let commit = self.revocation(spare, Some(human), credential, &human.to_string(), why);
        Ok(self.commit(commit).await?.map(|_| ()).map_err(|refused| match refused {
            Refused::Conflict => NotCounted::LastPasskey,
            other @ (Refused::Exists(_)
            | Refused::Lapsed
            | Refused::Spent
            | Refused::Revoked
            | Refused::Locked(_)
            | Refused::Stale(_)
            | Refused::NameTaken
            | Refused::Missing
            | Refused::Repeats
            | Refused::Full) => NotCounted::NotRecorded(other),
        }))
    }

    /// Revokes a passkey, and ends the sessions of whose it was.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn revoke_passkey(&self, credential: &str, by: &str, why: &str) -> Result<Added<()>, Failed> {
        let human = self.active().people.passkey(credential).map(|passkey| passkey.human);
        let passkey = PrincipalRef::Passkey(credential.to_owned());
        let commit = self.revocation(passkey, human, credential, by, why.to_owned());
        Ok(added(self.commit(commit).await?, ()))
    }

    /// Good passkeys that were made for another name of the people's page, and so can sign nothing here.
    #[must_use]
    pub fn misnamed_passkeys(&self) -> Vec<Passkey> {
        let active = self.active();
        let good = active.humans().flat_map(|human| active.passkeys_of(human.id));
        good.filter(|passkey| passkey.rp_id != self.settings.relying_party.rp_id).cloned().collect()
    }

    /// Revokes every passkey that was made for another name of the people's page (decisions A29).
    ///
    /// # Errors
    /// [`Failed`] when the store does; then some may be revoked, and the rest can be tried again.
    pub async fn retire_misnamed_passkeys(&self, by: &str) -> Result<usize, Failed> {
        let misnamed = self.misnamed_passkeys();
        let why = format!("the people's page is called {} now", self.settings.relying_party.rp_id);
        for passkey in &misnamed {
            if let Added::Refused(refused) = self.revoke_passkey(&passkey.credential, by, &why).await? {
                return Err(Failed { doing: "retiring a passkey", because: refused.to_string() });
            }
        }
        Ok(misnamed.len())
    }

    fn revocation(
        &self,
        retired: PrincipalRef,
        human: Option<HumanId>,
        credential: &str,
        by: &str,
        why: String,
    ) -> Commit {
        let record = body::PasskeyRevoked { credential: credential.to_owned(), by: by.to_owned(), why };
        let mut changes = vec![Change::Retire(retired)];
        changes.extend(human.map(|human| Change::CloseSessions { human, only: None }));
        Commit { changes, records: vec![self.record(Refs::default(), &record)] }
    }

    /// A passkey whose counter went back may have been copied: it signs nothing any more (T103).
    pub(crate) async fn suspend(&self, credential: &str) -> Result<(), Failed> {
        tracing::warn!("a passkey's counter went back; it is suspended");
        self.revoke_passkey(credential, "stepup", "its counter went back: it may have been copied").await?;
        Ok(())
    }
}

fn member<'a>(ceremony: &'a Ceremony, name: &str) -> Option<&'a str> {
    ceremony.card.get(name).and_then(Json::as_str)
}

fn enrolled(passkey: &Passkey, signed: Option<body::Signed>) -> body::PasskeyEnrolled {
    body::PasskeyEnrolled {
        human: passkey.human,
        credential: passkey.credential.clone(),
        public_key: b64url(&passkey.cose),
        aaguid: hex(&passkey.aaguid).collect::<String>(),
        sign_count: passkey.count,
        backup_eligible: passkey.backup_eligible,
        backed_up: passkey.backed_up,
        by: passkey.enrolled_by.clone(),
        signed,
    }
}

/// What the person signs who adds a passkey: exactly that key.
fn subject_of(passkey: &Passkey, session: Digest) -> Json {
    Json::object([
        ("human", Json::from(passkey.human)),
        ("credential", Json::from(passkey.credential.as_str())),
        ("public_key", Json::from(b64url(&passkey.cose))),
        ("aaguid", Json::from(hex(&passkey.aaguid).collect::<String>())),
        ("sign_count", Json::from(passkey.count)),
        ("backup_eligible", Json::from(passkey.backup_eligible)),
        ("backed_up", Json::from(passkey.backed_up)),
        ("session", Json::from(session.to_string())),
    ])
}
