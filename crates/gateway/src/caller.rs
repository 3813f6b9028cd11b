//! Who calls, and how much of it at once. A caller's key is compared by its hash, here, and goes no further:
//! not upstream, not into a log, not into an answer (T26).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use authority::{Authority, token_hash};
use http::{HeaderMap, header};
use terms::{Caller, CallerId, Digest, Slug};

use crate::answer::Refusal;
use crate::front::one;
use crate::settings::Budgets;

/// The longest key that is looked at.
const LONGEST_KEY: usize = 512;

/// The caller of one request, with its place in the caller's budget.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) caller: Arc<Caller>,
    /// What its key is known by.
    pub(crate) key: Digest,
    /// The address that the request came from.
    pub(crate) source: String,
    /// Held until the answer is out and nothing runs upstream for it any more.
    pub(crate) place: Arc<Place>,
}

/// Authenticates a request by its one `Authorization: Bearer` header. Answers too what its key is known by.
pub(crate) fn who(authority: &Authority, headers: &HeaderMap) -> Result<(Arc<Caller>, Digest), Refusal> {
    let key = token_hash(key(headers)?);
    Ok((authority.authenticate(key)?, key))
}

/// The key in a request's one `Authorization: Bearer` header.
pub(crate) fn key(headers: &HeaderMap) -> Result<&str, Slug> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Err(Slug::NoCredential);
    }
    one(headers, &header::AUTHORIZATION).and_then(bearer).ok_or(Slug::CredentialInvalid)
}

/// RFC 6750 §2.1; the scheme is compared without case (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    let plain = !key.is_empty() && key.len() <= LONGEST_KEY && key.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then_some(key)
}

/// How much every caller has in flight and held. Its size is bounded by the requests in flight.
pub(crate) struct Load {
    limits: Budgets,
    counts: Mutex<HashMap<CallerId, Counts>>,
}

#[derive(Default)]
struct Counts {
    in_flight: u32,
    held: u32,
    watched: u32,
}

impl Counts {
    const fn of(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::InFlight => &mut self.in_flight,
            Kind::Held => &mut self.held,
            Kind::Watched => &mut self.watched,
        }
    }
}

/// What a place is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    InFlight,
    Held,
    Watched,
}

/// A place in a caller's budget, given back when dropped.
pub(crate) struct Place {
    load: Arc<Load>,
    caller: CallerId,
    kind: Kind,
}

impl Load {
    pub(crate) fn new(limits: Budgets) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::new(HashMap::new()) })
    }

    /// A place for one more request in flight.
    pub(crate) fn enter(self: &Arc<Self>, caller: CallerId) -> Result<Arc<Place>, Slug> {
        self.take(caller, Kind::InFlight).map(Arc::new)
    }

    /// A place for one more request that waits for people.
    pub(crate) fn hold(self: &Arc<Self>, caller: CallerId) -> Result<Place, Slug> {
        self.take(caller, Kind::Held)
    }

    /// A place for one more resource that is watched, in whichever session or stream.
    pub(crate) fn watch(self: &Arc<Self>, caller: CallerId) -> Result<Place, Slug> {
        self.take(caller, Kind::Watched)
    }

    /// Whether a caller may watch one more.
    pub(crate) fn may_watch(&self, caller: CallerId) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&caller).is_none_or(|count| count.watched < self.limits.subscriptions)
    }

    fn take(self: &Arc<Self>, caller: CallerId, kind: Kind) -> Result<Place, Slug> {
        let most = match kind {
            Kind::InFlight => self.limits.in_flight,
            Kind::Held => self.limits.held,
            Kind::Watched => self.limits.subscriptions,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let used = counts.entry(caller).or_default().of(kind);
        if *used >= most {
            return Err(Slug::OverBudget);
        }
        *used += 1;
        Ok(Place { load: Arc::clone(self), caller, kind })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.load.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.caller) {
            *count.of(self.kind) -= 1;
            if count.in_flight == 0 && count.held == 0 && count.watched == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_key_of_visible_ascii_is_a_key() {
        assert_eq!(bearer("Bearer stepup_abc"), Some("stepup_abc"));
        assert_eq!(bearer("bearer stepup_abc"), Some("stepup_abc"));
        let long = format!("Bearer {}", "k".repeat(LONGEST_KEY + 1));
        for other in ["", "Bearer", "Bearer ", "Bearer  k", "Bearer a b", "Basic k", "stepup_abc", &long] {
            assert_eq!(bearer(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_place_is_given_back_when_it_is_dropped_and_never_to_another_caller() {
        let limits = Budgets { in_flight: 2, held: 1, ..Budgets::default() };
        let load = Load::new(limits);
        let (one, other) = (CallerId::from_slice(&[1; 16]).unwrap(), CallerId::from_slice(&[2; 16]).unwrap());
        let first = load.enter(one).unwrap();
        let _second = load.enter(one).unwrap();
        assert_eq!(load.enter(one).err(), Some(Slug::OverBudget));
        let _others = load.enter(other).unwrap();
        let held = load.hold(one).unwrap();
        assert_eq!(load.hold(one).err(), Some(Slug::OverBudget));
        drop((first, held));
        let _again = (load.enter(one).unwrap(), load.hold(one).unwrap());
    }
}
