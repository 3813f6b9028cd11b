//! A call of the modern era that does not end in its first round (MCP 2026-07-28, multi round-trip requests): it was stopped,
//! or its upstream asked something before it goes on. Its client sends it again with what it was given; nothing is kept
//! here meanwhile.
//!
//! What is answered to an upstream was judged by nobody yet: with it the call is an access of its own, and needs its own
//! approval wherever the call did (decisions A8, T33).

use authority::Ask;
use terms::access::NotAnAccess;
use terms::json::Object;
use terms::revision::Era;
use terms::{Abilities, AccessHash, AttemptId, CallerId, Continuation, Feature, Json, Millis, Secret, Slug};
use upstream::RawJson;

use super::call::{Prepared, Wanted};
use super::carrier;
use super::conversation::Conversation;
use super::state::{Asked, State};
use crate::access::not_an_access;
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::{self, unavailable};
use crate::gateway::{Inner, Shared};

/// How often an upstream may ask before it goes on with one call.
const MOST: u8 = 10;

/// How long an upstream's question may take to be answered.
const ASKED_FOR: Millis = Millis::seconds(10 * 60);

/// Of whom a call is, and what it would come back with.
#[derive(Clone, Debug)]
pub(crate) struct Coming {
    caller: CallerId,
    /// The call, without what it continues.
    call: AccessHash,
    /// What its upstream asked before, and was answered.
    asked: Option<Asked>,
    /// What of its client its upstream may ask.
    abilities: Abilities,
}

impl Coming {
    pub(super) fn of(
        inner: &Inner,
        conversation: &Conversation,
        ask: &Ask,
        (call, asked): (AccessHash, Option<Asked>),
    ) -> Self {
        let upstream = ask.access.resource().upstream_name();
        let abilities = conversation.abilities.and(inner.upstreams.asks(upstream));
        Self { caller: ask.caller.id, call, asked, abilities }
    }

    /// What of its client its upstream may ask.
    pub(crate) const fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn sealed(&self, inner: &Inner, state: &State) -> Option<String> {
        let ambient = inner.authority.ambient().as_ref();
        state.sealed(inner.authority.seal_key(), ambient, self.caller)
    }

    /// What a stopped call comes back with.
    pub(super) fn stopped(
        &self,
        inner: &Inner,
        challenge: &authority::Challenge,
        round: u8,
    ) -> Option<String> {
        let state = State {
            access: self.call,
            elevation: Some(challenge.elevation),
            round: round.saturating_add(1),
            asked: self.asked.clone(),
            until: challenge.expires_at,
        };
        self.sealed(inner, &state)
    }

    /// What an upstream asks, if it may ask that of this client and was not answered too often, and as it is passed on.
    pub(crate) fn round(
        &self,
        attempt: AttemptId,
        (requests, state): (Option<&RawJson>, Option<&RawJson>),
        takes: Abilities,
    ) -> Result<(Asked, Option<RawJson>), Unasked> {
        let lacks = takes.without(self.abilities);
        if lacks != Abilities::default() {
            return Err(Unasked::Lacks(lacks));
        }
        let round = self.asked.as_ref().map_or(0, |asked| asked.round) + 1;
        if round > MOST {
            return Err(Unasked::TooMuch);
        }
        let requests = requests.map(upstream::passed_on).transpose().map_err(|_| Unasked::Form)?;
        // It is a text, as the exit has seen.
        let state = state.and_then(|state| serde_json::from_str(state.text()).ok()).map(Secret::new);
        // What two readers could read in two ways is shown to nobody, and so not asked.
        let questions = match &requests {
            None => Some(Object::new()),
            Some(requests) => requests.read().and_then(|read| read.as_object().cloned()),
        };
        let questions = questions.ok_or(Unasked::Form)?;
        Ok((Asked { of: attempt, round, questions, inputs: None, state }, requests))
    }

    /// The result that passes on what an upstream asks, to a client that comes back with the answers.
    pub(crate) fn asks(
        &self,
        inner: &Inner,
        attempt: AttemptId,
        (requests, state): (Option<&RawJson>, Option<&RawJson>),
        takes: Abilities,
    ) -> Result<String, Unasked> {
        let (asked, requests) = self.round(attempt, (requests, state), takes)?;
        let until = inner.authority.now().after(ASKED_FOR);
        let state = State { access: self.call, elevation: None, round: 0, asked: Some(asked), until };
        let state = Json::from(self.sealed(inner, &state).ok_or(Unasked::TooMuch)?);
        let requests =
            requests.map(|asked| format!(r#""inputRequests":{},"#, asked.text())).unwrap_or_default();
        Ok(format!(r#"{{"resultType":"input_required",{requests}"requestState":{state}}}"#))
    }

    /// The same call, continued with what it was answered.
    pub(super) fn continued(&self, asked: Asked) -> Self {
        Self { asked: Some(asked), ..self.clone() }
    }
}

/// Why an upstream that asks is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// This its client does not say that it can, or its operator does not let the upstream ask.
    Lacks(Abilities),
    /// This it asks within a call, and its client is of an era in which nobody is asked there.
    Within(Abilities),
    /// It asks too often, or more than can be kept.
    TooMuch,
    /// It asks in a form that is not passed on.
    Form,
    /// This it asked, and its client gave no answer.
    Unanswered(Feature),
}

/// What a call comes back with.
#[derive(Default)]
pub(super) struct Returned {
    state: Option<Json>,
    responses: Object,
}

impl Returned {
    /// Takes it out of the parameters.
    pub(super) fn take(params: &mut Object, era: Era) -> Result<Self, Refusal> {
        match era {
            Era::Legacy => Ok(Self::default()),
            Era::Modern => {
                let state = params.remove("requestState");
                let responses = match params.remove("inputResponses") {
                    None => Object::new(),
                    Some(Json::Object(responses)) => responses,
                    Some(_) => {
                        let what = "inputResponses is not an object";
                        return Err(Refusal::because(Slug::RequestInvalid, what));
                    }
                };
                Ok(Self { state, responses })
            }
        }
    }

    /// The same access as one that comes back, where this was given to it. With other arguments it is a call of its
    /// own, and what it came back with is nothing to it (A23).
    pub(super) async fn to(
        self,
        gateway: &Shared,
        known: &Known,
        mut wanted: Wanted,
    ) -> Result<Prepared, Refusal> {
        // Answers by themselves are nothing: whatever is asked here is asked with a state.
        let Some(sealed) = &self.state else { return Ok(Prepared::Perform(Box::new(wanted))) };
        let (authority, caller) = (&gateway.authority, known.caller.id);
        let sealed = sealed.as_str().unwrap_or_default();
        let Some(state) = State::opened(authority.seal_key(), authority.now(), caller, sealed) else {
            let denial = authority.deny_unjudged(&wanted.ask, Slug::StateInvalid).await;
            let record = denial.map_err(|failed| unavailable(&failed))?.record;
            return Err(Refusal { record, ..Slug::StateInvalid.into() });
        };
        if state.access != wanted.call {
            return Ok(Prepared::Perform(Box::new(wanted)));
        }
        match state.elevation {
            // What comes back is for the upstream that asked.
            None => wanted.continues(gateway, state.asked, self.responses)?,
            Some(elevation) => {
                wanted.continues(gateway, state.asked, Object::new())?;
                let responses = carrier::Responses::of(&self.responses)?;
                if responses.declined {
                    let status = elevations::status(gateway, known, elevation, Millis::new(0)).await?;
                    let (meta, structured) = (wanted.ask.access.meta(), wanted.structured);
                    let told = carrier::challenged(&gateway.settings, &status.challenge, meta, structured);
                    return Ok(Prepared::Tell(told));
                }
                match responses.claims.add(gateway, known, elevation).await {
                    // It does not wait any more; how it ended is said by the decision.
                    Err(refusal) if refusal.slug == Slug::StateInvalid => {}
                    said => said?,
                }
                wanted.back = Some(elevation);
                wanted.round = state.round;
            }
        }
        Ok(Prepared::Perform(Box::new(wanted)))
    }
}

impl Wanted {
    /// What is wanted, as the continuation of what an upstream asked before, where it did.
    fn continues(&mut self, inner: &Inner, asked: Option<Asked>, inputs: Object) -> Result<(), Refusal> {
        let Some(mut asked) = asked else { return Ok(()) };
        asked.inputs.get_or_insert(inputs);
        self.ask = continuing(inner, &self.ask, asked.continuation()).map_err(|why| not_an_access(&why))?;
        self.asked = Some(asked);
        self.back = None;
        Ok(())
    }
}

/// The access that a call is with what its upstream is answered.
///
/// # Errors
/// [`NotAnAccess`] when a name in the question or the answer could deceive.
pub(super) fn continuing(inner: &Inner, ask: &Ask, continuation: Continuation) -> Result<Ask, NotAnAccess> {
    let (access, secrets) = (ask.access.clone(), ask.secrets.clone());
    let (access, secrets) = access.continuing(secrets, continuation, inner.authority.seal_key())?;
    Ok(Ask { access, secrets, ..ask.clone() })
}
