//! A person says how an attempt of unknown outcome ended. Nothing is ever sent again.

use std::sync::Arc;

use audit::body;
use audit::record::Refs;
use elevation::Outcome;
use store::{Attempt, Change, Commit, Failed};
use terms::{AttemptId, Caller, HumanId, Json};

use crate::authority::Authority;
use crate::ceremony::{Begun, Ceremonial, SignedAssertion};
use crate::reject::stated;
use crate::target::Target;
use crate::vote::NotCounted;

impl Authority {
    /// Begins to resolve an attempt as `outcome`.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] when the attempt's outcome is not unknown.
    pub async fn begin_resolve(
        &self,
        id: AttemptId,
        outcome: Outcome,
        human: HumanId,
    ) -> Result<Result<Begun, NotCounted>, Failed> {
        let attempt = self.store.attempt(id).await?.filter(|a| a.outcome == Some(Outcome::Unknown));
        let Some(attempt) = attempt.filter(|_| !matches!(outcome, Outcome::Unknown | Outcome::Released))
        else {
            return Ok(Err(NotCounted::NotFound));
        };
        if self.active().human(human).is_none() {
            return Ok(Err(NotCounted::NotEligible));
        }
        if self.lifts_own(&attempt, outcome, human) {
            return Ok(Err(NotCounted::Behind));
        }
        self.keep_act(&Ceremonial::Resolve, Some(human), subject_of(&attempt, outcome)).await.map(Ok)
    }

    /// Resolves an attempt under a signature.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn resolve(
        &self,
        id: AttemptId,
        outcome: Outcome,
        human: HumanId,
        why: &str,
        signed: &SignedAssertion,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let Some(why) = stated(why) else { return Ok(Err(NotCounted::ReasonMissing)) };
        let witnessed = match self.witness(&Ceremonial::Resolve, Some(human), signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(attempt) = self.store.attempt(id).await? else { return Ok(Err(NotCounted::NotFound)) };
        if witnessed.ceremony.card != subject_of(&attempt, outcome) {
            return Ok(Err(NotCounted::CeremonyOver));
        }
        if self.lifts_own(&attempt, outcome, human) {
            return Ok(Err(NotCounted::Behind));
        }
        let refs = Refs { caller: Some(attempt.caller), attempt: Some(id), ..Refs::default() };
        let record = body::Resolved { outcome, why, signed: witnessed.signed() };
        let change = Change::Settle { attempt: id, outcome, delivered: None, resolves: true };
        // Nobody has read what it named: only that nothing came of it is known.
        let touched = Change::Touched { attempt: id, outcome, answer: None };
        let commit = Commit {
            changes: vec![witnessed.change(), change, touched],
            records: vec![self.record(refs, &record)],
        };
        let answer = self.commit(commit).await?;
        self.watch.changed();
        Ok(answer.map(|_| ()).map_err(NotCounted::NotRecorded))
    }
}

impl Authority {
    /// Whether somebody would say of what they touched themselves that nothing came of it, and so come to approve what others do
    /// with it (rfd 38).
    fn lifts_own(&self, attempt: &Attempt, outcome: Outcome, human: HumanId) -> bool {
        let active = self.active();
        let touches =
            |target: &Arc<Target>| target.id() == attempt.resource && !target.settings.touches.is_empty();
        let root = active.human(human).map(|human| human.root);
        let behind = |caller: &Arc<Caller>| root.is_some_and(|root| caller.roots.contains(&root));
        outcome != Outcome::Done
            && active.people.any_caller(attempt.caller).is_none_or(behind)
            && active.targets().any(touches)
    }
}

/// What the person who resolves signs.
fn subject_of(attempt: &Attempt, outcome: Outcome) -> Json {
    Json::object([
        ("attempt", Json::from(attempt.id)),
        ("resource", Json::from(attempt.resource.as_str())),
        ("at", Json::from(attempt.at)),
        ("outcome", Json::from(outcome.name())),
    ])
}
