#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Prompts and resources are judged as tools are: in the same groups, by the same rules of step-up, and by no rule that
//! speaks of tools alone.

mod common;

use std::collections::BTreeMap;

use common::{caller, deploy, facts, human, json, moment, requirement, set, word};
use policy::{Facts, PolicySet, Question, Target, judge};
use proptest::prelude::*;
use proptest::sample::select;
use terms::access::{Resource, SealKey};
use terms::{Access, Action, DefinitionHash, Digest, Kind, Tree, UpstreamHash};

const URI: &str = "file:///docs/a.txt";

fn resource() -> Target {
    target(Kind::Resource, URI)
}

fn prompt() -> Target {
    Target::new(Facts { kind: Kind::Prompt, ..facts("brief", r#"{"topic":{"type":"string"}}"#) })
}

fn target(kind: Kind, name: &str) -> Target {
    Target::new(Facts { kind, ..facts(name, "{}") })
}

fn access(target: &Target, action: &str, arguments: &str) -> Access {
    let resource = Resource {
        kind: target.kind().name().into(),
        id: target.id().into(),
        definition: DefinitionHash::from_digest(Digest::plain(b"d")),
        upstream: UpstreamHash::from_digest(Digest::plain(b"u")),
    };
    let key = SealKey::new([1; 32]);
    Access::new(caller().subject(), action, resource, json(arguments), &[], &key).unwrap().0
}

fn says(set: &PolicySet, target: &Target, action: &str, arguments: &str) -> String {
    let access = access(target, action, arguments);
    word(&judge(set, &Question { caller: &caller(), access: &access, target, moment: &moment() }))
}

/// What each action is done to here, and with what.
fn all() -> [(Target, &'static str, &'static str); 6] {
    let complete = r#"{"argument":{"name":"topic","value":"x"}}"#;
    [
        (deploy(), "tools/call", "{}"),
        (prompt(), "prompts/get", r#"{"topic":"x"}"#),
        (resource(), "resources/read", r#"{"uri":"file:///docs/a.txt"}"#),
        (resource(), "resources/subscribe", r#"{"uri":"file:///docs/a.txt"}"#),
        (prompt(), "completion/complete", complete),
        (target(Kind::Resource, "file:///{path}"), "completion/complete", complete),
    ]
}

/// The action by which rules speak of it.
fn ruled(action: &str) -> &'static str {
    Action::named(action).unwrap().ruled_as().name()
}

#[test]
fn who_may_read_a_resource_may_be_told_that_it_changes_and_no_rule_names_that_apart() {
    let told = |rule: &str| {
        let set = set(&format!("@id(\"a\") permit (principal, action == Action::\"{rule}\", resource);"));
        says(&set, &resource(), "resources/subscribe", r#"{"uri":"file:///docs/a.txt"}"#)
    };
    assert_eq!((told("resources/read").as_str(), told("discover").as_str()), ("permit", "not permitted"));
    let text = "@id(\"a\") permit (principal, action == Action::\"resources/subscribe\", resource);";
    assert!(PolicySet::compile(&[("f".to_owned(), text.to_owned())].into(), &BTreeMap::new()).is_err());
}

#[test]
fn t01_rules_that_speak_of_tools_alone_permit_nothing_else() {
    let rules = [
        r#"permit (principal, action in [Action::"discover", Action::"tools/call"], resource);"#,
        r#"permit (principal, action in Action::"tools/call", resource in Server::"ops");"#,
        r#"permit (principal, action == Action::"tools/call:ops/brief", resource);"#,
        r#"permit (principal, action, resource is Tool);"#,
    ];
    for rule in rules {
        let set = set(&format!("@id(\"a\") {rule}"));
        for (target, action, arguments) in all().into_iter().skip(1) {
            assert_eq!(says(&set, &target, action, arguments), "not permitted", "{rule} {action}");
        }
    }
}

#[test]
fn one_action_permits_no_other_on_the_same_target() {
    for row in Action::TABLE.iter().filter(|row| row.action.ruled_as() == row.action) {
        let set =
            set(&format!(r#"@id("a") permit (principal, action in Action::"{}", resource);"#, row.name));
        for (target, action, arguments) in all() {
            let expected = if ruled(action) == row.name { "permit" } else { "not permitted" };
            assert_eq!(says(&set, &target, action, arguments), expected, "{} {action}", row.name);
        }
    }
}

#[test]
fn an_action_on_what_it_is_not_done_to_is_unknown() {
    let set = set(common::ALL);
    let fits = |action: &str, target: &Target| Action::named(action).is_some_and(|a| a.is_to(target.kind()));
    for (target, ..) in all() {
        for row in Action::TABLE {
            let expected = if fits(row.name, &target) { "permit" } else { "unknown" };
            assert_eq!(says(&set, &target, row.name, "{}"), expected, "{} {:?}", row.name, target.kind());
        }
        for action in ["resources/unsubscribe", "resources/list", "discover", ""] {
            assert_eq!(says(&set, &target, action, "{}"), "unknown", "{action}");
        }
    }
}

#[test]
fn rules_read_the_uri_wherever_a_resource_is_spoken_of() {
    let docs = set(
        r#"@id("a") permit (principal, action in [Action::"discover", Action::"resources/read"], resource is Resource)
        when { resource.uri like "file:///docs/*" };"#,
    );
    for (uri, expected) in [(URI, "permit"), ("file:///etc/passwd", "not permitted")] {
        let target = target(Kind::Resource, uri);
        assert_eq!(says(&docs, &target, "resources/read", "{}"), expected, "{uri}");
        assert_eq!(docs.may_discover(&caller(), &target).yes(), expected == "permit", "{uri}");
    }
    // By what is sent, and by what is named, is the same.
    let sent = set(
        r#"@id("a") permit (principal, action == Action::"resources/read", resource == Resource::"ops/file:///docs/a.txt")
        when { context.arguments.uri == "file:///docs/a.txt" };"#,
    );
    assert_eq!(says(&sent, &resource(), "resources/read", r#"{"uri":"file:///docs/a.txt"}"#), "permit");
}

#[test]
fn a_prompts_own_action_has_its_arguments_and_no_other_has() {
    let set = set(
        r#"@id("a") permit (principal, action == Action::"prompts/get:ops/brief", resource == Prompt::"ops/brief")
        when { context.arguments.topic == "weather" };"#,
    );
    assert_eq!(says(&set, &prompt(), "prompts/get", r#"{"topic":"weather"}"#), "permit");
    assert_eq!(says(&set, &prompt(), "prompts/get", r#"{"topic":"war"}"#), "not permitted");
    assert_eq!(
        says(&set, &target(Kind::Prompt, "other"), "prompts/get", r#"{"topic":"weather"}"#),
        "not permitted"
    );
}

#[test]
fn whatever_is_done_can_be_stepped_up_and_its_approval_forbidden() {
    let requirements = BTreeMap::from([requirement("two", Tree::Purpose, 5)]);
    for (target, action, arguments) in all() {
        let by = ruled(action);
        let text = format!(
            r#"@id("all") permit (principal, action, resource);
            @id("step") @stepup("two") forbid (principal, action in Action::"{by}", resource);
            @id("pat") forbid (principal == Human::"pat", action in Action::"approve:{by}", resource);"#
        );
        let set = PolicySet::compile(&[("f".to_owned(), text)].into(), &requirements).unwrap();
        assert_eq!(says(&set, &target, action, arguments), "two", "{action}");
        let access = access(&target, action, arguments);
        let question = Question { caller: &caller(), access: &access, target: &target, moment: &moment() };
        assert!(set.may_approve(&human("sam", &[]), &question, 0).yes(), "{action}");
        assert!(!set.may_approve(&human("pat", &[]), &question, 0).yes(), "{action}");
    }
}

#[test]
fn attributes_that_rules_about_tools_read_fail_no_rule_about_the_others() {
    let set = set(
        r#"@id("a") permit (principal, action in [Action::"discover"], resource) when { resource.reviewedReadOnly || resource.ruled };
        @id("b") permit (principal, action == Action::"discover", resource in Server::"ops");"#,
    );
    for (target, ..) in all() {
        assert!(set.may_discover(&caller(), &target).yes());
    }
}

#[test]
fn the_example_of_the_manual_judges_as_it_says() {
    let text = include_str!("../../../policies/prompts-and-resources.cedar").to_owned();
    let set = PolicySet::compile(&[("example.cedar".to_owned(), text)].into(), &common::requirements());
    let set = set.unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(set.warnings(), []);
    let of_files =
        |uri: &str| Target::new(Facts { kind: Kind::Resource, upstream: "files".into(), ..facts(uri, "{}") });
    for (uri, read, seen) in [
        ("file:///srv/handbook/a.txt", "permit", true),
        ("file:///srv/plans/a.txt", "release-approval", true),
        ("file:///srv/keys/a", "forbidden", false),
    ] {
        let target = of_files(uri);
        assert_eq!(says(&set, &target, "resources/read", &format!(r#"{{"uri":"{uri}"}}"#)), read, "{uri}");
        assert_eq!(set.may_discover(&caller(), &target).yes(), seen, "{uri}");
    }
    assert_eq!(
        says(&set, &target(Kind::Resource, "file:///srv/handbook/a"), "resources/read", "{}"),
        "not permitted"
    );
    let order = Target::new(Facts { kind: Kind::Prompt, ..facts("order", r#"{"size":{"type":"string"}}"#) });
    for (arguments, expected) in [
        (r#"{"size":"one"}"#, "permit"),
        (r#"{"size":"forty"}"#, "release-approval"),
        ("{}", "release-approval"),
    ] {
        assert_eq!(says(&set, &order, "prompts/get", arguments), expected, "{arguments}");
    }
    assert_eq!(says(&set, &prompt(), "completion/complete", "{}"), "permit");
    assert_eq!(says(&set, &of_files("file:///{path}"), "completion/complete", "{}"), "not permitted");
    assert_eq!(says(&set, &deploy(), "tools/call", "{}"), "not permitted");
}

proptest! {
    /// Adding a `forbid` or a `@stepup` for one action changes nothing for what the action is not.
    #[test]
    fn a_rule_about_one_action_changes_no_other(
        about in select(Action::TABLE.iter().map(|row| ruled(row.name)).collect::<Vec<_>>()),
        step in any::<bool>(),
        condition in select(&["", "when { resource.ruled }", "when { context.nothing }"][..]),
    ) {
        let requirements = BTreeMap::from([requirement("two", Tree::Purpose, 5)]);
        let annotation = if step { "@stepup(\"two\")" } else { "" };
        let with = format!("{}\n@id(\"x\") {annotation} forbid (principal, action in Action::\"{about}\", resource) {condition};", common::ALL);
        let set = PolicySet::compile(&[("f".to_owned(), with)].into(), &requirements).unwrap();
        for (target, action, arguments) in all() {
            let judged = says(&set, &target, action, arguments);
            prop_assert!(ruled(action) == about || judged == "permit", "{} {}: {}", about, action, judged);
        }
    }
}
