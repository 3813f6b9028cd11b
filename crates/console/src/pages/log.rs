//! The log for those who may read all of it: auditors and administrators (T112).

use authority::{Active, LogLine};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use terms::{Json, RecordId, json};

use super::says::says;
use super::{explain, frame, leaves, name_of};
use crate::answer::{NoPage, page};
use crate::foreign::Foreign;
use crate::moment::When;
use crate::named::Named;
use crate::person::Person;
use crate::router::{Console, Shared};
use crate::view::{LogPage, LogRow, Place, RecordPage};

/// Records on one page.
const PAGE: u64 = 50;

/// Which page is asked for: the records before this one.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Before {
    before: Option<u64>,
}

fn reader(console: &Console, person: &Person) -> Result<(), NoPage> {
    let reads = person.reads_all(&console.authority.active());
    reads.then_some(()).ok_or(NoPage::Nothing)
}

pub(crate) async fn log(
    State(console): State<Shared>,
    person: Person,
    before: Result<Query<Before>, QueryRejection>,
) -> Result<Response, NoPage> {
    reader(&console, &person)?;
    let head = console.authority.store().head().await?;
    let end = before.ok().and_then(|Query(asked)| asked.before).unwrap_or(head.size).min(head.size);
    let from = end.saturating_sub(PAGE);
    let count = u32::try_from(end - from).unwrap_or(0);
    let mut lines = console.authority.store().records(from, count).await?;
    lines.reverse();
    let active = console.authority.active();
    let newer = (end < head.size).then(|| format!("/log?before={}", end.saturating_add(PAGE).min(head.size)));
    Ok(page(&LogPage {
        frame: frame(&console, &person, Place::Log).await?,
        size: head.size,
        root: Foreign::exact(head.root.to_string()),
        rows: lines.iter().map(|line| row(&active, line)).collect(),
        older: (from > 0).then(|| format!("/log?before={from}")),
        newer,
    }))
}

fn body(line: &LogLine) -> Option<Json> {
    line.body.as_ref().and_then(|(body, _)| json::parse_within(body, json::Limits::ANSWER).ok())
}

/// One record as a line.
pub(crate) fn row(active: &Active, line: &LogLine) -> LogRow {
    let name = |id: &str| name_of(active, id);
    LogRow {
        leaf: line.leaf,
        id: line.id.to_string(),
        kind: Foreign::line(&line.kind),
        at: When(line.at),
        says: Foreign::line(says(&line.kind, body(line).as_ref(), &name)),
    }
}

/// One record, for those who may read the whole log.
pub(crate) async fn read(console: &Console, person: &Person, record: RecordId) -> Result<LogLine, NoPage> {
    reader(console, person)?;
    console.authority.store().record(record).await?.ok_or(NoPage::Nothing)
}

pub(crate) async fn record(
    State(console): State<Shared>,
    person: Person,
    Named(record): Named<RecordId>,
) -> Result<Response, NoPage> {
    let line = read(&console, &person, record).await?;
    let envelope = json::parse_within(&line.envelope, json::Limits::ANSWER).unwrap_or(Json::Null);
    let request = envelope.get("refs").and_then(|refs| refs.get("elevation")).and_then(Json::as_str);
    let body = body(&line);
    Ok(page(&RecordPage {
        frame: frame(&console, &person, Place::Log).await?,
        row: row(&console.authority.active(), &line),
        envelope: leaves::drawn(&envelope),
        why: explain::has_why(body.as_ref()),
        body: body.as_ref().map(leaves::drawn),
        request: request.map(str::to_owned),
    }))
}
