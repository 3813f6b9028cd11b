//! Who was told that it may run something says how that ended. It is its word, and only of its own.

use audit::body;
use audit::record::Refs;
use elevation::Outcome;
use store::{Change, Commit, Failed, Refused};
use terms::{AttemptId, Caller, Millis, Slug, text};

use crate::authority::Authority;

/// Characters that it may say beyond the outcome.
const LONGEST: usize = 200;

/// How often it is looked whether that it was released is written, and the pause before.
const LOOKS: usize = 40;
const PAUSE: Millis = Millis::new(25);

impl Authority {
    /// Records how an attempt ended that was released to this caller.
    ///
    /// # Errors
    /// [`Failed`] when the store does; a slug when it is not this caller's, was not released, or was reported before.
    pub async fn report(
        &self,
        caller: &Caller,
        attempt: AttemptId,
        outcome: Outcome,
        says: Option<&str>,
    ) -> Result<Result<(), Slug>, Failed> {
        let mut known = self.store.attempt(attempt).await?.filter(|known| known.caller == caller.id);
        // That it was released is written a moment after it was told; others end all the time, so that the queue may never be empty.
        for _ in 0..LOOKS {
            if known.as_ref().is_none_or(|known| known.outcome.is_some()) {
                break;
            }
            tokio::time::sleep(PAUSE.duration()).await;
            known = self.store.attempt(attempt).await?;
        }
        if known.is_none() || !matches!(outcome, Outcome::Done | Outcome::Failed) {
            return Ok(Err(Slug::AttemptUnknown));
        }
        let says = says.map(|says| text::visible(says).chars().take(LONGEST).collect());
        let refs = Refs { caller: Some(caller.id), attempt: Some(attempt), ..Refs::default() };
        let commit = Commit {
            changes: vec![Change::Report { attempt, outcome }],
            records: vec![self.record(refs, &body::Reported { outcome, says })],
        };
        match self.commit(commit).await? {
            Ok(_) => {
                self.watch.changed();
                Ok(Ok(()))
            }
            Err(Refused::Full) => Ok(Err(Slug::StoreUnavailable)),
            Err(_) => Ok(Err(Slug::AttemptUnknown)),
        }
    }
}
