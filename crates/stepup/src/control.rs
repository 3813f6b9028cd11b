//! The control socket: the command line speaks to a running server through it (decisions A33). One request a
//! connection, one line of JSON each way. Whoever may write to the socket is told apart by the kernel.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::cli::{Desk, Errand, Said, Spoken};

/// The socket's name, in the folder of the configuration.
pub const NAME: &str = "stepup.sock";

/// The longest request and the longest answer.
const MOST: u64 = 16 << 20;

/// Commands that run at once.
const AT_ONCE: usize = 32;

/// How long a request may take to arrive.
const ARRIVES_IN: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
enum Reply {
    Done(Said),
    Failed(Said),
}

/// Where the socket of a configuration is.
#[must_use]
pub fn path(home: &Path) -> PathBuf {
    home.join(NAME)
}

/// The socket, as long as a server has it; with that server its file goes too.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens. A socket that a dead server left is replaced; the store's lock makes sure that it is dead.
///
/// # Errors
/// What binding fails with.
pub fn bind(path: PathBuf) -> std::io::Result<Socket> {
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let socket = Socket { listener: UnixListener::bind(&path)?, path };
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// Answers commands for as long as the server runs.
pub async fn serve(socket: Socket, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &desk).await {
                        tracing::warn!(%error, "a command was not answered");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket takes nothing");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    let peer = stream.peer_cred()?;
    let uid = peer.uid();
    let own = rustix::process::geteuid().as_raw();
    // An upstream's child runs under our account, and Landlock does not keep it from sockets: it is told by
    // what it can never shed. A peer that cannot be told is refused.
    let child = peer.pid().and_then(|pid| u32::try_from(pid).ok()).is_none_or(upstream::launcher::confined);
    let (read, _) = stream.split();
    let mut line = String::new();
    let mut limited = BufReader::new(read).take(MOST);
    tokio::time::timeout(ARRIVES_IN, limited.read_line(&mut line)).await??;
    let reply = match serde_json::from_str::<Errand>(&line) {
        _ if uid != own && uid != 0 => {
            refused("this socket is for the account that runs the server", "run the command as that account")
        }
        _ if child => refused(
            "this command runs with no_new_privs, as an upstream's program does, and could be one",
            "run it from an ordinary shell",
        ),
        Ok(errand) if errand.verb.only_at_rest() => refused(
            "this is done while no server runs",
            "stop the server, run it again, and start the server",
        ),
        Ok(errand) => errand.run(desk, uid).await.map_or_else(Reply::Failed, Reply::Done),
        Err(_) => refused(
            "the server does not know this command",
            "it is of another version than the command line: restart it",
        ),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    stream.write_all(&text).await
}

fn refused(happened: &str, todo: &str) -> Reply {
    Reply::Failed(Said::failed(happened, todo))
}

/// Has a running server do it; `None` when none is running.
///
/// # Errors
/// What went wrong, as the command line says it.
pub async fn ask(path: &Path, errand: &Errand) -> Option<Spoken> {
    let mut stream = UnixStream::connect(path).await.ok()?;
    let failed =
        |what: &str| Said::failed(format!("the server {what}"), "see its log; nothing may have been done");
    let asking = async {
        let mut text = serde_json::to_vec(errand).map_err(|_| failed("was not asked"))?;
        text.push(b'\n');
        stream.write_all(&text).await.map_err(|_| failed("went away"))?;
        let mut line = String::new();
        let mut limited = BufReader::new(&mut stream).take(MOST);
        limited.read_line(&mut line).await.map_err(|_| failed("went away"))?;
        match serde_json::from_str(&line) {
            Ok(Reply::Done(said)) => Ok(said),
            Ok(Reply::Failed(said)) => Err(said),
            Err(_) => Err(failed("gave no answer")),
        }
    };
    Some(asking.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_replaces_what_a_dead_server_left_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = path(home.path());
        drop(UnixListener::bind(&path).unwrap());
        let socket = bind(path.clone()).unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(socket);
        assert!(!path.exists());
    }
}
