//! A service that asks before it purges a list: `GATEWAY=http://127.0.0.1:7300 STEPUP_KEY=… guarded 127.0.0.1:8090`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use layer::{Attempt, Gateway, Guard, Question, Wants};

#[tokio::main]
async fn main() {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let gateway =
        Gateway::new(&std::env::var("GATEWAY").unwrap(), &std::env::var("STEPUP_KEY").unwrap()).unwrap();
    let guard = Guard::new(gateway, |request: &http::request::Parts| {
        let mut path = request.uri.path().trim_start_matches('/').split('/');
        match (path.next(), path.next(), path.next()) {
            (Some("lists"), Some(id), Some("purge")) => {
                let wait = request.headers.get("prefer").is_some().then(|| Duration::from_secs(20));
                let question = Question::new("todo/purge", id).context("path", request.uri.path());
                Wants::Permit(if let Some(wait) = wait { question.wait(wait) } else { question })
            }
            _ => Wants::Nothing,
        }
    });
    let purge =
        async |Path(id): Path<String>, Extension(Attempt(attempt)): Extension<Attempt>| match id.as_str() {
            "broken" => (StatusCode::INTERNAL_SERVER_ERROR, "it broke".to_owned()),
            _ => (StatusCode::OK, format!("purged {id} as {attempt}")),
        };
    let router = Router::new()
        .route("/lists", get(async || "all lists"))
        .route("/lists/{id}/purge", post(purge))
        .layer(guard);
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}
