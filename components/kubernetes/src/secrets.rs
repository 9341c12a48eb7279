//! `secretstores.kubernetes`: the Secrets of a namespace, as far as the pod's service account may read them.
//!
//! The client is made by the first request: most sidecars never ask for a secret, and a client is a good
//! part of an idle sidecar's memory.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client, api::ListParams};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::OnceCell;
use trilby_components::causes::with_causes;
use trilby_components::{
    RequestMetadata,
    metadata::{Metadata, Schema},
    registry::{ComponentContext, InitError},
    secret::{Secret, SecretError, SecretStore},
};

use crate::client;

/// Request metadata that names another namespace.
pub(crate) const NAMESPACE: &str = "namespace";
/// Secrets that one page of a list holds.
const PAGE_SIZE: u32 = 500;

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The namespace to read when neither the request nor the sidecar has one.
    default_namespace: Option<String>,
    /// A kubeconfig file. Default: the pod's service account, else the user's own kubeconfig.
    kubeconfig_path: Option<PathBuf>,
}

impl Schema for Settings {}

/// The Secrets of a namespace.
pub struct KubernetesSecrets {
    /// Read when the request names none; `None` when nothing names one.
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
    client: OnceCell<Client>,
}

impl KubernetesSecrets {
    /// Reads its settings; talks to nobody.
    ///
    /// # Errors
    /// When the metadata does not decode.
    pub fn new(context: &ComponentContext, metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let own = Some(context.namespace.clone()).filter(|namespace| !namespace.is_empty());
        Ok(Self {
            namespace: own.or(settings.default_namespace),
            kubeconfig: settings.kubeconfig_path,
            client: OnceCell::new(),
        })
    }

    /// One Secret as it is.
    pub(crate) async fn object(
        &self,
        name: &str,
        metadata: &RequestMetadata,
    ) -> Result<Object, SecretError> {
        if !is_a_name(name) {
            return Err(SecretError::NotFound(format!(
                "secrets {name:?} not found: this is no name of a Secret"
            )));
        }
        let secrets = self.secrets(metadata).await?;
        let object = secrets.get(name).await;
        object.map_err(|error| secret_error(&error))
    }

    async fn secrets(&self, metadata: &RequestMetadata) -> Result<Api<Object>, SecretError> {
        let asked = metadata.get(NAMESPACE).filter(|asked| !asked.is_empty());
        let namespace = asked.or(self.namespace.as_ref()).ok_or_else(|| {
            SecretError::InvalidRequest(
                "namespace is missing on metadata and NAMESPACE env variable".into(),
            )
        })?;
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        Ok(Api::namespaced(client.clone(), namespace))
    }

    async fn connect(&self) -> Result<Client, SecretError> {
        let client = client::connect(self.kubeconfig.as_deref()).await;
        client.map_err(SecretError::Unavailable)
    }
}

/// Whether the API server could have such an object. The client puts names into paths as they are, so that any other would
/// ask for something else.
fn is_a_name(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(plain) && !matches!(name, "." | "..")
}

fn secret_error(error: &kube::Error) -> SecretError {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            SecretError::NotFound(status.message.clone())
        }
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            SecretError::Forbidden(status.message.clone())
        }
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            SecretError::InvalidRequest(status.message.clone())
        }
        other => SecretError::Unavailable(with_causes(other)),
    }
}

/// The values of a Secret. Bytes that are not UTF-8 become replacement characters: the API returns text.
fn values(object: Object) -> Secret {
    object
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

#[async_trait]
impl SecretStore for KubernetesSecrets {
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        self.object(name, metadata).await.map(values)
    }

    async fn bulk_get(
        &self,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let secrets = self.secrets(metadata).await?;
        let mut found = BTreeMap::new();
        let mut page = ListParams::default().limit(PAGE_SIZE);
        loop {
            let list = secrets.list(&page).await;
            let list = list.map_err(|error| secret_error(&error))?;
            let next = list.metadata.continue_.filter(|token| !token.is_empty());
            found.extend(list.items.into_iter().map(|object| {
                let name = object.metadata.name.clone().unwrap_or_default();
                (name, values(object))
            }));
            match next {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests;
