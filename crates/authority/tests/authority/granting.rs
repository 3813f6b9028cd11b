//! What a grant is good for, and for how much of it.

use std::num::NonZeroU32;
use std::sync::Arc;

use authority::Ruling;
use elevation::Outcome;
use terms::{Millis, Slug, Tree};

use crate::world::{RULES, World, approvals, bundle, bundle_of, deploy, permitted};

const RESTORE: [&str; 4] = [
    r#"{"path":"a","target":"spare"}"#,
    r#"{"path":"b","target":"spare"}"#,
    r#"{"path":"c","target":"spare"}"#,
    r#"{"path":"d","target":"spare"}"#,
];

#[tokio::test]
async fn a_grant_for_one_target_is_spent_three_times_and_on_no_other_target() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.challenged("restore", r#"{"path":"a","target":"main"}"#).await;
    for arguments in &RESTORE[..3] {
        world.run(world.permitted("restore", arguments).await).await;
    }
    world.challenged("restore", RESTORE[3]).await;
    world.verified().await;
}

#[tokio::test]
async fn the_same_call_is_not_started_again_while_it_runs_however_many_uses_are_left() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let running = world.permitted("restore", RESTORE[0]).await;
    let denial = world.denied("restore", RESTORE[0]).await;
    assert_eq!((denial.slug, denial.attempt), (Slug::AlreadyRunning, running.attempt()));
    world.run(world.permitted("restore", RESTORE[1]).await).await; // another call under the same grant
    world.run(running).await;
    world.run(world.permitted("restore", RESTORE[0]).await).await;
    world.verified().await;
}

#[tokio::test]
async fn what_nobody_knows_the_end_of_is_not_run_again_until_a_person_says_how_it_ended() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("restore", RESTORE[0]).await;
    let attempt = permit.attempt().unwrap();
    world.run_to(permit, Outcome::Unknown, Some(false)).await;
    world.pass(601); // it is not forgotten when runs that ended are
    let denial = world.denied("restore", RESTORE[0]).await;
    assert_eq!((denial.slug, denial.attempt), (Slug::OutcomeUnknown, Some(attempt)));
    let ann = world.id("ann");
    let begun = world.authority().begin_resolve(attempt, Outcome::Failed, ann).await.unwrap().unwrap();
    let signed = world.sign(&begun, "ann");
    let done = world.authority().resolve(attempt, Outcome::Done, ann, "seen", &signed).await.unwrap();
    assert!(done.is_err(), "another outcome than was signed");
    let begun = world.authority().begin_resolve(attempt, Outcome::Failed, ann).await.unwrap().unwrap();
    let signed = world.sign(&begun, "ann");
    world.authority().resolve(attempt, Outcome::Failed, ann, "seen", &signed).await.unwrap().unwrap();
    world.challenged("restore", RESTORE[0]).await; // its grant has lapsed meanwhile
    world.verified().await;
}

#[tokio::test]
async fn identical_baseline_calls_run_side_by_side() {
    let world = World::new().await;
    let one = world.permitted("read_ticket", "{}").await;
    let two = world.permitted("read_ticket", "{}").await;
    world.run_to(one, Outcome::Unknown, None).await;
    world.run(two).await;
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn a_run_whose_answer_was_lost_is_told_of_with_the_next_challenge() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    assert_eq!(challenge.ran, None);
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.run_to(world.permitted("deploy", &deploy("1")).await, Outcome::Done, Some(false)).await;
    let again = world.challenged("deploy", &deploy("1")).await;
    assert_eq!(again.ran.unwrap().1, "done");
    let (_, card, _) =
        world.authority().begin_consent(again.elevation, world.id("ann")).await.unwrap().unwrap();
    assert_eq!(card.unusual[0].text, terms::card::UnusualText::RanUndelivered);
    world.approve(again.elevation, "ann").await.unwrap();
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    assert_eq!(world.challenged("deploy", &deploy("1")).await.ran, None);
    world.verified().await;
}

#[tokio::test]
async fn a_grant_lapses() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.pass(300);
    assert_eq!(world.challenged("deploy", &deploy("1")).await.slug, Slug::GrantExpired);
    world.verified().await;
}

#[tokio::test]
async fn an_approval_by_someone_who_may_not_approve_any_more_is_none_at_use() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.authority().set_member("managers", "ann", false, &authority::By::account(0)).await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    world.authority().set_member("managers", "ann", true, &authority::By::account(0)).await.unwrap();
    let forbid =
        r#"@id("not-ann") forbid (principal == Human::"ann", action in Action::"approve", resource);"#;
    world.activate(&bundle_of(&format!("{RULES}{forbid}"))).await;
    world.challenged("deploy", &deploy("1")).await;
    world.activate(&bundle()).await;
    world.run(world.permitted("deploy", &deploy("1")).await).await; // the grant stayed for its own time
    world.verified().await;
}

#[tokio::test]
async fn an_approval_by_someone_who_was_disabled_is_none_at_use() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    world.authority().disable_human("ann", &authority::By::account(0)).await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    world.verified().await;
}

#[tokio::test]
async fn what_a_passkey_signed_that_was_revoked_since_counts_neither_at_use_nor_beside_others() {
    let world = World::new().await;
    let one = world.challenged("deploy", &deploy("1")).await.elevation;
    world.approve(one, "ann").await.unwrap();
    let secret = r#"{"name":"a","token":"t"}"#;
    let two = world.challenged("set_secret", secret).await.elevation;
    assert!(matches!(world.approve(two, "ann").await, Ok(authority::Voted::Waiting)));
    world.authority().revoke_passkey(world.passkey("ann"), "os:op", "lost").await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    assert!(matches!(world.approve(two, "sam").await, Ok(authority::Voted::Waiting)), "sam is the second");
    assert!(matches!(world.approve(two, "ben").await, Ok(authority::Voted::Approved(_))));
    world.run(world.permitted("set_secret", secret).await).await;
    let granted = world.bodies("granted").await.pop().unwrap();
    let voters = granted.get("voters").and_then(terms::Json::as_array).unwrap();
    assert_eq!(voters.len(), 2, "ann is none of those who granted it");
    world.verified().await;
}

#[tokio::test]
async fn a_grant_counts_for_a_new_requirement_only_if_its_votes_meet_that_one_too() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let mut stricter = bundle();
    let both = Tree::All(vec![approvals(1, "managers"), approvals(1, "security")]);
    stricter.requirements.get_mut("release").unwrap().parts.insert("release".to_owned(), both);
    world.activate(&stricter).await;
    world.challenged("deploy", &deploy("1")).await;
    let mut other = bundle();
    let any = Tree::Any(vec![approvals(1, "security"), approvals(1, "managers")]);
    other.requirements.get_mut("release").unwrap().parts.insert("release".to_owned(), any);
    world.activate(&other).await;
    world.run(world.permitted("deploy", &deploy("1")).await).await;
    world.verified().await;
}

#[tokio::test]
async fn under_a_new_requirement_the_stricter_of_both_terms_counts() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let mut stricter = bundle();
    let terms = &mut stricter.requirements.get_mut("target").unwrap().terms;
    terms.uses = NonZeroU32::new(2).unwrap();
    terms.valid_for = Millis::seconds(100);
    world.activate(&stricter).await;
    world.run(world.permitted("restore", RESTORE[0]).await).await;
    world.run(world.permitted("restore", RESTORE[1]).await).await;
    world.challenged("restore", RESTORE[2]).await; // a third use is left, but not today
    let mut everything = bundle();
    everything.requirements.get_mut("target").unwrap().terms.binds = terms::Binds::Everything;
    world.activate(&everything).await;
    world.challenged("restore", RESTORE[2]).await; // its path was not what was approved
    world.run(world.permitted("restore", RESTORE[0]).await).await;
    world.verified().await;
}

#[tokio::test]
async fn under_a_shorter_requirement_a_grant_ends_sooner() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let mut shorter = bundle();
    shorter.requirements.get_mut("release").unwrap().terms.valid_for = Millis::seconds(100);
    world.activate(&shorter).await;
    world.pass(101);
    world.challenged("deploy", &deploy("1")).await;
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_retries_at_once_one_runs_and_together_they_ask_once_more_at_most() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let ask = Arc::new(world.ask("deploy", &deploy("1")));
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (authority, ask) = (Arc::clone(world.authority()), Arc::clone(&ask));
            tokio::spawn(async move {
                match authority.decide(&ask).await.unwrap() {
                    Ruling::Permitted(permit) => {
                        let (_, mut settlement) = permit.embark().unwrap();
                        settlement.sending();
                        authority.settle(settlement, Outcome::Done, Some(true)).await.unwrap();
                        None
                    }
                    Ruling::Denied(denial) => Some(denial.slug),
                    Ruling::Challenged(_) => Some(Slug::ApprovalRequired),
                }
            })
        })
        .collect();
    let mut ran = 0;
    for call in calls {
        match call.await.unwrap() {
            None => ran += 1,
            Some(Slug::AlreadyRunning | Slug::AlreadyRan) => {}
            // Who came only after it had ended asks anew, all of them for one request.
            Some(Slug::ApprovalRequired | Slug::Busy) => {}
            Some(other) => panic!("{other}"),
        }
    }
    assert_eq!(ran, 1);
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    assert_eq!(whole.attempts.len(), 1);
    assert!(world.bodies("challenged").await.len() <= 2);
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uses_under_stricter_terms_are_counted_under_a_race_too() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let mut stricter = bundle();
    stricter.requirements.get_mut("target").unwrap().terms.uses = NonZeroU32::MIN;
    world.activate(&stricter).await;
    let calls: Vec<_> = RESTORE
        .iter()
        .map(|arguments| {
            let (authority, ask) = (Arc::clone(world.authority()), world.ask("restore", arguments));
            tokio::spawn(async move { matches!(authority.decide(&ask).await.unwrap(), Ruling::Permitted(_)) })
        })
        .collect();
    let mut permitted = 0;
    for call in calls {
        permitted += u32::from(call.await.unwrap());
    }
    assert_eq!(permitted, 1);
    world.verified().await;
}

/// Both found the one use that today's terms leave of three, as two nodes would.
#[tokio::test]
async fn of_two_that_found_the_last_use_under_stricter_terms_one_runs() {
    let world = World::new().await;
    let challenge = world.challenged("restore", RESTORE[0]).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let mut stricter = bundle();
    stricter.requirements.get_mut("target").unwrap().terms.uses = NonZeroU32::MIN;
    world.activate(&stricter).await;
    let (authority, ask) = (Arc::clone(world.authority()), world.ask("restore", RESTORE[1]));
    world.between().after_standing(Box::pin(async move {
        let permit = permitted(authority.decide(&ask).await.unwrap());
        let (_, mut settlement) = permit.embark().unwrap();
        settlement.sending();
        authority.settle(settlement, Outcome::Done, Some(true)).await.unwrap();
    }));
    world.denied("restore", RESTORE[0]).await;
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    assert_eq!((whole.grant.unwrap().spent, whole.attempts.len()), (1, 1));
    world.verified().await;
}

#[tokio::test]
async fn who_comes_back_to_what_has_ended_is_told_so_and_opens_nothing() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let permit = world.permitted("deploy", &deploy("1")).await;
    let attempt = permit.attempt();
    world.run(permit).await;
    let ask =
        world.authority().captured(&world.bot(), challenge.elevation, "192.0.2.1").await.unwrap().unwrap();
    let ruling = world.authority().decide_again(&ask, challenge.elevation).await.unwrap();
    let denial = crate::world::denied(ruling);
    assert_eq!((denial.slug, denial.attempt), (Slug::AlreadyRan, attempt));
    assert_eq!(world.bodies("challenged").await.len(), 1);
    world.verified().await;
}
