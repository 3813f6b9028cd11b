//! The one way out for a call: a Permit goes in, what is sent is written from the access that was judged,
//! once, and whatever happens, how it ended comes out (invariants 1, 5 and 6).

use std::sync::Arc;

use authority::{Permit, Settlement};
use elevation::Outcome;
use terms::{Access, Millis, Seam, Slug};
use tokio::sync::mpsc;

use crate::answer::{Answer, Fault, Progress};
use crate::inert::Inert;
use crate::link::Link;
use crate::message::{Request, RequestId};
use crate::transport::{Broken, Sink, Slot};

/// What became of one permitted call.
#[derive(Debug)]
#[must_use = "the attempt must be settled with its outcome"]
pub struct Forwarded {
    /// The upstream's answer, or why there is none.
    pub answer: Result<Answer, Fault>,
    /// How the attempt ended; for [`authority::Authority::settle`].
    pub outcome: Outcome,
    /// The duty to say so. `None` when the permit was no longer good: then that is said already.
    pub settlement: Option<Settlement>,
}

/// What goes along with a call without being judged.
#[derive(Debug, Default)]
pub struct Along {
    /// Where its progress goes; absent where nobody listens.
    pub progress: Option<mpsc::Sender<Progress>>,
    /// What only transports.
    pub inert: Inert,
}

/// Forwards one permitted call over a link, and waits at most `within` for its answer.
///
/// Never sends anything twice, and never gives up silently. It should run in a task of its own: whether the
/// caller is still there is for the answer to find out, not for the call (F37).
pub async fn forward(permit: Permit, link: &Arc<Link>, along: Along, within: Millis) -> Forwarded {
    let Along { progress, inert } = along;
    // Everything is made ready before the permit is looked at for the last time.
    let slot = match tokio::time::timeout(within.duration(), link.wire.slot()).await {
        Ok(Ok(slot)) => slot,
        Ok(Err(fault)) => return unsent(permit, fault),
        Err(_) => return unsent(permit, Fault::Unreachable),
    };
    let (cargo, mut settlement) = match permit.embark() {
        Ok(embarked) => embarked,
        Err(stale) => return Forwarded::unsent(None, Fault::Stale(stale.0)),
    };
    let id = RequestId::fresh(link.ambient.as_ref());
    let entered = link.enter(cargo.attempt, &id);
    let (Some(tool), Ok(_call)) = (tool(&cargo.access, link), &entered) else {
        let fault = entered.err().unwrap_or(Fault::Stale(Slug::ToolQuarantined));
        return Forwarded::unsent(Some(settlement), fault);
    };
    link.passes(&cargo.access, &cargo.arguments);
    let meta = cargo.access.meta().clone();
    let request = Request::call(id.clone(), tool, cargo.arguments, meta, progress.is_some(), inert);
    link.ambient.seam(Seam::UpstreamSend);
    settlement.sending();
    let sending = send(slot, request, progress, link);
    let answer = tokio::time::timeout(within.duration(), sending).await.unwrap_or_else(|_| {
        tokio::spawn(Arc::clone(link).cancel(id));
        Err(Broken::sent(Fault::Timeout))
    });
    link.ambient.seam(Seam::UpstreamAnswered);
    let outcome = match &answer {
        Ok(answer) => answer.outcome(),
        Err(broken) => broken.fault.outcome(broken.sent),
    };
    Forwarded { answer: answer.map_err(|broken| broken.fault), outcome, settlement: Some(settlement) }
}

async fn send(slot: Slot, request: Request, progress: Option<Sink>, link: &Link) -> Result<Answer, Broken> {
    let waiting = slot.send(request, progress).await?;
    link.ambient.seam(Seam::UpstreamSent);
    waiting.answer().await
}

/// The tool that is called, if this link leads to the very upstream that the access was judged for (T19).
fn tool<'a>(access: &'a Access, link: &Link) -> Option<&'a str> {
    let resource = access.resource();
    let (upstream, tool) = resource.parts()?;
    let same = upstream == link.upstream() && resource.upstream == link.identity();
    let is_call = resource.kind == "tool" && access.action() == "tools/call";
    (same && is_call).then_some(tool)
}

/// Nothing can be sent. The permit is used up all the same, and who called is answered only after that is
/// settled.
fn unsent(permit: Permit, fault: Fault) -> Forwarded {
    match permit.embark() {
        Ok((_, settlement)) => Forwarded::unsent(Some(settlement), fault),
        Err(stale) => Forwarded::unsent(None, Fault::Stale(stale.0)),
    }
}

impl Forwarded {
    const fn unsent(settlement: Option<Settlement>, fault: Fault) -> Self {
        Self { answer: Err(fault), outcome: Outcome::NotSent, settlement }
    }
}
