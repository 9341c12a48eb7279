//! From watch events and secrets to views. No I/O, no await, no clock.
//!
//! A resource is published once every secret it refers to was asked for: a sidecar is not told of a Component
//! without its password first and with it a moment later. A secret that cannot be read keeps its last value, or has
//! none; either way its resource is published.

mod feed;
mod secrets;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use kube::runtime::watcher::Event;
use tracing::{debug, info, warn};

pub(crate) use feed::Feed;
pub(crate) use secrets::{Fetched, SecretId};

use crate::{
    metrics::Metrics,
    reports::{Acceptance, Id, Known, Reports},
    resource::{Document, Key, Kind, Resource, SecretRef},
    store::secrets::SecretCache,
    view::{Published, Views},
};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// Every resource of every kind, and the secrets they refer to.
pub(crate) struct Store {
    kinds: HashMap<Kind, Index>,
    secrets: SecretCache,
    metrics: Metrics,
    reports: Reports,
}

/// The resources of one kind.
struct Index {
    resources: HashMap<Key, Resource>,
    /// During a relist: what was listed so far. What is missing in the end is gone.
    listed: Option<HashSet<Key>>,
    synced: bool,
    views: Views,
}

impl Store {
    pub(crate) fn new(views: impl Fn(Kind) -> Views, metrics: Metrics, reports: Reports) -> Self {
        let index = |kind| {
            let index = Index {
                resources: HashMap::new(),
                listed: None,
                synced: false,
                views: views(kind),
            };
            (kind, index)
        };
        Self {
            kinds: Kind::ALL.map(index).into(),
            secrets: SecretCache::default(),
            metrics,
            reports,
        }
    }

    /// Folds one watch event. Returns the secrets to read now.
    pub(crate) fn observe(&mut self, kind: Kind, event: Event<Document>) -> Vec<SecretId> {
        match event {
            Event::Init => self.index(kind).listed = Some(HashSet::new()),
            Event::InitApply(document) => {
                if let Some(listed) = &mut self.index(kind).listed {
                    listed.insert(document.key());
                }
                return self.apply(kind, document);
            }
            Event::InitDone => self.finish_relist(kind),
            Event::Apply(document) => return self.apply(kind, document),
            Event::Delete(document) => self.remove(kind, &document.key()),
        }
        Vec::new()
    }

    /// Folds the outcome of reading a secret. Returns whether it is still referred to, so worth reading again.
    pub(crate) fn fetched(&mut self, secret: &SecretId, outcome: Fetched) -> bool {
        let users = self.secrets.settle(secret, outcome);
        for id in &users {
            self.publish(id);
            self.reports.accept(id, self.acceptance(id));
        }
        let unresolved = i64::try_from(self.secrets.unresolved()).unwrap_or(i64::MAX);
        self.metrics.unresolved_secrets.set(unresolved);
        !users.is_empty()
    }

    /// Whether every kind was listed once and every secret they refer to was asked for.
    pub(crate) fn is_synced(&self) -> bool {
        self.kinds.values().all(|index| index.synced) && !self.secrets.is_loading()
    }

    /// The keys of a secret that resources refer to.
    pub(crate) fn wanted_keys(&self, secret: &SecretId) -> HashSet<Box<str>> {
        self.secrets
            .users(secret)
            .filter_map(|(kind, key)| self.kinds.get(kind)?.resources.get(key))
            .flat_map(|resource| &resource.secrets)
            .filter(|reference| reference.secret == secret.name)
            .map(|reference| reference.key.clone())
            .collect()
    }

    fn apply(&mut self, kind: Kind, document: Document) -> Vec<SecretId> {
        let key = document.key();
        let id = (kind, key.clone());
        let (version, status) = (document.version(), document.status());
        let resource = match Resource::decode(kind, document) {
            Ok(resource) => resource,
            Err(error) => {
                // What was there before stays in service: it did no harm.
                warn!(kind = kind.name(), resource = %key, %error, "skipping an object that cannot be decoded");
                self.metrics.undecodable(kind);
                let known = Known {
                    version,
                    scopes: Box::default(),
                    acceptance: Acceptance::Undecodable(error.to_string()),
                    status,
                };
                self.reports.know(&id, known);
                return Vec::new();
            }
        };
        let known = Known {
            version,
            scopes: resource.scopes.clone(),
            acceptance: Acceptance::Unknown,
            status,
        };
        let to_read = self.keep(&id, resource);
        let acceptance = self.acceptance(&id);
        self.reports.know(
            &id,
            Known {
                acceptance,
                ..known
            },
        );
        to_read
    }

    /// Keeps a resource that may have changed. Returns the secrets to read now.
    fn keep(&mut self, id: &Id, resource: Resource) -> Vec<SecretId> {
        let (kind, key) = id;
        let old = self.index(*kind).resources.get(key);
        if old.is_some_and(|old| old.same(&resource)) {
            return Vec::new();
        }
        debug!(kind = kind.name(), resource = %key, "resource changed");
        let secrets = resource.secrets.iter().map(|r| secret_id(key, r)).collect();
        // Read again even if known: whoever changes both wants both to count.
        let to_read = self.secrets.refer(id, secrets);
        self.index(*kind).resources.insert(key.clone(), resource);
        self.publish(id);
        to_read
    }

    /// Whether a resource that decodes can be served.
    fn acceptance(&self, (kind, key): &Id) -> Acceptance {
        let resource = self
            .kinds
            .get(kind)
            .and_then(|index| index.resources.get(key));
        let references = resource.into_iter().flat_map(|resource| &resource.secrets);
        let mut acceptance = Acceptance::Accepted;
        for id in references.map(|reference| secret_id(key, reference)) {
            if let Some(reason) = self.secrets.problem(&id) {
                return Acceptance::SecretUnreadable(reason.to_owned());
            }
            if self.secrets.is_loading_one(&id) {
                acceptance = Acceptance::Unknown;
            }
        }
        acceptance
    }

    fn remove(&mut self, kind: Kind, key: &Key) {
        self.reports.forget(&(kind, key.clone()));
        let index = self.index(kind);
        if index.resources.remove(key).is_some() {
            debug!(kind = kind.name(), resource = %key, "resource deleted");
            index.views.publish(&key.namespace, &key.name, None);
            self.secrets.refer(&(kind, key.clone()), HashSet::new());
        }
    }

    fn finish_relist(&mut self, kind: Kind) {
        let index = self.index(kind);
        let listed = index.listed.take().unwrap_or_default();
        let gone: Vec<Key> = index
            .resources
            .keys()
            .filter(|key| !listed.contains(key))
            .cloned()
            .collect();
        if !std::mem::replace(&mut index.synced, true) {
            info!(kind = kind.name(), count = listed.len(), "resources listed");
        }
        for key in gone {
            self.remove(kind, &key);
        }
        // Also those that never decoded.
        self.reports.retain(kind, &listed);
    }

    /// Publishes a resource unless it waits for a secret.
    fn publish(&mut self, (kind, key): &Id) {
        let Some(index) = self.kinds.get(kind) else {
            return;
        };
        let Some(resource) = index.resources.get(key) else {
            return;
        };
        let mut ids = resource.secrets.iter().map(|r| secret_id(key, r));
        if ids.any(|id| self.secrets.is_loading_one(&id)) {
            return;
        }
        let json = resource.render(&|reference| {
            self.secrets
                .value(&secret_id(key, reference), &reference.key)
        });
        let mut published = Published::new(&json, resource.scopes.clone());
        if let Some(event) = resource.event(&json) {
            published.encoded = published.encoded.told_as(&event);
        }
        index
            .views
            .publish(&key.namespace, &key.name, Some(published));
    }

    fn index(&mut self, kind: Kind) -> &mut Index {
        self.kinds
            .get_mut(&kind)
            .expect("every kind has an index from the start")
    }
}

fn secret_id(resource: &Key, reference: &SecretRef) -> SecretId {
    SecretId {
        namespace: Arc::clone(&resource.namespace),
        name: Arc::clone(&reference.secret),
    }
}
