//! The resources of which a session, or one stream, is told that they change (MCP 2025-11-25, server/resources,
//! "Subscriptions"; 2026-07-28, subscriptions). Each began as an access that was permitted, and is judged anew whenever
//! something is to be told of it: what would not be permitted now ends (rfd 27). Updates are told as one, however many
//! there were. What was told over a link that is gone, or was ended by its upstream, is begun anew by the one door.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authority::{Ask, Challenge};
use terms::json::Object;
use terms::{Boottime, GrantId, Kind, Millis, Slug};
use upstream::{Forwarded, Inert, Watch};

use super::address::Address;
use super::asking::{Asking, Passed, at_once};
use super::conversation::Conversation;
use super::envelope::Id;
use super::session::Running;
use super::stream::between;
use crate::caller::Place;
use crate::elevations::unavailable;
use crate::gateway::Inner;
use crate::run::quietly;
use crate::settings::Settings;
use crate::told;

/// How long after it began what is over is begun anew, at least: the next time twice as long after, and at most that, until
/// one holds for that long.
const SOONEST: Millis = Millis::seconds(1);
const LATEST: Millis = Millis::seconds(5 * 60);

/// What one session, or one stream, is told of.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    kept: Vec<Watching>,
    /// Those that are just judged, by upstream and URI. Who ends one takes it out.
    judged: Vec<(String, String)>,
}

/// One resource that is watched.
pub(crate) struct Watching {
    /// The access that it began as.
    ask: Ask,
    conversation: Conversation,
    /// What was spent for that, where it was stepped up.
    grant: Option<GrantId>,
    watch: Watch,
    /// When it began, and how long after that it may begin anew.
    began: Boottime,
    again: Millis,
    /// Whether something of it was not told yet.
    untold: bool,
    /// Its place in the caller's budget.
    place: Option<Place>,
}

impl Watching {
    pub(crate) fn new(
        inner: &Inner,
        (ask, conversation): (Ask, Conversation),
        grant: Option<GrantId>,
        watch: Watch,
    ) -> Self {
        let began = inner.authority.ambient().boottime();
        let place = inner.load.watch(ask.caller.id).ok();
        Self { ask, conversation, grant, watch, began, again: SOONEST, untold: false, place }
    }

    fn upstream(&self) -> &str {
        self.ask.access.resource().upstream_name()
    }

    fn names(&self) -> (String, String) {
        (self.upstream().to_owned(), self.watch.uri().to_owned())
    }

    /// Whether something is to be told of it, or to be done about it.
    fn is_due(&mut self, now: Boottime) -> bool {
        self.untold |=
            if self.watch.alive() { self.watch.changed() } else { now.since(self.began) >= self.again };
        self.untold
    }
}

impl Watches {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; another of the same resource is over.
    pub(crate) fn keep(&self, watching: Watching) {
        self.end(watching.upstream(), watching.watch.uri());
        self.all().kept.push(watching);
    }

    /// One less, if it was there.
    pub(crate) fn end(&self, upstream: &str, uri: &str) {
        // Dropped when nothing is locked: its link may be asked something then.
        let mut all = self.all();
        all.judged.retain(|one| (one.0.as_str(), one.1.as_str()) != (upstream, uri));
        let is_it = |one: &mut Watching| one.upstream() == upstream && one.watch.uri() == uri;
        let over: Vec<Watching> = all.kept.extract_if(.., is_it).collect();
        drop(all);
        drop(over);
    }

    /// What of them has changed and may be told, by what it is called at this address.
    pub(crate) async fn updates(&self, inner: &Inner, at: &Address) -> Vec<String> {
        let mut updates = Vec::new();
        let mut judging = self.due(inner.authority.ambient().boottime());
        while let Some(watching) = judging.due.last_mut() {
            let name = at.name(Kind::Resource, watching.upstream(), watching.watch.uri());
            let (told, goes_on) = judged(inner, watching).await;
            watching.untold = false;
            // Who ended it meanwhile is told of nothing any more.
            let wanted = judging.due.pop().is_some_and(|watching| self.back(watching, goes_on));
            updates.extend(name.filter(|_| wanted && told));
        }
        updates
    }

    /// Those that are to be judged now.
    fn due(&self, now: Boottime) -> Judging<'_> {
        let mut all = self.all();
        let due: Vec<Watching> = all.kept.extract_if(.., |one| one.is_due(now)).collect();
        all.judged.extend(due.iter().map(Watching::names));
        drop(all);
        Judging { watches: self, due }
    }

    /// One that was taken out to be judged is put back, if it goes on; whether nobody ended it meanwhile.
    fn back(&self, watching: Watching, goes_on: bool) -> bool {
        let mut all = self.all();
        let names = watching.names();
        let Some(place) = all.judged.iter().position(|one| *one == names) else { return false };
        all.judged.swap_remove(place);
        if goes_on {
            all.kept.push(watching);
        }
        true
    }
}

/// Those that are judged. Where the stream that they would be told on is closed meanwhile, the next one tells of them.
struct Judging<'w> {
    watches: &'w Watches,
    due: Vec<Watching>,
}

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        for watching in self.due.drain(..) {
            self.watches.back(watching, true);
        }
    }
}

/// Whether that a resource may have changed is told of it, and whether it goes on. What would not be permitted now is not told,
/// and ends.
async fn judged(inner: &Inner, watching: &mut Watching) -> (bool, bool) {
    if !matches!(inner.authority.stands(&watching.ask, watching.grant).await, Ok(true)) {
        return (false, false);
    }
    if watching.watch.alive() {
        return (true, true);
    }
    if watching.grant.is_some() {
        // To begin anew would use up another approval, or ask people for one, and nobody asked for that.
        return (true, false);
    }
    let now = inner.authority.ambient().boottime();
    let held = now.since(watching.began) >= LATEST;
    watching.again = if held { SOONEST } else { Millis::new(watching.again.get() * 2).min(LATEST) };
    watching.began = now;
    match begin(inner, watching.ask.clone(), watching.conversation).await {
        Ok(anew) => {
            *watching = Watching { again: watching.again, place: watching.place.take(), ..anew };
            (true, true)
        }
        // It is told once it goes on.
        Err(Untold::Because(Slug::UpstreamUnreachable | Slug::StoreUnavailable)) => (false, true),
        Err(_) => (true, false),
    }
}

/// Why nothing is told of a resource.
pub(crate) enum Untold {
    /// It takes people first. Nobody waits for them here; what they approve counts for who asks again.
    Stopped(Box<Challenge>),
    Because(Slug),
}

impl Untold {
    /// As the `data` of an error says it.
    pub(crate) fn data(&self, settings: &Settings) -> Object {
        let (slug, mut data) = match self {
            Self::Stopped(challenge) => (challenge.slug, told::challenge(settings, challenge)),
            Self::Because(slug) => (*slug, Object::new()),
        };
        data.insert("slug", slug.row().name);
        data
    }
}

/// Subscribes to a resource as whoever asks for it alone: nobody waits for people.
///
/// # Errors
/// Why nothing is told of it.
pub(crate) async fn subscribe(
    inner: &Inner,
    ask: Ask,
    conversation: Conversation,
) -> Result<Watching, Untold> {
    if !inner.load.may_watch(ask.caller.id) {
        return Err(Untold::Because(Slug::OverBudget));
    }
    begin(inner, ask, conversation).await
}

async fn begin(inner: &Inner, ask: Ask, conversation: Conversation) -> Result<Watching, Untold> {
    let (mut client, _ear) = between(conversation.era(), Id::Number(0), None, Inert::default());
    let mut running = Running::alone();
    let (client, running) = (&mut client, &mut running);
    let asking = Asking { ask: &ask, back: None, round: 0, conversation, client, running, within: None };
    let because = |slug| Err(Untold::Because(slug));
    match at_once(inner, asking).await {
        Ok(Passed::Run(permit, link)) => {
            let grant = permit.grant();
            let Forwarded { answer, watch, .. } = quietly(inner, permit, &link).await;
            match (watch, answer) {
                (Some(watch), _) => Ok(Watching::new(inner, (ask, conversation), grant, watch)),
                (None, Ok(_)) => because(Slug::UpstreamInvalid),
                (None, Err(fault)) if fault.passes() => because(Slug::UpstreamUnreachable),
                (None, Err(fault)) => because(fault.slug()),
            }
        }
        Ok(Passed::Challenged(challenge, _)) => Err(Untold::Stopped(challenge)),
        Ok(Passed::Denied(denial)) => because(denial.slug),
        Ok(Passed::Unreachable | Passed::Left) => because(Slug::UpstreamUnreachable),
        Err(failed) => because(unavailable(&failed).slug),
    }
}
