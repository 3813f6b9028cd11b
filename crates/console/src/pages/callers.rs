//! Callers: what they hold, and the ways to stop them.

use authority::{Attempt, CallerView, Listing, LockSubject, NotCounted, Selector, Whole};
use axum::extract::State;
use axum::response::Response;
use elevation::{GrantState, Outcome};
use terms::{CallerId, Time};

use super::{explain, frame, inbox, locks};
use crate::answer::{NoPage, NotDone, done, page};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::named::Named;
use crate::pages::request::reason;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{CallerPage, CallerRow, CallersPage, Card, GrantRow, Place, RunRow};

/// What is shown of a caller's past.
const LATELY: u32 = 30;

pub(crate) async fn callers(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let rows = console.authority.callers().iter().map(row).collect();
    Ok(page(&CallersPage { frame: frame(&console, &person, Place::Callers).await?, rows }))
}

fn row(view: &CallerView) -> CallerRow {
    CallerRow {
        id: view.row.id.to_string(),
        name: Foreign::line(&view.row.name),
        kind: view.row.kind.name(),
        owner: Foreign::line(&view.owner),
        groups: view.groups.iter().map(Foreign::line).collect(),
        keys: view.keys.iter().map(Foreign::line).collect(),
        locked: view.lock.as_ref().map(|lock| Foreign::line(&lock.why)),
        disabled: view.row.disabled_at.is_some(),
    }
}

pub(crate) async fn caller(
    State(console): State<Shared>,
    person: Person,
    Named(caller): Named<CallerId>,
) -> Result<Response, NoPage> {
    let authority = &console.authority;
    let view = authority.callers().into_iter().find(|view| view.row.id == caller).ok_or(NoPage::Nothing)?;
    let now = authority.now();
    let listing = Listing { caller: Some(caller), limit: LATELY, ..Listing::default() };
    let all = authority.store().elevations(listing).await?;
    let mut grants = Vec::new();
    for whole in &all {
        if let Some(shown) = authority.show(whole, person.human.id).await? {
            grants.extend(held(whole, &Card::of(&shown.card), now));
        }
    }
    let runs = authority.store().attempts(Some(caller), LATELY).await?;
    Ok(page(&CallerPage {
        frame: frame(&console, &person, Place::Callers).await?,
        row: row(&view),
        chain: view.row.act.iter().map(Foreign::line).collect(),
        lock: view.lock.as_ref().map(|lock| locks::row(&console, &person, lock)),
        explains: explain::offered(&console, &person, caller),
        grants,
        runs: runs.iter().map(run).collect(),
        requests: inbox::rows(&console, &person, all.into_iter()).await?,
    }))
}

/// The grant of a request, where it can still be spent.
fn held(whole: &Whole, card: &Card, now: Time) -> Option<GrantRow> {
    let grant = whole.grant.as_ref().filter(|grant| grant.state(now) == GrantState::Live)?;
    Some(GrantRow {
        request: whole.request.id.to_string(),
        environment: card.environment.clone(),
        title: card.title.clone(),
        spent: format!("{} of {}", grant.spent, grant.uses),
        until: Until { at: grant.not_after, now },
    })
}

fn run(attempt: &Attempt) -> RunRow {
    RunRow {
        tool: Foreign::line(&attempt.resource),
        at: When(attempt.at),
        outcome: attempt.outcome.map_or("running", |outcome| match outcome {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::NotSent => "not sent",
            Outcome::Unknown => "unknown",
            Outcome::Released => "released",
        }),
        granted: attempt.grant.is_some(),
    }
}

/// The caller that an address names, if there is one.
fn known(console: &Console, named: CallerId) -> Result<CallerId, NotDone> {
    let known = console.authority.active().callers().any(|row| row.id == named);
    Ok(known.then_some(named).ok_or(NotCounted::NotFound)?)
}

pub(crate) async fn lock(
    State(console): State<Shared>,
    person: Person,
    Named(named): Named<CallerId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let caller = known(&console, named)?;
    let (by, why) = (person.human.id.to_string(), reason(&asked)?);
    console.authority.lock(LockSubject::Caller(caller), by, why, None).await?;
    Ok(done("Locked. Nothing this caller asks for runs."))
}

pub(crate) async fn revoke(
    State(console): State<Shared>,
    person: Person,
    Named(named): Named<CallerId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let caller = known(&console, named)?;
    let (by, why) = (person.human.id.to_string(), reason(&asked)?);
    let count = console.authority.revoke(Selector::Caller(caller), by, why).await?;
    Ok(done(&format!("Grants taken back: {count}.")))
}
