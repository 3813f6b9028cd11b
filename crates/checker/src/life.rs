//! What the log tells of grants, elevations and attempts (O4, O5), in leaf order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::log::{Log, Record};

/// One permit.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The leaf of its record.
    pub leaf: usize,
    /// The node's clock then.
    pub at: i64,
    /// Its attempt.
    pub attempt: String,
    /// `upstream/name`; empty where the body was erased.
    pub tool: String,
    /// The arguments; `None` where they are not in the log.
    pub arguments: Option<Value>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Of what changes the installation, and so reaches no upstream: how many records say that it was changed under this permit.
    pub changes: Option<u32>,
}

/// What the log tells.
#[derive(Debug, Default)]
pub struct Story {
    /// Every permit in order.
    pub calls: Vec<Call>,
    /// What cannot be (O5).
    pub faults: Vec<String>,
}

#[derive(Default)]
struct State<'a> {
    story: Story,
    /// By attempt: the place in `story.calls`.
    calls: BTreeMap<&'a str, usize>,
    /// By elevation: whether it is over.
    elevations: BTreeMap<&'a str, bool>,
    /// By grant: how many uses are left.
    grants: BTreeMap<&'a str, u64>,
    resolved: BTreeMap<&'a str, usize>,
}

/// The records of what `administer` changes.
const CHANGES: [&str; 8] = [
    "policy_activated",
    "group_changed",
    "caller_added",
    "caller_key_added",
    "human_added",
    "human_changed",
    "pin_accepted",
    "unlocked",
];

/// Reads the log as a story.
#[must_use]
pub fn tell(log: &Log) -> Story {
    let mut state = State::default();
    for record in &log.records {
        if let Err(what) = state.take(record) {
            state.story.faults.push(format!("leaf {} ({}): {what}", record.leaf, record.kind));
        }
    }
    state.story
}

/// Permits without outcome, beyond so many that may be under way (O4).
#[must_use]
pub fn without_outcome(calls: &[Call], in_flight: usize) -> Vec<String> {
    let known = ["done", "failed", "unknown", "not_sent", "released"];
    let mut found: Vec<String> = calls
        .iter()
        .filter(|call| call.outcome.as_deref().is_some_and(|outcome| !known.contains(&outcome)))
        .map(|call| format!("leaf {}: its outcome is no outcome", call.leaf))
        .collect();
    let open: Vec<&Call> = calls.iter().filter(|call| call.outcome.is_none()).collect();
    if open.len() > in_flight {
        found.extend(open.iter().map(|call| format!("leaf {}: {} has no outcome", call.leaf, call.attempt)));
    }
    found
}

impl<'a> State<'a> {
    fn take(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let refers = |name: &'static str| record.refers(name);
        match record.kind.as_str() {
            "permitted" => self.claim(record),
            "challenged" => {
                let opened = self.elevations.insert(refers("elevation").ok_or("names no elevation")?, false);
                if opened.is_some() { Err("the elevation was opened before") } else { Ok(()) }
            }
            "voted" => self.pending(refers("elevation")).map(drop),
            "granted" => {
                *self.pending(refers("elevation"))? = true;
                // An erased body does not say how often; then at least no order can be wrong.
                let uses = record.body.get("uses").and_then(Value::as_u64);
                let uses = if record.body.is_null() { Some(u64::MAX) } else { uses };
                let grant = refers("grant").ok_or("names no grant")?;
                let before = self.grants.insert(grant, uses.ok_or("does not say how often")?);
                if before.is_some() { Err("the grant was issued before") } else { Ok(()) }
            }
            "rejected" | "expired" | "withdrawn" | "superseded" => {
                *self.pending(refers("elevation"))? = true;
                Ok(())
            }
            "spent" => {
                // It was permitted, rightly or not: what arrived is held against that.
                self.claim(record)?;
                let grant = refers("grant").and_then(|grant| self.grants.get_mut(grant));
                let left = grant.ok_or("the grant was never issued")?;
                *left = left.checked_sub(1).ok_or("the grant has no use left")?;
                Ok(())
            }
            "revoked" => self.revoke(record),
            "settled" => self.settle(record),
            "resolved" => self.resolve(record),
            "reported" => self.report(record),
            kind if CHANGES.contains(&kind) => {
                self.change(record);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn pending(&mut self, elevation: Option<&str>) -> Result<&mut bool, &'static str> {
        let over = elevation.and_then(|elevation| self.elevations.get_mut(elevation));
        let over = over.ok_or("the elevation was never opened")?;
        if *over { Err("the elevation is over") } else { Ok(over) }
    }

    fn claim(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let attempt = record.refers("attempt").ok_or("names no attempt")?;
        let access = record.body.get("access").unwrap_or(&Value::Null);
        let tool = access.pointer("/resource/id").and_then(Value::as_str).unwrap_or_default();
        self.story.calls.push(Call {
            leaf: record.leaf,
            at: record.at,
            attempt: attempt.to_owned(),
            tool: tool.to_owned(),
            arguments: access.pointer("/context/arguments").cloned(),
            outcome: None,
            changes: (access.pointer("/action/name").and_then(Value::as_str) == Some("administer"))
                .then_some(0),
        });
        let place = self.story.calls.len().saturating_sub(1);
        let before = self.calls.insert(attempt, place);
        if before.is_some() { Err("the attempt was permitted before") } else { Ok(()) }
    }

    /// A change that names no attempt was permitted as it is, and is in nobody's account but its own record's.
    fn change(&mut self, record: &'a Record) {
        let place = record.refers("attempt").and_then(|attempt| self.calls.get(attempt));
        let call = place.and_then(|place| self.story.calls.get_mut(*place));
        if let Some(changes) = call.and_then(|call| call.changes.as_mut()) {
            *changes = changes.saturating_add(1);
        }
    }

    fn revoke(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let listed =
            record.body.get("grants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for grant in listed.iter().filter_map(Value::as_str) {
            *self.grants.get_mut(grant).ok_or("a grant was never issued")? = 0;
        }
        Ok(())
    }

    fn settle(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let place = record.refers("attempt").and_then(|attempt| self.calls.get(attempt));
        let call = place.and_then(|place| self.story.calls.get_mut(*place));
        let call = call.ok_or("the attempt was never permitted")?;
        if call.outcome.is_some() {
            return Err("the attempt was settled before");
        }
        let outcome = record.body.get("outcome").and_then(Value::as_str).unwrap_or("unknown");
        call.outcome = Some(outcome.to_owned());
        Ok(())
    }

    /// What was released is said to have ended, once. Who says so is seen there and not here.
    fn report(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let attempt = record.refers("attempt").ok_or("names no attempt")?;
        let call = self.calls.get(attempt).and_then(|place| self.story.calls.get(*place));
        if call.and_then(|call| call.outcome.as_deref()) != Some("released") {
            return Err("the attempt was not released");
        }
        let before = self.resolved.insert(attempt, record.leaf);
        if before.is_some() { Err("the outcome was reported before") } else { Ok(()) }
    }

    fn resolve(&mut self, record: &'a Record) -> Result<(), &'static str> {
        let attempt = record.refers("attempt").ok_or("names no attempt")?;
        let call = self.calls.get(attempt).and_then(|place| self.story.calls.get(*place));
        if call.and_then(|call| call.outcome.as_deref()) != Some("unknown") {
            return Err("the outcome was not unknown");
        }
        let before = self.resolved.insert(attempt, record.leaf);
        if before.is_some() { Err("the outcome was resolved before") } else { Ok(()) }
    }
}
