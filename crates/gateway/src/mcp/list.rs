//! `tools/list`: what this caller may know of, as pinned, with a sentence of ours on what a call may take
//! (B18). Being shown allows nothing, and not being shown forbids nothing (T36).

use axum::response::Response;
use terms::hash::{b64url, from_b64url};
use terms::json::Object;
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
    let after = cursor(&request.params)?;
    let most = gateway.settings.budgets.page;
    let listed = gateway.authority.list(&known.caller, upstream, Kind::Tool, after.as_deref(), most).await;
    let listed = listed.map_err(|failed| unavailable(&failed))??;
    let last = listed.targets.last().map(|(tool, _)| tool.name.clone());
    let theirs = listed.targets.iter().filter(|(tool, _)| !own::is_own(&tool.name));
    let mut tools: Vec<Json> = theirs.map(|(tool, needs)| shown(&tool.pin.definition, needs)).collect();
    let last = last.filter(|_| listed.more);
    if last.is_none() {
        tools.extend(own::definitions());
    }
    Ok(result::listed(era, &request.id, page("tools", tools, last.as_deref())))
}

/// One page of a list, and where it goes on.
pub(super) fn page(member: &str, entries: Vec<Json>, last: Option<&str>) -> Object {
    let mut page = Object::new();
    if let Some(last) = last {
        page.insert("nextCursor", b64url(last.as_bytes()));
    }
    page.insert(member, Json::Array(entries));
    page
}

/// Where a list goes on, of parameters that have nothing else.
pub(super) fn cursor(params: &Object) -> Result<Option<String>, Refusal> {
    only(params, &["cursor"])?;
    let Some(cursor) = params.get("cursor") else { return Ok(None) };
    let invalid = || Refusal::because(Slug::ArgumentsInvalid, "the cursor is not one that was given here");
    read(cursor).map(Some).ok_or_else(invalid)
}

/// A cursor is the last name that was shown.
fn read(cursor: &Json) -> Option<String> {
    String::from_utf8(from_b64url(cursor.as_str()?)?).ok()
}

/// A definition as the upstream states it, and what calling it may take.
pub(super) fn shown(definition: &Json, needs: &[String]) -> Json {
    let mut definition = definition.clone();
    if let (false, Json::Object(members)) = (needs.is_empty(), &mut definition) {
        let said = members.get("description").and_then(Json::as_str).unwrap_or_default();
        // A paragraph of its own, so that it goes on from nothing that the upstream wrote.
        let apart = if said.is_empty() { "" } else { "\n\n" };
        members.insert("description", format!("{said}{apart}May need: {}.", needs.join(", ")));
    }
    definition
}
