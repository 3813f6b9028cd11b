//! Numbers: accepted only if their exact value is what their canonical text denotes (decisions B11).

/// A finite double, never `-0`, that is exactly what was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(f64);

/// The text denotes a number that a double does not hold exactly; send it as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the number is not exactly representable: send it as a string")]
pub struct Inexact;

/// The largest integer up to which every integer is a double.
const SAFE: i64 = 1 << 53;

impl Number {
    /// From the text of a JSON number (RFC 8259 §6), which the caller has checked for syntax.
    pub(super) fn from_text(text: &str) -> Result<Self, Inexact> {
        let value: f64 = text.parse().map_err(|_| Inexact)?;
        if !value.is_finite() || (value == 0.0 && text.starts_with('-')) {
            return Err(Inexact);
        }
        let number = Self(value);
        if Decimal::of(text) == Decimal::of(&number.text()) { Ok(number) } else { Err(Inexact) }
    }

    /// The canonical text: ECMAScript's, as RFC 8785 §3.2.2.3 asks.
    #[must_use]
    pub fn text(self) -> String {
        ryu_js::Buffer::new().format_finite(self.0).to_owned()
    }

    /// The number as an integer, if it is one between ±2^53.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        #[allow(clippy::cast_possible_truncation)] // checked: integral and within ±2^53
        let whole = self.0 as i64;
        #[allow(clippy::cast_precision_loss)] // exact within ±2^53
        let same = (whole as f64).to_bits() == self.0.to_bits();
        (same && (-SAFE..=SAFE).contains(&whole)).then_some(whole)
    }

    /// The number as a double.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl From<u32> for Number {
    fn from(n: u32) -> Self {
        Self(f64::from(n))
    }
}

impl TryFrom<i64> for Number {
    type Error = Inexact;

    fn try_from(n: i64) -> Result<Self, Inexact> {
        #[allow(clippy::cast_precision_loss)] // exact within ±2^53
        if (-SAFE..=SAFE).contains(&n) { Ok(Self(n as f64)) } else { Err(Inexact) }
    }
}

/// A decimal in lowest form: sign, significant digits without zeros at either end, power of ten.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// `None` where the exponent is so large that the text cannot be a double anyway.
    fn of(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.trim_start_matches('-');
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let kept = all.trim_end_matches('0');
        let dropped = i64::try_from(all.len() - kept.len()).ok()?;
        let digits = kept.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 }); // whatever its power
        }
        let power: i64 = power.parse().ok().filter(|p: &i64| p.abs() < 1 << 32)?;
        let exponent = power - i64::try_from(fraction.len()).ok()? + dropped;
        Some(Self { negative, digits, exponent })
    }
}
