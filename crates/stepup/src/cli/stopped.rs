//! What a command says when what it would change takes approval first, or is denied.

use authority::{Denial, Stopped};
use serde_json::json;
use terms::Slug;

use super::Desk;
use super::say::{Exit, Said, when};

/// What it says.
pub(super) fn told(desk: &Desk, stopped: &Stopped) -> Said {
    match stopped {
        Stopped::Asked(challenge) => {
            let link = desk.page(&format!("r/{}", challenge.elevation));
            let more = match (challenge.wants_purpose, challenge.wants_ticket) {
                (_, true) if desk.by.ticket.is_some() => {
                    "\nThe ticket is none that it takes: run the command again with another --ticket."
                }
                (false, false) => "",
                (true, false) => "\nIt asks why: run the command again with --purpose.",
                (false, true) => "\nIt asks for a ticket: run the command again with --ticket.",
                (true, true) => {
                    "\nIt asks why, and for a ticket: run the command again with --purpose and --ticket."
                }
            };
            let text = format!(
                "Not done yet: it takes approval ({}). It waits until {}.\n\n  {link}\n\n  words to compare: {}\n{more}\nOnce it is approved, run the same command again.",
                challenge.label,
                when(challenge.expires_at),
                challenge.words.join(" "),
            );
            let json = json!({
                "request": challenge.elevation.to_string(), "state": "pending", "link": link,
                "words": challenge.words, "requirement": challenge.label,
                "wants_purpose": challenge.wants_purpose, "wants_ticket": challenge.wants_ticket,
                "expires_at": challenge.expires_at.millis(),
            });
            Said::done(text, json).exit(Exit::Pending)
        }
        Stopped::Denied(denial) => denied(desk, denial),
    }
}

fn denied(desk: &Desk, denial: &Denial) -> Said {
    let who = &desk.by;
    let record = denial.record.map(|id| format!(" (record {id})")).unwrap_or_default();
    let nobodys = desk.authority.active().caller_named(&who.to_string()).is_none();
    let (happened, todo) = if denial.slug == Slug::Rejected {
        let why = denial.why.as_deref().map(terms::text::visible).unwrap_or_default();
        (
            format!("a person rejected this lately: {why}"),
            "change what they object to, or ask them".to_owned(),
        )
    } else if denial.slug == Slug::NobodyMayApprove && nobodys {
        (
            format!(
                "this takes approval, and nobody knows whose account {who} is, so nobody can approve for it"
            ),
            "have somebody who may change people say whose it is: stepup human account NAME".to_owned(),
        )
    } else if denial.slug == Slug::NobodyMayApprove {
        (
            "this takes approval, and nobody who is there could give it".to_owned(),
            "see `stepup policy check --live`".to_owned(),
        )
    } else if denial.slug == Slug::PolicyDenied {
        (
            format!("the rules in force do not let {who} change this"),
            "ask whoever they let; who is locked out by them stops the server and runs `stepup policy recover`"
                .to_owned(),
        )
    } else if denial.slug == Slug::OutcomeUnknown {
        let attempt = denial.attempt.map(|id| id.to_string()).unwrap_or_default();
        (
            format!("this was begun as {attempt}, and whether it was done is not in the log"),
            format!(
                "look whether it is so, and say how it ended on its request's page: {}",
                desk.page("history")
            ),
        )
    } else if denial.slug == Slug::AlreadyRunning {
        ("this is being done right now, under its one approval".to_owned(), "look in a moment".to_owned())
    } else {
        let row = denial.slug.row();
        (row.happened.to_owned(), row.todo.to_owned())
    };
    let said = Said::failed(format!("{happened}{record}"), todo);
    let exits = [
        (Slug::Rejected, Exit::Rejected),
        (Slug::OutcomeUnknown, Exit::Unknown),
        (Slug::AlreadyRunning, Exit::Pending),
    ];
    said.exit(exits.into_iter().find(|(slug, _)| *slug == denial.slug).map_or(Exit::Denied, |(_, exit)| exit))
}
