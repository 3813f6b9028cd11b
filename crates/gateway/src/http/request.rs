//! A request to an API becomes an access: by the one spelling of its path, along the one route that fits, with nothing but what
//! the route takes (T43–T50). What the route does not name is not judged, and so it is not sent.

use std::sync::Arc;

use authority::{Ask, Target};
use axum::body::{Body, Bytes};
use axum::extract::Request as HttpRequest;
use http::{HeaderMap, HeaderValue, Version, header};
use terms::json::{self, Object};
use terms::route::{self, Content, Crooked, Path, Query, Template};
use terms::{Action, Digest, Json, Kind, Method, Route, Slug, UpstreamHash};
use upstream::{Api, Beside};

use super::representation;
use crate::access::{access, not_an_access};
use crate::answer::Refusal;
use crate::caller::{self, Known};
use crate::elevations::{LONGEST_PURPOSE, LONGEST_TICKET};
use crate::front::{one, whole};
use crate::gateway::Shared;
use crate::mcp::envelope::{holds_key, not_json, within};

/// Where the addresses of APIs begin.
const PREFIX: &str = "/http/";

/// Names what is to be done once.
const ONCE: header::HeaderName = header::HeaderName::from_static("idempotency-key");

/// What a sender may expect: to be told that its content is wanted.
const CONTINUE: &str = "100-continue";

/// What a caller says beside its request.
const PURPOSE: header::HeaderName = header::HeaderName::from_static("stepup-purpose");
const TICKET: header::HeaderName = header::HeaderName::from_static("stepup-ticket");

/// The name of the API in a path, and what follows it; `None` for another address.
pub(crate) fn place(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    let at = rest.find('/').unwrap_or(rest.len());
    Some(rest.split_at(at))
}

/// The access that a request asks for, and what goes along with it; to no API where there is none of that name.
///
/// # Errors
/// Why it is none.
pub(super) async fn read(
    gateway: &Shared,
    known: &Known,
    api: Option<&Api>,
    request: HttpRequest,
) -> Result<(Box<Ask>, Box<Beside>), Refusal> {
    let (parts, body) = request.into_parts();
    // Older versions frame content by its end (T40).
    if parts.version < Version::HTTP_11 {
        return Err(Slug::HttpVersionRefused.into());
    }
    // What else is expected of us, we do not do (RFC 9110, 10.1.1).
    let expects = parts.headers.contains_key(header::EXPECT);
    if expects && one(&parts.headers, &header::EXPECT).is_none_or(|it| !it.eq_ignore_ascii_case(CONTINUE)) {
        return Err(Slug::ExpectationRefused.into());
    }
    let (_, path) = place(parts.uri.path()).ok_or(Slug::NotFound)?;
    let line = Line { method: parts.method.as_str(), path, query: parts.uri.query() };
    let to = api.map(|api| (api.name(), api.identity()));
    of_line(gateway, known, to, Given { line, headers: &parts.headers, merged: false, content: Some(body) })
        .await
}

/// The first line of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'l> {
    pub(super) method: &'l str,
    pub(super) path: &'l str,
    pub(super) query: Option<&'l str>,
}

/// What is known of a request.
pub(super) struct Given<'g> {
    pub(super) line: Line<'g>,
    pub(super) headers: &'g HeaderMap,
    /// Whether a comma may stand between two headers of one name, and a `!` for any byte.
    pub(super) merged: bool,
    /// `None` where it is not shown.
    pub(super) content: Option<Body>,
}

/// The access that a request asks for, of which this is known. `to` is the API, where there is one.
///
/// # Errors
/// Why it is none.
pub(super) async fn of_line(
    gateway: &Shared,
    known: &Known,
    to: Option<(&str, UpstreamHash)>,
    Given { line, headers: given, merged, content: body }: Given<'_>,
) -> Result<(Box<Ask>, Box<Beside>), Refusal> {
    let method = Method::named(line.method).ok_or(Slug::MethodNotAllowed)?;
    let path = Path::read(if line.path.is_empty() { "/" } else { line.path }).map_err(crooked)?;
    let query = Query::read(line.query.unwrap_or_default()).map_err(crooked)?;
    // Of an API that is not there everything is unknown, and nothing tells it from one that is hidden (T124).
    let (upstream, identity) = to.ok_or(Slug::RouteUnknown)?;
    let target = along(gateway, known, upstream, method, &path).ok_or(Slug::RouteUnknown)?;
    let route = target.route.as_ref().ok_or(Slug::RouteUnknown)?;
    let headers = headers(route, given, merged)?;
    let arguments = route.arguments(&path, &query, &headers).map_err(crooked)?;
    let mut arguments = arguments.ok_or(Slug::RouteUnknown)?;
    let content = content(gateway, &target, given, body).await?;
    let mut beside = Beside { route: Some(Arc::clone(&target)), ..Beside::default() };
    if let Some((body, bytes)) = content {
        arguments.insert("body", body);
        beside.content = bytes;
    }
    beside.accept = representation(given, &header::ACCEPT);
    beside.languages = representation(given, &header::ACCEPT_LANGUAGE);
    let said = |name, longest| said(given, name, longest);
    let (purpose, ticket) = (said(&PURPOSE, LONGEST_PURPOSE)?, said(&TICKET, LONGEST_TICKET)?);
    // No log holds a key, and no upstream sees it (T26).
    let told = [&purpose, &ticket].into_iter().flatten().map(String::as_bytes);
    let chosen = [&beside.accept, &beside.languages].into_iter().flatten().map(HeaderValue::as_bytes);
    let bytes: Vec<&[u8]> = told.chain(chosen).chain(beside.content.as_deref()).collect();
    let holds = |key: &str| within(&arguments, key) || bytes.iter().any(|bytes| contains(bytes, key));
    if caller::key(given).is_ok_and(holds) {
        return Err(holds_key());
    }
    let arguments = Json::Object(arguments);
    if let Some(what) = gateway.authority.misfit(&target, &arguments) {
        return Err(Refusal::because(Slug::ArgumentsInvalid, what));
    }
    let asked = (Action::Send(method), &*target);
    let ask = access(gateway, known, asked, identity, arguments, Object::new());
    let ask = ask.map_err(|why| not_an_access(&why))?;
    // What only reads may be read again.
    let reads = matches!(method, Method::Get | Method::Head);
    let once = if reads { None } else { once(given)? };
    let ask = Ask { purpose, ticket, once, ..ask };
    Ok((Box::new(ask), Box::new(beside)))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The route that is meant, if its caller may know of it: of those that fit, the one that says most. There is none where an
/// upstream that does not mind case would find another.
fn along(
    gateway: &Shared,
    known: &Known,
    upstream: &str,
    method: Method,
    path: &Path,
) -> Option<Arc<Target>> {
    let active = gateway.authority.active();
    let of = |target: &&Arc<Target>| target.route.as_ref().is_some_and(|route| route.method() == method);
    let routes = || active.named(upstream, Kind::Route).filter(of);
    let fits = |target: &&Arc<Target>| path_of(target).is_some_and(|own| own.of(path).is_some());
    let target = routes().filter(fits).min_by(|one, other| path_of(one).cmp(&path_of(other)))?;
    let meant = path_of(target)?;
    if routes().filter_map(|other| path_of(other)).any(|other| other.hides(meant, path)) {
        return None;
    }
    gateway.authority.seen(&known.caller, Kind::Route, &target.upstream, &target.name)
}

fn path_of(target: &Target) -> Option<&Template> {
    target.route.as_ref().map(|route| route.path())
}

/// The values of the headers that a route takes.
fn headers<'r>(
    route: &'r Route,
    headers: &'r HeaderMap,
    merged: bool,
) -> Result<Vec<(&'r str, &'r str)>, Refusal> {
    let mut given = Vec::new();
    for name in route.headers() {
        for value in headers.get_all(name) {
            let text = value.to_str().map_err(|_| {
                Refusal::because(Slug::ArgumentsInvalid, format!("the header {name} is not plain ASCII"))
            })?;
            // The upstream may get two, or another byte (T46).
            if merged && text.contains([',', '!']) {
                let detail = format!("what asks does not pass the header {name} on as it is");
                return Err(Refusal::because(Slug::ArgumentUnjudgeable, detail));
            }
            given.push((name, text.trim()));
        }
    }
    Ok(given)
}

/// The caller's own name for what it wants done once (draft-ietf-httpapi-idempotency-key-header).
pub(crate) fn once(headers: &HeaderMap) -> Result<Option<Digest>, Refusal> {
    if !headers.contains_key(ONCE) {
        return Ok(None);
    }
    let plain =
        |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b));
    let key = one(headers, &ONCE).map(str::trim).filter(plain);
    let detail = "the Idempotency-Key is not one text of 1 to 255 plain characters";
    let key = key.ok_or_else(|| Refusal::because(Slug::ArgumentsInvalid, detail))?;
    Ok(Some(Digest::of("stepup/once/v1\0", &[key.as_bytes()])))
}

/// What the caller says in a header of ours.
fn said(headers: &HeaderMap, name: &header::HeaderName, longest: usize) -> Result<Option<String>, Refusal> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let text = one(headers, name).map(str::trim).filter(|text| (1..=longest).contains(&text.len()));
    let detail = || format!("the header {name} is not one text of 1 to {longest} bytes");
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Refusal::because(Slug::ArgumentsInvalid, detail()))
}

/// What is judged of the content, and the bytes themselves where that is their digest.
async fn content(
    gateway: &Shared,
    target: &Target,
    headers: &HeaderMap,
    body: Option<Body>,
) -> Result<Option<(Json, Option<Bytes>)>, Refusal> {
    let Some(route) = &target.route else { return Ok(None) };
    let Some(body) = body else {
        // What nobody has seen, nobody can judge (T50, T51).
        let unseen = "what asks does not pass the content on, and this route takes some";
        let unseen = || Refusal::because(Slug::ArgumentUnjudgeable, unseen);
        return if *route.content() == Content::None { Ok(None) } else { Err(unseen()) };
    };
    let bytes = whole(&gateway.settings, body).await?;
    let is = |wanted: &str| media_type(headers).is_some_and(|given| given == wanted);
    let wrong = |takes: &str| Refusal::because(Slug::MediaType, format!("this route takes {takes}"));
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Slug::MediaType.into());
    }
    match route.content() {
        Content::None if bytes.is_empty() => Ok(None),
        // What it comes to without content, its schema says.
        Content::Json | Content::Form | Content::Bytes(_)
            if bytes.is_empty() && !headers.contains_key(header::CONTENT_TYPE) =>
        {
            Ok(None)
        }
        Content::None => Err(Refusal::because(Slug::ArgumentsInvalid, "this route takes no content")),
        Content::Json if is("application/json") => {
            Ok(Some((json::parse(&bytes).map_err(|why| not_json(&why))?, None)))
        }
        Content::Json => Err(wrong("application/json")),
        Content::Form if is("application/x-www-form-urlencoded") => {
            let text = std::str::from_utf8(&bytes).map_err(|_| unfit(&Crooked::Query("is no UTF-8")))?;
            Ok(Some((route::form(&target.pin.definition, text).map_err(|why| unfit(&why))?, None)))
        }
        Content::Form => Err(wrong("application/x-www-form-urlencoded")),
        Content::Bytes(types) => {
            let given = types.iter().find(|wanted| is(wanted)).ok_or_else(|| wrong(&types.join(", ")))?;
            Ok(Some((route::digest_of(given, &bytes), Some(bytes))))
        }
    }
}

/// The one media type of the content, in lower case; with no parameter but that it is UTF-8.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let given = one(headers, &header::CONTENT_TYPE)?.to_ascii_lowercase();
    let (essence, parameter) = given.split_once(';').unwrap_or((&given, ""));
    ["", "charset=utf-8"].contains(&parameter.trim()).then(|| essence.trim().to_owned())
}

fn crooked(why: Crooked) -> Refusal {
    match why {
        Crooked::Path(_) | Crooked::Query(_) => {
            Refusal::because(Slug::PathRefused, terms::text::visible(&why.to_string()))
        }
        Crooked::Undeclared(_) | Crooked::Twice(_) | Crooked::Form(..) => unfit(&why),
    }
}

/// Arguments that the route does not take.
fn unfit(why: &Crooked) -> Refusal {
    Refusal::because(Slug::ArgumentsInvalid, terms::text::visible(&why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_api_ends_at_the_first_slash_and_is_not_decoded() {
        assert_eq!(place("/http/crm/a/b"), Some(("crm", "/a/b")));
        assert_eq!(place("/http/crm"), Some(("crm", "")));
        assert_eq!(place("/http/%63rm/a"), Some(("%63rm", "/a")));
        assert_eq!(place("/http//a"), Some(("", "/a")));
        assert_eq!((place("/httpx/crm"), place("/mcp/crm")), (None, None));
    }

    #[test]
    fn a_media_type_is_one_and_says_nothing_but_utf_8() {
        let of = |value: &'static str| {
            media_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(value))]))
        };
        assert_eq!(of("Application/JSON; charset=UTF-8").as_deref(), Some("application/json"));
        assert_eq!(of("application/json; charset=utf-7"), None);
        assert_eq!(of("application/json; boundary=x"), None);
        let mut two = HeaderMap::new();
        two.append(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        two.append(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        assert_eq!((media_type(&two), media_type(&HeaderMap::new())), (None, None));
    }
}
