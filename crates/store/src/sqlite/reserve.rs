//! Room on the disk that is kept for the moment when there is none: a file that is deleted at the first sign of
//! a full disk, so that locks, revocations, rejections and denials can still be recorded (F17, decisions §9).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use terms::{Boottime, Millis};

/// How long it takes until the disk is asked again whether there is room.
const PATIENCE: Millis = Millis::seconds(1);

/// The reserve file.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    state: State,
}

enum State {
    /// The file holds its room.
    Kept,
    /// The room is given away; when the disk was last asked for it back.
    InUse(Boottime),
}

impl Reserve {
    /// Makes the reserve beside the store, or starts without room when there is none.
    pub(super) fn open(path: PathBuf, bytes: u64, now: Boottime) -> Self {
        let kept = make(&path, bytes).is_ok();
        if !kept {
            tracing::warn!("there is no room for the reserve beside the store");
        }
        Self { path, bytes, state: if kept { State::Kept } else { State::InUse(now) } }
    }

    /// Whether the room is given away.
    pub(super) const fn in_use(&self) -> bool {
        matches!(self.state, State::InUse(_))
    }

    /// Gives the room away.
    pub(super) fn release(&mut self, now: Boottime) {
        if let State::Kept = self.state {
            let _ = std::fs::remove_file(&self.path);
        }
        self.state = State::InUse(now);
    }

    /// Takes the room back if the disk has it and as much again: what was given away is itself free room at first.
    pub(super) fn restore(&mut self, now: Boottime) -> bool {
        let State::InUse(asked) = self.state else { return true };
        if now.since(asked) < PATIENCE {
            return false;
        }
        self.state = State::InUse(now);
        if free(&self.path).is_some_and(|free| free >= self.bytes.saturating_mul(2))
            && make(&self.path, self.bytes).is_ok()
        {
            tracing::info!("there is room on the disk again");
            self.state = State::Kept;
        }
        !self.in_use()
    }
}

/// Free bytes on the disk of this file.
fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn make(path: &Path, bytes: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let filled = fill(&file, bytes).and_then(|()| file.sync_all());
    if filled.is_err() {
        let _ = std::fs::remove_file(path);
    }
    filled
}

/// Real blocks, where the filesystem can allocate them, else zeros.
fn fill(mut file: &File, bytes: u64) -> std::io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = [0; 1 << 16];
            (0..bytes.div_ceil(1 << 16)).try_for_each(|_| file.write_all(&zeros))
        }
        Err(error) => Err(error.into()),
    }
}
