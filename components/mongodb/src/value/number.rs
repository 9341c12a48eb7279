//! Numbers of JSON as numbers of BSON, if that is without a loss.

use mongodb::bson::Bson;

/// The number; `None` if BSON's own have another value.
pub(super) fn exact(json: &str) -> Option<Bson> {
    if let Ok(whole) = json.parse::<i64>() {
        return Some(Bson::Int64(whole));
    }
    let number: f64 = json.parse().ok()?;
    let same = number.is_finite() && decimal(json)? == decimal(&format!("{number:e}"))?;
    same.then_some(Bson::Double(number))
}

/// Sign, digits without zeros at either end, and the power of ten that they are multiplied with.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    match significant.trim_start_matches('0') {
        "" => Some((negative, String::new(), 0)),
        digits => Some((negative, digits.to_owned(), power.checked_add(zeros)?)),
    }
}

/// A number of BSON as JSON, in Go's words; `None` for what is no number.
pub(super) fn written(number: f64) -> Option<String> {
    let size = number.abs();
    match number {
        number if !number.is_finite() => None,
        _ if size != 0.0 && !(1e-6..1e21).contains(&size) => {
            let text = format!("{number:e}");
            // Go says the sign of an exponent.
            Some(match text.contains("e-") {
                true => text,
                false => text.replace('e', "e+"),
            })
        }
        number => Some(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_numbers_are_numbers() {
        assert_eq!(exact("-7"), Some(Bson::Int64(-7)));
        for text in ["1.50", "0.1", "1E2", "-0.0", "1e-7", "123456789.125"] {
            assert_eq!(exact(text), Some(Bson::Double(text.parse().unwrap())));
        }
        for text in ["9223372036854775808.5", "0.12345678901234567890", "1e400"] {
            assert_eq!(exact(text), None, "{text}");
        }
    }

    #[test]
    fn they_are_written_as_go_writes_them() {
        for (number, text) in [
            (5.0, "5"),
            (-2.5, "-2.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (0.0, "0"),
        ] {
            assert_eq!(written(number).as_deref(), Some(text));
        }
        assert_eq!(written(f64::NAN), None);
    }
}
