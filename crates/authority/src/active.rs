//! What a node keeps in memory as of one epoch: rules, people, callers, pins. Every claim names the epoch, so
//! a node that is behind is refused by the store rather than trusted (R6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use elevation::Eligible;
use policy::PolicySet;
use store::{
    Directory, Epoch, Human, Key, Lock, LockSubject, Member, OwnedBy, Passkey, Pin, RegisteredCaller,
};
use terms::{Caller, CallerId, Digest, HumanId, InstallId, Json, PolicyHash, Slug, Time};

use crate::bundle::{Bundle, ToolSettings};

/// Owners of owners are followed this far; a longer chain, or a ring, has no root (decisions A16).
const DEPTH: usize = 8;

/// The rules and the people of one epoch, indexed for decisions.
pub struct Active {
    pub(crate) epoch: Epoch,
    pub(crate) install: InstallId,
    pub(crate) demo: bool,
    /// `None` while no policy was ever activated, or the stored one cannot be read: everything is denied.
    pub(crate) set: Option<PolicySet>,
    pub(crate) hash: PolicyHash,
    pub(crate) bundle: Bundle,
    pub(crate) humans: HashMap<HumanId, Human>,
    pub(crate) callers: HashMap<CallerId, RegisteredCaller>,
    pub(crate) keys: HashMap<Digest, Key>,
    pub(crate) passkeys: HashMap<String, Passkey>,
    pub(crate) locks: Vec<Lock>,
    groups: HashMap<Member, BTreeSet<String>>,
    tools: BTreeMap<(String, String), Arc<Tool>>,
}

/// One pinned tool with all that is known of it; made once an epoch.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The upstream's name.
    pub upstream: String,
    /// The tool's name.
    pub name: String,
    /// Its definition, and where that stands.
    pub pin: Pin,
    /// The environment that the upstream stands in.
    pub environment: String,
    /// What the operator says of it.
    pub settings: ToolSettings,
    /// The same for rules.
    pub(crate) judged: policy::Tool,
}

impl Tool {
    /// `upstream/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.upstream, self.name)
    }

    /// Where its definition stands: `accepted`, `quarantined`, ….
    #[must_use]
    pub fn state(&self) -> &'static str {
        store::PinState::TABLE
            .iter()
            .find(|(state, ..)| *state == self.pin.state)
            .map_or("", |(.., name)| name)
    }
}

impl Active {
    pub(crate) fn of(directory: Directory) -> Self {
        let bundle = directory.policy.as_ref().and_then(|p| Bundle::from_json(&p.bundle).ok());
        let set = bundle.as_ref().and_then(|bundle| bundle.compile().ok());
        if directory.policy.is_some() && set.is_none() {
            tracing::error!("the policy in force cannot be read; everything is denied");
        }
        let mut groups: HashMap<Member, BTreeSet<String>> = HashMap::new();
        for membership in directory.memberships {
            groups.entry(membership.member).or_default().insert(membership.group);
        }
        let bundle = bundle.unwrap_or_default();
        let tools = tools(directory.pins, &bundle);
        Self {
            epoch: directory.epoch,
            install: directory.install,
            demo: directory.demo,
            hash: bundle.hash(),
            set,
            bundle,
            humans: directory.humans.into_iter().map(|h| (h.id, h)).collect(),
            callers: directory.callers.into_iter().map(|c| (c.id, c)).collect(),
            keys: directory.keys.into_iter().map(|k| (k.hash, k)).collect(),
            passkeys: directory.passkeys.into_iter().map(|p| (p.credential.clone(), p)).collect(),
            tools,
            locks: directory.locks,
            groups,
        }
    }

    /// The caller that a key belongs to.
    pub(crate) fn authenticate(&self, key: Digest, now: Time) -> Result<Caller, Slug> {
        let key = self
            .keys
            .get(&key)
            .filter(|k| k.revoked_at.is_none() && k.not_after.is_none_or(|until| now < until));
        let key = key.ok_or(Slug::CredentialInvalid)?;
        let caller = self.caller(key.caller).ok_or(Slug::CredentialInvalid)?;
        Ok(Caller { key: key.id, key_prefix: key.prefix.clone(), ..caller })
    }

    /// A caller that is not disabled, with everyone behind it; its key is its newest good one, or none.
    pub(crate) fn caller(&self, id: CallerId) -> Option<Caller> {
        let row = self.callers.get(&id).filter(|c| c.disabled_at.is_none())?;
        let key =
            self.keys.values().filter(|k| k.caller == id && k.revoked_at.is_none()).max_by_key(|k| k.id);
        Some(Caller {
            id,
            name: row.name.clone(),
            kind: row.kind,
            owner: self.owner_name(row),
            act: row.act.clone(),
            groups: self.groups.get(&Member::Caller(id)).cloned().unwrap_or_default(),
            roots: self.roots(row),
            key: key.map_or(terms::KeyId::NIL, |k| k.id),
            key_prefix: key.map(|k| k.prefix.clone()).unwrap_or_default(),
            key_bound: false,
        })
    }

    fn owner_name(&self, row: &RegisteredCaller) -> String {
        match row.owner {
            OwnedBy::Human(human) => self.humans.get(&human).map(|h| h.name.clone()),
            OwnedBy::Caller(caller) => self.callers.get(&caller).map(|c| c.name.clone()),
        }
        .unwrap_or_default()
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
        let actors = row.act.iter().map(|name| self.callers.values().find(|c| c.name == *name));
        let all: Option<Vec<&RegisteredCaller>> = std::iter::once(Some(row)).chain(actors).collect();
        let roots = all.and_then(|all| all.into_iter().map(|row| self.owner(row)).collect());
        roots.unwrap_or_default()
    }

    /// The newest definition of a tool.
    #[must_use]
    pub fn tool(&self, upstream: &str, name: &str) -> Option<Arc<Tool>> {
        self.tools.get(&(upstream.to_owned(), name.to_owned())).cloned()
    }

    /// Every tool of an upstream, by name.
    pub fn tools<'a>(&'a self, upstream: &'a str) -> impl Iterator<Item = &'a Arc<Tool>> + 'a {
        self.tools.values().filter(move |tool| tool.upstream == upstream)
    }

    /// Every tool of every upstream.
    pub fn all_tools(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.tools.values()
    }

    /// A caller that is not disabled, as if it had authenticated with its newest key: for what an operator
    /// does in its name.
    #[must_use]
    pub fn authenticated(&self, id: CallerId) -> Option<Caller> {
        self.caller(id)
    }

    /// The rules in force, each with the place where it stands.
    #[must_use]
    pub fn rules(&self) -> Vec<(String, String)> {
        let Some(set) = &self.set else { return Vec::new() };
        let place = |rule| set.place(rule).map(ToString::to_string).unwrap_or_default();
        set.rules().map(|rule| (rule.to_string(), place(rule))).collect()
    }

    /// Every pin.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.tools.values().map(|tool| &tool.pin)
    }

    /// A person who is not disabled.
    #[must_use]
    pub fn human(&self, id: HumanId) -> Option<&Human> {
        self.humans.get(&id).filter(|h| h.disabled_at.is_none())
    }

    /// A person by name.
    #[must_use]
    pub fn human_named(&self, name: &str) -> Option<&Human> {
        self.humans.values().find(|h| h.name == name)
    }

    /// A caller by name.
    #[must_use]
    pub fn caller_named(&self, name: &str) -> Option<&RegisteredCaller> {
        self.callers.values().find(|c| c.name == name)
    }

    /// The groups of one person: those of every identity that is that person.
    #[must_use]
    pub fn groups_of(&self, root: HumanId) -> BTreeSet<String> {
        let identities = self.humans.values().filter(|h| h.root == root && h.disabled_at.is_none());
        identities.filter_map(|h| self.groups.get(&Member::Human(h.id))).flatten().cloned().collect()
    }

    /// The groups of a caller or a human identity.
    #[must_use]
    pub fn groups_of_member(&self, member: Member) -> BTreeSet<String> {
        self.groups.get(&member).cloned().unwrap_or_default()
    }

    /// Who may approve and who may confirm for a caller, of the people in the groups that matter.
    /// `may` asks policy about one human.
    pub(crate) fn eligible(
        &self,
        caller: &Caller,
        may: impl Fn(&Human, &BTreeSet<String>) -> bool,
    ) -> Eligible {
        if caller.roots.is_empty() {
            return Eligible::default();
        }
        let mut approvers = BTreeMap::new();
        for human in
            self.humans.values().filter(|h| h.disabled_at.is_none() && !caller.roots.contains(&h.root))
        {
            let groups = self.groups_of(human.root);
            if !groups.is_empty() && may(human, &groups) {
                approvers.insert(human.root, groups);
            }
        }
        let owner = self.callers.get(&caller.id).and_then(|row| self.owner(row));
        let owners = owner.filter(|root| self.human(*root).is_some()).into_iter().collect();
        Eligible { approvers, owners }
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
        self.locks.iter().filter(|l| l.until.is_none_or(|until| now < until)).find(|l| match &l.subject {
            LockSubject::All => true,
            LockSubject::Caller(id) => *id == caller,
            LockSubject::Human(id) => roots.contains(id),
            LockSubject::Upstream(name) => name == upstream,
        })
    }

    /// The good passkeys of one person's identity.
    pub fn passkeys_of(&self, human: HumanId) -> impl Iterator<Item = &Passkey> {
        self.passkeys.values().filter(move |p| p.human == human && p.revoked_at.is_none())
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
        self.callers.values()
    }

    /// Every human.
    pub fn humans(&self) -> impl Iterator<Item = &Human> {
        self.humans.values()
    }

    /// Every key of a caller.
    pub fn keys_of(&self, caller: CallerId) -> impl Iterator<Item = &Key> {
        self.keys.values().filter(move |k| k.caller == caller)
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

fn tools(pins: Vec<Pin>, bundle: &Bundle) -> BTreeMap<(String, String), Arc<Tool>> {
    let one = |pin: Pin| {
        let settings = bundle.tool(&pin.upstream, &pin.name);
        let environment =
            bundle.upstreams.get(&pin.upstream).map(|u| u.environment.clone()).unwrap_or_default();
        let judged = policy::Tool::new(policy::ToolFacts {
            upstream: pin.upstream.clone(),
            name: pin.name.clone(),
            environment: environment.clone(),
            input_schema: pin.definition.get("inputSchema").cloned().unwrap_or(Json::Null),
            reviewed_read_only: settings.reviewed.as_deref() == Some("read-only"),
            attributes: BTreeMap::new(),
        });
        let (upstream, name) = (pin.upstream.clone(), pin.name.clone());
        let key = (upstream.clone(), name.clone());
        (key, Arc::new(Tool { upstream, name, pin, environment, settings, judged }))
    };
    pins.into_iter().map(one).collect()
}
