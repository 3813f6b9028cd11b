//! Subscriptions whatever the two sides speak, and for how long they go on (rfd 27, rfd 29): a client of either era, an
//! upstream of either.

use std::time::Duration;

use authority::LockSubject;
use serde_json::{Value, json};
use terms::Millis;
use upstream::{Eras, Share};

use crate::live::count;
use crate::modern::Modern;
use crate::ops::Ops;
use crate::subscriptions::{
    READS, SUBSCRIPTION, asked, hears, hears_soon, listen, subscribe, update, updated,
};
use crate::wire::Open;
use crate::world::{RULES, World, becomes, bundle};

const A: &str = "file:///docs/a";

/// The method by which an upstream of this era is subscribed to.
const fn method(era: Eras) -> &'static str {
    match era {
        Eras::Modern => "subscriptions/listen",
        Eras::Legacy | Eras::Auto => "resources/subscribe",
    }
}

async fn world(era: Eras) -> World {
    let ops = Ops::start().await;
    ops.discover(|has| has["resources"] = json!({"subscribe": true}));
    World::upon(
        ops,
        &format!("{RULES}{READS}"),
        |_| {},
        |config| {
            (config.era, config.share) = (era, Share::Session);
        },
    )
    .await
}

/// A client of either era that is told of a resource.
async fn client(world: &World, modern: bool, uri: &str) -> Open {
    if modern {
        let wants = json!({"notifications": {"resourceSubscriptions": [uri]}});
        let mut open = Modern::new(world, "bot").open(7, "subscriptions/listen", wants).await;
        let begun = hears(&mut open).await;
        assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{begun}");
        return open;
    }
    let bot = world.session("bot").await;
    let open = listen(&bot).await;
    assert_eq!(subscribe(&bot, uri).await["result"], json!({}));
    open
}

/// What it is told by.
fn told(modern: bool, uri: &str) -> Value {
    let mut told = updated(uri);
    if modern {
        told["params"]["_meta"] = json!({SUBSCRIPTION: 7});
    }
    told
}

/// Of an update: what is told of lists is another matter.
async fn hears_of_it(open: &mut Open) -> Value {
    loop {
        let heard = hears(open).await;
        if is_update(&heard) {
            return heard;
        }
    }
}

async fn hears_of_it_soon(open: &mut Open) -> Option<Value> {
    loop {
        let heard = hears_soon(open).await?;
        if is_update(&heard) {
            return Some(heard);
        }
    }
}

fn is_update(heard: &Value) -> bool {
    heard["method"] == "notifications/resources/updated"
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_both_sides_speak_who_may_read_it_is_told_once_by_one_permit() {
    for (era, modern) in [Eras::Legacy, Eras::Modern].map(|era| [(era, false), (era, true)]).concat() {
        let world = world(era).await;
        let mut open = client(&world, modern, A).await;
        assert_eq!(world.ops.asked(), [(method(era).to_owned(), json!({"uri": A}))], "{era:?} {modern}");
        for _ in 0..3 {
            update(&world, A, 1).await;
        }
        assert_eq!(hears(&mut open).await, told(modern, A), "{era:?} {modern}");
        update(&world, "file:///docs/b", 1).await;
        assert_eq!(hears_soon(&mut open).await, None, "{era:?} {modern}");
        assert_eq!((count(&world, "permitted").await, count(&world, "settled").await), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_a_modern_upstream_it_ends_with_the_last_who_is_told_and_no_sooner() {
    let world = world(Eras::Modern).await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    let mut of_spy = listen(&spy).await;
    for session in [&bot, &spy] {
        assert_eq!(subscribe(session, A).await["result"], json!({}));
    }
    assert_eq!(asked(&world, "subscriptions/listen"), 1, "they share the stream");
    let gone = bot.request("resources/unsubscribe", json!({"uri": A})).await.json();
    assert_eq!(gone["result"], json!({}));
    update(&world, A, 1).await;
    assert_eq!(hears(&mut of_spy).await, told(false, A));
    let bearer = format!("Bearer {}", spy.key);
    let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", spy.id.as_str())];
    assert_eq!(world.request("DELETE", "/mcp/ops", &headers, "").await.status, 204);
    becomes("its stream is closed", || world.ops.update("file:///nobody/watches") == 0).await;
    assert_eq!(subscribe(&bot, A).await["result"], json!({}));
    assert_eq!(asked(&world, "subscriptions/listen"), 2, "and the next one opens another");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_modern_upstream_does_not_acknowledge_is_refused_by_name_and_its_stream_is_closed() {
    let world = world(Eras::Modern).await;
    let bot = world.session("bot").await;
    let refused = subscribe(&bot, "file:///docs/none").await;
    assert_eq!(refused["error"]["data"]["slug"], "upstream_needs_feature", "{refused}");
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("Needed: subscriptions to a resource."), "{said}");
    becomes("its stream is closed", || world.ops.update("file:///docs/none") == 0).await;
    let wants = json!({"notifications": {"resourceSubscriptions": ["file:///docs/none"]}});
    let mut open = Modern::new(&world, "bot").open(7, "subscriptions/listen", wants).await;
    let begun = hears(&mut open).await;
    let untold = json!({"file:///docs/none": {"slug": "upstream_needs_feature"}});
    assert_eq!(begun["params"]["_meta"]["dev.stepup/not-subscribed"], untold);
    for _ in 0..100 {
        if count(&world, "settled").await == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not known how they ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn t01_who_may_not_read_it_has_nothing_sent_to_a_modern_upstream() {
    let world = world(Eras::Modern).await;
    let bot = world.session("bot").await;
    for (uri, slug) in [
        ("file:///other/a", "policy_denied"),
        ("file:///docs/../etc/a", "uri_refused"),
        ("file:///etc/hosts", "approval_required"),
    ] {
        assert_eq!(subscribe(&bot, uri).await["error"]["data"]["slug"], slug, "{uri}");
    }
    assert_eq!(world.ops.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_upstream_ends_is_begun_anew_after_its_change_is_told() {
    for modern in [false, true] {
        let world = world(Eras::Modern).await;
        let mut open = client(&world, modern, A).await;
        update(&world, "file:///nobody/watches", 1).await;
        world.ops.end_streams();
        assert_eq!(hears_of_it(&mut open).await, told(modern, A), "it may have changed unheard");
        assert_eq!(asked(&world, "subscriptions/listen"), 2);
        assert_eq!(count(&world, "permitted").await, 2, "by the one door");
        update(&world, A, 1).await;
        assert_eq!(hears_of_it(&mut open).await, told(modern, A));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_changed_while_a_session_was_not_listened_to_is_told_once() {
    let world = world(Eras::Legacy).await;
    let mut open = client(&world, false, A).await;
    update(&world, "file:///nobody/watches", 2).await;
    world.ops.end_streams();
    assert_eq!(hears_of_it(&mut open).await, told(false, A));
    assert_eq!(asked(&world, "resources/subscribe"), 1, "the subscription is the session's, and goes on");
    update(&world, A, 2).await;
    assert_eq!(hears_of_it(&mut open).await, told(false, A));
    assert_eq!(hears_of_it_soon(&mut open).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_upstream_is_away_nothing_is_told_and_nothing_is_lost() {
    let world = world(Eras::Modern).await;
    let mut open = client(&world, true, A).await;
    update(&world, "file:///nobody/watches", 1).await;
    world.ops.is_away(true);
    world.ops.end_streams();
    assert_eq!(hears_of_it_soon(&mut open).await, None);
    world.ops.is_away(false);
    becomes("it is begun anew", || world.ops.update("file:///nobody/watches") == 1).await;
    assert_eq!(hears_of_it(&mut open).await, told(true, A));
    let permitted = count(&world, "permitted").await;
    assert!((3..=4).contains(&permitted), "it is tried less and less often: {permitted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_to_the_stream_of_its_session_hears_what_was_judged_when_it_went() {
    let world = world(Eras::Modern).await;
    let slow = "file:///docs/slow";
    let bot = world.session("bot").await;
    let open = listen(&bot).await;
    world.ops.go();
    assert_eq!(subscribe(&bot, slow).await["result"], json!({}));
    update(&world, "file:///nobody/watches", 1).await;
    world.ops.end_streams();
    becomes("it is being begun anew", || asked(&world, "subscriptions/listen") == 2).await;
    drop(open);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.ops.go();
    world.ops.go();
    let mut open = listen(&bot).await;
    assert_eq!(hears_of_it(&mut open).await, told(false, slow));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_link_died_it_is_begun_anew_over_the_next_one_and_told_once_as_changed() {
    for modern in [false, true] {
        let ops = Ops::start().await;
        ops.session("one");
        let world = World::upon(ops, &format!("{RULES}{READS}"), |_| {}, |_| {}).await;
        let mut open = client(&world, modern, A).await;
        update(&world, "file:///nobody/watches", 1).await;
        world.ops.session("two");
        world.ops.end_streams();
        assert_eq!(hears_of_it(&mut open).await, told(modern, A));
        becomes("it is subscribed to anew", || asked(&world, "resources/subscribe") == 2).await;
        update(&world, A, 1).await;
        assert_eq!(hears_of_it(&mut open).await, told(modern, A));
        assert_eq!(hears_of_it_soon(&mut open).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_any_more_is_not_begun_anew() {
    let world = world(Eras::Modern).await;
    let mut open = client(&world, true, A).await;
    let changed = world.authority.activate(&bundle(RULES), &authority::By::account(0)).await.unwrap();
    assert_eq!(changed, authority::Activated::Done);
    world.ops.end_streams();
    assert_eq!(hears_of_it_soon(&mut open).await, None);
    assert_eq!(asked(&world, "subscriptions/listen"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn t37_a_lock_between_subscribing_and_a_change_keeps_it_from_who_is_locked() {
    for (era, modern) in [Eras::Legacy, Eras::Modern].map(|era| [(era, false), (era, true)]).concat() {
        let world = world(era).await;
        let mut open = client(&world, modern, A).await;
        update(&world, "file:///nobody/watches", 1).await;
        let bot = world.authority.active().caller_named("bot").unwrap().id;
        let (by, why) = ("ann".to_owned(), "stop".to_owned());
        world.authority.lock(LockSubject::Caller(bot), by, why, None).await.unwrap();
        world.ops.update(A);
        assert_eq!(hears_of_it_soon(&mut open).await, None, "{era:?} {modern}");
        world.ops.end_streams();
        assert_eq!(hears_of_it_soon(&mut open).await, None, "nor is it begun anew");
        assert_eq!(asked(&world, method(era)), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_is_told_to_its_end_and_never_begun_anew_by_itself() {
    let world = world(Eras::Modern).await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    let stopped = subscribe(&bot, "file:///etc/hosts").await;
    world.approve(stopped["error"]["data"]["elevation"].as_str().unwrap()).await;
    assert_eq!(subscribe(&bot, "file:///etc/hosts").await["result"], json!({}));
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears(&mut open).await, told(false, "file:///etc/hosts"));
    let before = world.records().await;
    world.ops.end_streams();
    assert_eq!(hears(&mut open).await, told(false, "file:///etc/hosts"), "it may have changed unheard");
    assert_eq!(hears_soon(&mut open).await, None);
    assert_eq!(world.records().await, before, "nobody is asked to approve what nobody asked for");
    let again = subscribe(&bot, "file:///etc/hosts").await;
    assert_eq!(again["error"]["data"]["slug"], "grant_spent", "who asks again is asked about again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_for_a_time_is_told_of_for_that_time() {
    let world = world(Eras::Modern).await;
    let mut short = bundle(&format!("{RULES}{READS}"));
    short.requirements.get_mut("release").unwrap().terms.valid_for = Millis::seconds(5);
    assert_eq!(
        world.authority.activate(&short, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    let stopped = subscribe(&bot, "file:///etc/hosts").await;
    world.approve(stopped["error"]["data"]["elevation"].as_str().unwrap()).await;
    assert_eq!(subscribe(&bot, "file:///etc/hosts").await["result"], json!({}));
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears_of_it(&mut open).await, told(false, "file:///etc/hosts"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears_of_it_soon(&mut open).await, None);
    becomes("and its stream is closed", || world.ops.update("file:///nobody/watches") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_does_not_wait_for_is_told_whole_and_approved_for_the_next_one() {
    let world = world(Eras::Modern).await;
    let bot = Modern::new(&world, "bot");
    let wants = json!({"notifications": {"resourceSubscriptions": ["file:///etc/hosts"]}});
    let mut stopped = Vec::new();
    for _ in 0..2 {
        let mut open = bot.open(7, "subscriptions/listen", wants.clone()).await;
        let begun = hears(&mut open).await;
        assert_eq!(begun["params"]["notifications"], json!({}));
        stopped.push(begun["params"]["_meta"]["dev.stepup/not-subscribed"]["file:///etc/hosts"].clone());
    }
    assert_eq!(stopped[0]["elevation"], stopped[1]["elevation"], "asking again opens no second request");
    for member in ["link", "words", "requires", "requirement", "status_url", "access_hash", "expires_at"] {
        assert!(!stopped[0][member].is_null(), "{member}: {stopped:?}");
    }
    let elevation = stopped[0]["elevation"].as_str().unwrap();
    world.approve(elevation).await;
    let run = json!({"elevation": elevation});
    let refused = bot.call("stepup_run", run).await.json();
    assert_eq!(refused["result"]["_meta"]["dev.stepup/refusal"]["slug"], "state_invalid", "{refused}");
    assert_eq!((world.ops.asked(), count(&world, "spent").await), (vec![], 0), "nothing is used up");
    let mut open = bot.open(7, "subscriptions/listen", wants).await;
    let begun = hears(&mut open).await;
    assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!(["file:///etc/hosts"]));
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears_of_it(&mut open).await, told(true, "file:///etc/hosts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_subscription_that_a_session_runs_by_its_id_is_told_there_and_nowhere_else() {
    let world = world(Eras::Legacy).await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    let stopped = subscribe(&bot, "file:///etc/hosts").await;
    let elevation = stopped["error"]["data"]["elevation"].as_str().unwrap();
    world.approve(elevation).await;
    let ran = bot.call("stepup_run", json!({"elevation": elevation})).await.json();
    assert_ne!(ran["result"]["isError"], true, "{ran}");
    assert_eq!(count(&world, "spent").await, 1);
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears_of_it(&mut open).await, told(false, "file:///etc/hosts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_nobody_however_often_it_is_asked_for() {
    let world = world(Eras::Modern).await;
    let bot = Modern::new(&world, "bot");
    let wants =
        json!({"notifications": {"resourceSubscriptions": ["file:///etc/hosts", "file:///etc/passwd", A]}});
    for _ in 0..3 {
        // The second time there are requests that wait, and a call would wait with them for most of a minute.
        let opening = bot.open(7, "subscriptions/listen", wants.clone());
        let mut open =
            tokio::time::timeout(Duration::from_secs(20), opening).await.expect("it waits for people");
        let begun = hears(&mut open).await;
        assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!([A]));
        assert_eq!(begun["params"]["_meta"]["dev.stepup/not-subscribed"].as_object().unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_caller_watches_in_all_its_sessions_and_streams_is_bounded_and_takes_nobody_elses_place() {
    let ops = Ops::start().await;
    ops.discover(|has| has["resources"] = json!({"subscribe": true}));
    let settle = |settings: &mut gateway::Settings| settings.budgets.subscriptions = 3;
    let world =
        World::upon(ops, &format!("{RULES}{READS}"), settle, |config| config.era = Eras::Modern).await;
    let uris = ["file:///docs/a", "file:///docs/b", "file:///docs/c", "file:///docs/d"];
    let (one, two) = (world.session("bot").await, world.session("bot").await);
    assert_eq!(subscribe(&one, uris[0]).await["result"], json!({}));
    assert_eq!(subscribe(&two, uris[1]).await["result"], json!({}));
    let bot = Modern::new(&world, "bot");
    let wants = |uris: &[&str]| json!({"notifications": {"resourceSubscriptions": uris}});
    let mut open = bot.open(7, "subscriptions/listen", wants(&uris[2..])).await;
    let begun = hears(&mut open).await;
    assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!([uris[2]]));
    let untold = &begun["params"]["_meta"]["dev.stepup/not-subscribed"][uris[3]];
    assert_eq!(untold["slug"], "over_budget", "{untold}");
    let refused = one.request("resources/subscribe", json!({"uri": uris[3]})).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["slug"].as_str()),
        (429, Some("over_budget")),
        "{}",
        refused.body
    );
    let spy = world.session("spy").await;
    assert_eq!(subscribe(&spy, uris[3]).await["result"], json!({}), "another caller has its own");
    // A place is given back with what it was for.
    assert_eq!(
        one.request("resources/unsubscribe", json!({"uri": uris[0]})).await.json()["result"],
        json!({})
    );
    assert_eq!(subscribe(&two, uris[3]).await["result"], json!({}));
}
