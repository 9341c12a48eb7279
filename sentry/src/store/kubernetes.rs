//! Documents in a Secret, the anchors also in a ConfigMap that everybody may read.
//!
//! The Secret is the truth. Every write names the version that it replaces, so that of several
//! replicas which find it empty one writes and the others, refused, read what that one wrote. The
//! ConfigMap is a copy, and is made equal to the Secret whenever it is not.

use std::{collections::BTreeMap, fmt, future::Future, time::Duration};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client, api::PostParams};

use super::{Absent, StoreError};
use crate::bundle::Documents;

/// The name of both objects.
const NAME: &str = "dapr-trust-bundle";

/// How often a write is tried against others. Replicas are few, and the second reader finds what
/// the first wrote.
const ATTEMPTS: usize = 5;

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(10);

/// The keys under which the documents stand in the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Trust anchors, in both objects.
    pub(crate) ca: String,
    /// Issuer chain.
    pub(crate) issuer: String,
    /// Issuer key.
    pub(crate) key: String,
}

/// See the module.
pub(crate) struct KubernetesStore {
    namespace: String,
    keys: Keys,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

/// Somebody else wrote first.
struct Conflict;

impl KubernetesStore {
    pub(crate) fn new(client: &Client, namespace: &str, keys: Keys) -> Self {
        Self {
            namespace: namespace.to_owned(),
            keys,
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
        }
    }

    pub(crate) async fn load(&self, absent: &Absent<'_>) -> Result<Documents, StoreError> {
        for _ in 0..ATTEMPTS {
            let secret = self.call("cannot read", self.secrets.get(NAME)).await?;
            let Some(documents) = self.documents(&secret) else {
                self.fill(secret, absent()?).await?;
                // Read again, whoever's write it was that succeeded.
                continue;
            };
            if self.publish(&documents).await?.is_ok() {
                return Ok(documents);
            }
        }
        Err(StoreError::Contended(self.name()))
    }

    /// The Secret's documents, unless one is missing or empty.
    fn documents(&self, secret: &Secret) -> Option<Documents> {
        let data = secret.data.as_ref()?;
        let get = |key: &str| {
            data.get(key)
                .map(|value| &value.0)
                .filter(|value| !value.is_empty())
        };
        Some(Documents {
            ca: get(&self.keys.ca)?.clone(),
            issuer: get(&self.keys.issuer)?.clone(),
            key: get(&self.keys.key)?.clone(),
        })
    }

    async fn fill(&self, mut secret: Secret, documents: Documents) -> Result<(), StoreError> {
        let data = secret.data.get_or_insert_with(BTreeMap::new);
        data.insert(self.keys.ca.clone(), ByteString(documents.ca));
        data.insert(self.keys.issuer.clone(), ByteString(documents.issuer));
        data.insert(self.keys.key.clone(), ByteString(documents.key));
        let parameters = PostParams::default();
        let write = self.secrets.replace(NAME, &parameters, &secret);
        match self.replace(write).await? {
            Ok(()) => tracing::info!(secret = self.name(), "certificate authority written"),
            Err(Conflict) => tracing::info!(
                secret = self.name(),
                "another replica wrote a certificate authority first, adopting it"
            ),
        }
        Ok(())
    }

    /// Makes the ConfigMap's anchors those of the Secret.
    async fn publish(&self, documents: &Documents) -> Result<Result<(), Conflict>, StoreError> {
        let anchors = String::from_utf8_lossy(&documents.ca);
        let mut config_map = self.call("cannot read", self.config_maps.get(NAME)).await?;
        let data = config_map.data.get_or_insert_with(BTreeMap::new);
        let published = data.get(&self.keys.ca);
        if published.is_some_and(|published| **published == *anchors) {
            return Ok(Ok(()));
        }
        if published.is_some_and(|published| !published.is_empty()) {
            tracing::warn!(
                config_map = self.name(),
                "published trust anchors differ from the Secret's, repairing them"
            );
        }
        data.insert(self.keys.ca.clone(), anchors.into_owned());
        let parameters = PostParams::default();
        let write = self.config_maps.replace(NAME, &parameters, &config_map);
        self.replace(write).await
    }

    async fn call<T: Named>(
        &self,
        what: &'static str,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, StoreError> {
        let api_error = |cause: &dyn fmt::Display| StoreError::Api {
            what,
            kind: T::KIND,
            name: self.name(),
            cause: cause.to_string(),
        };
        match tokio::time::timeout(API_TIMEOUT, call).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(StoreError::Missing {
                kind: T::KIND,
                name: self.name(),
            }),
            Ok(Err(kube::Error::Api(status))) => Err(api_error(&status.message)),
            Ok(Err(error)) => Err(api_error(&error)),
            Err(_elapsed) => Err(api_error(&"no answer in time")),
        }
    }

    async fn replace<T: Named>(
        &self,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<Result<(), Conflict>, StoreError> {
        let write = async {
            match write.await {
                Ok(written) => Ok(Some(written)),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                Err(error) => Err(error),
            }
        };
        let written = self.call("cannot write", write).await?;
        Ok(written.map(|_| ()).ok_or(Conflict))
    }

    fn name(&self) -> String {
        format!("{}/{NAME}", self.namespace)
    }
}

/// What an object is called in messages.
trait Named {
    const KIND: &'static str;
}

impl Named for Secret {
    const KIND: &'static str = "Secret";
}

impl Named for ConfigMap {
    const KIND: &'static str = "ConfigMap";
}

impl<T: Named> Named for Option<T> {
    const KIND: &'static str = T::KIND;
}
