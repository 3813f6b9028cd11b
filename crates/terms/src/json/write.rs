//! The one writer: RFC 8785 §3.2.

use std::borrow::Cow;

use super::Json;

pub(super) fn text(value: &Json) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(n) => out.push_str(&n.text()),
        Json::String(s) => string(s, out),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (i, (name, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                string(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
    }
}

/// RFC 8785 §3.2.2.2: the two-character escapes where they exist, `\u00xx` for other controls, all else as it is,
/// copied in runs.
fn string(s: &str, out: &mut String) {
    out.push('"');
    let mut rest = s;
    // Nearly every string; tested without a branch, so that the compiler takes many bytes at once.
    if s.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')) {
        out.push_str(std::mem::take(&mut rest));
    }
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (run, special) = rest.split_at(at);
        out.push_str(run);
        let mut chars = special.chars();
        out.push_str(&escaped(chars.next().unwrap_or_default()));
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// How a character is written inside a string.
pub(super) fn escaped(c: char) -> Cow<'static, str> {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        control @ '\0'..' ' => return Cow::Owned(format!("\\u{:04x}", u32::from(control))),
        plain => return Cow::Owned(plain.to_string()),
    };
    Cow::Borrowed(short)
}
