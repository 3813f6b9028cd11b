//! Taking grants back: a session or the operator's own account is enough.

use audit::body;
use audit::record::Refs;
use store::{Change, Commit, Failed, Selector};
use terms::GrantId;

use crate::authority::Authority;

impl Authority {
    /// Takes grants back now. Answers how many were live.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn revoke(&self, what: Selector, by: String, why: String) -> Result<u32, Failed> {
        let grants: Vec<GrantId> = if let Selector::Grant(id) = what { vec![id] } else { Vec::new() };
        let caller = if let Selector::Caller(id) = what { Some(id) } else { None };
        let refs = Refs { caller, grant: grants.first().copied(), ..Refs::default() };
        let record = self.record(refs, &body::Revoked { grants, by, why });
        let answer =
            self.commit(Commit { changes: vec![Change::Revoke(what)], records: vec![record] }).await?;
        self.watch.changed();
        Ok(answer.map_or(0, |receipt| receipt.revoked))
    }
}
