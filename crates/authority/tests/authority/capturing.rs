//! A credential that an answer held: sealed at once, kept with the outcome, opened for the wire (decisions A15, rfd 38).

use authority::{Bundle, Capture, Captured, Settlement, ToolSettings, configured, is_credential};
use elevation::Outcome;
use terms::{Json, Secret};

use crate::between::Fails;
use crate::world::{World, bundle, settings};

/// What is read of tickets answers with a new credential of ops.
fn rules() -> Bundle {
    let mut bundle = bundle();
    let capture = Capture { from: "/key".parse().unwrap(), upstream: "ops".to_owned() };
    let captures = ToolSettings { capture: Some(capture), ..ToolSettings::default() };
    bundle.upstreams.get_mut("ops").unwrap().tools.insert("read_ticket".to_owned(), captures);
    bundle
}

fn captured(value: &str) -> Captured {
    Captured { value: Secret::new(value.to_owned()), instead_of: configured(None) }
}

async fn sent(world: &World) -> Settlement {
    let (_, mut settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
    settlement.sending();
    settlement
}

/// What the next request authenticates us with.
async fn used(world: &World) -> Option<String> {
    let (cargo, settlement) = world.permitted("read_ticket", "{}").await.embark().unwrap();
    drop(settlement);
    cargo.credential.map(|captured| captured.value.expose().clone())
}

#[tokio::test]
async fn a15_what_is_captured_is_used_from_the_next_request_on_and_after_a_crash() {
    let mut world = World::with(settings(), &rules()).await;
    assert_eq!(used(&world).await, None);
    for value in ["canary-one-5f3", "canary-two-5f3"] {
        let mut settlement = sent(&world).await;
        assert!(settlement.awaited() && settlement.captures().is_some());
        assert!(world.authority().capture(&mut settlement, "ops", &captured(value)));
        assert!(world.authority().settle_kept(settlement, Outcome::Done, Some(true)).await.unwrap());
        assert_eq!(used(&world).await.as_deref(), Some(value));
    }
    world.crash(|| ()).await;
    assert_eq!(used(&world).await.as_deref(), Some("canary-two-5f3"));
    let settled = world.bodies("settled").await;
    let said: Vec<_> = settled.iter().filter_map(|body| body.get("captured")?.as_str()).collect();
    assert_eq!(said, ["ops", "ops"]);
    world.settled().await;
    for file in world.files() {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"canary-"), "{}", file.display());
    }
    world.verified().await;
}

#[tokio::test]
async fn a15_only_an_attempt_that_is_done_brings_one_and_only_where_the_rules_say_so() {
    let world = World::with(settings(), &rules()).await;
    for outcome in [Outcome::Failed, Outcome::Unknown] {
        let mut settlement = sent(&world).await;
        assert!(world.authority().capture(&mut settlement, "ops", &captured("no-credential")));
        world.authority().settle_kept(settlement, outcome, None).await.unwrap();
        assert_eq!(used(&world).await, None, "{outcome:?}");
    }
    // Dropped without a word, it is unknown too.
    let mut settlement = sent(&world).await;
    assert!(world.authority().capture(&mut settlement, "ops", &captured("no-credential")));
    drop(settlement);
    world.settled().await;
    assert_eq!(used(&world).await, None);
    let (_, mut other) = world.permitted("deploy", r#"{"environment":"staging"}"#).await.embark().unwrap();
    other.sending();
    assert!(!world.authority().capture(&mut other, "ops", &captured("no-credential")));
    drop(other);
    world.verified().await;
}

#[tokio::test]
async fn a15_a_store_that_fails_once_still_keeps_it_and_says_so_only_when_it_has() {
    for fails in [Fails::Before, Fails::After] {
        let world = World::with(settings(), &rules()).await;
        let mut settlement = sent(&world).await;
        assert!(world.authority().capture(&mut settlement, "ops", &captured("late-secret")));
        world.between().fail(fails);
        world.authority().settle_kept(settlement, Outcome::Done, Some(true)).await.unwrap_err();
        world.settled().await;
        assert_eq!(used(&world).await.as_deref(), Some("late-secret"), "{fails:?}");
        world.verified().await;
    }
}

#[test]
fn a15_a_credential_is_a_text_that_a_header_can_hold() {
    for good in ["12345678", "sk-a_b.c~d+e/f=", &"x".repeat(4096)] {
        assert!(is_credential(&Json::from(good)), "{good}");
    }
    for bad in
        ["", "1234567", "with a space", "line\r\nbreak", "schlüssel", "\u{0}12345678", &"x".repeat(4097)]
    {
        assert!(!is_credential(&Json::from(bad)), "{bad}");
    }
    assert!(!is_credential(&Json::from(12_345_678_u32)) && !is_credential(&Json::Null));
}

#[test]
fn the_word_of_the_operator_is_told_from_every_other() {
    let of = |value: &str| configured(Some(&Secret::new(value.to_owned())));
    assert!(of("a") != of("b") && of("a") == of("a") && of("a") != configured(None));
}
