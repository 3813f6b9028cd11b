//! The binary: configuration, clock, serve, command line.
fn main() {}
