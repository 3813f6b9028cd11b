//! What we authenticate with at an upstream (T26): it goes there and nowhere else, and with a call only once that is
//! permitted.

use serde_json::json;
use upstream::{Credential, Http, Transport};

use crate::world::{RULES, World, deploy};

const CANARY: &str = "canary-6f1d";

#[tokio::test(flavor = "multi_thread")]
async fn t26_a_credential_reaches_its_upstream_and_no_answer_and_no_record() {
    let world = World::configured(
        RULES,
        |_| {},
        |config| {
            let Transport::Http(Http { credential, .. }) = &mut config.transport else { panic!() };
            let value = terms::Secret::new(format!("Bearer {CANARY}"));
            *credential = Some(Credential { header: "authorization".to_owned(), value });
        },
    )
    .await;
    let bot = world.session("bot").await;
    let mut told = Vec::new();
    for (tool, arguments) in
        [("destroy", json!({})), ("deploy", deploy("1")), ("hidden", json!({"id": 1})), ("none", json!({}))]
    {
        told.push(bot.call(tool, arguments).await);
    }
    assert_eq!(world.ops.calls().len(), 0);
    assert!(!world.ops.everything().contains("tools/call"), "of what is not permitted nothing is sent");
    let id = told[1].elevation();
    world.approve(&id).await;
    for (tool, arguments) in [
        ("deploy", deploy("1")),
        ("read_ticket", json!({"id": 1})),
        ("errs", json!({})),
        ("die", json!({})),
        ("stepup_status", json!({"elevation": id})),
    ] {
        told.push(bot.call(tool, arguments).await);
    }
    for method in ["tools/list", "prompts/list", "resources/list", "ping", "none"] {
        told.push(bot.request(method, json!({})).await);
    }
    assert!(world.ops.everything().contains(CANARY), "it is what the upstream is told");
    assert!(!world.ops.everything().contains(&world.key("bot")), "and never what its caller told us");
    let stopped = bot.call("deploy", deploy("2")).await.elevation();
    let card = world.authority.begin_consent(stopped.parse().unwrap(), world.ann).await.unwrap();
    world.ops.stop();
    told.push(bot.call("read_ticket", json!({"id": 1})).await);
    for reply in &told {
        assert!(!format!("{reply:?}").contains(CANARY), "{reply:?}");
    }
    let lines = world.authority.store().records(0, 10_000).await.unwrap();
    assert!(lines.len() > 10 && !format!("{lines:?}").contains(CANARY));
    assert!(!format!("{card:?}").contains(CANARY));
}
