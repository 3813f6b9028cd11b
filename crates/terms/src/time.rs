//! Time is a value that is passed in (R17). Nothing below the binary reads a clock.

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The moment that much later; the end of time rather than an overflow.
    #[must_use]
    pub fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// The moment that much earlier.
    #[must_use]
    pub fn before(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until this; nothing when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Time {
    /// What its JSON form says; `None` for any other value.
    #[must_use]
    pub fn from_json(json: &crate::Json) -> Option<Self> {
        let time = Self(json.as_i64().or_else(|| json.as_str()?.parse().ok())?);
        (crate::Json::from(time) == *json).then_some(time)
    }
}

impl From<Time> for crate::Json {
    fn from(time: Time) -> Self {
        time.0.into()
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`: never goes back, and goes on while the machine sleeps (F34).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(u64);

impl Boottime {
    /// From nanoseconds since boot.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment that much later.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0.saturating_mul(1_000_000)))
    }

    /// How long from `earlier` until this; nothing when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0) / 1_000_000)
    }
}

/// A span of time in milliseconds, written `500ms`, `50s`, `15m`, `8h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

/// Largest first, so that [`Millis`] is written in the largest unit that fits.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Millis {
    /// From milliseconds.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same span for timers.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, size) = UNITS
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// The text is not a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a span of time: write a number and ms, s, m, h or d, such as \"15m\"")]
pub struct NotASpan;

impl std::str::FromStr for Millis {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotASpan)?;
        let (number, unit) = text.split_at(split);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotASpan)?;
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        number.checked_mul(*size).map(Self).ok_or(NotASpan)
    }
}

impl Millis {
    /// What its JSON form says; `None` for any other value.
    #[must_use]
    pub fn from_json(json: &crate::Json) -> Option<Self> {
        let number = json.as_i64().and_then(|n| u64::try_from(n).ok());
        let span = Self(number.or_else(|| json.as_str()?.parse().ok())?);
        (crate::Json::from(span) == *json).then_some(span)
    }
}

/// Beyond 2^53 it is written as a string, as every integer is.
impl From<Millis> for crate::Json {
    fn from(span: Millis) -> Self {
        i64::try_from(span.0).map_or_else(|_| Self::String(span.0.to_string()), Self::from)
    }
}
