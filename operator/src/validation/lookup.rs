//! Finds out about other objects: single requests, bounded in time. What fails stays unknown.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;
use trilby_crds::{Component, Resiliency};

use super::{
    component::actor_store,
    facts::{Facts, Policies, Questions},
};
use crate::cluster::reason;

/// One request. The API server waits for 3 s for the whole answer.
const TIME: Duration = Duration::from_secs(1);
/// Requests that are under way at once.
const CONCURRENT: usize = 8;
/// Objects of a namespace that are looked at.
const MOST_LISTED: u32 = 500;

pub(super) struct Lookup<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace }
    }

    /// All at once: an answer takes as long as the slowest request.
    ///
    /// # Cancel safety
    /// Dropping the future gives up; nothing is held.
    pub(super) async fn answer(&self, questions: Questions) -> Facts {
        let secrets = self.each(questions.secrets, keys);
        let components = self.each(questions.components, |component: Component| {
            component.spec.type_
        });
        let actor_stores = async {
            match questions.actor_stores {
                true => self.list::<Component>().await.unwrap_or_default(),
                false => Vec::new(),
            }
        };
        let policies = async {
            match questions.policies {
                true => self.list::<Resiliency>().await,
                false => None,
            }
        };
        let (secrets, components, actor_stores, resiliencies) =
            tokio::join!(secrets, components, actor_stores, policies);
        Facts {
            secrets,
            components,
            actor_stores: actor_stores.iter().filter_map(actor_store).collect(),
            policies: resiliencies.map(|all| {
                let mut policies = Policies::default();
                all.iter().for_each(|one| policies.learn(&one.spec));
                policies
            }),
        }
    }

    /// What `read` takes of each object that there is.
    async fn each<K, T>(
        &self,
        names: BTreeSet<String>,
        read: impl Fn(K) -> T,
    ) -> std::collections::BTreeMap<String, Option<T>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let requests = stream::iter(names).map(|name| {
            let api = api.clone();
            async move {
                let found = known(&name, timeout(TIME, api.get_opt(&name)).await)?;
                Some((name, found))
            }
        });
        let found = requests
            .buffer_unordered(CONCURRENT)
            .filter_map(std::future::ready);
        found
            .map(|(name, found)| (name, found.map(&read)))
            .collect()
            .await
    }

    async fn list<K>(&self) -> Option<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let page = ListParams::default().limit(MOST_LISTED);
        let listed = known(&K::plural(&()), timeout(TIME, api.list(&page)).await)?;
        // Half of what there is would be half of the truth.
        listed
            .metadata
            .continue_
            .is_none_or(|token| token.is_empty())
            .then_some(listed.items)
    }
}

fn keys(secret: Secret) -> BTreeSet<String> {
    secret.data.unwrap_or_default().into_keys().collect()
}

fn known<T>(what: &str, answer: Result<kube::Result<T>, tokio::time::error::Elapsed>) -> Option<T> {
    match answer {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            debug!(
                what,
                reason = reason(&error),
                "cannot look at an object for a review"
            );
            None
        }
        Err(_elapsed) => {
            debug!(what, "no answer in time for a review");
            None
        }
    }
}
