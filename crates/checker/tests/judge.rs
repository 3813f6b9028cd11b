//! Small runs, made by hand: a sound one, and one for each thing that can be wrong. The judge is the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const ORIGIN: &str = "stepup.example/log";

fn sha(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA256, &parts.concat()).as_ref().to_vec()
}

/// The tree by levels: pairs go up hashed, an odd last one goes up as it is.
fn root(mut level: Vec<Vec<u8>>) -> Vec<u8> {
    while level.len() > 1 {
        let up = |pair: &[Vec<u8>]| if let [l, r] = pair { sha(&[&[1], l, r]) } else { pair[0].clone() };
        level = level.chunks(2).map(up).collect();
    }
    level.pop().unwrap_or_else(|| sha(&[]))
}

/// A run: what is in the log, what arrived, what was written elsewhere.
#[derive(Clone)]
struct Run {
    records: Vec<(&'static str, Value, Value)>,
    arrivals: Vec<Value>,
    output: String,
    in_flight: usize,
}

fn access(tool: &str, arguments: &Value) -> Value {
    json!({"resource": {"id": tool}, "context": {"arguments": arguments}})
}

/// A deployment that was approved, for one use, which is spent, and a read.
fn sound() -> Run {
    let deploy = json!({"version": "2.4.1", "token": {"$sealed": "x", "len": 12}, "hold": 1.5});
    let read = access("tickets/read", &json!({"ticket": 7}));
    Run {
        records: vec![
            ("started", json!({}), json!({})),
            ("permitted", json!({"attempt": "att_1"}), json!({"access": read})),
            ("settled", json!({"attempt": "att_1"}), json!({"outcome": "done"})),
            ("challenged", json!({"elevation": "elv_1"}), json!({})),
            ("voted", json!({"elevation": "elv_1"}), json!({})),
            ("granted", json!({"elevation": "elv_1", "grant": "grt_1"}), json!({"uses": 1})),
            (
                "spent",
                json!({"grant": "grt_1", "attempt": "att_2"}),
                json!({"access": access("ops/deploy", &deploy)}),
            ),
            ("settled", json!({"attempt": "att_2"}), json!({"outcome": "failed"})),
        ],
        arrivals: vec![
            json!({"at": 1_700_000_000_500_i64, "tool": "read", "arguments": {"ticket": 7.0}}),
            json!({"tool": "deploy", "attempt": "att_2",
                   "arguments": {"hold": 1.5, "token": "canary-canary", "version": "2.4.1"}}),
        ],
        output: "nothing".to_owned(),
        in_flight: 0,
    }
}

impl Run {
    fn log(&self) -> String {
        let key = Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
        let public = [&[1], key.public_key().as_ref()].concat();
        let id = &sha(&[ORIGIN.as_bytes(), b"\n", &public])[..4];
        let vkey = format!("{ORIGIN}+{}+{}", hex(id), STANDARD.encode(&public));
        let header = json!({"format": "stepup-log/1", "origin": ORIGIN, "install": "ins_1", "key": vkey});
        let mut lines = vec![header];
        let mut hashes = Vec::new();
        for (leaf, (kind, refs, body)) in self.records.iter().enumerate() {
            let (salt, body) = ([7; 16], body.to_string());
            let stated = format!("sha256:{}", hex(&sha(&[&salt, body.as_bytes()])));
            let envelope = json!({"v": 1, "id": format!("rec_{leaf}"), "at": 1_700_000_000_000_i64, "node": "a",
                                  "kind": kind, "refs": refs, "body": stated});
            let envelope = envelope.to_string();
            let hash = sha(&[&[0], envelope.as_bytes()]);
            lines.push(json!({"leaf": leaf, "envelope": envelope, "hash": URL_SAFE_NO_PAD.encode(&hash),
                              "body": body, "salt": URL_SAFE_NO_PAD.encode(salt)}));
            hashes.push(hash);
        }
        let text = format!("{ORIGIN}\n{}\n{}\n", hashes.len(), STANDARD.encode(root(hashes)));
        let signature = [id, key.sign(text.as_bytes()).as_ref()].concat();
        let note = format!("{text}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode(signature));
        lines.push(json!({"checkpoint": note}));
        lines.iter_mut().for_each(Value::sort_all_objects);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The exit code and the report.
    fn judged(&self) -> (Option<i32>, Value) {
        self.judged_with(&self.log())
    }

    fn judged_with(&self, log: &str) -> (Option<i32>, Value) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let arrivals: String = self.arrivals.iter().map(|line| format!("{line}\n")).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepup-checker"));
        command.arg("--log").arg(write("log", log)).arg("--arrivals").arg(write("arrivals", &arrivals));
        command.arg("--canaries").arg(write("canaries", "canary-canary\n"));
        command.arg("--scan").arg(write("output", &self.output));
        let output = command.arg("--in-flight").arg(self.in_flight.to_string()).output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// Exactly this rule is broken, and the report says so.
    #[track_caller]
    fn breaks(&self, rule: &str, why: &str) {
        broken(&self.judged(), rule, why);
    }

    #[track_caller]
    fn holds(&self) {
        let (code, report) = self.judged();
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["holds"], true);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn broken((code, report): &(Option<i32>, Value), rule: &str, why: &str) {
    assert_eq!(*code, Some(1), "{report:#}");
    assert_eq!(report["holds"], false);
    for verdict in report["verdicts"].as_array().unwrap() {
        assert_eq!(verdict["holds"] == true, verdict["rule"] != rule, "{report:#}");
        assert_eq!(verdict["rule"] == rule, verdict["found"].to_string().contains(why), "{report:#}");
    }
}

#[test]
fn a_sound_run_holds_and_is_counted() {
    sound().holds();
    let (_, report) = sound().judged();
    assert_eq!(
        (&report["leaves"], &report["arrivals"], &report["permits"]),
        (&json!(8), &json!(2), &json!(2))
    );
}

#[test]
fn o1_a_call_that_nobody_permitted_is_found() {
    let mut run = sound();
    run.arrivals.push(json!({"tool": "drop", "arguments": {}}));
    run.breaks("O1", "arrival 2 (drop) has no permit");
}

#[test]
fn o1_a_call_that_arrived_twice_is_found() {
    let mut run = sound();
    run.arrivals.push(run.arrivals[0].clone());
    run.breaks("O1", "(read) has no permit");
}

#[test]
fn o1_a_call_that_did_not_arrive_is_found() {
    let mut run = sound();
    run.arrivals.remove(0);
    run.breaks("O1", "att_1 to tickets/read did not arrive");
}

#[test]
fn o1_other_arguments_another_tool_another_attempt_and_an_earlier_time_are_found() {
    for (member, value) in [
        ("arguments", json!({"ticket": 8})),
        ("arguments", json!({"ticket": 7, "more": 1})),
        ("arguments", json!({})),
        ("tool", json!("write")),
        ("attempt", json!("att_2")),
        ("at", json!(1_600_000_000_000_i64)),
    ] {
        let mut run = sound();
        run.arrivals[0][member] = value;
        run.breaks("O1", "has no permit of its own");
        run.breaks("O1", "did not arrive as it was permitted");
    }
}

#[test]
fn o1_what_was_not_sent_did_not_arrive_and_what_is_unknown_may_have() {
    let mut run = sound();
    run.records[2].2["outcome"] = json!("not_sent");
    run.breaks("O1", "(read) has no permit");
    run.arrivals.remove(0);
    run.holds();
    let mut run = sound();
    run.records[2].2["outcome"] = json!("unknown");
    run.holds();
    run.arrivals.remove(0);
    run.holds();
}

#[test]
fn o1_a_change_of_the_installation_is_in_the_log_once_if_it_was_done_and_not_at_all_if_not() {
    let changed = |outcome: &str, times: usize| {
        let mut run = sound();
        run.records[6].2 =
            json!({"access": {"action": {"name": "administer"}, "resource": {"id": "stepup/groups"}}});
        run.records[7].2 = json!({"outcome": outcome});
        run.arrivals.pop();
        let change = ("group_changed", json!({"attempt": "att_2", "grant": "grt_1"}), json!({}));
        run.records.splice(7..7, std::iter::repeat_n(change, times));
        run.judged()
    };
    for (outcome, times) in [("done", 1), ("failed", 0), ("unknown", 1), ("unknown", 0)] {
        assert_eq!(changed(outcome, times).0, Some(0), "{outcome} {times}");
    }
    for (outcome, times) in [("done", 0), ("done", 2), ("failed", 1), ("unknown", 2)] {
        broken(&changed(outcome, times), "O1", "was not changed as it was permitted");
    }
}

#[test]
fn o2_an_altered_byte_is_found_wherever_it_is() {
    let log = sound().log();
    for (from, to) in [
        (r#"\"kind\":\"voted\""#, r#"\"kind\":\"noted\""#),
        (r#""body":"{\"uses\":1}""#, r#""body":"{\"uses\":2}""#),
        (r#""leaf":4"#, r#""leaf":3"#),
        (r"\n8\n", r"\n9\n"),
        ("stepup-log/1", "stepup-log/2"),
    ] {
        let altered = log.replacen(from, to, 1);
        assert_ne!(altered, log, "{from}");
        let (code, report) = sound().judged_with(&altered);
        assert_eq!((code, &report["verdicts"][1]["holds"]), (Some(1), &json!(false)), "{from}");
    }
}

#[test]
fn o2_a_line_in_any_other_form_than_the_one_that_is_written_is_found() {
    let log = sound().log();
    let second = "\u{2014} another AAAA";
    for (what, altered) in [
        ("CRLF", log.replace('\n', "\r\n")),
        ("CRLF at one line", log.replacen("}\n", "}\r\n", 1)),
        ("white space", log.replacen("\"leaf\":3", "\"leaf\": 3", 1)),
        ("white space behind it", log.replacen("}\n", "} \n", 1)),
        (
            "another order",
            log.replacen("{\"body\":\"{}\",", "{", 1).replacen("\"leaf\":0", "\"body\":\"{}\",\"leaf\":0", 1),
        ),
        ("another escape", log.replacen("voted", "v\\u006fted", 1)),
        ("a name twice", log.replacen("\"leaf\":3", "\"leaf\":3,\"leaf\":3", 1)),
        ("no end", log.trim_end().to_owned()),
        ("another signature", log.replacen("\\n\"}\n", &format!("\\n{second}\\n\"}}\n"), 1)),
    ] {
        assert_ne!(altered, log, "{what}");
        let (code, report) = sound().judged_with(&altered);
        // A name that comes twice is no log at all.
        let found = code == Some(2) || (code == Some(1) && report["verdicts"][1]["holds"] == json!(false));
        assert!(found, "{what}: {report:#}");
    }
}

#[test]
fn o2_a_line_that_is_missing_is_found() {
    let log = sound().log();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    for missing in 1..9 {
        let left = lines.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, line)| *line);
        let (code, report) = sound().judged_with(&left.collect::<String>());
        assert_eq!((code, &report["verdicts"][1]["holds"]), (Some(1), &json!(false)));
    }
    assert_eq!(sound().judged_with(&lines[..9].concat()).0, Some(2));
}

#[test]
fn o2_a_body_that_is_gone_needs_a_record_that_says_so() {
    let gone = |log: String| {
        let without = |(i, line): (usize, &str)| {
            let mut json: Value = serde_json::from_str(line).unwrap();
            if i == 5 {
                (json["body"], json["salt"]) = (Value::Null, Value::Null);
            }
            format!("{json}\n")
        };
        log.lines().enumerate().map(without).collect::<String>()
    };
    let mut run = sound();
    run.records.push(("erased", json!({}), json!({"leaf": 4})));
    let (code, report) = run.judged_with(&gone(run.log()));
    assert_eq!(code, Some(0), "{report:#}");
    broken(&sound().judged_with(&gone(sound().log())), "O2", "leaf 4: its body is gone");
}

#[test]
fn o3_a_canary_in_an_output_or_in_the_log_is_found() {
    let mut run = sound();
    run.output = "token=canary-canary".to_owned();
    run.breaks("O3", "canary 1 is in it (plain)");
    let mut run = sound();
    run.output = format!("x{}", STANDARD.encode("?canary-canary"));
    run.breaks("O3", "(base64");
    let mut run = sound();
    run.records[3].2 = json!({"purpose": "canary-canary"});
    run.breaks("O3", "canary 1 is in it");
}

#[test]
fn o4_a_permit_without_outcome_is_found_beyond_those_in_flight() {
    let mut run = sound();
    run.records.pop();
    run.breaks("O4", "att_2 has no outcome");
    run.in_flight = 1;
    run.holds();
    let mut run = sound();
    run.records[7].2 = json!({"outcome": "perhaps"});
    run.breaks("O4", "is no outcome");
}

#[test]
fn o5_a_grant_that_is_spent_too_often_is_found() {
    let mut run = sound();
    run.records[5].2 = json!({"uses": 0});
    run.breaks("O5", "no use left");
    let mut run = sound();
    let mut again = run.records[6].clone();
    again.1["attempt"] = json!("att_3");
    run.records.push(again);
    run.in_flight = 1;
    run.breaks("O5", "no use left"); // and under way, so that it need not have arrived
}

#[test]
fn o5_a_spend_before_its_grant_or_after_its_revocation_is_found() {
    let mut run = sound();
    run.records.swap(5, 6);
    run.breaks("O5", "never issued");
    let mut run = sound();
    run.records.insert(6, ("revoked", json!({}), json!({"grants": ["grt_1"]})));
    run.breaks("O5", "no use left");
}

#[test]
fn o5_an_elevation_that_ends_twice_or_is_voted_on_afterwards_is_found() {
    for kind in ["voted", "granted", "rejected", "expired", "withdrawn", "superseded"] {
        let mut run = sound();
        let refs = json!({"elevation": "elv_1", "grant": "grt_2"});
        run.records.push((kind, refs, json!({"uses": 1})));
        run.breaks("O5", "the elevation is over");
    }
    let mut run = sound();
    run.records.swap(3, 4);
    run.breaks("O5", "the elevation was never opened");
}

#[test]
fn o5_an_outcome_comes_once_after_its_permit_and_is_resolved_only_if_unknown() {
    let mut run = sound();
    run.records.push(run.records[7].clone());
    run.breaks("O5", "settled before");
    let mut run = sound();
    run.records.push(("settled", json!({"attempt": "att_9"}), json!({"outcome": "done"})));
    run.breaks("O5", "never permitted");
    let mut run = sound();
    run.records.push(("resolved", json!({"attempt": "att_2"}), json!({"outcome": "done"})));
    run.breaks("O5", "was not unknown");
    run.records[7].2 = json!({"outcome": "unknown"});
    run.holds();
    run.records.push(run.records[8].clone());
    run.breaks("O5", "resolved before");
}

#[test]
fn what_is_no_log_is_not_judged() {
    for log in ["", "{}", "nonsense\n", "{\"format\":\"stepup-log/1\"}\n"] {
        assert_eq!(sound().judged_with(log), (Some(2), Value::Null));
    }
}

/// The one file that both sides read: `crates/audit` holds it to be what it writes.
#[test]
fn a_log_that_the_gateways_own_code_wrote_is_read_from_the_page_alone() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit/tests/golden/log.jsonl");
    let output =
        Command::new(env!("CARGO_BIN_EXE_stepup-checker")).arg("--log").arg(golden).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["leaves"], &report["permits"]), (&json!(11), &json!(2)));
}
