//! What `elevation` promises, tried: evidence weighed against an oracle, and the life of requests and grants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod life;
mod support;
mod weigh;
