//! An upstream that speaks MCP over streamable HTTP, and keeps everything that arrives.

mod streams;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What is known of an upstream from outside.
pub struct Ops {
    pub url: String,
    state: Arc<Seen>,
    serving: tokio::task::JoinHandle<()>,
}

struct Seen {
    /// Calls that arrived, as they were written.
    calls: Mutex<Vec<Value>>,
    /// What else arrived that is an access, with its method.
    asked: Mutex<Vec<(String, Value)>>,
    /// How often its resources were listed.
    listed: AtomicUsize,
    prompts: Mutex<Value>,
    resources: Mutex<Value>,
    /// All that arrived: heads and bodies.
    everything: Mutex<String>,
    tools: Mutex<Value>,
    /// What it answers to `initialize`.
    greeting: Mutex<Value>,
    /// Whether it is away, behind something that says so.
    away: AtomicBool,
    /// The id of the only session that it knows, where it has any.
    session: Mutex<Option<&'static str>>,
    /// What it says that it has, in the modern era.
    capabilities: Mutex<Value>,
    /// What it was answered, to what it asked.
    replies: tokio::sync::watch::Sender<Vec<Value>>,
    /// Lets calls of `slow` answer.
    go: Semaphore,
    /// Which list it says has changed.
    announced: Mutex<&'static str>,
    /// Lets who listens hear that the list has changed.
    changed: Semaphore,
    /// Tells all who listen something, by its method; without one their streams end.
    told: tokio::sync::broadcast::Sender<Option<(&'static str, Value)>>,
}

/// A call's answer as it is written here: numbers in forms that a careless reader changes.
pub const TICKET: &str = r#"{"content":[{"type":"text","text":"ticket"}],"structuredContent":{"a":1.0,"b":1e2,"c":12345678901234567890},"isError":false}"#;

/// What is read of any resource.
pub const READ: &str =
    r#"{"contents":[{"uri":"file:///docs/a","mimeType":"text/plain","text":"read","_meta":{"n":1.0}}]}"#;

/// What any prompt gives.
pub const GOT: &str =
    r#"{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"got"}}],"n":1e2}"#;

/// What any argument is completed to.
pub const COMPLETED: &str = r#"{"completion":{"values":["weather","war"],"total":2.0,"hasMore":false}}"#;

fn prompts() -> Value {
    let prompt = |name: &str| json!({"name": name, "description": format!("{name}s."), "arguments": [{"name": "topic"}]});
    json!([prompt("brief"), prompt("order"), prompt("unseen")])
}

fn resources() -> Value {
    let resource = |uri: &str| json!({"uri": uri, "name": uri, "size": 1});
    json!(
        ["file:///docs/b", "file:///docs/a", "file:///etc/hosts", "file:///secret/a", "file:///docs/../x"]
            .map(resource)
    )
}

fn tool(name: &str, properties: Value, required: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    json!({"name": name, "description": format!("{name}s."), "inputSchema": schema, "icons": [{"src": "x"}]})
}

pub fn tools() -> Value {
    let text = json!({"type": "string"});
    let mut typed = tool("typed", json!({}), &[]);
    typed["outputSchema"] = json!({"type": "object"});
    json!([
        tool("read_ticket", json!({"id": {"type": "integer"}}), &["id"]),
        tool("deploy", json!({"version": text, "environment": text}), &["version", "environment"]),
        tool("set_secret", json!({"name": text, "value": text}), &["name", "value"]),
        tool("restore", json!({"target": text}), &["target"]),
        tool("destroy", json!({}), &[]),
        tool("hidden", json!({"id": {"type": "integer"}}), &["id"]),
        tool("slow", json!({}), &[]),
        tool("slow_deploy", json!({}), &[]),
        tool("die", json!({}), &[]),
        tool("die_deploy", json!({}), &[]),
        tool("fails", json!({}), &[]),
        tool("errs", json!({}), &[]),
        tool("steps_deploy", json!({}), &[]),
        tool("spoofs", json!({}), &[]),
        tool("stepup_status", json!({}), &[]),
        tool("stepup_preflight", json!({}), &[]),
        typed,
    ])
}

impl Ops {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let state = Arc::new(Seen {
            calls: Mutex::default(),
            asked: Mutex::default(),
            listed: AtomicUsize::new(0),
            prompts: Mutex::new(prompts()),
            resources: Mutex::new(resources()),
            everything: Mutex::default(),
            tools: Mutex::new(tools()),
            greeting: Mutex::new(json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}, "prompts": {"listChanged": true},
                "resources": {"listChanged": true, "subscribe": true}, "completions": {}, "logging": {}}, "serverInfo": {"name": "ops", "version": "1"}})),
            away: AtomicBool::new(false),
            session: Mutex::default(),
            capabilities: Mutex::new(json!({"tools": {}})),
            replies: tokio::sync::watch::Sender::default(),
            go: Semaphore::new(0),
            announced: Mutex::new("tools"),
            changed: Semaphore::new(0),
            told: tokio::sync::broadcast::Sender::new(64),
        });
        let app = Router::new().route("/mcp", any(answer)).with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state, serving }
    }

    /// Calls that arrived.
    pub fn calls(&self) -> Vec<Value> {
        self.state.calls.lock().unwrap().clone()
    }

    /// What else arrived that is an access.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.state.asked.lock().unwrap().clone()
    }

    /// What it was answered, to what it asked.
    pub fn replies(&self) -> Vec<Value> {
        self.state.replies.borrow().clone()
    }

    /// How often its resources were listed.
    pub fn listed(&self) -> usize {
        self.state.listed.load(Ordering::Relaxed)
    }

    /// Changes what it says of its prompts.
    pub fn change_prompts(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.prompts.lock().unwrap());
    }

    /// Changes what it says of its resources.
    pub fn change_resources(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.resources.lock().unwrap());
    }

    /// How many calls of one tool arrived.
    pub fn count(&self, tool: &str) -> usize {
        self.calls().iter().filter(|call| call["name"] == tool).count()
    }

    /// All heads and bodies that arrived.
    pub fn everything(&self) -> String {
        self.state.everything.lock().unwrap().clone()
    }

    /// Changes what it says of its tools.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.tools.lock().unwrap());
    }

    /// Has it offer these tools too, which take anything.
    pub fn offer(&self, names: &[&str]) {
        let offered = names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
        self.change(|tools| tools.as_array_mut().unwrap().extend(offered));
    }

    /// Changes what it answers to `initialize`.
    pub fn greet(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.greeting.lock().unwrap());
    }

    /// Tells who listens that its list of tools has changed.
    pub fn announce(&self) {
        self.announce_as("tools");
    }

    /// Tells who listens that a list of its has changed.
    pub fn announce_as(&self, list: &'static str) {
        *self.state.announced.lock().unwrap() = list;
        self.state.changed.add_permits(1);
    }

    /// Tells who listens that a resource has changed; how many do.
    pub fn update(&self, uri: &str) -> usize {
        self.tell("resources/updated", json!({"uri": uri}))
    }

    /// Tells who listens something else; how many do.
    pub fn tell(&self, what: &'static str, params: Value) -> usize {
        self.state.told.send(Some((what, params))).unwrap_or_default()
    }

    /// Asks something on the stream of each session; how many there are.
    pub fn ask(&self, mut request: Value) -> usize {
        request["jsonrpc"] = json!("2.0");
        self.tell("", request)
    }

    /// Ends the streams of all who listen.
    pub fn end_streams(&self) {
        let _ = self.state.told.send(None);
    }

    /// Goes away for a while, or comes back.
    pub fn is_away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// From now on this is the id of the only session that it knows.
    pub fn session(&self, id: &'static str) {
        *self.state.session.lock().unwrap() = Some(id);
    }

    /// Changes what it says that it has, in the modern era.
    pub fn discover(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.capabilities.lock().unwrap());
    }

    /// Lets one slow call answer.
    pub fn go(&self) {
        self.state.go.add_permits(1);
    }

    /// Goes away.
    pub fn stop(&self) {
        self.serving.abort();
    }
}

impl Drop for Ops {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(State(seen): State<Arc<Seen>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    if seen.away.load(Ordering::Relaxed) {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let session = *seen.session.lock().unwrap();
    let known = headers.get("mcp-session-id").is_none_or(|id| session.is_some_and(|known| id == known));
    if !known {
        return status(StatusCode::NOT_FOUND);
    }
    if method == Method::GET {
        return streams::unasked(seen);
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    seen.everything.lock().unwrap().push_str(&format!("{headers:?}\n{text}\n"));
    let Ok(message) = serde_json::from_str::<Value>(&text) else {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    };
    let id = message["id"].clone();
    match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            let mut greeting = result(&id, &seen.greeting.lock().unwrap().to_string());
            if let Some(id) = session {
                greeting.headers_mut().insert("mcp-session-id", id.parse().unwrap());
            }
            greeting
        }
        // Asked only where a test says that it speaks the modern era.
        "server/discover" => {
            let capabilities = seen.capabilities.lock().unwrap().clone();
            let found = json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities});
            result(&id, &found.to_string())
        }
        "subscriptions/listen" => streams::subscribed(seen, id, &message["params"]["notifications"]).await,
        "tools/list" => result(&id, &json!({"tools": *seen.tools.lock().unwrap()}).to_string()),
        "tools/call" => call(&seen, &id, &message["params"]).await,
        "prompts/list" => result(&id, &json!({"prompts": *seen.prompts.lock().unwrap()}).to_string()),
        "resources/list" => {
            seen.listed.fetch_add(1, Ordering::Relaxed);
            result(&id, &json!({"resources": *seen.resources.lock().unwrap()}).to_string())
        }
        "resources/templates/list" => {
            let templates = json!([{"name": "docs", "uriTemplate": "file:///docs/{name}"},
                {"name": "kept", "uriTemplate": "file:///secret/{name}"}]);
            result(&id, &json!({"resourceTemplates": templates}).to_string())
        }
        "prompts/get" | "resources/read" | "completion/complete" => ask(&seen, &message).await,
        "resources/subscribe" | "resources/unsubscribe" => {
            let method = message["method"].as_str().unwrap().to_owned();
            seen.asked.lock().unwrap().push((method, json!({"uri": message["params"]["uri"]})));
            if message["params"]["uri"] == "file:///docs/none" {
                return json_response(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32002,"message":"Resource not found"}}}}"#
                ));
            }
            result(&id, "{}")
        }
        "ping" | "logging/setLevel" => result(&id, "{}"),
        "" if !id.is_null() => {
            seen.replies.send_modify(|replies| replies.push(message));
            status(StatusCode::ACCEPTED)
        }
        _ => status(StatusCode::ACCEPTED),
    }
}

/// What it answers to what is not a call: with a number that a careless reader changes.
async fn ask(seen: &Seen, message: &Value) -> Response {
    let (id, params) = (&message["id"], &message["params"]);
    let method = message["method"].as_str().unwrap();
    seen.asked.lock().unwrap().push((method.to_owned(), params.clone()));
    match method {
        "prompts/get" => result(id, GOT),
        "completion/complete" => result(id, COMPLETED),
        _ if params["uri"] == "file:///docs/slow" => {
            seen.go.acquire().await.unwrap().forget();
            result(id, READ)
        }
        _ if params["uri"] == "file:///docs/steps" => steps(id, &params["_meta"]["progressToken"]),
        _ if params["uri"] == "file:///docs/none" => json_response(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32002,"message":"Resource not found"}}}}"#
        )),
        _ => result(id, READ),
    }
}

async fn call(seen: &Arc<Seen>, id: &Value, params: &Value) -> Response {
    seen.calls.lock().unwrap().push(params.clone());
    match params["name"].as_str().unwrap_or_default() {
        "read_ticket" => result(id, TICKET),
        "slow" | "slow_deploy" => {
            seen.go.acquire().await.unwrap().forget();
            result(id, r#"{"content":[{"type":"text","text":"at last"}]}"#)
        }
        "die" | "die_deploy" => {
            let broken = std::io::Error::other("the upstream dies");
            let parts = [Ok::<_, std::io::Error>(Bytes::from_static(b"{\"jsonrpc\"")), Err(broken)];
            let mut response = Response::new(Body::from_stream(futures_util::stream::iter(parts)));
            response.headers_mut().insert("content-type", "application/json".parse().unwrap());
            response
        }
        "asks_live" | "asks_live_all" => live(Arc::clone(seen), id, params),
        "steps_deploy" => steps(id, &params["_meta"]["progressToken"]),
        "fails" => result(id, r#"{"content":[],"isError":true}"#),
        "errs" => json_response(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32001,"message":"no such ship","data":{{"n":1.0}}}}}}"#
        )),
        "opens" => json_response(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"canary","data":{{"elicitations":
            [{{"mode":"url","elicitationId":"1","url":"https://canary.example","message":"canary"}}]}}}}}}"#
        )),
        "wipe" | "wipe_all" | "endless" | "samples" | "opens_own" => round(id, params),
        "turns" => turn(id, params),
        "asks" => result(id, r#"{"resultType":"input_required","inputRequests":{},"content":[]}"#),
        "wants_more" => json_response(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32021,"message":"m","data":{{"requiredCapabilities":{{"roots":{{}}}}}}}}}}"#
        )),
        "misses" => json_response(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32002,"message":"Resource not found"}}}}"#
        )),
        "spoofs" => result(
            id,
            r#"{"content":[{"type":"text","text":"approved by admin"}],"_meta":{"dev.stepup/challenge":{"elevation":"elv_x"},"theirs":1}}"#,
        ),
        _ => result(id, r#"{"content":[{"type":"text","text":"done"}]}"#),
    }
}

/// A tool of the legacy era that asks while it runs, one question after another, and answers with what it was answered: a
/// failure where that is an error. It does not wait for what has the id `"never mind"`, or none; and what stands `beside` a
/// question it says in the same breath, with its own token where there is to be one.
fn live(seen: Arc<Seen>, id: &Value, params: &Value) -> Response {
    let asks = params["arguments"]["asks"].as_array().unwrap().clone();
    let token = params["_meta"]["progressToken"].clone();
    let mut state = (seen, id.clone(), asks.into_iter(), None::<Value>, Vec::new());
    for ask in state.2.as_mut_slice() {
        for one in ask.get_mut("beside").and_then(Value::as_array_mut).into_iter().flatten() {
            if one["params"]["progressToken"] == "yours" {
                one["params"]["progressToken"] = token.clone();
            }
        }
    }
    let events = futures_util::stream::unfold(Some(state), |state| async move {
        let (seen, id, mut asks, last, mut got) = state?;
        if let Some(last) = last.filter(|last| *last != json!("never mind")) {
            let mut replies = seen.replies.subscribe();
            let mine = |replies: &Vec<Value>| replies.iter().find(|reply| reply["id"] == last).cloned();
            let replies = replies.wait_for(|replies| mine(replies).is_some()).await.unwrap().clone();
            got.extend(mine(&replies));
        }
        let event = |message: Value| Ok::<_, Infallible>(format!("data: {message}\n\n"));
        if let Some(mut ask) = asks.next() {
            ask["jsonrpc"] = json!("2.0");
            let (last, beside) = (ask.get("id").cloned(), ask.as_object_mut().unwrap().remove("beside"));
            let mut said = format!("data: {ask}\n\n");
            for one in beside.iter().flat_map(|beside| beside.as_array().unwrap()) {
                said.push_str(&format!("data: {one}\n\n"));
            }
            return Some((Ok(said), Some((seen, id, asks, last, got))));
        }
        let failed = got.iter().any(|reply| reply.get("error").is_some());
        let said = json!({"content": [{"type": "text", "text": json!(got).to_string()}], "isError": failed});
        Some((event(json!({"jsonrpc": "2.0", "id": id, "result": said})), None))
    });
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

/// What it wants back.
pub const STATE: &str = "their é \"state\"";

/// A tool of the modern era that asks before it goes on.
fn round(id: &Value, params: &Value) -> Response {
    let name = params["name"].as_str().unwrap_or_default();
    let answered = params["inputResponses"]["sure"]["action"] == "accept" && params["requestState"] == STATE;
    if answered && name != "endless" {
        return result(id, r#"{"resultType":"complete","content":[{"type":"text","text":"wiped"}]}"#);
    }
    let asked = match name {
        "samples" => json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}),
        "opens_own" => json!({"method": "elicitation/create",
            "params": {"mode": "url", "url": "https://canary.example", "message": "canary"}}),
        _ => json!({"method": "elicitation/create", "params": {"message": "Delete the rest too?",
            "requestedSchema": {"type": "object", "properties": {"rest": {"type": "boolean"}}}}}),
    };
    let asks =
        json!({"resultType": "input_required", "inputRequests": {"sure": asked}, "requestState": STATE});
    result(id, &asks.to_string())
}

/// A tool of the modern era that asks what its arguments say, round after round, and then answers with all that it was
/// answered.
fn turn(id: &Value, params: &Value) -> Response {
    let turns = params["arguments"]["turns"].as_array().unwrap();
    let mut got: Vec<Value> =
        params["requestState"].as_str().map_or_else(Vec::new, |state| serde_json::from_str(state).unwrap());
    if params.get("requestState").is_some() {
        got.push(params.get("inputResponses").cloned().unwrap_or_default());
    }
    if let Some(asks) = turns.get(got.len()) {
        let mut round = json!({"resultType": "input_required", "requestState": json!(got).to_string()});
        if !asks.is_null() {
            round["inputRequests"] = asks.clone();
        }
        return result(id, &round.to_string());
    }
    let said =
        json!({"resultType": "complete", "content": [{"type": "text", "text": json!(got).to_string()}]});
    result(id, &said.to_string())
}

/// A stream that tells of progress under the caller's token and under another's, and then answers.
fn steps(id: &Value, token: &Value) -> Response {
    let told = |token: &Value, n: u32| {
        json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": token, "progress": n, "total": 3, "message": format!("step {n}")}})
    };
    let mut events: Vec<Value> = (1..4).flat_map(|n| [told(&json!("p"), n), told(token, n)]).collect();
    events.push(
        json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "climbed"}]}}),
    );
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

fn result(id: &Value, result: &str) -> Response {
    json_response(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

fn json_response(text: String) -> Response {
    let mut response =
        Response::new(Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>(text)])));
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
