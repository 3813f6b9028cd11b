//! What upstreams are and say of themselves, looked at when stepup starts, when they say that it has changed, when their
//! files have, and after a while in any case: not every upstream says so. What it means is for `authority` to say: what
//! is new or changed is stopped.

use std::sync::{Arc, Weak};
use std::time::Duration;

use authority::{Failed, Stated};
use terms::Json;
use upstream::{Definition, Listing, Unreachable};

use crate::gateway::Inner;

/// Why an upstream's pins are as they were.
#[derive(Debug, thiserror::Error)]
pub enum NotPinned {
    /// It cannot be asked.
    #[error("the upstream cannot be asked: {0}")]
    Unreachable(#[from] Unreachable),
    /// What it says cannot be kept.
    #[error("the pins cannot be kept: {0}")]
    Failed(#[from] Failed),
}

/// The first and the longest wait after an upstream could not be asked; it doubles between. The first one is also the
/// shortest between two looks: who says all the time that its list has changed, or ends after each, is not asked faster.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Looks at an upstream now.
pub(crate) async fn repin(inner: &Inner, upstream: &str) -> Result<(), NotPinned> {
    attach(inner, upstream).await?;
    let tools = inner.upstreams.list_tools(upstream).await?;
    // Whoever cannot list its prompts has tools all the same.
    let prompts = inner.upstreams.list(upstream, Listing::Prompts).await;
    let prompts =
        prompts.inspect_err(|why| tracing::warn!(upstream, %why, "its prompts cannot be listed")).ok();
    let stated = Stated { tools: definitions(tools), prompts: prompts.map(definitions) };
    let observed = inner.authority.observe(upstream, stated).await?;
    if observed.pinned > 0 {
        tracing::info!(upstream, definitions = observed.pinned, "pinned at first contact");
    }
    if !observed.quarantined.is_empty() {
        let stopped = observed.quarantined.len();
        tracing::warn!(
            upstream,
            stopped,
            "definitions are new or have changed; they are stopped until accepted"
        );
    }
    Ok(())
}

fn definitions(stated: Vec<Definition>) -> Vec<Json> {
    stated.into_iter().map(|stated| stated.definition).collect()
}

/// Makes sure that decisions know the upstream as it is now: another program is another upstream (T19).
pub(crate) async fn attach(inner: &Inner, upstream: &str) -> Result<(), Unreachable> {
    let identity = inner.upstreams.identity(upstream).await?;
    if inner.authority.upstream(upstream).is_none_or(|known| known.identity != identity) {
        inner.authority.attach(authority::Upstream { name: upstream.to_owned(), identity });
    }
    Ok(())
}

/// Looks at an upstream at start, whenever its list may have changed, and when it was not looked at for as long as is
/// configured. While it cannot be asked, its pins stay, and calls to it are told so.
pub(crate) async fn follow(inner: Weak<Inner>, upstream: String) {
    let of = |inner: Arc<Inner>| inner.upstreams.changes(&upstream).zip(inner.upstreams.relist(&upstream));
    let Some((mut changes, relist)) = inner.upgrade().and_then(of) else { return };
    let mut wait = FIRST_WAIT;
    loop {
        changes.mark_unchanged();
        let Some(here) = inner.upgrade() else { return };
        let looked = repin(&here, &upstream).await;
        drop(here);
        match looked {
            Ok(()) => {
                wait = FIRST_WAIT;
                tokio::time::sleep(FIRST_WAIT).await;
                let rest = relist.duration().saturating_sub(FIRST_WAIT);
                match tokio::time::timeout(rest, changes.changed()).await {
                    Ok(Ok(())) | Err(_) => {} // it says so, or was long not asked
                    Ok(Err(_)) => return,
                }
            }
            Err(why) => {
                tracing::warn!(upstream, %why, "an upstream could not be looked at; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
