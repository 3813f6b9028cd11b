//! `stepup init` and `stepup check`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::world::{Home, run, stepup};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_everything_that_check_wants() {
    for (kind, owner) in [("--alone", true), ("--team", false)] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("new/place");
        let said = run(folder.path(), &["init", "new/place", kind]).done();
        assert!(said.contains("stepup check") && said.contains("stepup serve"), "{said}");
        for name in ["stepup.toml", "policies/starter.cedar", "keys/seal.key", "keys/log.key"] {
            assert!(at.join(name).is_file(), "{kind} writes {name}");
        }
        let config = fs::read_to_string(at.join("stepup.toml")).unwrap();
        assert_eq!(config.contains("owner = "), owner, "{kind}");
        assert!(!config.contains("# <requirements>"));
        let said = run(&at, &["check"]).done();
        assert!(said.ends_with("Everything checks out.\n"), "{said}");
    }
}

#[test]
fn keys_are_for_their_owner_alone() {
    let home = Home::new();
    assert_eq!(mode(&home.path().join("keys")), 0o700);
    for name in ["keys/seal.key", "keys/log.key"] {
        assert_eq!(mode(&home.path().join(name)), 0o600, "{name}");
        assert_eq!(fs::metadata(home.path().join(name)).unwrap().len(), 32, "{name}");
    }
    let other = Home::new();
    for name in ["keys/seal.key", "keys/log.key"] {
        let [mine, theirs] = [&home, &other].map(|h| fs::read(h.path().join(name)).unwrap());
        assert_ne!(mine, theirs, "two installations never share {name}");
    }
}

#[test]
fn init_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "--team"]).done();
    let all = ["stepup.toml", "policies/starter.cedar", "keys/seal.key", "keys/log.key"];
    let before = all.map(|name| fs::read(folder.path().join(name)).unwrap());
    run(folder.path(), &["init", "--alone"]).failed(1, &["stepup.toml", "exists already", "help:"]);
    fs::remove_file(folder.path().join("stepup.toml")).unwrap();
    run(folder.path(), &["init", "--alone"]).failed(1, &["keys", "help:"]);
    assert!(!folder.path().join("stepup.toml").exists(), "keys of another installation are not adopted");
    for (name, before) in all.iter().zip(before).skip(1) {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), before, "{name} is as it was");
    }
}

#[test]
fn without_a_terminal_init_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init"]).failed(2, &["--alone", "--team"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn keys_that_others_can_read_stop_everything_and_say_chmod() {
    for (name, loose, tight) in
        [("keys", 0o750, "700"), ("keys/seal.key", 0o640, "600"), ("keys/log.key", 0o604, "600")]
    {
        let home = Home::new();
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(loose)).unwrap();
        for verb in [&["check"][..], &["serve"], &["caller", "list"]] {
            home.run(verb).failed(1, &[name, &format!("chmod {tight}")]);
        }
    }
}

#[test]
fn a_key_of_another_length_is_no_key() {
    for bytes in [0, 31, 33] {
        let home = Home::new();
        fs::write(home.path().join("keys/seal.key"), vec![7; bytes]).unwrap();
        home.run(&["check"]).failed(1, &["seal.key", "32 bytes"]);
        home.run(&["human", "list"]).failed(1, &["seal.key", "32 bytes"]);
    }
}

#[test]
fn a_broken_rule_is_found_with_its_file_and_line() {
    let home = Home::new();
    for (rule, with) in [
        ("\n\npermit (principal, action", &["broken.cedar:3"][..]),
        (
            "\n@id(\"x\")\n@stepup(\"release-aproval\")\nforbid (principal, action, resource);",
            &["broken.cedar:", "release-approval"],
        ),
        ("\npermit (principal, action, resource);", &["broken.cedar:2", "@id"]),
    ] {
        home.write("policies/broken.cedar", rule);
        home.run(&["check"]).failed(1, &[&["error["], with].concat());
        home.run(&["policy", "activate"]).failed(1, &[&["stays so"], with].concat());
    }
}

#[test]
fn check_says_all_that_is_wrong_at_once_and_as_json_too() {
    let home = Home::new();
    home.write("policies/broken.cedar", "nonsense");
    fs::set_permissions(home.path().join("keys"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = home.run(&["check"]).failed(1, &["broken.cedar", "chmod 700"]);
    assert_eq!((said.matches("error: ").count(), said.matches("error[").count()), (1, 1), "{said}");
    let said = home.run(&["--json", "check"]);
    assert_eq!(said.code, 1);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["errors"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["findings"][0]["code"], "syntax", "{json}");
}

#[test]
fn check_warns_of_what_works_and_is_probably_not_meant() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "--alone"]).done();
    let warned = run(folder.path(), &["check"]).done();
    assert!(warned.contains("warning: no upstream"), "{warned}");
    let config = fs::read_to_string(folder.path().join("stepup.toml")).unwrap();
    let upstream = "\n[upstreams.x]\ncommand = [\"npx\", \"-y\", \"@scope/server\"]\n";
    fs::write(folder.path().join("stepup.toml"), config + upstream).unwrap();
    let warned = run(folder.path(), &["check"]).done();
    assert!(warned.contains("npx") && warned.contains("has no environment"), "{warned}");
}

#[test]
fn t19_check_warns_of_code_that_is_not_pinned_and_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "--alone"]).done();
    let config = fs::read_to_string(folder.path().join("stepup.toml")).unwrap();
    fs::write(folder.path().join("server"), "").unwrap();
    let server = folder.path().join("server").display().to_string();
    for (command, pins, expected) in [
        (vec!["npx", "-y", "@scope/server@1.2.3"], "", Some("whatever npx fetches")),
        (vec!["docker", "run", "-i", "--rm", "mcp/files"], "", Some("whatever docker fetches")),
        (vec!["sh", "-c", "exec some-server"], "", Some("names no file")),
        (vec!["npx", "-y", "@scope/server@1.2.3"], "pin_files = [\"server\"]", None),
        (vec!["sh", &server], "", None),
        (vec!["cat", &server], "", None),
    ] {
        let upstream = format!("\n[upstreams.x]\ncommand = {command:?}\n{pins}\n");
        fs::write(folder.path().join("stepup.toml"), config.clone() + &upstream).unwrap();
        let said = run(folder.path(), &["check"]).done();
        let found = said.contains("approvals stay good").then_some(());
        assert_eq!(found, expected.map(|_| ()), "{command:?}: {said}");
        assert!(said.contains(expected.unwrap_or_default()), "{command:?}: {said}");
    }
}

/// What is commented out but is not a default is an example, and examples are good configuration.
#[test]
fn the_examples_that_init_writes_check_out() {
    for kind in ["--alone", "--team"] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["init", kind]).done();
        let path = folder.path().join("stepup.toml");
        let toml = |line: &str| line.parse::<toml::Table>().is_ok();
        let text = fs::read_to_string(&path).unwrap();
        let uncommented = text.lines().map(|line| {
            let example = line.strip_prefix("# e.g. ").or_else(|| line.strip_prefix("# "));
            example.filter(|example| toml(example)).unwrap_or(line)
        });
        let uncommented = uncommented.collect::<Vec<_>>().join("\n");
        for key in ["[upstreams.ops]", "rp_id = ", "webhook = ", "smtp = ", "references = "] {
            assert!(uncommented.lines().any(|line| line.starts_with(key)), "{key} is an example");
        }
        fs::write(&path, uncommented).unwrap();
        let pair = crate::tls::Authority::new().pair(&["stepup.example", "approve.example"]);
        fs::write(folder.path().join("cert.pem"), pair.cert).unwrap();
        fs::write(folder.path().join("key.pem"), pair.key).unwrap();
        fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        let check = stepup(folder.path())
            .arg("check")
            .env("STEPUP_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .env("STEPUP_MAIL_PASSWORD", "x")
            .output();
        let said = crate::world::Said::from(check.unwrap()).done();
        let missing = "warning: [upstreams.ops] there is no program ops-mcp on this machine\n";
        assert_eq!(said, format!("{missing}Everything checks out.\n"));
    }
}
