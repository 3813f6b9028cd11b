//! What a request of the modern era says in headers too (MCP 2026-07-28, streamable HTTP, "Request Metadata"): written
//! anew from the access that was judged and the definition that it was judged by, so that no header can say another
//! thing than the body (T20), in a form that nothing ends a line in (T21).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use terms::json::Object;
use terms::{Json, Pointer, sole};

/// The revision of a request.
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The name of what a request is for.
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// What the headers above and those of arguments begin with: no credential of the operator's does.
pub(crate) const RESERVED: &str = "mcp-";

/// The member of a schema that wants an argument in a header.
const ANNOTATION: &str = "x-mcp-header";

/// What encloses a value that no header can hold as it is ("Value Encoding").
const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// Integers beyond this are not the same to every reader (server/tools, "x-mcp-header").
const GREATEST: i64 = (1 << 53) - 1;

/// Members of a schema that hold values and no schemas.
const VALUES: [&str; 4] = ["const", "default", "enum", "examples"];

/// A header of a request, named once.
pub(crate) type Header = (HeaderName, HeaderValue);

/// An argument that its tool's definition wants in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirrored {
    /// The members that lead to it.
    path: Vec<String>,
    header: HeaderName,
    kind: Kind,
}

/// What an argument in a header may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Truth,
}

/// Why a call cannot be told in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTold {
    /// The operator declared the argument secret, and headers are read on the way.
    Secret,
    /// The argument is not of the kind that its definition says.
    Kind,
}

/// The arguments that a definition wants in headers.
///
/// # Errors
/// What makes the definition invalid, and the tool one that is not to be listed (server/tools, "x-mcp-header").
pub(crate) fn mirrored(definition: &Json) -> Result<Vec<Mirrored>, &'static str> {
    let mut found = Vec::new();
    if let Some(schema) = definition.get("inputSchema") {
        look(schema, &mut Vec::new(), true, &mut found)?;
    }
    Ok(found)
}

/// Looks through a schema. It is reachable as long as only `properties` lead to it.
fn look<'d>(
    schema: &'d Json,
    path: &mut Vec<&'d str>,
    reachable: bool,
    found: &mut Vec<Mirrored>,
) -> Result<(), &'static str> {
    if let Some(items) = schema.as_array() {
        return items.iter().try_for_each(|item| look(item, path, false, found));
    }
    let Some(members) = schema.as_object() else { return Ok(()) };
    if let Some(name) = members.get(ANNOTATION) {
        if !reachable || path.is_empty() {
            return Err("it wants something in a header that is no argument of a fixed place");
        }
        found.push(annotated(name, members, path, found)?);
    }
    for (name, value) in members.iter() {
        match (name, value) {
            ("properties", Json::Object(properties)) => {
                for (property, schema) in properties.iter() {
                    path.push(property);
                    look(schema, path, reachable, found)?;
                    path.pop();
                }
            }
            (name, _) if VALUES.contains(&name) => {}
            (_, value) => look(value, path, false, found)?,
        }
    }
    Ok(())
}

fn annotated(
    name: &Json,
    schema: &Object,
    path: &[&str],
    others: &[Mirrored],
) -> Result<Mirrored, &'static str> {
    let kind = match schema.get("type").and_then(Json::as_str) {
        Some("string") => Kind::Text,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Truth,
        Some(_) | None => {
            return Err("it wants an argument in a header that is no string, integer or boolean");
        }
    };
    let name = name.as_str().filter(|name| !name.is_empty()).ok_or("it names a header with no name")?;
    let header = HeaderName::from_bytes(format!("{RESERVED}param-{name}").as_bytes())
        .map_err(|_| "it names a header as none can be named")?;
    if others.iter().any(|other| other.header == header) {
        return Err("it names a header twice");
    }
    Ok(Mirrored { path: path.iter().map(|step| (*step).to_owned()).collect(), header, kind })
}

/// The headers of one call. What differs between the judged arguments and the clear ones is secret.
pub(crate) fn headers(
    tool: &str,
    mirrored: &[Mirrored],
    judged: &Object,
    clear: &Json,
) -> Result<Vec<Header>, NotTold> {
    let clear = clear.as_object().ok_or(NotTold::Kind)?;
    let mut headers = vec![(NAME, encoded(tool).ok_or(NotTold::Kind)?)];
    for Mirrored { path, header, kind } in mirrored {
        let value = at(clear, path);
        if value != at(judged, path) {
            return Err(NotTold::Secret);
        }
        if let Some(text) = kind.told(value)? {
            headers.push((header.clone(), encoded(&text).ok_or(NotTold::Kind)?));
        }
    }
    Ok(headers)
}

impl Kind {
    /// A value as a header tells it, before it is encoded. What is not there is not told.
    fn told(self, value: Option<&Json>) -> Result<Option<String>, NotTold> {
        match (self, value) {
            (_, None | Some(Json::Null)) => Ok(None),
            (Self::Text, Some(Json::String(text))) => Ok(Some(text.clone())),
            (Self::Truth, Some(Json::Bool(truth))) => Ok(Some(truth.to_string())),
            (Self::Integer, Some(value)) => {
                let safe = value.as_i64().filter(|integer| (-GREATEST..=GREATEST).contains(integer));
                Ok(Some(safe.ok_or(NotTold::Kind)?.to_string()))
            }
            (Self::Text | Self::Truth, Some(_)) => Err(NotTold::Kind),
        }
    }

    /// Whether a header says what is told; numbers are compared as such ("Server Validation").
    fn same(self, header: &str, told: &str) -> bool {
        let number = |text: &str| terms::json::parse(text.as_bytes()).ok().and_then(|json| json.as_i64());
        header == told
            || self == Self::Integer && number(header).is_some_and(|read| Some(read) == number(told))
    }
}

/// Whether the headers of a caller's request say of its arguments what the definition wants them to say, no less and no
/// more (T20). A definition that wants something invalid wants nothing.
///
/// # Errors
/// The name of the first header that does not.
pub fn agree(definition: &Json, arguments: &Object, headers: &HeaderMap) -> Result<(), String> {
    for Mirrored { path, header, kind } in mirrored(definition).unwrap_or_default() {
        let given = headers.contains_key(&header);
        let said = sole(headers.get_all(&header)).and_then(|value| value.to_str().ok()).and_then(decoded);
        let agrees = match (kind.told(at(arguments, &path)), said) {
            (Ok(None), _) => !given,
            (Ok(Some(told)), Some(said)) => kind.same(&said, &told),
            (Ok(Some(_)), None) | (Err(_), _) => false,
        };
        if !agrees {
            return Err(header.as_str().to_owned());
        }
    }
    Ok(())
}

/// Whether a header is one that repeats an argument.
#[must_use]
pub fn repeats(header: &HeaderName) -> bool {
    header.as_str().strip_prefix(RESERVED).is_some_and(|rest| rest.starts_with("param-"))
}

/// The text that a header carries; `None` when it carries none.
#[must_use]
pub fn decoded(header: &str) -> Option<String> {
    let within = header.strip_prefix(SENTINEL.0).and_then(|rest| rest.strip_suffix(SENTINEL.1));
    match within {
        None => Some(header.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

/// Whether one of these arguments, or what is in it, is wanted in a header.
pub(crate) fn tells<'s>(definition: &Json, mut arguments: impl Iterator<Item = &'s Pointer>) -> bool {
    let mirrored = mirrored(definition).unwrap_or_default();
    arguments.any(|argument| mirrored.iter().any(|mirrored| mirrored.path.starts_with(argument.steps())))
}

fn at<'j>(arguments: &'j Object, path: &[String]) -> Option<&'j Json> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(arguments.get(first)?, |value, step| value.get(step))
}

/// A text as a header's value: as it is where that is safe, and encoded otherwise ("Value Encoding").
fn encoded(text: &str) -> Option<HeaderValue> {
    let (begins, ends) = SENTINEL;
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let looks_encoded = text.starts_with(begins) && text.ends_with(ends);
    if visible && !looks_encoded && text.trim_matches(' ') == text {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::from_str(&format!("{begins}{}{ends}", STANDARD.encode(text))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        terms::json::parse(text.as_bytes()).unwrap()
    }

    fn tool(schema: &str) -> Json {
        json(&format!(r#"{{"name":"t","inputSchema":{schema}}}"#))
    }

    fn shown(headers: &[Header]) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_definition_whose_annotation_is_bad_is_none() {
        for schema in [
            r#"{"x-mcp-header":"A","type":"string"}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a\r\nx: y"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a:"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"\u00e9"}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"if":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"$defs":{"d":{"type":"string","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"additionalProperties":{"type":"string","x-mcp-header":"A"}}}}"#,
        ] {
            assert!(mirrored(&tool(schema)).is_err(), "{schema}");
        }
    }

    #[test]
    fn what_only_looks_like_an_annotation_is_none() {
        for schema in [
            r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#,
            r#"{"properties":{"a":{"type":"string","default":{"x-mcp-header":1},"enum":[{"x-mcp-header":1}]}}}"#,
            r#"{"description":"x-mcp-header"}"#,
            "true",
        ] {
            assert_eq!(mirrored(&tool(schema)), Ok(Vec::new()), "{schema}");
        }
        assert_eq!(mirrored(&json("{}")), Ok(Vec::new()));
    }

    const NESTED: &str = r#"{"properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "limit":{"type":"integer","x-mcp-header":"Limit"},
        "where":{"properties":{"dry":{"type":"boolean","x-mcp-header":"Dry"}}},
        "plain":{"type":"string"}}}"#;

    #[test]
    fn t20_arguments_are_told_as_they_are_in_the_body() {
        let mirrored = mirrored(&tool(NESTED)).unwrap();
        for (arguments, told) in [
            (
                r#"{"region":"us-west1","limit":-7,"where":{"dry":true},"plain":"p"}"#,
                vec!["mcp-param-dry: true", "mcp-param-limit: -7", "mcp-param-region: us-west1"],
            ),
            (r#"{"region":null,"where":{}}"#, vec![]),
            (r#"{"limit":4.2e1,"where":"else"}"#, vec!["mcp-param-limit: 42"]),
            (r#"{"region":""}"#, vec!["mcp-param-region: "]),
        ] {
            let arguments = json(arguments);
            let headers = headers("run", &mirrored, arguments.as_object().unwrap(), &arguments).unwrap();
            let mut shown = shown(&headers);
            shown.sort();
            assert_eq!(
                shown.pop().as_deref(),
                Some("mcp-name: run").filter(|_| told.is_empty()).or(told.last().copied())
            );
            assert_eq!(headers.len(), told.len() + 1);
        }
    }

    #[test]
    fn an_argument_of_another_kind_than_its_definition_says_is_not_told() {
        let mirrored = mirrored(&tool(NESTED)).unwrap();
        for arguments in
            [r#"{"region":7}"#, r#"{"limit":"7"}"#, r#"{"limit":1.5}"#, r#"{"where":{"dry":"true"}}"#]
        {
            let arguments = json(arguments);
            let told = headers("run", &mirrored, arguments.as_object().unwrap(), &arguments);
            assert_eq!(told, Err(NotTold::Kind), "{arguments}");
        }
        let beyond = Json::object([("limit", json("9007199254740992"))]);
        let told = headers("run", &mirrored, beyond.as_object().unwrap(), &beyond);
        assert_eq!(told, Err(NotTold::Kind));
    }

    #[test]
    fn t21_what_is_secret_is_not_told_wherever_its_seal_is() {
        let mirrored = mirrored(&tool(NESTED)).unwrap();
        for (judged, clear) in [
            (r#"{"region":{"$sealed":"x","len":3}}"#, r#"{"region":"pin"}"#),
            (r#"{"where":{"$sealed":"x","len":3}}"#, r#"{"where":{"dry":true}}"#),
        ] {
            let told = headers("run", &mirrored, json(judged).as_object().unwrap(), &json(clear));
            assert_eq!(told, Err(NotTold::Secret), "{judged}");
        }
    }

    #[test]
    fn t21_no_value_ends_a_line_or_can_be_taken_for_another() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("Hello, \u{4e16}\u{754c}", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("=?base64?", "=?base64?"),
            ("a\r\nx-evil: 1", "=?base64?YQ0KeC1ldmlsOiAx?="),
            ("\0", "=?base64?AA==?="),
            ("\t", "=?base64?CQ==?="),
            ("\u{7f}", "=?base64?fw==?="),
            ("\u{85}", "=?base64?woU=?="),
        ] {
            assert_eq!(encoded(text).unwrap(), value, "{text:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_read_as_it_was_and_nothing_else_is() {
        for text in
            ["us-west1", "", " padded ", "line1\nline2", "=?base64?literal?=", "\u{4e16}", "=?base64?"]
        {
            assert_eq!(decoded(encoded(text).unwrap().to_str().unwrap()).as_deref(), Some(text));
        }
        for (header, read) in [
            ("=?BASE64?YQ==?=", Some("=?BASE64?YQ==?=")),
            ("=?base64?YQ==", Some("=?base64?YQ==")),
            ("=?base64??=", Some("")),
            ("=?base64?YQ?=", None),
            ("=?base64?YR==?=", None),
            ("=?base64?_w==?=", None),
            ("=?base64?/w==?=", None),
        ] {
            assert_eq!(decoded(header).as_deref(), read, "{header}");
        }
    }

    #[test]
    fn t20_headers_that_repeat_arguments_say_what_they_are_no_less_and_no_more() {
        let arguments = json(r#"{"region":"us-west1","limit":42,"where":{"dry":true}}"#);
        let agrees = |headers: &[(&'static str, &str)]| {
            let mut all = HeaderMap::new();
            for (name, value) in headers {
                all.append(*name, HeaderValue::from_str(value).unwrap());
            }
            agree(&tool(NESTED), arguments.as_object().unwrap(), &all)
        };
        let right = [("mcp-param-region", "us-west1"), ("mcp-param-limit", "42"), ("mcp-param-dry", "true")];
        assert_eq!(agrees(&right), Ok(()));
        let more = [&right[..], &[("mcp-param-other", "x")]].concat();
        assert_eq!(agrees(&more), Ok(()), "what no definition names is nothing");
        for (at, values) in [
            (0, &["us-east1", "", "US-WEST1", "=?base64?dXMtZWFzdDE=?=", "=?base64?_w==?="][..]),
            (1, &["43", "", "forty-two", "42.5", "0x2a"]),
            (2, &["false", "True", "1", ""]),
        ] {
            let without: Vec<_> =
                right.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, h)| *h).collect();
            assert_eq!(agrees(&without), Err(right[at].0.to_owned()));
            let twice = [&right[..], &[right[at]]].concat();
            assert_eq!(agrees(&twice), Err(right[at].0.to_owned()));
            for value in values {
                let mut wrong = right;
                wrong[at].1 = value;
                assert_eq!(agrees(&wrong), Err(right[at].0.to_owned()), "{value:?}");
            }
        }
        for (at, value) in [(0, "=?base64?dXMtd2VzdDE=?="), (1, "42.0"), (1, "4.2e1")] {
            let mut same = right;
            same[at].1 = value;
            assert_eq!(agrees(&same), Ok(()), "{value}");
        }
        let unsaid = HeaderMap::from_iter([(
            HeaderName::from_static("mcp-param-region"),
            HeaderValue::from_static(""),
        )]);
        assert!(agree(&tool(NESTED), &Object::new(), &unsaid).is_err(), "there is no such argument");
        assert_eq!(agree(&tool(r#"{"x-mcp-header":"A"}"#), &Object::new(), &unsaid), Ok(()));
    }
}
