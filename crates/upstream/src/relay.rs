//! The way out for a request to an HTTP API: like [`crate::forward()`] a Permit goes in, what is sent is written from the access
//! that was judged, once, and whatever happens, how it ended comes out. The answer is passed on as it comes.

use std::sync::Arc;
use std::time::Duration;

use authority::{Captured, Cargo, Permit, Settlement, Target};
use bytes::Bytes;
use elevation::Outcome;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    SET_COOKIE,
};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::SendRequest;
use terms::route::{self, Content};
use terms::{Access, Action, Json, Millis, Seam, Secret, Slug};
use tokio::time::Instant;

use crate::answer::Fault;
use crate::api::{Api, Line};
use crate::transport::http::{Endpoint, fault};

/// What goes along with a request beside its permit.
#[derive(Debug, Default)]
pub struct Beside {
    /// The route with the definition that the request was judged by. With another, nothing is sent.
    pub route: Option<Arc<Target>>,
    /// The bytes whose digest was judged, where that is what was judged of the content.
    pub content: Option<Bytes>,
    /// The forms and languages in which the caller takes the answer. They choose how the same thing is told, and nothing else.
    pub accept: Option<HeaderValue>,
    /// See `accept`.
    pub languages: Option<HeaderValue>,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Within {
    /// Its head, and each piece of what follows.
    pub piece: Millis,
    /// From its head to its end.
    pub whole: Millis,
}

/// What became of one permitted request.
#[must_use = "the attempt must be settled with its outcome"]
pub struct Relayed {
    /// The answer's head with what follows, or why there is none.
    pub answer: Result<(Head, Rest), Fault>,
    /// How the attempt ended, if what follows is whole; for [`authority::Authority::settle`].
    pub outcome: Outcome,
    /// The duty to say so. `None` when the permit was no longer good: then that is said already.
    pub settlement: Option<Settlement>,
}

/// The head of an answer, without what is between us and the upstream.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
}

/// The content of an answer, as it comes.
pub struct Rest {
    body: Incoming,
    connection: Option<SendRequest<Full<Bytes>>>,
    endpoint: Arc<Endpoint>,
    patience: Duration,
    until: Instant,
}

/// Headers of an answer that are between us and the upstream, or ours: how the message is framed (RFC 9110, 7.6.1), who we are
/// there, and where else the upstream can be had.
const BETWEEN: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "authentication-info",
    "www-authenticate",
    "alt-svc",
    "strict-transport-security",
    "cache-control",
    "x-content-type-options",
];

/// What only we say: which attempt it was, where to ask people, and that no page of another origin reads it (T58).
const OURS: [&str; 2] = ["stepup-", "access-control-"];

/// Relays one permitted request to an API, and waits for its answer no longer than `within` says.
///
/// Never sends anything twice, follows no redirect, and never gives up silently. It should run in a task of its own: whether the
/// caller is still there is for the answer to find out, not for the request (F37).
pub async fn relay(permit: Permit, line: Line, beside: Beside, within: Within) -> Relayed {
    let (api, connection) = line.take();
    let Some(connection) = connection else { return unsent(permit, Fault::Unreachable) };
    let (cargo, mut settlement) = match permit.embark() {
        Ok(embarked) => embarked,
        Err(stale) => return Relayed::unsent(None, Fault::Stale(stale.0)),
    };
    let Cargo { access, arguments, credential, .. } = cargo;
    let Some(mut request) = write(&access, &arguments, &api, beside) else {
        return Relayed::unsent(Some(settlement), Fault::Stale(Slug::ToolQuarantined));
    };
    if authenticated(&mut request, &api, credential).is_none() {
        return Relayed::unsent(Some(settlement), Fault::Stale(Slug::StateInvalid));
    }
    api.endpoint.ambient().seam(Seam::UpstreamSend);
    settlement.sending();
    let answered = tokio::time::timeout(within.piece.duration(), send(connection, request)).await;
    api.endpoint.ambient().seam(Seam::UpstreamAnswered);
    let (answer, outcome) = match answered.unwrap_or(Err((Fault::Timeout, true))) {
        Ok((connection, head, body)) => {
            let mut rest = Rest {
                body,
                connection: Some(connection),
                endpoint: Arc::clone(&api.endpoint),
                patience: within.piece.duration(),
                until: Instant::now() + within.whole.duration(),
            };
            if rest.body.is_end_stream() && !head.status.is_informational() {
                rest.spare();
            }
            let outcome = outcome_of(head.status);
            (about_us(head.status).map_or(Ok((head, rest)), Err), outcome)
        }
        Err((fault, sent)) => (Err(fault), fault.outcome(sent)),
    };
    Relayed { answer, outcome, settlement: Some(settlement) }
}

/// How an attempt ended that was answered so: a status of the 400s is the upstream's own refusal; one of the 500s may come from
/// something in between, while the request runs on behind it (F36).
fn outcome_of(status: StatusCode) -> Outcome {
    match status.as_u16() {
        200..=399 => Outcome::Done,
        400..=499 => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

/// An answer that is not about the request, but about us: that our own credential is not taken, or that another protocol is to
/// be spoken, which nobody asked for.
fn about_us(status: StatusCode) -> Option<Fault> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Some(Fault::Status(status.as_u16()))
        }
        _ if status.is_informational() => Some(Fault::Invalid),
        _ => None,
    }
}

type Sent = (SendRequest<Full<Bytes>>, Head, Incoming);

async fn send(
    mut connection: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Sent, (Fault, bool)> {
    let sent = connection.try_send_request(request).await;
    let response = sent.map_err(|mut error| match error.take_message() {
        // Hyper hands back what it has not begun to write.
        Some(_) => (Fault::Unreachable, false),
        None => (fault(&error.into_error()), true),
    })?;
    let (parts, body) = response.into_parts();
    Ok((connection, Head { status: parts.status, headers: passed(parts.headers) }, body))
}

/// The headers of an answer that are its caller's (T46, T55).
fn passed(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in BETWEEN {
        headers.remove(name);
    }
    // A session with the upstream would be a credential of the caller's own.
    headers.remove(SET_COOKIE);
    let said_by_us: Vec<HeaderName> = headers
        .keys()
        .filter(|name| OURS.iter().any(|ours| name.as_str().starts_with(ours)))
        .cloned()
        .collect();
    for name in said_by_us {
        headers.remove(name);
    }
    headers
}

/// The request, written from what was judged; `None` if that is not for this API as it is, by this very definition (T19).
fn write(access: &Access, clear: &Json, api: &Api, beside: Beside) -> Option<Request<Full<Bytes>>> {
    let Beside { route: target, content, accept, languages } = beside;
    let resource = access.resource();
    let target =
        target.filter(|target| target.id() == resource.id && target.pin.digest == resource.definition)?;
    let route = target.route.as_ref()?;
    let same = target.upstream == api.name() && resource.upstream == api.identity();
    let method =
        Action::named(access.action()).filter(|action| *action == Action::Send(route.method()) && same);
    let Some(Action::Send(method)) = method else { return None };
    let arguments = clear.as_object()?;
    let uri: Uri = format!("{}{}", api.base(), route.target(arguments)?).parse().ok()?;
    let (media_type, content) = written(&target, route.content(), arguments.get("body"), content)?;
    let method = http::Method::from_bytes(method.name().as_bytes()).ok()?;
    let mut request = api.endpoint.blank(method, uri, content);
    let headers = request.headers_mut();
    if let Some(media_type) = media_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&media_type).ok()?);
    }
    for (name, value) in route.header_values(arguments)? {
        let name: HeaderName = name.parse().ok()?;
        // What every request to the API has is ours.
        if headers.insert(name, HeaderValue::from_str(&value).ok()?).is_some() {
            return None;
        }
    }
    headers.insert(ACCEPT, accept.unwrap_or(HeaderValue::from_static("*/*")));
    if let Some(languages) = languages {
        headers.insert(ACCEPT_LANGUAGE, languages);
    }
    Some(request)
}

/// With the credential that an answer held, unless another has been configured since; `None` where no header can hold it.
fn authenticated(request: &mut Request<Full<Bytes>>, api: &Api, captured: Option<Captured>) -> Option<()> {
    let Some(captured) = captured.filter(|captured| captured.instead_of == api.configured()) else {
        return Some(());
    };
    let text = Secret::new(format!("Bearer {}", captured.value.expose()));
    let mut value = HeaderValue::from_str(text.expose()).ok()?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Some(())
}

/// The content with its media type: written from what was judged, or the very bytes of the digest that was.
fn written(
    target: &Target,
    content: &Content,
    body: Option<&Json>,
    bytes: Option<Bytes>,
) -> Option<(Option<String>, Bytes)> {
    let typed = |media_type: &str, text: String| Some((Some(media_type.to_owned()), Bytes::from(text)));
    match (content, body, bytes) {
        (_, None, None) => Some((None, Bytes::new())),
        (Content::Json, Some(body), None) => typed("application/json", body.text()),
        (Content::Form, Some(body), None) => typed(
            "application/x-www-form-urlencoded",
            route::form_text(&target.pin.definition, body.as_object()?)?,
        ),
        (Content::Bytes(_), Some(body), Some(bytes)) => {
            let media_type = body.get("type")?.as_str()?;
            (*body == route::digest_of(media_type, &bytes)).then(|| (Some(media_type.to_owned()), bytes))
        }
        (Content::None | Content::Json | Content::Form | Content::Bytes(_), _, _) => None,
    }
}

/// Nothing can be sent. The permit is used up all the same, and who called is answered only after that is settled.
fn unsent(permit: Permit, fault: Fault) -> Relayed {
    match permit.embark() {
        Ok((_, settlement)) => Relayed::unsent(Some(settlement), fault),
        Err(stale) => Relayed::unsent(None, Fault::Stale(stale.0)),
    }
}

impl Relayed {
    const fn unsent(settlement: Option<Settlement>, fault: Fault) -> Self {
        Self { answer: Err(fault), outcome: Outcome::NotSent, settlement }
    }
}

impl Rest {
    /// Whether nothing follows any more: all that was announced is read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    /// How many bytes it says that follow.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// When it is to be whole, and taken.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// The next piece; `None` once it is whole. Trailers are not passed on (T50).
    ///
    /// # Errors
    /// [`Fault`] where it ends before it is whole, says nothing for too long, or is not whole by then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let until = self.until.min(Instant::now() + self.patience);
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            match frame.map_err(|_| Fault::Timeout)? {
                Some(Ok(frame)) => {
                    // Who has as many bytes as were announced may ask for no more.
                    if self.body.is_end_stream() {
                        self.spare();
                    }
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    self.connection = None;
                    return Err(fault(&error));
                }
                None => {
                    self.spare();
                    return Ok(None);
                }
            }
        }
    }

    /// Nothing follows any more: its connection is for another request.
    fn spare(&mut self) {
        if let Some(connection) = self.connection.take() {
            Arc::clone(&self.endpoint).spare(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f36_only_what_the_upstream_itself_refuses_has_failed() {
        let of = |code: u16| outcome_of(StatusCode::from_u16(code).unwrap());
        assert_eq!([200, 204, 302].map(of), [Outcome::Done; 3]);
        assert_eq!([400, 404, 409, 429].map(of), [Outcome::Failed; 4]);
        assert_eq!([500, 502, 503, 599, 999].map(of), [Outcome::Unknown; 5]);
    }

    #[test]
    fn t46_t55_what_is_between_us_and_the_upstream_is_passed_to_nobody() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "session=1"),
            ("www-authenticate", "Basic"),
            ("stepup-attempt", "att_forged"),
            ("stepup-link", "https://evil.example/"),
            ("access-control-allow-origin", "*"),
            ("etag", "\"1\""),
            ("content-length", "3"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let left = passed(headers);
        let names: Vec<&str> = left.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["etag", "content-length"]);
    }
}
