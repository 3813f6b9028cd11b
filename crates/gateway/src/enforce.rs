//! The one door. Every access of every protocol passes here: [`decide`] alone asks `authority` for a decision, and [`held`]
//! alone lets a caller wait for one (B10, B20). Whoever waits is judged again by the same decision when something
//! changes; nothing runs from memory of an earlier one.

use std::sync::{Mutex, PoisonError};

use authority::{Ask, Challenge, Denial, Failed, Permit, Ruling};
use terms::{Caller, ElevationId, Millis, Slug};
use tokio::time::Instant;
use upstream::Unreachable;

use crate::gateway::Inner;

/// Whoever asks, as far as deciding takes it: is it still there, what leads to its upstream, and how is it told to wait. One a
/// protocol.
pub(crate) trait Party: Send {
    /// What leads to the upstream.
    type Way: Send;
    /// How its caller is told what it takes.
    type Told: Copy + Send;

    /// Makes ready what leads to the upstream. For who is locked nothing is made ready.
    fn way(&self, inner: &Inner, ask: &Ask) -> impl Future<Output = Result<Self::Way, Unreachable>> + Send;

    /// Whether nobody listens any more.
    fn gone(&self) -> bool;

    /// Whether it took its request back, by a word of its own.
    fn took_back(&self) -> bool;

    /// How it is told of a challenge, and how long it waits before.
    fn choose(&self, inner: &Inner, challenge: &Challenge) -> (Option<Millis>, Self::Told);

    /// Returns when nobody listens any more, or when it takes its request back; says which.
    fn leaves(&mut self) -> impl Future<Output = Leaves> + Send;

    /// Tells it that it waits.
    fn tell(&self, waits: &str);

    /// Where it is noted what is waited for.
    fn notes(&self) -> Option<&Waits>;
}

/// Another enforcement point, which asks and carries out what it is told itself: it waits for nobody, and nothing leads anywhere.
pub(crate) struct AtOnce;

impl Party for AtOnce {
    type Way = ();
    type Told = ();

    async fn way(&self, _: &Inner, _: &Ask) -> Result<(), Unreachable> {
        Ok(())
    }

    fn gone(&self) -> bool {
        false
    }

    fn took_back(&self) -> bool {
        false
    }

    fn choose(&self, _: &Inner, _: &Challenge) -> (Option<Millis>, ()) {
        (None, ())
    }

    async fn leaves(&mut self) -> Leaves {
        std::future::pending().await
    }

    fn tell(&self, _: &str) {}

    fn notes(&self) -> Option<&Waits> {
        None
    }
}

/// How a wait ends for whoever waits.
pub(crate) enum Leaves {
    /// It is gone. What it asked for stays asked for: a broken connection is no word (B9).
    Gone,
    /// It took its request back.
    TookBack,
}

/// The request for approval that an answer within a running call waits for.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Option<ElevationId>>);

impl Waits {
    pub(crate) fn on(&self, id: ElevationId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// What it waits for, for the one who takes it.
    pub(crate) fn take(&self) -> Option<ElevationId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The request for approval, where there is one, is taken back: nobody waits for it any more.
    pub(crate) async fn over(&self, inner: &Inner, caller: &Caller, why: &str) {
        let Some(id) = self.take() else { return };
        // What cannot be taken back is decided on, or expires.
        if let Err(failed) = inner.authority.withdraw(caller, id, Some(why.to_owned())).await {
            tracing::warn!(%failed, "a request for approval that nobody waits for stays");
        }
    }
}

/// What comes out of the door.
pub(crate) enum Passed<Way, Told> {
    /// It may run now, this way.
    Run(Permit, Way),
    /// It takes evidence first, and this is how its caller is told.
    Challenged(Box<Challenge>, Told),
    /// It may not run.
    Denied(Denial),
    /// The upstream cannot be reached. Nothing was decided, so no approval is used up.
    Unreachable,
    /// Nobody listens any more: a vanished client never spends (decisions §9).
    Left,
}

/// What comes out of the door for one party.
pub(crate) type PassedBy<P> = Passed<<P as Party>::Way, <P as Party>::Told>;

/// Why a wait ended.
enum Woken {
    /// The elevation has changed.
    Changed,
    /// It has lasted long enough, or this node is told to stop.
    TimeIsUp,
    /// Whoever waited does not any more.
    Over(Leaves),
}

/// Waits for what is missing, where its caller waits for it.
///
/// # Errors
/// [`Failed`] when the store does: then nothing may run.
pub(crate) async fn held<P: Party>(
    inner: &Inner,
    party: &mut P,
    ask: &Ask,
    (mut challenge, mut told): (Box<Challenge>, P::Told),
) -> Result<PassedBy<P>, Failed> {
    let (hold, _) = party.choose(inner, &challenge);
    let place = inner.load.hold(ask.caller.id);
    // Who has as many calls waiting as may be is answered at once.
    let (Some(hold), Ok(_place)) = (hold, place) else {
        return Ok(Passed::Challenged(challenge, told));
    };
    let until = Instant::now() + hold.duration();
    loop {
        let id = challenge.elevation;
        // Made before the decision whose state it waits on, so that no change between both is missed.
        let mut waiting = inner.authority.waiting(id);
        (challenge, told) = match Box::pin(decide(inner, party, ask, Some(id))).await? {
            Passed::Challenged(challenge, told) => (challenge, told),
            // The word came while it was decided on, before anyone waited to hear it.
            Passed::Left if party.took_back() => return Box::pin(take_back(inner, ask, id)).await,
            passed @ (Passed::Run(..) | Passed::Denied(_) | Passed::Unreachable | Passed::Left) => {
                return Ok(passed);
            }
        };
        if let Some(within) = party.notes() {
            within.on(challenge.elevation);
        }
        if challenge.elevation != id && Instant::now() < until {
            continue;
        }
        match wait(inner, &challenge, party, waiting.changed(), until).await {
            Woken::Changed => {}
            Woken::TimeIsUp => return Ok(Passed::Challenged(challenge, told)),
            Woken::Over(Leaves::Gone) => return Ok(Passed::Left),
            Woken::Over(Leaves::TookBack) => return Box::pin(take_back(inner, ask, id)).await,
        }
    }
}

/// One decision, for a caller that is still there. The way is made ready first: a permit is good for seconds, and no
/// approval is to be used up on an upstream that cannot be reached.
///
/// # Errors
/// [`Failed`] when the store does: then nothing may run.
pub(crate) async fn decide<P: Party>(
    inner: &Inner,
    party: &P,
    ask: &Ask,
    back: Option<ElevationId>,
) -> Result<PassedBy<P>, Failed> {
    let way = match locked(inner, ask) {
        true => Err(Unreachable::Start("its caller is locked".to_owned())),
        false => party.way(inner, ask).await,
    };
    if party.gone() || party.took_back() {
        return Ok(Passed::Left);
    }
    if let Err(why) = &way
        && !locked(inner, ask)
    {
        tracing::warn!(%why, "a call was refused because its upstream cannot be reached");
        return Ok(Passed::Unreachable);
    }
    let ruling = match back {
        Some(elevation) => inner.authority.decide_again(ask, elevation).await?,
        None => inner.authority.decide(ask).await?,
    };
    Ok(match (ruling, way) {
        (Ruling::Permitted(permit), Ok(way)) => Passed::Run(permit, way),
        // The lock was lifted between; dropping the permit settles it as not sent.
        (Ruling::Permitted(_), Err(_)) => Passed::Unreachable,
        (Ruling::Challenged(challenge), _) => {
            let (_, told) = party.choose(inner, &challenge);
            Passed::Challenged(challenge, told)
        }
        (Ruling::Denied(denial), _) => Passed::Denied(denial),
    })
}

/// Whether a lock is in this node's sight. That nothing locked runs is what the claim is fenced for.
fn locked(inner: &Inner, ask: &Ask) -> bool {
    inner.authority.active().lock_on(&ask.caller, &ask.access, inner.authority.now()).is_some()
}

/// Waits for one change, and meanwhile tells the client that it waits.
async fn wait<P: Party>(
    inner: &Inner,
    challenge: &Challenge,
    party: &mut P,
    changed: impl Future<Output = ()>,
    until: Instant,
) -> Woken {
    tokio::pin!(changed);
    let mut drained = inner.drained();
    let waits = progress(challenge);
    loop {
        party.tell(&waits);
        tokio::select! {
            biased;
            leaves = party.leaves() => return Woken::Over(leaves),
            () = &mut changed => return Woken::Changed,
            () = tokio::time::sleep_until(until) => return Woken::TimeIsUp,
            _ = drained.wait_for(|drained| *drained) => return Woken::TimeIsUp,
            () = tokio::time::sleep(inner.settings.keep_alive.duration()) => {}
        }
    }
}

/// What a client that listens is told while it waits.
fn progress(challenge: &Challenge) -> String {
    let (have, need) = challenge.lines.iter().fold((0_u32, 0_u32), |(have, need), line| {
        (have.saturating_add(line.have.min(line.need)), need.saturating_add(line.need))
    });
    format!("waiting for approval {have}/{need}")
}

/// The caller took back the request that waits: so is the elevation. Only a word of the caller does that; a
/// broken connection does not (B9).
pub(crate) async fn take_back<Way, Told>(
    inner: &Inner,
    ask: &Ask,
    id: ElevationId,
) -> Result<Passed<Way, Told>, Failed> {
    let why = Some("its call was cancelled".to_owned());
    let slug = match inner.authority.withdraw(&ask.caller, id, why).await? {
        Ok(()) => Slug::Withdrawn,
        Err(slug) => slug,
    };
    Ok(Passed::Denied(Denial::of(slug)))
}
