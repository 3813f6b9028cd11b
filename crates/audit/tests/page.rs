//! `docs/records.md` is the format: every kind has its section, its members and a golden example, and the code writes
//! and reads exactly those.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use audit::Kind;
use audit::body::*;
use terms::Json;

const PAGE: &str = include_str!("../../../docs/records.md");

fn section(kind: Kind) -> &'static str {
    let start = PAGE.split_once(&format!("\n### {}\n", kind.name()));
    let (_, rest) = start.unwrap_or_else(|| panic!("the page has no section {}", kind.name()));
    rest.split("\n### ").next().unwrap().split("\n## ").next().unwrap()
}

fn example(kind: Kind) -> &'static str {
    section(kind).split_once("```json\n").unwrap().1.split_once("\n```").unwrap().0
}

/// Reads a body as a struct and writes it again.
type Again = fn(Json) -> Option<Json>;

/// Reads an example as its kind's struct and writes it again.
fn again(kind: Kind, json: Json) -> Option<Json> {
    fn by<B: Body>(json: Json) -> Option<Json> {
        Some(B::from_json(json)?.to_json())
    }
    let typed: &[(Kind, Again)] = &[
        (Kind::Started, by::<Started>),
        (Kind::Restored, by::<Restored>),
        (Kind::Permitted, by::<Permitted>),
        (Kind::Challenged, by::<Challenged>),
        (Kind::Spent, by::<Spent>),
        (Kind::Denied, by::<Denied>),
        (Kind::Settled, by::<Settled>),
        (Kind::Resolved, by::<Resolved>),
        (Kind::Reported, by::<Reported>),
        (Kind::Shadowed, by::<Shadowed>),
        (Kind::Listed, by::<Listed>),
        (Kind::Preflighted, by::<Preflighted>),
        (Kind::Voted, by::<Voted>),
        (Kind::Granted, by::<Granted>),
        (Kind::Rejected, by::<Rejected>),
        (Kind::Expired, by::<Expired>),
        (Kind::Withdrawn, by::<Withdrawn>),
        (Kind::Superseded, by::<Superseded>),
        (Kind::NotTold, by::<NotTold>),
        (Kind::Revoked, by::<Revoked>),
        (Kind::Locked, by::<Locked>),
        (Kind::Unlocked, by::<Unlocked>),
        (Kind::PolicyProposed, by::<PolicyProposed>),
        (Kind::PolicyActivated, by::<PolicyActivated>),
        (Kind::PolicyRecovered, by::<PolicyRecovered>),
        (Kind::PolicyRefused, by::<PolicyRefused>),
        (Kind::Pinned, by::<Pinned>),
        (Kind::PinAccepted, by::<PinAccepted>),
        (Kind::PinRefused, by::<PinRefused>),
        (Kind::Quarantined, by::<Quarantined>),
        (Kind::PasskeyEnrolled, by::<PasskeyEnrolled>),
        (Kind::PasskeyRevoked, by::<PasskeyRevoked>),
        (Kind::Erased, by::<Erased>),
    ];
    match typed.iter().find(|(typed, _)| *typed == kind) {
        Some((_, again)) => again(json),
        None => Some(json),
    }
}

#[test]
fn every_kind_has_a_section_whose_members_are_those_of_its_example() {
    for (kind, name) in Kind::TABLE {
        let rows = section(*kind).lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let listed: BTreeSet<&str> = rows.collect();
        let json = terms::json::parse(example(*kind).as_bytes()).unwrap();
        let members: BTreeSet<&str> = json.as_object().unwrap().iter().map(|(name, _)| name).collect();
        assert_eq!(listed, members, "{name}");
    }
}

#[test]
fn every_example_is_canonical_and_is_read_and_written_as_itself() {
    for (kind, name) in Kind::TABLE {
        let text = example(*kind);
        let json = terms::json::parse(text.as_bytes()).unwrap();
        assert_eq!(json.text(), text, "{name}");
        let again =
            again(*kind, json).unwrap_or_else(|| panic!("the example of {name} is no body of its kind"));
        assert_eq!(again.text(), text, "{name}");
    }
}

#[test]
fn the_page_has_no_kind_that_the_code_does_not_have() {
    let kinds = PAGE.split_once("\n## Kinds\n").unwrap().1.split_once("\n## ").unwrap().0;
    let sections = kinds.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(sections.collect::<Vec<_>>(), Kind::TABLE.iter().map(|(_, name)| *name).collect::<Vec<_>>());
}
