//! What we say to an upstream of our own accord (decisions A9): a closed list, with no byte of any caller in
//! it. Everything else needs a Permit.

use std::collections::HashMap;

use terms::revision::Era;
use terms::{AttemptId, Json, Level, Uri, UriTemplate};

use crate::form::fits;
use crate::link::Link;
use crate::message::page;
use crate::mirror::mirrored;
use crate::upstreams::Unreachable;

/// What we may say without a Permit.
#[derive(Debug)]
pub enum Errand {
    /// `initialize`; in the modern era `server/discover`, which no session follows.
    Hello,
    /// `tools/list` and its like, from where an earlier page ended.
    List(Listing, Option<Cursor>),
    /// `ping`; in the modern era, which has none, `server/discover`.
    Ping,
    /// The end of the request of that attempt, if it is under way on this link: `notifications/cancelled`, or over HTTP in
    /// the modern era the end of its response.
    Cancel(AttemptId),
    /// `logging/setLevel`: the least severe messages that somebody here listens for. There is none in the modern era, where
    /// each call says so of itself.
    Level(Level),
    /// Listens for notifications until the upstream ends the stream: in the legacy era over HTTP only, where they need one;
    /// in the modern one `subscriptions/listen`.
    Listen,
    /// The end of the session.
    Close,
}

/// What an upstream is asked to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listing {
    /// Its tools.
    Tools,
    /// Its prompts.
    Prompts,
    /// The resources that it names.
    Resources,
    /// Its templates of resources.
    Templates,
}

/// What of each it is asked for by, and what names one of them.
struct Row {
    method: &'static str,
    /// The member that names one of them.
    name: &'static str,
    /// How one of them is called in our log.
    one: &'static str,
}

impl Listing {
    const fn row(self) -> &'static Row {
        match self {
            Self::Tools => &Row { method: "tools/list", name: "name", one: "tool" },
            Self::Prompts => &Row { method: "prompts/list", name: "name", one: "prompt" },
            Self::Resources => &Row { method: "resources/list", name: "uri", one: "resource" },
            Self::Templates => {
                &Row { method: "resources/templates/list", name: "uriTemplate", one: "template" }
            }
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        self.row().method
    }

    /// Why nothing of that name can be named without doubt, if so.
    fn doubt(self, name: &str) -> Option<String> {
        match self {
            Self::Tools | Self::Prompts => {
                (!is_name(name)).then(|| "its name is not 1 to 128 of A-Z a-z 0-9 _ . - /".to_owned())
            }
            Self::Resources => Uri::new(name).err().map(|why| format!("its URI would be refused: {why}")),
            Self::Templates => {
                UriTemplate::new(name).err().map(|why| format!("its URIs would be refused: {why}"))
            }
        }
    }
}

/// What an upstream says that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Has {
    /// Tools.
    pub tools: bool,
    /// Prompts.
    pub prompts: bool,
    /// Resources.
    pub resources: bool,
    /// Completions of arguments.
    pub completions: bool,
    /// Log messages beside its answers.
    pub logging: bool,
    /// Word of resources that change, to whoever subscribes.
    pub subscribe: bool,
}

impl Has {
    const fn lists(self, listing: Listing) -> bool {
        match listing {
            Listing::Tools => self.tools,
            Listing::Prompts => self.prompts,
            Listing::Resources | Listing::Templates => self.resources,
        }
    }
}

/// Where a list goes on; only an upstream makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// One tool, prompt, resource or template as its upstream states it: a claim (invariant 10).
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name at the upstream; its URI, or the text of a template.
    pub name: String,
    /// All that the upstream says of it.
    pub definition: Json,
}

/// Entries of a whole list.
const MOST_ENTRIES: usize = 10_000;

/// Bytes of a whole list.
const LONGEST_LIST: usize = 16 << 20;

/// Pages of a list, and bytes of the cursor between two.
const MOST_PAGES: usize = 1000;
const LONGEST_CURSOR: usize = 4096;

/// The whole list, over as many pages as the upstream makes of it.
pub(crate) async fn list(link: &Link, listing: Listing) -> Result<Vec<Definition>, Unreachable> {
    let (mut entries, mut size, mut cursor) = (Vec::new(), 0, None);
    if !link.has().lists(listing) {
        return Ok(Vec::new());
    }
    for _ in 0..MOST_PAGES {
        let invalid = || Unreachable::List("a page of its list is not valid");
        let result = link.errand(Errand::List(listing, cursor.take())).await.map_err(Unreachable::Fault)?;
        let page = result.as_ref().and_then(|result| page(result, listing)).ok_or_else(invalid)?;
        size += page.size;
        entries.extend(page.entries);
        if entries.len() > MOST_ENTRIES || size > LONGEST_LIST {
            return Err(Unreachable::List("its list is too long"));
        }
        match page.next {
            None => return Ok(acceptable(link.upstream(), link.tells_headers(), listing, entries)),
            Some(next) if next.len() <= LONGEST_CURSOR => cursor = Some(Cursor(next)),
            Some(_) => return Err(invalid()),
        }
    }
    Err(Unreachable::List("its list has no end"))
}

/// What can be named without doubt and has the form that clients take it in, and of tools those whose calls can be told in
/// headers where there are any (MCP 2026-07-28, server/tools, "x-mcp-header"); the others are left out, and said so.
fn acceptable(
    upstream: &str,
    headers: bool,
    listing: Listing,
    entries: Vec<Option<Json>>,
) -> Vec<Definition> {
    let Row { name: names, one, .. } = listing.row();
    let name_of = |entry: &Json| Some(entry.get(names)?.as_str()?.to_owned());
    let mut times: HashMap<String, usize> = HashMap::new();
    for name in entries.iter().flatten().filter_map(name_of) {
        *times.entry(name).or_default() += 1;
    }
    let leave_out = |name: &str, why: &str| {
        let name = terms::text::visible(name);
        tracing::warn!(upstream, one, name, why, "something that an upstream lists is left out");
        None
    };
    let accept = |entry: Option<Json>| {
        let Some(definition) = entry else { return leave_out("", "its definition is not strict JSON") };
        let Some(name) = name_of(&definition) else { return leave_out("", "it has no name") };
        if listing == Listing::Tools
            && headers
            && let Err(why) = mirrored(&definition)
        {
            return leave_out(&name, why);
        }
        if times.get(&name) != Some(&1) {
            return leave_out(&name, "it is named twice");
        }
        let why = listing.doubt(&name).or_else(|| fits(listing, Era::Modern, &definition).err());
        if let Some(why) = why {
            return leave_out(&name, &why);
        }
        if let Err(why) = fits(listing, Era::Legacy, &definition) {
            tracing::warn!(upstream, one, name, why, "it is listed to clients of 2026-07-28 only");
        }
        Some(Definition { name, definition })
    };
    entries.into_iter().filter_map(accept).collect()
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    (1..=128).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_cannot_be_named_without_doubt_is_left_out() {
        let schema = Json::object([("type", "object")]);
        let tool =
            |name: &str| Some(Json::object([("name", Json::from(name)), ("inputSchema", schema.clone())]));
        let tools = vec![
            tool("ok_1.a-b/c"),
            tool("twice"),
            tool("twice"),
            tool(""),
            tool("dep\u{202e}loy"),
            tool("a b"),
            tool(&"x".repeat(129)),
            None,
            Some(Json::from("x")),
        ];
        let names: Vec<String> =
            acceptable("ops", true, Listing::Tools, tools).into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["ok_1.a-b/c"]);
    }

    #[test]
    fn a_tool_whose_header_is_bad_is_left_out_where_there_are_headers() {
        let tool = |name: &str, kind: &str| {
            let schema =
                format!(r#"{{"type":"object","properties":{{"a":{{"type":"{kind}","x-mcp-header":"A"}}}}}}"#);
            format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#)
        };
        let (bad, good) = (tool("bad", "number"), tool("good", "integer"));
        for (headers, expected) in [(true, vec!["good"]), (false, vec!["bad", "good"])] {
            let tools = [&bad, &good].map(|text| terms::json::parse(text.as_bytes()).ok()).to_vec();
            let names: Vec<String> =
                acceptable("ops", headers, Listing::Tools, tools).into_iter().map(|tool| tool.name).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_resource_that_could_not_be_read_is_left_out() {
        let uris = [
            "file:///a",
            "file:///a/../b",
            "file:///twice",
            "file:///twice",
            "https://u:p@h/",
            "note.txt",
            "m://x",
        ];
        let entries = uris.map(|uri| Some(Json::object([("name", "r"), ("uri", uri)]))).to_vec();
        let names: Vec<String> = acceptable("ops", true, Listing::Resources, entries)
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["file:///a", "m://x"]);
        let templates = ["file:///{path}", "file:///{", "file:///../{a}"];
        let entry = |template| Some(Json::object([("name", "t"), ("uriTemplate", template)]));
        let entries = templates.map(entry).to_vec();
        let names: Vec<String> = acceptable("ops", true, Listing::Templates, entries)
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["file:///{path}"]);
    }
}
