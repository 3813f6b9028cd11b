//! What is to be told: events, the notifications that they become, and what came of those. There is no authority in
//! any of it.

use rusqlite::{OptionalExtension as _, params};
use terms::{Millis, Time};

use super::cells::Cells;
use super::writer::{Stop, Tx, Work};
use crate::Refused;
use crate::change::GivenUp;
use crate::rows::{Letter, Way};

/// Notifications that wait at most; the oldest make room, since what they tell of is old. They are counted.
const MOST: i64 = 10_000;

/// How long it is remembered at most who was told of a request that nobody heard the end of.
const REMEMBERED: Millis = Millis::seconds(90 * 24 * 3600);

/// Adds an event.
pub(super) fn notify(tx: &Tx<'_>, kind: &str, body: &str) -> Result<(), Stop> {
    let sql = "INSERT INTO outbox (kind, body, due, at) VALUES (?1, ?2, ?3, ?3)";
    tx.sql.prepare_cached(sql)?.execute(params![kind, body, tx.now.millis()])?;
    make_room(tx)
}

fn make_room(tx: &Tx<'_>) -> Result<(), Stop> {
    let oldest = tx.sql.last_insert_rowid().saturating_sub(MOST);
    let lost = tx.sql.prepare_cached("DELETE FROM outbox WHERE id <= ?1")?.execute([oldest])?;
    if lost > 0 {
        let lost = i64::try_from(lost).unwrap_or(i64::MAX);
        tx.sql.prepare_cached("UPDATE meta SET untold = untold + ?1")?.execute([lost])?;
    }
    Ok(())
}

/// Takes out what is given up, for the record that says so.
pub(super) fn give_up(tx: &Tx<'_>, what: GivenUp) -> Result<(), Stop> {
    let taken = match what {
        GivenUp::Notice(id) => tx.sql.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?,
        GivenUp::MadeRoom(count) => tx
            .sql
            .prepare_cached("UPDATE meta SET untold = untold - ?1 WHERE untold >= ?1")?
            .execute([count])?,
    };
    if taken > 0 { Ok(()) } else { Err(Refused::Missing.into()) }
}

/// An event becomes its notifications, all or none.
pub(super) struct Spread {
    pub(super) event: i64,
    pub(super) letters: Vec<Letter>,
    pub(super) over: Option<String>,
}

impl Work for Spread {
    type Answer = ();

    const DOING: &'static str = "giving an event to its channels";

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        let event: Option<(String, Time)> = tx
            .sql
            .prepare_cached("DELETE FROM outbox WHERE id = ?1 RETURNING kind, at")?
            .query_row([self.event], |row| {
                let mut cells = Cells::of(row);
                Ok((cells.take()?, cells.take()?))
            })
            .optional()?;
        let Some((kind, at)) = event else { return Ok(()) };
        let unsent = match &self.over {
            Some(thread) => self.unsaid(tx, thread)?,
            None => Vec::new(),
        };
        let told = |letter: &&Letter| !unsent.contains(&letter.way);
        for letter in self.letters.iter().filter(told) {
            self.add(tx, letter, &kind, at)?;
        }
        let long_ago = tx.now.before(REMEMBERED).millis();
        tx.sql.prepare_cached("DELETE FROM told WHERE at < ?1")?.execute([long_ago])?;
        make_room(tx)
    }
}

impl Spread {
    /// Forgets who was told of a thread, and takes out what was held back of it; answers whose that was. What is not due has
    /// been sent to nobody.
    fn unsaid(&self, tx: &Tx<'_>, thread: &str) -> Result<Vec<Way>, Stop> {
        tx.sql.prepare_cached("DELETE FROM told WHERE thread = ?1")?.execute([thread])?;
        let sql = "DELETE FROM outbox WHERE thread = ?1 AND tries = 0 AND due > ?2
                   RETURNING channel, recipient, thread";
        let mut unsent = tx.sql.prepare_cached(sql)?;
        let unsent = unsent.query_map(params![thread, tx.now.millis()], |row| {
            let mut cells = Cells::of(row);
            Ok(Way { channel: cells.take()?, recipient: cells.take()?, thread: cells.take()? })
        })?;
        Ok(unsent.collect::<Result<_, _>>()?)
    }

    fn add(&self, tx: &Tx<'_>, letter: &Letter, kind: &str, at: Time) -> Result<(), Stop> {
        let way = &letter.way;
        if self.over.is_none() && !way.thread.is_empty() {
            let sql = "INSERT OR REPLACE INTO told (thread, channel, recipient, note, at) VALUES (?1, ?2, ?3, ?4, ?5)";
            let with = params![way.thread, way.channel, way.recipient, letter.note, tx.now.millis()];
            tx.sql.prepare_cached(sql)?.execute(with)?;
        }
        let sql = "INSERT INTO outbox (kind, body, due, at, channel, recipient, thread)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (due, at) = (tx.now.after(letter.held).millis(), at.millis());
        let with = params![kind, letter.body, due, at, way.channel, way.recipient, way.thread];
        tx.sql.prepare_cached(sql)?.execute(with)?;
        Ok(())
    }
}

/// Marks a notification as delivered, or as due again.
pub(super) struct Notified {
    pub(super) id: i64,
    pub(super) again: Option<Time>,
}

impl Work for Notified {
    type Answer = ();

    const DOING: &'static str = "marking a notification";

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        match self.again {
            None => tx.sql.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([self.id])?,
            Some(due) => tx
                .sql
                .prepare_cached("UPDATE outbox SET due = ?2, tries = tries + 1 WHERE id = ?1")?
                .execute(params![self.id, due.millis()])?,
        };
        Ok(())
    }
}
