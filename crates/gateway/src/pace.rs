//! How often each caller asks for what costs a read and a record and does nothing: so many a minute, as many at once, and then
//! one after the other (GCRA, as in ITU-T I.371). Its size is bounded by the number of registered callers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use terms::{CallerId, Time};

/// The minute that the pace is of, in milliseconds.
const MINUTE: i64 = 60_000;

/// When each caller has used up what it asked for.
pub(crate) struct Pace {
    a_minute: u32,
    until: Mutex<HashMap<CallerId, i64>>,
}

impl Pace {
    pub(crate) fn new(a_minute: u32) -> Self {
        Self { a_minute, until: Mutex::default() }
    }

    /// Takes one for a caller, unless it has asked too often.
    pub(crate) fn take(&self, caller: CallerId, now: Time) -> bool {
        let Some(each) = MINUTE.checked_div(i64::from(self.a_minute)) else { return false };
        let now = now.millis();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = until.entry(caller).or_insert(now);
        // A clock that was set back keeps nobody out for longer than the minute.
        *until = (*until).clamp(now, now.saturating_add(MINUTE));
        let then = until.saturating_add(each);
        let may = then <= now.saturating_add(MINUTE);
        if may {
            *until = then;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_taken_at_once_and_then_one_after_the_other_and_nobody_waits_for_another() {
        let pace = Pace::new(30);
        let (one, other) = (CallerId::from_slice(&[1; 16]).unwrap(), CallerId::from_slice(&[2; 16]).unwrap());
        let take = |caller, at: i64| pace.take(caller, Time::from_millis(1_000_000 + at));
        assert_eq!((0..50).filter(|_| take(one, 0)).count(), 30);
        assert!(take(other, 0));
        assert!(!take(one, 1999));
        assert!(take(one, 2000), "after two seconds there is one more");
        assert!(!take(one, 2001));
        assert_eq!((0..50).filter(|_| take(one, 600_000)).count(), 30, "and never more than a minute's");
        assert!(!take(one, 0), "though the clock was set back");
        assert!(take(one, 62_000));
    }

    #[test]
    fn where_none_are_let_in_there_are_none() {
        assert!(!Pace::new(0).take(CallerId::NIL, Time::from_millis(1)));
    }
}
