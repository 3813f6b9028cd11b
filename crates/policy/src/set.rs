//! A compiled set of rules: two sets in one, `A` and `S`, and the index over their scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, Request, RestrictedExpression,
};
use terms::{Caller, CallerKind, Pointer, Requirement};

use crate::bits::Bits;
use crate::condition::Reads;
use crate::entities::{Attributes, Entity, INSTALLATION, Kind, Types, Unaskable};
use crate::index::Index;
use crate::tool::ADMINISTER;
use crate::{Finding, Human, Place, Tool};

/// The name of a rule: its `@id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(String);

impl RuleId {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The text of its `@id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One rule.
pub(crate) struct Rule {
    pub id: RuleId,
    pub place: Place,
    pub policy: Policy,
    /// The requirement that a `@stepup` names; `None` for the rules of `A`.
    pub requirement: Option<String>,
    pub reads: Reads,
    /// Every entity that it names, in scope and conditions.
    pub literals: Vec<EntityUid>,
}

/// The rules of one scope, ready to be asked.
pub(crate) struct Slice {
    /// All `permit`s and all plain `forbid`s.
    pub base: cedar_policy::PolicySet,
    /// The `@stepup` forbids.
    pub steps: cedar_policy::PolicySet,
    /// The rules of `steps`, by number.
    pub step_rules: Vec<usize>,
    /// The arguments that any of the rules speaks of.
    arguments: BTreeSet<Pointer>,
}

impl Slice {
    /// The arguments without a typed form that a rule speaks of: at, above or below the place.
    pub fn unjudgeable(&self, unjudged: &[Pointer]) -> Vec<Pointer> {
        let spoken =
            |gone: &&Pointer| self.arguments.iter().any(|read| read.covers(gone) || gone.covers(read));
        unjudged.iter().filter(spoken).cloned().collect()
    }
}

/// The most slices that are kept. There are as many as there are combinations of groups, tools and
/// upstreams that differ to the rules, so more than this are not kept apart usefully.
const SLICES: usize = 4096;

/// A compiled set of rules with the requirements that they name. Made by
/// [`PolicySet::compile`]; what is wrong with a set that is in force all the same is in
/// [`PolicySet::warnings`].
pub struct PolicySet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) requirements: BTreeMap<String, Requirement>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) types: Types,
    by_id: HashMap<RuleId, usize>,
    /// The actions that a `@stepup` names for every caller: `resource.ruled`.
    ruled: HashSet<String>,
    index: Index,
    authorizer: Authorizer,
    /// Slices made so far. A memory of a pure function: it changes no answer.
    slices: RwLock<HashMap<Bits, Arc<Slice>>>,
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySet").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// What Cedar answered about one set.
pub(crate) struct Answer {
    pub allowed: bool,
    /// The rules that determined it, sorted.
    pub by: Vec<RuleId>,
    /// The rules that could not be evaluated, sorted. Not empty: whatever else was answered is a Deny.
    pub failed: Vec<RuleId>,
}

impl PolicySet {
    pub(crate) fn of(
        rules: Vec<Rule>,
        index: Index,
        ruled: HashSet<String>,
        requirements: BTreeMap<String, Requirement>,
        warnings: Vec<Finding>,
        types: Types,
    ) -> Self {
        let by_id = rules.iter().enumerate().map(|(n, rule)| (rule.id.clone(), n)).collect();
        Self {
            rules,
            requirements,
            warnings,
            types,
            by_id,
            ruled,
            index,
            authorizer: Authorizer::new(),
            slices: RwLock::default(),
        }
    }

    /// What `check` warns of.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The rules, in the order of files and lines.
    pub fn rules(&self) -> impl Iterator<Item = &RuleId> {
        self.rules.iter().map(|rule| &rule.id)
    }

    /// Where a rule stands.
    #[must_use]
    pub fn place(&self, id: &RuleId) -> Option<&Place> {
        self.rule(id).map(|rule| &rule.place)
    }

    /// The requirement that a rule's `@stepup` names.
    #[must_use]
    pub fn requirement_of(&self, id: &RuleId) -> Option<&str> {
        self.rule(id)?.requirement.as_deref()
    }

    fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.get(*self.by_id.get(id)?)
    }

    /// The rules whose scope matches.
    pub(crate) fn slice(&self, parties: &Parties<'_>) -> Result<Arc<Slice>, Unaskable> {
        let matching = self.index.matching(&parties.principal, &parties.action, &parties.resource);
        if let Some(slice) = self.slices.read().unwrap_or_else(PoisonError::into_inner).get(&matching) {
            return Ok(Arc::clone(slice));
        }
        let slice = Arc::new(self.cut(&matching)?);
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES {
            slices.clear();
        }
        slices.insert(matching, Arc::clone(&slice));
        Ok(slice)
    }

    fn cut(&self, matching: &Bits) -> Result<Slice, Unaskable> {
        let rules: Vec<(usize, &Rule)> =
            matching.iter().filter_map(|n| Some((n, self.rules.get(n)?))).collect();
        let part = |steps: bool| {
            let rules = rules.iter().filter(|(_, rule)| rule.requirement.is_some() == steps);
            let policies = rules.map(|(_, rule)| rule.policy.clone());
            cedar_policy::PolicySet::from_policies(policies).map_err(|_| Unaskable)
        };
        Ok(Slice {
            base: part(false)?,
            steps: part(true)?,
            step_rules: rules.iter().filter(|(_, r)| r.requirement.is_some()).map(|(n, _)| *n).collect(),
            arguments: rules.iter().flat_map(|(_, rule)| &rule.reads.arguments).cloned().collect(),
        })
    }

    /// A question to Cedar, made once and put to one or both sets.
    pub(crate) fn prepare(&self, parties: Parties<'_>, context: Context) -> Result<Prepared, Unaskable> {
        let Parties { principal, who, action, resource, what } = parties;
        let uid = |entity: &Entity<'_>| self.types.uid(entity.kind, entity.id);
        let request = Request::new(uid(&principal), uid(&action), uid(&resource), context, None);
        let entities = [
            self.types.entity(&principal, who)?,
            self.types.entity(&action, Attributes::new())?,
            self.types.entity(&resource, what)?,
        ];
        Ok(Prepared {
            request: request.map_err(|_| Unaskable)?,
            entities: Entities::from_entities(entities, None).map_err(|_| Unaskable)?,
        })
    }

    pub(crate) fn ask(&self, set: &cedar_policy::PolicySet, prepared: &Prepared) -> Answer {
        let response = self.authorizer.is_authorized(&prepared.request, set, &prepared.entities);
        let id = |id: &cedar_policy::PolicyId| RuleId::new(AsRef::<str>::as_ref(id));
        let sorted = |ids: BTreeSet<RuleId>| ids.into_iter().collect();
        let failed = response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => id(error.policy_id()),
        });
        Answer {
            allowed: response.decision() == Decision::Allow,
            by: sorted(response.diagnostics().reason().map(id).collect()),
            failed: sorted(failed.collect()),
        }
    }
}

/// Principal, action and resource of one question to Cedar.
pub(crate) struct Parties<'a> {
    principal: Entity<'a>,
    who: Attributes,
    action: Entity<'a>,
    resource: Entity<'a>,
    what: Attributes,
}

/// A request with its entities.
pub(crate) struct Prepared {
    request: Request,
    entities: Entities,
}

impl<'a> Parties<'a> {
    /// A caller does something to a tool.
    pub fn caller(set: &PolicySet, caller: &'a Caller, action: Entity<'a>, tool: &'a Tool) -> Self {
        let kind = match caller.kind {
            CallerKind::Agent => Kind::Agent,
            CallerKind::Service => Kind::Service,
        };
        let owner = RestrictedExpression::new_string(caller.owner.clone());
        Self {
            principal: Entity { kind, id: &caller.name, parents: in_groups(&caller.groups) },
            who: Attributes::from([("owner".to_owned(), owner)]),
            action,
            resource: tool.resource(),
            what: tool.attributes(set.ruled.contains(tool.call().id)),
        }
    }

    /// A person approves a call of a tool.
    pub fn approver(set: &PolicySet, human: &'a Human, tool: &'a Tool) -> Self {
        let id = RestrictedExpression::new_string(human.id.to_string());
        Self {
            principal: Entity { kind: Kind::Human, id: &human.name, parents: in_groups(&human.groups) },
            who: Attributes::from([("id".to_owned(), id)]),
            action: tool.approve(),
            resource: tool.resource(),
            what: tool.attributes(set.ruled.contains(tool.call().id)),
        }
    }

    /// A person changes policy.
    pub fn administrator(name: &'a str, groups: &'a BTreeSet<String>) -> Self {
        Self {
            principal: Entity { kind: Kind::Human, id: name, parents: in_groups(groups) },
            who: Attributes::new(),
            action: Entity { kind: Kind::Action, id: ADMINISTER, parents: Vec::new() },
            resource: Entity { kind: Kind::Installation, id: INSTALLATION, parents: Vec::new() },
            what: Attributes::new(),
        }
    }
}

fn in_groups(groups: &BTreeSet<String>) -> Vec<(Kind, &str)> {
    groups.iter().map(|group| (Kind::Group, group.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use terms::{CallerId, HumanId, KeyId};

    use super::*;
    use crate::ToolFacts;

    const PRINCIPALS: [&str; 7] = [
        "principal",
        "principal == Agent::\"a\"",
        "principal == Service::\"a\"",
        "principal in Group::\"g\"",
        "principal in Agent::\"a\"",
        "principal is Agent in Group::\"h\"",
        "principal is Service",
    ];
    const ACTIONS: [&str; 6] = [
        "action",
        "action == Action::\"tools/call\"",
        "action in Action::\"tools/call\"",
        "action == Action::\"tools/call:u/t\"",
        "action in [Action::\"discover\", Action::\"tools/call:u/t\"]",
        "action in [Action::\"discover\", Action::\"tools/call\", Action::\"tools/call:u/t\"]",
    ];
    const RESOURCES: [&str; 8] = [
        "resource",
        "resource == Tool::\"u/t\"",
        "resource in Tool::\"u/t\"",
        "resource in Server::\"u\"",
        "resource in Server::\"v\"",
        "resource is Tool",
        "resource is Tool in Environment::\"e\"",
        "resource is Server in Server::\"u\"",
    ];
    const GROUPS: [&[&str]; 3] = [&[], &["g"], &["g", "h"]];
    const CLAUSES: [&str; 4] =
        ["", "when { false }", "when { context.nothing }", "unless { principal.owner == \"o\" }"];

    fn rule() -> impl Strategy<Value = String> {
        let scope = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]));
        (select(&["permit", "forbid"][..]), scope, select(&CLAUSES[..]))
            .prop_map(|(effect, (p, a, r), clause)| format!("{effect} ({p}, {a}, {r}) {clause};"))
    }

    fn set(rules: &[String]) -> PolicySet {
        let text = rules.iter().enumerate().map(|(n, rule)| format!("@id(\"{n}\") {rule}\n")).collect();
        PolicySet::compile(&[("f".to_owned(), text)].into(), &BTreeMap::new()).unwrap()
    }

    fn caller(kind: CallerKind, groups: &[&str]) -> Caller {
        Caller {
            id: CallerId::NIL,
            name: "a".into(),
            kind,
            owner: "o".into(),
            act: Vec::new(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            roots: [HumanId::NIL].into(),
            key: KeyId::NIL,
            key_prefix: String::new(),
            key_bound: false,
        }
    }

    fn tool(environment: &str) -> Tool {
        Tool::new(ToolFacts {
            upstream: "u".into(),
            name: "t".into(),
            environment: environment.into(),
            input_schema: terms::Json::Null,
            reviewed_read_only: false,
            attributes: BTreeMap::new(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Of 1, 64, 65 and more rules, so that the words of the bit sets are crossed; each set is asked
        /// about every combination of caller, groups and environment.
        #[test]
        fn the_narrowed_answer_reasons_and_errors_are_those_of_the_whole_set(
            rules in proptest::collection::vec(rule(), 0..90),
        ) {
            let set = set(&rules);
            let mut all = Bits::default();
            (0..rules.len()).for_each(|n| all.set(n));
            let whole = set.cut(&all).unwrap();
            let kinds = [CallerKind::Agent, CallerKind::Service];
            let callers = kinds.into_iter().flat_map(|kind| GROUPS.map(|groups| caller(kind, groups)));
            for (caller, environment) in callers.flat_map(|c| ["", "e", "f"].map(|e| (c.clone(), e))) {
                let tool = tool(environment);
                let parties = || Parties::caller(&set, &caller, tool.call(), &tool);
                let narrow = set.slice(&parties()).unwrap();
                let prepared = set.prepare(parties(), Context::empty()).unwrap();
                let (narrow, whole) = (set.ask(&narrow.base, &prepared), set.ask(&whole.base, &prepared));
                prop_assert_eq!(narrow.allowed, whole.allowed);
                prop_assert_eq!(narrow.by, whole.by);
                prop_assert_eq!(narrow.failed, whole.failed);
            }
        }
    }
}
