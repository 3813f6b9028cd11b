//! One request: its card, a person's answer to it, and what became of it.

use authority::{Attempt, Authority, NotCounted, Selector, Voted, Whole};
use axum::extract::State;
use axum::response::Response;
use elevation::{Conclusion, GrantState, Outcome, State as Stands};
use http::StatusCode;
use terms::statement::Role;
use terms::{AttemptId, ElevationId, Kind, Time};

use super::{frame, locks};
use crate::answer::{self, NoPage, NotDone, done, json, look_again};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::named::Named;
use crate::pages::inbox::ended_by;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{Can, Card, LockRow, Place, RequestPage, Step, Tone};
use crate::webauthn;
use crate::words::{self, Words};

pub(crate) async fn page(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
) -> Result<Response, NoPage> {
    let authority = &console.authority;
    let whole = authority.store().elevation(elevation).await?.ok_or(NoPage::Nothing)?;
    let shown = authority.show(&whole, person.human.id).await?.ok_or(NoPage::Nothing)?;
    let now = authority.now();
    let until = Until { at: whole.request.expires_at, now };
    let waits = whole.state == Stands::Pending && now < whole.request.expires_at;
    let words = words::of(&whole.request.access);
    let can = match shown.can {
        _ if !waits => Can::Nothing,
        Ok(role) => Can::Sign { verb: Authority::verb(role), says: capacity(words, role), until },
        Err(why) => Can::Look { why: Foreign::line(why), rejects: shown.rejects, until },
    };
    let stopping = locks::stopping(&console, &person, &whole);
    let live = whole.grant.as_ref().is_some_and(|grant| grant.state(now) == GrantState::Live);
    Ok(answer::page(&RequestPage {
        frame: frame(&console, &person, Place::Inbox).await?,
        id: elevation.to_string(),
        kind: Kind::named(&whole.request.access.resource().kind).map_or("", Kind::name),
        card: Card::of(&shown.card),
        at_console: shown.card.caller.name.starts_with(authority::CONSOLE),
        opened: When(whole.request.opened_at),
        can,
        story: story(&whole, ended_by(&authority.active(), &whole), !stopping.is_empty(), now),
        locks: if waits || live { stopping } else { Vec::new() },
        withdrawable: waits && behind(&console, &whole, &person),
        live,
        unknown: unknown(&whole).map(|attempt| attempt.id.to_string()),
    }))
}

const fn capacity(words: &'static Words, role: Role) -> &'static str {
    let [approver, owner] = words.capacity;
    match role {
        Role::Approver => approver,
        Role::Owner => owner,
    }
}

fn behind(console: &Console, whole: &Whole, person: &Person) -> bool {
    let caller = console.authority.active().authenticated(whole.request.caller);
    caller.is_some_and(|caller| caller.roots.contains(&person.human.root))
}

fn unknown(whole: &Whole) -> Option<&Attempt> {
    whole.attempts.iter().find(|attempt| attempt.outcome == Some(Outcome::Unknown))
}

/// What came of a request, in a word or two.
pub(crate) fn outcome(whole: &Whole, now: Time) -> &'static str {
    let words = words::of(&whole.request.access);
    let [running, done, failed, not_sent, unknown] = words.outcomes;
    let [not_yet, lapsed, taken_back, nothing] = words.nothing;
    match (whole.state, whole.attempts.last()) {
        (Stands::Pending, _) => "waits",
        (Stands::Concluded(_), Some(last)) => match last.outcome {
            None => running,
            Some(Outcome::Done) => done,
            Some(Outcome::Failed) => failed,
            Some(Outcome::NotSent) => not_sent,
            Some(Outcome::Unknown) => unknown,
            Some(Outcome::Released) => "let through",
        },
        (Stands::Concluded(Conclusion::Approved), None) => match whole.grant.as_ref().map(|g| g.state(now)) {
            Some(GrantState::Live) => not_yet,
            Some(GrantState::Lapsed) => lapsed,
            Some(GrantState::Revoked) => taken_back,
            Some(GrantState::Spent) | None => nothing,
        },
        (
            Stands::Concluded(
                Conclusion::Rejected | Conclusion::Expired | Conclusion::Withdrawn | Conclusion::Superseded,
            ),
            None,
        ) => nothing,
    }
}

/// What has happened to a request, in order.
fn story(whole: &Whole, by: Option<Foreign>, locked: bool, now: Time) -> Vec<Step> {
    let words = words::of(&whole.request.access);
    let [expired, rejected, withdrawn, closed] = words.ended;
    let ended = |tone, says, by| vec![Step { tone, says, by, at: whole.concluded_at.map(When), until: None }];
    let Stands::Concluded(conclusion) = whole.state else {
        let over = whole.request.expires_at <= now;
        return if over { ended(Tone::Plain, expired, None) } else { Vec::new() };
    };
    match conclusion {
        Conclusion::Approved => {
            let names: Vec<&str> = whole.request.votes.iter().map(|vote| vote.name.as_str()).collect();
            let mut steps = ended(Tone::Good, "Approved by", Some(Foreign::line(names.join(", "))));
            steps.extend(whole.attempts.iter().map(|attempt| attempted(words, attempt)));
            steps.extend(still_open(words, whole, locked, now));
            steps
        }
        Conclusion::Rejected => ended(Tone::Bad, rejected, by),
        Conclusion::Expired => ended(Tone::Plain, expired, None),
        Conclusion::Withdrawn => ended(Tone::Plain, withdrawn, by),
        Conclusion::Superseded => ended(Tone::Plain, closed, None),
    }
}

fn attempted(words: &'static Words, attempt: &Attempt) -> Step {
    let [running, done, failed, not_sent, unknown, undelivered] = words.attempted;
    let (tone, says) = match attempt.outcome {
        None => (Tone::Open, running),
        Some(Outcome::Done) if attempt.delivered == Some(false) => (Tone::Good, undelivered),
        Some(Outcome::Done) => (Tone::Good, done),
        Some(Outcome::Failed) => (Tone::Bad, failed),
        Some(Outcome::NotSent) => (Tone::Plain, not_sent),
        Some(Outcome::Unknown) => (Tone::Open, unknown),
        // Of what a proxy asks about alone.
        Some(Outcome::Released) => (
            Tone::Good,
            "The proxy or program that asked was told to let it through. What became of it is seen there.",
        ),
    };
    Step { tone, says, by: None, at: Some(When(attempt.settled_at.unwrap_or(attempt.at))), until: None }
}

/// What the grant still allows, or that it allows nothing any more.
fn still_open(words: &'static Words, whole: &Whole, locked: bool, now: Time) -> Option<Step> {
    let grant = whole.grant.as_ref()?;
    let [open, stopped, over] = words.open;
    let step = |tone, says, until| Some(Step { tone, says, by: None, at: None, until });
    match grant.state(now) {
        GrantState::Live => {
            let says = if locked { stopped } else { open };
            step(Tone::Open, says, Some(Until { at: grant.not_after, now }))
        }
        GrantState::Lapsed => step(Tone::Plain, over, None),
        GrantState::Revoked => step(Tone::Bad, "The grant was taken back.", None),
        GrantState::Spent => None,
    }
}

pub(crate) async fn begin(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    seen(&console, elevation, &person).await?;
    let (begun, card, _) = console.authority.begin_consent(elevation, person.human.id).await??;
    // What is signed is what was seen: a card that has changed since is shown again first (invariant 6).
    if card.hash().to_string() != asked.text("card")? {
        return Ok(look_again(
            StatusCode::CONFLICT,
            "What is shown has changed. Look again before you answer.",
        ));
    }
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

/// Of a request that is not for this person nothing is told, not even that it is over (T112).
async fn seen(console: &Console, elevation: ElevationId, person: &Person) -> Result<Whole, NotDone> {
    let whole = console.authority.store().elevation(elevation).await?.ok_or(NotCounted::NotFound)?;
    console.authority.show(&whole, person.human.id).await?.ok_or(NotCounted::NotFound)?;
    Ok(whole)
}

pub(crate) async fn vote(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let whole = seen(&console, elevation, &person).await?;
    let signed = webauthn::assertion(&asked)?;
    let voted = console.authority.vote(elevation, person.human.id, &signed).await??;
    Ok(done(match voted {
        Voted::Approved(_) => approved(&whole, &locks::stopping(&console, &person, &whole)),
        Voted::Waiting => "Your signature counts. More is needed.",
    }))
}

/// What an approval comes to: a grant is no way round a lock (invariant 3).
fn approved(whole: &Whole, locks: &[LockRow]) -> &'static str {
    let words = words::of(&whole.request.access);
    if locks.is_empty() {
        words.approved
    } else if locks.iter().all(|lock| lock.cannot.is_none()) {
        words.locked
    } else {
        words.locked_for_others
    }
}

pub(crate) async fn reject(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let whole = seen(&console, elevation, &person).await?;
    let (words, lock) = (words::of(&whole.request.access), asked.yes("lock"));
    console.authority.reject(elevation, person.human.id, asked.text("reason")?, lock).await??;
    Ok(done(if lock { words.rejected_and_locked } else { words.rejected }))
}

pub(crate) async fn withdraw(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let whole = seen(&console, elevation, &person).await?;
    let (caller, why) = (whole.request.caller, asked.text("reason")?);
    console.authority.withdraw_for(caller, elevation, person.human.id, why).await??;
    Ok(done("Withdrawn."))
}

pub(crate) async fn revoke(
    State(console): State<Shared>,
    person: Person,
    Named(elevation): Named<ElevationId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let whole = seen(&console, elevation, &person).await?;
    let grant = whole.grant.ok_or(NotCounted::NotFound)?;
    let (by, why) = (person.human.id.to_string(), reason(&asked)?);
    let count = console.authority.revoke(Selector::Grant(grant.id), by, why).await?;
    Ok(done(if count == 0 { "There was nothing left to take back." } else { "Taken back." }))
}

/// Why a person does something; whoever takes power away says why.
pub(crate) fn reason(asked: &Asked) -> Result<String, NotDone> {
    Ok(authority::stated(asked.text("reason")?).ok_or(NotCounted::ReasonMissing)?)
}

pub(crate) async fn begin_resolve(
    State(console): State<Shared>,
    person: Person,
    Named(attempt): Named<AttemptId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let outcome = named_outcome(&asked)?;
    let begun = console.authority.begin_resolve(attempt, outcome, person.human.id).await??;
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

pub(crate) async fn resolve(
    State(console): State<Shared>,
    person: Person,
    Named(attempt): Named<AttemptId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let (outcome, why) = (named_outcome(&asked)?, reason(&asked)?);
    let signed = webauthn::assertion(&asked)?;
    console.authority.resolve(attempt, outcome, person.human.id, &why, &signed).await??;
    Ok(done("Recorded. Nothing was sent again."))
}

fn named_outcome(asked: &Asked) -> Result<Outcome, NotDone> {
    let name = asked.text("outcome")?;
    Outcome::named(name)
        .filter(|outcome| !matches!(outcome, Outcome::Unknown | Outcome::Released))
        .ok_or(NotDone::Malformed)
}
