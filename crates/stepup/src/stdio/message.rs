//! What the bridge has to know of a message: whether it wants an answer, under which id, and whether it begins or takes
//! back something. What is wrong with a message is the gateway's to say.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use terms::Revision;
use terms::revision::Era;
use upstream::client::{no_line_ends, one_line};

/// The member of `_meta` that says which revision a request is of.
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// The id of a request, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(String);

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The request with which a session begins.
    Initialize(Option<Id>),
    /// A request of a revision without sessions, whatever it asks for.
    Modern(Option<Id>),
    /// Any other request, or what nobody can make anything of; that has no id.
    Request(Option<Id>),
    /// The notification that a session has begun.
    Initialized,
    /// The notification that takes a request back.
    Cancelled(Option<Id>),
    /// What gets no answer: any other notification.
    Notification,
    /// An answer, and whose; without an id where the other side could not read it.
    Answer(Option<Id>),
}

impl Id {
    fn of(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        (value.is_string() || value.is_number()).then(|| Self(value.to_string()))
    }
}

impl Message {
    /// Looks at one.
    pub(super) fn of(text: &[u8]) -> Self {
        let Some(members) = members(text) else { return Self::Request(None) };
        let id = || members.get("id").and_then(|id| Id::of(id.get()));
        let Some(method) = members.get("method") else {
            // What the gateway says outside of the protocol has an `error` too.
            let answers = members.contains_key("result") || members.contains_key("error");
            let answers = answers && members.contains_key("jsonrpc");
            return if answers { Self::Answer(id()) } else { Self::Request(id()) };
        };
        let method: String = serde_json::from_str(method.get()).unwrap_or_default();
        match (method.as_str(), members.contains_key("id")) {
            (_, true) if is_modern(&members) => Self::Modern(id()),
            ("initialize", _) => Self::Initialize(id()),
            (_, true) => Self::Request(id()),
            ("notifications/initialized", false) => Self::Initialized,
            ("notifications/cancelled", false) => Self::Cancelled(cancelled(&members)),
            (_, false) => Self::Notification,
        }
    }
}

/// The members of an object; of those that come twice, the last.
fn members(text: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_slice(text).ok()
}

/// Whether a message names a revision of its own that has no sessions, as the gateway reads it: any but those that have.
fn is_modern(members: &BTreeMap<String, &RawValue>) -> bool {
    let params = members.get("params").and_then(|params| self::members(params.get().as_bytes()));
    let meta = params.and_then(|params| self::members(params.get("_meta")?.get().as_bytes()));
    let Some(named) = meta.as_ref().and_then(|meta| meta.get(REVISION)) else { return false };
    let named: String = serde_json::from_str(named.get()).unwrap_or_default();
    !Revision::TABLE.iter().any(|row| row.era == Era::Legacy && row.name == named)
}

fn cancelled(members: &BTreeMap<String, &RawValue>) -> Option<Id> {
    let params = self::members(members.get("params")?.get().as_bytes())?;
    Id::of(params.get("requestId")?.get())
}

/// A message on one line (T31); `None` if it is not JSON.
pub(super) fn line(text: &[u8]) -> Option<Vec<u8>> {
    let value: &RawValue = serde_json::from_slice(text).ok()?;
    Some(no_line_ends(one_line(value.get()).into_owned()).into_bytes())
}

/// The answer to a request: an `error` as JSON text.
pub(super) fn error(id: Option<&Id>, error: &str) -> Vec<u8> {
    // "a JSON-RPC error response that has no id" (MCP 2025-11-25, transports), where nobody knows whose it is.
    let id = id.map(|Id(id)| format!("\"id\":{id},")).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",{id}\"error\":{error}}}").into_bytes()
}

/// The answer to a request that came without an id: that is then in it.
pub(super) fn addressed(text: &[u8], id: &Id) -> Option<Vec<u8>> {
    Some(error(Some(id), members(text)?.get("error")?.get()))
}

/// What `initialize` settled.
pub(super) fn version(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.pointer("/result/protocolVersion")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_an_answer_is_told_from_what_does_not() {
        let id = |json: &str| Some(Id(json.to_owned()));
        let of = |revision: &str, method: &str| {
            let meta = serde_json::json!({ REVISION: revision });
            serde_json::json!({ "id": 1, "method": method, "params": { "_meta": meta } }).to_string()
        };
        for (text, is) in [
            (r#"{"method":"tools/call","params":{},"jsonrpc":"2.0","id":7}"#, Message::Request(id("7"))),
            (r#"{"id":"a\u0062","method":"initialize"}"#, Message::Initialize(id("\"ab\""))),
            (r#"{"id":12345678901234567890,"method":"x"}"#, Message::Request(id("12345678901234567890"))),
            (r#"{"method":"x","method":"initialize","id":1}"#, Message::Initialize(id("1"))),
            (r#"{"method":"x","id":null}"#, Message::Request(None)),
            (&of("2026-07-28", "initialize"), Message::Modern(id("1"))),
            (&of("2026-07-28", "tools/list"), Message::Modern(id("1"))),
            (&of("newer", "tools/list"), Message::Modern(id("1"))),
            (&of("2025-11-25", "tools/list"), Message::Request(id("1"))),
            (&of("2025-06-18", "initialize"), Message::Initialize(id("1"))),
            (r#"{"id":1}"#, Message::Request(id("1"))),
            (r#"{"method":"notifications/initialized"}"#, Message::Initialized),
            (r#"{"method":"notifications/progress"}"#, Message::Notification),
            (r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#, Message::Cancelled(id("7"))),
            (r#"{"method":"notifications/cancelled"}"#, Message::Cancelled(None)),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Message::Answer(id("1"))),
            (r#"{"jsonrpc":"2.0","error":{}}"#, Message::Answer(None)),
            (r#"{"error":{"slug":"session_unknown"}}"#, Message::Request(None)),
            ("[]", Message::Request(None)),
            ("{", Message::Request(None)),
        ] {
            assert_eq!(Message::of(text.as_bytes()), is, "{text}");
        }
    }

    #[test]
    fn t31_what_is_written_is_one_line_of_json_with_the_same_value_or_nothing() {
        let text = "{\r\n \"a\": \"\u{2028}\u{85}\\n\"\n}";
        let line = String::from_utf8(line(text.as_bytes()).unwrap()).unwrap();
        assert!(!line.contains(['\n', '\r', '\u{2028}', '\u{85}']), "{line}");
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&line), value(text));
        for text in ["", "{", "{}\n{}", "{\"a\":\"\n\"}", "\u{feff}{}"] {
            assert_eq!(super::line(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(super::line(b"{\"a\":\"\xff\"}"), None);
    }

    #[test]
    fn an_answer_to_nobody_is_addressed_to_who_asked() {
        let id = Id::of("\"x\"").unwrap();
        let made = addressed(br#"{"jsonrpc":"2.0","error":{"code":1.0}}"#, &id).unwrap();
        assert_eq!(made, br#"{"jsonrpc":"2.0","id":"x","error":{"code":1.0}}"#);
    }
}
