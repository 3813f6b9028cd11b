//! Why: a person may ask what a caller's call would need, and reads which rules stopped a request; nobody else does, and nothing
//! comes of it.

use http::StatusCode;

use crate::world::{Browser, World, json};

/// The address that asks about a tool of `bot`.
fn asking(world: &World, tool: &str, arguments: &str) -> String {
    let pin = world.authority.active().tool("ops", tool).unwrap().pin.id;
    let arguments: String = arguments.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/explain?caller={}&of={pin}&uri=&arguments={arguments}", world.bot().id)
}

async fn text(browser: &Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.text
}

#[tokio::test]
async fn an_owner_reads_what_a_call_would_need_of_whom_and_by_which_rule() {
    let (world, people) = World::new().await;
    for name in ["olga", "mia"] {
        let says = text(&people[name], &asking(&world, "deploy", r#"{"version":"1"}"#)).await;
        for part in [
            "It takes more first: release.",
            "1 approval from managers",
            "could give it: <bdi>ann, ben</bdi>",
            "rules.cedar:6",
            "@stepup(&quot;release&quot;)",
            "once, within 5 minutes, only this exact call",
        ] {
            assert!(says.contains(part), "{name}: {part} in {says}");
        }
        assert!(!says.contains("@id(&quot;scale&quot;)"), "no other rule");
    }
    let olga = &people["olga"];
    assert!(text(olga, &asking(&world, "read_ticket", "{}")).await.contains("Permitted as it is."));
    let read = format!("/explain?caller={}&uri=ops%2Ffile%3A%2F%2F%2Fa", world.bot().id);
    assert!(text(olga, &read).await.contains("Denied: no rule permits it."));
    for (arguments, says) in [("{", "the arguments are not JSON"), ("[]", "no JSON object")] {
        assert!(text(olga, &asking(&world, "deploy", arguments)).await.contains(says), "{arguments}");
    }
    let none = format!("/explain?caller={}&uri=file", world.bot().id);
    assert!(text(olga, &none).await.contains("a resource is written UPSTREAM/URI"));
    let subject = authority::LockSubject::Caller(world.bot().id);
    world.authority.lock(subject, "test".to_owned(), "test".to_owned(), None).await.unwrap();
    assert!(
        text(olga, &asking(&world, "read_ticket", "{}")).await.contains("Nothing runs: a lock stops it.")
    );
}

#[tokio::test]
async fn arguments_that_its_caller_could_not_send_are_said_to_be_none_before_what_rules_say() {
    let (world, people) = World::new().await;
    let olga = &people["olga"];
    let wrong = text(olga, &asking(&world, "scale", r#"{"n":"three"}"#)).await;
    for part in [
        "its caller is told arguments_invalid",
        "/n: the value is not of type",
        "Were they taken, the rules would say:",
    ] {
        assert!(wrong.contains(part), "{part} in {wrong}");
    }
    let right = text(olga, &asking(&world, "scale", r#"{"n":3}"#)).await;
    assert!(!right.contains("arguments_invalid") && right.contains("It takes more first: solo."), "{right}");
}

#[tokio::test]
async fn a_caller_of_others_is_asked_about_as_one_that_never_was() {
    let (world, people) = World::new().await;
    let real = asking(&world, "deploy", "{}");
    let bot = world.bot().id.to_string();
    for name in ["ann", "dave"] {
        let nothing = people[name].get("/nowhere").await;
        for path in [&real, &real.replace(&bot, "clr_00000000000000000000000000"), &real.replace(&bot, "x")] {
            let answer = people[name].get(path).await;
            assert_eq!(
                (answer.status, &answer.text),
                (StatusCode::NOT_FOUND, &nothing.text),
                "{name} {path}"
            );
        }
        let form = text(&people[name], "/explain").await;
        assert!(
            !form.contains(&bot) && form.contains("There is no caller that you can ask about."),
            "{name}"
        );
        assert!(!text(&people[name], &format!("/callers/{bot}")).await.contains("/explain"), "{name}");
    }
    assert!(text(&people["olga"], &format!("/callers/{bot}")).await.contains("/explain?caller="));
    let no_tool = real.replace("of=pin_", "of=pin_0");
    assert_eq!(people["olga"].get(&no_tool).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn asking_writes_nothing_and_what_was_typed_is_no_markup() {
    let (world, people) = World::new().await;
    let nasty = r#"{"version":"</textarea><script>alert(1)</script>\u202e"}"#;
    let before = (world.bytes(), world.authority.store().head().await.unwrap());
    for name in ["olga", "mia"] {
        let says = text(&people[name], &asking(&world, "deploy", nasty)).await;
        assert!(!says.contains("<script>alert") && !says.contains('\u{202e}'), "{says}");
        let uri = format!("/explain?caller={}&uri=%22%3E%3Cscript%3E", world.bot().id);
        let says = text(&people[name], &uri).await;
        assert!(says.contains("script") && !says.contains("<script>"), "{name}: {says}");
    }
    let after = (world.bytes(), world.authority.store().head().await.unwrap());
    assert!(before == after, "asking wrote to the store");
    assert!(world.authority.store().outbox(String::new(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn whoever_sees_a_request_reads_which_rules_stopped_it_as_they_stood_then() {
    let (world, mut people) = World::new().await;
    let id = world.deploy("2.4.1").await;
    let why = format!("/r/{id}/why");
    for name in ["olga", "ann", "mia"] {
        assert!(text(&people[name], &format!("/r/{id}")).await.contains(&why), "{name}");
        let says = text(&people[name], &why).await;
        assert!(
            says.contains("@id(&quot;deploy&quot;)") && says.contains("could give it: <bdi>ann, ben</bdi>"),
            "{says}"
        );
    }
    assert_eq!(people["dave"].get(&why).await.status, StatusCode::NOT_FOUND);
    people.get_mut("ann").unwrap().approve(id).await;
    let says = text(&people["olga"], &why).await;
    assert!(
        says.contains("@id(&quot;deploy&quot;)") && !says.contains("could give it"),
        "it is over: {says}"
    );
    let mut bundle = crate::world::bundle();
    bundle
        .texts
        .values_mut()
        .for_each(|text| *text = text.replace("@id(\"deploy\")", "@id(\"deploy-anew\")"));
    assert_eq!(
        world.authority.activate(&bundle, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let says = text(&people["olga"], &why).await;
    assert!(says.contains("@id(&quot;deploy&quot;)") && !says.contains("deploy-anew"), "{says}");
}

#[tokio::test]
async fn auditors_read_why_a_recorded_decision_was_made_and_what_it_would_be_today() {
    let (world, people) = World::new().await;
    let challenged = world.deploy("2.4.1").await;
    let lines = world.authority.store().records(0, 1000).await.unwrap();
    let record = lines.iter().find(|line| line.kind == "challenged").unwrap().id;
    let other = lines.iter().find(|line| line.kind == "human_added").unwrap().id;
    let mia = &people["mia"];
    assert!(text(mia, &format!("/log/{record}")).await.contains(&format!("/log/{record}/why")));
    assert!(!text(mia, &format!("/log/{other}")).await.contains("/why"), "it is no decision");
    let says = text(mia, &format!("/log/{record}/why")).await;
    for part in
        ["@id(&quot;deploy&quot;)", "It takes more first: release.", "could give it: <bdi>ann, ben</bdi>"]
    {
        assert!(says.contains(part), "{part} in {says}");
    }
    let bundle = {
        let mut bundle = crate::world::bundle();
        bundle.texts.values_mut().for_each(|text| {
            *text = text.replace("@id(\"deploy\") @stepup(\"release\")", "@id(\"no-deploy\")")
        });
        bundle
    };
    assert_eq!(
        world.authority.activate(&bundle, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let says = text(mia, &format!("/log/{record}/why")).await;
    assert!(says.contains("@id(&quot;deploy&quot;)"), "as it stood then");
    assert!(says.contains("Denied: a rule forbids it") && says.contains("no-deploy"), "and today: {says}");
    for name in ["ann", "olga", "dave"] {
        assert_eq!(
            people[name].get(&format!("/log/{record}/why")).await.status,
            StatusCode::NOT_FOUND,
            "{name}"
        );
    }
    let body = json("{}");
    assert_eq!(mia.post(&format!("/r/{challenged}/why"), &body).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
