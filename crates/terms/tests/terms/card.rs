//! The card: its hash covers everything on it, and it hides nothing (invariants 6 and 9).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;
use terms::card::{
    CallerLine, Card, Claims, Field, LastSame, Needed, ToolLine, TouchLine, Toucher, Unusual, UnusualText,
    UpstreamLine, fields,
};
use terms::json::{Limits, parse_within};
use terms::text::Flag;
use terms::{Binds, Json, Millis, Pointer, Terms, Time};

use crate::support::{access, arguments, at, cases, parse, places, sealed};

pub fn card() -> Card {
    Card {
        title: "Deploy 2.4.1 to production".to_owned(),
        environment: "production".to_owned(),
        caller: CallerLine {
            name: "deploy-bot".to_owned(),
            owner: "ada".to_owned(),
            chain: vec!["planner".to_owned()],
            key_bound: false,
            key_prefix: "sk_7f".to_owned(),
            source: "10.0.0.7".to_owned(),
        },
        fields: vec![Field {
            pointer: at("/version"),
            label: "version".to_owned(),
            value: "2.4.1".to_owned(),
            flags: vec![Flag::Long],
            secret: false,
        }],
        defaults: vec![(at("/force"), "false".to_owned())],
        references: vec![(at("/artifact"), Some("sha256:00".to_owned())), (at("/branch"), None)],
        free: vec![at("/comment")],
        touches: Vec::new(),
        claims: Claims { purpose: Some("release".to_owned()), ticket: Some("OPS-1".to_owned()) },
        unusual: vec![Unusual { text: UnusualText::FirstTime, with: vec!["deploy-bot".to_owned()] }],
        last_same: Some(LastSame { at: Time::from_millis(1_700_000_000_000), outcome: "done".to_owned() }),
        grants: Terms {
            pending_for: Millis::seconds(3600),
            valid_for: Millis::seconds(900),
            uses: NonZeroU32::MIN,
            binds: Binds::Everything,
        },
        needed: vec![Needed {
            leaf: "1 approval from ops".to_owned(),
            met_by: vec!["eve".to_owned()],
            met: true,
        }],
        tool: ToolLine { digest: "sha256:01".to_owned(), reviewed: Some("acts".to_owned()) },
        upstream: UpstreamLine { id: "ops".to_owned(), identity: "sha256:02".to_owned() },
        words: ["one", "two", "three", "four"].map(str::to_owned),
    }
}

/// The same card of what touches something: a card that touches nothing is the one that it was before there was this member.
fn touching() -> Card {
    let by = vec![Toucher { human: "dave".to_owned(), caller: "batch-bot".to_owned(), certain: true }];
    let touches = vec![TouchLine { kind: "batch".to_owned(), key: "17".to_owned(), by }];
    Card { touches, ..card() }
}

/// One change of each part of what it touches, as of the other fields.
fn changes_of_touches() -> Vec<fn(&mut Card)> {
    let TouchLine { kind: _, key: _, by } = touching().touches[0].clone();
    let Toucher { human: _, caller: _, certain: _ } = by[0].clone();
    vec![
        |c| c.touches[0].kind.push('x'),
        |c| c.touches[0].key.push('x'),
        |c| c.touches[0].by.clear(),
        |c| c.touches[0].by[0].human.push('x'),
        |c| c.touches[0].by[0].caller.push('x'),
        |c| c.touches[0].by[0].certain = false,
    ]
}

/// One change of each field. The patterns name every field, so that a new one does not compile until it is here.
fn changes() -> Vec<fn(&mut Card)> {
    let Card {
        title: _,
        environment: _,
        caller,
        fields,
        defaults: _,
        references: _,
        free: _,
        touches: _,
        claims,
        unusual,
        last_same,
        grants,
        needed,
        tool,
        upstream,
        words: _,
    } = card();
    let CallerLine { name: _, owner: _, chain: _, key_bound: _, key_prefix: _, source: _ } = caller;
    let Field { pointer: _, label: _, value: _, flags: _, secret: _ } = fields[0].clone();
    let (Claims { purpose: _, ticket: _ }, Unusual { text: _, with: _ }) = (claims, unusual[0].clone());
    let (LastSame { at: _, outcome: _ }, Terms { pending_for: _, valid_for: _, uses: _, binds: _ }) =
        (last_same.unwrap(), grants);
    let (Needed { leaf: _, met_by: _, met: _ }, ToolLine { digest: _, reviewed: _ }) =
        (needed[0].clone(), tool);
    let UpstreamLine { id: _, identity: _ } = upstream;
    vec![
        |c| c.title.push('x'),
        |c| c.environment.push('x'),
        |c| c.caller.name.push('x'),
        |c| c.caller.owner.push('x'),
        |c| c.caller.chain.push("x".to_owned()),
        |c| c.caller.key_bound = true,
        |c| c.caller.key_prefix.push('x'),
        |c| c.caller.source.push('x'),
        |c| c.fields.clear(),
        |c| c.fields[0].pointer = at("/x"),
        |c| c.fields[0].label.push('x'),
        |c| c.fields[0].value.push('x'),
        |c| c.fields[0].flags.clear(),
        |c| c.fields[0].secret = true,
        |c| c.defaults[0].0 = at("/x"),
        |c| c.defaults[0].1.push('x'),
        |c| c.references[0].0 = at("/x"),
        |c| c.references[0].1 = None,
        |c| c.references[1].1 = Some(String::new()),
        |c| c.free[0] = at("/x"),
        |c| c.claims.purpose = None,
        |c| c.claims.purpose = Some(String::new()),
        |c| c.claims.ticket = None,
        |c| c.unusual[0].text = UnusualText::Unreviewed,
        |c| c.unusual[0].with[0].push('x'),
        |c| c.last_same = None,
        |c| c.last_same.as_mut().unwrap().at = Time::from_millis(0),
        |c| c.last_same.as_mut().unwrap().outcome.push('x'),
        |c| c.grants.pending_for = Millis::new(1),
        |c| c.grants.valid_for = Millis::new(1),
        |c| c.grants.uses = NonZeroU32::MAX,
        |c| c.grants.binds = Binds::Pointers([].into()),
        |c| c.needed[0].leaf.push('x'),
        |c| c.needed[0].met_by.clear(),
        |c| c.needed[0].met = false,
        |c| c.tool.digest.push('x'),
        |c| c.tool.reviewed = None,
        |c| c.upstream.id.push('x'),
        |c| c.upstream.identity.push('x'),
        |c| c.words[0].push('x'),
        |c| c.words.swap(2, 3),
    ]
}

#[test]
fn a_change_of_any_field_changes_what_is_signed() {
    let mut hashes = BTreeSet::from([card().hash(), touching().hash()]);
    assert_eq!(hashes.len(), 2, "what it touches");
    let of = |changes: Vec<_>, card: fn() -> Card| changes.into_iter().map(move |change| (change, card));
    let all = of(changes(), card).chain(of(changes_of_touches(), touching));
    for (i, (change, card)) in all.enumerate() {
        let mut changed = card();
        change(&mut changed);
        assert!(hashes.insert(changed.hash()), "change {i} is not in the hash");
    }
}

#[test]
fn no_argument_can_pose_as_a_secret() {
    let (access, _) = sealed(parse(r#"{"token":"hunter2","note":"secret, 9 bytes"}"#), &["/token"]);
    let shown: Vec<_> = fields(&access).into_iter().map(|f| (f.label, f.value, f.secret)).collect();
    let expected = [("note", "secret, 9 bytes", false), ("token", "secret, 9 bytes", true)];
    assert_eq!(shown, expected.map(|(label, value, secret)| (label.to_owned(), value.to_owned(), secret)));
}

#[test]
fn every_argument_is_a_field_to_its_leaves() {
    let arguments =
        r#"{"b":{"x":1.0,"y":null},"a":["p","q"],"c":[{"k":"v"},[2]],"d":{},"e":[],"f":"line\nbreak"}"#;
    let shown: Vec<_> = fields(&access(parse(arguments))).into_iter().map(|f| (f.label, f.value)).collect();
    let expected = [
        ("a", r#"["p","q"]"#),
        ("b › x", "1"),
        ("b › y", "null"),
        ("c[0] › k", "v"),
        ("c[1]", "[2]"),
        ("d", "{}"),
        ("e", "[]"),
        ("f", "line\nbreak"),
    ];
    assert_eq!(shown, expected.map(|(at, value)| (at.to_owned(), value.to_owned())));
    assert_eq!(fields(&access(parse("{}"))), []);
}

/// `"false"` is true in many a language: what is shown as `false` must be it.
#[test]
fn a_string_that_reads_like_another_value_stands_in_quotes() {
    let table = [
        ("false", r#""false""#),
        ("5", r#""5""#),
        (" null ", r#"" null ""#),
        (r#"["a"]"#, r#""[\"a\"]""#),
        ("{}", r#""{}""#),
        (r#""x""#, r#""\"x\"""#),
        ("2.4.1", "2.4.1"),
        ("", ""),
        ("falsely", "falsely"),
        ("-0", "-0"),
        ("[[1]]", "[[1]]"),
    ];
    for (sent, expected) in table {
        assert_eq!(fields(&access(Json::object([("x", sent)])))[0].value, expected);
    }
    let deep = "[".repeat(1 << 20);
    assert_eq!(fields(&access(Json::object([("x", deep.as_str())])))[0].value, deep);
}

#[test]
fn a_label_is_the_name_and_in_quotes_where_it_could_pass_for_our_own_marks() {
    let table = [
        (r#"{"version":1}"#, "version"),
        (r#"{"größe":1}"#, "größe"),
        (r#"{"ns/name-x.y":1}"#, "ns/name-x.y"),
        (r#"{"first name":1}"#, "first name"),
        (r#"{"a":{"b":2}}"#, "a › b"),
        (r#"{"a › b":1}"#, "“a › b”"),
        (r#"{"l":{"0":1}}"#, "l › “0”"),
        (r#"{"l":[["x"]]}"#, "l[0]"),
        (r#"{"l[0]":1}"#, "“l[0]”"),
        (r#"{"l › 0":1}"#, "“l › 0”"),
        (r#"{"":1}"#, "“”"),
        (r#"{"":{"":1}}"#, "“” › “”"),
        (r#"{" a":1}"#, "“ a”"),
        (r#"{"“a”":1}"#, "“⟨U+201C⟩a⟨U+201D⟩”"),
        (r#"{"\u00a0":1}"#, "“⟨U+00A0⟩”"),
        (r#"{"⟨U+00A0⟩":1}"#, "“⟨U+27E8⟩U+00A0⟨U+27E9⟩”"),
        (r#"{"beside the arguments: _meta":{"a":1}}"#, "“beside the arguments: _meta” › a"),
    ];
    for (sent, expected) in table {
        assert_eq!(fields(&access(parse(sent)))[0].label, expected, "{sent}");
    }
}

/// What a grant leaves open may lie in an array whose items are no fields of their own.
#[test]
fn an_item_of_an_array_is_an_index_and_a_member_named_like_one_is_not() {
    let sent = r#"{"tags":["a","b"],"none":[],"named":{"0":1,"1":{}},"text":"[1]","deep":[["x"]]}"#;
    let card = Card { fields: fields(&access(parse(sent))), ..card() };
    for (pointer, label) in [
        ("/tags/0", "tags[0]"),
        ("/tags/7", "tags[7]"),
        ("/none/0", "none[0]"),
        ("/deep/0/0", "deep[0][0]"),
        ("/named/0", "named › “0”"),
        ("/text/0", "text › “0”"),
        ("/tags/00", "tags › “00”"),
        ("/absent/0", "absent › “0”"),
    ] {
        assert_eq!(card.label(&at(pointer)), label, "{pointer}");
    }
}

#[test]
fn a_field_says_what_to_beware_of() {
    let shown = fields(&access(Json::object([("path", "a\u{202e}b")])));
    assert_eq!(shown[0].flags, [Flag::Invisible, Flag::Bidi]);
}

#[test]
fn a_name_is_flagged_as_a_value_is_and_so_is_all_that_stands_in_it() {
    let sent =
        r#"{"environment":"a","еnvironment":"b","ｉd":{"x":["c",{"y":"p\u0430y"}]},"\u00a0":1,"größe":1}"#;
    let shown: BTreeMap<_, _> =
        fields(&access(parse(sent))).into_iter().map(|f| (f.label, f.flags)).collect();
    let expected = [
        ("environment", vec![]),
        ("еnvironment", vec![Flag::Name]),
        ("ｉd › x[0]", vec![Flag::Name]),
        ("ｉd › x[1] › y", vec![Flag::MixedScript, Flag::Name]),
        ("“⟨U+00A0⟩”", vec![Flag::Name]),
        ("größe", vec![]),
    ];
    assert_eq!(shown, expected.map(|(label, flags)| (label.to_owned(), flags)).into());
}

#[test]
fn an_unusual_thing_says_itself_with_its_numbers_as_data() {
    let ids: BTreeSet<_> = UnusualText::TABLE.iter().map(|(text, ..)| text.id()).collect();
    assert_eq!(ids.len(), UnusualText::TABLE.len());
    for (text, id, says) in UnusualText::TABLE {
        assert!(id.split_once('.').is_some_and(|(_, v)| v.parse::<u8>().is_ok()), "{id}");
        let with = [vec!["{}".to_owned(); says.matches("{}").count()], vec!["never".to_owned()]].concat();
        assert_eq!(Unusual { text, with }.says(), says, "a value is not a template");
    }
    let other = Unusual { text: UnusualText::OtherAddress, with: vec!["10.0.0.9".to_owned()] };
    assert_eq!(other.says(), "The same key was used from 10.0.0.9 within the last hour");
}

/// Names made of what labels are made of, and few enough that they meet.
fn posing() -> impl Strategy<Value = Json> {
    let names = prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "0",
            " › ",
            "[0]",
            "“",
            "”",
            "\"",
            " ",
            "⟨U+00A0⟩",
            "\u{a0}",
            "_meta",
            "'",
        ]),
        0..3,
    );
    let names = names.prop_map(|parts| parts.concat());
    Just(Json::from(1_u32)).prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Json::Array),
            prop::collection::vec((names.clone(), inner), 1..4).prop_map(Json::object),
        ]
    })
}

/// Whether it is beside the arguments, and each step with whether it is an index.
type PlaceOfField = (bool, Vec<(String, bool)>);

/// Every label with its place.
fn labelled(arguments: Json, meta: Json) -> Vec<(String, PlaceOfField)> {
    let both = access(Json::object([("a", arguments.clone()), ("l", Json::from(vec![arguments]))]));
    let meta = [("a", meta)].into_iter().collect();
    let both = both.with_meta(meta).unwrap();
    let (sent, meta) = (Json::Object(both.arguments().clone()), Json::Object(both.meta().clone()));
    let (mut seen, mut beside) = (None, false);
    let fields = fields(&both).into_iter();
    fields
        .map(|field| {
            // The canonical order starts anew where the arguments end.
            beside |= seen.replace(field.pointer.clone()).is_some() && field.pointer.of(&sent).is_none();
            let steps = field.pointer.steps();
            let (whole, steps) = if beside { (&meta, &steps[1..]) } else { (&sent, steps) };
            let mut at = whole;
            let kinds = steps.iter().map(|step| {
                let index = matches!(at, Json::Array(_));
                at = Pointer::root().child(step).of(at).unwrap();
                (step.clone(), index)
            });
            (field.label, (beside, kinds.collect()))
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Two arguments, of one request or of two, have the same label only where they have the same place.
    #[test]
    fn no_two_places_have_the_same_label(one in posing(), other in posing()) {
        let mut places = BTreeMap::new();
        let shown = labelled(one.clone(), other.clone()).into_iter().chain(labelled(other, one));
        for (label, place) in shown {
            prop_assert!(!label.is_empty());
            let known = places.entry(label.clone()).or_insert_with(|| place.clone());
            prop_assert_eq!(&*known, &place, "{}", label);
        }
    }

    /// What was not sent, and what holds several fields, is named as fields are, and never as another place is.
    #[test]
    fn a_place_that_is_no_field_has_a_label_of_its_own(sent in posing(), absent in "[a0\\[\\] ›]{0,4}") {
        let access = access(Json::object([("a", sent)]));
        let card = Card { fields: fields(&access), ..card() };
        let mut labels = BTreeMap::new();
        for field in &card.fields {
            prop_assert_eq!(&card.label(&field.pointer), &field.label);
            let steps = field.pointer.steps();
            for length in 1..steps.len() {
                let outer = steps[..length].iter().fold(Pointer::root(), |at, step| at.child(step));
                let label = card.label(&outer);
                prop_assert!(field.label.starts_with(&label), "{} in {}", field.label, label);
                prop_assert_eq!(labels.entry(label).or_insert_with(|| outer.clone()), &outer);
            }
            labels.insert(field.label.clone(), field.pointer.clone());
        }
        let absent = Pointer::root().child(&absent);
        if absent.of(&Json::Object(access.arguments().clone())).is_none() {
            prop_assert!(!labels.contains_key(&card.label(&absent)), "{}", card.label(&absent));
        }
    }

    /// The arguments can be put together again from what is shown: nothing is left out, folded or ambiguous.
    #[test]
    fn what_is_shown_is_all_that_was_sent(arguments in arguments()) {
        let shown = fields(&access(arguments.clone()));
        let mut left = arguments.clone();
        for field in &shown {
            let value = field.pointer.of(&arguments).unwrap();
            let flat = Limits { depth: 1, ..Limits::REQUEST };
            let read = parse_within(field.value.as_bytes(), flat);
            let read = read.unwrap_or_else(|_| Json::from(field.value.as_str()));
            prop_assert_eq!(&read, value);
            *field.pointer.of_mut(&mut left).unwrap() = Json::from("shown");
        }
        for place in places(&left) {
            let unseen = match place.of(&left).unwrap() {
                Json::Null | Json::Bool(_) | Json::Number(_) => true,
                Json::String(text) => text != "shown",
                Json::Array(items) => items.is_empty(),
                Json::Object(members) => members.is_empty() && !place.steps().is_empty(),
            };
            prop_assert!(!unseen, "{} is on no card", place);
        }
    }
}

#[test]
fn what_is_sent_beside_the_arguments_is_shown_bound_and_told_apart_from_them() {
    let plain = access(parse(r#"{"_meta":{"x.y/z":"argument"}}"#));
    let meta = |text: &str| parse(text).as_object().unwrap().clone();
    let with = |text: &str| plain.clone().with_meta(meta(text)).unwrap();
    let sent = with(r#"{"x.y/z":["b",1]}"#);
    let shown: Vec<_> = fields(&sent).into_iter().map(|f| (f.label, f.value)).collect();
    let expected = [("_meta › x.y/z", "argument"), ("beside the arguments: _meta › x.y/z", r#"["b",1]"#)];
    assert_eq!(shown, expected.map(|(at, value)| (at.to_owned(), value.to_owned())));
    let binds = Binds::Pointers(BTreeSet::new());
    for other in [plain.clone(), with(r#"{"x.y/z":["b",2]}"#), with(r#"{"x.y/Z":["b",1]}"#)] {
        assert_ne!(other.hash(), sent.hash());
        assert_ne!(other.bind_hash(&binds), sent.bind_hash(&binds), "no requirement can free it");
    }
    assert_eq!(plain.clone().with_meta(meta("{}")).unwrap(), plain);
    assert_eq!(terms::Access::from_json(&sent.to_json()), Some(sent));
    for name in ["a\u{202e}b", "$sealed"] {
        assert!(plain.clone().with_meta([(name, 1_u32)].into_iter().collect()).is_err(), "{name:?}");
    }
}

/// An approval of a call covers no byte that its caller adds afterwards (A8, T33).
#[test]
fn what_a_caller_answers_an_upstream_is_an_access_of_its_own() {
    use terms::access::SealKey;
    use terms::{AttemptId, Continuation, Secret, Secrets};
    let key = SealKey::new([7; 32]);
    let plain = access(parse(r#"{"continues":{"inputs":"argument"}}"#));
    let answered = |inputs: &str, state: Option<&str>, round| {
        let continuation = Continuation {
            of: AttemptId::from_slice(&[5; 16]).unwrap(),
            round,
            asked: [("sure", "Delete the rest too?")].into_iter().collect(),
            inputs: parse(inputs).as_object().unwrap().clone(),
            state: state.map(|state| Secret::new(state.to_owned())),
        };
        plain.clone().continuing(Secrets::default(), continuation, &key)
    };
    let inputs = r#"{"sure":{"action":"accept","content":{"rest":true}}}"#;
    let (access, secrets) = answered(inputs, Some("their state"), 1).unwrap();
    let shown: Vec<_> = fields(&access).into_iter().map(|f| (f.label, f.value, f.secret)).collect();
    for (label, value) in [
        ("continues: › asked › sure", "Delete the rest too?"),
        ("continues: › inputs › sure › action", "accept"),
        ("continues: › inputs › sure › content › rest", "true"),
        ("continues: › round", "1"),
        ("continues › inputs", "argument"),
    ] {
        assert!(shown.contains(&(label.to_owned(), value.to_owned(), false)), "{label}: {shown:?}");
    }
    assert!(
        shown
            .iter()
            .any(|(label, value, secret)| label.ends_with("state") && *secret && value != "their state")
    );
    assert!(!format!("{}{secrets:?}", access.to_json()).contains("their state"));
    let binds = Binds::Pointers(BTreeSet::new());
    let others = [
        plain.clone(),
        answered(&inputs.replace("true", "false"), Some("their state"), 1).unwrap().0,
        answered(inputs, Some("their  state"), 1).unwrap().0,
        answered(inputs, None, 1).unwrap().0,
        answered(inputs, Some("their state"), 2).unwrap().0,
    ];
    for other in others {
        assert_ne!(other.hash(), access.hash());
        assert_ne!(other.bind_hash(&binds), access.bind_hash(&binds), "no requirement can free it");
    }
    for other in [answered(inputs, Some("their  state"), 1).unwrap().0, answered(inputs, None, 1).unwrap().0]
    {
        assert!(secrets.open_state(&other).is_err(), "what is wanted back goes only where its seal is");
    }
    assert_eq!(secrets.open_state(&access), Ok(Some(Json::from("their state"))));
    assert!(Secrets::default().open_state(&access).is_err());
    assert_eq!(Secrets::default().open_state(&plain), Ok(None));
    assert_eq!(terms::Access::from_json(&access.to_json()), Some(access));
    assert!(
        answered(r#"{"$sealed":1}"#, None, 1).is_err() && answered("{\"a\u{202e}\":1}", None, 1).is_err()
    );
}
