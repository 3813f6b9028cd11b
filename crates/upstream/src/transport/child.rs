//! Starting, watching and ending one child process (T30).

use std::process::Stdio as Standard;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use terms::{Ambient, Millis};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;

use crate::config::Stdio;
use crate::identity::program;
use crate::launcher::Orders;
use crate::transport::said::Said;
use crate::upstreams::Surroundings;

/// Bytes of the longest line of standard error that is logged.
pub(crate) const LONGEST_LINE: u64 = 2048;

/// Lines of standard error logged a second.
const LINES_A_SECOND: u32 = 20;

/// Starts the launcher that becomes the child.
pub(crate) async fn start(stdio: &Stdio, surroundings: &Surroundings) -> Result<Child, String> {
    let orders = Orders {
        isolation: stdio.isolation,
        private: surroundings.private.clone(),
        parent: std::process::id(),
        program: program(stdio).map_err(|e| e.to_string())?,
        arguments: stdio.command.iter().skip(1).cloned().collect(),
    };
    let mut command = Command::new(&surroundings.launcher);
    command.args(orders.arguments()).env_clear();
    for (name, value) in stdio.environment() {
        command.env(name, value.expose());
    }
    command.stdin(Standard::piped()).stdout(Standard::piped()).stderr(Standard::piped());
    command.process_group(0).kill_on_drop(true);
    if let Some(cwd) = &stdio.cwd {
        command.current_dir(cwd);
    }
    if let Some(user) = &stdio.user {
        let (uid, gid) = account(user)?;
        command.uid(uid).gid(gid);
    }
    spawn(command).await.map_err(|e| e.to_string())
}

/// `uid:gid`, or a name of `/etc/passwd`.
pub(crate) fn account(user: &str) -> Result<(u32, u32), String> {
    let numbers = |uid: &str, gid: &str| Some((uid.parse().ok()?, gid.parse().ok()?));
    if let Some((uid, gid)) = user.split_once(':') {
        return numbers(uid, gid).ok_or_else(|| format!("user {user:?} is neither a name nor uid:gid"));
    }
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        numbers(uid, gid).filter(|_| name == user)
    };
    passwd.lines().find_map(entry).ok_or_else(|| format!("there is no user {user:?}"))
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    done: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts children from a thread that never ends: the kernel takes "when the parent dies" to mean the thread
/// that started the child, and threads of a runtime come and go.
async fn spawn(command: Command) -> std::io::Result<Child> {
    static STARTER: OnceLock<Sender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            while let Ok(Job { mut command, runtime, done }) = queue.recv() {
                let _entered = runtime.enter();
                // Whoever asked may be gone; then the child is dropped, and so killed.
                let _ = done.send(command.spawn());
            }
        });
        jobs
    });
    let (done, started) = oneshot::channel();
    let job = Job { command, runtime: tokio::runtime::Handle::current(), done };
    let gone = || std::io::Error::other("the thread that starts children is gone");
    starter.send(job).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

/// Waits for the child to end by itself, asks it to, and then makes it. Afterwards whatever is left of its
/// process group is killed.
pub(crate) async fn end(child: &mut Child, group: Option<u32>, patience: Duration) {
    let group = group.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    for signal in [None, Some(Signal::TERM)] {
        if let (Some(group), Some(signal)) = (group, signal) {
            let _ = kill_process_group(group, signal);
        }
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            break;
        }
    }
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait().await;
}

/// Writes what the child says on its standard error into our log: escaped, without its secrets, a bounded
/// part of it.
pub(crate) async fn log_errors(
    upstream: String,
    stderr: ChildStderr,
    said: Arc<Said>,
    ambient: Arc<dyn Ambient>,
) {
    let mut reader = BufReader::new(stderr);
    let (mut window, mut left, mut unlogged) = (ambient.boottime(), LINES_A_SECOND, 0_u64);
    while let Ok(Some(line)) = read_line(&mut reader).await {
        let now = ambient.boottime();
        if now.since(window) >= Millis::seconds(1) {
            if unlogged > 0 {
                tracing::info!(upstream, unlogged, "lines of the upstream's standard error were not logged");
            }
            (window, left, unlogged) = (now, LINES_A_SECOND, 0);
        }
        match line {
            Line::Whole(text) if left > 0 => {
                left -= 1;
                let line = said.line(&text);
                tracing::info!(upstream, line, "the upstream's standard error");
            }
            Line::Whole(_) | Line::TooLong => unlogged += 1,
        }
    }
}

/// One line of standard error. One that is too long is not shown at all: a cut could leave part of a secret.
enum Line {
    Whole(String),
    TooLong,
}

async fn read_line(reader: &mut BufReader<ChildStderr>) -> std::io::Result<Option<Line>> {
    let (mut line, mut long) = (Vec::new(), false);
    loop {
        let read = (&mut *reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        if read == 0 && line.is_empty() && !long {
            return Ok(None);
        }
        if read == 0 || line.ends_with(b"\n") {
            let text = String::from_utf8_lossy(&line).into_owned();
            return Ok(Some(if long { Line::TooLong } else { Line::Whole(text) }));
        }
        if line.len() as u64 >= LONGEST_LINE {
            long = true;
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_name_or_two_numbers() {
        assert_eq!(account("0:0"), Ok((0, 0)));
        assert_eq!(account("root"), Ok((0, 0)));
        assert!(account("no such user").is_err());
        assert!(account("1:x").is_err());
    }
}
