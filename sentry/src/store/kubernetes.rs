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
use parking_lot::Mutex;

use super::{Absent, Found, Loaded, Replaced, StoreError, is_same_authority};
use crate::{
    bundle::Documents,
    rotation::{Orders, RotationDocuments},
    source::NewAuthority,
    tokens::TokenDocuments,
};

/// The name of both objects.
const NAME: &str = "dapr-trust-bundle";

/// How a rotation stands; what is prepared has the names of the documents that it will replace, with this in front.
const RECORD: &str = "rotation.json";
const NEXT: &str = "next-";

/// Annotations of the Secret by which people ask for things.
const ROTATE: &str = "dapr.io/rotate-root";
const PAUSED: &str = "dapr.io/rotation-paused";

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
    /// What was published when that was looked at last.
    published: Mutex<BTreeMap<String, String>>,
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
            published: Mutex::default(),
        }
    }

    pub(crate) async fn load(&self, absent: &dyn Absent) -> Result<Loaded, StoreError> {
        let mut repaired = None;
        for _ in 0..ATTEMPTS {
            let secret = self.call("cannot read", self.secrets.get(NAME)).await?;
            let orders = orders(&secret);
            let (documents, changed) = self.found(&secret).complete(absent).await?;
            if changed {
                repaired = self.damage(&secret);
                // Read again, whoever's write it was that succeeded.
                self.fill(secret, documents).await?;
            } else if let Ok(differed) = self.publish(&documents).await? {
                return Ok(Loaded {
                    documents,
                    orders,
                    repaired: repaired.or(differed),
                });
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
        let is_old = found.is_some_and(|found| is_same_authority(&found, old));
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
        let get_next = |key: &str| get(&format!("{NEXT}{key}"));
        let next = || {
            Some(NewAuthority {
                anchors_pem: get_next(ca)?,
                issuer_chain_pem: get_next(issuer)?,
                issuer_key_pem: get_next(key)?,
                root_key_pem: get_next(root_key),
            })
        };
        let authority = || {
            Some(Documents {
                ca: get(ca)?,
                issuer: get(issuer)?,
                key: get(key)?,
                root_key: get(root_key),
                tokens: None,
                rotation: RotationDocuments {
                    record: get(RECORD),
                    next: next(),
                },
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
        for (key, value) in self.authority_data(&documents) {
            match value {
                Some(value) => data.insert(key, ByteString(value)),
                None => data.remove(&key),
            };
        }
        if let Some(tokens) = documents.tokens {
            data.insert(self.keys.token_key.clone(), ByteString(tokens.key));
            data.insert(self.keys.jwks.clone(), ByteString(tokens.jwks));
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

    /// What is missing of an authority that was there; `None` if the Secret was empty.
    fn damage(&self, secret: &Secret) -> Option<String> {
        let has = |key: &String| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            value.is_some_and(|value| !value.0.is_empty())
        };
        let all = [&self.keys.ca, &self.keys.issuer, &self.keys.key];
        let missing: Vec<_> = all
            .into_iter()
            .filter(|key| !has(key))
            .map(String::as_str)
            .collect();
        let partly = (1..all.len()).contains(&missing.len());
        let name = self.name();
        partly.then(|| {
            format!(
                "Secret {name} lacked {}, the authority was written again",
                missing.join(", ")
            )
        })
    }

    /// What of an authority stands under which key of the Secret; what is `None` does not.
    fn authority_data(&self, documents: &Documents) -> Vec<(String, Option<Vec<u8>>)> {
        let keys = &self.keys;
        let next = documents.rotation.next.as_ref();
        let next_key = |key: &str| format!("{NEXT}{key}");
        let of_next = |part: fn(&NewAuthority) -> &Vec<u8>| next.map(|next| part(next).clone());
        vec![
            (keys.ca.clone(), Some(documents.ca.clone())),
            (keys.issuer.clone(), Some(documents.issuer.clone())),
            (keys.key.clone(), Some(documents.key.clone())),
            (keys.root_key.clone(), documents.root_key.clone()),
            (RECORD.to_owned(), documents.rotation.record.clone()),
            (next_key(&keys.ca), of_next(|next| &next.anchors_pem)),
            (
                next_key(&keys.issuer),
                of_next(|next| &next.issuer_chain_pem),
            ),
            (next_key(&keys.key), of_next(|next| &next.issuer_key_pem)),
            (
                next_key(&keys.root_key),
                next.and_then(|next| next.root_key_pem.clone()),
            ),
        ]
    }

    /// Makes the ConfigMap's public documents those of the Secret.
    /// Says what differed, if something was published that differed.
    async fn publish(
        &self,
        documents: &Documents,
    ) -> Result<Result<Option<String>, Conflict>, StoreError> {
        let anchors = String::from_utf8_lossy(&documents.ca).into_owned();
        let key_set = documents.tokens.as_ref().and_then(TokenDocuments::public);
        let mut public = vec![(&self.keys.ca, anchors)];
        public.extend(key_set.map(|key_set| (&self.keys.jwks, key_set)));
        let now: BTreeMap<_, _> = public
            .iter()
            .map(|(key, value)| ((*key).clone(), value.clone()))
            .collect();
        let before = std::mem::replace(&mut *self.published.lock(), now);
        let mut config_map = self.call("cannot read", self.config_maps.get(NAME)).await?;
        let data = config_map.data.get_or_insert_with(BTreeMap::new);
        public.retain(|(key, value)| data.get(*key) != Some(value));
        if public.is_empty() {
            return Ok(Ok(None));
        }
        let mut differed = None;
        for (key, value) in public {
            let published = data.insert(key.clone(), value);
            // What the Secret said before it changed is no damage.
            let is_foreign =
                |published: &String| !published.is_empty() && before.get(key) != Some(published);
            if published.as_ref().is_some_and(is_foreign) {
                tracing::warn!(
                    config_map = self.name(),
                    document = key,
                    "what is published differs from the Secret's, repairing it"
                );
                differed = Some(format!(
                    "{key} of ConfigMap {} differed from the Secret's and was made the same",
                    self.name()
                ));
            }
        }
        let parameters = PostParams::default();
        let write = self.config_maps.replace(NAME, &parameters, &config_map);
        Ok(self.update(write).await?.map(|()| differed))
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

/// What people ask for by annotations.
fn orders(secret: &Secret) -> Orders {
    let annotations = secret.metadata.annotations.as_ref();
    let get = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    Orders {
        rotate: get(ROTATE).filter(|value| !value.is_empty()).cloned(),
        paused: get(PAUSED).is_some_and(|value| value == "true"),
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
