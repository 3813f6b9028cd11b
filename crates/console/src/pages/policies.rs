//! The rules in force, read only.

use authority::Bundle;
use axum::extract::State;
use axum::response::Response;
use terms::{Requirement, Tree};

use super::{frame, who};
use crate::answer::{NoPage, page};
use crate::foreign::Foreign;
use crate::moment::{When, span};
use crate::person::Person;
use crate::router::Shared;
use crate::view::{Place, PoliciesPage, RequirementRow, Revision, bounds};

pub(crate) async fn policies(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let policy = console.authority.store().directory().await?.policy;
    let active = console.authority.active();
    let revision = policy.and_then(|policy| {
        let bundle = Bundle::from_json(&policy.bundle).ok()?;
        Some(Revision {
            number: policy.rev,
            hash: Foreign::exact(policy.hash.to_string()),
            by: who(&active, &policy.by),
            at: When(policy.at),
            requirements: bundle.requirements.iter().map(|(name, rung)| row(name, rung)).collect(),
            texts: bundle
                .texts
                .iter()
                .map(|(name, text)| (Foreign::line(name), Foreign::lines(text.trim_end())))
                .collect(),
        })
    });
    let trouble = console.authority.trouble().map(|why| Foreign::lines(why.as_str()));
    Ok(page(&PoliciesPage { frame: frame(&console, &person, Place::Policies).await?, revision, trouble }))
}

fn row(name: &str, requirement: &Requirement) -> RequirementRow {
    let takes: Vec<String> = requirement.parts.values().map(in_words).collect();
    RequirementRow {
        name: Foreign::line(name),
        takes: Foreign::line(takes.join(" and ")),
        bounds: bounds(&requirement.terms),
        waits: span(requirement.terms.pending_for),
    }
}

fn in_words(tree: &Tree) -> String {
    let list = |parts: &[Tree], between: &str| {
        let parts: Vec<String> = parts.iter().map(in_words).collect();
        parts.join(between)
    };
    match tree {
        Tree::All(parts) => list(parts, " and "),
        Tree::Any(parts) => format!("({})", list(parts, " or ")),
        Tree::Approvals { n, from } if n.get() == 1 => format!("1 approval from {from}"),
        Tree::Approvals { n, from } => format!("{n} approvals from {from}"),
        Tree::Owner { fresh } => format!("the owner confirms, signed at most {} ago", span(*fresh)),
        Tree::Purpose => "the caller says why".to_owned(),
        Tree::Ticket { pattern } => format!("a ticket like {pattern}"),
        Tree::KeyBound => "the caller proves its key".to_owned(),
    }
}
