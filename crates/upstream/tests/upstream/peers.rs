//! Real MCP servers, as published on npm and pinned in `tests/peers`; of the modern era, in `tests/peers-modern`.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Standard};

use elevation::Outcome;
use terms::{Json, Millis};
use upstream::{Along, Answer, Config, Eras, Isolation, Stdio, forward};

use crate::world::{SOON, World, becomes, http, in_era, none, session, stdio, text, value};

/// The folder with the servers; `None` where they are not installed and need not be.
fn peers() -> Option<PathBuf> {
    installed("peers", "STEPUP_PEERS")
}

/// The folder with the SDK whose servers speak both eras.
fn modern_peers() -> Option<PathBuf> {
    installed("peers-modern", "STEPUP_PEERS_MODERN")
}

fn installed(folder: &str, variable: &str) -> Option<PathBuf> {
    let ours = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests")).join(folder);
    let peers = std::env::var_os(variable).map_or(ours, PathBuf::from);
    if peers.join("node_modules").is_dir() {
        return Some(peers.canonicalize().unwrap());
    }
    assert_ne!(std::env::var("STEPUP_REQUIRE_PEERS").as_deref(), Ok("1"), "run `npm ci` in tests/{folder}");
    println!("the peers are not installed: nothing is tested (`npm ci` in tests/{folder})");
    None
}

fn server(peers: &std::path::Path, name: &str, words: &[&str]) -> Stdio {
    let script = peers.join("node_modules/@modelcontextprotocol").join(name).join("dist/index.js");
    let mut command = vec!["node".to_owned(), script.display().to_string()];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    Stdio { command, pin_files: vec![script], isolation: Isolation::Landlock, ..Stdio::default() }
}

fn with_path(mut child: Stdio) -> Stdio {
    child.inherit = BTreeSet::from(["PATH".to_owned()]);
    child
}

/// What `server-everything` answers, the same over every transport.
async fn everything(world: &World) {
    let names = world.pin_all("ops").await;
    assert!(
        names.iter().any(|name| name == "echo") && names.iter().any(|name| name == "get-sum"),
        "{names:?}"
    );
    let told = world.call("echo", Json::object([("message", Json::from("hé\u{2028}llo"))])).await;
    assert_eq!(text(&told), "Echo: hé\u{2028}llo");
    let two = terms::json::parse(br#"{"a":2,"b":3.5}"#).unwrap();
    assert!(world.text("get-sum", two).await.contains("5.5"));
    let image = value(&world.call("get-tiny-image", none()).await);
    assert!(image["content"].as_array().unwrap().iter().any(|content| content["type"] == "image"), "{image}");
    let weather =
        world.call("get-structured-content", Json::object([("location", Json::from("New York"))])).await;
    assert!(value(&weather)["structuredContent"].is_object());
    let wrong = world.call("get-sum", Json::object([("a", Json::from("two"))])).await;
    assert_eq!(wrong.outcome, Outcome::Failed, "{wrong:?}");
    progress(world).await;
}

async fn progress(world: &World) {
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let arguments = terms::json::parse(br#"{"duration":1,"steps":4}"#).unwrap();
    let permit = world.permit("ops", "trigger-long-running-operation", arguments).await;
    let (sink, mut told) = tokio::sync::broadcast::channel(16);
    let forwarded = forward(permit, &link, Along { progress: Some(sink), ..Along::default() }, SOON).await;
    assert_eq!(forwarded.outcome, Outcome::Done, "{forwarded:?}");
    let mut steps = Vec::new();
    while let Ok(step) = told.recv().await {
        steps.push(step.progress);
    }
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn everything_over_stdio_and_isolated() {
    let Some(peers) = peers() else { return };
    let config = stdio(with_path(server(&peers, "server-everything", &[])));
    let world = World::new(vec![in_era(Eras::Auto, config)]).await;
    everything(&world).await;
    let environment = world.json("get-env", none()).await;
    assert_eq!(environment.as_object().unwrap().keys().collect::<Vec<_>>(), ["PATH"]);
    world.upstreams.ping("ops").await.unwrap();
    world.upstreams.close_all().await;
}

/// A server that is stopped with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn everything_over_streamable_http() {
    let Some(peers) = peers() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = server(&peers, "server-everything", &[]).command[1].clone();
    let mut command = Command::new("node");
    command.arg(script).arg("streamableHttp").env("PORT", port.to_string());
    command.stdin(Standard::null()).stdout(Standard::null()).stderr(Standard::null());
    let _running = Running(command.spawn().unwrap());
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let config = in_era(Eras::Auto, http(&format!("http://127.0.0.1:{port}/mcp")));
    let world = World::new(vec![config]).await;
    everything(&world).await;
    world.upstreams.ping("ops").await.unwrap();
    world.upstreams.close_all().await;
}

#[tokio::test]
async fn files_are_served_and_a_refusal_is_a_failure() {
    let Some(peers) = peers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::write(root.join("a.txt"), "hello").unwrap();
    let words = [root.to_str().unwrap()];
    let world = World::new(vec![stdio(with_path(server(&peers, "server-filesystem", &words)))]).await;
    world.pin_all("ops").await;
    let path = |path: PathBuf| Json::object([("path", Json::from(path.display().to_string()))]);
    assert_eq!(world.text("read_text_file", path(root.join("a.txt"))).await, "hello");
    let outside = world.call("read_text_file", path("/etc/passwd".into())).await;
    assert_eq!(outside.outcome, Outcome::Failed);
    let mut write = path(root.join("b.txt")).as_object().unwrap().clone();
    write.insert("content", "written");
    assert_eq!(world.call("write_file", Json::Object(write)).await.outcome, Outcome::Done);
    assert_eq!(std::fs::read_to_string(root.join("b.txt")).unwrap(), "written");
}

#[tokio::test]
async fn two_sessions_of_a_real_server_are_two() {
    let Some(peers) = peers() else { return };
    let world = World::new(vec![stdio(with_path(server(&peers, "server-everything", &[])))]).await;
    world.pin_all("ops").await;
    for n in [1, 2] {
        let message = Json::object([("message", Json::from(u32::from(n)))]);
        let wrong = world.call_in(n, "echo", message, Millis::seconds(20)).await;
        assert_eq!(wrong.outcome, Outcome::Failed, "a number is no message");
    }
    let [a, b] = [1, 2].map(session);
    let (a, b) =
        (world.upstreams.link("ops", a).await.unwrap(), world.upstreams.link("ops", b).await.unwrap());
    assert!(!std::sync::Arc::ptr_eq(&a, &b));
}

/// How the fixture of both eras is started.
fn fixture(peers: &Path, transport: &str, legacy: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstream/modern.mjs");
    ["node", script, &peers.display().to_string(), transport, legacy].map(str::to_owned).to_vec()
}

fn over_stdio(peers: &Path, legacy: &str) -> Config {
    let command = fixture(peers, "stdio", legacy);
    stdio(with_path(Stdio { command, isolation: Isolation::Landlock, ..Stdio::default() }))
}

fn over_http(peers: &Path, legacy: &str) -> (Running, Config) {
    running(&fixture(peers, "http", legacy))
}

/// A server that says its port.
fn running(command: &[String]) -> (Running, Config) {
    let [program, words @ ..] = command else { panic!() };
    let mut command = Command::new(program);
    command.args(words).stdin(Standard::null()).stdout(Standard::piped());
    let mut child = command.spawn().unwrap();
    let mut port = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    (Running(child), http(&format!("http://127.0.0.1:{}/mcp", port.trim())))
}

/// What the fixture answers in the modern era, the same over either transport.
async fn modern(world: &World) {
    let mut changes = world.upstreams.changes("ops").unwrap();
    let names = world.pin_all("ops").await;
    assert_eq!(names, ["echo", "era", "told", "steps", "asks", "fails", "grows"]);
    let say = |name: &str, what: &str| Json::object([(name, Json::from(what))]);
    assert_eq!(world.text("era", none()).await, "modern");
    assert_eq!(world.text("echo", say("message", "h\u{e9}\u{2028}llo")).await, "Echo: h\u{e9}\u{2028}llo");
    for region in ["us-west1", "", " padded ", "\u{4e16}\u{754c}\r\nMcp-Name: other", "=?base64?eA==?="] {
        assert_eq!(world.text("told", say("region", region)).await, format!("Told: {region}"));
    }
    assert_eq!(world.call("fails", none()).await.outcome, Outcome::Failed);
    let asks = world.call("asks", none()).await;
    let Ok(Answer::InputRequired { requests: None, state: Some(_), .. }) = &asks.answer else {
        panic!("{asks:?}")
    };

    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "steps", terms::json::parse(br#"{"of":3}"#).unwrap()).await;
    let (sink, mut told) = tokio::sync::broadcast::channel(16);
    let forwarded =
        forward(permit, &link, Along { progress: Some(sink), ..world.along("steps") }, SOON).await;
    assert_eq!(forwarded.outcome, Outcome::Done, "{forwarded:?}");
    let mut steps = Vec::new();
    while let Ok(step) = told.recv().await {
        steps.push(step.progress);
    }
    assert_eq!(steps, [1.0, 2.0, 3.0]);

    // The subscription may be under way still; whoever grows again is heard.
    for name in ["one-more", "two-more"] {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        changes.mark_unchanged();
        assert_eq!(world.text("grows", say("name", name)).await, "grown");
    }
    becomes("the change is heard", || changes.has_changed().unwrap()).await;
    assert_eq!(world.upstreams.list_tools("ops").await.unwrap().len(), 9);
    world.upstreams.ping("ops").await.unwrap();
    assert_eq!(world.upstreams.dropped("ops"), Some(0));
    world.upstreams.close_all().await;
}

#[tokio::test]
async fn a_real_server_that_speaks_both_eras_is_spoken_with_in_the_modern_one() {
    let Some(peers) = modern_peers() else { return };
    for legacy in ["serve", "reject"] {
        modern(&World::new(vec![in_era(Eras::Auto, over_stdio(&peers, legacy))]).await).await;
        let (_running, config) = over_http(&peers, legacy);
        modern(&World::new(vec![in_era(Eras::Auto, config)]).await).await;
    }
}

#[tokio::test]
async fn a_real_server_that_speaks_both_eras_is_spoken_with_in_the_one_that_is_configured() {
    let Some(peers) = modern_peers() else { return };
    let (_running, over_http) = over_http(&peers, "serve");
    for config in [over_stdio(&peers, "serve"), over_http] {
        for (era, name) in [(Eras::Legacy, "legacy"), (Eras::Modern, "modern")] {
            let world = World::new(vec![in_era(era, config.clone())]).await;
            world.pin_all("ops").await;
            assert_eq!(world.text("era", none()).await, name);
            world.upstreams.close_all().await;
        }
    }
}

#[tokio::test]
async fn a_real_server_of_the_modern_era_only_is_not_served_in_the_other() {
    let Some(peers) = modern_peers() else { return };
    let (_running, over_http) = over_http(&peers, "reject");
    for config in [over_stdio(&peers, "reject"), over_http] {
        let world = World::new(vec![in_era(Eras::Legacy, config)]).await;
        assert!(world.upstreams.link("ops", session(1)).await.is_err());
    }
}

#[tokio::test]
async fn a_real_server_of_another_language_is_spoken_with_in_the_modern_era() {
    let python = modern_peers().map(|peers| peers.join(".venv/bin/python"));
    let python = std::env::var_os("STEPUP_PYTHON_MODERN").map(PathBuf::from).or(python);
    let Some(python) = python.filter(|python| python.exists()) else {
        println!("Python's `mcp` 2.x is not installed: nothing is tested");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstream/modern.py");
    let command = |transport: &str| [python.to_str().unwrap(), script, transport].map(str::to_owned).to_vec();
    let (_running, over_http) = running(&command("http"));
    let over_stdio = stdio(with_path(Stdio { command: command("stdio"), ..Stdio::default() }));
    for config in [over_stdio, over_http] {
        let world = World::new(vec![in_era(Eras::Auto, config)]).await;
        assert_eq!(world.pin_all("ops").await, ["echo", "fails"]);
        let message = Json::object([("message", Json::from("h\u{e9}\r\nllo"))]);
        assert_eq!(world.text("echo", message).await, "Echo: h\u{e9}\r\nllo");
        assert_eq!(world.call("fails", none()).await.outcome, Outcome::Failed);
        let link = world.upstreams.link("ops", session(1)).await.unwrap();
        assert_eq!(link.revision().name(), "2026-07-28");
        world.upstreams.close_all().await;
    }
}
