//! The demo's agent: a small MCP client over streamable HTTP that says what it does.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// What an exchange fails with, for the story.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// One agent with its session.
pub struct Agent {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    key: String,
    session: Option<String>,
    next: u64,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Whether the tool says that it failed or did not run.
    pub is_error: bool,
    /// What the agent reads.
    pub text: String,
    /// What a program reads: the challenge or the refusal.
    pub meta: Value,
}

impl Agent {
    /// Greets.
    ///
    /// # Errors
    /// When the gateway does not greet back.
    pub async fn connect(url: &str, key: &str) -> Result<Self, Trouble> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut agent = Self { client, url: url.to_owned(), key: key.to_owned(), session: None, next: 1 };
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "demo-agent", "version": env!("CARGO_PKG_VERSION") },
        });
        agent.request("initialize", hello).await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        agent.post(&initialized).await?;
        Ok(agent)
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When there is no answer to the call in the protocol.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Called, Trouble> {
        let result = self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await?;
        let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
        Ok(Called { is_error, text, meta: result.get("_meta").cloned().unwrap_or_default() })
    }

    async fn request(&mut self, method: &str, params: Value) -> Result<Value, Trouble> {
        let id = self.next;
        self.next += 1;
        let answer =
            self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        let answer = answer.ok_or("the gateway gave no answer")?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}").into()),
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    async fn post(&mut self, message: &Value) -> Result<Option<Value>, Trouble> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .header("authorization", format!("Bearer {}", self.key));
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        let body = Full::new(Bytes::from(message.to_string()));
        let response = self.client.request(request.body(body)?).await?;
        if let Some(session) = response.headers().get("mcp-session-id") {
            self.session = Some(session.to_str()?.to_owned());
        }
        read(response).await
    }
}

/// The last JSON-RPC message of an answer, be it JSON or a stream of events.
async fn read(response: Response<Incoming>) -> Result<Option<Value>, Trouble> {
    let status = response.status();
    let stream = response
        .headers()
        .get("content-type")
        .is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = std::str::from_utf8(&bytes)?;
    if status == StatusCode::ACCEPTED || text.is_empty() {
        return Ok(None);
    }
    if stream {
        let last = text.lines().rev().find_map(|line| line.strip_prefix("data:"));
        return Ok(last.map(serde_json::from_str).transpose()?);
    }
    let answer: Value = serde_json::from_str(text)?;
    if status.is_success() || answer.get("jsonrpc").is_some() {
        Ok(Some(answer))
    } else {
        Err(format!("{status}: {text}").into())
    }
}
