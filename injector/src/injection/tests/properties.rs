//! What holds for every pod.

use clap::Parser;
use trilby_sidecar_args::SidecarArgs;

use super::*;

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,6}"
}

fn container() -> impl Strategy<Value = Value> {
    let env = option::of(vec(
        prop_oneof![
            name(),
            select(vec!["DAPR_HTTP_PORT".to_owned(), "APP_PROTOCOL".to_owned()])
        ]
        .prop_map(|name| json!({"name": name, "value": "mine"})),
        0..3,
    ));
    let mounts = option::of(vec(
        name().prop_map(|name| json!({"name": name, "mountPath": format!("/{name}")})),
        0..2,
    ));
    (name(), env, mounts).prop_map(|(name, env, mounts)| {
        let mut container = json!({"name": name, "image": "x", "fieldOfTomorrow": {"a": [1]}});
        if let Some(env) = env {
            container["env"] = json!(env);
        }
        if let Some(mounts) = mounts {
            container["volumeMounts"] = json!(mounts);
        }
        container
    })
}

fn volume() -> impl Strategy<Value = Value> {
    prop_oneof![name(), Just("dapr-identity-token".to_owned())]
        .prop_map(|name| json!({"name": name, "emptyDir": {}}))
}

/// Values that make sense, and values that do not.
fn annotations() -> impl Strategy<Value = Map<String, Value>> {
    let keys = vec![
        "app-port",
        "app-protocol",
        "app-ssl",
        "config",
        "log-level",
        "enable-metrics",
        "env",
        "env-from-secret",
        "unix-domain-socket-path",
        "volume-mounts",
        "sidecar-cpu-limit",
        "enable-native-sidecar",
        "enable-debug",
        "placement-host-address",
        "pluggable-components",
        "enable-app-health-check",
        "max-body-size",
        "graceful-shutdown-seconds",
        "api-token-secret",
    ];
    let value = prop_oneof![
        select(vec![
            "true",
            "",
            "1",
            "/x",
            "a:b",
            "A=1,B=s:k",
            "app",
            "5s",
            "4Mi"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    btree_map(select(keys), value, 0..8).prop_map(|annotations| {
        annotations
            .into_iter()
            .map(|(key, value)| (format!("dapr.io/{key}"), json!(value)))
            .collect()
    })
}

fn pods() -> impl Strategy<Value = Value> {
    let labels = option::of(btree_map(name(), name(), 0..2));
    (
        annotations(),
        labels,
        vec(container(), 0..3),
        option::of(vec(container(), 0..2)),
        option::of(vec(volume(), 0..3)),
    )
        .prop_map(|(annotations, labels, containers, init, volumes)| {
            let mut pod = pod(&Value::Object(annotations));
            pod["spec"] =
                json!({"containers": containers, "hostNetwork": false, "unknown": [null]});
            for (field, value) in [("initContainers", init), ("volumes", volumes)] {
                if let Some(value) = value {
                    pod["spec"][field] = json!(value);
                }
            }
            if let Some(labels) = labels {
                pod["metadata"]["labels"] = json!(labels);
            }
            pod
        })
}

/// Whether everything in `before` is still in `after`, at the same place. Operations only add, and to the ends of lists.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|other| kept(value, other))),
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(a, b)| kept(a, b))
        }
        _ => before == after,
    }
}

fn sidecars(pod: &Value) -> usize {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    lists
        .into_iter()
        .flatten()
        .flatten()
        .filter(|container| container["name"] == "daprd")
        .count()
}

fn has_twice(list: &Value, key: &str) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    let list = list.as_array().into_iter().flatten();
    list.map(|item| item[key].to_string())
        .any(|value| !seen.insert(value))
}

proptest! {
    #[test]
    fn an_injected_pod_has_one_sidecar_and_all_it_had(pod in pods()) {
        let injection = injected(&pod, &testing::cluster());
        let patched = patched(&pod, &injection);
        assert!(kept(&pod, &patched), "{patched:#}");
        assert_eq!(sidecars(&patched), 1);
        decoded(&patched);
        if !has_twice(&pod["spec"]["volumes"], "name") {
            assert!(!has_twice(&patched["spec"]["volumes"], "name"));
        }
    }

    #[test]
    fn a_second_injection_changes_nothing(pod in pods()) {
        let once = patched(&pod, &injected(&pod, &testing::cluster()));
        assert!(injected(&once, &testing::cluster()).operations.is_empty());
    }

    #[test]
    fn the_sidecar_reads_what_it_is_given_unless_a_warning_says_otherwise(pod in pods()) {
        let injection = injected(&pod, &testing::cluster());
        let args = sidecar_of(&patched(&pod, &injection)).args.unwrap();
        let read = SidecarArgs::try_parse_from(&args);
        match read {
            Ok(read) => assert_eq!(read.app.app_id, "checkout"),
            Err(error) => assert!(!injection.warnings.is_empty(), "{error}"),
        }
    }

    #[test]
    fn what_the_sidecar_mounts_is_in_the_pod(pod in pods()) {
        let patched = patched(&pod, &injected(&pod, &testing::cluster()));
        let volumes: Vec<_> = patched["spec"]["volumes"].as_array().into_iter().flatten().collect();
        for mount in sidecar_of(&patched).volume_mounts.unwrap_or_default() {
            assert!(volumes.iter().any(|volume| volume["name"] == mount.name.as_str()), "{}", mount.name);
        }
    }
}
