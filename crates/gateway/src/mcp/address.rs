//! Where a request came in: at the address of one upstream, or at that of all. At the latter whatever is named says whose
//! it is, in a form that can be read in one way only (T10, rfd 22): `ops__deploy`, `stepup+ops+file:///a`. The names of
//! upstreams have neither `_` nor `+`, so the first `__`, or the first `+`, ends one.

use terms::{Kind, Slug};

use crate::answer::Refusal;
use crate::gateway::Inner;
use crate::mcp::own;

/// Stands between an upstream's name and that of its tool or prompt.
const BETWEEN: &str = "__";

/// Stands before the name of the upstream of a URI, which `+` ends: together a scheme that nobody else has (RFC 3986,
/// 3.1).
const SCHEME: &str = "stepup+";

/// The longest name of a tool or prompt that clients take (MCP 2025-11-25, server/tools, "Tool Names"), in bytes.
const LONGEST: usize = 128;

/// The address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `/mcp/{upstream}`.
    One(String),
    /// `/mcp`: all upstreams at once.
    All,
}

/// Whose something is, and its name there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) upstream: String,
    pub(crate) name: String,
}

impl Address {
    /// The upstreams that are reached here, by name.
    pub(crate) fn upstreams(&self, inner: &Inner) -> Vec<String> {
        match self {
            Self::One(upstream) => vec![upstream.clone()],
            Self::All => inner.upstreams.names().map(str::to_owned).collect(),
        }
    }

    /// What a text names here. `None` where it does not name a configured upstream, or names what is not reached
    /// through there.
    pub(crate) fn named(&self, inner: &Inner, kind: Kind, text: &str) -> Option<Named> {
        let (upstream, name) = match self {
            Self::One(upstream) => (upstream.as_str(), text),
            Self::All => split(kind, text)?,
        };
        // Ours are named once, and not after an upstream.
        if kind == Kind::Tool && own::is_own(name) {
            return None;
        }
        let upstream = inner.upstreams.names().find(|configured| *configured == upstream)?;
        tracing::Span::current().record("upstream", upstream);
        Some(Named { upstream: upstream.to_owned(), name: name.to_owned() })
    }

    /// What something of an upstream is called here; `None` where it can only be named at its upstream's own address:
    /// a name that is too long makes some clients refuse the whole list, which would be all upstreams'.
    pub(crate) fn name(&self, kind: Kind, upstream: &str, name: &str) -> Option<String> {
        match (self, kind) {
            (Self::One(_), _) => Some(name.to_owned()),
            (Self::All, Kind::Resource) => Some(format!("{SCHEME}{upstream}+{name}")),
            (Self::All, Kind::Tool | Kind::Prompt) => {
                Some(format!("{upstream}{BETWEEN}{name}")).filter(|name| name.len() <= LONGEST)
            }
            (Self::All, Kind::Route | Kind::Operation | Kind::Installation) => None,
        }
    }

    /// The upstreams that are still to be listed after a cursor, and after what of each.
    pub(crate) fn rest(
        &self,
        inner: &Inner,
        cursor: Option<&str>,
    ) -> Result<Vec<(String, Option<String>)>, Refusal> {
        let Some(cursor) = cursor else {
            return Ok(self.upstreams(inner).into_iter().map(|upstream| (upstream, None)).collect());
        };
        let (at, after) = match self {
            Self::One(upstream) => (upstream.as_str(), cursor),
            Self::All => cursor.split_once('/').ok_or_else(not_given)?,
        };
        let rest = self.upstreams(inner).into_iter().filter(|upstream| upstream.as_str() >= at);
        let from = |upstream: String| {
            let after = (upstream == at).then(|| after.to_owned());
            (upstream, after)
        };
        Ok(rest.map(from).collect())
    }

    /// Where a list goes on after this.
    pub(crate) fn cursor(&self, upstream: &str, last: &str) -> String {
        match self {
            Self::One(_) => last.to_owned(),
            Self::All => format!("{upstream}/{last}"),
        }
    }
}

/// An upstream's name, and what is named of it.
fn split(kind: Kind, text: &str) -> Option<(&str, &str)> {
    match kind {
        Kind::Tool | Kind::Prompt => text.split_once(BETWEEN),
        Kind::Resource => text.strip_prefix(SCHEME)?.split_once('+'),
        Kind::Route | Kind::Operation | Kind::Installation => None,
    }
}

/// A cursor that is none of ours.
pub(crate) fn not_given() -> Refusal {
    Refusal::because(Slug::ArgumentsInvalid, "the cursor is not one that was given here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_whatever_two_upstreams_are_called_and_have_no_name_is_that_of_both() {
        let upstreams = ["a", "a-b", "a--b", "-", "a-", "0", "ab"];
        let tools = ["b", "_b", "__b", "a__b", "b__", "_", "__", "stepup_run", "a/b", "-b", "."];
        let uris = ["file:///a", "stepup+a+file:///a", "a+b:c", "b:+a"];
        for (kind, names) in
            [(Kind::Tool, &tools[..]), (Kind::Prompt, &tools[..]), (Kind::Resource, &uris[..])]
        {
            let mut seen = std::collections::BTreeSet::new();
            for (upstream, name) in upstreams.iter().flat_map(|u| names.iter().map(move |n| (*u, *n))) {
                let shown = Address::All.name(kind, upstream, name).unwrap();
                assert_eq!(split(kind, &shown), Some((upstream, name)), "{shown}");
                assert!(seen.insert(shown.clone()), "{shown} is the name of two");
                assert!(kind == Kind::Resource || !own::is_own(&shown), "{shown} is one of ours");
            }
        }
    }

    #[test]
    fn a_name_that_clients_would_refuse_is_not_shown_among_all() {
        let name = |length: usize| Address::All.name(Kind::Tool, "ops", &"x".repeat(length));
        assert_eq!(name(123).map(|name| name.len()), Some(LONGEST));
        assert_eq!(name(124), None);
        let own = Address::One("ops".to_owned()).name(Kind::Tool, "ops", &"x".repeat(128));
        assert!(own.is_some(), "at its own address it is");
    }
}
