//! From texts to a set: everything that is wrong is found in one pass and told with its place.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::pst::{Clause, Policy as Static};
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint, Template,
};
use miette::Diagnostic;
use terms::text::hides;
use terms::{Action, Requirement, Tree};

use crate::condition::{Reads, lists_what_is_dangerous, off_when_absent};
use crate::entities::{Kind, Types};
use crate::index::Index;
use crate::set::Rule;
use crate::source::{Source, Statement, statements};
use crate::target::{APPROVE, DISCOVER, Named};
use crate::{Code, Finding, Place, PolicySet, RuleId, Severity};

/// The longest statement, in bytes.
const STATEMENT: usize = 16 * 1024;
/// The deepest nesting of brackets in a statement.
const BRACKETS: usize = 64;
/// The most operators in a statement. With the brackets this bounds the depth of its syntax tree, over
/// which Cedar and we recurse.
const OPERATORS: usize = 1000;
/// The stack for that, in bytes: 32 KiB a level were measured in an unoptimised build.
pub(crate) const STACK: usize = 64 * 1024 * 1024;
/// The longest file, in bytes.
const FILE: usize = 4 * 1024 * 1024;
/// The most rules in a set.
const RULES: usize = 10_000;

/// The most lines of one file that are told of as hiding something.
const HIDDEN: usize = 20;

/// The annotation that makes a `forbid` one that can be lifted.
const STEPUP: &str = "stepup";

/// The annotation of a `forbid` that is only tried: what it would stop runs, and is recorded.
const SHADOW: &str = "shadow";

/// The actions that rules may name beside those of the table and of approving them.
const ACTIONS: [&str; 2] = [DISCOVER, APPROVE];

impl PolicySet {
    /// Compiles Cedar texts, by file name, with the requirements that their `@stepup`s name.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included, in the order of files and lines. Then the set that is
    /// in force stays; with none in force everything is denied.
    pub fn compile(
        texts: &BTreeMap<String, String>,
        requirements: &BTreeMap<String, Requirement>,
    ) -> Result<Self, Vec<Finding>> {
        stacker::grow(STACK, || Self::compile_here(texts, requirements))
    }

    fn compile_here(
        texts: &BTreeMap<String, String>,
        requirements: &BTreeMap<String, Requirement>,
    ) -> Result<Self, Vec<Finding>> {
        let mut compiler = Compiler::new(requirements);
        requirements.iter().for_each(|(name, requirement)| compiler.requirement(name, requirement));
        texts.iter().for_each(|(file, text)| compiler.file(file, text));
        let Compiler { rules, index, ruled, mut findings, .. } = compiler;
        findings.sort();
        let Ok(types) = Types::new() else { return Err(findings) };
        if findings.iter().any(|finding| finding.severity() == Severity::Error) {
            return Err(findings);
        }
        Ok(Self::of(rules, index, ruled, requirements.clone(), findings, types))
    }
}

/// What a statement says, part by part.
struct Body<'p> {
    annotations: BTreeMap<&'p str, &'p str>,
    effect: Effect,
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
    /// Its conditions, where they could speak of the context.
    clauses: Vec<Clause>,
}

impl<'p> Body<'p> {
    /// A syntax tree takes most of the time that there is, since Cedar reads the text again for it, and only what speaks of
    /// the context is looked for in one: that is said by that word alone, which can be written in no other way.
    fn of(policy: &'p Policy, text: &str) -> Option<Self> {
        let clauses = match text.contains("context").then(|| policy.to_pst()) {
            None => Vec::new(),
            Some(Ok(Static::Static(tree))) => tree.body().clauses().to_vec(),
            Some(Ok(Static::Linked(_)) | Err(_)) => return None,
        };
        Some(Self {
            annotations: policy.annotations().collect(),
            effect: policy.effect(),
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
            clauses,
        })
    }
}

struct Compiler<'a> {
    requirements: &'a BTreeMap<String, Requirement>,
    rules: Vec<Rule>,
    index: Index,
    ruled: HashSet<String>,
    places: HashMap<String, Place>,
    findings: Vec<Finding>,
}

impl<'a> Compiler<'a> {
    fn new(requirements: &'a BTreeMap<String, Requirement>) -> Self {
        Self {
            requirements,
            rules: Vec::new(),
            index: Index::default(),
            ruled: HashSet::new(),
            places: HashMap::new(),
            findings: Vec::new(),
        }
    }

    fn say(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// A requirement that takes nothing would permit silently; one that nobody can meet denies for ever.
    fn requirement(&mut self, name: &str, requirement: &Requirement) {
        let at = Place { file: format!("requirements.{name}"), ..Place::default() };
        let spent = requirement.terms.valid_for.get() == 0 || requirement.terms.pending_for.get() == 0;
        if requirement.parts.values().all(takes_nothing) {
            let finding =
                Finding::new(Code::RequirementEmpty, &at, "the requirement takes no evidence at all");
            self.say(finding.suggesting("name approvals, the owner, a purpose, a ticket or a key"));
        } else if spent || requirement.parts.values().any(impossible) {
            let says = "nobody can ever meet the requirement: an `any` without parts, a ticket pattern that is empty or \
                        not a regular expression, a group without a name, or no time at all";
            self.say(Finding::new(Code::RequirementImpossible, &at, says));
        }
    }

    fn file(&mut self, file: &str, text: &str) {
        let whole = Place { file: file.to_owned(), ..Place::default() };
        if text.len() > FILE {
            return self.say(Finding::new(Code::TooLarge, &whole, "the file is over 4 MiB"));
        }
        let pieces = statements(text);
        if self.rules.len() + pieces.len() > RULES {
            return self.say(Finding::new(Code::TooLarge, &whole, "there are over 10,000 rules"));
        }
        self.hidden(file, text);
        let before = self.findings.len();
        // Read once where Cedar takes all of it; else each piece by itself, so that every mistake is placed.
        let bounded = pieces.iter().all(is_bounded);
        let read = bounded.then(|| text.parse::<cedar_policy::PolicySet>().ok()).flatten();
        let whole_file = read.as_ref().and_then(|set| as_cut(set, &pieces));
        for (n, piece) in pieces.iter().enumerate() {
            self.statement(file, piece, whole_file.as_ref().and_then(|policies| policies.get(n).copied()));
        }
        let wrong = self.findings.iter().skip(before).any(|found| found.severity() == Severity::Error);
        if whole_file.is_none() && !wrong {
            self.say(Finding::new(Code::Syntax, &whole, "the file does not read as its statements do"));
        }
    }

    /// What cannot be seen, or moves what is beside it, in comments and names too: whoever approves the text reads another one.
    fn hidden(&mut self, file: &str, text: &str) {
        let first = |line: &str| line.chars().zip(1_u32..).find(|(c, _)| *c != '\t' && hides(*c));
        let lines = text.lines().zip(1_u32..).filter_map(|(line, nth)| Some((nth, first(line)?)));
        for (line, (c, column)) in lines.take(HIDDEN) {
            let at = Place { file: file.to_owned(), line, column };
            let says = format!(
                "U+{:04X} stands here, which cannot be seen, or moves what is beside it",
                u32::from(c)
            );
            self.say(Finding::new(Code::Confusable, &at, says).suggesting("take it out"));
        }
    }

    fn statement(&mut self, file: &str, piece: &Statement<'_>, read: Option<&Policy>) {
        let at = piece.start.place(file);
        let source = Source { file: file.to_owned(), text: piece.text.to_owned(), from: piece.from };
        if !is_bounded(piece) {
            let says = "the statement is over 16 KiB, 64 nested brackets or 1,000 operators";
            return self.say(Finding::new(Code::TooLarge, &at, says));
        }
        let Some(policy) = read.cloned().or_else(|| self.alone(piece, &at, &source)) else { return };
        match Body::of(&policy, piece.text) {
            Some(body) => self.rule(&at, source, &policy, &body),
            None => self.say(Finding::new(Code::Syntax, &at, "the statement has no syntax tree")),
        }
    }

    /// A statement that is read by itself, so that what is wrong with it is said where it is.
    fn alone(&mut self, piece: &Statement<'_>, at: &Place, source: &Source) -> Option<Policy> {
        let errors = match Policy::parse(None, piece.text) {
            Ok(policy) => return Some(policy),
            Err(_) if Template::parse(None, piece.text).is_ok() => {
                let says = "this is a template: nothing would ever fill its slots, so it would never apply";
                let finding = Finding::new(Code::Template, at, says);
                self.say(finding.suggesting("write the principal and the resource out"));
                return None;
            }
            Err(errors) => errors,
        };
        for error in errors.iter() {
            let label = error.labels().and_then(|mut labels| labels.next());
            let place = label.as_ref().map_or_else(|| at.clone(), |label| source.place(label.offset()));
            let mut finding = Finding::new(Code::Syntax, &place, error.to_string());
            finding.length = label.map_or(0, |label| label.len());
            finding.suggestion = error.help().map(|help| help.to_string());
            self.say(finding);
        }
        None
    }

    fn rule(&mut self, at: &Place, source: Source, policy: &Policy, body: &Body<'_>) {
        self.annotations(at, &source, body);
        self.actions(at, &source, body);
        self.never(at, &source, body);
        let requirement = body.annotations.get(STEPUP).map(|name| (*name).to_owned());
        if let Some(name) = &requirement {
            self.stepup(at, &source, name, body);
        }
        let shadow = body.annotations.contains_key(SHADOW);
        self.shadow(at, &source, body);
        let Some(id) = self.id(at, body) else { return };
        let number = self.rules.len();
        self.index.add(number, &body.principal, &body.action, &body.resource);
        if requirement.is_some() && !shadow {
            self.ruled.extend(ruled(body));
        }
        self.rules.push(Rule {
            policy: policy.new_id(PolicyId::new(id.as_str())),
            id,
            place: at.clone(),
            shadow,
            source,
            actions: named(&body.action).into_iter().map(|action| eid(action).to_owned()).collect(),
            requirement,
            reads: Reads::of(&body.clauses),
            literals: policy.entity_literals(),
        });
    }

    /// A slip in the annotation would make a `@stepup` a plain `forbid`, or hide it from whoever looks for it.
    fn annotations(&mut self, at: &Place, source: &Source, body: &Body<'_>) {
        let meant = |key: &str| {
            let near = |known: &&str| strsim::damerau_levenshtein(&key.to_lowercase(), known) <= 2;
            [STEPUP, SHADOW].into_iter().find(near).filter(|known| *known != key)
        };
        for (key, meant) in body.annotations.keys().filter_map(|key| Some((key, meant(key)?))) {
            let says = format!("`@{key}` is no annotation that stepup knows");
            let finding = Finding::new(Code::AnnotationMisspelt, at, says).on(source, &format!("@{key}"));
            self.say(finding.suggesting(format!("@{meant}(\"…\")")));
        }
    }

    fn id(&mut self, at: &Place, body: &Body<'_>) -> Option<RuleId> {
        let Some(id) = body.annotations.get("id").copied().filter(|id| !id.is_empty()) else {
            let says = "the rule has no `@id`, so no decision and no record could name it";
            self.say(Finding::new(Code::IdMissing, at, says).suggesting("@id(\"what-it-is-for\")"));
            return None;
        };
        if let Some(first) = self.places.get(id) {
            let says = format!("the rule at {first} has the same `@id` \"{id}\"");
            self.say(Finding::new(Code::IdDuplicate, at, says));
            return None;
        }
        self.places.insert(id.to_string(), at.clone());
        Some(RuleId::new(id))
    }

    /// A rule about an action that does not exist never applies.
    fn actions(&mut self, at: &Place, source: &Source, body: &Body<'_>) {
        for action in named(&body.action) {
            let id = eid(action);
            if action.type_name().to_string() != Kind::Action.name() || !exists(id) {
                let says = format!("there is no action {action}, so the rule would never apply to it");
                let groups: Vec<String> = Named::groups().collect();
                let all = groups.iter().map(String::as_str).chain(ACTIONS);
                let finding = Finding::new(Code::ActionUnknown, at, says).on(source, &action.to_string());
                self.say(finding.suggesting_nearest(id, all));
            }
        }
    }

    /// What Cedar takes, and nobody does.
    fn never(&mut self, at: &Place, source: &Source, body: &Body<'_>) {
        let never = |says: String| Finding::new(Code::NeverApplies, at, says);
        let actions = named(&body.action);
        if let ActionConstraint::Eq(one) = &body.action {
            let id = eid(one);
            let group = Named::read(id).is_some_and(|named| named.is_group_of_own());
            if group && one.type_name().to_string() == Kind::Action.name() {
                let says =
                    format!("{one} is the group of each one's own action, and nobody does the group itself");
                let finding = never(says).on(source, &format!("action == {one}"));
                self.say(finding.suggesting(format!("action in {one}")));
            }
        }
        let covered = |action: &&EntityUid| {
            let named = Named::read(eid(action));
            named.is_none_or(|named| named.of.is_none_or(|of| may_cover(&body.resource, named.action, of)))
        };
        if !actions.is_empty() && !actions.iter().any(covered) {
            self.say(never(
                "the resource is none to which this action is done, so the rule never applies".to_owned(),
            ));
        }
    }

    /// What is only tried must be something that could stop a call, or trying it would open something.
    fn shadow(&mut self, at: &Place, source: &Source, body: &Body<'_>) {
        let actions = named(&body.action);
        let stops = body.effect == Effect::Forbid && !actions.is_empty();
        if !body.annotations.contains_key(SHADOW) || (stops && actions.iter().all(|it| is_call(eid(it)))) {
            return;
        }
        let says = "what is only tried is a `forbid` about what callers do: a `permit`, or a `forbid` about seeing, \
                    approving or administering, would open what it is to close";
        self.say(Finding::new(Code::ShadowAction, at, says).on(source, &format!("@{SHADOW}")));
    }

    fn stepup(&mut self, at: &Place, source: &Source, name: &str, body: &Body<'_>) {
        if body.effect == Effect::Permit {
            let says = "`@stepup` stands on a `permit`: it would be permitted without the step-up";
            let finding = Finding::new(Code::StepupOnPermit, at, says).on(source, "permit");
            self.say(finding.suggesting("write `forbid`: it is lifted when the requirement is met"));
        }
        if name.is_empty() {
            let says = "`@stepup` names no requirement";
            let finding = Finding::new(Code::StepupEmpty, at, says).on(source, "@stepup");
            self.say(finding.suggesting("@stepup(\"name-of-a-requirement\")"));
        } else if !self.requirements.contains_key(name) {
            let says = format!("there is no requirement \"{name}\"");
            let names = self.requirements.keys().map(String::as_str);
            let finding = Finding::new(Code::StepupUnknown, at, says).on(source, &format!("\"{name}\""));
            self.say(finding.suggesting_nearest(name, names));
        }
        let actions = named(&body.action);
        if actions.is_empty() || !actions.iter().all(|action| is_deed(eid(action))) {
            let says = "what callers do, and administering, can be stepped up; `approve`, `discover` and every action cannot";
            let finding = Finding::new(Code::StepupAction, at, says);
            self.say(finding.suggesting("action in Action::\"tools/call\""));
        }
        if lists_what_is_dangerous(&body.clauses) {
            let says = "the step-up applies only to the values that it lists: any other spelling of them, \
                        and the upstream's own default, runs without it";
            let finding = Finding::new(Code::StepupFailOpen, at, says);
            self.say(finding.suggesting(
                "name what is harmless: unless { [\"staging\", \"test\"].contains(context.arguments.…) }",
            ));
        }
        if let Some(argument) = off_when_absent(&body.clauses) {
            let says = format!(
                "without the argument {argument} the step-up is off, whatever the upstream's default is"
            );
            let finding = Finding::new(Code::StepupAbsence, at, says);
            self.say(finding.suggesting(
                "unless { context.arguments has … && [\"staging\", \"test\"].contains(context.arguments.…) }",
            ));
        }
    }
}

/// Whether it is short enough that whoever recurses over its syntax tree comes back.
const fn is_bounded(piece: &Statement<'_>) -> bool {
    piece.text.len() <= STATEMENT && piece.brackets <= BRACKETS && piece.operators <= OPERATORS
}

/// What Cedar reads where each piece stands, if that is what we cut and nothing else is there.
fn as_cut<'s>(set: &'s cedar_policy::PolicySet, pieces: &[Statement<'_>]) -> Option<Vec<&'s Policy>> {
    let nth = |(n, piece): (usize, &Statement<'_>)| {
        let policy = set.policy(&PolicyId::new(format!("policy{n}")))?;
        (policy.to_cedar().as_deref() == Some(piece.itself())).then_some(policy)
    };
    let policies = pieces.iter().enumerate().map(nth).collect::<Option<Vec<_>>>()?;
    (policies.len() == set.num_of_policies()).then_some(policies)
}

fn eid(entity: &EntityUid) -> &str {
    entity.id().unescaped()
}

/// The actions that a scope names; none where it is every action.
fn named(action: &ActionConstraint) -> Vec<&EntityUid> {
    match action {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(one) => vec![one],
        ActionConstraint::In(several) => several.iter().collect(),
    }
}

/// Whether it is what a caller does: a group, or the own action of one target.
fn is_call(action: &str) -> bool {
    is_deed(action) && action != Action::Administer.name()
}

/// What somebody does, and not whether it is seen or approved.
fn is_deed(action: &str) -> bool {
    Named::read(action).is_some_and(|named| !named.approves)
}

fn exists(action: &str) -> bool {
    ACTIONS.contains(&action) || Named::read(action).is_some()
}

/// The targets' own actions that a `@stepup` names for every caller: what is covered needs no `unreviewed`. One
/// for some callers only leaves the target as it was for the others.
fn ruled(body: &Body<'_>) -> Vec<String> {
    let everyone = matches!(body.principal, PrincipalConstraint::Any);
    let own = named(&body.action).into_iter().map(eid).filter(|action| {
        let named = Named::read(action).filter(|named| !named.approves);
        named.is_some_and(|Named { action, of, .. }| of.is_some_and(|of| covers(&body.resource, action, of)))
    });
    own.filter(|_| everyone).map(str::to_owned).collect()
}

/// Whether a scope takes in the one target of an action.
fn covers(scope: &ResourceConstraint, action: Action, target: &str) -> bool {
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(it) => {
            let mut kinds = action.row().to.iter().map(|kind| Kind::of(*kind).name());
            eid(it) == target && kinds.any(|kind| it.type_name().to_string() == kind)
        }
        ResourceConstraint::In(_) | ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..) => false,
    }
}

/// Whether a scope could take in the one target of an action: another one's name does not.
fn may_cover(scope: &ResourceConstraint, action: Action, target: &str) -> bool {
    !matches!(scope, ResourceConstraint::Eq(_)) || covers(scope, action, target)
}

fn takes_nothing(tree: &Tree) -> bool {
    match tree {
        Tree::All(parts) => parts.iter().all(takes_nothing),
        Tree::Any(parts) => parts.iter().any(takes_nothing),
        Tree::Approvals { .. }
        | Tree::Owner { .. }
        | Tree::Purpose
        | Tree::Ticket { .. }
        | Tree::KeyBound => false,
    }
}

fn impossible(tree: &Tree) -> bool {
    match tree {
        Tree::All(parts) => parts.iter().any(impossible),
        Tree::Any(parts) => parts.iter().all(impossible),
        Tree::Ticket { pattern } => pattern.is_empty() || terms::claim::whole(pattern).is_err(),
        Tree::Approvals { from, .. } => from.is_empty(),
        Tree::Owner { fresh } => fresh.get() == 0,
        Tree::Purpose | Tree::KeyBound => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_say_context_reads_nothing_of_it_and_nothing_is_hidden_by_not_looking() {
        for condition in [
            "principal.owner == \"x\" && resource has tier && resource.tier > -3",
            "if principal is Agent then resource in Server::\"ops\" else [1, 2].contains(2)",
            "resource.uri like \"f*\" || {a: 1}.a == 1 || ip(\"10.0.0.1\").isIpv4()",
            "!(action == Action::\"tools/call\") != true",
        ] {
            let text =
                format!("permit (principal, action, resource) when {{ {condition} }} unless {{ false }};");
            let policy = Policy::parse(None, &text).ok();
            let tree = policy.as_ref().and_then(|policy| policy.to_pst().ok());
            let Some(Static::Static(tree)) = tree else { panic!("{text} has no tree") };
            assert_eq!(Reads::of(tree.body().clauses()), Reads::default(), "{condition}");
        }
        // No letter of a name can be written in another way.
        assert!(
            Policy::parse(None, r"permit (principal, action, resource) when { con\u{74}ext.x };").is_err()
        );
    }
}
