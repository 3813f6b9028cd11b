//! What is written besides commits: ceremonies, checkpoints. There is no authority in any of it.

use audit::tree::Frontier;
use rusqlite::{Connection, OptionalExtension as _, params};
use terms::Digest;

use super::cells::{Cell, Cells, single};
use super::writer::{Stop, Tx, Work};
use crate::rows::{Ceremony, Head};

impl Work for Ceremony {
    type Answer = ();

    const DOING: &'static str = "keeping a ceremony";

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        let now = tx.now.millis();
        tx.sql.prepare_cached("DELETE FROM ceremonies WHERE not_after <= ?1")?.execute([now])?;
        tx.sql
            .prepare_cached(
                "INSERT INTO ceremonies (nonce, human, elevation, purpose, statement, card, not_after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.nonce.bytes(),
                self.human.as_ref().map(|id| id.bytes()),
                self.elevation.as_ref().map(|id| id.bytes()),
                self.purpose,
                self.statement.text(),
                self.card.text(),
                self.not_after.millis(),
            ])?;
        Ok(())
    }
}

/// Takes the ceremony with this nonce.
pub(super) struct Consume(pub(super) Digest);

impl Work for Consume {
    type Answer = Option<Ceremony>;

    const DOING: &'static str = "taking a ceremony";

    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, Stop> {
        let taken = tx
            .sql
            .prepare_cached(
                "DELETE FROM ceremonies WHERE nonce = ?1
                 RETURNING nonce, human, elevation, purpose, statement, card, not_after",
            )?
            .query_row([self.0.bytes()], |row| {
                let mut cells = Cells::of(row);
                Ok(Ceremony {
                    nonce: cells.take()?,
                    human: cells.take()?,
                    elevation: cells.take()?,
                    purpose: cells.take()?,
                    statement: cells.take()?,
                    card: cells.take()?,
                    not_after: cells.take()?,
                })
            })
            .optional()?;
        Ok(taken.filter(|ceremony| ceremony.not_after > tx.now))
    }
}

/// Writes nothing: whoever asks is told what a decision would be told.
pub(super) struct Writable;

impl Work for Writable {
    type Answer = ();

    const DOING: &'static str = "asking whether decisions can be recorded";

    fn run(&self, _: &mut Tx<'_>) -> Result<(), Stop> {
        Ok(())
    }
}

/// Keeps a signed checkpoint.
pub(super) struct Checkpointed {
    pub(super) head: Head,
    pub(super) note: String,
}

/// Of the checkpoints before the newest, one in so many leaves is kept, as a place from which to compute roots.
const STRIDE: u64 = 4096;

impl Work for Checkpointed {
    type Answer = ();

    const DOING: &'static str = "keeping a checkpoint";

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        let newest = Signed::newest(tx.sql, u64::MAX)?.map_or(0, |signed| signed.head.size);
        if self.head.size < newest {
            return Err(Stop::Wrong("the checkpoint is older than the newest one"));
        }
        let Some(tree) = tree_at(tx.sql, self.head.size)? else {
            return Err(Stop::Wrong("the checkpoint is of more records than there are"));
        };
        if tree.root() != self.head.root {
            return Err(Stop::Wrong("the checkpoint is of another tree"));
        }
        let size = i64::try_from(self.head.size).unwrap_or(i64::MAX);
        let roots: Vec<u8> = tree.roots().iter().flat_map(|root| root.bytes()).copied().collect();
        tx.sql
            .prepare_cached("DELETE FROM checkpoints WHERE size < ?1 AND size / ?2 = ?1 / ?2")?
            .execute(params![size, i64::try_from(STRIDE).unwrap_or(i64::MAX)])?;
        tx.sql
            .prepare_cached(
                "INSERT INTO checkpoints (size, root, roots, note, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET note = excluded.note, at = excluded.at",
            )?
            .execute(params![size, self.head.root.bytes(), roots, self.note, tx.now.millis()])?;
        Ok(())
    }
}

/// A checkpoint as it is kept.
pub(super) struct Signed {
    pub(super) head: Head,
    pub(super) roots: Vec<u8>,
    pub(super) note: String,
}

impl Signed {
    /// The newest one of at most that size.
    pub(super) fn newest(sql: &Connection, size: u64) -> rusqlite::Result<Option<Self>> {
        sql.prepare_cached(
            "SELECT size, root, roots, note FROM checkpoints WHERE size <= ?1 ORDER BY size DESC LIMIT 1",
        )?
        .query_row([i64::try_from(size).unwrap_or(i64::MAX)], |row| {
            let mut cells = Cells::of(row);
            let head = Head { size: cells.take()?, root: cells.take()? };
            Ok(Self { head, roots: cells.take()?, note: cells.take()? })
        })
        .optional()
    }

    /// The tree that it is of; `None` if its roots do not make its root.
    pub(super) fn frontier(&self) -> Option<Frontier> {
        let roots = self.roots.chunks(32).map(Digest::from_slice).collect::<Option<_>>()?;
        Frontier::from_roots(self.head.size, roots).filter(|tree| tree.root() == self.head.root)
    }
}

/// The tree over the first `size` records, from the nearest checkpoint before; `None` if there are not as many.
fn tree_at(sql: &Connection, size: u64) -> rusqlite::Result<Option<Frontier>> {
    let from = Signed::newest(sql, size)?.and_then(|signed| signed.frontier()).unwrap_or_default();
    grow(sql, from, size)
}

/// Appends the hashes of stored records until the tree has `size` leaves, or all there are; `None` if one is
/// missing before that.
pub(super) fn grow(sql: &Connection, mut tree: Frontier, size: u64) -> rusqlite::Result<Option<Frontier>> {
    let mut rows =
        sql.prepare_cached("SELECT leaf, hash FROM records WHERE leaf >= ?1 AND leaf < ?2 ORDER BY leaf")?;
    let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut rows = rows.query([bound(tree.size()), bound(size)])?;
    while let Some(row) = rows.next()? {
        let mut cells = Cells::of(row);
        if cells.take::<u64>()? != tree.size() {
            return Ok(None);
        }
        tree.append(cells.take()?);
    }
    Ok((size == u64::MAX || tree.size() == size).then_some(tree))
}

/// One value of the one row of a query, if there is one.
pub(super) fn value<T: Cell>(sql: &Connection, query: &str) -> rusqlite::Result<Option<T>> {
    sql.prepare_cached(query)?.query_row([], single).optional()
}
