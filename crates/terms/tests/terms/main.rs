//! What `terms` promises, tried: one binary, a module a promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod access;
mod card;
mod claim;
mod errors;
mod golden;
mod hashes;
mod ids;
mod json;
mod number;
mod pointer;
mod requirement;
mod statement;
mod suites;
mod support;
mod text;
mod time;
