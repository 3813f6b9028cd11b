//! Calls that wait for people (B10, B20), and clients that go away meanwhile (decisions §9).

use std::time::Duration;

use serde_json::{Value, json};
use terms::Millis;
use tokio::time::Instant;

use crate::world::{World, becomes, deploy};

/// Ends with the last message, which is the answer; gives the notices before it.
async fn read_all(mut open: crate::wire::Open) -> (Vec<Value>, Value) {
    let mut notices = Vec::new();
    loop {
        let message = open.message().await.expect("the stream ended without an answer");
        if message.get("id").is_some() {
            return (notices, message);
        }
        notices.push(message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_is_answered_at_once_and_a_repeat_waits_and_wakes_on_approval() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let began = Instant::now();
    let id = bot.call("deploy", deploy("1")).await.elevation();
    assert!(began.elapsed() < Duration::from_secs(5), "the first call was held");
    let (ran, woke) = tokio::join!(
        async {
            let reply = bot.call_as(2, "deploy", deploy("1")).await;
            (reply, Instant::now())
        },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(world.ops.count("deploy"), 0);
            world.approve(&id).await;
            Instant::now()
        },
    );
    assert_eq!(ran.0.text(), "done");
    let took = ran.1.saturating_duration_since(woke);
    assert!(took < Duration::from_millis(500), "approval to answer took {took:?}");
    println!("approval to answer: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_that_waits_in_vain_is_told_the_same_request() {
    let world = World::with(crate::world::RULES, |settings| settings.hold = Millis::new(300)).await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let began = Instant::now();
    let repeat = bot.call("deploy", deploy("1")).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(repeat.elevation(), id);
    assert!(repeat.text().contains("A request for it is waiting."), "{}", repeat.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_progress_is_held_and_told_that_it_waits() {
    let world = World::with(crate::world::RULES, |settings| settings.keep_alive = Millis::new(100)).await;
    let bot = world.session("bot").await;
    let open = bot.listen(5, "deploy", deploy("1")).await;
    assert_eq!(open.header("content-type"), Some("text/event-stream"));
    let reads = tokio::spawn(read_all(open));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let caller = world.authority.inbox(world.ann).await.unwrap();
    world.approve(&caller[0].0.request.id.to_string()).await;
    let (notices, answer) = reads.await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(5), &json!("done")));
    assert!(notices.len() >= 3, "{notices:?}");
    let told: Vec<f64> = notices.iter().map(|n| n["params"]["progress"].as_f64().unwrap()).collect();
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    for notice in &notices {
        assert_eq!(notice["method"], "notifications/progress");
        assert_eq!(notice["params"]["progressToken"], "p");
        assert_eq!(notice["params"]["message"], "waiting for approval 0/1");
    }
    assert_eq!(world.ops.count("deploy"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hold_the_upstreams_own_progress_counts_on_under_the_callers_token() {
    let world = World::with(crate::world::RULES, |settings| settings.keep_alive = Millis::new(100)).await;
    let bot = world.session("bot").await;
    let reads = tokio::spawn(read_all(bot.listen(5, "steps_deploy", json!({})).await));
    tokio::time::sleep(Duration::from_millis(350)).await;
    let caller = world.authority.inbox(world.ann).await.unwrap();
    world.approve(&caller[0].0.request.id.to_string()).await;
    let (notices, answer) = reads.await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "climbed");
    let (waits, steps): (Vec<_>, Vec<_>) =
        notices.iter().partition(|n| n["params"]["message"] == "waiting for approval 0/1");
    assert!(waits.len() >= 2, "{notices:?}");
    let waited = waits.last().unwrap()["params"]["progress"].as_f64().unwrap();
    // Those under another's token are not handed on.
    let expected: Vec<Value> = (1..4)
        .map(|n| {
            json!({"progressToken": "p", "progress": waited as u64 + n, "total": waited as u64 + 3,
                "message": format!("step {n}")})
        })
        .collect();
    assert_eq!(steps.iter().map(|n| n["params"].clone()).collect::<Vec<_>>(), expected);
    let token = &world.ops.calls()[0]["_meta"]["progressToken"];
    assert!(token.as_str().is_some_and(|token| token.len() == 32), "the token upstream is ours: {token}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanished_never_spends() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let repeat = bot.start(2, "deploy", deploy("1")).await;
    let streamed = bot.listen(3, "deploy", deploy("1")).await;
    let run = bot.start(4, "stepup_run", json!({"elevation": id})).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop((repeat, streamed, run));
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.approve(&id).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.ops.count("deploy"), 0, "a vanished client spent the approval");
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_leaves_the_request_and_only_a_word_of_its_caller_withdraws_it() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    drop(bot.start(2, "deploy", deploy("1")).await);
    let look = async || {
        let status = bot.call_as(50, "stepup_status", json!({"elevation": id})).await.json();
        status["result"]["structuredContent"]["state"].as_str().unwrap().to_owned()
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(look().await, "pending");
    let (held, ()) = tokio::join!(bot.call_as(3, "deploy", deploy("1")), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
        let other = world.session("bot").await;
        assert_eq!(other.send(&cancel).await.status, 202);
        assert_eq!(look().await, "pending", "t37: another session cancelled it");
        assert_eq!(bot.send(&cancel).await.status, 202);
    });
    assert_eq!(held.slug(), "withdrawn");
    assert_eq!(look().await, "withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_taken_back_at_whatever_moment_leaves_no_request_behind() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    for n in 0..40 {
        let id = 100 + n;
        let params =
            json!({"name": "deploy", "arguments": deploy(&n.to_string()), "_meta": {"progressToken": n}});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        // Until it is over: a word may be there before the call that it means.
        let take_back = async {
            loop {
                bot.send(&cancel).await;
            }
        };
        tokio::select! {
            _ = bot.send(&call) => {}
            () = take_back => {}
        }
        let kinds = world.records().await;
        let count = |of: &str| kinds.iter().filter(|kind| *kind == of).count();
        assert_eq!(count("withdrawn"), count("challenged"), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_wait_for_one_use_one_runs_and_the_other_is_told_and_asks_nobody_again() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let (one, two, three, ()) = tokio::join!(
        bot.call_as(2, "deploy", deploy("1")),
        bot.call_as(3, "deploy", deploy("1")),
        bot.call_as(4, "stepup_run", json!({"elevation": id})),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            world.approve(&id).await;
        },
    );
    let (ran, told): (Vec<_>, Vec<_>) =
        [one, two, three].into_iter().partition(|reply| reply.body.contains("\"done\""));
    assert_eq!((ran.len(), world.ops.count("deploy")), (1, 1));
    for reply in told {
        assert!(["already_running", "already_ran"].contains(&reply.slug().as_str()), "{reply:?}");
        assert!(reply.text().contains("att_"), "{}", reply.text());
    }
    let challenged = world.records().await.iter().filter(|kind| *kind == "challenged").count();
    assert_eq!(challenged, 1, "somebody was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_of_a_rejection_and_opens_nothing_new() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let (held, ()) = tokio::join!(bot.call_as(2, "deploy", deploy("1")), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.reject(&id, "not today").await;
    });
    assert_eq!(held.slug(), "rejected");
    assert!(held.text().contains("not today"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_request_wakes_when_it_changes() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let key = format!("Bearer {}", world.key("bot"));
    let headers = [("Authorization", key.as_str())];
    let path = format!("/v1/elevations/{id}?wait=20");
    let began = Instant::now();
    let (rest, tool, ()) = tokio::join!(
        world.request("GET", &path, &headers, ""),
        bot.call("stepup_status", json!({"elevation": id, "wait": 20})),
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            world.approve(&id).await;
        },
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!((&rest.json()["state"], &rest.json()["spendable"]), (&json!("approved"), &json!(true)));
    assert_eq!(tool.json()["result"]["structuredContent"], rest.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_too_often_is_answered_at_once() {
    let world = World::with(crate::world::RULES, |settings| settings.budgets.held = 1).await;
    let bot = world.session("bot").await;
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let _held = bot.start(2, "deploy", deploy("1")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bot.call_as(3, "deploy", deploy("1")).await.elevation(), id);
    let key = format!("Bearer {}", world.key("bot"));
    let path = format!("/v1/elevations/{id}?wait=20");
    let look = world.request("GET", &path, &[("Authorization", key.as_str())], "").await;
    assert_eq!((look.status, look.slug().as_str()), (429, "over_budget"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_sent_runs_on_when_its_client_leaves_and_the_next_hears_that_it_ran() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let id = bot.call("slow_deploy", json!({})).await.elevation();
    world.approve(&id).await;
    let left = bot.start(2, "slow_deploy", json!({})).await;
    becomes("the call arrived", || world.ops.count("slow_deploy") == 1).await;
    drop(left);
    let meanwhile = bot.call_as(3, "slow_deploy", json!({})).await;
    assert_eq!(meanwhile.slug(), "already_running");
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.ops.go();
    for n in 10..200 {
        let reply = bot.call_as(n, "slow_deploy", json!({})).await;
        if !reply.body.contains("already_running") {
            assert!(reply.text().contains("its answer was not delivered"), "{}", reply.text());
            assert_eq!(world.ops.count("slow_deploy"), 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the call was never settled");
}
