//! What a client can be asked, as it says itself (MCP, capabilities of clients). Nothing is decided by it; what a client did
//! not say that it can is not asked of it.

use crate::json::Object;
use crate::{Feature, Json, Revision};

/// What a client can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// To have its person fill in a form.
    pub form: bool,
    /// To have its person open an address.
    pub url: bool,
    /// To have its model say something.
    pub sampling: bool,
    /// To say where it works.
    pub roots: bool,
}

impl Abilities {
    /// As the capabilities of a client state them. An elicitation of no kind is one of forms (MCP 2025-11-25 and 2026-07-28,
    /// client, elicitation, "Capabilities"), and so is any before there were kinds.
    #[must_use]
    pub fn of(capabilities: Option<&Json>, revision: Revision) -> Self {
        let has = |at: Option<&Json>| matches!(at, Some(Json::Object(_)));
        let Some(capabilities) = capabilities else { return Self::default() };
        let (sampling, roots) = (has(capabilities.get("sampling")), has(capabilities.get("roots")));
        let Some(Json::Object(kinds)) = capabilities.get("elicitation") else {
            return Self { sampling, roots, ..Self::default() };
        };
        let kinds_are_told = revision.has(Feature::UrlElicitation);
        let form = !kinds_are_told || kinds.is_empty() || has(kinds.get("form"));
        Self { form, url: kinds_are_told && has(kinds.get("url")), sampling, roots }
    }

    /// What both can.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            form: self.form && other.form,
            url: self.url && other.url,
            sampling: self.sampling && other.sampling,
            roots: self.roots && other.roots,
        }
    }

    /// What either can.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            form: self.form || other.form,
            url: self.url || other.url,
            sampling: self.sampling || other.sampling,
            roots: self.roots || other.roots,
        }
    }

    /// What is here and not there.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self {
            form: self.form && !other.form,
            url: self.url && !other.url,
            sampling: self.sampling && !other.sampling,
            roots: self.roots && !other.roots,
        }
    }

    /// The features that they are, by which callers are told of them.
    pub fn features(self) -> impl Iterator<Item = Feature> {
        let all = [
            (self.form, Feature::Elicitation),
            (self.url, Feature::UrlElicitation),
            (self.sampling, Feature::Sampling),
            (self.roots, Feature::Roots),
        ];
        all.into_iter().filter_map(|(can, feature)| can.then_some(feature))
    }

    /// As the capabilities of a client state them.
    #[must_use]
    pub fn capabilities(self) -> Object {
        let empty = || Json::Object(Object::new());
        let kinds = [("form", self.form), ("url", self.url)].into_iter().filter(|(_, can)| *can);
        let kinds: Object = kinds.map(|(kind, _)| (kind, empty())).collect();
        let elicitation = (!kinds.is_empty()).then_some(("elicitation", Json::Object(kinds)));
        let others = [("sampling", self.sampling), ("roots", self.roots)].into_iter().filter(|(_, can)| *can);
        elicitation.into_iter().chain(others.map(|(name, _)| (name, empty()))).collect()
    }

    /// What a request of a server to its client takes; `None` for one that no server makes.
    #[must_use]
    pub fn taken(method: &str, mode: Option<&str>) -> Option<Self> {
        let none = Self::default();
        match (method, mode) {
            ("elicitation/create", None | Some("form")) => Some(Self { form: true, ..none }),
            ("elicitation/create", Some("url")) => Some(Self { url: true, ..none }),
            ("sampling/createMessage", _) => Some(Self { sampling: true, ..none }),
            ("roots/list", _) => Some(Self { roots: true, ..none }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_those_that_are_declared_in_a_revision_that_has_them() {
        let of = |text: &str, revision| {
            let read = crate::json::parse(text.as_bytes()).unwrap();
            let Abilities { form, url, sampling, roots } = Abilities::of(Some(&read), revision);
            (form, url, sampling || roots)
        };
        for (text, old, new) in [
            ("{}", (false, false, false), (false, false, false)),
            (r#"{"elicitation":{}}"#, (true, false, false), (true, false, false)),
            (r#"{"elicitation":{"form":{}}}"#, (true, false, false), (true, false, false)),
            (r#"{"elicitation":{"url":{}},"roots":{}}"#, (true, false, true), (false, true, true)),
            (r#"{"elicitation":{"form":{},"url":{}}}"#, (true, false, false), (true, true, false)),
            (r#"{"elicitation":{"url":null,"form":true}}"#, (true, false, false), (false, false, false)),
            (r#"{"elicitation":null,"sampling":{"x":1}}"#, (false, false, true), (false, false, true)),
            (r#"{"elicitation":["url"],"roots":true}"#, (false, false, false), (false, false, false)),
        ] {
            assert_eq!(of(text, Revision::Of20250618), old, "{text}");
            assert_eq!(of(text, Revision::Of20251125), new, "{text}");
            assert_eq!(of(text, Revision::Of20260728), new, "{text}");
        }
        assert_eq!(Abilities::of(None, Revision::NEWEST), Abilities::default());
    }

    #[test]
    fn what_is_stated_is_read_as_it_was() {
        for bits in 0_u8..16 {
            let is = |bit: u8| bits & (1 << bit) != 0;
            let abilities = Abilities { form: is(0), url: is(1), sampling: is(2), roots: is(3) };
            let stated = Json::Object(abilities.capabilities());
            assert_eq!(Abilities::of(Some(&stated), Revision::NEWEST), abilities, "{stated}");
            assert_eq!(abilities.features().count(), usize::try_from(bits.count_ones()).unwrap());
            assert_eq!(abilities.without(abilities), Abilities::default());
            assert_eq!(abilities.without(Abilities::default()), abilities);
        }
    }
}
