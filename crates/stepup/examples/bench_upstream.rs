//! For `./dev bench`: an MCP server over streamable HTTP that answers at once, and counts nothing but arrivals. Each
//! address is one upstream: of the legacy era, of the modern one, and one of many tools.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

type Arrivals = Arc<AtomicU64>;
type Answer = (StatusCode, HeaderMap, String);

#[tokio::main]
async fn main() {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let arrivals = Arrivals::default();
    let router = Router::new()
        .route("/mcp", post(legacy).get(no_stream))
        .route("/modern", post(modern))
        .route("/many", post(many).get(no_stream))
        .route("/items/{id}", get(item))
        .route(
            "/arrivals",
            get(|State(n): State<Arrivals>| async move { n.load(Ordering::Relaxed).to_string() }),
        )
        .with_state(arrivals);
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// An HTTP API, for what is no MCP.
async fn item() -> Answer {
    let headers =
        HeaderMap::from_iter([("content-type".parse().unwrap(), "application/json".parse().unwrap())]);
    (StatusCode::OK, headers, format!(r#"{{"text":"{}"}}"#, "t".repeat(1800)))
}

async fn no_stream() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

async fn legacy(State(arrivals): State<Arrivals>, body: Bytes) -> Answer {
    answer(&body, |method| match method {
        "initialize" => Some(json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                                     "serverInfo": { "name": "bench", "version": "1" } })),
        "tools/list" => Some(json!({ "tools": [tool("read"), tool("act")] })),
        "tools/call" => Some(called(&arrivals)),
        "ping" => Some(json!({})),
        _ => None,
    })
}

/// Stateless, as MCP 2026-07-28 has it: no greeting, and every result says of what kind it is.
async fn modern(State(arrivals): State<Arrivals>, body: Bytes) -> Answer {
    answer(&body, |method| {
        let mut result = match method {
            "server/discover" => {
                json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                                         "serverInfo": { "name": "bench", "version": "1" },
                                         "ttlMs": 0, "cacheScope": "private" })
            }
            "tools/list" => {
                json!({ "tools": [tool("read"), tool("act")], "ttlMs": 0, "cacheScope": "private" })
            }
            "tools/call" => called(&arrivals),
            _ => return None,
        };
        result["resultType"] = json!("complete");
        Some(result)
    })
}

async fn many(body: Bytes) -> Answer {
    answer(&body, |method| match method {
        "initialize" => Some(json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                                     "serverInfo": { "name": "many", "version": "1" } })),
        "tools/list" => {
            Some(json!({ "tools": (0..1000).map(|n| tool(&format!("tool_{n:04}"))).collect::<Vec<_>>() }))
        }
        "ping" => Some(json!({})),
        _ => None,
    })
}

fn called(arrivals: &Arrivals) -> Value {
    arrivals.fetch_add(1, Ordering::Relaxed);
    json!({ "content": [{ "type": "text", "text": "x".repeat(400) }] })
}

fn answer(body: &Bytes, result: impl FnOnce(&str) -> Option<Value>) -> Answer {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(id) = message.get("id") else { return (StatusCode::ACCEPTED, HeaderMap::new(), String::new()) };
    let text = match result(message.get("method").and_then(Value::as_str).unwrap_or_default()) {
        Some(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        None => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown method" } })
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    (StatusCode::OK, headers, text.to_string())
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "description": "For the bench.", "inputSchema": {
        "type": "object", "properties": { "id": { "type": "string" }, "text": { "type": "string" } } } })
}
