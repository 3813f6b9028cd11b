//! What a verb says: a text for people, the same as JSON for programs, and an exit code.

use serde::{Deserialize, Serialize};

use super::difference::{GONE, NEW};

/// The answer of a verb, or what went wrong.
pub type Spoken = Result<Said, Said>;

/// One answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: serde_json::Value,
    /// The exit code.
    pub exit: Exit,
    /// Whether lines of the text have signs of what is gone and what is new.
    #[serde(default)]
    pub signed: bool,
}

/// Exit codes (decisions §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It was done.
    Ok,
    /// It was not.
    Failed,
    /// The words of the command are wrong.
    Usage,
    /// It waits for people.
    Pending,
    /// Policy denies it.
    Denied,
    /// A person rejected it.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// Nobody knows whether it took effect.
    Unknown,
    /// The log does not verify.
    NotVerified,
}

impl Exit {
    /// Every code with its number.
    pub const TABLE: [(Self, u8); 9] = [
        (Self::Ok, 0),
        (Self::Failed, 1),
        (Self::Usage, 2),
        (Self::Pending, 10),
        (Self::Denied, 11),
        (Self::Rejected, 12),
        (Self::Expired, 13),
        (Self::Unknown, 14),
        (Self::NotVerified, 15),
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::TABLE.iter().find(|(exit, _)| *exit == self).map_or(1, |(_, code)| *code)
    }
}

impl Said {
    /// It was done.
    pub fn done(text: impl Into<String>, json: serde_json::Value) -> Self {
        Self { text: text.into(), json, exit: Exit::Ok, signed: false }
    }

    /// It was not done, and this is what to do; what happened may say so itself, on a line of its own.
    pub fn failed(happened: impl Into<String>, todo: impl Into<String>) -> Self {
        let (mut happened, mut todo) = (happened.into(), todo.into());
        if let Some((what, help)) = happened.split_once("\n  help: ").filter(|_| todo.is_empty()) {
            (happened, todo) = (what.to_owned(), help.to_owned());
        }
        let json = serde_json::json!({ "error": { "happened": happened, "todo": todo } });
        let text = if todo.is_empty() {
            format!("error: {happened}")
        } else {
            format!("error: {happened}\n  help: {todo}")
        };
        Self { text, json, exit: Exit::Failed, signed: false }
    }

    /// The same with another exit code.
    #[must_use]
    pub const fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with signs in its text, which a terminal may colour.
    #[must_use]
    pub const fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// The text as a terminal is given it, by whoever wrote what of it: nothing in it moves the cursor or hides (T88). In colours
    /// where they are wanted and it has signs.
    #[must_use]
    pub fn shown(&self, colours: bool) -> String {
        let text = terms::text::visible_lines(&self.text);
        if !(self.signed && colours) {
            return text;
        }
        let colours = [(GONE, "31"), (NEW, "32")];
        let line = |line: &str| {
            let colour = colours.iter().find(|(sign, _)| line.starts_with(sign));
            colour.map_or_else(|| line.to_owned(), |(_, code)| format!("\u{1b}[{code}m{line}\u{1b}[0m"))
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The same where no server runs: a page that it names is not there yet.
    #[must_use]
    pub fn without_a_server(mut self) -> Self {
        if self.json.get("link").is_some() {
            self.text
                .push_str("\n\nNo server is running: `stepup serve` starts it; only then the page is there.");
        }
        self
    }

    /// The store failed: nothing was done.
    pub fn store(failed: &authority::Failed) -> Self {
        Self::failed(failed.to_string(), "see the server's log and /readyz; nothing was changed")
    }
}

impl From<authority::Failed> for Said {
    fn from(failed: authority::Failed) -> Self {
        Self::store(&failed)
    }
}

/// Rows under headings, aligned; for people.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            let heading = headings.get(column).map_or(0, |h| h.chars().count());
            cells.chain([heading]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&mut headings.iter().copied());
    let body = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}

/// So many of something, in words: one record, two records.
pub fn count<N: PartialEq + From<u8> + std::fmt::Display>(n: N, what: &str) -> String {
    let plural = if n == N::from(1) { "" } else { "s" };
    format!("{n} {what}{plural}")
}

/// A span of time that was typed after a flag.
pub fn span(flag: &str, typed: &str) -> Result<terms::Millis, Said> {
    typed.parse().map_err(|e| Said::failed(format!("{flag} {typed:?} is {e}"), "").exit(Exit::Usage))
}

/// The same where none at all would mean nothing.
pub fn some_span(flag: &str, typed: &str) -> Result<terms::Millis, Said> {
    let some = Some(span(flag, typed)?).filter(|span| span.get() > 0);
    some.ok_or_else(|| Said::failed(format!("{flag} {typed:?} is no time at all"), "").exit(Exit::Usage))
}

/// A time as people read it, in the zone of the machine that says it, and which one that is.
pub fn when(time: terms::Time) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(time.millis()) else { return time.millis().to_string() };
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::{Exit, Said, count, when};

    #[test]
    fn a_time_says_of_which_zone_it_is() {
        let at = terms::Time::from_millis(1_796_352_480_000);
        let read = jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S %:z", when(at)).unwrap();
        assert_eq!(read.as_millisecond(), at.millis());
    }

    #[test]
    fn only_lines_with_a_sign_are_coloured_and_only_where_signs_are_meant() {
        let said = Said::done("a\n    - b\n    + c\n      d", serde_json::Value::Null);
        assert_eq!(said.shown(true), said.text, "a text without signs is left alone");
        let coloured = said.signed().shown(true);
        assert_eq!(coloured, "a\n\u{1b}[31m    - b\u{1b}[0m\n\u{1b}[32m    + c\u{1b}[0m\n      d");
    }

    #[test]
    fn t88_whoever_wrote_a_text_nothing_in_it_moves_the_cursor_or_hides() {
        let said = Said::done("a\tb\nc \u{1b}[31m\u{202e}\r\u{7}d", serde_json::Value::Null).signed();
        for colours in [false, true] {
            assert_eq!(said.shown(colours), "a\tb\nc ⟨U+001B⟩[31m⟨U+202E⟩⟨U+000D⟩⟨U+0007⟩d");
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            [count(0_u64, "record"), count(1_u64, "record"), count(2_u64, "record")].concat(),
            "0 records1 record2 records"
        );
    }

    #[test]
    fn every_exit_code_is_on_the_page_of_the_command_line() {
        let page = include_str!("../../../../docs/cli.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse().ok());
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(_, code)| *code).collect();
        assert_eq!(rows.collect::<Vec<u8>>(), codes);
        assert!(Exit::TABLE.iter().all(|(exit, code)| exit.code() == *code), "a code stands for one end");
    }
}
