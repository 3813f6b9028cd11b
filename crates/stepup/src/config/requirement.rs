//! Requirements as they are written: a tree of evidence, and what the grant will be (policy.md).

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};

use serde::Deserialize;
use terms::{Binds, Millis, Requirement, Terms, Tree};

use super::file::span;

/// One `[requirements.NAME]` table: a branch, with the terms beside it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(super) struct Written {
    branch: Branch,
    asks: Asks,
}

/// The terms of a table, without its branch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asks {
    #[serde(default = "fifteen_minutes", deserialize_with = "span")]
    pending_for: Millis,
    #[serde(default)]
    grant: Grant,
}

/// The two halves of a table share it; serde's `flatten` would let unknown keys through.
impl TryFrom<toml::Table> for Written {
    type Error = toml::de::Error;

    fn try_from(mut table: toml::Table) -> Result<Self, toml::de::Error> {
        let terms = ["pending_for", "grant"].iter().filter_map(|key| table.remove_entry(*key)).collect();
        Ok(Self { asks: toml::Table::try_into(terms)?, branch: table.try_into()? })
    }
}

/// One branch or leaf.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Branch {
    all: Option<Vec<Branch>>,
    any: Option<Vec<Branch>>,
    approvals: Option<NonZeroU8>,
    from: Option<String>,
    owner: Option<String>,
    purpose: Option<bool>,
    ticket: Option<String>,
    caller: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Grant {
    valid_for: Option<String>,
    uses: Option<NonZeroU32>,
    binds: Option<Bound>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Bound {
    Word(String),
    Pointers(Vec<String>),
}

const fn fifteen_minutes() -> Millis {
    Millis::seconds(15 * 60)
}

/// How long a grant lives that rests on the owner's own confirmation alone.
const FIVE_MINUTES: Millis = Millis::seconds(5 * 60);

/// Every requirement, each as its one part of that name.
pub(super) fn read_all(written: &BTreeMap<String, Written>) -> Result<BTreeMap<String, Requirement>, String> {
    let one = |(name, written): (&String, &Written)| {
        let read = written.read(name).map_err(|e| format!("[requirements.{name}] {e}"));
        read.map(|requirement| (name.clone(), requirement))
    };
    written.iter().map(one).collect()
}

impl Written {
    fn read(&self, name: &str) -> Result<Requirement, String> {
        let tree = self.branch.tree()?;
        if !elevation::asks_people(&tree) {
            return Err("can be met without any person's signature: every way needs `approvals` or `owner`"
                .to_owned());
        }
        let valid_for = match &self.asks.grant.valid_for {
            Some(text) => text.parse().map_err(|e| format!("grant.valid_for: {text:?} is {e}"))?,
            None if others_sign(&tree) => fifteen_minutes(),
            None => FIVE_MINUTES,
        };
        let terms = Terms {
            pending_for: self.asks.pending_for,
            valid_for,
            uses: self.asks.grant.uses.unwrap_or(NonZeroU32::MIN),
            binds: binds(self.asks.grant.binds.as_ref())?,
        };
        Ok(Requirement { parts: BTreeMap::from([(name.to_owned(), tree)]), terms })
    }
}

impl Branch {
    /// Exactly one kind of evidence in one place.
    fn tree(&self) -> Result<Tree, String> {
        let list = |branches: &[Self]| branches.iter().map(Self::tree).collect::<Result<Vec<_>, _>>();
        let approvals = match (self.approvals, &self.from) {
            (Some(n), Some(from)) => Some(Ok(Tree::Approvals { n, from: from.clone() })),
            (Some(_), None) => Some(Err("`approvals` needs `from = \"group\"`".to_owned())),
            (None, Some(_)) => Some(Err("`from` needs `approvals = n`".to_owned())),
            (None, None) => None,
        };
        let found = [
            self.all.as_deref().map(|branches| list(branches).map(Tree::All)),
            self.any.as_deref().map(|branches| list(branches).map(Tree::Any)),
            approvals,
            self.owner.as_deref().map(owner),
            self.purpose.map(purpose),
            self.ticket.as_deref().map(ticket),
            self.caller.as_deref().map(caller),
        ];
        let mut found = found.into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            (None, _) => Err("needs one of all, any, approvals, owner, purpose, ticket, caller".to_owned()),
            (Some(_), Some(_)) => {
                Err("has two kinds of evidence in one place: put them into `all = [ … ]`".to_owned())
            }
        }
    }
}

fn owner(fresh: &str) -> Result<Tree, String> {
    fresh.parse().map(|fresh| Tree::Owner { fresh }).map_err(|e| format!("owner = {fresh:?} is {e}"))
}

fn purpose(is: bool) -> Result<Tree, String> {
    if is { Ok(Tree::Purpose) } else { Err("`purpose` is true or left out".to_owned()) }
}

fn caller(kind: &str) -> Result<Tree, String> {
    match kind {
        "key-bound" => Ok(Tree::KeyBound),
        other => Err(format!("caller = {other:?}: the only kind is \"key-bound\"")),
    }
}

fn ticket(pattern: &str) -> Result<Tree, String> {
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(Tree::Ticket { pattern: pattern.to_owned() }),
        Err(e) => Err(format!("ticket = {pattern:?} is not a regular expression: {e}")),
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

fn binds(written: Option<&Bound>) -> Result<Binds, String> {
    match written {
        None => Ok(Binds::Everything),
        Some(Bound::Word(word)) if word == "everything" => Ok(Binds::Everything),
        Some(Bound::Word(word)) => Err(format!("grant.binds: {word:?} is neither \"everything\" nor a list")),
        Some(Bound::Pointers(list)) => {
            let one = |text: &String| text.parse().map_err(|e| format!("grant.binds: {text:?} is {e}"));
            list.iter().map(one).collect::<Result<_, _>>().map(Binds::Pointers)
        }
    }
}
