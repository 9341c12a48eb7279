//! From a pod to the operations that put a sidecar into it. Pure: no client, no clock, no runtime.
//!
//! ```text
//! pod's annotations ─┐
//! Cluster (settings) ├─▶ Sidecar (what to run) ─▶ container, volumes, environment ─▶ operations
//! Live (this moment) ┘
//! ```
//!
//! Only what concerns the sidecar is touched. The operations add, and name places in the pod as it was sent, so that
//! whatever else is in it stays as it is, fields unknown to this program included.

mod advice;
mod annotations;
mod app_containers;
mod app_id;
mod cluster;
mod components;
mod container;
mod environment;
mod operation;
mod probes;
mod profile;
mod resources;
mod security;
mod sidecar;
mod volumes;

pub use app_id::AppIdError;
pub use cluster::{
    Actors, Cluster, PullPolicy, ServiceAddress, ServiceAddressError, SidecarDefaults,
};
pub use components::{Declaration, Declarations};
pub use operation::Operation;
pub use profile::{Profile, ProfileError, Requests};

use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::json;
use trilby_sidecar_args::{annotation, mount};

use annotations::Annotations;
use operation::add;
use sidecar::Sidecar;

/// What can differ from one injection to the next.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// PEM of the trust anchors.
    pub trust_anchors: &'a str,
    /// Whether sidecars talk to each other over mutual TLS.
    pub mtls: bool,
    /// Containers that Components declare.
    pub components: &'a Declarations,
    /// Whether the cluster is known to have native sidecars.
    pub native_sidecars: bool,
}

/// How to put the sidecar in.
#[derive(Debug, Clone, Default)]
pub struct Injection {
    /// In the order in which they must be applied. None where there is nothing to do.
    pub operations: Vec<Operation>,
    /// What the author of the pod should know, a line each.
    pub warnings: Vec<String>,
}

/// Why a pod that asks for a sidecar cannot have one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// See [`AppIdError`].
    #[error(transparent)]
    AppId(#[from] AppIdError),
    /// A port that no container can have.
    #[error("invalid value for the {key} annotation: {value} is not a port (1 to 65535)")]
    Port {
        /// The annotation.
        key: &'static str,
        /// Its value.
        value: i64,
    },
    /// No image to run.
    #[error("value for the {key} annotation is empty", key = annotation::SIDECAR_IMAGE)]
    NoImage,
    /// The pod asks for the containers that Components declare, and those are not known. Without them it would run, and
    /// its components would not.
    #[error("error when fetching components: {0}")]
    Components(String),
}

/// Whether the pod asks for a sidecar. Upstream's gate takes this one word: other words for yes, which hold in all other
/// annotations, ask for nothing here, and [`inject`] is not reached.
#[must_use]
pub fn asks(pod: &Pod) -> bool {
    annotations::value(pod, annotation::ENABLED)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Whether the pod has a sidecar already.
#[must_use]
pub fn has_sidecar(pod: &Pod) -> bool {
    containers(pod).any(|container| container.name == mount::CONTAINER)
}

/// What the pod says its app id is, right or wrong: its annotation, else its name, else nothing.
#[must_use]
pub fn app_id(pod: &Pod) -> &str {
    app_id::declared(pod)
}

/// The operations that put the sidecar in; none where the pod does not ask for one or has it.
///
/// # Errors
/// See [`Refusal`].
pub fn inject(pod: &Pod, cluster: &Cluster, live: Live<'_>) -> Result<Injection, Refusal> {
    if !asks(pod) || has_sidecar(pod) {
        return Ok(Injection::default());
    }
    let app_id = app_id::of(pod)?;
    let mut annotations = Annotations::of(pod);
    let sidecar = Sidecar::read(&mut annotations, (app_id, pod), cluster, live)?;
    let mounts = volumes::sidecar_mounts(pod, &sidecar, &mut annotations);
    let container = container::build(pod, cluster, &sidecar, (live, mounts));
    let mut operations = preparations(pod);
    operations.extend(volumes::additions(pod, cluster, &sidecar));
    operations.extend(app_containers::init_additions(pod, &sidecar));
    operations.extend(placement(pod, &sidecar, json!(container)));
    operations.extend(labels(&sidecar));
    operations.extend(app_containers::additions(pod, &sidecar));
    let mut warnings = annotations.into_warnings();
    warnings.extend(advice::of(pod, &sidecar));
    Ok(Injection {
        operations,
        warnings,
    })
}

/// All containers of the pod, those that come before the others included.
fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let containers = spec.map_or(&[][..], |spec| &spec.containers);
    let init = spec.and_then(|spec| spec.init_containers.as_deref());
    containers.iter().chain(init.unwrap_or_default())
}

/// Empty parents, where later operations need one.
fn preparations(pod: &Pod) -> Vec<Operation> {
    let mut operations = Vec::new();
    if pod.spec.is_none() {
        operations.push(add("/spec", json!({})));
    }
    if pod
        .spec
        .as_ref()
        .is_none_or(|spec| spec.containers.is_empty())
    {
        operations.push(add("/spec/containers", json!([])));
    }
    if pod
        .metadata
        .labels
        .as_ref()
        .is_none_or(|labels| labels.is_empty())
    {
        operations.push(add("/metadata/labels", json!({})));
    }
    operations
}

/// The container itself: last of the containers, or last of the init containers, or before all others.
fn placement(pod: &Pod, sidecar: &Sidecar<'_>, container: serde_json::Value) -> Vec<Operation> {
    if !sidecar.native {
        return vec![add("/spec/containers/-", container)];
    }
    let init = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref());
    let mut operations = Vec::new();
    if init.is_none_or(|init| init.is_empty()) {
        operations.push(add("/spec/initContainers", json!([])));
    }
    let place = if sidecar.is_first() { "0" } else { "-" };
    operations.push(add(format!("/spec/initContainers/{place}"), container));
    operations
}

fn labels(sidecar: &Sidecar<'_>) -> [Operation; 3] {
    let metrics = sidecar.args.observability.enable_metrics.to_string();
    [
        (annotation::LABEL_SIDECAR_INJECTED, "true"),
        (annotation::LABEL_APP_ID, &sidecar.args.app.app_id),
        (annotation::LABEL_METRICS_ENABLED, &metrics),
    ]
    .map(|(label, value)| {
        let path = format!("/metadata/labels/{}", operation::escaped(label));
        add(path, json!(value))
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
