//! The one exit: what goes to an upstream goes through here, and only with a Permit.
