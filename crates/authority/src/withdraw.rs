//! Ends of a request other than approval, and what a caller adds to it. All of them only take power away, so
//! a session or the caller's own key is enough (decisions §9 "Rejecting").

use audit::body;
use audit::record::Refs;
use elevation::{Conclusion, Pending, State};
use store::{Change, Commit, Failed};
use terms::{Caller, ElevationId, Slug};

use crate::authority::Authority;
use crate::vote::NotCounted;

impl Authority {
    /// The caller, or its owner, takes a request back.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`Slug::ElevationUnknown`] when it is not one of this caller's that waits.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        id: ElevationId,
        why: Option<String>,
    ) -> Result<Result<(), Slug>, Failed> {
        let whole = self.store.elevation(id).await?.filter(|w| w.request.caller == caller.id);
        let Some(pending) = whole.filter(|w| w.state == State::Pending).map(|w| w.request) else {
            return Ok(Err(Slug::ElevationUnknown));
        };
        let mut commit = Commit::default();
        self.conclude(&mut commit, &pending, Conclusion::Withdrawn, why, Some(caller.id.to_string()));
        let answer = self.commit(commit).await?;
        self.watch.wake(id);
        Ok(answer.map(|_| ()).map_err(|_| Slug::ElevationUnknown))
    }

    /// Adds a conclusion and its record to a commit.
    pub(crate) fn conclude(
        &self,
        commit: &mut Commit,
        pending: &Pending,
        to: Conclusion,
        why: Option<String>,
        by: Option<String>,
    ) {
        let refs = Refs {
            caller: Some(pending.caller),
            elevation: Some(pending.id),
            access_hash: Some(pending.access.hash()),
            ..Refs::default()
        };
        let record = match to {
            Conclusion::Expired => self.record(refs, &body::Expired { expires_at: pending.expires_at }),
            Conclusion::Superseded => {
                let why = "requirement_changed".to_owned();
                self.record(refs, &body::Superseded { by: None, why })
            }
            Conclusion::Withdrawn | Conclusion::Rejected | Conclusion::Approved => {
                let by = by.clone().unwrap_or_default();
                self.record(refs, &body::Withdrawn { by, why: why.clone() })
            }
        };
        commit.records.push(record);
        commit.changes.push(Change::Conclude { id: pending.id, to, why, by, expects: pending.version });
    }

    /// What a request takes has changed: it is closed, and votes do not move.
    pub(crate) async fn supersede(&self, pending: &Pending) -> Result<(), Failed> {
        let mut commit = Commit::default();
        self.conclude(&mut commit, pending, Conclusion::Superseded, None, None);
        let _ = self.commit(commit).await?;
        self.watch.wake(pending.id);
        Ok(())
    }

    /// Adds what the caller says to a request that waits. What was said stays said: people sign what they saw.
    /// `None` when something changed meanwhile.
    pub(crate) async fn add_claims(
        &self,
        pending: Pending,
        purpose: Option<String>,
        ticket: Option<String>,
    ) -> Result<Option<Pending>, Failed> {
        let mut with = pending.clone();
        with.purpose = purpose.clone().or(with.purpose);
        with.ticket = ticket.clone().or(with.ticket);
        with.version.0 += 1;
        let change = Change::Claims { id: pending.id, purpose, ticket, expects: pending.version };
        let applied = self.commit(Commit { changes: vec![change], records: Vec::new() }).await?.is_ok();
        self.watch.changed();
        Ok(applied.then_some(with))
    }
}

/// Why a conclusion by a person did not count.
pub(crate) const fn over(state: State) -> NotCounted {
    NotCounted::Over(match state {
        State::Pending => "somebody else was quicker",
        State::Concluded(Conclusion::Approved) => "it was approved",
        State::Concluded(Conclusion::Rejected) => "it was rejected",
        State::Concluded(Conclusion::Expired) => "it has expired",
        State::Concluded(Conclusion::Withdrawn) => "it was withdrawn",
        State::Concluded(Conclusion::Superseded) => "another one took its place",
    })
}
