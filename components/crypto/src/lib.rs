//! Cryptography with keys that the sidecar can read: algorithms, keys in all their forms, the scheme that encrypts
//! documents of any length, and the providers `crypto.dapr.localstorage` and `crypto.dapr.jwks`; a provider over any
//! other place that keeps keys is made by [`backend_over`].
//!
//! Keys are read for each use, used, and forgotten; a set of keys is kept. Nothing is decrypted that is not authentic,
//! with one exception that callers ask for by name: AES-CBC without an HMAC.
//!
//! Deliberately absent: any place that keeps keys beyond files and the web, the API in front, and upstream's
//! `azure.keyvault`, which uses keys where they are.

pub mod algorithm;
mod folder;
mod jwks;
pub mod key;
pub mod provider;
pub mod scheme;

use std::sync::Arc;

use trilby_components::{
    crypto::{CryptoProvider, KeySource},
    definition::Definition,
    metadata::Metadata,
    registry::{Backend, Block, InitError},
};

pub use folder::Folder;
pub use jwks::KeySet;
pub use provider::{Fetched, Keys, Provider};

/// The providers that need nothing but files and the web.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::crypto("dapr.localstorage", async |_, metadata| {
            let keys = Fetched(Folder::open(&metadata).await?);
            Ok(Arc::new(Provider::over(keys)) as Arc<dyn CryptoProvider>)
        }),
        Backend::crypto("dapr.jwks", async |_, metadata| {
            let keys = KeySet::open(&metadata).await?;
            Ok(Arc::new(Provider::over(keys)) as Arc<dyn CryptoProvider>)
        }),
    ]
}

/// A provider over another place that keeps keys.
pub fn backend_over<S, F>(name: &'static str, open: F) -> Backend
where
    S: KeySource + 'static,
    F: Fn(&Metadata) -> Result<S, InitError> + Send + Sync + 'static,
{
    Backend::crypto(name, move |_, metadata| {
        let opened = open(&metadata);
        async { Ok(Arc::new(Provider::over(Fetched(opened?))) as Arc<dyn CryptoProvider>) }
    })
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::Crypto, "dapr.localstorage").taking::<folder::Settings>(),
        Definition::new(Block::Crypto, "dapr.jwks").taking::<jwks::Settings>(),
    ]
}
