//! The clients, and how each of them writes a server down. A client more is a row more.
//!
//! Established on 2026-11-24 from:
//!
//! | client | what | source |
//! |---|---|---|
//! | Claude Code | user scope in `~/.claude.json`, `mcpServers`, `type` `http`, `${VAR}` in headers | code.claude.com/docs/en/mcp, as cited and measured with 2.1.278 at dev.to/rulestack (2026-09-22); anthropics/claude-code#37165 (2026-03-21) |
//! | | `CLAUDE_CONFIG_DIR` moves the file along | anthropics/claude-code#48448 (2026-04-15) |
//! | Claude Desktop | programs only; macOS and, since 2026-06-30, Linux | agigante80/actual-mcp-server, docs/guides/clients/claude-desktop.md; simongettkandt/claude-desktop, README (both as stored) |
//! | Cursor | `~/.cursor/mcp.json`, `mcpServers`, `url`, `${env:NAME}` in headers | cursor.com/docs/mcp, as cited at gradien-website.pages.dev (2026-06-19) and in Zuplo's page on Cursor |
//! | VS Code | user profile's `mcp.json`, `servers`, `inputs` | microsoft/vscode-docs, docs/copilot/reference/mcp-configuration.md (2026-05-20) |
//! | | `${env:…}` is not replaced in headers, `${input:…}` is | microsoft/vscode#336232 (2026-09-15, open) |
//! | Codex | `$CODEX_HOME/config.toml`, `[mcp_servers.NAME]`, `url`, `bearer_token_env_var`; a token itself is refused | openai/codex, docs/config.md; newtalaria/docs, mcp/codex.md |
//! | Gemini CLI | `~/.gemini/settings.json`, `mcpServers`, `httpUrl`, `${VAR}` in any string | google-gemini/gemini-cli, docs/tools/mcp-server.md; geminicli.com/docs/cli/configuration |
//!
//! Tried that day on what this command writes: `claude` 2.1.197, `codex` 0.169.0 and `gemini` 0.61.0 (in a folder that it
//! trusts) list the servers; `claude` and `gemini` connect, and send the value of the variable. Cursor, VS Code and
//! Claude Desktop are as documented, not tried.
//! Tried again with these versions on 2026-12-01, on the one entry for all upstreams: all three list it, `claude` and `gemini` connect, and
//! it is taken out of the file that `claude` had meanwhile written anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON; with comments, where somebody wrote some.
    Json,
    /// TOML.
    Toml,
}

/// One client.
pub(super) struct Client {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name.
    pub title: &'static str,
    place: Place,
    /// How its configuration is written.
    pub format: Format,
    /// Where in it servers are.
    pub table: &'static str,
    /// How it reaches a server by HTTP; `None` for one that only starts programs.
    pub http: Option<Http>,
    /// What says that a server is a program, where the client wants that said.
    stdio: Option<&'static str>,
}

/// Where a configuration is, from the home of whoever uses the client.
struct Place {
    /// A variable that names another folder, and the file's name there.
    moved: Option<(&'static str, &'static str)>,
    linux: &'static str,
    macos: &'static str,
}

/// How a server that is reached by HTTP is written down.
pub(super) struct Http {
    kind: Option<&'static str>,
    url: &'static str,
    key: Key,
}

/// How the key is written down: never itself.
#[derive(Clone, Copy)]
pub(super) enum Key {
    /// A header, in which the client puts a variable of its environment: `{}` is its name.
    Header(&'static str),
    /// The name of the variable.
    Variable(&'static str),
    /// The client asks for it once and keeps it itself.
    Asked,
}

/// The id of what VS Code asks for.
pub(super) const INPUT: &str = "stepup-key";

/// Every client.
pub(super) const CLIENTS: [Client; 6] = [
    Client {
        name: "claude-code",
        title: "Claude Code",
        place: Place {
            moved: Some(("CLAUDE_CONFIG_DIR", ".claude.json")),
            linux: ".claude.json",
            macos: ".claude.json",
        },
        format: Format::Json,
        table: "mcpServers",
        http: Some(Http { kind: Some("http"), url: "url", key: Key::Header("Bearer ${{}}") }),
        stdio: Some("stdio"),
    },
    Client {
        name: "claude-desktop",
        title: "Claude Desktop",
        place: Place {
            moved: None,
            linux: ".config/Claude/claude_desktop_config.json",
            macos: "Library/Application Support/Claude/claude_desktop_config.json",
        },
        format: Format::Json,
        table: "mcpServers",
        http: None,
        stdio: None,
    },
    Client {
        name: "cursor",
        title: "Cursor",
        place: Place { moved: None, linux: ".cursor/mcp.json", macos: ".cursor/mcp.json" },
        format: Format::Json,
        table: "mcpServers",
        http: Some(Http { kind: None, url: "url", key: Key::Header("Bearer ${env:{}}") }),
        stdio: None,
    },
    Client {
        name: "vscode",
        title: "VS Code",
        place: Place {
            moved: None,
            linux: ".config/Code/User/mcp.json",
            macos: "Library/Application Support/Code/User/mcp.json",
        },
        format: Format::Json,
        table: "servers",
        http: Some(Http { kind: Some("http"), url: "url", key: Key::Asked }),
        stdio: Some("stdio"),
    },
    Client {
        name: "codex",
        title: "Codex",
        place: Place {
            moved: Some(("CODEX_HOME", "config.toml")),
            linux: ".codex/config.toml",
            macos: ".codex/config.toml",
        },
        format: Format::Toml,
        table: "mcp_servers",
        http: Some(Http { kind: None, url: "url", key: Key::Variable("bearer_token_env_var") }),
        stdio: None,
    },
    Client {
        name: "gemini",
        title: "Gemini CLI",
        place: Place { moved: None, linux: ".gemini/settings.json", macos: ".gemini/settings.json" },
        format: Format::Json,
        table: "mcpServers",
        http: Some(Http { kind: None, url: "httpUrl", key: Key::Header("Bearer ${{}}") }),
        stdio: None,
    },
];

/// The account that uses the client: its home and its environment.
pub(super) struct Account<'a> {
    pub home: PathBuf,
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub macos: bool,
}

/// What an entry is for: all upstreams at one address, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// All of them.
    All,
    /// The upstream of this name.
    One(String),
}

impl Of {
    /// The name of the entry.
    pub fn name(&self) -> String {
        match self {
            Self::All => "stepup".to_owned(),
            Self::One(upstream) => format!("stepup-{upstream}"),
        }
    }

    /// What an entry of this name is for, if it is of ours.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("stepup")? {
            "" => Some(Self::All),
            rest => rest.strip_prefix('-').map(|upstream| Self::One(upstream.to_owned())),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::All => "/mcp".to_owned(),
            Self::One(upstream) => format!("/mcp/{upstream}"),
        }
    }

    /// How `stepup stdio` is told.
    fn words(&self) -> Vec<&str> {
        match self {
            Self::All => vec!["stdio"],
            Self::One(upstream) => vec!["stdio", "--upstream", upstream],
        }
    }
}

/// How a client reaches upstreams, and with whose key.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// By HTTP; the key is in a variable of the client's environment, or kept by the client.
    Http {
        /// The address of the gateway.
        base: String,
        /// The variable.
        variable: String,
    },
    /// By a program that the client starts, and that reads the key from a file.
    Stdio {
        /// Our own program.
        program: PathBuf,
        /// The address of the gateway.
        url: String,
        /// The file of the key.
        key: PathBuf,
    },
}

impl Client {
    /// The client of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.name == name)
    }

    /// Where its configuration is.
    pub fn file(&self, account: &Account<'_>) -> PathBuf {
        let set = |name: &str| (account.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some((folder, file)) = self.place.moved.and_then(|(name, file)| Some((set(name)?, file))) {
            return folder.join(file);
        }
        if account.macos {
            return account.home.join(self.place.macos);
        }
        match (self.place.linux.strip_prefix(".config/"), set("XDG_CONFIG_HOME")) {
            (Some(inside), Some(folder)) => folder.join(inside),
            (_, _) => account.home.join(self.place.linux),
        }
    }

    /// The entry. `None` when the client cannot go this way.
    pub fn entry(&self, of: &Of, way: &Way) -> Option<Value> {
        let mut entry = Map::new();
        let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        match way {
            Way::Http { base, variable } => {
                let http = self.http.as_ref()?;
                http.kind.map(|kind| put("type", kind.into()));
                put(http.url, format!("{base}{}", of.path()).into());
                match http.key {
                    Key::Header(form) => {
                        put("headers", json!({ "Authorization": form.replace("{}", variable) }))
                    }
                    Key::Variable(name) => put(name, variable.as_str().into()),
                    Key::Asked => {
                        put("headers", json!({ "Authorization": format!("Bearer ${{input:{INPUT}}}") }))
                    }
                };
            }
            Way::Stdio { program, url, key } => {
                self.stdio.map(|kind| put("type", kind.into()));
                put("command", text(program)?);
                let mut args: Vec<Value> = of.words().into_iter().map(Value::from).collect();
                args.extend(["--url".into(), url.as_str().into(), "--key-file".into(), text(key)?]);
                put("args", args.into());
            }
        }
        Some(entry.into())
    }

    /// What the client is asked to ask for, where an entry refers to it.
    pub fn input(&self, way: &Way) -> Option<Value> {
        (self.asks() && matches!(way, Way::Http { .. })).then(input)
    }

    /// Whether the client asks for keys itself.
    pub const fn asks(&self) -> bool {
        matches!(self.http, Some(Http { key: Key::Asked, .. }))
    }

    /// Of an entry, what this command writes: whatever else somebody put there may be a secret.
    pub fn known(&self, entry: &Value) -> Value {
        let variable = self.http.as_ref().and_then(|http| match http.key {
            Key::Variable(name) => Some(name),
            Key::Header(_) | Key::Asked => None,
        });
        let url = self.http.as_ref().map(|http| http.url);
        let names = [Some("type"), url, variable, Some("command"), Some("args")];
        let kept =
            names.into_iter().flatten().filter_map(|name| Some((name.to_owned(), entry.get(name)?.clone())));
        let header = entry.pointer("/headers/Authorization").filter(|header| refers(header));
        let header = header.map(|header| ("headers".to_owned(), json!({ "Authorization": header })));
        kept.chain(header).collect::<Map<_, _>>().into()
    }

    /// Whether an entry is one that this command made, maybe with another address or key.
    pub fn made(&self, of: &Of, entry: &Value) -> bool {
        let reached = self.http.as_ref().and_then(|http| entry.get(http.url)).and_then(Value::as_str);
        if let Some(url) = reached {
            let key = match self.http.as_ref().map(|http| http.key) {
                Some(Key::Variable(name)) => entry.get(name),
                Some(Key::Header(_) | Key::Asked) | None => {
                    entry.pointer("/headers/Authorization").filter(|header| refers(header))
                }
            };
            return url.ends_with(&of.path()) && key.is_some();
        }
        let args = entry.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match args {
            [words @ .., address, _, key, _] => {
                *words == *of.words() && [address, key] == ["--url", "--key-file"]
            }
            _ => false,
        }
    }
}

/// Whether a header names a key instead of holding it.
fn refers(header: &Value) -> bool {
    header.as_str().is_some_and(|header| header.starts_with("Bearer ${") && header.ends_with('}'))
}

/// What VS Code is asked to ask for.
pub(super) fn input() -> Value {
    json!({ "type": "promptString", "id": INPUT, "description": "The key of this agent at stepup", "password": true })
}

fn text(path: &Path) -> Option<Value> {
    path.to_str().map(Value::from)
}
