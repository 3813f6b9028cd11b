//! A compiled set of rules: two sets in one, `A` and `S`, and the index over their scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, Policy, Request};
use terms::{Caller, CallerKind, Pointer, Requirement};

use crate::bits::Bits;
use crate::condition::{Reads, spoken_of};
use crate::context::Member;
use crate::entities::{Entity, Kind, Types, Unaskable};
use crate::index::Index;
use crate::memory::Memory;
use crate::source::Source;
use crate::target::Verb;
use crate::{Attribute, Finding, Human, Place, Target};

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
    /// Whether it is only tried: what it would stop runs.
    pub shadow: bool,
    pub source: Source,
    pub policy: Policy,
    /// The actions that its scope names; none where it is every action.
    pub actions: Vec<String>,
    /// The requirement that a `@stepup` names; `None` for the rules of `A`.
    pub requirement: Option<String>,
    pub reads: Reads,
    /// Every entity that it names, in scope and conditions.
    pub literals: Vec<EntityUid>,
}

/// Which set a rule is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All `permit`s and all plain `forbid`s.
    Base,
    /// The `@stepup` forbids.
    Step,
    /// The forbids that are only tried, of either kind.
    Shadow,
}

impl Rule {
    pub const fn part(&self) -> Part {
        match (self.shadow, &self.requirement) {
            (true, _) => Part::Shadow,
            (false, None) => Part::Base,
            (false, Some(_)) => Part::Step,
        }
    }
}

/// The rules of one scope, ready to be asked.
pub(crate) struct Slice {
    /// All `permit`s and all plain `forbid`s.
    pub base: cedar_policy::PolicySet,
    /// The `@stepup` forbids.
    pub steps: cedar_policy::PolicySet,
    /// The rules of `steps`, by number.
    pub step_rules: Vec<usize>,
    /// The forbids that are only tried.
    pub shadows: cedar_policy::PolicySet,
    /// The rules of `shadows`, by number.
    pub shadow_rules: Vec<usize>,
    /// The arguments that any of the rules speaks of.
    arguments: BTreeSet<Pointer>,
    /// The members of the context that any of the rules speaks of: no other is made.
    pub members: BTreeSet<Member>,
    /// The same for the rules that are only tried.
    pub shadow_members: BTreeSet<Member>,
}

impl Slice {
    /// The arguments without a typed form that a rule speaks of: at, above or below the place.
    pub fn unjudgeable(&self, unjudged: &[Pointer]) -> Vec<Pointer> {
        unjudged.iter().filter(|gone| spoken_of(&self.arguments, gone)).cloned().collect()
    }
}

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
    /// Whether any rule asks what a caller did before.
    reads_history: bool,
    /// Whether any rule is only tried.
    tries: bool,
    index: Index,
    authorizer: Authorizer,
    slices: Memory<Bits, Slice>,
    entities: Memory<Parties, Entities>,
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
        let reads_history = rules.iter().any(|rule| rule.reads.members.contains(&Member::History));
        Self {
            tries: rules.iter().any(|rule| rule.shadow),
            reads_history,
            rules,
            requirements,
            warnings,
            types,
            by_id,
            ruled,
            index,
            authorizer: Authorizer::new(),
            slices: Memory::default(),
            entities: Memory::default(),
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

    /// Whether a rule names this requirement.
    #[must_use]
    pub fn names(&self, requirement: &str) -> bool {
        self.rules.iter().any(|rule| rule.requirement.as_deref() == Some(requirement))
    }

    /// Where a rule stands.
    #[must_use]
    pub fn place(&self, id: &RuleId) -> Option<&Place> {
        self.rule(id).map(|rule| &rule.place)
    }

    /// Where a rule stands, and its text without the comments before it.
    #[must_use]
    pub fn source(&self, id: &RuleId) -> Option<(&Place, &str)> {
        self.rule(id).map(|rule| (&rule.place, rule.source.without_what_is_before()))
    }

    /// Whether any rule is only tried.
    #[must_use]
    pub const fn tries(&self) -> bool {
        self.tries
    }

    /// Whether any rule asks what a caller did before.
    #[must_use]
    pub const fn reads_history(&self) -> bool {
        self.reads_history
    }

    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.get(*self.by_id.get(id)?)
    }

    /// The rules whose scope matches.
    pub(crate) fn slice(&self, parties: &Parties) -> Result<Arc<Slice>, Unaskable> {
        let matching = self.index.matching(&parties.principal, &parties.action, &parties.resource);
        self.slices.of(&matching, || self.cut(&matching))
    }

    /// Those rules one by one.
    pub(crate) fn matching(&self, parties: &Parties) -> impl Iterator<Item = &Rule> {
        let matching = self.index.matching(&parties.principal, &parties.action, &parties.resource);
        let numbers: Vec<usize> = matching.iter().collect();
        numbers.into_iter().filter_map(|n| self.rules.get(n))
    }

    fn cut(&self, matching: &Bits) -> Result<Slice, Unaskable> {
        let rules: Vec<(usize, &Rule)> =
            matching.iter().filter_map(|n| Some((n, self.rules.get(n)?))).collect();
        // What is only tried makes nothing unjudgeable.
        let asked =
            |shadow: bool| rules.iter().map(|(_, rule)| *rule).filter(move |rule| rule.shadow == shadow);
        let part = |which: Part| {
            let rules = rules.iter().filter(|(_, rule)| rule.part() == which);
            let policies = rules.map(|(_, rule)| rule.policy.clone());
            cedar_policy::PolicySet::from_policies(policies).map_err(|_| Unaskable)
        };
        let numbers = |which: Part| {
            rules.iter().filter(|(_, rule)| rule.part() == which).map(|(n, _)| *n).collect::<Vec<usize>>()
        };
        Ok(Slice {
            base: part(Part::Base)?,
            steps: part(Part::Step)?,
            shadows: part(Part::Shadow)?,
            step_rules: numbers(Part::Step),
            shadow_rules: numbers(Part::Shadow),
            arguments: asked(false).flat_map(|rule| &rule.reads.arguments).cloned().collect(),
            members: asked(false).flat_map(|rule| &rule.reads.members).copied().collect(),
            shadow_members: asked(true).flat_map(|rule| &rule.reads.members).copied().collect(),
        })
    }

    fn resource(&self, target: &Target) -> Arc<Entity> {
        target.resource(target.first().is_some_and(|verb| self.ruled.contains(&verb.act.id)))
    }

    /// A question to Cedar, made once and put to one or both sets.
    pub(crate) fn prepare(&self, parties: &Parties, context: Context) -> Result<Prepared, Unaskable> {
        let Parties { principal, action, resource } = parties;
        let uid = |entity: &Entity| self.types.uid(entity.kind, &entity.id);
        let request = Request::new(uid(principal), uid(action), uid(resource), context, None);
        Ok(Prepared { request: request.map_err(|_| Unaskable)?, entities: self.entities(parties)? })
    }

    /// The entities for Cedar: dearer to make than to ask about, and the same from call to call.
    fn entities(&self, parties: &Parties) -> Result<Arc<Entities>, Unaskable> {
        let make = || {
            let Parties { principal, action, resource } = parties;
            let entity = |entity| self.types.entity(entity);
            let entities = [entity(principal)?, entity(action)?, entity(resource)?];
            Entities::from_entities(entities, None).map_err(|_| Unaskable)
        };
        // There are as many resources as callers name: they are not to push out what others are asked about.
        if parties.resource.kind == Kind::Resource {
            return make().map(Arc::new);
        }
        self.entities.of(parties, make)
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parties {
    principal: Entity,
    action: Arc<Entity>,
    resource: Arc<Entity>,
}

/// A request with its entities.
pub(crate) struct Prepared {
    request: Request,
    entities: Arc<Entities>,
}

impl Parties {
    /// A caller does something to a target. Who administers is, for rules, the person who does.
    pub fn caller(set: &PolicySet, caller: &Caller, action: &Arc<Entity>, target: &Target) -> Self {
        let program = |kind| {
            let owner = Attribute::Text(caller.owner.clone());
            Entity::new(kind, caller.name.as_str()).with("owner", owner)
        };
        let principal = match caller.kind {
            CallerKind::Agent => program(Kind::Agent),
            CallerKind::Service => program(Kind::Service),
            CallerKind::Operator => {
                let id = caller.roots.first().map(ToString::to_string).unwrap_or_default();
                Entity::new(Kind::Human, caller.owner.as_str()).with("id", Attribute::Text(id))
            }
        };
        Self {
            principal: in_groups(principal, &caller.groups),
            action: Arc::clone(action),
            resource: set.resource(target),
        }
    }

    /// A person approves what is done to a target.
    pub fn approver(set: &PolicySet, human: &Human, verb: &Verb, target: &Target) -> Self {
        let id = Attribute::Text(human.id.to_string());
        let principal = Entity::new(Kind::Human, human.name.as_str()).with("id", id);
        Self {
            principal: in_groups(principal, &human.groups),
            action: Arc::clone(&verb.approve),
            resource: set.resource(target),
        }
    }
}

fn in_groups(entity: Entity, groups: &BTreeSet<String>) -> Entity {
    entity.within(Kind::Group, groups.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use terms::access::{Resource, SealKey};
    use terms::json::parse;
    use terms::{Access, CallerId, DefinitionHash, Digest, HumanId, KeyId, UpstreamHash};

    use super::*;
    use crate::{Facts, Moment, Question};

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
    const CLAUSES: [&str; 12] = [
        "",
        "when { false }",
        "when { context.nothing }",
        "unless { principal.owner == \"o\" }",
        "when { context.arguments.n > 1 }",
        "when { context.arguments has m || context.text like \"*x*\" }",
        "when { context.unjudged.contains(\"/m\") }",
        "unless { context.caller.key_bound || context.time.hour > 12 }",
        "when { context has network.source && context.network.source.isLoopback() }",
        "when { context has votes || context.history.first_time }",
        "when { context == {} }",
        "when { if context has text then [context].isEmpty() else true }",
    ];

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

    fn tool(environment: &str) -> Target {
        Target::new(Facts {
            kind: terms::Kind::Tool,
            only: None,
            upstream: "u".into(),
            name: "t".into(),
            environment: environment.into(),
            schema: parse(br#"{"properties":{"n":{"type":"integer"}}}"#).unwrap(),
            reviewed_read_only: false,
            attributes: BTreeMap::new(),
        })
    }

    const MOMENT: Moment = Moment {
        at: terms::Time::from_millis(0),
        source: None,
        history: Some(crate::History { first_time: true, calls_1h: 0 }),
    };

    fn access(caller: &Caller, tool: &Target) -> Access {
        let resource = Resource {
            kind: "tool".into(),
            id: tool.id().into(),
            definition: DefinitionHash::from_digest(Digest::plain(b"")),
            upstream: UpstreamHash::from_digest(Digest::plain(b"")),
        };
        let arguments = parse(br#"{"n":2,"m":"x"}"#).unwrap();
        let key = SealKey::new([0; 32]);
        Access::new(caller.subject(), "tools/call", resource, arguments, &[], &key).unwrap().0
    }

    /// Compiling refuses such a set; one that came to be all the same denies.
    #[test]
    fn a_step_up_to_a_requirement_that_is_gone_denies() {
        let (caller, tool) = (caller(CallerKind::Agent, &[]), tool(""));
        let access = access(&caller, &tool);
        let question = Question { caller: &caller, access: &access, target: &tool, moment: &MOMENT };
        let rules = ["permit (principal, action, resource);", "forbid (principal, action, resource);"];
        let mut set = set(&rules.map(str::to_owned));
        set.rules[1].requirement = Some("gone".to_owned());
        let denied = crate::Judgement::Deny { by: Vec::new(), why: crate::DenyReason::Failed };
        assert_eq!(crate::judge(&set, &question), denied);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// By scope, and to the members of the context that are spoken of. Of 1, 64, 65 and more rules, so
        /// that the words of the bit sets are crossed; each set is asked about every combination of caller,
        /// groups and environment.
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
                let parties = || Parties::caller(&set, &caller, &tool.first().unwrap().act, &tool);
                let access = access(&caller, &tool);
                let question = Question { caller: &caller, access: &access, target: &tool, moment: &MOMENT };
                let ask = |slice: &Slice, members: &BTreeSet<Member>| {
                    let context = crate::context::of_call(&question, None, members).unwrap().context;
                    set.ask(&slice.base, &set.prepare(&parties(), context).unwrap())
                };
                let narrow = set.slice(&parties()).unwrap();
                let everything = Member::TABLE.map(|(member, _)| member).into();
                let (narrow, whole) = (ask(&narrow, &narrow.members), ask(&whole, &everything));
                prop_assert_eq!(narrow.allowed, whole.allowed);
                prop_assert_eq!(narrow.by, whole.by);
                prop_assert_eq!(narrow.failed, whole.failed);
            }
        }
    }
}
