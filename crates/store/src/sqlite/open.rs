//! Opening: one process, a known schema, and a tree that goes on from its newest checkpoint.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use audit::tree::Frontier;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use terms::{Ambient, Digest, InstallId};

use super::cells::Cells;
use super::work::{Signed, grow, value};
use super::{OpenError, Options};
use crate::rows::Head;

/// Every migration with its number, in order. One that was published never changes.
pub(super) const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("migrations/0001.sql")),
    (2, include_str!("migrations/0002.sql")),
    (3, include_str!("migrations/0003.sql")),
    (4, include_str!("migrations/0004.sql")),
    (5, include_str!("migrations/0005.sql")),
    (6, include_str!("migrations/0006.sql")),
];

/// The oldest SQLite whose WAL can be trusted: earlier ones may lose a transaction at a reset (F21).
const OLDEST: i32 = 3_051_003;

/// How long a statement waits for another process that holds the database (F19).
const BUSY: std::time::Duration = std::time::Duration::from_secs(2);

/// Statements that each connection keeps prepared; there are fewer.
const STATEMENTS: usize = 128;

/// A store's file, held by this process alone.
pub(super) struct Held {
    pub(super) path: PathBuf,
    _lock: File,
}

/// `path` with something added to its name.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(what);
    PathBuf::from(name)
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> OpenError {
    move |error| OpenError::Io { doing, because: error.to_string() }
}

/// Makes the file where it may, and takes the lock beside it.
pub(super) fn hold(path: &Path, create: bool) -> Result<Held, OpenError> {
    if rusqlite::version_number() < OLDEST {
        return Err(OpenError::OldSqlite { found: rusqlite::version() });
    }
    if create {
        make(path)?;
    } else if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    // Whatever name it goes by, it is one file with one lock.
    let path = path.canonicalize().map_err(io("finding the store"))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut lock = options.open(beside(&path, "-lock")).map_err(io("opening the lock file"))?;
    match take(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Taken { by: holder(&mut lock) }),
        Err(TryLockError::Error(error)) => return Err(io("locking the store")(error)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()))
        .map_err(io("writing the lock file"))?;
    Ok(Held { path, _lock: lock })
}

/// Takes the lock, which a process that was killed may hold a moment longer: what it had just forked has it too, until
/// it runs its own program.
fn take(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..GRACE.1 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(GRACE.0),
            taken => return taken,
        }
    }
    lock.try_lock()
}

/// How long that moment may be: a pause, and how many.
const GRACE: (std::time::Duration, u32) = (std::time::Duration::from_millis(25), 20);

/// A new file is readable by its owner alone; SQLite gives its companions the same mode.
fn make(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(io("making the store")(error)),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("making the store"))
}

/// Who holds the lock, as it says itself.
fn holder(lock: &mut File) -> Option<u32> {
    let mut pid = String::new();
    lock.take(16).read_to_string(&mut pid).ok()?;
    pid.parse().ok()
}

/// The connection that writes. Durable before it is answered: WAL and FULL, or not at all (F14).
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let sql = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mode: String = sql.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NoWal);
    }
    sql.pragma_update(None, "synchronous", "FULL")?;
    sql.pragma_update(None, "foreign_keys", true)?;
    sql.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    sql.pragma_update(None, "cache_size", -CACHE_KIB)?;
    sql.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    Ok(sql)
}

/// The WAL is copied into the database once it has that many pages of 4 KiB.
const WAL_PAGES: u32 = 1000;

/// What the writer keeps in memory of the database at most: the pages that every commit writes to, and more.
const CACHE_KIB: i32 = 16 << 10;

/// What a WAL that grew beyond it, because a reader held it, is cut back to.
const WAL_BYTES: u32 = 16 << 20;

/// One connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let sql = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    sql.pragma_update(None, "query_only", true)?;
    Ok(sql)
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, OpenError> {
    let sql = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    sql.busy_timeout(BUSY)?;
    sql.set_prepared_statement_cache_capacity(STATEMENTS);
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // A plan for every value: else SQLite compiles each statement anew that a partial index might serve (qpsg).
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    sql.pragma_update(None, "cell_size_check", true)?;
    Ok(sql)
}

/// Brings the schema up to date, each migration in one transaction, and refuses one that it does not know.
pub(super) fn migrate(
    sql: &Connection,
    migrations: &[(u32, &str)],
    options: &Options,
    ambient: &dyn Ambient,
) -> Result<(), OpenError> {
    let applied = applied(sql)?;
    if applied.is_empty() && !options.create {
        return Err(OpenError::NotAStore);
    }
    for (n, sha256) in &applied {
        let Some((_, text)) = migrations.iter().find(|(known, _)| known == n) else {
            return Err(OpenError::Newer { found: *n });
        };
        if Digest::plain(text.as_bytes()) != *sha256 {
            return Err(OpenError::Changed { n: *n });
        }
    }
    for (n, text) in migrations.iter().filter(|(n, _)| applied.iter().all(|(done, _)| done != n)) {
        let tx = sql.unchecked_transaction()?;
        if applied.is_empty() && *n == 1 {
            found(&tx, text, options, ambient)?;
        } else {
            tx.execute_batch(text)?;
        }
        tx.execute(
            "INSERT INTO schema_version (n, sha256, at) VALUES (?1, ?2, ?3)",
            params![n, Digest::plain(text.as_bytes()).bytes(), ambient.now().millis()],
        )?;
        tx.commit()?;
    }
    Ok(())
}

/// The migrations that were applied; none in a new file, and an error in a file of something else.
fn applied(sql: &Connection) -> Result<Vec<(u32, Digest)>, OpenError> {
    let known = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_version')";
    if value(sql, known)? == Some(true) {
        let mut rows = sql.prepare("SELECT n, sha256 FROM schema_version ORDER BY n")?;
        let rows = rows.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok((cells.take()?, cells.take()?))
        })?;
        return Ok(rows.collect::<Result<_, _>>()?);
    }
    if value(sql, "SELECT EXISTS (SELECT 1 FROM sqlite_schema)")? == Some(true) {
        return Err(OpenError::NotAStore);
    }
    Ok(Vec::new())
}

/// The first migration, and the one row that says whose store this is.
fn found(sql: &Connection, schema: &str, options: &Options, ambient: &dyn Ambient) -> Result<(), OpenError> {
    sql.execute_batch(
        "CREATE TABLE schema_version (
           n INTEGER PRIMARY KEY,
           sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
           at INTEGER NOT NULL
         ) STRICT",
    )?;
    sql.execute_batch(schema)?;
    sql.execute(
        "INSERT INTO meta (one, install, epoch, demo, opened) VALUES (1, ?1, 0, ?2, 0)",
        params![InstallId::fresh(ambient).bytes(), options.demo],
    )?;
    Ok(())
}

/// Keeps the id of the first keys, and refuses others from then on.
pub(super) fn bind(sql: &Connection, options: &Options) -> Result<(), OpenError> {
    let Some(keys) = options.keys else { return Ok(()) };
    let known: Option<Option<Digest>> = value(sql, "SELECT keys FROM meta")?;
    match known.flatten() {
        Some(known) if known == keys => Ok(()),
        Some(_) => Err(OpenError::OtherKeys),
        None if options.reads_only => Ok(()),
        None => Ok(sql.execute("UPDATE meta SET keys = ?1", [keys.bytes()]).map(drop)?),
    }
}

/// The tree of all records. Refuses a store that has lost any that a checkpoint was signed over (T121, F20).
/// Computes again from the checkpoint before the newest, so that what the newest says is compared with records.
pub(super) fn tree(sql: &Connection, anchor: Option<Head>) -> Result<Frontier, OpenError> {
    let known: Option<Option<u64>> = value(sql, "SELECT max(leaf) FROM records")?;
    let size = known.flatten().map_or(0, |last| last.saturating_add(1));
    let newest = Signed::newest(sql, u64::MAX)?;
    let mut tree = Frontier::new();
    if let Some(newest) = &newest {
        let before = newest.head.size.checked_sub(1).map(|below| Signed::newest(sql, below)).transpose()?;
        if let Some(before) = before.flatten() {
            tree = before.frontier().ok_or(OpenError::Damaged)?;
        }
    }
    for signed in newest.map(|newest| newest.head).into_iter().chain(anchor) {
        if size < signed.size {
            return Err(OpenError::Behind { have: size, signed: signed.size });
        }
        // An anchor may be older than the checkpoint; then it is computed by itself.
        let from = if signed.size < tree.size() { Frontier::new() } else { tree.clone() };
        let at = grow(sql, from, signed.size)?.ok_or(OpenError::Damaged)?;
        if at.root() != signed.root {
            return Err(OpenError::Damaged);
        }
        if at.size() >= tree.size() {
            tree = at;
        }
    }
    let tree = grow(sql, tree, u64::MAX)?.ok_or(OpenError::Damaged)?;
    if tree.size() == size { Ok(tree) } else { Err(OpenError::Damaged) }
}
