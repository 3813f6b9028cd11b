//! The memory of a pure function: it makes answers cheaper and changes none.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// The most values that are kept. When there are more, all are forgotten: a set is asked about by as many
/// callers and tools as an installation has, and each is cheap to make again.
const KEPT: usize = 4096;

/// What was made so far, by what it was made of.
pub(crate) struct Memory<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    /// The value of `key`, made by `make` unless it is remembered. A failure is not.
    pub fn of<E>(&self, key: &K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(made) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(make()?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key.clone(), Arc::clone(&made));
        Ok(made)
    }
}
