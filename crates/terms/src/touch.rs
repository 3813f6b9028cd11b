//! What an access touches: things of the upstream by kind and key, such as the batch that one call prepares and another pays. Who
//! touched something does not approve what touches it later (decisions A14, rfd 38).

use crate::{Json, Pointer};

/// Touches of one tool or route at most.
pub const MOST: usize = 8;

/// Bytes of a kind, and of a key.
const LONGEST_KIND: usize = 32;
const LONGEST_KEY: usize = 256;

/// One thing that a tool or a route touches, as the operator says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// What it is, in the operator's word: `batch`. One word is one thing everywhere in the installation.
    pub kind: String,
    /// Where its key stands.
    pub from: Place,
    /// Whether it may be the first to touch a key, so that this is how such things come to be. Otherwise a key that nobody is known
    /// to have touched is one whose preparer is unknown.
    pub first: bool,
}

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In what is asked for: `/arguments/…`.
    Arguments(Pointer),
    /// In what is answered: `/result/…`. Of MCP that is the result of the call, of an HTTP API the content of its answer.
    Result(Pointer),
}

/// One thing that was touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Touched {
    /// What it is.
    pub kind: String,
    /// Which; `None` where the answer did not say, or has not yet: it may be any.
    pub key: Option<String>,
}

impl Touch {
    /// What is touched, by the value at its place.
    fn of(&self, value: Option<&Json>) -> Touched {
        Touched { kind: self.kind.clone(), key: value.and_then(key) }
    }

    /// What the arguments name; `None` where the answer does.
    #[must_use]
    pub fn in_arguments(&self, arguments: &Json) -> Option<Touched> {
        match &self.from {
            Place::Arguments(at) => Some(self.of(at.of(arguments))),
            Place::Result(_) => None,
        }
    }

    /// What the answer names, where one could be read; `None` where the arguments do.
    #[must_use]
    pub fn in_result(&self, result: Option<&Json>) -> Option<Touched> {
        match &self.from {
            Place::Arguments(_) => None,
            Place::Result(at) => Some(self.of(result.and_then(|result| at.of(result)))),
        }
    }

    /// As the bundle of rules has it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object([
            ("kind", Json::from(self.kind.as_str())),
            ("from", Json::from(self.from.to_string())),
            ("first", Json::from(self.first)),
        ])
    }

    /// What [`Touch::to_json`] wrote.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name)?.as_str();
        let kind = text("kind").filter(|kind| nameable(kind))?.to_owned();
        Some(Self { kind, from: text("from")?.parse().ok()?, first: json.get("first")?.as_bool()? })
    }
}

/// Whether it can be a kind: `[a-z][a-z0-9_-]*`, of at most 32 bytes.
#[must_use]
pub fn nameable(kind: &str) -> bool {
    (1..=LONGEST_KIND).contains(&kind.len())
        && kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// A text, or a whole number as it is written. What is spelt otherwise is another key: nobody here knows what an upstream takes for
/// the same.
fn key(value: &Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(_) => value.as_i64()?.to_string(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    (1..=LONGEST_KEY).contains(&text.len()).then_some(text)
}

/// The text is no place of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place of a key: it begins with /arguments/ or /result/")]
pub struct NoPlace;

impl std::str::FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (of, at): (fn(Pointer) -> Self, _) = match text.strip_prefix("/arguments/") {
            Some(at) => (Self::Arguments, at),
            None => (Self::Result, text.strip_prefix("/result/").ok_or(NoPlace)?),
        };
        format!("/{at}").parse().map(of).map_err(|_| NoPlace)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Arguments(at) => write!(f, "/arguments{at}"),
            Self::Result(at) => write!(f, "/result{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn touch(from: &str) -> Touch {
        Touch { kind: "batch".to_owned(), from: from.parse().unwrap(), first: false }
    }

    #[test]
    fn a_key_is_a_text_or_a_whole_number_and_all_else_says_nothing() {
        let at = |value: &str| {
            let json = parse(format!(r#"{{"id":{value}}}"#).as_bytes()).unwrap();
            touch("/arguments/id").in_arguments(&json).unwrap().key
        };
        assert_eq!([at("17"), at(r#""17""#)], [Some("17".to_owned()), Some("17".to_owned())]);
        assert_eq!([at(r#""017""#), at(r#"" 17""#)], [Some("017".to_owned()), Some(" 17".to_owned())]);
        for none in ["null", "true", "[]", r#"{"$sealed":"x","len":2}"#, r#""""#, "1.5"] {
            assert_eq!(at(none), None, "{none}");
        }
        let long = "x".repeat(LONGEST_KEY);
        assert_eq!(at(&format!("\"{long}\"")), Some(long.clone()));
        assert_eq!(at(&format!("\"{long}x\"")), None, "a longer one is not cut to be another");
    }

    #[test]
    fn a_place_is_in_the_arguments_or_in_the_answer_and_is_written_as_it_is_read() {
        for good in ["/arguments/a", "/arguments/body/a~1b", "/result/structuredContent/id", "/result/0"] {
            assert_eq!(good.parse::<Place>().unwrap().to_string(), good);
            let touch = touch(good);
            assert_eq!(Touch::from_json(&touch.to_json()), Some(touch));
        }
        for bad in [
            "",
            "/",
            "/a",
            "arguments/a",
            "/arguments",
            "/argumentsx/a",
            "/result",
            "/result/~2",
            "/answer/a",
        ] {
            assert_eq!(bad.parse::<Place>(), Err(NoPlace), "{bad}");
        }
        let json = parse(br#"{"a":"1"}"#).unwrap();
        assert_eq!(touch("/arguments/a").in_result(Some(&json)), None);
        assert_eq!(touch("/result/a").in_arguments(&json), None);
        assert_eq!(touch("/result/a").in_result(None).unwrap().key, None, "an answer that nobody could read");
    }

    #[test]
    fn a_kind_is_one_plain_word() {
        for good in ["batch", "b", "pay_run-2"] {
            assert!(nameable(good), "{good}");
        }
        for bad in ["", "Batch", "2b", "-b", "a b", "bätch", &"b".repeat(33)] {
            assert!(!nameable(bad), "{bad}");
        }
    }
}
