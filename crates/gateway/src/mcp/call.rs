//! `tools/call`: the access is made here, once, from strictly parsed input; it goes through the one door, and
//! what comes back is carried out or told.

use std::sync::Arc;

use authority::{Ask, Challenge, Denial, PinState, Target, unknown};
use axum::response::Response;
use http::HeaderMap;
use terms::json::Object;
use terms::{AccessHash, Action, ElevationId, Feature, Json, Kind, Millis, Slug};

use super::address::{Address, Named};
use super::asking::{Asking, Passed, enforce};
use super::carrier::Told;
use super::conversation::Conversation;
use super::envelope::{Request, only};
use super::rounds::{Coming, Returned};
use super::session::Running;
use super::state::Asked;
use super::stream::{Client, Work, between};
use super::watching::Watches;
use super::{Structured, carrier, own, refusal};
use crate::access::{access, not_an_access};
use crate::answer::Refusal;
use crate::caller::{Known, Place};
use crate::elevations::unavailable;
use crate::gateway::Shared;
use crate::{pins, run};

/// What a request wants to run, and how its answer may look.
pub(super) struct Wanted {
    pub(super) ask: Ask,
    /// The elevation that the caller comes back to.
    pub(super) back: Option<ElevationId>,
    /// How often it came back with what it was given.
    pub(super) round: u8,
    /// The call, without what it continues.
    pub(super) call: AccessHash,
    /// What its upstream asked before, and what it is answered.
    pub(super) asked: Option<Asked>,
    /// Whether the tool promises structured content of its own, so that ours has no place.
    pub(super) structured: Structured,
}

impl Wanted {
    /// An access that is asked for for the first time.
    pub(super) fn new(ask: Ask, structured: Structured) -> Self {
        let call = ask.access.hash();
        Self { ask, back: None, round: 0, call, asked: None, structured }
    }
}

pub(super) async fn call(
    gateway: Shared,
    known: Known,
    at: Address,
    conversation: Conversation,
    running: Running,
    request: Request,
) -> Result<Response, Refusal> {
    let Request { id, mut params, meta, .. } = request;
    if conversation.revision.has(Feature::Tasks) {
        // No tasks are declared, and who declares none answers as if none were asked for (MCP 2025-11-25, tasks, "Task
        // Support and Handling").
        params.remove("task");
    }
    let returned = Returned::take(&mut params, conversation.era())?;
    only(&params, &["name", "arguments"])?;
    let Some(Json::String(name)) = params.remove("name") else {
        return Err(Refusal::because(Slug::RequestInvalid, "there is no tool name"));
    };
    let arguments = params.remove("arguments").unwrap_or_else(|| Json::Object(Object::new()));
    let (client, ear) = between(conversation.era(), id, meta.progress, meta.inert);
    let keep_alive = gateway.settings.keep_alive.duration();
    let called = Called { at, name, arguments, meta: meta.judged, told: meta.told, returned };
    let prepared = prepare(&gateway, &known, called, running.watches()).await?;
    let work = work(gateway, known, conversation, running, client, (prepared, Structured::Free));
    Ok(ear.response(keep_alive, work).await)
}

/// A call as it was written.
struct Called {
    at: Address,
    name: String,
    arguments: Json,
    meta: Object,
    /// The headers that repeat arguments, where its era has some.
    told: Option<HeaderMap>,
    returned: Returned,
}

/// What a call comes to, before anything is decided.
pub(super) enum Prepared {
    /// An access that is decided on.
    Perform(Box<Wanted>),
    /// A look at a request.
    Status(ElevationId, Millis),
    /// A result at once.
    Tell(String),
    /// There is nothing of that name. It is told as what is hidden is, on a stream too.
    Unknown(Kind),
}

/// What is prepared, as the work that gives its answer; what is told at once has the form that its method gives it.
pub(super) fn work(
    gateway: Shared,
    known: Known,
    conversation: Conversation,
    running: Running,
    client: Client,
    (prepared, form): (Prepared, Structured),
) -> Work {
    match prepared {
        Prepared::Perform(wanted) => {
            Box::pin(perform(gateway, known.place, conversation, running, client, wanted))
        }
        Prepared::Status(id, wait) => Box::pin(own::status(gateway, known, running, client, id, wait)),
        Prepared::Tell(text) => {
            drop(running);
            Box::pin(async move {
                let _taken = client.stopped(form, &text).await;
            })
        }
        Prepared::Unknown(kind) => {
            drop(running);
            Box::pin(no_such(client, kind))
        }
    }
}

/// Tells that there is nothing of that name for this caller.
async fn no_such(client: Client, kind: Kind) {
    let _taken = client.error(&Refusal::from(unknown(kind)).error().text()).await;
}

async fn prepare(
    gateway: &Shared,
    known: &Known,
    called: Called,
    watches: Option<&Watches>,
) -> Result<Prepared, Refusal> {
    let Called { at, name, arguments, meta, told, returned } = called;
    let wanted = if own::is_own(&name) {
        match own::Own::of(&name, &arguments)? {
            own::Own::Status(id, wait) => return Ok(Prepared::Status(id, wait)),
            own::Own::Preflight(question) => {
                return Ok(Prepared::Tell(own::preflight(gateway, known, &at, question, meta).await));
            }
            own::Own::Run(id, claims) => {
                let captured = own::captured(gateway, known, id, claims).await;
                let can_run = |wanted: &Wanted| own::can_be_told(gateway, &at, watches, &wanted.ask);
                match captured.and_then(|wanted| can_run(&wanted).map(|()| wanted)) {
                    Ok(wanted) => wanted,
                    Err(refusal) => return Ok(Prepared::Tell(own::refused(&refusal))),
                }
            }
        }
    } else {
        let Some(Named { upstream, name }) = at.named(gateway, Kind::Tool, &name) else {
            return Ok(Prepared::Unknown(Kind::Tool));
        };
        match wanted(gateway, known, &upstream, &name, (arguments, meta, told)).await {
            Ok(wanted) => wanted,
            Err(refusal) if refusal == unknown(Kind::Tool).into() => {
                return Ok(Prepared::Unknown(Kind::Tool));
            }
            Err(refusal) => return as_result(&refusal).map(Prepared::Tell).ok_or(refusal),
        }
    };
    returned.to(gateway, known, wanted).await
}

/// The access that a call of this name would be.
///
/// # Errors
/// What its caller would be told instead.
pub(super) async fn would_ask(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    name: &str,
    (arguments, meta): (Json, Object),
) -> Result<Ask, Refusal> {
    let Named { upstream, name } = at.named(gateway, Kind::Tool, name).ok_or(Slug::ToolUnknown)?;
    Ok(wanted(gateway, known, &upstream, &name, (arguments, meta, None)).await?.ask)
}

/// What is wrong with the upstream, not with the call: its caller is told as of any call that did not run.
fn as_result(refusal: &Refusal) -> Option<String> {
    if refusal.slug == Slug::UpstreamUnreachable {
        return Some(refusal::broken(&run::UNREACHABLE, Structured::BySchema));
    }
    (refusal.slug == Slug::UpstreamNeedsFeature).then(|| refusal::refused(refusal, Structured::BySchema))
}

/// The access that a call asks for. A tool that the caller may not know of is as unknown as one that is not
/// there, whatever else is wrong with the call.
async fn wanted(
    gateway: &Shared,
    known: &Known,
    upstream: &str,
    name: &str,
    (arguments, meta, told): (Json, Object, Option<HeaderMap>),
) -> Result<Wanted, Refusal> {
    let unknown = || Refusal::from(Slug::ToolUnknown);
    let active = gateway.authority.active();
    let tool = active.tool(upstream, name).filter(|t| t.pin.state != PinState::Gone);
    let Some(tool) = tool else {
        // Of an upstream that never said what it has, nothing is unknown yet.
        let never = active.named(upstream, Kind::Tool).next().is_none();
        let unreached = never && gateway.upstreams.unreached().any(|name| name == upstream);
        return Err(if unreached { Slug::UpstreamUnreachable.into() } else { unknown() });
    };
    // Looked up only where it makes a difference: nearly every call goes on.
    let seen = || gateway.authority.seen(&known.caller, Kind::Tool, upstream, name).is_some();
    let attached = pins::attach(gateway, upstream).await;
    let identity = gateway.authority.upstream(upstream).filter(|_| attached.is_ok());
    let Some(identity) = identity.map(|upstream| upstream.identity) else {
        return Err(if seen() { Slug::UpstreamUnreachable.into() } else { unknown() });
    };
    if let Some(what) = gateway.authority.misfit(&tool, &arguments) {
        return Err(if seen() { Refusal::because(Slug::ArgumentsInvalid, what) } else { unknown() });
    }
    let told = told.as_ref().zip(arguments.as_object());
    let agree = told.map_or(Ok(()), |(told, given)| upstream::agree(&tool.pin.definition, given, told));
    if let Err(header) = agree {
        return Err(if seen() { Refusal::because(Slug::HeaderMismatch, header) } else { unknown() });
    }
    if let Some(feature) = not_carried(gateway, &tool, &arguments) {
        return Err(if seen() { run::needs(feature) } else { unknown() });
    }
    let made = access(gateway, known, (Action::Call, &tool), identity, arguments, meta);
    let ask = made.map_err(|why| if seen() { not_an_access(&why) } else { unknown() })?;
    Ok(Wanted::new(ask, room(&tool)))
}

/// What a call takes that is not carried, as far as that can be known before anybody is asked to approve it.
fn not_carried(gateway: &Shared, tool: &Target, arguments: &Json) -> Option<Feature> {
    let (upstream, definition) = (&tool.upstream, &tool.pin.definition);
    if gateway.upstreams.takes_tasks(upstream) && requires_task(definition) {
        return Some(Feature::Tasks);
    }
    let secrets = tool.settings.secrets.iter().filter(|secret| secret.of(arguments).is_some());
    let told = gateway.upstreams.tells_in_headers(upstream, definition, secrets);
    told.then_some(Feature::ParameterHeaders)
}

/// Whether a tool can only be called as a task, where its upstream takes any (MCP 2025-11-25, tasks, "Tool-Level
/// Negotiation"): such a call would be refused there, after a person has approved it.
fn requires_task(definition: &Json) -> bool {
    let support = definition.get("execution").and_then(|execution| execution.get("taskSupport"));
    support.and_then(Json::as_str) == Some("required")
}

/// Whether structured content of ours has a place beside what a tool promises of its own.
pub(super) fn room(tool: &Target) -> Structured {
    if tool.pin.definition.get("outputSchema").is_some() { Structured::BySchema } else { Structured::Free }
}

/// Through the one door, and on. Its place in the budget is held until this ends; thousands may wait within, so of who calls
/// nothing else is kept beside the access.
async fn perform(
    gateway: Shared,
    _place: Arc<Place>,
    conversation: Conversation,
    mut running: Running,
    mut client: Client,
    mut wanted: Box<Wanted>,
) {
    let asked = wanted.asked.take();
    let Wanted { ref ask, back, round, call, structured, .. } = *wanted;
    let coming = Coming::of(&gateway, &conversation, ask, (call, asked));
    let (client_, running_) = (&mut client, &mut running);
    let asking = Asking { ask, back, round, conversation, client: client_, running: running_, within: None };
    let span = tracing::Span::current();
    let text = match enforce(&gateway, asking).await {
        Ok(Passed::Left) => return,
        Ok(Passed::Run(permit, link)) => {
            span.record("attempt", permit.attempt().map(tracing::field::display));
            let of = run::Of { ask, conversation, coming: &coming, structured };
            // Apart, so that what waits for people does not take the room of what runs.
            return Box::pin(run::run(&gateway, permit, link, (client, running), of)).await;
        }
        Ok(Passed::Challenged(challenge, told)) => {
            span.record("elevation", tracing::field::display(challenge.elevation));
            drop(running);
            return stopped(&gateway, ask, client, (&challenge, told, round), (&coming, structured)).await;
        }
        // Not allowed, and not to be known of: as unknown as any other.
        Ok(Passed::Denied(_) | Passed::Unreachable) if hidden(&gateway, ask, back) => {
            drop(running);
            let kind = Kind::named(&ask.access.resource().kind).unwrap_or(Kind::Tool);
            return no_such(client, kind).await;
        }
        Ok(Passed::Denied(denial)) => refusal::denied(&denial, structured),
        Ok(Passed::Unreachable) => refusal::broken(&run::UNREACHABLE, structured),
        Err(failed) => refusal::denied(&Denial::of(unavailable(&failed).slug), structured),
    };
    // Who has the answer may use the request's id again.
    drop(running);
    client.stopped(structured, &text).await;
}

/// Tells a stopped call, in the way that was chosen for it.
async fn stopped(
    gateway: &Shared,
    ask: &Ask,
    client: Client,
    (challenge, told, round): (&Challenge, Told, u8),
    (coming, structured): (&Coming, Structured),
) {
    let settings = &gateway.settings;
    let state = match told {
        Told::Form | Told::Url | Told::Again => coming.stopped(gateway, challenge, round),
        Told::OpenFirst => {
            client.error(&carrier::open_first(settings, challenge)).await;
            return;
        }
        Told::FormWithin | Told::UrlWithin | Told::ToolError => None,
    };
    match state {
        Some(state) => client.incomplete(&carrier::input_required(settings, challenge, told, state)).await,
        None => {
            let told = carrier::challenged(settings, challenge, ask.access.meta(), structured);
            client.stopped(structured, &told).await
        }
    };
}

/// Whether a caller may not know that there is what it named. Who has an elevation of it knows.
fn hidden(gateway: &Shared, ask: &Ask, back: Option<ElevationId>) -> bool {
    let resource = ask.access.resource();
    let (upstream, name) = resource.parts().unwrap_or_default();
    let seen = |kind| gateway.authority.seen(&ask.caller, kind, upstream, name).is_some();
    back.is_none() && !Kind::named(&resource.kind).is_some_and(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The room that a call takes which waits: thousands may, each with a future of this size on the heap.
    #[test]
    fn what_waits_for_people_has_no_room_for_what_runs() {
        fn room<A, B, C, D, E, F, Work>(_: impl FnOnce(A, B, C, D, E, F) -> Work) -> usize {
            size_of::<Work>()
        }
        let room = room(perform);
        assert!(room <= 2048, "{room} bytes: box what is not alive while it waits");
    }
}
