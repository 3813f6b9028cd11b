//! `tools/call`: the access is made here, once, from strictly parsed input; it goes through the one door, and
//! what comes back is carried out or told.

use authority::{Ask, Denial, PinState, Tool};
use axum::response::Response;
use terms::access::{NotAnAccess, Resource};
use terms::json::Object;
use terms::{Access, ElevationId, Feature, Json, Slug};

use super::conversation::Conversation;
use super::envelope::{Request, only};
use super::session::Running;
use super::stream::{Client, Work, between};
use super::{Structured, carrier, own, refusal};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::unavailable;
use crate::enforce::{Asking, Passed, enforce};
use crate::gateway::Shared;
use crate::{pins, run};

/// What a request wants to run, and how its answer may look.
pub(super) struct Wanted {
    pub(super) ask: Ask,
    /// The elevation that the caller comes back to.
    pub(super) back: Option<ElevationId>,
    /// Whether the tool promises structured content of its own, so that ours has no place.
    pub(super) structured: Structured,
}

pub(super) async fn call(
    gateway: Shared,
    known: Known,
    upstream: String,
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
    only(&params, &["name", "arguments"])?;
    let Some(Json::String(name)) = params.remove("name") else {
        return Err(Refusal::because(Slug::RequestInvalid, "there is no tool name"));
    };
    let arguments = params.remove("arguments").unwrap_or_else(|| Json::Object(Object::new()));
    let (client, ear) = between(conversation.era(), id, meta.progress, meta.inert);
    let keep_alive = gateway.settings.keep_alive.duration();
    let work: Work = if own::is_own(&name) {
        let Json::Object(arguments) = arguments else { return Err(Slug::ArgumentsInvalid.into()) };
        own::call(gateway, known, conversation, running, client, &name, arguments).await?
    } else {
        match wanted(&gateway, &known, &upstream, &name, (arguments, meta.judged)).await {
            Ok(wanted) => Box::pin(perform(gateway, known, conversation, running, client, wanted)),
            Err(refusal) => {
                let Some(told) = as_result(&refusal) else { return Err(refusal) };
                drop(running);
                Box::pin(async move {
                    let _taken = client.result(&told).await;
                })
            }
        }
    };
    Ok(ear.response(keep_alive, work).await)
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
    (arguments, mut meta): (Json, Object),
) -> Result<Wanted, Refusal> {
    let unknown = || Refusal::from(Slug::ToolUnknown);
    let active = gateway.authority.active();
    let tool = active.tool(upstream, name).filter(|t| t.pin.state != PinState::Gone);
    let Some(tool) = tool else {
        // Of an upstream that never said what it has, nothing is unknown yet.
        let never = active.tools(upstream).next().is_none();
        let unreached = never && gateway.upstreams.unreached().any(|name| name == upstream);
        return Err(if unreached { Slug::UpstreamUnreachable.into() } else { unknown() });
    };
    // Looked up only where it makes a difference: nearly every call goes on.
    let seen = || gateway.authority.seen(&known.caller, upstream, name).is_some();
    let attached = pins::attach(gateway, upstream).await;
    let identity = gateway.authority.upstream(upstream).filter(|_| attached.is_ok());
    let Some(identity) = identity.map(|upstream| upstream.identity) else {
        return Err(if seen() { Slug::UpstreamUnreachable.into() } else { unknown() });
    };
    let checked = gateway.schemas.check(tool.pin.digest, &tool.pin.definition, &arguments);
    if let Err(what) = checked {
        return Err(if seen() { Refusal::because(Slug::ArgumentsInvalid, what) } else { unknown() });
    }
    if gateway.upstreams.takes_tasks(upstream) && requires_task(&tool.pin.definition) {
        return Err(if seen() { run::needs(Feature::Tasks) } else { unknown() });
    }
    let resource =
        Resource { kind: "tool".to_owned(), id: tool.id(), definition: tool.pin.digest, upstream: identity };
    let made = Access::new(
        known.caller.subject(),
        "tools/call",
        resource,
        arguments,
        &tool.settings.secrets,
        gateway.authority.seal_key(),
    );
    meta.retain(|member| gateway.upstreams.takes(upstream, member));
    let made = made.and_then(|(access, secrets)| Ok((access.with_meta(meta)?, secrets)));
    let (access, secrets) = made.map_err(|why| if seen() { not_an_access(&why) } else { unknown() })?;
    let ask = Ask {
        caller: known.caller.clone(),
        access,
        secrets,
        source: known.source.clone(),
        purpose: None,
        ticket: None,
    };
    Ok(Wanted { ask, back: None, structured: room(&tool) })
}

/// Whether a tool can only be called as a task, where its upstream takes any (MCP 2025-11-25, tasks, "Tool-Level
/// Negotiation"): such a call would be refused there, after a person has approved it.
fn requires_task(definition: &Json) -> bool {
    let support = definition.get("execution").and_then(|execution| execution.get("taskSupport"));
    support.and_then(Json::as_str) == Some("required")
}

fn not_an_access(why: &NotAnAccess) -> Refusal {
    let slug = match why {
        NotAnAccess::Name(_) => Slug::NotCanonical,
        NotAnAccess::NotAnObject | NotAnAccess::Sealed(_) => Slug::ArgumentsInvalid,
    };
    Refusal::because(slug, why.to_string())
}

/// Whether structured content of ours has a place beside what a tool promises of its own.
pub(super) fn room(tool: &Tool) -> Structured {
    if tool.pin.definition.get("outputSchema").is_some() { Structured::BySchema } else { Structured::Free }
}

/// Through the one door, and on.
pub(super) async fn perform(
    gateway: Shared,
    known: Known,
    conversation: Conversation,
    mut running: Running,
    mut client: Client,
    wanted: Wanted,
) {
    let Wanted { ask, back, structured } = wanted;
    // Its place in the budget is held until this ends.
    let _place = known.place;
    let (client_, running_) = (&mut client, &mut running);
    let asking = Asking { ask: &ask, back, conversation, client: client_, running: running_ };
    let span = tracing::Span::current();
    let text = match enforce(&gateway, asking).await {
        Ok(Passed::Left) => return,
        Ok(Passed::Run(permit, link)) => {
            span.record("attempt", permit.attempt().map(tracing::field::display));
            return run::run(&gateway, permit, &link, client, running, structured).await;
        }
        Ok(Passed::Challenged(challenge)) => {
            span.record("elevation", tracing::field::display(challenge.elevation));
            carrier::challenged(&gateway.settings, &challenge, ask.access.meta(), structured)
        }
        // Not allowed, and not to be known of: as unknown as any other.
        Ok(Passed::Denied(_) | Passed::Unreachable) if hidden(&gateway, &ask, back) => {
            drop(running);
            client.error(&Refusal::from(Slug::ToolUnknown).error().text()).await;
            return;
        }
        Ok(Passed::Denied(denial)) => refusal::denied(&denial, structured),
        Ok(Passed::Unreachable) => refusal::broken(&run::UNREACHABLE, structured),
        Err(failed) => refusal::denied(&Denial::of(unavailable(&failed).slug), structured),
    };
    // Who has the answer may use the request's id again.
    drop(running);
    client.result(&text).await;
}

/// Whether a caller may not know that the tool exists which it named. Who has an elevation of it knows.
fn hidden(gateway: &Shared, ask: &Ask, back: Option<ElevationId>) -> bool {
    let (upstream, name) = ask.access.resource().parts().unwrap_or_default();
    back.is_none() && gateway.authority.seen(&ask.caller, upstream, name).is_none()
}
