//! An upstream beside one that does what none should (T30; F38).

use elevation::Outcome;
use terms::Millis;
use upstream::{Along, Config, forward};

use crate::world::{SOON, World, hostile, none, session};

/// What the hostile one does, by the name of its tool.
const DOES: [&str; 9] =
    ["endless", "silent", "dies", "twice", "foreign", "floods", "garbage", "deaf", "drowns"];

#[tokio::test(flavor = "multi_thread")]
async fn t30_an_upstream_beside_a_hostile_one_answers_whatever_that_does() {
    let well = Config { name: "well".to_owned(), ..hostile(&[]) };
    let world = World::new(vec![hostile(&[]), well]).await;
    world.pin_all("ops").await;
    world.pin_all("well").await;
    let beside = async || {
        for _ in 0..5 {
            let link = world.upstreams.link("well", session(1)).await.unwrap();
            let permit = world.permit("well", "counts", none()).await;
            assert_eq!(forward(permit, &link, Along::default(), SOON).await.outcome, Outcome::Done);
        }
        world.upstreams.link("well", session(1)).await.unwrap()
    };
    let first = beside().await;
    for (n, tool) in (1..).zip(DOES) {
        let (_, link) = tokio::join!(world.call_in(n, tool, none(), Millis::new(1500)), beside());
        assert!(std::sync::Arc::ptr_eq(&first, &link), "{tool}: its child is the same as ever");
    }
    assert_eq!(world.upstreams.dropped("well"), Some(0));
}
