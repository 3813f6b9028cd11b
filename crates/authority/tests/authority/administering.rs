//! People, callers, passkeys and the rules in force.

use authority::{Added, Bundle, NewCaller, NotCounted};
use aws_lc_rs::rand::SystemRandom;
use passkey::SoftAuthenticator;
use terms::hash::from_b64url;
use terms::{CallerKind, Millis, Slug};

use crate::world::{ORIGIN, RULES, World, bundle, bundle_of, deploy, settings};

#[tokio::test]
async fn rules_that_cannot_be_read_leave_the_old_ones_in_force_and_a_record() {
    let world = World::new().await;
    let before = world.authority().active().policy();
    for broken in ["permit (", r#"@id("x") @stepup("nobody") forbid (principal, action, resource);"#] {
        let refused =
            world.authority().activate(&bundle_of(broken), &authority::By::account(7)).await.unwrap();
        assert!(
            matches!(&refused, authority::Activated::Wrong(findings) if !findings.is_empty()),
            "{refused:?}"
        );
    }
    assert_eq!(world.authority().active().policy(), before);
    let refused = world.bodies("policy_refused").await;
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].get("by").unwrap().as_str(), Some("os:7"));
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn the_rules_in_force_are_not_activated_again() {
    let world = World::new().await;
    assert_eq!(
        world.authority().activate(&bundle(), &authority::By::account(0)).await.unwrap(),
        authority::Activated::Already
    );
    assert_eq!(world.bodies("policy_activated").await.len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn rules_are_activated_on_a_store_that_has_moved_on_in_other_things() {
    let world = World::new().await;
    world.behind_its_back().await;
    let more = format!(r#"{RULES}@id("more") forbid (principal, action, resource) when {{ false }};"#);
    world.activate(&bundle_of(&more)).await;
    world.verified().await;
}

#[tokio::test]
async fn rules_that_somebody_else_has_activated_meanwhile_are_not_overwritten() {
    let world = World::new().await;
    let theirs =
        bundle_of(&format!(r#"{RULES}@id("theirs") forbid (principal, action, resource) when {{ false }};"#));
    let change = store::Change::Activate {
        hash: theirs.hash(),
        bundle: theirs.to_json(),
        by: "other".to_owned(),
        expects: world.authority().active().epoch(),
    };
    world.write(vec![change]).await;
    let ours =
        bundle_of(&format!(r#"{RULES}@id("ours") forbid (principal, action, resource) when {{ false }};"#));
    assert!(world.authority().activate(&ours, &authority::By::account(0)).await.is_err());
    assert_eq!(world.authority().active().policy(), theirs.hash());
    world.verified().await;
}

#[tokio::test]
async fn a_stored_bundle_that_is_not_what_its_hash_says_denies_everything() {
    let world = World::new().await;
    let change = store::Change::Activate {
        hash: Bundle::default().hash(),
        bundle: bundle_of(r#"@id("all") permit (principal, action, resource);"#).to_json(),
        by: "other".to_owned(),
        expects: world.authority().active().epoch(),
    };
    world.write(vec![change]).await;
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::PolicyFailed);
    assert_eq!(world.denied("destroy", "{}").await.slug, Slug::PolicyFailed);
    world.verified().await;
}

fn enrolling() -> SoftAuthenticator {
    SoftAuthenticator::new(&SystemRandom::new()).unwrap()
}

async fn enrol(world: &World, token: &str, with: &SoftAuthenticator) -> Result<(), NotCounted> {
    let (begun, _) = world.authority().begin_enrol(token).await.unwrap()?;
    let challenge = from_b64url(&begun.challenge).unwrap();
    let registration = with.create("stepup.example", ORIGIN, &challenge).unwrap();
    world.authority().enrol(&begun.nonce, &registration).await.unwrap().map(drop)
}

#[tokio::test]
async fn an_invitation_enrols_one_passkey_once() {
    let world = World::new().await;
    let Added::Done(token) = world.authority().invite("ann", &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    let token = token.expose();
    let (one, _) = world.authority().begin_enrol(token).await.unwrap().unwrap();
    enrol(&world, token, &enrolling()).await.unwrap();
    assert_eq!(enrol(&world, token, &enrolling()).await, Err(NotCounted::NotFound));
    let late = enrolling().create("stepup.example", ORIGIN, &from_b64url(&one.challenge).unwrap()).unwrap();
    assert_eq!(world.authority().enrol(&one.nonce, &late).await.unwrap(), Err(NotCounted::NotFound));
    assert_eq!(enrol(&world, "invite_guessed", &enrolling()).await, Err(NotCounted::NotFound));
    world.verified().await;
}

#[tokio::test]
async fn a_new_invitation_ends_the_earlier_ones_even_while_they_are_used() {
    let world = World::new().await;
    let invite = async || match world.authority().invite("ann", &authority::By::account(0)).await.unwrap() {
        Added::Done(token) => token.expose().clone(),
        other @ (Added::NameTaken | Added::Missing(_) | Added::Stopped(_) | Added::Refused(_)) => {
            panic!("{other:?}")
        }
    };
    let lost = invite().await;
    let (begun, _) = world.authority().begin_enrol(&lost).await.unwrap().unwrap();
    let newer = invite().await;
    let late = enrolling().create("stepup.example", ORIGIN, &from_b64url(&begun.challenge).unwrap()).unwrap();
    assert_eq!(world.authority().enrol(&begun.nonce, &late).await.unwrap(), Err(NotCounted::NotFound));
    assert_eq!(enrol(&world, &lost, &enrolling()).await, Err(NotCounted::NotFound));
    enrol(&world, &newer, &enrolling()).await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn an_invitation_ends_after_three_days() {
    let world = World::new().await;
    let Added::Done(token) = world.authority().invite("ann", &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    world.pass(3 * 24 * 3600);
    assert_eq!(enrol(&world, token.expose(), &enrolling()).await, Err(NotCounted::NotFound));
    world.verified().await;
}

#[tokio::test]
async fn a_passkey_that_is_known_is_not_enrolled_again_for_anyone() {
    let world = World::new().await;
    let one = enrolling();
    for (n, name) in ["ann", "ben", "ann"].into_iter().enumerate() {
        let Added::Done(token) = world.authority().invite(name, &authority::By::account(0)).await.unwrap()
        else {
            panic!()
        };
        let enrolled = enrol(&world, token.expose(), &one).await;
        assert_eq!(enrolled.is_ok(), n == 0, "{enrolled:?}");
    }
    world.verified().await;
}

#[tokio::test]
async fn the_authenticator_of_the_demo_is_refused_outside_the_demo() {
    let mut world = World::new().await;
    let Added::Done(token) = world.authority().invite("ann", &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    world.settings.demo = false;
    world.crash(|| ()).await;
    let refused = enrol(&world, token.expose(), &enrolling()).await;
    assert!(matches!(refused, Err(NotCounted::Signature(_))));
    world.verified().await;
}

#[tokio::test]
async fn a_person_signs_in_with_a_passkey_until_the_session_ends_or_the_person_is_disabled() {
    let world = World::new().await;
    let sign_in = async |name: &str| {
        let begun = world.authority().begin_sign_in().await.unwrap();
        world.authority().sign_in(&world.sign(&begun, name)).await.unwrap()
    };
    let (human, token) = sign_in("ann").await.unwrap();
    assert_eq!(human, world.id("ann"));
    let signed_in = async |token: &str| world.authority().session(token).await.unwrap().is_some();
    assert!(signed_in(token.expose()).await);
    let (_, other) = sign_in("ann").await.unwrap();
    let only = authority::token_hash(other.expose());
    world.authority().sign_out(human, Some(only)).await.unwrap();
    assert!(signed_in(token.expose()).await && !signed_in(other.expose()).await);
    world.pass(8 * 3600);
    assert!(!signed_in(token.expose()).await);
    let (_, token) = sign_in("ann").await.unwrap();
    world.authority().disable_human("ann", &authority::By::account(0)).await.unwrap();
    assert!(!signed_in(token.expose()).await);
    assert_eq!(sign_in("ann").await.err(), Some(NotCounted::PasskeyUnknown));
    world.verified().await;
}

#[tokio::test]
async fn a_revoked_passkey_signs_nothing() {
    let world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let begun = world.begin(id, "ann").await.unwrap();
    world.authority().revoke_passkey(world.passkey("ann"), "olga", "lost").await.unwrap();
    assert_eq!(world.vote(id, "ann", &world.sign(&begun, "ann")).await, Err(NotCounted::PasskeyUnknown));
    world.verified().await;
}

#[tokio::test]
async fn one_name_is_one_person_or_one_caller() {
    let world = World::new().await;
    let caller = |name: &str, owner: &str, act: &[&str]| NewCaller {
        name: name.to_owned(),
        kind: CallerKind::Service,
        owner: owner.to_owned(),
        groups: Vec::new(),
        act: act.iter().map(|a| (*a).to_owned()).collect(),
    };
    let add =
        async |new: NewCaller| world.authority().add_caller(&new, &authority::By::account(0)).await.unwrap();
    assert!(matches!(add(caller("bot", "olga", &[])).await, Added::NameTaken));
    assert!(matches!(add(caller("ann", "olga", &[])).await, Added::NameTaken));
    assert!(matches!(add(caller("new", "nobody", &[])).await, Added::Missing(_)));
    assert!(matches!(add(caller("new", "olga", &["nobody"])).await, Added::Missing(_)));
    assert!(matches!(
        world.authority().add_human("bot", &[], &authority::By::account(0)).await.unwrap(),
        Added::NameTaken
    ));
    assert!(matches!(
        world.authority().add_human("ann", &[], &authority::By::account(0)).await.unwrap(),
        Added::NameTaken
    ));
    world.authority().disable_caller("bot", &authority::By::account(0)).await.unwrap();
    assert!(matches!(add(caller("new", "bot", &[])).await, Added::Missing(_)));
    world.verified().await;
}

#[tokio::test]
async fn what_happens_to_people_and_callers_is_in_force_in_the_next_run_too() {
    let mut world = World::with(settings(), &bundle()).await;
    world.authority().rotate("bot", Millis::seconds(0), &authority::By::account(0)).await.unwrap();
    world.crash(|| ()).await;
    assert_eq!(world.authenticated("bot"), Err(Slug::CredentialInvalid));
    world.verified().await;
}
