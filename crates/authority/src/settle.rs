//! How attempts end. An outcome is queued and rides in the next group commit; that of an elevated attempt is
//! recorded before its caller is answered, so that a repeat is told the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use audit::body;
use audit::record::{Record, Refs};
use elevation::Outcome;
use store::{Change, Commit, Failed, Refused, Shared};
use terms::{Access, Ambient, AttemptId, Boottime, Slug};
use tokio::sync::{Notify, mpsc};

use crate::active::Active;
use crate::authority::{Authority, seal};
use crate::permit::Settlement;

/// Outcomes taken into one commit at most.
const BATCH: usize = 128;

/// The queue of outcomes. Its length is bounded by the permits that are out, one entry each.
pub(crate) struct Settler {
    store: Shared,
    ambient: Arc<dyn Ambient>,
    node: String,
    active: Arc<ArcSwap<Active>>,
    queue: mpsc::UnboundedSender<Ended>,
    open: AtomicUsize,
    idle: Notify,
}

struct Ended {
    attempt: AttemptId,
    outcome: Outcome,
    delivered: Option<bool>,
}

impl Settler {
    pub(crate) fn start(
        store: Shared,
        ambient: Arc<dyn Ambient>,
        node: String,
        active: Arc<ArcSwap<Active>>,
    ) -> Arc<Self> {
        let (queue, mut ended) = mpsc::unbounded_channel();
        let open = AtomicUsize::new(0);
        let settler = Arc::new(Self { store, ambient, node, active, queue, open, idle: Notify::new() });
        let weak = Arc::downgrade(&settler);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while ended.recv_many(&mut batch, BATCH).await > 0 {
                let Some(settler) = weak.upgrade() else { break };
                settler.write(std::mem::take(&mut batch)).await;
            }
        });
        settler
    }

    /// Queues how an attempt ended.
    pub(crate) fn settle(&self, attempt: AttemptId, outcome: Outcome, delivered: Option<bool>) {
        self.open.fetch_add(1, Ordering::AcqRel);
        if self.queue.send(Ended { attempt, outcome, delivered }).is_err() {
            self.open.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(%attempt, outcome = outcome.name(), "no one is left to record this outcome");
        }
    }

    /// Writes a batch as one commit; where that is refused, one by one, so that one odd entry costs itself only.
    async fn write(&self, batch: Vec<Ended>) {
        let count = batch.len();
        let commit = batch.iter().fold(Commit::default(), |mut commit, ended| {
            commit.changes.push(change(ended));
            commit.records.push(self.record(ended));
            commit
        });
        match self.store.commit(commit).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => {
                for ended in &batch {
                    self.write_one(ended).await;
                }
            }
            Err(failed) => {
                tracing::error!(%failed, count, "outcomes are not recorded; they count as unknown")
            }
        }
        if self.open.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_waiters();
        }
    }

    async fn write_one(&self, ended: &Ended) {
        let commit = Commit { changes: vec![change(ended)], records: vec![self.record(ended)] };
        match self.store.commit(commit).await {
            Ok(Ok(_)) => {}
            Ok(Err(refused)) => tracing::warn!(attempt = %ended.attempt, %refused, "an outcome was refused"),
            Err(failed) => tracing::error!(attempt = %ended.attempt, %failed, "an outcome is not recorded"),
        }
    }

    fn record(&self, ended: &Ended) -> Record {
        let refs = Refs { attempt: Some(ended.attempt), ..Refs::default() };
        seal(self.ambient.as_ref(), &self.node, refs, &settled(ended.outcome, ended.delivered))
    }

    /// Whether an access may still run: in time, and not locked since it was permitted.
    pub(crate) fn still(&self, access: &Access, until: Boottime) -> Result<(), Slug> {
        if self.ambient.boottime() > until {
            return Err(Slug::Busy);
        }
        let active = self.active.load();
        let Some(caller) = active.caller_named(&access.subject().id).and_then(|row| active.caller(row.id))
        else {
            return Err(Slug::CallerLocked);
        };
        let upstream = access.resource().id.split('/').next().unwrap_or_default();
        let lock = active.lock(caller.id, &caller.roots, upstream, self.ambient.now());
        lock.map_or(Ok(()), |_| Err(Slug::CallerLocked))
    }

    /// Returns when everything queued is written.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

fn change(ended: &Ended) -> Change {
    Change::Settle {
        attempt: ended.attempt,
        outcome: ended.outcome,
        delivered: ended.delivered,
        resolves: false,
    }
}

/// What the record of an outcome says.
fn settled(outcome: Outcome, delivered: Option<bool>) -> body::Settled {
    body::Settled { outcome: recorded(outcome), delivered, took: None, why: None }
}

/// An outcome as records name it.
pub(crate) const fn recorded(outcome: Outcome) -> body::Outcome {
    match outcome {
        Outcome::Done => body::Outcome::Done,
        Outcome::Failed => body::Outcome::Failed,
        Outcome::NotSent => body::Outcome::NotSent,
        Outcome::Unknown => body::Outcome::Unknown,
    }
}

impl Authority {
    /// Records how an attempt ended: at once for an elevated one, in the next group otherwise.
    ///
    /// # Errors
    /// [`Failed`] when an elevated attempt's outcome could not be recorded; it counts as unknown.
    pub async fn settle(
        &self,
        settlement: Settlement,
        outcome: Outcome,
        delivered: Option<bool>,
    ) -> Result<(), Failed> {
        let (attempt, elevated) = settlement.conclude();
        if !elevated {
            self.settler.settle(attempt, outcome, delivered);
            return Ok(());
        }
        let change = Change::Settle { attempt, outcome, delivered, resolves: false };
        let refs = Refs { attempt: Some(attempt), ..Refs::default() };
        let record = self.record(refs, &settled(outcome, delivered));
        let answer = self.commit(Commit { changes: vec![change], records: vec![record] }).await?;
        self.watch.changed();
        if let Err(refused) = answer
            && refused != Refused::Conflict
        {
            tracing::warn!(%attempt, %refused, "an outcome was refused");
        }
        Ok(())
    }

    /// At start: attempts that an earlier run claimed and did not settle are unknown (decisions B6).
    pub(crate) async fn begin(&self) -> Result<(), Failed> {
        let left = self.store.unsettled(self.boot).await?;
        let mut commit = Commit::default();
        let rp = &self.settings.relying_party;
        let started = body::Started {
            install: self.active().install,
            boot: self.boot,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rp: body::RelyingParty { id: rp.rp_id.clone(), origins: rp.origins.clone() },
        };
        commit.records.push(self.record(Refs::default(), &started));
        for attempt in left {
            commit.changes.push(Change::Settle {
                attempt: attempt.id,
                outcome: Outcome::Unknown,
                delivered: None,
                resolves: false,
            });
            let refs = Refs { attempt: Some(attempt.id), ..Refs::default() };
            commit.records.push(self.record(refs, &settled(Outcome::Unknown, None)));
        }
        match self.store.commit(commit).await? {
            Ok(_) => Ok(()),
            Err(refused) => {
                Err(Failed { doing: "settling what an earlier run left", because: refused.to_string() })
            }
        }
    }
}
