//! The secrets block: named secrets of one or several values.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::RequestMetadata;

/// One secret: its values by key.
pub type Secret = BTreeMap<String, String>;

/// What the metadata API lists for a store whose secrets may have several values, in upstream's spelling.
pub const MULTIPLE_KEY_VALUES: &str = "MULTIPLE_KEY_VALUES_PER_SECRET";

/// Failures of a secret store, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no secret of that name.
    #[error("{0}")]
    NotFound(String),
    /// The store refuses to show it to this sidecar: someone has to grant it.
    #[error("{0}")]
    Forbidden(String),
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The store cannot be reached or did not answer: a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
}

impl SecretError {
    /// Whether the same request can succeed later without anyone changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A store of secrets.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// Reads one secret.
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError>;

    /// Reads every secret that the store lets this sidecar see, by name.
    async fn bulk_get(
        &self,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError>;

    /// The capabilities that the metadata API lists, in upstream's spelling.
    fn capabilities(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Keeps its access fresh, a token that expires for instance, for as long as it is polled. Returns when there is
    /// nothing, or nothing more, to keep.
    ///
    /// # Cancel safety
    /// It may be dropped at any point.
    async fn keep(&self) {}

    /// Releases connections.
    async fn close(&self) {}
}
