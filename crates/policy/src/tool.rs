//! One pinned tool, as policy sees it.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use terms::Json;

use crate::entities::{Attributes, Entity, Kind};
use crate::shape::Record;

/// A value that the operator says of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    upstream: String,
    environment: String,
    reviewed_read_only: bool,
    attributes: BTreeMap<String, Attribute>,
    id: String,
    call: String,
    approve: String,
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
        Self {
            arguments: Record::of(&facts.input_schema),
            call: format!("{CALL}:{id}"),
            approve: format!("{APPROVE_CALL}:{id}"),
            id,
            upstream: facts.upstream,
            environment: facts.environment,
            reviewed_read_only: facts.reviewed_read_only,
            attributes: facts.attributes,
        }
    }

    /// `upstream/name`, as in an access and in `Tool::"…"`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn resource(&self) -> Entity<'_> {
        let mut parents = vec![(Kind::Server, self.upstream.as_str())];
        if !self.environment.is_empty() {
            parents.push((Kind::Environment, &self.environment));
        }
        Entity { kind: Kind::Tool, id: &self.id, parents }
    }

    pub(crate) fn attributes(&self, ruled: bool) -> Attributes {
        let said = self.attributes.iter().map(|(name, value)| {
            let value = match value {
                Attribute::Bool(truth) => RestrictedExpression::new_bool(*truth),
                Attribute::Number(number) => RestrictedExpression::new_long(*number),
                Attribute::Text(text) => RestrictedExpression::new_string(text.clone()),
            };
            (name.clone(), value)
        });
        let ours = [("reviewedReadOnly", self.reviewed_read_only), ("ruled", ruled)];
        let ours = ours.map(|(name, truth)| (name.to_owned(), RestrictedExpression::new_bool(truth)));
        said.chain(ours).collect()
    }

    /// The one function from an access to Cedar's action: each tool has its own, in the group of all.
    pub(crate) fn call(&self) -> Entity<'_> {
        Entity { kind: Kind::Action, id: &self.call, parents: vec![(Kind::Action, CALL)] }
    }

    pub(crate) fn approve(&self) -> Entity<'_> {
        let parents = vec![(Kind::Action, APPROVE_CALL), (Kind::Action, APPROVE)];
        Entity { kind: Kind::Action, id: &self.approve, parents }
    }
}
