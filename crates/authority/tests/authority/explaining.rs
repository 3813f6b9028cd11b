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
    world.activate(&bundle_of(&rules)).await;
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

#[tokio::test]
async fn a_recorded_decision_is_held_against_the_rules_of_today_with_what_was_gathered_since() {
    let world = World::new().await;
    let told = async |id| world.authority().told(id).await.unwrap().unwrap();
    let challenge = world.challenged("set_secret", r#"{"token":"x"}"#).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let today = told(challenge.record.unwrap()).await.today.unwrap();
    let Would::StepUp(takes) = &today.would else { panic!("{today:?}") };
    let lines: Vec<_> = takes.told().map(|(_, met, could)| (met, could.unwrap().to_vec())).collect();
    assert!(lines[0].0, "ann has signed: {lines:?}");
    assert!(!lines[1].0 && !lines[1].1.is_empty(), "and somebody else could give the rest: {lines:?}");
    let denial = world.denied("destroy", "{}").await;
    let rules = RULES.replace("@id(\"never\")", "@id(\"never\") @stepup(\"release\")");
    world.activate(&bundle_of(&rules)).await;
    let lock = authority::LockSubject::All;
    world.authority().lock(lock, "test".to_owned(), "test".to_owned(), None).await.unwrap();
    let today = told(denial.record.unwrap()).await.today.unwrap();
    assert!(matches!(today.would, Would::StepUp(_)) && today.locked, "{today:?}");
    let other = world.records().await.iter().find(|line| line.kind == "human_added").unwrap().id;
    assert_eq!(told(other).await.today, None, "it is of no access");
    world.verified().await;
}

#[tokio::test]
async fn the_record_of_a_request_is_found_among_many_whatever_came_before_and_after() {
    let world = World::new().await;
    let bot = world.bot();
    let some = async || {
        for _ in 0..150 {
            world.authority().list(&bot, "ops", Kind::Tool, None, 100).await.unwrap().unwrap();
            world.pass(1);
        }
    };
    let mut opened = Vec::new();
    for version in ["1", "2", "3"] {
        some().await;
        let challenge = world.challenged("deploy", &deploy(version)).await;
        opened.push((challenge.elevation, challenge.record.unwrap()));
        some().await;
    }
    for (elevation, record) in opened {
        let whole = world.authority().store().elevation(elevation).await.unwrap().unwrap();
        let why = world.authority().why_stopped(&whole.request).await.unwrap().unwrap();
        assert_eq!(why.id, record);
        assert_eq!(why.rules[0].id, "deploy");
        let mut none = whole.request;
        none.id = terms::ElevationId::NIL;
        assert!(world.authority().why_stopped(&none).await.unwrap().is_none());
    }
    world.verified().await;
}
