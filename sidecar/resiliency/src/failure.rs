//! How call sites tell a policy what went wrong.

use crate::machine::Refused;

/// A failed attempt: the error of the call site, and what a policy makes of it.
#[derive(Debug)]
pub struct Failure<E> {
    /// The error, which the last attempt's caller gets.
    pub error: E,
    /// What it is for the policy.
    pub verdict: Verdict,
}

/// What a failure is for a retry policy. For a circuit breaker every failure is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt may help.
    Retry,
    /// The target answered with this HTTP status or gRPC code; the policy's `matching` decides.
    Code(i32),
    /// No attempt will help, or none can be made.
    Final,
}

/// Why a policy ended an attempt itself. The texts are those that upstream answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It took longer than the policy's timeout.
    #[error("context deadline exceeded")]
    TimedOut,
    /// A circuit breaker did not let it through.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl<E> Failure<E> {
    /// Another attempt may help.
    pub fn again(error: E) -> Self {
        Self {
            error,
            verdict: Verdict::Retry,
        }
    }

    /// The target answered with a status.
    pub fn code(code: i32, error: E) -> Self {
        Self {
            error,
            verdict: Verdict::Code(code),
        }
    }

    /// No further attempt.
    pub fn last(error: E) -> Self {
        Self {
            error,
            verdict: Verdict::Final,
        }
    }
}
