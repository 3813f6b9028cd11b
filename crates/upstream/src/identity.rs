//! What an upstream is: its configuration and the files that it runs. Every access to it names this, so a
//! swapped binary or URL is another upstream, for which no grant was given (T19).

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use terms::{Digest, Json, UpstreamHash};

use crate::code::Code;
use crate::config::{Config, DEFAULT_PATH, Http, Stdio, Transport};

/// A file that the identity rests on cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {because}")]
pub struct NotThere {
    /// The file.
    pub path: String,
    /// Why.
    pub because: String,
}

impl NotThere {
    fn new(path: &Path, because: impl std::fmt::Display) -> Self {
        Self { path: path.display().to_string(), because: because.to_string() }
    }
}

/// The identity as of now. Reads every file in full; [`crate::Upstreams::identity`] remembers them.
///
/// # Errors
/// [`NotThere`] when the program, a file that it interprets or a pinned file cannot be read.
pub fn identity(config: &Config) -> Result<UpstreamHash, NotThere> {
    Identities::default().of(config)
}

/// Identities, with the digest of every file that has not changed since.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    digests: Mutex<HashMap<PathBuf, (Stamp, Digest)>>,
}

/// Whether a file may be read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Allowed,
    NotNow,
}

/// What changes when a file's content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identities {
    /// The identity as of now. Blocks while it reads what has changed.
    pub(crate) fn of(&self, config: &Config) -> Result<UpstreamHash, NotThere> {
        self.look(config, Reading::Allowed)
    }

    /// The identity as of now, if no file has to be read for it.
    pub(crate) fn known(&self, config: &Config) -> Option<UpstreamHash> {
        self.look(config, Reading::NotNow).ok()
    }

    fn look(&self, config: &Config, reading: Reading) -> Result<UpstreamHash, NotThere> {
        let transport = match &config.transport {
            Transport::Stdio(stdio) => self.stdio(stdio, reading)?,
            Transport::Http(http) => of_http(http),
        };
        Ok(UpstreamHash::of(&Json::object([
            ("name", Json::from(config.name.as_str())),
            ("share", Json::from(config.share.name())),
            ("transport", transport),
        ])))
    }

    fn stdio(&self, stdio: &Stdio, reading: Reading) -> Result<Json, NotThere> {
        let pinned = stdio.pin_files.iter().map(|path| in_folder(stdio, path));
        let run = Code::of(stdio).files();
        let paths = std::iter::once(program(stdio)).chain(run.into_iter().chain(pinned).map(Ok));
        let files = paths.map(|path| self.file(&path?, reading));
        let env = stdio.inherit.iter().chain(stdio.set.keys()).map(|name| Json::from(name.as_str()));
        let cwd = stdio.cwd.as_ref().map(|path| path.display().to_string());
        Ok(Json::object([
            ("command", Json::from(stdio.command.clone())),
            ("env", Json::from(env.collect::<Vec<_>>())),
            ("isolation", Json::from(stdio.isolation.name())),
            ("user", Json::from(stdio.user.clone())),
            ("cwd", Json::from(cwd)),
            ("files", Json::from(files.collect::<Result<Vec<_>, _>>()?)),
        ]))
    }

    fn file(&self, path: &Path, reading: Reading) -> Result<Json, NotThere> {
        let digest = self.digest(path, reading).map_err(|error| NotThere::new(path, error))?;
        Ok(Json::object([
            ("path", Json::from(path.display().to_string())),
            ("digest", Json::from(digest.to_string())),
        ]))
    }

    fn digest(&self, path: &Path, reading: Reading) -> std::io::Result<Digest> {
        let mut file = std::fs::File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let known = self.digests().get(path).filter(|(then, _)| *then == stamp).map(|(_, digest)| *digest);
        if let Some(digest) = known {
            return Ok(digest);
        }
        if reading == Reading::NotNow {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let digest = read_digest(&mut file)?;
        self.digests().insert(path.to_owned(), (stamp, digest));
        Ok(digest)
    }

    fn digests(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Digest)>> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// URL and the name of our credential's header; the certificate is checked by TLS against the URL's host.
pub(crate) fn of_http(http: &Http) -> Json {
    Json::object([
        ("url", Json::from(http.url.as_str())),
        ("credential", Json::from(http.credential.as_ref().map(|c| c.header.clone()))),
    ])
}

fn read_digest(file: &mut std::fs::File) -> std::io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { break };
        context.update(read);
    }
    Digest::from_slice(context.finish().as_ref()).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The file that the command names: as a path, or the first executable of that name in the child's `PATH`.
pub(crate) fn program(stdio: &Stdio) -> Result<PathBuf, NotThere> {
    let Some(name) = stdio.command.first().filter(|name| !name.is_empty()) else {
        return Err(NotThere { path: String::new(), because: "the command is empty".to_owned() });
    };
    if name.contains('/') {
        return Ok(in_folder(stdio, Path::new(name)));
    }
    let environment = stdio.environment();
    let search = environment.get("PATH").map_or(DEFAULT_PATH, |path| path.expose());
    // An empty entry would mean the current folder; nobody configures a program that way on purpose.
    let candidates =
        search.split(':').filter(|folder| folder.starts_with('/')).map(|f| Path::new(f).join(name));
    let found = candidates.into_iter().find(|path| executable(path));
    found.ok_or_else(|| NotThere::new(Path::new(name), "no such program in the child's PATH"))
}

fn executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

pub(crate) fn in_folder(stdio: &Stdio, path: &Path) -> PathBuf {
    stdio.cwd.as_ref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Eras, Share, Timeouts};
    use std::time::Duration;

    fn config(stdio: Stdio) -> Config {
        Config {
            name: "ops".into(),
            transport: Transport::Stdio(stdio),
            era: Eras::Auto,
            share: Share::Session,
            asks: terms::Abilities::default(),
            meta: std::collections::BTreeSet::new(),
            timeouts: Timeouts::default(),
        }
    }

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn invariant_6_another_binary_under_the_same_name_is_another_upstream() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), "server", "#!/bin/sh\nexit 0\n");
        let ops = config(Stdio { command: vec![path.display().to_string()], ..Stdio::default() });
        let identities = Identities::default();
        let first = identities.of(&ops).unwrap();
        assert_eq!(identities.of(&ops).unwrap(), first);
        std::thread::sleep(Duration::from_millis(20));
        script(folder.path(), "server", "#!/bin/sh\nexit 1\n");
        let second = identities.of(&ops).unwrap();
        assert_ne!(first, second, "same size, same name, other content");
        assert_eq!(identity(&ops).unwrap(), second, "what is remembered is what is there");
    }

    #[test]
    fn invariant_6_a_pinned_file_and_every_word_of_the_command_are_part_of_the_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), "server", "#!/bin/sh\n");
        std::fs::write(folder.path().join("index.js"), "a").unwrap();
        let stdio = Stdio {
            command: vec![path.display().to_string(), "--safe".into()],
            pin_files: vec!["index.js".into()],
            cwd: Some(folder.path().to_owned()),
            ..Stdio::default()
        };
        let first = identity(&config(stdio.clone())).unwrap();
        let mut unsafe_one = stdio.clone();
        unsafe_one.command[1] = "--unsafe".into();
        assert_ne!(identity(&config(unsafe_one)).unwrap(), first);
        std::fs::write(folder.path().join("index.js"), "b").unwrap();
        assert_ne!(identity(&config(stdio.clone())).unwrap(), first);
        std::fs::remove_file(folder.path().join("index.js")).unwrap();
        assert!(identity(&config(stdio)).unwrap_err().path.ends_with("index.js"));
    }

    #[test]
    fn t19_another_script_for_the_same_interpreter_is_another_upstream_and_other_data_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let of = |command: [&str; 3]| {
            let command = command.map(str::to_owned).to_vec();
            let cwd = Some(folder.path().to_owned());
            identity(&config(Stdio { command, cwd, ..Stdio::default() })).unwrap()
        };
        let (script, own) = (["sh", "server", "data"], ["cat", "server", "data"]);
        write("server", "reviewed");
        write("data", "1");
        let first = (of(script), of(own));
        write("data", "2");
        assert_eq!((of(script), of(own)), first, "what a program works on is not what it is");
        write("server", "replaced");
        assert_ne!(of(script), first.0);
        assert_eq!(of(own), first.1);
    }

    #[test]
    fn invariant_8_the_identity_does_not_depend_on_a_secrets_value() {
        let with = |value: &str| {
            let set = [("TOKEN".to_owned(), terms::Secret::new(value.to_owned()))].into();
            identity(&config(Stdio { command: vec!["sh".into()], set, ..Stdio::default() })).unwrap()
        };
        assert_eq!(with("a"), with("b"));
    }
}
