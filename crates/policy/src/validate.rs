//! Strict validation of rules against the types of what is pinned.
//!
//! A rule that names a target's own action is held against the types of that target. One about many is held against a
//! single target that takes no arguments: what is true of it is true of every other, as long as the rule speaks of no
//! arguments. Only one that does is held against every target that there is.
//!
//! Cedar tries each rule on each action of a schema, and finds at the scope that most do not concern it. So each rule is
//! held against a schema in which little more applies than its scope names; that the findings are the same is a property
//! test.
//!
//! Validation finds mistakes; it decides nothing. What it did not see, because a definition came later, is an evaluation
//! error or an argument without a typed form, and either is a Deny.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;

use cedar_policy::{EntityUid, ValidationError, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;

use crate::compile::STACK;
use crate::entities::Kind;
use crate::schema::{Apply, Schema};
use crate::set::Rule;
use crate::target::{APPROVE, Named};
use crate::{Code, Finding, Place, PolicySet, RuleId};

/// Rules about some targets alone that share a schema, at least. Each schema costs its entities and groups, which fewer would
/// pay more often; and each rule is tried on the actions of the others, which more would do.
const TOGETHER: usize = 8;

/// Rules that are held against their schema by one thread at once, at most.
const AT_ONCE: usize = 250;

/// What a rule is held against.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Against {
    /// Everything that is pinned.
    Every,
    /// These actions.
    These(Apply),
}

impl PolicySet {
    /// Every rule held against the types of what it speaks of; what could never apply is told too.
    #[must_use]
    pub fn validate(&self, schema: &Schema<'_>) -> Vec<Finding> {
        let batches = self.batches(schema);
        let work: Vec<(&Apply, &[&Rule])> = batches
            .iter()
            .flat_map(|(apply, rules)| rules.chunks(AT_ONCE).map(move |rules| (apply, rules)))
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut findings: Vec<Finding> = std::thread::scope(|scope| {
            let part = |part: &[(&Apply, &[&Rule])]| -> Vec<Finding> {
                part.iter().flat_map(|(apply, rules)| self.held(rules, schema, apply)).collect()
            };
            let running: Vec<_> = work
                .chunks(work.len().div_ceil(threads).max(1))
                .map(|of| scope.spawn(move || stacker::grow(STACK, || part(of))))
                .collect();
            let done =
                running.into_iter().map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why)));
            done.flatten().collect()
        });
        findings.sort();
        findings.dedup();
        findings
    }

    /// The rules with the actions that each is tried on.
    fn batches(&self, schema: &Schema<'_>) -> Vec<(Apply, Vec<&Rule>)> {
        let mut held: BTreeMap<Against, Vec<&Rule>> = BTreeMap::new();
        for rule in &self.rules {
            // What is not pinned is said of its name.
            if let Some(against) = schema.against(rule) {
                held.entry(against).or_default().push(rule);
            }
        }
        let mut batches: Vec<(Apply, Vec<&Rule>)> = Vec::new();
        for (against, rules) in held {
            let apply = match against {
                Against::Every => schema.every(),
                Against::These(apply) => apply,
            };
            // Only rules about some targets alone are not concerned by what applies to others.
            let narrow = |apply: &Apply| apply.iter().all(|action| is_own(action));
            let fits = |batch: &&mut (Apply, Vec<&Rule>)| {
                narrow(&apply) && narrow(&batch.0) && batch.1.len() < TOGETHER
            };
            match batches.last_mut().filter(fits) {
                Some((all, so_far)) => {
                    all.extend(apply);
                    so_far.extend(rules);
                }
                None => batches.push((apply, rules)),
            }
        }
        batches
    }

    fn held(&self, rules: &[&Rule], schema: &Schema<'_>, apply: &Apply) -> Vec<Finding> {
        let schema = match schema.in_which(apply) {
            Ok(schema) => schema,
            Err(error) => return vec![Finding::new(Code::Unvalidated, &Place::default(), error.to_string())],
        };
        let policies = rules.iter().map(|rule| rule.policy.clone());
        // Two of one id cannot be: compile refused them.
        let Ok(set) = cedar_policy::PolicySet::from_policies(policies) else { return Vec::new() };
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let errors =
            result.validation_errors().filter_map(|error| self.found(error.policy_id(), code(error), error));
        let warnings = result
            .validation_warnings()
            .filter_map(|warning| self.found(warning.policy_id(), doubt(warning), warning));
        errors.chain(warnings).collect()
    }

    fn found(&self, id: &cedar_policy::PolicyId, code: Code, said: &dyn Diagnostic) -> Option<Finding> {
        let rule = self.rule(&RuleId::new(AsRef::<str>::as_ref(id)))?;
        let label = said.labels().and_then(|mut labels| labels.next());
        let at = label
            .as_ref()
            .map_or_else(|| rule.place.clone(), |label| rule.source.place_in_file(label.offset()));
        let said_of = format!("for policy `{}`, ", rule.id);
        let message = said.to_string();
        let mut finding = Finding::new(code, &at, message.strip_prefix(&said_of).unwrap_or(&message));
        finding.length = label.map_or(0, |label| label.len());
        finding.suggestion = said.help().map(|help| help.to_string());
        Some(finding)
    }
}

/// Whether it is about the arguments of whatever there is.
fn speaks_of_all(rule: &Rule) -> bool {
    let of_many = rule.actions.is_empty() || rule.actions.iter().any(|action| takes_own(action));
    of_many && !rule.reads.arguments.is_empty()
}

impl Schema<'_> {
    /// What a rule is held against; `None` where what it speaks of is not pinned.
    fn against(&self, rule: &Rule) -> Option<Against> {
        let own: BTreeSet<String> =
            actions(rule).filter(|action| is_own(action)).map(str::to_owned).collect();
        if !own.iter().all(|action| self.has(action)) {
            return None;
        }
        if speaks_of_all(rule) {
            return self.has_any().then_some(Against::Every);
        }
        let within = |group: &String, action: &String| {
            action == group || (action == APPROVE && Named::read(group).is_some_and(|named| named.approves))
        };
        let named = |group: &String| {
            rule.actions.is_empty() || rule.actions.iter().any(|action| within(group, action))
        };
        Some(Against::These(Self::groups().into_iter().filter(named).chain(own).collect()))
    }
}

/// Every action that it names, in its scope and in its conditions.
fn actions(rule: &Rule) -> impl Iterator<Item = &str> {
    let of_actions = |named: &&EntityUid| named.type_name().to_string() == Kind::Action.name();
    rule.literals.iter().filter(of_actions).map(|named| named.id().unescaped())
}

/// Whether it is the own action of one target, or of approving that.
fn is_own(action: &str) -> bool {
    Named::read(action).is_some_and(|named| named.of.is_some())
}

/// Whether it is a group in which each target has an action of its own, with arguments of its own.
fn takes_own(action: &str) -> bool {
    action == APPROVE || Named::read(action).is_some_and(|named| named.is_group_of_own())
}

/// Cedar may find more kinds of mistake one day: those are of types until they have a name here.
const fn code(error: &ValidationError) -> Code {
    if matches!(error, ValidationError::UnsafeAttributeAccess(_)) {
        Code::AttributeUnknown
    } else if matches!(error, ValidationError::UnsafeOptionalAttributeAccess(_)) {
        Code::AttributeOptional
    } else {
        Code::Type
    }
}

const fn doubt(warning: &ValidationWarning) -> Code {
    use ValidationWarning::{ImpossiblePolicy, InvalidActionApplication};
    if matches!(warning, ImpossiblePolicy(_) | InvalidActionApplication(_)) {
        Code::NeverApplies
    } else {
        Code::Confusable
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::{Facts, Target};

    const PRINCIPALS: [&str; 5] = [
        "principal",
        "principal in Group::\"ops\"",
        "principal == Agent::\"bot\"",
        "principal is Service",
        "principal == Human::\"olga\"",
    ];
    const ACTIONS: [&str; 14] = [
        "action",
        "action in Action::\"tools/call\"",
        "action in [Action::\"discover\", Action::\"tools/call\"]",
        "action in [Action::\"prompts/get\", Action::\"tools/call\", Action::\"resources/read\"]",
        "action in [Action::\"tools/call\", Action::\"tools/call:ops/deploy\"]",
        "action == Action::\"tools/call:ops/deploy\"",
        "action in [Action::\"tools/call:ops/deploy\", Action::\"tools/call:ops/scale\"]",
        "action == Action::\"tools/call:ops/gone\"",
        "action == Action::\"prompts/get:ops/brief\"",
        "action in Action::\"approve\"",
        "action in Action::\"approve:tools/call\"",
        "action == Action::\"approve:tools/call:ops/scale\"",
        "action == Action::\"resources/read\"",
        "action == Action::\"administer\"",
    ];
    const RESOURCES: [&str; 4] =
        ["resource", "resource == Tool::\"ops/deploy\"", "resource in Server::\"ops\"", "resource is Prompt"];
    const CONDITIONS: [&str; 12] = [
        "",
        "when { context.arguments.n > 3 }",
        "when { context.arguments has n && context.arguments.n == \"x\" }",
        "when { context.arguments has uri && context.arguments.uri like \"f*\" }",
        "when { context.arguments.nn == 1 }",
        "when { context.votes > 1 }",
        "when { context.time.hour < 6 && context.text like \"*x*\" }",
        "when { resource.reviewedReadOnly }",
        "when { principal.owner == 3 }",
        "when { action == Action::\"tools/call:ops/deploy\" && resource is Tool }",
        "when { action in Action::\"approve\" || principal in Group::\"x\" }",
        "unless { resource is Prompt && action == Action::\"tools/call\" }",
    ];

    fn targets() -> Vec<Target> {
        let target = |name: &str, kind, properties: &str| {
            let schema = format!("{{\"required\":[\"n\"],\"properties\":{properties}}}");
            let schema = terms::json::parse(schema.as_bytes()).unwrap_or(terms::Json::Null);
            let (upstream, name, environment) = ("ops".to_owned(), name.to_owned(), String::new());
            let (reviewed_read_only, attributes) = (false, BTreeMap::new());
            let only = None;
            Target::new(Facts {
                kind,
                only,
                upstream,
                name,
                environment,
                schema,
                reviewed_read_only,
                attributes,
            })
        };
        vec![
            target("deploy", terms::Kind::Tool, r#"{"n":{"type":"integer"}}"#),
            target("scale", terms::Kind::Tool, r#"{"n":{"type":"string"}}"#),
            target("brief", terms::Kind::Prompt, "{}"),
        ]
    }

    fn rules() -> impl Strategy<Value = String> {
        let scope = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]));
        proptest::collection::vec((scope, select(&CONDITIONS[..])), 1..10).prop_map(|rules| {
            let mut text = String::new();
            for (n, ((principal, action, resource), condition)) in rules.iter().enumerate() {
                let _ =
                    writeln!(text, "@id(\"{n}\") forbid ({principal}, {action}, {resource}) {condition};");
            }
            text
        })
    }

    /// Each rule by itself, where everything applies that there is, or at least every group.
    fn one_by_one(set: &PolicySet, schema: &Schema<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for rule in &set.rules {
            let apply = match schema.against(rule) {
                None => continue,
                Some(Against::Every) => schema.every(),
                Some(Against::These(own)) if own.iter().all(|action| is_own(action)) => {
                    schema.every().into_iter().chain(Schema::groups()).collect()
                }
                Some(Against::These(some)) => some.into_iter().chain(Schema::groups()).collect(),
            };
            findings.extend(set.held(&[rule], schema, &apply));
        }
        findings.sort();
        findings.dedup();
        findings
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_a_rule_is_not_tried_on_and_who_is_tried_with_it_hides_and_adds_nothing(rules in rules()) {
            let texts = BTreeMap::from([("rules.cedar".to_owned(), rules)]);
            let set = PolicySet::compile(&texts, &BTreeMap::new());
            let set = set.map_err(|findings| TestCaseError::fail(format!("{findings:#?}")))?;
            let targets = targets();
            let schema = Schema::of(&targets);
            prop_assert_eq!(set.validate(&schema), one_by_one(&set, &schema));
        }
    }
}
