//! Prompts and resources pass the same decision as tools: pinned or named, judged, stepped up, granted once.

use std::collections::BTreeSet;

use authority::{Ask, NotCounted, Observed, Resources, Stated, reads};
use terms::access::Resource;
use terms::{Access, Json, Kind, Secrets, Slug};

use crate::world::{RULES, World, bundle_of, challenged, definitions, denied, json, permitted, settings};

const MORE: &str = r#"
@id("read") permit (principal in Group::"ops-agents", action in [Action::"resources/read", Action::"prompts/get"], resource);
@id("docs") @stepup("release") forbid (principal, action == Action::"resources/read", resource)
unless { resource.uri like "file:///docs/*" };
@id("brief") @stepup("release") forbid (principal, action == Action::"prompts/get:ops/brief", resource)
unless { context.arguments has topic && context.arguments.topic == "weather" };
@id("unseen") forbid (principal, action == Action::"discover", resource is Resource) when { resource.uri like "*secret*" };
"#;

fn prompt(name: &str, description: &str) -> Json {
    json(&format!(r#"{{"name":"{name}","description":"{description}","arguments":[{{"name":"topic"}}]}}"#))
}

fn stated(prompts: Vec<Json>) -> Stated {
    Stated { tools: definitions(), prompts: Some(prompts) }
}

async fn world() -> World {
    let world = World::with(settings(), &bundle_of(&format!("{RULES}{MORE}"))).await;
    // The upstream's tools were pinned before it had prompts.
    world.authority().observe("ops", stated(vec![prompt("brief", "Briefs.")])).await.unwrap();
    accept(&world, "brief").await.unwrap();
    world
}

async fn accept(world: &World, name: &str) -> Result<(), NotCounted> {
    let pin = world.authority().active().target(Kind::Prompt, "ops", name).unwrap().pin.id;
    let human = world.id("ann");
    let begun = world.authority().begin_accept(pin, human).await.unwrap()?;
    world.authority().accept(pin, human, &world.sign(&begun, "ann")).await.unwrap()
}

fn ask(world: &World, kind: Kind, name: &str, action: &str, arguments: Json) -> Ask {
    let target = world.authority().active().target(kind, "ops", name).unwrap();
    let upstream = world.authority().upstream("ops").unwrap().identity;
    let resource =
        Resource { kind: kind.name().to_owned(), id: target.id(), definition: target.pin.digest, upstream };
    let key = world.authority().seal_key();
    let caller = world.bot();
    let (access, _) = Access::new(caller.subject(), action, resource, arguments, &[], key).unwrap();
    let source = "10.0.0.1".to_owned();
    let (purpose, ticket, once) = (None, None, None);
    Ask { caller, access, secrets: Secrets::default(), source, purpose, ticket, once }
}

fn read(world: &World, uri: &str) -> Ask {
    ask(world, Kind::Resource, uri, "resources/read", Json::Object(reads(uri)))
}

fn get(world: &World, topic: &str) -> Ask {
    ask(world, Kind::Prompt, "brief", "prompts/get", Json::object([("topic", topic)]))
}

#[tokio::test]
async fn t01_rules_of_tools_alone_let_nobody_read_or_get() {
    let world = World::new().await;
    let read = read(&world, "file:///docs/a");
    assert_eq!(denied(world.authority().decide(&read).await.unwrap()).slug, Slug::PolicyDenied);
    world.verified().await;
}

#[tokio::test]
async fn a_read_is_permitted_challenged_approved_and_run_once_for_exactly_its_uri() {
    let world = world().await;
    let decide = async |uri: &str| world.authority().decide(&read(&world, uri)).await.unwrap();
    world.run(permitted(decide("file:///docs/a").await)).await;
    let challenge = challenged(decide("file:///etc/hosts").await);
    let human = world.id("ann");
    let whole = world.authority().store().elevation(challenge.elevation).await.unwrap().unwrap();
    let card = world.authority().show(&whole, human).await.unwrap().unwrap().card;
    assert_eq!(card.title, "Read file:///etc/hosts on ops");
    assert_eq!(card.fields.iter().map(|f| f.label.as_str()).collect::<Vec<_>>(), ["uri"]);
    assert!(card.unusual.iter().all(|u| !u.says().contains("tool")), "{:?}", card.unusual);
    world.approve(challenge.elevation, "ann").await.unwrap();
    challenged(decide("file:///etc/hosts.allow").await);
    world.run(permitted(decide("file:///etc/hosts").await)).await;
    challenged(decide("file:///etc/hosts").await);
    world.verified().await;
}

#[tokio::test]
async fn a_prompt_is_stepped_up_by_its_arguments() {
    let world = world().await;
    let decide = async |topic: &str| world.authority().decide(&get(&world, topic)).await.unwrap();
    world.run(permitted(decide("weather").await)).await;
    let challenge = challenged(decide("war").await);
    world.approve(challenge.elevation, "ann").await.unwrap();
    challenged(decide("peace").await);
    world.run(permitted(decide("war").await)).await;
    world.verified().await;
}

#[tokio::test]
async fn what_is_read_is_the_uri_that_was_judged() {
    let world = world().await;
    let other = |uri: &str, arguments: Json| ask(&world, Kind::Resource, uri, "resources/read", arguments);
    for ask in [
        other("file:///docs/a", Json::Object(reads("file:///etc/passwd"))),
        other("file:///docs/a", Json::object::<&str, Json>([])),
        other("file:///docs/a", json(r#"{"uri":"file:///docs/a","more":1}"#)),
        other("file:///docs/{a}", Json::Object(reads("file:///docs/{a}"))),
    ] {
        assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::ResourceUnknown);
    }
    let active = world.authority().active();
    assert!(active.target(Kind::Resource, "ops", "file:///docs/../etc/passwd").is_none());
    world.verified().await;
}

#[tokio::test]
async fn no_action_reaches_what_it_is_not_done_to() {
    let world = world().await;
    for (kind, name, action) in [
        (Kind::Prompt, "brief", "tools/call"),
        (Kind::Prompt, "brief", "resources/read"),
        (Kind::Tool, "read_ticket", "prompts/get"),
        (Kind::Tool, "read_ticket", "completion/complete"),
        (Kind::Resource, "file:///docs/a", "tools/call"),
        (Kind::Resource, "file:///docs/a", "resources/unsubscribe"),
        (Kind::Prompt, "brief", "resources/subscribe"),
    ] {
        let ask = ask(&world, kind, name, action, json("{}"));
        let denial = denied(world.authority().decide(&ask).await.unwrap());
        assert_eq!(denial.slug, authority::unknown(kind), "{action}");
    }
    world.verified().await;
}

#[tokio::test]
async fn t18_a_prompt_that_is_new_or_has_changed_is_stopped_until_a_person_signs_for_it() {
    let world = world().await;
    let before = get(&world, "weather");
    let challenge = challenged(world.authority().decide(&get(&world, "war")).await.unwrap());
    world.approve(challenge.elevation, "ann").await.unwrap();
    let approved = get(&world, "war");
    let changed = vec![prompt("brief", "Briefs, and more."), prompt("fresh", "New.")];
    let observed = world.authority().observe("ops", stated(changed)).await.unwrap();
    assert_eq!(observed.quarantined, ["brief", "fresh"]);
    for ask in [&before, &approved] {
        assert_eq!(denied(world.authority().decide(ask).await.unwrap()).slug, Slug::ToolQuarantined);
    }
    accept(&world, "brief").await.unwrap();
    assert_eq!(denied(world.authority().decide(&approved).await.unwrap()).slug, Slug::ToolQuarantined);
    challenged(world.authority().decide(&get(&world, "war")).await.unwrap());
    // Of an upstream that cannot be asked for its prompts, those that are pinned stay.
    assert_eq!(world.authority().observe("ops", definitions()).await.unwrap(), Observed::default());
    world.run(permitted(world.authority().decide(&get(&world, "weather")).await.unwrap())).await;
    let observed = world.authority().observe("ops", stated(Vec::new())).await.unwrap();
    assert_eq!(observed.gone, ["brief", "fresh"]);
    assert_eq!(denied(world.authority().decide(&before).await.unwrap()).slug, Slug::PromptUnknown);
    world.verified().await;
}

#[tokio::test]
async fn a_tool_and_a_prompt_of_one_name_are_two() {
    let world = world().await;
    let prompts = vec![prompt("brief", "Briefs."), prompt("read_ticket", "Of a ticket.")];
    let observed = world.authority().observe("ops", stated(prompts)).await.unwrap();
    assert_eq!(observed.quarantined, ["read_ticket"]);
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test]
async fn an_upstream_that_is_another_one_now_is_not_read() {
    let world = world().await;
    let ask = read(&world, "file:///docs/a");
    let identity = terms::UpstreamHash::of(&Json::from("another program"));
    world.authority().attach(authority::Upstream { name: "ops".to_owned(), identity });
    assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::ToolQuarantined);
    world.verified().await;
}

#[tokio::test]
async fn resources_that_a_caller_may_not_know_of_are_not_listed() {
    let world = world().await;
    let bot = world.bot();
    let uris = ["file:///a", "file:///b", "file:///secret", "file:///z", "not a uri"].map(str::to_owned);
    let uris = BTreeSet::from(uris);
    let page = async |after: Option<&str>| {
        let named = (Resources::Named, uris.iter());
        world.authority().list_uris(&bot, "ops", named, after, 2).await.unwrap().unwrap()
    };
    let first = page(None).await;
    assert_eq!((first.uris, first.more), (vec!["file:///a".to_owned(), "file:///b".to_owned()], true));
    let second = page(Some("file:///b")).await;
    assert_eq!((second.uris, second.more), (vec!["file:///z".to_owned()], false));
    let listed = world.bodies("listed").await;
    assert!(listed.iter().all(|body| body.get("what").and_then(Json::as_str) == Some("resources")));
    assert_eq!(listed.len(), 2);
    world.verified().await;
}
