//! Whether a requirement was met, judged from the log alone and by other means than the gateway's: no matching is
//! computed, places are filled one by one with a step back where that fails.

use std::collections::BTreeSet;

use terms::statement::Role;
use terms::{HumanId, Requirement, Time, Tree, claim};

use super::{Wrong, surely_after};

/// One vote, as it counted.
pub(super) struct Ballot<'a> {
    pub root: HumanId,
    pub role: Role,
    pub groups: &'a BTreeSet<String>,
    /// When it was given; `None` where that was erased.
    pub at: Option<Time>,
}

/// What had been gathered.
pub(super) struct Evidence<'a> {
    pub ballots: Vec<Ballot<'a>>,
    pub purpose: Option<&'a str>,
    pub ticket: Option<&'a str>,
    pub key_bound: bool,
    pub at: Time,
}

/// The most steps that one part may take: far more than any requirement that people can fill, and little enough
/// that no log makes its reader wait.
const STEPS: u32 = 100_000;

/// The most leaves and branches of one part, which bounds the depth of the search.
const NODES: usize = 512;

/// Every part on its own: an approval counts once in each part, and in every part (decisions A17).
pub(super) fn met(requirement: &Requirement, evidence: &Evidence<'_>) -> Result<(), Wrong> {
    if requirement.parts.is_empty() {
        return Err("its requirement asks for nothing".into());
    }
    for (name, tree) in &requirement.parts {
        if nodes(tree) > NODES {
            return Err(format!("its requirement {name} is too large to check").into());
        }
        let mut search = Search { evidence, taken: BTreeSet::new(), steps: 0 };
        let found = search.fill(&[Todo { tree, placed: 0, after: None }]);
        if search.steps >= STEPS {
            return Err(format!("its requirement {name} is too intricate to check").into());
        }
        if !found {
            return Err(format!("its requirement {name} was not met by the votes in the log").into());
        }
    }
    Ok(())
}

/// Branches, and a place for each approval.
fn nodes(tree: &Tree) -> usize {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().map(nodes).sum::<usize>().saturating_add(1),
        Tree::Approvals { n, .. } => usize::from(n.get()),
        Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => 1,
    }
}

/// One tree that is still to be met, of whose approvals so many have a place. The places of one leaf are filled in the
/// order of the ballots, `after` the last one taken, so that no choice is tried twice.
#[derive(Clone, Copy)]
struct Todo<'a> {
    tree: &'a Tree,
    placed: u8,
    after: Option<usize>,
}

struct Search<'a> {
    evidence: &'a Evidence<'a>,
    taken: BTreeSet<HumanId>,
    steps: u32,
}

impl Search<'_> {
    fn fill(&mut self, todo: &[Todo<'_>]) -> bool {
        self.steps = self.steps.saturating_add(1);
        if self.steps >= STEPS {
            return false;
        }
        let Some((Todo { tree, placed, after }, rest)) = todo.split_first() else { return true };
        match tree {
            // A requirement that asks for nothing is never met, in whatever branch.
            Tree::All(parts) => !parts.is_empty() && self.fill(&ahead(parts, rest)),
            Tree::Any(parts) => parts.chunks(1).any(|part| self.fill(&ahead(part, rest))),
            Tree::Approvals { n, .. } if *placed == n.get() => self.fill(rest),
            Tree::Approvals { from, .. } => self.place(tree, from, *placed, *after, rest),
            Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => {
                self.stands(tree) && self.fill(rest)
            }
        }
    }

    /// Tries every ballot for the next place of one leaf.
    fn place(
        &mut self,
        tree: &Tree,
        from: &str,
        placed: u8,
        after: Option<usize>,
        rest: &[Todo<'_>],
    ) -> bool {
        let evidence = self.evidence;
        let ballots =
            evidence.ballots.iter().enumerate().skip(after.map_or(0, |after| after.saturating_add(1)));
        for (i, ballot) in ballots {
            let may = ballot.role == Role::Approver && ballot.groups.contains(from);
            if !may || !self.taken.insert(ballot.root) {
                continue;
            }
            let next = Todo { tree, placed: placed.saturating_add(1), after: Some(i) };
            if self.fill(&[&[next], rest].concat()) {
                return true;
            }
            self.taken.remove(&ballot.root);
        }
        false
    }

    /// Whether a leaf that takes no place is met.
    fn stands(&self, leaf: &Tree) -> bool {
        let Evidence { ballots, purpose, ticket, key_bound, at } = self.evidence;
        match leaf {
            Tree::Owner { fresh } => ballots.iter().any(|ballot| {
                let fresh = |signed: Time| !surely_after(*at, signed.after(*fresh));
                ballot.role == Role::Owner && ballot.at.is_none_or(fresh)
            }),
            Tree::Purpose => purpose.is_some_and(claim::says_something),
            Tree::Ticket { pattern } => ticket.is_some_and(|ticket| claim::ticket_fits(pattern, ticket)),
            Tree::KeyBound => *key_bound,
            Tree::All(_) | Tree::Any(_) | Tree::Approvals { .. } => false,
        }
    }
}

/// These first, then the rest.
fn ahead<'t>(trees: &'t [Tree], rest: &[Todo<'t>]) -> Vec<Todo<'t>> {
    let first = trees.iter().map(|tree| Todo { tree, placed: 0, after: None });
    first.chain(rest.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use terms::{Binds, Json, Millis, Terms};

    fn requirement(tree: &str) -> Requirement {
        let tree = Tree::from_json(&terms::json::parse(tree.as_bytes()).unwrap()).unwrap();
        let minute = Millis::seconds(60);
        let terms = Terms {
            pending_for: minute,
            valid_for: minute,
            uses: std::num::NonZeroU32::MIN,
            binds: Binds::Everything,
        };
        Requirement { parts: [("part".to_owned(), tree)].into(), terms }
    }

    fn groups(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn judge(tree: &str, voters: &[(u8, Role, &[&str])]) -> bool {
        let groups: Vec<_> = voters.iter().map(|(.., names)| groups(names)).collect();
        let ballot = |((root, role, _), groups): (&(u8, Role, &[&str]), _)| Ballot {
            root: HumanId::from_slice(&[*root; 16]).unwrap(),
            role: *role,
            groups,
            at: Some(Time::from_millis(0)),
        };
        let evidence = Evidence {
            ballots: voters.iter().zip(&groups).map(ballot).collect(),
            purpose: Some(" "),
            ticket: Some("OPS-1"),
            key_bound: false,
            at: Time::from_millis(60_000),
        };
        met(&requirement(tree), &evidence).is_ok()
    }

    const A: Role = Role::Approver;

    #[test]
    fn one_person_in_two_groups_never_fills_two_leaves() {
        let both = r#"{"all":[{"approvals":1,"from":"finance"},{"approvals":1,"from":"security"}]}"#;
        assert!(!judge(both, &[(1, A, &["finance", "security"])]));
        assert!(!judge(both, &[(1, A, &["finance"]), (1, A, &["security"])]));
        assert!(judge(both, &[(1, A, &["finance", "security"]), (2, A, &["finance"])]));
        assert!(judge(both, &[(1, A, &["finance"]), (2, A, &["finance", "security"])]));
    }

    #[test]
    fn as_many_persons_are_needed_as_the_leaf_says() {
        let three = r#"{"approvals":3,"from":"g"}"#;
        let voters: Vec<(u8, Role, &[&str])> = (1..=3).map(|i| (i, A, &["g"][..])).collect();
        assert!(judge(three, &voters));
        assert!(!judge(three, &voters[..2]));
        assert!(!judge(r#"{"approvals":1,"from":"g"}"#, &[(1, A, &["h"])]));
        assert!(!judge(r#"{"approvals":1,"from":"g"}"#, &[(1, Role::Owner, &["g"])]));
    }

    #[test]
    fn one_branch_of_any_is_enough_and_none_is_not() {
        let any = r#"{"any":[{"approvals":2,"from":"g"},{"approvals":1,"from":"h"}]}"#;
        assert!(judge(any, &[(1, A, &["h"])]));
        assert!(!judge(any, &[(1, A, &["g"])]));
        assert!(!judge(r#"{"any":[]}"#, &[(1, A, &["g"])]));
        assert!(!judge(r#"{"any":[{"all":[]},{"all":[{"all":[]}]}]}"#, &[(1, A, &["g"])]));
    }

    #[test]
    fn a_requirement_without_parts_is_never_met() {
        let nothing = Requirement { parts: [].into(), ..requirement(r#"{"purpose":true}"#) };
        let at = Time::from_millis(0);
        let evidence =
            Evidence { ballots: Vec::new(), purpose: Some("why"), ticket: None, key_bound: true, at };
        assert!(met(&nothing, &evidence).is_err());
    }

    #[test]
    fn an_owner_counts_only_while_the_signature_is_fresh() {
        assert!(judge(r#"{"owner":59000}"#, &[(1, Role::Owner, &[])]));
        assert!(!judge(r#"{"owner":58000}"#, &[(1, Role::Owner, &[])]));
        assert!(!judge(r#"{"owner":59000}"#, &[(1, A, &[])]));
    }

    #[test]
    fn a_blank_purpose_is_none_and_a_ticket_matches_as_a_whole() {
        assert!(!judge(r#"{"purpose":true}"#, &[]));
        assert!(judge(r#"{"ticket":"[A-Z]+-[0-9]+"}"#, &[]));
        assert!(!judge(r#"{"ticket":"[A-Z]+-"}"#, &[]));
        assert!(!judge(r#"{"ticket":"("}"#, &[]));
        assert!(!judge(r#"{"caller":"key-bound"}"#, &[]));
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let group = || prop::sample::select(vec!["a", "b"]);
        let leaf = prop_oneof![
            6 => (1_u8..=2, group()).prop_map(|(n, from)| Tree::Approvals { n: n.try_into().unwrap(), from: from.to_owned() }),
            1 => Just(Tree::Owner { fresh: Millis::seconds(60) }),
            1 => Just(Tree::Purpose),
            2 => prop::sample::select(vec!["OPS-[0-9]", "a|ab", "a)|(?:b", "(?m)^a$", ".*"])
                .prop_map(|pattern| Tree::Ticket { pattern: pattern.to_owned() }),
            1 => Just(Tree::KeyBound),
        ];
        leaf.prop_recursive(3, 6, 3, |inner| {
            let some = prop::collection::vec(inner, 0..4);
            prop_oneof![some.clone().prop_map(Tree::All), some.prop_map(Tree::Any)]
        })
    }

    fn signed(root: HumanId, role: Role) -> elevation::Vote {
        let statement = terms::statement::Statement {
            install: terms::InstallId::from_slice(&[0; 16]).unwrap(),
            approver: root,
            credential: String::new(),
            matter: terms::statement::Matter::Act {
                act: "none".to_owned(),
                subject_hash: terms::Digest::plain(b""),
            },
            expires: Time::from_millis(0),
            nonce: String::new(),
        };
        elevation::Vote {
            root,
            human: root,
            name: String::new(),
            role,
            credential: String::new(),
            requirement: requirement(r#"{"purpose":true}"#).hash(),
            card: terms::CardHash::of(&Json::Null),
            statement,
            assertion: Json::Null,
            at: Time::from_millis(0),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Two ways of judging, one answer: what enforcement calls met and nothing else verifies.
        #[test]
        fn the_log_verifies_exactly_what_was_enforced(
            tree in trees(),
            voters in prop::collection::btree_map(
                1_u8..5, prop::collection::btree_set(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]), 0..3), 0..4),
            owner in any::<bool>(),
            purpose in prop::sample::select(vec![None, Some("because"), Some(" "), Some("\u{200b}")]),
            ticket in prop::sample::select(vec![None, Some("OPS-7"), Some("OPS-7\n"), Some("axx"), Some("ab"), Some("a\nb"), Some("\u{200b}")]),
            key_bound in any::<bool>(),
        ) {
            let requirement = Requirement { parts: [("part".to_owned(), tree)].into(), ..requirement(r#"{"purpose":true}"#) };
            let human = |n: u8| HumanId::from_slice(&[n; 16]).unwrap();
            let (the_owner, none, at) = (human(9), BTreeSet::new(), Time::from_millis(60_000));
            let approvers: std::collections::BTreeMap<_, _> = voters.into_iter().map(|(n, groups)| (human(n), groups)).collect();
            let votes = approvers.keys().map(|root| (*root, Role::Approver)).chain(owner.then_some((the_owner, Role::Owner)));
            let votes: Vec<_> = votes.map(|(root, role)| signed(root, role)).collect();
            let ballots = votes.iter().map(|vote| Ballot {
                root: vote.root, role: vote.role, groups: approvers.get(&vote.root).unwrap_or(&none), at: Some(vote.at),
            });
            let judged = met(&requirement, &Evidence { ballots: ballots.collect(), purpose, ticket, key_bound, at });

            let text = |claim: Option<&str>| claim.map(str::to_owned);
            let gathered = elevation::Evidence { votes: votes.clone(), purpose: text(purpose), ticket: text(ticket), key_bound };
            let eligible = elevation::Eligible { approvers: approvers.clone(), owners: [the_owner].into() };
            let weighed = elevation::weigh(&requirement, &gathered, &eligible, at);
            prop_assert_eq!(judged.is_ok(), matches!(weighed, elevation::Weighed::Met(_)), "{:?}", weighed);
        }
    }

    #[test]
    fn a_requirement_made_to_be_hard_ends_as_not_met() {
        let leaf = Json::object([("approvals", Json::from(20_u32)), ("from", Json::from("g"))]).text();
        let hard = format!(r#"{{"all":[{leaf},{leaf},{leaf}]}}"#);
        let voters: Vec<(u8, Role, &[&str])> = (1..60).map(|i| (i, A, &["g"][..])).collect();
        assert!(!judge(&hard, &voters));
        let large = format!(r#"{{"all":[{}{leaf}]}}"#, format!("{leaf},").repeat(40));
        assert!(!judge(&large, &voters));
    }
}
