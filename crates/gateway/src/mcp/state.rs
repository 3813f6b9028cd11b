//! What a call of the modern era that did not end is given to come back with: sealed for its caller, good for one call, and
//! for a while (A23). It finds a request for approval again and says how often the call came back, or it holds what an
//! upstream wants back; it approves nothing.

use terms::access::SealKey;
use terms::json::Object;
use terms::{
    AccessHash, Ambient, AttemptId, CallerId, Continuation, ElevationId, Json, Sealer, Secret, Time, json,
};

/// The longest that is looked at, in bytes: room for what an upstream wants back and for what it was answered.
const LONGEST: usize = 192 << 10;

/// What it is sealed under.
const PURPOSE: &str = "mcp/request-state";

/// Where a call is.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The call, without what it continues.
    pub(crate) access: AccessHash,
    /// The request that it waits for, where it was stopped.
    pub(crate) elevation: Option<ElevationId>,
    /// How often it will have come back to that request.
    pub(crate) round: u8,
    /// What an upstream asked before.
    pub(crate) asked: Option<Asked>,
    /// When it is good for nothing any more.
    pub(crate) until: Time,
}

/// What an upstream asked before it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// At which attempt.
    pub(crate) of: AttemptId,
    /// How often, with this.
    pub(crate) round: u8,
    /// What it asked.
    pub(crate) questions: Object,
    /// What it was answered, where the answer was stopped.
    pub(crate) inputs: Option<Object>,
    /// What it wants back.
    pub(crate) state: Option<Secret<String>>,
}

impl Asked {
    /// The continuation with what it was answered.
    pub(crate) fn continuation(&self) -> Continuation {
        let Self { of, round, questions, inputs, state } = self.clone();
        Continuation { of, round, asked: questions, inputs: inputs.unwrap_or_default(), state }
    }

    fn to_json(&self) -> Json {
        let mut asked = Object::new();
        asked.insert("of", self.of);
        asked.insert("round", u32::from(self.round));
        asked.insert("questions", Json::Object(self.questions.clone()));
        if let Some(inputs) = &self.inputs {
            asked.insert("inputs", Json::Object(inputs.clone()));
        }
        if let Some(state) = &self.state {
            asked.insert("state", state.expose().as_str());
        }
        Json::Object(asked)
    }

    fn from_json(json: &Json) -> Option<Self> {
        let inputs = match json.get("inputs") {
            None => None,
            Some(inputs) => Some(inputs.as_object()?.clone()),
        };
        let state = json.get("state").and_then(Json::as_str);
        Some(Self {
            of: json.get("of")?.as_str()?.parse().ok()?,
            round: small(json.get("round")?)?,
            questions: json.get("questions")?.as_object()?.clone(),
            inputs,
            state: state.map(|state| Secret::new(state.to_owned())),
        })
    }
}

fn small(json: &Json) -> Option<u8> {
    json.as_i64().and_then(|number| number.try_into().ok())
}

impl State {
    /// As it is given to a caller; `None` when it would be too long to come back.
    pub(crate) fn sealed(&self, key: &SealKey, ambient: &dyn Ambient, caller: CallerId) -> Option<String> {
        let mut state = Object::new();
        state.insert("access", self.access);
        state.insert("round", u32::from(self.round));
        state.insert("until", self.until);
        if let Some(elevation) = self.elevation {
            state.insert("elevation", elevation);
        }
        if let Some(asked) = &self.asked {
            state.insert("asked", asked.to_json());
        }
        let sealed = Sealer::new(key, PURPOSE).seal(ambient, caller.bytes(), &Json::Object(state).text());
        sealed.filter(|sealed| sealed.len() <= LONGEST)
    }

    /// What a caller came back with; `None` when that was not given to it, or is too old.
    pub(crate) fn opened(key: &SealKey, now: Time, caller: CallerId, sealed: &str) -> Option<Self> {
        if sealed.len() > LONGEST {
            return None;
        }
        let text = Sealer::new(key, PURPOSE).open(caller.bytes(), sealed)?;
        let state = json::parse_within(text.as_bytes(), json::Limits::ANSWER).ok()?;
        let elevation = match state.get("elevation") {
            None => None,
            Some(id) => Some(id.as_str()?.parse().ok()?),
        };
        let asked = match state.get("asked") {
            None => None,
            Some(asked) => Some(Asked::from_json(asked)?),
        };
        let opened = Self {
            access: AccessHash::from_digest(state.get("access")?.as_str()?.parse().ok()?),
            elevation,
            round: small(state.get("round")?)?,
            asked,
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
        let asked = |state: Option<usize>| Asked {
            of: AttemptId::from_slice(&[5; 16]).unwrap(),
            round: 2,
            questions: [("a", "b")].into_iter().collect(),
            inputs: state.map(|_| [("a", 1_u32)].into_iter().collect()),
            state: state.map(|length| Secret::new("x".repeat(length))),
        };
        let access = AccessHash::from_digest(Digest::plain(b"access"));
        let until = Time::from_millis(1000);
        let elevation = ElevationId::from_slice(&[7; 16]);
        for (elevation, asked) in
            [(elevation, None), (None, Some(asked(None))), (elevation, Some(asked(Some(64 << 10))))]
        {
            let state = State { access, elevation, round: 3, asked, until };
            let sealed = state.sealed(&key, &Still, bot).unwrap();
            let opened = |now, caller| State::opened(&key, Time::from_millis(now), caller, &sealed);
            assert_eq!(format!("{:?}", opened(999, bot).unwrap()), format!("{state:?}"));
            assert!(opened(1000, bot).is_none() && opened(999, spy).is_none());
        }
        assert!(State::opened(&key, Time::from_millis(0), bot, &"A".repeat(LONGEST + 1)).is_none());
        let huge = State { access, elevation: None, round: 0, asked: Some(asked(Some(LONGEST))), until };
        assert!(huge.sealed(&key, &Still, bot).is_none(), "it could not come back");
    }
}
