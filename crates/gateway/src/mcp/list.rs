//! `tools/list`: what this caller may know of, as pinned, with a sentence of ours on what a call may take
//! (B18). Being shown allows nothing, and not being shown forbids nothing (T36).

use axum::response::Response;
use terms::hash::{b64url, from_b64url};
use terms::revision::Era;
use terms::{Json, Kind, Slug};

use super::envelope::{Request, only};
use super::{own, result};
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
    only(&request.params, &["cursor"])?;
    let after = match request.params.get("cursor") {
        None => None,
        Some(cursor) => Some(read(cursor).ok_or_else(|| {
            Refusal::because(Slug::ArgumentsInvalid, "the cursor is not one that was given here")
        })?),
    };
    let page = gateway.settings.budgets.page;
    let listed = gateway.authority.list(&known.caller, upstream, Kind::Tool, after.as_deref(), page).await;
    let listed = listed.map_err(|failed| unavailable(&failed))??;
    let last = listed.targets.last().map(|(tool, _)| tool.name.clone());
    let theirs = listed.targets.iter().filter(|(tool, _)| !own::is_own(&tool.name));
    let mut tools: Vec<Json> = theirs.map(|(tool, needs)| shown(&tool.pin.definition, needs)).collect();
    let mut list = terms::json::Object::new();
    if let (true, Some(last)) = (listed.more, last) {
        list.insert("nextCursor", b64url(last.as_bytes()));
    } else {
        tools.extend(own::definitions());
    }
    list.insert("tools", Json::Array(tools));
    Ok(result::listed(era, &request.id, list))
}

/// A cursor is the last name that was shown.
fn read(cursor: &Json) -> Option<String> {
    String::from_utf8(from_b64url(cursor.as_str()?)?).ok()
}

/// A definition as the upstream states it, and what calling it may take.
fn shown(definition: &Json, needs: &[String]) -> Json {
    let mut definition = definition.clone();
    if let (false, Json::Object(members)) = (needs.is_empty(), &mut definition) {
        let said = members.get("description").and_then(Json::as_str).unwrap_or_default();
        // A paragraph of its own, so that it goes on from nothing that the upstream wrote.
        let apart = if said.is_empty() { "" } else { "\n\n" };
        members.insert("description", format!("{said}{apart}May need: {}.", needs.join(", ")));
    }
    definition
}
