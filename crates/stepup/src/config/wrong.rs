//! What is wrong in a file that could be read, and where: the path of keys to it, from which its line is found.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// What is wrong at a place of the configuration.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Keys and indices, from the outermost.
    at: Vec<String>,
    /// A sentence whose subject is the place.
    what: String,
    /// What to do.
    help: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { at: Vec::new(), what: what.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with another subject.
    pub(super) fn of(mut self, subject: String) -> Self {
        self.what = format!("{subject} {}", self.what);
        self
    }

    /// The same, seen from further out.
    pub(super) fn within<const N: usize>(mut self, keys: [&str; N]) -> Self {
        self.at.splice(0..0, keys.map(str::to_owned));
        self
    }

    /// With its line; `text` is what was read from `file`.
    pub(super) fn in_file(self, file: &Path, text: &str) -> ConfigError {
        ConfigError {
            file: file.display().to_string(),
            line: place(text, &self.at),
            message: format!("{} {}", self.at.join("."), self.what),
            help: self.help,
        }
    }
}

/// The line, from 1, of keys that are there.
pub(super) fn line_of<const N: usize>(text: &str, keys: [&str; N]) -> Option<usize> {
    place(text, &keys.map(str::to_owned))
}

fn place(text: &str, at: &[String]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    position(root.get_ref(), at).map(|at| line(text, at))
}

/// The line, from 1, of a byte.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// Where the deepest part of a path begins that is there.
fn position(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    Some(inside(value, rest).unwrap_or(key.span().start))
}

fn inside(value: &Spanned<DeValue<'_>>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    if let Some(table) = value.get_ref().as_table() {
        return position(table, path);
    }
    let list = value.get_ref().as_array()?;
    let item = list.get(first.parse::<usize>().ok()?)?;
    Some(inside(item, rest).unwrap_or(item.span().start))
}
