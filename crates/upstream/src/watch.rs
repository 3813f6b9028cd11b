//! Resources of which an upstream tells that they change (MCP 2025-11-25, server/resources, "Subscriptions"). Whoever
//! subscribes over one link shares one subscription there, which ends with the last of them. What is kept of an update is
//! that there was one since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::link::Link;

/// Resources that are watched over one link.
const MOST: usize = 256;

/// What is watched over one link, by URI.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<HashMap<String, Watched>>);

#[derive(Debug, Default)]
struct Watched {
    by: usize,
    /// Whether the upstream said that it tells of it.
    told: bool,
    updates: u64,
}

impl Watches {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// A resource has changed; whether anybody watches it.
    pub(crate) fn updated(&self, uri: &str) -> bool {
        self.all().get_mut(uri).map(|watched| watched.updates = watched.updates.wrapping_add(1)).is_some()
    }
}

/// One who is told of the changes of one resource. Dropped by the last one, the upstream is told that nobody is.
pub struct Watch {
    link: Arc<Link>,
    uri: String,
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
        if all.len() >= MOST && !all.contains_key(uri) {
            return None;
        }
        let watched = all.entry(uri.to_owned()).or_default();
        watched.by += 1;
        let (told, seen) = (watched.told, watched.updates);
        drop(all);
        Some((Self { link: Arc::clone(link), uri: uri.to_owned(), seen }, told))
    }

    /// The upstream tells of it from now on.
    pub(crate) fn begun(&self) {
        if let Some(watched) = self.link.wire.watches().all().get_mut(&self.uri) {
            watched.told = true;
        }
    }

    /// Whether it has changed since this was last asked.
    pub fn changed(&mut self) -> bool {
        let updates =
            self.link.wire.watches().all().get(&self.uri).map_or(self.seen, |watched| watched.updates);
        std::mem::replace(&mut self.seen, updates) != updates
    }

    /// Whether the link over which it is told is still there.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.link.alive()
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut all = self.link.wire.watches().all();
        let Some(watched) = all.get_mut(&self.uri) else { return };
        watched.by = watched.by.saturating_sub(1);
        if watched.by > 0 {
            return;
        }
        let told = all.remove(&self.uri).is_some_and(|watched| watched.told);
        drop(all);
        let (link, uri) = (Arc::clone(&self.link), std::mem::take(&mut self.uri));
        if let (true, true, Ok(runtime)) = (told, link.alive(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { link.unsubscribe(&uri).await });
        }
    }
}
