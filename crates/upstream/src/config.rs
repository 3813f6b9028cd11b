//! What the operator configures of one upstream (decisions §8, `[upstreams.*]`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use terms::{Abilities, Millis, Secret};

/// One upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name: `[a-z0-9-]{1,32}`, so that `name/tool` can be read in one way only (T10).
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Which era of MCP is spoken with it.
    pub era: Eras,
    /// Who shares a link to it. In the modern era, which has no sessions, always all (decisions A28).
    pub share: Share,
    /// What it may ask of a caller's client before it goes on with a permitted call, where the client can.
    pub asks: Abilities,
    /// Members of a call's `_meta` that it is sent, judged and bound like arguments. Others are left out, but for
    /// those that only transport ([`crate::Inert`]): a client may put something new there in each call (rfd 17).
    pub meta: BTreeSet<String>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// How an upstream is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A child process that speaks over its standard input and output.
    Stdio(Stdio),
    /// A server that speaks streamable HTTP.
    Http(Http),
}

/// A child process.
#[derive(Clone, Debug, Default)]
pub struct Stdio {
    /// Program and arguments. No shell reads them, and no request adds to them (T29).
    pub command: Vec<String>,
    /// Names of our own environment that the child inherits. Nothing else is inherited; without `PATH` it
    /// gets [`DEFAULT_PATH`].
    pub inherit: BTreeSet<String>,
    /// Variables that only the child has. Their values may be secrets; they are struck out of what it
    /// writes to its standard error.
    pub set: BTreeMap<String, Secret<String>>,
    /// How it is kept from stepup's own files.
    pub isolation: Isolation,
    /// The account that it runs under: a name of `/etc/passwd`, or `uid:gid`. Needs root.
    pub user: Option<String>,
    /// Files whose content is part of the upstream's identity, beside the program and what it interprets
    /// ([`crate::Code`], decisions A28).
    pub pin_files: Vec<PathBuf>,
    /// The folder that it starts in; ours when absent.
    pub cwd: Option<PathBuf>,
}

/// A server that speaks streamable HTTP.
#[derive(Clone, Debug)]
pub struct Http {
    /// The MCP endpoint. `http` only towards this machine.
    pub url: String,
    /// What we authenticate with there. It is ours: nothing of a caller's is ever forwarded (T26).
    pub credential: Option<Credential>,
}

/// A header that authenticates us to an upstream.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The name of the header; `authorization` most often.
    pub header: String,
    /// Its whole value, such as `Bearer …`.
    pub value: Secret<String>,
}

/// Which era of MCP is spoken with an upstream (MCP 2026-07-28, versioning).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eras {
    /// The modern one if it answers in it, otherwise the legacy one.
    #[default]
    Auto,
    /// Sessions only: it is never asked in the other.
    Legacy,
    /// Without sessions only: where it does not answer in that, it is not served.
    Modern,
}

/// Who shares one link, and so one MCP session (decisions A28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// Each downstream session has its own.
    #[default]
    Session,
    /// One for all, ours included.
    All,
}

/// How a child is kept from stepup's own files (decisions A20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// By Landlock: it can neither read nor write there. Where the kernel has none, the child does not start.
    #[default]
    Landlock,
    /// Not at all, as somebody wrote down.
    None,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From starting a child or a session until it has answered `initialize`; also one page of a list.
    pub start: Millis,
    /// Until an upstream of whom it is not known which era it speaks has answered in the modern one. Then it is greeted
    /// in the other, in the `start` that is left.
    pub probe: Millis,
    /// Until a request can be written: a connection made, or the child's input free.
    pub connect: Millis,
    /// Its list of tools is read again after this long at the latest, whether or not it says that the list has changed:
    /// so late a changed definition is noticed (T18). Over a link of our own, beside all calls.
    pub relist: Millis,
    /// After this long without a call, a link is closed.
    pub idle: Millis,
    /// How long a child has to end by itself, before it is asked to, and again before it is made to.
    pub close: Millis,
}

/// The search path of a child that is not given another.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            start: Millis::seconds(30),
            probe: Millis::seconds(10),
            connect: Millis::seconds(5),
            relist: Millis::seconds(60),
            idle: Millis::seconds(600),
            close: Millis::seconds(2),
        }
    }
}

impl Share {
    /// Both with their names in the configuration.
    pub const TABLE: [(Self, &'static str); 2] = [(Self::Session, "session"), (Self::All, "all")];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::All => "all",
        }
    }
}

impl Isolation {
    /// Both with their names in the configuration.
    pub const TABLE: [(Self, &'static str); 2] = [(Self::Landlock, "landlock"), (Self::None, "none")];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::None => "none",
        }
    }
}

impl Stdio {
    /// The whole environment of the child.
    pub(crate) fn environment(&self) -> BTreeMap<String, Secret<String>> {
        let path = ("PATH".to_owned(), Secret::new(DEFAULT_PATH.to_owned()));
        let inherited = self.inherit.iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            Some((name.clone(), Secret::new(value)))
        });
        let set = self.set.iter().map(|(name, value)| (name.clone(), value.clone()));
        std::iter::once(path).chain(inherited).chain(set).collect()
    }
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream {upstream:?}: {why}")]
pub struct ConfigError {
    /// Which upstream.
    pub upstream: String,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}
