//! A person says no. Any human who could sign, or the owner; one rejection concludes; a reason is mandatory;
//! a session is enough, because it only takes power away (decisions §9).

use std::collections::BTreeSet;

use elevation::Pending;
use store::{Commit, Failed, LockSubject, Refused, Whole};
use terms::{ElevationId, HumanId, Requirement};

use crate::active::Active;
use crate::authority::Authority;
use crate::decide::TRIES;
use crate::leaves;
use crate::vote::NotCounted;
use crate::withdraw::{End, over_now};

/// The longest reason, in characters.
pub(crate) const REASON: usize = 500;

impl Authority {
    /// Rejects a request; with `lock`, also stops everything that its caller could do, even where the request
    /// is over already: whoever presses that button has seen something that must stop.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn reject(
        &self,
        id: ElevationId,
        human: HumanId,
        reason: &str,
        lock: bool,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let Some(reason) = stated(reason) else { return Ok(Err(NotCounted::ReasonMissing)) };
        for _ in 0..TRIES {
            let active = self.active();
            let Some(whole) = self.store.elevation(id).await? else { return Ok(Err(NotCounted::NotFound)) };
            let Whole { request: pending, state, .. } = whole;
            if !may_reject(&active, &pending, human) {
                return Ok(Err(NotCounted::NotEligible));
            }
            let over = match over_now(state, &pending, self.now()) {
                Some(over) if !lock => return Ok(Err(over)),
                over => over,
            };
            let mut commit = Commit::default();
            if over.is_none() {
                let name = active.human(human).map(|h| h.name.clone()).unwrap_or_default();
                self.conclude(&mut commit, &pending, End::Rejected { human, name, reason: reason.clone() });
            }
            if lock {
                let subject = LockSubject::Caller(pending.caller);
                self.add_lock(&mut commit, subject, human.to_string(), reason.clone(), None);
            }
            match self.commit(commit).await? {
                Ok(_) => {
                    if lock {
                        self.reload().await?;
                        self.quiet().await;
                    }
                    self.watch.wake(id);
                    return Ok(over.map_or(Ok(()), Err));
                }
                Err(Refused::Conflict) => {} // a vote or a word of the caller came between
                Err(refused) => return Ok(Err(NotCounted::NotRecorded(refused))),
            }
        }
        Ok(Err(NotCounted::Busy))
    }
}

/// Whoever could sign it, and anyone behind the caller.
pub(crate) fn may_reject(active: &Active, pending: &Pending, human: HumanId) -> bool {
    let Some(root) = active.human(human).map(|h| h.root) else { return false };
    let behind =
        active.people.who_made(pending.caller, &pending.access).is_some_and(|c| c.roots.contains(&root));
    behind || names_group(&pending.requirement, &active.groups_of(root))
}

/// Whether a requirement asks for approvals from one of these groups.
pub(crate) fn names_group(requirement: &Requirement, groups: &BTreeSet<String>) -> bool {
    leaves::groups(requirement).iter().any(|group| groups.contains(*group))
}

/// A reason that says something and fits; trimmed.
#[must_use]
pub fn stated(reason: &str) -> Option<String> {
    let reason = reason.trim();
    (!reason.is_empty() && reason.chars().count() <= REASON).then(|| reason.to_owned())
}
