//! The command line: one table of verbs, from which help, completion and the control socket's requests are
//! made. A verb that needs the store runs at the desk: in the server when one is running, here otherwise.

mod caller;
pub mod desk;
mod difference;
mod explain;
pub mod finding;
mod grants;
mod groups;
mod human;
mod lock;
pub mod log;
mod passkeys;
pub mod policy;
mod replay;
mod report;
mod requests;
mod say;
pub mod scenario;
mod stopped;
mod upstream;

use std::path::PathBuf;

use authority::{By, Operator};
use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

pub use desk::Desk;
pub use finding::refused;
pub use say::{Exit, Said, Spoken, span};

/// Step-up authorization for AI agents and other non-human identities.
#[derive(Parser, Debug)]
#[command(
    name = "stepup",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = crate::config::DEFAULT)]
    pub config: PathBuf,
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Why, where what the command changes takes approval and is asked why.
    #[arg(long, global = true, value_name = "TEXT")]
    pub purpose: Option<String>,
    /// Under which ticket, likewise.
    #[arg(long, global = true, value_name = "TICKET")]
    pub ticket: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything that can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the server: agents, people and operations each on their own listener.
    Serve(Serve),
    /// See it work: a sample upstream, a scripted agent, and you as the approver. Nothing is kept.
    Demo(Demo),
    /// Write a commented stepup.toml, a starter policy and fresh keys.
    Init(Init),
    /// Check configuration, policy and keys, and say what to change.
    Check,
    /// Write stepup into an MCP client's own configuration, or take it out again.
    Connect(Connect),
    /// For agents that only start programs: carry MCP between standard input and output and a gateway.
    ///
    /// The agent's client starts this as if it were the upstream's own program. It needs no stepup.toml, and the caller's
    /// key in the environment variable STEPUP_KEY or in a file; never as an argument, which everybody on the machine
    /// sees. It carries sessions (MCP 2025-11-25 and 2025-06-18); 2026-07-28 is spoken over HTTP only.
    Stdio(Stdio),
    /// Run one command under one permit, and record how it ended.
    ///
    /// Asks the gateway as the caller whose key is in STEPUP_KEY or a file, waits for the people where it takes some, and ends as
    /// the command did. What stops anybody from running the command without it is that what it needs is had through stepup alone.
    Exec(Exec),
    /// Callers, people, requests, locks, the log.
    #[command(flatten)]
    At(Verb),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The sample upstream of the demo, on standard input and output.
    #[command(hide = true)]
    SampleOps(SampleOps),
    /// Runs an upstream's child after shutting it out of our own files.
    #[command(hide = true, name = "__child")]
    Child {
        /// What the launcher was told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
}

/// How to run the server.
#[derive(Args, Debug, Default)]
pub struct Serve {
    /// Revoke the passkeys that were made for another name of the people's page, which would sign nothing.
    #[arg(long)]
    pub retire_passkeys: bool,
}

/// How to play the demo.
#[derive(Args, Debug)]
pub struct Demo {
    /// Play the person too, check every step, and end with one line of JSON.
    #[arg(long)]
    pub unattended: bool,
    /// Keep everything in this folder instead of one that is removed at the end.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// The people's page listens on this port.
    #[arg(long, default_value_t = 7301)]
    pub port: u16,
}

/// What to write.
#[derive(Args, Debug)]
pub struct Init {
    /// Where.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// You are the only person: you confirm what your own agents do.
    #[arg(long, conflicts_with = "team")]
    pub alone: bool,
    /// Several people: somebody else approves.
    #[arg(long)]
    pub team: bool,
}

/// Which client, and how.
#[derive(Args, Debug)]
pub struct Connect {
    /// The client.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::connect::names()))]
    pub client: String,
    /// Take out what this command put in.
    #[arg(long)]
    pub remove: bool,
    /// An entry of its own for this upstream; may be repeated. Without it, one entry for all upstreams.
    #[arg(long = "upstream", value_name = "NAME")]
    pub upstreams: Vec<String>,
    /// An entry for each upstream, instead of one for all.
    #[arg(long, conflicts_with_all = ["upstreams", "remove"])]
    pub each: bool,
    /// The variable of the client's environment that holds the key.
    #[arg(long, value_name = "NAME", default_value = "STEPUP_KEY", conflicts_with = "remove")]
    pub key_env: String,
    /// A file that holds the key: the client then starts `stepup stdio`, which reads it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_env", "remove"])]
    pub key_file: Option<PathBuf>,
    /// The client's configuration, where it is not in its usual place.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Show what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write without asking.
    #[arg(long)]
    pub yes: bool,
}

/// What to carry MCP to.
#[derive(Args, Debug)]
pub struct Stdio {
    /// The upstream's name in the gateway's configuration. Without it, all of them at once.
    #[arg(long, value_name = "NAME")]
    pub upstream: Option<String>,
    /// The gateway's address. Never read from a stepup.toml, which in a foreign folder could name a thief's.
    #[arg(long, default_value = "http://127.0.0.1:7300")]
    pub url: String,
    /// A file with the caller's key, that nobody but you can read. Without it, STEPUP_KEY has the key.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// What to run, and as what it is permitted.
#[derive(Args, Debug)]
pub struct Exec {
    /// The operation, as the gateway's configuration names it.
    #[arg(long, value_name = "UPSTREAM/OPERATION")]
    pub operation: String,
    /// What it is done to.
    #[arg(long, value_name = "NAME")]
    pub resource: String,
    /// The gateway's address. Never read from a stepup.toml, which in a foreign folder could name a thief's.
    #[arg(long, default_value = "http://127.0.0.1:7300")]
    pub url: String,
    /// A file with the caller's key, that nobody but you can read. Without it, STEPUP_KEY has the key.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How long to wait for people.
    #[arg(long, value_name = "SPAN", default_value = "15m")]
    pub wait: String,
    /// The command, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// The sample upstream.
#[derive(Args, Debug)]
pub struct SampleOps {
    /// Its database.
    #[arg(long)]
    pub database: PathBuf,
    /// A file to which it writes a line for each call that arrives.
    #[arg(long)]
    pub arrivals: Option<PathBuf>,
}

/// What is done at the desk. The same words go over the control socket.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Callers: agents and services, their owners and keys.
    #[command(subcommand)]
    Caller(caller::Verb),
    /// People: who can approve, and in which groups.
    #[command(subcommand)]
    Human(human::Verb),
    /// Upstreams and the definitions of their tools.
    #[command(subcommand)]
    Upstream(upstream::Verb),
    /// Requests for approval.
    #[command(subcommand)]
    Requests(requests::Verb),
    /// Grants: what approved requests yielded.
    #[command(subcommand)]
    Grants(grants::Verb),
    /// Stop something now: a caller, a person's callers, an upstream, or everything.
    #[command(subcommand)]
    Lock(lock::Verb),
    /// Lift a lock, in the browser, with a passkey.
    Unlock {
        /// The lock, or the beginning of its id.
        id: String,
    },
    /// The rules in force.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Say what rules that are only tried (`@shadow`) would have asked for, of whom and how often, and which tools no rule
    /// is about.
    Report {
        /// Since how long ago.
        #[arg(long, value_name = "TIME", default_value = "30d")]
        since: String,
    },
    /// The log: what happened, provably.
    #[command(subcommand)]
    Log(log::Verb),
}

/// A verb, and what is said beside it. It goes over the control socket so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Errand {
    /// What is done.
    pub verb: Verb,
    /// Why.
    pub purpose: Option<String>,
    /// Under which ticket.
    pub ticket: Option<String>,
}

impl Errand {
    /// Does it, in the name of an account.
    pub async fn run(self, desk: &Desk, uid: u32) -> Spoken {
        let Self { verb, purpose, ticket } = self;
        verb.run(&desk.in_the_name_of(By { who: Operator::Account(uid), purpose, ticket })).await
    }
}

impl Verb {
    /// The same whatever folder it is done in.
    ///
    /// # Errors
    /// When the folder of whoever types it is gone.
    pub fn typed_here(self) -> std::io::Result<Self> {
        match self {
            Self::Log(verb) => verb.typed_here().map(Self::Log),
            other @ (Self::Caller(_)
            | Self::Human(_)
            | Self::Upstream(_)
            | Self::Requests(_)
            | Self::Grants(_)
            | Self::Lock(_)
            | Self::Unlock { .. }
            | Self::Report { .. }
            | Self::Policy(_)) => Ok(other),
        }
    }

    /// Whether it writes nothing: then it needs no started node, and the log does not say that one started.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Caller(verb) => verb.only_reads(),
            Self::Human(verb) => verb.only_reads(),
            Self::Requests(verb) => verb.only_reads(),
            Self::Grants(verb) => verb.only_reads(),
            Self::Policy(verb) => verb.only_reads(),
            Self::Log(verb) => verb.only_reads(),
            // What these change is changed in the browser.
            Self::Upstream(_) | Self::Unlock { .. } | Self::Report { .. } => true,
            Self::Lock(verb) => verb.only_reads(),
        }
    }

    /// Whether no running server does it: whoever does has the store and the keys to themselves.
    #[must_use]
    pub const fn only_at_rest(&self) -> bool {
        matches!(self, Self::Policy(policy::Verb::Recover))
    }

    /// Does it.
    async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Caller(verb) => verb.run(desk).await,
            Self::Human(verb) => verb.run(desk).await,
            Self::Upstream(verb) => verb.run(desk).await,
            Self::Requests(verb) => verb.run(desk).await,
            Self::Grants(verb) => verb.run(desk).await,
            Self::Lock(verb) => verb.run(desk).await,
            Self::Unlock { id } => lock::unlock(desk, &id),
            Self::Policy(verb) => verb.run(desk).await,
            Self::Report { since } => report::run(desk, &since).await,
            Self::Log(verb) => verb.run(desk).await,
        }
    }
}
