//! The newest signed head of the log, kept beside its key and so outside of the store: a store that does not extend it
//! is an old copy, or was altered, and is not opened (T121, T138). It stops accidents and whoever can write the store
//! alone; against whoever can write the keys too, only a head that somebody else keeps helps (`log verify --earlier`).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use audit::{Checkpoint, VerifierKey};

/// The file's name, in the folder of the keys.
pub const NAME: &str = "log.head";

/// The longest note that is read.
const LONGEST: u64 = 16 << 10;

/// Why a kept head says nothing.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The system.
    #[error("{path}: {because}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        because: std::io::Error,
    },
    /// It is no head of this log.
    #[error("{path} is no head of this log: {because}")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Why not.
        because: audit::NotANote,
    },
}

/// Reads a head that this log's key signed; `None` where there is no such file.
///
/// # Errors
/// [`HeadError`] when it cannot be read, or is not signed by that key.
pub fn read(path: &Path, key: &VerifierKey) -> Result<Option<Checkpoint>, HeadError> {
    let io = |because| HeadError::Io { path: path.to_owned(), because };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut note = String::new();
    file.take(LONGEST).read_to_string(&mut note).map_err(io)?;
    let opened = key.open(&note);
    opened.map(Some).map_err(|because| HeadError::Foreign { path: path.to_owned(), because })
}

/// Keeps a head: whole, or the one before it.
///
/// # Errors
/// [`HeadError::Io`].
pub fn keep(folder: &Path, note: &str) -> Result<(), HeadError> {
    let (path, part) = (folder.join(NAME), folder.join("log.head.part"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(note.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&part, &path)
    });
    written.map_err(|because| HeadError::Io { path, because })
}
