//! Random lives: whatever callers and people do in whatever order, what must never be is not.
//!
//! `STEPUP_SEQUENCES` says how many, `STEPUP_SEED` which one; a failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};

use authority::{Bundle, Permit, Ruling, Settlement, Voted};
use elevation::{Outcome, State};
use store::{Listing, LockSubject, Selector, Whole};
use terms::{AttemptId, ElevationId, LockId, Millis};

use crate::world::{RULES, World, bundle, bundle_of, settings};

const STEPS: usize = 40;
const PERMIT_FOR: Millis = Millis::new(2);

/// Tool, arguments, and whether it takes a step-up.
const CALLS: [(&str, &str, bool); 6] = [
    ("read_ticket", r#"{"id":1}"#, false),
    ("deploy", r#"{"environment":"staging","version":"1"}"#, false),
    ("deploy", r#"{"environment":"production","version":"1"}"#, true),
    ("restore", r#"{"path":"a","target":"x"}"#, true),
    ("restore", r#"{"path":"b","target":"x"}"#, true),
    ("set_secret", r#"{"name":"db","token":"t"}"#, true),
];
const CALLERS: [&str; 2] = ["bot", "other"];
const PEOPLE: [&str; 5] = ["olga", "ann", "ben", "sam", "dave"];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.roll(of.len())].clone()) }
    }
}

/// What is known beside the authority, and compared with it.
struct Model {
    world: World,
    dice: Dice,
    permits: Vec<Permit>,
    sent: Vec<Settlement>,
    locks: BTreeMap<LockId, usize>,
    frozen: bool,
    rules: u32,
    managers: BTreeSet<&'static str>,
    states: BTreeMap<ElevationId, State>,
    outcomes: BTreeMap<AttemptId, Outcome>,
}

impl Model {
    fn rules(&mut self) -> Bundle {
        self.rules += 1;
        let freeze =
            r#"@id("freeze") forbid (principal, action == Action::"tools/call:ops/deploy", resource);"#;
        let freeze = if self.frozen { freeze } else { "" };
        let mut rules = bundle_of(&format!("{RULES}{freeze}// {}\n", self.rules));
        if self.rules.is_multiple_of(3) {
            let release = rules.requirements.get_mut("release").unwrap();
            release.terms.valid_for = Millis::seconds(200);
        }
        rules
    }

    async fn step(&mut self) {
        match self.dice.roll(26) {
            0..=8 => self.decide().await,
            9..=13 => self.vote().await,
            14..=15 => self.settle().await,
            16 => self.world.pass([1, 30, 200, 500][self.dice.roll(4)]),
            17 => self.lock().await,
            18 => self.unlock().await,
            19 => self.reject().await,
            20 => self.withdraw().await,
            21 => self.revoke().await,
            22 => self.activate().await,
            23 => self.regroup().await,
            24 => drop(self.world.authority().expire().await.unwrap()),
            _ => self.crash().await,
        }
        self.check().await;
    }

    async fn decide(&mut self) {
        let caller = self.dice.roll(CALLERS.len());
        let (tool, arguments, elevated) = CALLS[self.dice.roll(CALLS.len())];
        let who = self.world.authenticated(CALLERS[caller]).unwrap();
        let ask = self.world.ask_as(&who, tool, arguments);
        let ruling = crate::preflighting::foreseen(&self.world, &ask).await;
        let locked = self.locks.values().any(|locked| *locked == caller);
        let frozen = self.frozen && tool == "deploy";
        match ruling {
            Ruling::Permitted(permit) => {
                assert!(!locked, "a permit in spite of a lock");
                assert!(!frozen, "a permit against a forbid");
                assert_eq!(permit.grant().is_some(), elevated, "a step-up without a grant");
                if elevated {
                    self.check_spend(&permit, &ask).await;
                }
                self.permits.push(permit);
            }
            Ruling::Challenged(_) => assert!(elevated && !locked && !frozen, "a challenge out of place"),
            Ruling::Denied(denial) => {
                assert!(elevated || locked || frozen, "a baseline call denied: {denial:?}");
            }
        }
    }

    /// The grant of a permit that was just made was live, for this access, and met by people who count today.
    async fn check_spend(&self, permit: &Permit, ask: &authority::Ask) {
        let all = self.everything().await;
        let whole = all.iter().find(|whole| whole.grant.as_ref().map(|g| g.id) == permit.grant()).unwrap();
        let grant = whole.grant.as_ref().unwrap();
        assert!(grant.revoked_at.is_none() && grant.not_after > self.world.authority().now());
        assert_eq!(grant.bind_hash, ask.access.bind_hash(&grant.binds));
        assert_eq!(whole.request.caller, ask.caller.id);
        let votes = &whole.request.votes;
        assert!(votes.iter().any(|vote| self.managers.contains(vote.name.as_str())));
        assert!(votes.iter().all(|vote| !ask.caller.roots.contains(&vote.root)));
        let others: Vec<_> = whole.attempts.iter().filter(|a| Some(a.id) != permit.attempt()).collect();
        let same = others.iter().filter(|a| a.access == ask.access.hash());
        let open = |a: &&&store::Attempt| matches!(a.outcome, None | Some(Outcome::Unknown));
        assert_eq!(same.filter(open).count(), 0, "it ran, or nobody knew whether it had");
    }

    async fn vote(&mut self) {
        let Some(id) = self.pick(|state| matches!(state, State::Pending)) else { return };
        let name = PEOPLE[self.dice.roll(PEOPLE.len())];
        let whole = self.world.authority().store().elevation(id).await.unwrap().unwrap();
        let voted = self.world.approve(id, name).await;
        if voted.is_ok() {
            assert_eq!(whole.state, State::Pending, "a vote on what is over");
            assert!(whole.request.expires_at > self.world.authority().now(), "a vote too late");
            assert!(whole.request.votes.iter().all(|vote| vote.name != name), "a second vote");
            assert!(name != "olga" && name != "dave", "{name} voted");
            assert!(name == "sam" || self.managers.contains(name), "{name} voted");
        }
        if let Ok(Voted::Approved(grant)) = voted {
            let whole = self.world.authority().store().elevation(id).await.unwrap().unwrap();
            assert_eq!(whole.grant.unwrap().id, grant);
        }
    }

    async fn settle(&mut self) {
        if !self.permits.is_empty() {
            let at = self.dice.roll(self.permits.len());
            let permit = self.permits.swap_remove(at);
            match self.dice.roll(4) {
                0 => drop(permit),
                sent => {
                    let Ok((_, mut settlement)) = permit.embark() else { return };
                    if sent > 1 {
                        settlement.sending();
                    }
                    self.sent.push(settlement);
                }
            }
        } else if let Some(settlement) = self.sent.pop() {
            let outcome = [Outcome::Done, Outcome::Failed, Outcome::Unknown][self.dice.roll(3)];
            let delivered = [None, Some(true), Some(false)][self.dice.roll(3)];
            match self.dice.roll(4) {
                0 => drop(settlement),
                _ => self.world.authority().settle(settlement, outcome, delivered).await.unwrap(),
            }
        }
        self.world.settled().await;
    }

    /// After an acknowledgement, permits that were made before are worth nothing. By a real clock they are past
    /// their time by then; this one is turned.
    fn acknowledged(&mut self) {
        self.world.ambient.pass(PERMIT_FOR);
        for permit in self.permits.drain(..) {
            assert!(permit.embark().is_err(), "an earlier permit ran after the acknowledgement");
        }
    }

    async fn lock(&mut self) {
        if self.locks.len() < 2 {
            let caller = self.dice.roll(CALLERS.len());
            let id = self.world.authenticated(CALLERS[caller]).unwrap().id;
            let (by, why) = ("os:0".to_owned(), "odd".to_owned());
            let lock = self.world.authority().lock(LockSubject::Caller(id), by, why, None).await.unwrap();
            self.locks.insert(lock, caller);
            self.acknowledged();
        }
    }

    async fn unlock(&mut self) {
        let all: Vec<LockId> = self.locks.keys().copied().collect();
        let Some(id) = self.dice.one(&all) else { return };
        let name = PEOPLE[self.dice.roll(PEOPLE.len())];
        let human = self.world.id(name);
        let begun = self.world.authority().begin_unlock(id, human).await.unwrap();
        assert_eq!(begun.is_ok(), name != "olga");
        let Ok(begun) = begun else { return };
        let signed = self.world.sign(&begun, name);
        self.world.authority().unlock(id, human, "", &signed).await.unwrap().unwrap();
        self.locks.remove(&id);
    }

    async fn reject(&mut self) {
        let Some(id) = self.pick(|_| true) else { return };
        let name = PEOPLE[self.dice.roll(PEOPLE.len())];
        let rejected = self.world.authority().reject(id, self.world.id(name), "no", false).await.unwrap();
        assert!(rejected.is_err() || name != "dave");
    }

    async fn withdraw(&mut self) {
        let Some(id) = self.pick(|_| true) else { return };
        let caller = self.world.authenticated(CALLERS[self.dice.roll(CALLERS.len())]).unwrap();
        let _ = self.world.authority().withdraw(&caller, id, None).await.unwrap();
    }

    async fn revoke(&mut self) {
        let caller = self.world.authenticated(CALLERS[self.dice.roll(CALLERS.len())]).unwrap().id;
        let (by, why) = ("os:0".to_owned(), "odd".to_owned());
        self.world.authority().revoke(Selector::Caller(caller), by, why).await.unwrap();
        self.acknowledged();
        let all = self.everything().await;
        let theirs = all.iter().filter(|whole| whole.request.caller == caller);
        let mut grants = theirs.filter_map(|whole| whole.grant.as_ref());
        let now = self.world.authority().now();
        assert!(grants.all(|grant| grant.state(now) != elevation::GrantState::Live));
    }

    async fn activate(&mut self) {
        self.frozen = !self.frozen;
        let rules = self.rules();
        self.world.activate(&rules).await;
        self.acknowledged();
    }

    async fn regroup(&mut self) {
        let name = ["ann", "ben"][self.dice.roll(2)];
        let is = !self.managers.contains(name);
        self.world.authority().set_member("managers", name, is, &authority::By::account(0)).await.unwrap();
        if is {
            self.managers.insert(name);
        } else {
            self.managers.remove(name);
        }
    }

    async fn crash(&mut self) {
        let (permits, sent) = (std::mem::take(&mut self.permits), std::mem::take(&mut self.sent));
        let lost = || {
            drop(permits);
            drop(sent);
        };
        self.world.crash(lost).await;
    }

    fn pick(&mut self, such: impl Fn(State) -> bool) -> Option<ElevationId> {
        let of: Vec<_> = self.states.iter().filter(|(_, state)| such(**state)).map(|(id, _)| *id).collect();
        self.dice.one(&of)
    }

    async fn everything(&self) -> Vec<Whole> {
        let all = Listing { limit: 1000, ..Listing::default() };
        self.world.authority().store().elevations(all).await.unwrap()
    }

    async fn check(&mut self) {
        let now = self.world.authority().now();
        for whole in self.everything().await {
            let before = self.states.insert(whole.request.id, whole.state);
            let terminal = before.is_none_or(|before| before == State::Pending || before == whole.state);
            assert!(terminal, "{before:?} became {:?}", whole.state);
            let approved = whole.state.name() == "approved";
            assert_eq!(
                whole.grant.is_some(),
                approved,
                "a grant without an approval, or the other way round"
            );
            if let Some(grant) = &whole.grant {
                assert!(grant.spent <= grant.uses.get());
                assert_eq!(whole.attempts.len(), usize::try_from(grant.spent).unwrap());
                assert!(grant.not_after <= now.after(whole.request.requirement.terms.valid_for));
            }
            for attempt in &whole.attempts {
                let Some(outcome) = attempt.outcome else { continue };
                let before = self.outcomes.insert(attempt.id, outcome);
                assert!(before.is_none_or(|before| before == outcome), "an outcome changed");
            }
        }
    }
}

struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("STEPUP_SEED={}", self.0);
        }
    }
}

async fn live(template: &World, seed: u64) {
    let named = Seed(seed);
    let mut model = Model {
        world: template.fork(seed).await,
        dice: Dice(seed),
        permits: Vec::new(),
        sent: Vec::new(),
        locks: BTreeMap::new(),
        frozen: false,
        rules: 0,
        managers: BTreeSet::from(["ann", "ben"]),
        states: BTreeMap::new(),
        outcomes: BTreeMap::new(),
    };
    for _ in 0..STEPS {
        model.step().await;
    }
    let Model { world, permits, sent, .. } = model;
    drop(permits);
    drop(sent);
    world.verified().await;
    drop(named);
}

/// Every `of`-th sequence, beginning with the `first`.
fn lives(first: u64, of: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = settings();
        settings.permit_for = PERMIT_FOR;
        settings.denied_per_minute = 100;
        settings.pending_per_caller = 20;
        let mut template = World::seeded(u64::MAX, settings, &bundle()).await;
        template.caller("other", "olga", &[]).await;
        template.close().await;
        let last = number("STEPUP_SEQUENCES").unwrap_or(200);
        let seeds = number("STEPUP_SEED").map_or(0..last, |seed| seed..seed + 1);
        for seed in seeds.filter(|seed| seed % of == first) {
            live(&template, seed).await;
        }
    });
}

#[test]
fn in_no_sequence_happens_what_must_never_be() {
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|first| scope.spawn(move || lives(first, 2)));
        for half in halves {
            half.join().unwrap();
        }
    });
}
