//! The policy administrator: a file a verb; the only maker of a Permit.
