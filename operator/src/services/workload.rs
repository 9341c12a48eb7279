//! Deployments, StatefulSets, DaemonSets, Jobs and Argo Rollouts, narrowed to what a Service is made from.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use trilby_go_syntax::truthy;

use crate::resource::Key;

/// The kinds of workload that get a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WorkloadKind {
    Deployment,
    StatefulSet,
    /// On request.
    DaemonSet,
    /// On request, until it ends.
    Job,
    /// Of Argo Rollouts, where that is installed.
    Rollout,
}

/// Names one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WorkloadKey {
    pub kind: WorkloadKind,
    pub key: Key,
}

/// A Dapr-enabled workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub key: WorkloadKey,
    pub uid: Arc<str>,
    pub selector: BTreeMap<String, String>,
    /// The pod template's `dapr.io/` annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A workload as it is decoded: everything else in it, its pod spec first of all, is skipped by the decoder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkloadDocument {
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    selector: Selector,
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: TemplateMetadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    annotations: BTreeMap<String, String>,
}

/// Of a Job: how it fares. Other kinds have conditions of other types.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

const ENABLED: &str = "dapr.io/enabled";
/// On the pod template of a DaemonSet or Job: it is to have a Service, too.
const ON_REQUEST: &str = "dapr.io/create-service";

impl WorkloadKind {
    pub(super) const ALL: &'static [Self] = &[
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::Rollout,
    ];
    /// Those that every cluster has.
    pub(super) const OF_KUBERNETES: &'static [Self] = Self::ALL.split_at(4).0;

    /// The kind of this name, if it is one of these.
    pub(super) fn named(api_version: &str, kind: &str) -> Option<Self> {
        let is = |it: &&Self| it.name() == kind && it.resource().api_version == api_version;
        Self::ALL.iter().find(is).copied()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::Rollout => "Rollout",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::Job => "jobs",
            Self::Rollout => "rollouts",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let (group, version) = match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => ("apps", "v1"),
            Self::Job => ("batch", "v1"),
            Self::Rollout => ("argoproj.io", "v1alpha1"),
        };
        let gvk = GroupVersionKind::gvk(group, version, self.name());
        ApiResource::from_gvk_with_plural(&gvk, self.plural())
    }
}

impl WorkloadDocument {
    pub(super) fn key(&self, kind: WorkloadKind) -> WorkloadKey {
        WorkloadKey {
            kind,
            key: Key {
                namespace: self
                    .metadata
                    .namespace
                    .as_deref()
                    .unwrap_or_default()
                    .into(),
                name: self.metadata.name.as_deref().unwrap_or_default().into(),
            },
        }
    }

    /// The workload, if it is to have a Service: Dapr-enabled, neither ended nor being deleted, and of a kind that always has
    /// one or asks for it.
    pub(super) fn into_enabled(self, kind: WorkloadKind) -> Option<Workload> {
        let key = self.key(kind);
        let mut annotations = self.spec.template.metadata.annotations;
        let says = |name| annotations.get(name).is_some_and(|value| truthy(value));
        let wanted = match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::Rollout => true,
            WorkloadKind::DaemonSet => says(ON_REQUEST),
            WorkloadKind::Job => says(ON_REQUEST) && !self.status.has_ended(),
        };
        if !wanted || !says(ENABLED) || self.metadata.deletion_timestamp.is_some() {
            return None;
        }
        annotations.retain(|name, _| name.starts_with("dapr.io/"));
        Some(Workload {
            key,
            uid: self.metadata.uid?.into(),
            selector: self.spec.selector.match_labels,
            annotations,
        })
    }
}

impl Status {
    fn has_ended(&self) -> bool {
        let ended = |it: &Condition| {
            matches!(it.type_.as_str(), "Complete" | "Failed") && it.status == "True"
        };
        self.conditions.iter().any(ended)
    }
}

impl Workload {
    /// How Events name it.
    pub(super) fn reference(&self) -> ObjectReference {
        let WorkloadKey { kind, key } = &self.key;
        ObjectReference {
            api_version: Some(kind.resource().api_version),
            kind: Some(kind.name().to_owned()),
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            uid: Some(self.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}

impl kube::Resource for WorkloadDocument {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl std::fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}
