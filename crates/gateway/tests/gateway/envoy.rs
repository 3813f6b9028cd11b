//! Envoy over gRPC: whatever it asks is answered with a yes or a no, and no error of gRPC lets anything pass.

use std::collections::BTreeMap;

use ::envoy::wire::{
    Address, AttributeContext, CheckRequest, CheckResponse, HeaderMap, HeaderValue, HeaderValueOption,
    HttpRequest, OVERWRITE_IF_EXISTS_OR_ADD, Peer, Request, SocketAddress, Told,
};
use axum::body::{Body, Bytes};
use gateway::PARTIAL;
use http_body_util::BodyExt;
use prost::Message;

use crate::apis::world_with;
use crate::asked::{HERE, Headers, world};
use crate::wire::Reply;
use crate::world::{Trap, World};

impl World {
    /// What Envoy is told over gRPC.
    pub async fn checked(&self, check: CheckRequest) -> Reply {
        let response = self.called(framed(&check.encode_to_vec())).await;
        let status = response.status.unwrap().code;
        match response.told.unwrap() {
            Told::Ok(told) => {
                assert_eq!(status, 0);
                let removed: Vec<&str> = told.headers_to_remove.iter().map(String::as_str).collect();
                assert_eq!(removed[..3], ["authorization", "stepup-purpose", "stepup-ticket"]);
                assert!(
                    removed.contains(&"x-envoy-retry-on"),
                    "what was approved once arrives once: {removed:?}"
                );
                Reply { status: 200, headers: named(told.headers), body: String::new() }
            }
            Told::Denied(told) => {
                let http = u16::try_from(told.status.unwrap().code).unwrap();
                assert_eq!(status, if http == 401 { 16 } else { 7 });
                Reply { status: http, headers: named(told.headers), body: told.body }
            }
        }
    }

    /// The message that a call of so many bytes is answered with.
    async fn called(&self, bytes: Vec<u8>) -> CheckResponse {
        let (status, frame) = self.raw(::envoy::CHECK, bytes).await;
        assert_eq!(status, None, "an error of gRPC is no answer");
        CheckResponse::decode(&frame[5..]).unwrap()
    }

    /// The status of gRPC where it is an error, and what was answered.
    async fn raw(&self, path: &str, bytes: Vec<u8>) -> (Option<String>, Vec<u8>) {
        self.sent(path, Body::from(bytes)).await
    }

    async fn sent(&self, path: &str, body: Body) -> (Option<String>, Vec<u8>) {
        let request = http::Request::post(path).header("content-type", "application/grpc");
        let request = request.body(body).unwrap();
        let response = ::envoy::Door::new(self.gateway.clone()).answer(HERE, request).await;
        assert_eq!(response.status(), 200);
        let status = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
        let whole = response.into_body().collect().await.unwrap();
        (status.filter(|status| status != "0"), whole.to_bytes().to_vec())
    }
}

/// One message as gRPC frames it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

fn named(headers: Vec<HeaderValueOption>) -> BTreeMap<String, String> {
    assert!(headers.iter().all(|header| header.append_action == OVERWRITE_IF_EXISTS_OR_ADD));
    headers.into_iter().filter_map(|header| header.header).map(|header| (header.key, header.value)).collect()
}

/// As Envoy passes a request on with `encode_raw_headers` and `pack_as_bytes`.
pub fn http_request((method, path): (&str, &str), headers: Headers<'_>, body: &str) -> HttpRequest {
    let pseudo = [(":method", method), (":path", path), (":authority", "crm.example"), (":scheme", "http")];
    let one = |(key, value): &(&str, &str)| HeaderValue {
        key: key.to_lowercase(),
        raw_value: Bytes::from((*value).to_owned()),
        ..HeaderValue::default()
    };
    HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        header_map: Some(HeaderMap { headers: pseudo.iter().chain(headers).map(one).collect() }),
        raw_body: Bytes::from(body.to_owned()),
        ..HttpRequest::default()
    }
}

pub fn check(upstream: &str, http: HttpRequest) -> CheckRequest {
    CheckRequest {
        attributes: Some(AttributeContext {
            source: None,
            request: Some(Request { http: Some(http) }),
            context_extensions: [("upstream".to_owned(), upstream.to_owned())].into(),
        }),
    }
}

impl World {
    fn key_of_bot(&self) -> String {
        format!("Bearer {}", self.key("bot"))
    }

    /// A question of bot's that is permitted as it stands.
    fn health(&self) -> CheckRequest {
        check("crm", http_request(("GET", "/health"), &[("authorization", &self.key_of_bot())], ""))
    }
}

fn http(check: &mut CheckRequest) -> &mut HttpRequest {
    check.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap()
}

/// The same as Envoy says it without `encode_raw_headers`.
fn merged(mut question: CheckRequest) -> CheckRequest {
    let said = http(&mut question);
    for HeaderValue { key, raw_value, .. } in said.header_map.take().unwrap().headers {
        let value = String::from_utf8_lossy(&raw_value).replace('\u{fffd}', "!");
        let all = said.headers.entry(key).or_default();
        *all = if all.is_empty() { value } else { format!("{all},{value}") };
    }
    question
}

#[tokio::test]
async fn t51_content_passes_only_where_all_of_it_is_shown_as_it_is() {
    let (world, _crm) = world().await;
    let (key, body) = (world.key_of_bot(), r#"{"to":"bob","amount":5}"#);
    let base = [("authorization", key.as_str()), ("content-type", "application/json")];
    let transfer = |more: Headers<'_>, body: &str| {
        let headers: Vec<(&str, &str)> = base.iter().chain(more).copied().collect();
        check("crm", http_request(("POST", "/accounts/7/transfers"), &headers, body))
    };
    let length = body.len().to_string();
    let whole = [(PARTIAL, "false"), ("content-length", length.as_str())];
    let seen = transfer(&whole, body);
    let mut as_text = seen.clone();
    (http(&mut as_text).body, http(&mut as_text).raw_body) = (Bytes::from(body), Bytes::new());
    for question in [seen.clone(), as_text.clone(), merged(seen.clone())] {
        assert_eq!(world.checked(question).await.slug(), "approval_required");
    }
    let mut both = seen.clone();
    http(&mut both).body = Bytes::from(body);
    // A byte that is no UTF-8 is told as `!`.
    let mut altered = transfer(&[(PARTIAL, "false")], "");
    http(&mut altered).body = Bytes::from(r#"{"to":"bob!","amount":5}"#);
    let health = |more: Headers<'_>, body: &str| {
        let headers: Vec<(&str, &str)> = base[..1].iter().chain(more).copied().collect();
        check("crm", http_request(("GET", "/health"), &headers, body))
    };
    for question in [
        both,
        altered,
        transfer(&[], body),
        transfer(&[(PARTIAL, "true")], body),
        transfer(&[(PARTIAL, "false"), (PARTIAL, "true")], body),
        transfer(&[(PARTIAL, "False")], body),
        transfer(&[(PARTIAL, "false"), ("content-length", "99")], body),
        transfer(&[("content-length", &length)], ""),
        transfer(&[("content-length", "0")], ""),
        transfer(&[], ""),
        // What a route without content is sent reaches the API too.
        health(&[("content-length", "7")], ""),
        health(&[("transfer-encoding", "chunked")], ""),
        health(&[(PARTIAL, "true")], "{"),
        health(&[], "{}"),
    ] {
        let reply = world.checked(question.clone()).await;
        assert_eq!((reply.status, reply.slug()), (403, "argument_unjudgeable".to_owned()), "{question:?}");
    }
    assert_eq!(world.checked(health(&[("content-length", "0")], "")).await.status, 200);
    assert_eq!(world.checked(health(&[(PARTIAL, "false")], "{}")).await.slug(), "arguments_invalid");
}

#[tokio::test]
async fn t46_a_header_that_may_stand_for_two_or_for_another_byte_is_not_judged() {
    let (world, _crm) = world().await;
    let key = world.key_of_bot();
    let export = |reasons: &[&str]| {
        let mut headers = vec![("authorization", key.as_str())];
        headers.extend(reasons.iter().map(|reason| ("x-reason", *reason)));
        check("crm", http_request(("GET", "/export?limit=5"), &headers, ""))
    };
    for (reasons, raw, joined) in [
        (&["quarterly"][..], 200, 200),
        (&["a, b"], 200, 403),
        (&["now!"], 200, 403),
        (&["a", "b"], 400, 403),
    ] {
        assert_eq!(world.checked(export(reasons)).await.status, raw, "{reasons:?}");
        assert_eq!(world.checked(merged(export(reasons))).await.status, joined, "{reasons:?}");
    }
    let mut bytes = export(&["x"]);
    http(&mut bytes).header_map.as_mut().unwrap().headers.last_mut().unwrap().raw_value =
        Bytes::from_static(b"a\xff");
    assert_eq!(world.checked(bytes.clone()).await.slug(), "arguments_invalid");
    assert_eq!(world.checked(merged(bytes)).await.slug(), "argument_unjudgeable");
    // Two keys are none, in either form.
    let two = check(
        "crm",
        http_request(("GET", "/health"), &[("authorization", &key), ("authorization", &key)], ""),
    );
    for question in [two.clone(), merged(two)] {
        assert_eq!(world.checked(question).await.slug(), "credential_invalid");
    }
}

#[tokio::test]
async fn t53_whatever_is_missing_or_said_in_two_ways_is_a_no() {
    let (world, _crm) = world().await;
    let question = world.health();
    assert_eq!(world.checked(question.clone()).await.status, 200);
    assert_eq!(world.checked(merged(question.clone())).await.status, 200);
    let with = |change: &dyn Fn(&mut CheckRequest)| {
        let mut changed = question.clone();
        change(&mut changed);
        changed
    };
    let headers = |check: &mut CheckRequest, name: &str, value: &'static [u8]| {
        let (key, raw_value) = (name.to_owned(), Bytes::from_static(value));
        let header = HeaderValue { key, raw_value, ..HeaderValue::default() };
        http(check).header_map.as_mut().unwrap().headers.push(header);
    };
    for (slug, question) in [
        ("not_found", with(&|check| check.attributes = None)),
        ("not_found", with(&|check| check.attributes.as_mut().unwrap().context_extensions.clear())),
        ("not_found", check("ops", http(&mut question.clone()).clone())),
        ("no_credential", with(&|check| check.attributes.as_mut().unwrap().request = None)),
        ("no_credential", with(&|check| http(check).header_map = None)),
        ("request_invalid", with(&|check| http(check).method.clear())),
        ("request_invalid", with(&|check| http(check).path.clear())),
        ("request_invalid", with(&|check| http(check).path = "/customers/me".to_owned())),
        ("request_invalid", with(&|check| http(check).method = "DELETE".to_owned())),
        ("request_invalid", with(&|check| drop(http(check).headers.insert("x".to_owned(), String::new())))),
        ("request_invalid", with(&|check| headers(check, "two words", b"x"))),
        ("request_invalid", with(&|check| headers(check, "x", b"a\nb"))),
        ("request_invalid", with(&|check| headers(check, "", b"x"))),
        ("request_invalid", with(&|check| headers(check, "x-http-method-override", b"DELETE"))),
    ] {
        assert_eq!(world.checked(question.clone()).await.slug(), slug, "{question:?}");
    }
    for path in
        ["health", "//health", "/health#x", "/health?", "/%68ealth", "http://crm/health", "*", "/health\0"]
    {
        let headers = [("authorization", world.key_of_bot())];
        let headers = [(headers[0].0, headers[0].1.as_str())];
        let reply = world.checked(check("crm", http_request(("GET", path), &headers, ""))).await;
        assert!(path == "/health?" || matches!(reply.status, 400 | 404), "{path:?}: {reply:?}");
    }
}

#[tokio::test]
async fn t53_no_bytes_are_an_error_that_a_proxy_could_let_pass() {
    let (world, _crm) = world().await;
    let whole = world.health().encode_to_vec();
    for cut in 0..whole.len() {
        let response = world.called(framed(&whole[..cut])).await;
        // Of a message that is cut between two fields something is left, and never enough.
        assert_ne!(response.status.unwrap().code, 0, "{cut}");
    }
    // Each byte is another, by the same few changes for all.
    for (at, xor) in (0..whole.len()).flat_map(|at| [1, 0x80, 0xff].map(|xor| (at, xor))) {
        let mut changed = whole.clone();
        changed[at] ^= xor;
        let response = world.called(framed(&changed)).await;
        assert!(response.told.is_some() && response.status.is_some(), "{at} {xor}");
    }
    for garbage in [&[][..], &[0xff; 64], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0b; 4096]] {
        assert_ne!(world.called(framed(garbage)).await.status.unwrap().code, 0);
    }
    let slug = |response: CheckResponse| match response.told {
        Some(Told::Denied(told)) => (told.status.unwrap().code, told.body.contains("\"slug\"")),
        told => panic!("{told:?}"),
    };
    let mut large = world.health();
    http(&mut large).raw_body = Bytes::from(vec![b'x'; 2 << 20]);
    assert_eq!(slug(world.called(framed(&large.encode_to_vec())).await), (413, true));
    let mut headed = world.health();
    let many = HeaderValue { key: "x".to_owned(), raw_value: Bytes::from("y"), ..HeaderValue::default() };
    http(&mut headed).header_map.as_mut().unwrap().headers.extend(vec![many; 70_000]);
    assert_eq!(slug(world.called(framed(&headed.encode_to_vec())).await), (413, true));
    // What is no call of this method is none.
    assert_eq!(
        world.raw("/envoy.service.auth.v3.Authorization/Other", framed(&whole)).await.0.as_deref(),
        Some("12")
    );
    assert_eq!(world.raw("/v1/permits", framed(&whole)).await.0.as_deref(), Some("12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_our_own_faults_are_a_no_too() {
    let (world, _crm) = world().await;
    world.machine.trap(Trap::Random);
    let fallen = world.checked(world.health()).await;
    assert_eq!((fallen.status, fallen.slug()), (503, "busy".to_owned()));
    assert_eq!(fallen.headers["cache-control"], "no-store");
    assert!(!fallen.body.contains("trap"), "{fallen:?}");
    assert_eq!(world.checked(world.health()).await.status, 200);
    world.gateway.drain();
    let late = world.checked(world.health()).await;
    assert_eq!((late.status, late.slug()), (503, "draining".to_owned()));
}

/// Content that never comes.
fn endless() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
}

#[tokio::test]
async fn r19_a_question_that_never_ends_is_answered_with_no() {
    let (world, _crm) = world().await;
    tokio::time::pause();
    let (_, whole) = world.sent(::envoy::CHECK, endless()).await;
    tokio::time::resume();
    let Some(Told::Denied(told)) = CheckResponse::decode(&whole[5..]).unwrap().told else {
        panic!("it passes")
    };
    assert_eq!(told.status.unwrap().code, 503);
}

#[tokio::test]
async fn t47_over_grpc_too_only_a_listed_proxy_is_told_anything_and_where_a_request_came_from_is_nobodys_name()
 {
    let (strangers, _crm) = world_with(|settings| {
        settings.asked.insert("crm".to_owned(), ["192.0.2.1".parse().unwrap()].into());
    })
    .await;
    let at = |address: &str| Peer {
        address: Some(Address { socket_address: Some(SocketAddress { address: address.to_owned() }) }),
    };
    let mut from = strangers.health();
    from.attributes.as_mut().unwrap().source = Some(at("192.0.2.1"));
    let nowhere = strangers.checked(check("none", HttpRequest::default())).await;
    assert_eq!((strangers.checked(from).await, nowhere.slug()), (nowhere, "not_found".to_owned()));
    // Nothing of theirs is even read.
    let began = tokio::time::Instant::now();
    let unread = CheckResponse::decode(&strangers.sent(::envoy::CHECK, endless()).await.1[5..]).unwrap();
    assert_eq!(
        unread,
        strangers.called(framed(&check("none", HttpRequest::default()).encode_to_vec())).await
    );
    assert!(began.elapsed().as_secs() < 5);
    let (world, _crm) = world().await;
    for (said, noted) in [("192.0.2.7", "192.0.2.7"), ("ann", "127.0.0.1"), ("", "127.0.0.1")] {
        let mut from = world.health();
        from.attributes.as_mut().unwrap().source = Some(at(said));
        assert_eq!(world.checked(from).await.status, 200);
        let lines = world.authority.store().records(0, 10_000).await.unwrap();
        let mut permitted =
            lines.into_iter().filter(|line| line.kind == "permitted").filter_map(|line| line.body);
        let last = permitted.next_back().map(|(body, _)| String::from_utf8(body).unwrap()).unwrap();
        assert!(last.contains(&format!("\"{noted}\"")), "{noted}: {last}");
    }
}
