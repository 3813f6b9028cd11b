//! The parts of an installation: what decisions rest on, and what `administer` is done to.

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The rules, the requirements, and what is said of upstreams and tools.
    Policy,
    /// Who is in which group.
    Groups,
    /// The callers and their keys.
    Callers,
    /// The people, their invitations, and which account is whose.
    People,
    /// The definitions of what upstreams have, once they have changed.
    Definitions,
    /// The locks, as far as lifting one goes.
    Locks,
}

impl Part {
    /// Every part with its name: in rules it is `Installation::"stepup/NAME"`.
    pub const TABLE: [(Self, &'static str); 6] = [
        (Self::Policy, "policy"),
        (Self::Groups, "groups"),
        (Self::Callers, "callers"),
        (Self::People, "people"),
        (Self::Definitions, "definitions"),
        (Self::Locks, "locks"),
    ];

    /// What they are parts of, as upstreams are named: no upstream has this name.
    pub const OF: &'static str = "stepup";

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Groups => "groups",
            Self::Callers => "callers",
            Self::People => "people",
            Self::Definitions => "definitions",
            Self::Locks => "locks",
        }
    }

    /// The part of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n)| *n == name).map(|(part, _)| *part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_one_part() {
        for (part, name) in Part::TABLE {
            assert_eq!((part.name(), Part::named(name)), (name, Some(part)));
        }
        assert_eq!(Part::named("Policy"), None);
    }
}
