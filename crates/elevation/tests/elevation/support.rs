//! People, votes and requirements, small enough that every way of counting them can be tried.

use std::num::{NonZeroU8, NonZeroU32};

use elevation::{Eligible, Evidence, Vote};
use terms::access::{Resource, SealKey, Subject};
use terms::statement::{Consent, Matter, Role, Statement};
use terms::{
    Access, AccessHash, Binds, CardHash, DefinitionHash, ElevationId, HumanId, InstallId, Json, Millis,
    Requirement, RequirementHash, Terms, Time, Tree, UpstreamHash,
};

/// When everything is weighed, unless a test says otherwise.
pub const NOW: Time = Time::from_millis(1_700_000_000_000);

pub fn human(n: u8) -> HumanId {
    HumanId::from_slice(&[n; 16]).unwrap()
}

pub fn terms() -> Terms {
    Terms {
        pending_for: Millis::seconds(3600),
        valid_for: Millis::seconds(900),
        uses: NonZeroU32::MIN,
        binds: Binds::Everything,
    }
}

pub fn people(n: u8, from: &str) -> Tree {
    Tree::Approvals { n: NonZeroU8::new(n).unwrap(), from: from.to_owned() }
}

pub fn requirement(tree: Tree) -> Requirement {
    Requirement { parts: [("part".to_owned(), tree)].into(), terms: terms() }
}

/// A vote of one person, `ago` milliseconds before [`NOW`].
pub fn vote(root: u8, role: Role, ago: u64) -> Vote {
    let matter = Matter::Consent(Consent {
        elevation: ElevationId::from_slice(&[1; 16]).unwrap(),
        access_hash: AccessHash::of(&Json::Null),
        card_hash: CardHash::of(&Json::Null),
        requirement_hash: RequirementHash::of(&Json::Null),
        terms: terms(),
        role,
    });
    let statement = Statement {
        install: InstallId::from_slice(&[0; 16]).unwrap(),
        matter,
        approver: human(root),
        credential: String::new(),
        expires: NOW,
        nonce: String::new(),
    };
    Vote {
        root: human(root),
        human: human(root),
        name: format!("human {root}"),
        role,
        credential: String::new(),
        statement,
        requirement: RequirementHash::of(&Json::Null),
        card: CardHash::of(&Json::Null),
        assertion: Json::Null,
        at: NOW.before(Millis::new(ago)),
    }
}

pub fn approvals(roots: &[u8]) -> Evidence {
    Evidence {
        votes: roots.iter().map(|root| vote(*root, Role::Approver, 0)).collect(),
        ..Evidence::default()
    }
}

/// Approvers with the groups that each is in, and owners.
pub fn eligible(approvers: &[(u8, &[&str])], owners: &[u8]) -> Eligible {
    let groups = |groups: &[&str]| groups.iter().map(|g| (*g).to_owned()).collect();
    Eligible {
        approvers: approvers.iter().map(|(root, of)| (human(*root), groups(of))).collect(),
        owners: owners.iter().map(|root| human(*root)).collect(),
    }
}

/// An access with a name and arguments of one's own.
pub fn access(id: &str, action: &str, resource: &str, arguments: &str) -> Access {
    let subject =
        Subject { kind: "agent".to_owned(), id: id.to_owned(), owner: "ada".to_owned(), act: Vec::new() };
    let resource = Resource {
        kind: "tool".to_owned(),
        id: resource.to_owned(),
        definition: DefinitionHash::of(&Json::Null),
        upstream: UpstreamHash::of(&Json::Null),
    };
    let arguments = terms::json::parse(arguments.as_bytes()).unwrap();
    Access::new(subject, action, resource, arguments, &[], &SealKey::new([0; 32])).unwrap().0
}
