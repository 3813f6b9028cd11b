//! What the verbs share: the store, the clock, the rules in force, and the queue of outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use audit::body::Body;
use audit::record::{Draft, Kind, Record, Refs};
use store::{Commit, Failed, Receipt, Refused, Shared};
use terms::access::SealKey;
use terms::{Ambient, BootId, Caller, Digest, ElevationId, Json, Millis, RecordId, Slug, Time, UpstreamHash};
use tokio::sync::watch;

use crate::active::Active;
use crate::denials::Denials;
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
    reloading: tokio::sync::Mutex<()>,
}

impl Authority {
    /// Reads what is in force, and settles what an earlier run left open as unknown (decisions B6).
    ///
    /// # Errors
    /// [`Failed`] when the store cannot be read or written.
    pub async fn open(
        store: Shared,
        ambient: Arc<dyn Ambient>,
        settings: Settings,
        seal: SealKey,
    ) -> Result<Arc<Self>, Failed> {
        let boot = BootId::fresh(ambient.as_ref());
        let active = Arc::new(ArcSwap::from_pointee(Active::of(store.directory().await?)));
        let settler = Settler::start(
            Arc::clone(&store),
            Arc::clone(&ambient),
            settings.node.clone(),
            Arc::clone(&active),
        );
        let denials = Denials::new(settings.denied_per_minute);
        let authority = Arc::new(Self {
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
            reloading: tokio::sync::Mutex::new(()),
        });
        authority.begin().await?;
        Ok(authority)
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
    pub fn authenticate(&self, hash: Digest) -> Result<Caller, Slug> {
        self.active.load().authenticate(hash, self.now())
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
        let mut salt = [0; 16];
        self.ambient.fill(&mut salt);
        let id = RecordId::ordered(self.ambient.as_ref());
        Draft { id, at: self.now(), node: self.settings.node.clone(), kind, refs, body }.seal(salt)
    }

    /// Commits, and afterwards follows the store into a new epoch and wakes who looks at lists.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Result<Receipt, Refused>, Failed> {
        let answer = self.store.commit(commit).await?;
        match &answer {
            Ok(receipt) if receipt.epoch != self.active.load().epoch => self.reload().await?,
            Err(Refused::Stale(_)) => self.reload().await?,
            Ok(_) | Err(_) => {}
        }
        Ok(answer)
    }

    /// Reads what is in force. One at a time, so that an older reading never replaces a newer one.
    pub(crate) async fn reload(&self) -> Result<(), Failed> {
        let _one = self.reloading.lock().await;
        let read = Active::of(self.store.directory().await?);
        self.active.store(Arc::new(read));
        self.watch.changed();
        Ok(())
    }
}

/// One record, sealed under a fresh salt.
pub(crate) fn seal(ambient: &dyn Ambient, node: &str, refs: Refs, body: &impl Body) -> Record {
    let mut salt = [0; 16];
    ambient.fill(&mut salt);
    Draft::of(RecordId::ordered(ambient), ambient.now(), node, refs, body).seal(salt)
}
