use std::{env, fs, path::Path, sync::LazyLock};

use k8s_openapi::api::core::v1::{Container, Pod, Toleration};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    sample::select,
};
use serde_json::{Map, Value, from_value, json, to_value};

use super::{
    Actors, Cluster, Declaration, Declarations, Injection, Live, Profile, Refusal, ServiceAddress,
    inject, testing,
};

mod components;
mod container;
mod golden;
mod hardened;
mod properties;

static NO_COMPONENTS: LazyLock<Declarations> = LazyLock::new(Declarations::default);

fn live() -> Live<'static> {
    Live {
        namespace: "shop",
        trust_anchors: "PEM",
        mtls: true,
        components: &NO_COMPONENTS,
        native_sidecars: true,
    }
}

fn decoded(pod: &Value) -> Pod {
    from_value(pod.clone()).unwrap()
}

fn injected(pod: &Value, cluster: &Cluster) -> Injection {
    inject(&decoded(pod), cluster, live()).unwrap()
}

fn patched(pod: &Value, injection: &Injection) -> Value {
    let patch: json_patch::Patch = from_value(to_value(&injection.operations).unwrap()).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

/// A pod with one container and these annotations beside those that every injected pod needs.
fn pod(annotations: &Value) -> Value {
    let mut all = json!({"dapr.io/enabled": "true", "dapr.io/app-id": "checkout"});
    let all_map = all.as_object_mut().unwrap();
    all_map.extend(annotations.as_object().cloned().unwrap_or_default());
    json!({
        "metadata": {"annotations": all},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
}

fn sidecar_of(pod: &Value) -> Container {
    let pod = decoded(pod);
    let spec = pod.spec.unwrap();
    let init = spec.init_containers.unwrap_or_default();
    spec.containers
        .into_iter()
        .chain(init)
        .find(|container| container.name == "daprd")
        .expect("the pod has a sidecar")
}

fn sidecar_in(annotations: &Value, cluster: &Cluster) -> Container {
    let pod = pod(annotations);
    sidecar_of(&patched(&pod, &injected(&pod, cluster)))
}

fn sidecar(annotations: &Value) -> Container {
    sidecar_in(annotations, &testing::cluster())
}

fn args(annotations: &Value) -> String {
    sidecar(annotations).args.unwrap().join(" ")
}

fn warnings(annotations: &Value) -> Vec<String> {
    injected(&pod(annotations), &testing::cluster()).warnings
}

fn refusal(annotations: &Value) -> Refusal {
    inject(&decoded(&pod(annotations)), &testing::cluster(), live()).unwrap_err()
}

fn env_of(container: &Container) -> Vec<String> {
    let env = container.env.as_deref().unwrap_or_default();
    env.iter()
        .map(|variable| {
            let value = variable.value.clone().unwrap_or_default();
            format!("{}={value}", variable.name)
        })
        .collect()
}

#[test]
fn a_pod_with_a_sidecar_is_left_alone() {
    for spec in [
        json!({"containers": [{"name": "daprd"}]}),
        json!({"containers": [{"name": "app"}], "initContainers": [{"name": "daprd"}]}),
    ] {
        let mut pod = pod(&json!({}));
        pod["spec"] = spec;
        assert!(injected(&pod, &testing::cluster()).operations.is_empty());
    }
}

#[test]
fn the_pods_name_stands_in_for_the_app_id() {
    let mut pod = pod(&json!({}));
    pod["metadata"]["name"] = json!("solo");
    let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("dapr.io/app-id");
    let patched = patched(&pod, &injected(&pod, &testing::cluster()));
    assert_eq!(patched["metadata"]["labels"]["dapr.io/app-id"], "solo");
}

#[test]
fn placement_follows_the_installation_unless_annotated() {
    let cluster = testing::cluster();
    let with = |actors: Actors, annotations: Value| {
        let cluster = Cluster {
            actors,
            ..cluster.clone()
        };
        sidecar_in(&annotations, &cluster).args.unwrap().join(" ")
    };
    let placement = || Actors::Placement(ServiceAddress::new("p", 1));
    let other = || Actors::Service {
        name: "other".to_owned(),
        address: ServiceAddress::new("o", 2),
    };
    let blank = json!({"dapr.io/placement-host-address": "\"\""});
    let own = json!({"dapr.io/placement-host-address": "'mine:1,yours:2'"});

    let args = with(placement(), json!({}));
    assert!(
        args.contains("--placement-host-address p.dapr-system.svc.cluster.local:1 "),
        "{args}"
    );
    assert!(
        with(other(), json!({}))
            .contains("--actors-service other:o.dapr-system.svc.cluster.local:2")
    );
    assert!(with(Actors::Off, own).contains("--placement-host-address mine:1,yours:2"));
    for args in [with(Actors::Off, json!({})), with(placement(), blank)] {
        assert!(!args.contains("--placement-host-address") && !args.contains("--actors-service"));
    }
}

#[test]
fn the_scheduler_is_told_when_it_is_there_or_annotated() {
    let cluster = Cluster {
        scheduler: true,
        ..testing::cluster()
    };
    let told = sidecar_in(&json!({}), &cluster).args.unwrap().join(" ");
    let address = "dapr-scheduler-server-a.dapr-system.svc.cluster.local:443";
    assert!(
        told.ends_with(&format!("--scheduler-host-address {address}")),
        "{told}"
    );
    let off = sidecar_in(&json!({"dapr.io/scheduler-host-address": "\"\""}), &cluster)
        .args
        .unwrap();
    assert_eq!(off[off.len() - 2..], ["--scheduler-host-address", ""]);
    assert!(!args(&json!({})).contains("--scheduler-host-address"));
}

#[test]
fn mtls_is_a_switch() {
    let pod = pod(&json!({}));
    for (mtls, count) in [(true, 1), (false, 0)] {
        let live = Live { mtls, ..live() };
        let injection = inject(&decoded(&pod), &testing::cluster(), live).unwrap();
        let args = sidecar_of(&patched(&pod, &injection)).args.unwrap();
        assert_eq!(
            args.iter().filter(|arg| *arg == "--enable-mtls").count(),
            count
        );
    }
}

#[test]
fn metrics_off_is_said_to_the_sidecar_only_if_it_is_hardened() {
    let off = args(&json!({"dapr.io/enable-metrics": "no"}));
    assert!(!off.contains("--enable-metrics") && !off.contains("--metrics-port"));
    let off = args(&json!({"dapr.io/enable-metrics": "no", "dapr.io/sidecar-profile": "hardened"}));
    assert!(off.contains("--enable-metrics=false"));
}

#[test]
fn unknown_annotations_are_told_with_the_nearest_known_name() {
    let unknown = json!({"dapr.io/app-prot": "1", "dapr.io/http-stream-request-body": "true", "other/app-prot": ""});
    assert_eq!(
        warnings(&unknown),
        [
            "dapr.io/app-prot: no such annotation, did you mean dapr.io/app-port?; ignored",
            "dapr.io/http-stream-request-body: no such annotation; ignored",
        ]
    );
}

#[test]
fn ports_that_two_want_are_told() {
    let mut pod = pod(&json!({"dapr.io/app-port": "3500", "dapr.io/metrics-port": "50001"}));
    pod["spec"]["containers"][0]["ports"] =
        json!([{"containerPort": 50002}, {"containerPort": 3501, "protocol": "UDP"}]);
    pod["spec"]["hostNetwork"] = json!(true);
    assert_eq!(
        injected(&pod, &testing::cluster()).warnings,
        [
            "port 3500 is the app (dapr.io/app-port)'s and the sidecar's HTTP port: one of them cannot listen",
            "port 50002 is container \"app\"'s and the sidecar's internal gRPC port: one of them cannot listen",
            "port 50001 is the sidecar's gRPC port and its metrics port: it cannot listen on both",
            "hostNetwork: the sidecar takes the ports 3500, 3501, 50001, 50002, 50001 of the node, so no other such pod runs there",
        ]
    );
}

#[test]
fn values_that_kubernetes_refuses_are_told() {
    let bad = json!({
        "dapr.io/sidecar-seccomp-profile-type": "Localhost",
        "dapr.io/sidecar-readiness-probe-period-seconds": "-1",
    });
    assert_eq!(
        warnings(&bad),
        [
            "dapr.io/sidecar-readiness-probe-period-seconds: -1 is below 0, which Kubernetes refuses",
            "dapr.io/sidecar-seccomp-profile-type: Kubernetes refuses \"Localhost\": RuntimeDefault or Unconfined",
        ]
    );
}

#[test]
fn a_debugger_is_told_not_to_be_there_and_the_sidecar_runs_as_usual() {
    let debug = json!({"dapr.io/enable-debug": "true", "dapr.io/debug-port": "99999"});
    assert_eq!(sidecar(&debug), sidecar(&json!({})));
    assert!(warnings(&debug)[0].contains("no debugger"));
}

#[test]
fn numbers_that_cannot_be_read_keep_their_default_and_warn() {
    let bad = json!({
        "dapr.io/app-port": "80a",
        "dapr.io/grpc-port": "",
        "dapr.io/app-max-concurrency": "many",
        "dapr.io/sidecar-liveness-probe-threshold": "99999999999",
    });
    let container = sidecar(&bad);
    let args = container.args.unwrap().join(" ");
    assert!(args.contains("--dapr-grpc-port 50001"));
    assert!(!args.contains("--app-port") && !args.contains("--app-max-concurrency"));
    assert_eq!(container.liveness_probe.unwrap().failure_threshold, Some(5));
    assert_eq!(
        warnings(&bad),
        [
            "dapr.io/app-port: \"80a\" is not a number it can take; ignored",
            "dapr.io/app-max-concurrency: \"many\" is not a number it can take; ignored",
            "dapr.io/grpc-port: \"\" is not a number it can take; ignored",
            "dapr.io/sidecar-liveness-probe-threshold: \"99999999999\" is not a number it can take; ignored",
        ]
    );
}

#[test]
fn an_app_port_beyond_all_ports_is_ignored_with_a_warning() {
    let port = |value: &str| json!({"dapr.io/app-port": value});
    assert!(args(&port("8080")).contains("--app-port 8080"));
    assert!(!args(&port("-1")).contains("--app-port"));
    assert!(warnings(&port("0")).is_empty());
    let warning = "dapr.io/app-port: 70000 is not a port (1 to 65535); ignored";
    assert_eq!(warnings(&port("70000")), [warning]);
}

#[test]
fn ports_that_no_container_can_have_are_refused() {
    for key in [
        "dapr.io/grpc-port",
        "dapr.io/internal-grpc-port",
        "dapr.io/metrics-port",
    ] {
        let refusal = refusal(&json!({key: "70000"})).to_string();
        let wanted =
            format!("invalid value for the {key} annotation: 70000 is not a port (1 to 65535)");
        assert_eq!(refusal, wanted);
    }
}

#[test]
fn an_empty_image_is_refused() {
    let refusal = refusal(&json!({"dapr.io/sidecar-image": ""}));
    assert_eq!(
        refusal.to_string(),
        "value for the dapr.io/sidecar-image annotation is empty"
    );
}

#[test]
fn values_that_the_sidecar_would_refuse_are_passed_on_with_a_warning() {
    let bad = json!({
        "dapr.io/log-level": "loud",
        "dapr.io/app-protocol": "ftp",
        "dapr.io/max-body-size": "4Q",
        "dapr.io/block-shutdown-duration": "5",
        "dapr.io/disable-init-endpoints": "config,nothing",
    });
    let args = args(&bad);
    for part in [
        "--log-level loud",
        "--app-protocol ftp",
        "--max-body-size 4Q",
        "--dapr-block-shutdown-duration 5",
        "--disable-init-endpoints config,nothing",
    ] {
        assert!(args.contains(part), "{part} is not in {args}");
    }
    let warnings = warnings(&bad);
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.ends_with("; passed on to the sidecar"))
    );
}

#[test]
fn an_unknown_protocol_is_not_told_to_the_app() {
    let pod = pod(&json!({"dapr.io/app-protocol": "ftp"}));
    let patched = decoded(&patched(&pod, &injected(&pod, &testing::cluster())));
    let app = &patched.spec.unwrap().containers[0];
    assert_eq!(env_of(app), ["DAPR_HTTP_PORT=3500", "DAPR_GRPC_PORT=50001"]);
}

#[test]
fn ssl_upgrades_the_protocol_told_to_the_app() {
    let pod = pod(&json!({"dapr.io/app-protocol": "GRPC", "dapr.io/app-ssl": "true"}));
    let patched = decoded(&patched(&pod, &injected(&pod, &testing::cluster())));
    let app = &patched.spec.unwrap().containers[0];
    assert_eq!(env_of(app)[2], "APP_PROTOCOL=grpcs");
}
