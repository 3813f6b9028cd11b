//! Evidence against requirements (A17, B24, R9).

use elevation::{Eligible, Evidence, Vote, WAYS, Weighed, attainable, weigh};
use proptest::prelude::*;
use proptest::test_runner::Config;
use terms::statement::Role;
use terms::{HumanId, Millis, Requirement, Time, Tree};

use crate::support::{NOW, approvals, eligible, human, people, requirement, vote};

const FRESH: u64 = 100;
const GROUPS: [&str; 3] = ["a", "b", "c"];

fn met(requirement: &Requirement, evidence: &Evidence, eligible: &Eligible) -> bool {
    matches!(weigh(requirement, evidence, eligible, NOW), Weighed::Met(_))
}

// The oracle: every way of giving each approver's one signature to a leaf or to none is tried, and the tree is then
// read as it is written. It knows nothing of ways, slots or augmenting paths.

fn approval_leaves<'t>(tree: &'t Tree, out: &mut Vec<&'t Tree>) {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| approval_leaves(part, out)),
        Tree::Approvals { .. } => out.push(tree),
        Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => {}
    }
}

struct Oracle<'a> {
    evidence: &'a Evidence,
    eligible: &'a Eligible,
    now: Time,
}

impl Oracle<'_> {
    fn met(&self, requirement: &Requirement) -> bool {
        !requirement.parts.is_empty() && requirement.parts.values().all(|tree| self.part(tree))
    }

    fn part(&self, tree: &Tree) -> bool {
        let mut voters: Vec<HumanId> =
            self.evidence.votes.iter().filter(|v| v.role == Role::Approver).map(|v| v.root).collect();
        voters.sort_unstable();
        voters.dedup();
        let mut leaves = Vec::new();
        approval_leaves(tree, &mut leaves);
        let choices = leaves.len() + 1;
        (0..choices.pow(u32::try_from(voters.len()).unwrap())).any(|mut code| {
            let mut given = vec![Vec::new(); choices];
            for voter in &voters {
                given[code % choices].push(*voter);
                code /= choices;
            }
            self.holds(tree, &given, &mut 0)
        })
    }

    fn holds(&self, tree: &Tree, given: &[Vec<HumanId>], next: &mut usize) -> bool {
        let votes = &self.evidence.votes;
        match tree {
            Tree::All(parts) => {
                let held: Vec<bool> = parts.iter().map(|part| self.holds(part, given, next)).collect();
                !held.is_empty() && held.iter().all(|held| *held)
            }
            Tree::Any(parts) => {
                let held: Vec<bool> = parts.iter().map(|part| self.holds(part, given, next)).collect();
                held.iter().any(|held| *held)
            }
            Tree::Approvals { n, from } => {
                let counted = given[*next].iter().filter(|root| {
                    let groups = self.eligible.approvers.get(root);
                    groups.is_some_and(|g| g.contains(from)) && !self.eligible.owners.contains(root)
                });
                *next += 1;
                counted.count() >= usize::from(n.get())
            }
            Tree::Owner { fresh } => votes.iter().any(|v| {
                v.role == Role::Owner
                    && self.eligible.owners.contains(&v.root)
                    && self.now.millis() - v.at.millis() <= i64::try_from(fresh.get()).unwrap()
            }),
            Tree::Purpose => self.evidence.purpose.as_deref() == Some("because"),
            Tree::Ticket { pattern } => match (pattern.as_str(), self.evidence.ticket.as_deref()) {
                ("OPS-[0-9]", Some(ticket)) => {
                    ticket.len() == 5 && ticket.starts_with("OPS-") && ticket.as_bytes()[4].is_ascii_digit()
                }
                ("a|ab", Some(ticket)) => ticket == "a" || ticket == "ab",
                _ => false,
            },
            Tree::KeyBound => self.evidence.key_bound,
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let group = || prop::sample::select(GROUPS.to_vec());
    let leaf = prop_oneof![
        6 => (1_u8..=3, group()).prop_map(|(n, from)| people(n, from)),
        1 => Just(Tree::Owner { fresh: Millis::new(FRESH) }),
        1 => Just(Tree::Purpose),
        1 => prop::sample::select(vec!["OPS-[0-9]", "a|ab", "("]).prop_map(|p| Tree::Ticket { pattern: p.to_owned() }),
        1 => Just(Tree::KeyBound),
    ];
    leaf.prop_recursive(3, 6, 3, |inner| {
        let some = prop::collection::vec(inner, 0..4);
        prop_oneof![some.clone().prop_map(Tree::All), some.prop_map(Tree::Any)]
    })
    .prop_filter("few enough leaves to try every assignment", |tree| {
        let mut leaves = Vec::new();
        approval_leaves(tree, &mut leaves);
        leaves.len() <= 5
    })
}

fn some_requirement() -> impl Strategy<Value = Requirement> {
    prop::collection::btree_map("[pq]", tree(), 0..3)
        .prop_map(|parts| Requirement { parts, ..requirement(Tree::Purpose) })
}

fn some_vote() -> impl Strategy<Value = Vote> {
    let role = prop_oneof![3 => Just(Role::Approver), 1 => Just(Role::Owner)];
    (0_u8..4, role, prop_oneof![Just(0), Just(FRESH), Just(FRESH + 1)])
        .prop_map(|(root, role, ago)| vote(root, role, ago))
}

fn some_evidence() -> impl Strategy<Value = Evidence> {
    let purpose = prop::sample::select(vec![None, Some("because"), Some(" "), Some("\u{200b}")]);
    let ticket = prop::sample::select(vec![
        None,
        Some("OPS-7"),
        Some("XOPS-7"),
        Some("OPS-7\n"),
        Some("ab"),
        Some(""),
    ]);
    (prop::collection::vec(some_vote(), 0..6), purpose, ticket, any::<bool>()).prop_map(
        |(votes, purpose, ticket, key_bound)| Evidence {
            votes,
            purpose: purpose.map(str::to_owned),
            ticket: ticket.map(str::to_owned),
            key_bound,
        },
    )
}

fn some_eligible() -> impl Strategy<Value = Eligible> {
    let groups = prop::collection::btree_set(prop::sample::select(GROUPS.map(str::to_owned).to_vec()), 0..=3);
    (
        prop::collection::btree_map((0_u8..4).prop_map(human), groups, 0..5),
        prop::collection::btree_set((0_u8..4).prop_map(human), 0..2),
    )
        .prop_map(|(approvers, owners)| Eligible { approvers, owners })
}

fn config() -> Config {
    Config { cases: 3_000, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn evidence_meets_a_requirement_iff_some_assignment_of_signatures_does(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(),
    ) {
        let oracle = Oracle { evidence: &evidence, eligible: &eligible, now: NOW };
        prop_assert_eq!(met(&requirement, &evidence, &eligible), oracle.met(&requirement));
    }

    /// What the record of the grant says: each leaf filled, by people who may, nobody twice within one part.
    #[test]
    fn the_matching_of_a_met_requirement_is_one(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(),
    ) {
        let Weighed::Met(matching) = weigh(&requirement, &evidence, &eligible, NOW) else { return Ok(()) };
        prop_assert_eq!(matching.iter().map(|(name, _)| name).collect::<Vec<_>>(), requirement.parts.keys().collect::<Vec<_>>());
        for (_, leaves) in matching {
            prop_assert!(!leaves.is_empty());
            let mut counted = Vec::new();
            for leaf in leaves {
                prop_assert!(leaf.met() && leaf.count.1 >= 1);
                let Tree::Approvals { n, from } = &leaf.leaf else { continue };
                prop_assert!(leaf.by.len() >= usize::from(n.get()));
                prop_assert!(leaf.by.iter().all(|root| eligible.approvers[root].contains(from)));
                prop_assert!(leaf.by.iter().all(|root| evidence.votes.iter().any(|v| v.root == *root && v.role == Role::Approver)));
                counted.extend(leaf.by);
            }
            let all = counted.len();
            counted.sort_unstable();
            counted.dedup();
            prop_assert_eq!(counted.len(), all, "somebody counts twice");
        }
    }

    #[test]
    fn another_vote_never_unmeets(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(), more in some_vote(),
    ) {
        let before = met(&requirement, &evidence, &eligible);
        let mut evidence = evidence;
        evidence.votes.push(more);
        prop_assert!(met(&requirement, &evidence, &eligible) >= before);
    }

    #[test]
    fn the_order_of_votes_and_of_branches_does_not_matter(
        tree in tree(), evidence in some_evidence(), eligible in some_eligible(),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut turned = evidence.clone();
        turned.votes.reverse();
        if !turned.votes.is_empty() {
            let by = turn.index(turned.votes.len());
            turned.votes.rotate_left(by);
        }
        let mirrored = mirror(&tree);
        prop_assert_eq!(weigh(&requirement(tree.clone()), &turned, &eligible, NOW), weigh(&requirement(tree.clone()), &evidence, &eligible, NOW));
        prop_assert_eq!(met(&requirement(mirrored), &evidence, &eligible), met(&requirement(tree), &evidence, &eligible));
    }

    #[test]
    fn a_vote_of_somebody_who_may_not_never_counts(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(), role in prop::sample::select(vec![Role::Approver, Role::Owner]),
    ) {
        let mut more = evidence.clone();
        more.votes.push(vote(9, role, 0));
        prop_assert_eq!(weigh(&requirement, &more, &eligible, NOW), weigh(&requirement, &evidence, &eligible, NOW));
    }

    #[test]
    fn a_person_who_signs_twice_counts_once(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(),
    ) {
        let mut twice = evidence.clone();
        for vote in &evidence.votes {
            // A second identity of the same person, with another passkey.
            twice.votes.push(Vote { human: human(200), name: "alias".to_owned(), credential: "other".to_owned(), ..vote.clone() });
        }
        prop_assert_eq!(weigh(&requirement, &twice, &eligible, NOW), weigh(&requirement, &evidence, &eligible, NOW));
    }

    #[test]
    fn what_meets_a_join_meets_both(
        a in some_requirement(), b in some_requirement(), evidence in some_evidence(), eligible in some_eligible(),
    ) {
        if met(&a.join(&b), &evidence, &eligible) {
            prop_assert!(a.parts.is_empty() || met(&a, &evidence, &eligible));
            prop_assert!(b.parts.is_empty() || met(&b, &evidence, &eligible));
        }
    }

    #[test]
    fn what_is_met_was_attainable_and_what_is_attainable_can_be_met(
        requirement in some_requirement(), evidence in some_evidence(), eligible in some_eligible(),
    ) {
        if met(&requirement, &evidence, &eligible) {
            prop_assert!(attainable(&requirement, &eligible, evidence.key_bound));
        }
        let mut votes: Vec<Vote> = (0..4).map(|root| vote(root, Role::Approver, 0)).collect();
        votes.extend((0..4).map(|root| vote(root, Role::Owner, 0)));
        let met_by_everyone = ["OPS-7", "ab"].map(|ticket| {
            let all = Evidence {
                votes: votes.clone(), purpose: Some("because".to_owned()), ticket: Some(ticket.to_owned()), key_bound: evidence.key_bound,
            };
            met(&requirement, &all, &eligible)
        });
        let reachable = attainable(&requirement, &eligible, evidence.key_bound);
        prop_assert!(reachable || met_by_everyone == [false, false]);
        // Two tickets that no one text can be are beyond what is asked here.
        prop_assert!(!reachable || met_by_everyone.contains(&true) || tickets(&requirement) > 1);
    }
}

fn tickets(requirement: &Requirement) -> usize {
    requirement.parts.values().map(|tree| format!("{tree:?}").matches("Ticket").count()).sum()
}

fn mirror(tree: &Tree) -> Tree {
    let turned = |parts: &[Tree]| parts.iter().rev().map(mirror).collect();
    match tree {
        Tree::All(parts) => Tree::All(turned(parts)),
        Tree::Any(parts) => Tree::Any(turned(parts)),
        Tree::Approvals { .. }
        | Tree::Owner { .. }
        | Tree::Purpose
        | Tree::Ticket { .. }
        | Tree::KeyBound => tree.clone(),
    }
}

#[test]
fn one_person_in_both_groups_is_not_two_people() {
    let both = Tree::All(vec![people(1, "finance"), people(1, "security")]);
    let who = eligible(&[(1, &["finance", "security"]), (2, &["security"])], &[]);
    assert!(!met(&requirement(both.clone()), &approvals(&[1]), &who));
    assert!(met(&requirement(both), &approvals(&[1, 2]), &who), "the one in both moves to finance");
}

#[test]
fn across_joined_parts_one_person_counts_in_each() {
    let part = |name: &str, tree: Tree| Requirement {
        parts: [(name.to_owned(), tree)].into(),
        ..requirement(Tree::Purpose)
    };
    let joined = part("money", people(1, "finance")).join(&part("safety", people(1, "security")));
    let who = eligible(&[(1, &["finance", "security"])], &[]);
    assert!(met(&joined, &approvals(&[1]), &who));
}

#[test]
fn the_order_in_which_people_sign_strands_nobody() {
    // Each newcomer fits only where somebody sits who can move on: 4 → a, 3: a → b, 2: b → c, 1: c → d.
    let tree = Tree::All(["a", "b", "c", "d"].map(|g| people(1, g)).to_vec());
    let who = eligible(&[(1, &["a", "b"]), (2, &["b", "c"]), (3, &["c", "d"]), (4, &["a"])], &[]);
    assert!(met(&requirement(tree.clone()), &approvals(&[1, 2, 3, 4]), &who));
    assert!(met(&requirement(tree), &approvals(&[4, 3, 2, 1]), &who));
}

#[test]
fn an_owners_signature_never_fills_an_approval_nor_an_approvers_an_owners() {
    let who = eligible(&[(1, &["ops"]), (2, &["ops"])], &[1]);
    let owner = Tree::Owner { fresh: Millis::seconds(120) };
    let signed = |root, role| Evidence { votes: vec![vote(root, role, 0)], ..Evidence::default() };
    assert!(met(&requirement(owner.clone()), &signed(1, Role::Owner), &who));
    assert!(!met(&requirement(owner), &signed(1, Role::Approver), &who), "an owner who signs as an approver");
    assert!(
        !met(&requirement(people(1, "ops")), &signed(2, Role::Owner), &who),
        "an approver who signs as an owner"
    );
    assert!(met(&requirement(people(1, "ops")), &signed(2, Role::Approver), &who));
    assert!(
        !met(&requirement(people(1, "ops")), &signed(1, Role::Approver), &who),
        "an owner who is in the group"
    );
    assert!(!attainable(&requirement(people(2, "ops")), &who, false));
}

#[test]
fn an_owners_signature_counts_only_while_it_is_fresh() {
    let owner = requirement(Tree::Owner { fresh: Millis::seconds(120) });
    let who = eligible(&[], &[1]);
    let signed = |ago| Evidence { votes: vec![vote(1, Role::Owner, ago)], ..Evidence::default() };
    assert!(met(&owner, &signed(120_000), &who));
    assert!(!met(&owner, &signed(120_001), &who));
    // At use the moment of the grant counts, not the moment of the use.
    let later = NOW.after(Millis::seconds(600));
    assert!(matches!(weigh(&owner, &signed(0), &who, later), Weighed::Missing(_)));
}

#[test]
fn a_ticket_matches_from_its_first_character_to_its_last() {
    let table = [
        ("OPS-[0-9]+", "OPS-17", true),
        ("OPS-[0-9]+", "xOPS-17", false),
        ("OPS-[0-9]+", "OPS-17x", false),
        ("OPS-[0-9]+", "OPS-17\n", false),
        ("OPS-[0-9]+", "\nOPS-17", false),
        ("OPS-[0-9]+", "", false),
        ("a|ab", "ab", true),
        ("a|ab", "abc", false),
        ("a|ab", "xa", false),
        ("(?m)a", "a\nb", false),
        ("(?m)^a$", "b\na", false),
        ("(?s).*", "any\nthing", true),
        (".*", "", false),
        (".*", " \u{200b}", false),
        ("(?i)ops", "OPS", true),
        // Neither is a pattern by itself, so neither may become one inside the anchors.
        ("a)|(?:b", "axx", false),
        ("a)|(?:b", "a", false),
        ("(", "(", false),
        ("(?x)OPS # comment", "OPS", false),
        // Too big to compile within its budget.
        ("(a{1000}){1000}", "a", false),
    ];
    for (pattern, ticket, expected) in table {
        let evidence = Evidence { ticket: Some(ticket.to_owned()), ..Evidence::default() };
        let tree = Tree::Ticket { pattern: pattern.to_owned() };
        assert_eq!(
            met(&requirement(tree), &evidence, &Eligible::default()),
            expected,
            "{pattern} on {ticket:?}"
        );
    }
    for (pattern, expected) in [("OPS-[0-9]+", true), ("(", false), ("a)|(?:b", false)] {
        let tree = Tree::Ticket { pattern: pattern.to_owned() };
        assert_eq!(attainable(&requirement(tree), &Eligible::default(), false), expected, "{pattern}");
    }
}

#[test]
fn a_purpose_that_says_nothing_is_none() {
    for (purpose, expected) in [
        (None, false),
        (Some(""), false),
        (Some(" \t\n\u{a0}"), false),
        (Some("\u{200b}\u{2060}"), false),
        (Some("x"), true),
    ] {
        let evidence = Evidence { purpose: purpose.map(str::to_owned), ..Evidence::default() };
        assert_eq!(
            met(&requirement(Tree::Purpose), &evidence, &Eligible::default()),
            expected,
            "{purpose:?}"
        );
    }
}

/// Everything that anybody could give.
fn plenty() -> (Evidence, Eligible) {
    let who = eligible(&[(1, &["a", "b", "c"]), (2, &["a", "b", "c"])], &[3]);
    let mut evidence = approvals(&[1, 2]);
    evidence.votes.push(vote(3, Role::Owner, 0));
    (
        Evidence {
            purpose: Some("because".to_owned()),
            ticket: Some("OPS-7".to_owned()),
            key_bound: true,
            ..evidence
        },
        who,
    )
}

#[test]
fn what_asks_for_nothing_is_never_met() {
    let (evidence, who) = plenty();
    let empty = Requirement { parts: [].into(), ..requirement(Tree::Purpose) };
    assert!(!met(&empty, &evidence, &who) && !attainable(&empty, &who, true));
    let nothing = || Tree::All(Vec::new());
    let never = [
        nothing(),
        Tree::Any(Vec::new()),
        Tree::All(vec![nothing()]),
        Tree::Any(vec![nothing()]),
        Tree::All(vec![Tree::Purpose, nothing()]),
        Tree::All(vec![Tree::Purpose, Tree::Any(Vec::new())]),
    ];
    for tree in never {
        assert!(!met(&requirement(tree.clone()), &evidence, &who), "{tree:?}");
        assert!(!attainable(&requirement(tree.clone()), &who, true), "{tree:?}");
        assert!(
            !met(&requirement(tree.clone()).join(&requirement(Tree::Purpose)), &evidence, &who),
            "{tree:?} joined"
        );
    }
    assert!(met(&requirement(Tree::Any(vec![nothing(), Tree::Purpose])), &evidence, &who));
}

#[test]
fn one_part_that_is_missing_is_enough_to_miss() {
    let (evidence, who) = plenty();
    let parts = [("a".to_owned(), Tree::Purpose), ("b".to_owned(), people(3, "a"))].into();
    let weighed = weigh(&Requirement { parts, ..requirement(Tree::Purpose) }, &evidence, &who, NOW);
    let Weighed::Missing(progress) = weighed else { panic!("three people are not there") };
    let counts: Vec<_> =
        progress.iter().flat_map(|(_, leaves)| leaves).map(|leaf| (leaf.says(), leaf.count)).collect();
    assert_eq!(
        counts,
        [("the caller says why".to_owned(), (1, 1)), ("3 approvals from a".to_owned(), (2, 3))]
    );
}

#[test]
fn what_has_more_ways_than_can_be_tried_is_never_met() {
    let (evidence, who) = plenty();
    let any = |n: usize| Tree::Any(vec![Tree::Purpose; n]);
    assert!(met(&requirement(any(WAYS)), &evidence, &who));
    let two = || Tree::Any(vec![Tree::Purpose, Tree::KeyBound]);
    assert!(met(&requirement(Tree::All((0..8).map(|_| two()).collect())), &evidence, &who), "2^8 ways");
    let too_many = [
        any(WAYS + 1),
        any(100_000),
        Tree::All((0..9).map(|_| two()).collect()),
        Tree::All((0..500).map(|_| two()).collect()),
        Tree::Any(vec![Tree::All(vec![any(20), any(20)]), Tree::Purpose]),
        Tree::All(vec![any(WAYS + 1), Tree::Purpose]),
    ];
    for tree in too_many {
        assert!(!met(&requirement(tree.clone()), &evidence, &who));
        assert!(!attainable(&requirement(tree), &who, true));
    }
}

#[test]
fn of_several_ways_the_nearest_is_shown() {
    let tree = Tree::Any(vec![people(3, "a"), Tree::All(vec![people(1, "b"), Tree::Purpose])]);
    let who = eligible(&[(1, &["a"]), (2, &["b"])], &[]);
    let Weighed::Missing(progress) = weigh(&requirement(tree), &approvals(&[2]), &who, NOW) else {
        panic!("no purpose")
    };
    let lines: Vec<_> = progress[0].1.iter().map(|leaf| (leaf.says(), leaf.by.clone(), leaf.met())).collect();
    assert_eq!(
        lines,
        [
            ("1 approval from b".to_owned(), vec![human(2)], true),
            ("the caller says why".to_owned(), vec![], false)
        ]
    );
}

/// T124: names and groups are for the console and the record.
#[test]
fn a_caller_is_told_no_group() {
    let (evidence, who) = plenty();
    let tree = Tree::All(vec![
        people(1, "secret-group"),
        people(2, "secret-group"),
        Tree::Owner { fresh: Millis::seconds(120) },
    ]);
    let Weighed::Missing(progress) = weigh(&requirement(tree), &evidence, &who, NOW) else {
        panic!("nobody is in it")
    };
    let told: Vec<_> = progress[0].1.iter().map(elevation::Leaf::told).collect();
    assert_eq!(
        told,
        ["approval by a person", "approval by 2 people", "confirmation by the owner of this caller"]
    );
}

#[test]
fn the_largest_quorum_is_weighed_without_exhausting_the_stack() {
    let tree = Tree::All(["a", "b"].map(|g| people(255, g)).to_vec());
    let everyone: Vec<HumanId> = (0..510_u16)
        .map(|n| HumanId::from_slice(&[&[0; 14][..], &n.to_be_bytes()].concat()).unwrap())
        .collect();
    let groups = || ["a", "b"].map(str::to_owned).into();
    let who =
        Eligible { approvers: everyone.iter().map(|root| (*root, groups())).collect(), owners: [].into() };
    let votes = everyone.iter().map(|root| Vote { root: *root, ..vote(0, Role::Approver, 0) }).collect();
    let mut evidence = Evidence { votes, ..Evidence::default() };
    assert!(met(&requirement(tree.clone()), &evidence, &who));
    evidence.votes.pop();
    assert!(!met(&requirement(tree), &evidence, &who));
}
