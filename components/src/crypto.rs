//! The cryptography block: what can be done with keys that stay where they are.

use async_trait::async_trait;
use serde_json::{Map, Value};

/// Failures of a crypto provider, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// There is no key of that name, or none of the kind that may be shown.
    #[error("{0}")]
    NotFound(String),
    /// The key may not be used so, or the provider may not read it: someone has to allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The request itself is wrong, or what it brings is not genuine: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// Where the keys are cannot be reached: a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
}

impl CryptoError {
    /// The same failure, with what was being done in front of its text.
    #[must_use]
    pub fn during(self, what: &str) -> Self {
        let told = |text: String| format!("{what}: {text}");
        match self {
            Self::NotFound(text) => Self::NotFound(told(text)),
            Self::Forbidden(text) => Self::Forbidden(told(text)),
            Self::InvalidRequest(text) => Self::InvalidRequest(told(text)),
            Self::Unavailable(text) => Self::Unavailable(told(text)),
        }
    }
}

/// With which key and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// The name of the key, as the provider reads names.
    pub key: &'a str,
    /// The algorithm, as JSON Web Algorithms name it (`A256KW`, `RSA-OAEP-256`, …).
    pub algorithm: &'a str,
    /// Nonce or initialisation vector; empty where the algorithm has none.
    pub nonce: &'a [u8],
    /// What is authenticated, not encrypted; the label of RSA-OAEP. Empty for none; ignored where it cannot be.
    pub associated_data: &'a [u8],
}

/// What encryption gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sealed {
    /// The encrypted message.
    pub ciphertext: Vec<u8>,
    /// What authenticates it; empty where the algorithm has none.
    pub tag: Vec<u8>,
}

/// The public half of a pair of keys, in the two forms that applications ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// DER of a SubjectPublicKeyInfo (RFC 5280).
    pub der: Vec<u8>,
    /// The members of a JSON Web Key (RFC 7517).
    pub jwk: Map<String, Value>,
}

/// Keys that can be used, but not seen.
#[async_trait]
pub trait CryptoProvider: Send + Sync {
    /// The public half of a pair. Keys that both sides share have none.
    async fn public_key(&self, name: &str) -> Result<PublicKey, CryptoError>;

    /// Encrypts a small message.
    async fn encrypt(&self, with: Parameters<'_>, plaintext: &[u8]) -> Result<Sealed, CryptoError>;

    /// Decrypts what [`Self::encrypt`] gave.
    async fn decrypt(&self, with: Parameters<'_>, sealed: &Sealed) -> Result<Vec<u8>, CryptoError>;

    /// Encrypts a key, given as bytes.
    async fn wrap_key(&self, with: Parameters<'_>, key: &[u8]) -> Result<Sealed, CryptoError>;

    /// Decrypts a key that both sides share.
    async fn unwrap_key(
        &self,
        with: Parameters<'_>,
        wrapped: &Sealed,
    ) -> Result<Vec<u8>, CryptoError>;

    /// Signs a digest; with `EdDSA` the message itself, which hashes it.
    async fn sign(&self, with: Parameters<'_>, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Whether a signature of a digest is good.
    async fn verify(
        &self,
        with: Parameters<'_>,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError>;

    /// Releases what it holds.
    async fn close(&self) {}
}

/// A key as it is kept somewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyMaterial {
    /// A JSON Web Key, PEM, or the bytes of a key that both sides share, perhaps in base64.
    pub bytes: Vec<u8>,
    /// The media type, where the place knows one: it decides how the bytes are read. Else empty.
    pub content_type: String,
}

/// A place that keeps keys and does nothing else with them: what they are used for happens in the sidecar.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// Reads a key, as it is now.
    async fn fetch(&self, name: &str) -> Result<KeyMaterial, CryptoError>;
}

impl std::fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyMaterial({} bytes)", self.bytes.len())
    }
}
