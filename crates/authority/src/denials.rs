//! Denied records within a budget: a caller that hammers costs one record a minute, with the count (R19).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use terms::{CallerId, Time};

/// Counts denials by caller and minute. Its size is bounded by the number of registered callers.
pub(crate) struct Denials {
    per_minute: u32,
    counts: Mutex<HashMap<CallerId, Count>>,
}

#[derive(Default)]
struct Count {
    minute: i64,
    recorded: u32,
    unrecorded: u32,
}

/// Whether a denial gets a record of its own.
pub(crate) enum Noted {
    /// It does, and tells of so many before it that got none.
    Record {
        /// Earlier denials without a record of their own.
        besides: u32,
    },
    /// It is counted only.
    Counted,
}

impl Denials {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, counts: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn note(&self, caller: CallerId, now: Time) -> Noted {
        let minute = now.millis().div_euclid(60_000);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(caller).or_default();
        if count.minute != minute {
            count.minute = minute;
            count.recorded = 0;
        }
        if count.recorded >= self.per_minute {
            count.unrecorded += 1;
            return Noted::Counted;
        }
        count.recorded += 1;
        Noted::Record { besides: std::mem::take(&mut count.unrecorded) }
    }

    /// Callers whose last minute ended with denials that no record tells of.
    pub(crate) fn overdue(&self, now: Time) -> Vec<(CallerId, u32)> {
        let minute = now.millis().div_euclid(60_000);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let over = counts.iter_mut().filter(|(_, c)| c.minute < minute && c.unrecorded > 0);
        over.map(|(caller, count)| (*caller, std::mem::take(&mut count.unrecorded))).collect()
    }
}
