//! Being asked by a proxy that stands before an API of its own: `/authz/{convention}/{upstream}` (standards 5.2). It says which
//! request it holds, by the convention of its kind, and is told whether that may pass. It sends what it received and not what we
//! would write, so a request passes only where both are the same.

use std::net::{IpAddr, SocketAddr};

use authority::Ask;
use axum::extract::{ConnectInfo, Request as HttpRequest};
use axum::response::Response;
use http::{HeaderMap, HeaderName, StatusCode, header};
use terms::{Json, Slug, UpstreamHash, route};

use super::request::{Line, of_line};
use super::{Prefer, answer, hidden, unread};
use crate::answer::Refusal;
use crate::caller::{Known, who};
use crate::elevations::unavailable;
use crate::enforce::{AtOnce, Passed, decide};
use crate::front::one;
use crate::gateway::Shared;

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

/// Says that the proxy passed on a part of the content only (Envoy, `allow_partial_message`).
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// Where the addresses of this door begin.
const PREFIX: &str = "/authz/";

/// One question of a proxy.
pub(crate) async fn serve(gateway: Shared, request: HttpRequest) -> Response {
    let Some((convention, upstream, rest)) = place(request.uri().path()) else { return nothing() };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    // Who is not listed is told nothing, not even that there is such an upstream (T47).
    let listed =
        gateway.settings.asked.get(upstream).zip(peer).is_some_and(|(peers, peer)| peers.contains(&peer));
    let identity = gateway.authority.upstream(upstream).map(|upstream| upstream.identity);
    let (Some(identity), true) = (identity, listed) else { return nothing() };
    let upstream = (upstream.to_owned(), identity);
    let rest = rest.to_owned();
    let answer = asked(&gateway, (convention, peer), (upstream, &rest), request).await;
    if convention.plain { plainly(answer) } else { answer }
}

fn nothing() -> Response {
    answer::refused(&Slug::NotFound.into())
}

/// What the proxy asks about is read as any request is, and decided on at once: proxies wait for nobody.
async fn asked(
    gateway: &Shared,
    (convention, peer): (&Convention, Option<IpAddr>),
    ((upstream, identity), rest): ((String, UpstreamHash), &str),
    request: HttpRequest,
) -> Response {
    let known = who(&gateway.authority, request.headers()).and_then(|(caller, key)| {
        let place = gateway.load.enter(caller.id)?;
        Ok(Known { caller, key, source: source(request.headers(), peer), place })
    });
    let known = match known {
        Ok(known) => known,
        Err(refusal) => return answer::refused(&refusal),
    };
    match read(gateway, &known, convention, ((&upstream, identity), rest), request).await {
        Ok(ask) => told(gateway, &ask).await,
        Err(refusal) => unread(gateway, &known, refusal).await,
    }
}

/// The access that the request which the proxy holds asks for.
async fn read(
    gateway: &Shared,
    known: &Known,
    convention: &Convention,
    (to, rest): ((&str, UpstreamHash), &str),
    request: HttpRequest,
) -> Result<Box<Ask>, Refusal> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    // Many an upstream reads `x_reason` as `x-reason` (RFC 3875, 4.1.18), which was judged or refused.
    let other =
        headers.keys().map(HeaderName::as_str).find(|name| OVERRIDES.contains(name) || name.contains('_'));
    if let Some(name) = other {
        return Err(Refusal::because(
            Slug::RequestInvalid,
            format!("the header {name} could change what is done"),
        ));
    }
    let line = match &convention.says {
        Some((method, uri)) => {
            let missing = |name: &HeaderName| {
                Refusal::because(Slug::RequestInvalid, format!("the header {name} is not there exactly once"))
            };
            let method = one(headers, method).ok_or_else(|| missing(method))?;
            let uri = one(headers, uri).ok_or_else(|| missing(uri))?;
            let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
            Line { method, path, query }
        }
        None => Line { method: parts.method.as_str(), path: rest, query: parts.uri.query() },
    };
    if ![Some(line.path), line.query].into_iter().flatten().all(route::plainly_spelled) {
        let plainly = "write it without needless percent-encodings and `+`: the proxy passes it on as it is";
        return Err(Refusal::because(Slug::PathRefused, plainly));
    }
    let whole = !headers.contains_key(PARTIAL);
    let passed =
        headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    let content = (whole && passed).then_some(body);
    let (ask, _) = of_line(gateway, known, to, (line, headers, content)).await?;
    Ok(ask)
}

/// Decides, and tells. What may pass is let go here and now: its grant is spent, and its record says to whom it was given.
async fn told(gateway: &Shared, ask: &Ask) -> Response {
    match Box::pin(decide(gateway, &AtOnce, ask, None)).await {
        Ok(Passed::Run(permit, ())) => answer::released(gateway, permit).await,
        Ok(Passed::Challenged(challenge, ())) => {
            answer::challenged(&gateway.settings, &challenge, Prefer::default())
        }
        Ok(Passed::Denied(_) | Passed::Unreachable) if hidden(gateway, ask) => {
            answer::refused(&Slug::RouteUnknown.into())
        }
        Ok(Passed::Denied(denial)) => answer::denied(&denial),
        Ok(Passed::Unreachable | Passed::Left) => answer::unsent(Slug::UpstreamUnreachable),
        Err(failed) => answer::refused(&unavailable(&failed)),
    }
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
fn source(headers: &HeaderMap, peer: Option<IpAddr>) -> String {
    let said = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last =
        said.and_then(|said| said.rsplit(',').next()).and_then(|last| last.trim().parse::<IpAddr>().ok());
    last.or(peer).map(|address| address.to_string()).unwrap_or_default()
}

/// The same answer for a proxy that takes only 401 and 403 as a no.
fn plainly(mut answer: Response) -> Response {
    let passes = answer.status().is_success() || answer.status() == StatusCode::UNAUTHORIZED;
    if !passes {
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
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(value),
            )]);
            source(&headers, Some(peer))
        };
        assert_eq!(of("1.2.3.4, 10.0.0.9"), "10.0.0.9");
        assert_eq!(
            (of("nonsense"), source(&HeaderMap::new(), Some(peer))),
            ("127.0.0.1".to_owned(), "127.0.0.1".to_owned())
        );
    }
}
