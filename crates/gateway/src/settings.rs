//! What the operator configures of the agents' listener (decisions §8 `[agents]`, `[challenge]`, `[budgets]`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use terms::Millis;

use crate::mcp::carrier::Pin;

/// The agents' listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers reach this listener, without a slash at the end: `http://127.0.0.1:7300`.
    pub agents_url: String,
    /// Where people open requests, without a slash at the end: `http://localhost:7301`.
    pub people_url: String,
    /// The values of `Host` that are answered, in lower case, port included where one is sent (T25).
    pub hosts: BTreeSet<String>,
    /// The values of `Origin` that are answered. Requests without one come from programs, and are.
    pub origins: BTreeSet<String>,
    /// How long a repeated call waits for people.
    pub hold: Millis,
    /// How long a call waits whose caller listens to its progress.
    pub hold_with_progress: Millis,
    /// How long an upstream may take for one call.
    pub answer_within: Millis,
    /// How long the answer of an API may take from its head to its end, and whoever takes it.
    pub longest_answer: Millis,
    /// A stream is never silent for longer than this.
    pub keep_alive: Millis,
    /// How callers of these names are told that a call is stopped, whatever their clients say that they can.
    pub carriers: BTreeMap<String, Pin>,
    /// Whether a stopped call also has the data of SEP-2643, which is a draft.
    pub denial_data: bool,
    /// The addresses of the proxies that may ask about requests to an API which they hold, by its name (T47).
    pub asked: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Applications: nothing leads to them, and they do everything themselves.
    pub applications: BTreeSet<String>,
    /// Who may ask about others, by upstream.
    pub askers: BTreeMap<String, Askers>,
    /// Limits.
    pub budgets: Budgets,
}

/// Who may ask about others, in the name of what it keeps.
#[derive(Clone, Debug, Default)]
pub struct Askers {
    /// The names of callers.
    pub callers: BTreeSet<String>,
    /// Names that those have for callers, where they are not the callers' own.
    pub subjects: BTreeMap<String, String>,
}

/// What one request and one caller may take (decisions B23).
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Bytes of all header names and values of one request.
    pub headers: usize,
    /// How long a request's body may take to arrive.
    pub body_within: Millis,
    /// Requests of one caller that are being answered, or still run upstream.
    pub in_flight: u32,
    /// Requests of one caller that wait for people.
    pub held: u32,
    /// Sessions of one caller.
    pub sessions: usize,
    /// Sessions of all callers.
    pub all_sessions: usize,
    /// A session ends after this long without a request.
    pub session_idle: Millis,
    /// Resources of which one session, or one stream, is told that they change.
    pub subscriptions: u32,
    /// Preflights of one caller a minute.
    pub preflights: u32,
    /// Tools on one page of `tools/list`.
    pub page: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            headers: 32 << 10,
            body_within: Millis::seconds(30),
            in_flight: 64,
            held: 16,
            sessions: 64,
            all_sessions: 4096,
            session_idle: Millis::seconds(30 * 60),
            subscriptions: 64,
            preflights: 30,
            page: 1000,
        }
    }
}

impl Settings {
    /// The settings of a listener at these two addresses, with the numbers of decisions §8.
    #[must_use]
    pub fn at(agents_url: &str, people_url: &str) -> Self {
        let agents_url = agents_url.trim_end_matches('/').to_owned();
        let host = agents_url.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default().to_ascii_lowercase();
        Self {
            hosts: BTreeSet::from([host]),
            people_url: people_url.trim_end_matches('/').to_owned(),
            agents_url,
            origins: BTreeSet::new(),
            hold: Millis::seconds(50),
            hold_with_progress: Millis::seconds(180),
            answer_within: Millis::seconds(600),
            longest_answer: Millis::seconds(600),
            keep_alive: Millis::seconds(15),
            carriers: BTreeMap::new(),
            denial_data: false,
            asked: BTreeMap::new(),
            applications: BTreeSet::new(),
            askers: BTreeMap::new(),
            budgets: Budgets::default(),
        }
    }
}
