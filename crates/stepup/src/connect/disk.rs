//! A file of somebody else's: read whole, replaced whole, and kept beside itself as it was before.
//!
//! A backup is named after what was written over it. So it can be told whether anybody touched the file since, and only
//! then it is put back byte for byte. There is one backup a file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use terms::{Ambient, Digest};

use crate::cli::Said;

/// The largest configuration that is read: 8 MiB.
const LARGEST: u64 = 8 << 20;

/// A configuration as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The file itself, where links lead.
    pub path: PathBuf,
    /// Its text; `None` where there is no file.
    pub text: Option<String>,
    /// Its mode, owner and group.
    owned: Option<(u32, u32, u32)>,
}

/// What a file becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// This text.
    Text(String),
    /// No file.
    Nothing,
}

/// Reads a file, if there is one in a folder that exists.
///
/// # Errors
/// What is in the way.
pub(super) fn look(file: &Path) -> Result<Found, Said> {
    let nothing_changed = "nothing was changed";
    let at = |path: &Path, e: &io::Error| Said::failed(format!("{}: {e}", path.display()), nothing_changed);
    if let Err(e) = fs::symlink_metadata(file) {
        if e.kind() != io::ErrorKind::NotFound {
            return Err(at(file, &e));
        }
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Err(at(file, &e)) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = folder.canonicalize().map_err(|_| {
            let todo =
                "start the client once, so that it makes its folder, or name its configuration with --file";
            Said::failed(format!("there is no folder {}", folder.display()), todo)
        })?;
        return Ok(Found { path: folder.join(name), text: None, owned: None });
    }
    let path = file.canonicalize().map_err(|e| at(file, &e))?;
    let text = read(&path).map_err(|e| at(&path, &e))?;
    let meta = fs::metadata(&path).map_err(|e| at(&path, &e))?;
    Ok(Found { path, text: Some(text), owned: Some((meta.mode() & 0o7777, meta.uid(), meta.gid())) })
}

/// Reads a regular file of UTF-8, no larger than may be; never waits for a pipe.
fn read(path: &Path) -> io::Result<String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    // Asked before it is opened: opening some things does something.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let flags = i32::try_from(nonblocking).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 8 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

fn digest(becomes: &Becomes) -> String {
    let digest = match becomes {
        Becomes::Text(text) => Digest::of("stepup/connect/v1\0", &[text.as_bytes()]),
        Becomes::Nothing => Digest::of("stepup/connect/nothing/v1\0", &[]),
    };
    digest.to_string().trim_start_matches("sha256:").chars().take(16).collect()
}

impl Found {
    fn is(&self) -> Becomes {
        self.text.clone().map_or(Becomes::Nothing, Becomes::Text)
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or("configuration")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// The backups of this file, by their names alone.
    fn backups(&self) -> io::Result<Vec<(PathBuf, String, bool)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.parent().unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let rest = name.strip_prefix(self.name()).and_then(|rest| rest.strip_prefix(".stepup-"));
            let Some((stamp, rest)) = rest.and_then(|rest| rest.split_once('-')) else { continue };
            let Some((digest, end)) = rest.split_once('.') else { continue };
            let hex = digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit());
            if stamp.len() == 16 && stamp.ends_with('Z') && hex && ["bak", "none"].contains(&end) {
                found.push((path.clone(), digest.to_owned(), end == "none"));
            }
        }
        Ok(found)
    }

    /// What was here before exactly this was written, if that is still all that was written.
    pub fn before(&self) -> Option<Becomes> {
        let now = digest(&self.is());
        let (path, _, none) = self.backups().ok()?.into_iter().find(|(_, digest, _)| *digest == now)?;
        Some(if none { Becomes::Nothing } else { Becomes::Text(read(&path).ok()?) })
    }

    /// Makes the file what it becomes, and keeps what it was before we first touched it. Answers the backup; `None`
    /// where the file is again what its backup held.
    ///
    /// # Errors
    /// What went wrong; the file is as it was.
    pub fn write(&self, becomes: &Becomes, ambient: &dyn Ambient) -> Result<Option<PathBuf>, Said> {
        let failed = |e: io::Error| {
            Said::failed(
                format!("{}: {e}", self.path.display()),
                "the file is as it was; nothing was changed",
            )
        };
        let before = self.before().unwrap_or_else(|| self.is());
        let kept = if before == *becomes {
            None
        } else {
            Some(self.keep(&before, becomes, ambient).map_err(failed)?)
        };
        let written = self.replace(becomes, ambient);
        if let (Err(_), Some(kept)) = (&written, &kept) {
            let _ = fs::remove_file(kept);
        }
        written.map_err(failed)?;
        // A backup too many is no harm, and no reason to say that nothing was done.
        for (old, ..) in self.backups().unwrap_or_default() {
            if kept.as_ref() != Some(&old) {
                let _ = fs::remove_file(old);
            }
        }
        Ok(kept)
    }

    fn keep(&self, before: &Becomes, becomes: &Becomes, ambient: &dyn Ambient) -> io::Result<PathBuf> {
        let (text, end) = match before {
            Becomes::Text(text) => (text.as_str(), "bak"),
            Becomes::Nothing => ("", "none"),
        };
        let name = format!("{}.stepup-{}-{}.{end}", self.name(), stamp(ambient), digest(becomes));
        let path = self.beside(&name);
        if fs::symlink_metadata(&path).is_ok() {
            // Of this very second, and over the same text.
            fs::remove_file(&path)?;
        }
        self.create(&path, text, 0o600)?;
        Ok(path)
    }

    /// A new file of the same owner.
    fn create(&self, path: &Path, text: &str, mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let filled = (|| {
            file.write_all(text.as_bytes())?;
            let meta = file.metadata()?;
            if let Some((_, uid, gid)) = self.owned
                && (meta.uid(), meta.gid()) != (uid, gid)
            {
                std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            }
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        })();
        if filled.is_err() {
            let _ = fs::remove_file(path);
        }
        filled
    }

    fn replace(&self, becomes: &Becomes, ambient: &dyn Ambient) -> io::Result<()> {
        match becomes {
            Becomes::Nothing => {
                self.unchanged()?;
                fs::remove_file(&self.path)?;
            }
            Becomes::Text(text) => {
                let mut random = [0; 8];
                ambient.fill(&mut random);
                let random: String = terms::hash::hex(&random).collect();
                let temporary = self.beside(&format!(".{}.stepup-{random}.tmp", self.name()));
                let mode = self.owned.map_or(0o600, |(mode, ..)| mode);
                self.create(&temporary, text, mode)?;
                let moved = self.unchanged().and_then(|()| match self.text {
                    Some(_) => fs::rename(&temporary, &self.path),
                    // Never over a file that somebody made in between.
                    None => fs::hard_link(&temporary, &self.path),
                });
                if moved.is_err() || self.text.is_none() {
                    let _ = fs::remove_file(&temporary);
                }
                moved?;
            }
        }
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Nobody wrote to it since it was read. No lock is ours to take: this is asked right before the rename.
    fn unchanged(&self) -> io::Result<()> {
        let now = match read(&self.path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let same = now == self.text;
        if same {
            Ok(())
        } else {
            Err(io::Error::other("somebody else changed it meanwhile; run the command again"))
        }
    }
}

/// Now, as in `20261124T143022Z`.
fn stamp(ambient: &dyn Ambient) -> String {
    let now = jiff::Timestamp::from_millisecond(ambient.now().millis()).unwrap_or_default();
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}
