//! A crypto provider in service.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio_util::sync::DropGuard;
use trilby_components::crypto::{CryptoError, CryptoProvider, Parameters, PublicKey, Sealed};

/// A crypto provider. It is closed after its last clone is gone.
pub struct CryptoComponent {
    /// The component's name.
    pub name: String,
    provider: Arc<dyn CryptoProvider>,
    _in_use: DropGuard,
}

impl CryptoComponent {
    pub(super) fn new(name: &str, provider: &Arc<dyn CryptoProvider>, in_use: DropGuard) -> Self {
        Self {
            name: name.to_owned(),
            provider: Arc::clone(provider),
            _in_use: in_use,
        }
    }
}

impl fmt::Debug for CryptoComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoComponent({})", self.name)
    }
}

#[async_trait]
impl CryptoProvider for CryptoComponent {
    async fn public_key(&self, name: &str) -> Result<PublicKey, CryptoError> {
        self.provider.public_key(name).await
    }

    async fn encrypt(&self, with: Parameters<'_>, plaintext: &[u8]) -> Result<Sealed, CryptoError> {
        self.provider.encrypt(with, plaintext).await
    }

    async fn decrypt(&self, with: Parameters<'_>, sealed: &Sealed) -> Result<Vec<u8>, CryptoError> {
        self.provider.decrypt(with, sealed).await
    }

    async fn wrap_key(&self, with: Parameters<'_>, key: &[u8]) -> Result<Sealed, CryptoError> {
        self.provider.wrap_key(with, key).await
    }

    async fn unwrap_key(
        &self,
        with: Parameters<'_>,
        wrapped: &Sealed,
    ) -> Result<Vec<u8>, CryptoError> {
        self.provider.unwrap_key(with, wrapped).await
    }

    async fn sign(&self, with: Parameters<'_>, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.provider.sign(with, digest).await
    }

    async fn verify(
        &self,
        with: Parameters<'_>,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        self.provider.verify(with, digest, signature).await
    }
}
