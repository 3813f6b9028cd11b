use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use audit::record::Kind;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, StatementStatus};
use terms::Digest;

use super::super::open::{MIGRATIONS, migrate, reader};
use super::{Folder, OpenError, Options, Sqlite, in_world, open};
use crate::conformance::World;
use crate::testing::TestAmbient;
use crate::{Commit, Head, Store as _};

#[test]
fn who_holds_the_store_is_named() {
    let folder = Folder::new();
    let held = open(&folder.path(), &folder.options).unwrap();
    let taken = OpenError::Taken { by: Some(std::process::id()) };
    assert!(taken.to_string().contains(&format!("`kill {}`", std::process::id())), "{taken}");
    assert_eq!(open(&folder.path(), &folder.options).err(), Some(taken.clone()));
    let link = folder.folder.path().join("another-name.db");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert_eq!(open(&link, &folder.options).err(), Some(taken));
    drop(held);
    open(&link, &folder.options).unwrap();
}

#[test]
fn a_store_whose_holder_is_going_is_waited_for() {
    let folder = Folder::new();
    let held = open(&folder.path(), &folder.options).unwrap();
    let going = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(held);
    });
    open(&folder.path(), &folder.options).unwrap();
    going.join().unwrap();
}

#[test]
fn every_file_is_for_its_owner_alone() {
    let folder = Folder::new();
    let _held = open(&folder.path(), &folder.options).unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 4, "database, WAL, lock and reserve");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

#[test]
fn a_statement_is_compiled_once_whatever_is_bound_to_it() {
    let folder = Folder::new();
    let _held = open(&folder.path(), &folder.options).unwrap();
    let sql = reader(&folder.path()).unwrap();
    // What is bound says whether an index over one state serves.
    let mut statement = sql.prepare("SELECT n FROM elevations WHERE caller = ?1 AND state = ?2").unwrap();
    for state in [0, 1, 0] {
        assert!(!statement.exists((b"caller", state)).unwrap());
    }
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}

#[test]
fn nothing_is_made_where_a_store_must_exist() {
    let folder = Folder::new();
    let existing = Options { create: false, ..Options::default() };
    assert_eq!(open(&folder.path(), &existing).err(), Some(OpenError::Missing(folder.path())));
    assert!(!folder.path().exists());
    std::fs::write(folder.path(), b"").unwrap();
    assert_eq!(open(&folder.path(), &existing).err(), Some(OpenError::NotAStore));
    drop(open(&folder.path(), &Options { demo: true, ..Options::default() }).unwrap());
    assert_eq!(open(&folder.path(), &existing).unwrap().opened(), 2);
}

#[test]
fn a_store_opens_with_the_keys_that_it_was_first_opened_with_and_no_others() {
    let folder = Folder::new();
    let with = |keys: &[u8]| Options { keys: Some(Digest::plain(keys)), ..Options::default() };
    let only_read = Options { reads_only: true, ..with(b"others") };
    drop(open(&folder.path(), &only_read).unwrap()); // a look leaves nothing behind
    drop(open(&folder.path(), &with(b"ours")).unwrap());
    for other in [with(b"others"), only_read] {
        assert_eq!(open(&folder.path(), &other).err(), Some(OpenError::OtherKeys));
    }
    drop(open(&folder.path(), &with(b"ours")).unwrap());
}

#[tokio::test]
async fn a_store_that_is_opened_to_be_read_takes_no_write() {
    let folder = Folder::new();
    let only_read = Options { reads_only: true, ..Options::default() };
    let store = open(&folder.path(), &only_read).unwrap();
    assert!(store.commit(Commit::default()).await.is_err());
    assert!(store.notified(1, None).await.is_err());
    assert_eq!(store.head().await.unwrap().size, 0);
    let second = open(&folder.path(), &Options::default()).err();
    assert!(matches!(second, Some(OpenError::Taken { .. })), "it is held while it is read: {second:?}");
    drop(store);
    drop(open(&folder.path(), &Options::default()).unwrap());
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let folder = Folder::new();
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(other);
    assert_eq!(open(&folder.path(), &folder.options).err(), Some(OpenError::NotAStore));
    std::fs::write(folder.path(), b"not a database, but a letter to somebody else").unwrap();
    assert!(matches!(open(&folder.path(), &folder.options).err(), Some(OpenError::Sqlite(_))));
}

fn tamper(path: &Path, sql: &str) {
    let other = Connection::open(path).unwrap();
    other.execute_batch(sql).unwrap();
}

#[test]
fn a_schema_that_is_not_known_is_refused() {
    let folder = Folder::new();
    drop(open(&folder.path(), &folder.options).unwrap());
    tamper(&folder.path(), "INSERT INTO schema_version VALUES (99, zeroblob(32), 0)");
    assert_eq!(open(&folder.path(), &folder.options).err(), Some(OpenError::Newer { found: 99 }));
    tamper(&folder.path(), "DELETE FROM schema_version WHERE n = 99");
    drop(open(&folder.path(), &folder.options).unwrap());
    tamper(&folder.path(), "UPDATE schema_version SET sha256 = zeroblob(32)");
    assert_eq!(open(&folder.path(), &folder.options).err(), Some(OpenError::Changed { n: 1 }));
}

#[test]
fn a_migration_happens_whole_and_once_or_not_at_all() {
    let folder = Folder::new();
    drop(open(&folder.path(), &folder.options).unwrap());
    let sql = Connection::open(folder.path()).unwrap();
    let ambient = TestAmbient::default();
    let with = |second| [MIGRATIONS, &[(7, second)]].concat();
    let broken = with("CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)");
    migrate(&sql, &broken, &folder.options, &ambient).expect_err("the second statement fails");
    let half = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'half')";
    let exists = || sql.query_row(half, [], |row| row.get::<_, bool>(0)).unwrap();
    assert!(!exists());
    let whole = with("CREATE TABLE half (x)");
    for _ in 0..2 {
        migrate(&sql, &whole, &folder.options, &ambient).unwrap();
        assert!(exists());
    }
    drop(sql);
    assert_eq!(open(&folder.path(), &folder.options).err(), Some(OpenError::Newer { found: 7 }));
}

#[test]
fn what_is_accepted_under_the_first_schema_counts_as_accepted_under_the_second() {
    let folder = Folder::new();
    let sql = Connection::open(folder.path()).unwrap();
    migrate(&sql, &MIGRATIONS[..1], &folder.options, &TestAmbient::default()).unwrap();
    for (_, state, name) in crate::PinState::TABLE {
        let pin = "INSERT INTO pins (id, upstream, kind, name, digest, definition, state, seen_at)
                   VALUES (randomblob(16), 'ops', 'tool', ?1, randomblob(32), '{}', ?2, 0)";
        sql.execute(pin, rusqlite::params![name, state]).unwrap();
    }
    migrate(&sql, MIGRATIONS, &folder.options, &TestAmbient::default()).unwrap();
    let mut accepted = sql.prepare("SELECT name FROM pins WHERE accepted").unwrap();
    let names: Vec<String> = accepted.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(names, ["accepted"]);
}

#[test]
fn attempts_of_an_earlier_schema_are_kept_to_the_last_cell_with_all_that_guards_them() {
    let folder = Folder::new();
    let sql = Connection::open(folder.path()).unwrap();
    sql.pragma_update(None, "foreign_keys", true).unwrap();
    migrate(&sql, &MIGRATIONS[..2], &folder.options, &TestAmbient::default()).unwrap();
    sql.execute_batch(ATTEMPTS).unwrap();
    let rows = || {
        let mut rows = sql.prepare("SELECT * FROM attempts ORDER BY n").unwrap();
        let row =
            |row: &rusqlite::Row<'_>| (0..12).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Value>>>();
        rows.query_map([], row).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let guards = || {
        let mut indices = sql
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type <> 'table' AND tbl_name = 'attempts'")
            .unwrap();
        let both = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
        indices.query_map([], both).unwrap().map(Result::unwrap).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (before, guarded) = (rows(), guards());
    assert_eq!((before.len(), guarded.len()), (6, 6));
    migrate(&sql, MIGRATIONS, &folder.options, &TestAmbient::default()).unwrap();
    assert_eq!((rows(), guards()), (before, guarded));
    let broken: Option<String> =
        sql.query_row("PRAGMA foreign_key_check", [], |row| row.get(0)).optional().unwrap();
    assert_eq!(broken, None);
    // An outcome that there was not is one now, and a use is still one attempt.
    assert_eq!(sql.execute("UPDATE attempts SET outcome = 5 WHERE n = 1", []), Ok(1));
    sql.execute("UPDATE attempts SET outcome = 6 WHERE n = 1", []).expect_err("no outcome");
    sql.execute("UPDATE attempts SET use = 1 WHERE n = 6", [])
        .expect_err("the first use is another attempt's");
    drop(sql);
    open(&folder.path(), &folder.options).unwrap();
}

/// Attempts of every outcome, without a grant and with one.
const ATTEMPTS: &str = "
INSERT INTO humans (id, root, name, added_by) VALUES (zeroblob(16), zeroblob(16), 'ann', 'test');
INSERT INTO callers (id, name, kind, owner_human, act) VALUES (zeroblob(16), 'bot', 'agent', zeroblob(16), '[]');
INSERT INTO elevations (id, caller, key, key_bound, source, access_hash, access, action, resource, requirement, policy, state, version,
    opened_at, expires_at, concluded_at)
  VALUES (zeroblob(16), zeroblob(16), zeroblob(16), 0, '', zeroblob(32), '{}', 'a', 'r', '{}', zeroblob(32), 1, 0, 0, 9, 1);
INSERT INTO grants (id, elevation, caller, access_hash, action, resource, binds, bind_hash, uses, spent, not_after)
  VALUES (zeroblob(16), zeroblob(16), zeroblob(16), zeroblob(32), 'a', 'r', '[]', zeroblob(32), 9, 2, 9);
INSERT INTO attempts (id, grant_id, use, caller, access_hash, resource, boot, at, outcome, delivered, settled_at) VALUES
  (x'00000000000000000000000000000001', NULL, NULL, zeroblob(16), randomblob(32), 'ops/a', randomblob(16), 1, 1, 1, 7),
  (x'00000000000000000000000000000002', NULL, NULL, zeroblob(16), randomblob(32), 'ops/b', randomblob(16), 2, 2, 0, 8),
  (x'00000000000000000000000000000003', NULL, NULL, zeroblob(16), randomblob(32), 'ops/c', randomblob(16), 3, 3, NULL, 9),
  (x'00000000000000000000000000000004', NULL, NULL, zeroblob(16), randomblob(32), 'ops/d', randomblob(16), 4, NULL, NULL, NULL),
  (x'00000000000000000000000000000005', zeroblob(16), 1, zeroblob(16), randomblob(32), 'ops/e', randomblob(16), 5, 4, NULL, 9),
  (x'00000000000000000000000000000006', zeroblob(16), 2, zeroblob(16), randomblob(32), 'ops/f', randomblob(16), 6, NULL, NULL, NULL);
";

/// Records alone, in one commit.
async fn append(store: &Sqlite, world: &World, count: usize) -> Head {
    let records = (0..count).map(|_| world.record(Kind::Denied)).collect();
    store.commit(Commit { changes: Vec::new(), records }).await.unwrap().unwrap();
    store.head().await.unwrap()
}

/// A store of 12,000 records with checkpoints at 5,000 and 11,000: the one at 10,000 makes room for the newest.
async fn signed(world: &World, path: &Path) -> [Head; 4] {
    let store = open(path, &Options::default()).unwrap();
    let mut heads = Vec::new();
    for count in [5000, 5000, 1000, 1000] {
        heads.push(append(&store, world, count).await);
        if heads.len() < 4 {
            store.checkpoint(*heads.last().unwrap(), "note".to_owned()).await.unwrap();
        }
    }
    heads.try_into().unwrap()
}

#[test]
fn records_that_are_gone_or_altered_below_a_checkpoint_stop_the_opening() {
    in_world(Folder::new(), async |world| {
        let tamperings = [
            ("DELETE FROM records WHERE leaf >= 10500", OpenError::Behind { have: 10500, signed: 11000 }),
            ("DELETE FROM records", OpenError::Behind { have: 0, signed: 11000 }),
            ("DELETE FROM records WHERE leaf = 11500", OpenError::Damaged),
            ("DELETE FROM records WHERE leaf = 10500", OpenError::Damaged),
            ("UPDATE records SET hash = zeroblob(32) WHERE leaf = 10999", OpenError::Damaged),
            ("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 11000", OpenError::Damaged),
            ("UPDATE checkpoints SET roots = zeroblob(160) WHERE size = 5000", OpenError::Damaged),
        ];
        let folder = Folder::new();
        signed(&world, &folder.path()).await;
        for (sql, expected) in tamperings {
            let other = Folder::new();
            std::fs::copy(folder.path(), other.path()).unwrap();
            tamper(&other.path(), sql);
            assert_eq!(open(&other.path(), &other.options).err(), Some(expected), "{sql}");
        }
    });
}

#[test]
fn a_store_that_does_not_extend_the_anchor_is_refused() {
    in_world(Folder::new(), async |world| {
        let (folder, copy) = (Folder::new(), Folder::new());
        let heads = signed(&world, &folder.path()).await;
        std::fs::copy(folder.path(), copy.path()).unwrap();
        let store = open(&folder.path(), &folder.options).unwrap();
        let later = append(&store, &world, 3).await;
        drop(store);

        let anchored = |anchor| Options { anchor: Some(anchor), ..Options::default() };
        for head in heads.into_iter().chain([later]) {
            let opened = open(&folder.path(), &anchored(head)).unwrap();
            assert_eq!(opened.head().await.unwrap(), later, "anchored at {}", head.size);
        }
        let behind = OpenError::Behind { have: 12000, signed: 12003 };
        assert_eq!(open(&copy.path(), &anchored(later)).err(), Some(behind));
        let fork = open(&copy.path(), &Options::default()).unwrap();
        append(&fork, &world, 3).await;
        drop(fork);
        assert_eq!(open(&copy.path(), &anchored(later)).err(), Some(OpenError::Damaged));
    });
}

#[test]
fn one_checkpoint_is_kept_for_a_stride_of_leaves_and_the_newest() {
    in_world(Folder::new(), async |world| {
        let folder = Folder::new();
        let store = open(&folder.path(), &folder.options).unwrap();
        for _ in 0..100 {
            let head = append(&store, &world, 100).await;
            store.checkpoint(head, "note".to_owned()).await.unwrap();
        }
        drop(store);
        let sql = Connection::open(folder.path()).unwrap();
        let mut sizes = sql.prepare("SELECT size FROM checkpoints ORDER BY size").unwrap();
        let sizes: Vec<i64> = sizes.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(sizes, [4000, 8100, 10000]);
    });
}
