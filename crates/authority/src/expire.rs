//! Time passes: requests whose time is over end, and denials that were only counted are recorded.

use store::{Commit, Failed};

use crate::authority::Authority;
use crate::withdraw::End;

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
            self.conclude(&mut commit, &whole.request, End::Expired);
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
            let Some(caller) = active.people.any_caller(caller) else { continue };
            let records = vec![self.many_denied(caller, active.hash, count)];
            let _ = self.commit(Commit { changes: Vec::new(), records }).await?;
        }
        Ok(())
    }
}
