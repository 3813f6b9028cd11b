//! Moments and spans for people. A page without script shows UTC; the script adds the reader's own clock.

use std::fmt;

use askama::filters::HtmlSafe;
use terms::{Millis, Time};

/// A moment that prints itself as a `time` element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When(pub Time);

/// A deadline that prints itself as a `time` element which counts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The deadline.
    pub at: Time,
    /// Now, for those without script.
    pub now: Time,
}

impl HtmlSafe for When {}
impl HtmlSafe for Until {}

impl When {
    /// As RFC 3339 says it, in UTC to the second.
    #[must_use]
    pub fn iso(self) -> String {
        let whole = self.0.millis().div_euclid(1000);
        jiff::Timestamp::from_second(whole).map_or_else(|_| self.0.millis().to_string(), |at| at.to_string())
    }

    fn says(self) -> String {
        self.iso().replace('T', " ").replace('Z', " UTC")
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (iso, millis, says) = (self.iso(), self.0.millis(), self.says());
        write!(f, "<time datetime=\"{iso}\" data-at=\"{millis}\">{says}</time>")
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = When(self.at).iso();
        let left = left(self.at.since(self.now));
        write!(f, "<time datetime=\"{iso}\" data-until=\"{}\">{left}</time>", self.at.millis())
    }
}

fn left(span: Millis) -> String {
    let seconds = span.get() / 1000;
    match seconds {
        0 => "time is over".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A span in words: `15 minutes`, `1 hour`.
#[must_use]
pub fn span(of: Millis) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second")];
    let fits = UNITS.iter().find(|(size, _)| of.get() >= *size && of.get().is_multiple_of(*size));
    let Some((size, name)) = fits else { return of.to_string() };
    let count = of.get() / size;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_utc_to_the_second() {
        let when = When(Time::from_millis(1_795_502_659_123)).to_string();
        assert!(when.contains("2026-11-24T06:44:19Z"), "{when}");
        assert!(when.contains(">2026-11-24 06:44:19 UTC<"), "{when}");
    }

    #[test]
    fn a_deadline_says_what_is_left() {
        let now = Time::from_millis(1_000_000);
        let says = |seconds| Until { at: now.after(Millis::seconds(seconds)), now }.to_string();
        assert!(says(59).contains(">59 s<"));
        assert!(says(751).contains(">12 min 31 s<"));
        assert!(says(7260).contains(">2 h 01 min<"));
        assert!(says(0).contains("time is over"));
    }

    #[test]
    fn spans_are_words() {
        assert_eq!(span(Millis::seconds(900)), "15 minutes");
        assert_eq!(span(Millis::seconds(3600)), "1 hour");
        assert_eq!(span(Millis::seconds(90)), "90 seconds");
        assert_eq!(span(Millis::new(1500)), "1500ms");
    }
}
