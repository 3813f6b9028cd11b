//! Permits that are out and have sent nothing yet. A lock or new rules are acknowledged only once those that were
//! made before are gone: sent, dropped, or past their time (B28, R6).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terms::Millis;
use tokio::sync::Notify;

/// Who is out, by number. Bounded by the callers' budgets of calls in flight.
#[derive(Default)]
pub(crate) struct Live {
    out: Mutex<Out>,
    gone: Notify,
}

#[derive(Default)]
struct Out {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// One that is out. Taken before its claim is handed to the store, so that no commit can come between.
pub(crate) struct Ticket {
    number: u64,
    live: Arc<Live>,
}

impl Live {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let mut out = self.out();
        let number = out.next;
        out.next += 1;
        out.numbers.insert(number);
        Ticket { number, live: Arc::clone(self) }
    }

    /// Returns when all that are out now are gone, or after `permit_for`, when none of them is good any more.
    pub(crate) async fn gone(&self, permit_for: Millis) {
        let mine = self.out().next;
        let all = async {
            loop {
                let gone = self.gone.notified();
                if self.out().numbers.first().is_none_or(|first| *first >= mine) {
                    return;
                }
                gone.await;
            }
        };
        let _ = tokio::time::timeout(permit_for.duration(), all).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.live.out().numbers.remove(&self.number);
        self.live.gone.notify_waiters();
    }
}
