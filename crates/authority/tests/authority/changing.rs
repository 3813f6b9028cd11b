//! What becomes of a change of this installation once it is approved: it is made once or not at all, whatever ends in between, and
//! what it makes moot is closed.

use std::sync::Arc;

use authority::{Activated, Added, By, NotCounted};
use elevation::{Conclusion, GrantState, Outcome, State};
use store::Attempt;
use terms::{Binds, Json, Slug};

use crate::between::Fails;
use crate::operators::{asked, denied_for, guarded, waits, world};
use crate::world::*;

fn with(word: &str) -> authority::Bundle {
    bundle_of(&format!("{}\n// {word}", guarded()))
}

async fn attempts(world: &World) -> Vec<Attempt> {
    world.authority().store().attempts(None, 10).await.unwrap()
}

#[tokio::test]
async fn rules_never_come_to_be_none_by_whatever_way() {
    let world = World::new().await;
    let by = By::account(0);
    let before = world.authority().active().policy();
    for text in ["", "// only a word\n"] {
        let none = bundle_of(text);
        let ways = [
            world.authority().activate(&none, &by).await.unwrap(),
            world.authority().activate_anew(&none, &by).await.unwrap(),
            world.authority().recover(&none, &by).await.unwrap(),
        ];
        for activated in ways {
            let Activated::Wrong(findings) = activated else { panic!("{activated:?}") };
            assert_eq!(findings.iter().map(|found| found.code.name()).collect::<Vec<_>>(), ["no_rules"]);
        }
        let checked = world.authority().active().check(&none, false);
        assert!(checked.iter().any(|found| found.code.name() == "no_rules"), "{checked:?}");
    }
    assert_eq!(world.authority().active().policy(), before);
    assert_eq!(world.bodies("policy_refused").await.len(), 0, "an empty folder is no record");
    world.verified().await;
}

#[tokio::test]
async fn a_change_is_approved_once_and_exactly_so_whatever_its_requirement_grants_calls() {
    let world = World::new().await;
    let by = By::account(1000);
    let Added::Done(_) = world.authority().own_account("olga", 1000, &by).await.unwrap() else { panic!() };
    // For calls it grants three uses, and binds nothing but a target.
    let wide = guarded().replace(
        "@stepup(\"release\")\nforbid (principal, action == Action::\"administer\"",
        "@stepup(\"target\")\nforbid (principal, action == Action::\"administer\"",
    );
    assert!(wide.contains("@stepup(\"target\")\nforbid (principal, action == Action::\"administer\""));
    assert_eq!(world.authority().activate(&bundle_of(&wide), &by).await.unwrap(), Activated::Done);
    let join =
        async |name: &str, is: bool| world.authority().set_member("managers", name, is, &by).await.unwrap();
    let id = asked(join("dave", true).await);
    let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    assert_eq!(
        (card.grants.uses.get(), &card.grants.binds),
        (1, &Binds::Everything),
        "what is signed says so"
    );
    world.approve(id, "ann").await.unwrap();
    assert_ne!(asked(join("sam", true).await), id, "it is for nobody else");
    let Added::Done(()) = join("dave", true).await else { panic!() };
    let out = asked(join("dave", false).await);
    world.approve(out, "ann").await.unwrap();
    let Added::Done(()) = join("dave", false).await else { panic!() };
    assert_ne!(asked(join("dave", true).await), id, "it was used once");
    world.verified().await;
}

#[tokio::test]
async fn proposals_of_the_rules_before_are_closed_by_whatever_comes_into_force() {
    for recovers in [false, true] {
        let (world, by) = world().await;
        let (one, two) = (with("one"), with("two"));
        let old = waits(world.authority().activate(&one, &by).await.unwrap());
        let other = asked(world.authority().set_member("managers", "dave", true, &by).await.unwrap());
        let waiting = world.authority().waiting(old);
        if recovers {
            assert_eq!(world.authority().recover(&two, &by).await.unwrap(), Activated::Done);
        } else {
            let id = waits(world.authority().activate(&two, &by).await.unwrap());
            world.approve(id, "ann").await.unwrap();
            assert_eq!(world.authority().activate(&two, &by).await.unwrap(), Activated::Done);
        }
        woken(waiting).await;
        let whole = world.authority().store().elevation(old).await.unwrap().unwrap();
        assert_eq!(whole.state, State::Concluded(Conclusion::Superseded), "{recovers}");
        assert_eq!(
            world.begin(old, "ann").await,
            Err(NotCounted::Over("other rules came into force since it was made"))
        );
        let closed = world.bodies("superseded").await;
        let why: Vec<&str> = closed.iter().filter_map(|body| body.get("why")?.as_str()).collect();
        assert_eq!(why, ["rules_changed"]);
        let whole = world.authority().store().elevation(other).await.unwrap().unwrap();
        assert_eq!(whole.state, State::Pending, "a change of something else waits on");
        world.verified().await;
    }
}

#[tokio::test]
async fn a_proposal_that_a_crash_left_open_is_closed_at_the_next_start() {
    let (mut world, by) = world().await;
    let old = waits(world.authority().activate(&with("one"), &by).await.unwrap());
    // The activation itself, and then nothing more.
    world.between().lets_pass(1);
    world.between().fail(Fails::Before);
    assert_eq!(world.authority().recover(&with("two"), &by).await.unwrap(), Activated::Done);
    let state = async |world: &World| world.authority().store().elevation(old).await.unwrap().unwrap().state;
    assert_eq!(state(&world).await, State::Pending);
    world.crash(|| ()).await;
    assert_eq!(state(&world).await, State::Concluded(Conclusion::Superseded));
    world.verified().await;
}

#[tokio::test]
async fn a_change_and_its_outcome_are_one_commit() {
    let (world, by) = world().await;
    let join = async || world.authority().set_member("managers", "dave", true, &by).await;
    let id = asked(join().await.unwrap());
    world.approve(id, "ann").await.unwrap();
    // It was written, and whoever asked is not told.
    world.between().lets_pass(1);
    world.between().fail(Fails::After);
    join().await.unwrap_err();
    world.settled().await;
    assert_eq!(attempts(&world).await[0].outcome, Some(Outcome::Done));
    let kinds = world.kinds().await;
    assert_eq!(kinds[kinds.len() - 2..], ["group_changed", "settled"]);
    world.verified().await;
}

#[tokio::test]
async fn a_change_that_was_not_committed_was_not_made_and_that_is_said_by_itself() {
    // Before the claim; between claim and change; and the same where the process ends there.
    for (passes, crashes) in [(0, false), (1, false), (1, true)] {
        let (mut world, by) = world().await;
        let before = world.authority().active().policy();
        let id = waits(world.authority().activate(&with("one"), &by).await.unwrap());
        world.approve(id, "ann").await.unwrap();
        world.between().lets_pass(passes);
        if crashes {
            let held = world.between().holds_commit();
            let authority = Arc::clone(world.authority());
            let mut doing = Box::pin(async move { authority.activate(&with("one"), &by).await });
            tokio::select! {
                _ = &mut doing => panic!("it is held before its commit"),
                () = held.notified() => {}
            }
            world.crash(|| drop(doing)).await;
        } else {
            world.between().fail(Fails::Before);
            world.authority().activate(&with("one"), &by).await.unwrap_err();
        }
        world.settled().await;
        assert_eq!(world.authority().active().policy(), before);
        let grant = world.authority().store().elevation(id).await.unwrap().unwrap().grant.unwrap();
        let (live, by) = (grant.state(world.authority().now()), By::account(1000));
        let again = world.authority().activate(&with("one"), &by).await.unwrap();
        if passes == 0 {
            assert_eq!((live, again), (GrantState::Live, Activated::Done), "nothing was used up");
        } else {
            let [attempt] = attempts(&world).await.try_into().unwrap();
            assert_eq!((live, attempt.outcome), (GrantState::Spent, Some(Outcome::NotSent)), "{crashes}");
            assert_ne!(waits(again), id, "it is asked for again, and nobody has to resolve anything");
        }
        world.verified().await;
    }
}

#[tokio::test]
async fn who_looks_at_what_a_crash_left_is_told_that_the_change_was_not_made() {
    let (mut world, by) = world().await;
    let id = waits(world.authority().activate(&with("one"), &by).await.unwrap());
    world.approve(id, "ann").await.unwrap();
    world.between().lets_pass(1);
    let held = world.between().holds_commit();
    let authority = Arc::clone(world.authority());
    let mut doing = Box::pin(async move { authority.activate(&with("one"), &by).await });
    tokio::select! {
        _ = &mut doing => panic!("it is held before its commit"),
        () = held.notified() => {}
    }
    let at_rest = world.looked_at(|| drop(doing)).await;
    let attempts = at_rest.store().attempts(None, 10).await.unwrap();
    assert_eq!((attempts[0].outcome, at_rest.outcome_of(&attempts[0])), (None, Some(Outcome::NotSent)));
    drop(at_rest);
    world.crash(|| ()).await;
    world.verified().await;
}

#[tokio::test]
async fn the_person_whose_account_it_is_stands_beside_it() {
    let world = World::new().await;
    let by = By::account(1000);
    let human = async |kind: &str| world.bodies(kind).await.last().unwrap().get("human").cloned().unwrap();
    assert_eq!(human("policy_activated").await, Json::Null, "nobody said whose account 0 is");
    let Added::Done(_) = world.authority().own_account("olga", 1000, &by).await.unwrap() else { panic!() };
    assert_eq!(world.authority().recover(&with("one"), &by).await.unwrap(), Activated::Done);
    for kind in ["policy_activated", "policy_recovered"] {
        assert_eq!(human(kind).await, Json::from(world.id("olga")), "{kind}");
    }
    let active = world.authority().active();
    assert_eq!(active.person_of("os:1000").map(|human| human.name.as_str()), Some("olga"));
    assert!(active.person_of("os:0").is_none() && active.person_of("bot").is_none());
    world.verified().await;
}

#[tokio::test]
async fn a_change_of_nothing_but_line_endings_is_made_and_shown() {
    let (world, by) = world().await;
    let text = guarded();
    let crlf = bundle_of(&text.replace('\n', "\r\n"));
    let id = waits(world.authority().activate(&crlf, &by).await.unwrap());
    let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    let patch = card.fields.iter().find(|field| field.value.contains("@@")).expect("the difference");
    assert!(patch.value.contains("\r\n"), "the ends are in what is signed");
    assert!(!card.unusual.is_empty(), "what it would have come to is known");
    world.approve(id, "ann").await.unwrap();
    assert_eq!(world.authority().activate(&crlf, &by).await.unwrap(), Activated::Done);
    assert_eq!(world.authority().active().policy(), crlf.hash());
    world.verified().await;
}

#[tokio::test]
async fn who_is_locked_has_nothing_approved_and_lifts_no_lock_by_asking() {
    let (world, by) = world().await;
    let sam = world.id("sam");
    let why = || "an incident".to_owned();
    let lock = |subject| world.authority().lock(subject, "os:0".to_owned(), why(), None);
    let bots = lock(store::LockSubject::Caller(world.ask_id())).await.unwrap();
    let sams = lock(store::LockSubject::Human(sam)).await.unwrap();
    for (lock, refused) in [(sams, NotCounted::Behind), (bots, NotCounted::NotLet(Slug::CallerLocked))] {
        let lifted = match world.authority().begin_unlock(lock, sam).await.unwrap() {
            Err(refused) => Err(refused),
            Ok(begun) => {
                let signed = world.sign(&begun, "sam");
                world.authority().unlock(lock, sam, "over", &signed).await.unwrap()
            }
        };
        assert_eq!(lifted, Err(refused));
    }
    lock(store::LockSubject::Human(world.id("olga"))).await.unwrap();
    let added = world.authority().set_member("managers", "dave", true, &by).await.unwrap();
    assert_eq!(denied_for(added), Slug::CallerLocked);
    world.verified().await;
}

#[tokio::test]
async fn a_definition_is_accepted_by_whoever_read_all_of_it() {
    let (world, _) = world().await;
    let changed =
        definition("deploy", r#"{"environment":{"type":"string"},"sent_to_everybody":{"type":"string"}}"#);
    let mut all = definitions();
    all.retain(|one| one.get("name") != changed.get("name"));
    all.push(changed.clone());
    world.authority().observe("ops", all).await.unwrap();
    let pin = world.authority().active().tool("ops", "deploy").unwrap().pin.id;
    let accept = async || {
        let begun = world.authority().begin_accept(pin, world.id("sam")).await.unwrap()?;
        world.authority().accept(pin, world.id("sam"), &world.sign(&begun, "sam")).await.unwrap()
    };
    let Err(NotCounted::Asked(id)) = accept().await else { panic!("sam accepts it alone") };
    let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    let shown = |pointer: &str| card.fields.iter().any(|field| field.pointer.to_string() == pointer);
    assert!(
        shown("/definition/description")
            && shown("/definition/inputSchema/properties/sent_to_everybody/type")
    );
    world.approve(id, "ann").await.unwrap();
    accept().await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_change_that_nobody_could_read_is_refused_and_asks_nobody() {
    let (world, by) = world().await;
    let large = with(&"x\n// ".repeat(20_000));
    let Activated::Wrong(findings) = world.authority().activate(&large, &by).await.unwrap() else { panic!() };
    let [found] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((found.code.name(), found.at.to_string().as_str()), ("change_too_large", "the change"));
    assert!(found.suggestion.as_ref().is_some_and(|says| says.contains("smaller steps")));
    assert!(world.authority().inbox(world.id("ann")).await.unwrap().is_empty());
    world.verified().await;
}

#[tokio::test]
async fn roots_account_that_rules_name_by_its_number_is_among_those_who_may_come_to_approve() {
    let world = World::new().await;
    let rules = RULES.replace(
        "permit (principal is Human, action == Action::\"administer\"",
        "permit (principal == Human::\"os:0\", action == Action::\"administer\"",
    );
    assert_ne!(rules, RULES);
    let findings = world.authority().active().check(&bundle_of(&rules), true);
    let of = |code: &str| -> Vec<String> {
        findings.iter().filter(|found| found.code.name() == code).map(ToString::to_string).collect()
    };
    let [alone] = of("self_approval").try_into().unwrap();
    assert!(alone.contains("can change policy, groups, callers and people with nobody else"), "{alone}");
    let [stuck] = of("nobody_administers").try_into().unwrap();
    assert!(stuck.contains("could change definitions and locks"), "root changes the rest: {stuck}");
    assert_eq!(
        of("entity_unknown"),
        [] as [String; 0],
        "an account is nobody's until it is said whose it is"
    );
    let findings = world.authority().active().check(&bundle_of(&rules.replace("os:0", "os:root")), true);
    assert!(findings.iter().any(|found| found.code.name() == "entity_unknown"), "and no account has a name");
    world.verified().await;
}

#[tokio::test]
async fn rules_that_are_many_are_read_without_keeping_anybody_waiting() {
    let world = World::new().await;
    let one = |n: usize| {
        format!(
            "@id(\"r{n}\") forbid (principal, action == Action::\"tools/call:ops/deploy\", resource)\n\
                 when {{ context.arguments has version && context.arguments.version like \"{n}.*\" }};\n"
        )
    };
    let many = bundle_of(&(0..400).map(one).fold(guarded(), |rules, rule| rules + &rule));
    let active = world.authority().active();
    let (compiled, alone, _) = held_up(async { active.compile(&many).is_ok() }).await;
    let (activated, longest, _) = held_up(world.authority().activate(&many, &By::account(0))).await;
    assert!(compiled && activated.unwrap() == Activated::Done);
    assert!(longest < alone / 2, "nobody was let on for {longest:?}, of {alone:?} that reading them takes");
    world.verified().await;
}
