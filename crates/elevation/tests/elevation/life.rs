//! States, numbers and grants.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use elevation::{Grant, GrantState, Outcome, Pending, State, Version};
use terms::{Access, Binds, CallerId, ElevationId, GrantId, Json, KeyId, Millis, PolicyHash, Time, Tree};

use crate::support::{NOW, access, requirement};

fn caller(n: u8) -> CallerId {
    CallerId::from_slice(&[n; 16]).unwrap()
}

fn key(n: u8) -> KeyId {
    KeyId::from_slice(&[n; 16]).unwrap()
}

fn deploy(arguments: &str) -> Access {
    access("bot", "tools/call", "ops/deploy", arguments)
}

const ARGUMENTS: &str = r#"{"version":"2.4.1","comment":"x"}"#;

fn pending(key_bound: bool, binds: Binds) -> Pending {
    let mut requirement = requirement(Tree::Purpose);
    requirement.terms.binds = binds;
    requirement.terms.uses = NonZeroU32::new(2).unwrap();
    Pending {
        id: ElevationId::from_slice(&[1; 16]).unwrap(),
        caller: caller(1),
        key: key(1),
        key_bound,
        source: "10.0.0.7".to_owned(),
        access: deploy(ARGUMENTS),
        expires_at: Pending::expiry(NOW, &requirement),
        requirement,
        policy: PolicyHash::of(&Json::Null),
        purpose: None,
        ticket: None,
        opened_at: NOW,
        version: Version::FIRST,
        votes: Vec::new(),
    }
}

fn grant(key_bound: bool, binds: Binds) -> Grant {
    pending(key_bound, binds).grant(GrantId::from_slice(&[2; 16]).unwrap(), NOW)
}

fn only_version() -> Binds {
    Binds::Pointers(["/version".parse().unwrap()].into())
}

#[test]
fn every_state_and_outcome_has_a_number_and_a_name_of_its_own_and_reads_back() {
    let numbers: BTreeSet<_> = State::TABLE.iter().map(|(state, ..)| state.number()).collect();
    let names: BTreeSet<_> = State::TABLE.iter().map(|(state, ..)| state.name()).collect();
    assert_eq!((numbers.len(), names.len()), (State::TABLE.len(), State::TABLE.len()));
    for (state, number, name) in State::TABLE {
        assert_eq!((state.number(), state.name(), State::numbered(number)), (number, name, Some(state)));
    }
    assert_eq!(State::numbered(6), None);
    assert_eq!(State::Pending.number(), 0, "the store's partial indexes say state = 0");
    let numbers: BTreeSet<_> = Outcome::TABLE.iter().map(|(outcome, ..)| outcome.number()).collect();
    assert_eq!(numbers.len(), Outcome::TABLE.len());
    for (outcome, number, name) in Outcome::TABLE {
        assert_eq!(
            (outcome.number(), outcome.name(), Outcome::numbered(number)),
            (number, name, Some(outcome))
        );
    }
    assert_eq!((Outcome::numbered(0), Outcome::numbered(6)), (None, None));
}

#[test]
fn a_request_waits_as_long_as_its_terms_say() {
    let pending = pending(false, Binds::Everything);
    assert_eq!(pending.expires_at, NOW.after(Millis::seconds(3600)));
    assert_eq!(pending.left(NOW), Millis::seconds(3600));
    assert_eq!(pending.left(pending.expires_at.after(Millis::new(1))), Millis::new(0));
    let mut endless = requirement(Tree::Purpose);
    endless.terms.pending_for = Millis::new(u64::MAX);
    assert_eq!(Pending::expiry(NOW, &endless), Time::from_millis(i64::MAX));
}

#[test]
fn a_grant_is_for_what_was_asked_and_its_time_counts_from_approval() {
    let pending = pending(false, only_version());
    let later = NOW.after(Millis::seconds(60));
    let grant = pending.grant(GrantId::from_slice(&[2; 16]).unwrap(), later);
    assert_eq!(
        (grant.elevation, grant.caller, grant.access),
        (pending.id, pending.caller, pending.access.hash())
    );
    assert_eq!((grant.action.as_str(), grant.resource.as_str()), ("tools/call", "ops/deploy"));
    assert_eq!(grant.not_after, later.after(pending.requirement.terms.valid_for));
    assert_eq!((grant.uses.get(), grant.spent, grant.revoked_at), (2, 0, None));
    assert_eq!(grant.bind_hash, pending.access.bind_hash(&only_version()));
    assert_eq!(grant.state(later), GrantState::Live);
    assert!(grant.fits(pending.caller, pending.key, &pending.access));
}

#[test]
fn a_grant_is_live_until_it_is_spent_lapsed_or_revoked() {
    let end = grant(false, Binds::Everything).not_after;
    let (before, after) = (end.before(Millis::new(1)), end.after(Millis::new(1)));
    let revoked = Some(NOW);
    let table = [
        (0, None, before, GrantState::Live),
        (1, None, before, GrantState::Live),
        (2, None, before, GrantState::Spent),
        (3, None, before, GrantState::Spent),
        (u32::MAX, None, before, GrantState::Spent),
        (0, None, end, GrantState::Lapsed),
        (0, None, after, GrantState::Lapsed),
        (2, None, after, GrantState::Spent),
        (0, revoked, before, GrantState::Revoked),
        (2, revoked, after, GrantState::Revoked),
    ];
    for (spent, revoked_at, now, state) in table {
        let grant = Grant { spent, revoked_at, ..grant(false, Binds::Everything) };
        assert_eq!(grant.state(now), state, "{spent} spent, revoked {revoked_at:?}, at {now:?}");
    }
    let names =
        [GrantState::Live, GrantState::Spent, GrantState::Lapsed, GrantState::Revoked].map(GrantState::name);
    assert_eq!(names, ["live", "spent", "lapsed", "revoked"]);
}

#[test]
fn a_grant_fits_no_other_caller_key_action_resource_or_bound_argument() {
    let bound = grant(true, only_version());
    let fits = |by: CallerId, with: KeyId, access: &Access| bound.fits(by, with, access);
    assert!(fits(caller(1), key(1), &deploy(ARGUMENTS)));
    assert!(
        fits(caller(1), key(1), &deploy(r#"{"comment":"another","version":"2.4.1"}"#)),
        "the comment is free"
    );
    assert!(!fits(caller(2), key(1), &deploy(ARGUMENTS)));
    assert!(!fits(caller(1), key(2), &deploy(ARGUMENTS)), "another key than the one that was proved");
    assert!(!fits(caller(1), key(1), &access("other", "tools/call", "ops/deploy", ARGUMENTS)));
    assert!(!fits(caller(1), key(1), &access("bot", "prompts/get", "ops/deploy", ARGUMENTS)));
    assert!(!fits(caller(1), key(1), &access("bot", "tools/call", "ops/delete", ARGUMENTS)));
    assert!(!fits(caller(1), key(1), &deploy(r#"{"comment":"x","version":"2.4.2"}"#)));
    assert!(!fits(caller(1), key(1), &deploy(r#"{"comment":"x"}"#)), "the version is left out");
    assert!(!fits(caller(1), key(1), &deploy(r#"{"version":"2.4.1"}"#)), "an argument fewer");
    assert!(
        !fits(caller(1), key(1), &deploy(r#"{"comment":"x","force":true,"version":"2.4.1"}"#)),
        "one more"
    );
}

#[test]
fn a_bearer_key_may_be_rotated_and_a_proved_one_may_not() {
    assert!(grant(false, Binds::Everything).fits(caller(1), key(2), &deploy(ARGUMENTS)));
    assert!(!grant(true, Binds::Everything).fits(caller(1), key(2), &deploy(ARGUMENTS)));
}

/// Each of the things that a grant remembers for itself must be able to refuse alone, also where the hash agrees.
#[test]
fn a_stored_grant_that_disagrees_with_itself_fits_nothing() {
    let whole = || grant(false, Binds::Everything);
    let access = deploy(ARGUMENTS);
    let broken = [
        Grant { action: "prompts/get".to_owned(), ..whole() },
        Grant { resource: "ops/delete".to_owned(), ..whole() },
        Grant { binds: only_version(), ..whole() },
        Grant { bind_hash: access.bind_hash(&only_version()), ..whole() },
        Grant { caller: caller(2), ..whole() },
        Grant { key: Some(key(2)), ..whole() },
    ];
    assert!(whole().fits(caller(1), key(1), &access));
    for grant in broken {
        assert!(!grant.fits(caller(1), key(1), &access), "{grant:?}");
    }
}
