//! The installation's keys: files in a folder of their own, 0600, never in the database (decisions §9).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use terms::access::SealKey;
use terms::{Ambient, Digest, Secret};

use crate::private::is_open;

/// The keys of one installation.
pub struct Keys {
    /// Seals secret arguments.
    pub seal: SealKey,
    /// Seed of the Ed25519 key that signs checkpoints of the log.
    pub log_seed: Secret<[u8; 32]>,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file or the folder is not there or cannot be read or written.
    #[error(
        "{path}: {because}\n  help: `stepup init` makes the keys; on a new machine bring the folder along"
    )]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        because: std::io::Error,
    },
    /// Others could read it.
    #[error("{path} can be read by others than its owner\n  help: chmod {mode} {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// The mode that it should have.
        mode: &'static str,
    },
    /// It does not hold 32 bytes.
    #[error("{path} does not hold a key of 32 bytes")]
    Length {
        /// Which.
        path: PathBuf,
    },
}

const SEAL: &str = "seal.key";
const LOG: &str = "log.key";

impl Keys {
    /// Makes a new set; a folder that holds keys already is left alone and is an error.
    ///
    /// # Errors
    /// [`KeysError`] when the folder or a file cannot be written, or exists.
    pub fn create(folder: &Path, ambient: &dyn Ambient) -> Result<(), KeysError> {
        let at = |because| KeysError::Io { path: folder.to_owned(), because };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at)?;
        for name in [SEAL, LOG] {
            let path = folder.join(name);
            let mut bytes = [0; 32];
            ambient.fill(&mut bytes);
            let bytes = Secret::new(bytes);
            let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let written =
                written.and_then(|mut file| file.write_all(bytes.expose()).and_then(|()| file.sync_all()));
            written.map_err(|because| KeysError::Io { path, because })?;
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)
    }

    /// Reads the set.
    ///
    /// # Errors
    /// [`KeysError`] when a key is missing, of another length, or readable by others.
    pub fn read(folder: &Path) -> Result<Self, KeysError> {
        private(folder, "700")?;
        Ok(Self {
            seal: SealKey::new(read(&folder.join(SEAL))?),
            log_seed: Secret::new(read(&folder.join(LOG))?),
        })
    }

    /// What tells them from any others, and nothing else of them: the store keeps it.
    #[must_use]
    pub fn id(&self) -> Digest {
        let seal = self.seal.id();
        Digest::of("stepup/keys/v1\0", &[seal.bytes(), self.log_seed.expose()])
    }
}

fn private(path: &Path, mode: &'static str) -> Result<(), KeysError> {
    let found =
        std::fs::metadata(path).map_err(|because| KeysError::Io { path: path.to_owned(), because })?;
    if is_open(&found) { Err(KeysError::Open { path: path.to_owned(), mode }) } else { Ok(()) }
}

fn read(path: &Path) -> Result<[u8; 32], KeysError> {
    private(path, "600")?;
    let mut bytes = Vec::with_capacity(33);
    let read = File::open(path).and_then(|file| file.take(33).read_to_end(&mut bytes));
    read.map_err(|because| KeysError::Io { path: path.to_owned(), because })?;
    bytes.try_into().map_err(|_| KeysError::Length { path: path.to_owned() })
}
