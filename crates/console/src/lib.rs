//! The approver's and the auditor's side.
