//! What a client answered its upstream within a running call: an access of its own, and what is written is what was judged
//! (decisions A8). It goes to where the question came from, while that call runs, and nowhere else.

use std::sync::Arc;

use authority::{Cargo, Permit, Settlement};
use elevation::Outcome;
use terms::{Access, AttemptId, Json, Millis, Slug};

use crate::answer::Fault;
use crate::forward::target;
use crate::link::Link;
use crate::question::Question;
use crate::transport::Broken;

/// What became of one permitted answer.
#[derive(Debug)]
#[must_use = "the attempt must be settled with its outcome"]
pub struct Replied {
    /// How the attempt ended: done, once the upstream has the answer. For [`authority::Authority::settle`].
    pub outcome: Outcome,
    /// The duty to say so. `None` when the permit was no longer good: then that is said already.
    pub settlement: Option<Settlement>,
}

/// Answers a question by what was permitted to be said, over the link of the call within which it was asked, and waits at
/// most `within` for the upstream to take it. Where that may not be, the upstream is told that there is no answer.
pub async fn reply(permit: Permit, link: &Arc<Link>, question: Question, within: Millis) -> Replied {
    let slot = match tokio::time::timeout(within.duration(), link.wire.slot()).await {
        Ok(Ok(slot)) => Some(slot),
        Ok(Err(_)) | Err(_) => None,
    };
    let (cargo, mut settlement) = match permit.embark() {
        Ok(embarked) => embarked,
        Err(_stale) => return Replied { outcome: Outcome::NotSent, settlement: None },
    };
    let Cargo { access, .. } = cargo;
    let (Some(slot), Ok(result)) = (slot, judged(&access, link, &question)) else {
        return Replied { outcome: Outcome::NotSent, settlement: Some(settlement) };
    };
    let text = question.answered(&result);
    settlement.answers_nothing();
    settlement.sending();
    let told = tokio::time::timeout(within.duration(), slot.tell(text)).await;
    let outcome = match told.unwrap_or(Err(Broken::sent(Fault::Timeout))) {
        Ok(()) => Outcome::Done,
        Err(Broken { fault, sent }) => fault.outcome(sent),
    };
    Replied { outcome, settlement: Some(settlement) }
}

/// The answer as it was judged, if it was judged for this question: of this upstream, within the call that is under way.
fn judged(access: &Access, link: &Link, question: &Question) -> Result<String, Fault> {
    let stale = Fault::Stale(Slug::StateInvalid);
    target(access, link).ok_or(stale)?;
    let continues = access.continues().ok_or(stale)?;
    let of: Option<AttemptId> = continues.get("of").and_then(Json::as_str).and_then(|of| of.parse().ok());
    if !of.is_some_and(|of| link.runs(of, question.call())) {
        return Err(stale);
    }
    let answer = continues.get("inputs").and_then(|inputs| inputs.get(question.asks().method()));
    answer.filter(|answer| answer.as_object().is_some()).map(Json::text).ok_or(stale)
}
