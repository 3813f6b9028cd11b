//! One person's signature over exactly one access, as shown: what does not count, and why.

use std::sync::Arc;

use authority::{NotCounted, Voted};
use terms::{Caller, Millis, Slug, Tree};

use crate::world::{
    RULES, World, approvals, bundle, bundle_of, challenged, denied, deploy, permitted, requirement, settings,
    woken,
};

const SECRET: &str = r#"{"name":"db","token":"hunter2"}"#;

#[tokio::test]
async fn a_nonce_is_used_up_even_where_the_signature_fails() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    let good = world.sign(&begun, "ann");
    let mut bad = good.clone();
    *bad.signature.last_mut().unwrap() ^= 1;
    assert!(matches!(world.vote(id, "ann", &bad).await, Err(NotCounted::Signature(_))));
    assert_eq!(world.vote(id, "ann", &good).await, Err(NotCounted::CeremonyOver));
    assert!(world.bodies("voted").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn a_passkey_of_somebody_else_signs_nothing() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ben");
    assert_eq!(world.vote(id, "ann", &signed).await, Err(NotCounted::PasskeyUnknown));
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ben");
    assert_eq!(world.vote(id, "ben", &signed).await, Err(NotCounted::PasskeyUnknown));
    let begun = world.begin(id, "ann").await.unwrap();
    let mut signed = world.sign(&begun, "ben");
    signed.credential = world.passkey("ann").to_owned();
    assert!(matches!(world.vote(id, "ann", &signed).await, Err(NotCounted::Signature(_))));
    // Nor does ann's own signature count for ben, who hands it in.
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.vote(id, "ben", &signed).await, Err(NotCounted::PasskeyUnknown));
    assert!(world.bodies("voted").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn a_statement_that_names_one_passkey_is_signed_by_no_other() {
    let mut world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    assert_eq!(begun.allow.len(), 1);
    world.second_passkey("ann", "ann-2").await;
    let signed = world.sign(&begun, "ann-2");
    assert_eq!(world.vote(id, "ann", &signed).await, Err(NotCounted::PasskeyUnknown));
    world.pass(24 * 3600); // a new one signs nothing on its first day
    let id = world.challenged("deploy", &deploy("2")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    assert_eq!(begun.allow.len(), 2);
    let foreign = world.sign(&begun, "ben"); // a statement that names no passkey is still one person's
    assert_eq!(world.vote(id, "ann", &foreign).await, Err(NotCounted::PasskeyUnknown));
    let begun = world.begin(id, "ann").await.unwrap();
    let foreign = world.sign(&begun, "ben");
    assert_eq!(world.vote(id, "ben", &foreign).await, Err(NotCounted::PasskeyUnknown));
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ann-2");
    assert!(world.vote(id, "ann", &signed).await.is_ok());
    world.verified().await;
}

#[tokio::test]
async fn a_signature_for_one_request_is_none_for_another() {
    let world = World::new().await;
    let one = world.challenged("deploy", &deploy("1")).await.elevation;
    let two = world.challenged("deploy", &deploy("2")).await.elevation;
    let begun = world.begin(one, "ann").await.unwrap();
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.vote(two, "ann", &signed).await, Err(NotCounted::CeremonyOver));
    assert!(world.bodies("voted").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn a_signature_for_another_act_is_no_consent() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.authority().begin_sign_in().await.unwrap();
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.vote(id, "ann", &signed).await, Err(NotCounted::CeremonyOver));
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.authority().sign_in(&signed).await.unwrap().err(), Some(NotCounted::CeremonyOver));
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_replays_at_once_one_counts() {
    let world = World::new().await;
    let id = world.challenged("set_secret", SECRET).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = Arc::new(world.sign(&begun, "ann"));
    let ann = world.id("ann");
    let replays: Vec<_> = (0..50)
        .map(|_| {
            let (authority, signed) = (Arc::clone(world.authority()), Arc::clone(&signed));
            tokio::spawn(async move { authority.vote(id, ann, &signed).await.unwrap() })
        })
        .collect();
    let mut counted = 0;
    for replay in replays {
        match replay.await.unwrap() {
            Ok(_) => counted += 1,
            Err(why) => assert_eq!(why, NotCounted::CeremonyOver),
        }
    }
    assert_eq!(counted, 1);
    assert_eq!(world.bodies("voted").await.len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn a_page_that_is_too_old_signs_nothing() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    world.pass(300);
    assert_eq!(world.vote(id, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::CeremonyOver));
    world.verified().await;
}

#[tokio::test]
async fn a_request_that_has_expired_is_not_approved() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.pass(700);
    let begun = world.begin(id, "ann").await.unwrap();
    world.pass(200);
    let voted = world.vote(id, "ann", &world.sign(&begun, "ann")).await;
    assert_eq!(voted, Err(NotCounted::Over("it has expired")));
    world.verified().await;
}

#[tokio::test]
async fn who_was_disabled_or_left_the_group_since_the_page_was_shown_does_not_count() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let (anns, bens) = (world.begin(id, "ann").await.unwrap(), world.begin(id, "ben").await.unwrap());
    world.authority().set_member("managers", "ann", false, &authority::By::account(0)).await.unwrap();
    assert_eq!(world.vote(id, "ann", &world.sign(&anns, "ann")).await, Err(NotCounted::NotEligible));
    world.authority().disable_human("ben", &authority::By::account(0)).await.unwrap();
    assert_eq!(world.vote(id, "ben", &world.sign(&bens, "ben")).await, Err(NotCounted::PasskeyUnknown));
    assert!(world.bodies("voted").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn a_vote_on_a_requirement_that_has_changed_is_refused_and_the_request_closed() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    let mut changed = bundle();
    changed.requirements.get_mut("release").unwrap().terms.valid_for = Millis::seconds(60);
    world.activate(&changed).await;
    let waiting = world.authority().waiting(id);
    assert_eq!(world.vote(id, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::CardChanged));
    let whole = world.authority().store().elevation(id).await.unwrap().unwrap();
    assert_eq!(whole.state.name(), "superseded");
    woken(waiting).await;
    assert!(world.bodies("granted").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn what_the_rules_permit_or_deny_outright_by_now_is_not_voted_on() {
    for rules in [
        RULES.replace(r#"environment == "staging""#, r#"environment like "*""#),
        format!(r#"{RULES}@id("freeze") forbid (principal, action in Action::"tools/call", resource);"#),
    ] {
        let world = World::new().await;
        let id = world.challenged("deploy", &deploy("1")).await.elevation;
        world.activate(&bundle_of(&rules)).await;
        assert_eq!(world.approve(id, "ann").await, Err(NotCounted::CardChanged));
        assert_eq!(world.kinds().await.last().unwrap(), "superseded");
        world.verified().await;
    }
}

#[tokio::test]
async fn what_the_card_says_is_what_it_still_says_when_the_vote_counts() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    let mut moved = bundle();
    moved.upstreams.get_mut("ops").unwrap().environment = "production-eu".to_owned();
    world.activate(&moved).await;
    assert_eq!(world.vote(id, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::CeremonyOver));
    let begun = world.begin(id, "ann").await.unwrap();
    world.authority().say(&world.bot(), id, Some("because".to_owned()), None).await.unwrap().unwrap();
    assert_eq!(world.vote(id, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::CeremonyOver));
    assert!(world.approve(id, "ann").await.is_ok());
    world.verified().await;
}

/// Sam's vote counts between what Ann's has read and its commit, which finds another version then.
#[tokio::test]
async fn two_people_who_sign_at_the_same_time_both_count() {
    let world = World::new().await;
    let id = world.challenged("set_secret", SECRET).await.elevation;
    let (anns, sams) = (world.begin(id, "ann").await.unwrap(), world.begin(id, "sam").await.unwrap());
    let (anns, sams) = (world.sign(&anns, "ann"), world.sign(&sams, "sam"));
    let (authority, sam) = (Arc::clone(world.authority()), world.id("sam"));
    world.between().before_commit(Box::pin(async move {
        assert_eq!(authority.vote(id, sam, &sams).await.unwrap(), Ok(Voted::Waiting));
    }));
    assert!(matches!(world.vote(id, "ann", &anns).await, Ok(Voted::Approved(_))));
    world.run(world.permitted("set_secret", SECRET).await).await;
    let report = world.verified().await;
    assert_eq!(report.signatures, 2);
}

#[tokio::test]
async fn nobody_signs_twice_and_one_person_in_two_groups_is_one() {
    let world = World::new().await;
    world.authority().set_member("security", "ann", true, &authority::By::account(0)).await.unwrap();
    let id = world.challenged("set_secret", SECRET).await.elevation;
    let late = world.begin(id, "ann").await.unwrap();
    assert_eq!(world.approve(id, "ann").await, Ok(Voted::Waiting));
    assert_eq!(world.approve(id, "ann").await, Err(NotCounted::AlreadyVoted));
    assert_eq!(world.vote(id, "ann", &world.sign(&late, "ann")).await, Err(NotCounted::AlreadyVoted));
    assert!(matches!(world.approve(id, "ben").await, Ok(Voted::Approved(_))));
    world.verified().await;
}

#[tokio::test]
async fn an_owner_never_approves_and_an_approver_never_confirms() {
    let world = World::new().await;
    world.authority().set_member("managers", "olga", true, &authority::By::account(0)).await.unwrap();
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    assert_eq!(world.begin(id, "olga").await, Err(NotCounted::Behind));
    assert_eq!(world.begin(id, "dave").await, Err(NotCounted::NotEligible));
    let solo = world.challenged("scale", r#"{"n":3}"#).await.elevation;
    assert_eq!(world.begin(solo, "ann").await, Err(NotCounted::NotEligible));
    assert!(matches!(world.approve(solo, "olga").await, Ok(Voted::Approved(_))));
    world.run(world.permitted("scale", r#"{"n":3}"#).await).await;
    world.verified().await;
}

#[tokio::test]
async fn an_owners_signature_fills_no_place_of_an_approval() {
    let world = World::with(settings(), &confirmed_and_approved()).await;
    world.authority().set_member("managers", "olga", true, &authority::By::account(0)).await.unwrap();
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    assert_eq!(world.approve(id, "olga").await, Ok(Voted::Waiting));
    assert_eq!(world.approve(id, "olga").await, Err(NotCounted::AlreadyVoted));
    assert!(matches!(world.approve(id, "ann").await, Ok(Voted::Approved(_))));
    world.verified().await;
}

fn confirmed_and_approved() -> authority::Bundle {
    let mut both = bundle();
    let tree = Tree::All(vec![Tree::Owner { fresh: Millis::seconds(120) }, approvals(1, "managers")]);
    let (name, both_needed) = requirement("release", tree, 1, terms::Binds::Everything);
    both.requirements.insert(name, both_needed);
    both
}

/// Otherwise a slow approver would leave a request that nobody can meet any more.
#[tokio::test]
async fn an_owner_confirms_again_where_the_others_took_longer_than_it_stays_fresh() {
    let world = World::with(settings(), &confirmed_and_approved()).await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    assert_eq!(world.approve(id, "olga").await, Ok(Voted::Waiting));
    world.pass(120);
    assert_eq!(world.approve(id, "olga").await, Err(NotCounted::AlreadyVoted), "it is fresh still");
    world.pass(1);
    assert_eq!(world.approve(id, "ann").await, Ok(Voted::Waiting));
    assert_eq!(world.approve(id, "ann").await, Err(NotCounted::AlreadyVoted));
    assert!(matches!(world.approve(id, "olga").await, Ok(Voted::Approved(_))));
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    let granted = world.bodies("granted").await;
    assert_eq!(granted[0].get("voters").unwrap().as_array().unwrap().len(), 2);
    world.verified().await;
}

/// Weighed again at use is what was weighed at the vote, however long the store took to write it down.
#[tokio::test]
async fn a_confirmation_that_was_fresh_when_it_counted_stays_so() {
    let world = World::with(settings(), &confirmed_and_approved()).await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.approve(id, "olga").await.unwrap();
    world.pass(120);
    let begun = world.begin(id, "ann").await.unwrap();
    let signed = world.sign(&begun, "ann");
    let ambient = Arc::clone(&world.ambient);
    world.between().before_commit(Box::pin(async move { ambient.pass(Millis::new(300)) }));
    assert!(matches!(world.vote(id, "ann", &signed).await, Ok(Voted::Approved(_))));
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    world.verified().await;
}

#[tokio::test]
async fn a_second_identity_of_the_owner_does_not_approve() {
    let mut world = World::new().await;
    let olga = world.id("olga");
    world.identity("olga-at-home", olga, "managers").await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    assert_eq!(world.begin(id, "olga-at-home").await, Err(NotCounted::Behind));
    // Nor the first one, of a caller that the second one owns.
    world.authority().set_member("managers", "olga", true, &authority::By::account(0)).await.unwrap();
    let hers = world.caller("hers", "olga-at-home", &[]).await;
    let ask = world.ask_as(&hers, "deploy", &deploy("1"));
    let id = challenged(world.authority().decide(&ask).await.unwrap()).elevation;
    assert_eq!(world.begin(id, "olga").await, Err(NotCounted::Behind));
    world.verified().await;
}

#[tokio::test]
async fn two_identities_of_one_person_are_one_approval() {
    let mut two = bundle();
    let (name, needed) = requirement("release", approvals(2, "managers"), 1, terms::Binds::Everything);
    two.requirements.insert(name, needed);
    for [first, second] in [["ann", "ann-at-home"], ["ann-at-home", "ann"]] {
        let mut world = World::with(settings(), &two).await;
        let ann = world.id("ann");
        world.identity("ann-at-home", ann, "managers").await;
        world.pass(24 * 3600); // its passkey is beside another one of the same person (T105)
        let id = world.challenged("deploy", &deploy("1")).await.elevation;
        assert_eq!(world.approve(id, first).await, Ok(Voted::Waiting));
        assert_eq!(world.approve(id, second).await, Err(NotCounted::AlreadyVoted));
        assert!(matches!(world.approve(id, "ben").await, Ok(Voted::Approved(_))));
        world.verified().await;
    }
}

#[tokio::test]
async fn a_person_who_is_disabled_does_not_approve_under_another_identity() {
    let mut world = World::new().await;
    let ann = world.id("ann");
    world.identity("ann-at-home", ann, "managers").await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    world.authority().disable_human("ann", &authority::By::account(0)).await.unwrap();
    assert_eq!(world.begin(id, "ann-at-home").await, Err(NotCounted::NotEligible));
    world.verified().await;
}

#[tokio::test]
async fn a_rule_against_one_identity_is_not_evaded_by_another() {
    let forbid =
        r#"@id("not-ann") forbid (principal == Human::"ann", action in Action::"approve", resource);"#;
    let mut world = World::with(settings(), &bundle_of(&format!("{RULES}{forbid}"))).await;
    let ann = world.id("ann");
    world.identity("ann-at-home", ann, "managers").await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    for name in ["ann", "ann-at-home"] {
        assert_eq!(world.begin(id, name).await, Err(NotCounted::NotEligible));
    }
    assert!(world.approve(id, "ben").await.is_ok());
    world.verified().await;
}

async fn who_may(world: &World, caller: &Arc<Caller>) -> Vec<&'static str> {
    let ask = world.ask_as(caller, "deploy", &deploy("1"));
    let id = challenged(world.authority().decide(&ask).await.unwrap()).elevation;
    let mut may = Vec::new();
    for name in ["ann", "ben"] {
        if world.begin(id, name).await.is_ok() {
            may.push(name);
        }
    }
    may
}

#[tokio::test]
async fn nobody_along_the_chain_of_owners_or_behind_an_actor_approves() {
    let mut world = World::new().await;
    world.caller("anns", "ann", &[]).await;
    let owned = world.caller("owned-by-anns", "anns", &[]).await;
    assert_eq!(who_may(&world, &owned).await, ["ben"]);
    let acting = world.caller("acting", "olga", &["owned-by-anns"]).await;
    assert_eq!(who_may(&world, &acting).await, ["ben"]);
    assert_eq!(acting.roots.len(), 2);
    let plain = world.caller("plain", "olga", &[]).await;
    assert_eq!(who_may(&world, &plain).await, ["ann", "ben"]);
    world.verified().await;
}

#[tokio::test]
async fn a_chain_of_owners_that_is_too_long_or_a_ring_leaves_nobody_to_approve() {
    let mut world = World::new().await;
    let mut owner = "olga".to_owned();
    for n in 0..9 {
        let name = format!("link-{n}");
        let caller = world.caller(&name, &owner, &[]).await;
        assert_eq!(caller.roots.is_empty(), n >= 8, "{n}");
        owner = name;
    }
    let last = world.authenticated("link-8").unwrap();
    let ring = world.owns_itself("ring").await;
    assert!(world.authority().active().authenticated(ring).unwrap().roots.is_empty());
    // Who acts through such a caller has an owner, and an actor of whom nobody knows who is behind it.
    let through = [world.caller("a", "olga", &["link-8"]).await, world.caller("b", "olga", &["ring"]).await];
    for caller in [last].iter().chain(&through) {
        assert!(caller.roots.is_empty(), "{}", caller.name);
        let ask = world.ask_as(caller, "deploy", &deploy("1"));
        let denial = crate::world::denied(world.authority().decide(&ask).await.unwrap());
        assert_eq!(denial.slug, Slug::NobodyMayApprove, "{}", caller.name);
    }
    world.verified().await;
}

#[tokio::test]
async fn a_passkey_whose_counter_goes_back_is_suspended() {
    let world = World::new().await;
    let one = world.challenged("set_secret", SECRET).await.elevation;
    let two = world.challenged("deploy", &deploy("2")).await.elevation;
    let (first, second) = (world.begin(one, "ann").await.unwrap(), world.begin(two, "ann").await.unwrap());
    let (first, second) = (world.sign(&first, "ann"), world.sign(&second, "ann"));
    let session = world.authority().open_session(world.id("ann"), Vec::new()).await.unwrap().unwrap();
    assert!(world.vote(two, "ann", &second).await.is_ok());
    assert!(matches!(world.vote(one, "ann", &first).await, Err(NotCounted::Copied(_))));
    let session = world.authority().session(session.expose()).await.unwrap();
    assert!(session.is_none(), "whoever has the copy may have opened it");
    assert_eq!(world.kinds().await.last().unwrap(), "passkey_revoked");
    let begun = world.begin(one, "ann").await.unwrap();
    assert!(begun.allow.is_empty());
    assert_eq!(world.vote(one, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::PasskeyUnknown));
    world.verified().await;
}

#[tokio::test]
async fn nobody_signs_before_the_caller_has_said_what_it_must() {
    let world = World::new().await;
    let challenge = world.challenged("export", r#"{"n":1}"#).await;
    assert!(challenge.wants_purpose && challenge.wants_ticket);
    let id = challenge.elevation;
    assert_eq!(world.begin(id, "ann").await, Err(NotCounted::ClaimsMissing("why")));
    let mut ask = world.ask("export", r#"{"n":1}"#);
    ask.purpose = Some(" \u{200b}\t".to_owned()); // says nothing that a person would see
    let again = challenged(world.authority().decide(&ask).await.unwrap());
    assert!(again.wants_purpose);
    ask.purpose = Some("the auditor asked".to_owned());
    ask.ticket = Some("no ticket".to_owned());
    let again = challenged(world.authority().decide(&ask).await.unwrap());
    assert!(!again.wants_purpose && again.wants_ticket);
    assert_eq!(world.begin(id, "ann").await, Err(NotCounted::ClaimsMissing("a ticket")));
    ask.ticket = Some("OPS-12".to_owned());
    ask.purpose = Some("another purpose".to_owned()); // what was said stays said
    let again = challenged(world.authority().decide(&ask).await.unwrap());
    assert!(!again.wants_ticket);
    assert!(matches!(world.approve(id, "ann").await, Ok(Voted::Approved(_))));
    let granted = &world.bodies("granted").await[0];
    assert_eq!(granted.get("purpose").unwrap().as_str(), Some("the auditor asked"));
    assert_eq!(granted.get("ticket").unwrap().as_str(), Some("OPS-12"));
    world.run(world.permitted("export", r#"{"n":1}"#).await).await;
    world.verified().await;
}

#[tokio::test]
async fn a_caller_that_says_too_much_is_refused() {
    let world = World::new().await;
    let mut ask = world.ask("deploy", &deploy("1"));
    ask.purpose = Some("x".repeat(1001));
    let denial = crate::world::denied(world.authority().decide(&ask).await.unwrap());
    assert_eq!(denial.slug, Slug::ArgumentsInvalid);
    ask.purpose = Some("x".repeat(1000));
    let id = challenged(world.authority().decide(&ask).await.unwrap()).elevation;
    let said = world.authority().say(&world.bot(), id, None, Some("x".repeat(201))).await.unwrap();
    assert_eq!(said, Err(Slug::ArgumentsInvalid));
    world.verified().await;
}

#[tokio::test]
async fn who_stands_behind_what_asks_for_another_approves_nothing_of_it_and_the_grant_is_for_both() {
    let mut world = World::new().await;
    let app = world.caller("app", "ann", &[]).await;
    let bot = world.authority().active().asked_by(world.bot().id, &app).unwrap();
    assert_eq!((&bot.name, &bot.act, bot.key), (&"bot".to_owned(), &vec!["app".to_owned()], app.key));
    let ask = world.ask_as(&bot, "deploy", &deploy("1"));
    let id = challenged(world.authority().decide(&ask).await.unwrap()).elevation;
    assert_eq!(world.approve(id, "ann").await, Err(NotCounted::Behind));
    world.approve(id, "ben").await.unwrap();
    assert_ne!(world.challenged("deploy", &deploy("1")).await.elevation, id, "the bot alone is another");
    world.run(permitted(world.authority().decide(&ask).await.unwrap())).await;
    world.verified().await;
}

#[tokio::test]
async fn what_is_asked_through_somebody_whose_key_is_over_or_who_is_locked_does_not_run() {
    let mut world = World::new().await;
    let app = world.caller("app", "ben", &[]).await;
    let bot = world.authority().active().asked_by(world.bot().id, &app).unwrap();
    let ask = world.ask_as(&bot, "read_ticket", "{}");
    world.run(permitted(world.authority().decide(&ask).await.unwrap())).await;
    let lock = authority::LockSubject::Human(world.id("ben"));
    world.authority().lock(lock, "os:0".to_owned(), "seen enough".to_owned(), None).await.unwrap();
    assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::CallerLocked);
    let disabled = world.authority().disable_caller("app", &authority::By::account(0)).await.unwrap();
    assert!(matches!(disabled, authority::Added::Done(())));
    assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::CredentialInvalid);
    world.verified().await;
}
