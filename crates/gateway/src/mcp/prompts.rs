//! `prompts/list`: what this caller may know of, as pinned, with a sentence of ours on what getting it may take (B18).

use axum::response::Response;
use terms::revision::Era;
use terms::{Kind, Slug};

use super::address::Address;
use super::envelope::Request;
use super::list::{Pinned, page, pinned};
use super::result;
use crate::answer::Refusal;
use crate::caller::Known;
use crate::gateway::Shared;

pub(super) async fn list(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    era: Era,
    request: &Request,
) -> Result<Response, Refusal> {
    if let Address::One(upstream) = at
        && gateway.authority.active().named(upstream, Kind::Prompt).next().is_none()
        && !gateway.upstreams.has(upstream).prompts
    {
        return Err(Slug::MethodUnknown.into());
    }
    let Pinned { entries, next } = pinned(gateway, known, at, (Kind::Prompt, era), request).await?;
    Ok(result::listed(era, &request.id, page("prompts", entries, next.as_deref())))
}
