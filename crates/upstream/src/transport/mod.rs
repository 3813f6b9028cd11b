//! How messages travel. A transport carries a request there and its answer back; what is in them is the
//! protocol's business, and whether they may travel is [`crate::forward`]'s and [`crate::errand`]'s.
//!
//! A request is written in two steps, so that the permit is looked at once more when everything is ready for
//! its first byte, and not before: [`Wire::slot`] waits until one message can be written, [`Slot::send`]
//! writes it. Nothing here ever sends anything twice (R5).

pub(crate) mod child;
pub(crate) mod http;
pub(crate) mod said;
pub(crate) mod sse;
pub(crate) mod stdio;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use terms::revision::Era;
use tokio::sync::{broadcast, mpsc, watch};

use crate::answer::{Answer, Fault, Progress};
use crate::message::{Lists, Request, RequestId};
use crate::note::{Note, Notes};
use crate::opened::Opened;
use crate::question::{Asked, Question, Unanswered};
use crate::transport::said::Said;
use crate::watch::{Changes, Watches};

/// The longest message of an upstream, in bytes.
pub(crate) const LONGEST: usize = 16 << 20;

/// What is dropped of upstreams of the modern era, as it is told in our log.
pub(crate) const FORBIDDEN: &str = "a request, which no server of its era may write";
pub(crate) const UNSUBSCRIBED: &str = "a notification of a subscription that is not there";

/// The same of resources.
pub(crate) const UNWATCHED: &str = "word of a resource that nobody watches";

/// The same of what is told beside an answer.
pub(crate) const UNHEARD: &str =
    "a log message or a notice that nobody listens for, or that is of no one call";

/// Where progress of one call goes. Where it is full the oldest notice is dropped: later ones say more.
pub(crate) type Sink = broadcast::Sender<Progress>;

/// Requests whose answers were given up, and may still come.
const MOST_GIVEN_UP: usize = 1024;

/// Who listens while a call runs.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) progress: Option<Sink>,
    /// Where what the upstream asks goes; what finds it full is too much.
    pub(crate) questions: Option<mpsc::Sender<Question>>,
    /// Where what it tells beside goes.
    pub(crate) notes: Option<Notes>,
}

/// What is listened for beside the answer of a request.
#[derive(Debug)]
pub(crate) enum Beside {
    Nothing,
    /// What comes while a call runs.
    Call(Listeners),
    /// The changes that a subscription tells of.
    Changes(Changes),
}

impl Beside {
    /// Takes a notice of progress; whether somebody listens for it.
    pub(crate) fn told(&self, progress: Progress) -> bool {
        match self {
            Self::Call(Listeners { progress: Some(sink), .. }) => sink.send(progress).is_ok(),
            Self::Call(Listeners { progress: None, .. }) | Self::Nothing | Self::Changes(_) => false,
        }
    }

    /// Takes what is told beside the answer; whether somebody listens for it and has room.
    pub(crate) fn note(&self, note: Note) -> bool {
        match self {
            Self::Call(Listeners { notes: Some(notes), .. }) => notes.to.try_send(note).is_ok(),
            Self::Call(Listeners { notes: None, .. }) | Self::Nothing | Self::Changes(_) => false,
        }
    }

    /// Whether it takes what belongs to some call of its session.
    const fn is_of_session(&self) -> bool {
        matches!(self, Self::Call(Listeners { notes: Some(Notes { of_session: true, .. }), .. }))
    }

    const fn is_call(&self) -> bool {
        matches!(self, Self::Call(_))
    }

    /// Takes a question that is asked within this call; it is answered in any case.
    pub(crate) fn ask(&self, question: Question) {
        let Self::Call(Listeners { questions: Some(sink), .. }) = self else {
            return question.unanswered(Unanswered::Unsupported);
        };
        match sink.try_send(question) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(question)) => question.unanswered(Unanswered::TooMany),
            Err(mpsc::error::TrySendError::Closed(question)) => question.unanswered(Unanswered::None),
        }
    }

    /// What it subscribes to.
    pub(crate) const fn changes(&mut self) -> Option<&mut Changes> {
        match self {
            Self::Changes(changes) => Some(changes),
            Self::Nothing | Self::Call(_) => None,
        }
    }

    /// Whether it goes on until somebody ends it.
    pub(crate) const fn is_subscription(&self) -> bool {
        matches!(self, Self::Changes(_))
    }
}

/// A fault, and whether a byte of the request may have left us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) fault: Fault,
    pub(crate) sent: bool,
}

impl Broken {
    pub(crate) const fn unsent(fault: Fault) -> Self {
        Self { fault, sent: false }
    }

    pub(crate) const fn sent(fault: Fault) -> Self {
        Self { fault, sent: true }
    }
}

/// One live connection to an upstream: a child, or an HTTP session.
pub(crate) enum Wire {
    Child(stdio::Child),
    Http(http::Session),
}

/// The right to write one message now.
pub(crate) enum Slot {
    Child(stdio::Slot),
    Http(http::Slot),
}

/// A request that is written; what is left is its answer. Dropping it gives the answer up.
pub(crate) enum Waiting {
    Child(stdio::Waiting),
    Http(http::Waiting),
}

impl Wire {
    /// Waits until one message can be written.
    pub(crate) async fn slot(&self) -> Result<Slot, Fault> {
        match self {
            Self::Child(child) => child.slot().await.map(Slot::Child),
            Self::Http(session) => session.slot().await.map(Slot::Http),
        }
    }

    /// From now on this era is spoken over it.
    pub(crate) fn speak(&self, era: Era) {
        match self {
            Self::Child(child) => child.speak(era),
            Self::Http(session) => session.speak(era),
        }
    }

    /// All calls over it are those of one session.
    pub(crate) fn is_of_one_session(&self) {
        match self {
            Self::Child(child) => child.is_of_one_session(),
            Self::Http(session) => session.is_of_one_session(),
        }
    }

    /// What it was handed that is struck out of what it says.
    pub(crate) fn said(&self) -> &Said {
        match self {
            Self::Child(child) => child.said(),
            Self::Http(session) => session.said(),
        }
    }

    /// What is watched over it.
    pub(crate) fn watches(&self) -> &Watches {
        match self {
            Self::Child(child) => child.watches(),
            Self::Http(session) => session.watches(),
        }
    }

    /// What was asked to be opened over it.
    pub(crate) fn opened(&self) -> &Opened {
        match self {
            Self::Child(child) => child.opened(),
            Self::Http(session) => session.opened(),
        }
    }

    /// What is heard beside answers.
    pub(crate) fn notices(&self) -> &Notices {
        match self {
            Self::Child(child) => child.notices(),
            Self::Http(session) => session.notices(),
        }
    }

    /// Whether requests can still be written, as far as we know.
    pub(crate) fn alive(&self) -> bool {
        match self {
            Self::Child(child) => child.alive(),
            Self::Http(session) => session.alive(),
        }
    }

    /// Ends it in good order; dropping it does the same, without waiting.
    pub(crate) async fn close(&self) {
        match self {
            Self::Child(child) => child.close().await,
            Self::Http(session) => session.close().await,
        }
    }
}

impl Slot {
    /// Writes a request whose answer is wanted.
    pub(crate) async fn send(self, request: Request, beside: Beside) -> Result<Waiting, Broken> {
        match self {
            Self::Child(slot) => slot.send(request, beside).await.map(Waiting::Child),
            Self::Http(slot) => slot.send(request, beside).await.map(Waiting::Http),
        }
    }

    /// Writes a message that is not answered.
    pub(crate) async fn tell(self, text: String) -> Result<(), Broken> {
        match self {
            Self::Child(slot) => slot.tell(text).await,
            Self::Http(slot) => slot.tell(text).await,
        }
    }
}

impl Waiting {
    /// The answer.
    pub(crate) async fn answer(self) -> Result<Answer, Broken> {
        match self {
            Self::Child(waiting) => waiting.answer().await,
            Self::Http(waiting) => waiting.answer().await,
        }
    }
}

/// What is heard beside answers, of all links of one upstream.
#[derive(Debug)]
pub(crate) struct Notices {
    upstream: String,
    pinned: watch::Sender<u64>,
    resources: watch::Sender<u64>,
    dropped: AtomicU64,
}

impl Notices {
    pub(crate) fn new(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            pinned: watch::Sender::new(0),
            resources: watch::Sender::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// The name of the upstream.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// These lists may have changed.
    pub(crate) fn list_changed(&self, lists: Lists) {
        self.of(lists).send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(crate) fn changes(&self, lists: Lists) -> watch::Receiver<u64> {
        self.of(lists).subscribe()
    }

    const fn of(&self, lists: Lists) -> &watch::Sender<u64> {
        match lists {
            Lists::Pinned => &self.pinned,
            Lists::Resources => &self.resources,
        }
    }

    /// Something came that goes nowhere. Told at powers of two, so that a flood is not a flood of log lines.
    pub(crate) fn dropped(&self, what: &'static str) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            tracing::warn!(upstream = self.upstream, what, dropped, "dropped what an upstream sent");
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Requests whose answers are awaited, by our ids (T24).
#[derive(Debug, Default)]
pub(crate) struct Pending {
    open: Mutex<HashMap<RequestId, Awaited>>,
    /// Calls whose answers are not awaited any more, and may still run.
    given_up: Mutex<GivenUp>,
}

#[derive(Debug, Default)]
struct GivenUp {
    calls: HashSet<RequestId>,
    /// Whether there were more than are remembered.
    more: bool,
}

/// One awaited answer; `None` is one that is not valid.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// Where it goes, where it comes on a stream that all share.
    pub(crate) answer: Option<tokio::sync::oneshot::Sender<Option<Answer>>>,
    pub(crate) beside: Beside,
}

impl Pending {
    fn open(&self) -> MutexGuard<'_, HashMap<RequestId, Awaited>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given_up(&self) -> MutexGuard<'_, GivenUp> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, id: RequestId, awaited: Awaited) {
        self.open().insert(id, awaited);
    }

    /// The answer has come; who awaits it, if somebody still does.
    pub(crate) fn take(&self, id: &RequestId) -> Option<Awaited> {
        let awaited = self.open().remove(id);
        if awaited.is_none() {
            self.given_up().calls.remove(id);
        }
        awaited
    }

    /// The answer is not awaited any more.
    pub(crate) fn give_up(&self, id: &RequestId) {
        let call = self.open().remove(id).is_some_and(|awaited| awaited.beside.is_call());
        if !call {
            return;
        }
        let mut given_up = self.given_up();
        if given_up.calls.len() < MOST_GIVEN_UP {
            given_up.calls.insert(id.clone());
        } else {
            given_up.more = true;
        }
    }

    /// Passes on what is asked within this call.
    pub(crate) fn ask_within(
        &self,
        id: &RequestId,
        asked: Asked,
        back: impl FnOnce(String) + Send + 'static,
    ) {
        match self.open().get(id) {
            Some(call) => call.beside.ask(asked.within(id.clone(), back)),
            None => back(asked.unanswered(Unanswered::Unattributed)),
        }
    }

    /// Passes on what is told beside the answer of this one; whether somebody takes it.
    pub(crate) fn note_within(&self, id: &RequestId, note: Note) -> bool {
        self.open().get(id).is_some_and(|awaited| awaited.beside.note(note))
    }

    /// Passes on what is asked on a stream that all calls share, if only one call can be meant: where another is under way,
    /// or may still run without anybody waiting for it, nobody is asked in its name (T24).
    pub(crate) fn ask(&self, asked: Asked, back: impl FnOnce(String) + Send + 'static) {
        let open = self.open();
        let mut calls = open.iter().filter(|(_, awaited)| awaited.beside.is_call());
        let given_up = self.given_up();
        let alone = given_up.calls.is_empty() && !given_up.more;
        match (calls.next(), calls.next()) {
            (Some((id, call)), None) if alone => call.beside.ask(asked.within(id.clone(), back)),
            (Some(_) | None, _) => back(asked.unanswered(Unanswered::Unattributed)),
        }
    }

    /// Passes on what is told on a stream that all calls share: to the one call that can be meant, or, where all calls are
    /// those of one session, to one of them that takes that. Whether somebody takes it.
    pub(crate) fn note(&self, note: Note, one_session: bool) -> bool {
        let open = self.open();
        let calls = || open.values().filter(|awaited| awaited.beside.is_call());
        let given_up = self.given_up();
        let alone = given_up.calls.is_empty() && !given_up.more && calls().count() == 1;
        let takes = |awaited: &&Awaited| alone || one_session && awaited.beside.is_of_session();
        calls().find(takes).is_some_and(|awaited| awaited.beside.note(note))
    }

    /// Tells whoever awaits an answer how far it is; whether somebody listens for that.
    pub(crate) fn told(&self, id: &RequestId, progress: Progress) -> bool {
        self.open().get(id).is_some_and(|awaited| awaited.beside.told(progress))
    }

    /// Tells a subscription something; whether there is one, and it takes that.
    pub(crate) fn subscribed(&self, id: &RequestId, tell: impl FnOnce(&mut Changes) -> bool) -> bool {
        self.open().get_mut(id).and_then(|awaited| awaited.beside.changes()).is_some_and(tell)
    }

    /// Gives up what the upstream ended: a subscription, and nothing else. Whether there was one.
    pub(crate) fn end_subscription(&self, id: &RequestId) -> bool {
        let mut open = self.open();
        let subscribed = open.get(id).is_some_and(|awaited| awaited.beside.is_subscription());
        subscribed && open.remove(id).is_some()
    }

    /// Gives every answer up.
    pub(crate) fn clear(&self) {
        self.open().clear();
    }
}
