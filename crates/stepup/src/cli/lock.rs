//! `stepup lock …` and `stepup unlock`

use authority::LockSubject;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use terms::Millis;

use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken};

/// What to stop.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// One caller.
    Caller {
        /// Its name.
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Every caller that a person is behind.
    Human {
        /// The person's name.
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// One upstream.
    Upstream {
        /// Its name.
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Everything.
    All {
        #[command(flatten)]
        how: How,
    },
}

/// For how long, and why.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
pub struct How {
    /// Why; people see it.
    #[arg(long, default_value = "locked on the command line")]
    why: String,
    /// For how long; until a person lifts it when left out.
    #[arg(long = "for", value_name = "TIME")]
    lasting: Option<String>,
}

impl Verb {
    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        let (subject, what, how) = self.subject(desk)?;
        let parse = |text: &String| {
            text.parse::<Millis>().map_err(|e| Said::failed(format!("--for {text:?} is {e}"), ""))
        };
        let lasting = how.lasting.as_ref().map(parse).transpose()?;
        let until = lasting.map(|span| desk.authority.now().after(span));
        let id = desk.authority.lock(subject, desk.by.clone(), how.why, until).await?;
        let text = format!(
            "{what} is locked: nothing runs, not even what needs no approval.\nA person lifts it with a passkey: stepup unlock {id}"
        );
        Ok(Said::done(text, json!({ "lock": id.to_string(), "what": what })))
    }

    fn subject(self, desk: &Desk) -> Result<(LockSubject, String, How), Said> {
        let active = desk.authority.active();
        match self {
            Self::All { how } => Ok((LockSubject::All, "Everything".to_owned(), how)),
            Self::Caller { name, how } => {
                let all = desk.authority.callers();
                let caller =
                    pick(&desk::CALLER, &name, &all, |c| vec![c.row.name.clone(), c.row.id.to_string()])?;
                Ok((LockSubject::Caller(caller.row.id), format!("The caller {}", caller.row.name), how))
            }
            Self::Human { name, how } => {
                let all: Vec<_> = active.humans().cloned().collect();
                let human = pick(&desk::HUMAN, &name, &all, |h| vec![h.name.clone(), h.id.to_string()])?;
                Ok((
                    LockSubject::Human(human.root),
                    format!("Every caller that {} is behind", human.name),
                    how,
                ))
            }
            Self::Upstream { name, how } => {
                if !desk.config.upstreams.contains_key(&name) {
                    return Err(Said::failed(format!("there is no upstream {name:?}"), "see stepup.toml"));
                }
                let what = format!("The upstream {name}");
                Ok((LockSubject::Upstream(name), what, how))
            }
        }
    }
}

/// Where a lock is lifted.
pub(super) fn unlock(desk: &Desk, typed: &str) -> Spoken {
    let active = desk.authority.active();
    let locks = active.locks().to_vec();
    let lock = pick(&desk::LOCK, typed, &locks, |l| vec![l.id.to_string()])?;
    let link = desk.page(&format!("locks#{}", lock.id));
    let text = format!("A lock is lifted with a passkey. Open\n\n  {link}");
    Ok(Said::done(text, json!({ "lock": lock.id.to_string(), "link": link })))
}
