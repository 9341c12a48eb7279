//! Durations in the grammar of Go's `time.ParseDuration`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a usable duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not in the grammar: a number with a unit (`ns`, `us`, `µs`, `ms`, `s`, `m`, `h`), repeated.
    #[error("invalid duration {0:?}: expected numbers with units, such as \"1h30m\" or \"500ms\"")]
    Syntax(String),
    /// Below zero, where only a length of time makes sense.
    #[error("invalid duration {0:?}: must not be negative")]
    Negative(String),
    /// More than Go's signed 64-bit count of nanoseconds (about 292 years).
    #[error("invalid duration {0:?}: too large")]
    TooLarge(String),
}

/// Reads a Go duration: `300ms`, `1.5h`, `2h45m`, `0`.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let nanoseconds = signed_nanoseconds(text)?;
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if i64::try_from(nanoseconds).is_ok() => {
            Ok(Duration::from_nanos(nanoseconds))
        }
        Ok(_) => Err(DurationError::TooLarge(text.to_owned())),
        Err(_) if nanoseconds < 0 => Err(DurationError::Negative(text.to_owned())),
        Err(_) => Err(DurationError::TooLarge(text.to_owned())),
    }
}

fn signed_nanoseconds(text: &str) -> Result<i128, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(syntax());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, tail) = term(rest).ok_or_else(syntax)?;
        total = total
            .checked_add(nanoseconds)
            .ok_or_else(|| DurationError::TooLarge(text.to_owned()))?;
        rest = tail;
    }
    Ok(sign * total)
}

/// One `number unit`, and what follows it.
fn term(text: &str) -> Option<(i128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(unit_end);
    Some((scale(number, unit_nanoseconds(unit)?)?, tail))
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` × `unit`, where `number` may have one decimal point with digits on at least one side.
fn scale(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Eighteen digits are below a nanosecond for every unit; Go drops what is beyond as well.
    let fraction = &fraction[..fraction.len().min(18)];
    let digits = u32::try_from(fraction.len()).ok()?;
    let fraction: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let part = fraction.checked_mul(unit)? / 10_i128.pow(digits);
    whole.checked_mul(unit)?.checked_add(part)
}

/// A length of time that reads and prints as Go does (`1h0m0s`, `1.5s`, `300ms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self)
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        match nanoseconds {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanoseconds}ns"),
            1_000..1_000_000 => decimal(f, nanoseconds, 1_000, "µs"),
            1_000_000..1_000_000_000 => decimal(f, nanoseconds, 1_000_000, "ms"),
            _ => {
                let (hours, minutes) = (self.0.as_secs() / 3600, self.0.as_secs() / 60 % 60);
                if hours > 0 {
                    write!(f, "{hours}h{minutes}m")?;
                } else if minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                decimal(f, nanoseconds % 60_000_000_000, 1_000_000_000, "s")
            }
        }
    }
}

/// `value / unit` without trailing zeros.
fn decimal(f: &mut fmt::Formatter<'_>, value: u128, unit: u128, suffix: &str) -> fmt::Result {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return write!(f, "{whole}{suffix}");
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    write!(f, "{whole}.{}{suffix}", fraction.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, proptest};

    use super::{DurationError, GoDuration, parse_duration};

    #[test]
    fn go_spellings_are_read() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("5s", 5_000),
            ("+5s", 5_000),
            ("1h2m3.5s", 3_723_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("100ms", 100),
            ("250000us", 250),
            ("24h", 86_400_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in ["", "5", "s", "5 s", "1d", "1..s", ".s", "5sx", "-", "1h2"] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Syntax(text.into()))
            );
        }
        assert_eq!(
            parse_duration("-5s"),
            Err(DurationError::Negative("-5s".into()))
        );
        assert_eq!(
            parse_duration("3000000h"),
            Err(DurationError::TooLarge("3000000h".into()))
        );
    }

    #[test]
    fn printing_matches_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (300_000_000, "300ms"),
            (8_000_000_000, "8s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(
                GoDuration(Duration::from_nanos(nanoseconds)).to_string(),
                text
            );
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_round_trip(nanoseconds in 0..i64::MAX) {
            let duration = GoDuration(Duration::from_nanos(nanoseconds.unsigned_abs()));
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(parse_duration(&text));
        }
    }
}
