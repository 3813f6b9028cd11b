//! What a request to an API touches, by its arguments and by what is answered (rfd 38).

use authority::ToolSettings;
use terms::{Touch, Touched};

use crate::apis::world_where;
use crate::world::World;

fn touches(name: &str) -> ToolSettings {
    let from = match name {
        "search" | "odd" => "/result/at",
        "transfer" => "/arguments/body/to",
        _ => return ToolSettings::default(),
    };
    let touch = Touch { kind: "page".to_owned(), from: from.parse().unwrap(), first: false };
    ToolSettings { touches: vec![touch], ..ToolSettings::default() }
}

/// The keys of what was touched that is this page or may be it.
async fn touched(world: &World, key: &str) -> Vec<Option<String>> {
    let page = Touched { kind: "page".to_owned(), key: Some(key.to_owned()) };
    let touchers = world.authority.store().touchers(vec![page]).await.unwrap();
    touchers.into_iter().map(|toucher| toucher.touched.key).collect()
}

const PAGE: &str = "/api/search/17";

#[tokio::test]
async fn a14_what_an_answer_names_is_known_to_be_prepared_when_its_sender_has_the_answer() {
    let (world, crm) = world_where(|_| {}, touches).await;
    let transfer = format!(r#"{{"to":"{PAGE}","amount":1}}"#);
    let refused = world.post("/accounts/7/transfers", &transfer).await;
    assert_eq!((refused.status, refused.slug()), (403, "preparer_unknown".to_owned()));
    assert!(crm.arrived().is_empty());
    assert_eq!(world.get("/search/17").await.status, 200);
    assert_eq!(touched(&world, PAGE).await, [Some(PAGE.to_owned())]);
    assert_eq!(world.post("/accounts/7/transfers", &transfer).await.status, 401, "people can be asked now");
    assert_eq!(touched(&world, "/api/search/18").await, [], "and of no other page");
}

#[tokio::test]
async fn a14_an_answer_that_nobody_can_read_may_have_named_anything() {
    for (how, status, any) in [
        ("big", 200, true),
        ("chunks", 200, true),
        ("half", 502, true),
        ("refuses", 422, false),
        ("fails", 500, true),
    ] {
        let (world, _crm) = world_where(|_| {}, touches).await;
        assert_eq!(world.get(&format!("/odd/{how}")).await.status, status, "{how}");
        world.authority.drain(terms::Millis::seconds(5)).await;
        let found = touched(&world, PAGE).await;
        assert_eq!(found, if any { vec![None] } else { vec![] }, "{how}");
    }
}
