//! `stepup lock …` and `stepup unlock`

use authority::{Lock, LockSubject};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::{self, Desk, pick};
use super::say::{Said, Spoken, some_span, table, when};

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
    /// List the locks in force, newest first.
    List,
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
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::List => true,
            Self::Caller { .. } | Self::Human { .. } | Self::Upstream { .. } | Self::All { .. } => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        let Some((subject, what, how)) = self.subject(desk)? else { return Ok(list(desk)) };
        let lasting = how.lasting.as_ref().map(|typed| some_span("--for", typed)).transpose()?;
        let until = lasting.map(|span| desk.authority.now().after(span));
        let id = desk.authority.lock(subject, desk.by.to_string(), how.why, until).await?;
        let text = format!(
            "{what} is locked: nothing runs, not even what needs no approval.\nA person lifts it with a passkey: stepup unlock {id}"
        );
        Ok(Said::done(text, json!({ "lock": id.to_string(), "what": what })))
    }

    /// What is to be locked; nothing where locks are to be listed.
    fn subject(self, desk: &Desk) -> Result<Option<(LockSubject, String, How)>, Said> {
        let active = desk.authority.active();
        let (subject, how) = match self {
            Self::List => return Ok(None),
            Self::All { how } => (LockSubject::All, how),
            Self::Caller { name, how } => {
                let all = desk.authority.callers();
                let caller =
                    pick(&desk::CALLER, &name, &all, |c| vec![c.row.name.clone(), c.row.id.to_string()])?;
                (LockSubject::Caller(caller.row.id), how)
            }
            Self::Human { name, how } => {
                let all: Vec<_> = active.humans().cloned().collect();
                let human = pick(&desk::HUMAN, &name, &all, |h| vec![h.name.clone(), h.id.to_string()])?;
                (LockSubject::Human(human.root), how)
            }
            Self::Upstream { name, how } => {
                if !desk.config.upstreams.contains_key(&name) {
                    return Err(Said::failed(format!("there is no upstream {name:?}"), "see stepup.toml"));
                }
                (LockSubject::Upstream(name), how)
            }
        };
        let what = what(desk, &subject);
        Ok(Some((subject, what, how)))
    }
}

/// What a lock stops, as people say it.
fn what(desk: &Desk, subject: &LockSubject) -> String {
    let active = desk.authority.active();
    match subject {
        LockSubject::All => "Everything".to_owned(),
        LockSubject::Caller(id) => {
            let name = active.callers().find(|caller| caller.id == *id).map(|caller| caller.name.clone());
            format!("The caller {}", name.unwrap_or_else(|| id.to_string()))
        }
        LockSubject::Human(id) => {
            let name = active.humans().find(|human| human.id == *id).map(|human| human.name.clone());
            format!("Every caller that {} is behind", name.unwrap_or_else(|| id.to_string()))
        }
        LockSubject::Upstream(name) => format!("The upstream {name}"),
    }
}

/// A lock whose time is over is not in force, whether or not a server has noticed it yet.
fn list(desk: &Desk) -> Said {
    let (active, now) = (desk.authority.active(), desk.authority.now());
    let mut locks: Vec<_> =
        active.locks().iter().filter(|lock| lock.until.is_none_or(|until| now < until)).collect();
    locks.sort_by_key(|lock| std::cmp::Reverse((lock.since, lock.id)));
    let row = |lock: &&Lock| {
        vec![
            lock.id.to_string(),
            what(desk, &lock.subject),
            when(lock.since),
            lock.until.map_or_else(|| "lifted".to_owned(), when),
            terms::text::visible(&lock.why).to_string(),
        ]
    };
    let json = |lock: &&Lock| {
        json!({ "lock": lock.id.to_string(), "what": what(desk, &lock.subject), "by": lock.by, "why": lock.why,
                "since": lock.since.millis(), "until": lock.until.map(terms::Time::millis) })
    };
    let text = if locks.is_empty() {
        "Nothing is locked.".to_owned()
    } else {
        table(&["LOCK", "WHAT", "SINCE", "UNTIL", "WHY"], &locks.iter().map(row).collect::<Vec<_>>())
    };
    Said::done(text, json!({ "locks": locks.iter().map(json).collect::<Vec<_>>() }))
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
