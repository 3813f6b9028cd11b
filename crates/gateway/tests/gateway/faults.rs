//! Upstreams that die, are silent, or are not there: what ran, what may have run, and what is never run again.

use serde_json::json;
use terms::{Millis, Seam};

use crate::world::{Trap, World, becomes, deploy};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_taken_back_and_never_answered_is_unknown_and_its_place_is_free() {
    let world = World::with(crate::world::RULES, |settings| settings.budgets.in_flight = 2).await;
    let bot = world.session("bot").await;
    let id = bot.call("slow_deploy", json!({})).await.elevation();
    world.approve(&id).await;
    let (answer, ()) = tokio::join!(bot.call_as(3, "slow_deploy", json!({})), async {
        becomes("the call arrived", || world.ops.count("slow_deploy") == 1).await;
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
        assert_eq!(bot.send(&cancel).await.status, 202);
    });
    assert_eq!(answer.slug(), "upstream_timeout");
    assert!(answer.text().contains("It will not be run again"), "{}", answer.text());
    assert_eq!(bot.call("slow_deploy", json!({})).await.slug(), "outcome_unknown");
    let both = async {
        becomes("both are under way", || world.ops.count("slow") == 2).await;
        world.ops.go();
        world.ops.go();
    };
    let (one, two, ()) =
        tokio::join!(bot.call_as(4, "slow", json!({})), bot.call_as(5, "slow", json!({})), both);
    assert_eq!([one.text(), two.text()], ["at last", "at last"]);
    assert_eq!(world.ops.count("slow_deploy"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_panic_refuses_the_one_request_and_nothing_of_it_runs() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    // While a request is read, before there is a call: a session's id is random.
    let params = json!({"protocolVersion": "2025-11-25"});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    world.machine.trap(Trap::Random);
    let fallen = bot.send(&hello).await;
    assert_eq!((fallen.status, fallen.slug().as_str()), (503, "busy"));
    assert!(fallen.headers.contains_key("retry-after"), "{fallen:?}");
    assert_eq!(fallen.headers["cache-control"], "no-store", "{fallen:?}");
    assert!(!fallen.body.contains("trap"), "{fallen:?}");
    assert_eq!(bot.send(&hello).await.status, 200);
    // In a call, with its permit in hand.
    let id = bot.call("deploy", deploy("1")).await.elevation();
    world.approve(&id).await;
    world.machine.trap(Trap::Seam(Seam::UpstreamSend));
    let fallen = bot.call("deploy", deploy("1")).await;
    assert_eq!((fallen.status, fallen.slug().as_str()), (503, "busy"));
    assert_eq!(world.ops.count("deploy"), 0);
    let outcome = async || {
        let status = bot.call("stepup_status", json!({"elevation": id})).await.json();
        status["result"]["structuredContent"]["attempt"]["outcome"].as_str().unwrap().to_owned()
    };
    let mut ended = outcome().await;
    while ended == "running" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        ended = outcome().await;
    }
    assert_eq!(ended, "not_sent", "what a panic dropped is settled as it was");
    let id = bot.call("deploy", deploy("1")).await.elevation();
    world.approve(&id).await;
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done");
    // And whoever listens hears of it too.
    world.machine.trap(Trap::Seam(Seam::UpstreamSend));
    let mut open = bot.listen(9, "read_ticket", json!({"id": 1})).await;
    let told = open.message().await.unwrap();
    assert_eq!((&told["id"], &told["error"]["data"]["slug"]), (&json!(9), &json!("busy")));
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
}
