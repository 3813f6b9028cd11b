//! The policy decision point: Cedar text in, Permit, Deny or StepUp out.
