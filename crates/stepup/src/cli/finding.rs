//! What is wrong with policy, as people and programs are shown it: each with its place, the line that it is about, what to
//! write instead, and a code that docs/findings.md explains.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use authority::Bundle;
use policy::{Finding, Place, Severity};
use serde_json::{Value, json};

use super::say::{Exit, Said};

/// Findings, each with the line that it is about.
pub fn shown(findings: &[Finding], texts: &BTreeMap<String, String>) -> String {
    let renderer = Renderer::plain();
    let reports: Vec<String> =
        findings.iter().map(|finding| renderer.render(&[group(finding, texts)])).collect();
    reports.join("\n\n")
}

fn group<'f>(finding: &'f Finding, texts: &'f BTreeMap<String, String>) -> Group<'f> {
    let Finding { at, message, suggestion, .. } = finding;
    let level = match finding.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let found = texts.get(&at.file).and_then(|text| Some((text, span(text, at, finding.length)?)));
    let title = match &found {
        None if !at.file.is_empty() => format!("{at}: {message}"),
        Some(_) | None => message.clone(),
    };
    let mut group = Group::with_title(level.primary_title(title).id(finding.code.name()));
    if let Some((text, span)) = found {
        let about = AnnotationKind::Primary.span(span);
        group = group.element(Snippet::source(text.as_str()).path(at.file.as_str()).annotation(about));
    }
    match suggestion {
        Some(suggestion) => group.element(Level::HELP.message(suggestion.as_str())),
        None => group,
    }
}

/// So many bytes of a text from a line and column on, and one character at least.
fn span(text: &str, at: &Place, length: usize) -> Option<Range<usize>> {
    let line = usize::try_from(at.line.checked_sub(1)?).ok()?;
    let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within: usize = text.get(before..)?.chars().take(column).map(char::len_utf8).sum();
    let start = before + within;
    let end = (start + length.max(1)..).find(|end| *end >= text.len() || text.is_char_boundary(*end))?;
    Some(start..end.min(text.len()))
}

/// The same for programs.
pub fn json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let Finding { at, message, suggestion, .. } = finding;
        let severity = match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({ "code": finding.code.name(), "severity": severity, "file": at.file, "line": at.line,
            "column": at.column, "at": at.to_string(), "message": message, "help": suggestion })
    };
    findings.iter().map(one).collect()
}

/// A bundle that was not taken.
pub fn refused(findings: &[Finding], bundle: &Bundle) -> Said {
    let text = format!(
        "{}\nerror: these rules are not taken; whatever is in force stays so",
        shown(findings, &bundle.texts)
    );
    Said::done(text, json!({ "findings": json(findings) })).exit(Exit::Failed)
}
