//! How long to wait before the next attempt.

use std::time::Duration;

use rand::Rng as _;

/// Exponential pauses with jitter. One value per thing that is retried; [`Backoff::reset`] after
/// success.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    factor: f64,
    next: Duration,
}

impl Default for Backoff {
    /// The pauses that Dapr's own processes keep: 500 ms, ×1.5, up to 60 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(60))
    }
}

impl Backoff {
    /// The pause is taken between half and one and a half times its nominal length.
    const JITTER: f64 = 0.5;

    /// Pauses that begin with `first`, grow by a half each time, and end at `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            factor: 1.5,
            next: first,
        }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let nominal = self.next;
        self.next = nominal.mul_f64(self.factor).min(self.max);
        let jitter = rand::rng().random_range(1.0 - Self::JITTER..=1.0 + Self::JITTER);
        nominal.mul_f64(jitter).min(self.max)
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_anew_after_success() {
        let (first, max) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut backoff = Backoff::default();
        for nominal in [500, 750, 1125] {
            let nominal = Duration::from_millis(nominal);
            let pause = backoff.pause();
            assert!(
                pause >= nominal / 2 && pause <= nominal * 3 / 2,
                "{pause:?}"
            );
        }
        for _ in 0..100 {
            assert!(backoff.pause() <= max);
        }
        assert!(backoff.pause() >= max / 2);
        backoff.reset();
        assert!(backoff.pause() <= first * 3 / 2);
    }
}
