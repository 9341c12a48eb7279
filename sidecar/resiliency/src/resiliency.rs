//! The policies in force, replaced while requests run.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use trilby_crds::ResiliencySpec;

use crate::decode::{InvalidResource, decode};
use crate::observer::Observer;
use crate::policies::{Named, Policies};

/// A Resiliency resource.
#[derive(Debug, Clone, Copy)]
pub struct Manifest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace; empty when it has none.
    pub namespace: &'a str,
    /// What it says.
    pub spec: &'a ResiliencySpec,
}

/// The policies of one sidecar. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resiliency(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policies: ArcSwap<Policies>,
    accepted: Mutex<HashMap<String, Accepted>>,
    observer: Arc<dyn Observer>,
}

/// The version of a resource that is in force.
#[derive(Debug)]
struct Accepted {
    spec: ResiliencySpec,
    named: Named,
}

impl Resiliency {
    /// No policies but the built-in ones.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Shared {
            policies: ArcSwap::from_pointee(Policies::none(Arc::clone(&observer))),
            accepted: Mutex::default(),
            observer,
        }))
    }

    /// The policies now in force. Held for one operation, not across reloads.
    pub fn policies(&self) -> Guard<Arc<Policies>> {
        self.0.policies.load()
    }

    /// Makes these resources, in this order, the ones in force. One that is not valid does not change
    /// anything: its former version stays, if it had one. Operations under way keep their policy; breakers
    /// whose policy is the same keep their state.
    ///
    /// Returns what was refused.
    pub fn replace(&self, manifests: &[Manifest<'_>]) -> Vec<InvalidResource> {
        let mut accepted = self.0.accepted.lock();
        let mut former = std::mem::take(&mut *accepted);
        let mut refused = Vec::new();
        let mut resources = Vec::with_capacity(manifests.len());
        for manifest in manifests {
            let kept = former.remove(manifest.name);
            match self.accept(manifest, kept) {
                (Some(version), error) => {
                    resources.push(version.named.clone());
                    accepted.insert(manifest.name.to_owned(), version);
                    refused.extend(error);
                }
                (None, error) => refused.extend(error),
            }
        }
        let (policies, dangling) = Policies::merge(&resources, &self.policies());
        for reference in &dangling {
            tracing::warn!(
                target = %reference.target,
                kind = reference.kind,
                policy = %reference.policy,
                "resiliency target names a policy that is not defined; it has none"
            );
        }
        self.0.policies.store(Arc::new(policies));
        refused
    }

    /// The version of a resource to use, and why it is not the new one.
    fn accept(
        &self,
        manifest: &Manifest<'_>,
        kept: Option<Accepted>,
    ) -> (Option<Accepted>, Option<InvalidResource>) {
        if kept
            .as_ref()
            .is_some_and(|kept| kept.spec == *manifest.spec)
        {
            return (kept, None);
        }
        let decoded = match decode(manifest.name, manifest.spec) {
            Ok(decoded) => decoded,
            Err(error) => {
                let in_force = kept.is_some();
                tracing::error!(
                    former_version_stays = in_force,
                    "Could not read resiliency policy {}: {error}",
                    manifest.name
                );
                return (kept, Some(error));
            }
        };
        for remark in &decoded.remarks {
            tracing::warn!(resiliency = manifest.name, field = %remark.field, "{}", remark.reason);
        }
        tracing::info!(resiliency = manifest.name, "resiliency policies loaded");
        self.0.observer.loaded(manifest.name, manifest.namespace);
        let named = Named {
            name: manifest.name.into(),
            namespace: manifest.namespace.into(),
            definition: Arc::new(decoded.definition),
        };
        let spec = manifest.spec.clone();
        (Some(Accepted { spec, named }), None)
    }
}

#[cfg(test)]
mod tests;
