//! What an edit changes, for people's eyes: what the client keeps beside our entries may be a secret, and is not shown.

use std::collections::BTreeSet;

use serde_json::Value;
use similar::TextDiff;
use terms::text::visible;

use super::clients::{Client, Format, INPUT, input};
use super::edit::{self, Edited};
use super::json::plain;
use super::toml;

/// The two as a unified diff, in which strings that are not of ours are `"…"`.
pub(super) fn between(client: &Client, name: &str, before: &str, edited: &Edited) -> String {
    let ours: Vec<(String, Value)> = [before, edited.text.as_str()]
        .iter()
        .filter_map(|text| edit::entries(client, text).ok())
        .flat_map(|entries| {
            let known = |name: &String| Some((name.clone(), client.known(entries.get(name)?)));
            edited.touched().filter_map(known).collect::<Vec<_>>()
        })
        .collect();
    let [before, after] = [before, &edited.text].map(|text| match client.format {
        Format::Json => json_masked(text, &ours),
        Format::Toml => toml_masked(text, client, &ours),
    });
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(2).header(name, name).to_string();
    let line = |line: &str| visible(&line.trim_end().replace('\t', "    "));
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn json_masked(text: &str, ours: &[(String, Value)]) -> String {
    let mut known = BTreeSet::new();
    ours.iter().for_each(|(_, entry)| strings(entry, &mut known));
    strings(&input(), &mut known);
    known.insert(INPUT.to_owned());
    let plain = plain(text);
    let (mut out, mut rest) = (String::with_capacity(plain.len()), plain.as_str());
    while let Some((before, string)) = rest.split_once('"') {
        let end = end(string);
        let (inside, after) = string.split_at(end);
        out.push_str(before);
        let whole = format!("\"{inside}\"");
        let after = after.strip_prefix('"').unwrap_or(after);
        let is_name = after.trim_start().starts_with(':');
        let shown = is_name || serde_json::from_str::<String>(&whole).is_ok_and(|text| known.contains(&text));
        out.push_str(if shown { &whole } else { "\"…\"" });
        rest = after;
    }
    out + rest
}

/// Where a string ends that began before.
fn end(text: &str) -> usize {
    let mut escaped = false;
    let close = text.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    close.unwrap_or(text.len())
}

fn strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Lines of ours, and headers.
fn toml_masked(text: &str, client: &Client, ours: &[(String, Value)]) -> String {
    let written = |(name, entry): &(String, Value)| toml::with("", client.table, name, entry);
    let ours: Vec<String> = ours.iter().map(written).collect();
    let known: BTreeSet<&str> = ours.iter().flat_map(|text| text.lines()).collect();
    let header =
        |line: &str| line.starts_with('[') && line.ends_with(']') && !line.contains(['"', '\'', ',']);
    let shown = |line: &str| line.is_empty() || header(line) || known.contains(line);
    let line =
        |line: &str| if shown(line.trim()) { format!("{}\n", line.trim()) } else { "…\n".to_owned() };
    text.lines().map(line).collect()
}
