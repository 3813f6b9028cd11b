//! `stepup.toml`: what an operator writes. Unknown keys are errors with a suggestion; every error names file
//! and line, and nothing starts with a configuration that was not read to its end.

mod file;
mod folder;
mod notify;
mod openapi;
mod operation;
mod requirement;
mod route;
mod secret;
mod touch;
mod wrong;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use authority::{Bundle, UpstreamSettings};
use terms::Millis;

use file::Agents;
use wrong::Wrong;

pub use notify::Notify;
pub use route::Route;

pub use file::{Activate, Budgets, Challenge, Envoy, Log, Operations, Policy, Tls, Upstream as UpstreamFile};

/// The configuration, read and checked.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The folder that relative paths are relative to: that of the file.
    pub home: PathBuf,
    /// The agents' listener.
    pub agents: Listener,
    /// Connections that the agents' listener takes at once.
    pub connections: usize,
    /// How long the answer of an API may take from its head to its end.
    pub longest_answer: Millis,
    /// The people's listener.
    pub people: People,
    /// The operations listener.
    pub operations: Operations,
    /// Where Envoy asks over gRPC, if it does.
    pub envoy: Option<Envoy>,
    /// The SQLite file.
    pub store: PathBuf,
    /// The folder of keys.
    pub keys: PathBuf,
    /// Where policy comes from.
    pub policy: Policy,
    /// The log.
    pub log: Log,
    /// Times of challenges.
    pub challenge: Challenge,
    /// Limits.
    pub budgets: Budgets,
    /// How people are told of requests.
    pub notify: Notify,
    /// Upstreams, as the exit needs them.
    pub upstreams: BTreeMap<String, UpstreamFile>,
    /// What decisions rest on, without the Cedar texts, which are in a folder of their own.
    pub bundle: Bundle,
}

/// A listener for programs.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens.
    pub listen: String,
    /// How it is reached from outside.
    pub public_url: String,
    /// TLS there.
    pub tls: Option<Tls>,
    /// Web origins that may call it.
    pub origins: Vec<String>,
}

/// The people's listener.
#[derive(Debug, Clone)]
pub struct People {
    /// Where it listens, and how it is reached.
    pub listener: Listener,
    /// The name that passkeys are made for. Changing it voids every passkey (decisions A29).
    pub rp_id: String,
    /// How long a person stays signed in.
    pub session: Millis,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {message}{}", line.map(|l| format!(":{l}")).unwrap_or_default(), help.as_ref().map(|h| format!("\n  help: {h}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ConfigError {
    fn new(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), line: None, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The file that is read where none is named.
pub const DEFAULT: &str = "stepup.toml";

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and what to do.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let error = ConfigError::new(path, format!("cannot be read: {e}"));
            error.help("run `stepup init` to write a new one, or name it with --config")
        })?;
        Self::parse(&text, path, Self::home(path).unwrap_or_default())
    }

    /// The folder that the relative paths of a file are relative to; `None` where there is no such file.
    #[must_use]
    pub fn home(path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()?.parent().map(Path::to_owned)
    }

    /// Checks a text that was read from `path`.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and what to do.
    pub fn parse(text: &str, path: &Path, home: PathBuf) -> Result<Self, ConfigError> {
        let file: file::File = toml::from_str(text).map_err(|e| unreadable(path, text, &e))?;
        let wrong = |wrong: Wrong| wrong.in_file(path, text);
        let store = sqlite(&file.store.url).map_err(wrong)?;
        addresses(&file).map_err(wrong)?;
        bounds(&file).map_err(wrong)?;
        let requirements = requirement::read_all(&file.requirements).map_err(wrong)?;
        let upstreams = upstream_settings(&file, &home).map_err(wrong)?;
        let beside = notify::Beside { requirements: &requirements, path, text };
        let notify = file.notify.read(&beside).map_err(wrong)?;
        let people = people(&file.people, &home).map_err(wrong)?;
        let Agents { listen, public_url, tls, origins, connections, longest_answer } = &file.agents;
        Ok(Self {
            store: home.join(store),
            keys: home.join(&file.store.keys),
            policy: Policy { dir: home.join(&file.policy.dir), ..file.policy },
            agents: listener(listen, public_url.as_ref(), tls.as_ref().map(|tls| tls.at(&home)), origins),
            connections: *connections,
            longest_answer: *longest_answer,
            people,
            operations: file.operations,
            envoy: file.envoy.map(|envoy| Envoy { tls: envoy.tls.map(|tls| tls.at(&home)), ..envoy }),
            log: file.log,
            challenge: file.challenge,
            budgets: file.budgets,
            notify,
            upstreams: file.upstreams,
            bundle: Bundle { texts: BTreeMap::new(), requirements, upstreams },
            file: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            home,
        })
    }

    /// The listeners that speak TLS: the table of each, its files, and the address that its certificate should be for.
    pub fn tls(&self) -> impl Iterator<Item = (&'static str, &Tls, Option<&str>)> {
        let (agents, people) = (&self.agents, &self.people.listener);
        let listeners = [
            ("agents", agents.tls.as_ref(), Some(agents.public_url.as_str())),
            ("people", people.tls.as_ref(), Some(people.public_url.as_str())),
            ("envoy", self.envoy.as_ref().and_then(|envoy| envoy.tls.as_ref()), None),
        ];
        listeners.into_iter().filter_map(|(table, tls, url)| Some((table, tls?, url)))
    }

    /// What is proposed now: the Cedar texts of the policy folder, with the requirements and what is said of upstreams and their
    /// tools as the configuration says it today. Everything else of it is as it was when it was read.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration, the folder or a file in it cannot be read.
    pub fn with_policy(&self) -> Result<Bundle, ConfigError> {
        let today = Self::read(&self.file)?;
        Ok(Bundle { texts: folder::texts(&self.policy.dir)?, ..today.bundle })
    }
}

fn listener(listen: &str, public_url: Option<&String>, tls: Option<Tls>, origins: &[String]) -> Listener {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = public_url.cloned().unwrap_or_else(|| format!("{scheme}://{listen}"));
    Listener {
        tls,
        listen: listen.to_owned(),
        public_url: public_url.trim_end_matches('/').to_owned(),
        origins: origins.to_vec(),
    }
}

/// A passkey is for a name: that of the page, or one above it (WebAuthn, 5.1.3).
fn people(file: &file::People, home: &Path) -> Result<People, Wrong> {
    let tls = file.tls.as_ref().map(|tls| tls.at(home));
    let listener = listener(&file.listen, file.public_url.as_ref(), tls, &file.origins);
    let host = listener.public_url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let rp_id = file.rp_id.clone().unwrap_or_else(|| host.to_owned());
    let above = host == rp_id || host.strip_suffix(rp_id.as_str()).is_some_and(|below| below.ends_with('.'));
    if !above {
        let what = format!("= {rp_id:?} is not the name of the people's page, {host}, nor one above it");
        return Err(Wrong::new(what).help("leave it out, or set public_url too").within(["people", "rp_id"]));
    }
    if rp_id.is_empty() || rp_id.parse::<std::net::IpAddr>().is_ok() || rp_id.starts_with('[') {
        let at = if file.public_url.is_some() { "public_url" } else { "listen" };
        let what = format!("leads to {rp_id:?}, and passkeys are made for a name");
        let help = "use localhost on this machine, or a name with https in public_url";
        return Err(Wrong::new(what).help(help).within(["people", at]));
    }
    Ok(People { rp_id, session: file.session, listener })
}

fn sqlite(url: &str) -> Result<&str, Wrong> {
    url.strip_prefix("sqlite:").filter(|file| !file.is_empty()).ok_or_else(|| {
        Wrong::new(format!("= {url:?} is not a SQLite file"))
            .help("write \"sqlite:stepup.db\"; PostgreSQL comes with a later version")
            .within(["store", "url"])
    })
}

/// Where the listeners listen, and how two of them are reached.
fn addresses(file: &file::File) -> Result<(), Wrong> {
    let listeners = [
        ("agents", &file.agents.listen, file.agents.public_url.as_ref(), file.agents.tls.is_some()),
        ("people", &file.people.listen, file.people.public_url.as_ref(), file.people.tls.is_some()),
        ("operations", &file.operations.listen, None, false),
    ];
    let envoy = file.envoy.iter().map(|envoy| ("envoy", &envoy.listen, None, envoy.tls.is_some()));
    if file.envoy.is_some() && file.upstreams.values().all(|upstream| upstream.asked_by.is_empty()) {
        let help = "give the upstreams that Envoy asks about asked_by = [\"127.0.0.1\"], its addresses";
        return Err(Wrong::new("is for proxies, and none may ask").help(help).within(["envoy"]));
    }
    for (table, listen, public_url, tls) in listeners.into_iter().chain(envoy) {
        let port = listen.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            let what = format!("= {listen:?} is not a host and a port");
            return Err(Wrong::new(what).help("write it as in \"127.0.0.1:7300\"").within([table, "listen"]));
        }
        if let Some(url) = public_url {
            file::web(url).map_err(|wrong| wrong.within([table, "public_url"]))?;
            if tls && url.starts_with("http://") {
                let what = format!("= {url:?} is reached without TLS, and this listener speaks it");
                let help = "write it with https";
                return Err(Wrong::new(what).help(help).within([table, "public_url"]));
            }
        }
    }
    Ok(())
}

/// Limits that may be raised, and how far.
fn bounds(file: &file::File) -> Result<(), Wrong> {
    let numbers = [
        // The heads of so many connections are 4 GiB at worst (crates/stepup/src/listen.rs).
        (["agents", "connections"], file.agents.connections, 16..=65_536),
        // What waits is looked through by people.
        (["budgets", "owner_pending"], file.budgets.owner_pending as usize, 1..=1000),
        // Each is a record.
        (["budgets", "preflights_per_minute"], file.budgets.preflights_per_minute as usize, 0..=6000),
    ];
    for (at, given, allowed) in numbers {
        if !allowed.contains(&given) {
            let what = format!("= {given} is not a number from {} to {}", allowed.start(), allowed.end());
            return Err(Wrong::new(what).within(at));
        }
    }
    Ok(())
}

fn upstream_settings(file: &file::File, home: &Path) -> Result<BTreeMap<String, UpstreamSettings>, Wrong> {
    operation::each_is_one(&file.upstreams)?;
    let good = |name: &str| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let one = |(name, upstream): (&String, &UpstreamFile)| {
        let settings = if good(name) {
            upstream.settings(home)
        } else {
            Err(Wrong::new("cannot be a name").help("use 1 to 32 of a-z, 0-9 and \"-\""))
        };
        let settings = settings.map_err(|wrong| wrong.within(["upstreams", name]))?;
        Ok((name.clone(), settings))
    };
    let all: BTreeMap<String, UpstreamSettings> =
        file.upstreams.iter().map(one).collect::<Result<_, Wrong>>()?;
    let apis = file.upstreams.iter().filter(|(_, upstream)| upstream.is_api() && upstream.url.is_some());
    touch::each_is_for_one(&all, &apis.map(|(name, _)| name.as_str()).collect())?;
    Ok(all)
}

/// Kinds of numbers, as people know them.
const NUMBERS: [(&str, &str); 5] = [
    ("a nonzero u8", "a number from 1 to 255"),
    ("a nonzero u32", "a number from 1 to 4294967295"),
    ("u16", "a number up to 65535"),
    ("u32", "a number up to 4294967295"),
    ("usize", "a number from 0"),
];

/// What the TOML reader says, with the line it means and the nearest known key.
fn unreadable(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| wrong::line(text, span.start));
    let message = NUMBERS.iter().fold(error.message().trim_end().to_owned(), |said, (kind, range)| {
        said.replace(&format!("expected {kind}"), &format!("expected {range}"))
    });
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let help = match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => {
            nearest(unknown, &mut known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
        }
        _ => None,
    };
    ConfigError { file: path.display().to_string(), line, message, help }
}

/// The name that is most like an unknown one, if it is like it at all.
fn nearest<'a>(unknown: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let like = |one: &str| strsim::jaro_winkler(unknown, one);
    known.max_by(|a, b| like(a).total_cmp(&like(b))).filter(|near| like(near) > 0.75)
}
