//! What an upstream of the legacy era asks while a permitted call of a session runs (MCP 2025-11-25, client: elicitation,
//! sampling, roots). It is asked of the client on the stream of that call, under an id of ours. What the client answers
//! was judged by nobody yet: with it the call is an access of its own, and before that is permitted nothing of it is
//! written (decisions A8, T33). Whatever comes of it, the upstream is answered.

use std::sync::Arc;

use authority::{Ask, Permit};
use elevation::Outcome;
use terms::json::Object;
use terms::revision::Era;
use terms::{Abilities, AttemptId, Continuation, Json, Millis};
use tokio::sync::mpsc;
use upstream::{Asks, Link, Note, Opening, Question, Replied, Unanswered};

use super::asking::{Answered, Asking, Passed, answered, enforce};
use super::conversation::Conversation;
use super::rounds::{Unasked, continuing};
use super::session::Running;
use super::stream::Client;
use crate::enforce::Waits;
use crate::gateway::Inner;

/// How often an upstream may ask within one call.
pub(crate) const MOST: usize = 10;

/// How long an upstream may take to take an answer.
const TAKEN_WITHIN: Millis = Millis::seconds(10);

/// A running call, as far as something may be asked within it.
pub(crate) struct Live<'a> {
    ask: &'a Ask,
    conversation: Conversation,
    link: &'a Arc<Link>,
    /// Where what is told beside its call goes.
    notes: Option<mpsc::Sender<Note>>,
    /// The attempt that runs.
    of: Option<AttemptId>,
    /// What its client can be asked, and its upstream was told that it can.
    abilities: Abilities,
    asked: usize,
    /// What was asked and cannot be of this client.
    unmet: Abilities,
    /// What an answer waits for.
    waits: Waits,
}

impl<'a> Live<'a> {
    pub(crate) fn new(
        ask: &'a Ask,
        conversation: Conversation,
        link: &'a Arc<Link>,
        of: Option<AttemptId>,
    ) -> Self {
        // Where many share a link, it is said of none (decisions A28).
        let abilities = conversation.abilities.and(link.abilities());
        let (notes, waits) = (None, Waits::default());
        let unmet = Abilities::default();
        Self { ask, conversation, link, notes, of, abilities, asked: 0, unmet, waits }
    }

    /// What is told beside its call goes there.
    pub(crate) fn beside(&mut self, notes: Option<mpsc::Sender<Note>>) {
        self.notes = notes;
    }

    /// Its client is told when what it is asked to open is over: on the stream of the call, and later on that of the session.
    fn opens(&self, question: &Question, running: &Running) {
        let Some((id, notes)) = question.opens().zip(self.notes.clone()) else { return };
        let Some(session) = running.session() else { return };
        let opening = Opening::of(self.link, &id, [notes, session.completions.to()]);
        session.completions.keep(opening);
    }

    /// What its call is part of.
    pub(crate) const fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// What was asked and cannot be of this client, if its upstream answered that it failed.
    pub(crate) fn unmet(&self, outcome: Outcome) -> Option<Unasked> {
        let takes = self.unmet;
        (outcome == Outcome::Failed && takes != Abilities::default()).then_some(
            match self.conversation.era() {
                Era::Legacy => Unasked::Lacks(takes),
                Era::Modern => Unasked::Within(takes),
            },
        )
    }

    /// Asks one question, and judges what is answered. Where there is nothing to be given, the upstream is told so, as it is
    /// when this is dropped.
    pub(crate) async fn answer(
        &mut self,
        inner: &Inner,
        question: Question,
        (client, running): (&mut Client, &mut Running),
    ) -> Option<Permitted> {
        if let Err(why) = self.may(&question) {
            question.unanswered(why);
            return None;
        }
        self.opens(&question, running);
        let params = question.params().map(|params| params.text().to_owned());
        let asked = (question.asks().method(), params.as_deref());
        match answered(inner, self.ask.caller.id, (client, running), asked).await {
            Answered::By(answer) => match said(question.asks(), answer) {
                Ok(answer) => self.judge(inner, question, answer, (client, running)).await,
                Err(why) => {
                    question.unanswered(why);
                    None
                }
            },
            Answered::Nothing | Answered::Left | Answered::TakenBack => None,
        }
    }

    /// Whether that may be asked of this client now.
    fn may(&mut self, question: &Question) -> Result<(), Unanswered> {
        let lacks = match self.conversation.era() {
            Era::Legacy => question.takes().without(self.abilities),
            // Its request ends with its answer, and only then could its client say anything.
            Era::Modern => question.takes(),
        };
        if lacks != Abilities::default() {
            self.unmet = self.unmet.or(lacks);
            return Err(Unanswered::Unsupported);
        }
        if self.asked >= MOST {
            return Err(Unanswered::TooMany);
        }
        self.asked += 1;
        Ok(())
    }

    /// Judges what is answered.
    async fn judge(
        &mut self,
        inner: &Inner,
        question: Question,
        answer: Json,
        (client, running): (&mut Client, &mut Running),
    ) -> Option<Permitted> {
        let Some(ask) = self.continuing(inner, &question, answer) else {
            question.unanswered(Unanswered::Invalid);
            return None;
        };
        let conversation = self.conversation;
        let within = Some(&self.waits);
        let asking = Asking { ask: &ask, back: None, round: 0, conversation, client, running, within };
        match enforce(inner, asking).await {
            Ok(Passed::Run(permit, link)) => {
                self.waits.take();
                Some(Permitted { permit, link, question })
            }
            Ok(Passed::Challenged(..) | Passed::Denied(_) | Passed::Unreachable | Passed::Left) | Err(_) => {
                drop(question);
                self.over(inner).await;
                None
            }
        }
    }

    /// The access that an answer is.
    fn continuing(&self, inner: &Inner, question: &Question, answer: Json) -> Option<Ask> {
        let inputs = Object::from_iter([(question.asks().method(), answer)]);
        let round = u8::try_from(self.asked).ok()?;
        // What two readers could read in two ways is shown to nobody, and so not answered.
        let params = match question.params() {
            None => Json::Object(Object::new()),
            Some(params) => params.read()?,
        };
        let asked = Object::from_iter([(question.asks().method(), params)]);
        let continuation = Continuation { of: self.of?, round, asked, inputs, state: None };
        continuing(inner, self.ask, continuation).ok()
    }

    /// Nobody waits for an answer any more: what people were asked about it is taken back, as it is good for nothing else.
    pub(crate) async fn over(&self, inner: &Inner) {
        self.waits.over(inner, &self.ask.caller, "its upstream does not wait for the answer any more").await;
    }
}

/// An answer that may be given.
pub(crate) struct Permitted {
    permit: Permit,
    link: Arc<Link>,
    question: Question,
}

impl Permitted {
    /// Gives it. To be seen to its end: from the first byte on it has an outcome.
    pub(crate) async fn give(self, inner: &Inner) {
        let Self { permit, link, question } = self;
        let Replied { outcome, settlement } = upstream::reply(permit, &link, question, TAKEN_WITHIN).await;
        crate::run::settle(inner, settlement, outcome, None).await;
    }
}

/// What is answered, if it is more than a no: that is told in our words, and takes no judgement.
pub(super) fn said(asks: Asks, answer: Json) -> Result<Json, Unanswered> {
    if answer.as_object().is_none() {
        return Err(Unanswered::None);
    }
    match (asks, answer.get("action").and_then(Json::as_str)) {
        (Asks::Elicitation, Some("accept")) | (Asks::Sampling | Asks::Roots, _) => Ok(answer),
        (Asks::Elicitation, Some("decline")) => Err(Unanswered::Declined),
        (Asks::Elicitation, Some("cancel")) => Err(Unanswered::Dismissed),
        (Asks::Elicitation, Some(_) | None) => Err(Unanswered::None),
    }
}
