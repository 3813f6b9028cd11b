//! `[upstreams.*.operations.*]`: an operation of an application that asks, as an operator writes it, and the definition that it comes to
//! (AuthZEN Authorization API 1.0: an action on a type of resource, with properties of both, of the subject and of the context).

use std::collections::BTreeMap;

use authority::Declared;
use serde::Deserialize;
use terms::Json;
use terms::json::Object;

use super::file::{Reviewed, Tool, Upstream};
use super::route::{Fields, closed, nameable, open};
use super::touch::{self, Touch};
use super::wrong::Wrong;

/// An operation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The type of resource that it is done to.
    on: String,
    /// The name of its action, where that is not its own.
    action: Option<String>,
    /// Properties of the resource that rules may speak of.
    #[serde(default)]
    resource: Fields,
    /// The same of the subject.
    #[serde(default)]
    subject: Fields,
    /// The same of the context.
    #[serde(default)]
    context: Fields,
    // What is said of it, as of a tool.
    reviewed: Option<Reviewed>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    title: Option<String>,
    #[serde(default)]
    touches: Vec<Touch>,
}

/// Types that are those of what we know ourselves.
const OURS: [&str; 6] = ["tool", "prompt", "resource", "route", "installation", "mcp_server"];

/// The operations of one application, no two of which are the same action on the same type.
pub(super) fn read_all(written: &BTreeMap<String, Operation>) -> Result<BTreeMap<String, Declared>, Wrong> {
    let mut known = BTreeMap::new();
    let mut operations = BTreeMap::new();
    for (name, operation) in written {
        let within = |wrong: Wrong| wrong.within([name.as_str()]);
        nameable(name).map_err(within)?;
        if OURS.contains(&operation.on.as_str()) || operation.on.is_empty() {
            let what = format!("= {:?} is no type of an application's own", operation.on);
            return Err(within(Wrong::new(what).within(["on"])));
        }
        let action = operation.action.clone().unwrap_or_else(|| name.clone());
        if let Some(other) = known.insert((action.clone(), operation.on.clone()), name) {
            return Err(within(Wrong::new(format!("is {action} on {}, as {other:?} is", operation.on))));
        }
        operations.insert(name.clone(), operation.declared(&action).map_err(within)?);
    }
    Ok(operations)
}

/// No caller that asks about several applications finds the same action on the same type in two of them: nobody could say which it means.
pub(super) fn each_is_one(upstreams: &BTreeMap<String, Upstream>) -> Result<(), Wrong> {
    let mut known = BTreeMap::new();
    for (upstream, file) in upstreams {
        let of = |asker| file.operations.iter().map(move |(name, operation)| (asker, name, operation));
        for (asker, name, operation) in file.askers.iter().flat_map(of) {
            let action = operation.action.as_ref().unwrap_or(name);
            if let Some(other) = known.insert((asker, action, &operation.on), upstream) {
                let what = format!(
                    "is {action} on {}, as one of {other:?} is, and {asker} asks about both",
                    operation.on
                );
                return Err(Wrong::new(what).within(["upstreams", upstream, "operations", name]));
            }
        }
    }
    Ok(())
}

impl Operation {
    fn declared(&self, action: &str) -> Result<Declared, Wrong> {
        let places = [
            ("resource", &self.resource),
            ("subject", &self.subject),
            ("action", &Fields::new()),
            ("context", &self.context),
        ];
        let mut properties = Object::from_iter([("id", Json::object([("type", "string")]))]);
        for (place, fields) in places {
            properties.insert(place, open(place, fields)?);
        }
        let required: Vec<Json> = properties.iter().map(|(name, _)| Json::from(name)).collect();
        let definition = [
            ("action", Json::from(action)),
            ("type", Json::from(self.on.as_str())),
            ("inputSchema", closed(properties, required)),
        ];
        let Self { reviewed, secrets, references, title, touches, .. } = self.clone();
        let settings = Tool { reviewed, secrets, references, title, touches }.settings()?;
        touch::answers_nothing(&settings)?;
        Ok(Declared { definition: Json::object(definition), settings })
    }
}
