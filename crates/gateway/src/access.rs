//! Where an access is made, for every protocol: once, from strictly read input.

use std::sync::Arc;

use authority::{Ask, Target};
use terms::access::NotAnAccess;
use terms::json::Object;
use terms::{Access, Action, Json, Slug, UpstreamHash};

use crate::answer::Refusal;
use crate::caller::Known;
use crate::gateway::Shared;

/// What is asked for, with what its upstream takes of the caller's `_meta`. The one place where an access is made.
///
/// # Errors
/// [`NotAnAccess`] when what the caller sent cannot be one.
pub(crate) fn access(
    gateway: &Shared,
    known: &Known,
    (action, target): (Action, &Target),
    identity: UpstreamHash,
    arguments: Json,
    mut meta: Object,
) -> Result<Ask, NotAnAccess> {
    let resource = target.resource(identity);
    let (subject, secrets) = (known.caller.subject(), &target.settings.secrets);
    let seal = gateway.authority.seal_key();
    let (access, secrets) = Access::new(subject, action.name(), resource, arguments, secrets, seal)?;
    meta.retain(|member| gateway.upstreams.takes(&target.upstream, member));
    Ok(Ask {
        caller: Arc::clone(&known.caller),
        access: access.with_meta(meta)?,
        secrets,
        source: known.source.clone(),
        purpose: None,
        ticket: None,
        once: None,
    })
}

/// How that is told.
pub(crate) fn not_an_access(why: &NotAnAccess) -> Refusal {
    let slug = match why {
        NotAnAccess::Name(_) => Slug::NotCanonical,
        NotAnAccess::NotAnObject | NotAnAccess::Sealed(_) => Slug::ArgumentsInvalid,
    };
    Refusal::because(slug, why.to_string())
}
