//! What a caller says beside its access: why, and under which ticket. Claims, shown to people as such; bounded,
//! and once said they stay, because people sign what they saw.

use elevation::{Eligible, Pending, State};
use store::{Change, Commit, Failed};
use terms::{Caller, ElevationId, Slug, Tree, claim};

use crate::authority::Authority;
use crate::decide::{TRIES, evidence};
use crate::leaves::weighed;

/// The longest purpose and the longest ticket, in characters.
const PURPOSE: usize = 1000;
const TICKET: usize = 200;

/// What a caller says, if it says something that a person would see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) purpose: Option<String>,
    pub(crate) ticket: Option<String>,
}

impl Claims {
    pub(crate) fn of(purpose: Option<&str>, ticket: Option<&str>) -> Result<Self, Slug> {
        let said = |text: Option<&str>, longest: usize| {
            let seen = text.filter(|text| claim::says_something(text));
            match seen {
                Some(long) if long.chars().count() > longest => Err(Slug::ArgumentsInvalid),
                seen => Ok(seen.map(str::to_owned)),
            }
        };
        Ok(Self { purpose: said(purpose, PURPOSE)?, ticket: said(ticket, TICKET)? })
    }
}

impl Authority {
    /// Adds what a caller says to one of its requests that waits. What was said stays said.
    ///
    /// # Errors
    /// [`Failed`] when the store does; a slug when it is not this caller's or waits no more, or says too much.
    pub async fn say(
        &self,
        caller: &Caller,
        id: ElevationId,
        purpose: Option<String>,
        ticket: Option<String>,
    ) -> Result<Result<(), Slug>, Failed> {
        let claims = match Claims::of(purpose.as_deref(), ticket.as_deref()) {
            Ok(claims) => claims,
            Err(slug) => return Ok(Err(slug)),
        };
        for _ in 0..TRIES {
            let whole = self.store.elevation(id).await?.filter(|w| w.request.caller == caller.id);
            let Some(whole) = whole else { return Ok(Err(Slug::ElevationUnknown)) };
            if whole.state != State::Pending || whole.request.expires_at <= self.now() {
                return Ok(Err(Slug::StateInvalid));
            }
            if self.add(claims.clone(), whole.request).await?.is_some() {
                return Ok(Ok(()));
            }
        }
        Ok(Err(Slug::Busy))
    }

    /// Adds what is new to a request that waits. `None` when something changed meanwhile.
    pub(crate) async fn add(&self, claims: Claims, mut pending: Pending) -> Result<Option<Pending>, Failed> {
        let purpose = claims.purpose.filter(|_| pending.purpose.is_none());
        let ticket = claims.ticket.filter(|_| pending.ticket.is_none() || ticket_unfit(&pending));
        if purpose.is_none() && ticket.is_none() {
            return Ok(Some(pending));
        }
        let (id, expects) = (pending.id, pending.version);
        pending.purpose = purpose.clone().or(pending.purpose);
        pending.ticket = ticket.clone().or(pending.ticket);
        pending.version.0 += 1;
        let change = Change::Claims { id, purpose, ticket, expects };
        let added = self.commit(Commit { changes: vec![change], records: Vec::new() }).await?.is_ok();
        self.watch.changed();
        Ok(added.then_some(pending))
    }
}

/// Whether a ticket was named that is not one: it may be corrected, as long as nobody has signed.
fn ticket_unfit(pending: &Pending) -> bool {
    let nobody = Eligible::default();
    let leaves = weighed(&pending.requirement, &evidence(pending), &nobody, pending.opened_at);
    pending.votes.is_empty()
        && leaves.iter().any(|leaf| matches!(leaf.leaf, Tree::Ticket { .. }) && !leaf.met())
}
