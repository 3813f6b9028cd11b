//! `stepup demo`: everything embedded, and a story to play: an agent asks, you approve, it runs once.

mod agent;
mod home;
mod ops;
mod person;
mod story;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use terms::Ambient;

use crate::cli::{Demo, Exit, Said, SampleOps, Spoken};
use agent::Trouble;
use home::Home;
use person::Person;
use story::{Story, Telling};

/// The sample upstream's main.
pub fn ops(sample: &SampleOps) -> ExitCode {
    match ops::run(sample) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the sample upstream ends: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the demo.
///
/// # Errors
/// What went wrong; with `--unattended` also any step that went otherwise than it should.
pub async fn run(demo: &Demo, ambient: Arc<dyn Ambient>) -> Spoken {
    let home = Home::prepare(demo, ambient.as_ref()).map_err(|e| failed(&e))?;
    let played = play(demo, &home, ambient).await;
    let cleared = if demo.keep.is_none() { home.remove() } else { Ok(()) };
    let said = played.map_err(|e| failed(&e))?;
    cleared.map_err(|e| failed(&e.into()))?;
    if said.exit == Exit::Ok { Ok(said) } else { Err(said) }
}

fn failed(trouble: &Trouble) -> Said {
    Said::failed(format!("the demo does not go on: {trouble}"), "")
}

async fn play(demo: &Demo, home: &Home, ambient: Arc<dyn Ambient>) -> Result<Said, Trouble> {
    let server = home.start(ambient).await?;
    let people = home.people(&server.desk).await?;
    let person = if demo.unattended {
        Person::software(home.people_url(), &people.invitation).await?
    } else {
        Person::at_the_screen(home.people_url(), &people.invitation)
    };
    let telling = if demo.unattended { Telling::Quietly } else { Telling::Aloud };
    let told = Story::begin(home, &server.desk, &people.key, person, telling).await?.tell().await;
    server.stop().await;
    let end = told?;
    let wrong = end.steps.iter().filter(|step| step.expected != step.got).count();
    let json = json!({
        "steps": end.steps, "challenged": end.challenged, "executed": end.executed,
        "log_size": end.log_size, "verified": end.verified,
    });
    let text = if demo.unattended { json.to_string() } else { String::new() };
    let exit = if wrong == 0 && end.verified { Exit::Ok } else { Exit::Failed };
    Ok(Said::done(text, json).exit(exit))
}
