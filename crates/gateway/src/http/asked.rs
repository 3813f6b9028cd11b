//! Being asked by a proxy that stands before an API of its own: over HTTP at `/authz/{convention}/{upstream}` (standards 5.2), and by Envoy over
//! gRPC, which the crate `envoy` speaks. It says which request it holds, by the convention of its kind, and is told whether that may pass. It
//! sends what it received and not what we would write, so a request passes only where both are the same.

use std::net::{IpAddr, SocketAddr};

use authority::Ask;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};
use terms::{AttemptId, Json, Slug, UpstreamHash, route};

use super::request::{Given, Line, of_line};
use super::{Prefer, answer, hidden, unread};
use crate::answer::Refusal;
use crate::caller::{Known, who};
use crate::elevations::unavailable;
use crate::enforce::{AtOnce, Passed, decide};
use crate::front::one;
use crate::gateway::Shared;
use crate::run::release;

/// How a kind of proxy asks.
struct Convention {
    name: &'static str,
    /// Where it says what it holds; `None` where it asks with the very request.
    says: Option<(HeaderName, HeaderName)>,
    /// Whether it passes on what it is told only under 401 and 403, and fails otherwise.
    plain: bool,
}

static CONVENTIONS: [Convention; 3] = [
    // ngx_http_auth_request_module: any other status is an error of the proxy's.
    Convention {
        name: "nginx",
        says: Some((HeaderName::from_static("x-original-method"), HeaderName::from_static("x-original-uri"))),
        plain: true,
    },
    // Caddy's forward_auth, and Traefik's ForwardAuth.
    Convention {
        name: "forward",
        says: Some((
            HeaderName::from_static("x-forwarded-method"),
            HeaderName::from_static("x-forwarded-uri"),
        )),
        plain: false,
    },
    // Envoy's ext_authz over HTTP, with the path after `path_prefix`.
    Convention { name: "envoy", says: None, plain: false },
];

/// Headers by which an upstream may be made to do something else than the line says, or to speak another protocol, in which more is
/// said than was judged. Most proxies pass them on (T48, T41).
const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "upgrade",
];

/// Says that content is passed on with the question, and whether only a part of it is (Envoy). There is none where nothing says so, or nothing
/// is passed on.
pub const PARTIAL: &str = "x-envoy-auth-partial-body";

/// Where the addresses of this door begin.
const PREFIX: &str = "/authz/";

/// A request that a proxy holds and asks about, however it does.
pub struct Asked {
    /// The upstream that it is for, by its name here.
    pub upstream: String,
    /// The address of the proxy.
    pub peer: Option<IpAddr>,
    /// The address that the proxy had it from, as it says.
    pub source: Option<IpAddr>,
    /// Its method, and its path with the query as they are on the wire; or why the proxy does not say.
    pub line: Result<(String, String), String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Whether a comma may stand between two headers of one name, and a `!` for any byte.
    pub merged: bool,
    /// Its content.
    pub content: Shown,
}

/// What a proxy shows of the content of a request.
pub enum Shown {
    /// All of it.
    Whole(Body),
    /// Nothing. There may be none.
    Nothing,
    /// There is some, and not all of it is shown as it is.
    Otherwise,
}

impl From<Bytes> for Shown {
    fn from(content: Bytes) -> Self {
        Self::Whole(Body::from(content))
    }
}

/// One question over HTTP.
pub(crate) async fn serve(gateway: Shared, request: HttpRequest) -> Response {
    let Some((convention, upstream, rest)) = place(request.uri().path()) else { return nothing() };
    let (upstream, rest) = (upstream.to_owned(), rest.to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let (parts, body) = request.into_parts();
    let asked = Asked {
        upstream,
        peer,
        source: last_seen(&parts.headers),
        line: convention.line(&parts, &rest),
        content: convention.shown(&parts.headers, body),
        headers: parts.headers,
        merged: false,
    };
    match about(&gateway, asked).await {
        Ok(attempt) => answer::passes(attempt),
        Err(no) if convention.plain => plainly(*no),
        Err(no) => *no,
    }
}

/// Whether what a proxy holds may pass: the attempt that it was released as, or what its sender is told.
pub(crate) async fn about(gateway: &Shared, asked: Asked) -> Result<AttemptId, Box<Response>> {
    let no = |refusal: Refusal| Box::new(answer::refused(&refusal));
    // Who is not listed is told nothing, not even that there is such an upstream (T47).
    let peers = gateway.settings.asked.get(&asked.upstream);
    let listed = peers.zip(asked.peer).is_some_and(|(peers, peer)| peers.contains(&peer));
    let identity = gateway.authority.upstream(&asked.upstream).map(|upstream| upstream.identity);
    let Some(identity) = identity.filter(|_| listed) else { return Err(no(Slug::NotFound.into())) };
    let (caller, key) = who(&gateway.authority, &asked.headers).map_err(no)?;
    let place = gateway.load.enter(caller.id).map_err(|slug| no(slug.into()))?;
    let source = asked.source.or(asked.peer).map(|address| address.to_string()).unwrap_or_default();
    let known = Known { caller, key, source, place };
    match read(gateway, &known, identity, asked).await {
        Ok(ask) => told(gateway, &ask).await.map_err(Box::new),
        Err(refusal) => Err(Box::new(unread(gateway, &known, refusal).await)),
    }
}

fn nothing() -> Response {
    answer::refused(&Slug::NotFound.into())
}

/// The access that the request which the proxy holds asks for. It is read as any request is.
async fn read(
    gateway: &Shared,
    known: &Known,
    identity: UpstreamHash,
    Asked { upstream, line, headers, merged, content, .. }: Asked,
) -> Result<Box<Ask>, Refusal> {
    // Many an upstream reads `x_reason` as `x-reason` (RFC 3875, 4.1.18), which was judged or refused.
    let other =
        headers.keys().map(HeaderName::as_str).find(|name| OVERRIDES.contains(name) || name.contains('_'));
    if let Some(name) = other {
        return Err(Refusal::because(
            Slug::RequestInvalid,
            format!("the header {name} could change what is done"),
        ));
    }
    let (method, uri) = line.map_err(|why| Refusal::because(Slug::RequestInvalid, why))?;
    let (path, query) = uri.split_once('?').map_or((uri.as_str(), None), |(path, query)| (path, Some(query)));
    if ![Some(path), query].into_iter().flatten().all(route::plainly_spelled) {
        let plainly = "write it without needless percent-encodings and `+`: the proxy passes it on as it is";
        return Err(Refusal::because(Slug::PathRefused, plainly));
    }
    let content = match content {
        Shown::Whole(body) => Some(body),
        Shown::Nothing => None,
        // It reaches the API, whatever its route takes (T51).
        Shown::Otherwise => {
            let unseen = "what asks does not pass all of the content on as it is";
            return Err(Refusal::because(Slug::ArgumentUnjudgeable, unseen));
        }
    };
    let line = Line { method: &method, path, query };
    let given = Given { line, headers: &headers, merged, content };
    let (ask, _) = of_line(gateway, known, Some((&upstream, identity)), given).await?;
    Ok(ask)
}

/// Decides at once, as proxies wait for nobody. What may pass is let go here and now: its grant is spent, and its record says to whom it was
/// given.
async fn told(gateway: &Shared, ask: &Ask) -> Result<AttemptId, Response> {
    Err(match Box::pin(decide(gateway, &AtOnce, ask, None)).await {
        Ok(Passed::Run(permit, ())) => return release(gateway, permit).await.map_err(answer::unsent),
        Ok(Passed::Challenged(challenge, ())) => {
            answer::challenged(&gateway.settings, &challenge, Prefer::default())
        }
        Ok(Passed::Denied(_) | Passed::Unreachable) if hidden(gateway, ask) => {
            answer::refused(&Slug::RouteUnknown.into())
        }
        Ok(Passed::Denied(denial)) => answer::denied(&denial),
        Ok(Passed::Unreachable | Passed::Left) => answer::unsent(Slug::UpstreamUnreachable),
        Err(failed) => answer::refused(&unavailable(&failed)),
    })
}

impl Convention {
    /// The first line of what the proxy holds.
    fn line(&self, parts: &Parts, rest: &str) -> Result<(String, String), String> {
        let Some((method, uri)) = &self.says else {
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok((parts.method.as_str().to_owned(), format!("{rest}{query}")));
        };
        let said = |name: &HeaderName| {
            let said = one(&parts.headers, name).map(str::to_owned);
            said.ok_or_else(|| format!("the header {name} is not there exactly once"))
        };
        Ok((said(method)?, said(uri)?))
    }

    /// What is shown of its content.
    fn shown(&self, headers: &HeaderMap, body: Body) -> Shown {
        let framed =
            headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
        match (&self.says, headers.contains_key(PARTIAL)) {
            (None, true) if one(headers, &HeaderName::from_static(PARTIAL)) == Some("false") => {
                Shown::Whole(body)
            }
            (_, true) => Shown::Otherwise,
            // Envoy frames what it does not show as nothing.
            (None, false) => Shown::Nothing,
            (Some(_), false) if framed => Shown::Whole(body),
            (Some(_), false) => Shown::Nothing,
        }
    }
}

/// Whether `Host` is that of the API, as Envoy passes it on. It is no name of ours then, and none of ours is needed: no page of a browser
/// has a caller's key.
pub(crate) fn of_another_host(path: &str) -> bool {
    place(path).is_some_and(|(convention, ..)| convention.says.is_none())
}

/// The convention, the upstream's name, and what follows it.
fn place(path: &str) -> Option<(&'static Convention, &str, &str)> {
    let (name, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let convention = CONVENTIONS.iter().find(|convention| convention.name == name)?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (upstream, rest) = rest.split_at(at);
    let alone = convention.says.is_none() || rest.is_empty();
    alone.then_some((convention, upstream, rest))
}

/// Where the request came from, as the proxy says: the last one that it saw.
fn last_seen(headers: &HeaderMap) -> Option<IpAddr> {
    let said = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    said.rsplit(',').next()?.trim().parse().ok()
}

/// The same no for a proxy that takes only 401 and 403 as one.
fn plainly(mut answer: Response) -> Response {
    if answer.status() != StatusCode::UNAUTHORIZED {
        *answer.status_mut() = StatusCode::FORBIDDEN;
    }
    answer
}

/// What an upstream is that only who asks here reaches.
pub(crate) fn identity(upstream: &str) -> UpstreamHash {
    UpstreamHash::of(&Json::object([("name", Json::from(upstream)), ("behind", Json::from("who asks"))]))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_question_is_asked_at_one_address_in_one_convention() {
        let read = |path| place(path).map(|(convention, upstream, rest)| (convention.name, upstream, rest));
        assert_eq!(read("/authz/nginx/crm"), Some(("nginx", "crm", "")));
        assert_eq!(read("/authz/forward/crm"), Some(("forward", "crm", "")));
        assert_eq!(read("/authz/envoy/crm/a/b"), Some(("envoy", "crm", "/a/b")));
        for path in [
            "/authz/nginx",
            "/authz/nginx/crm/a",
            "/authz/Nginx/crm",
            "/authz/x/crm",
            "/authz//crm",
            "/http/crm",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn t47_of_several_addresses_the_one_that_the_proxy_saw_counts() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(value),
            )]);
            last_seen(&headers)
        };
        assert_eq!(of("1.2.3.4, 10.0.0.9"), "10.0.0.9".parse().ok());
        assert_eq!((of("nonsense"), last_seen(&HeaderMap::new())), (None, None));
    }
}
