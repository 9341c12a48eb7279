//! What holds for every pod, in every installation: hardened or not, with native sidecars or without, with containers that
//! Components declare.

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
        "inject-pluggable-components",
        "sidecar-memory-request",
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

/// Where pods are injected.
#[derive(Debug)]
struct Installation {
    cluster: Cluster,
    components: Declarations,
    native_sidecars: bool,
}

impl Installation {
    fn inject(&self, pod: &Value) -> Injection {
        let live = Live {
            components: &self.components,
            native_sidecars: self.native_sidecars,
            ..live()
        };
        inject(&decoded(pod), &self.cluster, live).unwrap()
    }

    fn is_hardened(&self) -> bool {
        self.cluster.sidecar.profile == Profile::Hardened
    }
}

/// What a Component declares: a container, or something else.
fn declared() -> impl Strategy<Value = String> {
    let container =
        (option::of(name()), container(), 0..2_u8).prop_map(|(name, mut container, image)| {
            container["name"] = json!(name);
            container["image"] = json!(format!("component:{image}"));
            container.to_string()
        });
    prop_oneof![3 => container, 1 => any::<String>()]
}

fn installations() -> impl Strategy<Value = Installation> {
    let components = btree_map(name(), declared(), 0..3);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (components, flags).prop_map(|(declared, (hardened, native, native_sidecars, root))| {
        let mut cluster = testing::cluster();
        cluster.sidecar.native = native;
        cluster.sidecar.run_as_non_root = !root;
        if hardened {
            cluster.sidecar.profile = Profile::Hardened;
        }
        let mut components = Declarations::default();
        for (name, container) in declared {
            let declaration = Declaration::read(&container, Vec::new());
            components.set(("shop", &name), Some(declaration));
        }
        Installation {
            cluster,
            components,
            native_sidecars,
        }
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

/// The pod without its sidecar, which may stand before the pod's own init containers.
fn without_sidecar(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for list in LISTS {
        if let Some(containers) = pod["spec"][list].as_array_mut() {
            containers.retain(|container| container["name"] != "daprd");
        }
    }
    pod
}

const LISTS: [&str; 2] = ["containers", "initContainers"];

fn list<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["spec"][list].as_array().into_iter().flatten()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    LISTS.into_iter().flat_map(|name| list(pod, name))
}

fn has_twice<'a>(mut items: impl Iterator<Item = &'a Value>, key: &str) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    items.any(|item| !seen.insert(item[key].to_string()))
}

/// The rules of Kubernetes that an injection could break, as far as the pod keeps them itself.
fn is_valid(before: &Value, after: &Value) {
    decoded(after);
    if !has_twice(list(before, "volumes"), "name") {
        assert!(!has_twice(list(after, "volumes"), "name"), "{after:#}");
    }
    if !has_twice(containers(before), "name") {
        assert!(!has_twice(containers(after), "name"), "{after:#}");
    }
    let own: Vec<_> = containers(before)
        .map(|container| &container["name"])
        .collect();
    let added = containers(after).filter(|container| !own.contains(&&container["name"]));
    for mount in added
        .flat_map(|container| container["volumeMounts"].as_array())
        .flatten()
    {
        let there = list(after, "volumes").any(|volume| volume["name"] == mount["name"]);
        assert!(there, "{mount} has no volume in {after:#}");
    }
}

fn has_variable(container: &Value, name: &str) -> bool {
    let variables = container["env"].as_array().into_iter().flatten();
    variables
        .into_iter()
        .any(|variable| variable["name"] == name)
}

proptest! {
    #[test]
    fn an_injected_pod_is_valid_and_has_one_sidecar_and_all_it_had(pod in pods(), at in installations()) {
        let patched = patched(&pod, &at.inject(&pod));
        assert!(kept(&pod, &without_sidecar(&patched)), "{patched:#}");
        assert_eq!(containers(&patched).filter(|container| container["name"] == "daprd").count(), 1);
        is_valid(&pod, &patched);
    }

    #[test]
    fn a_second_injection_changes_nothing(pod in pods(), at in installations()) {
        let once = patched(&pod, &at.inject(&pod));
        assert!(at.inject(&once).operations.is_empty());
    }

    #[test]
    fn the_sidecar_reads_what_it_is_given_unless_a_warning_says_otherwise(pod in pods(), at in installations()) {
        let injection = at.inject(&pod);
        let args = sidecar_of(&patched(&pod, &injection)).args.unwrap();
        let read = SidecarArgs::try_parse_from(&args);
        match read {
            Ok(read) => assert_eq!(read.app.app_id, "checkout"),
            Err(error) => assert!(!injection.warnings.is_empty(), "{error}"),
        }
    }

    #[test]
    fn a_hardened_sidecar_is_restricted(pod in pods(), at in installations()) {
        let sidecar = sidecar_of(&patched(&pod, &at.inject(&pod)));
        let context = sidecar.security_context.unwrap();
        let restricted = context.run_as_non_root == Some(true)
            && context.allow_privilege_escalation == Some(false)
            && context.capabilities.is_some_and(|capabilities| capabilities.drop == Some(vec!["ALL".to_owned()]))
            && context.seccomp_profile.is_some_and(|profile| profile.type_ == "RuntimeDefault");
        assert_eq!(restricted, at.is_hardened());
    }

    #[test]
    fn a_sidecar_that_comes_first_is_known_to_all_that_come_after_it(pod in pods(), at in installations()) {
        let patched = patched(&pod, &at.inject(&pod));
        let first = list(&patched, "initContainers").next().is_some_and(|first| first["name"] == "daprd");
        let own = |name: &str| list(&pod, name).count();
        // The pod's own containers keep their order, behind it.
        let apps = list(&patched, "containers").filter(|container| container["name"] != "daprd").take(own("containers"));
        let after_it = list(&patched, "initContainers").skip(1).filter(|_| first && at.is_hardened());
        for container in apps.chain(after_it) {
            let component = has_variable(container, "DAPR_COMPONENT_SOCKETS_FOLDER");
            assert!(component || has_variable(container, "DAPR_HTTP_PORT"), "{container:#}");
        }
    }
}
