//! `prompts/get`, `resources/read` and `completion/complete`: each is an access like a call, made here once from strictly
//! parsed input, and goes through the same door. What does not run is told as an error: results of these have no
//! `isError`.

use authority::{Ask, PinState, Target, are_texts, reads, unknown};
use axum::response::Response;
use terms::json::Object;
use terms::revision::Era;
use terms::{Abilities, Action, CallerId, Json, Kind, Slug, Uri, UriTemplate};

use super::address::{Address, Named};
use super::call::{Prepared, Wanted, work};
use super::conversation::Conversation;
use super::envelope::{Request, only};
use super::rounds::Returned;
use super::session::Running;
use super::stream::between;
use super::{Structured, refusal, result};
use crate::access::{access, not_an_access};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::gateway::Shared;
use crate::{pins, run};

/// What is asked for, as it was written.
struct Asked {
    action: Action,
    kind: Kind,
    named: Named,
    arguments: Json,
}

pub(super) async fn answer(
    gateway: Shared,
    known: Known,
    at: Address,
    mut conversation: Conversation,
    running: Running,
    request: Request,
    action: Action,
) -> Result<Response, Refusal> {
    let Request { id, mut params, meta, .. } = request;
    let mut returned = Returned::default();
    match action {
        Action::Call | Action::Get | Action::Read => {
            returned = Returned::take(&mut params, conversation.era())?;
        }
        // Of who only asks for proposals, nothing is asked (MCP 2026-07-28, multi round-trip requests, "Supported
        // Requests").
        Action::Complete => conversation.abilities = Abilities::default(),
        Action::Subscribe => room_for_one(&gateway, known.caller.id)?,
        Action::Send(_) | Action::Do | Action::Administer => return Err(Slug::MethodUnknown.into()),
    }
    let asked = Asked::read(&gateway, &at, action, params)?;
    let (client, ear) = between(conversation.era(), id, meta.progress, meta.inert);
    let keep_alive = gateway.settings.keep_alive.duration();
    let prepared = match asked {
        Ok(asked) => prepare(&gateway, &known, asked, (meta.judged, returned)).await?,
        Err(kind) => Prepared::Unknown(kind),
    };
    let work = work(gateway, known, conversation, running, client, (prepared, Structured::Error));
    Ok(ear.response(keep_alive, work).await)
}

/// Whether one more resource may be watched.
pub(super) fn room_for_one(gateway: &Shared, caller: CallerId) -> Result<(), Refusal> {
    let most = gateway.settings.budgets.subscriptions;
    let full = || Refusal::because(Slug::OverBudget, format!("there are {most} subscriptions already"));
    gateway.load.may_watch(caller).then_some(()).ok_or_else(full)
}

/// The access that these parameters ask for.
///
/// # Errors
/// Why it is none.
pub(super) async fn would_ask(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    action: Action,
    params: Object,
    meta: Object,
) -> Result<Ask, Refusal> {
    let asked = Asked::read(gateway, at, action, params)?.map_err(unknown)?;
    Ok(wanted(gateway, known, asked, meta).await?.ask)
}

/// `resources/unsubscribe`: what was permitted is not wanted any more, which takes nobody's permission. It ends for this
/// session alone.
pub(super) fn unsubscribe(
    gateway: &Shared,
    at: &Address,
    running: &Running,
    request: &Request,
) -> Result<Response, Refusal> {
    let mut params = request.params.clone();
    only(&params, &["uri"])?;
    let uri = text(&mut params, "uri")?;
    let watches = running.watches().ok_or(Slug::MethodUnknown)?;
    let named = at.named(gateway, Kind::Resource, &uri).ok_or(Slug::ResourceUnknown)?;
    watches.end(&named.upstream, &named.name);
    Ok(result::of(Era::Legacy, &request.id, &Json::Object(Object::new())))
}

async fn prepare(
    gateway: &Shared,
    known: &Known,
    asked: Asked,
    (meta, returned): (Object, Returned),
) -> Result<Prepared, Refusal> {
    let kind = asked.kind;
    match wanted(gateway, known, asked, meta).await {
        Ok(wanted) => returned.to(gateway, known, wanted).await,
        Err(refusal) if refusal.slug == Slug::UpstreamUnreachable => {
            Ok(Prepared::Tell(refusal::broken(&run::UNREACHABLE, Structured::Error)))
        }
        Err(refusal) if refusal == unknown(kind).into() => Ok(Prepared::Unknown(kind)),
        Err(refusal) => Err(refusal),
    }
}

impl Asked {
    /// Reads the parameters: no member beside those that the method names (R2). Of what names nothing at this address,
    /// what it was to be.
    fn read(
        gateway: &Shared,
        at: &Address,
        action: Action,
        mut params: Object,
    ) -> Result<Result<Self, Kind>, Refusal> {
        let named = |kind, text: &str| at.named(gateway, kind, text).ok_or(kind);
        match action {
            Action::Call | Action::Get => {
                only(&params, &["name", "arguments"])?;
                let name = text(&mut params, "name")?;
                let arguments = params.remove("arguments").unwrap_or_else(|| Json::Object(Object::new()));
                texts(&arguments, "arguments")?;
                let named = named(Kind::Prompt, &name);
                Ok(named.map(|named| Self { action, kind: Kind::Prompt, named, arguments }))
            }
            Action::Read | Action::Subscribe => {
                only(&params, &["uri"])?;
                let named = match named(Kind::Resource, &text(&mut params, "uri")?) {
                    Ok(named) => named,
                    Err(kind) => return Ok(Err(kind)),
                };
                Uri::new(&named.name).map_err(|why| Refusal::because(Slug::UriRefused, why.to_string()))?;
                let arguments = Json::Object(reads(&named.name));
                Ok(Ok(Self { action, kind: Kind::Resource, named, arguments }))
            }
            Action::Complete => {
                only(&params, &["ref", "argument", "context"])?;
                let (kind, text) = reference(params.remove("ref"))?;
                check_completed(&params)?;
                let named = named(kind, &text);
                if let (Kind::Resource, Ok(named)) = (kind, &named) {
                    let template = UriTemplate::new(&named.name);
                    template.map_err(|why| Refusal::because(Slug::UriRefused, why.to_string()))?;
                }
                Ok(named.map(|named| Self { action, kind, named, arguments: Json::Object(params) }))
            }
            Action::Send(_) | Action::Do | Action::Administer => Err(Slug::MethodUnknown.into()),
        }
    }
}

fn invalid(what: &str) -> Refusal {
    Refusal::because(Slug::RequestInvalid, what)
}

/// A parameter that has to be a text.
fn text(params: &mut Object, name: &str) -> Result<String, Refusal> {
    match params.remove(name) {
        Some(Json::String(text)) => Ok(text),
        Some(_) | None => Err(invalid(&format!("{name} is not a text"))),
    }
}

/// An object of texts by name, as the arguments of prompts and templates are.
fn texts(of: &Json, name: &str) -> Result<(), Refusal> {
    if are_texts(of) {
        Ok(())
    } else {
        Err(Refusal::because(Slug::ArgumentsInvalid, format!("{name} is not an object of texts")))
    }
}

/// What a completion is for (MCP 2025-11-25, completion). Its title is for people, and goes nowhere.
fn reference(of: Option<Json>) -> Result<(Kind, String), Refusal> {
    let Some(Json::Object(mut of)) = of else { return Err(invalid("ref is not an object")) };
    match text(&mut of, "type")?.as_str() {
        "ref/prompt" => {
            of.remove("title");
            only(&of, &["name"])?;
            Ok((Kind::Prompt, text(&mut of, "name")?))
        }
        "ref/resource" => {
            only(&of, &["uri"])?;
            Ok((Kind::Resource, text(&mut of, "uri")?))
        }
        _ => Err(invalid("ref is of no known type")),
    }
}

/// The argument that is completed, and what is known of the others.
fn check_completed(params: &Object) -> Result<(), Refusal> {
    let argument = params
        .get("argument")
        .and_then(Json::as_object)
        .ok_or_else(|| invalid("argument is not an object"))?;
    only(argument, &["name", "value"])?;
    if argument.len() != 2 {
        return Err(invalid("argument is not a name and a value"));
    }
    texts(&Json::Object(argument.clone()), "argument")?;
    let Some(context) = params.get("context") else { return Ok(()) };
    let context = context.as_object().ok_or_else(|| invalid("context is not an object"))?;
    only(context, &["arguments"])?;
    context.get("arguments").map_or(Ok(()), |arguments| texts(arguments, "context.arguments"))
}

/// The access that is asked for. What the caller may not know of is as unknown as what is not there.
async fn wanted(gateway: &Shared, known: &Known, asked: Asked, meta: Object) -> Result<Wanted, Refusal> {
    let Asked { action, kind, named: Named { upstream, name }, arguments } = asked;
    let upstream = upstream.as_str();
    let attached = pins::attach(gateway, upstream).await;
    let target = offered(gateway, upstream, (action, kind), &name)?;
    let hidden = || gateway.authority.seen(&known.caller, kind, upstream, &name).is_none();
    let or_unknown = |refusal: Refusal| if hidden() { unknown(kind).into() } else { refusal };
    let identity = gateway.authority.upstream(upstream).filter(|_| attached.is_ok());
    let identity = identity.ok_or_else(|| or_unknown(Slug::UpstreamUnreachable.into()))?.identity;
    let made = access(gateway, known, (action, &target), identity, arguments, meta);
    let ask = made.map_err(|why| or_unknown(not_an_access(&why)))?;
    Ok(Wanted::new(ask, Structured::Error))
}

/// What is named, of an upstream that says that it has such.
fn offered(
    gateway: &Shared,
    upstream: &str,
    (action, kind): (Action, Kind),
    name: &str,
) -> Result<std::sync::Arc<Target>, Refusal> {
    let has = gateway.upstreams.has(upstream);
    let offers = match action {
        Action::Call => has.tools,
        Action::Get => has.prompts,
        Action::Read => has.resources,
        Action::Complete => has.completions,
        Action::Subscribe => has.subscribe,
        Action::Send(_) | Action::Do | Action::Administer => false,
    };
    let active = gateway.authority.active();
    let target = active.target(kind, upstream, name).filter(|target| target.pin.state != PinState::Gone);
    // Of an upstream that never was reached, it is not known what it has.
    let unreached = gateway.upstreams.unreached().any(|name| name == upstream);
    match target {
        Some(target) if offers || unreached => Ok(target),
        None if offers => Err(unknown(kind).into()),
        Some(_) | None if unreached => Err(Slug::UpstreamUnreachable.into()),
        Some(_) | None => Err(Slug::MethodUnknown.into()),
    }
}
