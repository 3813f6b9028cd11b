//! How attempts end. Outcomes are queued and written together, a moment later; that of an elevated attempt is
//! recorded before its caller is answered, so that a repeat is told the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use audit::body::{self, Touches};
use audit::record::{Record, Refs};
use elevation::Outcome;
use store::{Attempt, Change, Commit, Failed, Receipt, Refused, Shared};
use terms::{Access, Ambient, AttemptId, Boottime, CallerId, Millis, Sealer, Slug};
use tokio::sync::{Notify, mpsc};

use crate::active::Active;
use crate::authority::{Authority, seal};
use crate::captured::Captured;
use crate::permit::{Settlement, Stale};
use crate::touching::Trail;

/// Outcomes taken into one commit at most.
const BATCH: usize = 128;

/// How long outcomes are collected. Written as they come, each would make the next call's claim wait for an fsync
/// of its own.
const COLLECT: Millis = Millis::new(10);

/// How often an outcome is tried to be recorded while the store fails, and the pause between.
const TRIES: usize = 3;
const PAUSE: Millis = Millis::new(200);

/// The queue of outcomes. Its length is bounded by the permits that are out, one entry each.
pub(crate) struct Settler {
    store: Shared,
    ambient: Arc<dyn Ambient>,
    node: String,
    active: Arc<ArcSwap<Active>>,
    queue: mpsc::UnboundedSender<Ended>,
    open: AtomicUsize,
    idle: Notify,
    /// What credentials are kept under that answers held.
    pub(crate) sealer: Sealer,
}

/// How one attempt ended.
pub(crate) struct Ended {
    pub(crate) attempt: AttemptId,
    pub(crate) outcome: Outcome,
    pub(crate) delivered: Option<bool>,
    /// What it touched, where that was asked.
    pub(crate) trail: Option<Box<Trail>>,
}

impl Ended {
    /// Nothing of it left us.
    pub(crate) const fn not_sent(attempt: AttemptId, trail: Option<Box<Trail>>) -> Self {
        Self { attempt, outcome: Outcome::NotSent, delivered: None, trail }
    }
}

impl Settler {
    pub(crate) fn start(
        store: Shared,
        ambient: Arc<dyn Ambient>,
        node: String,
        (active, sealer): (Arc<ArcSwap<Active>>, Sealer),
    ) -> Arc<Self> {
        let (queue, mut ended) = mpsc::unbounded_channel();
        let open = AtomicUsize::new(0);
        let settler =
            Arc::new(Self { store, ambient, node, active, queue, open, idle: Notify::new(), sealer });
        let weak = Arc::downgrade(&settler);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while collect(&mut ended, &mut batch).await {
                let Some(settler) = weak.upgrade() else { break };
                settler.write(std::mem::take(&mut batch)).await;
            }
        });
        settler
    }

    /// Queues how an attempt ended.
    pub(crate) fn settle(&self, ended: Ended) {
        let Ended { attempt, outcome, .. } = ended;
        self.open.fetch_add(1, Ordering::AcqRel);
        if self.queue.send(ended).is_err() {
            self.open.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(%attempt, outcome = outcome.name(), "no one is left to record this outcome");
        }
    }

    /// Writes a batch as one commit; where that is refused, one by one, so that one odd entry costs itself only.
    async fn write(&self, batch: Vec<Ended>) {
        if matches!(self.try_hard(&batch).await, Some(Err(_))) {
            for ended in &batch {
                match self.try_hard(std::slice::from_ref(ended)).await {
                    // A claim that was given up before the store had seen it.
                    None | Some(Ok(_) | Err(Refused::Missing)) => {}
                    Some(Err(refused)) => {
                        tracing::warn!(attempt = %ended.attempt, %refused, "an outcome was refused");
                    }
                }
            }
        }
        let count = batch.len();
        if self.open.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_waiters();
        }
    }

    /// `None` when the store kept failing.
    async fn try_hard(&self, batch: &[Ended]) -> Option<Result<Receipt, Refused>> {
        for _ in 0..TRIES {
            match self.store.commit(self.commit_of(batch)).await {
                Ok(answer) => return Some(answer),
                Err(failed) => tracing::warn!(%failed, "outcomes are not recorded yet"),
            }
            tokio::time::sleep(PAUSE.duration()).await;
        }
        tracing::error!(
            count = batch.len(),
            "outcomes are not recorded; they count as unknown after a restart"
        );
        None
    }

    /// How attempts ended, each with its record.
    fn commit_of(&self, batch: &[Ended]) -> Commit {
        Commit {
            changes: batch.iter().flat_map(changes).collect(),
            records: batch.iter().map(|ended| self.record(ended)).collect(),
        }
    }

    fn record(&self, ended: &Ended) -> Record {
        let refs = Refs { attempt: Some(ended.attempt), ..Refs::default() };
        let Ended { outcome, delivered, .. } = *ended;
        let touched = ended.trail.as_ref().map(|trail| trail.touched(outcome)).unwrap_or_default();
        let trail = ended.trail.as_ref();
        let captured = trail.and_then(|trail| trail.captured.as_ref()).filter(|_| outcome == Outcome::Done);
        let body = body::Settled {
            outcome,
            delivered,
            took: None,
            why: trail.and_then(|trail| trail.why).map(str::to_owned),
            touched: Touches(touched),
            captured: body::Captured(captured.map(|sealed| sealed.upstream.clone())),
        };
        seal(self.ambient.as_ref(), &self.node, refs, &body)
    }

    /// Whether an access may still run: in time, and not locked since it was permitted.
    pub(crate) fn still(&self, caller: CallerId, access: &Access, until: Boottime) -> Result<(), Slug> {
        if self.ambient.boottime() >= until {
            return Err(Slug::Busy);
        }
        let active = self.active.load();
        let caller = active.people.who_makes(caller, access).ok_or(Slug::CallerLocked)?;
        let lock = active.lock_on(&caller, access, self.ambient.now());
        lock.map_or(Ok(()), |_| Err(Slug::CallerLocked))
    }

    /// What its upstream is authenticated with, where an answer held that.
    pub(crate) fn captured(&self, access: &Access) -> Result<Option<Captured>, Stale> {
        self.active.load().captured(&self.sealer, access)
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

/// Takes what is queued within a moment of the first; false once nothing can come any more.
async fn collect(ended: &mut mpsc::UnboundedReceiver<Ended>, batch: &mut Vec<Ended>) -> bool {
    if ended.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let until = tokio::time::Instant::now() + COLLECT.duration();
    while let Some(room) = BATCH.checked_sub(batch.len()).filter(|room| *room > 0)
        && let Ok(more) = tokio::time::timeout_at(until, ended.recv_many(batch, room)).await
        && more > 0
    {}
    true
}

fn changes(ended: &Ended) -> impl Iterator<Item = Change> {
    let Ended { attempt, outcome, delivered, trail } = ended;
    let (attempt, outcome, delivered) = (*attempt, *outcome, *delivered);
    let left = trail.as_ref().map(|trail| trail.changes(attempt, outcome));
    let settle = Change::Settle { attempt, outcome, delivered, resolves: false };
    std::iter::once(settle).chain(left.into_iter().flatten())
}

impl Authority {
    /// Records how an attempt ended: at once for one that is awaited, in the next group otherwise.
    ///
    /// # Errors
    /// [`Failed`] when an elevated attempt's outcome could not be recorded; it counts as unknown.
    pub async fn settle(
        &self,
        settlement: Settlement,
        outcome: Outcome,
        delivered: Option<bool>,
    ) -> Result<(), Failed> {
        self.settle_kept(settlement, outcome, delivered).await.map(drop)
    }

    /// The same; says whether what was captured is in force now.
    ///
    /// # Errors
    /// As of [`Self::settle`]. It is tried again then, and may be in force a moment later.
    pub async fn settle_kept(
        &self,
        mut settlement: Settlement,
        outcome: Outcome,
        delivered: Option<bool>,
    ) -> Result<bool, Failed> {
        let ended = settlement.ended(outcome, delivered);
        let captured = ended.trail.as_ref().is_some_and(|trail| trail.captured.is_some());
        if !settlement.awaited() {
            return Ok(false); // dropped, it is queued
        }
        let attempt = settlement.attempt();
        let commit = self.settler.commit_of(&[ended]);
        // Where this fails or is given up, the outcome is queued and tried again.
        let answer = self.commit(commit).await?;
        settlement.recorded();
        self.watch.changed();
        if let Err(refused) = &answer {
            tracing::warn!(%attempt, %refused, "an outcome was refused");
        }
        Ok(answer.is_ok() && captured)
    }

    /// Adds to the commit of a change of this installation that its attempt is done.
    pub(crate) fn settled_with(&self, commit: &mut Commit, attempt: AttemptId) {
        let ended = Ended { attempt, outcome: Outcome::Done, delivered: None, trail: None };
        commit.changes.extend(changes(&ended));
        commit.records.push(self.settler.record(&ended));
    }

    /// Records that it starts; attempts that an earlier run claimed and did not settle are unknown (decisions B6), but for changes
    /// of this installation, which were not made. Proposals of other rules than those in force are closed.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot be read or written.
    pub async fn begin(&self) -> Result<(), Failed> {
        let mut commit = Commit::default();
        let rp = &self.settings.relying_party;
        let started = body::Started {
            install: self.active().install,
            boot: self.boot,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rp: body::RelyingParty { id: rp.rp_id.clone(), origins: rp.origins.clone() },
        };
        commit.records.push(self.record(Refs::default(), &started));
        loop {
            // One answer of the store does not hold any number of them.
            let left = self.store.unsettled(self.boot).await?;
            if left.is_empty() && commit.records.is_empty() {
                return self.close_proposals().await;
            }
            let silent = |attempt: Attempt| Ended {
                attempt: attempt.id,
                outcome: self.silence(&attempt),
                delivered: None,
                trail: None,
            };
            let ended: Vec<Ended> = left.into_iter().map(silent).collect();
            let Commit { changes, records } = self.settler.commit_of(&ended);
            commit.changes.extend(changes);
            commit.records.extend(records);
            if let Err(refused) = self.store.commit(std::mem::take(&mut commit)).await? {
                let because = refused.to_string();
                return Err(Failed { doing: "settling what an earlier run left", because });
            }
        }
    }
}
