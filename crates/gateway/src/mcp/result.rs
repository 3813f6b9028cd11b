//! How results are written in each era. The modern one has every result say whether it is complete, and every list for
//! how long and for whom it holds (MCP 2026-07-28, basic, "ResultType", and caching).

use std::borrow::Cow;

use axum::response::Response;
use http::StatusCode;
use terms::Json;
use terms::json::{self, Limits, Object};
use terms::revision::Era;

use super::envelope::Id;
use crate::answer;

/// Where a result names who gave it.
pub(super) const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// The member that says whether a result is complete.
const TYPE: &str = "resultType";

/// A complete result, as an era writes it. Of whoever made it no word on that is kept: an upstream of the other era has
/// none, and may mean something else by it.
pub(crate) fn complete(era: Era, result: &str) -> Cow<'_, str> {
    instead(era, result, &[TYPE], r#""resultType":"complete""#)
}

/// What was read of a resource, for one caller and at this moment, whatever its maker says of that (T35).
pub(crate) fn read(era: Era, result: &str) -> Cow<'_, str> {
    instead(era, result, &["ttlMs", "cacheScope"], r#""ttlMs":0,"cacheScope":"private""#)
}

/// A result with members of ours in the place of its maker's, in the era that has them. All else is as it was written.
fn instead<'t>(era: Era, result: &'t str, theirs: &[&str], ours: &str) -> Cow<'t, str> {
    match era {
        Era::Legacy => Cow::Borrowed(result),
        Era::Modern => Cow::Owned(with(result, theirs, ours)),
    }
}

/// An object with members of ours in the place of these of its maker's.
pub(super) fn with(object: &str, theirs: &[&str], ours: &str) -> String {
    let kept = upstream::without(object, theirs);
    let rest = kept.trim_start().strip_prefix('{').unwrap_or("}").trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    format!("{{{ours}{comma}{rest}")
}

/// What was read or got, as the result of a tool: contents of resources as such, all else by its text.
pub(crate) fn of_a_tool(result: &str) -> String {
    let contents = json::parse_within(result.as_bytes(), Limits::ANSWER).ok();
    let contents = contents.as_ref().and_then(|result| result.get("contents")?.as_array());
    let embedded =
        |content: &Json| Json::object([("type", Json::from("resource")), ("resource", content.clone())]);
    let content: Vec<Json> = match contents {
        Some(contents) => contents.iter().map(embedded).collect(),
        None => vec![Json::object([("type", "text"), ("text", result)])],
    };
    Json::object([("content", Json::Array(content)), ("isError", Json::from(false))]).text()
}

/// The code of an upstream's error, as an era writes it.
pub(crate) const fn code(era: Era, code: i64) -> i64 {
    match (era, code) {
        // What is not found ("Error Codes").
        (Era::Modern, -32002) => -32602,
        (Era::Modern | Era::Legacy, code) => code,
    }
}

/// The answer with a list, which is made for one caller, and at every time anew (T35).
pub(super) fn listed(era: Era, id: &Id, mut list: Object) -> Response {
    match era {
        Era::Legacy => {}
        Era::Modern => {
            list.insert("ttlMs", 0_u32);
            list.insert("cacheScope", "private");
        }
    }
    of(era, id, &Json::Object(list))
}

/// An answer at once.
pub(super) fn of(era: Era, id: &Id, result: &Json) -> Response {
    let text = result.text();
    answer::json(StatusCode::OK, &answer::told(id, "result", &complete(era, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t35_what_was_read_holds_for_its_caller_and_now_whatever_its_maker_says_of_that() {
        let read_ = r#"{"contents":[{"cacheScope":"public"}],"ttlMs":60000,"cache\u0053cope":"public"}"#;
        let expected = r#"{"ttlMs":0,"cacheScope":"private","contents":[{"cacheScope":"public"}]}"#;
        assert_eq!(read(Era::Modern, read_), expected);
        assert_eq!(read(Era::Modern, "{}"), r#"{"ttlMs":0,"cacheScope":"private"}"#);
        assert_eq!(read(Era::Legacy, read_), read_);
    }

    #[test]
    fn what_was_read_by_its_id_is_the_result_of_a_tool() {
        let contents = r#"{"contents":[{"uri":"x:a","text":"a"},{"uri":"x:b","blob":"YQ=="}]}"#;
        let told = json::parse(of_a_tool(contents).as_bytes()).unwrap();
        let content = told.get("content").and_then(Json::as_array).unwrap();
        assert_eq!(content.len(), 2);
        assert!(content.iter().all(|one| one.get("type").and_then(Json::as_str) == Some("resource")));
        for other in [r#"{"messages":[]}"#, r#"{"contents":7}"#, r#"{"contents":1,"contents":[]}"#, "{}"] {
            let told = json::parse(of_a_tool(other).as_bytes()).unwrap();
            let text =
                told.get("content").and_then(Json::as_array).unwrap()[0].get("text").and_then(Json::as_str);
            assert_eq!(text, Some(other), "what has another form is told as it is");
        }
    }

    #[test]
    fn a_result_of_the_modern_era_is_complete_whatever_its_maker_says_of_that() {
        for (text, written) in [
            ("{}", r#"{"resultType":"complete"}"#),
            (" { } ", r#"{"resultType":"complete"}"#),
            (r#"{"a":1.0}"#, r#"{"resultType":"complete","a":1.0}"#),
            (
                r#"{"resultType":"input_required","a":{"resultType":1}}"#,
                r#"{"resultType":"complete","a":{"resultType":1}}"#,
            ),
            (r#"{"result\u0054ype":"task"}"#, r#"{"resultType":"complete"}"#),
        ] {
            let complete = complete(Era::Modern, text);
            assert_eq!(complete.trim_end().replace(" }", "}"), written, "{text}");
        }
        assert_eq!(complete(Era::Legacy, r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
