//! The one decision: policy first and without I/O; at baseline one commit; where evidence is asked for, one
//! read, one weighing, one commit (decisions §9). Conflicts start from the beginning, three times at most.

use std::sync::Arc;

use audit::body::{self, Arguments, Who, logged};
use audit::record::{Record, Refs};
use elevation::{Conclusion, Eligible, Evidence, Pending, Version, Weighed, attainable, weigh};
use policy::{Judgement, Moment, Question};
use store::{
    Attempt, Change, Claim, Claimed, Commit, Failed, Granted, LockSubjects, PinState, Refused, Situation,
    Standing,
};
use terms::{Access, AttemptId, Caller, ElevationId, Requirement, Secrets, Slug, Time, Tree};

use crate::active::{Active, Tool};
use crate::authority::Authority;
use crate::denials::Noted;
use crate::permit::Permit;
use crate::ruling::{Challenge, Denial, Line, Ruling};

/// One access, asked for by an authenticated caller.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who.
    pub caller: Caller,
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
}

/// How often a decision that collides with others starts again.
const TRIES: usize = 3;

/// One try: a ruling, or the need to start again.
enum Tried {
    Ruled(Ruling),
    Again,
}

/// What the rules in force say, with what they said it of.
struct Judged<'a> {
    active: &'a Active,
    tool: &'a Tool,
    requirement: Requirement,
    by: Vec<String>,
}

impl Authority {
    /// Decides on one access, now.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot say or record anything; whoever asked denies.
    pub async fn decide(&self, ask: &Ask) -> Result<Ruling, Failed> {
        self.sources.note(ask.caller.key, &ask.source, self.now());
        for _ in 0..TRIES {
            let active = self.active();
            if let Tried::Ruled(ruling) = self.attempt(&active, ask).await? {
                return Ok(ruling);
            }
        }
        let active = self.active();
        self.deny(&active, ask, Denial::of(Slug::Busy), &[]).await
    }

    async fn attempt(&self, active: &Active, ask: &Ask) -> Result<Tried, Failed> {
        let tool = match self.standing_tool(active, &ask.access) {
            Ok(tool) => tool,
            Err(slug) => return self.denied(active, ask, Denial::of(slug), &[]).await,
        };
        let Some(set) = active.set.as_ref() else {
            return self.denied(active, ask, Denial::of(Slug::PolicyFailed), &[]).await;
        };
        let usage = self.store.usage(ask.caller.id, ask.access.resource().id.clone()).await?;
        let moment = self.moment(usage, &ask.source);
        let question =
            Question { caller: &ask.caller, access: &ask.access, tool: &tool.judged, moment: &moment };
        match policy::judge(set, &question) {
            Judgement::Permit { by } => self.permit(active, ask, None, &names(&by)).await,
            Judgement::Deny { by, why } => {
                self.denied(active, ask, Denial::of(why.slug()), &names(&by)).await
            }
            Judgement::StepUp { requirement, by } => {
                let judged = Judged { active, tool: &tool, requirement, by: names(&by) };
                self.step_up(ask, &judged, usage.0).await
            }
        }
    }

    /// The tool that an access names, as it stands now: the definition and upstream that were judged must be
    /// those that are in force (T18, T19).
    pub(crate) fn standing_tool(&self, active: &Active, access: &Access) -> Result<Arc<Tool>, Slug> {
        let resource = access.resource();
        let (upstream, name) = resource.id.split_once('/').ok_or(Slug::ToolUnknown)?;
        let tool = active.tool(upstream, name).ok_or(Slug::ToolUnknown)?;
        let same = tool.pin.digest == resource.definition
            && self.upstream(upstream).is_some_and(|u| u.identity == resource.upstream);
        match tool.pin.state {
            PinState::Accepted if same => Ok(tool),
            PinState::Accepted | PinState::Quarantined | PinState::Refused => Err(Slug::ToolQuarantined),
            PinState::Gone => Err(Slug::ToolUnknown),
        }
    }

    pub(crate) fn moment(&self, (used_before, calls_1h): (bool, u32), source: &str) -> Moment {
        Moment { at: self.now(), source: source.parse().ok(), first_time: !used_before, calls_1h }
    }

    /// Everyone who may approve or confirm an access today, as policy sees it (R9).
    pub(crate) fn eligible(
        &self,
        active: &Active,
        caller: &Caller,
        access: &Access,
        tool: &Tool,
        votes: usize,
    ) -> Eligible {
        let Some(set) = active.set.as_ref() else { return Eligible::default() };
        let moment = self.moment((true, 0), "");
        let question = Question { caller, access, tool: &tool.judged, moment: &moment };
        let votes = u32::try_from(votes).unwrap_or(u32::MAX);
        active.eligible(caller, |human, groups| {
            let human = policy::Human { id: human.id, name: human.name.clone(), groups: groups.clone() };
            set.may_approve(&human, &question, votes).yes()
        })
    }

    /// A step-up is asked for: is there a grant, or something to wait for, or does it begin?
    async fn step_up(&self, ask: &Ask, judged: &Judged<'_>, used_before: bool) -> Result<Tried, Failed> {
        let now = self.now();
        let situation = self
            .store
            .standing(Standing {
                caller: ask.caller.id,
                access: ask.access.hash(),
                action: ask.access.action().to_owned(),
                resource: ask.access.resource().id.clone(),
                rejected_since: now.before(self.settings.cool_down),
                ran_since: now.before(self.settings.answer_for),
            })
            .await?;
        let votes = situation.pending.as_ref().map_or(0, |pending| pending.votes.len());
        let eligible = self.eligible(judged.active, &ask.caller, &ask.access, judged.tool, votes);
        let fitting = situation.grants.iter().find(|granted| {
            granted.grant.fits(ask.caller.id, ask.caller.key, &ask.access)
                && supports(granted, &judged.requirement, &eligible, &ask.access, now)
        });
        if let Some(granted) = fitting {
            return self.permit(judged.active, ask, Some((granted, &judged.requirement)), &judged.by).await;
        }
        if let Some(denial) = refusal(&situation) {
            return self.denied(judged.active, ask, denial, &judged.by).await;
        }
        self.challenge(ask, judged, situation, &eligible, used_before).await
    }

    /// Claims an attempt, spending a grant where there is one, and makes the permit of it.
    async fn permit(
        &self,
        active: &Active,
        ask: &Ask,
        spend: Option<(&Granted, &Requirement)>,
        by: &[String],
    ) -> Result<Tried, Failed> {
        let attempt = AttemptId::ordered(self.ambient.as_ref());
        let claim = Claim {
            attempt,
            access: ask.access.hash(),
            resource: ask.access.resource().id.clone(),
            subjects: LockSubjects {
                caller: ask.caller.id,
                roots: ask.caller.roots.iter().copied().collect(),
                upstream: upstream_of(&ask.access).to_owned(),
            },
            epoch: active.epoch,
            boot: self.boot,
        };
        let (change, record) = match spend {
            Some((granted, today)) => (
                Change::Spend { grant: granted.grant.id, bind: granted.grant.bind_hash, claim },
                self.spent(active, ask, attempt, (granted, today), by),
            ),
            None => (Change::Attempt(claim), self.permitted_record(active, ask, attempt, by)),
        };
        let until = self.ambient.boottime().after(self.settings.permit_for);
        match self.commit(Commit { changes: vec![change], records: vec![record] }).await? {
            Ok(receipt) => Ok(self.permitted(ask, receipt.claimed, until)),
            Err(Refused::Locked(_)) => self.denied(active, ask, Denial::of(Slug::CallerLocked), &[]).await,
            Err(Refused::Full) => {
                Err(Failed { doing: "recording a permit", because: "the disk is full".to_owned() })
            }
            Err(
                Refused::Stale(_)
                | Refused::Conflict
                | Refused::Spent
                | Refused::Revoked
                | Refused::Lapsed
                | Refused::Missing
                | Refused::NameTaken
                | Refused::Exists(_),
            ) => Ok(Tried::Again),
        }
    }

    fn permitted(&self, ask: &Ask, claimed: Option<Claimed>, until: terms::Boottime) -> Tried {
        let permit = claimed.and_then(|claimed| {
            Permit::of(claimed, ask.access.clone(), ask.secrets.clone(), until, Arc::clone(&self.settler))
        });
        permit.map_or(Tried::Again, |permit| Tried::Ruled(Ruling::Permitted(permit)))
    }

    /// Finds the request that waits already, or opens one.
    async fn challenge(
        &self,
        ask: &Ask,
        judged: &Judged<'_>,
        situation: Situation,
        eligible: &Eligible,
        used_before: bool,
    ) -> Result<Tried, Failed> {
        let now = self.now();
        let waiting = situation.pending.as_ref().filter(|pending| pending.expires_at > now);
        if let Some(pending) = waiting.filter(|p| p.requirement.hash() == judged.requirement.hash()) {
            return self.join(ask, pending.clone(), eligible, &situation).await;
        }
        if !attainable(&judged.requirement, eligible, ask.caller.key_bound) {
            return self.denied(judged.active, ask, Denial::of(Slug::NobodyMayApprove), &judged.by).await;
        }
        if situation.pending_count >= self.settings.pending_per_caller && waiting.is_none() {
            return self.denied(judged.active, ask, Denial::of(Slug::OverBudget), &judged.by).await;
        }
        let pending = self.pending(ask, judged, now);
        let mut commit = Commit::default();
        if let Some(old) = &situation.pending {
            let to = if old.expires_at > now { Conclusion::Superseded } else { Conclusion::Expired };
            self.conclude(&mut commit, old, to, None, None);
        }
        let card = self.card_of(judged.active, &pending, judged.tool, eligible, &situation, used_before);
        let record = self.challenged(ask, judged, &pending);
        let record_id = record.id;
        commit.changes.push(Change::Open { pending: Box::new(pending.clone()) });
        commit.changes.push(self.notice(&pending, &card));
        commit.records.push(record);
        match self.commit(commit).await? {
            Ok(_) => {
                self.watch.changed();
                let mut challenge = challenge(&pending, eligible, &situation, now);
                challenge.opened = true;
                challenge.record = Some(record_id);
                Ok(Tried::Ruled(Ruling::Challenged(Box::new(challenge))))
            }
            Err(_) => Ok(Tried::Again),
        }
    }

    /// The same request waits already: the same elevation is returned, with what the caller adds to it.
    async fn join(
        &self,
        ask: &Ask,
        mut pending: Pending,
        eligible: &Eligible,
        situation: &Situation,
    ) -> Result<Tried, Failed> {
        let purpose = ask.purpose.clone().filter(|_| pending.purpose.is_none());
        let ticket = ask.ticket.clone().filter(|_| pending.ticket.is_none());
        if purpose.is_some() || ticket.is_some() {
            match self.add_claims(pending, purpose, ticket).await? {
                Some(with) => pending = with,
                None => return Ok(Tried::Again),
            }
        }
        let challenge = challenge(&pending, eligible, situation, self.now());
        Ok(Tried::Ruled(Ruling::Challenged(Box::new(challenge))))
    }

    fn pending(&self, ask: &Ask, judged: &Judged<'_>, now: Time) -> Pending {
        Pending {
            id: ElevationId::fresh(self.ambient.as_ref()),
            caller: ask.caller.id,
            key: ask.caller.key,
            key_bound: ask.caller.key_bound,
            source: ask.source.clone(),
            access: ask.access.clone(),
            expires_at: Pending::expiry(now, &judged.requirement),
            requirement: judged.requirement.clone(),
            policy: judged.active.hash,
            purpose: ask.purpose.clone(),
            ticket: ask.ticket.clone(),
            opened_at: now,
            version: Version::FIRST,
            votes: Vec::new(),
        }
    }

    /// A denial is recorded within the caller's budget; a store that cannot record denies all the same.
    async fn denied(
        &self,
        active: &Active,
        ask: &Ask,
        denial: Denial,
        by: &[String],
    ) -> Result<Tried, Failed> {
        self.deny(active, ask, denial, by).await.map(Tried::Ruled)
    }

    async fn deny(
        &self,
        active: &Active,
        ask: &Ask,
        denial: Denial,
        by: &[String],
    ) -> Result<Ruling, Failed> {
        let Noted::Record { besides } = self.denials.note(ask.caller.id, self.now()) else {
            return Ok(Ruling::Denied(denial));
        };
        let refs = Refs { attempt: denial.attempt, ..self.refs(active, ask) };
        let record = self.record(
            refs,
            &body::Denied {
                caller: Who::of(&ask.caller, &ask.source),
                access: Some(logged(&ask.access, Arguments::Full)),
                access_hash: Some(ask.access.hash()),
                by: by.to_vec(),
                slug: denial.slug.to_string(),
                why: denial.why.clone(),
                count: besides.saturating_add(1),
            },
        );
        let id = record.id;
        let commit = Commit { changes: Vec::new(), records: vec![record] };
        let recorded = self.commit(commit).await?.is_ok();
        Ok(Ruling::Denied(Denial { record: recorded.then_some(id), ..denial }))
    }

    fn permitted_record(&self, active: &Active, ask: &Ask, attempt: AttemptId, by: &[String]) -> Record {
        let body = body::Permitted {
            caller: Who::of(&ask.caller, &ask.source),
            access: logged(&ask.access, Arguments::Full),
            access_hash: ask.access.hash(),
            by: by.to_vec(),
        };
        self.record(Refs { attempt: Some(attempt), ..self.refs(active, ask) }, &body)
    }

    fn spent(
        &self,
        active: &Active,
        ask: &Ask,
        attempt: AttemptId,
        (granted, today): (&Granted, &Requirement),
        by: &[String],
    ) -> Record {
        let refs = Refs {
            attempt: Some(attempt),
            grant: Some(granted.grant.id),
            elevation: Some(granted.elevation.id),
            ..self.refs(active, ask)
        };
        let body = body::Spent {
            caller: Who::of(&ask.caller, &ask.source),
            access: logged(&ask.access, Arguments::Full),
            access_hash: ask.access.hash(),
            by: by.to_vec(),
            bind_hash: granted.grant.bind_hash,
            requirement_hash: today.hash(),
        };
        self.record(refs, &body)
    }

    fn challenged(&self, ask: &Ask, judged: &Judged<'_>, pending: &Pending) -> Record {
        let body = body::Challenged {
            caller: Who::of(&ask.caller, &ask.source),
            access: ask.access.to_json(),
            access_hash: ask.access.hash(),
            by: judged.by.clone(),
            requirement: pending.requirement.clone(),
            requirement_hash: pending.requirement.hash(),
            expires_at: pending.expires_at,
            purpose: pending.purpose.clone(),
            ticket: pending.ticket.clone(),
            why: None,
        };
        self.record(Refs { elevation: Some(pending.id), ..self.refs(judged.active, ask) }, &body)
    }

    fn refs(&self, active: &Active, ask: &Ask) -> Refs {
        Refs {
            caller: Some(ask.caller.id),
            access_hash: Some(ask.access.hash()),
            policy: Some(active.hash),
            ..Refs::default()
        }
    }
}

/// Whether a grant's evidence meets what is asked for today (B3): the same requirement is weighed again with
/// today's eligibility; another one must be met by those votes, under the stricter of both terms.
fn supports(granted: &Granted, today: &Requirement, eligible: &Eligible, access: &Access, now: Time) -> bool {
    let then = &granted.elevation.requirement;
    let met = matches!(weigh(today, &evidence(&granted.elevation), eligible, granted.at), Weighed::Met(_));
    if then.hash() == today.hash() {
        return met;
    }
    let terms = then.terms.join(&today.terms);
    met && now < granted.at.after(terms.valid_for)
        && granted.grant.spent < terms.uses.get()
        && granted.elevation.access.bind_hash(&terms.binds) == access.bind_hash(&terms.binds)
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

/// Rows of the decision table that end without a request (A18, A19): running, unknown, rejected lately.
fn refusal(situation: &Situation) -> Option<Denial> {
    let open = situation.last.as_ref().and_then(|last| {
        let slug = match last.outcome {
            None => Slug::AlreadyRunning,
            Some(elevation::Outcome::Unknown) => Slug::OutcomeUnknown,
            Some(elevation::Outcome::Done | elevation::Outcome::Failed | elevation::Outcome::NotSent) => {
                return None;
            }
        };
        Some(Denial { attempt: Some(last.id), ..Denial::of(slug) })
    });
    let rejected = situation.rejected.as_ref();
    open.or_else(|| rejected.map(|r| Denial { why: Some(r.why.clone()), ..Denial::of(Slug::Rejected) }))
}

/// What the caller is told.
pub(crate) fn challenge(
    pending: &Pending,
    eligible: &Eligible,
    situation: &Situation,
    now: Time,
) -> Challenge {
    let weighed = weigh(&pending.requirement, &evidence(pending), eligible, now);
    let (Weighed::Met(parts) | Weighed::Missing(parts)) = weighed;
    let leaves: Vec<_> = parts.into_iter().flat_map(|(_, leaves)| leaves).collect();
    let lines = leaves.iter().map(|l| Line { says: l.told(), have: l.count.0, need: l.count.1 }).collect();
    let slug = match situation.over.as_ref().map(|grant| grant.state(now)) {
        Some(elevation::GrantState::Spent) => Slug::GrantSpent,
        Some(elevation::GrantState::Lapsed) => Slug::GrantExpired,
        Some(elevation::GrantState::Live | elevation::GrantState::Revoked) | None => Slug::ApprovalRequired,
    };
    Challenge {
        elevation: pending.id,
        access: pending.access.hash(),
        slug,
        words: terms::words::words(pending.id, pending.access.hash()),
        label: pending.requirement.label(),
        lines,
        wants_purpose: leaves.iter().any(|l| matches!(l.leaf, Tree::Purpose) && !l.met()),
        wants_ticket: leaves.iter().any(|l| matches!(l.leaf, Tree::Ticket { .. }) && !l.met()),
        expires_at: pending.expires_at,
        opened: false,
        runnable: !sealed(&pending.access),
        ran: situation.last.as_ref().and_then(lost),
        record: None,
    }
}

/// A run whose answer did not reach its caller (A18).
pub(crate) fn lost(last: &Attempt) -> Option<(Time, String)> {
    let outcome = last.outcome.filter(|_| last.delivered == Some(false))?;
    Some((last.at, outcome.name().to_owned()))
}

/// Whether an access holds sealed secrets, so that only the repeated call can run it.
pub(crate) fn sealed(access: &Access) -> bool {
    terms::card::fields(access, std::string::ToString::to_string).iter().any(|field| field.secret)
}

pub(crate) fn upstream_of(access: &Access) -> &str {
    access.resource().id.split_once('/').map_or("", |(upstream, _)| upstream)
}

fn names(by: &[policy::RuleId]) -> Vec<String> {
    by.iter().map(ToString::to_string).collect()
}
