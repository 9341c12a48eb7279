//! A pod as it is decoded from the watch: everything that does not tell whether it lacks its sidecar is skipped.

use std::borrow::Cow;

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Container, Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde::Deserialize;
use trilby_sidecar_args::annotation;

/// See the module.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchedPod {
    pub(super) metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<Named>,
    init_containers: Vec<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

impl WatchedPod {
    /// Whether it says anything about a sidecar: all others are of no interest.
    pub(super) fn is_annotated(&self) -> bool {
        self.annotation(annotation::ENABLED).is_some()
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    /// Whether it is over, or about to be.
    pub(super) fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
            || matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// What made it, and would make it anew.
    pub(super) fn controller(&self) -> Option<&OwnerReference> {
        let owners = self.metadata.owner_references.as_deref()?;
        owners.iter().find(|owner| owner.controller == Some(true))
    }

    /// The pod as it came to the injector, as far as it is known: one whose name was generated had none then.
    pub(super) fn at_admission(&self) -> Pod {
        let generated = self.metadata.generate_name.is_some();
        let containers = |named: &[Named]| named.iter().map(Named::container).collect::<Vec<_>>();
        Pod {
            metadata: ObjectMeta {
                name: self.metadata.name.clone().filter(|_| !generated),
                generate_name: self.metadata.generate_name.clone(),
                namespace: self.metadata.namespace.clone(),
                annotations: self.metadata.annotations.clone(),
                labels: self.metadata.labels.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                containers: containers(&self.spec.containers),
                init_containers: Some(containers(&self.spec.init_containers)),
                ..PodSpec::default()
            }),
            status: None,
        }
    }
}

impl Named {
    fn container(&self) -> Container {
        Container {
            name: self.name.clone(),
            ..Container::default()
        }
    }
}

impl kube::Resource for WatchedPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
