use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::clients::{Account, CLIENTS, Client, Format, Of, Way};
use super::edit::{self, Unfit};
use crate::cli::{Connect, Exit, Said, Spoken};
use crate::clock::Machine;

/// Both forms: whether there is an entry for each upstream, and the names of the entries.
const FORMS: [(bool, &[&str]); 2] = [(false, &["stepup"]), (true, &["stepup-files", "stepup-ops"])];

/// Every client in both forms.
fn clients_and_forms() -> impl Iterator<Item = (&'static Client, bool, &'static [&'static str])> {
    CLIENTS.iter().flat_map(|client| FORMS.map(|(each, names)| (client, each, names)))
}

/// A home, and beside it a configuration of two upstreams.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.upstreams("[agents]\nlisten = \"127.0.0.1:7300\"\n");
        let key = home.at("agent.key");
        fs::write(&key, "stepup_key").unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn upstreams(&self, agents: &str) {
        let text =
            "[upstreams.files]\nurl = \"http://f.example\"\n[upstreams.ops]\nurl = \"http://o.example\"\n";
        fs::write(self.at("stepup.toml"), format!("{agents}{text}")).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn account(&self) -> Account<'static> {
        Account { home: self.at("home"), variable: &|_| None, macos: false }
    }

    /// Where a client has its configuration, in a folder that is there.
    fn file(&self, client: &Client) -> PathBuf {
        let file = client.file(&self.account());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        file
    }

    fn how(&self, client: &Client) -> Connect {
        let key_file = client.http.is_none().then(|| self.at("agent.key"));
        Connect {
            client: client.name.to_owned(),
            remove: false,
            upstreams: Vec::new(),
            each: false,
            key_env: "STEPUP_KEY".to_owned(),
            key_file,
            file: None,
            dry_run: false,
            yes: true,
        }
    }

    fn connect(&self, how: &Connect) -> Spoken {
        self.asked(how, &mut |question| panic!("{question}"))
    }

    fn asked(&self, how: &Connect, ask: &mut dyn FnMut(&str) -> Result<bool, Said>) -> Spoken {
        super::at(how, &self.at("stepup.toml"), &self.account(), ask, &Machine::default())
    }

    #[track_caller]
    fn add(&self, client: &Client, each: bool) -> Said {
        self.connect(&Connect { each, ..self.how(client) }).unwrap()
    }

    #[track_caller]
    fn remove(&self, client: &Client) -> Said {
        self.connect(&Connect { remove: true, ..self.how(client) }).unwrap()
    }

    /// What is beside a file, but for itself.
    fn beside(&self, file: &Path) -> Vec<PathBuf> {
        let all = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> = all.filter(|path| path != file && path.is_file()).collect();
        all.sort();
        all
    }
}

/// Configurations that people have, with `TABLE` for where servers are.
const JSON: &[&str] = &[
    "{}",
    "{}\n",
    "{\n}\n",
    "",
    "\n",
    "{\"TABLE\":{}}",
    "{\n  \"numStartups\": 7,\n  \"TABLE\": {}\n}\n",
    "{\n  \"TABLE\": {\n  },\n  \"theme\": \"dark\"\n}",
    "{\n  \"TABLE\": {\n    \"other\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"x@1\"]\n    }\n  },\n  \"theme\": \"dark\"\n}\n",
    "{\n\t\"theme\": \"dark\",\n\t\"TABLE\": {\n\t\t\"other\": { \"url\": \"https://o.example/mcp\" }\n\t}\n}\n",
    "{\r\n  \"TABLE\": {\r\n    \"other\": {}\r\n  }\r\n}\r\n",
    "{\"a\":1,\"TABLE\":{\"b\":{\"command\":\"c\"},\"d\":{}},\"z\":[1,2]}",
    "{ \"TABLE\": { \"b\": {\"command\": \"c\"} } }",
    "// mine\n{\n  // servers, mostly\n  \"TABLE\": {\n    \"b\": {}, // the first\n    /* the second,\n       which is { odd */\n    \"c\": { \"x\": [1, 2,], }, // it's \"last\"\n  },\n  // end\n}\n",
    "{\n  \"TABLE\": {\n    \"b\": {} // no comma, } but a comment\n  }\n}\n",
    "{\n  \"TABLE\": { // on the line\n  }\n}\n",
    "\u{feff}{\n    \"TABLE\": {\n        \"b\": {}\n    }\n}",
    "{\n  \"say\": \"a \\\"quoted\\\" // no comment, \\\\\", \"and\": \"/* { [ */\",\n  \"TABLE\": {\"é\": {\"n\": 1.50, \"u\": \"\\u00e9\"}}}\n",
    "{\"pasted\": \"TABLE\", \"TABLE\": {\n\"b\": {}}}",
];

const TOML: &[&str] = &[
    "",
    "\n",
    "model = \"m\" # mine\n",
    "model = \"m\"",
    "# all comments\n",
    "model = \"m\"\n\n[mcp_servers.other]\ncommand = \"npx\"\nargs = [\n  \"-y\",\n  \"x@1\",\n]\n\n[mcp_servers.other.env]\nTOKEN = \"t\"\n",
    "[tui]\r\ntheme = \"dark\"\r\n",
    "say = '''\n[mcp_servers.stepup-ops]\nurl = \"no\"\n'''\n\n[tui]\n",
    "mcp_servers.other.command = \"c\"\n",
    "l = [\n  [\"mcp_servers.stepup-ops\"],\n[ \"]\" ]\n]\n[tui]\n",
    "when = 2026-01-01T00:00:00Z\n[[list]]\na = 1\n[[list]]\na = 2\n",
];

fn documents(client: &Client) -> Vec<String> {
    match client.format {
        Format::Json => JSON.iter().map(|text| text.replace("TABLE", client.table)).collect(),
        Format::Toml => TOML.iter().map(|text| (*text).to_owned()).collect(),
    }
}

#[test]
fn what_was_put_in_is_taken_out_to_the_byte_in_every_client_and_every_form() {
    for (client, each, names) in clients_and_forms() {
        for before in documents(client) {
            let home = Home::new();
            let file = home.file(client);
            fs::write(&file, &before).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let said = home.add(client, each);
            assert_eq!(said.json["added"], json!(names), "{} {before:?}", client.name);
            let after = fs::read_to_string(&file).unwrap();
            let entries = edit::entries(client, &after).unwrap();
            for name in names {
                let of = Of::named(name).unwrap();
                assert!(client.made(&of, &entries[*name]), "{} {after}", client.name);
            }
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640, "the mode is kept");
            let [backup] = &home.beside(&file)[..] else { panic!("there is one backup") };
            assert_eq!(fs::metadata(backup).unwrap().mode() & 0o7777, 0o600);
            assert_eq!(fs::read_to_string(backup).unwrap(), before);

            let again = home.add(client, each);
            assert!(again.text.contains("Nothing to do"), "{}", again.text);
            assert_eq!(fs::read_to_string(&file).unwrap(), after, "twice is once");
            assert_eq!(home.beside(&file), std::slice::from_ref(backup));

            home.remove(client);
            assert_eq!(fs::read_to_string(&file).unwrap(), before, "{}", client.name);
            assert_eq!(home.beside(&file), [] as [PathBuf; 0], "what is put back needs no backup");
            assert!(home.remove(client).text.contains("Nothing to do"));
        }
    }
}

#[test]
fn each_form_takes_the_others_place_and_what_comes_back_is_what_was_before_both() {
    for (client, each, names) in clients_and_forms() {
        for before in documents(client) {
            let home = Home::new();
            let file = home.file(client);
            fs::write(&file, &before).unwrap();
            let others = edit::entries(client, &before).unwrap();
            let other = home.add(client, !each);
            let said = home.add(client, each);
            assert_eq!(said.json["added"], json!(names), "{} {before:?}", client.name);
            assert_eq!(said.json["removed"], other.json["added"]);
            let mut now = edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap();
            now.retain(|name, _| !names.contains(&name.as_str()));
            assert_eq!(now, others, "those of others are there, and of ours one form");
            let [backup] = &home.beside(&file)[..] else { panic!("there is one backup") };
            assert_eq!(fs::read_to_string(backup).unwrap(), before, "as it was before stepup first came");
            home.remove(client);
            assert_eq!(fs::read_to_string(&file).unwrap(), before, "{}", client.name);
        }
    }
}

#[test]
fn an_upstream_of_its_own_ends_the_entry_for_all_and_that_one_ends_those_of_upstreams_that_are_gone() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        let names = || edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap();
        home.add(client, false);
        let ops = Connect { upstreams: vec!["ops".to_owned()], ..home.how(client) };
        assert_eq!(home.connect(&ops).unwrap().json["removed"], json!(["stepup"]));
        assert!(names().keys().eq(["stepup-ops"]), "{}", client.name);
        let config = fs::read_to_string(home.at("stepup.toml")).unwrap();
        fs::write(home.at("stepup.toml"), config.replace("upstreams.ops", "upstreams.new")).unwrap();
        assert_eq!(home.add(client, false).json["removed"], json!(["stepup-ops"]));
        assert!(names().keys().eq(["stepup"]), "{}", client.name);
    }
}

#[test]
fn both_forms_that_somebody_put_side_by_side_are_taken_out_together() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        let both: Map<String, Value> = [false, true]
            .iter()
            .flat_map(|each| wanted(client, *each))
            .map(|(of, entry)| (of.name(), entry))
            .collect();
        let text = match client.format {
            Format::Json => json!({ client.table: both }).to_string(),
            Format::Toml => both.iter().fold(String::new(), |text, (name, entry)| {
                super::toml::with(&text, client.table, name, entry)
            }),
        };
        fs::write(&file, text).unwrap();
        assert_eq!(home.remove(client).json["removed"], json!(["stepup", "stepup-files", "stepup-ops"]));
        assert_eq!(edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap(), Map::new());
    }
}

#[test]
fn every_line_that_was_there_is_still_there() {
    for (client, each, _) in clients_and_forms() {
        for before in documents(client).iter().filter(|text| !text.trim().is_empty()) {
            let home = Home::new();
            let file = home.file(client);
            fs::write(&file, before).unwrap();
            home.add(client, each);
            let after = fs::read_to_string(&file).unwrap();
            // What is there is there in the same order: only bytes are put in.
            let mut rest = after.bytes();
            assert!(before.bytes().all(|byte| rest.any(|other| other == byte)), "{before:?} {after:?}");
            assert_eq!(after.contains("\r\n"), before.contains("\r\n"));
            assert!(!after.contains("\r\n") || !after.replace("\r\n", "").contains('\n'), "{after:?}");
        }
    }
}

/// Without a backup too, where something was in the table before.
#[test]
fn an_entry_of_ours_among_others_leaves_no_trace() {
    for (client, each, _) in clients_and_forms() {
        for before in documents(client).iter().filter(|text| text.contains("\"b\"") || text.contains("other"))
        {
            let wanted = wanted(client, each);
            let added = edit::add(client, before, &wanted, client.asks()).unwrap();
            let removed = edit::remove(client, &added.text, &[]).unwrap();
            if client.asks() {
                assert!(edit::alike(client, before, &removed.text), "{before:?} {:?}", removed.text);
            } else {
                assert_eq!(removed.text, *before, "{}", client.name);
            }
        }
    }
}

fn wanted(client: &Client, each: bool) -> Vec<(Of, Value)> {
    let way = match client.http {
        Some(_) => Way::Http { base: "http://127.0.0.1:7300".to_owned(), variable: "STEPUP_KEY".to_owned() },
        None => Way::Stdio {
            program: "/bin/stepup".into(),
            url: "http://127.0.0.1:7300".to_owned(),
            key: "/k".into(),
        },
    };
    let (_, names) = FORMS[usize::from(each)];
    let entry = |of: Of| (of.clone(), client.entry(&of, &way).unwrap());
    names.iter().map(|name| entry(Of::named(name).unwrap())).collect()
}

#[test]
fn a_file_that_was_not_there_is_gone_again() {
    for (client, each, _) in clients_and_forms() {
        let home = Home::new();
        let file = home.file(client);
        home.add(client, each);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        home.remove(client);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0, "{}", client.name);
    }
}

#[test]
fn no_folder_is_made_for_a_client_that_is_not_here() {
    for client in &CLIENTS {
        let home = Home::new();
        let refused = home.connect(&home.how(client)).unwrap_err();
        assert!(
            refused.text.contains("there is no folder") && refused.text.contains("--file"),
            "{}",
            refused.text
        );
        assert!(!home.at("home").exists());
    }
}

#[test]
fn what_somebody_changed_since_is_kept_when_ours_goes() {
    for (client, each, _) in clients_and_forms() {
        let home = Home::new();
        let file = home.file(client);
        let (before, theirs) = match client.format {
            Format::Json => (
                "{\n  \"TABLE\": {\n    \"b\": {}\n  }\n}\n",
                "{\n  \"TABLE\": {\n    \"b\": {}, // new\n    \"c\": {}\n  }\n}\n",
            ),
            Format::Toml => ("a = 1\n", "a = 1\n\n# new\n[mcp_servers.c]\n"),
        };
        let [before, theirs] = [before, theirs].map(|text| text.replace("TABLE", client.table));
        fs::write(&file, before).unwrap();
        home.add(client, each);
        // Somebody adds a server of their own behind ours.
        let ours = fs::read_to_string(&file).unwrap();
        let changed = match client.format {
            Format::Json => {
                let with = edit::add(client, &theirs, &wanted(client, each), client.asks()).unwrap().text;
                with.replace("7300", "7399")
            }
            Format::Toml => format!("{ours}\n# new\n[mcp_servers.c]\n"),
        };
        fs::write(&file, &changed).unwrap();
        let kept = home.remove(client).json["backup"].as_str().unwrap().to_owned();
        let left = fs::read_to_string(&file).unwrap();
        assert!(edit::alike(client, &left, &theirs), "{left}");
        assert!(left.contains(if client.format == Format::Json { "// new" } else { "# new" }), "{left}");
        assert_eq!(fs::read_to_string(kept).unwrap(), changed, "the backup is what was before this");
        assert_eq!(home.beside(&file).len(), 1, "one backup");
    }
}

#[test]
fn one_upstream_comes_and_goes_while_another_stays_and_the_first_backup_is_what_comes_back() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        let before = documents(client)[6].clone();
        fs::write(&file, &before).unwrap();
        let one =
            |name: &str, remove| Connect { upstreams: vec![name.to_owned()], remove, ..home.how(client) };
        home.connect(&one("ops", false)).unwrap();
        home.connect(&one("files", false)).unwrap();
        assert_eq!(home.beside(&file).len(), 1);
        let said = home.connect(&one("ops", true)).unwrap();
        assert_eq!(said.json["removed"], json!(["stepup-ops"]));
        let names: Vec<String> =
            edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap().keys().cloned().collect();
        assert!(names.contains(&"stepup-files".to_owned()) && !names.contains(&"stepup-ops".to_owned()));
        home.connect(&one("files", true)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), before, "{}", client.name);
    }
}

#[test]
fn an_entry_that_is_not_ours_is_never_touched() {
    for (client, each, names) in clients_and_forms() {
        let name = names[names.len() - 1];
        for theirs in [
            json!({ "command": "npx", "args": ["stepup-ops"] }),
            json!({ "url": "https://elsewhere.example/sse" }),
            json!({ "url": "http://127.0.0.1:7300/mcp", "headers": { "Authorization": "Bearer literal" } }),
            json!({ "url": "http://127.0.0.1:7300/mcp/ops", "headers": { "Authorization": "Bearer literal" } }),
            json!({ "command": "stepup", "args": ["stdio"] }),
            json!({ "command": "stepup", "args": ["stdio", "--upstream", "files"] }),
        ] {
            let home = Home::new();
            let file = home.file(client);
            let text = match client.format {
                Format::Json => json!({ client.table: { name: theirs } }).to_string(),
                Format::Toml => super::toml::with("", client.table, name, &theirs),
            };
            fs::write(&file, &text).unwrap();
            let refused = home.connect(&Connect { each, ..home.how(client) }).unwrap_err();
            assert!(refused.text.contains(name) && refused.text.contains("not made by"), "{}", refused.text);
            assert!(home.remove(client).text.contains("Nothing to do"));
            if each {
                let named = Connect { remove: true, upstreams: vec!["ops".to_owned()], ..home.how(client) };
                assert!(home.connect(&named).unwrap_err().text.contains("not made by"));
            }
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(home.beside(&file), [] as [PathBuf; 0]);
            // It is in nobody's way where the other form is asked for, and stays.
            home.add(client, !each);
            let now = edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(now[name], edit::entries(client, &text).unwrap()[name]);
            home.remove(client);
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
    }
}

#[test]
fn another_address_is_a_change_and_what_somebody_added_is_none() {
    for (client, each, names) in clients_and_forms().filter(|(client, ..)| client.http.is_some()) {
        let home = Home::new();
        let file = home.file(client);
        home.add(client, each);
        let text = fs::read_to_string(&file).unwrap();
        let last = names[names.len() - 1];
        let theirs = match client.format {
            Format::Json => {
                text.replacen(&format!("\"{last}\": {{"), &format!("\"{last}\": {{ \"timeout\": 9,"), 1)
            }
            Format::Toml => format!("{text}tool_timeout_sec = 9\n"),
        };
        assert_ne!(theirs, text);
        fs::write(&file, &theirs).unwrap();
        assert!(home.add(client, each).text.contains("Nothing to do"), "{}", client.name);
        home.upstreams("[agents]\nlisten = \"127.0.0.1:9999\"\n");
        let said = home.add(client, each);
        assert_eq!(said.json["changed"], json!(names));
        let now = fs::read_to_string(&file).unwrap();
        assert!(now.contains(":9999/mcp") && !now.contains(":7300"), "{now}");
    }
}

/// What cannot be edited, and what is said of it.
const UNFIT: &[(&str, &str)] = &[
    ("{", "broken"),
    ("{ \"a\": 1 /* no end", "broken"),
    ("{\"a\": \"SECRET\" tru}", "broken"),
    ("{,}", "broken"),
    ("{\"a\": [1,,]}", "broken"),
    ("{} {}", "broken"),
    ("[]", "outermost"),
    ("{\"TABLE\": []}", "TABLE"),
    ("{\"TABLE\": null}", "TABLE"),
    ("{\"TABLE\": {}, \"TABLE\": {}}", "twice"),
    ("{\"TABLE\": {}, \"T\\u0041BLE\": {\"b\": {}}}", "twice"),
];

const UNFIT_TOML: &[(&str, &str)] = &[
    ("token = \"SECRET\" x", "broken"),
    ("a = 1\na = 2\n", "broken"),
    ("mcp_servers = 3\n", "mcp_servers"),
    ("mcp_servers = { b = { command = \"c\" } }\n", "changing more"),
    ("say = \"\"\"\n[tui]\n", "broken"),
];

#[test]
fn what_cannot_be_edited_safely_is_left_alone_with_what_to_paste() {
    for client in &CLIENTS {
        let (texts, escape) = match client.format {
            Format::Json => (UNFIT, format!("\\u{:04x}", u32::from(client.table.chars().nth(1).unwrap()))),
            Format::Toml => (UNFIT_TOML, String::new()),
        };
        let deep = ("[".repeat(100_000), "broken");
        let escaped = client
            .table
            .chars()
            .next()
            .map(|first| format!("{first}{escape}{}", &client.table[2..]))
            .unwrap();
        let texts = texts.iter().map(|(text, what)| {
            (text.replace("T\\u0041BLE", &escaped).replace("TABLE", client.table), *what)
        });
        for (text, what) in texts.chain([deep]) {
            let home = Home::new();
            let file = home.file(client);
            fs::write(&file, &text).unwrap();
            let refused = home.connect(&home.how(client)).unwrap_err().text;
            let what = what.replace("TABLE", client.table);
            assert!(refused.contains(&what), "{} {text:.99}: {refused:.999}", client.name);
            assert!(refused.contains("nothing was changed") && refused.contains("stepup"), "{refused:.999}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(home.beside(&file), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn what_is_no_file_of_text_is_left_alone() {
    let client = Client::named("cursor").unwrap();
    let pipe = |path: &Path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap()
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let cases: [(Make<'_>, &str); 5] = [
        (&|path| fs::create_dir(path).unwrap(), "regular file"),
        (&pipe, "regular file"),
        (&|path| fs::write(path, [b'{', 0xff, b'}']).unwrap(), "UTF-8"),
        (&|path| fs::write(path, vec![b' '; (8 << 20) + 1]).unwrap(), "8 MiB"),
        (&|path| symlink("nowhere", path).unwrap(), "No such file"),
    ];
    for (make, what) in cases {
        let home = Home::new();
        let file = home.file(client);
        make(&file);
        for remove in [false, true] {
            let refused = home.connect(&Connect { remove, ..home.how(client) }).unwrap_err().text;
            assert!(refused.contains(what) && refused.contains("nothing was changed"), "{what}: {refused}");
        }
        assert!(fs::symlink_metadata(&file).is_ok());
    }
    let home = Home::new();
    fs::write(home.file(client), " ".repeat(8 << 20)).unwrap();
    home.add(client, false);
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        fs::create_dir(home.at("dotfiles")).unwrap();
        let kept = home.at("dotfiles/kept");
        let before = documents(client)[6].clone();
        fs::write(&kept, &before).unwrap();
        symlink(&kept, &file).unwrap();
        home.add(client, false);
        assert_eq!(fs::read_link(&file).unwrap(), kept);
        assert!(fs::read_to_string(&kept).unwrap().contains("stepup"));
        assert_eq!(home.beside(&kept).len(), 1, "the backup is beside the file, not beside the link");
        home.remove(client);
        assert_eq!(fs::read_link(&file).unwrap(), kept);
        assert_eq!(fs::read_to_string(&kept).unwrap(), before);
    }
}

#[test]
fn a_file_stays_its_owners() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root edits what belongs to others");
        return;
    }
    let client = Client::named("gemini").unwrap();
    let home = Home::new();
    let file = home.file(client);
    fs::write(&file, "{}").unwrap();
    std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
    home.add(client, false);
    for path in [&file, &home.beside(&file)[0]] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 4321), "{}", path.display());
    }
}

#[test]
fn what_somebody_writes_while_we_ask_is_not_overwritten() {
    for client in &CLIENTS {
        for there in [true, false] {
            let home = Home::new();
            let file = home.file(client);
            if there {
                fs::write(&file, documents(client)[6].clone()).unwrap();
            }
            let how = Connect { yes: false, ..home.how(client) };
            let refused = home.asked(&how, &mut |_| {
                fs::write(&file, "theirs").unwrap();
                Ok(true)
            });
            let refused = refused.unwrap_err().text;
            assert!(refused.contains("meanwhile"), "{refused}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
            assert_eq!(home.beside(&file), [] as [PathBuf; 0], "neither backup nor temporary file is left");
        }
    }
}

#[test]
fn nothing_is_written_before_somebody_says_yes() {
    let client = Client::named("codex").unwrap();
    let home = Home::new();
    let file = home.file(client);
    let asked = Connect { yes: false, ..home.how(client) };
    assert_eq!(home.asked(&asked, &mut |_| Ok(false)).unwrap().json["written"], false);
    let no_terminal = home.asked(&asked, &mut |_| Err(Said::failed("no", "").exit(Exit::Usage)));
    assert_eq!(no_terminal.unwrap_err().exit, Exit::Usage);
    let dry = home.connect(&Connect { dry_run: true, yes: false, ..home.how(client) }).unwrap();
    assert!(dry.text.contains("+[mcp_servers.stepup]"), "{}", dry.text);
    assert!(!file.exists());
    home.asked(&asked, &mut |_| Ok(true)).unwrap();
    assert!(file.exists());
}

#[test]
fn what_is_not_ours_is_not_shown() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        let text = match client.format {
            Format::Json => {
                "{\"k\": \"SECRET\", // SECRET\n \"TABLE\": {\"b\": {\"env\": {\"T\": \"SE\\\"CRET\"}, \"l\": [\"SECRET\"]}}}"
            }
            Format::Toml => {
                "s = \"SECRET\"\nm = '''\nSECRET\n[\"SECRET\"]\n'''\n[mcp_servers.b.env]\nT = \"SECRET\" # SECRET\n"
            }
        };
        fs::write(&file, text.replace("TABLE", client.table)).unwrap();
        let said = home.add(client, false);
        let asserted = |said: &Said| {
            for text in [&said.text, &said.json.to_string()] {
                assert!(
                    text.contains("stepup") && !text.contains("SECRET") && !text.contains("CRET"),
                    "{text}"
                );
            }
        };
        asserted(&said);
        // What somebody added to an entry of ours neither.
        let text = fs::read_to_string(&file).unwrap();
        let theirs = match client.format {
            Format::Json => text.replacen("\"stepup\": {", "\"stepup\": {\"env\": {\"T\": \"SECRET\"},", 1),
            Format::Toml => format!("{text}http_headers = {{ X = \"SECRET\" }}\n"),
        };
        assert_ne!(text, theirs, "{text}");
        fs::write(&file, theirs).unwrap();
        asserted(&home.remove(client));
    }
}

#[test]
fn no_key_is_ever_written() {
    for client in &CLIENTS {
        let home = Home::new();
        let file = home.file(client);
        home.connect(&Connect { key_file: Some(home.at("agent.key")), ..home.how(client) }).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("agent.key") && !text.contains("stepup_key"), "{text}");
    }
    let refused = |how: &Connect, home: &Home| home.connect(how).unwrap_err();
    let home = Home::new();
    let desktop = Client::named("claude-desktop").unwrap();
    home.file(desktop);
    let without = Connect { key_file: None, ..home.how(desktop) };
    assert_eq!(refused(&without, &home).exit, Exit::Usage);
    fs::set_permissions(home.at("agent.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refused(&home.how(desktop), &home).text.contains("chmod 600"));
    let gone = Connect { key_file: Some(home.at("gone.key")), ..home.how(desktop) };
    assert!(refused(&gone, &home).text.contains("gone.key"));
    for name in ["", "1A", "A B", "A}$", "stepup_…"] {
        let code = Client::named("claude-code").unwrap();
        let how = Connect { key_env: name.to_owned(), ..home.how(code) };
        assert_eq!(refused(&how, &home).exit, Exit::Usage, "{name}");
    }
}

#[test]
fn each_client_is_looked_for_where_it_looks() {
    let none = |_: &str| None;
    let some = |name: &str| Some(format!("/moved/{name}").into());
    let places = |macos, variable: &dyn Fn(&str) -> Option<std::ffi::OsString>| {
        let account = Account { home: "/home/a".into(), variable, macos };
        CLIENTS.iter().map(|client| client.file(&account).display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        places(false, &none),
        [
            "/home/a/.claude.json",
            "/home/a/.config/Claude/claude_desktop_config.json",
            "/home/a/.cursor/mcp.json",
            "/home/a/.config/Code/User/mcp.json",
            "/home/a/.codex/config.toml",
            "/home/a/.gemini/settings.json",
        ]
    );
    assert_eq!(
        places(true, &none),
        [
            "/home/a/.claude.json",
            "/home/a/Library/Application Support/Claude/claude_desktop_config.json",
            "/home/a/.cursor/mcp.json",
            "/home/a/Library/Application Support/Code/User/mcp.json",
            "/home/a/.codex/config.toml",
            "/home/a/.gemini/settings.json",
        ]
    );
    assert_eq!(
        places(false, &some),
        [
            "/moved/CLAUDE_CONFIG_DIR/.claude.json",
            "/moved/XDG_CONFIG_HOME/Claude/claude_desktop_config.json",
            "/home/a/.cursor/mcp.json",
            "/moved/XDG_CONFIG_HOME/Code/User/mcp.json",
            "/moved/CODEX_HOME/config.toml",
            "/home/a/.gemini/settings.json",
        ]
    );
}

#[test]
fn an_input_that_something_still_refers_to_stays() {
    let client = Client::named("vscode").unwrap();
    let added = edit::add(client, "{\"servers\": {\"b\": {}}}", &wanted(client, true), true).unwrap().text;
    let theirs = added.replace("\"b\": {}", "\"b\": {\"env\": {\"K\": \"${input:stepup-key}\"}}");
    assert_ne!(added, theirs);
    let removed = edit::remove(client, &theirs, &[]).unwrap().text;
    assert!(removed.contains("promptString"), "{removed}");
    let clash = "{\"inputs\": [{\"id\": \"stepup-key\", \"type\": \"pickString\"}]}";
    assert!(matches!(edit::add(client, clash, &wanted(client, true), true), Err(Unfit::Clash(_))));
}

/// Values as configurations have them.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("//".to_owned()),
        Just("/*".to_owned()),
        Just("\"},".to_owned()),
        Just("\\".to_owned()),
        "[a-z\\u{0}-\\u{ff}]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"/*,{} \\\\-]{0,6}", Just("inputs_".to_owned()), Just("stepup-".to_owned())]
}

/// A whole configuration, with a table or without one, before or after other members.
fn configuration(table: &'static str) -> impl Strategy<Value = Value> {
    let members = || prop::collection::vec((name(), value()), 0..4);
    let servers = prop::option::of(members());
    (members(), servers, members()).prop_map(move |(before, servers, after)| {
        let mut whole: Map<String, Value> = before.into_iter().collect();
        if let Some(servers) = servers {
            let servers: Map<String, Value> = servers.into_iter().collect();
            whole.insert(table.to_owned(), servers.into());
        }
        whole.extend(after);
        whole.into()
    })
}

const GAPS: [&str; 8] = ["", " ", "\n", "\n  ", "\t", " // , } \"\n", "/* ] , \" */", "\n\n"];

/// The value as somebody might write it: `gaps` says what stands between any two marks, and where a comma trails.
fn render(value: &Value, gaps: &mut dyn Iterator<Item = usize>, out: &mut String) {
    let mut gap = |out: &mut String| out.push_str(GAPS[gaps.next().unwrap() % GAPS.len()]);
    gap(out);
    let (open, close, items): (_, _, Vec<(Option<&String>, &Value)>) = match value {
        Value::Array(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
        Value::Object(members) => {
            ('{', '}', members.iter().map(|(name, value)| (Some(name), value)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
            return gap(out);
        }
    };
    out.push(open);
    for (at, (name, item)) in items.iter().enumerate() {
        if let Some(name) = name {
            out.push_str(GAPS[gaps.next().unwrap() % GAPS.len()]);
            out.push_str(&Value::from(name.as_str()).to_string());
            out.push_str(GAPS[gaps.next().unwrap() % GAPS.len()]);
            out.push(':');
        }
        render(item, gaps, out);
        if at + 1 < items.len() || gaps.next().unwrap().is_multiple_of(3) {
            out.push(',');
        }
    }
    out.push_str(GAPS[gaps.next().unwrap() % GAPS.len()]);
    out.push(close);
    out.push_str(GAPS[gaps.next().unwrap() % GAPS.len()]);
}

fn written(value: &Value, gaps: &[usize]) -> String {
    let mut out = String::new();
    render(value, &mut gaps.iter().copied().cycle(), &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn removing_what_was_added_gives_the_same_bytes(whole in configuration("mcpServers"), gaps in prop::collection::vec(0..64_usize, 1..9)) {
        let client = Client::named("claude-code").unwrap();
        let before = written(&whole, &gaps);
        let home = Home::new();
        let file = home.file(client);
        fs::write(&file, &before).unwrap();
        home.add(client, false);
        prop_assert_eq!(edit::entries(client, &fs::read_to_string(&file).unwrap()).unwrap().len(), whole.get("mcpServers").map_or(0, |t| t.as_object().unwrap().len()) + 1);
        home.remove(client);
        prop_assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }

    #[test]
    fn without_a_backup_too_nothing_else_is_lost(whole in configuration("servers"), gaps in prop::collection::vec(0..64_usize, 1..9)) {
        let client = Client::named("vscode").unwrap();
        let before = written(&whole, &gaps);
        let added = edit::add(client, &before, &wanted(client, true), true).unwrap().text;
        let mut rest = added.bytes();
        prop_assert!(before.bytes().all(|byte| rest.any(|other| other == byte)), "only put in: {before:?} {added:?}");
        let removed = edit::remove(client, &added, &[]).unwrap().text;
        prop_assert!(edit::alike(client, &before, &removed));
        // Comments are kept.
        let comments = |text: &str| text.matches(" // , } \"\n").count() + text.matches("/* ] , \" */").count();
        prop_assert_eq!(comments(&before), comments(&removed));
    }

    #[test]
    fn tables_of_ours_come_and_go_between_those_of_others(
        whole in prop::collection::btree_map("[a-z\"#\\] -]{1,5}", prop::collection::btree_map("[a-z'#\\[ ]{1,5}", "[a-z\n\"'\\[\\]#=]{0,9}", 0..3), 0..4),
        servers in prop::collection::btree_map("[a-z\"#\\] -]{1,5}", prop::collection::btree_map("[a-z]{1,5}", "[a-z\n\"'\\[\\]#=]{0,9}", 0..3), 0..4),
    ) {
        let client = Client::named("codex").unwrap();
        let mut whole: toml::Table = toml::Table::try_from(whole).unwrap();
        whole.insert("mcp_servers".to_owned(), toml::Value::try_from(servers).unwrap());
        let before = toml::to_string_pretty(&whole).unwrap();
        let added = edit::add(client, &before, &wanted(client, true), false).unwrap().text;
        prop_assert!(added.starts_with(&before));
        prop_assert_eq!(&edit::remove(client, &added, &[]).unwrap().text, &before);
        // And with something of others behind.
        let theirs = format!("{added}\n# new\n[z_z]\nz = 1\n");
        prop_assert_eq!(edit::remove(client, &theirs, &[]).unwrap().text, format!("{before}\n# new\n[z_z]\nz = 1\n"));
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[\\[\\]{}\",:/* a1\\\\\n\\u{feff}\\u{e9}]{0,40}", toml in "[\\[\\]{}\"'=.#a1\n_-]{0,40}") {
        for (client, text) in [("vscode", &text), ("codex", &toml)] {
            let client = Client::named(client).unwrap();
            if let Ok(added) = edit::add(client, text, &wanted(client, true), client.asks()) {
                let removed = edit::remove(client, &added.text, &[]);
                prop_assert!(removed.is_ok_and(|removed| edit::alike(client, text, &removed.text)));
            }
        }
    }
}
