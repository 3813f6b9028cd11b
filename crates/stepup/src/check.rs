//! `stepup check`: configuration, policy and keys, and what to change. Needs no running server.

use std::collections::BTreeMap;
use std::path::Path;

use policy::Severity;
use serde_json::json;
use terms::Time;
use upstream::{Code, Transport};

use crate::cli::{Exit, Said, Spoken, finding};
use crate::config::{Config, UpstreamFile};
use crate::keys::Keys;
use crate::policy_folder;
use crate::tls::{self, Doubt};

/// Checks everything that can be checked without the store.
///
/// # Errors
/// What is wrong, all of it.
pub fn run(path: &Path, now: Time) -> Spoken {
    let config = Config::read(path).map_err(|e| Said::failed(e.to_string(), ""))?;
    let mut wrong = Vec::new();
    let mut warnings = warnings(&config);
    certificates(&config, now, (&mut wrong, &mut warnings));
    if let Err(error) = Keys::read(&config.keys) {
        wrong.push(error.to_string());
    }
    if let Err(error) = crate::node::upstreams(&config) {
        wrong.push(error.to_string());
    }
    if let Err(error) = config.notify.settings(&config.home) {
        wrong.push(error.to_string());
    }
    let (mut findings, mut texts) = (Vec::new(), BTreeMap::new());
    match config.with_policy() {
        Err(error) => wrong.push(error.to_string()),
        Ok(bundle) => {
            findings = bundle.compile().map_or_else(|found| found, |set| set.warnings().to_vec());
            texts = bundle.texts;
        }
    }
    let ok = wrong.is_empty() && findings.iter().all(|found| found.severity() == Severity::Warning);
    let json =
        json!({ "ok": ok, "errors": wrong, "warnings": warnings, "findings": finding::json(&findings) });
    let said = warnings.iter().map(|w| format!("warning: {w}"));
    let mut all: Vec<String> = said.chain(wrong.iter().map(|w| format!("error: {w}"))).collect();
    all.extend(Some(finding::shown(&findings, &texts)).filter(|text| !text.is_empty()));
    if ok {
        all.push("Everything checks out.".to_owned());
        return Ok(Said::done(all.join("\n"), json));
    }
    Err(Said::done(all.join("\n"), json).exit(Exit::Failed))
}

/// What is wrong with the certificates of the listeners, and what is probably not meant. One that does not fit `public_url` may be for
/// what stands before the listener.
fn certificates(config: &Config, now: Time, (wrong, warnings): (&mut Vec<String>, &mut Vec<String>)) {
    for (table, files, url) in config.tls() {
        let doubts = match tls::read(files, tls::speaks(table), url, now) {
            Ok(shown) => shown.doubts,
            Err(error) => {
                wrong.push(format!("[{table}] tls: {error}"));
                continue;
            }
        };
        for doubt in doubts {
            let said = format!("[{table}] tls: {}", doubt.says());
            match doubt {
                Doubt::Expired(_) => wrong.push(said),
                Doubt::Soon(_) | Doubt::Name(_) => warnings.push(said),
            }
        }
    }
}

/// What works and is probably not meant.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = policy_folder::open_to_others(config);
    let names: Vec<&String> = config.upstreams.keys().collect();
    if names.is_empty() {
        warnings.push("no upstream is configured: add [upstreams.NAME]".to_owned());
    }
    for (name, upstream) in &config.upstreams {
        let runner = upstream.command.first().map(String::as_str).unwrap_or_default();
        let unpinned = ["npx", "uvx"].contains(&runner) && !upstream.command.iter().any(|word| version(word));
        if unpinned {
            warnings.push(format!(
                "[upstreams.{name}] {runner} runs whatever version is newest: name one, as in package@1.2.3"
            ));
        }
        warnings.extend(code(upstream, name, config).map(|why| format!("[upstreams.{name}] {why}")));
        if !runner.is_empty() && !found(runner) {
            warnings.push(format!("[upstreams.{name}] there is no program {runner} on this machine"));
        }
        let left_out = upstream.left_out(&config.home).into_iter();
        warnings.extend(
            left_out.map(|why| format!("[upstreams.{name}] left out of its OpenAPI document: {why}")),
        );
        if upstream.environment.is_empty() {
            warnings.push(format!("[upstreams.{name}] has no environment: approvers are shown none"));
        }
    }
    warnings
}

/// Why approvals of an upstream would outlive a change of its code: what the command names is pinned, and what
/// it only leads to is not (T19).
fn code(upstream: &UpstreamFile, name: &str, config: &Config) -> Option<String> {
    // What is wrong with it otherwise is an error and said there.
    let exit = upstream.exit(name, &config.home).ok()?;
    let Transport::Stdio(stdio) = exit.transport else { return None };
    if !stdio.pin_files.is_empty() {
        return None;
    }
    let program = stdio.command.first().map(String::as_str).unwrap_or_default();
    match Code::of(&stdio) {
        Code::Program | Code::Files(_) => None,
        Code::Elsewhere => Some(format!(
            "what runs is whatever {program} fetches or finds, and approvals stay good when that changes: install \
             the server and name its own file, as in command = [\"node\", \"/opt/…/index.js\"], or list files of it \
             in pin_files"
        )),
        Code::Unnamed => Some(format!(
            "{program} runs code that the command names no file of, and approvals stay good when it changes: name \
             the file, or list files of it in pin_files"
        )),
    }
}

/// Whether a program is where its name says, or on the search path. One that is named from a folder is found later.
fn found(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_relative() || Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether a word names a package at a version.
fn version(word: &str) -> bool {
    word.rsplit_once('@')
        .is_some_and(|(name, version)| !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()))
}
