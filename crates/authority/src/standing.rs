//! Who could change what decisions rest on, worked out from rules and people alone: that somebody can, and that nobody who is
//! stopped today comes to approve for themselves by changing it with nobody else's say (decisions A21).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use elevation::{Eligible, attainable};
use policy::{Code, Finding, History, Moment, Outlook, Place, PolicySet, Question};
use store::Human;
use terms::access::SealKey;
use terms::{Action, Caller, CallerKind, HumanId, Json, Part, Requirement, Time};

use crate::active::Active;
use crate::bundle::Bundle;
use crate::leaves::groups;
use crate::operator::{ACCOUNT, HOST, Operator, access};
use crate::target::of_part;

/// By changing one of these, somebody comes to approve: by other rules, another name of their own, another's name for the owner
/// of what they hold the key of, or another group.
const LEADS_THERE: [Part; 4] = [Part::Policy, Part::Groups, Part::Callers, Part::People];

/// What is changed at the console, by who has a passkey.
const AT_CONSOLE: [Part; 2] = [Part::Definitions, Part::Locks];

/// An account that is nobody's, as any of this machine is until it is said whose it is.
pub(crate) const NOBODYS: Operator = Operator::Account(u32::MAX);

/// What is asked of one set of rules.
struct Rules<'a> {
    active: &'a Active,
    set: &'a PolicySet,
    requirements: &'a BTreeMap<String, Requirement>,
}

impl Active {
    /// What is wrong with who may change what.
    pub(crate) fn check_standing(&self, bundle: &Bundle, set: &PolicySet) -> Vec<Finding> {
        let rules = Rules { active: self, set, requirements: &bundle.requirements };
        let named = bundle.requirements.iter().filter(|(name, _)| set.names(name));
        let others_approve = named.into_iter().any(|(_, requirement)| !groups(requirement).is_empty());
        let anybody = self.people.operator(NOBODYS);
        let anybody = Some(anybody).filter(|_| others_approve).and_then(|who| rules.alone(&who));
        // What whoever has an account can do is said once.
        let apart = |who: &Arc<Caller>| others_approve && (anybody.is_none() || !who.roots.is_empty());
        let alone = self.accounts(set).into_iter().filter(apart).filter_map(|who| rules.alone(&who));
        let alone: Vec<Finding> = alone.collect();
        anybody.into_iter().chain(alone).chain(rules.nobody()).collect()
    }

    /// The accounts of this machine that can be told apart: those that are somebody's, and those that rules name.
    fn accounts(&self, set: &PolicySet) -> Vec<Arc<Caller>> {
        let known = self.people.known().filter(|caller| caller.kind == CallerKind::Operator);
        let accounts = known.filter(|caller| caller.name.starts_with(ACCOUNT)).cloned();
        let texts = set.rules().filter_map(|rule| set.source(rule)).map(|(_, text)| text);
        let named: BTreeSet<u32> = texts.flat_map(accounts_in).collect();
        let named = named.into_iter().chain([0]).map(|uid| self.people.operator(Operator::Account(uid)));
        let mut all: Vec<Arc<Caller>> = accounts.chain(named).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        all
    }
}

impl Rules<'_> {
    /// The finding that somebody can change, with nobody else, what leads to approving for themselves.
    fn alone(&self, who: &Caller) -> Option<Finding> {
        let only = Eligible { approvers: BTreeMap::new(), owners: who.roots.clone() };
        let parts = LEADS_THERE.into_iter().filter(|part| self.can(who, *part, &only));
        let parts: Vec<&str> = parts.map(Part::name).collect();
        if parts.is_empty() {
            return None;
        }
        let somebody = if !who.roots.is_empty() {
            format!("{}, by the account {},", who.owner, who.name)
        } else if who.name == NOBODYS.to_string() {
            format!("whoever has an account of this machine (Group::\"{HOST}\")")
        } else {
            format!("whoever has the account {}", who.name)
        };
        let says = format!(
            "{somebody} can change {} with nobody else, and so come to approve for themselves",
            listed(&parts)
        );
        let help = "step it up: `@stepup(\"…\") forbid (principal, action == Action::\"administer\", resource);`, and \
                    say whose the accounts are: stepup human account NAME";
        Some(Finding::new(Code::SelfApproval, &here(), says).suggesting(help))
    }

    /// The findings that nobody can change something: at the machine by an account of it, or at the console by who signs.
    fn nobody(&self) -> impl Iterator<Item = Finding> {
        let people = self.active.humans().filter(|human| self.signs(human));
        let people: Vec<Arc<Caller>> =
            people.map(|human| self.active.people.operator(Operator::Person(human.id))).collect();
        let mut accounts = self.active.accounts(self.set);
        accounts.push(self.active.people.operator(NOBODYS));
        let at_machine = self.stuck(&LEADS_THERE, &accounts).map(|parts| {
            let says = format!("nobody who is there could change {parts} under these rules");
            let help = "let somebody: `permit (principal in Group::\"…\", action == Action::\"administer\", resource);`; \
                        where it takes approval, say whose this account is: stepup human account NAME";
            (says, help)
        });
        // Before there is anybody who could be asked at the console, it is nobody's fault.
        let at_console = (!people.is_empty()).then(|| self.stuck(&AT_CONSOLE, &people)).flatten().map(|parts| {
            let says = format!("nobody who signs in could change {parts} at the console under these rules");
            let help = "let somebody: `permit (principal in Group::\"…\", action == Action::\"administer\", resource);`; \
                        where it takes approval, have enough others who may give it: stepup human invite NAME";
            (says, help)
        });
        at_machine
            .into_iter()
            .chain(at_console)
            .map(|(says, help)| Finding::new(Code::NobodyAdministers, &here(), says).suggesting(help))
    }

    /// Which of these parts none of these could change, if any.
    fn stuck(&self, parts: &[Part], all: &[Arc<Caller>]) -> Option<String> {
        let somebody = |part: Part| all.iter().any(|who| self.can(who, part, &self.others(who, part)));
        let stuck: Vec<&str> =
            parts.iter().filter(|part| !somebody(**part)).map(|part| part.name()).collect();
        (!stuck.is_empty()).then(|| listed(&stuck))
    }

    /// Whether somebody could change a part, whatever is known of the change, with the approval of these.
    fn can(&self, who: &Caller, part: Part, eligible: &Eligible) -> bool {
        let target = of_part(part);
        if self.set.outlook(who, &target.judged) == Outlook::Never {
            return false;
        }
        let needs = self.set.must_need(who, &target.judged);
        let met = |name: &&str| {
            self.requirements.get(*name).is_some_and(|requirement| attainable(requirement, eligible, false))
        };
        needs.is_empty() || (!who.roots.is_empty() && needs.iter().all(met))
    }

    /// Everybody who signs and whom the rules let approve for somebody.
    fn others(&self, who: &Caller, part: Part) -> Eligible {
        let said = Json::object([("act", "")]);
        let Ok(access) = access(who, part, said, &SealKey::new([0; 32])) else { return Eligible::default() };
        let history = Some(History { first_time: false, calls_1h: 0 });
        let moment = Moment { at: Time::from_millis(0), source: None, history };
        let target = of_part(part);
        let question = Question { caller: who, access: &access, target: &target.judged, moment: &moment };
        let may = |human: &Human, groups: &BTreeSet<String>| {
            let person = policy::Human { id: human.root, name: human.name.clone(), groups: groups.clone() };
            self.signs(human) && self.set.may_approve(&person, &question, 0).yes()
        };
        let asked: BTreeSet<&str> = self.requirements.values().flat_map(groups).collect();
        let mut eligible = self.active.people.eligible(who, &BTreeSet::new(), &asked, may);
        eligible.owners.retain(|root: &HumanId| self.active.people.signs(*root));
        eligible
    }

    fn signs(&self, human: &Human) -> bool {
        self.active.human(human.id).is_some() && self.active.people.signs(human.root)
    }
}

/// The accounts that a rule's text names, as an entity or otherwise.
fn accounts_in(text: &str) -> impl Iterator<Item = u32> {
    let digits =
        |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|uid| uid.parse().ok());
    text.split(ACCOUNT).skip(1).filter_map(digits)
}

/// Where it is found: in what all rules together say of one action.
fn here() -> Place {
    Place { file: Action::Administer.name().to_owned(), ..Place::default() }
}

/// Names in a row.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
