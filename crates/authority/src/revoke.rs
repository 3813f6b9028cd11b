//! Taking grants back: a session or the operator's own account is enough.

use audit::body;
use audit::record::Refs;
use elevation::{Conclusion, GrantState, State};
use store::{Change, Commit, Failed, Listing, Refused, Selector};
use terms::{CallerId, GrantId};

use crate::authority::Authority;

impl Authority {
    /// Takes grants back, and answers how many were live, once no permit is left that was made of one before.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn revoke(&self, what: Selector, by: String, why: String) -> Result<u32, Failed> {
        let (caller, grants) = match what {
            Selector::Grant(id) => (None, vec![id]),
            Selector::Caller(id) => (Some(id), self.live_grants(id).await?),
        };
        let only = if let Selector::Grant(id) = what { Some(id) } else { None };
        let refs = Refs { caller, grant: only, ..Refs::default() };
        let record = self.record(refs, &body::Revoked { grants, by, why });
        let answer =
            self.commit(Commit { changes: vec![Change::Revoke(what)], records: vec![record] }).await?;
        self.watch.changed();
        match answer {
            Ok(receipt) => {
                self.quiet().await;
                Ok(receipt.revoked)
            }
            Err(Refused::Missing) => Ok(0),
            Err(refused) => Err(Failed { doing: "revoking", because: refused.to_string() }),
        }
    }

    /// The grants that a caller could spend now: what the record of their revocation names.
    pub(crate) async fn live_grants(&self, caller: CallerId) -> Result<Vec<GrantId>, Failed> {
        let approved = Listing {
            state: Some(State::Concluded(Conclusion::Approved)),
            caller: Some(caller),
            before: None,
            limit: 1000,
        };
        let now = self.now();
        let grants = self.store.elevations(approved).await?.into_iter().filter_map(|whole| whole.grant);
        Ok(grants.filter(|grant| grant.state(now) == GrantState::Live).map(|grant| grant.id).collect())
    }
}
