//! A store that does what the real one does, and sometimes fails, before or after it has done it.

use std::future::Future;
use std::pin::Pin as Pinned;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use store::{
    Answer, Attempt, Backlog, Ceremony, Commit, Directory, Failed, Head, Invite, Letter, Listing, LogLine,
    Notice, Pin, Policy, Receipt, Refused, Session, Shared, Situation, Standing, Store, Told, Whole,
};
use terms::{AttemptId, BootId, CallerId, Digest, ElevationId, PinId, PolicyHash, RecordId, Time};
use tokio::sync::Notify;

/// How the next commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// Nothing was written.
    Before,
    /// It was written, and whoever asked is not told.
    After,
}

type Hook = Pinned<Box<dyn Future<Output = ()> + Send>>;

/// The store between an authority and the real one.
pub struct Between {
    real: Shared,
    passes: AtomicUsize,
    fails: Mutex<Option<Fails>>,
    after_standing: Mutex<Option<Hook>>,
    before_commit: Mutex<Option<Hook>>,
    lost: Mutex<Option<Receipt>>,
    confused: AtomicBool,
}

impl Between {
    pub fn new(real: Shared) -> Self {
        Self {
            real,
            passes: AtomicUsize::new(0),
            fails: Mutex::new(None),
            after_standing: Mutex::new(None),
            before_commit: Mutex::new(None),
            lost: Mutex::new(None),
            confused: AtomicBool::new(false),
        }
    }

    /// So many commits pass first, before one fails or something happens before it.
    pub fn lets_pass(&self, commits: usize) {
        self.passes.store(commits, Ordering::Release);
    }

    /// The next commit fails.
    pub fn fail(&self, how: Fails) {
        *self.fails.lock().unwrap() = Some(how);
    }

    /// The next commit is answered with the receipt of the one before, which was never told of.
    pub fn confuse(&self) {
        self.confused.store(true, Ordering::Release);
    }

    /// Before the next commit reaches the store, this happens.
    pub fn before_commit(&self, hook: Hook) {
        *self.before_commit.lock().unwrap() = Some(hook);
    }

    /// The next commit never happens; says when it would have.
    pub fn holds_commit(&self) -> Arc<Notify> {
        let reached = Arc::new(Notify::new());
        let there = Arc::clone(&reached);
        self.before_commit(Box::pin(async move {
            there.notify_one();
            std::future::pending::<()>().await;
        }));
        reached
    }

    /// After the next read of where an access stands, this happens before whoever asked goes on.
    pub fn after_standing(&self, hook: Hook) {
        *self.after_standing.lock().unwrap() = Some(hook);
    }
}

fn failed<T>() -> Result<T, Failed> {
    Err(Failed { doing: "committing", because: "as the test asks".to_owned() })
}

impl Store for Between {
    fn commit(&self, commit: Commit) -> Answer<'_, Result<Receipt, Refused>> {
        Box::pin(async move {
            let pass = |left: usize| left.checked_sub(1);
            if self.passes.fetch_update(Ordering::AcqRel, Ordering::Acquire, pass).is_ok() {
                return self.real.commit(commit).await;
            }
            let hook = self.before_commit.lock().unwrap().take();
            if let Some(hook) = hook {
                hook.await;
            }
            let fails = self.fails.lock().unwrap().take();
            match fails {
                None => {
                    let answer = self.real.commit(commit).await?;
                    let confused = self.confused.swap(false, Ordering::AcqRel);
                    let other = confused.then(|| self.lost.lock().unwrap().take()).flatten();
                    Ok(answer.map(|receipt| other.unwrap_or(receipt)))
                }
                Some(Fails::Before) => failed(),
                Some(Fails::After) => {
                    let receipt = self.real.commit(commit).await?.unwrap();
                    *self.lost.lock().unwrap() = Some(receipt);
                    failed()
                }
            }
        })
    }

    fn standing(&self, standing: Standing) -> Answer<'_, Situation> {
        Box::pin(async move {
            let situation = self.real.standing(standing).await;
            let hook = self.after_standing.lock().unwrap().take();
            if let Some(hook) = hook {
                hook.await;
            }
            situation
        })
    }

    fn writable(&self) -> Answer<'_, ()> {
        self.real.writable()
    }

    fn ceremony(&self, ceremony: Ceremony) -> Answer<'_, ()> {
        self.real.ceremony(ceremony)
    }

    fn consume(&self, nonce: Digest) -> Answer<'_, Option<Ceremony>> {
        self.real.consume(nonce)
    }

    fn rejected_another(&self, standing: Standing) -> Answer<'_, bool> {
        self.real.rejected_another(standing)
    }

    fn usage(&self, caller: CallerId, resource: String) -> Answer<'_, (bool, u32)> {
        self.real.usage(caller, resource)
    }

    fn directory(&self) -> Answer<'_, Directory> {
        self.real.directory()
    }

    fn elevation(&self, id: ElevationId) -> Answer<'_, Option<Whole>> {
        self.real.elevation(id)
    }

    fn elevations(&self, listing: Listing) -> Answer<'_, Vec<Whole>> {
        self.real.elevations(listing)
    }

    fn waiting(&self, callers: Vec<CallerId>) -> Answer<'_, u32> {
        self.real.waiting(callers)
    }

    fn attempts(&self, caller: Option<CallerId>, limit: u32) -> Answer<'_, Vec<Attempt>> {
        self.real.attempts(caller, limit)
    }

    fn attempt(&self, id: AttemptId) -> Answer<'_, Option<Attempt>> {
        self.real.attempt(id)
    }

    fn once(&self, caller: CallerId, key: Digest) -> Answer<'_, Option<Attempt>> {
        self.real.once(caller, key)
    }

    fn touchers(&self, touched: Vec<terms::Touched>) -> Answer<'_, Vec<store::Toucher>> {
        self.real.touchers(touched)
    }

    fn unsettled(&self, but: BootId) -> Answer<'_, Vec<Attempt>> {
        self.real.unsettled(but)
    }

    fn due(&self, limit: u32) -> Answer<'_, Vec<(ElevationId, elevation::Version)>> {
        self.real.due(limit)
    }

    fn session(&self, hash: Digest) -> Answer<'_, Option<Session>> {
        self.real.session(hash)
    }

    fn invite(&self, hash: Digest) -> Answer<'_, Option<Invite>> {
        self.real.invite(hash)
    }

    fn policy(&self, hash: PolicyHash) -> Answer<'_, Option<Policy>> {
        self.real.policy(hash)
    }

    fn accepted_before(&self, pin: PinId) -> Answer<'_, Option<Pin>> {
        self.real.accepted_before(pin)
    }

    fn policies(&self, most: u32) -> Answer<'_, Vec<Policy>> {
        self.real.policies(most)
    }

    fn records(&self, from: u64, limit: u32) -> Answer<'_, Vec<LogLine>> {
        self.real.records(from, limit)
    }

    fn record(&self, id: RecordId) -> Answer<'_, Option<LogLine>> {
        self.real.record(id)
    }

    fn head(&self) -> Answer<'_, Head> {
        self.real.head()
    }

    fn checkpoint(&self, head: Head, note: String) -> Answer<'_, ()> {
        self.real.checkpoint(head, note)
    }

    fn last_checkpoint(&self) -> Answer<'_, Option<(Head, String)>> {
        self.real.last_checkpoint()
    }

    fn outbox(&self, channel: String, limit: u32) -> Answer<'_, Vec<Notice>> {
        self.real.outbox(channel, limit)
    }

    fn strays(&self, channels: Vec<String>, limit: u32) -> Answer<'_, Vec<Notice>> {
        self.real.strays(channels, limit)
    }

    fn spread(&self, event: i64, letters: Vec<Letter>, over: Option<String>) -> Answer<'_, ()> {
        self.real.spread(event, letters, over)
    }

    fn told(&self, thread: String) -> Answer<'_, Vec<Told>> {
        self.real.told(thread)
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.real.backlog()
    }

    fn notified(&self, id: i64, again: Option<Time>) -> Answer<'_, ()> {
        self.real.notified(id, again)
    }
}
