//! The judgement over two sets (policy.md, "How a decision is made").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use policy::{DenyReason, Judgement, Question, RuleId, judge};
use terms::{CallerKind, Slug};

/// The example of policy.md, as it stands there.
const EXAMPLE: &str = r#"
@id("ops-agents-read")
permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource in Server::"tickets")
when { resource.reviewedReadOnly };

@id("ops-agents-deploy")
permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource == Tool::"ops/deploy");

@id("deploy-outside-staging-needs-a-release-manager")
@stepup("release-approval")
forbid (principal, action == Action::"tools/call:ops/deploy", resource)
unless { ["staging", "test"].contains(context.arguments.environment) };

@id("unreviewed-tools")
@stepup("unreviewed")
forbid (principal, action in Action::"tools/call", resource) unless { resource.reviewedReadOnly || resource.ruled };
"#;

fn ids(by: &[RuleId]) -> Vec<&str> {
    by.iter().map(RuleId::as_str).collect()
}

#[test]
fn the_example_of_the_design_works_end_to_end() {
    let set = set(EXAMPLE);
    assert_eq!(set.warnings(), []);
    let read = policy::Target::new(policy::Facts {
        kind: terms::Kind::Tool,
        upstream: "tickets".into(),
        reviewed_read_only: true,
        ..facts("get_ticket", r#"{"id":{"type":"string"}}"#)
    });
    let unreviewed =
        policy::Target::new(policy::Facts { upstream: "tickets".into(), ..facts("merge", "{}") });

    assert_eq!(says(&set, &read, r#"{"id":"T-1"}"#), "permit");
    assert_eq!(says(&set, &unreviewed, "{}"), "not permitted");
    assert_eq!(says(&set, &deploy(), r#"{"environment":"staging","version":"1"}"#), "permit");
    let Judgement::StepUp { requirement, by, .. } = ask(&set, &deploy(), r#"{"environment":"production"}"#)
    else {
        panic!("production is not harmless")
    };
    assert_eq!(requirement, requirements()["release-approval"]);
    assert_eq!(ids(&by), ["deploy-outside-staging-needs-a-release-manager"]);
    assert_eq!(set.place(&by[0]).unwrap().to_string(), "rules.cedar:9:1");
    for spelling in ["Production", "prod", "staging ", "Staging", ""] {
        let arguments = format!(r#"{{"environment":"{spelling}"}}"#);
        assert_eq!(says(&set, &deploy(), &arguments), "release-approval");
    }
    assert_eq!(says(&set, &deploy(), "{}"), "failed", "what the rule cannot see is denied, not permitted");
}

#[test]
fn what_nothing_permits_is_denied() {
    let no_rules = set("");
    assert_eq!(says(&no_rules, &deploy(), "{}"), "not permitted");
    let stranger = terms::Caller { groups: Default::default(), ..caller() };
    assert_eq!(word(&ask_as(&set(EXAMPLE), &stranger, &deploy(), "{}")), "not permitted");
}

#[test]
fn a_broad_permit_never_switches_a_step_up_off() {
    let set = set(&format!("{ALL}{EXAMPLE}"));
    assert_eq!(says(&set, &deploy(), r#"{"environment":"production"}"#), "release-approval");
    assert_eq!(says(&set, &tool("drop", "{}"), "{}"), "unreviewed");
}

#[test]
fn a_plain_forbid_beats_any_step_up_and_any_permit() {
    let text = format!(
        r#"{EXAMPLE} @id("freeze") forbid (principal, action, resource in Environment::"production");"#
    );
    let Judgement::Deny { by, why } = ask(&set(&text), &deploy(), r#"{"environment":"production"}"#) else {
        panic!("frozen")
    };
    assert_eq!((ids(&by), &why), (vec!["freeze"], &DenyReason::Forbidden));
    assert_eq!(why.slug(), Slug::PolicyDenied);
}

#[test]
fn every_evaluation_error_denies_wherever_it_is() {
    let errors = [
        "when { context.arguments.missing == 1 }",
        "when { context.arguments.environment < 3 }",
        "when { 9223372036854775807 + context.arguments.n > 0 }",
        "when { resource.noSuchAttribute }",
        "when { principal.owner.deeper == 1 }",
        r#"when { decimal("52.520008").lessThan(decimal("1.0")) }"#,
        r#"unless { ip("nonsense").isLoopback() }"#,
    ];
    for error in errors {
        for effect in ["permit", "forbid", "@stepup(\"release-approval\") forbid"] {
            let set = set(&deploy_rule(effect, error));
            let Judgement::Deny { by, why } = ask(&set, &deploy(), r#"{"environment":"x","n":1}"#) else {
                panic!("{effect} {error} failed open")
            };
            assert_eq!((ids(&by), &why), (vec!["rule"], &DenyReason::Failed));
            assert_eq!(why.slug(), Slug::PolicyFailed);
        }
    }
}

/// Evidence in the context of a call would be a way to approve it past its requirement (decisions A6).
#[test]
fn no_rule_about_a_call_sees_votes() {
    for (condition, expected) in [
        ("context has votes", DenyReason::NotPermitted),
        ("context.votes >= 0", DenyReason::Failed),
        ("context has evidence", DenyReason::NotPermitted),
    ] {
        let rule = format!(r#"@id("rule") permit (principal, action, resource) when {{ {condition} }};"#);
        let Judgement::Deny { why, .. } = ask(&set(&rule), &deploy(), "{}") else {
            panic!("{condition} let a call through")
        };
        assert_eq!(why, expected, "{condition}");
    }
}

#[test]
fn an_unknown_action_or_a_question_that_does_not_fit_together_is_denied() {
    let (set, caller, deploy) = (set(ALL), caller(), deploy());
    let other = tool("other", "{}");
    let someone = terms::Caller { name: "someone".into(), ..caller.clone() };
    let service = terms::Caller { kind: CallerKind::Service, ..caller.clone() };
    let through = terms::Caller { act: vec!["x".into()], ..caller.clone() };
    let owned = terms::Caller { owner: "somebody else".into(), ..caller.clone() };
    let fits = access(&caller, &deploy, "{}");
    let but = |place: &str, instead: &str| {
        let mut json = fits.to_json();
        *place.parse::<terms::Pointer>().unwrap().of_mut(&mut json).unwrap() = terms::Json::from(instead);
        terms::Access::from_json(&json).unwrap()
    };
    let (prompt, route) = (but("/action/name", "prompts/get"), but("/resource/type", "route"));

    let word = |caller, tool, access| {
        word(&judge(&set, &Question { caller, access, target: tool, moment: &moment() }))
    };
    assert_eq!(word(&caller, &deploy, &fits), "permit");
    assert_eq!(word(&caller, &deploy, &prompt), "unknown");
    assert_eq!(word(&caller, &deploy, &route), "unknown");
    assert_eq!(word(&caller, &other, &fits), "unknown");
    for other in [&someone, &service, &through, &owned] {
        assert_eq!(word(other, &deploy, &fits), "unknown");
    }
}

#[test]
fn every_step_up_that_applies_is_joined_to_the_strictest() {
    let deploy_needs = |name: &str, id: &str| {
        format!(
            r#"@id("{id}") @stepup("{name}") forbid (principal, action in Action::"tools/call", resource);"#
        )
    };
    let both =
        format!("{ALL}{}{}", deploy_needs("release-approval", "a"), deploy_needs("secret-change", "b"));
    let Judgement::StepUp { requirement, by, .. } = ask(&set(&both), &deploy(), "{}") else {
        panic!("both apply")
    };
    let all = requirements();
    assert_eq!(requirement, all["release-approval"].join(&all["secret-change"]));
    assert_eq!(ids(&by), ["a", "b"]);
    assert_eq!(requirement.terms, terms(3));
}

#[test]
fn one_requirement_named_by_two_rules_is_that_requirement() {
    let twice = format!(
        r#"{ALL} @id("a") @stepup("release-approval") forbid (principal, action in Action::"tools/call", resource);
        @id("b") @stepup("release-approval") forbid (principal, action == Action::"tools/call:ops/deploy", resource);"#
    );
    let Judgement::StepUp { requirement, .. } = ask(&set(&twice), &deploy(), "{}") else {
        panic!("both apply")
    };
    assert_eq!(requirement, requirements()["release-approval"]);
}

#[test]
fn the_context_says_who_when_whence_and_how_often() {
    let conditions = [
        r#"context.caller.owner == "olga" && principal.owner == "olga""#,
        r#"context.caller.chain.isEmpty() && !context.caller.key_bound"#,
        r#"context.caller.roots.contains("hum_00000000000000000000000000")"#,
        "context.time.weekday == 2 && context.time.hour == 6 && context.time.millis == 1795500000000",
        r#"context.network has source && context.network.source.isInRange(ip("10.0.0.0/8"))"#,
        "!context.history.first_time && context.history.calls_1h == 3",
        r#"context.text == "{\"environment\":\"x\",\"n\":1}""#,
        r#"context.text like "*\"environment\":\"x\"*""#,
        "context.unjudged.isEmpty()",
        r#"resource in Server::"ops" && resource in Environment::"production""#,
        "!resource.reviewedReadOnly && resource.ruled",
    ];
    for condition in conditions {
        let rule = deploy_rule("@stepup(\"unreviewed\") forbid", &format!("unless {{ {condition} }}"));
        assert_eq!(says(&set(&rule), &deploy(), r#"{"n":1,"environment":"x"}"#), "permit", "{condition}");
    }
}

#[test]
fn history_that_a_rule_asks_for_and_nobody_read_denies() {
    for (condition, asks) in [
        ("unless { context.history.first_time }", true),
        ("when { context has history && context.history.calls_1h > 100 }", true),
        ("when { context.time.hour == 25 }", false),
    ] {
        let set = set(&deploy_rule("forbid", condition));
        assert_eq!(set.reads_history(), asks, "{condition}");
        let (caller, tool) = (caller(), deploy());
        let access = access(&caller, &tool, r#"{"environment":"x","n":1}"#);
        let moment = policy::Moment { history: None, ..moment() };
        let judged =
            judge(&set, &Question { caller: &caller, access: &access, target: &tool, moment: &moment });
        assert_eq!(word(&judged), if asks { "failed" } else { "permit" }, "{condition}");
    }
}

#[test]
fn a_tool_is_ruled_only_by_a_step_up_that_names_its_action_for_every_caller() {
    let ends = r#"@id("last") @stepup("unreviewed") forbid (principal, action in Action::"tools/call", resource) unless { resource.ruled };"#;
    let rule = |scope: &str| {
        format!(r#"{ALL}{ends} @id("r") @stepup("release-approval") forbid ({scope}) unless {{ true }};"#)
    };
    let table = [
        (r#"principal, action == Action::"tools/call:ops/deploy", resource"#, "permit"),
        (r#"principal, action == Action::"tools/call:ops/deploy", resource == Tool::"ops/deploy""#, "permit"),
        (r#"principal, action in [Action::"tools/call:ops/deploy"], resource"#, "permit"),
        (r#"principal, action == Action::"tools/call:ops/other", resource"#, "unreviewed"),
        (r#"principal, action in Action::"tools/call", resource"#, "unreviewed"),
        (r#"principal is Service, action == Action::"tools/call:ops/deploy", resource"#, "unreviewed"),
        (r#"principal in Group::"few", action == Action::"tools/call:ops/deploy", resource"#, "unreviewed"),
        (r#"principal, action == Action::"tools/call:ops/deploy", resource in Server::"x""#, "unreviewed"),
    ];
    for (scope, expected) in table {
        assert_eq!(says(&set(&rule(scope)), &deploy(), "{}"), expected, "{scope}");
    }
}

#[test]
fn attributes_of_the_operator_are_seen_and_cannot_replace_ours() {
    use policy::Attribute::{Bool, Number, Text};
    let attributes = [
        ("tier", Text("gold".into())),
        ("blast", Number(3)),
        ("paid", Bool(true)),
        ("reviewedReadOnly", Bool(true)),
        ("ruled", Bool(true)),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
    let tool = policy::Target::new(policy::Facts { attributes, ..facts("deploy", DEPLOY) });
    let rule = |condition: &str| {
        format!(r#"{ALL} @id("x") forbid (principal, action, resource) unless {{ {condition} }};"#)
    };
    assert_eq!(
        says(&set(&rule(r#"resource.tier == "gold" && resource.blast < 4 && resource.paid"#)), &tool, "{}"),
        "permit"
    );
    assert_eq!(says(&set(&rule("resource.reviewedReadOnly")), &tool, "{}"), "forbidden");
    assert_eq!(says(&set(&rule("resource.ruled")), &tool, "{}"), "forbidden");
}

#[test]
fn in_plain_cedar_a_stepped_up_call_is_denied() {
    use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, Request, RestrictedExpression};
    let plain: cedar_policy::PolicySet = EXAMPLE.parse().unwrap();
    let uid = |text: &str| text.parse::<cedar_policy::EntityUid>().unwrap();
    let entity = |id: &str, attributes: &[(&str, bool)], parents: &[&str]| {
        let attributes =
            attributes.iter().map(|(n, v)| ((*n).to_owned(), RestrictedExpression::new_bool(*v)));
        Entity::new(uid(id), attributes.collect(), parents.iter().map(|p| uid(p)).collect()).unwrap()
    };
    let call = r#"Action::"tools/call:ops/deploy""#;
    let entities = [
        entity(r#"Agent::"release-bot""#, &[], &[r#"Group::"ops-agents""#]),
        entity(
            r#"Tool::"ops/deploy""#,
            &[("reviewedReadOnly", false), ("ruled", true)],
            &[r#"Server::"ops""#],
        ),
        entity(call, &[], &[r#"Action::"tools/call""#]),
    ];
    let entities = Entities::from_entities(entities, None).unwrap();
    for (environment, ours, plainly) in
        [("staging", "permit", Decision::Allow), ("production", "release-approval", Decision::Deny)]
    {
        let value = RestrictedExpression::new_string(environment.to_owned());
        let arguments = RestrictedExpression::new_record([("environment".to_owned(), value)]).unwrap();
        let context = Context::from_pairs([("arguments".to_owned(), arguments)]).unwrap();
        let (agent, tool) = (uid(r#"Agent::"release-bot""#), uid(r#"Tool::"ops/deploy""#));
        let request = Request::new(agent, uid(call), tool, context, None).unwrap();
        assert_eq!(Authorizer::new().is_authorized(&request, &plain, &entities).decision(), plainly);
        let arguments = format!(r#"{{"environment":"{environment}"}}"#);
        assert_eq!(says(&set(EXAMPLE), &deploy(), &arguments), ours);
    }
}
