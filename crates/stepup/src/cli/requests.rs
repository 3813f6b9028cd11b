//! `stepup requests …`

use authority::{Listing, Whole};
use clap::Subcommand;
use elevation::{Conclusion, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::{self, Desk, pick};
use super::difference;
use super::say::{Exit, Said, Spoken, table, when};

/// Requests for approval.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// List requests, newest first.
    List {
        /// Those that are over, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one request. The exit code says where it stands.
    Show {
        /// Its id, or the beginning of it.
        id: String,
    },
    /// Approve a request, in the browser, with a passkey.
    Approve {
        /// Its id, or the beginning of it.
        id: String,
    },
    /// Take a request back. The log says that you did, not its caller.
    Withdraw {
        /// Its id, or the beginning of it.
        id: String,
        /// Why.
        #[arg(long, default_value = "withdrawn on the command line")]
        why: String,
    },
    /// Wait until a request is over, and say how it ended.
    Watch {
        /// Its id, or the beginning of it.
        id: String,
    },
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::List { .. } | Self::Show { .. } | Self::Approve { .. } | Self::Watch { .. } => true,
            Self::Withdraw { .. } => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        let (Self::Show { id } | Self::Approve { id } | Self::Withdraw { id, .. } | Self::Watch { id }) =
            &self
        else {
            let Self::List { all } = self else { return Err(Said::failed("there is no such verb", "")) };
            return list(desk, all).await;
        };
        let everything = read(desk, None).await?;
        let found = pick(&desk::REQUEST, id, &everything, |w| vec![w.request.id.to_string()])?;
        match self {
            Self::List { .. } | Self::Show { .. } => Ok(show(desk, found)),
            Self::Approve { .. } => {
                let link = desk.page(&format!("r/{}", found.request.id));
                let text = format!("Requests are approved with a passkey. Open\n\n  {link}");
                Ok(Said::done(text, json!({ "link": link })))
            }
            Self::Withdraw { why, .. } => withdraw(desk, found, why).await,
            Self::Watch { .. } => watch(desk, found.request.id).await,
        }
    }
}

async fn read(desk: &Desk, state: Option<State>) -> Result<Vec<Whole>, Said> {
    let listing = Listing { state, limit: 500, ..Listing::default() };
    Ok(desk.authority.store().elevations(listing).await?)
}

async fn list(desk: &Desk, all: bool) -> Spoken {
    let mut found = read(desk, if all { None } else { Some(State::Pending) }).await?;
    found.retain(|whole| all || stands(desk, whole) == State::Pending);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|w| {
            vec![
                w.request.id.to_string(),
                w.request.access.subject().id.clone(),
                desk.authority.headline(w),
                stands(desk, w).name().to_owned(),
                when(w.concluded_at.unwrap_or(w.request.expires_at)),
            ]
        })
        .collect();
    let text = if rows.is_empty() {
        "Nothing waits.".to_owned()
    } else {
        table(&["REQUEST", "CALLER", "WHAT", "STATE", "ENDS / ENDED"], &rows)
    };
    Ok(Said::done(text, json!({ "requests": found.iter().map(|w| as_json(desk, w)).collect::<Vec<_>>() })))
}

fn show(desk: &Desk, whole: &Whole) -> Said {
    let request = &whole.request;
    let words = terms::words::words(request.id, request.access.hash()).join(" ");
    let arguments = arguments(&request.access);
    let call = request.access.reaches().is_some();
    let (by, what) = if call { ("caller  ", "tool    ") } else { ("asked by", "changes ") };
    let why = whole
        .why
        .as_ref()
        .map(|why| format!("\n  because  {}", terms::text::visible(why)))
        .unwrap_or_default();
    let text = format!(
        "{} — {}\n  request  {}\n  {by} {} (owner {})\n  {what} {}\n  words    {words}\n  takes    {}\n  expires  {}{why}\n\n{}\n\n  {}",
        desk.authority.headline(whole),
        stands(desk, whole).name(),
        request.id,
        request.access.subject().id,
        request.access.subject().owner,
        request.access.resource().id,
        request.requirement.label(),
        when(request.expires_at),
        arguments.join("\n"),
        desk.page(&format!("r/{}", request.id)),
    );
    Said::done(text, as_json(desk, whole)).exit(exit(desk, whole)).signed()
}

/// Lines of differences that are shown of one request; all of them are on its page.
const LINES: usize = 200;

/// What is asked for, name by name; what a change of rules changes, line by line.
fn arguments(access: &terms::Access) -> Vec<String> {
    let mut room = LINES;
    let mut lines = Vec::new();
    for field in terms::card::fields(access) {
        let first = field.pointer.steps().first().map(String::as_str);
        if access.reaches().is_none() && first == Some("changes") {
            let told = difference::of_patch(&field.value, room);
            room = room.saturating_sub(told.len());
            lines.push(format!("  {}", terms::text::visible(&field.label)));
            lines.extend(told);
        } else {
            lines.push(format!("  {:<14} {}", field.label, terms::text::visible(&field.value)));
        }
    }
    lines
}

async fn withdraw(desk: &Desk, whole: &Whole, why: String) -> Spoken {
    let request = &whole.request;
    match desk.authority.withdraw_as_operator(request.caller, request.id, &desk.by.to_string(), why).await? {
        Ok(()) => {
            Ok(Said::done("Withdrawn.", json!({ "request": request.id.to_string(), "state": "withdrawn" })))
        }
        Err(_) => Err(Said::failed(format!("it is over: {}", stands(desk, whole).name()), "")),
    }
}

async fn watch(desk: &Desk, id: terms::ElevationId) -> Spoken {
    loop {
        let mut waiting = desk.authority.waiting(id);
        let Some(whole) = desk.authority.store().elevation(id).await? else {
            return Err(Said::failed("it is gone", ""));
        };
        if stands(desk, &whole) != State::Pending {
            return Ok(show(desk, &whole));
        }
        let left = whole.request.left(desk.authority.now());
        let _ = tokio::time::timeout(left.duration() + std::time::Duration::from_secs(2), waiting.changed())
            .await;
    }
}

/// Where a request stands now: one beyond its time is over, whether or not a server has written it down yet.
fn stands(desk: &Desk, whole: &Whole) -> State {
    match whole.state {
        State::Pending if whole.request.expires_at <= desk.authority.now() => {
            State::Concluded(Conclusion::Expired)
        }
        state @ (State::Pending | State::Concluded(_)) => state,
    }
}

fn exit(desk: &Desk, whole: &Whole) -> Exit {
    let ended = |a| desk.authority.outcome_of(a) == Some(elevation::Outcome::Unknown);
    let unknown = whole.attempts.last().is_some_and(ended);
    match stands(desk, whole) {
        State::Concluded(Conclusion::Approved) if unknown => Exit::Unknown,
        State::Concluded(Conclusion::Approved) => Exit::Ok,
        State::Pending => Exit::Pending,
        State::Concluded(Conclusion::Rejected) => Exit::Rejected,
        State::Concluded(Conclusion::Expired | Conclusion::Withdrawn | Conclusion::Superseded) => {
            Exit::Expired
        }
    }
}

fn as_json(desk: &Desk, whole: &Whole) -> serde_json::Value {
    let request = &whole.request;
    json!({
        "request": request.id.to_string(), "state": stands(desk, whole).name(), "why": whole.why,
        "caller": request.access.subject().id, "owner": request.access.subject().owner,
        "resource": request.access.resource().id, "title": desk.authority.headline(whole),
        "access_hash": request.access.hash().to_string(),
        "words": terms::words::words(request.id, request.access.hash()),
        "requirement": request.requirement.label(), "expires_at": request.expires_at.millis(),
        "link": desk.page(&format!("r/{}", request.id)),
    })
}
