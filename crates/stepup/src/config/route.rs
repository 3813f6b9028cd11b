//! `[upstreams.*.routes.*]`: a route as an operator writes it, and the definition that it comes to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use authority::{Declared, ToolSettings};
use serde::Deserialize;
use terms::json::{self, Object};
use terms::{Json, Route as Read};

use super::file::{Reviewed, Tool};
use super::openapi;
use super::touch::{Capture, Touch};
use super::wrong::Wrong;

/// A route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Method and path: `POST /accounts/{id}/transfers`. Left out, the operation of that name in the OpenAPI document is meant.
    on: Option<String>,
    /// What varies in the path; a text where nothing is said.
    #[serde(default)]
    path: Fields,
    /// What the query may say.
    #[serde(default)]
    query: Fields,
    /// Headers that it takes, in lower case.
    #[serde(default)]
    headers: Fields,
    /// Content in JSON, by its members.
    json: Option<Fields>,
    /// Content in JSON, by a schema in a file.
    json_schema: Option<PathBuf>,
    /// Content as a form.
    form: Option<Fields>,
    /// Content of these media types, of which the digest is judged.
    bytes: Option<Vec<String>>,
    // What is said of it, as of a tool.
    reviewed: Option<Reviewed>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    title: Option<String>,
    #[serde(default)]
    touches: Vec<Touch>,
    /// What of its answer is a new credential of ours.
    capture: Option<Capture>,
}

/// Names with their types.
pub(super) type Fields = BTreeMap<String, Field>;

/// A type: by name, with `?` after it where it may be left out; or by its schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a type is written as \"string\", \"integer?\", …, or as a JSON Schema")]
pub(super) enum Field {
    Name(String),
    Schema(toml::Table),
}

/// The longest document that is read, in bytes.
const LONGEST: u64 = 8 << 20;

/// An OpenAPI document, in JSON or YAML.
pub(super) fn document(file: &Path) -> Result<openapi::Read, String> {
    let wrong = |why: String| format!("= {:?} cannot be read: {why}", file.display());
    let meta = std::fs::metadata(file).map_err(|e| wrong(e.to_string()))?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(wrong("it is no file, or over 8 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    let plainly = serde_saphyr::options! { with_snippet: false };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(&text, plainly).map_err(|e| wrong(e.to_string()))?;
    let document = exact(&value).ok_or_else(|| wrong("it is no document".to_owned()))?;
    openapi::read(&document).map_err(wrong)
}

/// The same value; without the numbers that two readers could read differently, as some documents have for bounds.
fn exact(value: &serde_json::Value) -> Option<Json> {
    Some(match value {
        serde_json::Value::Object(members) => {
            let members = members.iter().filter_map(|(name, value)| Some((name.as_str(), exact(value)?)));
            Json::Object(members.collect())
        }
        serde_json::Value::Array(items) => Json::Array(items.iter().filter_map(exact).collect()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => json::parse(value.to_string().as_bytes()).ok()?,
    })
}

/// Whether a route or an operation can have this name.
pub(super) fn nameable(name: &str) -> Result<(), Wrong> {
    let good = (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let wrong = || Wrong::new("cannot be a name").help("use letters, digits, \".\", \"_\" and \"-\"");
    good.then_some(()).ok_or_else(wrong)
}

/// The routes of one API, no two of which have the same paths under one method: those of its document, and what is written of
/// them and beside them.
pub(super) fn read_all(
    stated: BTreeMap<String, Json>,
    written: &BTreeMap<String, Route>,
    home: &Path,
) -> Result<BTreeMap<String, Declared>, Wrong> {
    let mut routes = BTreeMap::new();
    let mut known: Vec<(&str, Read)> = Vec::new();
    for (name, definition) in &stated {
        let read = Read::of(definition).map_err(|why| Wrong::new(format!("{name:?} is no route: {why}")))?;
        if written.get(name).is_none_or(|route| route.on.is_none()) {
            known.push((name, read));
        }
        let settings = ToolSettings::default();
        routes.insert(name.clone(), Declared { definition: definition.clone(), settings });
    }
    for (name, route) in written {
        let within = |wrong: Wrong| wrong.within([name.as_str()]);
        nameable(name).map_err(within)?;
        if route.on.is_none() {
            let stated = routes.get_mut(name).filter(|_| route.says_only_what_is_said_of_it());
            let help = "say `on`, or name an operation of the OpenAPI document and nothing of what it takes";
            let stated = stated.ok_or_else(|| within(Wrong::new("says no method and path").help(help)))?;
            stated.settings = route.said_of_it().map_err(within)?;
            continue;
        }
        let (settings, read) = route.settings(home).map_err(within)?;
        let same = |other: &Read| other.method() == read.method() && other.path().same_as(read.path());
        if let Some((other, _)) = known.iter().find(|(_, other)| same(other)) {
            let what = format!(
                "has the same paths as {other:?}, so nobody could say which of them a request is along"
            );
            return Err(within(Wrong::new(what).within(["on"])));
        }
        known.push((name, read));
        routes.insert(name.clone(), settings);
    }
    Ok(routes)
}

impl Route {
    /// What is said of it, as of a tool.
    fn said(&self) -> Tool {
        let Self { reviewed, secrets, references, title, touches, .. } = self.clone();
        Tool { reviewed, secrets, references, title, touches }
    }

    /// What it comes to, of one that says what it takes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn declared(&self, home: &Path) -> Result<Declared, String> {
        let declared = self.settings(home).map(|(declared, _)| declared);
        declared.map_err(|wrong| wrong.in_file(home, "").message)
    }

    fn said_of_it(&self) -> Result<ToolSettings, Wrong> {
        let capture = self.capture.as_ref().map(Capture::read).transpose();
        let capture = capture.map_err(|wrong| wrong.within(["capture"]))?;
        Ok(ToolSettings { capture, ..self.said().settings()? })
    }

    fn says_only_what_is_said_of_it(&self) -> bool {
        self.path.is_empty()
            && self.query.is_empty()
            && self.headers.is_empty()
            && self.json.is_none()
            && self.json_schema.is_none()
            && self.form.is_none()
            && self.bytes.is_none()
    }

    fn settings(&self, home: &Path) -> Result<(Declared, Read), Wrong> {
        let definition = self.definition(home)?;
        let read = Read::of(&definition).map_err(|why| Wrong::new(format!("is no route: {why}")))?;
        Ok((Declared { definition, settings: self.said_of_it()? }, read))
    }

    fn definition(&self, home: &Path) -> Result<Json, Wrong> {
        let on = self.on.as_deref().unwrap_or_default();
        let wrong = || Wrong::new(format!("= {on:?} is not a method and a path")).within(["on"]);
        let help = "write it as in \"POST /accounts/{id}/transfers\"";
        let (method, path) = on.split_once(' ').ok_or_else(|| wrong().help(help))?;
        let variables = path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'));
        let mut varies: Fields =
            variables.map(|name| (name.to_owned(), Field::Name("string".to_owned()))).collect();
        varies.extend(self.path.clone());
        let mut properties = Object::new();
        for (place, fields) in [("path", &varies), ("query", &self.query), ("headers", &self.headers)] {
            if !fields.is_empty() {
                properties.insert(place, object(place, fields)?);
            }
        }
        let mut definition = Object::new();
        if let Some((content, schema)) = self.content(home)? {
            definition.insert("content", content);
            properties.insert("body", schema);
        }
        if let Some(types) = &self.bytes {
            definition.insert("types", Json::from(types.clone()));
        }
        let all = properties.iter().map(|(name, _)| Json::from(name)).collect();
        definition.insert("method", method);
        definition.insert("path", path);
        definition.insert("inputSchema", closed(properties, all));
        Ok(Json::Object(definition))
    }

    fn content(&self, home: &Path) -> Result<Option<(&'static str, Json)>, Wrong> {
        match (&self.json, &self.json_schema, &self.form, &self.bytes) {
            (None, None, None, None) => Ok(None),
            (Some(fields), None, None, None) => Ok(Some(("json", object("json", fields)?))),
            (None, Some(file), None, None) => Ok(Some(("json", schema_in(&home.join(file))?))),
            (None, None, Some(fields), None) => Ok(Some(("form", object("form", fields)?))),
            (None, None, None, Some(_)) => {
                let members = [("type", "string"), ("bytes", "integer"), ("digest", "string")];
                let fields = members.map(|(name, of)| (name.to_owned(), Field::Name(of.to_owned())));
                Ok(Some(("bytes", object("bytes", &Fields::from(fields))?)))
            }
            _ => {
                let help = "its content is one of json, json_schema, form and bytes";
                Err(Wrong::new("says twice what its content is").help(help))
            }
        }
    }
}

/// The same, as the operator writes them.
fn object(place: &'static str, fields: &Fields) -> Result<Json, Wrong> {
    members(place, fields).map(|(properties, required)| closed(properties, required))
}

/// The schema of an object with these members, and with others that no rule speaks of.
pub(super) fn open(place: &'static str, fields: &Fields) -> Result<Json, Wrong> {
    let (properties, required) = members(place, fields)?;
    Ok(Json::object([
        ("type", Json::from("object")),
        ("properties", Json::Object(properties)),
        ("required", Json::Array(required)),
    ]))
}

fn members(place: &'static str, fields: &Fields) -> Result<(Object, Vec<Json>), Wrong> {
    let mut properties = Object::new();
    let mut required = Vec::new();
    for (name, field) in fields {
        let (schema, always) = field.schema().map_err(|wrong| wrong.within([place, name.as_str()]))?;
        properties.insert(name.as_str(), schema);
        if always {
            required.push(Json::from(name.as_str()));
        }
    }
    Ok((properties, required))
}

/// The schema of an object with these members and no others.
pub(super) fn closed(properties: Object, required: Vec<Json>) -> Json {
    Json::object([
        ("type", Json::from("object")),
        ("properties", Json::Object(properties)),
        ("required", Json::Array(required)),
        ("additionalProperties", Json::from(false)),
    ])
}

impl Field {
    /// The schema, and whether it is always there.
    fn schema(&self) -> Result<(Json, bool), Wrong> {
        match self {
            Self::Name(name) => {
                let (of, always) = name.strip_suffix('?').map_or((name.as_str(), true), |of| (of, false));
                let plain = ["string", "integer", "number", "boolean"];
                if let Some(item) = of.strip_suffix("[]").filter(|item| plain.contains(item)) {
                    let items = Json::object([("type", item)]);
                    return Ok((Json::object([("type", Json::from("array")), ("items", items)]), always));
                }
                if !plain.contains(&of) {
                    let help = format!(
                        "it is one of {}, with [] for several and ? where it may be left out",
                        plain.join(", ")
                    );
                    return Err(Wrong::new(format!("= {name:?} is no type")).help(help));
                }
                Ok((Json::object([("type", of)]), always))
            }
            Self::Schema(table) => {
                let optional = table.get("optional").and_then(toml::Value::as_bool) == Some(true);
                let mut table = table.clone();
                table.remove("optional");
                let text = serde_json::to_string(&table).unwrap_or_default();
                let schema = json::parse(text.as_bytes());
                let wrong = |why: json::NotJson| Wrong::new(format!("is no JSON Schema: {why}"));
                Ok((schema.map_err(wrong)?, !optional))
            }
        }
    }
}

fn schema_in(file: &Path) -> Result<Json, Wrong> {
    let wrong = |why: String| {
        Wrong::new(format!("cannot be read: {}: {why}", file.display())).within(["json_schema"])
    };
    let bytes = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
    json::parse(&bytes).map_err(|e| wrong(e.to_string()))
}
