//! What rules say can be asked without anything being decided, opened or recorded, and what is in the log can be explained by
//! the rules as they stood.

use authority::{NotSupposed, Supposed, Would};
use policy::DenyReason;
use terms::{Action, Kind};

use crate::world::{RULES, World, bundle_of, deploy, json};

fn supposed(world: &World, tool: &str, arguments: &str) -> Supposed {
    Supposed {
        caller: world.bot().id,
        action: Action::Call,
        kind: Kind::Tool,
        upstream: "ops".to_owned(),
        name: tool.to_owned(),
        arguments: json(arguments),
        purpose: None,
        ticket: None,
        source: "127.0.0.1".to_owned(),
    }
}

#[tokio::test]
async fn what_is_supposed_is_judged_as_it_would_be_and_leaves_no_trace() {
    let world = World::new().await;
    let before = world.records().await.len();
    let suppose = async |tool: &str, arguments: &str| {
        world.authority().suppose(&supposed(&world, tool, arguments), None).await.unwrap()
    };
    let plain = suppose("read_ticket", r#"{"id":7}"#).await.unwrap();
    assert_eq!(plain.would, Would::Permit);
    let stopped = suppose("deploy", &deploy("1")).await.unwrap();
    let Would::StepUp(takes) = &stopped.would else { panic!("{stopped:?}") };
    assert_eq!(takes.requirement.label(), "release");
    let who: Vec<&str> = takes.lines.iter().flat_map(|(_, who)| who).map(String::as_str).collect();
    assert_eq!((who, takes.met, takes.attainable), (vec!["ann", "ben"], false, true));
    assert_eq!(stopped.rules.len(), 1);
    assert!(
        stopped.rules[0].text.starts_with("@id(\"deploy\")"),
        "without what stands before it: {stopped:?}"
    );
    let denied = suppose("destroy", "{}").await.unwrap();
    assert_eq!(denied.would, Would::Deny(DenyReason::Forbidden));
    assert_eq!(suppose("nothing", "{}").await.unwrap_err(), NotSupposed::Target);
    assert_eq!(suppose("deploy", "[]").await.unwrap_err(), NotSupposed::Arguments);
    assert_eq!(world.records().await.len(), before, "nothing was decided");
    assert!(world.authority().inbox(world.id("ann")).await.unwrap().is_empty(), "and nothing opened");
    // What it says is what comes.
    let challenge = world.challenged("deploy", &deploy("1")).await;
    assert_eq!(challenge.label, "release");
    world.verified().await;
}

#[tokio::test]
async fn a_decision_is_explained_by_the_rules_as_they_stood_and_not_as_they_are() {
    let world = World::new().await;
    let denial = world.denied("destroy", "{}").await;
    let rules = RULES.replace("@id(\"never\")", "@id(\"never\") @reason(\"because\")");
    assert_eq!(
        world.authority().activate(&bundle_of(&rules), &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let told = world.authority().told(denial.record.unwrap()).await.unwrap().unwrap();
    assert_eq!((told.kind.as_str(), told.rules.len()), ("denied", 1));
    assert_eq!(told.rules[0].id, "never");
    assert!(!told.rules[0].text.contains("@reason"), "{}", told.rules[0].text);
    let challenge = world.challenged("deploy", &deploy("1")).await;
    let told = world.authority().told(challenge.record.unwrap()).await.unwrap().unwrap();
    assert_eq!(told.rules[0].id, "deploy");
    assert_eq!(told.policy, Some(world.authority().active().policy()));
    assert!(world.authority().told(terms::RecordId::NIL).await.unwrap().is_none());
    world.verified().await;
}
