//! Single operations with keys. Upstream's stock build does not serve them; here a Configuration turns them on.

use std::future::Future;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;
use trilby_components::crypto::{CryptoError, CryptoProvider, Parameters, PublicKey, Sealed};
use trilby_components_crypto::key::Key;

use super::{Crypto, failed};
use crate::blocks::guarded::guarded;
use crate::error::ApiError;
use crate::metrics::Operation;

/// What turns the operations on in `spec.features`, as upstream's builds that have them show it in the metadata.
const FEATURE: &str = "_SubtleCrypto";

/// Failures of operations are told apart only in the log: what is told of them in detail can tell what is in a message.
impl Crypto {
    /// The public half of a key.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn public_key(&self, provider: &str, name: &str) -> Result<PublicKey, ApiError> {
        let found = self.subtle(provider)?;
        let used = self.used((provider, Operation::CryptoGet), || found.public_key(name));
        used.await.map_err(|error| key_failed(name, error))
    }

    /// Encrypts a small message.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn seal(
        &self,
        provider: &str,
        with: Parameters<'_>,
        plaintext: &[u8],
    ) -> Result<Sealed, ApiError> {
        let found = self.subtle(provider)?;
        let used = self.used((provider, Operation::CryptoUse), || {
            found.encrypt(with, plaintext)
        });
        used.await.map_err(|_| failed("failed to encrypt"))
    }

    /// Decrypts a small message.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn open(
        &self,
        provider: &str,
        with: Parameters<'_>,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, ApiError> {
        let found = self.subtle(provider)?;
        let used = self.used((provider, Operation::CryptoUse), || {
            found.decrypt(with, sealed)
        });
        used.await.map_err(|_| failed("failed to decrypt"))
    }

    /// Encrypts a key, given in any form.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn wrap_key(
        &self,
        provider: &str,
        with: Parameters<'_>,
        key: &[u8],
    ) -> Result<Sealed, ApiError> {
        let found = self.subtle(provider)?;
        let key = Key::parse(key, "");
        let key = key.map_err(|error| failed(format!("failed to parse plaintext key: {error}")))?;
        let key = key.serialize();
        let key = key.map_err(|error| failed(format!("cannot serialize key: {error}")))?;
        let used = self.used((provider, Operation::CryptoUse), || {
            found.wrap_key(with, &key)
        });
        used.await.map_err(|_| failed("failed to wrap key"))
    }

    /// Decrypts a key.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn unwrap_key(
        &self,
        provider: &str,
        with: Parameters<'_>,
        wrapped: &Sealed,
    ) -> Result<Vec<u8>, ApiError> {
        let found = self.subtle(provider)?;
        let used = self.used((provider, Operation::CryptoUse), || {
            found.unwrap_key(with, wrapped)
        });
        used.await.map_err(|_| failed("failed to unwrap key"))
    }

    /// Signs a digest.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn sign(
        &self,
        provider: &str,
        with: Parameters<'_>,
        digest: &[u8],
    ) -> Result<Vec<u8>, ApiError> {
        let found = self.subtle(provider)?;
        let used = self.used((provider, Operation::CryptoUse), || {
            found.sign(with, digest)
        });
        used.await.map_err(|_| failed("failed to sign"))
    }

    /// Whether a signature is good.
    ///
    /// # Errors
    /// As the API answers them.
    pub async fn verify(
        &self,
        provider: &str,
        with: Parameters<'_>,
        (digest, signature): (&[u8], &[u8]),
    ) -> Result<bool, ApiError> {
        let found = self.subtle(provider)?;
        let operation = || found.verify(with, digest, signature);
        let used = self.used((provider, Operation::CryptoUse), operation);
        used.await.map_err(|_| failed("failed to verify signature"))
    }

    /// The provider, if the operations are on.
    fn subtle(&self, provider: &str) -> Result<Arc<dyn CryptoProvider>, ApiError> {
        let configuration = Arc::clone(&self.resources.configuration().borrow());
        let mut mentions = configuration.features.iter();
        let last = mentions.rfind(|feature| feature.name == FEATURE);
        if last.is_none_or(|feature| feature.enabled != Some(true)) {
            return Err(unimplemented());
        }
        self.provider(provider)
    }

    async fn used<T, F>(
        &self,
        (provider, operation): (&str, Operation),
        attempt: impl FnMut() -> F,
    ) -> Result<T, CryptoError>
    where
        F: Future<Output = Result<T, CryptoError>>,
    {
        let start = Instant::now();
        let done = guarded(self.policy(provider), attempt).await;
        self.metrics.done((operation, provider), &done, start);
        if let Err(error) = &done {
            tracing::debug!(%error, provider, "an operation with a key failed");
        }
        done
    }
}

fn unimplemented() -> ApiError {
    ApiError::new(
        "ERR_API_UNIMPLEMENTED",
        StatusCode::NOT_IMPLEMENTED,
        Code::Unimplemented,
        "this API is currently not implemented",
    )
}

fn key_failed(name: &str, reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "ERR_CRYPTO_KEY",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        format!("failed to retrieve key {name}: {reason}"),
    )
}
