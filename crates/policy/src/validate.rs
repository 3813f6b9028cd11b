//! Strict validation of rules against the types of what is pinned.
//!
//! A rule that names a target's own action is held against the types of that target. One about many is held against a
//! single target that takes no arguments: what is true of it is true of every other, as long as the rule speaks of no
//! arguments. Only one that does is held against every target that there is.
//!
//! Validation finds mistakes; it decides nothing. What it did not see, because a definition came later, is an evaluation
//! error or an argument without a typed form, and either is a Deny.

use cedar_policy::{ValidationError, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;

use crate::schema::Schema;
use crate::set::Rule;
use crate::target::Named;
use crate::{Code, Finding, PolicySet, RuleId, Target};

/// What a rule is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    Each,
    Many,
    /// What it speaks of is not pinned: that is said of its names.
    Nothing,
}

impl PolicySet {
    /// Every rule held against the types of what it speaks of; what could never apply is told too.
    #[must_use]
    pub fn validate(&self, schema: &Schema) -> Vec<Finding> {
        let held = |against: Against| self.rules.iter().filter(move |rule| schema.against(rule) == against);
        let mut findings = self.held(held(Against::Each), &schema.each);
        findings.extend(self.held(held(Against::Many), &schema.many));
        findings.sort();
        findings.dedup();
        findings
    }

    fn held<'r>(&self, rules: impl Iterator<Item = &'r Rule>, schema: &cedar_policy::Schema) -> Vec<Finding> {
        let policies = rules.map(|rule| rule.policy.clone());
        // Two of one id cannot be: compile refused them.
        let Ok(set) = cedar_policy::PolicySet::from_policies(policies) else { return Vec::new() };
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
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
        let at = label.as_ref().map_or_else(|| rule.place.clone(), |label| rule.source.place(label.offset()));
        let said_of = format!("for policy `{}`, ", rule.id);
        let message = said.to_string();
        let mut finding = Finding::new(code, &at, message.strip_prefix(&said_of).unwrap_or(&message));
        finding.length = label.map_or(0, |label| label.len());
        finding.suggestion = said.help().map(|help| help.to_string());
        Some(finding)
    }
}

impl PolicySet {
    /// Whether a rule has to be held against the types of this target: most are of a few targets, or of none in particular, and
    /// a schema of thousands is dear.
    #[must_use]
    pub fn speaks_of(&self, target: &Target) -> bool {
        let named = |rule: &Rule| {
            target.verbs().iter().any(|verb| {
                rule.actions.iter().any(|action| *action == verb.act.id || *action == verb.approve.id)
            })
        };
        self.rules.iter().any(|rule| named(rule) || speaks_of_all(rule))
    }
}

/// Whether it is about the arguments of whatever there is.
fn speaks_of_all(rule: &Rule) -> bool {
    let of_many = rule.actions.is_empty() || rule.actions.iter().any(|action| takes_own(action));
    of_many && !rule.reads.arguments.is_empty()
}

impl Schema {
    fn against(&self, rule: &Rule) -> Against {
        let own: Vec<&String> = rule.actions.iter().filter(|action| is_own(action)).collect();
        match (own.is_empty(), speaks_of_all(rule)) {
            (true, false) => Against::Many,
            (true, true) if self.own.is_empty() => Against::Nothing,
            (true, true) => Against::Each,
            (false, _) if own.iter().all(|action| self.own.contains(*action)) => Against::Each,
            (false, _) => Against::Nothing,
        }
    }
}

/// Whether it is the own action of one target, or of approving that.
fn is_own(action: &str) -> bool {
    Named::read(action).is_some_and(|named| named.of.is_some())
}

/// Whether it is the group of actions whose targets each take arguments of their own.
fn takes_own(action: &str) -> bool {
    Named::read(action).is_some_and(|named| named.is_group_of_own())
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
