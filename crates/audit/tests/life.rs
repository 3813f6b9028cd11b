//! Logs whose bytes are sound and signed, and which say what can never have happened. Each test breaks one rule, and
//! the verifier must name that rule at that leaf.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod book;

use std::collections::BTreeSet;

use audit::body::{
    Challenged, Definition, Denied, Erased, Expired, Granted, Outcome, PasskeyEnrolled, PasskeyRevoked,
    Permitted, PinAccepted, Rejected, RelyingParty, Resolved, Restored, Revoked, Signed, Started,
    SubjectKind, Unlocked, Voted, Who, Withdrawn,
};
use audit::{Asserted, Refs, Report, Trust, verify};
use book::{
    Book, ONE, Person, TWO, access, ann, at_elevation, attempt, ben, by_caller, caller, elevation, enrolled,
    grant, grant_refs, lock, owner, person, requirement, spent,
};
use terms::statement::{Matter, Role, Statement};
use terms::{Binds, Digest, InstallId, Json, Millis, PinId, RecordId, Time};

/// The last record of the book is wrong, and for this reason.
#[track_caller]
fn wrong(book: &Book, why: &str) {
    let broken = book.verify().expect_err("a log that cannot be was taken for sound");
    assert!(broken.what.contains(why), "{broken}");
    assert_eq!(broken.leaf, Some(book.leaf() - 1), "{broken}");
}

#[track_caller]
fn sound(book: &Book) -> Report {
    book.verify().unwrap()
}

// ---- the log itself ----

#[test]
fn a_log_is_of_one_installation() {
    let other = InstallId::from_slice(&[9; 16]).unwrap();
    let restored = |install| Restored { install, lost_from: 1, why: "moved".to_owned(), signed: None };
    let mut book = Book::new();
    book.add(Refs::default(), &restored(book::install()));
    sound(&book);
    book.add(Refs::default(), &restored(other));
    wrong(&book, "of another installation");
    let mut book = Book::new();
    book.add(Refs::default(), &Started { install: other, ..book::started() });
    wrong(&book, "of another installation");
}

#[test]
fn what_is_signed_is_signed_for_whom_the_last_start_says() {
    let mut book = Book::challenged(ONE, 1);
    let rp = RelyingParty { id: "renamed.example".to_owned(), origins: Vec::new() };
    book.add(Refs::default(), &Started { rp: rp.clone(), ..book::started() });
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    let assertions = |asserted: &Asserted<'_>| {
        if *asserted.rp == rp { book::check(asserted) } else { Err("for another".to_owned()) }
    };
    let key = book::signing_key();
    let trust = Trust { key: key.verifier(), earlier: &[], assertions: &assertions };
    assert_eq!(verify(book.export().as_slice(), &trust).unwrap().signatures, 1);
}

// ---- attempts ----

#[test]
fn an_attempt_runs_once_settles_once_and_is_resolved_only_when_unknown() {
    let mut book = Book::new();
    book.permit(1);
    assert_eq!(sound(&book).open_attempts, 1);
    book.settle(1, Outcome::Done);
    assert_eq!(sound(&book).open_attempts, 0);
}

#[test]
fn an_attempt_is_never_permitted_twice() {
    let mut book = Book::new();
    book.permit(1);
    book.permit(1);
    wrong(&book, "permitted before");
}

#[test]
fn an_attempt_that_was_never_permitted_never_settles() {
    let mut book = Book::new();
    book.settle(1, Outcome::Done);
    wrong(&book, "never permitted");
}

#[test]
fn an_attempt_never_settles_twice() {
    for first in [Outcome::Done, Outcome::Unknown] {
        let mut book = Book::new();
        book.permit(1);
        book.settle(1, first);
        book.settle(1, Outcome::Done);
        wrong(&book, "settled before");
    }
}

fn resolve(book: &mut Book, says: Outcome, signs: Outcome, subject: u8) {
    let subject =
        Json::object([("attempt", Json::from(attempt(subject))), ("outcome", Json::from(signs.name()))]);
    let signed = book.act(&ann(), "resolve", subject);
    let resolved = Resolved { outcome: says, why: "looked".to_owned(), signed };
    book.add(Refs { attempt: Some(attempt(1)), ..by_caller() }, &resolved);
}

fn unknown() -> Book {
    let mut book = Book::new();
    book.enrol(&ann());
    book.permit(1);
    book.settle(1, Outcome::Unknown);
    book
}

#[test]
fn an_unknown_outcome_is_resolved_once_by_a_signature_over_that_outcome() {
    let mut book = unknown();
    resolve(&mut book, Outcome::Done, Outcome::Done, 1);
    assert_eq!(sound(&book).signatures, 1);
    resolve(&mut book, Outcome::Failed, Outcome::Failed, 1);
    wrong(&book, "was not unknown");
}

#[test]
fn a_known_outcome_is_never_resolved() {
    let mut book = Book::new();
    book.enrol(&ann());
    book.permit(1);
    book.settle(1, Outcome::Failed);
    resolve(&mut book, Outcome::Done, Outcome::Done, 1);
    wrong(&book, "was not unknown");
}

#[test]
fn a_resolution_says_what_was_signed_of_the_attempt_that_was_signed() {
    for (says, signs, subject, why) in [
        (Outcome::Done, Outcome::Failed, 1, "another outcome was signed"),
        (Outcome::Done, Outcome::Done, 2, "on something else"),
        (Outcome::Unknown, Outcome::Unknown, 1, "resolves nothing"),
    ] {
        let mut book = unknown();
        resolve(&mut book, says, signs, subject);
        wrong(&book, why);
    }
}

// ---- accesses ----

#[test]
fn a_record_speaks_of_one_access() {
    let (refs, good) = spent(1);
    for (bend, why) in [
        (
            (|spent, _| spent.access = access("6.6.6").to_json()) as fn(&mut audit::body::Spent, &mut Refs),
            "hash that it states",
        ),
        (|_, refs| refs.access_hash = Some(access("6.6.6").hash()), "refers to another access"),
        (|_, refs| refs.access_hash = None, "refers to another access"),
        (|_, refs| refs.caller = None, "names no caller"),
        (|spent, _| spent.caller.name = "other-bot".to_owned(), "of another caller"),
    ] {
        let mut book = Book::granted(1);
        let (mut refs, mut spent) = (refs.clone(), good.clone());
        bend(&mut spent, &mut refs);
        book.add(refs, &spent);
        wrong(&book, why);
    }
}

#[test]
fn what_was_permitted_by_policy_and_what_was_challenged_is_one_access_too() {
    let asked = access("1");
    let permitted = |of: &str, name: &str| Permitted {
        caller: Who { name: name.to_owned(), ..book::who() },
        access: access(of).to_json(),
        access_hash: asked.hash(),
        by: vec!["baseline".to_owned()],
    };
    let name = book::who().name;
    for (of, name, refers, why) in [
        ("6.6.6", name.as_str(), "1", "hash that it states"),
        ("1", name.as_str(), "6.6.6", "refers to another access"),
        ("1", "other-bot", "1", "of another caller"),
    ] {
        let mut book = Book::new();
        let access_hash = Some(access(refers).hash());
        let refs = Refs { attempt: Some(attempt(1)), access_hash, ..by_caller() };
        book.add(refs, &permitted(of, name));
        wrong(&book, why);
        let mut book = Book::new();
        let refs = Refs { elevation: Some(elevation(1)), access_hash, ..by_caller() };
        let caller = Who { name: name.to_owned(), ..book::who() };
        let challenged = book.challenge_of(&access(of), requirement(ONE, 1));
        book.add(refs, &Challenged { caller, access_hash: asked.hash(), ..challenged });
        wrong(&book, why);
    }
}

#[test]
fn a_denial_speaks_of_one_access_or_of_none() {
    let access = access("1");
    let denied = |with: bool, hash: bool| Denied {
        caller: book::who(),
        access: with.then(|| access.to_json()),
        access_hash: hash.then(|| access.hash()),
        by: Vec::new(),
        slug: "policy_denied".to_owned(),
        why: None,
        count: 1,
    };
    let refs = Refs { access_hash: Some(access.hash()), ..by_caller() };
    let mut book = Book::new();
    book.add(refs.clone(), &denied(true, true));
    book.add(by_caller(), &denied(false, false));
    book.add(refs.clone(), &denied(false, true));
    sound(&book);
    book.add(refs.clone(), &denied(true, false));
    wrong(&book, "without a hash");
    let mut book = Book::new();
    book.add(refs, &denied(false, false));
    wrong(&book, "that it lacks");
    let mut book = Book::new();
    book.add(by_caller(), &denied(false, true));
    wrong(&book, "refers to another access");
}

#[test]
fn an_access_without_its_arguments_is_taken_by_its_hash() {
    let mut book = Book::granted(1);
    let (refs, mut spent) = spent(1);
    spent.access = audit::body::logged(&access("2.4.1"), audit::body::Arguments::Digest);
    book.add(refs, &spent);
    sound(&book);
}

// ---- locks ----

#[test]
fn nothing_runs_under_a_lock() {
    for (kind, id) in [
        (SubjectKind::All, String::new()),
        (SubjectKind::Caller, caller().to_string()),
        (SubjectKind::Upstream, "ops".to_owned()),
        (SubjectKind::Human, owner().human.to_string()),
    ] {
        let mut book = Book::granted(1);
        book.lock(1, kind, id.clone(), None);
        book.permit(1);
        wrong(&book, "in spite of a lock");

        let mut book = Book::granted(1);
        book.lock(1, kind, id, None);
        book.spend(1);
        wrong(&book, "in spite of a lock");
    }
}

#[test]
fn a_lock_stops_only_its_subject_and_only_until_its_end() {
    let mut book = Book::new();
    book.lock(1, SubjectKind::Caller, elevation(9).to_string(), None);
    book.lock(2, SubjectKind::Upstream, "op".to_owned(), None);
    book.lock(3, SubjectKind::All, String::new(), Some(book.time().after(Millis::seconds(10))));
    book.now += 20_000;
    book.permit(1);
    sound(&book);
}

fn unlock(book: &mut Book, lifts: u8, signs: u8, act: &str) {
    let signed = book.act(&ann(), act, Json::object([("lock", Json::from(lock(signs)))]));
    book.add(Refs::default(), &Unlocked { lock: lock(lifts), why: "fine".to_owned(), signed });
}

#[test]
fn a_lock_is_lifted_once_by_a_signature_over_that_lock() {
    let locked = || {
        let mut book = Book::new();
        book.enrol(&ann());
        book.lock(1, SubjectKind::All, String::new(), None);
        book
    };
    let mut book = locked();
    unlock(&mut book, 1, 1, "unlock");
    book.permit(1);
    sound(&book);
    unlock(&mut book, 1, 1, "unlock");
    wrong(&book, "lifted before");

    let mut book = locked();
    unlock(&mut book, 1, 2, "unlock");
    wrong(&book, "on something else");

    let mut book = locked();
    unlock(&mut book, 1, 1, "accept");
    wrong(&book, "another act");

    let mut book = locked();
    unlock(&mut book, 2, 2, "unlock");
    wrong(&book, "never set");

    let mut book = locked();
    book.lock(1, SubjectKind::All, String::new(), None);
    wrong(&book, "set before");
}

#[test]
fn the_subject_of_an_act_is_the_one_that_was_signed() {
    let mut book = Book::new();
    book.enrol(&ann());
    book.lock(1, SubjectKind::All, String::new(), None);
    let mut signed = book.act(&ann(), "unlock", Json::object([("lock", Json::from(lock(2)))]));
    signed.subject = Json::object([("lock", Json::from(lock(1)))]);
    book.add(Refs::default(), &Unlocked { lock: lock(1), why: "fine".to_owned(), signed });
    wrong(&book, "the subject in the record");
}

/// A definition accepted by what Ann signed of it; `with` says what was done to either since.
fn accepted(act: &str, with: impl FnOnce(&mut PinAccepted)) -> Book {
    let mut book = Book::new();
    book.enrol(&ann());
    let (pin, digest) = (PinId::from_slice(&[1; 16]).unwrap(), Digest::plain(b"deploy"));
    let subject = Json::object([
        ("pin", Json::from(pin)),
        ("upstream", Json::from("ops")),
        ("digest", Json::from(digest.to_string())),
    ]);
    let definition = Definition { pin, kind: "tool".to_owned(), name: "deploy".to_owned(), digest };
    let signed = Some(book.act(&ann(), act, subject));
    let mut accepted =
        PinAccepted { upstream: "ops".to_owned(), definition, reviewed: None, by: "ann".to_owned(), signed };
    with(&mut accepted);
    book.add(Refs::default(), &accepted);
    book
}

#[test]
fn a_definition_is_accepted_by_a_signature_over_that_definition() {
    sound(&accepted("accept", |_| {}));
    wrong(&accepted("unlock", |_| {}), "another act");
    wrong(
        &accepted("accept", |it| it.definition.pin = PinId::from_slice(&[2; 16]).unwrap()),
        "on something else",
    );
    let another = "for another definition";
    wrong(&accepted("accept", |it| it.definition.digest = Digest::plain(b"deploy all")), another);
    wrong(&accepted("accept", |it| it.upstream = "prod".to_owned()), another);
}

// ---- grants ----

#[test]
fn a_grant_is_spent_as_often_as_it_says_and_no_more() {
    for uses in 1..=3 {
        let mut book = Book::granted(1);
        if uses > 1 {
            book = Book::challenged(ONE, u32::from(uses));
            let requirement = requirement(ONE, u32::from(uses));
            let vote = book.vote_on(1, &ann(), Role::Approver, &access("2.4.1"), &requirement);
            book.add(at_elevation(1), &vote);
            let granted = book.grant(ONE, u32::from(uses), &[(&ann(), Role::Approver)]);
            book.add(grant_refs(&granted), &granted);
        }
        for n in 0..uses {
            book.spend(n);
        }
        sound(&book);
        book.spend(uses);
        wrong(&book, "as often as it may be");
    }
}

#[test]
fn a_spend_needs_a_grant_of_this_caller_and_elevation_that_was_issued_before() {
    let mut book = Book::challenged(ONE, 1);
    book.spend(1);
    wrong(&book, "never issued");

    let (refs, body) = spent(1);
    let mut book = Book::granted(1);
    book.add(Refs { caller: terms::CallerId::from_slice(&[2; 16]), ..refs.clone() }, &body);
    wrong(&book, "another caller's");

    let mut book = Book::granted(1);
    book.add(Refs { elevation: Some(elevation(2)), ..refs }, &body);
    wrong(&book, "of another elevation");
}

#[test]
fn a_revoked_grant_is_never_spent() {
    let mut book = Book::granted(1);
    let revoked = Revoked { grants: vec![grant(1)], by: "os:1000".to_owned(), why: "odd".to_owned() };
    book.add(Refs::default(), &revoked);
    sound(&book);
    book.spend(1);
    wrong(&book, "had been revoked");
}

#[test]
fn a_grant_that_was_never_issued_is_never_revoked() {
    let mut book = Book::granted(1);
    let revoked = Revoked { grants: vec![grant(2)], by: "os:1000".to_owned(), why: "odd".to_owned() };
    book.add(Refs::default(), &revoked);
    wrong(&book, "never issued");
}

#[test]
fn a_lapsed_grant_is_never_spent() {
    let mut book = Book::granted(1);
    book.now += 900_000 + 900;
    book.spend(1);
    sound(&book);
    let mut book = Book::granted(1);
    book.now += 900_000 + 1_100;
    book.spend(1);
    wrong(&book, "had lapsed");
}

#[test]
fn a_grant_is_spent_only_on_what_was_approved() {
    let mut book = Book::granted(1);
    let (refs, mut spent) = spent(1);
    let other = access("6.6.6");
    spent.access = other.to_json();
    spent.access_hash = other.hash();
    let refs = Refs { access_hash: Some(other.hash()), ..refs };
    book.add(refs.clone(), &spent);
    wrong(&book, "not what its grant binds");

    let mut book = Book::granted(1);
    spent.access = audit::body::logged(&other, audit::body::Arguments::Digest);
    book.add(refs.clone(), &spent);
    wrong(&book, "not what its grant binds");

    let mut book = Book::granted(1);
    spent.bind_hash = other.bind_hash(&Binds::Everything);
    book.add(refs, &spent);
    wrong(&book, "binds something else");
}

#[test]
fn a_grant_is_issued_once() {
    let mut book = Book::granted(1);
    book.challenge(2, &access("2.4.1"), requirement(ONE, 1));
    let vote = book.vote(2, &ann(), Role::Approver);
    book.add(at_elevation(2), &vote);
    let granted = book.grant(ONE, 1, &[(&ann(), Role::Approver)]);
    book.add(Refs { elevation: Some(elevation(2)), ..grant_refs(&granted) }, &granted);
    wrong(&book, "issued before");
}

/// A log up to the vote, then a grant that one thing is wrong with.
#[track_caller]
fn bad_grant(why: &str, bend: impl Fn(&mut Granted, &mut Refs)) {
    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    let mut granted = book.grant(ONE, 1, &[(&ann(), Role::Approver)]);
    let mut refs = grant_refs(&granted);
    bend(&mut granted, &mut refs);
    book.add(refs, &granted);
    wrong(&book, why);
}

#[test]
fn a_grant_is_what_was_asked_and_no_more_than_its_terms() {
    let other = access("6.6.6");
    bad_grant("hash that it states", |g, _| g.requirement = requirement(TWO, 1));
    bad_grant("under another requirement", |g, _| {
        g.requirement = requirement(r#"{"all":[]}"#, 1);
        g.requirement_hash = g.requirement.hash();
    });
    bad_grant("more or less often", |g, _| g.uses = 2);
    bad_grant("valid for longer", |g, _| g.not_after = g.not_after.after(Millis::new(1100)));
    bad_grant("refers to another access", |_, refs| refs.access_hash = Some(other.hash()));
    bad_grant("grants another access", |g, refs| {
        g.access_hash = other.hash();
        refs.access_hash = Some(other.hash());
    });
    bad_grant("whether a key was proved", |g, _| g.key_bound = true);
    bad_grant("binds something else", |g, _| g.bind_hash = other.bind_hash(&Binds::Everything));
    bad_grant("to another caller", |_, refs| refs.caller = terms::CallerId::from_slice(&[2; 16]));
    bad_grant("never opened", |_, refs| refs.elevation = Some(elevation(2)));
    bad_grant("names no grant", |_, refs| refs.grant = None);
}

#[test]
fn a_grant_counts_only_votes_that_are_in_the_log_each_person_once_and_nobody_behind_the_caller() {
    bad_grant("not in the log", |g, _| g.voters[0].human = ben().human);
    bad_grant("not in the log", |g, _| g.voters[0].role = Role::Owner);
    bad_grant("was not met", |g, _| (g.voters, g.matching) = (Vec::new(), Vec::new()));
    bad_grant("was not met", |g, _| g.voters[0].groups = BTreeSet::from(["interns".to_owned()]));
    bad_grant("one person twice", |g, _| g.voters.push(g.voters[0].clone()));
    bad_grant("stands behind the caller", |g, _| g.roots.extend([ann().human]));
    bad_grant("prepared what it is about", |g, _| g.preparers.0.extend([ann().human]));
    bad_grant("nobody stands behind", |g, _| g.roots.clear());
}

#[test]
fn a_grant_matches_only_persons_who_voted() {
    bad_grant("did not vote", |g, _| g.matching[0].by.push(ben().human));
}

#[test]
fn two_approvals_are_by_two_persons() {
    let two = |voters: &[(&book::Person, Role)]| {
        let mut book = Book::challenged(TWO, 1);
        for (person, role) in voters {
            let vote = book.vote_on(1, person, *role, &access("2.4.1"), &requirement(TWO, 1));
            book.add(at_elevation(1), &vote);
        }
        let granted = book.grant(TWO, 1, voters);
        book.add(grant_refs(&granted), &granted);
        book
    };
    sound(&two(&[(&ann(), Role::Approver), (&ben(), Role::Approver)]));
    wrong(&two(&[(&ann(), Role::Approver)]), "was not met");
    wrong(&two(&[(&ann(), Role::Approver), (&owner(), Role::Owner)]), "was not met");
}

#[test]
fn a_person_approves_once_and_an_owner_confirms_as_often_as_it_takes() {
    let mut book = Book::challenged(ONE, 1);
    for _ in 0..2 {
        let vote = book.vote(1, &owner(), Role::Owner);
        book.add(at_elevation(1), &vote);
    }
    book.verify().unwrap();
    for _ in 0..2 {
        let vote = book.vote(1, &ann(), Role::Approver);
        book.add(at_elevation(1), &vote);
    }
    wrong(&book, "had approved this elevation before");
}

#[test]
fn two_identities_of_one_person_are_one() {
    let mut book = Book::challenged(TWO, 1);
    for person in [ann(), ben()] {
        let vote = book.vote_on(1, &person, Role::Approver, &access("2.4.1"), &requirement(TWO, 1));
        book.add(at_elevation(1), &vote);
    }
    let mut granted = book.grant(TWO, 1, &[(&ann(), Role::Approver), (&ben(), Role::Approver)]);
    granted.voters[1].root = ann().human;
    book.add(grant_refs(&granted), &granted);
    wrong(&book, "one person twice");
}

#[test]
fn an_owner_confirms_where_the_requirement_asks_for_it_and_while_fresh() {
    let tree = r#"{"owner":60000}"#;
    let confirmed = |later: i64| {
        let mut book = Book::challenged(tree, 1);
        let vote = book.vote_on(1, &owner(), Role::Owner, &access("2.4.1"), &requirement(tree, 1));
        book.add(at_elevation(1), &vote);
        book.now += later;
        let granted = book.grant(tree, 1, &[(&owner(), Role::Owner)]);
        book.add(grant_refs(&granted), &granted);
        book
    };
    sound(&confirmed(60_000));
    wrong(&confirmed(62_000), "was not met");
}

#[test]
fn an_elevation_concludes_once() {
    let mut book = Book::granted(1);
    let granted = book.grant(ONE, 1, &[(&ann(), Role::Approver)]);
    book.add(Refs { grant: Some(grant(2)), ..grant_refs(&granted) }, &granted);
    wrong(&book, "was over");

    let mut book = Book::granted(1);
    book.add(at_elevation(1), &Withdrawn { by: caller().to_string(), why: None });
    wrong(&book, "was over");

    let mut book = Book::challenged(ONE, 1);
    let rejected = Rejected { human: ann().human, name: "Ann".to_owned(), reason: "no".to_owned() };
    book.add(at_elevation(1), &rejected);
    sound(&book);
    let granted = book.grant(ONE, 1, &[]);
    book.add(grant_refs(&granted), &granted);
    wrong(&book, "was over");
}

#[test]
fn an_elevation_opens_once_and_asks_for_what_it_says() {
    let mut book = Book::challenged(ONE, 1);
    book.challenge(1, &access("2.4.1"), requirement(ONE, 1));
    wrong(&book, "opened before");

    let bad = |why: &str, bend: fn(&mut audit::body::Challenged)| {
        let mut book = Book::new();
        let mut challenged = book.challenge_of(&access("2.4.1"), requirement(ONE, 1));
        bend(&mut challenged);
        book.add(Refs { access_hash: Some(challenged.access_hash), ..at_elevation(1) }, &challenged);
        wrong(&book, why);
    };
    bad("hash that it states", |c| c.requirement = requirement(TWO, 1));
    bad("longer than its terms", |c| c.expires_at = c.expires_at.after(Millis::new(1100)));
    bad("lacks its arguments", |c| {
        c.access = audit::body::logged(&access("2.4.1"), audit::body::Arguments::Digest);
    });
}

#[test]
fn an_elevation_expires_at_its_time_and_nothing_is_granted_or_voted_afterwards() {
    let expire = |after: i64, at: i64| {
        let mut book = Book::challenged(ONE, 1);
        // Opened at this time less the ten milliseconds of its record.
        let expires_at = Time::from_millis(book.now - 10 + 600_000 + at);
        book.now += after;
        book.add(at_elevation(1), &Expired { expires_at });
        book
    };
    sound(&expire(600_000, 0));
    wrong(&expire(600_000, 1), "at another time");
    wrong(&expire(598_000, 0), "not expired yet");

    let mut book = Book::challenged(ONE, 1);
    book.now += 602_000;
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    wrong(&book, "after the elevation had expired");

    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    book.now += 602_000;
    let granted = book.grant(ONE, 1, &[(&ann(), Role::Approver)]);
    book.add(grant_refs(&granted), &granted);
    wrong(&book, "had expired");
}

// ---- votes ----

/// A log up to the challenge, then a vote whose statement was bent before it was signed.
#[track_caller]
fn bad_statement(why: &str, bend: impl Fn(&mut Statement)) {
    let mut book = Book::challenged(ONE, 1);
    let mut voted = book.vote(1, &ann(), Role::Approver);
    bend(&mut voted.statement);
    voted.assertion = ann().sign(&voted.statement);
    book.add(at_elevation(1), &voted);
    wrong(&book, why);
}

/// A log up to the challenge, then a vote that was bent after it was signed.
#[track_caller]
fn bad_vote(why: &str, bend: impl Fn(&mut Voted, &mut Refs)) {
    let mut book = Book::challenged(ONE, 1);
    let (mut voted, mut refs) = (book.vote(1, &ann(), Role::Approver), at_elevation(1));
    bend(&mut voted, &mut refs);
    book.add(refs, &voted);
    wrong(&book, why);
}

fn consent(statement: &mut Statement) -> &mut terms::statement::Consent {
    if let Matter::Consent(consent) = &mut statement.matter { consent } else { panic!("no consent") }
}

#[test]
fn a_vote_signs_this_elevation_this_access_this_card_this_requirement_and_these_terms() {
    bad_statement("another elevation", |s| consent(s).elevation = elevation(2));
    bad_statement("another access", |s| consent(s).access_hash = access("6.6.6").hash());
    bad_statement("the card in the record", |s| {
        consent(s).card_hash = terms::CardHash::of(&Json::Null);
    });
    bad_statement("another requirement", |s| {
        consent(s).requirement_hash = requirement(TWO, 1).hash();
    });
    bad_statement("consent to other terms", |s| consent(s).terms = requirement(ONE, 2).terms);
    bad_statement("not consent", |s| {
        let subject_hash = terms::Digest::plain(b"");
        s.matter = Matter::Act { act: "unlock".to_owned(), subject_hash };
    });
}

#[test]
fn a_vote_is_signed_by_this_person_here_with_this_passkey_in_time_and_once() {
    bad_statement("another installation", |s| s.install = terms::InstallId::from_slice(&[4; 16]).unwrap());
    bad_statement("another person", |s| s.approver = ben().human);
    bad_statement("another passkey", |s| s.credential = ben().credential);
    bad_statement("had expired", |s| s.expires = Time::from_millis(0));
    bad_vote("signs another statement", |v, _| v.statement.nonce = "other".to_owned());
    bad_vote("the signature is not valid", |v, _| v.assertion = ben().sign(&v.statement));
    bad_vote("no client data", |v, _| v.assertion = Json::Null);
    bad_vote("never opened", |_, refs| refs.elevation = Some(elevation(2)));
    bad_vote("names no elevation", |_, refs| refs.elevation = None);
}

#[test]
fn an_assertion_of_another_ceremony_is_no_vote() {
    bad_vote("another ceremony", |v, _| {
        let client_data =
            terms::hash::from_b64url(v.assertion.get("clientDataJSON").unwrap().as_str().unwrap());
        let client_data =
            String::from_utf8(client_data.unwrap()).unwrap().replace("webauthn.get", "webauthn.create");
        if let Json::Object(members) = &mut v.assertion {
            members.insert("clientDataJSON", terms::hash::b64url(client_data.as_bytes()));
        }
    });
}

#[test]
fn a_signature_is_used_once() {
    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    sound(&book);
    book.add(at_elevation(1), &vote);
    wrong(&book, "used before");
}

#[test]
fn a_vote_needs_a_passkey_of_that_person_that_was_enrolled_before_and_not_revoked() {
    let stranger = person(20);
    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &stranger, Role::Approver);
    book.add(at_elevation(1), &vote);
    wrong(&book, "never enrolled");

    let mut book = Book::challenged(ONE, 1);
    let revoked =
        PasskeyRevoked { credential: ann().credential, by: "os:1000".to_owned(), why: "lost".to_owned() };
    book.add(Refs::default(), &revoked);
    let vote = book.vote(1, &ann(), Role::Approver);
    book.add(at_elevation(1), &vote);
    wrong(&book, "had been revoked");

    // Ben signs with Ben's passkey, and the record says that it was Ann.
    let mut book = Book::challenged(ONE, 1);
    let mut vote = book.vote(1, &ben(), Role::Approver);
    vote.human = ann().human;
    vote.statement.approver = ann().human;
    vote.assertion = ben().sign(&vote.statement);
    book.add(at_elevation(1), &vote);
    wrong(&book, "another person's");
}

#[test]
fn a_passkey_is_enrolled_once_and_only_an_enrolled_one_is_revoked() {
    let mut book = Book::new();
    book.enrol(&ann());
    book.enrol(&ann());
    wrong(&book, "enrolled before");
    let mut book = Book::new();
    let revoked = PasskeyRevoked { credential: String::new(), by: String::new(), why: String::new() };
    book.add(Refs::default(), &revoked);
    wrong(&book, "never enrolled");
}

#[test]
fn a_passkey_is_added_by_another_good_one_of_its_person_that_signed_for_exactly_that_key() {
    let added = |book: &mut Book, by: &Person, bend: &dyn Fn(&mut PasskeyEnrolled, &mut Json)| {
        let mut enrolled = PasskeyEnrolled { human: ann().human, ..enrolled(&person(20)) };
        let mut subject = Json::object([
            ("credential", enrolled.credential.as_str()),
            ("public_key", enrolled.public_key.as_str()),
        ]);
        bend(&mut enrolled, &mut subject);
        enrolled.signed = Some(book.act(by, "add-passkey", subject));
        book.add(Refs::default(), &enrolled);
    };
    let as_it_is = |_: &mut PasskeyEnrolled, _: &mut Json| {};
    let book = || {
        let mut book = Book::new();
        [ann(), ben()].iter().for_each(|person| book.enrol(person));
        book
    };
    let mut sound_book = book();
    added(&mut sound_book, &ann(), &as_it_is);
    sound(&sound_book);

    let mut by_another = book();
    added(&mut by_another, &ben(), &as_it_is);
    wrong(&by_another, "added by another person");
    let mut by_itself = book();
    let mut itself = person(20);
    itself.human = ann().human;
    added(&mut by_itself, &itself, &as_it_is);
    wrong(&by_itself, "never enrolled");
    let mut another_key = book();
    added(&mut another_key, &ann(), &|enrolled, _| enrolled.public_key = "AAAA".to_owned());
    wrong(&another_key, "for another key");
    let mut another_credential = book();
    added(&mut another_credential, &ann(), &|enrolled, _| enrolled.credential = "AAAA".to_owned());
    wrong(&another_credential, "on something else");
}

#[test]
fn nobody_behind_the_caller_approves_and_nobody_else_confirms() {
    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &owner(), Role::Approver);
    book.add(at_elevation(1), &vote);
    wrong(&book, "stands behind the caller");

    let mut book = Book::challenged(ONE, 1);
    let vote = book.vote(1, &ann(), Role::Owner);
    book.add(at_elevation(1), &vote);
    wrong(&book, "no owner");
}

#[test]
fn the_card_shows_what_is_signed_to_the_last_argument() {
    let card_of = |bend: fn(&mut terms::card::Card)| {
        let mut book = Book::challenged(ONE, 1);
        let mut voted = book.vote(1, &ann(), Role::Approver);
        let mut card = book::card(elevation(1), &access("2.4.1"), &requirement(ONE, 1));
        bend(&mut card);
        voted.card = card.to_json();
        consent(&mut voted.statement).card_hash = card.hash();
        voted.assertion = ann().sign(&voted.statement);
        book.add(at_elevation(1), &voted);
        book
    };
    sound(&card_of(|card| card.title = "Other words".to_owned()));
    wrong(&card_of(|card| drop(card.fields.pop())), "every argument");
    wrong(&card_of(|card| card.fields[0].value = "staging".to_owned()), "every argument");
    wrong(&card_of(|card| card.words[0] = "abandon".to_owned()), "words of another request");
    wrong(&card_of(|card| card.grants.valid_for = Millis::seconds(1)), "the card shows other terms");
}

// ---- forms and erasures ----

#[test]
fn a_body_with_other_members_than_its_kind_is_found() {
    let mut book = Book::new();
    book.now += 10;
    let draft = |body: Json| audit::Draft {
        id: RecordId::from_slice(&[8; 16]).unwrap(),
        at: Time::from_millis(0),
        node: "a".to_owned(),
        kind: audit::Kind::Settled,
        refs: Refs { attempt: Some(attempt(1)), ..Refs::default() },
        body,
    };
    let settled = [
        ("outcome", Json::from("done")),
        ("delivered", Json::Null),
        ("took", Json::Null),
        ("why", Json::Null),
    ];
    book.permit(1);
    book.records.push(draft(Json::object(settled.clone())).seal([1; 16]));
    sound(&book);
    for body in [
        Json::object(settled.clone().into_iter().skip(1)),
        Json::object(settled.clone().into_iter().chain([("more", Json::Null)])),
        Json::object(settled.into_iter().map(|(name, _)| (name, Json::from("perhaps")))),
        Json::Null,
    ] {
        book.records.pop();
        book.records.push(draft(body).seal([1; 16]));
        wrong(&book, "members of settled");
    }
}

#[test]
fn what_hangs_on_an_erased_body_is_reported_and_the_rest_still_holds() {
    let erase = |book: &mut Book, leaf: u32| {
        book.erased.insert(leaf as usize);
        book.add(Refs::default(), &Erased { leaf, by: "os:1000".to_owned(), why: "asked to".to_owned() });
    };
    // Leaves: 0 started, 1 to 3 enrolled, 4 challenged, 5 voted, 6 granted.
    let mut book = Book::granted(1);
    erase(&mut book, 4);
    assert_eq!(sound(&book).unproven, [4, 6]);
    erase(&mut book, 5);
    assert_eq!(sound(&book).unproven, [4, 5, 6]);
    erase(&mut book, 6);
    assert_eq!(sound(&book).unproven, [4, 5, 6]);
    // Order and once are in the envelopes.
    book.add(at_elevation(1), &Withdrawn { by: caller().to_string(), why: None });
    wrong(&book, "was over");
}

#[test]
fn a_signed_act_is_written_and_read_as_itself() {
    let mut book = Book::new();
    let signed = book.act(&ann(), "unlock", Json::object([("lock", Json::from(lock(1)))]));
    assert_eq!(Signed::from_json(signed.to_json()), Some(signed));
}
