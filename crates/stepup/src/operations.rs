//! The operations listener: alive, ready, and counted. No label ever holds foreign text (T146).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::cli::Desk;

/// What the listener tells of.
#[derive(Clone)]
pub struct Operations {
    /// The desk.
    pub desk: Arc<Desk>,
    /// The upstreams.
    pub upstreams: Arc<upstream::Upstreams>,
    /// Set when the node shuts down.
    pub draining: Arc<AtomicBool>,
}

/// The routes.
pub fn router(operations: Operations) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/log/checkpoint", get(checkpoint))
        .with_state(operations)
}

/// Ready when decisions can be recorded, rules are in force and this node is not going away. An upstream that does
/// not answer is named and hinders no other.
async fn ready(State(operations): State<Operations>) -> Response {
    let authority = &operations.desk.authority;
    let store = authority.store().head().await;
    let rules = authority.active().rules().len();
    let draining = operations.draining.load(Ordering::Acquire);
    let unisolated: Vec<&str> = operations.upstreams.unisolated().collect();
    let unreached: Vec<&str> = operations.upstreams.unreached().collect();
    let ready = store.is_ok() && rules > 0 && !draining;
    let waiting = authority.active().all_tools().filter(|t| t.state() == "quarantined").count();
    let body = json!({
        "ready": ready,
        "store": if store.is_ok() { "ok" } else { "failed: everything is denied" },
        "rules": rules,
        "draining": draining,
        "log_size": store.map(|head| head.size).ok(),
        "definitions_waiting": waiting,
        "upstreams_unreached": unreached,
        "upstreams_without_isolation": unisolated,
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [("content-type", "application/json")], format!("{body}\n")).into_response()
}

/// The newest signed head of the log.
async fn checkpoint(State(operations): State<Operations>) -> Response {
    match operations.desk.authority.store().last_checkpoint().await {
        Ok(Some((_, note))) => note.into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "no checkpoint has been signed yet\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n").into_response(),
    }
}
