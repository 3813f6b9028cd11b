//! Strangers can begin only so many ceremonies a minute: each is a row in the store. Each address has its share, so that
//! one that begins them without end keeps nobody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use terms::Time;

/// Ceremonies of strangers in one minute, and those from one address.
const A_MINUTE: u32 = 6000;
const FROM_ONE: u32 = 120;

/// Counts within the current minute.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<Minute>);

/// No larger than what one minute lets in.
#[derive(Default)]
struct Minute {
    number: i64,
    all: u32,
    from: HashMap<Option<IpAddr>, u32>,
}

impl Throttle {
    /// Takes one for an address, unless its share of this minute or the whole minute is used up.
    pub(crate) fn take(&self, address: Option<IpAddr>, now: Time) -> bool {
        let number = now.millis().div_euclid(60_000);
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        if minute.all >= A_MINUTE {
            return false;
        }
        let from = minute.from.entry(address.map(|address| address.to_canonical())).or_default();
        if *from >= FROM_ONE {
            return false;
        }
        *from += 1;
        minute.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_without_end_keeps_nobody_else_out() {
        let throttle = Throttle::default();
        let now = Time::from_millis(120_000);
        let (one, mapped, other) = ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2");
        let take = |address: &str, now| throttle.take(address.parse().ok(), now);
        assert!((0..FROM_ONE).all(|_| take(one, now)));
        assert!(!take(one, now));
        assert!(!take(mapped, now), "it is the same address");
        assert!(take(other, now));
        assert!(take(one, Time::from_millis(180_000)), "the next minute is another");
    }

    #[test]
    fn many_addresses_together_have_no_more_than_the_minute() {
        let throttle = Throttle::default();
        let now = Time::from_millis(120_000);
        let taken =
            (0..20_000_u32).filter(|n| throttle.take(Some(IpAddr::from(n.to_be_bytes())), now)).count();
        assert_eq!(u32::try_from(taken).unwrap(), A_MINUTE);
        assert!(throttle.0.lock().unwrap().from.len() <= usize::try_from(A_MINUTE).unwrap());
    }
}
