//! The one exit: what goes to an upstream goes through here, and only with a Permit.
//!
//! Two doors lead out, and no third (invariant 1, decisions A9, A10). One takes a Permit: [`forward()`] writes the one call
//! that it permits, [`reply()`] what a client answers the upstream while that call runs, and [`relay()`] the one request to
//! an HTTP API. The other is
//! [`Link::errand`], which says what stepup itself says to an upstream, from a closed list without a byte of
//! any caller in it; so is what [`Question::unanswered`] says. No other crate knows an HTTP client towards upstreams, or starts a child process.

mod answer;
mod api;
pub mod client;
mod code;
mod config;
mod errand;
mod form;
mod forward;
mod identity;
mod inert;
pub mod launcher;
mod link;
mod message;
mod mirror;
mod modern;
mod note;
mod opened;
mod question;
mod raw;
mod relay;
mod reply;
mod transport;
mod upstreams;
mod watch;

pub use answer::{Answer, Fault, Progress, RawJson};
pub use api::{Api, ApiConfig, Apis, Line};
pub use code::Code;
pub use config::{
    Config, ConfigError, Credential, DEFAULT_PATH, Eras, Http, Isolation, Share, Stdio, Timeouts, Transport,
};
pub use errand::{Cursor, Definition, Errand, Has, Listing};
pub use form::fits;
pub use forward::{Along, Forwarded, forward};
pub use identity::{NotThere, identity};
pub use inert::{Inert, LEVEL};
pub use link::Link;
pub use mirror::{agree, decoded, repeats};
pub use note::{Logged, Note, Notes};
pub use opened::Opening;
pub use question::{Asked, Asks, Question, Unanswered, inputs, passed_on};
pub use raw::{OURS, without};
pub use relay::{Beside, Head, Relayed, Rest, Within, relay};
pub use reply::{Replied, reply};
pub use upstreams::{SessionKey, Unreachable, Upstreams};
pub use watch::Watch;
