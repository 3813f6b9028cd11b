//! What the records say can have happened: the life of elevations, grants, attempts and locks, told again from the
//! log alone, by other code than the one that lived it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use terms::statement::Role;
use terms::{
    Access, AccessHash, AttemptId, BindHash, Binds, CallerId, ElevationId, GrantId, HumanId, InstallId, Json,
    Kind as AccessKind, LockId, Time,
};

use super::met::{Ballot, Evidence, met};
use super::{AssertionCheck, Broken, Envelope, Wrong, consent, must, surely_after};
use crate::body::{
    Body, Challenged, Denied, Erased, Expired, Granted, Locked, Outcome, PasskeyEnrolled, PasskeyRevoked,
    Permitted, PinAccepted, Rejected, RelyingParty, Reported, Resolved, Restored, Revoked, Settled, Spent,
    Started, SubjectKind, Superseded, Unlocked, Voted, Who, Withdrawn,
};
use crate::export::Contents;
use crate::record::{Kind, salted};

/// Everything that later records are held against.
pub(super) struct Life<'a> {
    pub install: InstallId,
    pub assertions: &'a dyn AssertionCheck,
    pub rp: Option<RelyingParty>,
    pub passkeys: HashMap<String, Passkey>,
    pub nonces: HashSet<String>,
    pub signatures: u64,
    elevations: HashMap<ElevationId, Elevation>,
    grants: HashMap<GrantId, Grant>,
    attempts: HashMap<AttemptId, Attempt>,
    locks: Locks,
    unproven: Vec<u64>,
}

/// What is left to say at the end.
pub(super) struct End {
    pub install: InstallId,
    pub signatures: u64,
    pub unproven: Vec<u64>,
    pub open_attempts: u64,
}

pub(super) struct Passkey {
    pub enrolled: PasskeyEnrolled,
    pub revoked: bool,
}

enum Elevation {
    Pending(Box<Pending>),
    Concluded,
}

struct Pending {
    caller: Option<CallerId>,
    /// `None` where it was erased.
    challenged: Option<Challenged>,
    votes: BTreeMap<(HumanId, Role), Time>,
    /// Whether a vote's body was erased.
    votes_erased: bool,
}

struct Grant {
    elevation: ElevationId,
    caller: Option<CallerId>,
    spent: u32,
    revoked: bool,
    /// `None` where it was erased.
    limits: Option<Limits>,
}

struct Limits {
    uses: u32,
    not_after: Time,
    access_hash: AccessHash,
    binds: Binds,
    bind_hash: BindHash,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Claimed,
    /// `None` where the outcome was erased.
    Settled(Option<Outcome>),
    Resolved,
}

/// Locks by id and by what they stop.
#[derive(Default)]
struct Locks {
    subjects: HashMap<LockId, (SubjectKind, String)>,
    standing: HashMap<(SubjectKind, String), BTreeMap<LockId, Option<Time>>>,
}

/// One record as it is looked at.
pub(super) struct Seen<'r> {
    leaf: u64,
    envelope: &'r Envelope,
    contents: Option<&'r Contents>,
}

impl<'r> Seen<'r> {
    /// The body; `None` where it was erased.
    fn body<B: Body>(&self) -> Result<Option<B>, Wrong> {
        let Some(contents) = self.contents else { return Ok(None) };
        let json = terms::json::parse_within(contents.body.as_bytes(), terms::json::Limits::ANSWER);
        let body = json.ok().and_then(B::from_json);
        body.map(Some)
            .ok_or_else(|| format!("its body does not have the members of {}", B::KIND.name()).into())
    }

    fn at(&self) -> Time {
        self.envelope.at
    }

    fn elevation(&self) -> Result<ElevationId, Wrong> {
        self.envelope.refs.elevation.ok_or_else(|| "it names no elevation".into())
    }

    fn grant(&self) -> Result<GrantId, Wrong> {
        self.envelope.refs.grant.ok_or_else(|| "it names no grant".into())
    }

    fn attempt(&self) -> Result<AttemptId, Wrong> {
        self.envelope.refs.attempt.ok_or_else(|| "it names no attempt".into())
    }

    /// That the envelope is about the access that the body is about.
    fn refers_to(&self, access: AccessHash) -> Result<(), Wrong> {
        let Some(contents) = self.contents else { return Ok(()) };
        must(
            self.envelope.refs.access_hash == Some(salted(&contents.salt, access)),
            "its envelope refers to another access than its body",
        )
    }

    /// That body and envelope speak of one access by one caller.
    fn asked(&self, caller: &Who, access: &Json, hash: AccessHash) -> Result<(), Wrong> {
        must(self.envelope.refs.caller.is_some(), "it names no caller")?;
        self.refers_to(hash)?;
        // Without arguments there is nothing to hash.
        let whole = access.get("context").is_some();
        must(!whole || AccessHash::of(access) == hash, "its access does not have the hash that it states")?;
        let subject = access.get("subject").and_then(|subject| subject.get("id")).and_then(Json::as_str);
        must(subject == Some(&caller.name), "its access is of another caller")
    }
}

impl<'a> Life<'a> {
    pub(super) fn new(install: InstallId, assertions: &'a dyn AssertionCheck) -> Self {
        Self {
            install,
            assertions,
            rp: None,
            passkeys: HashMap::new(),
            nonces: HashSet::new(),
            signatures: 0,
            elevations: HashMap::new(),
            grants: HashMap::new(),
            attempts: HashMap::new(),
            locks: Locks::default(),
            unproven: Vec::new(),
        }
    }

    /// Takes the next record; an `erased` one is handed back to whoever knows the leaves.
    pub(super) fn take(
        &mut self,
        leaf: u64,
        envelope: &Envelope,
        contents: Option<&Contents>,
    ) -> Result<Option<Erased>, Wrong> {
        let seen = &Seen { leaf, envelope, contents };
        match envelope.kind {
            Kind::Started => self.started(seen),
            Kind::Restored => self.restored(seen),
            Kind::Permitted => self.permitted(seen),
            Kind::Challenged => self.challenged(seen),
            Kind::Spent => self.spent(seen),
            Kind::Denied => self.denied(seen),
            Kind::Settled => self.settled(seen),
            Kind::Resolved => self.resolved(seen),
            Kind::Reported => self.reported(seen),
            Kind::Voted => self.voted(seen),
            Kind::Granted => self.granted(seen),
            Kind::Rejected => self.concluded::<Rejected>(seen).map(drop),
            Kind::Expired => self.expired(seen),
            Kind::Withdrawn => self.concluded::<Withdrawn>(seen).map(drop),
            Kind::Superseded => self.concluded::<Superseded>(seen).map(drop),
            Kind::Revoked => self.revoked(seen),
            Kind::Locked => self.locked(seen),
            Kind::Unlocked => self.unlocked(seen),
            Kind::PinAccepted => self.pin_accepted(seen),
            Kind::PasskeyEnrolled => self.passkey_enrolled(seen),
            Kind::PasskeyRevoked => self.passkey_revoked(seen),
            Kind::Erased => return seen.body::<Erased>(),
            Kind::Migrated
            | Kind::Shadowed
            | Kind::Listed
            | Kind::Preflighted
            | Kind::NotTold
            | Kind::PolicyProposed
            | Kind::PolicyActivated
            | Kind::PolicyRecovered
            | Kind::PolicyRefused
            | Kind::UpstreamAdded
            | Kind::UpstreamChanged
            | Kind::Pinned
            | Kind::PinRefused
            | Kind::Quarantined
            | Kind::CallerAdded
            | Kind::CallerChanged
            | Kind::CallerDisabled
            | Kind::CallerKeyAdded
            | Kind::CallerKeyRevoked
            | Kind::HumanAdded
            | Kind::HumanChanged
            | Kind::HumanDisabled
            | Kind::GroupChanged
            | Kind::SignedIn
            | Kind::KeyRotated
            | Kind::Exported
            | Kind::Leased
            | Kind::Recalled => Ok(()),
        }?;
        Ok(None)
    }

    pub(super) fn end(self) -> Result<End, Broken> {
        let install = self.install;
        if self.rp.is_none() {
            return Err(Broken {
                leaf: None,
                what: "the log is empty: no record says whose it is".to_owned(),
            });
        }
        let open = self.attempts.values().filter(|attempt| **attempt == Attempt::Claimed).count();
        let open_attempts = u64::try_from(open).unwrap_or(u64::MAX);
        Ok(End { install, signatures: self.signatures, unproven: self.unproven, open_attempts })
    }

    /// The body, or a note that what hangs on it could not be checked.
    fn body<B: Body>(&mut self, seen: &Seen<'_>) -> Result<Option<B>, Wrong> {
        let body = seen.body()?;
        if body.is_none() {
            self.unproven.push(seen.leaf);
        }
        Ok(body)
    }

    fn started(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let started: Started = seen.body()?.ok_or("its body is missing")?;
        must(started.install == self.install, "it is of another installation")?;
        self.rp = Some(started.rp);
        Ok(())
    }

    fn restored(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let restored: Restored = seen.body()?.ok_or("its body is missing")?;
        must(restored.install == self.install, "it is of another installation")?;
        let install = ("install", self.install.to_string());
        restored
            .signed
            .map_or(Ok(()), |signed| consent::act(self, seen.at(), "acknowledge", install, &signed))
    }

    fn permitted(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        if let Some(permitted) = self.body::<Permitted>(seen)? {
            seen.asked(&permitted.caller, &permitted.access, permitted.access_hash)?;
            self.unlocked_for(seen, &permitted.caller, &permitted.access)?;
        }
        self.claim(seen)
    }

    fn claim(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let before = self.attempts.insert(seen.attempt()?, Attempt::Claimed);
        must(before.is_none(), "its attempt was permitted before")
    }

    fn challenged(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let challenged = self.body::<Challenged>(seen)?;
        if let Some(challenged) = &challenged {
            seen.asked(&challenged.caller, &challenged.access, challenged.access_hash)?;
            must(
                Access::from_json(&challenged.access).is_some(),
                "its access is not one, or lacks its arguments",
            )?;
            must(
                challenged.requirement.hash() == challenged.requirement_hash,
                "its requirement does not have the hash that it states",
            )?;
            let latest = seen.at().after(challenged.requirement.terms.pending_for);
            must(!surely_after(challenged.expires_at, latest), "it waits longer than its terms allow")?;
        }
        let pending = Pending {
            caller: seen.envelope.refs.caller,
            challenged,
            votes: BTreeMap::new(),
            votes_erased: false,
        };
        let before = self.elevations.insert(seen.elevation()?, Elevation::Pending(Box::new(pending)));
        must(before.is_none(), "its elevation was opened before")
    }

    /// Takes the pending elevation out, so that it can be looked at beside the rest.
    fn pending(&mut self, elevation: ElevationId) -> Result<Box<Pending>, Wrong> {
        match self.elevations.insert(elevation, Elevation::Concluded) {
            Some(Elevation::Pending(pending)) => Ok(pending),
            Some(Elevation::Concluded) => Err("its elevation was over".into()),
            None => Err("its elevation was never opened".into()),
        }
    }

    /// Concludes an elevation: once.
    fn concluded<B: Body>(&mut self, seen: &Seen<'_>) -> Result<(Option<B>, Box<Pending>), Wrong> {
        Ok((self.body(seen)?, self.pending(seen.elevation()?)?))
    }

    fn expired(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let (expired, pending) = self.concluded::<Expired>(seen)?;
        let (Some(expired), Some(challenged)) = (expired, pending.challenged) else { return Ok(()) };
        must(expired.expires_at == challenged.expires_at, "its elevation expires at another time")?;
        must(!surely_after(expired.expires_at, seen.at()), "its elevation had not expired yet")
    }

    fn voted(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let elevation = seen.elevation()?;
        let voted = self.body::<Voted>(seen)?;
        let mut pending = self.pending(elevation)?;
        match voted {
            Some(vote) => {
                let challenged = pending.challenged.as_ref();
                let role = consent::vote(self, seen.at(), elevation, challenged, &vote)?;
                let before = pending.votes.insert((vote.human, role), seen.at());
                // An owner whose confirmation has gone stale confirms again; the newest is the one that counts.
                let once = before.is_none() || role == Role::Owner;
                must(once, "its person had approved this elevation before")?;
            }
            None => pending.votes_erased = true,
        }
        self.elevations.insert(elevation, Elevation::Pending(pending));
        Ok(())
    }

    fn granted(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let (granted, pending) = self.concluded::<Granted>(seen)?;
        must(pending.caller == seen.envelope.refs.caller, "it grants to another caller than asked")?;
        if let Some(granted) = &granted {
            seen.refers_to(granted.access_hash)?;
            grant_is_as_asked(seen, granted, &pending)?;
            grant_is_as_voted(seen, granted, &pending)?;
            if pending.votes_erased || pending.challenged.is_none() {
                self.unproven.push(seen.leaf);
            }
        }
        let grant = Grant {
            elevation: seen.elevation()?,
            caller: pending.caller,
            spent: 0,
            revoked: false,
            limits: granted.map(|granted| Limits {
                uses: granted.uses,
                not_after: granted.not_after,
                access_hash: granted.access_hash,
                binds: granted.requirement.terms.binds,
                bind_hash: granted.bind_hash,
            }),
        };
        let before = self.grants.insert(seen.grant()?, grant);
        must(before.is_none(), "its grant was issued before")
    }

    fn spent(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let spent = self.body::<Spent>(seen)?;
        if let Some(spent) = &spent {
            seen.asked(&spent.caller, &spent.access, spent.access_hash)?;
            self.unlocked_for(seen, &spent.caller, &spent.access)?;
        }
        let refs = &seen.envelope.refs;
        let grant = self.grants.get_mut(&seen.grant()?).ok_or("its grant was never issued")?;
        must(grant.caller == refs.caller, "its grant is another caller's")?;
        must(
            refs.elevation.is_none_or(|elevation| elevation == grant.elevation),
            "its grant is of another elevation",
        )?;
        must(!grant.revoked, "its grant had been revoked")?;
        grant.spent = grant.spent.saturating_add(1);
        if let Some(limits) = &grant.limits {
            must(grant.spent <= limits.uses, "its grant had been spent as often as it may be")?;
            must(!surely_after(seen.at(), limits.not_after), "its grant had lapsed")?;
            if let Some(spent) = &spent {
                fits(limits, spent)?;
            }
        }
        self.claim(seen)
    }

    fn denied(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let Some(Denied { caller, access, access_hash, .. }) = self.body(seen)? else { return Ok(()) };
        match (access, access_hash) {
            (Some(access), Some(hash)) => seen.asked(&caller, &access, hash),
            (Some(_), None) => Err("it has an access without a hash".into()),
            (None, Some(hash)) => seen.refers_to(hash),
            (None, None) => {
                must(seen.envelope.refs.access_hash.is_none(), "it refers to an access that it lacks")
            }
        }
    }

    fn settled(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let settled = self.body::<Settled>(seen)?;
        match self.attempts.get_mut(&seen.attempt()?) {
            Some(attempt @ Attempt::Claimed) => {
                *attempt = Attempt::Settled(settled.map(|settled| settled.outcome));
                Ok(())
            }
            Some(Attempt::Settled(_) | Attempt::Resolved) => Err("its attempt was settled before".into()),
            None => Err("its attempt was never permitted".into()),
        }
    }

    fn resolved(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let id = seen.attempt()?;
        if let Some(resolved) = self.body::<Resolved>(seen)? {
            let says = !matches!(resolved.outcome, Outcome::Unknown | Outcome::Released);
            must(says, "it resolves nothing")?;
            let says = resolved.signed.subject.get("outcome").and_then(Json::as_str);
            must(says == Some(resolved.outcome.name()), "another outcome was signed")?;
            consent::act(self, seen.at(), "resolve", ("attempt", id.to_string()), &resolved.signed)?;
        }
        match self.attempts.get_mut(&id) {
            Some(attempt @ Attempt::Settled(Some(Outcome::Unknown) | None)) => {
                *attempt = Attempt::Resolved;
                Ok(())
            }
            Some(_) => Err("the outcome of its attempt was not unknown".into()),
            None => Err("its attempt was never permitted".into()),
        }
    }

    fn reported(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        if let Some(reported) = self.body::<Reported>(seen)? {
            must(matches!(reported.outcome, Outcome::Done | Outcome::Failed), "nobody can report that")?;
        }
        match self.attempts.get_mut(&seen.attempt()?) {
            Some(attempt @ Attempt::Settled(Some(Outcome::Released) | None)) => {
                *attempt = Attempt::Resolved;
                Ok(())
            }
            Some(_) => Err("its attempt was not released, or was reported before".into()),
            None => Err("its attempt was never permitted".into()),
        }
    }

    fn revoked(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let Some(revoked) = self.body::<Revoked>(seen)? else { return Ok(()) };
        for id in revoked.grants {
            self.grants.get_mut(&id).ok_or("it revokes a grant that was never issued")?.revoked = true;
        }
        Ok(())
    }

    fn locked(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let Some(Locked { lock, subject, until, .. }) = self.body(seen)? else { return Ok(()) };
        let subject = (subject.kind, subject.id);
        let before = self.locks.subjects.insert(lock, subject.clone());
        must(before.is_none(), "its lock was set before")?;
        self.locks.standing.entry(subject).or_default().insert(lock, until);
        Ok(())
    }

    fn unlocked(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let Some(Unlocked { lock, signed, .. }) = self.body(seen)? else { return Ok(()) };
        consent::act(self, seen.at(), "unlock", ("lock", lock.to_string()), &signed)?;
        // A lock whose `locked` was erased is not known here.
        let Some(subject) = self.locks.subjects.get(&lock) else {
            return must(!self.unproven.is_empty(), "its lock was never set");
        };
        let standing = self.locks.standing.get_mut(subject);
        let lifted = standing.and_then(|locks| locks.remove(&lock));
        must(lifted.is_some(), "its lock had been lifted before")
    }

    /// Invariant 3: nothing runs under a lock. What changes the installation reaches for no upstream: a lock on everything that
    /// does leaves it alone.
    fn unlocked_for(&self, seen: &Seen<'_>, caller: &Who, access: &Json) -> Result<(), Wrong> {
        if self.locks.standing.is_empty() {
            return Ok(());
        }
        let of = |name: &str| access.get("resource")?.get(name)?.as_str();
        let id = seen.envelope.refs.caller.map(|id| id.to_string()).unwrap_or_default();
        let mut subjects = vec![(SubjectKind::Caller, id)];
        if of("type") != Some(AccessKind::Installation.name()) {
            let upstream = of("id").and_then(|id| id.split('/').next()).unwrap_or_default();
            subjects
                .extend([(SubjectKind::All, String::new()), (SubjectKind::Upstream, upstream.to_owned())]);
        }
        subjects.extend(caller.roots.iter().map(|root| (SubjectKind::Human, root.to_string())));
        let stands = |until: &Option<Time>| until.is_none_or(|until| surely_after(until, seen.at()));
        let mut locks = subjects.iter().filter_map(|subject| self.locks.standing.get(subject));
        must(!locks.any(|locks| locks.values().any(stands)), "it was permitted in spite of a lock")
    }

    fn pin_accepted(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let Some(PinAccepted { upstream, definition, signed: Some(signed), .. }) = self.body(seen)? else {
            return Ok(());
        };
        let says = |member: &str| signed.subject.get(member).and_then(Json::as_str);
        let same =
            says("digest") == Some(&definition.digest.to_string()) && says("upstream") == Some(&upstream);
        must(same, "what was signed is for another definition")?;
        consent::act(self, seen.at(), "accept", ("pin", definition.pin.to_string()), &signed)
    }

    fn passkey_enrolled(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let enrolled: PasskeyEnrolled = seen.body()?.ok_or("its body is missing")?;
        let credential = enrolled.credential.clone();
        if let Some(signed) = &enrolled.signed {
            must(signed.human == enrolled.human, "its passkey was added by another person")?;
            let key = signed.subject.get("public_key").and_then(Json::as_str);
            must(key == Some(&enrolled.public_key), "what was signed is for another key")?;
            consent::act(self, seen.at(), "add-passkey", ("credential", credential.clone()), signed)?;
        }
        let before = self.passkeys.insert(credential, Passkey { enrolled, revoked: false });
        must(before.is_none(), "its passkey was enrolled before")
    }

    fn passkey_revoked(&mut self, seen: &Seen<'_>) -> Result<(), Wrong> {
        let revoked: PasskeyRevoked = seen.body()?.ok_or("its body is missing")?;
        self.passkeys.get_mut(&revoked.credential).ok_or("its passkey was never enrolled")?.revoked = true;
        Ok(())
    }
}

/// The grant is for what was asked, and no more than its terms.
fn grant_is_as_asked(seen: &Seen<'_>, granted: &Granted, pending: &Pending) -> Result<(), Wrong> {
    let terms = &granted.requirement.terms;
    must(
        granted.requirement.hash() == granted.requirement_hash,
        "its requirement does not have the hash that it states",
    )?;
    must(granted.uses == terms.uses.get(), "it may be spent more or less often than its terms say")?;
    let latest = seen.at().after(terms.valid_for);
    must(!surely_after(granted.not_after, latest), "it is valid for longer than its terms say")?;
    let Some(challenged) = &pending.challenged else { return Ok(()) };
    must(granted.access_hash == challenged.access_hash, "it grants another access than was asked for")?;
    must(
        granted.requirement_hash == challenged.requirement_hash,
        "it was granted under another requirement than was asked",
    )?;
    must(
        granted.key_bound == challenged.caller.key_bound,
        "it says otherwise than its elevation whether a key was proved",
    )?;
    must(!surely_after(seen.at(), challenged.expires_at), "its elevation had expired")?;
    let access = Access::from_json(&challenged.access);
    let bound = access.is_some_and(|access| access.bind_hash(&terms.binds) == granted.bind_hash);
    must(bound, "it binds something else than its terms say")
}

/// The requirement was met by votes that are in the log, none of them by anyone behind the caller (invariant 7).
fn grant_is_as_voted(seen: &Seen<'_>, granted: &Granted, pending: &Pending) -> Result<(), Wrong> {
    must(!granted.roots.is_empty(), "nobody stands behind its caller, so nobody could approve")?;
    let mut persons = BTreeSet::new();
    let mut ballots = Vec::new();
    for voter in &granted.voters {
        let at = pending.votes.get(&(voter.human, voter.role)).copied();
        must(at.is_some() || pending.votes_erased, "it counts a vote that is not in the log")?;
        must(persons.insert((voter.root, voter.role)), "it counts one person twice")?;
        let behind = granted.roots.contains(&voter.root);
        must(
            behind == (voter.role == Role::Owner),
            match voter.role {
                Role::Approver => "it counts an approval by somebody who stands behind the caller",
                Role::Owner => "it counts a confirmation by somebody who is no owner",
            },
        )?;
        let prepared = voter.role == Role::Approver && granted.preparers.0.contains(&voter.root);
        must(!prepared, "it counts an approval by somebody who prepared what it is about")?;
        ballots.push(Ballot { root: voter.root, role: voter.role, groups: &voter.groups, at });
    }
    let counted = |person: &HumanId| granted.voters.iter().any(|voter| voter.root == *person);
    let mut matched = granted.matching.iter().flat_map(|matched| &matched.by);
    must(matched.all(counted), "it matches a person who did not vote")?;
    met(
        &granted.requirement,
        &Evidence {
            ballots,
            purpose: granted.purpose.as_deref(),
            ticket: granted.ticket.as_deref(),
            key_bound: granted.key_bound,
            at: seen.at(),
        },
    )
}

/// Invariant 6: what a grant is spent on is what was approved.
fn fits(limits: &Limits, spent: &Spent) -> Result<(), Wrong> {
    must(spent.bind_hash == limits.bind_hash, "its grant binds something else")?;
    let same = spent.access_hash == limits.access_hash;
    // Without arguments, what a grant binds of them cannot be computed again.
    let bound = match (Access::from_json(&spent.access), &limits.binds) {
        (Some(access), binds) => access.bind_hash(binds) == limits.bind_hash,
        (None, Binds::Everything) => same,
        (None, Binds::Pointers(_)) => spent.access.get("context").is_none(),
    };
    must(bound, "its access is not what its grant binds")
}
