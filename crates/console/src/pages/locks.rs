//! Locks in force; setting one takes a session, lifting one a passkey.

use std::collections::BTreeSet;

use authority::{Lock, LockSubject, NotCounted, Whole};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use terms::{Json, LockId};

use super::{frame, who};
use crate::answer::{NoPage, NotDone, done, json, page};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::{Until, When};
use crate::named::Named;
use crate::pages::request::reason;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{LockRow, LocksPage, Place, Subject};
use crate::webauthn;

pub(crate) async fn locks(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let (active, now) = (console.authority.active(), console.authority.now());
    let good = |lock: &&Lock| lock.until.is_none_or(|until| now < until);
    let locks = active.locks().iter().filter(good).map(|lock| row(&console, &person, lock)).collect();
    let everything = Subject { name: None, body: Json::object([("kind", "all")]).text() };
    let upstreams = upstreams(&console).into_iter().map(|name| Subject {
        body: Json::object([("kind", "upstream"), ("id", name.as_str())]).text(),
        name: Some(Foreign::line(name)),
    });
    let subjects = std::iter::once(everything).chain(upstreams).collect();
    Ok(page(&LocksPage { frame: frame(&console, &person, Place::Locks).await?, locks, subjects }))
}

fn upstreams(console: &Console) -> BTreeSet<String> {
    let active = console.authority.active();
    let pinned = active.pins().map(|pin| pin.upstream.clone());
    pinned.chain(console.authority.attached().keys().cloned()).collect()
}

/// The locks that stop what a request asks for, now, whatever is approved.
pub(crate) fn stopping(console: &Console, person: &Person, whole: &Whole) -> Vec<LockRow> {
    let active = console.authority.active();
    let Some(caller) = active.authenticated(whole.request.caller) else { return Vec::new() };
    let locks = active.locks_in_the_way(&caller, &whole.request.access, console.authority.now());
    locks.map(|lock| row(console, person, lock)).collect()
}

pub(crate) fn row(console: &Console, person: &Person, lock: &Lock) -> LockRow {
    let (active, now) = (console.authority.active(), console.authority.now());
    let name = |id| active.humans().find(|human| human.id == id).map(|human| human.name.clone());
    let what = match &lock.subject {
        LockSubject::All => "Everything".to_owned(),
        LockSubject::Caller(id) => {
            let row = active.callers().find(|row| row.id == *id);
            format!("Caller {}", row.map_or_else(|| id.to_string(), |row| row.name.clone()))
        }
        LockSubject::Human(id) => {
            format!("Everything that {} stands behind", name(*id).unwrap_or_else(|| id.to_string()))
        }
        LockSubject::Upstream(upstream) => format!("Upstream {upstream}"),
    };
    LockRow {
        id: lock.id.to_string(),
        what: Foreign::line(what),
        since: When(lock.since),
        until: lock.until.map(|at| Until { at, now }),
        by: who(&active, &lock.by),
        why: Foreign::line(&lock.why),
        cannot: console.authority.may_unlock(lock, person.human.id).err().map(|why| why.to_string()),
    }
}

pub(crate) async fn lock(
    State(console): State<Shared>,
    person: Person,
    asked: Asked,
) -> Result<Response, NotDone> {
    let subject = match asked.text("kind")? {
        "all" => LockSubject::All,
        "upstream" => {
            let name = asked.text("id")?;
            let known = upstreams(&console).contains(name);
            LockSubject::Upstream(known.then(|| name.to_owned()).ok_or(NotCounted::NotFound)?)
        }
        _ => return Err(NotDone::Malformed),
    };
    let (by, why) = (person.human.id.to_string(), reason(&asked)?);
    console.authority.lock(subject, by, why, None).await?;
    Ok(done("Locked."))
}

pub(crate) async fn begin_unlock(
    State(console): State<Shared>,
    person: Person,
    Named(lock): Named<LockId>,
    _: Asked,
) -> Result<Response, NotDone> {
    let begun = console.authority.begin_unlock(lock, person.human.id).await??;
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

pub(crate) async fn unlock(
    State(console): State<Shared>,
    person: Person,
    Named(lock): Named<LockId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let why = reason(&asked)?;
    let signed = webauthn::assertion(&asked)?;
    console.authority.unlock(lock, person.human.id, &why, &signed).await??;
    Ok(done("The lock is lifted."))
}
