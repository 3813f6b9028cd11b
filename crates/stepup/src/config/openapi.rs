//! Routes from an OpenAPI document (3.0 and 3.1) that the operator has put beside the configuration. What it says is taken as if it were
//! written in `[upstreams.*.routes.*]`; an operation that cannot be a route is left out, and `stepup check` says why.

use std::collections::BTreeMap;

use terms::json::Object;
use terms::{Json, Method, Route};

use super::route::closed;

/// References that are followed within one another, and schemas that are nested.
const DEPTH: usize = 32;

/// Schemas that one operation may come to.
const SCHEMAS: usize = 2000;

/// What a document comes to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// Definitions of routes by name.
    pub(super) routes: BTreeMap<String, Json>,
    /// Operations that are none, each with why.
    pub(super) left_out: Vec<String>,
}

/// Members of a schema that say nothing of what is taken.
const SAYS_NOTHING: [&str; 9] = [
    "description",
    "title",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "discriminator",
    "readOnly",
];

/// Members of a schema whose own members are named freely.
const NAMES: [&str; 4] = ["properties", "patternProperties", "$defs", "dependentSchemas"];

/// Reads a document.
///
/// # Errors
/// Why it is none.
pub(super) fn read(document: &Json) -> Result<Read, String> {
    let version = document.get("openapi").and_then(Json::as_str).unwrap_or_default();
    if !version.starts_with("3.0.") && !version.starts_with("3.1.") {
        return Err("it does not say `openapi: 3.0.x` or `3.1.x`".to_owned());
    }
    let paths = document.get("paths").and_then(Json::as_object).ok_or("it has no paths")?;
    let mut read = Read::default();
    let mut known: Vec<(String, Route)> = Vec::new();
    for (path, item) in paths.iter() {
        if item.get("$ref").is_some() {
            read.left_out.push(format!("{path}: its operations stand elsewhere"));
        }
        for method in Method::ALL {
            let Some(operation) = item.get(&method.name().to_ascii_lowercase()) else { continue };
            let mut reading = Reading { document, left: SCHEMAS };
            let made = reading.definition(method, path, item, operation);
            let named = name(method, path, operation);
            let made = made.and_then(|made| match Route::of(&made) {
                Ok(route) => Ok((made, route)),
                Err(why) => Err(why.to_string()),
            });
            let (definition, route) = match made {
                Ok(made) => made,
                Err(why) => {
                    read.left_out.push(format!("{method} {path}: {why}"));
                    continue;
                }
            };
            let same = |other: &Route| other.method() == method && other.path().same_as(route.path());
            let twin = match known.iter().find(|(name, other)| *name == named || same(other)) {
                Some((name, _)) if *name == named => {
                    Some(format!("its name {named:?} is another operation's"))
                }
                other => other.map(|(name, _)| format!("it has the same paths as {name:?}")),
            };
            match twin {
                Some(why) => read.left_out.push(format!("{method} {path}: {why}")),
                None => {
                    known.push((named.clone(), route));
                    read.routes.insert(named, definition);
                }
            }
        }
    }
    Ok(read)
}

/// The operation's id, or method and path in the letters that a name has.
fn name(method: Method, path: &str, operation: &Json) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let id = operation.get("operationId").and_then(Json::as_str).filter(|id| !id.is_empty());
    let text = id.map_or_else(|| format!("{}{path}", method.name().to_ascii_lowercase()), str::to_owned);
    text.chars().map(plain).take(128).collect()
}

struct Reading<'d> {
    document: &'d Json,
    left: usize,
}

impl<'d> Reading<'d> {
    fn definition(
        &mut self,
        method: Method,
        path: &str,
        item: &'d Json,
        operation: &'d Json,
    ) -> Result<Json, String> {
        let mut places: BTreeMap<&str, (Object, Vec<Json>)> = BTreeMap::new();
        for (place, name, required, schema) in self.parameters(item, operation)? {
            let (properties, always) = places.entry(place).or_default();
            if required {
                always.push(Json::from(name.as_str()));
            }
            properties.insert(name, schema);
        }
        let mut properties = Object::new();
        for (place, (named, required)) in places {
            properties.insert(place, closed(named, required));
        }
        let mut required: Vec<Json> = properties.iter().map(|(place, _)| Json::from(place)).collect();
        let mut definition = Object::new();
        if let Some((content, types, schema, always)) = self.content(operation)? {
            definition.insert("content", content);
            if !types.is_empty() {
                definition.insert("types", Json::from(types));
            }
            properties.insert("body", schema);
            if always {
                required.push(Json::from("body"));
            }
        }
        definition.insert("method", method.name());
        definition.insert("path", path);
        definition.insert("inputSchema", closed(properties, required));
        Ok(Json::Object(definition))
    }

    /// Where each parameter is, its name, whether it is always there, and its schema. An operation's own take the place of its
    /// path's.
    fn parameters(
        &mut self,
        item: &'d Json,
        operation: &'d Json,
    ) -> Result<Vec<(&'static str, String, bool, Json)>, String> {
        let mut all: BTreeMap<(&'static str, String), (bool, Json)> = BTreeMap::new();
        for holder in [item, operation] {
            for parameter in holder.get("parameters").and_then(Json::as_array).into_iter().flatten() {
                let parameter = self.followed(parameter)?;
                let text = |member: &str| parameter.get(member).and_then(Json::as_str).unwrap_or_default();
                let required = parameter.get("required").and_then(Json::as_bool) == Some(true);
                let (place, name) = match text("in") {
                    "path" => ("path", text("name").to_owned()),
                    "query" => ("query", text("name").to_owned()),
                    "header" => ("headers", text("name").to_ascii_lowercase()),
                    "cookie" if !required => continue,
                    other => return Err(format!("its parameter {:?} is in {other:?}", text("name"))),
                };
                // OpenAPI has these said elsewhere (3.1, "Parameter Object"), and which program asks the API stepup says.
                let elsewhere = ["accept", "content-type", "authorization", "user-agent"];
                if place == "headers" && elsewhere.contains(&name.as_str()) {
                    continue;
                }
                let Some(schema) = parameter.get("schema") else {
                    return Err(format!("its parameter {name:?} has no schema"));
                };
                let mut schema = self.schema(schema, DEPTH)?;
                let array = schema.get("type").and_then(Json::as_str) == Some("array");
                // Only of the style `form` it is the default that each value stands by itself (3.1, "Parameter Object").
                let form = ["", "form"].contains(&text("style"));
                let exploded = parameter.get("explode").and_then(Json::as_bool).unwrap_or(form);
                if array && place == "query" && !exploded {
                    return Err(format!("its parameter {name:?} holds several values in one"));
                }
                if schema.get("type").is_none() {
                    schema = with(schema, "type", Json::from("string"));
                }
                all.insert((place, name), (required || place == "path", schema));
            }
        }
        Ok(all
            .into_iter()
            .map(|((place, name), (required, schema))| (place, name, required, schema))
            .collect())
    }

    /// What the content is: its form, media types, schema, and whether it is always there.
    #[allow(clippy::type_complexity)]
    fn content(
        &mut self,
        operation: &'d Json,
    ) -> Result<Option<(&'static str, Vec<String>, Json, bool)>, String> {
        let Some(body) = operation.get("requestBody") else { return Ok(None) };
        let body = self.followed(body)?;
        let required = body.get("required").and_then(Json::as_bool) == Some(true);
        let Some(content) =
            body.get("content").and_then(Json::as_object).filter(|content| !content.is_empty())
        else {
            return Err("its content has no media type".to_owned());
        };
        for (media_type, form) in
            [("application/json", "json"), ("application/x-www-form-urlencoded", "form")]
        {
            if let Some(schema) = content.get(media_type).and_then(|content| content.get("schema")) {
                return Ok(Some((form, Vec::new(), self.schema(schema, DEPTH)?, required)));
            }
        }
        let types: Vec<String> = content.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let members = [("type", "string"), ("bytes", "integer"), ("digest", "string")];
        let properties = members.map(|(name, of)| (name, Json::object([("type", of)])));
        let all = members.map(|(name, _)| Json::from(name)).to_vec();
        Ok(Some(("bytes", types, closed(properties.into_iter().collect(), all), required)))
    }

    /// What a reference leads to, within this document.
    fn followed(&self, mut value: &'d Json) -> Result<&'d Json, String> {
        for _ in 0..DEPTH {
            let Some(to) = value.get("$ref") else { return Ok(value) };
            let to =
                to.as_str().and_then(|to| to.strip_prefix('#')).ok_or("it refers to another document")?;
            let pointer: terms::Pointer =
                to.parse().map_err(|_| format!("it refers to {to:?}, which is no place"))?;
            value = pointer
                .of(self.document)
                .ok_or_else(|| format!("it refers to {to:?}, which is not there"))?;
        }
        Err("it refers in a circle".to_owned())
    }

    /// A schema by itself: references in their place, what says nothing left out, and what 3.0 has in its own way as JSON Schema
    /// has it.
    fn schema(&mut self, schema: &'d Json, depth: usize) -> Result<Json, String> {
        let depth = depth.checked_sub(1).ok_or("its schema is nested too deep, or refers to itself")?;
        self.left = self.left.checked_sub(1).ok_or("its schema is too large")?;
        let Json::Object(members) = self.followed(schema)? else { return Ok(schema.clone()) };
        let mut made = Object::new();
        for (name, value) in members.iter() {
            if SAYS_NOTHING.contains(&name) || name.starts_with("x-") || name == "nullable" {
                continue;
            }
            let value = match value {
                Json::Object(named) if NAMES.contains(&name) => {
                    let each =
                        named.iter().map(|(name, value)| Ok((name.to_owned(), self.schema(value, depth)?)));
                    Json::Object(each.collect::<Result<Object, String>>()?)
                }
                Json::Object(_) if !["default", "const"].contains(&name) => self.schema(value, depth)?,
                Json::Array(items) if ["allOf", "anyOf", "oneOf", "prefixItems"].contains(&name) => {
                    let each = items.iter().map(|item| self.schema(item, depth));
                    Json::Array(each.collect::<Result<_, _>>()?)
                }
                Json::Bool(truth) if ["exclusiveMinimum", "exclusiveMaximum"].contains(&name) => {
                    // 3.0: whether the bound itself is out.
                    let bound = if name == "exclusiveMinimum" { "minimum" } else { "maximum" };
                    match (truth, members.get(bound)) {
                        (true, Some(bound)) => bound.clone(),
                        _ => continue,
                    }
                }
                Json::Null
                | Json::Bool(_)
                | Json::Number(_)
                | Json::String(_)
                | Json::Array(_)
                | Json::Object(_) => value.clone(),
            };
            made.insert(name, value);
        }
        let nullable = members.get("nullable").and_then(Json::as_bool) == Some(true);
        if let (true, Some(Json::String(of))) = (nullable, made.get("type").cloned()) {
            made.insert("type", vec![Json::from(of), Json::from("null")]);
        }
        Ok(Json::Object(made))
    }
}

fn with(of: Json, name: &str, value: Json) -> Json {
    let Json::Object(mut of) = of else { return of };
    of.insert(name, value);
    Json::Object(of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn document(paths: &str) -> Result<Read, String> {
        let text = format!(
            r##"{{"openapi":"3.0.3","info":{{}},"components":{{
            "parameters":{{"id":{{"in":"path","name":"id","required":true,"schema":{{"type":"integer"}}}}}},
            "schemas":{{"money":{{"type":"number","description":"in cents","minimum":0,"exclusiveMinimum":true}},
                "tree":{{"type":"object","properties":{{"child":{{"$ref":"#/components/schemas/tree"}}}}}},
                "transfer":{{"type":"object","required":["amount"],"properties":{{"amount":{{"$ref":"#/components/schemas/money"}},
                    "description":{{"type":"string","nullable":true,"example":"rent"}}}},"additionalProperties":false}}}}}},
            "paths":{paths}}}"##
        );
        read(&terms::json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn an_operation_becomes_the_route_that_an_operator_would_have_written() {
        let read = document(
            r##"{"/accounts/{id}/transfers":{"parameters":[{"$ref":"#/components/parameters/id"}],
            "post":{"operationId":"transfer","parameters":[{"in":"header","name":"Idempotency-Key","schema":{"type":"string"}},
                {"in":"header","name":"Authorization","schema":{"type":"string"}},{"in":"header","name":"User-Agent","schema":{"type":"string"}},{"in":"query","name":"dry","schema":{"type":"boolean"}}],
            "requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/transfer"}}}}},
            "get":{"parameters":[{"in":"query","name":"tag","schema":{"type":"array","items":{"type":"string"}}}]}}}"##,
        )
        .unwrap();
        assert_eq!(read.left_out, Vec::<String>::new());
        let names: Vec<&str> = read.routes.keys().map(String::as_str).collect();
        assert_eq!(names, ["get-accounts--id--transfers", "transfer"]);
        let expected = r#"{"content":"json","inputSchema":{"additionalProperties":false,"properties":{
            "body":{"additionalProperties":false,"properties":{"amount":{"exclusiveMinimum":0,"minimum":0,"type":"number"},
                "description":{"type":["string","null"]}},"required":["amount"],"type":"object"},
            "headers":{"additionalProperties":false,"properties":{"idempotency-key":{"type":"string"}},"required":[],"type":"object"},
            "path":{"additionalProperties":false,"properties":{"id":{"type":"integer"}},"required":["id"],"type":"object"},
            "query":{"additionalProperties":false,"properties":{"dry":{"type":"boolean"}},"required":[],"type":"object"}},
            "required":["headers","path","query","body"],"type":"object"},"method":"POST","path":"/accounts/{id}/transfers"}"#;
        assert_eq!(read.routes["transfer"], terms::json::parse(expected.as_bytes()).unwrap());
    }

    #[test]
    fn what_cannot_be_a_route_is_left_out_and_says_why() {
        for (path, operation, why) in [
            ("/a/{id}", r#"{}"#, "no plain type"),
            ("/a.{id}", r#"{}"#, "whole segment"),
            ("/a/../b", r#"{}"#, "dots"),
            (
                "/a",
                r#"{"parameters":[{"in":"query","name":"f","schema":{"type":"object"}}]}"#,
                "not a plain value",
            ),
            ("/a", r#"{"parameters":[{"in":"cookie","name":"s","required":true,"schema":{}}]}"#, "cookie"),
            ("/a", r#"{"parameters":[{"in":"header","name":"X-Forwarded-For","schema":{}}]}"#, "header"),
            (
                "/a",
                r#"{"parameters":[{"in":"query","name":"l","style":"pipeDelimited","schema":{"type":"array","items":{"type":"string"}}}]}"#,
                "several",
            ),
            (
                "/a",
                r#"{"parameters":[{"in":"query","name":"l","explode":false,"schema":{"type":"array","items":{"type":"string"}}}]}"#,
                "several",
            ),
            ("/a", r##"{"parameters":[{"$ref":"other.yaml#/x"}]}"##, "another document"),
            ("/a", r##"{"parameters":[{"$ref":"#/components/nothing"}]}"##, "not there"),
        ] {
            let read = document(&format!(r#"{{"{path}":{{"get":{operation}}}}}"#)).unwrap();
            assert!(read.routes.is_empty(), "{path} {operation}");
            assert!(read.left_out[0].contains(why), "{:?}", read.left_out);
        }
        let looped = r##"{"/t":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/tree"}}}}}}}"##;
        assert!(document(looped).unwrap().left_out[0].contains("refers to itself"));
        let twice = r#"{"/a":{"get":{"operationId":"x"}},"/b":{"get":{"operationId":"x"}}}"#;
        assert!(document(twice).unwrap().left_out[0].contains("another operation's"));
        let same = r#"{"/a/{x}":{"get":{"operationId":"one","parameters":[{"in":"path","name":"x","schema":{}}]}},
            "/a/{y}":{"get":{"operationId":"other","parameters":[{"in":"path","name":"y","schema":{}}]}}}"#;
        let same = document(same).unwrap();
        assert_eq!((same.routes.len(), same.left_out.len()), (1, 1), "{same:?}");
        assert!(same.left_out[0].contains("same paths as \"one\""), "{same:?}");
        let elsewhere = document(r##"{"/a":{"$ref":"#/components/parameters/id"}}"##).unwrap();
        assert!(elsewhere.left_out[0].contains("stand elsewhere"), "{elsewhere:?}");
    }

    #[test]
    fn content_that_is_neither_json_nor_a_form_is_bytes() {
        let read = document(
            r#"{"/up":{"put":{"operationId":"up","requestBody":{"content":{"Text/CSV":{},"multipart/form-data":{"schema":{}}}}}}}"#,
        );
        let definition = read.unwrap().routes["up"].clone();
        assert_eq!(definition.get("content").and_then(Json::as_str), Some("bytes"));
        assert_eq!(definition.get("types").unwrap().text(), r#"["text/csv","multipart/form-data"]"#);
    }

    #[test]
    fn a_text_that_is_no_openapi_document_is_none() {
        for text in [
            r#"{"swagger":"2.0","paths":{}}"#,
            r#"{"openapi":"3.1.0"}"#,
            "7",
            r#"{"openapi":"4.0.0","paths":{}}"#,
        ] {
            assert!(read(&terms::json::parse(text.as_bytes()).unwrap()).is_err(), "{text}");
        }
    }
}
