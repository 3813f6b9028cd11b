//! The log, pure: record encoding, Merkle tree, checkpoints, proofs, verification.
