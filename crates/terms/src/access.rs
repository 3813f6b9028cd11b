//! The access: what is judged, shown, signed, bound and forwarded is this one value (invariant 6).

use aws_lc_rs::hmac;

use crate::hash::{AccessHash, BindHash, b64url};
use crate::json::{Json, Object};
use crate::requirement::Binds;
use crate::secret::Secret;
use crate::{Pointer, text};

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
    /// `tool`, and later `resource`, `prompt`, `route`, ….
    pub kind: String,
    /// `upstream/name`.
    pub id: String,
    /// The pinned definition that was shown and judged.
    pub definition: crate::DefinitionHash,
    /// What the upstream is: its configuration and files.
    pub upstream: crate::hash::UpstreamHash,
}

/// One caller's one attempt, canonical. Secret arguments are sealed in it; see [`Secrets`].
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    subject: Subject,
    action: String,
    resource: Resource,
    /// `{"arguments": …}`, or what a continuation carries.
    context: Json,
    hash: AccessHash,
}

/// The clear values of the secret arguments of one access, on their way to [`Secrets::open`] and nowhere else.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<(Pointer, Secret<String>)>);

/// The key that secret arguments are sealed with; one an installation (decisions A7).
#[derive(Clone, Debug)]
pub struct SealKey(Secret<[u8; 32]>);

impl SealKey {
    /// From 32 random bytes kept with the signing keys.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
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
        Json::object([("$sealed", Json::from(tag)), ("len", Json::from(length))])
    }
}

/// Why arguments cannot become an access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAccess {
    /// Arguments are an object, in every protocol that we speak.
    #[error("the arguments are not an object")]
    NotAnObject,
    /// A member's name holds characters that a person cannot see or compare.
    #[error("the argument name {0} holds control, invisible or unassigned characters")]
    Name(String),
    /// The caller wrote what only we may write at a secret's place.
    #[error("the argument {0} holds a member \"$sealed\", which callers may not send there")]
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
        check_names(&arguments)?;
        let mut kept = Vec::new();
        for pointer in secrets {
            let Some(value) = pointer.of_mut(&mut arguments) else { continue };
            if value.get("$sealed").is_some() {
                return Err(NotAnAccess::Sealed(pointer.clone()));
            }
            let canonical = value.text();
            *value = key.seal(pointer, &canonical);
            kept.push((pointer.clone(), Secret::new(canonical)));
        }
        let context = Json::object([("arguments", arguments)]);
        Ok((Self::of(subject, action.into(), resource, context), Secrets(kept)))
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

    /// What is done: `tools/call`.
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
        split(self.arguments(), binds).1
    }

    /// The hash that a grant matches: this access without its free arguments, and the list of those.
    #[must_use]
    pub fn bind_hash(&self, binds: &Binds) -> BindHash {
        let (bound, free) = split(self.arguments(), binds);
        let mut context = self.context.clone();
        if let Json::Object(members) = &mut context {
            members.insert("arguments", bound);
        }
        let access = canonical(&self.subject, &self.action, &self.resource, &context);
        BindHash::of(&Json::object([("access", access), ("free", Json::from(free))]))
    }
}

impl Secrets {
    /// The arguments in clear, for the exit. The only place where secrets and access meet again.
    ///
    /// # Errors
    /// The pointer of a secret that the access does not hold sealed: then nothing may be forwarded.
    pub fn open(&self, access: &Access) -> Result<Json, Pointer> {
        let mut arguments = Json::Object(access.arguments().clone());
        for (pointer, secret) in &self.0 {
            let sealed = pointer.of_mut(&mut arguments).filter(|v| v.get("$sealed").is_some());
            let place = sealed.ok_or_else(|| pointer.clone())?;
            let clear = crate::json::parse(secret.expose().as_bytes());
            *place = clear.map_err(|_| pointer.clone())?;
        }
        Ok(arguments)
    }

    /// Whether there are none, so that the access itself is the whole request.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        } else if let (true, Json::Object(inner)) = (bound.iter().any(|b| here.covers(b)), value) {
            kept.insert(name, keep(&here, inner, bound, free));
        } else {
            free.push(here);
        }
    }
    kept
}

fn check_names(value: &Json) -> Result<(), NotAnAccess> {
    match value {
        Json::Object(members) => members.iter().try_for_each(|(name, member)| {
            if text::plain_name(name) {
                check_names(member)
            } else {
                Err(NotAnAccess::Name(text::visible(name)))
            }
        }),
        Json::Array(items) => items.iter().try_for_each(check_names),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}
