//! Cedar text cut into statements, so that each is read, and each mistake placed, by itself.
//!
//! The cut follows Cedar's lexer: a statement ends with `;`, and only strings and `//` comments can hold
//! another one. It decides nothing: each piece is read by Cedar as exactly one policy, and the caller
//! compares their number with what Cedar makes of the whole file.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::Place;

/// One statement with what stands before it.
pub(crate) struct Statement<'t> {
    /// The text, leading comments included.
    pub text: &'t str,
    /// Where `text` starts in the file.
    pub from: Spot,
    /// Where its first token starts in the file.
    pub start: Spot,
    /// How deep its brackets are nested.
    pub brackets: usize,
    /// How many operators it has at most: its syntax tree is no deeper than these and its brackets.
    pub operators: usize,
}

impl<'t> Statement<'t> {
    /// The text without the comments before it.
    pub fn itself(&self) -> &'t str {
        self.text.get(self.start.byte - self.from.byte..).unwrap_or_default()
    }
}

/// Somewhere in a file, counted on the way there: lines and columns from 1, columns in characters.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub byte: usize,
    line: u32,
    column: u32,
}

impl Spot {
    const START: Self = Self { byte: 0, line: 1, column: 1 };

    pub fn place(self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column }
    }

    const fn after(self, c: char) -> Self {
        let byte = self.byte + c.len_utf8();
        match c {
            '\n' => Self { byte, line: self.line.saturating_add(1), column: 1 },
            _ => Self { byte, line: self.line, column: self.column.saturating_add(1) },
        }
    }
}

/// The text of one rule, as it stands in its file.
pub(crate) struct Source {
    pub file: String,
    pub text: String,
    /// Where the text starts.
    pub from: Spot,
}

impl Source {
    /// The text from its first token on.
    pub fn without_what_is_before(&self) -> &str {
        statements(&self.text).first().map_or("", Statement::itself)
    }

    /// Where a byte of the text stands in the file.
    pub fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        before.chars().fold(self.from, Spot::after).place(&self.file)
    }

    /// The same for a byte of the file.
    pub fn place_in_file(&self, byte: usize) -> Place {
        self.place(byte.saturating_sub(self.from.byte))
    }
}

/// A text, read character by character.
struct Reading<'t> {
    chars: Peekable<CharIndices<'t>>,
    /// Where the next character is.
    at: Spot,
}

impl Reading<'_> {
    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        self.at = self.at.after(c);
        Some(c)
    }

    fn is_next(&mut self, c: char) -> bool {
        self.chars.peek().is_some_and(|(_, next)| *next == c)
    }

    fn skip_comment(&mut self) {
        while !self.is_next('\n') && !self.is_next('\r') && self.next().is_some() {}
    }

    fn skip_string(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => return,
                _ => {}
            }
        }
    }
}

/// What is known of the statement that is being cut.
struct Cut {
    from: Spot,
    start: Option<Spot>,
    open: usize,
    brackets: usize,
    operators: usize,
}

/// Every statement of a file; what follows the last `;` is one too if there is more than comments in it.
pub(crate) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut out = Vec::new();
    let mut reading = Reading { chars: text.char_indices().peekable(), at: Spot::START };
    let mut cut = Cut::at(Spot::START);
    loop {
        let here = reading.at;
        let Some(c) = reading.next() else { break };
        match c {
            '/' if reading.is_next('/') => {
                reading.skip_comment();
                continue;
            }
            '"' => reading.skip_string(),
            '(' | '[' | '{' => cut.open += 1,
            ')' | ']' | '}' => cut.open = cut.open.saturating_sub(1),
            '&' | '|' | '.' | '!' | '-' | '+' | '*' | '=' | '<' | '>' => cut.operators += 1,
            'i' if reading.is_next('f') => cut.operators += 1,
            _ => {}
        }
        if !c.is_whitespace() {
            cut.start.get_or_insert(here);
        }
        cut.brackets = cut.brackets.max(cut.open);
        if c == ';' {
            out.extend(cut.statement(text, reading.at.byte));
            cut = Cut::at(reading.at);
        }
    }
    out.extend(cut.statement(text, text.len()));
    out
}

impl Cut {
    const fn at(from: Spot) -> Self {
        Self { from, start: None, open: 0, brackets: 0, operators: 0 }
    }

    fn statement<'t>(&self, text: &'t str, end: usize) -> Option<Statement<'t>> {
        Some(Statement {
            text: text.get(self.from.byte..end)?,
            from: self.from,
            start: self.start?,
            brackets: self.brackets,
            operators: self.operators,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_a_string_or_comment_ends_nothing() {
        let text = "// one; two\npermit(a == \"x;\\\";\"); // three;\n  forbid();\n// end;";
        let found = statements(text);
        let starts: Vec<_> = found.iter().map(|s| s.start.place("f").to_string()).collect();
        assert_eq!(starts, ["f:2:1", "f:3:3"]);
    }

    #[test]
    fn what_follows_the_last_semicolon_is_not_lost() {
        let found = statements("permit(); forbid(");
        assert_eq!(found.iter().map(|s| s.text).collect::<Vec<_>>(), ["permit();", " forbid("]);
    }

    #[test]
    fn a_place_is_counted_in_characters_whatever_stands_before_it() {
        let text = "// ä; \r\npermit(\"ö\\\"\n;\"); é forbid();";
        let found = statements(text);
        let places: Vec<_> = found.iter().map(|s| s.start.place("f").to_string()).collect();
        assert_eq!(places, ["f:2:1", "f:3:6"]);
        for Statement { text, from, .. } in found {
            let source = Source { file: "f".to_owned(), text: text.to_owned(), from };
            let bracket = source.text.find(");").map(|at| source.place(at).to_string());
            assert!(["f:3:3", "f:3:15"].contains(&bracket.unwrap_or_default().as_str()));
        }
    }
}
