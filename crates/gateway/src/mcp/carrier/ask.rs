//! Carrier B of standards 1.6: the person at the client is asked to open the request, or to say what has to be said, and
//! the call comes back by itself. That somebody agreed to open an address approves nothing: the elevation does.

use authority::Challenge;
use terms::json::Object;
use terms::{Feature, Json, Revision, Slug};

use super::Told;
use super::words::{META, beside};
use crate::answer::Refusal;
use crate::elevations::{Claims, LONGEST_PURPOSE, LONGEST_TICKET};
use crate::settings::Settings;
use crate::told;

/// The names of our questions.
const OPEN: &str = "stepup_open";
const SAY: &str = "stepup_say";

/// The code that says in 2025-11-25 which addresses have to be opened first (client, elicitation, "URL Elicitation
/// Required").
const OPEN_FIRST: i64 = -32042;

/// What a person at a client reads.
fn message(challenge: &Challenge) -> String {
    let happened = challenge.slug.row().happened;
    format!(
        "{happened} It takes: {}. Open the request and check that it shows these four words: {}.",
        challenge.label,
        challenge.words.join(" ")
    )
}

/// The question to open the request. Its address holds no secret and lets nobody in: whoever opens it signs in (MCP,
/// client, elicitation, "URL Mode Security").
fn url(settings: &Settings, challenge: &Challenge) -> Object {
    let members = [
        ("mode", Json::from("url")),
        ("message", Json::from(message(challenge))),
        ("url", Json::from(told::link(settings, challenge.elevation))),
    ];
    members.into_iter().collect()
}

/// The question for what has to be said before anybody can approve. It asks for nothing that is secret.
fn form(challenge: &Challenge) -> Object {
    let text = |title: &str, says: &str, longest: usize| {
        Json::object([
            ("type", Json::from("string")),
            ("title", Json::from(title)),
            ("description", Json::from(says)),
            ("minLength", Json::from(1_u32)),
            ("maxLength", Json::from(u32::try_from(longest).unwrap_or(u32::MAX))),
        ])
    };
    let mut properties = Object::new();
    if challenge.wants_purpose {
        let says = "Why, in a sentence for the person who approves.";
        properties.insert("purpose", text("Purpose", says, LONGEST_PURPOSE));
    }
    if challenge.wants_ticket {
        properties.insert("ticket", text("Ticket", "The ticket under which this is done.", LONGEST_TICKET));
    }
    let required: Vec<Json> = properties.iter().map(|(name, _)| Json::from(name)).collect();
    let schema = [
        ("type", Json::from("object")),
        ("properties", Json::Object(properties)),
        ("required", Json::Array(required)),
    ];
    let happened = challenge.slug.row().happened;
    let members = [
        ("mode", Json::from("form")),
        (
            "message",
            Json::from(format!("{happened} Say what the person who approves has to know; no secrets.")),
        ),
        ("requestedSchema", Json::object(schema)),
    ];
    members.into_iter().collect()
}

/// The result of the modern era that asks something, and has the call come back with what it was given (MCP 2026-07-28,
/// multi round-trip requests).
pub(crate) fn input_required(
    settings: &Settings,
    challenge: &Challenge,
    told: Told,
    state: String,
) -> String {
    let asked = match told {
        Told::Url => Some((OPEN, url(settings, challenge))),
        Told::Form => Some((SAY, form(challenge))),
        Told::Again | Told::OpenFirst | Told::FormWithin | Told::UrlWithin | Told::ToolError => None,
    };
    let mut result = Object::new();
    result.insert("resultType", "input_required");
    if let Some((name, params)) = asked {
        let request = [("method", Json::from("elicitation/create")), ("params", Json::Object(params))];
        result.insert("inputRequests", Json::object([(name, Json::object(request))]));
    }
    result.insert("requestState", state);
    let denial = told::denial(settings, challenge);
    result.insert("_meta", beside(META, told::challenge(settings, challenge), denial));
    Json::Object(result).text()
}

/// What is asked of the client of a session while its call waits (MCP 2025-06-18 and 2025-11-25, elicitation).
pub(crate) fn within(
    settings: &Settings,
    challenge: &Challenge,
    told: Told,
    revision: Revision,
) -> Option<Json> {
    let mut params = match told {
        Told::FormWithin => form(challenge),
        Told::UrlWithin => url(settings, challenge),
        Told::Form | Told::Url | Told::Again | Told::OpenFirst | Told::ToolError => return None,
    };
    if !revision.has(Feature::UrlElicitation) {
        // There is only one mode, which has no name.
        params.remove("mode");
    } else if told == Told::UrlWithin {
        params.insert("elicitationId", challenge.elevation);
    }
    Some(Json::Object(params))
}

/// The error of 2025-11-25 that says what to open first.
pub(crate) fn open_first(settings: &Settings, challenge: &Challenge) -> String {
    let mut asked = url(settings, challenge);
    asked.insert("elicitationId", challenge.elevation);
    let denial = told::denial(settings, challenge).map(|denial| (told::DENIAL.1, denial));
    let data = [
        ("slug", Json::from(challenge.slug.row().name)),
        ("elicitations", Json::from(vec![Json::Object(asked)])),
        (META, Json::Object(told::challenge(settings, challenge))),
    ];
    let data = data.into_iter().chain(denial);
    let error = [
        ("code", Json::from(OPEN_FIRST)),
        ("message", Json::from(message(challenge))),
        ("data", Json::object(data)),
    ];
    Json::object(error).text()
}

/// What came back with a call.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// Whether a question was declined.
    pub(crate) declined: bool,
    /// What was said.
    pub(crate) claims: Claims,
}

impl Responses {
    /// Reads the responses to our questions; others are passed over ("Error Handling").
    ///
    /// # Errors
    /// [`Slug::ArgumentsInvalid`] when one of ours cannot be read.
    pub(crate) fn of(responses: &Object) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for (_, response) in responses.iter().filter(|(name, _)| [OPEN, SAY].contains(name)) {
            let one = Self::one(response)?;
            all.declined |= one.declined;
            all.claims = all.claims.or(one.claims);
        }
        Ok(all)
    }

    /// Reads the response to one question.
    ///
    /// # Errors
    /// [`Slug::ArgumentsInvalid`] when it cannot be read.
    pub(crate) fn one(response: &Json) -> Result<Self, Refusal> {
        match response.get("action").and_then(Json::as_str) {
            Some("accept") => Ok(Self { declined: false, claims: claims(response)? }),
            Some("decline" | "cancel") => Ok(Self { declined: true, claims: Claims::default() }),
            _ => Err(unread("an action is not accept, decline or cancel")),
        }
    }
}

fn claims(response: &Json) -> Result<Claims, Refusal> {
    match response.get("content") {
        None => Ok(Claims::default()),
        Some(Json::Object(content)) => Claims::of(content),
        Some(_) => Err(unread("content is not an object")),
    }
}

fn unread(what: &str) -> Refusal {
    Refusal::because(Slug::ArgumentsInvalid, format!("a response: {what}"))
}
