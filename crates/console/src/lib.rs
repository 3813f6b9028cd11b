//! The approver's and the auditor's side: pages for people, on a listener of their own.
//!
//! Reads through `authority` and shows; passes on what people do, and decides nothing. Whoever reads needs a session;
//! whoever gives something signs it with a passkey. Everything that an agent or an upstream wrote is
//! [`foreign::Foreign`], a type that prints itself harmless and whole.

mod answer;
mod asked;
pub mod assets;
mod door;
pub mod foreign;
pub mod moment;
mod named;
pub mod notify;
mod pages;
mod person;
mod router;
mod settings;
mod throttle;
pub mod view;
mod webauthn;
mod words;

pub use router::{Who, router, routes};
pub use settings::Settings;
