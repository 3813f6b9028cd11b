//! The one door. Every access of every protocol passes [`enforce`]: it alone asks `authority` for a decision, and
//! alone lets a caller wait for one (B10, B20). Whoever waits is judged again by the same decision when something
//! changes; nothing runs from memory of an earlier one.

use std::sync::{Arc, Mutex, PoisonError};

use authority::{Ask, Challenge, Denial, Failed, Permit, Ruling};
use terms::revision::Era;
use terms::{Abilities, Caller, CallerId, ElevationId, Json, Slug};
use tokio::time::Instant;
use upstream::{Link, Unreachable};

use crate::elevations::Claims;
use crate::gateway::Inner;
use crate::mcp::carrier::{self, Situation, Told};
use crate::mcp::conversation::Conversation;
use crate::mcp::session::Running;
use crate::mcp::stream::Client;
use crate::pins;

/// One access with all that deciding on it takes.
pub(crate) struct Asking<'a> {
    pub(crate) ask: &'a Ask,
    /// The elevation that the caller comes back to by its id.
    pub(crate) back: Option<ElevationId>,
    /// How often it came back with what it was given.
    pub(crate) round: u8,
    /// What the request is part of: its link carries the call.
    pub(crate) conversation: Conversation,
    /// The way back to the caller.
    pub(crate) client: &'a mut Client,
    /// The request, which the caller can take back.
    pub(crate) running: &'a mut Running,
    /// Where it is noted what waits for people, if it is an answer within a call that runs: there nothing can be told but
    /// within the call, and who asked waits.
    pub(crate) within: Option<&'a Waits>,
}

/// The request for approval that an answer within a running call waits for.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Option<ElevationId>>);

impl Waits {
    fn on(&self, id: ElevationId) {
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
pub(crate) enum Passed {
    /// It may run now, over this link.
    Run(Permit, Arc<Link>),
    /// It takes evidence first, and this is how its caller is told.
    Challenged(Box<Challenge>, Told),
    /// It may not run.
    Denied(Denial),
    /// The upstream cannot be reached. Nothing was decided, so no approval is used up.
    Unreachable,
    /// Nobody listens any more: a vanished client never spends (decisions §9).
    Left,
}

/// Why a wait ended.
enum Woken {
    /// The elevation has changed.
    Changed,
    /// It has lasted long enough, or this node is told to stop.
    TimeIsUp,
    /// The client is gone.
    Left,
    /// The client took its request back.
    TakenBack,
}

/// Decides on one access; where evidence is missing and waiting is of use to its caller, waits for it.
///
/// # Errors
/// [`Failed`] when the store does: then nothing may run.
pub(crate) async fn enforce(inner: &Inner, mut asking: Asking<'_>) -> Result<Passed, Failed> {
    // All but the wait itself is apart, and of what was decided only the challenge is kept: thousands may wait, and few
    // are decided on at a time.
    let (challenge, told) = match Box::pin(first(inner, &mut asking)).await? {
        Passed::Challenged(challenge, told) => (challenge, told),
        passed @ (Passed::Run(..) | Passed::Denied(_) | Passed::Unreachable | Passed::Left) => {
            return Ok(passed);
        }
    };
    held(inner, &mut asking, challenge, told).await
}

/// The same for what waits for nobody: people, or a client that could be asked.
///
/// # Errors
/// [`Failed`] when the store does: then nothing may run.
pub(crate) async fn at_once(inner: &Inner, asking: Asking<'_>) -> Result<Passed, Failed> {
    Box::pin(decide(inner, &asking, asking.back)).await
}

/// The first decision, and where its client can be asked within its call for what is missing, the second.
async fn first(inner: &Inner, asking: &mut Asking<'_>) -> Result<Passed, Failed> {
    let passed = decide(inner, asking, asking.back).await?;
    let Passed::Challenged(challenge, told) = &passed else { return Ok(passed) };
    let id = challenge.elevation;
    if let Some(within) = asking.within {
        within.on(id);
    }
    let revision = asking.conversation.revision;
    let Some(question) = carrier::within(&inner.settings, challenge, *told, revision) else {
        return Ok(passed);
    };
    match Box::pin(ask(inner, asking, question)).await {
        Answered::By(claims) => {
            // What cannot be said any more is told by the decision.
            let _ = claims.say(inner, &asking.ask.caller, id).await?;
            asking.back = Some(id);
            asking.round = 1;
            decide(inner, asking, Some(id)).await
        }
        Answered::Nothing => Ok(Passed::Challenged(challenge.clone(), Told::ToolError)),
        Answered::Left => Ok(Passed::Left),
        Answered::TakenBack => take_back(inner, asking.ask, id).await,
    }
}

/// Asks the person at the client of a session, while its call waits (MCP 2025-11-25, elicitation).
async fn ask(inner: &Inner, asking: &mut Asking<'_>, question: Json) -> Answered<Claims> {
    let (caller, question) = (asking.ask.caller.id, question.text());
    let asked = ("elicitation/create", Some(question.as_str()));
    match answered(inner, caller, (asking.client, asking.running), asked).await {
        Answered::By(answer) => match carrier::Responses::one(&answer) {
            Ok(response) if !response.declined => Answered::By(response.claims),
            Ok(_) | Err(_) => Answered::Nothing,
        },
        Answered::Nothing => Answered::Nothing,
        Answered::Left => Answered::Left,
        Answered::TakenBack => Answered::TakenBack,
    }
}

/// What the client of a session answers to one question on the stream of its call.
pub(crate) enum Answered<T> {
    /// This.
    By(T),
    /// Nothing that counts, or not in time.
    Nothing,
    /// The client is gone.
    Left,
    /// The client took its request back.
    TakenBack,
}

/// Asks the client of a session something within its call, and waits for the answer as long as for people.
pub(crate) async fn answered(
    inner: &Inner,
    caller: CallerId,
    (client, running): (&Client, &mut Running),
    (method, params): (&str, Option<&str>),
) -> Answered<Json> {
    let waits = inner.settings.hold_with_progress.duration();
    let mut drained = inner.drained();
    let (Some(mut asked), Ok(_place)) =
        (running.question(inner.authority.ambient().as_ref()), inner.load.hold(caller))
    else {
        return Answered::Nothing;
    };
    if !client.ask(asked.id(), method, params).await {
        return Answered::Left;
    }
    let answer = tokio::select! {
        biased;
        () = client.left() => return Answered::Left,
        () = running.cancelled() => return Answered::TakenBack,
        answer = asked.answer() => answer,
        () = tokio::time::sleep(waits) => None,
        _ = drained.wait_for(|drained| *drained) => None,
    };
    answer.map_or(Answered::Nothing, Answered::By)
}

/// Waits for what is missing, where its caller waits for it.
async fn held(
    inner: &Inner,
    asking: &mut Asking<'_>,
    mut challenge: Box<Challenge>,
    mut told: Told,
) -> Result<Passed, Failed> {
    let (wait_for, _) = situation(inner, &challenge, asking).choose();
    let place = inner.load.hold(asking.ask.caller.id);
    // Who has as many calls waiting as may be is answered at once.
    let (Some(hold), Ok(_place)) = (wait_for.length(&inner.settings), place) else {
        return Ok(Passed::Challenged(challenge, told));
    };
    let until = Instant::now() + hold.duration();
    loop {
        let id = challenge.elevation;
        // Made before the decision whose state it waits on, so that no change between both is missed.
        let mut waiting = inner.authority.waiting(id);
        (challenge, told) = match Box::pin(decide(inner, asking, Some(id))).await? {
            Passed::Challenged(challenge, told) => (challenge, told),
            // The word came while it was decided on, before anyone waited to hear it.
            Passed::Left if asking.running.is_cancelled() => {
                return Box::pin(take_back(inner, asking.ask, id)).await;
            }
            passed @ (Passed::Run(..) | Passed::Denied(_) | Passed::Unreachable | Passed::Left) => {
                return Ok(passed);
            }
        };
        if let Some(within) = asking.within {
            within.on(challenge.elevation);
        }
        if challenge.elevation != id && Instant::now() < until {
            continue;
        }
        match wait(inner, &challenge, asking, waiting.changed(), until).await {
            Woken::Changed => {}
            Woken::TimeIsUp => return Ok(Passed::Challenged(challenge, told)),
            Woken::Left => return Ok(Passed::Left),
            Woken::TakenBack => return Box::pin(take_back(inner, asking.ask, id)).await,
        }
    }
}

/// One decision, for a caller that is still there. The link is made first: a permit is good for seconds, and no
/// approval is to be used up on an upstream that cannot be reached.
async fn decide(inner: &Inner, asking: &Asking<'_>, back: Option<ElevationId>) -> Result<Passed, Failed> {
    let link = link(inner, asking).await;
    if asking.client.gone() || asking.running.is_cancelled() {
        return Ok(Passed::Left);
    }
    if let Err(why) = &link
        && !locked(inner, asking.ask)
    {
        tracing::warn!(%why, "a call was refused because its upstream cannot be reached");
        return Ok(Passed::Unreachable);
    }
    let ruling = match back {
        Some(elevation) => inner.authority.decide_again(asking.ask, elevation).await?,
        None => inner.authority.decide(asking.ask).await?,
    };
    Ok(match (ruling, link) {
        (Ruling::Permitted(permit), Ok(link)) => Passed::Run(permit, link),
        // The lock was lifted between; dropping the permit settles it as not sent.
        (Ruling::Permitted(_), Err(_)) => Passed::Unreachable,
        (Ruling::Challenged(challenge), _) => {
            let (_, told) = situation(inner, &challenge, asking).choose();
            Passed::Challenged(challenge, told)
        }
        (Ruling::Denied(denial), _) => Passed::Denied(denial),
    })
}

/// The session's link to the upstream of an access. For who is locked, nothing is started.
async fn link(inner: &Inner, asking: &Asking<'_>) -> Result<Arc<Link>, Unreachable> {
    if locked(inner, asking.ask) {
        return Err(Unreachable::Start("its caller is locked".to_owned()));
    }
    let upstream = asking.ask.access.resource().upstream_name();
    pins::attach(inner, upstream).await?;
    let conversation = asking.conversation;
    // What is asked while a call runs is asked of the client of a session only.
    let abilities = match conversation.era() {
        Era::Legacy => conversation.abilities,
        Era::Modern => Abilities::default(),
    };
    let link = inner.upstreams.link_who_can(upstream, conversation.link, abilities).await?;
    if let Some(level) = conversation.level {
        link.tells(level).await;
    }
    Ok(link)
}

/// Whether a lock is in this node's sight. That nothing locked runs is what the claim is fenced for.
fn locked(inner: &Inner, ask: &Ask) -> bool {
    inner.authority.active().lock_on(&ask.caller, &ask.access, inner.authority.now()).is_some()
}

/// What decides on how the caller is told, and on whether it waits first.
fn situation(inner: &Inner, challenge: &Challenge, asking: &Asking<'_>) -> Situation {
    let pin = inner.settings.carriers.get(&asking.ask.caller.name).copied().unwrap_or_default();
    Situation {
        era: asking.conversation.era(),
        abilities: asking.conversation.abilities,
        pin,
        claims: challenge.wants_purpose || challenge.wants_ticket,
        within: asking.within.is_some(),
        first: challenge.opened && asking.back.is_none(),
        listens: asking.client.listens(),
        round: asking.round,
        continues: asking.ask.access.continues().is_some(),
    }
}

/// Waits for one change, and meanwhile tells the client that it waits.
async fn wait(
    inner: &Inner,
    challenge: &Challenge,
    asking: &mut Asking<'_>,
    changed: impl Future<Output = ()>,
    until: Instant,
) -> Woken {
    tokio::pin!(changed);
    let mut drained = inner.drained();
    let waits = progress(challenge);
    loop {
        asking.client.waiting(&waits);
        tokio::select! {
            biased;
            () = asking.client.left() => return Woken::Left,
            () = asking.running.cancelled() => return Woken::TakenBack,
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
async fn take_back(inner: &Inner, ask: &Ask, id: ElevationId) -> Result<Passed, Failed> {
    let why = Some("its call was cancelled".to_owned());
    let slug = match inner.authority.withdraw(&ask.caller, id, why).await? {
        Ok(()) => Slug::Withdrawn,
        Err(slug) => slug,
    };
    Ok(Passed::Denied(Denial::of(slug)))
}
