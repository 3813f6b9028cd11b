//! Who reaches what: every address against everyone.

use std::collections::BTreeSet;

use console::{Who, routes};
use http::{Method, StatusCode};

use crate::world::{World, json};

/// An address with something in the place of what varies.
fn filled(path: &str, id: &str) -> String {
    let id_of = |kind: &str| format!("{kind}_00000000000000000000000000");
    match path {
        _ if path.starts_with("/r/") => path.replace("{id}", id),
        _ if path.starts_with("/callers/") => path.replace("{id}", &id_of("clr")),
        _ if path.starts_with("/attempts/") => path.replace("{id}", &id_of("att")),
        _ if path.starts_with("/locks/") => path.replace("{id}", &id_of("lck")),
        _ if path.starts_with("/log/") => path.replace("{id}", &id_of("rec")),
        _ => path
            .replace("{pin}", &id_of("pin"))
            .replace("{token}", "invite_x")
            .replace("{hash}/{name}", "0/x"),
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_gets_the_same_answer_from_every_address_and_from_none() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await.to_string();
    let stranger = world.browser();
    let mut ended = world.browser();
    ended.cookie.clone_from(&people["ann"].cookie);
    people["ann"].post("/me/sign-out", &json("{}")).await;
    for browser in [&stranger, &ended] {
        let (mut pages, mut posts) = (BTreeSet::new(), BTreeSet::new());
        for (method, path, who) in routes() {
            if who == Who::Anyone {
                continue;
            }
            let path = filled(path, &id);
            if method == "GET" {
                let answer = browser.get(&path).await;
                pages.insert((answer.status, answer.text));
            } else {
                let answer = browser.post(&path, &json("{}")).await;
                posts.insert((answer.status, answer.text));
            }
        }
        let nowhere = browser.get("/no/such/place").await;
        pages.insert((nowhere.status, nowhere.text));
        assert_eq!((pages.len(), posts.len()), (1, 1), "{pages:?} {posts:?}");
        assert!(pages.iter().chain(&posts).all(|(status, _)| *status == StatusCode::UNAUTHORIZED));
    }
}

#[tokio::test]
async fn what_is_for_others_is_as_if_it_were_not_there() {
    let (world, people) = World::new().await;
    let real = world.deploy("2.4.1").await.to_string();
    let none = "elv_00000000000000000000000000";
    let dave = &people["dave"];
    let body = json(
        r#"{"reason":"x","card":"x","nonce":"x","credential":"x","clientDataJSON":"","authenticatorData":"","signature":""}"#,
    );
    for (method, path, _) in routes().into_iter().filter(|(_, path, _)| path.starts_with("/r/")) {
        let ask = async |id: &str| match method {
            "GET" => dave.get(&filled(path, id)).await,
            _ => dave.post(&filled(path, id), &body).await,
        };
        let (theirs, nobodys, no_id) = (ask(&real).await, ask(none).await, ask("x").await);
        assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!((theirs.status, &theirs.text), (nobodys.status, &nobodys.text), "{method} {path}");
        assert_eq!((theirs.status, &theirs.text), (no_id.status, &no_id.text), "{method} {path}");
    }
    assert!(!dave.get("/").await.text.contains(&real));
    assert!(people["ann"].get(&format!("/r/{real}")).await.text.contains("id=\"approve\""), "it still waits");
}

#[tokio::test]
async fn only_auditors_read_the_log_and_for_all_others_it_is_not_there() {
    let (world, people) = World::new().await;
    world.deploy("2.4.1").await;
    let log = people["mia"].get("/log").await;
    assert!(log.text.contains("was stopped at ops/deploy") && log.text.contains("href=\"/log\""));
    let (_, rest) = log.text.split_once("href=\"/log/").unwrap();
    let record = format!("/log/{}", rest.split_once('"').unwrap().0);
    assert_eq!(people["mia"].get(&record).await.status, StatusCode::OK);
    for name in ["ann", "olga", "dave"] {
        let nothing = people[name].get("/nowhere").await;
        for path in ["/log", &record, &format!("{record}/why")] {
            let answer = people[name].get(path).await;
            assert_eq!(
                (answer.status, &answer.text),
                (StatusCode::NOT_FOUND, &nothing.text),
                "{name} {path}"
            );
        }
        assert!(!people[name].get("/").await.text.contains("href=\"/log\""));
    }
}

#[tokio::test]
async fn an_auditor_sees_requests_and_can_neither_approve_nor_reject_them() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await;
    let mia = &people["mia"];
    assert!(mia.get(&format!("/r/{id}")).await.text.contains("2.4.1"));
    assert_eq!(mia.begin(id).await.status, StatusCode::CONFLICT);
    let answer = mia.post(&format!("/r/{id}/reject"), &json(r#"{"reason":"x"}"#)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_address_answers_its_own_methods_only() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await.to_string();
    let ann = &people["ann"];
    let known: BTreeSet<(&str, &str)> =
        routes().into_iter().map(|(method, path, _)| (method, path)).collect();
    for (_, path, who) in routes() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
        {
            if known.contains(&(method.as_str(), path)) {
                continue;
            }
            let mut request = ann.posting(&filled(path, &id), "{}");
            *request.method_mut() = method.clone();
            let status = ann.send(request).await.status;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} {who:?}");
        }
    }
}
