//! The agents' listener: what it is made of, and its addresses (decisions §8, "URL map").

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use authority::Authority;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::any;
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};
use terms::{AttemptId, Millis, Slug};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use upstream::{Apis, Upstreams};

use crate::answer::{self, Refusal};
use crate::caller::{Known, Load, who};
use crate::http::asked::Asked;
use crate::mcp::address::Address;
use crate::mcp::session::Sessions;
use crate::pace::Pace;
use crate::pins::{self, NotPinned};
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::{authzen, elevations, front, http as api, mcp, permits, preflight};

/// The agents' listener.
#[derive(Clone)]
pub struct Gateway(Shared);

/// What every request sees.
pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) authority: Arc<Authority>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) apis: Arc<Apis>,
    pub(crate) load: Arc<Load>,
    pub(crate) sessions: Sessions,
    pub(crate) shelf: Shelf,
    pub(crate) pace: Pace,
    draining: watch::Sender<bool>,
    watching: AtomicBool,
}

impl Inner {
    /// Whether nothing new is taken any more.
    pub(crate) fn draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Says when nothing may be held any more.
    pub(crate) fn drained(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}

/// More than any refusal has.
const LONGEST_REFUSAL: usize = 1 << 20;

/// How often sessions that nobody uses are looked for.
const SWEEP: Millis = Millis::seconds(30);

impl Gateway {
    /// A listener over these parts, and what they lead to; nothing runs yet.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        (upstreams, apis): (Arc<Upstreams>, Arc<Apis>),
        settings: Settings,
    ) -> Self {
        let ambient = Arc::clone(authority.ambient());
        for api in apis.all() {
            let (name, identity) = (api.name().to_owned(), api.identity());
            authority.attach(authority::Upstream { name, identity });
        }
        let reached = |name: &str| apis.get(name).is_some() || upstreams.names().any(|one| one == name);
        let asking = settings.asked.keys().chain(settings.askers.keys()).chain(&settings.applications);
        for name in asking.filter(|name| !reached(name)) {
            let identity = api::asked::identity(name);
            authority.attach(authority::Upstream { name: name.clone(), identity });
        }
        Self(Arc::new(Inner {
            load: Load::new(settings.budgets),
            sessions: Sessions::new(ambient, settings.budgets),
            shelf: Shelf::default(),
            pace: Pace::new(settings.budgets.preflights),
            draining: watch::Sender::new(false),
            watching: AtomicBool::new(false),
            authority,
            upstreams,
            apis,
            settings,
        }))
    }

    /// Keeps pins up to date and ends idle sessions, for as long as this lives. Within the runtime; once.
    pub fn watch(&self) {
        if self.0.watching.swap(true, Ordering::AcqRel) {
            return;
        }
        for upstream in self.0.upstreams.names() {
            tokio::spawn(pins::follow(Arc::downgrade(&self.0), upstream.to_owned()));
        }
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP.duration()).await;
                let Some(inner) = weak.upgrade() else { return };
                for session in inner.sessions.sweep() {
                    inner.upstreams.close(session.conversation.link);
                }
            }
        });
    }

    /// Looks at an upstream now: what it is, and what it says of its tools.
    ///
    /// # Errors
    /// [`NotPinned`] when it cannot be asked, or what it says cannot be kept; its pins stay as they were.
    pub async fn repin(&self, upstream: &str) -> Result<(), NotPinned> {
        pins::repin(&self.0, upstream).await
    }

    /// From now on takes no new request, and holds none: what waits for people is answered now. Calls that run
    /// upstream go on.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
    }

    /// Whether a request may pass that a proxy holds: the attempt that it was released as, or what its sender is told. A proxy that speaks HTTP
    /// asks at the addresses of the agents' listener.
    ///
    /// # Errors
    /// The answer to its sender, where it may not.
    pub async fn asked(&self, asked: Asked) -> Result<AttemptId, Box<http::Response<Bytes>>> {
        if front::too_large(&self.0.settings, &asked.headers) {
            return Err(self.refused(Slug::TooLarge).await);
        }
        if self.0.draining() {
            return Err(self.refused(Slug::Draining).await);
        }
        let span = tracing::info_span!("asked", attempt = tracing::field::Empty);
        let about = api::asked::about(&self.0, asked).instrument(span);
        let told = AssertUnwindSafe(about).catch_unwind().await;
        match told.unwrap_or_else(|bug| Err(Box::new(caught(bug)))) {
            Ok(attempt) => Ok(attempt),
            Err(answer) => Err(whole(*answer).await),
        }
    }

    /// Whether a proxy at this address may ask about anything. Of any other nothing need be read.
    #[must_use]
    pub fn hears(&self, peer: IpAddr) -> bool {
        self.0.settings.asked.values().any(|peers| peers.contains(&peer))
    }

    /// What the sender of a request is told about which no question can be read.
    pub async fn refused(&self, slug: Slug) -> Box<http::Response<Bytes>> {
        whole(api::refused(&slug.into())).await
    }

    /// The addresses of the agents' listener. Serve it with connection information
    /// (`into_make_service_with_connect_info::<SocketAddr>`): the source address is in every record.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/mcp", any(to_all))
            .route("/mcp/{upstream}", any(to_one))
            .route("/http/{*rest}", any(to_api))
            .route("/authz/{*rest}", any(to_asked))
            .route("/.well-known/authzen-configuration", any(authzen::metadata))
            .route("/access/v1/{*rest}", any(to_authzen))
            .route("/v1/elevations/{id}", any(to_elevation))
            .route("/v1/attempts/{id}", any(to_attempt))
            .route("/v1/permits", any(to_permits))
            .route("/v1/preflight", any(to_preflight))
            .fallback(to_nothing)
            .layer(from_fn_with_state(Arc::clone(&self.0), front::pass))
            .layer(CatchPanicLayer::custom(caught))
            .with_state(Arc::clone(&self.0))
    }
}

/// A bug: the request is refused, and what it held was settled when it was dropped (R7).
fn caught(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request was refused because handling it panicked");
    let mut refused = Refusal::from(Slug::Busy).plain();
    front::mark(&mut refused);
    refused
}

/// A refusal with all of its content, which is made here and short.
async fn whole(mut answer: Response) -> Box<http::Response<Bytes>> {
    front::mark(&mut answer);
    let (head, body) = answer.into_parts();
    let content = to_bytes(body, LONGEST_REFUSAL).await.unwrap_or_default();
    Box::new(http::Response::from_parts(head, content))
}

/// Who asks, and a place in its budget.
fn known(gateway: &Shared, request: &Request) -> Result<Known, Refusal> {
    let (caller, key) = who(&gateway.authority, request.headers())?;
    let place = gateway.load.enter(caller.id)?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let source = peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default();
    Ok(Known { caller, key, source, place })
}

async fn to_all(State(gateway): State<Shared>, request: Request) -> Response {
    match known(&gateway, &request) {
        Ok(known) => to_mcp(gateway, known, Address::All, request).await,
        Err(refusal) => refusal.plain(),
    }
}

async fn to_one(State(gateway): State<Shared>, Path(upstream): Path<String>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    // Only a configured name is used, or logged, from here on.
    let Some(upstream) = gateway.upstreams.names().find(|name| *name == upstream).map(str::to_owned) else {
        return Refusal::from(Slug::NotFound).plain();
    };
    to_mcp(gateway, known, Address::One(upstream), request).await
}

async fn to_mcp(gateway: Shared, known: Known, at: Address, request: Request) -> Response {
    let span = tracing::info_span!(
        "mcp",
        upstream = tracing::field::Empty,
        caller = %known.caller.id,
        elevation = tracing::field::Empty,
        attempt = tracing::field::Empty,
    );
    if let Address::One(upstream) = &at {
        span.record("upstream", upstream);
    }
    mcp::serve(gateway, known, at, request).instrument(span).await
}

async fn to_api(State(gateway): State<Shared>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    // As it is written: only a configured name is used, or logged, from here on.
    let api = api::place(request.uri().path()).and_then(|(name, _)| gateway.apis.get(name)).cloned();
    let span = tracing::info_span!(
        "http",
        upstream = api.as_ref().map(|api| api.name()),
        caller = %known.caller.id,
        elevation = tracing::field::Empty,
        attempt = tracing::field::Empty,
    );
    api::serve(gateway, known, api, request).instrument(span).await
}

async fn to_asked(State(gateway): State<Shared>, request: Request) -> Response {
    let span = tracing::info_span!("asked", attempt = tracing::field::Empty);
    api::asked::serve(gateway, request).instrument(span).await
}

async fn to_authzen(State(gateway): State<Shared>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    let span = tracing::info_span!("authzen", caller = %known.caller.id, attempt = tracing::field::Empty);
    authzen::serve(gateway, known, request).instrument(span).await
}

async fn to_elevation(State(gateway): State<Shared>, Path(id): Path<String>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    let Ok(id) = id.parse() else { return Refusal::from(Slug::ElevationUnknown).plain() };
    let span = tracing::info_span!("elevation", caller = %known.caller.id, elevation = %id);
    elevations::serve(gateway, known, id, request).instrument(span).await
}

async fn to_attempt(State(gateway): State<Shared>, Path(id): Path<String>, request: Request) -> Response {
    match known(&gateway, &request) {
        Ok(known) => permits::report(gateway, known, &id, request).await,
        Err(refusal) => refusal.plain(),
    }
}

async fn to_permits(State(gateway): State<Shared>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    let span = tracing::info_span!(
        "permit",
        caller = %known.caller.id,
        elevation = tracing::field::Empty,
        attempt = tracing::field::Empty,
    );
    permits::serve(gateway, known, request).instrument(span).await
}

async fn to_preflight(State(gateway): State<Shared>, request: Request) -> Response {
    let known = match known(&gateway, &request) {
        Ok(known) => known,
        Err(refusal) => return refusal.plain(),
    };
    let caller = known.caller.id;
    let span = tracing::info_span!("preflight", upstream = tracing::field::Empty, %caller);
    preflight::serve(gateway, known, request).instrument(span).await
}

async fn to_nothing(State(gateway): State<Shared>, request: Request) -> Response {
    match known(&gateway, &request) {
        Ok(_) => Refusal::from(Slug::NotFound).plain(),
        Err(refusal) => refusal.plain(),
    }
}

/// An address that is there, but not by this method.
pub(crate) fn not_allowed(allowed: &'static str) -> Response {
    let mut response = Refusal::from(Slug::MethodNotAllowed).plain();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Done, with nothing to say.
pub(crate) fn done() -> Response {
    answer::empty(StatusCode::NO_CONTENT)
}
