//! The JSON-RPC 2.0 envelope as MCP uses it since 2025-06-18, read strictly: one message a body, no member beside
//! those that the protocol names, and of `_meta` only what this side acts on (R3, B27).

use http::HeaderMap;
use terms::json::{self, NotJson, Object};
use terms::{Json, Slug};
use upstream::{Inert, LEVEL, OURS};

use crate::answer::Refusal;

/// The longest text that a caller may name its own request by.
const LONGEST_ID: usize = 256;

/// The member of `_meta` under which a caller listens for progress.
const PROGRESS_TOKEN: &str = "progressToken";

/// The member of `_meta` that says which revision a request is of.
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The members of `_meta` that say what a client can, and who it is: upstream, that is us (decisions B27).
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// The id of a caller's request: a text or an integer, given back as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    /// A text.
    Text(String),
    /// An integer.
    Number(i64),
}

impl Id {
    /// The id that a JSON value is; `None` for null, fractions and everything else (MCP, base protocol).
    pub(crate) fn of(json: &Json) -> Option<Self> {
        let text =
            json.as_str().filter(|text| text.len() <= LONGEST_ID).map(|text| Self::Text(text.to_owned()));
        text.or_else(|| json.as_i64().map(Self::Number))
    }

    /// As it came.
    pub(crate) fn json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Number(number) => Json::from(*number),
        }
    }
}

/// One message of a caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// It wants an answer.
    Request(Box<Request>),
    /// It wants none.
    Notification {
        /// The method.
        method: String,
        /// Its parameters.
        params: Object,
        /// What it says of its revision.
        revision: Option<Json>,
    },
    /// It answers a question of ours.
    Answer {
        /// The id of the question.
        id: Id,
        /// The result; `None` for an error.
        result: Option<Json>,
    },
}

impl Message {
    /// Its method and its parameters, unless it is an answer.
    pub(crate) fn parts(&self) -> Option<(&str, &Object)> {
        match self {
            Self::Request(request) => Some((&request.method, &request.params)),
            Self::Notification { method, params, .. } => Some((method, params)),
            Self::Answer { .. } => None,
        }
    }

    /// Its id, where it has one.
    pub(crate) const fn id(&self) -> Option<&Id> {
        match self {
            Self::Request(request) => Some(&request.id),
            Self::Notification { .. } | Self::Answer { .. } => None,
        }
    }

    /// What it says that its client can, whatever that is.
    pub(crate) const fn capabilities(&self) -> Option<&Json> {
        match self {
            Self::Request(request) => request.meta.capabilities.as_ref(),
            Self::Notification { .. } | Self::Answer { .. } => None,
        }
    }

    /// Whether this text is anywhere in what may go upstream.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        match self {
            Self::Request(request) => request.meta.mentions(text) || within(&request.params, text),
            Self::Answer { result, .. } => result.as_ref().is_some_and(|result| holds(result, text)),
            Self::Notification { .. } => false,
        }
    }

    /// What it says of its revision, whatever that is.
    pub(crate) const fn revision(&self) -> Option<&Json> {
        match self {
            Self::Request(request) => request.meta.revision.as_ref(),
            Self::Notification { revision, .. } => revision.as_ref(),
            Self::Answer { .. } => None,
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: String,
    /// Without `_meta`.
    pub(crate) params: Object,
    pub(crate) meta: Meta,
}

/// `_meta` taken apart. What of it is neither here nor of the caller's own person goes nowhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// The token under which progress is told, where the caller listens for it.
    pub(crate) progress: Option<Id>,
    /// What the request says of its revision, whatever that is.
    pub(crate) revision: Option<Json>,
    /// What it says that its client can, whatever that is.
    pub(crate) capabilities: Option<Json>,
    /// What it says of how much may be logged of it, whatever that is.
    pub(crate) level: Option<Json>,
    /// The headers that repeat arguments, where its era has some.
    pub(crate) told: Option<HeaderMap>,
    /// What goes upstream unjudged.
    pub(crate) inert: Inert,
    /// Everything else: what of it the operator lists for the upstream goes there with the arguments, judged, shown
    /// and bound like them (rfd 17).
    pub(crate) judged: Object,
}

/// Why a body is no message, and whom that can be told.
#[derive(Debug)]
pub(crate) struct NotAMessage {
    pub(crate) refusal: Refusal,
    pub(crate) id: Option<Id>,
}

impl From<Refusal> for NotAMessage {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, id: None }
    }
}

/// Why a body is not one strict JSON text.
pub(crate) fn not_json(why: &NotJson) -> Refusal {
    let slug = match why {
        NotJson::Syntax { .. } => Slug::NotJson,
        NotJson::DuplicateKey { .. } => Slug::DuplicateKey,
        NotJson::NumberInexact { .. } => Slug::NumberInexact,
        NotJson::TooLarge { .. } => Slug::TooLarge,
        NotJson::NotCanonical { .. } => Slug::NotCanonical,
    };
    Refusal::because(slug, why.to_string())
}

fn invalid(what: &str) -> NotAMessage {
    Refusal::because(Slug::RequestInvalid, what).into()
}

/// Reads one body.
pub(crate) fn read(body: &[u8]) -> Result<Message, NotAMessage> {
    let mut members = match json::parse(body).map_err(|why| not_json(&why))? {
        Json::Object(members) => members,
        Json::Array(_) => return Err(Refusal::from(Slug::BatchRefused).into()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return Err(invalid("the body is not an object"));
        }
    };
    let id = members
        .remove("id")
        .map(|id| Id::of(&id).ok_or_else(|| invalid("the id is neither text nor integer")));
    let id = id.transpose()?;
    envelope(members, id.clone()).map_err(|mut not| {
        not.id = id;
        not
    })
}

/// What is left of a message beside its id.
fn envelope(mut members: Object, id: Option<Id>) -> Result<Message, NotAMessage> {
    if members.remove("jsonrpc") != Some(Json::from("2.0")) {
        return Err(invalid("jsonrpc is not \"2.0\""));
    }
    let (method, id) = match (members.remove("method"), id) {
        (Some(Json::String(method)), id) => (method, id),
        (None, Some(id)) => return answer(members, id),
        (Some(_), _) | (None, None) => return Err(invalid("there is no method")),
    };
    let mut params = match members.remove("params") {
        None => Object::new(),
        Some(Json::Object(params)) => params,
        Some(_) => return Err(invalid("params is not an object")),
    };
    if let Some((name, _)) = members.iter().next() {
        return Err(invalid(&format!("unknown member {}", terms::text::visible(name))));
    }
    let meta = Meta::take(&mut params)?;
    Ok(match id {
        Some(id) => Message::Request(Box::new(Request { id, method, params, meta })),
        None => Message::Notification { method, params, revision: meta.revision },
    })
}

/// What a caller answers: a result or an error, and nothing else.
fn answer(mut members: Object, id: Id) -> Result<Message, NotAMessage> {
    let (result, error) = (members.remove("result"), members.remove("error"));
    match (result, error) {
        (Some(result), None) if members.is_empty() => Ok(Message::Answer { id, result: Some(result) }),
        (None, Some(Json::Object(_))) if members.is_empty() => Ok(Message::Answer { id, result: None }),
        _ => Err(invalid("it is neither a request nor an answer")),
    }
}

impl Meta {
    /// Takes `_meta` out of the parameters.
    fn take(params: &mut Object) -> Result<Self, Refusal> {
        let mut meta = match params.remove("_meta") {
            None => return Ok(Self::default()),
            Some(Json::Object(meta)) => meta,
            Some(_) => return Err(Refusal::because(Slug::RequestInvalid, "_meta is not an object")),
        };
        let invalid = || Refusal::because(Slug::RequestInvalid, "progressToken is neither text nor integer");
        let token = meta.remove(PROGRESS_TOKEN);
        let progress = token.map(|token| Id::of(&token).ok_or_else(invalid)).transpose()?;
        // Upstream the link has said its own.
        let revision = meta.remove(PROTOCOL_VERSION);
        let capabilities = meta.remove(CAPABILITIES);
        let level = meta.get(LEVEL).cloned();
        let inert = Inert::take(&mut meta);
        meta.retain(|name| name != CLIENT && !name.starts_with(OURS));
        Ok(Self { progress, revision, capabilities, level, told: None, inert, judged: meta })
    }

    fn mentions(&self, text: &str) -> bool {
        self.inert.mentions(text) || within(&self.judged, text)
    }
}

/// Whether a text is in any name or value of an object.
pub(crate) fn within(members: &Object, text: &str) -> bool {
    members.iter().any(|(name, value)| name.contains(text) || holds(value, text))
}

/// Whether a text is in any text or name within a value.
pub(crate) fn holds(value: &Json, text: &str) -> bool {
    match value {
        Json::String(own) => own.contains(text),
        Json::Array(items) => items.iter().any(|item| holds(item, text)),
        Json::Object(members) => within(members, text),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// That a request holds the key that it came with.
pub(crate) fn holds_key() -> Refusal {
    Refusal::because(
        Slug::RequestInvalid,
        "the message holds the key that you call stepup with, which nobody else may see: leave it out",
    )
}

/// Refuses parameters beside those that a method names: what acts must be judged (R2).
pub(crate) fn only(params: &Object, names: &[&str]) -> Result<(), Refusal> {
    let other = params.iter().find(|(name, _)| !names.contains(name));
    other.map_or(Ok(()), |(name, _)| {
        Err(Refusal::because(
            Slug::RequestInvalid,
            format!("unknown parameter {}", terms::text::visible(name)),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (Slug, Option<Id>) {
        match read(body.as_bytes()) {
            Err(NotAMessage { refusal, id }) => (refusal.slug, id),
            Ok(message) => panic!("{body} was read as {message:?}"),
        }
    }

    #[test]
    fn a_request_is_read_with_its_id_as_it_came() {
        for (text, id) in [("7", Id::Number(7)), ("\"a\"", Id::Text("a".into())), ("-1", Id::Number(-1))] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"ping"}}"#);
            let Ok(Message::Request(request)) = read(body.as_bytes()) else { panic!("{body}") };
            assert_eq!((request.id.json().text().as_str(), &request.id), (text, &id));
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read_at_all() {
        for (body, slug) in [
            ("", Slug::NotJson),
            ("\u{feff}{}", Slug::NotJson),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, Slug::NotJson),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, Slug::DuplicateKey),
            (r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"ping","method":"tools/call"}"#, Slug::DuplicateKey),
            (r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#, Slug::NumberInexact),
            ("[]", Slug::BatchRefused),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Slug::BatchRefused),
            ("7", Slug::RequestInvalid),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Slug::RequestInvalid),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Slug::RequestInvalid),
        ] {
            assert_eq!(refused(body), (slug, None), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_beside_a_good_id_is_told_under_that_id() {
        for body in [
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"extra":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":null}}}"#,
        ] {
            assert_eq!(refused(body), (Slug::RequestInvalid, Some(Id::Number(1))), "{body}");
        }
    }

    fn meta(meta: &str) -> Meta {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","_meta":{meta}}}}}"#
        );
        let Ok(Message::Request(request)) = read(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(Json::Object(request.params).text(), r#"{"name":"t"}"#);
        request.meta
    }

    #[test]
    fn b27_of_meta_everything_is_judged_but_a_closed_list() {
        let all = r#"{"progressToken":"p","x/y":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/clientInfo":{"name":"n"},
            "io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"info",
            "io.modelcontextprotocol/related-task":{"taskId":"t"},"dev.stepup/challenge":{"elevation":"e"}}"#;
        let read = meta(all);
        assert_eq!(read.progress, Some(Id::Text("p".into())));
        assert_eq!(read.revision, Some(Json::from("2025-11-25")));
        assert!(read.inert.mentions("0af765") && read.inert.mentions("info"));
        let judged = r#"{"io.modelcontextprotocol/related-task":{"taskId":"t"},"x/y":1}"#;
        assert_eq!(Json::Object(read.judged).text(), judged);
        assert_eq!(meta("{}"), Meta::default());
    }

    #[test]
    fn t26_a_key_is_found_wherever_in_meta_it_would_travel() {
        for given in [
            r#"{"authorization":"Bearer KEY"}"#,
            r#"{"x/y":{"deep":[1,["KEY"]]}}"#,
            r#"{"KEY":1}"#,
            r#"{"x":{"K\u0045Y":null}}"#,
            r#"{"baggage":"k=KEY"}"#,
        ] {
            assert!(meta(given).mentions("KEY"), "{given}");
        }
        assert!(!meta(r#"{"io.modelcontextprotocol/clientInfo":{"name":"KEY"},"x":"key"}"#).mentions("KEY"));
    }
}
