//! What upstreams say of themselves is a claim: new and changed definitions are stopped until a person accepts.

use authority::{NotCounted, Upstream};
use terms::{Json, Slug, UpstreamHash};

use crate::world::{RULES, World, bundle, bundle_of, definition, definitions, denied, deploy, settings};

fn with(changed: Json) -> Vec<Json> {
    let name = changed.get("name").cloned();
    let others = definitions().into_iter().filter(|d| d.get("name") != name.as_ref());
    others.chain([changed.clone()]).collect()
}

async fn accept(world: &World, tool: &str, name: &str) -> Result<(), NotCounted> {
    let pin = world.authority().active().tool("ops", tool).unwrap().pin.id;
    let human = world.id(name);
    let begun = world.authority().begin_accept(pin, human).await.unwrap()?;
    world.authority().accept(pin, human, &world.sign(&begun, name)).await.unwrap()
}

#[tokio::test]
async fn a_changed_definition_is_stopped_until_a_person_signs_for_it() {
    let world = World::new().await;
    let before = world.ask("read_ticket", "{}");
    let changed = definition("read_ticket", r#"{"id":{"type":"integer"},"also":{"type":"string"}}"#);
    let observed = world.authority().observe("ops", with(changed)).await.unwrap();
    assert_eq!(observed.quarantined, ["read_ticket"]);
    assert_eq!(denied(world.authority().decide(&before).await.unwrap()).slug, Slug::ToolQuarantined);
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::ToolQuarantined);
    accept(&world, "read_ticket", "ann").await.unwrap();
    assert_eq!(denied(world.authority().decide(&before).await.unwrap()).slug, Slug::ToolQuarantined);
    world.run(world.permitted("read_ticket", "{}").await).await;
    assert_eq!(accept(&world, "read_ticket", "ann").await, Err(NotCounted::NotFound));
    world.verified().await;
}

#[tokio::test]
async fn a_grant_for_one_definition_is_none_for_the_next() {
    let world = World::new().await;
    let challenge = world.challenged("deploy", &deploy("1")).await;
    world.approve(challenge.elevation, "ann").await.unwrap();
    let pending = world.challenged("deploy", &deploy("2")).await.elevation;
    let begun = world.begin(pending, "ann").await.unwrap();
    let changed = definition("deploy", r#"{"environment":{"type":"string"},"version":{"type":"string"}}"#);
    world.authority().observe("ops", with(changed)).await.unwrap();
    let voted = world.vote(pending, "ann", &world.sign(&begun, "ann")).await;
    assert_eq!(voted, Err(NotCounted::Over("its tool has changed")));
    accept(&world, "deploy", "ann").await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    world.verified().await;
}

#[tokio::test]
async fn an_upstream_that_is_another_one_now_is_not_called() {
    let world = World::new().await;
    let ask = world.ask("read_ticket", "{}");
    let other = UpstreamHash::of(&Json::from("another program"));
    world.authority().attach(Upstream { name: "ops".to_owned(), identity: other });
    assert_eq!(denied(world.authority().decide(&ask).await.unwrap()).slug, Slug::ToolQuarantined);
    world.verified().await;
}

#[tokio::test]
async fn new_tools_are_stopped_and_missing_ones_are_gone() {
    let world = World::new().await;
    let mut later: Vec<Json> = definitions().into_iter().skip(1).collect();
    later.push(definition("fresh", "{}"));
    let observed = world.authority().observe("ops", later.clone()).await.unwrap();
    assert_eq!(
        (observed.quarantined, observed.gone),
        (vec!["fresh".to_owned()], vec!["read_ticket".to_owned()])
    );
    assert_eq!(world.denied("fresh", "{}").await.slug, Slug::ToolQuarantined);
    assert_eq!(world.denied("read_ticket", "{}").await.slug, Slug::ToolUnknown);
    let again = world.authority().observe("ops", later).await.unwrap();
    assert_eq!(again, authority::Observed::default());
    let back = world.authority().observe("ops", definitions()).await.unwrap();
    assert_eq!(back.quarantined, ["read_ticket"]); // it was gone: nobody knows what came back
    world.verified().await;
}

#[tokio::test]
async fn a_refused_definition_stays_refused() {
    let world = World::new().await;
    let changed = with(definition("deploy", "{}"));
    world.authority().observe("ops", changed.clone()).await.unwrap();
    let pin = world.authority().active().tool("ops", "deploy").unwrap().pin.id;
    world.authority().refuse(pin, "ann".to_owned()).await.unwrap().unwrap();
    assert_eq!(world.authority().observe("ops", changed).await.unwrap(), authority::Observed::default());
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::ToolQuarantined);
    assert_eq!(accept(&world, "deploy", "ann").await, Err(NotCounted::NotFound));
    world.verified().await;
}

#[tokio::test]
async fn a_signature_accepts_the_definition_that_was_shown_and_no_later_one() {
    let world = World::new().await;
    world.authority().observe("ops", with(definition("deploy", "{}"))).await.unwrap();
    let shown = world.authority().active().tool("ops", "deploy").unwrap().pin.id;
    let ann = world.id("ann");
    let begun = world.authority().begin_accept(shown, ann).await.unwrap().unwrap();
    world.authority().observe("ops", with(definition("deploy", r#"{"x":{"type":"string"}}"#))).await.unwrap();
    let later = world.authority().active().tool("ops", "deploy").unwrap().pin.id;
    let signed = world.sign(&begun, "ann");
    assert_eq!(world.authority().accept(later, ann, &signed).await.unwrap(), Err(NotCounted::CeremonyOver));
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::ToolQuarantined);
    world.verified().await;
}

#[tokio::test]
async fn a_page_from_before_a_definition_was_refused_or_gone_does_not_accept_it() {
    let world = World::new().await;
    let ann = world.id("ann");
    let changed = with(definition("deploy", "{}"));
    world.authority().observe("ops", changed.clone()).await.unwrap();
    let pin = world.authority().active().tool("ops", "deploy").unwrap().pin.id;
    let before_refused = world.authority().begin_accept(pin, ann).await.unwrap().unwrap();
    let before_gone = world.authority().begin_accept(pin, ann).await.unwrap().unwrap();
    let accept = async |begun| {
        let signed = world.sign(&begun, "ann");
        world.authority().accept(pin, ann, &signed).await.unwrap()
    };
    world.authority().refuse(pin, "ben".to_owned()).await.unwrap().unwrap();
    assert_eq!(accept(before_refused).await, Err(NotCounted::CeremonyOver));
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::ToolQuarantined);
    world.authority().observe("ops", Vec::new()).await.unwrap();
    assert_eq!(accept(before_gone).await, Err(NotCounted::CeremonyOver));
    world.verified().await;
}

#[tokio::test]
async fn one_name_with_two_definitions_is_stopped() {
    let world = World::new().await;
    let twice = vec![definition("same", "{}"), definition("same", r#"{"x":{"type":"string"}}"#)];
    for _ in 0..3 {
        world.authority().observe("other", twice.clone()).await.unwrap();
        assert_eq!(world.authority().active().tool("other", "same").unwrap().state(), "quarantined");
    }
    assert_eq!(world.bodies("quarantined").await.len(), 0); // looking again says nothing new
    world.verified().await;
}

fn described(text: &str, properties: &str) -> Json {
    let mut tool = definition("deploy", properties);
    if let Json::Object(members) = &mut tool {
        members.insert("description", Json::from(text));
    }
    tool
}

#[tokio::test]
async fn where_the_operator_says_so_a_new_description_only_warns_but_never_lets_out_what_is_stopped() {
    let mut warns = bundle();
    warns.upstreams.get_mut("ops").unwrap().pins_warn = true;
    let world = World::with(settings(), &warns).await;
    let properties = r#"{"environment":{"type":"string"},"version":{"type":"string"},"artifact":{"type":"string"},
        "replicas":{"type":"integer","default":3}}"#;
    world.authority().observe("ops", with(described("deploys, today", properties))).await.unwrap();
    world.challenged("deploy", &deploy("1")).await;
    let observed = world.authority().observe("ops", with(described("deploys", "{}"))).await.unwrap();
    assert_eq!(observed.quarantined, ["deploy"]);
    world.authority().observe("ops", with(described("deploys!", "{}"))).await.unwrap();
    assert_eq!(world.denied("deploy", &deploy("1")).await.slug, Slug::ToolQuarantined);
    world.verified().await;
}

#[tokio::test]
async fn a_review_is_of_one_definition() {
    let unreviewed = r#"@id("unreviewed") @stepup("release")
        forbid (principal, action in Action::"tools/call", resource)
        unless { resource.reviewedReadOnly || resource.ruled };"#;
    let world = World::with(settings(), &bundle_of(&format!("{RULES}{unreviewed}"))).await;
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.authority().observe("ops", with(definition("read_ticket", "{}"))).await.unwrap();
    accept(&world, "read_ticket", "ann").await.unwrap();
    world.challenged("read_ticket", "{}").await; // accepted, but not as read-only
    world.pass(1);
    let same = bundle_of(&format!("{RULES}{unreviewed}"));
    // A restart, or a file that is saved as it was, says nothing of what was accepted meanwhile. An operator does.
    assert_eq!(
        world.authority().activate(&same, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Already
    );
    world.challenged("read_ticket", "{}").await;
    assert_eq!(
        world.authority().activate_anew(&same, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    assert_eq!(
        world.authority().activate_anew(&same, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Already
    );
    world.run(world.permitted("read_ticket", "{}").await).await;
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_contact_is_once() {
    let world = World::new().await;
    let look = || world.authority().observe("other", vec![definition("tool", "{}")]);
    let (one, two) = tokio::join!(look(), look());
    assert_eq!(one.unwrap().pinned + two.unwrap().pinned, 1);
    world.verified().await;
}

#[tokio::test]
async fn a_review_that_is_said_anew_names_its_tools_to_whoever_approves_it() {
    let guard = r#"@id("guard") @stepup("release")
        forbid (principal, action == Action::"administer", resource == Installation::"stepup/policy");"#;
    let rules = bundle_of(&format!("{RULES}{guard}"));
    let world = World::with(settings(), &rules).await;
    let by = authority::By::account(1000);
    let authority::Added::Done(_) = world.authority().own_account("olga", 1000, &by).await.unwrap() else {
        panic!()
    };
    world.authority().observe("ops", with(definition("read_ticket", "{}"))).await.unwrap();
    accept(&world, "read_ticket", "ann").await.unwrap();
    world.pass(1);
    let activated = world.authority().activate_anew(&rules, &by).await.unwrap();
    let authority::Activated::Stopped(authority::Stopped::Asked(asked)) = activated else {
        panic!("{activated:?}")
    };
    let (_, card, _) =
        world.authority().begin_consent(asked.elevation, world.id("ann")).await.unwrap().unwrap();
    let named = card.fields.iter().find(|field| field.label.starts_with("reviewed_anew"));
    assert!(named.is_some_and(|field| field.value.contains("ops/read_ticket")), "{:?}", card.fields);
    world.approve(asked.elevation, "ann").await.unwrap();
    assert_eq!(world.authority().activate_anew(&rules, &by).await.unwrap(), authority::Activated::Done);
    world.verified().await;
}

#[tokio::test]
async fn a_request_whose_upstream_was_not_reached_yet_is_not_said_to_be_over() {
    let mut world = World::new().await;
    let id = world.challenged("deploy", &deploy("1")).await.elevation;
    let ann = world.id("ann");
    world.settled().await;
    let not_reached = {
        let started = world.looked_at(|| ()).await;
        let whole = started.store().elevation(id).await.unwrap().unwrap();
        started.show(&whole, ann).await.unwrap().unwrap().can
    };
    assert_eq!(not_reached.unwrap_err(), NotCounted::NotReached.to_string());
    world.crash(|| ()).await;
    world.approve(id, "ann").await.unwrap();
    world.verified().await;
}
