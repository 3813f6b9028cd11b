//! Any JSON value as its leaves: pointer and value, in canonical order. Records, definitions and differences are
//! read in the same form as the arguments on a card.

use terms::{Json, Pointer};

use crate::view::Leaf;

/// Every leaf with its pointer; texts as they are, all else as JSON.
pub(crate) fn leaves(of: &Json) -> Vec<(String, String)> {
    let mut out = Vec::new();
    collect(&Pointer::root(), of, &mut out);
    out
}

/// The same, drawn.
pub(crate) fn drawn(of: &Json) -> Vec<Leaf> {
    leaves(of).iter().map(|(at, value)| Leaf::plain(at, value)).collect()
}

fn collect(at: &Pointer, value: &Json, out: &mut Vec<(String, String)>) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, member)| collect(&at.child(name), member, out));
        }
        Json::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, item)| collect(&at.child(i.to_string()), item, out));
        }
        Json::String(text) => out.push((at.to_string(), text.clone())),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            out.push((at.to_string(), value.text()));
        }
    }
}
