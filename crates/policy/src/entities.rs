//! The entities of a question, built typed. Parents are given with all of theirs, so three entities are
//! the whole of what Cedar has to know.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};

/// A type of entity that rules can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Action,
    Agent,
    Service,
    Human,
    Group,
    Tool,
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
            Self::Server => "Server",
            Self::Environment => "Environment",
            Self::Installation => "Installation",
        }
    }
}

/// The one installation: what `administer` acts on.
pub(crate) const INSTALLATION: &str = "stepup";

/// Attributes by name.
pub(crate) type Attributes = HashMap<String, RestrictedExpression>;

/// One entity with every ancestor that it has.
pub(crate) struct Entity<'a> {
    pub kind: Kind,
    pub id: &'a str,
    pub parents: Vec<(Kind, &'a str)>,
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
            Kind::Server => &self.server,
            Kind::Environment => &self.environment,
            Kind::Installation => &self.installation,
        };
        EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
    }

    /// The entity for Cedar.
    pub fn entity(
        &self,
        entity: &Entity<'_>,
        attributes: Attributes,
    ) -> Result<cedar_policy::Entity, Unaskable> {
        let parents: HashSet<_> = entity.parents.iter().map(|(kind, id)| self.uid(*kind, id)).collect();
        let uid = self.uid(entity.kind, entity.id);
        if attributes.is_empty() {
            return Ok(cedar_policy::Entity::new_no_attrs(uid, parents));
        }
        cedar_policy::Entity::new(uid, attributes, parents).map_err(|_| Unaskable)
    }
}
