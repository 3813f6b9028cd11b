//! What is wrong with a bundle, held against what is pinned and, on demand, against the people and callers that there
//! are. It decides nothing: what is missed here is denied at run time.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Code, Finding, Known, Outlook, Place, PolicySet, Schema, Severity};
use store::PinState;
use terms::{Caller, CallerKind, Kind, Requirement};

use crate::active::{Active, is_declared};
use crate::bundle::Bundle;
use crate::leaves::groups;
use crate::operator::HOST;
use crate::target::{Target, of_declared};

/// Names that a finding about many of them says.
const NAMED: usize = 5;

/// What a bundle declares.
fn declared(bundle: &Bundle) -> Vec<Target> {
    let all = bundle.upstreams.iter().flat_map(|(upstream, said)| {
        said.declared().map(move |(kind, name, one)| (kind, upstream, name, one, &said.environment))
    });
    all.map(|(kind, upstream, name, one, at)| of_declared(kind, upstream, name, one, at)).collect()
}

impl Active {
    /// The Cedar schema of what is pinned.
    #[must_use]
    pub fn schema(&self) -> Schema<'_> {
        Schema::of(self.there().map(|target| &target.judged))
    }

    /// The same with what is declared so in the place of what is in force.
    fn schema_with<'t>(&'t self, declared: &'t [Target]) -> Schema<'t> {
        let pinned = self.there().filter(|target| !is_declared(target.kind));
        Schema::of(pinned.chain(declared).map(|target| &target.judged))
    }

    /// The rules of a bundle, if nothing is wrong with them as far as texts and types go: then they may come into force.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included.
    pub fn compile(&self, bundle: &Bundle) -> Result<PolicySet, Vec<Finding>> {
        let set = bundle.compile()?;
        let declared = declared(bundle);
        let findings = set.validate(&self.schema_with(&declared));
        let wrong = findings.iter().any(|finding| finding.severity() == Severity::Error);
        if wrong { Err(findings) } else { Ok(set) }
    }

    /// That there are rules in force, and would be none.
    pub(crate) fn loses_all(&self, to: &PolicySet) -> Option<Finding> {
        let none = |set: &PolicySet| set.rules().next().is_none();
        let lost = none(to) && self.set.as_deref().is_some_and(|set| !none(set));
        let says = "there are no rules, and nobody could change that under none: those in force stay";
        let at = Place { file: "the policy folder".to_owned(), ..Place::default() };
        lost.then(|| Finding::new(Code::NoRules, &at, says))
    }

    /// Everything that is wrong with a bundle or probably not meant: names that are nowhere are among it, with `live` those
    /// of people, callers and groups too, and requirements that the people who are there could not meet.
    #[must_use]
    pub fn check(&self, bundle: &Bundle, live: bool) -> Vec<Finding> {
        let set = match bundle.compile() {
            Ok(set) => set,
            Err(findings) => return findings,
        };
        let mut findings = set.warnings().to_vec();
        findings.extend(self.loses_all(&set));
        let declared = declared(bundle);
        findings.extend(set.validate(&self.schema_with(&declared)));
        findings.extend(set.check_names(&self.known(bundle, live)));
        if live {
            let named = bundle.requirements.iter().filter(|(name, _)| set.names(name));
            findings.extend(named.filter_map(|(name, requirement)| self.meets(name, requirement)));
            findings.extend(self.check_standing(bundle, &set));
            findings.extend(self.uncovered_by(&set, &declared));
        }
        findings.sort();
        findings.dedup();
        findings
    }

    /// What nobody has reviewed, and runs for a caller who is there with nobody's approval, and of which no rule speaks: a finding
    /// for each upstream, as one upstream may have hundreds.
    fn uncovered_by(&self, set: &PolicySet, declared: &[Target]) -> Vec<Finding> {
        let callers: Vec<&Caller> = self
            .people
            .known()
            .filter(|caller| caller.kind != CallerKind::Operator)
            .map(AsRef::as_ref)
            .collect();
        let runs = |target: &&Target| {
            let alone = |caller: &&&Caller| {
                set.may_need(caller, &target.judged).is_empty()
                    && set.outlook(caller, &target.judged) != Outlook::Never
            };
            !set.covers(&target.judged) && callers.iter().any(|caller| alone(&caller))
        };
        let acts = [Kind::Tool, Kind::Route, Kind::Operation];
        let there = self.there().filter(|target| !is_declared(target.kind)).chain(declared);
        let mut open: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for target in there.filter(|target| acts.contains(&target.kind)).filter(runs) {
            open.entry(&target.upstream).or_default().push(&target.name);
        }
        let finding = |(upstream, names): (&str, Vec<&str>)| {
            let some = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let says = format!(
                "{upstream}: {some}{more} can run with nobody's approval, nobody has reviewed them, and no rule speaks of them"
            );
            Finding::new(
                Code::Uncovered,
                &Place { file: format!("upstreams.{upstream}"), ..Place::default() },
                says,
            )
        };
        open.into_iter().map(finding).collect()
    }

    /// The upstreams of a bundle of which nothing is pinned yet: what rules say of theirs is held against nothing.
    #[must_use]
    pub fn unread<'b>(&self, bundle: &'b Bundle) -> Vec<&'b str> {
        let pinned: BTreeSet<&str> = self.there().map(|target| target.upstream.as_str()).collect();
        let speak_mcp = bundle.upstreams.iter().filter(|(_, said)| said.declared().next().is_none());
        speak_mcp.map(|(name, _)| name.as_str()).filter(|name| !pinned.contains(name)).collect()
    }

    /// What is pinned and was there when its upstream was last looked at.
    fn there(&self) -> impl Iterator<Item = &Target> {
        self.targets().map(AsRef::as_ref).filter(|target| target.pin.state != PinState::Gone)
    }

    fn known(&self, bundle: &Bundle, live: bool) -> Known {
        let pinned = |kind: Kind| -> BTreeSet<String> {
            self.there().filter(|target| target.kind == kind).map(Target::id).collect()
        };
        let of_bundle = declared(bundle);
        let declared_as = |kind: Kind| -> BTreeSet<String> {
            of_bundle.iter().filter(|target| target.kind == kind).map(Target::id).collect()
        };
        let environments = bundle.upstreams.values().map(|said| said.environment.clone());
        let callers = |kind: &str| -> BTreeSet<String> {
            let of = self.people.callers().filter(|caller| caller.kind.name() == kind);
            of.map(|caller| caller.name.clone()).collect()
        };
        // Where no upstream is configured yet there is nothing that their names could be held against.
        let any = !bundle.upstreams.is_empty();
        Known {
            upstreams: any.then(|| bundle.upstreams.keys().cloned().collect()),
            environments: any.then(|| environments.filter(|name| !name.is_empty()).collect()),
            tools: any.then(|| pinned(Kind::Tool)),
            prompts: any.then(|| pinned(Kind::Prompt)),
            routes: any.then(|| declared_as(Kind::Route)),
            operations: any.then(|| declared_as(Kind::Operation)),
            groups: live.then(|| self.people.groups().cloned().chain([HOST.to_owned()]).collect()),
            humans: live.then(|| self.people.humans().map(|human| human.name.clone()).collect()),
            agents: live.then(|| callers("agent")),
            services: live.then(|| callers("service")),
        }
    }

    /// The callers for whom nobody who is there could meet a requirement.
    fn meets(&self, name: &str, requirement: &Requirement) -> Option<Finding> {
        let groups = groups(requirement);
        let able = |caller: &&Caller| {
            let mut eligible = self
                .people
                .eligible(caller, &BTreeSet::new(), &groups, |human, _| self.people.signs(human.root));
            eligible.owners.retain(|root| self.people.signs(*root));
            elevation::attainable(requirement, &eligible, true)
        };
        let programs = self.people.known().filter(|caller| caller.kind != CallerKind::Operator);
        let callers: BTreeMap<&str, &Caller> =
            programs.map(|caller| (caller.name.as_str(), caller.as_ref())).collect();
        let without: Vec<&str> =
            callers.iter().filter(|(_, caller)| !able(caller)).map(|(name, _)| *name).collect();
        if without.is_empty() {
            return None;
        }
        let at = Place { file: format!("requirements.{name}"), ..Place::default() };
        let says = format!(
            "the people who are there could not meet it for {}: what takes it is denied, or waits for nobody",
            without.join(", ")
        );
        let help =
            "add people to its groups and have them enrol a passkey; who is behind a caller never counts";
        Some(Finding::new(Code::RequirementUnmet, &at, says).suggesting(help))
    }
}
