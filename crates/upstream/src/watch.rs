//! Resources of which an upstream tells that they change (MCP 2025-11-25, server/resources, "Subscriptions"; 2026-07-28,
//! subscriptions). Whoever subscribes over one link shares one subscription there, which ends with the last of them. What is
//! kept of an update is that there was one since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terms::{Feature, Seam};
use tokio::sync::oneshot;

use crate::answer::{Answer, Fault, RawJson};
use crate::link::Link;
use crate::message::Request;
use crate::transport::{Beside, Broken, Slot};

/// Resources that are watched over one link.
const MOST: usize = 256;

/// What is watched over one link, by URI.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    by_uri: HashMap<String, Watched>,
    /// How many subscriptions there were, which tells them apart.
    begun: u64,
}

#[derive(Debug, Default)]
struct Watched {
    /// Which of all subscriptions of this URI it is.
    nth: u64,
    by: usize,
    /// Whether the upstream said that it tells of it.
    told: bool,
    updates: u64,
    /// Where it is a stream of its own, the end of that: it goes on for as long as this is kept.
    stream: Option<oneshot::Sender<()>>,
}

impl Watches {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().by_uri.is_empty()
    }

    /// A resource has changed; whether anybody watches it.
    pub(crate) fn updated(&self, uri: &str) -> bool {
        self.all().by_uri.get_mut(uri).map(Watched::update).is_some()
    }

    /// Any of them may have changed unheard.
    pub(crate) fn missed(&self) {
        self.all().by_uri.values_mut().for_each(Watched::update);
    }
}

impl Watched {
    const fn update(&mut self) {
        self.updates = self.updates.wrapping_add(1);
    }
}

/// One who is told of the changes of one resource. Dropped by the last one, the upstream is told that nobody is.
pub struct Watch {
    link: Arc<Link>,
    uri: String,
    nth: u64,
    seen: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("upstream", &self.link.upstream()).finish_non_exhaustive()
    }
}

impl Watch {
    /// One more who watches, and whether the upstream tells of it already; `None` where too much is watched.
    pub(crate) fn begin(link: &Arc<Link>, uri: &str) -> Option<(Self, bool)> {
        let mut all = link.wire.watches().all();
        if !all.by_uri.contains_key(uri) {
            if all.by_uri.len() >= MOST {
                return None;
            }
            all.begun += 1;
            let nth = all.begun;
            all.by_uri.insert(uri.to_owned(), Watched { nth, ..Watched::default() });
        }
        let watched = all.by_uri.get_mut(uri)?;
        watched.by += 1;
        let (nth, told, seen) = (watched.nth, watched.told, watched.updates);
        drop(all);
        Some((Self { link: Arc::clone(link), uri: uri.to_owned(), nth, seen }, told))
    }

    /// The subscription that it shares, while that is there.
    fn shared<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> Option<T> {
        let mut all = self.link.wire.watches().all();
        all.by_uri.get_mut(&self.uri).filter(|watched| watched.nth == self.nth).map(look)
    }

    /// The upstream tells of it from now on, for as long as this stream of it is kept where it is one. Of two who began at
    /// once one stream is enough.
    pub(crate) fn begun(&self, stream: Option<oneshot::Sender<()>>) {
        let surplus = self.shared(|watched| {
            if std::mem::replace(&mut watched.told, true) {
                return stream;
            }
            watched.stream = stream;
            None
        });
        drop(surplus);
    }

    /// The upstream has ended the subscription: it is told of nothing any more, and who watches next begins another.
    pub(crate) fn ended(link: &Link, uri: &str, nth: u64) {
        let mut all = link.wire.watches().all();
        let over = all.by_uri.get(uri).is_some_and(|watched| watched.nth == nth);
        let over = over.then(|| all.by_uri.remove(uri));
        drop(all);
        drop(over);
    }

    /// Whether it has changed since this was last asked.
    pub fn changed(&mut self) -> bool {
        let updates = self.shared(|watched| watched.updates).unwrap_or(self.seen);
        std::mem::replace(&mut self.seen, updates) != updates
    }

    /// Whether it is still told of: the link is there, and its upstream has not ended the subscription.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.link.alive() && self.shared(|_| ()).is_some()
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(0) = self.shared(|watched| {
            watched.by = watched.by.saturating_sub(1);
            watched.by
        }) else {
            return;
        };
        let Some(over) = self.link.wire.watches().all().by_uri.remove(&self.uri) else { return };
        let (link, uri) = (Arc::clone(&self.link), std::mem::take(&mut self.uri));
        // Where it is a stream of its own, that ends with it.
        let asks = over.told && over.stream.is_none() && link.alive();
        if let (true, Ok(runtime)) = (asks, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { link.unsubscribe(&uri).await });
        }
    }
}

/// What a subscription of the modern era tells of, once the upstream has acknowledged it (MCP 2026-07-28, subscriptions,
/// "Acknowledgment"): that lists have changed, or one resource.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    acknowledged: bool,
    of: Option<Of>,
}

#[derive(Debug)]
struct Of {
    uri: String,
    /// Where it is told whether the upstream tells of it.
    begun: Option<oneshot::Sender<bool>>,
}

impl Changes {
    /// Of a resource, and where it is told whether the upstream tells of it.
    fn of(uri: &str) -> (Self, oneshot::Receiver<bool>) {
        let (begun, acknowledged) = oneshot::channel();
        let of = Of { uri: uri.to_owned(), begun: Some(begun) };
        (Self { acknowledged: false, of: Some(of) }, acknowledged)
    }

    /// The upstream says that it begins, with these resources; whether it had not.
    pub(crate) fn acknowledge(&mut self, told: &[String]) -> bool {
        if let Some(Of { uri, begun }) = &mut self.of
            && let Some(begun) = begun.take()
        {
            // Who does not wait for it any more has ended it.
            let _ = begun.send(told.contains(uri));
        }
        !std::mem::replace(&mut self.acknowledged, true)
    }

    /// Whether it tells of lists by now.
    pub(crate) const fn hears_lists(&self) -> bool {
        self.acknowledged && self.of.is_none()
    }

    /// The resource has changed, or what belongs to it; whether it tells of one by now, and somebody watches that.
    pub(crate) fn updated(&self, watches: &Watches) -> bool {
        self.of.as_ref().is_some_and(|of| self.acknowledged && watches.updated(&of.uri))
    }
}

/// Begins what a resource is told of by in the modern era: a stream of its own. Answered is that it begins; it goes on until
/// what is given with that is dropped, or the upstream ends it.
pub(crate) async fn open(
    slot: Slot,
    request: Request,
    watch: &Watch,
) -> Result<(Answer, Option<oneshot::Sender<()>>), Broken> {
    let (link, uri, nth) = (Arc::clone(&watch.link), watch.uri.clone(), watch.nth);
    let (changes, begun) = Changes::of(&uri);
    let id = request.id.clone();
    let waiting = slot.send(request, Beside::Changes(changes)).await?;
    link.ambient.seam(Seam::UpstreamSent);
    let mut whole = Box::pin(waiting.answer());
    let told = tokio::select! {
        biased;
        Ok(told) = begun => told,
        answer = &mut whole => match link.answered(answer?).map_err(Broken::sent)? {
            Answer::Result { .. } | Answer::InputRequired { .. } => false,
            refused @ Answer::Error { .. } => return Ok((refused, None)),
        },
    };
    let (stream, over) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = &mut whole => Watch::ended(&link, &uri, nth),
            _ = over => {
                drop(whole);
                link.cancel(id).await;
            }
        }
    });
    // Dropped, it ends what was acknowledged without it.
    let begun = || Answer::Result { result: RawJson::empty(), failed: false };
    told.then(|| (begun(), Some(stream))).ok_or(Broken::sent(Fault::Needs(Feature::Subscriptions)))
}
