//! What an upstream asks of a caller's client in a session, and what of it is passed on: one table for both eras. One of the
//! legacy era asks while a call runs (MCP 2025-11-25, client: elicitation, sampling, roots), waits for an answer and always
//! gets one: what was judged ([`crate::reply`]), or that there is none, in words of ours. One of the modern era has answered
//! by asking, and does not wait.

use serde::Deserialize;
use serde_json::value::RawValue;
use terms::{Abilities, Feature, Json};

use crate::answer::RawJson;
use crate::message::RequestId;
use crate::raw;

/// What the names of our own questions begin with (`stepup_open`): under such a name nobody else asks.
const OUR_NAMES: &str = "stepup";

/// What an address to be opened begins with: whatever else a client would do with one, it runs no script.
const ADDRESSES: [&str; 2] = ["https://", "http://"];

/// Bytes of what is asked.
const LONGEST: usize = 1 << 20;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// That a person fills in a form, or opens an address.
    Elicitation,
    /// That a model says something.
    Sampling,
    /// Where the client works.
    Roots,
}

/// Its name on the wire, the feature that it is, and the parameters that are not passed on.
struct Row {
    asks: Asks,
    method: &'static str,
    feature: Feature,
    /// A client that declared no tasks passes over what would make one (2025-11-25, tasks, "Task Support and Handling"); and
    /// which of its other servers' words a client's model is shown is no upstream's business.
    dropped: &'static [&'static str],
    /// What takes more of a client than it is ever said to be able to.
    refused: &'static [&'static str],
}

const TABLE: [Row; 3] = [
    Row {
        asks: Asks::Elicitation,
        method: "elicitation/create",
        feature: Feature::Elicitation,
        dropped: &["task"],
        refused: &[],
    },
    Row {
        asks: Asks::Sampling,
        method: "sampling/createMessage",
        feature: Feature::Sampling,
        dropped: &["task", "includeContext"],
        refused: &["tools", "toolChoice"],
    },
    Row {
        asks: Asks::Roots,
        method: "roots/list",
        feature: Feature::Roots,
        dropped: &["task"],
        refused: &[],
    },
];

impl Asks {
    const fn row(self) -> &'static Row {
        let [elicitation, sampling, roots] = &TABLE;
        match self {
            Self::Elicitation => elicitation,
            Self::Sampling => sampling,
            Self::Roots => roots,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn method(self) -> &'static str {
        self.row().method
    }

    /// What it is, where it cannot be asked.
    #[must_use]
    pub const fn feature(self) -> Feature {
        self.row().feature
    }
}

/// Why a question is answered by nothing of a client's: a closed list, with no byte of any caller in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The client cannot be asked that.
    Unsupported,
    /// It is not known within which call it is asked.
    Unattributed,
    /// Too much was asked within one call.
    TooMany,
    /// It is not asked as its method has it.
    Invalid,
    /// The person at the client declined.
    Declined,
    /// The person at the client decided nothing.
    Dismissed,
    /// There is no answer, or it may not be given.
    None,
}

impl Unanswered {
    /// The rest of the reply, beside its id.
    pub(crate) const fn reply(self) -> &'static str {
        match self {
            Self::Unsupported => r#""error":{"code":-32601,"message":"this client does not answer that"}"#,
            Self::Unattributed => {
                r#""error":{"code":-32600,"message":"it is not known within which call this is asked"}"#
            }
            Self::TooMany => r#""error":{"code":-32600,"message":"too much was asked within one call"}"#,
            Self::Invalid => r#""error":{"code":-32602,"message":"this is not asked as its method has it"}"#,
            Self::Declined => r#""result":{"action":"decline"}"#,
            Self::Dismissed => r#""result":{"action":"cancel"}"#,
            Self::None => r#""error":{"code":-32603,"message":"there is no answer"}"#,
        }
    }
}

/// One reply to what an upstream asked; `id` is JSON as the upstream wrote it.
pub(crate) fn reply(id: &str, rest: &str) -> String {
    raw::no_line_ends(format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#))
}

/// One thing that is asked, whatever it is asked within.
#[derive(Debug)]
pub struct Asked {
    /// How the upstream names it: an id as it wrote that, or the name of an input request.
    id: String,
    asks: Asks,
    params: Option<RawJson>,
    takes: Abilities,
}

impl Asked {
    /// Reads a request of an upstream under this id.
    ///
    /// # Errors
    /// Why it is none that is ever passed on.
    pub(crate) fn read(id: &str, method: &str, params: Option<&RawValue>) -> Result<Self, Unanswered> {
        #[derive(Default, Deserialize)]
        struct Mode {
            mode: Option<String>,
            url: Option<String>,
        }
        let row = TABLE.iter().find(|row| row.method == method).ok_or(Unanswered::Unsupported)?;
        let text = params.map_or("{}", RawValue::get);
        if text.len() > LONGEST {
            return Err(Unanswered::Invalid);
        }
        let params = RawJson::of(&raw::without(text, row.dropped)).map_err(|_| Unanswered::Invalid)?;
        let members = raw::members(params.text()).ok_or(Unanswered::Invalid)?;
        if members.iter().any(|(name, _)| row.refused.contains(&name.as_str())) {
            return Err(Unanswered::Invalid);
        }
        let Mode { mode, url } = match row.asks {
            // A mode that is named twice is none.
            Asks::Elicitation => serde_json::from_str(params.text()).map_err(|_| Unanswered::Invalid)?,
            Asks::Sampling | Asks::Roots => Mode::default(),
        };
        let takes = Abilities::taken(row.method, mode.as_deref()).ok_or(Unanswered::Invalid)?;
        if takes.url && !url.is_some_and(|url| ADDRESSES.iter().any(|scheme| begins(&url, scheme))) {
            return Err(Unanswered::Invalid);
        }
        let params = (!members.is_empty()).then_some(params);
        Ok(Self { id: id.to_owned(), asks: row.asks, params, takes })
    }

    /// The name of an input request.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id
    }

    /// What it asks.
    #[must_use]
    pub const fn asks(&self) -> Asks {
        self.asks
    }

    /// Its parameters, in the upstream's words (T32); at most 1 MiB.
    #[must_use]
    pub const fn params(&self) -> Option<&RawJson> {
        self.params.as_ref()
    }

    /// What of a client it takes to answer.
    #[must_use]
    pub const fn takes(&self) -> Abilities {
        self.takes
    }

    /// The same as the question of a call; `back` writes a reply.
    pub(crate) fn within(self, call: RequestId, back: impl FnOnce(String) + Send + 'static) -> Question {
        Question { call, asked: self, back: Some(Back(Box::new(back))) }
    }

    /// It as an input request.
    fn input(&self) -> String {
        let (name, method) = (Json::from(self.name()), Json::from(self.asks.method()));
        let params =
            self.params().map(|params| format!(r#","params":{}"#, params.text())).unwrap_or_default();
        format!(r#"{name}:{{"method":{method}{params}}}"#)
    }

    /// The reply where no call is told of it.
    pub(crate) fn unanswered(&self, why: Unanswered) -> String {
        reply(&self.id, why.reply())
    }
}

/// What an upstream of the modern era asks in one round, in its order (MCP 2026-07-28, multi round-trip requests,
/// "InputRequests"), as far as a client may be asked it.
///
/// # Errors
/// Why one of them is none that is ever passed on.
pub fn inputs(requests: &RawJson) -> Result<Vec<Asked>, Unanswered> {
    #[derive(Deserialize)]
    struct Input<'t> {
        method: String,
        #[serde(borrow)]
        params: Option<&'t RawValue>,
    }
    let inputs = raw::members(requests.text()).ok_or(Unanswered::Invalid)?;
    let read = |(name, input): (String, &RawValue)| {
        if begins(&name, OUR_NAMES) {
            return Err(Unanswered::Invalid);
        }
        let input: Input<'_> = serde_json::from_str(input.get()).map_err(|_| Unanswered::Invalid)?;
        Asked::read(&name, &input.method, input.params)
    };
    inputs.into_iter().map(read).collect()
}

/// The same as it is passed on to a client of that era: what is asked of it, and nothing that is not passed on.
///
/// # Errors
/// Why one of them is none that is ever passed on.
pub fn passed_on(requests: &RawJson) -> Result<RawJson, Unanswered> {
    let inputs: Vec<String> = inputs(requests)?.iter().map(Asked::input).collect();
    RawJson::of(&format!("{{{}}}", inputs.join(","))).map_err(|_| Unanswered::Invalid)
}

/// Whether a text begins so, in capitals or not.
fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// Writes one reply.
struct Back(Box<dyn FnOnce(String) + Send>);

impl std::fmt::Debug for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Back")
    }
}

/// A question of an upstream within one call. Dropped, it is answered: that there is no answer.
#[derive(Debug)]
#[must_use = "the upstream waits for an answer"]
pub struct Question {
    call: RequestId,
    asked: Asked,
    back: Option<Back>,
}

impl Question {
    /// What it asks.
    #[must_use]
    pub const fn asks(&self) -> Asks {
        self.asked.asks()
    }

    /// Its parameters, in the upstream's words (T32); at most 1 MiB.
    #[must_use]
    pub const fn params(&self) -> Option<&RawJson> {
        self.asked.params()
    }

    /// What of a client it takes to answer.
    #[must_use]
    pub const fn takes(&self) -> Abilities {
        self.asked.takes()
    }

    /// The id of what is to be opened, where it is that (MCP 2025-11-25, elicitation, "URL Mode Elicitation Requests").
    #[must_use]
    pub fn opens(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Params {
            #[serde(rename = "elicitationId")]
            id: String,
        }
        let params = self.params().filter(|_| self.takes().url)?;
        serde_json::from_str::<Params>(params.text()).ok().map(|Params { id }| id)
    }

    /// Tells the upstream that there is no answer, and why.
    pub fn unanswered(mut self, why: Unanswered) {
        self.tell(why);
    }

    fn tell(&mut self, why: Unanswered) {
        if let Some(Back(back)) = self.back.take() {
            back(self.asked.unanswered(why));
        }
    }

    /// The request of ours within which it is asked.
    pub(crate) const fn call(&self) -> &RequestId {
        &self.call
    }

    /// The reply with this result. Whoever has it writes it: nothing else is told any more.
    pub(crate) fn answered(mut self, result: &str) -> String {
        self.back = None;
        reply(&self.asked.id, &format!(r#""result":{result}"#))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.tell(Unanswered::None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, params: &str) -> Result<(Option<String>, Abilities), Unanswered> {
        let params: &RawValue = serde_json::from_str(params).unwrap();
        let asked = Asked::read("1", method, Some(params))?;
        Ok((asked.params.map(|params| params.text().to_owned()), asked.takes))
    }

    #[test]
    fn what_would_take_more_of_a_client_than_it_declares_is_refused_or_left_out() {
        let none = Abilities::default();
        let (form, url) = (Abilities { form: true, ..none }, Abilities { url: true, ..none });
        let (sampling, roots) = (Abilities { sampling: true, ..none }, Abilities { roots: true, ..none });
        let as_is = |text: &str, takes| Ok((Some(text.to_owned()), takes));
        for (method, params, expected) in [
            ("elicitation/create", r#"{"message":"m","n":1.0}"#, as_is(r#"{"message":"m","n":1.0}"#, form)),
            (
                "elicitation/create",
                r#"{"mode":"url","task":{},"url":"HTTPS://a"}"#,
                as_is(r#"{"mode":"url","url":"HTTPS://a"}"#, url),
            ),
            ("elicitation/create", r#"{"url":"javascript:a"}"#, as_is(r#"{"url":"javascript:a"}"#, form)),
            ("elicitation/create", r#"{"mode":"url","mode":"form"}"#, Err(Unanswered::Invalid)),
            ("elicitation/create", r#"{"mode":"voice"}"#, Err(Unanswered::Invalid)),
            ("elicitation/create", "[]", Err(Unanswered::Invalid)),
            (
                "sampling/createMessage",
                r#"{"includeContext":"allServers","maxTokens":1}"#,
                as_is(r#"{"maxTokens":1}"#, sampling),
            ),
            ("sampling/createMessage", r#"{"tools":[]}"#, Err(Unanswered::Invalid)),
            ("sampling/createMessage", r#"{"tool\u0043hoice":{}}"#, Err(Unanswered::Invalid)),
            ("roots/list", "{}", Ok((None, roots))),
            ("roots/list", r#"{"_meta":{"dev.stepup/x":1,"y":2}}"#, as_is(r#"{"_meta":{"y":2}}"#, roots)),
            ("tools/call", "{}", Err(Unanswered::Unsupported)),
        ] {
            assert_eq!(read(method, params), expected, "{method} {params}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(LONGEST));
        assert_eq!(read("elicitation/create", &long), Err(Unanswered::Invalid));
    }

    #[test]
    fn a_round_is_read_by_the_same_table_and_one_that_may_not_be_asked_is_none_at_all() {
        let of = |text: &str| inputs(&RawJson::of(text).unwrap()).map_err(|why| format!("{why:?}"));
        let asked = of(
            r#"{"b":{"method":"sampling/createMessage","params":{"maxTokens":1.0,"includeContext":"thisServer"}},
                "a":{"method":"roots/list"}}"#,
        )
        .unwrap();
        let read: Vec<_> = asked
            .iter()
            .map(|one| (one.name(), one.asks(), one.params().map(RawJson::text), one.takes().roots))
            .collect();
        assert_eq!(
            read,
            [("b", Asks::Sampling, Some(r#"{"maxTokens":1.0}"#), false), ("a", Asks::Roots, None, true)]
        );
        for refused in [
            r#"{"a":{"method":"roots/list"},"b":{"method":"sampling/createMessage","params":{"tools":[]}}}"#,
            r#"{"a":{"method":"tools/call"}}"#,
            r#"{"a":{"params":{}}}"#,
            r#"{"a":[]}"#,
        ] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_round_is_passed_on_as_it_was_written_but_for_what_is_left_out_and_never_under_a_name_of_ours() {
        let of = |text: &str| passed_on(&RawJson::of(text).unwrap());
        let written = r#"{"b\"":{"x":1,"params":{"maxTokens":1.0,"includeContext":"none"},"method":"sampling/createMessage"},
            "a":{"method":"roots/list","params":{}}}"#;
        let on = r#"{"b\"":{"method":"sampling/createMessage","params":{"maxTokens":1.0}},"a":{"method":"roots/list"}}"#;
        assert_eq!(of(written).unwrap().text(), on);
        assert_eq!(of("{}").unwrap().text(), "{}");
        for name in ["stepup_open", "stepup", "STEPUP_x", r"\u0073tepup_say"] {
            let asked = format!(r#"{{"{name}":{{"method":"roots/list"}}}}"#);
            assert_eq!(of(&asked), Err(Unanswered::Invalid), "{name}");
        }
        for url in [r#""javascript:a""#, r#"" https://a""#, r#""https:a""#, "1", "null"] {
            let params = format!(r#"{{"mode":"url","url":{url}}}"#);
            let asked = format!(r#"{{"a":{{"method":"elicitation/create","params":{params}}}}}"#);
            assert_eq!(of(&asked), Err(Unanswered::Invalid), "{url}");
        }
    }

    #[test]
    fn every_question_is_answered_once_and_one_that_is_forgotten_too() {
        let (told, heard) = std::sync::mpsc::channel();
        let question = || {
            let told = told.clone();
            let asked = Asked::read("\"a\"", "roots/list", None).unwrap();
            asked.within(RequestId::named("c".to_owned()), move |text| told.send(text).unwrap())
        };
        drop(question());
        question().unanswered(Unanswered::Declined);
        assert_eq!(
            question().answered(r#"{"roots":[]}"#),
            r#"{"jsonrpc":"2.0","id":"a","result":{"roots":[]}}"#
        );
        let replies: Vec<String> = heard.try_iter().collect();
        assert_eq!(replies.len(), 2, "{replies:?}");
        assert!(replies[0].contains("-32603") && replies[1].contains("decline"), "{replies:?}");
    }

    #[test]
    fn a_row_is_found_by_what_it_is_of() {
        for row in &TABLE {
            assert_eq!(row.asks.method(), row.method);
        }
    }
}
