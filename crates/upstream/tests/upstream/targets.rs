//! What goes to an upstream that is no call of a tool, and what it is asked to list.

use elevation::Outcome;
use serde_json::{Value, json};
use terms::{Json, Kind};
use upstream::{Along, Eras, Has, Listing, forward};

use crate::http::{self, Arrived, Does, Server};
use crate::world::{SOON, World, http as over_http, in_era, session, value};

const CAPABILITIES: &str = r#"{"prompts":{},"resources":{"listChanged":true},"completions":{}}"#;

fn answered(request: &Arrived, result: &str) -> Does {
    Does::Writes(http::json(&request.body["id"], &format!(r#""result":{result}"#)))
}

/// A server of either era with prompts, resources and completions, and no tools.
fn well(request: &Arrived) -> Does {
    let lists = |member: &str, name: &str, of: &[&str]| {
        let entry = |one: &&str| {
            let mut entry = json!({"name": "n", "title": "t"});
            entry[name] = json!(one);
            entry
        };
        let entries: Vec<Value> = of.iter().map(entry).collect();
        json!({"resultType": "complete", member: entries}).to_string()
    };
    let result = match request.body["method"].as_str() {
        Some("server/discover") => {
            format!(
                r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{CAPABILITIES}}}"#
            )
        }
        Some("initialize") => format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{CAPABILITIES},"serverInfo":{{"name":"s","version":"1"}}}}"#
        ),
        Some("prompts/list") => lists("prompts", "name", &["brief", "a b"]),
        Some("resources/list") => lists("resources", "uri", &["file:///a", "file:///a/../b"]),
        Some("resources/templates/list") => lists("resourceTemplates", "uriTemplate", &["file:///{a}", "{"]),
        Some(_) => r#"{"resultType":"complete","ran":true}"#.to_owned(),
        None => return Does::Writes(http::response("202 Accepted", "", "")),
    };
    answered(request, &result)
}

async fn world(era: Eras) -> (Server, World) {
    let server = Server::start(well).await;
    let world = World::new(vec![in_era(era, over_http(&server.url))]).await;
    (server, world)
}

/// To what, by its name, is done what, with what; and the parameters and the name that arrive.
type Row = (Kind, &'static str, &'static str, Value, Value, Option<&'static str>);

fn all() -> [Row; 4] {
    let complete = json!({"argument": {"name": "topic", "value": "w"}});
    let completes = |of: Value| json!({"argument": {"name": "topic", "value": "w"}, "ref": of});
    [
        (
            Kind::Resource,
            "file:///%C3%A4",
            "resources/read",
            json!({"uri": "file:///%C3%A4"}),
            json!({"uri": "file:///%C3%A4"}),
            Some("file:///%C3%A4"),
        ),
        (
            Kind::Prompt,
            "brief",
            "prompts/get",
            json!({"topic": "x"}),
            json!({"name": "brief", "arguments": {"topic": "x"}}),
            Some("brief"),
        ),
        (
            Kind::Prompt,
            "brief",
            "completion/complete",
            complete.clone(),
            completes(json!({"type": "ref/prompt", "name": "brief"})),
            None,
        ),
        (
            Kind::Resource,
            "file:///{a}",
            "completion/complete",
            complete,
            completes(json!({"type": "ref/resource", "uri": "file:///{a}"})),
            None,
        ),
    ]
}

fn strict(value: &Value) -> Json {
    terms::json::parse(value.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn what_is_no_call_is_written_from_the_access_that_was_judged_in_either_era() {
    for era in [Eras::Legacy, Eras::Modern] {
        let (server, world) = world(era).await;
        for (kind, name, action, arguments, sent, told) in all() {
            let permit = world.permit_to(kind, name, action, strict(&arguments)).await;
            let link = world.upstreams.link("ops", session(1)).await.unwrap();
            let forwarded = forward(permit, &link, Along::default(), SOON).await;
            assert_eq!((value(&forwarded)["ran"].clone(), forwarded.outcome), (json!(true), Outcome::Done));
            let arrived = server.all().into_iter().rev().find(|arrived| arrived.is(action)).unwrap();
            let mut params = arrived.body["params"].clone();
            params.as_object_mut().unwrap().remove("_meta");
            assert_eq!(params, sent, "{action}");
            if era == Eras::Modern {
                assert_eq!((arrived.header("mcp-method"), arrived.header("mcp-name")), (Some(action), told));
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_lists_what_it_says_it_has_and_what_could_not_be_named_is_left_out() {
    for era in [Eras::Legacy, Eras::Modern] {
        let (server, world) = world(era).await;
        let names = async |listing| {
            let listed = world.upstreams.list("ops", listing).await.unwrap();
            listed.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Listing::Prompts).await, ["brief"]);
        assert_eq!(names(Listing::Resources).await, ["file:///a"]);
        assert_eq!(names(Listing::Templates).await, ["file:///{a}"]);
        assert_eq!(names(Listing::Tools).await, Vec::<String>::new());
        assert!(!server.all().iter().any(|arrived| arrived.is("tools/list")), "it has no tools");
        let has = Has {
            tools: false,
            prompts: true,
            resources: true,
            completions: true,
            logging: false,
            subscribe: false,
        };
        assert_eq!(world.upstreams.has("ops"), has);
    }
}

#[tokio::test]
async fn a_page_that_lists_something_else_is_not_taken() {
    let server = Server::start(|request| match request.body["method"].as_str() {
        Some("resources/list") => answered(request, r#"{"tools":[{"name":"x"}]}"#),
        Some("prompts/list") => answered(request, r#"{"prompts":[],"prompts":[{"name":"x"}]}"#),
        _ => well(request),
    })
    .await;
    let world = World::new(vec![in_era(Eras::Legacy, over_http(&server.url))]).await;
    for listing in [Listing::Resources, Listing::Prompts] {
        assert!(world.upstreams.list("ops", listing).await.is_err(), "{listing:?}");
    }
}
