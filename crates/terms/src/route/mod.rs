//! A route of an HTTP API: a method and a path, and what a request along it is made of. What is sent is written from the
//! arguments that were judged, and from nothing else (R2).

mod spelling;
mod template;

pub use spelling::{LONGEST, Path, Query, plainly_spelled};
pub use template::Template;

use crate::json::{self, Object};
use crate::{Digest, Json, Method};
use spelling::encode;
use template::{is_name, plain};

/// A route. Its definition is what is judged and bound; this is read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Method,
    path: Template,
    variables: Vec<Parameter>,
    query: Vec<Parameter>,
    headers: Vec<Parameter>,
    content: Content,
}

/// A text of a request that has a type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parameter {
    name: String,
    form: Form,
    /// Whether it may come several times.
    many: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Integer,
    Number,
    Truth,
}

/// What the content of a request along a route is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none, and a request with content is refused.
    None,
    /// JSON, judged.
    Json,
    /// A form, judged (WHATWG URL, application/x-www-form-urlencoded).
    Form,
    /// Bytes of one of these media types, of which the digest is bound.
    Bytes(Vec<String>),
}

/// Why a request is not one along any route, or along this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crooked {
    /// Its path is not in the one spelling that is taken.
    #[error("the path {0}")]
    Path(&'static str),
    /// Its query, or the form that it sends, is not.
    #[error("the query or form {0}")]
    Query(&'static str),
    /// It names something that the route does not take.
    #[error("the route does not take {0:?}")]
    Undeclared(String),
    /// It names something twice.
    #[error("{0:?} comes more than once")]
    Twice(String),
    /// A text is not of its type.
    #[error("{0:?} is not {1}")]
    Form(String, &'static str),
}

/// A definition that is not that of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARoute(pub String);

/// Headers that are not for a route to take: what frames a message, says who asks, or is told by proxies (T44–T48).
const OURS: [&str; 27] = [
    "host",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
    "content-type",
    "content-encoding",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
    "cookie",
    "forwarded",
    "via",
    "accept",
    "accept-encoding",
    "user-agent",
    "prefer",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];
const OUR_PREFIXES: [&str; 3] = ["x-forwarded-", "x-stepup-", "sec-"];

impl Route {
    /// Reads a definition: `method`, `path`, `content`, `types`, and `inputSchema` over `path`, `query`, `headers` and `body`.
    ///
    /// # Errors
    /// [`NotARoute`] with what is wrong with it.
    pub fn of(definition: &Json) -> Result<Self, NotARoute> {
        let text = |name: &str| definition.get(name).and_then(Json::as_str).unwrap_or_default();
        let wrong = |says: String| Err(NotARoute(says));
        let Some(method) = Method::named(text("method")) else {
            let all = Method::ALL.map(Method::name).join(", ");
            return wrong(format!("{:?} is not a method: {all}", text("method")));
        };
        let path = Template::read(text("path"))?;
        let content = content(method, definition)?;
        let parameters = |place: &str| parameters(definition, place);
        let (variables, query, headers) = (parameters("path")?, parameters("query")?, parameters("headers")?);
        for variable in path.variables() {
            if !variables.iter().any(|known| known.name == variable && !known.many) {
                return wrong(format!("the variable {variable:?} of the path has no plain type"));
            }
        }
        if let Some(other) = variables.iter().find(|known| !path.variables().any(|name| name == known.name)) {
            return wrong(format!("{:?} is not a variable of the path", other.name));
        }
        let ours =
            |name: &str| OURS.contains(&name) || OUR_PREFIXES.iter().any(|ours| name.starts_with(ours));
        for Parameter { name, many, .. } in &headers {
            let spelled =
                is_name(name) && !name.contains('_') && !name.bytes().any(|b| b.is_ascii_uppercase());
            if !spelled || *many || ours(name) {
                return wrong(format!(
                    "{name:?} is not a header that a route can take: one value, in lower case, and none that frames a message, \
                     says who asks, or is told by proxies"
                ));
            }
        }
        Ok(Self { method, path, variables, query, headers, content })
    }

    /// Its method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Its paths.
    #[must_use]
    pub const fn path(&self) -> &Template {
        &self.path
    }

    /// What the content of its requests is.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The headers that it takes, by name.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.name.as_str())
    }

    /// The arguments of a request along it, but for its content: what varies in the path, what the query says, and these
    /// headers. `None` where the path is not one of its.
    ///
    /// # Errors
    /// [`Crooked`] for what the route does not take.
    pub fn arguments(
        &self,
        path: &Path,
        query: &Query,
        headers: &[(&str, &str)],
    ) -> Result<Option<Object>, Crooked> {
        let Some(varies) = self.path.of(path) else { return Ok(None) };
        let query = query.parts().iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut arguments = Object::new();
        for (place, takes, given) in [
            ("path", &self.variables, varies),
            ("query", &self.query, query.collect()),
            ("headers", &self.headers, headers.to_vec()),
        ] {
            let typed = typed(takes, given)?;
            if !takes.is_empty() {
                arguments.insert(place, typed);
            }
        }
        Ok(Some(arguments))
    }

    /// Path and query of a request with these arguments, as they are sent; `None` where they are not whole.
    #[must_use]
    pub fn target(&self, arguments: &Object) -> Option<String> {
        let none = Object::new();
        let of = |place: &str| arguments.get(place).and_then(Json::as_object).unwrap_or(&none);
        let mut target = self.path.with(of("path"))?;
        let mut between = '?';
        for (name, value) in pairs(&self.query, of("query"))? {
            target.push(between);
            encode(name, &mut target);
            target.push('=');
            encode(&value, &mut target);
            between = '&';
        }
        Some(target)
    }

    /// The headers of a request with these arguments, as they are sent; `None` where one is no text of one line.
    #[must_use]
    pub fn header_values(&self, arguments: &Object) -> Option<Vec<(&str, String)>> {
        let none = Object::new();
        let of = arguments.get("headers").and_then(Json::as_object).unwrap_or(&none);
        let one_line = |(_, value): &(&str, String)| value.bytes().all(|b| (b' '..=b'~').contains(&b));
        pairs(&self.headers, of).filter(|pairs| pairs.iter().all(one_line))
    }
}

/// Reads a form, whose fields are typed by the schema of the content.
///
/// # Errors
/// [`Crooked`] for what the schema does not name.
pub fn form(definition: &Json, text: &str) -> Result<Json, Crooked> {
    let fields =
        parameters(definition, "body").map_err(|_| Crooked::Query("has a schema that is none of a form"))?;
    let query = Query::read(text)?;
    let given = query.parts().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    typed(&fields, given.collect()).map(Json::Object)
}

/// Writes a form; `None` where a field is not plain.
#[must_use]
pub fn form_text(definition: &Json, form: &Object) -> Option<String> {
    let fields = parameters(definition, "body").ok()?;
    let mut text = String::new();
    for (name, value) in pairs(&fields, form)? {
        if !text.is_empty() {
            text.push('&');
        }
        encode(name, &mut text);
        text.push('=');
        encode(&value, &mut text);
    }
    Some(text)
}

/// What stands for content of which only the digest is judged.
#[must_use]
pub fn digest_of(media_type: &str, bytes: &[u8]) -> Json {
    Json::object([
        ("type", Json::from(media_type)),
        ("bytes", Json::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX))),
        ("digest", Json::from(Digest::plain(bytes).to_string())),
    ])
}

fn content(method: Method, definition: &Json) -> Result<Content, NotARoute> {
    let has_schema = schema(definition, "body").is_some();
    let content = match definition.get("content").and_then(Json::as_str) {
        None | Some("none") if !has_schema => Content::None,
        Some("json") if has_schema => Content::Json,
        Some("form") if has_schema => {
            parameters(definition, "body")?;
            Content::Form
        }
        Some("bytes") => {
            let types = definition.get("types").and_then(Json::as_array).unwrap_or_default();
            let types: Vec<String> = types.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect();
            if types.is_empty() {
                return Err(NotARoute("content of bytes names its media types in `types`".to_owned()));
            }
            Content::Bytes(types)
        }
        Some("json" | "form") => return Err(NotARoute("its content has no schema".to_owned())),
        _ => return Err(NotARoute("its content is none of json, form and bytes".to_owned())),
    };
    if content != Content::None && !method.takes_content() {
        return Err(NotARoute(format!("content of a {method} request has no meaning (RFC 9110, 9.3)")));
    }
    Ok(content)
}

fn schema<'d>(definition: &'d Json, place: &str) -> Option<&'d Json> {
    definition.get("inputSchema")?.get("properties")?.get(place)
}

/// The texts that are taken in a place, each with the type that its schema gives it.
fn parameters(definition: &Json, place: &str) -> Result<Vec<Parameter>, NotARoute> {
    let Some(schema) = schema(definition, place) else { return Ok(Vec::new()) };
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
        return Err(NotARoute(format!("the schema of its {place} names no properties")));
    };
    let parameter = |(name, schema): (&str, &Json)| {
        let kind = |schema: &Json| Form::named(schema.get("type").and_then(Json::as_str).unwrap_or("string"));
        let many = schema.get("type").and_then(Json::as_str) == Some("array");
        let form = if many { schema.get("items").and_then(kind) } else { kind(schema) };
        let form = form.ok_or_else(|| NotARoute(format!("{name:?} in its {place} is not a plain value")))?;
        Ok(Parameter { name: name.to_owned(), form, many })
    };
    properties.iter().map(parameter).collect()
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Truth),
            _ => None,
        }
    }

    /// A text as a value of this type, where it is one in the spelling of JSON.
    fn of(self, text: &str) -> Result<Json, &'static str> {
        let parsed = || json::parse(text.as_bytes()).ok();
        match self {
            Self::Text => Ok(Json::from(text)),
            Self::Integer => {
                parsed().filter(|it| it.as_i64().is_some_and(|n| n.to_string() == text)).ok_or("an integer")
            }
            // Who reads as far as the digits go reads another number out of `1e3`, whether it came so or would be written so.
            Self::Number if text.contains(['e', 'E']) => Err("a number without an exponent"),
            Self::Number => {
                let plain = |it: &Json| matches!(it, Json::Number(number) if !number.text().contains('e'));
                parsed().filter(plain).ok_or("a number without an exponent")
            }
            Self::Truth => parsed().filter(|it| it.as_bool().is_some()).ok_or("true or false"),
        }
    }
}

/// The texts that were given, typed; each that is taken once stands there once.
fn typed(takes: &[Parameter], given: Vec<(&str, &str)>) -> Result<Object, Crooked> {
    let mut object = Object::new();
    for (name, text) in given {
        let Some(Parameter { form, many, .. }) = takes.iter().find(|known| known.name == name) else {
            return Err(Crooked::Undeclared(name.to_owned()));
        };
        let value = form.of(text).map_err(|what| Crooked::Form(name.to_owned(), what))?;
        match (object.get_mut(name), many) {
            (None, false) => drop(object.insert(name, value)),
            (None, true) => drop(object.insert(name, Json::Array(vec![value]))),
            (Some(Json::Array(items)), true) => items.push(value),
            (Some(_), _) => return Err(Crooked::Twice(name.to_owned())),
        }
    }
    Ok(object)
}

/// The same texts in the order in which they are taken; `None` where something else is there.
fn pairs<'p>(takes: &'p [Parameter], object: &Object) -> Option<Vec<(&'p str, String)>> {
    let mut pairs = Vec::new();
    for Parameter { name, many, .. } in takes {
        match (object.get(name), many) {
            (None, _) => {}
            (Some(Json::Array(items)), true) => {
                for item in items {
                    pairs.push((name.as_str(), plain(item)?));
                }
            }
            (Some(value), _) => pairs.push((name.as_str(), plain(value)?)),
        }
    }
    let known = |name: &str| takes.iter().any(|it| it.name == name);
    object.iter().all(|(name, _)| known(name)).then_some(pairs)
}

#[cfg(test)]
mod tests;
