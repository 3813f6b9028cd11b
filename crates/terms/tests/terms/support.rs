//! What several modules need: the corpora, golden files, a clock turned by hand, and random JSON.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::Config;
use terms::access::{Resource, SealKey, Subject};
use terms::{Access, Ambient, Boottime, DefinitionHash, Json, Pointer, Secrets, Time, UpstreamHash};

/// A folder of the published test data, or a line that says why it is not tried.
pub fn corpora(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("STEPUP_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let at = given.unwrap_or(beside).join(folder);
    if at.is_dir() {
        return Some(at);
    }
    println!("not tried: no corpora at {} (set STEPUP_CORPORA)", at.display());
    None
}

/// Every file of a folder by name, sorted.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the corpora are readable");
    let mut files: Vec<_> = entries
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Compares a text with a file below the workspace; writes it with `UPDATE_GOLDEN=1`.
pub fn golden(path: &str, text: &str) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&at, text).unwrap();
    }
    let kept = std::fs::read_to_string(&at).unwrap_or_default();
    assert!(kept == text, "{path} is out of date: look at why, then UPDATE_GOLDEN=1 cargo test -p terms");
}

/// So many cases, and no files written beside the sources.
pub fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() }
}

/// A clock that stands still, and bytes that count upwards.
pub struct Hand {
    pub now: i64,
    next: AtomicU64,
}

impl Hand {
    pub const fn at(now: i64) -> Self {
        Self { now, next: AtomicU64::new(1) }
    }
}

impl Ambient for Hand {
    fn now(&self) -> Time {
        Time::from_millis(self.now)
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_nanos(0)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            chunk.copy_from_slice(&n.to_be_bytes()[..chunk.len()]);
        }
    }
}

pub fn parse(text: &str) -> Json {
    terms::json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn at(pointer: &str) -> Pointer {
    pointer.parse().unwrap()
}

pub fn subject() -> Subject {
    Subject {
        kind: "agent".to_owned(),
        id: "deploy-bot".to_owned(),
        owner: "ada".to_owned(),
        act: vec!["planner".to_owned()],
    }
}

pub fn resource() -> Resource {
    Resource {
        kind: "tool".to_owned(),
        id: "ops/deploy".to_owned(),
        definition: DefinitionHash::of(&Json::from("definition")),
        upstream: UpstreamHash::of(&Json::from("upstream")),
    }
}

pub const fn key() -> SealKey {
    SealKey::new([7; 32])
}

pub fn sealed(arguments: Json, secrets: &[&str]) -> (Access, Secrets) {
    let secrets: Vec<_> = secrets.iter().map(|s| at(s)).collect();
    Access::new(subject(), "tools/call", resource(), arguments, &secrets, &key()).expect("an access")
}

pub fn access(arguments: Json) -> Access {
    sealed(arguments, &[]).0
}

/// Text with everything in it that a writer could get wrong.
pub fn string() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\"",
        "\\",
        "/",
        "\u{0}",
        "\u{1f}",
        "\n",
        "\r\t",
        "\u{8}\u{c}",
        "\u{7f}",
        "\u{80}",
        "\u{2028}",
        "é",
        "e\u{301}",
        "\u{fb33}",
        "\u{1f600}",
        "\u{ffff}",
        "\u{10ffff}",
        "\\u0041",
        "€",
        "~1",
        "",
    ]);
    prop_oneof![
        3 => "[a-z]{0,6}",
        2 => prop::collection::vec(odd, 0..4).prop_map(|parts| parts.concat()),
        1 => ".{0,8}",
    ]
}

/// Any double that JSON can hold here: finite, and never -0.
pub fn double() -> impl Strategy<Value = f64> {
    any::<f64>().prop_map(|d| if d.is_finite() && d != 0.0 { d } else { 0.0 })
}

/// The shortest decimal that names the double, the closest of those, the even one of two as close: what
/// ECMAScript asks for. Rust's own shortest text rounds that last tie upwards, so it is asked a second time,
/// for just so many digits.
pub fn shortest(value: f64) -> String {
    let upwards = format!("{value:e}");
    let mantissa = upwards.split('e').next().unwrap().trim_start_matches('-');
    let digits = mantissa.len() - usize::from(mantissa.contains('.'));
    let even = format!("{value:.*e}", digits - 1);
    if even.parse::<f64>().unwrap().to_bits() == value.to_bits() { even } else { upwards }
}

/// Any number that JSON can hold here.
pub fn number() -> impl Strategy<Value = Json> {
    prop_oneof![(-1_000_i64..1_000).prop_map(Json::from), double().prop_map(|d| parse(&shortest(d))),]
}

/// Any JSON, a few levels deep.
pub fn any_json() -> impl Strategy<Value = Json> {
    json_of(string().boxed())
}

/// Members and values as arguments of a call may have them.
pub fn arguments() -> impl Strategy<Value = Json> {
    prop::collection::vec(("[a-e]{1,2}", json_of("[a-e]{1,2}".boxed())), 0..5).prop_map(Json::object)
}

fn json_of(names: BoxedStrategy<String>) -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        number(),
        string().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(Json::object),
        ]
    })
}

/// Every place in a value, the value itself first.
pub fn places(value: &Json) -> Vec<Pointer> {
    fn walk(at: &Pointer, value: &Json, out: &mut Vec<Pointer>) {
        out.push(at.clone());
        match value {
            Json::Object(members) => members.iter().for_each(|(n, v)| walk(&at.child(n), v, out)),
            Json::Array(items) => {
                items.iter().enumerate().for_each(|(i, v)| walk(&at.child(i.to_string()), v, out));
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut out = Vec::new();
    walk(&Pointer::root(), value, &mut out);
    out
}

/// Another value than this one, of the same kind where it has one.
pub fn other(value: &Json) -> Json {
    match value {
        Json::Null => Json::from(false),
        Json::Bool(b) => Json::from(!b),
        Json::Number(n) => Json::from(if n.as_f64() == 1.0 { 2_u32 } else { 1 }),
        Json::String(s) => Json::from(format!("{s}x")),
        Json::Array(items) => Json::Array(items.iter().cloned().chain([Json::Null]).collect()),
        Json::Object(members) => {
            let mut more = members.clone();
            let fresh = (0_u32..).map(|i| format!("z{i}")).find(|n| more.get(n).is_none()).unwrap();
            more.insert(fresh, Json::Null);
            Json::Object(more)
        }
    }
}
