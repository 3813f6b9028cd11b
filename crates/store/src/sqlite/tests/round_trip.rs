//! Whatever is written is read as it was.

use std::num::{NonZeroU8, NonZeroU32};

use elevation::{Pending, Vote};
use proptest::prelude::*;
use terms::access::{Resource, SealKey, Subject};
use terms::hash::UpstreamHash;
use terms::statement::Role;
use terms::{
    Access, Binds, CardHash, DefinitionHash, Digest, Json, KeyId, Millis, Pointer, PolicyHash, Requirement,
    Terms, Time, Tree,
};

use super::{Folder, threads};
use crate::Change;
use crate::conformance::World;

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-zA-Z0-9 \"'\\\\/~\u{e9}\u{4e2d}\u{1f600}\n\u{0}]{0,12}").unwrap()
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(|n| Json::from(i64::from(n))),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4).prop_map(Json::object),
        ]
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (1_u8.., text()).prop_map(|(n, from)| Tree::Approvals { n: NonZeroU8::new(n).unwrap(), from }),
        any::<u32>().prop_map(|fresh| Tree::Owner { fresh: Millis::new(fresh.into()) }),
        Just(Tree::Purpose),
        text().prop_map(|pattern| Tree::Ticket { pattern }),
        Just(Tree::KeyBound),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let parts = prop::collection::vec(inner, 0..4);
        prop_oneof![parts.clone().prop_map(Tree::All), parts.prop_map(Tree::Any)]
    })
}

fn binds() -> impl Strategy<Value = Binds> {
    let pointer = prop::collection::vec(text(), 0..3)
        .prop_map(|steps| steps.into_iter().fold(Pointer::root(), |at, step| at.child(step)));
    prop_oneof![Just(Binds::Everything), prop::collection::btree_set(pointer, 0..4).prop_map(Binds::Pointers)]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let terms = (1_u64..1 << 40, 1_u64..1 << 40, 1_u32.., binds());
    let parts = prop::collection::btree_map(text(), tree(), 0..3);
    (parts, terms).prop_map(|(parts, (pending_for, valid_for, uses, binds))| Requirement {
        parts,
        terms: Terms {
            pending_for: Millis::new(pending_for),
            valid_for: Millis::new(valid_for),
            uses: NonZeroU32::new(uses).unwrap(),
            binds,
        },
    })
}

fn access() -> impl Strategy<Value = Access> {
    let subject = (text(), text(), text(), prop::collection::vec(text(), 0..3));
    let resource = (text(), text(), any::<[u8; 32]>());
    let arguments = prop::collection::vec(("[a-z]{1,4}", json()), 0..4);
    (subject, text(), resource, arguments).prop_map(
        |((kind, id, owner, act), action, (of, name, hash), arguments)| {
            let digest = Digest::from_slice(&hash).unwrap();
            let resource = Resource {
                kind: of,
                id: name,
                definition: DefinitionHash::from_digest(digest),
                upstream: UpstreamHash::from_digest(digest),
            };
            let subject = Subject { kind, id, owner, act };
            let secret = [Pointer::root().child("a")];
            let key = SealKey::new([1; 32]);
            Access::new(subject, action, resource, Json::object(arguments), &secret, &key).unwrap().0
        },
    )
}

/// A request and a vote with everything in them arbitrary that the store does not decide itself.
fn request() -> impl Strategy<Value = (Pending, Vec<(Vote, bool)>)> {
    let claims = (prop::option::of(text()), prop::option::of(text()), text(), any::<bool>());
    let votes = prop::collection::vec((text(), text(), json(), any::<[u8; 32]>(), any::<bool>()), 0..4);
    let numbers = (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<i64>());
    (access(), requirement(), claims, votes, numbers).prop_map(
        |(access, requirement, (purpose, ticket, source, key_bound), votes, (key, policy, at))| {
            let pending = Pending {
                purpose,
                ticket,
                source,
                key_bound,
                key: KeyId::from_slice(&key).unwrap(),
                policy: PolicyHash::from_digest(Digest::from_slice(&policy).unwrap()),
                opened_at: Time::from_millis(at),
                requirement,
                ..blank(access)
            };
            let votes = votes.into_iter().map(|(name, credential, assertion, card, owner)| {
                let card = CardHash::from_digest(Digest::from_slice(&card).unwrap());
                (Vote { name, credential, assertion, card, ..blank_vote(&pending) }, owner)
            });
            let votes = votes.collect();
            (pending, votes)
        },
    )
}

/// A request, all of which but its access is replaced.
fn blank(access: Access) -> Pending {
    BLANK.with(|(pending, _)| Pending { access, ..pending.clone() })
}

fn blank_vote(pending: &Pending) -> Vote {
    let vote = BLANK.with(|(_, vote)| vote.clone());
    Vote { requirement: pending.requirement.hash(), ..vote }
}

thread_local! {
    static BLANK: (Pending, Vote) = crate::conformance::blank();
}

#[test]
fn requests_votes_and_grants_are_read_as_they_were_written() {
    let threads = threads();
    let world = threads.block_on(World::new(Box::new(Folder::new())));
    let mut cases = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let read = cases.run(&request(), |case| {
        threads.block_on(round_trip(&world, case));
        Ok(())
    });
    read.unwrap();
}

async fn round_trip(world: &World, (pending, votes): (Pending, Vec<(Vote, bool)>)) {
    let fresh = world.request(&pending.access, 1);
    let mut pending = Pending {
        id: fresh.id,
        caller: fresh.caller,
        expires_at: fresh.expires_at,
        version: fresh.version,
        ..pending
    };
    world.commit(vec![Change::Open { pending: Box::new(pending.clone()) }]).await.unwrap();
    for ((vote, owner), root) in votes.into_iter().zip(world.approvers) {
        let role = if owner { Role::Owner } else { Role::Approver };
        let vote = Vote { root, human: world.owner, role, at: pending.opened_at, ..vote };
        let change = Change::Vote { id: pending.id, vote: Box::new(vote.clone()), expects: pending.version };
        world.commit(vec![change]).await.unwrap();
        pending.version = elevation::Version(pending.version.0 + 1);
        pending.votes.push(vote);
    }
    assert_eq!(world.situation(&pending.access).await.pending.as_ref(), Some(&pending));
    let (changes, grant) = world.approved(&pending);
    world.commit(changes).await.unwrap();
    let found = world.situation(&pending.access).await.grants.into_iter().find(|g| g.grant.id == grant.id);
    let found = found.expect("the grant is live");
    assert_eq!((&found.grant, &found.elevation), (&grant, &pending));
    let whole = world.store().elevation(pending.id).await.unwrap().unwrap();
    assert_eq!((whole.request, whole.grant), (pending, Some(grant)));
}
