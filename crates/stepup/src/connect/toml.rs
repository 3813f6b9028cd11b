//! TOML, edited as text by whole tables: ours come at the end, under headers of their own.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// The document with every table in it, as JSON has it.
///
/// # Errors
/// What the reader says, with the line.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        // Never the line itself, which may hold a secret.
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("{} at line {}", e.message(), before.matches('\n').count() + 1)
    })?;
    serde_json::to_value(table).map_err(|e| e.to_string())
}

/// The text with one more table at its end.
pub(super) fn with(text: &str, table: &str, name: &str, value: &Value) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key} = {}{newline}", write(value)));
    let header = format!("[{table}.{name}]{newline}");
    let gap = match text {
        "" => "",
        whole if whole.ends_with('\n') => newline,
        _ => &format!("{newline}{newline}"),
    };
    format!("{text}{gap}{header}{}", lines.collect::<String>())
}

/// A value of ours: strings and lists of strings, which both languages have.
fn write(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(value) => value.to_string(),
        Err(_) => value.to_string(),
    }
}

/// The text without a table and what is below it. A comment before the next header belongs to that one.
pub(super) fn without(text: &str, table: &str, name: &str) -> String {
    let values = values(text);
    // A line that begins inside a value is none of the document.
    let in_value = |at: usize| {
        let before = values.partition_point(|value| value.start < at);
        before.checked_sub(1).and_then(|last| values.get(last)).is_some_and(|value| at < value.end)
    };
    // Whether it is the header of our table or of one below it; `None` for what is no header.
    let own = |line: &str| {
        let inside = line.trim_start().strip_prefix('[')?;
        let inside = inside.strip_prefix('[').unwrap_or(inside).split(']').next()?;
        let path: Vec<&str> = inside.split('.').map(|part| part.trim().trim_matches(['"', '\''])).collect();
        Some(path.starts_with(&[table, name]))
    };
    let (mut kept, mut inside, mut at) = (Vec::new(), false, 0);
    // Blanks and comments of our table, if more of it follows.
    let mut unsure: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        match if in_value(at) { None } else { own(line) } {
            Some(true) => {
                if !inside && kept.last().is_some_and(|line: &&str| line.trim().is_empty()) {
                    kept.pop();
                }
                inside = true;
                unsure.clear();
            }
            Some(false) => {
                kept.append(&mut unsure);
                kept.push(line);
                inside = false;
            }
            None if !inside => kept.push(line),
            None if line.trim().is_empty() || line.trim_start().starts_with('#') => unsure.push(line),
            None => unsure.clear(),
        }
        at += line.len();
    }
    kept.append(&mut unsure);
    kept.concat()
}

/// Where the values are that are no tables of their own, in order.
fn values(text: &str) -> Vec<Range<usize>> {
    fn walk(table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
        for value in table.values() {
            match value.get_ref() {
                DeValue::Table(inner) => walk(inner, found),
                DeValue::Array(items) => {
                    let tables: Vec<&DeTable<'_>> =
                        items.iter().filter_map(|item| item.get_ref().as_table()).collect();
                    // An array of tables with headers has no place of its own.
                    if tables.is_empty() {
                        found.push(value.span())
                    } else {
                        tables.iter().for_each(|inner| walk(inner, found))
                    }
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => found.push(value.span()),
            }
        }
    }
    let mut found = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        walk(document.get_ref(), &mut found);
    }
    found.sort_by_key(|value| value.start);
    found
}
