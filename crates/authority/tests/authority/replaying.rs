//! Recorded decisions are judged again under other rules: what would change is told with its count, and nothing else.

use authority::Ruled;
use terms::{Millis, Time};

use crate::world::{RULES, World, bundle, bundle_of, deploy, held_up};

#[tokio::test]
async fn what_would_be_ruled_otherwise_is_told_and_what_would_not_is_not() {
    let world = World::new().await;
    for id in ["1", "2", "3"] {
        let permit = world.permitted("read_ticket", &format!(r#"{{"id":{id}}}"#)).await;
        world.run(permit).await;
    }
    world.challenged("deploy", &deploy("1")).await;
    world.denied("destroy", "{}").await;
    world.settled().await;
    let before = world.records().await.len();
    let since = world.authority().now().before(Millis::seconds(3600));
    let replay =
        async |rules: &str| world.authority().replay(&world.would(&bundle_of(rules)), since).await.unwrap();
    let same = replay(RULES).await;
    assert_eq!((same.judged, same.lost, same.changes.len()), (5, 0, 0), "{same:?}");
    let rules = RULES.replace("@id(\"never\")", "@id(\"never\") @stepup(\"pair\")");
    let more = r#"@id("tickets") @stepup("solo") forbid (principal, action == Action::"tools/call:ops/read_ticket", resource);"#;
    let other = replay(&format!("{rules}\n{more}")).await;
    let told: Vec<_> =
        other.changes.iter().map(|((was, becomes), change)| (was, becomes, change.count)).collect();
    let (solo, pair) = (Ruled::StepUp("solo".to_owned()), Ruled::StepUp("pair".to_owned()));
    assert_eq!(told, [(&Ruled::Permit, &solo, 3), (&Ruled::Deny, &pair, 1)]);
    let change = &other.changes[&(Ruled::Permit, solo.clone())];
    assert_eq!((change.callers["bot"], change.examples.len()), (3, 3));
    assert_eq!(world.records().await.len(), before, "nothing is recorded of it");
    // What is older is not looked at.
    world.pass(7200);
    let late = world.authority().now().before(Millis::seconds(3600));
    let would = world.would(&bundle_of(RULES));
    assert_eq!(world.authority().replay(&would, late).await.unwrap().judged, 0);
    world.verified().await;
}

#[tokio::test]
async fn decisions_that_are_many_are_judged_again_without_keeping_anybody_waiting() {
    let world = World::new().await;
    for n in 0..600 {
        drop(world.decide("read_ticket", &format!("{{\"id\":{n}}}")).await);
    }
    world.settled().await;
    let would = world.would(&bundle());
    let (replayed, longest, took) = held_up(world.authority().replay(&would, Time::from_millis(0))).await;
    assert_eq!(replayed.unwrap().judged, 600);
    assert!(longest < took / 2, "nobody was let on for {longest:?} of {took:?}");
    world.verified().await;
}
