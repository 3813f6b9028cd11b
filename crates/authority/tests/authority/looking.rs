//! What callers and people are shown, and what never is.

use store::{Listing, Whole};
use terms::statement::Role;
use terms::{ElevationId, Json, Kind, Slug};

use crate::world::{World, challenged, deploy};

async fn whole(world: &World, id: ElevationId) -> Whole {
    world.authority().store().elevation(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_caller_learns_of_its_own_requests_only_and_of_no_others_that_they_are() {
    let mut world = World::new().await;
    let other = world.caller("other", "olga", &[]).await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let unknown = ElevationId::fresh(world.ambient.as_ref());
    for id in [id, unknown] {
        assert_eq!(world.authority().status(&other, id).await.unwrap(), None);
        let captured = world.authority().captured(&other, id, "").await.unwrap();
        assert_eq!(captured.err(), Some(Slug::ElevationUnknown));
        let said = world.authority().say(&other, id, Some("x".to_owned()), None).await.unwrap();
        assert_eq!(said, Err(Slug::ElevationUnknown));
    }
    let status = world.authority().status(&world.bot(), id).await.unwrap().unwrap();
    assert_eq!((status.state.name(), status.spendable), ("pending", false));
    world.approve(id, "ann").await.unwrap();
    let status = world.authority().status(&world.bot(), id).await.unwrap().unwrap();
    assert!(status.spendable && status.grant.is_some());
    let ask = world.authority().captured(&world.bot(), id, "192.0.2.1").await.unwrap().unwrap();
    let permit = crate::world::permitted(world.authority().decide_again(&ask, id).await.unwrap());
    world.run(permit).await;
    world.verified().await;
}

#[tokio::test]
async fn what_a_caller_is_told_names_no_person_no_group_and_no_rule() {
    let world = World::new().await;
    let challenge = world.challenged("set_secret", r#"{"name":"db","token":"hunter2"}"#).await;
    let denial = world.denied("destroy", "{}").await;
    let told = format!("{challenge:?} {denial:?}");
    for name in ["ann", "ben", "sam", "olga", "managers", "security", "never", "hunter2"] {
        assert!(!told.contains(name), "{name} in {told}");
    }
    world.verified().await;
}

#[tokio::test]
async fn a_request_with_a_secret_is_run_by_repeating_the_call_only() {
    let world = World::new().await;
    let arguments = r#"{"name":"db","token":"hunter2"}"#;
    let challenge = world.challenged("set_secret", arguments).await;
    assert!(!challenge.runnable);
    let captured = world.authority().captured(&world.bot(), challenge.elevation, "").await.unwrap();
    assert_eq!(captured.err(), Some(Slug::StateInvalid));
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.approve(challenge.elevation, "sam").await.unwrap();
    challenged(world.decide("set_secret", r#"{"name":"db","token":"hunter3"}"#).await);
    let (cargo, mut settlement) = world.permitted("set_secret", arguments).await.embark().unwrap();
    assert_eq!(cargo.arguments.get("token").unwrap().as_str(), Some("hunter2"));
    settlement.sending();
    world.authority().settle(settlement, elevation::Outcome::Done, Some(true)).await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_secret_is_in_no_card_no_record_no_notice_and_no_file_of_the_store() {
    let mut world = World::new().await;
    let arguments = r#"{"name":"db","token":"correct-horse-battery"}"#;
    let id = world.challenged("set_secret", arguments).await.elevation;
    let ann = world.id("ann");
    let (_, card, _) = world.authority().begin_consent(id, ann).await.unwrap().unwrap();
    let field = card.fields.iter().find(|f| f.pointer.to_string() == "/token").unwrap();
    assert!(field.secret);
    world.approve(id, "ann").await.unwrap();
    world.approve(id, "sam").await.unwrap();
    world.run(world.permitted("set_secret", arguments).await).await;
    let notices = world.authority().store().outbox(String::new(), 10).await.unwrap();
    let mut seen = vec![card.to_json().text(), format!("{notices:?}")];
    for line in world.records().await {
        seen.push(String::from_utf8_lossy(&line.body.unwrap().0).into_owned());
    }
    world.crash(|| ()).await;
    for file in world.files() {
        seen.push(String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned());
    }
    assert!(seen.iter().all(|text| !text.contains("correct-horse")));
    world.verified().await;
}

#[tokio::test]
async fn the_card_shows_what_was_sent_what_was_not_and_what_only_names_something() {
    let world = World::new().await;
    let arguments = r#"{"artifact":"app@sha256:abc","environment":"production\u202e","version":"2.4.1"}"#;
    let id = world.challenged("deploy", arguments).await.elevation;
    let (begun, card, role) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    assert_eq!(role, Role::Approver);
    assert_eq!(card.title, "Deploy 2.4.1 to “production⟨U+202E⟩”");
    assert_eq!(card.environment, "production");
    assert_eq!(card.fields.len(), 3);
    assert_eq!(card.defaults[0].1, "not sent: upstream default 3");
    assert_eq!(card.references[0].1.as_deref(), Some("sha256:abc"));
    assert_eq!(card.caller.owner, "olga");
    assert!(card.unusual.iter().any(|u| u.text == terms::card::UnusualText::FirstTime));
    assert_eq!(card.words, world.challenged("deploy", arguments).await.words);
    world.vote(id, "ann", &world.sign(&begun, "ann")).await.unwrap();
    world.verified().await;
}

/// Invariant 9: the caller fills in the operator's sentence and cannot go on writing it.
#[tokio::test]
async fn nobody_can_take_the_callers_words_in_a_headline_for_ours() {
    let dots = "v".repeat(60);
    let table = [
        ("2.4.1", "2.4.1"),
        ("registry:5000/app@v1+b-2_3", "registry:5000/app@v1+b-2_3"),
        (&dots, &dots),
        ("", "“”"),
        ("(secret)", "“(secret)”"),
        ("(not sent)", "“(not sent)”"),
        (
            "2.4.1 to staging (dry run, no effect) — formerly",
            "“2.4.1 to staging (dry run, no effect) — formerly”",
        ),
        ("1” to staging “", "“1⟨U+201D⟩ to staging ⟨U+201C⟩”"),
        ("1\" to \"", "“1⟨U+0022⟩ to ⟨U+0022⟩”"),
        ("1\u{2033} to '' it's", "“1⟨U+2033⟩ to ⟨U+0027⟩⟨U+0027⟩ it's”"),
        ("⟨U+202E⟩", "“⟨U+27E8⟩U+202E⟨U+27E9⟩”"),
        ("st\u{430}ging", "“st\u{430}ging”"),
        ("größe", "“größe”"),
    ];
    for (version, shown) in table {
        let world = World::new().await; // a caller may not have so many requests open
        let arguments = Json::object([("environment", "production"), ("version", version)]).text();
        let id = world.challenged("deploy", &arguments).await.elevation;
        let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
        assert_eq!(card.title, format!("Deploy {shown} to production"));
        assert_eq!(world.authority().headline(&whole(&world, id).await), card.title);
        let beware = card.unusual.iter().any(|u| u.text == terms::card::UnusualText::Headline);
        assert_eq!(beware, version.contains('\u{430}'), "{version}");
        world.verified().await;
    }
}

#[tokio::test]
async fn a_headline_says_so_where_a_value_is_missing_or_long() {
    let world = World::new().await;
    let long = "v".repeat(200);
    let id = world.challenged("deploy", &format!(r#"{{"version":"{long}"}}"#)).await.elevation;
    let title = world.authority().headline(&whole(&world, id).await);
    assert_eq!(title, format!("Deploy {}… to (not sent)", "v".repeat(60)));
    world.verified().await;
}

#[tokio::test]
async fn a_key_that_is_used_from_two_places_is_worth_a_line() {
    let world = World::new().await;
    let mut ask = world.ask("deploy", &deploy("1"));
    challenged(world.authority().decide(&ask).await.unwrap());
    ask = world.ask("deploy", &deploy("2"));
    ask.source = "198.51.100.9".to_owned();
    let id = challenged(world.authority().decide(&ask).await.unwrap()).elevation;
    let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    let other = card.unusual.iter().find(|u| u.text == terms::card::UnusualText::OtherAddress).unwrap();
    assert_eq!(other.with, ["192.0.2.1"]);
    world.verified().await;
}

#[tokio::test]
async fn tools_that_a_caller_may_not_know_of_are_not_listed() {
    let world = World::new().await;
    let bot = world.bot();
    let listed = world.authority().list(&bot, "ops", Kind::Tool, None, 100).await.unwrap().unwrap();
    let names: Vec<_> = listed.targets.iter().map(|(tool, _)| tool.name.as_str()).collect();
    assert_eq!(names, ["deploy", "export", "read_ticket", "restore", "scale", "set_secret"]);
    let needs = &listed.targets.iter().find(|(tool, _)| tool.name == "deploy").unwrap().1;
    assert_eq!(needs, &["release"]);
    assert!(world.authority().seen(&bot, Kind::Tool, "ops", "destroy").is_none());
    assert!(world.authority().seen(&bot, Kind::Tool, "ops", "nothing").is_none());
    let page = world.authority().list(&bot, "ops", Kind::Tool, Some("deploy"), 2).await.unwrap().unwrap();
    assert_eq!((page.targets[0].0.name.as_str(), page.targets.len(), page.more), ("export", 2, true));
    assert_eq!(world.bodies("listed").await.len(), 2);
    world.verified().await;
}

#[tokio::test]
async fn a_person_sees_what_they_could_sign_or_stand_behind_and_auditors_see_all() {
    let mut world = World::new().await;
    world.human("ada", &["auditors"]).await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    for (name, sees, signs) in [
        ("ann", true, true),
        ("olga", true, false),
        ("ada", true, false),
        ("sam", false, false),
        ("dave", false, false),
    ] {
        let human = world.id(name);
        let shown = world.authority().show(&whole(&world, id).await, human).await.unwrap();
        assert_eq!(shown.is_some(), sees, "{name}");
        assert_eq!(shown.is_some_and(|shown| shown.can.is_ok()), signs, "{name}");
        assert_eq!(world.authority().inbox(human).await.unwrap().len(), usize::from(sees), "{name}");
    }
    world.verified().await;
}

#[tokio::test]
async fn what_a_disabled_caller_asked_for_is_still_to_be_seen_and_signed_by_nobody() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.authority().disable_caller("bot", &authority::By::account(0)).await.unwrap();
    let shown = world.authority().show(&whole(&world, id).await, world.id("ann")).await.unwrap().unwrap();
    assert!(shown.can.is_err());
    assert!(world.begin(id, "ann").await.is_err());
    let views = world.authority().callers();
    assert_eq!(views[0].owner, "olga");
    let all =
        world.authority().store().elevations(Listing { limit: 10, ..Listing::default() }).await.unwrap();
    assert_eq!(all.len(), 1);
    world.verified().await;
}
