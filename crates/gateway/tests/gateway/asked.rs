//! Proxies that ask whether a request may pass which they hold: they are told yes, once, or no.

use std::net::{IpAddr, Ipv4Addr};

use gateway::{PARTIAL, Settings};

use crate::apis::world_with;
use crate::crm::Crm;
use crate::envoy::{check, http_request};
use crate::live::count;
use crate::wire::Reply;
use crate::world::World;

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn asks(settings: &mut Settings) {
    settings.asked.insert("crm".to_owned(), [HERE].into());
}

pub async fn world() -> (World, Crm) {
    world_with(asks).await
}

/// The headers that a proxy passes on.
pub type Headers<'h> = &'h [(&'h str, &'h str)];

impl World {
    /// What nginx, Caddy and Envoy are each told of the same request, the last over HTTP and over gRPC.
    async fn asked(&self, method: &str, uri: &str, more: Headers<'_>, body: Option<&str>) -> [Reply; 4] {
        let key = format!("Bearer {}", self.key("bot"));
        let shown = body.is_some() && more.iter().all(|(name, _)| !name.eq_ignore_ascii_case(PARTIAL));
        let shown = if shown { vec![(PARTIAL, "false")] } else { Vec::new() };
        let own = [("Authorization", key.as_str())];
        let with = |headers: Headers<'_>, shown: Headers<'_>| -> Vec<(String, String)> {
            let all = headers.iter().chain(more).chain(shown).chain(&own);
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let nginx = with(&[("X-Original-Method", method), ("X-Original-URI", uri)], &[]);
        let forward = with(&[("X-Forwarded-Method", method), ("X-Forwarded-Uri", uri)], &[]);
        let envoy = with(&[], &shown);
        let path = format!("/authz/envoy/crm{uri}");
        let send = async |method: &str, path: &str, headers: &[(String, String)]| {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            self.request(method, path, &headers, body.unwrap_or_default()).await
        };
        let grpc = envoy.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        let grpc = http_request((method, uri), &grpc, body.unwrap_or_default());
        [
            send("GET", "/authz/nginx/crm", &nginx).await,
            send("GET", "/authz/forward/crm", &forward).await,
            send(method, &path, &envoy).await,
            self.checked(check("crm", grpc)).await,
        ]
    }
}

#[tokio::test]
async fn what_policy_permits_passes_and_is_recorded_as_released() {
    let (world, crm) = world().await;
    for reply in world.asked("GET", "/customers/17?q=a%20b", &[], None).await {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.headers["stepup-attempt"].starts_with("att_"));
    }
    while count(&world, "settled").await < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let lines = world.authority.store().records(0, 10_000).await.unwrap();
    let settled = lines.into_iter().filter(|line| line.kind == "settled").filter_map(|line| line.body);
    let outcomes: Vec<String> = settled.map(|(body, _)| String::from_utf8(body).unwrap()).collect();
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes.iter().all(|outcome| outcome.contains(r#""outcome":"released""#)), "{outcomes:?}");
    assert!(crm.arrived().is_empty(), "the proxy sends it, not we");
}

#[tokio::test]
async fn what_takes_approval_passes_once_after_it_by_whichever_proxy() {
    let (world, _crm) = world().await;
    let [nginx, forward, envoy, grpc] = world.asked("GET", "/export?limit=50", &[], None).await;
    assert_eq!(
        (envoy.json(), &envoy.headers["www-authenticate"]),
        (grpc.json(), &grpc.headers["www-authenticate"])
    );
    for reply in [&nginx, &forward, &envoy, &grpc] {
        assert_eq!((reply.status, reply.slug()), (401, "approval_required".to_owned()), "{reply:?}");
        assert!(reply.headers["www-authenticate"].contains("insufficient_authorization"));
        assert_eq!(reply.json()["elevation"], nginx.json()["elevation"], "one request");
    }
    world.approve(nginx.json()["elevation"].as_str().unwrap()).await;
    let [first, others @ ..] = world.asked("GET", "/export?limit=50", &[], None).await;
    assert_eq!(first.status, 200);
    assert!(others.iter().all(|reply| reply.status == 401), "its one use is gone");
    assert!(world.asked("GET", "/export?limit=51", &[], None).await.iter().all(|reply| reply.status == 401));
}

#[tokio::test]
async fn t50_t51_content_that_is_not_passed_on_is_a_no_and_content_that_is_is_judged() {
    let (world, _crm) = world().await;
    let transfer = "/accounts/7/transfers";
    for reply in world.asked("POST", transfer, &[], None).await {
        assert_eq!((reply.status, reply.slug()), (403, "argument_unjudgeable".to_owned()), "{reply:?}");
    }
    let json = [("Content-Type", "application/json")];
    let partial = [("Content-Type", "application/json"), ("X-Envoy-Auth-Partial-Body", "true")];
    let body = r#"{"amount":5,"to":"bob"}"#;
    for reply in world.asked("POST", transfer, &partial, Some(body)).await {
        assert_eq!((reply.status, reply.slug()), (403, "argument_unjudgeable".to_owned()));
    }
    let stopped = world.asked("POST", transfer, &json, Some(body)).await;
    assert!(stopped.iter().all(|reply| reply.status == 401), "{stopped:?}");
    world.approve(stopped[0].json()["elevation"].as_str().unwrap()).await;
    let other = world.asked("POST", transfer, &json, Some(&body.replace('5', "6"))).await;
    assert!(other.iter().all(|reply| reply.status == 401));
    let [passed, ..] = world.asked("POST", transfer, &json, Some(body)).await;
    assert_eq!(passed.status, 200, "{passed:?}");
}

#[tokio::test]
async fn t43_what_an_upstream_could_read_otherwise_does_not_pass() {
    let (world, _crm) = world().await;
    for uri in [
        "/%68ealth",
        "/customers/%31%37",
        "/customers/17?q=%61",
        "/customers/17?q=a+b",
        "/search/a+b",
        "//health",
        "/./health",
        "/health/",
        "/health?x",
        "/customers/17;v=1",
        "/search/a%2fb",
        "/search/%2e%2e",
        "/customers/17?q=1&_method=DELETE",
    ] {
        for reply in world.asked("GET", uri, &[], None).await {
            assert!(matches!(reply.status, 400 | 403 | 404), "{uri}: {reply:?}");
        }
    }
    for name in [
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "x-rewrite-url",
        "Upgrade",
        "X_HTTP_Method_Override",
        "x_reason",
    ] {
        for reply in world.asked("GET", "/health", &[(name, "DELETE")], None).await {
            assert!(matches!(reply.status, 400 | 403), "{name}: {reply:?}");
        }
    }
    assert!(!world.records().await.contains(&"permitted".to_owned()));
}

#[tokio::test]
async fn t47_only_a_listed_proxy_may_say_what_it_holds_and_only_once() {
    let (strangers, _crm) = world_with(|settings| {
        settings.asked.insert("crm".to_owned(), ["192.0.2.1".parse().unwrap()].into());
    })
    .await;
    let nowhere = strangers.request("GET", "/authz/nginx/none", &[], "").await;
    for reply in strangers.asked("GET", "/health", &[("X-Forwarded-For", "192.0.2.1")], None).await {
        assert_eq!((reply.slug(), reply.json()), ("not_found".to_owned(), nowhere.json()));
    }
    let (world, _crm) = world().await;
    let twice = [("X-Original-URI", "/customers/me"), ("X-Forwarded-Uri", "/customers/me")];
    let [nginx, forward, envoy, grpc] = world.asked("GET", "/health", &twice, None).await;
    assert_eq!((nginx.status, forward.status, envoy.status, grpc.status), (403, 400, 200, 200));
    let bare = world.request(
        "GET",
        "/authz/nginx/crm",
        &[("X-Original-Method", "GET"), ("X-Original-URI", "/health")],
        "",
    );
    let bare = bare.await;
    assert_eq!((bare.status, bare.slug()), (401, "no_credential".to_owned()));
    let key = format!("Bearer {}", world.key("bot"));
    let unsaid = world.request("GET", "/authz/forward/crm", &[("Authorization", &key)], "").await;
    assert_eq!(unsaid.slug(), "request_invalid");
}

#[tokio::test]
async fn nginx_is_told_nothing_but_401_and_403() {
    let (world, _crm) = world().await;
    for (method, uri, plain, forward) in [
        ("GET", "/nothing", 403, 404),
        ("TRACE", "/health", 403, 405),
        ("GET", "/a//b", 403, 400),
        ("DELETE", "/customers/17", 403, 403),
    ] {
        let [nginx, other, envoy, grpc] = world.asked(method, uri, &[], None).await;
        assert_eq!((nginx.status, other.status), (plain, forward), "{method} {uri}");
        assert_eq!((envoy.status, grpc.status), (forward, forward), "{method} {uri}");
        assert!([other, envoy, grpc].iter().all(|reply| reply.slug() == nginx.slug()));
    }
}
