//! The hardened profile.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::*;

fn hardened() -> Cluster {
    let mut cluster = testing::cluster();
    cluster.sidecar.profile = Profile::Hardened;
    cluster.sidecar.requests = [("cpu", "50m"), ("memory", "32Mi")]
        .map(|(resource, text)| (resource.to_owned(), Quantity(text.to_owned())))
        .into();
    cluster
}

#[test]
fn the_container_is_restricted_whatever_single_settings_say() {
    let mut cluster = hardened();
    cluster.sidecar.run_as_non_root = false;
    cluster.sidecar.read_only_root_filesystem = false;
    let annotations = json!({
        "dapr.io/sidecar-seccomp-profile-type": "Unconfined", "dapr.io/env": "SSL_CERT_DIR=/certs",
    });
    let context = sidecar_in(&annotations, &cluster).security_context.unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert!(context.windows_options.is_none());
}

#[test]
fn it_comes_before_all_init_containers_and_they_wait_for_it() {
    let mut pod = pod(&json!({}));
    pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "x"}]);
    let patched = patched(&pod, &injected(&pod, &hardened()));
    let init = patched["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(
        (&init[0]["name"], &init[1]["name"]),
        (&json!("daprd"), &json!("migrate"))
    );
    assert_eq!(init[0]["restartPolicy"], "Always");
    assert_eq!(
        init[0]["startupProbe"]["httpGet"]["path"],
        "/v1.0/healthz/outbound"
    );
}

#[test]
fn init_containers_know_the_ports_and_sockets_of_a_sidecar_that_starts_before_them() {
    let init_of = |annotations: Value, cluster: &Cluster| {
        let mut pod = pod(&annotations);
        pod["spec"]["initContainers"] =
            json!([{"name": "migrate", "env": [{"name": "APP_PROTOCOL", "value": "mine"}]}]);
        let patched = decoded(&patched(&pod, &injected(&pod, cluster)));
        let init = patched.spec.unwrap().init_containers.unwrap();
        let mut init = init.into_iter();
        init.find(|container| container.name == "migrate").unwrap()
    };
    let told = json!({"dapr.io/grpc-port": "50005", "dapr.io/unix-domain-socket-path": "/sockets"});
    let init = init_of(told.clone(), &hardened());
    assert_eq!(
        env_of(&init),
        [
            "APP_PROTOCOL=mine",
            "DAPR_HTTP_PORT=3500",
            "DAPR_GRPC_PORT=50005"
        ]
    );
    assert_eq!(init.volume_mounts.unwrap()[0].mount_path, "/sockets");

    let mut native = testing::cluster();
    native.sidecar.native = true;
    for cluster in [testing::cluster(), native] {
        let init = init_of(told.clone(), &cluster);
        assert_eq!(env_of(&init), ["APP_PROTOCOL=mine"], "as upstream");
        assert_eq!(init.volume_mounts, None);
    }
}

#[test]
fn without_native_sidecars_it_is_an_ordinary_container_with_a_warning() {
    let pod = pod(&json!({}));
    let old = Live {
        native_sidecars: false,
        ..live()
    };
    let injection = inject(&decoded(&pod), &hardened(), old).unwrap();
    let sidecar = sidecar_of(&patched(&pod, &injection));
    assert_eq!(
        (sidecar.restart_policy, sidecar.startup_probe),
        (None, None)
    );
    assert!(injection.warnings[0].contains("native sidecars"));
}

#[test]
fn each_resource_that_is_not_annotated_is_requested() {
    let requests = |annotations: Value| {
        let resources = sidecar_in(&annotations, &hardened()).resources.unwrap();
        let requests = resources.requests.unwrap_or_default();
        ["cpu", "memory"].map(|resource| requests.get(resource).map(|text| text.0.clone()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(requests(json!({})), [some("50m"), some("32Mi")]);
    let limit = json!({"dapr.io/sidecar-memory-limit": "16Mi"});
    assert_eq!(requests(limit), [some("50m"), None]);
    let request = json!({"dapr.io/sidecar-cpu-request": "1"});
    assert_eq!(requests(request), [some("1"), some("32Mi")]);
}

#[test]
fn a_pod_chooses_its_profile() {
    let chosen = |profile: &str, cluster: &Cluster| {
        let annotations = json!({"dapr.io/sidecar-profile": profile});
        sidecar_in(&annotations, cluster)
            .security_context
            .unwrap()
            .capabilities
            .is_some()
    };
    assert!(chosen("hardened", &testing::cluster()));
    assert!(!chosen("default", &hardened()));
    assert!(chosen("hard", &hardened()));
    let told = warnings(&json!({"dapr.io/sidecar-profile": "hard"}));
    assert!(told[0].contains("\"hard\" is no profile"), "{told:?}");
}
