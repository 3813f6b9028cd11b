//! How much a caller is told of what its calls log (MCP 2025-11-25 and 2026-07-28, logging). A level is a fact of a session,
//! or of one request; nothing is done by it to an upstream but that it is asked, in one of eight words, to say more. What
//! it says rides on a call that was permitted (rfd 25).

use axum::response::Response;
use terms::json::Object;
use terms::revision::Era;
use terms::{Json, Level, Slug};

use super::address::Address;
use super::envelope::{Request, only};
use super::result;
use super::session::Running;
use crate::answer::Refusal;
use crate::gateway::Shared;

/// The level that a value names.
///
/// # Errors
/// That it names none.
pub(super) fn level(named: &Json) -> Result<Level, Refusal> {
    let names = || Level::all().map(Level::name).collect::<Vec<_>>().join(", ");
    let none = || Refusal::because(Slug::ArgumentsInvalid, format!("a level is one of {}", names()));
    named.as_str().and_then(Level::named).ok_or_else(none)
}

/// `logging/setLevel`, of the session that it is asked in.
pub(super) fn set_level(
    gateway: &Shared,
    at: &Address,
    running: &Running,
    request: &Request,
) -> Result<Response, Refusal> {
    let logs = match at {
        Address::One(upstream) => gateway.upstreams.has(upstream).logging,
        Address::All => true,
    };
    let session = running.session().filter(|_| logs).ok_or(Slug::MethodUnknown)?;
    only(&request.params, &["level"])?;
    session.hears(level(request.params.get("level").unwrap_or(&Json::Null))?);
    Ok(result::of(Era::Legacy, &request.id, &Json::Object(Object::new())))
}
