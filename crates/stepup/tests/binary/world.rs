//! A folder with an installation in it, the command line, and a server on ports of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const STEPUP: &str = env!("CARGO_BIN_EXE_stepup");

/// How long anything here may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// It was done; answers its words.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.err, "", "nothing to complain of");
        self.out
    }

    /// It was not done, and its complaint says all of this.
    #[track_caller]
    pub fn failed(self, code: i32, with: &[&str]) -> String {
        assert_eq!(self.code, code, "{self:?}");
        for part in with {
            assert!(self.err.contains(part), "no {part:?} in {:?}", self.err);
        }
        self.err
    }
}

/// The binary, without what the environment of the test would tell it.
pub fn stepup(folder: &Path) -> Command {
    let mut command = Command::new(STEPUP);
    command.current_dir(folder).stdin(Stdio::null());
    command.env_remove("STEPUP_LOG").env_remove("STEPUP_CRASH_AT").env("TZ", "UTC");
    command
}

/// Runs one command in a folder.
pub fn run(folder: &Path, words: &[&str]) -> Said {
    stepup(folder).args(words).output().unwrap().into()
}

/// An installation of `init --team` whose addresses are its own, with the sample upstream behind it.
pub struct Home {
    root: TempDir,
    pub agents: u16,
    pub people: u16,
    pub operations: u16,
}

/// Ports that are free now.
fn free() -> [u16; 3] {
    // Below the ports that the system hands out by itself: nobody's outgoing connection takes one meanwhile.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let port = || 10_000 + (std::process::id() * 61 + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
    let free = || loop {
        let port = u16::try_from(port()).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break port;
        }
    };
    [free(), free(), free()]
}

impl Home {
    /// Writes it.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let [agents, people, operations] = free();
        fs::create_dir(root.path().join("ops")).unwrap();
        run(root.path(), &["init", "stepup", "--team"]).done();
        let home = Self { root, agents, people, operations };
        let mut text = home.read("stepup.toml");
        for (default, port) in [
            ("# listen = \"127.0.0.1:7300\"", format!("listen = \"127.0.0.1:{agents}\"")),
            ("# listen = \"localhost:7301\"", format!("listen = \"localhost:{people}\"")),
            ("# listen = \"127.0.0.1:7302\"", format!("listen = \"127.0.0.1:{operations}\"")),
        ] {
            assert!(text.contains(default), "init explains {default}");
            text = text.replace(default, &port);
        }
        text.push_str(&home.upstream());
        home.write("stepup.toml", &text);
        home
    }

    fn upstream(&self) -> String {
        let path = |name: &str| self.root.path().canonicalize().unwrap().join("ops").join(name);
        format!(
            r#"
[upstreams.ops]
command = [{STEPUP:?}, "sample-ops", "--database", {:?}, "--arrivals", {:?}]
environment = "production"
[upstreams.ops.tools.get_ticket]
reviewed = "read-only"
[upstreams.ops.tools.deploy]
reviewed = "acts"
title = "Deploy {{/service}} {{/version}} to {{/environment}}"
"#,
            path("ops.db"),
            path("arrivals.jsonl"),
        )
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("stepup")
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// What arrived at the sample upstream.
    pub fn arrivals(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.root.path().join("ops/arrivals.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn run(&self, words: &[&str]) -> Said {
        run(&self.path(), words)
    }

    /// Runs a command that must succeed; answers what it says to people.
    #[track_caller]
    pub fn does(&self, words: &[&str]) -> String {
        self.run(words).done()
    }

    /// Runs a command that must succeed; answers what it says to programs.
    #[track_caller]
    pub fn tells(&self, words: &[&str]) -> Value {
        let out = self.run(&[&["--json"], words].concat()).done();
        serde_json::from_str(&out).unwrap()
    }

    /// Adds somebody who owns a caller, and the caller; answers its key.
    pub fn caller(&self, name: &str) -> String {
        if !self.does(&["human", "list"]).contains("robin") {
            self.does(&["human", "invite", "robin"]);
        }
        let added = self.tells(&["caller", "add", name, "--owner", "robin", "--group", "ops-agents"]);
        added["key"].as_str().unwrap().to_owned()
    }

    /// The log verifies from its exported bytes and its key alone; answers how many records it has.
    #[track_caller]
    pub fn verifies(&self) -> u64 {
        let file = self.root.path().join("log.jsonl");
        let file = file.to_str().unwrap();
        let exported = self.tells(&["log", "export", file]);
        let verified = self.tells(&["log", "verify", file, "--key", exported["key"].as_str().unwrap()]);
        assert_eq!(verified["verified"], true);
        assert_eq!(verified["records"], exported["records"]);
        verified["records"].as_u64().unwrap()
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Server<'_> {
        self.serve_by(stepup(&self.path()).arg("serve"))
    }

    /// The same by a command that becomes the server.
    pub fn serve_by(&self, command: &mut Command) -> Server<'_> {
        let stderr = self.root.path().join("serve.jsonl");
        let file = fs::OpenOptions::new().create(true).append(true).open(&stderr).unwrap();
        let child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut server = Server { home: self, child, stderr };
        server.until("the server is ready", |server| {
            server.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        server
    }
}

/// A running server; killed when dropped.
pub struct Server<'a> {
    home: &'a Home,
    child: Child,
    stderr: PathBuf,
}

impl Server<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything on standard error so far, of every server of this home.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Standard error, line by line, each of which must be JSON.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect()
    }

    /// Whether a line of standard error has this message.
    pub fn said(&self, message: &str) -> bool {
        self.lines().iter().any(|line| line["message"].as_str().is_some_and(|m| m.contains(message)))
    }

    /// Waits until the upstream has said which tools it has.
    pub fn pinned(mut self) -> Self {
        self.until("the upstream is known", |server| {
            !server.home.tells(&["upstream", "list"])["tools"].as_array().unwrap().is_empty()
        });
        self
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) {
        let begun = now();
        while !so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended ({ended:?}) before {what}\n{}", self.text());
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the operations listener.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        let (status, _, body) = exchange(self.home.operations, &request)?;
        Some((status, body))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop; answers how it ended and how long that took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let begun = now();
        self.signal(rustix::process::Signal::TERM);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "", "standard output is not for the server");
        (status, begun.elapsed())
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods)] // only to give up waiting
fn now() -> Instant {
    Instant::now()
}

/// One HTTP exchange on a connection of its own: status, head, body. `None` when nobody listens.
pub fn exchange(port: u16, request: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Some((status, head.to_owned(), body))
}

/// RFC 9112 §7.1.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

/// Holds a text equal to a file; `UPDATE_GOLDEN=1` writes the file instead.
#[track_caller]
pub fn golden(path: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, found).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let line = kept.lines().zip(found.lines()).position(|(kept, found)| kept != found);
    let line = line.unwrap_or_else(|| kept.lines().count().min(found.lines().count()));
    let at = |text: &str| text.lines().nth(line).map(str::to_owned);
    assert_eq!(
        at(&kept),
        at(found),
        "{path}:{}: look at it, then run the test with UPDATE_GOLDEN=1",
        line + 1
    );
    assert!(kept == found, "{path} differs in its line ends");
}
