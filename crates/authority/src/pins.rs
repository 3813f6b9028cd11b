//! What upstreams say of themselves, pinned: a definition that is new or has changed is stopped until a
//! person accepts it (invariant 10, T18).

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::body::{self, Definition};
use audit::record::Refs;
use store::{Change, Commit, Failed, Pin, PinState};
use terms::{DefinitionHash, HumanId, Json, Kind, Part, PinId, Slug};

use crate::authority::{Authority, Upstream};
use crate::ceremony::{Begun, Ceremonial, SignedAssertion};
use crate::operator::{By, Operator};
use crate::vote::NotCounted;

/// What of a definition is pinned: everything that a caller, a rule or a person could be misled by. Of a resource its
/// URI names all that there is (rfd 20).
const fn members(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Tool => &["name", "title", "description", "inputSchema", "outputSchema", "annotations"],
        Kind::Prompt => &["name", "title", "description", "arguments"],
        Kind::Resource => &["uri"],
        // No upstream states these.
        Kind::Route | Kind::Operation | Kind::Installation => &[],
    }
}

/// What an upstream states of itself.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// Its tools.
    pub tools: Vec<Json>,
    /// Its prompts; `None` where it could not be asked for them, so that those that are pinned stay.
    pub prompts: Option<Vec<Json>>,
}

impl From<Vec<Json>> for Stated {
    fn from(tools: Vec<Json>) -> Self {
        Self { tools, prompts: None }
    }
}

/// One definition on its way to be pinned.
type Definitions = Vec<((Kind, String), Json)>;

impl Stated {
    /// The kinds that it was asked for.
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        let prompts = self.prompts.as_ref().map(|_| Kind::Prompt);
        std::iter::once(Kind::Tool).chain(prompts)
    }

    /// All definitions that have a name.
    fn definitions(self) -> Definitions {
        let named = |kind| {
            move |definition: Json| {
                let name = definition.get("name").and_then(Json::as_str)?.to_owned();
                Some(((kind, name), definition))
            }
        };
        let prompts = self.prompts.unwrap_or_default().into_iter().filter_map(named(Kind::Prompt));
        self.tools.into_iter().filter_map(named(Kind::Tool)).chain(prompts).collect()
    }
}

/// What came of looking at an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Pinned at first contact.
    pub pinned: usize,
    /// New or changed, and stopped.
    pub quarantined: Vec<String>,
    /// Not there any more.
    pub gone: Vec<String>,
}

/// The digest that a definition is pinned under.
#[must_use]
pub fn definition_hash(kind: Kind, definition: &Json) -> DefinitionHash {
    let pinned = members(kind).iter().filter_map(|name| Some((*name, definition.get(name)?.clone())));
    DefinitionHash::of(&Json::object(pinned))
}

impl Authority {
    /// Says what an upstream is. Every access to it names this identity.
    pub fn attach(&self, upstream: Upstream) {
        self.upstreams.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.insert(upstream.name.clone(), upstream.clone());
            all
        });
    }

    /// Pins what an upstream says of its tools and prompts. At first contact all of it; afterwards what is new or
    /// changed is quarantined, and what is missing is gone.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn observe(
        &self,
        upstream: &str,
        stated: impl Into<Stated> + Send,
    ) -> Result<Observed, Failed> {
        let stated = stated.into();
        let _one = self.observing.lock().await;
        let active = self.active();
        let asked: Vec<Kind> = stated.kinds().collect();
        let of = |kind| {
            active.named(upstream, kind).map(move |target| ((kind, target.name.clone()), target.pin.clone()))
        };
        let known: BTreeMap<(Kind, String), Pin> = asked.iter().copied().flat_map(of).collect();
        let first = active.pins().all(|pin| pin.upstream != upstream);
        let warn = active.bundle.upstreams.get(upstream).is_some_and(|u| u.pins_warn);
        let mut names: BTreeMap<(Kind, String), usize> = BTreeMap::new();
        let definitions = stated.definitions();
        definitions.iter().for_each(|(name, _)| *names.entry(name.clone()).or_default() += 1);
        let mut observed = Observed::default();
        let mut fresh = Vec::new();
        for (name, definition) in definitions {
            let digest = definition_hash(name.0, &definition);
            let before = known.get(&name);
            // One name with two definitions: which of them would be called is the upstream's to say (R3).
            let twice = names.get(&name).is_some_and(|times| *times > 1);
            if before.is_some_and(|pin| {
                (pin.digest == digest && pin.state != PinState::Gone)
                    || (twice && pin.state == PinState::Quarantined)
            }) {
                continue;
            }
            let only_text =
                warn && before.is_some_and(|pin| same_but_text(name.0, &pin.definition, &definition));
            let state = match before {
                _ if twice => PinState::Quarantined,
                None if first => PinState::Accepted,
                Some(pin) if only_text && pin.state == PinState::Accepted => PinState::Accepted,
                Some(_) | None => PinState::Quarantined,
            };
            if state == PinState::Quarantined {
                observed.quarantined.push(name.1.clone());
            }
            fresh.push(self.pin(upstream, name, digest, definition, state));
        }
        observed.pinned = if first { fresh.len() } else { 0 };
        let gone =
            known.iter().filter(|(name, pin)| pin.state != PinState::Gone && !names.contains_key(name));
        let gone: Vec<&Pin> = gone.map(|(_, pin)| pin).collect();
        observed.gone = gone.iter().map(|p| p.name.clone()).collect();
        self.keep_pins(upstream, first, fresh, &gone).await?;
        Ok(observed)
    }

    fn pin(
        &self,
        upstream: &str,
        (kind, name): (Kind, String),
        digest: DefinitionHash,
        definition: Json,
        state: PinState,
    ) -> Pin {
        Pin {
            id: PinId::fresh(self.ambient.as_ref()),
            upstream: upstream.to_owned(),
            kind: kind.name().to_owned(),
            name,
            digest,
            definition,
            state,
            seen_at: self.now(),
            decided_by: None,
        }
    }

    async fn keep_pins(
        &self,
        upstream: &str,
        first: bool,
        fresh: Vec<Pin>,
        gone: &[&Pin],
    ) -> Result<(), Failed> {
        if fresh.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::default();
        let definitions: Vec<Definition> = fresh.iter().map(definition_of).collect();
        let upstream = upstream.to_owned();
        if first {
            let record = body::Pinned { upstream, definitions };
            commit.records.push(self.record(Refs::default(), &record));
        } else {
            let all = definitions.into_iter().chain(gone.iter().map(|p| definition_of(p))).collect();
            let why = if fresh.is_empty() { "gone" } else { "changed" }.to_owned();
            let record = body::Quarantined { upstream, definitions: all, why };
            commit.records.push(self.record(Refs::default(), &record));
        }
        commit.changes.extend(fresh.into_iter().map(|pin| Change::Pin(Box::new(pin))));
        commit.changes.extend(gone.iter().map(|pin| Change::Judge {
            pin: pin.id,
            state: PinState::Gone,
            by: "upstream".to_owned(),
        }));
        match self.commit(commit).await? {
            Ok(_) => Ok(()),
            Err(refused) => Err(Failed { doing: "pinning definitions", because: refused.to_string() }),
        }
    }

    /// Begins to accept a definition that is stopped.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] when there is none such, or not for this person.
    pub async fn begin_accept(
        &self,
        pin: PinId,
        human: HumanId,
    ) -> Result<Result<Begun, NotCounted>, Failed> {
        let active = self.active();
        let Some(pin) = active.pins().find(|p| p.id == pin && p.state == PinState::Quarantined) else {
            return Ok(Err(NotCounted::NotFound));
        };
        if active.human(human).is_none() || !self.may_administer(human, Part::Definitions) {
            return Ok(Err(NotCounted::NotLet(Slug::PolicyDenied)));
        }
        self.keep_act(&Ceremonial::Pin, Some(human), subject_of(pin)).await.map(Ok)
    }

    /// Accepts a definition under a signature.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn accept(
        &self,
        pin: PinId,
        human: HumanId,
        signed: &SignedAssertion,
    ) -> Result<Result<(), NotCounted>, Failed> {
        let witnessed = match self.witness(&Ceremonial::Pin, Some(human), signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        let active = self.active();
        let found = active.pins().find(|p| p.id == pin && p.state == PinState::Quarantined);
        let found = found.filter(|p| witnessed.ceremony.card == subject_of(p));
        let Some(pin) = found else { return Ok(Err(NotCounted::CeremonyOver)) };
        let asked = Json::object([
            ("act", Json::from("accept")),
            ("upstream", Json::from(pin.upstream.as_str())),
            ("kind", Json::from(pin.kind.as_str())),
            ("name", Json::from(pin.name.as_str())),
            ("digest", Json::from(pin.digest)),
            ("definition", pin.definition.clone()),
        ]);
        let leave =
            match self.leave(&By::saying_nothing(Operator::Person(human)), Part::Definitions, asked).await? {
                Ok(leave) => leave,
                Err(stopped) => return Ok(Err(stopped.into())),
            };
        let by = active.human(human).map(|h| h.name.clone()).unwrap_or_default();
        let record = body::PinAccepted {
            upstream: pin.upstream.clone(),
            definition: definition_of(pin),
            reviewed: None,
            by: human.to_string(),
            signed: Some(witnessed.signed()),
        };
        let judge = Change::Judge { pin: pin.id, state: PinState::Accepted, by };
        let commit = Commit {
            changes: vec![witnessed.change(), judge],
            records: vec![self.record(leave.refs(Refs::default()), &record)],
        };
        let answer = self.enact(leave, commit).await?;
        Ok(answer.map(|_| ()).map_err(NotCounted::NotRecorded))
    }

    /// Refuses a definition for good. It only takes power away: a session is enough.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted::NotFound`] when there is none such.
    pub async fn refuse(&self, pin: PinId, by: String) -> Result<Result<(), NotCounted>, Failed> {
        let active = self.active();
        let Some(pin) = active.pins().find(|p| p.id == pin) else { return Ok(Err(NotCounted::NotFound)) };
        let record = body::PinRefused {
            upstream: pin.upstream.clone(),
            definition: definition_of(pin),
            by: by.clone(),
        };
        let judge = Change::Judge { pin: pin.id, state: PinState::Refused, by };
        let commit = Commit { changes: vec![judge], records: vec![self.record(Refs::default(), &record)] };
        let answer = self.commit(commit).await?;
        Ok(answer.map(|_| ()).map_err(NotCounted::NotRecorded))
    }

    /// The upstreams that are attached.
    #[must_use]
    pub fn attached(&self) -> Arc<BTreeMap<String, Upstream>> {
        self.upstreams.load_full()
    }
}

/// Whether two definitions differ in nothing but title and description.
fn same_but_text(kind: Kind, old: &Json, new: &Json) -> bool {
    let text = |part: &&&str| !["title", "description"].contains(*part);
    members(kind).iter().filter(text).all(|part| old.get(part) == new.get(part))
}

fn definition_of(pin: &Pin) -> Definition {
    Definition { pin: pin.id, kind: pin.kind.clone(), name: pin.name.clone(), digest: pin.digest.digest() }
}

/// What the person who accepts signs.
fn subject_of(pin: &Pin) -> Json {
    Json::object([
        ("pin", Json::from(pin.id)),
        ("upstream", Json::from(pin.upstream.as_str())),
        ("name", Json::from(pin.name.as_str())),
        ("digest", Json::from(pin.digest)),
        ("definition", pin.definition.clone()),
    ])
}
