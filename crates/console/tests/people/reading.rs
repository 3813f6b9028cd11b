//! Reading changes nothing: a scanner that follows every link, signed in or not, leaves the store as it was (T98).

use std::collections::BTreeSet;

use elevation::Outcome;
use http::{Method, StatusCode};

use crate::world::{Browser, World};

/// Follows every link from every page, by GET and by HEAD; answers how many pages there were.
async fn crawl(browser: &Browser) -> usize {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut next = vec!["/".to_owned(), "/sign-in".to_owned(), "/nowhere".to_owned()];
    while let Some(path) = next.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        browser.send(browser.request(Method::HEAD, &path, "")).await;
        let page = browser.get(&path).await;
        assert!(page.status != StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        let attributes = ["href=\"", "data-post=\"", "data-ceremony=\"", "src=\""];
        let links = attributes.into_iter().flat_map(|attribute| page.text.split(attribute).skip(1));
        let paths = links.filter_map(|rest| rest.split_once('"')).map(|(path, _)| path);
        next.extend(paths.filter(|path| path.starts_with('/')).map(str::to_owned));
    }
    seen.len()
}

#[tokio::test]
async fn following_every_link_of_every_page_changes_nothing() {
    let (world, mut people) = World::new().await;
    let approved = world.deploy("1").await;
    people.get_mut("ann").unwrap().approve(approved).await;
    world.run("1", Outcome::Unknown).await;
    let held = world.deploy("2").await;
    people.get_mut("ann").unwrap().approve(held).await;
    world.deploy("3").await;
    let invite = world.invited("eve", &[]).await;
    let before = (world.bytes(), world.authority.store().head().await.unwrap());
    for name in ["ann", "olga", "mia", "dave"] {
        let pages = crawl(&people[name]).await;
        assert!(pages > 8, "{name} saw {pages}");
    }
    let stranger = world.browser();
    crawl(&stranger).await;
    assert_eq!(stranger.get(&format!("/enrol/{invite}")).await.status, StatusCode::OK);
    let after = (world.bytes(), world.authority.store().head().await.unwrap());
    assert!(before == after, "reading wrote to the store");
}

#[tokio::test]
async fn what_changes_between_the_reading_of_a_page_and_its_following_is_told_at_once() {
    use futures_util::StreamExt as _;
    use tower::ServiceExt as _;
    let (world, people) = World::new().await;
    let page = people["ann"].get("/").await.text;
    let (_, rest) = page.split_once("data-seen=\"").unwrap();
    let seen = rest.split_once('"').unwrap().0.to_owned();
    let first = async |missed: bool| {
        let request = people["ann"].request(Method::GET, &format!("/events?seen={seen}"), "");
        let answer = world.router.clone().oneshot(request).await.unwrap();
        let mut events = answer.into_body().into_data_stream();
        let told = tokio::time::timeout(std::time::Duration::from_secs(2), events.next()).await;
        assert_eq!(told.is_ok(), missed, "{told:?}");
    };
    first(false).await;
    world.deploy("2.4.1").await;
    first(true).await;
}

#[tokio::test]
async fn a_page_that_follows_is_told_that_something_changed_and_nothing_of_what() {
    use futures_util::StreamExt as _;
    use tower::ServiceExt as _;
    let (world, people) = World::new().await;
    let request = people["ann"].request(Method::GET, "/events", "");
    let answer = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
    let mut events = answer.into_body().into_data_stream();
    let secret = "2.4.1-very-private";
    world.deploy(secret).await;
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), events.next()).await;
    let told = String::from_utf8(told.unwrap().unwrap().unwrap().to_vec()).unwrap();
    assert!(told.contains("event: changed") && !told.contains(secret), "{told}");
}
