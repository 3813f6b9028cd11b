//! People, callers, pins, policy: what nodes keep in memory, so that most of it moves the epoch on; and sessions.

use rusqlite::params;
use terms::{AttemptId, Digest, HumanId, Json, PinId, PolicyHash, Time};

use super::super::writer::Tx;
use super::{Applied, Done, changed, claims, epoch, exists, missing_or_conflict};
use crate::rows::{
    Epoch, Human, Invite, Key, Member, Membership, OwnedBy, Passkey, Pin, PinState, RegisteredCaller, Session,
};
use crate::{Principal, PrincipalRef, Refused, Selector};

pub(super) fn pin(tx: &Tx<'_>, pin: &Pin, applied: &mut Applied) -> Done {
    applied.next_epoch = true;
    changed(
        tx,
        "INSERT INTO pins (id, upstream, kind, name, digest, definition, state, seen_at, decided_by, accepted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            pin.id.bytes(),
            pin.upstream,
            pin.kind,
            pin.name,
            pin.digest.digest().bytes(),
            pin.definition.text(),
            pin.state.number(),
            pin.seen_at.millis(),
            pin.decided_by,
            pin.state == PinState::Accepted,
        ],
    )?;
    Ok(())
}

/// Only the newest definition can be decided on: an older one is not what would run. Only one that is stopped can be
/// accepted: what was refused or is gone meanwhile stays so.
pub(super) fn judge(tx: &Tx<'_>, pin: PinId, state: PinState, by: &str, applied: &mut Applied) -> Done {
    applied.next_epoch = true;
    let judged = changed(
        tx,
        "UPDATE pins SET state = ?2, decided_by = ?3, accepted = max(accepted, ?4) WHERE id = ?1
           AND (NOT ?4 OR state = ?5) AND n = (SELECT max(newest.n) FROM pins newest
           WHERE (newest.upstream, newest.kind, newest.name) = (pins.upstream, pins.kind, pins.name))",
        params![pin.bytes(), state.number(), by, state == PinState::Accepted, PinState::Quarantined.number()],
    )?;
    if judged {
        return Ok(());
    }
    missing_or_conflict(tx, "SELECT 1 FROM pins WHERE id = ?1", [pin.bytes()])
}

pub(super) fn activate(
    tx: &Tx<'_>,
    hash: PolicyHash,
    bundle: &Json,
    by: &str,
    expects: Epoch,
    applied: &mut Applied,
) -> Done {
    applied.next_epoch = true;
    let now = epoch(tx, false)?;
    if now != expects {
        return Err(Refused::Stale(now).into());
    }
    changed(
        tx,
        "INSERT INTO policies (hash, bundle, activated_by, at) VALUES (?1, ?2, ?3, ?4)",
        params![hash.digest().bytes(), bundle.text(), by, tx.now.millis()],
    )?;
    Ok(())
}

pub(super) fn register(tx: &Tx<'_>, principal: &Principal, applied: &mut Applied) -> Done {
    applied.next_epoch = true;
    match principal {
        Principal::Human(human) => register_human(tx, human),
        Principal::Caller(caller) => register_caller(tx, caller),
        Principal::Key(key) => register_key(tx, key),
        Principal::Member(membership) => register_member(tx, membership),
        Principal::Invite(invite) => register_invite(tx, invite),
    }
}

fn register_human(tx: &Tx<'_>, human: &Human) -> Done {
    named(changed(
        tx,
        "INSERT INTO humans (id, root, name, disabled_at, added_by) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO NOTHING",
        params![
            human.id.bytes(),
            human.root.bytes(),
            human.name,
            human.disabled_at.map(Time::millis),
            human.added_by,
        ],
    )?)
}

fn register_caller(tx: &Tx<'_>, caller: &RegisteredCaller) -> Done {
    let (human, owner) = match &caller.owner {
        OwnedBy::Human(id) => (Some(id.bytes()), None),
        OwnedBy::Caller(id) => (None, Some(id.bytes())),
    };
    named(changed(
        tx,
        "INSERT INTO callers (id, name, kind, owner_human, owner_caller, act, disabled_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO NOTHING",
        params![
            caller.id.bytes(),
            caller.name,
            caller.kind.name(),
            human,
            owner,
            Json::from(caller.act.clone()).text(),
            caller.disabled_at.map(Time::millis),
        ],
    )?)
}

fn named(registered: bool) -> Done {
    if registered { Ok(()) } else { Err(Refused::NameTaken.into()) }
}

fn register_key(tx: &Tx<'_>, key: &Key) -> Done {
    changed(
        tx,
        "INSERT INTO caller_keys (id, caller, prefix, hash, not_after, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key.id.bytes(),
            key.caller.bytes(),
            key.prefix,
            key.hash.bytes(),
            key.not_after.map(Time::millis),
            key.revoked_at.map(Time::millis),
        ],
    )?;
    Ok(())
}

/// The member's columns: one of the two is null.
const fn columns(member: &Member) -> (Option<&[u8; 16]>, Option<&[u8; 16]>) {
    match member {
        Member::Human(id) => (Some(id.bytes()), None),
        Member::Caller(id) => (None, Some(id.bytes())),
    }
}

fn register_member(tx: &Tx<'_>, membership: &Membership) -> Done {
    let (human, caller) = columns(&membership.member);
    changed(
        tx,
        "INSERT INTO memberships (group_name, human, caller) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![membership.group, human, caller],
    )?;
    Ok(())
}

fn register_invite(tx: &Tx<'_>, invite: &Invite) -> Done {
    changed(
        tx,
        "UPDATE invites SET until = ?2 WHERE human = ?1 AND used_at IS NULL AND until > ?2",
        params![invite.human.bytes(), tx.now.millis()],
    )?;
    changed(
        tx,
        "INSERT INTO invites (hash, human, until, invited_by) VALUES (?1, ?2, ?3, ?4)",
        params![invite.hash.bytes(), invite.human.bytes(), invite.until.millis(), invite.by],
    )?;
    Ok(())
}

pub(super) fn retire(tx: &Tx<'_>, principal: &PrincipalRef, applied: &mut Applied) -> Done {
    applied.next_epoch = true;
    let now = tx.now.millis();
    match principal {
        PrincipalRef::Human(id) => {
            let sql = "UPDATE humans SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL";
            if !changed(tx, sql, params![id.bytes(), now])? {
                return missing_or_conflict(tx, "SELECT 1 FROM humans WHERE id = ?1", [id.bytes()]);
            }
            close_sessions(tx, *id, None)
        }
        PrincipalRef::Caller(id) => {
            let sql = "UPDATE callers SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL";
            if !changed(tx, sql, params![id.bytes(), now])? {
                return missing_or_conflict(tx, "SELECT 1 FROM callers WHERE id = ?1", [id.bytes()]);
            }
            claims::revoke(tx, Selector::Caller(*id), applied)
        }
        PrincipalRef::Key(id) => {
            let sql = "UPDATE caller_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            if changed(tx, sql, params![id.bytes(), now])? {
                return Ok(());
            }
            missing_or_conflict(tx, "SELECT 1 FROM caller_keys WHERE id = ?1", [id.bytes()])
        }
        PrincipalRef::KeyAfter(id, until) => {
            // Never for longer than it was good already.
            let sql = "UPDATE caller_keys SET not_after = min(coalesce(not_after, ?2), ?2)
                       WHERE id = ?1 AND revoked_at IS NULL";
            if changed(tx, sql, params![id.bytes(), until.millis()])? {
                return Ok(());
            }
            missing_or_conflict(tx, "SELECT 1 FROM caller_keys WHERE id = ?1", [id.bytes()])
        }
        PrincipalRef::Member(membership) => {
            let (human, caller) = columns(&membership.member);
            let sql = "DELETE FROM memberships WHERE group_name = ?1 AND human IS ?2 AND caller IS ?3";
            let removed = changed(tx, sql, params![membership.group, human, caller])?;
            if removed { Ok(()) } else { Err(Refused::Missing.into()) }
        }
        PrincipalRef::Passkey(credential) => {
            let sql = "UPDATE passkeys SET revoked_at = ?2 WHERE credential = ?1 AND revoked_at IS NULL";
            if changed(tx, sql, params![credential, now])? {
                return Ok(());
            }
            missing_or_conflict(tx, "SELECT 1 FROM passkeys WHERE credential = ?1", [credential])
        }
        PrincipalRef::SparePasskey(credential) => {
            let sql = "UPDATE passkeys SET revoked_at = ?2 WHERE credential = ?1 AND revoked_at IS NULL
                       AND EXISTS (SELECT 1 FROM passkeys other WHERE other.human = passkeys.human
                         AND other.credential <> ?1 AND other.revoked_at IS NULL)";
            if changed(tx, sql, params![credential, now])? {
                return Ok(());
            }
            missing_or_conflict(tx, "SELECT 1 FROM passkeys WHERE credential = ?1", [credential])
        }
    }
}

/// An invitation is good once, in time, and for the one it was made for.
pub(super) fn enrol(tx: &Tx<'_>, passkey: &Passkey, invite: Option<Digest>, applied: &mut Applied) -> Done {
    applied.next_epoch = true;
    if let Some(hash) = invite {
        use_up(tx, hash, passkey.human)?;
    }
    let human = passkey.human.bytes();
    let enrolled = changed(
        tx,
        "INSERT INTO passkeys (credential, human, cose, aaguid, count, backup_eligible, backed_up, enrolled_at,
           enrolled_by, revoked_at, name, rp_id)
         SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM humans WHERE id = ?2 AND disabled_at IS NULL",
        params![
            passkey.credential,
            human,
            passkey.cose,
            passkey.aaguid,
            passkey.count,
            passkey.backup_eligible,
            passkey.backed_up,
            passkey.enrolled_at.millis(),
            passkey.enrolled_by,
            passkey.revoked_at.map(Time::millis),
            passkey.name,
            passkey.rp_id,
        ],
    )?;
    if enrolled { Ok(()) } else { missing_or_conflict(tx, "SELECT 1 FROM humans WHERE id = ?1", [human]) }
}

fn use_up(tx: &Tx<'_>, hash: Digest, human: HumanId) -> Done {
    let sql =
        "UPDATE invites SET used_at = ?3 WHERE hash = ?1 AND human = ?2 AND used_at IS NULL AND until > ?3";
    if changed(tx, sql, params![hash.bytes(), human.bytes(), tx.now.millis()])? {
        return Ok(());
    }
    let late = "SELECT 1 FROM invites WHERE hash = ?1 AND human = ?2 AND used_at IS NULL";
    if exists(tx, late, params![hash.bytes(), human.bytes()])? {
        return Err(Refused::Lapsed.into());
    }
    missing_or_conflict(tx, "SELECT 1 FROM invites WHERE hash = ?1", [hash.bytes()])
}

/// A counter that does not move forward is a copied authenticator (T103); both zero is one without a counter.
pub(super) fn signed(tx: &Tx<'_>, credential: &str, count: u32, backed_up: bool) -> Done {
    let sql = "UPDATE passkeys SET count = ?2, backed_up = ?3
               WHERE credential = ?1 AND revoked_at IS NULL AND (count < ?2 OR (count = 0 AND ?2 = 0))";
    if changed(tx, sql, params![credential, count, backed_up])? {
        return Ok(());
    }
    missing_or_conflict(tx, "SELECT 1 FROM passkeys WHERE credential = ?1", [credential])
}

/// Sessions that are over make room for new ones.
pub(super) fn open_session(tx: &Tx<'_>, session: &Session) -> Done {
    changed(tx, "DELETE FROM sessions WHERE until <= ?1", [tx.now.millis()])?;
    let human = session.human.bytes();
    let opened = changed(
        tx,
        "INSERT INTO sessions (hash, human, auth_at, until)
         SELECT ?1, id, ?3, ?4 FROM humans WHERE id = ?2 AND disabled_at IS NULL",
        params![session.hash.bytes(), human, session.auth_at.millis(), session.until.millis()],
    )?;
    if opened { Ok(()) } else { missing_or_conflict(tx, "SELECT 1 FROM humans WHERE id = ?1", [human]) }
}

pub(super) fn close_sessions(tx: &Tx<'_>, human: HumanId, only: Option<Digest>) -> Done {
    let sql = "DELETE FROM sessions WHERE human = ?1 AND (?2 IS NULL OR hash = ?2)";
    changed(tx, sql, params![human.bytes(), only.as_ref().map(Digest::bytes)])?;
    Ok(())
}

/// What an upstream is authenticated with from now on, unless a later attempt has brought it already.
pub(super) fn capture(
    tx: &Tx<'_>,
    attempt: AttemptId,
    upstream: &str,
    sealed: &str,
    applied: &mut Applied,
) -> Done {
    let kept = changed(
        tx,
        "INSERT INTO credentials (upstream, sealed, n, at) SELECT ?2, ?3, n, ?4 FROM attempts WHERE id = ?1
         ON CONFLICT DO UPDATE SET sealed = excluded.sealed, n = excluded.n, at = excluded.at WHERE excluded.n > n",
        params![attempt.bytes(), upstream, sealed, tx.now.millis()],
    )?;
    applied.next_epoch |= kept;
    Ok(())
}
