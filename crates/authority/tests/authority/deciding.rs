//! The order of a decision, and what each row of its table does.

use authority::Ask;
use terms::{Millis, Slug};

use crate::world::{RULES, World, bundle, bundle_of, challenged, denied, deploy, permitted, settings, woken};

#[tokio::test]
async fn the_story_stopped_approved_run_once_and_stopped_again() {
    let world = World::new().await;
    world.run(world.permitted("read_ticket", r#"{"id":7}"#).await).await;
    let challenge = world.challenged("deploy", &deploy("2.4.1")).await;
    assert!(challenge.opened);
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("deploy", &deploy("2.4.1")).await;
    assert!(permit.grant().is_some());
    world.run(permit).await;
    let again = world.challenged("deploy", &deploy("2.4.1")).await;
    assert_eq!(again.slug, Slug::GrantSpent);
    assert_ne!(again.elevation, challenge.elevation);
    let other = world.challenged("deploy", &deploy("2.4.2")).await;
    assert_eq!(other.slug, Slug::ApprovalRequired);
    let report = world.verified().await;
    assert_eq!((report.signatures, report.open_attempts), (1, 0));
}

#[tokio::test]
async fn what_no_rule_permits_and_what_one_forbids_is_denied_and_recorded() {
    let mut world = World::new().await;
    let denial = world.denied("destroy", "{}").await;
    assert_eq!(denial.slug, Slug::PolicyDenied);
    assert!(denial.record.is_some());
    let stranger = world.caller("stranger", "olga", &[]).await;
    world.authority().set_member("ops-agents", "stranger", false, &authority::By::account(0)).await.unwrap();
    let ask = world.ask_as(&stranger, "read_ticket", "{}");
    assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::PolicyDenied);
    let by = world.bodies("denied").await;
    assert_eq!(by[0].get("by").unwrap().text(), r#"["never"]"#);
    assert_eq!(by[1].get("by").unwrap().text(), "[]");
    world.verified().await;
}

#[tokio::test]
async fn a_new_forbid_beats_an_old_grant() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let forbid = r#"@id("freeze") forbid (principal, action == Action::"tools/call:ops/deploy", resource);"#;
    world.activate(&bundle_of(&format!("{RULES}{forbid}"))).await;
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::PolicyDenied);
    world.activate(&bundle()).await;
    world.run(world.permitted("deploy", &deploy("1")).await).await; // nothing burnt the grant meanwhile
    world.verified().await;
}

#[tokio::test]
async fn other_arguments_another_caller_and_another_definition_never_spend_a_grant() {
    let mut world = World::new().await;
    let other = world.caller("other", "olga", &[]).await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let more = r#"{"environment":"production","replicas":1,"version":"1"}"#;
    for ask in [
        world.ask("deploy", &deploy("2")),
        world.ask("deploy", more),
        world.ask_as(&other, "deploy", &deploy("1")),
    ] {
        challenged(world.authority().decide(&ask).await.unwrap());
    }
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    world.verified().await;
}

#[tokio::test]
async fn the_same_request_asked_again_is_the_same_elevation_one_record_and_one_notice() {
    let world = World::new().await;
    let first = world.challenged("deploy", &deploy("1")).await;
    for _ in 0..20 {
        let again = world.challenged("deploy", &deploy("1")).await;
        assert_eq!(again.elevation, first.elevation);
        assert!(!again.opened && again.record.is_none());
    }
    assert_eq!(world.bodies("challenged").await.len(), 1);
    assert_eq!(world.authority().store().outbox(String::new(), 100).await.unwrap().len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn what_was_rejected_is_denied_with_the_reason_until_it_has_cooled_down() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    let ben = world.id("ben");
    world.authority().reject(challenge.elevation, ben, " not on a Friday ", false).await.unwrap().unwrap();
    let denial = world.denied("deploy", &deploy("1")).await;
    assert_eq!((denial.slug, denial.why.as_deref()), (Slug::Rejected, Some("not on a Friday")));
    world.challenged("deploy", &deploy("2")).await;
    world.pass(599);
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::Rejected);
    world.pass(2);
    assert!(world.challenged("deploy", &deploy("1")).await.opened);
    world.verified().await;
}

#[tokio::test]
async fn a_request_that_waited_too_long_makes_room_for_a_new_one_in_the_same_commit() {
    let world = World::new().await;
    let old = world.challenged("deploy", &deploy("1")).await;
    world.pass(901);
    let new = world.challenged("deploy", &deploy("1")).await;
    assert!(new.opened && new.elevation != old.elevation);
    let kinds = world.kinds().await;
    assert_eq!(kinds[kinds.len() - 2..], ["expired", "challenged"]);
    let whole = world.authority().store().elevation(old.elevation).await.unwrap().unwrap();
    assert_eq!(whole.state.name(), "expired");
    world.verified().await;
}

#[tokio::test]
async fn a_request_whose_requirement_has_changed_makes_room_for_a_new_one_and_votes_stay_behind() {
    let world = World::new().await;
    let pair = r#"{"name":"db","token":"t"}"#;
    let old = world.challenged("set_secret", pair).await;
    world.approve(old.elevation, "ann").await.unwrap();
    let mut changed = bundle();
    let terms = &mut changed.requirements.get_mut("pair").unwrap().terms;
    terms.valid_for = Millis::seconds(60);
    world.activate(&changed).await;
    let waiting = world.authority().waiting(old.elevation);
    let new = world.challenged("set_secret", pair).await;
    woken(waiting).await; // whoever waits for the old one
    assert_ne!(new.elevation, old.elevation);
    assert!(new.lines.iter().all(|line| line.have == 0));
    let superseded = world.bodies("superseded").await;
    assert_eq!(superseded[0].get("by").unwrap().as_str(), Some(new.elevation.to_string().as_str()));
    world.verified().await;
}

#[tokio::test]
async fn a_caller_has_only_so_many_requests_waiting() {
    let world = World::new().await;
    let mut first = None;
    for n in 0..5 {
        let challenge = world.challenged("deploy", &deploy(&n.to_string())).await;
        first = first.or(Some(challenge.elevation));
    }
    assert_eq!(world.denied("deploy", &deploy("5")).await.slug, Slug::OverBudget);
    world.challenged("deploy", &deploy("4")).await; // one that waits is no new one
    world.authority().withdraw(&world.bot(), first.unwrap(), None).await.unwrap().unwrap();
    world.challenged("deploy", &deploy("5")).await;
    world.pass(901);
    world.challenged("deploy", &deploy("6")).await; // what has expired takes no place
    world.verified().await;
}

#[tokio::test]
async fn a_person_has_only_so_many_requests_waiting_whatever_the_number_of_its_callers() {
    let mut settings = settings();
    (settings.pending_per_caller, settings.pending_per_root) = (20, 45);
    let mut world = World::with(settings, &bundle()).await;
    for caller in ["a", "b", "c"] {
        let caller = world.caller(caller, "olga", &[]).await;
        for n in 0..20 {
            let ask = world.ask_as(&caller, "deploy", &deploy(&n.to_string()));
            let ruling = world.authority().decide(&ask).await.unwrap();
            if caller.name != "c" || n < 5 {
                challenged(ruling);
            } else {
                assert_eq!(denied(ruling).slug, Slug::OverBudget);
            }
        }
    }
    let other = world.caller("of-dave", "dave", &[]).await;
    let ask = world.ask_as(&other, "deploy", &deploy("1"));
    challenged(world.authority().decide(&ask).await.unwrap());
    world.verified().await;
}

#[tokio::test]
async fn a_caller_that_hammers_costs_so_many_records_a_minute_and_then_one_that_counts() {
    let world = World::new().await;
    for n in 0..10 {
        let denial = world.denied("destroy", "{}").await;
        assert_eq!(denial.record.is_some(), n < 3);
    }
    world.pass(60);
    world.authority().expire().await.unwrap();
    world.denied("destroy", "{}").await;
    let bodies = world.bodies("denied").await;
    let counts: Vec<_> = bodies.iter().map(|b| b.get("count").unwrap().as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 1, 1, 7, 1]);
    assert!(bodies[3].get("access").unwrap().is_null());
    world.verified().await;
}

#[tokio::test]
async fn denials_that_were_only_counted_are_told_by_the_next_record_too() {
    let world = World::new().await;
    for _ in 0..5 {
        world.denied("destroy", "{}").await;
    }
    world.pass(60);
    world.denied("destroy", "{}").await;
    let bodies = world.bodies("denied").await;
    let counts: Vec<_> = bodies.iter().map(|b| b.get("count").unwrap().as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 1, 1, 1, 2]);
    world.verified().await;
}

#[tokio::test]
async fn what_nobody_may_approve_is_denied_rather_than_left_waiting() {
    let world = World::new().await;
    for name in ["ann", "ben"] {
        world.authority().set_member("managers", name, false, &authority::By::account(0)).await.unwrap();
    }
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::NobodyMayApprove);
    world.authority().set_member("managers", "olga", true, &authority::By::account(0)).await.unwrap();
    let denial = world.denied("deploy", &deploy("1")).await; // the owner is nobody else
    assert_eq!(denial.slug, Slug::NobodyMayApprove);
    world.authority().set_member("managers", "dave", true, &authority::By::account(0)).await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    world.verified().await;
}

#[tokio::test]
async fn who_is_locked_runs_nothing_and_opens_nothing() {
    let world = World::new().await;
    let bot = store::LockSubject::Caller(world.bot().id);
    world.authority().lock(bot, "os:0".to_owned(), "odd".to_owned(), None).await.unwrap();
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::CallerLocked);
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::CallerLocked);
    assert!(world.bodies("challenged").await.is_empty());
    world.verified().await;
}

#[tokio::test]
async fn a_call_that_was_held_is_judged_by_what_its_caller_is_now() {
    let world = World::new().await;
    let held: Ask = world.ask("deploy", &deploy("1"));
    let challenge = challenged(world.authority().decide(&held).await.unwrap());
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.authority().set_member("ops-agents", "bot", false, &authority::By::account(0)).await.unwrap();
    assert_eq!(denied(world.authority().decide(&held).await.unwrap()).slug, Slug::PolicyDenied);
    world.authority().set_member("ops-agents", "bot", true, &authority::By::account(0)).await.unwrap();
    world.authority().disable_caller("bot", &authority::By::account(0)).await.unwrap();
    assert_eq!(denied(world.authority().decide(&held).await.unwrap()).slug, Slug::CredentialInvalid);
    world.verified().await;
}

#[tokio::test]
async fn a_call_that_was_held_does_not_outlive_its_key() {
    let mut world = World::new().await;
    let held = world.ask("read_ticket", "{}");
    let authority::Added::Done(new) =
        world.authority().rotate("bot", Millis::seconds(60), &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    drop(permitted(world.authority().decide(&held).await.unwrap()));
    world.pass(60);
    assert_eq!(denied(world.authority().decide(&held).await.unwrap()).slug, Slug::CredentialInvalid);
    assert_eq!(world.authenticated("bot"), Err(Slug::CredentialInvalid));
    world.holds("bot", new.key);
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn a_request_and_its_grant_outlive_a_rotated_key() {
    let mut world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    let authority::Added::Done(new) =
        world.authority().rotate("bot", Millis::seconds(0), &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(world.authenticated("bot"), Err(Slug::CredentialInvalid));
    world.holds("bot", new.key);
    assert_eq!(world.challenged("deploy", &deploy("1")).await.elevation, challenge.elevation);
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    world.verified().await;
}

#[tokio::test]
async fn rules_about_a_first_time_ask_for_the_same_at_the_attempt_at_the_vote_and_at_use() {
    let rule = r#"@id("first") @stepup("release")
        forbid (principal, action == Action::"tools/call:ops/read_ticket", resource)
        when { context.history.first_time };"#;
    let world = World::with(settings(), &bundle_of(&format!("{RULES}{rule}"))).await;
    let challenge = world.challenged("read_ticket", "{}").await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("read_ticket", "{}").await;
    assert!(permit.grant().is_some());
    world.run(permit).await;
    let second = world.permitted("read_ticket", "{}").await;
    assert!(second.grant().is_none());
    world.run(second).await;
    world.verified().await;
}

#[tokio::test]
async fn a_node_that_is_behind_the_store_catches_up_before_it_permits() {
    let world = World::new().await;
    let before = world.authority().active().epoch();
    world.behind_its_back().await;
    world.run(world.permitted("read_ticket", "{}").await).await;
    assert!(world.authority().active().epoch() > before);
    world.verified().await;
}

#[tokio::test]
async fn without_rules_everything_is_denied() {
    let world = World::without_rules().await;
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::PolicyFailed);
    world.verified().await;
}
