//! The reads, each of one moment.

use elevation::{Grant, Pending, State, Version, Vote};
use rusqlite::{OptionalExtension as _, Params, Row, params};
use terms::{
    AttemptId, BootId, CallerId, Digest, ElevationId, Json, Millis, PinId, PolicyHash, RecordId, Time,
    Touched,
};

use super::apply::{SLOTS, slot};
use super::cells::{Cell, Cells, Names, single};
use super::readers::Snapshot;
use crate::rows::{
    Attempt, Backlog, Directory, Epoch, Granted, Human, Invite, Key, Listing, Lock, LogLine, Member,
    Membership, Notice, OwnedBy, Passkey, Pin, Policy, RegisteredCaller, Rejection, Session, Situation,
    Standing, Told, Toucher, Way, Whole,
};

type Read<T> = rusqlite::Result<T>;

/// Rows of one listing at most, whatever was asked for.
const MOST: u32 = 1000;

/// Grants that one decision looks at (decisions B21).
const GRANTS: u32 = 32;

/// How far back requests are looked through for one that was rejected of another access.
const DAY: Millis = Millis::seconds(24 * 3600);

/// People with their callers who touched one thing, at most.
const TOUCHERS: u32 = 1000;

/// Unsettled attempts of earlier runs in one answer.
const UNSETTLED: u32 = 65_536;

/// Whether a caller ever reached for a resource.
const USED: &str = "SELECT EXISTS (SELECT 1 FROM used WHERE caller = ?1 AND resource = ?2)";

macro_rules! pending_columns {
    () => {
        "e.id, e.caller, e.key, e.key_bound, e.source, e.access, e.requirement, e.policy, e.purpose, e.ticket,
         e.opened_at, e.expires_at, e.version"
    };
}

macro_rules! grant_columns {
    () => {
        "g.id, g.elevation, g.caller, g.key, g.access_hash, g.action, g.resource, g.binds, g.bind_hash, g.uses,
         g.spent, g.not_after, g.revoked_at"
    };
}

macro_rules! attempt_columns {
    () => {
        "id, grant_id, caller, access_hash, resource, at, outcome, delivered, settled_at, boot"
    };
}

macro_rules! pin_columns {
    () => {
        "p.id, p.upstream, p.kind, p.name, p.digest, p.definition, p.state, p.seen_at, p.decided_by"
    };
}

macro_rules! record_columns {
    () => {
        "leaf, id, at, kind, envelope, body, salt"
    };
}

impl Snapshot<'_> {
    fn all<T>(&self, sql: &str, with: impl Params, row: impl Fn(&mut Cells<'_>) -> Read<T>) -> Read<Vec<T>> {
        self.sql.prepare_cached(sql)?.query_map(with, |r| row(&mut Cells::of(r)))?.collect()
    }

    fn one<T>(
        &self,
        sql: &str,
        with: impl Params,
        row: impl Fn(&mut Cells<'_>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.sql.prepare_cached(sql)?.query_row(with, |r: &Row<'_>| row(&mut Cells::of(r))).optional()
    }

    fn value<T: Cell>(&self, sql: &str, with: impl Params) -> Read<T> {
        self.sql.prepare_cached(sql)?.query_row(with, single)
    }

    pub(super) fn standing(&self, asked: &Standing) -> Read<Situation> {
        let (caller, access) = (asked.caller.bytes(), asked.access.digest());
        let access = access.bytes();
        let of_access = params![caller, access];
        let pending = self.one(
            concat!(
                "SELECT ",
                pending_columns!(),
                " FROM elevations e WHERE e.caller = ?1 AND e.access_hash = ?2 AND e.state = 0"
            ),
            of_access,
            pending,
        )?;
        let rejected = self.one(
            "SELECT id, coalesce(why, ''), concluded_at FROM elevations
             WHERE caller = ?1 AND access_hash = ?2 AND state = 2 AND concluded_at >= ?3
             ORDER BY concluded_at DESC LIMIT 1",
            params![caller, access, asked.rejected_since.millis()],
            |c| Ok(Rejection { elevation: c.take()?, why: c.take()?, at: c.take()? }),
        )?;
        let over = self.one(
            concat!(
                "SELECT ",
                grant_columns!(),
                " FROM grants g WHERE g.caller = ?1 AND g.access_hash = ?2
                   AND (g.revoked_at IS NOT NULL OR g.spent >= g.uses OR g.not_after <= ?3)
                 ORDER BY g.n DESC LIMIT 1"
            ),
            params![caller, access, self.now.millis()],
            grant,
        )?;
        Ok(Situation {
            pending: pending.map(|pending| self.with_votes(pending)).transpose()?,
            grants: self.live(asked)?,
            over,
            rejected,
            last: self.last(asked)?,
            pending_count: self.waiting(&[asked.caller])?,
            used_before: self.value(USED, params![caller, asked.resource])?,
        })
    }

    pub(super) fn rejected_another(&self, asked: &Standing) -> Read<bool> {
        let (caller, access) = (asked.caller.bytes(), asked.access.digest());
        let access = access.bytes();
        self.value(
            "SELECT EXISTS (SELECT 1 FROM elevations WHERE caller = ?1 AND opened_at >= ?4 AND resource = ?5
               AND access_hash <> ?2 AND state = 2 AND concluded_at >= ?3)",
            params![
                caller,
                access,
                asked.rejected_since.millis(),
                asked.rejected_since.before(DAY).millis(),
                asked.resource
            ],
        )
    }

    /// How many requests of these callers wait, together.
    pub(super) fn waiting(&self, callers: &[CallerId]) -> Read<u32> {
        // The index is named: left to itself SQLite walks through everything that the caller ever asked for.
        let count = "SELECT count(*) FROM elevations INDEXED BY elevations_pending
                     WHERE caller = ?1 AND state = 0 AND expires_at > ?2";
        let of_one = |caller: &CallerId| self.value(count, params![caller.bytes(), self.now.millis()]);
        callers.iter().map(of_one).try_fold(0, |sum: u32, one| Ok(sum.saturating_add(one?)))
    }

    /// Live grants with the requests that they rest on.
    fn live(&self, asked: &Standing) -> Read<Vec<Granted>> {
        let found = self.all(
            concat!(
                "SELECT ",
                grant_columns!(),
                ", ",
                pending_columns!(),
                " FROM grants g JOIN elevations e ON e.id = g.elevation
                 WHERE g.caller = ?1 AND g.action = ?2 AND g.resource = ?3
                   AND g.revoked_at IS NULL AND g.spent < g.uses AND g.not_after > ?4
                 ORDER BY g.n LIMIT ?5"
            ),
            params![asked.caller.bytes(), asked.action, asked.resource, self.now.millis(), GRANTS],
            |c| Ok(Granted { grant: grant(c)?, elevation: pending(c)? }),
        )?;
        let with_votes = |granted: Granted| {
            let elevation = self.with_votes(granted.elevation)?;
            Ok(Granted { elevation, ..granted })
        };
        found.into_iter().map(with_votes).collect()
    }

    /// What is still open comes before what is settled: it must not hide behind a later run that went well.
    fn last(&self, asked: &Standing) -> Read<Option<Attempt>> {
        let (caller, access) = (asked.caller.bytes(), asked.access.digest());
        let open = self.one(
            concat!(
                "SELECT ",
                attempt_columns!(),
                " FROM attempts
                 WHERE access_hash = ?1 AND caller = ?2 AND grant_id IS NOT NULL
                   AND (outcome IS NULL OR outcome = 4)
                 ORDER BY n DESC LIMIT 1"
            ),
            params![access.bytes(), caller],
            attempt,
        )?;
        if open.is_some() {
            return Ok(open);
        }
        self.one(
            concat!(
                "SELECT ",
                attempt_columns!(),
                " FROM attempts
                 WHERE access_hash = ?1 AND caller = ?2 AND grant_id IS NOT NULL AND at >= ?3
                 ORDER BY at DESC, n DESC LIMIT 1"
            ),
            params![access.bytes(), caller, asked.ran_since.millis()],
            attempt,
        )
    }

    fn with_votes(&self, pending: Pending) -> Read<Pending> {
        let votes = self.all(
            "SELECT root, human, name, role, credential, statement, requirement_hash, card_hash, assertion, at
             FROM votes WHERE elevation = ?1 ORDER BY n",
            [pending.id.bytes()],
            vote,
        )?;
        Ok(Pending { votes, ..pending })
    }

    pub(super) fn usage(&self, caller: CallerId, resource: &str) -> Read<(bool, u32)> {
        let (caller, since) = (caller.bytes(), slot(self.now) - SLOTS);
        let calls = "SELECT coalesce(sum(count), 0) FROM calls WHERE caller = ?1 AND slot > ?2";
        Ok((self.value(USED, params![caller, resource])?, self.value(calls, params![caller, since])?))
    }

    pub(super) fn elevation(&self, id: ElevationId) -> Read<Option<Whole>> {
        let sql = concat!(
            "SELECT ",
            pending_columns!(),
            ", e.state, e.why, e.concluded_by, e.concluded_at
             FROM elevations e WHERE e.id = ?1"
        );
        self.one(sql, [id.bytes()], concluded)?.map(|whole| self.complete(whole)).transpose()
    }

    pub(super) fn elevations(&self, listing: &Listing) -> Read<Vec<Whole>> {
        // Each filter that is used is spelled out, so that an index serves it.
        let filters = [
            (listing.state.is_some(), " AND e.state = ?1"),
            (listing.caller.is_some(), " AND e.caller = ?2"),
            (listing.before.is_some(), " AND e.opened_at < ?3"),
        ];
        let filters: String = filters.iter().filter_map(|(used, sql)| used.then_some(*sql)).collect();
        let sql = format!(
            "SELECT {}, e.state, e.why, e.concluded_by, e.concluded_at FROM elevations e
             WHERE TRUE{filters} ORDER BY e.opened_at DESC, e.n DESC LIMIT ?4",
            pending_columns!()
        );
        let with = params![
            listing.state.map(State::number),
            listing.caller.as_ref().map(CallerId::bytes),
            listing.before.map(Time::millis),
            listing.limit.min(MOST),
        ];
        self.all(&sql, with, concluded)?.into_iter().map(|whole| self.complete(whole)).collect()
    }

    /// Adds votes, grant and attempts.
    fn complete(&self, whole: Whole) -> Read<Whole> {
        let grant = self.one(
            concat!("SELECT ", grant_columns!(), " FROM grants g WHERE g.elevation = ?1"),
            [whole.request.id.bytes()],
            grant,
        )?;
        let attempts = match &grant {
            None => Vec::new(),
            Some(grant) => self.all(
                concat!(
                    "SELECT ",
                    attempt_columns!(),
                    " FROM attempts WHERE grant_id = ?1 ORDER BY use LIMIT ?2"
                ),
                params![grant.id.bytes(), MOST],
                attempt,
            )?,
        };
        Ok(Whole { request: self.with_votes(whole.request)?, grant, attempts, ..whole })
    }

    pub(super) fn attempts(&self, caller: Option<CallerId>, limit: u32) -> Read<Vec<Attempt>> {
        let limit = limit.min(MOST);
        match caller {
            None => self.all(
                concat!("SELECT ", attempt_columns!(), " FROM attempts ORDER BY n DESC LIMIT ?1"),
                [limit],
                attempt,
            ),
            Some(caller) => self.all(
                concat!(
                    "SELECT ",
                    attempt_columns!(),
                    " FROM attempts WHERE caller = ?1 ORDER BY n DESC LIMIT ?2"
                ),
                params![caller.bytes(), limit],
                attempt,
            ),
        }
    }

    pub(super) fn attempt(&self, id: AttemptId) -> Read<Option<Attempt>> {
        let sql = concat!("SELECT ", attempt_columns!(), " FROM attempts WHERE id = ?1");
        self.one(sql, [id.bytes()], attempt)
    }

    pub(super) fn once(&self, caller: CallerId, key: &Digest) -> Read<Option<Attempt>> {
        let sql = concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempts WHERE id = (SELECT attempt FROM once WHERE caller = ?1 AND key = ?2)"
        );
        self.one(sql, params![caller.bytes(), key.bytes()], attempt)
    }

    pub(super) fn touchers(&self, touched: &[Touched]) -> Read<Vec<Toucher>> {
        let mut all = Vec::new();
        for one in touched {
            let some = self.all(
                "SELECT t.kind, t.key, t.root, a.caller FROM touched t JOIN attempts a ON a.id = t.attempt
                 WHERE t.kind = ?1 AND (t.key = ?2 OR t.key IS NULL)
                 GROUP BY t.key, t.root, a.caller ORDER BY min(t.n) LIMIT ?3",
                params![one.kind, one.key, TOUCHERS + 1],
                |c| {
                    let touched = Touched { kind: c.take()?, key: c.take()? };
                    Ok(Toucher { touched, root: c.take()?, caller: c.take()? })
                },
            )?;
            // Who is left out could approve: then nobody knows who it was.
            if some.len() > TOUCHERS as usize {
                all.push(Toucher { touched: one.clone(), root: None, caller: CallerId::NIL });
            }
            all.extend(some);
        }
        Ok(all)
    }

    pub(super) fn unsettled(&self, but: BootId) -> Read<Vec<Attempt>> {
        self.all(
            concat!(
                "SELECT ",
                attempt_columns!(),
                " FROM attempts WHERE outcome IS NULL AND boot <> ?1 ORDER BY n LIMIT ?2"
            ),
            params![but.bytes(), UNSETTLED],
            attempt,
        )
    }

    pub(super) fn due(&self, limit: u32) -> Read<Vec<(ElevationId, Version)>> {
        self.all(
            "SELECT id, version FROM elevations WHERE state = 0 AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
            params![self.now.millis(), limit.min(MOST)],
            |c| Ok((c.take()?, c.take()?)),
        )
    }

    pub(super) fn session(&self, hash: Digest) -> Read<Option<Session>> {
        self.one(
            "SELECT s.hash, s.human, s.auth_at, s.until FROM sessions s JOIN humans h ON h.id = s.human
             WHERE s.hash = ?1 AND s.until > ?2 AND h.disabled_at IS NULL",
            params![hash.bytes(), self.now.millis()],
            |c| Ok(Session { hash: c.take()?, human: c.take()?, auth_at: c.take()?, until: c.take()? }),
        )
    }

    pub(super) fn invite(&self, hash: Digest) -> Read<Option<Invite>> {
        self.one(
            "SELECT i.hash, i.human, i.until, i.invited_by FROM invites i JOIN humans h ON h.id = i.human
             WHERE i.hash = ?1 AND i.used_at IS NULL AND i.until > ?2 AND h.disabled_at IS NULL",
            params![hash.bytes(), self.now.millis()],
            |c| Ok(Invite { hash: c.take()?, human: c.take()?, until: c.take()?, by: c.take()? }),
        )
    }

    pub(super) fn accepted_before(&self, pin_id: PinId) -> Read<Option<Pin>> {
        self.one(
            concat!(
                "SELECT ",
                pin_columns!(),
                " FROM pins p JOIN pins newer USING (upstream, kind, name)
                 WHERE newer.id = ?1 AND p.accepted AND p.n < newer.n ORDER BY p.n DESC LIMIT 1"
            ),
            [pin_id.bytes()],
            pin,
        )
    }

    pub(super) fn policy(&self, hash: PolicyHash) -> Read<Option<Policy>> {
        self.one(
            "SELECT rev, hash, bundle, activated_by, at FROM policies WHERE hash = ?1 ORDER BY rev DESC LIMIT 1",
            [hash.digest().bytes()],
            policy,
        )
    }

    pub(super) fn policies(&self, most: u32) -> Read<Vec<Policy>> {
        self.all(
            "SELECT rev, hash, bundle, activated_by, at FROM policies ORDER BY rev DESC LIMIT ?1",
            [most],
            policy,
        )
    }

    pub(super) fn records(&self, from: u64, limit: u32) -> Read<Vec<LogLine>> {
        self.all(
            concat!("SELECT ", record_columns!(), " FROM records WHERE leaf >= ?1 ORDER BY leaf LIMIT ?2"),
            params![i64::try_from(from).unwrap_or(i64::MAX), limit.min(MOST)],
            log_line,
        )
    }

    pub(super) fn record(&self, id: RecordId) -> Read<Option<LogLine>> {
        let sql = concat!("SELECT ", record_columns!(), " FROM records WHERE id = ?1");
        self.one(sql, [id.bytes()], log_line)
    }

    pub(super) fn outbox(&self, channel: &str, limit: u32) -> Read<Vec<Notice>> {
        self.all(
            "SELECT id, kind, body, tries, at, channel, recipient, thread FROM outbox AS o
             WHERE channel = ?1 AND due <= ?2 AND (thread = '' OR NOT EXISTS (
               SELECT 1 FROM outbox AS earlier
               WHERE earlier.thread = o.thread AND earlier.channel = o.channel
                 AND earlier.recipient = o.recipient AND earlier.id < o.id))
             ORDER BY id LIMIT ?3",
            params![channel, self.now.millis(), limit.min(MOST)],
            notice,
        )
    }

    pub(super) fn strays(&self, channels: &[String], limit: u32) -> Read<Vec<Notice>> {
        let known = Json::Array(channels.iter().map(|name| Json::from(name.as_str())).collect());
        self.all(
            "SELECT id, kind, body, tries, at, channel, recipient, thread FROM outbox
             WHERE channel <> '' AND channel NOT IN (SELECT value FROM json_each(?1)) ORDER BY id LIMIT ?2",
            params![known.text(), limit.min(MOST)],
            notice,
        )
    }

    pub(super) fn told(&self, thread: &str) -> Read<Vec<Told>> {
        let sql =
            "SELECT channel, recipient, thread, note FROM told WHERE thread = ?1 ORDER BY channel, recipient";
        self.all(sql, [thread], |c| Ok(Told { way: way(c)?, note: c.take()? }))
    }

    pub(super) fn backlog(&self) -> Read<Backlog> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE tries > 0), min(at), (SELECT untold FROM meta) FROM outbox";
        let backlog = self.one(sql, [], |c| {
            let (waiting, failing) = (c.take()?, c.take()?);
            Ok(Backlog { waiting, failing, oldest: c.take()?, made_room: c.take()? })
        })?;
        Ok(backlog.unwrap_or_default())
    }

    pub(super) fn directory(&self) -> Read<Directory> {
        let (epoch, install, demo) =
            self.sql.prepare_cached("SELECT epoch, install, demo FROM meta")?.query_row([], |row| {
                let mut cells = Cells::of(row);
                Ok((cells.take()?, cells.take()?, cells.take()?))
            })?;
        Ok(Directory {
            epoch: Epoch(epoch),
            install,
            demo,
            humans: self.all(
                "SELECT id, root, name, disabled_at, added_by FROM humans ORDER BY n",
                [],
                human,
            )?,
            memberships: self.all(
                "SELECT group_name, human, caller FROM memberships ORDER BY n",
                [],
                membership,
            )?,
            callers: self.all(
                "SELECT id, name, kind, owner_human, owner_caller, act, disabled_at FROM callers ORDER BY n",
                [],
                caller,
            )?,
            keys: self.all(
                "SELECT id, caller, prefix, hash, not_after, revoked_at FROM caller_keys ORDER BY n",
                [],
                key,
            )?,
            passkeys: self.all(
                "SELECT credential, human, name, rp_id, cose, aaguid, count, backup_eligible, backed_up, enrolled_at,
                   enrolled_by, revoked_at FROM passkeys ORDER BY n",
                [],
                passkey,
            )?,
            pins: self.all(
                concat!(
                    "SELECT ",
                    pin_columns!(),
                    " FROM pins p WHERE n IN (SELECT max(n) FROM pins GROUP BY upstream, kind, name) ORDER BY n"
                ),
                [],
                pin,
            )?,
            policy: self.one(
                "SELECT rev, hash, bundle, activated_by, at FROM policies ORDER BY rev DESC LIMIT 1",
                [],
                policy,
            )?,
            locks: self.all(
                "SELECT id, subject, since, until, locked_by, why FROM locks
                 WHERE lifted_at IS NULL AND (until IS NULL OR until > ?1) ORDER BY n",
                [self.now.millis()],
                lock,
            )?,
            credentials: self.all("SELECT upstream, sealed FROM credentials ORDER BY upstream", [], |c| {
                Ok((c.take()?, c.take()?))
            })?,
        })
    }
}

fn pending(c: &mut Cells<'_>) -> Read<Pending> {
    Ok(Pending {
        id: c.take()?,
        caller: c.take()?,
        key: c.take()?,
        key_bound: c.take()?,
        source: c.take()?,
        access: c.take()?,
        requirement: c.take()?,
        policy: c.take()?,
        purpose: c.take()?,
        ticket: c.take()?,
        opened_at: c.take()?,
        expires_at: c.take()?,
        version: c.take()?,
        votes: Vec::new(),
    })
}

fn concluded(c: &mut Cells<'_>) -> Read<Whole> {
    Ok(Whole {
        request: pending(c)?,
        state: c.take()?,
        why: c.take()?,
        concluded_by: c.take()?,
        concluded_at: c.take()?,
        grant: None,
        attempts: Vec::new(),
    })
}

fn vote(c: &mut Cells<'_>) -> Read<Vote> {
    Ok(Vote {
        root: c.take()?,
        human: c.take()?,
        name: c.take()?,
        role: c.take()?,
        credential: c.take()?,
        statement: c.take()?,
        requirement: c.take()?,
        card: c.take()?,
        assertion: c.take()?,
        at: c.take()?,
    })
}

fn grant(c: &mut Cells<'_>) -> Read<Grant> {
    Ok(Grant {
        id: c.take()?,
        elevation: c.take()?,
        caller: c.take()?,
        key: c.take()?,
        access: c.take()?,
        action: c.take()?,
        resource: c.take()?,
        binds: c.take()?,
        bind_hash: c.take()?,
        uses: c.take()?,
        spent: c.take()?,
        not_after: c.take()?,
        revoked_at: c.take()?,
    })
}

fn attempt(c: &mut Cells<'_>) -> Read<Attempt> {
    Ok(Attempt {
        id: c.take()?,
        grant: c.take()?,
        caller: c.take()?,
        access: c.take()?,
        resource: c.take()?,
        at: c.take()?,
        outcome: c.take()?,
        delivered: c.take()?,
        settled_at: c.take()?,
        boot: c.take()?,
    })
}

fn log_line(c: &mut Cells<'_>) -> Read<LogLine> {
    Ok(LogLine {
        leaf: c.take()?,
        id: c.take()?,
        at: c.take()?,
        kind: c.take()?,
        envelope: c.take()?,
        body: c.take::<Option<Vec<u8>>>()?.zip(c.take::<Option<[u8; 16]>>()?),
    })
}

fn human(c: &mut Cells<'_>) -> Read<Human> {
    Ok(Human { id: c.take()?, root: c.take()?, name: c.take()?, disabled_at: c.take()?, added_by: c.take()? })
}

/// One of two columns holds an id, by the schema.
fn either<T, A: Cell, B: Cell>(c: &mut Cells<'_>, a: fn(A) -> T, b: fn(B) -> T) -> Read<T> {
    let (left, right) = (c.take::<Option<A>>()?, c.take::<Option<B>>()?);
    left.map(a).or(right.map(b)).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn membership(c: &mut Cells<'_>) -> Read<Membership> {
    Ok(Membership { group: c.take()?, member: either(c, Member::Human, Member::Caller)? })
}

fn caller(c: &mut Cells<'_>) -> Read<RegisteredCaller> {
    Ok(RegisteredCaller {
        id: c.take()?,
        name: c.take()?,
        kind: c.take()?,
        owner: either(c, OwnedBy::Human, OwnedBy::Caller)?,
        act: c.take::<Names>()?.0,
        disabled_at: c.take()?,
    })
}

fn key(c: &mut Cells<'_>) -> Read<Key> {
    Ok(Key {
        id: c.take()?,
        caller: c.take()?,
        prefix: c.take()?,
        hash: c.take()?,
        not_after: c.take()?,
        revoked_at: c.take()?,
    })
}

fn passkey(c: &mut Cells<'_>) -> Read<Passkey> {
    Ok(Passkey {
        credential: c.take()?,
        human: c.take()?,
        name: c.take()?,
        rp_id: c.take()?,
        cose: c.take()?,
        aaguid: c.take()?,
        count: c.take()?,
        backup_eligible: c.take()?,
        backed_up: c.take()?,
        enrolled_at: c.take()?,
        enrolled_by: c.take()?,
        revoked_at: c.take()?,
    })
}

fn pin(c: &mut Cells<'_>) -> Read<Pin> {
    Ok(Pin {
        id: c.take()?,
        upstream: c.take()?,
        kind: c.take()?,
        name: c.take()?,
        digest: c.take()?,
        definition: c.take()?,
        state: c.take()?,
        seen_at: c.take()?,
        decided_by: c.take()?,
    })
}

fn policy(c: &mut Cells<'_>) -> Read<Policy> {
    Ok(Policy { rev: c.take()?, hash: c.take()?, bundle: c.take()?, by: c.take()?, at: c.take()? })
}

fn lock(c: &mut Cells<'_>) -> Read<Lock> {
    Ok(Lock {
        id: c.take()?,
        subject: c.take()?,
        since: c.take()?,
        until: c.take()?,
        by: c.take()?,
        why: c.take()?,
    })
}

fn way(cells: &mut Cells<'_>) -> Read<Way> {
    Ok(Way { channel: cells.take()?, recipient: cells.take()?, thread: cells.take()? })
}

fn notice(cells: &mut Cells<'_>) -> Read<Notice> {
    let (id, kind, body) = (cells.take()?, cells.take()?, cells.take()?);
    Ok(Notice { id, kind, body, tries: cells.take()?, at: cells.take()?, way: way(cells)? })
}
