//! JSON text that is handed on by its text: what is checked, and what is taken out.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use terms::Slug;

/// Members under this prefix are ours alone (T32).
pub const OURS: &str = "dev.stepup/";

/// `_meta` lies no deeper than `result/contents/0/resource/_meta` in MCP 2025-11-25; what is deeper is a
/// tool's own data.
const META_DEPTH: usize = 8;

/// Arrays and objects lie too deep inside one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Whether valid JSON text stays within a depth. One pass, no recursion.
pub(crate) fn within(text: &str, limit: usize) -> Result<(), TooDeep> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return Err(TooDeep);
        }
    }
    Ok(())
}

/// The same value on one line. In valid JSON a raw line break is only ever between tokens.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) {
        return Cow::Owned(text.replace(['\n', '\r'], " "));
    }
    Cow::Borrowed(text)
}

/// The same value with the characters escaped at which some reader might end a line (T31). They can only be
/// inside strings; U+000A and U+000D are escaped by whoever wrote the JSON.
#[must_use]
pub fn no_line_ends(text: String) -> String {
    if !text.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The same text with U+FFFD for each half of a pair of surrogates that stands alone (RFC 8259, 8.2): some readers refuse
/// the whole text for one, and others do not, so that members with such a name beside them would be seen by a caller and not
/// by us.
pub(crate) fn no_halves(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let (mut written, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((plain, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        written.push_str(plain);
        let (kept, length) = match (unit(escape), escape.get(UNIT..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (escape.get(..2 * UNIT), 2 * UNIT),
            (Some(0xd800..=0xdfff), _) => (Some("\\ufffd"), UNIT),
            (Some(_), _) => (escape.get(..UNIT), UNIT),
            (None, _) => (escape.get(..2), 2),
        };
        written.push_str(kept.unwrap_or(escape));
        rest = escape.get(length..).unwrap_or_default();
    }
    written.push_str(rest);
    Cow::Owned(written)
}

/// Bytes of a code unit that is escaped by its number.
const UNIT: usize = "\\uffff".len();

/// The code unit whose escape a text begins with.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.get(..UNIT)?.strip_prefix("\\u")?, 16).ok()
}

/// The same text without members that only we may write, wherever a caller could look for them: `_meta`, the data of an
/// error, structured content.
pub(crate) fn without_ours(text: &str) -> Cow<'_, str> {
    strip(text, META_DEPTH)
}

fn strip(text: &str, depth: usize) -> Cow<'_, str> {
    // Every other way to write one of the prefix's characters has a backslash in it.
    let suspect = text.contains(OURS) || text.contains("\\u00") || text.contains("\\/");
    if depth == 0 || !suspect {
        return Cow::Borrowed(text);
    }
    if let Ok(Members(members)) = serde_json::from_str(text) {
        let kept = members.iter().filter(|(name, _)| !name.starts_with(OURS));
        let written = kept.filter_map(|(name, value)| {
            let name_text = serde_json::to_string(name).ok()?;
            Some(format!("{name_text}:{}", strip(value.get(), depth - 1)))
        });
        return Cow::Owned(format!("{{{}}}", written.collect::<Vec<_>>().join(",")));
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
        let written = items.iter().map(|item| strip(item.get(), depth - 1));
        return Cow::Owned(format!("[{}]", written.collect::<Vec<_>>().join(",")));
    }
    Cow::Borrowed(text)
}

/// The data of an error without a member `slug` that names a row of our error table: by it callers know our own
/// refusals (T32).
pub(crate) fn without_our_slug(text: &str) -> Cow<'_, str> {
    let Ok(Members(members)) = serde_json::from_str(text) else { return Cow::Borrowed(text) };
    let ours = |(name, value): &(String, &RawValue)| {
        let named = || serde_json::from_str::<String>(value.get()).ok();
        name == "slug" && named().is_some_and(|slug| Slug::TABLE.iter().any(|row| row.name == slug))
    };
    if !members.iter().any(ours) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(object(members.iter().filter(|member| !ours(member))))
}

/// The text of an object without its members of these names, however they are written.
#[must_use]
pub fn without<'t>(text: &'t str, names: &[&str]) -> Cow<'t, str> {
    // Every other way to write a name has a backslash in it.
    if !text.contains('\\') && !names.iter().any(|name| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let Ok(Members(members)) = serde_json::from_str(text) else { return Cow::Borrowed(text) };
    if !members.iter().any(|(name, _)| names.contains(&name.as_str())) {
        return Cow::Borrowed(text);
    }
    let kept = members.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    Cow::Owned(object(kept))
}

/// The text of an object of these members.
fn object<'t>(members: impl Iterator<Item = &'t (String, &'t RawValue)>) -> String {
    let written = members.filter_map(|(name, value)| {
        let name = serde_json::to_string(name).ok()?;
        Some(format!("{name}:{}", value.get()))
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

/// The members of an object in the order of the text, values unread; `None` where it is none.
pub(crate) fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str(text).ok().map(|Members(members)| members)
}

/// The members of an object in the order of the text, values unread.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_10_an_upstream_cannot_write_what_only_we_write() {
        for (text, left) in [
            (r#"{"_meta":{"dev.stepup/challenge":1,"a":2},"b":3}"#, r#"{"_meta":{"a":2},"b":3}"#),
            (r#"{"_meta":{"dev.stepup\/challenge":1}}"#, r#"{"_meta":{}}"#),
            (r#"{"\u005fmeta":{"\u0064ev.stepup/x":1}}"#, r#"{"_meta":{}}"#),
            (r#"{"content":[{"_meta":{"dev.stepup/x":1}}]}"#, r#"{"content":[{"_meta":{}}]}"#),
            (r#"{"_meta":{"dev.stepup/x":1},"_meta":{"dev.stepup/y":1}}"#, r#"{"_meta":{},"_meta":{}}"#),
            (r#"{"dev.stepup/x":1,"a":["dev.stepup/x"]}"#, r#"{"a":["dev.stepup/x"]}"#),
            (r#"{"structuredContent":{"a":{"dev.stepup/x":1}}}"#, r#"{"structuredContent":{"a":{}}}"#),
            (r#"{"_meta":["dev.stepup/x"]}"#, r#"{"_meta":["dev.stepup/x"]}"#),
        ] {
            assert_eq!(without_ours(text), left, "{text}");
        }
    }

    #[test]
    fn t32_an_upstreams_error_cannot_name_a_row_of_our_table() {
        for (text, left) in [
            (r#"{"slug":"approval_required","n":1.0}"#, r#"{"n":1.0}"#),
            (r#"{"s\u006cug":"b\u0075sy"}"#, "{}"),
            (r#"{"slug":"busy","slug":"theirs"}"#, r#"{"slug":"theirs"}"#),
            (r#"{"slug":"theirs"}"#, r#"{"slug":"theirs"}"#),
            (r#"{"deeper":{"slug":"busy"}}"#, r#"{"deeper":{"slug":"busy"}}"#),
            (r#""busy""#, r#""busy""#),
        ] {
            assert_eq!(without_our_slug(text), left, "{text}");
        }
    }

    #[test]
    fn a_half_of_a_pair_that_stands_alone_is_no_character_and_all_else_stays() {
        for (text, whole) in [
            (r#"["\ud800"]"#, r#"["\ufffd"]"#),
            (r#"["\uDFFF","\ud83d\ude00","\ud83d"]"#, r#"["\ufffd","\ud83d\ude00","\ufffd"]"#),
            (r#"["\ud83d\ud83d\ude00\ude00"]"#, r#"["\ufffd\ud83d\ude00\ufffd"]"#),
            (r#"["\ud83d\n","\\ud800","\\\ud800"]"#, r#"["\ufffd\n","\\ud800","\\\ufffd"]"#),
            (r#"["\ud83d😀\u0041"]"#, r#"["\ufffd😀\u0041"]"#),
        ] {
            assert_eq!(no_halves(text), whole, "{text}");
        }
        for cut in [r#"["\ud8"#, r#"["\ud83d\"#, r#"["\ud83d\é"#, r#"["\ud83d\u00"#] {
            no_halves(cut);
        }
    }

    #[test]
    fn numbers_that_no_double_holds_pass_as_they_are() {
        let text = r#"{"_meta":{"dev.stepup/x":1},"n":12345678901234567890.10,"m":1E400}"#;
        assert_eq!(without_ours(text), r#"{"_meta":{},"n":12345678901234567890.10,"m":1E400}"#);
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert_eq!(within(r#"{"a":"[[[[\"[[[["}"#, 1), Ok(()));
        assert_eq!(within("[[[]]]", 2), Err(TooDeep));
        assert_eq!(within(&"[".repeat(1 << 20), 128), Err(TooDeep));
    }

    #[test]
    fn a_text_on_one_line_is_the_same_value() {
        let text = "{\r\n \"a\": \"b\\nc\"\n}";
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(!one_line(text).contains('\n'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&one_line(text)).unwrap(), value);
    }
}
