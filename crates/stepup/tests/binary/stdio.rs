//! `stepup stdio`: the same gateway for a client that only starts programs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::world::{Home, PATIENCE, run, stepup};

/// A bridge that runs, and what it says.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<Value>,
}

impl Bridge {
    /// Starts it in a folder that has no stepup.toml.
    fn start(port: u16, key: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let mut command = stepup(std::path::Path::new("/"));
        command.args(["stdio", "--upstream", "ops", "--url", &url]).env("STEPUP_KEY", key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (line, said) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for one in out.lines() {
                let one = one.unwrap();
                let one = serde_json::from_str(&one).unwrap_or_else(|_| panic!("no JSON-RPC: {one:?}"));
                let _ = line.send(one);
            }
        });
        let input = child.stdin.take();
        Self { child, input, said }
    }

    fn greeted(port: u16, key: &str) -> Self {
        let mut bridge = Self::start(port, key);
        let answer = bridge.ask(&hello(0));
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        bridge.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
        bridge
    }

    fn write(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        input.flush().unwrap();
    }

    #[track_caller]
    fn next(&self) -> Value {
        self.said.recv_timeout(PATIENCE).expect("it says something in time")
    }

    /// The next answer, whatever is said beside it.
    #[track_caller]
    fn answer(&self) -> Value {
        loop {
            let said = self.next();
            if said.get("method").is_none() {
                return said;
            }
        }
    }

    #[track_caller]
    fn ask(&mut self, message: &Value) -> Value {
        self.write(&message.to_string());
        let answer = self.answer();
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    }

    /// What it said to people, and how it ended.
    fn ended(mut self) -> (ExitStatus, String) {
        self.input = None;
        let status = self.child.wait().unwrap();
        let mut notes = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut notes).unwrap();
        (status, notes)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hello(id: u64) -> Value {
    let client = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params })
}

fn call(id: impl Into<Value>, tool: &str, arguments: &Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": params })
}

fn deploy() -> Value {
    json!({ "service": "checkout", "version": "2.4.1", "environment": "production" })
}

fn ticket(id: impl Into<Value>) -> Value {
    call(id, "get_ticket", &json!({ "id": "OPS-17" }))
}

/// A call that stays open until a person has decided.
fn held(id: u64) -> Value {
    let mut held = call(id, "deploy", &deploy());
    held["params"]["_meta"] = json!({ "progressToken": "p" });
    held
}

#[test]
fn the_same_call_gets_the_same_answer_as_directly() {
    let home = Home::new();
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let mut direct = Agent::connect(home.agents, &key);
    let mut bridge = Bridge::greeted(home.agents, &key);
    for (tool, arguments) in [
        ("get_ticket", json!({ "id": "OPS-17" })),
        ("get_ticket", json!({ "id": "never" })),
        ("deploy", deploy()),
        ("stepup_status", json!({ "elevation": "elv_0" })),
    ] {
        let told = bridge.ask(&call(7, tool, &arguments));
        let (_, expected) = direct.post(&call(7, tool, &arguments));
        let without_record = |mut answer: Value| {
            let text = answer.pointer_mut("/result/content/0/text").and_then(|text| {
                let short = text.as_str()?.split("\nRecord:").next()?.to_owned();
                *text = short.into();
                Some(())
            });
            let _ = text;
            for at in ["/result/_meta/dev.stepup~1refusal", "/result/structuredContent"] {
                if let Some(data) = answer.pointer_mut(at).and_then(Value::as_object_mut) {
                    data.remove("record");
                }
            }
            answer
        };
        assert_eq!(without_record(told), without_record(expected), "{tool} {arguments}");
    }
    let told = bridge.ask(&json!({ "jsonrpc": "2.0", "id": "x", "method": "no/such" }));
    assert_eq!((&told["id"], &told["error"]["code"]), (&json!("x"), &json!(-32601)), "{told}");
    let (status, notes) = bridge.ended();
    assert!(status.success() && notes.is_empty(), "{status} {notes}");
    assert_eq!(server.terminate().0.code(), Some(0));
}

#[test]
fn every_line_that_wants_an_answer_gets_one_under_its_id() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let mut bridge = Bridge::greeted(home.agents, &home.caller("bot"));
    let many = 200_u64;
    for id in 1..=many {
        bridge.write(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string());
    }
    let ids: std::collections::BTreeSet<u64> =
        (0..many).map(|_| bridge.answer()["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len() as u64, many);
    // What the gateway cannot answer under an id.
    for (line, slug) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}"#.to_owned(), "duplicate_key"),
        (
            format!(
                r#"{{"jsonrpc":"2.0","method":"ping","params":{{"x":"{}"}},"id":1}}"#,
                "x".repeat(2 << 20)
            ),
            "too_large",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":9007199254740993}"#.to_owned(), "number_inexact"),
    ] {
        bridge.write(&line);
        let answer = bridge.answer();
        assert_eq!((&answer["id"], &answer["error"]["data"]["slug"]), (&json!(1), &json!(slug)), "{answer}");
    }
    for (line, slug) in
        [("{", "not_json"), (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batch_refused")]
    {
        bridge.write(line);
        let answer = bridge.answer();
        assert_eq!(answer["error"]["data"]["slug"], slug, "{answer}");
    }
    assert!(bridge.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }))["result"].is_object());
}

#[test]
fn a_held_call_is_taken_back_at_once_however_many_are_under_way() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let key = home.caller("bot");
    home.does(&["human", "invite", "alice", "--group", "release-managers"]);
    let mut bridge = Bridge::greeted(home.agents, &key);
    bridge.write(&held(1).to_string());
    let progress = bridge.next();
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!(home.tells(&["requests", "list"])["requests"][0]["state"], "pending");
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    bridge.write(&cancel.to_string());
    let request = loop {
        let request = home.tells(&["requests", "list", "--all"])["requests"][0].clone();
        if request["state"] != "pending" {
            break request;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(request["state"], "withdrawn", "{request}");
    // In one breath with the call itself, too: it never stays.
    bridge.write(&format!(
        "{}\n{}",
        held(2),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } })
    ));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(home.does(&["requests", "list"]), "Nothing waits.\n");
    assert_eq!(home.arrivals().len(), 0);
}

#[test]
fn a_gateway_that_is_away_is_said_for_each_request_and_the_bridge_outlives_it() {
    let home = Home::new();
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let mut bridge = Bridge::greeted(home.agents, &key);
    assert!(bridge.ask(&ticket(1))["result"].is_object());
    server.kill();
    for id in 2..4 {
        let away = bridge.ask(&ticket(id));
        assert_eq!(away["error"]["data"]["slug"], "gateway_unreachable", "{away}");
        assert!(away["error"]["message"].as_str().unwrap().contains("stepup serve"), "{away}");
    }
    let _server = home.serve().pinned();
    let over = bridge.ask(&ticket(4));
    assert_eq!(over["error"]["data"]["slug"], "session_unknown", "{over}");
    assert!(over["error"]["data"]["todo"].as_str().unwrap().contains("initialize"), "{over}");
    assert!(bridge.ask(&hello(5))["result"].is_object());
    assert!(bridge.ask(&ticket(6))["result"].is_object());
    let (status, notes) = bridge.ended();
    assert!(status.success(), "{status}");
    assert_eq!(notes.matches("nothing answers there").count(), 1, "{notes}");
    assert!(notes.ends_with("the gateway answers again\n"), "{notes}");
    assert!(!notes.contains(&key));
}

#[test]
fn what_is_asked_without_a_session_is_told_what_a_client_over_stdio_can_do_and_nobody_is_said_to_be_away() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let mut bridge = Bridge::start(home.agents, &home.caller("bot"));
    let modern = |id: u64, method: &str| {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {} });
        let params = json!({ "name": "deploy", "arguments": deploy(), "_meta": meta });
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    };
    // By the code, a client of both eras knows that it has to begin a session: the codes of 2026-07-28 say the reverse.
    let refused = bridge.ask(&modern(1, "server/discover"))["error"].clone();
    assert_eq!((&refused["data"]["slug"], &refused["code"]), (&json!("revision_not_carried"), &json!(1040)));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("2025-11-25 and 2025-06-18") && message.contains("`initialize`"), "{message}");
    let refused = bridge.ask(&ticket(2))["error"].clone();
    assert_eq!(refused["data"]["slug"], "session_required", "{refused}");
    assert!(!refused.to_string().contains("Mcp-"), "no client writes headers here: {refused}");
    let long = json!({ "jsonrpc": "2.0", "id": 3, "method": "ping", "params": "x".repeat(2 << 20) });
    assert_eq!(bridge.ask(&long)["error"]["data"]["slug"], "too_large");
    assert!(bridge.ask(&hello(4))["result"].is_object());
    assert_eq!(bridge.ask(&modern(5, "tools/call"))["error"]["data"]["slug"], "revision_not_carried");
    assert!(bridge.ask(&ticket(6))["result"].is_object());
    let (_, notes) = bridge.ended();
    assert!(notes.contains("1 MiB") && !notes.contains("answers again"), "{notes}");
    assert_eq!(home.arrivals().len(), 1, "only the ticket");
}

#[test]
fn a_key_that_opens_nothing_is_said_for_each_request() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let mut bridge = Bridge::start(home.agents, "stepup_x");
    let refused = bridge.ask(&hello(1));
    assert_eq!(refused["error"]["data"]["slug"], "credential_invalid", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("stepup caller rotate"), "{refused}");
    assert!(!bridge.ended().1.contains("stepup_x"));
}

#[test]
fn what_the_gateway_says_unasked_is_said() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let mut bridge = Bridge::greeted(home.agents, &home.caller("bot"));
    let _ = bridge.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    // The stream is opened beside the requests.
    std::thread::sleep(Duration::from_millis(500));
    let path = "policies/starter.cedar";
    let hide = "\n@id(\"hide\")\nforbid (principal, action == Action::\"discover\", resource == Tool::\"ops/deploy\");\n";
    home.write(path, &format!("{}{hide}", home.read(path)));
    assert_eq!(bridge.next()["method"], "notifications/tools/list_changed");
}

#[test]
fn it_ends_when_its_input_ends_or_it_is_told_to_and_ends_its_session() {
    let home = Home::new();
    let _server = home.serve().pinned();
    let key = home.caller("bot");
    home.does(&["human", "invite", "alice", "--group", "release-managers"]);
    // What is under way at the end of its input is answered.
    let mut bridge = Bridge::start(home.agents, &key);
    bridge.write(&hello(0).to_string());
    bridge.write(&ticket(1).to_string());
    bridge.input = None;
    assert_eq!((bridge.answer()["id"].clone(), bridge.answer()["id"].clone()), (json!(0), json!(1)));
    assert!(bridge.ended().0.success());
    // Told to, it waits for nothing.
    let mut bridge = Bridge::greeted(home.agents, &key);
    bridge.write(&held(1).to_string());
    assert_eq!(bridge.next()["method"], "notifications/progress");
    let pid = rustix::process::Pid::from_child(&bridge.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = bridge.child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn it_starts_with_a_key_that_only_its_owner_reads_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let words =
        ["stdio", "--upstream", "ops", "--url", "http://127.0.0.1:1", "--key-file", file.to_str().unwrap()];
    let start = || run(folder.path(), &words);
    start().failed(1, &["key", "umask 077"]);
    std::fs::write(&file, "stepup_x\n").unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        if good {
            assert_eq!(start().done(), "");
        } else {
            let said = start().failed(1, &["chmod 600", "stepup caller rotate"]);
            assert!(!said.contains("stepup_x"), "{said}");
        }
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "\n", "two words", "two\nlines\n"] {
        std::fs::write(&file, text).unwrap();
        start().failed(1, &["does not hold a key"]);
    }
    run(folder.path(), &["stdio", "--upstream", "ops"]).failed(1, &["STEPUP_KEY", "--key-file"]);
    run(folder.path(), &["stdio", "--upstream", "ops", "--key", "stepup_x"]).failed(2, &["--key"]);
    std::fs::write(&file, "stepup_x\n").unwrap();
    let far =
        ["stdio", "--upstream", "ops", "--url", "http://gw.example", "--key-file", file.to_str().unwrap()];
    run(folder.path(), &far).failed(1, &["https"]);
}
