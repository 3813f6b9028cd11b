//! Who is told that a resource changes (MCP 2025-11-25, server/resources; 2026-07-28, subscriptions; rfd 27): whoever may read
//! it, judged when it subscribes and each time that something is told.

use serde_json::{Value, json};
use upstream::Share;

use crate::modern::Modern;
use crate::wire::{self, Open};
use crate::world::{RULES, Session, World, becomes, bundle};

pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

pub const READS: &str = r#"
@id("reads") permit (principal, action == Action::"resources/read", resource)
when { resource has uri && resource.uri like "file:///docs/*" };
@id("asks") permit (principal, action in [Action::"discover", Action::"resources/read"], resource)
when { resource has uri && resource.uri like "file:///etc/*" };
@id("asked") @stepup("release") forbid (principal, action == Action::"resources/read", resource)
when { resource has uri && resource.uri like "file:///etc/*" };
@id("seen") permit (principal, action == Action::"discover", resource)
when { resource has uri && resource.uri like "file:///seen/*" };
"#;

pub async fn world(share: Share) -> World {
    World::configured(&format!("{RULES}{READS}"), |_| {}, |config| config.share = share).await
}

/// The stream of a session, once its upstream is listened to.
pub async fn listen(session: &Session<'_>) -> Open {
    let bearer = format!("Bearer {}", session.key);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", session.id.as_str()),
    ];
    wire::open(session.world.at, &session.world.head("GET", "/mcp/ops", &headers, 0), b"").await
}

pub async fn hears(open: &mut Open) -> Value {
    open.message().await.expect("the stream ended")
}

/// What it hears soon, if anything; where it is to be nothing.
pub async fn hears_soon(open: &mut Open) -> Option<Value> {
    open.soon().await.map(|message| message.expect("the stream ended"))
}

pub async fn subscribe(session: &Session<'_>, uri: &str) -> Value {
    session.request("resources/subscribe", json!({"uri": uri})).await.json()
}

/// Tells of a change once all who are to hear of it can.
pub async fn update(world: &World, uri: &str, listeners: usize) {
    becomes("its upstream is listened to", || world.ops.update("file:///nobody/watches") >= listeners).await;
    world.ops.update(uri);
}

pub fn updated(uri: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
}

pub fn asked(world: &World, method: &str) -> usize {
    world.ops.asked().iter().filter(|(one, _)| one == method).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribed_hears_once_that_it_changed_and_nothing_more_after_its_last_word() {
    let world = world(Share::Session).await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    assert_eq!(subscribe(&bot, "file:///docs/a").await["result"], json!({}));
    assert_eq!(world.ops.asked(), [("resources/subscribe".to_owned(), json!({"uri": "file:///docs/a"}))]);
    for _ in 0..5 {
        update(&world, "file:///docs/a", 1).await;
    }
    assert_eq!(hears(&mut open).await, updated("file:///docs/a"));
    update(&world, "file:///docs/b", 1).await;
    assert_eq!(
        hears_soon(&mut open).await,
        None,
        "many are told as one, and nothing of what it did not ask for"
    );
    let gone = bot.request("resources/unsubscribe", json!({"uri": "file:///docs/a"})).await.json();
    assert_eq!(gone["result"], json!({}));
    becomes("its upstream is told", || asked(&world, "resources/unsubscribe") == 1).await;
    update(&world, "file:///docs/a", 1).await;
    assert_eq!(hears_soon(&mut open).await, None);
    let again = bot.request("resources/unsubscribe", json!({"uri": "file:///docs/a"})).await.json();
    assert_eq!(again["result"], json!({}), "it is over, as was asked for");
    let records = world.records().await;
    assert_eq!(records.iter().filter(|kind| *kind == "permitted").count(), 1);
    assert_eq!(records.iter().filter(|kind| *kind == "settled").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn t01_who_may_not_read_it_subscribes_to_nothing_and_nothing_is_sent() {
    let world = world(Share::Session).await;
    let bot = world.session("bot").await;
    for (uri, slug) in [
        ("file:///other/a", "policy_denied"),
        ("file:///seen/a", "policy_denied"),
        ("file:///docs/../etc/a", "uri_refused"),
        ("file:///etc/hosts", "approval_required"),
    ] {
        assert_eq!(subscribe(&bot, uri).await["error"]["data"]["slug"], slug, "{uri}");
    }
    let more = bot.request("resources/subscribe", json!({"uri": "file:///docs/a", "canary": 1})).await;
    assert_eq!(more.slug(), "request_invalid");
    assert_eq!(world.ops.asked(), []);
    assert_eq!(subscribe(&bot, "file:///docs/none").await["error"]["message"], "Resource not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_to_read_is_none_to_be_told_and_the_reverse() {
    let world = world(Share::Session).await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot).await;
    let stopped = subscribe(&bot, "file:///etc/hosts").await;
    world.approve(stopped["error"]["data"]["elevation"].as_str().unwrap()).await;
    let read = bot.request("resources/read", json!({"uri": "file:///etc/hosts"})).await;
    assert_eq!(read.slug(), "approval_required");
    assert_eq!(subscribe(&bot, "file:///etc/hosts").await["result"], json!({}));
    update(&world, "file:///etc/hosts", 1).await;
    assert_eq!(hears(&mut open).await, updated("file:///etc/hosts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_any_more_is_not_told_of_whoever_subscribed_before() {
    let forbidden =
        format!(r#"{READS}@id("no") forbid (principal, action == Action::"resources/read", resource);"#);
    let asked_for = READS.replace("file:///etc/*", "file:///*");
    for rules in ["", forbidden.as_str(), asked_for.as_str()] {
        let world = world(Share::Session).await;
        let bot = world.session("bot").await;
        let mut open = listen(&bot).await;
        subscribe(&bot, "file:///docs/a").await;
        let changed = world
            .authority
            .activate(&bundle(&format!("{RULES}{rules}")), &authority::By::account(0))
            .await
            .unwrap();
        assert_eq!(changed, authority::Activated::Done);
        // The lists may be other ones by that, and that is all.
        while let Some(told) = hears_soon(&mut open).await {
            assert_ne!(told["method"], "notifications/resources/updated");
        }
        update(&world, "file:///docs/a", 1).await;
        assert_eq!(hears_soon(&mut open).await, None, "{rules}");
        becomes("and its upstream is told that nobody is", || asked(&world, "resources/unsubscribe") == 1)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_link_that_all_share_it_is_subscribed_to_once_and_ends_with_the_last() {
    let world = world(Share::All).await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    let (mut of_bot, mut of_spy) = (listen(&bot).await, listen(&spy).await);
    for session in [&bot, &spy] {
        assert_eq!(subscribe(session, "file:///docs/a").await["result"], json!({}));
    }
    assert_eq!(subscribe(&spy, "file:///docs/b").await["result"], json!({}));
    assert_eq!(asked(&world, "resources/subscribe"), 2, "one for each resource");
    update(&world, "file:///docs/a", 1).await;
    for open in [&mut of_bot, &mut of_spy] {
        assert_eq!(hears(open).await, updated("file:///docs/a"));
    }
    update(&world, "file:///docs/b", 1).await;
    assert_eq!(hears(&mut of_spy).await, updated("file:///docs/b"));
    assert_eq!(hears_soon(&mut of_bot).await, None, "it is the other's");
    bot.request("resources/unsubscribe", json!({"uri": "file:///docs/a"})).await;
    update(&world, "file:///docs/a", 1).await;
    assert_eq!(hears(&mut of_spy).await, updated("file:///docs/a"));
    assert_eq!(asked(&world, "resources/unsubscribe"), 0, "the other goes on");
    let bearer = format!("Bearer {}", spy.key);
    let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", spy.id.as_str())];
    assert_eq!(world.request("DELETE", "/mcp/ops", &headers, "").await.status, 204);
    becomes("with its session it ends", || asked(&world, "resources/unsubscribe") == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_subscribes_to_so_many_resources_and_no_more() {
    let rules = format!("{RULES}{READS}");
    let world = World::with(&rules, |settings| settings.budgets.subscriptions = 2).await;
    let bot = world.session("bot").await;
    for uri in ["file:///docs/a", "file:///docs/b"] {
        assert_eq!(subscribe(&bot, uri).await["result"], json!({}));
    }
    let full = bot.request("resources/subscribe", json!({"uri": "file:///docs/c"})).await;
    assert_eq!((full.status, full.slug().as_str()), (429, "over_budget"));
    bot.request("resources/unsubscribe", json!({"uri": "file:///docs/a"})).await;
    assert_eq!(subscribe(&bot, "file:///docs/c").await["result"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_modern_era_tells_of_the_resources_that_it_names_and_may_read() {
    let world = world(Share::Session).await;
    let bot = Modern::new(&world, "bot");
    let uris = json!(["file:///docs/a", "file:///other/a", "file:///etc/hosts", "file:///docs/a"]);
    let wants = json!({"notifications": {"resourceSubscriptions": uris, "toolsListChanged": true}});
    let mut open = bot.open(7, "subscriptions/listen", wants).await;
    let begun = hears(&mut open).await;
    assert_eq!(begun["method"], "notifications/subscriptions/acknowledged");
    let honoured = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///docs/a"]});
    assert_eq!(begun["params"]["notifications"], honoured);
    let untold = &begun["params"]["_meta"]["dev.stepup/not-subscribed"];
    assert_eq!(untold["file:///other/a"], json!({"slug": "policy_denied"}));
    assert_eq!(untold["file:///etc/hosts"]["slug"], "approval_required");
    assert_eq!(untold.as_object().unwrap().len(), 2);
    update(&world, "file:///docs/a", 1).await;
    let told = hears(&mut open).await;
    let params = json!({"uri": "file:///docs/a", "_meta": {SUBSCRIPTION: 7}});
    assert_eq!((&told["method"], &told["params"]), (&json!("notifications/resources/updated"), &params));
    drop(open);
    becomes("with the stream it ends", || asked(&world, "resources/unsubscribe") == 1).await;
    for wrong in [
        json!("file:///docs/a"),
        json!([7]),
        json!((0..65).map(|n| format!("file:///docs/{n}")).collect::<Vec<_>>()),
    ] {
        let wants = json!({"notifications": {"resourceSubscriptions": wrong}});
        assert_eq!(bot.ask("subscriptions/listen", wants).await.slug(), "request_invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_address_of_all_a_resource_is_told_of_under_the_name_that_it_has_there() {
    let world = world(Share::Session).await;
    let mut bot = Modern::new(&world, "bot");
    bot.path = "/mcp";
    let wants =
        json!({"notifications": {"resourceSubscriptions": ["stepup+ops+file:///docs/a", "file:///docs/a"]}});
    let mut open = bot.open(1, "subscriptions/listen", wants).await;
    let begun = hears(&mut open).await;
    assert_eq!(
        begun["params"]["notifications"]["resourceSubscriptions"],
        json!(["stepup+ops+file:///docs/a"])
    );
    update(&world, "file:///docs/a", 1).await;
    assert_eq!(hears(&mut open).await["params"]["uri"], "stepup+ops+file:///docs/a");
}
