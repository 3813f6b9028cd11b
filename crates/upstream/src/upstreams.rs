//! The upstreams of this node, and the links to them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terms::revision::Era;
use terms::{Abilities, Ambient, Boottime, Json, Millis, Pointer, UpstreamHash};
use tokio::sync::watch;

use crate::answer::Fault;
use crate::config::{Config, ConfigError, Eras, Isolation, Share, Timeouts, Transport};
use crate::errand::{Definition, Errand, Has, Listing, list};
use crate::identity::{Identities, NotThere};
use crate::launcher::landlock_supported;
use crate::link::{Link, NotModern, To};
use crate::message::Lists;
use crate::mirror::tells;
use crate::transport::{Notices, Wire, child, http, stdio};

/// Links of one upstream to different downstream sessions (decisions A28).
const MOST_CHILDREN: usize = 32;
const MOST_SESSIONS: usize = 256;

/// How often idle links are looked for, or as often as one may become idle.
const SWEEP: Millis = Millis::seconds(30);

/// A link that lived less than this counts as a failure to start.
const SHORT_LIFE: Millis = Millis::seconds(10);

/// The first and the longest wait after failures to start; it doubles between.
const FIRST_WAIT: u64 = 250;
const LONGEST_WAIT: u64 = 30_000;

/// Which downstream session a link belongs to. Names it only; who may use a session is the gateway's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// From 32 bytes that no other session has, such as a hash of its id.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Whose link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// Ours: for lists and pins.
    Gateway,
    Session(SessionKey),
    /// Everybody's, ours included: where that is configured, and always in the modern era (decisions A28).
    All,
}

impl Owner {
    /// Whose link it is that is made for somebody in an era.
    const fn in_era(self, era: Era) -> Self {
        match era {
            Era::Legacy => self,
            Era::Modern => Self::All,
        }
    }
}

/// What surrounds every upstream of a node.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) private: Vec<PathBuf>,
    pub(crate) launcher: PathBuf,
}

/// Why there is no link, or no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// No upstream of that name is configured.
    #[error("no such upstream is configured")]
    Unknown,
    /// As many sessions as may be have links of their own.
    #[error("it has {0} sessions already, and takes no more")]
    Full(usize),
    /// It failed to start a moment ago.
    #[error("it failed to start; the next try is in {0}")]
    Wait(Millis),
    /// Its program or a pinned file cannot be read.
    #[error(transparent)]
    NotThere(#[from] NotThere),
    /// It did not start, or did not greet.
    #[error("it did not start: {0}")]
    Start(String),
    /// It did not answer.
    #[error(transparent)]
    Fault(Fault),
    /// Its list of tools cannot be taken.
    #[error("{0}")]
    List(&'static str),
}

/// Every configured upstream.
pub struct Upstreams {
    entries: BTreeMap<String, Arc<Entry>>,
    surroundings: Surroundings,
    identities: Arc<Identities>,
}

struct Entry {
    config: Arc<Config>,
    /// Connections of an HTTP upstream, shared by its sessions.
    endpoint: Option<Arc<http::Endpoint>>,
    notices: Arc<Notices>,
    places: Mutex<HashMap<Owner, Arc<Place>>>,
    /// Whether it answered when a link to it was last made.
    reached: AtomicBool,
    /// What it said at the last greeting that it has.
    has: Mutex<Has>,
    /// Whether it said at the last greeting that it takes calls as tasks.
    tasks: AtomicBool,
    /// The era that the upstream of that identity turned out to speak, so that it is not asked for each link.
    spoken: Mutex<Option<(UpstreamHash, Era)>>,
}

/// The place of one link; whoever makes the link holds the lock.
#[derive(Default)]
struct Place(tokio::sync::Mutex<State>);

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    failures: u32,
    not_before: Option<Boottime>,
}

impl Upstreams {
    /// Takes the configuration; starts nothing yet. `private` are stepup's own folders, which no child may
    /// read or write; `launcher` is a binary that calls [`crate::launcher::launch`] for its verb: ours.
    ///
    /// # Errors
    /// [`ConfigError`] for a configuration that could not work, isolation that this machine cannot give included.
    pub fn new(
        configs: Vec<Config>,
        ambient: Arc<dyn Ambient>,
        private: &[PathBuf],
        launcher: PathBuf,
    ) -> Result<Arc<Self>, ConfigError> {
        let canonical = private.iter().map(|path| {
            path.canonicalize().map_err(|e| ConfigError {
                upstream: String::new(),
                why: format!("the private folder {} is not there: {e}", path.display()),
            })
        });
        let private = canonical.collect::<Result<_, _>>()?;
        let surroundings = Surroundings { ambient, private, launcher };
        let mut entries = BTreeMap::new();
        for config in configs {
            let name = config.name.clone();
            let error = |why| ConfigError { upstream: name.clone(), why };
            let entry = Entry::new(config, &surroundings).map_err(error)?;
            if entries.insert(name.clone(), Arc::new(entry)).is_some() {
                return Err(error("it is configured twice".to_owned()));
            }
        }
        Ok(Arc::new(Self { entries, surroundings, identities: Arc::default() }))
    }

    /// Closes links that nobody uses any more, for as long as this lives. Call once, within the runtime.
    pub fn sweep(self: &Arc<Self>) {
        let idle = self.entries.values().map(|entry| entry.config.timeouts.idle);
        let every = idle.fold(SWEEP, Ord::min).duration();
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(upstreams) = weak.upgrade() else { return };
                upstreams.sweep_once();
            }
        });
    }

    fn sweep_once(&self) {
        let now = self.surroundings.ambient.boottime();
        for entry in self.entries.values() {
            entry.places().retain(|owner, place| {
                let Ok(state) = place.0.try_lock() else { return true };
                let unused = state.link.as_ref().is_none_or(|link| !link.alive() || link.idle(now));
                let waiting = state.not_before.is_some_and(|moment| moment > now);
                !matches!(owner, Owner::Session(_)) || !unused || waiting
            });
        }
    }

    /// The names of all upstreams.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether an upstream is sent this member of a call's `_meta`.
    #[must_use]
    pub fn takes(&self, upstream: &str, member: &str) -> bool {
        self.entries.get(upstream).is_some_and(|entry| entry.config.meta.contains(member))
    }

    /// What an upstream may ask of a caller's client.
    #[must_use]
    pub fn asks(&self, upstream: &str) -> Abilities {
        self.entries.get(upstream).map(|entry| entry.config.asks).unwrap_or_default()
    }

    /// What an upstream is now. Files are read again when they have changed.
    ///
    /// # Errors
    /// [`Unreachable`] when there is no such upstream or its files cannot be read.
    pub async fn identity(&self, upstream: &str) -> Result<UpstreamHash, Unreachable> {
        let config = Arc::clone(&self.entry(upstream)?.config);
        if let Some(known) = self.identities.known(&config) {
            return Ok(known);
        }
        let identities = Arc::clone(&self.identities);
        let reading = tokio::task::spawn_blocking(move || identities.of(&config));
        let read =
            reading.await.map_err(|_| Unreachable::Start("reading its files was stopped".to_owned()))?;
        Ok(read?)
    }

    /// The link of one downstream session; makes it if there is none, or if the upstream is not what it was.
    ///
    /// # Errors
    /// [`Unreachable`] when there is none and none can be made.
    pub async fn link(&self, upstream: &str, session: SessionKey) -> Result<Arc<Link>, Unreachable> {
        self.link_who_can(upstream, session, Abilities::default()).await
    }

    /// The same of a session whose client can be asked this: an upstream of the legacy era is told so when the link is made,
    /// as far as it may ask.
    ///
    /// # Errors
    /// [`Unreachable`] when there is none and none can be made.
    pub async fn link_who_can(
        &self,
        upstream: &str,
        session: SessionKey,
        client: Abilities,
    ) -> Result<Arc<Link>, Unreachable> {
        let entry = self.entry(upstream)?;
        self.obtain(entry, Owner::Session(session), client.and(entry.config.asks)).await
    }

    /// All tools of an upstream as it states them, over a link of our own.
    ///
    /// # Errors
    /// [`Unreachable`] when it cannot be asked, or its answer cannot be taken.
    pub async fn list_tools(&self, upstream: &str) -> Result<Vec<Definition>, Unreachable> {
        self.list(upstream, Listing::Tools).await
    }

    /// All that an upstream lists of one kind, as it states it, over a link of our own; nothing where it does not say that
    /// it has any.
    ///
    /// # Errors
    /// [`Unreachable`] when it cannot be asked, or its answer cannot be taken.
    pub async fn list(&self, upstream: &str, listing: Listing) -> Result<Vec<Definition>, Unreachable> {
        let link = self.own(upstream).await?;
        list(&link, listing).await
    }

    /// What an upstream said when it was last greeted that it has; nothing where it never was.
    #[must_use]
    pub fn has(&self, upstream: &str) -> Has {
        let entry = self.entries.get(upstream);
        entry.map(|entry| *entry.has.lock().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default()
    }

    /// Whether an upstream answers at all, over a link of our own.
    ///
    /// # Errors
    /// [`Unreachable`] when it does not.
    pub async fn ping(&self, upstream: &str) -> Result<(), Unreachable> {
        let link = self.own(upstream).await?;
        link.errand(Errand::Ping).await.map(|_| ()).map_err(Unreachable::Fault)
    }

    async fn own(&self, upstream: &str) -> Result<Arc<Link>, Unreachable> {
        self.obtain(self.entry(upstream)?, Owner::Gateway, Abilities::default()).await
    }

    /// A number that changes when an upstream says, or may have said unheard, that its list of tools or of prompts has
    /// changed.
    #[must_use]
    pub fn changes(&self, upstream: &str) -> Option<watch::Receiver<u64>> {
        self.entries.get(upstream).map(|entry| entry.notices.changes(Lists::Pinned))
    }

    /// The same of what it lists of its resources.
    #[must_use]
    pub fn resource_changes(&self, upstream: &str) -> Option<u64> {
        self.entries.get(upstream).map(|entry| *entry.notices.changes(Lists::Resources).borrow())
    }

    /// How long what an upstream said of its tools is taken as it was.
    #[must_use]
    pub fn relist(&self, upstream: &str) -> Option<Millis> {
        self.entries.get(upstream).map(|entry| entry.config.timeouts.relist)
    }

    /// How many messages of an upstream went nowhere.
    #[must_use]
    pub fn dropped(&self, upstream: &str) -> Option<u64> {
        self.entries.get(upstream).map(|entry| entry.notices.count())
    }

    /// Upstreams that run with nothing between them and stepup's own files, because somebody wrote so
    /// (decisions A20).
    pub fn unisolated(&self) -> impl Iterator<Item = &str> {
        let open = |entry: &&Arc<Entry>| match &entry.config.transport {
            Transport::Stdio(stdio) => stdio.isolation == Isolation::None && stdio.user.is_none(),
            Transport::Http(_) => false,
        };
        self.entries.values().filter(open).map(|entry| entry.config.name.as_str())
    }

    /// Whether an upstream, by what it was last found to speak, is told one of these arguments in a header, as its
    /// definition wants. Calls with a secret there are refused at the exit; this is for telling so before.
    #[must_use]
    pub fn tells_in_headers<'s>(
        &self,
        upstream: &str,
        definition: &Json,
        arguments: impl Iterator<Item = &'s Pointer>,
    ) -> bool {
        let Some(entry) = self.entries.get(upstream) else { return false };
        let spoken = *entry.spoken();
        let modern = spoken.is_some_and(|(_, era)| era == Era::Modern);
        entry.endpoint.is_some() && modern && tells(definition, arguments)
    }

    /// Whether an upstream takes calls as tasks, by what it said when it was last greeted.
    #[must_use]
    pub fn takes_tasks(&self, upstream: &str) -> bool {
        self.entries.get(upstream).is_some_and(|entry| entry.tasks.load(Ordering::Acquire))
    }

    /// Upstreams that did not answer when they were last asked to, or never were asked.
    pub fn unreached(&self) -> impl Iterator<Item = &str> {
        let unreached = |entry: &&Arc<Entry>| !entry.reached.load(Ordering::Acquire);
        self.entries.values().filter(unreached).map(|entry| entry.config.name.as_str())
    }

    /// The end of a downstream session: its links are closed.
    pub fn close(&self, session: SessionKey) {
        for entry in self.entries.values() {
            // Dropping a link closes it, once the calls that are under way on it are over.
            entry.places().remove(&Owner::Session(session));
        }
    }

    /// Closes every link and waits until all are gone.
    pub async fn close_all(&self) {
        let mut closing = tokio::task::JoinSet::new();
        for entry in self.entries.values() {
            for (_, place) in entry.places().drain() {
                closing.spawn(async move {
                    let link = place.0.lock().await.link.take();
                    if let Some(link) = link {
                        let _ = link.errand(Errand::Close).await;
                    }
                });
            }
        }
        closing.join_all().await;
    }

    fn entry(&self, upstream: &str) -> Result<&Arc<Entry>, Unreachable> {
        self.entries.get(upstream).ok_or(Unreachable::Unknown)
    }

    async fn obtain(
        &self,
        entry: &Arc<Entry>,
        whose: Owner,
        abilities: Abilities,
    ) -> Result<Arc<Link>, Unreachable> {
        let (whose, abilities) = match entry.config.share {
            Share::Session => (whose, abilities),
            // Whose client would be asked is not known there (decisions A28).
            Share::All => (Owner::All, Abilities::default()),
        };
        let identity = self.identity(&entry.config.name).await?;
        if let Some(link) = entry.there(whose, identity) {
            return Ok(link);
        }
        loop {
            // As long as it is not known to have sessions, one link is made at a time, as if it were for all.
            let era = entry.era(identity);
            let place = entry.place(whose.in_era(era))?;
            let mut state = place.0.lock().await;
            if entry.era(identity) == era {
                return self.obtain_in(entry, &mut state, (whose, abilities), (identity, era)).await;
            }
        }
    }

    /// The link of a place that is ours alone for now; made, it goes to whose it turns out to be.
    async fn obtain_in(
        &self,
        entry: &Arc<Entry>,
        state: &mut State,
        (whose, abilities): (Owner, Abilities),
        (identity, era): (UpstreamHash, Era),
    ) -> Result<Arc<Link>, Unreachable> {
        let now = self.surroundings.ambient.boottime();
        if let Some(link) = state.usable(identity, now) {
            link.touch();
            return Ok(link);
        }
        if let Some(wait) = state.not_before.map(|moment| moment.since(now)).filter(|wait| wait.get() > 0) {
            return Err(Unreachable::Wait(wait));
        }
        let made = entry.make((identity, abilities), era, &self.surroundings).await;
        entry.reached.store(made.is_ok(), Ordering::Release);
        let link = match made {
            Ok(link) => Arc::new(link),
            Err(why) => {
                state.failed(self.surroundings.ambient.boottime());
                entry.forget();
                tracing::warn!(upstream = entry.config.name, why, "an upstream did not start");
                return Err(Unreachable::Start(why));
            }
        };
        entry.tasks.store(link.takes_tasks(), Ordering::Release);
        *entry.has.lock().unwrap_or_else(PoisonError::into_inner) = link.has();
        let spoken = link.revision().era();
        let owner = whose.in_era(spoken);
        if matches!(owner, Owner::Session(_)) {
            link.wire.is_of_one_session();
        }
        entry.speaks(identity, spoken);
        if owner == whose.in_era(era) {
            state.link = Some(Arc::clone(&link));
        } else {
            // Whoever is there already made one since, and of the same.
            entry.place(owner)?.0.lock().await.link = Some(Arc::clone(&link));
        }
        entry.attend(owner, &link).await;
        Ok(link)
    }
}

impl Entry {
    fn new(config: Config, surroundings: &Surroundings) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&config.name.len()) || !config.name.bytes().all(plain) {
            return Err("a name is 1 to 32 of a-z, 0-9 and -".to_owned());
        }
        let endpoint = match &config.transport {
            Transport::Http(http) => {
                let ambient = Arc::clone(&surroundings.ambient);
                Some(Arc::new(http::Endpoint::new(http, config.timeouts, ambient)?))
            }
            Transport::Stdio(stdio) => {
                if stdio.isolation == Isolation::Landlock {
                    landlock_supported().map_err(|why| {
                        format!(
                            "{why}; run it under another account (`user`), or write `isolation = \"none\"`"
                        )
                    })?;
                }
                stdio.user.as_deref().map(child::account).transpose()?;
                None
            }
        };
        let notices = Arc::new(Notices::new(&config.name));
        Ok(Self {
            config: Arc::new(config),
            endpoint,
            notices,
            places: Mutex::default(),
            reached: AtomicBool::new(false),
            has: Mutex::default(),
            tasks: AtomicBool::new(false),
            spoken: Mutex::default(),
        })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link that somebody has already, if nobody is just making another.
    fn there(&self, whose: Owner, identity: UpstreamHash) -> Option<Arc<Link>> {
        let places = self.places();
        let usable = |owner: Owner| {
            let link = places.get(&owner)?.0.try_lock().ok()?.link.clone()?;
            (link.alive() && link.identity() == identity).then_some(link)
        };
        let link = usable(whose).or_else(|| usable(Owner::All))?;
        link.touch();
        Some(link)
    }

    fn spoken(&self) -> MutexGuard<'_, Option<(UpstreamHash, Era)>> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The era in which the upstream is first addressed: the legacy one only where that is known.
    fn era(&self, identity: UpstreamHash) -> Era {
        match (self.config.era, *self.spoken()) {
            (Eras::Legacy, _) => Era::Legacy,
            (Eras::Auto, Some((of, era))) if of == identity => era,
            (Eras::Auto | Eras::Modern, _) => Era::Modern,
        }
    }

    /// It speaks this era. Links of the other one are not used any more.
    fn speaks(&self, identity: UpstreamHash, era: Era) {
        let before = self.spoken().replace((identity, era));
        if before.is_none_or(|(_, before)| before == era) {
            return;
        }
        let gone = |owner: &Owner| match era {
            Era::Legacy => self.config.share == Share::Session && *owner == Owner::All,
            Era::Modern => *owner != Owner::All,
        };
        self.places().retain(|owner, place| {
            if gone(owner)
                && let Ok(mut state) = place.0.try_lock()
                && let Some(link) = state.link.take()
            {
                link.end();
            }
            !gone(owner)
        });
    }

    /// What it speaks may have changed.
    fn forget(&self) {
        self.spoken().take();
    }

    /// The place of one owner's link; there are only so many.
    fn place(&self, owner: Owner) -> Result<Arc<Place>, Unreachable> {
        let most = if self.endpoint.is_some() { MOST_SESSIONS } else { MOST_CHILDREN };
        let mut places = self.places();
        if let Some(place) = places.get(&owner) {
            return Ok(Arc::clone(place));
        }
        let sessions = places.keys().filter(|owner| matches!(owner, Owner::Session(_))).count();
        if matches!(owner, Owner::Session(_)) && sessions >= most {
            return Err(Unreachable::Full(most));
        }
        let place = Arc::new(Place::default());
        places.insert(owner, Arc::clone(&place));
        Ok(place)
    }

    /// A new link, in the modern era where that is not ruled out and the upstream takes part, otherwise in the legacy one.
    async fn make(
        &self,
        of: (UpstreamHash, Abilities),
        era: Era,
        surroundings: &Surroundings,
    ) -> Result<Link, String> {
        let wire = self.wire(surroundings).await?;
        let wire = match era {
            Era::Legacy => wire,
            Era::Modern => {
                let Timeouts { start, probe, .. } = self.config.timeouts;
                let within = match self.config.era {
                    Eras::Auto => probe.min(start),
                    Eras::Legacy | Eras::Modern => start,
                };
                match Link::discover(self.to(of, surroundings), within, wire).await {
                    Ok(link) => return Ok(link),
                    Err(NotModern::Perhaps(wire, _)) if self.config.era == Eras::Auto => {
                        // Some end when they are asked what they do not know.
                        if wire.alive() { wire } else { self.wire(surroundings).await? }
                    }
                    Err(NotModern::Perhaps(_, why) | NotModern::No(why)) => return Err(why),
                }
            }
        };
        Link::greet(self.to(of, surroundings), wire).await
    }

    fn to(&self, (identity, abilities): (UpstreamHash, Abilities), surroundings: &Surroundings) -> To<'_> {
        To {
            upstream: &self.config.name,
            identity,
            timeouts: self.config.timeouts,
            ambient: Arc::clone(&surroundings.ambient),
            abilities,
        }
    }

    async fn wire(&self, surroundings: &Surroundings) -> Result<Wire, String> {
        let notices = Arc::clone(&self.notices);
        match (&self.config.transport, &self.endpoint) {
            (Transport::Stdio(stdio), _) => {
                let starting = stdio::Child::start(stdio, self.config.timeouts, surroundings, notices);
                starting.await.map(Wire::Child)
            }
            (Transport::Http(_), Some(endpoint)) => {
                Ok(Wire::Http(http::Session::new(Arc::clone(endpoint), notices)))
            }
            (Transport::Http(_), None) => Err("it has no address".to_owned()),
        }
    }

    /// Over a link of our own we hear when a list changes; while there was none, it may have. Over that of a session, what its
    /// client is asked.
    async fn attend(&self, owner: Owner, link: &Arc<Link>) {
        if matches!(owner, Owner::Session(_)) {
            if link.abilities() != Abilities::default() {
                link.hears().await;
            }
            return;
        }
        let changed = |notices: &Notices| {
            notices.list_changed(Lists::Pinned);
            notices.list_changed(Lists::Resources);
        };
        changed(&self.notices);
        let notices = Arc::clone(&self.notices);
        link.attend(move || changed(&notices));
    }
}

impl Drop for State {
    /// Who listens to what the upstream says unasked keeps the link for as long as it is not over.
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.end();
        }
    }
}

impl State {
    /// The link, if calls can be made over it to the upstream as it is now.
    fn usable(&mut self, identity: UpstreamHash, now: Boottime) -> Option<Arc<Link>> {
        let link = self.link.take()?;
        if link.alive() && link.identity() == identity {
            self.link = Some(Arc::clone(&link));
            return Some(link);
        }
        let alive = link.alive();
        link.end();
        if !alive && link.age(now) < SHORT_LIFE {
            self.failed(now);
        } else {
            (self.failures, self.not_before) = (0, None);
        }
        None
    }

    /// The first failure costs nothing, as anything may end once; then each waits twice as long.
    fn failed(&mut self, now: Boottime) {
        let doublings = self.failures.min(16);
        let wait = if doublings == 0 { 0 } else { (FIRST_WAIT << (doublings - 1)).min(LONGEST_WAIT) };
        self.failures += 1;
        self.not_before = Some(now.after(Millis::new(wait)));
    }
}
