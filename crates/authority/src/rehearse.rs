//! A rehearsal: rules tried on people, callers and definitions that are only supposed. There is no store and nothing can run:
//! `stepup policy test` plays its scenarios here, through the same judging and weighing as every access.

use std::collections::{BTreeMap, BTreeSet};

use elevation::{Evidence, Vote};
use policy::{History, May, Moment, Outlook, PolicySet, Question, RuleId};
use store::{Directory, Epoch, Human, Member, Membership, OwnedBy, Pin, PinState, Policy, RegisteredCaller};
use terms::access::SealKey;
use terms::statement::{Consent, Matter, Role, Statement};
use terms::{
    AccessHash, Caller, CallerId, CallerKind, CardHash, DefinitionHash, Digest, ElevationId, HumanId,
    InstallId, Json, Kind, Part, PinId, Requirement, Time,
};

use crate::active::Active;
use crate::bundle::Bundle;
use crate::explain::{NotSupposed, Supposed, Would};
use crate::operator::CONSOLE;
use crate::schema::Schemas;
use crate::standing::NOBODYS;
use crate::target::of_part;

/// Who is there, and what is pinned.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// The groups of each person.
    pub people: BTreeMap<String, Vec<String>>,
    /// The callers.
    pub callers: BTreeMap<String, Actor>,
    /// What each upstream states of a tool or a prompt.
    pub definitions: Vec<(String, Kind, Json)>,
}

/// One caller.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What kind.
    pub kind: CallerKind,
    /// The person that it acts for.
    pub owner: String,
    /// The groups that it is in.
    pub groups: Vec<String>,
}

/// One scene: what is asked for, and who has approved it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What would be asked for; its caller is found by name.
    pub supposed: Supposed,
    /// The names of the people who approved or confirmed.
    pub votes: Vec<String>,
    /// The names of the people who touched before what it touches.
    pub prepared_by: Vec<String>,
    /// When.
    pub at: Time,
    /// What the caller did before.
    pub history: History,
}

/// The stage of one bundle.
pub struct Stage {
    active: Active,
    schemas: Schemas,
}

impl Stage {
    /// The stage on which these act, under the rules of this bundle.
    ///
    /// # Errors
    /// The name of an owner who is no person of the cast.
    pub fn new(bundle: &Bundle, cast: &Cast) -> Result<Self, String> {
        let humans: BTreeMap<&str, HumanId> = cast
            .people
            .keys()
            .zip(1..)
            .filter_map(|(name, n)| Some((name.as_str(), HumanId::from_slice(&id(n))?)))
            .collect();
        let mut directory = Directory {
            epoch: Epoch(1),
            install: InstallId::NIL,
            demo: false,
            humans: humans.iter().map(|(name, id)| person(name, *id)).collect(),
            memberships: Vec::new(),
            callers: Vec::new(),
            keys: Vec::new(),
            passkeys: Vec::new(),
            pins: Vec::new(),
            policy: Some(in_force(bundle)),
            locks: Vec::new(),
            credentials: Vec::new(),
        };
        for (name, groups) in &cast.people {
            let member = humans.get(name.as_str()).copied().unwrap_or(HumanId::NIL);
            directory.memberships.extend(memberships(Member::Human(member), groups));
        }
        let mut ids = (1..).map(id).map(|id| CallerId::from_slice(&id).unwrap_or(CallerId::NIL));
        for ((name, actor), id) in cast.callers.iter().zip(&mut ids) {
            let owner = humans.get(actor.owner.as_str()).ok_or_else(|| actor.owner.clone())?;
            directory.memberships.extend(memberships(Member::Caller(id), &actor.groups));
            directory.callers.push(caller(id, name.clone(), actor.kind, *owner));
        }
        for ((name, human), id) in humans.iter().zip(&mut ids) {
            let name = format!("{CONSOLE}{name}");
            directory.callers.push(caller(id, name, CallerKind::Operator, *human));
        }
        let definitions = cast.definitions.iter().filter_map(|(upstream, kind, stated)| {
            Some((upstream, *kind, stated.get("name")?.as_str()?, stated))
        });
        directory.pins = definitions.zip(1..).map(|((u, k, name, d), n)| pin(u, k, name, d, n)).collect();
        Ok(Self { active: Active::of(directory, None, None), schemas: Schemas::default() })
    }

    /// The rules, if the bundle has any that can be read.
    #[must_use]
    pub fn rules(&self) -> Option<&PolicySet> {
        self.active.set.as_deref()
    }

    /// Everything that is there as rules see it.
    #[must_use]
    pub const fn active(&self) -> &Active {
        &self.active
    }

    /// A caller by name.
    #[must_use]
    pub fn caller(&self, name: &str) -> Option<CallerId> {
        let row = self.active.caller_named(name)?;
        (row.kind != CallerKind::Operator).then_some(row.id)
    }

    /// A person, as who administers.
    #[must_use]
    pub fn operator(&self, person: &str) -> Option<CallerId> {
        self.active.caller_named(&format!("{CONSOLE}{person}")).map(|row| row.id)
    }

    /// For each caller and each thing that is pinned: whether it is shown, what using it comes to, and what that may take.
    #[must_use]
    pub fn outlook(&self) -> Vec<(String, String, String)> {
        let Some(set) = self.rules() else { return Vec::new() };
        let mut rows = Vec::new();
        for caller in self.active.people.known().filter(|caller| caller.kind != CallerKind::Operator) {
            for target in self.active.targets() {
                let shown =
                    if set.may_discover(caller, &target.judged).yes() { "see it" } else { "not see it" };
                let of = format!("{} {}", target.kind.name(), target.id());
                let comes = comes_to(set, caller, &target.judged, "use it");
                rows.push((caller.name.clone(), of, format!("{shown}, {comes}")));
            }
        }
        rows.sort();
        rows
    }

    /// For each person, and for whoever has an account of the machine: what of the installation they change, and what that may take.
    #[must_use]
    pub fn changes(&self) -> Vec<(String, String, String)> {
        let Some(set) = self.rules() else { return Vec::new() };
        let people = self.active.people.known().filter(|caller| caller.kind == CallerKind::Operator).cloned();
        let anybody = self.active.people.operator(NOBODYS);
        let mut rows = Vec::new();
        for who in people.chain([anybody]) {
            let name = who.name.strip_prefix(CONSOLE).unwrap_or("an account of the machine");
            for (part, of) in Part::TABLE {
                let comes = comes_to(set, &who, &of_part(part).judged, "change it");
                rows.push((name.to_owned(), format!("administer {of}"), comes));
            }
        }
        rows.sort();
        rows
    }

    /// What is wrong with the arguments of a scene: its caller is told that before anything is decided.
    #[must_use]
    pub fn misfit(&self, scene: &Scene) -> Option<String> {
        let Supposed { kind, upstream, name, arguments, .. } = &scene.supposed;
        self.schemas.misfit(&*self.active.target(*kind, upstream, name)?, arguments)
    }

    /// What the rules say, by which of them, and whether those who approved are enough.
    ///
    /// # Errors
    /// [`NotSupposed`] when there is nothing to ask about.
    pub fn play(&self, scene: &Scene) -> Result<(Would, Vec<RuleId>), NotSupposed> {
        let set = self.rules().ok_or(NotSupposed::NoRules)?;
        self.with_question(scene, |question, access| {
            let evidence = scene.supposed.evidence();
            let prepared = self.roots(&scene.prepared_by);
            let (mut would, by) = self.active.would(set, question, &prepared, (&evidence, scene.at));
            if let Would::StepUp(takes) = &would {
                let votes = self.votes(&takes.requirement, scene, access);
                let evidence = Evidence { votes, ..evidence };
                would = self.active.would(set, question, &prepared, (&evidence, scene.at)).0;
            }
            (would, by)
        })
    }

    /// Whether the caller of a scene is shown that what it asks for is there.
    ///
    /// # Errors
    /// [`NotSupposed`] when there is nothing to ask about.
    pub fn discovers(&self, scene: &Scene) -> Result<May, NotSupposed> {
        let set = self.rules().ok_or(NotSupposed::NoRules)?;
        self.with_question(scene, |question, _| set.may_discover(question.caller, question.target))
    }

    /// The question that a scene is.
    fn with_question<T>(
        &self,
        scene: &Scene,
        ask: impl FnOnce(&Question<'_>, AccessHash) -> T,
    ) -> Result<T, NotSupposed> {
        let asked = &scene.supposed;
        let (caller, target, access) = self.active.supposed(asked, None, &SealKey::new([0; 32]))?;
        let source = asked.source.parse().ok();
        let moment = Moment { at: scene.at, source, history: Some(scene.history) };
        let question = Question { caller, access: &access, target: &target.judged, moment: &moment };
        Ok(ask(&question, access.hash()))
    }

    /// Whether rules let a person approve what a scene asks for, or confirm it.
    ///
    /// # Errors
    /// [`NotSupposed`] when there is nothing to ask about.
    pub fn approves(&self, person: &str, scene: &Scene) -> Result<May, NotSupposed> {
        let set = self.rules().ok_or(NotSupposed::NoRules)?;
        let human = self.active.human_named(person).ok_or(NotSupposed::Person)?;
        let groups = self.active.groups_of(human.root);
        let human = policy::Human { id: human.root, name: human.name.clone(), groups };
        let votes = u32::try_from(scene.votes.len()).unwrap_or(u32::MAX);
        self.with_question(scene, |question, _| set.may_approve(&human, question, votes))
    }

    fn roots(&self, names: &[String]) -> BTreeSet<HumanId> {
        names.iter().filter_map(|name| self.active.human_named(name)).map(|human| human.root).collect()
    }

    /// Whether a person is behind the caller of a scene, or prepared what it is about: then no rule lets them approve.
    #[must_use]
    pub fn is_behind(&self, person: &str, scene: &Scene) -> bool {
        let root = self.active.human_named(person).map(|human| human.root);
        let caller = self.active.people.caller(scene.supposed.caller);
        let prepared = self.roots(&scene.prepared_by);
        root.zip(caller)
            .is_some_and(|(root, caller)| caller.roots.contains(&root) || prepared.contains(&root))
    }

    /// The approvals of a scene. Nothing was signed: they are weighed here, and kept nowhere.
    fn votes(&self, requirement: &Requirement, scene: &Scene, access: AccessHash) -> Vec<Vote> {
        let named = scene.votes.iter().filter_map(|name| self.active.human_named(name));
        let both = |human: &Human| {
            [Role::Owner, Role::Approver].map(|role| vote(human, role, requirement, scene.at, access))
        };
        named.flat_map(both).collect()
    }
}

/// Whether somebody may do it, and what that may take.
fn comes_to(set: &PolicySet, who: &Caller, judged: &policy::Target, does: &str) -> String {
    let needs = set.may_need(who, judged).join(", ");
    let needs = if needs.is_empty() { needs } else { format!("; may take {needs}") };
    match set.outlook(who, judged) {
        Outlook::Always => format!("{does}{needs}"),
        Outlook::Depends => format!("{does}, depending on the call{needs}"),
        Outlook::Never => format!("not {does}"),
    }
}

/// The bytes of the nth id of its kind.
const fn id(n: u128) -> [u8; 16] {
    n.to_be_bytes()
}

fn person(name: &str, id: HumanId) -> Human {
    Human { id, root: id, name: name.to_owned(), disabled_at: None, added_by: "a scenario".to_owned() }
}

fn caller(id: CallerId, name: String, kind: CallerKind, owner: HumanId) -> RegisteredCaller {
    RegisteredCaller { id, name, kind, owner: OwnedBy::Human(owner), act: Vec::new(), disabled_at: None }
}

fn memberships(member: Member, groups: &[String]) -> impl Iterator<Item = Membership> + '_ {
    groups.iter().map(move |group| Membership { group: group.clone(), member })
}

fn in_force(bundle: &Bundle) -> Policy {
    let (hash, bundle, by) = (bundle.hash(), bundle.to_json(), "a scenario".to_owned());
    Policy { rev: 1, hash, bundle, by, at: Time::from_millis(1) }
}

fn pin(upstream: &str, kind: Kind, name: &str, definition: &Json, n: u128) -> Pin {
    Pin {
        id: PinId::from_slice(&id(n)).unwrap_or(PinId::NIL),
        upstream: upstream.to_owned(),
        kind: kind.name().to_owned(),
        name: name.to_owned(),
        digest: DefinitionHash::of(definition),
        definition: definition.clone(),
        state: PinState::Accepted,
        seen_at: Time::from_millis(0),
        decided_by: None,
    }
}

fn vote(human: &Human, role: Role, requirement: &Requirement, at: Time, access: AccessHash) -> Vote {
    let card = CardHash::from_digest(Digest::plain(b""));
    let consent = Consent {
        elevation: ElevationId::NIL,
        access_hash: access,
        card_hash: card,
        requirement_hash: requirement.hash(),
        terms: requirement.terms.clone(),
        role,
    };
    let statement = Statement {
        install: InstallId::NIL,
        matter: Matter::Consent(consent),
        approver: human.id,
        credential: String::new(),
        expires: at,
        nonce: String::new(),
    };
    Vote {
        root: human.root,
        human: human.id,
        name: human.name.clone(),
        role,
        credential: String::new(),
        statement,
        requirement: requirement.hash(),
        card,
        assertion: Json::Null,
        at,
    }
}
