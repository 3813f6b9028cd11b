//! What a child says on its standard error, as it may be shown: without the secrets that it was given
//! (invariant 8). A child that means to tell them can always find words of its own; these are the forms in which
//! programs write their arguments without meaning anything by it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use terms::Secret;

use crate::transport::child::LONGEST_LINE;

/// A secret argument is struck out of what a child says until this many others came after it.
const MOST_PASSED: usize = 256;

/// Bytes. A shorter text is found everywhere: that it was struck out at some place tells what it is.
const SHORTEST_SECRET: usize = 4;

/// Bytes. Of a longer one, too many lines would have to be looked for in each line.
const LONGEST_SECRET: usize = 16 << 10;

const STRUCK: &str = "[secret]";
const WITHHELD: &str = "[a line that may hold a secret]";

/// What a child says on its standard error: what is struck out of it, and the end of it.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Secrets that the child was started with.
    given: Vec<Hidden>,
    /// Secret arguments of its latest calls.
    passed: VecDeque<Hidden>,
    last: String,
}

/// How one secret is kept out of a line.
#[derive(Debug)]
enum Hidden {
    /// Wherever one of these stands, something else does.
    Struck(Vec<Secret<String>>),
    /// It is short: a line in which one of these stands is not shown. With only the secret struck out, the rest of
    /// the line would tell it, as `b[secret]d[secret]` tells `a`.
    Short(Vec<Secret<String>>),
    /// It is long: no line is shown while it is remembered.
    Long,
}

impl Said {
    pub(crate) fn new(given: Vec<Secret<String>>) -> Self {
        let given = given.iter().map(Hidden::of).collect();
        Self(Mutex::new(State { given, ..State::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are about to be passed to the child.
    pub(crate) fn passes(&self, secrets: &[Secret<String>]) {
        // Only the last ones are remembered, so that no others have to be made ready.
        let latest = secrets.iter().rev().take(MOST_PASSED).rev();
        let hidden: Vec<Hidden> = latest.map(Hidden::of).collect();
        let mut state = self.state();
        state.passed.extend(hidden);
        let over = state.passed.len().saturating_sub(MOST_PASSED);
        state.passed.drain(..over);
    }

    /// The line as it may be shown: without secrets, and everything in it visible.
    pub(crate) fn line(&self, text: &str) -> String {
        let mut state = self.state();
        state.last = terms::text::visible(&state.without_secrets(text.trim_end()));
        state.last.clone()
    }

    /// A text without secrets, if there are any in it.
    pub(crate) fn struck(&self, text: &str) -> Option<String> {
        Some(self.state().without_secrets(text)).filter(|left| left != text)
    }

    /// The last line, for whoever wonders why the child ended.
    pub(crate) fn last(&self) -> Option<String> {
        Some(self.state().last.clone()).filter(|last| !last.is_empty())
    }
}

impl State {
    fn without_secrets(&self, line: &str) -> String {
        let mut struck = Vec::new();
        for hidden in self.given.iter().chain(&self.passed) {
            match hidden {
                Hidden::Struck(forms) => {
                    struck
                        .extend(forms.iter().map(|form| form.expose().as_str()).filter(|f| line.contains(f)));
                }
                Hidden::Short(forms) if forms.iter().any(|form| line.contains(form.expose().as_str())) => {
                    return WITHHELD.to_owned();
                }
                Hidden::Short(_) => {}
                Hidden::Long => return WITHHELD.to_owned(),
            }
        }
        // The longest first: a part of one that is struck out would leave the rest of it.
        struck.sort_unstable_by_key(|form| std::cmp::Reverse(form.len()));
        struck.into_iter().fold(line.to_owned(), |line, form| line.replace(form, STRUCK))
    }
}

impl Hidden {
    fn of(secret: &Secret<String>) -> Self {
        let text = secret.expose().trim();
        if text.len() > LONGEST_SECRET {
            return Self::Long;
        }
        if text.len() < SHORTEST_SECRET {
            // Of a blank one there is nothing to hide.
            return Self::Short(shown(escaped(text).into_iter().filter(|form| !form.is_empty())));
        }
        // Shorter lines than that, such as a closing bracket, are found everywhere and say little of the whole.
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_SECRET);
        let escaped = std::iter::once(text).chain(lines).flat_map(escaped);
        let encoded = encoded(text.as_bytes());
        Self::Struck(shown(escaped.chain(encoded).filter(|form| form.len() >= SHORTEST_SECRET)))
    }
}

/// Each form once, but for those that no line can hold.
fn shown(forms: impl Iterator<Item = String>) -> Vec<Secret<String>> {
    let fits = |form: &String| u64::try_from(form.len()).is_ok_and(|len| len <= LONGEST_LINE);
    let forms: std::collections::BTreeSet<String> = forms.filter(fits).collect();
    forms.into_iter().map(Secret::new).collect()
}

/// The text, and as it stands within quotation marks of JSON as different writers make it, of JSON within JSON, of
/// a programming language, and in a URL or a form.
fn escaped(text: &str) -> Vec<String> {
    let json = json(text);
    let slashed = json.replace('/', "\\/");
    let for_html = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let language = [('\\', "\\\\"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t")];
    let language =
        language.iter().fold(text.to_owned(), |text, (plain, escape)| text.replace(*plain, escape));
    let single = language.replace('\'', "\\'");
    let url = percent(text);
    let form = url.replace("%20", "+");
    let twice = self::json(&json);
    let all = [text.to_owned(), ascii(&json), json, slashed, for_html, language, single, url, form, twice];
    all.into()
}

fn json(text: &str) -> String {
    let quoted = terms::Json::from(text).text();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}

/// With everything beyond ASCII as `\u` escapes.
fn ascii(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            // Writing to a string does not fail.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// With everything but RFC 3986's unreserved characters percent-encoded.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// In base64 of both alphabets, at each of the three places that it may have within something longer (as the
/// password has in `Authorization: Basic`), without the characters at its ends that its neighbours have a part in;
/// and in hexadecimal.
fn encoded(bytes: &[u8]) -> Vec<String> {
    let mut forms: Vec<String> = vec![terms::hash::hex(bytes).collect()];
    for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let longer: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
            let text = engine.encode(&longer);
            let end = text.len() - usize::from(!longer.len().is_multiple_of(3));
            forms.extend(text.get(shared..end).map(str::to_owned));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn invariant_8_a_childs_secret_is_struck_out_of_what_it_says() {
        let said = Said::new(vec![secret("s3cr3t-value")]);
        said.passes(&[secret("hunter2")]);
        let line = said.line("token=s3cr3t-value pass hunter2\u{1b}[31m\u{202e}\n");
        assert!(!line.contains("s3cr3t") && !line.contains("hunter2"), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\n']), "{line}");
        assert_eq!(said.last(), Some(line));
        // A bounded number of them is remembered.
        said.passes(&(0..=MOST_PASSED).map(|n| secret(&n.to_string())).collect::<Vec<_>>());
        assert_eq!(said.state().passed.len(), MOST_PASSED);
    }

    #[test]
    fn invariant_8_a_secret_is_struck_out_however_a_program_writes_it() {
        let key = "-----BEGIN KEY-----\nCANARYLINEONE11111\nCANARYLINETWO/2222\n-----END KEY-----\n";
        let odd = "CAN\"ARY\\Q-1 <é😀>";
        let said = Said::new(vec![secret(key)]);
        said.passes(&[secret(odd)]);
        for (text, canary) in [
            (format!("{:?}", serde_json::json!({ "key": key })), "CANARY"),
            (serde_json::to_string(&serde_json::json!({ "key": key })).unwrap(), "CANARY"),
            (serde_json::to_string(&serde_json::json!({ "t": odd })).unwrap(), "ARY"),
            (serde_json::to_string(&serde_json::json!({ "t": odd }).to_string()).unwrap(), "ARY"),
            (r#"{"t":"CAN\"ARY\\Q-1 <\u00e9\ud83d\ude00>"}"#.to_owned(), "ARY"),
            (r#"{"t":"CAN\"ARY\\Q-1 \u003cé😀\u003e"}"#.to_owned(), "ARY"),
            (r#"{"k":"CANARYLINETWO\/2222"}"#.to_owned(), "CANARY"),
            (r#"'CAN"ARY\\Q-1 <é😀>'"#.to_owned(), "ARY"),
            ("GET /?t=CAN%22ARY%5CQ-1%20%3C%C3%A9%F0%9F%98%80%3E".to_owned(), "ARY"),
            ("t=CAN%22ARY%5CQ-1+%3C%C3%A9%F0%9F%98%80%3E".to_owned(), "ARY"),
        ] {
            let line = said.line(&text);
            assert!(!line.contains(canary) && line.contains(STRUCK), "{text} is shown as {line}");
        }
        for raw in key.lines() {
            assert_eq!(said.line(raw), STRUCK);
        }
        for before in ["", "u", "us", "user:"] {
            for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
                let line = said.line(&engine.encode(format!("{before}{odd}/after")));
                // What is left of it is what stands beside it, and a character where they meet.
                assert!(line.contains(STRUCK) && line.len() < STRUCK.len() + 20, "{line}");
            }
        }
    }

    #[test]
    fn invariant_8_of_two_secrets_one_within_the_other_neither_leaves_a_rest() {
        let said = Said::new(vec![secret("abcd")]);
        said.passes(&[secret("abcd-efgh")]);
        assert_eq!(said.line("x abcd-efgh y"), "x [secret] y");
    }

    #[test]
    fn invariant_8_a_line_with_a_secret_too_short_to_strike_out_is_not_shown() {
        let said = Said::new(Vec::new());
        said.passes(&[secret("a\""), secret(" ")]);
        assert_eq!(said.line("it is {\"pin\":\"a\\\"\"}"), WITHHELD);
        assert_eq!(said.line("pin a\"!"), WITHHELD);
        assert_eq!(said.line("all else is shown"), "all else is shown");
    }

    #[test]
    fn invariant_8_while_a_long_secret_is_remembered_nothing_is_shown() {
        let said = Said::new(Vec::new());
        said.passes(&[secret(&"line\n".repeat(10_000))]);
        assert_eq!(said.line("anything"), WITHHELD);
        said.passes(&vec![secret("other"); MOST_PASSED]);
        assert_eq!(said.line("anything"), "anything");
    }
}
