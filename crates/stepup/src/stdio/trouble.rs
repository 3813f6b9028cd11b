//! What keeps a request from its answer, and how the client is told: in the words of the one table of errors, or in
//! those of the gateway.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use terms::revision::Side;
use terms::{Revision, Slug, text};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The client took it back before it was sent: it wants no answer.
    TakenBack,
    /// In our words, with what exactly.
    Ours(Slug, String),
    /// In the gateway's words.
    Theirs(Refused),
}

/// What the gateway says where there is no answer in the protocol (docs/mcp.md, "plain").
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    slug: String,
    message: String,
    #[serde(default)]
    todo: String,
    #[serde(default)]
    record: Option<String>,
}

#[derive(Deserialize)]
struct Plain {
    error: Refused,
}

impl Trouble {
    pub(super) fn unreachable() -> Self {
        Self::Ours(Slug::GatewayUnreachable, "nothing answers there".to_owned())
    }

    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::Ours(Slug::AnswerLost, why.into())
    }

    /// A request that could be asked over HTTP only: it has to say in headers what the definition of its tool wants there.
    pub(super) fn not_carried() -> Self {
        let carried: Vec<&str> = Revision::in_sessions(Side::Callers).map(Revision::name).collect();
        Self::Ours(Slug::RevisionNotCarried, format!("carried are {}", carried.join(" and ")))
    }

    /// Whether the gateway is not there, or was not while it was to answer.
    pub(super) const fn is_away(&self) -> bool {
        matches!(self, Self::Ours(Slug::GatewayUnreachable | Slug::AnswerLost, _))
    }

    /// A refusal under a status: stepup says so in a form of its own, and anything else there is not stepup.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        if let Ok(Plain { mut error }) = serde_json::from_slice::<Plain>(body) {
            let row = Slug::SessionRequired.row();
            if error.slug == row.name {
                // What the gateway advises is for clients over HTTP: no client of ours sends headers.
                error.todo = "Send `initialize` first.".to_owned();
                error.message = format!("{} {}", row.happened, error.todo);
            }
            return Self::Theirs(error);
        }
        let why = format!("HTTP status {} came instead", status.as_u16());
        // Between us and the gateway there may be somebody who gave up on a request that went on.
        let slug = if status.is_server_error() { Slug::AnswerLost } else { Slug::GatewayUnreachable };
        Self::Ours(slug, why)
    }

    /// The `error` of the answer, in the form of the gateway's own; `None` where no answer is wanted.
    pub(super) fn error(&self) -> Option<Value> {
        match self {
            Self::TakenBack => None,
            Self::Ours(slug, detail) => {
                let row = slug.row();
                let message = format!("{} ({detail}) {}", row.happened, row.todo);
                Some(json!({ "code": row.code, "message": message,
                    "data": { "slug": row.name, "todo": row.todo } }))
            }
            Self::Theirs(Refused { slug, message, todo, record }) => {
                let mut data = json!({ "slug": slug, "todo": todo });
                if let (Some(record), Some(data)) = (record, data.as_object_mut()) {
                    data.insert("record".to_owned(), json!(record));
                }
                Some(json!({ "code": code(slug), "message": message, "data": data }))
            }
        }
    }

    /// The same for people, on one line.
    pub(super) fn words(&self) -> String {
        let error = self.error().unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or("taken back");
        text::visible(message)
    }
}

/// The code of a slug; of one that only a newer gateway knows, "Internal error" (JSON-RPC 2.0, 5.1).
fn code(slug: &str) -> i32 {
    Slug::TABLE.iter().find(|row| row.name == slug).map_or(-32603, |row| row.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_refuses_keeps_its_words_and_what_is_no_gateway_has_none() {
        let plain = br#"{"error":{"slug":"session_unknown","message":"It is over.","todo":"Send `initialize`.","record":"r"}}"#;
        let error = Trouble::of(StatusCode::NOT_FOUND, plain).error().unwrap();
        let data = json!({ "slug": "session_unknown", "todo": "Send `initialize`.", "record": "r" });
        assert_eq!(error, json!({ "code": 1006, "message": "It is over.", "data": data }));
        for (status, slug) in [
            (StatusCode::NOT_FOUND, "gateway_unreachable"),
            (StatusCode::FOUND, "gateway_unreachable"),
            (StatusCode::BAD_GATEWAY, "answer_lost"),
        ] {
            let trouble = Trouble::of(status, b"<html>\x1b[2J</html>");
            assert_eq!(trouble.error().unwrap()["data"]["slug"], slug);
            assert!(trouble.words().contains(status.as_str()) && !trouble.words().contains("html"));
        }
    }

    #[test]
    fn who_has_no_session_is_advised_to_no_header() {
        let plain =
            br#"{"error":{"slug":"session_required","message":"Mcp-Session-Id","todo":"Mcp-Session-Id"}}"#;
        let error = Trouble::of(StatusCode::BAD_REQUEST, plain).error().unwrap();
        assert!(error.to_string().contains("`initialize`"), "{error}");
        assert!(!error.to_string().contains("Mcp-"), "{error}");
    }

    #[test]
    fn a_slug_of_a_newer_gateway_is_told_under_no_other_ones_code() {
        let error =
            Trouble::of(StatusCode::BAD_REQUEST, br#"{"error":{"slug":"newer","message":"x"}}"#).error();
        assert_eq!(error.unwrap()["code"], -32603);
    }
}
