//! Foreign text for people's eyes: nothing hides, nothing is dropped (T88, invariant 9).

use std::collections::BTreeSet;

use proptest::prelude::*;
use regex_syntax::hir::{Class, HirKind};
use terms::text::{Flag, LONG, flags, hides, plain_name, visible};

use crate::support::{cases, corpora};

/// Another Unicode implementation's idea of what must not reach an eye as it is: the categories C and Z but for the
/// space, and what draws nothing by default.
const UNSEEN: &str = r"[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]--\x20]";

fn every_character() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// Every character of a class.
fn all_of(class: &str) -> BTreeSet<char> {
    let hir = regex_syntax::parse(class).unwrap();
    let HirKind::Class(Class::Unicode(ranges)) = hir.kind() else { panic!("{class} is no class") };
    ranges.iter().flat_map(|range| range.start()..=range.end()).collect()
}

/// The oracle knows Unicode 16; what Unicode 17 and 18 assigned since is unassigned to it.
#[test]
fn every_invisible_character_of_unicode_is_shown_by_its_code_point() {
    let unassigned = all_of(r"\p{Cn}");
    let (known, since): (Vec<_>, Vec<_>) =
        all_of(UNSEEN).into_iter().partition(|c| hides(*c) || !unassigned.contains(c));
    assert!(known.len() > 900_000, "{}: unassigned and private use are most of Unicode", known.len());
    assert!(since.len() < 4_803 + 13_048, "{} are let through that the oracle does not know", since.len());
    for c in known {
        assert_eq!(visible(c.encode_utf8(&mut [0; 4])), format!("⟨U+{:04X}⟩", u32::from(c)));
    }
}

#[test]
fn what_a_person_can_see_stays_as_it_is() {
    let unseen = all_of(UNSEEN);
    let blank = '\u{2800}'; // a braille pattern without dots
    for c in every_character().filter(|c| !unseen.contains(c)) {
        assert_eq!(hides(c), c == blank, "U+{:04X}", u32::from(c));
    }
    for text in ["", "plain text, 100 %", "größe", "日本語", "हिन्दी", "שלום", "👩", "e\u{301}"]
    {
        assert_eq!(visible(text), text);
    }
}

#[test]
fn a_flood_of_marks_is_shown_one_by_one() {
    let flood = format!("a{}b\u{301}", "\u{301}".repeat(5));
    assert_eq!(visible(&flood), "a\u{301}\u{301}\u{301}⟨U+0301⟩⟨U+0301⟩b\u{301}");
}

#[test]
fn every_naughty_string_is_harmless_to_an_eye() {
    let Some(folder) = corpora("naughty") else { return };
    let list = std::fs::read_to_string(folder.join("blns.json")).unwrap();
    let list: Vec<String> = serde_json::from_str(&list).unwrap();
    assert!(list.len() > 500);
    let unseen = all_of(UNSEEN);
    for text in list {
        let shown = visible(&text);
        assert!(!shown.chars().any(|c| unseen.contains(&c)), "{shown:?}");
        assert_eq!(back(&shown), text);
    }
}

/// What was shown, read back: nothing was dropped. (A text that holds such brackets itself does not come here.)
fn back(shown: &str) -> String {
    let mut parts = shown.split("⟨U+");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('⟩').unwrap();
        text.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        text.push_str(rest);
    }
    text
}

#[test]
fn flags_say_what_to_beware_of() {
    use Flag::{Bidi, Invisible, Long, LookAlike, MixedScript, Punycode, Whitespace};
    let long = "x".repeat(LONG + 1);
    let table: [(&str, &[Flag]); 46] = [
        ("", &[]),
        ("deploy 2.4.1 to production", &[]),
        ("two\nlines\n\nand a third", &[]),
        ("a\u{200b}b", &[Invisible]),
        ("a\tb", &[Invisible]),
        ("a\r\nb", &[Invisible]),
        ("a\u{a0}b", &[Invisible]),
        ("a\u{e000}b", &[Invisible]),
        ("a\u{fe0f}", &[Invisible]),
        ("a\u{e0041}", &[Invisible]),
        ("user\u{202e}txt.exe", &[Invisible, Bidi]),
        ("\u{2066}a\u{2069}", &[Invisible, Bidi]),
        ("\u{61c}", &[Invisible, Bidi]),
        ("שלום", &[]),
        ("p\u{430}ypal", &[MixedScript]),
        ("p\u{430}\u{443}\u{440}\u{430}\u{4cf}", &[MixedScript]),
        ("раураӏ", &[LookAlike]),
        ("pay to раураӏ (now)", &[LookAlike]),
        ("pay to раураӏ, привет", &[]),
        ("сор в избе", &[]),
        ("ｉd", &[LookAlike]),
        ("１２", &[LookAlike]),
        ("𝐩𝐫𝐨𝐝", &[LookAlike]),
        ("ﬁle", &[LookAlike]),
        ("größe, Næstved, Łódź, Ísafjörður", &[]),
        ("“it’s” – 5 € … ½", &[]),
        ("Ω", &[]),
        ("привет", &[]),
        ("東京", &[]),
        ("p\u{301}\u{430}\u{301}", &[MixedScript]),
        ("paypal привет", &[]),
        ("αdmin", &[MixedScript]),
        ("日本語テキスト", &[]),
        ("한국어漢字", &[]),
        ("Adminの", &[MixedScript]),
        ("naïve café", &[]),
        ("v2x86", &[]),
        ("xn--pypal-4ve.com", &[Punycode]),
        ("XN--PYPAL-4VE.com", &[Punycode]),
        ("axn-b", &[]),
        ("a        b", &[]),
        ("a         b", &[Whitespace]),
        ("a\n\n\nb", &[Whitespace]),
        ("a \n \n \n b", &[Whitespace]),
        (&long[1..], &[]),
        (&long, &[Long]),
    ];
    for (text, expected) in table {
        assert_eq!(flags(text), expected, "{text:?}");
    }
}

#[test]
fn every_flag_has_a_name_and_a_sentence_of_its_own() {
    let names: BTreeSet<_> = Flag::TABLE.iter().map(|(flag, ..)| flag.name()).collect();
    assert_eq!(names.len(), Flag::TABLE.len());
    for (flag, name, says) in Flag::TABLE {
        assert_eq!((flag.name(), flag.says()), (name, says));
    }
}

#[test]
fn a_plain_name_may_hold_any_letter_and_any_space_but_nothing_unseen() {
    let space = all_of(r"[\p{Zs}--[\u{2000}\u{2001}]]"); // these two are not NFC
    for c in all_of(UNSEEN).into_iter().filter(|c| hides(*c)) {
        assert_eq!(plain_name(c.encode_utf8(&mut [0; 4])), space.contains(&c), "U+{:04X}", u32::from(c));
    }
    assert!(plain_name("größe 名前") && plain_name("") && !plain_name("a\nb"));
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn whatever_is_shown_holds_nothing_unseen_and_is_shown_the_same_again(
        text in prop::collection::vec(prop_oneof![any::<char>(), prop::sample::select(vec!['\u{301}', '\u{202e}', '\u{fe0f}', 'a', '⟨'])], 0..30)
            .prop_map(String::from_iter),
    ) {
        let shown = visible(&text);
        prop_assert!(!shown.chars().any(hides));
        prop_assert_eq!(visible(&shown), shown.clone());
        if !text.contains('⟨') {
            prop_assert_eq!(back(&shown), text);
        }
    }
}
