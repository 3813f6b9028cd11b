//! The published suites: nst/JSONTestSuite and the test data of RFC 8785.

use std::collections::BTreeMap;

use terms::json::{NotJson, parse};

use crate::support::{corpora, files};

/// The named rule that refused a text, or its canonical form.
fn verdict(bytes: &[u8]) -> String {
    match parse(bytes) {
        Ok(json) => format!("= {json}"),
        Err(refused) => rule(&refused).to_owned(),
    }
}

pub const fn rule(refused: &NotJson) -> &'static str {
    match refused {
        NotJson::Syntax { .. } => "syntax",
        NotJson::DuplicateKey { .. } => "duplicate_key",
        NotJson::NumberInexact { .. } => "number_inexact",
        NotJson::TooLarge { .. } => "too_large",
        NotJson::NotCanonical { .. } => "not_canonical",
    }
}

/// Valid by RFC 8259, and refused here by a stricter rule.
const STRICTER: &[(&str, &str)] = &[
    ("y_number_minus_zero.json", "number_inexact"),
    ("y_number_negative_zero.json", "number_inexact"),
    ("y_object_duplicated_key.json", "duplicate_key"),
    ("y_object_duplicated_key_and_value.json", "duplicate_key"),
];

/// What RFC 8259 leaves open, and what is done with it here.
const OPEN: &[(&str, &str)] = &[
    ("i_number_double_huge_neg_exp.json", "number_inexact"),
    ("i_number_huge_exp.json", "number_inexact"),
    ("i_number_neg_int_huge_exp.json", "number_inexact"),
    ("i_number_pos_double_huge_exp.json", "number_inexact"),
    ("i_number_real_neg_overflow.json", "number_inexact"),
    ("i_number_real_pos_overflow.json", "number_inexact"),
    ("i_number_real_underflow.json", "number_inexact"),
    ("i_number_too_big_neg_int.json", "number_inexact"),
    ("i_number_too_big_pos_int.json", "= [100000000000000000000]"),
    ("i_number_very_big_negative_int.json", "number_inexact"),
    ("i_object_key_lone_2nd_surrogate.json", "syntax"),
    ("i_string_1st_surrogate_but_2nd_missing.json", "syntax"),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", "syntax"),
    ("i_string_UTF-16LE_with_BOM.json", "syntax"),
    ("i_string_UTF-8_invalid_sequence.json", "syntax"),
    ("i_string_UTF8_surrogate_U+D800.json", "syntax"),
    ("i_string_incomplete_surrogate_and_escape_valid.json", "syntax"),
    ("i_string_incomplete_surrogate_pair.json", "syntax"),
    ("i_string_incomplete_surrogates_escape_valid.json", "syntax"),
    ("i_string_invalid_lonely_surrogate.json", "syntax"),
    ("i_string_invalid_surrogate.json", "syntax"),
    ("i_string_invalid_utf-8.json", "syntax"),
    ("i_string_inverted_surrogates_U+1D11E.json", "syntax"),
    ("i_string_iso_latin_1.json", "syntax"),
    ("i_string_lone_second_surrogate.json", "syntax"),
    ("i_string_lone_utf8_continuation_byte.json", "syntax"),
    ("i_string_not_in_unicode_range.json", "syntax"),
    ("i_string_overlong_sequence_2_bytes.json", "syntax"),
    ("i_string_overlong_sequence_6_bytes.json", "syntax"),
    ("i_string_overlong_sequence_6_bytes_null.json", "syntax"),
    ("i_string_truncated-utf-8.json", "syntax"),
    ("i_string_utf16BE_no_BOM.json", "syntax"),
    ("i_string_utf16LE_no_BOM.json", "syntax"),
    ("i_structure_500_nested_arrays.json", "too_large"),
    ("i_structure_UTF-8_BOM_empty_object.json", "syntax"),
];

/// What parsers are known to read in several ways, and how it is read here.
const TRANSFORMED: &[(&str, &str)] = &[
    ("number_-9223372036854775808.json", "number_inexact"),
    ("number_-9223372036854775809.json", "number_inexact"),
    ("number_1.0.json", "= [1]"),
    ("number_1.000000000000000005.json", "number_inexact"),
    ("number_1000000000000000.json", "= [1000000000000000]"),
    ("number_10000000000000000999.json", "number_inexact"),
    ("number_1e-999.json", "number_inexact"),
    ("number_1e6.json", "= [1000000]"),
    ("number_9223372036854775807.json", "number_inexact"),
    ("number_9223372036854775808.json", "number_inexact"),
    ("object_key_nfc_nfd.json", "= {\"e\u{301}\":\"NFD\",\"é\":\"NFC\"}"),
    ("object_key_nfd_nfc.json", "= {\"e\u{301}\":\"NFD\",\"é\":\"NFC\"}"),
    ("object_same_key_different_values.json", "duplicate_key"),
    ("object_same_key_same_value.json", "duplicate_key"),
    ("object_same_key_unclear_values.json", "number_inexact"),
    ("string_1_escaped_invalid_codepoint.json", "syntax"),
    ("string_1_invalid_codepoint.json", "syntax"),
    ("string_2_escaped_invalid_codepoints.json", "syntax"),
    ("string_2_invalid_codepoints.json", "syntax"),
    ("string_3_escaped_invalid_codepoints.json", "syntax"),
    ("string_3_invalid_codepoints.json", "syntax"),
    ("string_with_escaped_NULL.json", "= [\"A\\u0000B\"]"),
];

#[test]
fn every_text_that_is_not_json_is_refused() {
    let Some(folder) = corpora("json/test_parsing") else { return };
    let tried: Vec<_> = files(&folder).into_iter().filter(|(name, _)| name.starts_with("n_")).collect();
    assert_eq!(tried.len(), 188);
    for (name, bytes) in tried {
        assert!(parse(&bytes).is_err(), "{name} was accepted");
    }
}

#[test]
fn every_json_text_is_accepted_or_refused_by_a_named_stricter_rule() {
    let Some(folder) = corpora("json/test_parsing") else { return };
    let stricter: BTreeMap<_, _> = STRICTER.iter().copied().collect();
    let tried: Vec<_> = files(&folder).into_iter().filter(|(name, _)| name.starts_with("y_")).collect();
    assert_eq!(tried.len(), 95);
    let refused = tried.iter().filter_map(|(name, bytes)| Some((name.as_str(), rule(&parse(bytes).err()?))));
    assert_eq!(refused.collect::<BTreeMap<_, _>>(), stricter);
}

#[test]
fn what_the_standard_leaves_open_is_frozen() {
    frozen("json/test_parsing", "i_", OPEN);
}

#[test]
fn what_parsers_transform_is_read_in_one_way_or_refused() {
    frozen("json/test_transform", "", TRANSFORMED);
}

fn frozen(folder: &str, prefix: &str, table: &[(&str, &str)]) {
    let Some(folder) = corpora(folder) else { return };
    let got: Vec<(String, String)> = files(&folder)
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, bytes)| (name, verdict(&bytes)))
        .collect();
    let table: Vec<_> = table.iter().map(|(name, says)| ((*name).to_owned(), (*says).to_owned())).collect();
    assert_eq!(got, table);
}

/// `values.json` writes one number with a digit that its double loses, so it is refused (B11); with that digit
/// left out it must come out byte for byte.
#[test]
fn jcs_test_data_comes_out_byte_for_byte() {
    let Some(folder) = corpora("jcs/testdata") else { return };
    let inputs = files(&folder.join("input"));
    assert_eq!(inputs.len(), 6);
    for (name, input) in inputs {
        let expected = std::fs::read_to_string(folder.join("output").join(&name)).unwrap();
        let mut input = String::from_utf8(input).unwrap();
        if name == "values.json" {
            assert_eq!(verdict(input.as_bytes()), "number_inexact");
            input = input.replace("333333333.33333329", "333333333.3333333");
        }
        let text = parse(input.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}")).text();
        assert_eq!(text, expected, "{name}");
        let hex = std::fs::read_to_string(folder.join("outhex").join(name.replace(".json", ".txt"))).unwrap();
        let bytes: Vec<u8> = hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        assert_eq!(text.as_bytes(), bytes, "{name}");
    }
}
