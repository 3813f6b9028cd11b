//! HTTP APIs: what is sent was judged, what was not judged is not sent, and what waits for people waits once.

use std::time::Duration;

use authority::{Declared, ToolSettings, UpstreamSettings};
use gateway::Settings;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::crm::{Crm, routes};
use crate::ops::Ops;
use crate::wire::{self, Reply};
use crate::world::{World, becomes, bundle};

const RULES: &str = r#"
@id("administer") permit (principal is Human, action == Action::"administer", resource);
@id("work") permit (principal in Group::"ops-agents", action, resource is Route);
@id("hide") forbid (principal, action in [Action::"discover", Action::"http/GET"], resource == Route::"crm/hidden");
@id("no-drop") forbid (principal, action in Action::"http/DELETE", resource);
@id("transfer") @stepup("release") forbid (principal, action == Action::"http/POST:crm/transfer", resource);
@id("act") @stepup("release") forbid (principal, action == Action::"http/POST:crm/act", resource);
@id("import") @stepup("release") forbid (principal, action == Action::"http/PUT:crm/import", resource);
@id("note") @stepup("told") forbid (principal, action == Action::"http/POST:crm/note", resource);
@id("export") @stepup("release") forbid (principal, action == Action::"http/GET:crm/export", resource)
unless { context.arguments.query has limit && context.arguments.query.limit <= 10 };
"#;

pub async fn world_with(settle: impl FnOnce(&mut Settings)) -> (World, Crm) {
    world_where(settle, |name| {
        let secrets = if name == "note" { vec!["/body/pin".parse().unwrap()] } else { Vec::new() };
        ToolSettings { secrets, ..ToolSettings::default() }
    })
    .await
}

/// The same, where this is said of each route.
pub async fn world_where(settle: impl FnOnce(&mut Settings), said: fn(&str) -> ToolSettings) -> (World, Crm) {
    let crm = Crm::start().await;
    let mut bundle = bundle(RULES);
    let of = |(name, definition): (String, terms::Json)| {
        let settings = said(&name);
        (name, Declared { definition, settings })
    };
    let said = UpstreamSettings { routes: routes().map(of).collect(), ..UpstreamSettings::default() };
    bundle.upstreams.insert("crm".to_owned(), said);
    let parts = (Ops::start().await, &[][..], vec![crm.config()]);
    (World::before(parts, bundle, settle, |_| {}).await, crm)
}

pub async fn world() -> (World, Crm) {
    world_with(|_| {}).await
}

impl World {
    async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let key = format!("Bearer {}", self.key("bot"));
        let mut all = vec![("Authorization", key.as_str())];
        all.extend_from_slice(headers);
        self.request(method, &format!("/http/crm{path}"), &all, body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send_with("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.send_with("POST", path, &[("Content-Type", "application/json")], body).await
    }
}

const TRANSFER: &str = "/accounts/7/transfers";

fn amount(amount: &str) -> String {
    format!(r#"{{"to":"bob","amount":{amount}}}"#)
}

#[tokio::test]
async fn r2_what_is_sent_is_written_from_what_was_judged_and_nothing_else() {
    let (world, crm) = world().await;
    let headers = [
        ("Cookie", "session=1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-User", "admin"),
        ("X_Forwarded_User", "admin"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("Accept", "application/json"),
        ("TE", "trailers"),
        ("Stepup-Subject", "root"),
    ];
    let path = "/customers/%31%37?q=a+b%26c&fields=name&fields=%65mail";
    let reply = world.send_with("GET", path, &headers, "").await;
    assert_eq!(
        (reply.status, reply.json()["at"].as_str().unwrap().to_owned()),
        (200, crm.sole().line()[4..].split(' ').next().unwrap().to_owned())
    );
    let arrived = crm.sole();
    assert_eq!(arrived.line(), "GET /api/customers/17?fields=name&fields=email&q=a%20b%26c HTTP/1.1");
    assert_eq!(arrived.names(), ["accept", "accept-encoding", "authorization", "host", "user-agent"]);
    assert_eq!(arrived.header("authorization").as_deref(), Some("Bearer upstream-secret"));
    assert_eq!(arrived.header("accept").as_deref(), Some("application/json"));
    assert_eq!(arrived.header("host"), Some(crm.at.to_string()));
    let [permitted] = [world.records().await.into_iter().filter(|kind| kind == "permitted").count()];
    assert_eq!(permitted, 1);
}

#[tokio::test]
async fn a_connection_is_for_the_next_request_too_however_its_answer_was_framed() {
    let (world, crm) = world().await;
    for _ in 0..5 {
        for how in ["refuses", "moved", "chunks", "hop"] {
            let reply = world.get(&format!("/odd/{how}")).await;
            assert!([200, 302, 422].contains(&reply.status), "{how}: {reply:?}");
            // That the connection knows of the end is a moment later.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(crm.arrived().len(), 20);
    assert!(crm.connections() <= 4, "{} connections", crm.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_whole_is_recorded_as_delivered_however_it_was_framed() {
    let (world, _) = world().await;
    for (how, status) in [("hop", 200), ("chunks", 200), ("big", 200), ("refuses", 422), ("moved", 302)] {
        assert_eq!(world.get(&format!("/odd/{how}")).await.status, status, "{how}");
    }
    let settled = async || {
        let lines = world.authority.store().records(0, 10_000).await.unwrap();
        let bodies = lines.into_iter().filter(|line| line.kind == "settled").filter_map(|line| line.body);
        bodies.map(|(body, _)| serde_json::from_slice(&body).unwrap()).collect::<Vec<Value>>()
    };
    while settled().await.len() < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let delivered: Vec<Value> = settled().await.iter().map(|body| body["delivered"].clone()).collect();
    assert_eq!(delivered, vec![Value::Bool(true); 5]);
}

#[tokio::test]
async fn t43_no_second_reading_of_a_path_or_query_gets_through() {
    let (world, crm) = world().await;
    for path in [
        "/search/..",
        "/search/../customers/17",
        "/search/%2e%2e/customers/17",
        "/search/%2E%2E%2Fcustomers",
        "/search/.",
        "/search//",
        "//search/a",
        "/search/a/",
        "/search/a%2fb",
        "/search/a%5cb",
        "/search/a;b",
        "/search/a%3bb",
        "/search/%252e%252e",
        "/search/a%00",
        "/search/%ff",
        "/search/a%0d%0aHost:%20x",
        "/Search/a",
        "/search",
        "/",
        "",
        "/customers/17/",
        "/customers/17%2e%2e",
        "/customers/017",
        "/customers/1e2",
        "/customers/17?x=1",
        "/customers/17?q=1&q=2",
        "/customers/17?q=%2541",
        "/customers/17?q=1;x=2",
        "/customers/17?q=1&_method=DELETE",
        "/health?",
        "/health?a",
        "/..;/health",
    ] {
        let reply = world.get(path).await;
        if path == "/health?" {
            assert_eq!(reply.status, 200, "an empty query says nothing");
            continue;
        }
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
        assert!(reply.json()["record"].is_string(), "{path}: {reply:?}");
        assert_eq!(reply.headers["content-type"], "application/problem+json");
    }
    assert_eq!(crm.sole().line(), "GET /api/health HTTP/1.1");
    // What an upstream would decode is what was judged.
    assert_eq!(world.get("/search/a%20b+c@d").await.status, 200);
    assert_eq!(crm.arrived()[1].line(), "GET /api/search/a%20b%2Bc%40d HTTP/1.1");
}

#[tokio::test]
async fn of_two_routes_that_fit_the_one_that_says_more_is_meant() {
    let (world, crm) = world().await;
    assert_eq!(world.get("/customers/me").await.status, 200);
    assert_eq!(crm.sole().line(), "GET /api/customers/me HTTP/1.1");
}

#[tokio::test]
async fn t43_a_path_that_an_upstream_without_case_takes_for_another_route_is_along_none() {
    let (world, crm) = world().await;
    for path in ["/search/Me", "/search/RECENT", "/search/recenT"] {
        let reply = world.get(path).await;
        assert_eq!((path, reply.status), (path, if path == "/search/Me" { 200 } else { 404 }));
    }
    assert_eq!(world.get("/search/recent").await.status, 200);
    assert_eq!(crm.arrived().len(), 2);
}

#[tokio::test]
async fn t48_a_method_is_one_that_the_route_has() {
    let (world, crm) = world().await;
    for (method, status) in [
        ("DELETE", 403),
        ("get", 405),
        ("TRACE", 405),
        ("OPTIONS", 405),
        ("PROPFIND", 405),
        ("HEAD", 404),
        ("PATCH", 404),
        ("POST", 404),
    ] {
        let reply = world.send_with(method, "/customers/17", &[], "").await;
        assert_eq!(reply.status, status, "{method}: {reply:?}");
    }
    assert!(crm.arrived().is_empty());
}

#[tokio::test]
async fn t44_a_header_that_is_judged_comes_once() {
    let (world, crm) = world().await;
    let twice = [("X-Reason", "a"), ("x-reason", "b")];
    let reply = world.send_with("GET", "/export?limit=1", &twice, "").await;
    assert_eq!((reply.status, reply.slug()), (400, "arguments_invalid".to_owned()));
    let reply = world.send_with("GET", "/export?limit=1", &[("X-Reason", "audit")], "").await;
    assert_eq!((reply.status, crm.sole().header("x-reason").as_deref()), (200, Some("audit")));
}

#[tokio::test]
async fn r2_content_is_what_the_route_takes_and_is_written_again() {
    let (world, crm) = world().await;
    let json = [("Content-Type", "application/json")];
    for (method, path, headers, body, slug) in [
        ("GET", "/health", &json[..], "{}", "arguments_invalid"),
        ("POST", TRANSFER, &[][..], "{}", "media_type"),
        ("POST", TRANSFER, &[("Content-Type", "text/json")][..], "{}", "media_type"),
        (
            "POST",
            TRANSFER,
            &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")][..],
            "{}",
            "media_type",
        ),
        ("POST", TRANSFER, &json[..], "", "not_json"),
        ("POST", TRANSFER, &json[..], r#"{"amount":1,"amount":2}"#, "duplicate_key"),
        ("POST", TRANSFER, &json[..], r#"{"amount":"1"}"#, "arguments_invalid"),
        ("POST", TRANSFER, &json[..], r#"{"amount":1,"role":"admin"}"#, "arguments_invalid"),
        ("POST", TRANSFER, &json[..], "[1]", "arguments_invalid"),
        ("POST", "/login", &json[..], "{}", "media_type"),
        (
            "POST",
            "/login",
            &[("Content-Type", "application/x-www-form-urlencoded")][..],
            "user=a&user=b",
            "arguments_invalid",
        ),
        ("PUT", "/import", &[("Content-Type", "text/html")][..], "a,b", "media_type"),
    ] {
        let reply = world.send_with(method, path, headers, body).await;
        assert_eq!(reply.slug(), slug, "{method} {path} {body}: {reply:?}");
    }
    let large = format!(r#"{{"to":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(world.post(TRANSFER, &large).await.status, 413);
    assert!(crm.arrived().is_empty());
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(world.send_with("POST", "/login", &form, "user=a%26b+c&n=3").await.status, 200);
    let arrived = crm.sole();
    assert_eq!(
        (arrived.header("content-type").as_deref(), arrived.body.as_str()),
        (Some("application/x-www-form-urlencoded"), "n=3&user=a%26b%20c")
    );
}

#[tokio::test]
async fn what_takes_approval_is_sent_once_after_it_and_anything_else_is_another_request() {
    let (world, crm) = world().await;
    let stopped = world.post(TRANSFER, &amount("10.00")).await;
    assert_eq!((stopped.status, stopped.slug()), (401, "approval_required".to_owned()));
    assert_eq!(
        stopped.headers["www-authenticate"],
        "Bearer realm=\"stepup\", error=\"insufficient_authorization\""
    );
    assert_eq!(stopped.headers["content-type"], "application/problem+json");
    let told = stopped.json();
    for member in ["type", "title", "detail", "elevation", "requirement", "expires_at", "status_url", "link"]
    {
        assert!(!told[member].is_null(), "{member} in {told}");
    }
    assert_eq!(told["status"], 401);
    let elevation = told["elevation"].as_str().unwrap();
    world.approve(elevation).await;
    // By one cent, to another, along another path: each is a request of its own.
    for (path, body) in [
        (TRANSFER, amount("10.01")),
        (TRANSFER, amount("10").replace("bob", "eve")),
        ("/accounts/8/transfers", amount("10")),
    ] {
        let other = world.post(path, &body).await;
        assert_eq!(other.status, 401, "{path} {body}");
        assert_ne!(other.json()["elevation"], told["elevation"]);
    }
    assert!(crm.arrived().is_empty());
    // The same in another spelling.
    let reply = world.post("/accounts/%37/transfers", r#"{ "amount": 1e1, "to": "bob" }"#).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.headers["stepup-attempt"].starts_with("att_"), "{reply:?}");
    let arrived = crm.sole();
    assert_eq!(arrived.line(), "POST /api/accounts/7/transfers HTTP/1.1");
    assert_eq!(arrived.body, r#"{"amount":10,"to":"bob"}"#);
    let again = world.post(TRANSFER, &amount("10")).await;
    assert!(matches!(again.status, 401 | 409), "{again:?}");
    assert_eq!(crm.arrived().len(), 1);
    let kinds = world.records().await;
    assert!(kinds.contains(&"spent".to_owned()) && kinds.contains(&"settled".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn who_prefers_to_wait_is_held_and_answered_with_what_the_upstream_says() {
    let (world, crm) = world().await;
    let body = amount("5");
    let first = world.post(TRANSFER, &body).await;
    let elevation = first.json()["elevation"].as_str().unwrap().to_owned();
    let headers = [("Content-Type", "application/json"), ("Prefer", "wait=20")];
    let (waited, ()) = tokio::join!(world.send_with("POST", TRANSFER, &headers, &body), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(crm.arrived().is_empty());
        world.approve(&elevation).await;
    });
    assert_eq!(waited.status, 200, "{waited:?}");
    assert_eq!(crm.sole().body, r#"{"amount":5,"to":"bob"}"#);
}

#[tokio::test]
async fn who_prefers_to_be_told_elsewhere_is_told_where() {
    let (world, _crm) = world().await;
    let headers = [("Content-Type", "application/json"), ("Prefer", "respond-async")];
    let reply = world.send_with("POST", TRANSFER, &headers, &amount("5")).await;
    assert_eq!((reply.status, reply.headers["preference-applied"].as_str()), (202, "respond-async"));
    let key = format!("Bearer {}", world.key("bot"));
    let path = reply.headers["location"].strip_prefix(&format!("http://{}", world.at)).unwrap();
    let status = world.request("GET", path, &[("Authorization", &key)], "").await;
    assert_eq!(status.json()["state"], "pending");
}

#[tokio::test]
async fn a_sender_that_went_away_spends_nothing() {
    let (world, crm) = world().await;
    let body = amount("5");
    let elevation = world.post(TRANSFER, &body).await.json()["elevation"].as_str().unwrap().to_owned();
    let key = format!("Bearer {}", world.key("bot"));
    let headers =
        [("Authorization", key.as_str()), ("Content-Type", "application/json"), ("Prefer", "wait=20")];
    let head = world.head("POST", "/http/crm/accounts/7/transfers", &headers, body.len());
    let waiting = wire::write(world.at, &head, body.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(waiting);
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.approve(&elevation).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(crm.arrived().is_empty());
    assert_eq!(world.post(TRANSFER, &body).await.status, 200, "its approval is still there");
}

#[tokio::test]
async fn what_a_person_refused_stays_refused_and_says_why() {
    let (world, crm) = world().await;
    let stopped = world.post(TRANSFER, &amount("5")).await;
    world.reject(stopped.json()["elevation"].as_str().unwrap(), "not today").await;
    let reply = world.post(TRANSFER, &amount("5")).await;
    assert_eq!(
        (reply.status, reply.slug(), reply.json()["why"].clone()),
        (403, "rejected".to_owned(), Value::from("not today"))
    );
    assert!(crm.arrived().is_empty());
}

#[tokio::test]
async fn a_limit_that_policy_can_read_is_the_line_between_baseline_and_approval() {
    let (world, crm) = world().await;
    assert_eq!(world.get("/export?limit=10").await.status, 200);
    for path in ["/export?limit=11", "/export"] {
        assert_eq!(world.get(path).await.status, 401, "{path}");
    }
    assert_eq!(crm.sole().line(), "GET /api/export?limit=10 HTTP/1.1");
}

#[tokio::test]
async fn what_has_to_be_said_first_is_said_in_headers() {
    let (world, crm) = world().await;
    let json = ("Content-Type", "application/json");
    let body = r#"{"text":"hi","pin":"canary-pin"}"#;
    let stopped = world.send_with("POST", "/notes", &[json], body).await;
    let detail = stopped.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("Stepup-Purpose") && detail.contains("Stepup-Ticket"), "{detail}");
    let said = [json, ("Stepup-Purpose", "a customer asked"), ("Stepup-Ticket", "OPS-7")];
    let stopped = world.send_with("POST", "/notes", &said, body).await;
    world.approve(stopped.json()["elevation"].as_str().unwrap()).await;
    assert_eq!(world.send_with("POST", "/notes", &said, body).await.status, 200);
    // The secret went to the upstream, and nowhere else.
    assert_eq!(crm.sole().body, r#"{"pin":"canary-pin","text":"hi"}"#);
    let lines = world.authority.store().records(0, 10_000).await.unwrap();
    let bodies =
        lines.into_iter().filter_map(|line| line.body).map(|(body, _)| String::from_utf8(body).unwrap());
    assert!(bodies.into_iter().all(|body| !body.contains("canary-pin")));
}

#[tokio::test]
async fn bytes_that_were_approved_are_the_bytes_that_are_sent() {
    let (world, crm) = world().await;
    let csv = [("Content-Type", "text/csv")];
    let stopped = world.send_with("PUT", "/import", &csv, "a,b\n1,2\n").await;
    world.approve(stopped.json()["elevation"].as_str().unwrap()).await;
    assert_eq!(world.send_with("PUT", "/import", &csv, "a,b\n1,3\n").await.status, 401);
    assert_eq!(world.send_with("PUT", "/import", &csv, "a,b\n1,2\n").await.status, 200);
    let arrived = crm.sole();
    assert_eq!(
        (arrived.body.as_str(), arrived.header("content-type").as_deref()),
        ("a,b\n1,2\n", Some("text/csv"))
    );
}

#[tokio::test]
async fn t124_a_route_that_is_hidden_is_as_unknown_as_one_that_is_not_there() {
    let (world, crm) = world().await;
    let (hidden, absent) = (world.get("/hidden").await, world.get("/nothing-here").await);
    let without = |reply: &Reply| {
        let mut json = reply.json();
        json["record"] = Value::Null;
        (reply.status, json)
    };
    assert_eq!(without(&hidden), without(&absent));
    assert_eq!((hidden.status, hidden.slug()), (404, "route_unknown".to_owned()));
    assert!(crm.arrived().is_empty());
}

/// What is told, but for the record that it is in.
fn told(reply: &Reply) -> (u16, Value, std::collections::BTreeMap<String, String>) {
    let (mut json, mut headers) = (reply.json(), reply.headers.clone());
    if let Some(record) = json.get_mut("record") {
        assert!(record.is_string());
        *record = Value::Null;
    }
    headers.remove("date");
    (reply.status, json, headers)
}

#[tokio::test]
async fn t124_an_api_that_is_hidden_is_told_and_recorded_as_one_that_is_not_there() {
    let (world, crm) = world().await;
    let key = format!("Bearer {}", world.key("bot"));
    let ask = async |api: &str, method: &str, path: &str, more: (&str, &str)| {
        let headers = [("Authorization", key.as_str()), more];
        world.request(method, &format!("/http/{api}{path}"), &headers, "").await
    };
    let denied = async || world.records().await.iter().filter(|kind| *kind == "denied").count();
    for (method, path, more) in [
        ("GET", "/hidden", ("X", "y")),
        ("GET", "/hidden?x=y", ("X", "y")),
        ("POST", "/hidden", ("Content-Type", "application/json")),
        ("BREW", "/hidden", ("X", "y")),
        ("GET", "/hidden/../x", ("X", "y")),
        ("GET", "/hidden", ("Expect", "x")),
        ("GET", "/hidden", ("Prefer", "respond-async")),
        ("GET", "/hidden", ("Idempotency-Key", "")),
    ] {
        let before = denied().await;
        let hidden = ask("crm", method, path, more).await;
        let between = denied().await;
        for absent in ["nope", "ops", "CRM", "cr%6d"] {
            let absent = ask(absent, method, path, more).await;
            assert_eq!(told(&hidden), told(&absent), "{method} {path} {more:?}");
        }
        assert_eq!((between - before, denied().await - between), (1, 4), "each is recorded");
    }
    assert!(crm.arrived().is_empty());
}

#[tokio::test]
async fn t26_the_key_of_a_caller_goes_nowhere() {
    let (world, crm) = world().await;
    let key = world.key("bot");
    let reply = world.post(TRANSFER, &format!(r#"{{"to":"{key}","amount":1}}"#)).await;
    assert_eq!(reply.slug(), "request_invalid");
    assert_eq!(world.get(&format!("/search/{key}")).await.slug(), "request_invalid");
    let csv = format!("id,note\n7,{key}\n");
    let bytes = world.send_with("PUT", "/import", &[("Content-Type", "text/csv")], &csv).await;
    assert_eq!(bytes.slug(), "request_invalid", "not in bytes either: {bytes:?}");
    for name in ["Accept", "Accept-Language", "Stepup-Purpose", "Stepup-Ticket"] {
        let reply = world.send_with("GET", "/health", &[(name, &key)], "").await;
        assert_eq!(reply.slug(), "request_invalid", "{name}");
    }
    let bare = world.request("GET", "/http/crm/health", &[], "").await;
    assert_eq!((bare.status, bare.slug()), (401, "no_credential".to_owned()));
    let unknown =
        world.request("GET", "/http/ops/health", &[("Authorization", &format!("Bearer {key}"))], "").await;
    assert_eq!(unknown.status, 404);
    assert!(crm.arrived().is_empty());
}

#[tokio::test]
async fn t46_t55_t57_what_is_between_us_and_the_upstream_does_not_reach_its_caller() {
    let (world, crm) = world().await;
    let reply = world.get("/odd/hop").await;
    assert_eq!(
        (reply.status, reply.headers["x-kept"].as_str(), reply.headers["cache-control"].as_str()),
        (200, "yes", "no-store")
    );
    for name in ["x-inside", "set-cookie", "www-authenticate"] {
        assert!(!reply.headers.contains_key(name), "{name}");
    }
    // No redirect is followed; one to the upstream itself leads to us.
    assert_eq!(world.get("/odd/moved").await.headers["location"], "/http/crm/health");
    assert_eq!(world.get("/odd/away").await.headers["location"], "https://elsewhere.example/x");
    assert_eq!(crm.arrived().len(), 3);
    assert_eq!(world.get("/odd/chunks").await.body, "abcde");
    assert_eq!(world.get("/odd/refuses").await.status, 422);
    let big = world.get("/odd/big").await;
    assert_eq!((big.body.len(), big.headers["content-length"].as_str()), (3 << 20, "3145728"));
}

/// Asks, and takes three events of which each happens only after the one before it has come.
async fn takes_events(world: &World, crm: &Crm, line: &str) {
    let mut stream = tokio::net::TcpStream::connect(world.at).await.unwrap();
    let (host, key) = (world.at, world.key("bot"));
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    );
    let (length, body) =
        if line.starts_with("POST") { ("Content-Length: 2\r\n\r\n", "{}") } else { ("\r\n", "") };
    stream.write_all(format!("{head}{length}{body}").as_bytes()).await.unwrap();
    let mut heard = String::new();
    for event in ["event 1", "event 2", "event 3", "\r\n0\r\n"] {
        if event.starts_with('e') {
            assert!(!heard.contains(event), "{heard}");
            crm.event.notify_one();
        }
        while !heard.contains(event) {
            let mut buffer = [0; 4096];
            let reading = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer);
            let read = tokio::time::timeout(Duration::from_secs(5), reading).await;
            let read = read.unwrap_or_else(|_| panic!("{event} does not come: {heard}")).unwrap();
            assert!(read > 0, "{heard}");
            heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
    assert!(heard.contains("content-type: text/event-stream") && heard.contains("id: 3"), "{heard}");
}

#[tokio::test]
async fn events_of_an_api_come_one_by_one_as_they_happen_with_approval_or_without() {
    let (world, crm) = world().await;
    takes_events(&world, &crm, "GET /http/crm/odd/events").await;
    let stopped = world.post("/act/events", "{}").await;
    world.approve(stopped.json()["elevation"].as_str().unwrap()).await;
    takes_events(&world, &crm, "POST /http/crm/act/events").await;
    becomes_settled(&world, 2).await;
    assert_eq!(crm.arrived().len(), 2);
}

/// So many attempts have ended well.
async fn becomes_settled(world: &World, count: usize) {
    for _ in 0..100 {
        let records = world.records().await;
        if records.iter().filter(|kind| *kind == "settled").count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", world.records().await);
}

#[tokio::test]
async fn f36_an_answer_that_is_none_is_told_with_what_may_have_happened() {
    let (world, crm) = world().await;
    for (how, status, outcome) in [
        ("refuses-us", 502, "failed"),
        ("nothing", 502, "unknown"),
        ("garbage", 502, "unknown"),
        ("upgrade", 502, "unknown"),
    ] {
        let reply = world.get(&format!("/odd/{how}")).await;
        assert_eq!(
            (reply.status, reply.json()["outcome"].as_str().unwrap()),
            (status, outcome),
            "{how}: {reply:?}"
        );
        assert!(reply.json()["attempt"].is_string());
    }
    assert_eq!(crm.arrived().len(), 4, "each was sent once");
}

#[tokio::test]
async fn f37_an_upstream_that_dies_midway_is_unknown_and_never_asked_again() {
    let (world, crm) = world().await;
    for how in ["half", "nothing", "fails"] {
        let path = format!("/act/{how}");
        let stopped = world.post(&path, "{}").await;
        world.approve(stopped.json()["elevation"].as_str().unwrap()).await;
        let before = crm.arrived().len();
        let reply = world.post(&path, "{}").await;
        assert!(reply.status >= 500, "{how}: {reply:?}");
        let again = world.post(&path, "{}").await;
        assert_eq!((again.status, again.slug()), (409, "outcome_unknown".to_owned()), "{how}");
        assert_eq!(crm.arrived().len(), before + 1, "{how}");
    }
}

#[tokio::test]
async fn of_an_upstream_that_is_not_there_nothing_is_decided() {
    let world = lonely().await;
    for (method, path, body) in [("GET", "/health", ""), ("POST", TRANSFER, r#"{"to":"bob","amount":1}"#)] {
        let reply = world.send_with(method, path, &[("Content-Type", "application/json")], body).await;
        assert_eq!((reply.status, reply.slug()), (502, "upstream_unreachable".to_owned()), "{reply:?}");
    }
    let kinds = world.records().await;
    assert!(!kinds.iter().any(|kind| kind == "permitted" || kind == "challenged"), "{kinds:?}");
}

/// A gateway whose API is not there.
async fn lonely() -> World {
    let mut config = Crm::start().await.config();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.http.url = format!("http://{free}/api");
    let mut bundle = bundle(RULES);
    let of = |(name, definition)| (name, Declared { definition, settings: ToolSettings::default() });
    let said = UpstreamSettings { routes: routes().map(of).collect(), ..UpstreamSettings::default() };
    bundle.upstreams.insert("crm".to_owned(), said);
    let parts = (Ops::start().await, &[][..], vec![config]);
    World::before(parts, bundle, |_| {}, |_| {}).await
}

#[tokio::test]
async fn f37_what_was_sent_goes_on_when_its_sender_goes_away() {
    let (world, crm) = world().await;
    let key = format!("Bearer {}", world.key("bot"));
    let head = world.head("GET", "/http/crm/odd/slow", &[("Authorization", &key)], 0);
    let sent = wire::write(world.at, &head, b"").await;
    becomes("it arrived", || crm.arrived().len() == 1).await;
    drop(sent);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if world.records().await.contains(&"settled".to_owned()) {
            return;
        }
    }
    panic!("nobody said how it ended: {:?}", world.records().await);
}

#[tokio::test]
async fn who_is_locked_reaches_nothing() {
    let (world, crm) = world().await;
    let bot = world.authority.active().caller_named("bot").unwrap().id;
    let why = "stop".to_owned();
    world.authority.lock(store::LockSubject::Caller(bot), "ann".to_owned(), why, None).await.unwrap();
    let reply = world.get("/health").await;
    assert_eq!((reply.status, reply.slug()), (403, "caller_locked".to_owned()));
    assert!(crm.arrived().is_empty());
}

/// A request that is to be done once, under this name.
async fn once(world: &World, path: &str, body: &str, key: &str) -> Reply {
    let form = (
        "Content-Type",
        if path == "/login" { "application/x-www-form-urlencoded" } else { "application/json" },
    );
    world.send_with("POST", path, &[form, ("Idempotency-Key", key)], body).await
}

#[tokio::test]
async fn what_is_named_to_be_done_once_is_sent_once_with_approval_or_without() {
    let (world, crm) = world().await;
    // At baseline.
    assert_eq!(once(&world, "/login", "user=a", "k1").await.status, 200);
    let again = once(&world, "/login", "user=a", "k1").await;
    assert_eq!((again.status, again.slug()), (409, "already_ran".to_owned()));
    assert!(again.json()["attempt"].as_str().unwrap().starts_with("att_"));
    let other = once(&world, "/login", "user=b", "k1").await;
    assert_eq!((other.status, other.slug()), (422, "key_reused".to_owned()));
    assert_eq!(once(&world, "/login", "user=a", "k2").await.status, 200, "another name is another request");
    // The name is not the upstream's business unless its route takes it.
    assert!(crm.arrived().iter().all(|arrived| arrived.header("idempotency-key").is_none()));
    // With approval: the retry is told that it ran, and asks nobody again.
    let body = amount("10");
    let stopped = once(&world, TRANSFER, &body, "t1").await;
    assert_eq!(stopped.status, 401, "what did not begin may be asked for again");
    world.approve(stopped.json()["elevation"].as_str().unwrap()).await;
    assert_eq!(once(&world, TRANSFER, &body, "t1").await.status, 200);
    for _ in 0..2 {
        let again = once(&world, TRANSFER, &body, "t1").await;
        assert_eq!((again.status, again.slug()), (409, "already_ran".to_owned()), "{again:?}");
    }
    assert_eq!(crm.arrived().len(), 3);
    for key in ["", "a\u{7f}", &"x".repeat(256)] {
        assert_eq!(once(&world, "/login", "user=a", key).await.status, 400, "{key:?}");
    }
    // What only reads is not counted.
    for _ in 0..2 {
        assert_eq!(world.send_with("GET", "/health", &[("Idempotency-Key", "k1")], "").await.status, 200);
    }
}

#[tokio::test]
async fn of_many_at_once_under_one_name_one_is_sent() {
    let (world, crm) = world().await;
    let all = (0..16).map(|_| once(&world, "/login", "user=a", "k1"));
    let replies = futures_util::future::join_all(all).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1, "{replies:?}");
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 409)), "{replies:?}");
    assert_eq!(crm.arrived().len(), 1);
}
