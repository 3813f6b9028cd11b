//! The one exit: what goes to an upstream goes through here, and only with a Permit.
//!
//! Two doors lead out, and no third (invariant 1, decisions A9, A10): [`forward`] takes a Permit and writes the one call
//! that it permits; [`Link::errand`] says what stepup itself says to an upstream, from a closed list without a byte of
//! any caller in it. No other crate knows an HTTP client towards upstreams, or starts a child process.

mod answer;
pub mod client;
mod code;
mod config;
mod errand;
mod forward;
mod identity;
mod inert;
pub mod launcher;
mod link;
mod message;
mod mirror;
mod modern;
mod raw;
mod transport;
mod upstreams;

pub use answer::{Answer, Fault, Progress, RawJson};
pub use code::Code;
pub use config::{
    Config, ConfigError, Credential, DEFAULT_PATH, Eras, Http, Isolation, Share, Stdio, Timeouts, Transport,
};
pub use errand::{Cursor, Definition, Errand, Has, Listing};
pub use forward::{Along, Forwarded, forward};
pub use identity::{NotThere, identity};
pub use inert::Inert;
pub use link::Link;
pub use mirror::{agree, decoded, repeats};
pub use raw::{OURS, without};
pub use upstreams::{SessionKey, Unreachable, Upstreams};
