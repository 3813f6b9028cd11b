//! The verbs without a server: the command line opens the store itself.

use serde_json::{Value, json};

use crate::world::Home;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn people_are_invited_listed_grouped_and_disabled() {
    let home = Home::new();
    assert!(home.does(&["human", "list"]).contains("stepup human invite"), "an empty list says what to do");
    let invited = home.tells(&["human", "invite", "alice", "--group", "release-managers", "--group", "ops"]);
    assert_eq!(keys(&invited), ["human", "link"]);
    let link = invited["link"].as_str().unwrap();
    assert!(link.starts_with("http://localhost:") && link.contains("/enrol/"), "{link}");
    let again = home.tells(&["human", "invite", "alice"]);
    assert_ne!(again["link"], invited["link"], "each invitation is its own");
    let listed = home.tells(&["human", "list"]);
    assert_eq!(keys(&listed["humans"][0]), ["disabled", "groups", "human", "id", "passkeys"]);
    assert_eq!(listed["humans"].as_array().unwrap().len(), 1, "the second invitation added nobody");
    assert_eq!(listed["humans"][0]["groups"], json!(["ops", "release-managers"]));
    assert_eq!(listed["humans"][0]["passkeys"], 0);
    let text = home.does(&["human", "list"]);
    assert!(text.starts_with("PERSON  GROUPS"), "{text}");

    let groups = home.tells(&["human", "groups", "alice", "--add", "security", "--remove", "ops"]);
    assert_eq!(groups, json!({ "name": "alice", "groups": ["release-managers", "security"] }));
    assert_eq!(home.tells(&["human", "disable", "alice"]), json!({ "human": "alice", "disabled": true }));
    assert_eq!(home.tells(&["human", "list"])["humans"][0]["disabled"], true);
    assert!(home.does(&["human", "list"]).contains("disabled"));
}

#[test]
fn a_verb_that_only_reads_writes_nothing_to_the_log() {
    let home = Home::new();
    let reads: &[&[&str]] = &[
        &["caller", "list"],
        &["caller", "show", "bot"],
        &["human", "list"],
        &["human", "groups", "robin"],
        &["human", "passkeys", "robin"],
        &["upstream", "list"],
        &["upstream", "diff"],
        &["upstream", "accept", "ops/deploy"],
        &["requests", "list", "--all"],
        &["requests", "show", "x"],
        &["requests", "approve", "x"],
        &["requests", "watch", "x"],
        &["grants", "list"],
        &["grants", "show", "x"],
        &["lock", "list"],
        &["unlock", "x"],
        &["policy", "show"],
        &["log", "tail"],
        &["log", "show", "00000000-0000-7000-8000-000000000000"],
    ];
    let size = || home.tells(&["log", "tail"])["size"].as_u64().unwrap();
    for words in reads {
        home.run(words);
        assert_eq!(size(), 0, "{words:?} wrote the first record of a log");
    }
    home.does(&["human", "invite", "robin"]);
    home.caller("bot");
    let before = size();
    assert!(before > 0);
    for words in reads {
        home.run(words);
        assert_eq!(size(), before, "{words:?}");
    }
    home.verifies();
}

/// What was sealed and signed with the old ones would not be theirs.
#[test]
fn a_store_is_not_opened_with_other_keys() {
    let home = Home::new();
    home.caller("bot");
    let good = std::fs::read(home.path().join("keys/seal.key")).unwrap();
    for key in ["keys/seal.key", "keys/log.key"] {
        let ours = std::fs::read(home.path().join(key)).unwrap();
        std::fs::write(home.path().join(key), [7; 32]).unwrap();
        for words in [&["caller", "list"][..], &["human", "invite", "eve"], &["serve"]] {
            home.run(words).failed(1, &["keys", "bring back"]);
        }
        std::fs::write(home.path().join(key), ours).unwrap();
    }
    assert_eq!(std::fs::read(home.path().join("keys/seal.key")).unwrap(), good);
    home.verifies();
}

#[test]
fn a_page_that_nobody_serves_yet_is_said_to_be_so() {
    let home = Home::new();
    assert!(home.does(&["human", "invite", "robin"]).contains("`stepup serve` starts it"));
    let server = home.serve().pinned();
    assert!(!home.does(&["human", "invite", "robin"]).contains("stepup serve"));
    assert!(!home.does(&["upstream", "accept", "ops/deploy"]).contains("stepup serve"));
    drop(server);
    assert!(home.does(&["upstream", "accept", "ops/deploy"]).contains("`stepup serve` starts it"));
}

#[test]
fn what_is_not_there_is_said_to_be_so_and_an_empty_name_stands_for_nothing() {
    let home = Home::new();
    home.caller("bot");
    for (words, said) in [
        (&["upstream", "accept", "ops/nothing"][..], "there is no tool \"ops/nothing\""),
        (&["human", "groups", "nobody"], "no person and no caller named nobody"),
        (&["caller", "add", "x", "--owner", "nobody"], "there is no owner named nobody"),
        (&["lock", "caller", ""], "there is no caller \"\""),
        (&["caller", "show", ""], "there is no caller \"\""),
    ] {
        home.run(words).failed(1, &[said, "help: "]);
    }
    assert!(home.does(&["policy", "show"]).contains("everything is denied"));
    assert!(home.does(&["caller", "show", "bot"]).contains("through none"));
    assert!(Home::new().does(&["log", "tail"]).contains("The log is empty"));
}

#[test]
fn callers_are_added_listed_shown_rotated_and_disabled() {
    let home = Home::new();
    home.does(&["human", "invite", "robin"]);
    let added = home.tells(&["caller", "add", "bot", "--owner", "robin", "--group", "ops-agents"]);
    assert_eq!(keys(&added), ["caller", "id", "key"]);
    let key = added["key"].as_str().unwrap();
    let text = home.does(&["caller", "add", "job", "--owner", "robin", "--kind", "service"]);
    let all = format!("  http://127.0.0.1:{}/mcp\n", home.agents);
    assert!(text.find(&all).is_some_and(|all| text.find("/mcp/ops").is_some_and(|one| all < one)), "{text}");
    assert!(text.contains("once"), "{text}");

    let listed = home.tells(&["caller", "list"]);
    assert_eq!(names(&listed["callers"], "caller"), ["bot", "job"]);
    let shown = home.tells(&["caller", "show", "bot"]);
    assert_eq!(shown, listed["callers"][0]);
    assert_eq!(
        keys(&shown),
        ["caller", "disabled", "groups", "id", "keys", "kind", "lock", "owner", "through"]
    );
    assert_eq!(shown["owner"], "robin");
    assert_eq!(shown["groups"], json!(["ops-agents"]));
    assert_eq!(shown["id"], added["id"]);
    assert_eq!(home.tells(&["caller", "show", added["id"].as_str().unwrap()]), shown, "an id is a name");
    for said in [home.does(&["caller", "show", "bot"]), home.does(&["--json", "caller", "list"])] {
        assert!(!said.contains(key), "a key is shown once");
    }

    let rotated = home.tells(&["caller", "rotate", "bot", "--overlap", "5m"]);
    assert_eq!(keys(&rotated), ["caller", "key"]);
    assert_ne!(rotated["key"], added["key"]);
    assert_eq!(home.tells(&["caller", "show", "bot"])["keys"].as_array().unwrap().len(), 2);
    home.run(&["caller", "rotate", "bot", "--overlap", "soon"]).failed(2, &["--overlap", "soon", "15m"]);

    assert_eq!(home.tells(&["caller", "disable", "bot"]), json!({ "caller": "bot", "disabled": true }));
    assert_eq!(home.tells(&["caller", "show", "bot"])["disabled"], true);
    let text = home.does(&["caller", "list"]);
    assert!(text.lines().any(|line| line.starts_with("bot ") && line.ends_with("disabled")), "{text}");
}

#[test]
fn a_caller_acts_through_callers_that_exist() {
    let home = Home::new();
    home.caller("outer");
    let words = ["caller", "add", "inner", "--owner", "outer", "--through", "outer"];
    home.does(&words);
    assert_eq!(home.tells(&["caller", "show", "inner"])["through"], json!(["outer"]));
    home.run(&["caller", "add", "x", "--owner", "robin", "--through", "nobody"]).failed(1, &["nobody"]);
}

#[test]
fn names_are_what_can_be_typed_and_told_apart() {
    let home = Home::new();
    home.does(&["human", "invite", "robin"]);
    let long = "a".repeat(65);
    for name in ["", "Robin", "rob in", "röbin", "../robin", "robin\n", "\u{202e}nibor", &long] {
        home.run(&["human", "invite", name]).failed(1, &["cannot be a name", "a-z"]);
        home.run(&["caller", "add", name, "--owner", "robin"]).failed(1, &["cannot be a name"]);
        home.run(&["human", "invite", "bob", "--group", name]).failed(1, &["cannot be a name"]);
        home.run(&["human", "groups", "robin", "--add", name]).failed(1, &["cannot be a name"]);
        home.run(&["caller", "add", "bot", "--owner", "robin", "--group", name])
            .failed(1, &["cannot be a name"]);
    }
    assert_eq!(names(&home.tells(&["human", "list"])["humans"], "human"), ["robin"], "nothing half done");
    assert_eq!(home.tells(&["caller", "list"])["callers"], json!([]));
    home.does(&["human", "invite", &long[..64]]);
}

#[test]
fn a_name_stands_for_one() {
    let home = Home::new();
    home.caller("bot");
    home.run(&["caller", "add", "bot", "--owner", "robin"]).failed(1, &["the name is taken"]);
}

#[test]
fn who_is_unknown_is_said_to_be_and_nothing_is_done() {
    let home = Home::new();
    home.caller("bot");
    let before = home.tells(&["log", "tail"])["size"].as_u64().unwrap();
    for (words, with) in [
        (&["human", "disable", "nobody"][..], "nobody"),
        (&["human", "groups", "nobody", "--add", "g"], "nobody"),
        (&["caller", "add", "x", "--owner", "nobody"], "nobody"),
        (&["caller", "show", "nobody"], "`stepup caller list`"),
        (&["caller", "rotate", "nobody"], "nobody"),
        (&["caller", "disable", "nobody"], "nobody"),
        (&["lock", "caller", "nobody"], "`stepup caller list`"),
        (&["lock", "human", "nobody"], "`stepup human list`"),
        (&["lock", "upstream", "nobody"], "nobody"),
        (&["unlock", "lck_x"], "lck_x"),
        (&["requests", "show", "elv_x"], "`stepup requests list --all`"),
        (&["requests", "watch", "elv_x"], "elv_x"),
        (&["requests", "withdraw", "elv_x"], "elv_x"),
        (&["requests", "approve", "elv_x"], "elv_x"),
        (&["grants", "show", "x"], "`stepup grants list`"),
        (&["grants", "revoke", "x"], "x"),
        (&["log", "show", "nobody"], "`stepup log tail`"),
        (&["log", "show", "rec_00000000000000000000000000"], "`stepup log tail`"),
    ] {
        home.run(words).failed(1, &["error: ", with]);
    }
    let kinds = home.tells(&["log", "tail", "-n", "1000"]);
    let after = kinds["records"].as_array().unwrap().iter().filter(|r| r["leaf"].as_u64().unwrap() >= before);
    assert!(after.map(|r| r["kind"].as_str().unwrap()).all(|kind| kind == "started"), "{kinds}");
    let said = home.run(&["--json", "caller", "show", "nobody"]);
    assert_eq!((said.code, said.err.as_str()), (1, ""), "programs read the answer where they always do");
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(keys(&json["error"]), ["happened", "todo"]);
}

#[test]
fn the_beginning_of_a_name_is_enough_unless_it_begins_two() {
    let home = Home::new();
    home.caller("build-bot");
    home.caller("build");
    home.caller("builder");
    assert_eq!(home.tells(&["caller", "show", "builde"])["caller"], "builder");
    assert_eq!(home.tells(&["caller", "show", "build"])["caller"], "build", "a whole name is itself");
    home.run(&["caller", "show", "bui"]).failed(1, &["more than one caller: 3", "type more"]);
    home.run(&["lock", "caller", "bui"]).failed(1, &["more than one caller: 3", "type more"]);
    home.run(&["lock", "caller", ""]).failed(1, &["no caller"]);
}

#[test]
fn whoever_is_disabled_for_good_needs_the_whole_name() {
    let home = Home::new();
    home.caller("build");
    home.run(&["caller", "disable", "bui"]).failed(1, &["bui"]);
    home.run(&["caller", "rotate", "bui"]).failed(1, &["bui"]);
    assert_eq!(home.tells(&["caller", "show", "build"])["disabled"], false);
}

#[test]
fn a_lock_is_set_by_a_word_and_lifted_in_the_browser_only() {
    let home = Home::new();
    home.caller("bot");
    assert_eq!(home.does(&["lock", "list"]), "Nothing is locked.\n");
    for (words, what) in [
        (&["lock", "caller", "bot", "--why", "odd calls"][..], "The caller bot"),
        (&["lock", "human", "robin", "--for", "10m"], "Every caller that robin is behind"),
        (&["lock", "upstream", "ops"], "The upstream ops"),
        (&["lock", "all"], "Everything"),
    ] {
        let locked = home.tells(words);
        assert_eq!(keys(&locked), ["lock", "what"]);
        assert_eq!(locked["what"], what);
        let id = locked["lock"].as_str().unwrap();
        let opened = home.tells(&["unlock", id]);
        assert_eq!(opened["lock"], id);
        assert!(opened["link"].as_str().unwrap().ends_with(&format!("/locks#{id}")), "{opened}");
    }
    assert!(home.tells(&["caller", "show", "bot"])["lock"].is_string(), "unlock lifted nothing");
    let listed = home.tells(&["lock", "list"]);
    assert_eq!(keys(&listed["locks"][0]), ["by", "lock", "since", "until", "what", "why"]);
    let whats = ["Everything", "The upstream ops", "Every caller that robin is behind", "The caller bot"];
    assert_eq!(names(&listed["locks"], "what"), whats, "newest first");
    let text = home.does(&["lock", "list"]);
    for lock in names(&listed["locks"], "lock") {
        assert!(text.contains(lock), "what unlock needs is shown whole: {text}");
    }
    home.run(&["unlock", "nothing"]).failed(1, &["`stepup lock list`"]);
    let text = home.does(&["caller", "show", "bot"]);
    assert!(text.contains("odd calls"), "{text}");
    home.run(&["lock", "all", "--for", "ages"]).failed(2, &["--for", "ages", "15m"]);
    home.run(&["unlock", "lck_"]).failed(1, &["type more"]);
}

#[test]
fn requests_grants_and_definitions_begin_empty() {
    let home = Home::new();
    assert_eq!(home.does(&["requests", "list"]), "Nothing waits.\n");
    assert_eq!(home.tells(&["requests", "list", "--all"]), json!({ "requests": [] }));
    assert_eq!(home.does(&["grants", "list"]), "There are no grants.\n");
    assert_eq!(home.tells(&["grants", "list"]), json!({ "grants": [] }));
    assert_eq!(home.tells(&["upstream", "list"]), json!({ "tools": [] }));
    assert_eq!(home.tells(&["upstream", "diff"]), json!({ "waiting": [] }));
}

/// A program that states one tool with that description, and answers nothing else.
fn states(description: &str) -> String {
    let tool = json!({ "name": "pay", "description": description, "inputSchema": { "type": "object" } });
    let initialized = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                              "serverInfo": { "name": "other", "version": "1" } });
    format!(
        r#"while IFS= read -r line; do
  id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
  case "$line" in
    *'"initialize"'*) echo '{{"jsonrpc":"2.0","id":'"$id"',"result":{initialized}}}' ;;
    *'"tools/list"'*) echo '{{"jsonrpc":"2.0","id":'"$id"',"result":{{"tools":[{tool}]}}}}' ;;
    *'"id":'*) echo '{{"jsonrpc":"2.0","id":'"$id"',"error":{{"code":-32601,"message":"no"}}}}' ;;
  esac
done
"#
    )
}

#[test]
fn a_definition_that_changed_is_told_by_its_change_and_accepted_by_no_command() {
    let home = Home::new();
    let program = home.path().canonicalize().unwrap().with_file_name("ops").join("other.sh");
    std::fs::write(&program, states("Pays.")).unwrap();
    let config = home.read("stepup.toml")
        + &format!(
            "\n[upstreams.other]\ncommand = [\"/bin/sh\", {program:?}]\nera = \"legacy\"\n\
             [upstreams.other.tools.pay]\nreviewed = \"read-only\"\n"
        );
    home.write("stepup.toml", &config);
    let mut server = home.serve();
    server.until("the tool is pinned", |_| home.does(&["upstream", "list"]).contains("other/pay"));
    assert_eq!(home.tells(&["upstream", "diff", "other", "pay"]), json!({ "waiting": [] }));
    drop(server);
    std::fs::write(&program, states("Pays twice.")).unwrap();
    let mut server = home.serve();
    server.until("the change is seen", |_| home.tells(&["upstream", "diff"])["waiting"] != json!([]));

    let told = home.tells(&["upstream", "diff", "other"]);
    assert_eq!(keys(&told), ["link", "waiting"]);
    let one = &told["waiting"][0];
    let change =
        json!([{ "path": "/description", "how": "changed", "before": "Pays.", "after": "Pays twice." }]);
    assert_eq!(one["members"], change);
    assert_eq!(one["void"], json!({ "grants": [], "all_grants": true, "reviewed": "read-only" }));
    let text = home.does(&["upstream", "diff", "other", "pay"]);
    assert!(text.starts_with("other: the tool “pay” is changed\n  seen since "), "{text}");
    assert!(text.contains("\n  changed /description\n    - Pays.\n    + Pays twice.\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal: {text:?}");

    assert_eq!(home.tells(&["upstream", "diff", "ops"]), json!({ "waiting": [] }), "narrowed to another");
    home.run(&["upstream", "diff", "nobody"]).failed(1, &["no such upstream", "`stepup upstream list`"]);
    home.run(&["upstream", "diff", "other", "nothing"]).failed(1, &["nothing of that name"]);
    assert!(home.does(&["upstream", "accept", "other/pay"]).contains("passkey"));
    assert_eq!(home.tells(&["upstream", "diff"])["waiting"].as_array().unwrap().len(), 1, "it still waits");
}

#[test]
fn the_rules_come_into_force_by_command() {
    let home = Home::new();
    assert_eq!(home.tells(&["policy", "show"])["rules"], json!([]), "nothing is in force at first");
    let first = home.tells(&["policy", "activate"]);
    assert_eq!(keys(&first), ["changed", "findings", "policy"]);
    assert_eq!(first["changed"], true);
    let shown = home.tells(&["policy", "show"]);
    assert_eq!(shown["policy"], first["policy"]);
    assert!(shown["rules"].as_array().unwrap().contains(&json!("deploy-outside-staging")), "{shown}");
    assert_eq!(home.tells(&["policy", "activate"])["changed"], false, "once is enough");
}

#[test]
fn the_log_is_read_shown_exported_and_verified() {
    let home = Home::new();
    home.caller("bot");
    let tail = home.tells(&["log", "tail", "-n", "3"]);
    assert_eq!(keys(&tail), ["records", "root", "size"]);
    let records = tail["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(keys(&records[0]), ["at", "kind", "leaf", "record"]);
    let last = records[2]["leaf"].as_u64().unwrap();
    assert_eq!(last + 1, tail["size"].as_u64().unwrap(), "the newest is there");
    assert_eq!(home.does(&["log", "tail", "-n", "2"]).lines().count(), 2);
    assert_eq!(home.does(&["log", "tail", "-n", "0"]), "");
    let all = home.tells(&["log", "tail", "-n", "1000"]);
    let added =
        all["records"].as_array().unwrap().iter().find(|r| r["kind"].as_str().unwrap().contains("caller"));
    let id = added.unwrap_or_else(|| panic!("{all}"))["record"].as_str().unwrap();
    let shown = home.tells(&["log", "show", id]);
    assert_eq!(keys(&shown), ["body", "envelope", "leaf"]);
    assert!(shown["body"].to_string().contains("bot"), "{shown}");
    assert!(home.does(&["log", "show", id]).contains("bot"));

    let file = home.path().join("log.jsonl");
    let name = file.to_str().unwrap();
    let exported = home.tells(&["log", "export", name]);
    assert_eq!(keys(&exported), ["file", "key", "records"]);
    let key = exported["key"].as_str().unwrap();
    let verified = home.tells(&["log", "verify", name, "--key", key]);
    assert_eq!(verified, json!({ "verified": true, "records": exported["records"] }));
    assert!(home.does(&["log", "verify", name, "--key", key]).starts_with("Verified: "));

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    home.run(&["log", "verify", name, "--key", key]).failed(15, &["does not verify"]);
    let said = home.run(&["--json", "log", "verify", name, "--key", key]);
    assert_eq!(said.code, 15);
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap()["verified"], false);
    home.run(&["log", "verify", name, "--key", "nonsense"]).failed(1, &["nothing was verified", "key"]);
    home.run(&["log", "verify", "nowhere.jsonl", "--key", key])
        .failed(1, &["nothing was verified", "nowhere.jsonl"]);
}

#[test]
fn an_export_that_cannot_be_written_leaves_nothing() {
    let home = Home::new();
    home.caller("bot");
    home.run(&["log", "export", "no/such/folder/log.jsonl"])
        .failed(1, &["no/such/folder", "nothing was written"]);
    assert!(!home.path().join("no").exists());
}

#[test]
fn a_log_of_another_installation_does_not_verify_under_this_key() {
    let [mine, theirs] = [(); 2].map(|()| Home::new());
    theirs.caller("bot");
    mine.caller("bot");
    let [key, _] = [&mine, &theirs].map(|home| home.tells(&["log", "export", "log.jsonl"])["key"].clone());
    let log = theirs.path().join("log.jsonl");
    mine.run(&["log", "verify", log.to_str().unwrap(), "--key", key.as_str().unwrap()])
        .failed(15, &["does not verify"]);
}
