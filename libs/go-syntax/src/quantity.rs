//! Kubernetes quantities: `4Mi`, `500m`, `1e3`.

use std::str::FromStr;

const NANO: i128 = 1_000_000_000;

/// A Kubernetes quantity, exact to a billionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    billionths: i128,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not in the grammar.
    #[error("invalid quantity {0:?}: expected a number with a unit, such as \"4Mi\" or \"500m\"")]
    Syntax(String),
    /// Beyond what can be counted.
    #[error("invalid quantity {0:?}: too large")]
    TooLarge(String),
}

impl Quantity {
    /// The value as a whole number, rounded away from zero as Kubernetes rounds, held within an `i64`.
    #[must_use]
    pub fn value(self) -> i64 {
        let whole = self.billionths / NANO;
        let rounded = match self.billionths % NANO {
            0 => whole,
            rest => whole + rest.signum(),
        };
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.billionths < 0
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || QuantityError::Syntax(text.to_owned());
        let too_large = || QuantityError::TooLarge(text.to_owned());
        let (sign, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let unit = Unit::parse(suffix).ok_or_else(syntax)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(syntax());
        }
        let magnitude = scaled(whole, fraction, unit).ok_or_else(too_large)?;
        Ok(Self {
            billionths: sign * magnitude,
        })
    }
}

/// What a suffix multiplies by.
#[derive(Clone, Copy)]
enum Unit {
    /// A power of ten.
    Decimal(i32),
    /// A power of two.
    Binary(u32),
}

impl Unit {
    fn parse(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => Self::Decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
        })
    }
}

/// `whole.fraction` units in billionths, rounded up; `None` beyond 128 bits.
fn scaled(whole: &str, fraction: &str, unit: Unit) -> Option<i128> {
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = match [whole, fraction].concat().trim_start_matches('0') {
        "" => return Some(0),
        digits => digits.parse().ok()?,
    };
    let point = i32::try_from(fraction.len()).ok()?;
    let (ten, two) = match unit {
        Unit::Decimal(exponent) => (exponent, 0),
        Unit::Binary(exponent) => (0, exponent),
    };
    let digits = digits.checked_mul(1 << two)?;
    let exponent = ten.checked_sub(point)?.checked_add(9)?;
    let power = exponent.unsigned_abs();
    if exponent >= 0 {
        digits.checked_mul(10_i128.checked_pow(power)?)
    } else {
        // Anything smaller than a billionth counts as one.
        Some(10_i128.checked_pow(power).map_or(1, |divisor| {
            digits / divisor + i128::from(digits % divisor != 0)
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Quantity, QuantityError};

    fn value(text: &str) -> Result<i64, QuantityError> {
        text.parse().map(Quantity::value)
    }

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("4Mi", 4 << 20),
            ("4Ki", 4 << 10),
            ("1.5Gi", 3 << 29),
            ("4M", 4_000_000),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("2E", 2_000_000_000_000_000_000),
            ("+7", 7),
            ("-1", -1),
            (".5k", 500),
            ("5.", 5),
        ] {
            assert_eq!(value(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn fractions_round_away_from_zero() {
        assert_eq!(value("100m"), Ok(1));
        assert_eq!(value("-100m"), Ok(-1));
        assert_eq!(value("1e-300"), Ok(1));
        let (half, more): (Quantity, Quantity) = ("500m".parse().unwrap(), "0.6".parse().unwrap());
        assert!(half < more);
    }

    #[test]
    fn values_beyond_an_i64_are_held_at_its_ends() {
        assert_eq!(value("16Ei"), Ok(i64::MAX));
        assert_eq!(value("-16Ei"), Ok(i64::MIN));
        assert_eq!(value("1e400"), Err(QuantityError::TooLarge("1e400".into())));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in [
            "", ".", "Mi", "4 Mi", "4mi", "4MB", "1.2.3", "--1", "1e", "1e1.5",
        ] {
            assert_eq!(value(text), Err(QuantityError::Syntax(text.into())));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(value(&text));
        }

        #[test]
        fn numbers_of_any_shape_do_not_panic(text in "[+-]?[0-9]{0,50}[.]?[0-9]{0,50}(e-?[0-9]{1,12}|[A-Z]i?)?") {
            drop(value(&text));
        }

        #[test]
        fn whole_numbers_are_their_own_value(number in any::<i64>()) {
            assert_eq!(value(&number.to_string()), Ok(number));
        }
    }
}
