//! The enforcement points: what callers speak, and the one door behind it.
