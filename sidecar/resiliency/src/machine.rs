//! A circuit breaker as a state machine: no clock, no lock.
//!
//! ```text
//!            failure, and the trip condition holds              timeout passed
//!   closed ───────────────────────────────────────▶ open ───────────────────────▶ half-open
//!     ▲                                              ▲                                │ │
//!     │                                              └─────────── a failure ──────────┘ │
//!     └────────────────────── as many successes in a row as requests are let through ───┘
//! ```
//!
//! Every change of state, and the end of each interval in the closed state, begins a new generation with
//! empty counts; what ends in another generation than it began in is not counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::trip::Trip;

/// How long a breaker stays open unless its policy says otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// What a breaker is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The policy's name.
    pub name: String,
    /// Requests let through while half-open, at least 1.
    pub max_requests: u32,
    /// The length of a period of counting while closed; zero for one without end.
    pub interval: Duration,
    /// How long it stays open.
    pub timeout: Duration,
    /// When it opens.
    pub trip: Arc<Trip>,
}

/// Whether requests pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// They pass.
    Closed,
    /// A few pass, to see whether the target is well again.
    HalfOpen,
    /// They are refused.
    Open,
}

impl State {
    /// Every state, in the order that metrics list them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The state's name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// What happened in this generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that were let through.
    pub requests: u32,
    /// Those that succeeded.
    pub total_successes: u32,
    /// Those that failed.
    pub total_failures: u32,
    /// Successes since the last failure.
    pub consecutive_successes: u32,
    /// Failures since the last success.
    pub consecutive_failures: u32,
}

/// Why a request is not let through. The texts are upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The breaker is open.
    #[error("circuit breaker is open")]
    Open,
    /// It is half-open, and as many requests as it lets through are under way.
    #[error("too many requests")]
    TooManyRequests,
}

/// The generation that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

/// The machine.
#[derive(Debug)]
pub struct Machine {
    settings: Arc<Settings>,
    state: State,
    generation: u64,
    counts: Counts,
    /// When this generation ends; `None` for never.
    expiry: Option<Instant>,
}

impl Machine {
    /// Closed, with empty counts.
    pub fn new(settings: Arc<Settings>, now: Instant) -> Self {
        let mut machine = Self {
            settings,
            state: State::Closed,
            generation: 0,
            counts: Counts::default(),
            expiry: None,
        };
        machine.begin_generation(now);
        machine
    }

    /// What it is made from.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The state at that moment; an open breaker whose time has passed becomes half-open.
    pub fn state(&mut self, now: Instant) -> State {
        if self.expiry.is_some_and(|expiry| expiry < now) {
            match self.state {
                State::Closed => self.begin_generation(now),
                State::Open => self.enter(State::HalfOpen, now),
                State::HalfOpen => {}
            }
        }
        self.state
    }

    /// The state as the last step left it.
    pub(crate) fn state_as_recorded(&self) -> State {
        self.state
    }

    /// What happened in this generation.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Asks to let a request through. The answer goes to [`Machine::settle`].
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn admit(&mut self, now: Instant) -> Result<Generation, Refused> {
        match self.state(now) {
            State::Open => return Err(Refused::Open),
            State::HalfOpen if self.counts.requests >= self.settings.max_requests => {
                return Err(Refused::TooManyRequests);
            }
            State::HalfOpen | State::Closed => {}
        }
        self.counts.requests = self.counts.requests.saturating_add(1);
        Ok(Generation(self.generation))
    }

    /// Tells how a request of that generation ended.
    pub fn settle(&mut self, began: Generation, outcome: Outcome, now: Instant) {
        let state = self.state(now);
        if began.0 != self.generation {
            return;
        }
        match (outcome, state) {
            (Outcome::Success, _) => self.succeed(state, now),
            (Outcome::Failure, State::Closed) => {
                self.counts.fail();
                if self.settings.trip.holds(&self.counts) {
                    self.enter(State::Open, now);
                }
            }
            (Outcome::Failure, State::HalfOpen) => self.enter(State::Open, now),
            (Outcome::Failure, State::Open) => {}
        }
    }

    fn succeed(&mut self, state: State, now: Instant) {
        self.counts.succeed();
        let enough = self.counts.consecutive_successes >= self.settings.max_requests;
        if state == State::HalfOpen && enough {
            self.enter(State::Closed, now);
        }
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.begin_generation(now);
    }

    fn begin_generation(&mut self, now: Instant) {
        self.generation += 1;
        self.counts = Counts::default();
        let length = match self.state {
            State::Closed => Some(self.settings.interval).filter(|interval| !interval.is_zero()),
            State::Open => Some(self.settings.timeout),
            State::HalfOpen => None,
        };
        // A generation whose end is beyond the clock has none.
        self.expiry = length.and_then(|length| now.checked_add(length));
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// It failed, took too long, or was given up.
    Failure,
}

// === impl Counts ===

impl Counts {
    fn succeed(&mut self) {
        self.total_successes = self.total_successes.saturating_add(1);
        self.consecutive_successes = self.consecutive_successes.saturating_add(1);
        self.consecutive_failures = 0;
    }

    fn fail(&mut self) {
        self.total_failures = self.total_failures.saturating_add(1);
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.consecutive_successes = 0;
    }
}

#[cfg(test)]
mod tests;
