//! A refusal and its record. Above a caller's budget its denials are only counted: one record a minute tells how
//! many (R19).

use std::sync::Arc;

use audit::body::{self, Arguments, Who, logged};
use audit::record::{Record, Refs};
use store::{Commit, Failed};
use terms::{Caller, PolicyHash, RecordId, Slug};

use crate::authority::Authority;
use crate::decide::{Ask, Case, Tried};
use crate::denials::Noted;
use crate::ruling::{Denial, Ruling};

impl Authority {
    /// A denial is recorded within the caller's budget; a store that cannot record denies all the same.
    pub(crate) async fn denied(
        &self,
        case: &Case<'_>,
        denial: Denial,
        by: &[String],
    ) -> Result<Tried, Failed> {
        self.deny(case, denial, by).await.map(Tried::Ruled)
    }

    /// Refuses an access that was not decided on, for what came with it. It is recorded as any denial.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot record; nothing runs either way.
    pub async fn deny_unjudged(&self, ask: &Ask, slug: Slug) -> Result<Denial, Failed> {
        let active = self.active();
        let case = Case { active: &active, ask, caller: Arc::clone(&ask.caller), back: None };
        match self.deny(&case, Denial::of(slug), &[]).await? {
            Ruling::Denied(denial) => Ok(denial),
            Ruling::Permitted(_) | Ruling::Challenged(_) => Ok(Denial::of(slug)),
        }
    }

    /// Refuses what did not become an access, since it could not be read or says two things (R2). Recorded as any denial;
    /// `None` where it is only counted.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot record; nothing runs either way.
    pub async fn deny_unread(
        &self,
        caller: &Caller,
        source: &str,
        slug: Slug,
    ) -> Result<Option<RecordId>, Failed> {
        let policy = self.active().hash;
        let refs = Refs { caller: Some(caller.id), policy: Some(policy), ..Refs::default() };
        let body = || body::Denied {
            caller: Who::of(caller, source),
            access: None,
            access_hash: None,
            by: Vec::new(),
            slug: slug.to_string(),
            why: None,
            count: 1,
        };
        self.record_denial(caller, policy, refs, body).await
    }

    pub(crate) async fn deny(
        &self,
        case: &Case<'_>,
        denial: Denial,
        by: &[String],
    ) -> Result<Ruling, Failed> {
        let refs = Refs { attempt: denial.attempt, ..case.refs() };
        let body = || body::Denied {
            caller: Who::of(&case.caller, &case.ask.source),
            access: Some(logged(&case.ask.access, Arguments::Full)),
            access_hash: Some(case.ask.access.hash()),
            by: by.to_vec(),
            slug: denial.slug.to_string(),
            why: denial.why.clone(),
            count: 1,
        };
        let record = self.record_denial(&case.caller, case.active.hash, refs, body).await?;
        Ok(Ruling::Denied(Denial { record, ..denial }))
    }

    /// Records a denial within its caller's budget; `None` where it is only counted.
    async fn record_denial(
        &self,
        caller: &Caller,
        policy: PolicyHash,
        refs: Refs,
        body: impl FnOnce() -> body::Denied,
    ) -> Result<Option<RecordId>, Failed> {
        let Noted::Record { besides } = self.denials.note(caller.id, self.now()) else {
            return Ok(None);
        };
        let record = self.record(refs, &body());
        let id = record.id;
        let mut commit = Commit { changes: Vec::new(), records: vec![record] };
        if besides > 0 {
            commit.records.push(self.many_denied(caller, policy, besides));
        }
        Ok(self.commit(commit).await?.is_ok().then_some(id))
    }

    /// The record of denials that got none of their own.
    pub(crate) fn many_denied(&self, caller: &Caller, policy: PolicyHash, count: u32) -> Record {
        let refs = Refs { caller: Some(caller.id), policy: Some(policy), ..Refs::default() };
        let body = body::Denied {
            caller: Who::of(caller, ""),
            access: None,
            access_hash: None,
            by: Vec::new(),
            slug: "over_budget".to_owned(),
            why: None,
            count,
        };
        self.record(refs, &body)
    }
}
