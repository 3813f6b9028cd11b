//! What Envoy asks, as the question that every proxy asks (standards 5.1).

use std::net::IpAddr;

use bytes::Bytes;
use gateway::{Asked, PARTIAL, Shown};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::wire::{AttributeContext, CheckRequest, HttpRequest};

/// Names the upstream, in what the proxy's operator says of a route or a host (`context_extensions`).
const UPSTREAM: &str = "upstream";

/// The question in a message. Whatever is not there is not supposed: it is refused, further on, as what it is.
pub(crate) fn read(check: CheckRequest, peer: IpAddr) -> Asked {
    let AttributeContext { source, request, mut context_extensions } = check.attributes.unwrap_or_default();
    // Where it came from is noted; it is nobody's name.
    let source = source.and_then(|source| source.address?.socket_address);
    let http = request.and_then(|request| request.http).unwrap_or_default();
    let merged = http.header_map.is_none();
    let (headers, read) = headers(&http);
    let line = match read {
        Err(why) => Err(why.to_owned()),
        Ok(()) if http.method.is_empty() || http.path.is_empty() => {
            Err("the proxy does not say which request it holds".to_owned())
        }
        Ok(()) => Ok((http.method, http.path)),
    };
    Asked {
        upstream: context_extensions.remove(UPSTREAM).unwrap_or_default(),
        peer: Some(peer),
        source: source.and_then(|source| source.address.parse().ok()),
        line,
        content: content(&headers, (http.body, http.raw_body)),
        headers,
        merged,
    }
}

/// The headers, as far as they can be read.
fn headers(http: &HttpRequest) -> (HeaderMap, Result<(), &'static str>) {
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.map(|header| (header.key.as_str(), header.raw_value.as_ref()));
    let merged = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let (mut headers, mut read) = (HeaderMap::new(), Ok(()));
    if http.header_map.is_some() && !http.headers.is_empty() {
        read = Err("the proxy says its headers in two ways");
    }
    for (name, value) in raw.chain(merged) {
        // Those of HTTP/2 repeat the line.
        let said = match name {
            ":method" => value == http.method.as_bytes(),
            ":path" => value == http.path.as_bytes(),
            _ if name.starts_with(':') => true,
            _ => append(&mut headers, (name, value)).is_some(),
        };
        if !said {
            read = Err("the proxy passes a header on that cannot be read, or says two things of one request");
        }
    }
    (headers, read)
}

fn append(headers: &mut HeaderMap, (name, value): (&str, &[u8])) -> Option<()> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let value = HeaderValue::from_bytes(value).ok()?;
    headers.try_append(name, value).ok().map(|_| ())
}

/// The content. Envoy marks it where it shows any (`with_request_body`), and says nothing where there is none or it shows none.
fn content(headers: &HeaderMap, (text, raw): (Bytes, Bytes)) -> Shown {
    let mut marks = headers.get_all(PARTIAL).iter();
    let sized = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let none = raw.is_empty() && text.is_empty() && sized.is_none_or(|size| size == b"0");
    // `!` stands for what is no text (`pack_as_bytes` is off).
    let exact = if text.is_empty() {
        Some(raw)
    } else {
        Some(text).filter(|text| raw.is_empty() && !text.contains(&b'!'))
    };
    match (marks.next(), marks.next(), exact) {
        (None, ..) if none && !headers.contains_key(header::TRANSFER_ENCODING) => Shown::Nothing,
        (Some(mark), None, Some(content)) if mark == "false" && fits(sized, &content) => Shown::from(content),
        _ => Shown::Otherwise,
    }
}

/// Whether that is all of it.
fn fits(sized: Option<&[u8]>, content: &Bytes) -> bool {
    sized.is_none_or(|size| size == content.len().to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use terms::json::Limits;

    use super::*;

    /// What Envoy 1.40 sent when it was asked these with curl; none of it is ours.
    const GET: &[u8] = include_bytes!("../tests/envoy-1.40/get.bin");
    const POST: &[u8] = include_bytes!("../tests/envoy-1.40/post.bin");
    const NOT_SHOWN: &[u8] = include_bytes!("../tests/envoy-1.40/not-shown.bin");
    const PART: &[u8] = include_bytes!("../tests/envoy-1.40/part.bin");
    const AS_TEXT: &[u8] = include_bytes!("../tests/envoy-1.40/as-text.bin");

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn of(message: &[u8]) -> Asked {
        read(CheckRequest::decode(message).unwrap(), PROXY)
    }

    fn line(method: &str, path: &str) -> Result<(String, String), String> {
        Ok((method.to_owned(), path.to_owned()))
    }

    #[test]
    fn what_envoy_itself_sends_is_read_as_it_was_asked() {
        let asked = of(GET);
        assert_eq!(
            (asked.upstream.as_str(), asked.line, asked.merged),
            ("crm", line("GET", "/health?q=a%20b"), false)
        );
        assert_eq!((asked.peer, asked.source), (Some(PROXY), Some(PROXY)));
        let names: Vec<&str> = asked.headers.keys().map(HeaderName::as_str).collect();
        let came = [
            "user-agent",
            "accept",
            "authorization",
            "stepup-attempt",
            "x-two",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert!(came.iter().all(|name| names.contains(name)) && names.len() == came.len(), "{names:?}");
        assert_eq!(asked.headers["authorization"], "Bearer k");
        assert_eq!(asked.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(asked.content, Shown::Nothing));
        let merged = of(NOT_SHOWN);
        assert_eq!((merged.line, merged.merged), (line("POST", "/t"), true));
        assert_eq!(merged.headers["x-two"], "a,b");
    }

    #[test]
    fn t51_what_envoy_shows_of_content_is_all_of_it_or_it_is_not_content() {
        assert!(matches!(of(POST).content, Shown::Whole(_)));
        for (message, why) in [
            (NOT_SHOWN, "with_request_body is off"),
            (PART, "allow_partial_message is on, and it was longer"),
            (AS_TEXT, "pack_as_bytes is off, and a byte was no UTF-8"),
        ] {
            assert!(matches!(of(message).content, Shown::Otherwise), "{why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn r3_whatever_is_asked_is_read_and_no_header_is_made_up(bytes: Vec<u8>, at: proptest::sample::Index, xor: u8) {
            let mut changed = GET.to_vec();
            let at = at.index(changed.len());
            changed[at] ^= xor;
            for message in [&bytes, &changed] {
                let Ok(check) = CheckRequest::decode(message.as_slice()) else { continue };
                let said = check.encode_to_vec();
                let asked = read(check, PROXY);
                for (name, value) in &asked.headers {
                    let is = |part: &[u8]| said.windows(part.len()).any(|here| here.eq_ignore_ascii_case(part));
                    assert!(is(name.as_str().as_bytes()) && (value.is_empty() || is(value.as_bytes())));
                }
            }
        }
    }

    #[test]
    fn more_headers_than_can_be_kept_are_no_panic() {
        let header = crate::wire::HeaderValue { key: "x".to_owned(), ..crate::wire::HeaderValue::default() };
        let many = crate::wire::HeaderMap { headers: vec![header; Limits::REQUEST.bytes / 8] };
        let http = HttpRequest { header_map: Some(many), ..HttpRequest::default() };
        let request = Some(crate::wire::Request { http: Some(http) });
        let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
        assert!(read(CheckRequest { attributes }, PROXY).line.is_err());
    }
}
