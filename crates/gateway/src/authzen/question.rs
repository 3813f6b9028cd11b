//! What is asked: subject, action, resource and context (AuthZEN 1.0, "Information Model") as the one access that they are. The names for what
//! upstreams have are those of COAZ; everything else is an operation that the operator has declared.

use std::sync::Arc;

use authority::{Ask, Target, reads, unknown};
use terms::json::Object;
use terms::{Action, Caller, Json, Kind, Slug};

use super::of_subject;
use crate::access::{access, not_an_access};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::gateway::Shared;
use crate::pins;

/// One question, read strictly where it says something and loosely where it says more (AuthZEN 1.0: unknown members are ignored).
pub(super) struct Question {
    subject: Named,
    action: Named,
    resource: Named,
    context: Object,
    /// The approval that it comes back with.
    pub(super) approval: Option<String>,
}

/// A member with its type, its id or name, and its properties.
struct Named {
    kind: String,
    id: String,
    properties: Object,
}

pub(super) fn invalid(what: impl Into<String>) -> Refusal {
    Refusal::because(Slug::ArgumentsInvalid, what)
}

impl Question {
    pub(super) fn read(members: &Object) -> Result<Self, Refusal> {
        let mut context = match members.get("context") {
            None => Object::new(),
            Some(Json::Object(context)) => context.clone(),
            Some(_) => return Err(invalid("context is not an object")),
        };
        // It says only how the same is asked again.
        let approval = context.remove("approval");
        let approval = approval.as_ref().and_then(|approval| approval.get("id")?.as_str().map(str::to_owned));
        Ok(Self {
            subject: Named::read(members, "subject", ("type", "id"))?,
            action: Named::read(members, "action", ("name", "name"))?,
            resource: Named::read(members, "resource", ("type", "id"))?,
            context,
            approval,
        })
    }

    /// The arguments of the access.
    fn arguments(&self, kind: Kind) -> Result<Json, Refusal> {
        let given = || match self.context.get("arguments") {
            None => Ok(Json::Object(Object::new())),
            Some(arguments @ Json::Object(_)) => Ok(arguments.clone()),
            Some(_) => Err(invalid("context.arguments is not an object")),
        };
        Ok(match kind {
            Kind::Tool | Kind::Prompt | Kind::Route => given()?,
            Kind::Resource => {
                let (_, uri) = self.resource.id.split_once('/').unwrap_or_default();
                Json::Object(reads(uri))
            }
            Kind::Operation | Kind::Installation => Json::object([
                ("id", Json::from(self.resource.id.as_str())),
                ("resource", Json::Object(self.resource.properties.clone())),
                ("subject", Json::Object(self.subject.properties.clone())),
                ("action", Json::Object(self.action.properties.clone())),
                ("context", Json::Object(self.context.clone())),
            ]),
        })
    }
}

impl Named {
    fn read(members: &Object, name: &str, (kind, id): (&str, &str)) -> Result<Self, Refusal> {
        let Some(Json::Object(of)) = members.get(name) else {
            return Err(invalid(format!("{name} is not an object")));
        };
        let text = |member: &str| match of.get(member) {
            Some(Json::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(invalid(format!("{name}.{member} is not a text"))),
        };
        let properties = match of.get("properties") {
            None => Object::new(),
            Some(Json::Object(properties)) => properties.clone(),
            Some(_) => return Err(invalid(format!("{name}.properties is not an object"))),
        };
        Ok(Self { kind: text(kind)?, id: text(id)?, properties })
    }
}

/// The access that a question is about; a slug where there is nothing that it could be.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn ask(
    gateway: &Shared,
    known: &Known,
    question: &Question,
) -> Result<Result<Ask, Slug>, Refusal> {
    let target = match about(gateway, known, question) {
        Ok(target) => target,
        Err(slug) => return Ok(Err(slug)),
    };
    // Of what a subject may not know nothing else is told: not what it takes, nor whether it can be reached (T124).
    let (kind, name) = (target.kind, target.name.as_str());
    let caller = subject(gateway, known, &target.upstream, &question.subject)
        .filter(|caller| gateway.authority.seen(caller, kind, &target.upstream, name).is_some());
    let Some(caller) = caller else { return Ok(Err(unknown(kind))) };
    let Some(action) = done(kind, &question.action) else { return Ok(Err(Slug::MethodUnknown)) };
    if gateway.upstreams.names().any(|name| name == target.upstream)
        && pins::attach(gateway, &target.upstream).await.is_err()
    {
        return Ok(Err(Slug::UpstreamUnreachable));
    }
    let Some(upstream) = gateway.authority.upstream(&target.upstream) else {
        return Ok(Err(unknown(target.kind)));
    };
    let arguments = question.arguments(target.kind)?;
    if let Some(what) = gateway.authority.misfit(&target, &arguments) {
        return Err(invalid(what));
    }
    let known = of_subject(known, caller);
    let made = access(gateway, &known, (action, &target), upstream.identity, arguments, Object::new());
    Ok(Ok(made.map_err(|why| not_an_access(&why))?))
}

/// What is done to something of this kind.
fn done(kind: Kind, action: &Named) -> Option<Action> {
    if kind == Kind::Operation {
        return Some(Action::Do);
    }
    Action::named(&action.id).filter(|done| done.is_to(kind) && *done != Action::Subscribe)
}

/// To what it is done.
fn about(gateway: &Shared, known: &Known, question: &Question) -> Result<Arc<Target>, Slug> {
    let Question { action, resource, .. } = question;
    let active = gateway.authority.active();
    if let Some(kind) =
        Kind::named(&resource.kind).filter(|kind| !matches!(kind, Kind::Operation | Kind::Installation))
    {
        let (upstream, name) = resource.id.split_once('/').ok_or_else(|| unknown(kind))?;
        return active.target(kind, upstream, name).ok_or_else(|| unknown(kind));
    }
    let asks =
        gateway.settings.askers.iter().filter(|(_, askers)| askers.callers.contains(&known.caller.name));
    let is = |target: &&Arc<Target>| {
        let says = |name: &str| target.pin.definition.get(name).and_then(Json::as_str);
        says("action") == Some(action.id.as_str()) && says("type") == Some(resource.kind.as_str())
    };
    let found =
        asks.flat_map(|(upstream, _)| active.named(upstream, Kind::Operation)).find(is).map(Arc::clone);
    found.ok_or(Slug::OperationUnknown)
}

/// Whom it is about: who asks may always ask about itself, and about others where the operator lets it. Those act through it.
fn subject(gateway: &Shared, known: &Known, upstream: &str, subject: &Named) -> Option<Arc<Caller>> {
    let askers =
        gateway.settings.askers.get(upstream).filter(|askers| askers.callers.contains(&known.caller.name));
    let named = askers.and_then(|askers| askers.subjects.get(&subject.id));
    // Its users may call themselves what they like: only the operator says which of their names is which caller.
    let name = named.or_else(|| (subject.id == known.caller.name).then_some(&subject.id))?;
    if *name == known.caller.name {
        return Some(Arc::clone(&known.caller));
    }
    let active = gateway.authority.active();
    active.asked_by(active.caller_named(name)?.id, &known.caller)
}
