//! `tools/list`: what this caller may know of, as pinned, with a sentence of ours on what a call may take
//! (B18). Being shown allows nothing, and not being shown forbids nothing (T36).

use axum::response::Response;
use terms::hash::{b64url, from_b64url};
use terms::json::Object;
use terms::revision::Era;
use terms::{Json, Kind};
use upstream::Listing;

use super::address::{Address, not_given};
use super::envelope::{Request, only};
use super::{own, result};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::unavailable;
use crate::gateway::Shared;

pub(super) async fn list(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    era: Era,
    request: &Request,
) -> Result<Response, Refusal> {
    let Pinned { entries: mut tools, next } = pinned(gateway, known, at, (Kind::Tool, era), request).await?;
    if next.is_none() {
        tools.extend(own::definitions());
    }
    Ok(result::listed(era, &request.id, page("tools", tools, next.as_deref())))
}

/// A page of what is pinned.
pub(super) struct Pinned {
    pub(super) entries: Vec<Json>,
    /// Where it goes on.
    pub(super) next: Option<String>,
}

/// One page of the tools or prompts that a caller may know of at an address, upstream after upstream. What is pinned is
/// shown whether or not its upstream can be reached, but for what clients of the era would refuse the whole list for.
pub(super) async fn pinned(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    (kind, era): (Kind, Era),
    request: &Request,
) -> Result<Pinned, Refusal> {
    let after = cursor(&request.params)?;
    let (mut entries, mut last) = (Vec::new(), None);
    let mut room = gateway.settings.budgets.page;
    let listing = if kind == Kind::Tool { Listing::Tools } else { Listing::Prompts };
    for (upstream, after) in at.rest(gateway, after.as_deref())? {
        if room == 0 {
            return Ok(Pinned { entries, next: last });
        }
        let listed = gateway.authority.list(&known.caller, &upstream, kind, after.as_deref(), room).await;
        let listed = listed.map_err(|failed| unavailable(&failed))??;
        room = room.saturating_sub(listed.targets.len());
        for (target, needs) in &listed.targets {
            last = Some(at.cursor(&upstream, &target.name));
            let (ours, definition) =
                (kind == Kind::Tool && own::is_own(&target.name), &target.pin.definition);
            let taken = !ours && upstream::fits(listing, era, definition).is_ok();
            if let Some(name) = at.name(kind, &upstream, &target.name).filter(|_| taken) {
                entries.push(shown(definition, name, needs));
            }
        }
        if listed.more {
            return Ok(Pinned { entries, next: last });
        }
    }
    Ok(Pinned { entries, next: None })
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
    read(cursor).map(Some).ok_or_else(not_given)
}

/// A cursor is the last name that was shown.
fn read(cursor: &Json) -> Option<String> {
    String::from_utf8(from_b64url(cursor.as_str()?)?).ok()
}

/// A definition as the upstream states it, under the name that it has here, and what calling it may take.
fn shown(definition: &Json, name: String, needs: &[String]) -> Json {
    let mut definition = definition.clone();
    let Json::Object(members) = &mut definition else { return definition };
    members.insert("name", name);
    if !needs.is_empty() {
        let said = members.get("description").and_then(Json::as_str).unwrap_or_default();
        // A paragraph of its own, so that it goes on from nothing that the upstream wrote.
        let apart = if said.is_empty() { "" } else { "\n\n" };
        members.insert("description", format!("{said}{apart}May need: {}.", needs.join(", ")));
    }
    definition
}
