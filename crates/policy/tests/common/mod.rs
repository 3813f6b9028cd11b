#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! One caller, one person, some tools, and short ways to ask about them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroU32};

use policy::{DenyReason, Facts, Finding, Human, Judgement, Moment, PolicySet, Question, Target, judge};
use terms::access::{Resource, SealKey};
use terms::{
    Access, Binds, Caller, CallerId, CallerKind, DefinitionHash, Digest, HumanId, Json, KeyId, Millis,
    Pointer, Requirement, Terms, Time, Tree, UpstreamHash,
};

pub fn json(text: &str) -> Json {
    terms::json::parse(text.as_bytes()).expect(text)
}

pub fn caller() -> Caller {
    Caller {
        id: CallerId::NIL,
        name: "release-bot".into(),
        kind: CallerKind::Agent,
        owner: "olga".into(),
        act: vec![],
        groups: BTreeSet::from(["ops-agents".to_owned()]),
        roots: BTreeSet::from([HumanId::NIL]),
        key: KeyId::NIL,
        key_prefix: "sk_12".into(),
        key_bound: false,
    }
}

pub fn human(name: &str, groups: &[&str]) -> Human {
    let id = HumanId::from_slice(&[7; 16]).unwrap();
    Human { id, name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect() }
}

pub fn moment() -> Moment {
    // Tuesday 2026-11-24, 06:00 UTC
    Moment {
        at: Time::from_millis(1_795_500_000_000),
        source: "10.0.0.1".parse().ok(),
        history: Some(policy::History { first_time: false, calls_1h: 3 }),
    }
}

/// The input schema of an object with these properties.
pub fn schema(properties: &str) -> Json {
    json(&format!(r#"{{"type":"object","properties":{properties}}}"#))
}

pub fn facts(name: &str, properties: &str) -> Facts {
    Facts {
        kind: terms::Kind::Tool,
        only: None,
        upstream: "ops".into(),
        name: name.into(),
        environment: "production".into(),
        schema: schema(properties),
        reviewed_read_only: false,
        attributes: BTreeMap::new(),
    }
}

pub const DEPLOY: &str =
    r#"{"environment":{"type":"string"},"version":{"type":"string"},"n":{"type":"integer"}}"#;

pub fn tool(name: &str, properties: &str) -> Target {
    Target::new(facts(name, properties))
}

pub fn deploy() -> Target {
    tool("deploy", DEPLOY)
}

pub fn access_with(caller: &Caller, tool: &Target, arguments: &str, secrets: &[Pointer]) -> Access {
    let resource = Resource {
        kind: "tool".into(),
        id: tool.id().into(),
        definition: DefinitionHash::from_digest(Digest::plain(b"d")),
        upstream: UpstreamHash::from_digest(Digest::plain(b"u")),
    };
    let key = SealKey::new([1; 32]);
    Access::new(caller.subject(), "tools/call", resource, json(arguments), secrets, &key).unwrap().0
}

pub fn access(caller: &Caller, tool: &Target, arguments: &str) -> Access {
    access_with(caller, tool, arguments, &[])
}

pub fn terms(minutes: u64) -> Terms {
    Terms {
        pending_for: Millis::seconds(900),
        valid_for: Millis::seconds(60 * minutes),
        uses: NonZeroU32::MIN,
        binds: Binds::Everything,
    }
}

pub fn requirement(name: &str, tree: Tree, minutes: u64) -> (String, Requirement) {
    let parts = BTreeMap::from([(name.to_owned(), tree)]);
    (name.to_owned(), Requirement { parts, terms: terms(minutes) })
}

pub fn approvals(from: &str) -> Tree {
    Tree::Approvals { n: NonZeroU8::MIN, from: from.into() }
}

pub fn requirements() -> BTreeMap<String, Requirement> {
    BTreeMap::from([
        requirement("release-approval", approvals("release-managers"), 5),
        requirement("secret-change", approvals("security"), 3),
        requirement("unreviewed", Tree::Owner { fresh: Millis::seconds(120) }, 15),
    ])
}

pub fn compile(text: &str) -> Result<PolicySet, Vec<Finding>> {
    let texts = BTreeMap::from([("rules.cedar".to_owned(), text.to_owned())]);
    PolicySet::compile(&texts, &requirements())
}

pub fn set(text: &str) -> PolicySet {
    compile(text).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

pub fn ask_as(set: &PolicySet, caller: &Caller, tool: &Target, arguments: &str) -> Judgement {
    let access = access(caller, tool, arguments);
    judge(set, &Question { caller, access: &access, target: tool, moment: &moment() })
}

pub fn ask(set: &PolicySet, tool: &Target, arguments: &str) -> Judgement {
    ask_as(set, &caller(), tool, arguments)
}

/// `permit`, the requirement's label, or why it is denied, in a word.
pub fn word(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Permit { .. } => "permit".into(),
        Judgement::StepUp { requirement, .. } => requirement.label(),
        Judgement::Deny { why, .. } => match why {
            DenyReason::NotPermitted => "not permitted".into(),
            DenyReason::Forbidden => "forbidden".into(),
            DenyReason::Failed => "failed".into(),
            DenyReason::ActionUnknown => "unknown".into(),
            DenyReason::Unjudgeable(at) => format!("unjudgeable {}", Json::from(at.clone())),
        },
    }
}

pub fn says(set: &PolicySet, tool: &Target, arguments: &str) -> String {
    word(&ask(set, tool, arguments))
}

/// Everyone may do everything.
pub const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

/// [`ALL`], and one rule about deploying: `unless` or `when` and a condition.
pub fn deploy_rule(effect: &str, clause: &str) -> String {
    format!(
        r#"{ALL} @id("rule") {effect} (principal, action == Action::"tools/call:ops/deploy", resource) {clause};"#
    )
}
