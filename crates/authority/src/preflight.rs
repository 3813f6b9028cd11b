//! Preflight: what a call would come to, for the caller that would make it. It goes the way of `decide` up to where that would do
//! something, and does nothing of it: no request is opened, no grant used, nobody told. What its caller learns is what a
//! challenge or a refusal would have told it, never rules or names (T124); that it asked is in the log (rfd 33).

use std::sync::Arc;

use audit::body::{self, Arguments, Who, logged};
use audit::record::Refs;
use elevation::Evidence;
use policy::{Judgement, Outlook};
use store::{Commit, Failed, PinState};
use terms::{Caller, ElevationId, Slug, Terms, Time};

use crate::active::Active;
use crate::authority::Authority;
use crate::decide::{Ask, Case, Comes, Judged, Said, lost, names, standing, unknown};
use crate::leaves::weighed;
use crate::ruling::{Denial, Line};
use crate::target::Target;

/// What a call would come to now.
#[derive(Clone, Debug, PartialEq)]
pub enum Preflight {
    /// It would run; with a grant, it would use that once.
    Permitted {
        /// Whether a grant of the caller fits.
        granted: bool,
    },
    /// It would be stopped until it has this.
    NeedsApproval(Box<Needs>),
    /// It depends on the arguments, which were left out.
    Depends {
        /// The names of the requirements that it may need (B18).
        may_need: Vec<String>,
    },
    /// It would be denied.
    Denied(Denial),
}

/// What it takes: as a challenge would tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The requirement's name.
    pub label: String,
    /// What it takes, line by line.
    pub lines: Vec<Line>,
    /// How long a request waits, and what an approval is good for.
    pub terms: Terms,
    /// The caller's request for this very call, where one waits already.
    pub waits: Option<ElevationId>,
    /// This exact call ran already and its answer was lost: when, and how it ended.
    pub ran: Option<(Time, String)>,
}

impl Preflight {
    /// Its name in answers and records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Permitted { .. } => "permitted",
            Self::NeedsApproval(_) => "needs_approval",
            Self::Depends { .. } => "depends",
            Self::Denied(_) => "denied",
        }
    }

    /// What the log holds of it, of no access yet.
    fn body(&self, caller: Who, resource: String) -> body::Preflighted {
        let (requirement, slug) = match self {
            Self::NeedsApproval(needs) => (Some(needs.label.clone()), None),
            Self::Depends { may_need } => (Some(may_need.join(" + ")).filter(|all| !all.is_empty()), None),
            Self::Denied(denial) => (None, Some(denial.slug.to_string())),
            Self::Permitted { .. } => (None, None),
        };
        body::Preflighted {
            caller,
            resource,
            access: None,
            access_hash: None,
            by: Vec::new(),
            ruling: self.name().to_owned(),
            requirement,
            slug,
        }
    }
}

impl Authority {
    /// What a decision on this access would be. Who may not know of what it reaches for must not be told: that is for whoever
    /// asks, before ([`Self::seen`]).
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`Slug::StoreUnavailable`] when it refuses to record that it was asked.
    pub async fn preflight(&self, ask: &Ask) -> Result<Result<Preflight, Slug>, Failed> {
        let active = self.active();
        let still = active.people.still(&ask.caller, self.now());
        let caller = still.unwrap_or_else(|| Arc::clone(&ask.caller));
        let case = Case { active: &active, ask, caller, back: None };
        let (comes, by) = self.foreseen(&case).await?;
        let body = body::Preflighted {
            access: Some(logged(&ask.access, Arguments::Full)),
            access_hash: Some(ask.access.hash()),
            by,
            ..comes.body(Who::of(&case.caller, &ask.source), ask.access.resource().id.clone())
        };
        self.preflighted(case.refs(), &body, comes).await
    }

    /// What using this may come to before its arguments are known, which is what a list says of it (B18).
    ///
    /// # Errors
    /// As of [`Self::preflight`].
    pub async fn preflight_without(
        &self,
        caller: &Caller,
        target: &Target,
        source: &str,
    ) -> Result<Result<Preflight, Slug>, Failed> {
        let active = self.active();
        let comes = self.foreseen_without(&active, caller, target);
        let body = comes.body(Who::of(caller, source), target.id());
        let refs = Refs { caller: Some(caller.id), policy: Some(active.hash), ..Refs::default() };
        self.preflighted(refs, &body, comes).await
    }

    async fn preflighted(
        &self,
        refs: Refs,
        body: &body::Preflighted,
        comes: Preflight,
    ) -> Result<Result<Preflight, Slug>, Failed> {
        let commit = Commit { changes: Vec::new(), records: vec![self.record(refs, body)] };
        Ok(self.commit(commit).await?.map(|_| comes).map_err(|_| Slug::StoreUnavailable))
    }

    /// As `decide` would rule, and the rules that determine it.
    pub(crate) async fn foreseen(&self, case: &Case<'_>) -> Result<(Preflight, Vec<String>), Failed> {
        if case.active.people.still(&case.caller, self.now()).is_none() {
            return Ok((denied(Slug::CredentialInvalid), Vec::new()));
        }
        let Said { target, moment, judgement, touching } = match self.said(case).await? {
            Ok(said) => said,
            Err(slug) => return Ok((denied(slug), Vec::new())),
        };
        Ok(match judgement {
            Judgement::Permit { by } => (Preflight::Permitted { granted: false }, names(&by)),
            Judgement::Deny { by, why } => (denied(why.slug()), names(&by)),
            Judgement::StepUp { requirement, by, .. } => {
                let by = names(&by);
                let judged = Judged { case, target: &target, moment, requirement, by, touching };
                (self.foreseen_step_up(&judged).await?, judged.by)
            }
        })
    }

    async fn foreseen_step_up(&self, judged: &Judged<'_>) -> Result<Preflight, Failed> {
        let situation = self.situation(judged).await?;
        let eligible = self.eligible_for(judged, &situation);
        let so_far = match self.comes_to(judged, &situation, &eligible).await? {
            Comes::Denied(denial) => return Ok(Preflight::Denied(denial)),
            Comes::Granted(_) => return Ok(Preflight::Permitted { granted: true }),
            Comes::Waits(_, pending) => (standing(judged.case.active, pending), Some(pending.id)),
            Comes::Opens(_) => {
                (Evidence { key_bound: judged.case.caller.key_bound, ..Evidence::default() }, None)
            }
        };
        let (evidence, waits) = so_far;
        let lines = weighed(&judged.requirement, &evidence, &eligible, self.now());
        Ok(Preflight::NeedsApproval(Box::new(Needs {
            label: judged.requirement.label(),
            lines: lines.iter().map(Line::of).collect(),
            terms: judged.requirement.terms.clone(),
            waits,
            ran: situation.last.as_ref().and_then(lost),
        })))
    }

    fn foreseen_without(&self, active: &Active, caller: &Caller, target: &Target) -> Preflight {
        let now = self.now();
        let Some(caller) = active.people.still(caller, now) else { return denied(Slug::CredentialInvalid) };
        if active.lock(caller.id, &caller.roots, &target.upstream, now).is_some() {
            return denied(Slug::CallerLocked);
        }
        match target.pin.state {
            PinState::Accepted => {}
            PinState::Quarantined | PinState::Refused => return denied(Slug::ToolQuarantined),
            PinState::Gone => return denied(unknown(target.kind)),
        }
        let Some(set) = active.set.as_ref() else { return denied(Slug::PolicyFailed) };
        let may_need = set.may_need(&caller, &target.judged);
        match set.outlook(&caller, &target.judged) {
            Outlook::Always if may_need.is_empty() => Preflight::Permitted { granted: false },
            Outlook::Always | Outlook::Depends => {
                Preflight::Depends { may_need: may_need.into_iter().map(str::to_owned).collect() }
            }
            Outlook::Never => denied(Slug::PolicyDenied),
        }
    }
}

const fn denied(slug: Slug) -> Preflight {
    Preflight::Denied(Denial::of(slug))
}
