//! Retry policies.

use std::time::Duration;

use crate::codes::{Codes, GRPC, HTTP};

/// When an operation is tried again, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The pauses between attempts.
    pub schedule: Schedule,
    /// Attempts after the first; `None` for no limit.
    pub max_retries: Option<u32>,
    /// HTTP statuses that are worth another attempt.
    pub http_codes: Codes,
    /// gRPC statuses that are worth another attempt.
    pub grpc_codes: Codes,
}

/// The pauses between attempts.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Always the same pause.
    Constant(Duration),
    /// Growing pauses.
    Exponential(Exponential),
}

/// Pauses that grow from attempt to attempt, each varied at random.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// The first pause.
    pub initial: Duration,
    /// The part of a pause by which it is made longer or shorter, 0 to 1.
    pub randomization: f64,
    /// How much longer each pause is than the one before.
    pub multiplier: f64,
    /// The longest pause, before it is varied; the first one is not capped.
    pub max_interval: Duration,
    /// No attempt begins later than this after the first; zero for no limit.
    pub max_elapsed: Duration,
}

impl Default for Exponential {
    /// The defaults of the library that upstream waits with.
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            randomization: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(60),
            max_elapsed: Duration::from_secs(15 * 60),
        }
    }
}

impl Retry {
    /// A constant pause and a number of retries, for every failure.
    pub(crate) fn constant(pause: Duration, max_retries: u32) -> Self {
        Self {
            schedule: Schedule::Constant(pause),
            max_retries: Some(max_retries),
            http_codes: Codes::default(),
            grpc_codes: Codes::default(),
        }
    }

    /// Whether anything is ever tried again.
    pub fn repeats(&self) -> bool {
        self.max_retries != Some(0)
    }

    /// Whether a status is worth another attempt. Small numbers are gRPC codes, those from 100 are HTTP's;
    /// what is neither is not tried again.
    pub fn covers(&self, code: i32) -> bool {
        if GRPC.contains(&code) {
            self.grpc_codes.contains(code)
        } else {
            HTTP.contains(&code) && self.http_codes.contains(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_codes() {
        let retry = Retry {
            http_codes: Codes::parse("500-503", &HTTP).unwrap(),
            grpc_codes: Codes::parse("14", &GRPC).unwrap(),
            ..Retry::constant(Duration::ZERO, 1)
        };
        assert!(retry.covers(500) && retry.covers(14));
        assert!(!retry.covers(404) && !retry.covers(2));
    }

    #[test]
    fn a_number_of_no_protocol_is_not_tried_again() {
        let retry = Retry::constant(Duration::ZERO, 1);
        assert!(retry.covers(418) && retry.covers(0));
        assert!(!retry.covers(600) && !retry.covers(50) && !retry.covers(-1));
    }

    #[test]
    fn no_retries_repeat_nothing() {
        assert!(!Retry::constant(Duration::ZERO, 0).repeats());
        let endless = Retry {
            max_retries: None,
            ..Retry::constant(Duration::ZERO, 0)
        };
        assert!(endless.repeats());
    }
}
