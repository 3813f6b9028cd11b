//! Strict in, canonical out (R2, R3, R19).

use proptest::prelude::*;
use terms::Json;
use terms::json::{Limits, NotJson, Object, parse, parse_canonical, parse_within};

use crate::suites::rule;
use crate::support::{any_json, cases, string};

/// The same value as another program might write it: members in any order, white space, escapes.
fn messy(value: &Json, choices: &mut impl Iterator<Item = u8>) -> String {
    let mut choose = || choices.next().unwrap_or(0);
    let space = |c: u8| ["", " ", "\n", "\t \r\n"][usize::from(c % 4)];
    let (before, after) = (space(choose()), space(choose()));
    let text = match value {
        Json::String(s) => messy_string(s, choose()),
        Json::Number(n) => messy_number(&n.text(), choose()),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(|i| messy(i, choices)).collect();
            format!("[{}{before}]", items.join(","))
        }
        Json::Object(members) => {
            let turn = usize::from(choose());
            let style = choose();
            let mut members: Vec<_> = members
                .iter()
                .map(|(n, v)| format!("{after}{}{before}:{}", messy_string(n, style), messy(v, choices)))
                .collect();
            let by = turn % members.len().max(1);
            members.rotate_left(by);
            if turn % 2 == 1 {
                members.reverse();
            }
            format!("{{{}{after}}}", members.join(","))
        }
        Json::Null | Json::Bool(_) => value.text(),
    };
    format!("{before}{text}{after}")
}

fn messy_string(s: &str, style: u8) -> String {
    match style % 3 {
        0 => Json::from(s).text(),
        1 => {
            let units: String = s.encode_utf16().map(|u| format!("\\u{u:04X}")).collect();
            format!("\"{units}\"")
        }
        // Behind a backslash of the text's own, `\n` would not be a line feed.
        _ if s.contains('\\') => Json::from(s).text().replace('/', "\\/"),
        _ => Json::from(s).text().replace('/', "\\/").replace("\\n", "\\u000a"),
    }
}

fn messy_number(text: &str, style: u8) -> String {
    match style % 3 {
        1 if !text.contains(['.', 'e']) => format!("{text}.000"),
        2 if !text.contains('e') => format!("{text}E+00"),
        _ => text.to_owned(),
    }
}

/// The same value in another program's terms, where it is the same.
fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::String(a), Value::String(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => {
            b.as_f64().is_some_and(|b| b.to_bits() == a.as_f64().to_bits())
        }
        (Json::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

/// Whatever serde_json makes of it, we make the same of it or refuse it by a named rule.
fn agrees(bytes: &[u8]) -> Result<(), String> {
    match (parse(bytes), serde_json::from_slice::<serde_json::Value>(bytes)) {
        (Ok(ours), Ok(theirs)) if same(&ours, &theirs) => Ok(()),
        (Ok(ours), Ok(theirs)) => Err(format!("{ours} is not {theirs}")),
        (Ok(ours), Err(e)) => Err(format!("{ours} was accepted, and serde_json says {e}")),
        (Err(refused), Ok(theirs)) if rule(&refused) == "syntax" => Err(format!("{refused}: {theirs}")),
        (Err(_), _) => Ok(()),
    }
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn canonical_text_is_a_fixed_point(value in any_json()) {
        let text = value.text();
        let again = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(again.text(), text);
    }

    #[test]
    fn however_a_value_is_written_its_text_is_one(
        value in any_json(),
        choices in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let written = messy(&value, &mut choices.into_iter().cycle().take(10_000));
        let read = parse(written.as_bytes()).map_err(|e| TestCaseError::fail(format!("{written}: {e}")))?;
        prop_assert_eq!(read.text(), value.text());
        prop_assert!(agrees(written.as_bytes()).is_ok());
    }

    #[test]
    fn members_in_any_order_give_the_same_text(
        members in prop::collection::btree_map(string(), any_json(), 0..8).prop_map(|m| m.into_iter().collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let shuffled: Object = members.iter().cloned().collect();
        let mut sorted = members;
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let sorted: Object = sorted.into_iter().collect();
        prop_assert_eq!(Json::Object(shuffled).text(), Json::Object(sorted).text());
    }

    #[test]
    fn of_all_texts_of_a_value_only_the_canonical_one_is_taken_as_canonical(
        value in any_json(),
        choices in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        prop_assert_eq!(&parse_canonical(value.text().as_bytes(), Limits::REQUEST), &Ok(value.clone()));
        let written = messy(&value, &mut choices.into_iter().cycle().take(10_000));
        let taken = parse_canonical(written.as_bytes(), Limits::REQUEST);
        prop_assert_eq!(taken.is_ok(), written == value.text(), "{}: {:?}", written, taken);
    }

    #[test]
    fn no_text_has_two_readings(
        value in any_json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4),
    ) {
        let mut bytes = value.text().into_bytes();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1));
            let byte = if byte < 128 { b"{}[]\",:\\u0123456789+-.eEtfn \n"[usize::from(byte) % 29] } else { byte };
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.insert(at.min(bytes.len()), byte),
            }
        }
        prop_assert_eq!(agrees(&bytes), Ok(()));
        let canonical = parse(&bytes).ok().filter(|read| read.text().as_bytes() == bytes);
        prop_assert_eq!(parse_canonical(&bytes, Limits::REQUEST).ok(), canonical);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(agrees(&bytes), Ok(()));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_however_it_is_spelt_and_wherever(
        name in string(), other in string(), value in any_json(), style in any::<u8>(), depth in 0_usize..6,
    ) {
        prop_assume!(name != other);
        let (first, again) = (Json::from(name.as_str()).text(), messy_string(&name, style));
        let twice = format!("{{{first}:1,{}:2,{again}:{value}}}", Json::from(other.as_str()));
        let nested = format!("{}{twice}{}", "{\"a\":[".repeat(depth), "]}".repeat(depth));
        let refused = parse(nested.as_bytes());
        prop_assert!(matches!(refused, Err(NotJson::DuplicateKey { .. })), "{}: {:?}", nested, refused);
    }
}

#[test]
fn members_are_sorted_by_utf16_code_units() {
    // U+1F600 is D83D DE00 in UTF-16, so it sorts before U+FB33; by code points it would not (RFC 8785 §3.2.3).
    let names = ["\r", "1", "\u{80}", "\u{f6}", "\u{20ac}", "\u{1f600}", "\u{fb33}", "\u{ffff}"];
    let sorted = Json::object(names.iter().rev().map(|n| (*n, true)));
    let read: Vec<_> = sorted.as_object().unwrap().iter().map(|(n, _)| n).collect();
    assert_eq!(read, names);
    for name in names {
        assert!(sorted.get(name).is_some(), "{name:?} is found again");
    }
}

#[test]
fn of_two_members_set_the_later_one_stays() {
    let mut object: Object = [("a", 1_u32), ("b", 2), ("a", 3)].into_iter().collect();
    assert_eq!(Json::Object(object.clone()).text(), r#"{"a":3,"b":2}"#);
    assert_eq!(object.insert("b", 4_u32), Some(Json::from(2_u32)));
    assert_eq!(object.remove("a"), Some(Json::from(3_u32)));
    assert_eq!(object.remove("a"), None);
    assert_eq!(Json::Object(object).text(), r#"{"b":4}"#);
}

#[test]
fn a_string_writes_the_short_escapes_and_all_else_as_it_is() {
    let all: String = (0..=0x80_u8).map(char::from).collect();
    let expected = [
        r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
        r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"#,
        " !\\\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\u{7f}\u{80}\"",
    ];
    assert_eq!(Json::from(all).text(), expected.concat());
}

#[test]
fn a_control_character_in_a_string_is_refused_and_any_other_is_not() {
    for byte in 0..=0x7f_u8 {
        let text = [b'"', byte, b'"'];
        let is_refused = byte < b' ' || byte == b'"' || byte == b'\\';
        assert_eq!(parse(&text).is_err(), is_refused, "{byte:#x}");
    }
}

#[test]
fn lone_surrogates_and_halves_are_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800x""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#""\ud800\ue000""#,
        r#""\ud800\udbff""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude0""#,
        r#""\ud83d\""#,
        r#""\u+041""#,
        r#""\u00é""#,
    ] {
        assert!(matches!(parse(text.as_bytes()), Err(NotJson::Syntax { .. })), "{text}");
    }
    assert_eq!(parse(br#""\ud83d\ude00""#), Ok(Json::from("\u{1f600}")));
}

#[test]
fn each_limit_holds_at_its_edge() {
    let limits = Limits { bytes: 60, depth: 3, items: 4, string: 5 };
    let over = |text: &str| match parse_within(text.as_bytes(), limits) {
        Ok(_) => "",
        Err(NotJson::TooLarge { what }) => what,
        Err(other) => panic!("{text}: {other}"),
    };
    let table = [
        ("[[[1]]]", ""),
        ("[[[[1]]]]", "depth of nesting"),
        ("{\"a\":[{}]}", ""),
        ("{\"a\":[{\"b\":{}}]}", "depth of nesting"),
        ("[1,2,3,4]", ""),
        ("[1,2,3,4,5]", "number of members and items"),
        ("[[1],{\"a\":2}]", ""),
        ("[[1],{\"a\":[2]}]", "number of members and items"),
        ("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}", "number of members and items"),
        ("\"12345\"", ""),
        ("\"123456\"", "length of a string"),
        ("\"1234\\n\"", ""),
        ("\"12345\\n\"", "length of a string"),
        ("\"\\n\\n\\n\\n\\n\\n\"", "length of a string"),
        ("\"\\u20ac12\"", ""),
        ("\"\\u20ac\\u20ac\"", "length of a string"),
        ("{\"123456\":1}", "length of a string"),
    ];
    for (text, expected) in table {
        assert_eq!(over(text), expected, "{text}");
    }
    assert_eq!(over(&" ".repeat(58)[..].replacen("  ", "[]", 1)), "");
    assert_eq!(over(&" ".repeat(61)), "size of the text");
}

#[test]
fn the_budget_of_a_request_is_that_of_decisions_b23() {
    let limits = Limits::REQUEST;
    assert_eq!((limits.bytes, limits.depth, limits.items, limits.string), (1 << 20, 64, 4096, 256 << 10));
}

/// Parse, compare, write, clone and drop recurse; a connection's stack is small.
#[test]
fn nesting_at_the_limit_fits_a_small_stack_and_beyond_it_is_refused() {
    let limits = Limits::ANSWER;
    let nest = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let tried = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[[],{\"a\":1},", "]")] {
            let text = nest(open, "1", close, limits.depth - 1);
            let value = parse_within(text.as_bytes(), limits).unwrap();
            assert_eq!(value.clone(), value);
            assert_eq!(value.text(), text);
            drop(value);
            for depth in [limits.depth + 1, 100_000] {
                let text = nest(open, "1", close, depth);
                assert!(matches!(
                    parse_within(text.as_bytes(), limits),
                    Err(NotJson::TooLarge { what: "depth of nesting" })
                ));
                assert!(parse_within(open.repeat(depth).as_bytes(), limits).is_err());
            }
        }
    });
    tried.unwrap().join().unwrap();
}

#[test]
fn an_integer_that_no_double_holds_is_written_as_text() {
    assert_eq!(Json::from(1_i64 << 53).text(), "9007199254740992");
    assert_eq!(Json::from((1_i64 << 53) + 1).text(), "\"9007199254740993\"");
    assert_eq!(Json::from(i64::MIN).text(), "\"-9223372036854775808\"");
}

#[test]
fn whoever_writes_another_form_is_told_where_it_begins() {
    let other = |text: &str| match parse_canonical(text.as_bytes(), Limits::REQUEST) {
        Err(NotJson::NotCanonical { at, what }) => (at, what),
        read => panic!("{text}: {read:?}"),
    };
    assert_eq!(other("{\"a\": 1}"), (5, "white space outside a string"));
    assert_eq!(other("1\r"), (1, "white space outside a string"));
    assert_eq!(other("[1.0]"), (1, "a number in another form"));
    assert_eq!(other("[\"ab\\/\"]"), (4, "an escape in another form"));
    assert_eq!(other("\"\\u001F\""), (1, "an escape in another form"));
    assert_eq!(other("\"\\u000a\""), (1, "an escape in another form"));
    assert_eq!(other("{\"b\":1,\"a\":2}"), (7, "a member that comes before the last one"));
}
