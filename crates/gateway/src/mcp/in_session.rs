//! The rounds of a call whose caller is in a session. An upstream of the modern era answers that it has to be told more, and
//! does not wait (MCP 2026-07-28, multi round-trip requests); its caller knows no rounds, but can be asked while its call
//! runs (MCP 2025-11-25, client: elicitation, sampling, roots). So it is asked there, as by an upstream of its own era
//! (`live`), and its call goes on by itself: with the answers it is an access of its own, which goes through the one door
//! like any (decisions A8, T33).

use std::sync::Arc;

use authority::{Ask, Denial, Permit};
use terms::json::Object;
use terms::{AttemptId, CallerId, Json, Slug};
use upstream::{Asked, Link, RawJson, Unanswered};

use super::asking::{Answered, Asking, Passed, answered, enforce};
use super::conversation::Conversation;
use super::live::{MOST, said};
use super::rounds::{Coming, Unasked, continuing};
use super::session::Running;
use super::stream::Client;
use super::{Structured, refusal, result, state};
use crate::answer::Refusal;
use crate::elevations::unavailable;
use crate::enforce::Waits;
use crate::gateway::Inner;
use crate::run::{UNREACHABLE, unasked};

/// A call of a session, as far as its upstream may ask before it goes on.
pub(crate) struct InSession {
    conversation: Conversation,
    structured: Structured,
    /// How much was asked so far.
    asked: usize,
}

/// What becomes of a call when its upstream asked.
pub(crate) enum Next {
    /// It goes on, with an attempt of its own.
    Goes { permit: Permit, link: Arc<Link>, round: Box<(Ask, Coming)> },
    /// It does not, and this is told.
    Told(String),
    /// It does not, and nobody is there to be told.
    Left,
}

/// Why nothing is answered.
enum Silent {
    /// This is told of it.
    Because(Unasked),
    /// The client is gone.
    Left,
}

impl From<Unasked> for Silent {
    fn from(why: Unasked) -> Self {
        Self::Because(why)
    }
}

impl InSession {
    pub(crate) const fn new(conversation: Conversation, structured: Structured) -> Self {
        Self { conversation, structured, asked: 0 }
    }

    /// Asks the client what its upstream asked at an attempt that is over, and has the call with the answers decided on.
    pub(crate) async fn goes_on(
        &mut self,
        inner: &Inner,
        (ask, coming): (&Ask, &Coming),
        (client, running): (&mut Client, &mut Running),
        asked: Result<(state::Asked, Option<RawJson>), Unasked>,
    ) -> Next {
        let next = async {
            let (mut asked, requests) = asked?;
            let within = (&*client, &mut *running);
            asked.inputs =
                Some(self.inputs(inner, ask.caller.id, within, (asked.of, requests.as_ref())).await?);
            self.judge(inner, (ask, coming), (client, running), asked).await
        };
        match next.await {
            Ok(next) => next,
            Err(Silent::Because(why)) => Next::Told(refusal::refused(&unasked(why), self.structured)),
            Err(Silent::Left) => Next::Left,
        }
    }

    /// What the client answers, by the names that the upstream gave its questions.
    async fn inputs(
        &mut self,
        inner: &Inner,
        caller: CallerId,
        (client, running): (&Client, &mut Running),
        (attempt, requests): (AttemptId, Option<&RawJson>),
    ) -> Result<Object, Silent> {
        let asked = requests.map_or_else(|| Ok(Vec::new()), upstream::inputs).map_err(|_| Unasked::Form)?;
        // Before the first is asked: a round is answered whole or not at all.
        if asked.len() > MOST - self.asked {
            return Err(Unasked::TooMuch.into());
        }
        let mut inputs = Object::new();
        for one in asked {
            self.asked += 1;
            let params = params(&one, attempt, self.asked);
            let question = (one.asks().method(), params.as_deref());
            let answer = match answered(inner, caller, (client, &mut *running), question).await {
                Answered::By(answer) => said(one.asks(), answer),
                Answered::Nothing | Answered::TakenBack => Err(Unanswered::None),
                Answered::Left => return Err(Silent::Left),
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(Unanswered::Declined) => Json::object([("action", "decline")]),
                Err(Unanswered::Dismissed) => Json::object([("action", "cancel")]),
                Err(
                    Unanswered::None
                    | Unanswered::Unsupported
                    | Unanswered::Unattributed
                    | Unanswered::TooMany
                    | Unanswered::Invalid,
                ) => return Err(Unasked::Unanswered(one.asks().feature()).into()),
            };
            inputs.insert(one.name(), answer);
        }
        Ok(inputs)
    }

    /// Has the call with what it is answered decided on. Where that takes an approval, it waits here or nowhere: nobody
    /// can come back with it.
    async fn judge(
        &self,
        inner: &Inner,
        (ask, coming): (&Ask, &Coming),
        (client, running): (&mut Client, &mut Running),
        asked: state::Asked,
    ) -> Result<Next, Silent> {
        let ask = continuing(inner, ask, asked.continuation()).map_err(|_| Unasked::Form)?;
        let (conversation, waits) = (self.conversation, Waits::default());
        let within = Some(&waits);
        let asking = Asking { ask: &ask, back: None, round: 0, conversation, client, running, within };
        let told = match enforce(inner, asking).await {
            Ok(Passed::Run(permit, link)) => {
                let coming = coming.continued(asked);
                return Ok(Next::Goes { permit, link, round: Box::new((ask, coming)) });
            }
            Ok(Passed::Challenged(..)) => refusal::refused(&not_in_time(), self.structured),
            Ok(Passed::Denied(denial)) => refusal::denied(&denial, self.structured),
            Ok(Passed::Unreachable) => refusal::broken(&UNREACHABLE, self.structured),
            Ok(Passed::Left) => {
                waits.over(inner, &ask.caller, OVER).await;
                return Err(Silent::Left);
            }
            Err(failed) => refusal::denied(&Denial::of(unavailable(&failed).slug), self.structured),
        };
        waits.over(inner, &ask.caller, OVER).await;
        Ok(Next::Told(told))
    }
}

/// Why a request for approval of an answer is taken back.
const OVER: &str = "its call does not wait for it any more";

fn not_in_time() -> Refusal {
    let what = "It began, and then asked to be told more; what it was answered needs an approval of its own, which did not \
        come while the call waited. What it did until then is done, and the call is not.";
    Refusal::because(Slug::Withdrawn, what)
}

/// The parameters of a question, as a session has them: there an address that is to be opened has an id (MCP 2025-11-25,
/// elicitation), which the modern era has not.
fn params(asked: &Asked, attempt: AttemptId, nth: usize) -> Option<String> {
    let params = asked.params()?.text();
    if !asked.takes().url {
        return Some(params.to_owned());
    }
    let id = format!(r#""elicitationId":"{attempt}-{nth}""#);
    Some(result::with(params, &["elicitationId"], &id))
}
