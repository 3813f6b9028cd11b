//! `stepup connect`: what a client's own configuration becomes, and that it becomes again what it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::{STEPUP, Said, golden, stepup};

const CONFIG: &str =
    "[upstreams.files]\nurl = \"http://f.example/mcp\"\n[upstreams.ops]\nurl = \"http://o.example/mcp\"\n";

/// Each client, its configuration from its home, and what somebody has there.
const CLIENTS: [(&str, &str, &str); 6] = [
    (
        "claude-code",
        ".claude.json",
        "{\n  \"numStartups\": 7,\n  \"mcpServers\": {},\n  \"userID\": \"0123\"\n}\n",
    ),
    (
        "claude-desktop",
        ".config/Claude/claude_desktop_config.json",
        "{\n    \"mcpServers\": {\n        \"time\": {\n            \"command\": \"uvx\",\n            \"args\": [\"mcp-server-time\"]\n        }\n    }\n}",
    ),
    ("cursor", ".cursor/mcp.json", "{\"mcpServers\": {\"time\": {\"url\": \"https://time.example/mcp\"}}}\n"),
    (
        "vscode",
        ".config/Code/User/mcp.json",
        "{\n\t// mine\n\t\"servers\": {\n\t\t\"time\": {\n\t\t\t\"command\": \"uvx\",\n\t\t\t\"env\": { \"TOKEN\": \"s3cret\" },\n\t\t}, // the time\n\t},\n}\n",
    ),
    (
        "codex",
        ".codex/config.toml",
        "model = \"m\"\n\n[mcp_servers.time]\ncommand = \"uvx\"\nenv = { TOKEN = \"s3cret\" }\n",
    ),
    ("gemini", ".gemini/settings.json", "{\n  \"theme\": \"Dracula\"\n}\n"),
];

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.at("stepup.toml"), CONFIG).unwrap();
        fs::write(home.at("agent.key"), "stepup_x\n").unwrap();
        fs::set_permissions(home.at("agent.key"), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn has(&self, name: &str, text: &str) -> PathBuf {
        let file = self.at(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut command = stepup(self.0.path());
        for variable in ["CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.0.path()).arg("connect").args(words).output().unwrap().into()
    }

    /// Without what is of this machine and this moment.
    fn plain(&self, text: &str) -> String {
        let home = self.0.path().canonicalize().unwrap();
        let text = text.replace(home.to_str().unwrap(), "/home/robin").replace(STEPUP, "/usr/bin/stepup");
        let stamp = regex::Regex::new("stepup-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}").unwrap();
        stamp.replace_all(&text, "stepup-TIME-DIGEST").into_owned()
    }
}

fn words<'a>(client: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let key: &[&str] = if client == "claude-desktop" { &["--key-file", "agent.key"] } else { &[] };
    [&[client], key, more].concat()
}

#[test]
fn what_is_written_for_each_client_is_what_was_looked_at_and_is_taken_out_to_the_byte() {
    let mut pages = Vec::new();
    for (client, path, before) in CLIENTS {
        for form in [&[][..], &["--each"]] {
            let home = Home::new();
            let file = home.has(path, before);
            let said = home.run(&words(client, &[form, &["--yes"]].concat())).done();
            let after = fs::read_to_string(&file).unwrap();
            let title = [&["connect", client], form].concat().join(" ");
            pages.push(home.plain(&format!("# stepup {title}\n{said}\n## {path}\n{after}")));
            assert!(home.run(&words(client, &[form, &["--yes"]].concat())).done().contains("Nothing to do"));
            assert_eq!(fs::read_to_string(&file).unwrap(), after);
            home.run(&[client, "--remove", "--yes"]).done();
            assert_eq!(fs::read_to_string(&file).unwrap(), before, "{client}");
            let beside = fs::read_dir(file.parent().unwrap()).unwrap();
            assert_eq!(beside.filter(|f| is_backup(&f.as_ref().unwrap().path())).count(), 0);
        }
    }
    golden("tests/golden/connect.txt", &pages.join("\n"));
}

fn is_backup(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().contains(".stepup-")
}

#[test]
fn without_a_terminal_nothing_is_written_unless_told() {
    let home = Home::new();
    let file = home.has(".cursor/mcp.json", "{}");
    home.run(&["cursor"]).failed(2, &["no terminal", "--yes", "--dry-run"]);
    home.run(&["cursor", "--dry-run"]).done();
    home.run(&["claude-desktop", "--yes"]).failed(2, &["--key-file", "chmod 600"]);
    home.run(&["cursor", "--upstream", "opps", "--yes"]).failed(1, &["opps", "files, ops"]);
    home.run(&["cursor", "--each", "--upstream", "ops"]).failed(2, &["--each", "--upstream"]);
    home.run(&["cursor", "--each", "--remove"]).failed(2, &["--each", "--remove"]);
    home.run(&["emacs"]).failed(2, &["claude-code"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "{}");
}

#[test]
fn programs_are_told_what_was_written_and_removing_needs_no_configuration() {
    let home = Home::new();
    let file = home.has(".codex/config.toml", "model = \"m\"\n");
    let json = |said: Said| serde_json::from_str::<Value>(&said.done()).unwrap();
    let written = json(home.run(&["codex", "--upstream", "ops", "--key-env", "OPS_KEY", "--yes", "--json"]));
    assert_eq!(written["added"], serde_json::json!(["stepup-ops"]));
    assert_eq!(written["written"], true);
    let backup = written["backup"].as_str().unwrap();
    assert_eq!(fs::metadata(backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains("bearer_token_env_var = \"OPS_KEY\""));
    let replaced = json(home.run(&["codex", "--key-env", "KEY", "--yes", "--json"]));
    assert_eq!(
        (&replaced["added"], &replaced["removed"]),
        (&serde_json::json!(["stepup"]), &written["added"])
    );
    fs::remove_file(home.at("stepup.toml")).unwrap();
    let removed = json(home.run(&["codex", "--remove", "--yes", "--json"]));
    assert_eq!(removed["removed"], replaced["added"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "model = \"m\"\n");
    home.run(&["codex", "--yes"]).failed(1, &["stepup.toml", "stepup init"]);
}
