//! A new credential in an answer: in force at once, and seen by nobody (decisions A15, rfd 38).

use authority::{Capture, ToolSettings};
use serde_json::{Value, json};
use terms::Touch;

use crate::apis::world_where;
use crate::crm::Crm;
use crate::wire::Reply;
use crate::world::World;

fn captures(name: &str) -> ToolSettings {
    let capture = Capture { from: "/key".parse().unwrap(), upstream: "crm".to_owned() };
    ToolSettings { capture: (name == "odd").then_some(capture), ..ToolSettings::default() }
}

async fn world() -> (World, Crm) {
    world_where(|_| {}, captures).await
}

/// What we authenticate with at the API now.
async fn used(world: &World, crm: &Crm) -> String {
    assert_eq!(world.get("/health").await.status, 200);
    crm.arrived().last().unwrap().header("authorization").unwrap()
}

/// The bodies of what was settled.
async fn settled(world: &World) -> Vec<Value> {
    world.authority.drain(terms::Millis::seconds(5)).await;
    let lines = world.authority.store().records(0, 10_000).await.unwrap();
    let bodies = lines.into_iter().filter(|line| line.kind == "settled").filter_map(|line| line.body);
    bodies.map(|(body, _)| serde_json::from_slice(&body).unwrap()).collect()
}

async fn no_record_says(world: &World, secret: &str) {
    for line in world.authority.store().records(0, 10_000).await.unwrap() {
        let body = line.body.map(|(body, _)| String::from_utf8(body).unwrap()).unwrap_or_default();
        assert!(!body.contains(secret), "{body}");
    }
}

/// The detail of an answer that is withheld, and whether the credential is in force.
fn withheld(reply: &Reply) -> (String, String) {
    assert_eq!((reply.status, reply.slug()), (502, "answer_withheld".to_owned()));
    let said = reply.json();
    assert!(said["attempt"].as_str().unwrap().starts_with("att_"));
    (said["outcome"].as_str().unwrap().to_owned(), said["credential"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a15_a_new_credential_is_in_force_at_the_next_request_and_its_asker_never_sees_it() {
    let (world, crm) = world().await;
    assert_eq!(used(&world, &crm).await, "Bearer upstream-secret");
    let reply = world.get("/odd/rotated").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"id": 7})));
    assert!(!format!("{reply:?}").contains("fresh-secret-1"), "nor in its head: {reply:?}");
    assert_eq!(used(&world, &crm).await, "Bearer fresh-secret-1");
    let reply = world.get("/odd/rotated-again").await;
    assert_eq!((reply.status, reply.json()), (201, json!({})));
    assert_eq!(used(&world, &crm).await, "Bearer fresh-secret-2", "and the one after it");
    let captured: Vec<Value> =
        settled(&world).await.into_iter().filter_map(|body| body.get("captured").cloned()).collect();
    assert_eq!(captured, ["crm", "crm"]);
    no_record_says(&world, "fresh-secret").await;
}

#[tokio::test]
async fn a15_an_answer_that_it_cannot_be_taken_out_of_is_passed_to_nobody() {
    let (world, crm) = world().await;
    for how in ["keyless", "short", "splits", "chunks", "big", "moved"] {
        let reply = world.get(&format!("/odd/{how}")).await;
        assert_eq!(withheld(&reply), ("done".to_owned(), "not_in_force".to_owned()), "{how}");
        for part in ["fresh-secret", "abcde", "xxxx", "Location", "/api/odd"] {
            assert!(!format!("{reply:?}").contains(part), "{how}: {reply:?}");
        }
    }
    assert_eq!(
        used(&world, &crm).await,
        "Bearer upstream-secret",
        "nothing is in force that nobody could read"
    );
    let why: Vec<bool> = settled(&world).await.iter().map(|body| body["why"].is_string()).collect();
    assert_eq!(why.iter().filter(|said| **said).count(), 6, "the log says why each was withheld");
}

#[tokio::test]
async fn a15_an_answer_that_says_it_again_is_withheld_and_the_credential_is_in_force() {
    let (world, crm) = world().await;
    let reply = world.get("/odd/repeats").await;
    assert_eq!(withheld(&reply), ("done".to_owned(), "in_force".to_owned()));
    assert!(!format!("{reply:?}").contains("fresh-secret"));
    assert_eq!(used(&world, &crm).await, "Bearer fresh-secret-3");
    no_record_says(&world, "fresh-secret").await;
}

#[tokio::test]
async fn a15_what_the_upstream_refuses_brings_no_credential_and_what_stands_there_is_nobodys() {
    let (world, crm) = world().await;
    let reply = world.get("/odd/refuses-with").await;
    assert_eq!((reply.status, reply.json()), (409, json!({"error": "in use"})));
    assert_eq!(withheld(&world.get("/odd/refuses").await), ("failed".to_owned(), "not_in_force".to_owned()));
    assert_eq!(withheld(&world.get("/odd/fails").await), ("unknown".to_owned(), "not_in_force".to_owned()));
    assert_eq!(world.get("/odd/half").await.slug(), "upstream_unreachable");
    assert_eq!(used(&world, &crm).await, "Bearer upstream-secret");
    no_record_says(&world, "stale-secret").await;
}

#[tokio::test]
async fn a15_what_is_touched_is_never_named_by_the_credential() {
    let touched = |name: &str| {
        let touch =
            |from: &str| Touch { kind: "credential".to_owned(), from: from.parse().unwrap(), first: true };
        ToolSettings { touches: vec![touch("/result/key")], ..captures(name) }
    };
    let (world, crm) = world_where(|_| {}, touched).await;
    let reply = world.get("/odd/rotated").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(used(&world, &crm).await, "Bearer fresh-secret-1");
    let named: Vec<Value> = settled(&world).await.into_iter().map(|body| body["touched"].clone()).collect();
    assert!(named.contains(&json!([{"key": null, "kind": "credential"}])), "{named:?}");
    no_record_says(&world, "fresh-secret-1").await;
}

#[tokio::test]
async fn a15_an_answer_that_does_not_say_how_it_ended_is_not_passed_on() {
    let (world, crm) = world().await;
    let reply = world.get("/odd/fails-with-it").await;
    assert_eq!(withheld(&reply), ("unknown".to_owned(), "not_in_force".to_owned()));
    assert!(!format!("{reply:?}").contains("fresh-secret-9"), "{reply:?}");
    assert_eq!(used(&world, &crm).await, "Bearer upstream-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_of_two_that_are_made_at_once_the_newest_is_in_force() {
    let (world, crm) = world().await;
    let (one, other) = tokio::join!(world.get("/odd/makes-one"), world.get("/odd/makes-one"));
    assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
    // The other one is asked for only once this one is in force.
    assert_eq!(used(&world, &crm).await, "Bearer made-secret-older");
    let arrived: Vec<_> = crm.arrived().iter().map(|one| one.header("authorization").unwrap()).collect();
    assert_eq!(arrived[1], "Bearer made-secret-newer", "{arrived:?}");
}
