//! A person says no. Any human who could sign, or the owner; one rejection concludes; a reason is mandatory;
//! a session is enough, because it only takes power away (decisions §9).

use audit::body;
use audit::record::Refs;
use elevation::{Conclusion, State};
use store::{Change, Commit, Failed, LockSubject};
use terms::{ElevationId, HumanId};

use crate::authority::Authority;
use crate::vote::NotCounted;
use crate::withdraw::over;

/// The longest reason, in characters.
pub(crate) const REASON: usize = 500;

impl Authority {
    /// Rejects a request; with `lock`, also stops everything that its caller could do.
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
        let active = self.active();
        let Some(whole) = self.store.elevation(id).await? else { return Ok(Err(NotCounted::NotFound)) };
        if whole.state != State::Pending {
            return Ok(Err(over(whole.state)));
        }
        let pending = whole.request;
        if !self.may_reject(&active, &pending, human) {
            return Ok(Err(NotCounted::NotEligible));
        }
        let name = active.human(human).map(|h| h.name.clone()).unwrap_or_default();
        let refs = Refs {
            caller: Some(pending.caller),
            elevation: Some(id),
            access_hash: Some(pending.access.hash()),
            policy: Some(active.hash),
            ..Refs::default()
        };
        let record = body::Rejected { human, name: name.clone(), reason: reason.clone() };
        let conclude = Change::Conclude {
            id,
            to: Conclusion::Rejected,
            why: Some(reason.clone()),
            by: Some(name),
            expects: pending.version,
        };
        let mut commit = Commit { changes: vec![conclude], records: vec![self.record(refs, &record)] };
        if lock {
            self.add_lock(&mut commit, LockSubject::Caller(pending.caller), human.to_string(), reason, None);
        }
        let answer = self.commit(commit).await?;
        if lock {
            self.reload().await?;
        }
        self.watch.wake(id);
        Ok(answer.map(|_| ()).map_err(|_| over(State::Pending)))
    }

    /// Whoever could sign it, and anyone behind the caller.
    fn may_reject(
        &self,
        active: &crate::active::Active,
        pending: &elevation::Pending,
        human: HumanId,
    ) -> bool {
        let Some(root) = active.human(human).map(|h| h.root) else { return false };
        let Some(caller) = active.caller(pending.caller) else { return true };
        let behind = caller.roots.contains(&root);
        let groups = active.groups_of(root);
        behind || names_group(&pending.requirement, &groups)
    }
}

/// Whether a requirement asks for approvals from one of these groups.
pub(crate) fn names_group(
    requirement: &terms::Requirement,
    groups: &std::collections::BTreeSet<String>,
) -> bool {
    requirement.parts.values().any(|tree| names_a_group_of(tree, groups))
}

fn names_a_group_of(tree: &terms::Tree, groups: &std::collections::BTreeSet<String>) -> bool {
    match tree {
        terms::Tree::All(parts) | terms::Tree::Any(parts) => {
            parts.iter().any(|part| names_a_group_of(part, groups))
        }
        terms::Tree::Approvals { from, .. } => groups.contains(from),
        terms::Tree::Owner { .. }
        | terms::Tree::Purpose
        | terms::Tree::Ticket { .. }
        | terms::Tree::KeyBound => false,
    }
}

/// A reason that says something and fits.
pub(crate) fn stated(reason: &str) -> Option<String> {
    let reason = reason.trim();
    (!reason.is_empty() && reason.chars().count() <= REASON).then(|| reason.to_owned())
}
