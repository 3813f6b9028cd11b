//! Callers of the modern era, which has no sessions (MCP 2026-07-28: versioning, streamable HTTP, discovery, caching,
//! subscriptions).

use std::time::Duration;

use serde_json::{Value, json};
use terms::Millis;

use crate::ops::TICKET;
use crate::wire::{self, Open, Reply};
use crate::world::{RULES, World, becomes, deploy};

const NAME: &str = "2026-07-28";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A client that speaks it well.
pub struct Modern<'w> {
    world: &'w World,
    key: String,
    /// What it says that it can.
    can: Value,
    /// Where it asks.
    pub path: &'static str,
}

pub type Headers = Vec<(&'static str, String)>;

impl<'w> Modern<'w> {
    pub fn new(world: &'w World, caller: &str) -> Self {
        Self::who_can(world, caller, json!({}))
    }

    pub fn who_can(world: &'w World, caller: &str, can: Value) -> Self {
        Self { world, key: format!("Bearer {}", world.key(caller)), can, path: "/mcp/ops" }
    }

    pub fn message(&self, id: u32, method: &str, mut params: Value) -> Value {
        for (name, value) in [(VERSION, json!(NAME)), (CAPABILITIES, self.can.clone())] {
            if params["_meta"].get(name).is_none() {
                params["_meta"][name] = value;
            }
        }
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    /// The headers that belong to a message.
    pub fn headers(message: &Value) -> Headers {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut headers = vec![("Mcp-Protocol-Version", NAME.to_owned())];
        headers.extend(text(&message["method"]).map(|method| ("Mcp-Method", method)));
        let named = text(&message["params"]["name"]).or_else(|| text(&message["params"]["uri"]));
        headers.extend(named.map(|name| ("Mcp-Name", name)));
        headers
    }

    fn head(&self, method: &str, headers: &Headers, length: usize) -> String {
        let own = [
            ("Authorization", self.key.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let all: Vec<_> =
            own.into_iter().chain(headers.iter().map(|(name, value)| (*name, value.as_str()))).collect();
        self.world.head(method, self.path, &all, length)
    }

    /// One message under exactly these headers.
    pub async fn send(&self, headers: &Headers, message: &Value) -> Reply {
        let body = message.to_string();
        wire::send(self.world.at, &self.head("POST", headers, body.len()), body.as_bytes()).await
    }

    pub async fn ask(&self, method: &str, params: Value) -> Reply {
        let message = self.message(1, method, params);
        self.send(&Self::headers(&message), &message).await
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    pub async fn open(&self, id: u32, method: &str, params: Value) -> Open {
        let message = self.message(id, method, params);
        let (headers, body) = (Self::headers(&message), message.to_string());
        wire::open(self.world.at, &self.head("POST", &headers, body.len()), body.as_bytes()).await
    }

    /// A call whose answer is not waited for; its connection ends when this is dropped.
    async fn start(&self, tool: &str, arguments: Value) -> impl Sized {
        let message = self.message(1, "tools/call", json!({"name": tool, "arguments": arguments}));
        let (headers, body) = (Self::headers(&message), message.to_string());
        wire::write(self.world.at, &self.head("POST", &headers, body.len()), body.as_bytes()).await
    }
}

fn assert_refused(reply: &Reply, status: u16, code: i64, slug: &str, what: &str) {
    let told = reply.json();
    let got = (reply.status, told["error"]["code"].as_i64(), told["error"]["data"]["slug"].as_str());
    assert_eq!(got, (status, Some(code), Some(slug)), "{what}: {}", reply.body);
    assert_eq!(told["id"], 1, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_first_ask_what_is_spoken_here() {
    let world = World::new().await;
    let reply = Modern::new(&world, "bot").ask("server/discover", json!({})).await;
    let found = &reply.json()["result"];
    assert_eq!(reply.status, 200);
    assert_eq!(found["supportedVersions"], json!([NAME, "2025-11-25", "2025-06-18"]));
    let has = json!({"tools": {"listChanged": true}, "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true}, "completions": {}, "logging": {}});
    assert_eq!(found["capabilities"], has);
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "stepup");
    assert!(found["instructions"].as_str().unwrap().contains("stepup_run"));
    assert_eq!(
        (&found["resultType"], &found["ttlMs"], &found["cacheScope"]),
        (&json!("complete"), &json!(0), &json!("private"))
    );
    assert!(!reply.headers.contains_key("mcp-session-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_stopped_approved_and_run_once_without_any_session() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let reply = bot.call("read_ticket", json!({"id": 7})).await;
    let whole = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete",{}}}"#, &TICKET[1..]);
    assert_eq!(reply.body, whole, "an upstream's own bytes are kept");
    let stopped = bot.call("deploy", deploy("1")).await;
    assert_eq!(stopped.json()["result"]["resultType"], "complete");
    assert_eq!(world.ops.count("deploy"), 0);
    world.approve(&stopped.elevation()).await;
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done");
    assert!(bot.call("deploy", deploy("1")).await.challenge().is_object(), "one approval is one call");
    assert_eq!(world.ops.count("deploy"), 1);
    let listed = bot.ask("tools/list", json!({})).await.json();
    assert_eq!((&listed["result"]["ttlMs"], &listed["result"]["cacheScope"]), (&json!(0), &json!("private")));
    assert!(!listed.to_string().contains("hidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_in_one_era_is_the_same_request_in_the_other() {
    let world = World::new().await;
    let (modern, legacy) = (Modern::new(&world, "bot"), world.session("bot").await);
    let id = modern.call("deploy", deploy("1")).await.elevation();
    let again = legacy.call("stepup_status", json!({"elevation": id})).await;
    assert!(again.body.contains(&id), "{}", again.body);
    world.approve(&id).await;
    assert_eq!(legacy.call("deploy", deploy("1")).await.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_a_header_that_does_not_repeat_the_body_is_refused_and_nothing_arrives() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let message = bot.message(1, "tools/call", json!({"name": "read_ticket", "arguments": {"id": 7}}));
    let right = Modern::headers(&message);
    let wrong: [(&'static str, &[&str]); 3] = [
        (
            "Mcp-Protocol-Version",
            &["2025-11-25", "2099-01-01", "", "2026-07-28 x", "=?base64?MjAyNi0wNy0yOA==?="],
        ),
        ("Mcp-Method", &["tools/list", "Tools/call", "", "tools/call x", "=?base64?dG9vbHMvY2FsbA==?="]),
        (
            "Mcp-Name",
            &[
                "destroy",
                "Read_ticket",
                "",
                "read_ticket x",
                "=?base64?ZGVzdHJveQ==?=",
                "=?base64?cmVhZF90aWNrZXQ?=",
                "=?base64?cmVhZF90aWNrZXQ=",
                "=?BASE64?cmVhZF90aWNrZXQ=?=",
                "=?base64?_w==?=",
                "read_ticke\u{301}t",
            ],
        ),
    ];
    let mut tried = 0;
    for (name, values) in wrong {
        let without: Headers = right.iter().filter(|(header, _)| *header != name).cloned().collect();
        assert_refused(
            &bot.send(&without, &message).await,
            400,
            -32020,
            "header_mismatch",
            &format!("no {name}"),
        );
        let twice: Headers = right
            .iter()
            .cloned()
            .chain(right.iter().filter(|(header, _)| *header == name).cloned())
            .collect();
        assert_refused(
            &bot.send(&twice, &message).await,
            400,
            -32020,
            "header_mismatch",
            &format!("two {name}"),
        );
        for value in values {
            let headers = without.iter().cloned().chain([(name, (*value).to_owned())]).collect();
            let reply = bot.send(&headers, &message).await;
            assert_refused(&reply, 400, -32020, "header_mismatch", &format!("{name}: {value}"));
            tried += 1;
        }
    }
    assert_eq!(tried, 20);
    assert_eq!(world.ops.calls().len(), 0);
    assert_eq!(world.unread().await, ["header_mismatch"; 26], "each is recorded");
    for (name, value) in [("mcp-name", "=?base64?cmVhZF90aWNrZXQ=?="), ("MCP-NAME", "read_ticket")] {
        let mut headers = right.clone();
        headers.retain(|(header, _)| *header != "Mcp-Name");
        headers.push((name, value.to_owned()));
        assert_eq!(bot.send(&headers, &message).await.text(), "ticket", "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_of_itself_what_every_request_says() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let message = bot.message(1, "tools/call", json!({"name": "read_ticket", "arguments": {"id": 7}}));
    for missing in [VERSION, CAPABILITIES] {
        let mut without = message.clone();
        without["params"]["_meta"].as_object_mut().unwrap().remove(missing);
        let reply = bot.send(&Modern::headers(&message), &without).await;
        assert_refused(&reply, 400, -32602, "envelope_incomplete", missing);
    }
    for capabilities in [json!(null), json!([]), json!("x"), json!(7)] {
        let mut other = message.clone();
        other["params"]["_meta"][CAPABILITIES] = capabilities.clone();
        let reply = bot.send(&Modern::headers(&message), &other).await;
        assert_refused(&reply, 400, -32602, "envelope_incomplete", &capabilities.to_string());
    }
    assert_eq!(world.ops.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_a_revision_that_is_not_spoken_hears_which_are() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let long = "9".repeat(500);
    for named in ["2099-01-01", "DRAFT-2026-v1", "2026-07-28 ", &long] {
        let mut message = bot.message(1, "tools/list", json!({}));
        message["params"]["_meta"][VERSION] = json!(named);
        let headers =
            vec![("Mcp-Protocol-Version", named.to_owned()), ("Mcp-Method", "tools/list".to_owned())];
        let reply = bot.send(&headers, &message).await;
        // A header has no spaces around it.
        let (code, slug) =
            if named.ends_with(' ') { (-32020, "header_mismatch") } else { (-32022, "version_unsupported") };
        assert_refused(&reply, 400, code, slug, named);
        if code == -32022 {
            let data = &reply.json()["error"]["data"];
            assert_eq!(data["supported"], json!([NAME, "2025-11-25", "2025-06-18"]));
            assert!(named.starts_with(data["requested"].as_str().unwrap()) && reply.body.len() < 1000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_of_the_other_era_or_of_none_is_unknown() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    for method in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "tasks/list",
        "notifications/cancelled",
        "Tools/list",
        "",
    ] {
        assert_refused(&bot.ask(method, json!({})).await, 404, -32601, "method_unknown", method);
    }
    let legacy = world.session("bot").await;
    for method in ["server/discover", "subscriptions/listen"] {
        assert_eq!(legacy.request(method, json!({})).await.slug(), "method_unknown", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_stream_to_open_no_session_to_end_and_none_that_counts() {
    let world = World::new().await;
    let (bot, legacy) = (Modern::new(&world, "bot"), world.session("spy").await);
    for method in ["GET", "DELETE", "PUT"] {
        let headers = vec![("Mcp-Protocol-Version", NAME.to_owned()), ("Mcp-Session-Id", legacy.id.clone())];
        let reply = wire::send(world.at, &bot.head(method, &headers, 0), b"").await;
        assert_eq!(
            (reply.status, reply.headers.get("allow").map(String::as_str)),
            (405, Some("POST")),
            "{method}"
        );
    }
    // Another caller's session, and one that never was, are as nothing.
    for session in [legacy.id.as_str(), "none"] {
        let message = bot.message(1, "tools/call", json!({"name": "read_ticket", "arguments": {"id": 7}}));
        let mut headers = Modern::headers(&message);
        headers.extend([("Mcp-Session-Id", session.to_owned()), ("Last-Event-ID", "1".to_owned())]);
        let reply = bot.send(&headers, &message).await;
        assert_eq!(reply.text(), "ticket");
        assert!(!reply.headers.contains_key("mcp-session-id"));
    }
    assert_eq!(
        legacy.call("read_ticket", json!({"id": 7})).await.status,
        200,
        "it is still its own caller's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t37_what_is_said_without_asking_is_taken_and_goes_nowhere() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let id = bot.call("deploy", deploy("1")).await.elevation();
    for method in ["notifications/cancelled", "notifications/initialized", "tools/call"] {
        let mut message = bot.message(1, method, json!({"requestId": 1, "name": "destroy", "arguments": {}}));
        message.as_object_mut().unwrap().remove("id");
        let reply = bot.send(&Modern::headers(&message), &message).await;
        assert_eq!((reply.status, reply.body.as_str()), (202, ""), "{method}");
    }
    assert_eq!(world.ops.calls().len(), 0);
    assert_eq!(
        bot.call("stepup_status", json!({"elevation": id})).await.json()["result"]["structuredContent"]["state"],
        "pending"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_its_connection_takes_its_call_back() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let call = bot.start("slow", json!({})).await;
    becomes("the call arrived", || world.ops.count("slow") == 1).await;
    drop(call);
    becomes("the upstream was told", || world.ops.everything().contains("notifications/cancelled")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_an_approved_call_runs_to_its_end_when_its_client_leaves_and_the_next_hears_that_it_ran() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let id = bot.call("slow_deploy", json!({})).await.elevation();
    world.approve(&id).await;
    let call = bot.start("slow_deploy", json!({})).await;
    becomes("the call arrived", || world.ops.count("slow_deploy") == 1).await;
    drop(call);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!world.ops.everything().contains("notifications/cancelled"), "its outcome would be lost");
    world.ops.go();
    for _ in 0..200 {
        let again = bot.call("slow_deploy", json!({})).await;
        if again.body.contains("its answer was not delivered") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("how the call ended is not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_who_closes_its_connection_while_it_waits_ends_the_wait_and_not_the_request() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let params = json!({"name": "deploy", "arguments": deploy("1"), "_meta": {"progressToken": "p"}});
    let mut open = bot.open(2, "tools/call", params).await;
    assert_eq!(open.message().await.unwrap()["method"], "notifications/progress");
    drop(open);
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.approve(&id).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.ops.count("deploy"), 0, "a vanished client spent it");
    assert_eq!(bot.call("deploy", deploy("1")).await.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn t32_an_upstream_of_the_other_era_cannot_ask_for_input_by_a_word_that_it_does_not_have() {
    let ops = crate::ops::Ops::start().await;
    ops.offer(&["asks"]);
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    let told = Modern::new(&world, "bot").call("asks", json!({})).await;
    let result = &told.json()["result"];
    assert_eq!(result["resultType"], "complete", "{}", told.body);
    assert_eq!(told.body.matches("resultType").count(), 1, "{}", told.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_the_era_must_not_hear_is_told_by_the_one_that_came_after_it() {
    let ops = crate::ops::Ops::start().await;
    ops.offer(&["misses"]);
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    let modern = Modern::new(&world, "bot").call("misses", json!({})).await;
    assert_eq!(modern.json()["error"]["code"], -32602);
    let legacy = world.session("bot").await.call("misses", json!({})).await;
    assert_eq!(legacy.json()["error"]["code"], -32002);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_hears_first_what_there_is_then_what_changed_and_at_last_the_end() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    let wanted =
        json!({"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["file:///x"]});
    let mut open = bot.open(9, "subscriptions/listen", json!({"notifications": wanted})).await;
    assert_eq!(
        (open.header("content-type"), open.header("x-accel-buffering")),
        (Some("text/event-stream"), Some("no"))
    );
    let acknowledged = open.message().await.unwrap();
    let expected = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": {SUBSCRIPTION: 9, "dev.stepup/not-subscribed": {"file:///x": {"slug": "policy_denied"}}},
        "notifications": {"toolsListChanged": true, "promptsListChanged": true}}});
    assert_eq!(acknowledged, expected);
    let mut deaf =
        bot.open(10, "subscriptions/listen", json!({"notifications": {"toolsListChanged": false}})).await;
    assert_eq!(deaf.message().await.unwrap()["params"]["notifications"], json!({}));
    world.ops.change(|tools| tools[0]["description"] = json!("Something else now."));
    world.gateway.repin("ops").await.unwrap();
    let changed = open.message().await.unwrap();
    let expected = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": {SUBSCRIPTION: 9}}});
    assert_eq!(changed, expected);
    assert!(deaf.soon().await.is_none(), "nobody asked for that");
    world.gateway.drain();
    for (open, id) in [(&mut open, 9), (&mut deaf, 10)] {
        let end = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: id}}});
        assert_eq!(open.message().await, Some(end));
        assert_eq!(open.message().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_keeps_its_place_in_the_budget_and_ends_with_its_callers_key() {
    let world = World::with(RULES, |settings| settings.budgets.in_flight = 1).await;
    let bot = Modern::new(&world, "bot");
    let mut open =
        bot.open(9, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    open.message().await.unwrap();
    assert_eq!(bot.call("read_ticket", json!({"id": 7})).await.status, 429);
    world.authority.disable_caller("bot", &authority::By::account(0)).await.unwrap();
    assert_eq!(open.message().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_be_read_opens_nothing() {
    let world = World::new().await;
    let bot = Modern::new(&world, "bot");
    for params in [
        json!({}),
        json!({"notifications": null}),
        json!({"notifications": []}),
        json!({"notifications": {"toolsListChanged": "yes"}}),
        json!({"notifications": {"tools": true}}),
        json!({"notifications": {}, "more": 1}),
    ] {
        let reply = bot.ask("subscriptions/listen", params.clone()).await;
        assert_refused(&reply, 400, -32600, "request_invalid", &params.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_the_calls_of_two_callers_never_go_over_one_link() {
    let world = World::with(RULES, |settings| settings.hold = Millis::new(10)).await;
    for caller in ["bot", "spy", "bot"] {
        Modern::new(&world, caller).call("read_ticket", json!({"id": 7})).await;
    }
    let greetings = world.ops.everything().matches(r#""method":"initialize""#).count();
    assert_eq!(greetings, 3, "one of our own for pins, and one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_a_header_that_repeats_an_argument_says_what_the_argument_is() {
    let ops = crate::ops::Ops::start().await;
    ops.change(|tools| {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}, "limit": {"type": "integer", "x-mcp-header": "Limit"}}});
        tools.as_array_mut().unwrap().push(json!({"name": "query", "inputSchema": schema}));
    });
    let world = World::upon(ops, RULES, |_| {}, |_| {}).await;
    let bot = Modern::new(&world, "bot");
    let message = bot.message(
        1,
        "tools/call",
        json!({"name": "query", "arguments": {"region": "us-west1", "limit": 42}}),
    );
    let with = |more: &[(&'static str, &str)]| {
        let mut headers = Modern::headers(&message);
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        headers
    };
    let (region, limit) = (("Mcp-Param-Region", "us-west1"), ("Mcp-Param-Limit", "42"));
    for wrong in [
        &[][..],
        &[region],
        &[limit],
        &[("Mcp-Param-Region", "us-east1"), limit],
        &[("Mcp-Param-Region", "=?base64?_w==?="), limit],
        &[region, region, limit],
        &[region, ("Mcp-Param-Limit", "43")],
    ] {
        assert_refused(
            &bot.send(&with(wrong), &message).await,
            400,
            -32020,
            "header_mismatch",
            &format!("{wrong:?}"),
        );
    }
    assert_eq!(world.ops.calls().len(), 0);
    for right in [
        &[region, limit][..],
        &[
            ("Mcp-Param-Region", "=?base64?dXMtd2VzdDE=?="),
            ("Mcp-Param-Limit", "42.0"),
            ("Mcp-Param-Else", "x"),
        ],
    ] {
        assert_eq!(bot.send(&with(right), &message).await.text(), "done", "{right:?}");
    }
    let legacy = world.session("bot").await;
    assert_eq!(
        legacy.call("query", json!({"region": "us-west1"})).await.text(),
        "done",
        "sessions have no such headers"
    );
}
