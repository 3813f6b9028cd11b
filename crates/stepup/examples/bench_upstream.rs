//! For `./dev bench`: an MCP server over streamable HTTP that answers at once, and counts nothing but arrivals.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};

type Arrivals = Arc<AtomicU64>;

#[tokio::main]
async fn main() {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let arrivals = Arrivals::default();
    let router = Router::new()
        .route("/mcp", post(answer).get(|| async { axum::http::StatusCode::METHOD_NOT_ALLOWED }))
        .route(
            "/arrivals",
            get(|State(n): State<Arrivals>| async move { n.load(Ordering::Relaxed).to_string() }),
        )
        .with_state(arrivals);
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn answer(State(arrivals): State<Arrivals>, body: Bytes) -> impl IntoResponse {
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let result = match message.get("method").and_then(Value::as_str).unwrap_or_default() {
        "initialize" => json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                                "serverInfo": { "name": "bench", "version": "1" } }),
        "tools/list" => json!({ "tools": [tool("read"), tool("act")] }),
        "tools/call" => {
            arrivals.fetch_add(1, Ordering::Relaxed);
            json!({ "content": [{ "type": "text", "text": "x".repeat(400) }] })
        }
        _ if id.is_null() => return (axum::http::StatusCode::ACCEPTED, HeaderMap::new(), String::new()),
        _ => json!({}),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let text = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
    (axum::http::StatusCode::OK, headers, text)
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "description": "For the bench.", "inputSchema": {
        "type": "object", "properties": { "id": { "type": "string" }, "text": { "type": "string" } } } })
}
