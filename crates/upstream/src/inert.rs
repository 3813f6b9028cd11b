//! What of a caller's request goes along unjudged, because it only transports (decisions B27): a closed list, each
//! entry of a form that can name nothing but a trace or a level. Everything else that an upstream sees is judged.

use http::{HeaderMap, HeaderName, HeaderValue};
use terms::json::Object;
use terms::{Json, Level, sole};

/// Which trace a call belongs to, and how much the upstream may log of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inert {
    /// Members of `_meta`.
    meta: Vec<(&'static str, String)>,
    /// Headers; only an upstream over HTTP has those.
    headers: Vec<(&'static str, HeaderValue)>,
}

/// Whether a text has the form that its standard gives it.
type Form = fn(&str) -> bool;

/// What may go along, and the form that it has to have.
const LISTED: [(&str, Form); 4] = [
    ("traceparent", is_traceparent),
    ("tracestate", is_tracestate),
    ("baggage", is_baggage),
    (LEVEL, is_level),
];

/// The member of `_meta` that says how much may be logged of a request.
pub const LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// Of [`LISTED`], those that travel as headers too.
const IN_HEADERS: usize = 3;

impl Inert {
    /// Takes what is listed out of a caller's `_meta`. What is not of its form is left out, as its standard asks of
    /// whoever cannot read it.
    pub fn take(meta: &mut Object) -> Self {
        let taken = LISTED.iter().filter_map(|(name, fits)| {
            let value = meta.remove(name)?;
            let text = value.as_str().filter(|text| fits(text))?;
            Some((*name, text.to_owned()))
        });
        Self { meta: taken.collect(), headers: Vec::new() }
    }

    /// The same, with the trace that a caller's headers name. A header that comes twice names none.
    #[must_use]
    pub fn with_headers(self, headers: &HeaderMap) -> Self {
        let named = LISTED.iter().take(IN_HEADERS).filter_map(|(name, fits)| {
            let value = sole(headers.get_all(*name))?;
            let text = value.to_str().ok().filter(|text| fits(text))?;
            // Of its own: what comes from the connection keeps the whole buffer that it was read into.
            Some((*name, HeaderValue::from_str(text).ok()?))
        });
        Self { headers: named.collect(), ..self }
    }

    /// The same, with the least severe messages that its upstream is asked to log.
    #[must_use]
    pub fn at_level(mut self, level: Level) -> Self {
        self.meta.retain(|(name, _)| *name != LEVEL);
        self.meta.push((LEVEL, level.name().to_owned()));
        self
    }

    /// Whether this text is anywhere in it.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        let headers = self.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        self.meta.iter().map(|(_, value)| value.as_str()).chain(headers).any(|value| value.contains(text))
    }

    pub(crate) fn meta(&self) -> impl Iterator<Item = (&'static str, Json)> {
        self.meta.iter().map(|(name, value)| (*name, Json::from(value.as_str())))
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone()))
    }
}

/// W3C Trace Context, 3.2, version 00: the only one whose whole form is known.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &&str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return false };
    let there = |id: &str| id.bytes().any(|byte| byte != b'0');
    *version == "00" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && there(trace) && there(parent)
}

/// W3C Trace Context, 3.3: a list of at most 512 visible characters.
fn is_tracestate(text: &str) -> bool {
    (1..=512).contains(&text.len()) && is_list(text)
}

/// W3C Baggage, 3.3: a list of at most 8192 bytes.
fn is_baggage(text: &str) -> bool {
    (1..=8192).contains(&text.len()) && is_list(text)
}

/// `name=value`, as often as there are commas, in visible ASCII.
fn is_list(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    text.bytes().all(visible) && text.split(',').all(|member| member.contains('='))
}

/// RFC 5424, 6.2.1, as MCP names them.
fn is_level(text: &str) -> bool {
    Level::named(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn t05_only_what_is_listed_and_of_its_form_goes_unjudged() {
        let taken = |name: &str, value: Json| {
            let mut meta = Object::new();
            meta.insert(name, value);
            let inert = Inert::take(&mut meta);
            (inert.meta().count() == 1, meta.is_empty())
        };
        let long = |length: usize| format!("k={}", "v".repeat(length - 2));
        for (name, value, goes) in [
            ("traceparent", PARENT, true),
            ("traceparent", &PARENT.to_uppercase(), false),
            ("traceparent", &format!("{PARENT}-rm -rf"), false),
            ("traceparent", &PARENT.replacen("00-", "ff-", 1), false),
            ("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
            ("tracestate", &long(512), true),
            ("tracestate", &long(513), false),
            ("tracestate", "a=1\r\nx-evil: 1", false),
            ("baggage", "userId=alice, isProduction=false;p=1", true),
            ("baggage", &long(8193), false),
            ("baggage", "no list", false),
            ("baggage", "n=\u{fc}", false),
            ("baggage", "", false),
            ("io.modelcontextprotocol/logLevel", "warning", true),
            ("io.modelcontextprotocol/logLevel", "loud", false),
        ] {
            assert_eq!(taken(name, Json::from(value)), (goes, true), "{name}: {value}");
        }
        assert_eq!(taken("traceparent", Json::from(7_u32)), (false, true));
        for name in ["Traceparent", "x/traceparent", "progressToken", "io.modelcontextprotocol/other"] {
            assert_eq!(taken(name, Json::from(PARENT)), (false, false), "{name} is for the judges");
        }
    }

    #[test]
    fn of_the_headers_only_the_trace_is_taken_and_never_of_two() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("traceparent", PARENT),
            ("baggage", "a=1"),
            ("baggage", "a=2"),
            ("tracestate", "no list"),
            ("authorization", "Bearer k=v"),
            ("cookie", "k=v"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let inert = Inert::default().with_headers(&headers);
        let names: Vec<String> = inert.headers().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["traceparent"]);
        assert!(inert.mentions("0af765") && !inert.mentions("Bearer"));
    }
}
