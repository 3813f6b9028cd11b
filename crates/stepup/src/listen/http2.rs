//! A connection of HTTP/2, and when it is of no use to anyone. Its library answers whoever floods it: streams that are opened and
//! reset, heads without end, pings and settings (CVE-2023-44487, CVE-2024-27316).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use terms::Millis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::{Taken, answer};

/// Requests at once on one connection, and bytes of a request's head.
const STREAMS: u32 = 128;
const HEAD: u32 = 16 << 10;

/// Bytes that a connection may send before they are read, all its requests together; and of one request's answer that are
/// kept for a connection that does not read. With these, a connection takes about as much as one of HTTP/1.1.
const UNREAD: u32 = 64 << 10;
const UNSENT: usize = 16 << 10;

/// Streams that were opened and reset before anybody looked at them, and those that were reset for what was wrong on them: with one more, the
/// connection ends.
const RESET_EARLY: usize = 20;
const RESET_BY_US: usize = 64;

/// How often it is looked whether the other end is still there.
const STILL_THERE: Duration = Duration::from_secs(20);

/// The longest answer that is not waited for: longer ones, and those of which nobody knows, keep their connection.
const SHORT: u64 = 64 << 10;

/// How long a connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Once it has asked, for as long as it answers pings: those that may ask are few and known.
    OnceHeard,
    /// While it asks.
    InUse,
}

/// Serves it to its end.
pub(super) async fn serve<S>(
    Taken { stream, peer, _place }: Taken<S>,
    router: Router,
    (kept, within): (Kept, Millis),
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let uses = Arc::new(Uses::default());
    let router = TowerToHyperService::new(router);
    let counted = Arc::clone(&uses);
    let service = service_fn(move |request: Request<Incoming>| {
        let using = Using::begin(&counted);
        let answering = answer(&router, request, peer);
        async move { answering.await.map(|response| using.until_told(response)) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(STILL_THERE);
    builder.max_concurrent_streams(STREAMS).max_header_list_size(HEAD);
    builder.initial_connection_window_size(UNREAD).initial_stream_window_size(UNREAD);
    builder.max_send_buf_size(UNSENT);
    builder.max_pending_accept_reset_streams(RESET_EARLY).max_local_error_reset_streams(RESET_BY_US);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let unused = tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        () = uses.none(kept, within) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if unused && uses.asked.load(Ordering::Relaxed) == 0 {
        return;
    }
    serving.as_mut().graceful_shutdown();
    if unused {
        // What was asked meanwhile is answered; who does not take it, or leave, is left.
        let _ = tokio::time::timeout(within.duration(), serving).await;
    } else {
        let _ = serving.await;
    }
}

/// What a connection is used for.
#[derive(Default)]
struct Uses {
    /// Requests so far.
    asked: AtomicU64,
    /// Those that are being answered.
    open: AtomicUsize,
}

impl Uses {
    /// Returns when nothing is and nothing was asked for so long.
    async fn none(&self, kept: Kept, within: Millis) {
        let mut seen = 0;
        loop {
            tokio::time::sleep(within.duration()).await;
            let asked = self.asked.load(Ordering::Relaxed);
            let quiet = asked == seen && self.open.load(Ordering::Relaxed) == 0;
            if quiet && (asked == 0 || kept == Kept::InUse) {
                return;
            }
            seen = asked;
        }
    }
}

/// One request that is being answered.
struct Using(Arc<Uses>);

impl Using {
    fn begin(uses: &Arc<Uses>) -> Self {
        uses.asked.fetch_add(1, Ordering::Relaxed);
        uses.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(uses))
    }

    /// Until the end of a long answer. A short one is not waited for: who takes none would keep the connection with it.
    fn until_told(self, response: Response) -> Response {
        if response.body().size_hint().upper().is_some_and(|bytes| bytes <= SHORT) {
            return response;
        }
        response.map(|body| Body::new(Telling { body, _using: self }))
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that is being told.
struct Telling {
    body: Body,
    _using: Using,
}

impl HttpBody for Telling {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::routing::get;
    use futures_util::stream;
    use hyper::client::conn::http2::SendRequest;
    use tokio::time::Instant;

    use super::*;

    const WITHIN: Millis = Millis::new(200);

    /// A connection of a client with this window, and its end on our side.
    async fn open(kept: Kept, window: u32) -> (SendRequest<Body>, tokio::task::JoinHandle<()>) {
        let long = || async {
            let pieces = stream::unfold(0, |n| async move {
                tokio::time::sleep(Duration::from_millis(if n == 0 { 0 } else { 900 })).await;
                (n < 2).then(|| (Ok::<_, Infallible>(Bytes::from_static(b"piece")), n + 1))
            });
            Body::from_stream(pieces)
        };
        let router = Router::new().route("/", get(|| async { "short" })).route("/long", get(long));
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let taken = Taken { stream: ours, peer: "127.0.0.1:1".parse().unwrap(), _place: None };
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(async move {
            serve(taken, router, (kept, WITHIN), stopped).await;
            drop(stop);
        });
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(theirs)).await.unwrap();
        tokio::spawn(connection);
        (sender, serving)
    }

    fn ask(path: &str) -> Request<Body> {
        Request::get(format!("https://x{path}")).body(Body::empty()).unwrap()
    }

    async fn ends(serving: tokio::task::JoinHandle<()>) -> Duration {
        let began = Instant::now();
        tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it is kept").unwrap();
        began.elapsed()
    }

    #[tokio::test]
    async fn a_connection_that_nobody_asks_on_any_more_is_not_kept() {
        let (mut sender, serving) = open(Kept::InUse, 1 << 16).await;
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
        let after = ends(serving).await;
        assert!(after >= WITHIN.duration() && after < Duration::from_secs(5), "{after:?}");
        // One of few is.
        let (mut sender, serving) = open(Kept::OnceHeard, 1 << 16).await;
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(!serving.is_finished());
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_long_answer_keeps_its_connection_until_it_is_told() {
        let (mut sender, serving) = open(Kept::InUse, 1 << 16).await;
        let answer = sender.send_request(ask("/long")).await.unwrap();
        let told = axum::body::to_bytes(Body::new(answer.into_body()), 100).await.unwrap();
        assert_eq!(told, "piecepiece".as_bytes());
        assert!(ends(serving).await < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn who_takes_no_answer_does_not_keep_a_connection_with_it() {
        let (mut sender, serving) = open(Kept::InUse, 0).await;
        let answer = sender.send_request(ask("/")).await.unwrap();
        assert!(ends(serving).await < Duration::from_secs(5));
        drop(answer);
    }
}
