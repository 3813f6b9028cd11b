//! What rules would stop that are only tried runs, and the log says what they would have done.

use terms::Json;

use crate::world::{RULES, World, bundle_of, deploy, settings};

const TRIED: &str = r#"
@id("tried") @shadow("since december") @stepup("pair")
forbid (principal, action == Action::"tools/call:ops/read_ticket", resource);
@id("tried too") @shadow
forbid (principal, action == Action::"tools/call:ops/deploy", resource);
"#;

#[tokio::test]
async fn what_would_have_been_stopped_runs_and_is_recorded_with_what_it_would_have_taken() {
    let world = World::with(settings(), &bundle_of(&format!("{RULES}{TRIED}"))).await;
    let permit = world.permitted("read_ticket", r#"{"id":7}"#).await;
    world.run(permit).await;
    let [body] = world.bodies("shadowed").await.try_into().unwrap();
    assert_eq!(body.get("by"), Some(&Json::Array(vec![Json::from("tried")])));
    assert_eq!(body.get("requirement").and_then(Json::as_str), Some("pair"));
    assert_eq!(body.get("resource").and_then(Json::as_str), Some("ops/read_ticket"));
    // What takes an approval anyway takes it, and is told of once it runs.
    let challenge = world.challenged("deploy", &deploy("1")).await;
    assert_eq!(world.bodies("shadowed").await.len(), 1, "nothing ran");
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("deploy", &deploy("1")).await;
    world.run(permit).await;
    let bodies = world.bodies("shadowed").await;
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[1].get("requirement"), Some(&Json::Null), "it would have been denied");
    let kinds = world.kinds().await;
    let at = kinds.iter().position(|kind| kind == "shadowed").unwrap();
    assert_eq!(kinds[at - 1], "permitted", "in one commit with what ran");
    let report =
        world.authority().tried(world.authority().now().before(terms::Millis::seconds(60))).await.unwrap();
    let told: Vec<_> =
        report.rules.iter().map(|(rule, it)| (rule.as_str(), it.count, it.callers["bot"])).collect();
    assert_eq!(told, [("tried", 1, 1), ("tried too", 1, 1)]);
    assert!(report.uncovered.is_empty(), "each is reviewed or named by a rule: {:?}", report.uncovered);
    let fewer = RULES.replace("tools/call:ops/scale", "tools/call:ops/export");
    world.activate(&bundle_of(&fewer)).await;
    let report = world.authority().tried(world.authority().now()).await.unwrap();
    assert_eq!(report.uncovered.iter().map(String::as_str).collect::<Vec<_>>(), ["ops/scale"]);
    world.verified().await;
}
