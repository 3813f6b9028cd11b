//! Tools: what upstreams say of themselves. Accepting a definition takes a passkey, refusing one a session.

use authority::{Active, PinState, Target};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use terms::{Kind, Part, PinId};

use super::{frame, leaves};
use crate::answer::{NoPage, NotDone, done, json, page};
use crate::asked::Asked;
use crate::foreign::Foreign;
use crate::moment::When;
use crate::named::Named;
use crate::person::Person;
use crate::router::Shared;
use crate::view::{Diff, Environment, Place, ToolPage, ToolRow, ToolsPage, changes};
use crate::webauthn;

pub(crate) async fn tools(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let active = console.authority.active();
    let (stopped, rest): (Vec<&Target>, Vec<&Target>) =
        active.targets().map(AsRef::as_ref).partition(|tool| tool.pin.state == PinState::Quarantined);
    let rows = |tools: Vec<&Target>| tools.into_iter().map(|tool| row(&active, tool)).collect();
    let frame = frame(&console, &person, Place::Tools).await?;
    Ok(page(&ToolsPage { frame, stopped: rows(stopped), rows: rows(rest) }))
}

fn row(active: &Active, tool: &Target) -> ToolRow {
    let is_operators = matches!(tool.kind, Kind::Route | Kind::Operation);
    ToolRow {
        pin: tool.pin.id.to_string(),
        upstream: Foreign::line(&tool.upstream),
        kind: tool.kind.name(),
        name: Foreign::line(&tool.name),
        environment: Environment::of(&tool.environment),
        state: if is_operators { "configured" } else { tool.state() },
        reviewed: tool.settings.reviewed.as_ref().map(Foreign::line),
        digest: Foreign::exact(tool.pin.digest.to_string()),
        seen: (!is_operators).then_some(When(tool.pin.seen_at)),
        decided_by: tool.pin.decided_by.as_ref().map(|by| super::who(active, by)),
    }
}

pub(crate) async fn tool(
    State(console): State<Shared>,
    person: Person,
    Named(pin): Named<PinId>,
) -> Result<Response, NoPage> {
    let before = console.authority.store().accepted_before(pin).await?;
    let active = console.authority.active();
    let tool = active.targets().find(|tool| tool.pin.id == pin).ok_or(NoPage::Nothing)?;
    let diff = before.map(|before| Diff {
        seen: When(before.seen_at),
        changes: changes(&before.definition, &tool.pin.definition),
    });
    Ok(page(&ToolPage {
        frame: frame(&console, &person, Place::Tools).await?,
        row: row(&active, tool),
        waits: tool.pin.state == PinState::Quarantined,
        accepts: console.authority.may_administer(person.human.id, Part::Definitions),
        diff,
        leaves: leaves::drawn(&tool.pin.definition),
    }))
}

pub(crate) async fn begin_accept(
    State(console): State<Shared>,
    person: Person,
    Named(pin): Named<PinId>,
    _: Asked,
) -> Result<Response, NotDone> {
    let begun = console.authority.begin_accept(pin, person.human.id).await??;
    Ok(json(StatusCode::OK, &webauthn::to_get(&begun, console.authority.now())))
}

pub(crate) async fn accept(
    State(console): State<Shared>,
    person: Person,
    Named(pin): Named<PinId>,
    asked: Asked,
) -> Result<Response, NotDone> {
    let signed = webauthn::assertion(&asked)?;
    console.authority.accept(pin, person.human.id, &signed).await??;
    Ok(done("Accepted. Policy decides about its calls again."))
}

pub(crate) async fn refuse(
    State(console): State<Shared>,
    person: Person,
    Named(pin): Named<PinId>,
    _: Asked,
) -> Result<Response, NotDone> {
    console.authority.refuse(pin, person.human.id.to_string()).await??;
    Ok(done("Refused. The tool stays stopped."))
}
