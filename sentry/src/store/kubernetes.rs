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

use super::{Absent, Found, Replaced, StoreError};
use crate::{bundle::Documents, tokens::TokenDocuments};

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
    /// The root's key.
    pub(crate) root_key: String,
    /// The key of tokens.
    pub(crate) token_key: String,
    /// The keys that verify tokens, in both objects.
    pub(crate) jwks: String,
}

/// See the module.
pub(crate) struct KubernetesStore {
    namespace: String,
    keys: Keys,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

/// Somebody else wrote first.
#[derive(Debug, Clone, Copy)]
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

    pub(crate) async fn load(&self, absent: &dyn Absent) -> Result<Documents, StoreError> {
        for _ in 0..ATTEMPTS {
            let secret = self.call("cannot read", self.secrets.get(NAME)).await?;
            let (documents, changed) = self.found(&secret).complete(absent).await?;
            if changed {
                // Read again, whoever's write it was that succeeded.
                self.fill(secret, documents).await?;
            } else if self.publish(&documents).await?.is_ok() {
                return Ok(documents);
            }
        }
        Err(StoreError::Contended(self.name()))
    }

    pub(crate) async fn replace(
        &self,
        old: &Documents,
        new: &Documents,
    ) -> Result<Replaced, StoreError> {
        let secret = self.call("cannot read", self.secrets.get(NAME)).await?;
        let found = self.found(&secret).authority;
        let is_old = found.is_some_and(|found| {
            (&found.ca, &found.issuer, &found.key) == (&old.ca, &old.issuer, &old.key)
        });
        if !is_old {
            return Ok(Replaced::Overtaken);
        }
        self.fill(secret, new.clone()).await
    }

    /// The Secret's documents; what is empty is not there.
    fn found(&self, secret: &Secret) -> Found {
        let get = |key: &str| {
            let value = secret.data.as_ref()?.get(key)?;
            Some(value.0.clone()).filter(|value| !value.is_empty())
        };
        let Keys {
            ca,
            issuer,
            key,
            root_key,
            token_key,
            jwks,
        } = &self.keys;
        let authority = || {
            Some(Documents {
                ca: get(ca)?,
                issuer: get(issuer)?,
                key: get(key)?,
                root_key: get(root_key),
                tokens: None,
            })
        };
        let tokens = || {
            Some(TokenDocuments {
                key: get(token_key)?,
                jwks: get(jwks)?,
            })
        };
        Found {
            authority: authority(),
            tokens: tokens(),
        }
    }

    async fn fill(&self, mut secret: Secret, documents: Documents) -> Result<Replaced, StoreError> {
        let data = secret.data.get_or_insert_with(BTreeMap::new);
        let mut put = |key: &str, value: Vec<u8>| data.insert(key.to_owned(), ByteString(value));
        put(&self.keys.ca, documents.ca);
        put(&self.keys.issuer, documents.issuer);
        put(&self.keys.key, documents.key);
        if let Some(root_key) = documents.root_key {
            put(&self.keys.root_key, root_key);
        }
        if let Some(tokens) = documents.tokens {
            put(&self.keys.token_key, tokens.key);
            put(&self.keys.jwks, tokens.jwks);
        }
        let parameters = PostParams::default();
        let write = self.secrets.replace(NAME, &parameters, &secret);
        match self.update(write).await? {
            Ok(()) => {
                tracing::info!(secret = self.name(), "certificate authority written");
                Ok(Replaced::Done)
            }
            Err(Conflict) => {
                tracing::info!(
                    secret = self.name(),
                    "another replica wrote a certificate authority first, adopting it"
                );
                Ok(Replaced::Overtaken)
            }
        }
    }

    /// Makes the ConfigMap's public documents those of the Secret.
    async fn publish(&self, documents: &Documents) -> Result<Result<(), Conflict>, StoreError> {
        let anchors = String::from_utf8_lossy(&documents.ca).into_owned();
        let key_set = documents.tokens.as_ref().and_then(TokenDocuments::public);
        let mut public = vec![(&self.keys.ca, anchors)];
        public.extend(key_set.map(|key_set| (&self.keys.jwks, key_set)));
        let mut config_map = self.call("cannot read", self.config_maps.get(NAME)).await?;
        let data = config_map.data.get_or_insert_with(BTreeMap::new);
        public.retain(|(key, value)| data.get(*key) != Some(value));
        if public.is_empty() {
            return Ok(Ok(()));
        }
        for (key, value) in public {
            let published = data.insert(key.clone(), value);
            if published.is_some_and(|published| !published.is_empty()) {
                tracing::warn!(
                    config_map = self.name(),
                    document = key,
                    "what is published differs from the Secret's, repairing it"
                );
            }
        }
        let parameters = PostParams::default();
        let write = self.config_maps.replace(NAME, &parameters, &config_map);
        self.update(write).await
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

    async fn update<T: Named>(
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
