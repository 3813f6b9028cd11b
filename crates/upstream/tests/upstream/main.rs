//! The exit against real servers and hostile ones, with Permits from a real authority over a real store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod beside;
mod cancelled;
mod child;
mod hostile;
mod http;
mod isolation;
mod log;
mod modern;
mod notes;
mod peers;
mod questions;
mod targets;
mod unasked;
mod watches;
mod world;
