//! A new card is told outside, signed, until somebody takes it; and it changes nothing here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use console::notify::{Key, Webhook, run, signature};
use http::{HeaderMap, StatusCode};
use terms::{Json, Millis, Secret};

use crate::world::{World, json};

type Received = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that refuses the first delivery, with a redirect, and takes the others.
async fn receiver() -> (String, Received) {
    let received = Received::default();
    let taken = Arc::clone(&received);
    let take = move |headers: HeaderMap, body: Bytes| {
        let mut all = taken.lock().unwrap();
        all.push((headers, String::from_utf8(body.to_vec()).unwrap()));
        let first = all.len() == 1;
        async move { if first { StatusCode::TEMPORARY_REDIRECT } else { StatusCode::NO_CONTENT } }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
    (url, received)
}

async fn until(received: &Received, count: usize) {
    for _ in 0..500 {
        if received.lock().unwrap().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} of {count} deliveries", received.lock().unwrap().len());
}

#[tokio::test]
async fn a_new_card_is_told_with_a_good_signature_and_again_until_it_is_taken() {
    let (world, _people) = World::new().await;
    let (url, received) = receiver().await;
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    let webhook = Webhook { url, secret: secret.clone() };
    let worker = tokio::spawn(run(Arc::clone(&world.authority), webhook));
    let id = world.deploy("2.4.1-private").await;
    until(&received, 1).await;
    world.ambient.pass(Millis::seconds(60));
    world.deploy("2.4.2-private").await; // something changes, so the worker looks again
    until(&received, 3).await;
    worker.abort();

    let key = Key::of(&secret).unwrap();
    let all = received.lock().unwrap().clone();
    let header = |headers: &HeaderMap, name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    for (headers, body) in &all {
        let at: i64 = header(headers, "webhook-timestamp").parse().unwrap();
        let signed = signature(&key, &header(headers, "webhook-id"), at, body);
        assert_eq!(header(headers, "webhook-signature"), signed);
        assert!(!body.contains("private"), "no argument is told: {body}");
    }
    let link = |body: &str| {
        json(body).get("data").and_then(|d| d.get("link")).and_then(Json::as_str).map(str::to_owned)
    };
    assert_eq!(link(&all[0].1), Some(format!("https://stepup.example/r/{id}")));
    let first = header(&all[0].0, "webhook-id");
    assert!(all[1..].iter().any(|(headers, _)| header(headers, "webhook-id") == first), "the same one again");
}
