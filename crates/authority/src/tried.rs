//! What rules that are only tried would have stopped, and what no rule is about: the report that comes before a rule is in force.

use std::collections::{BTreeMap, BTreeSet};

use audit::Kind;
use audit::body::Shadowed;
use store::Failed;
use terms::Time;

use crate::active::Active;
use crate::authority::Authority;

/// What is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Rule by rule.
    pub rules: BTreeMap<String, Asked>,
    /// The tools that are neither reviewed as read-only nor named by a `@stepup` in force.
    pub uncovered: BTreeSet<String>,
    /// Whether there were more records than are looked at.
    pub cut: bool,
}

/// What one rule would have asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How often.
    pub count: u32,
    /// Of which callers, how often.
    pub callers: BTreeMap<String, u32>,
    /// At what, how often.
    pub resources: BTreeMap<String, u32>,
    /// What it would have taken, how often; the empty name where it would have been denied.
    pub requirements: BTreeMap<String, u32>,
    /// The groups that approvals would have been asked from.
    pub from: BTreeSet<String>,
}

impl Authority {
    /// What would have been stopped since a moment.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn tried(&self, since: Time) -> Result<Tried, Failed> {
        let mut tried = Tried { uncovered: self.active().uncovered(), ..Tried::default() };
        tried.cut = self
            .since(since, |line| {
                if line.kind != Kind::Shadowed.name() {
                    return;
                }
                let body = line.body.as_ref().and_then(|(body, _)| terms::json::parse(body).ok());
                if let Some(said) = body.and_then(Shadowed::from_json) {
                    tried.take(&said);
                }
            })
            .await?;
        Ok(tried)
    }
}

impl Tried {
    fn take(&mut self, said: &Shadowed) {
        for rule in &said.by {
            let asked = self.rules.entry(rule.clone()).or_default();
            asked.count += 1;
            *asked.callers.entry(said.caller.name.clone()).or_default() += 1;
            *asked.resources.entry(said.resource.clone()).or_default() += 1;
            *asked.requirements.entry(said.requirement.clone().unwrap_or_default()).or_default() += 1;
            asked.from.extend(said.from.iter().cloned());
        }
    }
}

impl Active {
    /// The tools that no rule is about in particular.
    fn uncovered(&self) -> BTreeSet<String> {
        let Some(set) = &self.set else { return BTreeSet::new() };
        let tools = self.targets().filter(|target| {
            matches!(target.kind, terms::Kind::Tool | terms::Kind::Route | terms::Kind::Operation)
        });
        let open = tools.filter(|tool| tool.pin.state != store::PinState::Gone && !set.covers(&tool.judged));
        open.map(|tool| tool.id()).collect()
    }
}
