//! Hosts, origins, headers and cookies.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};

use crate::world::{ORIGIN, World, json};

#[tokio::test]
async fn every_answer_forbids_what_no_page_needs() {
    let (_world, people) = World::new().await;
    let ann = &people["ann"];
    let answers = [
        ann.get("/").await,
        ann.get("/nowhere").await,
        ann.get("/sign-in").await,
        ann.post("/locks", &json("[]")).await,
        ann.send(Request::get("/").header(header::HOST, "evil.example").body(Body::empty()).unwrap()).await,
    ];
    for answer in answers {
        let header = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let policy = header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("permissions-policy").contains("publickey-credentials-get=(self)"));
        assert!(header("strict-transport-security").contains("max-age="));
    }
}

#[tokio::test]
async fn no_page_holds_an_inline_script_style_or_handler_or_names_another_site() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await;
    let id = format!("/r/{id}");
    for path in ["/", "/history", "/callers", "/locks", "/tools", "/policies", "/log", "/me", "/sign-in", &id]
    {
        let page = people["mia"].get(path).await.text;
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "<iframe"] {
            assert!(!page.contains(inline), "{inline} in {path}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count(), "{path}");
        for address in page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
            assert!(address.starts_with('/') || address.starts_with('#'), "{path}: {}", &address[..20]);
        }
    }
}

#[tokio::test]
async fn an_asset_is_kept_for_ever_at_an_address_that_carries_its_hash() {
    let (world, people) = World::new().await;
    let page = people["ann"].get("/").await.text;
    let stranger = world.browser();
    for address in page.split('"').filter(|piece| piece.starts_with("/assets/")) {
        let answer = stranger.get(address).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}");
        let kept = answer.headers.get(header::CACHE_CONTROL).unwrap();
        assert!(kept.to_str().unwrap().contains("immutable"));
    }
    assert_eq!(stranger.get("/assets/0000000000000000/stepup.js").await.status, StatusCode::NOT_FOUND);
}

type Forgery = Box<dyn Fn(&mut Request<Body>)>;

#[tokio::test]
async fn only_our_own_pages_may_post() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await;
    let ann = &people["ann"];
    let body = r#"{"reason":"forged"}"#;
    let good = || ann.posting(&format!("/r/{id}/reject"), body);
    let forged: Vec<(&str, Forgery)> = vec![
        ("no origin", Box::new(|r| drop(r.headers_mut().remove(header::ORIGIN)))),
        ("another origin", Box::new(|r| set(r, "origin", "https://evil.example"))),
        ("the opaque origin", Box::new(|r| set(r, "origin", "null"))),
        ("our origin over http", Box::new(|r| set(r, "origin", "http://stepup.example"))),
        ("our origin at another port", Box::new(|r| set(r, "origin", "https://stepup.example:8443"))),
        ("a name below ours", Box::new(|r| set(r, "origin", "https://a.stepup.example"))),
        ("two origins", Box::new(|r| assert!(r.headers_mut().append("origin", ORIGIN.parse().unwrap())))),
        ("from another site, says the browser", Box::new(|r| set(r, "sec-fetch-site", "cross-site"))),
        ("from a name beside ours", Box::new(|r| set(r, "sec-fetch-site", "same-site"))),
        ("a form", Box::new(|r| set(r, "content-type", "application/x-www-form-urlencoded"))),
        ("plain text", Box::new(|r| set(r, "content-type", "text/plain"))),
        (
            "two types",
            Box::new(|r| assert!(r.headers_mut().append("content-type", "text/plain".parse().unwrap()))),
        ),
        ("no type", Box::new(|r| drop(r.headers_mut().remove(header::CONTENT_TYPE)))),
        ("another host", Box::new(|r| set(r, "host", "evil.example"))),
        ("our address by number", Box::new(|r| set(r, "host", "127.0.0.1:7301"))),
    ];
    for (what, forge) in forged {
        let mut request = good();
        forge(&mut request);
        let answer = ann.send(request).await;
        assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
        assert!(ann.get(&format!("/r/{id}")).await.text.contains("id=\"approve\""), "{what}: it still waits");
    }
    let mut request = good();
    set(&mut request, "sec-fetch-site", "same-origin");
    assert_eq!(ann.send(request).await.status, StatusCode::OK, "and the page itself may");
}

fn set(request: &mut Request<Body>, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

#[tokio::test]
async fn an_address_by_number_leads_to_the_name_and_a_foreign_host_nowhere() {
    let (world, _people) = World::new().await;
    let local = console::Settings::at("http://localhost:7301");
    let stranger = world.browser_at(console::router(Arc::clone(&world.authority), local));
    let get = |host: &str| {
        let request = Request::get("/r/elv_1?x=1").header(header::HOST, host);
        stranger.send(request.body(Body::empty()).unwrap())
    };
    for host in ["127.0.0.1:7301", "[::1]:7301", "127.0.0.1"] {
        let answer = get(host).await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT, "{host}");
        let to = answer.headers.get(header::LOCATION).unwrap();
        assert_eq!(to, "http://localhost:7301/r/elv_1?x=1");
    }
    for host in ["evil.example", "localhost:7301.evil.example", "127.0.0.1.evil.example", "localhost", ""] {
        assert_eq!(get(host).await.status, StatusCode::FORBIDDEN, "{host}");
    }
    let unnamed = stranger.send(Request::get("/").body(Body::empty()).unwrap()).await;
    assert_eq!(unnamed.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_link_from_elsewhere_goes_on_from_here_once() {
    let (world, people) = World::new().await;
    let id = world.deploy("2.4.1").await;
    let stranger = world.browser();
    let linked = |site: &str| {
        let mut request = stranger.request(Method::GET, &format!("/r/{id}"), "");
        set(&mut request, "sec-fetch-site", site);
        set(&mut request, "sec-fetch-mode", "navigate");
        stranger.send(request)
    };
    let bounced = linked("cross-site").await;
    assert!(bounced.text.contains(&format!("0;url=/r/{id}?")), "{}", bounced.text);
    assert!(!bounced.text.contains("2.4.1"));
    assert_eq!(linked("same-origin").await.status, StatusCode::UNAUTHORIZED, "then it is asked who they are");
    let page = people["ann"].get(&format!("/r/{id}?")).await;
    assert!(page.text.contains("Approve once"), "whoever is signed in arrives");
}

#[tokio::test]
async fn a_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites() {
    let (world, _people) = World::new().await;
    let invite = world.invited("eve", &[]).await;
    let mut browser = world.browser();
    browser.enrol(&invite).await;
    let cookie = browser.cookie.clone().unwrap();
    assert!(cookie.starts_with("__Host-stepup-443=session_"));
    let answer = browser.post("/me/sign-out", &json("{}")).await;
    let set = answer.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    for attribute in ["Path=/", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age=0"] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    assert!(!set.contains("Domain"));
}

#[tokio::test]
async fn a_cookie_of_another_on_this_host_signs_nobody_out_and_nobody_in() {
    let (_world, people) = World::new().await;
    let (ann, ben) = (people["ann"].cookie.clone().unwrap(), people["ben"].cookie.clone().unwrap());
    let junk = |n: usize| format!("{}=session_{n}", ann.split('=').next().unwrap());
    let elsewhere = ann.replace("stepup-443", "stepup-8443");
    let cases = [
        (format!("stepup=session_x; theme=dark; {ann}; stepup-7401=session_y"), StatusCode::OK),
        (format!("{}; {ann}", junk(1)), StatusCode::OK),
        (format!("{ann}; {}; {}", junk(1), junk(2)), StatusCode::OK),
        (format!("{ann}; {ann}"), StatusCode::OK),
        (format!("{ann}; {ben}"), StatusCode::UNAUTHORIZED),
        (format!("{}; {ben}; {ann}", junk(1)), StatusCode::UNAUTHORIZED),
        (format!("{}; {}; {}; {}; {ann}", junk(1), junk(2), junk(3), junk(4)), StatusCode::UNAUTHORIZED),
        (elsewhere, StatusCode::UNAUTHORIZED),
        (junk(1), StatusCode::UNAUTHORIZED),
    ];
    for (cookies, expected) in cases {
        let request = Request::get("/me").header(header::HOST, "stepup.example");
        let request = request.header(header::COOKIE, &cookies).body(Body::empty()).unwrap();
        let answer = people["ann"].send(request).await;
        assert_eq!(answer.status, expected, "{cookies}");
        assert_eq!(answer.text.contains("<h1><bdi>ann</bdi></h1>"), expected == StatusCode::OK, "{cookies}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_strict_json_object_does_nothing() {
    let (_world, people) = World::new().await;
    let ann = &people["ann"];
    let large = format!(r#"{{"kind":"all","reason":"{}"}}"#, "x".repeat(70 << 10));
    assert_eq!(ann.send(ann.posting("/locks", &large)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    for body in ["", "[]", "null", r#"{"kind":"all","kind":"all"}"#, r#"{"kind":"all"} x"#, "kind=all"] {
        assert_eq!(ann.send(ann.posting("/locks", body)).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert!(ann.get("/locks").await.text.contains("Nothing is locked."));
}
