//! The pure life of an elevation, its grant and its attempts, and [`weigh`]: evidence held against a
//! requirement. No clock, no SQL, no protocol: what it needs it is handed.

mod life;
mod vote;
mod weigh;

pub use life::{Conclusion, Grant, GrantState, Pending, State, Version};
pub use terms::Outcome;
pub use vote::Vote;
pub use weigh::{
    Eligible, Evidence, Leaf, Matching, Progress, WAYS, Weighed, asks_people, attainable, weigh,
};
