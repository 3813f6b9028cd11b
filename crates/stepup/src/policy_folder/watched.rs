//! That somebody writes to the policy folder: by which name ever, and whether they are done.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{Receiver, Sender};

/// Editors write a file in several steps; the folder is read once it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(200);

/// How long whoever writes to a file may take to close it, before it is read as it is.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// The most entries of the folder that are looked at for whether they were written to.
const MOST_LOOKED_AT: usize = 10_000;

/// Which folder it is, whatever its name.
pub(super) fn which(dir: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir).map(|meta| (meta.dev(), meta.ino()))
}

pub(super) fn watch(
    dir: &Path,
    saved: Sender<()>,
    writing: Writing,
) -> notify::Result<notify::RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| writing.heard(event)) {
            let _ = saved.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Waits until nothing of it was saved for a while, and whoever writes to a file has closed it, or takes too long.
pub(super) async fn settled(heard: &mut Receiver<()>, writing: &Writing) {
    let late = tokio::time::Instant::now() + WRITTEN_WITHIN;
    loop {
        match tokio::time::timeout(QUIET, heard.recv()).await {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(_) if writing.is_empty() || tokio::time::Instant::now() >= late => return,
            Err(_) => {}
        }
    }
}

/// What tells its files apart from what they were: names, and when and how large each was last written, by whatever name that was.
pub(super) fn looks(dir: &Path) -> BTreeSet<(OsString, u64, u64, i64, i64)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let look = |entry: std::fs::DirEntry| {
        let meta = std::fs::metadata(entry.path()).ok()?;
        Some((entry.file_name(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()))
    };
    entries.take(MOST_LOOKED_AT).filter_map(look).collect()
}

/// The files that somebody writes to and has not closed.
#[derive(Clone, Default)]
pub(super) struct Writing(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Writing {
    fn files(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.files().is_empty()
    }

    /// Whether what happened is something that was saved.
    fn heard(&self, event: notify::Event) -> bool {
        let closed = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
        let written = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
        // What is gone or has another name is written to no more under this one.
        let gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        let mut files = self.files();
        for path in event.paths {
            if written && files.len() < MOST_LOOKED_AT {
                files.insert(path);
            } else if closed || gone {
                files.remove(&path);
            }
        }
        closed || !event.kind.is_access()
    }
}
