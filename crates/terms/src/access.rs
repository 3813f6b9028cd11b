//! The access: what is judged, shown, signed, bound and forwarded is this one value (invariant 6).

use std::collections::BTreeSet;

use aws_lc_rs::hmac;

use crate::hash::{AccessHash, BindHash, b64url};
use crate::ids::AttemptId;
use crate::json::{self, Json, Limits, Object};
use crate::requirement::Binds;
use crate::secret::Secret;
use crate::{Kind, Pointer, text};

/// The authenticated caller as far as it binds: the same caller with a new key is the same subject (B12).
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// `agent`, `service`, …: what kind of caller.
    pub kind: String,
    /// The caller's name, unique in the installation.
    pub id: String,
    /// The name of the human, or of the caller, that owns it.
    pub owner: String,
    /// Whom it says it acts through, outermost first.
    pub act: Vec<String>,
}

/// What the access reaches for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `tool`, `prompt`, `resource`, `route`, … ([`Kind`]).
    pub kind: String,
    /// `upstream/name`, or `upstream/uri`.
    pub id: String,
    /// The pinned definition that was shown and judged.
    pub definition: crate::DefinitionHash,
    /// What the upstream is: its configuration and files.
    pub upstream: crate::hash::UpstreamHash,
}

impl Resource {
    /// The upstream's name and the resource's own; `None` where the id is of another form.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.id.split_once('/')
    }

    /// The upstream's name; empty where the id is of another form, as no upstream's is.
    #[must_use]
    pub fn upstream_name(&self) -> &str {
        self.parts().map_or("", |(upstream, _)| upstream)
    }
}

/// One caller's one attempt, canonical. Secret arguments are sealed in it; see [`Secrets`].
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    subject: Subject,
    action: String,
    resource: Resource,
    /// `{"arguments": …}`, with `meta` where the caller sent some; or what a continuation carries.
    context: Json,
    hash: AccessHash,
}

/// The answers to what an upstream asked before it goes on with a call: an access of its own, as nobody judged them yet
/// (decisions A8; MCP 2026-07-28, multi round-trip requests).
#[derive(Clone, Debug)]
pub struct Continuation {
    /// The attempt at which it asked.
    pub of: AttemptId,
    /// How often it asked so far.
    pub round: u8,
    /// What it asked, by names of its own: a claim, without which nobody could read the answers.
    pub asked: Object,
    /// What is answered, by the same names.
    pub inputs: Object,
    /// What the upstream wants back, which is its own: sealed in the access, and not shown.
    pub state: Option<Secret<String>>,
}

/// The clear values of what is sealed in one access, on their way to the exit and nowhere else.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    arguments: Vec<Kept>,
    state: Option<Kept>,
}

/// One secret argument: where it was, what stands there now, and its canonical text in clear.
#[derive(Clone, Debug)]
struct Kept {
    at: Pointer,
    seal: Json,
    clear: Secret<String>,
}

/// The member that marks a sealed value. Only we may write it: see [`NotAnAccess::Sealed`].
const SEALED: &str = "$sealed";

/// Where a continuation stands in the context, and in it what the upstream wants back.
const CONTINUES: &str = "continues";
const STATE: &str = "state";

/// The length of the clear text where the value is a seal. A seal is a leaf: nobody looks inside it.
pub(crate) fn sealed_length(value: &Json) -> Option<i64> {
    value.get(SEALED).and_then(|_| value.get("len")).and_then(Json::as_i64)
}

/// The key that secret arguments are sealed with; one an installation (decisions A7).
#[derive(Clone, Debug)]
pub struct SealKey(Secret<[u8; 32]>);

impl SealKey {
    /// From 32 random bytes kept with the signing keys.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Tells it from any other key, and says nothing else of it.
    #[must_use]
    pub fn id(&self) -> crate::Digest {
        crate::Digest::of("stepup/seal-key/v1\0", &[self.0.expose()])
    }

    /// A key of its own for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> Secret<[u8; 32]> {
        Secret::new(
            *crate::Digest::of("stepup/derived-key/v1\0", &[self.0.expose(), purpose.as_bytes()]).bytes(),
        )
    }

    /// `HMAC-SHA-256(seal key, pointer ‖ 0 ‖ JCS value)`: hides the value, yet the same value seals the same.
    fn seal(&self, pointer: &Pointer, canonical: &str) -> Json {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(pointer.to_string().as_bytes());
        context.update(&[0]);
        context.update(canonical.as_bytes());
        let tag = b64url(context.sign().as_ref());
        let length = u32::try_from(canonical.len()).unwrap_or(u32::MAX);
        Json::object([(SEALED, Json::from(tag)), ("len", Json::from(length))])
    }
}

/// Why arguments cannot become an access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAccess {
    /// Arguments are an object, in every protocol that we speak.
    #[error("the arguments are not an object")]
    NotAnObject,
    /// A member's name holds characters that a person cannot see or compare; its place, made visible.
    #[error("the argument {0} has a name with control, invisible or unassigned characters, or not in NFC")]
    Name(String),
    /// The caller wrote the member that only we may write: wherever it stands, a card would show it as a
    /// secret and hide what is beside it.
    #[error("the argument {0} holds a member \"$sealed\", which callers may not send")]
    Sealed(Pointer),
}

impl Access {
    /// Makes the one value from strictly parsed arguments, sealing those under the secret pointers.
    ///
    /// # Errors
    /// [`NotAnAccess`] when the arguments are not an object, a name in them could deceive, or a caller
    /// tries to write a seal of its own.
    pub fn new(
        subject: Subject,
        action: impl Into<String>,
        resource: Resource,
        mut arguments: Json,
        secrets: &[Pointer],
        key: &SealKey,
    ) -> Result<(Self, Secrets), NotAnAccess> {
        if arguments.as_object().is_none() {
            return Err(NotAnAccess::NotAnObject);
        }
        check_names(&arguments, secrets)?;
        let mut kept = Vec::new();
        for at in outermost(secrets) {
            let Some(value) = at.of_mut(&mut arguments) else { continue };
            let clear = Secret::new(value.text());
            let seal = key.seal(at, clear.expose());
            *value = seal.clone();
            kept.push(Kept { at: at.clone(), seal, clear });
        }
        let context = Json::object([("arguments", arguments)]);
        let secrets = Secrets { arguments: kept, state: None };
        Ok((Self::of(subject, action.into(), resource, context), secrets))
    }

    /// The same access with what the caller sent beside the arguments. The upstream sees it, so it is hashed,
    /// shown and bound like they are (decisions B27); without any it is the same access.
    ///
    /// # Errors
    /// [`NotAnAccess`] when a name in it could deceive.
    pub fn with_meta(self, meta: Object) -> Result<Self, NotAnAccess> {
        if meta.is_empty() {
            return Ok(self);
        }
        let meta = Json::Object(meta);
        check_names(&meta, &[])?;
        let Self { subject, action, resource, mut context, .. } = self;
        if let Json::Object(members) = &mut context {
            members.insert("meta", meta);
        }
        Ok(Self::of(subject, action, resource, context))
    }

    /// The same access as the continuation of an attempt. The upstream sees what is answered, so it is hashed, shown and
    /// bound like the arguments are.
    ///
    /// # Errors
    /// [`NotAnAccess`] when a name in it could deceive.
    pub fn continuing(
        self,
        secrets: Secrets,
        continuation: Continuation,
        key: &SealKey,
    ) -> Result<(Self, Secrets), NotAnAccess> {
        let Continuation { of, round, asked, inputs, state } = continuation;
        let (asked, inputs) = (Json::Object(asked), Json::Object(inputs));
        check_names(&asked, &[])?;
        check_names(&inputs, &[])?;
        let mut continues = Object::new();
        continues.insert("of", of);
        continues.insert("round", u32::from(round));
        continues.insert("asked", asked);
        continues.insert("inputs", inputs);
        let at = Pointer::root().child(CONTINUES).child(STATE);
        let state = state.map(|clear| {
            let clear = Secret::new(Json::from(clear.expose().as_str()).text());
            Kept { seal: key.seal(&at, clear.expose()), at, clear }
        });
        if let Some(kept) = &state {
            continues.insert(STATE, kept.seal.clone());
        }
        let Self { subject, action, resource, mut context, .. } = self;
        if let Json::Object(members) = &mut context {
            members.insert(CONTINUES, continues);
        }
        Ok((Self::of(subject, action, resource, context), Secrets { state, ..secrets }))
    }

    fn of(subject: Subject, action: String, resource: Resource, context: Json) -> Self {
        let hash = AccessHash::of(&canonical(&subject, &action, &resource, &context));
        Self { subject, action, resource, context, hash }
    }

    /// Who.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What is done: `tools/call`, ….
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// To what.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The arguments, secret ones sealed.
    #[must_use]
    pub fn arguments(&self) -> &Object {
        static NONE: Object = Object::new();
        self.context.get("arguments").and_then(Json::as_object).unwrap_or(&NONE)
    }

    /// What the caller sent beside the arguments and the upstream is sent with them; most often nothing.
    #[must_use]
    pub fn meta(&self) -> &Object {
        static NONE: Object = Object::new();
        self.context.get("meta").and_then(Json::as_object).unwrap_or(&NONE)
    }

    /// What the access continues: `of`, `round`, `asked`, `inputs`, and `state` sealed; `None` for a call by itself.
    #[must_use]
    pub fn continues(&self) -> Option<&Object> {
        self.context.get(CONTINUES).and_then(Json::as_object)
    }

    /// SHA-256 over the domain tag and the canonical form.
    #[must_use]
    pub const fn hash(&self) -> AccessHash {
        self.hash
    }

    /// The canonical form, in AuthZEN's four members.
    #[must_use]
    pub fn to_json(&self) -> Json {
        canonical(&self.subject, &self.action, &self.resource, &self.context)
    }

    /// The access that was written by [`Access::to_json`]; `None` where the shape is another.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let text = |at: &Json, name: &str| at.get(name).and_then(Json::as_str).map(str::to_owned);
        let (subject, resource) = (json.get("subject")?, json.get("resource")?);
        let (who, what) = (subject.get("properties")?, resource.get("properties")?);
        let digest = |name: &str| what.get(name)?.as_str()?.parse().ok();
        let act = who
            .get("act")?
            .as_array()?
            .iter()
            .map(|a| a.as_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let subject = Subject {
            kind: text(subject, "type")?,
            id: text(subject, "id")?,
            owner: text(who, "owner")?,
            act,
        };
        let resource = Resource {
            kind: text(resource, "type")?,
            id: text(resource, "id")?,
            definition: crate::DefinitionHash::from_digest(digest("definition")?),
            upstream: crate::hash::UpstreamHash::from_digest(digest("upstream")?),
        };
        let action = text(json.get("action")?, "name")?;
        let context = json.get("context")?.clone();
        let access = Self::of(subject, action, resource, context);
        (access.to_json() == *json).then_some(access)
    }

    /// The arguments that a requirement's `binds` leaves free: the approver is shown them as "any".
    #[must_use]
    pub fn free(&self, binds: &Binds) -> Vec<Pointer> {
        split(self.arguments(), self.binding(binds)).1
    }

    /// The hash that a grant matches: this access without its free arguments, and the list of those.
    #[must_use]
    pub fn bind_hash(&self, binds: &Binds) -> BindHash {
        let (bound, free) = split(self.arguments(), self.binding(binds));
        let mut context = self.context.clone();
        if let Json::Object(members) = &mut context {
            members.insert("arguments", bound);
        }
        let access = canonical(&self.subject, &self.action, &self.resource, &context);
        BindHash::of(&Json::object([("access", access), ("free", Json::from(free))]))
    }
}

impl Access {
    /// What binds of it. A resource is its URI, which no requirement leaves open, and a change of this installation is what
    /// was shown of it.
    fn binding<'b>(&self, binds: &'b Binds) -> &'b Binds {
        match Kind::named(&self.resource.kind) {
            Some(Kind::Resource | Kind::Installation) => &Binds::Everything,
            Some(Kind::Tool | Kind::Prompt | Kind::Route | Kind::Operation) | None => binds,
        }
    }

    /// The upstream that it reaches; `None` for what changes this installation.
    #[must_use]
    pub fn reaches(&self) -> Option<&str> {
        let own = self.resource.kind == Kind::Installation.name();
        (!own).then(|| self.resource.upstream_name())
    }
}

impl Secrets {
    /// The arguments in clear, for the exit. The only place where secrets and access meet again.
    ///
    /// # Errors
    /// The place where seal and secret are not of each other, or of a seal that is left over: then nothing
    /// may be forwarded.
    pub fn open(&self, access: &Access) -> Result<Json, Pointer> {
        let mut arguments = Json::Object(access.arguments().clone());
        for Kept { at, seal, clear } in &self.arguments {
            let place = at.of_mut(&mut arguments).filter(|value| *value == seal).ok_or_else(|| at.clone())?;
            let value = json::parse_within(clear.expose().as_bytes(), Limits::OURS);
            *place = value.map_err(|_| at.clone())?;
        }
        find_name(&arguments, &|name| name == SEALED).map_or(Ok(arguments), Err)
    }

    /// What the upstream wants back of a continuation, in clear, for the exit.
    ///
    /// # Errors
    /// The place of the seal, where seal and secret are not of each other: then nothing may be forwarded.
    pub fn open_state(&self, access: &Access) -> Result<Option<Json>, Pointer> {
        let at = || Pointer::root().child(CONTINUES).child(STATE);
        match (access.continues().and_then(|continues| continues.get(STATE)), &self.state) {
            (None, None) => Ok(None),
            (Some(sealed), Some(Kept { seal, clear, .. })) if sealed == seal => {
                let value = json::parse_within(clear.expose().as_bytes(), Limits::OURS);
                value.map(Some).map_err(|_| at())
            }
            (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => Err(at()),
        }
    }

    /// Whether there are none, so that the access itself is the whole request.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.arguments.is_empty() && self.state.is_none()
    }
}

fn canonical(subject: &Subject, action: &str, resource: &Resource, context: &Json) -> Json {
    Json::object([
        (
            "subject",
            Json::object([
                ("type", Json::from(subject.kind.as_str())),
                ("id", Json::from(subject.id.as_str())),
                (
                    "properties",
                    Json::object([
                        ("owner", Json::from(subject.owner.as_str())),
                        ("act", Json::from(subject.act.clone())),
                    ]),
                ),
            ]),
        ),
        ("action", Json::object([("name", action)])),
        (
            "resource",
            Json::object([
                ("type", Json::from(resource.kind.as_str())),
                ("id", Json::from(resource.id.as_str())),
                (
                    "properties",
                    Json::object([
                        ("definition", Json::from(resource.definition)),
                        ("upstream", Json::from(resource.upstream)),
                    ]),
                ),
            ]),
        ),
        ("context", context.clone()),
    ])
}

/// The arguments that bind, and the places of those that do not.
fn split(arguments: &Object, binds: &Binds) -> (Object, Vec<Pointer>) {
    match binds {
        Binds::Everything => (arguments.clone(), Vec::new()),
        Binds::Pointers(bound) => {
            let mut free = Vec::new();
            let bound: Vec<&Pointer> = bound.iter().collect();
            let kept = keep(&Pointer::root(), arguments, &bound, &mut free);
            (kept, free)
        }
    }
}

fn keep(at: &Pointer, members: &Object, bound: &[&Pointer], free: &mut Vec<Pointer>) -> Object {
    let mut kept = Object::new();
    for (name, value) in members.iter() {
        let here = at.child(name);
        if bound.iter().any(|b| b.covers(&here)) {
            kept.insert(name, value.clone());
        } else if !bound.iter().any(|b| here.covers(b)) {
            free.push(here);
        } else if let (Json::Object(inner), None) = (value, sealed_length(value)) {
            kept.insert(name, keep(&here, inner, bound, free));
        } else {
            // What is bound lies inside an array or a seal: they bind as a whole or not at all.
            kept.insert(name, value.clone());
        }
    }
    kept
}

/// The secret pointers that lie in no other: what is sealed as a whole has no inside.
fn outermost(secrets: &[Pointer]) -> Vec<&Pointer> {
    let sorted: BTreeSet<&Pointer> = secrets.iter().collect(); // an outer pointer sorts before its inner ones
    let mut outer: Vec<&Pointer> = Vec::new();
    for pointer in sorted {
        if !outer.iter().any(|o| o.covers(pointer)) {
            outer.push(pointer);
        }
    }
    outer
}

/// Refuses names that could deceive. What lies inside a secret is told by the secret's place only.
fn check_names(arguments: &Json, secrets: &[Pointer]) -> Result<(), NotAnAccess> {
    let shown = |at: Pointer| secrets.iter().find(|secret| secret.covers(&at)).cloned().unwrap_or(at);
    if let Some(at) = find_name(arguments, &|name| name == SEALED) {
        return Err(NotAnAccess::Sealed(shown(at)));
    }
    find_name(arguments, &|name| !text::plain_name(name))
        .map_or(Ok(()), |at| Err(NotAnAccess::Name(text::visible(&shown(at).to_string()))))
}

/// Where the first member with such a name is.
fn find_name(value: &Json, such: &impl Fn(&str) -> bool) -> Option<Pointer> {
    match value {
        Json::Object(members) => members.iter().find_map(|(name, member)| {
            let here = such(name).then(Pointer::root);
            here.or_else(|| find_name(member, such)).map(|at| at.within(name))
        }),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| find_name(item, such).map(|at| at.within(i.to_string()))),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}
