//! Addresses that an upstream of the legacy era asked to be opened within a call: when what is done there is over it may say so,
//! while the call runs or later, by the id that it gave (MCP 2025-11-25, elicitation, "Completion Notifications for URL Mode
//! Elicitation"). Told is who was asked, once, and nobody else; of another id, nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::mpsc;

use crate::link::Link;
use crate::note::Note;

/// Of one link.
const MOST: usize = 256;

/// Bytes of an id.
const LONGEST: usize = 256;

/// Who was asked over one link, by the id that the upstream gave.
#[derive(Debug, Default)]
pub(crate) struct Opened(Mutex<HashMap<String, [mpsc::Sender<Note>; 2]>>);

impl Opened {
    fn all(&self) -> MutexGuard<'_, HashMap<String, [mpsc::Sender<Note>; 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is over; whether somebody is told.
    pub(crate) fn completed(&self, id: &str) -> bool {
        let Some(to) = self.all().remove(id) else { return false };
        to.iter().any(|to| to.try_send(Note::Completed(id.to_owned())).is_ok())
    }
}

/// That one who was asked is told when it is over, for as long as this is kept.
#[derive(Debug)]
pub struct Opening {
    link: Weak<Link>,
    id: String,
}

impl Opening {
    /// Told is the first of these that still takes it: the call, and then its session. `None` where somebody else was asked
    /// under this id, or too many were.
    #[must_use]
    pub fn of(link: &Arc<Link>, id: &str, to: [mpsc::Sender<Note>; 2]) -> Option<Self> {
        let mut all = link.wire.opened().all();
        if all.len() >= MOST || id.len() > LONGEST || all.contains_key(id) {
            return None;
        }
        all.insert(id.to_owned(), to);
        drop(all);
        // After the call it is said where nothing was asked for.
        link.attend(|| {});
        Some(Self { link: Arc::downgrade(link), id: id.to_owned() })
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            link.wire.opened().all().remove(&self.id);
        }
    }
}
