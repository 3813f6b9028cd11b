//! Calls that their caller takes back: their upstream is told, and then it owes no answer (MCP, cancellation).

use std::sync::Arc;
use std::time::Duration;

use elevation::Outcome;
use terms::{Ambient as _, Millis};
use upstream::{Errand, Fault, Forwarded, forward};

use crate::http::{Does, Server};
use crate::world::{SOON, World, becomes, ended, hostile, http, none, session};

/// The same tools over HTTP and over stdio.
async fn worlds(server: &Server) -> (World, World) {
    let (over_http, over_stdio) =
        (World::new(vec![http(&server.url)]).await, World::new(vec![hostile(&[])]).await);
    for world in [&over_http, &over_stdio] {
        world.pin(&["run", "silent", "late", "counts"]).await;
    }
    (over_http, over_stdio)
}

/// What becomes of a call that is taken back a moment after it began, and how long that takes.
async fn cancelled(world: &World, tool: &str) -> (Forwarded, Millis) {
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", tool, none()).await;
    let (attempt, began) = (permit.attempt().unwrap(), world.machine.boottime());
    let stops = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        link.errand(Errand::Cancel(attempt)).await.unwrap();
        // Who says it twice waits no less, and no longer.
        link.errand(Errand::Cancel(attempt)).await.unwrap();
    };
    let (forwarded, ()) = tokio::join!(forward(permit, &link, world.along(tool), SOON), stops);
    (forwarded, world.machine.boottime().since(began))
}

/// It is not waited for as long as for an answer, and not so short that one on its way is lost.
fn given_up((forwarded, after): &(Forwarded, Millis)) {
    ended(forwarded, Fault::TakenBack, Outcome::Unknown);
    assert!((8_000..15_000).contains(&after.get()), "{after:?}");
}

#[tokio::test]
async fn a_call_that_its_upstream_does_not_answer_because_it_is_cancelled_is_soon_over_and_unknown() {
    let server = Server::of_calls(|_| Does::WritesAndWaits(String::new())).await;
    let (over_http, over_stdio) = worlds(&server).await;
    let (by_http, by_stdio) = tokio::join!(cancelled(&over_http, "run"), cancelled(&over_stdio, "silent"));
    given_up(&by_http);
    given_up(&by_stdio);
    assert_eq!(server.count("notifications/cancelled"), 2);
    becomes("nothing is read any more", || server.closed() == 1).await;
    // Both links go on.
    assert_eq!(over_stdio.call("counts", none()).await.outcome, Outcome::Done);
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn an_answer_that_comes_soon_after_its_call_is_cancelled_is_its_outcome() {
    let gate = Arc::new(tokio::sync::broadcast::Sender::<String>::new(4));
    let answers = Arc::clone(&gate);
    let server = Server::of_calls(move |_| Does::Tells(answers.subscribe())).await;
    let (over_http, over_stdio) = worlds(&server).await;
    let answering = async {
        becomes("it is cancelled", || server.count("notifications/cancelled") > 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = server.all();
        let id = &arrived.iter().find(|one| one.is("tools/call")).unwrap().body["id"];
        gate.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#)).unwrap();
    };
    let (by_http, by_stdio, ()) =
        tokio::join!(cancelled(&over_http, "run"), cancelled(&over_stdio, "late"), answering);
    for (forwarded, _) in [by_http, by_stdio] {
        assert_eq!(forwarded.outcome, Outcome::Done, "{forwarded:?}");
    }
}

#[tokio::test]
async fn a_call_whose_upstream_cannot_be_told_that_it_is_cancelled_is_waited_for_as_ever() {
    let server = Server::start(|request| match request.body["method"].as_str() {
        Some("tools/call") => Does::WritesAndWaits(String::new()),
        Some("notifications/cancelled") => Does::Writes(crate::http::response("500 No", "", "")),
        _ => Does::Well,
    })
    .await;
    let world = World::new(vec![http(&server.url)]).await;
    world.pin(&["run"]).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "run", none()).await;
    let attempt = permit.attempt().unwrap();
    let within = Millis::seconds(12);
    let stops = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(link.errand(Errand::Cancel(attempt)).await.is_err());
    };
    let (forwarded, ()) = tokio::join!(forward(permit, &link, world.along("run"), within), stops);
    ended(&forwarded, Fault::Timeout, Outcome::Unknown);
}
