//! What the sentences speak of: people, callers, accesses, requests, grants.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;

use audit::record::{Draft, Kind, Record, Refs};
use elevation::{Conclusion, Grant, Pending, Version, Vote};
use terms::access::{Resource, SealKey, Subject};
use terms::hash::UpstreamHash;
use terms::statement::{Consent, Matter, Role, Statement};
use terms::{
    Access, Ambient, AttemptId, Binds, BootId, CallerId, CallerKind, CardHash, DefinitionHash, Digest,
    ElevationId, GrantId, HumanId, InstallId, Json, KeyId, Millis, PolicyHash, RecordId, Requirement, Terms,
    Tree,
};

use super::Place;
use crate::testing::TestAmbient;
use crate::{
    Change, Claim, Commit, Epoch, Human, LockSubjects, OwnedBy, Principal, Receipt, Refused,
    RegisteredCaller, Shared, Situation, Standing,
};

/// A store in its place, the clock that it goes by, and one caller of one human.
pub struct World {
    place: Box<dyn Place>,
    store: Option<Shared>,
    pub ambient: Arc<TestAmbient>,
    /// The caller's owner.
    pub owner: HumanId,
    /// Two people who may approve.
    pub approvers: [HumanId; 2],
    pub caller: CallerId,
    pub boot: BootId,
}

impl World {
    pub async fn new(place: Box<dyn Place>) -> Self {
        let ambient = Arc::new(TestAmbient::default());
        let store = place.open(ambient.clone()).unwrap();
        let id = || HumanId::fresh(ambient.as_ref());
        let (owner, approvers) = (id(), [id(), id()]);
        let (caller, boot) = (CallerId::fresh(ambient.as_ref()), BootId::fresh(ambient.as_ref()));
        let world = Self { place, store: Some(store), ambient, owner, approvers, caller, boot };
        let people = [("olga", owner), ("ann", approvers[0]), ("ben", approvers[1])];
        let mut changes: Vec<Change> =
            people.map(|(name, id)| Change::Register(Principal::Human(human(name, id)))).into();
        changes.push(Change::Register(Principal::Caller(registered("bot", caller, owner))));
        world.commit(changes).await.unwrap();
        world
    }

    pub fn store(&self) -> &Shared {
        self.store.as_ref().unwrap()
    }

    /// Opens the store of this world once more, beside the one that is open.
    pub fn open_beside(&self) -> Result<Shared, String> {
        self.place.open(self.ambient.clone())
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.place.open(self.ambient.clone()).unwrap());
    }

    pub fn pass(&self, millis: u64) {
        self.ambient.pass(Millis::new(millis));
    }

    pub fn record(&self, kind: Kind) -> Record {
        let ambient = self.ambient.as_ref();
        let id = RecordId::ordered(ambient);
        let body = Json::object([("of", Json::from(id))]);
        let draft = Draft { id, at: ambient.now(), node: "a".to_owned(), kind, refs: Refs::default(), body };
        draft.seal([7; 16])
    }

    /// Commits changes with one record.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Receipt, Refused> {
        let records = vec![self.record(Kind::Started)];
        self.store().commit(Commit { changes, records }).await.unwrap()
    }

    pub async fn refused(&self, change: Change) -> Refused {
        self.commit(vec![change]).await.expect_err("it was not refused")
    }

    pub async fn epoch(&self) -> Epoch {
        self.store().directory().await.unwrap().epoch
    }

    /// Another caller of the same owner.
    pub async fn another_caller(&self, name: &str) -> CallerId {
        let id = CallerId::fresh(self.ambient.as_ref());
        let caller = Principal::Caller(registered(name, id, self.owner));
        self.commit(vec![Change::Register(caller)]).await.unwrap();
        id
    }

    pub fn access(&self, version: &str) -> Access {
        access(version)
    }

    /// A request of the caller that waits for a minute, and whose grant is good for five.
    pub fn request(&self, access: &Access, uses: u32) -> Pending {
        request(self.ambient.as_ref(), self.caller, access, uses)
    }

    /// Opens such a request.
    pub async fn open(&self, access: &Access, uses: u32) -> Pending {
        let pending = self.request(access, uses);
        self.commit(vec![Change::Open { pending: Box::new(pending.clone()) }]).await.unwrap();
        pending
    }

    pub fn vote(&self, pending: &Pending, human: HumanId, role: Role) -> Vote {
        vote(self.ambient.as_ref(), pending, human, role)
    }

    pub fn voted(&self, pending: &Pending, human: HumanId, role: Role) -> Change {
        let vote = Box::new(self.vote(pending, human, role));
        Change::Vote { id: pending.id, vote, expects: pending.version }
    }

    pub fn concluded(pending: &Pending, to: Conclusion) -> Change {
        let (why, by) = (Some("so".to_owned()), Some("ann".to_owned()));
        Change::Conclude { id: pending.id, to, why, by, expects: pending.version }
    }

    /// The changes that approve a request and issue its grant.
    pub fn approved(&self, pending: &Pending) -> (Vec<Change>, Grant) {
        let grant = pending.grant(GrantId::fresh(self.ambient.as_ref()), self.ambient.now());
        let approved = Self::concluded(pending, Conclusion::Approved);
        (vec![approved, Change::Issue(Box::new(grant.clone()))], grant)
    }

    /// A grant of the caller for an access.
    pub async fn granted(&self, access: &Access, uses: u32) -> Grant {
        let pending = self.open(access, uses).await;
        let (changes, grant) = self.approved(&pending);
        self.commit(changes).await.unwrap();
        grant
    }

    /// A claim of the caller, judged now.
    pub async fn claim(&self, access: &Access) -> Claim {
        Claim {
            attempt: AttemptId::ordered(self.ambient.as_ref()),
            access: access.hash(),
            resource: access.resource().id.clone(),
            subjects: LockSubjects {
                caller: self.caller,
                roots: vec![self.owner],
                upstream: Some("ops".to_owned()),
            },
            epoch: self.epoch().await,
            boot: self.boot,
        }
    }

    pub async fn spend(&self, grant: &Grant, access: &Access) -> Change {
        spending(grant, self.claim(access).await)
    }

    pub async fn situation(&self, access: &Access) -> Situation {
        self.situation_of(self.caller, access, 0).await
    }

    /// The question where an access of a caller stands, counting rejections and runs of the last `span` milliseconds.
    pub fn standing_of(&self, caller: CallerId, access: &Access, span: u64) -> Standing {
        let since = self.ambient.now().before(Millis::new(span));
        Standing {
            caller,
            access: access.hash(),
            action: access.action().to_owned(),
            resource: access.resource().id.clone(),
            rejected_since: since,
            ran_since: since,
        }
    }

    /// Its answer.
    pub async fn situation_of(&self, caller: CallerId, access: &Access, span: u64) -> Situation {
        self.store().standing(self.standing_of(caller, access, span)).await.unwrap()
    }
}

/// A use of a grant under the terms that it was issued under.
pub fn spending(grant: &Grant, claim: Claim) -> Change {
    let Grant { id, bind_hash, uses, not_after, .. } = *grant;
    Change::Spend { grant: id, bind: bind_hash, uses, not_after, claim }
}

fn request(ambient: &TestAmbient, caller: CallerId, access: &Access, uses: u32) -> Pending {
    let requirement = requirement(uses);
    Pending {
        id: ElevationId::fresh(ambient),
        caller,
        key: KeyId::fresh(ambient),
        key_bound: false,
        source: "192.0.2.1".to_owned(),
        access: access.clone(),
        policy: PolicyHash::of(&Json::Null),
        purpose: Some("because".to_owned()),
        ticket: None,
        opened_at: ambient.now(),
        expires_at: Pending::expiry(ambient.now(), &requirement),
        requirement,
        version: Version::FIRST,
        votes: Vec::new(),
    }
}

fn vote(ambient: &TestAmbient, pending: &Pending, human: HumanId, role: Role) -> Vote {
    let card = CardHash::of(&Json::from("card"));
    let consent = Consent {
        elevation: pending.id,
        access_hash: pending.access.hash(),
        card_hash: card,
        requirement_hash: pending.requirement.hash(),
        terms: pending.requirement.terms.clone(),
        role,
    };
    let statement = Statement {
        install: InstallId::fresh(ambient),
        matter: Matter::Consent(consent),
        approver: human,
        credential: "Y3JlZA".to_owned(),
        expires: pending.expires_at,
        nonce: terms::statement::nonce(ambient).0,
    };
    Vote {
        root: human,
        human,
        name: "ann".to_owned(),
        role,
        credential: "Y3JlZA".to_owned(),
        statement,
        requirement: pending.requirement.hash(),
        card,
        assertion: Json::object([("signature", "c2ln")]),
        at: ambient.now(),
    }
}

pub fn human(name: &str, id: HumanId) -> Human {
    Human { id, root: id, name: name.to_owned(), disabled_at: None, added_by: "init".to_owned() }
}

pub fn registered(name: &str, id: CallerId, owner: HumanId) -> RegisteredCaller {
    RegisteredCaller {
        id,
        name: name.to_owned(),
        kind: CallerKind::Agent,
        owner: OwnedBy::Human(owner),
        act: vec!["planner".to_owned()],
        disabled_at: None,
    }
}

pub fn requirement(uses: u32) -> Requirement {
    let finance = Tree::Approvals { n: NonZeroU8::MIN, from: "finance".to_owned() };
    Requirement {
        parts: BTreeMap::from([("release".to_owned(), Tree::All(vec![finance, Tree::Purpose]))]),
        terms: Terms {
            pending_for: Millis::new(60_000),
            valid_for: Millis::new(300_000),
            uses: NonZeroU32::new(uses).unwrap(),
            binds: Binds::Everything,
        },
    }
}

pub fn access(version: &str) -> Access {
    let subject = Subject {
        kind: "agent".to_owned(),
        id: "bot".to_owned(),
        owner: "olga".to_owned(),
        act: vec!["planner".to_owned()],
    };
    let resource = Resource {
        kind: "tool".to_owned(),
        id: "ops/deploy".to_owned(),
        definition: DefinitionHash::of(&Json::Null),
        upstream: UpstreamHash::of(&Json::Null),
    };
    let arguments = Json::object([("version", version)]);
    Access::new(subject, "tools/call", resource, arguments, &[], &SealKey::new([0; 32])).unwrap().0
}

pub fn digest(of: &str) -> Digest {
    Digest::plain(of.as_bytes())
}

/// A request and a vote on it, of nobody in any store.
#[cfg(test)]
pub(crate) fn blank() -> (Pending, Vote) {
    let ambient = TestAmbient::seeded(2);
    let pending = request(&ambient, CallerId::fresh(&ambient), &access("1"), 1);
    let vote = vote(&ambient, &pending, HumanId::fresh(&ambient), Role::Approver);
    (pending, vote)
}

/// A claim of a caller of that owner, and the change that registers the caller.
#[cfg(test)]
pub(crate) fn claim_of(world: &World, owner: HumanId) -> (Claim, Change) {
    let caller = CallerId::fresh(world.ambient.as_ref());
    let claim = Claim {
        attempt: AttemptId::ordered(world.ambient.as_ref()),
        access: access("1").hash(),
        resource: "ops/deploy".to_owned(),
        subjects: LockSubjects { caller, roots: vec![owner], upstream: Some("ops".to_owned()) },
        epoch: Epoch(0),
        boot: world.boot,
    };
    (claim, Change::Register(Principal::Caller(registered("bot", caller, owner))))
}
