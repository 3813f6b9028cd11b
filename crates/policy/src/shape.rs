//! The Cedar types of a tool's arguments, read from its input schema and never from a value (decisions A3):
//! `100` and `100.5` of a `number` are both decimal, and a caller cannot choose the type that a rule sees.
//!
//! | JSON Schema | Cedar |
//! |---|---|
//! | `integer` | Long |
//! | `number` | decimal: at most four fractional digits |
//! | `string`, `boolean`; `enum` or `const` of either | String, Bool |
//! | `array` of one of these | Set, with `<name>Count: Long` beside it |
//! | `object` with `properties` | record |
//! | any of these or `null` | the same, with `<name>IsNull: Bool` beside it, always there |
//! | anything else, `$ref` included | no typed form |
//!
//! A property that the schema itself calls `<name>Count` or `<name>IsNull` stays that property.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use terms::json::{Number, Object};
use terms::{Json, Pointer};

use crate::entities::Unaskable;

/// Records nested deeper than this have no typed form.
const DEPTH: usize = 16;

/// The suffixes of the members that stand beside an argument.
pub(crate) const BESIDE: [&str; 2] = [COUNT, IS_NULL];
const COUNT: &str = "Count";
const IS_NULL: &str = "IsNull";

/// What one value becomes.
#[derive(Clone, Debug)]
enum Shape {
    Scalar(Scalar),
    Set(Scalar),
    Record(Record),
    Untyped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Text,
    Integer,
    Number,
    Truth,
}

/// An object with known properties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(BTreeMap<String, Member>);

#[derive(Clone, Debug)]
struct Member {
    shape: Shape,
    /// The name of the member that says whether it is null, where null is allowed.
    is_null: Option<String>,
    /// The name of the member that counts its items, where it has items.
    count: Option<String>,
    /// What the upstream takes when it is not sent.
    default: Option<Json>,
    /// Whether it is always there: it must be sent, or has a default, and cannot be null.
    always: bool,
}

impl Record {
    /// The arguments of a tool with this input schema. A schema that is not an object with properties
    /// gives a record in which nothing has a typed form.
    pub fn of(schema: &Json) -> Self {
        Self::read(schema, DEPTH).unwrap_or_default()
    }

    fn read(schema: &Json, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let properties = schema.get("properties")?.as_object()?;
        let beside = |suffix: &str, name: &str| {
            Some(format!("{name}{suffix}")).filter(|beside| properties.get(beside).is_none())
        };
        let required = schema.get("required").and_then(Json::as_array).unwrap_or_default();
        let member = |(name, schema): (&str, &Json)| {
            let (shape, nullable) = Shape::read(schema, depth);
            let default = schema.get("default").cloned();
            let given = default.is_some() || required.iter().any(|it| it.as_str() == Some(name));
            let member = Member {
                is_null: beside(IS_NULL, name).filter(|_| nullable),
                count: beside(COUNT, name).filter(|_| matches!(shape, Shape::Set(_))),
                always: given && !nullable,
                default,
                shape,
            };
            (name.to_owned(), member)
        };
        Some(Self(properties.iter().map(member).collect()))
    }

    /// The type of the typed form. What is said to be always there is not where it does not fit; then a rule that speaks
    /// of it is not asked at all.
    pub fn cedar(&self) -> Json {
        let mut attributes = BTreeMap::new();
        for (name, member) in &self.0 {
            let beside = |name: &Option<String>, of: &str, always: bool| {
                name.clone().map(|name| (name, attribute(scalar(of), always)))
            };
            attributes.extend(beside(&member.is_null, "Boolean", true));
            attributes.extend(beside(&member.count, "Long", member.always));
            attributes.extend(member.shape.cedar().map(|of| (name.clone(), attribute(of, member.always))));
        }
        record(attributes)
    }

    /// The typed form of an object; the places that have none are added to `unjudged`.
    pub fn typed(
        &self,
        value: &Object,
        at: &Pointer,
        unjudged: &mut Vec<Pointer>,
    ) -> Result<RestrictedExpression, Unaskable> {
        let mut members = Vec::with_capacity(self.0.len());
        for (name, member) in &self.0 {
            let sent = value.get(name).or(member.default.as_ref());
            if let Some(is_null) = &member.is_null {
                let null = sent.is_some_and(Json::is_null);
                members.push((is_null.clone(), RestrictedExpression::new_bool(null)));
                if null {
                    continue;
                }
            }
            let Some(sent) = sent else { continue };
            let here = at.child(name.as_str());
            if let (Some(count), Some(items)) = (&member.count, sent.as_array()) {
                let n = i64::try_from(items.len()).map_err(|_| Unaskable)?;
                members.push((count.clone(), RestrictedExpression::new_long(n)));
            }
            match member.shape.typed(sent, &here, unjudged)? {
                Some(typed) => members.push((name.clone(), typed)),
                None => unjudged.push(here),
            }
        }
        let unknown = value.iter().filter(|(name, _)| !self.0.contains_key(*name));
        unjudged.extend(unknown.map(|(name, _)| at.child(name)));
        RestrictedExpression::new_record(members).map_err(|_| Unaskable)
    }
}

impl Shape {
    /// The shape, and whether null is allowed.
    fn read(schema: &Json, depth: usize) -> (Self, bool) {
        if schema.get("$ref").is_some() {
            return (Self::Untyped, false);
        }
        if let Some(inner) = one_or_null(schema) {
            return (Self::read(inner, depth).0, true);
        }
        let (kind, nullable) = kind(schema);
        let shape = match kind {
            Some("object") => Record::read(schema, depth).map(Self::Record),
            Some("array") => schema.get("items").and_then(items).map(Self::Set),
            Some(kind) => Scalar::named(kind).map(Self::Scalar),
            None => Scalar::of_values(schema).map(Self::Scalar),
        };
        (shape.unwrap_or(Self::Untyped), nullable)
    }

    /// The type of the typed form, where there is one.
    fn cedar(&self) -> Option<Json> {
        match self {
            Self::Scalar(scalar) => Some(scalar.cedar()),
            Self::Set(item) => Some(set(item.cedar())),
            Self::Record(record) => Some(record.cedar()),
            Self::Untyped => None,
        }
    }

    fn typed(
        &self,
        value: &Json,
        at: &Pointer,
        unjudged: &mut Vec<Pointer>,
    ) -> Result<Option<RestrictedExpression>, Unaskable> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.typed(value),
            Self::Set(scalar) => value.as_array().and_then(|items| {
                let items: Option<Vec<_>> = items.iter().map(|item| scalar.typed(item)).collect();
                items.map(RestrictedExpression::new_set)
            }),
            Self::Record(record) => match value.as_object() {
                Some(members) => Some(record.typed(members, at, unjudged)?),
                None => None,
            },
            Self::Untyped => None,
        })
    }
}

/// The one `type` beside `null`, and whether null is among them.
fn kind(schema: &Json) -> (Option<&str>, bool) {
    let names: Vec<&str> = match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => return (None, false),
    };
    let nullable = names.contains(&"null");
    let mut others: Vec<&str> = names.into_iter().filter(|name| *name != "null").collect();
    others.sort_unstable();
    others.dedup();
    match others.as_slice() {
        [one] => (Some(one), nullable),
        ["integer", "number"] => (Some("number"), nullable),
        _ => (Some("several"), nullable),
    }
}

/// The other branch of `anyOf: [{…}, {type: null}]`, as schema generators write an optional argument.
fn one_or_null(schema: &Json) -> Option<&Json> {
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    let null = |branch: &Json| branch.get("type").and_then(Json::as_str) == Some("null");
    match branches {
        [one, other] | [other, one] if null(other) && !null(one) && schema.get("type").is_none() => Some(one),
        _ => None,
    }
}

/// The one type of an array's items.
fn items(schema: &Json) -> Option<Scalar> {
    match Shape::read(schema, 0) {
        (Shape::Scalar(scalar), false) => Some(scalar),
        _ => None,
    }
}

impl Scalar {
    fn named(kind: &str) -> Option<Self> {
        match kind {
            "string" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Truth),
            _ => None,
        }
    }

    /// The type that all values of an `enum` or the one of a `const` have; only where it is plain.
    fn of_values(schema: &Json) -> Option<Self> {
        let constant = schema.get("const").map(std::slice::from_ref);
        let values = constant.or_else(|| schema.get("enum")?.as_array()).filter(|v| !v.is_empty())?;
        if values.iter().all(|v| v.as_str().is_some()) {
            Some(Self::Text)
        } else {
            values.iter().all(|v| v.as_bool().is_some()).then_some(Self::Truth)
        }
    }

    fn cedar(self) -> Json {
        match self {
            Self::Text => scalar("String"),
            Self::Integer => scalar("Long"),
            Self::Number => extension("decimal"),
            Self::Truth => scalar("Boolean"),
        }
    }

    fn typed(self, value: &Json) -> Option<RestrictedExpression> {
        match (self, value) {
            (Self::Text, Json::String(text)) => Some(RestrictedExpression::new_string(text.clone())),
            (Self::Truth, Json::Bool(truth)) => Some(RestrictedExpression::new_bool(*truth)),
            (Self::Integer, Json::Number(number)) => number.as_i64().map(RestrictedExpression::new_long),
            (Self::Number, Json::Number(number)) => decimal(*number).map(RestrictedExpression::new_decimal),
            _ => None,
        }
    }
}

/// A type of Cedar's by name, as its schemas in JSON write it; and the types that are made of others.
pub(crate) fn scalar(name: &str) -> Json {
    Json::object([("type", name)])
}

pub(crate) fn extension(name: &str) -> Json {
    Json::object([("type", "Extension"), ("name", name)])
}

pub(crate) fn set(of: Json) -> Json {
    Json::object([("type", Json::from("Set")), ("element", of)])
}

pub(crate) fn record(attributes: impl IntoIterator<Item = (String, Json)>) -> Json {
    Json::object([("type", Json::from("Record")), ("attributes", Json::object(attributes))])
}

/// The type of an attribute, which is always there or not.
pub(crate) fn attribute(of: Json, always: bool) -> Json {
    with(of, "required", Json::from(always))
}

/// The same object with one member more.
pub(crate) fn with(of: Json, name: &str, value: Json) -> Json {
    let Json::Object(of) = of else { return of };
    let had = of.iter().map(|(name, value)| (name.to_owned(), value.clone()));
    Json::object(had.chain([(name.to_owned(), value)]))
}

/// Cedar's decimal: digits on both sides of the point, at most four after it, within ±2^63 / 10,000.
fn decimal(number: Number) -> Option<String> {
    let text = number.text();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > 4 || !digits(fraction) || !digits(whole.strip_prefix('-').unwrap_or(whole)) {
        return None;
    }
    let scaled: i128 = format!("{whole}{fraction:0<4}").parse().ok()?;
    i64::try_from(scaled).ok().map(|_| format!("{whole}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        let Ok(Json::Number(number)) = terms::json::parse(text.as_bytes()) else { panic!("{text}") };
        number
    }

    #[test]
    fn every_number_that_a_decimal_holds_is_written_as_one_and_no_other() {
        let fits = [("0", "0.0"), ("100", "100.0"), ("100.5", "100.5"), ("-0.0001", "-0.0001")];
        for (text, decimal_text) in fits {
            assert_eq!(decimal(number(text)).as_deref(), Some(decimal_text));
        }
        for text in ["52.520008", "1e21", "1e300", "1e-7", "922337203685478", "-922337203685478", "5e-324"] {
            assert_eq!(decimal(number(text)), None, "{text}");
        }
    }
}
