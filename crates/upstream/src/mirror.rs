//! What a request of the modern era says in headers too (MCP 2026-07-28, streamable HTTP, "Request Metadata"): written
//! anew from the access that was judged and the definition that it was judged by, so that no header can say another
//! thing than the body (T20), in a form that nothing ends a line in (T21).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use terms::json::Object;
use terms::{Json, Pointer};

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
        let text = match (kind, value) {
            (_, None | Some(Json::Null)) => continue,
            (Kind::Text, Some(Json::String(text))) => text.clone(),
            (Kind::Truth, Some(Json::Bool(truth))) => truth.to_string(),
            (Kind::Integer, Some(value)) => {
                let safe = value.as_i64().filter(|integer| (-GREATEST..=GREATEST).contains(integer));
                safe.ok_or(NotTold::Kind)?.to_string()
            }
            (Kind::Text | Kind::Truth, Some(_)) => return Err(NotTold::Kind),
        };
        headers.push((header.clone(), encoded(&text).ok_or(NotTold::Kind)?));
    }
    Ok(headers)
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
}
