//! Who is who, and who is behind whom, as of one epoch. Everything that a decision asks is worked out once, when
//! the epoch is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use elevation::Eligible;
use store::{Human, Key, Member, Membership, OwnedBy, Passkey, RegisteredCaller};
use terms::{Access, Caller, CallerId, CallerKind, Digest, HumanId, KeyId, Millis, Time};

use crate::operator::{ACCOUNT, CONSOLE, HOST, Operator};

/// Owners of owners are followed this far; a longer chain, or a ring, has no root (decisions A16).
const DEPTH: usize = 8;

/// How long a passkey that was enrolled beside a good one of the same person signs its person in and nothing else: time
/// to notice one that somebody else slipped in (T105). The first passkey of a person waits for nothing, and neither does
/// one by an invitation after all others were revoked: a person who works alone is never without one that signs.
pub(crate) const FIRST_DAY: Millis = Millis::seconds(24 * 3600);

/// People, callers, their keys and their groups.
pub(crate) struct People {
    humans: HashMap<HumanId, Human>,
    passkeys: HashMap<String, Passkey>,
    /// From when those passkeys sign that had to wait.
    wait: HashMap<String, Time>,
    callers: HashMap<CallerId, RegisteredCaller>,
    by_name: HashMap<String, CallerId>,
    keys: HashMap<KeyId, Key>,
    by_hash: HashMap<Digest, KeyId>,
    groups: HashMap<Member, BTreeSet<String>>,
    /// One person each, by root.
    persons: BTreeMap<HumanId, Person>,
    /// Every caller, disabled ones too, with everyone behind it and its newest good key.
    known: HashMap<CallerId, Arc<Caller>>,
    /// The same by each key that is not revoked.
    by_key: HashMap<KeyId, Arc<Caller>>,
}

/// One person who is not disabled: the identities that are not disabled either, and the groups of all of them.
#[derive(Default)]
struct Person {
    identities: Vec<HumanId>,
    groups: BTreeSet<String>,
}

impl People {
    pub(crate) fn new(
        humans: Vec<Human>,
        passkeys: Vec<Passkey>,
        callers: Vec<RegisteredCaller>,
        keys: Vec<Key>,
        memberships: Vec<Membership>,
    ) -> Self {
        let mut groups: HashMap<Member, BTreeSet<String>> = HashMap::new();
        for membership in memberships {
            groups.entry(membership.member).or_default().insert(membership.group);
        }
        let humans: HashMap<HumanId, Human> = humans.into_iter().map(|h| (h.id, h)).collect();
        let mut people = Self {
            wait: waits(&humans, &passkeys),
            humans,
            passkeys: passkeys.into_iter().map(|p| (p.credential.clone(), p)).collect(),
            by_name: callers.iter().map(|c| (c.name.clone(), c.id)).collect(),
            callers: callers.into_iter().map(|c| (c.id, c)).collect(),
            by_hash: keys.iter().map(|k| (k.hash, k.id)).collect(),
            keys: keys.into_iter().map(|k| (k.id, k)).collect(),
            groups,
            persons: BTreeMap::new(),
            known: HashMap::new(),
            by_key: HashMap::new(),
        };
        people.persons = people.all_persons();
        people.known = people.all_callers();
        people.by_key = people.all_keys();
        people
    }

    fn all_persons(&self) -> BTreeMap<HumanId, Person> {
        let mut persons: BTreeMap<HumanId, Person> = BTreeMap::new();
        for human in self.humans.values().filter(|h| self.human(h.id).is_some()) {
            let person = persons.entry(human.root).or_default();
            person.identities.push(human.id);
            person.groups.extend(self.groups_of_member(Member::Human(human.id)));
        }
        persons
    }

    fn all_callers(&self) -> HashMap<CallerId, Arc<Caller>> {
        let mut newest: HashMap<CallerId, &Key> = HashMap::new();
        for key in self.keys.values().filter(|k| k.revoked_at.is_none()) {
            let so_far = newest.entry(key.caller).or_insert(key);
            if key.id > so_far.id {
                *so_far = key;
            }
        }
        let one =
            |row: &RegisteredCaller| (row.id, Arc::new(self.describe(row, newest.get(&row.id).copied())));
        self.callers.values().map(one).collect()
    }

    fn all_keys(&self) -> HashMap<KeyId, Arc<Caller>> {
        let good = self.keys.values().filter(|k| k.revoked_at.is_none());
        good.filter_map(|key| {
            let known = self.known.get(&key.caller)?;
            let caller = if known.key == key.id {
                Arc::clone(known)
            } else {
                Arc::new(Caller { key: key.id, key_prefix: key.prefix.clone(), ..Caller::clone(known) })
            };
            Some((key.id, caller))
        })
        .collect()
    }

    fn describe(&self, row: &RegisteredCaller, key: Option<&Key>) -> Caller {
        let owner = match row.owner {
            OwnedBy::Human(human) => self.humans.get(&human).map(|h| h.name.clone()),
            OwnedBy::Caller(caller) => self.callers.get(&caller).map(|c| c.name.clone()),
        };
        let groups = match row.kind {
            CallerKind::Agent | CallerKind::Service => self.groups_of_member(Member::Caller(row.id)),
            CallerKind::Operator => self.groups_of_operator(&row.name, self.owner(row)),
        };
        Caller {
            id: row.id,
            name: row.name.clone(),
            kind: row.kind,
            owner: owner.unwrap_or_default(),
            act: row.act.clone(),
            groups,
            roots: self.roots(row),
            key: key.map_or(KeyId::NIL, |k| k.id),
            key_prefix: key.map(|k| k.prefix.clone()).unwrap_or_default(),
            key_bound: false,
        }
    }

    /// Who administers has the groups of the person, and an account of this machine that of all accounts. A person who is disabled
    /// keeps them there: nobody gets rid of rules about them by being disabled.
    fn groups_of_operator(&self, name: &str, person: Option<HumanId>) -> BTreeSet<String> {
        let theirs = self.humans.values().filter(|human| Some(human.root) == person);
        let mut groups: BTreeSet<String> =
            theirs.flat_map(|human| self.groups_of_member(Member::Human(human.id))).collect();
        groups.extend(name.starts_with(ACCOUNT).then(|| HOST.to_owned()));
        groups
    }

    /// Who administers, as the rules see them. Who was never registered has no row: nothing of theirs can wait, and behind an
    /// account that is nobody's there is nobody.
    pub(crate) fn operator(&self, who: Operator) -> Arc<Caller> {
        let human = match who {
            Operator::Account(_) => None,
            Operator::Person(human) => self.human(human),
        };
        let name = match who {
            Operator::Account(_) => who.to_string(),
            Operator::Person(_) => format!("{CONSOLE}{}", human.map(|h| h.name.as_str()).unwrap_or_default()),
        };
        let row = self.caller_named(&name).filter(|row| row.kind == CallerKind::Operator);
        if let Some(known) = row.and_then(|row| self.known.get(&row.id)) {
            return Arc::clone(known);
        }
        let root = human.map(|human| human.root);
        Arc::new(Caller {
            id: CallerId::NIL,
            owner: human.map_or_else(|| name.clone(), |human| human.name.clone()),
            groups: self.groups_of_operator(&name, root),
            name,
            kind: CallerKind::Operator,
            act: Vec::new(),
            roots: root.into_iter().collect(),
            key: KeyId::NIL,
            key_prefix: String::new(),
            key_bound: false,
        })
    }

    /// The person who owns a caller.
    pub(crate) fn owner_of(&self, caller: CallerId) -> Option<HumanId> {
        self.callers.get(&caller).and_then(|row| self.owner(row))
    }

    /// The person at the end of a chain of owners.
    pub(crate) fn owner(&self, row: &RegisteredCaller) -> Option<HumanId> {
        let mut at = row;
        for _ in 0..DEPTH {
            match at.owner {
                OwnedBy::Human(human) => return self.humans.get(&human).map(|h| h.root),
                OwnedBy::Caller(caller) => at = self.callers.get(&caller)?,
            }
        }
        None
    }

    /// Owner chain and owners of every actor. Empty when any of them cannot be resolved: then nobody may
    /// approve (decisions A16).
    fn roots(&self, row: &RegisteredCaller) -> BTreeSet<HumanId> {
        let actors = row.act.iter().map(|name| self.caller_named(name));
        let all: Option<Vec<&RegisteredCaller>> = std::iter::once(Some(row)).chain(actors).collect();
        let roots = all.and_then(|all| all.into_iter().map(|row| self.owner(row)).collect());
        roots.unwrap_or_default()
    }

    /// The caller that a key with this hash belongs to, if both are good at `now`.
    pub(crate) fn authenticated(&self, hash: Digest, now: Time) -> Option<&Arc<Caller>> {
        self.with_key(*self.by_hash.get(&hash)?, now)
    }

    /// The caller as it is today with the key that it authenticated with some time ago, if both are still good:
    /// a call that was held for minutes is not judged by what was true when it began.
    pub(crate) fn still(&self, asked: &Caller, now: Time) -> Option<Arc<Caller>> {
        if asked.kind == CallerKind::Operator {
            return self.known.get(&asked.id).map(Arc::clone);
        }
        let today = self.with_key(asked.key, now)?;
        if today.id != asked.id {
            let asker = Caller { key_bound: asked.key_bound, ..Caller::clone(today) };
            return self.asked_by(asked.id, &asker).filter(|again| again.act == asked.act);
        }
        Some(if asked.key_bound {
            Arc::new(Caller { key_bound: true, ..Caller::clone(today) })
        } else {
            Arc::clone(today)
        })
    }

    fn with_key(&self, key: KeyId, now: Time) -> Option<&Arc<Caller>> {
        let good = self.keys.get(&key)?.not_after.is_none_or(|until| now < until);
        let caller = self.by_key.get(&key).filter(|_| good)?;
        self.caller(caller.id).is_some().then_some(caller)
    }

    /// A caller that is not disabled, with its newest good key.
    pub(crate) fn caller(&self, id: CallerId) -> Option<&Arc<Caller>> {
        self.callers.get(&id).filter(|c| c.disabled_at.is_none())?;
        self.known.get(&id)
    }

    /// A caller that another one asks about: it acts through that one, whose key it is and whose people stand behind it too.
    pub(crate) fn asked_by(&self, subject: CallerId, asker: &Caller) -> Option<Arc<Caller>> {
        let known = self.caller(subject)?;
        let through: Vec<String> =
            std::iter::once(&asker.name).chain(&asker.act).chain(&known.act).cloned().collect();
        let Caller { key, key_prefix, key_bound, .. } = asker.clone();
        Some(Arc::new(Caller { key, key_prefix, key_bound, ..self.through(known, &through) }))
    }

    /// Who an access is of, as it is today and disabled or not, with everybody whom it was made through.
    pub(crate) fn who_made(&self, caller: CallerId, access: &Access) -> Option<Arc<Caller>> {
        let known = self.known.get(&caller)?;
        let act = &access.subject().act;
        Some(if known.act == *act { Arc::clone(known) } else { Arc::new(self.through(known, act)) })
    }

    /// The same, of a caller that is not disabled.
    pub(crate) fn who_makes(&self, caller: CallerId, access: &Access) -> Option<Arc<Caller>> {
        self.caller(caller).and_then(|known| self.who_made(known.id, access))
    }

    /// Where nobody knows who stands behind one of those whom it acts through, nobody may approve (decisions A16).
    fn through(&self, known: &Caller, act: &[String]) -> Caller {
        let actors: Option<Vec<HumanId>> =
            act.iter().map(|name| self.owner(self.caller_named(name)?)).collect();
        let roots = actors
            .filter(|_| !known.roots.is_empty())
            .map(|actors| known.roots.iter().copied().chain(actors).collect());
        Caller { act: act.to_vec(), roots: roots.unwrap_or_default(), ..known.clone() }
    }

    /// A caller, disabled or not.
    pub(crate) fn any_caller(&self, id: CallerId) -> Option<&Arc<Caller>> {
        self.known.get(&id)
    }

    /// Who may approve and who may confirm for a caller, of the people who are in one of the groups that are
    /// asked. Nobody of `but` approves. `may` asks policy about one identity; all identities of a person must be let, so that a rule
    /// against one of them is not evaded by another.
    pub(crate) fn eligible(
        &self,
        caller: &Caller,
        but: &BTreeSet<HumanId>,
        asked: &BTreeSet<&str>,
        may: impl Fn(&Human, &BTreeSet<String>) -> bool,
    ) -> Eligible {
        if caller.roots.is_empty() {
            return Eligible::default();
        }
        let let_by_policy = |person: &Person| {
            let mut identities = person.identities.iter().filter_map(|id| self.humans.get(id));
            identities.all(|human| may(human, &person.groups))
        };
        let others =
            self.persons.iter().filter(|(root, _)| !caller.roots.contains(root) && !but.contains(root));
        let asked = others.filter(|(_, person)| person.groups.iter().any(|g| asked.contains(g.as_str())));
        let approvers = asked
            .filter(|(_, person)| let_by_policy(person))
            .map(|(root, person)| (*root, person.groups.clone()))
            .collect();
        let owner = self.owner_of(caller.id);
        // A person at the console is their own owner, registered or not.
        let owner = owner.or_else(|| caller.roots.first().copied().filter(|_| caller.id == CallerId::NIL));
        let owners = owner.filter(|root| self.persons.contains_key(root)).into_iter().collect();
        Eligible { approvers, owners }
    }

    /// An identity that is not disabled, of a person who is not.
    pub(crate) fn human(&self, id: HumanId) -> Option<&Human> {
        let human = self.humans.get(&id).filter(|h| h.disabled_at.is_none())?;
        let person = self.humans.get(&human.root)?;
        person.disabled_at.is_none().then_some(human)
    }

    /// An identity, disabled or not.
    pub(crate) fn any_human(&self, id: HumanId) -> Option<&Human> {
        self.humans.get(&id)
    }

    pub(crate) fn human_named(&self, name: &str) -> Option<&Human> {
        self.humans.values().find(|h| h.name == name)
    }

    pub(crate) fn caller_named(&self, name: &str) -> Option<&RegisteredCaller> {
        self.callers.get(self.by_name.get(name)?)
    }

    /// The groups of one person: those of every identity that is that person.
    pub(crate) fn groups_of(&self, root: HumanId) -> BTreeSet<String> {
        self.persons.get(&root).map(|person| person.groups.clone()).unwrap_or_default()
    }

    pub(crate) fn groups_of_member(&self, member: Member) -> BTreeSet<String> {
        self.groups.get(&member).cloned().unwrap_or_default()
    }

    /// Whether anyone but these has a passkey that signs.
    pub(crate) fn others_sign(&self, but: &BTreeSet<HumanId>) -> bool {
        self.persons.keys().any(|root| !but.contains(root) && self.signs(*root))
    }

    /// Whether a person has a passkey that signs, by whichever identity.
    pub(crate) fn signs(&self, root: HumanId) -> bool {
        let identities = self.persons.get(&root).map(|person| person.identities.as_slice());
        identities.unwrap_or_default().iter().any(|id| self.passkeys_of(*id).next().is_some())
    }

    /// The groups that anybody is in.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.values().flatten()
    }

    /// The callers that are not disabled.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Arc<Caller>> {
        self.callers.values().filter_map(|row| self.caller(row.id))
    }

    pub(crate) fn passkey(&self, credential: &str) -> Option<&Passkey> {
        self.passkeys.get(credential)
    }

    pub(crate) fn passkeys_of(&self, human: HumanId) -> impl Iterator<Item = &Passkey> {
        self.passkeys.values().filter(move |p| p.human == human && p.revoked_at.is_none())
    }

    /// Every passkey that a person ever had, by whichever identity.
    pub(crate) fn passkeys_ever(&self, root: HumanId) -> impl Iterator<Item = &Passkey> {
        let theirs = move |id: HumanId| self.humans.get(&id).is_some_and(|human| human.root == root);
        self.passkeys.values().filter(move |passkey| theirs(passkey.human))
    }

    /// From when a passkey signs more than its person in, while that is yet to come.
    pub(crate) fn signs_from(&self, credential: &str, now: Time) -> Option<Time> {
        self.wait.get(credential).copied().filter(|from| now < *from)
    }

    pub(crate) fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    pub(crate) fn keys_of(&self, caller: CallerId) -> impl Iterator<Item = &Key> {
        self.keys.values().filter(move |k| k.caller == caller)
    }

    /// The other callers that a person behind this one is also behind.
    pub(crate) fn siblings(&self, caller: &Caller) -> Vec<CallerId> {
        let others = self.known.values().filter(|other| other.id != caller.id);
        others.filter(|other| !other.roots.is_disjoint(&caller.roots)).map(|other| other.id).collect()
    }

    pub(crate) fn callers(&self) -> impl Iterator<Item = &RegisteredCaller> {
        self.callers.values()
    }

    pub(crate) fn humans(&self) -> impl Iterator<Item = &Human> {
        self.humans.values()
    }
}

/// From when passkeys sign that were enrolled while their person, by whichever identity, had another good one. They come
/// in the order in which they were enrolled.
fn waits(humans: &HashMap<HumanId, Human>, passkeys: &[Passkey]) -> HashMap<String, Time> {
    let mut earlier: HashMap<HumanId, Vec<&Passkey>> = HashMap::new();
    let mut waits = HashMap::new();
    for passkey in passkeys {
        let root = humans.get(&passkey.human).map_or(passkey.human, |human| human.root);
        let before = earlier.entry(root).or_default();
        let good = |other: &&Passkey| other.revoked_at.is_none_or(|at| passkey.enrolled_at < at);
        if before.iter().any(good) {
            waits.insert(passkey.credential.clone(), passkey.enrolled_at.after(FIRST_DAY));
        }
        before.push(passkey);
    }
    waits
}
