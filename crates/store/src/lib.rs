//! The one write door, and the reads that decisions need.
