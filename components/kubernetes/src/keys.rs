//! Keys that are kept in Secrets: `[namespace/]secret/key`. What they are used for happens elsewhere.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;
use trilby_components::{
    RequestMetadata,
    crypto::{CryptoError, KeyMaterial, KeySource},
    metadata::{Metadata, Schema},
    registry::{ComponentContext, InitError},
    secret::SecretError,
};

use crate::{KubernetesSecrets, secrets::NAMESPACE};

/// How long reading a Secret may take, as upstream has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Metadata of the provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The namespace of keys that name none; without it every key has to.
    #[serde(default)]
    default_namespace: String,
    /// A kubeconfig file. Default: the pod's service account, else the user's own kubeconfig.
    #[serde(rename = "kubeconfigPath")]
    _kubeconfig_path: Option<PathBuf>,
}

impl Schema for Settings {}

/// Keys in Secrets, each read when it is used.
pub struct KubernetesKeys {
    default_namespace: String,
    secrets: KubernetesSecrets,
}

impl KubernetesKeys {
    /// Reads its settings; talks to nobody.
    ///
    /// # Errors
    /// When the metadata does not decode.
    pub fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        // The sidecar's own namespace counts for nothing here, as upstream has it.
        Ok(Self {
            default_namespace: settings.default_namespace,
            secrets: KubernetesSecrets::new(&ComponentContext::default(), metadata)?,
        })
    }

    /// Namespace, Secret and key.
    fn place<'a>(&'a self, name: &'a str) -> Result<[&'a str; 3], CryptoError> {
        let parts: Vec<&str> = name.split('/').collect();
        let [namespace, secret, key] = match parts[..] {
            [namespace, secret, key] => [namespace, secret, key],
            [secret, key] => [self.default_namespace.as_str(), secret, key],
            _ => {
                let text = "key is not in a valid format: required namespace/secretName/key or secretName/key";
                return Err(CryptoError::InvalidRequest(text.into()));
            }
        };
        if namespace.is_empty() {
            let text = "key doesn't have a namespace and the default namespace isn't set";
            return Err(CryptoError::InvalidRequest(text.into()));
        }
        Ok([namespace, secret, key])
    }
}

#[async_trait]
impl KeySource for KubernetesKeys {
    async fn fetch(&self, name: &str) -> Result<KeyMaterial, CryptoError> {
        let [namespace, secret, key] = self.place(name)?;
        let within = RequestMetadata::from([(NAMESPACE.to_owned(), namespace.to_owned())]);
        let object = timeout(PATIENCE, self.secrets.object(secret, &within)).await;
        let object = object.map_err(|_| {
            CryptoError::Unavailable(format!("no answer of Kubernetes within {PATIENCE:?}"))
        })?;
        let object = object.map_err(failure)?;
        let found = object.data.and_then(|mut data| data.remove(key));
        let bytes = found.map(|bytes| bytes.0).filter(|bytes| !bytes.is_empty());
        Ok(KeyMaterial {
            bytes: bytes.ok_or_else(|| CryptoError::NotFound("key not found".into()))?,
            content_type: object.type_.unwrap_or_default(),
        })
    }
}

fn failure(error: SecretError) -> CryptoError {
    match error {
        SecretError::NotFound(text) => CryptoError::NotFound(text),
        SecretError::Forbidden(text) => CryptoError::Forbidden(text),
        SecretError::InvalidRequest(text) => CryptoError::InvalidRequest(text),
        SecretError::Unavailable(text) => CryptoError::Unavailable(text),
    }
}

#[cfg(test)]
impl KubernetesKeys {
    pub(crate) fn over(secrets: KubernetesSecrets, default_namespace: &str) -> Self {
        Self {
            default_namespace: default_namespace.into(),
            secrets,
        }
    }
}
