//! `[upstreams.*.routes.*]`: a route as an operator writes it, and the definition that it comes to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use authority::RouteSettings;
use serde::Deserialize;
use terms::json::{self, Object};
use terms::{Json, Route as Read};

use super::file::Tool;
use super::wrong::Wrong;

/// A route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Method and path: `POST /accounts/{id}/transfers`.
    on: String,
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
    /// What is said of it, as of a tool.
    #[serde(flatten)]
    said: Tool,
}

/// Names with their types.
type Fields = BTreeMap<String, Field>;

/// A type: by name, with `?` after it where it may be left out; or by its schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a type is written as \"string\", \"integer?\", …, or as a JSON Schema")]
enum Field {
    Name(String),
    Schema(toml::Table),
}

/// The routes of one API, no two of which have the same paths under one method.
pub(super) fn read_all(
    written: &BTreeMap<String, Route>,
    home: &Path,
) -> Result<BTreeMap<String, RouteSettings>, Wrong> {
    let mut routes = BTreeMap::new();
    let mut known: Vec<(&str, Read)> = Vec::new();
    for (name, route) in written {
        let within = |wrong: Wrong| wrong.within([name.as_str()]);
        let good = (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !good {
            return Err(within(
                Wrong::new("cannot be a name").help("use letters, digits, \".\", \"_\" and \"-\""),
            ));
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
    fn settings(&self, home: &Path) -> Result<(RouteSettings, Read), Wrong> {
        let definition = self.definition(home)?;
        let read = Read::of(&definition).map_err(|why| Wrong::new(format!("is no route: {why}")))?;
        Ok((RouteSettings { definition, settings: self.said.settings()? }, read))
    }

    fn definition(&self, home: &Path) -> Result<Json, Wrong> {
        let on = || Wrong::new(format!("= {:?} is not a method and a path", self.on)).within(["on"]);
        let help = "write it as in \"POST /accounts/{id}/transfers\"";
        let (method, path) = self.on.split_once(' ').ok_or_else(|| on().help(help))?;
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

/// The schema of an object with these members and no others.
fn object(place: &'static str, fields: &Fields) -> Result<Json, Wrong> {
    let mut properties = Object::new();
    let mut required = Vec::new();
    for (name, field) in fields {
        let (schema, always) = field.schema().map_err(|wrong| wrong.within([place, name.as_str()]))?;
        properties.insert(name.as_str(), schema);
        if always {
            required.push(Json::from(name.as_str()));
        }
    }
    Ok(closed(properties, required))
}

fn closed(properties: Object, required: Vec<Json>) -> Json {
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
