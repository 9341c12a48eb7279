//! A circuit breaker that callers share.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::machine::{Generation, Machine, Outcome, Refused, Settings, State};

/// A [`Machine`] on the clock, behind a lock.
#[derive(Debug)]
pub struct Breaker {
    target: String,
    settings: Arc<Settings>,
    machine: Mutex<Machine>,
}

/// A request that a breaker let through. It is told how the request ended; dropped untold, the request was
/// given up, which counts as a failure.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    generation: Generation,
    settled: bool,
}

impl Breaker {
    /// Closed; `target` names in the log what it guards.
    pub fn new(settings: Arc<Settings>, target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            machine: Mutex::new(Machine::new(Arc::clone(&settings), Instant::now())),
            settings,
        }
    }

    /// What it is made from.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.with(Machine::state)
    }

    /// Asks to let a request through.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn admit(self: &Arc<Self>) -> Result<Permit, Refused> {
        let generation = self.with(Machine::admit)?;
        Ok(Permit {
            breaker: Arc::clone(self),
            generation,
            settled: false,
        })
    }

    fn with<R>(&self, step: impl FnOnce(&mut Machine, Instant) -> R) -> R {
        let now = Instant::now();
        let mut machine = self.machine.lock();
        let before = machine.state_as_recorded();
        let result = step(&mut machine, now);
        let after = machine.state_as_recorded();
        drop(machine);
        if before != after {
            tracing::info!(
                circuit_breaker = %self.settings.name,
                target = %self.target,
                from = before.name(),
                to = after.name(),
                "circuit breaker changed state"
            );
        }
        result
    }
}

impl Permit {
    /// Tells how the request ended, and says what state the breaker is in after that.
    pub fn settle(mut self, outcome: Outcome) -> State {
        self.tell(outcome);
        self.breaker.state()
    }

    /// The breaker that gave it.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    fn tell(&mut self, outcome: Outcome) {
        self.settled = true;
        let generation = self.generation;
        self.breaker
            .with(|machine, now| machine.settle(generation, outcome, now));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.tell(Outcome::Failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trip::Trip;

    fn breaker(trip: &str) -> Arc<Breaker> {
        let settings = Settings {
            name: "cb".to_owned(),
            max_requests: 1,
            interval: Duration::ZERO,
            timeout: Duration::from_secs(10),
            trip: Arc::new(Trip::parse(trip).unwrap()),
        };
        Arc::new(Breaker::new(Arc::new(settings), "test"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_given_up_counts_as_failed() {
        let breaker = breaker("totalFailures > 0");
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.state(), State::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_does_not_keep_the_breaker_half_open() {
        let breaker = breaker("totalFailures > 0");
        assert_eq!(
            breaker.admit().unwrap().settle(Outcome::Failure),
            State::Open
        );
        tokio::time::advance(Duration::from_secs(11)).await;
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.admit().unwrap_err(), Refused::Open);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(
            breaker.admit().unwrap().settle(Outcome::Success),
            State::Closed
        );
    }
}
