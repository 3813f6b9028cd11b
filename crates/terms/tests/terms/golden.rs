//! Golden vectors: a hash that changes makes every stored grant, vote and record of an older version worthless,
//! so it changes only with the version in its domain tag (T15).

use std::num::{NonZeroU8, NonZeroU32};

use terms::words::words;
use terms::{Binds, ElevationId, Json, Millis, Requirement, Terms, Tree};

use crate::card::card;
use crate::statement::{act, consent};
use crate::support::{at, golden, parse, sealed};

#[test]
fn hashes_and_words_are_those_of_version_one() {
    let sent = parse(
        r#"{"version":"2.4.1","environment":"production","token":"hunter2","note":{"a":1.50,"b":[1e3]}}"#,
    );
    let (access, _) = sealed(sent, &["/token"]);
    let some = Binds::Pointers([at("/version"), at("/environment"), at("/note/a")].into());
    let people = |n, from: &str| Tree::Approvals { n: NonZeroU8::new(n).unwrap(), from: from.to_owned() };
    let tree = Tree::All(vec![
        people(2, "release-managers"),
        Tree::Any(vec![Tree::Owner { fresh: Millis::seconds(120) }, people(1, "security")]),
        Tree::Purpose,
        Tree::Ticket { pattern: "OPS-[0-9]+".to_owned() },
        Tree::KeyBound,
    ]);
    let terms = Terms {
        pending_for: Millis::seconds(3600),
        valid_for: Millis::seconds(900),
        uses: NonZeroU32::MIN,
        binds: some.clone(),
    };
    let requirement = Requirement { parts: [("release".to_owned(), tree)].into(), terms };
    let elevation: ElevationId = "elv_01h455vb4pex5vsknk084sn02q".parse().unwrap();
    let vectors = [
        ("access", access.to_json()),
        ("access_hash", Json::from(access.hash())),
        ("bind_hash_everything", Json::from(access.bind_hash(&Binds::Everything))),
        ("bind_hash_some", Json::from(access.bind_hash(&some))),
        ("card_hash", Json::from(card().hash())),
        ("elevation", Json::from(elevation)),
        ("requirement", requirement.to_json()),
        ("requirement_hash", Json::from(requirement.hash())),
        ("statement_act_challenge", Json::from(act().challenge().to_string())),
        ("statement_consent", consent().to_json()),
        ("statement_consent_challenge", Json::from(consent().challenge().to_string())),
        ("words", Json::from(words(elevation, access.hash()).to_vec())),
    ];
    let lines: Vec<_> = vectors.iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    golden("crates/terms/tests/golden.json", &format!("{{\n{}\n}}\n", lines.join(",\n")));
}

#[test]
fn words_are_of_the_elevation_and_of_the_access() {
    let elevation = |n| ElevationId::from_slice(&[n; 16]).unwrap();
    let hash = |text| crate::support::access(parse(text)).hash();
    let one = words(elevation(1), hash("{}"));
    assert_ne!(one, words(elevation(2), hash("{}")));
    assert_ne!(one, words(elevation(1), hash(r#"{"a":1}"#)));
    assert!(one.iter().all(|word| word.len() >= 3 && word.bytes().all(|b| b.is_ascii_lowercase())));
}
