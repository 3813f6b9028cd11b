//! A change of the installation on the pages: it is made and does not run, nobody's call is spoken of, and whoever reads the log
//! reads why it was stopped.

use authority::{Activated, Added, Bundle, By, LockSubject, Stopped};
use http::StatusCode;
use terms::ElevationId;

use crate::world::{Browser, World, bundle, json};

const GUARD: &str = r#"
@id("changes") @stepup("release") forbid (principal, action == Action::"administer", resource);
"#;

/// What is true of calls alone.
const OF_CALLS: [&str; 10] = [
    "The caller",
    "the caller",
    "this caller",
    "othing ran",
    "othing runs",
    "It ran",
    "it ran",
    "may run",
    "will not run",
    "running",
];

fn rules(change: impl Fn(String) -> String) -> Bundle {
    let mut bundle = bundle();
    bundle.texts.values_mut().for_each(|text| *text = change(format!("{text}{GUARD}")));
    bundle
}

fn by() -> By {
    By::account(1000)
}

/// olga's account, whose changes are approved.
async fn guarded(world: &World) {
    let Added::Done(_) = world.authority.own_account("olga", 1000, &by()).await.unwrap() else { panic!() };
    assert_eq!(world.authority.activate(&rules(|text| text), &by()).await.unwrap(), Activated::Done);
}

async fn proposed(world: &World, bundle: &Bundle) -> ElevationId {
    let activated = world.authority.activate(bundle, &by()).await.unwrap();
    let Activated::Stopped(Stopped::Asked(challenge)) = activated else { panic!("{activated:?}") };
    challenge.elevation
}

async fn joins(world: &World, name: &str) -> Added<()> {
    world.authority.set_member("managers", name, true, &by()).await.unwrap()
}

async fn asked(world: &World, name: &str) -> ElevationId {
    let Added::Stopped(Stopped::Asked(challenge)) = joins(world, name).await else { panic!("{name}") };
    challenge.elevation
}

async fn text(browser: &Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.text
}

/// What a page says says this, and nothing of calls.
async fn says(browser: &Browser, id: ElevationId, all: &[&str]) {
    let page = text(browser, &format!("/r/{id}")).await;
    let (_, main) = page.split_once("id=\"request\"").unwrap();
    for part in all {
        assert!(main.contains(part), "{part} in {main}");
    }
    for part in OF_CALLS {
        assert!(!main.contains(part), "{part} in {main}");
    }
}

#[tokio::test]
async fn whoever_approves_a_change_is_told_what_makes_it_and_reads_of_no_call_at_any_time() {
    let (world, mut people) = World::new().await;
    guarded(&world).await;
    let more = rules(|text| format!("{text}\n// more"));
    let id = proposed(&world, &more).await;
    says(
        &people["ann"],
        id,
        &["Then it expires, and nothing changes", "stepup requests show", "it is not you who asks"],
    )
    .await;
    says(&people["olga"], id, &["You can take it back:"]).await;
    let approved = people.get_mut("ann").unwrap().approve(id).await;
    assert_eq!(approved.status, StatusCode::OK);
    assert!(approved.text.contains("It is made once whoever asked does the same again"), "{}", approved.text);
    says(&people["ann"], id, &["Approved by", "It is made once whoever asked does the same again; left:"])
        .await;
    assert!(text(&people["ann"], "/history").await.contains("approved · not made yet"));
    assert_eq!(world.authority.activate(&more, &by()).await.unwrap(), Activated::Done);
    says(&people["ann"], id, &["It was made."]).await;
    assert!(text(&people["ann"], "/history").await.contains("approved · made"));
}

#[tokio::test]
async fn a_change_that_ends_otherwise_changed_nothing_and_ran_nothing() {
    let (world, mut people) = World::new().await;
    guarded(&world).await;
    let (ann, olga) = (people.remove("ann").unwrap(), &people["olga"]);
    let rejected = asked(&world, "dave").await;
    let answer = ann.post(&format!("/r/{rejected}/reject"), &json(r#"{"reason":"no"}"#)).await;
    assert!(answer.text.contains("Whoever asks for it again is told why"), "{}", answer.text);
    says(&ann, rejected, &["Rejected. Nothing changed."]).await;
    let withdrawn = asked(&world, "mia").await;
    olga.post(&format!("/r/{withdrawn}/withdraw"), &json(r#"{"reason":"mistake"}"#)).await;
    says(&ann, withdrawn, &["Withdrawn. Nothing changed."]).await;
    let closed = proposed(&world, &rules(|text| format!("{text}\n// one"))).await;
    let recovered = world.authority.recover(&rules(|text| format!("{text}\n// two")), &by()).await.unwrap();
    assert_eq!(recovered, Activated::Done);
    says(&ann, closed, &["Closed, because the rules have changed since."]).await;
    let expired = asked(&world, "olga").await;
    let expires = proposed(&world, &rules(|text| format!("{text}\n// three"))).await;
    world.ambient.pass(terms::Millis::seconds(1000));
    says(&people["mia"], expired, &["Nobody answered in time. Nothing changed."]).await;
    world.authority.expire().await.unwrap();
    says(&people["mia"], expires, &["Nobody answered in time. Nothing changed."]).await;
    let history = text(&people["mia"], "/history").await;
    for part in ["rejected · nothing changed", "withdrawn · nothing changed", "superseded · nothing changed"]
    {
        assert!(history.contains(part), "{part} in {history}");
    }
    let locked = asked(&world, "dave").await;
    let answer = ann.post(&format!("/r/{locked}/reject"), &json(r#"{"reason":"no","lock":true}"#)).await;
    assert!(answer.text.contains("Rejected, and whoever asked is locked."), "{}", answer.text);
}

#[tokio::test]
async fn a_lock_on_everything_is_not_said_to_stop_a_change_and_one_on_who_asks_is() {
    let (world, mut people) = World::new().await;
    guarded(&world).await;
    let lock = async |subject| {
        world.authority.lock(subject, "os:0".to_owned(), "drill".to_owned(), None).await.unwrap()
    };
    let id = asked(&world, "dave").await;
    lock(LockSubject::All).await;
    assert!(!text(&people["ann"], &format!("/r/{id}")).await.contains("aria-label=\"Locked\""));
    let olga = world.authority.active().human_named("olga").unwrap().id;
    lock(LockSubject::Human(olga)).await;
    says(&people["ann"], id, &["aria-label=\"Locked\"", "it is not made while it stands"]).await;
    let approved = people.get_mut("ann").unwrap().approve(id).await;
    assert!(approved.text.contains("it is not made while a lock stands"), "{}", approved.text);
    says(&people["ann"], id, &["A lock stops it, and its time runs; left:"]).await;
}

#[tokio::test]
async fn an_auditor_who_approves_nothing_reads_why_a_change_was_stopped() {
    let (world, people) = World::new().await;
    guarded(&world).await;
    proposed(&world, &rules(|text| format!("{text}\n// more"))).await;
    let lines = world.authority.store().records(0, 1000).await.unwrap();
    let record = lines.iter().rev().find(|line| line.kind == "challenged").unwrap().id;
    let mia = &people["mia"];
    assert!(text(mia, &format!("/log/{record}")).await.contains(&format!("/log/{record}/why")));
    let why = text(mia, &format!("/log/{record}/why")).await;
    for part in [
        "@id(&quot;changes&quot;)",
        "It takes more first: release.",
        "could give it: <bdi>ann, ben</bdi>",
        "An approval lets it be made once, within 5 minutes, exactly so.",
    ] {
        assert!(why.contains(part), "{part} in {why}");
    }
    for name in ["ann", "olga", "dave"] {
        let answer = people[name].get(&format!("/log/{record}/why")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
    let log = text(mia, "/log").await;
    assert!(log.contains("A policy came into force, by olga (os:1000)"), "whose account it is: {log}");
}

#[tokio::test]
async fn a_change_of_nothing_but_line_endings_is_seen_as_that() {
    let (world, people) = World::new().await;
    guarded(&world).await;
    let id = proposed(&world, &rules(|text| text.replace('\n', "\r\n"))).await;
    says(&people["ann"], id, &["nothing changes but how they end", "⟨U+000D⟩"]).await;
    let mixed = rules(|text| format!("{}\r\n// one more", text.replace('\n', "\r\n")));
    let id = proposed(&world, &mixed).await;
    let page = text(&people["ann"], &format!("/r/{id}")).await;
    assert!(!page.contains("nothing changes but how they end") && page.contains("⟨U+000D⟩"));
}
