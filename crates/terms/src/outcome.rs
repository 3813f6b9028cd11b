//! How an attempt ended: one word in the store, the log and on every screen.

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream answered.
    Done,
    /// The upstream answered that it failed.
    Failed,
    /// Nothing left us.
    NotSent,
    /// Nobody knows; a person has to say. Nothing is ever sent again.
    Unknown,
    /// Another enforcement point asked and was told that it may run: what became of it is seen there.
    Released,
}

impl Outcome {
    /// Every outcome with its number in the store and its name.
    pub const TABLE: [(Self, u8, &'static str); 5] = [
        (Self::Done, 1, "done"),
        (Self::Failed, 2, "failed"),
        (Self::NotSent, 3, "not_sent"),
        (Self::Unknown, 4, "unknown"),
        (Self::Released, 5, "released"),
    ];

    /// Its number in the store.
    #[must_use]
    pub fn number(self) -> u8 {
        Self::TABLE.iter().find(|(outcome, ..)| *outcome == self).map_or(0, |(_, n, _)| *n)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(outcome, ..)| *outcome == self).map_or("", |(.., name)| name)
    }

    /// The outcome with that number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n, _)| *n == number).map(|(outcome, ..)| *outcome)
    }

    /// The outcome of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(.., n)| *n == name).map(|(outcome, ..)| *outcome)
    }
}
