//! What is asked beside accesses: who sees a target, what using it may take, who may approve. `@stepup` never applies to
//! these; compile refuses it.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Context, Effect};
use terms::{Caller, HumanId};

use crate::context;
use crate::entities::{Entity, Kind, Unaskable};
use crate::judge::verb;
use crate::set::{Answer, Part, Parties, Rule};
use crate::target::DISCOVER;
use crate::{Attribute, PolicySet, Question, RuleId, Target};

/// A yes, or a no with the rules that say so.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum May {
    /// Yes.
    Yes {
        /// The rules that permit it; none where it takes none.
        by: Vec<RuleId>,
    },
    /// No; by no rule where nothing permits it or it could not be asked.
    No {
        /// The rules that forbid it or failed.
        by: Vec<RuleId>,
    },
}

impl May {
    /// Whether it is a yes.
    #[must_use]
    pub const fn yes(&self) -> bool {
        matches!(self, Self::Yes { .. })
    }
}

/// What something comes to before its arguments are known; whatever is stepped up is beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is permitted whatever they are.
    Always,
    /// It depends on them, or on the time, the address and the like.
    Depends,
    /// It is denied whatever they are.
    Never,
}

const UNASKABLE: May = May::No { by: Vec::new() };

/// A person, as rules see one: `Human::"alice"` in `Group::"release-managers"`, with `principal.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Human {
    /// The person's row, as in `context.caller.roots`.
    pub id: HumanId,
    /// The name.
    pub name: String,
    /// The groups that the person is in.
    pub groups: BTreeSet<String>,
}

impl PolicySet {
    /// Whether the caller is shown that the target exists: `permit`ted and not forbidden on
    /// `Action::"discover"`. The context is `caller` alone, so that a list does not change by the hour.
    pub fn may_discover(&self, caller: &Caller, target: &Target) -> May {
        let ask = || -> Result<May, Unaskable> {
            let discover = Arc::new(Entity::new(Kind::Action, DISCOVER));
            let parties = Parties::caller(self, caller, &discover, target);
            let slice = self.slice(&parties)?;
            let prepared = self.prepare(&parties, context::of_caller(caller)?)?;
            Ok(permitted(self.ask(&slice.base, &prepared)))
        };
        ask().unwrap_or(UNASKABLE)
    }

    /// What using the target as what it is for comes to before anything is known of the call: rules that speak of nothing in
    /// the context are asked, the others may say either.
    #[must_use]
    pub fn outlook(&self, caller: &Caller, target: &Target) -> Outlook {
        let ask = || -> Result<Outlook, Unaskable> {
            let verb = target.first().ok_or(Unaskable)?;
            let parties = Parties::caller(self, caller, &verb.act, target);
            let matching = self.matching(&parties).filter(|rule| rule.part() == Part::Base);
            let (open, known): (Vec<_>, Vec<_>) = matching.partition(|rule| rule.reads.context);
            let known = cedar_policy::PolicySet::from_policies(known.iter().map(|rule| rule.policy.clone()));
            let answer = self.ask(&known.map_err(|_| Unaskable)?, &self.prepare(&parties, Context::empty())?);
            let open = |effect: Effect| open.iter().any(|rule| rule.policy.effect() == effect);
            Ok(match (answer.allowed, open(Effect::Permit), open(Effect::Forbid)) {
                _ if !answer.failed.is_empty() => Outlook::Never,
                (false, ..) if !answer.by.is_empty() => Outlook::Never,
                (true, _, false) => Outlook::Always,
                (false, false, _) => Outlook::Never,
                (true, _, true) | (false, true, _) => Outlook::Depends,
            })
        };
        ask().unwrap_or(Outlook::Never)
    }

    /// Whether a target is reviewed as read-only, or a `forbid` in force, lifted by a step-up or not, names its own action.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        let reviewed = (String::from("reviewedReadOnly"), Attribute::Bool(true));
        let own = target.first().map(|verb| &verb.act.id);
        let names = |rule: &Rule| own.is_some_and(|own| rule.actions.contains(own));
        let stops = |rule: &&Rule| !rule.shadow && rule.policy.effect() == Effect::Forbid;
        target.resource(false).attributes.contains(&reviewed) || self.rules.iter().filter(stops).any(names)
    }

    /// The names of the requirements that using the target as what it is for may take, sorted: those of every `@stepup` whose
    /// scope matches, but for those that speak of nothing in the context and do not apply (B18).
    #[must_use]
    pub fn may_need(&self, caller: &Caller, target: &Target) -> Vec<&str> {
        self.needs(caller, target, |rule, applies| rule.reads.context || applies)
    }

    /// The names of those that it takes whatever is known of it then.
    #[must_use]
    pub fn must_need(&self, caller: &Caller, target: &Target) -> Vec<&str> {
        self.needs(caller, target, |rule, applies| !rule.reads.context && applies)
    }

    /// The names of the requirements of some of the `@stepup`s whose scope matches, each with whether it applies where nothing
    /// is known of the context.
    fn needs(&self, caller: &Caller, target: &Target, counts: impl Fn(&Rule, bool) -> bool) -> Vec<&str> {
        let ask = || -> Result<BTreeSet<&str>, Unaskable> {
            let verb = target.first().ok_or(Unaskable)?;
            let parties = Parties::caller(self, caller, &verb.act, target);
            let slice = self.slice(&parties)?;
            let prepared = self.prepare(&parties, Context::empty())?;
            let answer = self.ask(&slice.steps, &prepared);
            let rules = slice.step_rules.iter().filter_map(|rule| self.rules.get(*rule));
            let applies = |rule: &Rule| answer.by.contains(&rule.id) || answer.failed.contains(&rule.id);
            let counted = rules.filter(|rule| counts(rule, applies(rule)));
            Ok(counted.filter_map(|rule| rule.requirement.as_deref()).collect())
        };
        ask().unwrap_or_default().into_iter().collect()
    }

    /// Whether policy lets this person approve this access, on which `votes` signed approvals are so far.
    /// No `permit` is needed: whose approval counts is in the requirement. A `forbid` on
    /// `Action::"approve"` or a narrower one takes the right away, and so does anything that fails
    /// (decisions §9, "Eligibility to approve").
    pub fn may_approve(&self, human: &Human, question: &Question<'_>, votes: u32) -> May {
        let ask = || -> Result<May, Unaskable> {
            let verb = verb(question).ok_or(Unaskable)?;
            let parties = Parties::approver(self, human, verb, question.target);
            let slice = self.slice(&parties)?;
            let asked = context::of_call(question, Some(votes), &slice.members)?;
            if !slice.unjudgeable(&asked.unjudged).is_empty() {
                return Err(Unaskable);
            }
            let prepared = self.prepare(&parties, asked.context)?;
            Ok(not_forbidden(self.ask(&slice.base, &prepared)))
        };
        ask().unwrap_or(UNASKABLE)
    }
}

fn permitted(answer: Answer) -> May {
    match answer {
        Answer { failed, .. } if !failed.is_empty() => May::No { by: failed },
        Answer { allowed: true, by, .. } => May::Yes { by },
        Answer { by, .. } => May::No { by },
    }
}

/// A Deny without a reason is one for lack of a `permit`.
fn not_forbidden(answer: Answer) -> May {
    let lacks_permit = answer.by.is_empty();
    permitted(Answer { allowed: answer.allowed || lacks_permit, ..answer })
}
