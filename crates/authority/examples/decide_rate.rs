//! What a baseline decision costs, beside the commit and with it, for one caller and for 32 at once.
//!
//! `cargo run --release -p authority --example decide_rate [FOLDER]` prints one flat JSON object. The folder must be
//! on the disk that is to be measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // a measurement

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use authority::{
    Added, Ask, Authority, Bundle, NewCaller, Ruling, Settings, ToolSettings, Upstream, UpstreamSettings,
    token_hash,
};
use store::sqlite::{Options, Sqlite};
use terms::access::{Resource, SealKey};
use terms::{Access, Ambient, Boottime, Caller, CallerKind, Json, Millis, Secrets, Time, UpstreamHash};

/// The clock of the machine, and ids that only have to differ.
struct Machine {
    start: Instant,
    ids: AtomicU64,
}

impl Ambient for Machine {
    fn now(&self) -> Time {
        let since = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        Time::from_millis(1_767_225_600_000 + since)
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) {
        let nth = self.ids.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        bytes.iter_mut().zip(nth.iter().cycle()).for_each(|(to, from)| *to = *from);
    }
}

const RULES: &str = r#"
@id("administer")
permit (principal is Human, action == Action::"administer", resource);
@id("work")
permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource);
@id("unreviewed") @stepup("release")
forbid (principal, action in Action::"tools/call", resource)
unless { resource.reviewedReadOnly || resource.ruled };
@id("never")
forbid (principal, action == Action::"tools/call:ops/delete_ticket", resource);
"#;

fn json(text: &str) -> Json {
    terms::json::parse(text.as_bytes()).unwrap()
}

fn bundle() -> Bundle {
    let terms = r#"{"binds":"everything","pending_for":900000,"uses":1,"valid_for":900000}"#;
    let release = format!(r#"{{"parts":{{"release":{{"approvals":1,"from":"managers"}}}},"terms":{terms}}}"#);
    let release = terms::Requirement::from_json(&json(&release)).unwrap();
    let reviewed = ToolSettings { reviewed: Some("read-only".to_owned()), ..ToolSettings::default() };
    let ops = UpstreamSettings {
        environment: "production".to_owned(),
        tools: BTreeMap::from([("*_ticket".to_owned(), reviewed)]),
        ..UpstreamSettings::default()
    };
    Bundle {
        texts: BTreeMap::from([("rules.cedar".to_owned(), RULES.to_owned())]),
        requirements: BTreeMap::from([("release".to_owned(), release)]),
        upstreams: BTreeMap::from([("ops".to_owned(), ops)]),
    }
}

fn settings() -> Settings {
    Settings {
        node: "node-1".to_owned(),
        permit_for: Millis::seconds(5),
        cool_down: Millis::seconds(600),
        answer_for: Millis::seconds(600),
        pending_per_caller: 20,
        pending_per_root: 50,
        denied_per_minute: 0,
        ceremony_for: Millis::seconds(300),
        session: Millis::seconds(3600),
        relying_party: passkey::RelyingParty { rp_id: "localhost".to_owned(), origins: Vec::new() },
        demo: false,
    }
}

/// An authority with one agent, one person and two tools.
async fn set_up(folder: PathBuf) -> (Arc<Authority>, Arc<Caller>) {
    let ambient = Arc::new(Machine { start: Instant::now(), ids: AtomicU64::new(1) });
    let store = Arc::new(Sqlite::open(&folder, ambient.clone(), &Options::default()).unwrap());
    let authority = Authority::at_rest(store, ambient, settings(), SealKey::new([9; 32])).await.unwrap();
    authority.begin().await.unwrap();
    authority.attach(Upstream { name: "ops".to_owned(), identity: identity() });
    assert_eq!(
        authority.activate(&bundle(), &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let definition = |name: &str| {
        let schema = r#"{"type":"object","properties":{"id":{"type":"integer"},"fields":{"type":"string"}}}"#;
        json(&format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#))
    };
    let definitions = vec![definition("read_ticket"), definition("delete_ticket")];
    authority.observe("ops", definitions).await.unwrap();
    authority.add_human("olga", &[], &authority::By::account(0)).await.unwrap();
    let new = NewCaller {
        name: "support-bot".to_owned(),
        kind: CallerKind::Agent,
        owner: "olga".to_owned(),
        groups: vec!["ops-agents".to_owned()],
        act: Vec::new(),
    };
    let Added::Done((_, key)) = authority.add_caller(&new, &authority::By::account(0)).await.unwrap() else {
        panic!()
    };
    let caller = authority.authenticate(token_hash(key.key.expose())).unwrap();
    (authority, caller)
}

fn identity() -> UpstreamHash {
    UpstreamHash::of(&Json::from("ops"))
}

/// A call of a tool, from the caller's key and the parsed arguments on.
fn ask(authority: &Authority, caller: &Arc<Caller>, tool: &str, n: u64) -> Ask {
    let tool = authority.active().tool("ops", tool).unwrap();
    let resource = Resource {
        kind: "tool".to_owned(),
        id: tool.id(),
        definition: tool.pin.digest,
        upstream: identity(),
    };
    let arguments = Json::object([
        ("id", Json::from(i64::try_from(n).unwrap())),
        ("fields", Json::from("title,state,assignee")),
    ]);
    let (access, secrets): (Access, Secrets) =
        Access::new(caller.subject(), "tools/call", resource, arguments, &[], authority.seal_key()).unwrap();
    Ask {
        caller: Arc::clone(caller),
        access,
        secrets,
        source: "192.0.2.1".to_owned(),
        purpose: None,
        ticket: None,
        once: None,
    }
}

/// Microseconds of one decision: the median of `n`, one after the other.
async fn median(authority: &Authority, asks: impl Iterator<Item = Ask>, permitted: bool) -> f64 {
    let mut took = Vec::new();
    for ask in asks {
        let begun = Instant::now();
        let ruling = authority.decide(&ask).await.unwrap();
        took.push(begun.elapsed());
        assert_eq!(matches!(ruling, Ruling::Permitted(_)), permitted);
    }
    took.sort();
    took.get(took.len() / 2).unwrap().as_secs_f64() * 1e6
}

/// Decisions a second of 32 callers at once.
async fn rate(authority: &Arc<Authority>, caller: &Arc<Caller>) -> f64 {
    const EACH: u64 = 1000;
    let begun = Instant::now();
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let (authority, caller) = (Arc::clone(authority), caller.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let ask = ask(&authority, &caller, "read_ticket", n);
                    assert!(matches!(authority.decide(&ask).await.unwrap(), Ruling::Permitted(_)));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    (32 * EACH) as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let file = folder.join(format!("decide-rate-{}.db", std::process::id()));
    let (authority, caller) = set_up(file.clone()).await;
    let asks = |tool: &'static str, n: u64| {
        let (authority, caller) = (&authority, &caller);
        (0..n).map(move |n| ask(authority, caller, tool, n))
    };
    let begun = Instant::now();
    let made = asks("read_ticket", 20_000).map(|ask| u64::from(ask.secrets.is_empty())).sum::<u64>();
    let access = begun.elapsed().as_secs_f64() * 1e6 / made as f64;
    let beside = median(&authority, asks("delete_ticket", 20_000), false).await;
    let with = median(&authority, asks("read_ticket", 2000), true).await;
    let many = rate(&authority, &caller).await;
    authority.drain(Millis::seconds(30)).await;
    println!(
        r#"{{"access_us":{access:.1},"decide_without_commit_us":{beside:.1},"decide_us_c1":{with:.1},"decide_rps_c32":{many:.0}}}"#
    );
    drop(authority);
    for end in ["", "-wal", "-shm", "-lock", "-reserve"] {
        let _ = std::fs::remove_file(folder.join(format!("{}{end}", file.display())));
    }
}
