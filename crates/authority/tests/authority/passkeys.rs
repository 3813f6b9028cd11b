//! A person's own passkeys: one more under the signature of one that is good already, and one less.

use authority::{Begun, LockSubject, NotCounted, SignedAssertion, token_hash};
use aws_lc_rs::rand::SystemRandom;
use elevation::Outcome;
use passkey::SoftAuthenticator;
use terms::hash::from_b64url;
use terms::{Digest, Json, Millis};

use crate::world::{ORIGIN, World, definition, signed_with};

/// A browser that ann is signed in with, and a new authenticator beside it.
struct Desk {
    world: World,
    session: Digest,
    fresh: SoftAuthenticator,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        let session = signed_in(&world, "ann").await;
        Self { world, session, fresh: SoftAuthenticator::new(&SystemRandom::new()).unwrap() }
    }

    /// Makes the passkey; what comes back is to be signed by one that is good already.
    async fn made_in(&mut self, session: Digest) -> Result<Begun, NotCounted> {
        let (authority, ann) = (self.world.authority(), self.world.id("ann"));
        let (begun, _) = authority.begin_add_passkey(ann, self.session).await.unwrap()?;
        let challenge = from_b64url(&begun.challenge).unwrap();
        let made = self.fresh.create("stepup.example", ORIGIN, &challenge).unwrap();
        authority.vouch_for_passkey(ann, session, &begun.nonce, &made).await.unwrap()
    }

    async fn made(&mut self) -> Begun {
        self.made_in(self.session).await.unwrap()
    }

    async fn add(&self, session: Digest, name: &str, signed: &SignedAssertion) -> Result<(), NotCounted> {
        self.world.authority().add_passkey(self.world.id("ann"), session, name, signed).await.unwrap()
    }

    async fn added(&mut self) {
        let begun = self.made().await;
        self.add(self.session, "work phone", &self.world.sign(&begun, "ann")).await.unwrap();
    }

    /// What ann has, by the names that she gave.
    fn names(&self) -> Vec<Option<String>> {
        let active = self.world.authority().active();
        let mut names: Vec<_> = active.passkeys_of(self.world.id("ann")).map(|p| p.name.clone()).collect();
        names.sort();
        names
    }

    async fn sign_in_with_fresh(&mut self) -> Result<(), NotCounted> {
        let begun = self.world.authority().begin_sign_in().await.unwrap();
        let signed = signed_with(&mut self.fresh, &begun);
        self.world.authority().sign_in(&signed).await.unwrap().map(|_| ())
    }

    async fn revoke(&self, credential: &str) -> Result<(), NotCounted> {
        let ann = self.world.id("ann");
        self.world.authority().revoke_own_passkey(ann, credential, "lost it").await.unwrap()
    }
}

async fn signed_in(world: &World, name: &str) -> Digest {
    let token = world.authority().open_session(world.id(name), Vec::new()).await.unwrap().unwrap();
    token_hash(token.expose())
}

async fn session(world: &World, hash: Digest) -> bool {
    world.authority().store().session(hash).await.unwrap().is_some()
}

#[tokio::test]
async fn a_passkey_is_added_under_the_signature_of_one_that_is_good_already() {
    let mut desk = Desk::new().await;
    desk.added().await;
    assert_eq!(desk.names(), [None, Some("work phone".to_owned())]);
    desk.sign_in_with_fresh().await.unwrap();
    let records = desk.world.records().await;
    let enrolled = records.iter().rfind(|line| line.kind == "passkey_enrolled").unwrap();
    let body = terms::json::parse(&enrolled.body.as_ref().unwrap().0).unwrap();
    let signed = body.get("signed").and_then(|signed| signed.get("human")).and_then(Json::as_str);
    assert_eq!(signed, Some(desk.world.id("ann").to_string().as_str()));
    desk.world.verified().await;
}

#[tokio::test]
async fn a_passkey_that_no_good_one_of_its_person_signed_for_is_worth_nothing() {
    let mut desk = Desk::new().await;
    let begun = desk.made().await;
    assert_eq!(desk.sign_in_with_fresh().await, Err(NotCounted::PasskeyUnknown), "made is not enrolled");
    let by_itself = signed_with(&mut desk.fresh, &begun);
    assert_eq!(desk.add(desk.session, "x", &by_itself).await, Err(NotCounted::PasskeyUnknown));
    let begun = desk.made().await;
    let bens = desk.world.sign(&begun, "ben");
    assert_eq!(desk.add(desk.session, "x", &bens).await, Err(NotCounted::PasskeyUnknown));
    assert_eq!(desk.names(), [None]);
    desk.world.verified().await;
}

#[tokio::test]
async fn what_was_signed_for_one_passkey_adds_no_other_and_nothing_twice() {
    let mut desk = Desk::new().await;
    let first = desk.made().await;
    let second = desk.made().await;
    let mut crossed = desk.world.sign(&first, "ann");
    crossed.nonce = second.nonce;
    let refused = desk.add(desk.session, "x", &crossed).await;
    assert!(matches!(refused, Err(NotCounted::Signature(_))), "{refused:?}");
    let begun = desk.made().await;
    let signed = desk.world.sign(&begun, "ann");
    desk.add(desk.session, "x", &signed).await.unwrap();
    assert_eq!(desk.add(desk.session, "x", &signed).await, Err(NotCounted::CeremonyOver));
    let consent = desk.world.challenged("deploy", r#"{"environment":"production","version":"1"}"#).await;
    let consent = desk.world.begin(consent.elevation, "ann").await.unwrap();
    let signed = desk.world.sign(&consent, "ann");
    assert_eq!(desk.add(desk.session, "x", &signed).await, Err(NotCounted::CeremonyOver), "another act");
    desk.world.verified().await;
}

#[tokio::test]
async fn a_passkey_is_made_and_signed_for_in_one_session_and_in_time() {
    let mut desk = Desk::new().await;
    let elsewhere = signed_in(&desk.world, "ann").await;
    assert_eq!(desk.made_in(elsewhere).await, Err(NotCounted::CeremonyOver));
    let begun = desk.made().await;
    let signed = desk.world.sign(&begun, "ann");
    assert_eq!(desk.add(elsewhere, "x", &signed).await, Err(NotCounted::CeremonyOver));
    let begun = desk.made().await;
    let signed = desk.world.sign(&begun, "ann");
    desk.world.ambient.pass(Millis::seconds(3600));
    assert_eq!(desk.add(desk.session, "x", &signed).await, Err(NotCounted::CeremonyOver));
    assert_eq!(desk.names(), [None]);
    desk.world.verified().await;
}

#[tokio::test]
async fn a_passkey_that_is_added_has_a_name_that_fits_and_a_refused_one_burns_nothing() {
    let mut desk = Desk::new().await;
    let begun = desk.made().await;
    let signed = desk.world.sign(&begun, "ann");
    for name in ["", "  ", &"x".repeat(41)] {
        assert_eq!(desk.add(desk.session, name, &signed).await, Err(NotCounted::NameMissing), "{name:?}");
    }
    desk.add(desk.session, &"x".repeat(40), &signed).await.unwrap();
    desk.world.verified().await;
}

#[tokio::test]
async fn one_who_takes_back_a_passkey_is_signed_out_everywhere_and_keeps_the_last() {
    let mut desk = Desk::new().await;
    let ann = desk.world.id("ann");
    let first = desk.world.authority().active().passkeys_of(ann).next().unwrap().credential.clone();
    assert_eq!(desk.revoke(&first).await, Err(NotCounted::LastPasskey));
    assert!(session(&desk.world, desk.session).await, "what is refused ends nothing");
    desk.added().await;
    let bens = desk.world.id("ben");
    let of_ben = desk.world.authority().active().passkeys_of(bens).next().unwrap().credential.clone();
    assert_eq!(desk.revoke(&of_ben).await, Err(NotCounted::NotFound));
    let others = signed_in(&desk.world, "ben").await;

    desk.revoke(&first).await.unwrap();
    assert_eq!(desk.names(), [Some("work phone".to_owned())]);
    assert!(!session(&desk.world, desk.session).await);
    assert!(session(&desk.world, others).await, "of nobody else");
    desk.sign_in_with_fresh().await.unwrap();
    let begun = desk.world.authority().begin_sign_in().await.unwrap();
    let with_first = desk.world.authority().sign_in(&desk.world.sign(&begun, "ann")).await.unwrap();
    assert!(matches!(with_first, Err(NotCounted::PasskeyUnknown)));
    desk.world.verified().await;
}

#[tokio::test]
async fn nobody_has_more_passkeys_than_one_may() {
    let mut desk = Desk::new().await;
    let early = desk.made().await;
    for _ in 1..16 {
        desk.fresh = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
        desk.added().await;
    }
    let signed = desk.world.sign(&early, "ann");
    assert_eq!(desk.add(desk.session, "x", &signed).await, Err(NotCounted::TooManyPasskeys));
    assert_eq!(desk.made_in(desk.session).await, Err(NotCounted::TooManyPasskeys));
    desk.world.verified().await;
}

#[tokio::test]
async fn a_passkey_beside_another_one_signs_its_person_in_and_nothing_else_on_its_first_day() {
    let mut desk = Desk::new().await;
    desk.added().await;
    desk.sign_in_with_fresh().await.unwrap();
    let deploy = |n: u32| format!(r#"{{"environment":"production","version":"{n}"}}"#);
    let lock = desk
        .world
        .authority()
        .lock(LockSubject::Upstream("spare".into()), "os:op".into(), "drill".into(), None)
        .await
        .unwrap();
    for (n, wait) in [(1, 0), (2, 24 * 3600 - 1)] {
        desk.world.pass(wait);
        let id = desk.world.challenged("deploy", &deploy(n)).await.elevation;
        let begun = desk.world.begin(id, "ann").await.unwrap();
        assert_eq!(begun.allow.len(), 1, "the browser does not ask it");
        let signed = signed_with(&mut desk.fresh, &begun);
        let refused = desk.world.vote(id, "ann", &signed).await;
        assert_eq!(refused, Err(NotCounted::PasskeyUnknown), "another one was named");
    }
    // Without the older one nothing names another, and the new one waits all the same.
    let ann = desk.world.id("ann");
    let first = desk.world.authority().active().passkeys_of(ann).find(|p| p.name.is_none()).cloned().unwrap();
    desk.revoke(&first.credential).await.unwrap();
    let id = desk.world.challenged("deploy", &deploy(3)).await.elevation;
    let begun = desk.world.begin(id, "ann").await.unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    assert_eq!(desk.world.vote(id, "ann", &signed).await, Err(NotCounted::PasskeyNew));
    let begun = desk.world.authority().begin_unlock(lock, ann).await.unwrap().unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    let refused = desk.world.authority().unlock(lock, ann, "over", &signed).await.unwrap();
    assert_eq!(refused, Err(NotCounted::PasskeyNew));
    desk.session = signed_in(&desk.world, "ann").await;
    let (authority, other) = (desk.world.authority(), SoftAuthenticator::new(&SystemRandom::new()).unwrap());
    let (begun, _) = authority.begin_add_passkey(ann, desk.session).await.unwrap().unwrap();
    let made = other.create("stepup.example", ORIGIN, &from_b64url(&begun.challenge).unwrap()).unwrap();
    let begun = authority.vouch_for_passkey(ann, desk.session, &begun.nonce, &made).await.unwrap().unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    assert_eq!(desk.add(desk.session, "third", &signed).await, Err(NotCounted::PasskeyNew));
    let other = desk.world.challenged("deploy", &deploy(4)).await.elevation;
    desk.world.approve(other, "ben").await.unwrap();
    let permit = desk.world.permitted("deploy", &deploy(4)).await;
    let attempt = permit.attempt().unwrap();
    desk.world.run_to(permit, Outcome::Unknown, Some(false)).await;
    let authority = desk.world.authority();
    let begun = authority.begin_resolve(attempt, Outcome::Done, ann).await.unwrap().unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    let refused = authority.resolve(attempt, Outcome::Done, ann, "seen", &signed).await.unwrap();
    assert_eq!(refused, Err(NotCounted::PasskeyNew));
    for properties in ["{}", r#"{"x":{"type":"string"}}"#] {
        authority.observe("other", vec![definition("tool", properties)]).await.unwrap();
    }
    let pin = authority.active().tool("other", "tool").unwrap().pin.id;
    let begun = authority.begin_accept(pin, ann).await.unwrap().unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    assert_eq!(authority.accept(pin, ann, &signed).await.unwrap(), Err(NotCounted::PasskeyNew));

    desk.world.pass(1);
    let begun = desk.world.begin(id, "ann").await.unwrap();
    let signed = signed_with(&mut desk.fresh, &begun);
    assert!(desk.world.vote(id, "ann", &signed).await.is_ok(), "its first day is over");
    desk.world.verified().await;
}

#[tokio::test]
async fn a_passkey_of_another_identity_of_its_person_waits_too() {
    let mut world = World::new().await;
    let ann = world.id("ann");
    world.identity("ann-at-home", ann, "managers").await;
    let id = world.challenged("deploy", r#"{"environment":"production","version":"1"}"#).await.elevation;
    assert_eq!(world.approve(id, "ann-at-home").await, Err(NotCounted::PasskeyNew));
    world.verified().await;
}

#[tokio::test]
async fn a_first_passkey_and_one_after_all_others_were_revoked_sign_at_once() {
    let mut world = World::new().await;
    let vote = async |world: &World, as_name: &str, n: u32| {
        let call = format!(r#"{{"environment":"production","version":"{n}"}}"#);
        let id = world.challenged("deploy", &call).await.elevation;
        let begun = world.begin(id, "ann").await.unwrap();
        world.vote(id, "ann", &world.sign(&begun, as_name)).await
    };
    assert!(vote(&world, "ann", 1).await.is_ok());
    let ann = world.id("ann");
    let all: Vec<_> = world.authority().active().passkeys_of(ann).map(|p| p.credential.clone()).collect();
    for credential in all {
        world.authority().revoke_passkey(&credential, "os:op", "lost").await.unwrap();
    }
    world.second_passkey("ann", "ann-2").await;
    assert!(vote(&world, "ann-2", 2).await.is_ok(), "nobody is locked out");
    world.verified().await;
}

#[tokio::test]
async fn every_passkey_but_the_first_of_a_person_is_told_outside_with_when_it_signs() {
    let mut desk = Desk::new().await;
    let told = async |desk: &Desk| {
        let all = desk.world.authority().store().outbox(String::new(), 100).await.unwrap();
        let all = all.into_iter().filter(|notice| notice.kind == "passkey.enrolled");
        all.map(|notice| terms::json::parse(notice.body.as_bytes()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(told(&desk).await, [], "the first of each person");
    desk.added().await;
    desk.world.second_passkey("ben", "ben-2").await;
    let names = told(&desk).await;
    let data = |json: &Json, member: &str| json.get("data")?.get(member)?.as_str().map(str::to_owned);
    let names: Vec<_> = names.iter().map(|json| (data(json, "name"), data(json, "by"))).collect();
    let of = |name: &str, by: &str| (Some(name.to_owned()), Some(by.to_owned()));
    assert_eq!(names, [of("ann", "ann"), of("ben", "os:0")]);

    // One that signs at once is told of all the same: whoever revoked the others may not have been asked to.
    let ben = desk.world.id("ben");
    let all: Vec<_> =
        desk.world.authority().active().passkeys_of(ben).map(|p| p.credential.clone()).collect();
    for credential in all {
        desk.world.authority().revoke_passkey(&credential, "os:op", "lost").await.unwrap();
    }
    desk.world.second_passkey("ben", "ben-3").await;
    let waits = |json: &Json| {
        let at = |json: Option<&Json>| json.and_then(Json::as_i64).unwrap();
        at(json.get("data").unwrap().get("signs_from")) - at(json.get("timestamp"))
    };
    let day = 24 * 3600 * 1000;
    assert_eq!(told(&desk).await.iter().map(waits).collect::<Vec<_>>(), [day, day, 0]);
    desk.world.verified().await;
}
