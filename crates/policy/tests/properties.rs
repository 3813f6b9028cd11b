//! Properties over random small sets, named after what they try to break.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use policy::{Judgement, PolicySet, Target};
use proptest::prelude::*;
use proptest::sample::select;

const PRINCIPALS: [&str; 5] = [
    "principal",
    r#"principal in Group::"ops-agents""#,
    r#"principal in Group::"others""#,
    r#"principal == Agent::"release-bot""#,
    r#"principal is Service"#,
];
const RESOURCES: [&str; 5] = [
    "resource",
    r#"resource == Tool::"ops/deploy""#,
    r#"resource in Server::"ops""#,
    r#"resource is Tool in Environment::"production""#,
    r#"resource in Server::"tickets""#,
];
const CALLS: [&str; 4] = [
    r#"action in Action::"tools/call""#,
    r#"action == Action::"tools/call:ops/deploy""#,
    r#"action in [Action::"tools/call:ops/deploy", Action::"tools/call:ops/other"]"#,
    r#"action == Action::"tools/call:ops/other""#,
];
/// Conditions that hold, do not hold or fail, depending on the arguments. None asks for an argument with a
/// positive `has`, which is the one legitimate way for a missing argument to permit more.
const CLAUSES: [&str; 10] = [
    "",
    "unless { true }",
    r#"unless { ["staging", "test"].contains(context.arguments.environment) }"#,
    r#"unless { context.arguments has environment && context.arguments.environment == "staging" }"#,
    "when { context.arguments.n > 3 }",
    "unless { context.arguments.n < 3 }",
    "when { 9223372036854775807 + context.arguments.n > 0 }",
    "unless { resource.tier < 3 }",
    r#"unless { principal.owner == "olga" }"#,
    "when { context.history.calls_1h > 2 }",
];
const REQUIREMENTS: [&str; 3] = ["release-approval", "secret-change", "unreviewed"];

/// A rule without its `@id`.
fn rule(effects: &'static [&'static str]) -> impl Strategy<Value = String> {
    let scope = (select(&PRINCIPALS[..]), select(&CALLS[..]), select(&RESOURCES[..]));
    (select(effects), select(&REQUIREMENTS[..]), scope, select(&CLAUSES[..])).prop_map(
        |(effect, requirement, (principal, action, resource), clause)| {
            let effect = effect.replace('?', &format!("@stepup(\"{requirement}\")"));
            format!("{effect} ({principal}, {action}, {resource}) {clause};")
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(rule(&["permit", "permit", "permit", "forbid", "? forbid"]), 0..6)
}

const TIGHTENING: &[&str] = &["forbid", "? forbid"];

fn arguments() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let environment = select(&["\"staging\"", "\"production\"", "7", "null"][..]);
    let n = select(&["0", "3", "9", "\"x\"", "1.5"][..]);
    let note = select(&["\"x\"", "[1]"][..]);
    (proptest::option::of(environment), proptest::option::of(n), proptest::option::of(note)).prop_map(
        |(e, n, note)| {
            [("environment", e), ("n", n), ("note", note)]
                .into_iter()
                .filter_map(|(k, v)| Some((k, v?)))
                .collect()
        },
    )
}

fn object(members: &[(&str, &str)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A set in which every rule has its number as `@id`, in the given order of rules and split over two files.
fn number(rules: &[String]) -> Vec<String> {
    rules.iter().enumerate().map(|(n, rule)| format!("@id(\"{n}\") {rule}")).collect()
}

fn set_of(numbered: &[String]) -> PolicySet {
    let (a, b) = numbered.split_at(numbered.len() / 2);
    let texts = [("a.cedar", a), ("b.cedar", b)].map(|(file, rules)| (file.to_owned(), rules.join("\n")));
    PolicySet::compile(&texts.into(), &requirements()).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn tiered() -> Target {
    let attributes = [("tier".to_owned(), policy::Attribute::Number(1))].into();
    Target::new(policy::Facts { attributes, ..facts("deploy", DEPLOY) })
}

/// Whether `b` lets through no more than `a`: Permit, then step-ups by what they ask, then Deny.
fn at_least_as_strict(a: &Judgement, b: &Judgement) -> bool {
    match (a, b) {
        (Judgement::Permit { .. }, _) | (_, Judgement::Deny { .. }) => true,
        (Judgement::StepUp { requirement: a, .. }, Judgement::StepUp { requirement: b, .. }) => {
            a.join(b) == *b
        }
        (
            Judgement::StepUp { .. } | Judgement::Deny { .. },
            Judgement::Permit { .. } | Judgement::StepUp { .. },
        ) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn adding_a_forbid_or_a_step_up_never_weakens(
        rules in rules(), more in rule(TIGHTENING), arguments in arguments(),
    ) {
        let (tool, arguments) = (tiered(), object(&arguments));
        let before = ask(&set_of(&number(&rules)), &tool, &arguments);
        let with: Vec<String> = rules.into_iter().chain([more]).collect();
        let after = ask(&set_of(&number(&with)), &tool, &arguments);
        prop_assert!(at_least_as_strict(&before, &after), "{before:?} became {after:?} with {with:#?}");
    }

    #[test]
    fn the_order_of_rules_and_files_never_matters(
        (rules, shuffled) in rules().prop_map(|rules| number(&rules)).prop_flat_map(|rules| {
            (Just(rules.clone()), Just(rules).prop_shuffle())
        }),
        arguments in arguments(),
    ) {
        let (tool, arguments) = (tiered(), object(&arguments));
        prop_assert_eq!(ask(&set_of(&rules), &tool, &arguments), ask(&set_of(&shuffled), &tool, &arguments));
    }

    #[test]
    fn a_rule_said_twice_changes_nothing_but_the_names(rules in rules(), arguments in arguments()) {
        let (tool, arguments) = (tiered(), object(&arguments));
        let twice: Vec<String> = rules.iter().chain(&rules).cloned().collect();
        let (once, twice) = (ask(&set_of(&number(&rules)), &tool, &arguments), ask(&set_of(&number(&twice)), &tool, &arguments));
        prop_assert!(at_least_as_strict(&once, &twice) && at_least_as_strict(&twice, &once));
    }

    /// T118, with arguments that fit the schema: what does not fit is denied for another reason.
    #[test]
    fn deleting_an_argument_or_an_attribute_never_moves_from_deny_to_permit(
        rules in rules(), arguments in arguments(),
    ) {
        let fits = |(name, value): &(&str, &str)| match *name {
            "environment" => value.starts_with('"'),
            "n" => value.parse::<i64>().is_ok(),
            _ => true,
        };
        let arguments: Vec<_> = arguments.into_iter().filter(fits).collect();
        // A permit `unless` an argument is there says itself that its absence permits.
        let says_so = |rule: &String| rule.starts_with("permit") && rule.contains(" has ");
        let rules: Vec<String> = rules.into_iter().filter(|rule| !says_so(rule)).collect();
        let set = set_of(&number(&rules));
        let Judgement::Deny { .. } = ask(&set, &tiered(), &object(&arguments)) else { return Ok(()) };
        let without_tier = ask(&set, &deploy(), &object(&arguments));
        prop_assert!(!matches!(without_tier, Judgement::Permit { .. }), "{rules:#?}");
        for gone in 0..arguments.len() {
            let mut fewer = arguments.clone();
            fewer.remove(gone);
            let after = ask(&set, &tiered(), &object(&fewer));
            prop_assert!(!matches!(after, Judgement::Permit { .. }), "{rules:#?} {fewer:?}");
        }
    }

    #[test]
    fn no_text_makes_compile_panic_or_load_a_rule_that_it_did_not_read(text in ".{0,200}") {
        if let Ok(set) = compile(&text) {
            let cedar: cedar_policy::PolicySet = text.parse().expect("compiled, so it is Cedar");
            prop_assert_eq!(set.rules().count(), cedar.num_of_policies());
        }
    }

    #[test]
    fn no_scramble_of_cedars_own_tokens_makes_compile_panic_or_lose_a_rule(
        tokens in proptest::collection::vec(select(&[
            "permit", "forbid", "(", ")", "principal", "action", "resource", ",", ";", "when", "unless", "{", "}",
            "@id(\"a\")", "@id(\"b\")", "@stepup(\"unreviewed\")", "//", "\n", "\r", "\"", "\\", "true", "if",
            "permit (principal, action, resource);", "@id(\"c\") forbid (principal, action, resource);",
        ][..]), 0..24),
    ) {
        let text = tokens.join(" ");
        if let Ok(set) = compile(&text) {
            let cedar: cedar_policy::PolicySet = text.parse().expect("compiled, so it is Cedar");
            prop_assert_eq!(set.rules().count(), cedar.num_of_policies());
        }
    }
}
