//! The house rules that a compiler does not hold: allowed imports as data, and places that stay apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate with its floor, and the crates of ours that it may use. An edge that is not here is refused.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("terms", 0, &[]),
    ("elevation", 1, &["terms"]),
    ("policy", 1, &["terms", "elevation"]),
    ("audit", 1, &["terms"]),
    ("passkey", 1, &[]),
    ("store", 2, &["terms", "elevation", "audit"]),
    ("authority", 3, &["terms", "elevation", "policy", "audit", "passkey", "store"]),
    ("upstream", 4, &["terms", "elevation", "authority"]),
    ("gateway", 5, &["terms", "elevation", "authority", "upstream"]),
    ("envoy", 5, &["terms", "gateway"]),
    ("console", 5, &["terms", "elevation", "authority", "passkey"]),
    ("checker", 6, &[]),
    ("layer", 6, &[]),
    (
        "stepup",
        6,
        &[
            "terms",
            "elevation",
            "policy",
            "audit",
            "passkey",
            "store",
            "authority",
            "upstream",
            "gateway",
            "envoy",
            "console",
        ],
    ),
];

/// A crate exists only if it can name what it alone may know, or must not.
const ONLY: &[(&str, &[&str])] = &[
    ("cedar-policy", &["policy"]),
    ("rusqlite", &["store", "stepup"]),
    ("landlock", &["upstream"]),
    // A ticket is matched in one place (`terms::claim`), or the log would be judged by another.
    ("regex", &["terms"]),
    ("askama", &["console"]),
    ("clap", &["stepup", "checker"]),
    ("axum", &["gateway", "console", "stepup"]),
    ("tonic", &["envoy"]),
    ("prost", &["envoy"]),
    ("hyper-rustls", &["upstream", "console", "layer"]),
    // Mail alone (rfd 35), and the listeners (rfd 40).
    ("tokio-rustls", &["console", "stepup"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The names under `[dependencies]` of a manifest, not those of tests.
fn dependencies(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let listed = manifest.get("dependencies").and_then(toml::Value::as_table);
    listed.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Every source file but those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("tests") || path.ends_with("tests.rs") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|x| x == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines of a file up to its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

#[test]
fn every_crate_stands_on_its_floor_and_imports_only_downwards() {
    let floors: BTreeMap<&str, (u8, &[&str])> = FLOORS.iter().map(|(n, f, may)| (*n, (*f, *may))).collect();
    let folders: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, floors.keys().map(|n| (*n).to_owned()).collect(), "a crate without a floor");
    for (name, (floor, may)) in &floors {
        for dependency in dependencies(name).iter().filter(|d| floors.contains_key(d.as_str())) {
            assert!(may.contains(&dependency.as_str()), "{name} must not use {dependency}");
            assert!(floors[dependency.as_str()].0 <= *floor, "{name} reaches up to {dependency}");
        }
    }
}

#[test]
fn what_one_crate_alone_may_know_no_other_knows() {
    for (library, may) in ONLY {
        for (name, ..) in FLOORS {
            assert!(
                may.contains(name) || !dependencies(name).contains(*library),
                "{name} must not know {library}"
            );
        }
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    fn read(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, into);
            } else if path.extension().is_some_and(|x| x == "rs" || x == "mjs") {
                into.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = String::new();
    for folder in ["crates", "tests/wire", "tests/sdk", "tests/browser", "tests/faults", "tests/told"] {
        read(&root().join(folder), &mut all);
    }
    // The cells of tests are the last ones; on the page of threats, of one table only.
    for (page, from, most) in [("threats.md", "## What must hold", 50), ("mcp-musts.md", "# What MCP", 35)] {
        let page = fs::read_to_string(root().join("docs").join(page)).unwrap();
        let table = page.split(from).nth(1).unwrap();
        let table = if from.starts_with("##") { table.split("\n## ").next().unwrap() } else { table };
        let tests = table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | "));
        let tests: Vec<&str> = tests.map(|(_, tests)| tests).filter(|tests| tests.contains('`')).collect();
        assert!(tests.len() > most, "the tables are found: {}", tests.len());
        for name in tests.iter().flat_map(|tests| tests.split('`').skip(1).step_by(2)) {
            let is = all.contains(&format!("fn {name}(")) || all.contains(&format!("test(\"{name}\""));
            assert!(is, "{name} is no test");
        }
    }
}

#[test]
fn invariant_1_there_is_exactly_one_door_and_one_exit() {
    let calls = |needle: &str, folder: &str| {
        let all = sources(&root().join("crates").join(folder).join("src"));
        all.into_iter()
            .filter(|path| code(path).contains(needle))
            .map(|p| p.file_name().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let named = |names: &[&str]| names.iter().map(std::ffi::OsString::from).collect::<BTreeSet<_>>();
    assert_eq!(calls(".decide(", "gateway"), named(&["enforce.rs"]), "only enforce asks for a decision");
    assert_eq!(
        calls(".decide_again(", "gateway"),
        named(&["enforce.rs"]),
        "only enforce asks for a decision"
    );
    assert_eq!(calls("upstream::forward(", "gateway"), named(&["run.rs"]), "only run forwards");
    for path in sources(&root().join("crates/stepup/src")) {
        let of_callers = path.ends_with("stepup/src/exec.rs");
        let bridge = of_callers || path.parent().is_some_and(|folder| folder.ends_with("stepup/src/stdio"));
        assert!(bridge || !code(&path).contains("upstream::client"), "{} is a client", path.display());
    }
    assert_eq!(calls("Claiming::new(", "authority"), named(&["decide.rs"]), "only decide claims");
    assert_eq!(
        calls("Some(Permit {", "authority"),
        named(&["permit.rs"]),
        "a permit comes from a claim alone"
    );
    for folder in ["gateway", "envoy", "console", "authority", "store", "policy"] {
        assert_eq!(calls("upstream::client", folder), named(&[]), "{folder} has a client of its own");
        assert_eq!(calls("process::Command", folder), named(&[]), "{folder} starts a child");
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    for (name, ..) in FLOORS.iter().filter(|(name, ..)| *name != "checker") {
        for path in sources(&root().join("crates").join(name).join("src")) {
            let here = code(&path);
            let reads = here.contains("SystemTime::now") || here.contains("std::time::Instant::now");
            assert!(!reads || path.ends_with("stepup/src/clock.rs"), "{} reads the clock", path.display());
        }
    }
}

#[test]
fn no_shell_and_no_opened_url_anywhere() {
    for (name, ..) in FLOORS {
        for path in sources(&root().join("crates").join(name).join("src")) {
            let here = code(&path);
            // The names of interpreters, by which what an upstream's command runs is found; it starts none.
            let names = path.ends_with("upstream/src/code.rs") && !here.contains("Command::");
            for needle in ["\"sh\"", "\"-c\"", "xdg-open", "bash -c"] {
                assert!(names || !here.contains(needle), "{} has {needle}", path.display());
            }
        }
    }
}

#[test]
fn a_function_fits_a_screen() {
    for (name, ..) in FLOORS {
        for path in sources(&root().join("crates").join(name).join("src")) {
            assert!(!code(&path).contains("allow(clippy::too_many_lines)"), "{}", path.display());
        }
    }
}
