//! The error catalogue, and `docs/errors.md` made from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use terms::Slug;
use terms::slug::{Carried, Row};

use crate::support::golden;

/// JSON-RPC 2.0 §5.1, and what MCP reserves for headers. Not -32022, its code for an unsupported version: a client that
/// is told it takes us for a server of the modern era, and does not open a session any more (2026-07-28, versioning).
const SPEC_CODES: [i32; 6] = [-32700, -32600, -32601, -32602, -32020, -32022];

#[test]
fn names_are_unique_and_snake_case() {
    let names: BTreeSet<_> = Slug::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), Slug::TABLE.len());
    for name in names {
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                && !name.starts_with('_')
                && !name.ends_with('_'),
            "{name}"
        );
    }
}

#[test]
fn every_slug_finds_its_own_row() {
    for row in Slug::TABLE {
        assert_eq!(format!("{:?}", row.slug.row()), format!("{row:?}"));
        assert_eq!(row.slug.to_string(), row.name);
    }
}

#[test]
fn http_statuses_are_refusals_that_exist() {
    for row in Slug::TABLE {
        let status = [400, 401, 403, 404, 405, 406, 409, 413, 415, 417, 422, 429, 502, 503, 504, 505]
            .contains(&row.http);
        assert!(status, "{} is {}", row.name, row.http);
    }
}

#[test]
fn codes_of_our_own_count_up_from_1001_and_the_others_are_a_specs() {
    let own: Vec<_> = Slug::TABLE.iter().map(|row| row.code).filter(|code| *code > 0).collect();
    assert_eq!(own, (1001..).take(own.len()).collect::<Vec<i32>>());
    for row in Slug::TABLE.iter().filter(|row| row.code <= 0) {
        assert!(SPEC_CODES.contains(&row.code), "{} is {}", row.name, row.code);
        assert_eq!(row.carried, Carried::JsonRpc, "{}", row.name);
    }
}

#[test]
fn every_row_says_what_happened_and_what_to_do_in_whole_sentences() {
    for row in Slug::TABLE {
        for sentence in [row.happened, row.todo] {
            assert!(
                sentence.ends_with('.') && sentence.starts_with(|c: char| c.is_ascii_uppercase()),
                "{}: {sentence}",
                row.name
            );
            assert!(
                !sentence.contains(['\n', '|', '<']) && sentence.matches('`').count() % 2 == 0,
                "{}: {sentence}",
                row.name
            );
        }
        if row.carried == Carried::ToolError && !row.name.starts_with("upstream_") {
            let says_so = ["not run", "not started again", "denied", "no such elevation", "A rule speaks"];
            assert!(
                says_so.iter().any(|s| row.happened.contains(s)),
                "{} leaves open whether the call ran",
                row.name
            );
        }
    }
}

#[test]
fn the_errors_of_decisions_section_8_are_all_there() {
    let agreed = "no_credential credential_invalid host_refused origin_refused not_json not_canonical duplicate_key number_inexact \
        batch_refused header_mismatch too_large over_budget method_unknown tool_unknown arguments_invalid argument_unjudgeable \
        policy_denied policy_failed caller_locked tool_quarantined preparer_unknown rejected already_running outcome_unknown \
        approval_required grant_expired grant_spent state_invalid upstream_unreachable upstream_timeout store_unavailable \
        policy_stale draining";
    for name in agreed.split_whitespace() {
        assert!(Slug::TABLE.iter().any(|row| row.name == name), "{name}");
    }
}

#[test]
fn docs_errors_md_lists_exactly_the_table() {
    let mut page = String::from(INTRODUCTION);
    for row in Slug::TABLE {
        section(&mut page, row);
    }
    golden("docs/errors.md", &page);
}

const INTRODUCTION: &str = "\
# Errors

<!-- Made from the table in crates/terms/src/slug.rs: UPDATE_GOLDEN=1 cargo test -p terms -->

Every refusal carries a slug, which never changes its meaning, what happened, what to do, and the id of its
record in the log. It never carries a policy's id, an approver's name, or text of an upstream.

- **HTTP** is the status at doors that speak plain HTTP, and over MCP where there is no request to answer.
- **JSON-RPC** is the code over MCP. Positive codes are ours.
- **Told as**: *HTTP status*, before there is any protocol answer; *JSON-RPC error*, under status 200 where it
  answers a request; or *tool result* with `isError`, because models are shown those and rarely errors.

Which it is when, over MCP, is a table in [mcp.md](mcp.md#status-json-rpc-error-or-tool-result).
";

fn section(page: &mut String, row: &Row) {
    let told = match row.carried {
        Carried::Http => "HTTP status",
        Carried::JsonRpc => "JSON-RPC error",
        Carried::ToolError => "tool result",
    };
    let Row { name, http, code, happened, todo, .. } = row;
    write!(page, "\n## {name}\n\nHTTP {http} · JSON-RPC {code} · told as: {told}\n\n{happened}\n{todo}\n")
        .unwrap();
}
