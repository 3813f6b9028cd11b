//! Connections: how many there may be, how long one may say nothing, and how they end (R19). What is said on them is the
//! business of the routers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use terms::Millis;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Bytes of a request's head that are kept; longer ones are refused. What is within, the routers judge.
const LONGEST_HEAD: usize = 64 << 10;

/// After a connection could not be taken, as when there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// What is spoken at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 from its first byte, as gRPC without TLS does.
    Http2,
}

/// Requests at once on one connection of HTTP/2, and bytes of a request's head there.
const STREAMS: u32 = 128;
const HEAD_OF_STREAM: u32 = 16 << 10;

/// How often it is looked whether the other end of a connection of HTTP/2 is still there.
const STILL_THERE: Duration = Duration::from_secs(20);

/// What the connections of one listener may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What is spoken there.
    pub speaks: Speaks,
    /// How many there are at once; others wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take, and how long a connection may be idle before it.
    pub head_within: Millis,
}

impl Limits {
    /// So many connections, but no more than so many sixteenths of the file descriptors that the process may have, so
    /// that no listener takes those of another, of the store, or of upstreams.
    #[must_use]
    pub fn share(most: usize, sixteenths: usize) -> Self {
        let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = all.and_then(|all| usize::try_from(all).ok()).map_or(most, |all| all / 16 * sixteenths);
        let connections = most.min(share).max(LEAST);
        Self { speaks: Speaks::Http1, connections, head_within: Millis::seconds(30) }
    }

    /// The same, divided among the addresses of one listener.
    #[must_use]
    pub fn among(self, addresses: usize) -> Self {
        Self { connections: (self.connections / addresses.max(1)).max(LEAST), ..self }
    }
}

/// Connections of one listener at once: however few file descriptors there are, and where nothing else is configured.
/// The heads of so many are 256 MiB at most ([`LONGEST_HEAD`]).
const LEAST: usize = 16;
pub const MOST: usize = 4096;

/// Takes as many file descriptors as the process may take. The soft limit is often 1024, for programs that still use
/// `select`; half-sent requests would fill that in no time.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files is not raised");
    }
}

/// Serves until it is told to stop; then takes nothing new and returns when what is in flight is answered.
pub async fn serve(socket: TcpListener, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                // Not within another future: that would have room for it twice, in each connection.
                let taken = Taken { stream, peer, _place: place.ok() };
                connections.spawn(connection(taken, router.clone(), limits, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// A connection that was taken, with its place among all.
struct Taken {
    stream: TcpStream,
    peer: SocketAddr,
    _place: Option<OwnedSemaphorePermit>,
}

/// One connection to its end. What is wrong with it is told to whoever is at its other end, by closing it.
async fn connection(
    Taken { stream, peer, _place }: Taken,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Events are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(stream);
    let router = TowerToHyperService::new(router);
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    let service = service_fn(move |request: Request<Incoming>| {
        hears.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    match limits.speaks {
        Speaks::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(limits.head_within.duration());
            builder.max_buf_size(LONGEST_HEAD);
            let serving = builder.serve_connection(stream, service);
            tokio::pin!(serving);
            tokio::select! {
                // First, because a connection that never looked for a request would wait for its first one even so.
                biased;
                _ = serving.as_mut() => return,
                _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
            }
            let _ = serving.await;
        }
        Speaks::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(STILL_THERE);
            builder.max_concurrent_streams(STREAMS).max_header_list_size(HEAD_OF_STREAM);
            let serving = builder.serve_connection(stream, service);
            tokio::pin!(serving);
            tokio::select! {
                biased;
                _ = serving.as_mut() => return,
                // Who connects asks at once. Afterwards it is asked whether it is still there.
                () = silent(&heard, limits.head_within) => return,
                _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
            }
            let _ = serving.await;
        }
    }
}

/// Returns when nothing was asked for so long from the beginning.
async fn silent(heard: &AtomicBool, within: Millis) {
    tokio::time::sleep(within.duration()).await;
    if heard.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn start(limits: Limits) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            "slow"
        };
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
        let router = Router::new().route("/", get(peer)).route("/slow", get(slow));
        let (stop, stopped) = watch::channel(false);
        (at, stop, tokio::spawn(serve(socket, router, limits, stopped)))
    }

    const LIMITS: Limits = Limits { speaks: Speaks::Http1, connections: 8, head_within: Millis::new(300) };

    async fn open(at: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// What is answered until the connection is closed, and after how long that was.
    async fn rest(mut stream: TcpStream) -> (String, Duration) {
        let (mut heard, began) = (Vec::new(), Instant::now());
        let reading = stream.read_to_end(&mut heard);
        let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it is never closed");
        (String::from_utf8(heard).unwrap(), began.elapsed())
    }

    #[tokio::test]
    async fn who_says_nothing_or_never_ends_a_head_is_hung_up_on() {
        let (at, _stop, _serving) = start(LIMITS).await;
        for bytes in [b"".as_slice(), b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-more: "] {
            let (heard, after) = rest(open(at, bytes).await).await;
            assert!(!heard.contains("200 OK"), "{heard}");
            assert!(after >= Duration::from_millis(250) && after < Duration::from_secs(5), "{after:?}");
        }
        // A drop now and then does not help.
        let mut stream = open(at, b"GET / HTTP/1.1\r\n").await;
        let began = Instant::now();
        while stream.write_all(b"x: y\r\n").await.is_ok() && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "it was let drip");
        // Nor a request that is well.
        let (heard, after) = rest(open(at, GET).await).await;
        assert!(heard.ends_with("127.0.0.1") && after < Duration::from_secs(5), "{heard} {after:?}");
    }

    #[tokio::test]
    async fn connections_that_are_too_many_wait_and_take_no_more_than_their_turn() {
        let (at, _stop, _serving) = start(LIMITS).await;
        let mut idle = Vec::new();
        for _ in 0..LIMITS.connections {
            idle.push(open(at, b"GET").await);
        }
        let (heard, after) = rest(open(at, GET).await).await;
        assert!(heard.contains("200 OK"), "{heard}");
        assert!(after >= Duration::from_millis(200), "nine were served at once");
    }

    #[tokio::test]
    async fn a_head_without_bounds_is_refused() {
        let (at, _stop, _serving) = start(LIMITS).await;
        let mut stream = open(at, b"GET / HTTP/1.1\r\nhost: x\r\nx: ").await;
        let mut sent = 0_usize;
        while stream.write_all(&[b'y'; 4096]).await.is_ok() {
            sent += 4096;
            assert!(sent < 64 << 20, "it takes whatever comes");
        }
    }

    #[tokio::test]
    async fn told_to_stop_it_answers_what_is_in_flight_and_hangs_up_on_who_is_idle() {
        let limits = Limits { head_within: Millis::seconds(60), ..LIMITS };
        let (at, stop, serving) = start(limits).await;
        let idle = open(at, b"").await;
        let flying = open(at, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send_replace(true);
        assert!(rest(flying).await.0.ends_with("slow"));
        let _ = rest(idle).await;
        tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it does not end").unwrap();
        assert!(TcpStream::connect(at).await.is_err());
    }
    #[tokio::test]
    async fn over_http_2_too_who_asks_nothing_is_hung_up_on_and_what_is_in_flight_is_answered() {
        let limits = Limits { speaks: Speaks::Http2, ..LIMITS };
        let (at, stop, serving) = start(limits).await;
        let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for bytes in [b"".as_slice(), b"PRI * HT", settings, GET] {
            let mut stream = open(at, bytes).await;
            let (mut heard, began) = (Vec::new(), Instant::now());
            let reading = stream.read_to_end(&mut heard);
            let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it is never closed");
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        let io = TokioIo::new(TcpStream::connect(at).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let ask = |path: &str| Request::get(format!("http://x{path}")).body(Body::empty()).unwrap();
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
        // It is silent for longer than a head may take, and is heard all the same.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let flying = tokio::spawn(sender.send_request(ask("/slow")));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send_replace(true);
        assert_eq!(flying.await.unwrap().unwrap().status(), 200);
        tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it does not end").unwrap();
    }
}
