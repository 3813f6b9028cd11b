//! What callers, people and the command line read. Nothing here decides anything.

use std::sync::Arc;

use elevation::{Eligible, State};
use store::{Attempt, Failed, Listing, Lock, Situation, Whole};
use terms::statement::Role;
use terms::{Caller, ElevationId, GrantId, HumanId, Kind, Secrets, Slug};

use crate::active::Active;
use crate::authority::Authority;
use crate::card::{Shown, headline};
use crate::challenge::challenge;
use crate::decide::{Ask, sealed};
use crate::reject::{may_reject, names_group};
use crate::ruling::Challenge;
use crate::target::Target;
use crate::vote::NotCounted;
use crate::withdraw::over_now;

/// What a caller is told of one of its elevations.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The request as a challenge: what it takes, and how far it is.
    pub challenge: Challenge,
    /// Where it stands.
    pub state: State,
    /// The reason of a rejection.
    pub why: Option<String>,
    /// Whether its grant can still be spent.
    pub spendable: bool,
    /// The grant.
    pub grant: Option<GrantId>,
    /// The last attempt under it.
    pub attempt: Option<Attempt>,
}

/// A caller with what hangs on it.
#[derive(Clone, Debug)]
pub struct CallerView {
    /// As registered.
    pub row: store::RegisteredCaller,
    /// Its owner's name.
    pub owner: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// What people see of its good keys.
    pub keys: Vec<String>,
    /// The lock that stops it.
    pub lock: Option<Lock>,
}

impl Authority {
    /// One elevation of a caller; `None` when there is none such of this caller.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn status(&self, caller: &Caller, id: ElevationId) -> Result<Option<Status>, Failed> {
        let Some(whole) = self.store.elevation(id).await?.filter(|w| w.request.caller == caller.id) else {
            return Ok(None);
        };
        let active = self.active();
        let eligible = self.eligible_now(&active, &whole).await?;
        let challenge = challenge(&active, &whole.request, &eligible, &Situation::default(), self.now());
        let live = |grant: &elevation::Grant| grant.state(self.now()) == elevation::GrantState::Live;
        Ok(Some(Status {
            challenge,
            state: whole.state,
            why: whole.why.clone(),
            spendable: whole.grant.as_ref().is_some_and(live),
            grant: whole.grant.as_ref().map(|grant| grant.id),
            attempt: whole.attempts.last().cloned(),
        }))
    }

    async fn eligible_now(&self, active: &Active, whole: &Whole) -> Result<Eligible, Failed> {
        let caller = active.people.who_makes(whole.request.caller, &whole.request.access);
        let target = self.standing_target(active, &whole.request.access).ok();
        let Some((caller, target)) = caller.zip(target) else { return Ok(Eligible::default()) };
        Ok(self.today_of(active, whole.request.clone(), caller, target).await?.eligible)
    }

    /// The captured access of an elevation, to be decided on again (`stepup_run`).
    ///
    /// # Errors
    /// [`Failed`] when the store does; a slug when it is not this caller's, over, or holds secrets that
    /// nobody keeps.
    pub async fn captured(
        &self,
        caller: &Arc<Caller>,
        id: ElevationId,
        source: &str,
    ) -> Result<Result<Ask, Slug>, Failed> {
        let Some(whole) = self.store.elevation(id).await?.filter(|w| w.request.caller == caller.id) else {
            return Ok(Err(Slug::ElevationUnknown));
        };
        let over = match whole.state {
            State::Pending
            | State::Concluded(elevation::Conclusion::Approved | elevation::Conclusion::Rejected) => None,
            State::Concluded(elevation::Conclusion::Expired) => Some(Slug::Expired),
            State::Concluded(elevation::Conclusion::Withdrawn | elevation::Conclusion::Superseded) => {
                Some(Slug::Withdrawn)
            }
        };
        let access = whole.request.access;
        let unfit = if sealed(&access) { Some(Slug::StateInvalid) } else { over };
        Ok(unfit.map_or_else(
            || {
                Ok(Ask {
                    caller: Arc::clone(caller),
                    access,
                    secrets: Secrets::default(),
                    source: source.to_owned(),
                    purpose: None,
                    ticket: None,
                    once: None,
                })
            },
            Err,
        ))
    }

    /// Requests that wait, for a person's inbox: those that this person may see.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn inbox(&self, human: HumanId) -> Result<Vec<(Whole, Shown)>, Failed> {
        let listing = Listing { state: Some(State::Pending), limit: 200, ..Listing::default() };
        let mut shown = Vec::new();
        for whole in self.store.elevations(listing).await? {
            if let Some(view) = self.show(&whole, human).await? {
                shown.push((whole, view));
            }
        }
        Ok(shown)
    }

    /// One elevation for a person: its card and whether they can sign it. `None` when it is not for their eyes
    /// (the same as when there is none).
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn show(&self, whole: &Whole, human: HumanId) -> Result<Option<Shown>, Failed> {
        let active = self.active();
        if !self.may_see(&active, whole, human) {
            return Ok(None);
        }
        let Some(caller) = active.people.who_made(whole.request.caller, &whole.request.access) else {
            return Ok(None);
        };
        let Some(target) = active.target_of(&whole.request.access) else { return Ok(None) };
        let stands = self.standing_target(&active, &whole.request.access).is_ok();
        let enabled = active.people.caller(whole.request.caller).is_some();
        let today = self.today_of(&active, whole.request.clone(), caller, target).await?;
        let card = self.shown(&active, &today).await?;
        let can = match over_now(whole.state, &whole.request, self.now()) {
            Some(over) => Err(over),
            None if !enabled => Err(NotCounted::Over("its caller is disabled")),
            None if !stands => Err(self.stands_no_more(&whole.request.access)),
            None => self.role(&active, &today, human),
        };
        let over = over_now(whole.state, &whole.request, self.now()).is_some();
        let rejects = !over && may_reject(&active, &whole.request, human);
        Ok(Some(Shown { card, can: can.map_err(|refused| refused.to_string()), rejects }))
    }

    /// Those behind the caller, those who could sign, and auditors. A role is needed to see arguments (T112).
    fn may_see(&self, active: &Active, whole: &Whole, human: HumanId) -> bool {
        let Some(row) = active.human(human) else { return false };
        let groups = active.groups_of(row.root);
        let caller = active.people.who_made(whole.request.caller, &whole.request.access);
        let behind = caller.is_some_and(|c| c.roots.contains(&row.root));
        let reads_all = ["admins", "auditors"].iter().any(|group| groups.contains(*group));
        behind || reads_all || names_group(&whole.request.requirement, &groups)
    }

    /// The headline of a request, for lists.
    #[must_use]
    pub fn headline(&self, whole: &Whole) -> String {
        let active = self.active();
        let access = &whole.request.access;
        let name = access.resource().parts().map_or("", |(_, name)| name);
        active.target_of(access).map_or_else(|| name.to_owned(), |target| headline(&target, access).text)
    }

    /// Every caller.
    #[must_use]
    pub fn callers(&self) -> Vec<CallerView> {
        let active = self.active();
        let mut all: Vec<CallerView> = active
            .callers()
            .map(|row| {
                let caller = active.people.any_caller(row.id);
                let roots = caller.map(|c| c.roots.clone()).unwrap_or_default();
                let keys = active.keys_of(row.id).filter(|k| k.revoked_at.is_none());
                let lock = active.lock(row.id, &roots, "", self.now()).cloned();
                let groups = active.groups_of_member(store::Member::Caller(row.id));
                CallerView {
                    row: row.clone(),
                    owner: caller.map(|c| c.owner.clone()).unwrap_or_default(),
                    groups: groups.into_iter().collect(),
                    keys: keys.map(|k| k.prefix.clone()).collect(),
                    lock,
                }
            })
            .collect();
        all.sort_by(|a, b| a.row.name.cmp(&b.row.name));
        all
    }

    /// Whether a role lets a person sign, in words for the page.
    #[must_use]
    pub const fn verb(role: Role) -> &'static str {
        match role {
            Role::Approver => "Approve once",
            Role::Owner => "Confirm once",
        }
    }

    /// What of one kind that is pinned a caller may be shown to exist, and what using it may take (B18).
    #[must_use]
    pub fn discover(&self, caller: &Caller, upstream: &str, kind: Kind) -> Vec<(Arc<Target>, Vec<String>)> {
        let active = self.active();
        let Some(set) = active.set.as_ref() else { return Vec::new() };
        let accepted =
            active.named(upstream, kind).filter(|target| target.pin.state == store::PinState::Accepted);
        accepted
            .filter(|target| set.may_discover(caller, &target.judged).yes())
            .map(|target| {
                let needs = set.may_need(caller, &target.judged).into_iter().map(str::to_owned);
                (Arc::clone(target), needs.collect())
            })
            .collect()
    }
}
