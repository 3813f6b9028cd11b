//! One permitted call: forwarded once, settled, answered to whoever still listens. A caller that goes away stops
//! nothing that was sent (F37): the call goes on without it.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use authority::{Ask, Permit, Settlement};
use elevation::Outcome;
use terms::revision::{Era, Revision};
use terms::{Abilities, Action, AttemptId, Feature, Json, Seam, Slug};
use tokio::sync::mpsc;
use upstream::{Along, Answer, Errand, Fault, Forwarded, Link, Question};

use crate::answer::Refusal;
use crate::gateway::Inner;
use crate::mcp::Structured;
use crate::mcp::beside::Beside;
use crate::mcp::conversation::Conversation;
use crate::mcp::in_session::{InSession, Next};
use crate::mcp::live::{self, Live, Permitted};
use crate::mcp::refusal::{self, Broken};
use crate::mcp::result;
use crate::mcp::rounds::{Coming, Unasked};
use crate::mcp::session::Running;
use crate::mcp::stream::Client;
use crate::mcp::watching::Watching;

/// Of what a permitted call is.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    /// The access that was asked for.
    pub(crate) ask: &'a Ask,
    /// What its request is part of.
    pub(crate) conversation: Conversation,
    /// What it would come back with.
    pub(crate) coming: &'a Coming,
    /// How its answer may look.
    pub(crate) structured: Structured,
}

/// One attempt of a permitted call, once it is over.
struct Attempted {
    forwarded: Forwarded,
    attempt: Option<AttemptId>,
    elevated: bool,
    action: Option<Action>,
    /// What was asked within it and cannot be, because its caller speaks another era.
    unmet: Option<Unasked>,
}

/// Sees one permitted call to its end: through all its rounds, where its caller can be asked within it.
pub(crate) async fn run(
    inner: &Inner,
    permit: Permit,
    link: Arc<Link>,
    (mut client, mut running): (Client, Running),
    of: Of<'_>,
) {
    let Of { conversation, structured, .. } = of;
    let mut in_session = InSession::new(conversation, structured);
    let mut permitted = (permit, link);
    let mut round: Option<Box<(Ask, Coming)>> = None;
    loop {
        let (ask, coming) = round.as_deref().map_or((of.ask, of.coming), |(ask, coming)| (ask, coming));
        let within = (&mut client, &mut running);
        let mut attempted = attempt(inner, permitted, within, (ask, coming), conversation).await;
        let (Era::Legacy, Ok(Answer::InputRequired { requests, state, takes })) =
            (conversation.era(), &attempted.forwarded.answer)
        else {
            return end(inner, (client, running), attempted, (coming, structured)).await;
        };
        // By its own word it has ended, and nothing waits there.
        settle(inner, attempted.forwarded.settlement.take(), attempted.forwarded.outcome, None).await;
        let (requests, state) = (requests.as_ref(), state.as_ref());
        let asked = attempted.attempt.ok_or(Unasked::Form);
        let asked = asked.and_then(|attempt| coming.round(attempt, (requests, state), *takes));
        let within = (&mut client, &mut running);
        // Apart from the calls that are never asked anything, which are nearly all.
        let next = Box::pin(in_session.goes_on(inner, (ask, coming), within, asked));
        match next.await {
            Next::Goes { permit, link, round: next } => {
                permitted = (permit, link);
                round = Some(next);
            }
            Next::Left => return,
            Next::Told(told) => {
                drop(running);
                client.stopped(structured, &told).await;
                return;
            }
        }
    }
}

/// Makes one attempt.
async fn attempt(
    inner: &Inner,
    (permit, link): (Permit, Arc<Link>),
    within: (&mut Client, &mut Running),
    (ask, coming): (&Ask, &Coming),
    conversation: Conversation,
) -> Attempted {
    let (attempt, grant) = (permit.attempt(), permit.grant());
    let action = permit.access().and_then(|access| Action::named(access.action()));
    let (client, running) = within;
    let mut live = Live::new(ask, conversation, &link, attempt);
    let mut forwarded = watched(inner, permit, &link, (client, running), (coming, &mut live)).await;
    live.over(inner).await;
    if let (Some(watch), Some(watches)) = (forwarded.watch.take(), running.watches()) {
        // In a session it goes on when its request is over.
        watches.keep(Watching::new(inner, (ask.clone(), conversation), grant, watch));
    }
    let unmet = forwarded.answer.as_ref().ok().and_then(|answer| live.unmet(answer.outcome()));
    Attempted { forwarded, attempt, elevated: grant.is_some(), action, unmet }
}

/// Settles the last attempt of a call, and gives its answer.
async fn end(
    inner: &Inner,
    (client, running): (Client, Running),
    attempted: Attempted,
    (coming, structured): (&Coming, Structured),
) {
    let Attempted { forwarded, attempt, elevated, action, unmet } = attempted;
    let Forwarded { answer, outcome, mut settlement, .. } = forwarded;
    read_touched(settlement.as_mut(), &answer);
    // The outcome of an elevated call is recorded before anyone is told of it, so that a repeat is told the
    // truth; and so is that of one that touches what another goes on with. Whether its answer will arrive is not known then; that
    // nobody is left to take it is.
    if settlement.as_ref().is_some_and(Settlement::awaited) {
        let delivered = client.gone().then_some(false);
        settle(inner, settlement.take(), outcome, delivered).await;
    }
    // Who has the answer may use the request's id again.
    drop(running);
    inner.authority.ambient().seam(Seam::AnswerSend);
    let delivered = match answer {
        Ok(answer) => match unmet {
            Some(why) => client.stopped(structured, &refusal::refused(&unasked(why), structured)).await,
            None => give(inner, client, answer, (attempt, action), (coming, structured)).await,
        },
        Err(Fault::Needs(feature)) => {
            client.stopped(structured, &refusal::refused(&needs(feature), structured)).await
        }
        Err(fault) => {
            let broken = Broken { slug: fault.slug(), attempt, outcome, elevated };
            client.stopped(structured, &refusal::broken(&broken, structured)).await
        }
    };
    settle(inner, settlement, outcome, Some(delivered)).await;
}

/// Runs one permitted call whose answer nobody is told but who asked for it here.
pub(crate) async fn quietly(inner: &Inner, permit: Permit, link: &Arc<Link>) -> Forwarded {
    let mut forwarded = upstream::forward(permit, link, Along::default(), inner.settings.answer_within).await;
    read_touched(forwarded.settlement.as_mut(), &forwarded.answer);
    settle(inner, forwarded.settlement.take(), forwarded.outcome, None).await;
    forwarded
}

/// What an answer names of what its call touched is read by us: nobody else is asked, and it is believed no further.
fn read_touched(settlement: Option<&mut Settlement>, answer: &Result<Answer, Fault>) {
    if let (Some(settlement), Ok(Answer::Result { result, .. })) = (settlement, answer)
        && settlement.reads()
    {
        settlement.answered(result.read().as_ref());
    }
}

/// Says how an attempt ended.
pub(crate) async fn settle(
    inner: &Inner,
    settlement: Option<Settlement>,
    outcome: Outcome,
    delivered: Option<bool>,
) {
    let Some(settlement) = settlement else { return };
    if let Err(failed) = inner.authority.settle(settlement, outcome, delivered).await {
        tracing::error!(%failed, "an outcome is not recorded; it counts as unknown");
    }
}

/// Lets go of what whoever asked runs itself. Its record says to whom it was given, before that hears it.
pub(crate) async fn release(inner: &Inner, permit: Permit) -> Result<AttemptId, Slug> {
    let settlement = permit.release().map_err(|stale| stale.0)?;
    let attempt = settlement.attempt();
    settle(inner, Some(settlement), Outcome::Released, None).await;
    Ok(attempt)
}

/// Forwards, and meanwhile passes on progress, questions, and the caller's wish to stop.
async fn watched(
    inner: &Inner,
    permit: Permit,
    link: &Arc<Link>,
    (client, running): (&mut Client, &mut Running),
    (coming, live): (&Coming, &mut Live<'_>),
) -> Forwarded {
    let (attempt, elevated) = (permit.attempt(), permit.grant().is_some());
    let (sinks, mut beside) = Beside::of(client, live.conversation());
    live.beside(sinks.notes.as_ref().map(|notes| notes.to.clone()));
    let (questions, mut asked) = mpsc::channel::<Question>(live::MOST);
    let tool = permit.access().and_then(|access| inner.authority.active().target_of(access));
    let along = Along {
        tool,
        abilities: coming.abilities(),
        progress: sinks.progress,
        questions: Some(questions),
        notes: sinks.notes,
        inert: client.inert(),
    };
    let forwarding = upstream::forward(permit, link, along, inner.settings.answer_within);
    let seeing = async {
        tokio::pin!(forwarding);
        let mut stopping = false;
        loop {
            tokio::select! {
                forwarded = &mut forwarding => break forwarded,
                Some(question) = asked.recv() => {
                    let permitted = tokio::select! {
                        // Who has answered the call does not wait for an answer any more.
                        forwarded = &mut forwarding => break forwarded,
                        permitted = live.answer(inner, question, (&mut *client, &mut *running)) => permitted,
                    };
                    if let Some(permitted) = permitted
                        && let Some(forwarded) = given(inner, permitted, forwarding.as_mut()).await
                    {
                        break forwarded;
                    }
                }
                () = taken_back(client, running, elevated), if !stopping => {
                    stopping = true;
                    cancel(link, attempt);
                }
            }
        }
    };
    // Beside all of that, so that it is told while a question is open too.
    let forwarded = tokio::select! {
        biased;
        never = beside.tell() => match never {},
        forwarded = seeing => forwarded,
    };
    // What came in one breath with the answer came before it.
    beside.rest();
    forwarded
}

/// Gives an answer and sees that to its end, while its call goes on; says how that ended, where it did.
async fn given(
    inner: &Inner,
    permitted: Permitted,
    mut forwarding: Pin<&mut impl Future<Output = Forwarded>>,
) -> Option<Forwarded> {
    let giving = permitted.give(inner);
    tokio::pin!(giving);
    tokio::select! {
        () = &mut giving => None,
        forwarded = &mut forwarding => {
            giving.await;
            Some(forwarded)
        }
    }
}

/// Returns when the caller says that it does not want the answer any more; in the modern era it says so by going away
/// (MCP 2026-07-28, streamable HTTP, "Cancellation"). Not of a call that people approved: over a line that breaks its outcome
/// would be lost, and only a person could find it out.
async fn taken_back(client: &Client, running: &mut Running, elevated: bool) {
    tokio::select! {
        () = running.cancelled() => {}
        () = client.left(), if client.era() == Era::Modern && !elevated => {}
    }
}

/// A wish: the upstream may go on, and then its answer is the answer.
fn cancel(link: &Arc<Link>, attempt: Option<AttemptId>) {
    let Some(attempt) = attempt else { return };
    let link = Arc::clone(link);
    tokio::spawn(async move { link.errand(Errand::Cancel(attempt)).await.map(|_| ()) });
}

/// The upstream's answer, by its own text, unless it asks for what is not carried. Says whether somebody took it.
async fn give(
    inner: &Inner,
    client: Client,
    answer: Answer,
    (attempt, action): (Option<AttemptId>, Option<Action>),
    (coming, structured): (&Coming, Structured),
) -> bool {
    let told = matches!((client.era(), answer.needs()), (Era::Modern, Some(Feature::Capabilities)));
    if let (Some(feature), false) = (answer.needs(), told) {
        let refusal = lacking(&answer).unwrap_or_else(|| needs(feature));
        return client.stopped(structured, &refusal::refused(&refusal, structured)).await;
    }
    match answer {
        Answer::Result { result, .. } => {
            let told = as_asked(client.era(), action, structured, result.text());
            client.result(&told).await
        }
        Answer::Error { code, message, data } => {
            let code = result::code(client.era(), code);
            let data = data.map(|data| format!(r#","data":{}"#, data.text())).unwrap_or_default();
            let error = format!(r#"{{"code":{code},"message":{}{data}}}"#, Json::from(message));
            // That a client would have to be capable of more is an error of its request, in its era.
            if told { client.refused(&error).await } else { client.error(&error).await }
        }
        Answer::InputRequired { requests, state, takes } => {
            let asks = |attempt| coming.asks(inner, attempt, (requests.as_ref(), state.as_ref()), takes);
            match attempt.ok_or(Unasked::Form).and_then(asks) {
                Ok(asked) => client.incomplete(&asked).await,
                Err(why) => client.stopped(structured, &refusal::refused(&unasked(why), structured)).await,
            }
        }
    }
}

/// A result in the form of the method that was asked: one that was captured and is run by its id answers a tool.
fn as_asked(era: Era, action: Option<Action>, structured: Structured, text: &str) -> Cow<'_, str> {
    match (action, structured) {
        (Some(Action::Read), Structured::Error) => result::read(era, text),
        (Some(Action::Call | Action::Send(_) | Action::Do | Action::Administer) | None, _)
        | (_, Structured::Error) => Cow::Borrowed(text),
        (Some(Action::Read | Action::Get | Action::Complete | Action::Subscribe), _) => {
            Cow::Owned(result::of_a_tool(text))
        }
    }
}

/// A call of an upstream that needs what is not carried.
pub(crate) fn needs(feature: Feature) -> Refusal {
    let what = match feature {
        Feature::Tasks => "This tool can only be called as a task, so it did not run.",
        Feature::UrlElicitation => {
            "It answered that somebody has to open an address of its own first, which is not passed on."
        }
        Feature::Elicitation | Feature::Sampling | Feature::Roots => {
            return unasked(Unasked::Unanswered(feature));
        }
        Feature::Rounds => return unasked(Unasked::Form),
        Feature::Capabilities => MORE_CAPABLE,
        Feature::Subscriptions => "It does not tell who subscribes that this resource changes.",
        Feature::ParameterHeaders => {
            "It wants an argument in a header that is secret here, and what is secret is put in none: nothing was sent."
        }
    };
    needed(feature.name(), what)
}

const MORE_CAPABLE: &str = "It answered that it wants a client of more capabilities, and did not run it.";

/// A call of an upstream that wants a client of more capabilities, where it says of which.
fn lacking(answer: &Answer) -> Option<Refusal> {
    let Answer::Error { data, .. } = answer else { return None };
    if answer.needs() != Some(Feature::Capabilities) {
        return None;
    }
    let data = data.as_ref()?.read()?;
    let takes = Abilities::of(data.get("requiredCapabilities"), Revision::NEWEST_MODERN);
    (takes != Abilities::default()).then(|| needed(&names(takes), MORE_CAPABLE))
}

fn names(takes: Abilities) -> String {
    takes.features().map(Feature::name).collect::<Vec<_>>().join(", ")
}

/// A call of an upstream that asked to be told more, and is not.
pub(crate) fn unasked(why: Unasked) -> Refusal {
    let rounds = Feature::Rounds.name();
    let (features, what) = match why {
        Unasked::Lacks(takes) => (
            names(takes),
            "asked for that, which this client cannot be asked or the operator does not let it ask",
        ),
        Unasked::Within(takes) => {
            (names(takes), "asked for that while it ran, which only a client of a session can be asked")
        }
        Unasked::TooMuch => (rounds.to_owned(), "asked more than is passed on within one call"),
        Unasked::Form => (rounds.to_owned(), "asked to be told more in a form that is not passed on"),
        Unasked::Unanswered(feature) => {
            (feature.name().to_owned(), "asked for that, and there was no answer")
        }
    };
    needed(
        &features,
        &format!("It began, and then {what}: what it did until then is done, and the call is not."),
    )
}

fn needed(features: &str, what: &str) -> Refusal {
    let todo = Slug::UpstreamNeedsFeature.row().todo;
    Refusal::because(Slug::UpstreamNeedsFeature, format!("Needed: {features}. {what} {todo}"))
}

/// A call whose upstream cannot be reached, before anything was decided.
pub(crate) const UNREACHABLE: Broken =
    Broken { slug: Slug::UpstreamUnreachable, attempt: None, outcome: Outcome::NotSent, elevated: false };
