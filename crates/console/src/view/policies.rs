//! The rules in force.

use askama::Template;

use super::{Bounds, Frame};
use crate::foreign::Foreign;
use crate::moment::When;

/// The rules in force.
#[derive(Clone, Debug, Template)]
#[template(path = "policies.html")]
pub struct PoliciesPage {
    /// Around it.
    pub frame: Frame,
    /// The revision; `None` when there is none, and everything is denied.
    pub revision: Option<Revision>,
    /// Why the policy folder is not in force.
    pub trouble: Option<Foreign>,
}

/// One revision.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: Foreign,
    /// Who activated it.
    pub by: Foreign,
    /// When.
    pub at: When,
    /// Requirements by name.
    pub requirements: Vec<RequirementRow>,
    /// Texts by file name.
    pub texts: Vec<(Foreign, Foreign)>,
}

/// One requirement.
#[derive(Clone, Debug)]
pub struct RequirementRow {
    /// Its name.
    pub name: Foreign,
    /// What it takes, in words.
    pub takes: Foreign,
    /// What it grants, in words.
    pub bounds: Bounds,
    /// How long it waits.
    pub waits: String,
}
