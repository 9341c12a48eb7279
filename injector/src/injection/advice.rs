//! What the author of an injected pod should know beside what single annotations say: names that nobody knows, and
//! ports that two containers want.

use k8s_openapi::api::core::v1::Pod;
use trilby_sidecar_args::annotation;
use trilby_spelling::nearest;

use super::sidecar::Sidecar;

/// What all keys of annotations for sidecars begin with.
const PREFIX: &str = "dapr.io/";

pub(super) fn of(pod: &Pod, sidecar: &Sidecar<'_>) -> Vec<String> {
    let mut advice = unknown_annotations(pod);
    advice.extend(port_clashes(pod, sidecar));
    advice.extend(host_network(pod, sidecar));
    advice
}

fn unknown_annotations(pod: &Pod) -> Vec<String> {
    let keys = pod.metadata.annotations.iter().flat_map(|all| all.keys());
    keys.filter(|key| key.starts_with(PREFIX) && !annotation::ALL.contains(&key.as_str()))
        .map(|key| format!("{key}: no such annotation{}; ignored", suggestion(key)))
        .collect()
}

/// Only what follows the prefix is compared: all names would be near each other otherwise.
fn suggestion(key: &str) -> String {
    let known = annotation::ALL.iter().map(|known| without_prefix(known));
    match nearest(without_prefix(key), known).first() {
        Some(name) => format!(", did you mean {PREFIX}{name}?"),
        None => String::new(),
    }
}

fn without_prefix(key: &str) -> &str {
    key.strip_prefix(PREFIX).unwrap_or(key)
}

/// The containers of a pod share its ports.
fn port_clashes(pod: &Pod, sidecar: &Sidecar<'_>) -> Vec<String> {
    let ports = ports(sidecar);
    let mut clashes = Vec::new();
    for (index, (name, port)) in ports.iter().enumerate() {
        let earlier = ports[..index].iter().find(|(_, other)| other == port);
        if let Some((other, _)) = earlier {
            clashes.push(format!(
                "port {port} is the sidecar's {other} and its {name}: it cannot listen on both"
            ));
        }
        for taken in takers(pod, sidecar, *port) {
            clashes.push(format!(
                "port {port} is {taken}'s and the sidecar's {name}: one of them cannot listen"
            ));
        }
    }
    clashes
}

/// Who but the sidecar listens on the port, as far as the pod says.
fn takers(pod: &Pod, sidecar: &Sidecar<'_>, port: u16) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let declares = |container: &&k8s_openapi::api::core::v1::Container| {
        let ports = container.ports.as_deref().unwrap_or_default();
        ports.iter().any(|declared| {
            declared.container_port == i32::from(port)
                && declared.protocol.as_deref().unwrap_or("TCP") == "TCP"
        })
    };
    let mut takers: Vec<String> = containers
        .filter(declares)
        .map(|container| format!("container {:?}", container.name))
        .collect();
    if takers.is_empty() && sidecar.args.app.app_port == port {
        takers.push(format!("the app ({})", annotation::APP_PORT));
    }
    takers
}

/// There, the sidecar's ports are the node's.
fn host_network(pod: &Pod, sidecar: &Sidecar<'_>) -> Option<String> {
    let spec = pod.spec.as_ref();
    let host = spec.is_some_and(|spec| spec.host_network == Some(true));
    host.then(|| {
        let ports = ports(sidecar).map(|(_, port)| port.to_string());
        format!(
            "hostNetwork: the sidecar takes the ports {} of the node, so no other such pod runs there",
            ports.join(", ")
        )
    })
}

fn ports(sidecar: &Sidecar<'_>) -> [(&'static str, u16); 5] {
    let (api, observability) = (&sidecar.args.api, &sidecar.args.observability);
    [
        ("HTTP port", api.dapr_http_port),
        ("public port", api.dapr_public_port),
        ("gRPC port", api.dapr_grpc_port),
        ("internal gRPC port", api.dapr_internal_grpc_port),
        ("metrics port", observability.metrics_port),
    ]
}
