//! The enforcement points: what callers speak, and the one door behind it.
//!
//! A request passes `front` (sizes, `Host`, `Origin`), is given to its `caller`, is read by the protocol that it
//! speaks (`mcp`, `http`, `authzen`), and becomes an access. An access passes `enforce`, the only place that asks for a decision;
//! with the Permit that it hands out the call is `run` in a task of its own. Nothing here knows an HTTP client, a
//! child process, SQL or Cedar.

mod access;
mod answer;
mod authzen;
mod caller;
mod elevations;
mod enforce;
mod front;
mod gateway;
mod http;
mod mcp;
mod pace;
mod permits;
mod pins;
mod preflight;
mod run;
mod settings;
mod shelf;
mod told;

pub use gateway::Gateway;
pub use http::asked::{Asked, PARTIAL, Shown};
pub use mcp::carrier::Pin;
pub use pins::NotPinned;
pub use settings::{Askers, Budgets, Settings};
