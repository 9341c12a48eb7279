//! What is to be done with a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use trilby_go_syntax::truthy;

/// How the injector calls the container.
const SIDECAR: &str = "daprd";
const ENABLED: &str = "dapr.io/enabled";

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It wants no sidecar, has run its course, or is on its way out.
    NotOurs,
    /// It has one, from whomever.
    HasSidecar,
    /// It has none, and would be gone for good.
    Unowned,
    /// It has none, and a controller.
    WithoutSidecar,
}

pub(super) fn judge(pod: &Pod) -> Judgement {
    let enabled = pod.annotations().get(ENABLED);
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if !enabled.is_some_and(|text| truthy(text))
        || pod.metadata.deletion_timestamp.is_some()
        || matches!(phase, Some("Succeeded" | "Failed"))
    {
        return Judgement::NotOurs;
    }
    let spec = pod.spec.as_ref();
    let native = spec.and_then(|spec| spec.init_containers.as_deref());
    let classic = spec.map(|spec| spec.containers.as_slice());
    let mut containers = native.into_iter().chain(classic).flatten();
    if containers.any(|container| container.name == SIDECAR) {
        return Judgement::HasSidecar;
    }
    let owned = pod
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true));
    if owned {
        Judgement::WithoutSidecar
    } else {
        Judgement::Unowned
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    /// A pod of an application that should have a sidecar, changed.
    fn pod(change: impl FnOnce(&mut Value)) -> Pod {
        let mut pod = json!({
            "metadata": {
                "name": "cart-1", "annotations": {"dapr.io/enabled": "true"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart", "uid": "u", "controller": true}],
            },
            "spec": {"containers": [{"name": "app"}]},
        });
        change(&mut pod);
        from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_that_lacks_its_sidecar_is_made_anew() {
        assert_eq!(judge(&pod(|_| {})), Judgement::WithoutSidecar);
    }

    #[test]
    fn a_pod_that_nobody_would_make_anew_is_left() {
        let bare = pod(|pod| pod["metadata"]["ownerReferences"] = json!([]));
        assert_eq!(judge(&bare), Judgement::Unowned);
    }

    #[test]
    fn a_sidecar_is_one_of_either_kind() {
        let classic =
            pod(|pod| pod["spec"]["containers"] = json!([{"name": "app"}, {"name": "daprd"}]));
        let native = pod(|pod| pod["spec"]["initContainers"] = json!([{"name": "daprd"}]));
        assert_eq!(judge(&classic), Judgement::HasSidecar);
        assert_eq!(judge(&native), Judgement::HasSidecar);
    }

    #[test]
    fn pods_that_want_none_or_are_over_are_not_ours() {
        for over in [
            pod(|pod| pod["metadata"]["annotations"] = json!({"dapr.io/enabled": "false"})),
            pod(|pod| pod["metadata"]["annotations"] = json!({})),
            pod(|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()),
            pod(|pod| pod["status"]["phase"] = "Succeeded".into()),
            pod(|pod| pod["status"]["phase"] = "Failed".into()),
        ] {
            assert_eq!(judge(&over), Judgement::NotOurs);
        }
    }
}
