//! The leaves of a requirement, wherever they stand in its trees.

use std::collections::BTreeSet;

use elevation::{Eligible, Evidence, Leaf, Weighed, weigh};
use terms::{Requirement, Time, Tree};

/// Every leaf.
pub(crate) fn leaves(requirement: &Requirement) -> Vec<&Tree> {
    requirement.parts.values().flat_map(leaves_of).collect()
}

/// Every leaf of one tree.
pub(crate) fn leaves_of(tree: &Tree) -> Vec<&Tree> {
    fn collect<'t>(tree: &'t Tree, into: &mut Vec<&'t Tree>) {
        match tree {
            Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| collect(part, into)),
            Tree::Approvals { .. }
            | Tree::Owner { .. }
            | Tree::Purpose
            | Tree::Ticket { .. }
            | Tree::KeyBound => into.push(tree),
        }
    }
    let mut all = Vec::new();
    collect(tree, &mut all);
    all
}

/// The groups that approvals are asked from.
pub(crate) fn groups(requirement: &Requirement) -> BTreeSet<&str> {
    leaves(requirement).into_iter().filter_map(group).collect()
}

/// The group that a leaf asks an approval from.
pub(crate) fn group(leaf: &Tree) -> Option<&str> {
    match leaf {
        Tree::Approvals { from, .. } => Some(from),
        Tree::All(_)
        | Tree::Any(_)
        | Tree::Owner { .. }
        | Tree::Purpose
        | Tree::Ticket { .. }
        | Tree::KeyBound => None,
    }
}

/// Every leaf along the shortest way, and how far it is.
pub(crate) fn weighed(
    requirement: &Requirement,
    evidence: &Evidence,
    eligible: &Eligible,
    now: Time,
) -> Vec<Leaf> {
    let (Weighed::Met(parts) | Weighed::Missing(parts)) = weigh(requirement, evidence, eligible, now);
    parts.into_iter().flat_map(|(_, leaves)| leaves).collect()
}
