//! The vote: one person's signature over exactly one access, as shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use audit::body::{self, Matched, Voter};
use audit::record::Refs;
use elevation::{Conclusion, Eligible, Grant, Matching, Pending, Version, Vote, Weighed, weigh};
use policy::{Judgement, Question};
use store::{Change, Commit, Failed, Refused, Whole};
use terms::statement::{Consent, Matter, Role};
use terms::{Access, Caller, ElevationId, GrantId, HumanId, Json, Kind, Requirement, Slug, Time, Tree};

use crate::active::Active;
use crate::authority::Authority;
use crate::ceremony::{Begun, Ceremonial, SignedAssertion, Witnessed};
use crate::decide::{TRIES, evidence, stands};
use crate::leaves;
use crate::proposal;
use crate::target::Target;
use crate::touching::Touching;
use crate::withdraw::over_now;

/// What became of a vote that counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voted {
    /// The requirement is met; this grant was issued.
    Approved(GrantId),
    /// More is needed.
    Waiting,
}

/// Why a person's act did not count. Told to that person, in these words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// There is nothing like it for this person.
    #[error("There is nothing like it for you.")]
    NotFound,
    /// The ceremony is used, too old, or of another kind.
    #[error("This page is too old to sign. Load it again.")]
    CeremonyOver,
    /// No passkey of this person.
    #[error("This passkey is not one of yours here.")]
    PasskeyUnknown,
    /// It was enrolled beside another one less than a day ago.
    #[error(
        "This passkey is new: for its first 24 hours it signs you in and nothing else. Use an older one."
    )]
    PasskeyNew,
    /// The signature does not verify.
    #[error("The passkey's answer was not accepted: {0}.")]
    Signature(String),
    /// The counter went back: the passkey was suspended.
    #[error(
        "This passkey's counter went back: it may have been copied, and was suspended. Tell your operator."
    )]
    Copied(String),
    /// The request is over.
    #[error("This request is over: {0}.")]
    Over(&'static str),
    /// Nobody knows yet what its upstream says of it today.
    #[error(
        "Its upstream has not been reached since stepup started. You can sign once it was: look again in a moment."
    )]
    NotReached,
    /// What the request takes has changed since it was shown.
    #[error(
        "What this request takes has changed since it was shown. It was closed; a new one takes its place when it is asked for again."
    )]
    CardChanged,
    /// This person is not among those who are asked.
    #[error("You are not among the people who are asked for this.")]
    NotEligible,
    /// This person stands behind the caller.
    #[error("You stand behind this yourself: it takes somebody else.")]
    Behind,
    /// This person prepared what it is about.
    #[error(
        "You prepared what this acts on, or something of its kind that may be this: it takes somebody else."
    )]
    Prepared,
    /// The rules do not let this person change this.
    #[error("The rules in force do not let you do this ({0}).")]
    NotLet(Slug),
    /// It takes approval by others first.
    #[error("This takes approval first: request {0} waits for it. Once it is approved, do this again.")]
    Asked(ElevationId),
    /// The caller has not said yet what it has to say.
    #[error(
        "Who asks has not yet said what this request asks them to say ({0}). You can sign once they have."
    )]
    ClaimsMissing(&'static str),
    /// This person has voted already.
    #[error("You have signed this already.")]
    AlreadyVoted,
    /// A reason is mandatory.
    #[error("Say why, in at most 500 characters.")]
    ReasonMissing,
    /// A passkey is told from the others by its name.
    #[error("Give the passkey a name, of at most 40 characters.")]
    NameMissing,
    /// There must be one left to sign in with.
    #[error("This is your only passkey. Add another one first.")]
    LastPasskey,
    /// So many are enough.
    #[error("You have as many passkeys as one person may. Remove one that you do not use.")]
    TooManyPasskeys,
    /// Something kept changing underneath.
    #[error("Somebody else was quicker. Load the page again.")]
    Busy,
    /// The disk is full, or the name is taken, ….
    #[error("It was not recorded: {0}.")]
    NotRecorded(Refused),
}

/// A request with what today's rules say of it.
pub(crate) struct Today {
    pub(crate) pending: Pending,
    pub(crate) caller: Arc<Caller>,
    pub(crate) target: Arc<Target>,
    pub(crate) eligible: Eligible,
    /// What it touches; nothing, and nobody is eligible, where nobody knows who touched that before.
    pub(crate) touching: Touching,
    /// Whether today's rules ask for what this request waits for: not for nothing, and not for something else.
    pub(crate) same: bool,
}

impl Authority {
    /// Shows the card of a pending request to a person who may sign it, and begins the ceremony.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] when this person cannot sign it now.
    pub async fn begin_consent(
        &self,
        id: ElevationId,
        human: HumanId,
    ) -> Result<Result<(Begun, terms::card::Card, Role), NotCounted>, Failed> {
        let active = self.active();
        let today = match self.today(&active, id).await? {
            Ok(today) => today,
            Err(refused) => return Ok(Err(refused)),
        };
        if !today.same {
            self.supersede(&today.pending).await?;
            return Ok(Err(NotCounted::CardChanged));
        }
        let role = match self.role(&active, &today, human) {
            Ok(role) => role,
            Err(refused) => return Ok(Err(refused)),
        };
        let card = self.shown(&active, &today).await?;
        let consent = Consent {
            elevation: id,
            access_hash: today.pending.access.hash(),
            card_hash: card.hash(),
            requirement_hash: today.pending.requirement.hash(),
            terms: today.pending.requirement.terms.clone(),
            role,
        };
        let what = Ceremonial::Consent(id);
        let begun = self.keep(&what, Matter::Consent(consent), Some(human), card.to_json()).await?;
        Ok(Ok((begun, card, role)))
    }

    /// Counts a signed vote; when it completes the requirement, the grant is issued in the same commit.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn vote(
        &self,
        id: ElevationId,
        human: HumanId,
        signed: &SignedAssertion,
    ) -> Result<Result<Voted, NotCounted>, Failed> {
        let witnessed = match self.witness(&Ceremonial::Consent(id), Some(human), signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        let Matter::Consent(consent) = witnessed.statement.matter.clone() else {
            return Ok(Err(NotCounted::CeremonyOver));
        };
        if consent.elevation != id {
            return Ok(Err(NotCounted::CeremonyOver));
        }
        for _ in 0..TRIES {
            if let Some(answer) = self.count(human, &witnessed, &consent).await? {
                return Ok(answer);
            }
        }
        Ok(Err(NotCounted::Busy))
    }

    /// One try; `None` to start again.
    async fn count(
        &self,
        human: HumanId,
        witnessed: &Witnessed,
        consent: &Consent,
    ) -> Result<Option<Result<Voted, NotCounted>>, Failed> {
        let active = self.active();
        let today = match self.today(&active, consent.elevation).await? {
            Ok(today) => today,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        if !today.same || consent.requirement_hash != today.pending.requirement.hash() {
            self.supersede(&today.pending).await?;
            return Ok(Some(Err(NotCounted::CardChanged)));
        }
        match self.role(&active, &today, human) {
            Ok(role) if role == consent.role => {}
            Ok(_) => return Ok(Some(Err(NotCounted::NotEligible))),
            Err(refused) => return Ok(Some(Err(refused))),
        }
        let card = self.shown(&active, &today).await?;
        if steady(&card.to_json()) != steady(&witnessed.ceremony.card) {
            return Ok(Some(Err(NotCounted::CeremonyOver)));
        }
        let Some(vote) = self.ballot(&active, human, witnessed, consent) else {
            return Ok(Some(Err(NotCounted::NotEligible)));
        };
        let (commit, voted) = self.counted(&active, &today, vote, witnessed);
        match self.commit(commit).await? {
            Ok(_) => {
                self.watch.wake(consent.elevation);
                Ok(Some(Ok(voted)))
            }
            Err(Refused::Conflict | Refused::Stale(_)) => Ok(None),
            Err(Refused::Lapsed) => Ok(Some(Err(NotCounted::Over("it has expired")))),
            Err(
                other @ (Refused::Exists(_)
                | Refused::Spent
                | Refused::Revoked
                | Refused::Locked(_)
                | Refused::NameTaken
                | Refused::Missing
                | Refused::Repeats
                | Refused::Full),
            ) => Ok(Some(Err(NotCounted::NotRecorded(other)))),
        }
    }

    fn ballot(
        &self,
        active: &Active,
        human: HumanId,
        witnessed: &Witnessed,
        consent: &Consent,
    ) -> Option<Vote> {
        let row = active.human(human)?;
        Some(Vote {
            root: row.root,
            human,
            name: row.name.clone(),
            role: consent.role,
            credential: witnessed.passkey.credential.clone(),
            statement: witnessed.statement.clone(),
            requirement: consent.requirement_hash,
            card: consent.card_hash,
            assertion: witnessed.assertion.clone(),
            at: self.now(),
        })
    }

    /// The commit of one vote, and with the last one the grant.
    fn counted(&self, active: &Active, today: &Today, vote: Vote, witnessed: &Witnessed) -> (Commit, Voted) {
        let id = today.pending.id;
        let expects = today.pending.version;
        let refs = Refs {
            caller: Some(today.pending.caller),
            elevation: Some(id),
            access_hash: Some(today.pending.access.hash()),
            policy: Some(active.hash),
            ..Refs::default()
        };
        let record = self.record(refs.clone(), &voted(&vote, witnessed));
        let mut pending = today.pending.clone();
        pending.votes.retain(|earlier| (earlier.root, earlier.role) != (vote.root, vote.role));
        pending.votes.push(vote.clone());
        let mut commit = Commit {
            changes: vec![witnessed.change(), Change::Vote { id, vote: Box::new(vote), expects }],
            records: vec![record],
        };
        let now = self.now();
        let weighed = weigh(&pending.requirement, &evidence(&pending), &today.eligible, now);
        let Weighed::Met(matching) = weighed else { return (commit, Voted::Waiting) };
        let grant = pending.grant(GrantId::fresh(self.ambient.as_ref()), now);
        let grant_id = grant.id;
        let record = granted(active, today, &pending, &matching, &grant);
        commit.records.push(self.record(Refs { grant: Some(grant_id), ..refs }, &record));
        commit.changes.push(Change::Conclude {
            id,
            to: Conclusion::Approved,
            why: None,
            by: None,
            expects: Version(expects.0 + 1),
        });
        commit.changes.push(Change::Issue(Box::new(grant)));
        let by: BTreeSet<String> = pending.votes.iter().map(|vote| vote.name.clone()).collect();
        let by: Vec<String> = by.into_iter().collect();
        commit.changes.push(self.over(&pending, Conclusion::Approved, &by, None));
        (commit, Voted::Approved(grant_id))
    }

    /// A pending request, and what today's rules say of it.
    pub(crate) async fn today(
        &self,
        active: &Active,
        id: ElevationId,
    ) -> Result<Result<Today, NotCounted>, Failed> {
        let Some(Whole { request: pending, state, .. }) = self.store.elevation(id).await? else {
            return Ok(Err(NotCounted::NotFound));
        };
        if let Some(over) = over_now(state, &pending, self.now()) {
            return Ok(Err(over));
        }
        let Some(caller) = active.people.who_makes(pending.caller, &pending.access) else {
            return Ok(Err(NotCounted::Over("its caller is disabled")));
        };
        let Ok(target) = self.standing_target(active, &pending.access) else {
            return Ok(Err(self.stands_no_more(&pending.access)));
        };
        if proposal::is_over(active, &pending.access) {
            return Ok(Err(NotCounted::Over("other rules came into force since it was made")));
        }
        self.today_of(active, pending, caller, target).await.map(Ok)
    }

    /// Why nobody can sign for what does not stand as it was asked for.
    pub(crate) fn stands_no_more(&self, access: &Access) -> NotCounted {
        let attached = self.attached();
        match access.reaches() {
            Some(upstream) if !attached.contains_key(upstream) => NotCounted::NotReached,
            _ => NotCounted::Over(has_changed(access)),
        }
    }

    /// What today's rules say of a request.
    pub(crate) async fn today_of(
        &self,
        active: &Active,
        mut pending: Pending,
        caller: Arc<Caller>,
        target: Arc<Target>,
    ) -> Result<Today, Failed> {
        pending.votes.retain(|vote| stands(active, vote));
        let moment = self.moment(active, pending.caller, &pending.access, &pending.source).await?;
        let question =
            Question { caller: &caller, access: &pending.access, target: &target.judged, moment: &moment };
        let (touching, eligible) = match self.touching(active, &target, &pending.access).await? {
            Ok(touching) => {
                let asked = (&pending.requirement, pending.votes.len());
                let eligible = self.eligible(active, &question, &touching.people, asked);
                (touching, eligible)
            }
            Err(_) => (Touching::default(), Eligible::default()),
        };
        let same = required(active, &question).is_some_and(|r| r.hash() == pending.requirement.hash());
        Ok(Today { pending, caller, target, eligible, touching, same })
    }

    /// What the caller has yet to say: nobody signs before that, since people sign what they saw.
    fn claims_missing(&self, today: &Today) -> Option<&'static str> {
        let Today { pending, eligible, .. } = today;
        let leaves = leaves::weighed(&pending.requirement, &evidence(pending), eligible, self.now());
        leaves.iter().filter(|leaf| !leaf.met()).find_map(|leaf| match leaf.leaf {
            Tree::Purpose => Some("why"),
            Tree::Ticket { .. } => Some("a ticket"),
            Tree::All(_) | Tree::Any(_) | Tree::Approvals { .. } | Tree::Owner { .. } | Tree::KeyBound => {
                None
            }
        })
    }

    /// In which capacity a person can sign this, if at all.
    pub(crate) fn role(&self, active: &Active, today: &Today, human: HumanId) -> Result<Role, NotCounted> {
        let row = active.human(human).ok_or(NotCounted::NotEligible)?;
        let asked = |role: Role| asks(&today.pending.requirement, &today.eligible, row.root, role);
        let role = [Role::Owner, Role::Approver].into_iter().find(|role| asked(*role));
        let behind = today.caller.roots.contains(&row.root);
        let not = match (behind, today.touching.people.contains(&row.root)) {
            (true, _) => NotCounted::Behind,
            (false, true) => NotCounted::Prepared,
            (false, false) => NotCounted::NotEligible,
        };
        let role = role.ok_or(not)?;
        let mut votes = today.pending.votes.iter().filter(|v| v.root == row.root && v.role == role);
        if votes.any(|vote| !stale(vote, &today.pending.requirement, self.now())) {
            return Err(NotCounted::AlreadyVoted);
        }
        let missing = self.claims_missing(today);
        missing.map_or(Ok(role), |what| Err(NotCounted::ClaimsMissing(what)))
    }
}

/// What today's rules ask for; `None` when they permit or deny outright.
fn required(active: &Active, question: &Question<'_>) -> Option<Requirement> {
    match policy::judge(active.set.as_ref()?, question) {
        Judgement::StepUp { requirement, .. } => Some(requirement),
        Judgement::Permit { .. } | Judgement::Deny { .. } => None,
    }
}

/// Whether an owner's confirmation is no longer as fresh as some leaf asks. It may be given again then: otherwise a
/// request whose other signatures took their time could be met by nobody.
fn stale(vote: &Vote, requirement: &Requirement, now: Time) -> bool {
    let too_old = |leaf| matches!(leaf, &Tree::Owner { fresh } if now.since(vote.at) > fresh);
    vote.role == Role::Owner && leaves::leaves(requirement).into_iter().any(too_old)
}

/// A card without what other people do meanwhile and what merely warns: the rest is what was consented to, and
/// a person whose card says something else by now is shown it again.
fn steady(card: &Json) -> Json {
    let mut card = card.clone();
    if let Json::Object(members) = &mut card {
        ["needed", "unusual", "last_same"].iter().for_each(|name| drop(members.remove(name)));
    }
    card
}

/// Whether a requirement asks for a signature of this person in this role.
fn asks(requirement: &Requirement, eligible: &Eligible, root: HumanId, role: Role) -> bool {
    let groups = eligible.approvers.get(&root);
    let from = |leaf| leaves::group(leaf).is_some_and(|from| groups.is_some_and(|g| g.contains(from)));
    leaves::leaves(requirement).into_iter().any(|leaf| match role {
        Role::Approver => from(leaf),
        Role::Owner => matches!(leaf, Tree::Owner { .. }) && eligible.owners.contains(&root),
    })
}

fn voted(vote: &Vote, witnessed: &Witnessed) -> body::Voted {
    body::Voted {
        human: vote.human,
        name: vote.name.clone(),
        root: vote.root,
        credential: vote.credential.clone(),
        statement: vote.statement.clone(),
        card: witnessed.ceremony.card.clone(),
        assertion: vote.assertion.clone(),
    }
}

fn granted(
    active: &Active,
    today: &Today,
    pending: &Pending,
    matching: &Matching,
    grant: &Grant,
) -> body::Granted {
    let leaves = matching.iter().flat_map(|(part, leaves)| leaves.iter().map(move |leaf| (part, leaf)));
    let voters: BTreeMap<_, _> = pending.votes.iter().map(|vote| ((vote.root, vote.role), vote)).collect();
    body::Granted {
        access_hash: pending.access.hash(),
        requirement: pending.requirement.clone(),
        requirement_hash: pending.requirement.hash(),
        matching: leaves
            .map(|(part, leaf)| Matched { part: part.clone(), leaf: leaf.says(), by: leaf.by.clone() })
            .collect(),
        voters: voters
            .into_values()
            .map(|vote| Voter {
                human: vote.human,
                root: vote.root,
                role: vote.role,
                groups: active.groups_of(vote.root),
            })
            .collect(),
        roots: today.caller.roots.clone(),
        preparers: body::Preparers(today.touching.people.clone()),
        purpose: pending.purpose.clone(),
        ticket: pending.ticket.clone(),
        key_bound: pending.key_bound,
        bind_hash: grant.bind_hash,
        uses: grant.uses.get(),
        not_after: grant.not_after,
    }
}

/// What is not as it was any more.
fn has_changed(access: &Access) -> &'static str {
    match Kind::named(&access.resource().kind) {
        Some(Kind::Tool) | None => "its tool has changed",
        Some(Kind::Prompt) => "its prompt has changed",
        Some(Kind::Route) => "its route has changed",
        Some(Kind::Operation) => "its operation has changed",
        Some(Kind::Resource) => "its upstream has changed",
        Some(Kind::Installation) => "this version of stepup does it in another way",
    }
}
