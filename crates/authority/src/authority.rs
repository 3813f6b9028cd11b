//! What the verbs share: the store, the clock, the rules in force, and the queue of outcomes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use audit::body::Body;
use audit::record::{Draft, Kind, Record, Refs};
use elevation::Outcome;
use store::{Attempt, Change, Commit, Epoch, Failed, Receipt, Refused, Shared};
use terms::access::SealKey;
use terms::{
    Ambient, BootId, Caller, CallerKind, Digest, ElevationId, Json, Millis, RecordId, Slug, Time,
    UpstreamHash,
};
use tokio::sync::watch;

use crate::active::{Active, Compiled};
use crate::captured;
use crate::denials::Denials;
use crate::live::Live;
use crate::schema::Schemas;
use crate::settle::Settler;
use crate::sources::Sources;
use crate::watch::{Waiting, Watch};

/// Times and budgets of decisions (decisions §8 `[challenge]`, B23).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this node in records.
    pub node: String,
    /// How long a permit is good before its first byte leaves.
    pub permit_for: Millis,
    /// How long the same access is refused after a rejection.
    pub cool_down: Millis,
    /// How long a run whose answer was lost is told of.
    pub answer_for: Millis,
    /// Requests of one caller that may wait at once.
    pub pending_per_caller: u32,
    /// Requests of all callers of one person that may wait at once (B23).
    pub pending_per_root: u32,
    /// Denied records of one caller a minute, before they are counted together.
    pub denied_per_minute: u32,
    /// How long a ceremony's nonce is good.
    pub ceremony_for: Millis,
    /// How long a person stays signed in.
    pub session: Millis,
    /// The relying party of passkeys.
    pub relying_party: passkey::RelyingParty,
    /// Whether an authenticator of the demo is accepted (B14).
    pub demo: bool,
}

/// An upstream as it is now: its name and what it is. Part of every access to it (T19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the configuration.
    pub name: String,
    /// Digest over its configuration and the files that it runs.
    pub identity: UpstreamHash,
}

/// The policy administrator of one node.
pub struct Authority {
    pub(crate) store: Shared,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) settings: Settings,
    pub(crate) seal: SealKey,
    pub(crate) boot: BootId,
    pub(crate) active: Arc<ArcSwap<Active>>,
    pub(crate) upstreams: ArcSwap<BTreeMap<String, Upstream>>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) settler: Arc<Settler>,
    pub(crate) denials: Denials,
    pub(crate) sources: Sources,
    pub(crate) live: Arc<Live>,
    pub(crate) schemas: Schemas,
    /// Looking at upstreams goes one at a time: first contact is once.
    pub(crate) observing: tokio::sync::Mutex<()>,
    /// How far each passkey has counted in this run; what is in force is read once an epoch. Bounded by the
    /// number of passkeys.
    counters: Mutex<HashMap<String, u32>>,
    reloading: tokio::sync::Mutex<()>,
    /// The rules that are being put in force, for whoever reads that they are.
    pub(crate) compiled: ArcSwapOption<Compiled>,
    /// Why what is proposed is not in force.
    trouble: ArcSwapOption<String>,
    /// Notifications that were given up in this run.
    pub(crate) given_up: AtomicU64,
}

impl Authority {
    /// Reads what is in force. It has not started and has written nothing: until [`Self::begin`] it is for views alone.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot be read.
    pub async fn at_rest(
        store: Shared,
        ambient: Arc<dyn Ambient>,
        settings: Settings,
        seal: SealKey,
    ) -> Result<Arc<Self>, Failed> {
        let boot = BootId::fresh(ambient.as_ref());
        let active = Arc::new(ArcSwap::from_pointee(Active::of(store.directory().await?, None, None)));
        let settler = Settler::start(
            Arc::clone(&store),
            Arc::clone(&ambient),
            settings.node.clone(),
            (Arc::clone(&active), captured::sealer(&seal)),
        );
        let denials = Denials::new(settings.denied_per_minute);
        Ok(Arc::new(Self {
            store,
            ambient,
            settings,
            seal,
            boot,
            active,
            upstreams: ArcSwap::default(),
            watch: Watch::new(),
            settler,
            denials,
            sources: Sources::default(),
            live: Arc::default(),
            schemas: Schemas::default(),
            observing: tokio::sync::Mutex::new(()),
            counters: Mutex::default(),
            reloading: tokio::sync::Mutex::new(()),
            compiled: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            given_up: AtomicU64::new(0),
        }))
    }

    /// How an attempt ended, as far as anybody knows: what an earlier run left open is unknown, whether or not that is
    /// recorded yet (decisions B6). `None` while it runs.
    #[must_use]
    pub fn outcome_of(&self, attempt: &Attempt) -> Option<Outcome> {
        attempt.outcome.or_else(|| (attempt.boot != self.boot).then(|| self.silence(attempt)))
    }

    /// How an attempt ended of which an earlier run said nothing. Nobody knows, but for a change of this installation: it is
    /// committed with its outcome, so this one was not made.
    pub(crate) fn silence(&self, attempt: &Attempt) -> Outcome {
        let active = self.active.load();
        let operator =
            active.people.any_caller(attempt.caller).is_some_and(|who| who.kind == CallerKind::Operator);
        if operator { Outcome::NotSent } else { Outcome::Unknown }
    }

    /// Why the rules that are proposed are not in force; `None` when they are, as far as is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Notes that, for whoever looks.
    pub fn troubled(&self, why: Option<String>) {
        self.trouble.store(why.map(Arc::new));
        self.watch.changed();
    }

    /// What is in force now.
    #[must_use]
    pub fn active(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.ambient.now()
    }

    /// The clock and randomness of this node.
    #[must_use]
    pub fn ambient(&self) -> &Arc<dyn Ambient> {
        &self.ambient
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The key that secret arguments are sealed with.
    #[must_use]
    pub const fn seal_key(&self) -> &SealKey {
        &self.seal
    }

    /// The store, for reads of people and machines that decide nothing.
    #[must_use]
    pub const fn store(&self) -> &Shared {
        &self.store
    }

    /// Who a key belongs to; `hash` is SHA-256 over it.
    ///
    /// # Errors
    /// [`Slug::CredentialInvalid`] whatever is wrong with it.
    pub fn authenticate(&self, hash: Digest) -> Result<Arc<Caller>, Slug> {
        let active = self.active.load();
        active.people.authenticated(hash, self.now()).map(Arc::clone).ok_or(Slug::CredentialInvalid)
    }

    /// The upstreams as they are now.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<Upstream> {
        self.upstreams.load().get(name).cloned()
    }

    /// Begins to wait for an elevation; read it after this.
    #[must_use]
    pub fn waiting(&self, id: ElevationId) -> Waiting {
        self.watch.wait(id)
    }

    /// Follows changes of what people look at.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.watch.changes()
    }

    /// Follows what there is to tell people outside.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<u64> {
        self.watch.events()
    }

    /// Waits until every outcome that is queued is recorded, or that long.
    pub async fn drain(&self, at_most: Millis) {
        let _ = tokio::time::timeout(at_most.duration(), self.settler.idle()).await;
    }

    /// One record, sealed under a fresh salt.
    pub(crate) fn record(&self, refs: Refs, body: &impl Body) -> Record {
        seal(self.ambient.as_ref(), &self.settings.node, refs, body)
    }

    /// One record of a kind whose body nobody but people reads.
    pub(crate) fn record_of(&self, kind: Kind, refs: Refs, body: Json) -> Record {
        let id = RecordId::ordered(self.ambient.as_ref());
        let node = self.settings.node.clone();
        salted(self.ambient.as_ref(), Draft { id, at: self.now(), node, kind, refs, body })
    }

    /// Commits, and afterwards follows the store into a new epoch.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Result<Receipt, Refused>, Failed> {
        let counted = counted(&commit);
        let tells = commit.changes.iter().any(|change| matches!(change, Change::Notify { .. }));
        let answer = self.store.commit(commit).await?;
        match &answer {
            Ok(receipt) => {
                self.counters().extend(counted);
                if tells {
                    self.watch.told();
                }
                self.catch_up(receipt.epoch).await?;
            }
            Err(Refused::Stale(epoch)) => self.catch_up(*epoch).await?,
            Err(_) => {}
        }
        Ok(answer)
    }

    fn counters(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a passkey has counted, at least.
    pub(crate) fn counter(&self, credential: &str, known: u32) -> u32 {
        self.counters().get(credential).map_or(known, |seen| known.max(*seen))
    }

    /// Reads what is in force, if that is not known yet.
    pub(crate) async fn catch_up(&self, epoch: Epoch) -> Result<(), Failed> {
        if self.active.load().epoch >= epoch {
            return Ok(());
        }
        let one = self.reloading.lock().await;
        if self.active.load().epoch >= epoch {
            return Ok(()); // whoever came before has read it
        }
        self.read_under(&one).await
    }

    /// Reads what is in force: locks change without a new epoch.
    pub(crate) async fn reload(&self) -> Result<(), Failed> {
        self.read_under(&self.reloading.lock().await).await
    }

    /// One at a time, so that an older reading never replaces a newer one.
    async fn read_under(&self, _one: &tokio::sync::MutexGuard<'_, ()>) -> Result<(), Failed> {
        let compiled = self.compiled.swap(None);
        let directory = self.store.directory().await?;
        let read = Active::of(directory, Some(&self.active.load()), compiled.as_deref());
        self.active.store(Arc::new(read));
        self.watch.changed();
        Ok(())
    }

    /// Does what takes tens of milliseconds and waits for nothing, as holding a thousand rules against their types does
    /// (docs/performance.md), where it keeps no request waiting.
    ///
    /// # Errors
    /// [`Failed`] when it panicked, or this node is ending.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|why| Failed { doing, because: why.to_string() })
    }

    /// Returns once no permit is left that was made before: what took power away can be acknowledged (B28).
    pub(crate) async fn quiet(&self) {
        self.live.gone(self.settings.permit_for).await;
    }
}

/// The passkey whose counter a commit moves on.
fn counted(commit: &Commit) -> Option<(String, u32)> {
    commit.changes.iter().find_map(|change| {
        if let Change::Signed { credential, count, .. } = change {
            Some((credential.clone(), *count))
        } else {
            None
        }
    })
}

/// One record, sealed under a fresh salt.
pub(crate) fn seal(ambient: &dyn Ambient, node: &str, refs: Refs, body: &impl Body) -> Record {
    salted(ambient, Draft::of(RecordId::ordered(ambient), ambient.now(), node, refs, body))
}

fn salted(ambient: &dyn Ambient, draft: Draft) -> Record {
    let mut salt = [0; 16];
    ambient.fill(&mut salt);
    draft.seal(salt)
}
