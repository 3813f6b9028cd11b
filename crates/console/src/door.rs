//! What holds for every request before anything is asked of anyone: the host is ours, whoever posts is one of our own
//! pages, and every answer forbids the browser what we do not need (T89, T98, T99; decisions B19).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use terms::{Slug, sole};

use crate::answer::{problem, refusal};
use crate::router::Shared;
use crate::settings::Settings;

/// Headers of every answer. No script, style or image but our own, none inline, no frame around us and none inside,
/// no string that becomes markup.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("permissions-policy"),
        "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), \
         geolocation=(), payment=(), usb=()",
    ),
];

/// Sends every answer with the headers above, and keeps nothing that does not say that it may be kept.
pub(crate) async fn headers(State(console): State<Shared>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if console.settings.strict() {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// Lets in what is for us and from us.
pub(crate) async fn guard(State(console): State<Shared>, request: Request, next: Next) -> Response {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match host(&console.settings, &request) {
        Host::Ours => {}
        Host::Loopback if reading => {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            return Redirect::temporary(&format!("{}{path}", console.settings.public_url)).into_response();
        }
        Host::Loopback | Host::Other if reading => {
            let row = Slug::HostRefused.row();
            return problem(StatusCode::FORBIDDEN, row.happened, row.todo);
        }
        Host::Loopback | Host::Other => {
            return refusal(StatusCode::FORBIDDEN, Slug::HostRefused.row().happened);
        }
    }
    let posted = if reading { Ok(()) } else { posted_by_us(&console.settings, request.headers()) };
    if let Err(slug) = posted {
        let status = StatusCode::from_u16(slug.row().http).unwrap_or(StatusCode::FORBIDDEN);
        return refusal(status, slug.row().happened);
    }
    next.run(request).await
}

enum Host {
    Ours,
    Loopback,
    Other,
}

fn host(settings: &Settings, request: &Request) -> Host {
    let headers = request.headers();
    let name = if headers.contains_key(header::HOST) {
        sole(headers.get_all(header::HOST)).and_then(|name| name.to_str().ok())
    } else {
        request.uri().authority().map(http::uri::Authority::as_str)
    };
    let Some(name) = name.map(str::to_lowercase) else { return Host::Other };
    if settings.hosts.contains(&name) {
        return Host::Ours;
    }
    let bare = |host: &str| name.strip_prefix(host).is_some_and(|port| port.is_empty() || is_port(port));
    if bare("127.0.0.1") || bare("[::1]") { Host::Loopback } else { Host::Other }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

/// Browsers name the origin of whoever posts, and no page but ours may send JSON here without being asked about it.
fn posted_by_us(settings: &Settings, headers: &HeaderMap) -> Result<(), Slug> {
    let origin = sole(headers.get_all(header::ORIGIN)).and_then(|origin| origin.to_str().ok());
    if !origin.is_some_and(|origin| settings.origins.iter().any(|ours| ours == origin)) {
        return Err(Slug::OriginRefused);
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return Err(Slug::OriginRefused);
    }
    let kind = sole(headers.get_all(header::CONTENT_TYPE)).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Slug::MediaType) }
}
