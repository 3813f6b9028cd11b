//! Statements: what a key signs is all of it (R10).

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use terms::statement::{Consent, Matter, Role, Statement, nonce, nonce_hash};
use terms::{
    AccessHash, Binds, CardHash, Digest, ElevationId, HumanId, InstallId, Json, Millis, RequirementHash,
    Terms, Time,
};

use crate::support::{Hand, at, other, places};

pub fn consent() -> Statement {
    let hand = Hand::at(0);
    Statement {
        install: InstallId::fresh(&hand),
        matter: Matter::Consent(Consent {
            elevation: ElevationId::fresh(&hand),
            access_hash: AccessHash::of(&Json::Null),
            card_hash: CardHash::of(&Json::Null),
            requirement_hash: RequirementHash::of(&Json::Null),
            terms: Terms {
                pending_for: Millis::seconds(3600),
                valid_for: Millis::seconds(900),
                uses: NonZeroU32::MIN,
                binds: Binds::Pointers([at("/version")].into()),
            },
            role: Role::Approver,
        }),
        approver: HumanId::fresh(&hand),
        credential: "Y3JlZA".to_owned(),
        expires: Time::from_millis(1_700_000_000_000),
        nonce: nonce(&hand).0,
    }
}

pub fn act() -> Statement {
    let matter = Matter::Act { act: "unlock".to_owned(), subject_hash: Digest::plain(b"lock") };
    Statement { matter, ..consent() }
}

#[test]
fn statements_read_back() {
    let far = Statement { expires: Time::from_millis(i64::MAX), ..consent() };
    for statement in [consent(), act(), far] {
        let read = Statement::from_json(&statement.to_json());
        assert_eq!(read.as_ref(), Some(&statement));
        assert_eq!(read.unwrap().challenge(), statement.challenge());
    }
}

#[test]
fn a_statement_of_any_other_shape_is_none() {
    for statement in [consent(), act()] {
        let json = statement.to_json();
        for place in places(&json) {
            let mut changed = json.clone();
            *place.of_mut(&mut changed).unwrap() = other(place.of(&json).unwrap());
            if let Some(read) = Statement::from_json(&changed) {
                assert_eq!(read.to_json(), changed, "{place}");
            }
            let mut changed = json.clone();
            *place.of_mut(&mut changed).unwrap() = Json::Null;
            assert_eq!(Statement::from_json(&changed), None, "{place} is null");
        }
        let mut more = json.as_object().unwrap().clone();
        more.insert("also", true);
        assert_eq!(Statement::from_json(&Json::Object(more)), None);
        let mut next = json.as_object().unwrap().clone();
        next.insert("v", 2_u32);
        assert_eq!(Statement::from_json(&Json::Object(next)), None, "another version");
        let mut swapped = json.as_object().unwrap().clone();
        swapped.insert("verdict", "confirm");
        assert_eq!(Statement::from_json(&Json::Object(swapped)), None, "an approver who confirms");
    }
}

#[test]
fn statements_that_differ_in_any_one_field_have_different_challenges() {
    let other = [9; 16];
    let changed = |change: &dyn Fn(&mut Statement)| {
        let mut statement = consent();
        change(&mut statement);
        statement.challenge()
    };
    let in_consent = |change: &dyn Fn(&mut Consent)| {
        changed(&|statement| match &mut statement.matter {
            Matter::Consent(consent) => change(consent),
            Matter::Act { .. } => unreachable!(),
        })
    };
    let in_terms = |change: &dyn Fn(&mut Terms)| in_consent(&|consent| change(&mut consent.terms));
    let null = |_: &mut Statement| {};
    // Every field by name, so that a new one does not compile until it is tried here.
    let Statement { install: _, matter: _, approver: _, credential: _, expires: _, nonce: _ } = consent();
    let challenges = [
        changed(&null),
        changed(&|s| s.install = InstallId::from_slice(&other).unwrap()),
        changed(&|s| s.approver = HumanId::from_slice(&other).unwrap()),
        changed(&|s| s.credential.push('x')),
        changed(&|s| s.credential.clear()),
        changed(&|s| s.expires = s.expires.after(Millis::new(1))),
        changed(&|s| s.nonce.push('x')),
        in_consent(&|c| c.elevation = ElevationId::from_slice(&other).unwrap()),
        in_consent(&|c| c.access_hash = AccessHash::of(&Json::from(true))),
        in_consent(&|c| c.card_hash = CardHash::of(&Json::from(true))),
        in_consent(&|c| c.requirement_hash = RequirementHash::of(&Json::from(true))),
        in_consent(&|c| c.role = Role::Owner),
        in_terms(&|t| t.pending_for = Millis::new(1)),
        in_terms(&|t| t.valid_for = Millis::new(1)),
        in_terms(&|t| t.uses = NonZeroU32::MAX),
        in_terms(&|t| t.binds = Binds::Everything),
        in_terms(&|t| t.binds = Binds::Pointers([].into())),
        act().challenge(),
        Statement {
            matter: Matter::Act { act: "accept".to_owned(), subject_hash: Digest::plain(b"lock") },
            ..act()
        }
        .challenge(),
        Statement {
            matter: Matter::Act { act: "unlock".to_owned(), subject_hash: Digest::plain(b"other") },
            ..act()
        }
        .challenge(),
    ];
    assert_eq!(challenges.iter().collect::<BTreeSet<_>>().len(), challenges.len());
    assert_eq!(changed(&null), consent().challenge());
}

#[test]
fn a_role_states_its_own_verdict() {
    assert_eq!((Role::Approver.name(), Role::Approver.verdict()), ("approver", "approve"));
    assert_eq!((Role::Owner.name(), Role::Owner.verdict()), ("owner", "confirm"));
    for role in [Role::Approver, Role::Owner] {
        assert_eq!(Role::named(role.name()), Some(role));
    }
    assert_eq!(Role::named("approve"), None);
}

#[test]
fn a_nonce_is_32_bytes_and_stored_hashed() {
    let (text, hash) = nonce(&Hand::at(0));
    assert_eq!(terms::hash::from_b64url(&text).unwrap().len(), 32);
    assert_eq!(nonce_hash(&text), hash);
    assert_ne!(nonce_hash(&text), Digest::plain(text.as_bytes()));
}
