//! The approver's and the auditor's side: pages for people, on a listener of their own.

pub mod assets;
pub mod foreign;
pub mod moment;
pub mod view;
