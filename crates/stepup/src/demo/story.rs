//! The story: what the agent tries, what should come of it, and what does.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use terms::ElevationId;

use super::agent::{Agent, Called, Trouble};
use super::home::Home;
use super::person::Person;
use crate::cli::Desk;
use crate::logfile;

/// One step: what should happen and what did.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// What should come of it.
    pub expected: String,
    /// What did.
    pub got: String,
}

/// How the story ended.
pub struct End {
    /// Every step.
    pub steps: Vec<Step>,
    /// How often the agent was stopped and asked for approval.
    pub challenged: usize,
    /// How many calls the upstream says arrived.
    pub executed: usize,
    /// Records in the log.
    pub log_size: u64,
    /// Whether the exported log verifies.
    pub verified: bool,
}

/// Whether somebody listens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// On the terminal.
    Aloud,
    /// Only the end is told.
    Quietly,
}

/// The story under way.
pub struct Story<'a> {
    home: &'a Home,
    desk: &'a Desk,
    agent: Agent,
    person: Person,
    telling: Telling,
    steps: Vec<Step>,
    challenged: usize,
}

/// How long a person at the screen is waited for.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

const RAN: &str = "ran";
const STOPPED: &str = "stopped: approval required";

impl<'a> Story<'a> {
    /// The agent connects.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn begin(
        home: &'a Home,
        desk: &'a Desk,
        key: &terms::Secret<String>,
        person: Person,
        telling: Telling,
    ) -> Result<Self, Trouble> {
        let agent = Agent::connect(&home.agents_url(), key.expose()).await?;
        Ok(Self { home, desk, agent, person, telling, steps: Vec::new(), challenged: 0 })
    }

    /// Tells it to its end.
    ///
    /// # Errors
    /// What the agent, the person or the store fails with; a step that goes wrong is not an error here.
    pub async fn tell(mut self) -> Result<End, Trouble> {
        self.heading("release-bot is an agent. Robin owns it. It works for the ops team, behind stepup.");
        self.reads().await?;
        let deploy = deploy("2.4.1");
        let stopped = self.stopped_at("deploy 2.4.1 to production", &deploy).await?;
        self.approved(&stopped, &deploy).await?;
        self.again(&deploy).await?;
        self.rejected().await?;
        self.locked().await?;
        self.log().await
    }

    async fn reads(&mut self) -> Result<(), Trouble> {
        let called = self.agent.call("get_ticket", json!({ "id": "OPS-17" })).await?;
        self.step("read ticket OPS-17", RAN, &outcome(&called));
        Ok(())
    }

    /// A call that must be stopped; answers the elevation that it opened or found.
    async fn stopped_at(&mut self, name: &str, arguments: &Value) -> Result<ElevationId, Trouble> {
        let called = self.agent.call("deploy", arguments.clone()).await?;
        let got = outcome(&called);
        self.challenged += usize::from(got == STOPPED);
        self.step(name, STOPPED, &got);
        let elevation = called.meta.pointer("/dev.stepup~1challenge/elevation").and_then(Value::as_str);
        let id: ElevationId = elevation.ok_or("the answer names no elevation")?.parse()?;
        self.quote(&called.text);
        Ok(id)
    }

    async fn approved(&mut self, id: &ElevationId, arguments: &Value) -> Result<(), Trouble> {
        let words = self.words(*id).await?;
        self.ask(&self.person.to_approve(*id, &words));
        self.person.approve(*id).await?;
        let called = self.until_decided(*id, arguments).await?;
        self.step("the same call, approved", RAN, &outcome(&called));
        let before = self.executions("deploy")?;
        self.step("how often deploy ran", "1", &before.to_string());
        Ok(())
    }

    /// One approval is one run: the same call again, and another version, are stopped again.
    async fn again(&mut self, arguments: &Value) -> Result<(), Trouble> {
        let same = self.stopped_at("the same call again", arguments).await?;
        self.withdraw(same).await?;
        let other = self.stopped_at("another version, 2.5.0", &deploy("2.5.0")).await?;
        self.withdraw(other).await?;
        let ran = self.executions("deploy")?;
        self.step("how often deploy ran", "1", &ran.to_string());
        Ok(())
    }

    async fn rejected(&mut self) -> Result<(), Trouble> {
        let risky = deploy("3.0.0-rc1");
        let id = self.stopped_at("a release candidate, 3.0.0-rc1", &risky).await?;
        let words = self.words(id).await?;
        self.ask(&self.person.to_reject(id, &words));
        self.person.reject(id, "No release candidates in production").await?;
        let called = self.until_decided(id, &risky).await?;
        self.step("the rejected call", "denied: rejected", &outcome(&called));
        self.quote(&called.text);
        let called = self.agent.call("deploy", risky).await?;
        self.step("the rejected call once more", "denied: rejected", &outcome(&called));
        let waiting = self.waiting().await?;
        self.step("requests that wait after a rejection", "0", &waiting.to_string());
        Ok(())
    }

    async fn locked(&mut self) -> Result<(), Trouble> {
        let authority = &self.desk.authority;
        let active = authority.active();
        let bot = active.caller_named("release-bot").ok_or("release-bot is gone")?.id;
        let subject = authority::LockSubject::Caller(bot);
        let why = "the demo shows what a lock does".to_owned();
        let lock = authority.lock(subject, "demo".to_owned(), why, None).await?;
        let called = self.agent.call("get_ticket", json!({ "id": "OPS-17" })).await?;
        self.step("read a ticket while locked", "denied: caller_locked", &outcome(&called));
        self.ask(&self.person.to_unlock(lock));
        self.person.unlock(lock).await?;
        let lifted = async {
            while self.desk.authority.active().locks().iter().any(|l| l.id == lock) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, lifted).await?;
        let called = self.agent.call("get_ticket", json!({ "id": "OPS-17" })).await?;
        self.step("read a ticket after the lock is lifted", RAN, &outcome(&called));
        Ok(())
    }

    async fn log(mut self) -> Result<End, Trouble> {
        self.desk.authority.drain(terms::Millis::seconds(5)).await;
        let file = self.home.file("log.jsonl");
        let log_size = logfile::export(self.desk, &file).await?;
        let verified = logfile::verify(&file, &self.desk.log_key, &[]);
        self.step("the log verifies", "verified", if verified.is_ok() { "verified" } else { "broken" });
        let altered = self.home.file("log-altered.jsonl");
        let mut bytes = std::fs::read(&file)?;
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        std::fs::write(&altered, bytes)?;
        let broken = logfile::verify(&altered, &self.desk.log_key, &[]);
        self.step(
            "the log with one bit altered",
            "broken",
            if broken.is_ok() { "verified" } else { "broken" },
        );
        if let Err(what) = &broken {
            self.quote(&what.to_string());
        }
        let executed = self.home.arrivals()?.len();
        Ok(End {
            steps: self.steps,
            challenged: self.challenged,
            executed,
            log_size,
            verified: verified.is_ok(),
        })
    }

    /// Repeats a call until a person has decided on it.
    async fn until_decided(&mut self, id: ElevationId, arguments: &Value) -> Result<Called, Trouble> {
        let mut waiting = self.desk.authority.waiting(id);
        while self.pending(id).await? {
            if tokio::time::timeout(PATIENCE, waiting.changed()).await.is_err() {
                return Err("nobody decided; the request has expired".into());
            }
            waiting = self.desk.authority.waiting(id);
        }
        self.agent.call("deploy", arguments.clone()).await
    }

    async fn pending(&self, id: ElevationId) -> Result<bool, Trouble> {
        let whole = self.desk.authority.store().elevation(id).await?;
        Ok(whole.is_some_and(|whole| whole.state == elevation::State::Pending))
    }

    async fn waiting(&self) -> Result<usize, Trouble> {
        let state = Some(elevation::State::Pending);
        let listing = authority::Listing { state, limit: 100, ..authority::Listing::default() };
        Ok(self.desk.authority.store().elevations(listing).await?.len())
    }

    async fn withdraw(&self, id: ElevationId) -> Result<(), Trouble> {
        let active = self.desk.authority.active();
        let bot = active.caller_named("release-bot").and_then(|row| active.authenticated(row.id));
        let bot = bot.ok_or("release-bot is gone")?;
        let _ = self.desk.authority.withdraw(&bot, id, None).await?;
        Ok(())
    }

    async fn words(&self, id: ElevationId) -> Result<String, Trouble> {
        let whole = self.desk.authority.store().elevation(id).await?.ok_or("the request is gone")?;
        Ok(terms::words::words(id, whole.request.access.hash()).join(" "))
    }

    fn executions(&self, tool: &str) -> Result<usize, Trouble> {
        let arrivals = self.home.arrivals()?;
        Ok(arrivals.iter().filter(|a| a.get("tool").and_then(Value::as_str) == Some(tool)).count())
    }

    fn step(&mut self, name: &str, expected: &str, got: &str) {
        let mark = if expected == got { "✓" } else { "✗" };
        self.print(&format!("  {mark} {name:<42} {got}"));
        self.steps.push(Step { name: name.to_owned(), expected: expected.to_owned(), got: got.to_owned() });
    }

    fn heading(&self, text: &str) {
        self.print(&format!("\n{text}\n"));
    }

    fn ask(&self, text: &str) {
        self.print(&format!("\n{text}\n"));
    }

    /// What the agent or the verifier was told, set apart.
    fn quote(&self, text: &str) {
        let lines: Vec<String> = text.lines().map(|line| format!("      │ {line}")).collect();
        self.print(&lines.join("\n"));
    }

    fn print(&self, text: &str) {
        if self.telling == Telling::Aloud {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

fn deploy(version: &str) -> Value {
    json!({ "service": "checkout", "version": version, "environment": "production" })
}

/// What became of a call, in the words of the steps.
fn outcome(called: &Called) -> String {
    let slug = called.meta.pointer("/dev.stepup~1refusal/slug").and_then(Value::as_str);
    match (called.is_error, slug) {
        (false, _) => RAN.to_owned(),
        (true, Some(slug)) => format!("denied: {slug}"),
        (true, None) if called.meta.pointer("/dev.stepup~1challenge").is_some() => STOPPED.to_owned(),
        (true, None) => "failed".to_owned(),
    }
}
