//! The operations listener: alive, ready, and counted. No label ever holds foreign text (T146).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use terms::{Slug, sole};

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
        .layer(axum::middleware::from_fn_with_state(operations.clone(), named))
        .with_state(operations)
}

/// Nothing is told to who came by another name: a page of the web could have made it lead here (T25).
async fn named(State(operations): State<Operations>, request: Request, next: Next) -> Response {
    let host = sole(request.headers().get_all(header::HOST)).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| ours(host, &operations.desk.config.operations.listen)) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, refusal(&operations.desk.config.operations.listen)).into_response()
}

/// What is said to who came by another name: how to ask, and not what the configured name is.
fn refusal(listen: &str) -> String {
    let port = listen.rsplit_once(':').map_or(listen, |(_, port)| port);
    let happened = Slug::HostRefused.row().happened;
    format!(
        "{happened} Ask by its IP address, as in http://127.0.0.1:{port}/readyz, or by exactly what `[operations] \
         listen` says.\n"
    )
}

/// The address that is listened on, or one by number: what probes say of `0.0.0.0`, and what no name server can make
/// lead elsewhere.
fn ours(host: &str, listen: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case(listen) || host.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok()
}

/// Ready when decisions can be recorded, rules are in force and this node is not going away. An upstream that does
/// not answer is named and hinders no other.
async fn ready(State(operations): State<Operations>) -> Response {
    let authority = &operations.desk.authority;
    let head = authority.store().head().await.map(|head| head.size).ok();
    let store = recording(authority.store().as_ref()).await;
    let rules = authority.active().rules().len();
    let draining = operations.draining.load(Ordering::Acquire);
    let unisolated: Vec<&str> = operations.upstreams.unisolated().collect();
    let unreached: Vec<&str> = operations.upstreams.unreached().collect();
    let ready = store.is_ok() && rules > 0 && !draining;
    let waiting = authority.active().targets().filter(|t| t.state() == "quarantined").count();
    let told = authority.store().backlog().await.unwrap_or_default();
    let body = json!({
        "ready": ready,
        "store": store.as_ref().map_or_else(|why| format!("failed: {why}: everything is denied"), |()| "ok".into()),
        "rules": rules,
        "policy_folder": authority.trouble().map_or_else(|| "in force".to_owned(), |why| format!("not in force: {why}")),
        "draining": draining,
        "log_size": head,
        "definitions_waiting": waiting,
        "notifications": {
            "waiting": told.waiting,
            "failing": told.failing,
            "oldest": told.oldest.map(|at| at.millis()),
            "given_up": authority.given_up(),
        },
        "upstreams_unreached": unreached,
        "upstreams_without_isolation": unisolated,
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [("content-type", "application/json")], format!("{body}\n")).into_response()
}

/// How long the store may take to say whether it records.
const ANSWERS_IN: Duration = Duration::from_secs(5);

/// Whether decisions can be recorded, as one would be told; otherwise why not.
async fn recording(store: &dyn store::Store) -> Result<(), String> {
    match tokio::time::timeout(ANSWERS_IN, store.writable()).await {
        Ok(answer) => answer.map_err(|failed| failed.because),
        Err(_) => Err("the store does not answer".to_owned()),
    }
}

/// The newest signed head of the log.
async fn checkpoint(State(operations): State<Operations>) -> Response {
    match operations.desk.authority.store().last_checkpoint().await {
        Ok(Some((_, note))) => note.into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "no checkpoint has been signed yet\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ours, refusal};

    #[test]
    fn who_came_by_another_name_is_told_one_that_is_answered_to_and_no_configured_one() {
        let listen = "ops.internal:7302";
        let said = refusal(listen);
        let told = said.split(['/', ' ']).find(|word| word.ends_with(":7302")).unwrap();
        assert!(ours(told, listen), "{said}");
        assert!(!said.contains("ops.internal"), "{said}");
    }

    #[test]
    fn a_name_that_is_not_configured_is_not_ours() {
        let listen = "ops.internal:7302";
        for good in
            ["ops.internal:7302", "OPS.internal:7302", "127.0.0.1:7302", "10.1.2.3", "[::1]:7302", "[::1]"]
        {
            assert!(ours(good, listen), "{good}");
        }
        for evil in [
            "",
            "evil",
            "evil:7302",
            "ops.internal",
            "ops.internal:7302.evil",
            "127.0.0.1.evil:7302",
            "0x7f.1",
        ] {
            assert!(!ours(evil, listen), "{evil}");
        }
    }
}
