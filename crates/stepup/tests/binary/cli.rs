//! The words of the command line are read by people and by scripts: nobody changes them by accident.

use std::path::Path;

use crate::world::{golden, run};

/// The help of every command, in the order in which the help itself lists them.
fn help() -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&mut Vec::new(), &mut found);
    found
}

fn collect(words: &mut Vec<String>, found: &mut Vec<(String, String)>) {
    let all: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let text = run(Path::new("/"), &all).done();
    let name =
        std::iter::once("stepup").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    found.push((name, text.clone()));
    for verb in verbs(&text) {
        words.push(verb);
        collect(words, found);
        words.pop();
    }
}

/// The commands that a help lists, beside `help` itself.
fn verbs(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_help_of_every_verb_is_what_was_looked_at() {
    let sections = help();
    assert!(sections.len() > 30, "the verbs are found in the help");
    let text: Vec<String> = sections.iter().map(|(name, text)| format!("# {name} --help\n{text}")).collect();
    golden("tests/golden/help.txt", &text.join("\n"));
}

#[test]
fn the_page_of_the_command_line_is_its_own_help() {
    let mut page = String::from(
        "# The command line\n\n<!-- Written from `stepup --help` by `crates/stepup/tests/binary/cli.rs`; \
         run it with UPDATE_GOLDEN=1 after a change. -->\n\n\
         With a running server the commands go through its control socket, `stepup.sock` beside the\n\
         configuration, which only its own account may open; without one they open the store themselves.\n\
         What gives something (an approval, a lifted lock, an accepted definition) takes a passkey and ends in\n\
         the browser. `--json` answers with one line of JSON.\n\n\
         | exit | means |\n|---|---|\n| 0 | done |\n| 1 | not done; standard error says why and what to do |\n\
         | 2 | the words of the command are wrong |\n| 10 | the request waits for people |\n\
         | 11 | policy denies it |\n| 12 | a person rejected it |\n\
         | 13 | the request is over without an answer: expired, withdrawn or superseded |\n\
         | 14 | it ran, and nobody knows whether it took effect |\n| 15 | the log does not verify |\n",
    );
    for (name, text) in help() {
        let text: Vec<&str> = text.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", text.join("\n")));
    }
    golden("../../docs/cli.md", &page);
}

#[test]
fn every_shell_is_given_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(Path::new("/"), &["completions", shell]).done();
        for word in ["stepup", "caller", "rotate", "--overlap", "unattended"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell} completes {word}");
        }
    }
    run(Path::new("/"), &["completions", "abacus"]).failed(2, &["abacus"]);
}

#[test]
fn words_that_are_no_command_are_a_usage_error() {
    let nowhere = Path::new("/");
    for words in [
        &["sevre"][..],
        &["caller"],
        &["caller", "add", "x"],
        &["lock"],
        &["log", "verify", "x"],
        &["init", "--alone", "--team"],
        &["caller", "add", "x", "--owner", "y", "--kind", "human"],
        &["log", "tail", "-n", "many"],
        &["human", "account", "x", "--uid", "4294967295"],
    ] {
        run(nowhere, words).failed(2, &["--help"]);
    }
    run(nowhere, &["sevre"]).failed(2, &["serve"]);
    run(nowhere, &[]).failed(2, &["Usage:", "Commands:"]);
}

#[test]
fn a_missing_configuration_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["check"][..], &["serve"], &["caller", "list"]] {
        run(folder.path(), words).failed(1, &["stepup.toml", "stepup init", "--config"]);
    }
    run(folder.path(), &["--config", "other.toml", "check"]).failed(1, &["other.toml"]);
}
