//! A link: one live MCP session of ours with an upstream, or in the modern era what stands for one, and all that is ever
//! said over it beside calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use terms::json::Object;
use terms::revision::{Era, Side};
use terms::{
    Abilities, Access, Ambient, AttemptId, Boottime, Feature, Json, Level, Millis, Revision, Secret,
    UpstreamHash,
};
use tokio::sync::{oneshot, watch};

use crate::answer::{Answer, Fault, RawJson};
use crate::config::Timeouts;
use crate::errand::{Errand, Has};
use crate::message::{Hello, Lists, Request, RequestId, cancelled, hello, notification};
use crate::modern;
use crate::transport::{Beside, Wire};
use crate::watch::Changes;

/// Calls under way on one link.
const MOST_CALLS: usize = 1024;

/// How long is waited until an upstream that ended its stream is listened to again: at first, and at most.
const LISTEN_AGAIN: Millis = Millis::new(250);
const LONGEST_WAIT: Millis = Millis::seconds(30);

/// How long is waited until a new session is listened to, so that its first call can be asked something there.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// How long an upstream that was told that a call is cancelled may still answer it. By then it has stopped, and never answers
/// (MCP, cancellation: "not send a response"), or it had answered before it was told; what it does later nobody waits for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How long is waited for an upstream that is asked to log more.
const LEVEL_WITHIN: Duration = Duration::from_secs(2);

/// Revisions of an upstream that an error names.
const MOST_NAMED: usize = 8;

/// One live MCP session with one upstream; in the modern era, which has none, one child or address.
pub struct Link {
    upstream: String,
    identity: UpstreamHash,
    pub(crate) wire: Wire,
    pub(crate) ambient: Arc<dyn Ambient>,
    /// What was settled with it, whatever the callers speak whose calls go over it.
    revision: Revision,
    /// What the upstream was told that a client can be asked within calls over it.
    abilities: Abilities,
    has: Has,
    /// The least severe messages that it was asked to tell.
    level: Mutex<Option<Level>>,
    tasks: bool,
    /// Whether it tells of changes to those who listen.
    changes: bool,
    /// Whether nothing new is to be said over it.
    over: watch::Sender<bool>,
    /// Whether it is being asked if it still speaks what it did.
    doubted: AtomicBool,
    /// Whether somebody listens to what it says unasked.
    attended: AtomicBool,
    /// Whether that has begun, or was found to be nothing.
    heard: watch::Sender<bool>,
    timeouts: Timeouts,
    begun: Boottime,
    used: Mutex<Boottime>,
    calls: Mutex<HashMap<AttemptId, Underway>>,
}

/// The request of a call, and how to end it once its upstream was told, or where nothing can be told of that.
struct Underway {
    id: RequestId,
    end: Option<oneshot::Sender<()>>,
}

/// A call that is under way; it is over when this is dropped.
pub(crate) struct Call<'l> {
    link: &'l Link,
    attempt: AttemptId,
    end: oneshot::Receiver<()>,
}

/// What every link to one upstream is made of.
pub(crate) struct To<'u> {
    pub(crate) upstream: &'u str,
    pub(crate) identity: UpstreamHash,
    pub(crate) timeouts: Timeouts,
    pub(crate) ambient: Arc<dyn Ambient>,
    /// What a client can be asked within calls over it, where it is a session.
    pub(crate) abilities: Abilities,
}

/// Why an upstream is not spoken with in the modern era.
pub(crate) enum NotModern {
    /// It may be a server of the legacy era, over this wire if it is still there.
    Perhaps(Wire, String),
    /// It is not: it is one of the modern era that does not take our requests, or it is not there at all.
    No(String),
}

impl Link {
    fn new(to: To<'_>, wire: Wire, revision: Revision) -> Self {
        let To { upstream, identity, timeouts, ambient, abilities } = to;
        wire.speak(revision.era());
        let now = ambient.boottime();
        Self {
            upstream: upstream.to_owned(),
            identity,
            wire,
            ambient,
            revision,
            abilities,
            has: Has::default(),
            level: Mutex::default(),
            tasks: false,
            changes: false,
            over: watch::Sender::new(false),
            doubted: AtomicBool::new(false),
            attended: AtomicBool::new(false),
            heard: watch::Sender::new(false),
            timeouts,
            begun: now,
            used: Mutex::new(now),
            calls: Mutex::default(),
        }
    }

    /// Asks the upstream over a new wire whether it speaks the modern era (MCP 2026-07-28, stdio and streamable HTTP,
    /// "Backward Compatibility"). No one answer means that it does not: whatever is none of the modern era may come from a
    /// server of the legacy one.
    pub(crate) async fn discover(to: To<'_>, within: Millis, wire: Wire) -> Result<Self, NotModern> {
        let mut link = Self::new(to, wire, Revision::NEWEST_MODERN);
        let request = link.request("server/discover", Object::new());
        let (perhaps, why) = match link.put(request, within).await {
            Ok(Answer::Result { result, .. }) => match modern::discovered(&result) {
                Some(said) if said.versions.iter().any(|version| version == link.revision.name()) => {
                    (link.has, link.changes) = (said.has, said.changes);
                    return Ok(link);
                }
                Some(said) => foreign(&said.versions),
                None => (true, "its answer to `server/discover` is not valid".to_owned()),
            },
            Ok(Answer::Error { code: modern::UNSUPPORTED_VERSION, data, .. }) => {
                foreign(&modern::supported(data.as_ref()))
            }
            Ok(Answer::Error { code, .. }) => {
                (!modern::is_refusal(code), format!("it answered `server/discover` with error {code}"))
            }
            Ok(Answer::InputRequired { .. }) => {
                (true, "it answered `server/discover` with a question".to_owned())
            }
            Err(fault @ Fault::Form(_)) => (false, fault.to_string()),
            // Where no request can be written, no other can be either; a child may have ended because of it.
            Err(fault @ Fault::Unreachable) => (matches!(link.wire, Wire::Child(_)), link.why(fault).await),
            Err(fault) => (true, link.why(fault).await),
        };
        if !perhaps {
            return Err(NotModern::No(why));
        }
        tracing::debug!(upstream = link.upstream, why, "it does not speak the modern era");
        Err(NotModern::Perhaps(link.wire, why))
    }

    /// Greets the upstream over a wire, and begins a session of the legacy era.
    pub(crate) async fn greet(to: To<'_>, wire: Wire) -> Result<Self, String> {
        let mut link = Self::new(to, wire, Revision::NEWEST);
        let result = match link.errand(Errand::Hello).await {
            Ok(result) => result,
            Err(fault) => return Err(link.why(fault).await),
        };
        let said = result.as_ref().and_then(hello).ok_or("its answer to `initialize` is not valid")?;
        link.revision = link.settle(&said)?;
        let ready = notification("notifications/initialized", None);
        link.tell(ready).await.map_err(|fault| fault.to_string())?;
        link.has = said.has;
        link.tasks = said.tasks && link.revision.has(Feature::Tasks);
        Ok(link)
    }

    /// Why it did not greet us, with its last words where it left any.
    async fn why(&self, fault: Fault) -> String {
        let words = match &self.wire {
            Wire::Child(child) => {
                // That it is going is seen before what it says of it.
                if matches!(fault, Fault::Closed | Fault::Unreachable) {
                    child.over().await;
                }
                child.said().last()
            }
            Wire::Http(_) => None,
        };
        words.map_or_else(|| fault.to_string(), |words| format!("{fault}; the last that it said: {words}"))
    }

    /// The revision that it answered, if we speak that one.
    fn settle(&self, said: &Hello) -> Result<Revision, String> {
        let revision = Revision::in_session(&said.version, Side::Upstreams);
        let revision = revision.ok_or_else(|| unspoken(std::slice::from_ref(&said.version), Era::Legacy))?;
        match &self.wire {
            Wire::Child(_) => {}
            Wire::Http(session) => session.settled(revision).ok_or("it was greeted twice")?,
        }
        Ok(revision)
    }

    /// The name of the upstream.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// What the upstream was when this link was made.
    #[must_use]
    pub const fn identity(&self) -> UpstreamHash {
        self.identity
    }

    /// Whether calls can still be made over it, as far as we know.
    #[must_use]
    pub fn alive(&self) -> bool {
        !*self.over.borrow() && self.wire.alive()
    }

    /// Nothing new is said over it, and nothing is listened to; what is under way goes on.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether what a call is for is told in headers too.
    pub(crate) const fn tells_headers(&self) -> bool {
        matches!((&self.wire, self.revision.era()), (Wire::Http(_), Era::Modern))
    }

    /// The revision that is spoken over it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What the upstream was told that a client can be asked within calls over it; in the modern era each call says that of
    /// itself.
    #[must_use]
    pub const fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Whether the upstream takes calls as tasks.
    pub(crate) const fn takes_tasks(&self) -> bool {
        self.tasks
    }

    /// What the upstream says that it has.
    #[must_use]
    pub const fn has(&self) -> Has {
        self.has
    }

    /// Runs one errand. Returns the result, where the errand has one.
    ///
    /// # Errors
    /// [`Fault`] when the upstream does not answer, or answers with an error ([`Fault::Invalid`]).
    pub async fn errand(&self, errand: Errand) -> Result<Option<RawJson>, Fault> {
        match errand {
            Errand::Hello => self.hello().await.map(Some),
            Errand::List(listing, cursor) => {
                let cursor = cursor.map(|cursor| ("cursor", Json::from(cursor.text())));
                self.ask(listing.method(), Object::from_iter(cursor)).await.map(Some)
            }
            Errand::Ping => match self.revision.era() {
                Era::Legacy => self.ask("ping", Object::new()).await.map(|_| None),
                Era::Modern => self.hello().await.map(|_| None),
            },
            Errand::Level(level) => match self.revision.era() {
                Era::Legacy => {
                    let level = Object::from_iter([("level", Json::from(level.name()))]);
                    self.ask("logging/setLevel", level).await.map(|_| None)
                }
                Era::Modern => Ok(None),
            },
            Errand::Cancel(attempt) => self.take_back(attempt).await.map(|()| None),
            Errand::Listen => {
                let mut over = self.over.subscribe();
                tokio::select! {
                    listened = self.listen() => listened.map(|()| None),
                    // An error means that the link is gone.
                    _ = over.wait_for(|over| *over) => Err(Fault::Closed),
                }
            }
            Errand::Close => {
                self.end();
                self.wire.close().await;
                Ok(None)
            }
        }
    }

    /// Listens to what is said over it unasked, for as long as the link is there, unless somebody does; and says each time
    /// that it listens anew, because meanwhile something may have been said unheard.
    pub(crate) fn attend(self: &Arc<Self>, again: impl Fn() + Send + 'static) {
        if self.attended.swap(true, Ordering::AcqRel) {
            return;
        }
        let (link, ambient) = (Arc::downgrade(self), Arc::clone(&self.ambient));
        tokio::spawn(async move {
            let mut wait = LISTEN_AGAIN;
            while let Some(link) = link.upgrade().filter(|link| link.alive()) {
                let began = ambient.boottime();
                let listened = link.errand(Errand::Listen).await;
                link.is_heard();
                match listened {
                    Err(fault) if !fault.passes() => return link.unheard(fault).await,
                    Ok(_) | Err(_) => {}
                }
                let held = ambient.boottime().since(began) >= LONGEST_WAIT;
                drop(link);
                tokio::time::sleep(wait.duration()).await;
                wait = if held { LISTEN_AGAIN } else { Millis::new(wait.get() * 2).min(LONGEST_WAIT) };
                again();
            }
        });
    }

    fn is_heard(&self) {
        self.heard.send_replace(true);
    }

    /// It is listened to from now on: what is watched already may have changed before. In the modern era each resource has a
    /// stream of its own.
    fn begins(&self) {
        self.wire.watches().missed();
        self.is_heard();
    }

    /// It cannot be listened to, now or ever, so what is watched over it is told of as changed once more. Whether its session is
    /// lost, or has no such stream, a request tells.
    async fn unheard(&self, fault: Fault) {
        if self.revision.era() == Era::Legacy {
            self.wire.watches().missed();
        }
        if matches!(fault, Fault::Status(400 | 404)) {
            let _ = self.errand(Errand::Ping).await;
        }
    }

    /// The same, and waits until it listens, where what is said before that would be lost: that a resource has changed, or what
    /// the caller of a session is asked, for which its calls wait.
    pub(crate) async fn hears(self: &Arc<Self>) {
        self.attend(|| {});
        let mut heard = self.heard.subscribe();
        // Who is slow to begin its stream is called all the same.
        let _ = tokio::time::timeout(HEARD_WITHIN, heard.wait_for(|heard| *heard)).await;
    }

    /// Nobody watches a resource any more: what a permit began ends.
    pub(crate) async fn unsubscribe(&self, uri: &str) {
        let uri = Object::from_iter([("uri", Json::from(uri))]);
        // It is a courtesy: what it tells of it goes nowhere.
        let _ = self.ask("resources/unsubscribe", uri).await;
    }

    /// Sees to it that messages of this level are told over it, as far as its upstream does as it is asked. What is less severe
    /// is asked for once; who shares the link and wants less is told less by whoever tells it (rfd 25).
    pub async fn tells(&self, level: Level) {
        let asked = {
            let mut told = self.level.lock().unwrap_or_else(PoisonError::into_inner);
            let asks = self.has.logging && told.is_none_or(|told| level < told);
            if asks {
                *told = Some(level);
            }
            asks && self.revision.era() == Era::Legacy
        };
        if asked {
            // A call is not kept from running by that.
            let asking = self.errand(Errand::Level(level));
            let _ = tokio::time::timeout(LEVEL_WITHIN, asking).await;
        }
    }

    async fn hello(&self) -> Result<RawJson, Fault> {
        match self.revision.era() {
            Era::Legacy => self.ask("initialize", introduction(self.abilities)).await,
            Era::Modern => self.ask("server/discover", Object::new()).await,
        }
    }

    async fn listen(&self) -> Result<(), Fault> {
        match (&self.wire, self.revision.era()) {
            (_, Era::Modern) if !self.changes => Err(Fault::Invalid),
            (_, Era::Modern) => {
                let request = self.request(modern::LISTEN, modern::listening());
                let slot = self.wire.slot().await?;
                let beside = Beside::Changes(Changes::default());
                let waiting = slot.send(request, beside).await.map_err(|broken| broken.fault)?;
                match waiting.answer().await.map_err(|broken| broken.fault)? {
                    Answer::Result { .. } => Ok(()),
                    Answer::Error { .. } | Answer::InputRequired { .. } => Err(Fault::Invalid),
                }
            }
            (Wire::Http(session), Era::Legacy) => session.listen(|| self.begins()).await,
            (Wire::Child(_), Era::Legacy) => Err(Fault::Invalid),
        }
    }

    /// Ends a call that is under way. Over HTTP in the modern era nothing is told: its response is closed (streamable HTTP,
    /// "Cancellation"). Who could not be told goes on, and its answer is the answer.
    async fn take_back(&self, attempt: AttemptId) -> Result<(), Fault> {
        let (id, end) = match self.calls().get_mut(&attempt) {
            Some(underway) => (underway.id.clone(), underway.end.take()),
            None => return Ok(()),
        };
        if !self.tells_headers() {
            self.tell(cancelled(&id)).await?;
        }
        // Who had it taken back before, or is answered by now, needs no more of it.
        let _ = end.map(|end| end.send(()));
        Ok(())
    }

    /// A request of our own, in the era that is spoken.
    fn request(&self, method: &'static str, params: Object) -> Request {
        Request::new(self.revision.era(), RequestId::fresh(self.ambient.as_ref()), method, params)
    }

    async fn ask(&self, method: &'static str, params: Object) -> Result<RawJson, Fault> {
        let answer = self.put(self.request(method, params), self.timeouts.start).await;
        let answer = answer.and_then(|answer| self.answered(answer));
        if answer.as_ref().is_err_and(|fault| self.doubtful(*fault)) {
            // The next link finds out what it does speak.
            self.end();
        }
        match answer? {
            Answer::Result { result, .. } => Ok(result),
            Answer::Error { code, message, .. } => {
                let message = terms::text::visible(&message);
                tracing::warn!(upstream = self.upstream, method, code, message, "an errand was refused");
                Err(Fault::Invalid)
            }
            // Of nothing that we ask of our own accord may more be asked (basic/patterns/mrtr, "Supported Requests").
            Answer::InputRequired { .. } => Err(Fault::Invalid),
        }
    }

    async fn put(&self, request: Request, within: Millis) -> Result<Answer, Fault> {
        let asking = async {
            let slot = self.wire.slot().await?;
            let waiting = slot.send(request, Beside::Nothing).await.map_err(|broken| broken.fault)?;
            waiting.answer().await.map_err(|broken| broken.fault)
        };
        tokio::time::timeout(within.duration(), asking).await.unwrap_or(Err(Fault::Timeout))
    }

    /// What an answer to a call is: a refusal that only the modern era has is none.
    pub(crate) fn answered(&self, answer: Answer) -> Result<Answer, Fault> {
        match (self.revision.era(), &answer) {
            // What its client would have to be capable of is for the caller to hear.
            (_, Answer::Error { code: modern::MISSING_CAPABILITY, .. }) => Ok(answer),
            (Era::Modern, Answer::Error { code, .. }) if modern::is_refusal(*code) => Err(Fault::Form(*code)),
            (Era::Modern | Era::Legacy, _) => Ok(answer),
        }
    }

    /// Sees to it that a call does not fail for long by what is not its own: a definition that wants other headers is read
    /// again, and who seems to speak otherwise is asked. One call does not end what all use, and nothing is sent again.
    pub(crate) fn failed(self: &Arc<Self>, fault: Fault) {
        if fault == Fault::Form(modern::HEADER_MISMATCH) {
            self.wire.notices().list_changed(Lists::Pinned);
        }
        if self.doubtful(fault) && !self.doubted.swap(true, Ordering::AcqRel) {
            let link = Arc::clone(self);
            tokio::spawn(async move {
                // What it answers is seen to by whoever asks.
                let _ = link.hello().await;
                link.doubted.store(false, Ordering::Release);
            });
        }
    }

    /// Whether the upstream seems not to speak any more what it did (versioning, "re-probing if the cached assumption later
    /// fails").
    fn doubtful(&self, fault: Fault) -> bool {
        self.revision.era() == Era::Modern && fault.speaks_otherwise()
    }

    async fn tell(&self, text: String) -> Result<(), Fault> {
        let telling = async {
            let slot = self.wire.slot().await?;
            slot.tell(text).await.map_err(|broken| broken.fault)
        };
        tokio::time::timeout(self.timeouts.connect.duration(), telling).await.unwrap_or(Err(Fault::Timeout))
    }

    /// Tells the upstream that an answer is not waited for any more.
    pub(crate) async fn cancel(self: Arc<Self>, id: RequestId) {
        if self.tells_headers() {
            // Its response is closed, and that says it.
            return;
        }
        // It is a courtesy; who cannot be told goes on working for nobody.
        let _ = self.tell(cancelled(&id)).await;
    }

    /// What is secret among arguments that are about to be sent: it is struck out of what the upstream may say
    /// into a log, ours or its caller's.
    pub(crate) fn passes(&self, access: &Access, clear: &Json) {
        let mut secrets = Vec::new();
        for (name, sealed) in access.arguments().iter() {
            differing(sealed, clear.get(name), &mut secrets);
        }
        if !secrets.is_empty() {
            self.wire.said().passes(&secrets);
        }
    }

    /// Enters a call, so that it can be cancelled and the link counts as used.
    pub(crate) fn enter(&self, attempt: AttemptId, id: &RequestId) -> Result<Call<'_>, Fault> {
        let mut calls = self.calls();
        if calls.len() >= MOST_CALLS {
            return Err(Fault::Unreachable);
        }
        let (end, ended) = oneshot::channel();
        calls.insert(attempt, Underway { id: id.clone(), end: Some(end) });
        drop(calls);
        self.touch();
        Ok(Call { link: self, attempt, end: ended })
    }

    /// Whether this is the request of that attempt, and it is under way.
    pub(crate) fn runs(&self, attempt: AttemptId, id: &RequestId) -> bool {
        self.calls().get(&attempt).is_some_and(|underway| underway.id == *id)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<AttemptId, Underway>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = self.ambient.boottime();
    }

    /// Whether nothing was called over it for as long as a link may be idle.
    pub(crate) fn idle(&self, now: Boottime) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.calls().is_empty() && self.wire.watches().is_empty() && now.since(used) >= self.timeouts.idle
    }

    /// How long it has been there.
    pub(crate) fn age(&self, now: Boottime) -> Millis {
        now.since(self.begun)
    }
}

impl Call<'_> {
    /// Waits until it is to be ended without an answer; for ever where that is not wanted.
    pub(crate) async fn taken_back(&mut self) {
        if (&mut self.end).await.is_err() {
            return std::future::pending().await;
        }
        if !self.link.tells_headers() {
            tokio::time::sleep(ANSWERS_WITHIN).await;
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.link.calls().remove(&self.attempt);
        self.link.touch();
    }
}

/// The texts of the clear value wherever it is not what was judged in the open.
fn differing(sealed: &Json, clear: Option<&Json>, secrets: &mut Vec<Secret<String>>) {
    match (sealed, clear) {
        (_, None) => {}
        (Json::Object(sealed), Some(Json::Object(clear)))
            if sealed.iter().all(|(name, _)| clear.get(name).is_some()) =>
        {
            sealed.iter().for_each(|(name, value)| differing(value, clear.get(name), secrets));
        }
        (Json::Array(sealed), Some(Json::Array(clear))) => {
            sealed.iter().zip(clear).for_each(|(value, clear)| differing(value, Some(clear), secrets));
        }
        (sealed, Some(clear)) if sealed != clear => texts(clear, secrets),
        (_, Some(_)) => {}
    }
}

/// Every text within a value, and every number as text.
fn texts(value: &Json, into: &mut Vec<Secret<String>>) {
    match value {
        Json::String(text) => into.push(Secret::new(text.clone())),
        Json::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Json::Object(members) => members.iter().for_each(|(_, value)| texts(value, into)),
        Json::Number(number) => into.push(Secret::new(number.text())),
        Json::Bool(_) | Json::Null => {}
    }
}

/// What becomes of an upstream of the modern era that speaks these revisions, none of which is ours of that era: one of
/// the legacy era is spoken by greeting it. Whether it is to be greeted, and why not.
fn foreign(versions: &[String]) -> (bool, String) {
    let mut legacy = Revision::in_sessions(Side::Upstreams);
    let known = legacy.any(|revision| versions.iter().any(|version| version == revision.name()));
    (known, unspoken(versions, Era::Modern))
}

fn unspoken(versions: &[String], era: Era) -> String {
    let theirs: Vec<String> =
        versions.iter().take(MOST_NAMED).map(|version| terms::text::visible(version)).collect();
    let ours: Vec<&str> = match era {
        Era::Legacy => Revision::in_sessions(Side::Upstreams).map(Revision::name).collect(),
        Era::Modern => Revision::all(Side::Upstreams).map(Revision::name).collect(),
    };
    format!("it speaks MCP {}, and stepup speaks {}", theirs.join(", "), ours.join(", "))
}

/// `initialize`, in which we say what of all that an upstream may ask is passed on to the client of its session.
fn introduction(abilities: Abilities) -> Object {
    Object::from_iter([
        ("protocolVersion", Json::from(Revision::NEWEST.name())),
        ("capabilities", Json::Object(abilities.capabilities())),
        ("clientInfo", modern::client_info()),
    ])
}
