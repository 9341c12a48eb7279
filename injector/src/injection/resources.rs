//! CPU and memory of the sidecar.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity as Text,
};
use trilby_sidecar_args::{Quantity, annotation};

use super::{Cluster, Profile, annotations::Annotations};

const CPU: &str = "cpu";
const MEMORY: &str = "memory";

/// What the annotations ask for. A hardened sidecar requests the installation's share of each resource that they say
/// nothing of.
pub(super) fn read(
    annotations: &mut Annotations<'_>,
    profile: Profile,
    cluster: &Cluster,
) -> ResourceRequirements {
    let mut resources = annotated(annotations);
    if profile == Profile::Hardened {
        let limits = resources.limits.clone().unwrap_or_default();
        let requests = resources.requests.get_or_insert_default();
        for (resource, request) in &cluster.sidecar.requests {
            // Kubernetes takes a limit for the request as well.
            if !limits.contains_key(resource) && !requests.contains_key(resource) {
                requests.insert(resource.clone(), request.clone());
            }
        }
    }
    resources
}

/// One that cannot be read voids all of them, with a warning: half of a set of limits
/// may be worse than none.
fn annotated(annotations: &mut Annotations<'_>) -> ResourceRequirements {
    let requests = [
        (CPU, annotation::SIDECAR_CPU_REQUEST),
        (MEMORY, annotation::SIDECAR_MEMORY_REQUEST),
    ];
    let limits = [
        (CPU, annotation::SIDECAR_CPU_LIMIT),
        (MEMORY, annotation::SIDECAR_MEMORY_LIMIT),
    ];
    let (Some(requests), Some(limits)) = (set(annotations, requests), set(annotations, limits))
    else {
        return ResourceRequirements::default();
    };
    ResourceRequirements {
        requests: (!requests.is_empty()).then_some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    }
}

fn set(
    annotations: &mut Annotations<'_>,
    keys: [(&str, &str); 2],
) -> Option<BTreeMap<String, Text>> {
    let mut set = BTreeMap::new();
    for (resource, key) in keys {
        let Some(text) = annotations.filled(key) else {
            continue;
        };
        if let Err(reason) = text.parse::<Quantity>() {
            let reason = format_args!("{reason}; no request or limit is set on the sidecar");
            annotations.warn(key, reason);
            return None;
        }
        set.insert(resource.to_owned(), Text(text.to_owned()));
    }
    Some(set)
}
