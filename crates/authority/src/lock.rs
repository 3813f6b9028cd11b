//! Locks stop a caller, a human, an upstream or everything, now, baseline included. Locking takes a session or
//! the operator's own account; lifting takes a passkey, because it gives something back.

use std::collections::BTreeSet;

use audit::body::{self, SubjectKind};
use audit::record::Refs;
use store::{Change, Commit, Failed, Lock, LockSubject};
use terms::{HumanId, Json, LockId, Part, Slug, Time};

use crate::authority::Authority;
use crate::ceremony::{Begun, Ceremonial, SignedAssertion};
use crate::operator::{By, Operator};
use crate::reject::REASON;
use crate::vote::NotCounted;

impl Authority {
    /// Locks, and answers once no live permit is left that was made before.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn lock(
        &self,
        subject: LockSubject,
        by: String,
        why: String,
        until: Option<Time>,
    ) -> Result<LockId, Failed> {
        let mut commit = Commit::default();
        let id = self.add_lock(&mut commit, subject, by, why, until);
        if let Err(refused) = self.commit(commit).await? {
            return Err(Failed { doing: "locking", because: refused.to_string() });
        }
        self.reload().await?;
        self.quiet().await;
        Ok(id)
    }

    /// Adds a lock and its record to a commit.
    pub(crate) fn add_lock(
        &self,
        commit: &mut Commit,
        subject: LockSubject,
        by: String,
        why: String,
        until: Option<Time>,
    ) -> LockId {
        let id = LockId::fresh(self.ambient.as_ref());
        // A lock on one identity is one on the person: what it stops is told by roots.
        let subject = match subject {
            LockSubject::Human(human) => {
                LockSubject::Human(self.active().people.any_human(human).map_or(human, |h| h.root))
            }
            LockSubject::All | LockSubject::Caller(_) | LockSubject::Upstream(_) => subject,
        };
        let caller = if let LockSubject::Caller(caller) = subject { Some(caller) } else { None };
        let record =
            body::Locked { lock: id, subject: named(&subject), until, by: by.clone(), why: why.clone() };
        commit.records.push(self.record(Refs { caller, ..Refs::default() }, &record));
        commit.changes.push(Change::Lock(Lock { id, subject, since: self.now(), until, by, why }));
        id
    }

    /// Begins lifting a lock.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] when there is no such lock, or this person may not lift it.
    pub async fn begin_unlock(
        &self,
        id: LockId,
        human: HumanId,
    ) -> Result<Result<Begun, NotCounted>, Failed> {
        let active = self.active();
        let Some(lock) = active.locks().iter().find(|l| l.id == id) else {
            return Ok(Err(NotCounted::NotFound));
        };
        if let Err(refused) = self.may_unlock(lock, human) {
            return Ok(Err(refused));
        }
        let what = Ceremonial::Unlock(id);
        self.keep_act(&what, Some(human), subject_of(lock)).await.map(Ok)
    }

    /// Lifts a lock under a signature.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn unlock(
        &self,
        id: LockId,
        human: HumanId,
        why: &str,
        signed: &SignedAssertion,
    ) -> Result<Result<(), NotCounted>, Failed> {
        if why.chars().count() > REASON {
            return Ok(Err(NotCounted::ReasonMissing));
        }
        let witnessed = match self.witness(&Ceremonial::Unlock(id), Some(human), signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        let active = self.active();
        let Some(lock) = active.locks().iter().find(|l| l.id == id) else {
            return Ok(Err(NotCounted::NotFound));
        };
        if witnessed.ceremony.card != subject_of(lock) {
            return Ok(Err(NotCounted::CeremonyOver));
        }
        if let Err(refused) = self.may_unlock(lock, human) {
            return Ok(Err(refused));
        }
        let subject = named(&lock.subject);
        let asked = Json::object([
            ("act", Json::from("unlock")),
            ("lock", Json::from(id)),
            ("kind", Json::from(subject.kind.name())),
            ("name", Json::from(self.name_of(&lock.subject))),
            ("why", Json::from(lock.why.as_str())),
        ]);
        let leave = match self.leave(&By::saying_nothing(Operator::Person(human)), Part::Locks, asked).await?
        {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Err(stopped.into())),
        };
        let caller = if let LockSubject::Caller(caller) = lock.subject { Some(caller) } else { None };
        let record = body::Unlocked { lock: id, why: why.to_owned(), signed: witnessed.signed() };
        let refs = leave.refs(Refs { caller, ..Refs::default() });
        let commit = Commit {
            changes: vec![witnessed.change(), Change::Unlock(id)],
            records: vec![self.record(refs, &record)],
        };
        let answer = self.enact(leave, commit).await?;
        self.reload().await?;
        Ok(answer.map(|_| ()).map_err(NotCounted::NotRecorded))
    }

    /// Nobody behind a locked caller lifts its lock, unless nobody else is there to do it: a person who
    /// works alone keeps the key to their own things.
    ///
    /// # Errors
    /// [`NotCounted`] with the reason that the person is told.
    pub fn may_unlock(&self, lock: &Lock, human: HumanId) -> Result<(), NotCounted> {
        let active = self.active();
        let root = active.human(human).map(|h| h.root).ok_or(NotCounted::NotEligible)?;
        let behind = match &lock.subject {
            LockSubject::Caller(id) => active.people.any_caller(*id).map(|c| c.roots.clone()),
            LockSubject::Human(id) => Some(BTreeSet::from([*id])),
            LockSubject::All | LockSubject::Upstream(_) => None,
        };
        let behind = behind.unwrap_or_default();
        if behind.contains(&root) && active.people.others_sign(&behind) {
            return Err(NotCounted::Behind);
        }
        let may = self.may_administer(human, Part::Locks);
        if may { Ok(()) } else { Err(NotCounted::NotLet(Slug::PolicyDenied)) }
    }

    /// What is locked, by its name.
    fn name_of(&self, subject: &LockSubject) -> String {
        let active = self.active();
        let name = match subject {
            LockSubject::All => Some("everything".to_owned()),
            LockSubject::Caller(id) => active.people.any_caller(*id).map(|caller| caller.name.clone()),
            LockSubject::Human(id) => active.people.any_human(*id).map(|human| human.name.clone()),
            LockSubject::Upstream(name) => Some(name.clone()),
        };
        name.unwrap_or_default()
    }
}

/// What the person who lifts a lock signs.
fn subject_of(lock: &Lock) -> Json {
    let subject = named(&lock.subject);
    Json::object([
        ("lock", Json::from(lock.id)),
        ("kind", Json::from(subject.kind.name())),
        ("id", Json::from(subject.id)),
        ("since", Json::from(lock.since)),
        ("by", Json::from(lock.by.as_str())),
        ("why", Json::from(lock.why.as_str())),
    ])
}

fn named(subject: &LockSubject) -> body::Subject {
    let (kind, id) = match subject {
        LockSubject::All => (SubjectKind::All, String::new()),
        LockSubject::Caller(id) => (SubjectKind::Caller, id.to_string()),
        LockSubject::Human(id) => (SubjectKind::Human, id.to_string()),
        LockSubject::Upstream(name) => (SubjectKind::Upstream, name.clone()),
    };
    body::Subject { kind, id }
}
