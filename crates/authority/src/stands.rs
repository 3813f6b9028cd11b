//! Whether what was permitted once would be permitted now: for what goes on after its one run, such as being told of changes.
//! It permits nothing.

use elevation::Grant;
use policy::Judgement;
use store::Failed;
use terms::GrantId;

use crate::authority::Authority;
use crate::decide::{Ask, Case};

impl Authority {
    /// Whether an access that was permitted, after a step-up or without, would still be: its caller is one, nothing is
    /// locked, what it reaches for is what it was, and the rules say what they said. Where they ask for evidence now, only
    /// what was stepped up stands, and only for as long as that grant would be good: that it is used up ends nothing.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot say; whoever asks takes that for no.
    pub async fn stands(&self, ask: &Ask, grant: Option<GrantId>) -> Result<bool, Failed> {
        let active = self.active();
        let Some(caller) = active.people.still(&ask.caller, self.now()) else { return Ok(false) };
        let case = Case { active: &active, ask, caller, back: None };
        let Ok(said) = self.said(&case).await? else { return Ok(false) };
        Ok(match said.judgement {
            Judgement::Permit { .. } => true,
            Judgement::StepUp { .. } => match grant {
                Some(grant) => self.lasts(grant, ask).await?,
                None => false,
            },
            Judgement::Deny { .. } => false,
        })
    }

    /// Whether a grant that was spent for this access is within its time, and nobody took it back.
    async fn lasts(&self, id: GrantId, ask: &Ask) -> Result<bool, Failed> {
        let situation = self.store.standing(self.standing(ask.caller.id, &ask.access)).await?;
        let live = situation.grants.iter().map(|granted| &granted.grant);
        let now = self.now();
        let lasts = |grant: &Grant| grant.id == id && grant.revoked_at.is_none() && now < grant.not_after;
        Ok(live.chain(&situation.over).any(lasts))
    }
}
