//! The demo plays the whole story against everything real, but for the person.

use serde_json::Value;

use crate::world::{Home, run};

#[test]
fn the_unattended_demo_ends_as_its_story_says() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["demo", "--unattended"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out.lines().count(), 1, "{said:?}");
    let end: Value = serde_json::from_str(&said.out).unwrap();
    let steps = end["steps"].as_array().unwrap();
    assert!(steps.len() >= 12, "{end}");
    for step in steps {
        assert_eq!(step["got"], step["expected"], "{step}");
    }
    let ran = steps.iter().filter(|step| step["got"] == "ran").count();
    assert_eq!(end["executed"], ran, "as many calls reached the upstream as steps ran");
    let stopped = steps.iter().filter(|s| s["got"].as_str().unwrap().starts_with("stopped")).count();
    assert_eq!(end["challenged"], stopped);
    assert_eq!(end["verified"], true);
    assert!(end["log_size"].as_u64().unwrap() > 20, "{end}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Its software authenticator could approve anything (decisions B14).
#[test]
fn a_demos_store_is_of_no_use_in_earnest() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    run(folder.path(), &["demo", "--unattended", "--keep", "kept"]).done();
    let home = kept.join("stepup");
    for words in [&["serve"][..], &["caller", "list"], &["log", "export", "log.jsonl"]] {
        run(&home, words).failed(1, &["demo's store"]);
    }
    run(folder.path(), &["demo", "--unattended", "--keep", "kept"]).failed(1, &["kept"]);
    let real = Home::new();
    real.caller("bot");
    let folder = real.path().parent().unwrap().to_str().unwrap().to_owned();
    real.run(&["demo", "--unattended", "--keep", &folder]).failed(1, &["not empty"]);
    assert_eq!(
        real.tells(&["caller", "list"])["callers"].as_array().unwrap().len(),
        1,
        "nothing was touched"
    );
}
