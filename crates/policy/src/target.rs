//! What an access reaches for, as policy sees it: a tool, a prompt, a resource, a route, an operation, or a part of this installation.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use terms::{Action, Json, Kind as Of};

use crate::entities::{Entity, INSTALLATION, Kind};
use crate::shape::Record;

/// A value that the operator says of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Cedar's Bool.
    Bool(bool),
    /// Cedar's Long.
    Number(i64),
    /// Cedar's String.
    Text(String),
}

/// What is known of a target. What it says of itself is in no attribute: that is a claim (invariant 10).
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What it is.
    pub kind: Of,
    /// What alone is done to it, where that is not all that is done to its kind: a route has one method.
    pub only: Option<Action>,
    /// The upstream's name: `Server::"ops"`.
    pub upstream: String,
    /// The name of a tool, prompt or route, the URI of a resource; `Tool::"ops/deploy"` with the upstream's.
    pub name: String,
    /// `Environment::"production"`; empty for none.
    pub environment: String,
    /// The schema of the arguments that a tool, a prompt or a route takes, as pinned. Those of a resource are always the same.
    pub schema: Json,
    /// Whether a person reviewed this very definition and found that it only reads (B25):
    /// `resource.reviewedReadOnly`.
    pub reviewed_read_only: bool,
    /// More attributes of the resource. `reviewedReadOnly`, `ruled` and `uri` are ours and cannot be set here.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A target with its names in Cedar and the types of its arguments: for what is pinned made once a pin, asked about
/// often.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Of,
    resource: Arc<Entity>,
    /// The resource in a set in which a `@stepup` names its own action.
    ruled: Arc<Entity>,
    /// What can be done to it; the first is what it is for.
    verbs: Vec<Verb>,
}

/// One thing that can be done to a target.
#[derive(Clone, Debug)]
pub(crate) struct Verb {
    pub action: Action,
    /// The action of doing it.
    pub act: Arc<Entity>,
    /// The action of approving that.
    pub approve: Arc<Entity>,
    pub arguments: Arc<Record>,
}

/// The group of the actions of approving anything, and what the name of each of them begins with.
pub(crate) const APPROVE: &str = "approve";
/// The action of seeing that something exists.
pub(crate) const DISCOVER: &str = "discover";
/// An action of callers, or of approving what they do, by its name in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub action: Action,
    pub approves: bool,
    /// `upstream/name` of the one target whose own action it is; `None` for the group.
    pub of: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Reads `tools/call`, `tools/call:ops/deploy`, `approve:tools/call`, ….
    pub fn read(id: &'a str) -> Option<Self> {
        let approved = id.strip_prefix(APPROVE).and_then(|rest| rest.strip_prefix(':'));
        let (group, of) = approved
            .unwrap_or(id)
            .split_once(':')
            .map_or((approved.unwrap_or(id), None), |(g, of)| (g, Some(of)));
        let action = Action::named(group).filter(|action| action.ruled_as() == *action)?;
        let whole = |of: &str| {
            of.split_once('/').is_some_and(|(upstream, name)| !upstream.is_empty() && !name.is_empty())
        };
        let fits = of.is_none_or(|of| has_own(action) && whole(of));
        fits.then_some(Self { action, approves: approved.is_some(), of })
    }

    /// Whether it is the group of actions whose targets each have one of their own, which nobody does itself.
    pub const fn is_group_of_own(&self) -> bool {
        self.of.is_none() && has_own(self.action)
    }

    /// The names of the groups.
    pub fn groups() -> impl Iterator<Item = String> {
        let named = |row: &&terms::action::Row| row.action.ruled_as() == row.action;
        let names = || Action::TABLE.iter().filter(named).map(|row| row.name);
        names().map(str::to_owned).chain(names().map(|name| format!("{APPROVE}:{name}")))
    }
}

/// Whether each target has an action of its own for it, in the group of all, because its arguments have types of their
/// own (decisions A1).
pub(crate) const fn has_own(action: Action) -> bool {
    match action {
        Action::Call | Action::Get | Action::Send(_) | Action::Do => true,
        Action::Read | Action::Complete | Action::Subscribe | Action::Administer => false,
    }
}

/// What a resource is read with.
static READ: LazyLock<Arc<Record>> =
    LazyLock::new(|| Arc::new(Record::of(&object([("uri", text())], &["uri"]))));

/// What a completion is asked with (MCP 2025-11-25, completion): the argument, and what is known of the others.
static COMPLETE: LazyLock<Arc<Record>> = LazyLock::new(|| {
    let argument = object([("name", text()), ("value", text())], &["name", "value"]);
    let context = object([("arguments", Json::object::<&str, Json>([]))], &[]);
    Arc::new(Record::of(&object([("argument", argument), ("context", context)], &["argument"])))
});

/// What a part of the installation is changed with, as far as rules can speak of it: what is done, and to whom.
static ADMINISTER: LazyLock<Arc<Record>> = LazyLock::new(|| {
    let many = Json::object([("type", Json::from("array")), ("items", text())]);
    let properties = [
        ("act", text()),
        ("name", text()),
        ("group", text()),
        ("groups", many),
        ("kind", text()),
        ("owner", text()),
        ("upstream", text()),
    ];
    Arc::new(Record::of(&object(properties, &["act"])))
});

fn text() -> Json {
    Json::object([("type", "string")])
}

fn object<const N: usize>(properties: [(&str, Json); N], required: &[&str]) -> Json {
    let required = Json::Array(required.iter().map(|name| Json::from(*name)).collect());
    let properties = Json::object(properties);
    Json::object([("type", Json::from("object")), ("properties", properties), ("required", required)])
}

/// The arguments of what every target takes alike; `None` where each has its own.
pub(crate) fn of_all(action: Action) -> Option<&'static Arc<Record>> {
    match action {
        Action::Call | Action::Get | Action::Send(_) | Action::Do => None,
        Action::Read | Action::Subscribe => Some(&READ),
        Action::Complete => Some(&COMPLETE),
        Action::Administer => Some(&ADMINISTER),
    }
}

impl Target {
    /// Reads the schema; what it does not understand has no typed form and is not an error.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let id = format!("{}/{}", facts.upstream, facts.name);
        let environment = Some(facts.environment.as_str()).filter(|e| !e.is_empty());
        let said = Entity::new(Kind::of(facts.kind), id.as_str());
        let said = facts.attributes.into_iter().fold(said, |it, (name, value)| it.with(&name, value));
        let reviewed = Attribute::Bool(facts.reviewed_read_only);
        let of_server = |said: Entity| {
            let said = said.within(Kind::Server, [facts.upstream.as_str()]);
            said.within(Kind::Environment, environment).with("reviewedReadOnly", reviewed)
        };
        let ruled = |said: &Entity, ruled| match facts.kind {
            Of::Installation => said.clone(),
            Of::Tool | Of::Prompt | Of::Resource | Of::Route | Of::Operation => {
                said.clone().with("ruled", Attribute::Bool(ruled))
            }
        };
        let said = match facts.kind {
            Of::Resource => of_server(said).with("uri", Attribute::Text(facts.name)),
            Of::Tool | Of::Prompt | Of::Route | Of::Operation => of_server(said),
            Of::Installation => said.within(Kind::Installation, [INSTALLATION]),
        };
        let done =
            |action: &Action| action.is_to(facts.kind) && facts.only.is_none_or(|only| only == *action);
        let actions = Action::TABLE.iter().map(|row| row.action).filter(done);
        let own = || Arc::new(Record::of(&facts.schema));
        Self {
            kind: facts.kind,
            verbs: actions.map(|action| Verb::new(action, &id, own)).collect(),
            resource: Arc::new(ruled(&said, false)),
            ruled: Arc::new(ruled(&said, true)),
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Of {
        self.kind
    }

    /// `upstream/name`, as in an access and in `Tool::"…"`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.resource.id
    }

    /// The target as resource of a question to a set in which it is ruled or not.
    pub(crate) fn resource(&self, ruled: bool) -> Arc<Entity> {
        Arc::clone(if ruled { &self.ruled } else { &self.resource })
    }

    /// All that can be done to it.
    pub(crate) fn verbs(&self) -> &[Verb] {
        &self.verbs
    }

    /// What of it is asked about; `None` for what is not done to such a target.
    pub(crate) fn verb(&self, action: &str) -> Option<&Verb> {
        self.verbs.iter().find(|verb| verb.action.name() == action)
    }

    /// What it is for.
    pub(crate) fn first(&self) -> Option<&Verb> {
        self.verbs.first()
    }
}

impl Verb {
    /// The one mapping from an access to Cedar's action.
    fn new(action: Action, id: &str, own: impl Fn() -> Arc<Record>) -> Self {
        let group = action.ruled_as().name();
        let approvals = format!("{APPROVE}:{group}");
        let (act, approve) = if has_own(action) {
            let act = Entity::new(Kind::Action, format!("{group}:{id}")).within(Kind::Action, [group]);
            let approve = Entity::new(Kind::Action, format!("{approvals}:{id}"));
            (act, approve.within(Kind::Action, [approvals.as_str(), APPROVE]))
        } else {
            (
                Entity::new(Kind::Action, group),
                Entity::new(Kind::Action, approvals).within(Kind::Action, [APPROVE]),
            )
        };
        let arguments = of_all(action).map_or_else(own, Arc::clone);
        Self { action, act: Arc::new(act), approve: Arc::new(approve), arguments }
    }
}

#[cfg(test)]
mod tests {
    use terms::Method;

    use super::*;

    #[test]
    fn every_action_has_one_name_and_no_other_text_is_one() {
        for (id, action, approves, of) in [
            ("tools/call", Action::Call, false, None),
            ("tools/call:ops/deploy", Action::Call, false, Some("ops/deploy")),
            ("approve:tools/call:ops/a/b", Action::Call, true, Some("ops/a/b")),
            ("prompts/get:ops/brief", Action::Get, false, Some("ops/brief")),
            ("approve:prompts/get", Action::Get, true, None),
            ("resources/read", Action::Read, false, None),
            ("approve:resources/read", Action::Read, true, None),
            ("completion/complete", Action::Complete, false, None),
            ("http/POST:crm/export", Action::Send(Method::Post), false, Some("crm/export")),
            ("approve:http/DELETE", Action::Send(Method::Delete), true, None),
        ] {
            assert_eq!(Named::read(id), Some(Named { action, approves, of }), "{id}");
        }
        for id in [
            "",
            "approve",
            "approve:",
            "discover",
            "tools/list",
            "tools/call:",
            "tools/call:ops",
            "tools/call:/x",
            "resources/read:ops/file:///x",
            "resources/subscribe",
            "approve:resources/subscribe",
            "completion/complete:ops/x",
            "approve:approve:tools/call",
            "resources/list",
        ] {
            assert_eq!(Named::read(id), None, "{id}");
        }
        assert!(Named::groups().all(|group| Named::read(&group).is_some()));
    }
}
