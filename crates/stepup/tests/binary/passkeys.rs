//! A passkey that was lost is revoked by the operator, whatever became of its person's others.

use aws_lc_rs::rand::SystemRandom;
use passkey::SoftAuthenticator;
use serde_json::{Value, json};
use terms::hash::{b64url, from_b64url};

use crate::world::{Home, exchange};

/// Uses an invitation, as a browser with an authenticator would.
fn enrol(home: &Home, name: &str) {
    let link = home.tells(&["human", "invite", name])["link"].as_str().unwrap().to_owned();
    let origin = format!("http://localhost:{}", home.people);
    let page = link.strip_prefix(&origin).unwrap();
    let post = |path: &str, body: &Value| -> Value {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost:{}\r\norigin: {origin}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            home.people,
            body.len()
        );
        let (status, _, body) = exchange(home.people, &request).unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap_or(Value::Null)
    };
    let begun = post(&format!("{page}/ceremony"), &json!({}));
    let challenge = from_b64url(begun["publicKey"]["challenge"].as_str().unwrap()).unwrap();
    let authenticator = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
    let made = authenticator.create("localhost", &origin, &challenge).unwrap();
    let attestation = renamed(made.attestation_object);
    let made = json!({
        "nonce": begun["nonce"], "clientDataJSON": b64url(&made.client_data_json),
        "attestationObject": b64url(&attestation),
    });
    post(page, &made);
}

/// The software authenticator under another name than that of the demo's, which a real store refuses.
fn renamed(mut attestation: Vec<u8>) -> Vec<u8> {
    let demo = passkey::DEMO_AAGUID.0;
    let at = attestation.windows(demo.len()).position(|bytes| bytes == demo).unwrap();
    attestation[at..at + demo.len()].copy_from_slice(b"a test's own key");
    attestation
}

#[test]
fn a_lost_passkey_is_listed_and_revoked_and_after_the_last_one_it_says_what_to_do() {
    let home = Home::new();
    let server = home.serve();
    let first = home.does(&["human", "invite", "hal"]);
    assert!(!first.contains("are over"), "{first}");
    assert!(home.does(&["human", "passkeys", "hal"]).contains("stepup human invite hal"));
    enrol(&home, "hal");
    enrol(&home, "hal");
    let listed = home.tells(&["human", "passkeys", "hal"]);
    let ids: Vec<&str> =
        listed["passkeys"].as_array().unwrap().iter().map(|p| p["passkey"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    let text = home.does(&["human", "passkeys", "hal"]);
    assert!(text.starts_with("PASSKEY") && text.contains(&ids[0][..12]), "{text}");
    assert_eq!(listed["passkeys"][0]["signs_from"], Value::Null);
    let day = |one: &Value| one["signs_from"].as_i64().unwrap() - one["enrolled_at"].as_i64().unwrap();
    assert_eq!(day(&listed["passkeys"][1]), 24 * 3600 * 1000);
    let signs: Vec<bool> = text.lines().skip(1).map(|line| line.trim_end().ends_with("yes")).collect();
    assert_eq!(signs, [true, false], "{text}");
    let third = home.does(&["human", "invite", "hal"]);
    assert!(third.contains("Earlier invitations of hal are over.") && third.contains("24 hours"), "{third}");

    home.does(&["human", "invite", "ann"]);
    home.run(&["human", "revoke-passkey", "ann", ids[0]]).failed(1, &["no passkey"]);
    home.run(&["human", "revoke-passkey", "hal", "-x"]).failed(1, &["-x", "`stepup human passkeys NAME`"]);
    home.run(&["human", "revoke-passkey", "eve", ids[0]]).failed(1, &["eve", "`stepup human list`"]);

    let first = home.does(&["human", "revoke-passkey", "--why", "left in a taxi", "hal", &ids[0][..12]]);
    assert!(!first.contains("invite"), "{first}");
    assert_eq!(home.tells(&["human", "passkeys", "hal"])["passkeys"][0]["passkey"], ids[1]);
    home.run(&["human", "revoke-passkey", "hal", ids[0]]).failed(1, &["no passkey"]);
    let last = home.does(&["human", "revoke-passkey", "hal", ids[1]]);
    assert!(last.contains("stepup human invite hal"), "{last}");
    let again = home.does(&["human", "invite", "hal"]);
    assert!(again.contains("are over") && !again.contains("24 hours"), "{again}");
    assert_eq!(home.tells(&["human", "list"])["humans"][1]["passkeys"], 0);
    let tail = home.tells(&["log", "tail", "-n", "1000"]);
    let revoked = tail["records"].as_array().unwrap().iter().filter(|r| r["kind"] == "passkey_revoked");
    let said: Vec<String> =
        revoked.map(|r| home.does(&["log", "show", r["record"].as_str().unwrap()])).collect();
    assert!(said[0].contains("left in a taxi") && said[1].contains("on the command line"), "{said:?}");
    enrol(&home, "hal");
    assert_eq!(home.tells(&["human", "list"])["humans"][1]["passkeys"], 1);
    drop(server);
    home.verifies();
}

#[test]
fn who_is_disabled_is_not_said_to_be_missing() {
    let home = Home::new();
    home.does(&["human", "invite", "hal"]);
    home.does(&["human", "disable", "hal"]);
    let said = home.run(&["human", "invite", "hal", "--group", "ops"]);
    let said = said.failed(1, &["hal is disabled for good", "under another name"]);
    assert!(!said.contains("there is no"), "{said}");
}
