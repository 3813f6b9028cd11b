//! The policy decision point: Cedar text in, Permit, Deny or StepUp out.
//!
//! Floor 1 (see ARCHITECTURE.md): the only crate that knows Cedar; no SQL, no HTTP, no clock. Nothing of
//! Cedar is in its interface.
//!
//! - [`PolicySet::compile`] reads Cedar texts and requirements and says everything that is wrong with them;
//! - [`judge`] asks two sets: `A`, all `permit`s and plain `forbid`s, then `S`, the `@stepup` forbids;
//! - [`PolicySet::may_discover`], [`PolicySet::may_approve`] and [`PolicySet::may_administer`] ask `A` alone;
//! - [`Target`] is one tool, prompt or resource with the types of its arguments, made once and asked about often.
//!
//! Nothing fails open: an evaluation error, an unknown action, an argument that a rule speaks of and that
//! has no typed form are each a Deny. Adding a `forbid` or a `@stepup` never weakens anything, with one
//! exception that a set has to ask for: a rule that reads `resource.ruled` yields to a `@stepup` that names
//! the target's own action for every caller.

mod bits;
mod compile;
mod condition;
mod context;
mod entities;
mod finding;
mod index;
mod judge;
mod known;
mod may;
mod memory;
mod schema;
mod set;
mod shape;
mod source;
mod target;
mod validate;

pub use context::{History, Moment};
pub use finding::{Code, Finding, Place, Severity};
pub use judge::{DenyReason, Judgement, Question, Shadowed, judge, shadowed};
pub use known::Known;
pub use may::{Human, May, Outlook};
pub use schema::{NoSchema, Schema};
pub use set::{PolicySet, RuleId};
pub use target::{Attribute, Facts, Target};
