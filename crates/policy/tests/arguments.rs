//! Arguments as rules see them (decisions A3, A4; §9 "Absent, null, defaults").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use terms::Pointer;

/// Whether a rule that takes `condition` for harmless permits these arguments, in a word.
fn harmless(properties: &str, condition: &str, arguments: &str) -> String {
    let rule = deploy_rule("@stepup(\"unreviewed\") forbid", &format!("unless {{ {condition} }}"));
    says(&set(&rule), &tool("deploy", properties), arguments)
}

#[test]
fn the_type_comes_from_the_schema_and_never_from_the_value() {
    let amount = r#"{"amount":{"type":"number"}}"#;
    let small = r#"context.arguments.amount.lessThanOrEqual(decimal("1000.0"))"#;
    for (value, expected) in [
        ("100", "permit"),
        ("100.5", "permit"),
        ("1e2", "permit"),
        ("0.0001", "permit"),
        ("1000.0001", "unreviewed"),
        ("922337203685477", "unreviewed"),
        ("\"100\"", r#"unjudgeable ["/amount"]"#),
        ("true", r#"unjudgeable ["/amount"]"#),
        ("0.00001", r#"unjudgeable ["/amount"]"#),
        ("922337203685478", r#"unjudgeable ["/amount"]"#),
        ("1e300", r#"unjudgeable ["/amount"]"#),
    ] {
        assert_eq!(harmless(amount, small, &format!(r#"{{"amount":{value}}}"#)), expected, "{value}");
    }
    let whole = r#"{"n":{"type":"integer"}}"#;
    for (value, expected) in
        [("3", "permit"), ("3.0", "permit"), ("9", "unreviewed"), ("3.5", r#"unjudgeable ["/n"]"#)]
    {
        assert_eq!(
            harmless(whole, "context.arguments.n < 5", &format!(r#"{{"n":{value}}}"#)),
            expected,
            "{value}"
        );
    }
}

#[test]
fn a_latitude_is_no_reason_to_deny_unless_a_rule_speaks_of_it() {
    let place = r#"{"lat":{"type":"number"},"city":{"type":"string"}}"#;
    let berlin = r#"{"lat":52.520008,"city":"Berlin"}"#;
    assert_eq!(harmless(place, "true", berlin), "permit");
    assert_eq!(harmless(place, r#"context.arguments.city == "Berlin""#, berlin), "permit");
    assert_eq!(harmless(place, "context.unjudged.isEmpty()", berlin), "unreviewed");
    assert_eq!(harmless(place, r#"context.unjudged == ["/lat"]"#, berlin), "permit");
    let north = r#"context.arguments.lat.greaterThan(decimal("0.0"))"#;
    assert_eq!(harmless(place, north, berlin), r#"unjudgeable ["/lat"]"#);
}

#[test]
fn a_rule_speaks_of_a_place_by_naming_it_or_one_above_or_below_it_in_any_spelling() {
    let free = r#"{"target":{"type":"object"},"other":{"type":"string"}}"#;
    let arguments = r#"{"target":{"name":"x"},"other":"y"}"#;
    let spoken = [
        "context.arguments has target",
        "context has arguments.target",
        r#"context.arguments.target == {name: "x"}"#,
        r#"context["arguments"]["target"] == {name: "x"}"#,
        r#"context.arguments.target.name == "x""#,
        r#"context.arguments has target.name && context.arguments.target.name == "x""#,
        r#"(if context.arguments.other == "y" then context.arguments else {other: "z"}).other == "y""#,
        r#"context.arguments == {other: "y"}"#,
        "[context].contains(context)",
        "context.arguments has targetCount",
        "context.arguments has targetIsNull",
    ];
    for condition in spoken {
        assert_eq!(harmless(free, condition, arguments), r#"unjudgeable ["/target"]"#, "{condition}");
    }
    assert_eq!(harmless(free, r#"context.arguments.other == "y""#, arguments), "permit");
    assert_eq!(harmless(free, r#"context.text like "*x*""#, arguments), "permit");
}

#[test]
fn what_has_no_type_in_cedar_is_unjudged_at_its_place_and_nowhere_else() {
    let table = [
        (r#"{"a":{}}"#, r#"{"a":1}"#, "/a"),
        (r#"{"a":true}"#, r#"{"a":1}"#, "/a"),
        (r##"{"a":{"$ref":"#/$defs/a"}}"##, r#"{"a":1}"#, "/a"),
        (r##"{"a":{"type":"string","$ref":"#/$defs/a"}}"##, r#"{"a":"x"}"#, "/a"),
        (r#"{"a":{"oneOf":[{"type":"string"},{"type":"integer"}]}}"#, r#"{"a":"x"}"#, "/a"),
        (r#"{"a":{"type":["string","integer"]}}"#, r#"{"a":"x"}"#, "/a"),
        (r#"{"a":{"enum":["x",1]}}"#, r#"{"a":"x"}"#, "/a"),
        (r#"{"a":{"type":"object"}}"#, r#"{"a":{}}"#, "/a"),
        (r#"{"a":{"type":"array"}}"#, r#"{"a":[]}"#, "/a"),
        (r#"{"a":{"type":"array","items":{"type":"array"}}}"#, r#"{"a":[]}"#, "/a"),
        (r#"{"a":{"type":"array","items":{"type":"string"}}}"#, r#"{"a":["x",1]}"#, "/a"),
        (r#"{"a":{"type":"array","items":{"type":["string","null"]}}}"#, r#"{"a":["x",null]}"#, "/a"),
        (r#"{"a":{"type":"string"}}"#, r#"{"a":null}"#, "/a"),
        (r#"{"a":{"type":"string"}}"#, r#"{"a":"x","b/c":1}"#, "/b~1c"),
        (
            r#"{"a":{"type":"object","properties":{"b":{"type":"string"}}}}"#,
            r#"{"a":{"b":"x","c":1}}"#,
            "/a/c",
        ),
        (r#"{"a":{"type":"object","properties":{"b":{"type":"string"}}}}"#, r#"{"a":[1]}"#, "/a"),
    ];
    for (properties, arguments, place) in table {
        let condition = format!("context.unjudged == [\"{place}\"]");
        assert_eq!(harmless(properties, &condition, arguments), "permit", "{properties} {arguments}");
    }
}

#[test]
fn typed_values_reach_rules_with_their_types() {
    let table = [
        (r#"{"a":{"type":"boolean"}}"#, r#"{"a":true}"#, "context.arguments.a"),
        (r#"{"a":{"enum":["x","y"]}}"#, r#"{"a":"x"}"#, r#"context.arguments.a == "x""#),
        (r#"{"a":{"const":true}}"#, r#"{"a":true}"#, "context.arguments.a"),
        (r#"{"a":{"type":["integer","number"]}}"#, r#"{"a":1}"#, r#"context.arguments.a == decimal("1.0")"#),
        (
            r#"{"tags":{"type":"array","items":{"type":"string"}}}"#,
            r#"{"tags":["a","b","a"]}"#,
            r#"context.arguments.tags.contains("a") && context.arguments.tagsCount == 3"#,
        ),
        (
            r#"{"tags":{"type":"array","items":{"type":"string"}}}"#,
            r#"{"tags":[]}"#,
            "context.arguments.tags.isEmpty() && context.arguments.tagsCount == 0",
        ),
        (
            r#"{"to":{"type":"object","properties":{"iban":{"type":"string"}}}}"#,
            r#"{"to":{"iban":"DE1"}}"#,
            r#"context.arguments.to.iban == "DE1""#,
        ),
    ];
    for (properties, arguments, condition) in table {
        assert_eq!(harmless(properties, condition, arguments), "permit", "{condition}");
    }
}

#[test]
fn null_is_judged_only_where_the_schema_allows_it() {
    let either = [
        r#"{"who":{"type":["string","null"]}}"#,
        r#"{"who":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}}"#,
    ];
    let condition =
        r#"context.arguments.whoIsNull || (context.arguments has who && context.arguments.who == "x")"#;
    for properties in either {
        assert_eq!(harmless(properties, condition, r#"{"who":null}"#), "permit");
        assert_eq!(harmless(properties, condition, r#"{"who":"x"}"#), "permit");
        assert_eq!(harmless(properties, condition, r#"{"who":"y"}"#), "unreviewed");
        assert_eq!(harmless(properties, condition, r#"{"who":1}"#), r#"unjudgeable ["/who"]"#);
    }
    assert_eq!(harmless(either[0], "!context.arguments.whoIsNull", "{}"), "permit", "absent is not null");
    let never = r#"{"who":{"type":"string"}}"#;
    assert_eq!(harmless(never, r#"context.arguments has who"#, r#"{"who":null}"#), r#"unjudgeable ["/who"]"#);
}

#[test]
fn what_is_not_sent_is_judged_as_the_default_that_the_upstream_takes() {
    let properties = r#"{"environment":{"type":"string","default":"production"}}"#;
    let staging = r#"["staging"].contains(context.arguments.environment)"#;
    assert_eq!(harmless(properties, staging, "{}"), "unreviewed");
    assert_eq!(harmless(properties, staging, r#"{"environment":"staging"}"#), "permit");
    let misfit = r#"{"environment":{"type":"string","default":7}}"#;
    assert_eq!(harmless(misfit, staging, "{}"), r#"unjudgeable ["/environment"]"#);
}

#[test]
fn a_caller_cannot_make_an_entity_or_an_extension_value_at_any_depth() {
    let escapes = [
        r#"{"__entity":{"type":"Group","id":"admins"}}"#,
        r#"{"__extn":{"fn":"ip","arg":"127.0.0.1"}}"#,
        r#"{"__expr":"Group::\"admins\""}"#,
    ];
    // Typed by a schema that calls its own properties so, the keys stay keys at every depth.
    for escape in escapes {
        let (mut properties, mut arguments, mut at) =
            (r#"{"type":"object"}"#.to_owned(), escape.to_owned(), String::new());
        for _ in 0..5 {
            assert_eq!(
                harmless(&format!(r#"{{"a":{properties}}}"#), "true", &format!(r#"{{"a":{arguments}}}"#)),
                "permit"
            );
            let place = format!("context.arguments.a{at} == Group::\"admins\"");
            let judged =
                harmless(&format!(r#"{{"a":{properties}}}"#), &place, &format!(r#"{{"a":{arguments}}}"#));
            assert!(judged.starts_with("unjudgeable"), "{judged}");
            properties = format!(r#"{{"type":"object","properties":{{"b":{properties}}}}}"#);
            arguments = format!(r#"{{"b":{arguments}}}"#);
            at.push_str(".b");
        }
    }
    let named = r#"{"a":{"type":"object","properties":{"__entity":{"type":"object","properties":{"type":{"type":"string"},"id":{"type":"string"}}}}}}"#;
    let sent = format!(r#"{{"a":{}}}"#, escapes[0]);
    assert_eq!(harmless(named, r#"context.arguments.a.__entity.id == "admins""#, &sent), "permit");
    assert_eq!(harmless(named, r#"context.arguments.a == Group::"admins""#, &sent), "unreviewed");
    assert_eq!(harmless(named, r#"context.arguments.a in Group::"admins""#, &sent), "failed");
    let extn = r#"{"a":{"type":"object","properties":{"__extn":{"type":"object","properties":{"fn":{"type":"string"},"arg":{"type":"string"}}}}}}"#;
    let sent = format!(r#"{{"a":{}}}"#, escapes[1]);
    assert_eq!(harmless(extn, "context.arguments.a.isLoopback()", &sent), "failed");
    assert_eq!(harmless(extn, r#"context.arguments.a.__extn.arg == "127.0.0.1""#, &sent), "permit");
    let top =
        r#"{"__entity":{"type":"object","properties":{"type":{"type":"string"},"id":{"type":"string"}}}}"#;
    assert_eq!(harmless(top, r#"context.arguments == Group::"admins""#, escapes[0]), "unreviewed");
}

#[test]
fn a_sealed_secret_is_no_reason_to_deny_unless_a_rule_speaks_of_it() {
    let (caller, tool) =
        (caller(), tool("deploy", r#"{"name":{"type":"string"},"value":{"type":"string"}}"#));
    let secret: Pointer = "/value".parse().unwrap();
    let access = access_with(&caller, &tool, r#"{"name":"db","value":"hunter2"}"#, &[secret]);
    let word = |condition: &str| {
        let rule = deploy_rule("@stepup(\"unreviewed\") forbid", &format!("unless {{ {condition} }}"));
        let question =
            policy::Question { caller: &caller, access: &access, target: &tool, moment: &moment() };
        common::word(&policy::judge(&set(&rule), &question))
    };
    assert_eq!(word(r#"context.arguments.name == "db""#), "permit");
    assert_eq!(word(r#"context.text like "*hunter2*""#), "unreviewed", "no rule sees a secret");
    assert_eq!(word(r#"context.text like "*$sealed*""#), "permit");
    assert_eq!(word(r#"context.arguments.value == "hunter2""#), r#"unjudgeable ["/value"]"#);
}

#[test]
fn a_schema_of_any_depth_or_shape_is_read_without_harm() {
    let mut properties = r#"{"type":"string"}"#.to_owned();
    let mut arguments = r#""x""#.to_owned();
    for _ in 0..20 {
        properties = format!(r#"{{"type":"object","properties":{{"a":{properties}}}}}"#);
        arguments = format!(r#"{{"a":{arguments}}}"#);
    }
    let properties = format!(r#"{{"a":{properties}}}"#);
    let arguments = format!(r#"{{"a":{arguments}}}"#);
    assert_eq!(harmless(&properties, "true", &arguments), "permit");
    assert!(
        harmless(&properties, "context.arguments has a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", &arguments)
            .starts_with("unjudgeable")
    );
    for odd in
        ["null", "true", "[]", r#"{"type":"array"}"#, r#"{"properties":[]}"#, r#"{"properties":{"a":null}}"#]
    {
        let tool = policy::Target::new(policy::Facts { schema: json(odd), ..facts("deploy", "{}") });
        assert_eq!(says(&set(ALL), &tool, r#"{"a":1}"#), "permit", "{odd}");
        let strict = set(&deploy_rule("forbid", "unless { context.unjudged.isEmpty() }"));
        assert_eq!(says(&strict, &tool, r#"{"a":1}"#), "forbidden", "{odd}");
    }
}
