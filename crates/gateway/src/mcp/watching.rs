//! The resources of which a session, or one stream, is told that they change (MCP 2025-11-25, server/resources,
//! "Subscriptions"; 2026-07-28, subscriptions). Each began as an access that was permitted, and is judged anew whenever
//! something is to be told of it: what would not be permitted now ends (rfd 27). Updates are told as one, however many
//! there were.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authority::Ask;
use terms::{Kind, Slug};
use upstream::{Inert, Watch};

use super::address::Address;
use super::conversation::Conversation;
use super::envelope::Id;
use super::session::Running;
use super::stream::between;
use crate::elevations::unavailable;
use crate::enforce::{Asking, Passed, enforce};
use crate::gateway::Inner;
use crate::run::quietly;

/// What one session, or one stream, is told of.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<Vec<Watching>>>);

/// One resource that is watched.
pub(crate) struct Watching {
    /// The access that it began as.
    ask: Ask,
    conversation: Conversation,
    /// Whether that was stepped up.
    elevated: bool,
    watch: Watch,
}

impl Watching {
    pub(crate) const fn new(ask: Ask, conversation: Conversation, elevated: bool, watch: Watch) -> Self {
        Self { ask, conversation, elevated, watch }
    }

    fn upstream(&self) -> &str {
        self.ask.access.resource().upstream_name()
    }
}

impl Watches {
    fn all(&self) -> MutexGuard<'_, Vec<Watching>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    /// One more; another of the same resource is over.
    pub(crate) fn keep(&self, watching: Watching) {
        self.end(watching.upstream(), watching.watch.uri());
        self.all().push(watching);
    }

    /// One less, if it was there.
    pub(crate) fn end(&self, upstream: &str, uri: &str) {
        // Dropped when nothing is locked: its link may be asked something then.
        let mut all = self.all();
        let over: Vec<Watching> =
            all.extract_if(.., |one| one.upstream() == upstream && one.watch.uri() == uri).collect();
        drop(all);
        drop(over);
    }

    /// What of them has changed and may be told, by what it is called at this address.
    pub(crate) async fn updates(&self, inner: &Inner, at: &Address) -> Vec<String> {
        let due = |one: &mut Watching| one.watch.changed() || !one.watch.alive();
        let due: Vec<Watching> = self.all().extract_if(.., |one| due(one)).collect();
        let mut updates = Vec::new();
        for watching in due {
            // What would not be permitted now is not told, and ends.
            if !matches!(inner.authority.stands(&watching.ask, watching.elevated).await, Ok(true)) {
                continue;
            }
            let name = at.name(Kind::Resource, watching.upstream(), watching.watch.uri());
            if let Some(watching) = watching.still(inner).await {
                updates.extend(name);
                self.all().push(watching);
            }
        }
        updates
    }
}

impl Watching {
    /// The same over a link that is there: what was told over one that is gone begins anew, by the one door.
    async fn still(self, inner: &Inner) -> Option<Self> {
        if self.watch.alive() {
            return Some(self);
        }
        let Self { ask, conversation, watch, .. } = self;
        drop(watch);
        subscribe(inner, ask, conversation).await.ok()
    }
}

/// Subscribes to a resource as whoever asks for it alone: nobody waits for people.
///
/// # Errors
/// Why nothing is told of it.
pub(crate) async fn subscribe(inner: &Inner, ask: Ask, conversation: Conversation) -> Result<Watching, Slug> {
    let (mut client, _ear) = between(conversation.era(), Id::Number(0), None, Inert::default());
    let mut running = Running::alone();
    let (client, running) = (&mut client, &mut running);
    let asking = Asking { ask: &ask, back: None, round: 0, conversation, client, running, within: None };
    match enforce(inner, asking).await {
        Ok(Passed::Run(permit, link)) => {
            let elevated = permit.grant().is_some();
            let watch = quietly(inner, permit, &link).await.watch;
            let watch = watch.ok_or(Slug::UpstreamInvalid)?;
            Ok(Watching::new(ask, conversation, elevated, watch))
        }
        Ok(Passed::Challenged(..)) => Err(Slug::ApprovalRequired),
        Ok(Passed::Denied(denial)) => Err(denial.slug),
        Ok(Passed::Unreachable | Passed::Left) => Err(Slug::UpstreamUnreachable),
        Err(failed) => Err(unavailable(&failed).slug),
    }
}
