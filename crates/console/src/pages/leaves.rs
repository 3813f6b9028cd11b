//! Any JSON value as its leaves: pointer and value, in canonical order. Records, definitions and differences are
//! read in the same form as the arguments on a card.

use terms::Json;

use crate::view::{Leaf, leaves, read};

/// Every leaf with its pointer; texts as they are, all else as JSON.
pub(crate) fn drawn(of: &Json) -> Vec<Leaf> {
    leaves(of).iter().map(|(at, leaf)| Leaf::plain(at, &read(leaf))).collect()
}
