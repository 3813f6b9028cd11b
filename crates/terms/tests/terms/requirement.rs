//! Requirements: written and read, and joined so that nothing ever gets looser (A17, B3).

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};

use proptest::prelude::*;
use terms::{Binds, Json, Millis, Requirement, Terms, Tree};

use crate::support::{any_json, at, cases, other, places};

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        3 => (1_u8..4, "[ab]").prop_map(|(n, from)| Tree::Approvals { n: NonZeroU8::new(n).unwrap(), from }),
        1 => any::<u64>().prop_map(|n| Tree::Owner { fresh: Millis::new(n) }),
        1 => Just(Tree::Purpose),
        1 => "[A-Z]{1,3}".prop_map(|pattern| Tree::Ticket { pattern }),
        1 => Just(Tree::KeyBound),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner, 0..4);
        prop_oneof![some.clone().prop_map(Tree::All), some.prop_map(Tree::Any)]
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let span = || prop_oneof![1_u64..10, any::<u64>()].prop_map(Millis::new);
    let binds = prop_oneof![
        Just(Binds::Everything),
        prop::collection::btree_set("(/[a-c]){0,2}".prop_map(|p| at(&p)), 0..4).prop_map(Binds::Pointers),
    ];
    (span(), span(), 1_u32.., binds).prop_map(|(pending_for, valid_for, uses, binds)| Terms {
        pending_for,
        valid_for,
        uses: NonZeroU32::new(uses).unwrap(),
        binds,
    })
}

fn requirement() -> impl Strategy<Value = Requirement> {
    (prop::collection::btree_map("[pq]", tree(), 0..3), terms())
        .prop_map(|(parts, terms)| Requirement { parts, terms })
}

/// How often each branch of the outermost `all` is asked for.
fn branches(tree: &Tree) -> BTreeMap<Tree, usize> {
    let mut branches = vec![tree.clone()];
    if let Tree::All(parts) = tree
        && !parts.is_empty()
    {
        branches.clone_from(parts);
    }
    branches.into_iter().fold(BTreeMap::new(), |mut counted, branch| {
        *counted.entry(branch).or_default() += 1;
        counted
    })
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_requirement_reads_back(requirement in requirement()) {
        let json = requirement.to_json();
        let read = Requirement::from_json(&json);
        prop_assert_eq!(read.as_ref(), Some(&requirement));
        prop_assert_eq!(read.unwrap().hash(), requirement.hash());
        for tree in requirement.parts.values() {
            prop_assert_eq!(Tree::from_json(&tree.to_json()), Some(tree.clone()));
        }
    }

    #[test]
    fn two_requirements_have_one_hash_iff_they_are_one(a in requirement(), b in requirement()) {
        prop_assert_eq!(a.hash() == b.hash(), a == b);
        prop_assert_eq!(a.terms.to_json() == b.terms.to_json(), a.terms == b.terms);
    }

    #[test]
    fn a_changed_text_is_read_as_it_says_or_not_at_all(
        requirement in requirement(), place in any::<prop::sample::Index>(), instead in any_json(),
    ) {
        let json = requirement.to_json();
        let places = places(&json);
        let place = place.get(&places);
        for new in [other(place.of(&json).unwrap()), instead] {
            let mut changed = json.clone();
            *place.of_mut(&mut changed).unwrap() = new;
            if let Some(read) = Requirement::from_json(&changed) {
                prop_assert_eq!(read.to_json(), changed);
            }
        }
    }

    #[test]
    fn joining_is_associative_commutative_and_idempotent(a in requirement(), b in requirement(), c in requirement()) {
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(&a.join(&a), &a);
        prop_assert_eq!(a.join(&b).join(&b), a.join(&b));
    }

    #[test]
    fn a_join_asks_for_everything_that_either_asks_for_and_grants_no_more(a in requirement(), b in requirement()) {
        let joined = a.join(&b);
        for one in [&a, &b] {
            for (name, tree) in &one.parts {
                let now = branches(&joined.parts[name]);
                for (branch, times) in branches(tree) {
                    prop_assert!(now.get(&branch).is_some_and(|most| *most >= times), "{name}: {branch:?} is asked for less often");
                }
            }
            prop_assert!(joined.terms.pending_for <= one.terms.pending_for);
            prop_assert!(joined.terms.valid_for <= one.terms.valid_for);
            prop_assert!(joined.terms.uses <= one.terms.uses);
            match (&joined.terms.binds, &one.terms.binds) {
                (Binds::Everything, _) => {}
                (Binds::Pointers(now), Binds::Pointers(then)) => prop_assert!(now.is_superset(then)),
                (Binds::Pointers(_), Binds::Everything) => prop_assert!(false, "everything was bound"),
            }
        }
        prop_assert_eq!(joined.parts.len(), a.parts.keys().chain(b.parts.keys()).collect::<std::collections::BTreeSet<_>>().len());
    }
}

fn requires(tree: Tree) -> Requirement {
    let span = Millis::new(1);
    let terms = Terms { pending_for: span, valid_for: span, uses: NonZeroU32::MIN, binds: Binds::Everything };
    Requirement { parts: [("part".to_owned(), tree)].into(), terms }
}

#[test]
fn two_people_stay_two_people_when_a_part_is_joined() {
    let one = Tree::Approvals { n: NonZeroU8::MIN, from: "finance".to_owned() };
    let two = Tree::All(vec![one.clone(), one.clone()]);
    assert_eq!(requires(two.clone()).join(&requires(one)), requires(two));
}

#[test]
fn what_nobody_can_meet_stays_so_when_it_is_joined() {
    let joined = requires(Tree::All(vec![])).join(&requires(Tree::Purpose));
    assert_eq!(joined, requires(Tree::All(vec![Tree::All(vec![]), Tree::Purpose])));
}

#[test]
fn shapes_that_no_tree_wrote_are_none() {
    let refused = [
        "null",
        "{}",
        "[]",
        r#"{"all":{}}"#,
        r#"{"all":[],"any":[]}"#,
        r#"{"approvals":0,"from":"a"}"#,
        r#"{"approvals":256,"from":"a"}"#,
        r#"{"approvals":1.5,"from":"a"}"#,
        r#"{"approvals":1}"#,
        r#"{"approvals":1,"from":1}"#,
        r#"{"approvals":1,"from":"a","also":1}"#,
        r#"{"owner":-1}"#,
        r#"{"owner":"5"}"#,
        r#"{"purpose":false}"#,
        r#"{"purpose":1}"#,
        r#"{"ticket":1}"#,
        r#"{"caller":"bearer"}"#,
        r#"{"caller":true}"#,
        r#"{"all":[{"any":[null]}]}"#,
        r#"{"none":[]}"#,
    ];
    for text in refused {
        assert_eq!(Tree::from_json(&crate::support::parse(text)), None, "{text}");
    }
}

#[test]
fn terms_and_requirements_with_another_member_are_none() {
    let requirement = requires(Tree::Purpose).to_json();
    let terms = requirement.get("terms").unwrap().clone();
    assert!(Terms::from_json(&terms).is_some() && Requirement::from_json(&requirement).is_some());
    let more = |json: Json| {
        let mut members = json.as_object().unwrap().clone();
        members.insert("also", true);
        Json::Object(members)
    };
    assert_eq!(Terms::from_json(&more(terms)), None);
    assert_eq!(Requirement::from_json(&more(requirement)), None);
}

#[test]
fn a_label_names_the_parts() {
    let parts = [("two-people".to_owned(), Tree::Purpose), ("release".to_owned(), Tree::KeyBound)].into();
    assert_eq!(Requirement { parts, ..requires(Tree::Purpose) }.label(), "release + two-people");
}

#[test]
fn everything_is_written_as_a_word() {
    assert_eq!(Binds::Everything.to_json(), Json::from("everything"));
}
