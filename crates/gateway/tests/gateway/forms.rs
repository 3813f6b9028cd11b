//! What an upstream lists in another form than MCP's schema has it: SDKs refuse a whole list for one such entry, and at `/mcp`
//! that is everyone's (rfd 22). It is left out, and nothing of it is repaired.

use serde_json::{Value, json};

use crate::modern::Modern;
use crate::ops::Ops;
use crate::wire::Reply;
use crate::world::{RULES, World};

const MORE: &str = r#"
@id("ask") permit (principal in Group::"ops-agents", action in [Action::"resources/read", Action::"prompts/get"], resource);
"#;

/// One member in another form; without a value it is not there.
const BAD: [(&str, &str, Option<&str>); 18] = [
    ("tools", "inputSchema", None),
    ("tools", "inputSchema", Some("{}")),
    ("tools", "inputSchema", Some(r#"{"type":"string"}"#)),
    ("tools", "inputSchema", Some("[]")),
    ("tools", "outputSchema", Some("[]")),
    ("tools", "title", Some("1")),
    ("tools", "description", Some("null")),
    ("tools", "annotations", Some(r#"["x"]"#)),
    ("tools", "annotations", Some(r#"{"readOnlyHint":"yes"}"#)),
    ("tools", "_meta", Some("[]")),
    ("tools", "icons", Some(r#"{"src":"x"}"#)),
    ("prompts", "arguments", Some(r#"{"name":"a"}"#)),
    ("prompts", "arguments", Some(r#"["a"]"#)),
    ("prompts", "arguments", Some(r#"[{"description":"d"}]"#)),
    ("prompts", "title", Some("{}")),
    ("resources", "name", None),
    ("resources", "mimeType", Some("1")),
    ("resources", "annotations", Some(r#"{"audience":"user"}"#)),
];

/// The entry of that number: whole, but for that member.
fn bad(number: usize, (list, member, value): (&str, &str, Option<&str>)) -> Value {
    let mut entry = match list {
        "resources" => json!({"name": "bad", "uri": format!("file:///docs/bad{number}")}),
        _ => json!({"name": format!("bad{number}"), "inputSchema": {"type": "object"}}),
    };
    match value {
        Some(value) => entry[member] = serde_json::from_str(value).unwrap(),
        None => drop(entry.as_object_mut().unwrap().remove(member)),
    }
    entry
}

/// An upstream with one of each, among what is well.
async fn hostile() -> Ops {
    let ops = Ops::start().await;
    ops.offer(&["fine"]);
    for (number, one) in BAD.into_iter().enumerate() {
        let add = |entries: &mut Value| entries.as_array_mut().unwrap().push(bad(number, one));
        match one.0 {
            "tools" => ops.change(add),
            "prompts" => ops.change_prompts(add),
            _ => ops.change_resources(add),
        }
    }
    ops
}

fn listed(reply: &Reply, list: &str) -> Vec<String> {
    let name = if list == "resources" { "uri" } else { "name" };
    let entries = reply.json()["result"][list].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone();
    entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_malformed_definition_takes_no_list_from_clients_at_either_address_in_either_era() {
    let hostile = hostile().await;
    let others = [("hostile", hostile.url.as_str())];
    let world = World::among(Ops::start().await, &others, &format!("{RULES}{MORE}"), |_| {}, |_| {}).await;
    for (path, before) in [("/mcp", true), ("/mcp/hostile", false)] {
        let legacy = world.session_at(path, "bot", "2025-11-25", json!({})).await;
        let mut modern = Modern::new(&world, "bot");
        modern.path = path;
        for (list, good) in [("tools", "fine"), ("prompts", "brief"), ("resources", "file:///docs/a")] {
            let good = match (before, list) {
                (false, _) => good.to_owned(),
                (true, "resources") => format!("stepup+hostile+{good}"),
                (true, _) => format!("hostile__{good}"),
            };
            let method = format!("{list}/list");
            for reply in [legacy.request(&method, json!({})).await, modern.ask(&method, json!({})).await] {
                let names = listed(&reply, list);
                assert!(names.contains(&good), "what is well stays: {names:?}");
                assert!(!names.iter().any(|name| name.contains("bad")), "{path} {list}: {names:?}");
            }
        }
        for (number, (list, member, value)) in
            BAD.into_iter().enumerate().filter(|(_, one)| one.0 != "resources")
        {
            let name = format!("{}bad{number}", if before { "hostile__" } else { "" });
            let (method, slug) = match list {
                "tools" => ("tools/call", "tool_unknown"),
                _ => ("prompts/get", "prompt_unknown"),
            };
            let named = json!({"name": name});
            for reply in [legacy.request(method, named.clone()).await, modern.ask(method, named).await] {
                assert_eq!(reply.slug(), slug, "{member} {value:?}");
            }
        }
    }
    assert!(hostile.calls().is_empty() && hostile.asked().is_empty(), "one of them was sent on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_only_2026_07_28_has_is_listed_to_its_clients_alone_and_called_by_all() {
    let ops = Ops::start().await;
    let wide = json!({"name": "fine", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}});
    ops.change(|tools| tools.as_array_mut().unwrap().push(wide.clone()));
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    let (legacy, modern) = (world.session("bot").await, Modern::new(&world, "bot"));
    let of_sessions = listed(&legacy.request("tools/list", json!({})).await, "tools");
    assert!(of_sessions.contains(&"deploy".to_owned()) && !of_sessions.contains(&"fine".to_owned()));
    let tools = modern.ask("tools/list", json!({})).await.json()["result"]["tools"].clone();
    assert!(tools.as_array().unwrap().contains(&wide), "as it was written: {tools}");
    assert_eq!(legacy.call("fine", json!({})).await.text(), "done");
    assert_eq!(modern.call("fine", json!({})).await.text(), "done");
}
