//! What changed in the definitions that wait for a person: for people line by line, for programs leaf by leaf.

use console::view::{Change, Line, ONLY_ENDS, Sign, changes, only_ends_change, patch, whole_new};
use serde_json::{Value, json};
use terms::text::{quoted, visible};
use terms::{Json, Kind, Time};

use super::say::{count, when};

/// A definition that waits.
pub(super) struct Waiting {
    /// What it is of.
    pub kind: Kind,
    pub upstream: String,
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// As the upstream states it.
    pub definition: Json,
    /// When it was first seen.
    pub seen_at: Time,
    /// The newest one that was accepted before, and when that was first seen.
    pub before: Option<(Json, Time)>,
    /// What does not hold for it.
    pub void: Void,
}

/// What was given for an earlier definition, and falls with it.
#[derive(Default)]
pub(super) struct Void {
    /// Grants that could be spent.
    pub grants: Vec<String>,
    /// Whether those are all: the store is asked for the newest requests only.
    pub all: bool,
    /// The mark of a review (B25).
    pub reviewed: Option<String>,
}

impl Waiting {
    const fn how(&self) -> &'static str {
        if self.before.is_some() { "changed" } else { "new" }
    }

    fn changes(&self) -> Vec<Change> {
        match &self.before {
            Some((before, _)) => changes(before, &self.definition),
            None => whole_new(&self.definition),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let (kind, upstream, name) = (self.kind.name(), visible(&self.upstream), quoted(&self.name));
        let mut lines = vec![format!("{upstream}: the {kind} {name} is {}", self.how())];
        lines.push(format!("  seen since {}", when(self.seen_at)));
        lines.push(match &self.before {
            Some((_, seen)) => format!("  held against the accepted definition of {}", when(*seen)),
            None => "  no definition of this name was accepted before: all of it is new".to_owned(),
        });
        lines.extend(self.void.lines());
        let changes = self.changes();
        if changes.is_empty() {
            lines.push("  it is word for word the same".to_owned());
        }
        for change in &changes {
            lines.push(format!("  {} {}", change.how, shown(change.pointer.text())));
            lines.extend(change.lines.iter().map(signed));
        }
        lines.join("\n")
    }

    /// For programs: values as they are, with nothing left out.
    pub fn json(&self) -> Value {
        let members = self.changes().into_iter().map(|change| {
            let mut member = json!({ "path": change.pointer.text(), "how": change.how });
            for (key, value) in [("before", &change.before), ("after", &change.after)] {
                if let (Some(value), Some(member)) = (value, member.as_object_mut()) {
                    member.insert(key.to_owned(), serde_json::from_str(&value.text()).unwrap_or_default());
                }
            }
            member
        });
        json!({
            "tool": format!("{}/{}", self.upstream, self.name), "kind": self.kind.name(),
            "upstream": self.upstream, "name": self.name, "how": self.how(),
            "seen_at": self.seen_at.millis(), "accepted_seen_at": self.before.as_ref().map(|(_, at)| at.millis()),
            "digest": self.digest, "definition": self.definition.text(), "members": members.collect::<Vec<_>>(),
            "void": { "grants": self.void.grants, "all_grants": self.void.all, "reviewed": self.void.reviewed },
        })
    }
}

impl Void {
    fn lines(&self) -> impl Iterator<Item = String> {
        let grants = (!self.grants.is_empty()).then(|| {
            let more = if self.all { "" } else { " (of the newest requests; there may be more)" };
            let many = count(u64::try_from(self.grants.len()).unwrap_or(u64::MAX), "grant");
            format!("  void by it: {many}: {}{more}", self.grants.join(", "))
        });
        let mark = self.reviewed.as_ref().map(|mark| {
            format!(
                "  not reviewed: {} is not said of this definition: look at it, then `stepup policy activate`",
                quoted(mark)
            )
        });
        grants.into_iter().chain(mark)
    }
}

/// What the lines of a difference begin with; nothing else of the text does.
pub(super) const GONE: &str = "    - ";
/// The same for what is new.
pub(super) const NEW: &str = "    + ";

/// A line of a leaf behind its sign, so that no text of an upstream stands where ours does.
fn signed(line: &Line) -> String {
    let sign = match line.sign {
        Sign::Same => "      ",
        Sign::Gone => GONE,
        Sign::New => NEW,
        Sign::Skipped(lines) => {
            return format!("    ({} unchanged)", count(u64::try_from(lines).unwrap_or(u64::MAX), "line"));
        }
    };
    let text: String = line.pieces.iter().map(|piece| piece.text.text()).collect();
    format!("{sign}{}{}", shown(&text), if line.broken { "↵" } else { "" })
}

/// The lines of a difference that a change of rules makes in one text, each behind its sign; `room` of them at most.
pub(super) fn of_patch(text: &str, room: usize) -> Vec<String> {
    let patch = patch(text);
    let told = patch.iter().take(room).map(|(sign, line)| match sign {
        Sign::Same => format!("      {}", shown(line.text())),
        Sign::Gone => format!("{GONE}{}", shown(line.text())),
        Sign::New => format!("{NEW}{}", shown(line.text())),
        Sign::Skipped(_) => format!("    {}", shown(line.text())),
    });
    let ends = only_ends_change(&patch).then(|| format!("    ({ONLY_ENDS})"));
    let left = patch.len().saturating_sub(room);
    let more = (left > 0).then(|| {
        let left = count(u64::try_from(left).unwrap_or(u64::MAX), "more line");
        format!("    ({left}: see the page)")
    });
    ends.into_iter().chain(told).chain(more).collect()
}

/// What we mark with, and what is therefore a code point where an upstream wrote it.
const MARKS: [char; 3] = ['⟨', '⟩', '↵'];

/// Spaces in a row that are written; more could push something out of sight, and are counted.
const SPACES: usize = 8;

/// Foreign text to its last character: a terminal has no other type for our marks, so nothing else may look like them.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first == ' ' {
            rest.len() - rest.trim_start_matches(' ').len()
        } else if MARKS.contains(&first) {
            first.len_utf8()
        } else {
            rest.find(|c| c == ' ' || MARKS.contains(&c)).unwrap_or(rest.len())
        };
        let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = after;
        if MARKS.contains(&first) {
            out.push_str(&format!("⟨U+{:04X}⟩", u32::from(first)));
        } else if first == ' ' && (run.len() > SPACES || rest.is_empty()) {
            let many = count(u64::try_from(run.len()).unwrap_or(u64::MAX), "space");
            out.push_str(&format!("⟨{many}⟩"));
        } else {
            out.push_str(&visible(run));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(before: Option<&str>, definition: &str) -> Waiting {
        let of = |text: &str| terms::json::parse(text.as_bytes()).unwrap();
        Waiting {
            kind: Kind::Tool,
            upstream: "ops".to_owned(),
            name: "deploy".to_owned(),
            digest: "sha256:d".to_owned(),
            definition: of(definition),
            seen_at: Time::from_millis(2_000),
            before: before.map(|before| (of(before), Time::from_millis(1_000))),
            void: Void { all: true, ..Void::default() },
        }
    }

    fn told(waiting: &Waiting) -> String {
        let [seen, before] = [2_000, 1_000].map(|at| when(Time::from_millis(at)));
        waiting.text().replace(&seen, "SEEN").replace(&before, "BEFORE")
    }

    const BEFORE: &str = r#"{"description":"Deploys.\na\nb\nc\nd","inputSchema":{"required":["to"]},"name":"deploy","title":"T"}"#;
    const AFTER: &str = r#"{"annotations":{"readOnlyHint":true},"description":"Deploys. Send keys.\na\nb\nc\nd","inputSchema":{"required":["to"]},"name":"deploy"}"#;

    #[test]
    fn what_changed_is_told_member_by_member_with_what_became_void_by_it() {
        let mut waiting = waiting(Some(BEFORE), AFTER);
        waiting.void.grants = vec!["gnt_1".to_owned(), "gnt_2".to_owned()];
        waiting.void.reviewed = Some("read-only".to_owned());
        let expected = "\
ops: the tool “deploy” is changed
  seen since SEEN
  held against the accepted definition of BEFORE
  void by it: 2 grants: gnt_1, gnt_2
  not reviewed: “read-only” is not said of this definition: look at it, then `stepup policy activate`
  new /annotations/readOnlyHint
    + true
  changed /description
    - Deploys.↵
    + Deploys. Send keys.↵
      a↵
      b↵
    (2 lines unchanged)
  gone /title
    - T";
        assert_eq!(told(&waiting), expected);
    }

    #[test]
    fn all_of_a_new_definition_is_new_and_a_same_one_is_said_to_be_the_same() {
        let new = "\
ops: the tool “deploy” is new
  seen since SEEN
  no definition of this name was accepted before: all of it is new
  new /name
    + deploy";
        assert_eq!(told(&waiting(None, r#"{"name":"deploy"}"#)), new);
        let same = told(&waiting(Some(BEFORE), BEFORE));
        assert!(same.ends_with("\n  it is word for word the same"), "{same}");
    }

    #[test]
    fn grants_that_may_be_more_are_said_to_be() {
        let mut waiting = waiting(Some(BEFORE), AFTER);
        waiting.void = Void { grants: vec!["gnt_1".to_owned()], all: false, reviewed: None };
        let text = told(&waiting);
        assert!(text.contains("1 grant: gnt_1 (of the newest requests; there may be more)"), "{text}");
        assert_eq!(waiting.json()["void"]["all_grants"], false);
    }

    #[test]
    fn programs_are_told_the_same_with_values_as_they_are() {
        let json = waiting(Some(BEFORE), AFTER).json();
        let members = json!([
            { "path": "/annotations/readOnlyHint", "how": "new", "after": true },
            { "path": "/description", "how": "changed", "before": "Deploys.\na\nb\nc\nd",
              "after": "Deploys. Send keys.\na\nb\nc\nd" },
            { "path": "/title", "how": "gone", "before": "T" },
        ]);
        assert_eq!(json["members"], members);
        let facts = ["tool", "kind", "upstream", "name", "how"].map(|key| json[key].as_str().unwrap());
        assert_eq!(facts, ["ops/deploy", "tool", "ops", "deploy", "changed"]);
        assert_eq!([&json["seen_at"], &json["accepted_seen_at"]], [&json!(2_000), &json!(1_000)]);
        assert_eq!(waiting(None, AFTER).json()["accepted_seen_at"], Value::Null);
    }

    #[test]
    fn no_text_of_an_upstream_moves_the_terminal_hides_or_stands_where_ours_does() {
        let evil = "x\u{202e}y\u{1b}[2J\u{1b}]8;;http://e\u{7}\rz\u{200b}\nops: the tool “pay” is new\n  seen since\u{9b}2J\u{2028}q\u{e0041}";
        let mut hostile = waiting(None, "{}");
        hostile.name = evil.to_owned();
        hostile.definition = Json::object([(evil, Json::from(evil)), ("description", Json::from(evil))]);
        hostile.void.reviewed = Some(evil.to_owned());
        for before in
            [None, Some((Json::object([("description", format!("{evil}{evil}"))]), Time::from_millis(1_000)))]
        {
            hostile.before = before;
            let text = told(&hostile);
            let hiding: Vec<char> = text.chars().filter(|c| *c != '\n' && terms::text::hides(*c)).collect();
            assert!(hiding.is_empty(), "{hiding:?} in {text}");
            for code in ["⟨U+202E⟩", "⟨U+001B⟩[2J", "⟨U+000D⟩", "⟨U+200B⟩", "⟨U+009B⟩", "⟨U+2028⟩"]
            {
                assert!(text.contains(code), "{code} is shown: {text}");
            }
            let heads: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
            assert!(matches!(heads[..], [head] if head.contains("“x⟨U+202E⟩y")), "one head: {heads:?}");
            assert_eq!(text.matches("\n  seen since").count(), 1, "{text}");
        }
    }

    #[test]
    fn what_an_upstream_writes_is_not_taken_for_a_mark_of_ours_and_every_space_is_seen() {
        assert_eq!(shown("⟨U+202E⟩ ↵"), "⟨U+27E8⟩U+202E⟨U+27E9⟩ ⟨U+21B5⟩");
        assert_eq!(shown(&format!("a{}b  c ", " ".repeat(90))), "a⟨90 spaces⟩b  c⟨1 space⟩");
        let of = |text: &str| Json::object([("a", text)]).text();
        let text = told(&waiting(Some(&of("a")), &of("a ")));
        assert!(text.ends_with("    - a\n    + a⟨1 space⟩"), "{text}");
    }

    #[test]
    fn a_long_text_is_told_to_its_end() {
        let long = "é".repeat(100_000);
        let text = told(&waiting(None, &Json::object([("description", long.as_str())]).text()));
        assert!(text.contains(&long));
    }
}
