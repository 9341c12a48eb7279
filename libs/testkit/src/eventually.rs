//! Waiting for something to become true: bounded, and with the last reason in the message.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long a wait lasts unless told otherwise. What takes 5 s alone has been seen to take 15 s beside other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(50);

/// Waits until `probe` succeeds and gives what it gave, trying for [`PATIENCE`].
///
/// # Panics
/// After that time, with `what` and the last error.
pub async fn eventually<T, E, P>(what: &str, probe: P) -> T
where
    E: Display,
    P: AsyncFnMut() -> Result<T, E>,
{
    within(PATIENCE, what, probe).await
}

/// Like [`eventually`], with a limit of its own.
///
/// # Panics
/// After `limit`, with `what` and the last error.
pub async fn within<T, E, P>(limit: Duration, what: &str, probe: P) -> T
where
    E: Display,
    P: AsyncFnMut() -> Result<T, E>,
{
    match try_within(limit, probe).await {
        Ok(value) => value,
        Err(last) => panic!("not within {limit:?}: {what}: {last}"),
    }
}

/// Like [`within`], for a caller with more to say: the error is the text of the last one.
///
/// # Errors
/// If `probe` did not succeed within `limit`; an attempt that outlasts it is dropped.
pub async fn try_within<T, E, P>(limit: Duration, mut probe: P) -> Result<T, String>
where
    E: Display,
    P: AsyncFnMut() -> Result<T, E>,
{
    let deadline = Instant::now() + limit;
    let mut last = "the first attempt did not end".to_owned();
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => return Err(last),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

/// The error of a probe that saw something else than it waits for.
pub fn unexpected(seen: impl std::fmt::Debug) -> anyhow::Error {
    anyhow::anyhow!("found {seen:?}")
}

/// Waits until a condition holds: `assert_eventually!(condition)`, or `assert_eventually!(condition, limit)`.
/// The condition may `await`.
#[macro_export]
macro_rules! assert_eventually {
    ($condition:expr) => {
        $crate::assert_eventually!($condition, $crate::eventually::PATIENCE)
    };
    ($condition:expr, $limit:expr) => {
        $crate::eventually::within($limit, stringify!($condition), async || {
            if $condition {
                Ok(())
            } else {
                Err("still false")
            }
        })
        .await
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_value_of_the_first_success_is_returned() {
        let mut attempts = 0;
        let value = eventually("third time", async || {
            attempts += 1;
            if attempts == 3 {
                Ok(attempts)
            } else {
                Err("too early")
            }
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 2s: the moon is blue: it is grey")]
    async fn the_panic_says_what_and_why() {
        within(Duration::from_secs(2), "the moon is blue", async || {
            Err::<(), _>("it is grey")
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_given_up() {
        let outcome = try_within(Duration::from_secs(1), async || {
            std::future::pending::<Result<(), String>>().await
        })
        .await;
        assert_eq!(outcome, Err("the first attempt did not end".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_reads_like_an_assertion() {
        let mut count = 0;
        assert_eventually!({
            count += 1;
            count > 4
        });
        assert_eq!(count, 5);
    }
}
