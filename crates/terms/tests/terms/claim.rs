//! What a caller claims: one reading, for what is enforced and for what the log is verified by.

use terms::claim::{says_something, ticket_fits, whole};

#[test]
fn a_ticket_fits_from_its_first_character_to_its_last() {
    let table = [
        ("OPS-[0-9]+", "OPS-17", true),
        ("OPS-[0-9]+", "xOPS-17", false),
        ("OPS-[0-9]+", "OPS-17x", false),
        ("OPS-[0-9]+", "OPS-17\n", false),
        ("OPS-[0-9]+", "\nOPS-17", false),
        ("^OPS-[0-9]+$", "OPS-17", true),
        ("(?m)^OPS-[0-9]+$", "OPS-17\nand more", false),
        ("a|ab", "ab", true),
        ("a|ab", "xa", false),
        ("(?i)ops", "OPS", true),
        (".*", " \u{200b}", false),
    ];
    for (pattern, ticket, expected) in table {
        assert_eq!(ticket_fits(pattern, ticket), expected, "{pattern} on {ticket:?}");
    }
}

/// Neither is a pattern by itself, or inside the anchors, or within its budget.
#[test]
fn what_is_no_pattern_fits_nothing() {
    for pattern in ["(", "a)|(?:b", "(?x)OPS # comment", "(a{1000}){1000}"] {
        assert!(whole(pattern).is_err(), "{pattern}");
        for ticket in ["a", "b", "axx", "OPS", "(", pattern] {
            assert!(!ticket_fits(pattern, ticket), "{pattern} on {ticket:?}");
        }
    }
}

#[test]
fn a_claim_without_a_visible_character_says_nothing() {
    for silent in ["", " \t\n\u{a0}", "\u{200b}\u{2060}", "\u{3164}"] {
        assert!(!says_something(silent), "{silent:?}");
    }
    assert!(says_something("\u{200b}x"));
}
