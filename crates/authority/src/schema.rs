//! Arguments against the pinned input schema (JSON Schema 2020-12 by default; MCP 2025-11-25, tools). No
//! reference is ever fetched; compiled schemas are kept by the digest of their definition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{PatternOptions, Validator};
use terms::{DefinitionHash, Json, Kind, text};

use crate::authority::Authority;
use crate::target::Target;

/// Compiled schemas that are kept at most; beyond that they are compiled again.
const KEPT: usize = 1024;

/// Errors that a caller is told of one call at most, and characters of each.
const TOLD: (usize, usize) = (5, 200);

/// Bytes that one pattern may take when it is compiled, and steps back that it may take when it runs.
const PATTERN: (usize, usize) = (1 << 20, 100_000);

/// Compiled schemas; `None` for one that cannot be compiled.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: Mutex<HashMap<DefinitionHash, Option<Arc<Validator>>>>,
}

impl Authority {
    /// What is wrong with the arguments of a call, as its caller is told: they are not what the pinned definition says. A reason to
    /// refuse it before anything is decided.
    #[must_use]
    pub fn misfit(&self, target: &Target, arguments: &Json) -> Option<String> {
        self.schemas.misfit(target, arguments)
    }
}

/// Whether it is an object of texts by name, as the arguments of prompts and templates are.
#[must_use]
pub fn are_texts(of: &Json) -> bool {
    of.as_object().is_some_and(|of| of.iter().all(|(_, value)| value.as_str().is_some()))
}

impl Schemas {
    /// What is wrong with the arguments of a call.
    pub(crate) fn misfit(&self, target: &Target, arguments: &Json) -> Option<String> {
        match target.kind {
            Kind::Tool | Kind::Route | Kind::Operation => {
                self.check(target.pin.digest, &target.pin.definition, arguments).err()
            }
            Kind::Prompt => (!are_texts(arguments)).then(|| "arguments is not an object of texts".to_owned()),
            Kind::Resource | Kind::Installation => None,
        }
    }

    /// Whether arguments fit. Answers what is wrong, without any value of theirs: it may be a secret.
    pub(crate) fn check(
        &self,
        digest: DefinitionHash,
        definition: &Json,
        arguments: &Json,
    ) -> Result<(), String> {
        let Some(validator) = self.compiled(digest, definition) else {
            return Err("the tool's input schema cannot be evaluated: tell the operator".to_owned());
        };
        let arguments = plain(arguments);
        let errors = validator.iter_errors(&arguments).take(TOLD.0).map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "arguments".to_owned() } else { place };
            let says = error.masked_with("the value").to_string();
            let says: String = says.chars().take(TOLD.1).collect();
            format!("{}: {}", text::visible(&place), text::visible(&says))
        });
        let errors: Vec<String> = errors.collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn compiled(&self, digest: DefinitionHash, definition: &Json) -> Option<Arc<Validator>> {
        let lock = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&digest) {
            return known.clone();
        }
        let built = definition.get("inputSchema").and_then(build).map(Arc::new);
        let mut compiled = lock();
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(digest, built.clone());
        built
    }
}

fn build(schema: &Json) -> Option<Validator> {
    let (size, steps) = PATTERN;
    let patterns = PatternOptions::fancy_regex().size_limit(size).dfa_size_limit(size).backtrack_limit(steps);
    jsonschema::options().offline().with_pattern_options(patterns).build(&plain(schema)).ok()
}

/// The same value for the library.
fn plain(json: &Json) -> serde_json::Value {
    serde_json::from_str(&json.text()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, arguments: &str) -> Result<(), String> {
        let parse = |text: &str| terms::json::parse(text.as_bytes()).unwrap();
        let definition = Json::object([("name", Json::from("t")), ("inputSchema", parse(schema))]);
        Schemas::default().check(DefinitionHash::of(&definition), &definition, &parse(arguments))
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_place_and_never_by_its_value() {
        let schema = r#"{"type":"object","properties":{"pin":{"type":"string","maxLength":4}},"required":["pin"],
            "additionalProperties":false}"#;
        assert_eq!(check(schema, r#"{"pin":"1234"}"#), Ok(()));
        let told = check(schema, r#"{"pin":"87654321"}"#).unwrap_err();
        assert!(told.starts_with("/pin: ") && !told.contains("8765"), "{told}");
        let told = check(schema, r#"{"p\u202ein":"x"}"#).unwrap_err();
        assert!(told.contains("pin") && told.contains("⟨U+202E⟩"), "{told}");
    }

    #[test]
    fn a_schema_that_cannot_be_evaluated_lets_nothing_through() {
        for schema in [
            r#"{"$ref":"https://example.com/schema.json"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r##"{"$ref":"#/nowhere"}"##,
            r#"{"type":"nonsense"}"#,
            r#"{"properties":{"a":{"pattern":"("}}}"#,
            "7",
        ] {
            assert!(check(schema, "{}").is_err(), "{schema}");
        }
        let none = Json::object([("name", "t")]);
        let told = Schemas::default().check(DefinitionHash::of(&none), &none, &Json::object([("a", "b")]));
        assert!(told.is_err());
    }

    #[test]
    fn a_schema_that_refers_to_itself_and_a_pattern_that_explodes_come_to_an_end() {
        let _ = check(r##"{"$ref":"#"}"##, "{}");
        let _ = check(
            r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##,
            "{}",
        );
        let _ = check(r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##, "{}");
        let _ = check(r##"{"$dynamicRef":"#"}"##, "{}");
        let slow = format!(r#"{{"a":"{}!"}}"#, "a".repeat(40));
        assert!(check(r#"{"properties":{"a":{"pattern":"^(?=a)(a+)+\\1$"}}}"#, &slow).is_err());
    }
}
