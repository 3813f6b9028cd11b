//! Ends of a request other than approval. All of them only take power away, so a session or the caller's own
//! key is enough (decisions §9 "Rejecting").

use audit::body;
use audit::record::Refs;
use elevation::{Conclusion, Pending, State};
use store::{Change, Commit, Failed, Listing, Refused};
use terms::{Caller, CallerId, CallerKind, ElevationId, HumanId, Slug, Time};

use crate::authority::Authority;
use crate::decide::TRIES;
use crate::proposal;
use crate::reject::stated;
use crate::vote::NotCounted;

/// How a request ends other than by approval.
pub(crate) enum End {
    /// Its time is over.
    Expired,
    /// What it takes has changed; the request that takes its place, where one is opened.
    Superseded(Option<ElevationId>),
    /// It is a change of rules that are not in force any more.
    Outdated,
    /// Its caller, a person behind it, or an operator took it back: the id of either, or the operator's account.
    Withdrawn { by: String, why: Option<String> },
    /// A person said no.
    Rejected { human: HumanId, name: String, reason: String },
}

impl Authority {
    /// The caller takes a request back.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`Slug::ElevationUnknown`] when it is not one of this caller's that waits.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        id: ElevationId,
        why: Option<String>,
    ) -> Result<Result<(), Slug>, Failed> {
        self.withdrawn(caller.id, id, caller.id.to_string(), why).await
    }

    /// An operator takes a request back, whoever's it is and whether or not its caller may still ask: that takes power
    /// away only. `by` is their account (decisions A33), which the record names.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`Slug::ElevationUnknown`] when no such request of this caller waits.
    pub async fn withdraw_as_operator(
        &self,
        caller: CallerId,
        id: ElevationId,
        by: &str,
        why: String,
    ) -> Result<Result<(), Slug>, Failed> {
        self.withdrawn(caller, id, by.to_owned(), Some(why)).await
    }

    /// A person behind the caller takes a request back for it.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn withdraw_for(
        &self,
        caller: CallerId,
        id: ElevationId,
        human: HumanId,
        why: &str,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let Some(why) = stated(why) else { return Ok(Err(NotCounted::ReasonMissing)) };
        let active = self.active();
        let root = active.human(human).map(|row| row.root);
        let caller = active.people.caller(caller);
        let behind = caller.filter(|caller| root.is_some_and(|root| caller.roots.contains(&root)));
        let Some(caller) = behind else { return Ok(Err(NotCounted::NotEligible)) };
        let withdrawn = self.withdrawn(caller.id, id, human.to_string(), Some(why)).await?;
        Ok(withdrawn.map_err(|_| NotCounted::Over("it does not wait any more")))
    }

    async fn withdrawn(
        &self,
        caller: CallerId,
        id: ElevationId,
        by: String,
        why: Option<String>,
    ) -> Result<Result<(), Slug>, Failed> {
        for _ in 0..TRIES {
            let whole = self.store.elevation(id).await?.filter(|w| w.request.caller == caller);
            let Some(pending) = whole.filter(|w| w.state == State::Pending).map(|w| w.request) else {
                return Ok(Err(Slug::ElevationUnknown));
            };
            let mut commit = Commit::default();
            self.conclude(&mut commit, &pending, End::Withdrawn { by: by.clone(), why: why.clone() });
            match self.commit(commit).await? {
                Ok(_) => {
                    self.watch.wake(id);
                    return Ok(Ok(()));
                }
                Err(Refused::Conflict) => {} // a vote or a word of the caller came between
                Err(_) => return Ok(Err(Slug::ElevationUnknown)),
            }
        }
        Ok(Err(Slug::Busy))
    }

    /// Adds an end and its record to a commit.
    pub(crate) fn conclude(&self, commit: &mut Commit, pending: &Pending, end: End) {
        let refs = Refs {
            caller: Some(pending.caller),
            elevation: Some(pending.id),
            access_hash: Some(pending.access.hash()),
            ..Refs::default()
        };
        let (record, to, why, by) = match end {
            End::Expired => {
                let record = self.record(refs, &body::Expired { expires_at: pending.expires_at });
                (record, Conclusion::Expired, None, None)
            }
            End::Superseded(by) => {
                let why = "requirement_changed".to_owned();
                (self.record(refs, &body::Superseded { by, why }), Conclusion::Superseded, None, None)
            }
            End::Outdated => {
                let record = body::Superseded { by: None, why: "rules_changed".to_owned() };
                (self.record(refs, &record), Conclusion::Superseded, None, None)
            }
            End::Withdrawn { by, why } => {
                let record = self.record(refs, &body::Withdrawn { by: by.clone(), why: why.clone() });
                (record, Conclusion::Withdrawn, why, Some(by))
            }
            End::Rejected { human, name, reason } => {
                let body = body::Rejected { human, name: name.clone(), reason: reason.clone() };
                (self.record(refs, &body), Conclusion::Rejected, Some(reason), Some(name))
            }
        };
        commit.records.push(record);
        let names: Vec<String> = by.iter().map(|by| self.active().name_of(by)).collect();
        let over = self.over(pending, to, &names, why.as_deref());
        commit.changes.push(Change::Conclude { id: pending.id, to, why, by, expects: pending.version });
        commit.changes.push(over);
    }

    /// What a request takes has changed: it is closed, and votes do not move.
    pub(crate) async fn supersede(&self, pending: &Pending) -> Result<(), Failed> {
        let mut commit = Commit::default();
        self.conclude(&mut commit, pending, End::Superseded(None));
        let _ = self.commit(commit).await?;
        self.watch.wake(pending.id);
        Ok(())
    }

    /// Closes every proposal of other rules than those in force: it leads nowhere any more, and nobody is to read it in vain.
    pub(crate) async fn close_proposals(&self) -> Result<(), Failed> {
        let active = self.active();
        for row in active.callers().filter(|row| row.kind == CallerKind::Operator) {
            // A vote may come between; of a proposal that is over none counts.
            for _ in 0..TRIES {
                let mut over = self.waiting_of(row.id).await?;
                over.retain(|pending| proposal::is_over(&active, &pending.access));
                if over.is_empty() {
                    break;
                }
                for pending in over {
                    let mut commit = Commit::default();
                    self.conclude(&mut commit, &pending, End::Outdated);
                    let _ = self.commit(commit).await?;
                    self.watch.wake(pending.id);
                }
            }
        }
        Ok(())
    }

    /// The requests of a caller that wait.
    async fn waiting_of(&self, caller: CallerId) -> Result<Vec<Pending>, Failed> {
        let waits =
            Listing { state: Some(State::Pending), caller: Some(caller), limit: MOST, ..Listing::default() };
        Ok(self.store.elevations(waits).await?.into_iter().map(|whole| whole.request).collect())
    }

    /// The same where the rules are in force already: what stays open is closed at the next start.
    pub(crate) async fn close_proposals_or_warn(&self) {
        if let Err(failed) = self.close_proposals().await {
            tracing::warn!(%failed, "proposals of the rules before still wait");
        }
    }
}

/// Requests of one caller that are looked at: more than may wait at once.
const MOST: u32 = 500;

/// Why nobody can act on a request any more; `None` while it waits.
pub(crate) fn over_now(state: State, pending: &Pending, now: Time) -> Option<NotCounted> {
    let how = match state {
        State::Pending if pending.expires_at <= now => "it has expired",
        State::Pending => return None,
        State::Concluded(Conclusion::Approved) => "it was approved",
        State::Concluded(Conclusion::Rejected) => "it was rejected",
        State::Concluded(Conclusion::Expired) => "it has expired",
        State::Concluded(Conclusion::Withdrawn) => "it was withdrawn",
        State::Concluded(Conclusion::Superseded) if proposal::is_change(&pending.access) => {
            "other rules came into force since it was made"
        }
        State::Concluded(Conclusion::Superseded) => "another one took its place",
    };
    Some(NotCounted::Over(how))
}
