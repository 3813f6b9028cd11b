//! A step-up without a grant: the request that waits already, or a new one.

use audit::body::{self, Who};
use audit::record::{Record, Refs};
use elevation::{Conclusion, Eligible, Outcome, Pending, State, Version, attainable};
use store::{Change, Commit, Failed, Refused, Situation};
use terms::{ElevationId, Slug, Time, Tree};

use crate::active::Active;
use crate::authority::Authority;
use crate::claims::Claims;
use crate::decide::{Case, Comes, Judged, Tried, lost, sealed, standing};
use crate::leaves::weighed;
use crate::ruling::{Challenge, Denial, Line, Ruling};
use crate::withdraw::End;

impl Authority {
    /// Whether the request waits already, is to be opened, or there is a reason to open none.
    pub(crate) async fn asks_people<'s>(
        &self,
        judged: &Judged<'_>,
        situation: &'s Situation,
        eligible: &Eligible,
    ) -> Result<Comes<'s>, Failed> {
        let case = judged.case;
        let claims = match case.claims() {
            Ok(claims) => claims,
            Err(slug) => return Ok(Comes::Denied(Denial::of(slug))),
        };
        let now = self.now();
        let waiting = situation.pending.as_ref().filter(|pending| pending.expires_at > now);
        if let Some(pending) = waiting.filter(|p| p.requirement.hash() == judged.requirement.hash()) {
            return Ok(Comes::Waits(claims, pending));
        }
        let denial = match self.ended(case.back).await? {
            Some(denial) => Some(denial),
            None if !attainable(&judged.requirement, eligible, case.caller.key_bound) => {
                Some(Denial::of(Slug::NobodyMayApprove))
            }
            None if waiting.is_none() && self.too_many(case, situation.pending_count).await? => {
                Some(Denial::of(Slug::OverBudget))
            }
            None => None,
        };
        Ok(denial.map_or(Comes::Opens(claims), Comes::Denied))
    }

    /// Opens a request.
    pub(crate) async fn open_request(
        &self,
        judged: &Judged<'_>,
        claims: Claims,
        situation: &Situation,
        eligible: &Eligible,
    ) -> Result<Tried, Failed> {
        let now = self.now();
        let pending = self.pending(judged, claims, now);
        let mut commit = Commit::default();
        if let Some(old) = &situation.pending {
            let end = if old.expires_at > now { End::Superseded(Some(pending.id)) } else { End::Expired };
            self.conclude(&mut commit, old, end);
        }
        let who = (eligible, &judged.touching);
        let card = self.card_of(judged.case.active, &pending, judged.target, who, situation).await?;
        let record = self.challenged(judged, &pending);
        let record_id = record.id;
        commit.changes.push(Change::Open { pending: Box::new(pending.clone()) });
        commit.changes.push(self.opened(&pending, &card));
        commit.records.push(record);
        match self.commit(commit).await? {
            Ok(_) => {
                if let Some(old) = &situation.pending {
                    self.watch.wake(old.id);
                }
                self.watch.changed();
                let mut challenge = challenge(judged.case.active, &pending, eligible, situation, now);
                challenge.opened = true;
                challenge.record = Some(record_id);
                Ok(Tried::Ruled(Ruling::Challenged(Box::new(challenge))))
            }
            Err(Refused::Full) => {
                Err(Failed { doing: "opening a request", because: "the disk is full".to_owned() })
            }
            Err(_) => Ok(Tried::Again(None)),
        }
    }

    /// Whether this caller, or a person behind it, has as much waiting as may be.
    async fn too_many(&self, case: &Case<'_>, of_this_caller: u32) -> Result<bool, Failed> {
        if of_this_caller >= self.settings.pending_per_caller {
            return Ok(true);
        }
        let of_others = self.store.waiting(case.active.people.siblings(&case.caller)).await?;
        Ok(of_this_caller.saturating_add(of_others) >= self.settings.pending_per_root)
    }

    /// How the elevation that a caller comes back to has ended, where that leaves nothing to ask for anew.
    /// One that was superseded, or whose approval ran nothing, may be asked for again.
    async fn ended(&self, back: Option<ElevationId>) -> Result<Option<Denial>, Failed> {
        let Some(id) = back else { return Ok(None) };
        let Some(whole) = self.store.elevation(id).await? else { return Ok(None) };
        let denial = match whole.state {
            State::Pending if whole.request.expires_at <= self.now() => Some(Denial::of(Slug::Expired)),
            State::Pending | State::Concluded(Conclusion::Superseded) => None,
            State::Concluded(Conclusion::Expired) => Some(Denial::of(Slug::Expired)),
            State::Concluded(Conclusion::Withdrawn) => Some(Denial::of(Slug::Withdrawn)),
            State::Concluded(Conclusion::Rejected) => {
                Some(Denial { why: whole.why.clone(), ..Denial::of(Slug::Rejected) })
            }
            State::Concluded(Conclusion::Approved) => whole.attempts.last().and_then(|last| {
                let slug = match last.outcome {
                    None => Slug::AlreadyRunning,
                    Some(Outcome::Done | Outcome::Failed | Outcome::Released) => Slug::AlreadyRan,
                    Some(Outcome::Unknown) => Slug::OutcomeUnknown,
                    Some(Outcome::NotSent) => return None,
                };
                Some(Denial { attempt: Some(last.id), ..Denial::of(slug) })
            }),
        };
        Ok(denial)
    }

    /// The same request waits already: the same elevation is returned, with what the caller adds to it.
    pub(crate) async fn join(
        &self,
        claims: Claims,
        pending: Pending,
        eligible: &Eligible,
        situation: &Situation,
    ) -> Result<Tried, Failed> {
        let Some(pending) = self.add(claims, pending).await? else { return Ok(Tried::Again(None)) };
        let challenge = challenge(&self.active(), &pending, eligible, situation, self.now());
        Ok(Tried::Ruled(Ruling::Challenged(Box::new(challenge))))
    }

    fn pending(&self, judged: &Judged<'_>, claims: Claims, now: Time) -> Pending {
        let Case { active, ask, caller, .. } = judged.case;
        Pending {
            id: ElevationId::fresh(self.ambient.as_ref()),
            caller: caller.id,
            key: caller.key,
            key_bound: caller.key_bound,
            source: ask.source.clone(),
            access: ask.access.clone(),
            expires_at: Pending::expiry(now, &judged.requirement),
            requirement: judged.requirement.clone(),
            policy: active.hash,
            purpose: claims.purpose,
            ticket: claims.ticket,
            opened_at: now,
            version: Version::FIRST,
            votes: Vec::new(),
        }
    }

    fn challenged(&self, judged: &Judged<'_>, pending: &Pending) -> Record {
        let case = judged.case;
        let body = body::Challenged {
            caller: Who::of(&case.caller, &case.ask.source),
            access: case.ask.access.to_json(),
            access_hash: case.ask.access.hash(),
            by: judged.by.clone(),
            requirement: pending.requirement.clone(),
            requirement_hash: pending.requirement.hash(),
            expires_at: pending.expires_at,
            purpose: pending.purpose.clone(),
            ticket: pending.ticket.clone(),
            why: None,
        };
        self.record(Refs { elevation: Some(pending.id), ..case.refs() }, &body)
    }
}

/// What the caller is told.
pub(crate) fn challenge(
    active: &Active,
    pending: &Pending,
    eligible: &Eligible,
    situation: &Situation,
    now: Time,
) -> Challenge {
    let leaves = weighed(&pending.requirement, &standing(active, pending), eligible, now);
    Challenge {
        elevation: pending.id,
        access: pending.access.hash(),
        slug: why(situation, now),
        words: terms::words::words(pending.id, pending.access.hash()),
        label: pending.requirement.label(),
        lines: leaves.iter().map(Line::of).collect(),
        wants_purpose: leaves.iter().any(|l| matches!(l.leaf, Tree::Purpose) && !l.met()),
        wants_ticket: leaves.iter().any(|l| matches!(l.leaf, Tree::Ticket { .. }) && !l.met()),
        expires_at: pending.expires_at,
        opened: false,
        runnable: !sealed(&pending.access),
        ran: situation.last.as_ref().and_then(lost),
        record: None,
    }
}

/// Why it is asked for, although there was a grant.
fn why(situation: &Situation, now: Time) -> Slug {
    match situation.over.as_ref().map(|grant| grant.state(now)) {
        Some(elevation::GrantState::Spent) => Slug::GrantSpent,
        Some(elevation::GrantState::Lapsed) => Slug::GrantExpired,
        Some(elevation::GrantState::Live | elevation::GrantState::Revoked) | None => Slug::ApprovalRequired,
    }
}
