//! One unary call of gRPC, by tonic, but without its transport: connections are bounded by our own listener.

use std::future::ready;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use futures_util::future::Map;
use http::Request;
use http_body_util::Full;
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Response, Status};

use crate::wire::{CheckRequest, CheckResponse};

/// A message of length 0, framed (gRPC over HTTP/2, "Length-Prefixed-Message").
const NOTHING: [u8; 5] = [0; 5];

/// Answers a call that is here whole. What is no message of that kind is `None`, and is answered too.
pub(crate) async fn unary<F, A>(request: Request<Full<Bytes>>, ask: F) -> http::Response<Body>
where
    F: FnMut(Option<CheckRequest>) -> A,
    A: Future<Output = CheckResponse>,
{
    Grpc::new(Messages).max_decoding_message_size(usize::MAX).unary(Asking(ask), request).await
}

/// Answers a call of which nothing is read.
pub(crate) async fn unread(response: CheckResponse) -> http::Response<Body> {
    let request = Request::new(Full::new(Bytes::from_static(&NOTHING)));
    unary(request, |_| ready(response.clone())).await
}

/// Whatever is asked, as a service of tonic.
struct Asking<F>(F);

type Answered = Result<Response<CheckResponse>, Status>;

impl<F, A> UnaryService<Option<CheckRequest>> for Asking<F>
where
    F: FnMut(Option<CheckRequest>) -> A,
    A: Future<Output = CheckResponse>,
{
    type Response = CheckResponse;
    type Future = Map<A, fn(CheckResponse) -> Answered>;

    fn call(&mut self, request: tonic::Request<Option<CheckRequest>>) -> Self::Future {
        (self.0)(request.into_inner()).map(|response| Ok(Response::new(response)))
    }
}

/// How messages are read and written.
struct Messages;

impl Codec for Messages {
    type Encode = CheckResponse;
    type Decode = Option<CheckRequest>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Messages {
    type Item = CheckResponse;
    type Error = Status;

    fn encode(&mut self, response: CheckResponse, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.encode(to).map_err(|why| Status::internal(why.to_string()))
    }
}

impl Decoder for Messages {
    type Item = Option<CheckRequest>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        Ok(Some(CheckRequest::decode(message).ok()))
    }
}
