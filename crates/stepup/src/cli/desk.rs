//! The desk: where verbs are done, and as whom.

use std::sync::Arc;

use audit::CheckpointKey;
use authority::{Authority, By, Failed};

use crate::config::Config;

/// What verbs work with.
pub struct Desk {
    /// The policy administrator.
    pub authority: Arc<Authority>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Signs checkpoints of the log.
    pub signer: Arc<CheckpointKey>,
    /// The public key of the log.
    pub log_key: String,
    /// In whose name: the account of whoever runs the command, and what they say beside it.
    pub by: By,
}

impl Desk {
    /// The same desk in another's name.
    #[must_use]
    pub fn in_the_name_of(&self, by: By) -> Self {
        Self {
            authority: Arc::clone(&self.authority),
            config: Arc::clone(&self.config),
            signer: Arc::clone(&self.signer),
            log_key: self.log_key.clone(),
            by,
        }
    }

    /// Signs the log as it is now, unless it is signed already.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn checkpoint(&self) -> Result<(), Failed> {
        let store = self.authority.store();
        let head = store.head().await?;
        let last = store.last_checkpoint().await?;
        if head.size == 0 || last.is_some_and(|(signed, _)| signed.size == head.size) {
            return Ok(());
        }
        let note = self.signer.checkpoint(audit::tree::Head { size: head.size, root: head.root });
        store.checkpoint(head, note.clone()).await?;
        let config = Arc::clone(&self.config);
        let keeping = tokio::task::spawn_blocking(move || crate::head::keep(&config.keys, &note));
        let kept = keeping.await.map_err(|error| error.to_string());
        let kept = kept.and_then(|kept| kept.map_err(|error| error.to_string()));
        if let Err(error) = kept {
            // The one before it stays: a store that is older than that is refused still.
            tracing::error!(%error, "the newest head of the log is not kept outside of the store");
        }
        Ok(())
    }

    /// A page for people.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.config.people.listener.public_url)
    }
}

/// A kind of thing that is named on the command line.
pub struct Kind {
    one: &'static str,
    listed: &'static str,
}

impl Kind {
    /// Where those that there are can be seen.
    #[must_use]
    pub const fn listed(&self) -> &'static str {
        self.listed
    }
}

/// Callers.
pub const CALLER: Kind = Kind { one: "caller", listed: "see `stepup caller list`" };
/// People.
pub const HUMAN: Kind = Kind { one: "person", listed: "see `stepup human list`" };
/// Passkeys of one person.
pub const PASSKEY: Kind = Kind { one: "passkey", listed: "see `stepup human passkeys NAME`" };
/// Requests for approval.
pub const REQUEST: Kind = Kind { one: "request", listed: "see `stepup requests list --all`" };
/// Grants.
pub const GRANT: Kind = Kind { one: "grant", listed: "see `stepup grants list`" };
/// Tools of upstreams.
pub const TOOL: Kind = Kind { one: "tool", listed: "see `stepup upstream list`" };
/// Revisions of policy.
pub const REVISION: Kind = Kind { one: "revision", listed: "see `stepup policy history`" };
/// Locks in force.
pub const LOCK: Kind = Kind { one: "lock", listed: "see `stepup lock list`" };

/// The one of many whose id or name begins with what was typed.
pub fn pick<'a, T>(
    kind: &Kind,
    typed: &str,
    all: impl IntoIterator<Item = &'a T>,
    names: impl Fn(&T) -> Vec<String>,
) -> Result<&'a T, super::Said> {
    let mut fitting: Vec<&T> = Vec::new();
    for one in all.into_iter().filter(|_| !typed.is_empty()) {
        let names = names(one);
        if names.iter().any(|name| name == typed) {
            return Ok(one);
        }
        if names.iter().any(|name| name.starts_with(typed)) {
            fitting.push(one);
        }
    }
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => Err(super::Said::failed(format!("there is no {} {typed:?}", kind.one), kind.listed)),
        many => Err(super::Said::failed(
            format!("{typed:?} is the beginning of more than one {}: {}", kind.one, many.len()),
            "type more of it",
        )),
    }
}
