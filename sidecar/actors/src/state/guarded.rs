//! Operations on the actors' store under its policy.

use std::future::Future;

use trilby_components::state::StateError;
use trilby_resiliency::{Failure, Policy, Stopped, run};

/// Why an operation failed, in the words of the store or of the policy.
struct Failed(String);

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self(stopped.to_string())
    }
}

/// Runs an operation under a policy, if it has one; only then is the request copied.
///
/// # Errors
/// The last failure, in words.
pub(super) async fn guarded<R, T, F>(
    policy: Option<Policy>,
    request: R,
    operation: impl Fn(R) -> F,
) -> Result<T, String>
where
    R: Clone,
    F: Future<Output = Result<T, StateError>>,
{
    if policy.is_none() {
        return operation(request).await.map_err(|error| error.to_string());
    }
    let attempt = |_| {
        let operation = operation(request.clone());
        async { operation.await.map_err(judged) }
    };
    run(policy, attempt).await.map_err(|Failed(reason)| reason)
}

fn judged(error: StateError) -> Failure<Failed> {
    let failed = Failed(error.to_string());
    if error.is_final() {
        Failure::last(failed)
    } else {
        Failure::again(failed)
    }
}
