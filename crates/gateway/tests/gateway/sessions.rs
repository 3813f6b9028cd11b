//! Sessions authenticate nobody (T22, T37), and elevations are their caller's only (T112).

use serde_json::json;

use crate::world::{World, deploy};

#[tokio::test(flavor = "multi_thread")]
async fn t22_a_stolen_session_is_as_unknown_as_one_that_never_was() {
    let world = World::new().await;
    let victim = world.session("bot").await;
    let thief = world.session("spy").await;
    let stolen = crate::world::Session { id: victim.id.clone(), ..thief.clone() };
    let invented = crate::world::Session { id: "A".repeat(victim.id.len()), ..thief.clone() };
    for method in ["ping", "tools/list", "tools/call", "x"] {
        let (one, other) =
            (stolen.request(method, json!({})).await, invented.request(method, json!({})).await);
        assert_eq!((one.status, one.slug().as_str()), (404, "session_unknown"), "{method}");
        let [mut told, mut other_told] = [one.json(), other.json()];
        for told in [&mut told, &mut other_told] {
            let record = told["error"].as_object_mut().unwrap().remove("record");
            assert!(record.is_some_and(|id| id.as_str().unwrap().starts_with("rec_")), "it is recorded");
        }
        assert_eq!((one.status, told), (other.status, other_told), "{method}");
    }
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(stolen.send(&cancel).await.status, 404);
    let key = format!("Bearer {}", world.key("spy"));
    for id in [&victim.id, &invented.id] {
        let headers = [("Authorization", key.as_str()), ("Mcp-Session-Id", id.as_str())];
        let reply = world.request("DELETE", "/mcp/ops", &headers, "").await;
        assert_eq!((reply.status, reply.slug().as_str()), (404, "session_unknown"));
    }
    assert_eq!(victim.request("ping", json!({})).await.json()["result"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_initialize_and_ends_with_delete() {
    let world = World::new().await;
    let session = world.session("bot").await;
    assert!(session.id.len() >= 22 && session.id.bytes().all(|b| b.is_ascii_graphic()));
    let without = crate::world::Session { id: String::new(), ..session.clone() };
    let reply = without.request("tools/list", json!({})).await;
    assert_eq!((reply.status, reply.slug().as_str()), (400, "session_required"));
    let key = format!("Bearer {}", world.key("bot"));
    let headers = [("Authorization", key.as_str()), ("Mcp-Session-Id", session.id.as_str())];
    assert_eq!(world.request("DELETE", "/mcp/ops", &headers, "").await.status, 204);
    let reply = session.request("ping", json!({})).await;
    assert_eq!((reply.status, reply.slug().as_str()), (404, "session_unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_says_other_than_the_body_is_refused() {
    let world = World::new().await;
    let session = world.session("bot").await;
    let key = format!("Bearer {}", world.key("bot"));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "read_ticket", "arguments": {"id": 1}}});
    let send = async |more: &[(&str, &str)]| {
        let mut headers = vec![
            ("Authorization", key.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "*/*"),
            ("Mcp-Session-Id", session.id.as_str()),
        ];
        headers.extend(more);
        world.request("POST", "/mcp/ops", &headers, &call.to_string()).await
    };
    for (header, value) in
        [("Mcp-Method", "ping"), ("Mcp-Method", "Tools/call"), ("Mcp-Name", "destroy"), ("Mcp-Name", "")]
    {
        let reply = send(&[(header, value)]).await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "header_mismatch"), "{header}: {value}");
        assert_eq!(reply.json()["error"]["code"], -32020);
    }
    let twice = send(&[("Mcp-Name", "read_ticket"), ("Mcp-Name", "read_ticket")]).await;
    assert_eq!(twice.slug(), "header_mismatch");
    for version in ["2025-03-26", "2099-01-01", "nonsense", ""] {
        let reply = send(&[("Mcp-Protocol-Version", version)]).await;
        assert_eq!((reply.status, reply.slug().as_str()), (400, "version_unsupported"), "{version}");
    }
    let other_era = send(&[("Mcp-Protocol-Version", "2026-07-28")]).await;
    assert_eq!((other_era.status, other_era.slug().as_str()), (400, "envelope_incomplete"));
    assert_eq!(world.ops.calls().len(), 0);
    assert_eq!(send(&[("Mcp-Method", "tools/call"), ("Mcp-Name", "read_ticket")]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t112_an_elevation_of_another_caller_is_as_unknown_as_none() {
    let world = World::new().await;
    let (bot, spy) = (world.session("bot").await, world.session("spy").await);
    let id = bot.call("deploy", deploy("1")).await.elevation();
    let none = "elv_00000000000000000000000000";
    let key = format!("Bearer {}", world.key("spy"));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    for (method, body) in [("GET", ""), ("POST", r#"{"purpose":"mine"}"#), ("DELETE", "")] {
        let stolen = world.request(method, &format!("/v1/elevations/{id}"), &headers, body).await;
        let unknown = world.request(method, &format!("/v1/elevations/{none}"), &headers, body).await;
        assert_eq!((stolen.status, stolen.slug().as_str()), (404, "elevation_unknown"), "{method}");
        assert_eq!(stolen.body, unknown.body, "{method}");
    }
    world.approve(&id).await;
    for tool in ["stepup_run", "stepup_status"] {
        let stolen = spy.call(tool, json!({"elevation": id})).await;
        let unknown = spy.call(tool, json!({"elevation": none})).await;
        assert_eq!(stolen.slug(), "elevation_unknown");
        assert_eq!(stolen.body, unknown.body);
    }
    // The same call of another caller is another access.
    assert_ne!(spy.call("deploy", deploy("1")).await.elevation(), id);
    assert_eq!(world.ops.count("deploy"), 0);
    assert_eq!(bot.call("stepup_run", json!({"elevation": id})).await.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_looks_at_its_elevation_says_why_and_takes_it_back() {
    let world = World::new().await;
    let bot = world.session("bot").await;
    let challenge = bot.call("restore", json!({"target": "db"})).await.challenge();
    let id = challenge["elevation"].as_str().unwrap();
    let path = challenge["status_url"]
        .as_str()
        .unwrap()
        .strip_prefix(&format!("http://{}", world.at))
        .unwrap()
        .to_owned();
    let key = format!("Bearer {}", world.key("bot"));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    let seen = world.request("GET", &path, &headers, "").await.json();
    assert_eq!((&seen["state"], &seen["spendable"]), (&json!("pending"), &json!(false)));
    for (body, slug) in [
        (r#"{"purpose":"a","purpose":"b"}"#, "duplicate_key"),
        (r#"{"purpose":7}"#, "arguments_invalid"),
        (r#"{"approved":true}"#, "request_invalid"),
        ("[]", "request_invalid"),
    ] {
        assert_eq!(world.request("POST", &path, &headers, body).await.slug(), slug, "{body}");
    }
    let said = world
        .request("POST", &path, &headers, r#"{"purpose":"the disk died","ticket":"OPS-7"}"#)
        .await
        .json();
    let have: Vec<_> =
        said["requirement"].as_array().unwrap().iter().map(|line| line["have"].clone()).collect();
    assert_eq!(have.iter().filter(|have| **have == json!(1)).count(), 2, "{said}");
    assert_eq!(world.request("GET", &format!("{path}?wait=x"), &headers, "").await.slug(), "request_invalid");
    assert_eq!(world.request("DELETE", &path, &headers, "").await.status, 204);
    let seen = world.request("GET", &path, &headers, "").await.json();
    assert_eq!(seen["state"], "withdrawn");
    assert_eq!(bot.call("stepup_run", json!({"elevation": id})).await.slug(), "withdrawn");
}
