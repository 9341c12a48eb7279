use serde_json::{Value, from_value, json};

use super::*;
use crate::unserved::selection::named;

/// A pod of a Deployment that asks for a sidecar and has none, changed.
fn pod(change: impl FnOnce(&mut Value)) -> WatchedPod {
    let mut pod = json!({
        "metadata": {
            "name": "cart-1", "generateName": "cart-", "namespace": "shop", "uid": "u",
            "creationTimestamp": "2026-01-02T00:00:00Z",
            "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": "cart"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart", "uid": "r", "controller": true}],
        },
        "spec": {"containers": [{"name": "app", "image": "i", "resources": {}}]},
    });
    change(&mut pod);
    from_value(pod).unwrap()
}

fn registered(namespaces: &Value) -> Selection {
    let configuration = json!({
        "metadata": {"name": "dapr-sidecar-injector", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "webhooks": [{
            "name": "sidecar-injector.dapr.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {}, "namespaceSelector": namespaces,
        }],
    });
    Selection::of(&from_value(configuration).unwrap()).expect("our webhook is in it")
}

fn look_with(selection: Option<&Selection>, pod: &WatchedPod) -> Look {
    let labels = named("shop");
    let refusal = |pod: &Pod| {
        let missing = pod.metadata.name.is_none() && injection::app_id(pod).is_empty();
        missing.then(|| "no app id".to_owned())
    };
    let bench = Bench {
        selection,
        namespace: Some(&labels),
        refusal: &refusal,
    };
    Look::at(pod, &bench)
}

fn look(pod: &WatchedPod) -> Look {
    look_with(Some(&registered(&json!({}))), pod)
}

/// Why it lacks its sidecar, and whether it can be repaired.
fn verdict(look: Look) -> (Reason, bool) {
    match look {
        Look::Lacking(lacking) => (lacking.reason.clone(), lacking.can_be_repaired()),
        other => panic!("it lacks its sidecar, but {other:?}"),
    }
}

#[test]
fn pods_that_ask_for_nothing_opted_out_or_are_over_are_nothing() {
    for pod in [
        pod(|pod| pod["metadata"]["annotations"] = json!({})),
        pod(|pod| pod["metadata"]["annotations"]["dapr.io/enabled"] = "false".into()),
        pod(|pod| pod["metadata"]["annotations"]["dapr.io/enabled"] = "ture".into()),
        pod(|pod| pod["metadata"]["annotations"]["dapr.io/leave-without-sidecar"] = "true".into()),
        pod(|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:00Z".into()),
        pod(|pod| pod["status"] = json!({"phase": "Succeeded"})),
        pod(|pod| pod["status"] = json!({"phase": "Failed"})),
    ] {
        assert_eq!(look(&pod), Look::Nothing, "{pod:?}");
    }
}

#[test]
fn a_sidecar_of_either_kind_is_one() {
    for pod in [
        pod(|pod| pod["spec"]["containers"] = json!([{"name": "app"}, {"name": "daprd"}])),
        pod(|pod| pod["spec"]["initContainers"] = json!([{"name": "daprd"}])),
    ] {
        let served = Look::Served {
            controller: Some("r".into()),
        };
        assert_eq!(look(&pod), served);
    }
}

#[test]
fn the_first_reason_that_is_sure_is_given() {
    let of_nobody = pod(|pod| pod["metadata"]["ownerReferences"] = json!([]));
    let of_job = pod(|pod| {
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = "batch/v1".into();
        pod["metadata"]["ownerReferences"][0]["kind"] = "Job".into();
    });
    let of_workflow = pod(|pod| {
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = "argoproj.io/v1alpha1".into();
        pod["metadata"]["ownerReferences"][0]["kind"] = "Workflow".into();
    });
    let old = pod(|pod| pod["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z".into());
    let nameless = pod(|pod| pod["metadata"]["annotations"] = json!({"dapr.io/enabled": "true"}));
    for (pod, reason, repairable) in [
        (pod(|_| {}), Reason::NoAnswer, true),
        (of_nobody, Reason::Unknown, false),
        (of_job, Reason::NoAnswer, false),
        (of_workflow, Reason::Unknown, false),
        (old, Reason::BeforeInjector, true),
        (nameless, Reason::Refused("no app id".into()), false),
    ] {
        assert_eq!(verdict(look(&pod)), (reason, repairable), "{pod:?}");
    }
}

#[test]
fn what_is_not_registered_or_left_out_is_not_repaired() {
    let lost = pod(|_| {});
    let unregistered = verdict(look_with(None, &lost));
    assert_eq!(unregistered, (Reason::NotRegistered, false));
    let elsewhere = registered(&json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}));
    let left_out = verdict(look_with(Some(&elsewhere), &lost));
    assert_eq!(left_out, (Reason::Excluded(Exclusion::Namespace), false));
}

#[test]
fn a_name_that_was_there_at_admission_is_an_app_id() {
    let of_set = pod(|pod| {
        pod["metadata"]["annotations"] = json!({"dapr.io/enabled": "true"});
        pod["metadata"]["ownerReferences"][0]["kind"] = "StatefulSet".into();
        let metadata = pod["metadata"].as_object_mut().unwrap();
        metadata.remove("generateName");
    });
    assert_eq!(verdict(look(&of_set)), (Reason::NoAnswer, true));
}
