//! Requirements as they are written: a tree of evidence, and what the grant will be (policy.md).

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};

use serde::{Deserialize, Deserializer};
use terms::text::hides;
use terms::{Binds, Millis, Requirement, Terms, Tree};

use super::file::span;
use super::wrong::Wrong;

/// One `[requirements.NAME]` table, or a branch inside it; the terms stand beside the outermost branch only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    all: Option<Vec<Self>>,
    any: Option<Vec<Self>>,
    approvals: Option<NonZeroU8>,
    from: Option<String>,
    #[serde(default, deserialize_with = "some_span")]
    owner: Option<Millis>,
    purpose: Option<bool>,
    ticket: Option<String>,
    caller: Option<String>,
    #[serde(default, deserialize_with = "some_span")]
    pending_for: Option<Millis>,
    grant: Option<Grant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Grant {
    #[serde(deserialize_with = "some_span")]
    valid_for: Option<Millis>,
    uses: Option<NonZeroU32>,
    binds: Option<Bound>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`binds` is \"everything\" or a list of JSON Pointers")]
enum Bound {
    Word(String),
    Pointers(Vec<String>),
}

/// How long a request waits, and how long a grant lives that rests on approvals by others.
const FIFTEEN_MINUTES: Millis = Millis::seconds(15 * 60);

/// How long a grant lives that rests on the owner's own confirmation alone.
const FIVE_MINUTES: Millis = Millis::seconds(5 * 60);

fn some_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    span(deserializer).map(Some)
}

const NAME: &str = "use 1 to 64 characters that can be seen: callers and approvers are told it";

/// Every requirement, each as its one part of that name.
pub(super) fn read_all(written: &BTreeMap<String, Written>) -> Result<BTreeMap<String, Requirement>, Wrong> {
    let one = |(name, written): (&String, &Written)| {
        let plain = (1..=64).contains(&name.chars().count()) && !name.chars().any(hides);
        let named = if plain { Ok(()) } else { Err(Wrong::new("cannot be a name").help(NAME)) };
        let read =
            named.and_then(|()| written.read(name)).map_err(|wrong| wrong.within(["requirements", name]));
        read.map(|requirement| (name.clone(), requirement))
    };
    written.iter().map(one).collect()
}

impl Written {
    fn read(&self, name: &str) -> Result<Requirement, Wrong> {
        let tree = self.branch()?;
        if !elevation::asks_people(&tree) {
            let help = "every way to meet it needs `approvals` or `owner`";
            return Err(Wrong::new("can be met without any person's signature").help(help));
        }
        let grant = |wrong: Wrong| wrong.within(["grant"]);
        let written = self.grant.as_ref();
        let valid_for = match written.and_then(|grant| grant.valid_for) {
            Some(span) => span,
            None if others_sign(&tree) => FIFTEEN_MINUTES,
            None => FIVE_MINUTES,
        };
        let terms = Terms {
            pending_for: self.pending_for.unwrap_or(FIFTEEN_MINUTES),
            valid_for,
            uses: written.and_then(|grant| grant.uses).unwrap_or(NonZeroU32::MIN),
            binds: binds(written.and_then(|grant| grant.binds.as_ref())).map_err(grant)?,
        };
        Ok(Requirement { parts: BTreeMap::from([(name.to_owned(), tree)]), terms })
    }

    /// Exactly one kind of evidence in one place.
    fn branch(&self) -> Result<Tree, Wrong> {
        let approvals = match (self.approvals, &self.from) {
            (Some(n), Some(from)) => Some(Ok(Tree::Approvals { n, from: from.clone() })),
            (Some(_), None) => {
                Some(Err(Wrong::new("has `approvals` from nobody").help("write from = \"group\" beside it")))
            }
            (None, Some(_)) => {
                Some(Err(Wrong::new("has `from` without `approvals`").help("write approvals = 1")))
            }
            (None, None) => None,
        };
        let found = [
            self.all.as_deref().map(|parts| branches("all", parts).map(Tree::All)),
            self.any.as_deref().map(|parts| branches("any", parts).map(Tree::Any)),
            approvals,
            self.owner.map(|fresh| Ok(Tree::Owner { fresh })),
            self.purpose.map(purpose),
            self.ticket.as_deref().map(ticket),
            self.caller.as_deref().map(caller),
        ];
        let mut found = found.into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            (None, _) => Err(Wrong::new("asks for no evidence")
                .help("write one of all, any, approvals, owner, purpose, ticket, caller")),
            (Some(_), Some(_)) => Err(Wrong::new("asks for two kinds of evidence in one place")
                .help("put them into `all = [ … ]` or `any = [ … ]`")),
        }
    }
}

/// The parts of `all` or `any`. What the grant will be is said once, outside.
fn branches(key: &str, parts: &[Written]) -> Result<Vec<Tree>, Wrong> {
    let one = |(n, part): (usize, &Written)| {
        let read = if part.pending_for.is_some() || part.grant.is_some() {
            let help = "move them beside `all` or `any`";
            Err(Wrong::new("has `pending_for` or `grant`, which are of the whole requirement").help(help))
        } else {
            part.branch()
        };
        read.map_err(|wrong| wrong.within([key, &n.to_string()]))
    };
    parts.iter().enumerate().map(one).collect()
}

fn purpose(is: bool) -> Result<Tree, Wrong> {
    if is { Ok(Tree::Purpose) } else { Err(Wrong::new("is true or left out").within(["purpose"])) }
}

fn caller(kind: &str) -> Result<Tree, Wrong> {
    match kind {
        "key-bound" => Ok(Tree::KeyBound),
        other => Err(Wrong::new(format!("= {other:?} is no kind of caller"))
            .help("write \"key-bound\"")
            .within(["caller"])),
    }
}

fn ticket(pattern: &str) -> Result<Tree, Wrong> {
    match terms::claim::whole(pattern) {
        Ok(_) => Ok(Tree::Ticket { pattern: pattern.to_owned() }),
        Err(e) => {
            // The last line says what; the ones before draw where.
            let why = e.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let what = format!("= {pattern:?} is not a regular expression: {why}");
            Err(Wrong::new(what).help("write one as in \"OPS-[0-9]+\"").within(["ticket"]))
        }
    }
}

/// Whether somebody else than the owner signs, in some way to meet it.
fn others_sign(tree: &Tree) -> bool {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().any(others_sign),
        Tree::Approvals { .. } => true,
        Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => false,
    }
}

fn binds(written: Option<&Bound>) -> Result<Binds, Wrong> {
    let help = "write \"everything\", or a list of what is bound, as in [\"/version\"]";
    let wrong = |what: String| Wrong::new(what).help(help).within(["binds"]);
    match written {
        None => Ok(Binds::Everything),
        Some(Bound::Word(word)) if word == "everything" => Ok(Binds::Everything),
        Some(Bound::Word(word)) => Err(wrong(format!("= {word:?} is neither \"everything\" nor a list"))),
        Some(Bound::Pointers(list)) => {
            let one = |text: &String| text.parse().map_err(|e| wrong(format!("has {text:?}, which is {e}")));
            list.iter().map(one).collect::<Result<_, _>>().map(Binds::Pointers)
        }
    }
}
