//! Foreign text on a page: what an agent, an upstream or a person wrote. It is data, never markup; what could hide
//! or disguise is shown and marked; nothing is cut (R11, T88, T89, T90).
//!
//! A template prints a [`Foreign`] only as the content of an element, never inside a tag.

use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;
use terms::Digest;
use terms::text::{Flag, visible};

/// How line breaks are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As a mark, in running text.
    Line,
    /// As a mark and a break: every one of them matters.
    Exact,
    /// As a break, in texts that are written in lines.
    Lines,
}

/// A text that somebody else wrote, which prints itself as markup that shows all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    text: String,
    form: Form,
}

impl HtmlSafe for Foreign {}

impl Foreign {
    /// A name or a sentence, in running text.
    #[must_use]
    pub fn line(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Line }
    }

    /// A value to its last character.
    #[must_use]
    pub fn exact(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Exact }
    }

    /// A text of many lines: rules, a definition.
    #[must_use]
    pub fn lines(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Lines }
    }

    /// The text itself, for tests and comparisons.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with all that hides made visible, for places that take no markup, such as a page's title.
    #[must_use]
    pub fn plain(&self) -> String {
        visible(&self.text)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A whole value of an argument, with what a person should know before reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub text: Foreign,
    /// Its length and digest, where it is too long for one look; it then scrolls in a box of its own.
    pub fold: Option<Fold>,
}

/// What is said above a value that scrolls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Bytes of UTF-8.
    pub bytes: usize,
    /// Lines.
    pub lines: usize,
    /// The first characters of the SHA-256.
    pub digest: String,
}

/// Lines that are shown at one look.
const LINES: usize = 12;

impl Value {
    /// A value as it was sent.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lines = text.matches('\n').count() + 1;
        let long = text.len() > terms::text::LONG || lines > LINES;
        let fold = long.then(|| Fold {
            bytes: text.len(),
            lines,
            digest: Digest::plain(text.as_bytes()).to_string().chars().take(23).collect(),
        });
        Self { text: Foreign::exact(text), fold }
    }
}

/// The sentence of a flag.
#[must_use]
pub fn flag_says(flag: Flag) -> &'static str {
    Flag::TABLE.iter().find(|(one, ..)| *one == flag).map_or("", |(.., says)| says)
}

/// Spaces in a row that are drawn as they are; more are counted, because they could push something out of sight.
const SPACES: usize = 8;

/// Line breaks in a row that are drawn as they are.
const BREAKS: usize = 2;

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.form {
            Form::Line => "<bdi>",
            Form::Exact | Form::Lines => "<bdi dir=\"ltr\">",
        })?;
        let shown = visible(&self.text);
        let mut at = Walk { text: &self.text, shown: &shown };
        let mut first = true;
        while let Some(piece) = at.next(self.form) {
            let edge = first || at.text.is_empty();
            piece.write(f, self.form, edge)?;
            first = false;
        }
        f.write_str("</bdi>")
    }
}

/// The text beside its visible form, which differs only where a character was replaced by `⟨U+…⟩`.
struct Walk<'a> {
    text: &'a str,
    shown: &'a str,
}

enum Piece<'a> {
    Plain(char),
    Escaped(&'a str),
    Spaces(&'a str),
    Breaks(&'a str),
}

impl<'a> Walk<'a> {
    fn next(&mut self, form: Form) -> Option<Piece<'a>> {
        let c = self.text.chars().next()?;
        let run = match c {
            ' ' => self.run(' '),
            '\n' if form != Form::Line => self.run('\n'),
            _ => 0,
        };
        if run > 0 {
            let (run, rest) = self.text.split_at(run);
            self.text = rest;
            run.chars().for_each(|c| self.skip(c));
            return Some(if c == ' ' { Piece::Spaces(run) } else { Piece::Breaks(run) });
        }
        self.text = self.text.get(c.len_utf8()..).unwrap_or_default();
        let before = self.shown;
        self.skip(c);
        let taken = before.get(..before.len() - self.shown.len()).unwrap_or_default();
        Some(if taken.starts_with(c) { Piece::Plain(c) } else { Piece::Escaped(taken) })
    }

    /// Bytes of the run of one character that the text begins with.
    fn run(&self, of: char) -> usize {
        self.text.len() - self.text.trim_start_matches(of).len()
    }

    /// Moves the visible form past one character of the text: itself, or its escape up to `⟩`.
    fn skip(&mut self, c: char) {
        let escaped = || self.shown.split_once('⟩').map(|(_, rest)| rest);
        self.shown = self.shown.strip_prefix(c).or_else(escaped).unwrap_or_default();
    }
}

impl Piece<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, form: Form, edge: bool) -> fmt::Result {
        match *self {
            Self::Plain(c) => escape(f, c),
            Self::Escaped("⟨U+0009⟩") if form == Form::Lines => f.write_char('\t'),
            Self::Escaped(code) => write!(f, "<mark class=\"cp\">{code}</mark>"),
            Self::Spaces(run) if run.len() > SPACES => counted(f, run, run.len(), "spaces"),
            Self::Spaces(run) if form != Form::Lines && (edge || run.len() > 1) => {
                write!(f, "<span class=\"sp\">{run}</span>")
            }
            Self::Spaces(run) => f.write_str(run),
            Self::Breaks(run) if run.len() > BREAKS && form == Form::Exact => {
                counted(f, run, run.len(), "line breaks")?;
                f.write_str("<br>")
            }
            Self::Breaks(run) if form == Form::Exact => {
                run.chars().try_for_each(|_| f.write_str("<span class=\"nl\">\n</span>"))
            }
            Self::Breaks(run) => f.write_str(run),
        }
    }
}

/// A run that is counted: the characters stay in the page, drawn as one space.
fn counted(f: &mut fmt::Formatter<'_>, run: &str, count: usize, what: &str) -> fmt::Result {
    write!(f, "<mark class=\"cp\">⟨{count} {what}⟩</mark><span class=\"run\">{run}</span>")
}

fn escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        other => f.write_char(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reverses_the_writing_direction_is_shown_and_not_obeyed() {
        let shown = Foreign::exact("pay \u{202e}ecila").to_string();
        assert_eq!(shown, "<bdi dir=\"ltr\">pay <mark class=\"cp\">⟨U+202E⟩</mark>ecila</bdi>");
    }

    #[test]
    fn a_text_that_looks_like_our_escape_is_not_marked_as_one() {
        assert_eq!(Foreign::line("⟨U+202E⟩").to_string(), "<bdi>⟨U+202E⟩</bdi>");
    }

    #[test]
    fn markup_is_text() {
        let shown = Foreign::line("<img src=x onerror='a(\"b\")'>&amp;").to_string();
        assert_eq!(shown, "<bdi>&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;amp;</bdi>");
    }

    #[test]
    fn spaces_that_push_the_rest_out_of_sight_are_counted_and_take_one_space() {
        let shown = Foreign::exact(format!("a{}rm", " ".repeat(60))).to_string();
        assert!(shown.contains("a<mark class=\"cp\">⟨60 spaces⟩</mark><span class=\"run\">"));
        assert!(shown.ends_with("</span>rm</bdi>"));
    }

    #[test]
    fn a_space_at_the_end_is_seen() {
        assert!(Foreign::exact("production ").to_string().ends_with("<span class=\"sp\"> </span></bdi>"));
    }

    #[test]
    fn line_breaks_are_marked_and_many_are_counted() {
        assert!(Foreign::exact("a\nb").to_string().contains("a<span class=\"nl\">\n</span>b"));
        assert!(Foreign::exact("a\n\n\n\nb").to_string().contains("⟨4 line breaks⟩"));
        assert!(Foreign::line("a\nb").to_string().contains("⟨U+000A⟩"));
    }

    #[test]
    fn a_flood_of_combining_marks_is_shown_as_code_points() {
        let shown = Foreign::exact(format!("a{}", "\u{301}".repeat(9))).to_string();
        assert_eq!(shown.matches("<mark class=\"cp\">⟨U+0301⟩</mark>").count(), 6);
    }

    #[test]
    fn a_long_value_says_how_long_it_is_and_is_whole() {
        let text = "x".repeat(5000) + "needle";
        let value = Value::of(&text);
        assert_eq!(value.fold.as_ref().map(|f| f.bytes), Some(5006));
        assert!(value.text.to_string().contains("needle"));
    }
}
