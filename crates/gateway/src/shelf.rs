//! What upstreams say of their resources, kept for a short while: a list is asked for with no byte of a caller in it
//! (decisions A9), whole, and what of it a caller is shown is judged for that caller each time (T35). Nothing of it is
//! believed: what may be read is judged by its URI, whatever is listed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use authority::Resources;
use terms::{Boottime, Json, Millis};
use upstream::{Listing, Unreachable};

use crate::gateway::Inner;

/// Between two looks at least this passes, however often an upstream says that its list has changed.
const REST: Millis = Millis::new(500);

/// The lists of all upstreams; there are as many as are configured.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<(String, Resources), Arc<Place>>>);

/// The place of one list; whoever asks for it holds the lock, so that it is asked for once.
#[derive(Default)]
struct Place(tokio::sync::Mutex<Option<Kept>>);

struct Kept {
    list: Arc<BTreeMap<String, Json>>,
    at: Boottime,
    /// How often the upstream had said until then that something has changed.
    changes: u64,
}

/// What an upstream lists, by URI or template.
///
/// # Errors
/// [`Unreachable`] when it cannot be asked, or its list cannot be taken.
pub(crate) async fn listed(
    inner: &Inner,
    upstream: &str,
    of: Resources,
) -> Result<Arc<BTreeMap<String, Json>>, Unreachable> {
    let (Some(said), Some(relist)) =
        (inner.upstreams.resource_changes(upstream), inner.upstreams.relist(upstream))
    else {
        return Err(Unreachable::Unknown);
    };
    let place = inner.shelf.place(upstream, of);
    let mut kept = place.0.lock().await;
    let now = inner.authority.ambient().boottime();
    let good = |kept: &Kept| {
        let age = now.since(kept.at);
        age < REST || (kept.changes == said && age < relist)
    };
    if let Some(kept) = kept.as_ref().filter(|kept| good(kept)) {
        return Ok(Arc::clone(&kept.list));
    }
    let listing = match of {
        Resources::Named => Listing::Resources,
        Resources::Templates => Listing::Templates,
    };
    let list = inner.upstreams.list(upstream, listing).await?;
    let list: BTreeMap<String, Json> = list.into_iter().map(|entry| (entry.name, entry.definition)).collect();
    let list = Arc::new(list);
    *kept = Some(Kept { list: Arc::clone(&list), at: now, changes: said });
    Ok(list)
}

impl Shelf {
    fn place(&self, upstream: &str, of: Resources) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry((upstream.to_owned(), of)).or_default())
    }
}
