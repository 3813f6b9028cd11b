//! Resources that an upstream over stdio tells of, in either era (MCP 2025-11-25, server/resources; 2026-07-28,
//! subscriptions). Over HTTP they are tried where callers are.

use elevation::Outcome;
use serde_json::json;
use terms::{Feature, Json, Kind};
use upstream::{Along, Eras, Fault, Forwarded, Watch, forward};

use crate::world::{SOON, World, becomes, ended, hostile, in_era, none, session};

const A: &str = "file:///a";
const ERAS: [(Eras, &[&str]); 2] = [(Eras::Legacy, &[]), (Eras::Modern, &["modern"])];

async fn world(era: Eras, words: &[&str]) -> World {
    let world = World::new(vec![in_era(era, hostile(words))]).await;
    world.pin(&["moves", "leaves", "watched", "dies"]).await;
    world
}

fn strict(value: &serde_json::Value) -> Json {
    terms::json::parse(value.to_string().as_bytes()).unwrap()
}

async fn subscribes(world: &World, n: u8, uri: &str) -> Forwarded {
    let permit =
        world.permit_to(Kind::Resource, uri, "resources/subscribe", strict(&json!({"uri": uri}))).await;
    let link = world.upstreams.link("ops", session(n)).await.unwrap();
    forward(permit, &link, Along::default(), SOON).await
}

async fn watches(world: &World, uri: &str) -> Watch {
    let forwarded = subscribes(world, 1, uri).await;
    assert_eq!(forwarded.outcome, Outcome::Done, "{forwarded:?}");
    forwarded.watch.unwrap()
}

async fn moves(world: &World, uris: &[&str]) {
    assert_eq!(world.text("moves", strict(&json!({"uris": uris, "on": "other"}))).await, "told");
}

async fn watched(world: &World) -> serde_json::Value {
    world.json("watched", none()).await
}

#[tokio::test]
async fn over_stdio_a_change_is_heard_by_who_watches_that_resource_until_nobody_does() {
    for (era, words) in ERAS {
        let world = world(era, words).await;
        let mut watch = watches(&world, A).await;
        assert!(!watch.changed());
        moves(&world, &[A, A, "file:///b"]).await;
        assert!(watch.changed() && !watch.changed(), "{era:?}");
        moves(&world, &["file:///b"]).await;
        assert!(!watch.changed(), "{era:?}");
        assert_eq!(world.upstreams.dropped("ops"), Some(2), "{era:?}: nobody watches the other");
        let mut second = watches(&world, A).await;
        drop(watch);
        assert_eq!(watched(&world).await, json!([A]), "{era:?}: it is shared");
        moves(&world, &[A]).await;
        assert!(second.changed() && second.alive(), "{era:?}");
        drop(second);
        for _ in 0..100 {
            if watched(&world).await == json!([]) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(watched(&world).await, json!([]), "{era:?}: with the last one it ends");
    }
}

#[tokio::test]
async fn over_stdio_who_watches_knows_that_the_child_died() {
    for (era, words) in ERAS {
        let world = world(era, words).await;
        let watch = watches(&world, A).await;
        assert!(watch.alive());
        let _ = world.call("dies", none()).await;
        becomes("it is over", || !watch.alive()).await;
        drop(watch);
        assert!(watches(&world, A).await.alive(), "{era:?}: over the next link it begins anew");
    }
}

#[tokio::test]
async fn a_stream_that_the_upstream_ends_is_over_and_the_next_who_subscribes_opens_another() {
    let world = world(Eras::Modern, &["modern"]).await;
    let watch = watches(&world, A).await;
    assert_eq!(world.text("leaves", strict(&json!({"uri": A}))).await, "ended");
    becomes("it is over", || !watch.alive()).await;
    let mut next = watches(&world, A).await;
    moves(&world, &[A]).await;
    assert!(next.changed() && !watch.alive());
    drop(watch);
    moves(&world, &[A]).await;
    assert!(next.changed(), "who watched what is over takes nothing from the next");
}

#[tokio::test]
async fn what_is_not_acknowledged_is_not_begun_and_the_upstream_is_told_to_end_it() {
    let world = world(Eras::Modern, &["modern", "tells-nothing"]).await;
    let forwarded = subscribes(&world, 1, A).await;
    ended(&forwarded, Fault::Needs(Feature::Subscriptions), Outcome::Failed);
    assert!(forwarded.watch.is_none());
    for _ in 0..100 {
        if watched(&world).await == json!([]) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it goes on");
}
