//! Each use has its own domain (T06), and each digest one text.

use std::collections::BTreeSet;

use proptest::prelude::*;
use terms::hash::{b64url, from_b64url};
use terms::{
    AccessHash, BindHash, CardHash, DefinitionHash, Digest, Json, PolicyHash, RequirementHash, UpstreamHash,
};

use crate::support::{any_json, cases};

#[test]
fn sha_256_is_that_of_fips_180() {
    assert_eq!(
        Digest::plain(b"abc").to_string(),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(Digest::of("a", &[b"b", b"", b"c"]), Digest::plain(b"abc"));
}

#[test]
fn a_digest_has_one_text() {
    let digest = Digest::plain(b"x");
    let text = digest.to_string();
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(format!("{digest:?}"), text);
    let hex = &text["sha256:".len()..];
    let others = [
        text.to_uppercase(),
        text.replacen("sha256:2", "sha256:+", 1),
        hex.to_owned(),
        format!("{text}0"),
        text[..text.len() - 1].to_owned(),
        format!(" {text}"),
        format!("sha256:{}", "é".repeat(32)),
        format!("sha256:+f{}", &hex[2..]),
        format!("sha256:{}", hex.replace(|c: char| c.is_ascii_lowercase(), "A")),
        String::new(),
    ];
    for other in others {
        assert!(other.parse::<Digest>().is_err(), "{other}");
    }
    assert_eq!(Digest::from_slice(digest.bytes()), Some(digest));
    assert_eq!(Digest::from_slice(&digest.bytes()[1..]), None);
}

#[test]
fn base64url_has_one_text_for_the_same_bytes() {
    assert_eq!(b64url(&[0xfb, 0xff]), "-_8");
    for other in ["-_8=", "-_9", "+/8", "-_8 ", "-", "-_\n8"] {
        assert_eq!(from_b64url(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn hashes_of_one_value_for_different_uses_differ_pairwise(value in any_json()) {
        let text = value.text();
        let all = [
            AccessHash::of(&value).digest(), BindHash::of(&value).digest(), CardHash::of(&value).digest(),
            RequirementHash::of(&value).digest(), DefinitionHash::of(&value).digest(),
            UpstreamHash::of(&value).digest(), PolicyHash::of(&value).digest(), Digest::plain(text.as_bytes()),
            Digest::of("stepup/statement/v1\0", &[text.as_bytes()]), Digest::of("stepup/words/v1\0", &[text.as_bytes()]),
            terms::statement::nonce_hash(&text),
        ];
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        prop_assert_eq!(AccessHash::from_digest(all[0]), AccessHash::of(&value));
        prop_assert_eq!(Json::from(AccessHash::of(&value)), Json::from(all[0].to_string()));
    }

    #[test]
    fn base64url_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[A-Za-z0-9_-]{0,12}") {
        prop_assert_eq!(from_b64url(&b64url(&bytes)), Some(bytes));
        if let Some(read) = from_b64url(&text) {
            prop_assert_eq!(b64url(&read), text);
        }
    }
}
