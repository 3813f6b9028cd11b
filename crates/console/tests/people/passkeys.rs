//! A person's own passkeys, from the page that lists them.

use http::StatusCode;
use terms::{Json, Millis};

use crate::world::{World, json, signed_by};

const NAMED: &str = r#"{"name":"kitchen key"}"#;

/// What the page's button for revoking posts, with a reason.
fn revocations(page: &str) -> Vec<Json> {
    let bodies = page.split("data-post=\"/me/passkeys/revoke\" data-body=\"").skip(1);
    let bodies =
        bodies.map(|rest| rest.split_once('"').unwrap().0.replace("&#34;", "\"").replace("&quot;", "\""));
    bodies.map(|body| json(&body.replace('}', r#","reason":"lost"}"#))).collect()
}

#[tokio::test]
async fn a_second_passkey_is_made_signed_for_with_the_first_and_listed_and_signs_in() {
    let (_world, mut people) = World::new().await;
    let ann = people.get_mut("ann").unwrap();
    let page = ann.get("/me").await.text;
    assert!(page.contains("Add a passkey…") && page.contains("This is your only one"));
    assert!(revocations(&page).is_empty(), "the last one stays");
    let (second, made) = ann.make_passkey().await;
    assert!(!ann.get("/me").await.text.contains("kitchen key"), "not before it is signed for");
    let body = ann.signed(&made, json(NAMED));
    let added = ann.post("/me/passkeys", &body).await;
    assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    let page = ann.get("/me").await.text;
    assert!(page.contains("kitchen key") && page.contains("signed for with another one of yours"));
    assert_eq!(revocations(&page).len(), 2);
    ann.take(second);
    ann.sign_in().await;
    assert_eq!(ann.get("/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_alone_adds_no_passkey() {
    let (world, mut people) = World::new().await;
    let mut thief = world.browser();
    thief.cookie.clone_from(&people["ann"].cookie);
    let (mut own, made) = thief.make_passkey().await;
    let by_itself = signed_by(&mut own, &made, json(NAMED));
    assert_eq!(thief.post("/me/passkeys", &by_itself).await.status, StatusCode::CONFLICT);
    let (_, made) = thief.make_passkey().await;
    let bens = people.get_mut("ben").unwrap().signed(&made, json(NAMED));
    assert_eq!(thief.post("/me/passkeys", &bens).await.status, StatusCode::CONFLICT);
    // A signature that ann gives for something else.
    let id = world.deploy("2.4.1").await;
    let ann = people.get_mut("ann").unwrap();
    let begun = ann.begin(id).await;
    let consent = ann.signed(&begun, json(NAMED));
    assert_eq!(thief.post("/me/passkeys", &consent).await.status, StatusCode::CONFLICT);
    assert!(!ann.get("/me").await.text.contains("kitchen key"));
}

#[tokio::test]
async fn what_was_made_in_one_session_is_not_added_in_another() {
    let (_world, mut people) = World::new().await;
    let ann = people.get_mut("ann").unwrap();
    let (_, made) = ann.make_passkey().await;
    ann.sign_in().await;
    let body = ann.signed(&made, json(NAMED));
    assert_eq!(ann.post("/me/passkeys", &body).await.status, StatusCode::CONFLICT);
    assert!(!ann.get("/me").await.text.contains("kitchen key"));
}

#[tokio::test]
async fn revoking_one_signs_out_everywhere_and_the_other_signs_in_and_stays() {
    let (world, mut people) = World::new().await;
    let ann = people.get_mut("ann").unwrap();
    world.ambient.pass(Millis::seconds(1));
    let (second, made) = ann.make_passkey().await;
    let body = ann.signed(&made, json(NAMED));
    ann.post("/me/passkeys", &body).await;
    let [first, other] = revocations(&ann.get("/me").await.text).try_into().unwrap();
    let bens = people["ben"].post("/me/passkeys/revoke", &first).await;
    assert_eq!(bens.status, StatusCode::NOT_FOUND, "not of somebody else");
    let ann = people.get_mut("ann").unwrap();
    assert_eq!(ann.post("/me/passkeys/revoke", &first).await.status, StatusCode::OK);
    assert_eq!(ann.get("/me").await.status, StatusCode::UNAUTHORIZED);
    ann.take(second);
    ann.sign_in().await;
    assert!(revocations(&ann.get("/me").await.text).is_empty());
    let last = ann.post("/me/passkeys/revoke", &other).await;
    assert_eq!((last.status, last.error().contains("only passkey")), (StatusCode::CONFLICT, true));
    assert_eq!(ann.get("/me").await.status, StatusCode::OK, "what is refused signs nobody out");
}

#[tokio::test]
async fn a_passkey_beside_another_one_shows_as_new_to_its_person_and_to_others_for_a_day() {
    let (world, mut people) = World::new().await;
    assert!(!people["dave"].get("/history").await.text.contains("New passkeys"), "the first of each person");
    let ann = people.get_mut("ann").unwrap();
    let (_, made) = ann.make_passkey().await;
    let body = ann.signed(&made, json(NAMED));
    let added = ann.post("/me/passkeys", &body).await;
    assert!(added.text.contains("once its first 24 hours are over"), "{}", added.text);
    let (mine, others) = (ann.get("/me").await.text, people["dave"].get("/history").await.text);
    assert_eq!(mine.matches("It signs you in, and requests only in").count(), 1, "of two");
    assert_eq!(
        mine.matches("your new one signs requests only once").count(),
        1,
        "before the older one is revoked"
    );
    assert!(others.contains("New passkeys") && others.contains("<bdi>ann</bdi>"), "{others}");
    world.ambient.pass(Millis::seconds(24 * 3600));
    let ann = people.get_mut("ann").unwrap();
    ann.sign_in().await;
    assert!(!ann.get("/me").await.text.contains("requests only in"));
    assert!(!ann.get("/history").await.text.contains("New passkeys"));
}
