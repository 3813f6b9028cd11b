//! Lists of requests.

use authority::{Active, Failed, Listing, Whole};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use elevation::State as Stands;
use terms::Time;

use super::{frame_of, name_of, who};
use crate::answer::{NoPage, page};
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::pages::request::outcome;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{Card, HistoryPage, HistoryRow, InboxPage, NewPasskey, Place, Row};

/// Requests on one page of the history.
const PAGE: u32 = 50;

pub(crate) async fn inbox(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let now = console.authority.now();
    let mut all = console.authority.inbox(person.human.id).await?;
    all.sort_by_key(|(whole, _)| whole.request.expires_at);
    let rows = all.into_iter().map(|(whole, shown)| {
        let request = &whole.request;
        let until = Until { at: request.expires_at, now };
        let (tool, opened) = (&request.access.resource().id, When(request.opened_at));
        Row::of(request.id.to_string(), tool, &Card::of(&shown.card), opened, until, shown.can.err())
    });
    let (yours, others): (Vec<Row>, Vec<Row>) = rows.partition(|row| row.cannot.is_none());
    let frame = frame_of(&console, &person, Place::Inbox, yours.len());
    Ok(page(&InboxPage { frame, yours, others, agents_url: console.settings.agents_url.clone() }))
}

/// Which page of a list is asked for.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Before {
    before: Option<i64>,
}

pub(crate) async fn history(
    State(console): State<Shared>,
    person: Person,
    before: Result<Query<Before>, QueryRejection>,
) -> Result<Response, NoPage> {
    let before = before.ok().and_then(|Query(asked)| asked.before).map(Time::from_millis);
    let listing = Listing { before, limit: PAGE, ..Listing::default() };
    let all = console.authority.store().elevations(listing).await?;
    let full = all.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let older = all.last().filter(|_| full).map(|last| last.request.opened_at.millis());
    let over = all.into_iter().filter(|whole| whole.state != Stands::Pending);
    let rows = rows(&console, &person, over).await?;
    let frame = super::frame(&console, &person, Place::History).await?;
    let older = older.map(|at| format!("/history?before={at}"));
    let (active, now) = (console.authority.active(), console.authority.now());
    let passkeys = active.new_passkeys(now).map(|(human, passkey, at)| NewPasskey {
        person: Foreign::line(&human.name),
        enrolled: When(passkey.enrolled_at),
        by: who(&active, &passkey.enrolled_by),
        signs: Until { at, now },
    });
    let mut passkeys: Vec<_> = passkeys.collect();
    passkeys.sort_by_key(|row| std::cmp::Reverse(row.enrolled.0));
    Ok(page(&HistoryPage { frame, passkeys, rows, older }))
}

/// Those of these requests that the person may see.
pub(crate) async fn rows(
    console: &Console,
    person: &Person,
    all: impl Iterator<Item = Whole>,
) -> Result<Vec<HistoryRow>, Failed> {
    let mut rows = Vec::new();
    for whole in all {
        let Some(shown) = console.authority.show(&whole, person.human.id).await? else { continue };
        let card = Card::of(&shown.card);
        rows.push(HistoryRow {
            id: whole.request.id.to_string(),
            environment: card.environment,
            title: card.title,
            caller: card.caller.name,
            state: whole.state.name(),
            outcome: outcome(&whole, console.authority.now()),
            why: ended_by(&console.authority.active(), &whole),
            opened: When(whole.request.opened_at),
            words: card.words,
        });
    }
    Ok(rows)
}

/// Who ended it and why, where a person or the caller did.
pub(crate) fn ended_by(active: &Active, whole: &Whole) -> Option<Foreign> {
    let by = whole.concluded_by.as_ref().map(|by| name_of(active, by).unwrap_or_else(|| by.clone()));
    let said = [by, whole.why.clone()];
    let said: Vec<String> = said.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    (!said.is_empty()).then(|| Foreign::line(said.join(": ")))
}
