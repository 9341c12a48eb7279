//! The cryptography block: documents of any length, encrypted and decrypted as they pass, with keys that stay in their
//! providers.

mod document;
mod subtle;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;
use trilby_components::crypto::{CryptoError, CryptoProvider, Parameters, Sealed};
use trilby_components_crypto::scheme::{
    DocumentCipher, Draft, HeaderReader, Options, WrapAlgorithm,
};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};
use trilby_resources::{Lookup, Resources};

use super::guarded::guarded;
use crate::error::ApiError;
use crate::metrics::{ComponentMetrics, Metrics, Operation};

pub use document::Document;

/// How an application wants a document encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptOptions {
    /// The name of the key.
    pub key: String,
    /// How the key encrypts the document's own key, in any case.
    pub algorithm: String,
    /// What encrypts the document, in any case; empty for the default.
    pub cipher: String,
    /// The key name that the document carries; empty for that of the key.
    pub decryption_key: String,
    /// Whether the document names no key.
    pub omit_key: bool,
}

/// Crypto providers as an application may use them.
#[derive(Debug, Clone)]
pub struct Crypto {
    resources: Resources,
    resiliency: Resiliency,
    metrics: ComponentMetrics,
}

impl Crypto {
    /// The providers of `resources`.
    pub fn new(resources: Resources, resiliency: Resiliency) -> Self {
        Self {
            resources,
            resiliency,
            metrics: Metrics::off("", "").components(),
        }
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: ComponentMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Whether there is such a provider: what is asked of it is looked at after.
    ///
    /// # Errors
    /// As the API answers them.
    pub fn check(&self, provider: &str) -> Result<(), ApiError> {
        self.provider(provider).map(drop)
    }

    /// Encrypts what `input` brings.
    ///
    /// # Errors
    /// As the API answers them: no such provider or key, or no such algorithm.
    pub async fn encrypt<S>(
        &self,
        provider: &str,
        options: EncryptOptions,
        input: S,
    ) -> Result<Document<S>, ApiError>
    where
        S: Stream<Item = Result<Bytes, String>> + Unpin,
    {
        let found = self.provider(provider)?;
        let algorithm = WrapAlgorithm::parse(&options.algorithm).map_err(failed)?;
        let draft = Draft::new(Options {
            algorithm,
            cipher: DocumentCipher::parse(&options.cipher).map_err(failed)?,
            key_name: match &options {
                EncryptOptions { omit_key: true, .. } => String::new(),
                named if named.decryption_key.is_empty() => named.key.clone(),
                named => named.decryption_key.clone(),
            },
        });
        let draft = draft.map_err(failed)?;
        let with = Parameters {
            key: &options.key,
            algorithm: algorithm.name(),
            ..Parameters::default()
        };
        let start = Instant::now();
        let wrapped = guarded(self.policy(provider), || {
            found.wrap_key(with, draft.file_key())
        });
        let wrapped = wrapped.await;
        self.metrics
            .done((Operation::CryptoUse, provider), &wrapped, start);
        let wrapped: Sealed = wrapped
            .map_err(|error: CryptoError| failed(error.during("failed to wrap the file key")))?;
        let (header, segments) = draft.begin(wrapped.ciphertext).map_err(failed)?;
        Ok(Document::new(Some(header), Bytes::new(), segments, input))
    }

    /// Decrypts what `input` brings, with the key of that name; an empty one asks the document.
    ///
    /// # Errors
    /// As [`Self::encrypt`]; also when the document's header is not authentic.
    pub async fn decrypt<S>(
        &self,
        provider: &str,
        key: &str,
        mut input: S,
    ) -> Result<Document<S>, ApiError>
    where
        S: Stream<Item = Result<Bytes, String>> + Unpin,
    {
        let found = self.provider(provider)?;
        let mut reader = HeaderReader::default();
        let (header, rest) = loop {
            let mut chunk = document::next_chunk(&mut input, &reader)
                .await
                .map_err(failed)?;
            if let Some(header) = reader.push(&mut chunk).map_err(failed)? {
                break (header, chunk);
            }
        };
        let with = Parameters {
            key: header.key_name(key).map_err(failed)?,
            algorithm: header.algorithm(),
            ..Parameters::default()
        };
        let wrapped = Sealed {
            ciphertext: header.wrapped_key().to_vec(),
            tag: Vec::new(),
        };
        let start = Instant::now();
        let unwrapped = guarded(self.policy(provider), || found.unwrap_key(with, &wrapped)).await;
        self.metrics
            .done((Operation::CryptoUse, provider), &unwrapped, start);
        if let Err(error) = &unwrapped {
            tracing::debug!(%error, provider, "the key of a document could not be decrypted");
        }
        let segments = header.unlock(unwrapped.ok().as_deref()).map_err(failed)?;
        Ok(Document::new(None, rest, segments, input))
    }

    fn policy(&self, provider: &str) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(provider, ComponentKind::Crypto, Direction::Outbound)
    }

    fn provider(&self, name: &str) -> Result<Arc<dyn CryptoProvider>, ApiError> {
        let lookup = match self.resources.crypto_provider(name) {
            Ok(found) => return Ok(found),
            Err(lookup) => lookup,
        };
        Err(match lookup {
            Lookup::NotConfigured => ApiError::new(
                "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED",
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                "crypto providers not configured",
            ),
            Lookup::NotFound | Lookup::Failed(_) if name.is_empty() => {
                ApiError::bad_request("missing component name")
            }
            Lookup::NotFound => not_found(format!("crypto provider {name} not found")),
            Lookup::Failed(why) => not_found(format!(
                "crypto provider {name} not found: it did not start: {why}"
            )),
        })
    }
}

fn not_found(message: String) -> ApiError {
    ApiError::new(
        "ERR_CRYPTO_PROVIDER_NOT_FOUND",
        StatusCode::BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
}

/// An operation did not succeed.
pub fn failed(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "ERR_CRYPTO",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        format!("failed to perform operation: {reason}"),
    )
}
