//! One suite that every backend runs.
