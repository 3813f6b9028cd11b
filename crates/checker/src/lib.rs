//! The independent judge (threats R23): reads captures, the exported log and the upstream's count, and shares no code
//! that could blind both. Written from `docs/records.md`; no crate of ours is used, neither our JSON nor our tree.
//!
//! | rule | asserts |
//! |---|---|
//! | O1 | arrivals at the upstream and permits in the log are the same calls, one to one |
//! | O2 | the leaves hash to the root that the checkpoint signs, and bodies to what their leaves say |
//! | O3 | no canary secret is in any output |
//! | O4 | every permit has an outcome |
//! | O5 | grants are spent as often as they say, and everything comes in a legal order |

pub mod arrivals;
pub mod canaries;
pub mod life;
pub mod log;
mod pairs;

use serde::Serialize;

/// A rule and what was found against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rule.
    pub rule: &'static str,
    /// Whether nothing was found.
    pub holds: bool,
    /// What was found, in a sentence each; at most [`Verdict::MOST`].
    pub found: Vec<String>,
}

impl Verdict {
    /// The most sentences that one verdict holds.
    pub const MOST: usize = 50;

    /// A verdict over what was found.
    #[must_use]
    pub fn of(rule: &'static str, mut found: Vec<String>) -> Self {
        let holds = found.is_empty();
        if found.len() > Self::MOST {
            let more = found.len().saturating_sub(Self::MOST);
            found.truncate(Self::MOST);
            found.push(format!("and {more} more"));
        }
        Self { rule, holds, found }
    }
}

/// Everything that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every rule holds.
    pub holds: bool,
    /// How many leaves the log has.
    pub leaves: usize,
    /// How many calls arrived at the upstream.
    pub arrivals: usize,
    /// How many permits there are in the log.
    pub permits: usize,
    /// Rule by rule.
    pub verdicts: Vec<Verdict>,
}

/// What is judged, already read.
#[derive(Debug)]
pub struct Case<'a> {
    /// The exported log.
    pub log: &'a log::Log,
    /// The captured calls; `None` where the upstream was not watched.
    pub arrivals: Option<&'a [arrivals::Arrival]>,
    /// What was found in outputs; see [`canaries::scan`].
    pub leaks: Vec<String>,
    /// How many permits may be without outcome.
    pub in_flight: usize,
}

/// Judges by every rule.
#[must_use]
pub fn judge(case: Case<'_>) -> Report {
    let story = life::tell(case.log);
    let verdicts = vec![
        Verdict::of(
            "O1",
            case.arrivals.map_or_else(Vec::new, |seen| arrivals::differences(seen, &story.calls)),
        ),
        Verdict::of("O2", case.log.faults.clone()),
        Verdict::of("O3", case.leaks),
        Verdict::of("O4", life::without_outcome(&story.calls, case.in_flight)),
        Verdict::of("O5", story.faults),
    ];
    Report {
        holds: verdicts.iter().all(|verdict| verdict.holds),
        leaves: case.log.records.len(),
        arrivals: case.arrivals.map_or(0, <[_]>::len),
        permits: story.calls.len(),
        verdicts,
    }
}
