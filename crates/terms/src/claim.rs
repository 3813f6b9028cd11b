//! What a caller claims beside its access, for people: a purpose, a ticket. Whether a claim is one is judged here
//! and nowhere else, so that `log verify` accepts exactly what was enforced.

use regex::{Error, Regex, RegexBuilder};

/// What one compiled pattern may take, in bytes: a requirement's pattern is small, and a log is not to be trusted.
const SIZE: usize = 1 << 20;

/// Whether a person would see anything in it.
#[must_use]
pub fn says_something(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !crate::text::hides(c))
}

/// Whether a ticket is, from its first character to its last, what the pattern of a requirement asks for. What is
/// no pattern asks for nothing that could be named.
#[must_use]
pub fn ticket_fits(pattern: &str, ticket: &str) -> bool {
    says_something(ticket) && whole(pattern).is_ok_and(|whole| whole.is_match(ticket))
}

/// The pattern of a ticket, anchored at both ends. It is compiled by itself first, so that no pattern such as
/// `a)|(?:b` can close the anchored group.
///
/// # Errors
/// [`Error`] where it is no regular expression, is none any more inside the anchors (a trailing `(?x)` comment), or
/// is too large.
pub fn whole(pattern: &str) -> Result<Regex, Error> {
    let compiled = |text: &str| RegexBuilder::new(text).size_limit(SIZE).build();
    compiled(pattern).and_then(|_| compiled(&format!(r"\A(?:{pattern})\z")))
}
