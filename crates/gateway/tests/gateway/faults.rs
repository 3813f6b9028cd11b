//! Upstreams that die, are silent, or are not there: what ran, what may have run, and what is never run again.

use serde_json::json;
use terms::Millis;

use crate::world::{World, becomes, deploy};

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_dies_mid_call_leaves_an_unknown_outcome_that_is_never_run_again() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("die_deploy", json!({})).await.elevation();
    world.approve(&id).await;
    let broken = bot.call("die_deploy", json!({})).await;
    assert_eq!(broken.slug(), "upstream_unreachable");
    assert!(broken.text().contains("nobody knows whether it took effect"), "{}", broken.text());
    assert!(broken.text().contains("att_"), "{}", broken.text());
    for again in
        [bot.call("die_deploy", json!({})).await, bot.call("stepup_run", json!({"elevation": id})).await]
    {
        assert_eq!(again.slug(), "outcome_unknown");
    }
    assert_eq!(world.ops.count("die_deploy"), 1);
    let baseline = bot.call("die", json!({})).await;
    assert!(baseline.text().contains("Look before you repeat it"), "{}", baseline.text());
    // A baseline call may be repeated; an upstream that just died is given a moment before it is tried again.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(bot.call("die", json!({})).await.slug(), "upstream_unreachable");
    assert_eq!(world.ops.count("die"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_silent_is_given_up_and_said_so() {
    let world = World::with(crate::world::RULES, |settings| settings.answer_within = Millis::new(500)).await;
    let bot = world.session("bot").await;
    let id = bot.call("slow_deploy", json!({})).await.elevation();
    world.approve(&id).await;
    let silent = bot.call("slow_deploy", json!({})).await;
    assert_eq!(silent.slug(), "upstream_timeout");
    assert!(silent.text().contains("It will not be run again"), "{}", silent.text());
    assert_eq!(bot.call("slow_deploy", json!({})).await.slug(), "outcome_unknown");
    becomes("the upstream was told", || world.ops.everything().contains("notifications/cancelled")).await;
    assert_eq!(world.ops.count("slow_deploy"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_approval_is_used_up_on_an_upstream_that_is_not_there() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    world.approve(&id).await;
    world.ops.stop();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let fresh = world.session("bot").await;
    let gone = fresh.call("deploy", deploy("1")).await;
    assert_eq!(gone.slug(), "upstream_unreachable");
    assert!(gone.text().contains("the call did not run"), "{}", gone.text());
    let status = fresh.call("stepup_status", json!({"elevation": id})).await.json();
    assert_eq!(status["result"]["structuredContent"]["spendable"], true, "the approval is still good");
    assert_eq!(fresh.call("hidden", json!({"id": 1})).await.slug(), "tool_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_back_a_running_call_has_that_said_to_the_upstream() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let (answer, ()) = tokio::join!(bot.call_as(3, "slow", json!({})), async {
        becomes("the call arrived", || world.ops.count("slow") == 1).await;
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
        assert_eq!(bot.send(&cancel).await.status, 202);
        becomes("the upstream was told", || world.ops.everything().contains("notifications/cancelled")).await;
        world.ops.go();
    });
    assert_eq!(answer.text(), "at last", "an upstream that goes on has the last word");
    assert!(!world.ops.everything().contains("\"requestId\":3"), "the caller's id went upstream");
}
