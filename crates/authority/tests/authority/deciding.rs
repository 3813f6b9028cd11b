//! The order of a decision, and what each row of its table does.

use elevation::Outcome;
use terms::Slug;

use crate::world::{World, challenged, deploy};

#[tokio::test]
async fn the_story_stopped_approved_run_once_and_stopped_again() {
    let world = World::new().await;
    world.run(world.permitted("read_ticket", r#"{"id":7}"#).await).await;
    let challenge = world.challenged("deploy", &deploy("2.4.1")).await;
    assert!(challenge.opened);
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("deploy", &deploy("2.4.1")).await;
    assert!(permit.grant().is_some());
    world.run(permit).await;
    let again = world.challenged("deploy", &deploy("2.4.1")).await;
    assert_eq!(again.slug, Slug::GrantSpent);
    assert_ne!(again.elevation, challenge.elevation);
    let other = world.challenged("deploy", &deploy("2.4.2")).await;
    assert_eq!(other.slug, Slug::ApprovalRequired);
    let report = world.verified().await;
    assert_eq!(report.signatures, 1);
    assert_eq!(report.open_attempts, 0);
    let _ = (Outcome::Done, challenged);
}
