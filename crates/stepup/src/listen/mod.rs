//! Connections: how many there may be, how long one may say nothing, and how they end (R19). What is said on them is the
//! business of the routers.

mod http2;
mod reading;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{Either, ready};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use terms::Millis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use http2::Kept;

/// Bytes of a request's head that are kept; longer ones are refused. What is within, the routers judge.
const LONGEST_HEAD: usize = 64 << 10;

/// After a connection could not be taken, as when there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// What is spoken at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1; over TLS also HTTP/2, where whoever connects would rather.
    Http1,
    /// HTTP/2 from its first byte, as gRPC does.
    Http2,
}

impl Speaks {
    /// By name, as TLS agrees on it (RFC 7301): the best first.
    #[must_use]
    pub fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![H2.to_vec(), b"http/1.1".to_vec()],
            Self::Http2 => vec![H2.to_vec()],
        }
    }
}

const H2: &[u8] = b"h2";

/// How long a handshake of TLS may take at most.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// One of how many connections may be in its handshake. With one more, that which has been longest is hung up on: whoever is at
/// it in earnest is done sooner than so many others can come.
const IN_HANDSHAKE: usize = 4;

/// What a listener shows of itself, as it is now.
pub type Shown = watch::Receiver<Arc<ServerConfig>>;

/// Where connections come in.
#[derive(Debug)]
pub struct Entrance {
    /// The socket.
    pub socket: TcpListener,
    /// With TLS, or without.
    pub tls: Option<Shown>,
}

/// What the connections of one listener may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What is spoken there.
    pub speaks: Speaks,
    /// How many there are at once; others wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take, and how long a connection may be idle before it.
    pub head_within: Millis,
    /// How long whoever is at the other end may take nothing of what is sent to it.
    pub taken_within: Millis,
}

impl Limits {
    /// So many connections, but no more than so many sixteenths of the file descriptors that the process may have, so
    /// that no listener takes those of another, of the store, or of upstreams.
    #[must_use]
    pub fn share(most: usize, sixteenths: usize) -> Self {
        let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = all.and_then(|all| usize::try_from(all).ok()).map_or(most, |all| all / 16 * sixteenths);
        let connections = most.min(share).max(LEAST);
        Self {
            speaks: Speaks::Http1,
            connections,
            head_within: Millis::seconds(30),
            taken_within: Millis::seconds(120),
        }
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
pub async fn serve(
    Entrance { socket, tls }: Entrance,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut handshakes =
        Handshakes { most: (limits.connections / IN_HANDSHAKE).max(1), under_way: VecDeque::new() };
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
                // Events are small and wanted at once.
                let _ = stream.set_nodelay(true);
                // Nobody asks for the rest of an answer that is not taken, so it is for the kernel to give up (RFC 5482).
                let within = u32::try_from(limits.taken_within.get()).unwrap_or(u32::MAX);
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, within);
                let taken = Taken { stream, peer, _place: place.ok() };
                let (router, stop) = (router.clone(), stop.clone());
                // Not within another future: that would have room for it twice, in each connection.
                match (&tls, limits.speaks) {
                    (Some(shown), _) => {
                        let acceptor = TlsAcceptor::from(Arc::clone(&shown.borrow()));
                        let handshake = handshakes.begin();
                        connections.spawn(over_tls((taken, acceptor, handshake), router, limits, stop))
                    }
                    (None, Speaks::Http1) => connections.spawn(http1(taken, router, limits, stop)),
                    (None, Speaks::Http2) => {
                        let kept = (Kept::OnceHeard, limits.head_within);
                        connections.spawn(http2::serve(taken, router, kept, stop))
                    }
                };
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

/// A connection that was taken, with its place among all. What is wrong with it is told to whoever is at its other end, by
/// closing it.
struct Taken<S> {
    stream: S,
    peer: SocketAddr,
    _place: Option<OwnedSemaphorePermit>,
}

/// The handshakes that may be under way, oldest first. Who is at one hears when its end of this is gone.
struct Handshakes {
    most: usize,
    under_way: VecDeque<oneshot::Sender<()>>,
}

impl Handshakes {
    fn begin(&mut self) -> oneshot::Receiver<()> {
        if self.under_way.len() >= self.most {
            self.under_way.retain(|one| !one.is_closed());
        }
        if self.under_way.len() >= self.most {
            self.under_way.pop_front();
        }
        let (one, given_up) = oneshot::channel();
        self.under_way.push_back(one);
        given_up
    }
}

type Shaking = (Taken<TcpStream>, TlsAcceptor, oneshot::Receiver<()>);

/// A connection of TLS: agrees on what is spoken, and goes on with it.
async fn over_tls(
    (Taken { stream, peer, _place }, acceptor, mut given_up): Shaking,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let within = limits.head_within.duration().min(HANDSHAKE_WITHIN);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(within, Box::pin(acceptor.accept(stream))) => shaken,
        _ = &mut given_up => return,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    drop(given_up);
    let Ok(Ok(stream)) = shaken else { return };
    let agreed = stream.get_ref().1.alpn_protocol() == Some(H2);
    let taken = Taken { stream: Box::new(stream), peer, _place };
    match limits.speaks {
        Speaks::Http1 if agreed => {
            Box::pin(http2::serve(taken, router, (Kept::InUse, limits.head_within), stop)).await;
        }
        Speaks::Http1 => Box::pin(http1(taken, router, limits, stop)).await,
        Speaks::Http2 => {
            Box::pin(http2::serve(taken, router, (Kept::OnceHeard, limits.head_within), stop)).await;
        }
    }
}

/// A connection of HTTP/1.1 to its end.
async fn http1<S>(
    Taken { stream, peer, _place }: Taken<S>,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| answer(&router, request, peer));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_within.duration());
    builder.max_buf_size(LONGEST_HEAD);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        // First, because a connection that never looked for a request would wait for its first one even so.
        biased;
        _ = serving.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// Hands a request on that can be read in one way only. The answer's future is the router's own, and nothing around it: it is kept
/// for each request that is held.
fn answer(
    router: &TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    peer: SocketAddr,
) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
    if let Err(status) = reading::one(&mut request) {
        return Either::Right(ready(Ok(status.into_response())));
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    Either::Left(router.call(request))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use hyper_util::rt::TokioExecutor;
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
        let long = || async { vec![b'x'; 64 << 20] };
        let router = Router::new().route("/", get(peer)).route("/slow", get(slow)).route("/long", get(long));
        let (stop, stopped) = watch::channel(false);
        (at, stop, tokio::spawn(serve(Entrance { socket, tls: None }, router, limits, stopped)))
    }

    const LIMITS: Limits = Limits {
        speaks: Speaks::Http1,
        connections: 8,
        head_within: Millis::new(300),
        taken_within: Millis::new(500),
    };

    async fn open(at: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// What is answered until the connection is closed, and after how long that was.
    async fn rest(mut stream: TcpStream) -> (String, Duration) {
        let (mut heard, began) = (Vec::new(), Instant::now());
        let reading = stream.read_to_end(&mut heard);
        let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it is never closed");
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
    async fn t54_who_takes_nothing_of_its_answer_is_hung_up_on() {
        let (at, _stop, _serving) = start(Limits { connections: 1, ..LIMITS }).await;
        let idle = open(at, b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let (heard, after) = rest(open(at, GET).await).await;
        assert!(heard.contains("200 OK") && after >= Duration::from_millis(300), "{heard} {after:?}");
        drop(idle);
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

    /// What a listener shows, and who trusts it.
    fn shows() -> (Arc<ServerConfig>, tokio_rustls::TlsConnector) {
        use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
        use tokio_rustls::rustls::pki_types::PrivateKeyDer;
        use tokio_rustls::rustls::{ClientConfig, RootCertStore};
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let shown = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        (Arc::new(shown), Arc::new(client.with_no_client_auth()).into())
    }

    #[tokio::test]
    async fn who_is_slow_at_the_handshake_takes_no_place_from_who_is_not() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let (shown, client) = shows();
        let shown = watch::Sender::new(shown);
        let router = Router::new().route("/", get(|| async { "here" }));
        let (_stop, stopped) = watch::channel(false);
        let door = Entrance { socket, tls: Some(shown.subscribe()) };
        let limits = Limits { head_within: Millis::seconds(60), ..LIMITS };
        tokio::spawn(serve(door, router, limits, stopped));
        let answered = || async {
            let name = tokio_rustls::rustls::pki_types::ServerName::try_from("localhost").unwrap();
            let mut stream = client.connect(name, TcpStream::connect(at).await?).await?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            assert!(heard.ends_with("here"), "{heard}");
            std::io::Result::Ok(())
        };
        // More than there are places at all: of no byte, of one, and of half a hello.
        let mut slow = Vec::new();
        for bytes in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"].repeat(4) {
            slow.push(open(at, bytes).await);
        }
        let within = Duration::from_secs(5);
        tokio::time::timeout(within, answered()).await.expect("its place is taken").unwrap();
        // Nor do those that are at it for long keep theirs.
        let last = slow.split_off(slow.len() - 1);
        for one in slow {
            assert!(rest(one).await.1 < within);
        }
        for one in last {
            let (_, after) = rest(one).await;
            assert!(after < HANDSHAKE_WITHIN + within, "{after:?}");
        }
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
