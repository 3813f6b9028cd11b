//! The log, pure: record encoding, Merkle tree, checkpoints, proofs, verification.
//!
//! Floor 1 (see ARCHITECTURE.md): no SQL, no HTTP, no clock, no randomness; what it needs it is handed. The format
//! is written down in `docs/records.md`, so that others can read a log without this code.

pub mod body;
pub mod envelope;
pub mod export;
pub mod note;
pub mod prove;
pub mod record;
pub mod tree;
pub mod verify;

pub use envelope::Envelope;
pub use note::{Checkpoint, CheckpointKey, NotANote, VerifierKey};
pub use prove::Proof;
pub use record::{Draft, Kind, Record, Refs};
pub use verify::{Asserted, AssertionCheck, Broken, Report, Trust, Verification, verify};
