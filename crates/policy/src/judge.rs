//! The judgement: `A` first, then `S`. Pure: the same set and question give the same answer.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use terms::{Access, Binds, Caller, Kind, Pointer, Requirement, Slug, Terms};

use crate::context;
use crate::entities::Unaskable;
use crate::set::{Answer, Parties, Slice};
use crate::target::Verb;
use crate::{Moment, PolicySet, RuleId, Target};

/// One access, asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// What, canonical, secrets sealed.
    pub access: &'a Access,
    /// What the access is to.
    pub target: &'a Target,
    /// The rest.
    pub moment: &'a Moment,
}

/// What policy says, with the rules that determined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Allowed as it is.
    Permit {
        /// The `permit`s that apply.
        by: Vec<RuleId>,
    },
    /// Not allowed, whatever evidence there is.
    Deny {
        /// The rules that forbid it or failed; none where nothing permits it.
        by: Vec<RuleId>,
        /// Why.
        why: DenyReason,
    },
    /// Allowed once this is met.
    StepUp {
        /// Every requirement that applies, joined.
        requirement: Requirement,
        /// The `@stepup` forbids that apply.
        by: Vec<RuleId>,
        /// The `permit`s that let it through then.
        permits: Vec<RuleId>,
    },
}

/// Why policy denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// No `permit` applies.
    NotPermitted,
    /// A plain `forbid` applies.
    Forbidden,
    /// Rules speak of these arguments, and they have no typed form (decisions A3).
    Unjudgeable(Vec<Pointer>),
    /// A rule could not be evaluated.
    Failed,
    /// The access is nothing that this caller could do to this target.
    ActionUnknown,
}

impl Judgement {
    /// The same for a change of the installation: what is approved is exactly this, once, whatever the requirement says for calls.
    fn once(self) -> Self {
        match self {
            Self::StepUp { requirement: Requirement { parts, terms }, by, permits } => {
                let terms = Terms { uses: NonZeroU32::MIN, binds: Binds::Everything, ..terms };
                Self::StepUp { requirement: Requirement { parts, terms }, by, permits }
            }
            Self::Permit { .. } | Self::Deny { .. } => self,
        }
    }
}

impl DenyReason {
    /// How the caller is told; the rules are not (T124).
    #[must_use]
    pub const fn slug(&self) -> Slug {
        match self {
            Self::NotPermitted | Self::Forbidden | Self::ActionUnknown => Slug::PolicyDenied,
            Self::Unjudgeable(_) => Slug::ArgumentUnjudgeable,
            Self::Failed => Slug::PolicyFailed,
        }
    }
}

/// Permit, Deny or StepUp. There is no error: what cannot be judged is denied.
#[must_use]
pub fn judge(set: &PolicySet, question: &Question<'_>) -> Judgement {
    let Some(verb) = verb(question) else {
        return Judgement::Deny { by: Vec::new(), why: DenyReason::ActionUnknown };
    };
    asked(set, question, verb)
        .unwrap_or_else(|Unaskable| Judgement::Deny { by: Vec::new(), why: DenyReason::Failed })
}

/// An unknown action is a Deny, and so is a question whose parts do not belong together.
pub(crate) fn verb<'q>(question: &Question<'q>) -> Option<&'q Verb> {
    let Question { caller, access, target, .. } = question;
    let (subject, resource) = (access.subject(), access.resource());
    let one = resource.kind == target.kind().name()
        && resource.id == target.id()
        && subject.kind == caller.kind.name()
        && subject.id == caller.name
        && subject.owner == caller.owner
        && subject.act == caller.act;
    target.verb(access.action()).filter(|_| one)
}

fn asked(set: &PolicySet, question: &Question<'_>, verb: &Verb) -> Result<Judgement, Unaskable> {
    let Question { caller, target, .. } = question;
    let parties = Parties::caller(set, caller, &verb.act, target);
    let slice = set.slice(&parties)?;
    let asked = context::of_call(question, None, &slice.members)?;
    let unjudgeable = slice.unjudgeable(&asked.unjudged);
    if !unjudgeable.is_empty() {
        return Ok(Judgement::Deny { by: Vec::new(), why: DenyReason::Unjudgeable(unjudgeable) });
    }
    let prepared = set.prepare(&parties, asked.context)?;
    let base = set.ask(&slice.base, &prepared);
    if let Some(deny) = deny(&base) {
        return Ok(deny);
    }
    // The usual baseline call: nothing could step it up, so the second set is not asked.
    if slice.step_rules.is_empty() {
        return Ok(Judgement::Permit { by: base.by });
    }
    let steps = set.ask(&slice.steps, &prepared);
    let judgement = step_up(set, &slice, base, steps)?;
    Ok(if target.kind() == Kind::Installation { judgement.once() } else { judgement })
}

/// What the rules that are only tried would have made of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The rules that apply, could not be evaluated, or speak of arguments that they could not judge.
    pub by: Vec<RuleId>,
    /// What they would have asked for; `None` where they would have denied it.
    pub requirement: Option<Requirement>,
}

/// What the rules that are only tried say of an access; `None` where none of them applies. It changes no answer.
#[must_use]
pub fn shadowed(set: &PolicySet, question: &Question<'_>) -> Option<Shadowed> {
    if !set.tries() {
        return None;
    }
    let ask = || -> Result<Option<Shadowed>, Unaskable> {
        let verb = verb(question).ok_or(Unaskable)?;
        let parties = Parties::caller(set, question.caller, &verb.act, question.target);
        let slice = set.slice(&parties)?;
        if slice.shadows.is_empty() {
            return Ok(None);
        }
        let asked = context::of_call(question, None, &slice.shadow_members)?;
        let answer = set.ask(&slice.shadows, &set.prepare(&parties, asked.context)?);
        // In force, a rule that speaks of what has no typed form denies, whatever else it says.
        let speaks = |n: &&usize| set.rules.get(**n).is_some_and(|rule| rule.reads.speak_of(&asked.unjudged));
        let unjudged = slice.shadow_rules.iter().filter(speaks).filter_map(|n| set.rules.get(*n));
        let failed: BTreeSet<RuleId> =
            answer.failed.into_iter().chain(unjudged.map(|rule| rule.id.clone())).collect();
        let sure = failed.is_empty();
        let applied = answer.by.into_iter().filter(|rule| !failed.contains(rule));
        let by: Vec<RuleId> = applied.chain(failed.iter().cloned()).collect();
        if by.is_empty() {
            return Ok(None);
        }
        let needs: Option<Vec<&Requirement>> =
            by.iter().map(|id| set.requirements.get(set.rule(id)?.requirement.as_deref()?)).collect();
        let requirement = needs.filter(|_| sure).and_then(|needs| joined(&needs));
        Ok(Some(Shadowed { by, requirement }))
    };
    ask().ok().flatten()
}

/// What `A` denies.
fn deny(base: &Answer) -> Option<Judgement> {
    let (by, why) = match base {
        Answer { failed, .. } if !failed.is_empty() => (failed, DenyReason::Failed),
        Answer { allowed: true, .. } => return None,
        Answer { by, .. } if by.is_empty() => (by, DenyReason::NotPermitted),
        Answer { by, .. } => (by, DenyReason::Forbidden),
    };
    Some(Judgement::Deny { by: by.clone(), why })
}

/// What `S` asks for. A set of forbids answers Deny with every one that applies as a reason.
fn step_up(set: &PolicySet, slice: &Slice, base: Answer, steps: Answer) -> Result<Judgement, Unaskable> {
    if !steps.failed.is_empty() {
        return Ok(Judgement::Deny { by: steps.failed, why: DenyReason::Failed });
    }
    let applies = |rule: &&usize| set.rules.get(**rule).is_some_and(|rule| steps.by.contains(&rule.id));
    let named = slice.step_rules.iter().filter(applies);
    let names: BTreeSet<&str> =
        named.filter_map(|rule| set.rules.get(*rule)?.requirement.as_deref()).collect();
    let requirements: Option<Vec<&Requirement>> =
        names.iter().map(|name| set.requirements.get(*name)).collect();
    match joined(&requirements.ok_or(Unaskable)?) {
        Some(requirement) => Ok(Judgement::StepUp { requirement, by: steps.by, permits: base.by }),
        None if steps.by.is_empty() => Ok(Judgement::Permit { by: base.by }),
        None => Err(Unaskable),
    }
}

/// All of them as one; `None` of none.
fn joined(requirements: &[&Requirement]) -> Option<Requirement> {
    let (first, rest) = requirements.split_first()?;
    Some(rest.iter().fold((*first).clone(), |joined, requirement| joined.join(requirement)))
}
