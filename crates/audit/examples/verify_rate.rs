//! How many records a second one core verifies, with bodies and without. Run in release:
//! `cargo run --release -p audit --example verify_rate`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)] // a measurement, not the product

use std::collections::BTreeSet;
use std::time::Instant;

use audit::body::{Captured, Outcome, Permitted, RelyingParty, Settled, Started, Touches, Who};
use audit::export::{Entry, Header, Writer};
use audit::tree::Frontier;
use audit::{Asserted, CheckpointKey, Draft, Kind, Record, Refs, Trust, Verification, verify};
use terms::access::{Resource, SealKey, Subject};
use terms::hash::UpstreamHash;
use terms::{Access, DefinitionHash, HumanId, Json, KeyId, Millis, RecordId, Time};

const RECORDS: u64 = 200_000;

fn id(n: u64) -> [u8; 16] {
    u128::from(n).to_be_bytes()
}

/// Permitted calls with arguments of a few hundred bytes, each followed by its outcome.
fn record(n: u64) -> Record {
    let (at, record) = (Time::from_millis(1_700_000_000_000), RecordId::from_slice(&id(n)).unwrap());
    let refs = Refs {
        caller: terms::CallerId::from_slice(&id(1)),
        attempt: terms::AttemptId::from_slice(&id(n / 2)),
        ..Refs::default()
    };
    let salt = id(n ^ 0x5a5a);
    if n.is_multiple_of(2) {
        let access = access(n);
        let body = Permitted {
            caller: who(),
            access: access.to_json(),
            access_hash: access.hash(),
            by: vec!["tickets-are-readable".to_owned(), "baseline".to_owned()],
        };
        let refs = Refs { access_hash: Some(access.hash()), ..refs };
        Draft::of(record, at, "node-1", refs, &body).seal(salt)
    } else {
        let body = Settled {
            outcome: Outcome::Done,
            delivered: Some(true),
            took: Some(Millis::new(12)),
            why: None,
            touched: Touches::default(),
            captured: Captured::default(),
        };
        Draft::of(record, at, "node-1", refs, &body).seal(salt)
    }
}

fn access(n: u64) -> Access {
    let subject = Subject {
        kind: "agent".to_owned(),
        id: "support-bot".to_owned(),
        owner: "olga".to_owned(),
        act: vec!["planner".to_owned()],
    };
    let resource = Resource {
        kind: "tool".to_owned(),
        id: "tickets/search".to_owned(),
        definition: DefinitionHash::of(&Json::from("definition")),
        upstream: UpstreamHash::of(&Json::from("upstream")),
    };
    let arguments = Json::object([
        ("query", Json::from(format!("status:open assignee:none customer \"{n}\" order by created"))),
        ("limit", Json::from(50_u32)),
        ("fields", Json::from(vec!["id", "title", "status", "assignee", "created"])),
        ("include_closed", Json::from(false)),
    ]);
    Access::new(subject, "tools/call", resource, arguments, &[], &SealKey::new([1; 32])).unwrap().0
}

fn who() -> Who {
    Who {
        name: "support-bot".to_owned(),
        owner: "olga".to_owned(),
        act: vec!["planner".to_owned()],
        roots: BTreeSet::from([HumanId::from_slice(&id(7)).unwrap()]),
        key: KeyId::from_slice(&id(8)).unwrap(),
        key_prefix: "sk_abcdef".to_owned(),
        key_bound: false,
        source: "10.1.2.3".to_owned(),
    }
}

fn started(install: terms::InstallId) -> Record {
    let body = Started {
        install,
        boot: terms::BootId::from_slice(&id(1)).unwrap(),
        version: "0.1.0".to_owned(),
        rp: RelyingParty { id: "localhost".to_owned(), origins: Vec::new() },
    };
    let id = RecordId::from_slice(&id(u64::MAX)).unwrap();
    Draft::of(id, Time::from_millis(0), "node-1", Refs::default(), &body).seal([0; 16])
}

fn nobody(_: &Asserted<'_>) -> Result<(), String> {
    Err("this log has no signatures".to_owned())
}

fn main() {
    let install = terms::InstallId::from_slice(&id(3)).unwrap();
    let key = CheckpointKey::from_seed("rate.example", &[1; 32]).unwrap();
    let (origin, text) = (key.verifier().name().to_owned(), key.verifier().to_string());
    let header = Header { origin, install, key: text };
    let mut writer = Writer::begin(Vec::new(), &header).unwrap();
    let mut frontier = Frontier::new();
    let mut entries = Vec::new();
    for leaf in 0..RECORDS {
        let record = if leaf == 0 { started(install) } else { record(leaf + 1) };
        assert!(leaf == 0 || record.kind != Kind::Started);
        frontier.append(record.hash);
        let entry = Entry::of(leaf, record).unwrap();
        writer.entry(&entry).unwrap();
        entries.push(entry);
    }
    let head = audit::tree::Head { size: frontier.size(), root: frontier.root() };
    let note = key.checkpoint(head);
    let log = writer.end(&note).unwrap();
    println!("{RECORDS} records, {} bytes each in the file", log.len() as u64 / RECORDS);

    let trust = Trust { key: key.verifier(), earlier: &[], assertions: &nobody };
    // Not a clock of the product: this measures it.
    let start = Instant::now();
    let report = verify(log.as_slice(), &trust).unwrap();
    rate("from the file, with bodies", start);
    assert_eq!(report.checkpoint.head, head);

    let start = Instant::now();
    let mut verification = Verification::begin(&header, trust).unwrap();
    entries.iter().for_each(|entry| verification.entry(entry).unwrap());
    verification.end(&note).unwrap();
    rate("from entries at hand, with bodies", start);
}

fn rate(what: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a figure to look at
    let rate = RECORDS as f64 / seconds;
    println!("{what}: {rate:.0} records/s, {:.1} µs each", 1e6 / rate);
}
