//! What a node keeps in memory as of one epoch: rules, people, callers, pins. Every claim names the epoch, so
//! a node that is behind is refused by the store rather than trusted (R6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::PolicySet;
use store::{
    Directory, Epoch, Human, Key, Lock, LockSubject, Member, Passkey, Pin, PinState, Policy, RegisteredCaller,
};
use terms::{Access, Action, Caller, CallerId, HumanId, InstallId, Kind, Part, PolicyHash, Time};

use crate::bundle::{Bundle, ToolSettings};
use crate::operator::ACCOUNT;
use crate::people::People;
use crate::target::{Target, of_declared, of_part, of_pin, of_uri};

/// The rules of a bundle, by its hash.
pub(crate) struct Compiled {
    pub hash: PolicyHash,
    pub set: Arc<PolicySet>,
}

/// The rules and the people of one epoch, indexed for decisions.
pub struct Active {
    pub(crate) epoch: Epoch,
    pub(crate) install: InstallId,
    pub(crate) demo: bool,
    /// `None` while no policy was ever activated, or the stored one cannot be read: everything is denied.
    pub(crate) set: Option<Arc<PolicySet>>,
    pub(crate) hash: PolicyHash,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) people: Arc<People>,
    pub(crate) locks: Vec<Lock>,
    /// What answers held to authenticate us with, sealed, by upstream.
    pub(crate) credentials: BTreeMap<String, String>,
    /// When what is said of tools was said.
    since: Option<Time>,
    /// Which revision of the rules it is: the same rules that come back are another.
    pub(crate) revision: u64,
    pinned: Pinned,
}

impl Active {
    /// What is in force as of a reading of the store. What has not changed since `before` is taken over: rules
    /// are compiled once a revision, not once an epoch; and those that were compiled to be activated not again.
    pub(crate) fn of(directory: Directory, before: Option<&Self>, compiled: Option<&Compiled>) -> Self {
        let (bundle, hash, set) = in_force(directory.policy.as_ref(), before, compiled);
        let since = directory.policy.as_ref().map(|policy| policy.at);
        let revision = directory.policy.as_ref().map_or(0, |policy| policy.rev);
        let pinned = pinned(directory.pins, &bundle, since, before);
        Self {
            epoch: directory.epoch,
            install: directory.install,
            demo: directory.demo,
            hash,
            set,
            bundle,
            people: Arc::new(People::new(
                directory.humans,
                directory.passkeys,
                directory.callers,
                directory.keys,
                directory.memberships,
            )),
            since,
            revision,
            pinned,
            locks: directory.locks,
            credentials: directory.credentials.into_iter().collect(),
        }
    }

    /// What would be in force if a bundle, compiled, came into force now: its rules with all that it says of upstreams and tools.
    #[must_use]
    pub fn under(&self, bundle: Bundle, set: PolicySet, now: Time) -> Self {
        let pins = self.targets().filter(|target| !is_declared(target.kind)).map(|target| target.pin.clone());
        Self {
            epoch: self.epoch,
            install: self.install,
            demo: self.demo,
            hash: bundle.hash(),
            set: Some(Arc::new(set)),
            people: Arc::clone(&self.people),
            since: Some(now),
            revision: self.revision,
            pinned: pinned(pins.collect(), &bundle, Some(now), Some(self)),
            bundle: Arc::new(bundle),
            locks: self.locks.clone(),
            credentials: self.credentials.clone(),
        }
    }

    /// Whether rules ask what a caller did before.
    #[must_use]
    pub fn reads_history(&self) -> bool {
        self.set.as_ref().is_some_and(|set| set.reads_history())
    }

    /// What is named so, as it stands: a tool or a prompt by its newest definition, a resource by its URI alone.
    #[must_use]
    pub fn target(&self, kind: Kind, upstream: &str, name: &str) -> Option<Arc<Target>> {
        match kind {
            Kind::Tool | Kind::Prompt | Kind::Route | Kind::Operation => {
                self.pinned.get(upstream)?.get(&kind)?.get(name).cloned()
            }
            Kind::Resource => of_uri(upstream, name, environment(&self.bundle, upstream)).map(Arc::new),
            Kind::Installation => Part::named(name).filter(|_| upstream == Part::OF).map(of_part),
        }
    }

    /// The environment that an upstream stands in; empty for none.
    pub(crate) fn environment(&self, upstream: &str) -> &str {
        environment(&self.bundle, upstream)
    }

    /// What an access reaches for, as it is now.
    #[must_use]
    pub fn target_of(&self, access: &Access) -> Option<Arc<Target>> {
        let resource = access.resource();
        let (upstream, name) = resource.parts()?;
        self.target(Kind::named(&resource.kind)?, upstream, name)
    }

    /// What something is for: what is done to it where nothing else is said. `None` where that rests on its definition, and there
    /// is none.
    #[must_use]
    pub fn what_for(&self, kind: Kind, upstream: &str, name: &str) -> Option<Action> {
        match kind {
            Kind::Tool => Some(Action::Call),
            Kind::Prompt => Some(Action::Get),
            Kind::Resource => Some(Action::Read),
            Kind::Route => Some(Action::Send(self.target(kind, upstream, name)?.route.as_ref()?.method())),
            Kind::Operation => Some(Action::Do),
            Kind::Installation => Some(Action::Administer),
        }
    }

    /// The newest definition of a tool.
    #[must_use]
    pub fn tool(&self, upstream: &str, name: &str) -> Option<Arc<Target>> {
        self.target(Kind::Tool, upstream, name)
    }

    /// Everything of one kind that is pinned of an upstream, by name.
    pub fn named<'a>(
        &'a self,
        upstream: &str,
        kind: Kind,
    ) -> impl Iterator<Item = &'a Arc<Target>> + use<'a> {
        let named = self.pinned.get(upstream).and_then(|kinds| kinds.get(&kind));
        named.into_iter().flat_map(BTreeMap::values)
    }

    /// Everything that is pinned of every upstream, and every route.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.pinned.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }

    /// A caller that is not disabled, as if it had authenticated with its newest key: for what an operator
    /// does in its name.
    #[must_use]
    pub fn authenticated(&self, id: CallerId) -> Option<Caller> {
        self.people.caller(id).map(|caller| Caller::clone(caller))
    }

    /// A caller that is not disabled, as another one asks about it: it acts through that one.
    #[must_use]
    pub fn asked_by(&self, subject: CallerId, asker: &Caller) -> Option<Arc<Caller>> {
        self.people.asked_by(subject, asker)
    }

    /// The rules in force, each with the place where it stands.
    #[must_use]
    pub fn rules(&self) -> Vec<(String, String)> {
        let Some(set) = &self.set else { return Vec::new() };
        let place = |rule| set.place(rule).map(ToString::to_string).unwrap_or_default();
        set.rules().map(|rule| (rule.to_string(), place(rule))).collect()
    }

    /// Tools of which the operator says something that is not said of the definition that a person has accepted
    /// since (B25).
    pub fn unreviewed(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets().filter(|tool| tool.pin.state == PinState::Accepted && self.lapsed(tool).is_some())
    }

    /// What the operator said of an earlier definition of a tool, and which is not said of this one; of one that is
    /// stopped, what would not be if it were accepted now (B25).
    #[must_use]
    pub fn lapsed(&self, tool: &Target) -> Option<String> {
        let said = (tool.kind == Kind::Tool).then(|| self.bundle.tool(&tool.upstream, &tool.name).reviewed);
        said.flatten().filter(|_| match tool.pin.state {
            PinState::Accepted => !review_holds(&tool.pin, self.since),
            PinState::Quarantined | PinState::Refused | PinState::Gone => !said_after(&tool.pin, self.since),
        })
    }

    /// Every pin. A route or an operation has none: nobody states it but who configures it.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.targets().filter(|target| !is_declared(target.kind)).map(|target| &target.pin)
    }

    /// A person who is not disabled.
    #[must_use]
    pub fn human(&self, id: HumanId) -> Option<&Human> {
        self.people.human(id)
    }

    /// A person by name.
    #[must_use]
    pub fn human_named(&self, name: &str) -> Option<&Human> {
        self.people.human_named(name)
    }

    /// The person whose account of this machine that is, disabled or not.
    #[must_use]
    pub fn person_of(&self, account: &str) -> Option<&Human> {
        let row = self.people.caller_named(account).filter(|row| row.name.starts_with(ACCOUNT))?;
        self.people.any_human(self.people.owner(row)?)
    }

    /// The name of the person or the caller whose id this is; else what it is.
    pub(crate) fn name_of(&self, id: &str) -> String {
        let human = id.parse().ok().and_then(|id| self.people.any_human(id)).map(|human| &human.name);
        let caller = || id.parse().ok().and_then(|id| self.people.any_caller(id)).map(|caller| &caller.name);
        human.or_else(caller).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// A caller by name.
    #[must_use]
    pub fn caller_named(&self, name: &str) -> Option<&RegisteredCaller> {
        self.people.caller_named(name)
    }

    /// The groups of one person: those of every identity that is that person.
    #[must_use]
    pub fn groups_of(&self, root: HumanId) -> BTreeSet<String> {
        self.people.groups_of(root)
    }

    /// The groups of a caller or a human identity.
    #[must_use]
    pub fn groups_of_member(&self, member: Member) -> BTreeSet<String> {
        self.people.groups_of_member(member)
    }

    /// The lock that stops this caller at this upstream, if one does.
    #[must_use]
    pub fn lock(
        &self,
        caller: CallerId,
        roots: &BTreeSet<HumanId>,
        upstream: &str,
        now: Time,
    ) -> Option<&Lock> {
        self.locks_on(caller, roots, upstream, now).next()
    }

    /// The lock that stops this caller in reaching for this, if one does.
    #[must_use]
    pub fn lock_on(&self, caller: &Caller, access: &Access, now: Time) -> Option<&Lock> {
        self.locks_in_the_way(caller, access, now).next()
    }

    /// Every lock that stops this caller in reaching for this. What changes the installation reaches for no upstream: it is not
    /// stopped with everything that does, or nobody could lift that lock.
    pub fn locks_in_the_way(
        &self,
        caller: &Caller,
        access: &Access,
        now: Time,
    ) -> impl Iterator<Item = &Lock> {
        let upstream = access.reaches();
        let locks = self.locks_on(caller.id, &caller.roots, upstream.unwrap_or_default(), now);
        locks.filter(move |lock| upstream.is_some() || lock.subject != LockSubject::All)
    }

    /// Every lock that stops this caller at this upstream: it is stopped until the last of them is over.
    pub fn locks_on(
        &self,
        caller: CallerId,
        roots: &BTreeSet<HumanId>,
        upstream: &str,
        now: Time,
    ) -> impl Iterator<Item = &Lock> {
        let stands = move |lock: &&Lock| lock.until.is_none_or(|until| now < until);
        self.locks.iter().filter(stands).filter(move |lock| match &lock.subject {
            LockSubject::All => true,
            LockSubject::Caller(id) => *id == caller,
            LockSubject::Human(id) => roots.contains(id),
            LockSubject::Upstream(name) => name == upstream,
        })
    }

    /// The good passkeys of one person's identity.
    pub fn passkeys_of(&self, human: HumanId) -> impl Iterator<Item = &Passkey> {
        self.people.passkeys_of(human)
    }

    /// Whether a person has a good passkey, by whichever identity: one that is enrolled beside it waits (T105).
    #[must_use]
    pub fn has_passkey(&self, human: &Human) -> bool {
        self.people.passkeys_ever(human.root).any(|passkey| passkey.revoked_at.is_none())
    }

    /// From when a passkey signs more than its person in, while that is yet to come (T105).
    #[must_use]
    pub fn signs_from(&self, credential: &str, now: Time) -> Option<Time> {
        self.people.signs_from(credential, now)
    }

    /// The good passkeys that are too new to sign, each with its person and from when it signs.
    pub fn new_passkeys(&self, now: Time) -> impl Iterator<Item = (&Human, &Passkey, Time)> {
        let all = self.humans().flat_map(|human| self.passkeys_of(human.id).map(move |key| (human, key)));
        all.filter_map(move |(human, key)| Some((human, key, self.signs_from(&key.credential, now)?)))
    }

    /// The installation.
    #[must_use]
    pub const fn install(&self) -> InstallId {
        self.install
    }

    /// The hash of the policy in force.
    #[must_use]
    pub const fn policy(&self) -> PolicyHash {
        self.hash
    }

    /// The locks that are not lifted.
    #[must_use]
    pub fn locks(&self) -> &[Lock] {
        &self.locks
    }

    /// Every registered caller.
    pub fn callers(&self) -> impl Iterator<Item = &RegisteredCaller> {
        self.people.callers()
    }

    /// Every human.
    pub fn humans(&self) -> impl Iterator<Item = &Human> {
        self.people.humans()
    }

    /// Every key of a caller.
    pub fn keys_of(&self, caller: CallerId) -> impl Iterator<Item = &Key> {
        self.people.keys_of(caller)
    }

    /// Whether this is a demo's store.
    #[must_use]
    pub const fn demo(&self) -> bool {
        self.demo
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// The bundle in force and its rules. What is not what its hash says is not in force: everything is denied.
fn in_force(
    policy: Option<&Policy>,
    before: Option<&Active>,
    compiled: Option<&Compiled>,
) -> (Arc<Bundle>, PolicyHash, Option<Arc<PolicySet>>) {
    let Some(policy) = policy else { return nothing() };
    if let Some(before) = before.filter(|before| before.set.is_some() && before.hash == policy.hash) {
        return (Arc::clone(&before.bundle), before.hash, before.set.clone());
    }
    let bundle = Bundle::from_json(&policy.bundle).ok().filter(|bundle| bundle.hash() == policy.hash);
    let known = compiled.filter(|compiled| compiled.hash == policy.hash).map(|it| Arc::clone(&it.set));
    let set = |bundle: &Bundle| known.or_else(|| bundle.compile().ok().map(Arc::new));
    let read = bundle.and_then(|bundle| set(&bundle).map(|set| (bundle, set)));
    let Some((bundle, set)) = read else {
        tracing::error!("the policy in force cannot be read; everything is denied");
        return nothing();
    };
    (Arc::new(bundle), policy.hash, Some(set))
}

fn nothing() -> (Arc<Bundle>, PolicyHash, Option<Arc<PolicySet>>) {
    let bundle = Bundle::default();
    let hash = bundle.hash();
    (Arc::new(bundle), hash, None)
}

/// By upstream, kind and name.
type Pinned = BTreeMap<String, BTreeMap<Kind, BTreeMap<String, Arc<Target>>>>;

fn pinned(pins: Vec<Pin>, bundle: &Bundle, since: Option<Time>, before: Option<&Active>) -> Pinned {
    let mut pinned = Pinned::new();
    for pin in pins {
        // A kind that this version does not know is nothing that it could be asked about.
        let stated = |kind: &Kind| *kind != Kind::Installation && !is_declared(*kind);
        let Some(kind) = Kind::named(&pin.kind).filter(stated) else { continue };
        let environment = environment(bundle, &pin.upstream);
        let settings = settings(bundle, kind, &pin, since);
        let same = before
            .and_then(|before| before.target(kind, &pin.upstream, &pin.name))
            .filter(|old| old.pin == pin && old.settings == settings && old.environment == environment);
        let (upstream, name) = (pin.upstream.clone(), pin.name.clone());
        let target = same.unwrap_or_else(|| Arc::new(of_pin(kind, pin, settings, environment)));
        pinned.entry(upstream).or_default().entry(kind).or_default().insert(name, target);
    }
    for (upstream, said) in &bundle.upstreams {
        for (kind, name, declared) in said.declared() {
            let same = before
                .and_then(|before| before.target(kind, upstream, name))
                .filter(|old| old.is_declared(declared) && old.environment == said.environment);
            let made = || Arc::new(of_declared(kind, upstream, name, declared, &said.environment));
            let kinds = pinned.entry(upstream.clone()).or_default();
            kinds.entry(kind).or_default().insert(name.clone(), same.unwrap_or_else(made));
        }
    }
    pinned
}

/// Whether nobody states it but who configures it.
pub(crate) const fn is_declared(kind: Kind) -> bool {
    matches!(kind, Kind::Route | Kind::Operation)
}

fn environment<'b>(bundle: &'b Bundle, upstream: &str) -> &'b str {
    bundle.upstreams.get(upstream).map_or("", |settings| settings.environment.as_str())
}

/// What the operator says of a pin. So far that is said of tools alone.
fn settings(bundle: &Bundle, kind: Kind, pin: &Pin, since: Option<Time>) -> ToolSettings {
    match kind {
        Kind::Tool => {
            let mut settings = bundle.tool(&pin.upstream, &pin.name);
            settings.reviewed = settings.reviewed.filter(|_| review_holds(pin, since));
            settings
        }
        Kind::Prompt | Kind::Resource | Kind::Route | Kind::Operation | Kind::Installation => {
            ToolSettings::default()
        }
    }
}

/// A review is of the definition that was pinned when it was written: one that a person accepted later, because
/// it had changed, is not reviewed until the operator says so again (B25).
fn review_holds(pin: &Pin, since: Option<Time>) -> bool {
    let as_first_seen = pin.state == PinState::Accepted && pin.decided_by.is_none();
    as_first_seen || said_after(pin, since)
}

fn said_after(pin: &Pin, since: Option<Time>) -> bool {
    since.is_some_and(|since| pin.seen_at < since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(rule: &str) -> Bundle {
        let text = format!("@id(\"{rule}\") permit (principal, action, resource);");
        Bundle { texts: BTreeMap::from([("rules.cedar".to_owned(), text)]), ..Bundle::default() }
    }

    fn compiled(bundle: &Bundle) -> Option<Compiled> {
        bundle.compile().ok().map(|set| Compiled { hash: bundle.hash(), set: Arc::new(set) })
    }

    #[test]
    fn what_was_compiled_is_taken_for_the_bundle_that_it_is_of_and_for_no_other() {
        let (one, other) = (bundle("one"), bundle("other"));
        let at = Time::from_millis(0);
        let stored = Policy { rev: 1, hash: one.hash(), bundle: one.to_json(), by: String::new(), at };
        let ours = compiled(&one);
        let (_, _, set) = in_force(Some(&stored), None, ours.as_ref());
        assert!(ours.zip(set).is_some_and(|(ours, set)| Arc::ptr_eq(&ours.set, &set)));
        let (_, _, set) = in_force(Some(&stored), None, compiled(&other).as_ref());
        let ids = set.map(|set| set.rules().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(ids, Some(vec!["one".to_owned()]));
        // What is stored is what its hash says, or nothing is in force.
        let stored = Policy { bundle: other.to_json(), ..stored };
        let (_, _, set) = in_force(Some(&stored), None, compiled(&one).as_ref());
        assert!(set.is_none());
    }
}
