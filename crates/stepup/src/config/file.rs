//! The file as it is written: one struct a table, every default in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use authority::{Declared, ToolSettings, UpstreamSettings};
use serde::{Deserialize, Deserializer};
use terms::{Millis, Pointer, Secret};

use super::operation::{self, Operation};
use super::requirement::Written;
use super::route::{self, Route};
use super::secret;
use super::touch::{self, Touch};
use super::wrong::Wrong;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub agents: Agents,
    pub people: People,
    pub operations: Operations,
    pub envoy: Option<Envoy>,
    pub store: Store,
    pub policy: Policy,
    pub log: Log,
    pub challenge: Challenge,
    pub budgets: Budgets,
    pub notify: super::notify::Written,
    pub requirements: BTreeMap<String, Written>,
    pub upstreams: BTreeMap<String, Upstream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Agents {
    pub listen: String,
    pub public_url: Option<String>,
    pub tls: Option<Tls>,
    pub origins: Vec<String>,
    pub connections: usize,
    /// How long the answer of an API may take from its head to its end.
    #[serde(deserialize_with = "span")]
    pub longest_answer: Millis,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7300".to_owned(),
            public_url: None,
            tls: None,
            origins: Vec::new(),
            connections: crate::listen::MOST,
            longest_answer: Millis::seconds(600),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct People {
    pub listen: String,
    pub public_url: Option<String>,
    pub tls: Option<Tls>,
    pub rp_id: Option<String>,
    pub origins: Vec<String>,
    #[serde(deserialize_with = "span")]
    pub session: Millis,
}

impl Default for People {
    fn default() -> Self {
        Self {
            listen: "localhost:7301".to_owned(),
            public_url: None,
            tls: None,
            rp_id: None,
            origins: Vec::new(),
            session: Millis::seconds(8 * 3600),
        }
    }
}

/// TLS at a listener, in files of PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and the authority that callers trust.
    pub cert: PathBuf,
    /// Its key, which is its owner's alone to read.
    pub key: PathBuf,
    /// The authorities of which callers must have a certificate too; without it none is asked for.
    pub clients: Option<PathBuf>,
}

impl Tls {
    /// The key, and the folders where the next one will be: that of its name, and that of the file where the name is a link, as those
    /// who renew certificates have it.
    pub fn private(&self) -> impl Iterator<Item = PathBuf> {
        let file = self.key.canonicalize().ok();
        let folders = [Some(&self.key), file.as_ref()].map(|path| path?.parent().map(Path::to_owned));
        let below = |folder: &PathBuf| folder.parent().is_some();
        std::iter::once(self.key.clone()).chain(folders.into_iter().flatten().filter(below))
    }

    /// The same, with paths that are whole.
    pub(super) fn at(&self, home: &Path) -> Self {
        Self {
            cert: home.join(&self.cert),
            key: home.join(&self.key),
            clients: self.clients.as_ref().map(|clients| home.join(clients)),
        }
    }
}

/// The operations listener: health, readiness, metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operations {
    /// Where it listens.
    pub listen: String,
}

impl Default for Operations {
    fn default() -> Self {
        Self { listen: "127.0.0.1:7302".to_owned() }
    }
}

/// The listener at which Envoy asks over gRPC. There is none where nothing is said of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Envoy {
    /// Where it listens.
    pub listen: String,
    /// TLS there.
    pub tls: Option<Tls>,
}

impl Default for Envoy {
    fn default() -> Self {
        Self { listen: "127.0.0.1:7303".to_owned(), tls: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub url: String,
    pub keys: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: "sqlite:stepup.db".to_owned(), keys: PathBuf::from("keys") }
    }
}

/// Where policy comes from, and when a changed file counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The folder of `*.cedar` files.
    pub dir: PathBuf,
    /// When a changed file comes into force.
    pub activate: Activate,
}

/// When a changed policy file comes into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activate {
    /// As soon as it is saved and checks out.
    OnSave,
    /// By `stepup policy activate`.
    ByCommand,
}

impl Default for Policy {
    fn default() -> Self {
        Self { dir: PathBuf::from("policies"), activate: Activate::ByCommand }
    }
}

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The name of the log in its checkpoints.
    pub origin: String,
    /// How often a new head is signed.
    #[serde(deserialize_with = "span")]
    pub checkpoint_every: Millis,
}

impl Default for Log {
    fn default() -> Self {
        Self { origin: "stepup.local/log".to_owned(), checkpoint_every: Millis::seconds(1) }
    }
}

/// Times of challenges.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Challenge {
    /// How long a repeated call waits for its approval.
    #[serde(deserialize_with = "span")]
    pub hold: Millis,
    /// How long a call waits that can be told of progress.
    #[serde(deserialize_with = "span")]
    pub hold_with_progress: Millis,
    /// How long a permit is good before its first byte leaves.
    #[serde(deserialize_with = "span")]
    pub permit_for: Millis,
    /// How long the same access is refused after a rejection.
    #[serde(deserialize_with = "span")]
    pub cool_down: Millis,
    /// How long a run whose answer was lost is told of.
    #[serde(deserialize_with = "span")]
    pub answer_for: Millis,
    /// How callers of these names are told that a call is stopped, whatever their clients say that they can.
    pub carriers: BTreeMap<String, Carrier>,
    /// Whether they are also told as SEP-2643 has it, which is a draft.
    pub denial_data: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            hold: Millis::seconds(50),
            hold_with_progress: Millis::seconds(180),
            permit_for: Millis::seconds(5),
            cool_down: Millis::seconds(600),
            answer_for: Millis::seconds(600),
            carriers: BTreeMap::new(),
            denial_data: false,
        }
    }
}

/// How a caller is told that a call is stopped.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// As its client says that it can.
    Auto,
    /// By asking the person at its client, or at once.
    Elicitation,
    /// After a wait where it can wait.
    Hold,
    /// At once.
    ToolError,
}

impl Carrier {
    /// As the gateway has it.
    pub const fn pin(self) -> gateway::Pin {
        match self {
            Self::Auto => gateway::Pin::Auto,
            Self::Elicitation => gateway::Pin::Elicitation,
            Self::Hold => gateway::Pin::Hold,
            Self::ToolError => gateway::Pin::ToolError,
        }
    }
}

/// Limits of one caller, and of all callers of one person (decisions B23).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// Calls in flight at once.
    pub in_flight: u32,
    /// Calls held for an approval at once.
    pub held: u32,
    /// Requests that wait for people at once.
    pub pending: u32,
    /// Requests that wait for people at once, of all callers of one person.
    pub owner_pending: u32,
    /// Denied records a minute, before they are counted together.
    pub denied_per_minute: u32,
    /// Preflights a minute.
    pub preflights_per_minute: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            in_flight: 64,
            held: 16,
            pending: 20,
            owner_pending: 50,
            denied_per_minute: 10,
            preflights_per_minute: 30,
        }
    }
}

/// Where a secret comes from: never from the configuration itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a secret is written as { env = \"NAME\" } or { file = \"path\" }, and never in this file"
)]
pub enum From {
    /// A variable of the environment.
    Env {
        /// Its name.
        env: String,
    },
    /// A file; a relative path is from the folder of the configuration.
    File {
        /// Its path.
        file: PathBuf,
    },
}

impl From {
    /// Reads the secret.
    ///
    /// # Errors
    /// A sentence that names the variable or the file, never its content.
    pub fn read(&self, home: &Path) -> Result<Secret<String>, String> {
        match self {
            Self::Env { env } => secret::from_environment(env),
            Self::File { file } => secret::from_file(&home.join(file)),
        }
    }

    /// The file that it is in.
    pub(super) fn file(&self, home: &Path) -> Option<PathBuf> {
        match self {
            Self::Env { .. } => None,
            Self::File { file } => Some(home.join(file)),
        }
    }
}

/// One upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Streamable HTTP.
    pub url: Option<String>,
    /// A program that speaks MCP on its standard input and output.
    #[serde(default)]
    pub command: Vec<String>,
    /// The environment that it stands in, as people say it: `production`.
    #[serde(default)]
    pub environment: String,
    /// What authenticates us there.
    pub credential: Option<From>,
    /// Environment variables that the program is given.
    #[serde(default)]
    pub env: Vec<String>,
    /// Environment variables that only the program has.
    #[serde(default)]
    pub secret_env: BTreeMap<String, From>,
    /// The account that the program runs under.
    pub user: Option<String>,
    /// The folder that the program starts in.
    pub cwd: Option<PathBuf>,
    /// Which era of MCP is spoken with it.
    #[serde(default)]
    pub era: Eras,
    /// One child a downstream session, or one for all.
    #[serde(default)]
    pub share: Share,
    /// How the program is kept from our own files.
    #[serde(default)]
    pub isolation: Isolation,
    /// Files that are part of what the upstream is.
    #[serde(default)]
    pub pin_files: Vec<PathBuf>,
    /// What it may ask of a caller's client before it goes on with a permitted call.
    #[serde(default = "asks")]
    pub asks: BTreeSet<Asks>,
    /// Members of `_meta` that it is sent.
    #[serde(default)]
    pub meta: BTreeSet<String>,
    /// Whether a changed description stops a tool.
    #[serde(default)]
    pub pins: Pins,
    /// How late a changed definition is noticed whose upstream does not say that it has changed.
    #[serde(default = "relist", deserialize_with = "span")]
    pub relist: Millis,
    /// What is said of its tools.
    #[serde(default)]
    pub tools: BTreeMap<String, Tool>,
    /// Callers that may ask about others, in the name of what they keep.
    #[serde(default)]
    pub askers: BTreeSet<String>,
    /// Names that those have for callers, where they are not the callers' own.
    #[serde(default)]
    pub subjects: BTreeMap<String, String>,
    /// Operations of an application that asks.
    #[serde(default)]
    pub operations: BTreeMap<String, Operation>,
    /// The addresses of proxies that stand before it and ask here whether a request may pass.
    #[serde(default)]
    pub asked_by: BTreeSet<IpAddr>,
    /// An OpenAPI document, whose operations are routes.
    pub openapi: Option<PathBuf>,
    /// The routes of an HTTP API, by names that are given here: with any, it is one, and speaks no MCP.
    #[serde(default)]
    pub routes: BTreeMap<String, Route>,
}

/// The least that an upstream is left alone between two readings of its list.
const SHORTEST_RELIST: Millis = Millis::seconds(1);

fn relist() -> Millis {
    upstream::Timeouts::default().relist
}

/// What an upstream may ask of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// That its person fills in a form.
    Form,
    /// That its person opens an address of the upstream's choice.
    Url,
    /// That its model says something.
    Sampling,
    /// Where it works.
    Roots,
}

/// All but an address: whoever opens one has left what can be seen here (T32).
fn asks() -> BTreeSet<Asks> {
    BTreeSet::from([Asks::Form, Asks::Sampling, Asks::Roots])
}

impl Asks {
    const fn ability(self) -> terms::Abilities {
        let none = terms::Abilities { form: false, url: false, sampling: false, roots: false };
        match self {
            Self::Form => terms::Abilities { form: true, ..none },
            Self::Url => terms::Abilities { url: true, ..none },
            Self::Sampling => terms::Abilities { sampling: true, ..none },
            Self::Roots => terms::Abilities { roots: true, ..none },
        }
    }
}

/// Which era of MCP is spoken with an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eras {
    /// The modern one if it answers in it, otherwise the legacy one.
    #[default]
    Auto,
    /// With sessions only.
    Legacy,
    /// Without sessions only.
    Modern,
}

/// How an upstream's child is shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// One for each session of a caller.
    #[default]
    Session,
    /// One for all.
    All,
}

/// How an upstream's child is kept from our own files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// By Landlock; refused where the kernel has none.
    #[default]
    Landlock,
    /// Not at all; every start says so.
    None,
}

/// What a changed description does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pins {
    /// It stops the tool.
    #[default]
    Strict,
    /// It is taken over; a changed schema still stops the tool.
    Warn,
}

/// What an operator says of a tool.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tool {
    pub(super) reviewed: Option<Reviewed>,
    pub(super) secrets: Vec<String>,
    pub(super) references: Vec<String>,
    pub(super) title: Option<String>,
    pub(super) touches: Vec<Touch>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reviewed {
    ReadOnly,
    Acts,
}

impl Upstream {
    /// The files that its secrets are in.
    pub fn secret_files(&self, home: &Path) -> impl Iterator<Item = PathBuf> {
        self.credential.iter().chain(self.secret_env.values()).filter_map(|from| from.file(home))
    }

    /// As the exit needs it.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn exit(&self, name: &str, home: &Path) -> Result<upstream::Config, String> {
        let transport = match &self.url {
            Some(url) => upstream::Transport::Http(self.server(url, home)?),
            None => upstream::Transport::Stdio(self.child(home)?),
        };
        let era = match self.era {
            Eras::Auto => upstream::Eras::Auto,
            Eras::Legacy => upstream::Eras::Legacy,
            Eras::Modern => upstream::Eras::Modern,
        };
        let share = match self.share {
            Share::Session => upstream::Share::Session,
            Share::All => upstream::Share::All,
        };
        Ok(upstream::Config {
            name: name.to_owned(),
            transport,
            era,
            share,
            asks: self.asks.iter().fold(terms::Abilities::default(), |all, one| all.or(one.ability())),
            meta: self.meta.clone(),
            timeouts: upstream::Timeouts { relist: self.relist, ..upstream::Timeouts::default() },
        })
    }

    /// Whether it is an HTTP API.
    #[must_use]
    pub fn is_api(&self) -> bool {
        !self.routes.is_empty() || self.openapi.is_some()
    }

    /// Operations of its document that are no routes, each with why.
    #[must_use]
    pub fn left_out(&self, home: &Path) -> Vec<String> {
        let read = self.openapi.as_ref().map(|file| route::document(&home.join(file)));
        read.and_then(Result::ok).map(|read| read.left_out).unwrap_or_default()
    }

    /// Whether nothing leads to it: it asks, and does what it does itself.
    #[must_use]
    pub fn is_application(&self) -> bool {
        !self.operations.is_empty() && self.url.is_none() && self.command.is_empty()
    }

    /// An HTTP API as the exit needs it.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn api(&self, name: &str, home: &Path) -> Result<upstream::ApiConfig, String> {
        let http = self.server(self.url.as_deref().unwrap_or_default(), home)?;
        Ok(upstream::ApiConfig { name: name.to_owned(), http, timeouts: upstream::Timeouts::default() })
    }

    fn server(&self, url: &str, home: &Path) -> Result<upstream::Http, String> {
        let credential = self.credential.as_ref().map(|from| from.read(home)).transpose()?;
        let header = |secret: Secret<String>| upstream::Credential {
            header: "authorization".to_owned(),
            value: Secret::new(format!("Bearer {}", secret.expose())),
        };
        Ok(upstream::Http { url: url.to_owned(), credential: credential.map(header) })
    }

    fn child(&self, home: &Path) -> Result<upstream::Stdio, String> {
        let set = |(name, from): (&String, &From)| Ok((name.clone(), from.read(home)?));
        let isolation = match self.isolation {
            Isolation::Landlock => upstream::Isolation::Landlock,
            Isolation::None => upstream::Isolation::None,
        };
        Ok(upstream::Stdio {
            command: self.command.clone(),
            inherit: self.env.iter().cloned().collect(),
            set: self.secret_env.iter().map(set).collect::<Result<_, String>>()?,
            isolation,
            user: self.user.clone(),
            pin_files: self.pin_files.iter().map(|file| home.join(file)).collect(),
            cwd: self.cwd.as_ref().map(|folder| home.join(folder)),
        })
    }

    pub(super) fn settings(&self, home: &Path) -> Result<UpstreamSettings, Wrong> {
        match (&self.url, self.command.as_slice()) {
            (Some(url), []) => web(url).map_err(|wrong| wrong.within(["url"]))?,
            (None, [_, ..]) => {
                if self.credential.is_some() {
                    let help = "give a program its secrets with secret_env = { NAME = { env = \"NAME\" } }";
                    return Err(Wrong::new("is for a url").help(help).within(["credential"]));
                }
            }
            // An application that does everything itself.
            (None, []) if self.is_application() && self.credential.is_none() => {}
            // Only proxies reach it.
            (None, []) if self.is_api() && !self.asked_by.is_empty() && self.credential.is_none() => {}
            (Some(_), [_, ..]) | (None, []) => {
                let help =
                    "write url for a server that runs already, command for a program that stepup starts";
                return Err(Wrong::new("needs either url or command").help(help));
            }
        }
        if self.relist < SHORTEST_RELIST {
            let wrong =
                Wrong::new("is under a second: the upstream would be asked for its list all the time");
            return Err(wrong.help("write a span such as \"1m\"").within(["relist"]));
        }
        let tools = self.tools.iter().map(|(name, tool)| {
            let settings = tool.settings().map_err(|wrong| wrong.within(["tools", name]))?;
            Ok((name.clone(), settings))
        });
        Ok(UpstreamSettings {
            environment: self.environment.clone(),
            pins_warn: self.pins == Pins::Warn,
            tools: tools.collect::<Result<_, Wrong>>()?,
            routes: self.routes(home)?,
            operations: operation::read_all(&self.operations)
                .map_err(|wrong| wrong.within(["operations"]))?,
        })
    }
}

impl Upstream {
    /// Its routes, no two of which have the same paths.
    fn routes(&self, home: &Path) -> Result<BTreeMap<String, Declared>, Wrong> {
        if self.is_api() && (!self.command.is_empty() || !self.tools.is_empty()) {
            let help = "routes are those of an HTTP API, which has no command and no tools";
            return Err(Wrong::new("is for an HTTP API").help(help).within(["routes"]));
        }
        if !self.is_api() && !self.asked_by.is_empty() {
            let help = "name the routes that a proxy may ask about, or leave it out";
            return Err(Wrong::new("is for an HTTP API").help(help).within(["asked_by"]));
        }
        let read = self.openapi.as_ref().map(|file| route::document(&home.join(file))).transpose();
        let read = read.map_err(|why| Wrong::new(why).within(["openapi"]))?.unwrap_or_default();
        let routes =
            route::read_all(read.routes, &self.routes, home).map_err(|wrong| wrong.within(["routes"]))?;
        for (name, route) in routes.iter().filter(|_| !self.asked_by.is_empty()) {
            touch::answers_nothing(&route.settings).map_err(|wrong| wrong.within(["routes", name]))?;
        }
        Ok(routes)
    }
}

impl Tool {
    pub(super) fn settings(&self) -> Result<ToolSettings, Wrong> {
        let reviewed = self.reviewed.map(|r| match r {
            Reviewed::ReadOnly => "read-only".to_owned(),
            Reviewed::Acts => "acts".to_owned(),
        });
        Ok(ToolSettings {
            reviewed,
            secrets: pointers("secrets", &self.secrets)?,
            references: pointers("references", &self.references)?,
            title: self.title.clone(),
            touches: touch::read_all(&self.touches, &self.secrets)
                .map_err(|wrong| wrong.within(["touches"]))?,
            capture: None,
        })
    }
}

fn pointers(key: &str, texts: &[String]) -> Result<Vec<Pointer>, Wrong> {
    let one = |text: &String| {
        let wrong = |e| Wrong::new(format!("has {text:?}, which is {e}"));
        text.parse()
            .map_err(|e| wrong(e).help("write the place of an argument, as in \"/token\"").within([key]))
    };
    texts.iter().map(one).collect()
}

/// An address of the web.
pub(super) fn web(url: &str) -> Result<(), Wrong> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':'])) {
        return Ok(());
    }
    Err(Wrong::new(format!("= {url:?} is not an address of the web"))
        .help("write it whole, as in \"https://host/path\""))
}

/// A span of time as people write it.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|e| serde::de::Error::custom(format!("{text:?} is {e}")))
}
