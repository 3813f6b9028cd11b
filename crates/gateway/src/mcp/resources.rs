//! `resources/list` and `resources/templates/list`: of what the upstream lists at this time, what the caller may know of.
//! Being shown allows nothing, and not being shown forbids nothing (T36).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use authority::Resources;
use axum::response::Response;
use futures_util::future::join_all;
use terms::revision::Era;
use terms::{Json, Kind, Slug};

use super::address::Address;
use super::envelope::Request;
use super::list::{cursor, page};
use super::result;
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::unavailable;
use crate::gateway::Shared;
use crate::shelf::listed;

/// How long an upstream that does not answer may keep a caller from what the others list.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn list(
    gateway: &Shared,
    known: &Known,
    (at, of): (&Address, Resources),
    era: Era,
    request: &Request,
) -> Result<Response, Refusal> {
    let after = cursor(&request.params)?;
    let rest = at.rest(gateway, after.as_deref())?;
    let said = said(gateway, at, of, &rest).await?;
    let (mut entries, mut last, mut next) = (Vec::new(), None, None);
    let mut room = gateway.settings.budgets.page;
    for ((upstream, after), all) in rest.iter().zip(said) {
        let Some(all) = all else { continue };
        if room == 0 {
            next = last;
            break;
        }
        let uris = (of, all.keys());
        let shown = gateway.authority.list_uris(&known.caller, upstream, uris, after.as_deref(), room).await;
        let shown = shown.map_err(|failed| unavailable(&failed))??;
        room = room.saturating_sub(shown.uris.len());
        entries.extend(shown.uris.iter().filter_map(|uri| named(at, of, upstream, all.get(uri)?)));
        last = shown.uris.last().map(|uri| at.cursor(upstream, uri)).or(last);
        if shown.more {
            next = last;
            break;
        }
    }
    Ok(result::listed(era, &request.id, page(row(of).0, entries, next.as_deref())))
}

/// The member of the result that has them, and theirs that names one.
const fn row(of: Resources) -> (&'static str, &'static str) {
    match of {
        Resources::Named => ("resources", "uri"),
        Resources::Templates => ("resourceTemplates", "uriTemplate"),
    }
}

/// What an upstream says of one, under the name that it has here.
fn named(at: &Address, of: Resources, upstream: &str, definition: &Json) -> Option<Json> {
    let (_, name) = row(of);
    let mut definition = definition.as_object()?.clone();
    let shown = at.name(Kind::Resource, upstream, definition.get(name)?.as_str()?)?;
    definition.insert(name, shown);
    Some(Json::Object(definition))
}

/// What each of these upstreams lists at this time. Among others, one that does not say is left out.
async fn said(
    gateway: &Shared,
    at: &Address,
    of: Resources,
    upstreams: &[(String, Option<String>)],
) -> Result<Vec<Option<Arc<BTreeMap<String, Json>>>>, Refusal> {
    let unlisted = |upstream: &str, why: &dyn Display| {
        tracing::warn!(upstream, %why, "resources cannot be listed");
    };
    match at {
        Address::One(upstream) => {
            let all = listed(gateway, upstream, of).await.map_err(|why| {
                unlisted(upstream, &why);
                Refusal::from(Slug::UpstreamUnreachable)
            })?;
            if all.is_empty() && !gateway.upstreams.has(upstream).resources {
                return Err(Slug::MethodUnknown.into());
            }
            Ok(vec![Some(all)])
        }
        Address::All => {
            let each = upstreams.iter().map(|(upstream, _)| async move {
                match tokio::time::timeout(OTHERS_WAIT, listed(gateway, upstream, of)).await {
                    Ok(Ok(all)) => Some(all),
                    Ok(Err(why)) => {
                        unlisted(upstream, &why);
                        None
                    }
                    Err(late) => {
                        unlisted(upstream, &late);
                        None
                    }
                }
            });
            Ok(join_all(each).await)
        }
    }
}
