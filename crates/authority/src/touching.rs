//! What an access touches, and who touched that before: none of them approves it, now or when the approval is used (decisions A14,
//! rfd 38). Where nobody knows who that is, nothing runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use elevation::Outcome;
use store::{Change, Failed, Toucher};
use terms::card::TouchLine;
use terms::{Access, AttemptId, Caller, HumanId, Json, Slug, Touch, Touched};

use crate::active::Active;
use crate::authority::Authority;
use crate::bundle::Capture;
use crate::captured::Sealed;
use crate::target::Target;

/// What an access touches, with who is known to have touched it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touching {
    /// What its arguments name.
    arguments: Vec<Touched>,
    /// What only its answer will name, without keys.
    later: Vec<Touched>,
    touchers: Vec<Toucher>,
    /// Everybody among them, as the one person that each is today.
    pub(crate) people: BTreeSet<HumanId>,
    rules: Option<Arc<Target>>,
}

/// What an attempt leaves behind, once it is known how it ended: what it touched, and what was captured.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    rules: Arc<Target>,
    arguments: Vec<Touched>,
    /// What its answer names; `None` where nobody could read it.
    answer: Option<Vec<Touched>>,
    /// The credential that its answer held.
    pub(crate) captured: Option<Sealed>,
    /// What people are told beyond its outcome.
    pub(crate) why: Option<&'static str>,
}

impl Authority {
    /// What an access touches.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`Slug::PreparerUnknown`] where nobody knows who touched that before, and it may not be the
    /// first.
    pub(crate) async fn touching(
        &self,
        active: &Active,
        target: &Arc<Target>,
        access: &Access,
    ) -> Result<Result<Touching, Slug>, Failed> {
        let touches = &target.settings.touches;
        if touches.is_empty() {
            let rules = target.settings.capture.as_ref().map(|_| Arc::clone(target));
            return Ok(Ok(Touching { rules, ..Touching::default() }));
        }
        let arguments = Json::Object(access.arguments().clone());
        let named: Vec<(&Touch, Touched)> =
            touches.iter().filter_map(|touch| Some((touch, touch.in_arguments(&arguments)?))).collect();
        let keyed: Vec<Touched> =
            named.iter().map(|(_, one)| one).filter(|one| one.key.is_some()).cloned().collect();
        let touchers = if keyed.is_empty() { Vec::new() } else { self.store.touchers(keyed).await? };
        let known = |one: &Touched| touchers.iter().any(|toucher| toucher.touched == *one);
        let people = touchers.iter().map(|toucher| person(active, toucher)).collect::<Option<_>>();
        let (Some(people), true) =
            (people, named.iter().all(|(touch, one)| one.key.is_some() && (touch.first || known(one))))
        else {
            return Ok(Err(Slug::PreparerUnknown));
        };
        let later = touches.iter().filter_map(|touch| touch.in_result(None)).collect();
        let arguments = named.into_iter().map(|(_, one)| one).collect();
        Ok(Ok(Touching { arguments, later, touchers, people, rules: Some(Arc::clone(target)) }))
    }
}

/// The one person that somebody who touched something is today; `None` where nobody knows who that is.
fn person(active: &Active, toucher: &Toucher) -> Option<HumanId> {
    active.people.any_human(toucher.root?).map(|human| human.root)
}

impl Touching {
    /// The change that says so in the commit of its claim.
    pub(crate) fn change(&self, attempt: AttemptId, caller: &Caller) -> Option<Change> {
        let touches = !self.arguments.is_empty() || !self.later.is_empty();
        touches.then(|| Change::Touch {
            attempt,
            touched: self.arguments.iter().chain(&self.later).cloned().collect(),
            roots: caller.roots.iter().copied().collect(),
            known: self.touchers.iter().filter_map(|toucher| toucher.root).collect(),
        })
    }

    /// What its attempt will leave.
    pub(crate) fn trail(&self) -> Option<Box<Trail>> {
        let rules = Arc::clone(self.rules.as_ref()?);
        Some(Box::new(Trail {
            rules,
            arguments: self.arguments.clone(),
            answer: None,
            captured: None,
            why: None,
        }))
    }

    /// For the card: each thing, with who touched it.
    pub(crate) fn lines(&self, active: &Active) -> Vec<TouchLine> {
        let keyed = self.arguments.iter().filter_map(|one| Some((one, one.key.clone()?)));
        keyed.map(|(one, key)| TouchLine { kind: one.kind.clone(), key, by: self.by(active, one) }).collect()
    }

    fn by(&self, active: &Active, one: &Touched) -> Vec<terms::card::Toucher> {
        let of_it = self.touchers.iter().filter(|toucher| toucher.touched.kind == one.kind);
        let of_it = of_it.filter(|toucher| toucher.touched.key.is_none() || toucher.touched.key == one.key);
        let mut by: Vec<terms::card::Toucher> = Vec::new();
        for toucher in of_it {
            let human = toucher.root.and_then(|root| active.people.any_human(root));
            let caller = active.people.any_caller(toucher.caller);
            let (human, caller) = (human.map(|h| h.name.clone()), caller.map(|c| c.name.clone()));
            let certain = toucher.touched.key.is_some();
            let toucher = terms::card::Toucher {
                human: human.unwrap_or_default(),
                caller: caller.unwrap_or_default(),
                certain,
            };
            if !by.contains(&toucher) {
                by.push(toucher);
            }
        }
        by
    }
}

impl Trail {
    /// Reads what the answer names.
    pub(crate) fn answered(&mut self, answer: Option<&Json>) {
        let touches = self.rules.settings.touches.iter();
        self.answer = answer.map(|json| touches.filter_map(|touch| touch.in_result(Some(json))).collect());
    }

    pub(crate) fn answers_nothing(&mut self) {
        self.answer = Some(Vec::new());
    }

    /// What of its answer is a credential.
    pub(crate) fn captures(&self) -> Option<&Capture> {
        self.rules.settings.capture.as_ref()
    }

    /// The changes that say so in the commit that settles the attempt.
    pub(crate) fn changes(&self, attempt: AttemptId, outcome: Outcome) -> impl Iterator<Item = Change> {
        let touches = !self.rules.settings.touches.is_empty();
        let touched = touches.then(|| Change::Touched { attempt, outcome, answer: self.answer.clone() });
        let kept = self.captured.clone().filter(|_| outcome == Outcome::Done);
        let kept =
            kept.map(|sealed| Change::Capture { attempt, upstream: sealed.upstream, sealed: sealed.text });
        touched.into_iter().chain(kept)
    }

    /// The same for the log.
    pub(crate) fn touched(&self, outcome: Outcome) -> Vec<Touched> {
        let any = self.rules.settings.touches.iter().filter_map(|touch| touch.in_result(None));
        let answer: Vec<Touched> = match (outcome, &self.answer) {
            (Outcome::NotSent, _) => return Vec::new(),
            (Outcome::Failed, _) => Vec::new(),
            (Outcome::Done, Some(answer)) => answer.clone(),
            (Outcome::Done, None) | (Outcome::Unknown | Outcome::Released, _) => any.collect(),
        };
        self.arguments.iter().cloned().chain(answer).collect()
    }
}
