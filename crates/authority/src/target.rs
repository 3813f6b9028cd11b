//! What an access reaches for, with all that is known of it.

use std::sync::{Arc, LazyLock};

use store::{Pin, PinState};
use terms::access::Resource;
use terms::{
    Access, Action, DefinitionHash, Digest, Json, Kind, Part, PinId, Route, Time, UpstreamHash, Uri,
    UriTemplate,
};

use crate::bundle::{Declared, ToolSettings};

/// A tool or a prompt as it is pinned, or a route or an operation as it is configured, made once an epoch; a resource, made of its URI when one is
/// named; or a part of this installation.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is.
    pub kind: Kind,
    /// The upstream's name.
    pub upstream: String,
    /// The name of a tool, prompt or route; the URI of a resource, or the text of a template.
    pub name: String,
    /// Its definition, and where that stands. Of a resource nothing is pinned: this is made of its URI, stands
    /// accepted, and is kept nowhere (rfd 20); nor of a route, whose definition is the operator's own (rfd 34).
    pub pin: Pin,
    /// A route, read from its definition.
    pub route: Option<Arc<Route>>,
    /// The environment that the upstream stands in.
    pub environment: String,
    /// What the operator says of it, as far as that is said of this very definition (B25).
    pub settings: ToolSettings,
    /// The same for rules.
    pub(crate) judged: policy::Target,
}

impl Target {
    /// `upstream/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.upstream, self.name)
    }

    /// It as what an access reaches for, at an upstream that is this.
    #[must_use]
    pub fn resource(&self, upstream: UpstreamHash) -> Resource {
        let (kind, id) = (self.kind.name().to_owned(), self.id());
        Resource { kind, id, definition: self.pin.digest, upstream }
    }

    /// Whether it is what is configured so.
    pub(crate) fn is_declared(&self, configured: &Declared) -> bool {
        self.pin.definition == configured.definition && self.settings == configured.settings
    }

    /// Where its definition stands: `accepted`, `quarantined`, ….
    #[must_use]
    pub fn state(&self) -> &'static str {
        PinState::TABLE.iter().find(|(state, ..)| *state == self.pin.state).map_or("", |(.., name)| name)
    }

    /// Whether this is what the access does something to, and the access is whole: what is sent of a resource is the URI
    /// that was judged.
    pub(crate) fn is_of(&self, access: &Access) -> bool {
        let action = Action::named(access.action()).filter(|action| action.is_to(self.kind));
        match action {
            Some(Action::Read | Action::Subscribe) => {
                Uri::new(&self.name).is_ok() && *access.arguments() == reads(&self.name)
            }
            Some(Action::Send(method)) => self.route.as_ref().is_some_and(|route| route.method() == method),
            Some(Action::Call | Action::Get | Action::Complete | Action::Do | Action::Administer) => true,
            None => false,
        }
    }
}

/// The arguments with which a resource is read, or subscribed to.
#[must_use]
pub fn reads(uri: &str) -> terms::json::Object {
    terms::json::Object::from_iter([("uri", uri)])
}

/// What is pinned.
pub(crate) fn of_pin(kind: Kind, pin: Pin, settings: ToolSettings, environment: &str) -> Target {
    let route = (kind == Kind::Route).then(|| Route::of(&pin.definition).ok().map(Arc::new)).flatten();
    let path = pin.definition.get("path").and_then(Json::as_str).filter(|_| kind == Kind::Route);
    let path = path.map(|path| ("path".to_owned(), policy::Attribute::Text(path.to_owned())));
    let judged = policy::Target::new(policy::Facts {
        kind,
        only: route.as_ref().map(|route| Action::Send(route.method())),
        upstream: pin.upstream.clone(),
        name: pin.name.clone(),
        environment: environment.to_owned(),
        schema: schema(kind, &pin.definition),
        reviewed_read_only: settings.reviewed.as_deref() == Some("read-only"),
        attributes: path.into_iter().collect(),
    });
    let environment = environment.to_owned();
    Target {
        kind,
        upstream: pin.upstream.clone(),
        name: pin.name.clone(),
        pin,
        route,
        environment,
        settings,
        judged,
    }
}

/// A resource of that URI, or a template of that text: whether there is one is the upstream's to know.
pub(crate) fn of_uri(upstream: &str, uri: &str, environment: &str) -> Option<Target> {
    if Uri::new(uri).is_err() && UriTemplate::new(uri).is_err() {
        return None;
    }
    let definition = Json::object([("uri", uri)]);
    Some(unpinned(Kind::Resource, upstream, uri, definition, environment))
}

/// A route or an operation as it is configured.
pub(crate) fn of_declared(
    kind: Kind,
    upstream: &str,
    name: &str,
    declared: &Declared,
    environment: &str,
) -> Target {
    let mut pin = unstated(kind, upstream, name, declared.definition.clone());
    // So that it can be named as what is pinned is: another definition is another.
    let named = Digest::of(
        "stepup/declared/v1\0",
        &[upstream.as_bytes(), b"/", name.as_bytes(), pin.digest.digest().bytes()],
    );
    pin.id = named.bytes().get(..16).and_then(PinId::from_slice).unwrap_or(PinId::NIL);
    of_pin(kind, pin, declared.settings.clone(), environment)
}

/// A part of this installation.
pub(crate) fn of_part(part: Part) -> Arc<Target> {
    static PARTS: LazyLock<[Arc<Target>; 6]> = LazyLock::new(|| {
        Part::TABLE.map(|(_, name)| {
            let definition = Json::object([("part", name)]);
            Arc::new(unpinned(Kind::Installation, Part::OF, name, definition, ""))
        })
    });
    let [policy, groups, callers, people, definitions, locks] = &*PARTS;
    Arc::clone(match part {
        Part::Policy => policy,
        Part::Groups => groups,
        Part::Callers => callers,
        Part::People => people,
        Part::Definitions => definitions,
        Part::Locks => locks,
    })
}

/// What stands for an upstream's identity where there is none.
pub(crate) fn own_identity() -> UpstreamHash {
    UpstreamHash::of(&Json::object([("installation", Part::OF)]))
}

/// What something of that name would be, were it there.
pub(crate) fn supposed(kind: Kind, upstream: &str, name: &str, environment: &str) -> Target {
    unpinned(kind, upstream, name, Json::object([("name", name)]), environment)
}

/// What is made of its name alone, and kept nowhere.
fn unpinned(kind: Kind, upstream: &str, name: &str, definition: Json, environment: &str) -> Target {
    let pin = unstated(kind, upstream, name, definition);
    of_pin(kind, pin, ToolSettings::default(), environment)
}

/// A definition that no upstream states, and that stands as it is.
fn unstated(kind: Kind, upstream: &str, name: &str, definition: Json) -> Pin {
    Pin {
        id: PinId::NIL,
        upstream: upstream.to_owned(),
        kind: kind.name().to_owned(),
        name: name.to_owned(),
        digest: DefinitionHash::of(&definition),
        definition,
        state: PinState::Accepted,
        seen_at: Time::from_millis(0),
        decided_by: None,
    }
}

/// The schema of the arguments: a tool states it, a route or an operation is configured with it, and those of a prompt are texts by name (MCP
/// 2025-11-25, prompts).
fn schema(kind: Kind, definition: &Json) -> Json {
    match kind {
        Kind::Tool | Kind::Route | Kind::Operation => {
            definition.get("inputSchema").cloned().unwrap_or(Json::Null)
        }
        Kind::Prompt => {
            let arguments = definition.get("arguments").and_then(Json::as_array).into_iter().flatten();
            let names = arguments.filter_map(|argument| argument.get("name")?.as_str());
            let text = Json::object([("type", "string")]);
            Json::object([("properties", Json::object(names.map(|name| (name, text.clone()))))])
        }
        Kind::Resource | Kind::Installation => Json::Null,
    }
}
