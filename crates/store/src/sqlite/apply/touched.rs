//! Who touched what. It is written with the claim, so that no approval is used of somebody who is at it, and settled with the
//! attempt (rfd 38).

use rusqlite::params;
use terms::{AttemptId, HumanId, Json, Outcome, Touched};

use super::super::writer::Tx;
use super::{Done, changed, exists};
use crate::Refused;

/// An attempt that is claimed in this commit touches these. Refused where somebody else has touched one of them since it was judged.
pub(super) fn touch(
    tx: &Tx<'_>,
    attempt: AttemptId,
    touched: &[Touched],
    (roots, known): (&[HumanId], &[HumanId]),
) -> Done {
    let known = Json::Array(known.iter().map(|root| Json::from(hex(*root))).collect()).text();
    let unknown_to_it = "SELECT 1 FROM touched WHERE kind = ?1 AND (key = ?2 OR key IS NULL)
         AND (root IS NULL OR hex(root) NOT IN (SELECT value FROM json_each(?3)))";
    for one in touched.iter().filter(|one| one.key.is_some()) {
        if exists(tx, unknown_to_it, params![one.kind, one.key, known])? {
            return Err(Refused::Conflict.into());
        }
    }
    let roots: Vec<Option<HumanId>> =
        if roots.is_empty() { vec![None] } else { roots.iter().copied().map(Some).collect() };
    for one in touched {
        for root in &roots {
            let sql = "INSERT INTO touched (kind, key, root, attempt) VALUES (?1, ?2, ?3, ?4)";
            changed(tx, sql, params![one.kind, one.key, root.as_ref().map(HumanId::bytes), attempt.bytes()])?;
        }
    }
    Ok(())
}

/// The attempt ended so, and its answer names these; `None` where nobody could read that.
pub(super) fn answered(
    tx: &Tx<'_>,
    attempt: AttemptId,
    outcome: Outcome,
    answer: Option<&[Touched]>,
) -> Done {
    let id = attempt.bytes();
    match (outcome, answer) {
        (Outcome::NotSent, _) => {
            changed(tx, "DELETE FROM touched WHERE attempt = ?1", [id])?;
        }
        // By its own word nothing came of it. What it named itself stays: it may have done half.
        (Outcome::Failed, _) => {
            changed(tx, "DELETE FROM touched WHERE attempt = ?1 AND key IS NULL", [id])?;
        }
        (Outcome::Done, Some(answer)) => named(tx, attempt, answer)?,
        (Outcome::Done, None) | (Outcome::Unknown | Outcome::Released, _) => {}
    }
    Ok(())
}

/// What may have been any is what the answer says, as far as it does.
fn named(tx: &Tx<'_>, attempt: AttemptId, answer: &[Touched]) -> Done {
    let insert = "INSERT INTO touched (kind, key, root, attempt)
         SELECT DISTINCT ?1, ?2, root, ?3 FROM touched WHERE attempt = ?3";
    for one in answer.iter().filter(|one| one.key.is_some()) {
        changed(tx, insert, params![one.kind, one.key, attempt.bytes()])?;
    }
    if answer.is_empty() {
        changed(tx, "DELETE FROM touched WHERE attempt = ?1 AND key IS NULL", [attempt.bytes()])?;
    }
    for kind in answer.iter().map(|one| &one.kind) {
        if answer.iter().all(|one| one.kind != *kind || one.key.is_some()) {
            let sql = "DELETE FROM touched WHERE attempt = ?1 AND kind = ?2 AND key IS NULL";
            changed(tx, sql, params![attempt.bytes(), kind])?;
        }
    }
    Ok(())
}

fn hex(root: HumanId) -> String {
    root.bytes().iter().map(|byte| format!("{byte:02X}")).collect()
}
