//! What an upstream says beside its answer while a call runs, told to the client of that call on the call's own stream,
//! whatever else is waited for meanwhile: how far it is, where who reads slowly is told of the newest; and what it logs, as
//! far as its client asked for that, and up to a bound (rfd 25).

use std::convert::Infallible;

use terms::json::Object;
use terms::revision::Era;
use terms::{Json, Level};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc};
use upstream::{Logged, Note, Notes, Progress};

use super::conversation::Conversation;
use super::stream::{Aside, Client, Room};

/// Notices of an upstream that may wait to be looked at; those of progress do not wait for the client.
const ROOM: usize = 16;

/// Log messages of an upstream that may wait for the client.
const ROOM_FOR_NOTES: usize = 64;

/// Log messages of one call that are told; with at most 64 KiB each.
const MOST_LOGGED: u32 = 256;

/// What is said beside one call, and to whom it is told.
pub(crate) struct Beside {
    aside: Aside,
    progress: broadcast::Receiver<Progress>,
    /// Without it nothing would ever come, which is not an end.
    _open: broadcast::Sender<Progress>,
    notes: mpsc::Receiver<Note>,
    heard: Heard,
    /// What waits for room.
    newest: Option<Progress>,
    note: Option<String>,
}

/// What of the notes a client is told.
struct Heard {
    /// The least severe log messages.
    least: Option<Level>,
    logged: u32,
}

/// Where what an upstream says beside its answer goes; nowhere where its client does not listen.
pub(crate) struct Sinks {
    pub(crate) progress: Option<broadcast::Sender<Progress>>,
    pub(crate) notes: Option<Notes>,
}

impl Beside {
    /// Of a call of this client.
    pub(crate) fn of(client: &Client, conversation: &Conversation) -> (Sinks, Self) {
        let (progress, told) = broadcast::channel(ROOM);
        let (to, notes) = mpsc::channel(ROOM_FOR_NOTES);
        let heard = Heard { least: conversation.hears(), logged: 0 };
        let of_session = conversation.era() == Era::Legacy;
        let sinks = Sinks {
            progress: client.listens().then(|| progress.clone()),
            notes: heard.least.map(|_| Notes { to, of_session }),
        };
        let (newest, note) = (None, None);
        let aside = client.aside();
        (sinks, Self { aside, progress: told, _open: progress, notes, heard, newest, note })
    }

    /// Tells all that comes; never returns.
    pub(crate) async fn tell(&mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                room = self.aside.room(), if self.note.is_some() || self.newest.is_some() => {
                    say(room, self.note.take(), &mut self.newest);
                }
                Some(note) = self.notes.recv(), if self.note.is_none() => self.note = self.heard.told(note),
                told = self.progress.recv() => match told {
                    Ok(progress) => self.newest = Some(progress),
                    // The oldest are left out.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            }
        }
    }

    /// Tells what has come and was not told yet, as far as there is room.
    pub(crate) fn rest(mut self) {
        while let Some(progress) = self.newest.take().or_else(|| self.next()) {
            say(self.aside.room_now(), None, &mut Some(progress));
        }
        let come = std::iter::from_fn(|| self.notes.try_recv().ok());
        let come = come.filter_map(|note| self.heard.told(note));
        for note in self.note.take().into_iter().chain(come) {
            say(self.aside.room_now(), Some(note), &mut None);
        }
    }

    /// What has come already.
    fn next(&mut self) -> Option<Progress> {
        loop {
            match self.progress.try_recv() {
                Ok(progress) => return Some(progress),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

impl Heard {
    /// What the client is told of a note, if anything.
    fn told(&mut self, note: Note) -> Option<String> {
        match note {
            Note::Logged(logged) => {
                let hears =
                    self.least.is_some_and(|least| logged.level >= least) && self.logged < MOST_LOGGED;
                hears.then(|| {
                    self.logged += 1;
                    message(&logged)
                })
            }
            Note::Completed(id) => Some(completed(&id).text()),
        }
    }
}

/// Says one thing, where somebody listens.
fn say(room: Option<Room<'_>>, note: Option<String>, newest: &mut Option<Progress>) {
    let newest = if note.is_some() { None } else { newest.take() };
    let Some(room) = room else { return };
    match (note, newest) {
        (Some(note), _) => room.note(note),
        (None, Some(newest)) => room.progress(&newest),
        (None, None) => {}
    }
}

/// `notifications/elicitation/complete`.
pub(crate) fn completed(id: &str) -> Json {
    Json::object([
        ("jsonrpc", Json::from("2.0")),
        ("method", Json::from("notifications/elicitation/complete")),
        ("params", Json::object([("elicitationId", id)])),
    ])
}

/// `notifications/message`, with the data as its upstream wrote it.
fn message(Logged { level, logger, data }: &Logged) -> String {
    let mut params = Object::from_iter([("level", Json::from(level.name()))]);
    if let Some(logger) = logger {
        params.insert("logger", logger.as_str());
    }
    let params = Json::Object(params).text();
    let params = params.strip_suffix('}').unwrap_or_default();
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{params},"data":{}}}}}"#,
        data.text()
    )
}
