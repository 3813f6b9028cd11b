//! JSON-RPC 2.0 as MCP uses it, in either era: the requests that we write, and what we make of what we hear.
//! Nothing here knows how messages travel.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use terms::json::{Limits, Object};
use terms::revision::Era;
use terms::{Abilities, Action, Ambient, Json, Slug};

use crate::answer::{Answer, Progress, RawJson, URL_ELICITATION_REQUIRED};
use crate::errand::{Has, Listing};
use crate::inert::Inert;
use crate::mirror::{Header, METHOD};
use crate::note::{Logged, Note};
use crate::question::{Asked, Unanswered, reply};
use crate::{modern, raw};

/// The member of `_meta` under which progress is asked for; its value is ours.
const PROGRESS_TOKEN: &str = "progressToken";

/// The longest text that an upstream may name its own request by.
const LONGEST_ID: usize = 1024;

/// The id of one of our requests: 128 random bits, never the caller's, so that no answer can be taken for
/// another's (T24). Also the token of its progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn fresh(ambient: &dyn Ambient) -> Self {
        let mut bytes = [0; 16];
        ambient.fill(&mut bytes);
        Self(terms::hash::hex(&bytes).collect())
    }

    /// One that an upstream names; whether it is one of ours is for whoever looks for it.
    pub(crate) const fn named(id: String) -> Self {
        Self(id)
    }
}

/// JSON-RPC 2.0: an error of the server's own.
const INTERNAL_ERROR: i64 = -32603;

/// One request of ours, ready to be written. One line, whatever is in it (T31).
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) text: String,
    /// What travels in headers, where there are any.
    pub(crate) inert: Inert,
    /// What the headers say of it in the modern era, where there are any.
    pub(crate) headers: Vec<Header>,
}

/// One call, as it was judged.
pub(crate) struct Call {
    /// What is done.
    pub(crate) action: Action,
    /// Its parameters, beside `_meta`.
    pub(crate) params: Object,
    /// What was judged of the caller's `_meta`.
    pub(crate) meta: Object,
    /// What the upstream may ask before it goes on.
    pub(crate) abilities: Abilities,
    /// What only transports.
    pub(crate) inert: Inert,
    /// Whether somebody listens for its progress.
    pub(crate) progress: bool,
    /// What its headers say of it in the modern era.
    pub(crate) headers: Vec<Header>,
}

impl Request {
    pub(crate) fn new(era: Era, id: RequestId, method: &'static str, params: Object) -> Self {
        Self::with_meta(era, id, method, params, (Object::new(), Abilities::default()))
    }

    fn with_meta(
        era: Era,
        id: RequestId,
        method: &'static str,
        mut params: Object,
        (mut meta, abilities): (Object, Abilities),
    ) -> Self {
        let headers = match era {
            Era::Legacy => Vec::new(),
            Era::Modern => {
                modern::envelope(&mut meta, abilities);
                vec![(METHOD, http::HeaderValue::from_static(method))]
            }
        };
        if !meta.is_empty() {
            params.insert("_meta", Json::Object(meta));
        }
        let message = Json::object([
            ("jsonrpc", Json::from("2.0")),
            ("id", Json::from(id.0.as_str())),
            ("method", Json::from(method)),
            ("params", Json::Object(params)),
        ]);
        Self { text: raw::no_line_ends(message.text()), id, inert: Inert::default(), headers }
    }

    /// What a permit is for, with a token for progress where somebody listens for it.
    pub(crate) fn call(era: Era, id: RequestId, call: Call) -> Self {
        let Call { action, params, mut meta, abilities, inert, progress, headers } = call;
        for (name, value) in inert.meta() {
            meta.insert(name, value);
        }
        if progress {
            meta.insert(PROGRESS_TOKEN, id.0.as_str());
        }
        let mut request = Self::with_meta(era, id, method(era, action), params, (meta, abilities));
        request.headers.extend(headers);
        Self { inert, ..request }
    }
}

/// What an action is called on the wire.
const fn method(era: Era, action: Action) -> &'static str {
    match (era, action) {
        (Era::Modern, Action::Subscribe) => modern::LISTEN,
        (Era::Modern | Era::Legacy, _) => action.name(),
    }
}

/// One notification of ours.
pub(crate) fn notification(method: &str, params: Option<Json>) -> String {
    let members = [("jsonrpc", Json::from("2.0")), ("method", Json::from(method))];
    let members = members.into_iter().chain(params.map(|params| ("params", params)));
    raw::no_line_ends(Json::object(members).text())
}

/// `notifications/cancelled` for a request of ours.
pub(crate) fn cancelled(id: &RequestId) -> String {
    notification("notifications/cancelled", Some(Json::object([("requestId", Json::from(id.0.as_str()))])))
}

/// Which lists have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Of tools or prompts, which are pinned.
    Pinned,
    /// Of resources or their templates.
    Resources,
}

/// What one message of an upstream is to us.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The answer to a request of ours; `None` where it is not a valid one.
    Answer(RequestId, Option<Answer>),
    /// Progress of a request of ours.
    Progress(RequestId, Progress),
    /// Something that is told beside an answer, of which it is not said within which call.
    Note(Note),
    /// What was to be done at an address is over, by the id that the upstream gave it.
    Completed(String),
    /// The upstream asks what no client is told of; this is our reply.
    Asked(String),
    /// The upstream asks something of a client, within one of its calls.
    Question(Asked),
    /// The same in the modern era, which has no such requests, and no replies (stdio, "Receiving Messages").
    Forbidden,
    /// A resource has changed, by its URI.
    Updated(String),
    /// In the modern era: that of the subscription of that id.
    UpdatedOn(RequestId),
    /// A list may have changed; in the modern era, on the subscription of that id.
    ListChanged(Lists, Option<RequestId>),
    /// A subscription of ours begins, with these resources.
    Acknowledged(RequestId, Vec<String>),
    /// A subscription of ours is ended by the upstream.
    Ended(RequestId),
    /// A notification that nobody here listens for.
    Ignored,
}

/// Not a JSON-RPC message of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAMessage;

#[derive(Deserialize)]
struct Envelope<'t> {
    jsonrpc: String,
    #[serde(borrow)]
    id: Option<&'t RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'t RawValue>,
    #[serde(borrow)]
    result: Option<&'t RawValue>,
    #[serde(borrow)]
    error: Option<&'t RawValue>,
}

/// Reads one message: exactly one JSON object. One whose envelope can be read in two ways is no message, or, where
/// there is no doubt which request it answers, no valid answer to it, so that nobody waits for another.
pub(crate) fn hear(bytes: &[u8], era: Era) -> Result<Heard, NotAMessage> {
    let text = raw::no_halves(std::str::from_utf8(bytes).map_err(|_| NotAMessage)?);
    let text = text.as_ref();
    if !text.trim_start().starts_with('{') {
        // Not in vain: serde reads an array as the members of an object in their order.
        return Err(NotAMessage);
    }
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else { return unreadable(text) };
    if envelope.jsonrpc != "2.0" {
        return Err(NotAMessage);
    }
    match envelope {
        Envelope { id: Some(id), method: Some(method), params, result: None, error: None, .. } => match era {
            Era::Legacy => asked(id, &method, params),
            Era::Modern => Ok(Heard::Forbidden),
        },
        Envelope { id: None, method: Some(method), params, result: None, error: None, .. } => {
            Ok(told(&method, params, era))
        }
        Envelope { id: Some(id), method: None, result, error, .. } => {
            let id: String = serde_json::from_str(id.get()).map_err(|_| NotAMessage)?;
            Ok(Heard::Answer(RequestId(id), answer(result, error, era)))
        }
        Envelope { .. } => Err(NotAMessage),
    }
}

/// What cannot be read as an envelope, and may all the same name one request of ours and be no request itself.
fn unreadable(text: &str) -> Result<Heard, NotAMessage> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
        method: Option<IgnoredAny>,
    }
    match serde_json::from_str(text) {
        Ok(Named { id, method: None }) => Ok(Heard::Answer(RequestId(id), None)),
        Ok(Named { method: Some(_), .. }) | Err(_) => Err(NotAMessage),
    }
}

fn answer(result: Option<&RawValue>, error: Option<&RawValue>, era: Era) -> Option<Answer> {
    #[derive(Deserialize)]
    struct ToolResult {
        #[serde(rename = "isError")]
        is_error: Option<bool>,
    }
    #[derive(Deserialize)]
    struct RpcError<'t> {
        code: i64,
        message: String,
        #[serde(borrow)]
        data: Option<&'t RawValue>,
    }
    match (result, error) {
        (Some(result), None) if result.get().starts_with('{') => {
            let complete = || {
                let ToolResult { is_error } = serde_json::from_str(result.get()).ok()?;
                let result = RawJson::of(result.get()).ok()?;
                Some(Answer::Result { result, failed: is_error.unwrap_or(false) })
            };
            match era {
                Era::Legacy => complete(),
                Era::Modern => modern::result(result, complete),
            }
        }
        (None, Some(error)) => {
            let RpcError { code, message, data } = serde_json::from_str(error.get()).ok()?;
            let data = data.filter(|_| code != URL_ELICITATION_REQUIRED);
            let data = data.map(|data| RawJson::of(&raw::without_our_slug(data.get()))).transpose().ok()?;
            Some(Answer::Error { code: not_ours(code), message, data })
        }
        (Some(_) | None, _) => None,
    }
}

fn asked(id: &RawValue, method: &str, params: Option<&RawValue>) -> Result<Heard, NotAMessage> {
    let id = id.get();
    if id.len() > LONGEST_ID || !id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        return Err(NotAMessage);
    }
    Ok(match method {
        "ping" => Heard::Asked(reply(id, r#""result":{}"#)),
        _ => match Asked::read(id, method, params) {
            Ok(asked) => Heard::Question(asked),
            Err(why) => Heard::Asked(reply(id, Unanswered::reply(why))),
        },
    })
}

fn told(method: &str, params: Option<&RawValue>, era: Era) -> Heard {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "progressToken")]
        token: String,
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct Cancelled {
        #[serde(rename = "requestId")]
        id: String,
    }
    match method {
        "notifications/tools/list_changed" | "notifications/prompts/list_changed" => {
            changed(Lists::Pinned, params, era)
        }
        "notifications/resources/list_changed" => changed(Lists::Resources, params, era),
        "notifications/subscriptions/acknowledged" if era == Era::Modern => {
            let acknowledged = |id| Heard::Acknowledged(id, modern::acknowledged(params));
            modern::subscription(params).map_or(Heard::Ignored, acknowledged)
        }
        "notifications/cancelled" if era == Era::Modern => {
            let cancelled = params.and_then(|params| serde_json::from_str::<Cancelled>(params.get()).ok());
            cancelled.map_or(Heard::Ignored, |Cancelled { id }| Heard::Ended(RequestId(id)))
        }
        "notifications/progress" => {
            let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok());
            params.map_or(Heard::Ignored, |Params { token, progress, total, message }| {
                Heard::Progress(RequestId(token), Progress { progress, total, message })
            })
        }
        "notifications/resources/updated" => match era {
            Era::Legacy => updated(params),
            Era::Modern => modern::subscription(params).map_or(Heard::Ignored, Heard::UpdatedOn),
        },
        "notifications/message" => {
            params.and_then(|params| Logged::read(params.get())).map_or(Heard::Ignored, Heard::Note)
        }
        "notifications/elicitation/complete" if era == Era::Legacy => completed(params),
        _ => Heard::Ignored,
    }
}

/// Which resource has changed; of what is no URI of ours nobody can be told.
fn updated(params: Option<&RawValue>) -> Heard {
    #[derive(Deserialize)]
    struct Updated {
        uri: String,
    }
    let updated = params.and_then(|params| serde_json::from_str::<Updated>(params.get()).ok());
    updated.map_or(Heard::Ignored, |Updated { uri }| Heard::Updated(uri))
}

/// Which interaction beside the wire is over (MCP 2025-11-25, elicitation, "Completion Notifications for URL Mode
/// Elicitation").
fn completed(params: Option<&RawValue>) -> Heard {
    #[derive(Deserialize)]
    struct Completed {
        #[serde(rename = "elicitationId")]
        id: String,
    }
    let completed = params.and_then(|params| serde_json::from_str::<Completed>(params.get()).ok());
    completed.map_or(Heard::Ignored, |Completed { id }| Heard::Completed(id))
}

/// Lists that are said to have changed, in the modern era on a subscription.
fn changed(lists: Lists, params: Option<&RawValue>, era: Era) -> Heard {
    match era {
        Era::Legacy => Heard::ListChanged(lists, None),
        Era::Modern => modern::subscription(params)
            .map_or(Heard::Ignored, |subscription| Heard::ListChanged(lists, Some(subscription))),
    }
}

/// The members of one list that a page names, and where the list goes on.
pub(crate) struct Page {
    /// Each of them; `None` where it is not strict JSON.
    pub(crate) entries: Vec<Option<Json>>,
    pub(crate) next: Option<String>,
    /// Bytes of the page.
    pub(crate) size: usize,
}

/// Reads a page of a list.
pub(crate) fn page(result: &RawJson, listing: Listing) -> Option<Page> {
    #[derive(Deserialize)]
    struct List<'t> {
        #[serde(borrow)]
        tools: Option<Vec<&'t RawValue>>,
        #[serde(borrow)]
        prompts: Option<Vec<&'t RawValue>>,
        #[serde(borrow)]
        resources: Option<Vec<&'t RawValue>>,
        #[serde(rename = "resourceTemplates", borrow)]
        templates: Option<Vec<&'t RawValue>>,
        #[serde(rename = "nextCursor")]
        next: Option<String>,
    }
    let List { tools, prompts, resources, templates, next } = serde_json::from_str(result.text()).ok()?;
    let entries = match listing {
        Listing::Tools => tools,
        Listing::Prompts => prompts,
        Listing::Resources => resources,
        Listing::Templates => templates,
    };
    let strict = |entry: &RawValue| terms::json::parse_within(entry.get().as_bytes(), Limits::ANSWER).ok();
    Some(Page { entries: entries?.into_iter().map(strict).collect(), next, size: result.text().len() })
}

/// What `initialize` was answered with.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) version: String,
    pub(crate) has: Has,
    /// Whether calls of its tools may be tasks.
    pub(crate) tasks: bool,
}

/// The code of an upstream's error, unless it is one by which callers know our own refusals (T32): that says nothing then.
fn not_ours(code: i64) -> i64 {
    let own = Slug::TABLE.iter().any(|row| row.code > 0 && i64::from(row.code) == code);
    if own { INTERNAL_ERROR } else { code }
}

/// Whether the tasks that a server says it takes are calls of its tools.
fn takes_calls(tasks: &str) -> bool {
    let tasks = serde_json::from_str::<serde_json::Value>(tasks).unwrap_or_default();
    tasks.pointer("/requests/tools/call").is_some_and(serde_json::Value::is_object)
}

/// Whether a server tells of resources that change.
fn subscribes(resources: &str) -> bool {
    let resources = serde_json::from_str::<serde_json::Value>(resources).unwrap_or_default();
    resources.get("subscribe").and_then(serde_json::Value::as_bool) == Some(true)
}

/// Reads the answer to `initialize`.
pub(crate) fn hello(result: &RawJson) -> Option<Hello> {
    #[derive(Deserialize)]
    struct Capabilities<'t> {
        #[serde(borrow)]
        tools: Option<&'t RawValue>,
        #[serde(borrow)]
        prompts: Option<&'t RawValue>,
        #[serde(borrow)]
        resources: Option<&'t RawValue>,
        #[serde(borrow)]
        completions: Option<&'t RawValue>,
        #[serde(borrow)]
        logging: Option<&'t RawValue>,
        #[serde(borrow)]
        tasks: Option<&'t RawValue>,
    }
    #[derive(Deserialize)]
    struct Initialized<'t> {
        #[serde(rename = "protocolVersion")]
        version: String,
        #[serde(borrow)]
        capabilities: Capabilities<'t>,
    }
    let Initialized { version, capabilities } = serde_json::from_str(result.text()).ok()?;
    Some(Hello {
        version,
        has: Has {
            tools: capabilities.tools.is_some(),
            prompts: capabilities.prompts.is_some(),
            resources: capabilities.resources.is_some(),
            completions: capabilities.completions.is_some(),
            logging: capabilities.logging.is_some(),
            subscribe: capabilities.resources.is_some_and(|resources| subscribes(resources.get())),
        },
        tasks: capabilities.tasks.is_some_and(|tasks| takes_calls(tasks.get())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_of(text: &str) -> Option<Answer> {
        match hear(text.as_bytes(), Era::Legacy) {
            Ok(Heard::Answer(_, answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whatever_is_in_the_arguments_one_request_is_one_line() {
        let nasty = "\n{\"jsonrpc\":\"2.0\"}\r\u{85}\u{2028}\u{2029}\u{b}\u{c}\0";
        let arguments = Json::object([(nasty, Json::from(nasty))]);
        let meta = Object::from_iter([(nasty.to_owned(), Json::from(nasty))]);
        let params = Object::from_iter([("name", Json::from(nasty)), ("arguments", arguments)]);
        for era in [Era::Legacy, Era::Modern] {
            let call = Call {
                abilities: Abilities::default(),
                action: Action::Call,
                params: params.clone(),
                meta: meta.clone(),
                inert: Inert::default(),
                progress: true,
                headers: Vec::new(),
            };
            let request = Request::call(era, RequestId("1".into()), call);
            let line_ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
            assert!(!request.text.contains(line_ends), "{}", request.text);
            let read: serde_json::Value = serde_json::from_str(&request.text).unwrap();
            assert_eq!(read["params"]["name"], nasty);
            assert_eq!(read["params"]["arguments"][nasty], nasty);
            assert_eq!(read["params"]["_meta"][nasty], nasty);
        }
    }

    #[test]
    fn invariant_10_an_answer_that_can_be_read_in_two_ways_is_no_answer() {
        for text in [
            r#"{"jsonrpc":"2.0","id":"a","id":"b","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"x","method":"x"}"#,
            r#"["2.0","a",null,null,{},null]"#,
            r#"["a",null]"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"x","result":{}}"#,
            r#"{"jsonrpc":"1.0","id":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
            r#"[{"jsonrpc":"2.0","id":"a","result":{}}]"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{}} {}"#,
            "",
        ] {
            assert!(hear(text.as_bytes(), Era::Legacy).is_err(), "{text}");
        }
        assert!(hear(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"result\":{}}", Era::Legacy).is_err());
        for text in [
            r#"{"jsonrpc":"2.0","id":"a","result":{},"result":{}}"#,
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{},"error":{"code":1,"message":"m"}}"#,
            r#"{"jsonrpc":"2.0","id":"a"}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":7}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{"isError":false,"isError":true}}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{"isError":"no"}}"#,
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":"1","message":"m"}}"#,
        ] {
            assert_eq!(result_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_tool_that_says_that_it_failed_has_failed() {
        use elevation::Outcome;
        for (text, outcome) in [
            (r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, Outcome::Done),
            (r#"{"jsonrpc":"2.0","id":"a","result":{"isError":false}}"#, Outcome::Done),
            (r#"{"jsonrpc":"2.0","id":"a","result":{"isError":true}}"#, Outcome::Failed),
            (r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"m"}}"#, Outcome::Failed),
        ] {
            assert_eq!(result_of(text).unwrap().outcome(), outcome, "{text}");
        }
    }

    #[test]
    fn an_upstream_that_asks_for_an_elicitation_is_told_no_and_its_links_go_nowhere() {
        let asks = r#"{"jsonrpc":"2.0","id":"x\u2028","method":"elicitation/create","params":{}}"#;
        let Ok(Heard::Question(asked)) = hear(asks.as_bytes(), Era::Legacy) else { panic!() };
        let reply = asked.unanswered(Unanswered::Unsupported);
        assert!(reply.contains("-32601"), "{reply}");
        let needs = r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32042,"message":"m","data":{"url":"u"}}}"#;
        let Some(Answer::Error { data: None, .. }) = result_of(needs) else { panic!() };
    }

    #[test]
    fn t32_an_upstreams_error_has_no_code_of_ours() {
        for row in Slug::TABLE.iter().filter(|row| row.code > 0) {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":"a","error":{{"code":{},"message":"m","data":{{"dev.stepup/challenge":1,"link":"l"}}}}}}"#,
                row.code
            );
            let Some(Answer::Error { code, data, .. }) = result_of(&text) else { panic!("{text}") };
            assert_eq!((code, data.unwrap().text()), (-32603, r#"{"link":"l"}"#), "{}", row.name);
        }
        let theirs = r#"{"jsonrpc":"2.0","id":"a","error":{"code":7,"message":"m"}}"#;
        let Some(Answer::Error { code: 7, .. }) = result_of(theirs) else { panic!() };
    }

    #[test]
    fn a_progress_notice_without_our_token_is_ignored() {
        for params in [r#"{"progress":1}"#, r#"{"progressToken":1,"progress":1}"#, "{}", "7"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
            assert!(matches!(hear(text.as_bytes(), Era::Legacy), Ok(Heard::Ignored)), "{text}");
        }
    }

    #[test]
    fn what_is_deeper_than_an_answer_may_be_is_no_answer() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":"a","result":{{"a":{}{}}}}}"#,
            "[".repeat(500),
            "]".repeat(500)
        );
        assert_eq!(result_of(&deep), None);
    }
}
