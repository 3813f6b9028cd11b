//! Files that hold a secret: their owner's alone (T38), or root's and lent to the group of a process that is not root, which
//! is how Kubernetes mounts a secret for one (`fsGroup`).

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
    /// Others can read or write it.
    Open,
}

impl From<io::Error> for NotPrivate {
    fn from(because: io::Error) -> Self {
        Self::Io(because)
    }
}

/// Whether others than its owner may do anything with it.
pub fn is_open(meta: &Metadata) -> bool {
    others_may(meta.mode())
}

/// Whether a file is private; it is not opened.
///
/// # Errors
/// [`NotPrivate`] when it is not.
pub fn check(path: &Path) -> Result<(), NotPrivate> {
    judge(&std::fs::metadata(path)?)
}

/// Opens a file that is private.
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
    let us = rustix::process::geteuid().as_raw();
    match (meta.is_file(), is_private(meta.mode(), meta.uid(), us)) {
        (false, _) => Err(NotPrivate::NotAFile),
        (true, false) => Err(NotPrivate::Open),
        (true, true) => Ok(()),
    }
}

/// Whether a file of this mode and owner is private to a process of this user.
const fn is_private(mode: u32, owner: u32, us: u32) -> bool {
    let lent = owner == 0 && us != 0 && mode & 0o037 == 0;
    !others_may(mode) || lent
}

const fn others_may(mode: u32) -> bool {
    mode & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t38_a_secret_is_its_owners_alone_or_lent_by_root_to_be_read() {
        const US: u32 = 1000;
        for (mode, owner, us, private) in [
            (0o600, US, US, true),
            (0o400, US, US, true),
            (0o440, 0, US, true),
            (0o640, 0, US, true),
            (0o440, US, US, false),
            (0o640, US, US, false),
            (0o440, 0, 0, false),
            (0o660, 0, US, false),
            (0o444, 0, US, false),
            (0o644, 0, US, false),
            (0o604, US, US, false),
        ] {
            assert_eq!(is_private(mode, owner, us), private, "{mode:o} of {owner} for {us}");
        }
    }
}
