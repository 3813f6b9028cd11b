//! The gateway's own tools: `stepup_run` runs a captured call once it is approved, from any connection and
//! without rewording it; `stepup_status` looks at a request (decisions §9); `stepup_preflight` says what a call would come to.

use authority::Ask;
use terms::json::Object;
use terms::{Action, ElevationId, Json, Millis, Slug};

use super::address::Address;
use super::ask::room_for_one;
use super::call::{Wanted, room};
use super::session::Running;
use super::stream::Client;
use super::watching::Watches;
use super::{Structured, refusal};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::elevations::{self, Claims, LONGEST_WAIT, unavailable};
use crate::gateway::Shared;
use crate::preflight::{self, Question};
use crate::told;

/// Runs a captured call.
pub(super) const RUN: &str = "stepup_run";
/// Looks at a request.
pub(super) const STATUS: &str = "stepup_status";

/// Says what a call would come to.
pub(super) const PREFLIGHT: &str = "stepup_preflight";

/// Whether a name is one of ours; an upstream's tool of that name is not reached through here.
pub(super) fn is_own(name: &str) -> bool {
    [RUN, STATUS, PREFLIGHT].contains(&name)
}

/// As `tools/list` shows them.
pub(super) fn definitions() -> [Json; 3] {
    let text = |says: &str| Json::object([("type", "string"), ("description", says)]);
    let elevation = text("The id that the stopped call answered, elv_….");
    let seconds = Json::object([
        ("type", Json::from("integer")),
        ("minimum", Json::from(0_u32)),
        ("maximum", Json::from(50_u32)),
        ("description", Json::from("Wait up to so many seconds for a change.")),
    ]);
    let run = [
        ("elevation", elevation.clone()),
        ("purpose", text("Why, in a sentence for the person who approves. Only where it was asked for.")),
        ("ticket", text("The ticket under which this is done. Only where it was asked for.")),
    ];
    let asked = [
        ("tool", text("The tool that would be called, by its name in `tools/list`.")),
        ("prompt", text("Or the prompt that would be got, by its name.")),
        ("resource", text("Or the resource that would be read, by its URI.")),
        (
            "arguments",
            Json::object([
                ("type", "object"),
                ("description", "The arguments that would be sent. Left out: what is known without them."),
            ]),
        ),
    ];
    [
        definition(
            RUN,
            "Run a call that was stopped for approval, exactly as it was, once it is approved. Waits a while for the approval.",
            (Json::object(run), &["elevation"]),
        ),
        definition(
            STATUS,
            "Look at a call that was stopped for approval: what it takes, how far it is, how it ended.",
            (Json::object([("elevation", elevation), ("wait", seconds)]), &["elevation"]),
        ),
        definition(
            PREFLIGHT,
            "Ask what a call would come to, without making it: whether it would run, which approval it would need, or that it is \
             denied. Opens no request, and uses nothing up.",
            (Json::object(asked), &[]),
        ),
    ]
}

fn definition(name: &str, description: &str, (properties, required): (Json, &[&str])) -> Json {
    let required = (!required.is_empty()).then(|| ("required", Json::from(required.to_vec())));
    let members = [
        ("type", Json::from("object")),
        ("properties", properties),
        ("additionalProperties", Json::from(false)),
    ];
    let schema = Json::object(members.into_iter().chain(required));
    Json::object([
        ("name", Json::from(name)),
        ("description", Json::from(description)),
        ("inputSchema", schema),
    ])
}

/// What a call of one of them asks for.
pub(super) enum Own {
    /// To run a captured call, with what is said of its request.
    Run(ElevationId, Claims),
    /// To look at a request, after a change or so long.
    Status(ElevationId, Millis),
    /// What a call would come to.
    Preflight(Question),
}

/// What each of them takes.
const TAKES: [(&str, &[&str]); 3] = [
    (RUN, &["elevation", "purpose", "ticket"]),
    (STATUS, &["elevation", "wait"]),
    (PREFLIGHT, &["tool", "prompt", "resource", "arguments"]),
];

impl Own {
    /// Reads the arguments.
    pub(super) fn of(name: &str, arguments: &Json) -> Result<Self, Refusal> {
        let Json::Object(arguments) = arguments else { return Err(Slug::ArgumentsInvalid.into()) };
        let takes = TAKES.iter().find(|(own, _)| *own == name).map_or(&[][..], |(_, takes)| *takes);
        super::envelope::only(arguments, takes)
            .map_err(|refusal| Refusal { slug: Slug::ArgumentsInvalid, ..refusal })?;
        if name == PREFLIGHT {
            return Ok(Self::Preflight(Question::of(arguments)?));
        }
        let id = arguments.get("elevation").and_then(Json::as_str).and_then(|text| text.parse().ok());
        let Some(id) = id else {
            return Err(Refusal::because(Slug::ArgumentsInvalid, "elevation is not an id such as elv_…"));
        };
        if name == STATUS {
            return Ok(Self::Status(id, wait(arguments)?));
        }
        Ok(Self::Run(id, Claims::of(arguments)?))
    }
}

fn wait(arguments: &Object) -> Result<Millis, Refusal> {
    let Some(wait) = arguments.get("wait") else { return Ok(Millis::new(0)) };
    let seconds = wait.as_i64().and_then(|s| u64::try_from(s).ok());
    let seconds =
        seconds.ok_or_else(|| Refusal::because(Slug::ArgumentsInvalid, "wait is not a number of seconds"))?;
    Ok(Millis::seconds(seconds).min(LONGEST_WAIT))
}

/// The captured access of an elevation of this caller, with what the caller adds to its request.
pub(super) async fn captured(
    gateway: &Shared,
    known: &Known,
    id: ElevationId,
    claims: Claims,
) -> Result<Wanted, Refusal> {
    match claims.add(gateway, known, id).await {
        // It does not wait any more; whether it can be run is said below.
        Err(refusal) if refusal.slug == Slug::StateInvalid => {}
        said => said?,
    }
    let ask = gateway.authority.captured(&known.caller, id, &known.source).await;
    let ask = ask.map_err(|failed| unavailable(&failed))?.map_err(|slug| {
        let detail = (slug == Slug::StateInvalid).then(|| ONLY_REPEATS.to_owned());
        Refusal { detail, ..slug.into() }
    })?;
    let tool = gateway.authority.active().target_of(&ask.access);
    let structured = tool.map_or(Structured::BySchema, |tool| room(&tool));
    Ok(Wanted { back: Some(id), ..Wanted::new(ask, structured) })
}

/// Whether whoever runs a captured subscription by its id is told of anything then: who has no session, or has it at another
/// address, is not, and their approval is not to be used up for that.
///
/// # Errors
/// That nobody would be told.
pub(super) fn can_be_told(
    gateway: &Shared,
    at: &Address,
    watches: Option<&Watches>,
    ask: &Ask,
) -> Result<(), Refusal> {
    let access = &ask.access;
    if access.action() != Action::Subscribe.name() {
        return Ok(());
    }
    let here = match at {
        Address::One(upstream) => upstream == access.resource().upstream_name(),
        Address::All => true,
    };
    if watches.is_none() || !here {
        return Err(Refusal::because(Slug::StateInvalid, ONLY_WHERE_IT_IS_HEARD));
    }
    room_for_one(gateway, ask.caller.id)
}

/// What a caller hears whose subscription would be heard by nobody.
const ONLY_WHERE_IT_IS_HEARD: &str = "This request is to be told whenever a resource changes, which a tool call cannot. It did not run, and its approval \
     stays: ask again for what was stopped, with `subscriptions/listen`, or `resources/subscribe` in a session.";

/// What a caller hears whose call cannot be run by its id.
const ONLY_REPEATS: &str = "This request holds what was not kept: secret arguments, or what its upstream wants back. Repeat exactly the original call \
     instead.";

pub(super) async fn status(
    gateway: Shared,
    known: Known,
    running: Running,
    client: Client,
    id: ElevationId,
    wait: Millis,
) {
    let status = elevations::status(&gateway, &known, id, wait).await;
    drop(running);
    match status {
        Ok(status) => {
            let told = told::status(&gateway.settings, &status);
            let text = Json::Object(told.clone()).text();
            let _taken = client.result(&refusal::ours(&text, told)).await;
        }
        Err(refusal) => {
            let _taken = client.result(&refused(&refusal)).await;
        }
    }
}

/// The result that says what a call would come to.
pub(super) async fn preflight(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    question: Question,
    meta: Object,
) -> String {
    match preflight::foreseen(gateway, known, at, question, meta).await {
        Ok(data) => {
            let says = data.get("says").and_then(Json::as_str).unwrap_or_default().to_owned();
            refusal::ours(&says, data)
        }
        Err(refusal) => refused(&refusal),
    }
}

/// Refusals of our own tools are tool errors: models are shown those.
pub(super) fn refused(refusal: &Refusal) -> String {
    refusal::refused(refusal, Structured::Free)
}
