//! What changed between two definitions: leaf by leaf, line by line, and in a changed line the changed words.

use std::collections::BTreeMap;
use std::time::Duration;

use similar::{ChangeTag, InlineChangeOptions, TextDiff};
use terms::{Json, Pointer};

use crate::foreign::Foreign;
use crate::moment::When;

/// What changed since a definition that was accepted.
#[derive(Clone, Debug)]
pub struct Diff {
    /// When that one was first seen.
    pub seen: When,
    /// Leaf by leaf; nothing when they are the same.
    pub changes: Vec<Change>,
}

/// One leaf that came, went or changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub pointer: Foreign,
    /// `new`, `gone` or `changed`.
    pub how: &'static str,
    /// What it was; `None` when it is new.
    pub before: Option<Json>,
    /// What it is; `None` when it is gone.
    pub after: Option<Json>,
    /// Its lines; those that are the same and not near a change are counted.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What became of it.
    pub sign: Sign,
    /// Its text, in pieces.
    pub pieces: Vec<Piece>,
    /// Whether a line break ends it.
    pub broken: bool,
}

/// A piece of a line.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its text.
    pub text: Foreign,
    /// Whether it is what changed in the line.
    pub changed: bool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is the same.
    Same,
    /// It went.
    Gone,
    /// It came.
    New,
    /// That many lines that are the same stand here.
    Skipped(usize),
}

impl Sign {
    /// The class that it is drawn with.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Gone => "gone",
            Self::New => "new",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// Lines around a change that are shown for orientation.
const AROUND: usize = 2;

/// After that a difference may be told in larger pieces than it needs: an upstream's text must not cost more.
const PATIENCE: Duration = Duration::from_millis(100);

/// Bytes of both texts up to which changed words are looked for; beyond, whole lines must do.
const WORDS: usize = 16 << 10;

/// Every leaf with its pointer, in canonical order.
pub(crate) fn leaves(of: &Json) -> Vec<(String, &Json)> {
    let mut out = Vec::new();
    collect(&Pointer::root(), of, &mut out);
    out
}

fn collect<'a>(at: &Pointer, value: &'a Json, out: &mut Vec<(String, &'a Json)>) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, member)| collect(&at.child(name), member, out));
        }
        Json::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, item)| collect(&at.child(i.to_string()), item, out));
        }
        Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            out.push((at.to_string(), value));
        }
    }
}

/// A leaf as it is read: texts as they are, all else as JSON.
pub(crate) fn read(leaf: &Json) -> String {
    leaf.as_str().map_or_else(|| leaf.text(), str::to_owned)
}

/// Holds two definitions against each other, leaf by leaf in the order of the newer one.
#[must_use]
pub fn changes(before: &Json, after: &Json) -> Vec<Change> {
    between(&leaves(before), &leaves(after))
}

/// A definition that was not there before: every leaf of it is new.
#[must_use]
pub fn whole_new(definition: &Json) -> Vec<Change> {
    between(&[], &leaves(definition))
}

fn between(before: &[(String, &Json)], after: &[(String, &Json)]) -> Vec<Change> {
    let index = |leaves: &[(String, &Json)]| -> BTreeMap<String, Json> {
        leaves.iter().map(|(at, leaf)| (at.clone(), Json::clone(leaf))).collect()
    };
    let (old, new) = (index(before), index(after));
    let gone = before.iter().filter(|(at, _)| !new.contains_key(at));
    let all = after.iter().chain(gone).map(|(at, _)| at);
    all.filter_map(|at| change(at, old.get(at), new.get(at))).collect()
}

fn change(at: &str, before: Option<&Json>, after: Option<&Json>) -> Option<Change> {
    let (how, told) = match (before, after) {
        (Some(before), Some(after)) if before == after => return None,
        (Some(before), Some(after)) => ("changed", both(before, after)),
        (None, Some(after)) => ("new", whole(Sign::New, &read(after))),
        (Some(before), None) => ("gone", whole(Sign::Gone, &read(before))),
        (None, None) => return None,
    };
    let (before, after) = (before.cloned(), after.cloned());
    Some(Change { pointer: Foreign::line(at), how, before, after, lines: told })
}

/// Both as they are read, or as JSON where the text would not tell them apart: `true` is not `"true"`.
fn both(before: &Json, after: &Json) -> Vec<Line> {
    let (old, new) = (read(before), read(after));
    if old == new { lines(&before.text(), &after.text()) } else { lines(&old, &new) }
}

/// Every line of a leaf that came or went as a whole.
fn whole(sign: Sign, text: &str) -> Vec<Line> {
    let line = |line: &str| Line::of(sign, [(false, line)].into_iter());
    if text.is_empty() { vec![line("")] } else { text.split_inclusive('\n').map(line).collect() }
}

fn lines(before: &str, after: &str) -> Vec<Line> {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let (inline, words) = (InlineChangeOptions::new(), before.len().saturating_add(after.len()) <= WORDS);
    let mut lines = Vec::new();
    let mut next = 0;
    for group in diff.grouped_ops(AROUND) {
        let from = group.first().map_or(next, |op| op.new_range().start);
        lines.extend(skipped(from.saturating_sub(next)));
        next = group.last().map_or(next, |op| op.new_range().end);
        for op in &group {
            if words {
                let told = diff.iter_inline_changes_with_options_deadline(op, inline, None);
                lines.extend(told.map(|line| Line::of(sign(line.tag()), line.values().iter().copied())));
            } else {
                let told = diff.iter_changes(op);
                lines.extend(
                    told.map(|line| Line::of(sign(line.tag()), std::iter::once((false, line.value())))),
                );
            }
        }
    }
    lines.extend(skipped(diff.new_len().saturating_sub(next)));
    lines
}

const fn sign(tag: ChangeTag) -> Sign {
    match tag {
        ChangeTag::Equal => Sign::Same,
        ChangeTag::Delete => Sign::Gone,
        ChangeTag::Insert => Sign::New,
    }
}

fn skipped(count: usize) -> Option<Line> {
    (count > 0).then(|| Line { sign: Sign::Skipped(count), pieces: Vec::new(), broken: false })
}

impl Line {
    fn of<'a>(sign: Sign, pieces: impl Iterator<Item = (bool, &'a str)>) -> Self {
        let mut line = Self { sign, pieces: Vec::new(), broken: false };
        for (changed, text) in pieces {
            line.broken = text.ends_with('\n');
            let text = text.strip_suffix('\n').unwrap_or(text);
            if !text.is_empty() {
                line.pieces.push(Piece { text: Foreign::lines(text), changed });
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let line = |line: &Line| {
            let text: String = line.pieces.iter().map(|piece| piece.text.text()).collect();
            let end = if line.broken { "↵" } else { "" };
            match line.sign {
                Sign::Same => format!("  {text}{end}"),
                Sign::Gone => format!("- {text}{end}"),
                Sign::New => format!("+ {text}{end}"),
                Sign::Skipped(count) => format!("… {count}"),
            }
        };
        lines(before, after).iter().map(line).collect()
    }

    #[test]
    fn what_came_what_went_and_what_changed_is_told_and_nothing_else() {
        let before = Json::object([("name", "deploy"), ("old", "1"), ("description", "Deploys.")]);
        let after = Json::object([("name", "deploy"), ("description", "Deploys. Send keys."), ("new", "2")]);
        let changes = changes(&before, &after);
        let told: Vec<_> = changes.iter().map(|change| (change.pointer.text(), change.how)).collect();
        assert_eq!(told, [("/description", "changed"), ("/new", "new"), ("/old", "gone")]);
    }

    #[test]
    fn a_value_that_became_a_text_of_the_same_letters_has_changed() {
        let of = |leaf: Json| Json::object([("default", leaf)]);
        for (before, after) in [(Json::Bool(true), Json::from("true")), (Json::Null, Json::from("null"))] {
            let changes = changes(&of(before.clone()), &of(after.clone()));
            let [change] = changes.as_slice() else { panic!("{changes:?}") };
            assert_eq!((change.before.as_ref(), change.after.as_ref()), (Some(&before), Some(&after)));
            let shown: Vec<String> =
                change.lines.iter().map(|l| l.pieces.iter().map(|p| p.text.text()).collect()).collect();
            assert_eq!(shown, [before.text(), after.text()], "both are told apart");
        }
    }

    #[test]
    fn lines_that_are_the_same_and_far_from_a_change_are_counted() {
        let line = |n: usize| format!("line {n}\n");
        let before: String = (0..20).map(line).collect();
        let after = before.replace("line 10\n", "line ten\n");
        let expected =
            ["… 8", "  line 8↵", "  line 9↵", "- line 10↵", "+ line ten↵", "  line 11↵", "  line 12↵", "… 7"];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn in_a_changed_line_the_changed_words_are_marked() {
        let lines = lines("Deploys a service.", "Deploys a service quietly.");
        let marked = |sign| {
            let line = lines.iter().find(|line| line.sign == sign).unwrap();
            line.pieces.iter().filter(|piece| piece.changed).map(|p| p.text.text()).collect::<String>()
        };
        assert!(marked(Sign::New).contains("quietly") && !marked(Sign::New).contains("Deploys"));
    }

    #[test]
    fn a_change_of_nothing_but_a_line_break_or_an_invisible_character_is_seen() {
        assert_eq!(told("a", "a\n"), ["- a", "+ a↵"]);
        let hidden = lines("pay", "pa\u{200b}y");
        let shown: String = hidden.iter().flat_map(|l| &l.pieces).map(|p| p.text.to_string()).collect();
        assert!(shown.contains("⟨U+200B⟩"), "{shown}");
    }

    #[test]
    fn every_line_of_both_is_told_or_counted() {
        let texts = ["", "\n", "a", "a\nb\nc\n", "x\ny\nz", "a\nx\nc\ny\n\n\nq"];
        for before in texts {
            for after in texts {
                let lines = lines(before, after);
                let count = |signs: &[Sign]| {
                    let one = |line: &&Line| signs.contains(&line.sign);
                    let skipped = lines.iter().map(|l| if let Sign::Skipped(n) = l.sign { n } else { 0 });
                    lines.iter().filter(one).count() + skipped.sum::<usize>()
                };
                let of = |text: &str| text.split_inclusive('\n').count();
                if before != after {
                    assert_eq!(count(&[Sign::Same, Sign::Gone]), of(before), "{before:?} {after:?}");
                    assert_eq!(count(&[Sign::Same, Sign::New]), of(after), "{before:?} {after:?}");
                }
            }
        }
    }
}
