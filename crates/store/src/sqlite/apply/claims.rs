//! Claims of attempts, their ends, and what stops them. Every claim is fenced by epoch and locks, granted or not
//! (decisions A11); the two conditional statements are the whole of R4.

use std::num::NonZeroU32;

use elevation::Outcome;
use rusqlite::{OptionalExtension as _, params};
use terms::{AttemptId, BindHash, CallerId, Digest, GrantId, Json, LockId, Time};

use super::super::cells::{Cells, single};
use super::super::writer::{Stop, Tx};
use super::{Applied, Done, changed, epoch, missing_or_conflict};
use crate::rows::{Lock, LockSubject};
use crate::{Claim, Claimed, Refused, Selector};

/// The active locks on anything in a JSON list of subjects.
macro_rules! locks {
    ($now:literal, $subjects:literal) => {
        concat!(
            "FROM locks WHERE lifted_at IS NULL AND (until IS NULL OR until > ",
            $now,
            ") AND EXISTS (SELECT 1 FROM json_each(",
            $subjects,
            ") WHERE value = subject)"
        )
    };
}

/// Whether the epoch is the one that was judged under, and nothing is locked.
macro_rules! fence {
    ($epoch:literal, $now:literal, $subjects:literal) => {
        concat!(
            "(SELECT epoch FROM meta) = ",
            $epoch,
            " AND NOT EXISTS (SELECT 1 ",
            locks!($now, $subjects),
            ")"
        )
    };
}

/// What may be spent, besides the fence.
macro_rules! live {
    ($now:literal) => {
        concat!("spent < uses AND revoked_at IS NULL AND not_after > ", $now)
    };
}

pub(super) fn attempt(tx: &Tx<'_>, claim: &Claim, applied: &mut Applied) -> Done {
    let subjects = subjects(claim);
    let claimed = changed(
        tx,
        concat!(
            "INSERT INTO attempts (id, caller, access_hash, resource, boot, at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ",
            fence!("?7", "?6", "?8")
        ),
        params![
            claim.attempt.bytes(),
            claim.subjects.caller.bytes(),
            claim.access.digest().bytes(),
            claim.resource,
            claim.boot.bytes(),
            tx.now.millis(),
            i64::try_from(claim.epoch.0).unwrap_or(i64::MAX),
            subjects,
        ],
    )?;
    if claimed { count(tx, claim, None, applied) } else { Err(stopped(tx, claim, &subjects)?.into()) }
}

/// A use of a grant, under what today's terms allow.
#[derive(Clone, Copy)]
pub(super) struct Spend {
    pub(super) grant: GrantId,
    pub(super) bind: BindHash,
    pub(super) uses: NonZeroU32,
    pub(super) not_after: Time,
}

pub(super) fn spend(tx: &Tx<'_>, spend: Spend, claim: &Claim, applied: &mut Applied) -> Done {
    let Spend { grant, bind, uses, not_after } = spend;
    let subjects = subjects(claim);
    let spent: Option<i64> = tx
        .sql
        .prepare_cached(concat!(
            "UPDATE grants SET spent = spent + 1 WHERE id = ?1 AND caller = ?2 AND bind_hash = ?3 AND ",
            live!("?4"),
            " AND spent < ?7 AND ?8 > ?4 AND ",
            fence!("?5", "?4", "?6"),
            " RETURNING spent"
        ))?
        .query_row(
            params![
                grant.bytes(),
                claim.subjects.caller.bytes(),
                bind.digest().bytes(),
                tx.now.millis(),
                i64::try_from(claim.epoch.0).unwrap_or(i64::MAX),
                subjects,
                uses.get(),
                not_after.millis(),
            ],
            single,
        )
        .optional()?;
    let Some(number) = spent else {
        return Err(unspendable(tx, spend, claim, &subjects)?.into());
    };
    changed(
        tx,
        "INSERT INTO attempts (id, grant_id, use, caller, access_hash, resource, boot, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            claim.attempt.bytes(),
            grant.bytes(),
            number,
            claim.subjects.caller.bytes(),
            claim.access.digest().bytes(),
            claim.resource,
            claim.boot.bytes(),
            tx.now.millis(),
        ],
    )?;
    count(tx, claim, Some(grant), applied)
}

/// Counts the call for usage, and makes the proof of the claim: one a commit.
fn count(tx: &Tx<'_>, claim: &Claim, grant: Option<GrantId>, applied: &mut Applied) -> Done {
    let caller = claim.subjects.caller.bytes();
    changed(
        tx,
        "INSERT INTO used (caller, resource, first_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![caller, claim.resource, tx.now.millis()],
    )?;
    let slot = slot(tx.now);
    let first: i64 = tx
        .sql
        .prepare_cached(
            "INSERT INTO calls (caller, slot, count) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
        )?
        .query_row(params![caller, slot], single)?;
    if first == 1 {
        changed(tx, "DELETE FROM calls WHERE caller = ?1 AND slot <= ?2", params![caller, slot - SLOTS])?;
    }
    if applied.claimed.is_some() {
        return Err(Refused::Conflict.into());
    }
    applied.claimed = Some(Claimed::new(claim.attempt, claim.access, grant));
    Ok(())
}

/// An hour in slots of five minutes.
pub(in crate::sqlite) const SLOTS: i64 = 12;

/// The slot of a moment.
pub(in crate::sqlite) const fn slot(at: Time) -> i64 {
    at.millis().div_euclid(300_000)
}

/// Everything whose lock stops this claim, as a JSON list.
fn subjects(claim: &Claim) -> String {
    let subjects = &claim.subjects;
    let upstream = subjects.upstream.iter().cloned();
    let reached = upstream.flat_map(|upstream| [LockSubject::All, LockSubject::Upstream(upstream)]);
    let roots = subjects.roots.iter().copied().map(LockSubject::Human);
    let all = reached.chain([LockSubject::Caller(subjects.caller)]).chain(roots);
    Json::Array(all.map(|subject| Json::from(subject.text())).collect()).text()
}

/// Which part of the fence stopped a claim: a lock before a change of rules.
fn fenced(tx: &Tx<'_>, claim: &Claim, subjects: &str) -> Result<Option<Refused>, Stop> {
    let lock = tx
        .sql
        .prepare_cached(concat!("SELECT id ", locks!("?1", "?2"), " ORDER BY n LIMIT 1"))?
        .query_row(params![tx.now.millis(), subjects], single::<LockId>)
        .optional()?;
    if let Some(lock) = lock {
        return Ok(Some(Refused::Locked(lock)));
    }
    let epoch = epoch(tx, false)?;
    Ok((epoch != claim.epoch).then_some(Refused::Stale(epoch)))
}

fn stopped(tx: &Tx<'_>, claim: &Claim, subjects: &str) -> Result<Refused, Stop> {
    Ok(fenced(tx, claim, subjects)?.unwrap_or(Refused::Conflict))
}

/// Names why a grant could not be spent. What is not the claim's own grant says nothing else of itself.
fn unspendable(tx: &Tx<'_>, spend: Spend, claim: &Claim, subjects: &str) -> Result<Refused, Stop> {
    if let Some(refused) = fenced(tx, claim, subjects)? {
        return Ok(refused);
    }
    let found = tx
        .sql
        .prepare_cached(
            "SELECT caller, bind_hash, revoked_at, spent < min(uses, ?2), min(not_after, ?3) FROM grants WHERE id = ?1",
        )?
        .query_row(params![spend.grant.bytes(), spend.uses.get(), spend.not_after.millis()], |row| {
            let mut cells = Cells::of(row);
            let whose = (cells.take::<CallerId>()?, cells.take::<BindHash>()?);
            Ok((whose, cells.take::<Option<Time>>()?, cells.take::<bool>()?, cells.take::<Time>()?))
        })
        .optional()?;
    Ok(match found {
        None => Refused::Missing,
        Some((whose, ..)) if whose != (claim.subjects.caller, spend.bind) => Refused::Conflict,
        Some((_, Some(_), ..)) => Refused::Revoked,
        Some((_, None, false, _)) => Refused::Spent,
        Some((_, None, true, not_after)) if not_after <= tx.now => Refused::Lapsed,
        Some(_) => Refused::Conflict,
    })
}

/// Names an attempt, once.
pub(super) fn once(tx: &Tx<'_>, caller: CallerId, key: &Digest, attempt: AttemptId) -> Done {
    let sql = "INSERT INTO once (caller, key, attempt) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let named = changed(tx, sql, params![caller.bytes(), key.bytes(), attempt.bytes()])?;
    if named { Ok(()) } else { Err(Refused::Repeats.into()) }
}

/// An attempt ends once; what is unknown a person may resolve once, to something that is known.
pub(super) fn settle(
    tx: &Tx<'_>,
    attempt: AttemptId,
    outcome: Outcome,
    delivered: Option<bool>,
    resolves: bool,
) -> Done {
    let sql = if resolves {
        "UPDATE attempts SET outcome = ?2, delivered = coalesce(?3, delivered)
         WHERE id = ?1 AND outcome = 4 AND ?2 <> 4 AND ?4 IS NOT NULL"
    } else {
        "UPDATE attempts SET outcome = ?2, delivered = ?3, settled_at = ?4 WHERE id = ?1 AND outcome IS NULL"
    };
    if changed(tx, sql, params![attempt.bytes(), outcome.number(), delivered, tx.now.millis()])? {
        if outcome == Outcome::NotSent {
            changed(tx, "DELETE FROM once WHERE attempt = ?1", [attempt.bytes()])?;
        }
        return Ok(());
    }
    missing_or_conflict(tx, "SELECT 1 FROM attempts WHERE id = ?1", [attempt.bytes()])
}

/// What was released ended so, as its caller says; once.
pub(super) fn report(tx: &Tx<'_>, attempt: AttemptId, outcome: Outcome) -> Done {
    let known = matches!(outcome, Outcome::Done | Outcome::Failed);
    let sql = "UPDATE attempts SET outcome = ?2 WHERE id = ?1 AND outcome = 5 AND ?3";
    if changed(tx, sql, params![attempt.bytes(), outcome.number(), known])? {
        return Ok(());
    }
    missing_or_conflict(tx, "SELECT 1 FROM attempts WHERE id = ?1", [attempt.bytes()])
}

/// Takes back what is live; a grant that is over already is none to take back.
pub(super) fn revoke(tx: &Tx<'_>, selector: Selector, applied: &mut Applied) -> Done {
    let (sql, id) = match &selector {
        Selector::Grant(id) => {
            (concat!("UPDATE grants SET revoked_at = ?2 WHERE id = ?1 AND ", live!("?2")), id.bytes())
        }
        Selector::Caller(id) => {
            (concat!("UPDATE grants SET revoked_at = ?2 WHERE caller = ?1 AND ", live!("?2")), id.bytes())
        }
    };
    let count = tx.sql.prepare_cached(sql)?.execute(params![id, tx.now.millis()])?;
    if let (0, Selector::Grant(id)) = (count, selector)
        && !super::exists(tx, "SELECT 1 FROM grants WHERE id = ?1", [id.bytes()])?
    {
        return Err(Refused::Missing.into());
    }
    applied.revoked = applied.revoked.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    Ok(())
}

pub(super) fn lock(tx: &Tx<'_>, lock: &Lock) -> Done {
    changed(
        tx,
        "INSERT INTO locks (id, subject, since, until, locked_by, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            lock.id.bytes(),
            lock.subject.text(),
            lock.since.millis(),
            lock.until.map(Time::millis),
            lock.by,
            lock.why,
        ],
    )?;
    Ok(())
}

pub(super) fn unlock(tx: &Tx<'_>, id: LockId) -> Done {
    let sql = "UPDATE locks SET lifted_at = ?2 WHERE id = ?1 AND lifted_at IS NULL";
    if changed(tx, sql, params![id.bytes(), tx.now.millis()])? {
        return Ok(());
    }
    missing_or_conflict(tx, "SELECT 1 FROM locks WHERE id = ?1", [id.bytes()])
}
