//! The people's listener over the real authority and a real store, as browsers meet it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout)]

#[path = "../../examples/gallery/sample.rs"]
#[allow(dead_code, clippy::cast_possible_truncation, clippy::type_complexity)]
mod sample;

mod changes;
mod door;
mod explaining;
mod passkeys;
mod reach;
mod reading;
mod showing;
mod story;
mod telling;
mod world;
