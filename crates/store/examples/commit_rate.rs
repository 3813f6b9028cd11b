//! How many commits a second the store makes durable, and what one costs: each claims an attempt at baseline and
//! appends one record of about one KiB.
//!
//! `cargo run --release -p store --example commit_rate [FOLDER]` prints one flat JSON object. The folder must be
//! on the disk that is to be measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audit::record::{Draft, Kind, Record, Refs};
use store::sqlite::{Options, Sqlite};
use store::{Change, Claim, Commit, Epoch, Human, LockSubjects, OwnedBy, Principal, RegisteredCaller, Store};
use terms::{
    AccessHash, Ambient, AttemptId, BootId, Boottime, CallerId, CallerKind, Digest, HumanId, Json, RecordId,
    Seam, Time,
};

// As the product's, which SQLite takes its memory from as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The clock of the machine, and ids that only have to differ.
struct Machine {
    start: Instant,
    ids: AtomicU64,
    transactions: AtomicU64,
}

impl Ambient for Machine {
    fn now(&self) -> Time {
        Time::from_millis(
            1_767_225_600_000 + i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX),
        )
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) {
        let nth = self.ids.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        bytes.iter_mut().zip(nth.iter().cycle()).for_each(|(to, from)| *to = *from);
    }

    fn seam(&self, seam: Seam) {
        if seam == Seam::StoreCommit {
            self.transactions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement")]
fn clock() -> Instant {
    Instant::now()
}

/// Who claims, and under what.
struct Claimer {
    caller: CallerId,
    owner: HumanId,
    boot: BootId,
    epoch: Epoch,
}

fn human(id: HumanId) -> Human {
    Human { id, root: id, name: "olga".to_owned(), disabled_at: None, added_by: "init".to_owned() }
}

async fn register(store: &Sqlite, ambient: &Machine) -> Claimer {
    let (owner, caller) = (HumanId::fresh(ambient), CallerId::fresh(ambient));
    let bot = RegisteredCaller {
        id: caller,
        name: "bot".to_owned(),
        kind: CallerKind::Agent,
        owner: OwnedBy::Human(owner),
        act: Vec::new(),
        disabled_at: None,
    };
    let changes =
        vec![Change::Register(Principal::Human(human(owner))), Change::Register(Principal::Caller(bot))];
    let commit = Commit { changes, records: vec![record(ambient, Kind::Started)] };
    let epoch = store.commit(commit).await.unwrap().unwrap().epoch;
    Claimer { caller, owner, boot: BootId::fresh(ambient), epoch }
}

fn record(ambient: &Machine, kind: Kind) -> Record {
    let body = Json::object([("arguments", "x".repeat(700))]);
    let id = RecordId::ordered(ambient);
    let draft = Draft { id, at: ambient.now(), node: "a".to_owned(), kind, refs: Refs::default(), body };
    draft.seal([7; 16])
}

fn commit(ambient: &Machine, claimer: &Claimer) -> Commit {
    let claim = Claim {
        attempt: AttemptId::ordered(ambient),
        access: AccessHash::from_digest(Digest::plain(b"access")),
        resource: "ops/read".to_owned(),
        subjects: LockSubjects {
            caller: claimer.caller,
            roots: vec![claimer.owner],
            upstream: Some("ops".to_owned()),
        },
        epoch: claimer.epoch,
        boot: claimer.boot,
    };
    Commit { changes: vec![Change::Attempt(claim)], records: vec![record(ambient, Kind::Permitted)] }
}

/// Commits made by that many callers in that time, and the time of each, sorted.
async fn rate(store: &Arc<Sqlite>, ambient: &Arc<Machine>, callers: usize, span: Duration) -> Vec<Duration> {
    let claimer = Arc::new(register_once(store, ambient).await);
    let mut tasks = tokio::task::JoinSet::new();
    let until = clock() + span;
    for _ in 0..callers {
        let (store, ambient, claimer) = (Arc::clone(store), Arc::clone(ambient), Arc::clone(&claimer));
        tasks.spawn(async move {
            let mut times = Vec::new();
            while clock() < until {
                let commit = commit(&ambient, &claimer);
                let start = clock();
                store.commit(commit).await.unwrap().unwrap();
                times.push(start.elapsed());
            }
            times
        });
    }
    let mut times = tasks.join_all().await.concat();
    times.sort_unstable();
    times
}

async fn register_once(store: &Arc<Sqlite>, ambient: &Arc<Machine>) -> Claimer {
    let directory = store.directory().await.unwrap();
    match (directory.callers.first(), directory.humans.first()) {
        (Some(caller), Some(owner)) => Claimer {
            caller: caller.id,
            owner: owner.id,
            boot: BootId::fresh(ambient.as_ref()),
            epoch: directory.epoch,
        },
        (None | Some(_), None) | (None, Some(_)) => register(store, ambient).await,
    }
}

/// The median of appending 1 KiB and syncing it, in µs: what the disk itself costs.
fn fsync(folder: &Path) -> u128 {
    let path = folder.join("fsync");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            file.write_all(&[7; 1024]).unwrap();
            let start = clock();
            file.sync_data().unwrap();
            start.elapsed().as_micros()
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn at(times: &[Duration], percent: usize) -> u128 {
    times.get(times.len() * percent / 100).map_or(0, Duration::as_micros)
}

#[tokio::main]
async fn main() {
    let under = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(under).unwrap();
    let path = folder.path().join("stepup.db");
    let ambient =
        Arc::new(Machine { start: clock(), ids: AtomicU64::new(1), transactions: AtomicU64::new(0) });
    let store = Arc::new(Sqlite::open(&path, ambient.clone(), &Options::default()).unwrap());
    let span = Duration::from_secs(4);
    let mut out = vec![("fsync_us".to_owned(), fsync(folder.path()))];
    for callers in [1, 32, 128] {
        let before = ambient.transactions.load(Ordering::Relaxed);
        let times = rate(&store, &ambient, callers, span).await;
        let transactions = u128::from(ambient.transactions.load(Ordering::Relaxed) - before);
        out.push((format!("commits_rps_{callers}"), times.len() as u128 * 1000 / span.as_millis()));
        out.push((
            format!("commits_per_sync_{callers}"),
            (times.len() as u128).div_ceil(transactions.max(1)),
        ));
        out.push((format!("commit_p50_us_{callers}"), at(&times, 50)));
        out.push((format!("commit_p99_us_{callers}"), at(&times, 99)));
    }
    let size = store.head().await.unwrap().size;
    drop(store);
    let start = clock();
    let store = Sqlite::open(&path, ambient, &Options::default()).unwrap();
    out.push(("open_records".to_owned(), size.into()));
    out.push(("open_ms".to_owned(), start.elapsed().as_millis()));
    let bytes = |name: &str| u128::from(folder.path().join(name).metadata().map_or(0, |m| m.len()));
    out.push(("wal_bytes".to_owned(), bytes("stepup.db-wal")));
    out.push(("db_bytes".to_owned(), bytes("stepup.db")));
    drop(store);
    let members: Vec<_> = out.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    println!("{{{}}}", members.join(","));
}
