//! How severe a log message is (RFC 5424, 6.2.1, as MCP names them).

/// A level; a later one is more severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Of use to who looks for an error.
    Debug,
    /// That something goes on as it should.
    Info,
    /// Normal, and of note.
    Notice,
    /// That something may become wrong.
    Warning,
    /// That something went wrong.
    Error,
    /// That a part does not work.
    Critical,
    /// That somebody has to act at once.
    Alert,
    /// That nothing works.
    Emergency,
}

const TABLE: [(Level, &str); 8] = [
    (Level::Debug, "debug"),
    (Level::Info, "info"),
    (Level::Notice, "notice"),
    (Level::Warning, "warning"),
    (Level::Error, "error"),
    (Level::Critical, "critical"),
    (Level::Alert, "alert"),
    (Level::Emergency, "emergency"),
];

impl Level {
    /// All of them, the least severe first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(level, _)| level)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let [debug, info, notice, warning, error, critical, alert, emergency] = &TABLE;
        let row = match self {
            Self::Debug => debug,
            Self::Info => info,
            Self::Notice => notice,
            Self::Warning => warning,
            Self::Error => error,
            Self::Critical => critical,
            Self::Alert => alert,
            Self::Emergency => emergency,
        };
        row.1
    }

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.into_iter().find(|(_, own)| *own == name).map(|(level, _)| level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_named_once_and_they_rise() {
        for level in Level::all() {
            assert_eq!(Level::named(level.name()), Some(level));
        }
        assert!(Level::all().is_sorted_by(|less, more| less < more));
        for name in ["", "Debug", "warn", "trace", "fatal"] {
            assert_eq!(Level::named(name), None, "{name}");
        }
    }
}
