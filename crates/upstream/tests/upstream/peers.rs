//! Real MCP servers, as published on npm and pinned in `tests/peers`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio as Standard};

use elevation::Outcome;
use terms::{Json, Millis};
use upstream::{Along, Isolation, Stdio, forward};

use crate::world::{SOON, World, http, none, session, stdio, text, value};

/// The folder with the servers; `None` where they are not installed and need not be.
fn peers() -> Option<PathBuf> {
    let ours = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers"));
    let peers = std::env::var_os("STEPUP_PEERS").map_or(ours, PathBuf::from);
    if peers.join("node_modules").is_dir() {
        return Some(peers);
    }
    assert_ne!(std::env::var("STEPUP_REQUIRE_PEERS").as_deref(), Ok("1"), "run `npm ci` in tests/peers");
    println!("the peers are not installed: nothing is tested (`npm ci` in tests/peers)");
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
    let (sink, mut told) = tokio::sync::mpsc::channel(16);
    let forwarded = forward(permit, &link, Along { progress: Some(sink), ..Along::default() }, SOON).await;
    assert_eq!(forwarded.outcome, Outcome::Done, "{forwarded:?}");
    let mut steps = Vec::new();
    while let Some(step) = told.recv().await {
        steps.push(step.progress);
    }
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn everything_over_stdio_and_isolated() {
    let Some(peers) = peers() else { return };
    let world = World::new(vec![stdio(with_path(server(&peers, "server-everything", &[])))]).await;
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
    let world = World::new(vec![http(&format!("http://127.0.0.1:{port}/mcp"))]).await;
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
