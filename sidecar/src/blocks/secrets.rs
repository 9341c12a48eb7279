//! The secrets block: stores behind the rules of the Configuration.

mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;
use trilby_components::RequestMetadata;
use trilby_components::secret::{Secret, SecretError, SecretStore};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};
use trilby_resources::{Lookup, Resources};

use super::guarded::guarded;
use crate::error::ApiError;
use crate::live::Live;
use crate::metrics::{ComponentMetrics, Metrics, Operation};

pub use scope::{InvalidScopes, Scopes};

/// Secret stores as an application may see them.
#[derive(Debug, Clone)]
pub struct Secrets {
    resources: Resources,
    resiliency: Resiliency,
    scopes: Live<Scopes>,
    metrics: ComponentMetrics,
}

impl Secrets {
    /// The stores of `resources`, as far as the scopes allow, which may change.
    pub fn new(resources: Resources, resiliency: Resiliency, scopes: Live<Scopes>) -> Self {
        Self {
            resources,
            resiliency,
            scopes,
            metrics: Metrics::off("", "").components(),
        }
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: ComponentMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Reads one secret.
    ///
    /// # Errors
    /// As the API answers them: no such store, not allowed, or the store's own failure.
    pub async fn get(
        &self,
        store: &str,
        name: &str,
        metadata: &RequestMetadata,
    ) -> Result<Secret, ApiError> {
        let found = self.store(store)?;
        if !self.allows(store, name) {
            let text = format!("access denied by policy to get {name:?} from {store:?}");
            return Err(ApiError::new(
                "ERR_PERMISSION_DENIED",
                StatusCode::FORBIDDEN,
                Code::PermissionDenied,
                text,
            ));
        }
        let start = Instant::now();
        let read = guarded(self.policy(store), || found.get(name, metadata)).await;
        self.metrics
            .done((Operation::SecretGet, store), &read, start);
        read.map_err(|failure| {
            get_failed(format!(
                "failed getting secret with key {name} from secret store {store}: {failure}"
            ))
        })
    }

    /// Reads every secret that the application may see.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn bulk(
        &self,
        store: &str,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, ApiError> {
        let found = self.store(store)?;
        let start = Instant::now();
        let read = guarded(self.policy(store), || found.bulk_get(metadata)).await;
        self.metrics
            .done((Operation::SecretBulkGet, store), &read, start);
        let mut secrets = read.map_err(|failure: SecretError| {
            get_failed(format!(
                "failed getting secrets from secret store {store}: {failure}"
            ))
        })?;
        secrets.retain(|name, _| self.allows(store, name));
        Ok(secrets)
    }

    fn policy(&self, store: &str) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(store, ComponentKind::SecretStore, Direction::Outbound)
    }

    fn allows(&self, store: &str, name: &str) -> bool {
        self.scopes.now().allow(store, name)
    }

    fn store(&self, name: &str) -> Result<Arc<dyn SecretStore>, ApiError> {
        self.resources
            .secret_store(name)
            .map_err(|lookup| match lookup {
                Lookup::NotConfigured => ApiError::new(
                    "ERR_SECRET_STORES_NOT_CONFIGURED",
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Code::FailedPrecondition,
                    "secret store is not configured",
                ),
                Lookup::NotFound => {
                    not_found(format!("failed finding secret store with key {name}"))
                }
                Lookup::Failed(why) => not_found(format!(
                    "failed finding secret store with key {name}: it did not start: {why}"
                )),
            })
    }
}

fn not_found(message: String) -> ApiError {
    ApiError::new(
        "ERR_SECRET_STORE_NOT_FOUND",
        StatusCode::UNAUTHORIZED,
        Code::InvalidArgument,
        message,
    )
}

fn get_failed(message: String) -> ApiError {
    ApiError::new(
        "ERR_SECRET_GET",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        message,
    )
}
