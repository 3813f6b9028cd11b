//! `prompts/list`: what this caller may know of, as pinned, with a sentence of ours on what getting it may take (B18).

use axum::response::Response;
use terms::revision::Era;
use terms::{Json, Kind, Slug};

use super::envelope::Request;
use super::list::{cursor, page, shown};
use super::result;
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::unavailable;
use crate::gateway::Shared;

pub(super) async fn list(
    gateway: &Shared,
    known: &Known,
    upstream: &str,
    era: Era,
    request: &Request,
) -> Result<Response, Refusal> {
    let after = cursor(&request.params)?;
    if gateway.authority.active().named(upstream, Kind::Prompt).next().is_none()
        && !gateway.upstreams.has(upstream).prompts
    {
        return Err(Slug::MethodUnknown.into());
    }
    let most = gateway.settings.budgets.page;
    let listed = gateway.authority.list(&known.caller, upstream, Kind::Prompt, after.as_deref(), most).await;
    let listed = listed.map_err(|failed| unavailable(&failed))??;
    let last = listed.targets.last().map(|(prompt, _)| prompt.name.clone()).filter(|_| listed.more);
    let prompts: Vec<Json> =
        listed.targets.iter().map(|(prompt, needs)| shown(&prompt.pin.definition, needs)).collect();
    Ok(result::listed(era, &request.id, page("prompts", prompts, last.as_deref())))
}
