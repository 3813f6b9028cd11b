//! The entities of a question, built typed. Parents are given with all of theirs, so three entities are
//! the whole of what Cedar has to know.

use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::Attribute;

/// A type of entity that rules can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Action,
    Agent,
    Service,
    Human,
    Group,
    Tool,
    Prompt,
    Resource,
    Route,
    Operation,
    Server,
    Environment,
    Installation,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action => "Action",
            Self::Agent => "Agent",
            Self::Service => "Service",
            Self::Human => "Human",
            Self::Group => "Group",
            Self::Tool => "Tool",
            Self::Prompt => "Prompt",
            Self::Resource => "Resource",
            Self::Route => "Route",
            Self::Operation => "Operation",
            Self::Server => "Server",
            Self::Environment => "Environment",
            Self::Installation => "Installation",
        }
    }
}

impl Kind {
    /// The type of a target.
    pub const fn of(target: terms::Kind) -> Self {
        match target {
            terms::Kind::Tool => Self::Tool,
            terms::Kind::Prompt => Self::Prompt,
            terms::Kind::Resource => Self::Resource,
            terms::Kind::Route => Self::Route,
            terms::Kind::Operation => Self::Operation,
            terms::Kind::Installation => Self::Installation,
        }
    }
}

/// The one installation, in which everything is that `administer` acts on.
pub(crate) const INSTALLATION: &str = terms::Part::OF;

/// One entity with every ancestor and attribute that it has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entity {
    pub kind: Kind,
    pub id: String,
    pub parents: Vec<(Kind, String)>,
    pub attributes: Vec<(String, Attribute)>,
}

impl Entity {
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), parents: Vec::new(), attributes: Vec::new() }
    }

    /// The same entity within those.
    pub fn within<'i>(mut self, kind: Kind, ids: impl IntoIterator<Item = &'i str>) -> Self {
        self.parents.extend(ids.into_iter().map(|id| (kind, id.to_owned())));
        self
    }

    /// The same entity with an attribute; of two with one name the later one stays.
    pub fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.retain(|(had, _)| had != name);
        self.attributes.push((name.to_owned(), value));
        self
    }
}

/// Something that cannot happen did: the question has no form in Cedar. Always a Deny.
#[derive(Debug)]
pub(crate) struct Unaskable;

/// Cedar's names of our types, read once a set.
pub(crate) struct Types {
    action: EntityTypeName,
    agent: EntityTypeName,
    service: EntityTypeName,
    human: EntityTypeName,
    group: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
    route: EntityTypeName,
    operation: EntityTypeName,
    server: EntityTypeName,
    environment: EntityTypeName,
    installation: EntityTypeName,
}

impl Types {
    pub fn new() -> Result<Self, Unaskable> {
        let read = |kind: Kind| EntityTypeName::from_str(kind.name()).map_err(|_| Unaskable);
        Ok(Self {
            action: read(Kind::Action)?,
            agent: read(Kind::Agent)?,
            service: read(Kind::Service)?,
            human: read(Kind::Human)?,
            group: read(Kind::Group)?,
            tool: read(Kind::Tool)?,
            prompt: read(Kind::Prompt)?,
            resource: read(Kind::Resource)?,
            route: read(Kind::Route)?,
            operation: read(Kind::Operation)?,
            server: read(Kind::Server)?,
            environment: read(Kind::Environment)?,
            installation: read(Kind::Installation)?,
        })
    }

    pub fn uid(&self, kind: Kind, id: &str) -> EntityUid {
        let name = match kind {
            Kind::Action => &self.action,
            Kind::Agent => &self.agent,
            Kind::Service => &self.service,
            Kind::Human => &self.human,
            Kind::Group => &self.group,
            Kind::Tool => &self.tool,
            Kind::Prompt => &self.prompt,
            Kind::Resource => &self.resource,
            Kind::Route => &self.route,
            Kind::Operation => &self.operation,
            Kind::Server => &self.server,
            Kind::Environment => &self.environment,
            Kind::Installation => &self.installation,
        };
        EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
    }

    /// The entity for Cedar.
    pub fn entity(&self, entity: &Entity) -> Result<cedar_policy::Entity, Unaskable> {
        let parents = entity.parents.iter().map(|(kind, id)| self.uid(*kind, id));
        let attributes = entity.attributes.iter().map(|(name, value)| {
            let value = match value {
                Attribute::Bool(truth) => RestrictedExpression::new_bool(*truth),
                Attribute::Number(number) => RestrictedExpression::new_long(*number),
                Attribute::Text(text) => RestrictedExpression::new_string(text.clone()),
            };
            (name.clone(), value)
        });
        let uid = self.uid(entity.kind, &entity.id);
        cedar_policy::Entity::new(uid, attributes.collect(), parents.collect()).map_err(|_| Unaskable)
    }
}
