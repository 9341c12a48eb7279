//! Which status codes are worth another attempt.

use std::ops::RangeInclusive;

/// HTTP status codes that may be named.
pub(crate) const HTTP: RangeInclusive<i32> = 100..=599;
/// gRPC status codes that may be named.
pub(crate) const GRPC: RangeInclusive<i32> = 0..=16;

/// A set of status codes; unset, it holds every code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codes(Option<Box<[RangeInclusive<i32>]>>);

/// Why a list of codes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidCodes {
    /// Neither a number nor two numbers with a dash between them.
    #[error("{0:?} is neither a code nor a range of codes such as 500-599")]
    Syntax(String),
    /// No such code.
    #[error("{code} in {pattern:?} is not between {first} and {last}")]
    OutOfRange {
        /// The part of the list.
        pattern: String,
        /// The code.
        code: i64,
        /// The smallest code there is.
        first: i32,
        /// The largest.
        last: i32,
    },
    /// A range that ends before it starts.
    #[error("{0:?} ends before it starts")]
    Backwards(String),
}

impl Codes {
    /// Reads a comma-separated list of codes and ranges; an empty text is no list.
    ///
    /// # Errors
    /// See [`InvalidCodes`].
    pub(crate) fn parse(text: &str, valid: &RangeInclusive<i32>) -> Result<Self, InvalidCodes> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let parts = text.split(',').filter(|part| !part.is_empty());
        let ranges: Result<_, _> = parts.map(|part| range(part, valid)).collect();
        Ok(Self(Some(ranges?)))
    }

    /// Whether the set holds a code.
    pub fn contains(&self, code: i32) -> bool {
        self.0
            .as_ref()
            .is_none_or(|ranges| ranges.iter().any(|range| range.contains(&code)))
    }
}

fn range(part: &str, valid: &RangeInclusive<i32>) -> Result<RangeInclusive<i32>, InvalidCodes> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (code(first, part, valid)?, code(last, part, valid)?);
    if last < first {
        return Err(InvalidCodes::Backwards(part.to_owned()));
    }
    Ok(first..=last)
}

fn code(text: &str, pattern: &str, valid: &RangeInclusive<i32>) -> Result<i32, InvalidCodes> {
    let code: i64 = text
        .parse()
        .map_err(|_| InvalidCodes::Syntax(pattern.to_owned()))?;
    i32::try_from(code)
        .ok()
        .filter(|code| valid.contains(code))
        .ok_or_else(|| InvalidCodes::OutOfRange {
            pattern: pattern.to_owned(),
            code,
            first: *valid.start(),
            last: *valid.end(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Result<Codes, InvalidCodes> {
        Codes::parse(text, &HTTP)
    }

    #[test]
    fn no_list_holds_every_code() {
        assert!(http("").unwrap().contains(404));
    }

    #[test]
    fn codes_and_ranges_hold_their_ends() {
        let codes = http("429,500-503").unwrap();
        let held: Vec<i32> = (100..600).filter(|code| codes.contains(*code)).collect();
        assert_eq!(held, [429, 500, 501, 502, 503]);
    }

    #[test]
    fn empty_parts_are_skipped_and_a_list_of_them_holds_nothing() {
        assert!(http(",429,").unwrap().contains(429));
        assert!(!http(",").unwrap().contains(429));
    }

    #[test]
    fn what_is_no_code_is_named() {
        assert_eq!(http("4xx"), Err(InvalidCodes::Syntax("4xx".into())));
        assert_eq!(http("500, 501"), Err(InvalidCodes::Syntax(" 501".into())));
        assert_eq!(
            http("500-501-502"),
            Err(InvalidCodes::Syntax("500-501-502".into()))
        );
        assert_eq!(
            http("503-500"),
            Err(InvalidCodes::Backwards("503-500".into()))
        );
        let error = http("600").unwrap_err();
        assert_eq!(
            error.to_string(),
            "600 in \"600\" is not between 100 and 599"
        );
        let error = Codes::parse("17", &GRPC).unwrap_err();
        assert_eq!(error.to_string(), "17 in \"17\" is not between 0 and 16");
    }
}
