//! What is wrong with rules is found before they are in force: held against what is pinned, and against who is there
//! (policy.md, "What check finds").

use crate::world::{RULES, World, bundle, bundle_of};

/// `code place` of everything that is found.
fn found(world: &World, rules: &str, live: bool) -> Vec<String> {
    let findings = world.authority().active().check(&bundle_of(rules), live);
    findings.iter().map(|found| format!("{} {}", found.code, found.at)).collect()
}

/// The rules of the world, and one more.
fn with(rule: &str) -> String {
    format!("{RULES}\n@id(\"more\") {rule};")
}

#[tokio::test]
async fn what_the_pinned_definitions_do_not_have_keeps_rules_from_being_in_force() {
    let world = World::new().await;
    let before = world.authority().active().policy();
    for condition in [
        "context.arguments.enviroment == \"staging\"",
        "context.arguments.version == \"1\"",
        "context.arguments has replicas && context.arguments.replicas == \"3\"",
    ] {
        let rule = format!(
            r#"forbid (principal, action == Action::"tools/call:ops/deploy", resource) when {{ {condition} }}"#
        );
        let refused =
            world.authority().activate(&bundle_of(&with(&rule)), &authority::By::account(0)).await.unwrap();
        assert!(
            matches!(&refused, authority::Activated::Wrong(findings) if findings.len() == 1),
            "{condition}"
        );
        assert_eq!(world.authority().active().policy(), before, "the rules in force stay");
        assert_eq!(found(&world, &with(&rule), false).len(), 1, "{condition}");
    }
    assert_eq!(world.kinds().await.iter().filter(|kind| *kind == "policy_refused").count(), 3);
    world.verified().await;
}

#[tokio::test]
async fn a_name_that_is_nowhere_is_found_and_keeps_no_rules_from_being_in_force() {
    let world = World::new().await;
    let rule = r#"permit (principal in Group::"opps-agents", action == Action::"tools/call:ops/deplyo", resource in Server::"ops")"#;
    let offline = found(&world, &with(rule), false);
    assert_eq!(offline, ["entity_unknown rules.cedar:30:66"], "the tool; people come later");
    let live = found(&world, &with(rule), true);
    let unknown = live.iter().filter(|found| found.starts_with("entity_unknown"));
    assert_eq!(unknown.count(), 2, "with the group");
    let activated =
        world.authority().activate(&bundle_of(&with(rule)), &authority::By::account(0)).await.unwrap();
    assert_eq!(activated, authority::Activated::Done);
    world.verified().await;
}

#[tokio::test]
async fn a_requirement_that_who_is_there_could_not_meet_is_found_with_the_callers_that_it_stops() {
    let mut world = World::new().await;
    let unmet = |world: &World| -> Vec<String> {
        let findings = world.authority().active().check(&bundle(), true);
        let unmet = findings.into_iter().filter(|found| found.code.name() == "requirement_unmet");
        unmet.map(|found| format!("{} {}", found.at, found.message)).collect()
    };
    assert_eq!(unmet(&world), [] as [String; 0], "the world's people meet all of it");
    // Who is behind a caller never counts for it, and nobody else is in that group.
    world.caller("sams-bot", "sam", &[]).await;
    let [one] = unmet(&world).try_into().unwrap();
    assert!(one.starts_with("requirements.pair ") && one.contains("for sams-bot:"), "{one}");
    world.verified().await;
}

#[tokio::test]
async fn what_nobody_reviewed_and_no_rule_speaks_of_and_runs_alone_is_found_by_name() {
    let world = World::new().await;
    let uncovered = |rules: &str| -> Vec<String> {
        let findings = world.authority().active().check(&bundle_of(rules), true);
        let found = findings.into_iter().filter(|found| found.code.name() == "uncovered");
        found.map(|found| format!("{} {}", found.at, found.message)).collect()
    };
    let open = r#"@id("all") permit (principal, action, resource);"#;
    let [one] = uncovered(open).try_into().unwrap();
    assert!(one.starts_with("upstreams.ops ops: ") && one.contains("deploy"), "{one}");
    // A rule about it in particular, a step-up of everything, a permit to nobody who is there: each is enough.
    let rules = [
        r#"@id("one") @stepup("release") forbid (principal, action == Action::"tools/call:ops/deploy", resource);"#,
        r#"@id("one") forbid (principal, action == Action::"tools/call:ops/deploy", resource) when { context.arguments.version == "1" };"#,
    ];
    for rule in rules {
        let left = uncovered(&format!("{open}\n{rule}"));
        assert!(left.iter().all(|left| !left.contains("deploy")), "{left:?}");
    }
    let unreviewed = r#"@id("rest") @stepup("release") forbid (principal, action in Action::"tools/call", resource)
        unless { resource.reviewedReadOnly || resource.ruled };"#;
    assert_eq!(uncovered(&format!("{open}\n{unreviewed}")), [] as [String; 0]);
    let nobody = r#"@id("all") permit (principal in Group::"nobody", action, resource);"#;
    assert_eq!(uncovered(nobody), [] as [String; 0]);
    world.verified().await;
}
