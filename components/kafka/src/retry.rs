//! How long a partition waits after a message that was not taken: upstream's `backOff*` settings.
//!
//! Upstream moves on when its retries are over, or off, and the next success commits past the message. Here it stays:
//! the partition waits longer and longer, up to a minute, and tries it again.

use std::time::Duration;

use rand::Rng as _;
use trilby_components::metadata::MetadataError;

use crate::settings::Settings;

/// Pauses once retries are over: the first, and the longest.
const AFTERWARDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What a pause is spread by where the settings do not say.
const SPREAD: f64 = 0.1;

/// What is configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    /// Whether there are retries at all.
    pub(crate) enabled: bool,
    /// How many; `None` for any number.
    pub(crate) most: Option<u32>,
    /// How long apart.
    pub(crate) policy: Policy,
}

/// How long apart retries are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Policy {
    /// Always the same.
    Constant(Duration),
    /// Longer and longer.
    Exponential {
        /// The first.
        initial: Duration,
        /// By how much each is spread, 0 to 1.
        randomization: f64,
        /// How much longer each is than the one before.
        multiplier: f64,
        /// The longest.
        max: Duration,
        /// After how long retries are over; zero for never.
        max_elapsed: Duration,
    },
}

/// What happens to a message that was not taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pause {
    /// How long its partition waits.
    pub(crate) time: Duration,
    /// By how much that is spread, 0 to 1.
    pub(crate) spread: f64,
    /// Whether the configured retries are over.
    pub(crate) over: bool,
}

impl Retry {
    /// Reads the settings.
    ///
    /// # Errors
    /// A setting cannot be.
    pub(crate) fn new(settings: &Settings, enabled: bool) -> Result<Self, MetadataError> {
        let seconds = |given: Option<trilby_components::metadata::value::Seconds>, or: u64| {
            given.map_or(Duration::from_millis(or), |given| given.0)
        };
        let policy = match settings.back_off_policy.as_deref().unwrap_or("constant") {
            name if name.eq_ignore_ascii_case("constant") => {
                Policy::Constant(seconds(settings.back_off_duration, 5_000))
            }
            name if name.eq_ignore_ascii_case("exponential") => Policy::Exponential {
                initial: seconds(settings.back_off_initial_interval, 500),
                randomization: settings.back_off_randomization_factor.unwrap_or(0.5),
                multiplier: settings.back_off_multiplier.unwrap_or(1.5),
                max: seconds(settings.back_off_max_interval, 60_000),
                max_elapsed: seconds(settings.back_off_max_elapsed_time, 900_000),
            },
            _ => {
                return Err(MetadataError::invalid(
                    "backOffPolicy",
                    "it is neither constant nor exponential",
                ));
            }
        };
        Ok(Self {
            enabled,
            most: u32::try_from(settings.back_off_max_retries.unwrap_or(-1)).ok(),
            policy,
        })
    }

    /// What follows on `failures` failures (at least one) of a message that was first handed over `elapsed` ago.
    pub(crate) fn after(&self, failures: u32, elapsed: Duration) -> Pause {
        if self.over(failures, elapsed) {
            let further = failures.saturating_sub(self.most.unwrap_or(0)).max(1);
            let (first, most) = AFTERWARDS;
            return Pause {
                time: (first * (1 << further.saturating_sub(1).min(10))).min(most),
                spread: SPREAD,
                over: true,
            };
        }
        let (time, spread) = match &self.policy {
            Policy::Constant(time) => (*time, SPREAD),
            Policy::Exponential {
                initial,
                randomization,
                multiplier,
                max,
                ..
            } => {
                let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
                let grown = initial.as_secs_f64() * multiplier.max(1.0).powi(exponent);
                let time = Duration::try_from_secs_f64(grown).map_or(*max, |time| time.min(*max));
                (time, *randomization)
            }
        };
        Pause {
            time,
            spread: spread.clamp(0.0, 1.0),
            over: false,
        }
    }

    fn over(&self, failures: u32, elapsed: Duration) -> bool {
        let late = match &self.policy {
            Policy::Constant(_) => false,
            Policy::Exponential { max_elapsed, .. } => {
                !max_elapsed.is_zero() && elapsed >= *max_elapsed
            }
        };
        !self.enabled || late || self.most.is_some_and(|most| failures > most)
    }
}

impl Pause {
    /// How long this time.
    pub(crate) fn spread(self) -> Duration {
        let factor = 1.0 + self.spread * rand::rng().random_range(-1.0..=1.0);
        self.time.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(enabled: bool, most: Option<u32>) -> Retry {
        Retry {
            enabled,
            most,
            policy: Policy::Constant(Duration::from_secs(5)),
        }
    }

    #[test]
    fn constant_retries_never_end_by_themselves() {
        let pause = constant(true, None).after(1_000_000, Duration::from_secs(1_000_000));
        assert_eq!((pause.time, pause.over), (Duration::from_secs(5), false));
    }

    #[test]
    fn what_is_given_up_is_tried_again_later_and_later() {
        let times =
            |retry: Retry| [1, 2, 3, 9, 4_000_000_000].map(|n| retry.after(n, Duration::ZERO));
        let seconds = |pauses: [Pause; 5]| pauses.map(|pause| pause.time.as_secs());
        assert_eq!(seconds(times(constant(false, None))), [1, 2, 4, 60, 60]);
        let twice = times(constant(true, Some(2)));
        assert_eq!(
            twice.map(|pause| pause.over),
            [false, false, true, true, true]
        );
        assert_eq!(seconds(twice), [5, 5, 1, 60, 60]);
    }

    #[test]
    fn exponential_retries_grow_and_end() {
        let retry = Retry {
            enabled: true,
            most: None,
            policy: Policy::Exponential {
                initial: Duration::from_millis(500),
                randomization: 0.5,
                multiplier: 2.0,
                max: Duration::from_secs(60),
                max_elapsed: Duration::from_secs(900),
            },
        };
        let time = |failures| retry.after(failures, Duration::ZERO).time;
        assert_eq!(time(1), Duration::from_millis(500));
        assert_eq!(time(3), Duration::from_secs(2));
        assert_eq!(time(u32::MAX), Duration::from_secs(60));
        assert!(!retry.after(9, Duration::from_secs(899)).over);
        assert!(retry.after(9, Duration::from_secs(900)).over);
    }
}
