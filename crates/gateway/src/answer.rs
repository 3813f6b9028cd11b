//! Refusals as callers are told them: everything comes from the one table of [`terms::slug`]. An error that
//! answers a request of the legacy era travels with status 200, one that answers no request under its own status.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use terms::revision::{Era, Side};
use terms::slug::Carried;
use terms::{Json, RecordId, Revision, Slug};

use crate::mcp::envelope::Id;

/// One refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) slug: Slug,
    /// What exactly, where that helps the caller; never policy, people or upstream text (T124).
    pub(crate) detail: Option<String>,
    /// What to do, where that is not what is always to be done.
    pub(crate) todo: Option<&'static str>,
    pub(crate) record: Option<RecordId>,
    /// The revision that was asked for and is not spoken, as it may be repeated.
    pub(crate) requested: Option<String>,
}

impl From<Slug> for Refusal {
    fn from(slug: Slug) -> Self {
        Self { slug, detail: None, todo: None, record: None, requested: None }
    }
}

impl Refusal {
    pub(crate) fn because(slug: Slug, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(slug) }
    }

    /// What to do.
    pub(crate) fn todo(&self) -> &'static str {
        self.todo.unwrap_or(self.slug.row().todo)
    }

    /// What happened and what to do, as one text.
    pub(crate) fn message(&self) -> String {
        let detail = self.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        format!("{}{detail} {}", self.slug.row().happened, self.todo())
    }

    /// The `error` member of JSON-RPC.
    pub(crate) fn error(&self) -> Json {
        let mut data = terms::json::Object::new();
        data.insert("slug", self.slug.row().name);
        data.insert("todo", self.todo());
        if let Some(record) = self.record {
            data.insert("record", record);
        }
        if self.slug == Slug::VersionUnsupported {
            // MCP 2026-07-28, versioning, "Protocol Version Negotiation".
            let supported = Revision::all(Side::Callers).map(|revision| Json::from(revision.name()));
            data.insert("supported", Json::Array(supported.collect()));
            if let Some(requested) = &self.requested {
                data.insert("requested", requested.as_str());
            }
        }
        Json::object([
            ("code", Json::from(i64::from(self.slug.row().code))),
            ("message", Json::from(self.message())),
            ("data", Json::Object(data)),
        ])
    }

    /// As an answer to the request with that id, or to none.
    pub(crate) fn answer(&self, era: Era, id: Option<&Id>) -> Response {
        match (self.slug.row().carried, id) {
            (Carried::JsonRpc, Some(id)) => {
                let text = told(id, "error", &self.error().text());
                if self.has_status(era) { self.under_status(&text) } else { json(StatusCode::OK, &text) }
            }
            (Carried::JsonRpc, None) => {
                // "a JSON-RPC error response that has no id" (MCP 2025-11-25, transports)
                let error = [("jsonrpc", Json::from("2.0")), ("error", self.error())];
                self.under_status(&Json::object(error).text())
            }
            // What calls are told as their results has no form of its own elsewhere: a list that cannot be recorded is
            // this node's failure, 503 (decisions §8).
            (Carried::Http | Carried::ToolError, _) => self.plain(),
        }
    }

    /// Whether the error of a request has a status of its own: in the modern era, unless the request is whole and only
    /// what it asks for is not there (MCP 2026-07-28, streamable HTTP).
    const fn has_status(&self, era: Era) -> bool {
        let whole = matches!(
            self.slug,
            Slug::ToolUnknown
                | Slug::PromptUnknown
                | Slug::ResourceUnknown
                | Slug::UriRefused
                | Slug::ArgumentsInvalid
                | Slug::StateInvalid
        );
        matches!(era, Era::Modern) && !whole
    }

    /// As an answer at a door that speaks plain HTTP.
    pub(crate) fn plain(&self) -> Response {
        let mut error = terms::json::Object::new();
        error.insert("slug", self.slug.row().name);
        error.insert("message", self.message());
        error.insert("todo", self.todo());
        if let Some(record) = self.record {
            error.insert("record", record);
        }
        self.under_status(&Json::object([("error", Json::Object(error))]).text())
    }

    fn under_status(&self, body: &str) -> Response {
        under_status(self.slug, body)
    }
}

/// A JSON answer under the status of a row of the error table.
pub(crate) fn under_status(slug: Slug, body: &str) -> Response {
    let status = StatusCode::from_u16(slug.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, body);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = if slug == Slug::CredentialInvalid {
            "Bearer realm=\"stepup\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"stepup\""
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a request: a `result` or an `error` that is written as JSON already. The one place where
/// answers are written, so that two of them differ in nothing but what they say.
pub(crate) fn told(id: &Id, member: &'static str, written: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"{member}":{written}}}"#, id.json())
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
