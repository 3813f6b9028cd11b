//! Numbers (decisions B11): accepted iff the text denotes exactly what its canonical text denotes.

use proptest::prelude::*;
use terms::json::{NotJson, parse};

use crate::support::{cases, double, shortest};

#[test]
fn numbers_are_read_exactly_or_refused() {
    let inexact = "refused";
    let table = [
        ("0", "0"),
        ("1", "1"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("0.10", "0.1"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("100000e-5", "1"),
        ("1e21", "1e+21"),
        ("1000000000000000000000", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("123456789012345680000", "123456789012345680000"),
        ("-1.50", "-1.5"),
        ("1e23", "1e+23"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740992", "9007199254740992"),
        ("9007199254740993", inexact),
        ("9007199254740994", "9007199254740994"),
        ("-9007199254740993", inexact),
        ("5e-324", "5e-324"),
        ("4.9e-324", inexact),
        ("4.9406564584124654e-324", inexact),
        ("2e-324", inexact),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("2.2250738585072011e-308", inexact),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1.7976931348623159e308", inexact),
        ("1e400", inexact),
        ("-1e400", inexact),
        ("1e-400", inexact),
        ("1e99999999999999999999", inexact),
        ("1e-99999999999999999999", inexact),
        ("0e99999999999999999999", "0"),
        ("0.00e-400", "0"),
        ("-0", inexact),
        ("-0.0", inexact),
        ("-0e5", inexact),
        ("-1e-400", inexact),
        ("0.1", "0.1"),
        ("0.1000000000000000055511151231257827021181583404541015625", inexact),
        ("0.30000000000000004", "0.30000000000000004"),
        ("0.3", "0.3"),
        // Both name 2176263367300678.25, and both are as close: ECMAScript says the even one.
        ("2176263367300678.2", "2176263367300678.2"),
        ("2176263367300678.3", inexact),
        ("333333333.33333329", inexact),
        ("18446744073709551615", inexact),
        ("18446744073709551616", inexact),
        ("1.000000000000000005", inexact),
        ("3.141592653589793238462643383279", inexact),
    ];
    for (text, expected) in table {
        let got = match parse(text.as_bytes()) {
            Ok(json) => json.text(),
            Err(NotJson::NumberInexact { at: 0 }) => inexact.to_owned(),
            Err(other) => panic!("{text}: {other}"),
        };
        assert_eq!(got, expected, "{text}");
    }
}

#[test]
fn zeros_at_either_end_do_not_count_and_any_other_digit_does() {
    let zeros = "0".repeat(100_000);
    assert_eq!(parse(format!("1.{zeros}").as_bytes()).unwrap().text(), "1");
    assert_eq!(parse(format!("1{zeros}e-100000").as_bytes()).unwrap().text(), "1");
    assert_eq!(parse(format!("0.{zeros}1e100001").as_bytes()).unwrap().text(), "1");
    assert!(parse(format!("1.{zeros}1").as_bytes()).is_err());
}

#[test]
fn integers_are_integers_only_where_doubles_hold_each_of_them() {
    let read = |text: &str| parse(text.as_bytes()).unwrap().as_i64();
    assert_eq!(read("9007199254740992"), Some(1 << 53));
    assert_eq!(read("-9007199254740992"), Some(-(1 << 53)));
    assert_eq!(read("9007199254740994"), None);
    assert_eq!(read("1e300"), None);
    assert_eq!(read("1.5"), None);
    assert_eq!(read("1e2"), Some(100));
}

/// ECMAScript's Number::toString (§6.1.6.1.20) over digits that Rust's formatter finds.
fn ecmascript(value: f64) -> String {
    let shortest = shortest(value.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap();
    let digits = mantissa.replace('.', "");
    let digits = digits.as_str();
    let (k, n) = (i32::try_from(digits.len()).unwrap(), exponent.parse::<i32>().unwrap() + 1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap());
    let sign = if value < 0.0 { "-" } else { "" };
    let text = if value == 0.0 {
        "0".to_owned()
    } else if k <= n && n <= 21 {
        format!("{digits}{}", zeros(n - k))
    } else if 0 < n && n <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(n).unwrap());
        format!("{whole}.{fraction}")
    } else if -6 < n && n <= 0 {
        format!("0.{}{digits}", zeros(-n))
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e{}{}", if n > 0 { "+" } else { "-" }, (n - 1).abs())
    };
    format!("{sign}{text}")
}

/// Whether two decimals are one number: both written out at the smaller power of ten, then compared digit by digit.
fn same_decimal(a: &str, b: &str) -> bool {
    let split = |text: &str| -> (bool, String, i64) {
        let negative = text.starts_with('-');
        let lower = text.trim_start_matches('-').to_lowercase();
        let (mantissa, power) = lower.split_once('e').unwrap_or((&lower, "0"));
        let point = mantissa.find('.').map_or(0, |p| mantissa.len() - p - 1);
        (negative, mantissa.replace('.', ""), power.parse::<i64>().unwrap() - i64::try_from(point).unwrap())
    };
    let ((sign_a, digits_a, power_a), (sign_b, digits_b, power_b)) = (split(a), split(b));
    let least = power_a.min(power_b);
    let written = |digits: &str, power: i64| {
        let all = format!("{digits}{}", "0".repeat(usize::try_from(power - least).unwrap()));
        all.trim_start_matches('0').to_owned()
    };
    let (a, b) = (written(&digits_a, power_a), written(&digits_b, power_b));
    a == b && (sign_a == sign_b || a.is_empty())
}

fn exact(text: &str) -> bool {
    let value: f64 = text.parse().unwrap();
    let minus_zero = value == 0.0 && text.starts_with('-');
    value.is_finite() && !minus_zero && same_decimal(text, &shortest(value))
}

fn decimal() -> impl Strategy<Value = String> {
    let free = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?";
    let short = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3}0{0,5})?([eE][+-]?[0-9]{1,2})?";
    // The digits of a double, some of them lost, doubled or followed by others.
    let near = (any::<f64>(), "0{0,3}[0-9]{0,2}").prop_filter_map("finite", |(value, tail)| {
        let shortest = if value.is_finite() { shortest(value) } else { return None };
        let (mantissa, power) = shortest.split_once('e')?;
        let point = if mantissa.contains('.') || tail.is_empty() { "" } else { "." };
        Some(format!("{mantissa}{point}{tail}e{power}"))
    });
    let exact_binary = any::<f64>().prop_map(|value| {
        let exponent = 1003 + (value.to_bits() >> 52 & 31);
        format!("{:.60}", f64::from_bits(value.to_bits() & !(0x7ff << 52) | exponent << 52))
    });
    prop_oneof![free, short, near, exact_binary]
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn any_double_survives_its_canonical_text(value in double()) {
        let read = parse(shortest(value).as_bytes()).unwrap();
        let text = read.text();
        prop_assert_eq!(&text, &ecmascript(value));
        let again = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(again.text(), text);
        let terms::Json::Number(number) = again else { panic!("not a number") };
        prop_assert_eq!(number.as_f64().to_bits(), value.to_bits());
    }

    #[test]
    fn a_decimal_is_accepted_iff_it_is_exact(text in decimal()) {
        let got = parse(text.as_bytes());
        prop_assert_eq!(got.is_ok(), exact(&text), "{}", text);
        if let Ok(json) = got {
            prop_assert!(same_decimal(&json.text(), &text), "{} became {}", text, json);
        }
    }
}
