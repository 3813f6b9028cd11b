//! How an access of MCP is asked for: its client can be asked within its call for what is missing, and is told by a carrier.

use std::sync::Arc;

use authority::{Ask, Challenge, Failed};
use terms::revision::Era;
use terms::{Abilities, CallerId, ElevationId, Json, Millis};
use upstream::{Link, Unreachable};

use super::carrier::{self, Situation, Told};
use super::conversation::Conversation;
use super::session::Running;
use super::stream::Client;
use crate::elevations::Claims;
use crate::enforce::{self, Leaves, Party, Waits, held, take_back};
use crate::gateway::Inner;
use crate::pins;

/// What comes out of the door for a call of MCP.
pub(crate) type Passed = enforce::Passed<Arc<Link>, Told>;

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

impl Party for Asking<'_> {
    type Way = Arc<Link>;
    type Told = Told;

    /// The session's link to the upstream of an access.
    async fn way(&self, inner: &Inner, ask: &Ask) -> Result<Arc<Link>, Unreachable> {
        let upstream = ask.access.resource().upstream_name();
        pins::attach(inner, upstream).await?;
        let conversation = self.conversation;
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

    fn gone(&self) -> bool {
        self.client.gone()
    }

    fn took_back(&self) -> bool {
        self.running.is_cancelled()
    }

    fn choose(&self, inner: &Inner, challenge: &Challenge) -> (Option<Millis>, Told) {
        let (wait, told) = self.situation(inner, challenge).choose();
        (wait.length(&inner.settings), told)
    }

    async fn leaves(&mut self) -> Leaves {
        tokio::select! {
            biased;
            () = self.client.left() => Leaves::Gone,
            () = self.running.cancelled() => Leaves::TookBack,
        }
    }

    fn tell(&self, waits: &str) {
        self.client.waiting(waits);
    }

    fn notes(&self) -> Option<&Waits> {
        self.within
    }
}

impl Asking<'_> {
    /// What decides on how the caller is told, and on whether it waits first.
    fn situation(&self, inner: &Inner, challenge: &Challenge) -> Situation {
        let pin = inner.settings.carriers.get(&self.ask.caller.name).copied().unwrap_or_default();
        Situation {
            era: self.conversation.era(),
            abilities: self.conversation.abilities,
            pin,
            claims: challenge.wants_purpose || challenge.wants_ticket,
            within: self.within.is_some(),
            first: challenge.opened && self.back.is_none(),
            listens: self.client.listens(),
            round: self.round,
            continues: self.ask.access.continues().is_some(),
        }
    }
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
    let ask = asking.ask;
    held(inner, &mut asking, ask, (challenge, told)).await
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

/// One decision.
async fn decide(inner: &Inner, asking: &Asking<'_>, back: Option<ElevationId>) -> Result<Passed, Failed> {
    enforce::decide(inner, asking, asking.ask, back).await
}
