//! The one way out for a call: a Permit goes in, what is sent is written from the access that was judged,
//! once, and whatever happens, how it ended comes out (invariants 1, 5 and 6).

use std::sync::Arc;

use authority::{Cargo, Permit, Settlement, Target, reads};
use elevation::Outcome;
use terms::json::Object;
use terms::revision::Era;
use terms::{Abilities, Access, Action, Feature, Json, Kind, Millis, Seam, Slug};
use tokio::sync::{broadcast, mpsc};

use crate::answer::{Answer, Fault, Progress, RawJson};
use crate::inert::Inert;
use crate::link::Link;
use crate::message::{Call, Request, RequestId};
use crate::mirror::{Header, NotTold, headers, mirrored};
use crate::modern::watching;
use crate::note::Notes;
use crate::question::Question;
use crate::transport::{Beside, Broken, Listeners, Slot};
use crate::watch::{Watch, open};

/// What became of one permitted call.
#[derive(Debug)]
#[must_use = "the attempt must be settled with its outcome"]
pub struct Forwarded {
    /// The upstream's answer, or why there is none.
    pub answer: Result<Answer, Fault>,
    /// How the attempt ended; for [`authority::Authority::settle`].
    pub outcome: Outcome,
    /// Whoever subscribed is told through this of what changes, for as long as it is kept.
    pub watch: Option<Watch>,
    /// The duty to say so. `None` when the permit was no longer good: then that is said already.
    pub settlement: Option<Settlement>,
}

/// What goes along with a call beside its permit.
#[derive(Debug, Default)]
pub struct Along {
    /// The tool with the definition that the call was judged by. Some upstreams are told in headers what it says of its
    /// arguments; without it, or with another, those are sent nothing.
    pub tool: Option<Arc<Target>>,
    /// What the upstream may ask of the caller's client before it goes on, where it speaks the modern era.
    pub abilities: Abilities,
    /// Where its progress goes; absent where nobody listens. Who falls behind is told of the newest.
    pub progress: Option<broadcast::Sender<Progress>>,
    /// Where what an upstream of the legacy era asks meanwhile goes; absent where nobody answers. What finds no room is
    /// answered that it is too much.
    pub questions: Option<mpsc::Sender<Question>>,
    /// Where what it tells beside its answer goes; absent where nobody listens.
    pub notes: Option<Notes>,
    /// What only transports.
    pub inert: Inert,
}

/// Forwards one permitted call over a link, and waits at most `within` for its answer.
///
/// Never sends anything twice, and never gives up silently. It should run in a task of its own: whether the
/// caller is still there is for the answer to find out, not for the call (F37).
pub async fn forward(permit: Permit, link: &Arc<Link>, along: Along, within: Millis) -> Forwarded {
    let Along { tool, abilities, progress, questions, notes, inert } = along;
    // Everything is made ready before the permit is looked at for the last time.
    let slot = match tokio::time::timeout(within.duration(), link.wire.slot()).await {
        Ok(Ok(slot)) => slot,
        Ok(Err(fault)) => return unsent(permit, fault),
        Err(_) => return unsent(permit, Fault::Unreachable),
    };
    listened(&permit, link).await;
    let (cargo, mut settlement) = match permit.embark() {
        Ok(embarked) => embarked,
        Err(stale) => return Forwarded::unsent(None, Fault::Stale(stale.0)),
    };
    let id = RequestId::fresh(link.ambient.as_ref());
    // What authenticates us to an HTTP API is none of MCP's.
    let Cargo { attempt, access, arguments, state, credential: _ } = cargo;
    let ready = ready(&access, &arguments, link, tool.as_deref());
    let ready = ready.and_then(|ready| {
        let watch = watched(ready.action, &access, link)?;
        Ok((ready, watch, link.enter(attempt, &id)?))
    });
    let (Ready { action, params, headers }, watch, mut call) = match ready {
        Ok(ready) => ready,
        Err(fault) => return Forwarded::unsent(Some(settlement), fault),
    };
    link.passes(&access, &arguments);
    let watch = match watch {
        // It is told of already, and so is whoever shares the link.
        Some((watch, true)) => return Forwarded::told_already(watch, settlement),
        Some((watch, false)) => Some(watch),
        None => None,
    };
    let params = continued(params, &access, state);
    let meta = access.meta().clone();
    let era = link.revision().era();
    let stream = watch.as_ref().filter(|_| era == Era::Modern);
    let told = progress.is_some() && stream.is_none();
    let said = Call { action, params, meta, abilities, inert, progress: told, headers };
    let request = Request::call(era, id.clone(), said);
    link.ambient.seam(Seam::UpstreamSend);
    settlement.sending();
    let listeners = Listeners { progress, questions, notes };
    let sending = async {
        match stream {
            Some(watch) => open(slot, request, watch).await,
            None => send(slot, request, Beside::Call(listeners), link).await.map(|answer| (answer, None)),
        }
    };
    let answer = tokio::select! {
        biased;
        sent = tokio::time::timeout(within.duration(), sending) => sent.unwrap_or_else(|_| {
            tokio::spawn(Arc::clone(link).cancel(id));
            Err(Broken::sent(Fault::Timeout))
        }),
        () = call.taken_back() => Err(Broken::sent(Fault::TakenBack)),
    };
    drop(call);
    link.ambient.seam(Seam::UpstreamAnswered);
    let outcome = match &answer {
        Ok((answer, _)) => answer.outcome(),
        Err(broken) => broken.fault.outcome(broken.sent),
    };
    let (answer, stream) = match answer {
        Ok((answer, stream)) => (Ok(answer), stream),
        Err(broken) => (Err(broken.fault), None),
    };
    let watch = watch.filter(|_| outcome == Outcome::Done);
    if let Some(watch) = &watch {
        watch.begun(stream);
    }
    Forwarded { answer, outcome, watch, settlement: Some(settlement) }
}

/// The parameters of what continues another call: as it was judged; what the upstream wants back is its own, and was sealed.
fn continued(mut params: Object, access: &Access, state: Option<Json>) -> Object {
    let Some(continues) = access.continues() else { return params };
    if let Some(inputs) = continues.get("inputs") {
        params.insert("inputResponses", inputs.clone());
    }
    if let Some(state) = state {
        params.insert("requestState", state);
    }
    params
}

/// The link is listened to before anything is watched over it.
async fn listened(permit: &Permit, link: &Arc<Link>) {
    if permit.access().is_none_or(|access| access.action() != Action::Subscribe.name()) {
        return;
    }
    match link.revision().era() {
        Era::Legacy => link.hears().await,
        // The resource has a stream of its own there.
        Era::Modern => link.attend(|| {}),
    }
}

/// Whoever subscribes watches before the upstream is asked, so that no change between is missed; and whether it is told of
/// that already.
fn watched(action: Action, access: &Access, link: &Arc<Link>) -> Result<Option<(Watch, bool)>, Fault> {
    let uri = access.resource().parts().map(|(_, uri)| uri).filter(|_| action == Action::Subscribe);
    let Some(uri) = uri else { return Ok(None) };
    Watch::begin(link, uri).map(Some).ok_or(Fault::Full)
}

async fn send(slot: Slot, request: Request, beside: Beside, link: &Arc<Link>) -> Result<Answer, Broken> {
    let waiting = slot.send(request, beside).await?;
    link.ambient.seam(Seam::UpstreamSent);
    let answer = waiting.answer().await.and_then(|answer| link.answered(answer).map_err(Broken::sent));
    if let Err(Broken { fault, .. }) = &answer {
        link.failed(*fault);
    }
    answer
}

/// What is asked for and with what, and what the headers say of it.
struct Ready {
    action: Action,
    params: Object,
    headers: Vec<Header>,
}

/// Makes that, if this link leads to the very upstream that the access was judged for (T19), by the very definition.
fn ready(access: &Access, clear: &Json, link: &Link, pinned: Option<&Target>) -> Result<Ready, Fault> {
    let stale = Fault::Stale(Slug::ToolQuarantined);
    let (action, name) = target(access, link).ok_or(stale)?;
    let era = link.revision().era();
    if access.continues().is_some() && era == Era::Legacy {
        // It asked as another, which has rounds.
        return Err(stale);
    }
    let params = params(access, (action, era), name, clear).ok_or(stale)?;
    if !link.tells_headers() {
        return Ok(Ready { action, params, headers: Vec::new() });
    }
    let headers = match action {
        Action::Call => {
            let judged = |target: &&Target| target.pin.digest == access.resource().definition;
            let pinned = pinned.filter(judged).ok_or(stale)?;
            let mirrored = mirrored(&pinned.pin.definition).map_err(|_| stale)?;
            headers(name, &mirrored, access.arguments(), clear)
        }
        Action::Get | Action::Read => headers(name, &[], access.arguments(), clear),
        // They name nothing that a router would look for (streamable HTTP, "Standard Request Headers").
        Action::Complete | Action::Subscribe => Ok(Vec::new()),
        // Another exit leads to an API ([`crate::relay()`]), and no upstream has a part of this installation.
        Action::Send(_) | Action::Do | Action::Administer => return Err(stale),
    };
    let headers = headers.map_err(|why| match why {
        NotTold::Secret => Fault::Needs(Feature::ParameterHeaders),
        NotTold::Kind => Fault::Stale(Slug::ArgumentsInvalid),
    })?;
    Ok(Ready { action, params, headers })
}

/// What is done to what, if this link leads to the very upstream that the access was judged for (T19).
pub(crate) fn target<'a>(access: &'a Access, link: &Link) -> Option<(Action, &'a str)> {
    let resource = access.resource();
    let (upstream, name) = resource.parts()?;
    let same = upstream == link.upstream() && resource.upstream == link.identity();
    let action = Action::named(access.action())
        .filter(|action| Kind::named(&resource.kind).is_some_and(|kind| action.is_to(kind)));
    action.filter(|_| same).map(|action| (action, name))
}

/// The parameters, written from what was judged.
fn params(access: &Access, (action, era): (Action, Era), name: &str, clear: &Json) -> Option<Object> {
    let named = |name: &str| Object::from_iter([("name", Json::from(name)), ("arguments", clear.clone())]);
    match action {
        Action::Call | Action::Get => Some(named(name)),
        Action::Read | Action::Subscribe => {
            let uri = Some(reads(name)).filter(|uri| uri == access.arguments())?;
            let stream = action == Action::Subscribe && era == Era::Modern;
            Some(if stream { watching(name) } else { uri })
        }
        Action::Send(_) | Action::Do | Action::Administer => None,
        Action::Complete => {
            let to = match Kind::named(&access.resource().kind)? {
                Kind::Prompt => Json::object([("type", "ref/prompt"), ("name", name)]),
                Kind::Resource => Json::object([("type", "ref/resource"), ("uri", name)]),
                Kind::Tool | Kind::Route | Kind::Operation | Kind::Installation => return None,
            };
            let mut params = clear.as_object()?.clone();
            params.insert("ref", to);
            Some(params)
        }
    }
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
        Self { answer: Err(fault), outcome: Outcome::NotSent, watch: None, settlement }
    }

    fn told_already(watch: Watch, settlement: Settlement) -> Self {
        let answer = Ok(Answer::Result { result: RawJson::empty(), failed: false });
        Self { answer, outcome: Outcome::Done, watch: Some(watch), settlement: Some(settlement) }
    }
}
