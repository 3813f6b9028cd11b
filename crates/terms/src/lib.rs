//! The vocabulary of stepup: what every other crate talks about, and nothing that does anything.
//!
//! Floor 0 (see ARCHITECTURE.md): no I/O, no clock, no crate of ours. A value of these types is either
//! well formed or does not exist: JSON is canonical by construction, ids are distinct types, hashes carry
//! their domain, secrets cannot be printed.

pub mod abilities;
pub mod access;
pub mod action;
pub mod ambient;
pub mod caller;
pub mod card;
pub mod claim;
pub mod hash;
pub mod ids;
pub mod json;
pub mod level;
pub mod method;
pub mod outcome;
pub mod part;
pub mod pointer;
pub mod requirement;
pub mod revision;
pub mod route;
pub mod sealed;
pub mod secret;
pub mod slug;
pub mod sole;
pub mod statement;
pub mod text;
pub mod time;
pub mod touch;
pub mod uri;
pub mod words;

pub use abilities::Abilities;
pub use access::{Access, Continuation, Secrets};
pub use action::{Action, Kind};
pub use ambient::{Ambient, Seam};
pub use caller::{Caller, CallerKind};
pub use hash::{
    AccessHash, BindHash, CardHash, DefinitionHash, Digest, PolicyHash, RequirementHash, UpstreamHash,
};
pub use ids::{
    AttemptId, BootId, CallerId, ElevationId, GrantId, HumanId, InstallId, KeyId, LockId, PinId, RecordId,
};
pub use json::Json;
pub use level::Level;
pub use method::Method;
pub use outcome::Outcome;
pub use part::Part;
pub use pointer::Pointer;
pub use requirement::{Binds, Requirement, Terms, Tree};
pub use revision::{Feature, Revision};
pub use route::Route;
pub use sealed::Sealer;
pub use secret::Secret;
pub use slug::Slug;
pub use sole::sole;
pub use time::{Boottime, Millis, Time};
pub use touch::{Touch, Touched};
pub use uri::{NotAUri, Uri, UriTemplate};
