//! Cedar text cut into statements, so that each is read, and each mistake placed, by itself.
//!
//! The cut follows Cedar's lexer: a statement ends with `;`, and only strings and `//` comments can hold
//! another one. It decides nothing: each piece is read by Cedar as exactly one policy, and the caller
//! compares their number with what Cedar makes of the whole file.

use crate::Place;

/// One statement with what stands before it.
pub(crate) struct Statement<'t> {
    /// The text, leading comments included.
    pub text: &'t str,
    /// Where `text` starts in the file, in bytes.
    pub offset: usize,
    /// Where its first token starts in the file, in bytes.
    pub start: usize,
    /// How deep its brackets are nested.
    pub brackets: usize,
    /// How many operators it has at most: its syntax tree is no deeper than these and its brackets.
    pub operators: usize,
}

/// The text of one rule, as it stands in its file.
pub(crate) struct Source {
    pub text: String,
    /// Where the text starts.
    pub at: Place,
}

impl Source {
    /// The text from its first token on.
    pub fn without_what_is_before(&self) -> &str {
        let start = statements(&self.text).first().map_or(0, |statement| statement.start);
        self.text.get(start..).unwrap_or_default()
    }

    /// Where a byte of the text stands in the file.
    pub fn place(&self, byte: usize) -> Place {
        let within = place(&self.at.file, &self.text, byte);
        let (line, column) = match within.line {
            1 => (self.at.line, self.at.column + within.column - 1),
            further => (self.at.line + further - 1, within.column),
        };
        Place { line, column, ..within }
    }
}

/// What is known of the statement that is being cut.
#[derive(Default)]
struct Cut {
    offset: usize,
    start: Option<usize>,
    open: usize,
    brackets: usize,
    operators: usize,
}

/// Every statement of a file; what follows the last `;` is one too if there is more than comments in it.
pub(crate) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut out = Vec::new();
    let mut cut = Cut::default();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                while chars.next_if(|(_, c)| !matches!(c, '\n' | '\r')).is_some() {}
                continue;
            }
            '"' => skip_string(&mut chars),
            '(' | '[' | '{' => cut.open += 1,
            ')' | ']' | '}' => cut.open = cut.open.saturating_sub(1),
            '&' | '|' | '.' | '!' | '-' | '+' | '*' | '=' | '<' | '>' => cut.operators += 1,
            'i' if chars.peek().is_some_and(|(_, next)| *next == 'f') => cut.operators += 1,
            _ => {}
        }
        if !c.is_whitespace() {
            cut.start.get_or_insert(at);
        }
        cut.brackets = cut.brackets.max(cut.open);
        if c == ';' {
            let end = at + 1;
            out.extend(cut.statement(text, end));
            cut = Cut { offset: end, ..Cut::default() };
        }
    }
    out.extend(cut.statement(text, text.len()));
    out
}

impl Cut {
    fn statement<'t>(&self, text: &'t str, end: usize) -> Option<Statement<'t>> {
        Some(Statement {
            text: text.get(self.offset..end)?,
            offset: self.offset,
            start: self.start?,
            brackets: self.brackets,
            operators: self.operators,
        })
    }
}

fn skip_string(chars: &mut impl Iterator<Item = (usize, char)>) {
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// Line and column of a byte of a file.
pub(crate) fn place(file: &str, text: &str, byte: usize) -> Place {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    Place {
        file: file.to_owned(),
        line: count(before.matches('\n').count()),
        column: count(before.get(line_start..).unwrap_or_default().chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_a_string_or_comment_ends_nothing() {
        let text = "// one; two\npermit(a == \"x;\\\";\"); // three;\n  forbid();\n// end;";
        let found = statements(text);
        let starts: Vec<_> = found.iter().map(|s| place("f", text, s.start).to_string()).collect();
        assert_eq!(starts, ["f:2:1", "f:3:3"]);
    }

    #[test]
    fn what_follows_the_last_semicolon_is_not_lost() {
        let found = statements("permit(); forbid(");
        assert_eq!(found.iter().map(|s| s.text).collect::<Vec<_>>(), ["permit();", " forbid("]);
    }
}
