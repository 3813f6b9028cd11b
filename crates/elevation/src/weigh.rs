//! Evidence held against a requirement.
//!
//! Within one part of a requirement an approval fills at most one `approvals` leaf: "1 of finance and 1 of
//! security" is two people (decisions A17). Across joined parts it counts in each.

use std::collections::{BTreeMap, BTreeSet};

use terms::statement::Role;
use terms::{HumanId, Millis, Requirement, Time, Tree, claim};

use crate::Vote;

/// What has been gathered for an elevation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Signed consents.
    pub votes: Vec<Vote>,
    /// Why, as the caller says.
    pub purpose: Option<String>,
    /// Under which ticket, as the caller says.
    pub ticket: Option<String>,
    /// Whether the caller proved a key.
    pub key_bound: bool,
}

/// Who counts today: judged at each vote and again at use (R9). Roots, not identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligible {
    /// Who may approve, with the groups that each is in. Nobody behind the caller is in it; an owner who were
    /// would not count.
    pub approvers: BTreeMap<HumanId, BTreeSet<String>>,
    /// Who may confirm as the caller's owner.
    pub owners: BTreeSet<HumanId>,
}

impl Eligible {
    /// Whether this person may fill a place of an `approvals` leaf of that group.
    fn may_approve(&self, root: HumanId, from: &str) -> bool {
        !self.owners.contains(&root) && self.approvers.get(&root).is_some_and(|groups| groups.contains(from))
    }
}

/// What was weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// Every part is met.
    Met(Matching),
    /// Something is missing.
    Missing(Progress),
}

/// Which humans fill which leaves, part by part: what the record of the grant says.
pub type Matching = Vec<(String, Vec<Leaf>)>;

/// How far each leaf is.
pub type Progress = Vec<(String, Vec<Leaf>)>;

/// One line of a requirement, as people and callers are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Which leaf of the tree.
    pub leaf: Tree,
    /// The humans that fill it.
    pub by: Vec<HumanId>,
    /// How many fill it so far, and how many it takes.
    pub count: (u32, u32),
}

impl Leaf {
    /// Whether it is met.
    #[must_use]
    pub const fn met(&self) -> bool {
        self.count.0 >= self.count.1
    }

    /// In plain words, for people.
    #[must_use]
    pub fn says(&self) -> String {
        match &self.leaf {
            Tree::Approvals { n, from } if n.get() == 1 => format!("1 approval from {from}"),
            Tree::Approvals { n, from } => format!("{n} approvals from {from}"),
            Tree::Owner { fresh } => format!("the owner confirms, signed at most {fresh} ago"),
            Tree::Purpose => "the caller says why".to_owned(),
            Tree::Ticket { pattern } => format!("the caller names a ticket like {pattern}"),
            Tree::KeyBound => "the caller proves its key".to_owned(),
            Tree::All(_) | Tree::Any(_) => "something that nobody can give".to_owned(),
        }
    }

    /// The same for the caller: no names and no groups (T124).
    #[must_use]
    pub fn told(&self) -> String {
        match &self.leaf {
            Tree::Approvals { n, .. } if n.get() == 1 => "approval by a person".to_owned(),
            Tree::Approvals { n, .. } => format!("approval by {n} people"),
            Tree::Owner { .. } => "confirmation by the owner of this caller".to_owned(),
            Tree::Purpose => "a purpose: say why".to_owned(),
            Tree::Ticket { pattern } => format!("a ticket like {pattern}"),
            Tree::KeyBound => "a proved key".to_owned(),
            Tree::All(_) | Tree::Any(_) => "something that nobody can give".to_owned(),
        }
    }
}

/// The most ways of choosing branches of `any` that one part may have; a part with more is never met, and
/// `check` says so.
pub const WAYS: usize = 256;

/// Holds the evidence against the requirement. `met_at` is the moment at which it is to be met: now while
/// it is pending, the moment of the grant when it is weighed again at use. Votes that signed another
/// requirement must have been left out by the caller.
#[must_use]
pub fn weigh(requirement: &Requirement, evidence: &Evidence, eligible: &Eligible, met_at: Time) -> Weighed {
    let scales = Scales { evidence, eligible, met_at };
    let parts: Progress =
        requirement.parts.iter().map(|(name, tree)| (name.clone(), scales.part(tree))).collect();
    if parts.iter().all(|(_, leaves)| leaves.iter().all(Leaf::met)) && !parts.is_empty() {
        Weighed::Met(parts)
    } else {
        Weighed::Missing(parts)
    }
}

/// Whether the people who count today could meet the requirement at all, if everyone said yes. One that nobody
/// can meet is denied rather than left waiting.
#[must_use]
pub fn attainable(requirement: &Requirement, eligible: &Eligible, key_bound: bool) -> bool {
    let everyone: BTreeSet<HumanId> = eligible.approvers.keys().copied().collect();
    let way_open = |way: &Vec<&Tree>| {
        let filled = matching(way, &everyone, eligible);
        way.iter().enumerate().all(|(i, leaf)| match leaf {
            Tree::Approvals { n, .. } => filled.get(&i).map_or(0, Vec::len) >= usize::from(n.get()),
            Tree::Owner { .. } => !eligible.owners.is_empty(),
            Tree::KeyBound => key_bound,
            Tree::Ticket { pattern } => claim::whole(pattern).is_ok(),
            Tree::Purpose => true,
            Tree::All(_) | Tree::Any(_) => false,
        })
    };
    let possible = |tree: &Tree| {
        let ways = ways(tree);
        ways.len() <= WAYS && ways.iter().any(way_open)
    };
    !requirement.parts.is_empty() && requirement.parts.values().all(possible)
}

/// Whether every way to meet a tree takes a person's signature: there is no weaker kind of approval.
#[must_use]
pub fn asks_people(tree: &Tree) -> bool {
    let signs = |leaf: &&Tree| matches!(leaf, Tree::Approvals { .. } | Tree::Owner { .. });
    let ways = ways(tree);
    (1..=WAYS).contains(&ways.len()) && ways.iter().all(|way| way.iter().any(signs))
}

struct Scales<'a> {
    evidence: &'a Evidence,
    eligible: &'a Eligible,
    met_at: Time,
}

impl Scales<'_> {
    /// The leaves of the best way through a tree: the one that lacks least.
    fn part(&self, tree: &Tree) -> Vec<Leaf> {
        let mut ways = ways(tree);
        if ways.len() > WAYS {
            ways.clear();
        }
        let lacking =
            |leaves: &Vec<Leaf>| leaves.iter().map(|l| l.count.1.saturating_sub(l.count.0)).sum::<u32>();
        let never = || vec![Leaf { leaf: Tree::Any(Vec::new()), by: Vec::new(), count: (0, 1) }];
        ways.iter().map(|way| self.fill(way)).min_by_key(lacking).unwrap_or_else(never)
    }

    /// Fills the leaves of one way; approvals by maximum matching.
    fn fill(&self, way: &[&Tree]) -> Vec<Leaf> {
        let voters: BTreeSet<HumanId> =
            self.evidence.votes.iter().filter(|v| v.role == Role::Approver).map(|v| v.root).collect();
        let mut matched = matching(way, &voters, self.eligible);
        way.iter()
            .enumerate()
            .map(|(i, leaf)| {
                let by = matched.remove(&i).unwrap_or_default();
                let (have, need) = self.count(leaf, &by);
                let by = if let Tree::Owner { fresh } = leaf { self.owners(*fresh) } else { by };
                Leaf { leaf: (*leaf).clone(), by, count: (have, need) }
            })
            .collect()
    }

    fn count(&self, leaf: &Tree, by: &[HumanId]) -> (u32, u32) {
        match leaf {
            Tree::Approvals { n, .. } => (u32::try_from(by.len()).unwrap_or(u32::MAX), u32::from(n.get())),
            Tree::Owner { fresh } => (u32::from(!self.owners(*fresh).is_empty()), 1),
            Tree::Purpose => {
                (u32::from(self.evidence.purpose.as_deref().is_some_and(claim::says_something)), 1)
            }
            Tree::Ticket { pattern } => (u32::from(self.ticket(pattern)), 1),
            Tree::KeyBound => (u32::from(self.evidence.key_bound), 1),
            Tree::All(_) | Tree::Any(_) => (0, 1),
        }
    }

    fn ticket(&self, pattern: &str) -> bool {
        self.evidence.ticket.as_deref().is_some_and(|ticket| claim::ticket_fits(pattern, ticket))
    }

    /// Owners who confirmed, and whose signature was fresh enough when the requirement was met.
    fn owners(&self, fresh: Millis) -> Vec<HumanId> {
        let confirmed = |vote: &&Vote| {
            vote.role == Role::Owner
                && self.eligible.owners.contains(&vote.root)
                && self.met_at.since(vote.at) <= fresh
        };
        let roots: BTreeSet<HumanId> =
            self.evidence.votes.iter().filter(confirmed).map(|vote| vote.root).collect();
        roots.into_iter().collect()
    }
}

/// One `approvals` leaf while people are placed in it.
struct Seats<'t> {
    leaf: usize,
    from: &'t str,
    n: usize,
    by: Vec<HumanId>,
}

/// Which roots fill which leaf: a maximum matching, one root after the other.
fn matching(way: &[&Tree], roots: &BTreeSet<HumanId>, eligible: &Eligible) -> BTreeMap<usize, Vec<HumanId>> {
    let mut seats = Vec::new();
    for (leaf, tree) in way.iter().enumerate() {
        if let Tree::Approvals { n, from } = tree {
            seats.push(Seats { leaf, from, n: usize::from(n.get()), by: Vec::new() });
        }
    }
    for root in roots {
        place(*root, &mut seats, eligible, &mut BTreeSet::new());
    }
    seats.into_iter().map(|seats| (seats.leaf, seats.by)).collect()
}

/// Kuhn's augmenting step: a seat for `root`, where need be one that its holder leaves for another leaf.
fn place(root: HumanId, seats: &mut [Seats], eligible: &Eligible, seen: &mut BTreeSet<usize>) -> bool {
    for at in 0..seats.len() {
        let Some(leaf) = seats.get_mut(at).filter(|leaf| eligible.may_approve(root, leaf.from)) else {
            continue;
        };
        if !seen.insert(at) {
            continue;
        }
        if leaf.by.len() < leaf.n {
            leaf.by.push(root);
            return true;
        }
        let holders = leaf.by.clone();
        let moved = holders.into_iter().position(|holder| place(holder, seats, eligible, seen));
        if let Some(seat) = moved.and_then(|seat| seats.get_mut(at)?.by.get_mut(seat)) {
            *seat = root;
            return true;
        }
    }
    false
}

/// Every choice of branches as a flat list of leaves; more than [`WAYS`] are not enumerated. A branch that asks
/// for nothing is not a way of meeting anything.
#[must_use]
pub(crate) fn ways(tree: &Tree) -> Vec<Vec<&Tree>> {
    match tree {
        Tree::All(parts) if parts.is_empty() => Vec::new(),
        Tree::All(parts) => parts.iter().fold(vec![Vec::new()], |so_far, part| {
            let more = ways(part);
            let joined =
                so_far.iter().flat_map(|a| more.iter().map(move |b| [a.as_slice(), b.as_slice()].concat()));
            joined.take(WAYS + 1).collect()
        }),
        Tree::Any(parts) => parts.iter().flat_map(ways).take(WAYS + 1).collect(),
        Tree::Approvals { .. }
        | Tree::Owner { .. }
        | Tree::Purpose
        | Tree::Ticket { .. }
        | Tree::KeyBound => {
            vec![vec![tree]]
        }
    }
}
