//! For `./dev bench`: a plain reverse proxy of the same make as the gateway, to compare with: it reads a request,
//! sends it on, and sends the answer back.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Body>,
    upstream: String,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap();
    let upstream = arguments.next().unwrap();
    let proxy = Proxy { client: Client::builder(TokioExecutor::new()).build_http(), upstream };
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, Router::new().fallback(pass).with_state(proxy)).await.unwrap();
}

async fn pass(State(proxy): State<Proxy>, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    *request.uri_mut() = format!("http://{}{path}", proxy.upstream).parse::<Uri>().unwrap();
    request.headers_mut().remove("host");
    let Ok(answer) = proxy.client.request(request).await else {
        let mut failed = Response::new(Body::empty());
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        return failed;
    };
    let (parts, body) = answer.into_parts();
    let bytes = to_bytes(Body::new(body), 1 << 24).await.unwrap_or_default();
    Response::from_parts(parts, Body::from(bytes))
}
