//! Operations of components under their policies.

use std::future::Future;

use trilby_components::binding::BindingError;
use trilby_components::crypto::CryptoError;
use trilby_components::lock::LockError;
use trilby_components::secret::SecretError;
use trilby_components::state::StateError;
use trilby_resiliency::{Failure, Policy, Stopped, run};

/// A component's failure, as a policy sees it.
pub(super) trait ComponentFailure {
    /// No further attempt can help.
    fn is_final(&self) -> bool;

    /// A policy ended the operation.
    fn stopped(stopped: Stopped) -> Self;
}

/// The failure of an operation. (Neither the failure's type nor the policy's is of this crate.)
struct Failed<E>(E);

impl<E: ComponentFailure> From<Stopped> for Failed<E> {
    fn from(stopped: Stopped) -> Self {
        Self(E::stopped(stopped))
    }
}

/// Runs an operation under a policy, if it has one.
pub(super) async fn guarded<T, E, F>(
    policy: Option<Policy>,
    mut operation: impl FnMut() -> F,
) -> Result<T, E>
where
    E: ComponentFailure,
    F: Future<Output = Result<T, E>>,
{
    if policy.is_none() {
        return operation().await;
    }
    let attempt = |_| {
        let operation = operation();
        async { operation.await.map_err(judged) }
    };
    run(policy, attempt)
        .await
        .map_err(|Failed(failure)| failure)
}

fn judged<E: ComponentFailure>(failure: E) -> Failure<Failed<E>> {
    if failure.is_final() {
        Failure::last(Failed(failure))
    } else {
        Failure::again(Failed(failure))
    }
}

/// A request that may have to be made again; it is copied only then.
pub(super) struct Request<T> {
    held: Option<T>,
    repeats: bool,
}

impl<T: Clone> Request<T> {
    pub(super) fn new(request: T, policy: Option<&Policy>) -> Self {
        Self {
            held: Some(request),
            repeats: policy.is_some_and(Policy::repeats),
        }
    }

    /// The request for the next attempt.
    pub(super) fn next(&mut self) -> T {
        let request = if self.repeats {
            self.held.clone()
        } else {
            self.held.take()
        };
        request.expect("without retries there is one attempt")
    }
}

impl ComponentFailure for StateError {
    fn is_final(&self) -> bool {
        Self::is_final(self)
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}

impl ComponentFailure for SecretError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_))
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}

impl ComponentFailure for LockError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_))
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}

impl ComponentFailure for CryptoError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_) | Self::Forbidden(_))
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}

impl ComponentFailure for BindingError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_))
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}
