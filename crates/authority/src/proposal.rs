//! A change of rules as it is asked for, shown and signed: the difference, text by text. From it and the rules that it was made
//! for, the rules come back that it leads to, so that whoever decides on it can be told what they would do (decisions A21).

use std::collections::{BTreeMap, BTreeSet};

use diffy::{Patch, create_patch};
use terms::{Access, Json, Part, PolicyHash};

use crate::active::Active;
use crate::bundle::Bundle;

/// The longest text that a difference is made of, in bytes: it is shown to people.
const TEXT: usize = 512 * 1024;

/// The longest difference in all.
const WHOLE: usize = 64 * 1024;

/// What is not a file of rules stands under these names: no file of rules is called so, as each ends in `.cedar`.
const REQUIREMENTS: &str = "requirements";
const UPSTREAMS: &str = "upstreams";

/// The change is too large to be shown to whoever decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// What is said of a change of rules, with the difference; and of which tools it says anew what a person found of an earlier
/// definition (B25), which no difference shows.
pub(crate) fn said(
    act: &str,
    (from, hash, revision): (&Bundle, PolicyHash, u64),
    to: &Bundle,
    anew: Vec<String>,
) -> Result<Json, TooLarge> {
    let (before, after) = (texts(from), texts(to));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = BTreeMap::new();
    let mut length = 0;
    for name in names {
        let [old, new] = [&before, &after].map(|texts| texts.get(name).map_or("", String::as_str));
        if old == new {
            continue;
        }
        if old.len().max(new.len()) > TEXT {
            return Err(TooLarge);
        }
        let patch = create_patch(old, new).to_string();
        length += patch.len();
        changes.insert(name.clone(), Json::from(patch));
    }
    if length > WHOLE {
        return Err(TooLarge);
    }
    let mut said = vec![
        ("act", Json::from(act)),
        ("from", Json::from(hash)),
        ("revision", Json::from(revision.to_string())),
        ("to", Json::from(to.hash())),
        ("changes", Json::object(changes)),
    ];
    said.extend((!anew.is_empty()).then(|| ("reviewed_anew", Json::from(anew))));
    Ok(Json::object(said))
}

/// What rules can speak of in it.
pub(crate) fn outline(act: &str) -> Json {
    Json::object([("act", act)])
}

/// Whether an access is a change of other rules than those in force: then it leads nowhere any more.
pub(crate) fn is_over(active: &Active, access: &Access) -> bool {
    let same = |name: &str, now: String| member(access, name).is_some_and(|then| then == now);
    is_change(access)
        && !(same("from", active.hash.to_string()) && same("revision", active.revision.to_string()))
}

/// The rules that a change of those in force leads to.
pub(crate) fn proposed(active: &Active, access: &Access) -> Option<Bundle> {
    if !is_change(access) || is_over(active, access) {
        return None;
    }
    let mut texts = texts(&active.bundle);
    for (name, patch) in access.arguments().get("changes")?.as_object()?.iter() {
        let before = texts.remove(name).unwrap_or_default();
        let after = diffy::apply(&before, &Patch::from_str(patch.as_str()?).ok()?).ok()?;
        if !after.is_empty() {
            texts.insert(name.to_owned(), after);
        }
    }
    bundle(texts).filter(|bundle| member(access, "to").is_some_and(|to| to == bundle.hash().to_string()))
}

/// Whether an access is a change of rules.
pub(crate) fn is_change(access: &Access) -> bool {
    access.reaches().is_none() && access.resource().parts() == Some((Part::OF, Part::Policy.name()))
}

fn member<'a>(access: &'a Access, name: &str) -> Option<&'a str> {
    access.arguments().get(name)?.as_str()
}

/// A bundle as texts for people, each with a line break at its end.
fn texts(bundle: &Bundle) -> BTreeMap<String, String> {
    let json = bundle.to_json();
    let pretty = |name: &str| {
        let value = json.get(name).map(Json::text).unwrap_or_default();
        let value = serde_json::from_str::<serde_json::Value>(&value).unwrap_or_default();
        format!("{value:#}\n")
    };
    let mut texts = bundle.texts.clone();
    texts.insert(REQUIREMENTS.to_owned(), pretty("requirements"));
    texts.insert(UPSTREAMS.to_owned(), pretty("upstreams"));
    texts
}

fn bundle(mut texts: BTreeMap<String, String>) -> Option<Bundle> {
    let mut read = |name: &str| terms::json::parse(texts.remove(name)?.as_bytes()).ok();
    let (requirements, upstreams) = (read(REQUIREMENTS)?, read(UPSTREAMS)?);
    let texts = texts.into_iter().map(|(name, text)| (name, Json::from(text)));
    let json = Json::object([
        ("texts", Json::object(texts)),
        ("requirements", requirements),
        ("upstreams", upstreams),
    ]);
    Bundle::from_json(&json).ok()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use terms::{Binds, Millis, Requirement, Terms, Tree};

    use super::*;

    fn rules(texts: &[(&str, &str)], requirements: &[&str]) -> Bundle {
        let text = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let requirement = |name: &&str| {
            let tree = Tree::Owner { fresh: Millis::seconds(120) };
            let terms = Terms {
                pending_for: Millis::seconds(900),
                valid_for: Millis::seconds(300),
                uses: NonZeroU32::MIN,
                binds: Binds::Everything,
            };
            let parts = BTreeMap::from([((*name).to_owned(), tree)]);
            ((*name).to_owned(), Requirement { parts, terms })
        };
        Bundle {
            texts: texts.iter().map(text).collect(),
            requirements: requirements.iter().map(requirement).collect(),
            upstreams: BTreeMap::new(),
        }
    }

    #[test]
    fn texts_lead_back_to_their_bundle() {
        let before = rules(&[("a.cedar", "one\ntwo\n"), ("b.cedar", "three")], &["r"]);
        assert_eq!(bundle(texts(&before)), Some(before));
    }

    #[test]
    fn what_is_too_large_to_be_shown_is_not_asked_for() {
        let large = "x\n".repeat(WHOLE);
        let (before, after) = (rules(&[], &[]), rules(&[("a.cedar", &large)], &[]));
        assert_eq!(said("activate", (&before, before.hash(), 1), &after, Vec::new()), Err(TooLarge));
    }
}
