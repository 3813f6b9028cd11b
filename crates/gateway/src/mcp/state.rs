//! What a stopped call of the modern era is given to come back with: sealed for its caller, good for one access, and until
//! its request ends (A23). It finds the request again and says how often the call came back; it approves nothing.

use terms::access::SealKey;
use terms::{AccessHash, Ambient, CallerId, ElevationId, Json, Sealer, Time, json};

/// The longest that is looked at.
const LONGEST: usize = 4096;

/// What it is sealed under.
const PURPOSE: &str = "mcp/request-state";

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The request that it waits for.
    pub(crate) elevation: ElevationId,
    /// The access that it was.
    pub(crate) access: AccessHash,
    /// How often it will have come back with this.
    pub(crate) round: u8,
    /// When it is good for nothing any more.
    pub(crate) until: Time,
}

impl State {
    /// As it is given to a caller.
    pub(crate) fn sealed(&self, key: &SealKey, ambient: &dyn Ambient, caller: CallerId) -> Option<String> {
        let state = [
            ("access", Json::from(self.access)),
            ("elevation", Json::from(self.elevation)),
            ("round", Json::from(u32::from(self.round))),
            ("until", Json::from(self.until)),
        ];
        Sealer::new(key, PURPOSE).seal(ambient, caller.bytes(), &Json::object(state).text())
    }

    /// What a caller came back with; `None` when that was not given to it, or is too old.
    pub(crate) fn opened(key: &SealKey, now: Time, caller: CallerId, sealed: &str) -> Option<Self> {
        if sealed.len() > LONGEST {
            return None;
        }
        let text = Sealer::new(key, PURPOSE).open(caller.bytes(), sealed)?;
        let state = json::parse(text.as_bytes()).ok()?;
        let text = |name: &str| state.get(name).and_then(Json::as_str);
        let opened = Self {
            elevation: text("elevation")?.parse().ok()?,
            access: AccessHash::from_digest(text("access")?.parse().ok()?),
            round: state.get("round")?.as_i64().and_then(|round| round.try_into().ok())?,
            until: Time::from_json(state.get("until")?)?,
        };
        (now < opened.until).then_some(opened)
    }
}

#[cfg(test)]
mod tests {
    use terms::{Boottime, Digest};

    use super::*;

    struct Still;

    impl Ambient for Still {
        fn now(&self) -> Time {
            Time::from_millis(0)
        }

        fn boottime(&self) -> Boottime {
            Boottime::from_nanos(0)
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_state_is_its_callers_and_ends() {
        let key = SealKey::new([1; 32]);
        let (bot, spy) = (CallerId::from_slice(&[1; 16]).unwrap(), CallerId::from_slice(&[2; 16]).unwrap());
        let state = State {
            elevation: ElevationId::from_slice(&[7; 16]).unwrap(),
            access: AccessHash::from_digest(Digest::plain(b"access")),
            round: 3,
            until: Time::from_millis(1000),
        };
        let sealed = state.sealed(&key, &Still, bot).unwrap();
        let opened = |now, caller| State::opened(&key, Time::from_millis(now), caller, &sealed);
        assert_eq!(opened(999, bot), Some(state));
        assert_eq!(opened(1000, bot), None);
        assert_eq!(opened(999, spy), None);
        assert_eq!(State::opened(&key, Time::from_millis(0), bot, &"A".repeat(LONGEST + 1)), None);
    }
}
