//! What runs between us and an upstream's program: the same binary, started again with the hidden verb
//! [`VERB`]. It gives up what the program must not have, and then becomes it (`exec`), all in safe Rust, which
//! code between `fork` and `exec` could not be.
//!
//! What it does, in order (T30, decisions A20):
//! 1. is killed when the process that started it dies, so that nothing outlives us;
//! 2. can gain no privileges (`no_new_privs`), which no descendant can undo;
//! 3. closes every file descriptor but the three standard ones;
//! 4. by Landlock, can neither read nor write stepup's own folders;
//! 5. has no capability left, which matters where stepup runs as root: with them, it could read what is in
//!    stepup's memory and environment, and undo what keeps it out.
//!
//! Landlock only knows what is allowed, and a rule on a folder covers all that is below. So "everything but the
//! private folders" is written as: walk from `/` towards each private folder, and allow whatever lies beside
//! the way. What is on the way itself (`/`, `/home`, …) is covered by no rule: the child can pass through,
//! but neither list it nor make new entries directly in it, and what others make there later is closed to it
//! too. Private folders therefore belong into a folder of their own, not beside the files that a child works on.
//!
//! What Landlock does not do: before Linux 6.2 (its version 3) it does not stop `truncate` by path; it never
//! stops `chmod`, `utimes` and `stat`; before version 9 it does not stop connecting to a Unix socket. A socket
//! of ours must turn away peers with `no_new_privs`: see [`confined`].

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};

use crate::config::Isolation;

/// The hidden verb of the binary.
pub const VERB: &str = "__child";

/// The exit code of a launcher that did not become the program; what a shell uses for the same.
const NOT_STARTED: u8 = 126;

/// Folders may hold this many entries beside the way to a private one; each becomes a rule.
const MOST_RULES: usize = 65_536;

/// The newest version of Landlock that this was written for. What an older kernel lacks is left out.
const NEWEST: ABI = ABI::V10;

/// What the launcher is told on its command line; nothing in it is secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) isolation: Isolation,
    pub(crate) private: Vec<PathBuf>,
    pub(crate) parent: u32,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Orders {
    /// The arguments for the launcher, verb first.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let fixed = [VERB.into(), self.isolation.name().into(), self.parent.to_string().into()];
        let private = self.private.iter().map(|path| path.clone().into_os_string());
        let end = [OsString::from("--"), self.program.clone().into_os_string()];
        let arguments = self.arguments.iter().map(OsString::from);
        fixed.into_iter().chain(private).chain(end).chain(arguments).collect()
    }

    /// What [`Orders::arguments`] wrote, without the verb.
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let isolation = arguments.next()?;
        let (isolation, _) = Isolation::TABLE.into_iter().find(|(_, name)| isolation == *name)?;
        let parent = arguments.next()?.to_str()?.parse().ok()?;
        let private = arguments.by_ref().take_while(|argument| argument != "--").map(PathBuf::from).collect();
        let program = PathBuf::from(arguments.next()?);
        let arguments = arguments.map(|argument| argument.into_string().ok()).collect::<Option<_>>()?;
        Some(Self { isolation, private, parent, program, arguments })
    }
}

/// Becomes the program that the arguments after [`VERB`] name. Must run before the binary starts threads or
/// opens anything: every other file descriptor is closed.
///
/// Returns only when that failed, having said why on the standard error.
#[must_use]
pub fn launch(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let why = match Orders::read(arguments) {
        Some(orders) => become_it(orders),
        None => "the launcher was called in a way that stepup does not call it".to_owned(),
    };
    // Nobody is left to tell when this fails too.
    let _ = writeln!(std::io::stderr(), "stepup: the upstream's program was not started: {why}");
    ExitCode::from(NOT_STARTED)
}

fn become_it(orders: Orders) -> String {
    match prepare(&orders) {
        Ok(()) => {
            let error = Command::new(&orders.program).args(&orders.arguments).exec();
            format!("{}: {error}", orders.program.display())
        }
        Err(why) => why,
    }
}

fn prepare(orders: &Orders) -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| format!("asking to end with stepup: {e}"))?;
    let parent = rustix::process::getppid().map(|pid| Pid::as_raw_nonzero(pid).get().unsigned_abs());
    if parent != Some(orders.parent) {
        return Err("stepup ended meanwhile".to_owned());
    }
    rustix::thread::set_no_new_privs(true).map_err(|e| format!("giving up new privileges: {e}"))?;
    close_others().map_err(|e| format!("closing file descriptors: {e}"))?;
    match orders.isolation {
        Isolation::None => {}
        Isolation::Landlock => confine(&orders.private)?,
    }
    // The last of all: listing what a child may use can take some.
    give_up_capabilities().map_err(|e| format!("giving up capabilities: {e}"))
}

/// Gives up every capability. As no privileges can be gained any more, not even root's program gets one back.
fn give_up_capabilities() -> rustix::io::Result<()> {
    let known = (0..u64::BITS).map(|n| CapabilitySet::from_bits_retain(1 << n));
    for capability in known {
        match remove_capability_from_bounding_set(capability) {
            // This one is of no kernel that runs here, or they are not ours to remove: then it ends below all the same.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    // What is in no permitted set is in no ambient one (capabilities(7)).
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Closes every file descriptor from 3 on. What somebody left open in stepup's parent is not for a child.
fn close_others() -> std::io::Result<()> {
    // All of the listing is dropped before anything is closed, its own descriptor among them.
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let entries = std::fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(number));
    let open: Vec<Option<i32>> = entries.collect::<Result<_, _>>()?;
    for fd in open.into_iter().flatten().filter(|fd| *fd > 2) {
        // That of the listing is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// Whether this kernel can isolate a child at all.
///
/// # Errors
/// Why it cannot.
pub(crate) fn landlock_supported() -> Result<(), String> {
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    created
        .map(|_| ())
        .map_err(|e| format!("this kernel has no Landlock (Linux 5.13 or newer, enabled): {e}"))
}

fn confine(private: &[PathBuf]) -> Result<(), String> {
    let open = openings(private).map_err(|e| format!("listing what a child may use: {e}"))?;
    let status = restrict(&open).map_err(|e| format!("Landlock: {e}"))?;
    match status {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("Landlock is not enforced by this kernel".to_owned()),
    }
}

fn restrict(open: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(open, all))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Every file and folder beside the ways from `/` to the private paths. Symbolic links are left out: what
/// they lead to is reached by its own way, or is private.
fn openings(private: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut open = Vec::new();
    let mut ways = vec![PathBuf::from("/")];
    while let Some(folder) = ways.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let is = |private: &PathBuf| *private == path;
            let leads = |private: &PathBuf| private.starts_with(&path);
            if private.iter().any(is) || entry.file_type()?.is_symlink() {
                continue;
            }
            if private.iter().any(leads) {
                ways.push(path);
            } else {
                open.push(path);
            }
            if open.len() > MOST_RULES {
                return Err(std::io::Error::other("too many entries beside a private folder"));
            }
        }
    }
    Ok(open)
}

/// Whether a process can gain no privileges, as is so for every descendant of an upstream's program, for
/// ever. True too where it cannot be found out.
#[must_use]
pub fn confined(process: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let flag = |status: String| {
        status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:")).map(|flag| flag.trim().to_owned())
    };
    status.ok().and_then(flag).is_none_or(|flag| flag != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_way_is_open_and_what_is_private_or_links_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["home/work", "home/keys", "home/data/deep"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::write(root.join("home/stepup.toml"), "").unwrap();
        std::os::unix::fs::symlink(root.join("home/keys"), root.join("home/link")).unwrap();
        let private = [root.join("home/keys"), root.join("home/data/deep"), root.join("home/stepup.toml")];
        let open = openings(&private).unwrap();
        assert!(open.contains(&root.join("home/work")));
        assert!(open.contains(&PathBuf::from("/usr")));
        for closed in ["home", "home/keys", "home/link", "home/data", "home/data/deep", "home/stepup.toml"] {
            assert!(!open.contains(&root.join(closed)), "{closed}");
        }
        assert!(!open.contains(&root) && !open.contains(&PathBuf::from("/")));
    }

    #[test]
    fn the_launcher_reads_what_it_was_told_and_nothing_else() {
        let orders = Orders {
            isolation: Isolation::Landlock,
            private: vec!["/a b".into(), "/c".into()],
            parent: 7,
            program: "/bin/sh".into(),
            arguments: vec!["--".into(), "-c".into(), "$(x); y".into()],
        };
        let arguments = orders.arguments();
        assert_eq!(arguments.first().unwrap(), VERB);
        assert_eq!(Orders::read(arguments.into_iter().skip(1)).unwrap(), orders);
        assert_eq!(Orders::read(["landlock".into()].into_iter()), None);
        assert_eq!(Orders::read(["maybe".into(), "7".into(), "--".into(), "x".into()].into_iter()), None);
    }
}
