//! The agents' listener as callers meet it: real HTTP, a real authority over a real store, people with passkeys,
//! and an upstream that counts what arrives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod apis;
mod asked;
mod asking;
mod authzen;
mod calls;
mod capturing;
mod carriers;
mod completions;
mod credentials;
mod crm;
mod doors;
mod envoy;
mod faults;
mod forms;
mod in_session;
mod listening;
mod live;
mod logging;
mod merged;
mod meta;
mod modern;
mod ops;
mod pairings;
mod preflighting;
mod revisions;
mod rounds;
mod sessions;
mod slow;
mod smuggling;
mod subscriptions;
mod touching;
mod waiting;
mod wire;
mod world;
