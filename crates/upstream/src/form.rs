//! Whether what an upstream lists has the form that MCP's schema gives it (2025-11-25 and 2026-07-28, schema: Tool, Prompt,
//! Resource, ResourceTemplate). SDKs refuse a whole list for one entry that has not, and at `/mcp` that is everyone's: so it is
//! left out, and nothing is repaired. Only members that the schema has are looked at; others are as they are.

use terms::Json;
use terms::revision::Era;

use crate::errand::Listing;

/// What a value has to be.
enum Is {
    /// Whatever it is.
    Any,
    Text,
    Truth,
    Number,
    /// A number from 0 to 1.
    Share,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text that is a date and a time with an offset (RFC 3339).
    Moment,
    /// An array, each of which is that.
    List(&'static Self),
    /// An object, each member of which is that.
    Each(&'static Self),
    /// An object with these members.
    Object(&'static [Member]),
}

/// One member: its name, whether it has to be there, and what it is then.
struct Member(&'static str, bool, Is);

const fn may(name: &'static str, is: Is) -> Member {
    Member(name, false, is)
}

const fn must(name: &'static str, is: Is) -> Member {
    Member(name, true, is)
}

const META: Member = may("_meta", Is::Each(&Is::Any));
const TITLE: Member = may("title", Is::Text);
const DESCRIPTION: Member = may("description", Is::Text);
const MIME_TYPE: Member = may("mimeType", Is::Text);
const ICONS: Member = may("icons", Is::List(&ICON));
const ICON: Is = Is::Object(&[
    must("src", Is::Text),
    MIME_TYPE,
    may("sizes", Is::List(&Is::Text)),
    may("theme", Is::OneOf(&["light", "dark"])),
]);
const ANNOTATIONS: Member = may(
    "annotations",
    Is::Object(&[
        may("audience", Is::List(&Is::OneOf(&["user", "assistant"]))),
        may("priority", Is::Share),
        may("lastModified", Is::Moment),
    ]),
);
const HINTS: Member = may(
    "annotations",
    Is::Object(&[
        TITLE,
        may("readOnlyHint", Is::Truth),
        may("destructiveHint", Is::Truth),
        may("idempotentHint", Is::Truth),
        may("openWorldHint", Is::Truth),
    ]),
);
const EXECUTION: Member =
    may("execution", Is::Object(&[may("taskSupport", Is::OneOf(&["required", "optional", "forbidden"]))]));
const OF_AN_OBJECT: Member = must("type", Is::OneOf(&["object"]));
const DIALECT: Member = may("$schema", Is::Text);
const REQUIRED: Member = may("required", Is::List(&Is::Text));

/// A schema as sessions have it: of an object, each of whose properties is an object.
const STRICT: Is =
    Is::Object(&[OF_AN_OBJECT, DIALECT, may("properties", Is::Each(&Is::Each(&Is::Any))), REQUIRED]);
/// The same as 2026-07-28 has it for arguments: a property may be what JSON Schema 2020-12 lets a schema be.
const WIDE: Is = Is::Object(&[OF_AN_OBJECT, DIALECT, may("properties", Is::Each(&Is::Any)), REQUIRED]);
/// Any schema; 2026-07-28 has it for results.
const ANY_SCHEMA: Is = Is::Object(&[DIALECT]);

const TOOL: Is = Is::Object(&[must("name", Is::Text), TITLE, DESCRIPTION, HINTS, EXECUTION, ICONS, META]);
const SCHEMAS_OF_SESSIONS: Is = Is::Object(&[must("inputSchema", STRICT), may("outputSchema", STRICT)]);
const SCHEMAS: Is = Is::Object(&[must("inputSchema", WIDE), may("outputSchema", ANY_SCHEMA)]);
const PROMPT: Is = Is::Object(&[
    must("name", Is::Text),
    TITLE,
    DESCRIPTION,
    may(
        "arguments",
        Is::List(&Is::Object(&[must("name", Is::Text), TITLE, DESCRIPTION, may("required", Is::Truth)])),
    ),
    ICONS,
    META,
]);
const RESOURCE: Is = Is::Object(&[
    must("name", Is::Text),
    must("uri", Is::Text),
    TITLE,
    DESCRIPTION,
    MIME_TYPE,
    may("size", Is::Number),
    ANNOTATIONS,
    ICONS,
    META,
]);
const TEMPLATE: Is = Is::Object(&[
    must("name", Is::Text),
    must("uriTemplate", Is::Text),
    TITLE,
    DESCRIPTION,
    MIME_TYPE,
    ANNOTATIONS,
    ICONS,
    META,
]);

/// Whether clients of an era take a definition in a list.
///
/// # Errors
/// The place of the first thing that is not as the schema has it, in the schema's words and none of the upstream's.
pub fn fits(listing: Listing, era: Era, definition: &Json) -> Result<(), String> {
    let forms: &[&Is] = match (listing, era) {
        (Listing::Tools, Era::Legacy) => &[&TOOL, &SCHEMAS_OF_SESSIONS],
        (Listing::Tools, Era::Modern) => &[&TOOL, &SCHEMAS],
        (Listing::Prompts, _) => &[&PROMPT],
        (Listing::Resources, _) => &[&RESOURCE],
        (Listing::Templates, _) => &[&TEMPLATE],
    };
    forms.iter().try_for_each(|form| look(form, definition, "its definition"))
}

fn look(form: &Is, value: &Json, place: &str) -> Result<(), String> {
    let fits = match (form, value) {
        (Is::Any, _)
        | (Is::Text, Json::String(_))
        | (Is::Truth, Json::Bool(_))
        | (Is::Number, Json::Number(_)) => true,
        (Is::Share, Json::Number(number)) => (0.0..=1.0).contains(&number.as_f64()),
        (Is::OneOf(texts), Json::String(text)) => texts.contains(&text.as_str()),
        (Is::Moment, Json::String(text)) => is_moment(text),
        (Is::List(form), Json::Array(entries)) => {
            return entries.iter().try_for_each(|entry| look(form, entry, place));
        }
        (Is::Each(form), Json::Object(members)) => {
            return members.iter().try_for_each(|(_, value)| look(form, value, place));
        }
        (Is::Object(form), Json::Object(members)) => {
            return form.iter().try_for_each(|Member(name, needed, form)| match members.get(name) {
                Some(value) => look(form, value, &format!("{place}, {name}")),
                None if *needed => Err(format!("{place} has no {name}")),
                None => Ok(()),
            });
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{place}: not as MCP's schema has it")) }
}

/// Whether a text is as `2026-02-28T10:00:00.5+01:00`, to the minute at least.
fn is_moment(text: &str) -> bool {
    let parts = || {
        let (date, rest) = text.split_at_checked(10)?;
        let (time, rest) = rest.strip_prefix('T')?.split_at_checked(5)?;
        let zone_at = rest.find(['Z', '+', '-'])?;
        let (seconds, zone) = rest.split_at_checked(zone_at)?;
        Some((date, time, seconds, zone))
    };
    parts().is_some_and(|(date, time, seconds, zone)| {
        let offset = zone == "Z" || zone.get(1..).is_some_and(is_time);
        is_date(date) && is_time(time) && (seconds.is_empty() || is_seconds(seconds)) && offset
    })
}

/// `2026-02-28`.
fn is_date(text: &str) -> bool {
    let [year, month, day] = *text.split('-').collect::<Vec<_>>() else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `10:00`.
fn is_time(text: &str) -> bool {
    let Some((hour, minute)) = text.split_once(':') else { return false };
    digits(hour, 2).is_some_and(|hour| hour < 24) && digits(minute, 2).is_some_and(|minute| minute < 60)
}

/// `:00`, or `:00.5`.
fn is_seconds(text: &str) -> bool {
    let Some(text) = text.strip_prefix(':') else { return false };
    let (seconds, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(seconds, 2).is_some_and(|seconds| seconds < 60) && part
}

/// The number that so many digits are.
fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        terms::json::parse(text.as_bytes()).unwrap()
    }

    /// A whole definition, with a member in another form, or with none of that name.
    fn with(whole: &str, name: &str, value: Option<&str>) -> Json {
        let Json::Object(mut definition) = json(whole) else { panic!("{whole}") };
        match value {
            Some(value) => definition.insert(name, json(value)),
            None => definition.remove(name),
        };
        Json::Object(definition)
    }

    const A_TOOL: &str = r#"{"name":"t","title":"T","description":"d","inputSchema":{"type":"object","properties":{"a":{}},
        "required":["a"],"$schema":"https://json-schema.org/draft/2020-12/schema","x":1},"outputSchema":{"type":"object"},
        "annotations":{"title":"T","readOnlyHint":true,"x":1},"execution":{"taskSupport":"optional"},
        "icons":[{"src":"s","mimeType":"image/png","sizes":["any"],"theme":"dark"}],"_meta":{"a":1},"x":[1]}"#;
    const A_PROMPT: &str =
        r#"{"name":"p","arguments":[{"name":"a","description":"d","required":true,"x":1}],"x":null}"#;
    const A_RESOURCE: &str = r#"{"name":"r","uri":"a:b","mimeType":"text/plain","size":1,
        "annotations":{"audience":["user"],"priority":0.5,"lastModified":"2024-02-29T10:00:00.5+01:00"}}"#;
    const A_TEMPLATE: &str = r#"{"name":"r","uriTemplate":"a:{b}"}"#;

    /// Of what, a member of it, and what that may not be; nothing: it may not be missing.
    type Row = (Listing, &'static str, &'static str, &'static [&'static str]);

    const WAYS: [Row; 21] = [
        (Listing::Tools, A_TOOL, "name", &["", "1"]),
        (Listing::Tools, A_TOOL, "inputSchema", &["", "null", "{}", "[]", "true", r#"{"type":"string"}"#]),
        (
            Listing::Tools,
            A_TOOL,
            "inputSchema",
            &[r#"{"type":["object"]}"#, r#"{"type":"object","required":[1]}"#],
        ),
        (Listing::Tools, A_TOOL, "inputSchema", &[r#"{"type":"object","properties":[]}"#]),
        (Listing::Tools, A_TOOL, "inputSchema", &[r#"{"type":"object","required":"a"}"#]),
        (Listing::Tools, A_TOOL, "outputSchema", &["null", "[]", r#"{"$schema":1}"#]),
        (Listing::Tools, A_TOOL, "title", &["null", "1"]),
        (Listing::Tools, A_TOOL, "description", &["null", r#"["d"]"#]),
        (
            Listing::Tools,
            A_TOOL,
            "annotations",
            &["null", "[]", r#"{"readOnlyHint":"yes"}"#, r#"{"title":1}"#],
        ),
        (Listing::Tools, A_TOOL, "execution", &["null", r#"{"taskSupport":"never"}"#]),
        (Listing::Tools, A_TOOL, "_meta", &["null", "[]", "1"]),
        (
            Listing::Tools,
            A_TOOL,
            "icons",
            &["null", "{}", r#"["s"]"#, "[{}]", r#"[{"src":"s","theme":"red"}]"#],
        ),
        (Listing::Prompts, A_PROMPT, "name", &[""]),
        (Listing::Prompts, A_PROMPT, "arguments", &["null", "{}", r#"["a"]"#, "[{}]", r#"[{"name":1}]"#]),
        (Listing::Prompts, A_PROMPT, "arguments", &[r#"[{"name":"a","required":"no"}]"#]),
        (Listing::Resources, A_RESOURCE, "name", &["", "1"]),
        (Listing::Resources, A_RESOURCE, "mimeType", &["null", "1"]),
        (Listing::Resources, A_RESOURCE, "size", &[r#""1""#]),
        (
            Listing::Resources,
            A_RESOURCE,
            "annotations",
            &["[]", r#"{"audience":["all"]}"#, r#"{"priority":1.5}"#],
        ),
        (Listing::Templates, A_TEMPLATE, "name", &["", "null"]),
        (Listing::Templates, A_TEMPLATE, "uriTemplate", &[""]),
    ];

    #[test]
    fn one_entry_that_a_schema_has_otherwise_is_left_out_so_that_it_takes_no_list() {
        let each = WAYS.into_iter().flat_map(|(listing, whole, name, values)| {
            values.iter().map(move |value| (listing, whole, name, *value))
        });
        for ((listing, whole, name, value), era) in
            each.flat_map(|one| [Era::Legacy, Era::Modern].map(|era| (one, era)))
        {
            assert_eq!(fits(listing, era, &json(whole)), Ok(()), "{whole}");
            let otherwise = with(whole, name, Some(value).filter(|value| !value.is_empty()));
            let told = fits(listing, era, &otherwise).unwrap_err();
            assert!(told.contains(name), "{name}: {value:?}: {told}");
        }
    }

    #[test]
    fn a_resource_of_no_day_takes_no_list() {
        let of = |text: &str| {
            let about = format!(r#"{{"lastModified":"{text}"}}"#);
            fits(Listing::Resources, Era::Legacy, &with(A_RESOURCE, "annotations", Some(&about)))
        };
        for well in ["2025-02-28T10:00Z", "2024-02-29T23:59:59.123-05:30", "2000-02-29T00:00:00Z"] {
            assert_eq!(of(well), Ok(()), "{well}");
        }
        for bad in [
            "",
            "yesterday",
            "2025-02-28",
            "2025-02-29T10:00Z",
            "1900-02-29T10:00Z",
            "2025-13-01T10:00Z",
            "2025-04-31T10:00Z",
            "2025-02-28T24:00Z",
            "2025-02-28T10:00:60Z",
            "2025-02-28T10:00:00.Z",
            "2025-02-28T10:00:00",
            "2025-02-28T10:00:00Zé",
            "2025-02-28T10:00+0100",
            "2025-02-28 10:00Z",
            "２025-02-28T10:00Z",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_only_2026_07_28_lets_a_schema_be_fits_its_clients_alone() {
        for (name, value) in [
            ("outputSchema", r#"{"type":"array"}"#),
            ("outputSchema", "{}"),
            ("inputSchema", r#"{"type":"object","properties":{"a":true}}"#),
        ] {
            let tool = with(A_TOOL, name, Some(value));
            assert_eq!(fits(Listing::Tools, Era::Modern, &tool), Ok(()), "{value}");
            assert!(fits(Listing::Tools, Era::Legacy, &tool).is_err(), "{value}");
        }
    }
}
