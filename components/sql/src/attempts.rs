//! A request that is tried again where that is safe, all of it within its limit.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::{sleep, timeout};

/// How often a request is tried at most, the limit of its time permitting.
const ATTEMPTS: u32 = 10;
/// The first pause between two attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Whether a request may be made again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// A second time could fail, or undo what came between.
    Unsafe,
}

/// A failure of one attempt.
pub trait Attempted {
    /// Whether the request was rolled back, and may well succeed now.
    fn is_conflict(&self) -> bool;
    /// Whether the connection broke under the request.
    fn is_loss(&self) -> bool;
}

/// Makes a request within `limit`: again where the server rolled it back for the sake of others, and, where that is
/// [`Repeat::Safe`], when its connection broke.
///
/// # Errors
/// Why the last attempt failed; `None` when the limit was reached.
pub async fn run<T, E, F, Fut>(limit: Duration, repeat: Repeat, attempt: F) -> Result<T, Option<E>>
where
    E: Attempted,
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let trying = async {
        let mut attempts = 1;
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let lost = repeat == Repeat::Safe && failure.is_loss();
            if attempts >= ATTEMPTS || !(lost || failure.is_conflict()) {
                return Err(Some(failure));
            }
            sleep(pause(attempts)).await;
            attempts += 1;
        }
    };
    timeout(limit, trying).await.unwrap_or(Err(None))
}

/// The pause after attempt number `attempt`.
fn pause(attempt: u32) -> Duration {
    jittered(attempt, FIRST_PAUSE, LONGEST_PAUSE)
}

/// The pause after attempt number `attempt`, from half of its nominal length up: that doubles from `first` to `longest`.
#[must_use]
pub fn jittered(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
    let nominal = first.saturating_mul(factor).min(longest);
    nominal.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{Attempted, Repeat, pause, run};

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Failure {
        Conflict,
        Loss,
        Other,
    }

    impl Attempted for Failure {
        fn is_conflict(&self) -> bool {
            *self == Self::Conflict
        }

        fn is_loss(&self) -> bool {
            *self == Self::Loss
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        for (attempt, nominal) in [(1, 5), (2, 10), (4, 40), (9, 200), (99, 200)] {
            let nominal = Duration::from_millis(nominal);
            let pause = pause(attempt);
            assert!(
                pause >= nominal / 2 && pause <= nominal,
                "{attempt}: {pause:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_safe_is_tried_again() {
        let limit = Duration::from_secs(60);
        for (repeat, failure, attempts) in [
            (Repeat::Unsafe, Failure::Conflict, 10),
            (Repeat::Unsafe, Failure::Loss, 1),
            (Repeat::Safe, Failure::Loss, 10),
            (Repeat::Safe, Failure::Other, 1),
        ] {
            let made = Cell::new(0);
            let attempt = || {
                made.set(made.get() + 1);
                async { Err::<(), _>(failure) }
            };
            assert_eq!(run(limit, repeat, attempt).await, Err(Some(failure)));
            assert_eq!(made.get(), attempts, "{repeat:?} {failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_outlasts_its_limit() {
        let limit = Duration::from_secs(1);
        let attempt = || std::future::pending::<Result<(), Failure>>();
        assert_eq!(run(limit, Repeat::Safe, attempt).await, Err(None));
    }
}
