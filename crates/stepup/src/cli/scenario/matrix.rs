//! The matrix of callers and what they could do, kept beside the scenarios: a change of it that nobody meant is seen in review.

use std::collections::BTreeSet;
use std::path::Path;

use authority::Stage;

use crate::cli::say::Said;

/// Holds the matrix against the one that is kept, or writes it. What has changed without being written.
///
/// # Errors
/// What cannot be read or written.
pub(super) fn held(stage: &Stage, scenarios: &Path, update: bool) -> Result<Vec<String>, Said> {
    let path = scenarios.with_extension("matrix");
    let now = drawn(stage);
    let wrong = |e: std::io::Error| Said::failed(format!("{}: {e}", path.display()), "");
    if update {
        std::fs::write(&path, now).map_err(wrong)?;
        return Ok(Vec::new());
    }
    let kept = match std::fs::read_to_string(&path) {
        Ok(kept) => kept,
        // Whoever wants no matrix keeps none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    if kept == now {
        return Ok(Vec::new());
    }
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (before, after) = (lines(&kept), lines(&now));
    let gone = before.difference(&after).map(|line| format!("  - {line}"));
    let new = after.difference(&before).map(|line| format!("  + {line}"));
    let mut told = vec![format!(
        "FAILED  {} has changed; if it is meant, run it with --update:",
        path.file_name().unwrap_or_default().to_string_lossy()
    )];
    told.extend(gone.chain(new));
    Ok(vec![told.join("\n")])
}

/// A line for each caller and thing: whether it is shown, and what doing it takes.
fn drawn(stage: &Stage) -> String {
    let line = |(caller, of, outlook): (String, String, String)| format!("{caller} | {of} | {outlook}\n");
    stage.outlook().into_iter().map(line).collect()
}
