//! One pinned tool, as policy sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use terms::Json;

use crate::entities::{Entity, Kind};
use crate::shape::Record;

/// A value that the operator says of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Cedar's Bool.
    Bool(bool),
    /// Cedar's Long.
    Number(i64),
    /// Cedar's String.
    Text(String),
}

/// What is known of a tool. What it says of itself is in no attribute: that is a claim (invariant 10).
#[derive(Clone, Debug, PartialEq)]
pub struct ToolFacts {
    /// The upstream's name: `Server::"ops"`.
    pub upstream: String,
    /// The tool's name; `Tool::"ops/deploy"` with the upstream's.
    pub name: String,
    /// `Environment::"production"`; empty for none.
    pub environment: String,
    /// The pinned `inputSchema`.
    pub input_schema: Json,
    /// Whether a person reviewed this very definition and found that it only reads (B25):
    /// `resource.reviewedReadOnly`.
    pub reviewed_read_only: bool,
    /// More attributes of the resource. `reviewedReadOnly` and `ruled` are ours and cannot be set here.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A tool with its names in Cedar and the types of its arguments: made once a pin, asked about often.
#[derive(Clone, Debug)]
pub struct Tool {
    call: Arc<Entity>,
    approve: Arc<Entity>,
    resource: Arc<Entity>,
    /// The resource in a set in which a `@stepup` names the tool's action.
    ruled: Arc<Entity>,
    pub(crate) arguments: Record,
}

/// The action of calling a tool, in an access and as the group of the actions of all tools (decisions A1).
pub(crate) const CALL: &str = "tools/call";
/// The group of the actions of approving anything.
pub(crate) const APPROVE: &str = "approve";
/// The group of the actions of approving a call.
pub(crate) const APPROVE_CALL: &str = "approve:tools/call";
/// The action of seeing that a tool exists.
pub(crate) const DISCOVER: &str = "discover";
/// The action of changing policy.
pub(crate) const ADMINISTER: &str = "administer";
/// The kind of resource that is called.
pub(crate) const TOOL: &str = "tool";

impl Tool {
    /// Reads the schema; what it does not understand has no typed form and is not an error.
    #[must_use]
    pub fn new(facts: ToolFacts) -> Self {
        let id = format!("{}/{}", facts.upstream, facts.name);
        // The one mapping from an access to Cedar's action: each tool has its own, in the group of all.
        let call = Entity::new(Kind::Action, format!("{CALL}:{id}")).within(Kind::Action, [CALL]);
        let approve = Entity::new(Kind::Action, format!("{APPROVE_CALL}:{id}"));
        let environment = Some(facts.environment.as_str()).filter(|e| !e.is_empty());
        let said = Entity::new(Kind::Tool, id)
            .within(Kind::Server, [facts.upstream.as_str()])
            .within(Kind::Environment, environment);
        let said = facts.attributes.into_iter().fold(said, |it, (name, value)| it.with(&name, value));
        let said = said.with("reviewedReadOnly", Attribute::Bool(facts.reviewed_read_only));
        Self {
            arguments: Record::of(&facts.input_schema),
            call: Arc::new(call),
            approve: Arc::new(approve.within(Kind::Action, [APPROVE_CALL, APPROVE])),
            resource: Arc::new(said.clone().with("ruled", Attribute::Bool(false))),
            ruled: Arc::new(said.with("ruled", Attribute::Bool(true))),
        }
    }

    /// `upstream/name`, as in an access and in `Tool::"…"`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.resource.id
    }

    /// The tool as resource of a question to a set in which it is ruled or not.
    pub(crate) fn resource(&self, ruled: bool) -> Arc<Entity> {
        Arc::clone(if ruled { &self.ruled } else { &self.resource })
    }

    /// The action of calling it.
    pub(crate) fn call(&self) -> &Arc<Entity> {
        &self.call
    }

    /// The action of approving a call of it.
    pub(crate) fn approve(&self) -> &Arc<Entity> {
        &self.approve
    }
}
