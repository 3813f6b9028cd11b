//! Strangers can begin only so many ceremonies a minute: each is a row in the store.

use std::sync::{Mutex, PoisonError};

use terms::Time;

/// Ceremonies of strangers in one minute.
const A_MINUTE: u32 = 600;

/// Counts within the current minute.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<(i64, u32)>);

impl Throttle {
    /// Takes one, unless this minute's are used up.
    pub(crate) fn take(&self, now: Time) -> bool {
        let minute = now.millis().div_euclid(60_000);
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count.0 != minute {
            *count = (minute, 0);
        }
        count.1 = count.1.saturating_add(1);
        count.1 <= A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_number_and_the_next_minute_its_own() {
        let throttle = Throttle::default();
        let now = Time::from_millis(120_000);
        assert!((0..A_MINUTE).all(|_| throttle.take(now)));
        assert!(!throttle.take(now));
        assert!(throttle.take(Time::from_millis(180_000)));
    }
}
