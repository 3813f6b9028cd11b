//! The stream on which a caller hears that its list has changed (MCP, "Listening for Messages"; T22, T23).

use std::time::Duration;

use serde_json::json;

use crate::wire::{self, Open};
use crate::world::{Session, World};

async fn listen(session: &Session<'_>, more: &[(&str, &str)]) -> Open {
    let bearer = format!("Bearer {}", session.key);
    let mut headers = vec![
        ("Authorization", bearer.as_str()),
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", session.id.as_str()),
    ];
    headers.extend(more);
    let head = session.world.head("GET", "/mcp/ops", &headers, 0);
    wire::open(session.world.at, &head, b"").await
}

/// Changes what the upstream says of a tool, and has it looked at.
async fn change(world: &World, tool: &str) {
    world.ops.change(|tools| {
        let tools = tools.as_array_mut().unwrap().iter_mut();
        let tool = tools.into_iter().find(|one| one["name"] == tool).unwrap();
        tool["description"] = json!("Something else now.");
    });
    world.gateway.repin("ops").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_that_its_list_changed_and_nothing_of_what_it_may_not_know() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let mut open = listen(&bot, &[]).await;
    assert_eq!(open.header("content-type"), Some("text/event-stream"));
    change(&world, "hidden").await;
    assert!(open.soon().await.is_none(), "it heard of a tool that is hidden from it");
    change(&world, "read_ticket").await;
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    assert_eq!(open.message().await, Some(changed));
    let listed = bot.request("tools/list", json!({})).await;
    assert!(!listed.body.contains("read_ticket"), "it is stopped, and so not shown");
    assert!(open.soon().await.is_none(), "one change is told once");
    assert_eq!(bot.call("slow", json!({"no": "such"})).await.slug(), "arguments_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_a_session_has_one_listener_and_it_is_its_own_callers() {
    let world = World::new().await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    let first = listen(&bot, &[]).await;
    let second = wire::send(world.at, &head(&bot), b"").await;
    assert_eq!((second.status, second.slug().as_str()), (429, "over_budget"));
    let stolen = Session { key: spy.key.clone(), ..bot.clone() };
    for more in ["", "1", "0/0"] {
        let head = head(&stolen).replace("\r\n\r\n", &format!("\r\nLast-Event-ID: {more}\r\n\r\n"));
        let reply = wire::send(world.at, &head, b"").await;
        assert_eq!((reply.status, reply.slug().as_str()), (404, "session_unknown"));
    }
    drop(first);
    for _ in 0..100 {
        let again = listen(&bot, &[]).await;
        if again.header("content-type") == Some("text/event-stream") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody may listen any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_no_event_has_an_id_and_who_would_resume_a_stream_is_told_that_nothing_can_be() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    for id in ["", "1", "0/0", "../1"] {
        let head = head(&bot).replace("\r\n\r\n", &format!("\r\nLast-Event-ID: {id}\r\n\r\n"));
        let reply = wire::send(world.at, &head, b"").await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "request_invalid"), "{id:?}");
        assert!(
            reply.json()["error"]["message"].as_str().unwrap().contains("Last-Event-ID"),
            "{}",
            reply.body
        );
    }
    // The stream was not taken by that.
    assert_eq!(listen(&bot, &[]).await.header("content-type"), Some("text/event-stream"));
    let call = json!({"name": "slow", "arguments": {}, "_meta": {"progressToken": "p"}});
    world.ops.go();
    let reply = bot.request("tools/call", call).await;
    assert!(reply.body.contains("event: message") && !reply.body.contains("\nid:"), "{}", reply.body);
}

fn head(session: &Session<'_>) -> String {
    let bearer = format!("Bearer {}", session.key);
    let headers =
        [("Authorization", bearer.as_str()), ("Accept", "*/*"), ("Mcp-Session-Id", session.id.as_str())];
    session.world.head("GET", "/mcp/ops", &headers, 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_ends_with_the_session_the_caller_and_the_node() {
    let world = World::new().await;
    let (bot, spy, other) =
        (world.session("bot").await, world.session("spy").await, world.session("bot").await);
    let mut ends = [listen(&bot, &[]).await, listen(&spy, &[]).await, listen(&other, &[]).await];
    for open in &mut ends {
        assert!(open.soon().await.is_none(), "it ended by itself");
    }
    let bearer = format!("Bearer {}", bot.key);
    let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", bot.id.as_str())];
    assert_eq!(world.request("DELETE", "/mcp/ops", &headers, "").await.status, 204);
    world.authority.disable_caller("spy", &authority::By::account(0)).await.unwrap();
    let [session, caller, node] = &mut ends;
    assert_eq!(session.message().await, None);
    assert_eq!(caller.message().await, None);
    world.gateway.drain();
    assert_eq!(node.message().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_takes_no_place_of_requests_in_flight() {
    let world = World::with(crate::world::RULES, |settings| settings.budgets.in_flight = 1).await;
    let bot = world.session("bot").await;
    let _open = listen(&bot, &[]).await;
    assert_eq!(bot.call("read_ticket", json!({"id": 1})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_which_list_has_changed() {
    let world = World::new().await;
    world.gateway.watch();
    let bot = world.session("bot").await;
    let mut open = listen(&bot, &[]).await;
    let notice =
        |list: &str| json!({"jsonrpc": "2.0", "method": format!("notifications/{list}/list_changed")});
    world.ops.change_prompts(|prompts| *prompts = json!([]));
    world.gateway.repin("ops").await.unwrap();
    assert_eq!(open.message().await, Some(notice("prompts")));
    world.ops.announce_as("resources");
    assert_eq!(open.message().await, Some(notice("resources")));
    world.ops.announce();
    assert!(
        open.soon().await.is_none(),
        "a list that its upstream says has changed is not told of while it has not"
    );
}
