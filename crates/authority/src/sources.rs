//! From which addresses each key was used lately. A bearer key that is used from two places within an hour is
//! worth a line on the card (decisions A13). In memory and advisory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use terms::{KeyId, Millis, Time};

/// Addresses kept for one key; the oldest makes room.
const KEPT: usize = 4;

/// How long an address counts.
const LATELY: Millis = Millis::seconds(3600);

/// Addresses by key. Bounded by the number of registered keys, since only authenticated callers get here.
#[derive(Default)]
pub(crate) struct Sources(Mutex<HashMap<KeyId, Vec<(String, Time)>>>);

impl Sources {
    pub(crate) fn note(&self, key: KeyId, source: &str, now: Time) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = keys.entry(key).or_default();
        if let Some((_, at)) = seen.iter_mut().find(|(address, _)| address == source) {
            *at = now;
            return;
        }
        seen.push((source.to_owned(), now));
        if seen.len() > KEPT {
            seen.sort_by_key(|(_, at)| *at);
            seen.remove(0);
        }
    }

    /// The other address that used this key last, within the hour.
    pub(crate) fn other(&self, key: KeyId, source: &str, now: Time) -> Option<String> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = keys.get(&key)?.iter().filter(|(a, at)| a != source && now.since(*at) <= LATELY);
        others.max_by_key(|(_, at)| *at).map(|(address, _)| address.clone())
    }
}
