//! A crypto provider over keys that can be read, wherever they are kept.

use std::sync::Arc;

use async_trait::async_trait;
use trilby_components::crypto::{
    CryptoError, CryptoProvider, KeySource, Parameters, PublicKey, Sealed,
};

use crate::{
    algorithm,
    key::{Key, Operation},
};

/// Keys by name.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key of that name, as it is now.
    async fn key(&self, name: &str) -> Result<Arc<Key>, CryptoError>;
}

/// Keys that a place hands out as they are kept.
#[derive(Debug)]
pub struct Fetched<S>(pub S);

#[async_trait]
impl<S: KeySource> Keys for Fetched<S> {
    async fn key(&self, name: &str) -> Result<Arc<Key>, CryptoError> {
        let found = self.0.fetch(name).await?;
        let key = Key::parse(&found.bytes, &found.content_type);
        let key = key.map_err(|error| CryptoError::InvalidRequest(error.to_string()));
        key.map(Arc::new)
            .map_err(|error| error.during("failed to parse key from secret"))
    }
}

/// Does in the sidecar what is asked, with keys that it reads.
#[derive(Debug)]
pub struct Provider<K>(K);

impl<K: Keys> Provider<K> {
    /// Uses these keys.
    pub fn over(keys: K) -> Self {
        Self(keys)
    }

    /// The key, if it may be used so.
    async fn key(
        &self,
        with: Parameters<'_>,
        operation: Operation,
    ) -> Result<Arc<Key>, CryptoError> {
        let what = match operation {
            Operation::WrapKey | Operation::UnwrapKey => {
                "failed to retrieve the key encryption key"
            }
            _ => "failed to retrieve the key",
        };
        let key = self.0.key(with.key).await;
        let key = key.map_err(|error| error.during(what))?;
        key.purpose.permits(operation, with.algorithm)?;
        Ok(key)
    }

    async fn seal(
        &self,
        with: Parameters<'_>,
        operation: Operation,
        plaintext: &[u8],
    ) -> Result<Sealed, CryptoError> {
        let key = self.key(with, operation).await?;
        let sealed = algorithm::encrypt(&key, with, plaintext).map_err(CryptoError::from);
        sealed.map_err(|error| error.during("failed to encrypt data"))
    }

    async fn open(
        &self,
        with: Parameters<'_>,
        operation: Operation,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, CryptoError> {
        let key = self.key(with, operation).await?;
        let opened = algorithm::decrypt(&key, with, sealed).map_err(CryptoError::from);
        opened.map_err(|error| error.during("failed to decrypt data"))
    }
}

#[async_trait]
impl<K: Keys> CryptoProvider for Provider<K> {
    async fn public_key(&self, name: &str) -> Result<PublicKey, CryptoError> {
        let key = self.0.key(name).await?;
        let public = key.public();
        let public = public.map_err(|error| {
            CryptoError::InvalidRequest(format!("failed to obtain public key: {error}"))
        })?;
        // That there is one, but of another kind, is nobody's business.
        public.ok_or_else(not_found)
    }

    async fn encrypt(&self, with: Parameters<'_>, plaintext: &[u8]) -> Result<Sealed, CryptoError> {
        self.seal(with, Operation::Encrypt, plaintext).await
    }

    async fn decrypt(&self, with: Parameters<'_>, sealed: &Sealed) -> Result<Vec<u8>, CryptoError> {
        self.open(with, Operation::Decrypt, sealed).await
    }

    async fn wrap_key(&self, with: Parameters<'_>, key: &[u8]) -> Result<Sealed, CryptoError> {
        self.seal(with, Operation::WrapKey, key).await
    }

    async fn unwrap_key(
        &self,
        with: Parameters<'_>,
        wrapped: &Sealed,
    ) -> Result<Vec<u8>, CryptoError> {
        self.open(with, Operation::UnwrapKey, wrapped).await
    }

    async fn sign(&self, with: Parameters<'_>, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = self.key(with, Operation::Sign).await?;
        let signed = algorithm::sign(&key, with.algorithm, digest).map_err(CryptoError::from);
        signed.map_err(|error| error.during("failed to sign message"))
    }

    async fn verify(
        &self,
        with: Parameters<'_>,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let key = self.key(with, Operation::Verify).await?;
        let checked = algorithm::verify(&key, with.algorithm, (digest, signature));
        let checked = checked.map_err(CryptoError::from);
        checked.map_err(|error| error.during("failed to validate the signature"))
    }
}

/// There is no key of that name.
#[must_use]
pub fn not_found() -> CryptoError {
    CryptoError::NotFound("key not found".into())
}
