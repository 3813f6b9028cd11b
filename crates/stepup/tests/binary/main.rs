//! The binary as people run it: its words, its files, its server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod agent;
mod call;
mod cli;
mod config;
mod connect;
mod demo;
mod desk;
#[path = "../../../store/src/sqlite/tests/disk.rs"]
#[allow(clippy::print_stdout)] // a skip is said
mod disk;
mod frames;
mod http2;
mod init;
mod passkeys;
mod policy;
mod server;
mod stdio;
mod tls;
mod world;
