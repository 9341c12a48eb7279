//! When a circuit breaker opens: a CEL expression over its counts.

mod expression;

use crate::machine::Counts;
use expression::{Expression, Value};

/// The longest expression taken, in bytes; far more than a condition over five numbers needs.
const LONGEST: usize = 1024;
/// Failures in a row that a breaker without an expression tolerates.
const TOLERATED: u32 = 5;

/// The condition under which a closed breaker opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip(Option<Expression>);

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrip {
    /// Not in CEL's grammar, or beyond the part of it that conditions need.
    #[error("not a condition that a circuit breaker understands: {0}")]
    Syntax(String),
    /// Longer than any sensible condition.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
}

impl Trip {
    /// More than five failures in a row, when no expression says otherwise.
    pub fn after_failures() -> Self {
        Self(None)
    }

    /// Reads an expression over `requests`, `totalSuccesses`, `totalFailures`, `consecutiveSuccesses` and
    /// `consecutiveFailures`.
    ///
    /// # Errors
    /// See [`InvalidTrip`].
    pub fn parse(text: &str) -> Result<Self, InvalidTrip> {
        if text.len() > LONGEST {
            return Err(InvalidTrip::TooLong);
        }
        let expression = Expression::parse(text).map_err(InvalidTrip::Syntax)?;
        Ok(Self(Some(expression)))
    }

    /// Whether the breaker opens. What cannot be evaluated, or is neither true nor false, does not open it.
    pub fn holds(&self, counts: &Counts) -> bool {
        match &self.0 {
            None => counts.consecutive_failures > TOLERATED,
            Some(expression) => evaluate(expression, counts) == Ok(true),
        }
    }

    /// Why the condition can never hold, if that shows without any request: a name that breakers do not
    /// have, a result that is not true or false.
    pub fn never_holds(&self) -> Option<String> {
        // Small, different and not zero, so that no arithmetic over them fails by accident.
        let sample = Counts {
            requests: 11,
            total_successes: 4,
            total_failures: 7,
            consecutive_successes: 2,
            consecutive_failures: 3,
        };
        evaluate(self.0.as_ref()?, &sample).err()
    }
}

fn evaluate(expression: &Expression, counts: &Counts) -> Result<bool, String> {
    let value = expression.evaluate(&|name| {
        Some(i64::from(match name {
            "requests" => counts.requests,
            "totalSuccesses" => counts.total_successes,
            "totalFailures" => counts.total_failures,
            "consecutiveSuccesses" => counts.consecutive_successes,
            "consecutiveFailures" => counts.consecutive_failures,
            _ => return None,
        }))
    });
    match value.map_err(|error| error.to_string())? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!(
            "the result is {}, not true or false",
            other.type_name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u32, total_failures: u32, consecutive_failures: u32) -> Counts {
        Counts {
            requests,
            total_failures,
            consecutive_failures,
            ..Counts::default()
        }
    }

    fn holds(text: &str, counts: &Counts) -> bool {
        Trip::parse(text).unwrap().holds(counts)
    }

    #[test]
    fn without_expression_the_sixth_failure_in_a_row_opens() {
        let trip = Trip::after_failures();
        assert!(!trip.holds(&counts(9, 9, 5)));
        assert!(trip.holds(&counts(9, 9, 6)));
    }

    #[test]
    fn every_count_has_its_name() {
        let counts = Counts {
            requests: 1,
            total_successes: 2,
            total_failures: 3,
            consecutive_successes: 4,
            consecutive_failures: 5,
        };
        for text in [
            "requests == 1",
            "totalSuccesses == 2",
            "totalFailures == 3",
            "consecutiveSuccesses == 4",
            "consecutiveFailures == 5",
        ] {
            assert!(holds(text, &counts), "{text}");
        }
    }

    #[test]
    fn conditions_may_be_joined_and_computed() {
        let text =
            "requests >= 10 && (totalFailures * 100 / requests >= 50 || consecutiveFailures > 5)";
        assert!(holds(text, &counts(10, 5, 1)));
        assert!(holds(text, &counts(10, 1, 6)));
        assert!(!holds(text, &counts(9, 9, 9)));
        let share = "double(totalFailures) / double(requests) > 0.4";
        assert!(holds(share, &counts(2, 1, 1)));
    }

    #[test]
    fn what_cannot_be_evaluated_does_not_open() {
        assert!(!holds("failures > 1", &counts(9, 9, 9)));
        assert!(!holds("requests", &counts(9, 9, 9)));
        assert!(!holds(
            "requests / consecutiveFailures > 0",
            &counts(9, 9, 0)
        ));
    }

    #[test]
    fn a_condition_that_never_holds_says_why() {
        let why = |text: &str| Trip::parse(text).unwrap().never_holds();
        assert!(why("failures > 1").unwrap().contains("failures"));
        assert!(why("requests").unwrap().contains("int"));
        assert_eq!(why("requests > 1"), None);
        assert_eq!(Trip::after_failures().never_holds(), None);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "consecutiveFailures >", "a b", "((", "\u{0}"] {
            let refused = Trip::parse(text);
            assert!(matches!(refused, Err(InvalidTrip::Syntax(_))), "{text:?}");
        }
        let long = "1+".repeat(LONGEST);
        assert_eq!(Trip::parse(&long), Err(InvalidTrip::TooLong));
    }
}
