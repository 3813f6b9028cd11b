//! The messages, as far as they are read or written: fields with their numbers from github.com/envoyproxy/data-plane-api at 84e84367
//! (`envoy/service/auth/v3`, `envoy/config/core/v3`, `envoy/type/v3`). All of Envoy's would be built for these fourteen (rfd 39). A field that
//! is not here is skipped, as protobuf has it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRequest {
    /// What is asked about.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// `envoy.service.auth.v3.AttributeContext`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeContext {
    /// Who sent it to the proxy.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    /// What was sent.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Request>,
    /// What the proxy's operator says on the route or the host.
    #[prost(btree_map = "string, string", tag = "10")]
    pub context_extensions: BTreeMap<String, String>,
}

/// `AttributeContext.Peer`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Peer {
    /// Where it is.
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
}

/// `envoy.config.core.v3.Address`, where it is one of a network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Address {
    /// The one of a network.
    #[prost(message, optional, tag = "1")]
    pub socket_address: Option<SocketAddress>,
}

/// `envoy.config.core.v3.SocketAddress`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SocketAddress {
    /// Without its port.
    #[prost(string, tag = "2")]
    pub address: String,
}

/// `AttributeContext.Request`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// The one that there can be.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// `AttributeContext.HttpRequest`. `query` (7) and `fragment` (8) are always empty, `host` (5) and `scheme` (6) bind nothing here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpRequest {
    /// Its method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// Its headers, of one name put together with commas, and with `!` for what is not UTF-8.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    /// Its path with the query, not decoded.
    #[prost(string, tag = "4")]
    pub path: String,
    /// Its content, with `!` for what is not UTF-8. Here as bytes, which no sender can make unreadable.
    #[prost(bytes = "bytes", tag = "11")]
    pub body: Bytes,
    /// Its content.
    #[prost(bytes = "bytes", tag = "12")]
    pub raw_body: Bytes,
    /// Its headers as they are (`encode_raw_headers`).
    #[prost(message, optional, tag = "13")]
    pub header_map: Option<HeaderMap>,
}

/// `envoy.config.core.v3.HeaderMap`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderMap {
    /// One after the other.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<HeaderValue>,
}

/// `envoy.config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value, in an answer.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Its value, in a question.
    #[prost(bytes = "bytes", tag = "3")]
    pub raw_value: Bytes,
}

/// `envoy.service.auth.v3.CheckResponse`. `error_response` (5) is never used: it is let pass where errors are.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResponse {
    /// 0 lets it pass; nothing else does.
    #[prost(message, optional, tag = "1")]
    pub status: Option<RpcStatus>,
    /// What is done besides.
    #[prost(oneof = "Told", tags = "2, 3")]
    pub told: Option<Told>,
}

/// `CheckResponse.http_response`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Told {
    /// What its sender is answered.
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    /// What is changed before it goes on.
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// A code of gRPC.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `envoy.service.auth.v3.DeniedHttpResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeniedHttpResponse {
    /// Its status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Its headers.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Its content.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpStatus {
    /// The status as a number, which the enum `StatusCode` has.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `envoy.service.auth.v3.OkHttpResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OkHttpResponse {
    /// Headers that it is given.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Names of headers that it loses, after that.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
}

/// `envoy.config.core.v3.HeaderValueOption`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValueOption {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// `HeaderAppendAction`.
    #[prost(int32, tag = "3")]
    pub append_action: i32,
}

/// `HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD`.
pub const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;
