//! When an operation ran, as several bindings tell it.

use jiff::Timestamp;
use tokio::time::Instant;
use trilby_go_syntax::GoDuration;

use super::Invocation;
use crate::RequestMetadata;

/// An operation that began.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    start: Timestamp,
    /// The clock of the wall may be set in between.
    began: Instant,
}

impl Timing {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            start: Timestamp::now(),
            began: Instant::now(),
        }
    }

    /// What is told about an operation that ends now: `operation`, `start-time`, `end-time` (RFC 3339, UTC) and
    /// `duration` (as Go writes them).
    #[must_use]
    pub fn end(self, invocation: &Invocation) -> RequestMetadata {
        let took = self.began.elapsed();
        let end = self.start.saturating_add(took);
        let end = end.unwrap_or(self.start);
        RequestMetadata::from([
            ("operation".to_owned(), invocation.operation.clone()),
            ("start-time".to_owned(), self.start.to_string()),
            ("end-time".to_owned(), end.to_string()),
            ("duration".to_owned(), GoDuration(took).to_string()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Invocation, Timing};

    #[tokio::test(start_paused = true)]
    async fn an_operation_ends_as_long_after_its_start_as_it_took() {
        let timing = Timing::begin();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        let invocation = Invocation {
            operation: "query".to_owned(),
            ..Invocation::default()
        };
        let told = timing.end(&invocation);
        assert_eq!(told["operation"], "query");
        assert_eq!(told["duration"], "1.5s");
        let time = |name: &str| -> jiff::Timestamp { told[name].parse().unwrap() };
        let between = time("end-time").duration_since(time("start-time"));
        assert_eq!(between, jiff::SignedDuration::from_millis(1_500));
    }
}
