//! A running server: its socket, its listeners, how it ends, and how it begins again.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::disk::Disk;
use crate::world::{Home, STEPUP, Server, exchange, run, stepup};

fn kinds(home: &Home) -> Vec<String> {
    let tail = home.tells(&["log", "tail", "-n", "1000"]);
    let records = tail["records"].as_array().unwrap();
    records.iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
}

fn started(home: &Home) -> usize {
    kinds(home).iter().filter(|kind| *kind == "started").count()
}

#[test]
fn the_verbs_go_over_the_socket_of_the_running_server() {
    let home = Home::new();
    let server = home.serve();
    let before = started(&home);
    home.caller("bot");
    assert_eq!(home.tells(&["caller", "show", "bot"])["owner"], "robin");
    home.tells(&["human", "groups", "robin", "--add", "security"]);
    home.tells(&["caller", "rotate", "bot"]);
    let locked = home.tells(&["lock", "caller", "bot"]);
    let lock = locked["lock"].as_str().unwrap();
    assert!(home.does(&["unlock", lock]).contains(lock));
    assert_eq!(home.does(&["requests", "list"]), "Nothing waits.\n");
    home.run(&["caller", "show", "nobody"]).failed(1, &["nobody", "`stepup caller list`"]);
    home.run(&["human", "invite", "No Name"]).failed(1, &["cannot be a name"]);
    home.tells(&["caller", "disable", "bot"]);
    assert_eq!(started(&home), before, "no command opened the store beside the server");
    home.verifies();
    drop(server);
}

#[test]
fn a_relative_file_is_relative_to_whoever_types_it() {
    let home = Home::new();
    let server = home.serve();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = home.path().join("stepup.toml");
    let words = ["--config", config.to_str().unwrap(), "log", "export", "log.jsonl"];
    crate::world::run(elsewhere.path(), &words).done();
    assert!(elsewhere.path().join("log.jsonl").is_file());
    assert!(!home.path().join("log.jsonl").exists());
    drop(server);
}

#[test]
fn the_socket_is_for_one_account() {
    let home = Home::new();
    let server = home.serve();
    let found = fs::metadata(home.path().join("stepup.sock")).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    drop(server);
}

#[test]
fn two_servers_never_share_a_store() {
    let home = Home::new();
    let server = home.serve();
    let second = home.run(&["serve"]);
    second.failed(1, &["in use", &format!("process {}", server.pid())]);
    assert!(home.path().join("stepup.sock").exists(), "the first one keeps its socket");
    home.does(&["human", "list"]);
    drop(server);
}

#[test]
fn sigterm_ends_it_in_order_and_the_log_is_signed_to_its_end() {
    let home = Home::new();
    let server = home.serve();
    home.caller("bot");
    let (status, took) = server.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(!home.path().join("stepup.sock").exists());
    home.verifies();
}

#[test]
fn sighup_reads_the_rules_again_and_ends_nothing() {
    let home = Home::new();
    let mut server = home.serve();
    let policy = |home: &Home| home.tells(&["policy", "show"])["policy"].clone();
    let before = policy(&home);
    // Nobody watches the configuration, whose requirements are proposed with the folder.
    home.write("stepup.toml", &home.read("stepup.toml").replace("uses = 1", "uses = 2"));
    server.signal(Signal::HUP);
    server.until("the requirements are read again", |_| policy(&home) != before);
    assert!(server.said("SIGHUP: the policy folder, the requirements and certificates are read again"));
    // What they replaced does not come back by being read again, as it does not by a restart.
    home.write("stepup.toml", &home.read("stepup.toml").replace("uses = 2", "uses = 1"));
    server.signal(Signal::HUP);
    server.until("it is said", |server| server.said("holds rules that were replaced"));
    home.caller("bot");
    assert_ne!(policy(&home), before);
    let (status, _) = server.terminate();
    assert_eq!(status.code(), Some(0));
    let config = home.read("stepup.toml");
    assert!(config.contains("activate = \"on-save\""));
    home.write("stepup.toml", &config.replace("activate = \"on-save\"", "activate = \"by-command\""));
    let mut server = home.serve();
    server.signal(Signal::HUP);
    server.until("it is said", |server| server.said("SIGHUP: certificates are read again; rules wait"));
    assert_eq!(
        server.text().matches("the saved rules are in force").count(),
        2,
        "the first ones, and those that were new"
    );
    assert_eq!(server.get("/readyz").unwrap().0, 200);
}

#[test]
fn who_only_stays_connected_does_not_keep_it_from_ending() {
    let home = Home::new();
    let server = home.serve();
    let idle: Vec<TcpStream> = [home.agents, home.people, home.operations]
        .map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .into();
    let (status, took) = server.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    drop(idle);
}

#[test]
fn it_says_how_it_is_in_json_lines_and_never_says_a_key() {
    let home = Home::new();
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let mut agent = Agent::connect(home.agents, &key);
    agent.call("get_ticket", &json!({ "id": "OPS-17" }));
    let (status, _) = Agent::wrong(home.agents, "stepup_wrong-key-0123456789");
    assert_eq!(status, 401);
    let invited = home.tells(&["human", "invite", "alice"]);
    let token = invited["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let lines = server.lines();
    for line in &lines {
        for member in ["timestamp", "level", "message"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    let ready = lines.iter().find(|line| line["message"] == "ready").unwrap();
    assert_eq!(ready["agents"], format!("http://127.0.0.1:{}", home.agents));
    let text = server.text();
    for secret in [key.as_str(), "wrong-key-0123456789", &token] {
        assert!(!text.contains(secret), "{secret} is on standard error");
    }
    drop(server);
}

#[test]
fn the_operations_listener_tells_whether_it_is_alive_ready_and_signed() {
    let home = Home::new();
    let mut server = home.serve();
    assert_eq!(server.get("/healthz").unwrap(), (200, "ok\n".to_owned()));
    let (status, ready) = server.get("/readyz").unwrap();
    assert_eq!(status, 200);
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["store"], "ok");
    assert_eq!(ready["draining"], false);
    assert!(ready["rules"].as_u64().unwrap() > 3, "{ready}");
    server.until("the newest head is signed", |server| {
        let size = home.tells(&["log", "tail"])["size"].clone();
        let (_, note) = server.get("/log/checkpoint").unwrap();
        note.starts_with("stepup.local/log\n") && note.lines().nth(1) == Some(&size.to_string())
    });
    assert_eq!(server.get("/nothing").unwrap().0, 404);
}

fn policy(home: &Home) -> Value {
    home.tells(&["policy", "show"])
}

#[test]
fn a_saved_rule_comes_into_force_and_a_broken_one_does_not() {
    let home = Home::new();
    let mut server = home.serve();
    let first = policy(&home);
    home.write(
        "policies/more.cedar",
        "@id(\"no-job\")\nforbid (principal in Group::\"jobs\", action, resource);\n",
    );
    server.until("the saved rule is in force", |_| {
        policy(&home)["rules"].as_array().unwrap().contains(&json!("no-job"))
    });
    server.until("it is said", |server| server.said("the saved rules are in force"));
    let second = policy(&home);
    assert_ne!(first["policy"], second["policy"]);

    home.write(
        "policies/more.cedar",
        "@id(\"no-job\")\nforbid (principal in Group::\"jobs\", action, resource\n",
    );
    server.until("the broken file is told of", |server| {
        server.lines().iter().any(|line| {
            line["level"] == "ERROR"
                && line.to_string().contains("more.cedar:")
                && line["message"].as_str().unwrap().contains("in force stay")
        })
    });
    assert_eq!(policy(&home), second, "what was in force stays");
    let folder = |server: &Server<'_>| {
        let (status, ready) = server.get("/readyz").unwrap();
        assert_eq!(status, 200, "it decides all the same");
        serde_json::from_str::<Value>(&ready).unwrap()["policy_folder"].as_str().unwrap().to_owned()
    };
    assert!(folder(&server).starts_with("not in force: more.cedar:2:"), "{}", folder(&server));

    fs::remove_file(home.path().join("policies/more.cedar")).unwrap();
    server.until("the rule is gone with its file", |_| policy(&home) == first);
    server.until("nothing is odd about it any more", |server| folder(server) == "in force");

    // A folder that vanishes, and one that is another's, take no rule away.
    let (there, away) = (home.path().join("policies"), home.path().join("away"));
    fs::rename(&there, &away).unwrap();
    server.until("that it is gone is told", |server| folder(server).contains("cannot be read"));
    assert_eq!(policy(&home), first);
    // Another folder in its place is followed as the first was.
    fs::create_dir(&there).unwrap();
    for file in fs::read_dir(&away).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), there.join(file.file_name())).unwrap();
    }
    server.until("it is there again", |server| folder(server) == "in force");
    home.write("policies/more.cedar", "nonsense");
    server.until("it is followed", |server| folder(server).starts_with("not in force: more.cedar:1:"));
    fs::remove_file(there.join("more.cedar")).unwrap();
    server.until("it is mended", |server| folder(server) == "in force");
    fs::write(home.path().join("outside"), "@id(\"out\") permit (principal, action, resource);").unwrap();
    std::os::unix::fs::symlink(home.path().join("outside"), there.join("x.cedar")).unwrap();
    home.run(&["policy", "activate"]).failed(1, &["x.cedar", "leads out of the policy folder"]);
    assert_eq!(policy(&home), first);
}

#[test]
fn with_a_broken_policy_it_starts_only_on_rules_that_are_in_force() {
    let home = Home::new();
    home.write("policies/more.cedar", "nonsense");
    home.run(&["serve"]).failed(1, &["more.cedar:1"]);
    assert!(!home.path().join("stepup.sock").exists());
    fs::remove_file(home.path().join("policies/more.cedar")).unwrap();
    home.does(&["policy", "activate"]);
    let good = policy(&home);
    home.write("policies/more.cedar", "nonsense");
    let server = home.serve();
    assert!(server.said("stay"), "{}", server.text());
    assert_eq!(policy(&home), good);
}

#[test]
fn a_first_start_on_rules_whose_types_are_wrong_refuses_and_denies_nothing() {
    let home = Home::new();
    home.write(
        "policies/more.cedar",
        r#"@id("more") forbid (principal, action in Action::"tools/call", resource) when { context.time.hour == "x" };"#,
    );
    home.run(&["serve"]).failed(1, &["more.cedar:1"]);
    assert!(!home.path().join("stepup.sock").exists());
}

#[test]
fn a_socket_that_a_dead_server_left_is_replaced() {
    let home = Home::new();
    drop(UnixListener::bind(home.path().join("stepup.sock")).unwrap());
    home.does(&["human", "list"]);
    let server = home.serve();
    let before = started(&home);
    home.does(&["human", "list"]);
    assert_eq!(started(&home), before, "the socket is the server's");
    drop(server);
}

#[test]
fn after_a_kill_it_starts_again_and_the_log_goes_on_whole() {
    let home = Home::new();
    let server = home.serve();
    let key = home.caller("bot");
    let before = started(&home);
    server.kill();
    assert!(home.path().join("stepup.sock").exists(), "nobody cleared up");
    let server = home.serve().pinned();
    assert_eq!(started(&home), before + 1, "a start is a record");
    let mut agent = Agent::connect(home.agents, &key);
    let ticket = agent.call("get_ticket", &json!({ "id": "OPS-17" }));
    assert_eq!(ticket["structuredContent"]["state"], "open", "{ticket}");
    let (status, _) = server.terminate();
    assert_eq!(status.code(), Some(0));
    home.verifies();
}

#[test]
fn a_taken_port_is_named_and_nothing_stays_behind() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", home.operations)).unwrap();
    home.run(&["serve"]).failed(1, &[&format!("127.0.0.1:{}", home.operations)]);
    drop(taken);
    let server = home.serve();
    assert_eq!(server.terminate().0.code(), Some(0));
}

#[test]
fn a_server_that_does_not_start_does_not_say_in_the_log_that_it_did() {
    let home = Home::new();
    home.caller("bot");
    let before = kinds(&home);
    let config = home.read("stepup.toml");

    let taken = std::net::TcpListener::bind(("127.0.0.1", home.operations)).unwrap();
    home.run(&["serve"]).failed(1, &[&home.operations.to_string()]);
    drop(taken);
    home.write("policies/more.cedar", "forbid (principal, action, resource);");
    home.run(&["serve"]).failed(1, &["more.cedar"]);
    fs::remove_file(home.path().join("policies/more.cedar")).unwrap();
    let nobody = "[upstreams.other]\ncommand = [\"cat\"]\nuser = \"no-such-account\"\n";
    home.write("stepup.toml", &format!("{config}\n{nobody}"));
    home.run(&["serve"]).failed(1, &["no-such-account"]);
    home.write("stepup.toml", &config);

    assert_eq!(kinds(&home), before);
    let server = home.serve();
    assert_eq!(
        kinds(&home).iter().filter(|kind| *kind == "started").count(),
        1 + before.iter().filter(|kind| *kind == "started").count()
    );
    drop(server);
    home.verifies();
}

#[test]
fn a_lock_waits_for_no_secret_and_for_no_file_that_was_spoilt_since() {
    let home = Home::new();
    home.caller("bot");
    let written = home.read("stepup.toml");
    let webhook = "\n[notify.channels.chat]\nwebhook = \"https://chat.example\"\nsecret = { env = \"STEPUP_NO_SUCH\" }\n";
    let server = home.serve();
    for text in [format!("{written}{webhook}"), format!("{written}\n[agents\n")] {
        home.write("stepup.toml", &text);
        assert_eq!(home.tells(&["lock", "caller", "bot"])["what"], "The caller bot");
    }
    drop(server);

    home.write("stepup.toml", &format!("{written}{webhook}"));
    assert_eq!(home.tells(&["lock", "all"])["what"], "Everything", "nor is there a server to ask");
    let file = webhook.replace("env = \"STEPUP_NO_SUCH\"", "file = \"no-such\"");
    for (text, missing) in [(webhook, "STEPUP_NO_SUCH"), (&file, "no-such: No such file")] {
        home.write("stepup.toml", &format!("{written}{text}"));
        let line = format!("stepup.toml:{}: notify.channels.chat.secret", written.lines().count() + 4);
        for words in [["serve"], ["check"]] {
            home.run(&words).failed(1, &[&line, missing, "`stepup serve`"]);
        }
    }
}

#[test]
fn on_a_full_disk_it_is_not_ready_says_so_and_is_again_once_there_is_room() {
    let home = Home::new();
    let Some(disk) = Disk::mounted(home.path().join("disk"), "40m") else { return };
    let text = home.read("stepup.toml");
    let store = "# url = \"sqlite:stepup.db\"";
    assert!(text.contains(store), "init explains {store}");
    home.write("stepup.toml", &text.replace(store, "url = \"sqlite:disk/stepup.db\""));
    let mut server = home.serve();
    home.caller("bot");
    let ballast = disk.fill();
    server.until("the disk is full", |_| home.run(&["caller", "rotate", "bot"]).code == 1);
    let (status, ready) = server.get("/readyz").unwrap();
    assert_eq!(status, 503, "{ready}");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["ready"], false);
    assert_eq!(ready["store"], "failed: the disk is full: everything is denied");
    home.does(&["lock", "caller", "bot"]);
    fs::remove_file(ballast).unwrap();
    server.until("it is ready again", |server| server.get("/readyz").unwrap().0 == 200);
    home.does(&["caller", "rotate", "bot"]);
    drop(server);
}

#[test]
fn half_sent_requests_at_the_agents_listener_take_nothing_from_people_operators_and_locks() {
    let home = Home::new();
    home.caller("bot");
    let few = format!("ulimit -S -n 64 && ulimit -H -n 256 && exec {STEPUP} serve");
    let mut server = home.serve_by(Command::new("sh").args(["-c", &few]).current_dir(home.path()));
    let open = |server: &Server| fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let before = open(&server);
    let half = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", home.agents)).unwrap();
        stream.write_all(b"POST /mcp/ops HTTP/1.1\r\nhost: x\r\nx-more: ").unwrap();
        stream
    };
    let held: Vec<TcpStream> = (0..160).map(half).collect();
    server.until("the listener is full", |server| open(server) >= before + 128);

    assert_eq!(server.get("/readyz").unwrap().0, 200);
    let page =
        format!("GET /sign-in HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n", home.people);
    assert_eq!(exchange(home.people, &page).unwrap().0, 200);
    assert_eq!(home.tells(&["lock", "caller", "bot"])["what"], "The caller bot");
    assert!(!server.said("a connection could not be taken"), "{}", server.text());
    drop(held);
}

#[test]
fn the_operations_listener_tells_nothing_to_who_came_by_another_name() {
    let home = Home::new();
    let server = home.serve();
    let ours = format!("host: 127.0.0.1:{}\r\n", home.operations);
    for (hosts, expected) in [
        (ours.as_str(), 200),
        ("host: evil\r\n", 403),
        (&format!("host: evil:{}\r\n", home.operations), 403),
        (&format!("{ours}host: evil\r\n"), 403),
    ] {
        for path in ["/healthz", "/readyz"] {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
            let (status, _, body) = exchange(home.operations, &request).unwrap();
            assert_eq!(status, expected, "{hosts}{path}: {body}");
            assert_eq!(body.contains("rules"), expected == 200 && path == "/readyz", "{body}");
        }
    }
    let request = "GET /nothing HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(home.operations, request).unwrap().0, 403, "not even what there is not");
    drop(server);
}

#[test]
fn invariant_8_no_other_process_of_the_account_reads_the_servers_environment() {
    // Neither the server nor who looks has a capability, root's included: only the account counts.
    let parent = std::process::id().to_string();
    let home = Home::new();
    let mut serve = stepup(&home.path());
    let server = home.serve_by(serve.args(["__child", "none", &parent, "--", STEPUP, "serve"]));
    let look = |process: u32| {
        let file = format!("/proc/{process}/environ");
        run(&home.path(), &["__child", "none", &parent, "--", "grep", "-qz", "^TZ=", &file]).code
    };
    let mut other = Command::new(STEPUP)
        .args(["__child", "none", &parent, "--", "sleep", "60"])
        .env("TZ", "UTC")
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let (served, others) = (look(server.pid()), look(other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(others, 0, "a process of the account that is not closed can be read");
    assert_ne!(served, 0, "and the server cannot");
}
