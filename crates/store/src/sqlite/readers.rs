//! Connections that only read. A read that a decision needs takes microseconds and is done where it is asked for;
//! listings go to threads that may wait, and never take the last connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use terms::{Ambient, Time};

use super::writer::{Shown, failed};
use crate::Failed;

/// How many there are.
pub(super) const READERS: usize = 4;

/// How many of them listings may hold at once.
const FOR_LISTINGS: usize = 2;

/// What a read is handed: a connection inside one transaction, and the database's clock.
pub(super) struct Snapshot<'c> {
    pub(super) sql: &'c Connection,
    pub(super) now: Time,
}

pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
    ambient: Arc<dyn Ambient>,
    shown: Arc<Shown>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>, ambient: Arc<dyn Ambient>, shown: Arc<Shown>) -> Self {
        let connections = connections.into_iter().map(Mutex::new).collect();
        Self { connections, turn: AtomicUsize::new(0), ambient, shown }
    }

    /// Reads here and now. Everything that one read sees is of one moment.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Snapshot<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failed> {
        self.read_among(&self.connections, doing, read)
    }

    /// Reads what may take its time, on a thread that may wait.
    pub(super) async fn list<T: Send + 'static>(
        self: Arc<Self>,
        doing: &'static str,
        read: impl FnOnce(&Snapshot<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let listing = tokio::task::spawn_blocking(move || {
            let some = self.connections.get(..FOR_LISTINGS).unwrap_or_default();
            self.read_among(some, doing, read)
        });
        listing.await.map_err(|error| Failed { doing, because: error.to_string() })?
    }

    fn read_among<T>(
        &self,
        connections: &[Mutex<Connection>],
        doing: &'static str,
        read: impl FnOnce(&Snapshot<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failed> {
        self.shown.check(doing)?;
        let free = connections.iter().rev().find_map(|connection| connection.try_lock().ok());
        let sql = free.or_else(|| self.wait(connections));
        let sql = sql.ok_or_else(|| Failed { doing, because: "there is no connection".to_owned() })?;
        let now = self.ambient.now();
        let answer = begin(&sql).and_then(|()| read(&Snapshot { sql: &sql, now }));
        let ended = end(&sql);
        answer.and_then(|answer| ended.map(|()| answer)).map_err(|error| failed(doing, &error))
    }

    fn wait<'c>(&self, connections: &'c [Mutex<Connection>]) -> Option<MutexGuard<'c, Connection>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(connections.len())?;
        connections.get(turn).map(|connection| connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn begin(sql: &Connection) -> rusqlite::Result<()> {
    if !sql.is_autocommit() {
        end(sql)?; // a read that panicked left it open
    }
    sql.prepare_cached("BEGIN")?.execute([]).map(drop)
}

fn end(sql: &Connection) -> rusqlite::Result<()> {
    if sql.is_autocommit() { Ok(()) } else { sql.prepare_cached("COMMIT")?.execute([]).map(drop) }
}
