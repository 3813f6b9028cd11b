//! Who waits for what: in-process wake-ups, never a source of truth. Whoever wakes runs the same `decide`
//! again; nothing runs from memory of the first judgement (B20).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use terms::ElevationId;
use tokio::sync::{Notify, futures::OwnedNotified, watch};

/// Wake-ups by elevation, one for "something that people look at has changed", and one for "there is something to tell".
pub(crate) struct Watch {
    waiting: Mutex<HashMap<ElevationId, (Arc<Notify>, usize)>>,
    changes: watch::Sender<u64>,
    events: watch::Sender<u64>,
}

/// One who waits for an elevation to change. Made before the elevation is read, so that no change between
/// the read and the wait is missed.
pub struct Waiting {
    notified: std::pin::Pin<Box<OwnedNotified>>,
    id: ElevationId,
    watch: Arc<Watch>,
}

impl Watch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(HashMap::new()),
            changes: watch::Sender::new(0),
            events: watch::Sender::new(0),
        })
    }

    /// Begins to wait. Bounded by the callers' budgets of held calls.
    pub(crate) fn wait(self: &Arc<Self>, id: ElevationId) -> Waiting {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (notify, count) = waiting.entry(id).or_insert_with(|| (Arc::new(Notify::new()), 0));
        *count += 1;
        let mut notified = Box::pin(Arc::clone(notify).notified_owned());
        notified.as_mut().enable();
        Waiting { notified, id, watch: Arc::clone(self) }
    }

    /// Wakes everyone who waits for this elevation.
    pub(crate) fn wake(&self, id: ElevationId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((notify, _)) = waiting.get(&id) {
            notify.notify_waiters();
        }
        drop(waiting);
        self.changed();
    }

    /// Tells everyone who looks at a list.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Tells whoever tells people outside that there is something to tell.
    pub(crate) fn told(&self) {
        self.events.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Follows what there is to tell.
    pub(crate) fn events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Follows what people look at.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Waiting {
    /// Returns when the elevation has changed.
    pub async fn changed(&mut self) {
        self.notified.as_mut().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.watch.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = waiting.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}
