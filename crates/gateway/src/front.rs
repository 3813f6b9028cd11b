//! What every request passes before anyone looks at what it asks for: size of its headers, `Host`, `Origin`
//! (T25), and the headers that every answer carries (T58). No answer ever allows another origin to read it.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use terms::json::Limits;
use terms::{Slug, sole};

use crate::answer::Refusal;
use crate::gateway::Shared;
use crate::http::asked;
use crate::settings::Settings;

/// Passes a request on, or refuses it.
pub(crate) async fn pass(State(gateway): State<Shared>, request: Request, next: Next) -> Response {
    let framed = framed(request.headers());
    let mut response = match check(&gateway.settings, request.uri(), request.headers()) {
        Ok(()) if !framed => {
            Refusal::because(Slug::RequestInvalid, "its content is coded for transfer").plain()
        }
        Ok(()) if gateway.draining() => Refusal::from(Slug::Draining).plain(),
        Ok(()) => next.run(request).await,
        Err(slug) => Refusal::from(slug).plain(),
    };
    if !framed {
        hang_up(&mut response);
    }
    mark(&mut response);
    response
}

/// Puts on an answer what every answer carries.
pub(crate) fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Whether content is framed as we read it: by its length, or in chunks and nothing else. Hyper reads whatever ends in chunks, with
/// another coding below them or in chunks of chunks, and leaves out a length beside them (RFC 9112, 6.1 and 6.3).
fn framed(headers: &HeaderMap) -> bool {
    let chunked = |value: &str| value.eq_ignore_ascii_case("chunked");
    !headers.contains_key(header::TRANSFER_ENCODING)
        || one(headers, &header::TRANSFER_ENCODING).is_some_and(chunked)
}

/// Ends the connection after an answer: what comes next on it is not sure to begin where we think.
pub(crate) fn hang_up(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Reads the content of a request whole, of at most [`Limits::REQUEST`] bytes and within the time there is for it.
pub(crate) async fn whole(settings: &Settings, body: Body) -> Result<Bytes, Refusal> {
    let within = settings.budgets.body_within.duration();
    match tokio::time::timeout(within, to_bytes(body, Limits::REQUEST.bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(Refusal::because(Slug::RequestInvalid, "the body did not arrive in time")),
    }
}

/// Why content could not be read: it is too much, or not framed as it says.
pub(crate) fn broken(error: &axum::Error) -> Refusal {
    if std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
    {
        return Slug::TooLarge.into();
    }
    Refusal::because(Slug::RequestInvalid, "the body is not framed as it says, or not whole")
}

/// Whether headers are more than is looked at.
pub(crate) fn too_large(settings: &Settings, headers: &HeaderMap) -> bool {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    size > settings.budgets.headers
}

fn check(settings: &Settings, uri: &Uri, headers: &HeaderMap) -> Result<(), Slug> {
    if too_large(settings, headers) {
        return Err(Slug::TooLarge);
    }
    if asked::of_another_host(uri.path()) {
        return Ok(());
    }
    let host = one(headers, &header::HOST).ok_or(Slug::HostRefused)?.to_ascii_lowercase();
    let named = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(&host));
    if !named || !settings.hosts.contains(&host) {
        return Err(Slug::HostRefused);
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = one(headers, &header::ORIGIN).ok_or(Slug::OriginRefused)?;
        if !settings.origins.contains(origin) {
            return Err(Slug::OriginRefused);
        }
    }
    Ok(())
}

/// The value of a header that comes exactly once.
pub(crate) fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    sole(headers.get_all(name))?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, given: &[(&str, &str)]) -> Result<(), Slug> {
        let mut settings = Settings::at("http://127.0.0.1:7300", "http://localhost:7301");
        settings.origins.insert("https://good.example".to_owned());
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        check(&settings, &target.parse().unwrap(), &headers)
    }

    #[test]
    fn only_the_configured_host_is_answered() {
        assert_eq!(verdict("/", &[("host", "127.0.0.1:7300")]), Ok(()));
        assert_eq!(verdict("http://127.0.0.1:7300/", &[("host", "127.0.0.1:7300")]), Ok(()));
        for host in [
            "127.0.0.1",
            "127.0.0.1:7301",
            "127.0.0.1.:7300",
            "localhost:7300",
            "localhost.evil:7300",
            "127.0.0.1:7300.evil",
            "[::1]:7300",
            "[::ffff:127.0.0.1]:7300",
            "user@127.0.0.1:7300",
            "",
            "0x7f.1:7300",
            "127.0.0.1:07300",
            "127.0.0.1:7300 ",
        ] {
            assert_eq!(verdict("/", &[("host", host)]), Err(Slug::HostRefused), "{host:?}");
        }
        assert_eq!(verdict("/", &[]), Err(Slug::HostRefused));
        let two = [("host", "127.0.0.1:7300"), ("host", "127.0.0.1:7300")];
        assert_eq!(verdict("/", &two), Err(Slug::HostRefused));
        assert_eq!(verdict("http://evil/", &[("host", "127.0.0.1:7300")]), Err(Slug::HostRefused));
        // Envoy passes on that of the API.
        assert_eq!(verdict("/authz/envoy/crm/health", &[("host", "crm.example")]), Ok(()));
        for path in ["/authz/nginx/crm", "/authz/forward/crm", "/authz/envoy", "/http/authz/envoy/crm/health"]
        {
            assert_eq!(verdict(path, &[("host", "crm.example")]), Err(Slug::HostRefused), "{path}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_whatever_else_it_sends() {
        let host = ("host", "127.0.0.1:7300");
        assert_eq!(verdict("/", &[host, ("origin", "https://good.example")]), Ok(()));
        for origin in
            ["null", "", "https://good.example.evil", "http://good.example", "https://good.example/", "*"]
        {
            assert_eq!(verdict("/", &[host, ("origin", origin)]), Err(Slug::OriginRefused), "{origin:?}");
        }
        let two = [host, ("origin", "https://good.example"), ("origin", "https://good.example")];
        assert_eq!(verdict("/", &two), Err(Slug::OriginRefused));
    }

    #[test]
    fn headers_beyond_the_budget_are_refused_before_anything_else() {
        let long = "x".repeat(33 << 10);
        assert_eq!(verdict("/", &[("host", "127.0.0.1:7300"), ("x-long", &long)]), Err(Slug::TooLarge));
    }
}
