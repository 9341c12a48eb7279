//! The lock block: resources of applications become keys of stores, failures of stores become answers of the API.
//!
//! What a store does not answer is an error, never a lock that was given or given back: see `docs/lock.md`.

mod key;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;
use trilby_components::lock::{Claim, LockError, LockStore as _, Release};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};
use trilby_resources::{LockComponent, Lookup, Resources};

use super::guarded::guarded;
use super::state::illegal_key;
use crate::error::ApiError;
use crate::metrics::{ComponentMetrics, Metrics, Operation};

/// Lock stores as an application sees them.
#[derive(Debug, Clone)]
pub struct Locks {
    resources: Resources,
    resiliency: Resiliency,
    app_id: Arc<str>,
    metrics: ComponentMetrics,
}

/// What a request is about, in the application's words.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The name of the store.
    pub store: &'a str,
    /// What is owned.
    pub resource: &'a str,
    /// Who owns it, or wants to.
    pub owner: &'a str,
}

/// What cannot be done, as its error says it.
#[derive(Debug, Clone, Copy)]
enum Failed {
    TryLock,
    Unlock,
}

impl Locks {
    /// The stores of an application.
    pub fn new(resources: Resources, resiliency: Resiliency, app_id: &str) -> Self {
        Self {
            resources,
            resiliency,
            app_id: app_id.into(),
            metrics: Metrics::off(app_id, "").components(),
        }
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: ComponentMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Takes a resource for `seconds`, if it is nobody's, and says whether it did.
    ///
    /// # Errors
    /// As the API answers them: a request that says too little, no such store, or the store's own failure.
    pub async fn try_lock(&self, subject: Subject<'_>, seconds: i32) -> Result<bool, ApiError> {
        let name = subject.store;
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
        let Some(seconds) = seconds else {
            let text = format!("ExpiryInSeconds is not positive in lock store {name}");
            return Err(ApiError::malformed_verbatim(text));
        };
        let store = self.store(subject)?;
        let resource = self.key(&store, subject, Failed::TryLock)?;
        let claim = Claim {
            resource: &resource,
            owner: subject.owner,
            life: Duration::from_secs(seconds),
        };
        let start = Instant::now();
        let taken = guarded(self.policy(name), || store.try_lock(claim)).await;
        self.metrics.done((Operation::TryLock, name), &taken, start);
        taken.map_err(|failure: LockError| Failed::TryLock.error(failure))
    }

    /// Gives a resource back, if it is this owner's.
    ///
    /// # Errors
    /// As [`Self::try_lock`].
    pub async fn unlock(&self, subject: Subject<'_>) -> Result<Release, ApiError> {
        let name = subject.store;
        let store = self.store(subject)?;
        let resource = self.key(&store, subject, Failed::Unlock)?;
        let start = Instant::now();
        let release = || store.unlock(&resource, subject.owner);
        let released = guarded(self.policy(name), release).await;
        self.metrics
            .done((Operation::Unlock, name), &released, start);
        released.map_err(|failure: LockError| Failed::Unlock.error(failure))
    }

    fn policy(&self, store: &str) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(store, ComponentKind::Lock, Direction::Outbound)
    }

    fn key(
        &self,
        store: &LockComponent,
        subject: Subject<'_>,
        failed: Failed,
    ) -> Result<String, ApiError> {
        if illegal_key(subject.resource) {
            let resource = subject.resource;
            let reason = format!("input key/keyPrefix '{resource}' can't contain '||'");
            return Err(failed.error(reason));
        }
        let owners = (subject.store, &*self.app_id);
        Ok(key::of(&store.key_prefix, owners, subject.resource))
    }

    /// The store of a request that says whose and what. The order of the checks is upstream's.
    fn store(&self, subject: Subject<'_>) -> Result<Arc<LockComponent>, ApiError> {
        let name = subject.store;
        let found = self.resources.lock_store(name);
        if let Err(Lookup::NotConfigured) = found {
            return Err(ApiError::new(
                "ERR_LOCK_STORE_NOT_CONFIGURED",
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::FailedPrecondition,
                "lock store is not configured",
            ));
        }
        for (what, text) in [
            ("ResourceId", subject.resource),
            ("LockOwner", subject.owner),
        ] {
            if text.is_empty() {
                let text = format!("{what} is empty in lock store {name}");
                return Err(ApiError::malformed_verbatim(text));
            }
        }
        found.map_err(|lookup| {
            let text = match lookup {
                Lookup::Failed(why) => {
                    format!("lock store {name} not found: it did not start: {why}")
                }
                Lookup::NotFound | Lookup::NotConfigured => format!("lock store {name} not found"),
            };
            ApiError::new(
                "ERR_LOCK_STORE_NOT_FOUND",
                StatusCode::BAD_REQUEST,
                Code::InvalidArgument,
                text,
            )
        })
    }
}

impl Failed {
    fn error(self, reason: impl fmt::Display) -> ApiError {
        let (code, text) = match self {
            Self::TryLock => (
                "ERR_TRY_LOCK",
                format!("failed to try acquiring lock: {reason}"),
            ),
            Self::Unlock => ("ERR_UNLOCK", format!("failed to release lock: {reason}")),
        };
        ApiError::new(
            code,
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            text,
        )
    }
}
