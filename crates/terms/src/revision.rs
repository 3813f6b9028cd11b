//! Revisions of MCP, and what sets them apart as far as stepup acts on it: one table. What a caller speaks and what an
//! upstream speaks are agreed on apart from each other; neither is told the other's.

/// How a revision holds a conversation (MCP 2026-07-28, versioning, "Terminology").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// `initialize` opens a session, and its answer says which revision is spoken in it.
    Legacy,
    /// There is no session: every request says of itself which revision it is of.
    Modern,
}

/// A revision of MCP, named by its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2025-03-26.
    Of20250326,
    /// 2025-06-18.
    Of20250618,
    /// 2025-11-25.
    Of20251125,
    /// 2026-07-28.
    Of20260728,
}

/// What not every revision has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// A call may be made as a task, and its answer fetched later (2025-11-25, tasks).
    Tasks,
    /// A server may ask for an address to be opened (2025-11-25, elicitation).
    UrlElicitation,
    /// A server may ask its client's person something while a call runs (until 2025-11-25, elicitation).
    Elicitation,
    /// A server may ask its client's model something while a call runs (until 2025-11-25, sampling).
    Sampling,
    /// A server may ask where its client works while a call runs (until 2025-11-25, roots).
    Roots,
    /// A server may answer that it has to be told more first (2026-07-28, multi round-trip requests).
    Rounds,
    /// A server may want its client to be capable of something for a call (2026-07-28, versioning).
    Capabilities,
    /// Arguments may travel in headers too (2026-07-28, streamable HTTP, "Custom Headers from Tool Parameters").
    ParameterHeaders,
    /// A server may tell of a resource that changes.
    Subscriptions,
}

/// With whom a revision is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those who call us.
    Callers,
    /// Those whom we call.
    Upstreams,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The revision.
    pub revision: Revision,
    /// Its name on the wire.
    pub name: &'static str,
    /// Its era.
    pub era: Era,
    /// With whom stepup speaks it.
    pub spoken: &'static [Side],
    /// What it has of what not every one has.
    pub has: &'static [Feature],
}

/// All revisions that are known of, oldest first.
const TABLE: [Row; 4] = [
    // Of callers it would have us take batches, which could not be judged as one access (T12).
    Row {
        revision: Revision::Of20250326,
        name: "2025-03-26",
        era: Era::Legacy,
        spoken: &[Side::Upstreams],
        has: &[Feature::Sampling, Feature::Roots],
    },
    Row {
        revision: Revision::Of20250618,
        name: "2025-06-18",
        era: Era::Legacy,
        spoken: &[Side::Callers, Side::Upstreams],
        has: &[Feature::Elicitation, Feature::Sampling, Feature::Roots],
    },
    Row {
        revision: Revision::Of20251125,
        name: "2025-11-25",
        era: Era::Legacy,
        spoken: &[Side::Callers, Side::Upstreams],
        has: &[
            Feature::Tasks,
            Feature::UrlElicitation,
            Feature::Elicitation,
            Feature::Sampling,
            Feature::Roots,
        ],
    },
    // Its tasks are an extension.
    Row {
        revision: Revision::Of20260728,
        name: "2026-07-28",
        era: Era::Modern,
        spoken: &[Side::Callers, Side::Upstreams],
        has: &[Feature::UrlElicitation, Feature::Rounds, Feature::Capabilities, Feature::ParameterHeaders],
    },
];

impl Revision {
    /// The table.
    pub const TABLE: &'static [Row] = &TABLE;

    /// The newest that is spoken in sessions, with either side.
    pub const NEWEST: Self = Self::Of20251125;

    /// The newest that is spoken without sessions, with either side.
    pub const NEWEST_MODERN: Self = Self::Of20260728;

    /// This revision's row.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        let [first, second, third, fourth] = &TABLE;
        match self {
            Self::Of20250326 => first,
            Self::Of20250618 => second,
            Self::Of20251125 => third,
            Self::Of20260728 => fourth,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Its era.
    #[must_use]
    pub const fn era(self) -> Era {
        self.row().era
    }

    /// The revision of that name, if it is spoken with that side.
    #[must_use]
    pub fn spoken(name: &str, side: Side) -> Option<Self> {
        Self::all(side).find(|revision| revision.name() == name)
    }

    /// The revision of that name, if sessions with that side may be of it.
    #[must_use]
    pub fn in_session(name: &str, side: Side) -> Option<Self> {
        Self::in_sessions(side).find(|revision| revision.name() == name)
    }

    /// Those that sessions with one side may be of, newest first.
    pub fn in_sessions(side: Side) -> impl Iterator<Item = Self> {
        Self::all(side).filter(|revision| revision.era() == Era::Legacy)
    }

    /// Those that are spoken with one side, newest first.
    pub fn all(side: Side) -> impl Iterator<Item = Self> {
        let spoken = TABLE.iter().rev().filter(move |row| row.spoken.contains(&side));
        spoken.map(|row| row.revision)
    }

    /// Whether it has something that not every one has.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.row().has.contains(&feature)
    }
}

impl Feature {
    /// Its name, as callers are told it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::UrlElicitation => "elicitation by URL",
            Self::Elicitation => "elicitation",
            Self::Sampling => "sampling",
            Self::Roots => "roots",
            Self::Rounds => "multi round-trip requests",
            Self::Capabilities => "capabilities of its client",
            Self::ParameterHeaders => "arguments in headers",
            Self::Subscriptions => "subscriptions to a resource",
        }
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_finds_its_own_row_and_a_later_one_is_greater() {
        for row in Revision::TABLE {
            assert_eq!(row.revision.row().name, row.name);
        }
        assert!(Revision::TABLE.is_sorted_by(|a, b| a.revision < b.revision && a.name < b.name));
    }

    #[test]
    fn the_newest_is_spoken_with_both_sides_and_is_the_first_of_each() {
        for side in [Side::Callers, Side::Upstreams] {
            assert_eq!(Revision::in_sessions(side).next(), Some(Revision::NEWEST));
            assert_eq!(Revision::all(side).next(), Some(Revision::NEWEST_MODERN));
        }
        assert_eq!(Revision::NEWEST.era(), Era::Legacy, "what a session begins with has sessions");
    }

    #[test]
    fn only_an_exact_name_names_a_revision_and_only_where_it_is_spoken() {
        let of = |name| (Revision::spoken(name, Side::Callers), Revision::spoken(name, Side::Upstreams));
        let both = |revision| (Some(revision), Some(revision));
        assert_eq!(of("2025-06-18"), both(Revision::Of20250618));
        assert_eq!(of("2025-11-25"), both(Revision::Of20251125));
        assert_eq!(of("2025-03-26"), (None, Some(Revision::Of20250326)));
        assert_eq!(of("2026-07-28"), both(Revision::Of20260728));
        assert_eq!(Revision::in_session("2026-07-28", Side::Callers), None, "it has no sessions");
        for name in ["2024-11-05", "2025-06-18 ", "2025-6-18", "", "draft"] {
            assert_eq!(of(name), (None, None), "{name:?}");
        }
    }
}
