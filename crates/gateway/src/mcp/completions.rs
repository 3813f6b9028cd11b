//! What the client of a session was asked to open within its calls (MCP 2025-11-25, elicitation, URL mode), as far as its
//! upstream says later that it is over. That holds no more than an id that the client was given.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use upstream::{Note, Opening};

/// Of one session; of more the oldest are forgotten.
const MOST: usize = 16;

/// What is open, and what is over and not told yet.
pub(crate) struct Completions {
    open: Mutex<VecDeque<Opening>>,
    to: mpsc::Sender<Note>,
    over: Mutex<mpsc::Receiver<Note>>,
}

impl Default for Completions {
    fn default() -> Self {
        let (to, over) = mpsc::channel(MOST);
        Self { open: Mutex::default(), to, over: Mutex::new(over) }
    }
}

impl Completions {
    /// Where it is told that something is over.
    pub(crate) fn to(&self) -> mpsc::Sender<Note> {
        self.to.clone()
    }

    /// One more is open, if it is.
    pub(crate) fn keep(&self, opening: Option<Opening>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend(opening);
        let forgotten = if open.len() > MOST { open.pop_front() } else { None };
        drop(open);
        drop(forgotten);
    }

    /// The ids of what is over and was not told yet.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let id = |note| if let Note::Completed(id) = note { Some(id) } else { None };
        std::iter::from_fn(|| over.try_recv().ok()).filter_map(id).collect()
    }
}
