//! `resources/list` and `resources/templates/list`: of what the upstream lists at this time, what the caller may know of.
//! Being shown allows nothing, and not being shown forbids nothing (T36).

use std::collections::BTreeSet;

use authority::Resources;
use axum::response::Response;
use terms::revision::Era;
use terms::{Json, Slug};

use super::envelope::Request;
use super::list::{cursor, page};
use super::result;
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::unavailable;
use crate::gateway::Shared;
use crate::shelf::listed;

pub(super) async fn list(
    gateway: &Shared,
    known: &Known,
    (upstream, of): (&str, Resources),
    era: Era,
    request: &Request,
) -> Result<Response, Refusal> {
    let after = cursor(&request.params)?;
    let all = listed(gateway, upstream, of).await.map_err(|why| {
        tracing::warn!(upstream, %why, "resources cannot be listed");
        Refusal::from(Slug::UpstreamUnreachable)
    })?;
    if all.is_empty() && !gateway.upstreams.has(upstream).resources {
        return Err(Slug::MethodUnknown.into());
    }
    let uris: BTreeSet<String> = all.keys().cloned().collect();
    let most = gateway.settings.budgets.page;
    let shown =
        gateway.authority.list_uris(&known.caller, upstream, (of, &uris), after.as_deref(), most).await;
    let shown = shown.map_err(|failed| unavailable(&failed))??;
    let member = match of {
        Resources::Named => "resources",
        Resources::Templates => "resourceTemplates",
    };
    let definitions: Vec<Json> = shown.uris.iter().filter_map(|uri| all.get(uri).cloned()).collect();
    let last = shown.uris.last().filter(|_| shown.more);
    Ok(result::listed(era, &request.id, page(member, definitions, last.map(String::as_str))))
}
