//! The answer as Envoy takes it.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use terms::AttemptId;
use tonic::Code;

use crate::wire::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpStatus,
    OVERWRITE_IF_EXISTS_OR_ADD, OkHttpResponse, RpcStatus, Told,
};

/// Names the attempt, for the API.
const ATTEMPT: &str = "stepup-attempt";

/// What of a request is for stepup and nobody else: the key of its caller, and what it says of its own accord.
const OURS: [&str; 3] = ["authorization", "stepup-purpose", "stepup-ticket"];

/// By these a sender has Envoy's router send a request again, where it is taken for one of its own network: what was approved once
/// would arrive more often (Envoy, "HTTP header manipulation", router).
const AGAIN: [&str; 6] = [
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-hedge-on-per-try-timeout",
];

/// It passes, without what is ours, and once.
pub(crate) fn passes(attempt: AttemptId) -> CheckResponse {
    let told = OkHttpResponse {
        headers: vec![set(ATTEMPT, attempt.to_string())],
        headers_to_remove: OURS.into_iter().chain(AGAIN).map(str::to_owned).collect(),
    };
    response(Code::Ok, Told::Ok(told))
}

/// It does not, and its sender is told this.
pub(crate) fn stops(answer: &http::Response<Bytes>) -> CheckResponse {
    let code = match answer.status() {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        _ => Code::PermissionDenied,
    };
    // How long it is Envoy counts itself.
    let headers = answer.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH);
    let headers =
        headers.filter_map(|(name, value)| Some(set(HeaderName::as_str(name), value.to_str().ok()?)));
    let told = DeniedHttpResponse {
        status: Some(HttpStatus { code: answer.status().as_u16().into() }),
        headers: headers.collect(),
        body: String::from_utf8_lossy(answer.body()).into_owned(),
    };
    response(code, Told::Denied(told))
}

fn response(code: Code, told: Told) -> CheckResponse {
    CheckResponse { status: Some(RpcStatus { code: code.into() }), told: Some(told) }
}

fn set(name: &str, value: impl Into<String>) -> HeaderValueOption {
    let header = HeaderValue { key: name.to_owned(), value: value.into(), raw_value: Bytes::new() };
    HeaderValueOption { header: Some(header), append_action: OVERWRITE_IF_EXISTS_OR_ADD }
}
