//! Children that do what no server should (T24, T30, T31, T36; F38).

use std::sync::Arc;
use std::time::Duration;

use elevation::Outcome;
use terms::{Json, Millis, Pointer, Seam, Secret};
use upstream::{Along, Answer, Fault, Forwarded, Inert, Share, Transport, Unreachable, forward};

use crate::world::{
    SOON, World, becomes, ended, hostile, names, none, process_exists, session, stdio, text, value,
};

async fn world(tools: &[&str]) -> World {
    let world = World::new(vec![hostile(&[])]).await;
    world.pin(tools).await;
    world
}

#[tokio::test]
async fn invariant_1_a_call_passes_the_three_seams_once_and_in_order() {
    let world = world(&["counts"]).await;
    let forwarded = world.call("counts", none()).await;
    assert_eq!(forwarded.outcome, Outcome::Done);
    assert_eq!(world.upstream_seams(), [Seam::UpstreamSend, Seam::UpstreamSent, Seam::UpstreamAnswered]);
    world.authority.settle(forwarded.settlement.unwrap(), Outcome::Done, Some(true)).await.unwrap();
}

#[tokio::test]
async fn invariant_1_as_many_lines_reach_the_child_as_there_were_permits() {
    let world = world(&["counts"]).await;
    let smuggled =
        "\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}\r\n\u{85}\u{2028}\u{2029}\u{b}\u{c}\0";
    let arguments = Json::object([("text", Json::from(smuggled))]);
    for calls in 1..4 {
        let told = world.json("counts", arguments.clone()).await;
        assert_eq!(told["lines"], 2 + calls, "after `initialize` and `notifications/initialized`");
        assert_eq!(told["text"], smuggled, "and every byte of it arrived");
    }
}

#[tokio::test]
async fn invariant_6_a_secret_argument_reaches_the_child_in_clear_and_only_there() {
    let world = world(&["counts"]).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let pointer: Pointer = "/text".parse().unwrap();
    let arguments = Json::object([("text", Json::from("hunter2"))]);
    let permit = world.permit_sealing("ops", "counts", arguments, &[pointer]).await;
    assert!(!permit.access().unwrap().to_json().text().contains("hunter2"));
    let forwarded = forward(permit, &link, Along::default(), SOON).await;
    assert!(text(&forwarded).contains("hunter2"));
    assert!(!format!("{forwarded:?}").contains("hunter2"), "an echoed secret is not printed");
}

#[tokio::test]
async fn invariant_6_a_swapped_program_gets_nothing_that_was_permitted_for_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstream/hostile.py");
    let write = |comment: &str| {
        use std::os::unix::fs::PermissionsExt;
        let aside = folder.path().join("aside");
        std::fs::write(&aside, format!("#!/bin/sh\n# {comment}\nexec python3 {script}\n")).unwrap();
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&aside, &program).unwrap();
    };
    write("reviewed");
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.command = vec![program.display().to_string()];
    let world = World::new(vec![config]).await;
    world.pin(&["counts"]).await;
    assert_eq!(world.call("counts", none()).await.outcome, Outcome::Done);
    let permit = world.permit("ops", "counts", none()).await;
    write("replaced");
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let forwarded = forward(permit, &link, Along::default(), SOON).await;
    assert!(matches!(forwarded.answer, Err(Fault::Stale(_))), "{forwarded:?}");
    assert_eq!(forwarded.outcome, Outcome::NotSent);
    // Once people have looked, the new one is another upstream with calls of its own.
    world.attach("ops").await;
    assert_eq!(world.json("counts", none()).await["lines"], 3, "and the child is a new one");
}

#[tokio::test]
async fn invariant_5_a_child_that_dies_in_a_call_leaves_it_unknown_and_is_started_again_without_it() {
    let world = world(&["dies", "counts"]).await;
    ended(&world.call("dies", none()).await, Fault::Closed, Outcome::Unknown);
    let told = world.json("counts", none()).await;
    assert_eq!(told["lines"], 3, "two lines of greeting and this call: the lost one was not sent again");
}

#[tokio::test]
async fn a_child_that_keeps_dying_is_started_less_and_less_often() {
    let world = world(&["dies"]).await;
    ended(&world.call("dies", none()).await, Fault::Closed, Outcome::Unknown);
    ended(&world.call("dies", none()).await, Fault::Closed, Outcome::Unknown);
    let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
    assert!(matches!(refused, Err(Unreachable::Wait(wait)) if wait.get() <= 250), "{refused:?}");
    // Others are not made to wait for it.
    assert!(world.upstreams.link("ops", session(2)).await.is_ok());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.upstreams.link("ops", session(1)).await.is_ok());
}

#[tokio::test]
async fn a_child_that_never_starts_says_so() {
    for words in [["dead"], ["old"]] {
        let world = World::new(vec![hostile(&words)]).await;
        let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
        assert!(matches!(refused, Err(Unreachable::Start(_))), "{refused:?}");
    }
    let mut config = hostile(&["mute"]);
    config.timeouts.start = Millis::new(300);
    let world = World::new(vec![config]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
    assert!(matches!(&refused, Err(Unreachable::Start(why)) if why.contains("in time")), "{refused:?}");
}

#[tokio::test]
async fn invariant_5_a_child_that_does_not_answer_leaves_the_call_unknown_and_hinders_no_other() {
    let world = world(&["silent", "counts"]).await;
    let forwarded = world.call_in(1, "silent", none(), Millis::new(200)).await;
    ended(&forwarded, Fault::Timeout, Outcome::Unknown);
    // It was told that nobody waits any more: greeting (2), call, cancellation, this call.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.json("counts", none()).await["lines"], 5);
}

#[tokio::test]
async fn a_child_that_stops_reading_is_ended_and_what_was_not_written_was_not_sent() {
    let mut config = hostile(&[]);
    config.timeouts.connect = Millis::new(300);
    let world = World::new(vec![config]).await;
    world.pin(&["deaf", "counts"]).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    ended(&world.call_in(1, "deaf", none(), Millis::new(100)).await, Fault::Timeout, Outcome::Unknown);
    // More than a pipe holds: half of it is written, and then nothing can be said any more.
    let much = Json::object([("text", Json::from("x".repeat(200 << 10)))]);
    let first = world.permit("ops", "counts", much).await;
    let second = world.permit("ops", "counts", none()).await;
    let (first, second) = tokio::join!(
        forward(first, &link, Along::default(), SOON),
        forward(second, &link, Along::default(), SOON)
    );
    ended(&first, Fault::Closed, Outcome::Unknown);
    ended(&second, Fault::Unreachable, Outcome::NotSent);
    becomes("the child is ended", || !link.alive()).await;
}

#[tokio::test]
async fn a_line_without_end_ends_the_child_and_no_other() {
    let world = world(&["endless", "counts"]).await;
    let other = world.call_in(2, "counts", none(), SOON).await;
    assert_eq!(other.outcome, Outcome::Done);
    ended(&world.call("endless", none()).await, Fault::Closed, Outcome::Unknown);
    assert_eq!(world.call_in(2, "counts", none(), SOON).await.outcome, Outcome::Done);
}

#[tokio::test]
async fn answers_that_are_foreign_or_come_twice_reach_nobody() {
    let world = world(&["foreign", "twice", "counts"]).await;
    assert_eq!(world.text("foreign", none()).await, "yours");
    assert_eq!(world.text("twice", none()).await, "first");
    assert_eq!(world.json("counts", none()).await["lines"], 5);
    assert_eq!(world.upstreams.dropped("ops"), Some(7));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_reaches_nobody() {
    let world = world(&["late", "counts"]).await;
    ended(&world.call_in(1, "late", none(), Millis::new(100)).await, Fault::Timeout, Outcome::Unknown);
    assert_eq!(world.json("counts", none()).await["lines"], 5);
    assert_eq!(world.upstreams.dropped("ops"), Some(1));
}

#[tokio::test]
async fn answers_in_any_order_reach_whoever_asked() {
    let world = Arc::new(world(&["together"]).await);
    let mut calls = tokio::task::JoinSet::new();
    const CALLS: u32 = 50;
    for n in 0..CALLS {
        let world = Arc::clone(&world);
        let mine = format!("call {n}");
        calls.spawn(async move {
            let arguments = Json::object([("mine", Json::from(mine.as_str())), ("of", Json::from(CALLS))]);
            assert_eq!(world.text("together", arguments).await, mine);
        });
    }
    assert_eq!(calls.join_all().await.len(), CALLS as usize);
}

#[tokio::test]
async fn invariant_10_whatever_a_child_asks_of_us_it_is_told_no() {
    let world = world(&["asks", "floods", "counts"]).await;
    let replies = world.json("asks", none()).await;
    for method in ["elicitation/create", "sampling/createMessage", "roots/list", "tools/call"] {
        assert_eq!(replies[method], -32601, "{replies}");
    }
    assert_eq!(replies["ping"], "result");
    assert_eq!(world.text("floods", none()).await, "done");
    assert!(world.upstreams.dropped("ops").unwrap() > 2000);
}

#[tokio::test]
async fn a_child_that_asks_and_does_not_listen_is_ended() {
    let mut config = hostile(&[]);
    config.timeouts.connect = Millis::new(300);
    let world = World::new(vec![config]).await;
    world.pin(&["drowns", "counts"]).await;
    ended(&world.call("drowns", none()).await, Fault::Closed, Outcome::Unknown);
    assert_eq!(world.json("counts", none()).await["lines"], 3);
}

#[tokio::test]
async fn lines_that_are_no_messages_are_dropped() {
    let world = world(&["garbage"]).await;
    assert_eq!(world.text("garbage", none()).await, "after garbage");
}

#[tokio::test]
async fn an_answer_is_handed_on_by_its_text_without_what_only_we_may_write() {
    let world = world(&["raw"]).await;
    let rest = r#""result":{"big":12345678901234567890123,"x":1.10,"_meta":{"dev.stepup/challenge":{},"a":"\ud83d\ude00"}}"#;
    let forwarded = world.call("raw", Json::object([("rest", Json::from(rest))])).await;
    let Ok(Answer::Result { result, failed: false }) = &forwarded.answer else { panic!("{forwarded:?}") };
    assert_eq!(result.text(), r#"{"big":12345678901234567890123,"x":1.10,"_meta":{"a":"\ud83d\ude00"}}"#);
    for (rest, outcome) in [
        (r#""error":{"code":-32602,"message":"no"}"#, Outcome::Failed),
        (r#""result":{"isError":true}"#, Outcome::Failed),
        (r#""result":7"#, Outcome::Unknown),
        (r#""result":{"isError":1}"#, Outcome::Unknown),
    ] {
        let forwarded = world.call("raw", Json::object([("rest", Json::from(rest))])).await;
        assert_eq!(forwarded.outcome, outcome, "{rest} {forwarded:?}");
    }
}

#[tokio::test]
async fn invariant_10_an_answer_with_a_member_twice_ends_its_call_at_once() {
    let world = world(&["raw"]).await;
    for rest in [r#""result":{},"result":{"isError":true}"#, r#""result":{},"jsonrpc":"2.0""#] {
        let forwarded = world.call("raw", Json::object([("rest", Json::from(rest))])).await;
        ended(&forwarded, Fault::Invalid, Outcome::Unknown);
    }
}

#[tokio::test]
async fn progress_reaches_the_call_that_it_is_of() {
    let world = world(&["progresses"]).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let permit = world.permit("ops", "progresses", none()).await;
    let (sink, mut told) = tokio::sync::broadcast::channel(8);
    let forwarded = forward(permit, &link, Along { progress: Some(sink), ..Along::default() }, SOON).await;
    assert_eq!(text(&forwarded), "done");
    let mut steps = Vec::new();
    while let Ok(progress) = told.recv().await {
        assert_eq!(progress.total, Some(3.0));
        steps.push(progress.message.unwrap());
    }
    assert_eq!(steps, ["step 1", "step 2", "step 3"]);
}

#[tokio::test]
async fn a_child_that_says_that_its_list_changed_is_heard() {
    let world = world(&["changes"]).await;
    let mut changes = world.upstreams.changes("ops").unwrap();
    assert_eq!(world.text("changes", none()).await, "changed");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let listed = world.upstreams.list_tools("ops").await.unwrap();
    assert!(
        listed
            .iter()
            .any(|tool| tool.definition.get("name").and_then(terms::Json::as_str) == Some("changes"))
    );
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let world = World::new(vec![hostile(&["endless-list"])]).await;
    let refused = world.upstreams.list_tools("ops").await.map(|_| ());
    assert!(matches!(refused, Err(Unreachable::List(_))), "{refused:?}");
}

#[tokio::test]
async fn invariant_8_a_child_has_the_environment_that_was_written_down_and_nothing_else_of_ours() {
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.inherit = names(&["HOME"]);
    child.set = [("TOKEN".to_owned(), Secret::new("s3cr3t-value".to_owned()))].into();
    let world = World::new(vec![config]).await;
    world.pin(&["environ"]).await;
    let told = world.json("environ", none()).await;
    let mut names: Vec<&str> = told["environ"].as_object().unwrap().keys().map(String::as_str).collect();
    // What CPython adds by itself where no locale is set.
    names.retain(|name| *name != "LC_CTYPE");
    assert_eq!(names, ["HOME", "PATH", "TOKEN"]);
    assert_eq!(told["environ"]["PATH"], upstream::DEFAULT_PATH);
    // The fourth is the listing's own, which is gone when it is looked at.
    assert_eq!(told["fds"], serde_json::json!([0, 1, 2]));
    assert_eq!(told["no_new_privs"], "1");
    assert_eq!(told["leads_its_group"], true);
    let pid = u32::try_from(told["pid"].as_u64().unwrap()).unwrap();
    assert!(upstream::launcher::confined(pid) && !upstream::launcher::confined(std::process::id()));
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&cmdline).contains("s3cr3t"));
}

#[tokio::test]
async fn invariant_8_neither_a_childs_own_secret_nor_a_callers_comes_out_of_its_standard_error() {
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.set = [("TOKEN".to_owned(), Secret::new("s3cr3t-value".to_owned()))].into();
    let world = World::new(vec![config]).await;
    world.pin(&["speaks"]).await;
    let log = crate::log::Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let pointer: Pointer = "/pin".parse().unwrap();
    let arguments = terms::json::parse(br#"{"pin":[{"a":"hunter2"},918273]}"#).unwrap();
    let permit = world.permit_sealing("ops", "speaks", arguments, &[pointer]).await;
    assert_eq!(text(&forward(permit, &link, Along::default(), SOON).await), "spoken");
    becomes("what it says is logged", || log.text().contains("red")).await;
    let text = log.text();
    assert!(text.contains("[secret]"), "{text}");
    for secret in ["s3cr3t", "hunter2", "918273", "\u{1b}", "\u{202e}", "xxxxxxxx"] {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_used_any_more_costs_no_child() {
    let mut config = hostile(&[]);
    config.timeouts.idle = Millis::new(300);
    let world = World::new(vec![config]).await;
    world.pin(&["environ", "silent"]).await;
    world.upstreams.sweep();
    let pid = world.json("environ", none()).await["pid"].as_i64().unwrap();
    let busy = world.call_in(2, "silent", none(), Millis::new(1500));
    let idle = becomes("the idle child is gone", || !process_exists(pid));
    let (busy, ()) = tokio::join!(busy, idle);
    ended(&busy, Fault::Timeout, Outcome::Unknown);
}

#[tokio::test]
async fn nothing_of_a_child_outlives_its_session() {
    let world = world(&["grandchild", "stubborn"]).await;
    let told = world.json("grandchild", none()).await;
    let stubborn = world.call_in(2, "stubborn", none(), SOON).await;
    let pids = [
        told["pid"].as_i64().unwrap(),
        told["own"].as_i64().unwrap(),
        serde_json::from_str::<serde_json::Value>(&text(&stubborn)).unwrap()["pid"].as_i64().unwrap(),
    ];
    assert!(pids.into_iter().all(process_exists));
    world.upstreams.close(session(1));
    becomes("the first session's processes are gone", || {
        !process_exists(pids[0]) && !process_exists(pids[1])
    })
    .await;
    assert!(process_exists(pids[2]), "another session's child is left alone");
    world.upstreams.close_all().await;
    assert!(!process_exists(pids[2]), "it ignores being asked, and is made to");
}

#[tokio::test]
async fn a_session_has_a_child_of_its_own_unless_all_share_one() {
    for (share, same) in [(Share::Session, false), (Share::All, true)] {
        let mut config = hostile(&[]);
        config.share = share;
        let world = World::new(vec![config]).await;
        let [a, again, b] = [1, 1, 2].map(session);
        let a = world.upstreams.link("ops", a).await.unwrap();
        assert!(Arc::ptr_eq(&a, &world.upstreams.link("ops", again).await.unwrap()));
        assert_eq!(Arc::ptr_eq(&a, &world.upstreams.link("ops", b).await.unwrap()), same);
    }
}

#[tokio::test]
async fn there_are_so_many_children_and_no_more() {
    let world = World::new(vec![stdio(upstream::Stdio {
        command: vec!["cat".to_owned()],
        isolation: upstream::Isolation::None,
        ..upstream::Stdio::default()
    })])
    .await;
    // `cat` answers `initialize` with our own request: it is no upstream, and its place is taken all the same.
    for n in 0..32 {
        let refused = world.upstreams.link("ops", session(n)).await.map(|_| ());
        assert!(matches!(refused, Err(Unreachable::Start(_))), "{refused:?}");
    }
    let refused = world.upstreams.link("ops", session(32)).await.map(|_| ());
    assert_eq!(refused, Err(Unreachable::Full(32)));
    world.upstreams.close(session(0));
    assert_ne!(world.upstreams.link("ops", session(32)).await.map(|_| ()), Err(Unreachable::Full(32)));
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_half_line_and_its_call_is_settled() {
    let world = world(&["silent", "counts"]).await;
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let much = Json::object([("text", Json::from("x".repeat(100 << 10)))]);
    let permit = world.permit("ops", "silent", much).await;
    let attempt = permit.attempt().unwrap();
    let gives_up = forward(permit, &link, Along::default(), SOON);
    assert!(tokio::time::timeout(Duration::from_millis(2), gives_up).await.is_err());
    assert_eq!(world.json("counts", none()).await["lines"], 4);
    world.authority.drain(Millis::seconds(5)).await;
    let unsettled =
        world.authority.store().unsettled(terms::BootId::fresh(world.machine.as_ref())).await.unwrap();
    assert!(unsettled.iter().all(|left| left.id != attempt), "dropping it said that nobody knows");
}

#[tokio::test]
async fn a_real_result_is_a_whole_value() {
    let world = world(&["counts"]).await;
    let forwarded = world.call("counts", Json::object([("text", Json::from("\u{2028}😀"))])).await;
    assert_eq!(value(&forwarded)["content"][0]["type"], "text");
    assert!(text(&forwarded).contains("\\u2028\\ud83d"));
}

#[tokio::test]
async fn b27_what_only_transports_reaches_a_child_beside_a_token_of_ours() {
    let world = world(&["beside"]).await;
    let came = |forwarded: &Forwarded| serde_json::from_str::<serde_json::Value>(&text(forwarded)).unwrap();
    let link = world.upstreams.link("ops", session(1)).await.unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut meta = [("traceparent", trace), ("x/y", "judged elsewhere")].into_iter().collect();
    let inert = Inert::take(&mut meta);
    let permit = world.permit("ops", "beside", none()).await;
    let along = Along { inert: inert.clone(), ..Along::default() };
    let seen = came(&forward(permit, &link, along, SOON).await);
    assert_eq!(seen["meta"], serde_json::json!({"traceparent": trace}));
    let permit = world.permit("ops", "beside", none()).await;
    let (sink, _told) = tokio::sync::broadcast::channel(1);
    let seen =
        came(&forward(permit, &link, Along { progress: Some(sink), inert, ..Along::default() }, SOON).await);
    assert_eq!(seen["meta"], serde_json::json!({"traceparent": trace, "progressToken": seen["id"]}));
    assert!(world.json("beside", none()).await["meta"].is_null());
}
