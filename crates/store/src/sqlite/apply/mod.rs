//! Changes as SQL, each with what it expects to find. One file for each part of the vocabulary.

mod claims;
mod directory;
mod elevations;
mod touched;

use audit::Record;
use rusqlite::params;
use terms::ElevationId;

pub(super) use claims::{SLOTS, slot};

use super::cells::single;
use super::outbox;
use super::writer::{Stop, Tx, Work};
use crate::rows::Epoch;
use crate::{Change, Claimed, Commit, Failed, Receipt, Refused};

/// What a commit has done so far.
#[derive(Default)]
struct Applied {
    /// The attempt that it claimed.
    claimed: Option<Claimed>,
    /// Elevations that it approved and has not issued the grants of.
    approved: Vec<ElevationId>,
    /// How many grants it took back.
    revoked: u32,
    /// Whether what nodes keep in memory has changed.
    next_epoch: bool,
}

type Done = Result<(), Stop>;

impl Work for Commit {
    type Answer = Result<Receipt, Refused>;

    const DOING: &'static str = "committing";

    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, Stop> {
        // Invariant 2: state and its record commit together.
        if self.records.is_empty() && self.changes.iter().any(carries_authority) {
            return Err(Stop::Wrong("a change that carries authority has no record"));
        }
        let leaf = tx.next_leaf();
        let mut applied = Applied::default();
        for change in &self.changes {
            apply(tx, change, &mut applied)?;
        }
        if !applied.approved.is_empty() {
            return Err(Refused::Conflict.into());
        }
        for record in &self.records {
            append(tx, record)?;
        }
        let epoch = epoch(tx, applied.next_epoch)?;
        Ok(Ok(Receipt { claimed: applied.claimed, epoch, leaf, revoked: applied.revoked }))
    }

    fn refused(refused: Refused) -> Result<Self::Answer, Failed> {
        Ok(Err(refused))
    }

    /// Only what takes power away, and records alone: denials.
    fn spared(&self) -> bool {
        self.changes.iter().all(takes_power_away)
    }

    /// A claim that nobody waits for would be an attempt that nobody settles.
    fn in_vain_alone(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Attempt(_) | Change::Spend { .. }))
    }
}

fn apply(tx: &Tx<'_>, change: &Change, applied: &mut Applied) -> Done {
    match change {
        Change::Open { pending } => elevations::open(tx, pending),
        Change::Claims { id, purpose, ticket, expects } => {
            elevations::claims(tx, *id, (purpose.as_deref(), ticket.as_deref()), *expects)
        }
        Change::Vote { id, vote, expects } => elevations::vote(tx, *id, vote, *expects),
        Change::Conclude { id, to, why, by, expects } => {
            elevations::conclude(tx, *id, *to, (why.as_deref(), by.as_deref()), *expects, applied)
        }
        Change::Issue(grant) => elevations::issue(tx, grant, applied),
        Change::Attempt(claim) => claims::attempt(tx, claim, applied),
        Change::Once { caller, key, attempt } => claims::once(tx, *caller, key, *attempt),
        Change::Spend { grant, bind, uses, not_after, claim } => {
            let spend = claims::Spend { grant: *grant, bind: *bind, uses: *uses, not_after: *not_after };
            claims::spend(tx, spend, claim, applied)
        }
        Change::Settle { attempt, outcome, delivered, resolves } => {
            claims::settle(tx, *attempt, *outcome, *delivered, *resolves)
        }
        Change::Touch { attempt, touched, roots, known } => {
            touched::touch(tx, *attempt, touched, (roots, known))
        }
        Change::Touched { attempt, outcome, answer } => {
            touched::answered(tx, *attempt, *outcome, answer.as_deref())
        }
        Change::Capture { attempt, upstream, sealed } => {
            directory::capture(tx, *attempt, upstream, sealed, applied)
        }
        Change::Report { attempt, outcome } => claims::report(tx, *attempt, *outcome),
        Change::Revoke(selector) => claims::revoke(tx, *selector, applied),
        Change::Lock(lock) => claims::lock(tx, lock),
        Change::Unlock(id) => claims::unlock(tx, *id),
        Change::Pin(pin) => directory::pin(tx, pin, applied),
        Change::Judge { pin, state, by } => directory::judge(tx, *pin, *state, by, applied),
        Change::Activate { hash, bundle, by, expects } => {
            directory::activate(tx, *hash, bundle, by, *expects, applied)
        }
        Change::Register(principal) => directory::register(tx, principal, applied),
        Change::Retire(principal) => directory::retire(tx, principal, applied),
        Change::Enrol { passkey, invite } => directory::enrol(tx, passkey, *invite, applied),
        Change::Signed { credential, count, backed_up } => {
            directory::signed(tx, credential, *count, *backed_up)
        }
        Change::OpenSession(session) => directory::open_session(tx, session),
        Change::CloseSessions { human, only } => directory::close_sessions(tx, *human, *only),
        Change::Notify { kind, body } => outbox::notify(tx, kind, body),
        Change::GiveUp(what) => outbox::give_up(tx, *what),
    }
}

/// Everything but what only says, counts or forgets.
const fn carries_authority(change: &Change) -> bool {
    match change {
        Change::Claims { .. }
        | Change::Report { .. }
        | Change::Signed { .. }
        | Change::OpenSession(_)
        | Change::CloseSessions { .. }
        | Change::Notify { .. }
        | Change::GiveUp(_) => false,
        Change::Open { .. }
        | Change::Vote { .. }
        | Change::Conclude { .. }
        | Change::Issue(_)
        | Change::Attempt(_)
        | Change::Once { .. }
        | Change::Spend { .. }
        | Change::Touch { .. }
        | Change::Touched { .. }
        | Change::Capture { .. }
        | Change::Settle { .. }
        | Change::Revoke(_)
        | Change::Lock(_)
        | Change::Unlock(_)
        | Change::Pin(_)
        | Change::Judge { .. }
        | Change::Activate { .. }
        | Change::Register(_)
        | Change::Retire(_)
        | Change::Enrol { .. } => true,
    }
}

const fn takes_power_away(change: &Change) -> bool {
    use elevation::Conclusion::{Approved, Expired, Rejected, Superseded, Withdrawn};
    match change {
        Change::Lock(_) | Change::Revoke(_) => true,
        Change::Conclude { to: Rejected | Withdrawn | Expired, .. } => true,
        // Says that it was taken away: it goes where that goes.
        Change::Notify { .. } => true,
        Change::Conclude { to: Approved | Superseded, .. }
        | Change::Open { .. }
        | Change::Claims { .. }
        | Change::Vote { .. }
        | Change::Issue(_)
        | Change::Attempt(_)
        | Change::Once { .. }
        | Change::Spend { .. }
        | Change::Touch { .. }
        | Change::Touched { .. }
        | Change::Capture { .. }
        | Change::Settle { .. }
        | Change::Unlock(_)
        | Change::Pin(_)
        | Change::Judge { .. }
        | Change::Activate { .. }
        | Change::Register(_)
        | Change::Retire(_)
        | Change::Enrol { .. }
        | Change::Report { .. }
        | Change::Signed { .. }
        | Change::OpenSession(_)
        | Change::CloseSessions { .. }
        | Change::GiveUp(_) => false,
    }
}

/// The epoch, moved on by one where the commit asks for it.
fn epoch(tx: &Tx<'_>, next: bool) -> Result<Epoch, Stop> {
    let sql =
        if next { "UPDATE meta SET epoch = epoch + 1 RETURNING epoch" } else { "SELECT epoch FROM meta" };
    Ok(Epoch(tx.sql.prepare_cached(sql)?.query_row([], single)?))
}

/// Appends a record at the next leaf: the writer is the only one who numbers (decisions A25).
fn append(tx: &mut Tx<'_>, record: &Record) -> Done {
    let leaf = tx.next_leaf();
    tx.sql
        .prepare_cached(
            "INSERT INTO records (leaf, hash, id, at, kind, envelope, body, salt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            i64::try_from(leaf).unwrap_or(i64::MAX),
            record.hash.bytes(),
            record.id.bytes(),
            record.at.millis(),
            record.kind.name(),
            record.envelope,
            record.body,
            record.salt,
        ])?;
    tx.leaves.push(record.hash);
    Ok(())
}

/// Whether a statement changed a row.
fn changed(tx: &Tx<'_>, sql: &str, with: impl rusqlite::Params) -> Result<bool, Stop> {
    Ok(tx.sql.prepare_cached(sql)?.execute(with)? > 0)
}

/// Whether a query finds anything.
fn exists(tx: &Tx<'_>, sql: &str, with: impl rusqlite::Params) -> Result<bool, Stop> {
    Ok(tx.sql.prepare_cached(sql)?.exists(with)?)
}

/// After a write that found nothing to change: there is nothing like it, or it is not as expected.
fn missing_or_conflict(tx: &Tx<'_>, sql: &str, with: impl rusqlite::Params) -> Done {
    Err(if exists(tx, sql, with)? { Refused::Conflict } else { Refused::Missing }.into())
}
