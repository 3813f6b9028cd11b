//! The one decision: policy first and without I/O; at baseline one commit; where evidence is asked for, one
//! read, one weighing, one commit (decisions §9). Conflicts start from the beginning, three times at most.

use std::collections::BTreeSet;
use std::sync::Arc;

use audit::body::{self, Arguments, Who, logged};
use audit::record::{Record, Refs};
use elevation::{Eligible, Evidence, Outcome, Pending, Vote, Weighed, weigh};
use policy::{History, Judgement, Moment, PolicySet, Question};
use store::{
    Attempt, Change, Claim, Commit, Failed, Granted, LockSubjects, PinState, Refused, Situation, Standing,
};
use terms::{
    Access, AttemptId, Caller, Digest, ElevationId, HumanId, KeyId, Kind, Requirement, Secrets, Slug, Time,
};

use crate::active::Active;
use crate::authority::Authority;
use crate::claims::Claims;
use crate::leaves::groups;
use crate::permit::Claiming;
use crate::ruling::{Denial, Ruling};
use crate::target::{Target, own_identity};
use crate::touching::Touching;

/// One access, asked for by an authenticated caller.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who; as it was read with what is in force, not a copy for each call.
    pub caller: Arc<Caller>,
    /// What.
    pub access: Access,
    /// Its secret arguments.
    pub secrets: Secrets,
    /// The address that the request came from.
    pub source: String,
    /// Why, as the caller says.
    pub purpose: Option<String>,
    /// Under which ticket, as the caller says.
    pub ticket: Option<String>,
    /// The digest of the caller's own name for what it wants done once, however often it asks.
    pub once: Option<Digest>,
}

/// How often something that collides with others starts again.
pub(crate) const TRIES: usize = 3;

/// One try.
pub(crate) enum Tried {
    /// A ruling.
    Ruled(Ruling),
    /// Something changed meanwhile; what to come back to, where a grant of it was lost to somebody quicker.
    Again(Option<ElevationId>),
}

/// One access under decision.
pub(crate) struct Case<'a> {
    pub(crate) active: &'a Active,
    pub(crate) ask: &'a Ask,
    /// The caller as it is today.
    pub(crate) caller: Arc<Caller>,
    /// The elevation that the caller comes back to.
    pub(crate) back: Option<ElevationId>,
}

/// What the rules in force say of it, with what they said it of.
pub(crate) struct Judged<'a> {
    pub(crate) case: &'a Case<'a>,
    pub(crate) target: &'a Target,
    pub(crate) moment: Moment,
    pub(crate) requirement: Requirement,
    pub(crate) by: Vec<String>,
    pub(crate) touching: Touching,
}

/// What the rules in force say, and of what they said it.
pub(crate) struct Said {
    pub(crate) target: Arc<Target>,
    pub(crate) moment: Moment,
    pub(crate) judgement: Judgement,
    pub(crate) touching: Touching,
}

/// What a step-up comes to.
pub(crate) enum Comes<'s> {
    /// It is denied.
    Denied(Denial),
    /// A grant fits.
    Granted(&'s Granted),
    /// The same request waits already, and this is said beside it.
    Waits(Claims, &'s Pending),
    /// A request is to be opened, with what is said beside it.
    Opens(Claims),
}

impl Authority {
    /// Decides on one access, now.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot say or record anything; whoever asked denies.
    pub async fn decide(&self, ask: &Ask) -> Result<Ruling, Failed> {
        self.rule(ask, None).await
    }

    /// The same decision for a caller that comes back to one of its elevations, after a wait or by its id:
    /// where that one is over, it is told how it ended, and no other is opened (decisions §9).
    ///
    /// # Errors
    /// [`Failed`] when the store cannot say or record anything; whoever asked denies.
    pub async fn decide_again(&self, ask: &Ask, elevation: ElevationId) -> Result<Ruling, Failed> {
        self.rule(ask, Some(elevation)).await
    }

    async fn rule(&self, ask: &Ask, mut back: Option<ElevationId>) -> Result<Ruling, Failed> {
        if ask.caller.key != KeyId::NIL {
            self.sources.note(ask.caller.key, &ask.source, self.now());
        }
        for _ in 0..TRIES {
            match self.attempt(&self.active(), ask, back).await? {
                Tried::Ruled(ruling) => return Ok(ruling),
                Tried::Again(lost) => back = back.or(lost),
            }
        }
        let active = self.active();
        let case = Case { active: &active, ask, caller: Arc::clone(&ask.caller), back };
        self.deny(&case, Denial::of(Slug::Busy), &[]).await
    }

    async fn attempt(&self, active: &Active, ask: &Ask, back: Option<ElevationId>) -> Result<Tried, Failed> {
        let now = self.now();
        let Some(caller) = active.people.still(&ask.caller, now) else {
            let case = Case { active, ask, caller: Arc::clone(&ask.caller), back };
            return self.denied(&case, Denial::of(Slug::CredentialInvalid), &[]).await;
        };
        let case = Case { active, ask, caller, back };
        if let Some(denial) = self.begun(&case).await? {
            return self.denied(&case, denial, &[]).await;
        }
        let Said { target, moment, judgement, touching } = match self.said(&case).await? {
            Ok(said) => said,
            Err(slug) => return self.denied(&case, Denial::of(slug), &[]).await,
        };
        match judgement {
            Judgement::Permit { by } => {
                let shadow = self.shadow(&case, &case.question(&target, &moment));
                self.permit(&case, &touching, None, &names(&by), shadow).await
            }
            Judgement::Deny { by, why } => self.denied(&case, Denial::of(why.slug()), &names(&by)).await,
            Judgement::StepUp { requirement, by, .. } => {
                let by = names(&by);
                let judged = Judged { case: &case, target: &target, moment, requirement, by, touching };
                self.step_up(&judged).await
            }
        }
    }

    /// What becomes of a request whose caller has named it and that was begun by that name already: it is not begun again.
    async fn begun(&self, case: &Case<'_>) -> Result<Option<Denial>, Failed> {
        let Some(key) = case.ask.once else { return Ok(None) };
        let Some(attempt) = self.store.once(case.caller.id, key).await? else { return Ok(None) };
        let slug = match self.outcome_of(&attempt) {
            _ if attempt.access != case.ask.access.hash() => Slug::KeyReused,
            None => Slug::AlreadyRunning,
            Some(Outcome::Unknown) => Slug::OutcomeUnknown,
            Some(Outcome::Done | Outcome::Failed | Outcome::Released) => Slug::AlreadyRan,
            Some(Outcome::NotSent) => return Ok(None),
        };
        Ok(Some(Denial { attempt: Some(attempt.id), ..Denial::of(slug) }))
    }

    /// What the rules in force say, of a caller that is still one.
    ///
    /// # Errors
    /// [`Failed`] when the store does; a slug where there is nothing to ask rules about.
    pub(crate) async fn said(&self, case: &Case<'_>) -> Result<Result<Said, Slug>, Failed> {
        let Case { active, ask, caller, .. } = case;
        // Who is locked opens no request either; that nothing locked runs is what the claim is fenced for.
        if active.lock_on(caller, &ask.access, self.now()).is_some() {
            return Ok(Err(Slug::CallerLocked));
        }
        let target = match self.standing_target(active, &ask.access) {
            Ok(target) => target,
            Err(slug) => return Ok(Err(slug)),
        };
        let Some(set) = active.set.as_ref() else { return Ok(Err(Slug::PolicyFailed)) };
        let moment = self.moment(active, caller.id, &ask.access, &ask.source).await?;
        let judgement = policy::judge(set, &case.question(&target, &moment));
        let touching = match (&judgement, self.touching(active, &target, &ask.access).await?) {
            (_, Ok(touching)) => touching,
            // What policy says no to is told that.
            (Judgement::Deny { .. }, Err(_)) => Touching::default(),
            (Judgement::Permit { .. } | Judgement::StepUp { .. }, Err(slug)) => return Ok(Err(slug)),
        };
        Ok(Ok(Said { target, moment, judgement, touching }))
    }

    /// What an access reaches for, as it stands now: the definition and upstream that were judged must be
    /// those that are in force (T18, T19).
    pub(crate) fn standing_target(&self, active: &Active, access: &Access) -> Result<Arc<Target>, Slug> {
        let resource = access.resource();
        let unknown = unknown(Kind::named(&resource.kind).ok_or(Slug::ToolUnknown)?);
        let target = active.target_of(access).filter(|target| target.is_of(access)).ok_or(unknown)?;
        let identity = access.reaches().map_or_else(
            || Some(own_identity()),
            |upstream| self.upstreams.load().get(upstream).map(|upstream| upstream.identity),
        );
        let same = target.pin.digest == resource.definition && identity == Some(resource.upstream);
        match target.pin.state {
            PinState::Accepted if same => Ok(target),
            PinState::Accepted | PinState::Quarantined | PinState::Refused => Err(Slug::ToolQuarantined),
            PinState::Gone => Err(unknown),
        }
    }

    /// What policy is told beside caller, access and target: the same at the attempt, at each vote and at use.
    pub(crate) async fn moment(
        &self,
        active: &Active,
        caller: terms::CallerId,
        access: &Access,
        source: &str,
    ) -> Result<Moment, Failed> {
        let mut history = None;
        if active.reads_history() {
            let (used_before, calls_1h) = self.store.usage(caller, access.resource().id.clone()).await?;
            history = Some(History { first_time: !used_before, calls_1h });
        }
        Ok(Moment { at: self.now(), source: source.parse().ok(), history })
    }

    /// Everyone who may approve or confirm an access today, of those whom a requirement asks, as policy sees it
    /// (R9); but none who prepared what it is about approves it.
    pub(crate) fn eligible(
        &self,
        active: &Active,
        question: &Question<'_>,
        but: &BTreeSet<HumanId>,
        (requirement, votes): (&Requirement, usize),
    ) -> Eligible {
        let set = active.set.as_ref();
        set.map_or_else(Eligible::default, |set| active.eligible(set, question, but, (requirement, votes)))
    }

    /// What rules that are only tried would have stopped, for the log.
    fn shadow(&self, case: &Case<'_>, question: &Question<'_>) -> Option<Record> {
        let policy::Shadowed { by, requirement } = policy::shadowed(case.active.set.as_ref()?, question)?;
        let from = requirement.as_ref().map(groups).unwrap_or_default();
        let body = body::Shadowed {
            caller: Who::of(&case.caller, &case.ask.source),
            resource: case.ask.access.resource().id.clone(),
            by: names(&by),
            from: from.into_iter().map(str::to_owned).collect(),
            requirement: requirement.map(|requirement| requirement.label()),
        };
        Some(self.record(case.refs(), &body))
    }

    /// A step-up is asked for: what that comes to is carried out.
    async fn step_up(&self, judged: &Judged<'_>) -> Result<Tried, Failed> {
        let situation = self.situation(judged).await?;
        let eligible = self.eligible_for(judged, &situation);
        match self.comes_to(judged, &situation, &eligible).await? {
            Comes::Denied(denial) => self.denied(judged.case, denial, &judged.by).await,
            Comes::Granted(granted) => {
                let shadow = self.shadow(judged.case, &judged.question());
                let spend = Some((granted, &judged.requirement));
                self.permit(judged.case, &judged.touching, spend, &judged.by, shadow).await
            }
            Comes::Waits(claims, pending) => self.join(claims, pending.clone(), &eligible, &situation).await,
            Comes::Opens(claims) => self.open_request(judged, claims, &situation, &eligible).await,
        }
    }

    /// What a step-up comes to: is there a grant, or something to wait for, or does it begin? Nothing is done about it here,
    /// so that whoever only asks is told what would be decided.
    pub(crate) async fn comes_to<'s>(
        &self,
        judged: &Judged<'_>,
        situation: &'s Situation,
        eligible: &Eligible,
    ) -> Result<Comes<'s>, Failed> {
        // What runs now, or ended nobody knows how, is not run again, however many uses are left.
        if let Some(denial) = still_open(situation) {
            return Ok(Comes::Denied(denial));
        }
        let now = self.now();
        let fitting = situation.grants.iter().find(|granted| supports(granted, judged, eligible, now));
        if let Some(granted) = fitting {
            return Ok(Comes::Granted(granted));
        }
        if let Some(rejected) = &situation.rejected {
            let denial = Denial { why: Some(rejected.why.clone()), ..Denial::of(Slug::Rejected) };
            return Ok(Comes::Denied(denial));
        }
        self.asks_people(judged, situation, eligible).await
    }

    pub(crate) async fn situation(&self, judged: &Judged<'_>) -> Result<Situation, Failed> {
        self.store.standing(self.standing(judged.case.caller.id, &judged.case.ask.access)).await
    }

    /// The question of what the store holds for one access of one caller.
    pub(crate) fn standing(&self, caller: terms::CallerId, access: &Access) -> Standing {
        let now = self.now();
        Standing {
            caller,
            access: access.hash(),
            action: access.action().to_owned(),
            resource: access.resource().id.clone(),
            rejected_since: now.before(self.settings.cool_down),
            ran_since: now.before(self.settings.answer_for),
        }
    }

    pub(crate) fn eligible_for(&self, judged: &Judged<'_>, situation: &Situation) -> Eligible {
        let votes = situation.pending.as_ref().map_or(0, |pending| pending.votes.len());
        let asked = (&judged.requirement, votes);
        self.eligible(judged.case.active, &judged.question(), &judged.touching.people, asked)
    }

    /// Claims an attempt, spending a grant where there is one, and makes the permit of it.
    async fn permit(
        &self,
        case: &Case<'_>,
        touching: &Touching,
        spend: Option<(&Granted, &Requirement)>,
        by: &[String],
        shadow: Option<Record>,
    ) -> Result<Tried, Failed> {
        let Case { active, ask, caller, .. } = case;
        let attempt = AttemptId::ordered(self.ambient.as_ref());
        let claim = Claim {
            attempt,
            access: ask.access.hash(),
            resource: ask.access.resource().id.clone(),
            subjects: LockSubjects {
                caller: caller.id,
                roots: caller.roots.iter().copied().collect(),
                upstream: ask.access.reaches().map(str::to_owned),
            },
            epoch: active.epoch,
            boot: self.boot,
        };
        let (change, record) = match spend {
            Some((granted, today)) => {
                (spend_of(granted, today, claim), self.spent(case, attempt, (granted, today), by))
            }
            None => (Change::Attempt(claim), self.permitted(case, attempt, by)),
        };
        let until = self.ambient.boottime().after(self.settings.permit_for);
        let (ticket, settler) = (self.live.ticket(), Arc::clone(&self.settler));
        let claiming = Claiming::new(attempt, until, ticket, (settler, touching.trail()));
        let records = std::iter::once(record).chain(shadow).collect();
        let once = ask.once.map(|key| Change::Once { caller: caller.id, key, attempt });
        let touch = touching.change(attempt, caller);
        let changes = std::iter::once(change).chain(once).chain(touch).collect();
        match self.store.commit(Commit { changes, records }).await? {
            Ok(receipt) => {
                let what = (ask.access.clone(), ask.secrets.clone(), ask.once.is_some());
                let permit = receipt.claimed.and_then(|c| claiming.permit(c, caller.id, what));
                Ok(permit.map_or(Tried::Again(None), |permit| Tried::Ruled(Ruling::Permitted(permit))))
            }
            Err(refused) => {
                claiming.refused();
                self.unclaimed(case, refused, spend.map(|(granted, _)| granted.elevation.id)).await
            }
        }
    }

    /// The store refused a claim: what it knew better is learnt before the next try.
    async fn unclaimed(
        &self,
        case: &Case<'_>,
        refused: Refused,
        grant_of: Option<ElevationId>,
    ) -> Result<Tried, Failed> {
        match refused {
            Refused::Locked(lock) => {
                if !case.active.locks.iter().any(|known| known.id == lock) {
                    self.reload().await?;
                }
                self.denied(case, Denial::of(Slug::CallerLocked), &[]).await
            }
            Refused::Stale(epoch) => {
                self.catch_up(epoch).await?;
                Ok(Tried::Again(None))
            }
            Refused::Spent | Refused::Revoked | Refused::Lapsed => Ok(Tried::Again(grant_of)),
            Refused::Full => {
                Err(Failed { doing: "recording a permit", because: "the disk is full".to_owned() })
            }
            Refused::Conflict
            | Refused::Missing
            | Refused::NameTaken
            | Refused::Exists(_)
            | Refused::Repeats => Ok(Tried::Again(None)),
        }
    }

    fn permitted(&self, case: &Case<'_>, attempt: AttemptId, by: &[String]) -> Record {
        let body = body::Permitted {
            caller: Who::of(&case.caller, &case.ask.source),
            access: logged(&case.ask.access, Arguments::Full),
            access_hash: case.ask.access.hash(),
            by: by.to_vec(),
        };
        self.record(Refs { attempt: Some(attempt), ..case.refs() }, &body)
    }

    fn spent(
        &self,
        case: &Case<'_>,
        attempt: AttemptId,
        (granted, today): (&Granted, &Requirement),
        by: &[String],
    ) -> Record {
        let refs = Refs {
            attempt: Some(attempt),
            grant: Some(granted.grant.id),
            elevation: Some(granted.elevation.id),
            ..case.refs()
        };
        let body = body::Spent {
            caller: Who::of(&case.caller, &case.ask.source),
            access: logged(&case.ask.access, Arguments::Full),
            access_hash: case.ask.access.hash(),
            by: by.to_vec(),
            bind_hash: granted.grant.bind_hash,
            requirement_hash: today.hash(),
        };
        self.record(refs, &body)
    }
}

impl Judged<'_> {
    /// What was asked.
    fn question(&self) -> Question<'_> {
        self.case.question(self.target, &self.moment)
    }
}

impl Active {
    /// The same under any rules.
    pub(crate) fn eligible(
        &self,
        set: &PolicySet,
        question: &Question<'_>,
        but: &BTreeSet<HumanId>,
        (requirement, votes): (&Requirement, usize),
    ) -> Eligible {
        let votes = u32::try_from(votes).unwrap_or(u32::MAX);
        self.people.eligible(question.caller, but, &groups(requirement), |human, groups| {
            let human = policy::Human { id: human.root, name: human.name.clone(), groups: groups.clone() };
            set.may_approve(&human, question, votes).yes()
        })
    }
}

impl Case<'_> {
    /// What rules are asked.
    pub(crate) fn question<'q>(&'q self, target: &'q Target, moment: &'q Moment) -> Question<'q> {
        Question { caller: &self.caller, access: &self.ask.access, target: &target.judged, moment }
    }

    pub(crate) fn refs(&self) -> Refs {
        Refs {
            caller: Some(self.caller.id),
            access_hash: Some(self.ask.access.hash()),
            policy: Some(self.active.hash),
            ..Refs::default()
        }
    }

    /// What the caller says beside the access.
    pub(crate) fn claims(&self) -> Result<Claims, Slug> {
        Claims::of(self.ask.purpose.as_deref(), self.ask.ticket.as_deref())
    }
}

/// How a caller is told that there is nothing of that name.
#[must_use]
pub const fn unknown(kind: Kind) -> Slug {
    match kind {
        Kind::Tool => Slug::ToolUnknown,
        Kind::Prompt => Slug::PromptUnknown,
        Kind::Route => Slug::RouteUnknown,
        Kind::Operation => Slug::OperationUnknown,
        // No caller has an action on it.
        Kind::Installation => Slug::PolicyDenied,
        Kind::Resource => Slug::ResourceUnknown,
    }
}

/// Whether a grant is for this access, and its evidence meets what is asked for today (B3): the same
/// requirement is weighed again with today's eligibility; another one must be met by those votes, under the
/// stricter of both terms.
fn supports(granted: &Granted, judged: &Judged<'_>, eligible: &Eligible, now: Time) -> bool {
    let (Judged { requirement: today, .. }, Case { active, ask, caller, .. }) = (judged, judged.case);
    let Granted { grant, elevation } = granted;
    let proved = caller.key_bound || !elevation.key_bound;
    if !proved || !grant.fits(caller.id, caller.key, &ask.access) {
        return false;
    }
    let met_at = grant.met_at(&elevation.requirement.terms);
    let met = matches!(weigh(today, &standing(active, elevation), eligible, met_at), Weighed::Met(_));
    if elevation.requirement.hash() == today.hash() {
        return met;
    }
    let terms = elevation.requirement.terms.join(&today.terms);
    met && now < met_at.after(terms.valid_for)
        && grant.spent < terms.uses.get()
        && elevation.access.bind_hash(&terms.binds) == ask.access.bind_hash(&terms.binds)
}

/// One use of a grant, under the stricter of its own terms and today's.
fn spend_of(Granted { grant, elevation }: &Granted, today: &Requirement, claim: Claim) -> Change {
    let issued = &elevation.requirement.terms;
    let terms = issued.join(&today.terms);
    let not_after = grant.met_at(issued).after(terms.valid_for);
    Change::Spend { grant: grant.id, bind: grant.bind_hash, uses: terms.uses, not_after, claim }
}

/// What a request has gathered.
pub(crate) fn evidence(pending: &Pending) -> Evidence {
    Evidence {
        votes: pending.votes.clone(),
        purpose: pending.purpose.clone(),
        ticket: pending.ticket.clone(),
        key_bound: pending.key_bound,
    }
}

/// The same as far as it stands today.
pub(crate) fn standing(active: &Active, pending: &Pending) -> Evidence {
    let mut evidence = evidence(pending);
    evidence.votes.retain(|vote| stands(active, vote));
    evidence
}

/// Whether a vote still counts: what was signed with a passkey that was revoked since may be anybody's.
pub(crate) fn stands(active: &Active, vote: &Vote) -> bool {
    active.people.passkey(&vote.credential).is_some_and(|passkey| passkey.revoked_at.is_none())
}

/// An elevated attempt of this very access that runs, or whose outcome nobody knows (A18).
fn still_open(situation: &Situation) -> Option<Denial> {
    let last = situation.last.as_ref()?;
    let slug = match last.outcome {
        None => Slug::AlreadyRunning,
        Some(Outcome::Unknown) => Slug::OutcomeUnknown,
        Some(Outcome::Done | Outcome::Failed | Outcome::NotSent | Outcome::Released) => return None,
    };
    Some(Denial { attempt: Some(last.id), ..Denial::of(slug) })
}

/// A run whose answer did not reach its caller (A18).
pub(crate) fn lost(last: &Attempt) -> Option<(Time, String)> {
    let outcome = last.outcome.filter(|_| last.delivered == Some(false))?;
    Some((last.at, outcome.name().to_owned()))
}

/// Whether an access holds sealed secrets, so that only the repeated call can run it.
pub(crate) fn sealed(access: &Access) -> bool {
    terms::card::fields(access).iter().any(|field| field.secret)
}

/// Rules by their ids.
pub(crate) fn names(by: &[policy::RuleId]) -> Vec<String> {
    by.iter().map(ToString::to_string).collect()
}
