use std::sync::Arc;

use terms::{
    Ambient, CallerId, DefinitionHash, HumanId, Json, KeyId, LockId, Millis, PinId, PolicyHash, Time,
};

use super::World;
use super::world::{digest, human, registered};
use crate::{
    Ceremony, Change, Epoch, Invite, Key, Lock, LockSubject, Member, Membership, OwnedBy, Passkey, Pin,
    PinState, Policy, Principal, PrincipalRef, Refused, RegisteredCaller, Session,
};

fn ceremony(world: &World, nonce: &str) -> Ceremony {
    Ceremony {
        nonce: digest(nonce),
        human: Some(world.owner),
        elevation: None,
        purpose: "consent".to_owned(),
        statement: Json::object([("v", 1_u32)]),
        card: Json::object([("title", "Deploy")]),
        not_after: world.ambient.now().after(Millis::new(1000)),
    }
}

pub async fn fifty_racers_take_a_nonce_once(world: &mut World) {
    let kept = ceremony(world, "nonce");
    world.store().ceremony(kept.clone()).await.unwrap();
    world.store().ceremony(ceremony(world, "another")).await.unwrap();
    let start = Arc::new(tokio::sync::Barrier::new(50));
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (store, start) = (world.store().clone(), start.clone());
        racers.spawn(async move {
            start.wait().await;
            store.consume(digest("nonce")).await.unwrap()
        });
    }
    let taken: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [kept]);
    assert_eq!(world.store().consume(digest("never")).await.unwrap(), None);
    assert!(world.store().consume(digest("another")).await.unwrap().is_some());
}

pub async fn a_nonce_is_worth_nothing_after_its_time(world: &mut World) {
    for nonce in ["in time", "late"] {
        world.store().ceremony(ceremony(world, nonce)).await.unwrap();
    }
    world.pass(999);
    assert!(world.store().consume(digest("in time")).await.unwrap().is_some());
    world.pass(1);
    assert_eq!(world.store().consume(digest("late")).await.unwrap(), None);
    let twice = ceremony(world, "twice");
    world.store().ceremony(twice.clone()).await.unwrap();
    world.store().ceremony(twice).await.expect_err("a nonce is used for one ceremony");
}

pub(super) fn passkey(world: &World, credential: &str, human: HumanId) -> Passkey {
    Passkey {
        credential: credential.to_owned(),
        human,
        name: Some("work phone".to_owned()),
        rp_id: "stepup.example".to_owned(),
        cose: vec![1, 2, 3],
        aaguid: [9; 16],
        count: 0,
        backup_eligible: true,
        backed_up: false,
        enrolled_at: world.ambient.now(),
        enrolled_by: "init".to_owned(),
        revoked_at: None,
    }
}

pub(super) fn enrol(passkey: Passkey, invite: Option<&str>) -> Change {
    Change::Enrol { passkey: Box::new(passkey), invite: invite.map(digest) }
}

pub async fn a_counter_that_does_not_move_forward_is_refused(world: &mut World) {
    world.commit(vec![enrol(passkey(world, "c", world.owner), None)]).await.unwrap();
    let signed = |count| Change::Signed { credential: "c".to_owned(), count, backed_up: true };
    for count in [0, 0, 1, 5] {
        world.commit(vec![signed(count)]).await.unwrap();
    }
    for count in [5, 4, 0] {
        assert_eq!(world.refused(signed(count)).await, Refused::Conflict);
    }
    let kept = world.store().directory().await.unwrap().passkeys;
    assert_eq!(kept, [Passkey { count: 5, backed_up: true, ..passkey(world, "c", world.owner) }]);
    let unknown = Change::Signed { credential: "d".to_owned(), count: 1, backed_up: false };
    assert_eq!(world.refused(unknown).await, Refused::Missing);
    world.commit(vec![Change::Retire(PrincipalRef::Passkey("c".to_owned()))]).await.unwrap();
    assert_eq!(world.refused(signed(6)).await, Refused::Conflict);
}

pub async fn a_passkey_is_spare_only_while_its_person_keeps_another_good_one(world: &mut World) {
    let [ann, _] = world.approvers;
    let mine = ["c", "d"].map(|credential| enrol(passkey(world, credential, world.owner), None));
    world.commit(mine.to_vec()).await.unwrap();
    world.commit(vec![enrol(passkey(world, "ann's", ann), None)]).await.unwrap();
    let spare = |credential: &str| Change::Retire(PrincipalRef::SparePasskey(credential.to_owned()));
    assert_eq!(world.refused(spare("ann's")).await, Refused::Conflict, "what others hold does not count");
    assert_eq!(world.refused(spare("nobody's")).await, Refused::Missing);

    // Both at once, each of which has seen the other as good.
    let (one, two) = tokio::join!(world.commit(vec![spare("c")]), world.commit(vec![spare("d")]));
    assert_eq!([one, two].iter().filter(|answer| answer.is_ok()).count(), 1);
    let passkeys = world.store().directory().await.unwrap().passkeys;
    let good: Vec<&str> =
        passkeys.iter().filter(|p| p.revoked_at.is_none()).map(|p| p.credential.as_str()).collect();
    assert_eq!(good.len(), 2, "ann's and one of the owner's: {good:?}");
    let last = good.into_iter().find(|credential| *credential != "ann's").unwrap();
    assert_eq!(world.refused(spare(last)).await, Refused::Conflict);
    world.commit(vec![Change::Retire(PrincipalRef::Passkey(last.to_owned()))]).await.unwrap();
}

fn session(world: &World, hash: &str, human: HumanId) -> Session {
    let auth_at = world.ambient.now();
    Session { hash: digest(hash), human, auth_at, until: auth_at.after(Millis::new(1000)) }
}

pub async fn a_session_ends_with_its_time_on_request_and_with_its_human(world: &mut World) {
    let [ann, ben] = world.approvers;
    let sessions = [("a", ann), ("b", ann), ("c", ann), ("d", ben)];
    let sessions = sessions.map(|(hash, human)| session(world, hash, human));
    world.commit(sessions.clone().map(Change::OpenSession).into()).await.unwrap();
    let good = async |hash: &str| world.store().session(digest(hash)).await.unwrap();
    assert_eq!(good("a").await, Some(sessions[0].clone()));
    assert_eq!(good("z").await, None);
    world.commit(vec![Change::CloseSessions { human: ben, only: Some(digest("a")) }]).await.unwrap();
    assert!(good("a").await.is_some(), "nobody ends another's session");
    world.commit(vec![Change::CloseSessions { human: ann, only: Some(digest("a")) }]).await.unwrap();
    assert_eq!(good("a").await, None);
    assert!(good("b").await.is_some());
    world.commit(vec![Change::CloseSessions { human: ann, only: None }]).await.unwrap();
    assert_eq!((good("b").await, good("c").await), (None, None));
    world.pass(999);
    assert!(good("d").await.is_some());
    world.pass(1);
    assert_eq!(good("d").await, None);

    world.commit(vec![Change::OpenSession(session(world, "e", ben))]).await.unwrap();
    world.commit(vec![Change::Retire(PrincipalRef::Human(ben))]).await.unwrap();
    assert_eq!(good("e").await, None);
    let after = Change::OpenSession(session(world, "f", ben));
    assert_eq!(world.refused(after).await, Refused::Conflict);
}

fn invite(world: &World, hash: &str, human: HumanId) -> Invite {
    let until = world.ambient.now().after(Millis::new(1000));
    Invite { hash: digest(hash), human, until, by: "init".to_owned() }
}

pub async fn an_invitation_is_used_once_in_time_by_whom_it_is_for(world: &mut World) {
    let [ann, ben] = world.approvers;
    let invited = [("a", ann), ("c", ben)].map(|(hash, human)| invite(world, hash, human));
    for invite in invited.clone() {
        world.commit(vec![Change::Register(Principal::Invite(invite))]).await.unwrap();
    }
    let good = async |hash: &str| world.store().invite(digest(hash)).await.unwrap();
    assert_eq!(good("a").await, Some(invited[0].clone()));
    assert_eq!(world.refused(enrol(passkey(world, "1", ben), Some("a"))).await, Refused::Conflict);
    assert_eq!(world.refused(enrol(passkey(world, "1", ann), Some("z"))).await, Refused::Missing);
    world.commit(vec![enrol(passkey(world, "1", ann), Some("a"))]).await.unwrap();
    assert_eq!(good("a").await, None);
    assert_eq!(world.refused(enrol(passkey(world, "2", ann), Some("a"))).await, Refused::Conflict);
    let again = Change::Register(Principal::Invite(invite(world, "b", ann)));
    world.commit(vec![again]).await.unwrap();
    assert_eq!(world.refused(enrol(passkey(world, "1", ann), Some("b"))).await, Refused::Conflict);
    assert!(good("b").await.is_some(), "a refused enrolment uses nothing up");
    world.commit(vec![Change::Retire(PrincipalRef::Human(ben))]).await.unwrap();
    assert_eq!(good("c").await, None);
    assert_eq!(world.refused(enrol(passkey(world, "3", ben), Some("c"))).await, Refused::Conflict);
    world.pass(1000);
    assert_eq!(good("b").await, None);
    assert_eq!(world.refused(enrol(passkey(world, "2", ann), Some("b"))).await, Refused::Lapsed);
}

pub async fn a_new_invitation_ends_the_earlier_ones_of_its_person(world: &mut World) {
    let [ann, ben] = world.approvers;
    let register = |invite| Change::Register(Principal::Invite(invite));
    for (hash, human) in [("a", ann), ("b", ben), ("c", ann)] {
        world.commit(vec![register(invite(world, hash, human))]).await.unwrap();
    }
    let good = async |hash: &str| world.store().invite(digest(hash)).await.unwrap().is_some();
    assert_eq!((good("a").await, good("b").await, good("c").await), (false, true, true));
    assert_eq!(world.refused(enrol(passkey(world, "1", ann), Some("a"))).await, Refused::Lapsed);
    // One that comes to nothing ends none.
    let taken = vec![register(invite(world, "d", ann)), register(invite(world, "c", ann))];
    assert_eq!(world.commit(taken).await.unwrap_err(), Refused::Conflict);
    assert!(good("c").await);
    world.commit(vec![enrol(passkey(world, "1", ann), Some("c"))]).await.unwrap();
    world.commit(vec![register(invite(world, "e", ann))]).await.unwrap();
    assert_eq!(world.refused(enrol(passkey(world, "2", ann), Some("c"))).await, Refused::Conflict);
    assert!(good("e").await);
}

pub async fn a_name_is_taken_once(world: &mut World) {
    let fresh = HumanId::fresh(world.ambient.as_ref());
    let taken = Change::Register(Principal::Human(human("ann", fresh)));
    assert_eq!(world.refused(taken).await, Refused::NameTaken);
    let caller = registered("bot", CallerId::fresh(world.ambient.as_ref()), world.owner);
    assert_eq!(world.refused(Change::Register(Principal::Caller(caller))).await, Refused::NameTaken);
    world.commit(vec![Change::Retire(PrincipalRef::Human(world.approvers[0]))]).await.unwrap();
    let again = Change::Register(Principal::Human(human("ann", fresh)));
    assert_eq!(world.refused(again).await, Refused::NameTaken, "a disabled person keeps the name");
    let orphan = registered("orphan", CallerId::fresh(world.ambient.as_ref()), fresh);
    assert_eq!(world.refused(Change::Register(Principal::Caller(orphan))).await, Refused::Missing);
}

pub(super) fn pin(world: &World, name: &str, state: PinState) -> Pin {
    let definition = Json::object([("name", name)]);
    Pin {
        id: PinId::fresh(world.ambient.as_ref()),
        upstream: "ops".to_owned(),
        kind: "tool".to_owned(),
        name: name.to_owned(),
        digest: DefinitionHash::of(&definition),
        definition,
        state,
        seen_at: world.ambient.now(),
        decided_by: None,
    }
}

fn key(world: &World, prefix: &str, caller: CallerId) -> Key {
    Key {
        id: KeyId::fresh(world.ambient.as_ref()),
        caller,
        prefix: prefix.to_owned(),
        hash: digest(prefix),
        not_after: None,
        revoked_at: None,
    }
}

fn member(group: &str, member: Member) -> Membership {
    Membership { group: group.to_owned(), member }
}

pub async fn every_change_of_what_nodes_keep_moves_the_epoch_on_by_one(world: &mut World) {
    let bundle = Json::object([("v", 1_u32)]);
    let pinned = pin(world, "deploy", PinState::Quarantined);
    let lock = Lock {
        id: LockId::fresh(world.ambient.as_ref()),
        subject: LockSubject::All,
        since: world.ambient.now(),
        until: None,
        by: "ann".to_owned(),
        why: "odd".to_owned(),
    };
    let of_owner = member("ops", Member::Human(world.owner));
    let moving = [
        vec![Change::Pin(Box::new(pinned.clone()))],
        vec![Change::Judge { pin: pinned.id, state: PinState::Accepted, by: "ann".to_owned() }],
        vec![Change::Register(Principal::Key(key(world, "sk_1", world.caller)))],
        vec![Change::Register(Principal::Member(of_owner.clone()))],
        vec![Change::Retire(PrincipalRef::Member(of_owner))],
        vec![enrol(passkey(world, "c", world.owner), None)],
        vec![
            enrol(passkey(world, "d", world.owner), None),
            Change::Pin(Box::new(pin(world, "read", PinState::Accepted))),
        ],
    ];
    for changes in moving {
        let before = world.epoch().await;
        let receipt = world.commit(changes).await.unwrap();
        assert_eq!((receipt.epoch, world.epoch().await), (Epoch(before.0 + 1), Epoch(before.0 + 1)));
    }
    let expects = world.epoch().await;
    let hash = PolicyHash::of(&bundle);
    let activate = Change::Activate { hash, bundle, by: "ann".to_owned(), expects };
    assert_eq!(world.commit(vec![activate]).await.unwrap().epoch, Epoch(expects.0 + 1));

    let standing = [
        Change::Lock(lock.clone()),
        Change::Unlock(lock.id),
        Change::OpenSession(session(world, "s", world.owner)),
        Change::Signed { credential: "c".to_owned(), count: 1, backed_up: true },
        Change::Notify { kind: "opened".to_owned(), body: "{}".to_owned() },
        Change::Open { pending: Box::new(world.request(&world.access("1"), 1)) },
    ];
    let before = world.epoch().await;
    for change in standing {
        assert_eq!(world.commit(vec![change]).await.unwrap().epoch, before);
    }
}

pub async fn the_directory_is_what_was_registered(world: &mut World) {
    let ambient = world.ambient.clone();
    let before = world.store().directory().await.unwrap();
    let eve = crate::Human { root: world.owner, ..human("eve", HumanId::fresh(ambient.as_ref())) };
    let helper = RegisteredCaller {
        owner: OwnedBy::Caller(world.caller),
        act: Vec::new(),
        ..registered("helper", CallerId::fresh(ambient.as_ref()), world.owner)
    };
    let key = Key { not_after: Some(Time::from_millis(5)), ..key(world, "sk_1", helper.id) };
    let members = [member("ops", Member::Human(eve.id)), member("ops", Member::Caller(helper.id))];
    let passkey = passkey(world, "c", eve.id);
    let pins = [pin(world, "deploy", PinState::Quarantined), pin(world, "read", PinState::Accepted)];
    let bundle = Json::object([("v", 1_u32)]);
    let hash = PolicyHash::of(&bundle);
    let mut changes = vec![
        Change::Register(Principal::Human(eve.clone())),
        Change::Register(Principal::Caller(helper.clone())),
        Change::Register(Principal::Key(key.clone())),
        Change::Register(Principal::Member(members[0].clone())),
        Change::Register(Principal::Member(members[1].clone())),
        Change::Register(Principal::Member(members[1].clone())), // no error, and no second one
        enrol(passkey.clone(), None),
        Change::Activate { hash, bundle: bundle.clone(), by: "ann".to_owned(), expects: before.epoch },
    ];
    changes.extend(pins.iter().map(|pin| Change::Pin(Box::new(pin.clone()))));
    world.commit(changes).await.unwrap();

    let now = world.store().directory().await.unwrap();
    assert_eq!((now.install, now.demo, now.epoch), (before.install, before.demo, Epoch(before.epoch.0 + 1)));
    assert_eq!(now.humans, [before.humans, vec![eve]].concat());
    assert_eq!(now.callers, [before.callers, vec![helper]].concat());
    assert_eq!((now.keys, now.passkeys), (vec![key], vec![passkey]));
    assert_eq!((now.memberships, now.pins), (members.to_vec(), pins.to_vec()));
    let policy = Policy { rev: 1, hash, bundle, by: "ann".to_owned(), at: ambient.now() };
    assert_eq!((before.policy, now.policy), (None, Some(policy)));
}

pub async fn retiring_takes_away_what_it_says(world: &mut World) {
    let [ann, _] = world.approvers;
    let keys = [key(world, "sk_1", world.caller), key(world, "sk_2", world.caller)];
    let of_ann = member("ops", Member::Human(ann));
    world
        .commit(vec![
            Change::Register(Principal::Key(keys[0].clone())),
            Change::Register(Principal::Key(keys[1].clone())),
            Change::Register(Principal::Member(of_ann.clone())),
        ])
        .await
        .unwrap();
    let now = world.ambient.now();
    let (sooner, later) = (now.after(Millis::new(1000)), now.after(Millis::new(2000)));
    for until in [sooner, later] {
        world.commit(vec![Change::Retire(PrincipalRef::KeyAfter(keys[1].id, until))]).await.unwrap();
    }
    let retire = [
        PrincipalRef::Human(ann),
        PrincipalRef::Caller(world.caller),
        PrincipalRef::Key(keys[0].id),
        PrincipalRef::Member(of_ann),
    ];
    for principal in retire {
        world.commit(vec![Change::Retire(principal.clone())]).await.unwrap();
        let twice = world.refused(Change::Retire(principal)).await;
        assert!(matches!(twice, Refused::Conflict | Refused::Missing), "{twice}");
    }
    let left = world.store().directory().await.unwrap();
    let disabled: Vec<_> = left.humans.iter().filter(|h| h.disabled_at == Some(now)).map(|h| h.id).collect();
    assert_eq!(disabled, [ann]);
    assert_eq!(left.callers[0].disabled_at, Some(now));
    assert_eq!((left.keys[0].revoked_at, left.keys[1].revoked_at), (Some(now), None));
    assert_eq!(left.keys[1].not_after, Some(sooner), "never for longer than it was good already");
    assert_eq!(left.memberships, []);
}

pub async fn a_policy_judged_under_another_epoch_is_not_activated(world: &mut World) {
    let bundle = Json::object([("v", 1_u32)]);
    let hash = PolicyHash::of(&bundle);
    let activate = |expects| Change::Activate { hash, bundle: bundle.clone(), by: "ann".to_owned(), expects };
    let judged = world.epoch().await;
    world.commit(vec![activate(judged)]).await.unwrap();
    let now = Epoch(judged.0 + 1);
    assert_eq!(world.refused(activate(judged)).await, Refused::Stale(now));
    world.commit(vec![activate(now)]).await.unwrap();
    assert_eq!(world.store().directory().await.unwrap().policy.unwrap().rev, 2);
}

pub async fn only_the_newest_definition_is_judged(world: &mut World) {
    let [old, new] = [PinState::Accepted, PinState::Quarantined].map(|state| pin(world, "deploy", state));
    let other = Pin { upstream: "other".to_owned(), ..pin(world, "deploy", PinState::Accepted) };
    // A prompt is another thing than the tool of its name.
    let prompt = Pin { kind: "prompt".to_owned(), ..pin(world, "deploy", PinState::Accepted) };
    for pin in [&old, &new, &other, &prompt] {
        world.commit(vec![Change::Pin(Box::new(pin.clone()))]).await.unwrap();
    }
    let judge = |pin: PinId, state| Change::Judge { pin, state, by: "ann".to_owned() };
    assert_eq!(world.refused(judge(old.id, PinState::Refused)).await, Refused::Conflict);
    let unknown = PinId::fresh(world.ambient.as_ref());
    assert_eq!(world.refused(judge(unknown, PinState::Refused)).await, Refused::Missing);
    for (state, ..) in PinState::TABLE {
        world.commit(vec![judge(new.id, state)]).await.unwrap();
        let judged = Pin { state, decided_by: Some("ann".to_owned()), ..new.clone() };
        assert_eq!(world.store().directory().await.unwrap().pins, [judged, other.clone(), prompt.clone()]);
        if state != PinState::Quarantined {
            assert_eq!(world.refused(judge(new.id, PinState::Accepted)).await, Refused::Conflict);
        }
    }
}

pub async fn a_policy_that_was_in_force_once_is_kept(world: &mut World) {
    let bundles = [1_u32, 2, 1].map(|n| Json::object([("v", n)]));
    for bundle in &bundles {
        let (hash, expects) = (PolicyHash::of(bundle), world.epoch().await);
        world
            .commit(vec![Change::Activate { hash, bundle: bundle.clone(), by: "ann".to_owned(), expects }])
            .await
            .unwrap();
    }
    for (bundle, rev) in [(&bundles[0], 3), (&bundles[1], 2)] {
        let kept = world.store().policy(PolicyHash::of(bundle)).await.unwrap().unwrap();
        assert_eq!((&kept.bundle, kept.rev), (bundle, rev));
    }
    assert_eq!(world.store().policy(PolicyHash::of(&Json::Null)).await.unwrap(), None);
}

pub async fn what_was_accepted_before_is_the_newest_definition_of_its_name_that_ever_was(world: &mut World) {
    let judge = |pin: &Pin, state| Change::Judge { pin: pin.id, state, by: "ann".to_owned() };
    let of = |name: &str, state| pin(world, name, state);
    let [first, second, third, fourth] =
        [PinState::Accepted, PinState::Quarantined, PinState::Quarantined, PinState::Quarantined]
            .map(|state| of("deploy", state));
    let others = [
        of("read", PinState::Accepted),
        Pin { upstream: "other".to_owned(), ..of("deploy", PinState::Accepted) },
        Pin { kind: "prompt".to_owned(), ..of("deploy", PinState::Accepted) },
    ];
    for pin in others.iter().chain([&first]) {
        world.commit(vec![Change::Pin(Box::new(pin.clone()))]).await.unwrap();
    }
    let store = world.store().clone();
    let before = async |pin: &Pin| {
        store.accepted_before(pin.id).await.unwrap().map(|before| (before.id, before.state))
    };
    assert_eq!(before(&first).await, None, "neither itself nor another upstream's, nor a prompt");

    // Never accepted: what is told apart from the third is the first.
    world.commit(vec![Change::Pin(Box::new(second.clone()))]).await.unwrap();
    world.commit(vec![judge(&second, PinState::Refused)]).await.unwrap();
    world.commit(vec![Change::Pin(Box::new(third.clone()))]).await.unwrap();
    assert_eq!(before(&third).await, Some((first.id, PinState::Accepted)));

    // Accepted, then gone: it is still what people agreed to last.
    world.commit(vec![judge(&third, PinState::Accepted)]).await.unwrap();
    world.commit(vec![judge(&third, PinState::Gone)]).await.unwrap();
    world.commit(vec![Change::Pin(Box::new(fourth.clone()))]).await.unwrap();
    assert_eq!(before(&fourth).await, Some((third.id, PinState::Gone)));
    assert_eq!(before(&second).await, Some((first.id, PinState::Accepted)));
    assert_eq!(store.accepted_before(PinId::fresh(world.ambient.as_ref())).await.unwrap(), None);
}
