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

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use terms::revision::Era;
use tokio::sync::{mpsc, watch};

use crate::answer::{Answer, Fault, Progress};
use crate::message::{Lists, Request, RequestId};

/// The longest message of an upstream, in bytes.
pub(crate) const LONGEST: usize = 16 << 20;

/// What is dropped of upstreams of the modern era, as it is told in our log.
pub(crate) const FORBIDDEN: &str = "a request, which no server of its era may write";
pub(crate) const UNSUBSCRIBED: &str = "a notification of a subscription that is not there";

/// Where progress of one call goes. A notice that finds it full is dropped: the next one says more.
pub(crate) type Sink = mpsc::Sender<Progress>;

/// What is listened for beside the answer of a request.
#[derive(Debug)]
pub(crate) enum Beside {
    Nothing,
    Progress(Sink),
    /// The changes that a subscription tells of, once the upstream has acknowledged it (MCP 2026-07-28, subscriptions,
    /// "Acknowledgment").
    Changes {
        acknowledged: bool,
    },
}

impl Beside {
    /// Where progress goes, if anywhere.
    pub(crate) fn progress(sink: Option<Sink>) -> Self {
        sink.map_or(Self::Nothing, Self::Progress)
    }

    /// Takes a notice of progress; whether somebody listens for it.
    pub(crate) fn told(&self, progress: Progress) -> bool {
        match self {
            Self::Progress(sink) => sink.try_send(progress).is_ok(),
            Self::Nothing | Self::Changes { .. } => false,
        }
    }

    /// The upstream says that what was subscribed to begins; whether it was, and had not.
    pub(crate) const fn acknowledge(&mut self) -> bool {
        match self {
            Self::Changes { acknowledged } => !std::mem::replace(acknowledged, true),
            Self::Nothing | Self::Progress(_) => false,
        }
    }

    /// Whether changes are listened for and may be told by now.
    pub(crate) const fn hears_changes(&self) -> bool {
        matches!(self, Self::Changes { acknowledged: true })
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
pub(crate) struct Pending(Mutex<HashMap<RequestId, Awaited>>);

/// One awaited answer; `None` is one that is not valid.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) answer: tokio::sync::oneshot::Sender<Option<Answer>>,
    pub(crate) beside: Beside,
}

impl Pending {
    fn open(&self) -> MutexGuard<'_, HashMap<RequestId, Awaited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, id: RequestId, awaited: Awaited) {
        self.open().insert(id, awaited);
    }

    pub(crate) fn take(&self, id: &RequestId) -> Option<Awaited> {
        self.open().remove(id)
    }

    /// Tells whoever awaits an answer of something beside it; whether somebody does, and takes it.
    pub(crate) fn told(&self, id: &RequestId, tell: impl FnOnce(&mut Beside) -> bool) -> bool {
        self.open().get_mut(id).is_some_and(|awaited| tell(&mut awaited.beside))
    }

    /// Gives up what the upstream ended: a subscription, and nothing else. Whether there was one.
    pub(crate) fn end_subscription(&self, id: &RequestId) -> bool {
        let mut open = self.open();
        let subscribed = open.get(id).is_some_and(|awaited| matches!(awaited.beside, Beside::Changes { .. }));
        subscribed && open.remove(id).is_some()
    }

    /// Gives every answer up.
    pub(crate) fn clear(&self) {
        self.open().clear();
    }
}
