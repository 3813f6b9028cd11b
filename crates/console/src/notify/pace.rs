//! A caller that asks and takes back without end fills no mailbox (T92): of one that asked often within the hour, mail of
//! what it asks next is held back for a while, and what is over by then is told nobody. The console shows it all the same.

use std::collections::{HashMap, VecDeque};

use terms::{Millis, Time};

use super::event::{Event, What};

/// Requests of one caller within an hour that are told at once.
const AT_ONCE: usize = 10;

const HOUR: Millis = Millis::seconds(3600);

/// How long mail of any more is held back.
const HELD: Millis = Millis::seconds(5 * 60);

/// When each caller asked lately. Bounded by the number of callers, and by what is kept of each.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<String, VecDeque<Time>>);

impl Pace {
    /// How long mail of an event is held back.
    pub(super) fn held(&mut self, event: Option<&Event>) -> Millis {
        let Some(event) = event.filter(|event| event.what == What::Opened) else { return Millis::new(0) };
        let lately = self.0.entry(event.text("caller").to_owned()).or_default();
        lately.push_back(event.at);
        while lately.len() > AT_ONCE + 1 {
            lately.pop_front();
        }
        let first = lately.front().filter(|_| lately.len() > AT_ONCE);
        if first.is_some_and(|first| event.at.since(*first) < HOUR) { HELD } else { Millis::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(caller: &str, seconds: i64) -> Event {
        let body = format!(r#"{{"timestamp":{},"data":{{"caller":"{caller}"}}}}"#, seconds * 1000);
        Event::of("elevation.opened", &body).unwrap()
    }

    #[test]
    fn a_caller_that_asks_without_end_is_held_back_and_no_other_is() {
        let mut pace = Pace::default();
        let mut held = |caller: &str, seconds| pace.held(Some(&opened(caller, seconds))).get() > 0;
        let first: Vec<bool> = (0..15).map(|n| held("bot", n)).collect();
        assert_eq!(first.iter().filter(|held| !**held).count(), 10);
        assert!(!held("other", 15));
        assert!(held("bot", 3600));
        assert!(!held("bot", 3600 + 3600 + 14), "an hour later");
        assert_eq!(pace.held(None), Millis::new(0));
    }
}
