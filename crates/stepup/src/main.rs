//! stepup: step-up authorization for AI agents and other non-human identities. One binary.

mod check;
mod cli;
mod clock;
mod config;
mod connect;
mod control;
mod demo;
mod exec;
mod head;
mod init;
mod keys;
mod listen;
mod logfile;
mod node;
mod operations;
mod policy_folder;
mod private;
mod serve;
mod stdio;
mod tls;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};
use terms::Ambient;

use cli::{Cli, Command, Errand, Exit, Said, Spoken, Verb};
use config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors, and are for people.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) if std::env::args_os().any(|word| word == "--json") => {
            let whole = error.to_string();
            let what = whole.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            return say(Err(Said::failed(what, "see --help").exit(Exit::Usage)), true);
        }
        Err(error) => error.exit(),
    };
    let json = cli.json;
    let outcome = match cli.command {
        // A child must not inherit threads or a runtime.
        Command::Child { words } => return upstream::launcher::launch(words.into_iter()),
        Command::SampleOps(sample) => {
            return demo::ops(&sample);
        }
        // Standard output is the protocol's alone.
        Command::Stdio(how) => return say(stdio::run(&how), false),
        // Its own standard output and its exit are the command's.
        Command::Exec(how) => {
            return exec::run(&how, (cli.purpose, cli.ticket)).unwrap_or_else(|said| say(Err(said), json));
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "stepup", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        command @ (Command::Serve(_)
        | Command::Demo(_)
        | Command::Init(_)
        | Command::Check
        | Command::Connect(_)
        | Command::At(_)) => {
            let said = (cli.purpose, cli.ticket);
            runtime().and_then(|runtime| runtime.block_on(run(command, said, &cli.config)))
        }
    };
    say(outcome, json)
}

fn runtime() -> Result<tokio::runtime::Runtime, Said> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    #[cfg(feature = "crash-seam")]
    if std::env::var_os("STEPUP_TEST_ONE_THREAD").is_some() {
        // strace counts calls a thread: so that the k-th byte sent is the same in every life (rfd 14).
        threads = tokio::runtime::Builder::new_current_thread();
    }
    let built = threads.enable_all().build();
    built.map_err(|e| Said::failed(format!("the runtime does not start: {e}"), ""))
}

async fn run(command: Command, said: (Option<String>, Option<String>), path: &std::path::Path) -> Spoken {
    let ambient: Arc<dyn Ambient> = Arc::new(clock::Machine::default());
    match command {
        Command::Init(init) => init::run(&init, ambient.as_ref()),
        Command::Demo(demo) => demo::run(&demo, ambient).await,
        Command::Serve(how) => {
            logging();
            let config = Arc::new(read(path)?);
            serve::run(config, ambient, &how).await.map_err(|e| Said::failed(e.to_string(), ""))?;
            Ok(Said::done("", serde_json::Value::Null))
        }
        Command::Check => check::run(path, ambient.now()),
        Command::Connect(how) => connect::run(&how, path, ambient.as_ref()),
        Command::At(Verb::Log(cli::log::Verb::Verify { file, key, earlier })) => {
            cli::log::verify(&file, &key, &earlier)
        }
        Command::At(Verb::Policy(cli::policy::Verb::Test(test))) => test.run(path),
        Command::At(verb) => {
            let verb = verb.typed_here().map_err(|e| Said::failed(format!("this folder: {e}"), ""))?;
            at_the_desk(Errand { verb, purpose: said.0, ticket: said.1 }, path, ambient).await
        }
        Command::Completions { .. }
        | Command::SampleOps(_)
        | Command::Stdio(_)
        | Command::Exec(_)
        | Command::Child { .. } => Err(Said::failed("this is not done here", "")),
    }
}

/// In the running server, or here when none is running. A server that runs has read its configuration: a lock does
/// not depend on whether the file was spoilt since.
async fn at_the_desk(errand: Errand, path: &std::path::Path, ambient: Arc<dyn Ambient>) -> Spoken {
    if let Some(home) = Config::home(path)
        && let Some(spoken) = control::ask(&control::path(&home), &errand).await
    {
        return spoken;
    }
    let config = Arc::new(read(path)?);
    let refused = |e: node::StartError| Said::failed(e.to_string(), "");
    let uid = rustix::process::geteuid().as_raw();
    if errand.verb.only_reads() {
        let desk = node::look(config, ambient).await.map_err(refused)?;
        return errand.run(&desk, uid).await.map(Said::without_a_server).map_err(Said::without_a_server);
    }
    let desk = node::open(config, ambient, false).await.map_err(refused)?;
    let spoken = errand.run(&desk, uid).await;
    desk.checkpoint().await.map_err(|e| Said::store(&e))?;
    spoken.map(Said::without_a_server).map_err(Said::without_a_server)
}

fn read(path: &std::path::Path) -> Result<Config, Said> {
    Config::read(path).map_err(|e| Said::failed(e.to_string(), ""))
}

/// One line of JSON a line on standard error; `STEPUP_LOG` chooses what, as in `stepup=debug`.
fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STEPUP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let json = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    let _ = json.with_env_filter(filter).try_init();
}

/// Only on a terminal that has them, and not where they are not wanted (no-color.org).
fn colours() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_some_and(|term| term != "dumb") && std::io::stdout().is_terminal()
}

fn say(spoken: Spoken, json: bool) -> ExitCode {
    let good = spoken.is_ok();
    let (Ok(said) | Err(said)) = spoken;
    let text = match json {
        true => said.json.to_string(),
        false => said.shown(colours()),
    };
    if !text.is_empty() && text != "null" {
        let written = if good || json {
            writeln!(std::io::stdout(), "{text}")
        } else {
            writeln!(std::io::stderr(), "{text}")
        };
        if written.is_err() {
            return ExitCode::from(Exit::Failed.code());
        }
    }
    ExitCode::from(said.exit.code())
}
