//! The pass over names: Cedar takes any entity id, so a rule about `Group::"opps"` compiles and never
//! applies (decisions A2).

use std::collections::BTreeSet;

use terms::{Action, Part, Tree, Uri, UriTemplate};

use crate::entities::{INSTALLATION, Kind};
use crate::target::Named;
use crate::{Code, Finding, Place, PolicySet};

/// What exists, from configuration, pins and store. A kind that is not known now (offline) is `None`, and
/// its names are not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The names of groups.
    pub groups: Option<BTreeSet<String>>,
    /// The names of upstreams.
    pub upstreams: Option<BTreeSet<String>>,
    /// The names of tools, `upstream/tool`.
    pub tools: Option<BTreeSet<String>>,
    /// The names of prompts, `upstream/prompt`.
    pub prompts: Option<BTreeSet<String>>,
    /// The names of routes, `upstream/route`.
    pub routes: Option<BTreeSet<String>>,
    /// The names of operations, `upstream/operation`.
    pub operations: Option<BTreeSet<String>>,
    /// The names of environments.
    pub environments: Option<BTreeSet<String>>,
    /// The names of humans.
    pub humans: Option<BTreeSet<String>>,
    /// The names of callers that are agents.
    pub agents: Option<BTreeSet<String>>,
    /// The names of callers that are services.
    pub services: Option<BTreeSet<String>>,
}

impl PolicySet {
    /// Every entity that a rule names, and every group whose approvals a requirement takes, held against
    /// what exists. Nothing is missed by it but what is unknown now.
    #[must_use]
    pub fn check_names(&self, known: &Known) -> Vec<Finding> {
        let mut findings = Vec::new();
        for rule in &self.rules {
            for literal in &rule.literals {
                let kind = literal.type_name().to_string();
                let found = known.check(&rule.place, &kind, literal.id().unescaped());
                findings.extend(found.map(|found| found.on(&rule.source, &literal.to_string())));
            }
        }
        for (name, requirement) in &self.requirements {
            let at = Place { file: format!("requirements.{name}"), ..Place::default() };
            let mut groups = BTreeSet::new();
            requirement.parts.values().for_each(|tree| asked_of(tree, &mut groups));
            let unknown = groups.into_iter().filter_map(|g| known.check(&at, Kind::Group.name(), g));
            findings.extend(unknown);
        }
        findings.sort();
        findings.dedup();
        findings
    }
}

impl Known {
    fn check(&self, at: &Place, kind: &str, id: &str) -> Option<Finding> {
        let parts = Part::TABLE.map(|(_, name)| format!("{INSTALLATION}/{name}"));
        let installation: BTreeSet<String> = parts.into_iter().chain([INSTALLATION.to_owned()]).collect();
        let table = [
            (Kind::Group, self.groups.as_ref()),
            (Kind::Server, self.upstreams.as_ref()),
            (Kind::Tool, self.tools.as_ref()),
            (Kind::Prompt, self.prompts.as_ref()),
            (Kind::Resource, self.upstreams.as_ref()),
            (Kind::Route, self.routes.as_ref()),
            (Kind::Operation, self.operations.as_ref()),
            (Kind::Environment, self.environments.as_ref()),
            (Kind::Human, self.humans.as_ref()),
            (Kind::Agent, self.agents.as_ref()),
            (Kind::Service, self.services.as_ref()),
            (Kind::Installation, Some(&installation)),
            (Kind::Action, None),
        ];
        let Some((kind, names)) = table.into_iter().find(|(k, _)| k.name() == kind) else {
            let says =
                format!("there is no type of entity {kind}, so {kind}::\"{id}\" is nobody and nothing");
            let kinds = table.map(|(k, _)| k.name());
            return Some(Finding::new(Code::EntityUnknown, at, says).suggesting_nearest(kind, kinds));
        };
        // An own action names its target.
        let own = Named::read(id)
            .filter(|_| kind == Kind::Action)
            .and_then(|named| Some((named.action, named.of?)));
        let (name, names) = match (kind, own) {
            (Kind::Action, Some((Action::Get, prompt))) => (prompt, self.prompts.as_ref()?),
            (Kind::Action, Some((Action::Send(_), route))) => (route, self.routes.as_ref()?),
            (Kind::Action, Some((Action::Do, operation))) => (operation, self.operations.as_ref()?),
            (Kind::Action, Some((_, tool))) => (tool, self.tools.as_ref()?),
            // Which resources there are is not known; how they are written, and of which upstreams, is.
            (Kind::Resource, _) => match id.split_once('/') {
                Some((upstream, uri)) if Uri::new(uri).is_ok() || UriTemplate::new(uri).is_ok() => {
                    (upstream, names?)
                }
                _ => return Some(not_a_uri(at, id)),
            },
            _ => (id, names?),
        };
        // An account of the machine is nobody's until it is said whose it is, and can be named all the same.
        let account =
            kind == Kind::Human && name.strip_prefix("os:").is_some_and(|uid| uid.parse::<u32>().is_ok());
        if names.contains(name) || account || self.unseen(kind, name) {
            return None;
        }
        let says = format!("{}::\"{id}\" does not exist, so the rule would never apply to it", kind.name());
        let names = names.iter().map(String::as_str);
        Some(Finding::new(Code::EntityUnknown, at, says).suggesting_nearest(name, names))
    }
}

impl Known {
    /// Whether it is of an upstream that is there and of which nothing was ever listed.
    fn unseen(&self, kind: Kind, name: &str) -> bool {
        let (Kind::Tool | Kind::Prompt | Kind::Action, Some((upstream, _))) = (kind, name.split_once('/'))
        else {
            return false;
        };
        let of = |names: &Option<BTreeSet<String>>| {
            let listed = |name: &String| name.split_once('/').is_some_and(|(of, _)| of == upstream);
            names.as_ref().is_some_and(|names| names.iter().any(listed))
        };
        let there = self.upstreams.as_ref().is_some_and(|names| names.contains(upstream));
        there && !of(&self.tools) && !of(&self.prompts)
    }
}

fn not_a_uri(at: &Place, id: &str) -> Finding {
    let says = format!("Resource::\"{id}\" is no resource: a URI of this spelling is refused");
    Finding::new(Code::EntityUnknown, at, says)
        .suggesting("Resource::\"upstream/scheme://…\", in its canonical form")
}

fn asked_of<'t>(tree: &'t Tree, groups: &mut BTreeSet<&'t str>) {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| asked_of(part, groups)),
        Tree::Approvals { from, .. } => drop(groups.insert(from)),
        Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => {}
    }
}
