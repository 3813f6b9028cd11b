//! A rule that is only tried says what it would stop, and changes no answer (issue 5, shadow mode).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use policy::{Code, Judgement, Question, Shadowed, shadowed};

const WORK: &str =
    r#"@id("work") permit (principal in Group::"ops-agents", action in Action::"tools/call", resource);"#;

/// What a set answers, and what its tried rules would have.
fn both(rules: &str, arguments: &str) -> (Judgement, Option<Shadowed>) {
    let (set, caller, tool) = (set(&format!("{WORK}\n{rules}")), caller(), deploy());
    let (access, moment) = (access(&caller, &tool, arguments), moment());
    let question = Question { caller: &caller, access: &access, target: &tool, moment: &moment };
    (policy::judge(&set, &question), shadowed(&set, &question))
}

fn told(shadowed: Option<Shadowed>) -> String {
    shadowed.map_or_else(
        || "nothing".to_owned(),
        |it| {
            let by: Vec<String> = it.by.iter().map(ToString::to_string).collect();
            format!("{} by {}", it.requirement.map_or("denied".to_owned(), |r| r.label()), by.join(" "))
        },
    )
}

#[test]
fn what_is_only_tried_is_told_and_changes_nothing() {
    let own = r#"action == Action::"tools/call:ops/deploy""#;
    for (rule, would) in [
        (
            format!(
                r#"@id("s") @shadow("x") @stepup("release-approval") forbid (principal, {own}, resource);"#
            ),
            "release-approval by s",
        ),
        (format!(r#"@id("s") @shadow forbid (principal, {own}, resource);"#), "denied by s"),
        (
            format!(
                r#"@id("s") @shadow forbid (principal, {own}, resource) when {{ context.arguments.n > 100 }};"#
            ),
            "nothing",
        ),
        // What could not be evaluated would have been denied.
        (
            format!(
                r#"@id("s") @shadow forbid (principal, {own}, resource) when {{ context.arguments.nothing }};"#
            ),
            "denied by s",
        ),
        (
            format!(
                r#"@id("s") @shadow @stepup("release-approval") forbid (principal, {own}, resource);
                   @id("t") @shadow @stepup("secret-change") forbid (principal, action in Action::"tools/call", resource);"#
            ),
            "release-approval+secret-change by s t",
        ),
        // Together with one that would deny it, it would have been denied.
        (
            format!(
                r#"@id("s") @shadow @stepup("release-approval") forbid (principal, {own}, resource);
                   @id("t") @shadow forbid (principal, {own}, resource);"#
            ),
            "denied by s t",
        ),
    ] {
        let (judgement, shadow) = both(&rule, r#"{"n":7}"#);
        assert_eq!(word(&judgement), "permit", "{rule}");
        assert_eq!(told(shadow).replace(" + ", "+"), would, "{rule}");
    }
}

#[test]
fn what_is_only_tried_makes_nothing_unjudgeable_and_covers_nothing() {
    // `note` has no typed form: a rule in force that spoke of it would be a Deny.
    let speaks = r#"forbid (principal, action == Action::"tools/call:ops/deploy", resource) when { context.arguments.note == "x" };"#;
    assert_ne!(word(&both(&format!(r#"@id("s") {speaks}"#), r#"{"note":{}}"#).0), "permit");
    let (judgement, would) = both(&format!(r#"@id("s") @shadow {speaks}"#), r#"{"note":{}}"#);
    assert_eq!(
        (word(&judgement).as_str(), told(would).as_str()),
        ("permit", "denied by s"),
        "it is told, and changes nothing"
    );
    // A tried step-up does not make the target one that a rule is about.
    let unreviewed = r#"@id("u") @stepup("unreviewed") forbid (principal, action in Action::"tools/call", resource) unless { resource.ruled };"#;
    let own = r#"@id("s") @shadow @stepup("release-approval") forbid (principal, action == Action::"tools/call:ops/deploy", resource);"#;
    assert_eq!(word(&both(&format!("{unreviewed}\n{own}"), "{}").0), "unreviewed");
}

#[test]
fn only_what_could_stop_a_call_can_be_tried() {
    let codes = |rule: &str| -> Vec<Code> {
        compile(&format!(r#"@id("s") {rule}"#)).err().unwrap_or_default().iter().map(|it| it.code).collect()
    };
    for rule in [
        r#"@shadow permit (principal, action in Action::"tools/call", resource);"#,
        "@shadow forbid (principal, action, resource);",
        r#"@shadow forbid (principal, action == Action::"discover", resource);"#,
        r#"@shadow forbid (principal, action in Action::"approve", resource);"#,
        r#"@shadow forbid (principal, action in [Action::"administer", Action::"tools/call"], resource);"#,
    ] {
        assert_eq!(codes(rule), [Code::ShadowAction], "{rule}");
    }
    assert_eq!(
        codes(r#"@shadwo forbid (principal, action in Action::"tools/call", resource);"#),
        [Code::AnnotationMisspelt]
    );
}
