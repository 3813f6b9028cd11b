//! Requests, votes, conclusions, grants.

use elevation::{Conclusion, Grant, Pending, State, Version, Vote};
use rusqlite::{OptionalExtension as _, params};
use terms::{ElevationId, Time};

use super::super::cells::{Cells, single};
use super::super::writer::{Stop, Tx};
use super::{Applied, Done, changed};
use crate::Refused;

pub(super) fn open(tx: &Tx<'_>, pending: &Pending) -> Done {
    // Votes never move from another request, and the first version is the first.
    if !pending.votes.is_empty() || pending.version != Version::FIRST {
        return Err(Refused::Conflict.into());
    }
    let (caller, access) = (pending.caller.bytes(), pending.access.hash().digest());
    let opened = changed(
        tx,
        "INSERT INTO elevations (id, caller, key, key_bound, source, access_hash, access, action, resource,
           requirement, policy, purpose, ticket, state, version, opened_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, 0, ?14, ?15)
         ON CONFLICT DO NOTHING",
        params![
            pending.id.bytes(),
            caller,
            pending.key.bytes(),
            pending.key_bound,
            pending.source,
            access.bytes(),
            pending.access.to_json().text(),
            pending.access.action(),
            pending.access.resource().id,
            pending.requirement.to_json().text(),
            pending.policy.digest().bytes(),
            pending.purpose,
            pending.ticket,
            pending.opened_at.millis(),
            pending.expires_at.millis(),
        ],
    )?;
    if opened {
        return Ok(());
    }
    let waits = tx
        .sql
        .prepare_cached("SELECT id FROM elevations WHERE caller = ?1 AND access_hash = ?2 AND state = 0")?
        .query_row(params![caller, access.bytes()], single)
        .optional()?;
    Err(waits.map_or(Refused::Conflict, Refused::Exists).into())
}

pub(super) fn claims(
    tx: &Tx<'_>,
    id: ElevationId,
    (purpose, ticket): (Option<&str>, Option<&str>),
    expects: Version,
) -> Done {
    let said = changed(
        tx,
        "UPDATE elevations
         SET purpose = coalesce(?4, purpose), ticket = coalesce(?5, ticket), version = version + 1
         WHERE id = ?1 AND state = 0 AND version = ?2 AND expires_at > ?3",
        params![id.bytes(), expects.0, tx.now.millis(), purpose, ticket],
    )?;
    if said { Ok(()) } else { not_pending(tx, id, expects) }
}

pub(super) fn vote(tx: &Tx<'_>, id: ElevationId, vote: &Vote, expects: Version) -> Done {
    let counted = changed(
        tx,
        "UPDATE elevations SET version = version + 1
         WHERE id = ?1 AND state = 0 AND version = ?2 AND expires_at > ?3",
        params![id.bytes(), expects.0, tx.now.millis()],
    )?;
    if !counted {
        return not_pending(tx, id, expects);
    }
    let kept = changed(
        tx,
        "INSERT INTO votes (elevation, root, human, name, role, credential, statement, requirement_hash,
           card_hash, assertion, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (elevation, root, role) DO UPDATE SET human = excluded.human, name = excluded.name,
           credential = excluded.credential, statement = excluded.statement,
           requirement_hash = excluded.requirement_hash, card_hash = excluded.card_hash,
           assertion = excluded.assertion, at = excluded.at
           WHERE role = 'owner'",
        params![
            id.bytes(),
            vote.root.bytes(),
            vote.human.bytes(),
            vote.name,
            vote.role.name(),
            vote.credential,
            vote.statement.to_json().text(),
            vote.requirement.digest().bytes(),
            vote.card.digest().bytes(),
            vote.assertion.text(),
            vote.at.millis(),
        ],
    )?;
    if kept { Ok(()) } else { Err(Refused::Conflict.into()) }
}

/// Approved only in time, expired only after it (A32); everything else whenever it waits. The version stays: it
/// is the one that was concluded.
pub(super) fn conclude(
    tx: &Tx<'_>,
    id: ElevationId,
    to: Conclusion,
    (why, by): (Option<&str>, Option<&str>),
    expects: Version,
    applied: &mut Applied,
) -> Done {
    let concluded = changed(
        tx,
        "UPDATE elevations SET state = ?4, why = ?5, concluded_by = ?6, concluded_at = ?3
         WHERE id = ?1 AND state = 0 AND version = ?2
           AND CASE ?4 WHEN 1 THEN expires_at > ?3 WHEN 3 THEN expires_at <= ?3 ELSE TRUE END",
        params![id.bytes(), expects.0, tx.now.millis(), State::Concluded(to).number(), why, by],
    )?;
    if !concluded {
        return not_pending(tx, id, expects);
    }
    if to == Conclusion::Approved {
        applied.approved.push(id);
    }
    Ok(())
}

/// A grant is issued once, in the commit that approves its elevation, and for what that asked for.
pub(super) fn issue(tx: &Tx<'_>, grant: &Grant, applied: &mut Applied) -> Done {
    let Some(approved) = applied.approved.iter().position(|id| *id == grant.elevation) else {
        return Err(Refused::Conflict.into());
    };
    applied.approved.swap_remove(approved);
    if grant.spent != 0 || grant.revoked_at.is_some() {
        return Err(Refused::Conflict.into());
    }
    let issued = changed(
        tx,
        "INSERT INTO grants (id, elevation, caller, key, access_hash, action, resource, binds, bind_hash, uses,
           spent, not_after)
         SELECT ?1, id, caller, ?4, access_hash, action, resource, ?8, ?9, ?10, 0, ?11
         FROM elevations
         WHERE id = ?2 AND caller = ?3 AND access_hash = ?5 AND action = ?6 AND resource = ?7",
        params![
            grant.id.bytes(),
            grant.elevation.bytes(),
            grant.caller.bytes(),
            grant.key.as_ref().map(|key| key.bytes()),
            grant.access.digest().bytes(),
            grant.action,
            grant.resource,
            grant.binds.to_json().text(),
            grant.bind_hash.digest().bytes(),
            grant.uses.get(),
            grant.not_after.millis(),
        ],
    )?;
    if issued { Ok(()) } else { Err(Refused::Conflict.into()) }
}

/// Names why an elevation is not as a change expects it.
fn not_pending(tx: &Tx<'_>, id: ElevationId, expects: Version) -> Done {
    let found = tx
        .sql
        .prepare_cached("SELECT state, version, expires_at FROM elevations WHERE id = ?1")?
        .query_row([id.bytes()], |row| {
            let mut cells = Cells::of(row);
            Ok((cells.take::<State>()?, cells.take::<Version>()?, cells.take::<Time>()?))
        })
        .optional()?;
    let refused = match found {
        None => Refused::Missing,
        Some((State::Pending, version, expires_at)) if version == expects && expires_at <= tx.now => {
            Refused::Lapsed
        }
        Some(_) => Refused::Conflict,
    };
    Err(Stop::Refused(refused))
}
