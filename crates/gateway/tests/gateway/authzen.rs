//! AuthZEN: the published decisions of the todo interoperability scenario, what the API says of bad questions, and the whole way of the
//! Access Request and Approval Profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use authority::{Added, By, Declared, NewCaller, ToolSettings, UpstreamSettings};
use gateway::Askers;
use serde_json::{Value, json};
use terms::CallerKind;

use crate::ops::Ops;
use crate::wire::Reply;
use crate::world::{World, bundle};

const RULES: &str = r#"
@id("administer") permit (principal is Human, action == Action::"administer", resource);
@id("ask") permit (principal in Group::"todo", action == Action::"discover", resource is Operation);
@id("read") permit (principal in Group::"todo",
    action in [Action::"do:todo/can_read_user", Action::"do:todo/can_read_todos"], resource);
@id("itself") permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"do:todo/can_read_todos"], resource is Operation);
@id("create") permit (principal in Group::"editor", action == Action::"do:todo/can_create_todo", resource);
@id("admin-creates") permit (principal in Group::"admin", action == Action::"do:todo/can_create_todo", resource);
@id("own") permit (principal in Group::"editor",
    action in [Action::"do:todo/can_update_todo", Action::"do:todo/can_delete_todo"], resource)
when { context.arguments.resource has ownerID && context.arguments.resource.ownerID == principal.owner };
@id("any-update") permit (principal in Group::"evil_genius", action == Action::"do:todo/can_update_todo", resource);
@id("any-delete") permit (principal in Group::"admin", action == Action::"do:todo/can_delete_todo", resource);
@id("purge") permit (principal in Group::"admin", action == Action::"do:todo/purge", resource);
@id("purge-takes") @stepup("release") forbid (principal, action == Action::"do:todo/purge", resource);
@id("tools") permit (principal in Group::"todo", action in [Action::"discover", Action::"tools/call"], resource is Tool);
@id("deploy") @stepup("release") forbid (principal, action == Action::"tools/call:ops/deploy", resource);
@id("hidden") forbid (principal, action, resource == Tool::"ops/destroy");
"#;

/// Subjects of the scenario: what the application calls them, their names here, their groups and whose they are.
const PEOPLE: [(&str, &str, &[&str], &str); 5] = [
    (
        "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "rick",
        &["admin", "evil_genius"],
        "rick@the-citadel.com",
    ),
    (
        "CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "morty",
        &["editor"],
        "morty@the-citadel.com",
    ),
    (
        "CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "summer",
        &["editor"],
        "summer@the-smiths.com",
    ),
    (
        "CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "beth",
        &["viewer"],
        "beth@the-smiths.com",
    ),
    (
        "CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        "jerry",
        &["viewer"],
        "jerry@the-smiths.com",
    ),
];

fn operation(action: &str, on: &str) -> (String, Declared) {
    let open = json!({"type": "object", "properties": {}});
    let resource = json!({"type": "object", "properties": {"ownerID": {"type": "string"}}});
    let schema = json!({"type": "object", "required": ["id", "resource", "subject", "action", "context"], "additionalProperties": false,
        "properties": {"id": {"type": "string"}, "resource": resource, "subject": open, "action": open, "context": open}});
    let definition = json!({"action": action, "type": on, "inputSchema": schema});
    let definition = terms::json::parse(definition.to_string().as_bytes()).unwrap();
    (action.to_owned(), Declared { definition, settings: ToolSettings::default() })
}

async fn world() -> World {
    let mut whole = bundle(RULES);
    let operations = [
        ("can_read_user", "user"),
        ("can_read_todos", "todo"),
        ("can_create_todo", "todo"),
        ("can_update_todo", "todo"),
        ("can_delete_todo", "todo"),
        ("purge", "todo"),
    ];
    let operations = operations.into_iter().map(|(action, on)| operation(action, on)).collect();
    whole.upstreams.insert("todo".to_owned(), UpstreamSettings { operations, ..UpstreamSettings::default() });
    let mut subjects: BTreeMap<String, String> =
        PEOPLE.iter().map(|(id, name, ..)| ((*id).to_owned(), (*name).to_owned())).collect();
    subjects.insert("rick".to_owned(), "rick".to_owned());
    let askers = Askers { callers: ["bot".to_owned()].into(), subjects };
    let settle = |settings: &mut gateway::Settings| {
        settings.askers.insert("todo".to_owned(), askers.clone());
        settings.askers.insert("ops".to_owned(), askers);
    };
    // People and callers come before these rules, which let nobody who is not there add them.
    let world =
        World::before((Ops::start().await, &[], Vec::new()), bundle(crate::world::RULES), settle, |_| {})
            .await;
    let by = By::account(0);
    for (_, name, groups, owner) in PEOPLE {
        let Added::Done(_) = world.authority.add_human(owner, &[], &by).await.unwrap() else {
            panic!("{owner}")
        };
        let groups = groups.iter().copied().chain(["todo"]).map(str::to_owned).collect();
        let new = NewCaller {
            name: name.to_owned(),
            kind: CallerKind::Service,
            owner: owner.to_owned(),
            groups,
            act: Vec::new(),
        };
        let Added::Done(_) = world.authority.add_caller(&new, &by).await.unwrap() else { panic!("{name}") };
    }
    let activated = world.authority.activate(&whole, &by).await.unwrap();
    assert_eq!(activated, authority::Activated::Done);
    world
}

impl World {
    async fn access(&self, by: &str, path: &str, body: &Value) -> Reply {
        let key = format!("Bearer {}", self.key(by));
        let headers =
            [("Authorization", key.as_str()), ("Content-Type", "application/json"), ("X-Request-ID", "r-1")];
        self.request("POST", &format!("/access/v1/{path}"), &headers, &body.to_string()).await
    }

    async fn evaluation(&self, body: &Value) -> Value {
        let reply = self.access("bot", "evaluation", body).await;
        assert_eq!(reply.status, 200, "{body}: {reply:?}");
        assert_eq!(reply.headers["x-request-id"], "r-1");
        reply.json()
    }
}

fn decisions() -> Option<Value> {
    let given = std::env::var_os("STEPUP_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let file = given.unwrap_or(beside).join("authzen/todo-decisions-1_0-02.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("not tried: no decisions at {} (set STEPUP_CORPORA)", file.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn the_published_decisions_of_the_todo_scenario_are_ours() {
    let Some(published) = decisions() else { return };
    let world = world().await;
    let mut tried = 0;
    for one in published["evaluation"].as_array().unwrap() {
        let decided = world.evaluation(&one["request"]).await;
        assert_eq!(decided["decision"], one["expected"], "{}: {decided}", one["request"]);
        tried += 1;
    }
    for one in published["evaluations"].as_array().unwrap() {
        let reply = world.access("bot", "evaluations", &one["request"]).await.json();
        let decided: Vec<Value> = reply["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| json!({"decision": one["decision"]}))
            .collect();
        assert_eq!(json!(decided), one["expected"], "{}", one["request"]);
        tried += 1;
    }
    assert_eq!(tried, 43);
    // Outcomes are collected for a moment before they are written.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let kinds = world.records().await;
    let of = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(of("permitted"), of("settled"), "each yes is an attempt that was released");
}

fn purge(id: &str) -> Value {
    json!({"subject": {"type": "user", "id": PEOPLE[0].0}, "action": {"name": "purge"}, "resource": {"type": "todo", "id": id}})
}

#[tokio::test]
async fn a_denial_that_can_be_asked_for_is_asked_for_approved_and_evaluated_again() {
    let world = world().await;
    let denied = world.evaluation(&purge("list-1")).await;
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&json!(false), &json!("approval_required"))
    );
    let context = &denied["context"];
    assert!(
        context["access_request"]["expires_at"].is_string() && context["evaluation_id"].is_string(),
        "{denied}"
    );
    assert!(!world.records().await.contains(&"challenged".to_owned()), "evaluating asks nobody");
    let mut submission = purge("list-1");
    submission["denial"] = json!({"evaluation_id": context["evaluation_id"], "expires_at": context["access_request"]["expires_at"]});
    let made = world.access("bot", "requests", &submission).await;
    assert_eq!(made.status, 201, "{made:?}");
    let task = made.json()["task"].clone();
    assert_eq!((&task["status"], &task["progress"]["total_steps"]), (&json!("pending"), &json!(1)));
    let same = world.access("bot", "requests", &submission).await;
    assert_eq!(
        (same.status, &same.json()["task"]["id"]),
        (200, &task["id"]),
        "the same request is the same task"
    );
    world.approve(task["id"].as_str().unwrap()).await;
    let path = task["status_endpoint"]
        .as_str()
        .unwrap()
        .strip_prefix(&format!("http://{}", world.at))
        .unwrap()
        .to_owned();
    let key = format!("Bearer {}", world.key("bot"));
    let status = world.request("GET", &path, &[("Authorization", &key)], "").await.json();
    assert_eq!(
        (&status["task"]["status"], &status["result"]["mode"]),
        (&json!("approved"), &json!("reevaluate"))
    );
    let again = |id: &str| {
        let mut again = purge(id);
        again["context"] = json!({"approval": status["result"]["approval"]});
        again
    };
    assert_eq!(world.evaluation(&again("list-2")).await["decision"], false, "it is for that list");
    let permitted = world.evaluation(&again("list-1")).await;
    assert_eq!(permitted["decision"], true, "{permitted}");
    let spent = world.evaluation(&again("list-1")).await;
    assert_eq!(
        (&spent["decision"], &spent["context"]["reason"]),
        (&json!(false), &json!("approval_expired")),
        "once"
    );
}

#[tokio::test]
async fn a_request_that_is_not_bound_to_a_denial_is_none() {
    let world = world().await;
    let denied = world.evaluation(&purge("list-1")).await["context"].clone();
    let denial = json!({"evaluation_id": denied["evaluation_id"], "expires_at": denied["access_request"]["expires_at"]});
    let with = |what: Value, denial: Value| {
        let mut body = what;
        body["denial"] = denial;
        body
    };
    let mut permitted = purge("list-1");
    permitted["action"]["name"] = json!("can_read_todos");
    let read = world.evaluation(&permitted).await;
    assert_eq!(read["decision"], true);
    let old = json!({"evaluation_id": denied["evaluation_id"], "expires_at": "2020-01-01T00:00:00Z"});
    for (body, status, kind) in [
        (with(purge("list-2"), denial.clone()), 400, "invalid_denial_binding"),
        (with(purge("list-1"), old), 410, "expired_denial"),
        (with(permitted, denial.clone()), 400, "invalid_denial_binding"),
    ] {
        let reply = world.access("bot", "requests", &body).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.json()["type"], format!("urn:openid:authzen:access-request:error:{kind}"));
    }
    assert_eq!(world.access("bot", "requests", &purge("list-1")).await.status, 400);
    // A task is for who may ask about whom it is of, and is cancelled once.
    let task = world.access("bot", "requests", &with(purge("list-1"), denial)).await.json()["task"].clone();
    let path = format!("/access/v1/requests/{}", task["id"].as_str().unwrap());
    let send = async |method: &str, path: &str, by: &str| {
        let key = format!("Bearer {}", world.key(by));
        world.request(method, path, &[("Authorization", &key)], "").await
    };
    assert_eq!(send("GET", &path, "spy").await.status, 404);
    assert_eq!(send("POST", &format!("{path}/cancel"), "spy").await.status, 404);
    let cancelled = send("POST", &format!("{path}/cancel"), "bot").await;
    assert_eq!((cancelled.status, &cancelled.json()["task"]["status"]), (200, &json!("cancelled")));
    assert_eq!(send("POST", &format!("{path}/cancel"), "bot").await.status, 409);
    assert_eq!(send("GET", "/access/v1/requests/nonsense", "bot").await.status, 404);
}

#[tokio::test]
async fn only_who_may_ask_about_others_does() {
    let world = world().await;
    let reply = world.access("spy", "evaluation", &purge("list-1")).await;
    assert_eq!((reply.status, &reply.json()["decision"]), (200, &json!(false)));
    assert_eq!(reply.json()["context"]["reason"], "operation_unknown");
    // Of a tool too, and of itself it may: what policy says of spy.
    let tool = |subject: &str| {
        json!({"subject": {"type": "identity", "id": subject}, "action": {"name": "tools/call"},
            "resource": {"type": "tool", "id": "ops/read_ticket"}, "context": {"arguments": {"id": 1}}})
    };
    for (by, subject, decision) in [
        ("bot", "rick", true),
        ("spy", "rick", false),
        ("spy", "spy", false),
        ("bot", "nobody", false),
        ("bot", "spy", false),
    ] {
        let reply = world.access(by, "evaluation", &tool(subject)).await;
        assert_eq!(reply.json()["decision"], decision, "{by} about {subject}: {reply:?}");
    }
    let key =
        world.request("POST", "/access/v1/evaluation", &[("Content-Type", "application/json")], "{}").await;
    assert_eq!(key.status, 401);
}

#[tokio::test]
async fn a_step_up_is_never_a_yes_and_a_tool_that_was_approved_runs_once_by_whichever_door() {
    let world = world().await;
    let deploy = json!({"subject": {"type": "identity", "id": "rick"}, "action": {"name": "tools/call"},
        "resource": {"type": "tool", "id": "ops/deploy"},
        "context": {"arguments": {"version": "2.4.1", "environment": "production"}}});
    let denied = world.evaluation(&deploy).await;
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&json!(false), &json!("approval_required"))
    );
    let mut bad = deploy.clone();
    bad["context"]["arguments"] = json!({"version": 7});
    assert_eq!(world.access("bot", "evaluation", &bad).await.status, 400);
    bad["resource"]["id"] = json!("ops/nothing");
    assert_eq!(world.evaluation(&bad).await["context"]["reason"], "tool_unknown");
    assert!(world.ops.calls().is_empty());
}

#[tokio::test]
async fn bad_questions_are_400_and_what_is_not_known_is_ignored() {
    let world = world().await;
    let good = json!({"subject": {"type": "user", "id": PEOPLE[0].0}, "action": {"name": "can_read_todos"}, "resource": {"type": "todo", "id": "1"}});
    let without = |name: &str| {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name);
        bad
    };
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    for bad in [
        json!({}),
        json!([]),
        json!("x"),
        without("subject"),
        without("action"),
        without("resource"),
        with("/subject", json!("rick")),
        with("/subject/id", json!(7)),
        with("/subject/type", json!("")),
        with("/action/name", json!(null)),
        with("/resource/id", json!({})),
        with("/resource", json!({"type": "todo", "id": "1", "properties": []})),
    ] {
        assert_eq!(world.access("bot", "evaluation", &bad).await.status, 400, "{bad}");
    }
    let mut more = good.clone();
    more["unknown"] = json!({"a": [1, 2]});
    more["subject"]["properties"] = json!({"department": "sales"});
    assert_eq!(
        world.evaluation(&more).await["decision"],
        true,
        "what is not known is ignored, and what is a property is carried"
    );
}

#[tokio::test]
async fn a_batch_goes_as_far_as_it_is_told_to_and_a_bad_entry_is_a_no_among_others() {
    let world = world().await;
    let good = json!({"subject": {"type": "user", "id": PEOPLE[0].0}, "action": {"name": "can_read_todos"}, "resource": {"type": "todo", "id": "1"}});
    let entries = |semantic: &str, evaluations: Value| {
        let mut batch = good.clone();
        batch["evaluations"] = evaluations;
        batch["options"] = json!({"evaluations_semantic": semantic});
        batch
    };
    let delete = json!({"action": {"name": "no_such"}});
    for (semantic, expected) in [
        ("execute_all", json!([true, false, false, true])),
        ("deny_on_first_deny", json!([true, false])),
        ("permit_on_first_permit", json!([true])),
    ] {
        let all = json!([{}, delete, {"subject": 7}, {"resource": {"type": "todo", "id": "2"}}]);
        let reply = world.access("bot", "evaluations", &entries(semantic, all)).await.json();
        let decided: Vec<Value> =
            reply["evaluations"].as_array().unwrap().iter().map(|one| one["decision"].clone()).collect();
        assert_eq!(json!(decided), expected, "{semantic}: {reply}");
        if semantic == "execute_all" {
            assert_eq!(reply["evaluations"][2]["context"]["error"]["status"], 400);
        }
    }
    assert_eq!(
        world.access("bot", "evaluations", &good).await.json()["decision"],
        true,
        "no entries: one evaluation"
    );
    assert_eq!(world.access("bot", "evaluations", &entries("sometimes", json!([{}]))).await.status, 400);
    let many: Vec<Value> = (0..65).map(|_| json!({})).collect();
    assert_eq!(world.access("bot", "evaluations", &entries("execute_all", json!(many))).await.status, 413);
    let key = format!("Bearer {}", world.key("bot"));
    for (method, path, headers, status) in [
        ("GET", "/access/v1/evaluation", &[("Authorization", key.as_str())][..], 405),
        ("POST", "/access/v1/nothing", &[("Authorization", key.as_str())][..], 404),
        (
            "POST",
            "/access/v1/evaluation",
            &[("Authorization", key.as_str()), ("Content-Type", "text/plain")][..],
            415,
        ),
    ] {
        assert_eq!(world.request(method, path, headers, "").await.status, status, "{method} {path}");
    }
    let metadata = world.request("GET", "/.well-known/authzen-configuration", &[], "").await;
    assert_eq!(
        (metadata.status, metadata.json()["policy_decision_point"].as_str().unwrap()),
        (200, &*format!("http://{}", world.at))
    );
}

#[tokio::test]
async fn t124_of_a_tool_that_is_hidden_an_application_learns_no_more_than_of_one_that_is_not_there() {
    let world = world().await;
    let about = |action: &str, tool: &str, arguments: Value| {
        json!({"subject": {"type": "identity", "id": "rick"}, "action": {"name": action},
            "resource": {"type": "tool", "id": tool}, "context": {"arguments": arguments}})
    };
    for (action, arguments) in [
        ("tools/call", json!({})),
        ("nonsense", json!({})),
        ("tools/call", json!({"none": {"of": ["these"]}})),
    ] {
        let of = async |tool: &str| {
            let reply = world.access("bot", "evaluation", &about(action, tool, arguments.clone())).await;
            (reply.status, reply.json())
        };
        let hidden = of("ops/destroy").await;
        assert_eq!(hidden, of("ops/nothing").await, "{action} {arguments}");
        assert_eq!(hidden.1["context"]["reason"], "tool_unknown");
    }
}

#[tokio::test]
async fn t26_the_key_of_who_asks_is_in_no_question_and_in_no_report() {
    let world = world().await;
    let key = world.key("bot");
    let mut question = purge("list-1");
    question["context"] = json!({"headers": {"authorization": format!("Bearer {key}")}});
    let mut batch = purge("list-1");
    batch["evaluations"] = json!([{"resource": {"type": "todo", "id": key}}]);
    let mut submission = question.clone();
    submission["denial"] = json!({"evaluation_id": "x", "expires_at": "2999-01-01T00:00:00Z"});
    for (path, body) in [("evaluation", question), ("evaluations", batch), ("requests", submission)] {
        let reply = world.access("bot", path, &body).await;
        assert_eq!((reply.status, reply.slug()), (400, "request_invalid".to_owned()), "{path}: {reply:?}");
    }
    let mut read = purge("1");
    read["action"]["name"] = json!("can_read_todos");
    let attempt = world.evaluation(&read).await["context"]["attempt"].clone();
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let report = json!({"outcome": "done", "says": key}).to_string();
    let path = format!("/v1/attempts/{}", attempt.as_str().unwrap());
    assert_eq!(world.request("POST", &path, &headers, &report).await.slug(), "request_invalid");
}

#[tokio::test]
async fn how_it_ended_is_recorded_while_others_go_on_asking() {
    let world = world().await;
    let mut read = purge("1");
    read["action"]["name"] = json!("can_read_todos");
    let one = || async {
        loop {
            world.evaluation(&read).await;
        }
    };
    let crowd = futures_util::future::join_all((0..16).map(|_| one()));
    let reporting = async {
        let bearer = format!("Bearer {}", world.key("bot"));
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let mut mine = read.clone();
        mine["subject"]["id"] = json!("bot");
        for _ in 0..5 {
            let attempt = world.evaluation(&mine).await["context"]["attempt"].clone();
            let path = format!("/v1/attempts/{}", attempt.as_str().unwrap());
            let report = world.request("POST", &path, &headers, r#"{"outcome":"done"}"#);
            let report = tokio::time::timeout(std::time::Duration::from_secs(2), report)
                .await
                .expect("it is waited for");
            assert_eq!(report.status, 204, "{report:?}");
        }
    };
    tokio::select! {
        () = reporting => {}
        _ = crowd => {}
    }
}
