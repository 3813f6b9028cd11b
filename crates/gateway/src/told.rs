//! What a caller is told of an elevation, the same by every carrier (standards 1.6): what it takes and how
//! far it is, never who (T124).

use authority::{Challenge, Denial, Line, Status};
use elevation::State;
use terms::json::Object;
use terms::{ElevationId, Json, Time};

use crate::settings::Settings;

/// After this long it is worth asking again.
const RETRY_AFTER_MS: u32 = 5000;

/// A moment as people and machines read it (RFC 3339, UTC).
pub(crate) fn moment(time: Time) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map(|at| at.to_string()).unwrap_or_default()
}

/// Where a person opens an elevation.
pub(crate) fn link(settings: &Settings, id: ElevationId) -> String {
    format!("{}/r/{id}", settings.people_url)
}

pub(crate) fn lines(lines: &[Line]) -> Json {
    let line = |line: &Line| {
        Json::object([
            ("says", Json::from(line.says.as_str())),
            ("have", Json::from(line.have)),
            ("need", Json::from(line.need)),
        ])
    };
    Json::Array(lines.iter().map(line).collect())
}

/// What it takes, for models.
pub(crate) fn takes(label: &str, lines: &[Line]) -> String {
    let lines = lines.iter().map(|line| format!("- {} ({} of {})\n", line.says, line.have, line.need));
    format!("It takes ({label}):\n{}", lines.collect::<String>())
}

/// That this exact call ran and its answer was lost, for models.
pub(crate) fn ran((at, outcome): &(Time, String)) -> String {
    let at = moment(*at);
    format!(
        "Careful: this exact call ran already at {at} ({outcome}); its answer was not delivered. \
         Check whether it still has to run at all.\n"
    )
}

/// The data block of a challenge.
pub(crate) fn challenge(settings: &Settings, challenge: &Challenge) -> Object {
    let id = challenge.elevation;
    let members = [
        ("elevation", Json::from(id)),
        ("access_hash", Json::from(challenge.access)),
        ("requires", Json::from(challenge.label.as_str())),
        ("requirement", lines(&challenge.lines)),
        ("words", Json::from(challenge.words.join(" "))),
        ("link", Json::from(link(settings, id))),
        ("expires_at", Json::from(moment(challenge.expires_at))),
        ("status_url", Json::from(format!("{}/v1/elevations/{id}", settings.agents_url))),
        ("retry_after_ms", Json::from(RETRY_AFTER_MS)),
    ];
    let wants = [("purpose", challenge.wants_purpose), ("ticket", challenge.wants_ticket)];
    let wants: Vec<&str> = wants.into_iter().filter_map(|(what, wanted)| wanted.then_some(what)).collect();
    let mut told: Object = members.into_iter().collect();
    // Nobody can sign before its caller has said that.
    if !wants.is_empty() {
        told.insert("wants", Json::from(wants));
    }
    told
}

/// Where SEP-2643 (a draft) has the data of a denial: in the `_meta` of a result, and in the `data` of an error.
pub(crate) const DENIAL: (&str, &str) = ("io.modelcontextprotocol/authorization", "authorization");

/// The data of a denial as SEP-2643 (a draft) has it, where the operator wants it told. Its handle is no authority, and its
/// hints name nobody.
pub(crate) fn denial(settings: &Settings, challenge: &Challenge) -> Option<Json> {
    let open = [("type", Json::from("url")), ("url", Json::from(link(settings, challenge.elevation)))];
    let denial = [
        ("reason", Json::from("insufficient_authorization")),
        ("authorizationContextId", Json::from(challenge.elevation)),
        ("remediation", Json::from("available")),
        ("remediationHints", Json::from(vec![Json::object(open)])),
    ];
    settings.denial_data.then(|| Json::object(denial))
}

/// What is known of why something may not run.
pub(crate) fn denied(denial: &Denial) -> Object {
    let members = [
        ("record", denial.record.map(Json::from)),
        ("attempt", denial.attempt.map(Json::from)),
        ("why", denial.why.as_deref().map(|why| Json::from(terms::text::visible(why)))),
    ];
    members.into_iter().filter_map(|(name, known)| Some((name, known?))).collect()
}

/// One elevation of the caller that asks.
pub(crate) fn status(settings: &Settings, status: &Status) -> Object {
    let mut told = challenge(settings, &status.challenge);
    told.insert("state", status.state.name());
    told.insert("spendable", status.spendable);
    if status.state != State::Pending {
        told.remove("retry_after_ms");
    }
    if let Some(why) = &status.why {
        told.insert("why", terms::text::visible(why));
    }
    if let Some(attempt) = &status.attempt {
        let outcome = attempt.outcome.map_or("running", elevation::Outcome::name);
        let ran = [
            ("id", Json::from(attempt.id)),
            ("at", Json::from(moment(attempt.at))),
            ("outcome", Json::from(outcome)),
        ];
        told.insert("attempt", Json::object(ran));
    }
    told
}
