//! `stepup-checker`: judges one run by what it left behind. Prints a JSON report; ends with 0 if every rule holds, with 1
//! if one does not, and with 2 if there is nothing to judge.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use checker::{Case, Report, arrivals, canaries, judge, log};
use clap::Parser;

/// Judges one run of stepup by what it left behind.
#[derive(Parser)]
#[command(name = "stepup-checker", version)]
struct Arguments {
    /// The exported log.
    #[arg(long)]
    log: PathBuf,
    /// The log's public key, name+hash+key; without it, the key that the log names.
    #[arg(long)]
    key: Option<String>,
    /// What arrived at the upstream: JSON lines of at, tool, arguments and perhaps attempt.
    #[arg(long)]
    arrivals: Option<PathBuf>,
    /// Secrets that must be in no output, one a line.
    #[arg(long)]
    canaries: Option<PathBuf>,
    /// An output to look for canaries in, beside the log.
    #[arg(long)]
    scan: Vec<PathBuf>,
    /// How many permits may be without outcome.
    #[arg(long, default_value_t = 0)]
    in_flight: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => {
            let text = serde_json::to_string_pretty(&report).unwrap_or_default();
            let written = writeln!(std::io::stdout(), "{text}");
            if report.holds && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(why) => {
            // Nobody is left to tell if even this fails.
            let _nobody = writeln!(std::io::stderr(), "stepup-checker: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, String> {
    let text = |e: &dyn std::error::Error| e.to_string();
    let log = log::read(open(&arguments.log)?, arguments.key.as_deref()).map_err(|e| text(&e))?;
    let seen = match &arguments.arrivals {
        Some(path) => Some(arrivals::read(open(path)?).map_err(|e| text(&e))?),
        None => None,
    };
    let mut leaks = Vec::new();
    if let Some(path) = &arguments.canaries {
        let secrets = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let forms = canaries::forms(&secrets).map_err(|e| text(&e))?;
        for path in std::iter::once(&arguments.log).chain(&arguments.scan) {
            let found = canaries::scan(&path.display().to_string(), open(path)?, &forms);
            leaks.extend(found.map_err(|e| format!("{}: {e}", path.display()))?);
        }
    }
    Ok(judge(Case { log: &log, arrivals: seen.as_deref(), leaks, in_flight: arguments.in_flight }))
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    File::open(path).map(BufReader::new).map_err(|e| format!("{}: {e}", path.display()))
}
