//! Time passes: requests whose time is over end, and denials that were only counted are recorded.

use audit::body;
use audit::record::Refs;
use elevation::Conclusion;
use store::{Commit, Failed};

use crate::authority::Authority;

/// Requests that end in one sweep at most; the next sweep goes on.
const SWEEP: u32 = 256;

impl Authority {
    /// One sweep. Answers how many requests it ended.
    ///
    /// # Errors
    /// [`Failed`] when the store does; the next sweep tries again.
    pub async fn expire(&self) -> Result<usize, Failed> {
        let due = self.store.due(SWEEP).await?;
        let mut ended = 0;
        for (id, version) in due {
            let Some(whole) = self.store.elevation(id).await? else { continue };
            if whole.request.version != version {
                continue;
            }
            let mut commit = Commit::default();
            self.conclude(&mut commit, &whole.request, Conclusion::Expired, None, None);
            ended += usize::from(self.commit(commit).await?.is_ok());
            self.watch.wake(id);
        }
        self.record_counted().await?;
        Ok(ended)
    }

    /// One record for each caller whose last minute had denials without a record of their own.
    async fn record_counted(&self) -> Result<(), Failed> {
        let active = self.active();
        for (caller, count) in self.denials.overdue(self.now()) {
            let Some(who) = active.caller(caller) else { continue };
            let refs = Refs { caller: Some(caller), policy: Some(active.hash), ..Refs::default() };
            let record = body::Denied {
                caller: body::Who::of(&who, ""),
                access: None,
                access_hash: None,
                by: Vec::new(),
                slug: "over_budget".to_owned(),
                why: None,
                count,
            };
            let commit = Commit { changes: Vec::new(), records: vec![self.record(refs, &record)] };
            let _ = self.commit(commit).await?;
        }
        Ok(())
    }
}
