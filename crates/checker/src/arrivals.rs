//! What arrived at the upstream, held against the permits of the log (O1).

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use crate::life::Call;
use crate::pairs::pair;

/// One call as the upstream saw it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// When, milliseconds since 1970; `null` where the upstream has no clock.
    #[serde(default)]
    pub at: Option<i64>,
    /// The tool, with or without the upstream's name before a slash.
    pub tool: String,
    /// The arguments.
    #[serde(default)]
    pub arguments: Value,
    /// The attempt, where the upstream was told.
    #[serde(default)]
    pub attempt: Option<String>,
}

/// Why a capture cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum NotACapture {
    /// It cannot be read.
    #[error("the capture cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line is no arrival.
    #[error("line {line} of the capture: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// How far the clocks of upstream and node may be apart, in milliseconds.
const SKEW: i64 = 1000;

/// Reads a capture: JSON lines.
///
/// # Errors
/// [`NotACapture`].
pub fn read(input: impl BufRead) -> Result<Vec<Arrival>, NotACapture> {
    let mut arrivals = Vec::new();
    for (i, line) in input.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong =
            |e: serde_json::Error| NotACapture::Line { line: i.saturating_add(1), why: e.to_string() };
        arrivals.push(serde_json::from_str(&line).map_err(wrong)?);
    }
    Ok(arrivals)
}

/// Calls that arrived without a permit, and permits that say that a call arrived which did not.
///
/// Two pairings are enough: where each arrival finds a permit of its own, and each permit that must have arrived finds
/// an arrival of its own, one pairing does both (Mendelsohn and Dulmage).
#[must_use]
pub fn differences(arrivals: &[Arrival], calls: &[Call]) -> Vec<String> {
    let reach = || calls.iter().filter(|call| call.changes.is_none());
    let may_have_arrived: Vec<&Call> =
        reach().filter(|call| call.outcome.as_deref() != Some("not_sent")).collect();
    let must_have_arrived: Vec<&Call> =
        reach().filter(|call| matches!(call.outcome.as_deref(), Some("done" | "failed"))).collect();
    let unpermitted = pair(arrivals, &may_have_arrived, |arrival, call| is(arrival, call));
    let missing = pair(&must_have_arrived, arrivals, |call, arrival| is(arrival, call));
    let arrived = unpermitted.into_iter().filter_map(|i| Some((i, arrivals.get(i)?)));
    let permitted = missing.into_iter().filter_map(|i| must_have_arrived.get(i));
    arrived
        .map(|(i, arrival)| format!("arrival {i} ({}) has no permit of its own", arrival.tool))
        .chain(permitted.map(|call| {
            format!(
                "leaf {}: {} to {} did not arrive as it was permitted",
                call.leaf, call.attempt, call.tool
            )
        }))
        .chain(calls.iter().filter(|call| !changed_once(call)).map(|call| {
            format!(
                "leaf {}: {} of {} was not changed as it was permitted",
                call.leaf, call.attempt, call.tool
            )
        }))
        .collect()
}

/// What changes the installation arrives in the log itself: once if it was done, and not at all if it was not.
fn changed_once(call: &Call) -> bool {
    match (call.changes, call.outcome.as_deref()) {
        (None, _) => true,
        (Some(changes), Some("done")) => changes == 1,
        (Some(changes), Some("failed" | "not_sent")) => changes == 0,
        (Some(changes), _) => changes <= 1,
    }
}

fn is(arrival: &Arrival, call: &Call) -> bool {
    let attempt = arrival.attempt.as_ref().is_none_or(|attempt| *attempt == call.attempt);
    let named = |tool: &str| {
        tool == arrival.tool || tool.split_once('/').is_some_and(|(_, name)| name == arrival.tool)
    };
    // Erased with the body; then only the attempt can tell.
    let tool = named(&call.tool) || (call.tool.is_empty() && arrival.attempt.is_some());
    let after = arrival.at.is_none_or(|at| at.saturating_add(SKEW) >= call.at);
    let arguments = call.arguments.as_ref().is_none_or(|said| same(said, &arrival.arguments));
    attempt && tool && after && arguments
}

/// The same value: numbers by value, members in any order, and anything where the log has a seal.
fn same(said: &Value, seen: &Value) -> bool {
    match (said, seen) {
        (Value::Object(said), _)
            if said.len() == 2 && said.contains_key("$sealed") && said.contains_key("len") =>
        {
            true
        }
        (Value::Object(said), Value::Object(seen)) => {
            said.len() == seen.len()
                && said.iter().all(|(name, said)| seen.get(name).is_some_and(|seen| same(said, seen)))
        }
        (Value::Array(said), Value::Array(seen)) => {
            said.len() == seen.len() && said.iter().zip(seen).all(|(said, seen)| same(said, seen))
        }
        (Value::Number(said), Value::Number(seen)) => said == seen || said.as_f64() == seen.as_f64(),
        // An upstream may see no arguments where there are none.
        (Value::Object(said), Value::Null) => said.is_empty(),
        (said, seen) => said == seen,
    }
}
