//! Time: written in one way, and never wrapping round.

use proptest::prelude::*;
use terms::{Boottime, Json, Millis, Time};

use crate::support::cases;

#[test]
fn spans_are_read_and_written_in_the_largest_unit_that_fits() {
    let table = [
        ("0ms", 0, "0ms"),
        ("0d", 0, "0ms"),
        ("500ms", 500, "500ms"),
        ("1000ms", 1000, "1s"),
        ("50s", 50_000, "50s"),
        ("90s", 90_000, "90s"),
        ("60s", 60_000, "1m"),
        ("15m", 900_000, "15m"),
        ("8h", 28_800_000, "8h"),
        ("24h", 86_400_000, "1d"),
        ("7d", 604_800_000, "7d"),
        ("18446744073709551615ms", u64::MAX, "18446744073709551615ms"),
    ];
    for (text, millis, written) in table {
        assert_eq!(text.parse(), Ok(Millis::new(millis)), "{text}");
        assert_eq!(Millis::new(millis).to_string(), written);
    }
}

#[test]
fn what_is_no_span_or_too_long_is_refused() {
    let refused = [
        "",
        "5",
        "m",
        "ms",
        "-1s",
        "+1s",
        "1.5h",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1w",
        "1min",
        "1s1s",
        "0x1s",
        "١s",
        "18446744073709551616ms",
        "18446744073709552s",
        "213503982335d",
        "99999999999999999999999d",
    ];
    for text in refused {
        assert!(text.parse::<Millis>().is_err(), "{text}");
    }
}

#[test]
fn time_stops_at_its_ends() {
    let (start, end) = (Time::from_millis(i64::MIN), Time::from_millis(i64::MAX));
    assert_eq!(end.after(Millis::new(1)), end);
    assert_eq!(Time::from_millis(0).after(Millis::new(u64::MAX)), end);
    assert_eq!(start.before(Millis::new(u64::MAX)), start);
    assert_eq!(start.since(end), Millis::new(0));
    assert_eq!(end.since(start), Millis::new(u64::try_from(i64::MAX).unwrap()));
    let boot = Boottime::from_nanos(u64::MAX - 1);
    assert_eq!(boot.after(Millis::new(u64::MAX)).since(boot), Millis::new(0));
    assert_eq!(Boottime::from_nanos(5_999_999).since(Boottime::from_nanos(0)), Millis::new(5));
    assert_eq!(Millis::seconds(u64::MAX), Millis::new(u64::MAX));
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_span_reads_back(millis in prop_oneof![any::<u64>(), 0..1_u64 << 40, (0..1_u64 << 20).prop_map(|n| n * 60_000)]) {
        let span = Millis::new(millis);
        prop_assert_eq!(span.to_string().parse(), Ok(span));
        prop_assert_eq!(Millis::from_json(&Json::from(span)), Some(span));
    }

    #[test]
    fn any_moment_reads_back_and_no_two_write_the_same(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(Time::from_json(&Json::from(Time::from_millis(a))), Some(Time::from_millis(a)));
        prop_assert_eq!(Json::from(Time::from_millis(a)) == Json::from(Time::from_millis(b)), a == b);
        let spans = [a, b].map(|n| Json::from(Millis::new(n.cast_unsigned())));
        prop_assert_eq!(spans[0] == spans[1], a == b);
    }

    #[test]
    fn arbitrary_text_is_no_span_or_reads_as_it_says(text in ".{0,8}|[0-9]{0,22}(ms|s|m|h|d)") {
        if let Ok(span) = text.parse::<Millis>() {
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}

#[test]
fn a_small_number_written_as_text_is_not_a_time() {
    for json in [
        Json::from("5"),
        Json::from("9007199254740992"),
        Json::from("+9223372036854775807"),
        Json::from(1.5_f64.to_string()),
        Json::Null,
    ] {
        assert_eq!(Time::from_json(&json), None, "{json}");
        assert_eq!(Millis::from_json(&json), None, "{json}");
    }
    assert_eq!(Millis::from_json(&Json::from(-1_i64)), None);
}
