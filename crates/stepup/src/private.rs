//! Files that hold a secret: their owner's alone (T38).

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Why a file is not taken for one that holds a secret.
#[derive(Debug)]
pub enum NotPrivate {
    /// It is not there, or cannot be read.
    Io(io::Error),
    /// It is a folder, a pipe, or something else.
    NotAFile,
    /// Others than its owner can read or write it.
    Open,
}

impl From<io::Error> for NotPrivate {
    fn from(because: io::Error) -> Self {
        Self::Io(because)
    }
}

/// Whether others than its owner may do anything with it.
pub fn is_open(meta: &Metadata) -> bool {
    meta.mode() & 0o077 != 0
}

/// Whether a file is its owner's alone; it is not opened.
///
/// # Errors
/// [`NotPrivate`] when it is not.
pub fn check(path: &Path) -> Result<(), NotPrivate> {
    judge(&std::fs::metadata(path)?)
}

/// Opens a file that is its owner's alone.
///
/// # Errors
/// [`NotPrivate`] when it is not.
pub fn open(path: &Path) -> Result<File, NotPrivate> {
    // Looked at before it is opened: to open a pipe is to wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(NotPrivate::NotAFile);
    }
    let file = File::open(path)?;
    judge(&file.metadata()?)?;
    Ok(file)
}

fn judge(meta: &Metadata) -> Result<(), NotPrivate> {
    match (meta.is_file(), is_open(meta)) {
        (false, _) => Err(NotPrivate::NotAFile),
        (true, true) => Err(NotPrivate::Open),
        (true, false) => Ok(()),
    }
}
