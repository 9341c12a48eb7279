//! Error codes in answers of the APIs, if the Configuration asks for them (`recordErrorCodes`).

use std::sync::Arc;

use super::Metrics;
use super::definition::{Definition, few};
use super::families::Making;
use super::family::Family;
use super::value::Counter;
use crate::error::codes;

pub(super) static TOTAL: Definition = Definition::counter(
    "error_code_total",
    "Answers with an error code; with recordErrorCodes only.",
    &[few("category"), few("error_code")],
);

/// `None` where the Configuration does not ask.
pub(super) type Errors = Option<Arc<Family<Counter>>>;

pub(super) fn new(making: &mut Making<'_>) -> Errors {
    let asked = making.settings().error_codes;
    asked.then(|| making.family(&TOTAL))
}

impl Metrics {
    /// Counts an error code that an API answers.
    pub(super) fn failed(&self, code: &str) {
        self.with(|families| {
            if let Some(total) = &families.errors {
                total.record(&[codes::category(code), code], Counter::inc);
            }
        });
    }

    /// Counts the error code behind a reason in a gRPC status, which `reason` looks for.
    pub(super) fn failed_for(&self, reason: impl FnOnce() -> Option<String>) {
        self.with(|families| {
            if let Some(total) = &families.errors
                && let Some(row) = reason().and_then(|reason| codes::of_reason(&reason))
            {
                total.record(&[row.category, row.code], Counter::inc);
            }
        });
    }
}
