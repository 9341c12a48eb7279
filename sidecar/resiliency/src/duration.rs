//! Durations of policies: a Go duration, or a bare number of milliseconds.

use std::time::Duration;

use trilby_go_syntax::{DurationError, parse_duration};

/// Reads a duration. One below zero counts as none, as everywhere in policies.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    if let Ok(milliseconds) = text.parse::<i64>() {
        return Ok(Duration::from_millis(
            u64::try_from(milliseconds).unwrap_or(0),
        ));
    }
    match parse_duration(text) {
        Err(DurationError::Negative(_)) => Ok(Duration::ZERO),
        parsed => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_number_is_milliseconds() {
        assert_eq!(parse("250"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn go_duration_is_read() {
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn below_zero_is_none() {
        assert_eq!(parse("-5"), Ok(Duration::ZERO));
        assert_eq!(parse("-1s"), Ok(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in ["", "soon", "5 s", "1d"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
