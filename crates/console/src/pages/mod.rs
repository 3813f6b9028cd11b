//! What answers each address: reads what `authority` says, and shows it or passes a person's act on. Nothing here
//! decides anything.

pub(crate) mod callers;
pub(crate) mod door;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod inbox;
pub(crate) mod leaves;
pub(crate) mod locks;
pub(crate) mod log;
pub(crate) mod me;
pub(crate) mod policies;
pub(crate) mod request;
pub(crate) mod says;
pub(crate) mod told;
pub(crate) mod tools;

use authority::{Active, Failed, LockSubject};
use terms::{CallerId, HumanId};

use crate::foreign::Foreign;
use crate::moment::Until;
use crate::person::Person;
use crate::router::Console;
use crate::view::{AllLocked, Frame, Place};

/// What is around a page.
pub(crate) async fn frame(console: &Console, person: &Person, here: Place) -> Result<Frame, Failed> {
    let inbox = console.authority.inbox(person.human.id).await?;
    Ok(frame_of(console, person, here, inbox.iter().filter(|(_, shown)| shown.can.is_ok()).count()))
}

/// The same, where it is known already how many requests wait for the person.
pub(crate) fn frame_of(console: &Console, person: &Person, here: Place, waiting: usize) -> Frame {
    let active = console.authority.active();
    let now = console.authority.now();
    let all = active.locks().iter().filter(|lock| lock.subject == LockSubject::All);
    let ends = all.map(|lock| lock.until).filter(|until| until.is_none_or(|until| now < until));
    // The one that stands longest: one without an end, else the last to end.
    let last = ends.max_by_key(|until| (until.is_none(), *until));
    Frame {
        person: Foreign::line(&person.human.name),
        here,
        waiting,
        reads_log: person.reads_all(&active),
        all_locked: last.map(|until| AllLocked { until: until.map(|at| Until { at, now }) }),
        seen: person.seen,
        now,
    }
}

/// The name of who did something, where it is the id of a person; an account of the machine is the operator's; else
/// as it was recorded.
pub(crate) fn who(active: &Active, by: &str) -> Foreign {
    let operator = || by.starts_with("os:").then(|| format!("the operator ({by})"));
    Foreign::line(name_of(active, by).or_else(operator).unwrap_or_else(|| by.to_owned()))
}

/// The name of the person or the caller whose id this is, or of the person whose account of the machine.
pub(crate) fn name_of(active: &Active, id: &str) -> Option<String> {
    let human: Option<HumanId> = self::id(id);
    let caller: Option<CallerId> = self::id(id);
    let human = human.and_then(|id| active.humans().find(|row| row.id == id).map(|row| row.name.clone()));
    let theirs = || active.person_of(id).map(|human| format!("{} ({id})", human.name));
    human.or_else(theirs).or_else(|| {
        caller.and_then(|id| active.callers().find(|row| row.id == id).map(|row| row.name.clone()))
    })
}

/// Reads the id in an address; a text that is none is an address of nothing.
pub(crate) fn id<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
