//! The verbs over the real store, real policy, real passkeys, and a clock that is turned by hand. Every test ends
//! with the log exported and verified: what the verbs write and what an auditor reads must agree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod between;
mod capturing;
mod world;

mod administering;
mod changing;
mod checking;
mod concluding;
mod deciding;
mod explaining;
mod failing;
mod granting;
mod looking;
mod operators;
mod passkeys;
mod pinning;
mod preflighting;
mod preparing;
mod replaying;
mod sequences;
mod settling;
mod stopping;
mod targets;
mod trying;
mod voting;
