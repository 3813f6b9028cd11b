//! Requests as they may be read in one way only, whichever version of HTTP they came in: what HTTP/2 says in fields of its own is
//! held against what it repeats, and is then said as HTTP/1.1 says it (RFC 9113, 8.2 and 8.3). What follows knows no difference.
//!
//! The library refuses before this what is malformed by itself: fields of the connection, names with capitals, pseudo-header
//! fields that are missing, unknown, repeated or late, and content of another length than was said.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use terms::sole;

/// Holds a request to one reading.
///
/// # Errors
/// The status of its refusal.
pub(super) fn one<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    // We are nobody's tunnel, whatever follows would be made of it.
    if request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let (authority, target) = target(request.uri()).ok_or(StatusCode::BAD_REQUEST)?;
    if !plain(request.headers()) || !named(request.headers_mut(), authority) {
        return Err(StatusCode::BAD_REQUEST);
    }
    *request.uri_mut() = target;
    Ok(())
}

/// `:authority`, and what of the address is asked for; a path is one from its first byte (RFC 9113, 8.3.1).
fn target(uri: &Uri) -> Option<(Option<HeaderValue>, Uri)> {
    let target = uri.path_and_query().filter(|target| target.as_str().starts_with('/'))?;
    let authority = match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => return None,
        Some(authority) => Some(HeaderValue::from_str(authority.as_str()).ok()?),
        None => None,
    };
    Some((authority, Uri::from(target.clone())))
}

/// Whether one name is asked for; then it stands in `Host`.
fn named(headers: &mut HeaderMap, authority: Option<HeaderValue>) -> bool {
    let same = |host: &HeaderValue| {
        authority.as_ref().is_none_or(|authority| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
    };
    if headers.contains_key(HOST) {
        return sole(headers.get_all(HOST)).is_some_and(same);
    }
    let Some(authority) = authority else { return false };
    headers.insert(HOST, authority);
    true
}

/// Whether no field is read otherwise by who trims it, or takes the last of two lengths for the first (RFC 9113, 8.1.1 and 8.2.1).
fn plain(headers: &HeaderMap) -> bool {
    let trimmed = |value: &HeaderValue| value.as_bytes() == value.as_bytes().trim_ascii();
    let digits = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    let framed = !headers.contains_key(CONTENT_LENGTH)
        || sole(headers.get_all(CONTENT_LENGTH)).is_some_and(|length| !length.is_empty() && digits(length));
    framed && headers.values().all(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: Version, uri: &str, headers: &[(&str, &str)]) -> Result<(String, String), StatusCode> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        one(&mut request)?;
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned());
        Ok((host.unwrap_or_default(), request.uri().to_string()))
    }

    #[test]
    fn what_http_2_says_in_its_own_fields_is_said_once_and_as_http_1_says_it() {
        let reads = |host: &str, uri: &str| Ok((host.to_owned(), uri.to_owned()));
        let h2 = |uri, headers: &[_]| read(Version::HTTP_2, uri, headers);
        assert_eq!(h2("https://a.example/x?y", &[]), reads("a.example", "/x?y"));
        assert_eq!(h2("https://a.example/x", &[("host", "A.example")]), reads("A.example", "/x"));
        assert_eq!(h2("/x", &[("host", "a.example")]), reads("a.example", "/x"));
        let bad = Err(StatusCode::BAD_REQUEST);
        assert_eq!(h2("/x", &[]), bad);
        assert_eq!(h2("*", &[("host", "a.example")]), bad);
        for given in [
            &[("host", "b.example")][..],
            &[("host", "a.example:443")],
            &[("host", "")],
            &[("host", "a.example"), ("host", "a.example")],
            &[("host", "a.example"), ("host", "b.example")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "+1")],
            &[("content-length", "")],
            &[("x", " y")],
            &[("x", "y\t")],
        ] {
            assert_eq!(h2("https://a.example/x", given), bad, "{given:?}");
        }
        assert_eq!(h2("https://u@a.example/x", &[]), bad);
        // As it came: HTTP/1.1 has rules of its own, and a door that holds to them.
        let whole = "http://b.example/x";
        assert_eq!(read(Version::HTTP_11, whole, &[("host", "a.example")]), reads("a.example", whole));
    }

    #[test]
    fn nobody_gets_a_tunnel() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let request = Request::builder().method(Method::CONNECT).version(version).uri("a.example:443");
            assert_eq!(one(&mut request.body(()).unwrap()), Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }
}
