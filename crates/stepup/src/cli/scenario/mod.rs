//! `stepup policy test`: scenarios that say what rules are for, played on rules that are not in force yet. A file says who is
//! there and what is pinned, so that it needs no store and no server, and runs where policy is reviewed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use authority::{Bundle, Stage};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use terms::text::visible;

use self::file::{File, Scenario};
use self::matrix::Held;
use super::finding;
use super::say::{Exit, Said, Spoken, count};
use crate::config::Config;

mod file;
mod matrix;

/// Files of scenarios in the policy folder end with this.
const ENDING: &str = ".scenarios.yaml";

/// Which scenarios, and what else is an error.
#[derive(Args, Debug, Clone, Serialize, Deserialize)]
pub struct Test {
    /// The files; those in the policy folder that end with .scenarios.yaml where none is named.
    files: Vec<PathBuf>,
    /// Rules that no scenario exercises, and scenarios that no matrix is kept of, are an error.
    #[arg(long)]
    strict: bool,
    /// Write the matrix of callers and actions beside each file anew, instead of holding it against the one that is there.
    #[arg(long)]
    update: bool,
}

/// What a scenario came to.
struct Played {
    name: String,
    /// What was wrong with it; nothing when it is as expected.
    wrong: Option<String>,
}

impl Test {
    /// Plays them all.
    ///
    /// # Errors
    /// What is not as it is expected.
    pub fn run(&self, config: &Path) -> Spoken {
        let config = Config::read(config).map_err(|e| Said::failed(e.to_string(), ""))?;
        let bundle = config.with_policy().map_err(|e| Said::failed(e.to_string(), ""))?;
        let files = self.found(&config.policy.dir)?;
        let mut tested = Tested::default();
        for path in &files {
            let file = File::read(path)?;
            let (bundle, stage) = file.stage(&bundle, path)?;
            tested.check(&bundle, &stage)?;
            for scenario in &file.scenarios {
                tested.play(&stage, scenario, path);
            }
            tested.matrix((&stage, &bundle), path, self.update)?;
        }
        if self.files.is_empty() {
            tested.orphans(&config.policy.dir, &files)?;
        }
        tested.said(self.strict)
    }

    fn found(&self, folder: &Path) -> Result<Vec<PathBuf>, Said> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let mut files = listed(folder)?;
        files.retain(|path| path.to_string_lossy().ends_with(ENDING));
        if files.is_empty() {
            let help = "write one, such as policies/starter.scenarios.yaml; docs/policy-testing.md shows how";
            return Err(Said::failed(
                format!("{} has no file that ends with {ENDING}", folder.display()),
                help,
            ));
        }
        Ok(files)
    }
}

/// What is in a folder, by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, Said> {
    let unreadable =
        |e: std::io::Error| Said::failed(format!("{}: cannot be read: {e}", folder.display()), "");
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Rules that cannot be tried.
fn broken(findings: &[policy::Finding], bundle: &Bundle) -> Said {
    let text = format!(
        "{}\nerror: no scenario was played, because these rules would not be taken",
        finding::shown(findings, &bundle.texts)
    );
    Said::done(text, json!({ "ok": false, "findings": finding::json(findings) })).exit(Exit::Failed)
}

/// What was tested so far.
#[derive(Default)]
struct Tested {
    played: Vec<Played>,
    /// The rules, with their places, and those that determined something.
    rules: BTreeMap<String, String>,
    exercised: BTreeSet<String>,
    requirements: BTreeSet<String>,
    matrices: Vec<String>,
    /// Files of scenarios without a matrix, and the reverse.
    unmatched: Vec<String>,
}

impl Tested {
    fn check(&mut self, bundle: &Bundle, stage: &Stage) -> Result<(), Said> {
        // Names that are nowhere are for `check`: a file pins what its scenarios are about, and no more.
        if let Err(findings) = stage.active().compile(bundle) {
            return Err(broken(&findings, bundle));
        }
        let Some(set) = stage.rules() else { return Err(broken(&[], bundle)) };
        self.requirements.extend(bundle.requirements.keys().cloned());
        let places = set
            .rules()
            .map(|id| (id.to_string(), set.place(id).map(ToString::to_string).unwrap_or_default()));
        self.rules.extend(places);
        Ok(())
    }

    fn play(&mut self, stage: &Stage, scenario: &Scenario, path: &Path) {
        let outcome = scenario.understood(stage, &self.requirements).and_then(|()| scenario.outcome(stage));
        let wrong = match outcome {
            Err(why) => Some(why),
            Ok(outcome) => {
                self.exercised.extend(outcome.rules);
                Some(outcome.wrong.join("; and ")).filter(|wrong| !wrong.is_empty())
            }
        };
        let file = name(path);
        self.played.push(Played { name: format!("{file}: {}", visible(&scenario.name)), wrong });
    }

    fn matrix(&mut self, of: (&Stage, &Bundle), path: &Path, update: bool) -> Result<(), Said> {
        match matrix::held(of, path, update)? {
            Held::AsKept => {}
            Held::None => self.unmatched.push(format!("{} has no matrix: --update writes it", name(path))),
            Held::Changed(how) => self.matrices.push(how),
        }
        Ok(())
    }

    /// Matrices in the folder that are of no file of scenarios any more: nothing is held against them.
    fn orphans(&mut self, folder: &Path, files: &[PathBuf]) -> Result<(), Said> {
        let mut orphans = listed(folder)?;
        orphans.retain(|path| {
            let text = path.to_string_lossy();
            let of = text.strip_suffix(matrix::ENDING).map(|stem| PathBuf::from(format!("{stem}.yaml")));
            of.is_some_and(|of| !files.contains(&of))
        });
        self.unmatched
            .extend(orphans.iter().map(|path| format!("{} is of no file of scenarios", name(path))));
        Ok(())
    }

    fn said(self, strict: bool) -> Spoken {
        let failed: Vec<&Played> = self.played.iter().filter(|played| played.wrong.is_some()).collect();
        let unused: Vec<(&String, &String)> =
            self.rules.iter().filter(|(id, _)| !self.exercised.contains(*id)).collect();
        let line = |played: &&Played| {
            format!("FAILED  {}\n        {}", played.name, played.wrong.as_deref().unwrap_or_default())
        };
        let mut lines: Vec<String> = failed.iter().map(line).collect();
        lines.extend(self.matrices.iter().cloned());
        if !unused.is_empty() {
            lines.push("No scenario exercises:".to_owned());
            lines.extend(unused.iter().map(|(id, at)| format!("  {id}  {at}")));
        }
        lines.extend(self.unmatched.iter().cloned());
        let whole = unused.is_empty() && self.unmatched.is_empty() && !self.played.is_empty();
        let ok = failed.is_empty() && self.matrices.is_empty() && (whole || !strict);
        let passed = self.played.len() - failed.len();
        lines.push(format!(
            "{} passed, {} failed; {} of {} exercised.",
            count(passed, "scenario"),
            failed.len(),
            self.rules.len() - unused.len(),
            count(self.rules.len(), "rule"),
        ));
        let of = |played: &Played| json!({ "name": played.name, "wrong": played.wrong });
        let json = json!({ "ok": ok, "scenarios": self.played.iter().map(of).collect::<Vec<_>>(),
            "matrix": self.matrices, "unmatched": self.unmatched, "unexercised": unused.iter().map(|(id, _)| id).collect::<Vec<_>>() });
        let said = Said::done(lines.join("\n"), json);
        if ok { Ok(said) } else { Err(said.exit(Exit::Failed)) }
    }
}
