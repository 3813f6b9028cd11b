//! What we say to an upstream of our own accord (decisions A9): a closed list, with no byte of any caller in
//! it. Everything else needs a Permit.

use std::collections::HashMap;

use terms::{AttemptId, Json};

use crate::link::Link;
use crate::message::page;
use crate::mirror::mirrored;
use crate::upstreams::Unreachable;

/// What we may say without a Permit.
#[derive(Debug)]
pub enum Errand {
    /// `initialize`; in the modern era `server/discover`, which no session follows.
    Hello,
    /// `tools/list`, from where an earlier page ended.
    List(Option<Cursor>),
    /// `ping`; in the modern era, which has none, `server/discover`.
    Ping,
    /// The end of the request of that attempt, if it is under way on this link: `notifications/cancelled`, or over HTTP in
    /// the modern era the end of its response.
    Cancel(AttemptId),
    /// Listens for notifications until the upstream ends the stream: in the legacy era over HTTP only, where they need one;
    /// in the modern one `subscriptions/listen`.
    Listen,
    /// The end of the session.
    Close,
}

/// Where a list goes on; only an upstream makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// One tool as its upstream states it: a claim (invariant 10).
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDefinition {
    /// Its name at the upstream.
    pub name: String,
    /// All that the upstream says of it.
    pub definition: Json,
}

/// Tools of one upstream.
const MOST_TOOLS: usize = 10_000;

/// Bytes of a whole list.
const LONGEST_LIST: usize = 16 << 20;

/// Pages of a list, and bytes of the cursor between two.
const MOST_PAGES: usize = 1000;
const LONGEST_CURSOR: usize = 4096;

/// The whole list, over as many pages as the upstream makes of it.
pub(crate) async fn list(link: &Link) -> Result<Vec<ToolDefinition>, Unreachable> {
    let (mut tools, mut size, mut cursor) = (Vec::new(), 0, None);
    if !link.has_tools() {
        return Ok(Vec::new());
    }
    for _ in 0..MOST_PAGES {
        let invalid = || Unreachable::List("a page of its list is not valid");
        let result = link.errand(Errand::List(cursor.take())).await.map_err(Unreachable::Fault)?;
        let page = result.as_ref().and_then(page).ok_or_else(invalid)?;
        size += page.size;
        tools.extend(page.tools);
        if tools.len() > MOST_TOOLS || size > LONGEST_LIST {
            return Err(Unreachable::List("its list is too long"));
        }
        match page.next {
            None => return Ok(acceptable(link.upstream(), link.tells_headers(), tools)),
            Some(next) if next.len() <= LONGEST_CURSOR => cursor = Some(Cursor(next)),
            Some(_) => return Err(invalid()),
        }
    }
    Err(Unreachable::List("its list has no end"))
}

/// The tools that can be named without doubt, and whose calls can be told in headers where there are any (MCP 2026-07-28,
/// server/tools, "x-mcp-header"); the others are left out, and said so.
fn acceptable(upstream: &str, headers: bool, tools: Vec<Option<Json>>) -> Vec<ToolDefinition> {
    let name_of = |tool: &Json| Some(tool.get("name")?.as_str()?.to_owned());
    let mut times: HashMap<String, usize> = HashMap::new();
    for name in tools.iter().flatten().filter_map(name_of) {
        *times.entry(name).or_default() += 1;
    }
    let leave_out = |tool: &str, why: &str| {
        tracing::warn!(upstream, tool = terms::text::visible(tool), why, "a tool of an upstream is left out");
        None
    };
    let accept = |tool: Option<Json>| {
        let Some(definition) = tool else { return leave_out("", "its definition is not strict JSON") };
        let Some(name) = name_of(&definition) else { return leave_out("", "it has no name") };
        if headers && let Err(why) = mirrored(&definition) {
            return leave_out(&name, why);
        }
        match times.get(&name) {
            Some(1) if is_name(&name) => Some(ToolDefinition { name, definition }),
            Some(1) => leave_out(&name, "its name is not 1 to 128 of A-Z a-z 0-9 _ . - /"),
            Some(_) | None => leave_out(&name, "it is named twice"),
        }
    };
    tools.into_iter().filter_map(accept).collect()
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
        let tool = |name: &str| Some(Json::object([("name", Json::from(name))]));
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
        let names: Vec<String> = acceptable("ops", true, tools).into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["ok_1.a-b/c"]);
    }

    #[test]
    fn a_tool_whose_header_is_bad_is_left_out_where_there_are_headers() {
        let bad = r#"{"name":"bad","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}"#;
        let good =
            r#"{"name":"good","inputSchema":{"properties":{"a":{"type":"integer","x-mcp-header":"A"}}}}"#;
        for (headers, expected) in [(true, vec!["good"]), (false, vec!["bad", "good"])] {
            let tools = [bad, good].map(|text| terms::json::parse(text.as_bytes()).ok()).to_vec();
            let names: Vec<String> =
                acceptable("ops", headers, tools).into_iter().map(|tool| tool.name).collect();
            assert_eq!(names, expected);
        }
    }
}
