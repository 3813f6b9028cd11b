//! The smallest MCP client: one connection a message.

use serde_json::{Value, json};

use crate::world::exchange;

/// An agent in a session.
pub struct Agent {
    port: u16,
    key: String,
    session: Option<String>,
}

impl Agent {
    pub fn connect(port: u16, key: &str) -> Self {
        let mut agent = Self { port, key: key.to_owned(), session: None };
        let greeted = agent.ask("initialize", &hello());
        assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25", "{greeted}");
        let (status, _) = agent.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(status, 202);
        agent
    }

    /// What a greeting with a key that opens nothing is answered.
    pub fn wrong(port: u16, key: &str) -> (u16, Value) {
        let mut agent = Self { port, key: key.to_owned(), session: None };
        agent.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello() }))
    }

    /// The result of a tool.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }));
        answer.get("result").unwrap_or_else(|| panic!("{answer}")).clone()
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let (status, answer) =
            self.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Posts one message: the status, and the last message of the answer.
    pub fn post(&mut self, message: &Value) -> (u16, Value) {
        let body = message.to_string();
        let session = self.session.as_ref().map(|s| format!("mcp-session-id: {s}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /mcp/ops HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2025-11-25\r\nauthorization: Bearer {}\r\n{session}\
             content-length: {}\r\n\r\n{body}",
            self.port,
            self.key,
            body.len(),
        );
        let (status, head, body) = exchange(self.port, &request).expect("somebody listens");
        if let Some(line) = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")) {
            self.session = Some(line.to_owned());
        }
        let events = body.lines().rev().find_map(|line| line.strip_prefix("data:"));
        let text = if head.contains("text/event-stream") { events.unwrap_or_default() } else { &body };
        (status, serde_json::from_str(text).unwrap_or(Value::Null))
    }
}

fn hello() -> Value {
    json!({
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    })
}
