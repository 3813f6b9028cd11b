//! `stepup exec`: one command under one permit. It asks the gateway as the caller whose key it has, waits for the people where it takes some, runs
//! the command, and says how that ended. It keeps nobody from running the command without it: what does is that what the command needs is had
//! through stepup alone.

use std::io::Write as _;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use terms::{Ambient, Secret};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal as heard};
use tokio::time::Instant;
use upstream::client::{Endpoint, whole};
use upstream::{Credential, Http, Timeouts};

use crate::cli::{Exec, Exit, Said};
use crate::{clock, serve, stdio};

/// How long one question waits at the gateway for the people.
const HOLD: Duration = Duration::from_secs(50);

/// The least time between two questions that were held, and the most that an answer takes beside being held.
const AGAIN: Duration = Duration::from_secs(5);
const TELLING: Duration = Duration::from_secs(10);

/// Bytes of one answer.
const LONGEST: usize = 1 << 20;

/// Asks, waits, runs, and says how it ended; then ends as the command did.
///
/// # Errors
/// When it did not run.
pub fn run(how: &Exec, said: (Option<String>, Option<String>)) -> Result<ExitCode, Said> {
    serve::keep_memory_closed();
    let key = stdio::key(how.key_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Said::failed(format!("the runtime does not start: {e}"), ""))?;
    let code = runtime.block_on(under_permit(how, said, &key));
    runtime.shutdown_background();
    code
}

async fn under_permit(
    how: &Exec,
    said: (Option<String>, Option<String>),
    key: &Secret<String>,
) -> Result<ExitCode, Said> {
    let gateway = Gateway { url: how.url.trim_end_matches('/').to_owned(), key };
    let attempt = permitted(how, &question(how, said)?, &gateway).await?;
    let (program, words) =
        how.command.split_first().ok_or_else(|| Said::failed("there is no command", ""))?;
    // Only the environment that this program was started with, without the key: the command acts for itself.
    let mut command = Command::new(program);
    command.args(words).env_remove("STEPUP_KEY").env("STEPUP_ATTEMPT", &attempt);
    let (ended, says) = match to_its_end(&mut command).await {
        Ok(status) => {
            let code = status.code().unwrap_or_else(|| 128 + signal(status));
            (code, format!("exit {code}"))
        }
        Err(why) => {
            say(&format!("{} cannot be started: {why}", program.to_string_lossy()));
            (127, "it could not be started".to_owned())
        }
    };
    let outcome = if ended == 0 { "done" } else { "failed" };
    let report = json!({ "outcome": outcome, "says": says });
    let path = format!("/v1/attempts/{attempt}");
    let told = tokio::time::timeout(TELLING, gateway.ask(&path, &report, None)).await;
    if let Err(why) = told.unwrap_or_else(|_| Err("no answer".to_owned())) {
        say(&format!("how it ended could not be recorded: {why}"));
    }
    Ok(ExitCode::from(u8::try_from(ended & 0xff).unwrap_or(1)))
}

/// Runs it to its end. A signal that ends programs ends the command, and this one says how: a terminal tells both, and what only this
/// one is told is passed on.
async fn to_its_end(command: &mut Command) -> std::io::Result<ExitStatus> {
    // Heard before there is anything to be ended. The command has them as they were.
    let (mut interrupt, mut quit) = (heard(SignalKind::interrupt())?, heard(SignalKind::quit())?);
    let (mut terminate, mut hangup) = (heard(SignalKind::terminate())?, heard(SignalKind::hangup())?);
    let mut child = command.spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pass_on = |signal| {
        let _ = id.map(|id| kill_process(id, signal));
    };
    loop {
        tokio::select! {
            biased;
            ended = child.wait() => return ended,
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => pass_on(Signal::TERM),
            _ = hangup.recv() => pass_on(Signal::HUP),
        }
    }
}

fn signal(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().unwrap_or_default()
}

/// The attempt, once it may run.
async fn permitted(how: &Exec, question: &Value, gateway: &Gateway<'_>) -> Result<String, Said> {
    let until = Instant::now() + crate::cli::span("--wait", &how.wait)?.duration();
    let mut prefer = None;
    loop {
        let asked = Instant::now();
        let asking = gateway.ask("/v1/permits", question, prefer.clone());
        let answer = tokio::time::timeout(HOLD + TELLING, asking).await;
        let answer = answer.unwrap_or_else(|_| Err("the gateway does not answer".to_owned()));
        let (status, answer) =
            answer.map_err(|why| Said::failed(why, "see that `stepup serve` runs there"))?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        match (status, text("slug")) {
            (200, _) => return Ok(text("attempt").to_owned()),
            (401, "approval_required" | "grant_expired" | "grant_spent") => {}
            (_, slug) => return Err(refused(slug, &answer)),
        }
        if let Some(unsaid) = unsaid(&answer) {
            return Err(unsaid);
        }
        if prefer.is_none() {
            say(&format!("it needs approval ({}): {}", text("requires"), text("link")));
        }
        // Where the question was not held, as too many wait, it is not asked again at once.
        if prefer.is_some() {
            tokio::time::sleep_until((asked + AGAIN).min(until)).await;
        }
        let left = until.saturating_duration_since(Instant::now()).min(HOLD).as_secs();
        if left == 0 {
            return Err(pending(&answer));
        }
        prefer = Some(format!("wait={left}"));
    }
}

/// What has to be said before anybody can approve it.
fn unsaid(answer: &Value) -> Option<Said> {
    let wants = answer.get("wants").and_then(Value::as_array)?.iter().filter_map(Value::as_str);
    let flags: Vec<String> = wants.map(|what| format!("--{what}")).collect();
    let link = answer.get("link").and_then(Value::as_str).unwrap_or_default();
    let todo = format!("run it again with {}; then {link} can be approved", flags.join(" and "));
    (!flags.is_empty())
        .then(|| Said::failed("it did not run: more has to be said first", todo).exit(Exit::Pending))
}

fn pending(answer: &Value) -> Said {
    let link = answer.get("link").and_then(Value::as_str).unwrap_or_default();
    Said::failed(
        "it did not run: nobody has approved it yet",
        format!("ask a person to open {link}, and run it again"),
    )
    .exit(Exit::Pending)
}

fn refused(slug: &str, answer: &Value) -> Said {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let exit = match slug {
        "rejected" => Exit::Rejected,
        "expired" => Exit::Expired,
        "outcome_unknown" => Exit::Unknown,
        "policy_denied" | "caller_locked" | "nobody_may_approve" | "withdrawn" => Exit::Denied,
        _ => Exit::Failed,
    };
    let why =
        Some(text("why")).filter(|why| !why.is_empty()).map(|why| format!(" ({why})")).unwrap_or_default();
    Said::failed(format!("it did not run: {}{why}", text("title")), text("detail")).exit(exit)
}

/// What is asked: the operation, of what, and the command to the word.
fn question(how: &Exec, (purpose, ticket): (Option<String>, Option<String>)) -> Result<Value, Said> {
    let words: Option<Vec<&str>> = how.command.iter().map(|word| word.to_str()).collect();
    let words = words.ok_or_else(|| Said::failed("a word of the command is no UTF-8", ""))?;
    let cwd = std::env::current_dir()
        .map_err(|e| Said::failed(format!("where this runs cannot be told: {e}"), ""))?;
    let cwd = cwd.to_str().ok_or_else(|| Said::failed("the name of this folder is no UTF-8", ""))?;
    let mut question = json!({
        "operation": how.operation, "id": how.resource, "context": { "command": words, "cwd": cwd },
    });
    for (name, said) in [("purpose", purpose), ("ticket", ticket)] {
        if let (Some(said), Some(members)) = (said, question.as_object_mut()) {
            members.insert(name.to_owned(), Value::from(said));
        }
    }
    Ok(question)
}

/// Tells whoever is at the terminal: standard output is the command's.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "stepup exec: {what}");
}

/// Where it is asked.
struct Gateway<'k> {
    url: String,
    key: &'k Secret<String>,
}

impl Gateway<'_> {
    /// The status and content of an answer. Nothing is asked twice by itself.
    async fn ask(&self, path: &str, body: &Value, prefer: Option<String>) -> Result<(u16, Value), String> {
        let value = Secret::new(format!("Bearer {}", self.key.expose()));
        let credential = Some(Credential { header: "authorization".to_owned(), value });
        let http = Http { url: format!("{}{path}", self.url), credential };
        let ambient: Arc<dyn Ambient> = Arc::new(clock::Machine::default());
        let endpoint = Endpoint::new(&http, Timeouts::default(), ambient)?;
        let mut request = endpoint.request(Method::POST, Bytes::from(body.to_string()));
        if let Some(prefer) = prefer.and_then(|prefer| HeaderValue::from_str(&prefer).ok()) {
            request.headers_mut().insert("prefer", prefer);
        }
        let away = || format!("no gateway answers at {}", self.url);
        let mut connection = endpoint.connection().await.map_err(|_| away())?;
        let response = connection
            .send_request(request)
            .await
            .map_err(|_| "the connection to the gateway broke".to_owned())?;
        let status = response.status().as_u16();
        let text = whole(response.into_body(), LONGEST).await.ok_or("the gateway's answer broke off")?;
        let answer = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&text).map_err(|_| "what answered is no gateway")?
        };
        Ok((status, answer))
    }
}
