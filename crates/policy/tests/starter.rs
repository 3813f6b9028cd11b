//! The starter sets, as `init` writes them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use policy::{Facts, May, PolicySet, Question, Target};
use terms::access::{Resource, SealKey};
use terms::{Access, Caller, CallerKind, DefinitionHash, Digest, Kind, Part, UpstreamHash};

const SOLO: &str = include_str!("../../../policies/starter-solo.cedar");
const TEAM: &str = include_str!("../../../policies/starter-team.cedar");

fn starter(text: &str) -> PolicySet {
    let texts = BTreeMap::from([("starter.cedar".to_owned(), text.to_owned())]);
    PolicySet::compile(&texts, &requirements()).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn read_only(name: &str) -> Target {
    Target::new(Facts { reviewed_read_only: true, ..facts(name, r#"{"id":{"type":"string"}}"#) })
}

fn set_secret() -> Target {
    tool("set_secret", r#"{"name":{"type":"string"},"value":{"type":"string"}}"#)
}

#[test]
fn the_starter_sets_compile_without_a_warning() {
    for text in [SOLO, TEAM] {
        assert_eq!(starter(text).warnings(), []);
    }
}

#[test]
fn a_starter_set_reads_freely_and_steps_up_what_acts() {
    for text in [SOLO, TEAM] {
        let set = starter(text);
        let table = [
            (read_only("get_ticket"), r#"{"id":"T-1"}"#, "permit"),
            (read_only("list_tickets"), "{}", "permit"),
            (deploy(), r#"{"environment":"staging"}"#, "permit"),
            (deploy(), r#"{"environment":"production"}"#, "release-approval"),
            (deploy(), r#"{"environment":"Staging"}"#, "release-approval"),
            (deploy(), "{}", "release-approval"),
            (deploy(), r#"{"environment":7}"#, r#"unjudgeable ["/environment"]"#),
            (set_secret(), r#"{"name":"a","value":"b"}"#, "secret-change"),
            (tool("drop_tables", "{}"), "{}", "unreviewed"),
            (tool("get_ticket", "{}"), "{}", "unreviewed"),
        ];
        for (tool, arguments, expected) in table {
            assert_eq!(says(&set, &tool, arguments), expected, "{} {arguments}", tool.id());
        }
        let stranger = terms::Caller { groups: BTreeSet::new(), ..caller() };
        assert_eq!(word(&ask_as(&set, &stranger, &deploy(), "{}")), "not permitted");
    }
}

#[test]
fn what_a_call_may_need_is_told_without_its_arguments() {
    let (set, caller) = (starter(SOLO), caller());
    assert_eq!(set.may_need(&caller, &read_only("get_ticket")), Vec::<&str>::new());
    assert_eq!(set.may_need(&caller, &deploy()), ["release-approval"]);
    assert_eq!(set.may_need(&caller, &set_secret()), ["secret-change"]);
    assert_eq!(set.may_need(&caller, &tool("drop_tables", "{}")), ["unreviewed"]);
}

#[test]
fn discovery_is_permitted_apart_from_execution_and_fails_closed() {
    let (caller, set) = (caller(), starter(SOLO));
    assert!(set.may_discover(&caller, &deploy()).yes());
    let stranger = terms::Caller { groups: BTreeSet::new(), ..caller.clone() };
    assert_eq!(set.may_discover(&stranger, &deploy()), May::No { by: vec![] });
    let only_calls = common::set(r#"@id("a") permit (principal, action in Action::"tools/call", resource);"#);
    assert!(!only_calls.may_discover(&caller, &deploy()).yes());
    let hidden = common::set(&format!(
        r#"{ALL} @id("h") forbid (principal, action == Action::"discover", resource);"#
    ));
    assert!(!hidden.may_discover(&caller, &deploy()).yes());
    assert_eq!(says(&hidden, &deploy(), "{}"), "permit");
    let fails = common::set(&format!(
        r#"{ALL} @id("h") forbid (principal, action, resource) when {{ context.arguments.x }};"#
    ));
    assert!(!fails.may_discover(&caller, &deploy()).yes());
}

/// Whether this person may approve deploying 2.4.1 under a set of rules.
fn may_approve(rules: &str, human: &policy::Human, votes: u32) -> bool {
    let (caller, tool) = (caller(), deploy());
    let access = access(&caller, &tool, r#"{"environment":"production","version":"2.4.1"}"#);
    let question = Question { caller: &caller, access: &access, target: &tool, moment: &moment() };
    common::set(rules).may_approve(human, &question, votes).yes()
}

#[test]
fn approving_takes_no_permit_but_a_forbid_takes_it_away_and_so_does_an_error() {
    let alice = human("alice", &["release-managers"]);
    let forbid = |action: &str, clause: &str| {
        format!(r#"@id("f") forbid (principal, action {action}, resource) {clause};"#)
    };
    let deploy = r#"== Action::"approve:tools/call:ops/deploy""#;
    let yes = [
        String::new(),
        ALL.to_owned(),
        forbid(r#"in Action::"tools/call""#, ""),
        forbid(r#"== Action::"approve:tools/call:ops/other""#, ""),
        forbid(deploy, r#"unless { principal in Group::"release-managers" }"#),
        forbid(deploy, "when { context.votes >= 1 }"),
        forbid(deploy, "when { context.caller.roots.contains(principal.id) }"),
        forbid(deploy, r#"unless { context.arguments.version == "2.4.1" }"#),
    ];
    for rules in yes {
        assert!(may_approve(&rules, &alice, 0), "{rules}");
    }
    let no = [
        forbid("", ""),
        forbid(r#"in Action::"approve""#, ""),
        forbid(r#"in Action::"approve:tools/call""#, ""),
        forbid(deploy, r#"when { principal in Group::"release-managers" }"#),
        forbid(deploy, "when { context.votes < 1 }"),
        forbid(deploy, "when { context.arguments.missing }"),
        forbid(deploy, "when { principal.id == context.caller.owner || principal.owner == 1 }"),
        format!("{ALL}{}", forbid(deploy, "")),
        r#"@id("p") permit (principal, action, resource) when { context.nothing };"#.to_owned(),
    ];
    for rules in no {
        assert!(!may_approve(&rules, &alice, 0), "{rules}");
    }
}

#[test]
fn a_team_that_changes_rules_does_not_approve_secrets() {
    let set = starter(TEAM);
    let (caller, tool) = (caller(), set_secret());
    let access = access(&caller, &tool, r#"{"name":"a","value":"b"}"#);
    let question = Question { caller: &caller, access: &access, target: &tool, moment: &moment() };
    assert!(set.may_approve(&human("sam", &["security"]), &question, 0).yes());
    let refused = set.may_approve(&human("pat", &["security", "policy-admins"]), &question, 0);
    let May::No { by } = refused else { panic!("an administrator of policy may not") };
    assert_eq!(by[0].as_str(), "policy-admins-do-not-approve-secrets");
}

/// What a set says of somebody who changes a part of the installation.
fn changes(set: &PolicySet, name: &str, groups: &[&str], part: Part) -> String {
    let operator = Caller {
        kind: CallerKind::Operator,
        name: format!("console:{name}"),
        owner: name.to_owned(),
        groups: groups.iter().map(|n| (*n).to_owned()).collect(),
        ..caller()
    };
    let facts = facts(part.name(), "{}");
    let target = Target::new(Facts { kind: Kind::Installation, upstream: Part::OF.to_owned(), ..facts });
    let resource = Resource {
        kind: Kind::Installation.name().to_owned(),
        id: target.id().to_owned(),
        definition: DefinitionHash::from_digest(Digest::plain(b"d")),
        upstream: UpstreamHash::from_digest(Digest::plain(b"u")),
    };
    let said = json(r#"{"act":"add"}"#);
    let made =
        Access::new(operator.subject(), "administer", resource, said, &[], &SealKey::new([1; 32])).unwrap();
    let question = Question { caller: &operator, access: &made.0, target: &target, moment: &moment() };
    word(&policy::judge(set, &question))
}

#[test]
fn only_who_the_set_permits_administers() {
    assert_eq!(changes(&starter(SOLO), "os:1000", &[], Part::Policy), "permit");
    let team = starter(TEAM);
    for (_, name) in Part::TABLE {
        let part = Part::named(name).unwrap();
        assert_eq!(changes(&team, "os:1000", &["host"], part), "permit");
        assert_eq!(changes(&team, "pat", &["policy-admins"], part), "permit");
        let by_anybody = part == Part::Locks;
        assert_eq!(changes(&team, "pat", &["security"], part) == "permit", by_anybody, "{name}");
        assert_ne!(changes(&common::set(""), "pat", &["policy-admins", "host"], part), "permit");
    }
    let fails = common::set(&format!(
        r#"{ALL} @id("f") forbid (principal, action, resource) when {{ context.arguments.x }};"#
    ));
    assert_ne!(changes(&fails, "pat", &[], Part::Policy), "permit");
}

#[test]
fn a_change_is_stepped_up_by_its_part_and_by_what_is_done() {
    let guarded = common::set(
        r#"
@id("all") permit (principal is Human, action == Action::"administer", resource);
@id("rules") @stepup("release-approval")
forbid (principal, action == Action::"administer", resource == Installation::"stepup/policy");
@id("managers") @stepup("release-approval")
forbid (principal, action == Action::"administer", resource == Installation::"stepup/groups")
unless { context.arguments.act == "remove" };
@id("locks") forbid (principal, action == Action::"administer", resource == Installation::"stepup/locks");
"#,
    );
    let says = |part| changes(&guarded, "pat", &[], part);
    assert!(says(Part::Policy).contains("release-approval"), "{}", says(Part::Policy));
    assert!(says(Part::Groups).contains("release-approval"));
    assert_eq!(says(Part::People), "permit");
    assert_eq!(says(Part::Locks), "forbidden");
}
