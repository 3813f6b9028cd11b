//! What rules may speak of is what the pinned definitions have: each mistake is found before the rule is in force, and
//! by its place (decisions A1, A3; policy.md, "What check finds").
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use policy::{Code, Facts, Finding, PolicySet, Schema, Target};
use terms::Kind;

mod common;
use common::{facts, json};

/// `ops/deploy`, `ops/scale` and the prompt `ops/brief`.
fn targets() -> Vec<Target> {
    let of = |name: &str, schema: &str| Facts { schema: json(schema), ..facts(name, "{}") };
    let deploy = of(
        "deploy",
        r#"{"type":"object","required":["environment","count","tags"],"properties":{
            "environment":{"type":"string"},"version":{"type":"string"},"count":{"type":"integer"},
            "share":{"type":"number"},"dry":{"type":"boolean","default":true},
            "tags":{"type":"array","items":{"type":"string"}},"note":{"type":["string","null"]},
            "where":{"type":"object","required":["zone"],"properties":{"zone":{"type":"string"}}},
            "free":{"oneOf":[{"type":"string"},{"type":"integer"}]}}}"#,
    );
    let scale = of("scale", r#"{"type":"object","properties":{"version":{"type":"integer"}}}"#);
    let brief = Facts {
        kind: Kind::Prompt,
        ..of("brief", r#"{"type":"object","required":["who"],"properties":{"who":{"type":"string"}}}"#)
    };
    [deploy, scale, brief].map(Target::new).into()
}

fn set(rules: &str) -> PolicySet {
    let texts = BTreeMap::from([("rules.cedar".to_owned(), rules.to_owned())]);
    PolicySet::compile(&texts, &BTreeMap::new()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn found(rules: &str) -> Vec<Finding> {
    set(rules).validate(&Schema::of(&targets()))
}

/// A rule about the deploying of `ops/deploy`.
fn about_deploy(condition: &str) -> String {
    format!(
        r#"@id("r") forbid (principal, action == Action::"tools/call:ops/deploy", resource) when {{ {condition} }};"#
    )
}

#[test]
fn a_condition_may_speak_of_whatever_the_definition_has_and_of_no_more() {
    for (condition, code) in [
        // What must be sent, what has a default, what stands beside it.
        ("context.arguments.environment == \"production\"", None),
        ("context.arguments.dry", None),
        ("context.arguments.count > 3 && context.arguments.tagsCount > 2", None),
        ("context.arguments.tags.contains(\"x\") || context.arguments.noteIsNull", None),
        ("context.arguments has version && context.arguments.version like \"v*\"", None),
        ("context.arguments has share && context.arguments.share.greaterThan(decimal(\"0.5\"))", None),
        ("context.arguments has where && context.arguments.where.zone == \"a\"", None),
        ("context.arguments has where.zone && context.arguments.where.zone == \"a\"", None),
        ("context.text like \"*x*\" || context.unjudged.contains(\"/free\")", None),
        ("context.caller.key_bound && context.time.hour < 6 && context.history.first_time", None),
        ("context.network has source && context.network.source.isLoopback()", None),
        ("principal.owner == \"olga\" && resource.reviewedReadOnly", None),
        // What need not be sent.
        ("context.arguments.version == \"1\"", Some(Code::AttributeOptional)),
        ("context.arguments.note == \"x\"", Some(Code::AttributeOptional)),
        ("context.network.source.isLoopback()", Some(Code::AttributeOptional)),
        // What is not there.
        ("context.arguments.enviroment == \"production\"", Some(Code::AttributeUnknown)),
        ("context.arguments.free == \"x\"", Some(Code::AttributeUnknown)),
        ("context.votes > 1", Some(Code::AttributeUnknown)),
        ("resource.reviewed", Some(Code::AttributeUnknown)),
        // What does not fit together.
        ("context.arguments.count == \"3\"", Some(Code::Type)),
        ("context.arguments.environment > 3", Some(Code::Type)),
        ("context.arguments has share && context.arguments.share > 1", Some(Code::Type)),
        ("context.arguments.tags == \"x\"", Some(Code::Type)),
        ("context.caller.owner", Some(Code::Type)),
    ] {
        let findings = found(&about_deploy(condition));
        assert_eq!(findings.first().map(|it| it.code), code, "{condition}: {findings:#?}");
    }
}

#[test]
fn a_finding_says_where_it_is_and_what_was_probably_meant() {
    let rules = format!(
        "// One.\n@id(\"one\")\npermit (principal, action, resource);\n{}",
        about_deploy("true &&\n  context.arguments.enviroment == \"production\"")
    );
    let [finding] = found(&rules).try_into().unwrap();
    assert_eq!((finding.at.line, finding.at.column), (5, 3), "{finding:#?}");
    assert_eq!(finding.length, "context.arguments.enviroment".len());
    assert!(finding.suggestion.as_deref().is_some_and(|it| it.contains("environment")), "{finding:#?}");
    assert!(!finding.message.contains('`') || !finding.message.contains("for policy"), "{finding:#?}");
}

#[test]
fn a_rule_about_many_speaks_of_what_all_of_them_have_or_asks() {
    let about_all = |condition: &str| {
        format!(
            r#"@id("r") forbid (principal, action in Action::"tools/call", resource) when {{ {condition} }};"#
        )
    };
    for (condition, code) in [
        ("resource.reviewedReadOnly && context.text like \"*x*\"", None),
        ("context.arguments.environment == \"x\"", Some(Code::AttributeUnknown)),
        // One of the two has another type.
        ("context.arguments has version && context.arguments.version == \"1\"", Some(Code::Type)),
        ("context.arguments has environment && context.arguments.environment == \"x\"", None),
    ] {
        let findings = found(&about_all(condition));
        assert_eq!(findings.first().map(|it| it.code), code, "{condition}: {findings:#?}");
    }
}

#[test]
fn each_thing_that_is_done_has_its_own_context() {
    for (rule, code) in [
        (
            r#"forbid (principal, action == Action::"discover", resource) when { context.caller.key_bound };"#,
            None,
        ),
        (
            r#"forbid (principal, action == Action::"discover", resource) when { context.time.hour < 6 };"#,
            Some(Code::AttributeUnknown),
        ),
        (
            r#"forbid (principal, action in Action::"approve", resource) when { context.votes > 0 && principal.id == "x" };"#,
            None,
        ),
        (
            r#"forbid (principal, action == Action::"approve:tools/call:ops/deploy", resource) when { context.arguments.count > 3 };"#,
            None,
        ),
        (
            r#"forbid (principal, action == Action::"resources/read", resource) when { context.arguments.uri like "file:*" && resource.uri like "f*" };"#,
            None,
        ),
        (
            r#"forbid (principal, action == Action::"completion/complete", resource) when { context.arguments.argument.name == "who" };"#,
            None,
        ),
        (
            r#"forbid (principal, action == Action::"prompts/get:ops/brief", resource) when { context.arguments.who == "x" };"#,
            None,
        ),
        (
            r#"permit (principal, action in [Action::"discover", Action::"tools/call"], resource in Server::"ops");"#,
            None,
        ),
        // What a condition names is looked at as well as what the scope does.
        (
            r#"forbid (principal, action in Action::"tools/call", resource) when { action == Action::"tools/call:ops/deploy" };"#,
            None,
        ),
        (
            r#"forbid (principal, action in Action::"approve", resource) when { context.arguments has count && context.arguments.count > 3 };"#,
            None,
        ),
        // Nobody of this type does it, and nothing of this type is done so to.
        (
            r#"permit (principal == Human::"olga", action in Action::"tools/call", resource);"#,
            Some(Code::NeverApplies),
        ),
        (
            r#"permit (principal, action in Action::"tools/call", resource is Prompt);"#,
            Some(Code::NeverApplies),
        ),
        (
            r#"forbid (principal, action == Action::"tools/call:ops/deploy", resource) when { resource is Prompt };"#,
            Some(Code::NeverApplies),
        ),
        // The group itself is nothing that anybody does.
        (
            r#"permit (principal, action == Action::"tools/call:ops/deploy", resource == Tool::"ops/scale");"#,
            None,
        ),
    ] {
        let findings = found(&format!("@id(\"r\") {rule}"));
        assert_eq!(findings.first().map(|it| it.code), code, "{rule}: {findings:#?}");
    }
}

#[test]
fn administering_is_of_people_and_knows_what_is_done_and_to_what() {
    for (rule, code) in [
        (
            r#"permit (principal, action == Action::"administer", resource) when { principal in Group::"admins" };"#,
            None,
        ),
        (
            r#"permit (principal in Group::"admins", action == Action::"administer", resource) when { context.time.hour > 1 };"#,
            None,
        ),
        (
            r#"permit (principal, action == Action::"administer", resource in Installation::"stepup") when { context.arguments.act == "add" };"#,
            None,
        ),
        (
            r#"permit (principal, action == Action::"administer", resource) when { context.arguments.environment == "x" };"#,
            Some(Code::AttributeUnknown),
        ),
    ] {
        let findings = found(&format!("@id(\"r\") {rule}"));
        assert_eq!(findings.first().map(|it| it.code), code, "{rule}: {findings:#?}");
    }
}

#[test]
fn what_is_not_pinned_is_said_of_its_name_and_not_of_its_types() {
    let rule = r#"@id("r") forbid (principal, action == Action::"tools/call:ops/gone", resource) when { context.arguments.x == 1 };"#;
    assert_eq!(found(rule), []);
}

#[test]
fn the_schema_is_one_that_cedar_reads_back_whatever_a_definition_is_called() {
    let odd = Facts {
        schema: json(
            r#"{"properties":{"a b\"c":{"type":"string"},"__entity":{"type":"integer"},"in":{"type":"boolean"}}}"#,
        ),
        ..facts("ö \"x\"\n", "{}")
    };
    let odd = [Target::new(odd)];
    let schema = Schema::of(&odd);
    let text = schema.text().unwrap();
    assert!(text.contains("tools/call:ops/"), "{text}");
    assert!(text.parse::<cedar_policy::SchemaFragment>().is_ok(), "{text}");
}
