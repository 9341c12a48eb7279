//! The pauses of one operation. Neither clock nor randomness: both are passed in.

use std::time::Duration;

use crate::retry::{Exponential, Retry, Schedule};

/// Decides after each failed attempt how long to wait, or that it was the last.
#[derive(Debug)]
pub struct Backoff<'a> {
    retry: &'a Retry,
    retries: u32,
    interval: Duration,
}

impl<'a> Backoff<'a> {
    /// Before the first attempt.
    pub fn new(retry: &'a Retry) -> Self {
        let interval = match &retry.schedule {
            Schedule::Constant(pause) => *pause,
            Schedule::Exponential(growth) => growth.initial,
        };
        Self {
            retry,
            retries: 0,
            interval,
        }
    }

    /// The pause before the next attempt, or `None` if there is none. `elapsed` counts from the first
    /// attempt's start, `random` is in `[0, 1)`.
    pub fn next(&mut self, elapsed: Duration, random: f64) -> Option<Duration> {
        if self
            .retry
            .max_retries
            .is_some_and(|most| self.retries >= most)
        {
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        match &self.retry.schedule {
            Schedule::Constant(pause) => Some(*pause),
            Schedule::Exponential(growth) => {
                let pause = varied(self.interval, growth.randomization, random);
                self.interval = grown(self.interval, growth);
                let late = growth.max_elapsed > Duration::ZERO
                    && elapsed.saturating_add(pause) > growth.max_elapsed;
                (!late).then_some(pause)
            }
        }
    }
}

/// The next interval. One that is already past the cap, as the first may be, falls back to it.
fn grown(interval: Duration, growth: &Exponential) -> Duration {
    if interval.as_secs_f64() >= growth.max_interval.as_secs_f64() / growth.multiplier {
        growth.max_interval
    } else {
        interval.mul_f64(growth.multiplier)
    }
}

/// A pause between `interval × (1 - randomization)` and `interval × (1 + randomization)`.
fn varied(interval: Duration, randomization: f64, random: f64) -> Duration {
    let factor = 1.0 - randomization + 2.0 * randomization * random;
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::Codes;

    fn exponential(growth: Exponential, max_retries: Option<u32>) -> Retry {
        Retry {
            schedule: Schedule::Exponential(growth),
            max_retries,
            http_codes: Codes::default(),
            grpc_codes: Codes::default(),
        }
    }

    /// The pauses of the middle of the random range, which leaves the intervals as they are.
    fn middle(retry: &Retry, attempts: usize) -> Vec<Duration> {
        let mut backoff = Backoff::new(retry);
        let next = || backoff.next(Duration::ZERO, 0.5);
        std::iter::from_fn(next).take(attempts).collect()
    }

    #[test]
    fn constant_pauses_end_after_the_last_retry() {
        let retry = Retry::constant(Duration::from_secs(1), 3);
        assert_eq!(middle(&retry, 10), [Duration::from_secs(1); 3]);
    }

    #[test]
    fn no_retries_means_none() {
        let retry = Retry::constant(Duration::from_secs(1), 0);
        assert_eq!(Backoff::new(&retry).next(Duration::ZERO, 0.0), None);
    }

    #[test]
    fn exponential_pauses_grow_by_half_up_to_the_cap() {
        let growth = Exponential {
            max_interval: Duration::from_secs(2),
            ..Exponential::default()
        };
        let pauses: Vec<f64> = middle(&exponential(growth, None), 6)
            .iter()
            .map(Duration::as_secs_f64)
            .collect();
        assert_eq!(pauses, [0.5, 0.75, 1.125, 1.6875, 2.0, 2.0]);
    }

    #[test]
    fn first_pause_is_not_capped() {
        let growth = Exponential {
            max_interval: Duration::from_millis(100),
            ..Exponential::default()
        };
        let expected = [500, 100, 100].map(Duration::from_millis);
        assert_eq!(middle(&exponential(growth, None), 3), expected);
    }

    #[test]
    fn an_attempt_past_the_elapsed_time_is_the_last() {
        let retry = exponential(Exponential::default(), None);
        let limit = Duration::from_secs(15 * 60);
        let next = |elapsed| Backoff::new(&retry).next(elapsed, 0.5);
        assert!(next(limit - Duration::from_millis(500)).is_some());
        assert!(next(limit - Duration::from_millis(499)).is_none());
        let unlimited = exponential(
            Exponential {
                max_elapsed: Duration::ZERO,
                ..Exponential::default()
            },
            None,
        );
        assert!(Backoff::new(&unlimited).next(limit * 2, 0.5).is_some());
    }

    proptest! {
        #[test]
        fn pauses_stay_within_the_random_part_of_the_cap(
            randoms in proptest::collection::vec(0.0..1.0f64, 1..60),
            cap in 1u64..120_000,
        ) {
            let growth = Exponential {
                max_interval: Duration::from_millis(cap),
                max_elapsed: Duration::ZERO,
                ..Exponential::default()
            };
            let retry = exponential(growth, None);
            let mut backoff = Backoff::new(&retry);
            let longest = Duration::from_millis(cap.max(500)).mul_f64(1.5);
            for random in randoms {
                let pause = backoff.next(Duration::ZERO, random).unwrap();
                prop_assert!(pause <= longest, "{pause:?}");
            }
        }

        #[test]
        fn the_number_of_pauses_is_the_number_of_retries(retries in 0u32..50, steps in 0usize..80) {
            let retry = exponential(Exponential::default(), Some(retries));
            let mut backoff = Backoff::new(&retry);
            let pauses = (0..steps).filter_map(|_| backoff.next(Duration::ZERO, 0.3)).count();
            prop_assert_eq!(pauses, steps.min(retries as usize));
        }
    }
}
