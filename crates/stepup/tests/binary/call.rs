//! Calls over HTTP to the sample upstream, through the running server.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::world::Home;

fn deploy() -> Value {
    json!({ "service": "checkout", "version": "2.4.1", "environment": "production" })
}

fn slug(result: &Value) -> Option<&str> {
    result.pointer("/_meta/dev.stepup~1refusal/slug").and_then(Value::as_str)
}

#[test]
fn what_is_harmless_runs_what_is_sensitive_is_stopped_and_who_is_locked_runs_nothing() {
    let home = Home::new();
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let mut agent = Agent::connect(home.agents, &key);

    let ticket = agent.call("get_ticket", &json!({ "id": "OPS-17" }));
    assert_eq!(ticket["structuredContent"]["title"], "Checkout is slow since 2.4.0", "{ticket}");
    assert_eq!(home.arrivals().len(), 1);

    let hopeless = agent.call("deploy", &deploy());
    assert_eq!(slug(&hopeless), Some("nobody_may_approve"), "{hopeless}");
    home.does(&["human", "invite", "alice", "--group", "release-managers"]);
    let stopped = agent.call("deploy", &deploy());
    assert_eq!(stopped["isError"], true, "{stopped}");
    let id = stopped["_meta"]["dev.stepup/challenge"]["elevation"].as_str();
    let id = id.unwrap_or_else(|| panic!("{stopped}")).to_owned();
    let text = stopped["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("stepup_run") && text.contains(&format!("/r/{id}")), "{text}");
    assert_eq!(home.arrivals().len(), 1, "nothing reached the upstream");
    waits(&home, &id);

    let locked = home.tells(&["lock", "caller", "bot", "--why", "odd"]);
    for (tool, arguments) in [("get_ticket", json!({ "id": "OPS-17" })), ("deploy", deploy())] {
        let denied = agent.call(tool, &arguments);
        assert_eq!(slug(&denied), Some("caller_locked"), "{tool}: {denied}");
        assert!(
            !denied.to_string().contains(locked["lock"].as_str().unwrap()),
            "the caller is not told more"
        );
    }
    assert_eq!(home.arrivals().len(), 1, "nothing reached the upstream");

    let withdrawn = home.tells(&["requests", "withdraw", &id]);
    assert_eq!(withdrawn, json!({ "request": id, "state": "withdrawn" }));
    let newest = home.tells(&["log", "tail", "-n", "1"])["records"][0]["record"].clone();
    let record = home.tells(&["log", "show", newest.as_str().unwrap()]);
    let operator = format!("os:{}", rustix::process::geteuid().as_raw());
    assert_eq!(record["body"]["by"], operator, "the operator withdrew it, not its caller: {record}");
    assert_eq!(home.run(&["requests", "show", &id]).code, 13);
    assert_eq!(home.run(&["requests", "watch", &id]).code, 13, "it is over already");
    assert_eq!(home.does(&["requests", "list"]), "Nothing waits.\n");
    assert_eq!(home.tells(&["requests", "list", "--all"])["requests"][0]["state"], "withdrawn");
    assert_eq!(server.terminate().0.code(), Some(0));
    home.verifies();
}

/// A request that waits, as the command line tells of it.
fn waits(home: &Home, id: &str) {
    let listed = home.tells(&["requests", "list"]);
    let request = &listed["requests"][0];
    assert_eq!(request["request"], id);
    assert_eq!(request["state"], "pending");
    assert_eq!(request["caller"], "bot");
    assert_eq!(request["owner"], "robin");
    assert_eq!(request["title"], "Deploy checkout 2.4.1 to production");
    assert_eq!(request["words"].as_array().unwrap().len(), 4);
    assert!(request["link"].as_str().unwrap().ends_with(&format!("/r/{id}")), "{request}");
    let shown = home.run(&["requests", "show", &id[..12]]);
    assert_eq!(shown.code, 10, "a request that waits");
    for part in
        ["Deploy checkout 2.4.1 to production", "2.4.1", "robin", request["words"][3].as_str().unwrap()]
    {
        assert!(shown.out.contains(part), "{part:?}: {}", shown.out);
    }
    let opened = home.tells(&["requests", "approve", id]);
    assert_eq!(opened["link"], request["link"], "the command line approves nothing itself");
    assert_eq!(home.run(&["requests", "show", id]).code, 10);
}

/// Nobody writes it down while no server runs; it is over all the same, and whoever watches it is told.
#[test]
fn a_request_beyond_its_time_is_over_without_a_server_too() {
    let home = Home::new();
    let text = home.read("stepup.toml");
    let pending = "pending_for = \"15m\"";
    assert!(text.contains(pending), "{text}");
    home.write("stepup.toml", &text.replace(pending, "pending_for = \"2s\""));
    let server = home.serve().pinned();
    let mut agent = Agent::connect(home.agents, &home.caller("bot"));
    home.does(&["human", "invite", "alice", "--group", "release-managers"]);
    let stopped = agent.call("deploy", &deploy());
    let id = stopped["_meta"]["dev.stepup/challenge"]["elevation"].as_str().unwrap().to_owned();
    server.kill();
    let watched = home.run(&["requests", "watch", &id]);
    assert_eq!(watched.code, 13, "{}", watched.out);
    assert!(watched.out.contains("expired"), "{}", watched.out);
    assert_eq!(home.does(&["requests", "list"]), "Nothing waits.\n");
    assert_eq!(home.tells(&["requests", "list", "--all"])["requests"][0]["state"], "expired");
}

#[test]
fn a_disabled_caller_and_a_wrong_key_open_nothing() {
    let home = Home::new();
    let server = home.serve().pinned();
    let key = home.caller("bot");
    let mut agent = Agent::connect(home.agents, &key);
    home.does(&["caller", "disable", "bot"]);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(agent.post(&ping).0, 401);
    assert_eq!(Agent::wrong(home.agents, "").0, 401);
    assert_eq!(Agent::wrong(home.agents, "stepup_x").0, 401);
    assert_eq!(home.arrivals().len(), 0);
    drop(server);
}

#[test]
fn a_rotated_key_opens_and_the_old_one_only_for_its_overlap() {
    let home = Home::new();
    let server = home.serve().pinned();
    let old = home.caller("bot");
    let rotated = home.tells(&["caller", "rotate", "bot", "--overlap", "0s"]);
    Agent::connect(home.agents, rotated["key"].as_str().unwrap());
    assert_eq!(Agent::wrong(home.agents, &old).0, 401);
    drop(server);
}
