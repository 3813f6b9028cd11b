//! How long one judgement takes, from access to answer, context included: `cargo run --release -p policy
//! --example judge_rate`. One JSON object on standard output: `pdp_us_<rules>` for the usual baseline call, which no step-up
//! concerns, `pdp_step_up_us_<rules>` for one that two rules step up, `plain_cedar_us_<rules>` for Cedar alone over the same
//! rules and request, made once, and `activation_ms_1000`: 1,000 rules read, and held against 1,000 definitions.
#![allow(clippy::disallowed_methods, reason = "an example measures time; the crate knows no clock")]
#![allow(clippy::print_stdout, reason = "its result")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Instant;

use policy::{Facts, Judgement, Moment, PolicySet, Question, Schema, Target, judge};
use terms::access::{Resource, SealKey};
use terms::{
    Access, Binds, Caller, CallerId, CallerKind, DefinitionHash, Digest, HumanId, Json, KeyId, Millis,
    Requirement, Terms, Time, Tree, UpstreamHash,
};

const ROUNDS: u32 = 20_000;

/// Four rules that concern the calls that are measured, and as many more as there are to be.
fn rules(total: usize) -> String {
    let few = r#"
        @id("read") permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"],
            resource in Server::"tickets") when { resource.reviewedReadOnly };
        @id("deploy") permit (principal in Group::"ops-agents", action in Action::"tools/call", resource == Tool::"ops/deploy");
        @id("outside-staging") @stepup("release") forbid (principal, action == Action::"tools/call:ops/deploy", resource)
            unless { context.arguments has environment && ["staging", "test"].contains(context.arguments.environment) };
        @id("big") @stepup("release") forbid (principal, action == Action::"tools/call:ops/deploy", resource)
            when { context.arguments.replicas > 3 };
        @id("mail") forbid (principal, action == Action::"tools/call:mail/send", resource);"#;
    let more = (5..total).map(|n| {
        format!(
            r#"@id("{n}") permit (principal in Group::"team-{}", action in Action::"tools/call", resource in Server::"upstream-{n}")
               when {{ resource.reviewedReadOnly }};"#,
            n % 50
        )
    });
    std::iter::once(few.to_owned()).chain(more).collect()
}

fn tool(upstream: &str, name: &str, reviewed_read_only: bool, properties: &[(&str, &str)]) -> Target {
    let properties = properties.iter().map(|(name, kind)| (*name, Json::object([("type", *kind)])));
    Target::new(Facts {
        kind: terms::Kind::Tool,
        only: None,
        upstream: upstream.into(),
        name: name.into(),
        environment: "production".into(),
        schema: Json::object([("properties", Json::object(properties))]),
        reviewed_read_only,
        attributes: BTreeMap::new(),
    })
}

fn caller() -> Caller {
    Caller {
        id: CallerId::NIL,
        name: "release-bot".into(),
        kind: CallerKind::Agent,
        owner: "olga".into(),
        act: Vec::new(),
        groups: ["ops-agents", "team-1", "team-2"].map(str::to_owned).into(),
        roots: BTreeSet::from([HumanId::NIL]),
        key: KeyId::NIL,
        key_prefix: String::new(),
        key_bound: false,
    }
}

fn access(caller: &Caller, tool: &Target, arguments: Json) -> Option<Access> {
    let resource = Resource {
        kind: "tool".into(),
        id: tool.id().into(),
        definition: DefinitionHash::from_digest(Digest::plain(b"definition")),
        upstream: UpstreamHash::from_digest(Digest::plain(b"upstream")),
    };
    let made = Access::new(caller.subject(), "tools/call", resource, arguments, &[], &SealKey::new([0; 32]));
    made.ok().map(|(access, _)| access)
}

fn requirements() -> BTreeMap<String, Requirement> {
    let tree = Tree::Approvals { n: NonZeroU8::MIN, from: "release-managers".into() };
    let terms = Terms {
        pending_for: Millis::seconds(900),
        valid_for: Millis::seconds(300),
        uses: NonZeroU32::MIN,
        binds: Binds::Everything,
    };
    let requirement = Requirement { parts: BTreeMap::from([("release".to_owned(), tree)]), terms };
    BTreeMap::from([("release".to_owned(), requirement)])
}

/// Microseconds a judgement, the best of five runs, and whether it was a Permit.
fn measure(set: &PolicySet, question: &Question<'_>) -> (f64, bool) {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(judge(set, std::hint::black_box(question)));
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    (best, matches!(judge(set, question), Judgement::Permit { .. }))
}

/// Microseconds of Cedar's own decision over all rules, its request and entities made beforehand: the best of five.
fn plain(total: usize) -> Result<f64, String> {
    use cedar_policy::{Authorizer, Context, Entities, PolicySet as Cedar, Request};
    let uid = |text: &str| text.parse().map_err(|e| format!("{e}"));
    let set: Cedar = rules(total).parse().map_err(|e| format!("{e}"))?;
    let request = Request::new(
        uid(r#"Agent::"release-bot""#)?,
        uid(r#"Action::"tools/call:tickets/get_ticket""#)?,
        uid(r#"Tool::"tickets/get_ticket""#)?,
        Context::empty(),
        None,
    );
    let (request, entities, authorizer) =
        (request.map_err(|e| e.to_string())?, Entities::empty(), Authorizer::new());
    let rounds = 20_000 / u32::try_from(total).unwrap_or(u32::MAX).max(1) + 5;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(authorizer.is_authorized(&request, &set, &entities));
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    Ok(best)
}

/// Milliseconds until 1,000 rules are read and held against 1,000 definitions: the best of three.
fn activation() -> Result<f64, String> {
    let tools: Vec<Target> = (0..1000)
        .map(|n| tool(&format!("upstream-{n}"), "t", n % 2 == 0, &[("id", "string"), ("n", "integer")]))
        .collect();
    let texts = BTreeMap::from([("rules.cedar".to_owned(), rules(1000))]);
    let mut best = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let set = PolicySet::compile(&texts, &requirements()).map_err(|found| format!("{found:#?}"))?;
        std::hint::black_box(set.validate(&Schema::of(&tools)));
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn main() -> Result<(), String> {
    let caller = caller();
    let moment = Moment {
        at: Time::from_millis(1_795_500_000_000),
        source: "10.0.0.1".parse().ok(),
        history: Some(policy::History { first_time: false, calls_1h: 3 }),
    };
    let read =
        tool("tickets", "get_ticket", true, &[("id", "string"), ("fields", "string"), ("limit", "integer")]);
    let deploy = tool(
        "ops",
        "deploy",
        false,
        &[("environment", "string"), ("version", "string"), ("replicas", "integer")],
    );
    let reading =
        Json::object([("id", Json::from("T-4711")), ("fields", "title".into()), ("limit", 10_u32.into())]);
    let deploying = Json::object([
        ("environment", Json::from("production")),
        ("version", "2.4.1".into()),
        ("replicas", 9_u32.into()),
    ]);
    let calls = [("pdp", &read, reading, true), ("pdp_step_up", &deploy, deploying, false)];
    let mut lines = Vec::new();
    for total in [10, 100, 1000, 10_000] {
        let texts = BTreeMap::from([("rules.cedar".to_owned(), rules(total))]);
        let set = PolicySet::compile(&texts, &requirements()).map_err(|found| format!("{found:#?}"))?;
        for (name, tool, arguments, permitted) in &calls {
            let access = access(&caller, tool, arguments.clone()).ok_or("the arguments are an access")?;
            let question = Question { caller: &caller, access: &access, target: tool, moment: &moment };
            let (micros, permit) = measure(&set, &question);
            if permit != *permitted {
                return Err(format!("{name} at {total} rules was judged otherwise"));
            }
            lines.push(format!("\"{name}_us_{total}\":{micros:.2}"));
        }
    }
    for total in [10, 100, 1000, 10_000] {
        lines.push(format!("\"plain_cedar_us_{total}\":{:.2}", plain(total)?));
    }
    lines.push(format!("\"activation_ms_1000\":{:.1}", activation()?));
    println!("{{{}}}", lines.join(","));
    Ok(())
}
