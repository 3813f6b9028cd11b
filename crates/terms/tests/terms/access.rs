//! The access: one value is judged, shown, signed, bound and forwarded (invariants 6 and 8).

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use terms::access::{NotAnAccess, Resource, SealKey, Subject};
use terms::{Access, Binds, DefinitionHash, Json, Pointer, Secrets, UpstreamHash};

use crate::support::{
    access, any_json, arguments, at, cases, key, other, parse, places, resource, sealed, subject,
};

fn attempt(arguments: &str, secrets: &[&str]) -> Result<(Access, Secrets), NotAnAccess> {
    let secrets: Vec<_> = secrets.iter().map(|s| at(s)).collect();
    Access::new(subject(), "tools/call", resource(), parse(arguments), &secrets, &key())
}

fn seal_at(access: &Access, pointer: &str) -> Json {
    at(pointer).of(&Json::Object(access.arguments().clone())).unwrap().clone()
}

fn bound(pointers: &[&str]) -> Binds {
    Binds::Pointers(pointers.iter().map(|p| at(p)).collect())
}

#[test]
fn the_same_secret_seals_the_same_and_any_other_pointer_value_or_key_differs() {
    let (one, _) = sealed(parse(r#"{"a":"hunter2","b":"hunter2"}"#), &["/a", "/b"]);
    let (again, _) = sealed(parse(r#"{"a":"hunter2","b":"hunter3"}"#), &["/b", "/a"]);
    assert_eq!(seal_at(&one, "/a"), seal_at(&again, "/a"));
    assert_ne!(seal_at(&one, "/a"), seal_at(&one, "/b"));
    assert_ne!(seal_at(&one, "/b"), seal_at(&again, "/b"));
    let elsewhere = SealKey::new([8; 32]);
    let (other, _) = Access::new(
        subject(),
        "tools/call",
        resource(),
        parse(r#"{"a":"hunter2"}"#),
        &[at("/a")],
        &elsewhere,
    )
    .unwrap();
    assert_ne!(seal_at(&one, "/a"), seal_at(&other, "/a"));
    // "1" and 1 are two values.
    assert_ne!(
        seal_at(&sealed(parse(r#"{"a":"1"}"#), &["/a"]).0, "/a"),
        seal_at(&sealed(parse(r#"{"a":1}"#), &["/a"]).0, "/a")
    );
    // Where the pointer ends and the value begins is hashed too.
    let tag =
        |sent: &str, place: &str| seal_at(&sealed(parse(sent), &[place]).0, place).get("$sealed").cloned();
    assert_ne!(tag(r#"{"a":11}"#, "/a"), tag(r#"{"a1":1}"#, "/a1"));
}

#[test]
fn a_clear_secret_is_in_no_text_that_an_access_or_its_secrets_make() {
    let clear = "CANARY-7f3a";
    let deep = format!(
        r#"{{"token":"{clear}","auth":{{"{clear}":[1,"{clear}"]}},"list":["x","{clear}"],"plain":"x"}}"#
    );
    let (access, secrets) = sealed(parse(&deep), &["/token", "/auth", "/list/1", "/absent"]);
    let binds = bound(&["/auth/user"]);
    let texts = [
        access.to_json().text(),
        format!("{access:?}"),
        format!("{access:#?}"),
        format!("{secrets:?}"),
        format!("{:?}", key()),
        format!("{:?}", access.free(&binds)),
        format!("{:?}", secrets.open(&self::access(parse("{}")))),
    ];
    for text in texts {
        assert!(!text.contains(clear), "{text}");
    }
    assert!(access.to_json().text().contains("$sealed"));
}

#[test]
fn secrets_open_to_exactly_what_was_sent() {
    let sent = parse(
        r#"{"token":"hunter2","auth":{"user":"ada","pins":[1,2.5,null]},"list":["x",{"k":"v"}],"n":1}"#,
    );
    for secrets in
        [&["/token", "/auth", "/list/1"][..], &["/auth/pins/1"], &[""], &[], &["/absent", "/n/deeper"]]
    {
        let (access, kept) = sealed(sent.clone(), secrets);
        assert_eq!(kept.open(&access), Ok(sent.clone()), "{secrets:?}");
    }
    assert!(sealed(sent.clone(), &[]).1.is_empty());
    assert!(!sealed(sent, &["/n"]).1.is_empty());
}

#[test]
fn a_secret_inside_a_secret_is_sealed_once_in_whatever_order_they_are_configured() {
    let sent = parse(r#"{"a":{"b":"x","len":3}}"#);
    let (one, kept) = sealed(sent.clone(), &["/a/len", "/a/b", "/a", "/a"]);
    assert_eq!(one.hash(), sealed(sent.clone(), &["/a"]).0.hash());
    assert_eq!(kept.open(&one), Ok(sent));
}

#[test]
fn a_big_secret_opens_even_where_its_canonical_text_is_over_the_budget_of_a_request() {
    let numbers = vec!["1e20"; 4000].join(",");
    let padding = "x".repeat(200 << 10);
    let sent =
        parse(&format!(r#"{{"s":["{padding}","{padding}","{padding}","{padding}","{padding}",{numbers}]}}"#));
    assert!(sent.text().len() > 1 << 20);
    let (access, kept) = sealed(sent.clone(), &["/s"]);
    assert_eq!(kept.open(&access), Ok(sent));
}

#[test]
fn nothing_opens_unless_every_seal_is_of_its_secret() {
    let (mine, my_secrets) = sealed(parse(r#"{"a":"one","b":"two"}"#), &["/a", "/b"]);
    let (theirs, _) = sealed(parse(r#"{"a":"three","b":"two"}"#), &["/a", "/b"]);
    let (half, half_secrets) = sealed(parse(r#"{"a":"one"}"#), &["/a"]);
    assert_eq!(my_secrets.open(&theirs), Err(at("/a")), "another secret at the same place");
    assert_eq!(my_secrets.open(&half), Err(at("/b")), "a place that is not there");
    assert_eq!(my_secrets.open(&access(parse(r#"{"a":"one","b":"two"}"#))), Err(at("/a")), "never sealed");
    // What was captured without its secrets must not reach an upstream with the seals in it.
    assert!(Secrets::default().open(&mine).is_err());
    assert!(half_secrets.open(&mine).is_err(), "a seal is left over");
    assert!(Secrets::default().open(&half).is_err());
}

#[test]
fn a_caller_cannot_write_a_seal_of_its_own_anywhere() {
    let place = |text: &str, secrets: &[&str]| match attempt(text, secrets) {
        Err(NotAnAccess::Sealed(at)) => at.to_string(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(place(r#"{"token":{"$sealed":"x","len":1}}"#, &["/token"]), "/token");
    assert_eq!(
        place(r#"{"token":{"hunter2":{"$sealed":"x"}}}"#, &["/token"]),
        "/token",
        "tells nothing from inside"
    );
    // At a place that is not secret the card would show "secret, 1 bytes" and hide what runs.
    assert_eq!(place(r#"{"command":{"$sealed":"x","len":1,"run":"rm -rf /"}}"#, &[]), "/command/$sealed");
    assert_eq!(place(r#"{"list":[1,{"$sealed":1}]}"#, &["/token"]), "/list/1/$sealed");
    assert_eq!(place(r#"{"$sealed":"x","len":1}"#, &[]), "/$sealed");
    assert_eq!(place(r#"{"$sealed":"x","len":1}"#, &[""]), "");
}

#[test]
fn names_that_a_person_could_not_see_or_compare_are_refused() {
    for name in [
        "a\u{202e}b",
        "a\u{200b}",
        "\u{0}",
        "a\nb",
        "\u{e000}",
        "a\u{378}",
        "a\u{fe0f}",
        "\u{3164}",
        "\u{ad}",
        "a\u{2028}",
    ] {
        let nested = Json::object([("list", Json::from(vec![Json::object([(name, 1_u32)])]))]);
        let refused = Access::new(subject(), "tools/call", resource(), nested, &[], &key());
        let Err(NotAnAccess::Name(shown)) = refused else { panic!("{name:?} was accepted") };
        assert!(shown.starts_with("/list/0/") && shown.contains("⟨U+"), "{shown}");
    }
    for name in ["", "version", "größe", "名前", "\u{e9}", "x\u{301}", "a b", "naïve-key.x/y~z"] {
        access(Json::object([(name, 1_u32)]));
    }
    let hidden = attempt("{\"token\":{\"hunter2\u{200b}\":1}}", &["/token"]).unwrap_err();
    assert!(!hidden.to_string().contains("hunter2"), "{hidden}");
}

/// Two rows of a card that no eye can tell apart, and an upstream that can (T04).
#[test]
fn a_name_that_is_not_in_nfc_is_refused_wherever_it_stands() {
    for name in ["e\u{301}", "\u{212b}", "\u{1100}\u{1161}", "\u{37e}", "a\u{323}\u{307}e\u{301}"] {
        let object = || Json::object([(name, 1_u32)]);
        let sent = Json::object([("list", Json::from(vec![object()])), ("\u{e9}", Json::from(1_u32))]);
        let refused = Access::new(subject(), "tools/call", resource(), sent, &[], &key());
        assert!(matches!(refused, Err(NotAnAccess::Name(_))), "{name:?} was accepted");
        let meta = object().as_object().unwrap().clone();
        assert!(access(Json::object([("a", 1_u32)])).with_meta(meta).is_err(), "{name:?} was accepted");
        access(Json::object([("a", name)])); // a value is compared byte by byte and never folded
    }
}

#[test]
fn arguments_are_an_object() {
    for text in ["null", "[]", "\"x\"", "1", "true"] {
        assert_eq!(attempt(text, &[]).unwrap_err(), NotAnAccess::NotAnObject);
    }
}

#[test]
fn the_canonical_form_is_authzens_four_members() {
    let access = access(parse(r#"{"v":1.0}"#));
    let definition = resource().definition;
    let upstream = resource().upstream;
    let expected = format!(
        r#"{{"action":{{"name":"tools/call"}},"context":{{"arguments":{{"v":1}}}},"resource":{{"id":"ops/deploy","properties":{{"definition":"{definition}","upstream":"{upstream}"}},"type":"tool"}},"subject":{{"id":"deploy-bot","properties":{{"act":["planner"],"owner":"ada"}},"type":"agent"}}}}"#
    );
    assert_eq!(access.to_json().text(), expected);
}

#[test]
fn any_change_of_subject_action_or_resource_changes_the_hash() {
    type Change = fn(&mut Subject, &mut String, &mut Resource);
    // Every field by name, so that a new one does not compile until it is tried here.
    let Subject { kind: _, id: _, owner: _, act: _ } = subject();
    let Resource { kind: _, id: _, definition: _, upstream: _ } = resource();
    let changes: [Change; 12] = [
        |_, _, _| {},
        |who, _, _| who.kind.push('x'),
        |who, _, _| who.id.push('x'),
        |who, _, _| who.owner.push('x'),
        |who, _, _| who.act.push(String::new()),
        |who, _, _| who.act.clear(),
        |who, _, _| who.act = vec!["plan".to_owned(), "ner".to_owned()],
        |_, action, _| action.push('x'),
        |_, _, what| what.kind.push('x'),
        |_, _, what| what.id.push('x'),
        |_, _, what| what.definition = DefinitionHash::of(&Json::Null),
        |_, _, what| what.upstream = UpstreamHash::of(&Json::Null),
    ];
    let (mut hashes, mut bind_hashes) = (BTreeSet::new(), BTreeSet::new());
    for (i, change) in changes.into_iter().enumerate() {
        let (mut who, mut action, mut what) = (subject(), "tools/call".to_owned(), resource());
        change(&mut who, &mut action, &mut what);
        let access = Access::new(who, action, what, parse("{}"), &[], &key()).unwrap().0;
        assert!(hashes.insert(access.hash()), "change {i} is not in the access hash");
        assert!(bind_hashes.insert(access.bind_hash(&bound(&[]))), "change {i} is not in the bind hash");
    }
}

#[test]
fn a_stored_access_of_any_other_shape_is_none() {
    let json = access(parse(r#"{"v":1}"#)).to_json();
    assert!(Access::from_json(&json).is_some());
    for place in places(&json).into_iter().filter(|p| !at("/context").covers(p)) {
        let mut changed = json.clone();
        *place.of_mut(&mut changed).unwrap() = Json::from(1.5_f64.to_bits() as u32);
        assert!(Access::from_json(&changed).is_none(), "{place} holds a number");
    }
    let mut more = json;
    let Json::Object(members) = &mut more else { unreachable!() };
    members.insert("extra", true);
    assert!(Access::from_json(&more).is_none());
}

#[test]
fn what_binds_lies_partly_in_an_array_or_a_seal_binds_as_a_whole() {
    let binds = bound(&["/items/0", "/auth/user", "/scalar/x"]);
    let bind = |text: &str| sealed(parse(text), &["/auth"]).0.bind_hash(&binds);
    let approved = bind(r#"{"items":[1,2],"auth":{"user":"ada"},"scalar":1,"free":1}"#);
    assert_eq!(approved, bind(r#"{"items":[1,2],"auth":{"user":"ada"},"scalar":1,"free":2}"#));
    assert_ne!(
        approved,
        bind(r#"{"items":[9,2],"auth":{"user":"ada"},"scalar":1,"free":1}"#),
        "the bound item"
    );
    assert_ne!(approved, bind(r#"{"items":[1],"auth":{"user":"ada"},"scalar":1,"free":1}"#));
    assert_ne!(
        approved,
        bind(r#"{"items":[1,2],"auth":{"user":"eve"},"scalar":1,"free":1}"#),
        "the sealed bound value"
    );
    assert_ne!(approved, bind(r#"{"items":[1,2],"auth":{"user":"ada"},"scalar":2,"free":1}"#));
}

#[test]
fn everything_binds_as_all_arguments_bound_do() {
    let access = access(parse(r#"{"a":1,"b":{"c":[2]},"d":{}}"#));
    for binds in [bound(&[""]), bound(&["/a", "/b", "/d"]), bound(&["/a", "/b/c", "/d", "/unknown"])] {
        assert_eq!(access.bind_hash(&binds), access.bind_hash(&Binds::Everything), "{binds:?}");
        assert_eq!(access.free(&binds), []);
    }
    assert_ne!(access.bind_hash(&bound(&["/a"])), access.bind_hash(&Binds::Everything));
    assert_eq!(access.free(&bound(&["/a", "/b/x"])), [at("/b/c"), at("/d")]);
}

/// The approver was shown "note: any", and nothing of a `force`.
#[test]
fn a_free_argument_does_not_stand_for_another_one() {
    let bind = |text: &str| access(parse(text)).bind_hash(&bound(&["/to", "/in/to"]));
    assert_eq!(bind(r#"{"to":1,"note":"x"}"#), bind(r#"{"to":1,"note":"y"}"#));
    assert_ne!(bind(r#"{"to":1,"note":"x"}"#), bind(r#"{"to":1,"force":"x"}"#));
    assert_ne!(bind(r#"{"in":{"to":1,"note":"x"}}"#), bind(r#"{"in":{"to":1,"force":"x"}}"#));
    assert_ne!(bind(r#"{"in":{"to":1},"note":1}"#), bind(r#"{"in":{"to":1,"note":1}}"#));
}

#[test]
fn what_is_null_is_not_what_is_absent() {
    let of = |text: &str| access(parse(text)).hash();
    assert_ne!(of("{}"), of(r#"{"to":null}"#));
    assert_ne!(of(r#"{"to":null}"#), of(r#"{"to":"null"}"#));
    assert_ne!(of(r#"{"to":{}}"#), of(r#"{"to":null}"#));
    // Nor where a grant binds only some arguments, this one among them or not.
    for binds in [bound(&["/to"]), bound(&["/in/to"]), bound(&[])] {
        let of = |text: &str| access(parse(text)).bind_hash(&binds);
        assert_ne!(of("{}"), of(r#"{"to":null}"#), "{binds:?}");
    }
    let of = |text: &str| access(parse(text)).bind_hash(&bound(&["/in/to"]));
    assert_ne!(of(r#"{"in":{}}"#), of(r#"{"in":{"to":null}}"#));
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_stored_access_reads_back_as_itself(arguments in arguments(), secret in any::<Index>()) {
        let places = places(&arguments);
        let (access, secrets) = sealed(arguments.clone(), &[&secret.get(&places).to_string()]);
        let read = Access::from_json(&access.to_json()).unwrap();
        prop_assert_eq!(&read, &access);
        prop_assert_eq!(read.hash(), access.hash());
        prop_assert_eq!(secrets.open(&read), Ok(arguments));
    }

    #[test]
    fn any_single_change_of_an_argument_changes_the_hash(
        arguments in arguments(), place in any::<Index>(), instead in any_json(),
    ) {
        let before = access(arguments.clone());
        let places = places(&arguments);
        let place = place.get(&places);
        let old = place.of(&arguments).unwrap().clone();
        for new in [other(&old), instead] {
            let mut changed = arguments.clone();
            *place.of_mut(&mut changed).unwrap() = new.clone();
            let Ok((after, _)) = Access::new(subject(), "tools/call", resource(), changed, &[], &key()) else { continue };
            prop_assert_eq!(after.hash() == before.hash(), new == old);
            prop_assert_eq!(after.bind_hash(&Binds::Everything) == before.bind_hash(&Binds::Everything), new == old);
        }
    }

    #[test]
    fn removing_or_renaming_an_argument_changes_the_hash(arguments in arguments(), place in any::<Index>()) {
        let before = access(arguments.clone());
        let inner: Vec<Pointer> = places(&arguments).into_iter().skip(1).collect();
        prop_assume!(!inner.is_empty());
        let place = place.get(&inner);
        let (parent, name) = split(place);
        let mut removed = arguments.clone();
        let mut renamed = arguments.clone();
        match (parent.of_mut(&mut removed).unwrap(), parent.of_mut(&mut renamed).unwrap()) {
            (Json::Object(a), Json::Object(b)) => {
                a.remove(&name);
                let value = b.remove(&name).unwrap();
                b.insert(format!("{name}zz"), value);
            }
            (Json::Array(a), Json::Array(b)) => {
                a.pop();
                let first = b[0].clone();
                b.push(first);
            }
            _ => unreachable!("a parent holds something"),
        }
        for changed in [removed, renamed] {
            prop_assert_ne!(access(changed).hash(), before.hash());
        }
    }

    /// The oracle: a place is bound if a bound pointer covers it, or if the array around it is bound because
    /// part of it is. The value of a free place may vary; no other may, and no place may come or go.
    #[test]
    fn free_arguments_may_vary_and_bound_ones_may_not(
        arguments in arguments(), bound in prop::collection::vec(any::<Index>(), 0..4), place in any::<Index>(),
    ) {
        let all = places(&arguments);
        let pointers: BTreeSet<Pointer> = bound.iter().map(|i| i.get(&all).clone()).collect();
        let binds = Binds::Pointers(pointers.clone());
        let place = place.get(&all);
        let old = place.of(&arguments).unwrap();
        let mut changed = arguments.clone();
        *place.of_mut(&mut changed).unwrap() = other(old);

        let before = access(arguments.clone());
        let free = before.free(&binds);
        let is_free = free.iter().any(|f| f.covers(place));
        prop_assert_eq!(before.bind_hash(&binds) == access(changed).bind_hash(&binds), is_free, "{}", place);

        let covered = pointers.iter().any(|b| b.covers(place));
        prop_assert!(!(covered && is_free), "{} is bound", place);
        for free in &free {
            prop_assert!(!pointers.iter().any(|b| b.covers(free) || free.covers(b)), "{} is free", free);
        }
        let in_array = all.iter().any(|p| matches!(p.of(&arguments), Some(Json::Array(_)))
            && p.covers(place) && pointers.iter().any(|b| p.covers(b)));
        let within = pointers.iter().any(|b| place.covers(b));
        prop_assert_eq!(is_free, !covered && !in_array && !within && place.steps() != [] as [String; 0], "{}", place);
    }

    #[test]
    fn an_unknown_argument_is_never_covered_by_a_grant(
        arguments in arguments(), bound in prop::collection::vec(any::<Index>(), 0..4), value in any_json(),
    ) {
        let all = places(&arguments);
        let binds = Binds::Pointers(bound.iter().map(|i| i.get(&all).clone()).collect());
        let before = access(arguments.clone()).bind_hash(&binds);
        let Json::Object(mut members) = arguments else { unreachable!() };
        members.insert("unknown", value);
        let after = Access::new(subject(), "tools/call", resource(), Json::Object(members), &[], &key());
        if let Ok((after, _)) = after {
            prop_assert_ne!(after.bind_hash(&binds), before);
        }
    }
}

fn split(place: &Pointer) -> (Pointer, String) {
    let (last, parents) = place.steps().split_last().unwrap();
    (parents.iter().fold(Pointer::root(), |at, step| at.child(step)), last.clone())
}

#[test]
fn no_requirement_leaves_the_uri_of_a_resource_open() {
    let of = |kind: &str| {
        let resource = terms::access::Resource { kind: kind.to_owned(), ..resource() };
        Access::new(subject(), "resources/read", resource, parse(r#"{"uri":"file:///a"}"#), &[], &key())
            .unwrap()
            .0
    };
    assert_eq!(of("tool").free(&bound(&[])), [at("/uri")]);
    assert_eq!(of("resource").free(&bound(&[])), []);
    assert_eq!(of("resource").bind_hash(&bound(&[])), of("resource").bind_hash(&Binds::Everything));
}
