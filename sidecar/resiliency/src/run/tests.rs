use std::cell::Cell;

use parking_lot::Mutex;

use super::*;
use crate::codes::{Codes, HTTP};
use crate::machine::{Refused, Settings};
use crate::retry::Retry;
use crate::trip::Trip;
use crate::{Breaker, Direction};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum Error {
    App(u32),
    Stopped(Stopped),
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Writes down what is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(&'static str, Applied)>>);

impl Observer for Notes {
    fn loaded(&self, _: &str, _: &str) {}

    fn applied(&self, _: &Subject, part: Applied) {
        self.0.lock().push(("applied", part));
    }

    fn activated(&self, _: &Subject, part: Applied) {
        self.0.lock().push(("activated", part));
    }
}

#[derive(Default)]
struct Parts {
    timeout: Option<Duration>,
    retry: Option<Retry>,
    breaker: Option<Arc<Breaker>>,
    notes: Arc<Notes>,
}

impl Parts {
    fn policy(&self) -> Option<Policy> {
        let subject = Subject {
            resource: "r".into(),
            namespace: "".into(),
            direction: Direction::Outbound,
            target: "app_a".into(),
        };
        let retry = self.retry.clone().map(Arc::new);
        Some(Policy::new(
            ("test".to_owned(), Arc::new(subject)),
            (self.timeout, retry, self.breaker.clone()),
            Arc::clone(&self.notes) as Arc<dyn Observer>,
        ))
    }

    fn activations(&self) -> Vec<Applied> {
        let notes = self.notes.0.lock();
        let activations = notes.iter().filter(|(what, _)| *what == "activated");
        activations.map(|(_, part)| *part).collect()
    }
}

fn breaker(trip: &str) -> Arc<Breaker> {
    let settings = Settings {
        name: "cb".to_owned(),
        max_requests: 1,
        interval: Duration::ZERO,
        timeout: 10 * SECOND,
        trip: Arc::new(Trip::parse(trip).unwrap()),
    };
    Arc::new(Breaker::new(Arc::new(settings), "test"))
}

/// Fails until the given attempt.
async fn succeeds_at(attempt: u32, at: u32) -> Result<u32, Failure<Error>> {
    if attempt == at {
        Ok(attempt)
    } else {
        Err(Failure::again(Error::App(attempt)))
    }
}

#[tokio::test(start_paused = true)]
async fn without_policy_there_is_one_attempt() {
    let result = run(None, |attempt| succeeds_at(attempt, 2)).await;
    assert_eq!(result, Err(Error::App(1)));
}

#[tokio::test(start_paused = true)]
async fn retries_wait_and_end_with_the_last_error() {
    let parts = Parts {
        retry: Some(Retry::constant(SECOND, 3)),
        ..Parts::default()
    };
    let began = Instant::now();
    let result = run(parts.policy(), |attempt| succeeds_at(attempt, 4)).await;
    assert_eq!((result, began.elapsed()), (Ok(4), 3 * SECOND));
    let result = run(parts.policy(), |attempt| succeeds_at(attempt, 5)).await;
    assert_eq!(result, Err(Error::App(4)));
}

#[tokio::test(start_paused = true)]
async fn an_operation_counts_one_activation_however_often_it_is_tried() {
    let parts = Parts {
        retry: Some(Retry::constant(SECOND, 3)),
        ..Parts::default()
    };
    run(parts.policy(), |attempt| succeeds_at(attempt, 4))
        .await
        .unwrap();
    assert_eq!(
        *parts.notes.0.lock(),
        [("applied", Applied::Retry), ("activated", Applied::Retry)]
    );
}

#[tokio::test(start_paused = true)]
async fn codes_that_do_not_match_are_final() {
    let parts = Parts {
        retry: Some(Retry {
            http_codes: Codes::parse("500-599", &HTTP).unwrap(),
            ..Retry::constant(SECOND, 3)
        }),
        ..Parts::default()
    };
    for (code, attempts) in [(404, 1), (503, 4), (999, 1)] {
        let result: Result<(), Error> = run(parts.policy(), |attempt| async move {
            Err(Failure::code(code, Error::App(attempt)))
        })
        .await;
        assert_eq!(result, Err(Error::App(attempts)), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn final_errors_are_not_tried_again() {
    let parts = Parts {
        retry: Some(Retry::constant(SECOND, 3)),
        ..Parts::default()
    };
    let result: Result<(), Error> = run(parts.policy(), |attempt| async move {
        Err(Failure::last(Error::App(attempt)))
    })
    .await;
    assert_eq!(result, Err(Error::App(1)));
}

#[tokio::test(start_paused = true)]
async fn timeout_is_that_of_one_attempt_and_ends_it() {
    let parts = Parts {
        timeout: Some(SECOND),
        retry: Some(Retry::constant(SECOND, 1)),
        ..Parts::default()
    };
    let alive = Arc::new(());
    let began = Instant::now();
    let result: Result<(), Error> = run(parts.policy(), |_| {
        let alive = Arc::clone(&alive);
        async move {
            let () = std::future::pending().await;
            drop(alive);
            Ok(())
        }
    })
    .await;
    assert_eq!(result, Err(Error::Stopped(Stopped::TimedOut)));
    assert_eq!(began.elapsed(), 3 * SECOND);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(parts.activations(), [Applied::Timeout, Applied::Retry]);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_time_out_open_the_breaker() {
    let parts = Parts {
        timeout: Some(SECOND),
        breaker: Some(breaker("consecutiveFailures > 1")),
        ..Parts::default()
    };
    let hang = || run::<(), Error, _>(parts.policy(), |_| std::future::pending());
    for _ in 0..2 {
        assert_eq!(hang().await, Err(Error::Stopped(Stopped::TimedOut)));
    }
    assert_eq!(hang().await, Err(Error::Stopped(Refused::Open.into())));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_ends_the_retries() {
    let parts = Parts {
        retry: Some(Retry::constant(SECOND, 100)),
        breaker: Some(breaker("consecutiveFailures > 2")),
        ..Parts::default()
    };
    let attempts = Cell::new(0);
    let result = run(parts.policy(), |attempt| {
        attempts.set(attempt);
        succeeds_at(attempt, 50)
    })
    .await;
    assert_eq!(result, Err(Error::Stopped(Refused::Open.into())));
    // The fourth was refused before it began; its future was made and never ran.
    assert_eq!(attempts.get(), 4);
    let opened = Applied::Breaker(State::Open);
    assert_eq!(parts.activations(), [Applied::Retry, opened]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_closes_again_is_an_activation() {
    let parts = Parts {
        breaker: Some(breaker("consecutiveFailures > 0")),
        ..Parts::default()
    };
    let first = run(parts.policy(), |attempt| succeeds_at(attempt, 2)).await;
    assert_eq!(first, Err(Error::App(1)));
    tokio::time::advance(11 * SECOND).await;
    let second = run(parts.policy(), |attempt| succeeds_at(attempt, 1)).await;
    assert_eq!(second, Ok(1));
    let states = [State::Open, State::Closed].map(Applied::Breaker);
    assert_eq!(parts.activations(), states);
    let applied = parts.notes.0.lock();
    let applied: Vec<_> = applied
        .iter()
        .filter(|(what, _)| *what == "applied")
        .collect();
    let states = [State::Closed, State::HalfOpen].map(|state| ("applied", Applied::Breaker(state)));
    assert_eq!(applied, states.iter().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_operation_given_up_by_its_caller_is_a_failure_and_ends() {
    let parts = Parts {
        breaker: Some(breaker("totalFailures > 0")),
        retry: Some(Retry::constant(SECOND, 100)),
        ..Parts::default()
    };
    let hang = run::<(), Error, _>(parts.policy(), |_| std::future::pending());
    assert!(tokio::time::timeout(SECOND, hang).await.is_err());
    let state = parts.breaker.as_ref().map(|breaker| breaker.state());
    assert_eq!(state, Some(State::Open));
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_is_settled_by_its_guard() {
    let parts = Parts {
        timeout: Some(SECOND),
        breaker: Some(breaker("totalFailures > 0")),
        ..Parts::default()
    };
    let state = || parts.breaker.as_ref().map(|breaker| breaker.state());
    let opened = open(parts.policy(), |attempt| succeeds_at(attempt, 1))
        .await
        .unwrap();
    let guard = opened.guard.unwrap();
    assert!(guard.watches());
    assert_eq!(guard.deadline(), Some(Instant::now() + SECOND));
    guard.settle(Outcome::Success);
    assert_eq!(state(), Some(State::Closed));
    let opened = open(parts.policy(), |attempt| succeeds_at(attempt, 1))
        .await
        .unwrap();
    assert_eq!(opened.guard.unwrap().time_out(), Stopped::TimedOut);
    assert_eq!(state(), Some(State::Open));
    let states = [Applied::Timeout, Applied::Breaker(State::Open)];
    assert_eq!(parts.activations(), states);
}
