//! The pure life of an elevation, its grant and its attempts; votes weighed against a requirement.
