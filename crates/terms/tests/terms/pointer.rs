//! JSON Pointers (RFC 6901).

use proptest::prelude::*;
use terms::{Json, Pointer};

use crate::support::{any_json, at, cases, parse, places, string};

#[test]
fn the_examples_of_rfc_6901_section_5() {
    let document = parse(
        r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#,
    );
    let table = [
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ];
    assert_eq!(at("").of(&document), Some(&document));
    for (pointer, expected) in table {
        assert_eq!(at(pointer).of(&document).map(Json::text).as_deref(), Some(expected), "{pointer}");
        assert_eq!(at(pointer).to_string(), pointer);
    }
}

#[test]
fn tildes_are_escapes_and_nothing_else_is_a_pointer() {
    assert_eq!(at("/~01").steps(), ["~1"]);
    assert_eq!(at("/~0~1/~1~0").steps(), ["~/", "/~"]);
    for text in ["a", "foo/bar", "/~", "/~2", "/a~", "/~~0", "#/a", " /a"] {
        assert!(text.parse::<Pointer>().is_err(), "{text}");
    }
}

#[test]
fn an_index_has_no_leading_zero_sign_or_end_mark() {
    let document = parse(r#"[["a","b"],{"01":1}]"#);
    for pointer in [
        "/0/01",
        "/0/-",
        "/0/+1",
        "/0/-1",
        "/0/1e0",
        "/0/",
        "/0/2",
        "/00",
        "/0/99999999999999999999999",
        "/0/١",
        "/0/0/0",
    ] {
        assert_eq!(at(pointer).of(&document), None, "{pointer}");
    }
    assert_eq!(at("/0/1").of(&document), Some(&Json::from("b")));
    assert_eq!(at("/1/01").of(&document), Some(&Json::from(1_u32)), "a member's name is any text");
}

#[test]
fn a_pointer_covers_itself_and_what_is_inside_by_whole_steps() {
    let covers = |a: &str, b: &str| at(a).covers(&at(b));
    assert!(covers("", "") && covers("", "/a/b") && covers("/a", "/a") && covers("/a", "/a/b"));
    assert!(!covers("/a", "/ab") && !covers("/a/b", "/a") && !covers("/a", "/b") && !covers("/a", ""));
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_pointer_reads_back(steps in prop::collection::vec(string(), 0..5)) {
        let inward = steps.iter().fold(Pointer::root(), |at, step| at.child(step));
        let outward = steps.iter().rev().fold(Pointer::root(), |at, step| at.within(step));
        prop_assert_eq!(&inward, &outward);
        prop_assert_eq!(inward.to_string().parse(), Ok(inward));
    }

    #[test]
    fn every_place_of_a_value_is_found_and_agrees_with_serde_json(value in any_json(), text in "(/[a-c~01/-]{0,3}){0,3}") {
        let theirs: serde_json::Value = serde_json::from_str(&value.text()).unwrap();
        let mut value = value;
        for place in places(&value.clone()) {
            let pointer = place.to_string();
            let found = place.of(&value).map(Json::text);
            prop_assert!(found.is_some());
            prop_assert_eq!(place.of_mut(&mut value).map(|v| v.text()), found);
            prop_assert!(theirs.pointer(&pointer).is_some(), "{}", pointer);
        }
        if let Ok(pointer) = text.parse::<Pointer>() {
            prop_assert_eq!(pointer.of(&value).is_some(), theirs.pointer(&text).is_some(), "{} in {}", text, value);
        }
    }
}
