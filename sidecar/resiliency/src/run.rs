//! Runs an operation under its policy: `retry( circuit breaker( timeout( attempt ) ) )`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::Backoff;
use crate::breaker::Permit;
use crate::failure::{Failure, Stopped, Verdict};
use crate::machine::{Outcome, State};
use crate::observer::{Applied, Observer, Subject};
use crate::policy::Policy;

/// A success of which more is to come, as the body of a response: the attempt ends with its [`Guard`].
#[derive(Debug)]
pub struct Open<T> {
    /// What the operation gave.
    pub value: T,
    /// The rest of the attempt; `None` if no policy watches it.
    pub guard: Option<Guard>,
}

/// An attempt that has begun well and goes on. Dropped unsettled, it was given up, which a breaker counts as a
/// failure.
#[derive(Debug)]
pub struct Guard {
    permit: Option<Permit>,
    before: Option<State>,
    deadline: Option<Instant>,
    subject: Arc<Subject>,
    observer: Arc<dyn Observer>,
}

/// Runs an operation to its end. `attempt` gets the number of the attempt, from 1.
///
/// # Errors
/// That of the last attempt, or why the policy made none.
///
/// # Cancel safety
/// Dropping the future abandons the attempt, which a breaker counts as a failure.
pub async fn run<T, E, F>(policy: Option<Policy>, attempt: impl FnMut(u32) -> F) -> Result<T, E>
where
    E: From<Stopped>,
    F: Future<Output = Result<T, Failure<E>>>,
{
    let Open { value, guard } = open(policy, attempt).await?;
    if let Some(guard) = guard {
        guard.settle(Outcome::Success);
    }
    Ok(value)
}

/// Runs an operation until it has begun well; see [`Open`].
///
/// # Errors
/// As [`run`].
pub async fn open<T, E, F>(
    policy: Option<Policy>,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<Open<T>, E>
where
    E: From<Stopped>,
    F: Future<Output = Result<T, Failure<E>>>,
{
    let Some(policy) = policy else {
        let value = attempt(1).await.map_err(|failure| failure.error)?;
        return Ok(Open { value, guard: None });
    };
    policy.tell_applied();
    let mut repeat = Repeat::new(&policy);
    loop {
        repeat.attempts += 1;
        match once(&policy, attempt(repeat.attempts), &mut repeat.timed_out).await {
            Ok(open) => {
                repeat.succeeded();
                return Ok(open);
            }
            Err(failure) => match repeat.pause_after(failure.verdict) {
                Some(pause) => sleep(pause).await,
                None => return Err(failure.error),
            },
        }
    }
}

/// One attempt behind the breaker, within the timeout.
async fn once<T, E: From<Stopped>>(
    policy: &Policy,
    attempt: impl Future<Output = Result<T, Failure<E>>>,
    timed_out: &mut bool,
) -> Result<Open<T>, Failure<E>> {
    let before = policy.breaker.as_ref().map(|breaker| breaker.state());
    let permit = policy
        .breaker
        .as_ref()
        .map(|breaker| breaker.admit())
        .transpose();
    let permit = permit.map_err(|refused| Failure::last(Stopped::from(refused).into()))?;
    let mut guard = Guard {
        permit,
        before,
        deadline: None,
        subject: Arc::clone(&policy.subject),
        observer: Arc::clone(&policy.observer),
    };
    let result = match policy.timeout {
        None => attempt.await,
        Some(timeout) => {
            let deadline = Instant::now() + timeout;
            guard.deadline = Some(deadline);
            match timeout_at(deadline, attempt).await {
                Ok(result) => result,
                Err(_) => {
                    if !std::mem::replace(timed_out, true) {
                        guard.observer.activated(&guard.subject, Applied::Timeout);
                    }
                    Err(Failure::again(Stopped::TimedOut.into()))
                }
            }
        }
    };
    match result {
        Ok(value) => Ok(Open {
            value,
            guard: Some(guard),
        }),
        Err(failure) => {
            guard.settle(Outcome::Failure);
            Err(failure)
        }
    }
}

/// The retries of one operation.
struct Repeat<'a> {
    policy: &'a Policy,
    backoff: Option<Backoff<'a>>,
    began: Instant,
    attempts: u32,
    told: bool,
    timed_out: bool,
}

impl<'a> Repeat<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            backoff: policy.retry.as_deref().map(Backoff::new),
            began: Instant::now(),
            attempts: 0,
            told: false,
            timed_out: false,
        }
    }

    fn pause_after(&mut self, verdict: Verdict) -> Option<Duration> {
        let covered = match verdict {
            Verdict::Retry => true,
            Verdict::Code(code) => self
                .policy
                .retry
                .as_ref()
                .is_some_and(|retry| retry.covers(code)),
            Verdict::Final => false,
        };
        if !covered {
            return None;
        }
        let pause = self
            .backoff
            .as_mut()?
            .next(self.began.elapsed(), rand::random())?;
        if !std::mem::replace(&mut self.told, true) {
            self.policy
                .observer
                .activated(&self.policy.subject, Applied::Retry);
            tracing::warn!(operation = %self.policy.name, ?pause, "operation failed and is tried again");
        }
        Some(pause)
    }

    fn succeeded(&self) {
        if self.told {
            let attempts = self.attempts;
            tracing::info!(operation = %self.policy.name, attempts, "operation succeeded after retries");
        }
    }
}

impl Guard {
    /// When the attempt has to be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a breaker wants to know how the attempt ends, or a deadline ends it.
    pub fn watches(&self) -> bool {
        self.permit.is_some() || self.deadline.is_some()
    }

    /// The attempt is over.
    pub fn settle(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    /// The attempt was still going on at its deadline.
    pub fn time_out(mut self) -> Stopped {
        self.observer.activated(&self.subject, Applied::Timeout);
        self.finish(Outcome::Failure);
        Stopped::TimedOut
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let after = permit.settle(outcome);
        if self.before != Some(after) {
            self.observer
                .activated(&self.subject, Applied::Breaker(after));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.finish(Outcome::Failure);
    }
}

#[cfg(test)]
mod tests;
