//! The bodies of records, a struct a kind where [`verify`](mod@crate::verify) reads them or their members matter to others.
//! `docs/records.md` says what each member means; a test holds page and structs equal.
//!
//! Every struct is written and read with exactly its own members; what is absent is `null`.

use std::collections::BTreeSet;

use terms::caller::Caller;
use terms::json::Object;
use terms::statement::{Role, Statement};
use terms::{
    Access, AccessHash, BindHash, BootId, CallerId, CardHash, Digest, ElevationId, GrantId, HumanId,
    InstallId, Json, KeyId, LockId, Millis, PinId, PolicyHash, Requirement, RequirementHash, Time, Touched,
};

pub use terms::Outcome;

use crate::record::{Draft, Kind, Refs};

/// The body of records of one kind.
pub trait Body: Sized {
    /// The kind.
    const KIND: Kind;

    /// The body as it is recorded.
    fn to_json(&self) -> Json;

    /// What [`Body::to_json`] wrote; `None` for any other shape.
    fn from_json(json: Json) -> Option<Self>;
}

impl Draft {
    /// A draft whose kind is that of its body.
    #[must_use]
    pub fn of<B: Body>(id: terms::RecordId, at: Time, node: &str, refs: Refs, body: &B) -> Self {
        Self { id, at, node: node.to_owned(), kind: B::KIND, refs, body: body.to_json() }
    }
}

/// A value that can be a member of a body.
trait Member: Sized {
    fn write(&self) -> Json;
    fn read(json: Json) -> Option<Self>;

    /// Whether it is left out of the body: only what came later than logs in which it is not, and only where there is nothing to say.
    fn left_out(&self) -> bool {
        false
    }

    /// What it is where it was left out.
    fn absent() -> Option<Self> {
        None
    }
}

/// A member that is there as it is always written, or not.
fn read_or_absent<T: Member>(member: Option<Json>) -> Option<T> {
    match member {
        Some(json) => T::read(json).filter(|member| !member.left_out()),
        None => T::absent(),
    }
}

/// Structs whose members are written and read by their own names.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident $(= $kind:ident)? { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$member_doc])* pub $member: $type,)*
        }

        impl $name {
            /// As it is recorded.
            #[must_use]
            pub fn to_json(&self) -> Json {
                let mut members = Object::new();
                $(if !self.$member.left_out() {
                    members.insert(stringify!($member), self.$member.write());
                })*
                Json::Object(members)
            }

            /// What [`to_json`](Self::to_json) wrote; `None` for any other shape.
            #[must_use]
            pub fn from_json(json: Json) -> Option<Self> {
                let Json::Object(mut members) = json else { return None };
                let value = Self {
                    $($member: read_or_absent(members.remove(stringify!($member)))?,)*
                };
                members.is_empty().then_some(value)
            }
        }

        impl Member for $name {
            fn write(&self) -> Json {
                self.to_json()
            }

            fn read(json: Json) -> Option<Self> {
                Self::from_json(json)
            }
        }

        $(impl Body for $name {
            const KIND: Kind = Kind::$kind;

            fn to_json(&self) -> Json {
                self.to_json()
            }

            fn from_json(json: Json) -> Option<Self> {
                Self::from_json(json)
            }
        })?
    )*};
}

members! {
    /// Who asked.
    Who {
        /// The caller's name.
        name: String,
        /// Its owner's name.
        owner: String,
        /// Whom it acts through, outermost first.
        act: Vec<String>,
        /// Every human behind it: none of them may approve.
        roots: BTreeSet<HumanId>,
        /// The key it authenticated with.
        key: KeyId,
        /// The first characters of that key.
        key_prefix: String,
        /// Whether it proved a key rather than carried one.
        key_bound: bool,
        /// The address that the request came from.
        source: String,
    }

    /// The relying party that passkeys are made for.
    RelyingParty {
        /// The RP ID.
        id: String,
        /// The origins that pages may have.
        origins: Vec<String>,
    }

    /// An act that a person signed: what for, and what was signed.
    Signed {
        /// Who signed.
        human: HumanId,
        /// With which credential, base64url.
        credential: String,
        /// What was signed.
        statement: Statement,
        /// What the statement's `subject_hash` is of; see [`subject_hash`].
        subject: Json,
        /// `clientDataJSON`, `authenticatorData` and `signature`, base64url.
        assertion: Json,
    }

    /// A node started.
    Started = Started {
        /// The installation.
        install: InstallId,
        /// This run of this node.
        boot: BootId,
        /// The version of stepup.
        version: String,
        /// The relying party as configured.
        rp: RelyingParty,
    }

    /// The store was restored from a backup, and a person acknowledged the fork.
    Restored = Restored {
        /// The installation.
        install: InstallId,
        /// How many leaves the restored log had: whatever came after is lost.
        lost_from: u32,
        /// Why.
        why: String,
        /// The signed acknowledgement, where passkeys were enrolled.
        signed: Option<Signed>,
    }

    /// An access was permitted by policy alone.
    Permitted = Permitted {
        /// Who asked.
        caller: Who,
        /// What for; see [`logged`].
        access: Json,
        /// Its hash.
        access_hash: AccessHash,
        /// The ids of the rules that determined it.
        by: Vec<String>,
    }

    /// An access was stopped, and an elevation opened.
    Challenged = Challenged {
        /// Who asked.
        caller: Who,
        /// What for, in full.
        access: Json,
        /// Its hash.
        access_hash: AccessHash,
        /// The ids of the rules that determined it.
        by: Vec<String>,
        /// What it takes, and what the grant will be.
        requirement: Requirement,
        /// Its hash.
        requirement_hash: RequirementHash,
        /// Until when the elevation waits.
        expires_at: Time,
        /// Why, as the caller says.
        purpose: Option<String>,
        /// Under which ticket, as the caller says.
        ticket: Option<String>,
        /// Why a grant that looked like fitting did not: `grant_expired`, `grant_spent`, ….
        why: Option<String>,
    }

    /// An access was permitted by a grant, one use of which it took.
    Spent = Spent {
        /// Who asked.
        caller: Who,
        /// What for; see [`logged`].
        access: Json,
        /// Its hash.
        access_hash: AccessHash,
        /// The ids of the rules that determined it.
        by: Vec<String>,
        /// What of the access the grant binds, hashed.
        bind_hash: BindHash,
        /// What today's policy asks for.
        requirement_hash: RequirementHash,
    }

    /// An access was denied, or many were within one minute.
    Denied = Denied {
        /// Who asked.
        caller: Who,
        /// What for; see [`logged`]. `null` where it did not become an access, or many are counted.
        access: Option<Json>,
        /// Its hash.
        access_hash: Option<AccessHash>,
        /// The ids of the rules that determined it.
        by: Vec<String>,
        /// The error that the caller was given.
        slug: String,
        /// What people are told beyond that.
        why: Option<String>,
        /// How many.
        count: u32,
    }

    /// An attempt ended, or its end is unknown.
    Settled = Settled {
        /// How.
        outcome: Outcome,
        /// Whether the caller was still there for the answer; `null` where there was none.
        delivered: Option<bool>,
        /// From the permit to the outcome.
        took: Option<Millis>,
        /// What people are told beyond that.
        why: Option<String>,
        /// What it touched; left out where nothing is said to be. A `key` of `null` may be any.
        touched: Touches,
        /// The upstream whose new credential its answer held, which is in force since; left out where there was none.
        captured: Captured,
    }

    /// A person said how an attempt of unknown end had ended.
    Resolved = Resolved {
        /// How: never `unknown`.
        outcome: Outcome,
        /// What the person says.
        why: String,
        /// The signed act `resolve`.
        signed: Signed,
    }

    /// Who was told that it may run something said how that had ended. Its word.
    Reported = Reported {
        /// How: `done` or `failed`.
        outcome: Outcome,
        /// What it says beyond that.
        says: Option<String>,
    }

    /// Rules that are only tried would have stopped what ran.
    Shadowed = Shadowed {
        /// Who asked.
        caller: Who,
        /// What was reached for: `upstream/name`.
        resource: String,
        /// The ids of those rules.
        by: Vec<String>,
        /// The name of what they would have asked for; `null` where they would have denied it.
        requirement: Option<String>,
        /// The groups that approvals would have been asked from.
        from: Vec<String>,
    }

    /// A caller asked what there is, and was shown some of it.
    Listed = Listed {
        /// The upstream.
        upstream: String,
        /// What was listed: `tools`, `prompts`, ….
        what: String,
        /// How many names were shown.
        count: u32,
        /// The digest of those names.
        names: Digest,
    }

    /// A caller asked what a call would come to, and was told.
    Preflighted = Preflighted {
        /// Who asked.
        caller: Who,
        /// What it would reach for: `upstream/name`.
        resource: String,
        /// What for; see [`logged`]. `null` where the arguments were left out.
        access: Option<Json>,
        /// Its hash.
        access_hash: Option<AccessHash>,
        /// The ids of the rules that determine it.
        by: Vec<String>,
        /// What it would come to: `permitted`, `needs_approval`, `depends`, `denied`.
        ruling: String,
        /// The name of what it would take, or may.
        requirement: Option<String>,
        /// The error that the caller would be given.
        slug: Option<String>,
    }

    /// A person signed consent to an elevation.
    Voted = Voted {
        /// Who signed: an identity.
        human: HumanId,
        /// Its name then.
        name: String,
        /// The one person behind it.
        root: HumanId,
        /// With which credential, base64url.
        credential: String,
        /// What was signed.
        statement: Statement,
        /// What was shown.
        card: Json,
        /// `clientDataJSON`, `authenticatorData` and `signature`, base64url.
        assertion: Json,
    }

    /// One who voted, as it counted.
    Voter {
        /// The identity that voted.
        human: HumanId,
        /// The one person behind it.
        root: HumanId,
        /// In which capacity.
        role: Role,
        /// The groups that the person was in when the requirement was met.
        groups: BTreeSet<String>,
    }

    /// One leaf of the requirement, and who fills it.
    Matched {
        /// The part of the requirement.
        part: String,
        /// The leaf in plain words.
        leaf: String,
        /// The persons who fill it.
        by: Vec<HumanId>,
    }

    /// An elevation's requirement was met, and a grant issued.
    Granted = Granted {
        /// The access that was approved.
        access_hash: AccessHash,
        /// What it took, and what the grant is.
        requirement: Requirement,
        /// Its hash, which every vote signed.
        requirement_hash: RequirementHash,
        /// Which votes fill which leaves.
        matching: Vec<Matched>,
        /// Everyone who voted.
        voters: Vec<Voter>,
        /// Every human behind the caller then.
        roots: BTreeSet<HumanId>,
        /// Every human who had touched what it touches; left out where there is none.
        preparers: Preparers,
        /// Why, as the caller said.
        purpose: Option<String>,
        /// Under which ticket, as the caller said.
        ticket: Option<String>,
        /// Whether the caller had proved a key.
        key_bound: bool,
        /// What of the access the grant binds, hashed.
        bind_hash: BindHash,
        /// How often it may be spent.
        uses: u32,
        /// Until when.
        not_after: Time,
    }

    /// A person rejected an elevation.
    Rejected = Rejected {
        /// Who.
        human: HumanId,
        /// The person's name then.
        name: String,
        /// Why; the caller is told.
        reason: String,
    }

    /// An elevation's time ran out.
    Expired = Expired {
        /// When it did.
        expires_at: Time,
    }

    /// An elevation was taken back by its caller, a person behind it or an operator.
    Withdrawn = Withdrawn {
        /// Who: the id of a caller or a human, or `os:` and the uid of an operator.
        by: String,
        /// Why.
        why: Option<String>,
    }

    /// An elevation made room for another because what it takes had changed, or was a change of rules that are not in force any more.
    Superseded = Superseded {
        /// The other, where one was opened.
        by: Option<ElevationId>,
        /// Why: `requirement_changed`, `rules_changed`, ….
        why: String,
    }

    /// Somebody could not be told of something, and is not tried any more.
    NotTold = NotTold {
        /// The channel; empty where there was none yet.
        channel: String,
        /// Whom it would have reached; empty for a webhook.
        recipient: String,
        /// What it would have told of: `elevation.opened`, ….
        event: String,
        /// How many notifications.
        count: u32,
        /// How often it was tried.
        tries: u32,
        /// Since when it waited.
        since: Option<Time>,
        /// Why not, in words of ours.
        why: String,
    }

    /// Grants were taken back.
    Revoked = Revoked {
        /// Which.
        grants: Vec<GrantId>,
        /// Who: the id of a human, or `os:` and a user id.
        by: String,
        /// Why.
        why: String,
    }

    /// What a lock stops.
    Subject {
        /// Of what kind.
        kind: SubjectKind,
        /// The id of the caller or the human, the name of the upstream; empty for everything.
        id: String,
    }

    /// A caller, a human, an upstream or everything was stopped.
    Locked = Locked {
        /// The lock.
        lock: LockId,
        /// What it stops.
        subject: Subject,
        /// Until when; `null` until it is lifted.
        until: Option<Time>,
        /// Who: the id of a human, or `os:` and a user id.
        by: String,
        /// Why.
        why: String,
    }

    /// A lock was lifted.
    Unlocked = Unlocked {
        /// The lock.
        lock: LockId,
        /// Why.
        why: String,
        /// The signed act `unlock`.
        signed: Signed,
    }

    /// A policy revision was proposed.
    PolicyProposed = PolicyProposed {
        /// Its hash.
        policy: PolicyHash,
        /// Who.
        by: String,
    }

    /// A policy revision came into force.
    PolicyActivated = PolicyActivated {
        /// Its hash.
        policy: PolicyHash,
        /// The epoch from which on it is in force.
        epoch: u32,
        /// Who.
        by: String,
        /// Whose account that is, where it is known.
        human: Option<HumanId>,
    }

    /// A policy revision came into force without asking the rules that were: whoever was locked out by them had the store and
    /// the keys to themselves.
    PolicyRecovered = PolicyRecovered {
        /// Its hash.
        policy: PolicyHash,
        /// Who.
        by: String,
        /// Whose account that is, where it is known.
        human: Option<HumanId>,
    }

    /// A proposed policy revision was refused.
    PolicyRefused = PolicyRefused {
        /// Its hash, where it could be read.
        policy: Option<PolicyHash>,
        /// Why.
        why: String,
        /// Who proposed it.
        by: String,
    }

    /// One definition of one upstream.
    Definition {
        /// The pin.
        pin: PinId,
        /// `tool`, `prompt`, ….
        kind: String,
        /// Its name.
        name: String,
        /// Its digest.
        digest: Digest,
    }

    /// Definitions were seen for the first time at first contact with an upstream, and pinned.
    Pinned = Pinned {
        /// The upstream.
        upstream: String,
        /// What was pinned.
        definitions: Vec<Definition>,
    }

    /// A definition changed or appeared, and is stopped until a person accepts it.
    Quarantined = Quarantined {
        /// The upstream.
        upstream: String,
        /// What is stopped.
        definitions: Vec<Definition>,
        /// `changed`, `new`, `identity`.
        why: String,
    }

    /// A person accepted a definition.
    PinAccepted = PinAccepted {
        /// The upstream.
        upstream: String,
        /// Which.
        definition: Definition,
        /// What the person says that it does: `read-only`, `acts`.
        reviewed: Option<String>,
        /// Who.
        by: String,
        /// The signed act `accept`.
        signed: Option<Signed>,
    }

    /// A person refused a definition.
    PinRefused = PinRefused {
        /// The upstream.
        upstream: String,
        /// Which.
        definition: Definition,
        /// Who.
        by: String,
    }

    /// A human enrolled a passkey.
    PasskeyEnrolled = PasskeyEnrolled {
        /// Whose.
        human: HumanId,
        /// The credential's id, base64url.
        credential: String,
        /// The COSE public key, base64url.
        public_key: String,
        /// The authenticator's model, 32 hexadecimal digits.
        aaguid: String,
        /// The signature counter.
        sign_count: u32,
        /// Whether the key may have copies.
        backup_eligible: bool,
        /// Whether it has.
        backed_up: bool,
        /// Who let the human enrol: whoever invited, or the human with another passkey.
        by: String,
        /// The signed act `add-passkey`, where the human did it with another passkey.
        signed: Option<Signed>,
    }

    /// A passkey was revoked.
    PasskeyRevoked = PasskeyRevoked {
        /// The credential's id, base64url.
        credential: String,
        /// Who.
        by: String,
        /// Why.
        why: String,
    }

    /// The body of a record was erased.
    Erased = Erased {
        /// The leaf of that record, from 0.
        leaf: u32,
        /// Who.
        by: String,
        /// Why.
        why: String,
    }
}

impl Member for Outcome {
    fn write(&self) -> Json {
        Json::from(self.name())
    }

    fn read(json: Json) -> Option<Self> {
        Self::named(json.as_str()?)
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Each with its name.
            pub const TABLE: &[(Self, &'static str)] = &[$((Self::$variant, $text),)*];

            /// The name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::TABLE.iter().find(|(_, n)| *n == name).map(|(one, _)| *one)
            }
        }

        impl Member for $name {
            fn write(&self) -> Json {
                Json::from(self.name())
            }

            fn read(json: Json) -> Option<Self> {
                Self::named(json.as_str()?)
            }
        }
    )*};
}

names! {
    /// What a lock can stop.
    SubjectKind {
        /// Everything.
        All "all",
        /// One caller.
        Caller "caller",
        /// Every caller behind which this human stands.
        Human "human",
        /// Every access to one upstream.
        Upstream "upstream",
    }
}

/// What a statement about an act signs of its subject: `SHA-256("stepup/subject/v1\0" ‖ JCS)`.
#[must_use]
pub fn subject_hash(subject: &Json) -> Digest {
    Digest::of("stepup/subject/v1\0", &[subject.text().as_bytes()])
}

/// How much of an access is recorded (`[log] arguments`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Everything; secrets are sealed in it.
    Full,
    /// Everything but the arguments, of which only the access hash speaks.
    Digest,
}

/// An access as it is recorded. Without its arguments it has no member `context`.
#[must_use]
pub fn logged(access: &Access, arguments: Arguments) -> Json {
    let mut json = access.to_json();
    match (arguments, &mut json) {
        (Arguments::Digest, Json::Object(members)) => drop(members.remove("context")),
        (
            Arguments::Full | Arguments::Digest,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_),
        ) => {}
    }
    json
}

impl Who {
    /// From the authenticated caller and the address that its request came from.
    #[must_use]
    pub fn of(caller: &Caller, source: &str) -> Self {
        Self {
            name: caller.name.clone(),
            owner: caller.owner.clone(),
            act: caller.act.clone(),
            roots: caller.roots.clone(),
            key: caller.key,
            key_prefix: caller.key_prefix.clone(),
            key_bound: caller.key_bound,
            source: source.to_owned(),
        }
    }
}

macro_rules! ids {
    ($($type:ty),*) => {$(
        impl Member for $type {
            fn write(&self) -> Json {
                Json::from(*self)
            }

            fn read(json: Json) -> Option<Self> {
                json.as_str()?.parse().ok()
            }
        }
    )*};
}

ids!(BootId, CallerId, ElevationId, GrantId, HumanId, InstallId, KeyId, LockId, PinId);

macro_rules! hashes {
    ($($type:ty),*) => {$(
        impl Member for $type {
            fn write(&self) -> Json {
                Json::from(*self)
            }

            fn read(json: Json) -> Option<Self> {
                json.as_str()?.parse().ok().map(Self::from_digest)
            }
        }
    )*};
}

hashes!(AccessHash, BindHash, CardHash, PolicyHash, RequirementHash);

impl Member for Digest {
    fn write(&self) -> Json {
        Json::from(self.to_string())
    }

    fn read(json: Json) -> Option<Self> {
        json.as_str()?.parse().ok()
    }
}

impl Member for Json {
    fn write(&self) -> Json {
        self.clone()
    }

    fn read(json: Json) -> Option<Self> {
        Some(json)
    }
}

impl Member for String {
    fn write(&self) -> Json {
        Json::from(self.as_str())
    }

    fn read(json: Json) -> Option<Self> {
        if let Json::String(text) = json { Some(text) } else { None }
    }
}

impl Member for bool {
    fn write(&self) -> Json {
        Json::from(*self)
    }

    fn read(json: Json) -> Option<Self> {
        json.as_bool()
    }
}

impl Member for u32 {
    fn write(&self) -> Json {
        Json::from(*self)
    }

    fn read(json: Json) -> Option<Self> {
        Self::try_from(json.as_i64()?).ok()
    }
}

impl Member for Time {
    fn write(&self) -> Json {
        Json::from(*self)
    }

    fn read(json: Json) -> Option<Self> {
        json.as_i64().map(Self::from_millis)
    }
}

impl Member for Millis {
    fn write(&self) -> Json {
        Json::from(*self)
    }

    fn read(json: Json) -> Option<Self> {
        u64::try_from(json.as_i64()?).ok().map(Self::new)
    }
}

impl Member for Role {
    fn write(&self) -> Json {
        Json::from(self.name())
    }

    fn read(json: Json) -> Option<Self> {
        Self::named(json.as_str()?)
    }
}

impl Member for Statement {
    fn write(&self) -> Json {
        self.to_json()
    }

    fn read(json: Json) -> Option<Self> {
        Self::from_json(&json)
    }
}

impl Member for Requirement {
    fn write(&self) -> Json {
        self.to_json()
    }

    fn read(json: Json) -> Option<Self> {
        Self::from_json(&json)
    }
}

/// What an attempt touched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Touches(pub Vec<Touched>);

/// The upstream that an answer held a new credential of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured(pub Option<String>);

impl Member for Captured {
    fn write(&self) -> Json {
        self.0.write()
    }

    fn read(json: Json) -> Option<Self> {
        String::read(json).map(|upstream| Self(Some(upstream)))
    }

    fn left_out(&self) -> bool {
        self.0.is_none()
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }
}

/// Who touched before what is touched now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preparers(pub BTreeSet<HumanId>);

macro_rules! later {
    ($($type:ty),*) => {$(
        impl Member for $type {
            fn write(&self) -> Json {
                self.0.write()
            }

            fn read(json: Json) -> Option<Self> {
                Member::read(json).map(Self)
            }

            fn left_out(&self) -> bool {
                self.0.is_empty()
            }

            fn absent() -> Option<Self> {
                Some(Self::default())
            }
        }
    )*};
}

later!(Touches, Preparers);

impl Member for Touched {
    fn write(&self) -> Json {
        Json::object([("kind", Json::from(self.kind.as_str())), ("key", Json::from(self.key.clone()))])
    }

    fn read(json: Json) -> Option<Self> {
        let Json::Object(mut members) = json else { return None };
        let kind = Member::read(members.remove("kind")?)?;
        let key = Member::read(members.remove("key")?)?;
        members.is_empty().then_some(Self { kind, key })
    }
}

impl<T: Member> Member for Option<T> {
    fn write(&self) -> Json {
        self.as_ref().map_or(Json::Null, Member::write)
    }

    fn read(json: Json) -> Option<Self> {
        if json.is_null() { Some(None) } else { T::read(json).map(Some) }
    }
}

impl<T: Member> Member for Vec<T> {
    fn write(&self) -> Json {
        Json::Array(self.iter().map(Member::write).collect())
    }

    fn read(json: Json) -> Option<Self> {
        if let Json::Array(items) = json { items.into_iter().map(T::read).collect() } else { None }
    }
}

impl<T: Member + Ord> Member for BTreeSet<T> {
    fn write(&self) -> Json {
        Json::Array(self.iter().map(Member::write).collect())
    }

    fn read(json: Json) -> Option<Self> {
        Vec::read(json).map(|items| items.into_iter().collect())
    }
}
