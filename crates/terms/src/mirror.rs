//! Values of a request's body that are repeated in its headers, for routers that read no bodies (MCP 2026-07-28,
//! streamable HTTP, "Value Encoding"). Nothing is decided on them: they must say what the body says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands around a value that is no plain header.
const AROUND: (&str, &str) = ("=?base64?", "?=");

/// The value that a header carries; `None` when it carries none.
#[must_use]
pub fn decoded(header: &str) -> Option<String> {
    let within = header.strip_prefix(AROUND.0).and_then(|rest| rest.strip_suffix(AROUND.1));
    match within {
        None => Some(header.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_the_specification_shows_it() {
        for (header, value) in [
            ("us-west1", Some("us-west1")),
            ("=?base64?SGVsbG8sIOS4lueVjA==?=", Some("Hello, 世界")),
            ("=?base64?IHBhZGRlZCA=?=", Some(" padded ")),
            ("=?base64?bGluZTEKbGluZTI=?=", Some("line1\nline2")),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Some("=?base64?literal?=")),
            ("=?base64??=", Some("")),
            ("=?BASE64?YQ==?=", Some("=?BASE64?YQ==?=")),
            ("=?base64?YQ==", Some("=?base64?YQ==")),
            ("=?base64?YQ?=", None),
            ("=?base64?YR==?=", None),
            ("=?base64?_w==?=", None),
            ("=?base64?/w==?=", None),
        ] {
            assert_eq!(decoded(header).as_deref(), value, "{header}");
        }
    }
}
