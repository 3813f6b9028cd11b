//! The modern era: there is no session, every request says of itself which revision it is of and what its client can, and
//! repeats for routers, in its headers, what they may want to know of its body (MCP 2026-07-28, versioning and
//! streamable HTTP).

use axum::response::Response;
use http::{HeaderMap, HeaderName};
use terms::json::Object;
use terms::revision::{Era, Side};
use terms::{Abilities, Json, Revision, Slug, text};

use super::address::Address;
use super::conversation::Conversation;
use super::envelope::{Message, Request, only};
use super::{INSTRUCTIONS, VERSION, capabilities, logging, result, server};
use crate::answer::Refusal;
use crate::caller::Known;
use crate::front::one;
use crate::gateway::Shared;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Methods whose `Mcp-Name` repeats a parameter, and which one ("Standard Request Headers").
const NAMED: [(&str, &str); 3] = [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")];

/// Characters of what was asked for that are repeated to who asked for it.
const REPEATED: usize = 64;

/// How a message opens: one that says which revision it is of, in its body or its headers, and names none of the legacy
/// era, is of the modern one ("Backward Compatibility with Initialization-Based Versions").
pub(super) fn opens(headers: &HeaderMap, message: &Message) -> Era {
    let legacy = |name: &str| Revision::TABLE.iter().any(|row| row.era == Era::Legacy && row.name == name);
    match message.revision() {
        Some(named) if named.as_str().is_some_and(legacy) => Era::Legacy,
        Some(_) => Era::Modern,
        // The header may be a leftover of a client that falls back.
        None if message.parts().is_some_and(|(method, _)| method == "initialize") => Era::Legacy,
        None => header_names(headers),
    }
}

/// The era of the revision that the headers name; the modern one has no name yet that is not known.
pub(super) fn header_names(headers: &HeaderMap) -> Era {
    let named = one(headers, &VERSION).and_then(|name| Revision::spoken(name, Side::Callers));
    named.map_or(Era::Legacy, Revision::era)
}

/// What a message is part of, whose headers and body agree.
pub(super) fn agreed(known: &Known, headers: &HeaderMap, message: &Message) -> Result<Conversation, Refusal> {
    let revision = revision(headers, message.revision())?;
    if let Message::Request(request) = message {
        check_routing(headers, request)?;
        // What a client can is asked for even where nothing depends on it: who leaves it out speaks something else.
        if !matches!(request.meta.capabilities, Some(Json::Object(_))) {
            return Err(Refusal::because(Slug::EnvelopeIncomplete, "clientCapabilities is missing"));
        }
    }
    let abilities = Abilities::of(message.capabilities(), revision);
    let level = match message {
        Message::Request(request) => request.meta.level.as_ref().map(logging::level).transpose()?,
        Message::Notification { .. } | Message::Answer { .. } => None,
    };
    Ok(Conversation { level, ..Conversation::alone(known.caller.id, revision, abilities) })
}

/// The revision that header and body name alike.
fn revision(headers: &HeaderMap, body: Option<&Json>) -> Result<Revision, Refusal> {
    let Some(named) = body else {
        return Err(Refusal::because(Slug::EnvelopeIncomplete, "protocolVersion is missing"));
    };
    let named = named.as_str().unwrap_or_default();
    if one(headers, &VERSION) != Some(named) {
        return Err(mismatch("MCP-Protocol-Version"));
    }
    let spoken = Revision::spoken(named, Side::Callers).filter(|revision| revision.era() == Era::Modern);
    spoken.ok_or_else(|| Refusal {
        requested: Some(text::visible(named).chars().take(REPEATED).collect()),
        ..Slug::VersionUnsupported.into()
    })
}

/// The headers that repeat the body say what it says (T20).
fn check_routing(headers: &HeaderMap, request: &Request) -> Result<(), Refusal> {
    if one(headers, &METHOD) != Some(&request.method) {
        return Err(mismatch("Mcp-Method"));
    }
    let Some((_, parameter)) = NAMED.iter().find(|(method, _)| *method == request.method) else {
        return Ok(());
    };
    let header = one(headers, &NAME).and_then(upstream::decoded);
    let body = request.params.get(parameter).and_then(Json::as_str);
    // A body without it is refused for that, by who reads it.
    if body.is_some() && header.as_deref() != body { Err(mismatch("Mcp-Name")) } else { Ok(()) }
}

fn mismatch(header: &str) -> Refusal {
    Refusal::because(Slug::HeaderMismatch, header)
}

/// `server/discover`: what is spoken here, and with what.
pub(super) fn discover(gateway: &Shared, at: &Address, request: &Request) -> Result<Response, Refusal> {
    only(&request.params, &[])?;
    let versions = Revision::all(Side::Callers).map(|revision| Json::from(revision.name()));
    let mut found = Object::new();
    found.insert("supportedVersions", Json::Array(versions.collect()));
    found.insert("capabilities", capabilities(gateway, at));
    found.insert("instructions", INSTRUCTIONS);
    found.insert("_meta", Json::object([(result::SERVER, server())]));
    Ok(result::listed(Era::Modern, &request.id, found))
}
